//! Models in other forms score the same: ONNX graphs run by a runtime of the tests' own, dumps walked as JSON.

use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::Value;

use super::onnx::Onnx;
use super::samples::{
    N_FEATURES, THRESHOLDS, any_calibration, any_predictor, any_row, converted, gbt, logistic, model, scorecard, spoken,
};
use crate::calibrate::probability;
use crate::decision::{Decision, decide};
use crate::export::{json, onnx};
use crate::import::{lightgbm, xgboost};
use crate::model::{Calibration, LinearModel, LinearTerm, Model, Predictor};
use crate::rows::{RowModel, RowScorer};
use crate::tree::unit;
use crate::wide::{WideForest, WideNode, raw_score_naive};
use crate::{Scorer, linear};

/// What our own scorer says, against what the graph says of the same rows.
fn compare(model: &Model, rows: &[Vec<f32>]) {
    let file = onnx::of_model(model).unwrap();
    assert_eq!(onnx::of_model(model).unwrap(), file);
    let graph = Onnx::read(&file);
    assert_eq!(graph.outputs, ["raw_score", "probability", "decision"]);
    let wide: Vec<f64> = rows.iter().flatten().map(|&x| f64::from(x)).collect();
    let found = graph.run(&wide);
    let scorer = Scorer::compile(model).unwrap();
    for (i, row) in rows.iter().enumerate() {
        let expected = scorer.score(row).unwrap();
        let raw = found["raw_score"][i];
        let tolerance = match &model.predictor {
            // Sums of more steps than 64-bit numbers hold are rounded twice.
            Predictor::Gbt(forest) if expected.raw_score.abs() >= unit(forest.scale_bits) * 2f64.powi(52) => {
                expected.raw_score.abs() * 1e-15
            }
            Predictor::Gbt(_) | Predictor::Scorecard(_) => 0.0,
            Predictor::Logistic(linear) => largest(linear, row) * 1e-14,
        };
        let is_same = raw.to_bits() == expected.raw_score.to_bits() || (raw - expected.raw_score).abs() <= tolerance;
        assert!(is_same, "row {i}: {raw} {}", expected.raw_score);
        let by_ours = probability(&model.calibration, raw);
        assert!((found["probability"][i] - by_ours).abs() <= 1e-12, "{} {by_ours}", found["probability"][i]);
        assert_eq!(found["decision"][i], f64::from(decide(&model.threshold, &model.tiers, raw) as u8));
    }
}

/// The sum of what terms add, without signs, and of what a step of 1 in their logarithms would: what rounding is measured by.
fn largest(linear: &LinearModel, row: &[f32]) -> f64 {
    let of = |term: &LinearTerm| {
        let slope = match term {
            LinearTerm::Numeric { weight, scale, .. } => (weight / scale).abs(),
            LinearTerm::Categorical { .. } => 0.0,
        };
        slope + term.contribution(row[term.feature() as usize]).abs()
    };
    linear.intercept.abs() + linear.terms.iter().map(of).sum::<f64>()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn graphs_score_as_we_do(
        predictor in any_predictor(),
        calibration in any_calibration(),
        rows in prop::collection::vec(any_row(), 1..8),
        with_tiers: bool,
    ) {
        let mut model = model(predictor, calibration);
        if with_tiers {
            model.tiers = spoken().tiers;
        }
        compare(&model, &rows);
    }
}

/// Rows at thresholds and beside them, with odd codes, missing and infinite values.
fn odd_rows() -> Vec<Vec<f32>> {
    let mut odd: Vec<f32> = THRESHOLDS.iter().flat_map(|&x| [x, x.next_up(), x.next_down()]).collect();
    odd.extend([250.5, 250.5f32.next_up(), f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 2.0, 3.0, 255.0, 256.0, 1e30]);
    (0..200).map(|i| (0..N_FEATURES as usize).map(|j| odd[(i * 31 + j * 17 + i / 7) % odd.len()]).collect()).collect()
}

#[test]
fn graphs_of_samples_score_as_we_do() {
    for model in [gbt(), logistic(), scorecard(), spoken()] {
        compare(&model, &odd_rows());
        let facts = Onnx::read(&onnx::of_model(&model).unwrap()).facts;
        assert_eq!(facts["model"], crate::audit::model_id(&model));
        assert_eq!(facts["features"].lines().count(), 5);
    }
    let nothing = LinearModel { n_features: N_FEATURES, intercept: 0.5, terms: vec![] };
    compare(&model(Predictor::Logistic(nothing), Calibration::Platt { slope: 2.0, intercept: 1.0 }), &odd_rows());
}

/// Converted models: the samples' and those that other libraries wrote.
fn imported() -> Vec<(String, RowModel)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut models = vec![("sample".to_owned(), converted())];
    for name in ["infinite-threshold", "missing-nan", "missing-zero", "missing-none", "one-hot", "one-leaf"] {
        let text = std::fs::read(folder.join(format!("lightgbm/{name}.txt"))).unwrap();
        models.push((name.to_owned(), lightgbm::read(&text).unwrap()));
    }
    for name in ["categories", "dart", "numeric", "one-hot", "one-leaf", "version-1"] {
        let text = std::fs::read(folder.join(format!("xgboost/{name}.json"))).unwrap();
        models.push((name.to_owned(), xgboost::read(&text, xgboost::Rounds::Best).unwrap()));
    }
    models
}

/// Values that splits of a forest tell apart, and odd ones.
fn wide_rows(forest: &WideForest) -> Vec<f64> {
    let mut odd =
        vec![f64::NAN, 0.0, -0.0, 1e-36, -1e-36, 2.7, -0.5, -1.0, 1e300, f64::INFINITY, f64::NEG_INFINITY, 63.0, 64.0];
    for node in forest.trees.iter().flat_map(|tree| &tree.nodes).take(400) {
        if let WideNode::Numeric { threshold, .. } = node {
            odd.extend([*threshold, threshold.next_up(), threshold.next_down(), f64::from(*threshold as f32)]);
        }
    }
    (0..300 * forest.n_features as usize).map(|i| odd[(i * 37 + i / 13) % odd.len()]).collect()
}

#[test]
fn graphs_of_converted_models_take_the_same_leaves() {
    for (name, model) in imported() {
        let graph = Onnx::read(&onnx::of_rows(&model).unwrap());
        assert_eq!(graph.outputs, ["raw_score", "probability"]);
        let rows = wide_rows(&model.forest);
        let found = graph.run(&rows);
        let scorer = RowScorer::compile(&model).unwrap();
        for (i, row) in rows.chunks_exact(model.names.len()).enumerate() {
            let expected = raw_score_naive(&model.forest, row);
            let raw = found["raw_score"][i];
            // Leaves of converted models may be finer than 64-bit numbers; one leaf more or less would be far beyond this.
            assert!((raw - expected).abs() <= 1e-12, "{name}, row {i}: {raw} {expected}");
            assert!((found["probability"][i] - scorer.probability(raw)).abs() <= 1e-12);
        }
    }
}

#[test]
fn contradictions_are_not_exported() {
    let mut model = gbt();
    model.threshold.probability = 0.9;
    assert!(onnx::of_model(&model).unwrap_err().to_string().starts_with("threshold: probability: expected"));
    let mut model = converted();
    model.names[0] = model.names[1].clone();
    assert!(onnx::of_rows(&model).unwrap_err().to_string().starts_with("names: expected each once"));
}

/// A number of a dump: infinite ones are texts.
fn number(value: &Value) -> f64 {
    match value.as_str() {
        Some("inf") => f64::INFINITY,
        Some("-inf") => f64::NEG_INFINITY,
        Some(other) => panic!("{other}"),
        None => value.as_f64().unwrap(),
    }
}

/// The leaf of a tree of a dump.
fn leaf(tree: &Value, row: &[f64], truncated: bool) -> f64 {
    let nodes = tree.as_array().unwrap();
    let mut at = 0;
    loop {
        let node = &nodes[at];
        assert_eq!(node["node"], at);
        let Some(feature) = node["feature"].as_u64() else { return number(&node["leaf"]) };
        let x = row[feature as usize];
        let is_zero = node["zero_is_missing"] == true && x.abs() <= f64::from(1e-35f32);
        let next = if x.is_nan() || is_zero {
            "missing"
        } else {
            let holds = if let Some(threshold) = node.get("at_most") {
                x <= number(threshold)
            } else {
                let x = if truncated { x.trunc() } else { x };
                node["in"].as_array().unwrap().iter().any(|code| number(code) == x)
            };
            if holds { "yes" } else { "no" }
        };
        at = node[next].as_u64().unwrap() as usize;
    }
}

#[test]
fn dumps_of_trees_score_as_we_do() {
    let model = spoken();
    let dump: Value = serde_json::from_str(&json::of_model(&model)).unwrap();
    let sum = |dump: &Value, row: &[f64], truncated| {
        let trees = dump["trees"].as_array().unwrap();
        number(&dump["base"]) + trees.iter().map(|tree| leaf(tree, row, truncated)).sum::<f64>()
    };
    let scorer = Scorer::compile(&model).unwrap();
    for row in odd_rows() {
        let wide: Vec<f64> = row.iter().map(|&x| f64::from(x)).collect();
        assert_eq!(sum(&dump, &wide, false).to_bits(), scorer.raw_score(&row).unwrap().to_bits(), "{row:?}");
    }
    let model = converted();
    let dump: Value = serde_json::from_str(&json::of_rows(&model)).unwrap();
    for row in wide_rows(&model.forest).chunks_exact(3) {
        assert!((sum(&dump, row, true) - raw_score_naive(&model.forest, row)).abs() <= 1e-12, "{row:?}");
    }
}

#[test]
fn dumps_hold_what_models_hold() {
    let dump = |model: &Model| -> Value { serde_json::from_str(&json::of_model(model)).unwrap() };
    let trees = dump(&spoken());
    assert_eq!(
        (&trees["format"], &trees["version"], &trees["kind"]),
        (&"orderguard model".into(), &1.into(), &"trees".into())
    );
    assert_eq!(trees["features"][2]["levels"], serde_json::json!(["PL", "DE", "Åland"]));
    assert_eq!(trees["features"][4]["name"], "count(order) by \"card \\\"no\\\"\" over 1d");
    assert_eq!(trees["tiers"].as_array().unwrap().len(), 3);
    assert_eq!(trees["tiers"][2], serde_json::json!({ "decision": Decision::Decline.name(), "raw_score": 1.5 }));
    assert_eq!(trees["threshold"]["raw_score"], 0.75);
    assert_eq!(trees["schema"]["columns"][0]["name"], "order \"id\"\nof the shop");

    let model = logistic();
    let linear = dump(&model);
    let Predictor::Logistic(of) = &model.predictor else { unreachable!("the sample is linear") };
    for (term, of) in linear["terms"].as_array().unwrap().iter().zip(&of.terms) {
        // A term by its dump alone.
        let x = 40.0f64;
        let found = if let Some(levels) = term.get("levels") {
            number(levels.as_array().unwrap().last().unwrap())
        } else {
            let value = if term["log"] == true { x.ln_1p() } else { x };
            number(&term["weight"]) * ((value - number(&term["mean"])) / number(&term["scale"]))
        };
        assert!((found - of.contribution(40.0)).abs() < 1e-12);
        assert_eq!(number(&term["missing"]), of.contribution(f32::NAN));
    }
    assert_eq!(
        number(&linear["intercept"]),
        linear::raw_score(&LinearModel { terms: vec![], ..of.clone() }, &[0.0; 5])
    );
    assert_eq!(linear["calibration"]["knots"][1], serde_json::json!([-1.0, -5.75]));

    let card = dump(&scorecard());
    assert_eq!(card["points"]["start"], 421);
    assert_eq!(card["characteristics"][0]["bins"][2]["up_to"], "inf");
    assert_eq!(card["characteristics"][1]["bins"][0]["codes"], serde_json::json!([0, 1]));
    assert_eq!(card["characteristics"][2]["bins"][0]["exactly"], -1.0);
    assert_eq!(card["characteristics"][2]["missing"]["points"], 0);
}

/// The dump of the kept model, word for word. `ORDERGUARD_REWRITE=1` writes it anew.
#[test]
fn the_kept_dump_is_that_of_the_kept_model() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/tests/export.json");
    let found = json::of_model(&spoken());
    if std::env::var_os("ORDERGUARD_REWRITE").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), found);
}
