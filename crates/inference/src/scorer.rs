//! The compiled form of a model: from a row to a raw score, a probability and a decision.

use orderguard_features::matrix::Matrix;

use crate::calibrate::probability;
use crate::decision::{Decision, Tier, bound, decide};
use crate::engine::{Choice, CompiledForest, Engine, EngineScratch};
use crate::error::{ModelError, ScoreError};
use crate::linear;
use crate::model::{Calibration, LinearModel, Model, Predictor, Threshold};
use crate::scorecard::FlatScorecard;
use crate::validate;
use crate::wide::WideForest;

/// What a model says about one order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Log-odds before calibration; orders are ranked and thresholds compared by it.
    pub raw_score: f64,
    /// Calibrated probability of fraud, 0 to 1.
    pub probability: f64,
    /// What is to be done.
    pub decision: Decision,
}

/// A model that is ready to score rows: immutable, `Send + Sync`, without locks. Share it by reference or in an `Arc`.
#[derive(Clone, Debug)]
pub struct Scorer {
    raw: RawScorer,
    calibration: Calibration,
    threshold: Threshold,
    tiers: Vec<Tier>,
}

impl Scorer {
    /// Checks a model, lays it out for scoring, and scores its golden rows. O(size of the model).
    ///
    /// # Errors
    /// If the model contradicts itself (a loaded one does not), or a golden row does not give the raw score it must.
    pub fn compile(model: &Model) -> Result<Self, ModelError> {
        Self::compile_with(model, Choice::default())
    }

    /// As [`Self::compile`], with an engine or instructions of the caller's choice. All give the same bits.
    pub fn compile_with(model: &Model, choice: Choice) -> Result<Self, ModelError> {
        validate::check(model)?;
        let raw = RawScorer::from_checked(&model.predictor, choice);
        for (i, golden) in model.golden.iter().enumerate() {
            let found = raw.score_checked(&golden.row);
            if found.to_bits() != golden.raw_score_bits {
                let expected = f64::from_bits(golden.raw_score_bits);
                return Err(ModelError::GoldenMismatch { row: i as u32, found, expected });
            }
        }
        let (calibration, threshold, tiers) = (model.calibration.clone(), model.threshold.clone(), model.tiers.clone());
        Ok(Self { raw, calibration, threshold, tiers })
    }

    /// Length of a row.
    pub fn n_features(&self) -> usize {
        self.raw.n_features()
    }

    /// From which raw score on an order is stopped where there are no tiers.
    pub fn threshold(&self) -> &Threshold {
        &self.threshold
    }

    /// The tiers, rising; empty where the threshold alone decides.
    pub fn tiers(&self) -> &[Tier] {
        &self.tiers
    }

    /// At which raw score the decision of this one was made: see [`bound`].
    pub fn bound(&self, raw_score: f64) -> f64 {
        bound(&self.threshold, &self.tiers, raw_score)
    }

    /// Raw score, probability and decision of one row of feature values, NaN = missing; any bits give a score.
    ///
    /// Allocates nothing.
    pub fn score(&self, row: &[f32]) -> Result<Score, ScoreError> {
        self.raw.raw_score(row).map(|raw_score| self.judge(raw_score))
    }

    /// Raw score of one row. Allocates nothing.
    pub fn raw_score(&self, row: &[f32]) -> Result<f64, ScoreError> {
        self.raw.raw_score(row)
    }

    /// Probability and decision of a raw score.
    pub fn judge(&self, raw_score: f64) -> Score {
        Score {
            raw_score,
            probability: probability(&self.calibration, raw_score),
            decision: decide(&self.threshold, &self.tiers, raw_score),
        }
    }

    /// See [`RawScorer::raw_scores_into`].
    pub fn raw_scores_into(
        &self,
        matrix: &Matrix,
        rows: &[u32],
        out: &mut [f64],
        scratch: &mut BatchScratch,
    ) -> Result<(), ScoreError> {
        self.raw.raw_scores_into(matrix, rows, out, scratch)
    }
}

/// Memory for scoring many rows, used again for each call: one per thread.
#[derive(Clone, Debug, Default)]
pub struct BatchScratch {
    engine: EngineScratch,
    row: Vec<f32>,
}

/// The part of a scorer that needs neither schema nor calibration: what a trainer measures itself with.
#[derive(Clone, Debug)]
pub struct RawScorer {
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Forest(CompiledForest<f32>),
    Linear(LinearModel),
    Scorecard(FlatScorecard),
}

impl RawScorer {
    /// Checks trees or weights and lays them out for scoring. Any feature may be a category here.
    pub fn compile(predictor: &Predictor) -> Result<Self, ModelError> {
        Self::compile_with(predictor, Choice::default())
    }

    /// As [`Self::compile`], with an engine or instructions of the caller's choice. All give the same bits.
    pub fn compile_with(predictor: &Predictor, choice: Choice) -> Result<Self, ModelError> {
        validate::check_predictor_alone(predictor)?;
        Ok(Self::from_checked(predictor, choice))
    }

    fn from_checked(predictor: &Predictor, choice: Choice) -> Self {
        let kind = match predictor {
            Predictor::Gbt(forest) => Kind::Forest(CompiledForest::new(&WideForest::from(forest), choice)),
            Predictor::Logistic(linear) => Kind::Linear(linear.clone()),
            Predictor::Scorecard(card) => Kind::Scorecard(FlatScorecard::new(card)),
        };
        Self { kind }
    }

    /// The engine that runs the trees; none in a model without trees.
    pub fn engine(&self) -> Option<Engine> {
        match &self.kind {
            Kind::Forest(forest) => Some(forest.engine()),
            Kind::Linear(_) | Kind::Scorecard(_) => None,
        }
    }

    /// Length of a row.
    pub fn n_features(&self) -> usize {
        match &self.kind {
            Kind::Forest(forest) => forest.n_features(),
            Kind::Linear(linear) => linear.n_features as usize,
            Kind::Scorecard(card) => card.n_features(),
        }
    }

    /// Raw score of one row of feature values, NaN = missing; any bits give a finite score. Allocates nothing.
    pub fn raw_score(&self, row: &[f32]) -> Result<f64, ScoreError> {
        self.check_width(row.len())?;
        Ok(self.score_checked(row))
    }

    /// Raw scores of the given rows of a matrix, `out[i]` of row `rows[i]`; the same bits as one row at a time.
    ///
    /// Allocates nothing once `scratch` has been used with this model. Callers that want threads cut `rows` and `out` into
    /// ranges of some thousand rows and call this for each, with a scratch per thread.
    ///
    /// # Errors
    /// If the matrix has another width than the model, `out` another length than `rows`, or a row does not exist; `out` is
    /// untouched then.
    pub fn raw_scores_into(
        &self,
        matrix: &Matrix,
        rows: &[u32],
        out: &mut [f64],
        scratch: &mut BatchScratch,
    ) -> Result<(), ScoreError> {
        self.check_width(matrix.n_features())?;
        if rows.len() != out.len() {
            return Err(ScoreError::OutputLength { found: out.len(), expected: rows.len() });
        }
        if let Some(&row) = rows.iter().find(|&&row| row as usize >= matrix.n_rows()) {
            return Err(ScoreError::RowOutOfRange { row, n_rows: matrix.n_rows() });
        }
        let gather = |i: usize, values: &mut [f32]| matrix.copy_row(rows[i] as usize, values);
        let BatchScratch { engine, row } = scratch;
        row.resize(self.n_features(), 0.0);
        match &self.kind {
            Kind::Forest(forest) => forest.raw_scores(out, row, engine, gather),
            Kind::Linear(_) | Kind::Scorecard(_) => {
                for (i, slot) in out.iter_mut().enumerate() {
                    gather(i, row);
                    *slot = self.score_checked(row);
                }
            }
        }
        Ok(())
    }

    fn check_width(&self, found: usize) -> Result<(), ScoreError> {
        let expected = self.n_features();
        if found == expected { Ok(()) } else { Err(ScoreError::RowLength { found, expected }) }
    }

    fn score_checked(&self, row: &[f32]) -> f64 {
        match &self.kind {
            Kind::Forest(forest) => forest.raw_score(row),
            Kind::Linear(linear) => linear::raw_score(linear, row),
            Kind::Scorecard(card) => card.raw_score(row),
        }
    }
}
