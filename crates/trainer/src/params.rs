//! The parameters of gradient boosting: a plain struct, checked once.

pub use crate::param_error::ParamError;

/// How boosted trees are fitted. Defaults are made for rare frauds (0.1 % to 10 % of the orders): leaves need many rows and
/// some certainty before they may move a score, and no single leaf moves it far.
#[derive(Clone, Debug, PartialEq)]
pub struct GbtParams {
    /// Most trees to fit; early stopping usually keeps fewer. 1 to 100,000, default 1000. More trees fit finer detail and
    /// take longer.
    pub n_trees: usize,
    /// What share of each leaf's best value is taken. (0, 1], default 0.05. Raising it needs fewer trees and generalises a
    /// little worse.
    pub learning_rate: f64,
    /// What the rate is multiplied by from round to round, down to a tenth of where it began. (0, 1], default 1. Lowering it
    /// takes smaller steps as the fit goes on.
    pub learning_rate_decay: f64,
    /// Most leaves of a tree. 2 to 32,768, default 31. Raising it lets a tree combine more features.
    pub max_leaves: usize,
    /// Which leaf is split next. Default best first. Level by level makes trees of even depth.
    pub growth: Growth,
    /// Most splits between the root and a leaf. 1 to 255, default 255 (only `max_leaves` limits). Lowering it forbids long
    /// chains that isolate few rows.
    pub max_depth: usize,
    /// Fewest training rows in a leaf. At least 1, default 40. Raising it smooths.
    pub min_rows_per_leaf: usize,
    /// Smallest sum of hessians in a leaf. 0 or more, default 1. A row adds p (1 - p), so a leaf of nearly certain rows
    /// counts for little however many they are: raising it stops splits among those.
    pub min_child_weight: f64,
    /// L1 penalty on leaf values. 0 or more, default 0. Raising it sets weak leaves to zero.
    pub l1: f64,
    /// L2 penalty on leaf values. 0 or more, default 10. Raising it shrinks leaves of little weight.
    pub l2: f64,
    /// Smallest gain of a split. 0 or more, default 0. Raising it prunes.
    pub min_gain: f64,
    /// Largest absolute leaf value before the learning rate, in log-odds. (0, 30], default 1. Raising it lets a pure leaf
    /// move a score further in one round.
    pub max_leaf_value: f64,
    /// How strongly a leaf's value is drawn to that of the node above it: as if the node had been seen with so much more
    /// hessian. 0 or more, default 10. Raising it makes neighbouring leaves more alike, those of little weight most.
    pub leaf_smoothing: f64,
    /// Share of the features that each tree may use. (0, 1], default 0.8. Lowering it makes trees more different.
    pub feature_fraction: f64,
    /// Share of the training rows that each tree sees, drawn by a hash of seed, round and position. (0, 1], default 1.
    /// Lowering it is faster and makes trees more different.
    pub row_fraction: f64,
    /// Share of the honest training rows that are used at all, drawn by a hash of seed and row; frauds are all used. (0, 1],
    /// default 1. Lowering it saves time and memory. Scores stay those of the real mix: the base of the trees is corrected.
    pub negative_rate: f64,
    /// How much more a fraud weighs than an honest row. Above 0, up to 10,000, default 1. Scores stay those of the real mix.
    pub fraud_weight: f64,
    /// Training rows whose gradient is smaller than this are drawn instead of all used: with a probability of their gradient
    /// over this, and counting for as many as they stand for. [0, 1], default 0.1; 0 uses all. Nearly all honest orders soon
    /// have tiny gradients, so the time for a tree grows with the number of frauds; the draws add less than this share to the
    /// noise that the labels have anyway. Raising it is faster and noisier. Limits on rows count the rows drawn.
    /// Up to 100,000 training rows all are used whatever it says.
    pub easy_row_limit: f64,
    /// Most bins for the present values of a feature. 3 to 255, default 255. Lowering it is coarser and a little faster.
    pub max_bins: usize,
    /// Weight added to a level's hessian when levels are sorted by gradient over hessian. 0 or more, default 10. Raising it
    /// moves levels of little weight to the middle.
    pub category_smoothing: f64,
    /// L2 penalty added to `l2` when a split on many levels is judged. 0 or more, default 10. Raising it asks for more
    /// evidence.
    pub category_l2: f64,
    /// Fewest rows that a level, or a step from one candidate set of levels to the next, must add. At least 1, default 100.
    pub min_rows_per_level: usize,
    /// Features on which the score may only rise or only fall while all others stay the same; missing values stand outside this
    /// order. By position in the feature row. Default none.
    pub monotone: Vec<(u32, Direction)>,
    /// Groups of features that may meet on a way from the root to a leaf; with any group, a feature in none meets no other.
    /// By position in the feature row. Default none: all may meet.
    pub interactions: Vec<Vec<u32>>,
    /// Rounds without a better validation metric after which fitting stops; 0 never stops early. Default 50.
    pub patience: usize,
    /// Rounds over which the validation metric is averaged (the last ones) before it is compared. 1 to 1000, default 5. With
    /// few frauds the metric jumps from round to round; raising this trusts single jumps less.
    pub metric_window: usize,
    /// Seed of the sampling of rows and features. Default 1.
    pub seed: u64,
}

/// Where a score goes while a feature rises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Up, or nowhere.
    Rising,
    /// Down, or nowhere.
    Falling,
}

/// The order in which leaves are split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// Always the leaf whose split gains most.
    BestFirst,
    /// The leaves of one depth, best first, before those of the next.
    LevelByLevel,
}

impl Default for GbtParams {
    fn default() -> Self {
        Self {
            n_trees: 1000,
            learning_rate: 0.05,
            learning_rate_decay: 1.0,
            max_leaves: 31,
            growth: Growth::BestFirst,
            max_depth: 255,
            min_rows_per_leaf: 40,
            min_child_weight: 1.0,
            l1: 0.0,
            l2: 10.0,
            min_gain: 0.0,
            max_leaf_value: 1.0,
            leaf_smoothing: 10.0,
            feature_fraction: 0.8,
            row_fraction: 1.0,
            negative_rate: 1.0,
            fraud_weight: 1.0,
            easy_row_limit: 0.1,
            max_bins: 255,
            category_smoothing: 10.0,
            category_l2: 10.0,
            min_rows_per_level: 100,
            monotone: Vec::new(),
            interactions: Vec::new(),
            patience: 50,
            metric_window: 5,
            seed: 1,
        }
    }
}

/// Parameters that passed [`GbtParams::check`].
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedGbtParams(GbtParams);

impl std::ops::Deref for CheckedGbtParams {
    type Target = GbtParams;

    fn deref(&self) -> &GbtParams {
        &self.0
    }
}

impl GbtParams {
    /// Checks every field against its range.
    ///
    /// ```
    /// use orderguard_trainer::params::GbtParams;
    /// let error = GbtParams { learning_rate: f64::NAN, ..Default::default() }.check().unwrap_err();
    /// assert_eq!(error.to_string(), "parameter learning_rate: expected (0, 1], found NaN");
    /// ```
    ///
    /// # Errors
    /// [`ParamError`] for the first field outside its range.
    pub fn check(self) -> Result<CheckedGbtParams, ParamError> {
        // The positive form, so that NaN fails too.
        let share = |x: f64| x > 0.0 && x <= 1.0;
        let weight = |x: f64| (0.0..f64::INFINITY).contains(&x);
        let p = &self;
        for (name, value, expected, holds) in [
            ("n_trees", p.n_trees as f64, "1 to 100000", (1..=100_000).contains(&p.n_trees)),
            ("learning_rate", p.learning_rate, "(0, 1]", share(p.learning_rate)),
            ("learning_rate_decay", p.learning_rate_decay, "(0, 1]", share(p.learning_rate_decay)),
            ("max_leaves", p.max_leaves as f64, "2 to 32768", (2..=32_768).contains(&p.max_leaves)),
            ("max_depth", p.max_depth as f64, "1 to 255", (1..=255).contains(&p.max_depth)),
            ("min_rows_per_leaf", p.min_rows_per_leaf as f64, "1 or more", p.min_rows_per_leaf >= 1),
            ("min_child_weight", p.min_child_weight, "0 or more, finite", weight(p.min_child_weight)),
            ("l1", p.l1, "0 or more, finite", weight(p.l1)),
            ("l2", p.l2, "0 or more, finite", weight(p.l2)),
            ("min_gain", p.min_gain, "0 or more, finite", weight(p.min_gain)),
            ("max_leaf_value", p.max_leaf_value, "(0, 30]", p.max_leaf_value > 0.0 && p.max_leaf_value <= 30.0),
            ("leaf_smoothing", p.leaf_smoothing, "0 or more, finite", weight(p.leaf_smoothing)),
            ("feature_fraction", p.feature_fraction, "(0, 1]", share(p.feature_fraction)),
            ("row_fraction", p.row_fraction, "(0, 1]", share(p.row_fraction)),
            ("negative_rate", p.negative_rate, "(0, 1]", share(p.negative_rate)),
            ("fraud_weight", p.fraud_weight, "(0, 10000]", p.fraud_weight > 0.0 && p.fraud_weight <= 10_000.0),
            ("easy_row_limit", p.easy_row_limit, "[0, 1]", (0.0..=1.0).contains(&p.easy_row_limit)),
            ("max_bins", p.max_bins as f64, "3 to 255", (3..=255).contains(&p.max_bins)),
            ("category_smoothing", p.category_smoothing, "0 or more, finite", weight(p.category_smoothing)),
            ("category_l2", p.category_l2, "0 or more, finite", weight(p.category_l2)),
            ("min_rows_per_level", p.min_rows_per_level as f64, "1 or more", p.min_rows_per_level >= 1),
            ("metric_window", p.metric_window as f64, "1 to 1000", (1..=1000).contains(&p.metric_window)),
        ] {
            if !holds {
                return Err(ParamError::out_of_range(name, value, expected));
            }
        }
        Ok(CheckedGbtParams(self))
    }
}

impl CheckedGbtParams {
    /// What is added to log-odds among the sampled and weighted rows to make them those of the real mix: `ln negative_rate -
    /// ln fraud_weight`, 0 without either. Scores of fitted trees contain it.
    pub fn prior_correction(&self) -> f64 {
        libm::log(self.negative_rate) - libm::log(self.fraud_weight)
    }

    /// The learning rate of a round, counted from 1.
    pub(crate) fn rate_of_round(&self, round: usize) -> f64 {
        let faded = libm::pow(self.learning_rate_decay, (round - 1) as f64);
        self.learning_rate * faded.max(0.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_pass_and_each_field_is_checked() {
        let d = GbtParams::default;
        assert!(d().check().is_ok());
        for (name, params) in [
            ("n_trees", GbtParams { n_trees: 0, ..d() }),
            ("learning_rate", GbtParams { learning_rate: 0.0, ..d() }),
            ("learning_rate_decay", GbtParams { learning_rate_decay: 1.1, ..d() }),
            ("max_leaves", GbtParams { max_leaves: 1, ..d() }),
            ("max_depth", GbtParams { max_depth: 256, ..d() }),
            ("min_rows_per_leaf", GbtParams { min_rows_per_leaf: 0, ..d() }),
            ("min_child_weight", GbtParams { min_child_weight: -1.0, ..d() }),
            ("l1", GbtParams { l1: f64::INFINITY, ..d() }),
            ("l2", GbtParams { l2: f64::NAN, ..d() }),
            ("min_gain", GbtParams { min_gain: f64::NAN, ..d() }),
            ("max_leaf_value", GbtParams { max_leaf_value: 31.0, ..d() }),
            ("leaf_smoothing", GbtParams { leaf_smoothing: -0.1, ..d() }),
            ("easy_row_limit", GbtParams { easy_row_limit: f64::NAN, ..d() }),
            ("feature_fraction", GbtParams { feature_fraction: 1.1, ..d() }),
            ("row_fraction", GbtParams { row_fraction: 0.0, ..d() }),
            ("negative_rate", GbtParams { negative_rate: 0.0, ..d() }),
            ("fraud_weight", GbtParams { fraud_weight: f64::NAN, ..d() }),
            ("max_bins", GbtParams { max_bins: 256, ..d() }),
            ("category_smoothing", GbtParams { category_smoothing: -0.1, ..d() }),
            ("category_l2", GbtParams { category_l2: f64::NAN, ..d() }),
            ("min_rows_per_level", GbtParams { min_rows_per_level: 0, ..d() }),
            ("metric_window", GbtParams { metric_window: 0, ..d() }),
        ] {
            assert_eq!(params.check().unwrap_err().name, name);
        }
    }
}
