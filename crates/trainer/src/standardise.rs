//! The columns that a linear model is fitted on: clamped, standardised pieces of numeric features and 0/1 indicators.
//!
//! A numeric feature becomes one or several *pieces*: `(clamp(x, low, high) - mean) / scale` between neighbouring knots, so
//! that their weighted sum is a broken line in x (a linear spline in the truncated-line basis), and one more of its
//! [`signed_log`] from end to end. The outermost knots also clamp what lies far outside the training data, and pieces end
//! where they are some standard deviations from their mean. Mean and standard deviation are of the clamped present values.
//! "Missing", "first seen" and category levels are indicators, left at 0/1: the penalty then shrinks rare ones towards 0.
//!
//! Rows are held in parts whose number depends only on the number of rows; all sums run within a part in row order and then
//! over the parts in order, which gives the same bits for any number of threads.

use std::collections::BTreeMap;

use orderguard_features::language::feature::is_first_seen;
use orderguard_features::language::spec::FeatureKind;
use orderguard_inference::linear::signed_log;
use orderguard_inference::model::{LinearModel, LinearTerm};
use rayon::prelude::*;

use crate::samples::Samples;

/// Share of the present values on each side beyond which an outlier is clamped if it lies far away.
const TAIL_SHARE: f64 = 1e-4;
/// "Far away": this many times the distance of the tail quantile from the median, beyond the tail quantile.
const TAIL_REACH: f64 = 4.0;
/// Dense values of a row are padded with zeros to a multiple of this, so that loops over them have no rest.
pub(crate) const DENSE_LANES: usize = 16;
/// Rows in a part at least, and parts at most.
const MIN_PART: usize = 256;
const MAX_PARTS: usize = 32;

/// One standardised piece of a numeric feature.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Piece {
    pub(crate) low: f32,
    pub(crate) high: f32,
    pub(crate) mean: f64,
    pub(crate) scale: f64,
    pub(crate) log: bool,
}

impl Piece {
    /// The arithmetic of [`LinearTerm::Numeric`], in its order.
    fn standardise(&self, x: f32) -> f64 {
        (on_scale(x.clamp(self.low, self.high), self.log) - self.mean) / self.scale
    }
}

fn on_scale(x: f32, log: bool) -> f64 {
    if log { signed_log(x) } else { f64::from(x) }
}

/// What a numeric feature becomes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lines<'a> {
    /// Quantiles of the inner knots, ascending.
    pub(crate) knot_shares: &'a [f64],
    /// Whether its logarithm enters beside it.
    pub(crate) logs: bool,
    /// Standard deviations from the mean at which pieces end; above 0, may be infinite.
    pub(crate) reach: f64,
}

impl Lines<'_> {
    /// One straight line from end to end.
    pub(crate) const STRAIGHT: Self = Lines { knot_shares: &[], logs: false, reach: f64::INFINITY };
}

/// Where a weight stands among all: 0 is the intercept, dense columns follow, then indicators.
type Slot = usize;

/// An indicator column, or none when it is constant in training; several features may share one (an entity is missing, or
/// seen for the first time, for all its features at once), each then gets an equal share of the weight.
#[derive(Clone, Copy, Debug)]
struct Indicator {
    slot: Slot,
    key: u128,
}

#[derive(Clone, Debug)]
enum FeatureColumns {
    Numeric {
        pieces: Vec<(Piece, Slot)>,
        missing: Option<Indicator>,
        first_seen: Option<Indicator>,
        has_first_seen: bool,
    },
    Categorical {
        levels: Vec<Option<Slot>>,
        missing: Option<Indicator>,
    },
}

/// How a row becomes the columns of the fit.
#[derive(Clone, Debug)]
pub(crate) struct Columns {
    features: Vec<FeatureColumns>,
    n_sharing: BTreeMap<u128, usize>,
    /// How many columns there are.
    pub(crate) shape: Shape,
}

/// Columns after the intercept: dense ones first, then indicators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) n_dense: usize,
    pub(crate) n_indicators: usize,
}

impl Shape {
    /// Number of weights, the intercept included.
    pub(crate) fn len(self) -> usize {
        1 + self.n_dense + self.n_indicators
    }

    /// Dense values that a row is stored with.
    pub(crate) fn padded(self) -> usize {
        self.n_dense.next_multiple_of(DENSE_LANES)
    }
}

/// What one pass over a feature finds; the slots come later, feature by feature.
struct Scan {
    pieces: Vec<Piece>,
    missing: Option<u128>,
    first_seen: Option<u128>,
    level_present: Vec<bool>,
}

/// The bits of a row set; equal sets have equal keys. `None` when the set is empty or holds all rows.
fn set_key(member: impl Iterator<Item = bool>) -> Option<u128> {
    let mut words = Vec::new();
    let (mut word, mut n, mut n_set) = (0_u64, 0_usize, 0_usize);
    for bit in member {
        word |= u64::from(bit) << (n % 64);
        n += 1;
        n_set += usize::from(bit);
        if n.is_multiple_of(64) {
            words.extend(word.to_le_bytes());
            word = 0;
        }
    }
    words.extend(word.to_le_bytes());
    (n_set > 0 && n_set < n).then(|| xxhash_rust::xxh3::xxh3_128(&words))
}

/// The code of a level cell; the last one for what is not a known level, as [`LinearTerm::contribution`] reads it.
fn level_code(x: f32, n_levels: usize) -> usize {
    let code = x as u32;
    if code as f32 == x { (code as usize).min(n_levels) } else { n_levels }
}

/// Value at rank `floor(share * (n - 1))`; reorders `values`, which must not be empty.
fn quantile(values: &mut [f32], share: f64) -> f32 {
    let rank = (share * (values.len() - 1) as f64) as usize;
    *values.select_nth_unstable_by(rank, f32::total_cmp).1
}

/// The outermost knots: the extremes, or tail quantiles where the extremes lie far outside. A column that is constant but
/// for a rare tail (a flag set in one order of 100,000) keeps the median of that tail, so the flag is not lost.
fn fences(values: &mut [f32]) -> (f32, f32) {
    let median = quantile(values, 0.5);
    let mut side = |share: f64, up: bool| {
        let tail = quantile(values, share);
        let extreme = if up { quantile(values, 1.0) } else { quantile(values, 0.0) };
        let outside = |x: f32| if up { x > tail } else { x < tail };
        if tail == median {
            let mut beyond: Vec<f32> = values.iter().copied().filter(|&x| outside(x)).collect();
            return if beyond.is_empty() { tail } else { quantile(&mut beyond, 0.5) };
        }
        let reach = f64::from(tail) + TAIL_REACH * (f64::from(tail) - f64::from(median));
        let far = if up { f64::from(extreme) > reach } else { f64::from(extreme) < reach };
        if far { tail } else { extreme }
    };
    (side(TAIL_SHARE, false), side(1.0 - TAIL_SHARE, true))
}

/// Where a feature's line bends, ends included; reorders `values`, which must not be empty. Where most values are one and the
/// same, as counts that are mostly 0, the line bends there, and its other knots are quantiles of the other values: those of all
/// would all be that one value, and a count of 1 could not be told from one of 20.
fn knots(values: &mut [f32], knot_shares: &[f64]) -> Vec<f32> {
    let middle = quantile(values, 0.5);
    let mut others: Vec<f32> = values.iter().copied().filter(|&x| x != middle).collect();
    let is_peak = 2 * others.len() < values.len();
    if is_peak && others.is_empty() {
        return vec![middle];
    }
    let spread = if is_peak { &mut others } else { values };
    let (low, high) = fences(spread);
    let mut knots = vec![low.min(middle), high.max(middle)];
    knots.extend(knot_shares.iter().map(|&share| quantile(spread, share).clamp(low, high)));
    if is_peak && !knot_shares.is_empty() {
        knots.extend([low, middle, high]);
    }
    knots.sort_unstable_by(f32::total_cmp);
    knots.dedup();
    knots
}

fn scan_numeric(cells: &[f32], has_first_seen: bool, lines: Lines<'_>) -> Scan {
    let is_first = |x: f32| has_first_seen && is_first_seen(x);
    let mut finite: Vec<f32> = cells.iter().copied().filter(|&x| x.is_finite() && !is_first(x)).collect();
    let mut pieces = Vec::new();
    if !finite.is_empty() {
        let knots = knots(&mut finite, lines.knot_shares);
        let ends = (knots[0], knots[knots.len() - 1]);
        let present = || cells.iter().copied().filter(|&x| !x.is_nan() && !is_first(x));
        let between = knots.windows(2).map(|ends| ((ends[0], ends[1]), false));
        for ((low, high), log) in between.chain(lines.logs.then_some((ends, true))) {
            pieces.extend(measure_piece(&present, low, high, log, lines.reach));
        }
    }
    Scan {
        pieces,
        missing: set_key(cells.iter().map(|x| x.is_nan())),
        first_seen: if has_first_seen { set_key(cells.iter().map(|&x| is_first(x))) } else { None },
        level_present: Vec::new(),
    }
}

/// `None` when the piece is constant on the present values.
fn measure_piece<I: Iterator<Item = f32>>(
    present: &impl Fn() -> I,
    low: f32,
    high: f32,
    log: bool,
    reach: f64,
) -> Option<Piece> {
    let values = || present().map(|x| on_scale(x.clamp(low, high), log));
    let n = values().count() as f64;
    let mean = values().sum::<f64>() / n;
    let scale = (values().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n).sqrt();
    // Mean and scale stay those of all values: measured again, a rare flag would get back the reach that it lost, and with it
    // a weight that the penalty hardly touches.
    let end = |sign: f64| {
        let end = mean + sign * reach * scale;
        (if log { libm::copysign(libm::expm1(end.abs()), end) } else { end }) as f32
    };
    let (low, high) = (low.max(end(-1.0)), high.min(end(1.0)));
    (low < high && scale > 0.0 && scale.is_finite()).then_some(Piece { low, high, mean, scale, log })
}

fn scan_categorical(cells: &[f32], n_levels: usize) -> Scan {
    let mut counts = vec![0_usize; n_levels + 1];
    for &x in cells.iter().filter(|x| !x.is_nan()) {
        counts[level_code(x, n_levels)] += 1;
    }
    Scan {
        pieces: Vec::new(),
        missing: set_key(cells.iter().map(|x| x.is_nan())),
        first_seen: None,
        level_present: counts.iter().map(|&n| n > 0 && n < cells.len()).collect(),
    }
}

/// Hands out columns.
#[derive(Default)]
struct Allocator {
    shape: Shape,
    /// Slot of each distinct set of rows, and how many features share it.
    shared: BTreeMap<u128, (Slot, usize)>,
}

impl Allocator {
    fn dense(&mut self) -> Slot {
        self.shape.n_dense += 1;
        self.shape.n_dense
    }

    /// The number stands for `n_indicators` so far; [`Columns::new`] moves it behind the dense columns at the end.
    fn indicator(&mut self) -> Slot {
        self.shape.n_indicators += 1;
        self.shape.n_indicators
    }

    fn shared_indicator(&mut self, key: Option<u128>) -> Option<Indicator> {
        let key = key?;
        if let Some((slot, n_sharing)) = self.shared.get_mut(&key) {
            *n_sharing += 1;
            return Some(Indicator { slot: *slot, key });
        }
        let slot = self.indicator();
        self.shared.insert(key, (slot, 1));
        Some(Indicator { slot, key })
    }

    /// The indicator in its final place behind the dense columns.
    fn finish(&self, indicator: &mut Option<Indicator>) {
        if let Some(indicator) = indicator {
            indicator.slot += self.shape.n_dense;
        }
    }
}

impl Columns {
    /// Measures the columns on the training rows.
    ///
    /// # Panics
    /// If `kinds` or `has_first_seen` do not have one entry per feature.
    pub(crate) fn new(kinds: &[FeatureKind], has_first_seen: &[bool], lines: Lines<'_>, train: &Samples) -> Self {
        assert_eq!(kinds.len(), train.matrix.n_features(), "one kind per feature");
        assert_eq!(has_first_seen.len(), train.matrix.n_features(), "one first-seen flag per feature");
        let scans: Vec<Scan> = (0..kinds.len())
            .into_par_iter()
            .map(|feature| {
                let column = train.matrix.column(feature);
                let cells: Vec<f32> = train.rows.iter().map(|&row| column[row as usize]).collect();
                match kinds[feature] {
                    FeatureKind::Numeric => scan_numeric(&cells, has_first_seen[feature], lines),
                    FeatureKind::Categorical { n_levels } => scan_categorical(&cells, n_levels as usize),
                }
            })
            .collect();
        let mut slots = Allocator::default();
        let mut features: Vec<FeatureColumns> = scans
            .into_iter()
            .zip(kinds.iter().zip(has_first_seen))
            .map(|(scan, (kind, &has_first_seen))| match kind {
                FeatureKind::Numeric => FeatureColumns::Numeric {
                    pieces: scan.pieces.into_iter().map(|piece| (piece, slots.dense())).collect(),
                    missing: slots.shared_indicator(scan.missing),
                    first_seen: slots.shared_indicator(scan.first_seen),
                    has_first_seen,
                },
                FeatureKind::Categorical { .. } => FeatureColumns::Categorical {
                    levels: scan.level_present.into_iter().map(|present| present.then(|| slots.indicator())).collect(),
                    missing: slots.shared_indicator(scan.missing),
                },
            })
            .collect();
        for feature in &mut features {
            match feature {
                FeatureColumns::Numeric { missing, first_seen, .. } => {
                    slots.finish(missing);
                    slots.finish(first_seen);
                }
                FeatureColumns::Categorical { levels, missing } => {
                    slots.finish(missing);
                    for slot in levels.iter_mut().flatten() {
                        *slot += slots.shape.n_dense;
                    }
                }
            }
        }
        Self {
            features,
            shape: slots.shape,
            n_sharing: slots.shared.into_iter().map(|(key, (_, n))| (key, n)).collect(),
        }
    }

    /// The training rows as columns, in parts.
    pub(crate) fn apply(&self, samples: &Samples) -> Vec<Part> {
        let part_len = samples.len().div_ceil(MAX_PARTS).max(MIN_PART);
        samples
            .rows
            .par_chunks(part_len)
            .zip(samples.labels.par_chunks(part_len))
            .map(|(rows, labels)| self.part(samples, rows, labels))
            .collect()
    }

    fn part(&self, samples: &Samples, rows: &[u32], labels: &[u8]) -> Part {
        let padded = self.shape.padded();
        let mut dense = vec![0.0; padded * rows.len()];
        let mut active: Vec<(u32, u32)> = Vec::new();
        let mut set = |slot: Option<Slot>, i: usize| {
            if let Some(slot) = slot {
                active.push((i as u32, slot as u32));
            }
        };
        for (feature, columns) in self.features.iter().enumerate() {
            let cells = samples.matrix.column(feature);
            match columns {
                FeatureColumns::Numeric { pieces, missing, first_seen, has_first_seen } => {
                    for (i, &row) in rows.iter().enumerate() {
                        let x = cells[row as usize];
                        if x.is_nan() {
                            set(missing.map(|m| m.slot), i);
                        } else if *has_first_seen && is_first_seen(x) {
                            set(first_seen.map(|f| f.slot), i);
                        } else {
                            for (piece, slot) in pieces {
                                dense[i * padded + slot - 1] = piece.standardise(x) as f32;
                            }
                        }
                    }
                }
                FeatureColumns::Categorical { levels, missing } => {
                    for (i, &row) in rows.iter().enumerate() {
                        let x = cells[row as usize];
                        if x.is_nan() {
                            set(missing.map(|m| m.slot), i);
                        } else {
                            set(levels[level_code(x, levels.len() - 1)], i);
                        }
                    }
                }
            }
        }
        active.sort_unstable();
        // Features that share an indicator each named it.
        active.dedup();
        let mut offsets = vec![0; rows.len() + 1];
        for &(i, _) in &active {
            offsets[i as usize + 1] += 1;
        }
        for i in 0..rows.len() {
            offsets[i + 1] += offsets[i];
        }
        let active = active.into_iter().map(|(_, column)| column).collect();
        Part { labels: labels.to_vec(), padded, dense, offsets, active }
    }

    /// Where the weight of a numeric feature's only piece stands; `None` where it has none.
    pub(crate) fn slot_of(&self, feature: usize) -> Option<usize> {
        match &self.features[feature] {
            FeatureColumns::Numeric { pieces, .. } => pieces.first().map(|(_, slot)| *slot),
            FeatureColumns::Categorical { .. } => None,
        }
    }

    /// The model of these weights, the intercept first.
    pub(crate) fn model(&self, weights: &[f64]) -> LinearModel {
        let weight = |slot: &Slot| weights[*slot];
        let share = |i: &Option<Indicator>| i.as_ref().map_or(0.0, |i| weight(&i.slot) / self.n_sharing[&i.key] as f64);
        let mut terms = Vec::new();
        for (feature, columns) in self.features.iter().enumerate() {
            let feature = feature as u32;
            match columns {
                FeatureColumns::Numeric { pieces, missing, first_seen, has_first_seen } => {
                    let (mut missing, mut first_seen) = (share(missing), share(first_seen));
                    let blank = Piece { low: 0.0, high: 0.0, mean: 0.0, scale: 1.0, log: false };
                    let mut used: Vec<(&Piece, f64)> = pieces.iter().map(|(p, s)| (p, weight(s))).collect();
                    used.retain(|(_, w)| *w != 0.0);
                    if used.is_empty() && (missing != 0.0 || first_seen != 0.0) {
                        used.push((&blank, 0.0));
                    }
                    for (piece, weight) in used {
                        terms.push(LinearTerm::Numeric {
                            feature,
                            weight,
                            low: piece.low,
                            high: piece.high,
                            log: piece.log,
                            mean: piece.mean,
                            scale: piece.scale,
                            missing: std::mem::take(&mut missing),
                            first_seen: has_first_seen.then_some(std::mem::take(&mut first_seen)),
                        });
                    }
                }
                FeatureColumns::Categorical { levels, missing } => {
                    let levels: Vec<f64> = levels.iter().map(|s| s.as_ref().map_or(0.0, weight)).collect();
                    let missing = share(missing);
                    if missing != 0.0 || levels.iter().any(|&w| w != 0.0) {
                        terms.push(LinearTerm::Categorical { feature, levels, missing });
                    }
                }
            }
        }
        LinearModel { n_features: self.features.len() as u32, intercept: weights[0], terms }
    }
}

/// A run of training rows as columns: dense values row after row, and for each row its indicators that are 1, ascending.
pub(crate) struct Part {
    pub(crate) labels: Vec<u8>,
    padded: usize,
    dense: Vec<f32>,
    offsets: Vec<u32>,
    active: Vec<u32>,
}

impl Part {
    /// Dense values of row `i`, zeros behind them up to [`Shape::padded`].
    #[inline(always)]
    pub(crate) fn dense(&self, i: usize) -> &[f32] {
        &self.dense[i * self.padded..(i + 1) * self.padded]
    }

    /// Columns of the indicators that are 1 in row `i`.
    #[inline(always)]
    pub(crate) fn active(&self, i: usize) -> &[u32] {
        &self.active[self.offsets[i] as usize..self.offsets[i + 1] as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use orderguard_features::matrix::Matrix;

    #[test]
    fn far_outliers_are_clamped_and_near_ones_are_not() {
        let mut values: Vec<f32> = (0..20_000).map(|i| i as f32).collect();
        assert_eq!(fences(&mut values), (0.0, 19_999.0));
        values.push(1e9);
        let (low, high) = fences(&mut values);
        assert_eq!(low, 0.0);
        assert!(high < 20_000.0, "{high}");
    }

    #[test]
    fn a_rare_flag_keeps_its_width() {
        let mut values = vec![0.0; 100_000];
        values[7] = 1.0;
        assert_eq!(fences(&mut values), (0.0, 1.0));
    }

    #[test]
    fn lines_bend_where_the_values_are_not_where_they_are_all_the_same() {
        let mut counts = vec![0.0; 900];
        counts.extend((1..=100).map(|i| i as f32));
        assert_eq!(knots(&mut counts, &[0.5, 0.9]), [0.0, 1.0, 50.0, 90.0, 100.0]);
        assert_eq!(knots(&mut counts, &[]), [0.0, 100.0]);
        let mut even: Vec<f32> = (0..=100).map(|i| i as f32).collect();
        assert_eq!(knots(&mut even, &[0.5, 0.9]), [0.0, 50.0, 90.0, 100.0]);
    }

    #[test]
    fn pieces_are_standardised_on_present_values() {
        let cells = [f32::NAN, 1.0, 3.0, f32::INFINITY, -1.0, f32::NEG_INFINITY];
        let scan = scan_numeric(&cells, true, Lines::STRAIGHT);
        let piece = &scan.pieces[0];
        // Present: 1, 3, +inf clamped to 3, -inf clamped to 1.
        assert_eq!((piece.low, piece.high, piece.mean, piece.scale), (1.0, 3.0, 2.0, 1.0));
        assert!(scan.missing.is_some() && scan.first_seen.is_some());
        let plain = scan_numeric(&cells, false, Lines::STRAIGHT);
        assert_eq!((plain.pieces[0].low, plain.first_seen), (-1.0, None));
    }

    #[test]
    fn pieces_end_where_values_are_far_from_the_mean() {
        let cells: Vec<f32> = (0..1_000).map(|i| if i == 0 { 100.0 } else { 0.0 }).collect();
        let scan = scan_numeric(&cells, false, Lines { knot_shares: &[], logs: true, reach: 5.0 });
        let [line, log] = &scan.pieces[..] else { panic!("{:?}", scan.pieces) };
        assert!((line.standardise(100.0) - 5.0).abs() < 1e-6 && line.low == 0.0, "{line:?}");
        assert!((log.standardise(100.0) - 5.0).abs() < 1e-6 && log.log, "{log:?}");
        assert!(line.standardise(line.high / 2.0) < 4.9);
    }

    #[test]
    fn constant_and_empty_columns_give_no_piece() {
        for cells in [vec![5.0; 10], vec![f32::NAN; 10], vec![f32::INFINITY; 10], vec![]] {
            let scan = scan_numeric(&cells, false, Lines { knot_shares: &[0.5], logs: true, reach: 5.0 });
            assert_eq!((scan.pieces.len(), scan.missing), (0, None));
        }
    }

    #[test]
    fn equal_indicators_share_one_column() {
        let nan = f32::NAN;
        let matrix = Matrix::from_columns(4, 3, vec![nan, 1.0, 2.0, 3.0, nan, 4.0, 5.0, 4.0, 1.0, nan, 2.0, 3.0]);
        let samples = Samples { matrix: &matrix, rows: &[0, 1, 2, 3], labels: &[0, 1, 0, 1] };
        let columns = Columns::new(&[FeatureKind::Numeric; 3], &[false; 3], Lines::STRAIGHT, &samples);
        assert_eq!(columns.shape, Shape { n_dense: 3, n_indicators: 2 });
        let parts = columns.apply(&samples);
        assert_eq!(parts[0].active(0), [4]);
        assert_eq!(parts[0].active(1), [5]);
        assert!(parts[0].active(2).is_empty());
        assert_eq!(parts[0].dense(0).len(), DENSE_LANES);
    }
}
