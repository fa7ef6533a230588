//! Fits boosted trees on a matrix file and prints time, quality and peak memory as one line of JSON; the races in `scripts/bench` run it.
//!
//! `fit_matrix FILE [NAME=VALUE]...` with the names of `GbtParams`, `rounds=N` (that many rounds, no validation),
//! `early_stop=true` (validation on the last fifth of the training rows, or the last `n_valid=N`), `scores=FILE` (raw scores of
//! those rows and of the test rows, f64), `threads=N` and `vectors=scalar|avx2|avx512`. `trials=N` or `seconds=S` searches for parameters
//! first, on folds of the training rows that move forward (the rows' order is that of time), then fits with those.
//!
//! The file, little-endian: `OGMX`, version 1 (u32), rows, features and training rows (u64 each; the first rows train, the others
//! test), the cells (f32, column after column, NaN is missing), the labels (u8).
#![allow(clippy::print_stdout, reason = "the program's output")]

use std::error::Error;
use std::fs::File;
use std::io::{BufReader, Read};
use std::ops::ControlFlow;
use std::time::Instant;

use orderguard_evaluation::metrics::average_precision;
use orderguard_features::language::spec::FeatureKind;
use orderguard_features::matrix::Matrix;
use orderguard_inference::model::{Forest, Node};
use orderguard_trainer::boosting::{Extras, Round, fit, fit_rounds};
use orderguard_trainer::params::{CheckedGbtParams, GbtParams};
use orderguard_trainer::samples::Samples;
use orderguard_trainer::search::{Dimension, Fold, Found, Limit, search, value_text};
use orderguard_trainer::vector::{self, Width};
use orderguard_trainer::weights::by_age;

struct Data {
    matrix: Matrix,
    labels: Vec<u8>,
    n_train: usize,
}

fn read(path: &str) -> Result<Data, Box<dyn Error>> {
    let mut file = BufReader::new(File::open(path)?);
    let mut header = [0; 32];
    file.read_exact(&mut header)?;
    if !header.starts_with(b"OGMX\x01\0\0\0") {
        return Err("not a matrix file of version 1".into());
    }
    let word = |at: usize| usize::try_from(u64::from_le_bytes(std::array::from_fn(|i| header[at + i])));
    let (n_rows, n_features, n_train) = (word(8)?, word(16)?, word(24)?);
    if n_train > n_rows {
        return Err("the labels do not fit the header".into());
    }
    // Column by column, so that the file is never held beside the matrix.
    let mut values = Vec::with_capacity(n_rows * n_features);
    let mut bytes = vec![0; 4 * n_rows];
    for _ in 0..n_features {
        file.read_exact(&mut bytes)?;
        values.extend(bytes.as_chunks::<4>().0.iter().map(|&cell| f32::from_le_bytes(cell)));
    }
    let mut labels = vec![0; n_rows];
    file.read_exact(&mut labels)?;
    Ok(Data { matrix: Matrix::from_columns(n_rows, n_features, values), labels, n_train })
}

/// The largest resident set so far, where the system tells it.
fn peak_megabytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? / 1024)
}

/// The score by its definition, row by row.
fn raw_score(forest: &Forest, matrix: &Matrix, row: usize) -> f64 {
    let mut sum = forest.base;
    for tree in &forest.trees {
        let mut at = 0;
        sum += loop {
            let (feature, goes_left, missing_left, left, right) = match tree.nodes[at] {
                Node::Leaf { value } => break i64::from(value),
                Node::Numeric { feature, threshold, missing_left, left, right } => {
                    let x = matrix.column(feature as usize)[row];
                    (x, x <= threshold, missing_left, left, right)
                }
                Node::Categorical { feature, level_set, missing_left, left, right } => {
                    let x = matrix.column(feature as usize)[row];
                    let code = x as usize;
                    let set = &tree.level_sets[level_set as usize];
                    (x, code < 256 && set[code / 64 % 4] >> (code % 64) & 1 == 1, missing_left, left, right)
                }
            };
            at = if if feature.is_nan() { missing_left } else { goes_left } { left } else { right } as usize;
        };
    }
    sum as f64 / 2_f64.powi(i32::from(forest.scale_bits))
}

fn limit_vectors(name: &str) -> Result<(), Box<dyn Error>> {
    let width = Width::available().into_iter().find(|width| width.name() == name);
    vector::limit(width.ok_or("this processor lacks such vectors")?);
    Ok(())
}

/// Folds that a search is made on.
const N_FOLDS: usize = 4;

/// Searches among the training rows: the later half of their frauds judge, fold by fold, each fold fitted on all rows before.
fn searched(
    params: &CheckedGbtParams,
    data: &Data,
    trials: Option<usize>,
    seconds: Option<f64>,
) -> Result<Found, Box<dyn Error>> {
    let labels = &data.labels[..data.n_train];
    let frauds: Vec<usize> = (0..data.n_train).filter(|&row| labels[row] == 1).collect();
    let cut = |fold: usize| match fold {
        N_FOLDS => data.n_train,
        fold => frauds[frauds.len() / 2 + fold * frauds.len() / (2 * N_FOLDS)],
    };
    let rows: Vec<u32> = (0..data.n_train as u32).collect();
    let times: Vec<i64> = (0..data.n_train as i64).collect();
    let part =
        |from: usize, to: usize| Samples { matrix: &data.matrix, rows: &rows[from..to], labels: &labels[from..to] };
    let fold = |i: usize| Fold {
        train: part(0, cut(i)),
        held: part(cut(i), cut(i + 1)),
        extras: Extras::default(),
        times: Some(&times[..cut(i)]),
    };
    let folds: Vec<Fold<'_>> = (0..N_FOLDS).map(fold).collect();
    let start = Instant::now();
    let elapsed = || start.elapsed().as_secs_f64();
    let limit = match (trials, seconds) {
        (None, Some(budget)) => Limit::Seconds { budget, elapsed: &elapsed },
        (trials, _) => Limit::Trials(trials.unwrap_or(0)),
    };
    let kinds = vec![FeatureKind::Numeric; data.matrix.n_features()];
    Ok(search(params, &Dimension::ALL, &kinds, &folds, limit, &|| false, &mut |_| {})?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("usage: fit_matrix FILE [NAME=VALUE]...")?;
    let mut params = GbtParams::default();
    let mut rounds = None;
    let mut early_stop = false;
    let mut n_valid = None;
    let mut scores_path = None;
    let (mut trials, mut budget) = (None, None);
    for arg in args {
        let (name, value) = arg.split_once('=').ok_or("expected NAME=VALUE")?;
        match name {
            "rounds" => rounds = Some(value.parse()?),
            "early_stop" => early_stop = value.parse()?,
            "n_valid" => n_valid = Some(value.parse::<usize>()?),
            "scores" => scores_path = Some(value.to_owned()),
            "trials" => trials = Some(value.parse()?),
            "seconds" => budget = Some(value.parse()?),
            "vectors" => limit_vectors(value)?,
            "threads" => rayon::ThreadPoolBuilder::new().num_threads(value.parse()?).build_global()?,
            "n_trees" => params.n_trees = value.parse()?,
            "learning_rate" => params.learning_rate = value.parse()?,
            "learning_rate_decay" => params.learning_rate_decay = value.parse()?,
            "max_leaves" => params.max_leaves = value.parse()?,
            "max_depth" => params.max_depth = value.parse()?,
            "min_rows_per_leaf" => params.min_rows_per_leaf = value.parse()?,
            "min_child_weight" => params.min_child_weight = value.parse()?,
            "l1" => params.l1 = value.parse()?,
            "l2" => params.l2 = value.parse()?,
            "min_gain" => params.min_gain = value.parse()?,
            "max_leaf_value" => params.max_leaf_value = value.parse()?,
            "feature_fraction" => params.feature_fraction = value.parse()?,
            "row_fraction" => params.row_fraction = value.parse()?,
            "easy_row_limit" => params.easy_row_limit = value.parse()?,
            "leaf_smoothing" => params.leaf_smoothing = value.parse()?,
            "max_bins" => params.max_bins = value.parse()?,
            "patience" => params.patience = value.parse()?,
            "metric_window" => params.metric_window = value.parse()?,
            "seed" => params.seed = value.parse()?,
            _ => return Err(format!("unknown parameter {name}").into()),
        }
    }
    let rounds = rounds.unwrap_or(params.n_trees);
    let mut params = params.check()?;
    let data = read(&path)?;
    let mut weights = None;
    let mut found_text = String::new();
    if trials.is_some() || budget.is_some() {
        let start = Instant::now();
        let found = searched(&params, &data, trials, budget)?;
        let (seconds, chosen) = (start.elapsed().as_secs_f64(), &found.trials[found.chosen]);
        if let Some(half_life) = chosen.setting.half_life {
            let times: Vec<i64> = (0..data.n_train as i64).collect();
            weights = Some(by_age(&times, data.n_train as i64, half_life)?);
        }
        params = chosen.setting.params.clone().check()?;
        let values = found.dimensions.iter().map(|&d| format!("{} {}", d.name(), value_text(&chosen.setting, d)));
        found_text = format!(
            ", \"search\": {{\"seconds\": {seconds:.2}, \"trials\": {}, \"chosen\": {}, \"difference\": {:.5}, \"parameters\": \"{}\"}}",
            found.trials.len() - 1,
            found.chosen,
            chosen.difference,
            values.collect::<Vec<_>>().join(", ")
        );
    }
    let kinds = vec![FeatureKind::Numeric; data.matrix.n_features()];
    let rows: Vec<u32> = (0..data.n_train as u32).collect();
    let select = |from: usize, to: usize| Samples {
        matrix: &data.matrix,
        rows: &rows[from..to],
        labels: &data.labels[from..to],
    };
    let mut first_round = None;
    let start = Instant::now();
    let mut progress = |_: &Round<'_>| {
        first_round.get_or_insert_with(|| start.elapsed().as_secs_f64());
        ControlFlow::Continue(())
    };
    let cut = data.n_train - n_valid.unwrap_or(data.n_train / 5).min(data.n_train);
    let extras = |n: usize| Extras { weights: weights.as_ref().map(|weights| &weights[..n]), ..Default::default() };
    let fitted = if early_stop {
        fit(&params, &kinds, &select(0, cut), &select(cut, data.n_train), &extras(cut), &mut progress)?
    } else {
        fit_rounds(&params, &kinds, &select(0, data.n_train), rounds, &extras(data.n_train), &mut progress)?
    };
    let seconds = start.elapsed().as_secs_f64();
    let peak = peak_megabytes().map_or("null".to_string(), |peak| peak.to_string());
    let n_rows = data.matrix.n_rows();
    let scores: Vec<f64> = (cut..n_rows).map(|row| raw_score(&fitted.forest, &data.matrix, row)).collect();
    if let Some(path) = scores_path {
        std::fs::write(path, scores.iter().flat_map(|score| score.to_le_bytes()).collect::<Vec<u8>>())?;
    }
    let quality = average_precision(&scores[data.n_train - cut..], &data.labels[data.n_train..]).unwrap_or(f64::NAN);
    println!(
        "{{\"seconds\": {seconds:.4}, \"first_round_seconds\": {:.4}, \"average_precision\": {quality:.5}, \"rounds\": {}, \"peak_mb\": {peak}{found_text}}}",
        first_round.unwrap_or(f64::NAN),
        fitted.best_round
    );
    Ok(())
}
