//! `--budget` and `--trials`: parameters that are better than the defaults, found on orders before the test part.

use std::collections::BTreeMap;
use std::time::Instant;

use orderguard_dataset::split::{ForwardFold, Split, SplitInput, SplitOptions, forward_folds};
use orderguard_evaluation::report;
use orderguard_features::time::Span;
use orderguard_trainer::params::CheckedGbtParams;
use orderguard_trainer::samples::Samples;
use orderguard_trainer::search::{Dimension, Fold, Found, Limit, Rung, Setting, Trial, search, value_text};
use serde_json::{Value, json};

use crate::args::{LearningArgs, ModelKind, StopOn, TrainArgs};
use crate::failure::{Blame, Failure, Outcome, usage};
use crate::fit::Parts;
use crate::interrupt;
use crate::watch::Watch;
use crate::weighing::Chosen;

/// Folds that trials are compared on.
pub(crate) const N_FOLDS: u32 = 4;

/// What came of a search.
pub(crate) struct Searched {
    /// The options to fit with.
    pub(crate) options: LearningArgs,
    /// For the report.
    pub(crate) section: report::Search,
    /// One line of JSON for each trial.
    pub(crate) log: String,
}

/// Refuses a search that cannot be, before any file is opened.
pub(crate) fn check(args: &TrainArgs, given: &LearningArgs) -> Outcome {
    let option = match (args.budget, args.trials) {
        (None, None) => return Ok(()),
        (Some(_), _) => "--budget",
        (None, Some(_)) => "--trials",
    };
    if args.trials == Some(0) {
        return usage("--trials: expected 1 or more, found 0");
    }
    if args.budget.is_some_and(|budget| budget.0 <= 0) {
        return usage("--budget: expected more than 0");
    }
    if given.model() != ModelKind::Gbt {
        let found = if given.model() == ModelKind::Logistic { "logistic" } else { "scorecard" };
        return usage(format_args!(
            "{option} searches parameters of trees: expected it with --model gbt, found --model {found}, whose penalty is \
             searched in every fit"
        ));
    }
    if open(given).is_empty() {
        return usage(format_args!(
            "{option}: expected an option of learning that is left to search, found all of them given"
        ));
    }
    Ok(())
}

/// The option that a dimension is.
fn option(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::LearningRate => "learning-rate",
        Dimension::MaxLeaves => "leaves",
        Dimension::MinRowsPerLeaf => "min-rows-per-leaf",
        Dimension::MinChildWeight => "min-leaf-weight",
        Dimension::L2 => "l2",
        Dimension::LeafSmoothing => "leaf-smoothing",
        Dimension::MaxLeafValue => "max-leaf-value",
        Dimension::FeatureFraction => "feature-fraction",
        Dimension::RowFraction => "row-fraction",
        Dimension::MaxBins => "max-bins",
        Dimension::EasyRowLimit => "easy-row-limit",
        Dimension::HalfLife => "half-life",
    }
}

/// What the user left open.
fn open(given: &LearningArgs) -> Vec<Dimension> {
    let pinned: Vec<String> = given.given().into_iter().map(|(name, _)| name).collect();
    Dimension::ALL.into_iter().filter(|&d| !pinned.iter().any(|name| name == option(d))).collect()
}

/// The options of a setting, and behind them those at hand.
fn options_of(setting: &Setting, dimensions: &[Dimension], at_hand: &LearningArgs) -> LearningArgs {
    let p = &setting.params;
    let mut options = LearningArgs::default();
    for dimension in dimensions {
        match dimension {
            Dimension::LearningRate => options.learning_rate = Some(p.learning_rate),
            Dimension::MaxLeaves => options.leaves = Some(p.max_leaves),
            Dimension::MinRowsPerLeaf => options.min_rows_per_leaf = Some(p.min_rows_per_leaf),
            Dimension::MinChildWeight => options.min_leaf_weight = Some(p.min_child_weight),
            Dimension::L2 => options.l2 = Some(p.l2),
            Dimension::LeafSmoothing => options.leaf_smoothing = Some(p.leaf_smoothing),
            Dimension::MaxLeafValue => options.max_leaf_value = Some(p.max_leaf_value),
            Dimension::FeatureFraction => options.feature_fraction = Some(p.feature_fraction),
            Dimension::RowFraction => options.row_fraction = Some(p.row_fraction),
            Dimension::MaxBins => options.max_bins = Some(p.max_bins),
            Dimension::EasyRowLimit => options.easy_row_limit = Some(p.easy_row_limit),
            Dimension::HalfLife => options.half_life = setting.half_life.map(Span),
        }
    }
    options.or(at_hand.clone())
}

/// Searches, if that is wanted. `given` are the options that are not searched, `at_hand` all of them as they would be fitted with.
pub(crate) fn run(
    args: &TrainArgs,
    (given, at_hand): (&LearningArgs, &LearningArgs),
    params: &CheckedGbtParams,
    (input, split_options, split): (&SplitInput<'_>, &SplitOptions<'_>, &Split),
    parts: &Parts<'_>,
    watch: &Watch<'_>,
) -> Outcome<Option<Searched>> {
    if args.budget.is_none() && args.trials.is_none() {
        return Ok(None);
    }
    let folds = forward_folds(input, split_options, split, N_FOLDS)
        .map_err(|error| Failure::Data(anyhow::anyhow!("the search for parameters: {error}")))?;
    let sides = folds.iter().map(|fold| Sides::new(fold, parts, input.time)).collect::<Outcome<Vec<_>>>()?;
    let folds: Vec<Fold<'_>> = folds.iter().zip(&sides).map(|(fold, sides)| sides.fold(fold, parts)).collect();

    let start = Instant::now();
    let elapsed = || start.elapsed().as_secs_f64();
    let (limit, limit_text) = match (args.budget, args.trials) {
        (Some(span), _) => (Limit::Seconds { budget: span.0 as f64 / 1e3, elapsed: &elapsed }, span.to_string()),
        (None, n) => (Limit::Trials(n.unwrap_or(0)), format!("{} trials", n.unwrap_or(0))),
    };
    let searched = open(given);
    let bar = watch.console.steps_bar("searching");
    let mut best: Option<f64> = None;
    let mut report = |trial: &Trial| {
        watch.log.event("trial", trial_json(trial, &searched, None));
        if trial.rung == Rung::AllFolds && trial.number > 0 {
            best = Some(best.map_or(trial.difference, |best| best.max(trial.difference)));
        }
        let (done, of) = match args.budget {
            Some(span) => (elapsed() as u64, (span.0 / 1_000) as u64),
            None => (trial.number as u64, args.trials.unwrap_or(0) as u64),
        };
        bar.set_length(of);
        bar.set_position(done.min(of));
        if let Some(best) = best {
            bar.set_prefix(format!("best {best:+.4}"));
        }
    };
    interrupt::begin_search();
    let found =
        search(params, &searched, &parts.spec.kinds(), &folds, limit, &interrupt::is_search_stopped, &mut report);
    let was_pressed = interrupt::end_search();
    bar.finish_and_clear();
    let found = found.bad_data()?;
    let chosen = &found.trials[found.chosen];
    let first = &found.trials[0];
    let whole: Option<Vec<f64>> = first.values.iter().copied().collect();
    let section = report::Search {
        limit: limit_text,
        is_stopped: was_pressed,
        n_trials: (found.trials.len() - 1) as u64,
        n_on_all_folds: found.trials[1..].iter().filter(|trial| trial.rung == Rung::AllFolds).count() as u64,
        n_folds: folds.len() as u64,
        measure: at_hand.stop_on.unwrap_or(StopOn::AveragePrecision).to_string(),
        first: whole.map(|values| values.iter().sum::<f64>() / values.len() as f64),
        chosen: found.chosen as u64,
        difference: chosen.difference,
        standard_error: chosen.error.unwrap_or(0.0),
        params: texts(&chosen.setting, &found.dimensions),
        seconds: elapsed(),
    };
    Ok(Some(Searched { options: options_of(&chosen.setting, &found.dimensions, at_hand), section, log: log(&found) }))
}

/// What a fit is told of both sides of a fold.
struct Sides {
    train: Chosen,
    held: Chosen,
    times: Option<Vec<i64>>,
}

impl Sides {
    fn new(fold: &ForwardFold, parts: &Parts<'_>, time: Option<&[i64]>) -> Outcome<Self> {
        Ok(Self {
            train: parts.facts.of(&fold.train, &fold.train_label)?,
            held: parts.facts.of(&fold.held, &fold.held_label)?,
            times: time.map(|time| fold.train.iter().map(|&row| time[row as usize]).collect()),
        })
    }

    fn fold<'a>(&'a self, fold: &'a ForwardFold, parts: &'a Parts<'_>) -> Fold<'a> {
        Fold {
            train: Samples { matrix: parts.matrix, rows: &fold.train, labels: &fold.train_label },
            held: Samples { matrix: parts.matrix, rows: &fold.held, labels: &fold.held_label },
            extras: self.train.extras(&self.held),
            times: self.times.as_deref(),
        }
    }
}

fn log(found: &Found) -> String {
    let line =
        |trial: &Trial| format!("{}\n", trial_json(trial, &found.dimensions, Some(trial.number == found.chosen)));
    found.trials.iter().map(line).collect()
}

fn trial_json(trial: &Trial, dimensions: &[Dimension], is_chosen: Option<bool>) -> Value {
    let parameters: serde_json::Map<String, Value> = texts(&trial.setting, dimensions)
        .into_iter()
        .map(|(name, text)| (name, text.parse::<f64>().map_or(Value::String(text), |number| json!(number))))
        .collect();
    let mut line = json!({
        "trial": trial.number,
        "came_to": match trial.rung {
            Rung::Nothing => "nothing",
            Rung::FirstRounds => "first rounds",
            Rung::NewestFold => "newest fold",
            Rung::AllFolds => "all folds",
        },
        "values": trial.values,
        "trees": trial.rounds,
        "difference": trial.difference,
        "standard_error": trial.error,
        "parameters": parameters,
    });
    if let Some(is_chosen) = is_chosen {
        line["chosen"] = json!(is_chosen);
    }
    line
}

/// The values of a setting by the names of the options.
fn texts(setting: &Setting, dimensions: &[Dimension]) -> BTreeMap<String, String> {
    let text = |dimension: Dimension| match (dimension, setting.half_life) {
        (Dimension::HalfLife, Some(half_life)) => Span(half_life).to_string(),
        _ => value_text(setting, dimension),
    };
    dimensions.iter().map(|&dimension| (option(dimension).to_owned(), text(dimension))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use orderguard_trainer::params::GbtParams;

    #[test]
    fn every_dimension_is_an_option_that_can_be_given() {
        let all = LearningArgs {
            learning_rate: Some(0.1),
            leaves: Some(8),
            min_rows_per_leaf: Some(20),
            min_leaf_weight: Some(2.0),
            l2: Some(3.0),
            leaf_smoothing: Some(1.0),
            max_leaf_value: Some(2.0),
            feature_fraction: Some(0.5),
            row_fraction: Some(0.5),
            max_bins: Some(63),
            easy_row_limit: Some(0.2),
            half_life: Some(Span::days(90)),
            ..Default::default()
        };
        assert!(open(&all).is_empty());
        let some = LearningArgs { leaves: None, half_life: None, ..all.clone() };
        assert_eq!(open(&some), [Dimension::MaxLeaves, Dimension::HalfLife]);
        let setting = Setting { params: GbtParams::default(), half_life: Some(Span::days(90).0) };
        let found = options_of(&setting, &Dimension::ALL, &LearningArgs { trees: Some(7), ..all });
        assert_eq!((found.leaves, found.trees, found.half_life), (Some(31), Some(7), Some(Span::days(90))));
        let texts = texts(&setting, &Dimension::ALL);
        assert_eq!((texts["half-life"].as_str(), texts["leaves"].as_str(), texts.len()), ("90d", "31", 12));
    }
}
