//! Models as ONNX graphs, for runtimes that know no others.
//!
//! | | |
//! |---|---|
//! | operators | `ai.onnx` 18 and `ai.onnx.ml` 5 (`TreeEnsemble`): ONNX Runtime 1.20 and later |
//! | input `row` | rows of features as f32, of a converted model as f64; NaN is missing, any other bits are taken |
//! | output `raw_score` | f64, one column |
//! | output `probability` | f64, calibrated |
//! | output `decision` | i64: 0 approve, 1 challenge, 2 review, 3 decline; not there of a converted model |
//!
//! Everything is computed in 64 bits. Rows of 32 bits lose nothing by that, so every row takes its own leaves, at thresholds too;
//! leaves are whole steps whose sums are exact, so raw scores of trees and scorecards are those of our scorer to the bit (while
//! sums stay below 2^53 steps), those of logistic regressions within 1e-9. A category's level sets are looked up in a table before the
//! trees are walked, one column per different set, so that any number of levels is taken, and codes that are no known level go where
//! they go with us. Converted models keep their rules for missing zeros and codes.

use super::calibration::{decisions, probabilities};
use super::graph::{Graph, Kind};
use super::{ExportError, linear, scorecard, trees};
use crate::audit::model_id;
use crate::model::{Model, Predictor};
use crate::rows::RowModel;
use crate::validate;
use crate::wide::WideForest;

/// Largest file: what Protocol Buffers take.
const MAX_LEN: usize = i32::MAX as usize;

/// The ONNX file of a model. Equal models give equal bytes. O(size of the model).
///
/// # Errors
/// If the model contradicts itself or the file would be larger than 2 GiB.
pub fn of_model(model: &Model) -> Result<Vec<u8>, ExportError> {
    validate::check(model)?;
    let mut graph = Graph::default();
    let row = graph.cast("row", Kind::Double);
    let raw = match &model.predictor {
        Predictor::Gbt(forest) => trees::raw_scores(&mut graph, &WideForest::from(forest), &row),
        Predictor::Logistic(linear) => linear::raw_scores(&mut graph, linear, &row),
        Predictor::Scorecard(card) => scorecard::raw_scores(&mut graph, card, &row),
    };
    let probability = probabilities(&mut graph, &model.calibration, &raw);
    let decision = decisions(&mut graph, &model.threshold, &model.tiers, &raw);
    for (value, name) in [(&raw, "raw_score"), (&probability, "probability"), (&decision, "decision")] {
        graph.output(value, name);
    }
    let outputs = [("raw_score", Kind::Double), ("probability", Kind::Double), ("decision", Kind::Int)];
    let facts = [
        ("model", model_id(model)),
        ("kind", model.card.kind.clone()),
        ("threshold", format!("{:?}", model.threshold.raw_score)),
        ("features", model.spec.names().join("\n")),
    ];
    let description = "rows of order features (f32, NaN is missing) to raw score, probability of fraud and decision";
    let file = graph.finish(("row", Kind::Float, model.spec.len()), &outputs, description, &facts);
    sized(file)
}

/// As [`of_model`], of a converted model, whose rows are f64 and which decides nothing.
///
/// # Errors
/// As [`of_model`].
pub fn of_rows(model: &RowModel) -> Result<Vec<u8>, ExportError> {
    model.check()?;
    let mut graph = Graph::default();
    let raw = trees::raw_scores(&mut graph, &model.forest, "row");
    let probability = probabilities(&mut graph, &model.calibration, &raw);
    for (value, name) in [(&raw, "raw_score"), (&probability, "probability")] {
        graph.output(value, name);
    }
    let outputs = [("raw_score", Kind::Double), ("probability", Kind::Double)];
    let facts = [("kind", "converted trees".to_owned()), ("features", model.names.join("\n"))];
    let description = "rows of named values (f64, NaN is missing) to raw score and probability";
    let file = graph.finish(("row", Kind::Double, model.names.len()), &outputs, description, &facts);
    sized(file)
}

fn sized(file: super::protobuf::Message) -> Result<Vec<u8>, ExportError> {
    if file.len() > MAX_LEN { Err(ExportError::TooLarge { found: file.len() }) } else { Ok(file.bytes()) }
}
