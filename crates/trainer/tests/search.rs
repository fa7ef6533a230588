//! A search over folds that move forward: against fits of the same settings made one by one, and for any number of threads.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};

use orderguard_features::language::spec::FeatureKind;
use orderguard_features::matrix::Matrix;
use orderguard_trainer::boosting::{Extras, FitError, Round, fit};
use orderguard_trainer::params::{CheckedGbtParams, GbtParams};
use orderguard_trainer::samples::Samples;
use orderguard_trainer::search::{Dimension, Fold, Found, Limit, Rung, Trial, search};
use orderguard_trainer::validation::Measure;
use orderguard_trainer::weights::by_age;

const KINDS: [FeatureKind; 3] = [FeatureKind::Numeric; 3];
const N: usize = 3_000;

fn unit(i: usize, key: u64) -> f32 {
    let mut z = (i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(key << 40);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 40) as f32 / (1_u64 << 24) as f32
}

struct Data {
    matrix: Matrix,
    labels: Vec<u8>,
    rows: Vec<u32>,
    times: Vec<i64>,
    weights: Vec<f64>,
}

/// Frauds that depend on all features, and on the first one in another way as time goes on.
fn data() -> Data {
    let mut matrix = Matrix::missing(N, 3);
    let mut labels = Vec::new();
    for row in 0..N {
        let x: Vec<f32> = (0..3).map(|key| unit(row, key)).collect();
        for (feature, &x) in x.iter().enumerate() {
            matrix.column_mut(feature)[row] = x;
        }
        let first = if row < N / 2 { x[0] } else { 1.0 - x[0] };
        let odds = -4.0 + 3.0 * first + 2.0 * x[1] * x[2];
        labels.push(u8::from(unit(row, 9) < 1.0 / (1.0 + (-odds).exp())));
    }
    let times = (0..N as i64).map(|row| row * 3_600_000).collect();
    let weights = (0..N).map(|row| 1.0 + f64::from(unit(row, 8))).collect();
    Data { matrix, labels, rows: (0..N as u32).collect(), times, weights }
}

fn folds(data: &Data) -> Vec<Fold<'_>> {
    let part = |from: usize, to: usize| Samples {
        matrix: &data.matrix,
        rows: &data.rows[from..to],
        labels: &data.labels[from..to],
    };
    [1_400, 1_900, 2_400]
        .map(|cut| Fold {
            train: part(0, cut - 100),
            held: part(cut, cut + 500),
            extras: Extras {
                weights: Some(&data.weights[..cut - 100]),
                measure: Measure::RecallAtFpr(0.1),
                ..Default::default()
            },
            times: Some(&data.times[..cut - 100]),
        })
        .into()
}

fn base() -> CheckedGbtParams {
    let params = GbtParams { n_trees: 60, learning_rate: 0.1, max_leaves: 6, patience: 10, ..Default::default() };
    GbtParams { min_rows_per_leaf: 10, negative_rate: 0.8, ..params }.check().unwrap()
}

fn searched(data: &Data, dimensions: &[Dimension], n: usize) -> Found {
    let never = || false;
    search(&base(), dimensions, &KINDS, &folds(data), Limit::Trials(n), &never, &mut |_| {}).unwrap()
}

/// The best averaged measure of a fit of its own.
fn value_naive(trial: &Trial, fold: &Fold<'_>) -> (f64, usize) {
    let params = trial.setting.params.clone().check().unwrap();
    let mut weights = fold.extras.weights.unwrap().to_vec();
    if let Some(half_life) = trial.setting.half_life {
        let times = fold.times.unwrap();
        let faded = by_age(times, *times.last().unwrap(), half_life).unwrap();
        weights.iter_mut().zip(faded).for_each(|(weight, faded)| *weight *= faded);
    }
    let extras = Extras { weights: Some(&weights), ..fold.extras };
    let mut metrics = Vec::new();
    let mut note = |round: &Round<'_>| {
        metrics.push(round.metric.unwrap());
        ControlFlow::Continue(())
    };
    let found = fit(&params, &KINDS, &fold.train, &fold.held, &extras, &mut note).unwrap();
    let mean = |end: usize| {
        let window = &metrics[end.saturating_sub(params.metric_window)..end];
        window.iter().sum::<f64>() / window.len() as f64
    };
    ((1..=metrics.len()).map(mean).fold(f64::NEG_INFINITY, f64::max), found.best_round)
}

#[test]
fn values_are_those_of_fits_made_one_by_one() {
    let data = data();
    let folds = folds(&data);
    let found = searched(&data, &Dimension::ALL, 16);
    assert_eq!(found.trials.len(), 17);
    assert!(!found.is_stopped && !found.dimensions.contains(&Dimension::EasyRowLimit));
    assert!(found.trials.iter().any(|trial| trial.setting.half_life.is_some()));
    let mut n_compared = 0;
    for trial in &found.trials {
        for (fold, (value, rounds)) in folds.iter().zip(trial.values.iter().zip(&trial.rounds)) {
            let Some(value) = value else { continue };
            assert_eq!((*value, rounds.unwrap()), value_naive(trial, fold), "trial {}", trial.number);
            n_compared += 1;
        }
        if trial.rung == Rung::AllFolds {
            let of_first = found.trials[0].values.iter().flatten();
            let differences: Vec<f64> = trial.values.iter().flatten().zip(of_first).map(|(a, b)| a - b).collect();
            let mean = differences.iter().sum::<f64>() / 3.0;
            let variance = differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / 2.0;
            assert!((trial.difference - mean).abs() < 1e-12);
            assert!((trial.error.unwrap_or(0.0) - (variance / 3.0).sqrt()).abs() < 1e-12);
        }
    }
    assert!(n_compared >= 12, "{n_compared}");
    // Twelve and four begin together, a third of them goes on each time.
    let at_least = |rung: Rung| found.trials[1..].iter().filter(|trial| trial.rung >= rung).count();
    assert_eq!((at_least(Rung::FirstRounds), at_least(Rung::NewestFold), at_least(Rung::AllFolds)), (16, 6, 3));
    let chosen = &found.trials[found.chosen];
    assert!(found.chosen == 0 || chosen.rung == Rung::AllFolds && chosen.difference > chosen.error.unwrap());
}

#[test]
fn threads_change_nothing() {
    let data = data();
    let on = |n_threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        pool.install(|| searched(&data, &Dimension::ALL, 13))
    };
    let one = on(1);
    assert_eq!(on(2), one);
    assert_eq!(on(5), one);
}

#[test]
fn only_what_is_searched_varies_and_nothing_leaves_the_first_trial() {
    let data = data();
    let found = searched(&data, &[Dimension::L2], 5);
    assert_eq!(found.dimensions, [Dimension::L2]);
    for trial in &found.trials {
        assert_eq!(GbtParams { l2: 10.0, ..trial.setting.params.clone() }, *base());
        assert_eq!(trial.setting.half_life, None);
    }
    let l2: std::collections::BTreeSet<u64> = found.trials.iter().map(|t| t.setting.params.l2.to_bits()).collect();
    assert!(l2.len() > 3);
    assert_eq!(searched(&data, &[], 5).trials.len(), 1);
    assert_eq!(searched(&data, &[Dimension::EasyRowLimit], 5).trials.len(), 1);
}

#[test]
fn time_and_stop_end_a_search() {
    let data = data();
    let folds = folds(&data);
    let run = |limit: Limit<'_>, stop: &(dyn Fn() -> bool + Sync)| {
        search(&base(), &Dimension::ALL, &KINDS, &folds, limit, stop, &mut |_| {}).unwrap()
    };
    // A clock that goes on by a hundredth each time it is looked at.
    let ticks = AtomicUsize::new(0);
    let elapsed = || ticks.fetch_add(1, Ordering::Relaxed) as f64 / 100.0;
    let found = run(Limit::Seconds { budget: 20.0, elapsed: &elapsed }, &|| false);
    assert!(found.trials.len() > 3 && !found.is_stopped, "{}", found.trials.len());
    assert!(elapsed() < 40.0);
    // Time that is over at once still leaves the first trial.
    let found = run(Limit::Seconds { budget: 0.0, elapsed: &|| 1.0 }, &|| false);
    assert_eq!((found.trials.len(), found.chosen, found.trials[0].rung), (1, 0, Rung::AllFolds));
    // Stopped before anything, and in the middle.
    let found = run(Limit::Trials(20), &|| true);
    assert!(found.is_stopped && found.trials[0].rung == Rung::Nothing && found.chosen == 0);
    let asked = AtomicUsize::new(0);
    let found = run(Limit::Trials(500), &|| asked.fetch_add(1, Ordering::Relaxed) > 600);
    assert!(found.is_stopped && found.trials.len() > 1 && found.trials.len() < 500);
    assert_eq!(found.trials[0].rung, Rung::AllFolds);
}

#[test]
fn folds_that_cannot_be_are_refused() {
    let data = data();
    let mut folds = folds(&data);
    let mut report = |_: &Trial| {};
    let run = |folds: &[Fold<'_>], report: &mut dyn FnMut(&Trial)| {
        search(&base(), &Dimension::ALL, &KINDS, folds, Limit::Trials(3), &|| false, report).unwrap_err()
    };
    assert_eq!(run(&folds[..1], &mut report), FitError::OneFold);
    let honest = [0; 500];
    folds[1].held.labels = &honest;
    assert_eq!(run(&folds, &mut report), FitError::NoFraudInValidation { n_rows: 500, fold: Some(1) });
}
