//! The engine that runs everywhere: trees as flat 16-byte nodes, walked eight at a time, rows or trees side by side.

use crate::model::{Forest, Node, Tree};
use crate::tree::{contains, unit};

/// Walks that run side by side: their loads do not depend on each other, so the processor overlaps them.
const LANES: usize = 8;
/// Rows whose values are gathered at a time: with 40 features 10 KB, less than a level 1 cache.
const BLOCK: usize = 64;

/// A node as the walk reads it. The children of a split stand side by side, in breadth-first order.
///
/// A leaf is a split that leads to itself: a walk may take more steps than needed, so rows of different depths can run in
/// lockstep without a branch.
#[derive(Clone, Copy, Debug)]
struct FlatNode {
    /// Split point; NaN in a leaf, which no value is at most or equal to.
    threshold: f32,
    /// Feature in the low 29 bits, flags above.
    feature_and_flags: u32,
    /// Left child, the right one follows; in a leaf one position before itself, so that "right" is the leaf.
    left: u32,
    /// Leaf: the value. Categorical split: position of the level set.
    value: i32,
}

const MISSING_LEFT: u32 = 1 << 31;
const CATEGORICAL: u32 = 1 << 30;
const LEAF: u32 = 1 << 29;
const FEATURE: u32 = LEAF - 1;

/// A tree's part of the node array.
#[derive(Clone, Copy, Debug)]
struct FlatTree {
    start: u32,
    len: u32,
    /// Most steps from the root to a leaf.
    depth: u32,
    has_categories: bool,
}

/// A forest that was checked, laid out for walking.
#[derive(Clone, Debug)]
pub(crate) struct FlatForest {
    n_features: usize,
    base: i64,
    unit: f64,
    trees: Vec<FlatTree>,
    nodes: Vec<FlatNode>,
    level_sets: Vec<[u64; 4]>,
}

impl FlatForest {
    /// Lays out a forest that [`check`](crate::validate::check) has accepted.
    pub(crate) fn new(forest: &Forest) -> Self {
        let mut flat = Self {
            n_features: forest.n_features as usize,
            base: forest.base,
            unit: unit(forest.scale_bits),
            trees: Vec::with_capacity(forest.trees.len()),
            nodes: Vec::with_capacity(forest.trees.iter().map(|tree| tree.nodes.len()).sum()),
            level_sets: Vec::with_capacity(forest.trees.iter().map(|tree| tree.level_sets.len()).sum()),
        };
        for tree in &forest.trees {
            flat.push(tree);
        }
        flat
    }

    fn push(&mut self, tree: &Tree) {
        let start = self.nodes.len();
        let set_start = self.level_sets.len() as u32;
        // Source node and depth of each flat node, in breadth-first order: the queue is the layout.
        let mut queue = vec![(0u32, 0u32)];
        let mut at = 0;
        while let Some(&(source, depth)) = queue.get(at) {
            let left_at = queue.len() as u32;
            let split = |feature: u32, missing_left: bool| feature | if missing_left { MISSING_LEFT } else { 0 };
            let node = match tree.nodes[source as usize] {
                Node::Leaf { value } => FlatNode {
                    threshold: f32::NAN,
                    feature_and_flags: LEAF,
                    // The root's would be -1; wrapping brings the step back to 0.
                    left: (at as u32).wrapping_sub(1),
                    value,
                },
                Node::Numeric { feature, threshold, missing_left, left, right } => {
                    queue.extend([(left, depth + 1), (right, depth + 1)]);
                    FlatNode { threshold, feature_and_flags: split(feature, missing_left), left: left_at, value: 0 }
                }
                Node::Categorical { feature, level_set, missing_left, left, right } => {
                    queue.extend([(left, depth + 1), (right, depth + 1)]);
                    FlatNode {
                        threshold: 0.0,
                        feature_and_flags: CATEGORICAL | split(feature, missing_left),
                        left: left_at,
                        value: (set_start + level_set) as i32,
                    }
                }
            };
            self.nodes.push(node);
            at += 1;
        }
        self.level_sets.extend(&tree.level_sets);
        self.trees.push(FlatTree {
            start: start as u32,
            len: queue.len() as u32,
            depth: queue.last().map_or(0, |&(_, depth)| depth),
            has_categories: tree.nodes.iter().any(|node| matches!(node, Node::Categorical { .. })),
        });
    }

    /// Number of values in a row.
    pub(crate) fn n_features(&self) -> usize {
        self.n_features
    }

    /// Raw score of one row of `n_features` values.
    pub(crate) fn raw_score(&self, row: &[f32]) -> f64 {
        let mut sum = self.base;
        let mut groups = self.trees.chunks_exact(LANES);
        for group in &mut groups {
            sum += if group.iter().any(|tree| tree.has_categories) {
                self.walk_trees::<true>(group, row)
            } else {
                self.walk_trees::<false>(group, row)
            };
        }
        for tree in groups.remainder() {
            sum += self.walk(self.nodes_of(tree), row);
        }
        sum as f64 * self.unit
    }

    /// Raw scores of `out.len()` rows; `gather(i, row)` writes the values of row `i`. `scratch` is resized as needed.
    ///
    /// Trees are the outer loop over a block of rows: a tree stays in the cache while the block runs through it.
    pub(crate) fn raw_scores(&self, out: &mut [f64], scratch: &mut Vec<f32>, gather: impl Fn(usize, &mut [f32])) {
        scratch.clear();
        scratch.resize(BLOCK * self.n_features, 0.0);
        for (block, out) in out.chunks_mut(BLOCK).enumerate() {
            for i in 0..out.len() {
                gather(block * BLOCK + i, &mut scratch[i * self.n_features..(i + 1) * self.n_features]);
            }
            let mut sums = [self.base; BLOCK];
            let full = out.len() / LANES * LANES;
            for tree in &self.trees {
                let nodes = self.nodes_of(tree);
                for first in (0..full).step_by(LANES) {
                    let rows = &scratch[first * self.n_features..(first + LANES) * self.n_features];
                    let sums = &mut sums[first..first + LANES];
                    if tree.has_categories {
                        self.walk_lanes::<true>(nodes, tree.depth, rows, sums);
                    } else {
                        self.walk_lanes::<false>(nodes, tree.depth, rows, sums);
                    }
                }
                for i in full..out.len() {
                    let row = &scratch[i * self.n_features..(i + 1) * self.n_features];
                    sums[i] += self.walk(nodes, row);
                }
            }
            for (slot, sum) in out.iter_mut().zip(sums) {
                *slot = sum as f64 * self.unit;
            }
        }
    }

    fn nodes_of(&self, tree: &FlatTree) -> &[FlatNode] {
        &self.nodes[tree.start as usize..(tree.start + tree.len) as usize]
    }

    /// The leaf that one row reaches in one tree.
    fn walk(&self, nodes: &[FlatNode], row: &[f32]) -> i64 {
        let mut node = &nodes[0];
        while node.feature_and_flags & LEAF == 0 {
            node = &nodes[self.step::<true>(node, row) as usize];
        }
        i64::from(node.value)
    }

    /// Walks one row through [`LANES`] trees in lockstep and gives the sum of the leaves it reaches.
    fn walk_trees<const CATEGORIES: bool>(&self, trees: &[FlatTree], row: &[f32]) -> i64 {
        let mut nodes: [&[FlatNode]; LANES] = [&[]; LANES];
        let mut depth = 0;
        for (nodes, tree) in nodes.iter_mut().zip(trees) {
            *nodes = self.nodes_of(tree);
            depth = depth.max(tree.depth);
        }
        let mut at = [0u32; LANES];
        for _ in 0..depth {
            let before = at;
            for (at, nodes) in at.iter_mut().zip(nodes) {
                *at = self.step::<CATEGORIES>(&nodes[*at as usize], row);
            }
            if at == before {
                break;
            }
        }
        at.iter().zip(nodes).map(|(&at, nodes)| i64::from(nodes[at as usize].value)).sum()
    }

    /// Walks [`LANES`] rows through one tree in lockstep and adds the leaves they reach.
    fn walk_lanes<const CATEGORIES: bool>(&self, nodes: &[FlatNode], depth: u32, rows: &[f32], sums: &mut [i64]) {
        let mut at = [0u32; LANES];
        for _ in 0..depth {
            let before = at;
            for (at, row) in at.iter_mut().zip(rows.chunks_exact(self.n_features)) {
                *at = self.step::<CATEGORIES>(&nodes[*at as usize], row);
            }
            // A deep tree has few deep leaves: stop when every row has arrived.
            if at == before {
                break;
            }
        }
        for (sum, at) in sums.iter_mut().zip(at) {
            *sum += i64::from(nodes[at as usize].value);
        }
    }

    /// The position after one step from `node`; a leaf leads to itself.
    #[inline]
    fn step<const CATEGORIES: bool>(&self, node: &FlatNode, row: &[f32]) -> u32 {
        let flags = node.feature_and_flags;
        let x = row[(flags & FEATURE) as usize];
        let goes_left = if CATEGORIES && flags & CATEGORICAL != 0 {
            if x.is_nan() { flags & MISSING_LEFT != 0 } else { contains(&self.level_sets[node.value as usize], x) }
        } else {
            // Both halves are computed: a branch on missing values would be hard to predict.
            let missing_left = flags & MISSING_LEFT != 0;
            (x <= node.threshold) | (missing_left & x.is_nan())
        };
        node.left.wrapping_add(u32::from(!goes_left))
    }
}
