//! Everything that is measured of scored orders: the figures, their intervals, what decisions cost, and parts of the orders.

use std::collections::BTreeMap;

use crate::confusion::{Confusion, Value};
use crate::costs::CostTable;
use crate::curve::CurvePoint;
use crate::daily::DailyLists;
use crate::entity::entity_precision_at_k_per_day;
use crate::error::MetricError;
use crate::evaluation::{AtThreshold, Evaluation, FPR_TARGETS};
use crate::interval::Intervals;
use crate::pass::{Depth, Tally, ratio};
use crate::ranked::Ranked;
use crate::replicates::{ANY, POSITIVE, Plan, Replicate, Replicates, SHARE, at};
use crate::report::{BestThreshold, Money, ThresholdIntervals, ThresholdRow, ThresholdWeek};
use crate::scored::Scored;
use crate::slices::{self, Column};
use crate::sum::{MoneySum, fold_rows};
use crate::tiers::TierFigures;

/// What is measured, and how. The defaults are what `orderguard` uses.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    /// What decisions cost; figures in money need amounts as well.
    pub costs: Option<CostTable>,
    /// Length of the daily lists. Default 100, as in the Fraud Detection Handbook.
    pub k_per_day: u64,
    /// Replicates of the bootstrap for each of the ways to draw. Default 500; more make the ends of intervals steadier, at
    /// proportional cost. 0 leaves intervals out.
    pub n_replicates: usize,
    /// Seed of the bootstrap: intervals of equal scores are equal. Default 1.
    pub seed: u64,
    /// Thresholds to compare.
    pub thresholds: &'a [Candidate],
    /// Columns by whose values the orders are divided.
    pub columns: &'a [Column],
    /// The kind of abuse of each order, where it is known.
    pub kinds: Option<&'a Column>,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self { costs: None, k_per_day: 100, n_replicates: 500, seed: 1, thresholds: &[], columns: &[], kinds: None }
    }
}

/// A threshold chosen elsewhere.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Candidate {
    /// What it was chosen for.
    pub aim: String,
    /// Orders with `raw >= raw_score` are stopped.
    pub raw_score: f64,
    /// The calibrated probability there.
    pub probability: Option<f64>,
    /// Whether it is the one of the model.
    pub is_used: bool,
    /// Why the aim could not be followed to the letter.
    pub note: Option<String>,
}

impl Evaluation {
    /// All that can be measured of `orders` when those with `raw >= threshold` are stopped: the figures of [`Self::compute`],
    /// daily lists, intervals, money, thresholds, weeks, segments and kinds of abuse. Weights of the orders are not used here.
    ///
    /// The result is the same for any order of the rows and any number of threads. O(n log n + replicates * n), in parallel; 100 bytes
    /// an order.
    ///
    /// # Errors
    /// [`MetricError::LengthMismatch`] where a column does not fit the orders.
    pub fn measure(orders: &Scored<'_>, threshold: f64, options: &Options<'_>) -> Result<Self, MetricError> {
        let mut figures = Self::compute(orders.raw, orders.probability, orders.labels, orders.amounts, threshold)?;
        let unweighted = Scored { weights: None, ..*orders };
        let ranked = Ranked::new(&unweighted);
        let daily = DailyLists::new(&ranked, options.k_per_day);
        figures.precision_at_k_per_day = daily.as_ref().map(DailyLists::precision);
        figures.n_days = daily.as_ref().map(DailyLists::n_days);
        if let Some((entities, days)) = orders.entities.zip(orders.days) {
            let k = options.k_per_day as usize;
            figures.entity_precision_at_k = entity_precision_at_k_per_day(orders.raw, orders.labels, entities, days, k);
        }
        let costs = options.costs.filter(|_| orders.amounts.is_some());
        if let Some(costs) = &costs {
            figures.money = Some(money(orders, threshold, costs, Some(&ranked)));
            price_curve(&mut figures.curve, &ranked, costs);
        }
        let mut cuts: Vec<usize> =
            options.thresholds.iter().map(|candidate| ranked.n_from(candidate.raw_score)).collect();
        cuts.push(ranked.n_from(threshold));
        cuts.sort_unstable();
        cuts.dedup();
        let place = |raw_score: f64| cuts.partition_point(|&cut| cut < ranked.n_from(raw_score));
        let replicates = (options.n_replicates > 0).then(|| {
            let plan = Plan { n: options.n_replicates, seed: options.seed, depth: Depth::Full };
            Replicates::new(&ranked, &cuts, daily.as_ref(), plan)
        });
        figures.intervals = replicates
            .as_ref()
            .map(|replicates| intervals(replicates, options, place(threshold), costs.as_ref(), figures.n_days));
        let parts = slices::Parts { orders: &unweighted, ranked: &ranked, threshold, costs: costs.as_ref(), options };
        figures.thresholds = options
            .thresholds
            .iter()
            .map(|candidate| {
                let replicates = replicates.as_ref().map(|replicates| (replicates, place(candidate.raw_score)));
                threshold_row(&parts, candidate, figures.n_days, replicates)
            })
            .collect();
        figures.weeks = slices::weeks(&parts);
        figures.segments = slices::segments(&parts)?;
        figures.kinds = slices::kinds(&parts)?;
        Ok(figures)
    }
}

fn intervals(
    replicates: &Replicates,
    options: &Options<'_>,
    cut: usize,
    costs: Option<&CostTable>,
    n_days: Option<u64>,
) -> Intervals {
    let share = |figure: &dyn Fn(&Replicate) -> Option<f64>| replicates.interval(SHARE, figure);
    let by_rate = |figure: &dyn Fn(&Replicate, usize) -> Option<f64>| -> BTreeMap<_, _> {
        let keyed = |(i, (key, _)): (usize, &(&str, f64))| ((*key).to_owned(), share(&|r| figure(r, i)));
        FPR_TARGETS.iter().enumerate().map(keyed).collect()
    };
    // One day has no spread.
    let several_days = n_days.is_some_and(|n| n > 1);
    Intervals {
        n_replicates: options.n_replicates as u64,
        resampled: replicates.words().to_owned(),
        roc_auc: share(&|r| r.found.roc_auc),
        average_precision: share(&|r| r.found.average_precision),
        entity_precision_at_k: share(&|r| r.entities_a_day).filter(|_| several_days),
        precision_at_k_per_day: share(&|r| r.orders_a_day).filter(|_| several_days),
        recall_at_fpr: by_rate(&|r, i| r.found.recall_at_fpr[i]),
        precision_at_fpr: by_rate(&|r, i| r.found.precision_at_fpr[i]),
        at_threshold: threshold_intervals(replicates, cut, costs),
        value_false_positive_rate: share(&|r| at::value_false_positive_rate(r, cut)),
        brier: share(&|r| r.found.brier),
        log_loss: replicates.interval(POSITIVE, |r| r.found.log_loss),
        calibration_error: share(&|r| r.found.calibration_error),
    }
}

fn threshold_intervals(replicates: &Replicates, cut: usize, costs: Option<&CostTable>) -> ThresholdIntervals {
    ThresholdIntervals {
        precision: replicates.interval(SHARE, |r| at::precision(r, cut)),
        recall: replicates.interval(SHARE, |r| at::recall(r, cut)),
        false_positive_rate: replicates.interval(SHARE, |r| at::false_positive_rate(r, cut)),
        alert_rate: replicates.interval(SHARE, |r| at::alert_rate(r, cut)),
        value_weighted_recall: replicates.interval(SHARE, |r| at::value_recall(r, cut)),
        loss_reduction: costs.and_then(|costs| replicates.interval(ANY, |r| at::loss_reduction(r, cut, costs))),
        savings: costs.and_then(|costs| replicates.interval(ANY, |r| Some(at::savings(r, cut, costs)))),
    }
}

fn threshold_row(
    parts: &slices::Parts<'_>,
    candidate: &Candidate,
    n_days: Option<u64>,
    replicates: Option<(&Replicates, usize)>,
) -> ThresholdRow {
    let orders = parts.orders;
    let at_threshold = decided(orders, candidate.raw_score);
    let week = |(name, orders, n_days): (String, slices::Columns, u64)| {
        let scored = orders.scored();
        let at_threshold = decided(&scored, candidate.raw_score);
        ThresholdWeek {
            name,
            at_threshold,
            alerts_per_day: n_stopped(&at_threshold) as f64 / n_days.max(1) as f64,
            savings: parts.costs.map(|costs| money(&scored, candidate.raw_score, costs, None).savings),
        }
    };
    ThresholdRow {
        aim: candidate.aim.clone(),
        raw_score: candidate.raw_score,
        probability: candidate.probability,
        is_used: candidate.is_used,
        note: candidate.note.clone(),
        alerts_per_day: n_days.filter(|&n| n > 0).map(|n| n_stopped(&at_threshold) as f64 / n as f64),
        at_threshold,
        money: parts.costs.map(|costs| money(orders, candidate.raw_score, costs, Some(parts.ranked))),
        intervals: replicates.map(|(replicates, cut)| threshold_intervals(replicates, cut, parts.costs)),
        weeks: slices::by_week(orders).into_iter().map(week).collect(),
    }
}

fn n_stopped(at_threshold: &AtThreshold) -> u64 {
    at_threshold.confusion.tp + at_threshold.confusion.fp
}

/// What stopping orders from a score on does. O(n), in parallel.
pub(crate) fn decided(orders: &Scored<'_>, threshold: f64) -> AtThreshold {
    let count = |counts: &mut [u64; 4], row: usize| {
        let stopped = orders.raw[row] >= threshold;
        counts[usize::from(orders.labels[row] == 1) * 2 + usize::from(stopped)] += 1;
    };
    let join = |a: [u64; 4], b: [u64; 4]| std::array::from_fn(|i| a[i] + b[i]);
    let [tn, fp, fn_, tp] = fold_rows(orders.len(), count, join);
    let confusion = Confusion { tp, fp, tn, fn_ };
    let value = orders.amounts.map(|amounts| Value::at_threshold(orders.raw, orders.labels, amounts, threshold));
    AtThreshold::of(confusion, value)
}

/// What decisions at a threshold cost. The best threshold is looked for where the ranking is given. Exact sums, so the order of rows
/// changes nothing.
pub(crate) fn money(orders: &Scored<'_>, threshold: f64, costs: &CostTable, ranked: Option<&Ranked>) -> Money {
    let (all, stopped) = tallies(orders, threshold, |row| f64::from(orders.labels[row]));
    let foretold = tallies(orders, threshold, |row| orders.probability[row]);
    let doing_nothing = costs.doing_nothing(&all);
    let loss = costs.stopping(&all, &stopped);
    Money {
        best: ranked.map(|ranked| best(ranked, costs, doing_nothing)),
        expected_loss: Some(costs.stopping(&foretold.0, &foretold.1)),
        ..bill(doing_nothing, loss, &all, &stopped)
    }
}

/// The same where each decision costs its own: `tiers` are the figures of the decisions, from `approve` on. `None` without amounts.
pub fn money_of_tiers(tiers: &[TierFigures], costs: &CostTable) -> Option<Money> {
    let tally = |tier: &TierFigures| {
        let value = tier.value?;
        Some(Tally {
            fraud: tier.n_fraud as f64,
            honest: (tier.n_rows - tier.n_fraud) as f64,
            fraud_value: value.fraud,
            honest_value: value.honest,
        })
    };
    let plus = |a: Tally, b: Tally| Tally {
        fraud: a.fraud + b.fraud,
        honest: a.honest + b.honest,
        fraud_value: a.fraud_value + b.fraud_value,
        honest_value: a.honest_value + b.honest_value,
    };
    let orders: Vec<Tally> = tiers.iter().map(tally).collect::<Option<_>>()?;
    let all = orders.iter().copied().fold(Tally::default(), plus);
    let stopped = orders.iter().skip(1).copied().fold(Tally::default(), plus);
    let loss = tiers.iter().zip(&orders).map(|(tier, orders)| costs.of_decision(&tier.decision, orders)).sum();
    Some(bill(costs.doing_nothing(&all), loss, &all, &stopped))
}

fn bill(doing_nothing: f64, loss: f64, all: &Tally, stopped: &Tally) -> Money {
    let passed = all.less(stopped);
    let basis_points = |of: &Tally| ratio(1e4 * of.fraud_value, of.fraud_value + of.honest_value);
    Money {
        loss_doing_nothing: doing_nothing,
        loss,
        savings: doing_nothing - loss,
        loss_reduction: ratio(doing_nothing - loss, doing_nothing),
        fraud_bp_before: basis_points(all),
        fraud_bp_after: basis_points(&passed),
        expected_loss: None,
        best: None,
    }
}

/// All orders, and those stopped, where each is a fraud to a share.
fn tallies(orders: &Scored<'_>, threshold: f64, fraud: impl Fn(usize) -> f64 + Sync) -> (Tally, Tally) {
    let add = |sums: &mut [[MoneySum; 4]; 2], row: usize| {
        let share = fraud(row);
        let amount = orders.amounts.map_or(0.0, |all| all[row].max(0.0));
        let terms = [share, 1.0 - share, share * amount, (1.0 - share) * amount];
        let both = if orders.raw[row] >= threshold { &mut sums[..] } else { &mut sums[..1] };
        for sums in both {
            sums.iter_mut().zip(terms).for_each(|(sum, term)| sum.add(term));
        }
    };
    let join = |a: [[MoneySum; 4]; 2], b: [[MoneySum; 4]; 2]| {
        std::array::from_fn(|i| std::array::from_fn(|j| a[i][j].plus(b[i][j])))
    };
    let of = |sums: [MoneySum; 4]| {
        let [fraud, honest, fraud_value, honest_value] = sums.map(MoneySum::total);
        Tally { fraud, honest, fraud_value, honest_value }
    };
    let [all, stopped] = fold_rows(orders.len(), add, join);
    (of(all), of(stopped))
}

/// The cut of the smallest loss; of equal ones that which stops the fewest.
fn best(ranked: &Ranked, costs: &CostTable, doing_nothing: f64) -> BestThreshold {
    let (all, _) = cumulated(ranked, |_, _| ());
    let mut best = BestThreshold { raw_score: None, loss: doing_nothing, savings: 0.0, n_stopped: 0 };
    cumulated(ranked, |i, stopped| {
        let loss = costs.stopping(&all, stopped);
        if loss < best.loss {
            best = BestThreshold {
                raw_score: Some(ranked.raw[i]),
                loss,
                savings: doing_nothing - loss,
                n_stopped: i as u64 + 1,
            };
        }
    });
    best
}

/// Calls `then` with the last position of each score and what stands down to there; gives all orders and their number.
pub(crate) fn cumulated(ranked: &Ranked, mut then: impl FnMut(usize, &Tally)) -> (Tally, usize) {
    let (mut fraud, mut honest, mut values) = (0_u64, 0_u64, [MoneySum::default(); 2]);
    let mut tally = Tally::default();
    for i in 0..ranked.len() {
        let is_fraud = ranked.is_fraud(i);
        if is_fraud {
            fraud += 1;
        } else {
            honest += 1;
        }
        values[usize::from(is_fraud)].add(ranked.amount.get(i).copied().unwrap_or(0.0));
        if ranked.flags[i] & crate::ranked::LAST != 0 {
            tally = Tally {
                fraud: fraud as f64,
                honest: honest as f64,
                fraud_value: values[1].total(),
                honest_value: values[0].total(),
            };
            then(i, &tally);
        }
    }
    (tally, ranked.len())
}

/// Writes value and savings at each point of the curve, in one pass.
fn price_curve(curve: &mut [CurvePoint], ranked: &Ranked, costs: &CostTable) {
    let (all, _) = cumulated(ranked, |_, _| ());
    let mut points = curve.iter_mut().peekable();
    cumulated(ranked, |i, stopped| {
        if let Some(point) = points.next_if(|point| point.raw_score == ranked.raw[i]) {
            point.fraud_stopped = Some(stopped.fraud_value);
            point.honest_stopped = Some(stopped.honest_value);
            point.savings = Some(costs.doing_nothing(&all) - costs.stopping(&all, stopped));
        }
    });
}
