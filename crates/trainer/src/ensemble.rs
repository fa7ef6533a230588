//! One model from several: the mean of their scores.

use orderguard_inference::model::{Forest, Node};

/// A forest whose raw score is the mean of those of the given ones, but for the rounding of each leaf to a whole unit.
///
/// # Panics
/// If there is none, or they differ in the length of rows or the unit of scores: a caller's bug.
pub fn average(forests: &[Forest]) -> Forest {
    let first = &forests[0];
    let alike = |other: &Forest| (other.n_features, other.scale_bits) == (first.n_features, first.scale_bits);
    assert!(forests.iter().all(alike), "forests of one kind");
    let n = forests.len() as f64;
    let base: i128 = forests.iter().map(|forest| i128::from(forest.base)).sum();
    let mut trees = Vec::with_capacity(forests.iter().map(|forest| forest.trees.len()).sum());
    for tree in forests.iter().flat_map(|forest| &forest.trees) {
        let mut tree = tree.clone();
        for node in &mut tree.nodes {
            if let Node::Leaf { value } = node {
                *value = (f64::from(*value) / n).round_ties_even() as i32;
            }
        }
        trees.push(tree);
    }
    let base = (base as f64 / n).round_ties_even() as i64;
    Forest { n_features: first.n_features, base, scale_bits: first.scale_bits, trees }
}
