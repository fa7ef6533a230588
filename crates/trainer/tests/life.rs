//! What a fit goes on from, what it is stopped and resumed at, and what sampling and weights leave of its probabilities.

use std::ops::ControlFlow;

use orderguard_features::language::spec::FeatureKind;
use orderguard_features::matrix::Matrix;
use orderguard_inference::model::{Forest, Node};
use orderguard_inference::tree::raw_score_naive;
use orderguard_trainer::boosting::{Extras, FitError, GbtFit, Round, StartError, fit, fit_folds, fit_rounds};
use orderguard_trainer::ensemble::average;
use orderguard_trainer::leaves::refit_leaves;
use orderguard_trainer::params::{CheckedGbtParams, GbtParams};
use orderguard_trainer::samples::Samples;
use orderguard_trainer::snapshot::Snapshot;

const KINDS: [FeatureKind; 3] = [FeatureKind::Numeric, FeatureKind::Numeric, FeatureKind::Categorical { n_levels: 20 }];

fn hash(seed: u64, i: usize, key: u64) -> u64 {
    let mut z = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add((i as u64) << 8 | key);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn unit(seed: u64, i: usize, key: u64) -> f32 {
    (hash(seed, i, key) >> 40) as f32 / (1_u64 << 24) as f32
}

/// Rare frauds, whose log-odds depend on all features and lie around `level`.
fn data(n_rows: usize, seed: u64, level: f32) -> (Matrix, Vec<u8>) {
    let mut matrix = Matrix::missing(n_rows, 3);
    let mut labels = Vec::new();
    for row in 0..n_rows {
        let a = if hash(seed, row, 1).is_multiple_of(15) { f32::NAN } else { unit(seed, row, 2) * 4.0 };
        let (b, c) = (unit(seed, row, 3), (hash(seed, row, 4) % 21) as f32);
        for (feature, x) in [a, b, c].into_iter().enumerate() {
            matrix.column_mut(feature)[row] = x;
        }
        let odds = level + if a.is_nan() { 1.0 } else { a - 2.0 } + 2.0 * b + if c % 5.0 < 2.0 { 1.0 } else { 0.0 };
        labels.push(u8::from(unit(seed, row, 5) < 1.0 / (1.0 + (-odds).exp())));
    }
    (matrix, labels)
}

fn quick() -> GbtParams {
    GbtParams {
        n_trees: 40,
        learning_rate: 0.15,
        max_leaves: 8,
        min_rows_per_leaf: 20,
        patience: 12,
        ..Default::default()
    }
}

fn checked(params: GbtParams) -> CheckedGbtParams {
    params.check().unwrap()
}

fn go(_: &Round<'_>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn scores(forest: &Forest, matrix: &Matrix) -> Vec<f64> {
    let mut row = vec![0.0; matrix.n_features()];
    let score = |at: usize| {
        matrix.copy_row(at, &mut row);
        raw_score_naive(forest, &row)
    };
    (0..matrix.n_rows()).map(score).collect()
}

fn mean_probability(scores: &[f64]) -> f64 {
    scores.iter().map(|score| 1.0 / (1.0 + (-score).exp())).sum::<f64>() / scores.len() as f64
}

fn log_loss(scores: &[f64], labels: &[u8]) -> f64 {
    let loss = |(score, label): (&f64, &u8)| {
        let z = if *label == 1 { -*score } else { *score };
        z.max(0.0) + (-z.abs()).exp().ln_1p()
    };
    scores.iter().zip(labels).map(loss).sum::<f64>() / labels.len() as f64
}

/// The first two thirds train, the rest validate.
fn fit_parts(
    params: &CheckedGbtParams,
    matrix: &Matrix,
    labels: &[u8],
    extras: &Extras<'_>,
) -> Result<GbtFit, FitError> {
    let rows: Vec<u32> = (0..labels.len() as u32).collect();
    let cut = labels.len() * 2 / 3;
    let part = |from: usize, to: usize| Samples { matrix, rows: &rows[from..to], labels: &labels[from..to] };
    fit(params, &KINDS, &part(0, cut), &part(cut, labels.len()), extras, &mut go)
}

#[test]
fn scores_stay_those_of_the_real_mix() {
    let (matrix, labels) = data(30_000, 3, -5.0);
    let (later, later_labels) = data(30_000, 4, -5.0);
    let rate = later_labels.iter().map(|&label| f64::from(label)).sum::<f64>() / later_labels.len() as f64;
    assert!(rate > 0.01 && rate < 0.1, "{rate}");
    // Four standard deviations of the number of frauds in either part.
    let within = 4.0 * (2.0 * rate / later_labels.len() as f64).sqrt();
    let mut losses = Vec::new();
    for params in [
        quick(),
        GbtParams { negative_rate: 0.1, ..quick() },
        GbtParams { fraud_weight: 15.0, ..quick() },
        GbtParams { negative_rate: 0.2, fraud_weight: 3.0, row_fraction: 0.7, ..quick() },
    ] {
        let fitted = fit_parts(&checked(params.clone()), &matrix, &labels, &Extras::default()).unwrap();
        let found = scores(&fitted.forest, &later);
        let mean = mean_probability(&found);
        assert!((mean - rate).abs() < within, "{mean} instead of {rate} (within {within}), {params:?}");
        losses.push(log_loss(&found, &later_labels));
        for (score, want) in scores(&fitted.forest, &matrix)[20_000..].iter().zip(&fitted.valid_scores) {
            assert_eq!(score.to_bits(), want.to_bits());
        }
        let rows: Vec<u32> = (0..30_000).collect();
        let samples = Samples { matrix: &matrix, rows: &rows, labels: &labels };
        let fold: Vec<u8> = (0..30_000).map(|row| (hash(9, row, 9) % 3) as u8).collect();
        let folds = fit_folds(&checked(params.clone()), &KINDS, &samples, &fold, &Extras::default(), &mut go).unwrap();
        let mean = mean_probability(&folds.out_of_fold_scores);
        assert!((mean - rate).abs() < within, "{mean} in folds instead of {rate}");
    }
    // Nor is much of what they know lost.
    assert!(losses.iter().all(|loss| *loss < losses[0] * 1.02), "{losses:?}");
}

#[test]
fn draws_follow_keys() {
    let (matrix, labels) = data(6_000, 5, -4.0);
    let params = checked(GbtParams { negative_rate: 0.3, row_fraction: 0.6, ..quick() });
    let keys: Vec<u32> = (0..6_000).map(|row| hash(1, row, 7) as u32).collect();
    let order: Vec<u32> = (0..6_000_u32).map(|i| i * 1_777 % 6_000).collect();
    let fit_in = |rows: &[u32]| {
        let labels: Vec<u8> = rows.iter().map(|&row| labels[row as usize]).collect();
        let keys: Vec<u32> = rows.iter().map(|&row| keys[row as usize]).collect();
        let samples = Samples { matrix: &matrix, rows, labels: &labels };
        let extras = Extras { keys: Some(&keys), ..Default::default() };
        fit_rounds(&params, &KINDS, &samples, 10, &extras, &mut go).unwrap()
    };
    let plain: Vec<u32> = (0..6_000).collect();
    assert_eq!(fit_in(&plain), fit_in(&order));
}

#[test]
fn a_model_can_be_gone_on_from() {
    let (matrix, labels) = data(9_000, 6, -3.0);
    let params = checked(quick());
    let first = fit_parts(&checked(GbtParams { n_trees: 5, ..quick() }), &matrix, &labels, &Extras::default()).unwrap();
    for negative_rate in [1.0, 0.3] {
        let params = checked(GbtParams { negative_rate, ..(*params).clone() });
        let extras = Extras { start: Some(&first.forest), ..Default::default() };
        let second = fit_parts(&params, &matrix, &labels, &extras).unwrap();
        assert_eq!(second.forest.base, first.forest.base);
        assert_eq!(second.forest.trees[..first.best_round], first.forest.trees);
        assert_eq!(second.forest.trees.len(), first.best_round + second.best_round);
        for (score, want) in scores(&second.forest, &matrix)[6_000..].iter().zip(&second.valid_scores) {
            assert_eq!(score.to_bits(), want.to_bits());
        }
        assert!(log_loss(&second.valid_scores, &labels[6_000..]) < log_loss(&first.valid_scores, &labels[6_000..]));
    }
    // Nothing to add: the model is as it was.
    let still = checked(GbtParams { min_rows_per_leaf: 5_000, easy_row_limit: 0.0, ..quick() });
    let extras = Extras { start: Some(&first.forest), ..Default::default() };
    assert_eq!(fit_parts(&still, &matrix, &labels, &extras).unwrap().forest, first.forest);

    let narrow = Forest { n_features: 2, trees: Vec::new(), ..first.forest };
    let coarse = Forest { scale_bits: 3, ..first.forest.clone() };
    let mut broken = first.forest.clone();
    broken.trees[0].nodes.pop();
    for (forest, says) in [
        (&narrow, "expected 3 features, found 2"),
        (&coarse, "expected scores in units of 2^-26, found 2^-3"),
        (&broken, "tree 0"),
    ] {
        let error = fit_parts(&params, &matrix, &labels, &Extras { start: Some(forest), ..Default::default() });
        assert!(error.as_ref().is_err_and(|error| error.to_string().contains(says)), "{error:?}");
    }
}

/// The snapshots after each round of a fit, and what it came to.
fn watched<T>(run: impl FnOnce(&mut dyn FnMut(&Round<'_>) -> ControlFlow<()>) -> T) -> (Vec<Snapshot>, T) {
    let mut snapshots = Vec::new();
    let result = run(&mut |round: &Round<'_>| {
        snapshots.push(round.snapshot());
        ControlFlow::Continue(())
    });
    (snapshots, result)
}

#[test]
fn a_resumed_fit_is_one_that_was_never_stopped() {
    let (matrix, labels) = data(3_000, 8, -2.0);
    let rows: Vec<u32> = (0..3_000).collect();
    let part = |from: usize, to: usize| Samples { matrix: &matrix, rows: &rows[from..to], labels: &labels[from..to] };
    let (train, valid, all) = (part(0, 2_000), part(2_000, 3_000), part(0, 3_000));
    let fold: Vec<u8> = (0..3_000).map(|row| (hash(2, row, 9) % 3) as u8).collect();
    for params in [
        quick(),
        GbtParams { negative_rate: 0.5, row_fraction: 0.5, feature_fraction: 0.7, learning_rate_decay: 0.9, ..quick() },
    ] {
        let params = checked(params);
        let with = |snapshot| Extras { resume: Some(snapshot), ..Default::default() };
        let none = Extras::default();
        let (snapshots, whole) = watched(|progress| fit(&params, &KINDS, &train, &valid, &none, progress).unwrap());
        assert!(whole.best_round < snapshots.len() && snapshots.len() == whole.history.len());
        for snapshot in &snapshots {
            assert_eq!(fit(&params, &KINDS, &train, &valid, &with(snapshot), &mut go).unwrap(), whole);
        }
        let (snapshots, whole) = watched(|progress| fit_rounds(&params, &KINDS, &all, 9, &none, progress).unwrap());
        for snapshot in &snapshots {
            assert_eq!(fit_rounds(&params, &KINDS, &all, 9, &with(snapshot), &mut go).unwrap(), whole);
        }
        let (snapshots, whole) = watched(|progress| fit_folds(&params, &KINDS, &all, &fold, &none, progress).unwrap());
        for snapshot in snapshots.iter().step_by(5) {
            assert_eq!(fit_folds(&params, &KINDS, &all, &fold, &with(snapshot), &mut go).unwrap(), whole);
        }
        let of_folds = fit(&params, &KINDS, &train, &valid, &with(&snapshots[3]), &mut go);
        assert_eq!(of_folds, Err(FitError::BadStart(StartError::OtherFit)));
    }
}

#[test]
fn leaves_follow_newer_orders() {
    let (matrix, labels) = data(12_000, 10, -4.0);
    let params = checked(quick());
    let old = fit_parts(&params, &matrix, &labels, &Extras::default()).unwrap().forest;
    // Three times as many frauds.
    let (newer, newer_labels) = data(12_000, 11, -2.8);
    let (test, test_labels) = data(12_000, 12, -2.8);
    let rows: Vec<u32> = (0..12_000).collect();
    let samples = Samples { matrix: &newer, rows: &rows, labels: &newer_labels };
    let refit = |n_threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        pool.install(|| refit_leaves(&params, &old, &samples, &Extras::default()).unwrap())
    };
    let new = refit(1);
    assert_eq!(new, refit(3));
    let shape = |forest: &Forest| {
        let mut forest = forest.clone();
        for node in forest.trees.iter_mut().flat_map(|tree| &mut tree.nodes) {
            if let Node::Leaf { value } = node {
                *value = 0;
            }
        }
        forest
    };
    assert_eq!(shape(&new), shape(&old));
    let (before, after) = (scores(&old, &test), scores(&new, &test));
    assert!(log_loss(&after, &test_labels) < log_loss(&before, &test_labels) - 0.01);
    let rate = test_labels.iter().map(|&label| f64::from(label)).sum::<f64>() / 12_000.0;
    assert!((mean_probability(&after) - rate).abs() < 0.1 * rate, "{} {rate}", mean_probability(&after));

    // What no order reaches stays as it was.
    let one = Samples { matrix: &newer, rows: &rows[..1], labels: &newer_labels[..1] };
    let touched = refit_leaves(&params, &old, &one, &Extras::default()).unwrap();
    for (a, b) in touched.trees.iter().zip(&old.trees) {
        let changed = a.nodes.iter().zip(&b.nodes).filter(|(a, b)| a != b).count();
        assert!(changed <= 1, "{changed} leaves of one row");
    }
    // Weights count, and all of them the same count as none.
    let with = |weights: &[f64]| {
        refit_leaves(&params, &old, &samples, &Extras { weights: Some(weights), ..Default::default() })
    };
    assert_eq!(with(&vec![4.0; 12_000]).unwrap(), new);
    let by_label: Vec<f64> = newer_labels.iter().map(|&label| 1.0 + f64::from(label)).collect();
    assert!(mean_probability(&scores(&with(&by_label).unwrap(), &test)) > mean_probability(&after));
    assert!(matches!(with(&vec![-1.0; 12_000]), Err(FitError::BadWeight { sample: 0, .. })));
    let nobody = Samples { matrix: &newer, rows: &[], labels: &[] };
    assert_eq!(refit_leaves(&params, &old, &nobody, &Extras::default()), Err(FitError::NoRows));
}

#[test]
fn the_average_of_models_has_the_mean_of_their_scores() {
    let (matrix, labels) = data(4_000, 14, -3.0);
    let of_seed = |seed| {
        let params = checked(GbtParams { seed, row_fraction: 0.5, ..quick() });
        fit_parts(&params, &matrix, &labels, &Extras::default()).unwrap().forest
    };
    let forests = [of_seed(1), of_seed(2), of_seed(3)];
    assert_ne!(forests[0], forests[1]);
    let all: Vec<Vec<f64>> = forests.iter().map(|forest| scores(forest, &matrix)).collect();
    let mean = average(&forests);
    let unit = 2_f64.powi(-26);
    for (row, score) in scores(&mean, &matrix).into_iter().enumerate() {
        let want = all.iter().map(|scores| scores[row]).sum::<f64>() / 3.0;
        assert!((score - want).abs() <= unit * (mean.trees.len() + 1) as f64, "row {row}: {score} {want}");
    }
    assert_eq!(average(&forests[..1]), forests[0]);
}
