//! Boosted trees from the outside: what they learn, that scores are the same bits everywhere, and what odd data give.

use std::ops::ControlFlow;

use orderguard_features::language::spec::FeatureKind;
use orderguard_features::matrix::Matrix;
use orderguard_inference::model::{Forest, Node};
use orderguard_trainer::boosting::{Extras, FitError, GbtFit, Round, fit, fit_folds, fit_rounds};
use orderguard_trainer::params::{CheckedGbtParams, GbtParams, Growth};
use orderguard_trainer::samples::Samples;
use orderguard_trainer::vector;

/// A small generator, so that data are the same everywhere.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn unit(&mut self) -> f32 {
        self.next() as f32 / (1_u64 << 31) as f32
    }
}

const KINDS: [FeatureKind; 7] = [
    FeatureKind::Numeric,
    FeatureKind::Numeric,
    FeatureKind::Categorical { n_levels: 300 },
    FeatureKind::Numeric,
    FeatureKind::Numeric,
    FeatureKind::Categorical { n_levels: 3 },
    FeatureKind::Numeric,
];

/// Features with missing and infinite values, categories, a constant and an empty column; labels that depend on several.
fn data(n_rows: usize, seed: u64) -> (Matrix, Vec<u8>) {
    let mut draw = Draw(seed);
    let mut matrix = Matrix::missing(n_rows, KINDS.len());
    let mut labels = Vec::new();
    for row in 0..n_rows {
        let a = match draw.next() % 12 {
            0 => f32::NAN,
            1 => f32::INFINITY,
            2 => f32::NEG_INFINITY,
            3 => -1.0,
            _ => draw.unit() * 10.0,
        };
        let b = (draw.next() % 5) as f32;
        let level = (draw.next() % 301) as f32;
        let small = if draw.next().is_multiple_of(9) { f32::NAN } else { (draw.next() % 4) as f32 };
        for (feature, x) in [(0, a), (1, b), (2, level), (3, 7.0), (5, small), (6, draw.unit())] {
            matrix.column_mut(feature)[row] = x;
        }
        let odds = 0.02
            + if a > 6.0 && b < 2.0 { 0.5 } else { 0.0 }
            + if a.is_nan() { 0.3 } else { 0.0 }
            + if level % 7.0 < 2.0 { 0.15 } else { 0.0 }
            + if small == 2.0 { 0.1 } else { 0.0 };
        labels.push(u8::from(draw.unit() < odds));
    }
    (matrix, labels)
}

fn quick() -> GbtParams {
    GbtParams {
        n_trees: 30,
        learning_rate: 0.2,
        max_leaves: 12,
        min_rows_per_leaf: 5,
        min_rows_per_level: 5,
        l2: 1.0,
        max_leaf_value: 4.0,
        leaf_smoothing: 0.0,
        ..Default::default()
    }
}

fn checked(params: GbtParams) -> CheckedGbtParams {
    params.check().unwrap()
}

fn go(_: &Round<'_>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn score_naive(forest: &Forest, matrix: &Matrix, row: usize) -> f64 {
    fn walk(forest: &Forest, tree: usize, node: usize, row: &[f32]) -> i64 {
        let tree_nodes = &forest.trees[tree];
        let (feature, missing_left, left, right, in_left): (u32, bool, u32, u32, &dyn Fn(f32) -> bool) =
            match &tree_nodes.nodes[node] {
                Node::Leaf { value } => return i64::from(*value),
                Node::Numeric { feature, threshold, missing_left, left, right } => {
                    (*feature, *missing_left, *left, *right, &|x| x <= *threshold)
                }
                Node::Categorical { feature, level_set, missing_left, left, right } => {
                    let set = tree_nodes.level_sets[*level_set as usize];
                    (*feature, *missing_left, *left, *right, &move |x| {
                        (0..256_usize).any(|code| code as f32 == x && set[code / 64] & (1 << (code % 64)) != 0)
                    })
                }
            };
        let x = row[feature as usize];
        let goes_left = if x.is_nan() { missing_left } else { in_left(x) };
        walk(forest, tree, if goes_left { left } else { right } as usize, row)
    }
    let mut values = vec![0.0; matrix.n_features()];
    matrix.copy_row(row, &mut values);
    let sum: i64 = (0..forest.trees.len()).map(|tree| walk(forest, tree, 0, &values)).sum();
    (forest.base + sum) as f64 / 2_f64.powi(i32::from(forest.scale_bits))
}

/// The first two thirds train, the rest validate.
fn fit_parts(params: &CheckedGbtParams, matrix: &Matrix, labels: &[u8]) -> GbtFit {
    let rows: Vec<u32> = (0..labels.len() as u32).collect();
    let cut = labels.len() * 2 / 3;
    let part = |from: usize, to: usize| Samples { matrix, rows: &rows[from..to], labels: &labels[from..to] };
    fit(params, &KINDS, &part(0, cut), &part(cut, labels.len()), &Extras::default(), &mut go).unwrap()
}

#[test]
fn training_scores_are_the_bits_of_a_naive_walk() {
    let (matrix, labels) = data(3000, 1);
    for params in [quick(), GbtParams { row_fraction: 0.6, feature_fraction: 0.7, max_bins: 16, ..quick() }] {
        let fitted = fit_parts(&checked(params), &matrix, &labels);
        assert!(fitted.best_round > 5);
        assert_eq!(fitted.best_round, fitted.forest.trees.len());
        for (i, score) in fitted.valid_scores.iter().enumerate() {
            assert_eq!(score.to_bits(), score_naive(&fitted.forest, &matrix, 2000 + i).to_bits(), "row {i}");
        }
        let quality = orderguard_evaluation::metrics::average_precision(&fitted.valid_scores, &labels[2000..]).unwrap();
        assert!((quality - fitted.history[fitted.best_round - 1].metric.unwrap()).abs() < 1e-12);
        assert!(quality > 0.4, "{quality}");
    }
}

#[test]
fn neither_threads_nor_vectors_change_a_bit() {
    let (matrix, labels) = data(40_000, 2);
    for params in [
        GbtParams { n_trees: 5, row_fraction: 0.9, ..quick() },
        GbtParams { n_trees: 3, easy_row_limit: 0.0, growth: Growth::LevelByLevel, ..quick() },
        GbtParams { n_trees: 2, max_leaves: 150, min_rows_per_leaf: 20, leaf_smoothing: 2.0, ..quick() },
    ] {
        let params = checked(params);
        let on = |n_threads, width| {
            vector::limit(width);
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
            pool.install(|| fit_parts(&params, &matrix, &labels))
        };
        let widths = vector::Width::available();
        let wanted = on(1, widths[0]);
        assert!(wanted.best_round > 1);
        for (n_threads, &width) in [1, 2, 4, 16, 64].iter().zip(widths.iter().rev().cycle()) {
            assert_eq!(wanted, on(*n_threads, width), "{n_threads} threads, {}", width.name());
        }
        for &width in &widths[1..] {
            assert_eq!(wanted, on(3, width), "{}", width.name());
        }
    }
}

#[test]
fn levels_are_filled_before_the_next() {
    let (matrix, labels) = data(4000, 6);
    let params = checked(GbtParams { growth: Growth::LevelByLevel, max_leaves: 12, ..quick() });
    let rows: Vec<u32> = (0..4000).collect();
    let samples = Samples { matrix: &matrix, rows: &rows, labels: &labels };
    let fitted = fit_rounds(&params, &KINDS, &samples, 3, &Extras::default(), &mut go).unwrap();
    for tree in &fitted.forest.trees {
        let mut depth = vec![0_usize; tree.nodes.len()];
        for (i, node) in tree.nodes.iter().enumerate() {
            if let Node::Numeric { left, right, .. } | Node::Categorical { left, right, .. } = *node {
                depth[left as usize] = depth[i] + 1;
                depth[right as usize] = depth[i] + 1;
            }
        }
        // Nodes are numbered as they are made.
        assert!(depth.windows(2).all(|pair| pair[0] <= pair[1]), "{depth:?}");
    }
}

#[test]
fn weights_count_like_copies_and_bad_ones_are_refused() {
    // Few values, so that both fits have the same bins.
    let (mut matrix, labels) = data(1500, 8);
    for feature in [0, 6] {
        matrix.column_mut(feature).iter_mut().for_each(|x| *x = (*x * 4.0).round() / 4.0);
    }
    matrix.column_mut(2).iter_mut().for_each(|level| *level %= 49.0);
    let rows: Vec<u32> = (0..1500).collect();
    let params = checked(GbtParams {
        easy_row_limit: 0.0,
        min_rows_per_leaf: 1,
        min_rows_per_level: 1,
        min_child_weight: 4.0,
        ..quick()
    });
    let copies: Vec<usize> = (0..1500).map(|row| [0, 1, 1, 2, 4][row % 5]).collect();
    let n_copies: usize = copies.iter().sum();
    let weights: Vec<f64> = copies.iter().map(|&n| n as f64).collect();
    let extras = Extras { weights: Some(&weights), ..Default::default() };
    let samples = Samples { matrix: &matrix, rows: &rows, labels: &labels };
    let fit_it = |extras: &Extras<'_>| fit_rounds(&params, &KINDS, &samples, 12, extras, &mut go);
    let weighted = fit_it(&extras).unwrap();
    let repeat = |row: u32| std::iter::repeat_n(row, copies[row as usize]);
    let repeated: Vec<u32> = rows.iter().flat_map(|&row| repeat(row)).collect();
    let repeated_labels: Vec<u8> = repeated.iter().map(|&row| labels[row as usize]).collect();
    // Weights have mean 1, so limits on hessians are those of so many rows.
    let scale = n_copies as f64 / 1500.0;
    let params_of_copies = checked(GbtParams {
        l2: params.l2 * scale,
        min_child_weight: params.min_child_weight * scale,
        category_smoothing: params.category_smoothing * scale,
        category_l2: params.category_l2 * scale,
        ..(*params).clone()
    });
    let copied = Samples { matrix: &matrix, rows: &repeated, labels: &repeated_labels };
    let copied = fit_rounds(&params_of_copies, &KINDS, &copied, 12, &Extras::default(), &mut go).unwrap();
    assert!((weighted.forest.base - copied.forest.base).abs() <= 2);
    // Statistics are rounded at random, and single splits may differ for it.
    let mean_difference = (0..1500)
        .map(|row| (score_naive(&weighted.forest, &matrix, row) - score_naive(&copied.forest, &matrix, row)).abs())
        .sum::<f64>()
        / 1500.0;
    assert!(mean_difference < 0.05, "{mean_difference}");

    // Only proportions matter.
    let larger: Vec<f64> = weights.iter().map(|weight| weight * 8.0).collect();
    assert_eq!(fit_it(&Extras { weights: Some(&larger), ..Default::default() }).unwrap(), weighted);

    for bad in [-1.0, f64::NAN, f64::INFINITY] {
        let mut weights = weights.clone();
        weights[77] = bad;
        let error = fit_it(&Extras { weights: Some(&weights), ..Default::default() }).unwrap_err();
        assert!(matches!(error, FitError::BadWeight { sample: 77, .. }), "{error}");
    }
    let of_frauds: Vec<f64> = labels.iter().map(|&label| f64::from(label)).collect();
    for useless in [vec![0.0; 1500], of_frauds] {
        let error = fit_it(&Extras { weights: Some(&useless), ..Default::default() }).unwrap_err();
        assert_eq!(error, FitError::NoWeight);
    }
}

#[test]
fn where_rows_stand_in_the_matrix_changes_no_bit() {
    let (matrix, labels) = data(2000, 3);
    let params = checked(quick());
    let order: Vec<u32> = (0..2000).map(|i| (i * 777) % 2000).collect();
    let shuffled = matrix.select_rows(&order);
    let mut place = vec![0; 2000];
    order.iter().enumerate().for_each(|(at, &row)| place[row as usize] = at as u32);
    let rows: Vec<u32> = (0..2000).collect();
    let a = fit_rounds(
        &params,
        &KINDS,
        &Samples { matrix: &matrix, rows: &rows, labels: &labels },
        10,
        &Extras::default(),
        &mut go,
    );
    let b = fit_rounds(
        &params,
        &KINDS,
        &Samples { matrix: &shuffled, rows: &place, labels: &labels },
        10,
        &Extras::default(),
        &mut go,
    );
    assert_eq!(a, b);
}

#[test]
fn trees_keep_their_limits() {
    let (matrix, labels) = data(3000, 4);
    let rows: Vec<u32> = (0..3000).collect();
    let params =
        checked(GbtParams { max_depth: 3, max_leaves: 6, min_rows_per_leaf: 40, max_leaf_value: 0.5, ..quick() });
    let fitted = fit_rounds(
        &params,
        &KINDS,
        &Samples { matrix: &matrix, rows: &rows, labels: &labels },
        8,
        &Extras::default(),
        &mut go,
    )
    .unwrap();
    assert_eq!(fitted.forest.trees.len(), 8);
    let (mut leaves, mut categorical) = (0, 0);
    for tree in &fitted.forest.trees {
        let mut depth = vec![0; tree.nodes.len()];
        let mut n_rows = vec![0; tree.nodes.len()];
        let mut parents = vec![0; tree.nodes.len()];
        for (i, node) in tree.nodes.iter().enumerate() {
            let children = match *node {
                Node::Leaf { value } => {
                    assert!(f64::from(value).abs() <= 0.5 * 0.2 * 2_f64.powi(26) + 0.5);
                    leaves += 1;
                    continue;
                }
                Node::Numeric { feature, threshold, left, right, .. } => {
                    assert!(
                        threshold.is_finite() && feature != 3 && feature != 4,
                        "constant and empty columns are unused"
                    );
                    [left, right]
                }
                Node::Categorical { level_set, left, right, .. } => {
                    assert_ne!(tree.level_sets[level_set as usize], [0; 4]);
                    categorical += 1;
                    [left, right]
                }
            };
            for child in children {
                assert!(child as usize > i);
                depth[child as usize] = depth[i] + 1;
                parents[child as usize] += 1;
            }
        }
        assert!(depth.iter().all(|&depth| depth <= 3) && tree.nodes.len() <= 11);
        assert!(parents[0] == 0 && parents[1..].iter().all(|&n| n == 1));
        // Rows of each leaf, by the path that each row takes.
        for row in 0..3000 {
            let one = Forest { trees: vec![tree.clone()], base: 0, ..fitted.forest.clone() };
            let value = (score_naive(&one, &matrix, row) * 2_f64.powi(26)) as i32;
            let leaf = tree.nodes.iter().position(|node| *node == Node::Leaf { value }).unwrap();
            n_rows[leaf] += 1;
        }
        for (node, n_rows) in tree.nodes.iter().zip(n_rows) {
            assert!(!matches!(node, Node::Leaf { .. }) || n_rows >= 40 || n_rows == 0, "{n_rows}");
        }
    }
    assert!(leaves > 20 && categorical > 0);
    assert!(fitted.importance[0] > 0.0 && fitted.importance[2] > 0.0);
    assert_eq!((fitted.importance[3], fitted.importance[4]), (0.0, 0.0));
}

#[test]
fn fewer_rounds_are_a_prefix_and_stopping_keeps_the_best() {
    let (matrix, labels) = data(3000, 5);
    let rows: Vec<u32> = (0..3000).collect();
    let samples =
        |from: usize, to: usize| Samples { matrix: &matrix, rows: &rows[from..to], labels: &labels[from..to] };
    let params = checked(GbtParams { n_trees: 200, patience: 8, ..quick() });
    let fitted = fit(&params, &KINDS, &samples(0, 2000), &samples(2000, 3000), &Extras::default(), &mut go).unwrap();
    assert_eq!(fitted.history.len(), fitted.best_round + 8, "patience ends the fit");
    let refit = fit_rounds(&params, &KINDS, &samples(0, 2000), fitted.best_round, &Extras::default(), &mut go).unwrap();
    assert_eq!(refit.forest, fitted.forest);
    assert_eq!(refit.importance, fitted.importance);
    // The best mean over the window, the earlier one among equals.
    let mean = |round: usize| {
        let window = &fitted.history[round.saturating_sub(5)..round];
        window.iter().map(|r| r.metric.unwrap()).sum::<f64>() / window.len() as f64
    };
    for round in 1..=fitted.history.len() {
        let (this, best) = (mean(round), mean(fitted.best_round));
        assert!(if round < fitted.best_round { this < best } else { this <= best }, "{round}");
    }
    let mut calls = 0;
    let stopped = fit(&params, &KINDS, &samples(0, 2000), &samples(2000, 3000), &Extras::default(), &mut |report| {
        calls += 1;
        assert_eq!((report.round, report.n_rounds), (calls, 200));
        if calls == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .unwrap();
    assert_eq!(stopped.history.len(), 3);
    assert!((1..=3).contains(&stopped.best_round));
}

#[test]
fn folds_score_each_row_by_a_model_that_did_not_see_it() {
    // Whole numbers only, so that bins chosen from all rows are those chosen from the other folds.
    let mut draw = Draw(9);
    let n_rows = 1500;
    let values: Vec<f32> = (0..n_rows * 3).map(|_| (draw.next() % 6) as f32).collect();
    let matrix = Matrix::from_columns(n_rows, 3, values);
    let labels: Vec<u8> = (0..n_rows)
        .map(|row| {
            u8::from(draw.unit() < if matrix.column(0)[row] * matrix.column(1)[row] > 11.0 { 0.6 } else { 0.05 })
        })
        .collect();
    let rows: Vec<u32> = (0..n_rows as u32).collect();
    let fold: Vec<u8> = (0..n_rows).map(|_| [3, 7, 200][draw.next() as usize % 3]).collect();
    let kinds = [FeatureKind::Numeric; 3];
    let params = checked(GbtParams { patience: 5, ..quick() });
    let samples = Samples { matrix: &matrix, rows: &rows, labels: &labels };
    let folds = fit_folds(&params, &kinds, &samples, &fold, &Extras::default(), &mut go).unwrap();
    assert!(folds.best_round >= 1);
    let mut metrics = Vec::new();
    for out in [3, 7, 200] {
        let (held, seen): (Vec<u32>, Vec<u32>) = rows.iter().partition(|&&row| fold[row as usize] == out);
        let seen_labels: Vec<u8> = seen.iter().map(|&row| labels[row as usize]).collect();
        // Draws depend on the sample, wherever it stands.
        let extras = Extras { keys: Some(&seen), ..Default::default() };
        let seen = Samples { matrix: &matrix, rows: &seen, labels: &seen_labels };
        let fitted = fit_rounds(&params, &kinds, &seen, folds.best_round, &extras, &mut go).unwrap();
        let (mut scores, mut held_labels) = (Vec::new(), Vec::new());
        for &row in &held {
            let score = score_naive(&fitted.forest, &matrix, row as usize);
            assert_eq!(score.to_bits(), folds.out_of_fold_scores[row as usize].to_bits());
            scores.push(score);
            held_labels.push(labels[row as usize]);
        }
        metrics.push(orderguard_evaluation::metrics::average_precision(&scores, &held_labels).unwrap());
    }
    let mean = metrics.iter().sum::<f64>() / 3.0;
    assert!((mean - folds.history[folds.best_round - 1].metric.unwrap()).abs() < 1e-12);
}

#[test]
fn learns_an_interaction_and_the_side_of_missing_values() {
    let n = 2000;
    let mut draw = Draw(11);
    let mut matrix = Matrix::missing(n, 2);
    let mut labels = Vec::new();
    for row in 0..n {
        let (a, b) = (draw.unit(), draw.unit());
        let missing = draw.next().is_multiple_of(5);
        matrix.column_mut(0)[row] = if missing { f32::NAN } else { a };
        matrix.column_mut(1)[row] = b;
        labels.push(u8::from(missing || (a > 0.5) != (b > 0.6)));
    }
    let rows: Vec<u32> = (0..n as u32).collect();
    let params = checked(GbtParams { min_rows_per_leaf: 5, learning_rate: 0.3, ..quick() });
    let kinds = [FeatureKind::Numeric; 2];
    let samples = Samples { matrix: &matrix, rows: &rows, labels: &labels };
    let fitted = fit_rounds(&params, &kinds, &samples, 30, &Extras::default(), &mut go).unwrap();
    let wrong = (0..n).filter(|&row| (score_naive(&fitted.forest, &matrix, row) > 0.0) != (labels[row] == 1)).count();
    assert!(wrong < n / 50, "{wrong}");
}

#[test]
fn odd_data_give_a_defined_result_or_a_typed_error() {
    let params = checked(quick());
    let kinds = [FeatureKind::Numeric];
    let matrix = Matrix::from_columns(4, 1, vec![1.0, 2.0, f32::NAN, f32::INFINITY]);
    let rows = [0, 1, 2, 3];
    let samples = |labels: &'static [u8]| Samples { matrix: &matrix, rows: &rows[..labels.len()], labels };
    let rounds = |labels| fit_rounds(&params, &kinds, &samples(labels), 5, &Extras::default(), &mut go);

    assert_eq!(rounds(&[]), Err(FitError::NoRows));
    assert_eq!(rounds(&[0, 0, 0]), Err(FitError::OneClass { n_rows: 3, n_fraud: 0, fold: None }));
    assert_eq!(rounds(&[1]), Err(FitError::OneClass { n_rows: 1, n_fraud: 1, fold: None }));
    // Too few rows for two leaves: the base rate alone.
    let base = rounds(&[0, 1]).unwrap();
    assert_eq!((base.forest.base, base.forest.trees.len(), base.best_round), (0, 0, 0));
    let no_fraud = fit(&params, &kinds, &samples(&[0, 1]), &samples(&[0, 0]), &Extras::default(), &mut go);
    assert_eq!(no_fraud, Err(FitError::NoFraudInValidation { n_rows: 2, fold: None }));
    let useless = fit(&params, &kinds, &samples(&[0, 1]), &samples(&[0, 1]), &Extras::default(), &mut go).unwrap();
    assert_eq!((useless.best_round, useless.valid_scores), (0, vec![0.0, 0.0]));

    let folds = |labels, fold: &[u8]| {
        fit_folds(&params, &kinds, &samples(labels), fold, &Extras::default(), &mut go).unwrap_err()
    };
    assert_eq!(folds(&[0, 1], &[4, 4]), FitError::OneFold);
    assert_eq!(folds(&[0, 1, 1], &[1, 2, 2]), FitError::OneClass { n_rows: 2, n_fraud: 2, fold: Some(1) });
    assert_eq!(
        folds(&[0, 0, 1, 1], &[1, 2, 2, 2]).to_string(),
        "each fold needs frauds: found none in the 1 rows of fold 1"
    );

    // No feature at all, and features without information.
    let empty = Matrix::missing(2, 0);
    let none = Samples { matrix: &empty, rows: &[0, 1], labels: &[0, 1] };
    assert_eq!(fit_rounds(&params, &[], &none, 5, &Extras::default(), &mut go).unwrap().forest.trees.len(), 0);
    let blank = Matrix::missing(2, 3);
    let none = Samples { matrix: &blank, rows: &[0, 1], labels: &[0, 1] };
    let kinds = [FeatureKind::Numeric, FeatureKind::Categorical { n_levels: 0 }, FeatureKind::Numeric];
    assert_eq!(fit_rounds(&params, &kinds, &none, 5, &Extras::default(), &mut go).unwrap().importance, vec![0.0; 3]);
}

#[test]
fn one_fraud_among_many_does_not_explode() {
    let n = 3000;
    let mut draw = Draw(13);
    let matrix = Matrix::from_columns(n, 4, (0..4 * n).map(|_| draw.unit()).collect());
    let mut labels = vec![0; n];
    labels[1234] = 1;
    let rows: Vec<u32> = (0..n as u32).collect();
    let kinds = [FeatureKind::Numeric; 4];
    let params = checked(GbtParams::default());
    let samples = Samples { matrix: &matrix, rows: &rows, labels: &labels };
    let fitted = fit_rounds(&params, &kinds, &samples, 50, &Extras::default(), &mut go).unwrap();
    for row in 0..n {
        assert!(score_naive(&fitted.forest, &matrix, row).abs() < 12.0);
    }
}
