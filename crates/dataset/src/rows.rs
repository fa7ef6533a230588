//! One thread's work: the rows of one block after the other become typed cells or rejections.

use std::sync::Arc;

use orderguard_features::schema::Role;

use crate::blocks::{Block, Shape};
use crate::columns::{CellTexts, Cells, Plan, Planned, Refusal, Texts, push_cell, push_cells};
use crate::delimited::{Dialect, Record, Records, is_empty};
use crate::error::ReadError;
use crate::intern::Cache;
use crate::json_lines::{JsonFault, Value, decode, members};
#[cfg(feature = "parquet")]
use crate::parquet_in::{Column, ParquetFile};
use crate::rejection::{RejectReason, Rejection, Rejections};
use crate::source::{Content, Sources};

/// What one block holds.
pub(crate) struct Part {
    pub(crate) file: u32,
    /// Whether the file has numbered rows instead of lines.
    in_rows: bool,
    /// Lines of the accepted rows.
    pub(crate) lines: Lines,
    pub(crate) cells: Vec<Cells>,
    pub(crate) rejections: Rejections,
    pub(crate) ending: Ending,
}

/// Lines on which rows start, in rising order; where each is the one after the last, two numbers.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    first: u64,
    n: usize,
    /// Counted from `first`, once a line was left out.
    offsets: Vec<u32>,
}

impl Lines {
    pub(crate) fn len(&self) -> usize {
        self.n
    }

    pub(crate) fn push(&mut self, line: u64) {
        if self.n == 0 {
            self.first = line;
        }
        let offset = (line - self.first) as u32;
        if self.offsets.is_empty() && offset as usize != self.n {
            self.offsets.extend(0..self.n as u32);
        }
        if offset as usize != self.n || !self.offsets.is_empty() {
            self.offsets.push(offset);
        }
        self.n += 1;
    }

    pub(crate) fn pop(&mut self) {
        self.offsets.pop();
        self.n = self.n.saturating_sub(1);
    }

    pub(crate) fn last(&self) -> Option<u64> {
        let last = self.n.checked_sub(1)?;
        Some(self.first + self.offsets.last().map_or(last as u64, |offset| u64::from(*offset)))
    }

    /// Appends all lines to `out`.
    pub(crate) fn write(&self, out: &mut Vec<u64>) {
        if self.offsets.is_empty() {
            out.extend(self.first..self.first + self.n as u64);
        } else {
            out.extend(self.offsets.iter().map(|offset| self.first + u64::from(*offset)));
        }
    }
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

/// Fields of rows that are read column by column; few enough to stay in the nearest caches.
const BATCH_FIELDS: usize = 4_096;

/// Some rows of a block.
#[derive(Debug, Default)]
struct Batch {
    starts: Vec<u32>,
    lines: Vec<u64>,
    /// Where the fields end, row by row.
    ends: Vec<u32>,
    n_fields: usize,
}

impl Batch {
    fn clear(&mut self) {
        self.starts.clear();
        self.lines.clear();
        self.ends.clear();
    }
}

/// One thread's tools.
pub(crate) struct Worker<'p> {
    plan: &'p Plan,
    sources: &'p Sources,
    caches: Vec<Cache>,
    /// Field of each planned column, for the delimited file that was met last.
    mapped: Option<(u32, Vec<Option<usize>>)>,
    scratch: String,
    batch: Batch,
    /// Rows that the previous block held, to size the next one's columns.
    n_expected: usize,
}

impl<'p> Worker<'p> {
    pub(crate) fn new(plan: &'p Plan, sources: &'p Sources) -> Self {
        let caches = plan.columns.iter().map(|_| Cache::default()).collect();
        Self { plan, sources, caches, mapped: None, scratch: String::new(), batch: Batch::default(), n_expected: 0 }
    }

    pub(crate) fn read(&mut self, block: &Block) -> Result<Part, ReadError> {
        let mut part = Part {
            file: block.file,
            in_rows: !matches!(block.shape, Shape::Delimited { .. } | Shape::JsonLines),
            lines: Lines::default(),
            cells: self.plan.columns.iter().map(|column| Cells::new(&column.reader, self.n_expected)).collect(),
            rejections: Rejections::default(),
            ending: Ending::default(),
        };
        match &block.shape {
            Shape::Delimited { dialect, header } => {
                self.map(block.file, header)?;
                self.read_delimited(block, *dialect, header, &mut part)?;
            }
            Shape::JsonLines => self.read_json(block, &mut part)?,
            #[cfg(feature = "parquet")]
            Shape::Parquet { file, group } => {
                self.map(block.file, &file.names)?;
                self.read_parquet(file, *group, &mut part)?;
            }
        }
        if let Some((line, reason)) = &block.broken {
            part.rejections.push(Rejection {
                source: block.file,
                line: *line,
                in_rows: false,
                column: None,
                reason: reason.clone(),
            });
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
            return Err(ReadError::MissingColumn {
                file,
                column: column.name.to_string(),
                found: header.to_vec(),
                of_events: content != Content::Orders,
            });
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
        let mut batch = std::mem::take(&mut self.batch);
        batch.n_fields = header.len();
        let mut done = false;
        while !done {
            let record = records.next_into(&mut batch.ends);
            done = record.is_none();
            let mut refused = None;
            if let Some(record) = record {
                let ends = &batch.ends[batch.ends.len() - record.n_fields..];
                let is_last = block.ends_bare && record.end == bytes.len();
                match check(ends, record, bytes, whole, header.len(), is_last, self.sources) {
                    Ok(text) => {
                        let last_is_empty = is_empty(last_field(ends, record, bytes));
                        if is_last && last_is_empty {
                            part.ending.suspect = Some(record.line);
                        } else {
                            part.ending.n_rows += 1;
                            part.ending.n_last_empty += u64::from(last_is_empty);
                        }
                        if whole.is_some() {
                            batch.starts.push(record.start as u32);
                            batch.lines.push(record.line);
                        } else {
                            let one = Batch {
                                starts: vec![0],
                                lines: vec![record.line],
                                ends: ends.iter().map(|end| end - record.start as u32).collect(),
                                n_fields: header.len(),
                            };
                            self.push_batch(part, &one, text, &fields)?;
                            batch.ends.clear();
                        }
                    }
                    Err(found) => {
                        batch.ends.truncate(batch.ends.len() - record.n_fields);
                        refused = Some((record.line, found));
                    }
                }
            }
            if done || refused.is_some() || batch.ends.len() >= BATCH_FIELDS {
                if let Some(whole) = whole {
                    self.push_batch(part, &batch, whole, &fields)?;
                }
                batch.clear();
            }
            if let Some((line, (field, reason))) = refused {
                let column = field.map(|field| header[field].as_str().into());
                part.rejections.push(Rejection { source: block.file, line, in_rows: false, column, reason });
            }
        }
        self.batch = batch;
        self.mapped = Some((block.file, fields));
        Ok(())
    }

    /// Reads rows column by column; those with a cell that cannot be read once more, one by one, to tell why.
    fn push_batch(
        &mut self,
        part: &mut Part,
        batch: &Batch,
        whole: &str,
        fields: &[Option<usize>],
    ) -> Result<(), ReadError> {
        let plan = self.plan;
        let n_rows = batch.starts.len();
        let texts =
            |field| Texts { whole, n_rows, starts: &batch.starts, ends: &batch.ends, n_fields: batch.n_fields, field };
        let mut bad = Vec::new();
        for (((column, cells), cache), &field) in
            plan.columns.iter().zip(&mut part.cells).zip(&mut self.caches).zip(fields)
        {
            push_cells(column, cells, cache, &texts(field), &mut bad);
        }
        let line = |row: usize| batch.lines[row];
        let mut scratch = String::new();
        self.finish_rows(part, n_rows, line, bad, |row, i, take| take(texts(fields[i]).get(row, &mut scratch), false))
    }

    #[cfg(feature = "parquet")]
    fn read_parquet(&mut self, file: &ParquetFile, group: usize, part: &mut Part) -> Result<(), ReadError> {
        let plan = self.plan;
        let fields = self.mapped.as_ref().map(|(_, fields)| fields.clone()).unwrap_or_default();
        let mut used: Vec<usize> = fields.iter().copied().flatten().collect();
        used.sort_unstable();
        used.iter().try_for_each(|&column| file.check_column(column))?;
        let in_batch: Vec<Option<usize>> =
            fields.iter().map(|field| field.and_then(|field| used.binary_search(&field).ok())).collect();
        file.batches(group, &used, |first_row, batch| {
            let n_rows = batch.num_rows();
            let columns: Vec<Column<'_>> =
                in_batch.iter().map(|at| Column::new(at.map(|at| batch.column(at)), n_rows)).collect();
            let mut bad = Vec::new();
            for (((column, cells), cache), values) in
                plan.columns.iter().zip(&mut part.cells).zip(&mut self.caches).zip(&columns)
            {
                values.push(column, cells, cache, &mut bad);
            }
            let mut scratch = String::new();
            let line = |row: usize| first_row + row as u64 + 1;
            self.finish_rows(part, n_rows, line, bad, |row, i, take| {
                take(columns[i].get(row, &mut scratch), columns[i].is_time())
            })
        })
    }

    /// Takes note of rows whose cells were appended column by column. Those in `bad` (and those that lack what their kind
    /// needs) are taken out and read once more, one by one, to tell why.
    fn finish_rows(
        &mut self,
        part: &mut Part,
        n_rows: usize,
        line: impl Fn(usize) -> u64,
        mut bad: Vec<u32>,
        mut cell: impl FnMut(usize, usize, &mut dyn FnMut(&str, bool) -> Result<(), Refusal>) -> Result<(), Refusal>,
    ) -> Result<(), ReadError> {
        let (plan, before) = (self.plan, part.lines.len());
        let content = self.sources.files[part.file as usize].content;
        let lacks = |row: &usize| plan.check_row(&part.cells, before + row, content).is_err();
        bad.extend((0..n_rows).filter(lacks).map(|row| row as u32));
        if bad.is_empty() {
            (0..n_rows).for_each(|row| part.lines.push(line(row)));
            return Ok(());
        }
        bad.sort_unstable();
        bad.dedup();
        part.cells.iter_mut().for_each(|cells| cells.remove(before, &bad));
        let mut is_bad = bad.iter().peekable();
        for row in 0..n_rows {
            if is_bad.next_if(|bad| **bad as usize == row).is_none() {
                part.lines.push(line(row));
            }
        }
        for row in bad.into_iter().map(|row| row as usize) {
            let result = self.push_row(part, line(row), |i, take| cell(row, i, take));
            self.settle(part, line(row), result)?;
        }
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
                    part.rejections.push(Rejection { source, line, in_rows: false, column: None, reason });
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
                Some(Value::Text(range)) => take(decode(&text[range.clone()], &mut scratch).trim_ascii(), false),
                Some(Value::Token(range)) => take(&text[range.clone()], false),
                _ => take("", false),
            });
            self.scratch = scratch;
            self.settle(part, line.line, rejected)?;
        }
        Ok(())
    }

    /// Parses a row's cells and appends them; `cell(i, take)` hands the text of planned column `i` to `take`, and whether the
    /// file says what it is.
    fn push_row(
        &mut self,
        part: &mut Part,
        line: u64,
        mut cell: impl FnMut(usize, &mut dyn FnMut(&str, bool) -> Result<(), Refusal>) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let plan = self.plan;
        for (i, ((column, cells), cache)) in plan.columns.iter().zip(&mut part.cells).zip(&mut self.caches).enumerate()
        {
            cell(i, &mut |text, is_typed| {
                push_cell(column, cells, cache, text, is_typed).map_err(|refusal| refusal.at(i))
            })?;
        }
        plan.check_row(&part.cells, part.lines.len(), self.sources.files[part.file as usize].content)?;
        part.lines.push(line);
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
                part.rejections.push(Rejection { source: part.file, line, in_rows: part.in_rows, column, reason });
                Ok(())
            }
            Err(Refusal::Full(i)) => Err(ReadError::TooManyValues { column: self.plan.columns[i].name.to_string() }),
        }
    }
}

/// The text of a record, or the field at fault and the reason.
pub(crate) fn check<'a>(
    ends: &[u32],
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
        && let Some((field, bytes)) = longer_than(limit, ends, record)
    {
        return Err((Some(field), RejectReason::FieldTooLong { bytes, limit }));
    }
    match whole {
        Some(whole) => Ok(&whole[record.start..record.end]),
        None => std::str::from_utf8(&bytes[record.start..record.end])
            .map_err(|e| (None, RejectReason::NotUtf8 { at: e.valid_up_to() })),
    }
}

/// Position of the first field longer than `limit` as stored, and its length.
fn longer_than(limit: usize, ends: &[u32], record: Record) -> Option<(usize, usize)> {
    let starts = std::iter::once(record.start).chain(ends.iter().map(|&end| end as usize + 1));
    starts.zip(ends).map(|(start, &end)| end as usize - start).enumerate().find(|(_, len)| *len > limit)
}

fn last_field<'a>(ends: &[u32], record: Record, bytes: &'a [u8]) -> &'a [u8] {
    let start = ends.len().checked_sub(2).map_or(record.start, |before| ends[before] as usize + 1);
    &bytes[start..record.end]
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
