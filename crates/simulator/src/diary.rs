//! Everything that was thought out and not told yet, by the day on which the shop learns it.

use std::collections::BTreeMap;

use orderguard_features::kind::EventKind;
use orderguard_features::time::UnixMillis;

use crate::event::{OtherEvent, SimulatedEvent};
use crate::random::Random;

pub(crate) const DAY_SECS: i64 = 86_400;

/// An event with its place in the stream.
pub(crate) struct Entry {
    /// When the shop learns it, then when it happened.
    pub(crate) place: (i64, i64),
    pub(crate) event: SimulatedEvent,
}

/// Events by day. What lies before the stream or after its read-out is dropped.
pub(crate) struct Diary {
    /// Second since 1970 at which the stream starts.
    start: i64,
    read_out: UnixMillis,
    late_share: f64,
    days: BTreeMap<u64, Vec<Entry>>,
}

impl Diary {
    pub(crate) fn new(start: i64, read_out: UnixMillis, late_share: f64) -> Self {
        Self { start, read_out, late_share, days: BTreeMap::new() }
    }

    /// Adds an event that the shop may learn of late, as is usual for its kind.
    pub(crate) fn note(&mut self, mut event: OtherEvent, random: &mut Random) {
        // How many times more often than `late_share` says, and by how many hours on average.
        let (factor, mean_hours) = match event.kind {
            EventKind::Return => (2.5, 30.0),
            EventKind::Review => (2.5, 9.0),
            EventKind::Contact => (1.6, 12.0),
            EventKind::RefundClaim => (1.3, 8.0),
            EventKind::Refund => (1.0, 6.0),
            EventKind::PaymentFailed => (0.5, 0.1),
            _ => (0.25, 0.2),
        };
        if random.chance(self.late_share * factor) {
            event.known_at.0 += 1_000 * (1 + random.exponential(mean_hours * 3_600.0) as i64);
        }
        self.note_known(event);
    }

    /// Adds an event whose `known_at` is settled.
    pub(crate) fn note_known(&mut self, event: OtherEvent) {
        let place = (event.known_at.0, event.time.0);
        self.add(Entry { place, event: SimulatedEvent::Other(Box::new(event)) });
    }

    pub(crate) fn add(&mut self, entry: Entry) {
        let (known_at, time) = entry.place;
        let day = (known_at.div_euclid(1_000) - self.start).div_euclid(DAY_SECS);
        if time.div_euclid(1_000) >= self.start && known_at <= self.read_out.0 {
            self.days.entry(day as u64).or_default().push(entry);
        }
    }

    /// What the shop learns on that day, in order; nothing may be added to it afterwards.
    pub(crate) fn take(&mut self, day: u64) -> Vec<Entry> {
        let mut entries = self.days.remove(&day).unwrap_or_default();
        // The sort is stable: what has the same times stays as it was thought out.
        entries.sort_by_key(|entry| entry.place);
        entries
    }

    /// Whether everything has been taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.days.is_empty()
    }
}
