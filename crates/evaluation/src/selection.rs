//! Figures where labels are seen for some of the orders only: each order that was seen counts for those like it that were not.

use std::collections::BTreeMap;

use crate::costs::CostTable;
use crate::interval::Interval;
use crate::measure::Options;
use crate::pass::Depth;
use crate::ranked::Ranked;
use crate::replicates::{ANY, Plan, Replicate, Replicates, SHARE, at};
use crate::report::{Selection, WeightedFigure};
use crate::scored::Scored;

/// Measures orders by their weights ([`Scored::with_weights`]), each one over the chance that the order's label was seen: an order of a
/// control group of a tenth counts ten times. Shares are ratios of weighted sums, so weights need only be right up to a factor.
/// Columns and counts of what was left out are the caller's to fill in. O(n log n + replicates * n).
///
/// # Reference
/// Horvitz and Thompson, *A Generalization of Sampling Without Replacement From a Finite Universe* (1952). Hájek, comment in
/// *Foundations of Statistical Inference* (1971): the ratio. Kish, *Survey Sampling* (1965): the effective sample size.
pub fn selection(orders: &Scored<'_>, threshold: f64, options: &Options<'_>) -> Selection {
    let ranked = Ranked::new(orders);
    let weights: Vec<f64> = if ranked.weight.is_empty() { vec![1.0; ranked.len()] } else { ranked.weight.clone() };
    let (sum, squares) = weights.iter().fold((0.0, 0.0), |(sum, squares), w| (sum + w, squares + w * w));
    let plan = Plan { n: options.n_replicates, seed: options.seed, depth: Depth::Full };
    let replicates = Replicates::new(&ranked, &[ranked.n_from(threshold)], None, plan);
    let mut figures = BTreeMap::new();
    let mut add = |name: &str, range: (f64, f64), figure: &dyn Fn(&Replicate) -> Option<f64>| {
        let interval: Option<Interval> = if plan.n > 0 { replicates.interval(range, figure) } else { None };
        figures.insert(name.to_owned(), WeightedFigure { value: figure(&replicates.own), interval });
    };
    add("roc_auc", SHARE, &|r| r.found.roc_auc);
    add("average_precision", SHARE, &|r| r.found.average_precision);
    add("brier", SHARE, &|r| r.found.brier);
    add("calibration_error", SHARE, &|r| r.found.calibration_error);
    add("base_rate", SHARE, &|r| crate::pass::ratio(r.found.all.fraud, r.found.all.n()));
    add("precision", SHARE, &|r| at::precision(r, 0));
    add("recall", SHARE, &|r| at::recall(r, 0));
    add("false_positive_rate", SHARE, &|r| at::false_positive_rate(r, 0));
    add("alert_rate", SHARE, &|r| at::alert_rate(r, 0));
    if let Some(costs) = options.costs.filter(|_| orders.amounts.is_some()) {
        let costs: CostTable = costs;
        add("loss_reduction", ANY, &|r| at::loss_reduction(r, 0, &costs));
    }
    Selection {
        n_weighted: weights.iter().filter(|&&w| w != 1.0).count() as u64,
        effective_sample_size: (squares > 0.0).then(|| sum * sum / squares),
        n_represented: (!weights.is_empty()).then_some(sum),
        figures,
        ..Selection::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_of_weight_three_is_three_orders() {
        let (raw, labels) = ([3.0, 2.0, 2.0, 1.0, 0.0, -1.0], [1, 0, 1, 0, 1, 0]);
        let probability = [0.9, 0.7, 0.7, 0.4, 0.3, 0.1];
        let weights = [1.0, 3.0, 1.0, 2.0, 3.0, 1.0];
        let repeat = |i: usize| std::iter::repeat_n(i, weights[i] as usize);
        let rows: Vec<usize> = (0..6).flat_map(repeat).collect();
        let pick = |from: &[f64]| -> Vec<f64> { rows.iter().map(|&i| from[i]).collect() };
        let (raws, probabilities) = (pick(&raw), pick(&probability));
        let repeated: Vec<u8> = rows.iter().map(|&i| labels[i]).collect();
        let naive = crate::Evaluation::compute(&raws, &probabilities, &repeated, None, 1.5).unwrap();

        let orders = Scored::new(&raw, &probability, &labels).unwrap().with_weights(Some(&weights)).unwrap();
        let options = Options { n_replicates: 0, ..Options::default() };
        let found = selection(&orders, 1.5, &options);
        let close = |name: &str, b: Option<f64>| {
            let a = found.figures[name].value;
            assert!((a.unwrap() - b.unwrap()).abs() < 1e-12, "{name}: {a:?} {b:?}");
        };
        close("roc_auc", naive.roc_auc);
        close("average_precision", naive.average_precision);
        close("brier", naive.brier);
        close("calibration_error", naive.calibration_error);
        close("base_rate", naive.base_rate);
        close("precision", naive.at_threshold.precision);
        close("recall", naive.at_threshold.recall);
        close("false_positive_rate", naive.at_threshold.false_positive_rate);
        close("alert_rate", naive.at_threshold.alert_rate);
        assert_eq!((found.n_represented, found.n_weighted), (Some(11.0), 3));
        assert_eq!(found.effective_sample_size, Some(121.0 / 25.0));
    }

    #[test]
    fn a_control_group_tells_what_declining_hides() {
        // Of the orders above 1 only every tenth was let through; without weights their frauds hardly count.
        let n = 40_000_u64;
        let unit = |x: u64| (crate::draws::mixed(x) >> 11) as f64 / 9_007_199_254_740_992.0;
        let score = |i: u64| unit(i) * 2.0;
        let fraud = |i: u64| u8::from(unit(i ^ 0x55_0000_0000) < if score(i) > 1.0 { 0.2 } else { 0.02 });
        let seen: Vec<u64> = (0..n).filter(|&i| score(i) <= 1.0 || unit(i ^ 0x77_0000_0000) < 0.1).collect();
        let raw: Vec<f64> = seen.iter().map(|&i| score(i)).collect();
        let probability = vec![0.1; raw.len()];
        let labels: Vec<u8> = seen.iter().map(|&i| fraud(i)).collect();
        let weights: Vec<f64> = raw.iter().map(|&raw| if raw > 1.0 { 10.0 } else { 1.0 }).collect();
        let all: Vec<f64> = (0..n).map(score).collect();
        let all_labels: Vec<u8> = (0..n).map(fraud).collect();
        let truth = crate::Ranking::new(&all, &all_labels).unwrap().confusion_at(1.0).recall().unwrap();
        let naive = crate::Ranking::new(&raw, &labels).unwrap().confusion_at(1.0).recall().unwrap();
        let orders = Scored::new(&raw, &probability, &labels).unwrap().with_weights(Some(&weights)).unwrap();
        let found = selection(&orders, 1.0, &Options { n_replicates: 200, ..Options::default() });
        let recall = found.figures["recall"];
        let interval = recall.interval.unwrap();
        assert!((recall.value.unwrap() - truth).abs() < 0.03, "{recall:?} {truth}");
        assert!((naive - truth).abs() > 0.2, "{naive} {truth}");
        assert!(interval.low < truth && truth < interval.high, "{interval:?} {truth}");
    }
}
