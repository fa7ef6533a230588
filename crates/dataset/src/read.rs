//! From files to a typed table of orders, in one parallel pass.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use orderguard_features::kind::EventKind;
use orderguard_features::parse::{self, TimeParser, is_missing};
use orderguard_features::schema::{Available, Role, Schema};
use orderguard_features::table::{ColumnData, EventTable, MISSING_CODE, MISSING_I64, OrderTable};
use rayon::prelude::*;

pub use crate::blocks::Progress;
use crate::blocks::{Block, Blocks, Shape};
use crate::delimited::{Dialect, Record, Records};
use crate::error::ReadError;
use crate::events::split_off_events;
use crate::intern::{Cache, SharedInterner};
use crate::json_lines::{JsonFault, Value, decode, members};
use crate::rejection::{RejectReason, Rejection, Rejections};
use crate::source::{Content, Sources};

/// What is asked of the files.
#[derive(Clone, Debug)]
pub struct ReadOptions {
    /// Share of the rows that may be rejected, 0 to 1; one row always may. Default 0.01.
    pub max_rejected: f64,
    /// Columns of these roles may be lacking in a file; its rows then have them missing. Default none. The kind, the
    /// identifier and the arrival of events always may, and files of events may lack all columns but the time.
    pub optional_roles: Vec<Role>,
    /// Columns known only after the order (`available = "later"`) may be lacking too. Default false.
    pub optional_later: bool,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self { max_rejected: 0.01, optional_roles: Vec::new(), optional_later: false }
    }
}

impl ReadOptions {
    /// For scoring, where nobody knows a label yet.
    pub fn for_scoring() -> Self {
        Self { optional_roles: vec![Role::Label, Role::LabelTime], optional_later: true, ..Self::default() }
    }
}

/// A table, and what was left out of it.
#[derive(Clone, Debug)]
pub struct ReadOutcome {
    /// The accepted orders in the order of the files, one column per column of the schema.
    pub table: OrderTable,
    /// The accepted events of other kinds, in the order of the files; `None` where no column says the kind and no file was
    /// given as one of events.
    pub events: Option<EventTable>,
    /// The rejected rows in the order of the files. Together with `table.source` and `table.line` (and those of the
    /// events), which are sorted, they give back the order of all rows.
    pub rejections: Rejections,
    /// Accepted and rejected rows.
    pub n_rows_seen: u64,
    /// Bytes read, after decompression.
    pub bytes: u64,
    /// Names of the files; positions in it are what `table.source` holds.
    pub files: Vec<String>,
    /// For each of the files: whether it was given as one of events.
    pub is_events: Vec<bool>,
}

/// Reads the columns that `schema` gives a use, in the order of its columns.
///
/// Columns of the roles `text` and `ignored` are not stored, nor those that `options` lets a file lack and no file has.
/// A row is rejected when it has another number of fields than the header, is not UTF-8, has a field that is too long
/// or a cell that [`parse`] refuses, has no time or no id where the schema has such a column (and `options` does not
/// make it optional), says a kind of event that is not known, or when the file ends inside it. Events of other kinds than
/// orders need no id, but a time. White space around a cell is cut off.
///
/// The result does not depend on the number of threads or the size of blocks. Memory: the table, and one block per
/// thread. Runs in the current rayon pool.
///
/// # Errors
/// [`ReadError::TooManyRejected`] above the share of `options`, [`ReadError::MissingColumn`], [`ReadError::NoKind`] for a
/// file of events that do not say what they are, [`ReadError::HeaderOnly`] when no file has a row, and whatever is wrong with
/// a file as a whole.
pub fn read(
    sources: &Sources,
    schema: &Schema,
    options: &ReadOptions,
    progress: Progress<'_>,
) -> Result<ReadOutcome, ReadError> {
    let plan = Plan::new(schema, options)?;
    let (bytes, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let results: Vec<(usize, Result<Part, ReadError>)> = Blocks::new(sources, progress, &bytes, &stop)
        .par_bridge()
        .map_init(
            || Worker::new(&plan, sources),
            |worker, block| {
                let (index, result) = match block {
                    Ok(block) => (block.index, worker.read(&block)),
                    Err(error) => (usize::MAX, Err(error)),
                };
                if result.is_err() {
                    stop.store(true, Ordering::Relaxed);
                }
                (index, result)
            },
        )
        .collect();
    // Blocks before a faulty one were handed out before it, so the first error is the same one in every run.
    let parts = in_order(results)?;
    assemble(plan, schema, sources, options, parts, bytes.into_inner())
}

/// Sorts results by block; the first error wins.
pub(crate) fn in_order<T>(mut results: Vec<(usize, Result<T, ReadError>)>) -> Result<Vec<T>, ReadError> {
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

/// What is done with the cells of each column that is used.
struct Plan {
    columns: Vec<Planned>,
    by_name: HashMap<Arc<str>, usize, foldhash::fast::FixedState>,
    /// The planned column that says what kind of event a row is.
    kind: Option<usize>,
    /// The planned column that every order must have a value in.
    id: Option<usize>,
    /// The planned column of the time.
    time: Option<usize>,
}

struct Planned {
    position: usize,
    name: Arc<str>,
    role: Role,
    reader: CellReader,
    optional: bool,
    /// Whether any file has the column.
    seen: AtomicBool,
    /// Whether any file of orders has it.
    seen_in_orders: AtomicBool,
    texts: SharedInterner,
}

enum CellReader {
    Number,
    Amount { decimals: u8 },
    Time(TimeParser),
    Label,
    Kind,
    Text,
}

impl Plan {
    fn new(schema: &Schema, options: &ReadOptions) -> Result<Self, ReadError> {
        schema.check()?;
        let mut columns = Vec::new();
        for (position, column) in schema.columns.iter().enumerate() {
            let reader = match (column.role, column.format) {
                (Role::Text | Role::Ignored, _) => continue,
                (role, _) if role.is_number() => CellReader::Number,
                (Role::Amount, _) => CellReader::Amount { decimals: schema.amount_decimals },
                (Role::Label, _) => CellReader::Label,
                (Role::Event, _) => CellReader::Kind,
                (Role::Time | Role::KnownAt | Role::LabelTime | Role::Timestamp, Some(format)) => {
                    CellReader::Time(TimeParser::new(format, &schema.timezone)?)
                }
                _ => CellReader::Text,
            };
            columns.push(Planned {
                position,
                name: column.name.as_str().into(),
                role: column.role,
                reader,
                optional: options.optional_roles.contains(&column.role)
                    || matches!(column.role, Role::Event | Role::EventId | Role::KnownAt)
                    || (options.optional_later && column.available == Available::Later),
                seen: AtomicBool::new(false),
                seen_in_orders: AtomicBool::new(false),
                texts: SharedInterner::default(),
            });
        }
        let by_name = columns.iter().enumerate().map(|(i, column)| (Arc::clone(&column.name), i)).collect();
        let position = |role| columns.iter().position(|column: &Planned| column.role == role);
        let id = position(Role::Id).filter(|&i| !columns[i].optional);
        Ok(Self { kind: position(Role::Event), id, time: position(Role::Time), by_name, columns })
    }
}

/// The cells of one column in one block; texts by provisional code.
enum Cells {
    Number(Vec<f64>),
    Amount(Vec<i64>),
    Time(Vec<i64>),
    Label(Vec<i8>),
    /// Positions in [`EventKind::ALL`], or [`NO_KIND`].
    Kind(Vec<u8>),
    Text(Vec<u32>),
}

/// Marks a row that does not say its kind.
const NO_KIND: u8 = u8::MAX;

impl Cells {
    fn new(reader: &CellReader) -> Self {
        match reader {
            CellReader::Number => Self::Number(Vec::new()),
            CellReader::Amount { .. } => Self::Amount(Vec::new()),
            CellReader::Time(_) => Self::Time(Vec::new()),
            CellReader::Label => Self::Label(Vec::new()),
            CellReader::Kind => Self::Kind(Vec::new()),
            CellReader::Text => Self::Text(Vec::new()),
        }
    }

    fn truncate(&mut self, n: usize) {
        match self {
            Self::Number(values) => values.truncate(n),
            Self::Amount(values) | Self::Time(values) => values.truncate(n),
            Self::Label(values) => values.truncate(n),
            Self::Kind(values) => values.truncate(n),
            Self::Text(values) => values.truncate(n),
        }
    }
}

/// What one block holds.
struct Part {
    file: u32,
    first_line: u64,
    /// Line of each accepted row, counted from `first_line`.
    lines: Vec<u32>,
    cells: Vec<Cells>,
    rejections: Rejections,
    ending: Ending,
}

/// What is known about the last fields of some rows, to tell a cut last row from a whole one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ending {
    /// Rows with as many fields as the header, the suspect not counted.
    pub(crate) n_rows: u64,
    /// Those of them whose last field is empty.
    pub(crate) n_last_empty: u64,
    /// The file's last row, if no line end follows it and its last field is empty: its line.
    pub(crate) suspect: Option<u64>,
}

/// Rows that must have a last field before an empty one in the last row is taken for a cut.
const MIN_FULL_ROWS: u64 = 10;

impl Ending {
    pub(crate) fn add(&mut self, other: Self) {
        self.n_rows += other.n_rows;
        self.n_last_empty += other.n_last_empty;
        self.suspect = self.suspect.or(other.suspect);
    }

    /// The line of the last row if the file was cut inside it.
    pub(crate) fn cut_line(&self) -> Option<u64> {
        self.suspect.filter(|_| self.n_last_empty == 0 && self.n_rows >= MIN_FULL_ROWS)
    }
}

/// One thread's tools.
struct Worker<'p> {
    plan: &'p Plan,
    sources: &'p Sources,
    caches: Vec<Cache>,
    /// Field of each planned column, for the delimited file that was met last.
    mapped: Option<(u32, Vec<Option<usize>>)>,
    scratch: String,
    /// Rows that the previous block held, to size the next one's columns.
    n_expected: usize,
}

impl<'p> Worker<'p> {
    fn new(plan: &'p Plan, sources: &'p Sources) -> Self {
        let caches = plan.columns.iter().map(|_| Cache::default()).collect();
        Self { plan, sources, caches, mapped: None, scratch: String::new(), n_expected: 0 }
    }

    fn read(&mut self, block: &Block) -> Result<Part, ReadError> {
        let mut part = Part {
            file: block.file,
            first_line: block.first_line,
            lines: Vec::with_capacity(self.n_expected),
            cells: self.plan.columns.iter().map(|column| Cells::new(&column.reader)).collect(),
            rejections: Rejections::default(),
            ending: Ending::default(),
        };
        match &block.shape {
            Shape::Delimited { dialect, header } => {
                self.map(block.file, header)?;
                self.read_delimited(block, *dialect, header, &mut part)?;
            }
            Shape::JsonLines => self.read_json(block, &mut part)?,
        }
        if let Some((line, reason)) = &block.broken {
            part.rejections.push(Rejection { source: block.file, line: *line, column: None, reason: reason.clone() });
        }
        self.n_expected = part.lines.len() + part.lines.len() / 16;
        Ok(part)
    }

    fn map(&mut self, file: u32, header: &[String]) -> Result<(), ReadError> {
        if self.mapped.as_ref().is_some_and(|(mapped, _)| *mapped == file) {
            return Ok(());
        }
        let content = self.sources.files[file as usize].content;
        let mut fields = vec![None; self.plan.columns.len()];
        for (field, name) in header.iter().enumerate() {
            if let Some(&i) = self.plan.by_name.get(name.as_str()) {
                fields[i] = Some(field);
                self.plan.columns[i].saw(content);
            }
        }
        if content == Content::Events(None) && self.plan.kind.is_none_or(|kind| fields[kind].is_none()) {
            let file = self.sources.files[file as usize].name.clone();
            return Err(ReadError::NoKind { file, column: self.plan.kind_name(), found: header.to_vec() });
        }
        let may_lack = |column: &Planned| column.optional || (content != Content::Orders && column.role != Role::Time);
        let lacking =
            self.plan.columns.iter().zip(&fields).find(|(column, field)| field.is_none() && !may_lack(column));
        if let Some((column, _)) = lacking {
            let file = self.sources.files[file as usize].name.clone();
            return Err(ReadError::MissingColumn { file, column: column.name.to_string(), found: header.to_vec() });
        }
        self.mapped = Some((file, fields));
        Ok(())
    }

    fn read_delimited(
        &mut self,
        block: &Block,
        dialect: Dialect,
        header: &[String],
        part: &mut Part,
    ) -> Result<(), ReadError> {
        let bytes = block.bytes.as_slice();
        let whole = std::str::from_utf8(bytes).ok();
        let (_, fields) = self.mapped.take().unwrap_or_default();
        let mut records = Records::new(bytes, dialect, block.first_line);
        while let Some(record) = records.next() {
            let is_last = block.ends_bare && record.end == bytes.len();
            let text = match check(&records, record, bytes, whole, header.len(), is_last, self.sources) {
                Ok(text) => text,
                Err((field, reason)) => {
                    let column = field.map(|field| header[field].as_str().into());
                    let line = record.line;
                    part.rejections.push(Rejection { source: block.file, line, column, reason });
                    continue;
                }
            };
            let last_is_empty = records.last_is_empty();
            if is_last && last_is_empty {
                part.ending.suspect = Some(record.line);
            } else {
                part.ending.n_rows += 1;
                part.ending.n_last_empty += u64::from(last_is_empty);
            }
            let mut scratch = std::mem::take(&mut self.scratch);
            let rejected = self.push_row(part, record.line, |i, take| match fields[i] {
                Some(field) => take(records.text(field, text, record.start, &mut scratch)),
                None => take(""),
            });
            self.scratch = scratch;
            self.settle(part, record.line, rejected)?;
        }
        self.mapped = Some((block.file, fields));
        Ok(())
    }

    fn read_json(&mut self, block: &Block, part: &mut Part) -> Result<(), ReadError> {
        let plan = self.plan;
        let limit = self.sources.options.max_field_bytes;
        let content = self.sources.files[block.file as usize].content;
        let mut values: Vec<Option<Value>> = vec![None; plan.columns.len()];
        let mut key_scratch = String::new();
        for line in json_rows(block) {
            let text = match line.text(self.sources) {
                Ok(text) => text,
                Err(reason) => {
                    let (source, line) = (block.file, line.line);
                    part.rejections.push(Rejection { source, line, column: None, reason });
                    continue;
                }
            };
            values.fill(None);
            let mut fault_column = None;
            let walked = members(text, &mut key_scratch, |key, value, _| {
                let Some(&i) = plan.by_name.get(key) else { return Ok(()) };
                fault_column = Some(i);
                match (&values[i], &value) {
                    (Some(_), _) => return Err(JsonFault::DuplicateKey),
                    (None, Value::Nested) => return Err(JsonFault::Nested),
                    (None, _) => values[i] = Some(value),
                }
                fault_column = None;
                Ok(())
            });
            let too_long = values.iter().position(
                |value| matches!(value, Some(Value::Text(range) | Value::Token(range)) if range.len() > limit),
            );
            if let (Ok(()), Some(i), Some(Value::Text(range) | Value::Token(range))) =
                (&walked, too_long, too_long.and_then(|i| values[i].clone()))
            {
                let reason = RejectReason::FieldTooLong { bytes: range.len(), limit };
                self.settle(part, line.line, Err(Refusal::Row(Some(i), reason)))?;
                continue;
            }
            if let Err((at, fault)) = walked {
                let cut = line.ends_bare && at >= text.trim_ascii_end().len();
                let reason = if cut { RejectReason::FileEndsInside } else { RejectReason::Json { at, fault } };
                self.settle(part, line.line, Err(Refusal::Row(fault_column, reason)))?;
                continue;
            }
            for (column, value) in plan.columns.iter().zip(&values) {
                if value.is_some() {
                    column.saw(content);
                }
            }
            let mut scratch = std::mem::take(&mut self.scratch);
            let rejected = self.push_row(part, line.line, |i, take| match &values[i] {
                Some(Value::Text(range)) => take(decode(&text[range.clone()], &mut scratch).trim_ascii()),
                Some(Value::Token(range)) => take(&text[range.clone()]),
                _ => take(""),
            });
            self.scratch = scratch;
            self.settle(part, line.line, rejected)?;
        }
        Ok(())
    }

    /// Parses a row's cells and appends them; `cell(i, take)` hands the text of planned column `i` to `take`.
    fn push_row(
        &mut self,
        part: &mut Part,
        line: u64,
        mut cell: impl FnMut(usize, &mut dyn FnMut(&str) -> Result<(), Refusal>) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let plan = self.plan;
        for (i, ((column, cells), cache)) in plan.columns.iter().zip(&mut part.cells).zip(&mut self.caches).enumerate()
        {
            cell(i, &mut |text| push_cell(column, cells, cache, text).map_err(|refusal| refusal.at(i)))?;
        }
        plan.check_row(&part.cells, self.sources.files[part.file as usize].content)?;
        part.lines.push((line - part.first_line) as u32);
        Ok(())
    }

    /// Takes a row that was refused out again and notes why.
    fn settle(&self, part: &mut Part, line: u64, result: Result<(), Refusal>) -> Result<(), ReadError> {
        match result {
            Ok(()) => Ok(()),
            Err(Refusal::Row(column, reason)) => {
                let n = part.lines.len();
                part.cells.iter_mut().for_each(|cells| cells.truncate(n));
                let column = column.map(|i| Arc::clone(&self.plan.columns[i].name));
                part.rejections.push(Rejection { source: part.file, line, column, reason });
                Ok(())
            }
            Err(Refusal::Full(i)) => Err(ReadError::TooManyValues { column: self.plan.columns[i].name.to_string() }),
        }
    }
}

impl Plan {
    /// Whether the row that was pushed last has what its kind needs.
    fn check_row(&self, cells: &[Cells], content: Content) -> Result<(), Refusal> {
        let missing = |column, role| Err(Refusal::Row(column, RejectReason::Missing { role }));
        let said = match self.kind.map(|kind| &cells[kind]) {
            Some(Cells::Kind(kinds)) => kinds.last().copied().unwrap_or(NO_KIND),
            _ => NO_KIND,
        };
        match kind_of_row(said, content) {
            None => missing(self.kind, Role::Event),
            Some(EventKind::Order) => match self.id.map(|id| (id, &cells[id])) {
                Some((id, Cells::Text(codes))) if codes.last() == Some(&MISSING_CODE) => missing(Some(id), Role::Id),
                _ => Ok(()),
            },
            Some(_) if self.time.is_none() => missing(None, Role::Time),
            Some(_) => Ok(()),
        }
    }

    fn kind_name(&self) -> Option<String> {
        self.kind.map(|kind| self.columns[kind].name.to_string())
    }
}

impl Planned {
    fn saw(&self, content: Content) {
        let note = |seen: &AtomicBool| {
            if !seen.load(Ordering::Relaxed) {
                seen.store(true, Ordering::Relaxed);
            }
        };
        note(&self.seen);
        if content == Content::Orders {
            note(&self.seen_in_orders);
        }
    }
}

/// What a row is: what it says itself, else what was said of its file.
fn kind_of_row(said: u8, content: Content) -> Option<EventKind> {
    match (EventKind::ALL.get(usize::from(said)), content) {
        (Some(&kind), _) => Some(kind),
        (None, Content::Orders) => Some(EventKind::Order),
        (None, Content::Events(kind)) => kind,
    }
}

/// Why a row, or all of them, cannot be taken; with the planned column.
enum Refusal {
    Row(Option<usize>, RejectReason),
    Full(usize),
}

impl Refusal {
    fn at(self, column: usize) -> Self {
        match self {
            Self::Row(_, reason) => Self::Row(Some(column), reason),
            Self::Full(_) => Self::Full(column),
        }
    }
}

fn push_cell(column: &Planned, cells: &mut Cells, cache: &mut Cache, text: &str) -> Result<(), Refusal> {
    let refuse = |error| Refusal::Row(None, RejectReason::Cell(error));
    match (&column.reader, cells) {
        (CellReader::Number, Cells::Number(values)) => values.push(parse::number(text).map_err(refuse)?),
        (CellReader::Amount { decimals }, Cells::Amount(values)) => {
            values.push(parse::amount(text, *decimals).map_err(refuse)?);
        }
        (CellReader::Time(parser), Cells::Time(values)) => {
            let time = parser.parse(text).map_err(refuse)?;
            if time == MISSING_I64 && column.role == Role::Time && !column.optional {
                return Err(Refusal::Row(None, RejectReason::Missing { role: Role::Time }));
            }
            values.push(time);
        }
        (CellReader::Label, Cells::Label(values)) => values.push(parse::label(text).map_err(refuse)?),
        (CellReader::Kind, Cells::Kind(values)) => {
            let kind = match EventKind::from_name(text) {
                Some(kind) => kind as u8,
                None if is_missing(text) => NO_KIND,
                None => return Err(Refusal::Row(None, RejectReason::UnknownKind { n_chars: text.chars().count() })),
            };
            values.push(kind);
        }
        (_, Cells::Text(values)) => {
            let code = if is_missing(text) {
                MISSING_CODE
            } else {
                cache.code(&column.texts, text).map_err(|_| Refusal::Full(0))?
            };
            values.push(code);
        }
        // `Cells::new` made the cells for this reader.
        _ => {}
    }
    Ok(())
}

/// The text of a record, or the field at fault and the reason.
pub(crate) fn check<'a>(
    records: &Records<'a>,
    record: Record,
    bytes: &'a [u8],
    whole: Option<&'a str>,
    n_columns: usize,
    is_last: bool,
    sources: &Sources,
) -> Result<&'a str, (Option<usize>, RejectReason)> {
    let limit = sources.options.max_field_bytes;
    let len = record.end - record.start;
    if len > limit.saturating_mul(64) {
        return Err((None, RejectReason::RowTooLong { limit: limit.saturating_mul(64) }));
    }
    if record.n_fields != n_columns {
        let cut = is_last && record.n_fields < n_columns;
        let counted = RejectReason::FieldCount { expected: n_columns, found: record.n_fields };
        return Err((None, if cut { RejectReason::FileEndsInside } else { counted }));
    }
    if len > limit
        && let Some((field, bytes)) = records.longer_than(limit)
    {
        return Err((Some(field), RejectReason::FieldTooLong { bytes, limit }));
    }
    match whole {
        Some(whole) => Ok(&whole[record.start..record.end]),
        None => std::str::from_utf8(&bytes[record.start..record.end])
            .map_err(|e| (None, RejectReason::NotUtf8 { at: e.valid_up_to() })),
    }
}

/// One line of JSON.
pub(crate) struct JsonRow<'a> {
    bytes: &'a [u8],
    pub(crate) line: u64,
    /// Whether the file ends with this line and without a line end.
    pub(crate) ends_bare: bool,
}

impl<'a> JsonRow<'a> {
    pub(crate) fn text(&self, sources: &Sources) -> Result<&'a str, RejectReason> {
        let limit = sources.options.max_field_bytes.saturating_mul(64);
        if self.bytes.len() > limit {
            return Err(RejectReason::RowTooLong { limit });
        }
        std::str::from_utf8(self.bytes).map_err(|e| RejectReason::NotUtf8 { at: e.valid_up_to() })
    }
}

/// The lines of a block of JSON Lines that are not blank.
pub(crate) fn json_rows(block: &Block) -> impl Iterator<Item = JsonRow<'_>> {
    let n = block.bytes.len();
    let mut at = 0;
    let mut line = block.first_line;
    std::iter::from_fn(move || {
        while at < n {
            let end = memchr::memchr(b'\n', &block.bytes[at..]).map_or(n, |i| at + i);
            let bytes = &block.bytes[at..end];
            let row = JsonRow { bytes, line, ends_bare: block.ends_bare && end == n };
            at = end + 1;
            line += 1;
            if !bytes.trim_ascii().is_empty() {
                return Some(row);
            }
        }
        None
    })
}

/// Rejects the cut last row of each file that has one.
fn reject_cut_rows(parts: &mut [Part]) {
    let mut first = 0;
    while first < parts.len() {
        let file = parts[first].file;
        let n = parts[first..].iter().take_while(|part| part.file == file).count();
        let mut ending = Ending::default();
        parts[first..first + n].iter().for_each(|part| ending.add(part.ending));
        first += n;
        let (Some(line), last) = (ending.cut_line(), &mut parts[first - 1]) else { continue };
        // The row is the last of its block, among the accepted or the rejected ones.
        if last.lines.last().is_some_and(|offset| last.first_line + u64::from(*offset) == line) {
            last.lines.pop();
            let n_rows = last.lines.len();
            last.cells.iter_mut().for_each(|cells| cells.truncate(n_rows));
        } else {
            last.rejections.pop();
        }
        last.rejections.push(Rejection { source: file, line, column: None, reason: RejectReason::FileEndsInside });
    }
}

fn assemble(
    plan: Plan,
    schema: &Schema,
    sources: &Sources,
    options: &ReadOptions,
    mut parts: Vec<Part>,
    bytes: u64,
) -> Result<ReadOutcome, ReadError> {
    reject_cut_rows(&mut parts);
    let n_rows: usize = parts.iter().map(|part| part.lines.len()).sum();
    let mut rejections = Rejections::default();
    let mut table = OrderTable { n_rows, ..OrderTable::default() };
    table.source.reserve_exact(n_rows);
    table.line.reserve_exact(n_rows);
    let mut by_column: Vec<Vec<Cells>> = plan.columns.iter().map(|_| Vec::with_capacity(parts.len())).collect();
    let has_kinds = plan.kind.is_some() || sources.files.iter().any(|file| file.content != Content::Orders);
    let mut kinds: Vec<EventKind> = Vec::with_capacity(if has_kinds { n_rows } else { 0 });
    for part in parts {
        if has_kinds {
            let content = sources.files[part.file as usize].content;
            let of = |said| kind_of_row(said, content).unwrap_or_default();
            match plan.kind.map(|kind| &part.cells[kind]) {
                Some(Cells::Kind(said)) => kinds.extend(said.iter().map(|&said| of(said))),
                _ => kinds.extend(std::iter::repeat_n(of(NO_KIND), part.lines.len())),
            }
        }
        rejections.append(part.rejections);
        table.source.extend(std::iter::repeat_n(part.file, part.lines.len()));
        table.line.extend(part.lines.iter().map(|offset| part.first_line + u64::from(*offset)));
        by_column.iter_mut().zip(part.cells).for_each(|(column, cells)| column.push(cells));
    }
    let n_rows_seen = n_rows as u64 + rejections.count();
    let files = sources.names();
    if n_rows_seen == 0 {
        return Err(ReadError::HeaderOnly { file: files.into_iter().next().unwrap_or_default() });
    }
    let has_orders = sources.files.iter().any(|file| file.content == Content::Orders);
    let is_unseen = |column: &&Planned| !column.optional && !column.seen_in_orders.load(Ordering::Relaxed);
    if let Some(column) = plan.columns.iter().find(is_unseen).filter(|_| has_orders) {
        let file = files.into_iter().next().unwrap_or_default();
        return Err(ReadError::MissingColumn { file, column: column.name.to_string(), found: Vec::new() });
    }
    let limit = ((options.max_rejected * n_rows_seen as f64) as u64).max(1);
    if rejections.count() > limit {
        let (rejected, first) = (rejections.count(), rejections.first);
        return Err(ReadError::TooManyRejected { rejected, seen: n_rows_seen, limit, files, first });
    }
    let kind_position = plan.kind.map(|kind| plan.columns[kind].position);
    table.columns = vec![ColumnData::Absent; schema.columns.len()];
    let filled: Vec<(usize, ColumnData)> = plan
        .columns
        .into_par_iter()
        .zip(by_column)
        .filter(|(column, _)| column.seen.load(Ordering::Relaxed))
        .map(|(column, parts)| (column.position, join(column, parts, n_rows)))
        .collect();
    for (position, data) in filled {
        table.columns[position] = data;
    }
    let is_events = sources.files.iter().map(|file| file.content != Content::Orders).collect();
    let (table, events) = if has_kinds {
        let (orders, events) = split_off_events(table, &kinds, kind_position);
        (orders, Some(events))
    } else {
        (table, None)
    };
    Ok(ReadOutcome { table, events, rejections, n_rows_seen, bytes, files, is_events })
}

/// Puts the parts of a column behind one another.
fn join(column: Planned, parts: Vec<Cells>, n_rows: usize) -> ColumnData {
    macro_rules! concat {
        ($kind:ident) => {{
            let mut values = Vec::with_capacity(n_rows);
            for part in parts {
                if let Cells::$kind(part) = part {
                    values.extend_from_slice(&part);
                }
            }
            ColumnData::$kind(values)
        }};
    }
    match column.reader {
        CellReader::Number => concat!(Number),
        CellReader::Amount { .. } => concat!(Amount),
        CellReader::Time(_) => concat!(Time),
        CellReader::Label => concat!(Label),
        // Kinds stand beside the columns.
        CellReader::Kind => ColumnData::Absent,
        CellReader::Text => {
            let codes = parts.into_iter().map(|part| if let Cells::Text(codes) = part { codes } else { Vec::new() });
            ColumnData::Text(column.texts.renumber(codes, n_rows))
        }
    }
}
