//! What the user should know about a split.

use std::fmt;

use orderguard_features::time::UnixMillis;

use super::MIN_VALIDATION_FRAUDS;

/// Something about a split that the user should know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SplitNote {
    /// No gap before validation: train would keep less than half of its frauds.
    GapBeforeValidationDropped {
        /// Frauds of train with the gap.
        n_fraud_with_gap: usize,
        /// Frauds of train without it.
        n_fraud_without: usize,
    },
    /// All frauds of train belong to one entity: the folds are over orders, not over entities.
    FraudsOfOneEntity {
        /// Frauds in train.
        n_fraud: usize,
    },
    /// Too few frauds in validation: folds inside train take its place.
    FoldsInsteadOfValidation {
        /// Frauds that were in validation.
        n_validation_fraud: usize,
        /// How many folds.
        n_folds: u32,
    },
    /// The labels of most of the last part are not due at the end of the data: the shares were taken of the time up to
    /// which they are.
    ResolvedSpan {
        /// The last instant whose labels are due.
        resolved_until: i64,
    },
    /// Some of the test part is not resolved at the end of the data.
    UnresolvedTest {
        /// How many orders.
        n_rows: u64,
    },
    /// Labelled orders before train and after test, which are in no part.
    Outside {
        /// Before the start of train.
        n_before: u64,
        /// From the end of test on.
        n_after: u64,
    },
    /// Orders of train and validation that had no label yet at the time of the fit.
    LabelledLater {
        /// How many orders.
        n_rows: u64,
    },
    /// No fraud in test: figures that need one are undefined.
    NoFraudInTest,
    /// Data without time were split by a hash: figures flatter.
    NoTime,
}

impl fmt::Display for SplitNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GapBeforeValidationDropped { n_fraud_with_gap, n_fraud_without } => write!(
                f,
                "no gap of the label delay before validation: train would keep {n_fraud_with_gap} of its {n_fraud_without} frauds"
            ),
            Self::FraudsOfOneEntity { n_fraud } => write!(
                f,
                "all {n_fraud} frauds of train belong to one entity: folds are over orders, and what is chosen on them flatters"
            ),
            Self::FoldsInsteadOfValidation { n_validation_fraud, n_folds } => write!(
                f,
                "validation would hold {n_validation_fraud} frauds, fewer than {MIN_VALIDATION_FRAUDS}: {n_folds} folds over entities inside train take its place"
            ),
            Self::ResolvedSpan { resolved_until } => write!(
                f,
                "labels of most of the last part are not due at the end of the data: parts are shares of the time up to {}",
                UnixMillis(*resolved_until)
            ),
            Self::UnresolvedTest { n_rows } => {
                write!(f, "{n_rows} orders of the test part are not resolved at the end of the data and are not counted")
            }
            Self::Outside { n_before, n_after } => write!(
                f,
                "{n_before} labelled orders before the start of train and {n_after} after the end of test are in no part"
            ),
            Self::LabelledLater { n_rows } => write!(
                f,
                "{n_rows} orders of train and validation were labelled only after the time of the fit and are not in it"
            ),
            Self::NoFraudInTest => f.write_str("no known fraud in the test part: figures that need one are undefined"),
            Self::NoTime => f.write_str(
                "no order time: parts were drawn by a hash of the row, so the figures flatter: the future is known to such a model",
            ),
        }
    }
}
