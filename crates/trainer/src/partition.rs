//! The partition of a node's rows that carries out a split.

use rayon::prelude::*;

use crate::binning::BLOCK;
use crate::histogram::RowSource;
use crate::splitting::{BinSet, has};

/// Rows from which the partition of a node is shared among threads.
const PARALLEL_ROWS: usize = 1 << 16;

/// Moves the rows that go left before those that go right and returns how many go left; both keep their order.
///
/// ```text
/// rows before   3 8 9 12 20 21      (9 and 20 go left)
/// rows after    9 20 | 3 8 12 21
/// ```
///
/// `scratch` is as long as `rows`. Large nodes are cut into pieces that threads partition alone; the pieces are then joined.
pub(crate) fn partition(
    source: RowSource<'_>,
    column: usize,
    left_bins: &BinSet,
    rows: &mut [u32],
    scratch: &mut [u32],
) -> usize {
    let RowSource { words, stride, .. } = source;
    let (block, shift) = (column / BLOCK, 8 * (column % BLOCK));
    let mut goes_left = [false; 256];
    (0..=u8::MAX).for_each(|bin| goes_left[usize::from(bin)] = has(left_bins, bin));
    let split_piece = |rows: &mut [u32], scratch: &mut [u32]| -> usize {
        // Right rows move forward inside `rows`, never past the reader; left rows wait in `scratch`.
        let (mut n_left, mut n_right) = (0, 0);
        for i in 0..rows.len() {
            let row = rows[i];
            let left = goes_left[(words[row as usize * stride + block] >> shift) as usize & 255];
            scratch[n_left] = row;
            rows[n_right] = row;
            n_left += usize::from(left);
            n_right += usize::from(!left);
        }
        n_left
    };
    let n_threads = rayon::current_num_threads();
    if rows.len() < PARALLEL_ROWS || n_threads == 1 {
        let n_left = split_piece(rows, scratch);
        let n_right = rows.len() - n_left;
        rows.copy_within(..n_right, n_left);
        rows[..n_left].copy_from_slice(&scratch[..n_left]);
        return n_left;
    }
    let piece = rows.len().div_ceil(n_threads);
    let n_left_of: Vec<usize> = rows
        .par_chunks_mut(piece)
        .zip(scratch.par_chunks_mut(piece))
        .map(|(rows, scratch)| split_piece(rows, scratch))
        .collect();
    let n_left: usize = n_left_of.iter().sum();
    // Left rows are packed at the head of each piece of `scratch`, right rows at the head of each piece of `rows`. The right
    // ones move up from the last piece on, which never overwrites one that is still to be moved.
    let mut right_end = rows.len();
    for (i, n_left) in n_left_of.iter().enumerate().rev() {
        let start = i * piece;
        let n_right = piece.min(rows.len() - start) - n_left;
        rows.copy_within(start..start + n_right, right_end - n_right);
        right_end -= n_right;
    }
    let mut at = 0;
    for (i, &n) in n_left_of.iter().enumerate() {
        rows[at..at + n].copy_from_slice(&scratch[i * piece..i * piece + n]);
        at += n;
    }
    n_left
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binning::BinnedMatrix;
    use crate::numeric::hash3;
    use orderguard_features::language::spec::FeatureKind;
    use orderguard_features::matrix::Matrix;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn partition_is_stable_for_any_number_of_threads(n_rows in 1_u32..140_000, keep in 1_u64..4, seed in any::<u64>()) {
            let cell = |i: u32| (hash3(seed, u64::from(i), 0) % 7) as f32;
            let matrix = Matrix::from_columns(n_rows as usize, 1, (0..n_rows).map(cell).collect());
            let all: Vec<u32> = (0..n_rows).collect();
            let binned = BinnedMatrix::new(&[FeatureKind::Numeric], &[(&matrix, &all)], 255);
            prop_assume!(!binned.features().is_empty());
            let rows: Vec<u32> = all.into_iter().filter(|&row| hash3(seed, 1, u64::from(row)).is_multiple_of(keep)).collect();
            let set = [0b101, 0, 0, 0];
            let source = RowSource { words: binned.row_words(), stride: 1, values: &[] };
            let (mut want, right): (Vec<u32>, Vec<u32>) = rows.iter().partition(|&&row| has(&set, binned.bin(row as usize, 0)));
            let n_left = want.len();
            want.extend(right);
            for n_threads in [1, 2, 4] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
                let (mut moved, mut scratch) = (rows.clone(), vec![0; rows.len()]);
                let found = pool.install(|| partition(source, 0, &set, &mut moved, &mut scratch));
                prop_assert_eq!(found, n_left);
                prop_assert_eq!(&moved, &want);
            }
        }
    }
}
