//! The engine for processors without AVX-512: QuickScorer, which visits only the splits that send a row right.
//!
//! Splits stand by column and within it by rank, so those that say right for a byte are the first ones of its column. Each takes the
//! leaves of its left side away from its tree's mask; the leftmost leaf that is left is the row's. For many rows it is the other
//! way round: all splits are looked at, each for 32 rows at once.
//!
//! # References
//! Lucchese et al., QuickScorer (2015), and Exploiting CPU SIMD Extensions to Speed-up Document Scoring with Tree
//! Ensembles (2016), for rows side by side.

use super::plan::Plan;

/// Most leaves of a tree.
pub(super) const MAX_LEAVES: usize = 64;
/// Rows that are scored side by side.
pub(super) const ROWS: usize = 32;
/// Trees of a block for one row: their masks take 8 KB.
const TREES_ALONE: usize = 1024;
/// Trees of a block for rows side by side: their masks take 16 KB.
const TREES_ABREAST: usize = 64;

/// A forest laid out for this engine.
#[derive(Clone, Debug)]
pub(super) struct QuickForest {
    alone: Vec<QuickBlock>,
    abreast: Vec<QuickBlock>,
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
    /// Lays out a forest; `None` if a tree is too large for this engine.
    pub(super) fn new(plan: &Plan) -> Option<Self> {
        if plan.trees.iter().any(|tree| tree.n_leaves > MAX_LEAVES) {
            return None;
        }
        let mut forest = Self {
            alone: blocks(plan, TREES_ALONE),
            abreast: blocks(plan, TREES_ABREAST),
            leaves: Vec::new(),
            starts: Vec::with_capacity(plan.trees.len()),
        };
        for tree in &plan.trees {
            forest.starts.push(forest.leaves.len() as u32);
            forest.leaves.extend(tree.leaves());
        }
        Some(forest)
    }

    /// Sum of the leaves of the row with these bytes.
    pub(super) fn sum(&self, bytes: &[u8]) -> i64 {
        let mut sum = 0;
        let mut left = [0u64; TREES_ALONE];
        for block in &self.alone {
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
                    left[usize::from(tree) % TREES_ALONE] &= mask;
                }
            }
            let starts = &self.starts[block.first_tree as usize..][..n_trees];
            for (left, &start) in left.iter().zip(starts) {
                sum += self.leaves[start as usize + left.trailing_zeros() as usize];
            }
        }
        sum
    }

    /// Adds to `sums` the leaves of 32 rows, whose bytes stand side by side: `bytes[column][row]`.
    #[inline(always)]
    pub(super) fn sums(&self, bytes: &[[u8; ROWS]], sums: &mut [i64; ROWS]) {
        for block in &self.abreast {
            let mut left = [[u64::MAX; ROWS]; TREES_ABREAST];
            let mut start = 0;
            for &(column, end) in &block.columns {
                let values = &bytes[column as usize];
                for at in start..end as usize {
                    let (rank, mask) = (block.ranks[at], block.masks[at]);
                    let left = &mut left[usize::from(block.trees[at]) % TREES_ABREAST];
                    for (left, &value) in left.iter_mut().zip(values) {
                        *left &= if value > rank { mask } else { u64::MAX };
                    }
                }
                start = end as usize;
            }
            let starts = &self.starts[block.first_tree as usize..][..block.n_trees as usize];
            for (left, &start) in left.iter().zip(starts) {
                for (sum, left) in sums.iter_mut().zip(left) {
                    *sum += self.leaves[start as usize + left.trailing_zeros() as usize];
                }
            }
        }
    }
}

fn blocks(plan: &Plan, n_trees: usize) -> Vec<QuickBlock> {
    let mut blocks = Vec::new();
    for (i, trees) in plan.trees.chunks(n_trees).enumerate() {
        let mut splits: Vec<(u32, u8, u16, u64)> = Vec::new();
        for (place, tree) in trees.iter().enumerate() {
            splits.extend(tree.masks().into_iter().map(|(column, rank, mask)| (column, rank, place as u16, mask)));
        }
        splits.sort_unstable_by_key(|&(column, rank, tree, _)| (column, rank, tree));
        let mut block =
            QuickBlock { first_tree: (i * n_trees) as u32, n_trees: trees.len() as u32, ..QuickBlock::default() };
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
