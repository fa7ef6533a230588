//! Sums of gradients, hessians and rows per bin: the inner loop of the fit.

use crate::binning::{BLOCK, BinnedMatrix};

/// Bins of one feature in a histogram, the missing bin included.
pub(crate) const N_BINS: usize = 256;
/// Entries of one block of features.
pub(crate) const BLOCK_ENTRIES: usize = BLOCK * N_BINS;
/// Rows handled block after block before the next ones, so that their statistics stay in the nearest cache.
const CHUNK: usize = 512;

/// Integer sums over rows: the gradient, then hessian and number of rows in one word (see [`Packing`]). One entry is two
/// words wide, so that a row is added by one vector instruction, and sums never lose a bit.
pub(crate) type Entry = [i64; 2];

/// How hessian and row count share a word in one round: the count in the low `count_bits`, above it the hessian, whose
/// lowest `dropped_bits` were rounded away so that the sum over all rows fits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Packing {
    count_bits: u32,
    dropped_bits: u32,
    gradient_unit: f64,
    hessian_unit: f64,
}

/// What an entry stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sums {
    pub(crate) gradient: f64,
    pub(crate) hessian: f64,
    pub(crate) n_rows: u32,
}

impl Packing {
    /// For up to `n_rows` rows (at most 2^30) whose hessian integers sum to `total_hessian`; units are the values of one step.
    pub(crate) fn new(n_rows: usize, total_hessian: u64, gradient_unit: f64, hessian_unit: f64) -> Self {
        let count_bits = usize::BITS - n_rows.leading_zeros();
        let room = 1_u64 << (63 - count_bits);
        let mut dropped_bits = 0;
        // Rounding adds at most half a step per row.
        while (total_hessian >> dropped_bits) + n_rows as u64 >= room {
            dropped_bits += 1;
        }
        let hessian_unit = hessian_unit * (1_u64 << dropped_bits) as f64;
        Self { count_bits, dropped_bits, gradient_unit, hessian_unit }
    }

    /// The entry of one row.
    #[inline]
    pub(crate) fn entry(self, [gradient, hessian]: [i32; 2]) -> Entry {
        let half = (1_i64 << self.dropped_bits) >> 1;
        [i64::from(gradient), ((i64::from(hessian) + half) >> self.dropped_bits << self.count_bits) | 1]
    }

    /// Number of rows of an entry.
    #[inline]
    pub(crate) fn n_rows(self, entry: Entry) -> u32 {
        (entry[1] & ((1 << self.count_bits) - 1)) as u32
    }

    /// The sums in an entry, in real units.
    #[inline]
    pub(crate) fn sums(self, entry: Entry) -> Sums {
        Sums {
            gradient: entry[0] as f64 * self.gradient_unit,
            hessian: (entry[1] >> self.count_bits) as f64 * self.hessian_unit,
            n_rows: self.n_rows(entry),
        }
    }
}

/// `a + b`, component by component.
#[inline]
pub(crate) fn plus(a: Entry, b: Entry) -> Entry {
    [a[0] + b[0], a[1] + b[1]]
}

/// `a - b`, component by component; `b` sums a subset of the rows of `a`.
#[inline]
pub(crate) fn minus(a: Entry, b: Entry) -> Entry {
    [a[0] - b[0], a[1] - b[1]]
}

/// Sums the given rows into the histogram of the blocks from `first_block` on.
///
/// `rows` increase; `gradients` has one pair per row of the matrix. `out` is blocks x 8 features x 256 bins, zeroed here.
/// O(rows * features).
///
/// # Reference
/// `XGBoost`: A Scalable Tree Boosting System (2016), arXiv:1603.02754, equation 7.
pub(crate) fn build_from_rows(
    binned: &BinnedMatrix,
    first_block: usize,
    rows: &[u32],
    gradients: &[[i32; 2]],
    packing: Packing,
    out: &mut [Entry],
) {
    out.fill([0, 0]);
    let mut entries = [[0, 0]; CHUNK];
    let mut gathered = [0_u64; CHUNK];
    for rows in rows.chunks(CHUNK) {
        let entries = &mut entries[..rows.len()];
        // Rows without a gap are read without looking each up.
        let first = rows[0] as usize;
        let dense = (rows[rows.len() - 1] as usize) - first == rows.len() - 1;
        if dense {
            for (entry, &gradient) in entries.iter_mut().zip(&gradients[first..first + rows.len()]) {
                *entry = packing.entry(gradient);
            }
        } else {
            for (entry, &row) in entries.iter_mut().zip(rows) {
                *entry = packing.entry(gradients[row as usize]);
            }
        }
        let (blocks, _) = out.as_chunks_mut::<BLOCK_ENTRIES>();
        for (i, hist) in blocks.iter_mut().enumerate() {
            let block = first_block + i;
            let words = binned.block(block);
            let n_features = (binned.features().len() - block * BLOCK).min(BLOCK);
            if dense {
                add(hist, n_features, &words[first..first + rows.len()], entries);
            } else {
                // Scattered words are fetched in a loop of their own: it is short enough for the processor to wait for many
                // of them at once.
                let gathered = &mut gathered[..rows.len()];
                for (word, &row) in gathered.iter_mut().zip(rows) {
                    *word = words[row as usize];
                }
                add(hist, n_features, gathered, entries);
            }
        }
    }
}

/// Adds rows to the histogram of one block of which the first `n_features` features are used.
#[inline]
fn add(hist: &mut [Entry; BLOCK_ENTRIES], n_features: usize, words: &[u64], entries: &[Entry]) {
    match n_features {
        1 => add_const::<1>(hist, words, entries),
        2 => add_const::<2>(hist, words, entries),
        3 => add_const::<3>(hist, words, entries),
        4 => add_const::<4>(hist, words, entries),
        5 => add_const::<5>(hist, words, entries),
        6 => add_const::<6>(hist, words, entries),
        7 => add_const::<7>(hist, words, entries),
        _ => add_const::<8>(hist, words, entries),
    }
}

fn add_const<const N: usize>(hist: &mut [Entry; BLOCK_ENTRIES], words: &[u64], entries: &[Entry]) {
    for (&word, entry) in words.iter().zip(entries) {
        for i in 0..N {
            let sum = &mut hist[i * N_BINS + ((word >> (8 * i)) & 255) as usize];
            *sum = plus(*sum, *entry);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use orderguard_features::language::spec::FeatureKind;
    use orderguard_features::matrix::Matrix;
    use proptest::prelude::*;

    /// One feature's histogram, cell by cell.
    pub(crate) fn build_naive(
        binned: &BinnedMatrix,
        column: usize,
        rows: &[u32],
        gradients: &[[i32; 2]],
        packing: Packing,
    ) -> Vec<Entry> {
        let mut hist = vec![[0, 0]; N_BINS];
        for &row in rows {
            let sum = &mut hist[usize::from(binned.bin(row as usize, column))];
            let [gradient, rest] = packing.entry(gradients[row as usize]);
            *sum = [sum[0] + gradient, sum[1] + rest];
        }
        hist
    }

    #[test]
    fn packing_keeps_counts_and_hessians_apart() {
        for (n_rows, hessian) in
            [(1_usize, 1_i32 << 30), (1000, 3), (1 << 20, 1 << 30), (3_000_000, 1_000_001), (1 << 30, 1 << 30)]
        {
            let packing = Packing::new(n_rows, n_rows as u64 * hessian as u64, 1.0, 1.0);
            let one = packing.entry([-7, hessian]);
            let all = packing.sums([one[0] * n_rows as i64, one[1] * n_rows as i64]);
            assert_eq!(all.n_rows as usize, n_rows);
            assert_eq!(all.gradient, -7.0 * n_rows as f64);
            let want = f64::from(hessian) * n_rows as f64;
            assert!((all.hessian - want).abs() <= 1e-3 * want, "{n_rows} {hessian}: {} {want}", all.hessian);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn agrees_with_the_naive_sum_and_parts_add_up(
            n_features in 1_usize..20,
            n_rows in 1_usize..1500,
            keep in 1_u64..5,
            seed in any::<u64>(),
        ) {
            let cell = |i: usize| (crate::numeric::hash3(seed, i as u64, 0) % 40) as f32;
            let matrix = Matrix::from_columns(n_rows, n_features, (0..n_rows * n_features).map(cell).collect());
            let all: Vec<u32> = (0..n_rows as u32).collect();
            let binned = BinnedMatrix::new(&vec![FeatureKind::Numeric; n_features], &[(&matrix, &all)], 255);
            let gradients: Vec<[i32; 2]> = (0..n_rows as u64)
                .map(|i| [crate::numeric::hash3(seed, i, 1) as i32 >> 1, (crate::numeric::hash3(seed, i, 2) >> 34) as i32])
                .collect();
            let total = gradients.iter().map(|g| g[1] as u64).sum();
            let packing = Packing::new(n_rows, total, 1.0, 1.0);
            let rows: Vec<u32> = all.into_iter().filter(|&i| crate::numeric::hash3(seed, 3, u64::from(i)).is_multiple_of(keep)).collect();
            let mut hist = vec![[9, 9]; binned.n_blocks() * BLOCK_ENTRIES];
            build_from_rows(&binned, 0, &rows, &gradients, packing, &mut hist);
            let (left, right) = rows.split_at(rows.len() / 3);
            let mut parts = [hist.clone(), hist.clone()];
            build_from_rows(&binned, 0, left, &gradients, packing, &mut parts[0]);
            build_from_rows(&binned, 0, right, &gradients, packing, &mut parts[1]);
            for column in 0..binned.features().len() {
                let range = column * N_BINS..(column + 1) * N_BINS;
                prop_assert_eq!(&hist[range.clone()], &build_naive(&binned, column, &rows, &gradients, packing)[..]);
                for i in range {
                    prop_assert_eq!(plus(parts[0][i], parts[1][i]), hist[i]);
                    prop_assert_eq!(minus(hist[i], parts[0][i]), parts[1][i]);
                }
            }
        }
    }
}
