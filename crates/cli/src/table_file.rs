//! Feature rows as a file: Parquet or CSV, as its name says.

use std::io::{self, Write};
use std::path::Path;

use indicatif::ProgressBar;
use orderguard_dataset::parquet_out::{Kind, ParquetWriter, Values, WriteError};
use orderguard_features::matrix::Matrix;
use orderguard_features::schema::{Role, Schema};
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

/// The columns of the table: what names an order, then its features.
pub(crate) struct Header {
    /// The column of ids in the schema.
    id: Option<usize>,
    has_time: bool,
    has_label: bool,
    /// The names of all columns.
    names: Vec<String>,
}

impl Header {
    /// `features` names the columns of the matrix.
    pub(crate) fn new(schema: &Schema, has_id: bool, has_label: bool, features: &[String]) -> Self {
        let id = schema.find(Role::Id).filter(|_| has_id);
        let has_time = schema.find(Role::Time).is_some();
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
        Self { id, has_time, has_label, names }
    }

    /// For orders that are all in memory.
    pub(crate) fn of(orders: &Orders, features: &[String]) -> Self {
        let id = orders.schema.find(Role::Id);
        let has_id = id.is_some_and(|column| matches!(orders.outcome.table.columns[column], ColumnData::Text(_)));
        let has_label = orders.labels.label.iter().any(|&label| label >= 0);
        Self::new(&orders.schema, has_id, has_label, features)
    }

    fn ids<'o>(&self, orders: &'o Orders) -> Option<&'o TextColumn> {
        match &orders.outcome.table.columns[self.id?] {
            ColumnData::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Writes rows as they come, in canonical order.
pub(crate) struct TableWriter<'w> {
    header: &'w Header,
    sink: Sink<'w>,
}

enum Sink<'w> {
    Csv(Box<csv::Writer<Packed<'w>>>),
    Parquet(Box<Pending<'w>>),
}

/// Text on its way into a file.
enum Packed<'w> {
    Plain(&'w mut dyn Write),
    Zstd(zstd::Encoder<'static, &'w mut dyn Write>),
    Gzip(flate2::write::GzEncoder<&'w mut dyn Write>),
}

impl Write for Packed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(out) => out.write(bytes),
            Self::Zstd(out) => out.write(bytes),
            Self::Gzip(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(out) => out.flush(),
            // Flushed in the middle, they would compress less well.
            Self::Zstd(_) | Self::Gzip(_) => Ok(()),
        }
    }
}

impl Packed<'_> {
    fn finish(self) -> io::Result<()> {
        match self {
            Self::Plain(out) => out.flush(),
            Self::Zstd(out) => out.finish()?.flush(),
            Self::Gzip(out) => out.finish()?.flush(),
        }
    }
}

/// Rows of a Parquet file that are not written yet: fewer than a block, so that the blocks are the same however the rows come.
struct Pending<'w> {
    writer: ParquetWriter<&'w mut (dyn Write + Send)>,
    ids: Vec<Option<String>>,
    times: Vec<i64>,
    labels: Vec<i8>,
    features: Vec<Vec<f32>>,
    n_rows: usize,
}

impl<'w> TableWriter<'w> {
    /// Begins a file.
    pub(crate) fn new(header: &'w Header, format: Format, out: &'w mut (dyn Write + Send)) -> io::Result<Self> {
        if format == Format::Parquet {
            return Self::parquet(header, out).map_err(io::Error::other);
        }
        let out: &mut dyn Write = out;
        let packed = match format {
            Format::Parquet | Format::Csv => Packed::Plain(out),
            Format::CsvZst => Packed::Zstd(zstd::Encoder::new(out, ZSTD_LEVEL)?),
            Format::CsvGz => Packed::Gzip(flate2::write::GzEncoder::new(out, flate2::Compression::default())),
        };
        Self::packed(header, packed)
    }

    /// Begins a CSV.
    pub(crate) fn csv(header: &'w Header, out: &'w mut dyn Write) -> io::Result<Self> {
        Self::packed(header, Packed::Plain(out))
    }

    fn packed(header: &'w Header, out: Packed<'w>) -> io::Result<Self> {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(&header.names).map_err(csv_error)?;
        Ok(Self { header, sink: Sink::Csv(Box::new(writer)) })
    }

    fn parquet(header: &'w Header, out: &'w mut (dyn Write + Send)) -> Result<Self, WriteError> {
        let mut kinds = Vec::new();
        kinds.extend(header.id.map(|_| Kind::Text));
        kinds.extend(header.has_time.then_some(Kind::Time));
        kinds.extend(header.has_label.then_some(Kind::Label));
        let n_features = header.names.len() - kinds.len();
        kinds.resize(header.names.len(), Kind::Number);
        let columns: Vec<(&str, Kind)> = header.names.iter().map(String::as_str).zip(kinds).collect();
        let pending = Pending {
            writer: ParquetWriter::new(out, &columns)?,
            ids: Vec::new(),
            times: Vec::new(),
            labels: Vec::new(),
            features: vec![Vec::new(); n_features],
            n_rows: 0,
        };
        Ok(Self { header, sink: Sink::Parquet(Box::new(pending)) })
    }

    /// Adds the rows of orders.
    pub(crate) fn add(&mut self, orders: &Orders, matrix: &Matrix, bar: &ProgressBar) -> io::Result<()> {
        match &mut self.sink {
            Sink::Csv(writer) => add_csv(writer, self.header, orders, matrix, bar),
            Sink::Parquet(pending) => pending.add(self.header, orders, matrix, bar).map_err(io::Error::other),
        }
    }

    /// Ends the file.
    pub(crate) fn finish(self) -> io::Result<()> {
        match self.sink {
            Sink::Csv(writer) => writer.into_inner().map_err(csv::IntoInnerError::into_error)?.finish(),
            Sink::Parquet(mut pending) => {
                pending.write(self.header).map_err(io::Error::other)?;
                pending.writer.finish().map_err(io::Error::other)?.flush()
            }
        }
    }
}

impl Pending<'_> {
    fn add(&mut self, header: &Header, orders: &Orders, matrix: &Matrix, bar: &ProgressBar) -> Result<(), WriteError> {
        let ids = header.ids(orders);
        let mut at = 0;
        while at < matrix.n_rows() {
            let rows = at..matrix.n_rows().min(at + BLOCK - self.n_rows);
            if header.id.is_some() {
                let id = |order: usize| ids.and_then(|ids| ids.get(orders.rows.row[order] as usize)).map(str::to_owned);
                self.ids.extend(rows.clone().map(id));
            }
            self.times.extend(orders.rows.time[rows.clone()].iter().map(|time| time.0));
            self.labels.extend_from_slice(&orders.labels.label[rows.clone()]);
            for (f, values) in self.features.iter_mut().enumerate() {
                values.extend_from_slice(&matrix.column(f)[rows.clone()]);
            }
            self.n_rows += rows.len();
            bar.inc(rows.len() as u64);
            at = rows.end;
            if self.n_rows == BLOCK {
                self.write(header)?;
            }
        }
        Ok(())
    }

    fn write(&mut self, header: &Header) -> Result<(), WriteError> {
        if self.n_rows == 0 {
            return Ok(());
        }
        let ids: Vec<Option<&str>> = self.ids.iter().map(Option::as_deref).collect();
        let mut values = Vec::with_capacity(header.names.len());
        values.extend(header.id.map(|_| Values::Text(&ids)));
        values.extend(header.has_time.then_some(Values::Time(&self.times)));
        values.extend(header.has_label.then_some(Values::Label(&self.labels)));
        values.extend(self.features.iter().map(|values| Values::Number(values)));
        self.writer.write(&values)?;
        self.ids.clear();
        self.times.clear();
        self.labels.clear();
        self.features.iter_mut().for_each(Vec::clear);
        self.n_rows = 0;
        Ok(())
    }
}

fn add_csv(
    writer: &mut csv::Writer<Packed<'_>>,
    header: &Header,
    orders: &Orders,
    matrix: &Matrix,
    bar: &ProgressBar,
) -> io::Result<()> {
    use std::fmt::Write;
    let ids = header.ids(orders);
    let mut number = String::new();
    for order in 0..matrix.n_rows() {
        if header.id.is_some() {
            let id = ids.and_then(|ids| ids.get(orders.rows.row[order] as usize));
            writer.write_field(id.unwrap_or("")).map_err(csv_error)?;
        }
        if header.has_time {
            writer.write_field(time_text(orders.rows.time[order])).map_err(csv_error)?;
        }
        if header.has_label {
            let label = match orders.labels.label[order] {
                1 => "1",
                0 => "0",
                _ => "",
            };
            writer.write_field(label).map_err(csv_error)?;
        }
        for feature in 0..matrix.n_features() {
            number.clear();
            let value = matrix.column(feature)[order];
            if !value.is_nan() {
                write!(number, "{value}").expect("writing to a string cannot fail");
            }
            writer.write_field(&number).map_err(csv_error)?;
        }
        writer.write_record(None::<&[u8]>).map_err(csv_error)?;
        if order % BLOCK == BLOCK - 1 {
            bar.inc(BLOCK as u64);
        }
    }
    bar.inc((matrix.n_rows() % BLOCK) as u64);
    Ok(())
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
