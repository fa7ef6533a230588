//! The round loop: gradients, one tree, new scores, and when to stop.

use std::ops::{ControlFlow, Deref};

use orderguard_features::language::spec::FeatureKind;
use orderguard_features::matrix::Matrix;
use orderguard_inference::model::Forest;

use crate::binning::BinnedMatrix;
use crate::booster::{Booster, Step};
use crate::constraints::resolve;
pub use crate::fit_error::{FitError, StartError};
use crate::loss::Targets;
use crate::numeric::from_fixed;
use crate::params::CheckedGbtParams;
use crate::samples::Samples;
use crate::snapshot::{Snapshot, restore};
use crate::start::Start;
use crate::thinning::{Thinned, prior_shift};
use crate::validation::{HeldMeasure, Measure};

/// Most rows of a fit, training and validation together.
pub const MAX_ROWS: usize = 1 << 30;

/// What a round brought; handed to the caller after each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RoundReport {
    /// Number of this round, from 1.
    pub round: usize,
    /// Most rounds there will be.
    pub n_rounds: usize,
    /// The measure of the validation rows (mean over folds), when there are any; average precision unless another was asked for.
    pub metric: Option<f64>,
}

/// A round that was just fitted, and the fit as it stands.
pub struct Round<'a> {
    report: RoundReport,
    history: &'a [RoundReport],
    boosters: &'a [Booster<'a>],
}

impl Deref for Round<'_> {
    type Target = RoundReport;

    fn deref(&self) -> &RoundReport {
        &self.report
    }
}

impl Round<'_> {
    /// All that a later run needs to go on from here. Copies the trees.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.history, self.boosters)
    }
}

/// Called after each round; `Break` ends the fit and keeps the best so far.
pub type Progress<'a> = &'a mut dyn FnMut(&Round<'_>) -> ControlFlow<()>;

/// What a fit may be told of its training samples beside features and labels; one entry per sample each.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extras<'a> {
    /// How much each sample counts, 0 or more; only proportions matter. None: all the same. See [`crate::weights`].
    pub weights: Option<&'a [f64]>,
    /// What the draws of a sample depend on beside seed and round, such as a hash of the order's id; samples of one key are
    /// drawn alike. None: the sample's position.
    pub keys: Option<&'a [u32]>,
    /// What the best round is chosen by.
    pub measure: Measure<'a>,
    /// A model whose trees are kept and added to, from its scores on; such a fit counts its own rounds. Constraints hold for
    /// the trees that are added. None: from the base rate.
    pub start: Option<&'a Forest>,
    /// Where an earlier run of the same fit was stopped: same data, parameters and extras. The result is that of a fit that
    /// was never stopped, to the bit.
    pub resume: Option<&'a Snapshot>,
}

/// Fitted trees and how they came about.
#[derive(Clone, Debug, PartialEq)]
pub struct GbtFit {
    /// The trees, as many as `best_round`, after those of the start.
    pub forest: Forest,
    /// Rounds kept: those up to the best validation metric, else all that were run. 0 when no feature helps.
    pub best_round: usize,
    /// One entry per round that was run.
    pub history: Vec<RoundReport>,
    /// Total gain of the splits on each feature, in feature order, over the trees kept.
    pub importance: Vec<f64>,
    /// Raw scores of the validation rows in their order, the same bits as scoring gives; empty without validation.
    pub valid_scores: Vec<f64>,
}

/// The number of rounds that is best on average over folds, and what each row scores in a model that did not see it.
#[derive(Clone, Debug, PartialEq)]
pub struct FoldFit {
    /// Rounds with the best mean metric over the folds.
    pub best_round: usize,
    /// One entry per round that was run.
    pub history: Vec<RoundReport>,
    /// Raw score of each row after `best_round` rounds fitted on the other folds.
    pub out_of_fold_scores: Vec<f64>,
}

/// Fits trees on `train` until the measure of `valid` (average precision, where `extras` names no other) stops rising, and keeps the best round.
///
/// `kinds` has one entry per feature. The metric of a round is averaged over the last `metric_window` rounds before it is
/// compared, equal ones keep the earlier round, and `patience` rounds without a better one end the fit. O(rounds * (rows *
/// leaves + rows drawn * features)) time; memory is two to three bytes per cell and about 40 per row.
///
/// The same samples in the same order, parameters and seed give the same bits for any number of threads.
///
/// # Errors
/// [`FitError::NoRows`], [`FitError::OneClass`], [`FitError::NoFraudInValidation`], [`FitError::TooManyRows`],
/// [`FitError::BadWeight`], [`FitError::NoWeight`], [`FitError::BadMeasure`] and those of constraints.
///
/// # Panics
/// If `kinds`, the matrices, the labels and the extras disagree about lengths: a caller's bug, never caused by data.
///
/// # Reference
/// Friedman, Greedy function approximation: a gradient boosting machine (2001); Ke et al., `LightGBM` (2017), section 2.
pub fn fit(
    params: &CheckedGbtParams,
    kinds: &[FeatureKind],
    train: &Samples<'_>,
    valid: &Samples<'_>,
    extras: &Extras<'_>,
    progress: Progress<'_>,
) -> Result<GbtFit, FitError> {
    check_lengths(kinds, train);
    check_lengths(kinds, valid);
    let thinned = Thinned::new(params, train, extras);
    let (train, extras) = (&thinned.samples(train), &thinned.extras(extras));
    let binned = bin(params.max_bins, kinds, &[train, valid]);
    fit_binned(params, kinds, train, valid, extras, &binned, progress)
}

/// As [`fit`], on samples that are thinned and binned already: `binned` holds the rows of `train`, then those of `valid`.
pub(crate) fn fit_binned(
    params: &CheckedGbtParams,
    kinds: &[FeatureKind],
    train: &Samples<'_>,
    valid: &Samples<'_>,
    extras: &Extras<'_>,
    binned: &BinnedMatrix,
    progress: Progress<'_>,
) -> Result<GbtFit, FitError> {
    let extra = Extra::new(params, extras, train.labels, valid.len())?;
    let (n_train, n_valid) = (train.len(), valid.len());
    check_rows(n_train, train.n_fraud(), n_train + n_valid, None)?;
    if valid.n_fraud() == 0 {
        return Err(FitError::NoFraudInValidation { n_rows: n_valid, fold: None });
    }
    let labels = [train.labels, valid.labels].concat();
    let all: Vec<u32> = (0..(n_train + n_valid) as u32).collect();
    let (train_rows, valid_rows) = all.split_at(n_train);
    assert!(extras.measure.len().is_none_or(|n| n == n_valid), "the measure has one entry for each validation sample");
    let constraints = resolve(params, kinds, binned)?;
    let (targets, measure) = (extra.targets(&labels), extras.measure.of(0..n_valid));
    let (train_rows, valid_rows) = (train_rows.to_vec(), valid_rows.to_vec());
    let parts = [train, valid];
    let start = Start::new(params, kinds.len(), extras.start, &parts)?;
    let mut boosters =
        [Booster::new(params, binned, constraints, targets, train_rows, (valid_rows, measure), start.as_ref())?];
    let run = run_rounds(params, &mut boosters, extras.resume, &parts, progress)?;
    let [booster] = boosters;
    let shift = prior_shift(params);
    let valid_scores = run.best_scores.into_iter().flatten().map(|score| from_fixed(score + shift)).collect();
    Ok(booster.into_fit(kinds.len(), run.best_round, run.history, valid_scores, extras.start))
}

/// Fits `n_rounds` trees on all of `samples`, without validation: for a refit with the rounds and parameters that an earlier
/// fit found. `params.n_trees` and `patience` are not used.
///
/// # Errors
/// [`FitError::NoRows`], [`FitError::OneClass`], [`FitError::TooManyRows`], [`FitError::BadWeight`] and [`FitError::NoWeight`].
///
/// # Panics
/// As [`fit`].
pub fn fit_rounds(
    params: &CheckedGbtParams,
    kinds: &[FeatureKind],
    samples: &Samples<'_>,
    n_rounds: usize,
    extras: &Extras<'_>,
    progress: Progress<'_>,
) -> Result<GbtFit, FitError> {
    check_lengths(kinds, samples);
    let thinned = Thinned::new(params, samples, extras);
    let (samples, extras) = (&thinned.samples(samples), &thinned.extras(extras));
    let extra = Extra::new(params, extras, samples.labels, 0)?;
    check_rows(samples.len(), samples.n_fraud(), samples.len(), None)?;
    let binned = bin(params.max_bins, kinds, &[samples]);
    let rows = (0..samples.len() as u32).collect();
    let constraints = resolve(params, kinds, &binned)?;
    let none_held = (Vec::new(), HeldMeasure::AveragePrecision);
    let start = Start::new(params, kinds.len(), extras.start, &[samples])?;
    let targets = extra.targets(samples.labels);
    let mut boosters = [Booster::new(params, &binned, constraints, targets, rows, none_held, start.as_ref())?];
    let mut history = Vec::new();
    if let Some(snapshot) = extras.resume {
        history = snapshot.history(n_rounds);
        restore(snapshot, &mut boosters, kinds.len(), history.len(), &[samples])?;
    }
    for round in history.len() + 1..=n_rounds {
        if boosters[0].step(round) == Step::Stuck {
            break;
        }
        let report = RoundReport { round, n_rounds, metric: None };
        history.push(report);
        if progress(&Round { report, history: &history, boosters: &boosters }).is_break() {
            break;
        }
    }
    let [booster] = boosters;
    let best_round = booster.trees.len();
    Ok(booster.into_fit(kinds.len(), best_round, history, Vec::new(), extras.start))
}

/// Finds the number of rounds by cross-validation: for each fold, trees are fitted on the other folds, all folds in step, and
/// the metric of a round is the mean average precision over the folds. `fold` names the fold of each sample; any numbers, at
/// least two different ones.
///
/// Bins are chosen once from all samples (they use no label). Memory and time are those of one fit per fold.
///
/// # Errors
/// As [`fit`], and [`FitError::OneFold`].
///
/// # Panics
/// As [`fit`], and if `fold` is not as long as the samples.
pub fn fit_folds(
    params: &CheckedGbtParams,
    kinds: &[FeatureKind],
    samples: &Samples<'_>,
    fold: &[u8],
    extras: &Extras<'_>,
    progress: Progress<'_>,
) -> Result<FoldFit, FitError> {
    check_lengths(kinds, samples);
    let extra = Extra::new(params, extras, samples.labels, 0)?;
    assert_eq!(fold.len(), samples.len(), "one fold for each sample");
    let n_rows = samples.len();
    check_rows(n_rows, samples.n_fraud(), n_rows, None)?;
    let mut sizes = [(0_usize, 0_usize); 256];
    for (&fold, &label) in fold.iter().zip(samples.labels) {
        sizes[usize::from(fold)].0 += 1;
        sizes[usize::from(fold)].1 += usize::from(label == 1);
    }
    let folds: Vec<u8> = (0..=u8::MAX).filter(|&fold| sizes[usize::from(fold)].0 > 0).collect();
    if folds.len() < 2 {
        return Err(FitError::OneFold);
    }
    for &fold in &folds {
        let (n_held, n_held_fraud) = sizes[usize::from(fold)];
        check_rows(n_rows - n_held, samples.n_fraud() - n_held_fraud, n_rows, Some(fold))?;
        if n_held_fraud == 0 {
            return Err(FitError::NoFraudInValidation { n_rows: n_held, fold: Some(fold) });
        }
    }
    let binned = bin(params.max_bins, kinds, &[samples]);
    assert!(extras.measure.len().is_none_or(|n| n == n_rows), "the measure has one entry for each sample");
    let constraints = resolve(params, kinds, &binned)?;
    // Easy to forget: honest orders that no tree learns from still judge.
    let thinned = Thinned::new(params, samples, extras);
    let start = Start::new(params, kinds.len(), extras.start, &[samples])?;
    let booster_without = |&out: &u8| {
        let held: Vec<u32> = (0..n_rows as u32).filter(|&row| fold[row as usize] == out).collect();
        let rows = thinned.positions(n_rows).filter(|&row| fold[row as usize] != out).collect();
        let measure = extras.measure.of(held.iter().map(|&row| row as usize));
        let targets = extra.targets(samples.labels);
        Booster::new(params, &binned, constraints.clone(), targets, rows, (held, measure), start.as_ref())
    };
    let mut boosters: Vec<Booster<'_>> = folds.iter().map(booster_without).collect::<Result<_, _>>()?;
    let run = run_rounds(params, &mut boosters, extras.resume, &[samples], progress)?;
    let shift = prior_shift(params);
    let mut out_of_fold_scores = vec![0.0; n_rows];
    for (booster, scores) in boosters.iter().zip(run.best_scores) {
        for (&row, score) in booster.held_rows.iter().zip(scores) {
            out_of_fold_scores[row as usize] = from_fixed(score + shift);
        }
    }
    Ok(FoldFit { best_round: run.best_round, history: run.history, out_of_fold_scores })
}

fn check_lengths(kinds: &[FeatureKind], samples: &Samples<'_>) {
    assert_eq!(samples.matrix.n_features(), kinds.len(), "one kind for each feature");
    assert_eq!(samples.rows.len(), samples.labels.len(), "one label for each row");
}

fn check_rows(n_rows: usize, n_fraud: usize, n_all: usize, fold: Option<u8>) -> Result<(), FitError> {
    if n_all > MAX_ROWS {
        return Err(FitError::TooManyRows { found: n_all });
    }
    if n_rows == 0 && fold.is_none() {
        return Err(FitError::NoRows);
    }
    if n_fraud == 0 || n_fraud == n_rows {
        return Err(FitError::OneClass { n_rows, n_fraud, fold });
    }
    Ok(())
}

/// Checked extras, one entry per row of the binned matrix.
struct Extra<'a> {
    weights: Option<Vec<f32>>,
    keys: Option<std::borrow::Cow<'a, [u32]>>,
}

impl<'a> Extra<'a> {
    /// `labels` are those of the training samples; `n_held` rows without extras stand after them.
    fn new(params: &CheckedGbtParams, extras: &Extras<'a>, labels: &[u8], n_held: usize) -> Result<Self, FitError> {
        extras.measure.check().map_err(FitError::BadMeasure)?;
        let n_train = labels.len();
        let given = extras.weights.map(<[f64]>::to_vec);
        let of_class = (params.fraud_weight != 1.0).then(|| vec![1.0; n_train]);
        let weights = given.or(of_class).map(|mut weights| -> Result<Vec<f32>, FitError> {
            assert_eq!(weights.len(), n_train, "one weight for each training sample");
            let bad = weights.iter().position(|&weight| !(0.0..f64::INFINITY).contains(&weight));
            if let Some(sample) = bad {
                return Err(FitError::BadWeight { sample, weight: weights[sample] });
            }
            for (weight, _) in weights.iter_mut().zip(labels).filter(|(_, label)| **label == 1) {
                *weight *= params.fraud_weight;
            }
            // Mean 1, so that limits on hessians mean the same with and without weights.
            let mean = weights.iter().sum::<f64>() / n_train as f64;
            let scaled = weights.iter().map(|&weight| if mean > 0.0 { (weight / mean) as f32 } else { 0.0 });
            Ok(scaled.chain(std::iter::repeat_n(1.0, n_held)).collect())
        });
        let keys = extras.keys.map(|keys| {
            assert_eq!(keys.len(), n_train, "one key for each training sample");
            if n_held == 0 { keys.into() } else { keys.iter().copied().chain(std::iter::repeat_n(0, n_held)).collect() }
        });
        Ok(Self { weights: weights.transpose()?, keys })
    }

    fn targets<'b>(&'b self, labels: &'b [u8]) -> Targets<'b> {
        Targets { labels, weights: self.weights.as_deref(), keys: self.keys.as_deref() }
    }
}

pub(crate) fn bin(max_bins: usize, kinds: &[FeatureKind], parts: &[&Samples<'_>]) -> BinnedMatrix {
    let parts: Vec<(&Matrix, &[u32])> = parts.iter().map(|samples| (samples.matrix, samples.rows)).collect();
    BinnedMatrix::new(kinds, &parts, max_bins)
}

struct Run {
    best_round: usize,
    history: Vec<RoundReport>,
    /// Fixed-point scores of each booster's held rows after the best round.
    best_scores: Vec<Vec<i64>>,
}

/// Steps all boosters together until the mean metric of their held rows stops rising. `parts` hold the rows of the boosters.
fn run_rounds(
    params: &CheckedGbtParams,
    boosters: &mut [Booster<'_>],
    resume: Option<&Snapshot>,
    parts: &[&Samples<'_>],
    progress: Progress<'_>,
) -> Result<Run, FitError> {
    let held_scores = |boosters: &[Booster<'_>]| boosters.iter().map(Booster::held_scores).collect();
    let mut run = Run { best_round: 0, history: Vec::new(), best_scores: held_scores(boosters) };
    let mut best = Best { value: f64::NEG_INFINITY, round: 0 };
    if let Some(snapshot) = resume {
        run.history = snapshot.history(params.n_trees);
        for round in 1..=run.history.len() {
            best.look_at(params, &run.history[..round]);
        }
        run.best_round = best.round;
        let n_features = parts[0].matrix.n_features();
        restore(snapshot, boosters, n_features, run.best_round, parts)?;
        run.best_scores = held_scores(boosters);
        restore(snapshot, boosters, n_features, run.history.len(), parts)?;
    }
    for round in run.history.len() + 1..=params.n_trees {
        if best.is_past(params, round - 1) {
            break;
        }
        let mut any_grew = false;
        for booster in boosters.iter_mut() {
            any_grew |= booster.step(round) == Step::Grew;
        }
        if !any_grew {
            break;
        }
        let sum: f64 = boosters.iter().filter_map(Booster::metric).sum();
        let report = RoundReport { round, n_rounds: params.n_trees, metric: Some(sum / boosters.len() as f64) };
        run.history.push(report);
        if best.look_at(params, &run.history) {
            run.best_round = round;
            run.best_scores = held_scores(boosters);
        }
        if progress(&Round { report, history: &run.history, boosters }).is_break() {
            break;
        }
    }
    Ok(run)
}

/// The best round so far.
struct Best {
    value: f64,
    round: usize,
}

impl Best {
    /// Compares the last round of the history with the best before; whether it is better.
    fn look_at(&mut self, params: &CheckedGbtParams, history: &[RoundReport]) -> bool {
        let smooth = smoothed(params, history);
        let better = smooth > self.value;
        if better {
            *self = Self { value: smooth, round: history.len() };
        }
        better
    }

    /// Whether `round` is so many rounds after the best that none better is expected.
    fn is_past(&self, params: &CheckedGbtParams, round: usize) -> bool {
        params.patience > 0 && round - self.round >= params.patience
    }
}

/// The metric after the last round of a history as it is compared: averaged over the last rounds.
pub(crate) fn smoothed(params: &CheckedGbtParams, history: &[RoundReport]) -> f64 {
    let window = &history[history.len().saturating_sub(params.metric_window)..];
    window.iter().filter_map(|report| report.metric).sum::<f64>() / window.len() as f64
}
