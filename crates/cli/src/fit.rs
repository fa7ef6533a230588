//! Fitting one model: rounds or penalty chosen on validation or folds, then calibration and threshold on the same scores.

use std::ops::ControlFlow;

use orderguard_evaluation::threshold::{self, Aim};
use orderguard_features::language::feature::Feature;
use orderguard_features::language::spec::{FeatureKind, FeatureSpec};
use orderguard_features::matrix::Matrix;
use orderguard_inference::RawScorer;
use orderguard_inference::calibrate::probability;
use orderguard_inference::model::{Calibration, Forest, Predictor, Threshold};
use orderguard_trainer::boosting::{self, Extras, GbtFit};
use orderguard_trainer::calibration::{CalibrationFit, fit_calibration};
use orderguard_trainer::ensemble::average;
use orderguard_trainer::leaves::refit_leaves;
use orderguard_trainer::logistic;
use orderguard_trainer::params::{CheckedGbtParams, GbtParams};
use orderguard_trainer::samples::Samples;
use orderguard_trainer::scorecard;

use crate::args::LearningArgs;
use crate::console::Console;
use crate::failure::{Blame, Outcome};
use crate::learner::Learner;
use crate::measure;
use crate::start::Earlier;
use crate::watch::Watch;
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
    /// The model that is gone on from.
    pub(crate) earlier: Option<&'a Earlier>,
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
#[derive(Clone)]
enum Choice {
    /// One for each bag.
    Rounds(Vec<usize>),
    Leaves,
    Lambda(f64),
    /// Step of a scorecard's path.
    Strength(usize),
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

    #[cfg_attr(not(feature = "baselines"), allow(clippy::redundant_pub_crate))]
    pub(crate) fn validation(&self) -> Samples<'_> {
        Samples { matrix: self.matrix, rows: self.validation.0, labels: self.validation.1 }
    }
}

/// Fits a model and everything that is chosen with it.
pub(crate) fn fit(
    learner: &Learner,
    options: &LearningArgs,
    parts: &Parts<'_>,
    aim: Aim,
    watch: &Watch<'_>,
) -> Outcome<Fitted> {
    let seed = options.seed();
    let raw = match (learner, parts.earlier) {
        (Learner::Gbt(params), Some(earlier)) if earlier.leaves_only => fit_leaves(params, earlier, parts)?,
        (Learner::Gbt(params), _) => fit_gbt(params, options, parts, watch)?,
        (Learner::Logistic(params), _) => fit_logistic(params, parts, watch.console)?,
        (Learner::Scorecard(params), _) => fit_scorecard(params, parts, watch.console)?,
    };
    let (rows, labels) = if parts.folds.is_some() { parts.train } else { parts.validation };
    let groups: Option<Vec<u64>> = parts.groups.map(|groups| rows.iter().map(|&row| groups[row as usize]).collect());
    let calibrated = fit_calibration(&raw.scores, labels, groups.as_deref(), seed).bad_data()?;
    let by_calibration = calibration_fact(&calibrated);
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
        facts: raw.facts.into_iter().chain(by_calibration).collect(),
        chosen_on: ChosenOn {
            rows: rows.to_vec(),
            labels: labels.to_vec(),
            scores: raw.scores,
            probabilities: calibrated.cross_fitted,
        },
        choice: raw.choice,
    })
}

/// The kinds of calibration that were tried, with the log loss that chose between them.
fn calibration_fact(fit: &CalibrationFit) -> Option<(String, String)> {
    let tried: Vec<String> = fit.candidates.iter().map(|(name, loss)| format!("{name} {loss:.6}")).collect();
    let raw = format!("none {:.6}", fit.uncalibrated_log_loss);
    (!tried.is_empty()).then(|| ("log loss by calibration".into(), format!("{}, {raw}", tried.join(", "))))
}

/// Fits the same kind of model again on other rows, with the rounds or penalty that were chosen before.
pub(crate) fn refit(
    learner: &Learner,
    parts: &Parts<'_>,
    before: &Fitted,
    watch: &Watch<'_>,
) -> Outcome<(Predictor, Vec<f64>)> {
    match (learner, &before.choice) {
        (Learner::Gbt(params), Choice::Rounds(rounds)) => {
            let mut fits = Vec::new();
            for (bag, &rounds) in rounds.iter().enumerate() {
                let params = seeded(params, bag);
                fits.push(fit_rounds(&params, parts, rounds, &stage_name("refit", bag), "refitting", watch)?);
            }
            let (forest, importance) = joined(fits, parts.earlier);
            Ok((Predictor::Gbt(forest), importance))
        }
        (Learner::Gbt(params), Choice::Leaves) => {
            let earlier = parts.earlier.expect("leaves are those of an earlier model");
            let facts = parts.facts.of(parts.train.0, parts.train.1)?;
            let forest = refit_leaves(params, &earlier.forest, &parts.train(), &facts.without_measure()).bad_data()?;
            Ok((Predictor::Gbt(forest), earlier.importance.clone()))
        }
        (Learner::Logistic(params), &Choice::Lambda(lambda)) => {
            let bar = watch.console.steps_bar("refitting");
            let (kinds, first_seen) = (parts.kinds(), parts.has_first_seen());
            let fit = logistic::fit_logistic_fixed(params, &kinds, &first_seen, &parts.train(), lambda, &mut |_, _| {
                ControlFlow::Continue(())
            })
            .bad_data()?;
            bar.finish_and_clear();
            Ok((Predictor::Logistic(fit.model), fit.importance))
        }
        (Learner::Scorecard(params), &Choice::Strength(strength)) => {
            let bar = watch.console.steps_bar("refitting");
            let (kinds, first_seen) = (parts.kinds(), parts.has_first_seen());
            let go = &mut |_: usize, _: usize| ControlFlow::Continue(());
            let fit = scorecard::fit_scorecard_fixed(params, &kinds, &first_seen, &parts.train(), strength, go);
            let fit = fit.bad_data()?;
            bar.finish_and_clear();
            Ok((Predictor::Scorecard(fit.card), fit.importance))
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

fn fit_gbt(params: &CheckedGbtParams, options: &LearningArgs, parts: &Parts<'_>, watch: &Watch<'_>) -> Outcome<Raw> {
    let kinds = parts.kinds();
    let start = parts.earlier.map(|earlier| &earlier.forest);
    let facts = parts.facts.of(parts.train.0, parts.train.1)?;
    let held = parts.facts.of(parts.validation.0, parts.validation.1)?;
    let (mut fits, mut rounds, mut sums) = (Vec::new(), Vec::new(), Vec::new());
    for bag in 0..options.bag.unwrap_or(1) {
        let params = seeded(params, bag);
        let (fit, scores) = if let Some(folds) = parts.folds {
            let stage = watch.stage(stage_name("folds", bag), "choosing", options.stop_on, true)?;
            let extras = Extras { start, resume: stage.resumed(), ..facts.extras(&facts) };
            let report = &mut |round: &boosting::Round<'_>| stage.after(round);
            let chosen = boosting::fit_folds(&params, &kinds, &parts.train(), folds, &extras, report).bad_data()?;
            stage.finish()?;
            let fit = fit_rounds(&params, parts, chosen.best_round, &stage_name("boosting", bag), "boosting", watch)?;
            (fit, chosen.out_of_fold_scores)
        } else {
            let stage = watch.stage(stage_name("boosting", bag), "boosting", options.stop_on, true)?;
            let extras = Extras { start, resume: stage.resumed(), ..facts.extras(&held) };
            let report = &mut |round: &boosting::Round<'_>| stage.after(round);
            let mut fit =
                boosting::fit(&params, &kinds, &parts.train(), &parts.validation(), &extras, report).bad_data()?;
            stage.finish()?;
            let scores = std::mem::take(&mut fit.valid_scores);
            (fit, scores)
        };
        rounds.push(fit.best_round);
        fits.push(fit);
        sums = if bag == 0 { scores } else { sums.iter().zip(scores).map(|(sum, score)| sum + score).collect() };
        if watch.is_stopped() {
            break;
        }
    }
    let n_fits = fits.len();
    let (forest, importance) = joined(fits, parts.earlier);
    let predictor = Predictor::Gbt(forest);
    let scores = if n_fits == 1 {
        sums
    } else if parts.folds.is_some() {
        sums.iter().map(|sum| sum / n_fits as f64).collect()
    } else {
        raw_scores(&predictor, parts.matrix, parts.validation.0)?
    };
    let shift = params.prior_correction();
    let correction = (shift != 0.0).then(|| ("prior-correction".to_owned(), format!("{shift:?}")));
    Ok(Raw {
        rounds: measure::rounds(&predictor),
        choice: Choice::Rounds(rounds),
        importance,
        predictor,
        facts: correction.into_iter().collect(),
        scores,
    })
}

/// New leaf values for the trees of an earlier model.
fn fit_leaves(params: &CheckedGbtParams, earlier: &Earlier, parts: &Parts<'_>) -> Outcome<Raw> {
    let fitted_on = |rows: &[u32], labels: &[u8]| -> Outcome<Predictor> {
        let facts = parts.facts.of(rows, labels)?;
        let samples = Samples { matrix: parts.matrix, rows, labels };
        let forest = refit_leaves(params, &earlier.forest, &samples, &facts.without_measure()).bad_data()?;
        Ok(Predictor::Gbt(forest))
    };
    let (rows, labels) = parts.train;
    let predictor = fitted_on(rows, labels)?;
    let scores = if let Some(folds) = parts.folds {
        let mut scores = vec![0.0; rows.len()];
        let mut names = folds.to_vec();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let (held, others): (Vec<usize>, Vec<usize>) = (0..rows.len()).partition(|&i| folds[i] == name);
            let pick = |at: &[usize]| -> Vec<u32> { at.iter().map(|&i| rows[i]).collect() };
            let labels: Vec<u8> = others.iter().map(|&i| labels[i]).collect();
            let without = fitted_on(&pick(&others), &labels)?;
            for (i, score) in held.iter().zip(raw_scores(&without, parts.matrix, &pick(&held))?) {
                scores[*i] = score;
            }
        }
        scores
    } else {
        raw_scores(&predictor, parts.matrix, parts.validation.0)?
    };
    Ok(Raw {
        rounds: measure::rounds(&predictor),
        choice: Choice::Leaves,
        importance: earlier.importance.clone(),
        predictor,
        facts: Vec::new(),
        scores,
    })
}

/// A fit of a known number of rounds, which Ctrl-C does not cut short: a shorter one would be another model than the one chosen.
fn fit_rounds(
    params: &CheckedGbtParams,
    parts: &Parts<'_>,
    rounds: usize,
    stage: &str,
    title: &'static str,
    watch: &Watch<'_>,
) -> Outcome<GbtFit> {
    let facts = parts.facts.of(parts.train.0, parts.train.1)?;
    let stage = watch.stage(stage.to_owned(), title, None, false)?;
    let start = parts.earlier.map(|earlier| &earlier.forest);
    let extras = Extras { start, resume: stage.resumed(), ..facts.without_measure() };
    let report = &mut |round: &boosting::Round<'_>| stage.after(round);
    let fit = boosting::fit_rounds(params, &parts.kinds(), &parts.train(), rounds, &extras, report).bad_data()?;
    stage.finish()?;
    Ok(fit)
}

fn stage_name(what: &str, bag: usize) -> String {
    format!("{what}-{}", bag + 1)
}

/// The parameters of a bag: the same, and the seeds follow one another.
fn seeded(params: &CheckedGbtParams, bag: usize) -> CheckedGbtParams {
    let seed = params.seed.wrapping_add(bag as u64);
    GbtParams { seed, ..(**params).clone() }.check().expect("a seed has no range")
}

/// One forest and one importance from those of all bags, with what the earlier model had.
fn joined(fits: Vec<GbtFit>, earlier: Option<&Earlier>) -> (Forest, Vec<f64>) {
    let n = fits.len() as f64;
    let n_features = fits[0].importance.len();
    let mean = |feature: usize| fits.iter().map(|fit| fit.importance[feature]).sum::<f64>() / n;
    let before = |feature: usize| earlier.map_or(0.0, |earlier| earlier.importance[feature]);
    let importance = (0..n_features).map(|feature| before(feature) + mean(feature)).collect();
    let mut forests: Vec<Forest> = fits.into_iter().map(|fit| fit.forest).collect();
    let forest = if forests.len() == 1 { forests.remove(0) } else { average(&forests) };
    (forest, importance)
}

fn raw_scores(predictor: &Predictor, matrix: &Matrix, rows: &[u32]) -> Outcome<Vec<f64>> {
    let scorer = RawScorer::compile(predictor).bad_data()?;
    measure::raw_scores(&scorer, matrix, rows)
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

fn fit_scorecard(params: &scorecard::CheckedScorecardParams, parts: &Parts<'_>, console: &Console) -> Outcome<Raw> {
    let (kinds, first_seen) = (parts.kinds(), parts.has_first_seen());
    let bar = console.steps_bar("fitting");
    let mut report = |step: usize, n_steps: usize| {
        bar.set_length(n_steps as u64);
        bar.set_position(step as u64);
        ControlFlow::Continue(())
    };
    let train = parts.train();
    let (fit, scores) = if let Some(folds) = parts.folds {
        let chosen = scorecard::fit_scorecard_folds(params, &kinds, &first_seen, &train, folds, &mut report);
        let chosen = chosen.bad_data()?;
        let strength = chosen.strength;
        let fit = scorecard::fit_scorecard_fixed(params, &kinds, &first_seen, &train, strength, &mut report);
        (fit.bad_data()?, chosen.out_of_fold)
    } else {
        let fit = scorecard::fit_scorecard(params, &kinds, &first_seen, &train, &parts.validation(), &mut report);
        let fit = fit.bad_data()?;
        let scores = scorecard::raw_scores(&fit.card, &parts.validation());
        (fit, scores)
    };
    bar.finish_and_clear();
    Ok(Raw {
        rounds: fit.history.len() as u64,
        choice: Choice::Strength(fit.strength),
        importance: fit.importance,
        facts: vec![("features of the card".into(), fit.card.characteristics.len().to_string())],
        predictor: Predictor::Scorecard(fit.card),
        scores,
    })
}
