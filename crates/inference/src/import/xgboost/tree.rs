//! One tree of an XGBoost file.

use super::{Param, finite, need, once};
use crate::import::json::Json;
use crate::import::scale::to_steps;
use crate::import::{ImportError, Place};
use crate::wide::{Missing, WideNode, WideTree};

/// Most words of level sets of a whole model (256 MiB): a short text can name a large category.
pub(super) const MAX_WORDS: usize = 1 << 25;
/// Categories are below this (`OutOfRangeCat` in the library's `src/common/categorical.h`).
const MAX_CATEGORY: u32 = 1 << 24;
/// What the root's hessian becomes when hessians become whole numbers: ratios keep 52 binary digits.
const ROOT_COUNT: f64 = (1u64 << 52) as f64;

/// The arrays of a tree as they stand in the file, one entry per node.
pub(super) struct RawTree {
    place: Place,
    lefts: Vec<i32>,
    rights: Vec<i32>,
    /// Thresholds of splits, values of leaves.
    conditions: Vec<f32>,
    features: Vec<u32>,
    default_left: Vec<bool>,
    /// Empty in files that know no categories.
    split_types: Vec<u8>,
    /// Empty where nobody kept them.
    hessians: Vec<f32>,
    sets: RawSets,
    /// Values per leaf.
    leaf_len: Option<Param>,
}

#[derive(Default)]
struct RawSets {
    categories: Vec<u32>,
    nodes: Vec<u32>,
    starts: Vec<u64>,
    lens: Vec<u64>,
}

/// A tree whose leaves are not yet rounded: they are 0 among the nodes.
pub(super) struct SourceTree {
    nodes: Vec<WideNode>,
    /// One entry per node; 0 for splits.
    leaves: Vec<f64>,
    words: Vec<u64>,
    pub(super) n_rows: Vec<u64>,
}

impl RawTree {
    pub(super) fn read(json: &mut Json<'_>) -> Result<Self, ImportError> {
        let place = json.place();
        let (mut lefts, mut rights, mut conditions, mut features) = (None, None, None, None);
        let (mut default_left, mut split_types, mut hessians, mut leaf_len) = (None, None, None, None);
        let (mut categories, mut nodes, mut starts, mut lens) = (None, None, None, None);
        let child = |text: &str| text.parse::<i32>().ok();
        let index = |text: &str| text.parse::<u32>().ok();
        let position = |text: &str| text.parse::<u64>().ok();
        let category = |text: &str| text.parse::<u32>().ok().filter(|&category| category < MAX_CATEGORY);
        let number = |text: &str| text.parse::<f32>().ok();
        let flag = |text: &str| match text {
            "1" | "true" => Some(true),
            "0" | "false" => Some(false),
            _ => None,
        };
        let kind = |text: &str| text.parse::<u8>().ok().filter(|&kind| kind < 2);
        json.object(|json, key| match key {
            "left_children" => {
                once(json, "left_children", &mut lefts, |json| json.words("left_children", "a node", child))
            }
            "right_children" => {
                once(json, "right_children", &mut rights, |json| json.words("right_children", "a node", child))
            }
            "split_conditions" => once(json, "split_conditions", &mut conditions, |json| {
                json.words("split_conditions", "a finite number", finite)
            }),
            "split_indices" => {
                once(json, "split_indices", &mut features, |json| json.words("split_indices", "a feature", index))
            }
            "default_left" => {
                once(json, "default_left", &mut default_left, |json| json.words("default_left", "0 or 1", flag))
            }
            "split_type" => once(json, "split_type", &mut split_types, |json| {
                json.words("split_type", "0 (numeric) or 1 (categorical)", kind)
            }),
            "sum_hessian" => {
                once(json, "sum_hessian", &mut hessians, |json| json.words("sum_hessian", "a number", number))
            }
            "categories" => once(json, "categories", &mut categories, |json| {
                json.words("categories", "a category below 2^24", category)
            }),
            "categories_nodes" => {
                once(json, "categories_nodes", &mut nodes, |json| json.words("categories_nodes", "a node", index))
            }
            "categories_segments" => once(json, "categories_segments", &mut starts, |json| {
                json.words("categories_segments", "a position", position)
            }),
            "categories_sizes" => once(json, "categories_sizes", &mut lens, |json| {
                json.words("categories_sizes", "a number of categories", position)
            }),
            "tree_param" => json.object(|json, key| match key {
                "size_leaf_vector" => once(json, "size_leaf_vector", &mut leaf_len, Param::read),
                _ => json.skip(),
            }),
            _ => json.skip(),
        })?;
        Ok(Self {
            place,
            lefts: need(lefts, place, "left_children")?,
            rights: need(rights, place, "right_children")?,
            conditions: need(conditions, place, "split_conditions")?,
            features: need(features, place, "split_indices")?,
            default_left: need(default_left, place, "default_left")?,
            split_types: split_types.unwrap_or_default(),
            hessians: hessians.unwrap_or_default(),
            sets: RawSets {
                categories: categories.unwrap_or_default(),
                nodes: nodes.unwrap_or_default(),
                starts: starts.unwrap_or_default(),
                lens: lens.unwrap_or_default(),
            },
            leaf_len,
        })
    }

    /// The tree, leaves times `factor`. `words_left` is how many words of level sets the model may still have.
    pub(super) fn finish(self, factor: f32, words_left: &mut usize) -> Result<SourceTree, ImportError> {
        if let Some(len) = &self.leaf_len
            && len.whole("size_leaf_vector")? > 1
        {
            let what = "trees with vectors in their leaves are not read".to_owned();
            return Err(ImportError::Unsupported { place: len.place, what });
        }
        self.check_lengths()?;
        let order = self.order()?;
        let mut place_of = vec![0u32; self.lefts.len()];
        for (at, &node) in order.iter().enumerate() {
            place_of[node as usize] = at as u32;
        }
        let n_rows = self.counts(&order);
        let sets = self.sets.by_node(self.place)?;
        let mut tree = SourceTree { nodes: Vec::new(), leaves: Vec::new(), words: Vec::new(), n_rows };
        for &node in &order {
            let at = node as usize;
            if self.lefts[at] < 0 {
                tree.nodes.push(WideNode::Leaf { value: 0 });
                tree.leaves.push(f64::from(self.conditions[at] * factor));
                continue;
            }
            let (left, right) = (place_of[self.lefts[at] as usize], place_of[self.rights[at] as usize]);
            let (feature, default_left) = (self.features[at], self.default_left[at]);
            tree.leaves.push(0.0);
            if self.split_types.get(at) == Some(&1) {
                let set = sets.binary_search_by_key(&node, |set| set.0).map_err(|_| {
                    let (expected, found) = ("the node of each categorical split", format!("no node {node}"));
                    ImportError::Value { place: self.place, field: "categories_nodes", at: 0, expected, found }
                })?;
                let set = sets[set].1;
                let (first_word, n_words) = tree.push_set(set, words_left).ok_or_else(|| {
                    let what = format!("level sets of together more than {MAX_WORDS} words of 64 bits are not read");
                    ImportError::Unsupported { place: self.place, what }
                })?;
                // The library sends what is in the set to the right, all else to the left.
                let (missing_left, left, right) = (!default_left, right, left);
                tree.nodes.push(WideNode::Categorical { feature, first_word, n_words, missing_left, left, right });
                continue;
            }
            let missing = Missing { left: default_left, zero: false };
            tree.nodes.push(WideNode::Numeric {
                feature,
                threshold: at_most(self.conditions[at]),
                missing,
                left,
                right,
            });
        }
        Ok(tree)
    }

    fn check_lengths(&self) -> Result<(), ImportError> {
        let n = self.lefts.len();
        let optional = |len: usize| if len == 0 { n } else { len };
        for (field, found) in [
            ("right_children", self.rights.len()),
            ("split_conditions", self.conditions.len()),
            ("split_indices", self.features.len()),
            ("default_left", self.default_left.len()),
            ("split_type", optional(self.split_types.len())),
            ("sum_hessian", optional(self.hessians.len())),
        ] {
            if found != n {
                return Err(ImportError::Count { place: self.place, field, found, expected: n });
            }
        }
        for (field, found) in
            [("categories_segments", self.sets.starts.len()), ("categories_sizes", self.sets.lens.len())]
        {
            let expected = self.sets.nodes.len();
            if found != expected {
                return Err(ImportError::Count { place: self.place, field, found, expected });
            }
        }
        Ok(())
    }

    /// The nodes that the root leads to, children after their parents: in the file's order where that is one, else level by
    /// level. Pruning leaves nodes behind that nothing leads to.
    fn order(&self) -> Result<Vec<u32>, ImportError> {
        let n = self.lefts.len();
        if n == 0 {
            return Err(ImportError::Count { place: self.place, field: "left_children", found: 0, expected: 1 });
        }
        let mut reached = vec![false; n];
        reached[0] = true;
        let mut order = vec![0u32];
        let mut is_sorted = true;
        let mut next = 0;
        while let Some(&node) = order.get(next) {
            next += 1;
            let at = node as usize;
            let children = [("left_children", self.lefts[at]), ("right_children", self.rights[at])];
            if children.iter().all(|child| child.1 == -1) {
                continue;
            }
            for (field, child) in children {
                let free = usize::try_from(child).ok().filter(|&child| reached.get(child) == Some(&false));
                let Some(child) = free else {
                    let expected = "a node of the tree that no other leads to";
                    let found = child.to_string();
                    return Err(ImportError::Value { place: self.place, field, at, expected, found });
                };
                reached[child] = true;
                is_sorted &= child > at;
                order.push(child as u32);
            }
        }
        if is_sorted {
            order.sort_unstable();
        }
        Ok(order)
    }

    /// Hessians in units of which the root has 2^52; none where one is no such number.
    fn counts(&self, order: &[u32]) -> Vec<u64> {
        let root = self.hessians.first().copied().map_or(0.0, f64::from);
        if !(root > 0.0 && root.is_finite()) {
            return Vec::new();
        }
        let count = |&node: &u32| {
            let share = f64::from(self.hessians[node as usize]) / root;
            // No node has more than the root, but for rounding.
            (0.0..=2.0).contains(&share).then(|| libm::rint(share * ROOT_COUNT) as u64)
        };
        order.iter().map(count).collect::<Option<_>>().unwrap_or_default()
    }
}

impl RawSets {
    /// The sets by their nodes, in ascending order. None overlaps another, so that a short text is short work.
    fn by_node(&self, place: Place) -> Result<Vec<(u32, &[u32])>, ImportError> {
        let mut sets = Vec::with_capacity(self.nodes.len());
        let mut left = self.categories.len();
        for (at, (&node, (&start, &len))) in self.nodes.iter().zip(self.starts.iter().zip(&self.lens)).enumerate() {
            let range = usize::try_from(start).ok().zip(usize::try_from(len).ok());
            let set = range.and_then(|(start, len)| self.categories.get(start..start.checked_add(len)?));
            let rest = set.and_then(|set| left.checked_sub(set.len()));
            let (Some(set), Some(rest)) = (set, rest) else {
                let (expected, found) =
                    ("a run of the tree's categories for each set", format!("{len} from {start} on"));
                return Err(ImportError::Value { place, field: "categories_segments", at, expected, found });
            };
            left = rest;
            sets.push((node, set));
        }
        sets.sort_unstable_by_key(|set| set.0);
        Ok(sets)
    }
}

impl SourceTree {
    pub(super) fn largest_leaf(&self) -> f64 {
        self.leaves.iter().fold(0.0, |most, leaf| most.max(leaf.abs()))
    }

    pub(super) fn finish(mut self, bits: u8) -> WideTree {
        for (node, &leaf) in self.nodes.iter_mut().zip(&self.leaves) {
            if let WideNode::Leaf { value } = node {
                *value = to_steps(leaf, bits);
            }
        }
        WideTree { nodes: self.nodes, words: self.words, n_rows: self.n_rows }
    }

    /// Appends a level set; `None` where that would be too much.
    fn push_set(&mut self, set: &[u32], words_left: &mut usize) -> Option<(u32, u32)> {
        let n_words = set.iter().max().map_or(0, |&largest| largest as usize / 64 + 1);
        *words_left = words_left.checked_sub(n_words)?;
        let first = self.words.len();
        self.words.resize(first + n_words, 0);
        for &category in set {
            self.words[first + category as usize / 64] |= 1 << (category % 64);
        }
        Some((first as u32, n_words as u32))
    }
}

/// The number for which `(x as f32) < threshold` and `x <= at_most(threshold)` are the same for every `x`.
fn at_most(threshold: f32) -> f64 {
    let below = threshold.next_down();
    // What would stand below the smallest f32 if there were one more.
    let below = if below == f32::NEG_INFINITY { -libm::exp2(128.0) } else { f64::from(below) };
    // Up to the middle a value is rounded down; at the middle to the one whose last bit is even.
    let middle = f64::midpoint(below, f64::from(threshold));
    if (middle as f32) < threshold { middle } else { middle.next_down() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn agrees(threshold: f32) {
        let cut = at_most(threshold);
        let around = [cut, f64::from(threshold), f64::from(threshold.next_down()), f64::from(threshold.next_up())];
        for x in around.into_iter().flat_map(|x| [x, x.next_up(), x.next_down(), -x]) {
            assert_eq!((x as f32) < threshold, x <= cut, "{x:e} {threshold:e}");
        }
    }

    #[test]
    fn rounds_odd_thresholds_as_the_library_does() {
        for threshold in
            [0.0, -0.0, 1.0, -1.0, 1e-45, -1e-45, f32::MIN_POSITIVE, f32::MAX, f32::MIN, 3e-39, 16_777_216.0]
        {
            agrees(threshold);
        }
    }

    proptest! {
        #[test]
        fn rounds_thresholds_as_the_library_does(bits in any::<u32>()) {
            let threshold = f32::from_bits(bits);
            if threshold.is_finite() {
                agrees(threshold);
            }
        }
    }
}
