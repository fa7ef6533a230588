//! Orders and other events that were read together, as two tables; and when the shop says that it knew of them.

use std::iter::Sum;

use orderguard_features::kind::EventKind;
use orderguard_features::schema::{Role, Schema};
use orderguard_features::table::{ColumnData, EventTable, Levels, MISSING_CODE, MISSING_I64, OrderTable, TextColumn};
use orderguard_features::time::Span;
use rayon::prelude::*;

/// Splits a table into the rows that are orders and the others. `kinds` has one entry per row; `kind_column` is the position
/// of the column that said them: in the table of events it holds their names, in that of orders it stays absent.
///
/// Rows keep their order. Each text column keeps only the texts of its own rows, in the order of their first appearance.
/// O(cells), one column at a time and thread in memory twice.
pub(crate) fn split_off_events(
    mut table: OrderTable,
    kinds: &[EventKind],
    kind_column: Option<usize>,
) -> (OrderTable, EventTable) {
    let n_orders = kinds.iter().filter(|&&kind| kind == EventKind::Order).count();
    let mut events = EventTable {
        kinds: kinds.iter().copied().filter(|&kind| kind != EventKind::Order).collect(),
        ..EventTable::default()
    };
    events.table.n_rows = kinds.len() - n_orders;
    if events.table.n_rows == 0 {
        let nothing = |column: &ColumnData| column_of(column, &[], true);
        events.table.columns = table.columns.iter().map(nothing).collect();
    } else {
        let columns = std::mem::take(&mut table.columns).into_par_iter();
        let split = |column: ColumnData| (column_of(&column, kinds, false), column_of(&column, kinds, true));
        (table.columns, events.table.columns) = columns.map(split).unzip();
        (table.source, events.table.source) = both(&table.source, kinds);
        (table.line, events.table.line) = both(&table.line, kinds);
        table.n_rows = n_orders;
    }
    if let Some(column) = kind_column {
        let mut levels = Levels::default();
        for kind in EventKind::ALL {
            levels.push(kind.name());
        }
        let codes = events.kinds.iter().map(|&kind| kind as u32).collect();
        events.table.columns[column] = ColumnData::Text(TextColumn { codes, levels });
    }
    (table, events)
}

/// Keeps the events for which `keep` says so of their row. O(cells).
pub fn keep_events(events: &mut EventTable, keep: impl Fn(usize) -> bool) {
    let table = &mut events.table;
    let kept: Vec<bool> = table.rows().map(keep).collect();
    let n_kept = kept.iter().filter(|&&kept| kept).count();
    if n_kept == table.n_rows {
        return;
    }
    for column in &mut table.columns {
        match column {
            ColumnData::Absent => {}
            ColumnData::Number(values) => filter(values, &kept),
            ColumnData::Amount(values) | ColumnData::Time(values) => filter(values, &kept),
            ColumnData::Label(values) => filter(values, &kept),
            ColumnData::Text(text) => filter(&mut text.codes, &kept),
        }
    }
    filter(&mut table.source, &kept);
    filter(&mut table.line, &kept);
    filter(&mut events.kinds, &kept);
    table.n_rows = n_kept;
}

fn filter<T: Copy>(values: &mut Vec<T>, kept: &[bool]) {
    let mut row = 0;
    values.retain(|_| {
        row += 1;
        kept[row - 1]
    });
}

/// From this much time between an event and its arrival on, the arrival looks like a clock that jumped.
const LATE_ARRIVAL: Span = Span::days(90);

/// What the column of arrivals (`known_at`) says that it should not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrivals {
    /// Rows known before they happened: the time of the event counts.
    pub n_before: u64,
    /// Rows known 90 days after they happened or later: history learns them then.
    pub n_late: u64,
}

impl Arrivals {
    /// Counts the rows of a table. O(rows).
    pub fn of(table: &OrderTable, schema: &Schema) -> Self {
        let times = |role| match schema.find(role).map(|column| &table.columns[column]) {
            Some(ColumnData::Time(times)) => times.as_slice(),
            _ => &[],
        };
        Self::between(times(Role::Time), times(Role::KnownAt))
    }

    /// Counts rows by their times and arrivals.
    pub(crate) fn between(times: &[i64], arrivals: &[i64]) -> Self {
        let mut counts = Self::default();
        for (&known, &time) in arrivals.iter().zip(times) {
            if known != MISSING_I64 && time != MISSING_I64 {
                counts.n_before += u64::from(known < time);
                counts.n_late += u64::from(known.saturating_sub(time) >= LATE_ARRIVAL.0);
            }
        }
        counts
    }

    /// What a reader should know.
    pub fn notes(self) -> impl Iterator<Item = String> {
        let before = (self.n_before > 0).then(|| {
            format!(
                "{} rows were known before they happened, as they say: they count as known when they happened",
                self.n_before
            )
        });
        let late = (self.n_late > 0).then(|| {
            format!(
                "{} rows were known {LATE_ARRIVAL} after they happened or later, as they say: history learns them then",
                self.n_late
            )
        });
        before.into_iter().chain(late)
    }
}

impl Sum for Arrivals {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |a, b| Self { n_before: a.n_before + b.n_before, n_late: a.n_late + b.n_late })
    }
}

fn both<T: Copy>(values: &[T], kinds: &[EventKind]) -> (Vec<T>, Vec<T>) {
    (part_of(values, kinds, false), part_of(values, kinds, true))
}

/// The values of the events, or of the orders.
fn part_of<T: Copy>(values: &[T], kinds: &[EventKind], of_events: bool) -> Vec<T> {
    let chosen = values.iter().zip(kinds).filter(|&(_, &kind)| (kind != EventKind::Order) == of_events);
    chosen.map(|(&value, _)| value).collect()
}

fn column_of(column: &ColumnData, kinds: &[EventKind], of_events: bool) -> ColumnData {
    match column {
        ColumnData::Absent => ColumnData::Absent,
        ColumnData::Number(values) => ColumnData::Number(part_of(values, kinds, of_events)),
        ColumnData::Amount(values) => ColumnData::Amount(part_of(values, kinds, of_events)),
        ColumnData::Time(values) => ColumnData::Time(part_of(values, kinds, of_events)),
        ColumnData::Label(values) => ColumnData::Label(part_of(values, kinds, of_events)),
        ColumnData::Text(text) => {
            let mut codes = part_of(&text.codes, kinds, of_events);
            let mut levels = Levels::default();
            let mut new_code = vec![MISSING_CODE; text.levels.len()];
            for code in codes.iter_mut().filter(|code| **code != MISSING_CODE) {
                let new = &mut new_code[*code as usize];
                if *new == MISSING_CODE {
                    *new = levels.push(text.levels.get(*code));
                }
                *code = *new;
            }
            ColumnData::Text(TextColumn { codes, levels })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_their_order_and_texts_their_rows() {
        let mut levels = Levels::default();
        for text in ["a", "b", "c"] {
            levels.push(text);
        }
        let text = TextColumn { codes: vec![2, 0, MISSING_CODE, 2, 1], levels };
        let table = OrderTable {
            n_rows: 5,
            columns: vec![ColumnData::Text(text), ColumnData::Absent, ColumnData::Amount(vec![1, 2, 3, 4, 5])],
            source: vec![0, 0, 0, 1, 1],
            line: vec![2, 3, 4, 2, 3],
        };
        let kinds = [EventKind::Return, EventKind::Order, EventKind::Login, EventKind::Order, EventKind::Return];
        let (orders, events) = split_off_events(table.clone(), &kinds, Some(1));
        let texts = |table: &OrderTable, column: usize| -> Vec<Option<String>> {
            let ColumnData::Text(text) = &table.columns[column] else { panic!("texts stay texts") };
            table.rows().map(|row| text.get(row).map(str::to_owned)).collect()
        };
        assert_eq!(texts(&orders, 0), [Some("a".into()), Some("c".into())]);
        assert_eq!(texts(&events.table, 0), [Some("c".into()), None, Some("b".into())]);
        assert_eq!(texts(&events.table, 1), ["return", "login", "return"].map(|kind| Some(kind.to_owned())));
        assert!(matches!(orders.columns[1], ColumnData::Absent));
        assert!(matches!(&orders.columns[2], ColumnData::Amount(amounts) if amounts[..] == [2, 4]));
        assert_eq!((orders.n_rows, orders.source, orders.line), (2, vec![0, 1], vec![3, 2]));
        assert_eq!(events.kinds, [EventKind::Return, EventKind::Login, EventKind::Return]);
        assert_eq!((&events.table.source[..], &events.table.line[..]), (&[0, 0, 1][..], &[2, 4, 3][..]));

        let mut kept = events;
        assert_eq!(kept.table.n_rows, 3);
        keep_events(&mut kept, |row| row != 1);
        assert_eq!(texts(&kept.table, 0), [Some("c".into()), Some("b".into())]);
        assert_eq!((kept.table.n_rows, kept.table.line, kept.kinds), (2, vec![2, 3], vec![EventKind::Return; 2]));

        let (orders, events) = split_off_events(table, &[EventKind::Order; 5], None);
        assert_eq!((orders.n_rows, events.table.n_rows, events.table.columns.len()), (5, 0, 3));
    }

    #[test]
    fn arrivals_that_cannot_be_are_counted() {
        let schema = Schema::from_toml(
            "[[column]]\nname = \"a\"\nrole = \"time\"\nformat = \"iso\"\n[[column]]\nname = \"b\"\nrole = \"known_at\"\nformat = \"iso\"",
        )
        .unwrap();
        let times = ColumnData::Time(vec![10, 10, 10, 10, -5]);
        let known = ColumnData::Time(vec![10, 9, MISSING_I64, 10 + Span::days(90).0, i64::MAX]);
        let table = OrderTable { n_rows: 5, columns: vec![times, known], ..OrderTable::default() };
        let counts = Arrivals::of(&table, &schema);
        assert_eq!(counts, Arrivals { n_before: 1, n_late: 2 });
        assert_eq!([counts, counts].into_iter().sum::<Arrivals>().notes().count(), 2);
        assert_eq!(
            Arrivals::of(&OrderTable::default(), &Schema::from_toml("column = []").unwrap()),
            Arrivals::default()
        );
    }
}
