//! What occurs in a shop's data: which kinds of events, and which columns are filled on them.

use super::vocabulary::{MIN_LEVEL_ORDERS, is_personal};
use crate::kind::EventKind;
use crate::schema::Schema;
use crate::table::{ColumnData, EventTable, MISSING_CODE, MISSING_I64, OrderTable, TextColumn};

/// The kinds of events that occur, and what is filled on them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    kinds: Vec<KindSeen>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct KindSeen {
    kind: EventKind,
    n_events: usize,
    /// One per column of the schema.
    columns: Vec<ColumnSeen>,
}

/// What is in a column on events of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnSeen {
    /// Number of events with a value.
    pub n_filled: usize,
    /// Number of different texts; 0 for columns of another type.
    pub n_distinct: usize,
    /// Of a category, the levels of at least [`MIN_LEVEL_ORDERS`] events that are no personal data, the most frequent first.
    pub levels: Vec<String>,
}

impl Observed {
    /// Looks at the rows of `orders` in `fit_rows` (the training part), and at those of the other events. O(rows * columns).
    pub fn new(schema: &Schema, orders: &OrderTable, fit_rows: &[u32], events: Option<(&EventTable, &[u32])>) -> Self {
        let mut kinds = vec![KindSeen::new(schema, EventKind::Order, orders, fit_rows)];
        if let Some((events, rows)) = events {
            for kind in EventKind::ALL.into_iter().filter(|kind| *kind != EventKind::Order) {
                let of_kind = |row: &u32| events.kinds[*row as usize] == kind;
                let rows: Vec<u32> = rows.iter().copied().filter(of_kind).collect();
                if !rows.is_empty() {
                    kinds.push(KindSeen::new(schema, kind, &events.table, &rows));
                }
            }
        }
        Self { kinds }
    }

    /// Data in which every column is filled on every event of these kinds and on orders, with these levels in the
    /// categories: what a catalogue for data that are still to come is made from.
    pub fn everything(schema: &Schema, kinds: &[EventKind], levels: &[(&str, &[&str])]) -> Self {
        let column = |name: &str| {
            let levels = levels.iter().find(|(column, _)| *column == name).map_or(&[][..], |(_, levels)| levels);
            ColumnSeen { n_filled: 1, n_distinct: 2, levels: levels.iter().map(|level| (*level).to_owned()).collect() }
        };
        let columns: Vec<ColumnSeen> = schema.columns.iter().map(|c| column(&c.name)).collect();
        let wanted = |kind: &EventKind| *kind == EventKind::Order || kinds.contains(kind);
        let seen = |kind| KindSeen { kind, n_events: 1, columns: columns.clone() };
        Self { kinds: EventKind::ALL.into_iter().filter(wanted).map(seen).collect() }
    }

    /// The kinds that occur, orders among them.
    pub fn kinds(&self) -> impl Iterator<Item = EventKind> {
        self.kinds.iter().map(|seen| seen.kind)
    }

    /// Number of events of a kind.
    pub fn n_events(&self, kind: EventKind) -> usize {
        self.seen(kind).map_or(0, |seen| seen.n_events)
    }

    /// What is in the column at that position of the schema on events of that kind; nothing where the kind does not occur.
    pub fn column(&self, kind: EventKind, column: usize) -> Option<&ColumnSeen> {
        self.seen(kind)?.columns.get(column)
    }

    /// Whether any event of the kind has a value in the column.
    pub fn is_filled(&self, kind: EventKind, column: usize) -> bool {
        self.column(kind, column).is_some_and(|seen| seen.n_filled > 0)
    }

    fn seen(&self, kind: EventKind) -> Option<&KindSeen> {
        self.kinds.iter().find(|seen| seen.kind == kind)
    }
}

impl KindSeen {
    fn new(schema: &Schema, kind: EventKind, table: &OrderTable, rows: &[u32]) -> Self {
        let columns = schema.columns.iter().zip(&table.columns);
        let columns = columns.map(|(column, data)| ColumnSeen::new(data, rows, column.role.is_category())).collect();
        Self { kind, n_events: rows.len(), columns }
    }
}

impl ColumnSeen {
    fn new(data: &ColumnData, rows: &[u32], is_category: bool) -> Self {
        let count = |filled: &dyn Fn(usize) -> bool| Self {
            n_filled: rows.iter().filter(|row| filled(**row as usize)).count(),
            ..Self::default()
        };
        match data {
            ColumnData::Absent => Self::default(),
            ColumnData::Number(values) => count(&|row| !values[row].is_nan()),
            ColumnData::Amount(values) | ColumnData::Time(values) => count(&|row| values[row] != MISSING_I64),
            ColumnData::Label(values) => count(&|row| values[row] >= 0),
            ColumnData::Text(text) => Self::of_text(text, rows, is_category),
        }
    }

    fn of_text(text: &TextColumn, rows: &[u32], is_category: bool) -> Self {
        let mut counts = vec![0_u32; text.levels.len()];
        let mut n_filled = 0;
        for &row in rows {
            let code = text.codes[row as usize];
            if code != MISSING_CODE {
                counts[code as usize] += 1;
                n_filled += 1;
            }
        }
        let n_distinct = counts.iter().filter(|count| **count > 0).count();
        let mut levels: Vec<(u32, &str)> = Vec::new();
        if is_category {
            let frequent = |(count, level): &(u32, &str)| *count as usize >= MIN_LEVEL_ORDERS && !is_personal(level);
            levels.extend(counts.into_iter().zip(text.levels.iter()).filter(frequent));
            levels.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
        }
        Self { n_filled, n_distinct, levels: levels.into_iter().map(|(_, level)| level.to_owned()).collect() }
    }
}
