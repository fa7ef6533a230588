//! A feature that has no columns to read.

use std::fmt;

use super::NeededTable;
use crate::schema::Role;

/// A name that means nothing, or not what the feature needs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResolveError {
    /// No column has that name or role.
    UnknownColumn {
        /// The name.
        name: String,
        /// The column or role that is nearest to it, if any is near.
        suggestion: Option<String>,
    },
    /// The column has a role that the feature cannot read.
    WrongRole {
        /// The name.
        name: String,
        /// The column's role.
        found: Role,
        /// What the feature can read.
        expected: &'static str,
    },
    /// The column is known only after the order.
    KnownLater {
        /// The column.
        name: String,
    },
    /// The feature needs a column that the schema does not have.
    RoleMissing {
        /// What the feature names, empty where it names nothing.
        name: String,
        /// The column needed, in words: `of role amount`.
        needs: &'static str,
    },
    /// The feature needs a table that was not given.
    TableMissing {
        /// What the feature names.
        name: String,
        /// The table.
        table: NeededTable,
    },
}

impl ResolveError {
    /// The name in the feature that is at fault, where one is.
    pub fn name(&self) -> &str {
        match self {
            Self::UnknownColumn { name, .. }
            | Self::WrongRole { name, .. }
            | Self::KnownLater { name }
            | Self::RoleMissing { name, .. }
            | Self::TableMissing { name, .. } => name,
        }
    }
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownColumn { name, suggestion } => {
                write!(f, "the schema has no column of name or role {name:?}")?;
                suggestion.as_ref().map_or(Ok(()), |word| write!(f, "; did you mean {word:?}?"))
            }
            Self::WrongRole { name, found, expected } => {
                write!(f, "{name:?}: expected {expected}, found a column of role {found}")
            }
            Self::KnownLater { name } => write!(f, "column {name:?} is known only after the order"),
            Self::RoleMissing { needs, .. } => write!(f, "the schema has no column {needs}"),
            Self::TableMissing { name, table } => write!(f, "{name:?} needs {table}, and none was given"),
        }
    }
}

impl std::error::Error for ResolveError {}
