//! What a threshold does: who is stopped rightly and wrongly, in orders and in money.

use serde::{Deserialize, Serialize};

use crate::ranking::Ranking;
use crate::sum::{MoneySum, fold_rows};

/// How many orders of each class are stopped and let through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    /// Frauds stopped.
    pub tp: u64,
    /// Honest orders stopped: false alarms.
    pub fp: u64,
    /// Honest orders let through.
    pub tn: u64,
    /// Frauds let through.
    #[serde(rename = "fn")]
    pub fn_: u64,
}

impl Confusion {
    /// All orders.
    pub fn n_rows(&self) -> u64 {
        self.tp + self.fp + self.tn + self.fn_
    }

    /// Share of the stopped orders that are frauds; `None` when nothing is stopped.
    pub fn precision(&self) -> Option<f64> {
        share(self.tp, self.tp + self.fp)
    }

    /// Share of the frauds that are stopped; `None` without frauds.
    pub fn recall(&self) -> Option<f64> {
        share(self.tp, self.tp + self.fn_)
    }

    /// Harmonic mean of precision and recall, `2 tp / (2 tp + fp + fn)`; `None` when there is no fraud and nothing is stopped.
    pub fn f1(&self) -> Option<f64> {
        share(2 * self.tp, 2 * self.tp + self.fp + self.fn_)
    }

    /// Share of the honest orders that are stopped; `None` without honest orders.
    pub fn false_positive_rate(&self) -> Option<f64> {
        share(self.fp, self.fp + self.tn)
    }

    /// Share of all orders that are stopped; `None` without orders.
    pub fn alert_rate(&self) -> Option<f64> {
        share(self.tp + self.fp, self.n_rows())
    }
}

impl Ranking {
    /// Who is stopped when orders with `raw >= threshold` are.
    pub fn confusion_at(&self, threshold: f64) -> Confusion {
        let stopped = self.groups().iter().take_while(|group| group.score >= threshold);
        let (tp, fp) = stopped.fold((0, 0), |(tp, fp), group| (tp + group.n_fraud, fp + group.n_honest));
        Confusion { tp, fp, tn: self.n_honest() - fp, fn_: self.n_fraud() - tp }
    }
}

/// Money at a threshold, in the unit of the amounts that were given. Missing (NaN) and negative amounts count as nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Value {
    /// All fraud.
    pub fraud: f64,
    /// Fraud in orders stopped.
    pub fraud_stopped: f64,
    /// All honest orders.
    pub honest: f64,
    /// Honest orders stopped.
    pub honest_stopped: f64,
}

impl Value {
    /// Adds up the amounts by class and decision; orders with `raw >= threshold` are stopped. The three slices have one
    /// length (rows past the shortest are ignored). The sums do not depend on the order of the rows. O(n), in parallel.
    pub fn at_threshold(scores: &[f64], labels: &[u8], amounts: &[f64], threshold: f64) -> Self {
        let n = scores.len().min(labels.len()).min(amounts.len());
        let add = |sums: &mut [MoneySum; 4], row: usize| {
            let class = usize::from(labels[row] != 1) * 2;
            sums[class].add(amounts[row]);
            if scores[row] >= threshold {
                sums[class + 1].add(amounts[row]);
            }
        };
        let join = |a: [MoneySum; 4], b: [MoneySum; 4]| std::array::from_fn(|i| a[i].plus(b[i]));
        let [fraud, fraud_stopped, honest, honest_stopped] = fold_rows(n, add, join).map(MoneySum::total);
        Self { fraud, fraud_stopped, honest, honest_stopped }
    }

    /// Share of the fraud value that is stopped; `None` when frauds are worth nothing.
    pub fn weighted_recall(&self) -> Option<f64> {
        (self.fraud > 0.0).then(|| self.fraud_stopped / self.fraud)
    }

    /// Share of the honest value that is stopped; `None` when honest orders are worth nothing.
    pub fn weighted_false_positive_rate(&self) -> Option<f64> {
        (self.honest > 0.0).then(|| self.honest_stopped / self.honest)
    }
}

/// `part / whole`, `None` when there is nothing to divide by.
pub(crate) fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
