//! Precision of a daily list of suspicious entities, as an investigation team works: each day it looks at the `k` customers
//! that score highest, and those it found need not be looked at again.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Precision of the daily lists, mean and by day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EntityPrecision {
    /// Length of the daily list.
    pub k: u64,
    /// Mean over the days that have an order; `None` without any.
    pub mean: Option<f64>,
    /// The days, earliest first.
    pub days: Vec<EntityDay>,
}

/// One day's list.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EntityDay {
    /// The day as the caller numbered it.
    pub day: i64,
    /// Entities with a fraud that day that were not found before.
    pub n_fraudulent: u64,
    /// Those of them on the list.
    pub n_found: u64,
    /// `n_found / k`, also when fewer than `k` entities ordered that day.
    pub precision: f64,
}

/// For each day: of the `k` entities with the highest maximum score, the share with a fraud that day. Entities found on an
/// earlier day are left out. Equal maximum scores are ordered by entity, lowest first, so that row order changes nothing.
///
/// `scores`, `labels` (1 fraud), `entities` and `days` run in parallel; `days` numbers the calendar days and `entities` are any
/// stable numbers such as keyed hashes. `None` when the lengths differ, a score is NaN or `k` is 0. O(n log n).
///
/// # Reference
/// Le Borgne, Siblini, Lebichot, Bontempi, *Reproducible Machine Learning for Credit Card Fraud Detection*, section 4.3
/// ("card precision top-k").
pub fn entity_precision_at_k_per_day(
    scores: &[f64],
    labels: &[u8],
    entities: &[u64],
    days: &[i64],
    k: usize,
) -> Option<EntityPrecision> {
    let n = scores.len();
    if [labels.len(), entities.len(), days.len()] != [n; 3] || k == 0 || scores.iter().any(|score| score.is_nan()) {
        return None;
    }
    let mut order: Vec<u32> = (0..u32::try_from(n).ok()?).collect();
    order.sort_unstable_by_key(|&row| (days[row as usize], entities[row as usize]));

    let mut found: BTreeSet<u64> = BTreeSet::new();
    let mut result = Vec::new();
    for day_rows in order.chunk_by(|&a, &b| days[a as usize] == days[b as usize]) {
        // (highest score, entity, any fraud)
        let mut list: Vec<(f64, u64, bool)> = day_rows
            .chunk_by(|&a, &b| entities[a as usize] == entities[b as usize])
            .filter(|rows| !found.contains(&entities[rows[0] as usize]))
            .map(|rows| {
                let highest = rows.iter().map(|&row| scores[row as usize] + 0.0).fold(f64::NEG_INFINITY, f64::max);
                (highest, entities[rows[0] as usize], rows.iter().any(|&row| labels[row as usize] == 1))
            })
            .collect();
        let n_fraudulent = list.iter().filter(|(.., fraud)| *fraud).count() as u64;
        list.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let hits: Vec<u64> = list.iter().take(k).filter(|(.., fraud)| *fraud).map(|&(_, entity, _)| entity).collect();
        let n_found = hits.len() as u64;
        found.extend(hits);
        let day = days[day_rows[0] as usize];
        result.push(EntityDay { day, n_fraudulent, n_found, precision: n_found as f64 / k as f64 });
    }
    let total: u64 = result.iter().map(|day| day.n_found).sum();
    let mean = (!result.is_empty()).then(|| total as f64 / k as f64 / result.len() as f64);
    Some(EntityPrecision { k: k as u64, mean, days: result })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn found_entities_leave_the_list() {
        // Day 0: customer 7 scores highest and is a fraud; day 1: 7 again (ignored), then 8 and 9.
        let scores = [0.9, 0.1, 0.95, 0.8, 0.2];
        let labels = [1, 0, 1, 0, 1];
        let entities = [7, 8, 7, 8, 9];
        let days = [0, 0, 1, 1, 1];
        let result = entity_precision_at_k_per_day(&scores, &labels, &entities, &days, 1).unwrap();
        let by_day: Vec<_> = result.days.iter().map(|d| (d.day, d.n_fraudulent, d.n_found, d.precision)).collect();
        assert_eq!(by_day, [(0, 1, 1, 1.0), (1, 1, 0, 0.0)]);
        assert_eq!(result.mean, Some(0.5));
    }

    #[test]
    fn the_highest_order_of_a_customer_counts_and_any_fraud_of_the_day() {
        let result = entity_precision_at_k_per_day(&[0.9, 0.1, 0.5], &[0, 1, 0], &[1, 1, 2], &[3, 3, 3], 2).unwrap();
        assert_eq!((result.days.len(), result.mean), (1, Some(0.5)));
    }

    #[test]
    fn nothing_to_measure() {
        assert_eq!(entity_precision_at_k_per_day(&[], &[], &[], &[], 5).unwrap().mean, None);
        assert_eq!(entity_precision_at_k_per_day(&[1.0], &[1], &[1], &[], 5), None);
        assert_eq!(entity_precision_at_k_per_day(&[f64::NAN], &[1], &[1], &[1], 5), None);
        assert_eq!(entity_precision_at_k_per_day(&[1.0], &[1], &[1], &[1], 0), None);
    }
}
