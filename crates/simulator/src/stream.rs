//! The stream: day by day, honest customers and dishonest episodes, in order of time.
//!
//! Memory holds the customers, one day of orders and the later orders of episodes that have begun. Each day and each
//! episode has random numbers of its own, so that what happens in one never shifts another.

use std::collections::{BTreeMap, VecDeque};

use orderguard_features::time::UnixMillis;

use crate::abuse::{self, Episode, Underworld};
use crate::customer::{self, Population};
use crate::honest;
use crate::label::Labeller;
use crate::order::SimulatedOrder;
use crate::params::CheckedSimulatorParams;
use crate::random::Random;
use crate::world;

const PURPOSE_POPULATION: u64 = 1;
const PURPOSE_PLAN: u64 = 2;
const PURPOSE_DAY: u64 = 3;
const PURPOSE_EPISODE: u64 = 4;
const PURPOSE_LABELS: u64 = 5;

const DAY_SECS: i64 = 86_400;
/// Number of the first order; shops do not start at 1.
const FIRST_ORDER_ID: u64 = 700_001;

/// Orders in order of time, made as they are asked for. See [`simulate`].
pub struct SimulatedOrders {
    seed: u64,
    start: i64,
    n_days: u64,
    next_day: u64,
    n_emitted: u64,
    n_total: u64,
    /// Honest orders until the end of each day, from day 0.
    honest_until: Vec<u64>,
    episodes: VecDeque<Episode>,
    population: Population,
    underworld: Underworld,
    /// Orders of running episodes, by day.
    planned: BTreeMap<u64, Vec<SimulatedOrder>>,
    /// Customers who bought lately, by position; some come back soon.
    recent: VecDeque<usize>,
    labeller: Labeller,
    ready: std::vec::IntoIter<SimulatedOrder>,
}

/// Makes `n_orders` labelled orders, of which the share `fraud_share` (rounded) is dishonest, in order of time.
///
/// The same parameters give the same orders on every machine. Orders of one second stand in no meaningful order.
/// Setting up is O(customers), about 0.3 of the orders; each order is O(1).
///
/// ```
/// use orderguard_simulator::{SimulatorParams, simulate};
/// let params = SimulatorParams { n_orders: 500, days: 30, ..Default::default() }.check()?;
/// let orders: Vec<_> = simulate(&params).collect();
/// assert!(orders.windows(2).all(|pair| pair[0].time <= pair[1].time));
/// # Ok::<(), orderguard_simulator::ParamError>(())
/// ```
pub fn simulate(params: &CheckedSimulatorParams) -> SimulatedOrders {
    let params = params.get();
    let start = params.start.0.div_euclid(1_000);
    let n_days = u64::from(params.days);
    let end = start + i64::from(params.days) * DAY_SECS;
    let n_fraud = (params.n_orders as f64 * params.fraud_share).round() as u64;
    let n_honest = params.n_orders - n_fraud;
    let mut plan = Random::new(params.seed, PURPOSE_PLAN, 0);
    let mut people = Random::new(params.seed, PURPOSE_POPULATION, 0);
    let n_customers = (params.n_orders / 4).max(60);
    SimulatedOrders {
        seed: params.seed,
        start,
        n_days,
        next_day: 0,
        n_emitted: 0,
        n_total: params.n_orders,
        honest_until: honest_until(start, n_days, n_honest),
        episodes: abuse::plan(n_fraud, start, end, &mut plan).into(),
        population: Population::new(n_customers, start, &mut people),
        underworld: Underworld::new(n_fraud, &mut plan),
        planned: BTreeMap::new(),
        recent: VecDeque::new(),
        labeller: Labeller::new(params, UnixMillis(end * 1_000), n_fraud, n_honest),
        ready: Vec::new().into_iter(),
    }
}

/// Running total of honest orders at the end of each day, in proportion to how busy the days are; ends at `n_honest`.
fn honest_until(start: i64, n_days: u64, n_honest: u64) -> Vec<u64> {
    let busyness = (0..n_days).map(|day| world::busyness(start.div_euclid(DAY_SECS) + day as i64));
    let running: Vec<f64> = busyness
        .scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        })
        .collect();
    let total = running.last().copied().unwrap_or(1.0);
    running.iter().map(|sum| (n_honest as f64 * (sum / total)).round() as u64).collect()
}

impl SimulatedOrders {
    fn day_start(&self, day: u64) -> i64 {
        self.start + day as i64 * DAY_SECS
    }

    /// All orders of the next day, labelled, by time.
    fn make_day(&mut self) -> Vec<SimulatedOrder> {
        let day = self.next_day;
        self.next_day += 1;
        self.begin_episodes(day);
        let mut orders = self.planned.remove(&day).unwrap_or_default();
        self.honest_day(day, &mut orders);
        orders.sort_by_key(|order| order.time);
        let mut random = Random::new(self.seed, PURPOSE_LABELS, day);
        for order in &mut orders {
            order.order_id = FIRST_ORDER_ID + self.n_emitted;
            self.n_emitted += 1;
            self.labeller.label(order, &mut random);
        }
        orders
    }

    /// Lets the episodes that start on this day place their orders, some of them for later days.
    fn begin_episodes(&mut self, day: u64) {
        let day_end = self.day_start(day + 1);
        let end = self.day_start(self.n_days);
        while let Some(episode) = self.episodes.pop_front_if(|episode| episode.start < day_end) {
            let mut random = Random::new(self.seed, PURPOSE_EPISODE, episode.index);
            for order in self.underworld.act(&episode, end, &mut self.population, &mut random) {
                let order_day = (abuse::second_of(&order) - self.start).div_euclid(DAY_SECS) as u64;
                self.planned.entry(order_day).or_default().push(order);
            }
        }
    }

    /// Adds the day's honest orders.
    fn honest_day(&mut self, day: u64, orders: &mut Vec<SimulatedOrder>) {
        let mut random = Random::new(self.seed, PURPOSE_DAY, day);
        let before = if day == 0 { 0 } else { self.honest_until[day as usize - 1] };
        let mut rest = self.honest_until[day as usize] - before;
        let (day_start, day_end) = (self.day_start(day), self.day_start(day + 1));
        let is_weekend = world::is_weekend(day_start.div_euclid(DAY_SECS));
        while rest > 0 {
            let is_new = random.chance(0.16);
            let buyer =
                if is_new { self.newcomer(day_start, &mut random) } else { self.returning(is_weekend, &mut random) };
            let second_of_day = honest::second_of_day(&self.population.customers[buyer], &mut random);
            let mut second = day_start + (second_of_day - day_start).rem_euclid(DAY_SECS);
            if is_new {
                // Most open the account in order to buy.
                let age =
                    if random.chance(0.7) { random.exponential(700.0) } else { random.exponential(6.0 * 86_400.0) };
                self.population.customers[buyer].signup = second - 20 - age as i64;
            }
            // Something forgotten, or the basket of the other half of the family: more orders on the same day.
            while rest > 0 && second < day_end {
                orders.push(self.place(buyer, second, &mut random));
                rest -= 1;
                if !random.chance(0.06) {
                    break;
                }
                second += 40 + random.exponential(2_400.0) as i64;
            }
            self.recent.push_back(buyer);
            if self.recent.len() > 400 {
                self.recent.pop_front();
            }
        }
    }

    fn newcomer(&mut self, day_start: i64, random: &mut Random) -> usize {
        let person = self.population.person(day_start, random);
        self.population.add(person)
    }

    fn returning(&self, is_weekend: bool, random: &mut Random) -> usize {
        if !self.recent.is_empty() && random.chance(0.1) {
            return self.recent[random.below(self.recent.len() as u64) as usize];
        }
        let buyer = self.population.buyer(random);
        // Businesses buy at the weekend only half as often.
        let is_unlikely = is_weekend && self.population.customers[buyer].is_business;
        if is_unlikely { self.population.buyer(random) } else { buyer }
    }

    fn place(&mut self, buyer: usize, second: i64, random: &mut Random) -> SimulatedOrder {
        if random.chance(0.035) {
            // A new telephone, or the old one with cleared cookies.
            let devices = &mut self.population.customers[buyer].devices;
            devices.insert(0, customer::device(random));
            devices.truncate(3);
        }
        let order = honest::order(&self.population.customers[buyer], second, &self.population, random);
        self.population.customers[buyer].n_orders += 1;
        order
    }
}

impl Iterator for SimulatedOrders {
    type Item = SimulatedOrder;

    fn next(&mut self) -> Option<SimulatedOrder> {
        loop {
            if let Some(order) = self.ready.next() {
                return Some(order);
            }
            if self.next_day == self.n_days {
                return None;
            }
            self.ready = self.make_day().into_iter();
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let rest = (self.n_total - self.n_emitted) as usize + self.ready.len();
        (rest, Some(rest))
    }
}

impl ExactSizeIterator for SimulatedOrders {}
