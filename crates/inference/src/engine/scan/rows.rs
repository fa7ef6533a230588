//! Many rows: one split of one tree for 64 rows at a time.

use super::{MAX_LEAVES, Split, both, splits};
use crate::engine::plan::Plan;

/// Rows side by side.
pub(in crate::engine) const ROWS: usize = 64;
/// Rows that one vector holds, and that go through a tree together.
const LANES: usize = 32;

/// A forest laid out for many rows.
#[derive(Clone, Debug)]
pub(in crate::engine) struct RowsForest {
    trees: Vec<RowsTree>,
    /// Of each tree from the last split to the first.
    splits: Vec<Split>,
    leaves: Vec<i64>,
}

#[derive(Clone, Copy, Debug)]
struct RowsTree {
    n_splits: u32,
    last_leaf: u8,
}

impl RowsForest {
    /// Lays out a forest; `None` if a tree is too large for this engine.
    pub(in crate::engine) fn new(plan: &Plan) -> Option<Self> {
        if plan.max_leaves() > MAX_LEAVES {
            return None;
        }
        let mut forest = Self { trees: Vec::with_capacity(plan.trees.len()), splits: Vec::new(), leaves: Vec::new() };
        for tree in &plan.trees {
            let n_splits = tree.n_leaves - 1;
            forest.trees.push(RowsTree { n_splits: n_splits as u32, last_leaf: n_splits as u8 });
            forest.splits.extend(splits(tree).into_iter().rev());
            forest.leaves.extend(tree.leaves());
        }
        Some(forest)
    }

    /// Adds to `sums` the leaves of 64 rows, whose bytes stand side by side: `bytes[column][row]`.
    #[inline(always)]
    pub(in crate::engine) fn sums(&self, bytes: &[[u8; ROWS]], sums: &mut [i64; ROWS]) {
        let (mut splits, mut leaves) = (&self.splits[..], &self.leaves[..]);
        for tree in &self.trees {
            let n_splits = tree.n_splits as usize;
            let reached = reach(super::take(&mut splits, n_splits), tree.last_leaf, bytes);
            let leaves = super::take(&mut leaves, n_splits + 1);
            for (sum, reached) in sums.iter_mut().zip(reached) {
                *sum += leaves[usize::from(reached)];
            }
        }
    }
}

/// The leaf of each row.
#[inline(always)]
fn reach(splits: &[Split], last_leaf: u8, bytes: &[[u8; ROWS]]) -> [u8; ROWS] {
    let mut low = [last_leaf; LANES];
    let mut high = [last_leaf; LANES];
    for (i, split) in (0..splits.len() as u8).rev().zip(splits) {
        let (values, _) = bytes[split.column as usize].as_chunks::<LANES>();
        low = step(low, &values[0], *split, i);
        high = step(high, &values[1], *split, i);
    }
    let mut reached = [0; ROWS];
    reached[..LANES].copy_from_slice(&low);
    reached[LANES..].copy_from_slice(&high);
    reached
}

#[inline(always)]
fn step(reached: [u8; LANES], values: &[u8; LANES], split: Split, i: u8) -> [u8; LANES] {
    std::array::from_fn(|row| if both(values[row] <= split.rank, reached[row] <= split.end) { i } else { reached[row] })
}
