//! What can be wrong with another library's model.

use std::fmt;

use crate::error::ModelError;

/// Where in a text something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A line, from 1.
    Line(usize),
    /// A byte, from 0.
    Byte(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Byte(byte) => write!(f, "byte {byte}"),
        }
    }
}

/// A model of another library that cannot be taken over.
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
    /// Not UTF-8.
    NotText {
        /// Where.
        place: Place,
    },
    /// Something else stands where a part was to begin, or the text ends too early.
    Unexpected {
        /// Where; one past the last line where the text has ended.
        place: Place,
        /// What was expected.
        expected: &'static str,
        /// The beginning of what was found.
        found: String,
    },
    /// A field is missing.
    MissingField {
        /// Where the part begins.
        place: Place,
        /// The field.
        field: &'static str,
    },
    /// A field stands twice in one part.
    RepeatedField {
        /// Where.
        place: Place,
        /// The field.
        field: String,
    },
    /// A value cannot be read, or is outside of what its meaning allows.
    Value {
        /// Where.
        place: Place,
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
        /// Where.
        place: Place,
        /// The field.
        field: &'static str,
        /// Values found.
        found: usize,
        /// Values expected.
        expected: usize,
    },
    /// A kind of model that is not read.
    Unsupported {
        /// Where.
        place: Place,
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
            Self::NotText { place } => write!(f, "{place}: not UTF-8"),
            Self::Unexpected { place, expected, found } => {
                write!(f, "{place}: expected {expected}, found {found:?}")
            }
            Self::MissingField { place, field } => write!(f, "{place}: the part that begins here has no {field}"),
            Self::RepeatedField { place, field } => write!(f, "{place}: {field:?} stands here for the second time"),
            Self::Value { place, field, at, expected, found } => {
                write!(f, "{place}: {field}, value {at}: expected {expected}, found {found:?}")
            }
            Self::Count { place, field, found, expected } => {
                write!(f, "{place}: {field}: expected {expected} values, found {found}")
            }
            Self::Unsupported { place, what } => write!(f, "{place}: {what}"),
            Self::Precision { n_trees, largest } => write!(
                f,
                "{n_trees} trees whose largest leaves add up to {largest}: sums in 64-bit steps would be further from the library's than is promised"
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
