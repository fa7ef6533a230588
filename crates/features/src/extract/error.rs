//! A specification that cannot be compiled.

use std::fmt;

use crate::kernel::PlanError;
use crate::language::resolve::ResolveError;
use crate::language::spec::SpecError;
use crate::schema::SchemaError;

use super::{MAX_KEY_SOURCES, MAX_SLOTS, MAX_VALUES};

/// A specification that cannot be compiled.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ExtractorError {
    /// The schema itself is unusable.
    Schema(SchemaError),
    /// The specification contradicts itself, or does not fit schema and tables.
    Spec(SpecError),
    /// A feature names something that the schema or the tables do not have.
    Feature {
        /// The feature.
        feature: String,
        /// What is wrong.
        error: ResolveError,
    },
    /// A feature asks for what history cannot compute.
    History {
        /// The feature.
        feature: String,
        /// What is wrong.
        error: PlanError,
    },
    /// The features were made with another edition of a table of the shop's own than the one given.
    Table {
        /// The table.
        name: String,
        /// Whether any edition was given.
        given: bool,
    },
    /// More columns are counted over, linked by and counted in than [`MAX_KEY_SOURCES`].
    TooManyKeySources {
        /// Their number.
        found: usize,
    },
    /// More entities are counted over than [`MAX_SLOTS`].
    TooManyEntities {
        /// Their number.
        found: usize,
    },
    /// History would have to remember more numbers of an event than [`MAX_VALUES`].
    TooManyValues {
        /// Their number.
        found: usize,
    },
}

impl fmt::Display for ExtractorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let too_many = |f: &mut fmt::Formatter<'_>, limit: usize, of: &str, found: usize| {
            write!(f, "features: expected at most {limit} {of}, found {found}")
        };
        match self {
            Self::Schema(error) => error.fmt(f),
            Self::Spec(error) => error.fmt(f),
            Self::Feature { feature, error } => write!(f, "feature `{feature}`: {error}"),
            Self::History { feature, error } => write!(f, "feature `{feature}`: {error}"),
            Self::Table { name, given: true } => {
                write!(f, "table {name}: expected the edition that the features were made with, found another")
            }
            Self::Table { name, given: false } => {
                write!(f, "table {name}: expected the edition that the features were made with, found none")
            }
            Self::TooManyKeySources { found } => {
                too_many(f, MAX_KEY_SOURCES, "columns that are counted over, linked by or counted in", *found)
            }
            Self::TooManyEntities { found } => too_many(f, MAX_SLOTS, "entities", *found),
            Self::TooManyValues { found } => too_many(f, MAX_VALUES, "values and conditions on events", *found),
        }
    }
}

impl std::error::Error for ExtractorError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Schema(error) => Some(error),
            Self::Spec(error) => Some(error),
            Self::Feature { error, .. } => Some(error),
            Self::History { error, .. } => Some(error),
            _ => None,
        }
    }
}

impl From<SchemaError> for ExtractorError {
    fn from(error: SchemaError) -> Self {
        Self::Schema(error)
    }
}

impl From<SpecError> for ExtractorError {
    fn from(error: SpecError) -> Self {
        Self::Spec(error)
    }
}
