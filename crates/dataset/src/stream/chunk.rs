//! Records as tables again.

use orderguard_features::kind::EventKind;
use orderguard_features::table::{ColumnData, EventTable, MISSING_CODE, OrderTable, TextColumn};

use super::rows::{HEAD, Layout};
use super::{Source, Survey};
use crate::error::ReadError;
use crate::events::split_off_events;
use crate::intern::{Interner, hash};
use crate::scratch::{Cursor, Merge, from_sortable, u64_at};

/// Rows that became known in a span of time.
pub struct Chunk {
    /// The orders, in no order.
    pub orders: OrderTable,
    /// Other events; `None` where no column says the kind and no file was given as one of events.
    pub events: Option<EventTable>,
    /// When the first row of the next chunk became known; `None` for the last one.
    pub until: Option<i64>,
}

/// Gives rows in chunks, see [`Ordered::chunks`](super::Ordered::chunks).
pub struct Chunks<'a> {
    merge: Merge<Source<'a>>,
    layout: &'a Layout,
    survey: &'a Survey,
    max_rows: usize,
    max_bytes: usize,
    record: Vec<u8>,
}

impl<'a> Chunks<'a> {
    pub(super) fn new(
        cursors: Vec<Source<'a>>,
        layout: &'a Layout,
        survey: &'a Survey,
        max_rows: usize,
        max_bytes: usize,
    ) -> Result<Self, ReadError> {
        let merge = Merge::new(cursors)?;
        Ok(Self { merge, layout, survey, max_rows: max_rows.max(1), max_bytes, record: Vec::new() })
    }

    /// An empty table to which rows of chunks can be added.
    pub fn builder(&self) -> TableBuilder<'a> {
        TableBuilder::new(self.layout, self.survey)
    }

    /// The next chunk; `None` after the last one.
    ///
    /// # Errors
    /// [`ReadError::Scratch`], [`ReadError::Changed`], and whatever is wrong with a file as a whole.
    pub fn next_chunk(&mut self) -> Result<Option<Chunk>, ReadError> {
        let mut builder = self.builder();
        let (mut bytes, mut last) = (0, None);
        while let Some(record) = self.merge.peek() {
            let known_at = from_sortable(record);
            let is_full = builder.kinds.len() >= self.max_rows || bytes >= self.max_bytes;
            if is_full && last != Some(known_at) {
                return Ok(Some(builder.finish(Some(known_at))));
            }
            last = Some(known_at);
            self.merge.next_into(&mut self.record)?;
            bytes += self.record.len();
            builder.push(&self.record);
        }
        Ok((!builder.kinds.is_empty()).then(|| builder.finish(None)))
    }
}

/// A table that grows row by row.
pub struct TableBuilder<'a> {
    layout: &'a Layout,
    survey: &'a Survey,
    columns: Vec<ColumnData>,
    texts: Vec<Interner>,
    source: Vec<u32>,
    line: Vec<u64>,
    kinds: Vec<EventKind>,
    record: Vec<u8>,
}

/// Reads cells off a record.
struct CellsOf<'r>(&'r [u8]);

impl<'r> CellsOf<'r> {
    fn take(&mut self, n: usize) -> &'r [u8] {
        let (cell, rest) = self.0.split_at(n);
        self.0 = rest;
        cell
    }
}

impl<'a> TableBuilder<'a> {
    fn new(layout: &'a Layout, survey: &'a Survey) -> Self {
        let columns = layout.columns.clone();
        let texts = columns.iter().map(|_| Interner::default()).collect();
        let (source, line, kinds) = (Vec::new(), Vec::new(), Vec::new());
        Self { layout, survey, columns, texts, source, line, kinds, record: Vec::new() }
    }

    fn push(&mut self, record: &[u8]) {
        self.source.push(u32::from_be_bytes(record[8..12].try_into().expect("four bytes")));
        self.line.push(u64_at(&record[12..]));
        self.kinds.push(EventKind::ALL[usize::from(record[20])]);
        let mut cells = CellsOf(&record[HEAD..]);
        for (column, texts) in self.columns.iter_mut().zip(&mut self.texts) {
            match column {
                ColumnData::Absent => {}
                ColumnData::Number(values) => values.push(f64::from_bits(u64_at(cells.take(8)))),
                ColumnData::Amount(values) | ColumnData::Time(values) => values.push(u64_at(cells.take(8)) as i64),
                ColumnData::Label(values) => values.push(cells.take(1)[0] as i8),
                ColumnData::Text(text) => {
                    let len = u32::from_be_bytes(cells.take(4).try_into().expect("four bytes"));
                    let code = match len.checked_sub(1) {
                        None => MISSING_CODE,
                        Some(len) => {
                            // They were texts when they were written.
                            let text = String::from_utf8_lossy(cells.take(len as usize));
                            texts.intern(hash(&text), &text).0
                        }
                    };
                    text.codes.push(code);
                }
            }
        }
    }

    /// Adds the row of a chunk's orders.
    pub fn add_order(&mut self, orders: &OrderTable, row: usize) {
        self.add(orders, row, EventKind::Order);
    }

    /// Adds the row of a chunk's events.
    pub fn add_event(&mut self, events: &EventTable, row: usize) {
        self.add(&events.table, row, events.kinds[row]);
    }

    fn add(&mut self, table: &OrderTable, row: usize, kind: EventKind) {
        let mut record = std::mem::take(&mut self.record);
        self.layout.encode_table(table, row, kind, &mut record);
        self.push(&record);
        self.record = record;
    }

    /// The rows as a chunk.
    pub fn finish(self, until: Option<i64>) -> Chunk {
        let Self { layout, survey, columns, texts, source, line, kinds, .. } = self;
        let with_texts = |((column, texts), seen): ((ColumnData, Interner), &bool)| match column {
            // No file has it.
            _ if !seen => ColumnData::Absent,
            ColumnData::Text(text) => ColumnData::Text(TextColumn { codes: text.codes, levels: texts.into_levels() }),
            column => column,
        };
        let columns = columns.into_iter().zip(texts).zip(&survey.seen).map(with_texts).collect();
        let table = OrderTable { n_rows: kinds.len(), columns, source, line };
        if !survey.has_kinds {
            return Chunk { orders: table, events: None, until };
        }
        let (orders, events) = split_off_events(table, &kinds, layout.kind_column);
        Chunk { orders, events: Some(events), until }
    }
}
