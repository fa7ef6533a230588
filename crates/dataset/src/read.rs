//! From files to a typed table of orders, in one parallel pass.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use orderguard_features::kind::EventKind;
use orderguard_features::schema::{Role, Schema};
use orderguard_features::table::{ColumnData, EventTable, OrderTable};
use rayon::prelude::*;

use crate::blocks::Blocks;
pub use crate::blocks::Progress;
use crate::columns::{Cells, NO_KIND, Plan, Planned, join, kind_of_row};
use crate::error::ReadError;
use crate::events::split_off_events;
use crate::rejection::{RejectReason, Rejection, Rejections};
use crate::rows::{Ending, Lines, Part, Worker};
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
/// or a cell that [`parse`](orderguard_features::parse) refuses, has no time or no id where the schema has such a column (and `options` does not
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
        if last.lines.last() == Some(line) {
            last.lines.pop();
            let n_rows = last.lines.len();
            last.cells.iter_mut().for_each(|cells| cells.truncate(n_rows));
        } else {
            last.rejections.pop();
        }
        last.rejections.push(Rejection {
            source: file,
            line,
            in_rows: false,
            column: None,
            reason: RejectReason::FileEndsInside,
        });
    }
}

/// Refuses files of orders none of which has a column that orders need; `seen` holds one entry per column of the schema.
pub(crate) fn refuse_unseen(
    schema: &Schema,
    options: &ReadOptions,
    seen: &[bool],
    files: &[String],
) -> Result<(), ReadError> {
    refuse_unseen_of(&Plan::new(schema, options)?, seen, files)
}

fn refuse_unseen_of(plan: &Plan, seen: &[bool], files: &[String]) -> Result<(), ReadError> {
    let is_unseen = |column: &&Planned| !column.optional && !seen[column.position];
    match plan.columns.iter().find(is_unseen) {
        Some(column) => {
            let file = files.first().cloned().unwrap_or_default();
            Err(ReadError::MissingColumn { file, column: column.name.to_string(), found: Vec::new(), of_events: false })
        }
        None => Ok(()),
    }
}

/// Refuses data of which too much cannot be read.
pub(crate) fn refuse_too_many(
    rejections: &Rejections,
    n_rows_seen: u64,
    options: &ReadOptions,
    files: &[String],
) -> Result<(), ReadError> {
    let limit = ((options.max_rejected * n_rows_seen as f64) as u64).max(1);
    if rejections.count() > limit {
        let (rejected, first, files) = (rejections.count(), rejections.first.clone(), files.to_vec());
        return Err(ReadError::TooManyRejected { rejected, seen: n_rows_seen, limit, files, first });
    }
    Ok(())
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
    let mut places: Vec<(u32, Lines)> = Vec::with_capacity(parts.len());
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
        places.push((part.file, part.lines));
        by_column.iter_mut().zip(part.cells).for_each(|(column, cells)| column.push(cells));
    }
    let n_rows_seen = n_rows as u64 + rejections.count();
    let files = sources.names();
    if n_rows_seen == 0 {
        return Err(ReadError::HeaderOnly { file: files.into_iter().next().unwrap_or_default() });
    }
    if sources.files.iter().any(|file| file.content == Content::Orders) {
        let mut seen = vec![false; schema.columns.len()];
        plan.columns.iter().for_each(|column| seen[column.position] = column.seen_in_orders.load(Ordering::Relaxed));
        refuse_unseen_of(&plan, &seen, &files)?;
    }
    refuse_too_many(&rejections, n_rows_seen, options, &files)?;
    let kind_position = plan.kind.map(|kind| plan.columns[kind].position);
    table.columns = vec![ColumnData::Absent; schema.columns.len()];
    let join_columns = || {
        let columns = plan.columns.into_par_iter().zip(by_column);
        let seen = columns.filter(|(column, _)| column.seen.load(Ordering::Relaxed));
        seen.map(|(column, parts)| (column.position, join(column, parts, n_rows))).collect()
    };
    let join_places = || {
        let (mut source, mut line) = (Vec::with_capacity(n_rows), Vec::with_capacity(n_rows));
        for (file, lines) in places {
            source.extend(std::iter::repeat_n(file, lines.len()));
            lines.write(&mut line);
        }
        (source, line)
    };
    let (filled, (source, line)): (Vec<(usize, ColumnData)>, _) = rayon::join(join_columns, join_places);
    (table.source, table.line) = (source, line);
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
