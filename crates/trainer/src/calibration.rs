//! Strictly increasing maps from raw score to probability, chosen by cross-fitted log loss.

use std::fmt;

use orderguard_inference::calibrate::{log_odds, probability};
use orderguard_inference::model::Calibration;
use rayon::prelude::*;

use crate::crossfit::{folds_by_group, folds_by_score};
use crate::newton::{log_loss, sigmoid, softplus};

/// Folds of the cross-fit.
pub const N_FOLDS: u8 = 5;
/// From this many frauds on isotonic regression is considered; with fewer it follows noise.
pub const MIN_FRAUDS_ISOTONIC: usize = 200;
/// With fewer orders of either class only the intercept is fitted.
pub const MIN_CLASS_SLOPE: usize = 10;
/// Least slope of a fitted map. Above 0, so that even scores that rank the wrong way round keep distinct probabilities; steep
/// enough for scores that differ by a step of the booster's, 2^-26, to differ in the last bits of the log-odds.
const MIN_WEIGHT: f64 = 1e-3;
/// Largest raw score taken; squares of larger ones would overflow.
const MAX_RAW: f64 = 1e100;
/// Bins of the reliability table, at most.
const N_BINS: usize = 10;

/// A calibration and the evidence for it.
#[derive(Clone, Debug, PartialEq)]
pub struct CalibrationFit {
    /// The chosen map, fitted on all orders given.
    pub calibration: Calibration,
    /// Name and mean cross-fitted log loss of each candidate; empty when there were too few orders to choose.
    pub candidates: Vec<(&'static str, f64)>,
    /// Mean log loss of the raw scores as log-odds.
    pub uncalibrated_log_loss: f64,
    /// Probability of each order by the chosen kind of map fitted without its fold, in the order given.
    pub cross_fitted: Vec<f64>,
    /// Cross-fitted probability against what happened, lowest first.
    pub reliability: Vec<ReliabilityBin>,
    /// What a reader must know, such as that there were too few frauds.
    pub note: Option<String>,
}

/// A stretch of the cross-fitted probabilities. Bins expect about equally many frauds each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReliabilityBin {
    /// Lowest probability in it.
    pub low: f64,
    /// Highest probability in it.
    pub high: f64,
    /// Orders.
    pub n_rows: usize,
    /// Frauds among them.
    pub n_fraud: usize,
    /// Mean probability; the share of frauds should be near.
    pub mean_probability: f64,
}

/// Scores that cannot be calibrated.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum CalibrationError {
    /// Raw scores, labels and groups differ in number.
    LengthMismatch {
        /// Raw scores.
        n_raw: usize,
        /// Labels, or groups.
        n_other: usize,
    },
    /// A raw score is NaN, infinite or beyond 1e100.
    RawScore {
        /// Position.
        row: usize,
        /// The score.
        found: f64,
    },
    /// A label is neither 0 nor 1.
    Label {
        /// Position.
        row: usize,
        /// The label.
        found: u8,
    },
}

impl fmt::Display for CalibrationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LengthMismatch { n_raw, n_other } => {
                write!(f, "calibration: expected a label and a group for each of {n_raw} raw scores, found {n_other}")
            }
            Self::RawScore { row, found } => {
                write!(f, "calibration, row {row}: expected a raw score within 1e100 of 0, found {found}")
            }
            Self::Label { row, found } => write!(f, "calibration, row {row}: expected label 0 or 1, found {found}"),
        }
    }
}

impl std::error::Error for CalibrationError {}

/// Orders of one raw score.
#[derive(Clone, Copy, Debug)]
struct Pool {
    raw: f64,
    n: f64,
    n_fraud: f64,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Platt,
    Beta,
    Isotonic,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Platt => "platt",
            Self::Beta => "beta",
            Self::Isotonic => "isotonic",
        }
    }

    fn fit(self, pools: &[Pool]) -> Calibration {
        match self {
            Self::Platt => fit_platt(pools),
            Self::Beta => fit_beta(pools),
            Self::Isotonic => fit_isotonic(pools),
        }
    }
}

/// Fits Platt scaling, beta calibration and (from [`MIN_FRAUDS_ISOTONIC`] frauds on) isotonic regression, and keeps the one with
/// the lowest log loss over [`N_FOLDS`] folds, the first of equals.
///
/// `raw` are log-odds in any scale; `labels` 1 = fraud. With `groups` all orders of one group share a fold. Neither the
/// order of the rows nor the number of threads changes the map. With fewer than [`MIN_CLASS_SLOPE`] orders of a class only the
/// intercept is fitted, with none the map is the identity on log-odds; `note` says so. O(n log n).
///
/// # Errors
/// See [`CalibrationError`].
/// # Reference
/// Platt (1999) with the targets and the stable form of Lin, Lin and Weng, "A note on Platt's probabilistic outputs"
/// (2007); Kull, Silva Filho and Flach, "Beta calibration" (2017); Oron and Flournoy, "Centered isotonic regression" (2017),
/// whose knots at the centres of the pools leave no flats.
pub fn fit_calibration(
    raw: &[f64],
    labels: &[u8],
    groups: Option<&[u64]>,
    seed: u64,
) -> Result<CalibrationFit, CalibrationError> {
    check(raw, labels, groups)?;
    let mut order: Vec<usize> = (0..raw.len()).collect();
    order.sort_by(|&a, &b| raw[a].total_cmp(&raw[b]).then(labels[a].cmp(&labels[b])));
    let n_fraud = labels.iter().map(|&label| usize::from(label)).sum::<usize>();
    let n_honest = labels.len() - n_fraud;
    let all = pool(&order, raw, labels, |_| true);
    let uncalibrated_log_loss = mean(order.iter().map(|&i| log_loss(raw[i], labels[i])), raw.len());
    let fallback = |calibration: Calibration, note: String| {
        let cross_fitted: Vec<f64> = raw.iter().map(|&x| probability(&calibration, x)).collect();
        let reliability = reliability(&cross_fitted, labels);
        Ok(CalibrationFit {
            calibration,
            candidates: Vec::new(),
            uncalibrated_log_loss,
            cross_fitted,
            reliability,
            note: Some(note),
        })
    };
    if n_fraud == 0 || n_honest == 0 {
        let note =
            format!("not calibrated: {n_fraud} frauds and {n_honest} honest orders; raw scores are taken as log-odds");
        return fallback(Calibration::Platt { slope: 1.0, intercept: 0.0 }, note);
    }
    if n_fraud.min(n_honest) < MIN_CLASS_SLOPE {
        let note =
            format!("only the level of the probabilities is calibrated: {n_fraud} frauds and {n_honest} honest orders");
        return fallback(shift_only(&all), note);
    }
    let folds = match groups {
        Some(groups) => folds_by_group(groups, N_FOLDS, seed),
        None => folds_by_score(raw, labels, N_FOLDS, seed),
    };
    let kinds = [Kind::Platt, Kind::Beta, Kind::Isotonic];
    let n_kinds = if n_fraud < MIN_FRAUDS_ISOTONIC { 2 } else { 3 };
    let mut candidates = Vec::new();
    let mut best: Option<(f64, Kind, Vec<f64>)> = None;
    for kind in &kinds[..n_kinds] {
        let logits = cross_fit(*kind, &order, raw, labels, &folds);
        let loss = mean_in_any_order(order.iter().map(|&i| log_loss(logits[i], labels[i])).collect());
        candidates.push((kind.name(), loss));
        if best.as_ref().is_none_or(|(lowest, _, _)| loss < *lowest) {
            best = Some((loss, *kind, logits));
        }
    }
    let (_, kind, logits) = best.expect("Platt scaling is always a candidate");
    let cross_fitted: Vec<f64> = logits.iter().map(|&z| sigmoid(z)).collect();
    let reliability = reliability(&cross_fitted, labels);
    Ok(CalibrationFit {
        calibration: kind.fit(&all),
        candidates,
        uncalibrated_log_loss,
        cross_fitted,
        reliability,
        note: None,
    })
}

fn check(raw: &[f64], labels: &[u8], groups: Option<&[u64]>) -> Result<(), CalibrationError> {
    let n_raw = raw.len();
    for n_other in [labels.len(), groups.map_or(n_raw, <[u64]>::len)] {
        if n_other != n_raw {
            return Err(CalibrationError::LengthMismatch { n_raw, n_other });
        }
    }
    for (row, (&found, &label)) in raw.iter().zip(labels).enumerate() {
        if found.is_nan() || found.abs() > MAX_RAW {
            return Err(CalibrationError::RawScore { row, found });
        }
        if label > 1 {
            return Err(CalibrationError::Label { row, found: label });
        }
    }
    Ok(())
}

fn mean(values: impl Iterator<Item = f64>, n: usize) -> f64 {
    values.sum::<f64>() / n.max(1) as f64
}

/// The mean, summed from the smallest on: orders equal in score and label may stand in different folds, and so have different
/// values, in an order that comes from the file.
fn mean_in_any_order(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    mean(values.iter().copied(), values.len())
}

/// Orders of equal raw score counted together, ascending; `order` sorts by raw score.
fn pool(order: &[usize], raw: &[f64], labels: &[u8], keep: impl Fn(usize) -> bool) -> Vec<Pool> {
    let mut pools: Vec<Pool> = Vec::new();
    for &i in order.iter().filter(|&&i| keep(i)) {
        // Both zeros are one score.
        if pools.last().is_none_or(|last| last.raw != raw[i]) {
            pools.push(Pool { raw: raw[i], n: 0.0, n_fraud: 0.0 });
        }
        let last = pools.len() - 1;
        pools[last].n += 1.0;
        pools[last].n_fraud += f64::from(labels[i]);
    }
    pools
}

/// Log-odds of every order by maps that were fitted without its fold.
fn cross_fit(kind: Kind, order: &[usize], raw: &[f64], labels: &[u8], folds: &[u8]) -> Vec<f64> {
    let maps: Vec<Calibration> = (0..N_FOLDS)
        .into_par_iter()
        .map(|fold| {
            let others = pool(order, raw, labels, |i| folds[i] != fold);
            let n: f64 = others.iter().map(|p| p.n).sum();
            let n_fraud: f64 = others.iter().map(|p| p.n_fraud).sum();
            // All orders of a class may share one group.
            if n_fraud == 0.0 || n_fraud == n { shift_only(&others) } else { kind.fit(&others) }
        })
        .collect();
    raw.iter().zip(folds).map(|(&raw, &fold)| log_odds(&maps[usize::from(fold)], raw)).collect()
}

/// The targets that stand for 0 and 1, drawn in a little so that separable scores have a finite slope (Platt 1999).
fn targets(pools: &[Pool]) -> (f64, f64) {
    let n: f64 = pools.iter().map(|p| p.n).sum();
    let n_fraud: f64 = pools.iter().map(|p| p.n_fraud).sum();
    (1.0 / (n - n_fraud + 2.0), (n_fraud + 1.0) / (n_fraud + 2.0))
}

/// One input of a small logistic fit: standardised values, or a weight that is fixed.
struct Input {
    values: Vec<f64>,
    mean: f64,
    scale: f64,
}

impl Input {
    fn new(pools: &[Pool], of: impl Fn(f64) -> f64) -> Self {
        let n: f64 = pools.iter().map(|p| p.n).sum();
        let values: Vec<f64> = pools.iter().map(|p| of(p.raw)).collect();
        let average =
            |f: &dyn Fn(f64) -> f64| pools.iter().zip(&values).map(|(p, &x)| p.n * f(x)).sum::<f64>() / n.max(1.0);
        let mean = average(&|x| x);
        let scale = average(&|x| (x - mean) * (x - mean)).sqrt();
        // A spread within rounding is none.
        let scale = if scale > 1e-12 * (1.0 + mean.abs()) { scale } else { 0.0 };
        Self { values, mean, scale }
    }
}

/// Weights in the inputs' own units, intercept, and the loss reached.
struct SmallFit {
    weights: Vec<f64>,
    intercept: f64,
    loss: f64,
}

/// More groups than that are first fitted as so many: from there the fit of all takes a step or two instead of ten.
const COARSE: usize = 512;

/// Neighbouring groups as one, the inputs at their means.
fn coarser(pools: &[Pool], inputs: &[Input]) -> (Vec<Pool>, Vec<Input>) {
    let n_together = pools.len().div_ceil(COARSE);
    let sum = |part: &[Pool], of: &dyn Fn(usize) -> f64| (0..part.len()).map(|i| part[i].n * of(i)).sum::<f64>();
    let merged = |part: &[Pool]| {
        let n = part.iter().map(|p| p.n).sum::<f64>();
        Pool { raw: sum(part, &|i| part[i].raw) / n, n, n_fraud: part.iter().map(|p| p.n_fraud).sum() }
    };
    let coarse = |input: &Input| {
        let parts = pools.chunks(n_together).zip(input.values.chunks(n_together));
        let values = parts.map(|(part, x)| sum(part, &|i| x[i]) / part.iter().map(|p| p.n).sum::<f64>()).collect();
        Input { values, ..*input }
    };
    (pools.chunks(n_together).map(merged).collect(), inputs.iter().map(coarse).collect())
}

/// Fits at most two inputs; `fixed[k]` holds the weight of input k where it is not fitted.
fn fit_small(pools: &[Pool], inputs: &[Input], fixed: &[Option<f64>]) -> SmallFit {
    let start = (pools.len() > 4 * COARSE).then(|| {
        let (pools, inputs) = coarser(pools, inputs);
        newton(&pools, &inputs, fixed, None).0
    });
    let (w, loss) = newton(pools, inputs, fixed, start);
    let free: Vec<usize> = (0..inputs.len()).filter(|&k| fixed[k].is_none()).collect();
    let mut weights: Vec<f64> = fixed.iter().map(|f| f.unwrap_or(0.0)).collect();
    for (k, &input) in free.iter().enumerate() {
        weights[input] = w[k] / inputs[input].scale;
    }
    let intercept = w[free.len()] - (0..inputs.len()).map(|k| weights[k] * inputs[k].mean).sum::<f64>();
    SmallFit { weights, intercept, loss }
}

/// Newton's method: the free inputs' weights on their standardised scale, then the intercept, and the loss.
fn newton(pools: &[Pool], inputs: &[Input], fixed: &[Option<f64>], start: Option<[f64; 3]>) -> ([f64; 3], f64) {
    let (t_honest, t_fraud) = targets(pools);
    let free: Vec<usize> = (0..inputs.len()).filter(|&k| fixed[k].is_none()).collect();
    let n_free = free.len();
    let offset: Vec<f64> = (0..pools.len())
        .map(|i| (0..inputs.len()).map(|k| fixed[k].unwrap_or(0.0) * (inputs[k].values[i] - inputs[k].mean)).sum())
        .collect();
    let column = |k: usize, i: usize| {
        let input = &inputs[free[k]];
        (input.values[i] - input.mean) / input.scale
    };
    // Parameters: free weights, then the intercept.
    let logit = |w: &[f64; 3], i: usize| offset[i] + w[n_free] + (0..n_free).map(|k| w[k] * column(k, i)).sum::<f64>();
    let weight_up = |p: &Pool| p.n_fraud * t_fraud + (p.n - p.n_fraud) * t_honest;
    let loss = |w: &[f64; 3]| -> f64 {
        (0..pools.len())
            .map(|i| {
                let (z, up) = (logit(w, i), weight_up(&pools[i]));
                // softplus(-z) = softplus(z) - z
                pools[i].n * softplus(z) - up * z
            })
            .sum()
    };
    let total: f64 = pools.iter().map(|p| p.n).sum();
    let up: f64 = pools.iter().map(weight_up).sum();
    let mut w = start.unwrap_or_else(|| {
        let mut w = [0.0; 3];
        w[n_free] = libm::log(up / (total - up));
        w
    });
    let mut now = loss(&w);
    for _ in 0..200 {
        let mut gradient = [0.0; 3];
        let mut hessian = [[0.0; 3]; 3];
        for (i, pool) in pools.iter().enumerate() {
            let p = sigmoid(logit(&w, i));
            let residual = pool.n * p - weight_up(pool);
            let curvature = pool.n * p * (1.0 - p);
            let x: [f64; 3] = std::array::from_fn(|k| if k < n_free { column(k, i) } else { f64::from(k == n_free) });
            for a in 0..=n_free {
                gradient[a] += residual * x[a];
                for b in 0..=n_free {
                    hessian[a][b] += curvature * x[a] * x[b];
                }
            }
        }
        let step = solve_small(&gradient, &hessian, n_free + 1);
        let slope: f64 = (0..=n_free).map(|k| gradient[k] * step[k]).sum();
        if slope.is_nan() || slope >= -1e-11 * (1.0 + now) {
            break;
        }
        let mut t = 1.0;
        loop {
            let next: [f64; 3] = std::array::from_fn(|k| w[k] + t * step[k]);
            let then = loss(&next);
            if then <= now + 1e-4 * t * slope {
                (w, now) = (next, then);
                break;
            }
            t *= 0.5;
            if t < 1e-10 {
                break;
            }
        }
        if t < 1e-10 {
            break;
        }
    }
    (w, now)
}

/// `-hessian^-1 gradient` by elimination with a small ridge, which keeps pivots positive where all probabilities saturate.
fn solve_small(gradient: &[f64; 3], hessian: &[[f64; 3]; 3], n: usize) -> [f64; 3] {
    let mut m = *hessian;
    let mut d: [f64; 3] = std::array::from_fn(|k| -gradient[k]);
    for (k, row) in m.iter_mut().enumerate() {
        row[k] = row[k] * (1.0 + 1e-10) + 1e-9;
    }
    for k in 0..n {
        for i in k + 1..n {
            let factor = m[i][k] / m[k][k];
            let pivot_row = m[k];
            for (cell, above) in m[i].iter_mut().zip(pivot_row).skip(k) {
                *cell -= factor * above;
            }
            d[i] -= factor * d[k];
        }
    }
    for k in (0..n).rev() {
        let known: f64 = (k + 1..n).map(|j| m[k][j] * d[j]).sum();
        d[k] = (d[k] - known) / m[k][k];
    }
    std::array::from_fn(|k| if k < n { d[k] } else { 0.0 })
}

/// Slope 1, the intercept fitted.
fn shift_only(pools: &[Pool]) -> Calibration {
    let fit = fit_small(pools, &[Input::new(pools, |raw| raw)], &[Some(1.0)]);
    Calibration::Platt { slope: 1.0, intercept: fit.intercept }
}

fn fit_platt(pools: &[Pool]) -> Calibration {
    let input = [Input::new(pools, |raw| raw)];
    if input[0].scale == 0.0 {
        return shift_only(pools);
    }
    let mut fit = fit_small(pools, &input, &[None]);
    let least = MIN_WEIGHT / input[0].scale.max(1.0);
    if fit.weights[0].is_nan() || fit.weights[0] < least {
        fit = fit_small(pools, &input, &[Some(least)]);
    }
    Calibration::Platt { slope: fit.weights[0], intercept: fit.intercept }
}

/// The best of: both weights free, or one or both at their least value. The loss is convex, so the best of those that keep
/// the bounds is the constrained minimum. Both weights stay above 0: a weight of 0 would give all scores far out on its
/// side one probability.
fn fit_beta(pools: &[Pool]) -> Calibration {
    // ln s = -softplus(-raw) and -ln(1 - s) = softplus(raw).
    let inputs = [Input::new(pools, |raw| -softplus(-raw)), Input::new(pools, softplus)];
    let least: Vec<f64> = inputs.iter().map(|input| MIN_WEIGHT / input.scale.max(1.0)).collect();
    let mut best: Option<SmallFit> = None;
    for (hold_a, hold_b) in [(false, false), (true, false), (false, true), (true, true)] {
        let hold = [hold_a, hold_b];
        if (0..2).any(|k| !hold[k] && inputs[k].scale == 0.0) {
            continue;
        }
        let fixed: Vec<Option<f64>> = (0..2).map(|k| hold[k].then_some(least[k])).collect();
        let fit = fit_small(pools, &inputs, &fixed);
        let within = (0..2).all(|k| fit.weights[k] >= least[k] && fit.weights[k].is_finite());
        if within && best.as_ref().is_none_or(|b| fit.loss < b.loss) {
            best = Some(fit);
        }
        if best.is_some() && !hold_a && !hold_b {
            break;
        }
    }
    let fit = best.expect("both weights at their least value keep the bounds");
    Calibration::Beta { a: fit.weights[0], b: fit.weights[1], c: fit.intercept }
}

/// A stretch of scores that isotonic regression gives one probability.
#[derive(Clone, Copy)]
struct Block {
    sum_raw: f64,
    n: f64,
    n_fraud: f64,
}

impl Block {
    fn merge(self, other: Self) -> Self {
        Self { sum_raw: self.sum_raw + other.sum_raw, n: self.n + other.n, n_fraud: self.n_fraud + other.n_fraud }
    }

    fn centre(self) -> f64 {
        self.sum_raw / self.n
    }

    /// Log-odds after one more order was added, fraud by the overall share: finite also where a block holds one class.
    fn log_odds(self, share: f64) -> f64 {
        libm::log((self.n_fraud + share) / (self.n - self.n_fraud + (1.0 - share)))
    }
}

/// Merges neighbours until `in_order(left, right)` holds for all.
fn merge_until(blocks: impl Iterator<Item = Block>, in_order: impl Fn(Block, Block) -> bool) -> Vec<Block> {
    let mut merged: Vec<Block> = Vec::new();
    for mut block in blocks {
        while let Some(&left) = merged.last() {
            if in_order(left, block) {
                break;
            }
            merged.pop();
            block = left.merge(block);
        }
        merged.push(block);
    }
    merged
}

/// Pools adjacent violators; then merges once more what smoothing or rounding has brought out of strict order.
fn isotonic_blocks(pools: &[Pool]) -> Vec<Block> {
    let single = pools.iter().map(|p| Block { sum_raw: p.raw * p.n, n: p.n, n_fraud: p.n_fraud });
    // Counts are whole numbers, so the products are exact: rates are compared without rounding.
    merge_until(single, |left, right| left.n_fraud * right.n < right.n_fraud * left.n)
}

fn fit_isotonic(pools: &[Pool]) -> Calibration {
    let n: f64 = pools.iter().map(|p| p.n).sum();
    let share = pools.iter().map(|p| p.n_fraud).sum::<f64>() / n;
    // Neighbours that the least slope would not lead from one to the other are one.
    let strict = merge_until(isotonic_blocks(pools).into_iter(), |left, right| {
        let run = right.centre() - left.centre();
        run > 0.0 && left.log_odds(share) + MIN_WEIGHT * run.max(1e-6) < right.log_odds(share)
    });
    Calibration::Isotonic { knots: strict.into_iter().map(|b| (b.centre(), b.log_odds(share))).collect() }
}

/// Bins of about equal expected frauds.
fn reliability(probabilities: &[f64], labels: &[u8]) -> Vec<ReliabilityBin> {
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.sort_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b]).then(labels[a].cmp(&labels[b])));
    let total: f64 = order.iter().map(|&i| probabilities[i]).sum();
    let mut bins: Vec<ReliabilityBin> = Vec::new();
    let (mut open, mut sum, mut so_far) = (false, 0.0, 0.0);
    for (rank, &i) in order.iter().enumerate() {
        let p = probabilities[i];
        if !open {
            bins.push(ReliabilityBin { low: p, high: p, n_rows: 0, n_fraud: 0, mean_probability: 0.0 });
            sum = 0.0;
        }
        let at = bins.len() - 1;
        sum += p;
        so_far += p;
        let bin = &mut bins[at];
        (bin.high, bin.n_rows, bin.n_fraud) = (p, bin.n_rows + 1, bin.n_fraud + usize::from(labels[i]));
        bin.mean_probability = sum / bin.n_rows as f64;
        // Equal probabilities stay together.
        let tied = order.get(rank + 1).is_some_and(|&next| probabilities[next] == p);
        open = tied || so_far < total * (at + 1) as f64 / N_BINS as f64;
    }
    bins
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pools(rows: &[(f64, f64, f64)]) -> Vec<Pool> {
        rows.iter().map(|&(raw, n, n_fraud)| Pool { raw, n, n_fraud }).collect()
    }

    /// The isotonic fit at each pool by the max-min formula: the greatest over starts of the least over ends of the mean.
    fn isotonic_naive(pools: &[Pool]) -> Vec<f64> {
        let rate = |from: usize, to: usize| {
            let n: f64 = pools[from..=to].iter().map(|p| p.n).sum();
            pools[from..=to].iter().map(|p| p.n_fraud).sum::<f64>() / n
        };
        let least = |from: usize, at: usize| (at..pools.len()).map(|to| rate(from, to)).fold(f64::INFINITY, f64::min);
        (0..pools.len()).map(|at| (0..=at).map(|from| least(from, at)).fold(0.0, f64::max)).collect()
    }

    proptest::proptest! {
        #[test]
        fn pooling_meets_the_max_min_formula(counts in proptest::collection::vec((1_u32..6, 0_u32..6), 1..25)) {
            let pools: Vec<Pool> = counts
                .iter()
                .enumerate()
                .map(|(i, &(n, f))| Pool { raw: i as f64, n: f64::from(n), n_fraud: f64::from(f.min(n)) })
                .collect();
            let naive = isotonic_naive(&pools);
            let mut at = 0;
            for block in isotonic_blocks(&pools) {
                let mut covered = 0.0;
                while covered < block.n {
                    proptest::prop_assert!((naive[at] - block.n_fraud / block.n).abs() < 1e-12);
                    covered += pools[at].n;
                    at += 1;
                }
            }
            proptest::prop_assert_eq!(at, pools.len());
        }
    }

    #[test]
    fn cross_fit_never_uses_its_own_fold() {
        let raw: Vec<f64> = (0..500).map(|i| f64::from(i) / 100.0 - 2.5).collect();
        let labels: Vec<u8> = (0..500).map(|i| u8::from(i * 7 % 500 < i)).collect();
        let order: Vec<usize> = (0..500).collect();
        let folds: Vec<u8> = (0..500).map(|i| (i % 5) as u8).collect();
        for kind in [Kind::Platt, Kind::Beta, Kind::Isotonic] {
            let before = cross_fit(kind, &order, &raw, &labels, &folds);
            // Turning the labels of fold 2 around must leave its own scores alone and move the others'.
            let turned: Vec<u8> = (0..500).map(|i| if folds[i] == 2 { 1 - labels[i] } else { labels[i] }).collect();
            let after = cross_fit(kind, &order, &raw, &turned, &folds);
            for i in 0..500 {
                assert_eq!(before[i] == after[i], folds[i] == 2, "{kind:?} {i}");
            }
        }
    }

    #[test]
    fn wrong_way_round_scores_keep_a_rising_map() {
        let pools = pools(&[(-1.0, 100.0, 90.0), (1.0, 100.0, 10.0)]);
        assert!(matches!(fit_platt(&pools), Calibration::Platt { slope, .. } if slope > 0.0));
        assert!(matches!(fit_beta(&pools), Calibration::Beta { a, b, .. } if a > 0.0 && b > 0.0));
        assert!(matches!(fit_isotonic(&pools), Calibration::Isotonic { knots } if knots.len() == 1));
    }
}
