//! Reasons of any model of ours: trees by [`Explainer`], weights and points by themselves.

use super::{ExplainScratch, Explainer};
use crate::calibrate::probability;
use crate::error::{ModelError, ScoreError};
use crate::model::{Calibration, Model, Predictor};
use crate::wide::WideForest;

/// A model ready to say what each feature adds to a score. Immutable, `Send + Sync`.
///
/// Contributions are against the training rows ([`crate::background`]): of trees as in [`crate::explain`]; of a logistic
/// regression or scorecard what the feature adds, less what it adds on average. With [`Self::expected`] they sum to the raw score.
#[derive(Clone, Debug)]
pub struct ModelExplainer {
    kind: Kind,
    n_features: usize,
    expected: f64,
    calibration: Calibration,
}

#[derive(Clone, Debug)]
enum Kind {
    Trees(Box<Explainer>),
    Additive { predictor: Predictor, means: Vec<f64> },
}

impl ModelExplainer {
    /// Lays out a model. O(size of the model).
    ///
    /// # Errors
    /// If the model contradicts itself or has no background, or a tree has more than [`super::MAX_PATH`] features on a path.
    pub fn compile(model: &Model) -> Result<Self, ModelError> {
        crate::validate::check(model)?;
        let background = &model.background;
        if background.n_rows == 0 {
            return Err(ModelError::Empty { of: "background rows, which reasons need" });
        }
        let n_features = model.spec.len();
        let (kind, expected) = match &model.predictor {
            Predictor::Gbt(forest) => {
                let mut wide = WideForest::from(forest);
                for (tree, rows) in wide.trees.iter_mut().zip(&background.node_rows) {
                    tree.n_rows = rows.iter().copied().map(u64::from).collect();
                }
                let explainer = Explainer::compile(&wide)?;
                let expected = explainer.expected();
                (Kind::Trees(Box::new(explainer)), expected)
            }
            other => {
                let means = background.means.clone();
                let expected = start(other) + means.iter().sum::<f64>();
                (Kind::Additive { predictor: other.clone(), means }, expected)
            }
        };
        Ok(Self { kind, n_features, expected, calibration: model.calibration.clone() })
    }

    /// The raw score of nobody in particular: what the training rows have on average where nothing is known of an order.
    pub fn expected(&self) -> f64 {
        self.expected
    }

    /// Length of a row.
    pub fn n_features(&self) -> usize {
        self.n_features
    }

    /// What each feature adds to the raw score of a row, NaN = missing: `out[i]` of feature i, in log-odds before calibration.
    ///
    /// Allocates nothing once `scratch` has been used with this model. Sums are within 1e-9 of the raw score.
    pub fn explain(&self, row: &[f32], scratch: &mut ExplainScratch, out: &mut [f64]) -> Result<(), ScoreError> {
        let expected = self.n_features;
        if row.len() != expected {
            return Err(ScoreError::RowLength { found: row.len(), expected });
        }
        if out.len() != expected {
            return Err(ScoreError::OutputLength { found: out.len(), expected });
        }
        match &self.kind {
            Kind::Trees(explainer) => {
                let mut wide = std::mem::take(&mut scratch.row);
                wide.clear();
                wide.extend(row.iter().copied().map(f64::from));
                let done = explainer.explain(&wide, scratch, out);
                scratch.row = wide;
                done
            }
            Kind::Additive { predictor, means } => {
                additive(predictor, row, out);
                for (part, mean) in out.iter_mut().zip(means) {
                    *part -= mean;
                }
                Ok(())
            }
        }
    }

    /// The probability of nobody in particular: that of [`Self::expected`].
    pub fn expected_probability(&self) -> f64 {
        probability(&self.calibration, self.expected)
    }

    /// By what a contribution to the raw score is multiplied to say what it adds to the calibrated probability.
    ///
    /// The rule: the way from [`Self::expected_probability`] to the order's probability is shared in proportion to the contributions
    /// to the raw score. So they add up there too, and none changes its sign, because the calibration is increasing. 0 where
    /// the raw score is the expected one.
    pub fn probability_per_log_odds(&self, raw_score: f64) -> f64 {
        let way = raw_score - self.expected;
        if way == 0.0 {
            return 0.0;
        }
        (probability(&self.calibration, raw_score) - self.expected_probability()) / way
    }
}

/// What each feature adds to the raw score of a model that is a sum over features; trees, which are none, add nothing here.
pub(crate) fn additive(predictor: &Predictor, row: &[f32], out: &mut [f64]) {
    out.fill(0.0);
    match predictor {
        Predictor::Gbt(_) => {}
        Predictor::Logistic(linear) => {
            for term in &linear.terms {
                let feature = term.feature() as usize;
                out[feature] += term.contribution(row[feature]);
            }
        }
        Predictor::Scorecard(card) => {
            let unit = std::f64::consts::LN_2 / card.scale.points_to_double;
            for characteristic in &card.characteristics {
                let feature = characteristic.feature() as usize;
                out[feature] += f64::from(characteristic.bin(row[feature]).points) * unit;
            }
        }
    }
}

/// The raw score to which [`additive`] adds.
fn start(predictor: &Predictor) -> f64 {
    match predictor {
        Predictor::Gbt(_) => 0.0,
        Predictor::Logistic(linear) => linear.intercept,
        Predictor::Scorecard(card) => card.scale.raw_score(i64::from(card.start)),
    }
}
