//! The time by which things are too old to be kept.
//!
//! It follows the events, [`BLOCK`] of them behind: after each block it stands at the earliest time of that block. So a few
//! events with a wrong date in the future make nothing look old, and the order of events of one millisecond does not matter.

use crate::container::SectionReader;
use crate::kernel::HistoryError;
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
}
