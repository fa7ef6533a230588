//! How fast does replay compute feature rows, with the table in memory?
//!
//! `cargo run --release -p orderguard-dataset --example replay_speed -- [--schema FILE.toml] [--features FILE] [--times N]
//! [--threads N] FILE...`
//!
//! Without a schema, the one that is inferred is used; without features (one to a line), the default catalogue. Prints, of
//! the best of N passes (3), seconds, processor seconds (Linux) and orders/s. Labels, where the data have any, are learned at
//! order time + label delay.
#![allow(clippy::print_stdout, reason = "a measuring program prints")]

use std::borrow::Cow;
use std::time::Instant;

use orderguard_dataset::infer::{InferOptions, infer};
use orderguard_dataset::labels::believe_label_times;
use orderguard_dataset::read::{ReadOptions, read};
use orderguard_dataset::scan::profile;
use orderguard_dataset::source::Sources;
use orderguard_features::canonical::{canonical_events, canonical_rows};
use orderguard_features::extract::Extractor;
use orderguard_features::identity::{IdentityKey, PUBLIC_KEY};
use orderguard_features::language::catalogue::default_spec;
use orderguard_features::language::feature::Feature;
use orderguard_features::language::observed::Observed;
use orderguard_features::language::spec::FeatureSpec;
use orderguard_features::own::{self, Tables};
use orderguard_features::replay::{LabelEvent, LabelOf, ReplayInput, replay};
use orderguard_features::schema::{Role, Schema};
use orderguard_features::state::State;
use orderguard_features::table::ColumnData;
use orderguard_features::time::UnixMillis;

/// Processor seconds of this process so far, 0 where they cannot be told.
fn cpu_secs() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    fields.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut paths, mut schema, mut features, mut n_times, mut n_threads) = (Vec::new(), None, None, 3, 2);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg}: expected a value"));
        match arg.as_str() {
            "--schema" => schema = Some(Schema::from_toml(&std::fs::read_to_string(value()?)?)?),
            "--features" => features = Some(std::fs::read_to_string(value()?)?),
            "--times" => n_times = value()?.parse::<usize>()?.max(1),
            "--threads" => n_threads = value()?.parse::<usize>()?.max(1),
            _ => paths.push(arg),
        }
    }
    let sources = Sources::from_paths(&paths)?;
    let schema = match schema {
        Some(schema) => schema,
        None => infer(&profile(&sources, &|_, _| ())?, &InferOptions::default())?.schema,
    };
    let outcome = read(&sources, &schema, &ReadOptions::default(), &|_, _| ())?;
    let table = &outcome.table;
    let key = IdentityKey::new(PUBLIC_KEY);
    let start = Instant::now();
    let rows = canonical_rows(&schema, table, &key, n_threads);
    let event_rows = outcome.events.as_ref().map(|events| canonical_events(&schema, events, &key, n_threads));
    println!("canonical order: {:.3} s", start.elapsed().as_secs_f64());

    let spec = match features {
        Some(text) => {
            let lines = text.lines().filter(|line| !line.trim().is_empty());
            FeatureSpec { features: lines.map(Feature::parse).collect::<Result<_, _>>()?, ..FeatureSpec::default() }
        }
        None => {
            let all: Vec<u32> = (0..table.n_rows as u32).collect();
            let events = outcome.events.as_ref().zip(event_rows.as_ref());
            let observed = Observed::new(&schema, table, &all, events.map(|(events, rows)| (events, &rows.row[..])));
            let tables = Tables::new();
            default_spec(&schema, tables.present(), &observed, table, &all, &|source, text| {
                let role = schema.columns[source.column].role;
                own::place(&source.place, role, text, &tables).map(|level| Cow::Owned(level.into_owned()))
            })
            .0
        }
    };
    let labels = label_events(&schema, table, &rows.row);
    let extractor = Extractor::new(&schema, &spec, key)?;
    println!(
        "{} orders, {} other events, {} labels, {} features, {} entities",
        table.n_rows,
        event_rows.as_ref().map_or(0, |rows| rows.len()),
        labels.len(),
        spec.len(),
        extractor.entities().len()
    );
    let input = ReplayInput {
        orders: table,
        rows: &rows,
        events: outcome.events.as_ref().zip(event_rows.as_ref()),
        labels: &labels,
    };
    let (mut best, cpu_before) = (f64::INFINITY, cpu_secs());
    for _ in 0..n_times {
        let mut state = State::new(&extractor);
        let start = Instant::now();
        let replayed = replay(&extractor, &input, &mut state, n_threads, &|_, _| ())?;
        best = best.min(start.elapsed().as_secs_f64());
        assert_eq!(replayed.matrix.n_rows(), table.n_rows);
    }
    let cpu = (cpu_secs() - cpu_before) / n_times as f64;
    let per_second = table.n_rows as f64 / best;
    println!("replay: {best:.3} s, processor {cpu:.2} s: {per_second:.0} orders/s");
    Ok(())
}

/// The frauds of the orders' label column, as history learns them.
fn label_events(schema: &Schema, table: &orderguard_features::table::OrderTable, rows: &[u32]) -> Vec<LabelEvent> {
    let column = |role: Role| schema.find(role).map(|column| &table.columns[column]);
    let (Some(ColumnData::Label(labels)), Some(ColumnData::Time(times))) = (column(Role::Label), column(Role::Time))
    else {
        return Vec::new();
    };
    let given = match column(Role::LabelTime) {
        Some(ColumnData::Time(given)) => Some(given.as_slice()),
        _ => None,
    };
    let (settled, _) = believe_label_times(times, labels, given, schema.label_delay);
    let fraud = |&(_, &row): &(usize, &u32)| settled.label[row as usize] == 1;
    let learned = rows.iter().enumerate().filter(fraud).map(|(order, &row)| LabelEvent {
        order: LabelOf::Row(order as u32),
        time: UnixMillis(settled.label_time[row as usize]),
        fraud: true,
    });
    learned.collect()
}
