//! The round loop: gradients, one tree, new scores, and when to stop.

use std::fmt;
use std::ops::ControlFlow;

use orderguard_features::language::spec::FeatureKind;
use orderguard_features::matrix::Matrix;
use orderguard_inference::model::{Forest, Tree};

use crate::apply::add_tree;
use crate::binning::BinnedMatrix;
use crate::constraints::{Constraints, resolve};
use crate::grower::{Grower, GrownNode, Task};
use crate::histogram::{Layout, Scale};
use crate::loss::{DrawRule, Drawn, Targets};
use crate::numeric::{SCALE_BITS, from_fixed, hash3, logit, to_fixed};
use crate::param_error::ParamError;
use crate::params::CheckedGbtParams;
use crate::samples::Samples;
use crate::splitting::Judge;
use crate::validation::{HeldMeasure, Measure};
use crate::vector::Width;

/// Most rows of a fit, training and validation together.
pub const MAX_ROWS: usize = 1 << 30;
/// Key that keeps the draws of features apart from those of rows.
const FEATURE_DRAW: u64 = 2 << 32;

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

/// Called after each round; `Break` ends the fit and keeps the best so far.
pub type Progress<'a> = &'a mut dyn FnMut(&RoundReport) -> ControlFlow<()>;

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
}

/// Fitted trees and how they came about.
#[derive(Clone, Debug, PartialEq)]
pub struct GbtFit {
    /// The trees, as many as `best_round`.
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

/// Data on which no trees can be fitted.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum FitError {
    /// Nothing to fit on.
    NoRows,
    /// Only frauds or only honest orders in training; `fold` names the fold that was left out.
    OneClass {
        /// Training rows.
        n_rows: usize,
        /// Frauds among them.
        n_fraud: usize,
        /// The fold left out, in a fit over folds.
        fold: Option<u8>,
    },
    /// The validation rows (of a fold) hold no fraud, so that no metric is defined there.
    NoFraudInValidation {
        /// Validation rows.
        n_rows: usize,
        /// The fold, in a fit over folds.
        fold: Option<u8>,
    },
    /// All samples are in one fold.
    OneFold,
    /// A weight is negative, infinite or NaN.
    BadWeight {
        /// The sample.
        sample: usize,
        /// Its weight.
        weight: f64,
    },
    /// All frauds or all honest orders of the training part weigh nothing.
    NoWeight,
    /// The measure of early stopping is outside its range.
    BadMeasure(ParamError),
    /// A constraint names a feature that is not there.
    UnknownFeature {
        /// The feature's position.
        feature: u32,
        /// Number of features.
        n_features: usize,
    },
    /// A direction is asked of a categorical feature, whose levels have no order.
    NotNumeric {
        /// The feature's position.
        feature: u32,
    },
    /// A feature is to rise and to fall.
    Contradiction {
        /// The feature's position.
        feature: u32,
    },
    /// More rows than [`MAX_ROWS`].
    TooManyRows {
        /// Rows given.
        found: usize,
    },
}

impl fmt::Display for FitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of_fold = |fold: &Option<u8>| fold.map_or(String::new(), |fold| format!(" (fold {fold} left out)"));
        match self {
            Self::NoRows => f.write_str("there are no labelled rows to fit on"),
            Self::OneClass { n_rows, n_fraud, fold } => write!(
                f,
                "training needs frauds and honest orders: found {n_fraud} frauds in {n_rows} rows{}",
                of_fold(fold)
            ),
            Self::NoFraudInValidation { n_rows, fold: None } => {
                write!(f, "validation needs frauds: found none in {n_rows} rows")
            }
            Self::NoFraudInValidation { n_rows, fold: Some(fold) } => {
                write!(f, "each fold needs frauds: found none in the {n_rows} rows of fold {fold}")
            }
            Self::OneFold => f.write_str("a fit over folds needs at least two folds, found one"),
            Self::BadWeight { sample, weight } => {
                write!(f, "weight of sample {sample}: expected 0 or more, finite, found {weight}")
            }
            Self::NoWeight => f.write_str("training needs frauds and honest orders that weigh more than 0"),
            Self::BadMeasure(error) => write!(f, "measure of early stopping: {error}"),
            Self::UnknownFeature { feature, n_features } => {
                write!(f, "a constraint names feature {feature} of {n_features}")
            }
            Self::NotNumeric { feature } => write!(f, "feature {feature} is categorical and has no direction"),
            Self::Contradiction { feature } => write!(f, "feature {feature} is to rise and to fall"),
            Self::TooManyRows { found } => write!(f, "at most {MAX_ROWS} rows can be fitted, found {found}"),
        }
    }
}

impl std::error::Error for FitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::BadMeasure(error) => Some(error),
            _ => None,
        }
    }
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
    let extra = Extra::new(extras, train.len(), valid.len())?;
    let (n_train, n_valid) = (train.len(), valid.len());
    check_rows(n_train, train.n_fraud(), n_train + n_valid, None)?;
    if valid.n_fraud() == 0 {
        return Err(FitError::NoFraudInValidation { n_rows: n_valid, fold: None });
    }
    let binned = bin(params, kinds, &[train, valid]);
    let labels = [train.labels, valid.labels].concat();
    let all: Vec<u32> = (0..(n_train + n_valid) as u32).collect();
    let (train_rows, valid_rows) = all.split_at(n_train);
    assert!(extras.measure.len().is_none_or(|n| n == n_valid), "the measure has one entry for each validation sample");
    let constraints = resolve(params, kinds, &binned)?;
    let (targets, measure) = (extra.targets(&labels), extras.measure.of(0..n_valid));
    let (train_rows, valid_rows) = (train_rows.to_vec(), valid_rows.to_vec());
    let mut boosters = [Booster::new(params, &binned, constraints, targets, train_rows, (valid_rows, measure))?];
    let run = run_rounds(params, &mut boosters, progress);
    let [booster] = boosters;
    let valid_scores = run.best_scores.into_iter().flatten().map(from_fixed).collect();
    Ok(booster.into_fit(kinds.len(), run.best_round, run.history, valid_scores))
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
    let extra = Extra::new(extras, samples.len(), 0)?;
    check_rows(samples.len(), samples.n_fraud(), samples.len(), None)?;
    let binned = bin(params, kinds, &[samples]);
    let rows = (0..samples.len() as u32).collect();
    let constraints = resolve(params, kinds, &binned)?;
    let none_held = (Vec::new(), HeldMeasure::AveragePrecision);
    let mut booster = Booster::new(params, &binned, constraints, extra.targets(samples.labels), rows, none_held)?;
    let mut history = Vec::new();
    for round in 1..=n_rounds {
        if booster.step(round) == Step::Stuck {
            break;
        }
        let report = RoundReport { round, n_rounds, metric: None };
        history.push(report);
        if progress(&report).is_break() {
            break;
        }
    }
    let best_round = booster.trees.len();
    Ok(booster.into_fit(kinds.len(), best_round, history, Vec::new()))
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
    let extra = Extra::new(extras, samples.len(), 0)?;
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
    let binned = bin(params, kinds, &[samples]);
    assert!(extras.measure.len().is_none_or(|n| n == n_rows), "the measure has one entry for each sample");
    let constraints = resolve(params, kinds, &binned)?;
    let booster_without = |&out: &u8| {
        let (held, rows): (Vec<u32>, _) = (0..n_rows as u32).partition(|&row| fold[row as usize] == out);
        let measure = extras.measure.of(held.iter().map(|&row| row as usize));
        let targets = extra.targets(samples.labels);
        Booster::new(params, &binned, constraints.clone(), targets, rows, (held, measure))
    };
    let mut boosters: Vec<Booster<'_>> = folds.iter().map(booster_without).collect::<Result<_, _>>()?;
    let run = run_rounds(params, &mut boosters, progress);
    let mut out_of_fold_scores = vec![0.0; n_rows];
    for (booster, scores) in boosters.iter().zip(run.best_scores) {
        for (&row, score) in booster.held_rows.iter().zip(scores) {
            out_of_fold_scores[row as usize] = from_fixed(score);
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
    /// `n_held` rows without extras stand after the training samples.
    fn new(extras: &Extras<'a>, n_train: usize, n_held: usize) -> Result<Self, FitError> {
        extras.measure.check().map_err(FitError::BadMeasure)?;
        let weights = extras.weights.map(|weights| -> Result<Vec<f32>, FitError> {
            assert_eq!(weights.len(), n_train, "one weight for each training sample");
            let bad = weights.iter().position(|&weight| !(0.0..f64::INFINITY).contains(&weight));
            if let Some(sample) = bad {
                return Err(FitError::BadWeight { sample, weight: weights[sample] });
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

fn bin(params: &CheckedGbtParams, kinds: &[FeatureKind], parts: &[&Samples<'_>]) -> BinnedMatrix {
    let parts: Vec<(&Matrix, &[u32])> = parts.iter().map(|samples| (samples.matrix, samples.rows)).collect();
    BinnedMatrix::new(kinds, &parts, params.max_bins)
}

struct Run {
    best_round: usize,
    history: Vec<RoundReport>,
    /// Fixed-point scores of each booster's held rows after the best round.
    best_scores: Vec<Vec<i64>>,
}

/// Steps all boosters together until the mean metric of their held rows stops rising.
fn run_rounds(params: &CheckedGbtParams, boosters: &mut [Booster<'_>], progress: Progress<'_>) -> Run {
    let held_scores = |boosters: &[Booster<'_>]| boosters.iter().map(Booster::held_scores).collect();
    let mut run = Run { best_round: 0, history: Vec::new(), best_scores: held_scores(boosters) };
    let mut best = f64::NEG_INFINITY;
    let mut last_better = 0;
    for round in 1..=params.n_trees {
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
        let window = &run.history[round.saturating_sub(params.metric_window)..];
        let smooth = window.iter().filter_map(|report| report.metric).sum::<f64>() / window.len() as f64;
        if smooth > best {
            best = smooth;
            last_better = round;
            run.best_round = round;
            run.best_scores = held_scores(boosters);
        }
        let tired = params.patience > 0 && round - last_better >= params.patience;
        if progress(&report).is_break() || tired {
            break;
        }
    }
    run
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// A tree was added.
    Grew,
    /// No leaf can be split any more.
    Stuck,
}

/// One fit in progress: some rows of a binned matrix train, some are only scored.
struct Booster<'a> {
    params: &'a CheckedGbtParams,
    binned: &'a BinnedMatrix,
    layout: Layout,
    constraints: Constraints,
    width: Width,
    scale: Scale,
    targets: Targets<'a>,
    train_rows: Vec<u32>,
    held_rows: Vec<u32>,
    held_labels: Vec<u8>,
    measure: HeldMeasure,
    /// Fixed-point raw score of every row of the matrix.
    scores: Vec<i64>,
    base: i64,
    drawn: Drawn,
    grower: Grower,
    trees: Vec<Tree>,
    /// Gain of each split by tree: feature and gain.
    gains: Vec<Vec<(u32, f64)>>,
}

impl<'a> Booster<'a> {
    /// `train_rows` and `held_rows` increase and have no row in common; both classes are among the former.
    fn new(
        params: &'a CheckedGbtParams,
        binned: &'a BinnedMatrix,
        constraints: Constraints,
        targets: Targets<'a>,
        train_rows: Vec<u32>,
        (held_rows, measure): (Vec<u32>, HeldMeasure),
    ) -> Result<Self, FitError> {
        let labels = targets.labels;
        let weight = |row: u32| targets.weights.map_or(1.0, |weights| f64::from(weights[row as usize]));
        let (mut fraud, mut all, mut max_weight) = (0.0, 0.0, 0.0_f64);
        for &row in &train_rows {
            all += weight(row);
            fraud += if labels[row as usize] == 1 { weight(row) } else { 0.0 };
            max_weight = max_weight.max(weight(row));
        }
        if !(fraud > 0.0 && fraud < all) {
            return Err(FitError::NoWeight);
        }
        let base = to_fixed(logit(fraud / all));
        let rule =
            DrawRule { easy_row_limit: params.easy_row_limit, row_fraction: params.row_fraction, seed: params.seed };
        let (width, scale) = (Width::best(), rule.scale(train_rows.len(), max_weight));
        Ok(Self {
            params,
            binned,
            layout: Layout::new(binned.features()),
            constraints,
            width,
            scale,
            targets,
            held_labels: held_rows.iter().map(|&row| labels[row as usize]).collect(),
            measure,
            scores: vec![base; labels.len()],
            base,
            drawn: Drawn::new(width, rule, scale),
            grower: Grower::default(),
            trees: Vec::new(),
            gains: Vec::new(),
            train_rows,
            held_rows,
        })
    }

    /// Fits one more tree and adds it to all scores.
    fn step(&mut self, round: usize) -> Step {
        let params = self.params;
        self.drawn.draw(round, self.binned, &self.train_rows, &self.scores, self.targets);
        let allowed = self.draw_features(round);
        let task = Task {
            binned: self.binned,
            layout: &self.layout,
            source: self.drawn.source(self.binned),
            judge: Judge::new(params, self.scale, self.width),
            params,
            learning_rate: params.rate_of_round(round),
            allowed: &allowed,
            constraints: &self.constraints,
        };
        let tree = self.grower.grow(&task, self.drawn.len(), self.drawn.total());
        let sampled = self.drawn.len() < self.train_rows.len() || params.feature_fraction < 1.0;
        if tree.nodes.len() == 1 && !sampled {
            return Step::Stuck;
        }
        add_tree(self.width, &tree, self.binned, &mut self.scores);
        let gains = tree.nodes.iter().filter_map(|node| match node {
            GrownNode::Split { split, .. } => Some((self.binned.features()[split.column].feature, split.gain)),
            GrownNode::Leaf { .. } => None,
        });
        self.gains.push(gains.collect());
        self.trees.push(tree.into_tree(self.binned));
        Step::Grew
    }

    /// Which binned features the tree may use: those with the lowest hashes, at least one.
    fn draw_features(&self, round: usize) -> Vec<bool> {
        let features = self.binned.features();
        let mut allowed = vec![true; features.len()];
        if self.params.feature_fraction < 1.0 {
            let key = FEATURE_DRAW + round as u64;
            let n_allowed = ((features.len() as f64 * self.params.feature_fraction).round() as usize).max(1);
            let mut order: Vec<usize> = (0..features.len()).collect();
            order.sort_by_key(|&column| (hash3(self.params.seed, key, u64::from(features[column].feature)), column));
            order.iter().skip(n_allowed).for_each(|&column| allowed[column] = false);
        }
        allowed
    }

    fn held_scores(&self) -> Vec<i64> {
        self.held_rows.iter().map(|&row| self.scores[row as usize]).collect()
    }

    fn metric(&self) -> Option<f64> {
        self.measure.of(&self.held_scores(), &self.held_labels)
    }

    fn into_fit(
        mut self,
        n_features: usize,
        best_round: usize,
        history: Vec<RoundReport>,
        valid_scores: Vec<f64>,
    ) -> GbtFit {
        self.trees.truncate(best_round);
        let mut importance = vec![0.0; n_features];
        for &(feature, gain) in self.gains.iter().take(best_round).flatten() {
            importance[feature as usize] += gain;
        }
        let forest =
            Forest { n_features: n_features as u32, base: self.base, scale_bits: SCALE_BITS, trees: self.trees };
        GbtFit { forest, best_round, history, importance, valid_scores }
    }
}
