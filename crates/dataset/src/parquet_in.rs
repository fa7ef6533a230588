//! Parquet files as sources of orders: each row group is a block.
//!
//! A cell counts as the text that a CSV file would hold for it, so that schema inference, typed values and rejections are
//! the same for both. The file's own word is taken for times: those with a zone are instants, others local times of the
//! schema's zone. Places are rows, counted from 1.
//!
//! Bytes are hostile: lengths are checked before the library acts on them ([`guard`]), and a panic of the library becomes an
//! error here.

mod cells;
mod guard;

use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::RecordBatch;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

pub(crate) use cells::Column;

use crate::blocks::check_names;
use crate::error::ReadError;
use crate::source::io_error;

/// First and last bytes of a file.
pub(crate) const MAGIC: &[u8] = b"PAR1";
/// Footer length and magic at the end.
const TAIL: u64 = 8;
/// Rows that are decoded at a time.
const BATCH_ROWS: usize = 8_192;

/// Where the bytes of a file are.
#[derive(Clone)]
pub(crate) enum Stored {
    Path(PathBuf),
    Memory(Arc<Vec<u8>>),
}

/// An open file.
pub(crate) struct ParquetFile {
    name: String,
    stored: Stored,
    metadata: ArrowReaderMetadata,
    /// Names of the columns.
    pub(crate) names: Arc<[String]>,
    /// Of each row group: rows before it, rows, and bytes once unfolded.
    pub(crate) groups: Vec<Group>,
}

/// What a row group holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group {
    pub(crate) first_row: u64,
    n_rows: u64,
    /// Bytes that its cells take, at least one each.
    pub(crate) bytes: u64,
}

impl ParquetFile {
    pub(crate) fn open(name: &str, stored: Stored) -> Result<Self, ReadError> {
        let corrupt = |message: &str| ReadError::CorruptParquet { file: name.to_owned(), message: message.to_owned() };
        let mut bytes = stored.open(name)?;
        let len = bytes.seek(SeekFrom::End(0)).map_err(|e| io_error(name, &e))?;
        let mut read = |from: u64, n: u64| read_range(&mut bytes, name, from, n);
        let (true, tail) = (len >= TAIL + MAGIC.len() as u64, read(len.saturating_sub(TAIL), TAIL.min(len))?) else {
            return Err(corrupt("it ends inside the footer"));
        };
        let Some((n_footer, mark)) = tail.split_first_chunk::<4>() else {
            return Err(corrupt("it ends inside the footer"));
        };
        if mark == b"PARE" {
            return Err(corrupt("its footer is encrypted"));
        }
        let n_footer = u64::from(u32::from_le_bytes(*n_footer));
        if mark != MAGIC || n_footer > len - TAIL - MAGIC.len() as u64 {
            return Err(corrupt("it does not end with a footer"));
        }
        let footer = read(len - TAIL - n_footer, n_footer)?;
        drop(bytes);
        guard::footer(&footer).map_err(|fault| corrupt(&format!("footer: {fault}")))?;
        let end = Bytes::from([&footer[..], &tail[..]].concat());
        let parts = Parts { len, parts: vec![(len - TAIL - n_footer, end)] };
        // Types are Parquet's own; how some program saw them in memory does not matter.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata = shielded(name, || ArrowReaderMetadata::load(&parts, options.clone()))?;
        let names: Vec<String> = metadata.schema().fields().iter().map(|field| field.name().clone()).collect();
        let names = check_names(names).map_err(|error| error.in_file(name))?;
        let mut groups = Vec::new();
        let mut first_row = 0_u64;
        for group in metadata.metadata().row_groups() {
            let (Ok(n_rows), Ok(unfolded)) = (u64::try_from(group.num_rows()), u64::try_from(group.total_byte_size()))
            else {
                return Err(corrupt("a row group has a negative size"));
            };
            let bytes = unfolded.max(n_rows.saturating_mul(names.len() as u64));
            groups.push(Group { first_row, n_rows, bytes });
            first_row = first_row.saturating_add(n_rows);
        }
        Ok(Self { name: name.to_owned(), stored, metadata, names: names.into(), groups })
    }

    /// The error for a column that cannot be read as cells.
    pub(crate) fn check_column(&self, column: usize) -> Result<(), ReadError> {
        let field = &self.metadata.schema().fields()[column];
        match cells::unreadable(field.data_type()) {
            None => Ok(()),
            Some(found) => {
                Err(ReadError::UnsupportedColumn { file: self.name.clone(), column: field.name().clone(), found })
            }
        }
    }

    /// Calls `each(first row, batch)` with the rows of a group; columns stand in the order of `columns`, which is rising.
    pub(crate) fn batches(
        &self,
        group: usize,
        columns: &[usize],
        mut each: impl FnMut(u64, &RecordBatch) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        let corrupt = |message: String| ReadError::CorruptParquet { file: self.name.clone(), message };
        let Group { first_row, n_rows, .. } = self.groups[group];
        let mask = ProjectionMask::roots(self.metadata.parquet_schema(), columns.iter().copied());
        let parts = self.parts(group, &mask)?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(parts, self.metadata.clone());
        let mut reader = shielded(&self.name, || {
            builder.with_row_groups(vec![group]).with_projection(mask).with_batch_size(BATCH_ROWS).build()
        })?;
        let mut row = first_row;
        loop {
            let next =
                shielded(&self.name, || reader.next().transpose().map_err(|e| ParquetError::General(e.to_string())))?;
            let Some(batch) = next else { break };
            if batch.num_rows() as u64 > first_row + n_rows - row {
                return Err(corrupt(format!("row group {}: more rows than it says", group + 1)));
            }
            each(row, &batch)?;
            row += batch.num_rows() as u64;
        }
        if row != first_row + n_rows {
            return Err(corrupt(format!("row group {}: fewer rows than it says", group + 1)));
        }
        Ok(())
    }

    /// The bytes of the columns in use, looked over.
    fn parts(&self, group: usize, mask: &ProjectionMask) -> Result<Parts, ReadError> {
        let corrupt = |message: String| ReadError::CorruptParquet { file: self.name.clone(), message };
        let mut bytes = self.stored.open(&self.name)?;
        let len = bytes.seek(SeekFrom::End(0)).map_err(|e| io_error(&self.name, &e))?;
        let mut parts = Vec::new();
        for (leaf, column) in self.metadata.metadata().row_group(group).columns().iter().enumerate() {
            if !mask.leaf_included(leaf) {
                continue;
            }
            let place = format!("row group {}, column {:?}", group + 1, column.column_path().string());
            // The library asserts that these are not negative.
            let data = column.data_page_offset();
            let start = column.dictionary_page_offset().filter(|&at| at > 0).map_or(data, |at| at.min(data));
            let (Ok(start), Ok(n)) = (u64::try_from(start), u64::try_from(column.compressed_size())) else {
                return Err(corrupt(format!("{place}: a negative place")));
            };
            if start.checked_add(n).is_none_or(|end| end > len) {
                return Err(corrupt(format!("{place}: lies beyond the end of the file")));
            }
            let chunk = read_range(&mut bytes, &self.name, start, n)?;
            guard::pages(&chunk).map_err(|fault| corrupt(format!("{place}: {fault}")))?;
            parts.push((start, Bytes::from(chunk)));
        }
        Ok(Parts { len, parts })
    }
}

/// Runs a call of the library, whose errors and panics become ours.
fn shielded<T>(file: &str, call: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ReadError> {
    let message = match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "the decoder gave up".to_owned(),
    };
    Err(ReadError::CorruptParquet { file: file.to_owned(), message })
}

trait Seekable: Read + Seek {}
impl<T: Read + Seek> Seekable for T {}

impl Stored {
    fn open(&self, name: &str) -> Result<Box<dyn Seekable + '_>, ReadError> {
        Ok(match self {
            Self::Path(path) => Box::new(File::open(path).map_err(|e| io_error(name, &e))?),
            Self::Memory(bytes) => Box::new(Cursor::new(bytes.as_slice())),
        })
    }
}

/// Reads bytes that were found to lie in the file.
fn read_range(bytes: &mut dyn Seekable, name: &str, from: u64, n: u64) -> Result<Vec<u8>, ReadError> {
    let mut out = Vec::new();
    bytes.seek(SeekFrom::Start(from)).map_err(|e| io_error(name, &e))?;
    bytes.take(n).read_to_end(&mut out).map_err(|e| io_error(name, &e))?;
    if (out.len() as u64) < n {
        let message = "it became shorter while it was read".to_owned();
        return Err(ReadError::CorruptParquet { file: name.to_owned(), message });
    }
    Ok(out)
}

/// Pieces of a file of `len` bytes, each with its place.
struct Parts {
    len: u64,
    parts: Vec<(u64, Bytes)>,
}

impl Parts {
    fn from(&self, start: u64) -> parquet::errors::Result<Bytes> {
        let part = self.parts.iter().find(|(at, bytes)| *at <= start && start - *at < bytes.len() as u64);
        let (at, bytes) = part.ok_or_else(|| ParquetError::EOF(format!("byte {start} lies in no column")))?;
        Ok(bytes.slice((start - at) as usize..))
    }
}

impl Length for Parts {
    fn len(&self) -> u64 {
        self.len
    }
}

impl ChunkReader for Parts {
    type T = Cursor<Bytes>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        Ok(Cursor::new(self.from(start)?))
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let bytes = self.from(start)?;
        if length > bytes.len() {
            return Err(ParquetError::EOF(format!("{length} bytes from byte {start} lie in no column")));
        }
        Ok(bytes.slice(..length))
    }
}
