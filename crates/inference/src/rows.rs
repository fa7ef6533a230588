//! A model of another library: trees over rows of named values, without a schema or features of orders.

use crate::calibrate::probability;
use crate::engine::{Choice, CompiledForest, Engine, EngineScratch, compile_both};
use crate::error::{ModelError, ScoreError};
use crate::model::Calibration;
use crate::validate;
use crate::wide::{WideForest, WideNode, raw_score_naive};

/// Trees over rows whose values somebody else computes. It holds no threshold: what a score leads to is for its owner to say.
#[derive(Clone, Debug, PartialEq)]
pub struct RowModel {
    /// Names of the values of a row, in their order; none twice.
    pub names: Vec<String>,
    /// From a row to the raw score.
    pub forest: WideForest,
    /// From the raw score to a probability: the link of the library.
    pub calibration: Calibration,
    /// Where the model comes from: name and value.
    pub facts: Vec<(String, String)>,
    /// Made-up rows with the raw scores they must give, checked on load.
    pub golden: Vec<GoldenValues>,
}

/// A made-up row and the bits of the raw score it must give.
#[derive(Clone, Debug, PartialEq)]
pub struct GoldenValues {
    /// The values; NaN is missing.
    pub row: Vec<f64>,
    /// `f64::to_bits` of the raw score.
    pub raw_score_bits: u64,
}

/// Most golden rows of a model.
const N_GOLDEN: usize = 8;
/// Most values of all golden rows together.
const MAX_GOLDEN_VALUES: usize = 1 << 20;

impl RowModel {
    /// Checks everything that scoring relies on, golden rows included. O(size of the model).
    pub fn check(&self) -> Result<(), ModelError> {
        self.forest.check()?;
        let n_features = self.forest.n_features as usize;
        let length = |of: String, found: usize| {
            let (found, expected) = (found as u64, n_features as u64);
            if found == expected { Ok(()) } else { Err(ModelError::Length { of, found, expected }) }
        };
        length("names".into(), self.names.len())?;
        let mut sorted: Vec<&String> = self.names.iter().collect();
        sorted.sort_unstable();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(ModelError::RepeatedName { name: pair[0].clone() });
        }
        validate::check_calibration(&self.calibration)?;
        for (i, golden) in self.golden.iter().enumerate() {
            length(format!("golden row {i}"), golden.row.len())?;
            let found = raw_score_naive(&self.forest, &golden.row);
            if found.to_bits() != golden.raw_score_bits {
                let expected = f64::from_bits(golden.raw_score_bits);
                return Err(ModelError::GoldenMismatch { row: i as u32, found, expected });
            }
        }
        Ok(())
    }

    /// The model with made-up rows of its own thresholds, values beside them and missing ones, and their scores.
    pub(crate) fn with_golden_rows(mut self) -> Result<Self, ModelError> {
        self.golden.clear();
        self.check()?;
        let n_features = self.forest.n_features as usize;
        let n_rows = (MAX_GOLDEN_VALUES / n_features).clamp(1, N_GOLDEN);
        let mut rows = vec![vec![f64::NAN; n_features]; n_rows];
        let nodes = self.forest.trees.iter().flat_map(|tree| &tree.nodes);
        // The first row stays empty; the others take turns, so that each has some threshold of most features.
        for (i, node) in nodes.enumerate() {
            let Some(row) = rows[1..].get_mut(i % n_rows) else { continue };
            match *node {
                WideNode::Numeric { feature, threshold, .. } => {
                    row[feature as usize] = if i % 3 == 0 { threshold.next_up() } else { threshold };
                }
                WideNode::Categorical { feature, .. } => row[feature as usize] = (i % 7) as f64,
                WideNode::Leaf { .. } => {}
            }
        }
        let score = |row: Vec<f64>| {
            let raw_score_bits = raw_score_naive(&self.forest, &row).to_bits();
            GoldenValues { row, raw_score_bits }
        };
        self.golden = rows.into_iter().map(score).collect();
        Ok(self)
    }

    /// Name and value of everything worth knowing, in reading order.
    pub fn describe(&self) -> Vec<(String, String)> {
        let trees = &self.forest.trees;
        let n_nodes: usize = trees.iter().map(|tree| tree.nodes.len()).sum();
        let is_leaf = |node: &&WideNode| matches!(node, WideNode::Leaf { .. });
        let n_leaves = trees.iter().flat_map(|tree| &tree.nodes).filter(is_leaf).count();
        let mut lines = vec![("kind".to_owned(), "trees over rows of named values".to_owned())];
        lines.extend(self.facts.iter().cloned());
        let mut add = |name: &str, value: String| lines.push((name.to_owned(), value));
        add("trees", trees.len().to_string());
        add("nodes", format!("{n_nodes}, of these {n_leaves} leaves"));
        add("leaf unit", format!("2^-{}", self.forest.scale_bits));
        add("calibration", crate::card::describe_calibration(&self.calibration));
        add("golden rows", self.golden.len().to_string());
        add("values of a row", self.names.len().to_string());
        for (i, name) in self.names.iter().enumerate() {
            add(&format!("value {i}"), name.clone());
        }
        lines
    }
}

/// A model over rows that is ready to score: immutable, `Send + Sync`, without locks.
#[derive(Clone, Debug)]
pub struct RowScorer {
    narrow: CompiledForest<f32>,
    wide: CompiledForest<f64>,
    calibration: Calibration,
}

/// Memory for scoring many rows, used again for each call: one per thread.
#[derive(Clone, Debug, Default)]
pub struct RowScratch {
    engine: EngineScratch,
    narrow: Vec<f32>,
    wide: Vec<f64>,
}

impl RowScorer {
    /// Checks a model, lays it out for scoring, and scores its golden rows. O(size of the model).
    pub fn compile(model: &RowModel) -> Result<Self, ModelError> {
        Self::compile_with(model, Choice::default())
    }

    /// As [`Self::compile`], with an engine or instructions of the caller's choice. All give the same bits.
    pub fn compile_with(model: &RowModel, choice: Choice) -> Result<Self, ModelError> {
        model.check()?;
        let (narrow, wide) = compile_both(&model.forest, choice);
        for (i, golden) in model.golden.iter().enumerate() {
            let found = wide.raw_score(&golden.row);
            if found.to_bits() != golden.raw_score_bits {
                let expected = f64::from_bits(golden.raw_score_bits);
                return Err(ModelError::GoldenMismatch { row: i as u32, found, expected });
            }
        }
        Ok(Self { narrow, wide, calibration: model.calibration.clone() })
    }

    /// Values of a row.
    pub fn n_values(&self) -> usize {
        self.wide.n_features()
    }

    /// The engine that runs the trees.
    pub fn engine(&self) -> Engine {
        self.wide.engine()
    }

    /// Raw score of one row, NaN = missing; any bits give a score. Allocates nothing for up to 4,095 columns: features, times
    /// their ways to treat missing values, and level sets.
    pub fn raw_score(&self, row: &[f64]) -> Result<f64, ScoreError> {
        self.check_width(row.len())?;
        Ok(self.wide.raw_score(row))
    }

    /// As [`Self::raw_score`], of f32: the score of the same values as f64.
    pub fn raw_score_f32(&self, row: &[f32]) -> Result<f64, ScoreError> {
        self.check_width(row.len())?;
        Ok(self.narrow.raw_score(row))
    }

    /// Raw scores of rows that stand one after the other; the same bits as one at a time. Allocates nothing once `scratch` has
    /// been used with this model.
    ///
    /// # Errors
    /// If `rows` does not hold `out.len()` rows; `out` is untouched then.
    pub fn raw_scores_into(&self, rows: &[f64], out: &mut [f64], scratch: &mut RowScratch) -> Result<(), ScoreError> {
        let n = self.check_rows(rows.len(), out.len())?;
        scratch.wide.resize(n, 0.0);
        let gather = |i: usize, row: &mut [f64]| row.copy_from_slice(&rows[i * n..][..n]);
        self.wide.raw_scores(out, &mut scratch.wide, &mut scratch.engine, gather);
        Ok(())
    }

    /// As [`Self::raw_scores_into`], of f32.
    pub fn raw_scores_f32_into(
        &self,
        rows: &[f32],
        out: &mut [f64],
        scratch: &mut RowScratch,
    ) -> Result<(), ScoreError> {
        let n = self.check_rows(rows.len(), out.len())?;
        scratch.narrow.resize(n, 0.0);
        let gather = |i: usize, row: &mut [f32]| row.copy_from_slice(&rows[i * n..][..n]);
        self.narrow.raw_scores(out, &mut scratch.narrow, &mut scratch.engine, gather);
        Ok(())
    }

    /// The probability that a raw score stands for.
    pub fn probability(&self, raw_score: f64) -> f64 {
        probability(&self.calibration, raw_score)
    }

    fn check_width(&self, found: usize) -> Result<(), ScoreError> {
        let expected = self.n_values();
        if found == expected { Ok(()) } else { Err(ScoreError::RowLength { found, expected }) }
    }

    fn check_rows(&self, n_values: usize, n_rows: usize) -> Result<usize, ScoreError> {
        let n = self.n_values();
        if n_rows.checked_mul(n) == Some(n_values) {
            return Ok(n);
        }
        Err(ScoreError::OutputLength { found: n_rows, expected: n_values / n })
    }
}
