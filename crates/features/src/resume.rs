//! Going on after a restore: which events of the latest milliseconds were learned, so that a stream that is read again from
//! there counts none twice and loses none, also of events without an identifier.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::container::SectionReader;
use crate::event::Event;
use crate::extract::mix;
use crate::identity::OrderId;
use crate::kernel::{AHEAD, HistoryError};
use crate::kind::EventKind;
use crate::state::{AGE, NEVER, Position, State};
use crate::time::UnixMillis;
use crate::varint::invalid;

/// The latest times, see [`Position::learned_until`].
type Newest = [UnixMillis; AHEAD + 1];

/// Hashes of the orders and other events of the latest times, those among them that were ignored for their ids. A clone copies
/// pointers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latest(BTreeMap<i64, Arc<Vec<u64>>>);

/// What an event is hashed by.
pub(crate) struct Content<V, K> {
    pub(crate) kind: EventKind,
    pub(crate) id: Option<OrderId>,
    pub(crate) event_id: Option<OrderId>,
    pub(crate) time: i64,
    pub(crate) known_at: i64,
    /// Counts for labels only.
    pub(crate) fraud: bool,
    pub(crate) currency: u32,
    /// All that history remembers, and what is counted over, as the event itself has them: nothing of the order that it is
    /// about. The age among the values does not count.
    pub(crate) values: V,
    pub(crate) keys: K,
}

impl<V: Iterator<Item = i64>, K: Iterator<Item = u64>> Content<V, K> {
    pub(crate) fn hash(self) -> u64 {
        let id = |id: Option<OrderId>| id.map_or(0, |id| id.0);
        let says_fraud = self.kind.is_label() && self.fraud;
        let kind = self.kind as u64 | u64::from(says_fraud) << 8 | u64::from(self.currency) << 32;
        let head = [kind, id(self.id), id(self.event_id), self.time as u64, self.known_at as u64];
        let values = self.values.enumerate().filter(|(index, _)| *index != AGE).map(|(_, value)| value as u64);
        head.into_iter().chain(values).chain(self.keys).fold(0, |hash, word| mix(hash ^ word))
    }
}

impl Event {
    fn content_hash(&self) -> u64 {
        let Self { kind, id, event_id, time, known_at, fraud, currency, values, keys, own: _ } = self;
        let content = Content {
            kind: *kind,
            id: *id,
            event_id: *event_id,
            time: time.0,
            known_at: known_at.0,
            fraud: *fraud,
            currency: *currency,
            values: values.iter().copied(),
            keys: keys.iter().copied(),
        };
        content.hash()
    }
}

impl Latest {
    /// Notes an event that a state is handed, after its time was noted in the position.
    pub(crate) fn note(&mut self, newest: &Newest, event: &Event) {
        if event.known_at >= newest[0] {
            self.add(event.known_at, event.content_hash());
            self.forget_before(newest[0]);
        }
    }

    /// Adds an event of one of the latest times.
    pub(crate) fn add(&mut self, known_at: UnixMillis, hash: u64) {
        Arc::make_mut(self.0.entry(known_at.0).or_default()).push(hash);
    }

    /// Forgets what is not among the latest times any more.
    pub(crate) fn forget_before(&mut self, first: UnixMillis) {
        while self.0.first_key_value().is_some_and(|(time, _)| *time < first.0) {
            self.0.pop_first();
        }
    }

    /// Bytes held. O(1).
    pub(crate) fn memory_bytes(&self) -> usize {
        self.0.values().map(|hashes| 8 * hashes.capacity()).sum()
    }

    /// Appends the number of events of each of the latest times, and the hashes of each, rising.
    pub(crate) fn write_to(&self, newest: &Newest, out: &mut Vec<u8>) {
        let of = |time: &UnixMillis| self.0.get(&time.0).map_or(&[][..], |hashes| hashes);
        out.extend(newest.iter().flat_map(|time| (of(time).len() as u64).to_le_bytes()));
        for time in newest {
            let mut hashes = of(time).to_vec();
            hashes.sort_unstable();
            out.extend(hashes.iter().flat_map(|hash| hash.to_le_bytes()));
        }
    }

    /// Reads what [`Self::write_to`] wrote.
    pub(crate) fn read_from(newest: &Newest, reader: &mut SectionReader<'_>) -> Result<Self, HistoryError> {
        let mut counts = [0; AHEAD + 1];
        for count in &mut counts {
            *count = reader.u64()?;
        }
        let mut latest = Self::default();
        for (time, count) in newest.iter().zip(counts) {
            if (count > 0) != (*time != NEVER) {
                return Err(invalid(reader, "events at each of the latest times"));
            }
            if count > reader.remaining() as u64 / 8 {
                return Err(invalid(reader, "as many hashes as events"));
            }
            if count > 0 {
                let hashes = (0..count).map(|_| reader.u64()).collect::<Result<Vec<u64>, _>>()?;
                if !hashes.is_sorted() {
                    return Err(invalid(reader, "rising hashes"));
                }
                latest.0.insert(time.0, Arc::new(hashes));
            }
        }
        Ok(latest)
    }
}

/// Tells which events of a stream a state has learned already, when the stream is read again after a restore.
///
/// The stream is that which the state was learning: orders and other events in order of `known_at`, with the arrivals that they
/// had then; those of one millisecond may come in another order. It may begin at any time up to [`Position::learned_until`].
/// Labels that were learned by calls are to be learned again from [`Position::known_at`] on, which changes nothing where
/// they were learned before.
///
/// ```
/// # use orderguard_features::{event::Event, extract::Extractor, state::State};
/// fn catch_up(state: &mut State, extractor: &Extractor, stream: &[Event]) {
///     let mut resume = state.resume();
///     for event in stream {
///         if !resume.has_learned(event) {
///             state.learn(extractor, event);
///         }
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Resume {
    position: Position,
    /// How many events of (`known_at`, hash) are still to come again.
    left: BTreeMap<(i64, u64), u32>,
}

impl State {
    /// What tells events that come again from others. O(events of the latest nine milliseconds).
    pub fn resume(&self) -> Resume {
        let mut left = BTreeMap::new();
        for (&time, hashes) in &self.latest.0 {
            for &hash in &**hashes {
                *left.entry((time, hash)).or_default() += 1;
            }
        }
        Resume { position: self.position, left }
    }
}

impl Resume {
    /// Up to when all was learned, but for what shares this millisecond: see [`Position::learned_until`].
    pub fn learned_until(&self) -> Option<UnixMillis> {
        self.position.learned_until()
    }

    /// Whether the state has learned this event: to be asked once for each event of the stream. Of events that are alike in
    /// all that history looks at, as many were learned as this says.
    pub fn has_learned(&mut self, event: &Event) -> bool {
        self.has_learned_content(event.known_at, || event.content_hash())
    }

    /// The same by what the event is hashed by.
    pub(crate) fn has_learned_content(&mut self, known_at: UnixMillis, hash: impl FnOnce() -> u64) -> bool {
        match self.position.learned_until() {
            Some(until) if known_at < until => return true,
            _ if !self.position.has_learned(known_at) => return false,
            _ => {}
        }
        let Some(left) = self.left.get_mut(&(known_at.0, hash())) else { return false };
        let is_left = *left > 0;
        *left = left.saturating_sub(1);
        is_left
    }
}
