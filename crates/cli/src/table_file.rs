//! Feature rows as a file: Parquet or CSV, as its name says.

use std::io::{self, Write};
use std::path::Path;

use indicatif::ProgressBar;
use orderguard_dataset::parquet_out::{Kind, ParquetWriter, Values, WriteError};
use orderguard_features::matrix::Matrix;
use orderguard_features::schema::Role;
use orderguard_features::table::{ColumnData, MISSING_I64, TextColumn};
use orderguard_features::time::UnixMillis;

use crate::failure::{Outcome, usage};
use crate::ingest::Orders;

/// Rows that are written together.
const BLOCK: usize = 1 << 16;
/// Fast: the file is read soon, and the rows were computed in less time than strong compression takes.
const ZSTD_LEVEL: i32 = 3;

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Parquet,
    Csv,
    CsvZst,
    CsvGz,
}

impl Format {
    /// The format that a file's name says.
    pub(crate) fn of(path: &Path) -> Outcome<Self> {
        let name = path.file_name().map_or(String::new(), |name| name.to_string_lossy().to_ascii_lowercase());
        let endings =
            [(".parquet", Self::Parquet), (".csv", Self::Csv), (".csv.zst", Self::CsvZst), (".csv.gz", Self::CsvGz)];
        match endings.into_iter().find(|(ending, _)| name.ends_with(ending)) {
            Some((_, format)) => Ok(format),
            None => usage(format_args!(
                "{}: expected a name that ends in .parquet, .csv, .csv.zst or .csv.gz",
                path.display()
            )),
        }
    }
}

/// A feature row per order with what names it, in canonical order.
pub(crate) struct Rows<'a> {
    orders: &'a Orders,
    matrix: &'a Matrix,
    id: Option<&'a TextColumn>,
    has_time: bool,
    has_label: bool,
    /// The names of all columns.
    names: Vec<String>,
}

impl<'a> Rows<'a> {
    /// `features` names the columns of `matrix`.
    pub(crate) fn new(orders: &'a Orders, matrix: &'a Matrix, features: &[String]) -> Self {
        let schema = &orders.schema;
        let id = schema.find(Role::Id).and_then(|column| match &orders.outcome.table.columns[column] {
            ColumnData::Text(text) => Some(text),
            _ => None,
        });
        let has_time = schema.find(Role::Time).is_some();
        let has_label = orders.labels.label.iter().any(|&label| label >= 0);
        let mut names = Vec::new();
        let mut name = |there: bool, role: Role, without: &str| {
            if there {
                let mut name =
                    schema.find(role).map_or(without, |column| schema.columns[column].name.as_str()).to_owned();
                // A time column may be called `hour`.
                while features.contains(&name) || names.contains(&name) {
                    name.push('_');
                }
                names.push(name);
            }
        };
        name(id.is_some(), Role::Id, "id");
        name(has_time, Role::Time, "time");
        name(has_label, Role::Label, "label");
        names.extend_from_slice(features);
        Self { orders, matrix, id, has_time, has_label, names }
    }

    /// Writes all rows.
    pub(crate) fn write(&self, format: Format, bar: &ProgressBar, out: &mut (dyn Write + Send)) -> io::Result<()> {
        bar.set_length(self.matrix.n_rows() as u64);
        match format {
            Format::Parquet => self.write_parquet(bar, out).map_err(io::Error::other),
            Format::Csv => self.write_csv(bar, out),
            Format::CsvZst => {
                let mut encoder = zstd::Encoder::new(out, ZSTD_LEVEL)?;
                self.write_csv(bar, &mut encoder)?;
                encoder.finish()?.flush()
            }
            Format::CsvGz => {
                let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::default());
                self.write_csv(bar, &mut encoder)?;
                encoder.finish()?.flush()
            }
        }
    }

    fn row_of(&self, order: usize) -> usize {
        self.orders.rows.row[order] as usize
    }

    fn write_parquet(&self, bar: &ProgressBar, out: &mut (dyn Write + Send)) -> Result<(), WriteError> {
        let mut kinds = Vec::new();
        kinds.extend(self.id.map(|_| Kind::Text));
        kinds.extend(self.has_time.then_some(Kind::Time));
        kinds.extend(self.has_label.then_some(Kind::Label));
        kinds.resize(self.names.len(), Kind::Number);
        let columns: Vec<(&str, Kind)> = self.names.iter().map(String::as_str).zip(kinds).collect();
        let mut writer = ParquetWriter::new(out, &columns)?;
        let n_rows = self.matrix.n_rows();
        for start in (0..n_rows).step_by(BLOCK) {
            let block = start..n_rows.min(start + BLOCK);
            let ids: Vec<Option<&str>> =
                self.id.map_or(Vec::new(), |text| block.clone().map(|order| text.get(self.row_of(order))).collect());
            let times: Vec<i64> = block.clone().map(|order| self.orders.rows.time[order].0).collect();
            let mut values = Vec::with_capacity(self.names.len());
            values.extend(self.id.map(|_| Values::Text(&ids)));
            values.extend(self.has_time.then_some(Values::Time(&times)));
            values.extend(self.has_label.then(|| Values::Label(&self.orders.labels.label[block.clone()])));
            values.extend((0..self.matrix.n_features()).map(|f| Values::Number(&self.matrix.column(f)[block.clone()])));
            writer.write(&values)?;
            bar.inc(block.len() as u64);
        }
        writer.finish()?.flush().map_err(|error| WriteError::Io { message: error.to_string() })
    }

    pub(crate) fn write_csv(&self, bar: &ProgressBar, out: &mut dyn Write) -> io::Result<()> {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(&self.names).map_err(csv_error)?;
        let mut number = String::new();
        for order in 0..self.matrix.n_rows() {
            if let Some(text) = self.id {
                writer.write_field(text.get(self.row_of(order)).unwrap_or("")).map_err(csv_error)?;
            }
            if self.has_time {
                writer.write_field(time_text(self.orders.rows.time[order])).map_err(csv_error)?;
            }
            if self.has_label {
                let label = match self.orders.labels.label[order] {
                    1 => "1",
                    0 => "0",
                    _ => "",
                };
                writer.write_field(label).map_err(csv_error)?;
            }
            for feature in 0..self.matrix.n_features() {
                use std::fmt::Write;
                number.clear();
                let value = self.matrix.column(feature)[order];
                if !value.is_nan() {
                    write!(number, "{value}").expect("writing to a string cannot fail");
                }
                writer.write_field(&number).map_err(csv_error)?;
            }
            writer.write_record(None::<&[u8]>).map_err(csv_error)?;
            if order % BLOCK == 0 {
                bar.set_position(order as u64);
            }
        }
        writer.flush()
    }
}

fn time_text(time: UnixMillis) -> String {
    if time.0 == MISSING_I64 { String::new() } else { time.to_string() }
}

/// The reason behind a CSV error: the crate wraps it, and with it the kind by which a closed pipe is known.
pub(crate) fn csv_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}
