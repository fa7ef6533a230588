//! The figures by which a fraud model is judged. Those that need a ranking take a [`Ranking`]; `average_precision` and
//! `roc_auc` also stand alone for callers that need only one number.

use crate::ranking::Ranking;

/// Average precision: the sum over distinct scores, highest first, of the recall gained there times the precision down to
/// there. No interpolation; equal scores count as one step, as in scikit-learn.
///
/// `scores` are raw scores, infinities allowed; `labels` 1 for fraud, anything else honest. `None` when there is no fraud,
/// when the lengths differ or when a score is NaN. Sorts once, in parallel: O(n log n) time, 16 bytes per order.
///
/// ```
/// use orderguard_evaluation::average_precision;
/// assert_eq!(average_precision(&[0.9, 0.8, 0.7], &[1, 0, 1]), Some(0.5 + 0.5 * (2.0 / 3.0)));
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
}
