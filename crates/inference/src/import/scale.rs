//! Leaf values of floating point as fixed-point numbers.

use super::ImportError;
use crate::wide::MAX_WIDE_SCALE_BITS;

/// How far the rounding of all leaves together may move a raw score: a tenth of what is promised, because the library's own
/// sums are rounded too.
const TOLERANCE: f64 = 1e-10;

/// The fewest binary digits after the point with which `n_trees` leaves, each rounded to the nearest step, stay within
/// [`TOLERANCE`]. `largest` is the sum of the largest leaf of each tree: sums of it must fit into 62 bits.
pub(super) fn scale_bits(n_trees: usize, largest: f64) -> Result<u8, ImportError> {
    let refused = ImportError::Precision { n_trees, largest };
    for bits in 0..=MAX_WIDE_SCALE_BITS {
        let steps = (1u64 << bits) as f64;
        if n_trees as f64 * 0.5 / steps <= TOLERANCE {
            // Half a step per leaf more, and a bit to spare.
            let fits = largest * steps + n_trees as f64 <= (1u64 << 61) as f64;
            return if fits { Ok(bits) } else { Err(refused) };
        }
    }
    Err(refused)
}

/// A finite value in steps of 2^-bits, to the nearest; in range where [`scale_bits`] said so.
pub(super) fn to_steps(value: f64, bits: u8) -> i64 {
    libm::rint(value * (1u64 << bits) as f64) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_trees_need_finer_steps_and_large_leaves_are_refused() {
        assert_eq!(scale_bits(1, 1.0), Ok(33));
        assert_eq!(scale_bits(500, 40.0), Ok(42));
        assert_eq!(scale_bits(1, 1e8), Ok(33));
        assert!(matches!(scale_bits(1, 1e9), Err(ImportError::Precision { .. })));
        assert!(matches!(scale_bits(500, f64::INFINITY), Err(ImportError::Precision { .. })));
        assert!(scale_bits(1 << 24, 100.0).is_err_and(|e| e.to_string().contains("16777216 trees")));
        assert_eq!(to_steps(-0.3, 33), -2_576_980_378);
    }
}
