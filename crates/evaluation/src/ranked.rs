//! Scored orders in one canonical order, ready to be passed over many times with other weights.

use rayon::prelude::*;

use crate::curve::RELIABILITY_EDGES;
use crate::draws::mixed;
use crate::scored::Scored;

/// Set in [`Ranked::flags`] for a fraud.
pub(crate) const FRAUD: u8 = 1;
/// Set for the last order of its score.
pub(crate) const LAST: u8 = 2;

/// Orders from the highest score down, a column for each thing that a pass reads. Orders of one score stand by everything else
/// that is known of them, so the order of the rows that were given shows nowhere.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ranked {
    /// The row that each order was.
    pub(crate) row: Vec<u32>,
    pub(crate) raw: Vec<f64>,
    pub(crate) flags: Vec<u8>,
    /// Band of the probability.
    pub(crate) band: Vec<u8>,
    pub(crate) probability: Vec<f64>,
    pub(crate) log_loss: Vec<f64>,
    /// Empty without amounts; 0 where one is missing or negative.
    pub(crate) amount: Vec<f64>,
    /// Empty without weights.
    pub(crate) weight: Vec<f64>,
    /// Position in `entities`, empty without; in `days`, empty without.
    pub(crate) entity: Vec<u32>,
    pub(crate) day: Vec<u32>,
    /// What an order is drawn by alone: its entity and day together; its position where it has neither.
    pub(crate) cell: Vec<u64>,
    pub(crate) entities: Vec<u64>,
    pub(crate) days: Vec<i64>,
}

impl Ranked {
    /// O(n log n), in parallel; 60 bytes an order.
    pub(crate) fn new(orders: &Scored<'_>) -> Self {
        let n = orders.len();
        let amount = |row: usize| orders.amounts.map_or(0.0, |all| all[row].max(0.0));
        let weight = |row: usize| orders.weights.map_or(1.0, |all| all[row]);
        let entity = |row: usize| orders.entities.map_or(0, |all| all[row]);
        let day = |row: usize| orders.days.map_or(0, |all| all[row]);
        let mut rows: Vec<u32> = (0..n as u32).collect();
        rows.par_sort_unstable_by(|&a, &b| {
            let (a, b) = (a as usize, b as usize);
            // Adding 0 makes the two zeros one.
            (orders.raw[b] + 0.0)
                .total_cmp(&(orders.raw[a] + 0.0))
                .then_with(|| orders.labels[b].cmp(&orders.labels[a]))
                .then_with(|| (entity(a), day(a)).cmp(&(entity(b), day(b))))
                .then_with(|| amount(a).total_cmp(&amount(b)))
                .then_with(|| orders.probability[a].total_cmp(&orders.probability[b]))
                .then_with(|| weight(a).total_cmp(&weight(b)))
        });
        let of = |value: &(dyn Fn(usize) -> f64 + Sync)| rows.par_iter().map(|&row| value(row as usize)).collect();
        let raw: Vec<f64> = of(&|row| orders.raw[row] + 0.0);
        let probability: Vec<f64> = of(&|row| orders.probability[row]);
        let entities = distinct(orders.entities);
        let days = distinct(orders.days);
        let (has_entity, has_day) = (orders.entities.is_some(), orders.days.is_some());
        let cell = |(i, &row): (usize, &u32)| {
            let of_entity = if has_entity { mixed(entity(row as usize)) } else { 0 };
            let of_day = if has_day { mixed(day(row as usize) as u64) } else { 0 };
            if has_entity || has_day { of_entity ^ of_day.rotate_left(17) } else { i as u64 }
        };
        Self {
            flags: (0..n)
                .into_par_iter()
                .map(|i| {
                    let last = i + 1 == n || raw[i] != raw[i + 1];
                    (u8::from(orders.labels[rows[i] as usize] == 1) * FRAUD) | (u8::from(last) * LAST)
                })
                .collect(),
            band: probability.par_iter().map(|&p| band(p)).collect(),
            log_loss: of(&|row| {
                let p = orders.probability[row];
                let given = if orders.labels[row] == 1 { p } else { 1.0 - p };
                -libm::log(given.clamp(f64::EPSILON, 1.0 - f64::EPSILON))
            }),
            amount: if orders.amounts.is_some() { of(&amount) } else { Vec::new() },
            weight: if orders.weights.is_some() { of(&weight) } else { Vec::new() },
            entity: positions(&rows, orders.entities, &entities),
            day: positions(&rows, orders.days, &days),
            cell: rows.par_iter().enumerate().map(cell).collect(),
            raw,
            probability,
            entities,
            days,
            row: rows,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.row.len()
    }

    pub(crate) fn is_fraud(&self, i: usize) -> bool {
        self.flags[i] & FRAUD != 0
    }

    /// How many orders have `raw >= threshold`.
    pub(crate) fn n_from(&self, threshold: f64) -> usize {
        self.raw.partition_point(|&raw| raw >= threshold)
    }

    /// Some of the orders by rising position. They are drawn as in the whole.
    pub(crate) fn subset(&self, positions: &[u32]) -> Self {
        fn pick<T: Copy>(from: &[T], positions: &[u32]) -> Vec<T> {
            if from.is_empty() { Vec::new() } else { positions.iter().map(|&i| from[i as usize]).collect() }
        }
        let raw = pick(&self.raw, positions);
        let mut flags = pick(&self.flags, positions);
        for i in 0..flags.len() {
            let last = i + 1 == raw.len() || raw[i] != raw[i + 1];
            flags[i] = (flags[i] & FRAUD) | (u8::from(last) * LAST);
        }
        Self {
            row: pick(&self.row, positions),
            band: pick(&self.band, positions),
            probability: pick(&self.probability, positions),
            log_loss: pick(&self.log_loss, positions),
            amount: pick(&self.amount, positions),
            weight: pick(&self.weight, positions),
            entity: pick(&self.entity, positions),
            day: pick(&self.day, positions),
            cell: pick(&self.cell, positions),
            entities: self.entities.clone(),
            days: self.days.clone(),
            raw,
            flags,
        }
    }
}

fn band(probability: f64) -> u8 {
    RELIABILITY_EDGES[1..RELIABILITY_EDGES.len() - 1].partition_point(|&edge| edge <= probability) as u8
}

fn distinct<T: Copy + Ord + Send>(all: Option<&[T]>) -> Vec<T> {
    let mut distinct = all.unwrap_or_default().to_vec();
    distinct.par_sort_unstable();
    distinct.dedup();
    distinct
}

fn positions<T: Copy + Ord + Sync>(rows: &[u32], all: Option<&[T]>, distinct: &[T]) -> Vec<u32> {
    let Some(all) = all else { return Vec::new() };
    rows.par_iter().map(|&row| distinct.partition_point(|&value| value < all[row as usize]) as u32).collect()
}
