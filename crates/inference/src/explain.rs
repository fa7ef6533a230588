//! Why a row has its raw score: what each feature adds to it, exactly (TreeSHAP, path-dependent).
//!
//! For a leaf, let each feature of its path have a share `z` of the training rows that go the leaf's way at the feature's splits,
//! and `o` = 1 if the row itself does, else 0. The Shapley value of feature i sums over subsets of the other features; that sum is
//! an integral, because `s! (d - 1 - s)! / d!` is that of `t^s (1 - t)^(d - 1 - s)` from 0 to 1:
//!
//! ```text
//! value of i = leaf x (o_i - z_i) x integral of the product over j != i of (t o_j + (1 - t) z_j) dt
//! ```
//!
//! The product is a polynomial of degree d - 1, which Gauss-Legendre quadrature at d / 2 points integrates exactly. At one point it
//! is a number, so a tree is done in two passes over its nodes: products downwards, sums over leaves upwards, with the factor of a
//! node's own feature divided out. All factors lie between 0 and 1, so nothing cancels; points stand side by side in registers.
//! O(nodes x depth / 8) for one row.
//!
//! # References
//! Lundberg et al., Consistent Individualized Feature Attribution for Tree Ensembles (2018), for the values; Bifet, Read and Xu,
//! Linear TreeShap (2022), for dividing a node's own factor out of sums over its leaves.

#![allow(clippy::inline_always, reason = "what is not inlined into a kernel stays at the baseline's instructions")]

mod quadrature;

use crate::engine::{ColumnRanker, Kernel, Lanes, Width};
use crate::error::{ModelError, ScoreError};
use crate::tree::unit;
use crate::wide::{WideForest, WideNode, WideTree};
use quadrature::Rule;

/// Most different features on a path from a root to a leaf.
pub const MAX_PATH: usize = 256;
/// Smallest share of training rows that an edge counts with: rows may reach a leaf that no training row reached.
const MIN_SHARE: f64 = 1e-100;

/// A forest ready to say what each feature adds. Immutable, `Send + Sync`.
#[derive(Clone, Debug)]
pub struct Explainer {
    n_features: usize,
    ranker: ColumnRanker,
    /// Features with splits.
    features: Vec<u32>,
    /// Trees that need the same number of points.
    classes: Vec<Class>,
    expected: f64,
    width: Width,
}

/// Memory that is used again for each row: one per thread.
#[derive(Clone, Debug, Default)]
pub struct ExplainScratch {
    bytes: Vec<u8>,
    four: Memory<4>,
    eight: Memory<8>,
}

#[derive(Clone, Debug)]
struct Class {
    rule: Rule,
    trees: Vec<u32>,
    nodes: Vec<PathNode>,
}

/// A node and the edge that leads to it. Nodes of a tree stand in the model's order, parents first.
#[derive(Clone, Copy, Debug)]
struct PathNode {
    /// Position in the tree; the root's own.
    parent: u32,
    /// The last node above whose edge is of the same feature; the root where there is none.
    before: u32,
    /// Column and rank of the split that the edge leaves, and whether it is the right one.
    column: u32,
    rank: u8,
    right: bool,
    /// Position among [`Explainer::features`].
    slot: u32,
    /// Share of training rows that go this way at all splits of the feature down to here.
    share: f64,
    /// The leaf's value; 0 in a split.
    value: f64,
}

/// What two passes keep of each node of a tree, and of each feature, at `N` points.
#[derive(Clone, Debug, Default)]
struct Memory<const N: usize> {
    nodes: Vec<NodeMemory<N>>,
    features: Vec<[f64; N]>,
}

#[derive(Clone, Copy, Debug)]
struct NodeMemory<const N: usize> {
    /// Product of the path's factors.
    product: [f64; N],
    /// One over the factor of the edge's feature down to here.
    inverse: [f64; N],
    /// `(o - z)` times that.
    weight: [f64; N],
    /// Sum over the leaves below.
    sum: [f64; N],
    /// `o`.
    taken: f64,
}

impl<const N: usize> NodeMemory<N> {
    const ROOT: Self = Self { product: [1.0; N], inverse: [1.0; N], weight: [0.0; N], sum: [0.0; N], taken: 1.0 };
}

impl Explainer {
    /// Lays out a forest with the training rows of each node.
    ///
    /// # Errors
    /// If the forest contradicts itself, has a tree without row counts, or a path of more than [`MAX_PATH`] features.
    pub fn compile(forest: &WideForest) -> Result<Self, ModelError> {
        forest.check()?;
        let (ranker, columns) = ColumnRanker::new(forest);
        let mut features: Vec<u32> =
            forest.trees.iter().flat_map(|tree| &tree.nodes).filter_map(WideNode::feature).collect();
        features.sort_unstable();
        features.dedup();
        let mut expected = forest.base as f64 * unit(forest.scale_bits);
        let mut classes: Vec<Class> = Vec::new();
        for (i, (tree, columns)) in forest.trees.iter().zip(&columns).enumerate() {
            if tree.n_rows.is_empty() {
                return Err(ModelError::Length {
                    of: format!("row counts of tree {i}"),
                    found: 0,
                    expected: tree.nodes.len() as u64,
                });
            }
            let path = Path::new(tree, columns, &features, unit(forest.scale_bits));
            if path.longest > MAX_PATH {
                let (found, limit) = (path.longest as u64, MAX_PATH as u64);
                return Err(ModelError::Count { of: "features on one path", found, limit });
            }
            expected += path.expected;
            let n_points = if path.longest <= 8 { 4 } else { path.longest.div_ceil(16) * 8 };
            let known = classes.iter().position(|class| class.rule.points.len() == n_points);
            let class = known.unwrap_or_else(|| {
                classes.push(Class { rule: Rule::new(n_points), trees: Vec::new(), nodes: Vec::new() });
                classes.len() - 1
            });
            classes[class].nodes.extend(path.nodes);
            let end = classes[class].nodes.len() as u32;
            classes[class].trees.push(end);
        }
        let n_features = forest.n_features as usize;
        Ok(Self { n_features, ranker, features, classes, expected, width: Width::best() })
    }

    /// The same with the widest instructions of the caller's choice: the same bits.
    #[must_use]
    pub fn with_width(mut self, width: Width) -> Self {
        self.width = width;
        self
    }

    /// The raw score of nobody in particular: the mean of the leaves, weighted by training rows. It and what all features add
    /// sum to the raw score of a row.
    pub fn expected(&self) -> f64 {
        self.expected
    }

    /// What each feature adds to the raw score of a row of n values, NaN = missing: `out[i]` of feature i, in log-odds.
    ///
    /// Allocates nothing once `scratch` has been used with this forest. Within 1e-9 of exact arithmetic for leaves of
    /// magnitude up to 1.
    pub fn explain(&self, row: &[f64], scratch: &mut ExplainScratch, out: &mut [f64]) -> Result<(), ScoreError> {
        let expected = self.n_features;
        if row.len() != expected {
            return Err(ScoreError::RowLength { found: row.len(), expected });
        }
        if out.len() != expected {
            return Err(ScoreError::OutputLength { found: out.len(), expected });
        }
        out.fill(0.0);
        self.ranker.rank(self.width, row, &mut scratch.bytes);
        for class in &self.classes {
            if class.rule.points.len() == 4 {
                self.width.run(Points {
                    explainer: self,
                    class,
                    first: 0,
                    bytes: &scratch.bytes,
                    memory: &mut scratch.four,
                    out,
                });
                continue;
            }
            for first in (0..class.rule.points.len()).step_by(8) {
                let memory = &mut scratch.eight;
                self.width.run(Points { explainer: self, class, first, bytes: &scratch.bytes, memory, out });
            }
        }
        Ok(())
    }
}

/// A tree as nodes with their edges.
struct Path {
    nodes: Vec<PathNode>,
    /// Most different features on a path.
    longest: usize,
    expected: f64,
}

impl Path {
    fn new(tree: &WideTree, columns: &[(u32, u8)], features: &[u32], unit: f64) -> Self {
        let root = PathNode { parent: 0, before: 0, column: 0, rank: 0, right: false, slot: 0, share: 1.0, value: 0.0 };
        let mut nodes = vec![root; tree.nodes.len()];
        // Different features above each node, and share of all training rows that reach it.
        let mut lengths = vec![0usize; tree.nodes.len()];
        let mut reach = vec![1.0f64; tree.nodes.len()];
        let (mut longest, mut expected) = (0, 0.0);
        for (at, node) in tree.nodes.iter().enumerate() {
            longest = longest.max(lengths[at]);
            if let WideNode::Leaf { value } = *node {
                nodes[at].value = value as f64 * unit;
                expected += nodes[at].value * reach[at];
            }
            let (Some((left, right)), Some(feature)) = (node.children(), node.feature()) else { continue };
            let slot = features.partition_point(|&other| other < feature) as u32;
            // The nearest edge above of the same feature.
            let mut before = at;
            while before != 0 && nodes[before].slot != slot {
                before = nodes[before].parent as usize;
            }
            for child in [left, right] {
                let share = match tree.n_rows[at] {
                    0 => 0.5,
                    n => tree.n_rows[child as usize] as f64 / n as f64,
                };
                reach[child as usize] = reach[at] * share;
                lengths[child as usize] = lengths[at] + usize::from(before == 0);
                nodes[child as usize] = PathNode {
                    parent: at as u32,
                    before: before as u32,
                    column: columns[at].0,
                    rank: columns[at].1,
                    right: child == right,
                    slot,
                    share: (nodes[before].share * share).max(MIN_SHARE),
                    value: 0.0,
                };
            }
        }
        Self { nodes, longest, expected }
    }
}

/// Both passes over all trees of a class, at `N` points from `first` on.
struct Points<'a, const N: usize> {
    explainer: &'a Explainer,
    class: &'a Class,
    first: usize,
    bytes: &'a [u8],
    memory: &'a mut Memory<N>,
    out: &'a mut [f64],
}

impl<const N: usize> Kernel for Points<'_, N> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        let (points, _) = self.class.rule.points[self.first..].as_chunks::<N>();
        let points = points[0];
        let rest = points.map(|t| 1.0 - t);
        let features = &mut self.memory.features;
        features.clear();
        features.resize(self.explainer.features.len(), [0.0; N]);
        let mut start = 0;
        for &end in &self.class.trees {
            let tree = &self.class.nodes[start as usize..end as usize];
            start = end;
            if self.memory.nodes.len() < tree.len() {
                self.memory.nodes.resize(tree.len(), NodeMemory::ROOT);
            }
            let memory = &mut self.memory.nodes[..tree.len()];
            memory[0] = NodeMemory::ROOT;
            for (at, node) in tree.iter().enumerate().skip(1) {
                let before = memory[node.before as usize];
                let parent = &memory[node.parent as usize].product;
                let goes_right = self.bytes[node.column as usize] > node.rank;
                let taken = if goes_right == node.right { before.taken } else { 0.0 };
                let mut out = NodeMemory { taken, ..NodeMemory::ROOT };
                for lane in 0..N {
                    let factor = rest[lane] * node.share + points[lane] * taken;
                    out.inverse[lane] = 1.0 / factor;
                    out.weight[lane] = (taken - node.share) * out.inverse[lane];
                    out.product[lane] = parent[lane] * (factor * before.inverse[lane]);
                    out.sum[lane] = out.product[lane] * node.value;
                }
                memory[at] = out;
            }
            for (at, node) in tree.iter().enumerate().skip(1).rev() {
                let here = memory[at];
                let before = memory[node.before as usize].weight;
                let parent = &mut memory[node.parent as usize].sum;
                let feature = &mut features[node.slot as usize];
                for lane in 0..N {
                    parent[lane] += here.sum[lane];
                    feature[lane] += here.sum[lane] * (here.weight[lane] - before[lane]);
                }
            }
        }
        let (weights, _) = self.class.rule.weights[self.first..].as_chunks::<N>();
        for (feature, parts) in self.explainer.features.iter().zip(&self.memory.features) {
            for (part, weight) in parts.iter().zip(weights[0]) {
                self.out[*feature as usize] += part * weight;
            }
        }
    }
}
