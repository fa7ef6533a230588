//! The best split of one node by one feature, and the partition of the node's rows that carries it out.

use rayon::prelude::*;

use crate::binning::{BLOCK, BinnedMatrix, FeatureBins, MISSING_BIN};
use crate::histogram::{Entry, Packing, Sums, minus, plus};
use crate::params::CheckedGbtParams;

/// Up to so many filled levels are tried one against the rest; more are sorted.
const MAX_ONE_VS_REST: usize = 4;
/// Most levels on the smaller side of a split on sorted levels (`max_cat_threshold` of `LightGBM`).
const MAX_LEVELS_IN_SET: usize = 32;
/// Rows from which the partition of a node is shared among threads.
const PARALLEL_ROWS: usize = 1 << 14;

/// A set of bins: bit `bin % 64` of word `bin / 64`.
pub(crate) type BinSet = [u64; 4];

pub(crate) fn has(set: &BinSet, bin: u8) -> bool {
    set[usize::from(bin) / 64] >> (bin % 64) & 1 == 1
}

fn insert(set: &mut BinSet, bin: u8) {
    set[usize::from(bin) / 64] |= 1 << (bin % 64);
}

/// A way to split a node.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Split {
    /// Loss reduction, twice the difference of the second-order loss as in `LightGBM`; above 0.
    pub(crate) gain: f64,
    /// Position among the binned features.
    pub(crate) column: usize,
    /// What goes left.
    pub(crate) left_bins: BinSet,
    /// Whether missing values go left; also in `left_bins`.
    pub(crate) missing_left: bool,
    /// Last bin on the left of a numeric split.
    pub(crate) last_left_bin: u8,
    /// Sums over the rows that go left.
    pub(crate) left: Entry,
}

/// What judges a split: the packing of this round's sums and the parameters that matter here.
#[derive(Clone, Debug)]
pub(crate) struct Judge {
    pub(crate) packing: Packing,
    l1: f64,
    l2: f64,
    min_gain: f64,
    min_rows: u32,
    min_hessian: f64,
    max_leaf: f64,
    category_smoothing: f64,
    category_l2: f64,
    min_rows_per_level: u32,
}

impl Judge {
    pub(crate) fn new(params: &CheckedGbtParams, packing: Packing) -> Self {
        let rows = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self {
            packing,
            l1: params.l1,
            l2: params.l2,
            min_gain: params.min_gain,
            min_rows: rows(params.min_rows_per_leaf),
            min_hessian: params.min_child_weight,
            max_leaf: params.max_leaf_value,
            category_smoothing: params.category_smoothing,
            category_l2: params.category_l2,
            min_rows_per_level: rows(params.min_rows_per_level),
        }
    }

    /// The gradient after the L1 penalty, negated: the sign of the leaf value.
    #[inline]
    fn pull(&self, gradient: f64) -> f64 {
        // Without a penalty this is the negated gradient itself.
        let shrunk = (gradient.abs() - self.l1).max(0.0);
        if gradient > 0.0 { -shrunk } else { shrunk }
    }

    /// The leaf value that lowers the loss most within the bound, before the learning rate; 0 for a leaf without weight.
    pub(crate) fn leaf_value(&self, sums: Sums) -> f64 {
        let weight = sums.hessian + self.l2;
        if weight > 0.0 { (self.pull(sums.gradient) / weight).clamp(-self.max_leaf, self.max_leaf) } else { 0.0 }
    }

    /// Twice the loss reduction that this leaf value brings: G^2 / (H + l2) while the value is inside its bound.
    #[inline]
    fn score(&self, sums: Sums, l2: f64) -> f64 {
        let pull = self.pull(sums.gradient);
        let weight = sums.hessian + l2;
        if weight <= 0.0 {
            return 0.0;
        }
        let value = (pull / weight).clamp(-self.max_leaf, self.max_leaf);
        value * (2.0 * pull - weight * value)
    }

    #[inline]
    fn allows(&self, sums: Sums) -> bool {
        sums.n_rows >= self.min_rows && sums.hessian >= self.min_hessian
    }

    /// The gain of a split into two parts, or minus infinity when one of them is too small.
    #[inline]
    fn gain(&self, left: Entry, right: Entry, l2: f64, parent_score: f64) -> f64 {
        let (left, right) = (self.packing.sums(left), self.packing.sums(right));
        if self.allows(left) && self.allows(right) {
            self.score(left, l2) + self.score(right, l2) - parent_score
        } else {
            f64::NEG_INFINITY
        }
    }

    /// Gains below this are noise of the arithmetic or unwanted.
    fn least_gain(&self, parent_score: f64) -> f64 {
        self.min_gain.max(parent_score.abs() * 1e-12)
    }

    /// The best split of a node by one feature from its histogram, or none that is allowed and gains enough. Equal gains: the
    /// lowest bin, then missing values on the right. O(bins), for categories O(bins log bins).
    ///
    /// # Reference
    /// `XGBoost`: A Scalable Tree Boosting System (2016), arXiv:1603.02754, equations 5 to 7 and algorithm 3 (missing values).
    pub(crate) fn best_split(&self, bins: &FeatureBins, column: usize, hist: &[Entry], total: Entry) -> Option<Split> {
        match bins {
            FeatureBins::Numeric { thresholds } => self.best_numeric(thresholds.len(), column, hist, total),
            FeatureBins::Categorical { levels } => self.best_categorical(levels.len(), column, hist, total),
        }
    }

    fn best_numeric(&self, n_thresholds: usize, column: usize, hist: &[Entry], total: Entry) -> Option<Split> {
        let parent_score = self.score(self.packing.sums(total), self.l2);
        let missing = hist[usize::from(MISSING_BIN)];
        let any_missing = self.packing.n_rows(missing) > 0;
        let n_total = self.packing.n_rows(total);
        let mut best_gain = self.least_gain(parent_score);
        let mut best: Option<(usize, bool, Entry)> = None;
        let mut present_left = [0, 0];
        for (bin, &entry) in hist[..n_thresholds].iter().enumerate() {
            // A bin without rows makes the same split as the one before it.
            if entry[1] == 0 {
                continue;
            }
            present_left = plus(present_left, entry);
            let n_left = self.packing.n_rows(present_left);
            let n_missing = if any_missing { self.packing.n_rows(missing) } else { 0 };
            if n_left + n_missing < self.min_rows {
                continue;
            }
            if n_total - n_left < self.min_rows {
                break;
            }
            let gain = self.gain(present_left, minus(total, present_left), self.l2, parent_score);
            if gain > best_gain {
                best_gain = gain;
                best = Some((bin, false, present_left));
            }
            if any_missing {
                let left = plus(present_left, missing);
                let gain = self.gain(left, minus(total, left), self.l2, parent_score);
                if gain > best_gain {
                    best_gain = gain;
                    best = Some((bin, true, left));
                }
            }
        }
        let (bin, learned_left, left) = best?;
        let missing_left = if any_missing { learned_left } else { self.larger_is_left(left, total) };
        let mut left_bins = [0; 4];
        (0..=bin as u8).for_each(|bin| insert(&mut left_bins, bin));
        if missing_left {
            insert(&mut left_bins, MISSING_BIN);
        }
        Some(Split { gain: best_gain, column, left_bins, missing_left, last_left_bin: bin as u8, left })
    }

    fn larger_is_left(&self, left: Entry, total: Entry) -> bool {
        2 * u64::from(self.packing.n_rows(left)) >= u64::from(self.packing.n_rows(total))
    }

    /// Levels sorted by gradient over hessian, split between two neighbours (Fisher 1958: the best of all subsets for the
    /// loss used here); the bin of other levels, and levels with few rows, are always on the right, because a code that was
    /// never seen goes there too.
    fn best_categorical(&self, other: usize, column: usize, hist: &[Entry], total: Entry) -> Option<Split> {
        let mut levels: Vec<(f64, usize)> = Vec::with_capacity(other + 1);
        for (bin, &entry) in hist[..=other].iter().enumerate() {
            let sums = self.packing.sums(entry);
            if sums.n_rows >= self.min_rows_per_level.max(1) {
                let weight = sums.hessian + self.category_smoothing;
                levels.push((if weight > 0.0 { sums.gradient / weight } else { 0.0 }, bin));
            }
        }
        // The sort is stable: equal levels stay in the order of their codes.
        levels.sort_by(|a, b| a.0.total_cmp(&b.0));
        let one_vs_rest = levels.len() <= MAX_ONE_VS_REST;
        let l2 = if one_vs_rest { self.l2 } else { self.l2 + self.category_l2 };
        let parent_score = self.score(self.packing.sums(total), l2);
        let missing = hist[usize::from(MISSING_BIN)];
        let any_missing = self.packing.n_rows(missing) > 0;
        let all = levels.iter().fold([0, 0], |sum, level| plus(sum, hist[level.1]));

        let mut best_gain = self.least_gain(parent_score);
        let mut best: Option<(BinSet, bool, Entry)> = None;
        let mut consider = |members: &[(f64, usize)], inside: Entry| {
            let mut set = [0; 4];
            for level in members {
                insert(&mut set, level.1 as u8);
            }
            let mut sums = inside;
            if has(&set, other as u8) {
                // The same cut with the sides exchanged.
                let inverse = set;
                set = [0; 4];
                let outside = levels.iter().filter(|level| !has(&inverse, level.1 as u8));
                for level in outside {
                    insert(&mut set, level.1 as u8);
                }
                sums = minus(all, inside);
            }
            if set == [0; 4] {
                return;
            }
            for missing_left in [false, true] {
                if missing_left && !any_missing {
                    continue;
                }
                let left = if missing_left { plus(sums, missing) } else { sums };
                let gain = self.gain(left, minus(total, left), l2, parent_score);
                if gain > best_gain {
                    best_gain = gain;
                    best = Some((set, missing_left, left));
                }
            }
        };
        if one_vs_rest {
            for level in &levels {
                consider(std::slice::from_ref(level), hist[level.1]);
            }
        }
        let mut inside = [0, 0];
        let mut rows_at_last = 0;
        for (i, level) in levels.iter().enumerate() {
            inside = plus(inside, hist[level.1]);
            let n_inside = self.packing.n_rows(inside);
            let smaller = (i + 1).min(levels.len() - i - 1);
            if smaller <= MAX_LEVELS_IN_SET && n_inside - rows_at_last >= self.min_rows_per_level {
                consider(&levels[..=i], inside);
                rows_at_last = n_inside;
            }
        }
        let (mut left_bins, learned_left, left) = best?;
        let missing_left = if any_missing { learned_left } else { self.larger_is_left(left, total) };
        if missing_left {
            insert(&mut left_bins, MISSING_BIN);
        }
        Some(Split { gain: best_gain, column, left_bins, missing_left, last_left_bin: 0, left })
    }
}

/// Moves the rows that go left before those that go right and returns how many go left; both keep their order.
///
/// ```text
/// rows before   3 8 9 12 20 21      (9 and 20 go left)
/// rows after    9 20 | 3 8 12 21
/// ```
///
/// `scratch` is as long as `rows`. Large nodes are cut into pieces that threads partition alone; the pieces are then joined.
pub(crate) fn partition(
    binned: &BinnedMatrix,
    column: usize,
    left_bins: &BinSet,
    rows: &mut [u32],
    scratch: &mut [u32],
) -> usize {
    let words = binned.block(column / BLOCK);
    let shift = 8 * (column % BLOCK);
    let mut goes_left = [false; 256];
    (0..=u8::MAX).for_each(|bin| goes_left[usize::from(bin)] = has(left_bins, bin));
    let split_piece = |rows: &mut [u32], scratch: &mut [u32]| -> usize {
        // Right rows move forward inside `rows`, never past the reader; left rows wait in `scratch`.
        let (mut n_left, mut n_right) = (0, 0);
        for i in 0..rows.len() {
            let row = rows[i];
            let left = goes_left[(words[row as usize] >> shift) as usize & 255];
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
    use crate::numeric::hash3;
    use crate::params::GbtParams;
    use orderguard_features::language::spec::FeatureKind;
    use orderguard_features::matrix::Matrix;
    use proptest::prelude::*;

    fn judge(params: GbtParams, n_rows: usize) -> Judge {
        Judge::new(&params.check().unwrap(), Packing::new(n_rows, n_rows as u64 * 1000, 1e-3, 1e-3))
    }

    fn loose() -> GbtParams {
        GbtParams {
            min_rows_per_leaf: 1,
            min_child_weight: 0.0,
            l2: 1.0,
            max_leaf_value: 30.0,
            min_rows_per_level: 1,
            ..Default::default()
        }
    }

    /// A histogram from (bin, gradient, hessian, rows).
    fn histogram(judge: &Judge, bins: &[(usize, i32, i32, u32)]) -> (Vec<Entry>, Entry) {
        let mut hist = vec![[0, 0]; 256];
        let mut total = [0, 0];
        for &(bin, gradient, hessian, n_rows) in bins {
            for _ in 0..n_rows {
                let entry = judge.packing.entry([gradient, hessian]);
                hist[bin] = plus(hist[bin], entry);
                total = plus(total, entry);
            }
        }
        (hist, total)
    }

    fn numeric(n_bins: usize) -> FeatureBins {
        FeatureBins::Numeric { thresholds: (0..n_bins - 1).map(|i| i as f32).collect() }
    }

    #[test]
    fn finds_a_split_planted_after_each_bin() {
        for planted in 0..254 {
            for missing in [None, Some(-300), Some(300)] {
                let judge = judge(loose(), 1000);
                let mut bins: Vec<_> = (0..255).map(|b| (b, if b <= planted { -300 } else { 300 }, 250, 2)).collect();
                bins.extend(missing.map(|gradient| (255, gradient, 250, 2)));
                let (hist, total) = histogram(&judge, &bins);
                let split = judge.best_split(&numeric(255), 3, &hist, total).unwrap();
                assert_eq!((usize::from(split.last_left_bin), split.column), (planted, 3));
                let larger_left = planted >= 127;
                assert_eq!(split.missing_left, missing.map_or(larger_left, |gradient| gradient < 0), "{planted}");
                for bin in 0..255 {
                    assert_eq!(has(&split.left_bins, bin), usize::from(bin) <= planted);
                }
                assert_eq!(has(&split.left_bins, MISSING_BIN), split.missing_left);
            }
        }
    }

    #[test]
    fn splits_missing_from_present() {
        let judge = judge(loose(), 100);
        let (hist, total) = histogram(&judge, &[(0, 200, 250, 5), (1, 200, 250, 5), (255, -900, 250, 5)]);
        let split = judge.best_split(&numeric(3), 0, &hist, total).unwrap();
        assert_eq!((split.last_left_bin, split.missing_left), (1, false));
        assert_eq!(judge.packing.n_rows(split.left), 10);
    }

    #[test]
    fn equal_gains_take_the_lowest_bin_and_small_sides_are_refused() {
        let mut params = loose();
        let symmetric = [(0, -300, 250, 4), (1, 300, 250, 4), (2, -300, 250, 4)];
        let first = judge(params.clone(), 100);
        let (hist, total) = histogram(&first, &symmetric);
        assert_eq!(first.best_split(&numeric(4), 0, &hist, total).unwrap().last_left_bin, 0);
        params.min_rows_per_leaf = 5;
        assert_eq!(judge(params.clone(), 100).best_split(&numeric(4), 0, &hist, total), None);
        params.min_rows_per_leaf = 4;
        params.min_child_weight = 1.001;
        assert_eq!(judge(params.clone(), 100).best_split(&numeric(4), 0, &hist, total), None);
        params.min_child_weight = 1.0;
        assert!(judge(params.clone(), 100).best_split(&numeric(4), 0, &hist, total).is_some());
        params.min_gain = 1e6;
        assert_eq!(judge(params, 100).best_split(&numeric(4), 0, &hist, total), None);
    }

    #[test]
    fn leaf_values_stay_in_their_bounds() {
        let sums = |gradient, hessian| Sums { gradient, hessian, n_rows: 9 };
        let bounded = judge(GbtParams { max_leaf_value: 2.0, l1: 1.0, l2: 1.0, ..Default::default() }, 10);
        assert_eq!(bounded.leaf_value(sums(-100.0, 3.0)), 2.0);
        assert_eq!(bounded.leaf_value(sums(5.0, 3.0)), -1.0);
        assert_eq!(bounded.leaf_value(sums(0.5, 3.0)), 0.0);
        let weightless = judge(GbtParams { l2: 0.0, ..Default::default() }, 10);
        assert_eq!(weightless.leaf_value(sums(0.0, 0.0)), 0.0);
    }

    #[test]
    fn the_bin_of_other_levels_never_goes_left() {
        let judge = judge(loose(), 1000);
        let bins = FeatureBins::Categorical { levels: (0..9).collect() };
        for other_gradient in [-300, 300] {
            let mut cells: Vec<_> = (0..9).map(|b| (b, if b % 2 == 0 { -300 } else { 300 }, 250, 3)).collect();
            cells.push((9, other_gradient, 250, 3));
            let (hist, total) = histogram(&judge, &cells);
            let split = judge.best_split(&bins, 0, &hist, total).unwrap();
            let left: Vec<u8> = (0..10).filter(|&bin| has(&split.left_bins, bin)).collect();
            assert_eq!(left, if other_gradient < 0 { vec![1, 3, 5, 7] } else { vec![0, 2, 4, 6, 8] });
        }
    }

    /// Every numeric split that is allowed, written down from the definition.
    fn best_numeric_naive(judge: &Judge, params: &GbtParams, n_bins: usize, hist: &[Entry], total: Entry) -> f64 {
        let score = |s: Sums| s.gradient * s.gradient / (s.hessian + params.l2);
        let mut best = 0.0;
        for last in 0..n_bins - 1 {
            for missing_left in [false, true] {
                let mut left = hist[..=last].iter().fold([0, 0], |sum, &entry| plus(sum, entry));
                if missing_left {
                    left = plus(left, hist[255]);
                }
                let (l, r) = (judge.packing.sums(left), judge.packing.sums(minus(total, left)));
                let enough =
                    |s: Sums| s.n_rows as usize >= params.min_rows_per_leaf && s.hessian >= params.min_child_weight;
                if enough(l) && enough(r) {
                    best = f64::max(best, score(l) + score(r) - score(judge.packing.sums(total)));
                }
            }
        }
        best
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn numeric_search_agrees_with_trying_everything(
            cells in prop::collection::vec((0_usize..12, -900_i32..900, 0_i32..250, 0_u32..6), 1..20),
            any_missing in any::<bool>(),
            min_rows in 1_usize..8,
        ) {
            let params = GbtParams { min_rows_per_leaf: min_rows, min_child_weight: 0.2, ..loose() };
            let judge = judge(params.clone(), 200);
            let cells: Vec<_> = cells
                .into_iter()
                .filter_map(|(bin, g, h, n)| match bin { 11 => any_missing.then_some((255, g, h, n)), bin => Some((bin, g, h, n)) })
                .collect();
            let (hist, total) = histogram(&judge, &cells);
            let want = best_numeric_naive(&judge, &params, 12, &hist, total);
            match judge.best_split(&numeric(12), 0, &hist, total) {
                Some(split) => {
                    prop_assert!((split.gain - want).abs() <= 1e-9 * want.max(1.0), "{} {}", split.gain, want);
                    let members = (0..=255_u8).filter(|&bin| has(&split.left_bins, bin));
                    prop_assert_eq!(members.fold([0, 0], |sum, bin| plus(sum, hist[usize::from(bin)])), split.left);
                }
                None => prop_assert!(want < 1e-9, "{}", want),
            }
        }

        #[test]
        fn categorical_search_finds_the_best_subset(
            cells in prop::collection::vec((0_usize..6, -900_i32..900, 1_i32..250), 1..30),
        ) {
            // Without smoothing, sorting by gradient over hessian finds the best of all subsets (Fisher 1958).
            let params = GbtParams { category_smoothing: 0.0, category_l2: 0.0, l2: 0.0, ..loose() };
            let judge = judge(params, 200);
            let cells: Vec<_> = cells.into_iter().map(|(bin, g, h)| (bin, g, h + 100, 1)).collect();
            let (hist, total) = histogram(&judge, &cells);
            let score = |e: Entry| { let s = judge.packing.sums(e); s.gradient * s.gradient / s.hessian };
            let mut want = 0.0;
            for subset in 1_u32..63 {
                let left = (0..6).filter(|b| subset >> b & 1 == 1).fold([0, 0], |sum, b| plus(sum, hist[b as usize]));
                let right = minus(total, left);
                if left[1] > 0 && right[1] > 0 {
                    want = f64::max(want, score(left) + score(right) - score(total));
                }
            }
            let bins = FeatureBins::Categorical { levels: (0..5).collect() };
            let found = judge.best_split(&bins, 0, &hist, total);
            let gain = found.as_ref().map_or(0.0, |split| split.gain);
            prop_assert!((gain - want).abs() <= 1e-9 * (score(total) + want).max(1.0), "{} {}", gain, want);
            prop_assert!(found.is_none_or(|split| !has(&split.left_bins, 5)));
        }

        #[test]
        fn partition_is_stable_for_any_number_of_threads(n_rows in 1_u32..60_000, keep in 1_u64..4, seed in any::<u64>()) {
            let cell = |i: u32| (hash3(seed, u64::from(i), 0) % 7) as f32;
            let matrix = Matrix::from_columns(n_rows as usize, 1, (0..n_rows).map(cell).collect());
            let all: Vec<u32> = (0..n_rows).collect();
            let binned = BinnedMatrix::new(&[FeatureKind::Numeric], &[(&matrix, &all)], 255);
            prop_assume!(!binned.features().is_empty());
            let rows: Vec<u32> = all.into_iter().filter(|&row| hash3(seed, 1, u64::from(row)).is_multiple_of(keep)).collect();
            let set = [0b101, 0, 0, 0];
            let (mut want, right): (Vec<u32>, Vec<u32>) = rows.iter().partition(|&&row| has(&set, binned.bin(row as usize, 0)));
            let n_left = want.len();
            want.extend(right);
            for n_threads in [1, 2, 4] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
                let (mut moved, mut scratch) = (rows.clone(), vec![0; rows.len()]);
                let found = pool.install(|| partition(&binned, 0, &set, &mut moved, &mut scratch));
                prop_assert_eq!(found, n_left);
                prop_assert_eq!(&moved, &want);
            }
        }
    }
}
