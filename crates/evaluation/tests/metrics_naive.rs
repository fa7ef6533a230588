//! Figures, thresholds and daily lists against twins that recount everything for every question.

use std::collections::{BTreeMap, BTreeSet};

use orderguard_evaluation::threshold::choose;
use orderguard_evaluation::{
    Aim, Confusion, Evaluation, Ranking, Value, brier, entity_precision_at_k_per_day, log_loss,
};
use proptest::prelude::*;

type Rows = Vec<(f64, u8)>;

/// Few distinct scores, so that ties are the rule; sometimes one class only, sometimes nothing.
fn rows() -> impl Strategy<Value = Rows> {
    let label = prop_oneof![Just(0_u8..1), Just(1..2), Just(0..2), Just(0..2), Just(0..2)];
    (label, 1_i32..12).prop_flat_map(|(labels, spread)| {
        prop::collection::vec((0..spread, labels), 0..40)
            .prop_map(|rows| rows.into_iter().map(|(score, label)| (f64::from(score) / 3.0 - 1.0, label)).collect())
    })
}

fn columns(rows: &Rows) -> (Vec<f64>, Vec<u8>) {
    rows.iter().copied().unzip()
}

fn confusion_naive(rows: &Rows, threshold: f64) -> Confusion {
    let count =
        |stopped: bool, label: u8| rows.iter().filter(|r| (r.0 >= threshold) == stopped && r.1 == label).count() as u64;
    Confusion { tp: count(true, 1), fp: count(true, 0), tn: count(false, 0), fn_: count(false, 1) }
}

/// Each distinct score as a threshold, and one that stops nothing.
fn thresholds(rows: &Rows) -> Vec<f64> {
    rows.iter().map(|r| r.0).chain([1e9]).collect()
}

/// All orders in which a sort could leave equal scores is too many; the mean over them is found by linearity: a tied order is
/// among the first k with the chance (places left) / (size of the tie).
fn precision_at_k_naive(rows: &Rows, k: usize) -> Option<f64> {
    (k > 0 && k <= rows.len()).then(|| {
        let chance = |score: f64| {
            let above = rows.iter().filter(|r| r.0 > score).count();
            let tied = rows.iter().filter(|r| r.0 == score).count();
            (k.saturating_sub(above) as f64 / tied as f64).min(1.0)
        };
        rows.iter().filter(|r| r.1 == 1).map(|r| chance(r.0)).sum::<f64>() / k as f64
    })
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
    fn figures_of_the_ranking(rows in rows(), rate in prop_oneof![Just(0.0), Just(0.05), Just(0.25), Just(0.5), 0.0..1.0_f64], k in 0_usize..45) {
        let (scores, labels) = columns(&rows);
        let ranking = Ranking::new(&scores, &labels).unwrap();
        for threshold in thresholds(&rows) {
            prop_assert_eq!(ranking.confusion_at(threshold), confusion_naive(&rows, threshold));
        }
        prop_assert!(close(ranking.precision_at_k(k as u64), precision_at_k_naive(&rows, k)));
        let allowed = thresholds(&rows).into_iter().map(|t| confusion_naive(&rows, t)).filter_map(|c| {
            (c.false_positive_rate()? <= rate).then(|| c.recall()).flatten()
        });
        prop_assert_eq!(ranking.recall_at_fpr(rate), allowed.fold(None, |best: Option<f64>, r| Some(best.map_or(r, |b| b.max(r)))));
    }

    #[test]
    fn a_choice_serves_its_aim_with_the_fewest_orders_stopped(rows in rows(), share in prop_oneof![Just(0.0), Just(1.0), 0.0..1.0_f64], kind in 0..4) {
        let (scores, labels) = columns(&rows);
        let aim = [Aim::FalsePositiveRate(share), Aim::Precision(share), Aim::Recall(share), Aim::F1][kind as usize];
        let choice = choose(&scores, &labels, aim).unwrap();
        prop_assert!(choice.raw_score.is_finite());
        prop_assert_eq!(choice.achieved, confusion_naive(&rows, choice.raw_score));
        // A difference far smaller than that of two scores changes no decision.
        for shift in [-1e-9, 1e-9] {
            prop_assert_eq!(choice.achieved, confusion_naive(&rows, choice.raw_score + shift));
        }
        if labels.contains(&1) && choice.note.is_none() {
            let options: Vec<Confusion> = thresholds(&rows).into_iter().map(|t| confusion_naive(&rows, t)).collect();
            let stopped = |c: &Confusion| c.tp + c.fp;
            // Higher is better; then the fewest stopped.
            let merit = |c: &Confusion| match aim {
                Aim::FalsePositiveRate(rate) => c.false_positive_rate().is_none_or(|f| f <= rate).then_some(c.recall().unwrap()),
                Aim::Precision(floor) => c.precision().is_some_and(|p| p >= floor).then(|| c.recall().unwrap()),
                Aim::Recall(floor) => (c.recall().unwrap() >= floor).then(|| -(stopped(c) as f64)),
                _ => c.f1(),
            };
            let best = options.iter().filter_map(merit).fold(f64::NEG_INFINITY, f64::max);
            prop_assert_eq!(merit(&choice.achieved), Some(best));
            let fewest = options.iter().filter(|c| merit(c) == Some(best)).map(stopped).min().unwrap();
            prop_assert_eq!(stopped(&choice.achieved), fewest);
        }
    }

    #[test]
    fn probabilities(rows in prop::collection::vec((prop_oneof![Just(0.0), Just(1.0), 0.0..1.0_f64], 0_u8..2), 1..50)) {
        let (probabilities, labels) = columns(&rows);
        let n = rows.len() as f64;
        let squares: f64 = rows.iter().map(|&(p, label)| (p - f64::from(label)).powi(2)).sum();
        prop_assert!(close(brier(&probabilities, &labels), Some(squares / n)));
        let logs: f64 = rows
            .iter()
            .map(|&(p, label)| if label == 1 { p } else { 1.0 - p })
            .map(|given| -given.clamp(2.0_f64.powi(-52), 1.0 - 2.0_f64.powi(-52)).ln())
            .sum();
        prop_assert!(close(log_loss(&probabilities, &labels), Some(logs / n)));
        for (bin, edges) in orderguard_evaluation::curve::reliability(&probabilities, &labels).iter().zip(
            orderguard_evaluation::curve::RELIABILITY_EDGES.windows(2),
        ) {
            let inside: Rows = rows.iter().copied().filter(|r| r.0 >= edges[0] && (r.0 < edges[1] || edges[1] == 1.0)).collect();
            prop_assert_eq!(bin.n_rows, inside.len() as u64);
            prop_assert_eq!(bin.n_fraud, inside.iter().filter(|r| r.1 == 1).count() as u64);
            let mean = inside.iter().map(|r| r.0).sum::<f64>() / inside.len() as f64;
            prop_assert!(close(bin.mean_probability, (!inside.is_empty()).then_some(mean)));
        }
    }

    #[test]
    fn money(rows in prop::collection::vec((-3_i32..3, 0_u8..2, 0_u32..100_000), 0..50), threshold in -3_i32..4) {
        let scores: Vec<f64> = rows.iter().map(|r| f64::from(r.0)).collect();
        let labels: Vec<u8> = rows.iter().map(|r| r.1).collect();
        let amounts: Vec<f64> = rows.iter().map(|r| f64::from(r.2) / 100.0).collect();
        let value = Value::at_threshold(&scores, &labels, &amounts, f64::from(threshold));
        let sum = |label: u8, at_least: i32| {
            f64::from(rows.iter().filter(|r| r.1 == label && r.0 >= at_least).map(|r| r.2).sum::<u32>()) / 100.0
        };
        let expected = [(value.fraud, 1, -9), (value.fraud_stopped, 1, threshold), (value.honest, 0, -9), (value.honest_stopped, 0, threshold)];
        for (found, label, at_least) in expected {
            prop_assert!((found - sum(label, at_least)).abs() < 1e-10);
        }
    }

    #[test]
    fn daily_lists(rows in prop::collection::vec((0_i32..6, 0_u8..2, 0_u64..8, -2_i64..3), 0..60), k in 1_usize..6) {
        let scores: Vec<f64> = rows.iter().map(|r| f64::from(r.0)).collect();
        let labels: Vec<u8> = rows.iter().map(|r| r.1).collect();
        let entities: Vec<u64> = rows.iter().map(|r| r.2).collect();
        let days: Vec<i64> = rows.iter().map(|r| r.3).collect();
        let result = entity_precision_at_k_per_day(&scores, &labels, &entities, &days, k).unwrap();

        let mut gone = BTreeSet::new();
        let mut precisions = Vec::new();
        for day in days.iter().copied().collect::<BTreeSet<_>>() {
            let mut customers: BTreeMap<u64, (i32, u8)> = BTreeMap::new();
            for row in rows.iter().filter(|r| r.3 == day && !gone.contains(&r.2)) {
                let entry = customers.entry(row.2).or_insert((row.0, 0));
                *entry = (entry.0.max(row.0), entry.1.max(row.1));
            }
            let mut list: Vec<_> = customers.into_iter().collect();
            // Stable: equal scores stay in the order of the entities.
            list.sort_by_key(|(_, (score, _))| -score);
            list.truncate(k);
            list.retain(|(_, (_, fraud))| *fraud == 1);
            precisions.push(list.len() as f64 / k as f64);
            gone.extend(list.into_iter().map(|(entity, _)| entity));
        }
        prop_assert_eq!(result.days.iter().map(|d| d.precision).collect::<Vec<_>>(), precisions.clone());
        let mean = precisions.iter().sum::<f64>() / precisions.len() as f64;
        prop_assert!(close(result.mean, (!precisions.is_empty()).then_some(mean)));
    }

    #[test]
    fn an_evaluation_does_not_depend_on_row_order_or_threads(rows in rows(), turn in 0_usize..40, n_threads in 1_usize..4) {
        let evaluate = |rows: &Rows| {
            let (scores, labels) = columns(rows);
            let probabilities: Vec<f64> = scores.iter().map(|s| (s + 2.0) / 7.0).collect();
            let amounts: Vec<f64> = rows.iter().map(|r| (r.0 * 7.77 + f64::from(r.1)).abs()).collect();
            Evaluation::compute(&scores, &probabilities, &labels, Some(&amounts), 0.4).unwrap()
        };
        let mut turned = rows.clone();
        turned.rotate_left(turn.min(rows.len()));
        turned.reverse();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        prop_assert_eq!(evaluate(&rows), pool.install(|| evaluate(&turned)));
    }

    #[test]
    fn a_curve_holds_real_thresholds_in_order(rows in rows()) {
        let (scores, labels) = columns(&rows);
        let curve = Ranking::new(&scores, &labels).unwrap().curve();
        prop_assert_eq!(curve.is_empty(), rows.is_empty());
        for point in &curve {
            let confusion = confusion_naive(&rows, point.raw_score);
            prop_assert_eq!((point.tp, point.fp), (confusion.tp, confusion.fp));
            prop_assert_eq!((point.recall, point.precision, point.false_positive_rate), (confusion.recall(), confusion.precision(), confusion.false_positive_rate()));
        }
        prop_assert!(curve.windows(2).all(|w| w[0].raw_score > w[1].raw_score));
        if let (Some(first), Some(last)) = (curve.first(), curve.last()) {
            prop_assert_eq!(first.raw_score, scores.iter().copied().fold(f64::MIN, f64::max));
            prop_assert_eq!(last.tp + last.fp, rows.len() as u64);
        }
    }
}

#[test]
fn a_curve_of_many_orders_stays_small() {
    let scores: Vec<f64> = (0..50_000).map(f64::from).collect();
    let labels: Vec<u8> = (0..50_000_u32).map(|i| u8::from(i.wrapping_mul(2_654_435_761) >> 20 < i / 40)).collect();
    let curve = Ranking::new(&scores, &labels).unwrap().curve();
    assert!(curve.len() > 150 && curve.len() <= 302, "{}", curve.len());
}

#[test]
fn rates_are_compared_as_people_write_them() {
    // One false alarm in 1,000 honest orders is exactly 0.1 %.
    let mut scores = vec![3.0, 2.0, 1.0];
    let mut labels = vec![0, 1, 1];
    scores.extend([0.0; 999]);
    labels.extend([0; 999]);
    assert_eq!(Ranking::new(&scores, &labels).unwrap().recall_at_fpr(0.001), Some(1.0));
}

#[test]
fn an_evaluation_without_frauds_has_no_made_up_figures() {
    let e = Evaluation::compute(&[1.0, 2.0], &[0.1, 0.2], &[0, 0], Some(&[10.0, f64::NAN]), 1.5).unwrap();
    assert_eq!((e.roc_auc, e.average_precision, e.at_threshold.recall), (None, None, None));
    assert_eq!((e.at_threshold.precision, e.at_threshold.f1), (Some(0.0), Some(0.0)));
    assert_eq!((e.at_threshold.value_weighted_recall, e.at_threshold.value.unwrap().honest), (None, 10.0));
    assert!(e.recall_at_fpr.values().all(Option::is_none) && e.recall_at_fpr.len() == 4);

    let e = Evaluation::compute(&[], &[], &[], None, 0.0).unwrap();
    assert_eq!((e.n_rows, e.base_rate, e.brier, e.log_loss, e.at_threshold.alert_rate), (0, None, None, None, None));
    assert!(e.curve.is_empty());
}

#[test]
fn refuses_slices_that_do_not_fit() {
    let message = |p: &[f64], amounts: Option<&[f64]>| {
        Evaluation::compute(&[1.0], p, &[1], amounts, 0.0).unwrap_err().to_string()
    };
    assert_eq!(message(&[], None), "probabilities: expected one for each of the 1 scores, found 0");
    assert_eq!(message(&[0.5], Some(&[])), "amounts: expected one for each of the 1 scores, found 0");
    assert_eq!(message(&[1.5], None), "scored order 0: expected a probability from 0 to 1, found 1.5");
}
