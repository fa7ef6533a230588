//! Precision of daily lists: each day a team looks at the `k` orders, or the `k` customers, that score highest.

use crate::ranked::{FRAUD, Ranked};
use crate::report::{DailyPrecision, OrderDay};

/// The lists of all days, ready to be read with other weights.
#[derive(Clone, Debug)]
pub(crate) struct DailyLists {
    k: f64,
    days: Vec<Day>,
    /// How many entities there are; 0 where none are known.
    n_entities: usize,
}

#[derive(Clone, Debug, Default)]
struct Day {
    number: i64,
    /// (entity, fraud, last of its score), highest score first.
    orders: Vec<(u32, bool, bool)>,
    /// (entity, any fraud of the day), highest score first, then by entity.
    entities: Vec<(u32, bool)>,
}

impl DailyLists {
    /// `None` without days.
    pub(crate) fn new(ranked: &Ranked, k: u64) -> Option<Self> {
        if ranked.day.is_empty() || k == 0 {
            return None;
        }
        let has_entity = !ranked.entity.is_empty();
        let mut days: Vec<Day> = ranked.days.iter().map(|&day| Day { number: day, ..Day::default() }).collect();
        let mut scores: Vec<f64> = vec![f64::NAN; days.len()];
        for i in 0..ranked.len() {
            let at = ranked.day[i] as usize;
            let day = &mut days[at];
            if scores[at] == ranked.raw[i]
                && let Some(before) = day.orders.last_mut()
            {
                before.2 = false;
            }
            scores[at] = ranked.raw[i];
            let entity = if has_entity { ranked.entity[i] } else { 0 };
            day.orders.push((entity, ranked.flags[i] & FRAUD != 0, true));
        }
        if has_entity {
            for day in &mut days {
                day.list_entities();
            }
        }
        Some(Self { k: k as f64, days, n_entities: if has_entity { ranked.entities.len() } else { 0 } })
    }

    pub(crate) fn n_days(&self) -> u64 {
        self.days.len() as u64
    }

    /// The orders as they are.
    pub(crate) fn precision(&self) -> DailyPrecision {
        let day = |day: &Day| {
            let (n_found, _) = day.found(self.k, &[]);
            OrderDay {
                day: day.number,
                n_rows: day.orders.len() as u64,
                n_fraud: day.orders.iter().filter(|order| order.1).count() as u64,
                n_found,
                precision: n_found / self.k,
            }
        };
        DailyPrecision { k: self.k as u64, mean: self.of_orders(&[], &[]), days: self.days.iter().map(day).collect() }
    }

    /// Mean precision over days of lists of orders, each order there as often as its entity was drawn and each day counting
    /// as often as it was; empty weights are all 1.
    pub(crate) fn of_orders(&self, entities: &[u8], days: &[u8]) -> Option<f64> {
        let (mut sum, mut n) = (0.0, 0.0);
        for (i, day) in self.days.iter().enumerate() {
            let weight = days.get(i).map_or(1.0, |&w| f64::from(w));
            let (found, any) = day.found(self.k, entities);
            if weight > 0.0 && any {
                sum += weight * found / self.k;
                n += weight;
            }
        }
        (n > 0.0).then(|| sum / n)
    }

    /// The same of lists of entities: copies of an entity are entities of their own, and those found leave.
    pub(crate) fn of_entities(&self, entities: &[u8], days: &[u8]) -> Option<f64> {
        if self.n_entities == 0 {
            return None;
        }
        let drawn = |entity: u32| entities.get(entity as usize).copied().unwrap_or(1);
        let mut gone = vec![0_u8; self.n_entities];
        let (mut sum, mut n) = (0.0, 0.0);
        for (i, day) in self.days.iter().enumerate() {
            let weight = days.get(i).map_or(1.0, |&w| f64::from(w));
            if weight == 0.0 || !day.entities.iter().any(|&(entity, _)| drawn(entity) > 0) {
                continue;
            }
            let (mut left, mut found) = (self.k, 0.0);
            for &(entity, fraud) in &day.entities {
                let there = f64::from(drawn(entity) - gone[entity as usize]).min(left);
                left -= there;
                if fraud {
                    found += there;
                    gone[entity as usize] += there as u8;
                }
                if left == 0.0 {
                    break;
                }
            }
            sum += weight * found / self.k;
            n += weight;
        }
        (n > 0.0).then(|| sum / n)
    }
}

impl Day {
    fn list_entities(&mut self) {
        // The first order of an entity is its highest; places of one score go by entity.
        let mut first: Vec<(u32, u32)> = Vec::new();
        let mut place = 0;
        let mut seen = std::collections::BTreeMap::new();
        for &(entity, fraud, last) in &self.orders {
            let any = seen.entry(entity).or_insert_with(|| {
                first.push((place, entity));
                false
            });
            *any |= fraud;
            place += u32::from(last);
        }
        first.sort_unstable();
        self.entities = first.into_iter().map(|(_, entity)| (entity, seen[&entity])).collect();
    }

    /// Frauds among the first `k` orders, and whether there is an order at all.
    fn found(&self, k: f64, entities: &[u8]) -> (f64, bool) {
        let (mut left, mut found, mut any) = (k, 0.0, false);
        let (mut tied, mut tied_fraud) = (0.0, 0.0);
        for &(entity, fraud, last) in &self.orders {
            let copies = entities.get(entity as usize).map_or(1.0, |&w| f64::from(w));
            any |= copies > 0.0;
            tied += copies;
            tied_fraud += if fraud { copies } else { 0.0 };
            if last {
                if tied >= left {
                    return (found + left * tied_fraud / tied, true);
                }
                found += tied_fraud;
                left -= tied;
                (tied, tied_fraud) = (0.0, 0.0);
            }
        }
        (found, any)
    }
}
