//! The plain form of a history: all events, and the documented rules applied to them at every reading.

use std::collections::{BTreeMap, BTreeSet};

use super::error::HistoryError;
use super::measure::{self, Moments};
use super::plan::{Input, Measure, Plan, Reading, Series, Window};
use super::{ENTITY_LIFETIME, LabelNews, MISSING, Occurrence};
use crate::container::SectionReader;
use crate::kind::EventKind;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    time: i64,
    known_at: i64,
    kind: EventKind,
    currency: u32,
    values: Vec<i64>,
    keys: Vec<u64>,
}

impl Event {
    fn as_occurrence(&self) -> Occurrence<'_> {
        let Self { time, known_at, kind, currency, .. } = *self;
        Occurrence { time, known_at, kind, currency, values: &self.values, keys: &self.keys }
    }
}

/// What is remembered of one entity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntityHistory {
    /// Sorted.
    events: Vec<Event>,
    /// (resolved at, learned at) -> (orders resolved, frauds), both as changes.
    labels: BTreeMap<(i64, i64), (i64, i64)>,
}

/// Events that count at one time: one exact event, or those of a bucket.
struct Row<'a> {
    time: i64,
    known_at: i64,
    exact: bool,
    events: Vec<&'a Event>,
}

impl EntityHistory {
    /// Whether nothing was ever learned.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The newest event's time.
    pub fn last_time(&self) -> Option<i64> {
        self.events.last().map(|event| event.time)
    }

    /// When the latest event became known.
    pub fn last_known_at(&self) -> Option<i64> {
        self.events.iter().map(|event| event.known_at).max()
    }

    /// Bytes held, in and behind this value.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.events.iter().map(|e| 64 + 8 * (e.values.len() + e.keys.len())).sum::<usize>()
    }

    /// Learns an event. Events of kinds that no reading uses are not remembered, except orders.
    pub fn observe(&mut self, plan: &Plan, event: &Occurrence<'_>) {
        if !plan.stores(event.kind) {
            return;
        }
        let known_at = event.known_at.max(event.time);
        if self.last_known_at().is_some_and(|last| known_at.abs_diff(last) > ENTITY_LIFETIME.0 as u64) {
            *self = Self::default();
        }
        let (values, keys) = (event.values.to_vec(), event.keys.to_vec());
        let event = Event { time: event.time, known_at, kind: event.kind, currency: event.currency, values, keys };
        let at = self.events.partition_point(|other| *other <= event);
        self.events.insert(at, event);
    }

    /// Learns a label of one of the entity's orders, or that an earlier one is reversed.
    pub fn learn_label(&mut self, _plan: &Plan, news: &LabelNews) {
        if self.events.iter().all(|event| event.known_at > news.known_at) {
            return;
        }
        let (before, at) = (news.resolved_before, news.at.max(news.known_at));
        let mut change = |resolved_at: i64, resolved: i64, frauds: i64| {
            let entry = self.labels.entry((resolved_at, at)).or_default();
            *entry = (entry.0 + resolved, entry.1 + frauds);
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

    /// Computes every reading of the plan for `order` and hands each to `write` with its position.
    pub fn read(&self, plan: &Plan, order: &Occurrence<'_>, mut write: impl FnMut(usize, f32)) {
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

    fn rows(&self, plan: &Plan) -> Vec<Row<'_>> {
        let Some(newest) = self.last_time() else { return Vec::new() };
        let n_folded = self.events.len().saturating_sub(plan.exact_events);
        let mut buckets: BTreeMap<(i64, u32), Vec<&Event>> = BTreeMap::new();
        let mut exact = Vec::new();
        for (i, event) in self.events.iter().enumerate() {
            let time = if i < n_folded { plan.fold(newest, event.time) } else { plan.retained(newest, event.time) };
            if i < n_folded || time == i64::MIN {
                buckets.entry((time, event.currency)).or_default().push(event);
            } else {
                exact.push(Row { time, known_at: event.known_at, exact: true, events: vec![event] });
            }
        }
        let known_at = |events: &[&Event]| events.iter().map(|event| event.known_at).max().unwrap_or(i64::MIN);
        let folded = buckets.into_iter().map(|((time, _), events)| Row {
            time,
            known_at: known_at(&events),
            exact: false,
            events,
        });
        folded.chain(exact).collect()
    }

    /// (orders resolved, frauds) by labels in a window, as far as known at `now`.
    fn labelled(&self, plan: &Plan, now: i64, from: i64, to: i64) -> (i64, i64) {
        let Some(newest) = self.last_time() else { return (0, 0) };
        let n_folded = self.labels.len().saturating_sub(plan.exact_events);
        // Bucket or exact pair -> (last known, resolved, frauds).
        let mut rows: BTreeMap<(i64, i64, bool), (i64, i64, i64)> = BTreeMap::new();
        for (i, (&(at, known_at), &(resolved, frauds))) in self.labels.iter().enumerate() {
            let time = if i < n_folded { plan.fold(newest, at) } else { plan.retained(newest, at) };
            let exact = i >= n_folded && time != i64::MIN;
            let row = rows.entry((time, if exact { known_at } else { 0 }, exact)).or_insert((i64::MIN, 0, 0));
            *row = (row.0.max(known_at), row.1 + resolved, row.2 + frauds);
        }
        let mut sum = (0, 0);
        for (&(at, ..), &(known_at, resolved, frauds)) in &rows {
            if known_at < now && at >= from && at < to {
                sum = (sum.0 + resolved, sum.1 + frauds);
            }
        }
        sum
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
            measure::decayed(now, half_life, epochs.into_iter())
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
            Measure::FraudCount | Measure::FraudRate | Measure::Resolved => {
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
                    Measure::Resolved => resolved as f64,
                    _ => measure::over(frauds as f64, resolved as f64),
                }
            }
        }
    }

    /// Appends the bytes of the history; equal histories give equal bytes.
    pub fn write_to(&self, _plan: &Plan, out: &mut Vec<u8>) {
        out.extend((self.events.len() as u32).to_le_bytes());
        for event in &self.events {
            out.extend(event.time.to_le_bytes());
            out.extend(event.known_at.to_le_bytes());
            out.push(event.kind as u8);
            out.extend(event.currency.to_le_bytes());
            out.push(event.values.len() as u8);
            out.extend(event.values.iter().flat_map(|value| value.to_le_bytes()));
            out.push(event.keys.len() as u8);
            out.extend(event.keys.iter().flat_map(|key| key.to_le_bytes()));
        }
        out.extend((self.labels.len() as u32).to_le_bytes());
        for (&(at, known_at), &(resolved, frauds)) in &self.labels {
            out.extend([at, known_at, resolved, frauds].iter().flat_map(|word| word.to_le_bytes()));
        }
    }

    /// Reads what [`write_to`](Self::write_to) wrote, with the same plan.
    pub fn read_from(reader: &mut SectionReader<'_>, _plan: &Plan) -> Result<Self, HistoryError> {
        let mut history = Self::default();
        for _ in 0..reader.u32()? {
            let (time, known_at) = (reader.i64()?, reader.i64()?);
            let kind = EventKind::ALL.get(usize::from(reader.u8()?)).copied();
            let kind = kind.ok_or_else(|| HistoryError::invalid(reader, "a kind of event"))?;
            let currency = reader.u32()?;
            let n = reader.u8()?;
            let values = (0..n).map(|_| reader.i64()).collect::<Result<_, _>>()?;
            let n = reader.u8()?;
            let keys = (0..n).map(|_| reader.u64()).collect::<Result<_, _>>()?;
            let event = Event { time, known_at, kind, currency, values, keys };
            if known_at < time || history.events.last().is_some_and(|last| *last > event) {
                return Err(HistoryError::invalid(reader, "events in order of time"));
            }
            history.events.push(event);
        }
        for _ in 0..reader.u32()? {
            let key = (reader.i64()?, reader.i64()?);
            if history.labels.last_key_value().is_some_and(|(last, _)| *last >= key) {
                return Err(HistoryError::invalid(reader, "labels in order of time"));
            }
            history.labels.insert(key, (reader.i64()?, reader.i64()?));
        }
        Ok(history)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Series, Test};
    use crate::language::feature::Comparison;

    const DAY: i64 = 86_400_000;
    const T0: i64 = 17_000 * DAY;

    fn reading(measure: Measure, over: Option<i64>) -> Reading {
        let series = Series::all(EventKind::Order);
        Reading { measure, series, window: Window { over, delayed: 0 }, versus: None }
    }

    fn order(time: i64, values: &[i64]) -> Occurrence<'_> {
        Occurrence { time, known_at: time, kind: EventKind::Order, currency: 1, values, keys: &[] }
    }

    fn read(history: &EntityHistory, plan: &Plan, order: &Occurrence<'_>) -> Vec<f32> {
        let mut row = vec![f32::NAN; plan.n_outputs()];
        history.read(plan, order, |output, value| row[output] = value);
        row
    }

    #[test]
    fn counts_means_and_labels_of_a_few_orders() {
        let amount = Input { index: 0, unit: 100.0, per_currency: true };
        let small = Test::Compare { index: 0, op: Comparison::Less, numerator: 500, denominator: 1 };
        let mut readings = vec![
            reading(Measure::Count, Some(DAY)),
            reading(Measure::Mean(amount), Some(7 * DAY)),
            reading(Measure::Ratio(amount), None),
            reading(Measure::Count, None),
            reading(Measure::FraudRate, Some(30 * DAY)),
            reading(Measure::SinceLast, None),
            reading(Measure::IsNew, None),
        ];
        readings[3].series.tests.push(small);
        let plan = Plan::new(readings, 7 * DAY, 4096).unwrap();
        let mut history = EntityHistory::default();
        history.observe(&plan, &order(T0, &[400]));
        history.observe(&plan, &order(T0 + DAY, &[1_000]));
        let row = read(&history, &plan, &order(T0 + 2 * DAY, &[1_400]));
        assert_eq!(row, [1.0, 7.0, 2.0, 1.0, 0.0, 86_400.0, 0.0]);
        // The first order is known as fraud on day 3, and the second falls due on day 8.
        let news =
            LabelNews { known_at: T0, resolved_before: T0 + 7 * DAY, at: T0 + 3 * DAY, fraud: true, was_fraud: false };
        history.learn_label(&plan, &news);
        let rate = |days: i64, history: &EntityHistory| read(history, &plan, &order(T0 + days * DAY, &[1]))[4];
        assert_eq!((rate(3, &history), rate(4, &history), rate(9, &history)), (0.0, 1.0, 0.5));
        history.learn_label(
            &plan,
            &LabelNews { resolved_before: T0 + 3 * DAY, at: T0 + 10 * DAY, fraud: false, was_fraud: true, ..news },
        );
        assert_eq!((rate(10, &history), rate(11, &history)), (0.5, 0.0));
        assert_eq!(read(&history, &plan, &order(T0 + 402 * DAY, &[1]))[6], 1.0);
    }
}
