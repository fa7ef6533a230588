//! Scorecards: points of numeric characteristics as trees, those of categories from a table.

use super::graph::{Graph, Name};
use super::trees::{AT_MOST, Child, EQUAL, Ensemble, codes};
use crate::model::{Characteristic, ScoreBin, Scorecard};
use crate::wide::Codes;

/// The raw scores of a checked card, in one column. `row` is a matrix of 64-bit numbers that 32 bits hold.
///
/// Points are whole numbers, so their sums are exact, and what follows is computed as our own scorer does.
pub(super) fn raw_scores(graph: &mut Graph, card: &Scorecard, row: &str) -> Name {
    let mut ensemble = Ensemble::default();
    let mut parts = Vec::new();
    for characteristic in &card.characteristics {
        match characteristic {
            Characteristic::Numeric { feature, specials, upper, bins, missing } => {
                steps(&mut ensemble, *feature as usize, specials, upper, bins, missing);
            }
            Characteristic::Categorical { feature, groups, bins, missing } => {
                let points: Vec<f64> = groups.iter().map(|&group| f64::from(bins[group as usize].points)).collect();
                let column = graph.columns(row, &[*feature]);
                let codes = codes(graph, &column, Codes::Whole, points.len() - 1);
                let table = graph.double_table(points.len(), &points);
                let added = graph.look_up(&table, &codes);
                let is_missing = graph.node("IsNaN", &[&column]);
                let missing = graph.double(f64::from(missing.points));
                parts.push(graph.node("Where", &[&is_missing, &missing, &added]));
            }
        }
    }
    parts.push(ensemble.finish(graph, row));
    let points = graph.side_by_side(&parts);
    let points = graph.row_sums(&points);
    let start = graph.double(f64::from(card.start));
    let points = graph.node("Add", &[&start, &points]);
    let scale = &card.scale;
    let base_score = graph.double(scale.base_score);
    let above = graph.node("Sub", &[&points, &base_score]);
    let per_point = graph.double(std::f64::consts::LN_2 / scale.points_to_double);
    let scaled = graph.node("Mul", &[&above, &per_point]);
    let base = graph.double(libm::log(scale.base_odds));
    graph.node("Sub", &[&scaled, &base])
}

/// A tree that finds the bin of a value: missing first, then special values, then the bins by halves.
fn steps(
    ensemble: &mut Ensemble,
    feature: usize,
    specials: &[(f32, ScoreBin)],
    upper: &[f32],
    bins: &[ScoreBin],
    missing: &ScoreBin,
) {
    let points = |bin: &ScoreBin| Child::Leaf(f64::from(bin.points));
    ensemble.begin_tree();
    let at = ensemble.next_node();
    let has_bins = !upper.is_empty();
    // Everything but NaN is at most infinity.
    let after = if specials.is_empty() && !has_bins { points(&bins[0]) } else { Child::Node(at + 1) };
    ensemble.node(feature, AT_MOST, f64::INFINITY, false, [after, points(missing)]);
    for (i, (special, bin)) in specials.iter().enumerate() {
        let at = ensemble.next_node();
        let is_last = i + 1 == specials.len() && !has_bins;
        let after = if is_last { points(&bins[0]) } else { Child::Node(at + 1) };
        ensemble.node(feature, EQUAL, f64::from(*special), false, [points(bin), after]);
    }
    if has_bins {
        halves(ensemble, feature, upper, bins);
    }
}

/// Splits the bins in the middle, then each half: depth log2(bins).
fn halves(ensemble: &mut Ensemble, feature: usize, upper: &[f32], bins: &[ScoreBin]) {
    let middle = (upper.len() - 1) / 2;
    let (left_ends, right_ends) = (&upper[..middle], &upper[middle + 1..]);
    let (left_bins, right_bins) = bins.split_at(middle + 1);
    let at = ensemble.next_node();
    // The left half stands behind its parent, the right one behind the left.
    let child = |ends: &[f32], bins: &[ScoreBin], at: i64| {
        if ends.is_empty() { Child::Leaf(f64::from(bins[0].points)) } else { Child::Node(at) }
    };
    let left = child(left_ends, left_bins, at + 1);
    let right = child(right_ends, right_bins, at + 1 + left_ends.len() as i64);
    ensemble.node(feature, AT_MOST, f64::from(upper[middle]), false, [left, right]);
    for (ends, bins) in [(left_ends, left_bins), (right_ends, right_bins)] {
        if !ends.is_empty() {
            halves(ensemble, feature, ends, bins);
        }
    }
}
