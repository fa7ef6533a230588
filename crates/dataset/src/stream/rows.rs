//! The rows of one block as typed columns, and as records that sort by time.
//!
//! ```text
//! record   known at (8) | file (4) | line (8) | kind (1) | cells      all big-endian
//! cell     number, amount, time: 8 | label: 1 | text: length + 1 (4), 0 where missing, then its bytes
//! ```

use orderguard_features::kind::EventKind;
use orderguard_features::schema::{Role, Schema};
use orderguard_features::table::{ColumnData, MISSING_I64, OrderTable};

use crate::blocks::Block;
use crate::columns::{Cells, NO_KIND, Plan, join, kind_of_row};
use crate::error::ReadError;
use crate::read::ReadOptions;
use crate::rejection::{RejectReason, Rejection, Rejections};
use crate::rows::{Ending, Worker};
use crate::scratch::sortable;
use crate::source::{Content, Sources};

/// Bytes of a record before its cells.
pub(super) const HEAD: usize = 21;

/// The rows of a block.
pub(super) struct Rows {
    pub(super) file: u32,
    pub(super) lines: Vec<u64>,
    /// One per column of the schema; absent where nothing is read.
    pub(super) columns: Vec<ColumnData>,
    pub(super) kinds: Vec<EventKind>,
    pub(super) rejections: Rejections,
    pub(super) ending: Ending,
    /// Per planned column: its position, whether it was there, and whether it was in a file of orders.
    pub(super) seen: Vec<(usize, bool, bool)>,
    time: Option<usize>,
    known: Option<usize>,
}

impl Rows {
    /// Reads a block by itself: its texts are numbered by themselves, so that their memory is given back with it.
    pub(super) fn parse(
        block: &Block,
        sources: &Sources,
        schema: &Schema,
        options: &ReadOptions,
    ) -> Result<Self, ReadError> {
        use std::sync::atomic::Ordering::Relaxed;
        let plan = Plan::new(schema, options)?;
        let part = Worker::new(&plan, sources).read(block)?;
        let content = sources.files[part.file as usize].content;
        let n_rows = part.lines.len();
        let kind = |said| kind_of_row(said, content).unwrap_or_default();
        let kinds = match plan.kind.map(|kind| &part.cells[kind]) {
            Some(Cells::Kind(said)) => said.iter().map(|&said| kind(said)).collect(),
            _ => vec![kind(NO_KIND); n_rows],
        };
        let mut lines = Vec::with_capacity(n_rows);
        part.lines.write(&mut lines);
        let seen = plan.columns.iter().map(|c| (c.position, c.seen.load(Relaxed), c.seen_in_orders.load(Relaxed)));
        let seen = seen.collect();
        let mut columns = vec![ColumnData::Absent; schema.columns.len()];
        for (column, cells) in plan.columns.into_iter().zip(part.cells) {
            let position = column.position;
            columns[position] = join(column, vec![cells], n_rows);
        }
        Ok(Self {
            file: part.file,
            lines,
            columns,
            kinds,
            rejections: part.rejections,
            ending: part.ending,
            seen,
            time: schema.find(Role::Time),
            known: schema.find(Role::KnownAt),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// When a row happened.
    pub(super) fn time(&self, row: usize) -> i64 {
        self.in_column(self.time, row).unwrap_or(0)
    }

    /// When the shop knew of a row: never before it happened.
    pub(super) fn known_at(&self, row: usize) -> i64 {
        // A missing one is the smallest number there is.
        self.in_column(self.known, row).unwrap_or(MISSING_I64).max(self.time(row))
    }

    fn in_column(&self, column: Option<usize>, row: usize) -> Option<i64> {
        match column.map(|column| &self.columns[column]) {
            Some(ColumnData::Time(times)) => Some(times[row]),
            _ => None,
        }
    }

    /// Rejects the cut last row of the file, if it stands here.
    pub(super) fn drop_cut(&mut self, cut: &[Option<u64>]) {
        let Some(line) = cut[self.file as usize].filter(|&line| self.ending.suspect == Some(line)) else { return };
        if self.lines.last() == Some(&line) {
            self.lines.pop();
            self.kinds.pop();
            self.columns.iter_mut().for_each(pop);
        } else {
            self.rejections.pop();
        }
        self.rejections.push(Rejection {
            source: self.file,
            line,
            in_rows: false,
            column: None,
            reason: RejectReason::FileEndsInside,
        });
    }

    /// About how many bytes they take.
    pub(super) fn memory(&self) -> usize {
        let cells: usize = self.columns.iter().map(column_bytes).sum();
        cells + self.len() * (8 + 1 + 16)
    }
}

/// Bytes of a column in memory.
pub(super) fn column_bytes(column: &ColumnData) -> usize {
    match column {
        ColumnData::Absent => 0,
        ColumnData::Number(values) => values.len() * 8,
        ColumnData::Amount(values) | ColumnData::Time(values) => values.len() * 8,
        ColumnData::Label(values) => values.len(),
        ColumnData::Text(text) => {
            let texts: usize = text.levels.iter().map(|level| level.len() + 8).sum();
            text.codes.len() * 4 + texts
        }
    }
}

fn pop(column: &mut ColumnData) {
    match column {
        ColumnData::Absent => {}
        ColumnData::Number(values) => drop(values.pop()),
        ColumnData::Amount(values) | ColumnData::Time(values) => drop(values.pop()),
        ColumnData::Label(values) => drop(values.pop()),
        ColumnData::Text(text) => drop(text.codes.pop()),
    }
}

/// What the cells of a record are.
pub(super) struct Layout {
    /// Empty columns of the types that are read.
    pub(super) columns: Vec<ColumnData>,
    /// The column that says kinds, in the schema.
    pub(super) kind_column: Option<usize>,
}

impl Layout {
    pub(super) fn new(schema: &Schema, options: &ReadOptions) -> Result<Self, ReadError> {
        let plan = Plan::new(schema, options)?;
        let kind_column = plan.kind.map(|kind| plan.columns[kind].position);
        let mut columns = vec![ColumnData::Absent; schema.columns.len()];
        for column in plan.columns {
            let position = column.position;
            columns[position] = join(column, Vec::new(), 0);
        }
        Ok(Self { columns, kind_column })
    }

    /// The record of a row of a table that was read with this layout; columns that it lacks are missing.
    pub(super) fn encode_table(&self, table: &OrderTable, row: usize, kind: EventKind, record: &mut Vec<u8>) {
        record.clear();
        record.extend([0; 8]);
        record.extend(table.source[row].to_be_bytes());
        record.extend(table.line[row].to_be_bytes());
        record.push(kind as u8);
        for (position, (column, layout)) in table.columns.iter().zip(&self.columns).enumerate() {
            match (column, layout) {
                _ if Some(position) == self.kind_column => {}
                (ColumnData::Absent, ColumnData::Absent) => {}
                (ColumnData::Absent, ColumnData::Number(_)) => record.extend(f64::NAN.to_bits().to_be_bytes()),
                (ColumnData::Absent, ColumnData::Amount(_) | ColumnData::Time(_)) => {
                    record.extend(MISSING_I64.to_be_bytes());
                }
                (ColumnData::Absent, ColumnData::Label(_)) => record.push(u8::MAX),
                (ColumnData::Absent, ColumnData::Text(_)) => record.extend([0; 4]),
                _ => encode_cells(std::slice::from_ref(column), row, record),
            }
        }
    }
}

/// The record of a row.
pub(super) fn encode(rows: &Rows, row: usize, record: &mut Vec<u8>) {
    record.clear();
    record.extend(sortable(rows.known_at(row)));
    record.extend(rows.file.to_be_bytes());
    record.extend(rows.lines[row].to_be_bytes());
    record.push(rows.kinds[row] as u8);
    encode_cells(&rows.columns, row, record);
}

fn encode_cells(columns: &[ColumnData], row: usize, record: &mut Vec<u8>) {
    for column in columns {
        match column {
            ColumnData::Absent => {}
            ColumnData::Number(values) => record.extend(values[row].to_bits().to_be_bytes()),
            ColumnData::Amount(values) | ColumnData::Time(values) => record.extend(values[row].to_be_bytes()),
            ColumnData::Label(values) => record.push(values[row] as u8),
            ColumnData::Text(text) => match text.get(row) {
                None => record.extend([0; 4]),
                Some(text) => {
                    record.extend((text.len() as u32 + 1).to_be_bytes());
                    record.extend(text.as_bytes());
                }
            },
        }
    }
}

/// Whether the rows of a file are orders where they do not say it.
pub(super) fn is_of_orders(content: Content) -> bool {
    content == Content::Orders
}
