//! What may be wrong with a database.

use std::fmt;

use orderguard_features::snapshot::StateError;

/// A database that cannot be opened, read or written.
#[derive(Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// The file could not be read or written.
    Io {
        /// What was done: `open`, `save`, `load`.
        doing: &'static str,
        /// What the system says.
        error: std::io::Error,
    },
    /// Another process, or another [`Store`](crate::Store) of this one, has it open.
    InUse,
    /// The file is no such database, or not as it was written.
    Damaged {
        /// What was done.
        doing: &'static str,
        /// What the database says.
        reason: String,
    },
    /// The file has the format of another version of the database.
    UnsupportedVersion {
        /// The file's version.
        found: u8,
    },
    /// The database refuses for another reason.
    Database {
        /// What was done.
        doing: &'static str,
        /// What the database says.
        reason: String,
    },
    /// The state in it cannot be read, or is another model's.
    State(StateError),
}

impl StoreError {
    pub(crate) fn database(doing: &'static str, error: impl Into<redb::Error>) -> Self {
        match error.into() {
            redb::Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                Self::Damaged { doing, reason: error.to_string() }
            }
            redb::Error::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                Self::Damaged { doing, reason: "the file ends too early".into() }
            }
            redb::Error::Io(error) => Self::Io { doing, error },
            redb::Error::DatabaseAlreadyOpen => Self::InUse,
            redb::Error::UpgradeRequired(found) => Self::UnsupportedVersion { found },
            redb::Error::Corrupted(reason) => Self::Damaged { doing, reason },
            error => Self::Database { doing, reason: error.to_string() },
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { doing, error } => write!(f, "state database: {doing}: {error}"),
            Self::InUse => f.write_str("state database: expected it to be closed, found it open elsewhere"),
            Self::Damaged { doing, reason } => write!(f, "state database: {doing}: the file is damaged: {reason}"),
            Self::UnsupportedVersion { found } => {
                write!(f, "state database: expected the file format of redb 4, found version {found}")
            }
            Self::Database { doing, reason } => write!(f, "state database: {doing}: {reason}"),
            Self::State(error) => write!(f, "state database: {error}"),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            Self::State(error) => Some(error),
            _ => None,
        }
    }
}
