//! Two models on the same orders: is the new one at least as good, and whom does it treat otherwise?

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::costs::CostTable;
use crate::draws::mixed;
use crate::error::MetricError;
use crate::interval::Interval;
use crate::measure::Options;
use crate::pass::Depth;
use crate::ranked::Ranked;
use crate::replicates::{ANY, Plan, Replicate, Replicates, at};
use crate::scored::Scored;
use crate::sum::MoneySum;

/// Version of the layout of a comparison in JSON; members may be added without a new one.
pub const COMPARISON_VERSION: u32 = 1;

/// The old model and the new one on the same orders, each with its own threshold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// [`COMPARISON_VERSION`].
    pub schema_version: u32,
    /// Labelled orders.
    pub n_rows: u64,
    /// Frauds among them.
    pub n_fraud: u64,
    /// What the bootstrap drew again.
    pub resampled: String,
    /// Replicates of the bootstrap.
    pub n_replicates: u64,
    /// Raw scores from which on the old and the new model stop orders.
    pub thresholds: [f64; 2],
    /// Figures of both and their difference, by name.
    pub figures: BTreeMap<String, Difference>,
    /// Who is treated otherwise.
    pub swap: SwapSet,
    /// What follows.
    pub verdict: Verdict,
    /// What a reader should know before.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// One figure of both models.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Of the old model; `None` where it has no meaning.
    pub old: Option<f64>,
    /// Of the new one.
    pub new: Option<f64>,
    /// New less old.
    pub difference: Option<f64>,
    /// The middle 95 % of the differences of replicates that both models were measured on.
    pub interval: Option<Interval>,
}

/// Orders by what both models do with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SwapSet {
    /// Stopped by the new model only.
    pub newly_stopped: Swapped,
    /// Stopped by the old model only.
    pub newly_passed: Swapped,
    /// Stopped by both.
    pub stopped_by_both: Swapped,
    /// Let through by both.
    pub passed_by_both: Swapped,
}

/// Some orders and their value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Swapped {
    /// Frauds.
    pub n_fraud: u64,
    /// Honest orders.
    pub n_honest: u64,
    /// Value of the frauds; `None` without amounts.
    pub fraud_value: Option<f64>,
    /// Value of the honest orders.
    pub honest_value: Option<f64>,
}

/// Whether the new model may take the place of the old one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The figure that decides.
    pub measure: String,
    /// How much worse the new model may be.
    pub margin: f64,
    /// Whether the whole interval lies above minus `margin`: the new model is not worse by more.
    pub is_non_inferior: bool,
    /// Whether the whole interval lies above 0.
    pub is_better: bool,
    /// The same in a sentence.
    pub text: String,
}

/// The figure that decides which model is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Measure {
    /// Average precision.
    #[default]
    AveragePrecision,
    /// Area under the ROC curve.
    RocAuc,
    /// Recall where half a percent of the honest orders is stopped.
    Recall,
    /// Loss reduction at the models' own thresholds; needs amounts.
    LossReduction,
}

impl Measure {
    /// Every measure.
    pub const ALL: [Self; 4] = [Self::AveragePrecision, Self::RocAuc, Self::Recall, Self::LossReduction];

    /// Its name in [`Comparison::figures`].
    pub fn name(self) -> &'static str {
        match self {
            Self::AveragePrecision => "average_precision",
            Self::RocAuc => "roc_auc",
            Self::Recall => "recall_at_fpr_0.005",
            Self::LossReduction => "loss_reduction",
        }
    }
}

/// Compares two models on the same orders: `old` and `new` differ in scores and probabilities alone. Each replicate weighs the orders
/// of both alike, so that what is hard for both does not blur their difference.
///
/// The new model passes where the lower end of the interval of new less old lies above -`margin`: then at most 2.5 % of the samples
/// of which this is one would have it worse by more. Where the figure is undefined it does not pass.
///
/// # Errors
/// [`MetricError::LengthMismatch`] where the numbers of orders differ; labels, amounts, days and entities are those of `old`.
///
/// # Reference
/// Piaggio et al., *Reporting of Noninferiority and Equivalence Randomized Trials* (2012).
pub fn compare(
    old: &Scored<'_>,
    new: &Scored<'_>,
    thresholds: [f64; 2],
    (measure, margin): (Measure, f64),
    options: &Options<'_>,
) -> Result<Comparison, MetricError> {
    if old.len() != new.len() {
        return Err(MetricError::LengthMismatch { what: "new scores", expected: old.len(), found: new.len() });
    }
    // Without customers and days an order is drawn by what is known of it, and so alike for both models.
    let bits = |row: usize| {
        let amount = old.amounts.map_or(0.0, |all| all[row]);
        // A sum, so that it does not matter which model is the old one.
        let scores = mixed(old.raw[row].to_bits()).wrapping_add(mixed(new.raw[row].to_bits()));
        [scores, amount.to_bits(), u64::from(old.labels[row])].into_iter().fold(0, |hash, part| mixed(hash ^ part))
    };
    let alone = old.entities.is_none() && old.days.is_none();
    let own: Vec<u64> = if alone { (0..old.len()).map(bits).collect() } else { Vec::new() };
    let entities = if alone { Some(own.as_slice()) } else { old.entities };
    let old = &Scored { entities, weights: None, ..*old };
    let new = &Scored { raw: new.raw, probability: new.probability, ..*old };

    let plan = Plan { n: options.n_replicates, seed: options.seed, depth: Depth::Full };
    let measured = |orders: &Scored<'_>, threshold: f64| {
        let ranked = Ranked::new(orders);
        Replicates::new(&ranked, &[ranked.n_from(threshold)], None, plan)
    };
    let (a, b) = (measured(old, thresholds[0]), measured(new, thresholds[1]));
    let figures = differences(&a, &b, options.costs.as_ref().filter(|_| old.amounts.is_some()));
    let verdict = verdict(measure, margin, figures.get(measure.name()));
    Ok(Comparison {
        schema_version: COMPARISON_VERSION,
        n_rows: old.len() as u64,
        n_fraud: old.labels.iter().map(|&label| u64::from(label)).sum(),
        resampled: if alone { "orders".into() } else { a.words().into() },
        n_replicates: plan.n as u64,
        thresholds,
        figures,
        swap: swap(old, new, thresholds),
        verdict,
        notes: Vec::new(),
    })
}

fn differences(a: &Replicates, b: &Replicates, costs: Option<&CostTable>) -> BTreeMap<String, Difference> {
    let mut figures = BTreeMap::new();
    let mut add = |name: &str, figure: &dyn Fn(&Replicate) -> Option<f64>| {
        let (old, new) = (figure(&a.own), figure(&b.own));
        figures.insert(
            name.to_owned(),
            Difference {
                old,
                new,
                difference: old.zip(new).map(|(old, new)| new - old),
                interval: a.interval_of_difference(b, ANY, figure),
            },
        );
    };
    add("roc_auc", &|r| r.found.roc_auc);
    add("average_precision", &|r| r.found.average_precision);
    add("recall_at_fpr_0.005", &|r| r.found.recall_at_fpr[1]);
    add("brier", &|r| r.found.brier);
    add("log_loss", &|r| r.found.log_loss);
    add("calibration_error", &|r| r.found.calibration_error);
    add("precision", &|r| at::precision(r, 0));
    add("recall", &|r| at::recall(r, 0));
    add("false_positive_rate", &|r| at::false_positive_rate(r, 0));
    add("alert_rate", &|r| at::alert_rate(r, 0));
    if let Some(costs) = costs {
        add("value_weighted_recall", &|r| at::value_recall(r, 0));
        add("savings", &|r| Some(at::savings(r, 0, costs)));
        add("loss_reduction", &|r| at::loss_reduction(r, 0, costs));
    }
    figures
}

fn verdict(measure: Measure, margin: f64, figure: Option<&Difference>) -> Verdict {
    let name = measure.name().replace('_', " ");
    let interval = figure.and_then(|figure| figure.interval);
    let (is_non_inferior, is_better) = interval.map_or((false, false), |i| (i.low > -margin, i.low > 0.0));
    let text = match interval {
        None => format!("keep the old model: {name} cannot be compared on these orders"),
        Some(i) => format!(
            "{}: {name} differs by {:+.4} to {:+.4}, {}",
            if is_non_inferior { "promote the new model" } else { "keep the old model" },
            i.low,
            i.high,
            match (is_better, is_non_inferior) {
                (true, _) => "so it is better".to_owned(),
                (false, true) => format!("so it is not worse by {margin} or more"),
                (false, false) => format!("so it may be worse by {margin} or more"),
            }
        ),
    };
    Verdict { measure: measure.name().into(), margin, is_non_inferior, is_better, text }
}

fn swap(old: &Scored<'_>, new: &Scored<'_>, thresholds: [f64; 2]) -> SwapSet {
    let mut counts = [[(0_u64, MoneySum::default()); 2]; 4];
    for row in 0..old.len() {
        let stopped = [old.raw[row] >= thresholds[0], new.raw[row] >= thresholds[1]].map(usize::from);
        let cell = &mut counts[stopped[0] * 2 + stopped[1]][usize::from(old.labels[row])];
        cell.0 += 1;
        cell.1.add(old.amounts.map_or(0.0, |all| all[row]));
    }
    let [passed_by_both, newly_stopped, newly_passed, stopped_by_both] = counts.map(|[honest, fraud]| Swapped {
        n_fraud: fraud.0,
        n_honest: honest.0,
        fraud_value: old.amounts.map(|_| fraud.1.total()),
        honest_value: old.amounts.map(|_| honest.1.total()),
    });
    SwapSet { newly_stopped, newly_passed, stopped_by_both, passed_by_both }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sample {
        labels: Vec<u8>,
        amounts: Vec<f64>,
        days: Vec<i64>,
        entities: Vec<u64>,
        probability: Vec<f64>,
    }

    fn unit(x: u64) -> f64 {
        (mixed(x) >> 11) as f64 / 9_007_199_254_740_992.0
    }

    fn sample(n: u64) -> Sample {
        let of = |i: u64| u8::from(unit((i / 2) ^ 0x1_0000_0000) < 0.1);
        Sample {
            labels: (0..n).map(of).collect(),
            amounts: (0..n).map(|i| (unit(i ^ 0x2_0000_0000) * 1e4).round() / 100.0).collect(),
            days: (0..n).map(|i| (unit(i ^ 0x3_0000_0000) * 60.0) as i64).collect(),
            entities: (0..n).map(|i| i / 2).collect(),
            probability: vec![0.1; n as usize],
        }
    }

    /// Scores that know the label to a degree.
    fn scores(sample: &Sample, strength: f64, noise: u64) -> Vec<f64> {
        sample.labels.iter().zip(0_u64..).map(|(&l, i)| unit(i ^ noise) + strength * f64::from(l)).collect()
    }

    fn compared(sample: &Sample, old: &[f64], new: &[f64], margin: f64, clustered: bool) -> Comparison {
        let orders = |raw| {
            let orders = Scored::new(raw, &sample.probability, &sample.labels).unwrap();
            let orders = orders.with_amounts(Some(&sample.amounts)).unwrap();
            if clustered {
                orders.with_days(Some(&sample.days)).unwrap().with_entities(Some(&sample.entities)).unwrap()
            } else {
                orders
            }
        };
        let options = Options { n_replicates: 100, costs: Some(CostTable::default()), ..Options::default() };
        compare(&orders(old), &orders(new), [0.9, 0.9], (Measure::AveragePrecision, margin), &options).unwrap()
    }

    #[test]
    fn the_better_model_is_promoted_and_the_worse_kept() {
        let sample = sample(3_000);
        let (weak, strong) = (scores(&sample, 0.1, 7 << 40), scores(&sample, 0.5, 7 << 40));
        for clustered in [true, false] {
            let up = compared(&sample, &weak, &strong, 0.01, clustered);
            assert!(up.verdict.is_better && up.verdict.is_non_inferior, "{}", up.verdict.text);
            assert!(up.verdict.text.starts_with("promote the new model: average precision differs by +0."));
            let down = compared(&sample, &strong, &weak, 0.01, clustered);
            assert!(!down.verdict.is_non_inferior && down.verdict.text.starts_with("keep the old model"));
            let up_ap = up.figures["average_precision"];
            let down_ap = down.figures["average_precision"];
            assert_eq!(up_ap.difference.unwrap(), -down_ap.difference.unwrap());
            // Tails of one sample, seen from both sides.
            assert!((up_ap.interval.unwrap().low + down_ap.interval.unwrap().high).abs() < 1e-12);
        }
    }

    #[test]
    fn a_model_is_as_good_as_itself() {
        let sample = sample(1_000);
        let scores = scores(&sample, 0.3, 9 << 40);
        let same = compared(&sample, &scores, &scores, 0.001, true);
        assert!(same.verdict.is_non_inferior && !same.verdict.is_better, "{}", same.verdict.text);
        assert!(same.figures.values().all(|of| of.interval == Some(Interval { low: 0.0, high: 0.0 })), "{same:?}");
        assert_eq!(
            same.swap.newly_stopped,
            Swapped { fraud_value: Some(0.0), honest_value: Some(0.0), ..Swapped::default() }
        );
    }

    #[test]
    fn pairs_tell_more_than_two_intervals() {
        let sample = sample(3_000);
        let old = scores(&sample, 0.3, 7 << 40);
        let new: Vec<f64> = old.iter().zip(0_u64..).map(|(s, i)| s + 0.02 * unit(i ^ (5 << 50))).collect();
        let found = compared(&sample, &old, &new, 0.05, true);
        let ranked = Ranked::new(
            &Scored::new(&old, &sample.probability, &sample.labels).unwrap().with_days(Some(&sample.days)).unwrap(),
        );
        let plan = Plan { n: 100, seed: 1, depth: Depth::Ranking };
        let alone = Replicates::new(&ranked, &[], None, plan).interval(ANY, |r| r.found.average_precision).unwrap();
        let paired = found.figures["average_precision"].interval.unwrap();
        assert!(paired.high - paired.low < 0.5 * (alone.high - alone.low), "{paired:?} {alone:?}");
    }

    #[test]
    fn every_order_is_in_one_cell_of_the_swap_set() {
        let sample = sample(500);
        let (old, new) = (scores(&sample, 0.2, 1 << 40), scores(&sample, 0.2, 2 << 40));
        let swap = compared(&sample, &old, &new, 0.0, true).swap;
        let naive = |a: bool, b: bool, label: u8| {
            let in_cell = |&i: &usize| (old[i] >= 0.9) == a && (new[i] >= 0.9) == b && sample.labels[i] == label;
            let rows: Vec<usize> = (0..500).filter(in_cell).collect();
            (rows.len() as u64, rows.iter().map(|&i| sample.amounts[i]).sum::<f64>())
        };
        for (cell, a, b) in [
            (swap.newly_stopped, false, true),
            (swap.newly_passed, true, false),
            (swap.stopped_by_both, true, true),
            (swap.passed_by_both, false, false),
        ] {
            let (n_fraud, fraud_value) = naive(a, b, 1);
            let (n_honest, honest_value) = naive(a, b, 0);
            assert_eq!((cell.n_fraud, cell.n_honest), (n_fraud, n_honest));
            assert!((cell.fraud_value.unwrap() - fraud_value).abs() < 1e-6);
            assert!((cell.honest_value.unwrap() - honest_value).abs() < 1e-6);
        }
    }

    #[test]
    fn what_cannot_be_compared_keeps_the_old_model() {
        let orders = Scored::new(&[1.0, 2.0], &[0.1, 0.1], &[0, 0]).unwrap();
        let found = compare(&orders, &orders, [0.0; 2], (Measure::RocAuc, 0.01), &Options::default()).unwrap();
        assert!(!found.verdict.is_non_inferior && found.verdict.text.contains("cannot be compared"));
        let fewer = Scored::new(&[1.0], &[0.1], &[0]).unwrap();
        assert!(compare(&orders, &fewer, [0.0; 2], (Measure::RocAuc, 0.01), &Options::default()).is_err());
    }
}
