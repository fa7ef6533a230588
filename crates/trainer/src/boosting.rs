//! The round loop: gradients, one tree, new scores, and when to stop.

use std::fmt;
use std::ops::{ControlFlow, Range};

use orderguard_features::language::spec::FeatureKind;
use orderguard_features::matrix::Matrix;
use orderguard_inference::model::{Forest, Tree};
use rayon::prelude::*;

use crate::binning::BinnedMatrix;
use crate::grower::{Grower, GrownNode, Task};
use crate::histogram::Packing;
use crate::loss::write_gradients;
use crate::numeric::{GRADIENT_BITS, HESSIAN_BITS, SCALE_BITS, from_fixed, hash_limit, hash3, logit, to_fixed};
use crate::params::CheckedGbtParams;
use crate::samples::Samples;
use crate::splitting::Judge;
use crate::validation::average_precision;

/// Most rows of a fit, training and validation together.
pub const MAX_ROWS: usize = 1 << 30;
/// Rows whose scores one task updates.
const TASK_ROWS: usize = 1 << 14;
/// Keys that keep the draws of rows and of features apart.
const ROW_DRAW: u64 = 1 << 32;
const FEATURE_DRAW: u64 = 2 << 32;

/// What a round brought; handed to the caller after each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RoundReport {
    /// Number of this round, from 1.
    pub round: usize,
    /// Most rounds there will be.
    pub n_rounds: usize,
    /// Average precision on the validation rows (mean over folds), when there are any.
    pub metric: Option<f64>,
}

/// Called after each round; `Break` ends the fit and keeps the best so far.
pub type Progress<'a> = &'a mut dyn FnMut(&RoundReport) -> ControlFlow<()>;

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
#[derive(Clone, Debug, PartialEq, Eq)]
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
            Self::TooManyRows { found } => write!(f, "at most {MAX_ROWS} rows can be fitted, found {found}"),
        }
    }
}

impl std::error::Error for FitError {}

/// Fits trees on `train` until average precision on `valid` stops rising, and keeps the best round.
///
/// `kinds` has one entry per feature. The metric of a round is averaged over the last `metric_window` rounds before it is
/// compared, equal ones keep the earlier round, and `patience` rounds without a better one end the fit. O(rounds * (rows *
/// features / 8 .. rows * features)) time; memory is one byte per cell and about 30 per row.
///
/// The same samples in the same order, parameters and seed give the same bits for any number of threads.
///
/// # Errors
/// [`FitError::NoRows`], [`FitError::OneClass`], [`FitError::NoFraudInValidation`] and [`FitError::TooManyRows`].
///
/// # Panics
/// If `kinds`, the matrices and the labels disagree about lengths: a caller's bug, never caused by data.
///
/// # Reference
/// Friedman, Greedy function approximation: a gradient boosting machine (2001); Ke et al., `LightGBM` (2017), section 2.
pub fn fit(
    params: &CheckedGbtParams,
    kinds: &[FeatureKind],
    train: &Samples<'_>,
    valid: &Samples<'_>,
    progress: Progress<'_>,
) -> Result<GbtFit, FitError> {
    check_lengths(kinds, train);
    check_lengths(kinds, valid);
    let (n_train, n_valid) = (train.len(), valid.len());
    check_rows(n_train, train.n_fraud(), n_train + n_valid, None)?;
    if valid.n_fraud() == 0 {
        return Err(FitError::NoFraudInValidation { n_rows: n_valid, fold: None });
    }
    let binned = bin(params, kinds, &[train, valid]);
    let labels = [train.labels, valid.labels].concat();
    let all: Vec<u32> = (0..(n_train + n_valid) as u32).collect();
    let (train_rows, valid_rows) = all.split_at(n_train);
    let mut boosters = [Booster::new(params, &binned, &labels, train_rows.to_vec(), valid_rows.to_vec())];
    let run = run_rounds(params, &mut boosters, progress);
    let [booster] = boosters;
    let valid_scores = run.best_scores.into_iter().flatten().map(from_fixed).collect();
    Ok(booster.into_fit(kinds.len(), run.best_round, run.history, valid_scores))
}

/// Fits `n_rounds` trees on all of `samples`, without validation: for a refit with the rounds and parameters that an earlier
/// fit found. `params.n_trees` and `patience` are not used.
///
/// # Errors
/// [`FitError::NoRows`], [`FitError::OneClass`] and [`FitError::TooManyRows`].
///
/// # Panics
/// As [`fit`].
pub fn fit_rounds(
    params: &CheckedGbtParams,
    kinds: &[FeatureKind],
    samples: &Samples<'_>,
    n_rounds: usize,
    progress: Progress<'_>,
) -> Result<GbtFit, FitError> {
    check_lengths(kinds, samples);
    check_rows(samples.len(), samples.n_fraud(), samples.len(), None)?;
    let binned = bin(params, kinds, &[samples]);
    let rows = (0..samples.len() as u32).collect();
    let mut booster = Booster::new(params, &binned, samples.labels, rows, Vec::new());
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
    progress: Progress<'_>,
) -> Result<FoldFit, FitError> {
    check_lengths(kinds, samples);
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
    let mut boosters: Vec<Booster<'_>> = folds
        .iter()
        .map(|&out| {
            let (held, rows) = (0..n_rows as u32).partition(|&row| fold[row as usize] == out);
            Booster::new(params, &binned, samples.labels, rows, held)
        })
        .collect();
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
    labels: &'a [u8],
    train_rows: Vec<u32>,
    held_rows: Vec<u32>,
    held_labels: Vec<u8>,
    /// Fixed-point raw score of every row of the matrix.
    scores: Vec<i64>,
    gradients: Vec<[i32; 2]>,
    base: i64,
    grower: Grower,
    /// Rows outside the tree's sample, and scratch for sorting them into leaves.
    others: Vec<u32>,
    scratch: Vec<u32>,
    trees: Vec<Tree>,
    /// Gain of each split by tree: feature and gain.
    gains: Vec<Vec<(u32, f64)>>,
}

impl<'a> Booster<'a> {
    /// `train_rows` and `held_rows` increase and have no row in common; both classes are among the former.
    fn new(
        params: &'a CheckedGbtParams,
        binned: &'a BinnedMatrix,
        labels: &'a [u8],
        train_rows: Vec<u32>,
        held_rows: Vec<u32>,
    ) -> Self {
        let n_fraud = train_rows.iter().filter(|&&row| labels[row as usize] == 1).count();
        let base = to_fixed(logit(n_fraud as f64 / train_rows.len() as f64));
        Self {
            params,
            binned,
            labels,
            held_labels: held_rows.iter().map(|&row| labels[row as usize]).collect(),
            scores: vec![base; labels.len()],
            gradients: vec![[0, 0]; labels.len()],
            base,
            grower: Grower::default(),
            others: Vec::new(),
            scratch: Vec::new(),
            trees: Vec::new(),
            gains: Vec::new(),
            train_rows,
            held_rows,
        }
    }

    /// Fits one more tree and adds it to all scores.
    fn step(&mut self, round: usize) -> Step {
        let params = self.params;
        let total_hessian = write_gradients(&self.scores, self.labels, &mut self.gradients);
        // The sum over all rows bounds that of the training rows.
        let packing = Packing::new(
            self.train_rows.len(),
            total_hessian,
            1.0 / f64::from(1_u32 << GRADIENT_BITS),
            1.0 / (1_u64 << HESSIAN_BITS) as f64,
        );
        self.draw_rows(round);
        let allowed = self.draw_features(round);
        let task = Task {
            binned: self.binned,
            gradients: &self.gradients,
            judge: Judge::new(params, packing),
            params,
            allowed: &allowed,
        };
        let (tree, leaves) = self.grower.grow(&task);
        let sampled = params.row_fraction < 1.0 || params.feature_fraction < 1.0;
        if tree.nodes.len() == 1 && !sampled {
            return Step::Stuck;
        }
        self.scratch.resize(self.others.len(), 0);
        let other_leaves = tree.sort_into_leaves(self.binned, &mut self.others, &mut self.scratch);
        add_leaves(&mut self.scores, &self.grower.rows, &leaves);
        add_leaves(&mut self.scores, &self.others, &other_leaves);
        let gains = tree.nodes.iter().filter_map(|node| match node {
            GrownNode::Split { split, .. } => Some((self.binned.features()[split.column].feature, split.gain)),
            GrownNode::Leaf { .. } => None,
        });
        self.gains.push(gains.collect());
        self.trees.push(tree.into_tree(self.binned));
        Step::Grew
    }

    /// Divides the training rows into those that the tree sees and, with the held rows, the others.
    fn draw_rows(&mut self, round: usize) {
        let (seen, others) = (&mut self.grower.rows, &mut self.others);
        seen.clear();
        others.clear();
        others.extend(&self.held_rows);
        if self.params.row_fraction >= 1.0 {
            seen.extend(&self.train_rows);
            return;
        }
        let limit = hash_limit(self.params.row_fraction);
        let key = ROW_DRAW + round as u64;
        for &row in &self.train_rows {
            let drawn = hash3(self.params.seed, key, u64::from(row)) <= limit;
            if drawn { seen.push(row) } else { others.push(row) }
        }
        others.sort_unstable();
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
        average_precision(&self.held_scores(), &self.held_labels)
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

/// Adds each leaf's value to the scores of its rows. Rows of a leaf increase, so that each task finds its own stretch of every
/// leaf by bisection and writes to its own stretch of the scores.
fn add_leaves(scores: &mut [i64], rows: &[u32], leaves: &[(Range<usize>, i32)]) {
    scores.par_chunks_mut(TASK_ROWS).enumerate().for_each(|(task, scores)| {
        let first = (task * TASK_ROWS) as u32;
        let end = first + scores.len() as u32;
        for (range, value) in leaves {
            let rows = &rows[range.clone()];
            let from = rows.partition_point(|&row| row < first);
            let to = from + rows[from..].partition_point(|&row| row < end);
            for &row in &rows[from..to] {
                scores[(row - first) as usize] += i64::from(*value);
            }
        }
    });
}
