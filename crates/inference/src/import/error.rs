//! What can be wrong with another library's model.

use std::fmt;

use crate::error::ModelError;

/// A model of another library that cannot be taken over. Lines count from 1.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ImportError {
    /// The text is longer than is read.
    TooLong {
        /// Its length in bytes.
        found: usize,
        /// The most that is taken.
        limit: usize,
    },
    /// A line is not UTF-8.
    NotText {
        /// The line.
        line: usize,
    },
    /// Something else stands where a part was to begin, or the text ends too early.
    Unexpected {
        /// The line; one past the last where the text has ended.
        line: usize,
        /// What was expected.
        expected: &'static str,
        /// The beginning of what was found.
        found: String,
    },
    /// A field is missing.
    MissingField {
        /// Line at which the part begins.
        line: usize,
        /// The field.
        field: &'static str,
    },
    /// A field stands twice in one part.
    RepeatedField {
        /// The line.
        line: usize,
        /// The field.
        field: String,
    },
    /// A value cannot be read, or is outside of what its meaning allows.
    Value {
        /// The line.
        line: usize,
        /// The field.
        field: &'static str,
        /// Position in the field, from 0.
        at: usize,
        /// What was expected.
        expected: &'static str,
        /// The beginning of what was found.
        found: String,
    },
    /// A list has not as many values as it must.
    Count {
        /// The line.
        line: usize,
        /// The field.
        field: &'static str,
        /// Values found.
        found: usize,
        /// Values expected.
        expected: usize,
    },
    /// A kind of model that is not read.
    Unsupported {
        /// The line.
        line: usize,
        /// What it is, by name.
        what: String,
    },
    /// The leaves are so large, or so many, that fixed-point sums cannot be as near to the library's as promised.
    Precision {
        /// Trees of the model.
        n_trees: usize,
        /// Sum of the largest leaf of each tree, in magnitude.
        largest: f64,
    },
    /// What was read is no forest.
    Model(ModelError),
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { found, limit } => write!(f, "expected at most {limit} bytes, found {found}"),
            Self::NotText { line } => write!(f, "line {line}: not UTF-8"),
            Self::Unexpected { line, expected, found } => {
                write!(f, "line {line}: expected {expected}, found {found:?}")
            }
            Self::MissingField { line, field } => write!(f, "line {line}: the part that begins here has no {field}"),
            Self::RepeatedField { line, field } => write!(f, "line {line}: {field:?} stands here for the second time"),
            Self::Value { line, field, at, expected, found } => {
                write!(f, "line {line}: {field}, value {at}: expected {expected}, found {found:?}")
            }
            Self::Count { line, field, found, expected } => {
                write!(f, "line {line}: {field}: expected {expected} values, found {found}")
            }
            Self::Unsupported { line, what } => write!(f, "line {line}: {what}"),
            Self::Precision { n_trees, largest } => write!(
                f,
                "{n_trees} trees whose largest leaves add up to {largest}: sums in 64-bit steps would differ from the library's by more than 1e-9"
            ),
            Self::Model(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ImportError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Model(error) => Some(error),
            _ => None,
        }
    }
}

impl From<ModelError> for ImportError {
    fn from(error: ModelError) -> Self {
        Self::Model(error)
    }
}
