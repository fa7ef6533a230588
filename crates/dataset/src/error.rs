//! What can be wrong with a whole file, as opposed to one of its rows.

use std::fmt;

use orderguard_features::schema::SchemaError;

use crate::rejection::Rejection;
use crate::scratch::ScratchError;

/// Why the sources could not be read.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ReadError {
    /// No file was named.
    NoInput,
    /// A folder holds no file of a known kind.
    EmptyFolder {
        /// The folder.
        folder: String,
        /// How many files in it were of another kind.
        n_skipped: usize,
    },
    /// The operating system refused.
    Io {
        /// The file.
        file: String,
        /// What it said.
        message: String,
    },
    /// The file holds nothing, or only blank lines.
    Empty {
        /// The file.
        file: String,
    },
    /// No source holds a row.
    HeaderOnly {
        /// The first file.
        file: String,
    },
    /// A compressed file ends before its end mark.
    TruncatedArchive {
        /// The file.
        file: String,
        /// Compressed bytes that are there.
        at: u64,
    },
    /// A compressed file cannot be decompressed.
    CorruptArchive {
        /// The file.
        file: String,
        /// Compressed bytes read when the fault was found; the fault is at or before it.
        at: u64,
        /// What the decoder said.
        message: String,
    },
    /// More decompressed bytes than allowed.
    TooLarge {
        /// The file in which the limit was reached.
        file: String,
        /// The limit in bytes, over all files.
        limit: u64,
    },
    /// Neither delimited text nor JSON Lines.
    UnknownFormat {
        /// The file.
        file: String,
        /// What it seems to be.
        found: &'static str,
    },
    /// A Parquet file that cannot be decoded.
    CorruptParquet {
        /// The file.
        file: String,
        /// What was found.
        message: String,
    },
    /// A column of a Parquet file holds something else than cells.
    UnsupportedColumn {
        /// The file.
        file: String,
        /// The column.
        column: String,
        /// What it holds.
        found: &'static str,
    },
    /// The header is not UTF-8.
    HeaderNotUtf8 {
        /// The file.
        file: String,
        /// Offset of the first byte that does not fit, after decompression.
        at: u64,
    },
    /// The header does not end.
    HeaderTooLong {
        /// The file.
        file: String,
        /// The limit in bytes.
        limit: usize,
    },
    /// The header holds a name that is too long to be one.
    NameTooLong {
        /// The file.
        file: String,
        /// 1-based position of the column.
        position: usize,
        /// Its bytes.
        bytes: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The first row holds values instead of names.
    HeaderOfValues {
        /// The file.
        file: String,
        /// 1-based position of a field that can be no name.
        position: usize,
        /// What it looks like; the value itself is never told.
        kind: &'static str,
    },
    /// Two columns of a file have one name.
    DuplicateColumn {
        /// The file.
        file: String,
        /// The name.
        column: String,
        /// 1-based positions of the first two.
        positions: (usize, usize),
    },
    /// A file lacks a column.
    MissingColumn {
        /// The file.
        file: String,
        /// The column.
        column: String,
        /// The columns that it has; empty for JSON Lines, where none of the rows has it.
        found: Vec<String>,
        /// Whether it is a file of other events than orders, whose columns must have the names that they have there.
        of_events: bool,
    },
    /// A file of events does not say of what kind they are.
    NoKind {
        /// The file.
        file: String,
        /// The column that should, where the schema has one.
        column: Option<String>,
        /// The columns that it has; empty for JSON Lines.
        found: Vec<String>,
    },
    /// The delimiter asked for cannot be one.
    BadDelimiter {
        /// The byte.
        found: u8,
    },
    /// More rows were rejected than allowed.
    TooManyRejected {
        /// Rejected rows.
        rejected: u64,
        /// All rows.
        seen: u64,
        /// How many might have been rejected.
        limit: u64,
        /// Names of the files, as [`Rejection::source`] counts them.
        files: Vec<String>,
        /// The first of them, in the order of the files.
        first: Vec<Rejection>,
    },
    /// A column has more distinct texts than codes.
    TooManyValues {
        /// The column.
        column: String,
    },
    /// The schema cannot be used.
    Schema(SchemaError),
    /// Rows could not be kept on disk.
    Scratch(ScratchError),
    /// The rows are not those of an earlier pass over them.
    Changed {
        /// The file, where it can be told.
        file: String,
    },
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoInput => f.write_str("no data file: expected at least one file or folder"),
            Self::EmptyFolder { folder, n_skipped } => write!(
                f,
                "{folder}: expected .csv, .tsv, .txt, .psv, .jsonl, .ndjson or .json files, plain, .gz or .zst{}, found none ({n_skipped} other files)",
                if cfg!(feature = "parquet") { ", or .parquet files" } else { "" }
            ),
            Self::Io { file, message } => write!(f, "{file}: {message}"),
            Self::Empty { file } => write!(f, "{file}: expected a table, found an empty file"),
            Self::HeaderOnly { file } => write!(f, "{file}: expected rows after the header, found none"),
            Self::TruncatedArchive { file, at } => {
                write!(f, "{file}: byte {at}: the compressed file is cut off here")
            }
            Self::CorruptArchive { file, at, message } => {
                write!(f, "{file}: at or before byte {at}: the compressed file is damaged ({message})")
            }
            Self::TooLarge { file, limit } => write!(f, "{file}: more than {limit} bytes after decompression"),
            Self::UnknownFormat { file, found } => {
                write!(f, "{file}: expected delimited text or JSON Lines in UTF-8, found {found}")
            }
            Self::CorruptParquet { file, message } => write!(f, "{file}: the Parquet file is damaged ({message})"),
            Self::UnsupportedColumn { file, column, found } => {
                write!(f, "{file}: column {column:?}: expected numbers, texts, times or truth values, found {found}")
            }
            Self::HeaderNotUtf8 { file, at } => write!(f, "{file}: byte {at}: the header is not UTF-8"),
            Self::HeaderTooLong { file, limit } => write!(f, "{file}: the header does not end within {limit} bytes"),
            Self::NameTooLong { file, position, bytes, limit } => {
                write!(f, "{file}: column {position}: expected a name of at most {limit} bytes, found {bytes}")
            }
            Self::HeaderOfValues { file, position, kind } => {
                write!(f, "{file}: expected names of columns in the first row, found {kind} in field {position}")
            }
            Self::DuplicateColumn { file, column, positions } => {
                write!(f, "{file}: two columns are named {column:?}, number {} and {}", positions.0, positions.1)
            }
            Self::MissingColumn { file, column, found, of_events } => {
                if found.is_empty() {
                    return write!(f, "{file}: expected a column {column:?}, found it in no row");
                }
                let named = if *of_events { ", named as in the orders" } else { "" };
                write!(f, "{file}: expected a column {column:?}{named}, found ")?;
                listed(found, f)
            }
            Self::NoKind { file, column, found } => {
                write!(f, "{file}: expected a column")?;
                if let Some(column) = column {
                    write!(f, " {column:?}")?;
                }
                f.write_str(" that says what kind of event a row is (or KIND=FILE for a file of one kind)")?;
                if found.is_empty() {
                    return f.write_str(", found none");
                }
                f.write_str(", found ")?;
                listed(found, f)
            }
            Self::BadDelimiter { found } => {
                write!(
                    f,
                    "delimiter: expected one ASCII character other than a quote or a line end, found byte {found:#04x}"
                )
            }
            Self::TooManyRejected { rejected, seen, limit, files, first } => {
                write!(f, "{rejected} of {seen} rows cannot be read, at most {limit} may")?;
                if let Some(rejection) = first.first() {
                    let file = files.get(rejection.source as usize).map_or("", String::as_str);
                    write!(f, "; the first: {file}: {rejection}")?;
                }
                Ok(())
            }
            Self::TooManyValues { column } => {
                write!(f, "column {column:?} has more distinct values than can be told apart")
            }
            Self::Schema(error) => error.fmt(f),
            Self::Scratch(error) => error.fmt(f),
            Self::Changed { file } => write!(f, "{file}: changed while it was read"),
        }
    }
}

/// At most thirty names in quotes, and how many more there are.
fn listed(names: &[String], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (i, name) in names.iter().take(30).enumerate() {
        write!(f, "{}{name:?}", if i == 0 { "" } else { ", " })?;
    }
    if names.len() > 30 { write!(f, " and {} more", names.len() - 30) } else { Ok(()) }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Schema(error) => Some(error),
            Self::Scratch(error) => Some(error),
            _ => None,
        }
    }
}

impl From<SchemaError> for ReadError {
    fn from(error: SchemaError) -> Self {
        Self::Schema(error)
    }
}
