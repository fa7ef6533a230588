//! From raw scores to probabilities and decisions, operation by operation as our own scorer does.

use super::graph::{Graph, Name};
use crate::decision::{Decision, Tier};
use crate::model::{Calibration, Threshold};

/// Probabilities of raw scores, both in one column.
pub(super) fn probabilities(graph: &mut Graph, calibration: &Calibration, raw: &str) -> Name {
    let log_odds = match calibration {
        Calibration::Platt { slope, intercept } => {
            let (slope, intercept) = (graph.double(*slope), graph.double(*intercept));
            let scaled = graph.node("Mul", &[&slope, raw]);
            graph.node("Add", &[&scaled, &intercept])
        }
        Calibration::Beta { a, b, c } => beta(graph, raw, *a, *b, *c),
        Calibration::Isotonic { knots } => lines(graph, raw, knots),
    };
    sigmoid(graph, &log_odds)
}

/// As [`crate::calibrate::log_odds`]: a weight of 0 leaves its term out.
fn beta(graph: &mut Graph, raw: &str, a: f64, b: f64, c: f64) -> Name {
    let mut terms = Vec::new();
    if a != 0.0 {
        let below = graph.node("Neg", &[raw]);
        let (weight, below) = (graph.double(-a), softplus(graph, &below));
        terms.push(graph.node("Mul", &[&weight, &below]));
    }
    if b != 0.0 {
        let (weight, above) = (graph.double(b), softplus(graph, raw));
        terms.push(graph.node("Mul", &[&weight, &above]));
    }
    terms.push(graph.double(c));
    // A checked map has a term at least.
    terms.into_iter().reduce(|sum, term| graph.node("Add", &[&sum, &term])).unwrap_or_default()
}

/// `ln(1 + exp(x))` without overflow.
fn softplus(graph: &mut Graph, x: &str) -> Name {
    let (zero, one, size) = (graph.double(0.0), graph.double(1.0), graph.node("Abs", &[x]));
    let below = graph.node("Neg", &[&size]);
    let below = graph.node("Exp", &[&below]);
    let below = graph.node("Add", &[&one, &below]);
    let below = graph.node("Log", &[&below]);
    let above = graph.node("Max", &[x, &zero]);
    graph.node("Add", &[&above, &below])
}

/// Straight lines between knots, slope 1 outside: the piece of each score from a table, with the ends that rounding must not cross.
fn lines(graph: &mut Graph, raw: &str, knots: &[(f64, f64)]) -> Name {
    let (Some(&first), Some(&last)) = (knots.first(), knots.last()) else { return raw.to_owned() };
    let unbounded = (f64::NEG_INFINITY, f64::INFINITY);
    // From, to what it maps, width, height, lowest and highest log-odds of the piece.
    let mut pieces = vec![[first.0, first.1, 1.0, 1.0, unbounded.0, first.1]];
    for pair in knots.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        pieces.push([from.0, from.1, to.0 - from.0, to.1 - from.1, from.1, to.1]);
    }
    pieces.push([last.0, last.1, 1.0, 1.0, last.1, unbounded.1]);
    let at = graph.reached(raw, &knots.iter().map(|knot| knot.0).collect::<Vec<_>>());
    let table = graph.double_table(pieces.len(), pieces.as_flattened());
    let piece = graph.look_up(&table, &at);
    let [from, start, width, height, lowest, highest] = [0, 1, 2, 3, 4, 5].map(|at| graph.columns(&piece, &[at]));
    let way = graph.node("Sub", &[raw, &from]);
    let way = graph.node("Div", &[&way, &width]);
    let way = graph.node("Mul", &[&way, &height]);
    let value = graph.node("Add", &[&start, &way]);
    let value = graph.node("Max", &[&value, &lowest]);
    graph.node("Min", &[&value, &highest])
}

/// `1 / (1 + exp(-x))`, the exponential taken of a number that is not positive.
fn sigmoid(graph: &mut Graph, x: &str) -> Name {
    let (zero, one, size) = (graph.double(0.0), graph.double(1.0), graph.node("Abs", &[x]));
    let e = graph.node("Neg", &[&size]);
    let e = graph.node("Exp", &[&e]);
    let whole = graph.node("Add", &[&one, &e]);
    let (above, below) = (graph.node("Div", &[&one, &whole]), graph.node("Div", &[&e, &whole]));
    let is_above = graph.node("GreaterOrEqual", &[x, &zero]);
    graph.node("Where", &[&is_above, &above, &below])
}

/// Decisions of raw scores as whole numbers: 0 approve, 1 challenge, 2 review, 3 decline.
pub(super) fn decisions(graph: &mut Graph, threshold: &Threshold, tiers: &[Tier], raw: &str) -> Name {
    let stopped = [Tier { decision: Decision::Review, raw_score: threshold.raw_score }];
    let tiers = if tiers.is_empty() { &stopped } else { tiers };
    let reached = graph.reached(raw, &tiers.iter().map(|tier| tier.raw_score).collect::<Vec<_>>());
    let decisions: Vec<i64> = std::iter::once(0).chain(tiers.iter().map(|tier| tier.decision as i64)).collect();
    let table = graph.int_row(&decisions);
    graph.node("Gather", &[&table, &reached])
}
