//! What all engines run on: every split as a comparison of one byte with another.
//!
//! The thresholds of a feature are sorted, and a value becomes its rank: how many of them are below it. A split with the
//! i-th threshold sends the value left when its rank is at most i. So a row is ranked once, into one byte per *column*, and no
//! split looks at a floating-point number again. A column is a feature with one way to treat missing values: those go left as
//! byte 0 and right as byte 255. A feature with more than 255 thresholds has a column for each 255 of them.
//!
//! Level sets that lie inside each other are one column too, see [`sets`]: the byte of a level is the rank of the smallest of them
//! that holds it.

mod sets;

use std::collections::BTreeMap;

use crate::wide::{Codes, Missing, WideForest, WideNode};
pub(super) use sets::LevelRanks;

/// Thresholds per column: ranks 0 to 254 can be compared with, 255 is above all.
pub(super) const CUTS_PER_COLUMN: usize = 255;
/// The byte of a missing value that goes right.
pub(super) const ABOVE_ALL: u8 = 255;

/// A forest in ranks.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) n_features: usize,
    pub(super) base: i64,
    pub(super) scale_bits: u8,
    pub(super) codes: Codes,
    /// Features with numeric splits, and their thresholds in ascending order, each once.
    pub(super) cuts: Vec<(u32, Vec<f64>)>,
    pub(super) columns: Vec<Column>,
    /// The columns of level sets.
    pub(super) levels: Vec<LevelRanks>,
    pub(super) trees: Vec<PlanTree>,
}

/// Where the byte of a column comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    /// The rank of a feature, less `offset`, held to 0..=255.
    Rank {
        /// Position in [`Plan::cuts`].
        slot: u32,
        offset: u32,
        missing: Missing,
    },
    /// The smallest of some level sets that hold the value of a feature, by [`Plan::levels`].
    Levels,
}

/// A tree whose nodes stand as in the model.
#[derive(Clone, Debug)]
pub(super) struct PlanTree {
    pub(super) nodes: Vec<PlanNode>,
    pub(super) n_leaves: usize,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum PlanNode {
    /// Left when the column's byte is at most `rank`.
    Split {
        column: u32,
        rank: u8,
        left: u32,
        right: u32,
    },
    Leaf {
        value: i64,
    },
}

impl Plan {
    /// Plans a forest that [`WideForest::check`] has accepted. O(nodes log nodes).
    pub(super) fn new(forest: &WideForest) -> Self {
        let mut plan = Self {
            n_features: forest.n_features as usize,
            base: forest.base,
            scale_bits: forest.scale_bits,
            codes: forest.codes,
            cuts: sorted_cuts(forest),
            columns: Vec::new(),
            levels: Vec::new(),
            trees: Vec::with_capacity(forest.trees.len()),
        };
        // Ordered maps: columns get their places in an order that depends on nothing but the forest.
        let mut ranks: BTreeMap<(u32, u32, bool, bool), u32> = BTreeMap::new();
        let sets = sets::places(forest, &mut plan.levels, &mut plan.columns);
        for tree in &forest.trees {
            let mut n_leaves = 0;
            let mut nodes = Vec::with_capacity(tree.nodes.len());
            for node in &tree.nodes {
                nodes.push(match *node {
                    WideNode::Leaf { value } => {
                        n_leaves += 1;
                        PlanNode::Leaf { value }
                    }
                    WideNode::Numeric { feature, threshold, missing, left, right } => {
                        let (slot, at) = plan.find(feature, threshold);
                        let chunk = at / CUTS_PER_COLUMN;
                        let key = (slot, chunk as u32, missing.left, missing.zero);
                        let column = *ranks.entry(key).or_insert_with(|| {
                            let offset = (chunk * CUTS_PER_COLUMN) as u32;
                            plan.columns.push(Column::Rank { slot, offset, missing });
                            plan.columns.len() as u32 - 1
                        });
                        PlanNode::Split { column, rank: (at % CUTS_PER_COLUMN) as u8, left, right }
                    }
                    WideNode::Categorical { feature, first_word, n_words, missing_left, left, right } => {
                        let set = sets::LevelSet::new(&tree.words, first_word, n_words, missing_left);
                        let (column, rank) = sets[&(feature, set)];
                        PlanNode::Split { column, rank, left, right }
                    }
                });
            }
            plan.trees.push(PlanTree { nodes, n_leaves });
        }
        plan
    }

    /// Leaves of the largest tree.
    pub(super) fn max_leaves(&self) -> usize {
        self.trees.iter().map(|tree| tree.n_leaves).max().unwrap_or(1)
    }

    fn find(&self, feature: u32, threshold: f64) -> (u32, usize) {
        let slot = self.cuts.binary_search_by_key(&feature, |cuts| cuts.0).expect("every feature split on has cuts");
        let at = self.cuts[slot].1.partition_point(|&cut| cut < threshold);
        (slot as u32, at)
    }
}

fn sorted_cuts(forest: &WideForest) -> Vec<(u32, Vec<f64>)> {
    let mut by_feature: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
    for node in forest.trees.iter().flat_map(|tree| &tree.nodes) {
        if let WideNode::Numeric { feature, threshold, .. } = *node {
            by_feature.entry(feature).or_default().push(threshold);
        }
    }
    for cuts in by_feature.values_mut() {
        cuts.sort_unstable_by(f64::total_cmp);
        // By value: -0 and 0 are one threshold.
        cuts.dedup_by(|a, b| a == b);
    }
    by_feature.into_iter().collect()
}

impl PlanTree {
    /// The leaves from left to right.
    pub(super) fn leaves(&self) -> Vec<i64> {
        let mut values = Vec::with_capacity(self.n_leaves);
        let mut todo = vec![0u32];
        while let Some(at) = todo.pop() {
            match self.nodes[at as usize] {
                PlanNode::Leaf { value } => values.push(value),
                PlanNode::Split { left, right, .. } => todo.extend([right, left]),
            }
        }
        values
    }

    /// Column and rank of each split of a tree of at most 64 leaves, with the leaves from left to right that its left
    /// side does not hold: those that are left when it sends a row right.
    pub(super) fn masks(&self) -> Vec<(u32, u8, u64)> {
        let n_below = self.leaves_below();
        let mut masks = Vec::with_capacity(self.nodes.len() / 2);
        let mut first_leaf = vec![0u32; self.nodes.len()];
        for (at, node) in self.nodes.iter().enumerate() {
            if let PlanNode::Split { column, rank, left, right } = *node {
                let n_left = n_below[left as usize];
                first_leaf[left as usize] = first_leaf[at];
                first_leaf[right as usize] = first_leaf[at] + n_left;
                // At most 63 leaves lie left of a split's right side.
                masks.push((column, rank, !(((1u64 << n_left) - 1) << first_leaf[at])));
            }
        }
        masks
    }

    /// Column and rank of each split from left to right, with the last leaf below it.
    pub(super) fn in_order(&self) -> Vec<(u32, u8, u32)> {
        let n_below = self.leaves_below();
        let mut splits = vec![(0, 0, 0); self.n_leaves - 1];
        let mut first_leaf = vec![0u32; self.nodes.len()];
        for (at, node) in self.nodes.iter().enumerate() {
            if let PlanNode::Split { column, rank, left, right } = *node {
                let first = first_leaf[at];
                let first_of_right = first + n_below[left as usize];
                first_leaf[left as usize] = first;
                first_leaf[right as usize] = first_of_right;
                splits[first_of_right as usize - 1] = (column, rank, first + n_below[at] - 1);
            }
        }
        splits
    }

    /// How many leaves are below each node.
    fn leaves_below(&self) -> Vec<u32> {
        // Children stand after their parent: backwards, the leaves below a child are known before its parent comes.
        let mut n_below = vec![0u32; self.nodes.len()];
        for (at, node) in self.nodes.iter().enumerate().rev() {
            n_below[at] = match *node {
                PlanNode::Leaf { .. } => 1,
                PlanNode::Split { left, right, .. } => n_below[left as usize] + n_below[right as usize],
            };
        }
        n_below
    }
}
