//! Trees as a `TreeEnsemble`, over the row and columns made from it: one per level set, and rows whose zeros are missing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::graph::{Attribute, Graph, Kind, Name, doubles, tensor};
use crate::tree::unit;
use crate::wide::{Codes, WideForest, WideNode, ZERO_BAND, holds};

/// Modes of a node in `TreeEnsemble`: at most, equal.
pub(super) const AT_MOST: u8 = 0;
pub(super) const EQUAL: u8 = 4;

/// Nodes and leaves as `TreeEnsemble` lists them. A tree must begin with a split.
#[derive(Debug, Default)]
pub(super) struct Ensemble {
    roots: Vec<i64>,
    features: Vec<i64>,
    modes: Vec<u8>,
    splits: Vec<f64>,
    missing_true: Vec<i64>,
    /// Nodes or leaves, and which of both.
    if_true: Vec<(i64, bool)>,
    if_false: Vec<(i64, bool)>,
    weights: Vec<f64>,
}

/// Where a branch leads.
#[derive(Clone, Copy, Debug)]
pub(super) enum Child {
    Node(i64),
    Leaf(f64),
}

impl Ensemble {
    /// The next tree begins with the next node.
    pub(super) fn begin_tree(&mut self) {
        self.roots.push(self.features.len() as i64);
    }

    /// The number that the next node will have.
    pub(super) fn next_node(&self) -> i64 {
        self.features.len() as i64
    }

    /// Appends a node; NaN goes to the true side where `missing_true`.
    pub(super) fn node(&mut self, feature: usize, mode: u8, split: f64, missing_true: bool, children: [Child; 2]) {
        self.features.push(feature as i64);
        self.modes.push(mode);
        self.splits.push(split);
        self.missing_true.push(i64::from(missing_true));
        let [if_true, if_false] = children.map(|child| match child {
            Child::Node(at) => (at, false),
            Child::Leaf(weight) => {
                self.weights.push(weight);
                (self.weights.len() as i64 - 1, true)
            }
        });
        self.if_true.push(if_true);
        self.if_false.push(if_false);
    }

    /// The sums of one leaf per tree, as 64-bit numbers in one column. `matrix` is of 64-bit numbers.
    pub(super) fn finish(mut self, graph: &mut Graph, matrix: &str) -> Name {
        if self.roots.is_empty() {
            // An operator without trees is none.
            self.begin_tree();
            self.node(0, AT_MOST, 0.0, true, [Child::Leaf(0.0), Child::Leaf(0.0)]);
        }
        let places = |children: &[(i64, bool)]| children.iter().map(|child| child.0).collect();
        let leaves = |children: &[(i64, bool)]| children.iter().map(|child| i64::from(child.1)).collect();
        let numbers =
            |numbers: &[f64]| tensor("", Kind::Double, &[numbers.len() as i64], &doubles(numbers.iter().copied()));
        let attributes = [
            Attribute::Int("aggregate_function", 1),
            Attribute::Ints("leaf_targetids", vec![0; self.weights.len()]),
            Attribute::Tensor("leaf_weights", numbers(&self.weights)),
            Attribute::Int("n_targets", 1),
            Attribute::Ints("nodes_falseleafs", leaves(&self.if_false)),
            Attribute::Ints("nodes_falsenodeids", places(&self.if_false)),
            Attribute::Ints("nodes_featureids", self.features),
            Attribute::Ints("nodes_missing_value_tracks_true", self.missing_true),
            Attribute::Tensor("nodes_modes", tensor("", Kind::Byte, &[self.modes.len() as i64], &self.modes)),
            Attribute::Tensor("nodes_splits", numbers(&self.splits)),
            Attribute::Ints("nodes_trueleafs", leaves(&self.if_true)),
            Attribute::Ints("nodes_truenodeids", places(&self.if_true)),
            Attribute::Int("post_transform", 0),
            Attribute::Ints("tree_roots", self.roots),
        ];
        graph.ml_node("TreeEnsemble", &[matrix], &attributes)
    }
}

/// The raw scores of a checked forest, in one column. `row` is a matrix of 64-bit numbers.
///
/// Leaves are whole steps of `2^-scale_bits`, so their sums are exact as long as they stay below 2^53 steps: no order of adding
/// changes them.
pub(super) fn raw_scores(graph: &mut Graph, forest: &WideForest, row: &str) -> Name {
    let columns = Columns::new(forest);
    let mut ensemble = Ensemble::default();
    let step = unit(forest.scale_bits);
    let mut base = forest.base;
    for tree in &forest.trees {
        if let WideNode::Leaf { value } = tree.nodes[0] {
            base += value;
            continue;
        }
        ensemble.begin_tree();
        // Only splits are nodes there; they keep their order.
        let first = ensemble.next_node();
        let is_split = |node: &WideNode| node.children().is_some();
        let mut place = Vec::with_capacity(tree.nodes.len());
        let mut n_splits = first;
        for node in &tree.nodes {
            place.push(n_splits);
            n_splits += i64::from(is_split(node));
        }
        let child = |at: u32| match tree.nodes[at as usize] {
            WideNode::Leaf { value } => Child::Leaf(value as f64 * step),
            _ => Child::Node(place[at as usize]),
        };
        for node in &tree.nodes {
            match *node {
                WideNode::Leaf { .. } => {}
                WideNode::Numeric { feature, threshold, missing, left, right } => {
                    let column = columns.numeric(feature, missing.zero);
                    ensemble.node(column, AT_MOST, threshold, missing.left, [child(left), child(right)]);
                }
                WideNode::Categorical { feature, first_word, n_words, missing_left, left, right } => {
                    // Members of the set are 0, other codes 1.
                    let set = &tree.words[first_word as usize..][..n_words as usize];
                    let column = columns.member(feature, set);
                    ensemble.node(column, AT_MOST, 0.5, missing_left, [child(left), child(right)]);
                }
            }
        }
    }
    let matrix = columns.finish(graph, row);
    let sums = ensemble.finish(graph, &matrix);
    let base = graph.double(base as f64 * step);
    graph.node("Add", &[&base, &sums])
}

/// The columns that trees read: those of the row, then made ones.
struct Columns {
    codes: Codes,
    /// Features whose zeros are missing to some node, in the order of their columns.
    zeros: Vec<u32>,
    zero_at: HashMap<u32, usize>,
    /// Features with level sets, and for each its different sets; in the order of their columns.
    sets: Vec<(u32, Vec<Vec<u64>>)>,
    set_at: HashMap<(u32, Vec<u64>), usize>,
}

impl Columns {
    /// Finds all columns first, since their positions depend on how many there are of each kind.
    fn new(forest: &WideForest) -> Self {
        let n_features = forest.n_features as usize;
        let (mut zeros, mut zero_at) = (Vec::new(), HashMap::new());
        let mut sets: BTreeMap<u32, BTreeSet<Vec<u64>>> = BTreeMap::new();
        for tree in &forest.trees {
            for node in &tree.nodes {
                match *node {
                    WideNode::Numeric { feature, missing, .. } if missing.zero => {
                        zero_at.entry(feature).or_insert_with(|| {
                            zeros.push(feature);
                            n_features + zeros.len() - 1
                        });
                    }
                    WideNode::Categorical { feature, first_word, n_words, .. } => {
                        let set = trimmed(&tree.words[first_word as usize..][..n_words as usize]);
                        sets.entry(feature).or_default().insert(set.to_vec());
                    }
                    _ => {}
                }
            }
        }
        let sets: Vec<(u32, Vec<Vec<u64>>)> =
            sets.into_iter().map(|(feature, sets)| (feature, sets.into_iter().collect())).collect();
        let mut at = n_features + zeros.len();
        let mut set_at = HashMap::new();
        for (feature, sets) in &sets {
            for set in sets {
                set_at.insert((*feature, set.clone()), at);
                at += 1;
            }
        }
        Self { codes: forest.codes, zeros, zero_at, sets, set_at }
    }

    fn numeric(&self, feature: u32, zero: bool) -> usize {
        if zero { self.zero_at[&feature] } else { feature as usize }
    }

    fn member(&self, feature: u32, set: &[u64]) -> usize {
        self.set_at[&(feature, trimmed(set).to_vec())]
    }

    /// The row and the made columns side by side.
    fn finish(self, graph: &mut Graph, row: &str) -> Name {
        let mut parts = vec![row.to_owned()];
        if !self.zeros.is_empty() {
            let columns = graph.columns(row, &self.zeros);
            let size = graph.node("Abs", &[&columns]);
            let band = graph.double(ZERO_BAND);
            let is_zero = graph.node("LessOrEqual", &[&size, &band]);
            let missing = graph.double(f64::NAN);
            parts.push(graph.node("Where", &[&is_zero, &missing, &columns]));
        }
        for (feature, sets) in &self.sets {
            let column = graph.columns(row, &[*feature]);
            let n_codes = sets.iter().map(|set| set.len() * 64).max().unwrap_or(0);
            let codes = codes(graph, &column, self.codes, n_codes);
            // One row per code, then that of whatever is no known code: 0 where it is in the set, else 1.
            let cell =
                |code: usize| sets.iter().map(move |set| f64::from(u8::from(!holds(set, Codes::Whole, code as f64))));
            let cells: Vec<f64> = (0..=n_codes).flat_map(cell).collect();
            let table = graph.double_table(n_codes + 1, &cells);
            let members = graph.look_up(&table, &codes);
            let is_missing = graph.node("IsNaN", &[&column]);
            parts.push(graph.node("Where", &[&is_missing, &column, &members]));
        }
        graph.side_by_side(&parts)
    }
}

/// A set without the words at its end that hold nothing.
fn trimmed(set: &[u64]) -> &[u64] {
    let len = set.iter().rposition(|&word| word != 0).map_or(0, |last| last + 1);
    &set[..len]
}

/// From values in one column to codes below `n_codes`, as [`holds`] reads them; `n_codes` for whatever is none, NaN included.
pub(super) fn codes(graph: &mut Graph, column: &str, codes: Codes, n_codes: usize) -> Name {
    let zero = graph.double(0.0);
    let value = match codes {
        Codes::Whole | Codes::Truncated => column.to_owned(),
        // Rounded to 32 bits and back.
        Codes::Narrowed => {
            let narrow = graph.cast(column, Kind::Float);
            graph.cast(&narrow, Kind::Double)
        }
    };
    let floor = graph.node("Floor", &[&value]);
    let (whole, is_code) = match codes {
        Codes::Whole => {
            let is_whole = graph.node("Equal", &[&floor, &value]);
            let from_zero = graph.node("GreaterOrEqual", &[&value, &zero]);
            (floor, graph.node("And", &[&is_whole, &from_zero]))
        }
        // Cut off towards zero: what lies above -1 is 0.
        Codes::Truncated => {
            let least = graph.double(-1.0);
            let is_code = graph.node("Greater", &[&value, &least]);
            (graph.node("Max", &[&floor, &zero]), is_code)
        }
        Codes::Narrowed => {
            let is_code = graph.node("GreaterOrEqual", &[&value, &zero]);
            (floor, is_code)
        }
    };
    let end = graph.double(n_codes as f64);
    let is_below = graph.node("Less", &[&value, &end]);
    let is_known = graph.node("And", &[&is_code, &is_below]);
    let known = graph.node("Where", &[&is_known, &whole, &end]);
    graph.cast(&known, Kind::Int)
}
