//! How long do features take? Used by `scripts/bench/features`.
//!
//! ```text
//! feature_speed handbook --data FILE [--values FILE]    twelve features of the Fraud Detection Handbook's transactions
//! feature_speed catalogue --data FILE [--first N]       the default features of any file of orders and other events
//! feature_speed live --data FILE [--last N]             one event after the other, as a service does, after replaying what came before
//! ```
//! `--threads N` (default 2). Prints one line of JSON.
#![allow(clippy::print_stdout, reason = "a measuring program prints")]

use std::error::Error;
use std::time::Instant;

use orderguard_dataset::infer::{InferOptions, infer};
use orderguard_dataset::read::{ReadOptions, ReadOutcome, read};
use orderguard_dataset::scan::profile;
use orderguard_dataset::source::Sources;
use orderguard_features::canonical::{CanonicalRows, canonical_events, canonical_rows};
use orderguard_features::event::{Event, Value};
use orderguard_features::extract::Extractor;
use orderguard_features::identity::{IdentityKey, PUBLIC_KEY};
use orderguard_features::kind::EventKind;
use orderguard_features::language::catalogue::default_spec;
use orderguard_features::language::feature::Feature;
use orderguard_features::language::observed::Observed;
use orderguard_features::language::resolve::TablesPresent;
use orderguard_features::language::spec::FeatureSpec;
use orderguard_features::parse::TimeParser;
use orderguard_features::replay::{LabelEvent, LabelOf, ReplayInput, replay};
use orderguard_features::schema::{Role, Schema};
use orderguard_features::state::State;
use orderguard_features::table::{ColumnData, OrderTable};
use orderguard_features::time::UnixMillis;

/// That of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Options as `--name value`.
struct Options(Vec<String>);

impl Options {
    fn get(&self, name: &str) -> Option<&str> {
        let at = self.0.iter().position(|word| word == name)?;
        self.0.get(at + 1).map(String::as_str)
    }

    fn need(&self, name: &str) -> Outcome<&str> {
        self.get(name).ok_or_else(|| format!("expected {name} VALUE").into())
    }

    fn number(&self, name: &str, otherwise: usize) -> Outcome<usize> {
        Ok(self.get(name).map_or(Ok(otherwise), str::parse)?)
    }
}

fn main() -> Outcome<()> {
    let mut words = std::env::args().skip(1);
    let mode = words.next().unwrap_or_default();
    let options = Options(words.collect());
    let n_threads = options.number("--threads", 2)?;
    rayon::ThreadPoolBuilder::new().num_threads(n_threads).build_global()?;
    match mode.as_str() {
        "handbook" => handbook(&options, n_threads),
        "catalogue" => catalogue(&options, n_threads),
        "live" => live(&options, n_threads),
        _ => Err("expected handbook, catalogue or live".into()),
    }
}

/// Peak of this process's memory, 0 where it cannot be told.
fn peak_rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1_024
}

const HANDBOOK: &str = r#"
label_delay = "7d"
[[column]]
name = "TX_DATETIME"
role = "time"
format = "iso"
[[column]]
name = "CUSTOMER_ID"
role = "customer"
[[column]]
name = "TERMINAL_ID"
role = "merchant"
[[column]]
name = "TX_AMOUNT"
role = "amount"
[[column]]
name = "TX_FRAUD"
role = "label"
"#;

fn handbook(options: &Options, n_threads: usize) -> Outcome<()> {
    let sources = Sources::from_paths(&[options.need("--data")?])?;
    let schema = Schema::from_toml(HANDBOOK)?;
    let mut features = Vec::new();
    for form in [
        "count(order) by CUSTOMER_ID over {}d",
        "mean(amount) by CUSTOMER_ID over {}d",
        "count(order) by TERMINAL_ID over {}d delayed 7d",
        "fraud_count by TERMINAL_ID over {}d",
    ] {
        for days in ["1", "7", "30"] {
            features.push(Feature::parse(&form.replace("{}", days))?);
        }
    }
    let spec = FeatureSpec { features, ..FeatureSpec::default() };

    let start = Instant::now();
    let outcome = read(&sources, &schema, &ReadOptions::default(), &|_, _| ())?;
    let read_seconds = start.elapsed().as_secs_f64();
    let key = IdentityKey::new(PUBLIC_KEY);
    let rows = canonical_rows(&schema, &outcome.table, &key, n_threads);
    let extractor = Extractor::new(&schema, &spec, key)?;
    let mut state = State::new(&extractor);
    let labels = frauds_when_due(&schema, &outcome.table, &rows);
    let input = ReplayInput { orders: &outcome.table, rows: &rows, events: None, labels: &labels };
    let replayed = replay(&extractor, &input, &mut state, n_threads, &|_, _| ())?;
    let seconds = start.elapsed().as_secs_f64();
    if let Some(path) = options.get("--values") {
        let mut place = vec![0; rows.len()];
        for (order, &row) in rows.row.iter().enumerate() {
            place[row as usize] = order;
        }
        let mut bytes = Vec::with_capacity(rows.len() * spec.len() * 4);
        for feature in 0..spec.len() {
            let column = replayed.matrix.column(feature);
            bytes.extend(place.iter().flat_map(|&order| column[order].to_le_bytes()));
        }
        std::fs::write(path, bytes)?;
    }
    println!(
        "{{\"seconds\": {seconds:.4}, \"read\": {read_seconds:.4}, \"features\": {:.4}, \"n_rows\": {}, \"peak_rss_bytes\": {}}}",
        seconds - read_seconds,
        rows.len(),
        peak_rss_bytes()
    );
    Ok(())
}

/// The frauds of the label column, each known when its label is due.
fn frauds_when_due(schema: &Schema, table: &OrderTable, rows: &CanonicalRows) -> Vec<LabelEvent> {
    let Some(ColumnData::Label(labels)) = schema.find(Role::Label).map(|column| &table.columns[column]) else {
        return Vec::new();
    };
    let fraud = |&(_, row): &(usize, &u32)| labels[*row as usize] == 1;
    let event = |(order, _): (usize, &u32)| LabelEvent {
        order: LabelOf::Row(order as u32),
        time: rows.time[order].plus(schema.label_delay),
        fraud: true,
    };
    rows.row.iter().enumerate().filter(fraud).map(event).collect()
}

/// A file as it was read, with its default features.
struct Prepared {
    schema: Schema,
    outcome: ReadOutcome,
    rows: CanonicalRows,
    event_rows: Option<CanonicalRows>,
    spec: FeatureSpec,
    key: IdentityKey,
    read_seconds: f64,
}

fn prepare(options: &Options, n_threads: usize) -> Outcome<Prepared> {
    let sources = Sources::from_paths(&[options.need("--data")?])?;
    let start = Instant::now();
    let mut schema = infer(&profile(&sources, &|_, _| ())?, &InferOptions::default())?.schema;
    // The cause of the label: the program's leak check refuses it.
    for column in schema.columns.iter_mut().filter(|column| column.name == "fraud_kind") {
        column.role = Role::Ignored;
    }
    let outcome = read(&sources, &schema, &ReadOptions::default(), &|_, _| ())?;
    let read_seconds = start.elapsed().as_secs_f64();
    let key = IdentityKey::new(PUBLIC_KEY);
    let rows = canonical_rows(&schema, &outcome.table, &key, n_threads);
    let event_rows = outcome.events.as_ref().map(|events| canonical_events(&schema, events, &key, n_threads));
    let events = outcome.events.as_ref().zip(event_rows.as_ref()).map(|(events, rows)| (events, rows.row.as_slice()));
    let observed = Observed::new(&schema, &outcome.table, &rows.row, events);
    let (mut spec, _) =
        default_spec(&schema, TablesPresent::default(), &observed, &outcome.table, &rows.row, &|_, _| None);
    let first = options.number("--first", spec.len())?;
    spec.features.truncate(first);
    Ok(Prepared { schema, outcome, rows, event_rows, spec, key, read_seconds })
}

fn catalogue(options: &Options, n_threads: usize) -> Outcome<()> {
    let prepared = prepare(options, n_threads)?;
    let Prepared { schema, outcome, rows, event_rows, spec, key, read_seconds } = &prepared;
    let labels = frauds_when_due(schema, &outcome.table, rows);
    let start = Instant::now();
    let extractor = Extractor::new(schema, spec, key.clone())?;
    let mut state = State::new(&extractor);
    let events = outcome.events.as_ref().zip(event_rows.as_ref());
    let input = ReplayInput { orders: &outcome.table, rows, events, labels: &labels };
    replay(&extractor, &input, &mut state, n_threads, &|_, _| ())?;
    let seconds = start.elapsed().as_secs_f64();
    let n_entities: usize = state.n_entities().iter().sum();
    println!(
        "{{\"seconds\": {seconds:.4}, \"read\": {read_seconds:.4}, \"n_orders\": {}, \"n_events\": {}, \"n_features\": {}, \
         \"n_entities\": {n_entities}, \"orders_per_second\": {:.0}, \"peak_rss_bytes\": {}}}",
        rows.len(),
        event_rows.as_ref().map_or(0, CanonicalRows::len),
        spec.len(),
        rows.len() as f64 / seconds,
        peak_rss_bytes()
    );
    Ok(())
}

/// Sorted latencies in microseconds at some points.
fn points(mut nanos: Vec<u64>) -> String {
    nanos.sort_unstable();
    let at = |share: f64| nanos[((nanos.len() - 1) as f64 * share) as usize] as f64 / 1e3;
    format!(
        "{{\"p50\": {:.2}, \"p99\": {:.2}, \"p999\": {:.2}, \"max\": {:.1}}}",
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    )
}

fn live(options: &Options, n_threads: usize) -> Outcome<()> {
    let prepared = prepare(options, n_threads)?;
    let Prepared { schema, spec, key, .. } = &prepared;
    let extractor = Extractor::new(schema, spec, key.clone())?;
    let mut reader = csv::Reader::from_path(options.need("--data")?)?;
    let header: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
    let names: Vec<&str> = header.iter().map(String::as_str).collect();
    let binding = extractor.bind(&names)?;
    let known_at = schema.find(Role::KnownAt).or(schema.find(Role::Time)).ok_or("expected a time column")?;
    let column = names.iter().position(|name| *name == schema.columns[known_at].name).ok_or("expected the column")?;
    let format = schema.columns[known_at].format.ok_or("expected a format")?;
    let parser = TimeParser::new(format, &schema.timezone)?;
    let mut records = reader.records().collect::<Result<Vec<_>, _>>()?;
    let arrival = |record: &csv::StringRecord| parser.parse(record.get(column).unwrap_or_default());
    records.sort_by_cached_key(|record| arrival(record).unwrap_or(0));

    let mut state = State::new(&extractor);
    let mut event = Event::default();
    let mut row = vec![0.0; extractor.row_len()];
    let last = records.len().saturating_sub(options.number("--last", 100_000)?);
    let (mut reading, mut extracting, mut learning, mut total) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let nanos = |from: Instant, to: Instant| (to - from).as_nanos() as u64;
    for (index, record) in records.iter().enumerate() {
        let values: Vec<Value<'_>> = record.iter().map(Value::Text).collect();
        let at = UnixMillis(arrival(record)?);
        let start = Instant::now();
        extractor.read_event(&binding, &values, at, &mut event)?;
        let was_read = Instant::now();
        if event.kind == EventKind::Order {
            extractor.extract(&state, &event, &mut row);
        }
        let extracted = Instant::now();
        state.learn(&extractor, &event);
        let learned = Instant::now();
        if index >= last && event.kind == EventKind::Order {
            reading.push(nanos(start, was_read));
            extracting.push(nanos(was_read, extracted));
            learning.push(nanos(extracted, learned));
            total.push(nanos(was_read, learned));
        }
    }
    let n_entities: usize = state.n_entities().iter().sum();
    println!(
        "{{\"n_orders\": {}, \"n_features\": {}, \"n_entities\": {n_entities}, \"read_order\": {}, \"extract\": {}, \"learn\": {}, \
         \"features_and_update\": {}, \"peak_rss_bytes\": {}}}",
        total.len(),
        spec.len(),
        points(reading),
        points(extracting),
        points(learning),
        points(total),
        peak_rss_bytes()
    );
    Ok(())
}
