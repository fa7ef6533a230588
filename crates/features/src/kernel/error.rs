//! What may be wrong with the bytes of a history.

use std::fmt;

use crate::container::{ContainerError, SectionReader};

/// Bytes that are no history.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HistoryError {
    /// They end too early.
    Container(ContainerError),
    /// A field holds a value that it cannot have.
    Invalid {
        /// Offset in the section, near the field.
        offset: usize,
        /// What was expected.
        expected: &'static str,
    },
}

impl HistoryError {
    pub(super) fn invalid(reader: &SectionReader<'_>, expected: &'static str) -> Self {
        Self::Invalid { offset: reader.offset(), expected }
    }
}

impl fmt::Display for HistoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Container(error) => error.fmt(f),
            Self::Invalid { offset, expected } => write!(f, "byte {offset}: expected {expected}"),
        }
    }
}

impl std::error::Error for HistoryError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Container(error) => Some(error),
            Self::Invalid { .. } => None,
        }
    }
}

impl From<ContainerError> for HistoryError {
    fn from(error: ContainerError) -> Self {
        Self::Container(error)
    }
}
