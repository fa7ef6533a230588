//! Logistic regression with an elastic-net penalty, its strength chosen on validation orders.
//!
//! Numeric features enter as broken lines over a few quantiles (see [`LogisticParams::knot_shares`]), missing values and
//! first-seen entities as weights of their own, categories as one weight per level. No class weights: the raw score is the
//! log-odds of the data as they are, however rare the frauds.

use std::fmt;
use std::ops::ControlFlow;

use orderguard_features::language::spec::FeatureKind;
use orderguard_inference::model::{LinearModel, LinearTerm};
use rayon::prelude::*;

use crate::newton::{Fit, Target, log_loss};
use crate::param_error::ParamError;
use crate::samples::Samples;
use crate::standardise::{Columns, Lines, Part};

/// What decides between penalties.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LambdaChoice {
    /// Lowest mean log loss.
    #[default]
    LogLoss,
    /// Highest average precision (log loss where the validation orders hold no fraud).
    AveragePrecision,
}

/// How a logistic regression is fitted.
///
/// Minimises `sum of log losses + lambda * ((1 - l1_ratio) / 2 * |w|^2 + l1_ratio * |w|_1)` over the weights w of
/// standardised values and 0/1 indicators; the intercept is not penalised. The loss is a sum over orders, not a mean: a
/// given lambda is outweighed by more data, and a level seen in few orders stays near 0.
#[derive(Clone, Debug, PartialEq)]
pub struct LogisticParams {
    /// Penalties to try, each above 0, strictly descending; 1 to 100 of them. More costs time in proportion.
    pub lambdas: Vec<f64>,
    /// The penalty used when there are no validation orders; above 0, default 1.
    pub lambda: f64,
    /// Share of the absolute part of the penalty, 0 to 1, default 0. Raising it sets more weights to exactly 0.
    pub l1_ratio: f64,
    /// Quantiles at which a numeric feature's line may bend, within (0, 1), strictly ascending, at most 16. Empty: straight
    /// lines. More bends follow heavy-tailed amounts better and cost columns. Equal quantiles of a feature count once; where more
    /// than half of the values are one and the same, they are those of the other values, and the line bends at that one too.
    pub knot_shares: Vec<f64>,
    /// Whether a numeric feature's [`signed_log`](orderguard_inference::linear::signed_log) has a weight beside those of its line,
    /// default true: counts, amounts and ages tell fraud by orders of magnitude.
    pub logs: bool,
    /// Standard deviations from the mean at which values and logarithms are clamped, above 0, default 5; infinity clamps only
    /// what lies far outside the training data. Less lets rare extremes weigh less.
    pub reach: f64,
    /// What decides between the penalties.
    pub choice: LambdaChoice,
    /// A fit has converged when a Newton step promises to lower the objective (in natural log units, summed over all
    /// orders) by less than this; (0, 1], default 1e-6.
    pub tolerance: f64,
    /// Most Newton steps per penalty, 1 to 1,000, default 100.
    pub max_iterations: u32,
}

impl Default for LogisticParams {
    fn default() -> Self {
        Self {
            lambdas: vec![1000.0, 300.0, 100.0, 30.0, 10.0, 3.0, 1.0, 0.3],
            lambda: 1.0,
            l1_ratio: 0.0,
            knot_shares: vec![0.5, 0.9, 0.99],
            logs: true,
            reach: 5.0,
            choice: LambdaChoice::default(),
            tolerance: 1e-6,
            max_iterations: 100,
        }
    }
}

/// Parameters whose ranges were checked.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedLogisticParams(LogisticParams);

impl LogisticParams {
    /// Checks every range.
    ///
    /// # Errors
    /// [`ParamError`] with the first parameter outside its range.
    pub fn check(self) -> Result<CheckedLogisticParams, ParamError> {
        let positive = |x: f64| x > 0.0 && x.is_finite();
        let descending = self.lambdas.windows(2).all(|pair| pair[0] > pair[1]);
        if !(matches!(self.lambdas.len(), 1..=100) && self.lambdas.iter().all(|&l| positive(l)) && descending) {
            let found = format!("{:?}", self.lambdas);
            return Err(ParamError::out_of_range("lambdas", found, "1 to 100 positive numbers, descending"));
        }
        if !positive(self.lambda) {
            return Err(ParamError::out_of_range("lambda", self.lambda, "(0, inf)"));
        }
        if !(self.l1_ratio >= 0.0 && self.l1_ratio <= 1.0) {
            return Err(ParamError::out_of_range("l1_ratio", self.l1_ratio, "[0, 1]"));
        }
        let ascending = self.knot_shares.windows(2).all(|pair| pair[0] < pair[1]);
        if !(self.knot_shares.len() <= 16 && self.knot_shares.iter().all(|&q| q > 0.0 && q < 1.0) && ascending) {
            let found = format!("{:?}", self.knot_shares);
            return Err(ParamError::out_of_range("knot_shares", found, "up to 16 numbers in (0, 1), ascending"));
        }
        if self.reach.is_nan() || self.reach <= 0.0 {
            return Err(ParamError::out_of_range("reach", self.reach, "(0, inf]"));
        }
        if !(self.tolerance > 0.0 && self.tolerance <= 1.0) {
            return Err(ParamError::out_of_range("tolerance", self.tolerance, "(0, 1]"));
        }
        if !matches!(self.max_iterations, 1..=1_000) {
            return Err(ParamError::out_of_range("max_iterations", self.max_iterations, "1 to 1000"));
        }
        Ok(CheckedLogisticParams(self))
    }
}

impl LogisticParams {
    fn lines(&self) -> Lines<'_> {
        Lines { knot_shares: &self.knot_shares, logs: self.logs, reach: self.reach }
    }
}

impl CheckedLogisticParams {
    /// The checked values.
    pub fn get(&self) -> &LogisticParams {
        &self.0
    }
}

/// One penalty of the path.
#[derive(Clone, Debug, PartialEq)]
pub struct LambdaStep {
    /// The penalty.
    pub lambda: f64,
    /// Weights that are not 0, the intercept not counted; over folds, the sum.
    pub n_weights: usize,
    /// Newton steps taken; over folds, the sum.
    pub n_iterations: u32,
    /// Whether the tolerance was reached (in every fold).
    pub converged: bool,
    /// Mean log loss on the orders fitted (over folds, of all fits together).
    pub train_log_loss: f64,
    /// Mean log loss on the orders not fitted; `None` without any.
    pub validation_log_loss: Option<f64>,
    /// Average precision on the orders not fitted; `None` without any fraud.
    pub validation_average_precision: Option<f64>,
}

/// A fitted logistic regression.
#[derive(Clone, Debug, PartialEq)]
pub struct LogisticFit {
    /// The model.
    pub model: LinearModel,
    /// Its penalty.
    pub lambda: f64,
    /// What was tried, in order.
    pub history: Vec<LambdaStep>,
    /// Per feature, the standard deviation of its contribution to the raw score over the training orders; for a plain
    /// numeric feature that is the absolute standardised weight.
    pub importance: Vec<f64>,
}

/// The choice of a penalty over folds of the training orders.
#[derive(Clone, Debug, PartialEq)]
pub struct LogisticFolds {
    /// The chosen penalty, for [`fit_logistic_fixed`] on all orders.
    pub lambda: f64,
    /// What was tried, in order.
    pub history: Vec<LambdaStep>,
    /// Raw score of every training order by the model that did not see its fold, at the chosen penalty.
    pub out_of_fold: Vec<f64>,
}

/// A linear model that could not be fitted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FitLinearError {
    /// The orders fitted (in one of the folds, where there are folds) are all frauds or all honest, or there is none.
    OneClass {
        /// Frauds among them.
        n_fraud: usize,
        /// Honest orders among them.
        n_honest: usize,
    },
    /// The progress callback asked to stop.
    Interrupted,
}

impl fmt::Display for FitLinearError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneClass { n_fraud, n_honest } => write!(
                f,
                "logistic regression: expected frauds and honest orders to learn from, found {n_fraud} frauds and {n_honest} honest orders"
            ),
            Self::Interrupted => write!(f, "logistic regression: stopped on request"),
        }
    }
}

impl std::error::Error for FitLinearError {}

/// Called after each penalty with the number done and the number planned; breaking stops the fit.
pub type Progress<'a> = dyn FnMut(usize, usize) -> ControlFlow<()> + 'a;

/// Fits the path of penalties from the strongest to the weakest, each from where the last one ended, and keeps the one that
/// the validation orders like best (the stronger of equals). The path ends early after two penalties in a row that were
/// worse than the best. Without validation orders, fits `params.lambda`.
///
/// `kinds` and `has_first_seen` have one entry per feature; where the latter is set, the value
/// ([`is_first_seen`](orderguard_features::language::feature::is_first_seen)) is a state of its own. NaN is missing, infinities are clamped.
/// O(rows x (dense columns + indicators that are 1)) per inner iteration, a few tens of them for a penalty, shared between
/// threads; same bits for any number of them. With an absolute part, O(rows x columns in use^2) per Newton step.
///
/// # Errors
/// [`FitLinearError::OneClass`], [`FitLinearError::Interrupted`].
/// # Panics
/// If `kinds` or `has_first_seen` have another length than a row: a caller's bug, never caused by data.
pub fn fit_logistic(
    params: &CheckedLogisticParams,
    kinds: &[FeatureKind],
    has_first_seen: &[bool],
    train: &Samples,
    validation: Option<&Samples>,
    progress: &mut Progress,
) -> Result<LogisticFit, FitLinearError> {
    let Some(validation) = validation.filter(|samples| !samples.is_empty()) else {
        return fit_logistic_fixed(params, kinds, has_first_seen, train, params.0.lambda, progress);
    };
    let lambdas = &params.0.lambdas;
    let mut history: Vec<LambdaStep> = Vec::new();
    let mut best: Option<(usize, LinearModel)> = None;
    walk_path(params, kinds, has_first_seen, train, lambdas, &mut |mut step, model| {
        judge(&mut step, &raw_scores(&model, validation), validation.labels);
        history.push(step);
        let now = history.len() - 1;
        if best.as_ref().is_none_or(|(at, _)| is_better(params.0.choice, &history[now], &history[*at])) {
            best = Some((now, model));
        }
        if progress(now + 1, lambdas.len()).is_break() {
            return Err(FitLinearError::Interrupted);
        }
        let (at, _) = best.as_ref().expect("set by the first penalty at the latest");
        Ok(if now >= at + 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    let (at, model) = best.expect("a checked path has at least one penalty");
    Ok(LogisticFit { lambda: history[at].lambda, importance: importance(&model, train), model, history })
}

/// Fits one given penalty (above 0), for instance on all orders after the choice was made; see [`fit_logistic`].
///
/// # Errors
/// As [`fit_logistic`].
pub fn fit_logistic_fixed(
    params: &CheckedLogisticParams,
    kinds: &[FeatureKind],
    has_first_seen: &[bool],
    train: &Samples,
    lambda: f64,
    progress: &mut Progress,
) -> Result<LogisticFit, FitLinearError> {
    let mut found = None;
    walk_path(params, kinds, has_first_seen, train, &[lambda], &mut |step, model| {
        found = Some((step, model));
        if progress(1, 1).is_break() { Err(FitLinearError::Interrupted) } else { Ok(ControlFlow::Continue(())) }
    })?;
    let (step, model) = found.expect("the path has one penalty");
    Ok(LogisticFit { lambda, importance: importance(&model, train), model, history: vec![step] })
}

/// Chooses the penalty over folds, for when there are too few frauds for a validation part of their own: each fold is
/// scored by a model of the others. `folds` has one number per training order.
///
/// # Errors
/// As [`fit_logistic`]; `OneClass` also when the orders outside one fold are all frauds or all honest.
/// # Panics
/// If `folds` has another length than `train`.
pub fn fit_logistic_folds(
    params: &CheckedLogisticParams,
    kinds: &[FeatureKind],
    has_first_seen: &[bool],
    train: &Samples,
    folds: &[u8],
    progress: &mut Progress,
) -> Result<LogisticFolds, FitLinearError> {
    assert_eq!(folds.len(), train.len(), "one fold per training order");
    let mut lambdas = params.0.lambdas.as_slice();
    let mut present: Vec<u8> = folds.to_vec();
    present.sort_unstable();
    present.dedup();
    let mut scores = vec![vec![0.0; train.len()]; lambdas.len()];
    let mut history: Vec<LambdaStep> = Vec::new();
    let mut n_done = 0;
    let mut n_fitted = 0;
    // What the first fold finds on the orders it holds out: where two penalties in a row are worse than its best, the weaker
    // ones, which take longest, are tried in no fold.
    let mut first_fold: Vec<LambdaStep> = Vec::new();
    for &fold in &present {
        let (inside, outside): (Vec<usize>, Vec<usize>) = (0..train.len()).partition(|&i| folds[i] != fold);
        let pick =
            |of: &[usize]| -> (Vec<u32>, Vec<u8>) { of.iter().map(|&i| (train.rows[i], train.labels[i])).unzip() };
        let ((fit_rows, fit_labels), (held_rows, held_labels)) = (pick(&inside), pick(&outside));
        let fit_on = Samples { matrix: train.matrix, rows: &fit_rows, labels: &fit_labels };
        let held_out = Samples { matrix: train.matrix, rows: &held_rows, labels: &held_labels };
        let mut at = 0;
        walk_path(params, kinds, has_first_seen, &fit_on, lambdas, &mut |mut step, model| {
            let held_scores = raw_scores(&model, &held_out);
            for (&i, &score) in outside.iter().zip(&held_scores) {
                scores[at][i] = score;
            }
            let mut enough = false;
            if fold == present[0] {
                let mut judged = step.clone();
                judge(&mut judged, &held_scores, &held_labels);
                first_fold.push(judged);
                let best = best_step(params.0.choice, &first_fold);
                enough = first_fold.len() > best + 2;
            }
            step.train_log_loss *= fit_on.len() as f64;
            match history.get_mut(at) {
                Some(total) => {
                    total.n_weights += step.n_weights;
                    total.n_iterations += step.n_iterations;
                    total.converged &= step.converged;
                    total.train_log_loss += step.train_log_loss;
                }
                None => history.push(step),
            }
            at += 1;
            n_done += 1;
            let stop = progress(n_done, lambdas.len() * present.len()).is_break();
            if stop {
                return Err(FitLinearError::Interrupted);
            }
            Ok(if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        lambdas = &lambdas[..at];
        n_fitted += fit_on.len();
    }
    if history.is_empty() {
        return Err(FitLinearError::OneClass { n_fraud: 0, n_honest: 0 });
    }
    for (step, scores) in history.iter_mut().zip(&scores) {
        step.train_log_loss /= n_fitted as f64;
        judge(step, scores, train.labels);
    }
    let best = best_step(params.0.choice, &history);
    Ok(LogisticFolds { lambda: history[best].lambda, history, out_of_fold: scores.swap_remove(best) })
}

/// Takes a penalty's figures on the training rows and its model; tells whether to go on.
type Visit<'a> = dyn FnMut(LambdaStep, LinearModel) -> Result<ControlFlow<()>, FitLinearError> + 'a;

fn walk_path(
    params: &CheckedLogisticParams,
    kinds: &[FeatureKind],
    has_first_seen: &[bool],
    train: &Samples,
    lambdas: &[f64],
    visit: &mut Visit,
) -> Result<(), FitLinearError> {
    let params = &params.0;
    let (n_fraud, n_honest) = (train.n_fraud(), train.len() - train.n_fraud());
    if n_fraud == 0 || n_honest == 0 {
        return Err(FitLinearError::OneClass { n_fraud, n_honest });
    }
    let columns = Columns::new(kinds, has_first_seen, params.lines(), train);
    let parts: Vec<Part> = columns.apply(train);
    let mut fit = Fit::new(&parts, columns.shape, libm::log(n_fraud as f64 / n_honest as f64));
    for &lambda in lambdas {
        let (l1_ratio, max_iterations, tolerance) = (params.l1_ratio, params.max_iterations, params.tolerance);
        let outcome = fit.run(&Target { lambda, l1_ratio, max_iterations, tolerance, nonnegative: false });
        let step = LambdaStep {
            lambda,
            n_weights: fit.weights[1..].iter().filter(|w| **w != 0.0).count(),
            n_iterations: outcome.n_iterations,
            converged: outcome.converged,
            train_log_loss: fit.loss() / train.len() as f64,
            validation_log_loss: None,
            validation_average_precision: None,
        };
        if visit(step, columns.model(&fit.weights))?.is_break() {
            break;
        }
    }
    Ok(())
}

/// Position of the step that validation likes best, the first of equals.
fn best_step(choice: LambdaChoice, steps: &[LambdaStep]) -> usize {
    (0..steps.len()).fold(0, |best, at| if is_better(choice, &steps[at], &steps[best]) { at } else { best })
}

fn judge(step: &mut LambdaStep, scores: &[f64], labels: &[u8]) {
    let total: f64 = scores.iter().zip(labels).map(|(&score, &label)| log_loss(score, label)).sum();
    step.validation_log_loss = Some(total / scores.len() as f64);
    step.validation_average_precision = orderguard_evaluation::average_precision(scores, labels);
}

fn is_better(choice: LambdaChoice, new: &LambdaStep, old: &LambdaStep) -> bool {
    match (choice, new.validation_average_precision, old.validation_average_precision) {
        (LambdaChoice::AveragePrecision, Some(new), Some(old)) => new > old,
        _ => new.validation_log_loss < old.validation_log_loss,
    }
}

/// Raw scores of all rows, in their order: for each row the same sum in the same order as scoring it alone.
pub fn raw_scores(model: &LinearModel, samples: &Samples) -> Vec<f64> {
    let mut scores = vec![model.intercept; samples.len()];
    scores.par_chunks_mut(4_096).zip(samples.rows.par_chunks(4_096)).for_each(|(scores, rows)| {
        for term in &model.terms {
            let column = samples.matrix.column(term.feature() as usize);
            for (score, &row) in scores.iter_mut().zip(rows) {
                *score += term.contribution(column[row as usize]);
            }
        }
    });
    scores
}

/// Standard deviation of each feature's contribution over the rows.
fn importance(model: &LinearModel, samples: &Samples) -> Vec<f64> {
    (0..model.n_features as usize)
        .into_par_iter()
        .map(|feature| {
            let terms: Vec<&LinearTerm> =
                model.terms.iter().filter(|term| term.feature() as usize == feature).collect();
            if terms.is_empty() {
                return 0.0;
            }
            let column = samples.matrix.column(feature);
            let values =
                || samples.rows.iter().map(|&row| terms.iter().map(|t| t.contribution(column[row as usize])).sum());
            let n = samples.len() as f64;
            let mean = values().sum::<f64>() / n;
            (values().map(|v: f64| (v - mean) * (v - mean)).sum::<f64>() / n).sqrt()
        })
        .collect()
}
