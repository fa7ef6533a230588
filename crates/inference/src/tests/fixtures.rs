//! Files that the repository keeps: models of format version 0 with the exact bits of their scores, and broken ones.
//!
//! `cargo test -p orderguard-inference write_fixtures -- --ignored` writes them anew. As long as the format is version 0
//! that may be done together with a change of the format; from version 1 on a new version adds a folder.

use std::fmt::Write;
use std::path::PathBuf;

use super::drift::with_drift;
use super::hostile::{changed, with_extra_section, with_section, with_tree};
use super::samples::{gbt, logistic, scorecard};
use crate::model::{Calibration, Characteristic, Model, Node, Predictor};
use crate::{LoadError, Scorer};

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../models/golden").join(name)
}

fn good() -> [(&'static str, Model); 4] {
    // The first three have no section of drift, as files of before it had none.
    [("gbt", gbt()), ("logistic", logistic()), ("scorecard", scorecard()), ("drift", with_drift(gbt()))]
}

/// Name, bytes, and the beginning of the message with which they are refused.
fn bad() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let whole = gbt().encode();
    let mut flipped = whole.clone();
    flipped[700] ^= 1;
    let child = |to: u32| {
        with_tree(move |tree| {
            if let Node::Numeric { left, .. } = &mut tree.nodes[4] {
                *left = to;
            }
        })
    };
    let nan = with_tree(|tree| {
        if let Node::Numeric { threshold, .. } = &mut tree.nodes[0] {
            *threshold = f32::NAN;
        }
    });
    let disordered = changed(scorecard(), |model| {
        if let Predictor::Scorecard(card) = &mut model.predictor
            && let Characteristic::Numeric { upper, .. } = &mut card.characteristics[0]
        {
            upper.swap(0, 1);
        }
    });
    let flat = Calibration::Isotonic { knots: vec![(0.0, 0.0), (1.0, 0.0)] };
    vec![
        ("truncated", whole[..whole.len() / 2].to_vec(), "model file: file: offset 0"),
        ("flipped-bit", flipped, "model file: checksum"),
        ("trailing-byte", [&whole[..], &[0]].concat(), "model file: offset"),
        ("not-a-model", b"order_id,amount,label\n1,2,0\n".to_vec(), "model file: file: expected a model file"),
        (
            "newer-version",
            with_extra_section(&gbt(), 1, false),
            "model file: format version: expected at most 0, found 1",
        ),
        ("unknown-required-section", with_extra_section(&gbt(), 0, true), "model file: section new!: required"),
        (
            "length-bomb",
            with_section(&gbt(), *b"gold", |content| content[..8].fill(0xFF)),
            "model file: section gold: found a length",
        ),
        (
            "huge-node-count",
            with_section(&gbt(), *b"head", |head| head[16..20].fill(0xFF)),
            "model file: tree: offset 128: expected 4294967295 bytes",
        ),
        ("cycle", child(0), "model: tree 0, node 4: expected children after their parent, found child 0"),
        ("child-out-of-range", child(900), "model: tree 0, node 4: child 900 is outside the tree's 7 nodes"),
        ("nan-threshold", nan, "model: tree 0, node 0: threshold: expected a finite number, found NaN"),
        (
            "bins-out-of-order",
            disordered,
            "model: characteristic 0: upper: expected a finite number above the one before",
        ),
        (
            "drift-out-of-order",
            changed(with_drift(gbt()), |m| m.drift.features[0].edges.swap(0, 1)),
            "model: drift, feature 0: edges: expected a finite number above the one before",
        ),
        ("flat-calibration", changed(gbt(), |m| m.calibration = flat.clone()), "model: calibration, knot 1: log-odds"),
        (
            "golden-mismatch",
            changed(gbt(), |m| m.golden[0].raw_score_bits ^= 1),
            "model: golden row 0: expected raw score",
        ),
        (
            "another-schema",
            with_section(&gbt(), *b"schm", |text| {
                let other = String::from_utf8(text.clone()).unwrap().replace("Warsaw", "Berlin");
                *text = other.into_bytes();
            }),
            "model file: schema fingerprint",
        ),
    ]
}

/// Rows of the score file: those at and beside thresholds, odd codes, missing, infinite.
fn rows() -> Vec<[f32; 5]> {
    let nan = f32::NAN;
    vec![
        [19.99, 1.0, 0.0, 13.0, 0.0],
        [250.5, 2.0, 1.0, 5.0, 3.0],
        [250.5f32.next_up(), 2.0, 1.0, 5.0f32.next_up(), 3.0f32.next_up()],
        [899.0, 1.0, 2.0, 2.0, 40.0],
        [1e9, 7.0, 3.0, 23.0, -1.0],
        [300.0, 1.0, 256.0, 4.0, 2.0],
        [300.0, 1.0, 0.5, 4.0, 9.0],
        [300.0, 1.0, -1.0, 4.0, 9.0],
        [nan, nan, nan, nan, nan],
        [f32::INFINITY, f32::NEG_INFINITY, f32::INFINITY, f32::NEG_INFINITY, f32::INFINITY],
        [-0.0, 0.0, -0.0, 0.0, f32::MIN_POSITIVE],
    ]
}

/// One line per row: the bits of the five values, of the raw score and of the probability, in hexadecimal.
fn scores(model: &Model) -> String {
    let scorer = Scorer::compile(model).unwrap();
    let mut text = String::from("# f32 bits of the row's values, then f64 bits of raw score and probability\n");
    for row in rows() {
        let score = scorer.score(&row).unwrap();
        for x in row {
            write!(text, "{:08x} ", x.to_bits()).unwrap();
        }
        writeln!(text, "{:016x} {:016x}", score.raw_score.to_bits(), score.probability.to_bits()).unwrap();
    }
    text
}

#[test]
#[ignore = "writes the fixtures anew"]
fn write_fixtures() {
    for name in ["v0", "bad"] {
        std::fs::create_dir_all(folder(name)).unwrap();
    }
    for (name, model) in good() {
        std::fs::write(folder("v0").join(format!("{name}.ogm")), model.to_bytes().unwrap()).unwrap();
        std::fs::write(folder("v0").join(format!("{name}.scores.txt")), scores(&model)).unwrap();
    }
    for (name, bytes, _) in bad() {
        std::fs::write(folder("bad").join(format!("{name}.ogm")), bytes).unwrap();
    }
}

#[test]
fn kept_models_load_score_and_rewrite_the_same() {
    for (name, sample) in good() {
        let bytes = std::fs::read(folder("v0").join(format!("{name}.ogm"))).unwrap();
        let model = Model::from_bytes(&bytes).unwrap();
        assert_eq!(model.to_bytes().unwrap(), bytes, "{name}: written again");
        assert_eq!(sample.to_bytes().unwrap(), bytes, "{name}: written from memory");
        let expected = std::fs::read_to_string(folder("v0").join(format!("{name}.scores.txt"))).unwrap();
        assert_eq!(scores(&model), expected, "{name}");
    }
}

#[test]
fn kept_broken_files_are_refused_for_their_reason() {
    for (name, bytes, expected) in bad() {
        let path = folder("bad").join(format!("{name}.ogm"));
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "{name}");
        let error: LoadError = Model::load(&path).unwrap_err();
        assert!(error.to_string().starts_with(expected), "{name}: {error}");
    }
    let n_files = std::fs::read_dir(folder("bad")).unwrap().count();
    assert_eq!(n_files, bad().len(), "a file that no test knows");
}
