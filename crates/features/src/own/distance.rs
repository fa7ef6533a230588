//! Edit distance of a short text to several others: insertions, deletions and replacements of one byte.
//!
//! # Reference
//! Myers: A Fast Bit-Vector Algorithm for Approximate String Matching Based on Dynamic Programming (1999), in the form of
//! Hyyrö (2003) for the distance of whole texts. One step per byte of the other text, whatever the length of the first;
//! `strsim`, which allocates and fills the whole table, is the oracle of the tests.

/// A text of 1 to 64 bytes, prepared for comparisons.
pub(super) struct Pattern {
    /// For each byte value: where it stands in the text.
    places: [u64; 256],
    len: u32,
}

impl Pattern {
    /// Prepares the first 64 bytes of a text.
    pub(super) fn new(text: &[u8]) -> Self {
        let text = &text[..text.len().min(64)];
        let mut places = [0; 256];
        for (at, &byte) in text.iter().enumerate() {
            places[usize::from(byte)] |= 1 << at;
        }
        Self { places, len: text.len() as u32 }
    }

    /// The distance to a text.
    pub(super) fn distance(&self, other: impl Iterator<Item = u8>) -> u32 {
        if self.len == 0 {
            return other.count() as u32;
        }
        // Column of the table as differences of +1 and -1 between its cells.
        let (mut plus, mut minus) = (!0_u64, 0_u64);
        let last = 1_u64 << (self.len - 1);
        let mut distance = self.len;
        for byte in other {
            let equal = self.places[usize::from(byte)];
            let vertical = equal | minus;
            let horizontal = ((equal & plus).wrapping_add(plus) ^ plus) | equal;
            let mut row_plus = minus | !(horizontal | plus);
            let mut row_minus = plus & horizontal;
            distance += u32::from(row_plus & last != 0);
            distance -= u32::from(row_minus & last != 0);
            row_plus = row_plus << 1 | 1;
            row_minus <<= 1;
            plus = row_minus | !(vertical | row_plus);
            minus = row_plus & vertical;
        }
        distance
    }

    /// 1 for equal texts, 0 for texts with nothing in common: 1 - distance / length of the longer one.
    pub(super) fn similarity(&self, other: impl Iterator<Item = u8> + Clone) -> f64 {
        let longer = (other.clone().count() as u32).max(self.len);
        if longer == 0 { 1.0 } else { 1.0 - f64::from(self.distance(other)) / f64::from(longer) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn agrees_with_the_whole_table(a in "[a-d]{0,64}", b in "[a-d]{0,90}") {
            let pattern = Pattern::new(a.as_bytes());
            prop_assert_eq!(pattern.distance(b.bytes()) as usize, strsim::levenshtein(&a, &b));
            let similarity = pattern.similarity(b.bytes());
            prop_assert!((similarity - strsim::normalized_levenshtein(&a, &b)).abs() < 1e-12);
        }
    }
}
