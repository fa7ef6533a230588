//! Feature rows as Parquet: one column each, compressed with zstd, one row group after the other.

use std::fmt;
use std::io::Write;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float32Array, Int8Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use orderguard_features::table::MISSING_I64;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

/// What a column of the file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Texts, such as order ids.
    Text,
    /// Points in time: milliseconds in UTC.
    Time,
    /// Labels: 0 or 1.
    Label,
    /// Numbers of 32 bits, such as features.
    Number,
}

/// The rows of one column that are written together; what is missing becomes a null.
#[derive(Clone, Copy, Debug)]
pub enum Values<'a> {
    /// `None` is missing.
    Text(&'a [Option<&'a str>]),
    /// Epoch milliseconds; [`MISSING_I64`] is missing.
    Time(&'a [i64]),
    /// 1 fraud, 0 honest; anything below 0 is missing.
    Label(&'a [i8]),
    /// NaN is missing.
    Number(&'a [f32]),
}

impl Values<'_> {
    fn kind(&self) -> Kind {
        match self {
            Self::Text(_) => Kind::Text,
            Self::Time(_) => Kind::Time,
            Self::Label(_) => Kind::Label,
            Self::Number(_) => Kind::Number,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Text(values) => values.len(),
            Self::Time(values) => values.len(),
            Self::Label(values) => values.len(),
            Self::Number(values) => values.len(),
        }
    }

    fn array(&self) -> ArrayRef {
        match self {
            Self::Text(values) => Arc::new(values.iter().copied().collect::<StringArray>()),
            Self::Time(values) => {
                let times = values.iter().map(|&time| (time != MISSING_I64).then_some(time));
                Arc::new(times.collect::<TimestampMillisecondArray>().with_timezone("UTC"))
            }
            Self::Label(values) => {
                Arc::new(values.iter().map(|&label| (label >= 0).then_some(label)).collect::<Int8Array>())
            }
            Self::Number(values) => {
                Arc::new(values.iter().map(|&x| (!x.is_nan()).then_some(x)).collect::<Float32Array>())
            }
        }
    }
}

/// Why a file could not be written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteError {
    /// Two columns have one name.
    DuplicateColumn {
        /// The name.
        column: String,
    },
    /// Rows with another number of columns than the file.
    ColumnCount {
        /// Columns of the file.
        expected: usize,
        /// Columns of the rows.
        found: usize,
    },
    /// A column holds something else than it was said to.
    WrongKind {
        /// The column.
        column: String,
        /// What it holds in the file.
        expected: Kind,
        /// What was given.
        found: Kind,
    },
    /// Columns of different lengths.
    RowCount {
        /// The column.
        column: String,
        /// Rows of the first column.
        expected: usize,
        /// Its rows.
        found: usize,
    },
    /// The bytes could not be written.
    Io {
        /// What the writer said.
        message: String,
    },
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuplicateColumn { column } => write!(f, "two columns are named {column:?}"),
            Self::ColumnCount { expected, found } => write!(f, "expected {expected} columns, found {found}"),
            Self::WrongKind { column, expected, found } => {
                write!(f, "column {column:?}: expected {expected:?} values, found {found:?} values")
            }
            Self::RowCount { column, expected, found } => {
                write!(f, "column {column:?}: expected {expected} rows, found {found}")
            }
            Self::Io { message } => f.write_str(message),
        }
    }
}

impl std::error::Error for WriteError {}

impl From<ParquetError> for WriteError {
    fn from(error: ParquetError) -> Self {
        let message = match error {
            ParquetError::External(error) => error.to_string(),
            error => error.to_string(),
        };
        Self::Io { message }
    }
}

/// Writes a file row group by row group.
///
/// ```
/// use orderguard_dataset::parquet_out::{Kind, ParquetWriter, Values};
/// let columns = [("id", Kind::Text), ("count(order) by card over 24h", Kind::Number)];
/// let mut writer = ParquetWriter::new(Vec::new(), &columns)?;
/// writer.write(&[Values::Text(&[Some("a1"), Some("a2")]), Values::Number(&[0.0, f32::NAN])])?;
/// let file: Vec<u8> = writer.finish()?;
/// assert!(file.starts_with(b"PAR1") && file.ends_with(b"PAR1"));
/// # Ok::<(), orderguard_dataset::parquet_out::WriteError>(())
/// ```
pub struct ParquetWriter<W: Write + Send> {
    writer: ArrowWriter<W>,
    schema: Arc<Schema>,
    kinds: Vec<Kind>,
}

impl<W: Write + Send> ParquetWriter<W> {
    /// Begins a file of the given columns.
    ///
    /// # Errors
    /// [`WriteError::DuplicateColumn`], [`WriteError::Io`].
    pub fn new<N: AsRef<str>>(out: W, columns: &[(N, Kind)]) -> Result<Self, WriteError> {
        let mut names: Vec<&str> = columns.iter().map(|(name, _)| name.as_ref()).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(WriteError::DuplicateColumn { column: pair[0].to_owned() });
        }
        let fields = columns.iter().map(|(name, kind)| {
            let stored = match kind {
                Kind::Text => DataType::Utf8,
                Kind::Time => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
                Kind::Label => DataType::Int8,
                Kind::Number => DataType::Float32,
            };
            Field::new(name.as_ref(), stored, true)
        });
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_created_by("orderguard".to_owned())
            // Each call of `write` is one.
            .set_max_row_group_row_count(None)
            .build();
        let writer = ArrowWriter::try_new(out, Arc::clone(&schema), Some(properties))?;
        Ok(Self { writer, schema, kinds: columns.iter().map(|(_, kind)| *kind).collect() })
    }

    /// Writes some rows, one slice a column, as a row group. Some ten thousand rows at a time make a good file; memory is
    /// that of the row group.
    ///
    /// # Errors
    /// [`WriteError::ColumnCount`], [`WriteError::WrongKind`], [`WriteError::RowCount`], [`WriteError::Io`].
    pub fn write(&mut self, columns: &[Values<'_>]) -> Result<(), WriteError> {
        if columns.len() != self.kinds.len() {
            return Err(WriteError::ColumnCount { expected: self.kinds.len(), found: columns.len() });
        }
        let n_rows = columns.first().map_or(0, Values::len);
        for ((values, &expected), field) in columns.iter().zip(&self.kinds).zip(self.schema.fields()) {
            let column = field.name();
            if values.kind() != expected {
                return Err(WriteError::WrongKind { column: column.clone(), expected, found: values.kind() });
            }
            if values.len() != n_rows {
                let found = values.len();
                return Err(WriteError::RowCount { column: column.clone(), expected: n_rows, found });
            }
        }
        if n_rows == 0 {
            return Ok(());
        }
        let arrays = columns.iter().map(Values::array).collect();
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays)
            .map_err(|error| WriteError::Io { message: error.to_string() })?;
        self.writer.write(&batch)?;
        self.writer.flush()?;
        Ok(())
    }

    /// Ends the file and hands back what it was written to.
    ///
    /// # Errors
    /// [`WriteError::Io`].
    pub fn finish(self) -> Result<W, WriteError> {
        Ok(self.writer.into_inner()?)
    }
}
