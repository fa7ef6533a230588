//! `orderguard replay-check`: the live path, event by event from raw values, beside the replay that training uses.

use std::collections::HashSet;
use std::fmt::Write;
use std::ops::Range;
use std::sync::Arc;

use indicatif::ProgressBar;
use orderguard_features::event::{Event, OrderError, Value};
use orderguard_features::extract::{Binding, Extractor};
use orderguard_features::identity::OrderId;
use orderguard_features::kind::EventKind;
use orderguard_features::language::spec::FeatureSpec;
use orderguard_features::matrix::Matrix;
use orderguard_features::replay::{LabelEvent, LabelOf, labels_in_order};
use orderguard_features::schema::{Available, Column, Role, Schema, TimeFormat};
use orderguard_features::state::{Learned, State};
use orderguard_features::table::{ColumnData, MISSING_I64, OrderTable};
use orderguard_features::time::UnixMillis;
use serde_json::json;

use crate::args::ReplayCheckArgs;
use crate::console::{Console, printable};
use crate::failure::{Blame, Outcome, data};
use crate::ingest::{Orders, OtherEvents};
use crate::rows::{self, Prepared, Wanted};
use crate::{model_data, output, streamed};

/// Differences that are shown one by one.
const SHOWN: usize = 10;
/// Orders between two moves of the progress bar.
const STEP: usize = 4_096;

pub(crate) fn run(args: &ReplayCheckArgs, console: &Console) -> Outcome {
    let opened = rows::open(&args.rows, true, console)?;
    if let Some(survey) = streamed::too_large(&opened, &args.rows, console)? {
        return streamed::with_stream(opened, &survey, &args.rows, console, |stream, wanted, schema| {
            let Wanted { spec, extractor, mut state, .. } = wanted;
            let mut live = Live::new(&extractor, &spec, schema, stream.has_events(), state.clone())?;
            let mut found = Found::new(extractor.n_features());
            let bar = ProgressBar::hidden();
            let replayed = stream.replay(schema, &extractor, &mut state, console, |orders, matrix| {
                live.run(orders, matrix, &mut found, &bar);
                Ok(())
            })?;
            let counts = [replayed.orders, replayed.events, replayed.labels];
            report(args, &extractor, &spec, [state, live.state], found, stream.files(), counts)
        });
    }
    let Prepared { mut orders, wanted } = rows::prepare(opened, &args.rows, console)?;
    if orders.rows.id.is_none() && !orders.label_events.is_empty() {
        orders.label_events.clear();
        console.note(
            "the orders have no id column, by which a service tells which order a label is of: checked without labels",
        );
    }
    let Wanted { spec, extractor, mut state, .. } = wanted;
    let mut live = Live::new(&extractor, &spec, &orders.schema, orders.events.is_some(), state.clone())?;
    let matrix = model_data::replay_onto(&extractor, &orders, &mut state, console)?;
    let mut found = Found::new(extractor.n_features());
    let bar = console.steps_bar("live");
    bar.set_length(orders.len() as u64);
    live.run(&orders, &matrix, &mut found, &bar);
    bar.finish_and_clear();
    let n_events = orders.events.as_ref().map_or(0, |events| events.rows.len());
    let counts = [orders.len(), n_events, orders.label_events.len()].map(|n| n as u64);
    report(args, &extractor, &spec, [state, live.state], found, &orders.outcome.files, counts)
}

/// Prints what was found; `counts` are of orders, other events and labels.
fn report(
    args: &ReplayCheckArgs,
    extractor: &Extractor,
    spec: &FeatureSpec,
    states: [State; 2],
    mut found: Found,
    files: &[String],
    counts: [u64; 3],
) -> Outcome {
    found.state_bytes = states.map(|state| state.to_bytes(extractor));
    let names = spec.names();
    let n_cells = counts[0] * extractor.n_features() as u64;
    let report = Report { files, counts, names: &names, n_cells, found: &found };
    output::print(&if args.json { report.json() } else { printable(&report.text()) })?;
    found.verdict()
}

/// A service that takes the same events one by one.
struct Live<'a> {
    /// Reads rows and learns.
    extractor: &'a Extractor,
    /// The same features, for raw values: all times come as milliseconds since 1970.
    reader: Extractor,
    binding: Binding,
    kind_column: Option<usize>,
    amount_decimals: u8,
    state: State,
    event: Event,
    row: Vec<f32>,
    /// The text of an amount.
    amount: String,
    /// Orders that were not learned, because their id was seen before.
    ignored: Vec<bool>,
}

impl<'a> Live<'a> {
    /// `read` is the schema with which the data are read.
    fn new(
        extractor: &'a Extractor,
        spec: &FeatureSpec,
        read: &Schema,
        has_events: bool,
        state: State,
    ) -> Outcome<Self> {
        let (schema, kind_column) = raw_schema(extractor.schema(), read, has_events);
        let tables = Arc::new(extractor.tables().clone());
        let reader = Extractor::with_tables(&schema, spec, extractor.key().clone(), tables).bad_data()?;
        let names: Vec<&str> = schema.columns.iter().map(|column| column.name.as_str()).collect();
        let binding = reader.bind(&names).bad_data()?;
        Ok(Self {
            row: vec![f32::NAN; extractor.row_len()],
            extractor,
            reader,
            binding,
            kind_column,
            amount_decimals: schema.amount_decimals,
            state,
            event: Event::default(),
            amount: String::new(),
            ignored: Vec::new(),
        })
    }

    /// Hands over orders that follow the ones before; in order of time, in one millisecond first the orders, then other
    /// events, then labels.
    fn run(&mut self, all: &Orders, matrix: &Matrix, found: &mut Found, bar: &ProgressBar) {
        let labels = labels_in_order(&all.label_events, &all.rows);
        self.ignored.clear();
        self.ignored.resize(all.len(), false);
        let order_times = &all.rows.known_at;
        let event_times = all.events.as_ref().map_or(&[][..], |events| &events.rows.known_at);
        let (mut order, mut event, mut label) = (0, 0, 0);
        loop {
            let heads = [order_times.get(order), event_times.get(event), labels.get(label).map(|label| &label.time)];
            let Some(&now) = heads.into_iter().flatten().min() else { break };
            let orders = order..order + order_times[order..].partition_point(|&time| time == now);
            let events = event..event + event_times[event..].partition_point(|&time| time == now);
            let of_now = label..label + labels[label..].partition_point(|label| label.time == now);
            let moment =
                Moment { now, orders: orders.clone(), events: events.clone(), labels: &labels[of_now.clone()] };
            self.millisecond(all, &moment, matrix, found);
            if orders.end / STEP != order / STEP {
                bar.set_position(orders.end as u64);
            }
            (order, event, label) = (orders.end, events.end, of_now.end);
        }
    }

    /// What happens in one millisecond. Each order is read when those before it are learned already, and again when
    /// everything of the millisecond is: nothing of that may show.
    fn millisecond(&mut self, all: &Orders, moment: &Moment<'_>, matrix: &Matrix, found: &mut Found) {
        let Moment { now, orders, events, labels } = moment;
        found.seen.clear();
        let is_alone = orders.len() + events.len() + labels.len() == 1;
        for order in orders.clone() {
            if self.read_row(all, order, *now, matrix, found) {
                self.ignored[order] = self.state.learn(self.extractor, &self.event) == Learned::Ignored;
            }
        }
        if let Some(others) = all.events.as_ref() {
            for event in events.clone() {
                match self.read_event(others, event, *now) {
                    Ok(()) => drop(self.state.learn(self.extractor, &self.event)),
                    Err(error) => found.refuse(&error),
                }
            }
        }
        for label in *labels {
            match label.order {
                LabelOf::Known(id, known_at) => {
                    self.state.learn_label_of(self.extractor, (id, known_at), label.time, label.fraud);
                }
                LabelOf::Row(order) if self.ignored[order as usize] => {}
                LabelOf::Row(order) => {
                    let id = all.rows.id.as_ref().map(|ids| ids[order as usize]);
                    if let Some(id) = id.filter(|&id| id != OrderId(0)) {
                        let order = (id, all.rows.known_at[order as usize]);
                        self.state.learn_label_of(self.extractor, order, label.time, label.fraud);
                    }
                }
            }
        }
        for order in orders.clone().filter(|_| !is_alone) {
            self.read_row(all, order, *now, matrix, found);
        }
    }

    /// Reads an order and its row, and compares the row with that of the replay; false where the order is refused.
    fn read_row(&mut self, all: &Orders, order: usize, now: UnixMillis, matrix: &Matrix, found: &mut Found) -> bool {
        let table = &all.outcome.table;
        let row = all.rows.row[order] as usize;
        let place = (table.source[row], table.line[row]);
        if let Err(error) = self.read(table, row, EventKind::Order, now) {
            found.refuse(&error);
            found.compare(order, place, matrix, None);
            return false;
        }
        self.extractor.extract(&self.state, &self.event, &mut self.row);
        found.compare(order, place, matrix, Some(&self.row));
        true
    }

    fn read_event(&mut self, others: &OtherEvents, event: usize, now: UnixMillis) -> Result<(), OrderError> {
        let row = others.rows.row[event] as usize;
        self.read(&others.table.table, row, others.table.kinds[row], now)
    }

    /// Hands the raw values of a row to the code that reads a service's events.
    fn read(&mut self, table: &OrderTable, row: usize, kind: EventKind, now: UnixMillis) -> Result<(), OrderError> {
        let n_columns = self.reader.schema().columns.len();
        if let Some(minor) = table.columns.iter().find_map(|column| match column {
            ColumnData::Amount(amounts) => Some(amounts[row]),
            _ => None,
        }) {
            write_amount(&mut self.amount, minor, self.amount_decimals);
        }
        let mut values = Vec::with_capacity(n_columns);
        for column in 0..n_columns {
            values.push(match table.columns.get(column) {
                _ if self.kind_column == Some(column) => Value::Text(kind.name()),
                None | Some(ColumnData::Absent) => Value::Missing,
                Some(ColumnData::Text(text)) => text.get(row).map_or(Value::Missing, Value::Text),
                Some(ColumnData::Number(numbers)) => Value::Number(numbers[row]),
                Some(ColumnData::Amount(amounts)) if amounts[row] == MISSING_I64 => Value::Missing,
                Some(ColumnData::Amount(_)) => Value::Text(&self.amount),
                Some(ColumnData::Time(times)) if times[row] == MISSING_I64 => Value::Missing,
                // Milliseconds of any year that can be written are far below 2^53.
                Some(ColumnData::Time(times)) => Value::Number(times[row] as f64),
                Some(ColumnData::Label(labels)) if labels[row] < 0 => Value::Missing,
                Some(ColumnData::Label(labels)) => Value::Number(f64::from(labels[row])),
            });
        }
        self.reader.read_event(&self.binding, &values, now, &mut self.event)
    }
}

/// What happens in one millisecond: positions of orders and events, and labels.
struct Moment<'a> {
    now: UnixMillis,
    orders: Range<usize>,
    events: Range<usize>,
    labels: &'a [LabelEvent],
}

/// The schema of the values as they are handed over: a column of kinds is among them, and times are milliseconds since 1970.
fn raw_schema(schema: &Schema, read: &Schema, has_events: bool) -> (Schema, Option<usize>) {
    let mut schema = schema.clone();
    for column in schema.columns.iter_mut().filter(|column| column.format.is_some()) {
        column.format = Some(TimeFormat::EpochMillis);
    }
    if schema.find(Role::Event).is_none() && has_events {
        let known = (schema.columns.len(), &read.columns);
        // Where files of events are read for a model without a column of kinds, reading has added one behind its columns.
        let name = known.1.get(known.0).map_or("event_kind", |column| column.name.as_str()).to_owned();
        schema.columns.push(Column { name, role: Role::Event, available: Available::Order, format: None });
    }
    let kind_column = schema.find(Role::Event);
    (schema, kind_column)
}

/// Minor units as decimal text.
fn write_amount(text: &mut String, minor: i64, decimals: u8) {
    text.clear();
    let unit = 10_u64.pow(u32::from(decimals));
    let (sign, size) = (if minor < 0 { "-" } else { "" }, minor.unsigned_abs());
    let width = usize::from(decimals);
    let written = if width == 0 {
        write!(text, "{sign}{size}")
    } else {
        write!(text, "{sign}{}.{:0width$}", size / unit, size % unit)
    };
    written.expect("writing to a string cannot fail");
}

/// What differs.
struct Found {
    n_features: usize,
    /// Cells that differ, each once.
    n_cells: u64,
    per_feature: Vec<u64>,
    first: Vec<Difference>,
    /// Orders and other events that the live path refused.
    n_refused: u64,
    first_refusal: Option<String>,
    /// State files of the replay and of the live path.
    state_bytes: [Vec<u8>; 2],
    /// The cells of this millisecond that differ: orders that have company there are looked at twice.
    seen: HashSet<(usize, usize)>,
}

struct Difference {
    /// File and line.
    place: (u32, u64),
    feature: usize,
    replay: f32,
    /// `None` where the live path refused the order.
    live: Option<f32>,
}

impl Found {
    fn new(n_features: usize) -> Self {
        Self {
            n_features,
            n_cells: 0,
            per_feature: vec![0; n_features],
            first: Vec::new(),
            n_refused: 0,
            first_refusal: None,
            state_bytes: [Vec::new(), Vec::new()],
            seen: HashSet::new(),
        }
    }

    /// What the program ends with: nothing may differ.
    fn verdict(&self) -> Outcome {
        if self.is_clean() {
            return Ok(());
        }
        data(
            "the live path and the replay do not agree: a model would see other features in a service than in training",
        )
    }

    fn is_clean(&self) -> bool {
        self.n_cells == 0 && self.n_refused == 0 && self.is_same_state()
    }

    fn is_same_state(&self) -> bool {
        self.state_bytes[0] == self.state_bytes[1]
    }

    fn refuse(&mut self, error: &OrderError) {
        self.n_refused += 1;
        self.first_refusal.get_or_insert_with(|| error.to_string());
    }

    fn compare(&mut self, order: usize, place: (u32, u64), matrix: &Matrix, live: Option<&[f32]>) {
        for feature in 0..self.n_features {
            let replay = matrix.column(feature)[order];
            let live = live.map(|row| row[feature]);
            if live.is_some_and(|live| live.to_bits() == replay.to_bits()) || !self.seen.insert((order, feature)) {
                continue;
            }
            self.n_cells += 1;
            self.per_feature[feature] += 1;
            if self.first.len() < SHOWN {
                self.first.push(Difference { place, feature, replay, live });
            }
        }
    }
}

/// What is printed.
struct Report<'a> {
    files: &'a [String],
    /// Of orders, other events and labels.
    counts: [u64; 3],
    names: &'a [String],
    n_cells: u64,
    found: &'a Found,
}

impl Report<'_> {
    /// File and line of a difference.
    fn place(&self, difference: &Difference) -> (&str, u64) {
        let (file, line) = difference.place;
        (&self.files[file as usize], line)
    }

    /// Features with cells that differ, the most first.
    fn worst(&self) -> Vec<(&str, u64)> {
        let names = self.names.iter().map(String::as_str);
        let mut worst: Vec<(&str, u64)> =
            names.zip(self.found.per_feature.iter().copied()).filter(|(_, n)| *n > 0).collect();
        worst.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        worst
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |words: String| {
            text.push_str(&words);
            text.push('\n');
        };
        let [replay, live] = &self.found.state_bytes;
        line(format!(
            "{} orders, {} other events and {} labels: {} features by replay, and one by one as in a service",
            self.counts[0],
            self.counts[1],
            self.counts[2],
            self.names.len()
        ));
        line(format!("cells that differ: {} of {}", self.found.n_cells, self.n_cells));
        line(if self.found.is_same_state() {
            format!("history afterwards: the same {} bytes", replay.len())
        } else {
            format!("history afterwards: differs, {} bytes by replay and {} live", replay.len(), live.len())
        });
        if let Some(error) = &self.found.first_refusal {
            line(format!("refused by the live path: {}, the first because of {error}", self.found.n_refused));
        }
        for (name, n) in self.worst().into_iter().take(SHOWN) {
            line(format!("  {n} of `{name}`"));
        }
        for difference in &self.found.first {
            let (file, place) = self.place(difference);
            let live = difference.live.map_or("refused".into(), |live| live.to_string());
            let (name, replay) = (&self.names[difference.feature], difference.replay);
            line(format!("  {file}, line {place}: `{name}` is {replay} by replay, {live} live"));
        }
        text
    }

    fn json(&self) -> String {
        let differences: Vec<_> = self
            .found
            .first
            .iter()
            .map(|difference| {
                let (file, line) = self.place(difference);
                let feature = &self.names[difference.feature];
                json!({"file": file, "line": line, "feature": feature, "replay": difference.replay, "live": difference.live})
            })
            .collect();
        let features: serde_json::Map<String, serde_json::Value> =
            self.worst().into_iter().map(|(name, n)| (name.to_owned(), n.into())).collect();
        let report = json!({
            "n_orders": self.counts[0],
            "n_events": self.counts[1],
            "n_labels": self.counts[2],
            "n_features": self.names.len(),
            "n_cells": self.n_cells,
            "n_different": self.found.n_cells,
            "n_refused": self.found.n_refused,
            "same_state": self.found.is_same_state(),
            "state_bytes": self.found.state_bytes[0].len(),
            "different_by_feature": features,
            "first_differences": differences,
        });
        format!("{report:#}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_as_they_are_read() {
        let mut text = String::new();
        for (minor, decimals, expected) in
            [(5_710, 2, "57.10"), (-5, 2, "-0.05"), (0, 2, "0.00"), (7, 0, "7"), (-1_234_567, 3, "-1234.567")]
        {
            write_amount(&mut text, minor, decimals);
            assert_eq!(text, expected);
            assert_eq!(orderguard_features::parse::amount(&text, decimals), Ok(minor));
        }
    }

    #[test]
    fn a_cell_counts_once_and_missing_equals_missing() {
        let matrix = Matrix::from_columns(2, 2, vec![1.0, f32::NAN, 0.0, 2.0]);
        let mut found = Found::new(2);
        found.compare(0, (0, 2), &matrix, Some(&[1.0, 0.0]));
        found.compare(1, (0, 2), &matrix, Some(&[f32::NAN, 2.0]));
        assert!(found.is_clean());
        // Zeros of different signs are different bits.
        found.compare(0, (0, 2), &matrix, Some(&[1.0, -0.0]));
        found.compare(0, (0, 2), &matrix, Some(&[1.0, -0.0]));
        found.compare(1, (0, 2), &matrix, Some(&[3.0, 2.0]));
        assert_eq!((found.n_cells, found.per_feature.as_slice()), (2, &[1, 1][..]));
        assert_eq!((found.first[1].replay.is_nan(), found.first[1].live), (true, Some(3.0)));
        // An order that is refused has no cell at all.
        found.compare(1, (0, 2), &matrix, None);
        assert_eq!(found.n_cells, 3);
        assert!(!found.is_clean());
    }

    #[test]
    fn whatever_differs_ends_the_program_with_1() {
        let code = |found: &Found| found.verdict().map_err(|failure| format!("{:?}", failure.exit_code()));
        let bad_data = Err(format!("{:?}", std::process::ExitCode::from(1)));
        assert_eq!(code(&Found::new(1)), Ok(()));
        let mut of_cells = Found::new(1);
        of_cells.compare(0, (0, 1), &Matrix::from_columns(1, 1, vec![1.0]), Some(&[2.0]));
        assert_eq!(code(&of_cells), bad_data);
        let mut of_states = Found::new(1);
        of_states.state_bytes = [vec![1], vec![2]];
        assert_eq!(code(&of_states), bad_data);
        let mut of_refusals = Found::new(1);
        of_refusals.refuse(&OrderError::NotAnOrder { found: EventKind::Login });
        assert_eq!(code(&of_refusals), bad_data);
    }
}
