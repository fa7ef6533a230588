//! The figures by which a fraud model is judged. Those that need the ranking are methods of [`Ranking`]; `average_precision`
//! and `roc_auc` also stand alone for callers that need only one number.

use crate::confusion::share;
use crate::ranking::{Cut, Ranking};
use crate::sum::mean_of_units;

/// Average precision: the sum over distinct scores, highest first, of the recall gained there times the precision down to
/// there. No interpolation; equal scores count as one step, as in scikit-learn.
///
/// `scores` are raw scores, infinities allowed; `labels` 1 for fraud, anything else honest. `None` when there is no fraud,
/// when the lengths differ or when a score is NaN. Sorts once, in parallel: O(n log n) time, 16 bytes per order.
///
/// ```
/// use orderguard_evaluation::average_precision;
/// assert_eq!(average_precision(&[0.9, 0.8, 0.7], &[1, 0, 1]), Some((1.0 + 2.0 / 3.0) / 2.0));
/// assert_eq!(average_precision(&[0.9, 0.8], &[0, 0]), None);
/// ```
pub fn average_precision(scores: &[f64], labels: &[u8]) -> Option<f64> {
    ranking(scores, labels)?.average_precision()
}

/// Area under the ROC curve: the chance that a fraud scores higher than an honest order, equal scores counting half.
///
/// Arguments, NaN and cost as in [`average_precision`]; `None` also when there is no honest order.
///
/// ```
/// use orderguard_evaluation::roc_auc;
/// assert_eq!(roc_auc(&[0.9, 0.8, 0.7], &[1, 0, 1]), Some(0.5));
/// ```
pub fn roc_auc(scores: &[f64], labels: &[u8]) -> Option<f64> {
    ranking(scores, labels)?.roc_auc()
}

fn ranking(scores: &[f64], labels: &[u8]) -> Option<Ranking> {
    let usable = scores.len() == labels.len() && !scores.iter().any(|score| score.is_nan());
    usable.then(|| Ranking::from_checked(scores, labels))
}

impl Ranking {
    /// See [`average_precision`]; `None` when there is no fraud.
    pub fn average_precision(&self) -> Option<f64> {
        if self.n_fraud() == 0 {
            return None;
        }
        let (mut tp, mut fp, mut sum) = (0, 0, 0.0);
        for group in self.groups() {
            tp += group.n_fraud;
            fp += group.n_honest;
            sum += group.n_fraud as f64 * (tp as f64 / (tp + fp) as f64);
        }
        Some(sum / self.n_fraud() as f64)
    }

    /// See [`roc_auc`]; `None` when a class is absent. Counted in whole pairs, so the one division is the only rounding.
    pub fn roc_auc(&self) -> Option<f64> {
        if self.n_fraud() == 0 || self.n_honest() == 0 {
            return None;
        }
        let (mut tp, mut half_pairs) = (0_u64, 0_u128);
        for group in self.groups() {
            // A fraud above an honest order counts two halves, a tie one.
            half_pairs += u128::from(group.n_honest) * u128::from(2 * tp + group.n_fraud);
            tp += group.n_fraud;
        }
        let all = 2 * u128::from(self.n_fraud()) * u128::from(self.n_honest());
        Some(half_pairs as f64 / all as f64)
    }

    /// The highest recall of all thresholds whose false-positive rate is at most `max_rate`. Only thresholds that really
    /// divide the orders count: those of one score are stopped together or not at all, and nothing is interpolated.
    /// `None` when a class is absent.
    pub fn recall_at_fpr(&self, max_rate: f64) -> Option<f64> {
        if self.n_fraud() == 0 || self.n_honest() == 0 {
            return None;
        }
        let within = |fp: u64| fp as f64 / self.n_honest() as f64 <= max_rate;
        let caught = self.cuts().take_while(|cut| within(cut.fp)).last().map_or(0, |cut| cut.tp);
        share(caught, self.n_fraud())
    }

    /// The precision of the strictest threshold that has the recall of [`Self::recall_at_fpr`]; `None` when that stops nothing,
    /// and when a class is absent.
    pub fn precision_at_fpr(&self, max_rate: f64) -> Option<f64> {
        if self.n_fraud() == 0 || self.n_honest() == 0 {
            return None;
        }
        let within = |fp: u64| fp as f64 / self.n_honest() as f64 <= max_rate;
        let first_with_most = |best: Cut, cut: Cut| if cut.tp > best.tp { cut } else { best };
        let cut = self.cuts().take_while(|cut| within(cut.fp)).reduce(first_with_most)?;
        share(cut.tp, cut.tp + cut.fp)
    }

    /// Share of frauds among the `k` orders with the highest scores. Where the k-th place falls among equal scores, those
    /// places hold the share of frauds of their score: the mean over all ways to break the tie. `None` when there are fewer
    /// than `k` orders or `k` is 0.
    pub fn precision_at_k(&self, k: u64) -> Option<f64> {
        if k == 0 || k > self.n_rows() {
            return None;
        }
        let (mut taken, mut found) = (0, 0);
        for group in self.groups() {
            let size = group.n_fraud + group.n_honest;
            if taken + size >= k {
                let places = (k - taken) as f64;
                return Some((found as f64 + places * group.n_fraud as f64 / size as f64) / k as f64);
            }
            taken += size;
            found += group.n_fraud;
        }
        None
    }

    /// Share of frauds among all orders; `None` without orders.
    pub fn base_rate(&self) -> Option<f64> {
        share(self.n_fraud(), self.n_rows())
    }
}

/// Brier score: mean of `(probability - label)^2`. 0 is perfect.
///
/// `probabilities` run parallel to `labels` (1 for fraud, anything else honest). `None` without orders, when the lengths
/// differ or when a probability is NaN or outside 0 to 1. The result does not depend on the order of the rows. O(n), in
/// parallel.
///
/// # Reference
/// Brier, Verification of forecasts expressed in terms of probability (1950).
pub fn brier(probabilities: &[f64], labels: &[u8]) -> Option<f64> {
    usable(probabilities, labels.len())?;
    mean_of_units(labels.len(), |row| {
        let distance = probabilities[row] - f64::from(u8::from(labels[row] == 1));
        distance * distance
    })
}

/// Log loss: mean of minus the natural logarithm of the probability given to what happened. That probability is first
/// brought into 2^-52 to 1 - 2^-52, as in scikit-learn, so one order that was certain and wrong costs about 36 and not
/// infinity. Arguments and `None` as in [`brier`].
pub fn log_loss(probabilities: &[f64], labels: &[u8]) -> Option<f64> {
    usable(probabilities, labels.len())?;
    mean_of_units(labels.len(), |row| {
        let given = if labels[row] == 1 { probabilities[row] } else { 1.0 - probabilities[row] };
        -libm::log(given.clamp(f64::EPSILON, 1.0 - f64::EPSILON))
    })
}

/// Mean probability; equal to the base rate when the model is right on the whole. `None` as in [`brier`].
pub fn mean_probability(probabilities: &[f64]) -> Option<f64> {
    usable(probabilities, probabilities.len())?;
    mean_of_units(probabilities.len(), |row| probabilities[row])
}

fn usable(probabilities: &[f64], n: usize) -> Option<()> {
    (probabilities.len() == n && probabilities.iter().all(|p| (0.0..=1.0).contains(p))).then_some(())
}
