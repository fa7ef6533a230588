//! The stream: day by day, honest customers and dishonest episodes, with all that happens around their orders, in the order
//! in which the shop learns it.
//!
//! Memory holds the customers, two days of events, the later orders of episodes that have begun, and what will follow from
//! the orders of the last weeks. Each day and each episode has random numbers of its own, so that what happens in one never
//! shifts another.

use std::collections::{BTreeMap, VecDeque};

use orderguard_features::time::UnixMillis;

use crate::abuse::{self, Episode, Underworld};
use crate::around::{self, Planned};
use crate::customer::{self, Population};
use crate::diary::{DAY_SECS, Diary, Entry};
use crate::event::SimulatedEvent;
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
const PURPOSE_AROUND: u64 = 6;
const PURPOSE_BACKGROUND: u64 = 7;

/// Number of the first order; shops do not start at 1.
const FIRST_ORDER_ID: u64 = 700_001;
/// Number of the first event.
const FIRST_EVENT_ID: u64 = 3_000_001;
/// Honest accounts that are opened on a day and used for a first order only later, as a share of the day's orders.
const PATIENT_SHARE: f64 = 0.06;
/// Days before the stream of which such accounts may still be waiting.
const PATIENT_DAYS: i64 = 25;

/// Events in the order in which the shop learns them, made as they are asked for. See [`simulate`].
pub struct SimulatedEvents {
    seed: u64,
    start: i64,
    n_days: u64,
    /// The next day whose orders are made.
    next_day: u64,
    /// The next day whose events are given out, a day behind: what precedes an order may lie on the day before.
    next_told: u64,
    n_orders: u64,
    n_orders_told: u64,
    n_orders_in_all: u64,
    n_events_told: u64,
    /// Honest orders until the end of each day, from day 0.
    honest_until: Vec<u64>,
    episodes: VecDeque<Episode>,
    population: Population,
    underworld: Underworld,
    /// Orders of running episodes, by day.
    planned: BTreeMap<u64, Vec<Planned>>,
    /// Accounts opened without an order, by position, by the day of their first one.
    patient: BTreeMap<u64, Vec<usize>>,
    /// Customers who bought lately, by position; some come back soon.
    recent: VecDeque<usize>,
    labeller: Labeller,
    diary: Diary,
    ready: std::vec::IntoIter<Entry>,
}

/// Makes `n_orders` labelled orders, of which the share `fraud_share` (rounded) is dishonest, and the other events that a
/// shop would see with them, in order of (`known_at`, time).
///
/// An order is known when it is placed, so orders stand in order of time. What follows from orders goes on after the last
/// one, until the labels are read out. The same parameters give the same events on every machine. Events of one second
/// stand in no meaningful order. Setting up is O(customers), about 0.25 of the orders; each event is O(1).
///
/// ```
/// use orderguard_simulator::{SimulatorParams, simulate};
/// let params = SimulatorParams { n_orders: 500, days: 30, ..Default::default() }.check()?;
/// let events: Vec<_> = simulate(&params).collect();
/// assert!(events.windows(2).all(|pair| pair[0].known_at() <= pair[1].known_at()));
/// assert_eq!(simulate(&params).orders().count(), 500);
/// # Ok::<(), orderguard_simulator::ParamError>(())
/// ```
pub fn simulate(params: &CheckedSimulatorParams) -> SimulatedEvents {
    let params = params.get();
    let start = params.start.0.div_euclid(1_000);
    let n_days = u64::from(params.days);
    let end = start + i64::from(params.days) * DAY_SECS;
    let drift = params.drift_day.map(|day| start + i64::from(day) * DAY_SECS);
    let n_fraud = (params.n_orders as f64 * params.fraud_share).round() as u64;
    let n_honest = params.n_orders - n_fraud;
    let mut plan = Random::new(params.seed, PURPOSE_PLAN, 0);
    let mut people = Random::new(params.seed, PURPOSE_POPULATION, 0);
    let n_customers = (params.n_orders / 4).max(60);
    let mut events = SimulatedEvents {
        seed: params.seed,
        start,
        n_days,
        next_day: 0,
        next_told: 0,
        n_orders: 0,
        n_orders_told: 0,
        n_orders_in_all: params.n_orders,
        n_events_told: 0,
        honest_until: honest_until(start, n_days, n_honest),
        episodes: abuse::plan(n_fraud, start, end, drift, &mut plan).into(),
        population: Population::new(n_customers, start, params.foreign_currencies, &mut people),
        underworld: Underworld::new(n_fraud, &mut plan),
        planned: BTreeMap::new(),
        patient: BTreeMap::new(),
        recent: VecDeque::new(),
        labeller: Labeller::new(params, UnixMillis(end * 1_000), n_fraud, n_honest),
        diary: Diary::new(start, UnixMillis(end * 1_000).plus(params.labels_until), params.late_share),
        ready: Vec::new().into_iter(),
    };
    // Those who opened an account in the last weeks and have not bought yet.
    for days_before in 1..=PATIENT_DAYS {
        let n_orders = events.honest_until[0];
        events.open_patient_accounts(-days_before, n_orders, &mut people);
    }
    events
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

impl SimulatedEvents {
    /// The orders alone, in order of time.
    pub fn orders(self) -> SimulatedOrders {
        SimulatedOrders(self)
    }

    fn day_start(&self, day: u64) -> i64 {
        self.start + day as i64 * DAY_SECS
    }

    /// All orders of the next day, labelled, with what is before and after them.
    fn make_day(&mut self) {
        let day = self.next_day;
        self.next_day += 1;
        self.begin_episodes(day);
        let mut orders = self.planned.remove(&day).unwrap_or_default();
        self.honest_day(day, &mut orders);
        orders.sort_by_key(|planned| planned.order.time);
        let mut labels = Random::new(self.seed, PURPOSE_LABELS, day);
        let mut random = Random::new(self.seed, PURPOSE_AROUND, day);
        for Planned { mut order, conduct } in orders {
            order.order_id = FIRST_ORDER_ID + self.n_orders;
            self.n_orders += 1;
            order.amount_cents = world::convert(order.amount_cents, order.currency);
            self.labeller.label(&mut order, &mut self.diary, &mut labels);
            around::before(&order, &conduct, &mut self.diary, &mut random);
            around::after(&order, &conduct, &mut self.diary, &mut random);
            let place = (order.time.0, order.time.0);
            self.diary.add(Entry { place, event: SimulatedEvent::Order(order) });
        }
    }

    /// Lets the episodes whose preparation starts on this day plan their orders, most of them for later days.
    fn begin_episodes(&mut self, day: u64) {
        let day_end = self.day_start(day + 1);
        let end = self.day_start(self.n_days);
        while let Some(episode) = self.episodes.pop_front_if(|episode| episode.prepared < day_end) {
            let mut random = Random::new(self.seed, PURPOSE_EPISODE, episode.index);
            let plot = self.underworld.act(&episode, end, &mut self.population, &mut random);
            for planned in plot.orders {
                let order_day = (planned.second() - self.start).div_euclid(DAY_SECS) as u64;
                self.planned.entry(order_day).or_default().push(planned);
            }
            for event in plot.events {
                self.diary.note(event, &mut random);
            }
        }
    }

    /// Adds the day's honest orders, and what happens beside them.
    fn honest_day(&mut self, day: u64, orders: &mut Vec<Planned>) {
        let mut random = Random::new(self.seed, PURPOSE_DAY, day);
        let before = if day == 0 { 0 } else { self.honest_until[day as usize - 1] };
        let n_orders = self.honest_until[day as usize] - before;
        let mut rest = n_orders;
        let (day_start, day_end) = (self.day_start(day), self.day_start(day + 1));
        let is_weekend = world::is_weekend(day_start.div_euclid(DAY_SECS));
        let mut patient = self.patient.remove(&day).unwrap_or_default();
        while rest > 0 {
            let waited = patient.pop();
            let is_new = waited.is_none() && random.chance(0.11);
            let buyer = match waited {
                Some(buyer) => buyer,
                None if is_new => self.newcomer(day_start, &mut random),
                None => self.returning(is_weekend, &mut random),
            };
            let second_of_day = honest::second_of_day(&self.population.customers[buyer], &mut random);
            let mut second = day_start + (second_of_day - day_start).rem_euclid(DAY_SECS);
            if is_new {
                // They open the account in order to buy.
                let age = random.exponential(700.0).min(72_000.0);
                self.population.customers[buyer].signup = second - 20 - age as i64;
                self.open_account(buyer, &mut random);
            }
            second = second.max(self.population.customers[buyer].signup);
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
        let mut random = Random::new(self.seed, PURPOSE_BACKGROUND, day);
        self.open_patient_accounts(day as i64, n_orders, &mut random);
        around::background(day_start, n_orders, &mut self.population, &mut self.diary, &mut random);
    }

    fn newcomer(&mut self, signup: i64, random: &mut Random) -> usize {
        let person = self.population.person(signup, random);
        self.population.add(person)
    }

    /// Accounts that are opened on that day (before the stream: a negative one) and used later, or never.
    fn open_patient_accounts(&mut self, day: i64, n_orders: u64, random: &mut Random) {
        for _ in 0..random.about(PATIENT_SHARE * n_orders as f64) {
            let mut person = self.population.person(0, random);
            let second = honest::second_of_day(&person, random);
            let day_start = self.start + day * DAY_SECS;
            person.signup = day_start + (second - day_start).rem_euclid(DAY_SECS);
            let first_order = day + 1 + random.exponential(5.0) as i64;
            let comes = random.chance(0.8) && first_order >= 0;
            // Those who never come are nobody's customers, and are not drawn as buyers either.
            if comes {
                let position = self.population.add(person);
                self.patient.entry(first_order as u64).or_default().push(position);
                self.open_account(position, random);
            } else {
                self.note_sign_up(&person, random);
            }
        }
    }

    fn open_account(&mut self, position: usize, random: &mut Random) {
        let person = self.population.customers[position].clone();
        self.note_sign_up(&person, random);
    }

    fn note_sign_up(&mut self, person: &customer::Customer, random: &mut Random) {
        let device = honest::device(person, random);
        let ip = honest::ip(person, person.signup, &self.population, random);
        for event in around::sign_up(person, (!person.hides_device).then_some(device), ip, 0.7, random) {
            self.diary.note(event, random);
        }
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

    fn place(&mut self, buyer: usize, second: i64, random: &mut Random) -> Planned {
        let moves = random.chance(0.004);
        let person = &mut self.population.customers[buyer];
        if random.chance(0.035) || (moves && random.chance(0.3)) {
            person.add_device(customer::device(random));
        }
        if moves {
            person.move_house(random);
        }
        let person = &self.population.customers[buyer];
        let mut order = honest::order(person, second, &self.population, random);
        if moves {
            // A new flat needs a lot: what a takeover looks like, and is not.
            let goods = honest::basket(honest::furnishing(random), person.taste * random.log_normal(2.2, 0.4), random);
            honest::pay(&mut order, &goods);
            if random.chance(0.6) {
                let event = around::change_address(&order, random);
                self.diary.note(event, random);
            }
        }
        let planned = Planned::ordinary(order, person);
        self.population.customers[buyer].n_orders += 1;
        planned
    }

    /// Fills `ready` with the next day that has events; false when there is none.
    fn tell_day(&mut self) -> bool {
        while self.next_told < self.n_days || !self.diary.is_empty() {
            while self.next_day < self.n_days && self.next_day <= self.next_told + 1 {
                self.make_day();
            }
            let mut entries = self.diary.take(self.next_told);
            self.next_told += 1;
            for entry in &mut entries {
                entry.event.set_event_id(FIRST_EVENT_ID + self.n_events_told);
                self.n_events_told += 1;
            }
            if !entries.is_empty() {
                self.ready = entries.into_iter();
                return true;
            }
        }
        false
    }
}

impl Iterator for SimulatedEvents {
    type Item = SimulatedEvent;

    fn next(&mut self) -> Option<SimulatedEvent> {
        loop {
            if let Some(entry) = self.ready.next() {
                self.n_orders_told += u64::from(matches!(entry.event, SimulatedEvent::Order(_)));
                return Some(entry.event);
            }
            if !self.tell_day() {
                return None;
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        ((self.n_orders_in_all - self.n_orders_told) as usize, None)
    }
}

/// The orders of a stream, in order of time. See [`SimulatedEvents::orders`].
pub struct SimulatedOrders(SimulatedEvents);

impl Iterator for SimulatedOrders {
    type Item = SimulatedOrder;

    fn next(&mut self) -> Option<SimulatedOrder> {
        self.0.find_map(|event| match event {
            SimulatedEvent::Order(order) => Some(*order),
            SimulatedEvent::Other(_) => None,
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let rest = (self.0.n_orders_in_all - self.0.n_orders_told) as usize;
        (rest, Some(rest))
    }
}

impl ExactSizeIterator for SimulatedOrders {}
