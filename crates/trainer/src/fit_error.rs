//! Data on which nothing can be fitted, and models that cannot be gone on from.

use std::fmt;

use crate::boosting::MAX_ROWS;
use crate::param_error::ParamError;

/// Data on which no trees can be fitted.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum FitError {
    /// Nothing to fit on.
    NoRows,
    /// Only frauds or only honest orders in training; `fold` names the fold that was left out.
    OneClass {
        /// Training rows.
        n_rows: usize,
        /// Frauds among them.
        n_fraud: usize,
        /// The fold left out, in a fit over folds.
        fold: Option<u8>,
    },
    /// The validation rows (of a fold) hold no fraud, so that no metric is defined there.
    NoFraudInValidation {
        /// Validation rows.
        n_rows: usize,
        /// The fold, in a fit over folds.
        fold: Option<u8>,
    },
    /// All samples are in one fold.
    OneFold,
    /// A weight is negative, infinite or NaN.
    BadWeight {
        /// The sample.
        sample: usize,
        /// Its weight.
        weight: f64,
    },
    /// All frauds or all honest orders of the training part weigh nothing.
    NoWeight,
    /// The measure of early stopping is outside its range.
    BadMeasure(ParamError),
    /// A constraint names a feature that is not there.
    UnknownFeature {
        /// The feature's position.
        feature: u32,
        /// Number of features.
        n_features: usize,
    },
    /// A direction is asked of a categorical feature, whose levels have no order.
    NotNumeric {
        /// The feature's position.
        feature: u32,
    },
    /// A feature is to rise and to fall.
    Contradiction {
        /// The feature's position.
        feature: u32,
    },
    /// The model to go on from cannot be used here.
    BadStart(StartError),
    /// More rows than [`MAX_ROWS`].
    TooManyRows {
        /// Rows given.
        found: usize,
    },
}

impl fmt::Display for FitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of_fold = |fold: &Option<u8>| fold.map_or(String::new(), |fold| format!(" (fold {fold} left out)"));
        match self {
            Self::NoRows => f.write_str("there are no labelled rows to fit on"),
            Self::OneClass { n_rows, n_fraud, fold } => write!(
                f,
                "training needs frauds and honest orders: found {n_fraud} frauds in {n_rows} rows{}",
                of_fold(fold)
            ),
            Self::NoFraudInValidation { n_rows, fold: None } => {
                write!(f, "validation needs frauds: found none in {n_rows} rows")
            }
            Self::NoFraudInValidation { n_rows, fold: Some(fold) } => {
                write!(f, "each fold needs frauds: found none in the {n_rows} rows of fold {fold}")
            }
            Self::OneFold => f.write_str("a fit over folds needs at least two folds, found one"),
            Self::BadWeight { sample, weight } => {
                write!(f, "weight of sample {sample}: expected 0 or more, finite, found {weight}")
            }
            Self::NoWeight => f.write_str("training needs frauds and honest orders that weigh more than 0"),
            Self::BadMeasure(error) => write!(f, "measure of early stopping: {error}"),
            Self::UnknownFeature { feature, n_features } => {
                write!(f, "a constraint names feature {feature} of {n_features}")
            }
            Self::NotNumeric { feature } => write!(f, "feature {feature} is categorical and has no direction"),
            Self::Contradiction { feature } => write!(f, "feature {feature} is to rise and to fall"),
            Self::BadStart(error) => write!(f, "the model to go on from: {error}"),
            Self::TooManyRows { found } => write!(f, "at most {MAX_ROWS} rows can be fitted, found {found}"),
        }
    }
}

impl std::error::Error for FitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::BadMeasure(error) => Some(error),
            Self::BadStart(error) => Some(error),
            _ => None,
        }
    }
}

/// Why trees cannot be added to a model, or its leaves fitted again.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum StartError {
    /// Its rows have another length.
    Width {
        /// Features of the model.
        found: u32,
        /// Features of the rows.
        expected: usize,
    },
    /// Its scores are in another unit.
    Unit {
        /// Binary digits after the point.
        found: u8,
        /// Those of this library.
        expected: u8,
    },
    /// Its trees contradict themselves.
    Broken(String),
    /// A snapshot of a fit of another kind: of more or fewer fits in step, or of more rounds than there are to be.
    OtherFit,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Width { found, expected } => write!(f, "expected {expected} features, found {found}"),
            Self::Unit { found, expected } => write!(f, "expected scores in units of 2^-{expected}, found 2^-{found}"),
            Self::Broken(error) => f.write_str(error),
            Self::OtherFit => f.write_str("expected a snapshot of this fit, found one of another"),
        }
    }
}

impl std::error::Error for StartError {}
