//! From options to checked parameters: what contradicts is refused, what was left open is filled in.

use std::collections::BTreeSet;

use orderguard_features::language::feature::Feature;
use orderguard_features::language::spec::{FeatureKind, FeatureSpec};
use orderguard_inference::model::PointScale;
use orderguard_trainer::logistic::{self, LogisticParams};
use orderguard_trainer::param_error::ParamError;
use orderguard_trainer::params::{CheckedGbtParams, Direction, GbtParams, Growth};
use orderguard_trainer::scorecard::{CheckedScorecardParams, ScorecardParams};
use orderguard_trainer::woe::Trend;

use crate::args::{GrowthArg, LearningArgs, ModelKind, StopOn, TrainArgs, WeighBy};
use crate::failure::{Failure, Outcome, usage};
use crate::fit::Parts;
use crate::params_file::nearest;
use crate::weighing::DEFAULT_AMOUNT_CAP;

/// With fewer frauds per feature, a logistic regression draws straight lines: bends would be fitted to chance (the rule of
/// ten events per variable; Peduzzi et al., Journal of Clinical Epidemiology 49, 1996).
const FRAUDS_PER_FEATURE: usize = 10;

/// Checked parameters of either learner.
pub(crate) enum Learner {
    Gbt(CheckedGbtParams),
    Logistic(logistic::CheckedLogisticParams),
    Scorecard(CheckedScorecardParams),
}

impl Learner {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Gbt(_) => "gbt",
            Self::Logistic(_) => "logistic",
            Self::Scorecard(_) => "scorecard",
        }
    }

    /// The learner for these orders, and the options with everything that was left open filled in: given again, they make
    /// the same model.
    pub(crate) fn resolve(options: &LearningArgs, parts: &Parts<'_>) -> Outcome<(Self, LearningArgs)> {
        let train = parts.train();
        if options.model() == ModelKind::Logistic {
            let mut params = logistic_params(options);
            if train.n_fraud() < FRAUDS_PER_FEATURE * parts.spec.len() {
                params.knot_shares = Vec::new();
            }
            let resolved = LearningArgs {
                model: Some(options.model()),
                seed: Some(options.seed()),
                l1_ratio: Some(params.l1_ratio),
                ..Default::default()
            };
            return Ok((Self::Logistic(params.check().map_err(|error| in_options(&error))?), resolved));
        }
        if options.model() == ModelKind::Scorecard {
            let mut params = scorecard_params(options);
            let trend = |direction| if direction == Direction::Rising { Trend::Rising } else { Trend::Falling };
            let directions = directions(options, parts.spec)?;
            params.trends = directions.into_iter().map(|(feature, direction)| (feature, trend(direction))).collect();
            let resolved = LearningArgs {
                model: Some(options.model()),
                seed: Some(options.seed()),
                characteristics: Some(params.max_characteristics),
                base_score: Some(params.scale.base_score),
                base_odds: Some(params.scale.base_odds),
                points_to_double: Some(params.scale.points_to_double),
                rising: options.rising.clone(),
                falling: options.falling.clone(),
                ..Default::default()
            };
            return Ok((Self::Scorecard(params.check().map_err(|error| in_options(&error))?), resolved));
        }
        let n_learned = learned_from(options, train.n_fraud(), train.len());
        let by_size = LearningArgs { min_rows_per_leaf: Some(leaf_rows(n_learned)), ..Default::default() };
        let resolved = with_defaults(options.clone().or(by_size));
        let mut params = gbt_params(&resolved);
        params.monotone = directions(&resolved, parts.spec)?;
        params.interactions = groups(&resolved, parts.spec)?;
        Ok((Self::Gbt(params.check().map_err(|error| in_options(&error))?), resolved))
    }
}

impl ModelKind {
    fn name(self) -> &'static str {
        match self {
            Self::Gbt => "gbt",
            Self::Logistic => "logistic",
            Self::Scorecard => "scorecard",
        }
    }
}

impl LearningArgs {
    pub(crate) fn model(&self) -> ModelKind {
        self.model.unwrap_or(ModelKind::Gbt)
    }

    pub(crate) fn seed(&self) -> u64 {
        self.seed.unwrap_or(1)
    }
}

/// Refuses options outside their range, and such as contradict one another, before any file is opened.
pub(crate) fn check(options: &LearningArgs) -> Outcome {
    refuse_alien(options)?;
    match options.model() {
        ModelKind::Gbt => {}
        ModelKind::Logistic => drop(logistic_params(options).check().map_err(|error| in_options(&error))?),
        ModelKind::Scorecard => drop(scorecard_params(options).check().map_err(|error| in_options(&error))?),
    }
    let both_costs = options.cost_missed.is_some() && options.cost_stopped.is_some();
    let any_cost = options.cost_missed.is_some() || options.cost_stopped.is_some();
    for (by, asked) in [
        ("--weigh-by cost", options.weigh_by == Some(WeighBy::Cost)),
        ("--stop-on money", options.stop_on == Some(StopOn::Money)),
    ] {
        if asked && !both_costs {
            return usage(format_args!("{by} needs to know costs: expected --cost-missed and --cost-stopped with it"));
        }
    }
    if any_cost && options.weigh_by != Some(WeighBy::Cost) && options.stop_on != Some(StopOn::Money) {
        return usage(
            "costs are given and nothing uses them: expected --weigh-by cost or --stop-on money with --cost-missed and \
             --cost-stopped",
        );
    }
    if let Some(cap) = options.amount_cap {
        if options.weigh_by != Some(WeighBy::Amount) {
            return usage("--amount-cap: expected it with --weigh-by amount");
        }
        if !(1.0..f64::INFINITY).contains(&cap) {
            return usage(format_args!("--amount-cap: expected 1 or more, finite, found {cap}"));
        }
    }
    if options.bag.is_some_and(|bag| !(1..=1_000).contains(&bag)) {
        return usage(format_args!("--bag: expected 1 to 1000, found {}", options.bag.unwrap_or(0)));
    }
    if options.half_life.is_some_and(|span| span.0 <= 0) {
        return usage("--half-life: expected more than 0");
    }
    let falling: BTreeSet<&str> = options.falling.iter().map(String::as_str).collect();
    if let Some(both) = options.rising.iter().find(|name| falling.contains(name.as_str())) {
        return usage(format_args!("feature {both:?}: expected one direction, found --rising and --falling"));
    }
    let checked = gbt_params(&with_defaults(options.clone())).check();
    checked.map(|_| ()).map_err(|error| in_options(&error))
}

/// What may be said beside --refit-leaves: nothing else says anything to leaves.
const OF_LEAVES: [&str; 12] = [
    "model",
    "seed",
    "learning-rate",
    "rate-decay",
    "l2",
    "leaf-smoothing",
    "max-leaf-value",
    "weigh-by",
    "amount-cap",
    "half-life",
    "cost-missed",
    "cost-stopped",
];

/// Refuses options that say nothing to a model that is gone on from; `typed` holds those that the user gave.
pub(crate) fn check_going_on(args: &TrainArgs, typed: &LearningArgs) -> Outcome {
    let names = || typed.given().into_iter().map(|(name, _)| name);
    if args.refit_leaves.is_some()
        && let Some(name) = names().find(|name| !OF_LEAVES.contains(&name.as_str()))
    {
        return usage(format_args!(
            "--{name} says how trees grow, and --refit-leaves grows none: expected one of the two"
        ));
    }
    if args.continue_from.is_some() && typed.bag.is_some_and(|bag| bag > 1) {
        return usage("--bag fits several models, and --continue-from goes on from one: expected one of the two");
    }
    let going_on = [("--continue-from", &args.continue_from), ("--refit-leaves", &args.refit_leaves)];
    if let Some((option, _)) = going_on.iter().find(|(_, model)| model.is_some())
        && typed.model() != ModelKind::Gbt
    {
        let found = typed.model().name();
        return usage(format_args!("{option} goes on from trees: expected --model gbt, found --model {found}"));
    }
    if args.refit_leaves.is_some() && args.checkpoint.is_some() {
        return usage("--refit-leaves is done in one pass: expected it without --checkpoint");
    }
    Ok(())
}

/// Refuses options of another learner.
fn refuse_alien(options: &LearningArgs) -> Outcome {
    const SCORECARD: [&str; 4] = ["characteristics", "base-score", "base-odds", "points-to-double"];
    let found = options.model().name();
    for (name, _) in options.given() {
        let (says, expected) = match name.as_str() {
            "model" | "seed" => continue,
            "l1-ratio" => ("how a logistic regression learns", "logistic"),
            name if SCORECARD.contains(&name) => ("what a scorecard looks like", "scorecard"),
            // Directions are also those of a scorecard's bins.
            "rising" | "falling" if found == "scorecard" => continue,
            _ => ("how trees learn", "gbt"),
        };
        if found != expected {
            return usage(format_args!(
                "--{name} says {says}: expected it with --model {expected}, found --model {found}"
            ));
        }
    }
    Ok(())
}

/// How many of the training orders trees see.
pub(crate) fn learned_from(options: &LearningArgs, n_fraud: usize, n_rows: usize) -> usize {
    let share = options.negative_rate.unwrap_or(1.0);
    n_fraud + ((n_rows - n_fraud) as f64 * share).round() as usize
}

fn logistic_params(options: &LearningArgs) -> LogisticParams {
    let d = LogisticParams::default();
    LogisticParams { l1_ratio: options.l1_ratio.unwrap_or(d.l1_ratio), ..d }
}

/// The parameters that the options say; trends are left open, because they name features.
fn scorecard_params(options: &LearningArgs) -> ScorecardParams {
    let d = ScorecardParams::default();
    ScorecardParams {
        scale: PointScale {
            base_score: options.base_score.unwrap_or(d.scale.base_score),
            base_odds: options.base_odds.unwrap_or(d.scale.base_odds),
            points_to_double: options.points_to_double.unwrap_or(d.scale.points_to_double),
        },
        max_characteristics: options.characteristics.unwrap_or(d.max_characteristics),
        ..d
    }
}

/// Fewest rows of a leaf for a training part of `n_rows`: one in 500, at least 20 and at most the trainer's default. A leaf must
/// hold enough orders to tell a share of fraud; where there are few orders in all, so many would leave nothing to split.
fn leaf_rows(n_rows: usize) -> usize {
    (n_rows / 500).clamp(20, GbtParams::default().min_rows_per_leaf)
}

fn with_defaults(options: LearningArgs) -> LearningArgs {
    let d = GbtParams::default();
    let growth = match d.growth {
        Growth::BestFirst => GrowthArg::BestFirst,
        Growth::LevelByLevel => GrowthArg::LevelByLevel,
    };
    let by_amount = options.weigh_by == Some(WeighBy::Amount);
    options.or(LearningArgs {
        model: Some(ModelKind::Gbt),
        seed: Some(1),
        trees: Some(d.n_trees),
        learning_rate: Some(d.learning_rate),
        rate_decay: Some(d.learning_rate_decay),
        leaves: Some(d.max_leaves),
        depth: Some(d.max_depth),
        growth: Some(growth),
        max_bins: Some(d.max_bins),
        min_rows_per_leaf: Some(d.min_rows_per_leaf),
        min_leaf_weight: Some(d.min_child_weight),
        min_gain: Some(d.min_gain),
        l1: Some(d.l1),
        l2: Some(d.l2),
        max_leaf_value: Some(d.max_leaf_value),
        leaf_smoothing: Some(d.leaf_smoothing),
        category_smoothing: Some(d.category_smoothing),
        category_l2: Some(d.category_l2),
        min_rows_per_level: Some(d.min_rows_per_level),
        row_fraction: Some(d.row_fraction),
        feature_fraction: Some(d.feature_fraction),
        negative_rate: Some(d.negative_rate),
        easy_row_limit: Some(d.easy_row_limit),
        bag: Some(1),
        rising: Vec::new(),
        falling: Vec::new(),
        together: Vec::new(),
        weigh_by: None,
        amount_cap: by_amount.then_some(DEFAULT_AMOUNT_CAP),
        fraud_weight: Some(d.fraud_weight),
        half_life: None,
        cost_missed: None,
        cost_stopped: None,
        stop_on: Some(StopOn::AveragePrecision),
        patience: Some(d.patience),
        metric_window: Some(d.metric_window),
        l1_ratio: None,
        characteristics: None,
        base_score: None,
        base_odds: None,
        points_to_double: None,
    })
}

/// The parameters that the options say, where they are within their ranges.
pub(crate) fn checked_params(options: &LearningArgs) -> Option<CheckedGbtParams> {
    gbt_params(options).check().ok()
}

/// The parameters that the options say; constraints are left open, because they name features.
fn gbt_params(options: &LearningArgs) -> GbtParams {
    let d = GbtParams::default();
    GbtParams {
        n_trees: options.trees.unwrap_or(d.n_trees),
        learning_rate: options.learning_rate.unwrap_or(d.learning_rate),
        learning_rate_decay: options.rate_decay.unwrap_or(d.learning_rate_decay),
        max_leaves: options.leaves.unwrap_or(d.max_leaves),
        growth: match options.growth {
            None => d.growth,
            Some(GrowthArg::BestFirst) => Growth::BestFirst,
            Some(GrowthArg::LevelByLevel) => Growth::LevelByLevel,
        },
        max_depth: options.depth.unwrap_or(d.max_depth),
        min_rows_per_leaf: options.min_rows_per_leaf.unwrap_or(d.min_rows_per_leaf),
        min_child_weight: options.min_leaf_weight.unwrap_or(d.min_child_weight),
        l1: options.l1.unwrap_or(d.l1),
        l2: options.l2.unwrap_or(d.l2),
        min_gain: options.min_gain.unwrap_or(d.min_gain),
        max_leaf_value: options.max_leaf_value.unwrap_or(d.max_leaf_value),
        leaf_smoothing: options.leaf_smoothing.unwrap_or(d.leaf_smoothing),
        feature_fraction: options.feature_fraction.unwrap_or(d.feature_fraction),
        negative_rate: options.negative_rate.unwrap_or(d.negative_rate),
        fraud_weight: options.fraud_weight.unwrap_or(d.fraud_weight),
        row_fraction: options.row_fraction.unwrap_or(d.row_fraction),
        easy_row_limit: options.easy_row_limit.unwrap_or(d.easy_row_limit),
        max_bins: options.max_bins.unwrap_or(d.max_bins),
        category_smoothing: options.category_smoothing.unwrap_or(d.category_smoothing),
        category_l2: options.category_l2.unwrap_or(d.category_l2),
        min_rows_per_level: options.min_rows_per_level.unwrap_or(d.min_rows_per_level),
        monotone: Vec::new(),
        interactions: Vec::new(),
        patience: options.patience.unwrap_or(d.patience),
        metric_window: options.metric_window.unwrap_or(d.metric_window),
        seed: options.seed(),
    }
}

/// A parameter error under the name of its option.
fn in_options(error: &ParamError) -> Failure {
    let name = match error.name {
        "n_trees" => "trees".to_owned(),
        "learning_rate_decay" => "rate-decay".to_owned(),
        "max_leaves" => "leaves".to_owned(),
        "max_depth" => "depth".to_owned(),
        "min_child_weight" => "min-leaf-weight".to_owned(),
        "max_characteristics" => "characteristics".to_owned(),
        name => name.replace('_', "-"),
    };
    Failure::Usage(anyhow::anyhow!("--{name}: expected {}, found {}", error.range, error.found))
}

fn directions(options: &LearningArgs, spec: &FeatureSpec) -> Outcome<Vec<(u32, Direction)>> {
    let kinds = spec.kinds();
    let mut directions: Vec<(u32, Direction)> = Vec::new();
    for (option, names, direction) in
        [("--rising", &options.rising, Direction::Rising), ("--falling", &options.falling, Direction::Falling)]
    {
        for name in names {
            let feature = position(name, spec, option)?;
            if matches!(kinds[feature as usize], FeatureKind::Categorical { .. }) {
                return usage(format_args!(
                    "{option}: expected a numeric feature, found {name:?}, whose levels have no order"
                ));
            }
            if directions.iter().any(|&(other, known)| other == feature && known != direction) {
                return usage(format_args!("feature {name:?}: expected one direction, found --rising and --falling"));
            }
            directions.push((feature, direction));
        }
    }
    Ok(directions)
}

fn groups(options: &LearningArgs, spec: &FeatureSpec) -> Outcome<Vec<Vec<u32>>> {
    let group = |text: &String| {
        let names = text.split(';').map(str::trim).filter(|name| !name.is_empty());
        names.map(|name| position(name, spec, "--together")).collect()
    };
    options.together.iter().map(group).collect()
}

/// Where a feature stands in the row. Its text may be written as freely as in a file of features, and a column of numbers or
/// categories goes by its name.
fn position(name: &str, spec: &FeatureSpec, option: &str) -> Outcome<u32> {
    let names = spec.names();
    let canonical = Feature::parse(name).map_or_else(|_| name.to_owned(), |feature| feature.to_string());
    let spellings = [canonical, format!("number({name})"), format!("category({name})")];
    let found = spellings.iter().find_map(|spelling| names.iter().position(|known| known == spelling));
    if let Some(position) = found {
        return Ok(position as u32);
    }
    let bare = names
        .iter()
        .filter_map(|name| name.strip_prefix("number(").or_else(|| name.strip_prefix("category("))?.strip_suffix(')'));
    let hint = nearest(name, names.iter().map(String::as_str).chain(bare));
    let hint = hint.map_or_else(
        || "; `orderguard features --explain` lists them".to_owned(),
        |near| format!("; did you mean {near:?}?"),
    );
    usage(format_args!("{option}: expected a feature of the model, found {name:?}{hint}"))
}
