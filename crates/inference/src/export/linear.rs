//! Logistic regression as arithmetic on columns.

use super::graph::{Graph, Name};
use super::trees::codes;
use crate::model::{LinearModel, LinearTerm};
use crate::wide::Codes;
use orderguard_features::language::feature::{FIRST_SEEN, FIRST_SEEN_Z_SCORE};

/// What stands in one column of the numeric terms.
#[derive(Default)]
struct Numeric {
    features: Vec<u32>,
    low: Vec<f64>,
    high: Vec<f64>,
    log: Vec<f64>,
    mean: Vec<f64>,
    scale: Vec<f64>,
    weight: Vec<f64>,
    missing: Vec<f64>,
    has_first_seen: Vec<f64>,
    first_seen: Vec<f64>,
}

/// The raw scores of a checked model, in one column. `row` is a matrix of 64-bit numbers that 32 bits hold.
///
/// Terms are added in an order of the runtime's and `log1p` is `log(1 + x)`: scores agree to about 1e-12 of the largest term.
pub(super) fn raw_scores(graph: &mut Graph, model: &LinearModel, row: &str) -> Name {
    let mut numeric = Numeric::default();
    let mut parts = Vec::new();
    for term in &model.terms {
        match term {
            LinearTerm::Numeric { feature, weight, low, high, log, mean, scale, missing, first_seen } => {
                numeric.features.push(*feature);
                numeric.low.push(f64::from(*low));
                numeric.high.push(f64::from(*high));
                numeric.log.push(f64::from(u8::from(*log)));
                numeric.mean.push(*mean);
                numeric.scale.push(*scale);
                numeric.weight.push(*weight);
                numeric.missing.push(*missing);
                numeric.has_first_seen.push(f64::from(u8::from(first_seen.is_some())));
                numeric.first_seen.push(first_seen.unwrap_or(0.0));
            }
            LinearTerm::Categorical { feature, levels, missing } => {
                parts.push(levels_of(graph, row, *feature, levels, *missing));
            }
        }
    }
    if !numeric.features.is_empty() {
        parts.push(numeric.contributions(graph, row));
    }
    let intercept = graph.double(model.intercept);
    let sum = if parts.is_empty() {
        // As many zeros as there are rows.
        let first = graph.columns(row, &[0]);
        let is_missing = graph.node("IsNaN", &[&first]);
        let zero = graph.double(0.0);
        graph.node("Where", &[&is_missing, &zero, &zero])
    } else {
        let all = graph.side_by_side(&parts);
        graph.row_sums(&all)
    };
    graph.node("Add", &[&intercept, &sum])
}

impl Numeric {
    /// One column per term.
    fn contributions(&self, graph: &mut Graph, row: &str) -> Name {
        let x = graph.columns(row, &self.features);
        let (low, high) = (graph.double_row(&self.low), graph.double_row(&self.high));
        let clamped = graph.node("Max", &[&x, &low]);
        let clamped = graph.node("Min", &[&clamped, &high]);
        // sign(x) ln(1 + |x|), where the term asks for it.
        let (sign, size, one) = (graph.node("Sign", &[&clamped]), graph.node("Abs", &[&clamped]), graph.double(1.0));
        let size = graph.node("Add", &[&one, &size]);
        let log = graph.node("Log", &[&size]);
        let log = graph.node("Mul", &[&sign, &log]);
        let half = graph.double(0.5);
        let wants_log = graph.double_row(&self.log);
        let wants_log = graph.node("Greater", &[&wants_log, &half]);
        let value = graph.node("Where", &[&wants_log, &log, &clamped]);
        let (mean, scale, weight) =
            (graph.double_row(&self.mean), graph.double_row(&self.scale), graph.double_row(&self.weight));
        let centred = graph.node("Sub", &[&value, &mean]);
        let standard = graph.node("Div", &[&centred, &scale]);
        let mut out = graph.node("Mul", &[&weight, &standard]);
        // Entities that are seen for the first time have a weight of their own.
        if self.has_first_seen.iter().any(|&has| has > 0.0) {
            let firsts = [FIRST_SEEN, FIRST_SEEN_Z_SCORE].map(|first| graph.double(f64::from(first)));
            let is_first = firsts.map(|first| graph.node("Equal", &[&x, &first]));
            let is_first = graph.node("Or", &[&is_first[0], &is_first[1]]);
            let has = graph.double_row(&self.has_first_seen);
            let has = graph.node("Greater", &[&has, &half]);
            let is_first = graph.node("And", &[&is_first, &has]);
            let first_seen = graph.double_row(&self.first_seen);
            out = graph.node("Where", &[&is_first, &first_seen, &out]);
        }
        let is_missing = graph.node("IsNaN", &[&x]);
        let missing = graph.double_row(&self.missing);
        graph.node("Where", &[&is_missing, &missing, &out])
    }
}

/// What the level of each row adds, in one column: codes that are not known add the last entry.
fn levels_of(graph: &mut Graph, row: &str, feature: u32, levels: &[f64], missing: f64) -> Name {
    let column = graph.columns(row, &[feature]);
    let known = levels.len().saturating_sub(1);
    let codes = codes(graph, &column, Codes::Whole, known);
    let table = graph.double_table(levels.len().max(1), if levels.is_empty() { &[0.0] } else { levels });
    let added = graph.look_up(&table, &codes);
    let is_missing = graph.node("IsNaN", &[&column]);
    let missing = graph.double(missing);
    graph.node("Where", &[&is_missing, &missing, &added])
}
