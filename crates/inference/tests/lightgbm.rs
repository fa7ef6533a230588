//! Models that LightGBM wrote, against the raw scores and leaves that it finds itself (`scripts/fixtures/lightgbm` makes them),
//! and the same texts broken in many ways.

use std::path::PathBuf;

use orderguard_inference::engine::{Choice, Engine, Width};
use orderguard_inference::explain::{ExplainScratch, Explainer};
use orderguard_inference::import::{ImportError, lightgbm};
use orderguard_inference::rows::{RowModel, RowScorer};
use orderguard_inference::wide::{WideNode, leaf_of, raw_score_naive};

const NAMES: [&str; 7] =
    ["infinite-threshold", "missing-nan", "missing-zero", "missing-none", "one-hot", "many-thresholds", "one-leaf"];

fn text(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/lightgbm");
    std::fs::read(folder.join(name)).expect("the fixture is there")
}

fn model(name: &str) -> RowModel {
    lightgbm::read(&text(&format!("{name}.txt"))).expect("the fixture is read")
}

/// What the library says of one row.
struct Expected {
    row: Vec<f64>,
    raw_score: f64,
    /// What each value adds, then what nobody does.
    parts: Vec<f64>,
    leaves: Vec<usize>,
}

fn expected(name: &str) -> Vec<Expected> {
    let text = String::from_utf8(text(&format!("{name}.rows.txt"))).unwrap();
    let numbers = |text: &str| -> Vec<f64> {
        text.split_whitespace().map(|bits| f64::from_bits(u64::from_str_radix(bits, 16).unwrap())).collect()
    };
    let read = |line: &str| {
        let groups: Vec<&str> = line.split(';').collect();
        let leaves = groups[3].split_whitespace().map(|leaf| leaf.parse().unwrap()).collect();
        Expected { row: numbers(groups[0]), raw_score: numbers(groups[1])[0], parts: numbers(groups[2]), leaves }
    };
    text.lines().map(read).collect()
}

#[test]
fn rows_reach_the_librarys_leaves_and_scores() {
    for name in NAMES {
        let model = model(name);
        let rows = expected(name);
        assert_eq!(rows.len(), 100, "{name}");
        for (i, expected) in rows.iter().enumerate() {
            for (tree, &leaf) in model.forest.trees.iter().zip(&expected.leaves) {
                // Splits stand first, then the leaves in the library's order.
                let n_splits = tree.nodes.iter().filter(|node| node.children().is_some()).count();
                assert_eq!(leaf_of(&model.forest, tree, &expected.row), Some(n_splits + leaf), "{name}, row {i}");
            }
            assert_eq!(model.forest.trees.len(), expected.leaves.len());
            let found = raw_score_naive(&model.forest, &expected.row);
            assert!((found - expected.raw_score).abs() <= 1e-9, "{name}, row {i}: {found} {}", expected.raw_score);
        }
    }
}

/// A row, its raw score and the leaf of each tree.
type Cut = (Vec<f64>, f64, Vec<usize>);

fn cuts(name: &str) -> Vec<Cut> {
    let text = String::from_utf8(text(&format!("{name}.cuts.txt"))).unwrap();
    let numbers = |text: &str| -> Vec<f64> {
        text.split_whitespace().map(|bits| f64::from_bits(u64::from_str_radix(bits, 16).unwrap())).collect()
    };
    let read = |line: &str| {
        let groups: Vec<&str> = line.split(';').collect();
        let leaves = groups[2].split_whitespace().map(|leaf| leaf.parse().unwrap()).collect();
        (numbers(groups[0]), numbers(groups[1])[0], leaves)
    };
    text.lines().map(read).collect()
}

#[test]
fn every_threshold_and_its_neighbours_reach_the_librarys_leaves_in_every_engine() {
    let mut n_of_one_feature = 0;
    for name in NAMES.into_iter().filter(|name| *name != "one-leaf") {
        let model = model(name);
        let rows = cuts(name);
        let mut held: Vec<Vec<u64>> =
            (0..model.names.len()).map(|f| rows.iter().map(|row| row.0[f].to_bits()).collect()).collect();
        for held in &mut held {
            held.sort_unstable();
        }
        let mut thresholds = vec![Vec::new(); model.names.len()];
        for node in model.forest.trees.iter().flat_map(|tree| &tree.nodes) {
            if let WideNode::Numeric { feature, threshold, .. } = node {
                for x in [*threshold, threshold.next_up(), threshold.next_down()].map(f64::to_bits) {
                    // Above the largest number the library knows nothing but that number again.
                    let is_held = held[*feature as usize].binary_search(&x).is_ok();
                    assert!(is_held || !threshold.is_finite(), "{name}: no row holds {:?}", f64::from_bits(x));
                }
                thresholds[*feature as usize].push(threshold.to_bits());
            }
        }
        for mut of_one in thresholds {
            of_one.sort_unstable();
            of_one.dedup();
            n_of_one_feature = n_of_one_feature.max(of_one.len());
        }
        let choices = Width::available().into_iter().flat_map(|width| {
            let engines = [Engine::Walk, Engine::Quick, Engine::Scan];
            engines.map(|engine| Choice { engine: Some(engine), width })
        });
        let scorers: Vec<RowScorer> = choices.map(|choice| RowScorer::compile_with(&model, choice).unwrap()).collect();
        for (i, (row, raw_score, leaves)) in rows.iter().enumerate() {
            for (tree, &leaf) in model.forest.trees.iter().zip(leaves) {
                let n_splits = tree.nodes.iter().filter(|node| node.children().is_some()).count();
                assert_eq!(leaf_of(&model.forest, tree, row), Some(n_splits + leaf), "{name}, row {i}");
            }
            let expected = raw_score_naive(&model.forest, row);
            assert!((expected - raw_score).abs() <= 1e-9, "{name}, row {i}: {expected} {raw_score}");
            for scorer in &scorers {
                assert_eq!(scorer.raw_score(row).unwrap().to_bits(), expected.to_bits(), "{name}, row {i}");
            }
        }
    }
    assert!(n_of_one_feature > 254, "no feature needs 16-bit bins: {n_of_one_feature} thresholds");
}

#[test]
fn rows_have_the_librarys_reasons() {
    for name in NAMES {
        let model = model(name);
        let explainer = Explainer::compile(&model.forest).unwrap();
        let mut scratch = ExplainScratch::default();
        let mut parts = vec![0.0; model.names.len()];
        for (i, expected) in expected(name).iter().enumerate() {
            explainer.explain(&expected.row, &mut scratch, &mut parts).unwrap();
            let (expected_parts, mean) = expected.parts.split_at(parts.len());
            for (feature, (found, expected)) in parts.iter().zip(expected_parts).enumerate() {
                assert!((found - expected).abs() <= 1e-6, "{name}, row {i}, feature {feature}: {found} {expected}");
            }
            assert!((explainer.expected() - mean[0]).abs() <= 1e-9, "{name}");
            let sum = explainer.expected() + parts.iter().sum::<f64>();
            assert!((sum - expected.raw_score).abs() <= 1e-9, "{name}, row {i}");
        }
    }
}

#[test]
fn a_converted_model_is_the_same_after_writing_and_reading() {
    for name in NAMES {
        let model = model(name);
        assert_eq!(model.golden.len(), 8);
        let bytes = model.to_bytes().unwrap();
        let again = RowModel::from_bytes(&bytes).unwrap();
        assert!(RowModel::is_one(&bytes));
        assert_eq!(again.to_bytes().unwrap(), bytes, "{name}");
        assert_eq!((again.names, again.forest, again.facts), (model.names, model.forest, model.facts), "{name}");
    }
    let error = orderguard_inference::model::Model::from_bytes(&model("one-hot").to_bytes().unwrap()).unwrap_err();
    assert!(error.to_string().contains("takes rows by name"), "{error}");
}

#[test]
fn flipped_bits_and_cut_files_are_refused() {
    let bytes = model("one-leaf").to_bytes().unwrap();
    for at in 0..bytes.len() {
        assert!(RowModel::from_bytes(&bytes[..at]).is_err());
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        assert!(RowModel::from_bytes(&flipped).is_err(), "byte {at}");
    }
}

#[test]
fn facts_and_link_are_kept() {
    let model = model("one-hot");
    assert_eq!(model.calibration, orderguard_inference::model::Calibration::Platt { slope: 0.7, intercept: 0.0 });
    assert_eq!(model.names[5], "Column_5");
    assert!(model.describe().iter().any(|(name, value)| name == "objective" && value == "binary sigmoid:0.7"));
}

#[test]
fn kinds_that_are_not_read_are_named() {
    for (name, words) in [
        ("forest", "random forest"),
        ("linear", "linear leaves"),
        ("classes", "several classes are not read: num_class is 3"),
        ("regression", "objective \"regression\" is not read"),
    ] {
        let error = lightgbm::read(&text(&format!("refused-{name}.txt"))).unwrap_err();
        assert!(matches!(error, ImportError::Unsupported { .. }), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

/// The text with the first line that begins with `field=` replaced by that and `value`, and the line's number.
fn with_field(field: &str, value: &str) -> (Vec<u8>, usize) {
    let text = String::from_utf8(text("missing-nan.txt")).unwrap();
    let start = format!("{field}=");
    let at = text.lines().position(|line| line.starts_with(&start)).unwrap();
    let lines: Vec<String> =
        text.lines().enumerate().map(|(i, line)| if i == at { start.clone() + value } else { line.into() }).collect();
    ((lines.join("\n") + "\n").into_bytes(), at + 1)
}

#[test]
fn broken_fields_are_refused_with_their_line() {
    for (field, value) in [
        ("version", "v9"),
        ("num_class", "2"),
        ("num_class", "x"),
        ("max_feature_idx", "99999999999"),
        ("max_feature_idx", "7"),
        ("objective", "poisson"),
        ("objective", "binary sigmoid:-1"),
        ("feature_names", "a b c"),
        ("Tree", "1"),
        ("num_leaves", "0"),
        ("num_leaves", "18446744073709551615"),
        ("num_leaves", "13"),
        ("num_cat", "99"),
        ("num_cat", "18446744073709551615"),
        ("split_feature", "0 1 2 3 4 5 0 1 2 3 -1"),
        ("threshold", "nan 1 2 3 4 5 0 1 2 3 4"),
        ("decision_type", "12 0 0 0 0 0 0 0 0 0 0"),
        ("decision_type", "16 0 0 0 0 0 0 0 0 0 0"),
        ("left_child", "11 0 0 0 0 0 0 0 0 0 0"),
        ("left_child", "-13 0 0 0 0 0 0 0 0 0 0"),
        ("left_child", "-9223372036854775808 0 0 0 0 0 0 0 0 0 0"),
        ("leaf_value", "inf 1 2 3 4 5 6 7 8 9 10 11"),
        ("cat_boundaries", "0 9999 3"),
        ("cat_boundaries", "3 1 2"),
        ("cat_threshold", "4294967296"),
        ("leaf_count", "-1 1 2 3 4 5 6 7 8 9 10 11"),
        ("is_linear", "1"),
        ("tree_sizes", "1 2 3"),
    ] {
        let (text, line) = with_field(field, value);
        let error = lightgbm::read(&text).expect_err(field).to_string();
        // Numbers that lists are held against are found wrong at the list.
        let elsewhere =
            matches!(field, "num_leaves" | "num_cat" | "max_feature_idx" | "cat_threshold" | "decision_type");
        assert!(
            error.starts_with(&format!("line {line}: ")) || elsewhere && error.starts_with("line "),
            "{field}: {error}"
        );
    }
    for (field, value) in [
        ("split_feature", "6 1 2 3 4 5 0 1 2 3 4"),
        ("left_child", "0 0 0 0 0 0 0 0 0 0 0"),
        ("right_child", "1 1 1 1 1 1 1 1 1 1 1"),
        ("leaf_value", "1e300 1 2 3 4 5 6 7 8 9 10 11"),
    ] {
        let error = lightgbm::read(&with_field(field, value).0).unwrap_err();
        assert!(matches!(error, ImportError::Model(_) | ImportError::Precision { .. }), "{field}: {error}");
    }
    let names = with_field("feature_names", "a b c d e a").0;
    assert!(lightgbm::read(&names).unwrap_err().to_string().contains("found \"a\" twice"));
}

#[test]
fn cut_texts_and_flipped_bytes_never_panic() {
    let whole = text("missing-zero.txt");
    let end = whole.windows(12).position(|window| window == b"end of trees").unwrap();
    for at in (0..end + 12).step_by(7).chain(end - 40..end + 12) {
        assert!(lightgbm::read(&whole[..at]).is_err(), "cut at {at}");
    }
    let mut draw = 1u64;
    for _ in 0..1500 {
        let mut broken = whole.clone();
        for _ in 0..3 {
            draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = (draw >> 33) as usize % end;
            broken[at] = b"0123456789-. =\n\xFFe"[(draw >> 20) as usize % 17];
        }
        // A changed digit may leave a model: it must then be one that holds together.
        if let Ok(model) = lightgbm::read(&broken) {
            assert!(model.check().is_ok());
        }
    }
}
