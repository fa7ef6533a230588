//! Intervals by bootstrap over entities: orders of one customer stand or fall together, so whole customers are drawn again,
//! not rows.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::entity::EntityPrecision;

/// Replicates of the bootstrap.
pub const N_REPLICATES: usize = 500;

/// The middle 95 % of a figure's bootstrap replicates.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// 2.5 % of the replicates lie below.
    pub low: f64,
    /// 2.5 % of the replicates lie above.
    pub high: f64,
}

/// Intervals of the main figures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Intervals {
    /// Number of replicates.
    pub n_replicates: u64,
    /// Of the area under the ROC curve, over entities.
    pub roc_auc: Option<Interval>,
    /// Of the average precision, over entities.
    pub average_precision: Option<Interval>,
    /// Of the mean daily precision, over days; `None` with fewer than two days.
    pub entity_precision_at_k: Option<Interval>,
}

/// Bootstrap intervals of scored orders. `scores` (finite), `labels` (1 fraud, 0 honest) and `entities` run in parallel;
/// `entities` are any stable numbers such as keyed hashes.
///
/// Each replicate gives every entity a weight drawn from the Poisson distribution of mean 1, a function of (`seed`,
/// replicate, entity) alone, so the result depends neither on the order of rows nor on threads. `None` when the lengths
/// differ or a score is NaN. O(n log n + replicates * n), in parallel.
///
/// # Reference
/// Chamandy, Muralidharan, Najmi, Naidu, *Estimating Uncertainty for Massive Data Streams* (2012): the Poisson bootstrap.
/// Field and Welsh, *Bootstrapping clustered data* (2007).
pub fn bootstrap_intervals(
    scores: &[f64],
    labels: &[u8],
    entities: &[u64],
    daily: Option<&EntityPrecision>,
    seed: u64,
) -> Option<Intervals> {
    let n = scores.len();
    if [labels.len(), entities.len()] != [n; 2] || scores.iter().any(|score| score.is_nan()) {
        return None;
    }
    let ranked = Ranked::new(scores, labels, entities);
    let figures: Vec<(Option<f64>, Option<f64>)> =
        (0..N_REPLICATES as u64).into_par_iter().map(|replicate| ranked.replicate(seed, replicate)).collect();
    Some(Intervals {
        n_replicates: N_REPLICATES as u64,
        roc_auc: middle(figures.iter().filter_map(|f| f.0).collect()),
        average_precision: middle(figures.iter().filter_map(|f| f.1).collect()),
        entity_precision_at_k: daily.and_then(|daily| over_days(daily, seed)),
    })
}

/// Orders from the highest score down.
struct Ranked {
    /// (position in `entities`, fraud) of each order.
    orders: Vec<(u32, bool)>,
    /// End of each group of equal scores.
    ends: Vec<usize>,
    entities: Vec<u64>,
}

impl Ranked {
    fn new(scores: &[f64], labels: &[u8], entities: &[u64]) -> Self {
        let mut distinct = entities.to_vec();
        distinct.par_sort_unstable();
        distinct.dedup();
        let mut rows: Vec<(f64, u32, bool)> = (0..scores.len())
            .into_par_iter()
            .map(|row| {
                let entity = distinct.binary_search(&entities[row]).unwrap_or_default() as u32;
                (scores[row] + 0.0, entity, labels[row] == 1)
            })
            .collect();
        rows.par_sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
        let ends = (1..=rows.len()).filter(|&i| i == rows.len() || rows[i].0 != rows[i - 1].0).collect();
        Self { orders: rows.into_iter().map(|(_, entity, fraud)| (entity, fraud)).collect(), ends, entities: distinct }
    }

    /// (ROC AUC, average precision) of one replicate.
    fn replicate(&self, seed: u64, replicate: u64) -> (Option<f64>, Option<f64>) {
        let stream = mixed(seed ^ mixed(replicate));
        let weights: Vec<u8> = self.entities.iter().map(|&entity| poisson(mixed(stream ^ entity))).collect();
        let (mut tp, mut fp, mut start) = (0_u64, 0_u64, 0);
        let (mut half_pairs, mut precision) = (0_u128, 0.0);
        for &end in &self.ends {
            let (mut frauds, mut honest) = (0, 0);
            for &(entity, fraud) in &self.orders[start..end] {
                let weight = u64::from(weights[entity as usize]);
                if fraud { frauds += weight } else { honest += weight }
            }
            start = end;
            half_pairs += u128::from(honest) * u128::from(2 * tp + frauds);
            tp += frauds;
            fp += honest;
            if frauds > 0 {
                precision += frauds as f64 * (tp as f64 / (tp + fp) as f64);
            }
        }
        let pairs = u128::from(tp) * u128::from(fp);
        ((pairs > 0).then(|| half_pairs as f64 / (2 * pairs) as f64), (tp > 0).then(|| precision / tp as f64))
    }
}

fn over_days(daily: &EntityPrecision, seed: u64) -> Option<Interval> {
    let n = daily.days.len();
    if n < 2 {
        return None;
    }
    let mean = |replicate: u64| {
        let draw = |i: u64| (mixed(mixed(seed ^ mixed(replicate)) ^ i) % n as u64) as usize;
        (0..n as u64).map(|i| daily.days[draw(i)].precision).sum::<f64>() / n as f64
    };
    middle((0..N_REPLICATES as u64).map(mean).collect())
}

/// The 2.5 % and 97.5 % points; `None` when fewer than half of the replicates have the figure.
fn middle(mut values: Vec<f64>) -> Option<Interval> {
    if values.len() * 2 < N_REPLICATES {
        return None;
    }
    values.sort_unstable_by(f64::total_cmp);
    let tail = values.len() / 40;
    Some(Interval { low: values[tail], high: values[values.len() - 1 - tail] })
}

/// Steele and Vigna's `SplitMix64` finalizer.
fn mixed(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A draw from the Poisson distribution of mean 1, cut at 9, by inversion: the constants are its distribution function.
fn poisson(bits: u64) -> u8 {
    const UP_TO: [f64; 9] = [
        0.367_879_441_171_442_33,
        0.735_758_882_342_884_7,
        0.919_698_602_928_605_8,
        0.981_011_843_123_846_2,
        0.996_340_153_172_656_3,
        0.999_405_815_182_418_3,
        0.999_916_758_850_712,
        0.999_989_750_803_325_3,
        0.999_998_874_797_402,
    ];
    let unit = (bits >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0);
    UP_TO.iter().take_while(|&&share| unit >= share).count() as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::entity_precision_at_k_per_day;
    use crate::{average_precision, roc_auc};

    /// `n` orders, about a tenth of them frauds with higher scores, `per` orders to an entity.
    fn sample(n: u64, per: u64) -> (Vec<f64>, Vec<u8>, Vec<u64>) {
        let label = |i: u64| u8::from(mixed((i / per) ^ 0x4d).is_multiple_of(10));
        let unit = |i: u64| (mixed(i) >> 11) as f64 / 9_007_199_254_740_992.0;
        let scores = (0..n).map(|i| ((unit(i) + 0.3 * f64::from(label(i))) * 50.0).round()).collect();
        (scores, (0..n).map(label).collect(), (0..n).map(|i| mixed(i / per)).collect())
    }

    #[test]
    fn a_replicate_is_the_figure_of_the_orders_repeated_by_weight() {
        let (scores, labels, entities) = sample(900, 3);
        let ranked = Ranked::new(&scores, &labels, &entities);
        for replicate in 0..5 {
            let stream = mixed(9 ^ mixed(replicate));
            let rows: Vec<usize> = (0..scores.len())
                .flat_map(|row| std::iter::repeat_n(row, poisson(mixed(stream ^ entities[row])).into()))
                .collect();
            let repeated: Vec<f64> = rows.iter().map(|&row| scores[row]).collect();
            let repeated_labels: Vec<u8> = rows.iter().map(|&row| labels[row]).collect();
            let (auc, precision) = ranked.replicate(9, replicate);
            assert!((auc.unwrap() - roc_auc(&repeated, &repeated_labels).unwrap()).abs() < 1e-12);
            assert!((precision.unwrap() - average_precision(&repeated, &repeated_labels).unwrap()).abs() < 1e-12);
        }
    }

    #[test]
    fn intervals_hold_the_figure_and_widen_with_the_clusters() {
        let width = |per: u64| {
            let (scores, labels, entities) = sample(4_000, per);
            let found = bootstrap_intervals(&scores, &labels, &entities, None, 1).unwrap();
            let (auc, precision) = (found.roc_auc.unwrap(), found.average_precision.unwrap());
            let (own_auc, own_precision) =
                (roc_auc(&scores, &labels).unwrap(), average_precision(&scores, &labels).unwrap());
            assert!(auc.low < own_auc && own_auc < auc.high, "{own_auc} in {auc:?}");
            assert!(
                precision.low < own_precision && own_precision < precision.high,
                "{own_precision} in {precision:?}"
            );
            precision.high - precision.low
        };
        assert!(width(40) > 1.5 * width(1), "whole customers vary more than single orders");
    }

    #[test]
    fn row_order_changes_nothing() {
        let (scores, labels, entities) = sample(600, 4);
        let daily = entity_precision_at_k_per_day(&scores, &labels, &entities, &vec![0; 600], 10);
        let forward = bootstrap_intervals(&scores, &labels, &entities, daily.as_ref(), 5).unwrap();
        let back = |n: usize| (0..n).rev();
        let reversed = bootstrap_intervals(
            &back(600).map(|i| scores[i]).collect::<Vec<_>>(),
            &back(600).map(|i| labels[i]).collect::<Vec<_>>(),
            &back(600).map(|i| entities[i]).collect::<Vec<_>>(),
            daily.as_ref(),
            5,
        )
        .unwrap();
        assert_eq!(forward, reversed);
        assert_eq!(forward.entity_precision_at_k, None, "one day has no spread");
    }

    #[test]
    fn weights_have_mean_and_variance_one() {
        let draws: Vec<f64> = (0..100_000).map(|i| f64::from(poisson(mixed(i)))).collect();
        let mean = draws.iter().sum::<f64>() / 1e5;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 1e5;
        assert!((mean - 1.0).abs() < 0.02 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
    }

    #[test]
    fn nothing_to_measure() {
        let none = bootstrap_intervals(&[], &[], &[], None, 1).unwrap();
        assert_eq!((none.roc_auc, none.average_precision), (None, None));
        assert_eq!(bootstrap_intervals(&[1.0], &[], &[1], None, 1), None);
        assert_eq!(bootstrap_intervals(&[f64::NAN], &[1], &[1], None, 1), None);
    }
}
