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

mod model;
mod quadrature;

use crate::engine::{ColumnRanker, Kernel, Lanes, Width};
use crate::error::{ModelError, ScoreError};
use crate::tree::unit;
use crate::wide::{WideForest, WideNode, WideTree};
pub use model::ModelExplainer;
pub(crate) use model::additive;
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
    row: Vec<f64>,
    four: Memory<4>,
    eight: Memory<8>,
}

#[derive(Clone, Debug)]
struct Class {
    rule: Rule,
    /// End of each tree's splits, and nodes of the tree.
    trees: Vec<(u32, u32)>,
    splits: Vec<PathSplit>,
}

/// A split and the edges to its children, the left one first. Splits of a tree stand in the model's order, parents first.
#[derive(Clone, Copy, Debug)]
struct PathSplit {
    /// Positions in the tree: of the split, of its children, and of the last node above whose edge is of the same feature; the
    /// root where there is none.
    node: u32,
    children: [u32; 2],
    before: u32,
    column: u32,
    rank: u8,
    /// Position among [`Explainer::features`].
    slot: u32,
    /// Share of training rows that go a child's way at all splits of the feature down to it, and down to `before`.
    shares: [f64; 2],
    before_share: f64,
    /// The values of children that are leaves; 1 for splits.
    values: [f64; 2],
}

/// What two passes keep of each node of a tree, and of each feature, at `N` points.
#[derive(Clone, Debug, Default)]
struct Memory<const N: usize> {
    nodes: Vec<NodeMemory<N>>,
    features: Vec<[f64; N]>,
}

#[derive(Clone, Copy, Debug)]
struct NodeMemory<const N: usize> {
    /// Downwards the product of the path's factors, with a leaf its value too; upwards the sum over the leaves below.
    product: [f64; N],
    /// One over the factor of the edge's feature down to here, where the row takes it.
    inverse: [f64; N],
    /// `o`: whether the row goes this way at all splits of the edge's feature.
    taken: bool,
    /// Of a split: which child the row goes to.
    right: bool,
}

impl<const N: usize> NodeMemory<N> {
    const ROOT: Self = Self { product: [1.0; N], inverse: [1.0; N], taken: true, right: false };
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
                classes.push(Class { rule: Rule::new(n_points), trees: Vec::new(), splits: Vec::new() });
                classes.len() - 1
            });
            classes[class].splits.extend(path.splits);
            let end = classes[class].splits.len() as u32;
            classes[class].trees.push((end, tree.nodes.len() as u32));
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

/// A tree as splits with their edges.
struct Path {
    splits: Vec<PathSplit>,
    /// Most different features on a path.
    longest: usize,
    expected: f64,
}

/// What is known of a node when its split comes.
#[derive(Clone, Copy, Debug)]
struct Above {
    parent: u32,
    /// Feature of the edge to it, and share of training rows that go its way at all splits of that feature.
    slot: u32,
    share: f64,
    /// Different features above.
    length: usize,
    /// Share of all training rows that reach it.
    reach: f64,
}

impl Path {
    fn new(tree: &WideTree, columns: &[(u32, u8)], features: &[u32], unit: f64) -> Self {
        let root = Above { parent: 0, slot: 0, share: 1.0, length: 0, reach: 1.0 };
        let mut above = vec![root; tree.nodes.len()];
        let mut path = Self { splits: Vec::with_capacity(tree.nodes.len() / 2), longest: 0, expected: 0.0 };
        let value_of = |node: &WideNode| match *node {
            WideNode::Leaf { value } => Some(value as f64 * unit),
            _ => None,
        };
        for (at, node) in tree.nodes.iter().enumerate() {
            let here = above[at];
            path.longest = path.longest.max(here.length);
            if let Some(value) = value_of(node) {
                path.expected += value * here.reach;
            }
            let (Some((left, right)), Some(feature)) = (node.children(), node.feature()) else { continue };
            let slot = features.partition_point(|&other| other < feature) as u32;
            let mut before = at;
            while before != 0 && above[before].slot != slot {
                before = above[before].parent as usize;
            }
            let before_share = above[before].share;
            let mut split = PathSplit {
                node: at as u32,
                children: [left, right],
                before: before as u32,
                column: columns[at].0,
                rank: columns[at].1,
                slot,
                shares: [0.0; 2],
                before_share,
                values: [1.0; 2],
            };
            for (i, child) in [left, right].into_iter().map(|child| child as usize).enumerate() {
                let share = match tree.n_rows[at] {
                    0 => 0.5,
                    n => tree.n_rows[child] as f64 / n as f64,
                };
                split.shares[i] = (before_share * share).max(MIN_SHARE);
                split.values[i] = value_of(&tree.nodes[child]).unwrap_or(1.0);
                above[child] = Above {
                    parent: at as u32,
                    slot,
                    share: split.shares[i],
                    length: here.length + usize::from(before == 0),
                    reach: here.reach * share,
                };
            }
            path.splits.push(split);
        }
        path
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
        let one_over_rest = rest.map(|rest| 1.0 / rest);
        let mut start = 0;
        for &(end, n_nodes) in &self.class.trees {
            let splits = &self.class.splits[start as usize..end as usize];
            start = end;
            if self.memory.nodes.len() < n_nodes as usize {
                self.memory.nodes.resize(n_nodes as usize, NodeMemory::ROOT);
            }
            let memory = &mut self.memory.nodes[..n_nodes as usize];
            memory[0] = NodeMemory::ROOT;
            for split in splits {
                let product = memory[split.node as usize].product;
                let right = self.bytes[split.column as usize] > split.rank;
                memory[split.node as usize].right = right;
                let before = &memory[split.before as usize];
                if !before.taken {
                    // Off the row's way already: only the share changes.
                    for i in 0..2 {
                        let scale = split.shares[i] / split.before_share * split.values[i];
                        let child = &mut memory[split.children[i] as usize];
                        child.taken = false;
                        child.product = product.map(|x| x * scale);
                    }
                    continue;
                }
                let (taken, other) = (usize::from(right), usize::from(!right));
                let (share, value) = (split.shares[taken], split.values[taken]);
                let other_scale = split.shares[other] * split.values[other];
                let mut inverse = [0.0; N];
                let mut products = [[0.0; N]; 2];
                for lane in 0..N {
                    let product = product[lane] * before.inverse[lane];
                    let factor = rest[lane] * share + points[lane];
                    inverse[lane] = 1.0 / factor;
                    products[0][lane] = product * (factor * value);
                    products[1][lane] = product * (rest[lane] * other_scale);
                }
                let child = &mut memory[split.children[taken] as usize];
                (child.taken, child.inverse, child.product) = (true, inverse, products[0]);
                let child = &mut memory[split.children[other] as usize];
                (child.taken, child.product) = (false, products[1]);
            }
            for split in splits.iter().rev() {
                let right = memory[split.node as usize].right;
                let (taken, other) = (usize::from(right), usize::from(!right));
                let with = &memory[split.children[taken] as usize];
                let without = &memory[split.children[other] as usize];
                let before = &memory[split.before as usize];
                let sum: [f64; N] = std::array::from_fn(|lane| with.product[lane] + without.product[lane]);
                if before.taken {
                    // `(o - z) / factor` of the edges, less that of the edge before, which the leaves below had so far.
                    let (gain, before_gain) = (1.0 - split.shares[taken], 1.0 - split.before_share);
                    let feature = &mut features[split.slot as usize];
                    for lane in 0..N {
                        let parts = with.product[lane] * (gain * with.inverse[lane])
                            - without.product[lane] * one_over_rest[lane];
                        feature[lane] += parts - sum[lane] * (before_gain * before.inverse[lane]);
                    }
                }
                memory[split.node as usize].product = sum;
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
