//! The best split of one node by one feature.

use crate::binning::{FeatureBins, MISSING_BIN};
use crate::histogram::{Entry, Scale, Sums, minus, plus};
use crate::params::CheckedGbtParams;
use crate::vector::{Kernel, Width};

/// Up to so many filled levels are tried one against the rest; more are sorted.
const MAX_ONE_VS_REST: usize = 4;
/// Most levels on the smaller side of a split on sorted levels (`max_cat_threshold` of `LightGBM`).
const MAX_LEVELS_IN_SET: usize = 32;

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
    /// Whether `left_bins` is a set of levels, not a stretch of bins.
    pub(crate) categorical: bool,
    /// Sums over the rows that go left.
    pub(crate) left: Entry,
}

/// What is known of a node before it is split.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Frame {
    pub(crate) total: Entry,
    /// The node's own value as a leaf, before the learning rate.
    pub(crate) value: f64,
    /// What monotone constraints on the way to the node leave for the values below it.
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// One feature's part of a node's histogram.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate<'a> {
    pub(crate) column: usize,
    pub(crate) bins: &'a FeatureBins,
    /// One entry per bin, then that of missing values.
    pub(crate) hist: &'a [Entry],
    /// 1: scores must not fall while the feature rises; -1: must not rise; 0: anything.
    pub(crate) direction: i8,
}

/// What judges a split: the scale of the sums and the parameters that matter here.
#[derive(Clone, Debug)]
pub(crate) struct Judge {
    pub(crate) scale: Scale,
    pub(crate) width: Width,
    l1: f64,
    l2: f64,
    smoothing: f64,
    min_gain: f64,
    min_rows: u32,
    min_hessian: f64,
    max_leaf: f64,
    category_smoothing: f64,
    category_l2: f64,
    min_rows_per_level: u32,
}

/// The sums of one side of a split for the arithmetic of gains.
#[derive(Clone, Copy)]
struct Side {
    gradient: f64,
    hessian: f64,
    n_rows: u32,
}

/// The arithmetic of leaf values and gains, the same for one split and for vectors of them.
#[derive(Clone, Copy)]
struct Arithmetic {
    l1: f64,
    l2: f64,
    smoothing: f64,
    /// Value towards which `smoothing` draws.
    centre: f64,
    low: f64,
    high: f64,
    direction: f64,
    min_rows: u32,
    min_hessian: f64,
}

impl Arithmetic {
    /// The value that lowers the loss most within the bounds; 0 for a leaf without weight.
    #[inline(always)]
    fn value(&self, side: Side) -> f64 {
        let pull = (side.gradient.abs() - self.l1).max(0.0).copysign(-side.gradient);
        let weight = side.hessian + self.l2 + self.smoothing;
        let best = (pull + self.smoothing * self.centre) / weight;
        let best = if weight > 0.0 { best } else { 0.0 };
        let best = if best > self.high { self.high } else { best };
        if best < self.low { self.low } else { best }
    }

    /// Twice the loss reduction that this value brings: G^2 / (H + l2) where nothing but `l2` bounds it.
    #[inline(always)]
    fn score(&self, side: Side, value: f64) -> f64 {
        value * (-2.0 * side.gradient - (side.hessian + self.l2) * value) - 2.0 * self.l1 * value.abs()
    }

    /// The gain of a split into two parts, or minus infinity when it is not allowed.
    #[expect(clippy::needless_bitwise_bool, reason = "without branches it becomes vector code")]
    #[inline(always)]
    fn gain(&self, left: Side, right: Side, parent_score: f64) -> f64 {
        let (left_value, right_value) = (self.value(left), self.value(right));
        let gain = self.score(left, left_value) + self.score(right, right_value) - parent_score;
        let allowed = (left.n_rows >= self.min_rows)
            & (right.n_rows >= self.min_rows)
            & (left.hessian >= self.min_hessian)
            & (right.hessian >= self.min_hessian)
            & (self.direction * (right_value - left_value) >= 0.0);
        if allowed { gain } else { f64::NEG_INFINITY }
    }
}

/// Gains of the splits of a numeric feature after each bin.
struct Gains<'a> {
    arithmetic: Arithmetic,
    left: &'a Prefixes,
    n: usize,
    /// Missing values, when they go left.
    more: Side,
    total: Side,
    parent_score: f64,
    out: &'a mut [f64; 256],
}

/// Sums over all bins up to each one, in real units.
struct Prefixes {
    gradient: [f64; 256],
    hessian: [f64; 256],
    n_rows: [u32; 256],
}

impl Kernel for Gains<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { arithmetic, left, n, more, total, parent_score, out } = self;
        let n = n.min(256);
        let (gradient, hessian, n_rows) = (&left.gradient[..n], &left.hessian[..n], &left.n_rows[..n]);
        for (((out, &gradient), &hessian), &n_rows) in out[..n].iter_mut().zip(gradient).zip(hessian).zip(n_rows) {
            let left = Side {
                gradient: gradient + more.gradient,
                hessian: hessian + more.hessian,
                n_rows: n_rows + more.n_rows,
            };
            let right = Side {
                gradient: total.gradient - left.gradient,
                hessian: total.hessian - left.hessian,
                n_rows: total.n_rows - left.n_rows,
            };
            *out = arithmetic.gain(left, right, parent_score);
        }
    }
}

impl Judge {
    pub(crate) fn new(params: &CheckedGbtParams, scale: Scale, width: Width) -> Self {
        let rows = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self {
            scale,
            width,
            l1: params.l1,
            l2: params.l2,
            smoothing: params.leaf_smoothing,
            min_gain: params.min_gain,
            min_rows: rows(params.min_rows_per_leaf),
            min_hessian: params.min_child_weight,
            max_leaf: params.max_leaf_value,
            category_smoothing: params.category_smoothing,
            category_l2: params.category_l2,
            min_rows_per_level: rows(params.min_rows_per_level),
        }
    }

    /// The root's frame.
    pub(crate) fn root(&self, total: Entry) -> Frame {
        // Nothing stands above the root to draw its value to.
        let frame = Frame { total, value: 0.0, low: -self.max_leaf, high: self.max_leaf };
        let arithmetic = Arithmetic { smoothing: 0.0, ..self.arithmetic(&frame, 0, 0.0) };
        Frame { value: arithmetic.value(self.side(total)), ..frame }
    }

    /// The frames of a node's two children. A split on a feature with a direction leaves values up to the middle of the
    /// children's own to the lower side and from there on to the upper one, so that nothing below can turn the order.
    pub(crate) fn children(&self, frame: &Frame, split: &Split, direction: i8) -> [Frame; 2] {
        let arithmetic = self.arithmetic(frame, 0, 0.0);
        let totals = [split.left, minus(frame.total, split.left)];
        let values = totals.map(|total| arithmetic.value(self.side(total)));
        let middle = f64::midpoint(values[0], values[1]);
        let [mut left, mut right] = [0, 1].map(|i| Frame { total: totals[i], value: values[i], ..*frame });
        match direction {
            1 => (left.high, right.low) = (middle, middle),
            -1 => (left.low, right.high) = (middle, middle),
            _ => {}
        }
        [left, right]
    }

    fn arithmetic(&self, frame: &Frame, direction: i8, more_l2: f64) -> Arithmetic {
        Arithmetic {
            l1: self.l1,
            l2: self.l2 + more_l2,
            smoothing: self.smoothing,
            centre: frame.value,
            low: frame.low,
            high: frame.high,
            direction: f64::from(direction),
            min_rows: self.min_rows,
            min_hessian: self.min_hessian,
        }
    }

    fn side(&self, entry: Entry) -> Side {
        let Sums { gradient, hessian, n_rows } = self.scale.sums(entry);
        Side { gradient, hessian, n_rows }
    }

    /// Gains below this are noise of the arithmetic or unwanted.
    fn least_gain(&self, parent_score: f64) -> f64 {
        self.min_gain.max(parent_score.abs() * 1e-12)
    }

    /// The best split of a node by one feature from its histogram, or none that is allowed and gains enough. Equal gains: the
    /// lowest bin, then missing values on the right. O(bins), for categories O(bins log bins).
    ///
    /// # Reference
    /// `XGBoost`: A Scalable Tree Boosting System (2016), arXiv:1603.02754, equations 5 to 7 and algorithm 3 (missing values);
    /// monotone directions as in scikit-learn's histogram trees.
    pub(crate) fn best_split(&self, candidate: &Candidate<'_>, frame: &Frame) -> Option<Split> {
        match candidate.bins {
            FeatureBins::Numeric { thresholds } => self.best_numeric(thresholds.len(), candidate, frame),
            FeatureBins::Categorical { levels } => self.best_categorical(levels.len(), candidate, frame),
        }
    }

    fn best_numeric(&self, n_thresholds: usize, candidate: &Candidate<'_>, frame: &Frame) -> Option<Split> {
        let (&missing, present) = candidate.hist.split_last()?;
        let arithmetic = self.arithmetic(frame, candidate.direction, 0.0);
        let total = self.side(frame.total);
        let parent_score = arithmetic.score(total, frame.value);
        let mut left = Prefixes { gradient: [0.0; 256], hessian: [0.0; 256], n_rows: [0; 256] };
        let mut sum = [0, 0];
        for (bin, &entry) in present[..n_thresholds].iter().enumerate() {
            sum = plus(sum, entry);
            let sums = self.scale.sums(sum);
            left.gradient[bin] = sums.gradient;
            left.hessian[bin] = sums.hessian;
            left.n_rows[bin] = sums.n_rows;
        }
        let any_missing = self.scale.n_rows(missing) > 0;
        let mut best_gain = self.least_gain(parent_score);
        let mut best: Option<(usize, bool)> = None;
        let mut gains = [0.0; 256];
        for missing_left in [false, true] {
            if missing_left && !any_missing {
                break;
            }
            let more = if missing_left { self.side(missing) } else { Side { gradient: 0.0, hessian: 0.0, n_rows: 0 } };
            let out = &mut gains;
            self.width.run(Gains { arithmetic, left: &left, n: n_thresholds, more, total, parent_score, out });
            for (bin, &gain) in gains[..n_thresholds].iter().enumerate() {
                let equal_and_lower = gain == best_gain && best.is_some_and(|(best_bin, _)| bin < best_bin);
                if gain > best_gain || equal_and_lower {
                    best_gain = gain;
                    best = Some((bin, missing_left));
                }
            }
        }
        let (bin, learned_left) = best?;
        let mut left = present[..=bin].iter().fold([0, 0], |sum, &entry| plus(sum, entry));
        if learned_left {
            left = plus(left, missing);
        }
        let missing_left = if any_missing { learned_left } else { self.larger_is_left(left, frame.total) };
        let mut left_bins = [0; 4];
        (0..=bin as u8).for_each(|bin| insert(&mut left_bins, bin));
        if missing_left {
            insert(&mut left_bins, MISSING_BIN);
        }
        let column = candidate.column;
        Some(Split {
            gain: best_gain,
            column,
            left_bins,
            missing_left,
            last_left_bin: bin as u8,
            categorical: false,
            left,
        })
    }

    fn larger_is_left(&self, left: Entry, total: Entry) -> bool {
        2 * u64::from(self.scale.n_rows(left)) >= u64::from(self.scale.n_rows(total))
    }

    /// Levels sorted by gradient over hessian, split between two neighbours (Fisher 1958: the best of all subsets for the
    /// loss used here); the bin of other levels, and levels with few rows, are always on the right, because a code that was
    /// never seen goes there too.
    fn best_categorical(&self, other: usize, candidate: &Candidate<'_>, frame: &Frame) -> Option<Split> {
        let hist = candidate.hist;
        let mut levels: Vec<(f64, usize)> = Vec::with_capacity(other + 1);
        for (bin, &entry) in hist[..=other].iter().enumerate() {
            let sums = self.scale.sums(entry);
            if sums.n_rows >= self.min_rows_per_level.max(1) {
                let weight = sums.hessian + self.category_smoothing;
                levels.push((if weight > 0.0 { sums.gradient / weight } else { 0.0 }, bin));
            }
        }
        // The sort is stable: equal levels stay in the order of their codes.
        levels.sort_by(|a, b| a.0.total_cmp(&b.0));
        let one_vs_rest = levels.len() <= MAX_ONE_VS_REST;
        let arithmetic = self.arithmetic(frame, 0, if one_vs_rest { 0.0 } else { self.category_l2 });
        let total = self.side(frame.total);
        let parent_score = arithmetic.score(total, arithmetic.value(total));
        let missing = hist[hist.len() - 1];
        let any_missing = self.scale.n_rows(missing) > 0;
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
                let gain = arithmetic.gain(self.side(left), self.side(minus(frame.total, left)), parent_score);
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
            let n_inside = self.scale.n_rows(inside);
            let smaller = (i + 1).min(levels.len() - i - 1);
            if smaller <= MAX_LEVELS_IN_SET && n_inside - rows_at_last >= self.min_rows_per_level {
                consider(&levels[..=i], inside);
                rows_at_last = n_inside;
            }
        }
        let (mut left_bins, learned_left, left) = best?;
        let missing_left = if any_missing { learned_left } else { self.larger_is_left(left, frame.total) };
        if missing_left {
            insert(&mut left_bins, MISSING_BIN);
        }
        let column = candidate.column;
        Some(Split { gain: best_gain, column, left_bins, missing_left, last_left_bin: 0, categorical: true, left })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::GbtParams;
    use proptest::prelude::*;

    fn judge(params: GbtParams, n_rows: usize) -> Judge {
        Judge::new(&params.check().unwrap(), Scale::new(n_rows, 1.0, 0.25), Width::best())
    }

    /// The best split of a node whose feature has no direction.
    fn best(judge: &Judge, bins: &FeatureBins, column: usize, hist: &[Entry], total: Entry) -> Option<Split> {
        judge.best_split(&Candidate { column, bins, hist, direction: 0 }, &judge.root(total))
    }

    fn loose() -> GbtParams {
        GbtParams {
            min_rows_per_leaf: 1,
            min_child_weight: 0.0,
            l2: 1.0,
            max_leaf_value: 30.0,
            leaf_smoothing: 0.0,
            min_rows_per_level: 1,
            ..Default::default()
        }
    }

    /// A histogram of `n_bins` bins and the missing one (255 here) from (bin, gradient, hessian, rows), the statistics in
    /// thousandths.
    fn histogram(judge: &Judge, n_bins: usize, bins: &[(usize, i32, i32, u32)]) -> (Vec<Entry>, Entry) {
        let mut hist = vec![[0, 0]; n_bins + 1];
        let mut total = [0, 0];
        for &(bin, gradient, hessian, n_rows) in bins {
            for _ in 0..n_rows {
                let value = judge.scale.pack(f64::from(gradient) * 1e-3, f64::from(hessian) * 1e-3, 0x8000_8000);
                let entry = judge.scale.widen(value);
                hist[bin.min(n_bins)] = plus(hist[bin.min(n_bins)], entry);
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
                let (hist, total) = histogram(&judge, 255, &bins);
                let split = best(&judge, &numeric(255), 3, &hist, total).unwrap();
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
        let (hist, total) = histogram(&judge, 3, &[(0, 200, 250, 5), (1, 200, 250, 5), (255, -900, 250, 5)]);
        let split = best(&judge, &numeric(3), 0, &hist, total).unwrap();
        assert_eq!((split.last_left_bin, split.missing_left), (1, false));
        assert_eq!(judge.scale.n_rows(split.left), 10);
    }

    #[test]
    fn equal_gains_take_the_lowest_bin_and_small_sides_are_refused() {
        let mut params = loose();
        let symmetric = [(0, -300, 250, 4), (1, 300, 250, 4), (2, -300, 250, 4)];
        let first = judge(params.clone(), 100);
        let (hist, total) = histogram(&first, 4, &symmetric);
        assert_eq!(best(&first, &numeric(4), 0, &hist, total).unwrap().last_left_bin, 0);
        params.min_rows_per_leaf = 5;
        assert_eq!(best(&judge(params.clone(), 100), &numeric(4), 0, &hist, total), None);
        params.min_rows_per_leaf = 4;
        params.min_child_weight = 1.001;
        assert_eq!(best(&judge(params.clone(), 100), &numeric(4), 0, &hist, total), None);
        params.min_child_weight = 1.0;
        assert!(best(&judge(params.clone(), 100), &numeric(4), 0, &hist, total).is_some());
        params.min_gain = 1e6;
        assert_eq!(best(&judge(params, 100), &numeric(4), 0, &hist, total), None);
    }

    #[test]
    fn leaf_values_stay_in_their_bounds() {
        let value = |judge: &Judge, gradient: f64, hessian: f64| {
            let frame = Frame { total: [0, 0], value: 0.0, low: -judge.max_leaf, high: judge.max_leaf };
            judge.arithmetic(&frame, 0, 0.0).value(Side { gradient, hessian, n_rows: 9 })
        };
        let bounded = judge(GbtParams { max_leaf_value: 2.0, l1: 1.0, ..loose() }, 10);
        assert_eq!(value(&bounded, -100.0, 3.0), 2.0);
        assert_eq!(value(&bounded, 5.0, 3.0), -1.0);
        assert_eq!(value(&bounded, 0.5, 3.0), 0.0);
        let weightless = judge(GbtParams { l2: 0.0, ..loose() }, 10);
        assert_eq!(value(&weightless, 0.0, 0.0), 0.0);
    }

    #[test]
    fn smoothing_draws_leaves_to_the_node_above() {
        let judge = judge(GbtParams { leaf_smoothing: 3.0, ..loose() }, 100);
        let (hist, total) = histogram(&judge, 2, &[(0, -500, 250, 8), (1, 100, 250, 8)]);
        let frame = judge.root(total);
        assert!((frame.value - 3.2 / 5.0).abs() < 1e-3, "{}", frame.value);
        let split = best(&judge, &numeric(2), 0, &hist, total).unwrap();
        let [left, right] = judge.children(&frame, &split, 0);
        assert!((left.value - (4.0 + 3.0 * frame.value) / 6.0).abs() < 1e-3, "{}", left.value);
        assert!((right.value - (-0.8 + 3.0 * frame.value) / 6.0).abs() < 1e-3, "{}", right.value);
    }

    #[test]
    fn a_direction_forbids_the_other_order_and_bounds_what_stands_below() {
        let judge = judge(loose(), 100);
        // A score that rises, falls below where it was, and rises again.
        let (hist, total) =
            histogram(&judge, 4, &[(0, 300, 250, 4), (1, -300, 250, 4), (2, 900, 250, 9), (3, 0, 250, 4)]);
        let frame = judge.root(total);
        let split = |direction| {
            let candidate = Candidate { column: 0, bins: &numeric(4), hist: &hist, direction };
            judge.best_split(&candidate, &frame)
        };
        for direction in [-1, 1] {
            let found = split(direction).unwrap();
            let [left, right] = judge.children(&frame, &found, direction);
            assert!(f64::from(direction) * (right.value - left.value) >= 0.0);
            let (lower, upper) = if direction == 1 { (left, right) } else { (right, left) };
            assert!(lower.high == upper.low && lower.value <= lower.high && upper.value >= upper.low);
        }
        assert_eq!(split(0).unwrap().last_left_bin, 1);
        assert_eq!(split(-1).unwrap().last_left_bin, 1);
        assert_ne!(split(1).unwrap().last_left_bin, 1);
    }

    #[test]
    fn the_bin_of_other_levels_never_goes_left() {
        let judge = judge(loose(), 1000);
        let bins = FeatureBins::Categorical { levels: (0..9).collect() };
        for other_gradient in [-300, 300] {
            let mut cells: Vec<_> = (0..9).map(|b| (b, if b % 2 == 0 { -300 } else { 300 }, 250, 3)).collect();
            cells.push((9, other_gradient, 250, 3));
            let (hist, total) = histogram(&judge, 10, &cells);
            let split = best(&judge, &bins, 0, &hist, total).unwrap();
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
                    left = plus(left, hist[n_bins]);
                }
                let (l, r) = (judge.scale.sums(left), judge.scale.sums(minus(total, left)));
                let enough =
                    |s: Sums| s.n_rows as usize >= params.min_rows_per_leaf && s.hessian >= params.min_child_weight;
                if enough(l) && enough(r) {
                    best = f64::max(best, score(l) + score(r) - score(judge.scale.sums(total)));
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
            let (hist, total) = histogram(&judge, 12, &cells);
            let want = best_numeric_naive(&judge, &params, 12, &hist, total);
            match best(&judge, &numeric(12), 0, &hist, total) {
                Some(split) => {
                    prop_assert!((split.gain - want).abs() <= 1e-9 * want.max(1.0), "{} {}", split.gain, want);
                    let members = (0..=255_u8).filter(|&bin| has(&split.left_bins, bin) && (bin < 12 || bin == MISSING_BIN));
                    prop_assert_eq!(members.fold([0, 0], |sum, bin| plus(sum, hist[usize::from(bin).min(12)])), split.left);
                    for width in Width::available() {
                        let other = Judge { width, ..judge.clone() };
                        let found = best(&other, &numeric(12), 0, &hist, total);
                        prop_assert_eq!(found.as_ref(), Some(&split));
                    }
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
            let (hist, total) = histogram(&judge, 6, &cells);
            let score = |e: Entry| { let s = judge.scale.sums(e); s.gradient * s.gradient / s.hessian };
            let mut want = 0.0;
            for subset in 1_u32..63 {
                let left = (0..6).filter(|b| subset >> b & 1 == 1).fold([0, 0], |sum, b| plus(sum, hist[b as usize]));
                let right = minus(total, left);
                if left[1] > 0 && right[1] > 0 {
                    want = f64::max(want, score(left) + score(right) - score(total));
                }
            }
            let bins = FeatureBins::Categorical { levels: (0..5).collect() };
            let found = best(&judge, &bins, 0, &hist, total);
            let gain = found.as_ref().map_or(0.0, |split| split.gain);
            prop_assert!((gain - want).abs() <= 1e-9 * (score(total) + want).max(1.0), "{} {}", gain, want);
            prop_assert!(found.is_none_or(|split| !has(&split.left_bins, 5)));
        }
    }
}
