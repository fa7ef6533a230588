//! The model file: what is written is read back, and nothing altered is believed.

use proptest::prelude::*;

use super::samples::{any_calibration, any_predictor, any_row, gbt, logistic, model, scorecard};
use crate::model::Model;
use crate::{LoadError, ModelError, Scorer};

/// Models hold NaN in their golden rows, so equality is that of the debug text and of the bytes.
fn assert_same(found: &Model, expected: &Model) {
    assert_eq!(format!("{found:?}"), format!("{expected:?}"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn written_is_read_back(predictor in any_predictor(), calibration in any_calibration(), row in any_row()) {
        let model = model(predictor, calibration);
        let bytes = model.to_bytes().unwrap();
        let loaded = Model::from_bytes(&bytes).unwrap();
        assert_same(&loaded, &model);
        prop_assert_eq!(loaded.to_bytes().unwrap(), bytes);
        let (a, b) = (Scorer::compile(&model).unwrap(), Scorer::compile(&loaded).unwrap());
        prop_assert_eq!(a.score(&row).unwrap(), b.score(&row).unwrap());
    }
}

#[test]
fn every_flipped_bit_is_refused() {
    for model in [gbt(), logistic(), scorecard()] {
        let bytes = model.to_bytes().unwrap();
        assert!(bytes.len() < 4_096, "{}", bytes.len());
        for bit in 0..bytes.len() * 8 {
            let mut broken = bytes.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            assert!(Model::from_bytes(&broken).is_err(), "bit {bit}");
        }
    }
}

#[test]
fn every_cut_is_refused() {
    for model in [gbt(), logistic(), scorecard()] {
        let bytes = model.to_bytes().unwrap();
        for len in 0..bytes.len() {
            assert!(matches!(Model::from_bytes(&bytes[..len]), Err(LoadError::Container(_))), "cut to {len}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(matches!(Model::from_bytes(&longer), Err(LoadError::Container(_))));
    }
}

#[test]
fn loads_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.ogm");
    let error = Model::load(&path).unwrap_err();
    assert!(matches!(&error, LoadError::Read { path: found, .. } if *found == path), "{error}");
    std::fs::write(&path, gbt().to_bytes().unwrap()).unwrap();
    assert_same(&Model::load(&path).unwrap(), &gbt());
    assert!(matches!(Model::load(folder.path()), Err(LoadError::Read { .. })));
}

#[test]
fn a_model_that_would_not_load_is_not_written() {
    let mut model = gbt();
    model.threshold.raw_score = f64::NAN;
    let error = model.to_bytes().unwrap_err();
    assert!(matches!(error.reason, LoadError::Model(ModelError::Value { field: "raw_score", .. })), "{error}");
    assert_eq!(
        error.to_string(),
        "the model was not written, because it would not load again: model: threshold: raw_score: expected a number, found NaN"
    );
}

#[test]
fn honest_large_sections_stay_within_the_decoding_limit() {
    for n_levels in [100, 1_000, 40_000, 300_000] {
        let mut model = gbt();
        model.spec.vocabularies[0].levels = (0..n_levels).map(|level| format!("{level:x}")).collect();
        model.card.facts = vec![(String::new(), String::new()); n_levels];
        model.card.notes = vec![String::new(); n_levels];
        model.reference.clear();
        let bytes = model.to_bytes().unwrap();
        assert_same(&Model::from_bytes(&bytes).unwrap(), &model);
    }
}
