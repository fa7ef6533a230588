//! What is done with the cells of each column: from texts to typed values, one block and column at a time, and from the
//! blocks' values to the column of the table.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use orderguard_features::kind::EventKind;
use orderguard_features::parse::{self, TimeParser, is_missing};
use orderguard_features::schema::{Available, Role, Schema};
use orderguard_features::table::{ColumnData, MISSING_CODE, MISSING_I64};

use crate::delimited;
use crate::error::ReadError;
use crate::intern::{Cache, Full, SharedInterner};
use crate::read::ReadOptions;
use crate::rejection::RejectReason;
use crate::source::Content;

/// What is done with the cells of each column that is used.
pub(crate) struct Plan {
    pub(crate) columns: Vec<Planned>,
    pub(crate) by_name: HashMap<Arc<str>, usize, foldhash::fast::FixedState>,
    /// The planned column that says what kind of event a row is.
    pub(crate) kind: Option<usize>,
    /// The planned column that every order must have a value in.
    id: Option<usize>,
    /// The planned column of the time.
    time: Option<usize>,
}

pub(crate) struct Planned {
    pub(crate) position: usize,
    pub(crate) name: Arc<str>,
    pub(crate) role: Role,
    pub(crate) reader: CellReader,
    pub(crate) optional: bool,
    /// Whether any file has the column.
    pub(crate) seen: AtomicBool,
    /// Whether any file of orders has it.
    pub(crate) seen_in_orders: AtomicBool,
    texts: SharedInterner,
}

pub(crate) enum CellReader {
    Number,
    Amount {
        decimals: u8,
    },
    Time {
        /// Of texts.
        text: TimeParser,
        /// Of cells that the file itself calls times.
        typed: TimeParser,
    },
    Label,
    Kind,
    Text,
}

impl Plan {
    pub(crate) fn new(schema: &Schema, options: &ReadOptions) -> Result<Self, ReadError> {
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
                    let text = TimeParser::new(format, &schema.timezone)?;
                    CellReader::Time { typed: text.as_iso(), text }
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
pub(crate) enum Cells {
    Number(Vec<f64>),
    Amount(Vec<i64>),
    Time(Vec<i64>),
    Label(Vec<i8>),
    /// Positions in [`EventKind::ALL`], or [`NO_KIND`].
    Kind(Vec<u8>),
    Text(Vec<u32>),
}

/// Marks a row that does not say its kind.
pub(crate) const NO_KIND: u8 = u8::MAX;

impl Cells {
    pub(crate) fn new(reader: &CellReader, capacity: usize) -> Self {
        match reader {
            CellReader::Number => Self::Number(Vec::with_capacity(capacity)),
            CellReader::Amount { .. } => Self::Amount(Vec::with_capacity(capacity)),
            CellReader::Time { .. } => Self::Time(Vec::with_capacity(capacity)),
            CellReader::Label => Self::Label(Vec::with_capacity(capacity)),
            CellReader::Kind => Self::Kind(Vec::with_capacity(capacity)),
            CellReader::Text => Self::Text(Vec::with_capacity(capacity)),
        }
    }

    pub(crate) fn truncate(&mut self, n: usize) {
        match self {
            Self::Number(values) => values.truncate(n),
            Self::Amount(values) | Self::Time(values) => values.truncate(n),
            Self::Label(values) => values.truncate(n),
            Self::Kind(values) => values.truncate(n),
            Self::Text(values) => values.truncate(n),
        }
    }

    /// Takes the rows at `bad` (sorted, counted from row `from`) out.
    pub(crate) fn remove(&mut self, from: usize, bad: &[u32]) {
        fn remove<T>(values: &mut Vec<T>, from: usize, bad: &[u32]) {
            let (mut row, mut bad) = (0, bad.iter().peekable());
            values.retain(|_| {
                let is_bad = row >= from && bad.next_if(|bad| **bad as usize == row - from).is_some();
                row += 1;
                !is_bad
            });
        }
        match self {
            Self::Number(values) => remove(values, from, bad),
            Self::Amount(values) | Self::Time(values) => remove(values, from, bad),
            Self::Label(values) => remove(values, from, bad),
            Self::Kind(values) => remove(values, from, bad),
            Self::Text(values) => remove(values, from, bad),
        }
    }
}

impl Plan {
    /// Whether a row of a block has what its kind needs.
    pub(crate) fn check_row(&self, cells: &[Cells], row: usize, content: Content) -> Result<(), Refusal> {
        let missing = |column, role| Err(Refusal::Row(column, RejectReason::Missing { role }));
        let said = match self.kind.map(|kind| &cells[kind]) {
            Some(Cells::Kind(kinds)) => kinds[row],
            _ => NO_KIND,
        };
        match kind_of_row(said, content) {
            None => missing(self.kind, Role::Event),
            Some(EventKind::Order) => match self.id.map(|id| (id, &cells[id])) {
                Some((id, Cells::Text(codes))) if codes[row] == MISSING_CODE => missing(Some(id), Role::Id),
                _ => Ok(()),
            },
            Some(_) if self.time.is_none() => missing(None, Role::Time),
            Some(_) => Ok(()),
        }
    }

    pub(crate) fn kind_name(&self) -> Option<String> {
        self.kind.map(|kind| self.columns[kind].name.to_string())
    }
}

impl Planned {
    pub(crate) fn saw(&self, content: Content) {
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
pub(crate) fn kind_of_row(said: u8, content: Content) -> Option<EventKind> {
    match (EventKind::ALL.get(usize::from(said)), content) {
        (Some(&kind), _) => Some(kind),
        (None, Content::Orders) => Some(EventKind::Order),
        (None, Content::Events(kind)) => kind,
    }
}

/// Why a row, or all of them, cannot be taken; with the planned column.
pub(crate) enum Refusal {
    Row(Option<usize>, RejectReason),
    Full(usize),
}

impl Refusal {
    pub(crate) fn at(self, column: usize) -> Self {
        match self {
            Self::Row(_, reason) => Self::Row(Some(column), reason),
            Self::Full(_) => Self::Full(column),
        }
    }
}

impl Planned {
    fn time(&self, parser: &TimeParser, text: &str) -> Result<i64, Refusal> {
        self.checked_time(parser.parse(text))
    }

    /// The time, unless it cannot be read or lacks where one is needed.
    pub(crate) fn checked_time(&self, time: Result<i64, parse::CellError>) -> Result<i64, Refusal> {
        let time = time.map_err(refuse)?;
        if time == MISSING_I64 && self.role == Role::Time && !self.optional {
            return Err(Refusal::Row(None, RejectReason::Missing { role: Role::Time }));
        }
        Ok(time)
    }

    #[inline]
    pub(crate) fn code(&self, cache: &mut Cache, text: &str) -> Result<u32, Refusal> {
        if let Some(number) = parse::small_integer(text) {
            return Ok(SharedInterner::code_of_number(number));
        }
        if is_missing(text) {
            return Ok(MISSING_CODE);
        }
        cache.code(&self.texts, text).map_err(|Full| Refusal::Full(0))
    }
}

fn kind(text: &str) -> Result<u8, Refusal> {
    match EventKind::from_name(text) {
        Some(kind) => Ok(kind as u8),
        None if is_missing(text) => Ok(NO_KIND),
        None => Err(Refusal::Row(None, RejectReason::UnknownKind { n_chars: text.chars().count() })),
    }
}

fn refuse(error: parse::CellError) -> Refusal {
    Refusal::Row(None, RejectReason::Cell(error))
}

/// Appends the value of one cell. `is_typed` says that the file itself calls the cell what its text looks like.
pub(crate) fn push_cell(
    column: &Planned,
    cells: &mut Cells,
    cache: &mut Cache,
    text: &str,
    is_typed: bool,
) -> Result<(), Refusal> {
    match (&column.reader, cells) {
        (CellReader::Number, Cells::Number(values)) => values.push(parse::number(text).map_err(refuse)?),
        (CellReader::Amount { decimals }, Cells::Amount(values)) => {
            values.push(parse::amount(text, *decimals).map_err(refuse)?);
        }
        (CellReader::Time { text: parser, typed }, Cells::Time(values)) => {
            values.push(column.time(if is_typed { typed } else { parser }, text)?);
        }
        (CellReader::Label, Cells::Label(values)) => values.push(parse::label(text).map_err(refuse)?),
        (CellReader::Kind, Cells::Kind(values)) => values.push(kind(text)?),
        (_, Cells::Text(values)) => values.push(column.code(cache, text)?),
        // `Cells::new` made the cells for this reader.
        _ => {}
    }
    Ok(())
}

/// Texts of one column in some rows.
pub(crate) struct Texts<'a> {
    /// What the rows stand in.
    pub(crate) whole: &'a str,
    pub(crate) n_rows: usize,
    /// Where each row starts.
    pub(crate) starts: &'a [u32],
    /// Where the fields end, row by row.
    pub(crate) ends: &'a [u32],
    pub(crate) n_fields: usize,
    /// The column's; `None` where the file lacks it.
    pub(crate) field: Option<usize>,
}

/// Cells of one column as texts.
pub(crate) trait CellTexts {
    fn n_rows(&self) -> usize;

    /// The text of a row's cell, empty where there is none; written to `scratch` where it does not stand in memory.
    fn get<'s>(&'s self, row: usize, scratch: &'s mut String) -> &'s str;
}

impl CellTexts for Texts<'_> {
    fn n_rows(&self) -> usize {
        self.n_rows
    }

    #[inline]
    fn get<'s>(&'s self, row: usize, scratch: &'s mut String) -> &'s str {
        let Some(field) = self.field else { return "" };
        let at = row * self.n_fields + field;
        let start = if field == 0 { self.starts[row] } else { self.ends[at - 1] + 1 };
        delimited::text(&self.whole[start as usize..self.ends[at] as usize], scratch)
    }
}

/// Appends the values of some rows. A cell that cannot be read gets any value, and its row is added to `bad`.
pub(crate) fn push_cells(
    column: &Planned,
    cells: &mut Cells,
    cache: &mut Cache,
    texts: &impl CellTexts,
    bad: &mut Vec<u32>,
) {
    match (&column.reader, cells) {
        (CellReader::Number, Cells::Number(values)) => read_into(values, texts, bad, |text| parse::number(text).ok()),
        (CellReader::Amount { decimals }, Cells::Amount(values)) => {
            read_into(values, texts, bad, |text| parse::amount(text, *decimals).ok());
        }
        (CellReader::Time { text: parser, .. }, Cells::Time(values)) => {
            read_into(values, texts, bad, |text| column.time(parser, text).ok());
        }
        (CellReader::Label, Cells::Label(values)) => read_into(values, texts, bad, |text| parse::label(text).ok()),
        (CellReader::Kind, Cells::Kind(values)) => read_into(values, texts, bad, |text| kind(text).ok()),
        (_, Cells::Text(values)) => read_into(values, texts, bad, |text| column.code(cache, text).ok()),
        // `Cells::new` made the cells for this reader.
        _ => {}
    }
}

fn read_into<T: Default>(
    values: &mut Vec<T>,
    texts: &impl CellTexts,
    bad: &mut Vec<u32>,
    mut read: impl FnMut(&str) -> Option<T>,
) {
    let mut scratch = String::new();
    extend(values, texts.n_rows(), bad, |row| read(texts.get(row, &mut scratch)));
}

/// Appends `value(row)` of `n_rows` rows; of those that have none, any value, and the row to `bad`.
pub(crate) fn extend<T: Default>(
    values: &mut Vec<T>,
    n_rows: usize,
    bad: &mut Vec<u32>,
    mut value: impl FnMut(usize) -> Option<T>,
) {
    values.extend((0..n_rows).map(|row| {
        value(row).unwrap_or_else(|| {
            bad.push(row as u32);
            T::default()
        })
    }));
}

/// Puts the parts of a column behind one another.
pub(crate) fn join(column: Planned, parts: Vec<Cells>, n_rows: usize) -> ColumnData {
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
        CellReader::Time { .. } => concat!(Time),
        CellReader::Label => concat!(Label),
        // Kinds stand beside the columns.
        CellReader::Kind => ColumnData::Absent,
        CellReader::Text => {
            let codes = |part| if let Cells::Text(codes) = part { codes } else { Vec::new() };
            let parts: Vec<Vec<u32>> = parts.into_iter().map(codes).collect();
            ColumnData::Text(column.texts.renumber(&parts, n_rows))
        }
    }
}
