//! All figures of one set of scored orders.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::confusion::{Confusion, Value};
use crate::curve::{CurvePoint, ReliabilityBin, calibration_error, histogram, reliability};
use crate::entity::EntityPrecision;
use crate::error::MetricError;
use crate::interval::Intervals;
use crate::metrics::{brier, log_loss, mean_probability};
use crate::ranking::Ranking;
use crate::report::{DailyPrecision, Money, ScoreBin, Segment, Slice, ThresholdRow};
use crate::tiers::TierFigures;

/// False-positive rates at which the recall is always given, with the names they have in a report.
pub const FPR_TARGETS: [(&str, f64); 4] = [("0.001", 0.001), ("0.005", 0.005), ("0.01", 0.01), ("0.05", 0.05)];

/// List lengths at which the precision is always given.
pub const K_TARGETS: [u64; 4] = [10, 100, 1_000, 10_000];

/// How a model did on one set of orders. Figures that have no meaning on the set are `None` (null in JSON).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Labelled orders.
    pub n_rows: u64,
    /// Frauds among them.
    pub n_fraud: u64,
    /// Share of frauds.
    pub base_rate: Option<f64>,
    /// Mean probability; equal to `base_rate` when the model is right on the whole.
    pub mean_probability: Option<f64>,
    /// Area under the ROC curve, ties half.
    pub roc_auc: Option<f64>,
    /// Average precision, step-wise.
    pub average_precision: Option<f64>,
    /// Brier score of the probability.
    pub brier: Option<f64>,
    /// Log loss of the probability, probabilities kept 2^-52 away from 0 and 1.
    pub log_loss: Option<f64>,
    /// Mean distance between foretold and observed share of fraud, over the bands of `reliability`.
    #[serde(default)]
    pub calibration_error: Option<f64>,
    /// Highest recall of the thresholds whose false-positive rate is at most the key.
    pub recall_at_fpr: BTreeMap<String, Option<f64>>,
    /// Precision of the strictest threshold that has that recall; `None` where it stops nothing.
    #[serde(default)]
    pub precision_at_fpr: BTreeMap<String, Option<f64>>,
    /// Share of frauds among the k orders with the highest scores; `None` when there are fewer orders.
    pub precision_at_k: BTreeMap<u64, Option<f64>>,
    /// Precision of daily lists of orders; `None` without times.
    #[serde(default)]
    pub precision_at_k_per_day: Option<DailyPrecision>,
    /// Precision of daily lists of entities, where the caller measured it.
    #[serde(default)]
    pub entity_precision_at_k: Option<EntityPrecision>,
    /// Bootstrap intervals, where the caller knows which orders belong together.
    #[serde(default)]
    pub intervals: Option<Intervals>,
    /// What the model's threshold does.
    pub at_threshold: AtThreshold,
    /// What each decision does where the model has tiers, the mildest first; empty where it has none.
    #[serde(default)]
    pub tiers: Vec<TierFigures>,
    /// What the model's decisions cost; `None` without amounts.
    #[serde(default)]
    pub money: Option<Money>,
    /// Calendar days that have an order; `None` without times.
    #[serde(default)]
    pub n_days: Option<u64>,
    /// Thresholds of other aims, and what they do here; the one of the model among them.
    #[serde(default)]
    pub thresholds: Vec<ThresholdRow>,
    /// Week by week, earliest first; empty without times.
    #[serde(default)]
    pub weeks: Vec<Slice>,
    /// By values of columns; the column with the weakest segment first.
    #[serde(default)]
    pub segments: Vec<Segment>,
    /// By kind of abuse, where a column names it: the frauds of one kind among all honest orders.
    #[serde(default)]
    pub kinds: Vec<Slice>,
    /// Orders by raw score and class.
    #[serde(default)]
    pub histogram: Vec<ScoreBin>,
    /// Thresholds from the strictest to the loosest.
    pub curve: Vec<CurvePoint>,
    /// Probability against observed fraud.
    pub reliability: Vec<ReliabilityBin>,
}

/// What stopping every order with `raw >= threshold` does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AtThreshold {
    /// Share of the stopped orders that are frauds.
    pub precision: Option<f64>,
    /// Share of the frauds that are stopped.
    pub recall: Option<f64>,
    /// Harmonic mean of the two.
    pub f1: Option<f64>,
    /// Share of the honest orders that are stopped.
    pub false_positive_rate: Option<f64>,
    /// Share of all orders that are stopped.
    pub alert_rate: Option<f64>,
    /// Share of the fraud value that is stopped; `None` without amounts.
    pub value_weighted_recall: Option<f64>,
    /// Share of the honest value that is stopped; `None` without amounts.
    #[serde(default)]
    pub value_false_positive_rate: Option<f64>,
    /// The counts.
    pub confusion: Confusion,
    /// The money; `None` without amounts.
    pub value: Option<Value>,
}

impl Evaluation {
    /// Measures scored orders: `raw` scores (finite), calibrated `probability` (0 to 1), `labels` (1 fraud, 0 honest) and,
    /// where known, `amounts` in major units of one currency (NaN where one is missing), all of one length. Orders with
    /// `raw >= threshold` count as stopped.
    ///
    /// The result is the same for any order of the rows and any number of threads. O(n log n), in parallel.
    ///
    /// ```
    /// use orderguard_evaluation::Evaluation;
    /// let raw = [2.0, 0.5, -1.0, -3.0];
    /// let probability = [0.9, 0.6, 0.3, 0.05];
    /// let figures = Evaluation::compute(&raw, &probability, &[1, 0, 1, 0], None, 0.0)?;
    /// assert_eq!((figures.at_threshold.recall, figures.roc_auc), (Some(0.5), Some(0.75)));
    /// # Ok::<(), orderguard_evaluation::MetricError>(())
    /// ```
    ///
    /// # Errors
    /// [`MetricError`], with the first row concerned.
    pub fn compute(
        raw: &[f64],
        probability: &[f64],
        labels: &[u8],
        amounts: Option<&[f64]>,
        threshold: f64,
    ) -> Result<Self, MetricError> {
        let lengths = [("probabilities", Some(probability.len())), ("amounts", amounts.map(<[f64]>::len))];
        for (what, found) in lengths {
            if let Some(found) = found.filter(|&found| found != raw.len()) {
                return Err(MetricError::LengthMismatch { what, expected: raw.len(), found });
            }
        }
        if let Some(row) = probability.iter().position(|p| !(0.0..=1.0).contains(p)) {
            return Err(MetricError::ProbabilityOutOfRange { row, found: probability[row] });
        }
        let ranking = Ranking::new(raw, labels)?;
        let confusion = ranking.confusion_at(threshold);
        let reliability = reliability(probability, labels);
        let value = amounts.map(|amounts| Value::at_threshold(raw, labels, amounts, threshold));
        Ok(Self {
            n_rows: ranking.n_rows(),
            n_fraud: ranking.n_fraud(),
            base_rate: ranking.base_rate(),
            mean_probability: mean_probability(probability),
            roc_auc: ranking.roc_auc(),
            average_precision: ranking.average_precision(),
            brier: brier(probability, labels),
            log_loss: log_loss(probability, labels),
            calibration_error: calibration_error(&reliability),
            recall_at_fpr: FPR_TARGETS
                .iter()
                .map(|&(key, rate)| (key.to_owned(), ranking.recall_at_fpr(rate)))
                .collect(),
            precision_at_fpr: FPR_TARGETS
                .iter()
                .map(|&(key, rate)| (key.to_owned(), ranking.precision_at_fpr(rate)))
                .collect(),
            precision_at_k: K_TARGETS.iter().map(|&k| (k, ranking.precision_at_k(k))).collect(),
            entity_precision_at_k: None,
            intervals: None,
            at_threshold: AtThreshold::of(confusion, value),
            tiers: Vec::new(),
            precision_at_k_per_day: None,
            money: None,
            n_days: None,
            thresholds: Vec::new(),
            weeks: Vec::new(),
            segments: Vec::new(),
            kinds: Vec::new(),
            histogram: histogram(raw, labels),
            curve: ranking.curve(),
            reliability,
        })
    }
}

impl AtThreshold {
    /// The figures of counts, and of values where amounts are known.
    pub(crate) fn of(confusion: Confusion, value: Option<Value>) -> Self {
        Self {
            precision: confusion.precision(),
            recall: confusion.recall(),
            f1: confusion.f1(),
            false_positive_rate: confusion.false_positive_rate(),
            alert_rate: confusion.alert_rate(),
            value_weighted_recall: value.and_then(|value| value.weighted_recall()),
            value_false_positive_rate: value.and_then(|value| value.weighted_false_positive_rate()),
            confusion,
            value,
        }
    }
}
