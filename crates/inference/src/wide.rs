//! Trees with the numbers of other libraries: thresholds of 64 bits, finer leaves, larger level sets, zeros that count as
//! missing. Every [`Forest`] of our own is one too, so the engines and the reasons know this form alone.

mod check;
mod naive;

use crate::model::{Forest, Node, Tree};

pub use check::MAX_WIDE_SCALE_BITS;
pub use naive::{leaf_of, raw_score_naive};

/// Magnitude up to which LightGBM takes a value for zero (`kZeroThreshold`, an f32, in `include/LightGBM/meta.h`).
pub const ZERO_BAND: f64 = 1e-35_f32 as f64;

/// Boosted trees over rows of f64. Raw score = (`base` + one leaf of each tree) x 2^-`scale_bits`, summed as integers.
#[derive(Clone, Debug, PartialEq)]
pub struct WideForest {
    /// Length of a row.
    pub n_features: u32,
    /// Score before any tree, fixed-point.
    pub base: i64,
    /// Binary digits after the point of `base` and the leaves: 0 to [`MAX_WIDE_SCALE_BITS`].
    pub scale_bits: u8,
    /// Which values are level codes.
    pub codes: Codes,
    /// The trees.
    pub trees: Vec<WideTree>,
}

/// From a value of a row to a level code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codes {
    /// Whole numbers are codes, fractions are in no set: ours.
    Whole,
    /// The fraction is cut off first, so that 2.7 is 2 and -0.5 is 0: LightGBM's.
    Truncated,
    /// The value is rounded to 32 bits, a negative one is in no set, and the fraction is cut off: XGBoost's.
    Narrowed,
}

/// One tree; node 0 is the root, children stand after their parent, each node but the root has one parent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WideTree {
    /// The nodes.
    pub nodes: Vec<WideNode>,
    /// Level sets, one after the other: a node's set is a run of words, and holds a code when bit `code % 64` of word
    /// `code / 64` of the run is set; codes past the run are not in it.
    pub words: Vec<u64>,
    /// Training rows that reached each node, for the reasons, in any unit: only their ratios count. Empty where nobody kept them.
    pub n_rows: Vec<u64>,
}

/// What a numeric split does with values that are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Whether they go left.
    pub left: bool,
    /// Whether zeros, values within [`ZERO_BAND`], are missing as NaN is.
    pub zero: bool,
}

/// A split or a leaf.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum WideNode {
    /// A value that is missing goes to its side; any other `x` left when `x <= threshold`, else right.
    Numeric {
        /// Which feature.
        feature: u32,
        /// Split point; infinite where only missing values go right.
        threshold: f64,
        /// What is missing, and where it goes.
        missing: Missing,
        /// Left child.
        left: u32,
        /// Right child.
        right: u32,
    },
    /// A level code in the set goes left, any other right, NaN to the default side.
    Categorical {
        /// Which feature.
        feature: u32,
        /// First word of the set in [`WideTree::words`].
        first_word: u32,
        /// Words of the set.
        n_words: u32,
        /// Whether NaN goes left.
        missing_left: bool,
        /// Left child.
        left: u32,
        /// Right child.
        right: u32,
    },
    /// What the tree adds to the raw score, fixed-point.
    Leaf {
        /// The value.
        value: i64,
    },
}

impl WideNode {
    /// The children of a split.
    pub fn children(&self) -> Option<(u32, u32)> {
        match *self {
            Self::Numeric { left, right, .. } | Self::Categorical { left, right, .. } => Some((left, right)),
            Self::Leaf { .. } => None,
        }
    }

    /// The feature that a split asks.
    pub fn feature(&self) -> Option<u32> {
        match *self {
            Self::Numeric { feature, .. } | Self::Categorical { feature, .. } => Some(feature),
            Self::Leaf { .. } => None,
        }
    }

    /// Whether a value goes left; a leaf sends nothing left. `words` are the tree's.
    #[inline]
    pub fn goes_left(&self, words: &[u64], codes: Codes, x: f64) -> bool {
        match *self {
            Self::Numeric { threshold, missing, .. } => {
                if x.is_nan() || missing.zero && x.abs() <= ZERO_BAND {
                    missing.left
                } else {
                    x <= threshold
                }
            }
            Self::Categorical { first_word, n_words, missing_left, .. } => {
                if x.is_nan() {
                    return missing_left;
                }
                let set = words.get(first_word as usize..first_word as usize + n_words as usize).unwrap_or(&[]);
                holds(set, codes, x)
            }
            Self::Leaf { .. } => false,
        }
    }
}

/// Whether a set holds the code that a value is. -0 is 0; negative and infinite values are no codes.
pub fn holds(set: &[u64], codes: Codes, x: f64) -> bool {
    code_of(codes, x).is_some_and(|code| set.get((code / 64) as usize).is_some_and(|word| word >> (code % 64) & 1 == 1))
}

/// The code that a value is, as [`holds`] reads it.
pub(crate) fn code_of(codes: Codes, x: f64) -> Option<u32> {
    let x = if codes == Codes::Narrowed { f64::from(x as f32) } else { x };
    if codes == Codes::Narrowed && x < 0.0 {
        return None;
    }
    let whole = libm::trunc(x);
    // A set ends before 2^32 codes; what is compared below is exact.
    let is_code = (0.0..4_294_967_296.0).contains(&whole) && (codes != Codes::Whole || whole == x);
    is_code.then_some(whole as u32)
}

impl From<&Forest> for WideForest {
    /// The same forest: every row of f32 reaches the same leaves.
    fn from(forest: &Forest) -> Self {
        Self {
            n_features: forest.n_features,
            base: forest.base,
            scale_bits: forest.scale_bits,
            codes: Codes::Whole,
            trees: forest.trees.iter().map(WideTree::from).collect(),
        }
    }
}

impl From<&Tree> for WideTree {
    fn from(tree: &Tree) -> Self {
        let widen = |node: &Node| match *node {
            Node::Leaf { value } => WideNode::Leaf { value: value.into() },
            Node::Numeric { feature, threshold, missing_left, left, right } => WideNode::Numeric {
                feature,
                threshold: threshold.into(),
                missing: Missing { left: missing_left, zero: false },
                left,
                right,
            },
            Node::Categorical { feature, level_set, missing_left, left, right } => {
                WideNode::Categorical { feature, first_word: level_set * 4, n_words: 4, missing_left, left, right }
            }
        };
        Self { nodes: tree.nodes.iter().map(widen).collect(), words: tree.level_sets.concat(), n_rows: Vec::new() }
    }
}
