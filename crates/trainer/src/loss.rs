//! Gradients and hessians of the log loss, and the draw of the rows that the next tree is grown on.
//!
//! Nearly all orders are honest and soon look so: their gradients are tiny, and a tree hardly changes when one of a hundred
//! such rows stands for all. A row whose gradient `g` is below `easy_row_limit` is therefore drawn with probability
//! `|g| / easy_row_limit` and then counts `easy_row_limit / |g|` times, so that all sums stay right on average. What a draw
//! adds to the variance of a sum of gradients is below `easy_row_limit` times the variance that the labels have anyway: the
//! share of rows drawn follows from that bound, and so the cost of a tree grows with the number of frauds, not of orders.
//!
//! # Reference
//! Ibragimov and Gusev, Minimal Variance Sampling in Stochastic Gradient Boosting (2019), arXiv:1910.13204: there a fixed
//! share is drawn, here the noise is fixed. Ke et al., `LightGBM` (2017), section 3, draws small gradients uniformly.

use rayon::prelude::*;

use crate::binning::BinnedMatrix;
use crate::histogram::{Entry, RowSource, Scale, plus};
use crate::numeric::{from_fixed, hash3, mix32, sigmoid};
use crate::vector::{Kernel, Width};

/// Rows that one task draws from.
const TASK_ROWS: usize = 1 << 14;
/// Rows of one run of the kernel.
const LANES: usize = 256;
/// Largest hessian of the log loss.
const MAX_HESSIAN: f64 = 0.25;
/// Keys that keep the draws for different purposes apart.
const EASY_DRAW: u64 = 1 << 32;
const BAG_DRAW: u64 = 3 << 32;

/// How rows are drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DrawRule {
    /// Rows of smaller weighted gradient are drawn; 0 uses all.
    pub(crate) easy_row_limit: f64,
    /// Share of the rows of a tree, drawn before anything else.
    pub(crate) row_fraction: f64,
    pub(crate) seed: u64,
}

impl DrawRule {
    /// The scale for the statistics of up to `n_rows` rows of at most the given weight.
    pub(crate) fn scale(&self, n_rows: usize, max_weight: f64) -> Scale {
        // A drawn row counts for at most `easy_row_limit` of gradient, and its hessian is below its gradient.
        let max_gradient = max_weight.max(self.easy_row_limit);
        Scale::new(n_rows, max_gradient, (MAX_HESSIAN * max_weight).max(self.easy_row_limit))
    }
}

/// Labels and weights of all rows of a matrix.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Targets<'a> {
    pub(crate) labels: &'a [u8],
    /// None: every row weighs 1.
    pub(crate) weights: Option<&'a [f32]>,
    /// What draws of a row depend on; none: its position.
    pub(crate) keys: Option<&'a [u32]>,
}

/// The rows of one tree; memory is kept from round to round.
pub(crate) struct Drawn {
    width: Width,
    rule: DrawRule,
    scale: Scale,
    /// Positions in the matrix of the rows drawn, and their statistics, at the head of each task's stretch.
    rows: Vec<u32>,
    values: Vec<u64>,
    /// The same without gaps.
    sample_values: Vec<u64>,
    sample_words: Vec<u64>,
    n_rows: usize,
    total: Entry,
    all: bool,
}

impl Drawn {
    pub(crate) fn new(width: Width, rule: DrawRule, scale: Scale) -> Self {
        Self {
            width,
            rule,
            scale,
            rows: Vec::new(),
            values: Vec::new(),
            sample_values: Vec::new(),
            sample_words: Vec::new(),
            n_rows: 0,
            total: [0, 0],
            all: false,
        }
    }

    /// Draws the rows of round `round` among `train_rows` (increasing) and computes their statistics from fixed-point `scores`.
    pub(crate) fn draw(
        &mut self,
        round: usize,
        binned: &BinnedMatrix,
        train_rows: &[u32],
        scores: &[i64],
        targets: Targets<'_>,
    ) {
        let Self { width, rule, scale, .. } = *self;
        self.rows.resize(train_rows.len(), 0);
        self.values.resize(train_rows.len(), 0);
        let kernel = RowKernel {
            scale,
            limit: rule.easy_row_limit,
            key: hash3(rule.seed, EASY_DRAW, round as u64) as u32,
            bag: (rule.row_fraction < 1.0).then(|| {
                let limit = (rule.row_fraction * 4_294_967_296.0) as u32;
                (hash3(rule.seed, BAG_DRAW, round as u64) as u32, limit)
            }),
        };
        let counts: Vec<(usize, Entry)> = train_rows
            .par_chunks(TASK_ROWS)
            .zip(self.rows.par_chunks_mut(TASK_ROWS))
            .zip(self.values.par_chunks_mut(TASK_ROWS))
            .map(|((from, rows), values)| kernel.draw(width, from, scores, targets, rows, values))
            .collect();
        self.n_rows = counts.iter().map(|count| count.0).sum();
        self.total = counts.iter().fold([0, 0], |sum, count| plus(sum, count.1));
        self.all = self.n_rows == binned.n_rows();
        if !self.all {
            self.copy_sample(binned, &counts);
        }
    }

    /// Copies what was drawn side by side: a tree reads its rows many times, and they fit a nearer cache so.
    fn copy_sample(&mut self, binned: &BinnedMatrix, counts: &[(usize, Entry)]) {
        let stride = binned.n_blocks();
        self.sample_values.resize(self.n_rows, 0);
        self.sample_words.resize(self.n_rows * stride, 0);
        let mut jobs = Vec::with_capacity(counts.len());
        let (mut words, mut values) = (self.sample_words.as_mut_slice(), self.sample_values.as_mut_slice());
        for ((&(n, _), rows), from) in counts.iter().zip(self.rows.chunks(TASK_ROWS)).zip(self.values.chunks(TASK_ROWS))
        {
            let (own_words, rest_words) = words.split_at_mut(n * stride);
            let (own_values, rest_values) = values.split_at_mut(n);
            (words, values) = (rest_words, rest_values);
            jobs.push((own_words, own_values, &rows[..n], &from[..n]));
        }
        let all_words = binned.row_words();
        jobs.into_par_iter().for_each(|(words, values, rows, from)| {
            values.copy_from_slice(from);
            // A few words are copied faster where their number is known.
            match stride {
                0 => {}
                1 => copy_words::<1>(all_words, rows, words),
                2 => copy_words::<2>(all_words, rows, words),
                3 => copy_words::<3>(all_words, rows, words),
                4 => copy_words::<4>(all_words, rows, words),
                5 => copy_words::<5>(all_words, rows, words),
                6 => copy_words::<6>(all_words, rows, words),
                7 => copy_words::<7>(all_words, rows, words),
                8 => copy_words::<8>(all_words, rows, words),
                _ => {
                    for (words, &row) in words.chunks_exact_mut(stride).zip(rows) {
                        words.copy_from_slice(&all_words[row as usize * stride..(row as usize + 1) * stride]);
                    }
                }
            }
        });
    }

    /// Number of rows drawn.
    pub(crate) fn len(&self) -> usize {
        self.n_rows
    }

    /// Sum over the rows drawn.
    pub(crate) fn total(&self) -> Entry {
        self.total
    }

    /// Where the histogram kernel reads the rows: position i is the i-th row drawn.
    pub(crate) fn source<'a>(&'a self, binned: &'a BinnedMatrix) -> RowSource<'a> {
        let stride = binned.n_blocks();
        if self.all {
            RowSource { words: binned.row_words(), stride, values: &self.values }
        } else {
            RowSource { words: &self.sample_words, stride, values: &self.sample_values }
        }
    }
}

/// Copies the words of some rows side by side.
fn copy_words<const N: usize>(from: &[u64], rows: &[u32], to: &mut [u64]) {
    let (from, _) = from.as_chunks::<N>();
    let (to, _) = to.as_chunks_mut::<N>();
    for (to, &row) in to.iter_mut().zip(rows) {
        *to = from[row as usize];
    }
}

#[derive(Clone, Copy)]
struct RowKernel {
    scale: Scale,
    limit: f64,
    key: u32,
    /// Key and limit of the draw that comes before.
    bag: Option<(u32, u32)>,
}

/// Statistics and draws of some rows before they are gathered.
struct Lanes {
    keys: [u32; LANES],
    scores: [i64; LANES],
    labels: [u8; LANES],
    weights: [f32; LANES],
    values: [u64; LANES],
    kept: [bool; LANES],
}

impl RowKernel {
    /// Writes the drawn ones of `from` and their statistics to the heads of `rows` and `values`; returns their number and sum.
    fn draw(
        self,
        width: Width,
        from: &[u32],
        scores: &[i64],
        targets: Targets<'_>,
        rows: &mut [u32],
        values: &mut [u64],
    ) -> (usize, Entry) {
        let mut lanes = Lanes {
            keys: [0; LANES],
            scores: [0; LANES],
            labels: [0; LANES],
            weights: [1.0; LANES],
            values: [0; LANES],
            kept: [false; LANES],
        };
        let mut n = 0;
        let mut total = [0, 0];
        for from in from.chunks(LANES) {
            lanes.keys[..from.len()].copy_from_slice(from);
            if let Some(keys) = targets.keys {
                from.iter().zip(&mut lanes.keys).for_each(|(&row, slot)| *slot = keys[row as usize]);
            }
            let first = from[0] as usize;
            if from[from.len() - 1] as usize - first + 1 == from.len() {
                // Rows without a gap.
                let range = first..first + from.len();
                lanes.scores[..from.len()].copy_from_slice(&scores[range.clone()]);
                lanes.labels[..from.len()].copy_from_slice(&targets.labels[range]);
            } else {
                for (i, &row) in from.iter().enumerate() {
                    lanes.scores[i] = scores[row as usize];
                    lanes.labels[i] = targets.labels[row as usize];
                }
            }
            if let Some(weights) = targets.weights {
                from.iter().zip(&mut lanes.weights).for_each(|(&row, slot)| *slot = weights[row as usize]);
            }
            width.run(Compute { kernel: self, lanes: &mut lanes });
            let mut narrow = 0_u64;
            for (i, &row) in from.iter().enumerate() {
                rows[n] = row;
                values[n] = lanes.values[i];
                n += usize::from(lanes.kept[i]);
                narrow = narrow.wrapping_add(if lanes.kept[i] { lanes.values[i] } else { 0 });
            }
            total = plus(total, self.scale.widen(narrow));
        }
        (n, total)
    }
}

struct Compute<'a> {
    kernel: RowKernel,
    lanes: &'a mut Lanes,
}

impl Kernel for Compute<'_> {
    type Output = ();

    /// All lanes are computed, also those that hold rows of an earlier run: loops of fixed length become vector code.
    #[inline(always)]
    fn run(self) {
        let RowKernel { scale, limit, key, bag } = self.kernel;
        let Lanes { keys, scores, labels, weights, values, kept } = self.lanes;
        let chance = if limit > 0.0 { 4_294_967_296.0 / limit } else { f64::INFINITY };
        for i in 0..LANES {
            let p = sigmoid(from_fixed(scores[i]));
            let weight = f64::from(weights[i]);
            let gradient = (p - f64::from(labels[i])) * weight;
            let hessian = p * (1.0 - p) * weight;
            let size = gradient.abs();
            let drawn = mix32(keys[i].wrapping_mul(0x9E37_79B9) ^ key);
            let rarer = limit / size;
            let times = if rarer > 1.0 { rarer } else { 1.0 };
            values[i] = scale.pack(gradient * times, hessian * times, mix32(drawn ^ 0x5851_F42D));
            // Without a limit the chance is infinite, and rows without gradient (infinity times zero) are left out.
            kept[i] = f64::from(drawn) < size * chance;
        }
        if let Some((key, limit)) = bag {
            for i in 0..LANES {
                kept[i] &= mix32(keys[i].wrapping_mul(0x85EB_CA6B) ^ key) < limit;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::to_fixed;
    use orderguard_features::language::spec::FeatureKind;
    use orderguard_features::matrix::Matrix;

    fn matrix(n: usize) -> BinnedMatrix {
        let values = Matrix::from_columns(n, 1, (0..n).map(|i| (i % 9) as f32).collect());
        let rows: Vec<u32> = (0..n as u32).collect();
        BinnedMatrix::new(&[FeatureKind::Numeric], &[(&values, &rows)], 255)
    }

    fn width() -> Width {
        Width::best()
    }

    #[test]
    fn statistics_are_those_of_the_formulas() {
        let raw = [-40.0, -7.0, -1.0, 0.0, 0.3, 6.0, 40.0];
        let rule = DrawRule { easy_row_limit: 0.0, row_fraction: 1.0, seed: 1 };
        let scores: Vec<i64> = raw.iter().map(|&x| to_fixed(x)).collect();
        let rows: Vec<u32> = (0..raw.len() as u32).collect();
        let weights = [0.5, 1.0, 2.0, 3.0, 1.0, 1.0, 1.0];
        for label in [0, 1] {
            let labels = vec![label; raw.len()];
            let targets = Targets { labels: &labels, weights: Some(&weights), keys: None };
            let scale = rule.scale(raw.len(), 3.0);
            let binned = matrix(raw.len());
            let mut drawn = Drawn::new(width(), rule, scale);
            drawn.draw(1, &binned, &rows, &scores, targets);
            let mut at = 0;
            for (i, x) in raw.iter().enumerate() {
                let p = 1.0 / (1.0 + (-x).exp());
                if p == 1.0 && label == 1 {
                    // A fraud that the model is sure of has no gradient left.
                    continue;
                }
                let sums = scale.sums(scale.widen(drawn.source(&binned).values[at]));
                at += 1;
                let weight = f64::from(weights[i]);
                assert!((sums.gradient - (p - f64::from(label)) * weight).abs() <= 4.0 / 131_072.0, "{x}");
                assert!((sums.hessian - p * (1.0 - p) * weight).abs() <= 1.0 / 1024.0, "{x}");
            }
            assert_eq!(at, drawn.len());
        }
    }

    #[test]
    fn a_draw_keeps_sums_right_on_average_and_all_large_gradients() {
        let n = 60_000;
        let binned = matrix(n);
        let rows: Vec<u32> = (0..n as u32).collect();
        let scores: Vec<i64> = (0..n).map(|i| to_fixed(-7.0 + (i % 100) as f64 * 0.04)).collect();
        let labels: Vec<u8> = (0..n).map(|i| u8::from(i % 200 == 0)).collect();
        let targets = Targets { labels: &labels, weights: None, keys: None };
        let sums_of = |easy_row_limit: f64, round: usize| {
            let rule = DrawRule { easy_row_limit, row_fraction: 1.0, seed: 5 };
            let scale = rule.scale(n, 1.0);
            let mut drawn = Drawn::new(width(), rule, scale);
            drawn.draw(round, &binned, &rows, &scores, targets);
            let source = drawn.source(&binned);
            let total = source.values.iter().fold([0, 0], |sum, &value| plus(sum, scale.widen(value)));
            assert_eq!(total, drawn.total());
            assert_eq!(scale.n_rows(total) as usize, drawn.len());
            (scale.sums(total), drawn.len())
        };
        let (all, n_all) = sums_of(0.0, 1);
        assert_eq!(n_all, n);
        let n_rounds = 60;
        let (mut gradient, mut hessian) = (0.0, 0.0);
        for round in 0..n_rounds {
            let (sums, n_drawn) = sums_of(0.1, round);
            assert!(n_drawn < n / 5 && n_drawn > n / 200, "{n_drawn}");
            gradient += sums.gradient / n_rounds as f64;
            hessian += sums.hessian / n_rounds as f64;
        }
        // The variance added is at most the limit times the sum of gradients.
        let deviation = (0.1 * all.hessian / n_rounds as f64).sqrt();
        assert!((gradient - all.gradient).abs() < 4.0 * deviation, "{gradient} {}", all.gradient);
        assert!((hessian - all.hessian).abs() < 4.0 * deviation, "{hessian} {}", all.hessian);
    }

    #[test]
    fn width_and_threads_change_no_bit_and_the_share_is_kept() {
        let n = 50_000;
        let binned = matrix(n);
        let rows: Vec<u32> = (0..n as u32).filter(|row| row % 7 != 3).collect();
        let scores: Vec<i64> = (0..n).map(|i| to_fixed(-6.0 + (i % 977) as f64 * 0.01)).collect();
        let labels: Vec<u8> = (0..n).map(|i| u8::from(i % 97 == 0)).collect();
        let weights: Vec<f32> = (0..n).map(|i| (i % 5) as f32).collect();
        for (weights, max_weight) in [(None, 1.0), (Some(weights.as_slice()), 4.0)] {
            let rule = DrawRule { easy_row_limit: 0.05, row_fraction: 0.7, seed: 3 };
            let scale = rule.scale(n, max_weight);
            let mut wanted = None;
            for width in Width::available() {
                for n_threads in [1, 4] {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
                    let mut drawn = Drawn::new(width, rule, scale);
                    let targets = Targets { labels: &labels, weights, keys: None };
                    pool.install(|| drawn.draw(2, &binned, &rows, &scores, targets));
                    let source = drawn.source(&binned);
                    let found = (source.words.to_vec(), source.values.to_vec(), drawn.total());
                    assert_eq!(wanted.get_or_insert_with(|| found.clone()), &found);
                }
            }
        }
        let rule = DrawRule { easy_row_limit: 0.0, row_fraction: 0.3, seed: 3 };
        let mut drawn = Drawn::new(width(), rule, rule.scale(n, 1.0));
        let targets = Targets { labels: &labels, weights: None, keys: None };
        drawn.draw(2, &binned, &rows, &scores, targets);
        let share = drawn.len() as f64 / rows.len() as f64;
        assert!((share - 0.3).abs() < 0.01, "{share}");
    }
}
