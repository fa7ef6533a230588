//! What is remembered of one entity, and what its features are at a time: the one kernel of replay and live scoring.
//!
//! A [`Plan`] lists the [`Reading`]s of one entity definition; an [`EntityHistory`] holds what one entity needs for them.
//! Nothing here depends on names, on other entities, on a clock, or on the order in which events of one millisecond are
//! learned.
//!
//! # What a reading sees
//! At time t (the order's own time), the events with `known_at < t`, of the reading's kind, that fulfil all its tests, and
//! whose time lies in the half-open window `[t - delayed - over, t - delayed)`; without `over`, all up to `t - delayed`.
//! Events and labels are to be learned in order of `known_at`, and no order is to be read that became known before them.
//!
//! # Lifetime of an entity
//! An entity of which nothing became known for more than [`ENTITY_LIFETIME`] is first seen again: its events, by when they
//! became known, are cut into *lives* where they lie further apart, and a reading sees the one that had begun last. So an event
//! with a wrong date far in the future is a life of its own and erases nothing, and a life that has ended is still there for
//! orders that become known late: until the ninth newest event of the next life is 430 days after its end, or a state takes out
//! the whole entity 430 days after its last event ([`crate::network::GRACE`]).
//!
//! # Bounds
//! The newest [`Plan::exact_events`] events of an entity, by (time, `known_at`, contents), are exact. Older ones are *folded*: time
//! is cut to the start of a bucket, and events of one bucket and currency become one row, which is known when the last of
//! them was; those that became known within a day of the entity's last event are rows of their own, by 2^20 ms of that time,
//! so that an order which becomes known a day late does not lose what was known before it. With n the time of the entity's ninth
//! newest event ([`AHEAD`] wrong dates in the future move nothing; none with fewer events; of the oldest exact one where
//! fewer than nine are exact) and the window bounds `b_1 < b_2 < ..` of the plan (`delayed +
//! over`), buckets are `2^k <= b_i / 256` ms wide and aligned to the epoch: an event starts in its bucket of `b_1`, and moves on from
//! that of `b_i` to that of `b_i+1` once the bucket's start is older than `n - b_i`. Rows older than n less the retention
//! (the longest bound plus [`LATENESS_ALLOWANCE`] and 2^20 ms) count for lifetimes only. Folded events keep their counts, sums,
//! smallest and largest values and the times of their first and last event; their keys, gaps and places are lost, so that
//! `distinct`, gap variation and speed look at exact events only.
//!
//! All of this is judged by what was known before the order that is read became known: nothing of its own millisecond counts,
//! in whatever order things of one millisecond are read and learned. So a history keeps what it was before the latest millisecond
//! of which something was learned, and lets that move older events only when a later one comes; until then up to twice
//! [`Plan::exact_events`] stand one by one.
//!
//! # Labels
//! An order counts as resolved from `time + label delay` on, or from its first label on if that is earlier; see
//! [`LabelNews`]. At time t it counts as fraud if the last label learned before t says so.

mod bytes;
mod cells;
mod error;
mod folded;
mod history;
mod labels;
mod layout;
mod lives;
mod log;
mod measure;
#[cfg(test)]
mod naive;
mod plain;
mod plan;
mod read;
mod run;
mod seek;
mod standing;
#[cfg(test)]
mod tests;

pub use error::HistoryError;
pub use history::EntityHistory;
pub(crate) use history::Room;
pub use layout::MAX_CELLS;
pub use measure::{pack_place, unpack_place};
pub use plan::{
    DECAY_HALF_LIVES, Input, MAX_INDEX, MAX_READINGS, MAX_SPAN, Measure, Plan, PlanError, Reading, Series, Test, Window,
};
pub use read::Near;
pub(crate) use run::{Next, Run};

use crate::kind::EventKind;
use crate::time::Span;

/// Marks a missing history value.
pub const MISSING: i64 = crate::table::MISSING_I64;

/// An entity of which nothing became known for longer than this is first seen again.
pub const ENTITY_LIFETIME: Span = Span::days(400);

/// How much longer than the longest window rows are kept, so that an order which becomes known this late still sees all of
/// its windows.
pub const LATENESS_ALLOWANCE: Span = Span::DAY;

/// So many events with a wrong date in the future make nothing of an entity look old.
pub const AHEAD: usize = 8;

/// The largest history value, of either sign; larger ones count as this. 2^46 hundredths are 7e11 major units. Sums are of
/// 64 bits and wrap around, so that running totals may: a window's sum is exact below 2^63, which 131,071 of the largest
/// values in one window do not reach.
pub const MAX_VALUE: i64 = 1 << 46;

/// The latest event time, and the earliest with the other sign; those beyond count as this. About two million years.
pub const MAX_TIME: i64 = 1 << 56;

/// An event as one entity remembers it, or the order that is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occurrence<'a> {
    /// When it happened, epoch milliseconds.
    pub time: i64,
    /// When the shop knew of it; earlier than `time` counts as `time`.
    pub known_at: i64,
    /// What happened.
    pub kind: EventKind,
    /// See [`crate::event::currency_code`].
    pub currency: u32,
    /// History values by index: whole numbers in the smallest unit, [`MISSING`] where missing. Those beyond the end are
    /// missing.
    pub values: &'a [i64],
    /// Keys by key source, for distinct counts; 0 where missing. Those beyond the end are missing.
    pub keys: &'a [u64],
}

impl Occurrence<'_> {
    fn value(&self, index: usize) -> i64 {
        match self.values.get(index) {
            Some(&value) if value != MISSING => value.clamp(-MAX_VALUE, MAX_VALUE),
            _ => MISSING,
        }
    }

    /// The value as it came, for those that are no amounts.
    fn raw(&self, index: usize) -> i64 {
        self.values.get(index).copied().unwrap_or(MISSING)
    }

    fn key(&self, index: usize) -> u64 {
        self.keys.get(index).copied().unwrap_or(0)
    }
}

/// A label of one order, as its entities learn it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelNews {
    /// When the order became known.
    pub known_at: i64,
    /// From when on the order counted as resolved before this news: order time + label delay, or its first label's time.
    pub resolved_before: i64,
    /// When this label was learned: not before `known_at`, nor before the order's previous label.
    pub at: i64,
    /// Whether it says fraud.
    pub fraud: bool,
    /// Whether the order's previous label says fraud; false without one.
    pub was_fraud: bool,
}
