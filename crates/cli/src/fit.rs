//! Fitting one model: rounds or penalty chosen on validation or folds, then calibration and threshold on the same scores.

use std::ops::ControlFlow;

use orderguard_evaluation::threshold::{self, Aim};
use orderguard_features::language::feature::Feature;
use orderguard_features::language::spec::{FeatureKind, FeatureSpec};
use orderguard_features::matrix::Matrix;
use orderguard_inference::calibrate::probability;
use orderguard_inference::model::{Calibration, Predictor, Threshold};
use orderguard_trainer::boosting::{self, Extras};
use orderguard_trainer::calibration::fit_calibration;
use orderguard_trainer::logistic::{self, LogisticParams};
use orderguard_trainer::params::{CheckedGbtParams, GbtParams};
use orderguard_trainer::samples::Samples;

use crate::args::{ModelKind, TrainArgs};
use crate::console::Console;
use crate::failure::{Blame, Outcome};

/// Checked parameters of either learner.
pub(crate) enum Learner {
    Gbt(CheckedGbtParams),
    Logistic(logistic::CheckedLogisticParams),
}

impl Learner {
    pub(crate) fn from_args(args: &TrainArgs) -> Outcome<Self> {
        match args.model {
            ModelKind::Gbt => {
                let defaults = GbtParams::default();
                let params = GbtParams {
                    n_trees: args.trees.unwrap_or(defaults.n_trees),
                    learning_rate: args.learning_rate.unwrap_or(defaults.learning_rate),
                    max_leaves: args.leaves.unwrap_or(defaults.max_leaves),
                    min_rows_per_leaf: args.min_rows_per_leaf.unwrap_or(defaults.min_rows_per_leaf),
                    seed: args.seed,
                    ..defaults
                };
                Ok(Self::Gbt(params.check().bad_usage()?))
            }
            ModelKind::Logistic => Ok(Self::Logistic(LogisticParams::default().check().bad_usage()?)),
        }
    }

    /// The same learner with what depends on the size of the training part, where the user left it open.
    pub(crate) fn for_size(self, parts: &Parts<'_>, args: &TrainArgs) -> Outcome<Self> {
        let train = parts.train();
        match self {
            Self::Gbt(params) if args.min_rows_per_leaf.is_none() => {
                let params = GbtParams { min_rows_per_leaf: leaf_rows(train.len()), ..(*params).clone() };
                Ok(Self::Gbt(params.check().bad_usage()?))
            }
            Self::Logistic(params) if train.n_fraud() < FRAUDS_PER_FEATURE * parts.spec.len() => {
                let params = LogisticParams { knot_shares: Vec::new(), ..params.get().clone() };
                Ok(Self::Logistic(params.check().bad_usage()?))
            }
            other => Ok(other),
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Gbt(_) => "gbt",
            Self::Logistic(_) => "logistic",
        }
    }
}

/// With fewer frauds per feature, a logistic regression draws straight lines: bends would be fitted to chance (the rule of
/// ten events per variable; Peduzzi et al., Journal of Clinical Epidemiology 49, 1996).
const FRAUDS_PER_FEATURE: usize = 10;

/// Fewest rows of a leaf for a training part of `n_rows`: one in 500, from 20 to 100. A leaf must hold enough orders to
/// tell a share of fraud; where there are few orders in all, 100 would leave nothing to split.
fn leaf_rows(n_rows: usize) -> usize {
    (n_rows / 500).clamp(20, 100)
}

/// What the learners see: rows of one matrix with their labels.
pub(crate) struct Parts<'a> {
    pub(crate) matrix: &'a Matrix,
    pub(crate) spec: &'a FeatureSpec,
    pub(crate) train: (&'a [u32], &'a [u8]),
    /// Empty where folds take its place.
    pub(crate) validation: (&'a [u32], &'a [u8]),
    /// One per training row.
    pub(crate) folds: Option<&'a [u8]>,
    /// Hash of the entity whose orders belong together, for every row of the matrix.
    pub(crate) groups: Option<&'a [u64]>,
}

/// A fitted model before it is dressed with a card.
pub(crate) struct Fitted {
    pub(crate) predictor: Predictor,
    pub(crate) calibration: Calibration,
    pub(crate) threshold: Threshold,
    pub(crate) threshold_note: Option<String>,
    pub(crate) calibration_note: Option<String>,
    /// One per feature.
    pub(crate) importance: Vec<f64>,
    /// Trees, or penalties tried.
    pub(crate) rounds: u64,
    pub(crate) params: Vec<(String, String)>,
    /// Rows and labels that chose rounds, calibration and threshold, with their raw scores.
    pub(crate) chosen_on: ChosenOn,
    /// What a refit needs to know.
    choice: Choice,
}

/// The orders that chose rounds, calibration and threshold: validation, or all of train where folds took its place.
pub(crate) struct ChosenOn {
    pub(crate) rows: Vec<u32>,
    pub(crate) labels: Vec<u8>,
    /// Raw scores; with folds, by the model that did not see the order's fold.
    pub(crate) scores: Vec<f64>,
    /// Probabilities by the chosen kind of calibration, fitted without the order's fold.
    pub(crate) probabilities: Vec<f64>,
}

/// What was chosen on validation.
#[derive(Clone, Copy)]
enum Choice {
    Rounds(usize),
    Lambda(f64),
}

impl Parts<'_> {
    fn kinds(&self) -> Vec<FeatureKind> {
        self.spec.kinds()
    }

    /// Whether a value of its own marks an entity seen for the first time.
    fn has_first_seen(&self) -> Vec<bool> {
        let of_history = |feature: &Feature| matches!(feature, Feature::History(_) | Feature::Network(_));
        self.spec.features.iter().map(of_history).collect()
    }

    fn train(&self) -> Samples<'_> {
        Samples { matrix: self.matrix, rows: self.train.0, labels: self.train.1 }
    }

    fn validation(&self) -> Samples<'_> {
        Samples { matrix: self.matrix, rows: self.validation.0, labels: self.validation.1 }
    }
}

/// Fits a model and everything that is chosen with it.
pub(crate) fn fit(learner: &Learner, parts: &Parts<'_>, aim: Aim, seed: u64, console: &Console) -> Outcome<Fitted> {
    let raw = match learner {
        Learner::Gbt(params) => fit_gbt(params, parts, console)?,
        Learner::Logistic(params) => fit_logistic(params, parts, console)?,
    };
    let (rows, labels) = if parts.folds.is_some() { parts.train } else { parts.validation };
    let groups: Option<Vec<u64>> = parts.groups.map(|groups| rows.iter().map(|&row| groups[row as usize]).collect());
    let calibrated = fit_calibration(&raw.scores, labels, groups.as_deref(), seed).bad_data()?;
    let choice = threshold::choose(&raw.scores, labels, aim).bad_data()?;
    Ok(Fitted {
        threshold: Threshold {
            raw_score: choice.raw_score,
            probability: probability(&calibrated.calibration, choice.raw_score),
            // With folds there is no validation part.
            aim: if parts.folds.is_some() { format!("{aim} in folds of the training part") } else { choice.aim_text },
        },
        threshold_note: choice.note,
        calibration_note: calibrated.note,
        calibration: calibrated.calibration,
        predictor: raw.predictor,
        importance: raw.importance,
        rounds: raw.rounds,
        params: raw.params,
        chosen_on: ChosenOn {
            rows: rows.to_vec(),
            labels: labels.to_vec(),
            scores: raw.scores,
            probabilities: calibrated.cross_fitted,
        },
        choice: raw.choice,
    })
}

/// Fits the same kind of model again on other rows, with the rounds or penalty that were chosen before.
pub(crate) fn refit(
    learner: &Learner,
    parts: &Parts<'_>,
    before: &Fitted,
    console: &Console,
) -> Outcome<(Predictor, Vec<f64>)> {
    let bar = console.steps_bar("refitting");
    match (learner, before.choice) {
        (Learner::Gbt(params), Choice::Rounds(rounds)) => {
            let fit = boosting::fit_rounds(
                params,
                &parts.kinds(),
                &parts.train(),
                rounds,
                &Extras::default(),
                &mut |report| {
                    bar.set_length(report.n_rounds as u64);
                    bar.set_position(report.round as u64);
                    ControlFlow::Continue(())
                },
            )
            .bad_data()?;
            bar.finish_and_clear();
            Ok((Predictor::Gbt(fit.forest), fit.importance))
        }
        (Learner::Logistic(params), Choice::Lambda(lambda)) => {
            let (kinds, first_seen) = (parts.kinds(), parts.has_first_seen());
            let fit = logistic::fit_logistic_fixed(params, &kinds, &first_seen, &parts.train(), lambda, &mut |_, _| {
                ControlFlow::Continue(())
            })
            .bad_data()?;
            bar.finish_and_clear();
            Ok((Predictor::Logistic(fit.model), fit.importance))
        }
        _ => unreachable!("a refit uses the learner of the fit"),
    }
}

/// A learner's result before calibration.
struct Raw {
    predictor: Predictor,
    importance: Vec<f64>,
    rounds: u64,
    params: Vec<(String, String)>,
    /// Scores of the rows that chose.
    scores: Vec<f64>,
    choice: Choice,
}

fn fit_gbt(params: &CheckedGbtParams, parts: &Parts<'_>, console: &Console) -> Outcome<Raw> {
    let kinds = parts.kinds();
    let bar = console.steps_bar("boosting");
    let mut report = |report: &boosting::RoundReport| {
        bar.set_length(report.n_rounds as u64);
        bar.set_position(report.round as u64);
        if let Some(metric) = report.metric {
            bar.set_prefix(format!("average precision {metric:.4}"));
        }
        ControlFlow::Continue(())
    };
    let extras = Extras::default();
    let (fit, scores) = if let Some(folds) = parts.folds {
        let chosen = boosting::fit_folds(params, &kinds, &parts.train(), folds, &extras, &mut report).bad_data()?;
        let fit =
            boosting::fit_rounds(params, &kinds, &parts.train(), chosen.best_round, &extras, &mut report).bad_data()?;
        (fit, chosen.out_of_fold_scores)
    } else {
        let mut fit =
            boosting::fit(params, &kinds, &parts.train(), &parts.validation(), &extras, &mut report).bad_data()?;
        let scores = std::mem::take(&mut fit.valid_scores);
        (fit, scores)
    };
    bar.finish_and_clear();
    Ok(Raw {
        rounds: fit.best_round as u64,
        choice: Choice::Rounds(fit.best_round),
        importance: fit.importance,
        predictor: Predictor::Gbt(fit.forest),
        params: vec![
            ("trees, at most".into(), params.n_trees.to_string()),
            ("learning rate".into(), params.learning_rate.to_string()),
            ("leaves of a tree".into(), params.max_leaves.to_string()),
            ("rows in a leaf, at least".into(), params.min_rows_per_leaf.to_string()),
            ("hessian in a leaf, at least".into(), params.min_child_weight.to_string()),
            ("L2".into(), params.l2.to_string()),
            ("bins".into(), params.max_bins.to_string()),
            ("patience".into(), params.patience.to_string()),
        ],
        scores,
    })
}

fn fit_logistic(params: &logistic::CheckedLogisticParams, parts: &Parts<'_>, console: &Console) -> Outcome<Raw> {
    let (kinds, first_seen) = (parts.kinds(), parts.has_first_seen());
    let bar = console.steps_bar("fitting");
    let mut report = |step: usize, n_steps: usize| {
        bar.set_length(n_steps as u64);
        bar.set_position(step as u64);
        ControlFlow::Continue(())
    };
    let (fit, scores) = if let Some(folds) = parts.folds {
        let chosen =
            logistic::fit_logistic_folds(params, &kinds, &first_seen, &parts.train(), folds, &mut report).bad_data()?;
        let fit = logistic::fit_logistic_fixed(params, &kinds, &first_seen, &parts.train(), chosen.lambda, &mut report)
            .bad_data()?;
        (fit, chosen.out_of_fold)
    } else {
        let fit =
            logistic::fit_logistic(params, &kinds, &first_seen, &parts.train(), Some(&parts.validation()), &mut report)
                .bad_data()?;
        let scores = logistic::raw_scores(&fit.model, &parts.validation());
        (fit, scores)
    };
    bar.finish_and_clear();
    Ok(Raw {
        rounds: fit.history.len() as u64,
        choice: Choice::Lambda(fit.lambda),
        importance: fit.importance,
        predictor: Predictor::Logistic(fit.model),
        params: vec![
            ("penalty".into(), fit.lambda.to_string()),
            ("L1 share of the penalty".into(), params.get().l1_ratio.to_string()),
        ],
        scores,
    })
}
