//! Prints the figures of a file of scored orders as one line of JSON, with the time they took; `scripts/bench/metrics`
//! compares them with scikit-learn's.
//!
//! `metrics_of FILE THRESHOLD [REPEATS [REPLICATES]]`: FILE holds one record per order, little-endian f64: raw score, probability,
//! amount, label (1 = fraud), day, entity, weight. The time is the best of REPEATS runs, reading not counted. With REPLICATES
//! intervals, weeks and money are measured too, and timed.

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::time::Instant;

use orderguard_evaluation::{CostTable, Evaluation, Options, Scored, average_precision, roc_auc, selection};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("usage: metrics_of FILE THRESHOLD [REPEATS]")?;
    let threshold: f64 = args.next().ok_or("the threshold is missing")?.parse()?;
    let repeats: usize = args.next().map_or(Ok(1), |text| text.parse())?;
    let n_replicates: usize = args.next().map_or(Ok(0), |text| text.parse())?;

    let bytes = std::fs::read(path)?;
    let (mut raw, mut probability, mut amounts, mut labels) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut days, mut entities, mut weights) = (Vec::new(), Vec::new(), Vec::new());
    for record in bytes.chunks_exact(56) {
        let mut numbers = record.chunks_exact(8).map(|b| b.try_into().map(f64::from_le_bytes));
        let mut next = || numbers.next().ok_or("a record of seven numbers")?.map_err(|_| "eight bytes");
        raw.push(next()?);
        probability.push(next()?);
        amounts.push(next()?);
        labels.push(u8::from(next()? == 1.0));
        days.push(next()? as i64);
        entities.push(next()? as u64);
        weights.push(next()?);
    }

    let evaluate = || Evaluation::compute(&raw, &probability, &labels, Some(&amounts), threshold);
    let (all_secs, figures) = best_of(repeats, evaluate);
    let (ap_secs, _) = best_of(repeats, || average_precision(&raw, &labels));
    let (auc_secs, _) = best_of(repeats, || roc_auc(&raw, &labels));
    let orders = Scored::new(&raw, &probability, &labels)?
        .with_amounts(Some(&amounts))?
        .with_days(Some(&days))?
        .with_entities(Some(&entities))?;
    let options = Options { costs: Some(CostTable::default()), n_replicates, ..Options::default() };
    let (measure_secs, measured) = best_of(1, || Evaluation::measure(&orders, threshold, &options));
    let weighted = orders.with_weights(Some(&weights))?;
    let weighted = selection(&weighted, threshold, &Options { n_replicates: 0, ..options });
    let mut measured = serde_json::to_value(measured?)?;
    figures?;
    if let Some(members) = measured.as_object_mut() {
        members.remove("curve");
        let seconds = serde_json::json!({
            "all": all_secs, "average_precision": ap_secs, "roc_auc": auc_secs, "with_intervals": measure_secs,
        });
        members.insert("seconds".to_owned(), seconds);
        members.insert("weighted".to_owned(), serde_json::to_value(weighted)?);
    }
    let figures = measured;
    println!("{figures}");
    Ok(())
}

/// Seconds of the fastest run, and what the last one gave.
fn best_of<T>(repeats: usize, run: impl Fn() -> T) -> (f64, T) {
    let timed = || {
        let start = Instant::now();
        let result = run();
        (start.elapsed().as_secs_f64(), result)
    };
    (1..repeats).fold(timed(), |best, _| {
        let (secs, result) = timed();
        (secs.min(best.0), result)
    })
}
