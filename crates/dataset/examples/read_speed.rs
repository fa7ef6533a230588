//! How fast are files profiled and read? `cargo run --release -p orderguard-dataset --example read_speed -- FILE...`
//!
//! Prints seconds and MB/s of decompressed bytes for both passes (and on Linux the processor seconds, which a busy
//! machine changes less), with a schema made from the profile: a running number is
//! the id, whole numbers of some thousand values are entities, the rest is read as times, numbers or categories.
#![allow(clippy::print_stdout, reason = "a measuring program prints")]

use std::time::Instant;

use orderguard_dataset::profile::MAX_DISTINCT;
use orderguard_dataset::read::{ReadOptions, read};
use orderguard_dataset::scan::profile;
use orderguard_dataset::source::Sources;
use orderguard_features::schema::{Available, Column, Role, Schema, TimeFormat};

/// Processor seconds of this process so far, 0 where they cannot be told.
fn cpu_secs() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    fields.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    let sources = Sources::from_paths(&paths)?;
    let start = Instant::now();
    let facts = profile(&sources, &|_, _| ())?;
    let profile_secs = start.elapsed().as_secs_f64();
    println!("profile {profile_secs:.3} s, processor {:.2} s", cpu_secs());
    let columns = facts.columns.iter().map(|column| {
        let is_time = column.times.get("iso").is_some_and(|(n, _, _)| *n > 0);
        let is_number = column.n_number > 0 && column.n_number + column.n_missing == facts.n_rows;
        let role = match (is_time, is_number) {
            (true, _) => Role::Timestamp,
            (_, true) if column.n_increasing + 1 == facts.n_rows => Role::Id,
            (_, true) if column.n_integer > 0 && (1_000..MAX_DISTINCT).contains(&column.n_distinct) => Role::Customer,
            (_, true) => Role::Number,
            _ => Role::Category,
        };
        let format = is_time.then_some(TimeFormat::Iso);
        Column { name: column.name.clone(), role, available: Available::Order, format }
    });
    let mut schema = Schema::from_toml("column = []")?;
    schema.columns = columns.collect();
    for _ in 0..3 {
        let (start, cpu_before) = (Instant::now(), cpu_secs());
        let outcome = read(&sources, &schema, &ReadOptions::default(), &|_, _| ())?;
        let secs = start.elapsed().as_secs_f64();
        let mb = outcome.bytes as f64 / 1e6;
        println!(
            "{} rows, {} rejected, {mb:.1} MB: profile {:.0} MB/s, read {secs:.3} s, processor {:.2} s, {:.0} MB/s",
            outcome.n_rows_seen,
            outcome.rejections.count(),
            mb / profile_secs,
            cpu_secs() - cpu_before,
            mb / secs
        );
    }
    for column in &schema.columns {
        println!("{:<24} {}", column.name, column.role);
    }
    Ok(())
}
