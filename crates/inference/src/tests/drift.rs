//! Drift: what is counted, against counting by hand; the section of the file, and what an attacker makes of it.

use orderguard_features::matrix::Matrix;
use proptest::prelude::*;

use super::hostile::{changed, with_section};
use super::samples::{N_FEATURES, any_row, gbt, logistic, sample_value};
use crate::drift::{DriftBins, FeatureBins, ScoreBins, build, shift};
use crate::model::{DriftReference, Model};
use crate::{LoadError, ModelError, ScoreError, Scorer};

fn matrix(n: u32) -> Matrix {
    let columns = (0..N_FEATURES).flat_map(|j| (0..n).map(move |i| sample_value(i, j))).collect();
    Matrix::from_columns(n as usize, N_FEATURES as usize, columns)
}

/// A boosted sample with a reference.
pub(super) fn with_drift(mut model: Model) -> Model {
    let matrix = matrix(60);
    let (rows, others): (Vec<u32>, Vec<u32>) = (0..60).partition(|row| row % 3 > 0);
    model.drift = build(&model.spec, &model.predictor, &matrix, &rows, &others).unwrap();
    model
}

#[test]
fn the_reference_counts_each_row_once() {
    let model = with_drift(gbt());
    assert_eq!(model.drift.features.len(), N_FEATURES as usize);
    for bins in &model.drift.features {
        assert_eq!(bins.counts.iter().sum::<u32>() + bins.first_seen + bins.missing, 40, "{bins:?}");
        assert!(bins.edges.is_sorted() && bins.edges.len() <= 9);
    }
    assert_eq!(model.drift.score.as_ref().unwrap().counts.iter().sum::<u32>(), 20);
    // A feature of the order's own may be -1 without being new; one of the history may not.
    let names = model.spec.names();
    for (name, bins) in names.iter().zip(&model.drift.features) {
        assert!(bins.first_seen == 0 || name.contains(" by "), "{name}: {bins:?}");
    }
    assert!(
        model.drift.features.iter().any(|bins| bins.first_seen > 0) && names.iter().any(|name| name.contains(" by "))
    );
    let none = build(&model.spec, &model.predictor, &matrix(3), &[], &[]).unwrap();
    assert!(none.is_empty());
}

#[test]
fn what_is_counted_again_is_the_reference() {
    let model = with_drift(gbt());
    let bins = DriftBins::compile(&model).unwrap();
    let scorer = Scorer::compile(&model).unwrap();
    let matrix = matrix(60);
    let mut parts = [bins.counts(), bins.counts(), bins.counts()];
    let mut row = vec![0.0; N_FEATURES as usize];
    for at in (0..60).filter(|at| at % 3 > 0) {
        matrix.copy_row(at, &mut row);
        bins.observe(&row, scorer.raw_score(&row).unwrap(), &mut parts[at % 3]).unwrap();
    }
    // In any order.
    let [a, mut b, c] = parts;
    b.merge(&c);
    b.merge(&a);
    for feature in 0..bins.n_features() {
        let (reference, found) = (bins.reference(), bins.of_feature(feature, &b));
        assert_eq!(bins.of_feature(feature, &reference), found, "feature {feature}");
        assert!(shift(found, found, 0.01).psi < 1e-12);
    }
    assert_eq!(bins.of_score(&b).iter().sum::<u64>(), 40);
    b.clear();
    assert_eq!(b, bins.counts());
    let short = bins.observe(&row[1..], 0.0, &mut b).unwrap_err();
    assert_eq!(short, ScoreError::RowLength { found: 4, expected: 5 });
    assert_eq!(b, bins.counts(), "nothing was counted");
    assert!(DriftBins::compile(&gbt()).is_none());
}

proptest! {
    #[test]
    fn each_value_falls_into_its_bin(rows in prop::collection::vec((any_row(), -9.0f64..9.0), 1..20)) {
        let model = with_drift(gbt());
        let bins = DriftBins::compile(&model).unwrap();
        let mut counts = bins.counts();
        for (row, raw) in &rows {
            bins.observe(row, *raw, &mut counts).unwrap();
        }
        for (i, of) in model.drift.features.iter().enumerate() {
            let is_history = model.spec.names()[i].contains(" by ");
            let is_category = model.spec.names()[i].starts_with("category");
            let mut expected = vec![0u64; of.counts.len() + 1 + usize::from(!is_category)];
            let last = expected.len() - 1;
            for (row, _) in &rows {
                let x = row[i];
                let at = if x.is_nan() {
                    last
                } else if is_category {
                    (0..of.counts.len() - 1).find(|&code| code as f32 == x).unwrap_or(of.counts.len() - 1)
                } else if is_history && (x == -1.0 || x == -1_000.0) {
                    last - 1
                } else {
                    of.edges.iter().position(|&edge| x <= edge).unwrap_or(of.edges.len())
                };
                expected[at] += 1;
            }
            prop_assert_eq!(bins.of_feature(i, &counts), expected.as_slice(), "feature {}", i);
        }
        let edges = &model.drift.score.as_ref().unwrap().edges;
        let mut expected = vec![0u64; edges.len() + 1];
        for (_, raw) in &rows {
            expected[edges.iter().position(|edge| raw <= edge).unwrap_or(edges.len())] += 1;
        }
        prop_assert_eq!(bins.of_score(&counts), expected.as_slice());
    }
}

#[test]
fn the_section_is_optional_and_read_back() {
    for model in [gbt(), logistic()] {
        let without = model.to_bytes().unwrap();
        assert!(Model::from_bytes(&without).unwrap().drift.is_empty(), "files of before load");
        let model = with_drift(model);
        let bytes = model.to_bytes().unwrap();
        let loaded = Model::from_bytes(&bytes).unwrap();
        assert_eq!(loaded.drift, model.drift);
        assert_eq!(loaded.to_bytes().unwrap(), bytes);
        let mut cleared = loaded;
        cleared.drift = DriftReference::default();
        assert_eq!(cleared.to_bytes().unwrap(), without);
    }
}

fn reason(bytes: &[u8]) -> ModelError {
    match Model::from_bytes(bytes).expect_err("the file is refused") {
        LoadError::Model(reason) => reason,
        other => panic!("{other:?}"),
    }
}

fn score(drift: &mut DriftReference) -> &mut ScoreBins {
    drift.score.as_mut().unwrap()
}

#[test]
fn rejects_bins_that_contradict_themselves() {
    let with =
        |change: &dyn Fn(&mut DriftReference)| reason(&changed(with_drift(gbt()), |model| change(&mut model.drift)));
    let value = |field: &'static str, change: &dyn Fn(&mut DriftReference)| {
        let error = with(change);
        assert!(matches!(error, ModelError::Value { field: found, .. } if found == field), "{field}: {error}");
    };
    value("edges", &|drift| drift.features[0].edges[1] = f32::NAN);
    value("edges", &|drift| drift.features[0].edges[1] = drift.features[0].edges[0]);
    value("edges", &|drift| score(drift).edges[0] = f64::NEG_INFINITY);
    value("first_seen", &|drift| {
        drift.features[0].first_seen = 1;
        drift.features[0].missing -= 1;
    });
    for change in [
        (|drift: &mut DriftReference| drift.features.truncate(2)) as fn(&mut DriftReference),
        |drift| drift.features[0].counts.push(0),
        |drift| drift.features[0].missing += 1,
        |drift| drift.features[2].edges.push(1.0),
        |drift| drift.features[2].counts.push(0),
        |drift| score(drift).counts.push(1),
        |drift| {
            for bins in &mut drift.features {
                *bins = FeatureBins { counts: vec![0], ..FeatureBins::default() };
            }
        },
    ] {
        assert!(matches!(with(&change), ModelError::Length { .. }), "{:?}", with(&change));
    }
    let many = with(&|drift| score(drift).edges = (0..16).map(f64::from).collect());
    assert!(matches!(many, ModelError::Count { of: "edges of drift bins", found: 16, limit: 15 }), "{many}");
    let none = with(&|drift| score(drift).counts.fill(0));
    assert!(matches!(none, ModelError::Empty { .. }), "{none}");
    let newer = reason(&with_section(&with_drift(gbt()), *b"drft", |content| content[0] = 2));
    assert!(matches!(newer, ModelError::Value { field: "version", .. }), "{newer}");
    let empty =
        reason(&with_section(&with_drift(gbt()), *b"drft", |content| *content = [&[1, 0][..], &[0; 9]].concat()));
    assert!(matches!(empty, ModelError::Empty { of: "drift" }), "{empty}");
}

/// With valid checksums: an error, or bins that can be counted in.
#[test]
fn altered_sections_are_refused_or_harmless() {
    let model = with_drift(gbt());
    let bytes = model.to_bytes().unwrap();
    let content = orderguard_features::container::Container::parse(&bytes, *b"OGM", 0, usize::MAX)
        .unwrap()
        .section(*b"drft")
        .unwrap()
        .to_vec();
    let mut n_loaded = 0;
    let mut check = |file: &[u8]| {
        let Ok(model) = Model::from_bytes(file) else { return };
        n_loaded += 1;
        let Some(bins) = DriftBins::compile(&model) else { return };
        let mut counts = bins.counts();
        for row in [[f32::NAN; 5], [f32::INFINITY; 5], [-1.0; 5], [3e38; 5]] {
            bins.observe(&row, f64::from(row[0]), &mut counts).unwrap();
        }
        for feature in 0..bins.n_features() {
            let found = shift(bins.of_feature(feature, &bins.reference()), bins.of_feature(feature, &counts), 0.01);
            assert!(found.psi.is_finite() && (0.0..=1.0).contains(&found.p_value), "{found:?}");
        }
    };
    for bit in 0..content.len() * 8 {
        check(&with_section(&model, *b"drft", |content| content[bit / 8] ^= 1 << (bit % 8)));
    }
    assert!(n_loaded > 0, "edges may move a little");
    for len in 0..content.len() {
        let cut = with_section(&model, *b"drft", |content| content.truncate(len));
        assert!(Model::from_bytes(&cut).is_err(), "cut to {len}");
    }
}
