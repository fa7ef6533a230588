//! What is remembered of all entities: the state that a service holds, changed only by learning.

use std::fmt;
use std::hint::black_box;

use crate::event::Event;
use crate::extract::{Extractor, MAX_KEY_SOURCES, MAX_VALUES};
use crate::identity::{EntityKey, OrderId};
use crate::kernel::{AHEAD, EntityHistory, LabelNews, Occurrence};
use crate::kind::EventKind;
use crate::network::Network;
#[cfg(doc)]
use crate::order_index::EARLY_LABEL;
use crate::order_index::{EventIds, OrderIndex, OrderLabel, OrderRecord};
use crate::resume::Latest;
use crate::shards::{Lookups, SIDE_BY_SIDE, Shard, Shards, get_each};
use crate::slow_clock::LifeClock;
use crate::time::{Span, UnixMillis};

/// For how long after an order its label is taken, and a repeated order or event id recognised: 120 days, within which
/// chargebacks come, or 60 days more than the label delay where that is longer.
pub fn order_memory(label_delay: Span) -> Span {
    Span::days(120).max(Span(label_delay.0.saturating_add(Span::days(60).0)))
}

/// Histories of one entity slot.
pub(crate) type Histories = Shards<EntityKey, EntityHistory>;

/// How far the state has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Orders learned.
    pub n_orders: u64,
    /// Other events learned.
    pub n_events: u64,
    /// Labels learned, those of chargebacks and abuse reports among them.
    pub n_labels: u64,
    /// Repeated order and event ids ignored.
    pub n_repeated: u64,
    /// Labels without effect, because their order is unknown so far, or too old.
    pub n_labels_ignored: u64,
    /// When the latest order became known.
    pub last_order: Option<UnixMillis>,
    /// When the latest other event became known.
    pub last_event: Option<UnixMillis>,
    /// When the latest event became known: an order, another event, or a label (which may be learned later than all).
    pub known_at: Option<UnixMillis>,
    /// When the latest orders and other events became known, rising, those that were ignored among them; [`NEVER`] before the
    /// first.
    pub(crate) newest: [UnixMillis; AHEAD + 1],
}

/// Stands for no time.
pub(crate) const NEVER: UnixMillis = UnixMillis(i64::MIN);

/// Entity history up to a stated event. One owner changes it; a service holds it behind one lock for the feature step.
///
/// A clone copies pointers only, so that it can be written to a file while the original goes on learning.
#[derive(Clone, Debug)]
pub struct State {
    pub(crate) layout: u64,
    pub(crate) label_delay: Span,
    /// One per slot of the extractor.
    pub(crate) histories: Vec<Histories>,
    pub(crate) orders: OrderIndex,
    pub(crate) event_ids: EventIds,
    pub(crate) network: Option<Network>,
    pub(crate) position: Position,
    pub(crate) latest: Latest,
    /// Says which entities are gone: see [`is_gone`].
    pub(crate) lives: LifeClock,
    sweep: Sweep,
}

/// Where the search for entities that are gone has come: a few are looked at with each event, so that none takes much
/// longer than others.
#[derive(Clone, Copy, Debug, Default)]
struct Sweep {
    slot: usize,
    cursor: u64,
    /// How many are still to be looked at.
    due: usize,
}

/// For each event one entity is looked at for being gone, and for each new entity so many: enough that those which are gone
/// never outnumber the others by much.
const SWEPT_PER_NEW: usize = 2;
/// So many are due before one leaf of them is looked at.
const SWEPT_AT_ONCE: usize = 24;
/// With each event a further leaf is looked at for so many that are due: where most entities of most events are new, one is
/// too few.
const DUE_PER_LEAF: usize = 512;

/// Looks up one entity in each of some slots.
fn get_each_of<'a>(histories: &'a [Histories], keys: &[u64], found: &mut [Option<&'a EntityHistory>]) {
    for ((histories, keys), found) in
        histories.chunks(SIDE_BY_SIDE).zip(keys.chunks(SIDE_BY_SIDE)).zip(found.chunks_mut(SIDE_BY_SIDE))
    {
        let last = keys.len() - 1;
        let wanted: [_; SIDE_BY_SIDE] =
            std::array::from_fn(|at| (&histories[at.min(last)], EntityKey(keys[at.min(last)])));
        get_each(&wanted[..keys.len()], found);
    }
}

/// Whether an entity is taken for one without history, and leaves memory sooner or later: nothing became known of it since
/// the horizon of the state's clock.
pub(crate) fn is_gone(history: &EntityHistory, horizon: i64) -> bool {
    history.last_known_at().is_some_and(|last| last < horizon)
}

/// What became of an event or label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learned {
    /// It is part of the history now.
    Taken,
    /// The event was seen before, the label's order is older than [`order_memory`], or it is unknown so far.
    Ignored,
}

/// A state that belongs to another specification, schema or identity key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayoutMismatch {
    /// Layout that the extractor needs.
    pub expected: u64,
    /// Layout of the state.
    pub found: u64,
}

impl fmt::Display for LayoutMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "state: expected layout {:016x}, found {:016x}: it was made with another schema, feature specification or identity key",
            self.expected, self.found
        )
    }
}

impl std::error::Error for LayoutMismatch {}

impl State {
    /// A state without any history.
    pub fn new(extractor: &Extractor) -> Self {
        let label_delay = extractor.schema.label_delay;
        Self {
            layout: extractor.state_layout(),
            label_delay,
            histories: vec![Histories::default(); extractor.slots.len()],
            orders: OrderIndex::new(label_delay, extractor.sources.len()),
            event_ids: EventIds::new(label_delay),
            network: extractor.network.as_ref().map(|_| Network::new(extractor.hub_limit)),
            position: Position::default(),
            latest: Latest::default(),
            lives: LifeClock::new(),
            sweep: Sweep::default(),
        }
    }

    /// Refuses an extractor that this state was not made with.
    pub fn check_layout(&self, extractor: &Extractor) -> Result<(), LayoutMismatch> {
        let expected = extractor.state_layout();
        if self.layout == expected { Ok(()) } else { Err(LayoutMismatch { expected, found: self.layout }) }
    }

    /// How far the state has come.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Number of entities in memory for each of [`Extractor::entities`]: some may be gone, and are not written any more.
    pub fn n_entities(&self) -> Vec<usize> {
        self.histories.iter().map(Shards::len).collect()
    }

    /// Number of orders that still take a label.
    pub fn n_open_orders(&self) -> usize {
        self.orders.len()
    }

    /// The history of one entity per slot, by its key; 0 where there is none. What the network (`account` and `things`) and
    /// learning the event will look up is asked for beside, so that all waits for memory overlap.
    pub(crate) fn find_histories<'a>(
        &'a self,
        keys: &[u64],
        found: &mut [Option<&'a EntityHistory>],
        event: &Event,
        (account, things): (u64, &[u64]),
    ) {
        let (n, n_things) = (keys.len().min(SIDE_BY_SIDE), things.len().min(SIDE_BY_SIDE));
        let wanted: [_; SIDE_BY_SIDE] =
            std::array::from_fn(|at| (&self.histories[at.min(n - 1)], EntityKey(keys[at.min(n - 1)])));
        let mut histories = Lookups::new(&wanted[..n]);
        let mut beside = self.network.as_ref().map(|network| {
            let (accounts, of_things) = network.maps();
            let wanted: [_; SIDE_BY_SIDE] =
                std::array::from_fn(|at| (of_things, EntityKey(things.get(at).copied().unwrap_or(0))));
            (Lookups::new(&[(accounts, EntityKey(account))]), Lookups::new(&wanted[..n_things]))
        });
        let id_of = |id: Option<OrderId>| id.unwrap_or(OrderId(0));
        let orders = self.orders.places();
        let wanted = [
            (orders, id_of(event.id)),
            (orders, id_of(self.orders.next_retired())),
            (self.event_ids.places(), id_of(event.event_id)),
        ];
        let mut ids = Lookups::new(&wanted);
        loop {
            let of_ids = ids.go_down();
            let of_network = beside.as_mut().is_some_and(|(account, things)| account.go_down() | things.go_down());
            if !(histories.go_down() | of_network | of_ids) {
                break;
            }
        }
        ids.arrive();
        if let Some((account, things)) = &mut beside {
            account.arrive();
            things.arrive();
        }
        histories.arrive();
        black_box((&ids, &beside));
        histories.find(&mut found[..n]);
        get_each_of(&self.histories[n..], &keys[n..], &mut found[n..]);
    }

    /// Learns an event of any kind; an order after it was scored.
    ///
    /// Looks besides at a few entities, and takes out those that are gone; at all of them where the events of the last
    /// [`crate::network::GRACE`] turn out to have had dates in the future.
    ///
    /// A repeated event id, or a repeated id of an order, within [`order_memory`] is ignored and counted. An event that is
    /// about an order known before it takes that order's keys and currency where it has none of its own, and the time since as
    /// its age;
    /// if it is a label (see [`EventKind::is_label`]), the order's entities learn it as [`Self::learn_label`] does.
    ///
    /// Events are to be learned in order of `known_at`; those of one millisecond never see each other.
    ///
    /// # Panics
    /// If another extractor read the event: a caller's bug.
    pub fn learn(&mut self, extractor: &Extractor, event: &Event) -> Learned {
        self.position.note(event.known_at);
        self.latest.note(&self.position.newest, event);
        if event.event_id.is_some_and(|id| !self.event_ids.insert(id, event.known_at)) {
            self.position.n_repeated += 1;
            return Learned::Ignored;
        }
        let is_order = event.kind == EventKind::Order;
        if is_order
            && let Some(id) = event.id
            && !self.orders.insert(id, event.time, event.known_at, event.currency, &event.keys)
        {
            self.position.n_repeated += 1;
            return Learned::Ignored;
        }
        self.pass(event.known_at);
        if is_order {
            self.observe(extractor, event, event.currency, &event.values, &event.keys);
        } else {
            let (mut keys, mut values) = ([0; MAX_KEY_SOURCES], [0; MAX_VALUES]);
            let (keys, values) = (&mut keys[..event.keys.len()], &mut values[..event.values.len()]);
            keys.copy_from_slice(&event.keys);
            values.copy_from_slice(&event.values);
            let currency = self.inherit(event, keys, values);
            self.observe(extractor, event, currency, values, keys);
        }
        self.position.pass(event.kind, event.known_at);
        let Some(id) = event.id else { return Learned::Taken };
        if event.kind.is_label() {
            self.learn_label(extractor, id, event.known_at, event.fraud);
        } else if is_order && let Some(fraud) = self.take_early(id, event.known_at) {
            self.learn_label(extractor, id, event.known_at, fraud);
        }
        Learned::Taken
    }

    /// What a label said that waited for an order.
    pub(crate) fn take_early(&mut self, id: OrderId, known_at: UnixMillis) -> Option<bool> {
        let fraud = self.orders.take_early(id, known_at)?;
        self.position.n_labels_ignored = self.position.n_labels_ignored.saturating_sub(1);
        Some(fraud)
    }

    fn observe(&mut self, extractor: &Extractor, event: &Event, currency: u32, values: &[i64], keys: &[u64]) {
        let seen = Occurrence { currency, ..extractor.occurrence(event, values, keys) };
        let horizon = self.lives.horizon();
        for (slot, histories) in extractor.slots.iter().zip(&mut self.histories) {
            let entity = slot.key(|source| keys[source]);
            if entity != 0 && slot.plan.stores(event.kind) {
                let history = histories.entry_or_insert_with(EntityKey(entity), || {
                    self.sweep.due += SWEPT_PER_NEW;
                    EntityHistory::default()
                });
                if is_gone(history, horizon) {
                    *history = EntityHistory::default();
                }
                history.observe(&slot.plan, &seen);
            }
        }
        if let (Some(plan), Some(network)) = (&extractor.network, &mut self.network) {
            plan.learn(network, event.known_at.0, |source| keys[source]);
        }
    }

    /// Moves the clock, and takes out some of what is gone.
    fn pass(&mut self, known_at: UnixMillis) {
        if let Some(horizon) = self.lives.pass(known_at.0).and_then(|moved| moved.gone_before) {
            for histories in &mut self.histories {
                take_out_gone(histories.shards_mut(), horizon);
            }
        }
        self.sweep.due += 1;
        if self.sweep.due < SWEPT_AT_ONCE || self.histories.is_empty() {
            return;
        }
        let horizon = self.lives.horizon();
        for _ in 0..=self.sweep.due / DUE_PER_LEAF {
            let histories = &mut self.histories[self.sweep.slot];
            let leaf = histories.leaf_at(self.sweep.cursor);
            let of_gone = leaf.entries.iter().filter(|(_, history)| is_gone(history, horizon));
            let gone: Vec<u64> = of_gone.map(|(key, _)| *key).collect();
            self.sweep.due = self.sweep.due.saturating_sub(leaf.entries.len().max(1));
            self.sweep.cursor = leaf.next.unwrap_or(0);
            for key in gone {
                histories.remove(EntityKey(key));
            }
            if self.sweep.cursor == 0 {
                self.sweep.slot = (self.sweep.slot + 1) % self.histories.len();
            }
        }
    }

    /// Gives an event the missing keys of the order that it is about, and its age; the event's currency, or the order's,
    /// comes back.
    fn inherit(&self, event: &Event, keys: &mut [u64], values: &mut [i64]) -> u32 {
        let Some((order, order_keys)) = event.id.and_then(|id| self.order_before(id, event.known_at)) else {
            return event.currency;
        };
        for (key, &of_order) in keys.iter_mut().zip(order_keys) {
            if *key == 0 {
                *key = of_order;
            }
        }
        values[AGE] = event.time.0.saturating_sub(order.time.0);
        if event.currency == 0 { order.currency } else { event.currency }
    }

    /// An order that was known before that time, and its keys.
    fn order_before(&self, id: OrderId, known_at: UnixMillis) -> Option<(&OrderRecord, &[u64])> {
        self.orders.get(id, known_at).filter(|(order, _)| order.known_at < known_at)
    }

    /// As [`Self::learn_label`], of the order of that id which became known at `known_at`: where that is too old, and the id may
    /// have been given to another order since, the label is ignored and counted, once where [`Self::learn_label`] was told the
    /// same.
    pub fn learn_label_of(
        &mut self,
        extractor: &Extractor,
        (id, known_at): (OrderId, UnixMillis),
        time: UnixMillis,
        fraud: bool,
    ) -> Learned {
        if self.orders.get(id, time).is_some_and(|(order, _)| order.known_at == known_at) {
            return self.learn_label(extractor, id, time, fraud);
        }
        // A chargeback of a forgotten order may be a label of its row as well: it was counted then.
        self.position.n_labels_ignored += u64::from(!self.orders.has_early(id, time, fraud));
        Learned::Ignored
    }

    /// Learns the label of an order, or that an earlier label is reversed: `fraud` as the shop sees it from `time` on.
    ///
    /// A time before the order became known, or before its previous label, counts as that time. What the order's latest
    /// label said at that very time is nothing new, nor is that a fraud of that time is none: it is ignored, and not counted. A
    /// label of an order that is unknown, or too old, waits for [`EARLY_LABEL`]: should an order of that id become known by then, it
    /// is learned with it.
    pub fn learn_label(&mut self, extractor: &Extractor, id: OrderId, time: UnixMillis, fraud: bool) -> Learned {
        if self.orders.get(id, time).is_some_and(|(order, _)| order.has_label(time, fraud)) {
            return Learned::Ignored;
        }
        let Some((label, keys)) = self.orders.learn_label(id, time, fraud) else {
            self.position.n_labels_ignored += u64::from(self.orders.keep_early(id, time, fraud));
            return Learned::Ignored;
        };
        let news = news_of(&label);
        for (slot, histories) in extractor.slots.iter().zip(&mut self.histories) {
            let entity = slot.key(|source| keys[source]);
            if entity != 0
                && slot.reads_labels
                && let Some(history) = histories.get_mut(EntityKey(entity))
            {
                history.learn_label(&slot.plan, &news);
            }
        }
        if let (Some(plan), Some(network)) = (&extractor.network, &mut self.network) {
            plan.learn_label(network, &news, |source| keys[source]);
        }
        self.position.n_labels += 1;
        self.position.known_at = self.position.known_at.max(Some(label.time));
        Learned::Taken
    }
}

/// Takes out the entities that are gone.
pub(crate) fn take_out_gone(shards: &mut [Shard<EntityKey, EntityHistory>], horizon: i64) {
    for shard in shards {
        let gone: Vec<EntityKey> =
            shard.iter().filter(|(_, history)| is_gone(history, horizon)).map(|(key, _)| key).collect();
        for key in gone {
            shard.remove(key);
        }
    }
}

/// Position of the age among the values of an event.
pub(crate) const AGE: usize = 1;

/// What an order's entities learn.
pub(crate) fn news_of(label: &OrderLabel) -> LabelNews {
    LabelNews {
        known_at: label.known_at.0,
        resolved_before: label.resolved_before.0,
        at: label.time.0,
        fraud: label.fraud,
        was_fraud: label.was_fraud,
    }
}

impl Default for Position {
    fn default() -> Self {
        Self {
            n_orders: 0,
            n_events: 0,
            n_labels: 0,
            n_repeated: 0,
            n_labels_ignored: 0,
            last_order: None,
            last_event: None,
            known_at: None,
            newest: [NEVER; AHEAD + 1],
        }
    }
}

impl Position {
    /// Whether an order or event that became known then was learned: all are that became known by [`Self::learned_until`], and
    /// of later ones those of the very times of the [`AHEAD`] that were learned last. So a few wrong dates in the future keep
    /// nothing from being learned.
    pub fn has_learned(&self, known_at: UnixMillis) -> bool {
        self.learned_until().is_some_and(|until| known_at <= until) || self.ahead().contains(&known_at)
    }

    /// Up to when orders and other events were learned without a gap, as far as this can be told: the time of the ninth latest, or
    /// of the first where there are fewer. See [`Self::has_learned`].
    pub fn learned_until(&self) -> Option<UnixMillis> {
        self.newest.iter().copied().find(|time| *time != NEVER)
    }

    /// The times after it.
    fn ahead(&self) -> &[UnixMillis] {
        let n_never = self.newest.iter().take_while(|time| **time == NEVER).count();
        self.newest.get(n_never + 1..).unwrap_or_default()
    }

    /// Counts an event that is learned.
    pub(crate) fn pass(&mut self, kind: EventKind, known_at: UnixMillis) {
        if kind == EventKind::Order {
            self.n_orders += 1;
            self.last_order = self.last_order.max(Some(known_at));
        } else {
            self.n_events += 1;
            self.last_event = self.last_event.max(Some(known_at));
        }
        self.known_at = self.known_at.max(Some(known_at));
    }

    /// As [`Self::note`] and [`Self::pass`] of one order after the other; their times do not fall.
    pub(crate) fn pass_orders(&mut self, known_at: &[UnixMillis]) {
        let Some(&last) = known_at.last() else { return };
        self.n_orders += known_at.len() as u64;
        self.last_order = self.last_order.max(Some(last));
        self.known_at = self.known_at.max(Some(last));
        // Earlier ones are not among the latest.
        let latest = known_at.chunk_by(|a, b| a == b).rev().take(AHEAD + 1);
        latest.for_each(|same| self.note(same[0]));
    }

    /// Notes among the latest when an order or other event became known, whether it is learned or ignored.
    pub(crate) fn note(&mut self, known_at: UnixMillis) {
        if known_at > self.newest[AHEAD] {
            self.newest.copy_within(1.., 0);
            self.newest[AHEAD] = known_at;
            return;
        }
        if known_at <= self.newest[0] || self.newest.contains(&known_at) {
            return;
        }
        let n_earlier = self.newest.partition_point(|time| *time < known_at);
        self.newest.copy_within(1..n_earlier, 0);
        self.newest[n_earlier - 1] = known_at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_dates_in_the_future_are_no_gap() {
        let at = UnixMillis;
        let mut position = Position::default();
        assert_eq!((position.learned_until(), position.has_learned(at(0))), (None, false));
        let pass = |position: &mut Position, kind: EventKind, time: UnixMillis| {
            position.note(time);
            position.pass(kind, time);
        };
        pass(&mut position, EventKind::Order, at(5));
        assert_eq!(position.learned_until(), Some(at(5)));
        assert!(position.has_learned(at(5)) && position.has_learned(at(4)) && !position.has_learned(at(6)));
        let mut at_once = position;
        let times = [5, 6, 6, 9, 10, 11, 12, 13, 14, 15, 16, 16, 17].map(at);
        let mut one_by_one = position;
        at_once.pass_orders(&times);
        for time in times {
            pass(&mut one_by_one, EventKind::Order, time);
        }
        assert_eq!(at_once, one_by_one);
        // In order of arrival, with dates far ahead, and some of them twice.
        for time in (10..1_000).step_by(10) {
            pass(&mut position, EventKind::Order, at(time));
            if time % 200 == 0 {
                pass(&mut position, EventKind::Login, at(1_000_000 + time));
                pass(&mut position, EventKind::Order, at(1_000_000 + time));
            }
        }
        assert_eq!(position.last_order, Some(at(1_000_800)));
        assert!((0..=990).step_by(10).all(|time| position.has_learned(at(time))));
        assert!((991..2_000).all(|time| !position.has_learned(at(time))));
        assert!([200, 400, 600, 800].iter().all(|time| position.has_learned(at(1_000_000 + time))));
        assert!(!position.has_learned(at(1_000_300)) && !position.has_learned(at(2_000_000)));
    }
}
