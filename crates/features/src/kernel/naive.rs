//! The recount: all events and labels of an entity, and the documented rules applied to them anew at every reading.

use std::collections::{BTreeMap, BTreeSet};

use super::measure::{self, Moments};
use super::plan::{Input, Measure, Plan, Reading, Series, Window};
use super::{ENTITY_LIFETIME, LabelNews, MISSING, Occurrence};
use crate::kind::EventKind;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    time: i64,
    known_at: i64,
    currency: u32,
    tie: u32,
    kind: EventKind,
    values: Vec<i64>,
    keys: Vec<u64>,
}

impl Event {
    fn as_occurrence(&self) -> Occurrence<'_> {
        let Self { time, known_at, kind, currency, .. } = *self;
        Occurrence { time, known_at, kind, currency, values: &self.values, keys: &self.keys }
    }
}

/// What happened to one entity.
#[derive(Clone, Debug, Default)]
pub(super) struct Recount {
    /// Sorted.
    events: Vec<Event>,
    labels: Vec<Label>,
}

/// What a label changes.
#[derive(Clone, Copy, Debug)]
struct Label {
    order_known_at: i64,
    resolved_at: i64,
    known_at: i64,
    resolved: i64,
    frauds: i64,
}

/// Events that count at one time: one exact event, or those of a bucket.
struct Row<'a> {
    time: i64,
    known_at: i64,
    exact: bool,
    events: Vec<&'a Event>,
}

/// Window bounds of a plan, rising, the retention last.
fn bounds(plan: &Plan) -> Vec<i64> {
    let mut bounds = vec![];
    for reading in plan.readings() {
        for over in [Some(reading.window.over), reading.versus.map(Some)].into_iter().flatten() {
            let longest = match reading.measure {
                Measure::Min(_)
                | Measure::Max(_)
                | Measure::Distinct { .. }
                | Measure::GapVariation
                | Measure::Speed { .. } => 400 * 86_400_000,
                Measure::DecayedCount { half_life } | Measure::DecayedSum { half_life, .. } => {
                    (32 * half_life).min(400 * 86_400_000)
                }
                _ => 0,
            };
            let delay = if reading.measure.is_of_labels() { plan.label_delay() } else { 0 };
            bounds.push(over.unwrap_or(longest) + reading.window.delayed + delay);
        }
    }
    bounds.push(bounds.iter().max().unwrap_or(&0) + 86_400_000 + (1 << 20));
    bounds.retain(|&bound| bound > 0);
    bounds.sort_unstable();
    bounds
}

/// Where a folded event stands, by the rule of the module's documentation.
fn folded_time(bounds: &[i64], clock: i64, time: i64) -> i64 {
    let mut start = time;
    for &bound in bounds {
        let mut width = 1;
        while 2 * width <= bound / 256 {
            width *= 2;
        }
        start = start.div_euclid(width) * width;
        if start >= clock.saturating_sub(bound) {
            break;
        }
    }
    exact_time(bounds, clock, start)
}

fn exact_time(bounds: &[i64], clock: i64, time: i64) -> i64 {
    if time < clock.saturating_sub(bounds[bounds.len() - 1]) { i64::MIN } else { time }
}

/// Keeps folded events that became known in the last day apart, by the quarter of an hour (2^20 ms) in which they became known.
fn mark(known_at: i64, last_known_at: i64) -> i64 {
    let end = known_at.div_euclid(1 << 20) * (1 << 20) + (1 << 20) - 1;
    if end >= last_known_at - 86_400_000 { end } else { i64::MIN }
}

impl Recount {
    pub(super) fn observe(&mut self, plan: &Plan, event: &Occurrence<'_>) {
        let used = |kind: EventKind| {
            let read = plan.readings().iter().any(|r| match &r.measure {
                Measure::FraudCount
                | Measure::FraudRate
                | Measure::OrdersSinceFraud
                | Measure::Resolved
                | Measure::IsNew => false,
                Measure::Share { all: below } | Measure::Rate { per: below } => {
                    r.series.kind == kind || below.kind == kind
                }
                _ => r.series.kind == kind,
            });
            read || kind == EventKind::Order
        };
        if !used(event.kind) {
            return;
        }
        let known_at = event.known_at.max(event.time);
        let (currency, tie) = (plan.layout.currency(event), plan.layout.tie(event));
        let (values, keys) = (event.values.to_vec(), event.keys.to_vec());
        self.events.push(Event { time: event.time, known_at, currency, tie, kind: event.kind, values, keys });
        self.events.sort();
    }

    fn born(&self) -> i64 {
        self.events.iter().map(|event| event.known_at).min().unwrap_or(i64::MAX)
    }

    /// Events and labels cut where nothing became known for a lifetime, the oldest first.
    fn lives(&self) -> Vec<Self> {
        let mut known: Vec<i64> = self.events.iter().map(|event| event.known_at).collect();
        known.sort_unstable();
        let starts = known.chunk_by(|a, b| b - a <= ENTITY_LIFETIME.0).map(|life| life[0]);
        let starts: Vec<i64> = starts.chain([i64::MAX]).collect();
        let life = |span: &[i64]| {
            let inside = |time: i64| (span[0]..span[1]).contains(&time);
            let events = self.events.iter().filter(|event| inside(event.known_at)).cloned().collect();
            let labels = self.labels.iter().filter(|label| inside(label.order_known_at)).copied().collect();
            Self { events, labels }
        };
        starts.windows(2).map(life).collect()
    }

    /// The lives that late orders may still see.
    fn held_lives(&self, plan: &Plan) -> Vec<Self> {
        let mut lives = self.lives();
        let is_over = |pair: &[Self]| {
            let end = pair[0].events.iter().map(|event| event.known_at).max().unwrap_or(i64::MIN);
            pair[1].clock(plan) > end.saturating_add(430 * 86_400_000)
        };
        if let Some(over) = lives.windows(2).rposition(is_over) {
            lives.drain(..=over);
        }
        lives
    }

    /// What was known before an order became known: in whatever order the events of that millisecond are learned.
    fn known_to(&self, order: &Occurrence<'_>) -> Self {
        let before = |known_at: i64| known_at < order.known_at.max(order.time);
        let events = self.events.iter().filter(|event| before(event.known_at)).cloned().collect();
        let labels = self.labels.iter().filter(|label| before(label.known_at)).copied().collect();
        Self { events, labels }
    }

    pub(super) fn learn_label(&mut self, news: &LabelNews) {
        if self.events.iter().all(|event| event.known_at > news.known_at) {
            return;
        }
        let (before, at) = (news.resolved_before, news.at.max(news.known_at));
        let mut change = |resolved_at: i64, resolved: i64, frauds: i64| {
            let order_known_at = news.known_at;
            self.labels.push(Label { order_known_at, resolved_at, known_at: at, resolved, frauds });
        };
        if at < before {
            change(at, 1, 0);
            change(before, -1, 0);
        }
        match (news.fraud, news.was_fraud) {
            (true, false) => change(before.min(at), 0, 1),
            (false, true) => change(before.min(at), 0, -1),
            _ => {}
        }
    }

    pub(super) fn read(&self, plan: &Plan, order: &Occurrence<'_>, write: impl FnMut(usize, f32)) {
        match self.known_to(order).held_lives(plan).into_iter().rfind(|life| life.born() < order.time) {
            Some(life) => life.read_life(plan, order, write),
            None => plan.write_first_seen(write),
        }
    }

    fn read_life(&self, plan: &Plan, order: &Occurrence<'_>, mut write: impl FnMut(usize, f32)) {
        let now = order.time;
        let rows: Vec<Row<'_>> = self.rows(plan).into_iter().filter(|row| row.known_at < now).collect();
        let last = rows.iter().map(|row| row.known_at).max();
        if last.is_none_or(|last| now.saturating_sub(last) > ENTITY_LIFETIME.0) {
            return plan.write_first_seen(write);
        }
        for (output, reading) in plan.readings.iter().enumerate() {
            let first = self.value(plan, &rows, order, reading, reading.span(reading.window.over));
            let value = match reading.versus {
                None => first,
                versus => measure::over(first, self.value(plan, &rows, order, reading, reading.span(versus))),
            };
            write(output, value as f32);
        }
    }

    /// The time of the ninth newest event, or of an earlier one where fewer than nine are exact.
    fn clock(&self, plan: &Plan) -> i64 {
        let nth = 9.min(plan.exact_events);
        if self.events.len() < nth { i64::MIN } else { self.events[self.events.len() - nth].time }
    }

    fn rows(&self, plan: &Plan) -> Vec<Row<'_>> {
        let clock = self.clock(plan);
        let bounds = bounds(plan);
        let n_folded = self.events.len().saturating_sub(plan.exact_events);
        let last_known_at = self.events.iter().map(|event| event.known_at).max().unwrap_or(i64::MIN);
        let mut buckets: BTreeMap<(i64, u32, i64), Vec<&Event>> = BTreeMap::new();
        let mut exact = Vec::new();
        for (i, event) in self.events.iter().enumerate() {
            let time = if i < n_folded {
                folded_time(&bounds, clock, event.time)
            } else {
                exact_time(&bounds, clock, event.time)
            };
            if i < n_folded || time == i64::MIN {
                buckets.entry((time, event.currency, mark(event.known_at, last_known_at))).or_default().push(event);
            } else {
                exact.push(Row { time, known_at: event.known_at, exact: true, events: vec![event] });
            }
        }
        let known_at = |events: &[&Event]| events.iter().map(|event| event.known_at).max().unwrap_or(i64::MIN);
        let folded = buckets.into_iter().map(|((time, ..), events)| Row {
            time,
            known_at: known_at(&events),
            exact: false,
            events,
        });
        folded.chain(exact).collect()
    }

    /// (orders resolved, frauds) by labels in a window, as far as known at `now`.
    fn labelled(&self, plan: &Plan, now: i64, from: i64, to: i64) -> (i64, i64) {
        let changes = self.changes(plan, now, from, to);
        changes.iter().fold((0, 0), |sum, (_, resolved, frauds)| (sum.0 + resolved, sum.1 + frauds))
    }

    /// (resolved at, orders resolved, frauds) of all changes by labels in a window, as far as known at `now`.
    fn changes(&self, plan: &Plan, now: i64, from: i64, to: i64) -> Vec<(i64, i64, i64)> {
        let clock = self.clock(plan);
        let bounds = bounds(plan);
        // (resolved at, learned at) -> (orders resolved, frauds), both as changes.
        let mut changes: BTreeMap<(i64, i64), (i64, i64)> = BTreeMap::new();
        for label in &self.labels {
            let entry = changes.entry((label.resolved_at, label.known_at)).or_default();
            *entry = (entry.0 + label.resolved, entry.1 + label.frauds);
        }
        let last_known_at = changes.keys().map(|key| key.1).max().unwrap_or(i64::MIN);
        let n_folded = changes.len().saturating_sub(plan.exact_events);
        // Bucket or exact pair -> (last known, resolved, frauds).
        let mut rows: BTreeMap<(i64, i64, bool), (i64, i64, i64)> = BTreeMap::new();
        for (i, (&(at, known_at), &(resolved, frauds))) in changes.iter().enumerate() {
            let time = if i < n_folded { folded_time(&bounds, clock, at) } else { exact_time(&bounds, clock, at) };
            let exact = i >= n_folded && time != i64::MIN;
            let second = if exact { known_at } else { mark(known_at, last_known_at) };
            let row = rows.entry((time, second, exact)).or_insert((i64::MIN, 0, 0));
            *row = (row.0.max(known_at), row.1 + resolved, row.2 + frauds);
        }
        let known = rows.iter().filter(|((at, ..), (known_at, ..))| *known_at < now && *at >= from && *at < to);
        known.map(|(&(at, ..), &(_, resolved, frauds))| (at, resolved, frauds)).collect()
    }

    fn value(&self, plan: &Plan, rows: &[Row<'_>], order: &Occurrence<'_>, reading: &Reading, window: Window) -> f64 {
        let now = order.time;
        let to = now.saturating_sub(window.delayed);
        let from = window.over.map_or(i64::MIN, |over| to.saturating_sub(over));
        let inside = || rows.iter().filter(|row| row.time >= from && row.time < to);
        let events_of = |row: &Row<'_>, series: &Series| -> Vec<Event> {
            row.events.iter().filter(|e| series.holds(&e.as_occurrence())).map(|&e| e.clone()).collect()
        };
        let events = |series: &Series| -> Vec<Event> { inside().flat_map(|row| events_of(row, series)).collect() };
        let counts = |event: &Event, input: &Input| {
            let value = event.as_occurrence().value(input.index);
            (value != MISSING && (!input.per_currency || event.currency == order.currency)).then_some(value)
        };
        let values = |input: &Input| -> Vec<i64> {
            events(&reading.series).iter().filter_map(|event| counts(event, input)).collect()
        };
        let moments = |input: &Input| {
            let mut moments = Moments::default();
            for value in values(input) {
                moments.n += 1;
                moments.sum += i128::from(value);
                moments.squares += i128::from(value) * i128::from(value);
            }
            moments
        };
        let count = |series: &Series| events(series).len() as f64;
        let decayed = |half_life: i64, weight: &dyn Fn(&Event) -> i128| {
            let mut epochs: BTreeMap<i64, i128> = BTreeMap::new();
            for row in inside() {
                let (epoch, unit) = measure::decay_weight(row.time, half_life);
                for event in events_of(row, &reading.series) {
                    *epochs.entry(now.div_euclid(half_life) - epoch).or_default() += weight(&event) * i128::from(unit);
                }
            }
            measure::decayed(now, half_life, epochs.into_iter().map(|(age, part)| measure::shift(part, age)).sum())
        };
        // Neighbours in time among the exact events.
        let exact = || inside().filter(|row| row.exact).flat_map(|row| events_of(row, &reading.series));
        match &reading.measure {
            Measure::Count => count(&reading.series),
            Measure::Sum(input) => moments(input).sum(input.unit),
            Measure::Mean(input) => moments(input).mean(input.unit),
            Measure::Deviation(input) => moments(input).deviation(input.unit),
            Measure::Min(input) => values(input).iter().min().map_or(0.0, |&value| value as f64 / input.unit),
            Measure::Max(input) => values(input).iter().max().map_or(0.0, |&value| value as f64 / input.unit),
            Measure::ZScore(input) => moments(input).z_score(order.value(input.index)),
            Measure::Ratio(input) => moments(input).ratio(order.value(input.index)),
            Measure::Distinct { key } => {
                let keys = exact().map(|event| event.as_occurrence().key(*key)).filter(|&key| key != 0);
                keys.collect::<BTreeSet<u64>>().len() as f64
            }
            Measure::Share { all: below } | Measure::Rate { per: below } => {
                measure::over(count(&reading.series), count(below))
            }
            Measure::DecayedCount { half_life } => decayed(*half_life, &|_| 1),
            Measure::DecayedSum { input, half_life } => {
                decayed(*half_life, &|event| counts(event, input).map_or(0, i128::from)) / input.unit
            }
            Measure::SinceFirst | Measure::SinceLast => {
                let times = events(&reading.series).into_iter().map(|event| event.time);
                let time = if reading.measure == Measure::SinceFirst { times.min() } else { times.max() };
                time.map_or(-1.0, |time| now.saturating_sub(time) as f64 / 1_000.0)
            }
            Measure::IsNew => 0.0,
            Measure::GapVariation => {
                let times: Vec<i64> = exact().map(|event| event.time).collect();
                let gaps = || times.windows(2).map(|pair| i128::from(pair[1]) - i128::from(pair[0]));
                measure::gap_variation(gaps().count() as u64, gaps().sum(), gaps().map(|gap| gap * gap).sum())
            }
            Measure::Speed { index } => {
                let place = |event: &Occurrence<'_>| event.values.get(*index).copied().unwrap_or(MISSING);
                let from = exact().rfind(|event| place(&event.as_occurrence()) != MISSING);
                let (there, since) = from.map_or((MISSING, now), |event| (place(&event.as_occurrence()), event.time));
                measure::speed(there, place(order), now.saturating_sub(since))
            }
            Measure::FraudCount | Measure::FraudRate | Measure::OrdersSinceFraud | Measure::Resolved => {
                let mut from = from;
                if reading.measure == Measure::OrdersSinceFraud {
                    // Per time at which orders were resolved: the frauds known of them.
                    let mut frauds: BTreeMap<i64, i64> = BTreeMap::new();
                    for (at, _, more) in self.changes(plan, now, from, to) {
                        *frauds.entry(at).or_default() += more;
                    }
                    let Some((&latest, _)) = frauds.iter().rfind(|(_, n)| **n > 0) else { return -1.0 };
                    from = latest.saturating_add(1);
                }
                let (resolved, frauds) = self.labelled(plan, now, from, to);
                let due = |row: &&Row<'_>| {
                    let at = if row.time == i64::MIN { row.time } else { row.time.saturating_add(plan.label_delay) };
                    at >= from && at < to
                };
                let orders = rows.iter().filter(due).flat_map(|row| &row.events);
                let due = orders.filter(|event| event.kind == EventKind::Order).count() as i64;
                let frauds = frauds.max(0);
                let resolved = (due + resolved).max(frauds);
                match reading.measure {
                    Measure::FraudCount => frauds as f64,
                    Measure::Resolved | Measure::OrdersSinceFraud => resolved as f64,
                    _ => measure::over(frauds as f64, resolved as f64),
                }
            }
        }
    }
}
