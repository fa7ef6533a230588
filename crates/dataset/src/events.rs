//! Orders and other events that were read together, as two tables.

use orderguard_features::kind::EventKind;
use orderguard_features::table::{ColumnData, EventTable, Levels, MISSING_CODE, OrderTable, TextColumn};
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
        assert_eq!((events.table.n_rows, events.table.source, events.table.line), (3, vec![0, 0, 1], vec![2, 4, 3]));

        let (orders, events) = split_off_events(table, &[EventKind::Order; 5], None);
        assert_eq!((orders.n_rows, events.table.n_rows, events.table.columns.len()), (5, 0, 3));
    }
}
