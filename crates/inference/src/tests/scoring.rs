//! Every engine gives the bits of the obvious walk.

use orderguard_features::matrix::Matrix;
use proptest::prelude::*;

use super::samples::{
    N_FEATURES, any_calibration, any_forest, any_predictor, any_row, any_scorecard, gbt, logistic, model, scorecard,
};
use crate::calibrate::probability;
use crate::error::{ModelError, ScoreError};
use crate::model::Predictor;
use crate::tree::raw_score_naive;
use crate::{BatchScratch, Decision, RawScorer, Scorer};

fn matrix_of(rows: &[Vec<f32>]) -> Matrix {
    let mut matrix = Matrix::missing(rows.len(), N_FEATURES as usize);
    for feature in 0..N_FEATURES as usize {
        for (slot, row) in matrix.column_mut(feature).iter_mut().zip(rows) {
            *slot = row[feature];
        }
    }
    matrix
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn compiled_forest_equals_naive_walk(forest in any_forest(), rows in prop::collection::vec(any_row(), 1..40)) {
        let scorer = RawScorer::compile(&Predictor::Gbt(forest.clone())).unwrap();
        for row in &rows {
            let expected = raw_score_naive(&forest, row);
            prop_assert_eq!(scorer.raw_score(row).unwrap().to_bits(), expected.to_bits());
            prop_assert!(expected.is_finite());
        }
    }

    #[test]
    fn compiled_scorecard_equals_bin_after_bin(card in any_scorecard(), rows in prop::collection::vec(any_row(), 1..40)) {
        let scorer = RawScorer::compile(&Predictor::Scorecard(card.clone())).unwrap();
        for row in &rows {
            let expected = crate::scorecard::raw_score_naive(&card, row);
            prop_assert_eq!(scorer.raw_score(row).unwrap().to_bits(), expected.to_bits());
            prop_assert!(expected.is_finite());
        }
    }

    #[test]
    fn batches_equal_single_rows(
        predictor in any_predictor(),
        rows in prop::collection::vec(any_row(), 1..200),
        picks in prop::collection::vec(any::<u32>(), 0..200),
    ) {
        let scorer = RawScorer::compile(&predictor).unwrap();
        let picks: Vec<u32> = picks.iter().map(|pick| pick % rows.len() as u32).collect();
        let mut out = vec![f64::NAN; picks.len()];
        scorer.raw_scores_into(&matrix_of(&rows), &picks, &mut out, &mut BatchScratch::default()).unwrap();
        for (&pick, found) in picks.iter().zip(&out) {
            let expected = scorer.raw_score(&rows[pick as usize]).unwrap();
            prop_assert_eq!(found.to_bits(), expected.to_bits());
            prop_assert!(expected.is_finite());
        }
    }

    #[test]
    fn scores_are_calibrated_and_decided(predictor in any_predictor(), calibration in any_calibration(), row in any_row()) {
        let model = model(predictor, calibration);
        let scorer = Scorer::compile(&model).unwrap();
        let score = scorer.score(&row).unwrap();
        prop_assert_eq!(score.raw_score, scorer.raw_score(&row).unwrap());
        prop_assert_eq!(score.probability, probability(&model.calibration, score.raw_score));
        prop_assert!((0.0..=1.0).contains(&score.probability));
        let stopped = score.raw_score >= model.threshold.raw_score;
        prop_assert_eq!(score.decision, if stopped { Decision::Review } else { Decision::Approve });
    }
}

#[test]
fn trees_may_stand_in_any_order() {
    let Predictor::Gbt(mut forest) = gbt().predictor else { unreachable!("the sample holds trees") };
    let rows = [[300.0, 1.0, 1.0, 4.0, 9.0], [f32::NAN; 5], [10.0, 0.0, 9.0, 23.0, -1.0]];
    let scores = |forest: &crate::model::Forest| rows.map(|row| raw_score_naive(forest, &row));
    let before = scores(&forest);
    forest.trees.reverse();
    assert_eq!(scores(&forest), before);
    // (-70,000 + 120,000 + 17,001 + 11) / 2^16 for the first row.
    assert_eq!(before[0], f64::from(67_012) / 65_536.0);
}

#[test]
fn rejects_rows_of_another_length() {
    for model in [gbt(), logistic(), scorecard()] {
        let scorer = Scorer::compile(&model).unwrap();
        assert_eq!(scorer.n_features(), 5);
        for len in [0, 4, 6] {
            let error = ScoreError::RowLength { found: len, expected: 5 };
            assert_eq!(scorer.score(&vec![0.0; len]).unwrap_err(), error);
            assert_eq!(scorer.raw_score(&vec![0.0; len]).unwrap_err(), error);
        }
    }
}

#[test]
fn rejects_batches_of_another_shape() {
    let scorer = Scorer::compile(&gbt()).unwrap();
    let matrix = Matrix::missing(3, 5);
    let mut out = [7.0; 2];
    let narrow =
        scorer.raw_scores_into(&Matrix::missing(3, 4), &[0, 1], &mut out, &mut BatchScratch::default()).unwrap_err();
    assert_eq!(narrow, ScoreError::RowLength { found: 4, expected: 5 });
    let short = scorer.raw_scores_into(&matrix, &[0, 1, 2], &mut out, &mut BatchScratch::default()).unwrap_err();
    assert_eq!(short, ScoreError::OutputLength { found: 2, expected: 3 });
    let outside = scorer.raw_scores_into(&matrix, &[0, 3], &mut out, &mut BatchScratch::default()).unwrap_err();
    assert_eq!(outside, ScoreError::RowOutOfRange { row: 3, n_rows: 3 });
    assert_eq!(out, [7.0; 2]);
}

#[test]
fn golden_rows_guard_against_other_arithmetic() {
    let mut model = gbt();
    model.golden[3].raw_score_bits ^= 1;
    assert!(matches!(Scorer::compile(&model), Err(ModelError::GoldenMismatch { row: 3, .. })));
}

#[test]
fn scorers_are_shared_between_threads() {
    let scorer = Scorer::compile(&gbt()).unwrap();
    let expected = scorer.score(&[300.0, 1.0, 1.0, 4.0, 9.0]).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(scorer.score(&[300.0, 1.0, 1.0, 4.0, 9.0]).unwrap(), expected));
        }
    });
}
