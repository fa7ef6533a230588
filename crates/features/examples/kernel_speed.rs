//! How long does one entity take? Nanoseconds per reading and per learned event, for a usual entity and for a hot one.
//!
//! `cargo run --release -p orderguard-features --example kernel_speed`
#![allow(clippy::print_stdout, reason = "a benchmark says what it measured")]

use std::hint::black_box;
use std::time::Instant;

use orderguard_features::kernel::{EntityHistory, Input, Measure, Occurrence, Plan, Reading, Series, Window};
use orderguard_features::kind::EventKind;

const SECOND: i64 = 1_000;
const HOUR: i64 = 3_600 * SECOND;
const DAY: i64 = 24 * HOUR;
const T0: i64 = 17_000 * DAY;
const WINDOWS: [i64; 4] = [HOUR, DAY, 7 * DAY, 30 * DAY];

fn plan(measures: &[Measure]) -> Plan {
    let readings = measures.iter().flat_map(|measure| {
        WINDOWS.iter().map(|&over| Reading {
            measure: measure.clone(),
            series: Series::all(EventKind::Order),
            window: Window { over: Some(over), delayed: 0 },
            versus: None,
        })
    });
    Plan::new(readings.collect(), 7 * DAY, 4_096).expect("a plan within bounds")
}

/// Nanoseconds that this thread was running, where the system tells; else the time that passed.
fn running(since: Instant) -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let told = told.and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
    told.map_or_else(|| since.elapsed().as_nanos() as f64, |nanos| nanos as f64)
}

struct Stream {
    time: i64,
    gap: i64,
    random: u64,
}

impl Stream {
    fn next(&mut self, values: &mut [i64; 1], keys: &mut [u64; 1]) -> i64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.time += 1 + (self.random >> 33) as i64 % (2 * self.gap);
        (values[0], keys[0]) = ((self.random >> 40) as i64 % 10_000, 1 + (self.random >> 20) % 3_000);
        self.time
    }
}

fn measure(name: &str, plan: &Plan, n_entities: usize, n_events: usize, gap: i64) {
    let mut histories = vec![EntityHistory::default(); n_entities];
    let mut streams: Vec<Stream> =
        (0..n_entities).map(|i| Stream { time: T0 + i as i64, gap, random: i as u64 }).collect();
    let (mut values, mut keys) = ([0], [0]);
    let occurrence = |time: i64| (time, time, EventKind::Order, 1_u32);
    let clock = Instant::now();
    let start = running(clock);
    for _ in 0..n_events {
        for (history, stream) in histories.iter_mut().zip(&mut streams) {
            let (time, known_at, kind, currency) = occurrence(stream.next(&mut values, &mut keys));
            history.observe(plan, &Occurrence { time, known_at, kind, currency, values: &values, keys: &keys });
        }
    }
    let learned = (running(clock) - start) / (n_events * n_entities) as f64;
    let start = running(clock);
    let mut sum = 0.0;
    let rounds = (20_000_000 / (n_entities * plan.n_outputs())).clamp(1, 200_000);
    for _ in 0..rounds {
        for (history, stream) in histories.iter().zip(&streams) {
            let (time, known_at, kind, currency) = occurrence(stream.time + 1);
            let order = Occurrence { time, known_at, kind, currency, values: &values, keys: &keys };
            history.read(plan, &order, |_, value| sum += value);
        }
    }
    let read = (running(clock) - start) / (rounds * n_entities) as f64;
    black_box(sum);
    let bytes: usize = histories.iter().map(EntityHistory::memory_bytes).sum();
    println!(
        "{name}: {} outputs, {n_events} events: read {read:.0} ns, observe {learned:.0} ns, {} bytes",
        plan.n_outputs(),
        bytes / n_entities
    );
}

fn main() {
    let amount = Input { index: 0, unit: 100.0, per_currency: true };
    let usual = plan(&[Measure::Count, Measure::Mean(amount)]);
    measure("usual, cached", &usual, 4, 50, 12 * HOUR);
    measure("usual, 1000 entities", &usual, 1_000, 50, 12 * HOUR);
    measure("usual, 100000 entities", &usual, 100_000, 50, 12 * HOUR);
    let hot = plan(&[Measure::Count, Measure::Sum(amount)]);
    measure("hot", &hot, 1, 300_000, 10 * SECOND);
    let hot = plan(&[Measure::Count, Measure::Sum(amount), Measure::Distinct { key: 0 }]);
    measure("hot, distinct", &hot, 1, 300_000, 10 * SECOND);
    let full = plan(&[
        Measure::Count,
        Measure::Mean(amount),
        Measure::ZScore(amount),
        Measure::Max(amount),
        Measure::Distinct { key: 0 },
        Measure::DecayedCount { half_life: DAY },
        Measure::SinceLast,
        Measure::FraudRate,
    ]);
    measure("everything", &full, 1_000, 50, 12 * HOUR);
    measure("everything, hot", &full, 1, 100_000, 10 * SECOND);
}
