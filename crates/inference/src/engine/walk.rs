//! The engine for trees of any size: flat nodes of 8 bytes, walked eight at a time, rows or trees side by side.

use super::plan::{Plan, PlanNode};

/// Walks that run side by side: their loads do not depend on each other, so the processor overlaps them.
const LANES: usize = 8;

/// A node as the walk reads it: in 64 bits the left child (28), the column (28) and the rank (8), of forests of less than 2^28
/// nodes. The children of a split stand side by side, in breadth-first order.
///
/// A leaf is a split that leads to itself: a walk may take more steps than needed, so rows of different depths can run in
/// lockstep without a branch. No byte is above its rank.
#[derive(Clone, Copy, Debug)]
struct FlatNode(u64);

impl FlatNode {
    fn new(left: u32, column: u32, rank: u8) -> Self {
        Self(u64::from(left) << 36 | u64::from(column) << 8 | u64::from(rank))
    }

    /// The position after one step.
    #[inline(always)]
    fn step(self, bytes: &[u8]) -> u32 {
        let byte = bytes[(self.0 >> 8) as usize & 0xFFF_FFFF];
        (self.0 >> 36) as u32 + u32::from(byte > self.0 as u8)
    }
}

/// A tree's part of the node array.
#[derive(Clone, Copy, Debug)]
struct FlatTree {
    start: u32,
    len: u32,
    /// Most steps from the root to a leaf.
    depth: u32,
}

/// A forest laid out for this engine.
#[derive(Clone, Debug)]
pub(super) struct WalkForest {
    trees: Vec<FlatTree>,
    nodes: Vec<FlatNode>,
    /// Value of each node that is a leaf.
    values: Vec<i64>,
}

impl WalkForest {
    /// Lays out a forest.
    pub(super) fn new(plan: &Plan) -> Self {
        let n_nodes = plan.trees.iter().map(|tree| tree.nodes.len()).sum();
        let mut flat = Self {
            trees: Vec::with_capacity(plan.trees.len()),
            nodes: Vec::with_capacity(n_nodes),
            values: Vec::with_capacity(n_nodes),
        };
        for tree in &plan.trees {
            flat.push(&tree.nodes);
        }
        flat
    }

    fn push(&mut self, nodes: &[PlanNode]) {
        let start = self.nodes.len() as u32;
        // Source node and depth of each flat node, in breadth-first order: the queue is the layout.
        let mut queue = vec![(0u32, 0u32)];
        let mut at = 0;
        while let Some(&(source, depth)) = queue.get(at) {
            let (node, value) = match nodes[source as usize] {
                PlanNode::Leaf { value } => (FlatNode::new(at as u32, 0, u8::MAX), value),
                PlanNode::Split { column, rank, left, right } => {
                    let left_at = queue.len() as u32;
                    queue.extend([(left, depth + 1), (right, depth + 1)]);
                    (FlatNode::new(left_at, column, rank), 0)
                }
            };
            self.nodes.push(node);
            self.values.push(value);
            at += 1;
        }
        let depth = queue.last().map_or(0, |&(_, depth)| depth);
        self.trees.push(FlatTree { start, len: queue.len() as u32, depth });
    }

    /// Sum of the leaves of the row with these bytes.
    #[inline(always)]
    pub(super) fn sum(&self, bytes: &[u8]) -> i64 {
        let mut sum = 0;
        let (groups, rest) = self.trees.as_chunks::<LANES>();
        for group in groups {
            let depth = group.iter().map(|tree| tree.depth).max().unwrap_or(0);
            let parts = group.map(|tree| self.nodes_of(&tree));
            let mut at = [0u32; LANES];
            for _ in 0..depth {
                let before = at;
                for (at, nodes) in at.iter_mut().zip(parts) {
                    *at = nodes[*at as usize].step(bytes);
                }
                // A deep tree has few deep leaves: stop when all have arrived.
                if at == before {
                    break;
                }
            }
            for (at, tree) in at.iter().zip(group) {
                sum += self.values[(tree.start + at) as usize];
            }
        }
        for tree in rest {
            let nodes = self.nodes_of(tree);
            let mut at = 0;
            for _ in 0..tree.depth {
                at = nodes[at as usize].step(bytes);
            }
            sum += self.values[(tree.start + at) as usize];
        }
        sum
    }

    /// Adds to `sums[i]` the leaves of row i, whose bytes begin at `i * stride`.
    #[inline(always)]
    pub(super) fn sums(&self, bytes: &[u8], stride: usize, sums: &mut [i64]) {
        for tree in &self.trees {
            let nodes = self.nodes_of(tree);
            for (rows, sums) in bytes.chunks(stride * LANES).zip(sums.chunks_mut(LANES)) {
                let mut at = [0u32; LANES];
                for _ in 0..tree.depth {
                    let before = at;
                    for (at, row) in at.iter_mut().zip(rows.chunks_exact(stride)) {
                        *at = nodes[*at as usize].step(row);
                    }
                    if at == before {
                        break;
                    }
                }
                for (sum, at) in sums.iter_mut().zip(at) {
                    *sum += self.values[(tree.start + at) as usize];
                }
            }
        }
    }

    fn nodes_of(&self, tree: &FlatTree) -> &[FlatNode] {
        &self.nodes[tree.start as usize..(tree.start + tree.len) as usize]
    }
}
