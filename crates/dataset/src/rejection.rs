//! Rows that were skipped: where they stood and why, never what they held.

use std::fmt;
use std::sync::Arc;

use orderguard_features::kind::EventKind;
use orderguard_features::parse::CellError;
use orderguard_features::schema::Role;

use crate::json_lines::JsonFault;

/// How many rejected rows are kept with column and reason.
pub const MAX_DETAILS: usize = 1_000;

/// One skipped row.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejection {
    /// Index of the source file.
    pub source: u32,
    /// 1-based line on which the row starts; in a Parquet file the number of the row.
    pub line: u64,
    /// Whether it is the number of a row, as there are no lines.
    pub in_rows: bool,
    /// The column at fault, where there is one.
    pub column: Option<Arc<str>>,
    /// What is wrong.
    pub reason: RejectReason,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", if self.in_rows { "row" } else { "line" }, self.line)?;
        if let Some(column) = &self.column {
            write!(f, "column {column:?}: ")?;
        }
        self.reason.fmt(f)
    }
}

/// What is wrong with a row.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum RejectReason {
    /// Another number of fields than the header has.
    FieldCount {
        /// Fields in the header.
        expected: usize,
        /// Fields in the row.
        found: usize,
    },
    /// Bytes that are not UTF-8.
    NotUtf8 {
        /// Offset of the first such byte in the row.
        at: usize,
    },
    /// A field above the limit.
    FieldTooLong {
        /// Its bytes.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A row above the limit.
    RowTooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// A quote opens and does not close; reading went on with the next line.
    UnclosedQuote,
    /// The last row of a file that was cut off.
    FileEndsInside,
    /// The row has no value where one is needed.
    Missing {
        /// What the column is for.
        role: Role,
    },
    /// The row says a kind of event that is not known.
    UnknownKind {
        /// Characters of the word that stands there.
        n_chars: usize,
    },
    /// The text cannot be read as what the column holds.
    Cell(CellError),
    /// The line is not a flat JSON object.
    Json {
        /// Offset in the line.
        at: usize,
        /// What is wrong there.
        fault: JsonFault,
    },
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FieldCount { expected, found } => write!(f, "expected {expected} fields, found {found}"),
            Self::NotUtf8 { at } => write!(f, "byte {} of the row is not UTF-8", at + 1),
            Self::FieldTooLong { bytes, limit } => {
                write!(f, "expected at most {limit} bytes in a field, found {bytes}")
            }
            Self::RowTooLong { limit } => write!(f, "the row is longer than {limit} bytes"),
            Self::UnclosedQuote => f.write_str("a quote opens in this row and does not close"),
            Self::FileEndsInside => f.write_str("the file ends inside this row"),
            Self::Missing { role } => write!(f, "expected a value ({role}), found none"),
            Self::UnknownKind { n_chars } => {
                f.write_str("expected a kind of event (")?;
                for (i, kind) in EventKind::ALL.iter().enumerate() {
                    write!(f, "{}{kind}", if i == 0 { "" } else { ", " })?;
                }
                write!(f, "), found a word of {n_chars} characters")
            }
            Self::Cell(error) => error.fmt(f),
            Self::Json { at, fault } => write!(f, "character {}: {fault}", at + 1),
        }
    }
}

/// All skipped rows: each one's place, and the details of the first [`MAX_DETAILS`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rejections {
    /// Source and line of every skipped row, in the order of the files.
    pub places: Vec<(u32, u64)>,
    /// The first [`MAX_DETAILS`], in the order of the files.
    pub first: Vec<Rejection>,
}

impl Rejections {
    /// How many rows were skipped.
    pub fn count(&self) -> u64 {
        self.places.len() as u64
    }

    pub(crate) fn push(&mut self, rejection: Rejection) {
        self.places.push((rejection.source, rejection.line));
        if self.first.len() < MAX_DETAILS {
            self.first.push(rejection);
        }
    }

    /// Takes the last one back.
    pub(crate) fn pop(&mut self) {
        if self.places.len() == self.first.len() {
            self.first.pop();
        }
        self.places.pop();
    }

    pub(crate) fn append(&mut self, other: Self) {
        self.places.extend(other.places);
        let room = MAX_DETAILS - self.first.len();
        self.first.extend(other.first.into_iter().take(room));
    }
}
