//! A model of another library: trees over rows of named values, without a schema or features of orders.

use crate::error::ModelError;
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
