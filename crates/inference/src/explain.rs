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
//! Numbers have 32 bits within some trees and 64 across them, which leaves an error of about 1e-8 for scores of a few log-odds. That is
//! added to the largest part in the end, so that the parts sum to the score as far as 64 bits can say.
//!
//! # References
//! Lundberg et al., Consistent Individualized Feature Attribution for Tree Ensembles (2018), for the values; Bifet, Read and Xu,
//! Linear TreeShap (2022), for dividing a node's own factor out of sums over its leaves.

#![allow(clippy::inline_always, reason = "what is not inlined into a kernel stays at the baseline's instructions")]

mod model;
mod quadrature;

use crate::engine::{Choice, ColumnRanker, CompiledForest, Kernel, Lanes, Width};
use crate::error::{ModelError, ScoreError};
use crate::tree::unit;
use crate::wide::{WideForest, WideNode, WideTree};
pub use model::ModelExplainer;
pub(crate) use model::additive;
use quadrature::Rule;

/// Most different features on a path from a root to a leaf.
pub const MAX_PATH: usize = 256;
/// Smallest share of training rows that an edge counts with: rows may reach a leaf that no training row reached.
const MIN_SHARE: f64 = 1e-30;
/// Trees whose parts are added up in 32 bits.
const TREES: usize = 32;

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
    forest: CompiledForest<f64>,
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
    trees: Vec<Ends>,
    splits: Vec<PathSplit>,
}

/// Where a tree's splits end, those with a split below and then all.
#[derive(Clone, Copy, Debug)]
struct Ends {
    inner: u32,
    all: u32,
}

/// A split and the edges to its children, the left one first. Splits of a tree stand parents first, those whose children are both
/// leaves behind all others.
///
/// A node of a tree has the place 2 s + 1 or 2 s + 2 as left or right child of the tree's split s, and the root place 0.
#[derive(Clone, Copy, Debug)]
struct PathSplit {
    /// Places of the split, and of the last node above whose edge is of the same feature; the root where there is none.
    node: u32,
    before: u32,
    column: u32,
    /// Position among [`Explainer::features`].
    slot: u32,
    /// Share of training rows that go a child's way at all splits of the feature down to it, and down to `before`.
    shares: [f32; 2],
    before_share: f32,
    /// The values of children that are leaves; 1 for splits.
    values: [f32; 2],
    /// By what a product changes on the way to a child where the row does not go the way of `before`.
    off: [f32; 2],
    rank: u8,
}

/// What is kept of each node of a tree by its place, and of each feature, at `N` points.
#[derive(Clone, Debug, Default)]
struct Memory<const N: usize> {
    /// Downwards the product of the path's factors, with a leaf its value too; upwards the sum over the leaves below.
    products: Vec<[f32; N]>,
    /// One over the factor of the edge's feature down to here, where the row takes it.
    inverses: Vec<[f32; N]>,
    /// `o`: whether the row goes this way at all splits of the edge's feature.
    taken: Vec<bool>,
    features: Vec<[f32; N]>,
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
            let all = classes[class].splits.len() as u32;
            classes[class].trees.push(Ends { inner: all - path.n_outer as u32, all });
        }
        let n_features = forest.n_features as usize;
        let forest = CompiledForest::new(forest, Choice::default());
        Ok(Self { n_features, ranker, features, classes, expected, forest, width: Width::best() })
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
    /// Allocates nothing once `scratch` has been used with this forest. Within 1e-6 of exact arithmetic for scores of magnitude up to
    /// 10; with [`Self::expected`] they sum to the raw score but for the rounding of one sum.
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
        let largest = (0..out.len()).reduce(|a, b| if out[b].abs() > out[a].abs() { b } else { a });
        if let Some(largest) = largest {
            out[largest] += self.forest.raw_score(row) - self.expected - out.iter().sum::<f64>();
        }
        Ok(())
    }
}

/// A tree as splits with their edges.
struct Path {
    splits: Vec<PathSplit>,
    /// How many splits, the last ones, have two leaves below.
    n_outer: usize,
    /// Most different features on a path.
    longest: usize,
    expected: f64,
}

/// What is known of a node when its split comes.
#[derive(Clone, Copy, Debug)]
struct Above {
    parent: u32,
    place: u32,
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
        let root = Above { parent: 0, place: 0, slot: 0, share: 1.0, length: 0, reach: 1.0 };
        let mut above = vec![root; tree.nodes.len()];
        let mut path = Self { splits: Vec::new(), n_outer: 0, longest: 0, expected: 0.0 };
        let value_of = |node: &WideNode| match *node {
            WideNode::Leaf { value } => Some(value as f64 * unit),
            _ => None,
        };
        let is_leaf = |node: u32| tree.nodes[node as usize].children().is_none();
        let mut outer = Vec::new();
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
                node: here.place,
                before: above[before].place,
                column: columns[at].0,
                slot,
                shares: [0.0; 2],
                before_share: before_share as f32,
                values: [1.0; 2],
                off: [0.0; 2],
                rank: columns[at].1,
            };
            for (side, child) in [left, right].into_iter().map(|child| child as usize).enumerate() {
                let share = match tree.n_rows[at] {
                    0 => 0.5,
                    n => tree.n_rows[child] as f64 / n as f64,
                };
                let down = (before_share * share).max(MIN_SHARE);
                let value = value_of(&tree.nodes[child]).unwrap_or(1.0);
                split.shares[side] = down as f32;
                split.values[side] = value as f32;
                split.off[side] = (down / before_share * value) as f32;
                above[child] = Above {
                    parent: at as u32,
                    // Nobody asks for the place of a leaf below an outer split.
                    place: (2 * path.splits.len() + 1 + side) as u32,
                    slot,
                    share: down,
                    length: here.length + usize::from(before == 0),
                    reach: here.reach * share,
                };
            }
            if is_leaf(left) && is_leaf(right) { outer.push(split) } else { path.splits.push(split) }
        }
        path.n_outer = outer.len();
        path.splits.append(&mut outer);
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
        let narrow = |numbers: &[f64]| -> [f32; N] { std::array::from_fn(|lane| numbers[self.first + lane] as f32) };
        let points = narrow(&self.class.rule.points);
        let rest = points.map(|t| 1.0 - t);
        let one_over_rest = rest.map(|rest| 1.0 / rest);
        let (weights, _) = self.class.rule.weights[self.first..].as_chunks::<N>();
        let Memory { products, inverses, taken, features } = self.memory;
        features.clear();
        features.resize(self.explainer.features.len(), [0.0; N]);
        let mut start = 0;
        for trees in self.class.trees.chunks(TREES) {
            for &Ends { inner, all } in trees {
                let (inner, outer) = self.class.splits[start as usize..all as usize].split_at((inner - start) as usize);
                start = all;
                let n_nodes = 2 * inner.len() + 1;
                if products.len() < n_nodes {
                    products.resize(n_nodes, [1.0; N]);
                    inverses.resize(n_nodes, [1.0; N]);
                    taken.resize(n_nodes, true);
                }
                products[0] = [1.0; N];
                let (products, inverses) = (&mut products[..n_nodes], &mut inverses[..n_nodes]);
                let taken = &mut taken[..n_nodes];
                down(inner, self.bytes, &points, &rest, products, inverses, taken);
                turn(outer, self.bytes, &points, &rest, products, inverses, taken, features);
                up(inner, self.bytes, &one_over_rest, products, inverses, taken, features);
            }
            for (feature, parts) in self.explainer.features.iter().zip(&mut *features) {
                for (part, weight) in parts.iter().zip(weights[0]) {
                    self.out[*feature as usize] += f64::from(*part) * weight;
                }
                *parts = [0.0; N];
            }
        }
    }
}

/// Products from the root to the leaves.
#[inline(always)]
fn down<const N: usize>(
    splits: &[PathSplit],
    bytes: &[u8],
    points: &[f32; N],
    rest: &[f32; N],
    products: &mut [[f32; N]],
    inverses: &mut [[f32; N]],
    taken: &mut [bool],
) {
    for (at, split) in splits.iter().enumerate() {
        let product = products[split.node as usize];
        let left = 2 * at + 1;
        if !taken[split.before as usize] {
            // Off the row's way already: only the share changes.
            for side in 0..2 {
                taken[left + side] = false;
                products[left + side] = product.map(|x| x * split.off[side]);
            }
            continue;
        }
        let right = usize::from(bytes[split.column as usize] > split.rank);
        let (with, without) = (left + right, left + 1 - right);
        let (share, value) = (split.shares[right], split.values[right]);
        let other_scale = split.shares[1 - right] * split.values[1 - right];
        let before = inverses[split.before as usize];
        let mut inverse = [0.0; N];
        let mut both = [[0.0; N]; 2];
        for lane in 0..N {
            let product = product[lane] * before[lane];
            let factor = rest[lane] * share + points[lane];
            inverse[lane] = 1.0 / factor;
            both[0][lane] = product * (factor * value);
            both[1][lane] = product * (rest[lane] * other_scale);
        }
        (taken[with], inverses[with], products[with]) = (true, inverse, both[0]);
        (taken[without], products[without]) = (false, both[1]);
    }
}

/// Down and up again below splits with two leaves: `down` and then `up`, with what both have in common taken out.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "what both passes have")]
fn turn<const N: usize>(
    splits: &[PathSplit],
    bytes: &[u8],
    points: &[f32; N],
    rest: &[f32; N],
    products: &mut [[f32; N]],
    inverses: &[[f32; N]],
    taken: &[bool],
    features: &mut [[f32; N]],
) {
    for split in splits {
        let product = &mut products[split.node as usize];
        if !taken[split.before as usize] {
            let off = split.off[0] + split.off[1];
            *product = product.map(|x| x * off);
            continue;
        }
        let right = usize::from(bytes[split.column as usize] > split.rank);
        let (share, value) = (split.shares[right], split.values[right]);
        let other = split.shares[1 - right] * split.values[1 - right];
        let (both, gain) = (share * value + other, (1.0 - share) * value - other);
        let before_gain = 1.0 - split.before_share;
        let before = &inverses[split.before as usize];
        let feature = &mut features[split.slot as usize];
        for lane in 0..N {
            let here = product[lane] * before[lane];
            let sum = here * (rest[lane] * both + points[lane] * value);
            feature[lane] += here * gain - sum * (before_gain * before[lane]);
            product[lane] = sum;
        }
    }
}

/// Sums from the leaves to the root, and what they add to features.
#[inline(always)]
fn up<const N: usize>(
    splits: &[PathSplit],
    bytes: &[u8],
    one_over_rest: &[f32; N],
    products: &mut [[f32; N]],
    inverses: &[[f32; N]],
    taken: &[bool],
    features: &mut [[f32; N]],
) {
    for (at, split) in splits.iter().enumerate().rev() {
        let right = usize::from(bytes[split.column as usize] > split.rank);
        let (with, without) = (2 * at + 1 + right, 2 * at + 2 - right);
        let (with_products, without_products) = (products[with], products[without]);
        let sum: [f32; N] = std::array::from_fn(|lane| with_products[lane] + without_products[lane]);
        if taken[split.before as usize] {
            // `(o - z) / factor` of the edges, less that of the edge before, which the leaves below had so far.
            let (gain, before_gain) = (1.0 - split.shares[right], 1.0 - split.before_share);
            let (inverse, before) = (inverses[with], inverses[split.before as usize]);
            let feature = &mut features[split.slot as usize];
            for lane in 0..N {
                let parts = with_products[lane] * (gain * inverse[lane]) - without_products[lane] * one_over_rest[lane];
                feature[lane] += parts - sum[lane] * (before_gain * before[lane]);
            }
        }
        products[split.node as usize] = sum;
    }
}
