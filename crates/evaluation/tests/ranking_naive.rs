//! The ranking figures against twins that count all pairs and try all thresholds.

use orderguard_evaluation::{average_precision, roc_auc};
use proptest::prelude::*;

/// Few distinct scores, so that ties are the rule.
fn scored() -> impl Strategy<Value = (Vec<f64>, Vec<u8>)> {
    prop::collection::vec((-4_i32..5, 0_u8..2), 0..60)
        .prop_map(|rows| rows.into_iter().map(|(score, label)| (f64::from(score) / 3.0, label)).unzip())
}

fn roc_auc_naive(scores: &[f64], labels: &[u8]) -> Option<f64> {
    let (mut won, mut pairs) = (0.0, 0.0);
    for i in 0..scores.len() {
        for j in 0..scores.len() {
            if labels[i] == 1 && labels[j] == 0 {
                pairs += 1.0;
                won += if scores[i] > scores[j] { 1.0 } else { f64::from(u8::from(scores[i] == scores[j])) / 2.0 };
            }
        }
    }
    (pairs > 0.0).then(|| won / pairs)
}

/// For each fraud, the precision among the orders that score at least as high; their mean is the average precision.
fn average_precision_naive(scores: &[f64], labels: &[u8]) -> Option<f64> {
    let precisions: Vec<f64> = (0..scores.len())
        .filter(|&i| labels[i] == 1)
        .map(|i| {
            let stopped: Vec<usize> = (0..scores.len()).filter(|&j| scores[j] >= scores[i]).collect();
            stopped.iter().filter(|&&j| labels[j] == 1).count() as f64 / stopped.len() as f64
        })
        .collect();
    (!precisions.is_empty()).then(|| precisions.iter().sum::<f64>() / precisions.len() as f64)
}

fn close(a: Option<f64>, b: Option<f64>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() < 1e-12,
        (None, None) => true,
        _ => false,
    }
}

proptest! {
    #[test]
    fn areas_equal_the_naive_ones((scores, labels) in scored()) {
        prop_assert!(close(roc_auc(&scores, &labels), roc_auc_naive(&scores, &labels)));
        prop_assert!(close(average_precision(&scores, &labels), average_precision_naive(&scores, &labels)));
    }

    #[test]
    fn row_order_changes_no_bit((scores, labels) in scored(), turn in 0_usize..60) {
        let (mut scores_b, mut labels_b) = (scores.clone(), labels.clone());
        scores_b.rotate_left(turn.min(scores.len()));
        labels_b.rotate_left(turn.min(scores.len()));
        scores_b.reverse();
        labels_b.reverse();
        prop_assert_eq!(roc_auc(&scores, &labels), roc_auc(&scores_b, &labels_b));
        prop_assert_eq!(average_precision(&scores, &labels), average_precision(&scores_b, &labels_b));
    }
}

#[test]
fn undefined_figures_are_none() {
    for (scores, labels) in
        [(vec![], vec![]), (vec![1.0], vec![0]), (vec![f64::NAN, 1.0], vec![0, 1]), (vec![1.0], vec![])]
    {
        assert_eq!(roc_auc(&scores, &labels), None);
        assert_eq!(average_precision(&scores, &labels), None);
    }
    assert_eq!(roc_auc(&[1.0], &[1]), None);
    assert_eq!(average_precision(&[1.0], &[1]), Some(1.0));
}

#[test]
fn infinite_scores_rank_as_the_ends() {
    assert_eq!(roc_auc(&[f64::INFINITY, f64::NEG_INFINITY, 1.0], &[1, 1, 0]), Some(0.5));
}
