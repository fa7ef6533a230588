//! What training rows are to a model, against counting them one by one, and the contributions that follow.

use orderguard_features::matrix::Matrix;
use proptest::prelude::*;

use super::samples::{
    N_FEATURES, any_calibration, any_forest, any_predictor, any_row, gbt, logistic, model, sample_value,
};
use crate::background;
use crate::calibrate::probability;
use crate::explain::{ExplainScratch, ModelExplainer};
use crate::model::{Background, Calibration, Model, Node, Predictor, Tree};
use crate::tree::contains;
use crate::{ModelError, RawScorer, ScoreError};

/// How often a node lies on the way of a row, by going back from it to the root.
fn reaches(tree: &Tree, node: usize, row: &[f32]) -> bool {
    if node == 0 {
        return true;
    }
    for (at, parent) in tree.nodes.iter().enumerate() {
        let (goes_left, left, right) = match *parent {
            Node::Leaf { .. } => continue,
            Node::Numeric { feature, threshold, missing_left, left, right } => {
                let x = row[feature as usize];
                (if x.is_nan() { missing_left } else { x <= threshold }, left, right)
            }
            Node::Categorical { feature, level_set, missing_left, left, right } => {
                let x = row[feature as usize];
                (if x.is_nan() { missing_left } else { contains(&tree.level_sets[level_set as usize], x) }, left, right)
            }
        };
        if [left, right].contains(&(node as u32)) {
            return goes_left == (left as usize == node) && reaches(tree, at, row);
        }
    }
    unreachable!("every node has a parent")
}

fn matrix(n: u32) -> Matrix {
    let columns = (0..N_FEATURES).flat_map(|j| (0..n).map(move |i| sample_value(i, j))).collect();
    Matrix::from_columns(n as usize, N_FEATURES as usize, columns)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn rows_of_nodes_are_those_of_a_walk(forest in any_forest()) {
        let matrix = matrix(30);
        let rows: Vec<u32> = (0..30).step_by(2).collect();
        let found = background::of(&Predictor::Gbt(forest.clone()), &matrix, &rows).unwrap();
        prop_assert_eq!(found.n_rows, 15);
        for (tree, counts) in forest.trees.iter().zip(&found.node_rows) {
            for (node, &count) in counts.iter().enumerate() {
                let mut row = vec![0.0; N_FEATURES as usize];
                let goes_by = |&&at: &&u32| {
                    matrix.copy_row(at as usize, &mut row);
                    reaches(tree, node, &row)
                };
                prop_assert_eq!(rows.iter().filter(goes_by).count(), count as usize);
            }
        }
    }

    #[test]
    fn parts_add_up(predictor in any_predictor(), calibration in any_calibration(), row in any_row()) {
        let mut model = model(predictor, calibration);
        if let Predictor::Gbt(forest) = &mut model.predictor {
            // Sums that f64 holds to 1e-9: what a trained model has.
            (forest.scale_bits, forest.base) = (40, forest.base >> 30);
            model = super::samples::model(model.predictor, model.calibration);
        }
        let explainer = ModelExplainer::compile(&model).unwrap();
        let mut parts = vec![0.0; explainer.n_features()];
        explainer.explain(&row, &mut ExplainScratch::default(), &mut parts).unwrap();
        let raw = RawScorer::compile(&model.predictor).unwrap().raw_score(&row).unwrap();
        let size = parts.iter().map(|part| part.abs()).sum::<f64>() + raw.abs() + 1.0;
        let sum = explainer.expected() + parts.iter().sum::<f64>();
        prop_assert!((sum - raw).abs() <= 1e-11 * size, "{} {}", sum, raw);
        // On the probability: the same signs, and the sum is the way from the expected one.
        let per = explainer.probability_per_log_odds(raw);
        let way = probability(&model.calibration, raw) - explainer.expected_probability();
        prop_assert!(per >= 0.0);
        let sum = parts.iter().map(|part| part * per).sum::<f64>();
        prop_assert!((sum - way).abs() <= 1e-9 + per * 1e-11 * size, "{} {}", sum, way);
    }

    #[test]
    fn linear_parts_are_less_their_mean(at in 0u32..40) {
        let model = logistic();
        let explainer = ModelExplainer::compile(&model).unwrap();
        let matrix = matrix(40);
        let (mut row, mut parts) = (vec![0.0; N_FEATURES as usize], vec![0.0; N_FEATURES as usize]);
        let mut sums = parts.clone();
        for i in 0..40 {
            matrix.copy_row(i, &mut row);
            explainer.explain(&row, &mut ExplainScratch::default(), &mut parts).unwrap();
            for (sum, part) in sums.iter_mut().zip(&parts) {
                *sum += part;
            }
        }
        prop_assert!(sums[at as usize % sums.len()].abs() < 1e-9);
    }
}

#[test]
fn quantiles_of_scores_are_those_of_the_rows() {
    let Predictor::Logistic(linear) = logistic().predictor else { unreachable!("the sample is linear") };
    let matrix = matrix(100);
    let rows: Vec<u32> = (0..100).collect();
    let found = background::of(&Predictor::Logistic(linear.clone()), &matrix, &rows).unwrap();
    let mut scores: Vec<f64> = (0..100)
        .map(|i| {
            let mut row = vec![0.0; N_FEATURES as usize];
            matrix.copy_row(i, &mut row);
            crate::linear::raw_score(&linear, &row)
        })
        .collect();
    scores.sort_by(f64::total_cmp);
    let expected: Vec<f64> = (1..20).map(|i| scores[i * 5 - 1]).collect();
    assert_eq!(found.scores, expected);
    assert_eq!(background::of(&Predictor::Logistic(linear), &matrix, &[]).unwrap(), Background::default());
}

#[test]
fn many_rows_are_drawn_evenly() {
    let n = background::MAX_ROWS as u32 * 2 + 1;
    let found = background::of(&gbt().predictor, &matrix(n), &(0..n).collect::<Vec<u32>>()).unwrap();
    assert_eq!(found.n_rows as usize, background::MAX_ROWS);
    let narrow = Matrix::missing(3, 2);
    assert!(matches!(background::of(&gbt().predictor, &narrow, &[0]), Err(ModelError::Length { .. })));
}

#[test]
fn backgrounds_of_another_model_are_refused() {
    fn reason(change: impl FnOnce(&mut Model)) -> String {
        let mut model = gbt();
        change(&mut model);
        Model::from_bytes(&model.encode()).unwrap_err().to_string()
    }
    for (error, says) in [
        (reason(|model| model.background.node_rows[0][1] += 1), "the sum of its children's"),
        (reason(|model| model.background.n_rows += 1), "all rows at the root"),
        (reason(|model| model.background.node_rows[0].truncate(6)), "background: nodes"),
        (reason(|model| model.background.means.push(1.0)), "background: means"),
        (reason(|model| model.background.scores[3] = f64::NAN), "finite numbers in ascending order"),
        (reason(|model| model.background.scores.swap(0, 18)), "finite numbers in ascending order"),
        (reason(|model| model.background.scores.truncate(18)), "background: scores"),
    ] {
        assert!(error.contains(says), "{error}");
    }
    let mut linear = logistic();
    linear.background.means[0] = f64::INFINITY;
    assert!(Model::from_bytes(&linear.encode()).unwrap_err().to_string().contains("means"));
}

#[test]
fn a_model_without_background_scores_but_gives_no_reasons() {
    let mut model = gbt();
    model.background = Background::default();
    let loaded = Model::from_bytes(&model.to_bytes().unwrap()).unwrap();
    assert_eq!(loaded.background, Background::default());
    let error = ModelExplainer::compile(&loaded).unwrap_err();
    assert_eq!(error, ModelError::Empty { of: "background rows, which reasons need" });
}

#[test]
fn rows_of_another_length_are_refused() {
    let explainer = ModelExplainer::compile(&gbt()).unwrap();
    let (mut scratch, mut out) = (ExplainScratch::default(), vec![0.0; N_FEATURES as usize]);
    let error = explainer.explain(&[0.0], &mut scratch, &mut out).unwrap_err();
    assert_eq!(error, ScoreError::RowLength { found: 1, expected: N_FEATURES as usize });
    let error = explainer.explain(&vec![0.0; N_FEATURES as usize], &mut scratch, &mut []).unwrap_err();
    assert_eq!(error, ScoreError::OutputLength { found: 0, expected: N_FEATURES as usize });
    let plain = Calibration::Platt { slope: 1.0, intercept: 0.0 };
    let model = model(logistic().predictor, plain);
    let explainer = ModelExplainer::compile(&model).unwrap();
    assert_eq!(explainer.probability_per_log_odds(explainer.expected()), 0.0);
}
