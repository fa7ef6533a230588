//! How long one row and many rows take with a model of another library, for each engine and vector width.
//!
//! `cargo run --release -p orderguard-inference --example score_race -- MODEL.txt ROWS.f64 [RAW.f64 [PARTS.f64]]`: a LightGBM text,
//! rows of little-endian f64, the library's raw scores, and its contributions of some of the first rows, each with the expected
//! value behind them. `scripts/bench/score` makes them.

#![allow(clippy::print_stdout, reason = "a program that reports")]

use std::error::Error;
use std::time::{Duration, Instant};

use orderguard_inference::engine::{Choice, Engine, Width};
use orderguard_inference::explain::{ExplainScratch, Explainer};
use orderguard_inference::import::lightgbm;
use orderguard_inference::rows::{RowModel, RowScorer, RowScratch};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, rows, rest @ ..] = &args[..] else { return Err("expected MODEL.txt ROWS.f64 [RAW.f64]".into()) };
    let text = std::fs::read(model)?;
    let began = Instant::now();
    let model = lightgbm::read(&text)?;
    print("convert the text", began.elapsed(), 1);
    let bytes = model.to_bytes()?;
    let load =
        (0..5).map(|_| timed(|| RowScorer::compile(&RowModel::from_bytes(&bytes)?).map_err(Box::<dyn Error>::from)));
    let fastest = load.map(|(time, scorer)| scorer.map(|_| time)).collect::<Result<Vec<_>, _>>()?;
    print(&format!("load {} bytes and compile", bytes.len()), fastest.into_iter().min().unwrap_or_default(), 1);

    let rows: Vec<f64> = numbers(&std::fs::read(rows)?);
    let n = model.names.len();
    let expected: Option<Vec<f64>> = rest.first().map(std::fs::read).transpose()?.map(|bytes| numbers(&bytes));
    println!("{} rows of {n} values, {} trees", rows.len() / n, model.forest.trees.len());
    println!("engine  width     one f64: p50  p99 us   one f32: p50  p99 us   cold p50 us   batch f64, f32 us per row");
    let mut reference: Option<Vec<u64>> = None;
    for width in Width::available() {
        for engine in [Engine::Walk, Engine::Quick, Engine::Scan] {
            let scorer = RowScorer::compile_with(&model, Choice { engine: Some(engine), width })?;
            if scorer.engine() != engine {
                continue;
            }
            let found = race(&scorer, &rows, engine, width)?;
            let bits: Vec<u64> = found.iter().map(|score| score.to_bits()).collect();
            if *reference.get_or_insert_with(|| bits.clone()) != bits {
                return Err("engines disagree".into());
            }
            if let Some(expected) = &expected {
                let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                if worst > 1e-9 || expected.len() != found.len() {
                    return Err(format!("scores differ by {worst}").into());
                }
            }
        }
    }
    let default = RowScorer::compile(&model)?;
    println!("by default: {:?}, {}", default.engine(), Width::best().name());
    traffic(&model, &default, &rows)?;
    two_threads(&default, &rows)?;
    let parts: Vec<f64> = rest.get(1).map(std::fs::read).transpose()?.map_or(Vec::new(), |bytes| numbers(&bytes));
    explain(&model, &default, &rows, &parts)
}

/// What each value adds, for one row at a time.
fn explain(model: &RowModel, scorer: &RowScorer, rows: &[f64], expected: &[f64]) -> Result<(), Box<dyn Error>> {
    let (time, explainer) = timed(|| Explainer::compile(&model.forest));
    let explainer = explainer?;
    print("lay out for reasons", time, 1);
    let mut parts = vec![0.0; model.names.len()];
    let mut scratch = ExplainScratch::default();
    let mut error = 0.0f64;
    for (row, expected) in rows.chunks_exact(parts.len()).zip(expected.chunks_exact(parts.len() + 1)) {
        explainer.explain(row, &mut scratch, &mut parts)?;
        error = parts.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(error, f64::max);
    }
    if !expected.is_empty() {
        println!("reasons of {} rows within {error:.1e} of the library's", expected.len() / (parts.len() + 1));
    }
    for width in Width::available() {
        let explainer = explainer.clone().with_width(width);
        let (mut times, mut worst) = (Vec::new(), 0.0f64);
        for row in rows.chunks_exact(parts.len()).take(2000) {
            let (time, done) = timed(|| explainer.explain(row, &mut scratch, &mut parts));
            done?;
            times.push(time);
            let sum = explainer.expected() + parts.iter().sum::<f64>();
            worst = worst.max((sum - scorer.raw_score(row)?).abs());
        }
        let (p50, p99) = (micros(&mut times, 0.5), micros(&mut times, 0.99));
        println!(
            "reasons, {:<7} one row p50 {p50:.0} us, p99 {p99:.0} us; sums within {worst:.1e} of the score",
            width.name()
        );
    }
    Ok(())
}

/// Prints a line and gives the raw scores.
fn race(scorer: &RowScorer, rows: &[f64], engine: Engine, width: Width) -> Result<Vec<f64>, Box<dyn Error>> {
    let n = scorer.n_values();
    let narrow: Vec<f32> = rows.iter().map(|&x| x as f32).collect();
    let mut found = Vec::with_capacity(rows.len() / n);
    let (mut wide_times, mut narrow_times) = (Vec::new(), Vec::new());
    // The first round warms caches and branch predictors up.
    for _ in 0..2 {
        found.clear();
        wide_times.clear();
        narrow_times.clear();
        for row in rows.chunks_exact(n) {
            let (time, score) = timed(|| scorer.raw_score(row));
            found.push(score?);
            wide_times.push(time);
        }
        for row in narrow.chunks_exact(n) {
            let (time, score) = timed(|| scorer.raw_score_f32(row));
            score?;
            narrow_times.push(time);
        }
    }
    let mut cold_times = Vec::new();
    let mut spill = vec![0u8; 64 << 20];
    for row in rows.chunks_exact(n).take(150) {
        for byte in spill.iter_mut().step_by(64) {
            *byte = byte.wrapping_add(1);
        }
        let (time, score) = timed(|| scorer.raw_score(row));
        score?;
        cold_times.push(time);
    }
    let mut scratch = RowScratch::default();
    let mut out = vec![0.0; rows.len() / n];
    let mut batch = [Duration::MAX; 2];
    for _ in 0..5 {
        let (time, done) = timed(|| scorer.raw_scores_into(rows, &mut out, &mut scratch));
        done?;
        batch[0] = batch[0].min(time);
        if out != found {
            return Err("batch and single rows disagree".into());
        }
        let (time, done) = timed(|| scorer.raw_scores_f32_into(&narrow, &mut out, &mut scratch));
        done?;
        batch[1] = batch[1].min(time);
    }
    let per_row = batch.map(|time| time.as_secs_f64() * 1e6 / out.len() as f64);
    println!(
        "{:<7} {:<7} {:>14.2} {:>5.2} {:>18.2} {:>5.2} {:>16.2} {:>16.3} {:>6.3}",
        format!("{engine:?}").to_lowercase(),
        width.name(),
        micros(&mut wide_times, 0.5),
        micros(&mut wide_times, 0.99),
        micros(&mut narrow_times, 0.5),
        micros(&mut narrow_times, 0.99),
        micros(&mut cold_times, 0.5),
        per_row[0],
        per_row[1],
    );
    Ok(found)
}

/// Cycles of one row beside the bound from memory traffic: what a scan cannot but read, three bytes of each split and a cache line of
/// leaves of each tree, read in order by a plain loop.
fn traffic(model: &RowModel, scorer: &RowScorer, rows: &[f64]) -> Result<(), Box<dyn Error>> {
    const STEPS: u32 = 3_000_000;
    let trees = &model.forest.trees;
    let n_splits: usize = trees.iter().map(|tree| tree.nodes.len() / 2).sum();
    let n_bytes = 3 * n_splits + 64 * trees.len();
    let fastest = |run: &mut dyn FnMut() -> u64| (0..50).map(|_| timed(&mut *run).0).min().unwrap_or_default();
    // A product and an exclusive or that wait for those before: 3 + 1 cycles on the x86-64 processors of the last ten years.
    let factor = std::hint::black_box(3u64);
    let cycle = fastest(&mut || (0..STEPS).fold(1, |x: u64, i| x.wrapping_mul(factor) ^ u64::from(i))).as_secs_f64()
        / f64::from(4 * STEPS);
    let words = vec![1u64; n_bytes / 8];
    let mut rounds =
        || (0..100).map(|_| std::hint::black_box(&words).iter().fold(0, |sum: u64, word| sum ^ word)).sum();
    let read = fastest(&mut rounds).as_secs_f64() / 100.0;
    let mut times: Vec<Duration> = Vec::new();
    for row in rows.chunks_exact(scorer.n_values()) {
        let (time, score) = timed(|| scorer.raw_score(row));
        score?;
        times.push(time);
    }
    let row = micros(&mut times, 0.5) * 1e-6;
    println!(
        "of one row at {:.2} GHz: {:.0} cycles, {:.1} a tree, {:.3} a split; its {} KB in order take {:.0} to read",
        1e-9 / cycle,
        row / cycle,
        row / cycle / trees.len() as f64,
        row / cycle / n_splits as f64,
        n_bytes / 1000,
        read / cycle,
    );
    Ok(())
}

fn two_threads(scorer: &RowScorer, rows: &[f64]) -> Result<(), Box<dyn Error>> {
    let n = scorer.n_values();
    // Some tenths of a second, beside which the start of a thread is nothing.
    let all = || (0..8).try_for_each(|_| rows.chunks_exact(n).try_for_each(|row| scorer.raw_score(row).map(drop)));
    let best = |run: &mut dyn FnMut()| (0..3).map(|_| timed(&mut *run).0).min().unwrap_or_default();
    all()?;
    let one = best(&mut || drop(all()));
    let two = best(&mut || {
        std::thread::scope(|scope| {
            scope.spawn(all);
            scope.spawn(all);
        });
    });
    println!("two threads: {:.2} times the rows per second of one", 2.0 * one.as_secs_f64() / two.as_secs_f64());
    Ok(())
}

fn timed<T>(run: impl FnOnce() -> T) -> (Duration, T) {
    let began = Instant::now();
    let out = std::hint::black_box(run());
    (began.elapsed(), out)
}

fn micros(times: &mut [Duration], quantile: f64) -> f64 {
    times.sort_unstable();
    times[((times.len() - 1) as f64 * quantile) as usize].as_secs_f64() * 1e6
}

fn print(what: &str, time: Duration, n: u32) {
    println!("{what}: {:.2} ms", (time / n).as_secs_f64() * 1e3);
}

fn numbers(bytes: &[u8]) -> Vec<f64> {
    bytes.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect()
}
