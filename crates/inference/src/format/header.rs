//! Sections and fixed offsets of a model file: what `docs/model-format.md` lists, as names.

use orderguard_features::container::Tag;

/// The newest format version that this program reads, and the one it writes.
pub(super) const FORMAT_VERSION: u16 = 0;

/// Header: what the numbers mean and how many there are. Required.
pub(super) const HEAD: Tag = *b"head";
/// Schema as the text of `schema.toml`. Required.
pub(super) const SCHEMA: Tag = *b"schm";
/// Feature texts and vocabularies. Required.
pub(super) const SPEC: Tag = *b"spec";
/// Trees, for kind [`KIND_GBT`] only. Required.
pub(super) const TREES: Tag = *b"tree";
/// Linear terms, for kind [`KIND_LOGISTIC`] only. Required.
pub(super) const TERMS: Tag = *b"term";
/// Table of points, for kind [`KIND_SCORECARD`] only. Required.
pub(super) const POINTS: Tag = *b"pnts";
/// Calibration and threshold. Required.
pub(super) const DECISION: Tag = *b"deci";
/// Golden rows. Required.
pub(super) const GOLDEN: Tag = *b"gold";
/// Model card. Optional for scoring.
pub(super) const CARD: Tag = *b"card";
/// Reference distributions. Optional for scoring.
pub(super) const REFERENCE: Tag = *b"refr";
/// Rows per node, mean contributions and quantiles of scores. Optional: without it there are no reasons.
pub(super) const BACKGROUND: Tag = *b"back";
/// Tiers of decisions. Required where it is there, because it decides.
pub(super) const TIERS: Tag = *b"tier";
/// Bins of features and score with their orders. Optional: without it drift cannot be measured.
pub(super) const DRIFT: Tag = *b"drft";
/// Words of the reasons. Optional: without it the proposed ones are taken.
pub(super) const REASONS: Tag = *b"rsns";

/// Names, link and golden rows of a model over rows of named values. Required.
pub(super) const ROWS: Tag = *b"rows";
/// Its trees. Required.
pub(super) const WIDE: Tag = *b"wide";

/// Every section of a model with features of orders.
pub(super) const KNOWN: [Tag; 14] =
    [HEAD, SCHEMA, SPEC, TREES, TERMS, POINTS, DECISION, GOLDEN, CARD, REFERENCE, BACKGROUND, DRIFT, REASONS, TIERS];

/// Kind: boosted trees.
pub(super) const KIND_GBT: u8 = 1;
/// Kind: logistic regression.
pub(super) const KIND_LOGISTIC: u8 = 2;
/// Kind: scorecard.
pub(super) const KIND_SCORECARD: u8 = 3;
/// Rows are f32.
pub(super) const INPUT_F32: u8 = 1;
/// Rows are f64, by name: another library's model.
pub(super) const INPUT_F64: u8 = 2;
/// A value goes left when it is at most the threshold.
pub(super) const COMPARE_AT_MOST: u8 = 1;
/// NaN goes to the node's default side.
pub(super) const MISSING_DEFAULT_SIDE: u8 = 1;
/// Each numeric node says whether zeros are missing too.
pub(super) const MISSING_PER_NODE: u8 = 2;

/// Length of the header section.
pub(super) const HEAD_LEN: usize = 32;

/// Node kind, the low two bits of a node's flags: leaf.
pub(super) const NODE_LEAF: u8 = 0;
/// Node kind: numeric split.
pub(super) const NODE_NUMERIC: u8 = 1;
/// Node kind: categorical split.
pub(super) const NODE_CATEGORICAL: u8 = 2;
/// Bit of a node's flags: NaN goes left.
pub(super) const NODE_MISSING_LEFT: u8 = 4;
/// Bit of a wide numeric node's flags: zeros are missing too.
pub(super) const NODE_ZERO_MISSING: u8 = 8;

/// Arrays inside of the tree section start at multiples of this.
pub(super) const ARRAY_ALIGNMENT: usize = 64;

/// The content of the header section, field by field as it stands there.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Head {
    pub(super) kind: u8,
    pub(super) input: u8,
    pub(super) comparison: u8,
    pub(super) missing: u8,
    pub(super) scale_bits: u8,
    pub(super) n_features: u32,
    pub(super) n_trees: u32,
    pub(super) n_nodes: u32,
    pub(super) n_level_sets: u32,
    pub(super) base: i64,
}
