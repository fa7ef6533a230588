//! What is wrong with a file.

use std::fmt;

use super::{KIND_MODEL, KIND_STATE, Kind};

/// A file that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContainerError {
    /// The file is larger than the caller takes.
    TooLarge {
        /// Its length.
        found: u64,
        /// The most that is taken.
        limit: u64,
    },
    /// The first bytes are not those of any file of ours.
    BadMagic {
        /// What the caller wanted.
        expected: Kind,
    },
    /// A file of ours, of another kind.
    WrongKind {
        /// What it is.
        found: Kind,
        /// What the caller wanted.
        expected: Kind,
    },
    /// Written by a newer program.
    UnsupportedVersion {
        /// Version of what: `container` or `format`.
        of: &'static str,
        /// The file's version.
        found: u16,
        /// The newest version that this program reads.
        newest: u16,
    },
    /// The file or a section ends too early.
    Truncated {
        /// Tag of the section, or `header`, `section table`, `file`.
        section: String,
        /// Where the missing part starts: in the section while it is read, else in the file.
        offset: u64,
        /// Bytes needed from there.
        needed: u64,
        /// Bytes there are.
        available: u64,
    },
    /// Bytes that belong to nothing.
    TrailingBytes {
        /// Where they start.
        offset: u64,
        /// How many.
        n_bytes: u64,
    },
    /// The file was altered after it was written.
    ChecksumMismatch,
    /// More sections than any file has.
    TooManySections {
        /// The number claimed.
        found: u64,
        /// The most that is taken.
        limit: u64,
    },
    /// Two sections have one tag.
    SectionTwice {
        /// The tag.
        section: String,
    },
    /// A tag that is not printable, or flags that mean nothing.
    BadEntry {
        /// The tag.
        section: String,
        /// The flags.
        flags: u32,
    },
    /// A section that overlaps the one before, or leaves a gap.
    Misplaced {
        /// The tag.
        section: String,
        /// Where the table says it stands.
        offset: u64,
        /// Where it has to stand.
        expected: u64,
    },
    /// A byte between sections is not zero.
    NonZeroPadding {
        /// Where it stands.
        offset: u64,
    },
    /// A section that this program does not know and may not skip.
    UnknownSection {
        /// The tag.
        section: String,
    },
    /// A section that every file of the kind has.
    MissingSection {
        /// The tag.
        section: String,
    },
}

impl ContainerError {
    pub(super) fn truncated(section: &str, offset: usize, needed: usize, available: usize) -> Self {
        Self::Truncated {
            section: section.to_owned(),
            offset: offset as u64,
            needed: needed as u64,
            available: available as u64,
        }
    }
}

fn kind_name(kind: Kind) -> String {
    match kind {
        KIND_MODEL => "a model file".into(),
        KIND_STATE => "a state file".into(),
        other => format!("a file of kind {}", other.escape_ascii()),
    }
}

impl fmt::Display for ContainerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { found, limit } => write!(f, "file: expected at most {limit} bytes, found {found}"),
            Self::BadMagic { expected } => {
                write!(f, "file: expected {}, found bytes that no orderguard file starts with", kind_name(*expected))
            }
            Self::WrongKind { found, expected } => {
                write!(f, "file: expected {}, found {}", kind_name(*expected), kind_name(*found))
            }
            Self::UnsupportedVersion { of, found, newest } => {
                write!(f, "{of} version: expected at most {newest}, found {found}: written by a newer program")
            }
            Self::Truncated { section, offset, needed, available } => {
                write!(f, "{section}: offset {offset}: expected {needed} bytes, found {available}: the file is cut off")
            }
            Self::TrailingBytes { offset, n_bytes } => {
                write!(f, "offset {offset}: expected the end, found {n_bytes} bytes more")
            }
            Self::ChecksumMismatch => f.write_str("checksum: the content is not what was written: the file is damaged"),
            Self::TooManySections { found, limit } => write!(f, "sections: expected at most {limit}, found {found}"),
            Self::SectionTwice { section } => write!(f, "section {section}: stands twice"),
            Self::BadEntry { section, flags } => {
                write!(f, "section {section}: expected a printable tag and flags 0 or 1, found flags {flags}")
            }
            Self::Misplaced { section, offset, expected } => {
                write!(f, "section {section}: expected at offset {expected}, found at {offset}")
            }
            Self::NonZeroPadding { offset } => write!(f, "offset {offset}: expected zero between sections"),
            Self::UnknownSection { section } => {
                write!(f, "section {section}: required, but not known to this program: written by a newer one")
            }
            Self::MissingSection { section } => write!(f, "section {section}: expected, found none"),
        }
    }
}

impl std::error::Error for ContainerError {}
