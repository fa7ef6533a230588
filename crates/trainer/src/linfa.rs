//! The learners as linfa knows learners: parameters are checked by [`ParamGuard`], [`Fit`] takes a dataset of `f32` or `f64`
//! records and 0/1 labels, and what is fitted predicts probabilities of fraud.
//!
//! ```
//! use linfa::prelude::*;
//! use ndarray::{Array1, Array2};
//! use orderguard_trainer::linfa::Learner;
//! use orderguard_trainer::params::GbtParams;
//!
//! let records = Array2::from_shape_fn((400, 2), |(i, j)| ((i * 7 + j * 3) % 20) as f32);
//! let labels: Array1<bool> = records.outer_iter().map(|row| row[0] > 15.0).collect();
//! let dataset = Dataset::new(records, labels);
//! let params = GbtParams { n_trees: 20, min_rows_per_leaf: 5, ..GbtParams::default() };
//! let model = Learner::new(params).fit(&dataset)?;
//! let probabilities: Array1<Pr> = model.predict(&dataset);
//! assert!(*probabilities[2] < 0.5);
//! # Ok::<(), orderguard_trainer::linfa::FitError>(())
//! ```
//!
//! Missing values are NaN. Rows have no time here, so nothing is split: boosting takes all its rounds and reads categories of many
//! levels as ordered statistics ([`ordered`](crate::ordered)), a logistic regression its
//! `lambda`, and a scorecard chooses its features over five folds. Probabilities are those of the learner, not calibrated on
//! other rows.

use std::fmt;
use std::ops::ControlFlow;

use ::linfa::dataset::{AsSingleTargets, DatasetBase, Pr};
use ::linfa::traits::{Fit, PredictInplace};
use ::linfa::{Float, ParamGuard};
use ndarray::{Array1, ArrayBase, Data, Ix2};
use orderguard_features::language::spec::FeatureKind;
use orderguard_features::matrix::Matrix;
use orderguard_inference::model::Predictor;
use orderguard_inference::{BatchScratch, ModelError, RawScorer};

use crate::boosting;
use crate::logistic::{self, LogisticParams};
use crate::numeric::sigmoid;
use crate::ordered::{OrderedParams, fit_encoded};
use crate::param_error::ParamError;
use crate::params::GbtParams;
use crate::samples::Samples;
use crate::scorecard::{self, ScorecardParams};

/// Why a dataset gave no model.
#[derive(Debug)]
#[non_exhaustive]
pub enum FitError {
    /// A parameter outside its range.
    Param(ParamError),
    /// Records, targets and kinds of features differ in number.
    Length {
        /// What is counted.
        of: &'static str,
        /// Its number.
        found: usize,
        /// The number that the records ask for.
        expected: usize,
    },
    /// A label is neither 0 nor 1.
    Label {
        /// Row.
        row: usize,
    },
    /// The learner refused the data, in its words.
    Learner(String),
    /// The fitted model could not be laid out for scoring.
    Model(ModelError),
    /// An error of linfa's own.
    Linfa(::linfa::Error),
}

impl fmt::Display for FitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Param(error) => error.fmt(f),
            Self::Length { of, found, expected } => write!(f, "dataset: expected {expected} {of}, found {found}"),
            Self::Label { row } => write!(f, "dataset, row {row}: expected label 0 or 1"),
            Self::Learner(message) => f.write_str(message),
            Self::Model(error) => error.fmt(f),
            Self::Linfa(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for FitError {}

impl From<ParamError> for FitError {
    fn from(error: ParamError) -> Self {
        Self::Param(error)
    }
}

impl From<::linfa::Error> for FitError {
    fn from(error: ::linfa::Error) -> Self {
        Self::Linfa(error)
    }
}

/// Parameters of one of our learners: [`GbtParams`], [`LogisticParams`] or [`ScorecardParams`].
pub trait Params: Clone {
    /// What [`ParamGuard::check`] asks.
    ///
    /// # Errors
    /// The first parameter outside its range.
    fn validate(&self) -> Result<(), ParamError>;

    /// Fits checked parameters.
    ///
    /// # Errors
    /// As the learner's own call.
    fn learn(&self, kinds: &[FeatureKind], train: &Samples) -> Result<Predictor, FitError>;
}

fn refused(error: impl fmt::Display) -> FitError {
    FitError::Learner(error.to_string())
}

fn go(_: usize, _: usize) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

impl Params for GbtParams {
    fn validate(&self) -> Result<(), ParamError> {
        self.clone().check().map(|_| ())
    }

    fn learn(&self, kinds: &[FeatureKind], train: &Samples) -> Result<Predictor, FitError> {
        let params = self.clone().check()?;
        let mut go = |_: &boosting::Round<'_>| ControlFlow::Continue(());
        let fit = fit_encoded(&params, &OrderedParams::default(), kinds, train, self.n_trees, &mut go);
        Ok(Predictor::Gbt(fit.map_err(refused)?.forest))
    }
}

impl Params for LogisticParams {
    fn validate(&self) -> Result<(), ParamError> {
        self.clone().check().map(|_| ())
    }

    fn learn(&self, kinds: &[FeatureKind], train: &Samples) -> Result<Predictor, FitError> {
        let (params, plain) = (self.clone().check()?, vec![false; kinds.len()]);
        let fit = logistic::fit_logistic_fixed(&params, kinds, &plain, train, self.lambda, &mut go);
        Ok(Predictor::Logistic(fit.map_err(refused)?.model))
    }
}

impl Params for ScorecardParams {
    fn validate(&self) -> Result<(), ParamError> {
        self.clone().check().map(|_| ())
    }

    fn learn(&self, kinds: &[FeatureKind], train: &Samples) -> Result<Predictor, FitError> {
        let (params, plain) = (self.clone().check()?, vec![false; kinds.len()]);
        let folds: Vec<u8> = (0..train.len()).map(|i| (i % 5) as u8).collect();
        let chosen = scorecard::fit_scorecard_folds(&params, kinds, &plain, train, &folds, &mut go).map_err(refused)?;
        let fit = scorecard::fit_scorecard_fixed(&params, kinds, &plain, train, chosen.strength, &mut go);
        Ok(Predictor::Scorecard(fit.map_err(refused)?.card))
    }
}

/// A learner with parameters that are not checked yet; `fit` checks them.
#[derive(Clone, Debug, PartialEq)]
pub struct Learner<P>(ValidLearner<P>);

/// A learner whose parameters were checked.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidLearner<P> {
    params: P,
    kinds: Option<Vec<FeatureKind>>,
}

impl<P: Params> Learner<P> {
    /// A learner of these parameters; all features are numbers.
    pub fn new(params: P) -> Self {
        Self(ValidLearner { params, kinds: None })
    }

    /// Says which features are categories: one kind per column of the records, whose cells hold level codes there.
    #[must_use]
    pub fn kinds(mut self, kinds: Vec<FeatureKind>) -> Self {
        self.0.kinds = Some(kinds);
        self
    }
}

impl<P: Params> ParamGuard for Learner<P> {
    type Checked = ValidLearner<P>;
    type Error = ParamError;

    fn check_ref(&self) -> Result<&Self::Checked, ParamError> {
        self.0.params.validate().map(|()| &self.0)
    }

    fn check(self) -> Result<Self::Checked, ParamError> {
        self.0.params.validate().map(|()| self.0)
    }
}

/// A label that is 0 or 1.
pub trait FraudLabel {
    /// Whether it says fraud; `None` where it says neither.
    fn is_fraud(&self) -> Option<bool>;
}

impl FraudLabel for bool {
    fn is_fraud(&self) -> Option<bool> {
        Some(*self)
    }
}

macro_rules! whole_number_labels {
    ($($t:ty),*) => { $(
        impl FraudLabel for $t {
            fn is_fraud(&self) -> Option<bool> {
                match self {
                    0 => Some(false),
                    1 => Some(true),
                    _ => None,
                }
            }
        }
    )* };
}
whole_number_labels!(u8, u32, i32, usize);

impl<F, D, T, P> Fit<ArrayBase<D, Ix2>, T, FitError> for ValidLearner<P>
where
    F: Float,
    D: Data<Elem = F>,
    T: AsSingleTargets,
    T::Elem: FraudLabel,
    P: Params,
{
    type Object = Fitted;

    fn fit(&self, dataset: &DatasetBase<ArrayBase<D, Ix2>, T>) -> Result<Fitted, FitError> {
        let matrix = matrix_of(dataset.records());
        let targets = dataset.targets().as_single_targets();
        let expected = matrix.n_rows();
        if targets.len() != expected {
            return Err(FitError::Length { of: "targets", found: targets.len(), expected });
        }
        let label = |(row, label): (usize, &T::Elem)| label.is_fraud().map(u8::from).ok_or(FitError::Label { row });
        let labels = targets.iter().enumerate().map(label).collect::<Result<Vec<u8>, FitError>>()?;
        let n_features = matrix.n_features();
        let kinds = self.kinds.clone().unwrap_or_else(|| vec![FeatureKind::Numeric; n_features]);
        if kinds.len() != n_features {
            return Err(FitError::Length { of: "kinds of features", found: kinds.len(), expected: n_features });
        }
        let rows: Vec<u32> = (0..labels.len() as u32).collect();
        let train = Samples { matrix: &matrix, rows: &rows, labels: &labels };
        let predictor = self.params.learn(&kinds, &train)?;
        let scorer = RawScorer::compile(&predictor).map_err(FitError::Model)?;
        Ok(Fitted { predictor, scorer })
    }
}

fn matrix_of<F: Float, D: Data<Elem = F>>(records: &ArrayBase<D, Ix2>) -> Matrix {
    let cell = |x: &F| x.to_f32().unwrap_or(f32::NAN);
    let values =
        records.columns().into_iter().flat_map(|column| column.iter().map(cell).collect::<Vec<f32>>()).collect();
    Matrix::from_columns(records.nrows(), records.ncols(), values)
}

/// A fitted model; predicts the probability of fraud of each record.
#[derive(Clone, Debug)]
pub struct Fitted {
    /// Trees, weights or points.
    pub predictor: Predictor,
    scorer: RawScorer,
}

impl Fitted {
    /// Log-odds of fraud of each record.
    ///
    /// # Panics
    /// If the records have another number of columns than those of the fit: a caller's bug, never caused by data.
    pub fn raw_scores<F: Float, D: Data<Elem = F>>(&self, records: &ArrayBase<D, Ix2>) -> Vec<f64> {
        let matrix = matrix_of(records);
        let rows: Vec<u32> = (0..matrix.n_rows() as u32).collect();
        let mut out = vec![0.0; rows.len()];
        self.scorer
            .raw_scores_into(&matrix, &rows, &mut out, &mut BatchScratch::default())
            .expect("the records are as wide as those of the fit");
        out
    }
}

impl<F: Float, D: Data<Elem = F>> PredictInplace<ArrayBase<D, Ix2>, Array1<Pr>> for Fitted {
    fn predict_inplace(&self, records: &ArrayBase<D, Ix2>, out: &mut Array1<Pr>) {
        for (to, raw) in out.iter_mut().zip(self.raw_scores(records)) {
            *to = Pr::new(sigmoid(raw) as f32);
        }
    }

    fn default_target(&self, records: &ArrayBase<D, Ix2>) -> Array1<Pr> {
        Array1::from_elem(records.nrows(), Pr::default())
    }
}
