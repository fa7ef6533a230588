//! The obvious way to score with wide trees: the oracle of the engines.

use super::{WideForest, WideTree};
use crate::tree::unit;

/// Raw score of a row, by walking each tree from its root. The meaning of a forest; engines give the same bits, faster.
///
/// `row` holds `n_features` values, NaN = missing. In a forest that [`WideForest::check`] refuses, children that do not exist
/// end the walk with nothing added.
pub fn raw_score_naive(forest: &WideForest, row: &[f64]) -> f64 {
    let mut sum = forest.base;
    for tree in &forest.trees {
        let value = leaf_of(forest, tree, row).and_then(|at| match tree.nodes[at] {
            super::WideNode::Leaf { value } => Some(value),
            _ => None,
        });
        sum = sum.wrapping_add(value.unwrap_or(0));
    }
    sum as f64 * unit(forest.scale_bits)
}

/// Position of the node at which a row's walk through a tree ends: a leaf, in a forest that makes sense.
pub fn leaf_of(forest: &WideForest, tree: &WideTree, row: &[f64]) -> Option<usize> {
    let mut at = 0;
    // Children stand after their parent, so a walk takes at most as many steps as there are nodes.
    for _ in 0..tree.nodes.len() {
        let node = tree.nodes.get(at)?;
        let (Some((left, right)), Some(feature)) = (node.children(), node.feature()) else { return Some(at) };
        let x = row.get(feature as usize).copied().unwrap_or(f64::NAN);
        at = if node.goes_left(&tree.words, forest.codes, x) { left } else { right } as usize;
    }
    None
}
