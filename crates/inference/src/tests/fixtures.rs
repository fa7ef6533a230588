//! Files that the repository keeps: models of format version 0 with the exact bits of their scores, and broken ones.
//!
//! `cargo test -p orderguard-inference write_fixtures -- --ignored` writes them anew. As long as the format is version 0
//! that may be done together with a change of the format; from version 1 on a new version adds a folder.

use std::fmt::Write;
use std::path::PathBuf;

use super::drift::with_drift;
use super::hostile::{changed, with_extra_section, with_section, with_tree};
use super::samples::{converted, gbt, logistic, scorecard, spoken};
use crate::model::{Calibration, Characteristic, Model, Node, Predictor};
use crate::reasons::{Language, ReasonScratch, Reasoner};
use crate::rows::{RowModel, RowScorer};
use crate::wide::WideNode;
use crate::{Decision, LoadError, Scorer};

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../models/golden").join(name)
}

fn good() -> [(&'static str, Model); 5] {
    // The first three have no section of drift, as files of before it had none.
    [
        ("gbt", gbt()),
        ("logistic", logistic()),
        ("scorecard", scorecard()),
        ("drift", with_drift(gbt())),
        ("spoken", spoken()),
    ]
}

/// The refusal of a file, of whichever kind it is.
fn refusal(bytes: &[u8]) -> Option<LoadError> {
    if RowModel::is_one(bytes) { RowModel::from_bytes(bytes).err() } else { Model::from_bytes(bytes).err() }
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
        (
            "tiers-fall",
            changed(spoken(), |m| m.tiers[2].raw_score = 0.75),
            "model: tier 2: raw_score: expected a number above that of the tier before",
        ),
        (
            "tier-milder",
            changed(spoken(), |m| m.tiers[2].decision = Decision::Challenge),
            "model: tier 2: decision: expected a stricter decision",
        ),
        (
            "unknown-tier",
            with_section(&spoken(), *b"tier", |tiers| tiers[8] = 9),
            "model: tier 0: decision: expected 1 to 3",
        ),
        (
            "no-tiers",
            with_section(&spoken(), *b"tier", |tiers| *tiers = vec![0; 8]),
            "model: tiers: expected at least one",
        ),
        (
            "unknown-gap",
            changed(spoken(), |m| m.reasons.features[1].polish.text = "{name}".into()),
            "model: reasons, feature 1: byte 0: expected {value}",
        ),
        (
            "unclosed-gap",
            changed(spoken(), |m| m.reasons.features[1].english.missing = "{value".into()),
            "model: reasons, feature 1: byte 0: expected a pair of braces",
        ),
        (
            "reason-of-no-group",
            changed(spoken(), |m| m.reasons.features[4].group = 3),
            "model: reason of a feature: expected at most 3, found 3",
        ),
        (
            "reasons-of-fewer-features",
            changed(spoken(), |m| m.reasons.features.truncate(4)),
            "model: reasons: expected length 5, found 4",
        ),
        (
            "background-of-other-trees",
            changed(spoken(), |m| m.background.node_rows[0].truncate(6)),
            "model: background: nodes: expected length 11, found 10",
        ),
        (
            "background-of-nothing",
            with_section(&spoken(), *b"back", |content| content[..4].fill(0)),
            "model: background rows",
        ),
        (
            "converted-repeated-name",
            renamed(converted(), |m| m.names[1] = "kraj".into()),
            "model: names: expected each once, found \"kraj\" twice",
        ),
        (
            "converted-golden-mismatch",
            renamed(converted(), |m| m.golden[3].raw_score_bits ^= 1),
            "model: golden row 3: expected raw score",
        ),
        (
            "converted-set-out-of-range",
            renamed(converted(), |m| m.forest.trees[1].words.clear()),
            "model: tree 1, node 1: level set 0 is outside the tree's 0",
        ),
        (
            "converted-nan-threshold",
            renamed(converted(), |m| {
                if let WideNode::Numeric { threshold, .. } = &mut m.forest.trees[0].nodes[0] {
                    *threshold = f64::NAN;
                }
            }),
            "model: tree 0, node 0: threshold: expected a number, found NaN",
        ),
        (
            "converted-huge-leaf",
            renamed(converted(), |m| m.forest.trees[0].nodes[3] = WideNode::Leaf { value: i64::MIN }),
            "model: tree 0: largest raw score: expected leaves whose sum stays below 2^62 steps",
        ),
    ]
}

/// The file of a converted model that was changed.
fn renamed(mut model: RowModel, change: impl Fn(&mut RowModel)) -> Vec<u8> {
    change(&mut model);
    model.encode()
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

/// As [`scores`], of rows of f64 and without a decision.
fn row_scores(model: &RowModel) -> String {
    let scorer = RowScorer::compile(model).unwrap();
    let mut text = String::from("# f64 bits of the row's values, then f64 bits of raw score and probability\n");
    let nan = f64::NAN;
    for row in [
        [0.3, 0.0, 1.0],
        [0.1 + 0.2, -0.0, 3.0],
        [(0.1f64 + 0.2).next_up(), 1e-36, 127.0],
        [(0.1f64 + 0.2).next_down(), 1.0, 63.9],
        [1.0, -1e-30, -0.5],
        [1.0, f64::INFINITY, 1e300],
        [f64::NEG_INFINITY, f64::NEG_INFINITY, -1.0],
        [nan, nan, nan],
    ] {
        let raw_score = scorer.raw_score(&row).unwrap();
        for x in row {
            write!(text, "{:016x} ", x.to_bits()).unwrap();
        }
        writeln!(text, "{:016x} {:016x}", raw_score.to_bits(), scorer.probability(raw_score).to_bits()).unwrap();
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
    std::fs::write(folder("v0").join("converted.ogm"), converted().to_bytes().unwrap()).unwrap();
    std::fs::write(folder("v0").join("converted.scores.txt"), row_scores(&converted())).unwrap();
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
fn a_kept_converted_model_loads_scores_and_rewrites_the_same() {
    let bytes = std::fs::read(folder("v0").join("converted.ogm")).unwrap();
    let model = RowModel::from_bytes(&bytes).unwrap();
    assert_eq!(model.to_bytes().unwrap(), bytes, "written again");
    assert_eq!(converted().to_bytes().unwrap(), bytes, "written from memory");
    let expected = std::fs::read_to_string(folder("v0").join("converted.scores.txt")).unwrap();
    assert_eq!(row_scores(&model), expected);
    let n_files = std::fs::read_dir(folder("v0")).unwrap().count();
    assert_eq!(n_files, 2 * (good().len() + 1), "a file that no test knows");
}

#[test]
fn kept_words_and_tiers_say_the_same() {
    let model = Model::load(folder("v0").join("spoken.ogm")).unwrap();
    let (scorer, reasoner) = (Scorer::compile(&model).unwrap(), Reasoner::compile(&model).unwrap());
    let row = [300.0, 2.0, 1.0, 4.0, 5.0];
    let score = scorer.score(&row).unwrap();
    let mut scratch = ReasonScratch::default();
    let reasons = reasoner.reasons(&row, score.raw_score, &mut scratch).unwrap();
    let said = |language| reasons.iter().map(|reason| reasoner.text(reason, &row, language)).collect::<Vec<_>>();
    let english = ["300.00 paid, usually 11.25", "5 orders a day", "from DE (25 %)"];
    assert_eq!((score.decision, said(Language::English)), (Decision::Review, english.map(str::to_owned).to_vec()));
    let polish = ["zapłacono 300,00, zwykle 11,25", "5 zakupów dziennie", "z DE (25 %)"];
    assert_eq!(said(Language::Polish), polish);
}

#[test]
fn kept_broken_files_are_refused_for_their_reason() {
    for (name, bytes, expected) in bad() {
        let path = folder("bad").join(format!("{name}.ogm"));
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "{name}");
        let error = refusal(&bytes).expect(name);
        assert!(error.to_string().starts_with(expected), "{name}: {error}");
    }
    let n_files = std::fs::read_dir(folder("bad")).unwrap().count();
    assert_eq!(n_files, bad().len(), "a file that no test knows");
}
