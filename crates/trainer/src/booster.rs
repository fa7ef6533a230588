//! One fit in progress: the scores of all rows, and one tree after the other.

use orderguard_inference::model::{Forest, Tree};

use crate::apply::add_tree;
use crate::binning::BinnedMatrix;
use crate::boosting::{GbtFit, RoundReport};
use crate::constraints::Constraints;
use crate::fit_error::FitError;
use crate::grower::{Grower, GrownNode, Task};
use crate::histogram::{Layout, Scale};
use crate::loss::{DrawRule, Drawn, Targets};
use crate::numeric::{SCALE_BITS, hash3, logit, to_fixed};
use crate::params::CheckedGbtParams;
use crate::splitting::Judge;
use crate::start::Start;
use crate::thinning::prior_shift;
use crate::validation::HeldMeasure;
use crate::vector::Width;

/// Up to so many training rows all are used: there is little time to save, and every honest row near a fraud counts.
pub(crate) const EASY_ROWS_FROM: usize = 100_000;
/// Key that keeps the draws of features apart from those of rows.
const FEATURE_DRAW: u64 = 2 << 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A tree was added.
    Grew,
    /// No leaf can be split any more.
    Stuck,
}

/// One fit in progress: some rows of a binned matrix train, some are only scored.
pub(crate) struct Booster<'a> {
    params: &'a CheckedGbtParams,
    binned: &'a BinnedMatrix,
    layout: Layout,
    constraints: Constraints,
    width: Width,
    scale: Scale,
    targets: Targets<'a>,
    train_rows: Vec<u32>,
    pub(crate) held_rows: Vec<u32>,
    held_labels: Vec<u8>,
    measure: HeldMeasure,
    /// Fixed-point raw score of every row of the matrix.
    scores: Vec<i64>,
    base: i64,
    drawn: Drawn,
    grower: Grower,
    pub(crate) trees: Vec<Tree>,
    /// Gain of each split by tree: feature and gain.
    pub(crate) gains: Vec<Vec<(u32, f64)>>,
}

impl<'a> Booster<'a> {
    /// `train_rows` and `held_rows` increase and have no row in common; both classes are among the former.
    pub(crate) fn new(
        params: &'a CheckedGbtParams,
        binned: &'a BinnedMatrix,
        constraints: Constraints,
        targets: Targets<'a>,
        train_rows: Vec<u32>,
        (held_rows, measure): (Vec<u32>, HeldMeasure),
        start: Option<&Start>,
    ) -> Result<Self, FitError> {
        let labels = targets.labels;
        let weight = |row: u32| targets.weights.map_or(1.0, |weights| f64::from(weights[row as usize]));
        let (mut fraud, mut all, mut max_weight) = (0.0, 0.0, 0.0_f64);
        for &row in &train_rows {
            all += weight(row);
            fraud += if labels[row as usize] == 1 { weight(row) } else { 0.0 };
            max_weight = max_weight.max(weight(row));
        }
        if !(fraud > 0.0 && fraud < all) {
            return Err(FitError::NoWeight);
        }
        let base = start.map_or_else(|| to_fixed(logit(fraud / all)), |start| start.base);
        let easy_row_limit = if train_rows.len() > EASY_ROWS_FROM { params.easy_row_limit } else { 0.0 };
        let rule = DrawRule { easy_row_limit, row_fraction: params.row_fraction, seed: params.seed };
        let (width, scale) = (Width::best(), rule.scale(train_rows.len(), max_weight));
        Ok(Self {
            params,
            binned,
            layout: Layout::new(binned.features()),
            constraints,
            width,
            scale,
            targets,
            held_labels: held_rows.iter().map(|&row| labels[row as usize]).collect(),
            measure,
            scores: start.map_or_else(|| vec![base; labels.len()], |start| start.scores.clone()),
            base,
            drawn: Drawn::new(width, rule, scale),
            grower: Grower::default(),
            trees: Vec::new(),
            gains: Vec::new(),
            train_rows,
            held_rows,
        })
    }

    /// Fits one more tree and adds it to all scores.
    pub(crate) fn step(&mut self, round: usize) -> Step {
        let params = self.params;
        self.drawn.draw(round, self.binned, &self.train_rows, &self.scores, self.targets);
        let allowed = self.draw_features(round);
        let task = Task {
            binned: self.binned,
            layout: &self.layout,
            source: self.drawn.source(self.binned),
            judge: Judge::new(params, self.scale, self.width),
            params,
            learning_rate: params.rate_of_round(round),
            allowed: &allowed,
            constraints: &self.constraints,
        };
        let tree = self.grower.grow(&task, self.drawn.len(), self.drawn.total());
        let sampled = self.drawn.len() < self.train_rows.len() || allowed.contains(&false);
        if tree.nodes.len() == 1 && !sampled {
            return Step::Stuck;
        }
        add_tree(self.width, &tree, self.binned, &mut self.scores);
        let gains = tree.nodes.iter().filter_map(|node| match node {
            GrownNode::Split { split, .. } => Some((self.binned.features()[split.column].feature, split.gain)),
            GrownNode::Leaf { .. } => None,
        });
        self.gains.push(gains.collect());
        self.trees.push(tree.into_tree(self.binned));
        Step::Grew
    }

    /// Which binned features the tree may use: those with the lowest hashes, at least one.
    fn draw_features(&self, round: usize) -> Vec<bool> {
        let features = self.binned.features();
        let mut allowed = vec![true; features.len()];
        if self.params.feature_fraction < 1.0 {
            let key = FEATURE_DRAW + round as u64;
            let n_allowed = ((features.len() as f64 * self.params.feature_fraction).ceil() as usize).max(1);
            let mut order: Vec<usize> = (0..features.len()).collect();
            order.sort_by_key(|&column| (hash3(self.params.seed, key, u64::from(features[column].feature)), column));
            order.iter().skip(n_allowed).for_each(|&column| allowed[column] = false);
        }
        allowed
    }

    pub(crate) fn held_scores(&self) -> Vec<i64> {
        self.held_rows.iter().map(|&row| self.scores[row as usize]).collect()
    }

    pub(crate) fn metric(&self) -> Option<f64> {
        self.measure.of(&self.held_scores(), &self.held_labels)
    }

    /// Takes trees that an earlier run of this fit grew, after `self.trees`; `scores` are what they add to each row.
    pub(crate) fn extend(&mut self, trees: &[Tree], gains: &[Vec<(u32, f64)>], scores: &[i64]) {
        self.trees.extend_from_slice(trees);
        self.gains.extend_from_slice(gains);
        self.scores.iter_mut().zip(scores).for_each(|(score, add)| *score += add);
    }

    /// The fit up to `best_round`, on top of the trees of `start`, and with scores of the real mix of orders.
    pub(crate) fn into_fit(
        mut self,
        n_features: usize,
        best_round: usize,
        history: Vec<RoundReport>,
        valid_scores: Vec<f64>,
        start: Option<&Forest>,
    ) -> GbtFit {
        self.trees.truncate(best_round);
        let mut importance = vec![0.0; n_features];
        for &(feature, gain) in self.gains.iter().take(best_round).flatten() {
            importance[feature as usize] += gain;
        }
        let base = self.base + prior_shift(self.params);
        let mut trees = start.map_or_else(Vec::new, |start| start.trees.clone());
        trees.append(&mut self.trees);
        let forest = Forest { n_features: n_features as u32, base, scale_bits: SCALE_BITS, trees };
        GbtFit { forest, best_round, history, importance, valid_scores }
    }
}
