//! What other libraries of the language make of the same rows: the baselines of `orderguard train --compare`.
//!
//! None of them takes missing values or categories, so they get what their users would give them: missing values as the
//! column's median, level codes as numbers, and for the logistic regression standardised columns, which are clamped five
//! standard deviations from the mean. All run on one thread.

use std::fmt;

use ::linfa::dataset::Dataset;
use ::linfa::traits::{Fit, Predict};
use linfa_logistic::{FittedLogisticRegression, LogisticRegression};
use linfa_trees::DecisionTree;
use ndarray::{Array1, Array2};
use smartcore::ensemble::random_forest_regressor::{RandomForestRegressor, RandomForestRegressorParameters};
use smartcore::linalg::basic::matrix::DenseMatrix;

use crate::samples::Samples;

/// Standardised columns are clamped here; one order of a million times the mean amount would hold all weights down.
const MAX_DEVIATIONS: f64 = 5.0;
const MAX_DEPTH: u16 = 12;
const MIN_ROWS_PER_LEAF: usize = 20;

/// A learner of another library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Baseline {
    /// `linfa-trees`: one decision tree. Its prediction is a class, not a probability.
    LinfaTree,
    /// `linfa-logistic`: logistic regression with a square penalty, by L-BFGS.
    LinfaLogistic,
    /// `smartcore`: a random forest of 20 regression trees on the labels, whose mean is a probability.
    SmartcoreForest,
}

/// A baseline that could not be fitted, in its library's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaselineError {
    /// Which.
    pub name: &'static str,
    /// What it said.
    pub message: String,
}

impl fmt::Display for BaselineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.message)
    }
}

impl std::error::Error for BaselineError {}

enum Model {
    Tree(DecisionTree<f64, usize>),
    Logistic(FittedLogisticRegression<f64, usize>),
    Forest(RandomForestRegressor<f64, f64, DenseMatrix<f64>, Vec<f64>>),
}

/// A fitted baseline.
pub struct FittedBaseline {
    name: &'static str,
    model: Model,
    columns: Vec<Column>,
}

/// How a column becomes numbers without gaps.
struct Column {
    median: f64,
    mean: f64,
    scale: f64,
}

impl Baseline {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::LinfaTree, Self::LinfaLogistic, Self::SmartcoreForest];

    /// Library and learner.
    pub fn name(self) -> &'static str {
        match self {
            Self::LinfaTree => "linfa-trees: decision tree",
            Self::LinfaLogistic => "linfa-logistic: regression",
            Self::SmartcoreForest => "smartcore: random forest",
        }
    }

    /// Fits it on these rows.
    ///
    /// # Errors
    /// What its library refuses.
    pub fn fit(self, train: &Samples, seed: u64) -> Result<FittedBaseline, BaselineError> {
        let name = self.name();
        let refused = |message: String| BaselineError { name, message };
        let columns: Vec<Column> = (0..train.matrix.n_features()).map(|feature| measure(train, feature)).collect();
        let labels = || train.labels.iter().map(|&label| usize::from(label)).collect::<Array1<usize>>();
        let model = match self {
            Self::LinfaTree => {
                let dataset = Dataset::new(plain(&columns, train), labels());
                let params = DecisionTree::params()
                    .max_depth(Some(usize::from(MAX_DEPTH)))
                    .min_weight_leaf(MIN_ROWS_PER_LEAF as f32);
                Model::Tree(params.fit(&dataset).map_err(|error| refused(error.to_string()))?)
            }
            Self::LinfaLogistic => {
                let dataset = Dataset::new(standardised(&columns, train), labels());
                let params = LogisticRegression::default().alpha(1.0).max_iterations(200);
                Model::Logistic(params.fit(&dataset).map_err(|error| refused(error.to_string()))?)
            }
            Self::SmartcoreForest => {
                let params = RandomForestRegressorParameters {
                    max_depth: Some(MAX_DEPTH),
                    min_samples_leaf: MIN_ROWS_PER_LEAF,
                    n_trees: 20,
                    m: Some((columns.len() as f64).sqrt().ceil() as usize),
                    seed,
                    ..RandomForestRegressorParameters::default()
                };
                let labels: Vec<f64> = train.labels.iter().map(|&label| f64::from(label)).collect();
                let fit = RandomForestRegressor::fit(&dense(&columns, train), &labels, params);
                Model::Forest(fit.map_err(|error| refused(error.to_string()))?)
            }
        };
        Ok(FittedBaseline { name, model, columns })
    }
}

impl FittedBaseline {
    /// A score of each row, log-odds where the library has probabilities; more is more suspicious.
    ///
    /// # Errors
    /// What its library refuses.
    pub fn scores(&self, samples: &Samples) -> Result<Vec<f64>, BaselineError> {
        let log_odds = |p: f64| crate::numeric::logit(p.clamp(1e-6, 1.0 - 1e-6));
        Ok(match &self.model {
            Model::Tree(tree) => {
                let classes: Array1<usize> = tree.predict(&plain(&self.columns, samples));
                classes.iter().map(|&class| class as f64).collect()
            }
            Model::Logistic(model) => {
                // Class 1 may be the negative one of the library's pair.
                let sign = if model.labels().pos.class == 1 { 1.0 } else { -1.0 };
                let probabilities = model.predict_probabilities(&standardised(&self.columns, samples));
                probabilities.iter().map(|&p| sign * log_odds(p)).collect()
            }
            Model::Forest(forest) => {
                let predicted = forest.predict(&dense(&self.columns, samples));
                let refused =
                    |error: smartcore::error::Failed| BaselineError { name: self.name, message: error.to_string() };
                predicted.map_err(refused)?.into_iter().map(log_odds).collect()
            }
        })
    }

    /// Bytes of its numbers: 40 a node of the tree, 8 a weight; `None` where the library does not show them.
    pub fn n_bytes(&self) -> Option<usize> {
        match &self.model {
            Model::Tree(tree) => Some(40 * tree.iter_nodes().count()),
            Model::Logistic(model) => Some(8 * (model.params().len() + 1 + 3 * self.columns.len())),
            Model::Forest(_) => None,
        }
    }
}

fn measure(train: &Samples, feature: usize) -> Column {
    let cells = train.matrix.column(feature);
    let mut present: Vec<f32> = train.rows.iter().map(|&row| cells[row as usize]).filter(|x| x.is_finite()).collect();
    if present.is_empty() {
        return Column { median: 0.0, mean: 0.0, scale: 1.0 };
    }
    let middle = present.len() / 2;
    let median = f64::from(*present.select_nth_unstable_by(middle, f32::total_cmp).1);
    present.sort_unstable_by(f32::total_cmp);
    let n = present.len() as f64;
    let mean = present.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
    let scale = (present.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n).sqrt();
    Column { median, mean, scale: if scale > 0.0 && scale.is_finite() { scale } else { 1.0 } }
}

fn cell(column: &Column, x: f32) -> f64 {
    if x.is_finite() { f64::from(x) } else { column.median }
}

fn plain(columns: &[Column], samples: &Samples) -> Array2<f64> {
    Array2::from_shape_fn((samples.len(), columns.len()), |(i, j)| {
        cell(&columns[j], samples.matrix.column(j)[samples.rows[i] as usize])
    })
}

fn standardised(columns: &[Column], samples: &Samples) -> Array2<f64> {
    let mut values = plain(columns, samples);
    for (mut values, column) in values.columns_mut().into_iter().zip(columns) {
        values.mapv_inplace(|x| ((x - column.mean) / column.scale).clamp(-MAX_DEVIATIONS, MAX_DEVIATIONS));
    }
    values
}

fn dense(columns: &[Column], samples: &Samples) -> DenseMatrix<f64> {
    let values = plain(columns, samples).into_raw_vec_and_offset().0;
    DenseMatrix::new(samples.len(), columns.len(), values, false).expect("one value per row and column was made")
}
