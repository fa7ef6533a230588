//! The orders and events of the recent past, found by their identifiers: so that a label finds its order's entities, also one
//! that came before its order, an event about an order inherits its keys, and nothing is learned twice.

mod event_ids;
mod file;

pub use event_ids::EventIds;
use event_ids::Seen;

use crate::identity::OrderId;
use crate::recent::{Place, Recent, Row};
use crate::shards::Shards;
use crate::state::order_memory;
use crate::time::{Span, UnixMillis};

/// For how long a label waits for its order: shops often tell chargebacks to the day, so that they lie before an order of that
/// day, and two systems of a shop need not report in order.
pub const EARLY_LABEL: Span = Span::DAY;

/// What is kept of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderRecord {
    /// Hash of its identifier.
    pub id: OrderId,
    /// When it happened.
    pub time: UnixMillis,
    /// When the shop knew of it.
    pub known_at: UnixMillis,
    /// From when on it counts as resolved: its time + the label delay, or its first label's time if that is earlier.
    pub resolved_at: UnixMillis,
    /// When its latest label was learned.
    pub label_time: Option<UnixMillis>,
    /// What the latest label says; `false` without one.
    pub fraud: bool,
    /// See [`currency_code`](crate::event::currency_code); 0 when missing, or where no feature reads amounts.
    pub currency: u32,
}

/// What an order's entities learn when its label becomes known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderLabel {
    /// The order.
    pub id: OrderId,
    /// When the order happened.
    pub order_time: UnixMillis,
    /// When the shop knew of the order.
    pub known_at: UnixMillis,
    /// From when on the order counted as resolved until now.
    pub resolved_before: UnixMillis,
    /// When the label counts as learned: not before its order, nor before its previous label.
    pub time: UnixMillis,
    /// What it says.
    pub fraud: bool,
    /// What was held true before.
    pub was_fraud: bool,
}

impl OrderLabel {
    /// From when on the order counts as resolved now.
    pub fn resolved_at(&self) -> UnixMillis {
        self.resolved_before.min(self.time)
    }
}

impl OrderRecord {
    /// An order without a label.
    pub(crate) fn new(id: OrderId, time: UnixMillis, known_at: UnixMillis, label_delay: Span) -> Self {
        Self { id, time, known_at, resolved_at: time.plus(label_delay), label_time: None, fraud: false, currency: 0 }
    }

    /// Notes a label, learned at `at`, and tells what the order's entities learn.
    pub(crate) fn learn_label(&mut self, at: UnixMillis, fraud: bool) -> OrderLabel {
        let label = OrderLabel {
            id: self.id,
            order_time: self.time,
            known_at: self.known_at,
            resolved_before: self.resolved_at,
            time: at.max(self.known_at).max(self.label_time.unwrap_or(self.known_at)),
            fraud,
            was_fraud: self.fraud,
        };
        self.resolved_at = label.resolved_at();
        self.label_time = Some(label.time);
        self.fraud = fraud;
        label
    }

    /// Whether a label is nothing new: what the latest one said at that very time, or the contrary of a fraud. Of two labels that
    /// contradict each other at one time the fraud holds, whichever is learned first.
    pub(crate) fn has_label(&self, at: UnixMillis, fraud: bool) -> bool {
        self.label_time == Some(at) && (self.fraud || !fraud)
    }
}

impl Row for OrderRecord {
    fn id(&self) -> OrderId {
        self.id
    }
    fn known_at(&self) -> UnixMillis {
        self.known_at
    }
}

/// A label that came before its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct EarlyLabel {
    id: OrderId,
    known_at: UnixMillis,
    fraud: bool,
}

impl Row for EarlyLabel {
    fn id(&self) -> OrderId {
        self.id
    }
    fn known_at(&self) -> UnixMillis {
        self.known_at
    }
}

/// Orders that still take a label, with the keys of all key sources (0 = missing), and labels that wait for their orders.
///
/// Insert and lookup are O(log n) with no sweep at any time; a clone copies pointers only, and changes afterwards copy
/// what they touch.
#[derive(Clone, Debug)]
pub struct OrderIndex {
    label_delay: Span,
    n_keys: usize,
    orders: Recent<OrderRecord>,
    early: Recent<EarlyLabel>,
}

impl OrderIndex {
    /// An empty index; orders are remembered for [`order_memory`] of the label delay, with `n_keys` keys each.
    pub fn new(label_delay: Span, n_keys: usize) -> Self {
        Self {
            label_delay,
            n_keys,
            orders: Recent::new(order_memory(label_delay), n_keys),
            early: Recent::new(EARLY_LABEL, 0),
        }
    }

    /// Where to look up an order, for doing so side by side with other lookups.
    pub(crate) fn places(&self) -> &Shards<OrderId, Place> {
        self.orders.places()
    }

    /// The order that the next one will take the place of, if any.
    pub(crate) fn next_retired(&self) -> Option<OrderId> {
        self.orders.next_retired()
    }

    /// Number of orders held. Some may be too old to be found.
    pub fn len(&self) -> usize {
        self.orders.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keys of each order.
    pub fn n_keys(&self) -> usize {
        self.n_keys
    }

    /// The delay after which an order without a label counts as resolved.
    pub fn label_delay(&self) -> Span {
        self.label_delay
    }

    /// An order with its keys, if it is still remembered at `at`.
    pub fn get(&self, id: OrderId, at: UnixMillis) -> Option<(&OrderRecord, &[u64])> {
        self.orders.get(id, at)
    }

    /// Remembers an order that was just learned. `false`, and nothing changes, where its id is remembered at `known_at`.
    ///
    /// # Panics
    /// If `keys` does not have [`Self::n_keys`] elements: a caller's bug.
    pub fn insert(&mut self, id: OrderId, time: UnixMillis, known_at: UnixMillis, currency: u32, keys: &[u64]) -> bool {
        if self.orders.get(id, known_at).is_some() {
            return false;
        }
        self.orders.insert(OrderRecord { currency, ..OrderRecord::new(id, time, known_at, self.label_delay) }, keys);
        true
    }

    /// Remembers `n` orders that were learned in order of `known_at` and whose ids are all different and not remembered
    /// otherwise; `record` gives each with its label, `keys` fills in its keys; `passed` says when each became known, and each
    /// that one of the same id replaced. As inserting them one by one.
    pub(crate) fn extend(
        &mut self,
        passed: impl Iterator<Item = UnixMillis>,
        n: usize,
        record: impl Fn(usize) -> OrderRecord,
        keys: impl Fn(usize, &mut [u64]),
    ) {
        self.orders.extend(passed, n, record, keys);
    }

    /// Notes the label of an order, or its reversal, learned at `at`; what its entities are to learn comes back with its
    /// keys. `None` where the order is not remembered.
    pub fn learn_label(&mut self, id: OrderId, at: UnixMillis, fraud: bool) -> Option<(OrderLabel, &[u64])> {
        let (record, keys) = self.orders.get_mut(id, at)?;
        Some((record.learn_label(at, fraud), keys))
    }

    /// Keeps a label whose order is not known at `at`, for [`EARLY_LABEL`], in place of an earlier one; one of the same time that
    /// says fraud stays. Whether it is new, see [`Self::has_early`].
    pub fn keep_early(&mut self, id: OrderId, at: UnixMillis, fraud: bool) -> bool {
        let is_new = !self.has_early(id, at, fraud);
        if is_new {
            self.early.insert(EarlyLabel { id, known_at: at, fraud }, &[]);
        }
        is_new
    }

    /// Whether what a label says is known of an order that is not: said at that very time, or a fraud of that time denied.
    pub fn has_early(&self, id: OrderId, at: UnixMillis, fraud: bool) -> bool {
        self.early.get(id, at).is_some_and(|(label, _)| label.known_at == at && (label.fraud || !fraud))
    }

    /// Takes out what a label said that came at most [`EARLY_LABEL`] before its order, which became known at `known_at`.
    pub fn take_early(&mut self, id: OrderId, known_at: UnixMillis) -> Option<bool> {
        if self.early.len() == 0 {
            return None;
        }
        let fraud = self.early.get(id, known_at).map(|(label, _)| label.fraud)?;
        self.early.take(id);
        Some(fraud)
    }

    /// The orders that are not too old as of a few ago, by (`known_at`, id).
    pub fn iter(&self) -> impl Iterator<Item = (&OrderRecord, &[u64])> {
        self.orders.iter()
    }

    /// When the order that was inserted last became known; `None` before the first.
    pub fn last(&self) -> Option<UnixMillis> {
        Some(self.orders.last()).filter(|last| last.0 != i64::MIN)
    }

    /// Replaces `key` by 0 in all orders. O(n).
    pub fn forget_key(&mut self, key: u64) {
        let clear = |keys: &mut [u64]| keys.iter_mut().filter(|k| **k == key).for_each(|k| *k = 0);
        self.orders.change_keys(|keys| keys.contains(&key), clear);
    }

    /// Bytes held. O(n / 256).
    pub fn memory_bytes(&self) -> usize {
        self.orders.memory_bytes() + self.early.memory_bytes()
    }
}

/// Indexes are equal when they answer alike from the last insert on.
impl PartialEq for OrderIndex {
    fn eq(&self, other: &Self) -> bool {
        (self.label_delay, self.n_keys) == (other.label_delay, other.n_keys)
            && self.orders.is_level_with(&other.orders)
            && self.iter().eq(other.iter())
            && self.early.is_level_with(&other.early)
            && self.early.iter().eq(other.early.iter())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::container::SectionReader;
    use crate::kernel::HistoryError;

    const DAY: i64 = Span::DAY.0;
    const DELAY: Span = Span::days(7);

    fn id(x: u64) -> OrderId {
        OrderId(x.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    fn at(ms: i64) -> UnixMillis {
        UnixMillis(ms)
    }

    fn orders_from(bytes: &[u8]) -> Result<OrderIndex, HistoryError> {
        let mut reader = SectionReader::new(*b"ORDR", bytes);
        let index = OrderIndex::read_from(&mut reader, DELAY, 1)?;
        reader.finish()?;
        Ok(index)
    }

    fn events_from(bytes: &[u8]) -> Result<EventIds, HistoryError> {
        let mut reader = SectionReader::new(*b"EVNT", bytes);
        let ids = EventIds::read_from(&mut reader, DELAY)?;
        reader.finish()?;
        Ok(ids)
    }

    /// All orders that were ever inserted, searched from the newest.
    #[derive(Clone, Default)]
    struct Naive(Vec<(OrderRecord, Vec<u64>)>);

    impl Naive {
        fn find(&mut self, id: OrderId, now: UnixMillis) -> Option<&mut (OrderRecord, Vec<u64>)> {
            let newest = self.0.iter_mut().rev().find(|(record, _)| record.id == id)?;
            (now.0 - newest.0.known_at.0 <= order_memory(DELAY).0).then_some(newest)
        }
    }

    #[test]
    fn a_label_finds_its_order_until_it_is_too_old() {
        let mut index = OrderIndex::new(DELAY, 2);
        assert!(index.insert(id(1), at(0), at(5), 0, &[11, 0]));
        assert!(!index.insert(id(1), at(9), at(9), 0, &[12, 0]), "a repeated id");
        let (label, keys) = index.learn_label(id(1), at(2), true).unwrap();
        assert_eq!((label.time, label.resolved_before, label.was_fraud), (at(5), at(DELAY.0), false));
        assert_eq!((label.resolved_at(), keys), (at(5), &[11, 0][..]));
        let (label, _) = index.learn_label(id(1), at(3 * DAY), false).unwrap();
        assert_eq!((label.resolved_before, label.was_fraud, label.fraud), (at(5), true, false));
        let (record, _) = index.get(id(1), at(120 * DAY + 5)).unwrap();
        assert_eq!((record.label_time, record.fraud), (Some(at(3 * DAY)), false));
        assert!(index.get(id(1), at(120 * DAY + 6)).is_none());
        assert!(index.learn_label(id(1), at(120 * DAY + 6), true).is_none());
        assert!(index.insert(id(1), at(121 * DAY), at(121 * DAY), 0, &[1, 1]), "the id is free again");
    }

    #[test]
    fn memory_stays_in_proportion_whatever_comes_first() {
        let mut index = OrderIndex::new(DELAY, 1);
        let mut ids = EventIds::new(DELAY);
        // An order of the far future would block a queue. The earliest day is held until all of it is too old.
        assert!(index.insert(id(0), at(1 << 50), at(1 << 50), 0, &[1]));
        let gap = DAY / 100;
        for x in 1..40_000 {
            let known = i64::try_from(x).unwrap() * gap;
            assert!(index.insert(id(x), at(known), at(known), 0, &[x]));
            assert!(ids.insert(id(x), at(known)));
        }
        assert!(index.len() <= 12_230 && ids.len() <= 12_229, "{} {}", index.len(), ids.len());
        assert!(index.memory_bytes() < 12_000 * 130 && ids.memory_bytes() < 12_000 * 80);
        // After a year of silence the backlog goes by and by.
        for x in 0..20_000 {
            assert!(index.insert(id(1 << 40 | x), at(1_000 * DAY), at(1_000 * DAY), 0, &[x]));
        }
        assert_eq!(index.len(), 20_001);
        // A wrong date in the future makes none of them old.
        index.insert(id(1 << 41), at(1 << 51), at(1 << 51), 0, &[1]);
        assert_eq!(index.iter().count(), 20_002);
        index.forget_key(7);
        assert!(index.iter().all(|(_, keys)| keys[0] != 7));
    }

    #[test]
    fn an_open_order_of_two_entities_takes_few_bytes() {
        let mut index = OrderIndex::new(DELAY, 2);
        for x in 0..100_000_u64 {
            let time = at(x as i64 * 8_640);
            index.insert(id(x), time, time, 0, &[id(x % 20_000).0, id((1 << 40) + x % 500).0]);
        }
        let mut out = Vec::new();
        index.write_to(&mut out);
        assert!(out.len() < 100_000 * 19, "{}", out.len());
    }

    #[test]
    fn a_clone_keeps_what_it_was() {
        let mut index = OrderIndex::new(DELAY, 1);
        for x in 0..3_000 {
            index.insert(id(x), at(0), at(x as i64), 0, &[x + 1]);
        }
        let before = index.clone();
        index.learn_label(id(5), at(4_000), true).unwrap();
        index.forget_key(8);
        index.insert(id(9_999), at(4_000), at(4_000), 0, &[3]);
        assert_ne!(index, before);
        assert_eq!(before.iter().count(), 3_000);
        assert!(before.iter().all(|(record, keys)| record.label_time.is_none() && keys[0] != 0));
    }

    proptest! {
        #[test]
        fn a_restored_index_answers_as_the_running_one_wherever_clocks_jump(
            stretches in prop::collection::vec((-300..300_i64, 0..200_usize, 0..200_000_i64), 1..9),
            restored_at in any::<prop::sample::Index>(),
            late in 0..150_i64,
        ) {
            let mut known = Vec::new();
            let mut now = 1_000 * DAY;
            for (jump, n, step) in stretches {
                now += jump * DAY;
                known.extend((0..n as i64).map(|i| at(now + i * step * 100)));
                now += n as i64 * step * 100;
            }
            let restored_at = restored_at.index(known.len() + 1);
            let (mut index, mut ids) = (OrderIndex::new(DELAY, 1), EventIds::new(DELAY));
            let mut restored = None;
            for (x, &known_at) in known.iter().enumerate() {
                if x == restored_at {
                    let (mut orders, mut events) = (Vec::new(), Vec::new());
                    index.write_to(&mut orders);
                    ids.write_to(&mut events);
                    restored = Some((orders_from(&orders).unwrap(), events_from(&events).unwrap()));
                }
                // Every id comes twice or more.
                let of = id(x as u64 % 150);
                let is_new = (index.insert(of, known_at, known_at, 0, &[1]), ids.insert(of, known_at));
                if let Some((other, other_ids)) = &mut restored {
                    let also_new = (other.insert(of, known_at, known_at, 0, &[1]), other_ids.insert(of, known_at));
                    prop_assert_eq!(is_new, also_new);
                    let asked = id((x as u64 * 7) % 150);
                    for time in [known_at, at(known_at.0 - late * DAY), at(known_at.0 + late * DAY)] {
                        prop_assert_eq!(index.get(asked, time), other.get(asked, time));
                        prop_assert_eq!(ids.contains(asked, time), other_ids.contains(asked, time));
                    }
                }
            }
            if let Some((other, other_ids)) = restored {
                prop_assert!(index == other && ids == other_ids);
            }
        }

        #[test]
        fn it_answers_as_a_list_of_all_orders(
            ops in prop::collection::vec((0..6_u8, 0..60_u64, 0..3_000_i64, -200..200_i64, 0..3_u32), 0..400),
            (place, byte, cut) in (any::<prop::sample::Index>(), any::<u8>(), any::<bool>()),
        ) {
            let mut index = OrderIndex::new(DELAY, 1);
            let mut ids = EventIds::new(DELAY);
            let mut naive = Naive::default();
            let mut early: Vec<(u64, i64, bool)> = Vec::new();
            let mut now = 0;
            for (op, x, step, late, currency) in ops {
                now += step * 600_000;
                let known = at(now);
                match op {
                    0..=1 => {
                        let time = at(now - late.max(0));
                        let is_new = naive.find(id(x), known).is_none();
                        prop_assert_eq!(index.insert(id(x), time, known, currency, &[x]), is_new);
                        prop_assert_eq!(ids.insert(id(x), known), is_new);
                        if is_new {
                            let resolved_at = time.plus(DELAY);
                            let record = OrderRecord {
                                id: id(x),
                                time,
                                known_at: known,
                                resolved_at,
                                label_time: None,
                                fraud: false,
                                currency,
                            };
                            naive.0.push((record, vec![x]));
                        }
                    }
                    2 => {
                        let fraud = late > 0;
                        let found = index.learn_label(id(x), known, fraud).map(|(label, keys)| (label, keys.to_vec()));
                        let expected = naive.find(id(x), known).map(|(record, keys)| {
                            let before = *record;
                            record.resolved_at = record.resolved_at.min(known);
                            record.label_time = Some(known);
                            record.fraud = fraud;
                            (OrderLabel {
                                id: id(x),
                                order_time: before.time,
                                known_at: before.known_at,
                                resolved_before: before.resolved_at,
                                time: known,
                                fraud,
                                was_fraud: before.fraud,
                            }, keys.clone())
                        });
                        prop_assert_eq!(found, expected);
                    }
                    3 => {
                        let fraud = late > 0;
                        let is_new = !early.iter().any(|&(of, at, says)| (of, at) == (x, now) && (says || !fraud));
                        prop_assert_eq!(index.has_early(id(x), known, fraud), !is_new);
                        prop_assert_eq!(index.keep_early(id(x), known, fraud), is_new);
                        let is_outweighed = early.contains(&(x, now, true));
                        if !is_outweighed {
                            early.retain(|label| label.0 != x);
                            early.push((x, now, fraud));
                        }
                    }
                    4 => {
                        let at = early.iter().position(|label| label.0 == x && now - label.1 <= EARLY_LABEL.0);
                        prop_assert_eq!(index.take_early(id(x), known), at.map(|at| early.remove(at).2));
                    }
                    _ => {
                        let found = index.get(id(x), known).map(|(record, keys)| (*record, keys.to_vec()));
                        prop_assert_eq!(found, naive.find(id(x), known).cloned());
                    }
                }
            }
            // What a file would hold gives the same index.
            let (mut orders, mut events) = (Vec::new(), Vec::new());
            index.write_to(&mut orders);
            ids.write_to(&mut events);
            prop_assert_eq!(&index, &orders_from(&orders).unwrap());
            prop_assert_eq!(&ids, &events_from(&events).unwrap());
            // Altered bytes are refused, or are an index that has these bytes.
            for bytes in [&mut orders, &mut events] {
                let at = place.index(bytes.len());
                bytes[at] = byte;
                bytes.truncate(if cut { at } else { bytes.len() });
            }
            if let Ok(read_back) = orders_from(&orders) {
                let mut again = Vec::new();
                read_back.write_to(&mut again);
                prop_assert_eq!(again, orders);
            }
            if let Ok(read_back) = events_from(&events) {
                let mut again = Vec::new();
                read_back.write_to(&mut again);
                prop_assert_eq!(again, events);
            }
            prop_assert!(index.iter().map(|(record, _)| (record.known_at, record.id)).is_sorted());
        }
    }
}
