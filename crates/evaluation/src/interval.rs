//! Intervals of figures, as a report holds them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::report::ThresholdIntervals;

/// The middle 95 % of a figure's bootstrap replicates.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// 2.5 % of the replicates lie below.
    pub low: f64,
    /// 2.5 % of the replicates lie above.
    pub high: f64,
}

/// Intervals of the figures of a part, by their names there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Intervals {
    /// Number of replicates.
    pub n_replicates: u64,
    /// What is drawn again: `days and entities`, `days`, `entities` or `orders`.
    #[serde(default)]
    pub resampled: String,
    /// Of the area under the ROC curve, over entities.
    pub roc_auc: Option<Interval>,
    /// Of the average precision, over entities.
    pub average_precision: Option<Interval>,
    /// Of the mean daily precision over entities; `None` with fewer than two days.
    pub entity_precision_at_k: Option<Interval>,
    /// Of the mean daily precision over orders; `None` with fewer than two days.
    #[serde(default)]
    pub precision_at_k_per_day: Option<Interval>,
    /// Of the recall at each rate of false alarms.
    #[serde(default)]
    pub recall_at_fpr: BTreeMap<String, Option<Interval>>,
    /// Of the precision there.
    #[serde(default)]
    pub precision_at_fpr: BTreeMap<String, Option<Interval>>,
    /// Of what the threshold does.
    #[serde(default)]
    pub at_threshold: ThresholdIntervals,
    /// Of the false-alarm rate by value at the threshold.
    #[serde(default)]
    pub value_false_positive_rate: Option<Interval>,
    /// Of the Brier score.
    #[serde(default)]
    pub brier: Option<Interval>,
    /// Of the log loss.
    #[serde(default)]
    pub log_loss: Option<Interval>,
    /// Of the calibration error.
    #[serde(default)]
    pub calibration_error: Option<Interval>,
}
