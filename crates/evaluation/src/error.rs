//! What can be wrong with the slices that a measurement is asked of.

use std::fmt;

/// A set of scored orders that cannot be measured.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum MetricError {
    /// Two slices that must run in parallel differ in length.
    LengthMismatch {
        /// What the slice holds, such as `labels`.
        what: &'static str,
        /// The number of scores.
        expected: usize,
        /// The length found.
        found: usize,
    },
    /// A raw score is NaN or infinite.
    ScoreNotFinite {
        /// Position in the slice.
        row: usize,
        /// The score.
        found: f64,
    },
    /// A probability is NaN or outside 0 to 1.
    ProbabilityOutOfRange {
        /// Position in the slice.
        row: usize,
        /// The probability.
        found: f64,
    },
    /// A weight is not above 0, or not finite.
    WeightOutOfRange {
        /// Position in the slice.
        row: usize,
        /// The weight.
        found: f64,
    },
    /// A label is neither 0 nor 1.
    LabelNotBinary {
        /// Position in the slice.
        row: usize,
        /// The label.
        found: u8,
    },
}

impl fmt::Display for MetricError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LengthMismatch { what, expected, found } => {
                write!(f, "{what}: expected one for each of the {expected} scores, found {found}")
            }
            Self::ScoreNotFinite { row, found } => {
                write!(f, "scored order {row}: expected a finite raw score, found {found}")
            }
            Self::ProbabilityOutOfRange { row, found } => {
                write!(f, "scored order {row}: expected a probability from 0 to 1, found {found}")
            }
            Self::WeightOutOfRange { row, found } => {
                write!(f, "scored order {row}: expected a weight above 0 and finite, found {found}")
            }
            Self::LabelNotBinary { row, found } => {
                write!(f, "scored order {row}: expected the label 0 (honest) or 1 (fraud), found {found}")
            }
        }
    }
}

impl std::error::Error for MetricError {}
