//! How fast are files profiled and read?
//!
//! `cargo run --release -p orderguard-dataset --example read_speed -- [--schema FILE.toml] [--times N] [--threads N] FILE...`
//!
//! Without a schema, the one that is inferred from the files' profile is used; the profile is then measured too. Prints, of
//! the best of N passes (5), seconds, processor seconds (Linux; a busy machine changes them less), MB/s of decompressed
//! bytes and rows/s.
#![allow(clippy::print_stdout, reason = "a measuring program prints")]

use std::time::Instant;

use orderguard_dataset::infer::{InferOptions, infer};
use orderguard_dataset::read::{ReadOptions, read};
use orderguard_dataset::scan::profile;
use orderguard_dataset::source::Sources;
use orderguard_features::schema::Schema;

/// Processor seconds of this process so far, 0 where they cannot be told.
fn cpu_secs() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    fields.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// Seconds of the fastest of `n_times` runs, mean processor seconds, and what the last one gave.
fn best<T, E>(n_times: usize, mut run: impl FnMut() -> Result<T, E>) -> Result<(f64, f64, T), E> {
    let cpu_before = cpu_secs();
    let mut timed = || {
        let start = Instant::now();
        let outcome = run()?;
        Ok((start.elapsed().as_secs_f64(), outcome))
    };
    let (mut secs, mut last) = timed()?;
    for _ in 1..n_times {
        let (again, outcome) = timed()?;
        (secs, last) = (secs.min(again), outcome);
    }
    Ok((secs, (cpu_secs() - cpu_before) / n_times as f64, last))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut paths, mut schema, mut n_times) = (Vec::new(), None, 5);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg}: expected a value"));
        match arg.as_str() {
            "--schema" => schema = Some(Schema::from_toml(&std::fs::read_to_string(value()?)?)?),
            "--times" => n_times = value()?.parse::<usize>()?.max(1),
            "--threads" => rayon::ThreadPoolBuilder::new().num_threads(value()?.parse()?).build_global()?,
            _ => paths.push(arg),
        }
    }
    let sources = Sources::from_paths(&paths)?;
    let schema = if let Some(schema) = schema {
        schema
    } else {
        let (secs, cpu, facts) = best(n_times, || profile(&sources, &|_, _| ()))?;
        println!("profile: {} rows in {secs:.3} s, processor {cpu:.2} s", facts.n_rows);
        infer(&facts, &InferOptions::default())?.schema
    };
    for column in &schema.columns {
        println!("{:<24} {}", column.name, column.role);
    }
    let (secs, cpu, outcome) = best(n_times, || read(&sources, &schema, &ReadOptions::default(), &|_, _| ()))?;
    let (rows, mb) = (outcome.n_rows_seen, outcome.bytes as f64 / 1e6);
    println!(
        "read: {rows} rows ({} rejected), {mb:.1} MB in {secs:.3} s, processor {cpu:.2} s: {:.0} MB/s, {:.2} million rows/s",
        outcome.rejections.count(),
        mb / secs,
        rows as f64 / secs / 1e6
    );
    Ok(())
}
