//! The time by which things are too old to be kept.
//!
//! It follows the events, [`BLOCK`] of them behind: after each block it stands at the earliest time of that block. So a few
//! events with a wrong date in the future make nothing look old, and the order of events of one millisecond does not matter.

use crate::container::SectionReader;
use crate::kernel::HistoryError;
use crate::network::{GRACE, KEPT};
use crate::varint::invalid;

/// Events of a block.
pub(crate) const BLOCK: u32 = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlowClock {
    now: i64,
    /// Events of the block that has begun, and the earliest of them.
    n: u32,
    earliest: i64,
}

impl SlowClock {
    /// A clock before all events.
    pub(crate) fn new() -> Self {
        Self { now: i64::MIN, n: 0, earliest: i64::MAX }
    }

    /// Where it stands.
    pub(crate) fn now(&self) -> i64 {
        self.now
    }

    /// Puts it elsewhere.
    pub(crate) fn stand_at(&mut self, now: i64) {
        self.now = now;
    }

    /// Passes an event; whether that completes a block.
    pub(crate) fn pass(&mut self, time: i64) -> bool {
        self.n += 1;
        self.earliest = self.earliest.min(time);
        let is_complete = self.n == BLOCK;
        if is_complete {
            *self = Self { now: self.earliest, ..Self::new() };
        }
        is_complete
    }

    /// Appends 20 bytes.
    pub(crate) fn write_to(&self, out: &mut Vec<u8>) {
        out.extend(self.now.to_le_bytes());
        out.extend(self.n.to_le_bytes());
        out.extend(self.earliest.to_le_bytes());
    }

    /// Reads what [`Self::write_to`] wrote.
    pub(crate) fn read_from(reader: &mut SectionReader<'_>) -> Result<Self, HistoryError> {
        let clock = Self { now: reader.i64()?, n: reader.u32()?, earliest: reader.i64()? };
        if clock.n >= BLOCK || (clock.n == 0 && clock.earliest != i64::MAX) {
            return Err(invalid(reader, "less than a block of events"));
        }
        Ok(clock)
    }
}

/// The slow clock by which entities leave: those of which nothing became known for the 430 days before it are gone.
///
/// Its blocks end with a millisecond, and the next event of another one moves it, so that the events of one millisecond
/// find it where it was. It goes back only when a whole block lies more than [`GRACE`] before it; whatever was gone until
/// then stays gone ([`Self::pass`]), so that nothing depends on what was already taken out of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LifeClock {
    now: i64,
    /// The time of the event that passed last.
    at: i64,
    /// Events of the block that has begun, the earliest and the latest of them.
    n: u32,
    earliest: i64,
    latest: i64,
}

/// The clock was moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moved {
    /// From this time on it stood elsewhere.
    pub(crate) from: i64,
    /// It went back: what was last heard of before this is to be taken out first.
    pub(crate) gone_before: Option<i64>,
}

impl LifeClock {
    /// A clock before all events.
    pub(crate) fn new() -> Self {
        Self { now: i64::MIN, at: i64::MIN, n: 0, earliest: i64::MAX, latest: i64::MIN }
    }

    /// Entities last heard of before this are gone.
    pub(crate) fn horizon(&self) -> i64 {
        self.now.saturating_sub(KEPT)
    }

    /// The same for a reading at a time: the next event of that time would find it so.
    pub(crate) fn horizon_at(&self, time: i64) -> i64 {
        let now = if self.is_due(time) { self.now.max(self.next()) } else { self.now };
        now.saturating_sub(KEPT)
    }

    /// No horizon is later than this one or the time of the last event, less 430 days.
    pub(crate) fn latest_now(&self) -> i64 {
        if self.n > 0 { self.now.max(self.earliest) } else { self.now }
    }

    /// From when on readings find it elsewhere, though no event has moved it yet.
    pub(crate) fn due(&self) -> Option<(i64, i64)> {
        let from = self.at.saturating_add(1);
        (self.n >= BLOCK).then(|| (from, self.horizon_at(from)))
    }

    /// Passes an event before it is learned.
    #[inline]
    pub(crate) fn pass(&mut self, time: i64) -> Option<Moved> {
        let moved = self.is_due(time).then(|| {
            let (next, horizon) = (self.next(), self.horizon());
            let gone_before = (next < self.now).then_some(horizon);
            let from = if self.at < time { self.at + 1 } else { i64::MIN };
            *self = Self { now: next, ..Self::new() };
            Moved { from, gone_before }
        });
        self.at = time;
        self.n = self.n.saturating_add(1);
        self.earliest = self.earliest.min(time);
        self.latest = self.latest.max(time);
        moved
    }

    fn is_due(&self, time: i64) -> bool {
        self.n >= BLOCK && time != self.at
    }

    fn next(&self) -> i64 {
        let is_back = self.latest < self.now.saturating_sub(GRACE.0);
        if is_back { self.earliest } else { self.now.max(self.earliest) }
    }

    /// Appends 36 bytes.
    pub(crate) fn write_to(&self, out: &mut Vec<u8>) {
        for time in [self.now, self.at, self.earliest, self.latest] {
            out.extend(time.to_le_bytes());
        }
        out.extend(self.n.to_le_bytes());
    }

    /// Reads what [`Self::write_to`] wrote.
    pub(crate) fn read_from(reader: &mut SectionReader<'_>) -> Result<Self, HistoryError> {
        let [now, at, earliest, latest] = [reader.i64()?, reader.i64()?, reader.i64()?, reader.i64()?];
        let clock = Self { now, at, n: reader.u32()?, earliest, latest };
        let is_sound = match clock.n {
            0 => clock == Self::new(),
            _ => (earliest..=latest).contains(&at),
        };
        if is_sound { Ok(clock) } else { Err(invalid(reader, "a block of events with the last of them")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_date_moves_nothing() {
        let mut clock = SlowClock::new();
        assert!((0..63).all(|time| !clock.pass(time)) && clock.now() == i64::MIN);
        assert!(clock.pass(i64::MAX) && clock.now() == 0);
        assert!((100..163).all(|time| !clock.pass(time)));
        let mut out = Vec::new();
        clock.write_to(&mut out);
        let mut reader = SectionReader::new(*b"TEST", &out);
        assert_eq!(SlowClock::read_from(&mut reader), Ok(clock));
        assert!(clock.pass(1 << 50) && clock.now() == 100);
        out[8] = 64;
        assert!(SlowClock::read_from(&mut SectionReader::new(*b"TEST", &out)).is_err());
    }

    #[test]
    fn blocks_of_lives_end_with_a_millisecond() {
        let day = 86_400_000;
        let mut clock = LifeClock::new();
        assert!((0..100).all(|_| clock.pass(1_000 * day).is_none()));
        assert_eq!((clock.horizon(), clock.horizon_at(1_000 * day), clock.due().map(|due| due.1)), {
            (i64::MIN, i64::MIN, Some(570 * day))
        });
        assert_eq!(clock.horizon_at(1_000 * day + 5), 570 * day);
        assert_eq!(clock.pass(1_000 * day + 5), Some(Moved { from: 1_000 * day + 1, gone_before: None }));
        assert_eq!((clock.horizon(), clock.due()), (570 * day, None));
        // A few wrong dates, past or future, move nothing; a whole block of them does.
        assert!((0..62).all(|n| clock.pass(n).is_none()) && clock.pass(i64::MAX).is_none());
        assert_eq!(clock.pass(1), Some(Moved { from: i64::MIN, gone_before: None }));
        assert_eq!(clock.horizon(), 570 * day);
        assert!((2..65).all(|n| clock.pass(n).is_none()));
        assert_eq!(clock.horizon_at(65), 570 * day);
        let mut out = Vec::new();
        clock.write_to(&mut out);
        assert_eq!(LifeClock::read_from(&mut SectionReader::new(*b"TEST", &out)), Ok(clock));
        assert_eq!(clock.pass(65), Some(Moved { from: 65, gone_before: Some(570 * day) }));
        assert_eq!(clock.horizon(), 1 - KEPT);
        out[8] ^= 0x80;
        assert!(LifeClock::read_from(&mut SectionReader::new(*b"TEST", &out)).is_err());
    }
}
