//! The engine for trees of at most 256 leaves: the splits of a tree from right to left, of 64 trees at a time, without a branch.
//!
//! Count a tree's leaves from left to right, and its splits as in-order traversal meets them: split i lies between the leaves i and
//! i + 1, and the leaves below it end with leaf `end(i)`. Look at the splits from the last to the first, with all that are still to come
//! taken as if they said right. Let E be the leaf which the row reaches then. At first E is the last leaf. When split i is
//! looked at, it matters only if the row comes by it, and it does if and only if E lies below it: what says right so far leads the row
//! into the right side of i, or past it, never before it. If it then says left, the row's leaf is the last one of its left
//! side, leaf i, because all splits there are still to come. So
//!
//! ```text
//! for i from last to first:  E = i  if  byte(column(i)) <= rank(i)  and  E <= end(i)
//! ```
//!
//! That is two comparisons and a choice of bytes for each split, whatever the tree looks like, and after the first split E is the row's leaf.
//! The i-th splits of 64 trees stand side by side; their columns are looked up by permutations of the row, which lies in
//! registers. For many rows it is the other way round: one split of one tree for 64 rows, which needs no permutation.
//!
//! It needs three bytes per split. Masks of leaves, as QuickScorer's (Lucchese et al., 2015), need as many bits per split as a tree
//! has leaves.

mod rows;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(super) use rows::{ROWS, RowsForest};

use super::plan::{Plan, PlanTree};
#[cfg(target_arch = "x86_64")]
pub(super) use x86::{sum_avx2, sums_avx512};

/// Trees of a group.
const GROUP: usize = 64;
/// Groups of a block: their steps run side by side, because each waits for the one before.
const BLOCK: usize = 4;
/// Most leaves of a tree: their numbers are bytes.
pub(super) const MAX_LEAVES: usize = 256;
/// Most columns of a row: their numbers are bytes too.
pub(super) const MAX_COLUMNS: usize = 256;

/// A forest laid out for one row at a time.
#[derive(Clone, Debug)]
pub(crate) struct ScanForest {
    /// Registers of 64 bytes that hold a row: 1, 2 or 4.
    n_tables: usize,
    n_columns: usize,
    blocks: Vec<Block>,
    /// Group by group, from the last split to the first.
    steps: Vec<Step>,
    groups: Vec<Group>,
    /// Tree by tree, [`places`] for each.
    leaves: Vec<i64>,
}

/// Groups of trees with equally many steps.
#[derive(Clone, Copy, Debug)]
struct Block {
    n_groups: usize,
    n_steps: usize,
}

/// The last leaf of each of 64 trees.
type Group = [u8; GROUP];

/// One split of each of 64 trees.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Step {
    columns: [u8; GROUP],
    ranks: [u8; GROUP],
    /// Last leaf below each split.
    ends: [u8; GROUP],
}

/// A split as a scan sees it.
#[derive(Clone, Copy, Debug)]
struct Split {
    column: u32,
    rank: u8,
    end: u8,
}

/// The splits of a tree from left to right.
fn splits(tree: &PlanTree) -> Vec<Split> {
    tree.in_order().into_iter().map(|(column, rank, end)| Split { column, rank, end: end as u8 }).collect()
}

impl ScanForest {
    /// Lays out a forest of trees of at most 256 leaves over at most 256 columns.
    pub(super) fn new(plan: &Plan) -> Self {
        let n_tables = match plan.columns.len() {
            0..=64 => 1,
            65..=128 => 2,
            _ => 4,
        };
        // Trees of one size side by side: a group has as many steps as its largest tree has splits. Any order gives one sum.
        let mut trees: Vec<&PlanTree> = plan.trees.iter().collect();
        trees.sort_by_key(|tree| tree.n_leaves);
        let mut forest = Self {
            n_tables,
            n_columns: plan.columns.len(),
            blocks: Vec::new(),
            steps: Vec::new(),
            groups: Vec::new(),
            leaves: Vec::new(),
        };
        for trees in trees.chunks(GROUP * BLOCK) {
            forest.push(trees);
        }
        forest
    }

    fn push(&mut self, trees: &[&PlanTree]) {
        let n_steps = trees.iter().map(|tree| tree.n_leaves - 1).max().unwrap_or(0);
        let (n_groups, n_places) = (trees.len().div_ceil(GROUP), places(n_steps));
        self.blocks.push(Block { n_groups, n_steps });
        for group in 0..n_groups {
            let trees = trees[group * GROUP..].iter().take(GROUP);
            let first_step = self.steps.len();
            // A place without a split changes nothing: a tree that has one begins behind leaf 0.
            self.steps.resize(first_step + n_steps, Step { columns: [0; GROUP], ranks: [0; GROUP], ends: [0; GROUP] });
            let mut last_leaves = [0; GROUP];
            let first_leaf = self.leaves.len();
            self.leaves.resize(first_leaf + GROUP * n_places, 0);
            for (place, tree) in trees.enumerate() {
                for (split, step) in splits(tree).iter().zip(self.steps[first_step..].iter_mut().rev()) {
                    step.columns[place] = split.column as u8;
                    step.ranks[place] = split.rank;
                    step.ends[place] = split.end;
                }
                last_leaves[place] = (tree.n_leaves - 1) as u8;
                let leaves = &mut self.leaves[first_leaf + place * n_places..][..n_places];
                // A tree of one leaf has it everywhere, because places without a split do change leaf 0.
                let values = tree.leaves();
                leaves.fill(values[0]);
                leaves[..values.len()].copy_from_slice(&values);
            }
            self.groups.push(last_leaves);
        }
    }

    #[inline(always)]
    fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let (mut steps, mut groups, mut leaves) = (&self.steps[..], &self.groups[..], &self.leaves[..]);
        self.blocks.iter().map(move |&Block { n_groups, n_steps }| Part {
            n_steps,
            steps: take(&mut steps, n_groups * n_steps),
            last_leaves: take(&mut groups, n_groups),
            leaves: take(&mut leaves, n_groups * GROUP * places(n_steps)),
        })
    }

    /// Sum of the leaves of the row with these bytes.
    pub(super) fn sum(&self, bytes: &[u8]) -> i64 {
        let mut sum = 0;
        for part in self.parts() {
            for group in 0..part.n_groups() {
                let group = part.groups::<1>(group);
                let mut reached = *group.last_leaves[0];
                for (i, step) in (0..part.n_steps).rev().zip(group.steps[0]) {
                    let values = step.columns.map(|column| bytes[usize::from(column)]);
                    for (at, reached) in reached.iter_mut().enumerate() {
                        if both(values[at] <= step.ranks[at], *reached <= step.ends[at]) {
                            *reached = i as u8;
                        }
                    }
                }
                sum += group.sum_of(&reached);
            }
        }
        sum
    }
}

/// What belongs to a block.
struct Part<'a> {
    n_steps: usize,
    steps: &'a [Step],
    last_leaves: &'a [Group],
    leaves: &'a [i64],
}

/// Places for the leaves of a tree: 16, 32, 64, 128 or 256, so that a masked number needs no check.
#[inline(always)]
fn places(n_steps: usize) -> usize {
    (n_steps + 1).next_power_of_two().max(16)
}

/// Some groups of a block.
struct Groups<'a, const K: usize> {
    n_steps: usize,
    steps: [&'a [Step]; K],
    last_leaves: [&'a Group; K],
    leaves: &'a [i64],
}

impl<'a> Part<'a> {
    #[inline(always)]
    fn n_groups(&self) -> usize {
        self.last_leaves.len()
    }

    /// `K` groups from `first` on.
    #[inline(always)]
    fn groups<const K: usize>(&self, first: usize) -> Groups<'a, K> {
        let n_leaves = GROUP * places(self.n_steps);
        Groups {
            n_steps: self.n_steps,
            steps: std::array::from_fn(|k| &self.steps[(first + k) * self.n_steps..][..self.n_steps]),
            last_leaves: std::array::from_fn(|k| &self.last_leaves[first + k]),
            leaves: &self.leaves[first * n_leaves..][..K * n_leaves],
        }
    }
}

impl<const K: usize> Groups<'_, K> {
    /// Sum of the leaves that a row reaches in each tree.
    #[inline(always)]
    fn sum_of(&self, reached: &[u8]) -> i64 {
        match places(self.n_steps) {
            16 => sum_of::<16>(reached, self.leaves),
            32 => sum_of::<32>(reached, self.leaves),
            64 => sum_of::<64>(reached, self.leaves),
            128 => sum_of::<128>(reached, self.leaves),
            _ => sum_of::<256>(reached, self.leaves),
        }
    }
}

// Not inlined into vector code, where it would become gathers, which are slower than single loads.
#[inline(never)]
fn sum_of<const PLACES: usize>(reached: &[u8], leaves: &[i64]) -> i64 {
    let (leaves, _) = leaves.as_chunks::<PLACES>();
    leaves.iter().zip(reached).map(|(leaves, &reached)| leaves[usize::from(reached) % PLACES]).sum()
}

/// `a && b` without a branch, which would keep a loop from becoming vector code.
#[inline(always)]
fn both(a: bool, b: bool) -> bool {
    u8::from(a) & u8::from(b) != 0
}

/// Cuts off the first `n` items.
#[inline(always)]
fn take<'a, T>(items: &mut &'a [T], n: usize) -> &'a [T] {
    let (first, rest) = items.split_at(n);
    *items = rest;
    first
}
