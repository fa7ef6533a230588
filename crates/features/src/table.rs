//! A table of orders as typed columns, the form in which files reach the feature code.

use std::ops::Range;

use crate::kind::EventKind;

/// Marks a missing amount or time in a column of `i64`.
pub const MISSING_I64: i64 = i64::MIN;
/// Marks a missing text in a column of codes.
pub const MISSING_CODE: u32 = u32::MAX;

/// Orders as columns. Row `i` of every column is the same order.
#[derive(Clone, Debug, Default)]
pub struct OrderTable {
    /// Number of rows.
    pub n_rows: usize,
    /// One entry per column of the schema, in its order.
    pub columns: Vec<ColumnData>,
    /// Where each row stood: index of the source file.
    pub source: Vec<u32>,
    /// Where each row stood: 1-based line in its source, counting the header and the lines inside quoted fields.
    pub line: Vec<u64>,
}

/// Events of other kinds than orders, in columns of the same schema. They may lack any value but time and kind.
#[derive(Clone, Debug, Default)]
pub struct EventTable {
    /// The rows; the column of the order's id holds the order that an event is about.
    pub table: OrderTable,
    /// What happened, one per row; never an order.
    pub kinds: Vec<EventKind>,
}

/// The values of one column.
#[derive(Clone, Debug)]
pub enum ColumnData {
    /// Not read: the role is `ignored` or `text`, or the file has no such column.
    Absent,
    /// NaN where missing; never infinite.
    Number(Vec<f64>),
    /// Amounts in the schema's minor unit; [`MISSING_I64`] where missing.
    Amount(Vec<i64>),
    /// Epoch milliseconds; [`MISSING_I64`] where missing.
    Time(Vec<i64>),
    /// Interned text.
    Text(TextColumn),
    /// 1 fraud, 0 honest, -1 unlabelled.
    Label(Vec<i8>),
}

/// Interned text: row `i` holds `levels.get(codes[i])`, missing where the code is [`MISSING_CODE`].
///
/// Levels carry no order and may include ones that no row uses.
#[derive(Clone, Debug, Default)]
pub struct TextColumn {
    /// One code per row.
    pub codes: Vec<u32>,
    /// The distinct texts.
    pub levels: Levels,
}

/// Distinct texts, stored one after the other.
#[derive(Clone, Debug, Default)]
pub struct Levels {
    bytes: String,
    ends: Vec<usize>,
}

impl Levels {
    /// Appends a text and returns its code; does not look whether it is there already.
    pub fn push(&mut self, text: &str) -> u32 {
        self.bytes.push_str(text);
        self.ends.push(self.bytes.len());
        (self.ends.len() - 1) as u32
    }

    /// Number of texts.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The text of a code.
    ///
    /// # Panics
    /// If no text has that code.
    pub fn get(&self, code: u32) -> &str {
        let code = code as usize;
        let start = if code == 0 { 0 } else { self.ends[code - 1] };
        &self.bytes[start..self.ends[code]]
    }

    /// All texts in code order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len() as u32).map(|code| self.get(code))
    }
}

impl TextColumn {
    /// The text of a row, `None` where missing.
    pub fn get(&self, row: usize) -> Option<&str> {
        let code = self.codes[row];
        (code != MISSING_CODE).then(|| self.levels.get(code))
    }
}

impl OrderTable {
    /// The rows as a range, for iteration.
    pub fn rows(&self) -> Range<usize> {
        0..self.n_rows
    }
}
