//! Data that nobody would choose: each gives a defined result or a typed error.

use std::ops::ControlFlow;

use orderguard_features::language::spec::FeatureKind;
use orderguard_features::matrix::Matrix;
use orderguard_inference::model::{Forest, Node};
use orderguard_inference::tree::raw_score_naive;
use orderguard_trainer::boosting::{Extras, FitError, Round, fit, fit_rounds};
use orderguard_trainer::params::{CheckedGbtParams, Direction, GbtParams};
use orderguard_trainer::samples::Samples;

const N: usize = 2_000;

fn go(_: &Round<'_>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn unit(i: usize, key: u64) -> f32 {
    let mut z = (i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(key.wrapping_mul(0xBF58_476D_1CE4_E5B9));
    z = (z ^ (z >> 31)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 29)) >> 40) as f32 / (1_u64 << 24) as f32
}

/// One useful feature and the label that it tells of.
fn useful() -> (Vec<f32>, Vec<u8>) {
    let values: Vec<f32> = (0..N).map(|i| unit(i, 1)).collect();
    let labels = (0..N).map(|i| u8::from(unit(i, 2) < 0.02 + if values[i] > 0.8 { 0.5 } else { 0.0 })).collect();
    (values, labels)
}

fn params() -> CheckedGbtParams {
    let params =
        GbtParams { n_trees: 20, learning_rate: 0.2, max_leaves: 6, min_rows_per_leaf: 20, ..Default::default() };
    params.check().unwrap()
}

/// A fit on these columns.
fn fitted(columns: &[(FeatureKind, Vec<f32>)], labels: &[u8]) -> (Forest, Matrix) {
    let kinds: Vec<FeatureKind> = columns.iter().map(|column| column.0).collect();
    let values = columns.iter().flat_map(|column| column.1.iter().copied()).collect();
    let matrix = Matrix::from_columns(labels.len(), columns.len(), values);
    let rows: Vec<u32> = (0..labels.len() as u32).collect();
    let samples = Samples { matrix: &matrix, rows: &rows, labels };
    let fit = fit_rounds(&params(), &kinds, &samples, 20, &Extras::default(), &mut go).unwrap();
    (fit.forest, matrix)
}

fn used(forest: &Forest) -> Vec<u32> {
    let mut features: Vec<u32> = forest
        .trees
        .iter()
        .flat_map(|tree| &tree.nodes)
        .filter_map(|node| match node {
            Node::Numeric { feature, .. } | Node::Categorical { feature, .. } => Some(*feature),
            Node::Leaf { .. } => None,
        })
        .collect();
    features.sort_unstable();
    features.dedup();
    features
}

fn scores(forest: &Forest, matrix: &Matrix) -> Vec<f64> {
    let mut row = vec![0.0; matrix.n_features()];
    let score = |at: usize| {
        matrix.copy_row(at, &mut row);
        raw_score_naive(forest, &row)
    };
    (0..matrix.n_rows()).map(score).collect()
}

#[test]
fn constant_missing_and_repeated_columns_change_nothing() {
    let (values, labels) = useful();
    let plain = (FeatureKind::Numeric, values);
    let (alone, matrix) = fitted(std::slice::from_ref(&plain), &labels);
    let expected = scores(&alone, &matrix);
    for (what, extra) in [
        ("constant", (FeatureKind::Numeric, vec![7.0; N])),
        ("always infinite", (FeatureKind::Numeric, vec![f32::INFINITY; N])),
        ("always missing", (FeatureKind::Numeric, vec![f32::NAN; N])),
        ("one level", (FeatureKind::Categorical { n_levels: 3 }, vec![2.0; N])),
        ("missing category", (FeatureKind::Categorical { n_levels: 0 }, vec![f32::NAN; N])),
        ("repeated", plain.clone()),
    ] {
        let (forest, matrix) = fitted(&[plain.clone(), extra], &labels);
        // Of equal gains the first feature wins.
        assert_eq!(used(&forest), [0], "{what}");
        assert_eq!(scores(&forest, &matrix), expected, "{what}");
    }
}

#[test]
fn infinities_are_values_of_their_own() {
    let values: Vec<f32> =
        (0..N).map(|i| [f32::NEG_INFINITY, 1.0, 2.0, f32::INFINITY][(unit(i, 3) * 4.0) as usize]).collect();
    let labels: Vec<u8> = (0..N).map(|i| u8::from(values[i] == f32::INFINITY && unit(i, 4) < 0.7)).collect();
    let (forest, _) = fitted(&[(FeatureKind::Numeric, values)], &labels);
    let score = |x: f32| raw_score_naive(&forest, &[x]);
    assert!(score(f32::INFINITY) > score(f32::MAX) + 1.0 && score(f32::INFINITY) > score(f32::NEG_INFINITY) + 1.0);
    assert!([f32::NAN, f32::MIN, f32::MAX, 0.0].into_iter().all(|x| score(x).is_finite()));
}

#[test]
fn more_categories_than_rows() {
    let labels: Vec<u8> = (0..300).map(|i| u8::from(i % 10 == 0)).collect();
    // Each row has a level of its own, far beyond what a model keeps.
    let levels: Vec<f32> = (0..300_u16).map(f32::from).collect();
    let (forest, _) = fitted(&[(FeatureKind::Categorical { n_levels: 100_000 }, levels)], &labels);
    assert!(forest.trees.iter().all(|tree| tree.nodes.len() == 1), "levels of one row teach nothing");
    for level in [0.0, 299.0, 99_999.0, f32::NAN, -3.0] {
        assert!(raw_score_naive(&forest, &[level]).is_finite());
    }
}

#[test]
fn one_fraud() {
    let (values, _) = useful();
    let matrix = Matrix::from_columns(N, 1, values);
    let rows: Vec<u32> = (0..N as u32).collect();
    let mut labels = vec![0; N];
    labels[10] = 1;
    labels[1_500] = 1;
    let part = |from: usize, to: usize| Samples { matrix: &matrix, rows: &rows[from..to], labels: &labels[from..to] };
    let kinds = [FeatureKind::Numeric];
    let fit_on = |train: (usize, usize), valid: (usize, usize)| {
        fit(&params(), &kinds, &part(train.0, train.1), &part(valid.0, valid.1), &Extras::default(), &mut go)
    };
    let fitted = fit_on((0, 1_000), (1_000, N)).unwrap();
    assert!(fitted.valid_scores.iter().all(|score| score.abs() < 12.0));
    assert_eq!(fit_on((20, 1_000), (1_000, N)), Err(FitError::OneClass { n_rows: 980, n_fraud: 0, fold: None }));
    assert_eq!(fit_on((0, 1_000), (1_600, N)), Err(FitError::NoFraudInValidation { n_rows: 400, fold: None }));
    // Sampling keeps the fraud, and may leave no honest order.
    let few = GbtParams { negative_rate: 1e-9, ..(*params()).clone() }.check().unwrap();
    let samples = part(0, 1_000);
    let none_left = fit_rounds(&few, &kinds, &samples, 5, &Extras::default(), &mut go);
    assert_eq!(none_left, Err(FitError::OneClass { n_rows: 1, n_fraud: 1, fold: None }));
}

#[test]
fn weights_of_nothing_and_below() {
    let (values, labels) = useful();
    let matrix = Matrix::from_columns(N, 1, values);
    let rows: Vec<u32> = (0..N as u32).collect();
    let samples = Samples { matrix: &matrix, rows: &rows, labels: &labels };
    let with = |weights: &[f64]| {
        let extras = Extras { weights: Some(weights), ..Default::default() };
        fit_rounds(&params(), &[FeatureKind::Numeric], &samples, 5, &extras, &mut go)
    };
    assert_eq!(with(&vec![0.0; N]), Err(FitError::NoWeight));
    let mut weights = vec![1.0; N];
    weights[9] = -0.5;
    assert_eq!(with(&weights), Err(FitError::BadWeight { sample: 9, weight: -0.5 }));
    // A row that weighs nothing could have any label.
    weights[9] = 0.0;
    let before = with(&weights).unwrap().forest;
    let mut turned = labels.clone();
    turned[9] = 1 - turned[9];
    let extras = Extras { weights: Some(&weights), ..Default::default() };
    let samples = Samples { labels: &turned, ..samples };
    let after = fit_rounds(&params(), &[FeatureKind::Numeric], &samples, 5, &extras, &mut go).unwrap().forest;
    assert_eq!(before.base, after.base);
}

#[test]
fn constraints_on_what_is_not_there() {
    let (values, labels) = useful();
    let matrix = Matrix::from_columns(N, 1, values);
    let rows: Vec<u32> = (0..N as u32).collect();
    let samples = Samples { matrix: &matrix, rows: &rows, labels: &labels };
    let with = |params: GbtParams| {
        fit_rounds(&params.check().unwrap(), &[FeatureKind::Numeric], &samples, 5, &Extras::default(), &mut go)
    };
    let unknown = Err(FitError::UnknownFeature { feature: 4, n_features: 1 });
    assert_eq!(with(GbtParams { monotone: vec![(4, Direction::Rising)], ..(*params()).clone() }), unknown);
    assert_eq!(with(GbtParams { interactions: vec![vec![0, 4]], ..(*params()).clone() }), unknown);
    let both = vec![(0, Direction::Rising), (0, Direction::Falling)];
    let both = with(GbtParams { monotone: both, ..(*params()).clone() });
    assert_eq!(both, Err(FitError::Contradiction { feature: 0 }));
}
