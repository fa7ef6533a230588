//! Whether a wide forest makes sense: what engines and reasons rely on.

use super::{WideForest, WideNode, WideTree};
use crate::error::ModelError;
use crate::validate::{MAX_FEATURES, MAX_NODES, MAX_TREES};

/// Largest `scale_bits` of a wide forest.
pub const MAX_WIDE_SCALE_BITS: u8 = 60;
/// Bound of the sums: base and the largest leaves together stay below it, so that no order of adding overflows.
const MAX_SUM: u64 = 1 << 62;

impl WideForest {
    /// Checks all that scoring relies on: one tree shape, features in the row, sets in their tree, sums that cannot
    /// overflow. O(nodes).
    pub fn check(&self) -> Result<(), ModelError> {
        let count = |of, found: usize, limit: u64| {
            if found as u64 <= limit { Ok(()) } else { Err(ModelError::Count { of, found: found as u64, limit }) }
        };
        if self.n_features == 0 {
            return Err(ModelError::Empty { of: "features" });
        }
        count("features", self.n_features as usize, MAX_FEATURES)?;
        if self.scale_bits > MAX_WIDE_SCALE_BITS {
            let found = f64::from(self.scale_bits);
            return Err(ModelError::Value { place: "forest".into(), field: "scale_bits", found, expected: "0 to 60" });
        }
        count("trees", self.trees.len(), MAX_TREES)?;
        count("nodes", self.trees.iter().map(|tree| tree.nodes.len()).sum(), MAX_NODES)?;
        let mut largest = self.base.unsigned_abs();
        let mut n_parents = Vec::new();
        for (i, tree) in self.trees.iter().enumerate() {
            largest = largest.saturating_add(check_tree(i as u32, tree, self.n_features, &mut n_parents)?);
            if largest >= MAX_SUM {
                let expected = "leaves whose sum stays below 2^62 steps";
                let place = format!("tree {i}");
                return Err(ModelError::Value { place, field: "largest raw score", found: largest as f64, expected });
            }
        }
        Ok(())
    }
}

/// Checks one tree and gives the largest magnitude of its leaves.
fn check_tree(tree_idx: u32, tree: &WideTree, n_features: u32, n_parents: &mut Vec<u32>) -> Result<u64, ModelError> {
    if tree.nodes.is_empty() {
        return Err(ModelError::EmptyTree { tree: tree_idx });
    }
    let n_nodes = tree.nodes.len() as u32;
    if !(tree.n_rows.is_empty() || tree.n_rows.len() == tree.nodes.len()) {
        let (found, expected) = (tree.n_rows.len() as u64, u64::from(n_nodes));
        return Err(ModelError::Length { of: format!("row counts of tree {tree_idx}"), found, expected });
    }
    n_parents.clear();
    n_parents.resize(tree.nodes.len(), 0);
    let mut largest = 0;
    for (node_idx, node) in tree.nodes.iter().enumerate() {
        let place = || format!("tree {tree_idx}, node {node_idx}");
        match *node {
            WideNode::Leaf { value } => largest = largest.max(value.unsigned_abs()),
            WideNode::Numeric { threshold, .. } if threshold.is_nan() => {
                let expected = "a number";
                return Err(ModelError::Value { place: place(), field: "threshold", found: threshold, expected });
            }
            WideNode::Categorical { first_word, n_words, .. }
                if u64::from(first_word) + u64::from(n_words) > tree.words.len() as u64 =>
            {
                return Err(ModelError::LevelSetOutOfRange {
                    tree: tree_idx,
                    node: node_idx as u32,
                    level_set: first_word,
                    n_level_sets: tree.words.len() as u32,
                });
            }
            _ => {}
        }
        let (Some((left, right)), Some(feature)) = (node.children(), node.feature()) else { continue };
        if feature >= n_features {
            return Err(ModelError::FeatureOutOfRange { place: place(), feature, n_features });
        }
        for child in [left, right] {
            if child >= n_nodes {
                return Err(ModelError::ChildOutOfRange { tree: tree_idx, node: node_idx as u32, child, n_nodes });
            }
            if child as usize <= node_idx {
                return Err(ModelError::ChildBeforeParent { tree: tree_idx, node: node_idx as u32, child });
            }
            n_parents[child as usize] += 1;
        }
    }
    match n_parents.iter().skip(1).position(|&n| n != 1) {
        None => Ok(largest),
        Some(at) => Err(ModelError::NotOneParent { tree: tree_idx, node: at as u32 + 1, n_parents: n_parents[at + 1] }),
    }
}
