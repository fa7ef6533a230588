//! What a fit can be held to: directions, features that may meet, measures of early stopping, rates that fade.

use std::ops::ControlFlow;

use orderguard_features::language::spec::FeatureKind;
use orderguard_features::matrix::Matrix;
use orderguard_inference::model::{Forest, Node, Tree};
use orderguard_trainer::boosting::{Extras, FitError, Round, fit, fit_folds, fit_rounds};
use orderguard_trainer::params::{CheckedGbtParams, Direction, GbtParams};
use orderguard_trainer::samples::Samples;
use orderguard_trainer::validation::Measure;
use proptest::prelude::*;

const N_FEATURES: usize = 4;
const KINDS: [FeatureKind; N_FEATURES] =
    [FeatureKind::Numeric, FeatureKind::Numeric, FeatureKind::Numeric, FeatureKind::Categorical { n_levels: 4 }];

fn draw(seed: u64, i: usize) -> u64 {
    let mut z = seed.wrapping_add((i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Whole numbers, some missing; the label follows feature 0 up and down, feature 1 down, and their product with feature 2.
fn data(n_rows: usize, seed: u64) -> (Matrix, Vec<u8>) {
    let mut matrix = Matrix::missing(n_rows, N_FEATURES);
    let mut labels = Vec::new();
    for row in 0..n_rows {
        let cell = |feature: usize| draw(seed, row * 8 + feature);
        for feature in 0..N_FEATURES {
            let missing = (cell(feature) >> 32).is_multiple_of(16);
            let n = if feature == 3 { 4 } else { 12 };
            matrix.column_mut(feature)[row] = if missing { f32::NAN } else { (cell(feature) % n) as f32 };
        }
        let [a, b, c] = [0, 1, 2].map(|feature| {
            let x = matrix.column(feature)[row];
            if x.is_nan() { 5.0 } else { x }
        });
        let odds = 0.03 + 0.03 * a - 0.09 * f32::from(u8::from(a > 8.0)) + 0.02 * (11.0 - b) + 0.003 * a * c;
        labels.push(u8::from((cell(7) % 1000) as f32 / 1000.0 < odds * 0.5));
    }
    (matrix, labels)
}

fn quick() -> GbtParams {
    GbtParams {
        n_trees: 40,
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

fn rounds(params: GbtParams, seed: u64, n_rounds: usize) -> Result<Forest, FitError> {
    let (matrix, labels) = data(1200, seed);
    let rows: Vec<u32> = (0..1200).collect();
    let samples = Samples { matrix: &matrix, rows: &rows, labels: &labels };
    fit_rounds(&checked(params), &KINDS, &samples, n_rounds, &Extras::default(), &mut go).map(|fitted| fitted.forest)
}

fn score(forest: &Forest, row: &[f32]) -> i64 {
    let of_tree = |tree: &Tree| {
        let mut at = 0;
        loop {
            let (x, missing_left, inside, left, right) = match &tree.nodes[at] {
                Node::Leaf { value } => return i64::from(*value),
                Node::Numeric { feature, threshold, missing_left, left, right } => {
                    let x = row[*feature as usize];
                    (x, missing_left, x <= *threshold, left, right)
                }
                Node::Categorical { feature, level_set, missing_left, left, right } => {
                    let x = row[*feature as usize];
                    let set = tree.level_sets[*level_set as usize];
                    (x, missing_left, !x.is_nan() && set[x as usize / 64] >> (x as usize % 64) & 1 == 1, left, right)
                }
            };
            at = if if x.is_nan() { *missing_left } else { inside } { *left } else { *right } as usize;
        }
    };
    forest.base + forest.trees.iter().map(of_tree).sum::<i64>()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn scores_keep_their_direction_whatever_the_other_features(
        seed in any::<u64>(),
        smoothing in 0_u8..3,
        easy in any::<bool>(),
    ) {
        let params = GbtParams {
            monotone: vec![(0, Direction::Rising), (1, Direction::Falling)],
            leaf_smoothing: f64::from(smoothing),
            easy_row_limit: if easy { 0.3 } else { 0.0 },
            ..quick()
        };
        let forest = rounds(params, seed, 25).unwrap();
        let mut used = [0; N_FEATURES];
        for node in forest.trees.iter().flat_map(|tree| &tree.nodes) {
            if let Node::Numeric { feature, .. } = node {
                used[*feature as usize] += 1;
            }
        }
        prop_assert!(used[0] > 0 && used[1] > 0);
        for i in 0..200 {
            let cell = |feature: usize| match draw(!seed, i * 8 + feature) % 14 { 13 => f32::NAN, x => x as f32 };
            let mut row = [cell(0), cell(1), cell(2), cell(3) % 4.0];
            for (feature, sign) in [(0, 1), (1, -1)] {
                let kept = row[feature];
                let mut before = i64::MIN;
                for x in 0..13 {
                    // Upwards for the feature that rises, downwards for the one that falls.
                    row[feature] = if sign == 1 { x as f32 } else { 12.0 - x as f32 };
                    let now = score(&forest, &row);
                    prop_assert!(now >= before, "feature {} at {}", feature, row[feature]);
                    before = now;
                }
                row[feature] = kept;
            }
        }
    }

    #[test]
    fn only_features_of_one_group_meet_on_a_path(seed in any::<u64>()) {
        let forest = rounds(GbtParams { interactions: vec![vec![0, 1], vec![1, 2]], ..quick() }, seed, 15).unwrap();
        let mut widest = 0;
        for tree in &forest.trees {
            let mut open = vec![(0_usize, 0_u8)];
            while let Some((at, mut seen)) = open.pop() {
                let (feature, left, right) = match &tree.nodes[at] {
                    Node::Leaf { .. } => {
                        prop_assert!([0b0011_u8, 0b0110, 0b1000].iter().any(|group| seen & !group == 0), "{:b}", seen);
                        widest = widest.max(seen.count_ones());
                        continue;
                    }
                    Node::Numeric { feature, left, right, .. } | Node::Categorical { feature, left, right, .. } => {
                        (*feature, *left as usize, *right as usize)
                    }
                };
                seen |= 1 << feature;
                open.extend([(left, seen), (right, seen)]);
            }
        }
        prop_assert_eq!(widest, 2);
    }
}

#[test]
fn constraints_that_make_no_sense_are_refused() {
    let with = |monotone: Vec<(u32, Direction)>, interactions: Vec<Vec<u32>>| {
        rounds(GbtParams { monotone, interactions, ..quick() }, 1, 1)
    };
    assert_eq!(with(vec![(4, Direction::Rising)], vec![]), Err(FitError::UnknownFeature { feature: 4, n_features: 4 }));
    assert_eq!(with(vec![], vec![vec![0], vec![1, 9]]), Err(FitError::UnknownFeature { feature: 9, n_features: 4 }));
    assert_eq!(with(vec![(3, Direction::Falling)], vec![]), Err(FitError::NotNumeric { feature: 3 }));
    let both = vec![(0, Direction::Rising), (0, Direction::Falling)];
    assert_eq!(with(both, vec![]), Err(FitError::Contradiction { feature: 0 }));
    assert!(with(vec![(0, Direction::Rising), (0, Direction::Rising)], vec![vec![]]).is_ok());
}

#[test]
fn the_best_round_is_the_one_of_the_measure() {
    let (matrix, labels) = data(1500, 5);
    let rows: Vec<u32> = (0..1500).collect();
    let part = |from: usize, to: usize| Samples { matrix: &matrix, rows: &rows[from..to], labels: &labels[from..to] };
    let days: Vec<i32> = (0..500).map(|i| i / 50).collect();
    let saved: Vec<i64> = labels[1000..].iter().map(|&label| if label == 1 { 900 } else { -250 }).collect();
    let params = checked(GbtParams { patience: 0, metric_window: 1, ..quick() });
    let measures = [
        Measure::AveragePrecision,
        Measure::RecallAtFpr(0.05),
        Measure::PrecisionAtK { k: 7, days: &days },
        Measure::Money { saved: &saved },
    ];
    for measure in measures {
        let extras = Extras { measure, ..Default::default() };
        let fitted = fit(&params, &KINDS, &part(0, 1000), &part(1000, 1500), &extras, &mut go).unwrap();
        assert_eq!(fitted.history.len(), 40);
        let values: Vec<f64> = fitted.history.iter().map(|report| report.metric.unwrap()).collect();
        let best = values.iter().copied().fold(f64::MIN, f64::max);
        assert_eq!(values.iter().position(|&value| value == best).unwrap() + 1, fitted.best_round, "{measure:?}");
        assert!(best > values[0] || fitted.best_round == 1);
    }
    for bad in [Measure::RecallAtFpr(0.0), Measure::PrecisionAtK { k: 0, days: &days }] {
        let extras = Extras { measure: bad, ..Default::default() };
        let error = fit(&params, &KINDS, &part(0, 1000), &part(1000, 1500), &extras, &mut go).unwrap_err();
        assert!(matches!(error, FitError::BadMeasure(_)), "{error}");
    }
    // Over folds each fold is measured by its own samples.
    let fold: Vec<u8> = (0..1500).map(|i| (i % 3) as u8).collect();
    let days: Vec<i32> = (0..1500).map(|i| i / 50).collect();
    let extras = Extras { measure: Measure::PrecisionAtK { k: 5, days: &days }, ..Default::default() };
    let folds = fit_folds(&params, &KINDS, &part(0, 1500), &fold, &extras, &mut go).unwrap();
    let values: Vec<f64> = folds.history.iter().map(|report| report.metric.unwrap()).collect();
    assert!(values.iter().all(|value| (0.0..=1.0).contains(value)) && values[folds.best_round - 1] > 0.2, "{values:?}");
}

#[test]
fn a_fading_rate_shrinks_later_trees() {
    let size = |decay: f64| {
        let params = GbtParams { learning_rate_decay: decay, easy_row_limit: 0.0, ..quick() };
        let forest = rounds(params, 3, 20).unwrap();
        let largest = |tree: &Tree| {
            let values = tree.nodes.iter().filter_map(|node| match node {
                Node::Leaf { value } => Some(i64::from(*value).abs()),
                _ => None,
            });
            values.max().unwrap()
        };
        (largest(&forest.trees[0]), largest(&forest.trees[19]))
    };
    let (first, last) = size(1.0);
    let (first_fading, last_fading) = size(0.9);
    assert_eq!(first, first_fading);
    assert!(last_fading * 2 < last, "{last_fading} {last}");
}
