//! Fitting one model: rounds or penalty chosen on validation or folds, then calibration and threshold on the same scores.

use std::ops::ControlFlow;

use orderguard_evaluation::threshold::{self, Aim};
use orderguard_features::language::feature::Feature;
use orderguard_features::language::spec::{FeatureKind, FeatureSpec};
use orderguard_features::matrix::Matrix;
use orderguard_inference::calibrate::probability;
use orderguard_inference::model::{Calibration, Predictor, Threshold};
use orderguard_trainer::boosting;
use orderguard_trainer::calibration::fit_calibration;
use orderguard_trainer::logistic;
use orderguard_trainer::params::CheckedGbtParams;
use orderguard_trainer::samples::Samples;

use crate::args::{LearningArgs, StopOn};
use crate::console::Console;
use crate::failure::{Blame, Outcome};
use crate::learner::Learner;
use crate::weighing::Facts;

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
    /// Of every row of the matrix.
    pub(crate) facts: &'a Facts,
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
    /// What was found beside the parameters, such as the penalty.
    pub(crate) facts: Vec<(String, String)>,
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

    pub(crate) fn train(&self) -> Samples<'_> {
        Samples { matrix: self.matrix, rows: self.train.0, labels: self.train.1 }
    }

    fn validation(&self) -> Samples<'_> {
        Samples { matrix: self.matrix, rows: self.validation.0, labels: self.validation.1 }
    }
}

/// Fits a model and everything that is chosen with it.
pub(crate) fn fit(
    learner: &Learner,
    options: &LearningArgs,
    parts: &Parts<'_>,
    aim: Aim,
    console: &Console,
) -> Outcome<Fitted> {
    let seed = options.seed();
    let raw = match learner {
        Learner::Gbt(params) => fit_gbt(params, options.stop_on, parts, console)?,
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
        facts: raw.facts,
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
            let facts = parts.facts.of(parts.train.0, parts.train.1)?;
            let fit = boosting::fit_rounds(
                params,
                &parts.kinds(),
                &parts.train(),
                rounds,
                &facts.without_measure(),
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
    facts: Vec<(String, String)>,
    /// Scores of the rows that chose.
    scores: Vec<f64>,
    choice: Choice,
}

fn fit_gbt(params: &CheckedGbtParams, stop_on: Option<StopOn>, parts: &Parts<'_>, console: &Console) -> Outcome<Raw> {
    let measure = stop_on.map_or("", StopOn::words);
    let kinds = parts.kinds();
    let bar = console.steps_bar("boosting");
    let mut report = |report: &boosting::RoundReport| {
        bar.set_length(report.n_rounds as u64);
        bar.set_position(report.round as u64);
        if let Some(metric) = report.metric {
            bar.set_prefix(format!("{measure} {metric:.4}"));
        }
        ControlFlow::Continue(())
    };
    let facts = parts.facts.of(parts.train.0, parts.train.1)?;
    let (fit, scores) = if let Some(folds) = parts.folds {
        let extras = facts.extras(&facts);
        let chosen = boosting::fit_folds(params, &kinds, &parts.train(), folds, &extras, &mut report).bad_data()?;
        let extras = facts.without_measure();
        let fit =
            boosting::fit_rounds(params, &kinds, &parts.train(), chosen.best_round, &extras, &mut report).bad_data()?;
        (fit, chosen.out_of_fold_scores)
    } else {
        let held = parts.facts.of(parts.validation.0, parts.validation.1)?;
        let extras = facts.extras(&held);
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
        facts: Vec::new(),
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
        facts: vec![
            ("penalty".into(), fit.lambda.to_string()),
            ("L1 share of the penalty".into(), params.get().l1_ratio.to_string()),
        ],
        scores,
    })
}
