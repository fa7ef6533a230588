//! QuickScorer, which visits only the splits that send a row right.
//!
//! Splits stand by column and within it by rank, so those that say right for a byte are the first ones of its column. Each takes the
//! leaves of its left side away from its tree's mask; the leftmost leaf that is left is the row's.
//!
//! # Reference
//! Lucchese et al., QuickScorer: A Fast Algorithm to Rank Documents with Additive Ensembles of Regression Trees (2015).

use super::plan::Plan;

/// Most leaves of a tree.
pub(super) const MAX_LEAVES: usize = 64;
/// Trees of a block: their masks take 8 KB.
const TREES: usize = 1024;

/// A forest laid out for this engine.
#[derive(Clone, Debug)]
pub(super) struct QuickForest {
    blocks: Vec<QuickBlock>,
    /// Leaves of all trees, one tree after the other; where each tree's begin, and whether 32 bits are enough.
    leaves: Vec<i64>,
    starts: Vec<u32>,
}

/// The splits of some trees that follow each other.
#[derive(Clone, Debug, Default)]
struct QuickBlock {
    first_tree: u32,
    n_trees: u32,
    /// Column, and end of its splits.
    columns: Vec<(u32, u32)>,
    ranks: Vec<u8>,
    /// Tree, counted from the block's first, of each split.
    trees: Vec<u16>,
    /// Leaves that are left when the split says right.
    masks: Vec<u64>,
}

impl QuickForest {
    /// Lays out a forest of trees of at most 64 leaves.
    pub(super) fn new(plan: &Plan) -> Self {
        let mut forest =
            Self { blocks: blocks(plan), leaves: Vec::new(), starts: Vec::with_capacity(plan.trees.len()) };
        for tree in &plan.trees {
            forest.starts.push(forest.leaves.len() as u32);
            forest.leaves.extend(tree.leaves());
        }
        forest
    }

    /// Sum of the leaves of the row with these bytes.
    pub(super) fn sum(&self, bytes: &[u8]) -> i64 {
        let mut sum = 0;
        let mut left = [0u64; TREES];
        for block in &self.blocks {
            let n_trees = block.n_trees as usize;
            left[..n_trees].fill(u64::MAX);
            let mut start = 0;
            for &(column, end) in &block.columns {
                let splits = start..end as usize;
                start = end as usize;
                let byte = bytes[column as usize];
                let splits =
                    block.ranks[splits.clone()].iter().zip(&block.trees[splits.clone()]).zip(&block.masks[splits]);
                for ((&rank, &tree), mask) in splits {
                    if rank >= byte {
                        break;
                    }
                    // The index is below the length anyway: the mask spares the check.
                    left[usize::from(tree) % TREES] &= mask;
                }
            }
            let starts = &self.starts[block.first_tree as usize..][..n_trees];
            for (left, &start) in left.iter().zip(starts) {
                sum += self.leaves[start as usize + left.trailing_zeros() as usize];
            }
        }
        sum
    }
}

fn blocks(plan: &Plan) -> Vec<QuickBlock> {
    let mut blocks = Vec::new();
    for (i, trees) in plan.trees.chunks(TREES).enumerate() {
        let mut splits: Vec<(u32, u8, u16, u64)> = Vec::new();
        for (place, tree) in trees.iter().enumerate() {
            splits.extend(tree.masks().into_iter().map(|(column, rank, mask)| (column, rank, place as u16, mask)));
        }
        splits.sort_unstable_by_key(|&(column, rank, tree, _)| (column, rank, tree));
        let mut block =
            QuickBlock { first_tree: (i * TREES) as u32, n_trees: trees.len() as u32, ..QuickBlock::default() };
        for (at, (column, rank, tree, mask)) in splits.into_iter().enumerate() {
            match block.columns.last_mut() {
                Some(last) if last.0 == column => last.1 = at as u32 + 1,
                _ => block.columns.push((column, at as u32 + 1)),
            }
            block.ranks.push(rank);
            block.trees.push(tree);
            block.masks.push(mask);
        }
        blocks.push(block);
    }
    blocks
}
