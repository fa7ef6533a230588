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

    /// The distance to the parts of a text, one behind the other.
    pub(super) fn distance<const N: usize>(&self, parts: [&[u8]; N]) -> u32 {
        if self.len == 0 {
            return total(parts);
        }
        // Column of the table as differences of +1 and -1 between its cells.
        let (mut plus, mut minus) = (!0_u64, 0_u64);
        let last = 1_u64 << (self.len - 1);
        let mut distance = self.len;
        for &byte in parts.into_iter().flatten() {
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
    pub(super) fn similarity<const N: usize>(&self, parts: [&[u8]; N]) -> f64 {
        let longer = total(parts).max(self.len);
        if longer == 0 { 1.0 } else { 1.0 - f64::from(self.distance(parts)) / f64::from(longer) }
    }
}

fn total<const N: usize>(parts: [&[u8]; N]) -> u32 {
    parts.iter().map(|part| part.len() as u32).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn agrees_with_the_whole_table(a in "[a-d]{0,64}", b in "[a-d]{0,90}") {
            let pattern = Pattern::new(a.as_bytes());
            prop_assert_eq!(pattern.distance([b.as_bytes()]) as usize, strsim::levenshtein(&a, &b));
            let (head, tail) = b.as_bytes().split_at(b.len() / 3);
            let similarity = pattern.similarity([head, tail]);
            prop_assert!((similarity - strsim::normalized_levenshtein(&a, &b)).abs() < 1e-12);
        }
    }
}
