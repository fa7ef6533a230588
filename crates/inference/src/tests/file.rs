//! The model file: what is written is read back, and nothing altered is believed.

use proptest::prelude::*;

use super::samples::{any_calibration, any_predictor, any_row, converted, gbt, logistic, model, scorecard, spoken};
use crate::model::Model;
use crate::rows::RowModel;
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
    let refused = |bytes: Vec<u8>, load: fn(&[u8]) -> bool| {
        assert!(bytes.len() < 4_096 && load(&bytes), "{}", bytes.len());
        let mut broken = bytes;
        for bit in 0..broken.len() * 8 {
            broken[bit / 8] ^= 1 << (bit % 8);
            assert!(!load(&broken), "bit {bit}");
            broken[bit / 8] ^= 1 << (bit % 8);
        }
    };
    for model in [gbt(), logistic(), scorecard(), spoken()] {
        refused(model.to_bytes().unwrap(), |bytes| Model::from_bytes(bytes).is_ok());
    }
    refused(converted().to_bytes().unwrap(), |bytes| RowModel::from_bytes(bytes).is_ok());
}

#[test]
fn every_cut_is_refused() {
    for model in [gbt(), logistic(), scorecard(), spoken()] {
        let bytes = model.to_bytes().unwrap();
        for len in 0..bytes.len() {
            assert!(matches!(Model::from_bytes(&bytes[..len]), Err(LoadError::Container(_))), "cut to {len}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(matches!(Model::from_bytes(&longer), Err(LoadError::Container(_))));
    }
    let bytes = converted().to_bytes().unwrap();
    for len in 0..bytes.len() {
        assert!(matches!(RowModel::from_bytes(&bytes[..len]), Err(LoadError::Container(_))), "cut to {len}");
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

#[test]
fn converted_trees_without_row_counts_are_written_and_read() {
    let mut model = converted();
    for n_words in 0..9 {
        for tree in &mut model.forest.trees {
            tree.n_rows.clear();
        }
        // Arrays that end at every place of a line of 64 bytes.
        model.forest.trees[0].words.resize(2 + n_words, 0);
        let bytes = model.to_bytes().unwrap();
        let loaded = RowModel::from_bytes(&bytes).unwrap();
        assert_eq!(loaded.forest, model.forest);
        assert_eq!(loaded.to_bytes().unwrap(), bytes);
    }
}
