//! What a report says beyond the figures of one part: money, days, weeks, segments, thresholds, and what its figures cannot see.
//! Plain data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::IsoTime;
use crate::costs::CostTable;
use crate::evaluation::AtThreshold;
use crate::interval::Interval;

/// What decisions cost by a cost table, in the unit of the amounts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Money {
    /// What frauds would have cost if nothing had been stopped.
    pub loss_doing_nothing: f64,
    /// What frauds let through, orders stopped and customers lost cost with the decisions as they are.
    pub loss: f64,
    /// The first less the second.
    pub savings: f64,
    /// `savings` as a share of the first; `None` when frauds cost nothing.
    pub loss_reduction: Option<f64>,
    /// Basis points (hundredths of a percent) of the value of all orders that are fraud; `None` when orders are worth nothing.
    pub fraud_bp_before: Option<f64>,
    /// Basis points of the value of the orders let through that are fraud; `None` when those are worth nothing.
    pub fraud_bp_after: Option<f64>,
    /// The loss that the calibrated probabilities foretell for these decisions.
    pub expected_loss: Option<f64>,
    /// The threshold that hindsight shows to lose least on these orders; `None` with several tiers.
    pub best: Option<BestThreshold>,
}

/// The threshold of the smallest loss on the very orders that are measured: a bound, which no choice made before can promise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BestThreshold {
    /// Orders with a raw score of at least this are stopped; `None` where stopping nothing loses least.
    pub raw_score: Option<f64>,
    /// Its loss.
    pub loss: f64,
    /// Its savings against doing nothing.
    pub savings: f64,
    /// Orders that it stops.
    pub n_stopped: u64,
}

/// Precision of the daily lists of the orders that score highest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DailyPrecision {
    /// Length of the daily list.
    pub k: u64,
    /// Mean over the days that have an order; `None` without any.
    pub mean: Option<f64>,
    /// The days, earliest first.
    pub days: Vec<OrderDay>,
}

/// One day's list of orders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OrderDay {
    /// The day, counted from 1970-01-01 in UTC.
    pub day: i64,
    /// Labelled orders of the day.
    pub n_rows: u64,
    /// Frauds among them.
    pub n_fraud: u64,
    /// Frauds on the list. Where its last place falls among equal scores, those places hold the share of frauds of their score.
    pub n_found: f64,
    /// `n_found / k`, also when there were fewer than `k` orders.
    pub precision: f64,
}

/// How a model did on some of the orders: of a week, of a country, of a kind of abuse.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// What the orders have in common: the first day of the week, the value of the column, the kind of abuse.
    pub name: String,
    /// Labelled orders.
    pub n_rows: u64,
    /// Frauds among them.
    pub n_fraud: u64,
    /// Average precision.
    pub average_precision: Option<f64>,
    /// Area under the ROC curve.
    pub roc_auc: Option<f64>,
    /// What the threshold does.
    pub at_threshold: AtThreshold,
    /// What that costs; `None` without amounts.
    pub money: Option<Money>,
    /// Intervals by the replicates of the whole part; `None` where there is not enough data.
    pub intervals: Option<SliceIntervals>,
    /// What is too small to be judged, such as "not enough data: 3 frauds"; `None` where the figures can be read.
    pub note: Option<String>,
}

/// Intervals of the figures of a slice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SliceIntervals {
    /// Of the average precision.
    pub average_precision: Option<Interval>,
    /// Of the precision at the threshold.
    pub precision: Option<Interval>,
    /// Of the recall at the threshold.
    pub recall: Option<Interval>,
    /// Of the false-positive rate at the threshold.
    pub false_positive_rate: Option<Interval>,
    /// Of the loss reduction.
    pub loss_reduction: Option<Interval>,
}

/// The orders divided by one column.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// The column, or `amount band` and `new customer`, which are made from columns.
    pub column: String,
    /// One slice a value, the lowest area under the ROC curve first (it does not depend on the share of fraud); those without enough
    /// data stand last.
    pub slices: Vec<Slice>,
    /// Orders whose value is too rare to be shown.
    pub n_rows_in_others: u64,
}

/// One threshold that may be chosen, and what it does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ThresholdRow {
    /// What it was chosen for on validation, such as `false-positive rate at most 0.5 %`.
    pub aim: String,
    /// Orders with a raw score of at least this are stopped.
    pub raw_score: f64,
    /// The calibrated probability there.
    pub probability: Option<f64>,
    /// Whether it is the one of the model.
    pub is_used: bool,
    /// Why the aim could not be followed to the letter, where it could not.
    pub note: Option<String>,
    /// What it does on the part.
    pub at_threshold: AtThreshold,
    /// Orders stopped a day; `None` without times.
    pub alerts_per_day: Option<f64>,
    /// What it costs on the part; `None` without amounts.
    pub money: Option<Money>,
    /// Intervals by the replicates of the part.
    pub intervals: Option<ThresholdIntervals>,
    /// What it does in each week of the part, earliest first; empty without times.
    pub weeks: Vec<ThresholdWeek>,
}

/// Intervals of what a threshold does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ThresholdIntervals {
    /// Of the precision.
    pub precision: Option<Interval>,
    /// Of the recall.
    pub recall: Option<Interval>,
    /// Of the false-positive rate.
    pub false_positive_rate: Option<Interval>,
    /// Of the share of orders stopped.
    pub alert_rate: Option<Interval>,
    /// Of the share of the fraud value stopped.
    pub value_weighted_recall: Option<Interval>,
    /// Of the loss reduction.
    pub loss_reduction: Option<Interval>,
    /// Of the savings.
    pub savings: Option<Interval>,
}

/// What a threshold does in one week.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ThresholdWeek {
    /// First day of the week, such as `2018-08-06`.
    pub name: String,
    /// What it does.
    pub at_threshold: AtThreshold,
    /// Orders stopped a day, over the days of the week that have an order.
    pub alerts_per_day: f64,
    /// Savings against doing nothing; `None` without amounts.
    pub savings: Option<f64>,
}

/// Orders of one band of raw scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScoreBin {
    /// Lower end, included.
    pub from: f64,
    /// Upper end, not included but in the last band.
    pub until: f64,
    /// Frauds.
    pub n_fraud: u64,
    /// Honest orders.
    pub n_honest: u64,
}

/// Orders whose label was not due at the end of the data: in no figure, and never counted as honest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Unresolved {
    /// How many.
    pub n_rows: u64,
    /// Of them, those already known as fraud.
    pub n_fraud_known: u64,
    /// Frauds that they hold by the sum of the calibrated probabilities, those known included; `None` when they were not scored.
    pub n_fraud_expected: Option<f64>,
    /// Frauds that they hold by what is known already over the share of frauds that is known at the orders' ages; `None` where the
    /// curve does not say.
    pub n_fraud_by_age: Option<f64>,
    /// Their value in the unit of the amounts; `None` without amounts.
    pub value: Option<f64>,
    /// How late labels came on resolved orders: share of their frauds known at each age, youngest first. Empty where label times
    /// are not known.
    pub label_ages: Vec<LabelAge>,
    /// The banner, in a sentence or two.
    pub text: String,
}

/// How much of the fraud is known at an age.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LabelAge {
    /// Days since the order.
    pub days: f64,
    /// Share of the frauds of resolved orders that were known by then.
    pub share_known: f64,
}

/// Figures where labels are seen for some of the orders only.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Selection {
    /// Column with the chance that an order's label was seen; `None` when not given.
    pub propensity_column: Option<String>,
    /// Column that says which orders were declined; `None` when not given.
    pub declined_column: Option<String>,
    /// Orders declined, whose label was never seen: in no figure.
    pub n_declined: u64,
    /// Orders measured with a chance below 1, such as those of a control group.
    pub n_weighted: u64,
    /// Orders left out because their chance is missing or not above 0.
    pub n_without_propensity: u64,
    /// So many orders of equal weight would tell as much as the weighted ones.
    pub effective_sample_size: Option<f64>,
    /// Orders that the measured ones stand for: the sum of the weights.
    pub n_represented: Option<f64>,
    /// Figures weighted by one over the chance, by name.
    pub figures: BTreeMap<String, WeightedFigure>,
    /// What the figures cannot see; `None` where they see all orders.
    pub warning: Option<String>,
}

/// A figure and its interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WeightedFigure {
    /// The figure; `None` where it has no meaning.
    pub value: Option<f64>,
    /// Its interval.
    pub interval: Option<Interval>,
}

/// Folds that move forward in time, each with a fit of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Folds {
    /// Oldest first.
    pub folds: Vec<Fold>,
    /// Mean over the folds that have the figure, by name.
    pub mean: BTreeMap<String, Option<f64>>,
    /// Standard deviation over the folds, of a sample; `None` with fewer than two.
    pub spread: BTreeMap<String, Option<f64>>,
}

impl Folds {
    /// Mean and spread of what the folds found; a figure that a fold does not have is left out of both.
    pub fn of(folds: Vec<Fold>) -> Self {
        let mut values: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for (name, value) in folds.iter().flat_map(|fold| &fold.figures) {
            values.entry(name.clone()).or_default().extend(value);
        }
        let mean_of = |all: &[f64]| (!all.is_empty()).then(|| all.iter().sum::<f64>() / all.len() as f64);
        let spread_of = |all: &[f64]| {
            let mean = mean_of(all).filter(|_| all.len() > 1)?;
            let squares: f64 = all.iter().map(|value| (value - mean) * (value - mean)).sum();
            Some((squares / (all.len() - 1) as f64).sqrt())
        };
        Self {
            mean: values.iter().map(|(name, all)| (name.clone(), mean_of(all))).collect(),
            spread: values.iter().map(|(name, all)| (name.clone(), spread_of(all))).collect(),
            folds,
        }
    }
}

/// One fold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Fold {
    /// First instant of the orders that are judged.
    pub test_from: Option<IsoTime>,
    /// First instant after them.
    pub test_until: Option<IsoTime>,
    /// Orders learned from.
    pub n_train: u64,
    /// Frauds among them.
    pub n_train_fraud: u64,
    /// Orders judged.
    pub n_rows: u64,
    /// Frauds among them.
    pub n_fraud: u64,
    /// Figures by name; `None` where they have no meaning.
    pub figures: BTreeMap<String, Option<f64>>,
}

/// How long one order takes, measured order by order while evaluating, on one thread. Microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reaction {
    /// Orders timed.
    pub n: u64,
    /// Half of the orders take at most so long for features.
    pub features_p50: f64,
    /// 99 of 100 do.
    pub features_p99: f64,
    /// Half of the orders take at most so long for the score.
    pub score_p50: f64,
    /// 99 of 100 do.
    pub score_p99: f64,
}

/// The cost table that figures in money stand on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Costs {
    /// Whether it is the default one; else the caller's.
    pub is_default: bool,
    /// The table.
    pub table: CostTable,
    /// The table in words, a sentence an entry.
    pub words: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_without_a_figure_are_left_out_of_its_mean() {
        let fold = |auc: Option<f64>, precision: Option<f64>| Fold {
            figures: [("roc_auc".to_owned(), auc), ("average_precision".to_owned(), precision)].into(),
            ..Fold::default()
        };
        let folds = Folds::of(vec![fold(Some(0.5), None), fold(Some(0.75), Some(0.25)), fold(None, None)]);
        assert_eq!((folds.mean["roc_auc"], folds.mean["average_precision"]), (Some(0.625), Some(0.25)));
        let spread = folds.spread["roc_auc"].unwrap();
        assert!((spread - 0.03125_f64.sqrt()).abs() < 1e-15, "{spread}");
        assert_eq!(folds.spread["average_precision"], None);
        let none = Folds::of(vec![fold(None, None)]);
        assert_eq!(none.mean["roc_auc"], None);
    }
}
