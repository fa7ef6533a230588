//! From feature values to one byte per cell: which values share a bin, and the binned matrix in the layout that the
//! histogram kernel reads.

use orderguard_features::language::spec::FeatureKind;
use orderguard_features::matrix::Matrix;
use rayon::prelude::*;

use crate::numeric::{between, hash3};

/// The bin of missing values, of every feature.
pub const MISSING_BIN: u8 = 255;
/// Features whose bins stand together in one word of a [`BinnedMatrix`].
pub(crate) const BLOCK: usize = 8;
/// Categorical features give own bins to at most this many levels; the others share one more.
const MAX_OWN_LEVELS: usize = 254;
/// Level codes from here on are in no level set of a model.
const MAX_CODES: usize = 256;
/// Rows that the bins of a numeric feature are chosen from; more rows are sampled.
const SAMPLE_ROWS: usize = 1 << 17;
/// Rows that one task bins.
const TASK_ROWS: usize = 1 << 14;
/// Rows whose words one task makes: few enough for the words to stay in the nearest cache.
const WORD_ROWS: usize = 1 << 9;

/// How the values of one feature fall into bins; missing values always fall into [`MISSING_BIN`].
#[derive(Clone, Debug, PartialEq)]
pub enum FeatureBins {
    /// Bin i holds x when `thresholds[i-1] < x <= thresholds[i]`; the last bin has no upper threshold. The last threshold
    /// is the largest finite number, so that the last bin holds plus infinity alone.
    Numeric {
        /// Strictly increasing, finite, 1 to 254.
        thresholds: Vec<f32>,
    },
    /// The level code `levels[i]` has bin i; all other codes share the bin `levels.len()`.
    Categorical {
        /// Codes below 256 with own bins, increasing, at most 254.
        levels: Vec<u8>,
    },
}

impl FeatureBins {
    /// Chooses the bins of one feature from the given rows, or none when fewer than two bins would be filled.
    ///
    /// Numeric: each distinct value has its bin when there are few enough, else bins hold about equally many rows, while a
    /// value as heavy as a bin stands alone, or with a rest of less than half a bin. Thresholds lie halfway between
    /// neighbouring values. Beyond 131,072 rows one row of each of so many equal stretches is looked at. Categorical: the
    /// most frequent levels have own bins. O(rows).
    pub fn choose(kind: FeatureKind, column: &[f32], rows: &[u32], max_bins: usize) -> Option<Self> {
        match kind {
            FeatureKind::Numeric => choose_numeric(column, rows, max_bins),
            FeatureKind::Categorical { .. } => choose_categorical(column, rows, max_bins),
        }
    }

    /// Number of bins of present values.
    pub fn n_bins(&self) -> usize {
        match self {
            Self::Numeric { thresholds } => thresholds.len() + 1,
            Self::Categorical { levels } => levels.len() + 1,
        }
    }

    /// The bin of one value, by its definition: the slow twin of the binned matrix.
    pub fn bin_naive(&self, x: f32) -> u8 {
        if x.is_nan() {
            return MISSING_BIN;
        }
        match self {
            Self::Numeric { thresholds } => thresholds.iter().filter(|&&t| x > t).count() as u8,
            Self::Categorical { levels } => {
                let found = levels.iter().position(|&level| f32::from(level) == x);
                found.unwrap_or(levels.len()) as u8
            }
        }
    }
}

fn choose_numeric(column: &[f32], rows: &[u32], max_bins: usize) -> Option<FeatureBins> {
    let mut any_missing = false;
    let mut keys = Vec::with_capacity(rows.len().min(SAMPLE_ROWS));
    let mut look_at = |row: u32| {
        let x = column[row as usize];
        if x.is_nan() { any_missing = true } else { keys.push(sort_key(x)) }
    };
    if rows.len() <= SAMPLE_ROWS {
        rows.iter().copied().for_each(look_at);
    } else {
        let start = |i: usize| i * rows.len() / SAMPLE_ROWS;
        for i in 0..SAMPLE_ROWS {
            let stretch = &rows[start(i)..start(i + 1)];
            look_at(stretch[hash3(0, i as u64, 0) as usize % stretch.len()]);
        }
    }
    sort_keys(&mut keys);
    let mut values: Vec<(f32, usize)> = Vec::new();
    for stretch in keys.chunk_by(|a, b| a == b) {
        values.push((from_sort_key(stretch[0]), stretch.len()));
    }
    if values.len() + usize::from(any_missing) < 2 {
        return None;
    }
    if values.last().is_some_and(|last| last.0 == f32::INFINITY) {
        values.pop();
    }
    let mut thresholds = inner_thresholds(&values, max_bins - 1);
    thresholds.push(f32::MAX);
    Some(FeatureBins::Numeric { thresholds })
}

/// The thresholds between at most `max_bins` bins of the sorted distinct values with their counts.
fn inner_thresholds(values: &[(f32, usize)], max_bins: usize) -> Vec<f32> {
    let mut rest_rows: usize = values.iter().map(|v| v.1).sum();
    let mut rest_bins = max_bins;
    let all_fit = values.len() <= max_bins;
    // A value with at least a bin's share of the rows stands alone, and the others share what it leaves.
    let alone_from = rest_rows.div_ceil(max_bins);
    let alone = |i: usize| all_fit || values[i].1 >= alone_from;
    for i in (0..values.len()).filter(|&i| alone(i)) {
        rest_rows -= values[i].1;
        rest_bins -= 1;
    }
    let mut thresholds = Vec::with_capacity(max_bins);
    // Rows in the bin being filled, and those of them that belong to values not standing alone.
    let (mut in_bin, mut light) = (0, 0);
    let mut any_alone = false;
    for i in 0..values.len().saturating_sub(1) {
        in_bin += values[i].1;
        any_alone |= alone(i);
        light += if alone(i) { 0 } else { values[i].1 };
        let share = rest_rows.div_ceil(rest_bins.max(1));
        let full = alone(i) || in_bin >= share || (alone(i + 1) && 2 * in_bin >= share);
        if !full || thresholds.len() + 1 >= max_bins {
            continue;
        }
        let Some(threshold) = between(values[i].0, values[i + 1].0) else { continue };
        thresholds.push(threshold);
        rest_rows -= light;
        rest_bins = rest_bins.saturating_sub(usize::from(!any_alone));
        (in_bin, light, any_alone) = (0, 0, false);
    }
    thresholds
}

fn choose_categorical(column: &[f32], rows: &[u32], max_bins: usize) -> Option<FeatureBins> {
    let mut counts = [0_usize; MAX_CODES];
    let (mut n_other, mut n_missing) = (0_usize, 0_usize);
    for &row in rows {
        let x = column[row as usize];
        let code = x as usize;
        if x.is_nan() {
            n_missing += 1;
        } else if code < MAX_CODES && code as f32 == x {
            counts[code] += 1;
        } else {
            n_other += 1;
        }
    }
    let mut by_count: Vec<u8> = (0..=u8::MAX).filter(|&code| counts[usize::from(code)] > 0).collect();
    let n_filled = by_count.len() + usize::from(n_other > 0) + usize::from(n_missing > 0);
    if n_filled < 2 {
        return None;
    }
    by_count.sort_by_key(|&code| std::cmp::Reverse(counts[usize::from(code)]));
    by_count.truncate(MAX_OWN_LEVELS.min(max_bins - 1));
    by_count.sort_unstable();
    Some(FeatureBins::Categorical { levels: by_count })
}

/// Bits of a number that is not NaN, turned so that they sort like the numbers; minus zero becomes zero.
fn sort_key(x: f32) -> u32 {
    let bits = (x + 0.0).to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

fn from_sort_key(key: u32) -> f32 {
    f32::from_bits(if key >> 31 == 1 { key & !(1 << 31) } else { !key })
}

/// Radix sort by 11, 11 and 10 bits.
fn sort_keys(keys: &mut Vec<u32>) {
    if keys.len() < 2048 {
        keys.sort_unstable();
        return;
    }
    let mut counts = vec![[0_u32; 2048]; 3];
    for &key in keys.iter() {
        for (pass, count) in counts.iter_mut().enumerate() {
            count[(key >> (11 * pass)) as usize & 2047] += 1;
        }
    }
    let mut sorted = vec![0; keys.len()];
    for (pass, count) in counts.iter_mut().enumerate() {
        if count.iter().any(|&c| c as usize == keys.len()) {
            continue;
        }
        let mut at = 0;
        for slot in count.iter_mut() {
            at += std::mem::replace(slot, at);
        }
        for &key in keys.iter() {
            let slot = &mut count[(key >> (11 * pass)) as usize & 2047];
            sorted[*slot as usize] = key;
            *slot += 1;
        }
        std::mem::swap(keys, &mut sorted);
    }
}

/// A feature that the booster may use.
#[derive(Clone, Debug, PartialEq)]
pub struct BinnedFeature {
    /// Position in the feature row.
    pub feature: u32,
    /// Its bins.
    pub bins: FeatureBins,
}

/// Rows x useful features, one byte per cell, in two layouts.
///
/// Row after row, eight features in the bytes of one word (feature 0 in the lowest): the histogram kernel reads eight bins at
/// once, and a row that is drawn is copied as a whole. Column after column: trees are applied to many rows at once.
#[derive(Clone, Debug)]
pub struct BinnedMatrix {
    n_rows: usize,
    features: Vec<BinnedFeature>,
    words: Vec<u64>,
    columns: Vec<u8>,
}

impl BinnedMatrix {
    /// Bins the given rows of a matrix, part after part; bins are chosen from the first part alone. Features with fewer than
    /// two filled bins there (constant, all missing) are left out. Parallel; the same result for any number of threads.
    ///
    /// # Panics
    /// If `kinds` and the matrices disagree about the number of features, or a row is out of range: a caller's bug.
    pub fn new(kinds: &[FeatureKind], parts: &[(&Matrix, &[u32])], max_bins: usize) -> Self {
        for (matrix, _) in parts {
            assert_eq!(matrix.n_features(), kinds.len(), "one kind for each feature");
        }
        let features: Vec<BinnedFeature> = (0..kinds.len())
            .into_par_iter()
            .filter_map(|feature| {
                let (matrix, rows) = parts.first()?;
                let bins = FeatureBins::choose(kinds[feature], matrix.column(feature), rows, max_bins)?;
                Some(BinnedFeature { feature: feature as u32, bins })
            })
            .collect();
        let n_rows = parts.iter().map(|(_, rows)| rows.len()).sum();
        let n_blocks = features.len().div_ceil(BLOCK);
        let mut columns = vec![0_u8; n_rows * features.len()];
        let mut words = vec![0_u64; n_rows * n_blocks];
        if n_rows > 0 && n_blocks > 0 {
            columns.par_chunks_exact_mut(n_rows).zip(&features).for_each(|(bins, feature)| {
                let lookup = Lookup::new(&feature.bins);
                let mut rest = bins;
                for &(matrix, rows) in parts {
                    let (part, after) = rest.split_at_mut(rows.len());
                    rest = after;
                    let column = matrix.column(feature.feature as usize);
                    part.par_chunks_mut(TASK_ROWS)
                        .zip(rows.par_chunks(TASK_ROWS))
                        .for_each(|(bins, rows)| lookup.fill(column, rows, bins));
                }
            });
            words.par_chunks_mut(WORD_ROWS * n_blocks).enumerate().for_each(|(task, words)| {
                let first = task * WORD_ROWS;
                let n = words.len() / n_blocks;
                for (i, column) in columns.chunks_exact(n_rows).enumerate() {
                    let of_block = words.iter_mut().skip(i / BLOCK).step_by(n_blocks);
                    for (word, &bin) in of_block.zip(&column[first..first + n]) {
                        *word |= u64::from(bin) << (8 * (i % BLOCK));
                    }
                }
            });
        }
        Self { n_rows, features, words, columns }
    }

    /// Number of rows, of all parts.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// The features that have a column here.
    pub fn features(&self) -> &[BinnedFeature] {
        &self.features
    }

    /// The bin of one cell; `column` is a position in [`Self::features`].
    pub fn bin(&self, row: usize, column: usize) -> u8 {
        self.column(column)[row]
    }

    /// Words of a row.
    pub(crate) fn n_blocks(&self) -> usize {
        self.features.len().div_ceil(BLOCK)
    }

    /// All words, [`Self::n_blocks`] for each row.
    pub(crate) fn row_words(&self) -> &[u64] {
        &self.words
    }

    /// The bins of one feature, one for each row.
    pub(crate) fn column(&self, column: usize) -> &[u8] {
        &self.columns[column * self.n_rows..(column + 1) * self.n_rows]
    }
}

/// Numbers are looked up by this many leading bits of their sort key: sign, exponent and seven bits of the fraction.
const LOOKUP_BITS: u32 = 16;
/// Up to so many thresholds between numbers of equal leading bits are passed one by one; with more, bins are searched.
const MAX_STEPS: usize = 3;

/// Bins of a feature, prepared for speed.
enum Lookup {
    /// Thresholds, then infinity up to 256 of them; the lowest bin of each stretch of numbers with equal leading bits; and the
    /// most thresholds inside one stretch.
    Numeric { thresholds: Box<[f32; 256]>, first_bin: Box<[u8]>, steps: usize },
    /// The bin of each code, and that of all others.
    Categorical { bin_of_code: Box<[u8; MAX_CODES]>, other: u8 },
}

impl Lookup {
    fn new(bins: &FeatureBins) -> Self {
        match bins {
            FeatureBins::Numeric { thresholds } => {
                let mut padded = Box::new([f32::INFINITY; 256]);
                padded[..thresholds.len()].copy_from_slice(thresholds);
                let mut first_bin = vec![0_u8; 1 << LOOKUP_BITS].into_boxed_slice();
                let (mut filled, mut steps, mut last, mut in_last) = (0, 0, usize::MAX, 0);
                for (bin, &threshold) in thresholds.iter().enumerate() {
                    let own = (sort_key(threshold) >> (32 - LOOKUP_BITS)) as usize;
                    // Stretches up to the threshold's own may hold numbers of this bin, later ones lie above it.
                    if own >= filled {
                        first_bin[filled..=own].fill(bin as u8);
                        filled = own + 1;
                    }
                    in_last = if own == last { in_last + 1 } else { 1 };
                    last = own;
                    steps = steps.max(in_last);
                }
                first_bin[filled..].fill(thresholds.len() as u8);
                Self::Numeric { thresholds: padded, first_bin, steps }
            }
            FeatureBins::Categorical { levels } => {
                let other = levels.len() as u8;
                let mut bin_of_code = Box::new([other; MAX_CODES]);
                for (bin, &level) in levels.iter().enumerate() {
                    bin_of_code[usize::from(level)] = bin as u8;
                }
                Self::Categorical { bin_of_code, other }
            }
        }
    }

    /// Writes the bins of the given rows.
    fn fill(&self, column: &[f32], rows: &[u32], bins: &mut [u8]) {
        match self {
            Self::Numeric { thresholds, first_bin, steps } => match steps {
                0 | 1 => fill_numeric::<1>(thresholds, first_bin, column, rows, bins),
                2..=MAX_STEPS => fill_numeric::<MAX_STEPS>(thresholds, first_bin, column, rows, bins),
                _ => fill_by_search(thresholds, column, rows, bins),
            },
            Self::Categorical { bin_of_code, other } => {
                for (bin, &row) in bins.iter_mut().zip(rows) {
                    let x = column[row as usize];
                    let code = x as usize;
                    *bin = if x.is_nan() {
                        MISSING_BIN
                    } else if code < MAX_CODES && code as f32 == x {
                        bin_of_code[code]
                    } else {
                        *other
                    };
                }
            }
        }
    }
}

fn fill_numeric<const STEPS: usize>(
    thresholds: &[f32; 256],
    first_bin: &[u8],
    column: &[f32],
    rows: &[u32],
    bins: &mut [u8],
) {
    for (bin, &row) in bins.iter_mut().zip(rows) {
        let x = column[row as usize];
        let mut at = first_bin[(sort_key(x) >> (32 - LOOKUP_BITS)) as usize];
        for _ in 0..STEPS {
            at += u8::from(x > thresholds[usize::from(at)]);
        }
        *bin = if x.is_nan() { MISSING_BIN } else { at };
    }
}

/// Binary search in step for several rows, so that they wait for memory together.
fn fill_by_search(thresholds: &[f32; 256], column: &[f32], rows: &[u32], bins: &mut [u8]) {
    const LANES: usize = 8;
    for (bins, rows) in bins.chunks_mut(LANES).zip(rows.chunks(LANES)) {
        let mut x = [0.0; LANES];
        for (x, &row) in x.iter_mut().zip(rows) {
            *x = column[row as usize];
        }
        let mut at = [0_usize; LANES];
        for step in [128, 64, 32, 16, 8, 4, 2, 1] {
            for (at, &x) in at.iter_mut().zip(&x) {
                *at += if x > thresholds[(*at + step - 1) & 255] { step } else { 0 };
            }
        }
        for ((bin, at), x) in bins.iter_mut().zip(at).zip(x) {
            *bin = if x.is_nan() { MISSING_BIN } else { at as u8 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn numeric(values: &[f32], max_bins: usize) -> Option<Vec<f32>> {
        let rows: Vec<u32> = (0..values.len() as u32).collect();
        match FeatureBins::choose(FeatureKind::Numeric, values, &rows, max_bins) {
            Some(FeatureBins::Numeric { thresholds }) => Some(thresholds),
            None => None,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn few_values_get_a_bin_each_halfway_apart() {
        assert_eq!(numeric(&[3.0, 1.0, 1.0, 2.0], 255), Some(vec![1.5, 2.5, f32::MAX]));
        assert_eq!(numeric(&[-1.0, 0.0, -0.0], 255), Some(vec![-0.5, f32::MAX]));
        assert_eq!(numeric(&[f32::NEG_INFINITY, 5.0, f32::INFINITY], 255), Some(vec![f32::MIN, f32::MAX]));
        assert_eq!(numeric(&[1.0, f32::NAN], 255), Some(vec![f32::MAX]));
        for useless in [&[][..], &[f32::NAN; 4], &[2.0; 5], &[0.0, -0.0]] {
            assert_eq!(numeric(useless, 255), None, "{useless:?}");
        }
    }

    #[test]
    fn many_values_share_bins_evenly_and_heavy_ones_stand_alone() {
        let values: Vec<f32> = (0..100_000).map(|i| if i % 2 == 0 { 7.0 } else { i as f32 }).collect();
        let thresholds = numeric(&values, 255).unwrap();
        assert_eq!(thresholds.len(), 254);
        let bins = FeatureBins::Numeric { thresholds };
        let mut counts = [0_usize; 256];
        for &x in &values {
            counts[usize::from(bins.bin_naive(x))] += 1;
        }
        let heavy = usize::from(bins.bin_naive(7.0));
        assert!(counts[heavy] < 50_100, "{}", counts[heavy]);
        for (bin, &count) in counts.iter().enumerate().take(254).skip(2).filter(|(bin, _)| *bin != heavy) {
            assert!((150..=250).contains(&count), "bin {bin}: {count}");
        }
    }

    #[test]
    fn rare_values_far_out_survive_a_sample() {
        // More rows than are looked at: bins stay even to within the noise of the sample.
        let n = 2 * SAMPLE_ROWS + 17;
        let values: Vec<f32> = (0..n).map(|i| ((i * 7919) % n) as f32).collect();
        let thresholds = numeric(&values, 11).unwrap();
        assert_eq!(thresholds.len(), 10);
        for (i, t) in thresholds[..9].iter().enumerate() {
            let want = n as f32 * (i + 1) as f32 / 10.0;
            assert!((t - want).abs() < n as f32 * 0.004, "{i}: {t} {want}");
        }
    }

    #[test]
    fn categories_keep_frequent_levels_below_256() {
        let mut values: Vec<f32> = (0..300).flat_map(|code| vec![code as f32; if code == 9 { 1 } else { 2 }]).collect();
        values.extend([f32::NAN, -1.0, 0.5]);
        let rows: Vec<u32> = (0..values.len() as u32).collect();
        let bins = FeatureBins::choose(FeatureKind::Categorical { n_levels: 299 }, &values, &rows, 255).unwrap();
        let FeatureBins::Categorical { levels } = &bins else { panic!("{bins:?}") };
        assert_eq!(levels.len(), 254);
        assert!(!levels.contains(&9) && levels.contains(&254) && !levels.contains(&255));
        for (x, bin) in
            [(0.0, 0), (9.0, 254), (254.0, 253), (255.0, 254), (299.0, 254), (1e9, 254), (-1.0, 254), (f32::NAN, 255)]
        {
            assert_eq!(bins.bin_naive(x), bin, "{x}");
        }
    }

    fn any_value() -> impl Strategy<Value = f32> {
        prop_oneof![
            4 => prop::sample::select(vec![f32::NAN, -0.0, 0.0, -1.0, 1.0, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN]),
            4 => (-20_i32..20).prop_map(|i| i as f32),
            4 => (0_u32..6).prop_map(|i| f32::from_bits(1.0_f32.to_bits() + i)),
            2 => prop::num::f32::ANY,
        ]
    }

    proptest! {
        #[test]
        fn thresholds_are_sound_and_the_matrix_agrees_with_them(
            values in prop::collection::vec(any_value(), 1..400),
            later in prop::collection::vec(any_value(), 1..50),
            max_bins in 3_usize..=255,
            categorical in any::<bool>(),
        ) {
            let kind = if categorical { FeatureKind::Categorical { n_levels: 20 } } else { FeatureKind::Numeric };
            let train = Matrix::from_columns(values.len(), 1, values.clone());
            let held = Matrix::from_columns(later.len(), 1, later.clone());
            let rows: Vec<u32> = (0..values.len() as u32).rev().collect();
            let later_rows: Vec<u32> = (0..later.len() as u32).collect();
            let binned = BinnedMatrix::new(&[kind], &[(&train, &rows), (&held, &later_rows)], max_bins);
            prop_assert_eq!(binned.n_rows(), values.len() + later.len());
            if let Some(feature) = binned.features().first() {
                prop_assert!(feature.bins.n_bins() <= max_bins);
                if let FeatureBins::Numeric { thresholds } = &feature.bins {
                    prop_assert!(thresholds.windows(2).all(|w| w[0] < w[1]) && thresholds.iter().all(|t| t.is_finite()));
                    prop_assert_eq!(thresholds.last(), Some(&f32::MAX));
                }
                let all = rows.iter().map(|&row| values[row as usize]).chain(later.iter().copied());
                for (position, x) in all.enumerate() {
                    prop_assert_eq!(binned.bin(position, 0), feature.bins.bin_naive(x), "{}", x);
                }
            }
        }

        #[test]
        fn sorting_agrees_with_the_library(values in prop::collection::vec(prop::num::f32::ANY, 0..6000)) {
            let mut want: Vec<f32> = values.iter().copied().filter(|x| !x.is_nan()).map(|x| x + 0.0).collect();
            let mut keys: Vec<u32> = want.iter().copied().map(sort_key).collect();
            sort_keys(&mut keys);
            want.sort_by(f32::total_cmp);
            let sorted: Vec<u32> = keys.into_iter().map(|key| from_sort_key(key).to_bits()).collect();
            prop_assert_eq!(sorted, want.iter().map(|x| x.to_bits()).collect::<Vec<_>>());
        }
    }
}
