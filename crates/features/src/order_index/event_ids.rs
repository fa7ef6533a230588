//! The identifiers of recent events, so that nothing is learned twice.

#[cfg(doc)]
use super::OrderIndex;
use crate::identity::OrderId;
use crate::recent::{Place, Recent, Row};
use crate::shards::Shards;
use crate::state::order_memory;
use crate::time::{Span, UnixMillis};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) id: OrderId,
    pub(super) known_at: UnixMillis,
}

impl Row for Seen {
    fn id(&self) -> OrderId {
        self.id
    }
    fn known_at(&self) -> UnixMillis {
        self.known_at
    }
}

/// The identifiers of recent events, remembered as long as those of orders.
#[derive(Clone, Debug)]
pub struct EventIds {
    pub(super) seen: Recent<Seen>,
}

impl EventIds {
    /// An empty set; ids are remembered for [`order_memory`] of the label delay.
    pub fn new(label_delay: Span) -> Self {
        Self { seen: Recent::new(order_memory(label_delay), 0) }
    }

    /// Where to look up an id, for doing so side by side with other lookups.
    pub(crate) fn places(&self) -> &Shards<OrderId, Place> {
        self.seen.places()
    }

    /// Number of ids held. Some may be too old to count.
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether an event of this id became known at most the memory before `at`.
    pub fn contains(&self, id: OrderId, at: UnixMillis) -> bool {
        self.seen.get(id, at).is_some()
    }

    /// Remembers an event's id. `false`, and nothing changes, where it is remembered at `known_at`.
    pub fn insert(&mut self, id: OrderId, known_at: UnixMillis) -> bool {
        let is_new = !self.contains(id, known_at);
        if is_new {
            self.seen.insert(Seen { id, known_at }, &[]);
        }
        is_new
    }

    /// Remembers the ids of `n` events, learned in order of `known_at`, that are all different and not remembered otherwise;
    /// `passed` as in [`OrderIndex::extend`].
    pub(crate) fn extend(
        &mut self,
        passed: impl Iterator<Item = UnixMillis>,
        n: usize,
        seen: impl Fn(usize) -> (OrderId, UnixMillis),
    ) {
        let row = |i| {
            let (id, known_at) = seen(i);
            Seen { id, known_at }
        };
        self.seen.extend(passed, n, row, |_, _| {});
    }

    /// The ids that are not too old as of a few ago, with the time when their event became known, by (`known_at`, id).
    pub fn iter(&self) -> impl Iterator<Item = (OrderId, UnixMillis)> {
        self.seen.iter().map(|(seen, _)| (seen.id, seen.known_at))
    }

    /// When the event that was inserted last became known; `None` before the first.
    pub fn last(&self) -> Option<UnixMillis> {
        Some(self.seen.last()).filter(|last| last.0 != i64::MIN)
    }

    /// Bytes held. O(n / 256).
    pub fn memory_bytes(&self) -> usize {
        self.seen.memory_bytes()
    }
}

/// Sets are equal when they answer alike from the last insert on.
impl PartialEq for EventIds {
    fn eq(&self, other: &Self) -> bool {
        self.seen.is_level_with(&other.seen) && self.iter().eq(other.iter())
    }
}
