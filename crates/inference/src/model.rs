//! What a model is once it is in memory: trees or weights, calibration, thresholds, and the card that describes it.

use orderguard_features::language::spec::FeatureSpec;
use orderguard_features::schema::Schema;

pub use crate::background::Background;
pub use crate::decision::Tier;
pub use crate::drift::DriftReference;
pub use crate::reasons::ReasonTexts;

/// Everything that scoring needs except entity history.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// What the shop's columns mean.
    pub schema: Schema,
    /// What is computed from an order; the row has `spec.len()` values.
    pub spec: FeatureSpec,
    /// From a row to the raw score.
    pub predictor: Predictor,
    /// From the raw score to the probability of fraud in the shop's real mix.
    pub calibration: Calibration,
    /// From which raw score on an order is stopped.
    pub threshold: Threshold,
    /// Decisions by score, rising; empty where the threshold alone decides.
    pub tiers: Vec<Tier>,
    /// Where the model comes from and what it showed.
    pub card: ModelCard,
    /// Quantiles of each feature in training, in feature order.
    pub reference: Vec<FeatureReference>,
    /// What training rows were to the model; for reasons.
    pub background: Background,
    /// How orders were distributed over bins when the model was made; for drift.
    pub drift: DriftReference,
    /// The words in which reasons are given; empty for the proposed ones.
    pub reasons: ReasonTexts,
    /// Made-up rows with the raw scores they must give, checked on load.
    pub golden: Vec<GoldenRow>,
}

/// The part of a model that turns a row into a raw score (log-odds before calibration).
#[derive(Clone, Debug, PartialEq)]
pub enum Predictor {
    /// Boosted trees.
    Gbt(Forest),
    /// Logistic regression.
    Logistic(LinearModel),
    /// A table of points.
    Scorecard(Scorecard),
}

/// Boosted trees. Raw score = (`base` + sum of one leaf per tree) x 2^-`scale_bits`: integers, so that trees may be
/// summed in any order with the same bits.
#[derive(Clone, Debug, PartialEq)]
pub struct Forest {
    /// Length of a row.
    pub n_features: u32,
    /// Score before any tree, fixed-point.
    pub base: i64,
    /// Binary digits after the point of `base` and the leaves: 0 to 40.
    pub scale_bits: u8,
    /// The trees.
    pub trees: Vec<Tree>,
}

/// One decision tree as flat arrays; node 0 is the root, children stand after their parent, each node has one parent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tree {
    /// The nodes.
    pub nodes: Vec<Node>,
    /// Level sets that categorical nodes point to: a level is in the set when bit `code % 64` of word `code / 64` is set.
    /// Codes from 256 on are never in a set.
    pub level_sets: Vec<[u64; 4]>,
}

/// A split or a leaf.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Node {
    /// A value `x` goes left when `x <= threshold`, right when not, and to the default side when NaN.
    Numeric {
        /// Which feature.
        feature: u32,
        /// Split point in the feature's own units; finite.
        threshold: f32,
        /// Whether NaN goes left.
        missing_left: bool,
        /// Left child.
        left: u32,
        /// Right child.
        right: u32,
    },
    /// A level code goes left when it is in the set, right when not (also codes never seen), default side when NaN.
    Categorical {
        /// Which feature.
        feature: u32,
        /// Position in [`Tree::level_sets`].
        level_set: u32,
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
        value: i32,
    },
}

/// Logistic regression: raw score = `intercept` + the terms' contributions, added in the order they stand.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearModel {
    /// Length of a row.
    pub n_features: u32,
    /// Score with every term at zero.
    pub intercept: f64,
    /// The terms.
    pub terms: Vec<LinearTerm>,
}

/// What one feature adds to the raw score of a linear model.
#[derive(Clone, Debug, PartialEq)]
pub enum LinearTerm {
    /// NaN adds `missing`; a value that [`is_first_seen`](orderguard_features::language::feature::is_first_seen) adds `first_seen` where that is
    /// given; any other `x` adds `weight * ((v - mean) / scale)`, computed in f64 in this order, where v is `clamp(x, low, high)` or
    /// its [`signed_log`](crate::linear::signed_log).
    Numeric {
        /// Which feature.
        feature: u32,
        /// Weight of the standardised value.
        weight: f64,
        /// Lower clamp.
        low: f32,
        /// Upper clamp.
        high: f32,
        /// Whether the clamped value's signed logarithm enters, not the value itself.
        log: bool,
        /// Mean in training.
        mean: f64,
        /// Standard deviation in training, above 0.
        scale: f64,
        /// Contribution of a missing value.
        missing: f64,
        /// Contribution of an entity seen for the first time, for history features.
        first_seen: Option<f64>,
    },
    /// Level code `c` adds `levels[c]`; codes past the end add the last entry (rare and unseen); NaN adds `missing`.
    Categorical {
        /// Which feature.
        feature: u32,
        /// Contribution of each known level, then of rare and unseen ones: `n_levels + 1` entries.
        levels: Vec<f64>,
        /// Contribution of a missing value.
        missing: f64,
    },
}

/// A table of points that can be added up by hand: an order has `start` points and those of one bin per characteristic; more
/// points mean more risk. Raw score = `(points - base_score) * (ln 2 / points_to_double) - ln(base_odds)`, with the points
/// summed as integers and the rest computed in f64 in this order.
#[derive(Clone, Debug, PartialEq)]
pub struct Scorecard {
    /// Length of a row.
    pub n_features: u32,
    /// What points mean.
    pub scale: PointScale,
    /// Points of every order.
    pub start: i32,
    /// Where the other points come from.
    pub characteristics: Vec<Characteristic>,
}

/// What the points of a scorecard mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PointScale {
    /// Points of an order with `base_odds`; finite.
    pub base_score: f64,
    /// Honest orders for one fraud at `base_score` points; finite, above 0.
    pub base_odds: f64,
    /// Points that double the odds of fraud; finite, above 0.
    pub points_to_double: f64,
}

/// A bin of a scorecard: its points, and the training orders that stand behind them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScoreBin {
    /// What an order in the bin gets.
    pub points: i32,
    /// Training orders in it.
    pub n_orders: u64,
    /// Frauds among them.
    pub n_fraud: u64,
}

/// One feature of a scorecard, cut into bins.
#[derive(Clone, Debug, PartialEq)]
pub enum Characteristic {
    /// NaN is in the bin `missing`, a special value in its own; any other `x` in bin i when `upper[i - 1] < x <= upper[i]`,
    /// with nothing below the first bin and above the last one.
    Numeric {
        /// Which feature.
        feature: u32,
        /// Values with a bin of their own, such as "seen for the first time": finite, strictly ascending.
        specials: Vec<(f32, ScoreBin)>,
        /// Upper ends of all bins but the last: finite, strictly ascending.
        upper: Vec<f32>,
        /// `upper.len() + 1` bins.
        bins: Vec<ScoreBin>,
        /// Bin of missing values.
        missing: ScoreBin,
    },
    /// Level code `c` is in bin `groups[c]`; whatever is no known code is in that of the last entry (rare and unseen); NaN in
    /// the bin `missing`.
    Categorical {
        /// Which feature.
        feature: u32,
        /// Bin of each known level, then of rare and unseen ones: `n_levels + 1` entries.
        groups: Vec<u32>,
        /// The bins that `groups` names.
        bins: Vec<ScoreBin>,
        /// Bin of missing values.
        missing: ScoreBin,
    },
}

/// A strictly increasing map from raw score to probability.
#[derive(Clone, Debug, PartialEq)]
pub enum Calibration {
    /// `p = 1 / (1 + exp(-(slope * raw + intercept)))`, slope > 0 (Platt 1999).
    Platt {
        /// Slope, above 0.
        slope: f64,
        /// Intercept.
        intercept: f64,
    },
    /// Beta calibration on `s = sigmoid(raw)`: `logit p = a ln s - b ln(1 - s) + c`, a, b >= 0 and not both 0
    /// (Kull, Silva Filho and Flach 2017).
    Beta {
        /// Weight of `ln s`.
        a: f64,
        /// Weight of `-ln(1 - s)`.
        b: f64,
        /// Intercept.
        c: f64,
    },
    /// Straight lines on the log-odds between knots, continued with slope 1 outside; isotonic regression with the flats
    /// given a small slope, so that no two raw scores share a probability.
    Isotonic {
        /// `(raw score, log-odds)`, both strictly increasing, at least one.
        knots: Vec<(f64, f64)>,
    },
}

/// From which score on an order is stopped, and by which aim that was chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    /// Orders with `raw >= raw_score` are stopped.
    pub raw_score: f64,
    /// Calibrated probability at that raw score.
    pub probability: f64,
    /// The aim in words, such as "false-positive rate at most 0.5 % in validation".
    pub aim: String,
}

/// Where the model comes from and what it showed. Holds no path, no wall-clock time, no thread count.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelCard {
    /// Version of the program that wrote the model.
    pub program_version: String,
    /// What the model is: `gbt`, `logistic` or `scorecard`, and whether it is a refit.
    pub kind: String,
    /// Hash of the canonically sorted rows (BLAKE3, hexadecimal).
    pub data_hash: String,
    /// Seed of everything drawn at random.
    pub seed: u64,
    /// Tells which identity key hashed the identifiers, without telling the key.
    pub key_check: u64,
    /// Facts in reading order: name and value, such as ("orders", "1754155") or ("test average precision", "0.71").
    pub facts: Vec<(String, String)>,
    /// Training parameters: name and value.
    pub params: Vec<(String, String)>,
    /// What was left out and why, what was not believed.
    pub notes: Vec<String>,
}

/// How one feature was distributed in training.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureReference {
    /// Share of rows where it was missing.
    pub missing_share: f64,
    /// Quantiles 0.05, 0.10, ... 0.95 of the present values of a numeric feature; empty for a categorical one.
    pub quantiles: Vec<f32>,
    /// Share of each level code (rare last) of a categorical feature; empty for a numeric one.
    pub level_shares: Vec<f64>,
    /// Total gain of the splits on this feature, or the absolute standardised weight; 0 when unused.
    pub importance: f64,
}

/// A made-up feature row and the bits of the raw score it must give.
#[derive(Clone, Debug, PartialEq)]
pub struct GoldenRow {
    /// Feature values; NaN is missing.
    pub row: Vec<f32>,
    /// `f64::to_bits` of the raw score.
    pub raw_score_bits: u64,
}
