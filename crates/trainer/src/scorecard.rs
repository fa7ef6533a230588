//! Scorecards: every feature in bins, a logistic regression on their weights of evidence, and whole points that people can add.
//!
//! Weights are held at 0 or above, so that a riskier bin never takes points away. Features are chosen by an absolute penalty
//! that falls from where all weights are 0; for every set of features met on that path the weights are fitted again with a
//! light square penalty alone, turned into points, and the points judged on orders that were not fitted.

use orderguard_features::language::spec::FeatureKind;
use orderguard_features::matrix::Matrix;
use orderguard_inference::model::{Characteristic, LinearModel, PointScale, ScoreBin, Scorecard};
use orderguard_inference::scorecard::raw_score_naive;
use rayon::prelude::*;

use crate::logistic::{FitLinearError, Progress};
use crate::newton::{Fit, Target, log_loss};
use crate::param_error::ParamError;
use crate::samples::Samples;
use crate::standardise::{Columns, Lines, Part};
use crate::woe::{Binned, Counts, Limits, Trend, bin_feature, weight_of_evidence};

/// The absolute penalty falls to this share of itself from step to step.
const FADE: f64 = 0.75;
/// Steps of the path.
pub const N_STRENGTHS: usize = 20;
/// Most features whose bins are weighed; those of the highest information value.
const MAX_CANDIDATES: usize = 200;

/// How a scorecard is fitted.
#[derive(Clone, Debug, PartialEq)]
pub struct ScorecardParams {
    /// What points mean; by default 500 points stand for 50 honest orders to one fraud, and 20 more double the odds of fraud.
    /// Score within 1e6 of 0, odds in (0, 1e6], points to double in [1, 1e4].
    pub scale: PointScale,
    /// Most features of the card, 1 to 200, default 20. Fewer are easier to read.
    pub max_characteristics: usize,
    /// Least information value of a feature, from 0 on, default 0.02.
    pub min_information: f64,
    /// Most bins of a feature beside those of special and missing values, 2 to 32, default 6.
    pub max_bins: usize,
    /// Least share of the orders in a bin, 0 to 0.5, default 0.02.
    pub min_share: f64,
    /// Fewest orders of each class in a bin, from 1 on, default 5.
    pub min_class: usize,
    /// Log likelihood that a cut must gain, from 0 on, default 2 (about the 5 % level). More merges more bins.
    pub min_gain: f64,
    /// Which way the share of fraud may go, by position of the feature; [`Trend::Auto`] for the others.
    pub trends: Vec<(u32, Trend)>,
    /// Values with a bin of their own, by position of the feature; first-seen values have theirs anyway.
    pub specials: Vec<(u32, f32)>,
    /// Square penalty on the weights of the chosen features, above 0, default 1.
    pub ridge: f64,
}

impl Default for ScorecardParams {
    fn default() -> Self {
        Self {
            scale: PointScale { base_score: 500.0, base_odds: 50.0, points_to_double: 20.0 },
            max_characteristics: 20,
            min_information: 0.02,
            max_bins: 6,
            min_share: 0.02,
            min_class: 5,
            min_gain: 2.0,
            trends: Vec::new(),
            specials: Vec::new(),
            ridge: 1.0,
        }
    }
}

/// Parameters whose ranges were checked.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedScorecardParams(ScorecardParams);

impl ScorecardParams {
    /// Checks every range.
    ///
    /// # Errors
    /// [`ParamError`] with the first parameter outside its range.
    pub fn check(self) -> Result<CheckedScorecardParams, ParamError> {
        let refuse = |name, found: f64, range| Err(ParamError::out_of_range(name, found, range));
        let PointScale { base_score, base_odds, points_to_double } = self.scale;
        if !(-1e6..=1e6).contains(&base_score) {
            return refuse("base_score", base_score, "within 1e6 of 0");
        }
        if !(base_odds > 0.0 && base_odds <= 1e6) {
            return refuse("base_odds", base_odds, "(0, 1e6]");
        }
        if !(1.0..=1e4).contains(&points_to_double) {
            return refuse("points_to_double", points_to_double, "[1, 1e4]");
        }
        if !matches!(self.max_characteristics, 1..=MAX_CANDIDATES) {
            return refuse("max_characteristics", self.max_characteristics as f64, "1 to 200");
        }
        if !(self.min_information >= 0.0 && self.min_information.is_finite()) {
            return refuse("min_information", self.min_information, "[0, inf)");
        }
        if !matches!(self.max_bins, 2..=32) {
            return refuse("max_bins", self.max_bins as f64, "2 to 32");
        }
        if !(0.0..=0.5).contains(&self.min_share) {
            return refuse("min_share", self.min_share, "[0, 0.5]");
        }
        if self.min_class == 0 {
            return refuse("min_class", 0.0, "1 or more");
        }
        if !(self.min_gain >= 0.0 && self.min_gain.is_finite()) {
            return refuse("min_gain", self.min_gain, "[0, inf)");
        }
        if !(self.ridge > 0.0 && self.ridge.is_finite()) {
            return refuse("ridge", self.ridge, "(0, inf)");
        }
        if let Some((_, found)) = self.specials.iter().find(|(_, value)| !value.is_finite()) {
            return refuse("specials", f64::from(*found), "finite numbers");
        }
        Ok(CheckedScorecardParams(self))
    }
}

impl CheckedScorecardParams {
    /// The checked values.
    pub fn get(&self) -> &ScorecardParams {
        &self.0
    }
}

/// One step of the path.
#[derive(Clone, Debug, PartialEq)]
pub struct ScorecardStep {
    /// The absolute penalty as a share of the one that leaves no feature.
    pub penalty_share: f64,
    /// Features of the card; over folds, the sum.
    pub n_characteristics: usize,
    /// Mean log loss of the points on the orders not fitted; `None` without any.
    pub validation_log_loss: Option<f64>,
    /// Average precision on the orders not fitted; `None` without any fraud.
    pub validation_average_precision: Option<f64>,
}

/// A fitted scorecard.
#[derive(Clone, Debug, PartialEq)]
pub struct ScorecardFit {
    /// The card.
    pub card: Scorecard,
    /// Position of its step on the path, for [`fit_scorecard_fixed`] on other orders.
    pub strength: usize,
    /// What was tried, in order.
    pub history: Vec<ScorecardStep>,
    /// Per feature, the standard deviation of its points over the training orders, in log-odds.
    pub importance: Vec<f64>,
}

/// The choice of a step over folds of the training orders.
#[derive(Clone, Debug, PartialEq)]
pub struct ScorecardFolds {
    /// The chosen step, for [`fit_scorecard_fixed`] on all orders.
    pub strength: usize,
    /// What was tried, in order.
    pub history: Vec<ScorecardStep>,
    /// Raw score of every training order by the card that did not see its fold, at the chosen step.
    pub out_of_fold: Vec<f64>,
}

/// Fits the path and keeps the step whose points the validation orders like best by log loss (the earlier of equals).
///
/// `kinds` and `has_first_seen` have one entry per feature, as for [`fit_logistic`](crate::logistic::fit_logistic). Where no
/// feature has enough information, the card has none and every order the same points. O(features x rows log rows) and the
/// path, a few seconds for a million orders; same bits for any number of threads.
///
/// # Errors
/// [`FitLinearError::OneClass`], [`FitLinearError::Interrupted`].
/// # Panics
/// If `kinds` or `has_first_seen` have another length than a row: a caller's bug, never caused by data.
pub fn fit_scorecard(
    params: &CheckedScorecardParams,
    kinds: &[FeatureKind],
    has_first_seen: &[bool],
    train: &Samples,
    validation: &Samples,
    progress: &mut Progress,
) -> Result<ScorecardFit, FitLinearError> {
    let mut history: Vec<ScorecardStep> = Vec::new();
    let mut best: Option<(usize, Scorecard)> = None;
    walk_path(params, kinds, has_first_seen, train, N_STRENGTHS, &mut |mut step, card| {
        judge(&mut step, &raw_scores(&card, validation), validation.labels);
        history.push(step);
        let now = history.len() - 1;
        if best.as_ref().is_none_or(|(at, _)| is_better(&history[now], &history[*at])) {
            best = Some((now, card));
        }
        if progress(now + 1, N_STRENGTHS).is_break() { Err(FitLinearError::Interrupted) } else { Ok(()) }
    })?;
    let (strength, card) = best.expect("the path has at least one step");
    let importance = importance(&card);
    Ok(ScorecardFit { card, strength, history, importance })
}

/// Fits one step of the path, for instance on all orders after the choice was made; see [`fit_scorecard`].
///
/// # Errors
/// As [`fit_scorecard`].
pub fn fit_scorecard_fixed(
    params: &CheckedScorecardParams,
    kinds: &[FeatureKind],
    has_first_seen: &[bool],
    train: &Samples,
    strength: usize,
    progress: &mut Progress,
) -> Result<ScorecardFit, FitLinearError> {
    let mut found = None;
    let n_steps = strength.min(N_STRENGTHS - 1) + 1;
    let mut n_done = 0;
    walk_path(params, kinds, has_first_seen, train, n_steps, &mut |step, card| {
        found = Some((step, card));
        n_done += 1;
        if progress(n_done, n_steps).is_break() { Err(FitLinearError::Interrupted) } else { Ok(()) }
    })?;
    let (step, card) = found.expect("the path has at least one step");
    let importance = importance(&card);
    Ok(ScorecardFit { card, strength, history: vec![step], importance })
}

/// Chooses the step over folds: bins, features and points of each fold come from the others. `folds` has one number per
/// training order.
///
/// # Errors
/// As [`fit_scorecard`]; `OneClass` also when the orders outside one fold are all frauds or all honest.
/// # Panics
/// If `folds` has another length than `train`.
pub fn fit_scorecard_folds(
    params: &CheckedScorecardParams,
    kinds: &[FeatureKind],
    has_first_seen: &[bool],
    train: &Samples,
    folds: &[u8],
    progress: &mut Progress,
) -> Result<ScorecardFolds, FitLinearError> {
    assert_eq!(folds.len(), train.len(), "one fold per training order");
    let mut present: Vec<u8> = folds.to_vec();
    present.sort_unstable();
    present.dedup();
    let mut scores = vec![vec![0.0; train.len()]; N_STRENGTHS];
    let mut n_characteristics = [0; N_STRENGTHS];
    let mut n_done = 0;
    for &fold in &present {
        let (inside, outside): (Vec<usize>, Vec<usize>) = (0..train.len()).partition(|&i| folds[i] != fold);
        let pick =
            |of: &[usize]| -> (Vec<u32>, Vec<u8>) { of.iter().map(|&i| (train.rows[i], train.labels[i])).unzip() };
        let ((fit_rows, fit_labels), (held_rows, held_labels)) = (pick(&inside), pick(&outside));
        let fit_on = Samples { matrix: train.matrix, rows: &fit_rows, labels: &fit_labels };
        let held_out = Samples { matrix: train.matrix, rows: &held_rows, labels: &held_labels };
        let mut at = 0;
        walk_path(params, kinds, has_first_seen, &fit_on, N_STRENGTHS, &mut |step, card| {
            for (&i, score) in outside.iter().zip(raw_scores(&card, &held_out)) {
                scores[at][i] = score;
            }
            n_characteristics[at] += step.n_characteristics;
            at += 1;
            n_done += 1;
            let stop = progress(n_done, N_STRENGTHS * present.len()).is_break();
            if stop { Err(FitLinearError::Interrupted) } else { Ok(()) }
        })?;
        // A path that ended with the largest card stays there, as `fit_scorecard_fixed` does.
        for later in at..N_STRENGTHS {
            for &i in &outside {
                scores[later][i] = scores[at - 1][i];
            }
            n_characteristics[later] += n_characteristics[at - 1];
        }
    }
    if present.is_empty() {
        return Err(FitLinearError::OneClass { n_fraud: 0, n_honest: 0 });
    }
    let mut history: Vec<ScorecardStep> = Vec::new();
    for (at, scores) in scores.iter().enumerate() {
        let mut step = ScorecardStep {
            penalty_share: penalty_share(at),
            n_characteristics: n_characteristics[at],
            validation_log_loss: None,
            validation_average_precision: None,
        };
        judge(&mut step, scores, train.labels);
        history.push(step);
    }
    let best = (0..N_STRENGTHS).fold(0, |best, at| if is_better(&history[at], &history[best]) { at } else { best });
    Ok(ScorecardFolds { strength: best, history, out_of_fold: scores.swap_remove(best) })
}

fn penalty_share(at: usize) -> f64 {
    (0..=at).map(|_| FADE).product()
}

fn judge(step: &mut ScorecardStep, scores: &[f64], labels: &[u8]) {
    if scores.is_empty() {
        return;
    }
    let total: f64 = scores.iter().zip(labels).map(|(&score, &label)| log_loss(score, label)).sum();
    step.validation_log_loss = Some(total / scores.len() as f64);
    step.validation_average_precision = orderguard_evaluation::average_precision(scores, labels);
}

fn is_better(new: &ScorecardStep, old: &ScorecardStep) -> bool {
    new.validation_log_loss < old.validation_log_loss
}

/// Raw scores of all rows, in their order.
pub fn raw_scores(card: &Scorecard, samples: &Samples) -> Vec<f64> {
    let score = |row: &mut Vec<f32>, &at: &u32| {
        samples.matrix.copy_row(at as usize, row);
        raw_score_naive(card, row)
    };
    samples.rows.par_iter().map_init(|| vec![0.0; samples.matrix.n_features()], score).collect()
}

/// Takes a step and its card; an error ends the walk.
type Visit<'a> = dyn FnMut(ScorecardStep, Scorecard) -> Result<(), FitLinearError> + 'a;

/// A feature that may enter the card.
struct Candidate {
    feature: u32,
    binned: Binned,
    information: f64,
}

/// The first `n_steps` steps; fewer when a card would have too many features.
fn walk_path(
    params: &CheckedScorecardParams,
    kinds: &[FeatureKind],
    has_first_seen: &[bool],
    train: &Samples,
    n_steps: usize,
    visit: &mut Visit,
) -> Result<(), FitLinearError> {
    let params = &params.0;
    let (n_fraud, n_honest) = (train.n_fraud(), train.len() - train.n_fraud());
    if n_fraud == 0 || n_honest == 0 {
        return Err(FitLinearError::OneClass { n_fraud, n_honest });
    }
    let all = Counts { n: train.len() as u64, n_fraud: n_fraud as u64 };
    let candidates = candidates(params, kinds, has_first_seen, train, all);
    let evidence = Evidence::new(&candidates, train, all);
    let base = libm::log(n_fraud as f64 / n_honest as f64);
    let every: Vec<usize> = (0..candidates.len()).collect();
    let path = evidence.design(&every);
    let mut lasso = path.fit(base);
    let steepest = lasso.steepest();
    let mut card_before: Option<(Vec<usize>, Scorecard)> = None;
    for at in 0..n_steps {
        let penalty_share = penalty_share(at);
        lasso.run(&target(steepest * penalty_share, 1.0));
        let chosen: Vec<usize> = every.iter().copied().filter(|&j| path.weight(&lasso, j) > 0.0).collect();
        if chosen.len() > params.max_characteristics && card_before.is_some() {
            break;
        }
        let card = match card_before.take() {
            Some((before, card)) if before == chosen => card,
            _ => {
                let largest = strongest(&chosen, &path, &lasso, params.max_characteristics);
                let again = evidence.design(&largest);
                let mut fit = again.fit(base);
                fit.run(&target(params.ridge, 0.0));
                let picked: Vec<&Candidate> = largest.iter().map(|&j| &candidates[j]).collect();
                to_points(params, &picked, &again.model(&fit), all, kinds.len())
            }
        };
        card_before = Some((chosen, card.clone()));
        let n_characteristics = card.characteristics.len();
        let (validation_log_loss, validation_average_precision) = (None, None);
        visit(
            ScorecardStep { penalty_share, n_characteristics, validation_log_loss, validation_average_precision },
            card,
        )?;
    }
    Ok(())
}

fn target(lambda: f64, l1_ratio: f64) -> Target {
    Target { lambda, l1_ratio, max_iterations: 100, tolerance: 1e-6, nonnegative: true }
}

/// Of more features than a card may have, those of the largest weights.
fn strongest(chosen: &[usize], path: &Design, fit: &Fit, most: usize) -> Vec<usize> {
    let mut order = chosen.to_vec();
    order.sort_by(|&a, &b| path.weight(fit, b).total_cmp(&path.weight(fit, a)).then(a.cmp(&b)));
    order.truncate(most);
    order.sort_unstable();
    order
}

fn candidates(
    params: &ScorecardParams,
    kinds: &[FeatureKind],
    has_first_seen: &[bool],
    train: &Samples,
    all: Counts,
) -> Vec<Candidate> {
    assert_eq!(kinds.len(), train.matrix.n_features(), "one kind per feature");
    assert_eq!(has_first_seen.len(), train.matrix.n_features(), "one first-seen flag per feature");
    let limits = Limits {
        max_bins: params.max_bins,
        min_orders: (params.min_share * train.len() as f64).ceil() as u64,
        min_class: params.min_class as u64,
        min_gain: params.min_gain,
    };
    let mut candidates: Vec<Candidate> = (0..kinds.len())
        .into_par_iter()
        .map(|feature| {
            let trend = params.trends.iter().find(|(of, _)| *of as usize == feature).map_or(Trend::Auto, |t| t.1);
            let specials: Vec<f32> =
                params.specials.iter().filter(|(of, _)| *of as usize == feature).map(|s| s.1).collect();
            let binned =
                bin_feature(train, feature, kinds[feature], has_first_seen[feature], &specials, trend, &limits);
            Candidate { feature: feature as u32, information: binned.information(all), binned }
        })
        .filter(|candidate| candidate.information > 0.0 && candidate.information >= params.min_information)
        .collect();
    candidates.sort_by(|a, b| b.information.total_cmp(&a.information).then(a.feature.cmp(&b.feature)));
    candidates.truncate(MAX_CANDIDATES);
    candidates
}

/// Weights of evidence of all training orders, a column per candidate.
struct Evidence<'a> {
    matrix: Matrix,
    rows: Vec<u32>,
    labels: &'a [u8],
}

impl<'a> Evidence<'a> {
    fn new(candidates: &[Candidate], train: &Samples<'a>, all: Counts) -> Self {
        let columns: Vec<Vec<f32>> = candidates
            .par_iter()
            .map(|candidate| {
                let weights: Vec<f32> =
                    candidate.binned.bins().map(|bin| weight_of_evidence(bin, all) as f32).collect();
                let cells = train.matrix.column(candidate.feature as usize);
                train.rows.iter().map(|&row| weights[candidate.binned.position(cells[row as usize])]).collect()
            })
            .collect();
        Self {
            matrix: Matrix::from_columns(train.len(), candidates.len(), columns.concat()),
            rows: (0..train.len() as u32).collect(),
            labels: train.labels,
        }
    }

    /// The columns of some candidates.
    fn design(&self, chosen: &[usize]) -> Design {
        let values: Vec<f32> = chosen.iter().flat_map(|&j| self.matrix.column(j)).copied().collect();
        let matrix = Matrix::from_columns(self.rows.len(), chosen.len(), values);
        let samples = Samples { matrix: &matrix, rows: &self.rows, labels: self.labels };
        let columns = Columns::new(
            &vec![FeatureKind::Numeric; chosen.len()],
            &vec![false; chosen.len()],
            Lines::STRAIGHT,
            &samples,
        );
        Design { parts: columns.apply(&samples), columns }
    }
}

struct Design {
    columns: Columns,
    parts: Vec<Part>,
}

impl Design {
    fn fit(&self, base: f64) -> Fit<'_> {
        Fit::new(&self.parts, self.columns.shape, base)
    }

    fn model(&self, fit: &Fit) -> LinearModel {
        self.columns.model(&fit.weights)
    }

    /// Weight of the j-th candidate; 0 where its column is constant.
    fn weight(&self, fit: &Fit, j: usize) -> f64 {
        self.columns.slot_of(j).map_or(0.0, |slot| fit.weights[slot])
    }
}

/// Whole points. Of each characteristic the least risky bin has none; what that takes away stands in `start`.
fn to_points(
    params: &ScorecardParams,
    candidates: &[&Candidate],
    model: &LinearModel,
    all: Counts,
    n_features: usize,
) -> Scorecard {
    let unit = params.scale.points_to_double / std::f64::consts::LN_2;
    let mut start = model.intercept;
    let mut characteristics = Vec::new();
    for term in &model.terms {
        let candidate = candidates[term.feature() as usize];
        let log_odds = |bin: Counts| term.contribution(weight_of_evidence(bin, all) as f32);
        let least = candidate.binned.bins().map(log_odds).fold(f64::INFINITY, f64::min);
        start += least;
        let bin = |counts: Counts| ScoreBin {
            points: ((log_odds(counts) - least) * unit).round() as i32,
            n_orders: counts.n,
            n_fraud: counts.n_fraud,
        };
        let feature = candidate.feature;
        characteristics.push(match &candidate.binned {
            Binned::Numeric { specials, upper, bins, missing } => Characteristic::Numeric {
                feature,
                specials: specials.iter().map(|&(value, counts)| (value, bin(counts))).collect(),
                upper: upper.clone(),
                bins: bins.iter().map(|&counts| bin(counts)).collect(),
                missing: bin(*missing),
            },
            Binned::Categorical { groups, bins, missing } => Characteristic::Categorical {
                feature,
                groups: groups.clone(),
                bins: bins.iter().map(|&counts| bin(counts)).collect(),
                missing: bin(*missing),
            },
        });
    }
    let start = params.scale.points(start).round() as i32;
    Scorecard { n_features: n_features as u32, scale: params.scale, start, characteristics }
}

fn importance(card: &Scorecard) -> Vec<f64> {
    let unit = std::f64::consts::LN_2 / card.scale.points_to_double;
    let mut importance = vec![0.0; card.n_features as usize];
    for characteristic in &card.characteristics {
        let sum = |of: &dyn Fn(&ScoreBin) -> f64| characteristic.bins().map(of).sum::<f64>();
        let n = sum(&|bin| bin.n_orders as f64);
        let mean = sum(&|bin| bin.n_orders as f64 * f64::from(bin.points)) / n;
        let spread = |bin: &ScoreBin| bin.n_orders as f64 * (f64::from(bin.points) - mean).powi(2);
        importance[characteristic.feature() as usize] = (sum(&spread) / n).sqrt() * unit;
    }
    importance
}
