//! Labels that arrive in a file of their own, joined onto the orders by order id.

use std::collections::HashMap;
use std::fmt;

use orderguard_features::schema::{Role, Schema};
use orderguard_features::table::{ColumnData, MISSING_CODE, MISSING_I64, OrderTable, TextColumn};
use orderguard_features::time::Span;

use super::settle::{Settled, drop_conflicting, settle};
use super::{LabelChange, OrderLabels, due};

/// A file of labels is a list of frauds when at most this share of the orders in it are never called fraud there. Of a
/// list with both classes it is about the share of honest orders, of a list of chargebacks nothing but slips.
const MAX_HONEST_IN_FRAUD_LIST: f64 = 0.01;

/// What joining a file of labels found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JoinCounts {
    /// Rows of the file of labels.
    pub n_rows: u64,
    /// Rows whose order is in the data.
    pub n_matched: u64,
    /// Rows whose order is not in the data, or that name none.
    pub n_unmatched: u64,
    /// Rows without a label, which say nothing.
    pub n_empty: u64,
    /// Orders with both labels at the same time: neither is taken, what was known before stays.
    pub n_conflicting: u64,
    /// Orders that had a label and now have another one.
    pub n_changed: u64,
    /// Orders that were unlabelled and now have a label.
    pub n_newly_labelled: u64,
    /// Rows whose label time is missing or lies before the order: order time + label delay was taken.
    pub n_without_time: u64,
    /// Orders that the file does not name and that have no label of their own, before the next rule.
    pub n_unnamed: u64,
    /// Of them, those taken as honest, because the file holds only frauds and the orders' own table no label.
    pub n_taken_as_honest: u64,
    /// All orders.
    pub n_orders: u64,
}

/// What the user should know about orders that a file of labels does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoinNote {
    /// The file holds only frauds: the other orders are honest.
    FraudList {
        /// Orders taken as honest.
        n_taken_as_honest: u64,
    },
    /// Most orders have no label at all.
    MostUnnamed {
        /// Orders that the file does not name and that have no label of their own.
        n_unnamed: u64,
        /// All orders.
        n_orders: u64,
    },
}

impl fmt::Display for JoinNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FraudList { n_taken_as_honest } => write!(
                f,
                "the label file holds only frauds: the {n_taken_as_honest} orders without a row in it are taken as honest once their label is due"
            ),
            Self::MostUnnamed { n_unnamed, n_orders } => write!(
                f,
                "{n_unnamed} of {n_orders} orders have no row in the label file, which holds both classes: they stay unlabelled"
            ),
        }
    }
}

impl JoinCounts {
    /// What the user should know about orders that the file does not name.
    pub fn note(&self) -> Option<JoinNote> {
        let Self { n_unnamed, n_taken_as_honest, n_orders, .. } = *self;
        if n_taken_as_honest > 0 {
            Some(JoinNote::FraudList { n_taken_as_honest })
        } else {
            (2 * n_unnamed > n_orders).then_some(JoinNote::MostUnnamed { n_unnamed, n_orders })
        }
    }
}

impl fmt::Display for JoinCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} labels: {} matched an order, {} did not, {} empty, {} orders with conflicting ones, {} changed, {} newly labelled",
            self.n_rows,
            self.n_matched,
            self.n_unmatched,
            self.n_empty,
            self.n_conflicting,
            self.n_changed,
            self.n_newly_labelled
        )
    }
}

/// Labels that cannot be joined.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoinError {
    /// A column that the join needs is not there.
    ColumnMissing {
        /// In the orders or in the labels.
        table: &'static str,
        /// The role.
        role: Role,
    },
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ColumnMissing { table, role } => {
                write!(f, "labels: expected a column with the role {role} in the {table}, found none")
            }
        }
    }
}

impl std::error::Error for JoinError {}

/// Joins labels that arrived later onto the orders by order id.
///
/// `ids` and `times` hold one entry per order; `table` is the file of labels read with `schema`, a schema as
/// [`infer_labels`](crate::infer::infer_labels) proposes it (`id`, `label`, and `time` for when the label was learned).
///
/// All statements about an order are put in the order of their times; the latest holds, and a fraud that turns honest is
/// a reversal at that time. What the orders' own table says has the time it gave; where it gave none (the label time is
/// the due time), it yields to what the file says. Two different labels at one time contradict each other:
/// neither is taken. All orders with one id are labelled. The result does not depend on the order of rows.
///
/// An order without a row in the file keeps what its own table says. Where that table labels no order at all and the file
/// holds (almost) only frauds, as a list of chargebacks does, the orders without a row are honest, known when due, and all
/// orders count as labelled at any time: such a list says of every order, by naming it or not, what it is. A file with both
/// classes says nothing about the others.
///
/// # Panics
/// If lengths differ: a caller's bug, never caused by data.
pub fn join_labels(
    orders: OrderLabels,
    ids: &TextColumn,
    times: &[i64],
    table: &OrderTable,
    schema: &Schema,
    label_delay: Span,
) -> Result<(OrderLabels, JoinCounts), JoinError> {
    assert_eq!(orders.label.len(), ids.codes.len(), "one id per order");
    assert_eq!(orders.label.len(), times.len(), "one time per order");
    let column = |role| schema.find(role).and_then(|i| table.columns.get(i));
    let missing = |role| JoinError::ColumnMissing { table: "labels", role };
    let Some(ColumnData::Text(label_ids)) = column(Role::Id) else { return Err(missing(Role::Id)) };
    let Some(ColumnData::Label(new_labels)) = column(Role::Label) else { return Err(missing(Role::Label)) };
    let learned = match column(Role::Time).or_else(|| column(Role::LabelTime)) {
        Some(ColumnData::Time(learned)) => Some(learned.as_slice()),
        _ => None,
    };

    let mut counts = JoinCounts { n_rows: table.n_rows as u64, ..JoinCounts::default() };
    // Rows of the file of labels by id; two codes may carry the same text.
    let mut rows_of: RowsOf<'_> = HashMap::default();
    for row in table.rows() {
        if let Some(id) = label_ids.get(row) {
            rows_of.entry(id).or_default().push(row as u32);
        }
    }
    let by_code: Vec<Option<&Vec<u32>>> = ids.levels.iter().map(|id| rows_of.get(id)).collect();

    let OrderLabels { mut label, mut label_time, mut known_from, changes } = orders;
    let mut matched = vec![false; table.n_rows];
    let has_own_labels = label.iter().any(|&label| label >= 0);
    let mut is_joined = vec![false; label.len()];
    let mut is_named = vec![false; label.len()];
    let mut joined_changes = Vec::new();
    let mut statements: Vec<(i64, bool)> = Vec::new();
    for row in 0..label.len() {
        let code = ids.codes[row];
        let Some(found) = (code != MISSING_CODE).then(|| by_code[code as usize]).flatten() else { continue };
        is_named[row] = true;
        statements.clear();
        for &label_row in found {
            let fraud = new_labels[label_row as usize];
            matched[label_row as usize] = true;
            if fraud < 0 {
                continue;
            }
            let given = learned.map_or(MISSING_I64, |learned| learned[label_row as usize]);
            let is_given = given != MISSING_I64 && given >= times[row];
            counts.n_without_time += u64::from(!is_given);
            let time = if is_given { given } else { due(times[row], label_delay) };
            statements.push((time, fraud == 1));
        }
        let before = label[row];
        let own = (label_time[row], before == 1);
        let own_is_timed = before >= 0 && label_time[row] != due(times[row], label_delay);
        if own_is_timed && !statements.is_empty() {
            statements.push(own);
        }
        counts.n_conflicting += u64::from(drop_conflicting(&mut statements));
        let Some(&first) = statements.first() else { continue };
        // A fraud of the orders' own table without a time was known when it was due, if nothing else was known by then.
        if before == 1 && !own_is_timed && !first.1 && own.0 < first.0 {
            statements.insert(0, own);
        }
        is_joined[row] = true;
        known_from[row] = known_from[row].min(first.0);
        let Settled { time, fraud } = settle(row as u32, &statements, &mut joined_changes);
        label[row] = i8::from(fraud);
        label_time[row] = time;
        counts.n_changed += u64::from(before >= 0 && label[row] != before);
        counts.n_newly_labelled += u64::from(before < 0);
    }
    let unnamed = || (0..label.len()).filter(|&row| !is_named[row] && label[row] < 0 && times[row] != MISSING_I64);
    counts.n_orders = label.len() as u64;
    counts.n_unnamed = unnamed().count() as u64;
    if !has_own_labels && is_fraud_list(&rows_of, new_labels) {
        counts.n_taken_as_honest = counts.n_unnamed;
        for row in unnamed().collect::<Vec<_>>() {
            (label[row], label_time[row]) = (0, due(times[row], label_delay));
        }
        for row in (0..label.len()).filter(|&row| label[row] >= 0) {
            known_from[row] = i64::MIN;
        }
    }
    counts.n_matched = matched.iter().filter(|&&matched| matched).count() as u64;
    counts.n_unmatched = counts.n_rows - counts.n_matched;
    counts.n_empty = new_labels.iter().filter(|&&label| label < 0).count() as u64;

    let mut changes: Vec<LabelChange> = changes.into_iter().filter(|change| !is_joined[change.row as usize]).collect();
    changes.append(&mut joined_changes);
    changes.sort_unstable();
    Ok((OrderLabels { label, label_time, known_from, changes }, counts))
}

/// Whether (almost) every order in the file of labels is called fraud there. A fraud that is reversed later is one too.
fn is_fraud_list(rows_of: &RowsOf<'_>, labels: &[i8]) -> bool {
    let (mut n_fraud, mut n_honest) = (0_u64, 0_u64);
    #[expect(clippy::iter_over_hash_type, reason = "sums do not depend on the order")]
    for rows in rows_of.values() {
        let has = |wanted: i8| rows.iter().any(|&row| labels[row as usize] == wanted);
        if has(1) {
            n_fraud += 1;
        } else {
            n_honest += u64::from(has(0));
        }
    }
    n_fraud > 0 && n_honest as f64 <= MAX_HONEST_IN_FRAUD_LIST * (n_fraud + n_honest) as f64
}

/// Rows of the file of labels by order id.
type RowsOf<'a> = HashMap<&'a str, Vec<u32>, foldhash::quality::RandomState>;

#[cfg(test)]
mod tests {
    use orderguard_features::schema::{Available, Column, TimeFormat};
    use orderguard_features::table::Levels;

    use super::super::believe_label_times;
    use super::*;

    const DELAY: Span = Span(100);

    fn texts(values: &[&str]) -> TextColumn {
        let mut levels = Levels::default();
        let codes = values.iter().map(|&v| if v.is_empty() { MISSING_CODE } else { levels.push(v) }).collect();
        TextColumn { codes, levels }
    }

    /// Joins (id, label, time) rows onto orders a, b, c at times 0, 10, 20 with the labels given.
    fn join(own: &[i8], own_times: Option<&[i64]>, rows: &[(&str, i8, i64)]) -> (OrderLabels, JoinCounts) {
        let times = [0, 10, 20];
        let (orders, _) = believe_label_times(&times, own, own_times, DELAY);
        let column = |name: &str, role, format| Column { name: name.into(), role, available: Available::Order, format };
        let schema = Schema {
            timezone: "UTC".into(),
            label_delay: DELAY,
            amount_decimals: 2,
            columns: vec![
                column("id", Role::Id, None),
                column("label", Role::Label, None),
                column("at", Role::Time, Some(TimeFormat::Iso)),
            ],
        };
        let table = OrderTable {
            n_rows: rows.len(),
            columns: vec![
                ColumnData::Text(texts(&rows.iter().map(|r| r.0).collect::<Vec<_>>())),
                ColumnData::Label(rows.iter().map(|r| r.1).collect()),
                ColumnData::Time(rows.iter().map(|r| r.2).collect()),
            ],
            ..OrderTable::default()
        };
        join_labels(orders, &texts(&["a", "b", "c"]), &times, &table, &schema, DELAY).unwrap()
    }

    fn change(time: i64, row: u32, fraud: bool) -> LabelChange {
        LabelChange { time, row, fraud }
    }

    #[test]
    fn later_labels_join_by_order_id() {
        let rows = [("c", 1, 50), ("a", 0, 40), ("x", 1, 30), ("", 1, 30), ("b", -1, 30)];
        let (labels, counts) = join(&[-1, -1, 0], None, &rows);
        assert_eq!(labels.label, [0, -1, 1]);
        assert_eq!(labels.label_time, [40, MISSING_I64, 50]);
        assert_eq!(labels.changes, [change(50, 2, true)]);
        assert_eq!(labels.known_from, [40, i64::MAX, i64::MIN]);
        let expected = JoinCounts {
            n_rows: 5,
            n_matched: 3,
            n_unmatched: 2,
            n_empty: 1,
            n_changed: 1,
            n_newly_labelled: 1,
            n_orders: 3,
            ..JoinCounts::default()
        };
        assert_eq!(counts, expected);
    }

    #[test]
    fn a_list_of_frauds_says_that_the_others_are_honest() {
        let (labels, counts) = join(&[-1, -1, -1], None, &[("b", 1, 50), ("b", 0, 300), ("x", 1, 60)]);
        assert_eq!(labels.label, [0, 0, 0], "b was reversed");
        assert_eq!(labels.label_time, [100, 300, 120]);
        assert_eq!(labels.known_from, [i64::MIN; 3], "what was not on the list yet was taken as honest");
        assert_eq!(labels.changes, [change(50, 1, true), change(300, 1, false)]);
        assert_eq!((counts.n_unnamed, counts.n_taken_as_honest, counts.n_orders), (2, 2, 3));
        assert_eq!(
            counts.note().unwrap().to_string(),
            "the label file holds only frauds: the 2 orders without a row in it are taken as honest once their label is due"
        );
    }

    #[test]
    fn other_lists_say_nothing_about_the_others() {
        // Both classes.
        let (labels, counts) = join(&[-1, -1, -1], None, &[("b", 1, 50), ("x", 0, 60)]);
        assert_eq!((labels.label, labels.known_from), (vec![-1, 1, -1], vec![i64::MAX, 50, i64::MAX]));
        assert_eq!(counts.note(), Some(JoinNote::MostUnnamed { n_unnamed: 2, n_orders: 3 }));
        // Orders with labels of their own.
        let (labels, counts) = join(&[0, -1, -1], None, &[("b", 1, 50)]);
        assert_eq!((labels.label, counts.note()), (vec![0, 1, -1], None));
        // Rows that name an order and say nothing, or contradict each other.
        let (labels, counts) = join(&[-1, -1, -1], None, &[("a", -1, 50), ("b", 1, 50), ("c", 1, 60), ("c", 0, 60)]);
        assert_eq!((labels.label, counts.n_unnamed), (vec![-1, 1, -1], 0));
    }

    #[test]
    fn reversals_hold_from_their_own_time() {
        let rows = [("a", 0, 90), ("a", 1, 30), ("b", 1, 40), ("b", 1, 80), ("x", 0, 10)];
        let (labels, _) = join(&[-1, -1, -1], None, &rows);
        assert_eq!(labels.label, [0, 1, -1]);
        assert_eq!(labels.label_time[..2], [90, 40], "a fraud that is said twice was known from the first time on");
        assert_eq!(labels.changes, [change(30, 0, true), change(40, 1, true), change(90, 0, false)]);
        assert_eq!(labels.known_from, [30, 40, i64::MAX]);
        assert_eq!(labels.known_fraud_at(29), [0, 0, 0]);
        assert_eq!(labels.known_fraud_at(40), [1, 1, 0]);
        assert_eq!(labels.known_fraud_at(90), [0, 1, 0]);
    }

    #[test]
    fn own_labels_count_by_their_own_time_where_they_have_one() {
        // Own fraud at 60 beats an earlier honest one, and a later honest one reverses it.
        let (labels, counts) = join(&[1, -1, -1], Some(&[60, 0, 0]), &[("a", 0, 50)]);
        assert_eq!((labels.label[0], labels.label_time[0], counts.n_changed), (1, 60, 0));
        let (labels, _) = join(&[1, -1, -1], Some(&[60, 0, 0]), &[("a", 0, 70)]);
        assert_eq!(labels.changes, [change(60, 0, true), change(70, 0, false)]);
        // Without one it yields to what is known better.
        let (labels, _) = join(&[1, 0, -1], None, &[("a", 0, 70), ("b", 1, 30)]);
        assert_eq!(labels.label, [0, 1, -1]);
        assert_eq!(labels.changes, [change(30, 1, true)]);
        let (labels, _) = join(&[1, 0, -1], None, &[("a", 0, 170)]);
        assert_eq!(labels.changes, [change(100, 0, true), change(170, 0, false)]);
    }

    #[test]
    fn contradicting_labels_are_not_taken() {
        let (labels, counts) = join(&[-1, 1, -1], None, &[("a", 0, 50), ("a", 1, 50), ("b", 1, 60), ("b", 0, 60)]);
        assert_eq!(labels.label, [-1, 1, -1]);
        assert_eq!((counts.n_conflicting, counts.n_changed, counts.n_newly_labelled), (2, 0, 0));
        assert_eq!(labels.changes, [change(110, 1, true)]);
    }

    #[test]
    fn impossible_and_missing_times_are_due_times() {
        let (labels, counts) = join(&[-1, -1, -1], None, &[("b", 1, 5), ("c", 1, MISSING_I64), ("x", 0, 10)]);
        assert_eq!(labels.label_time, [MISSING_I64, 110, 120]);
        assert_eq!(counts.n_without_time, 2);
    }

    #[test]
    fn the_join_needs_its_columns() {
        let (orders, _) = believe_label_times(&[], &[], None, DELAY);
        let schema = Schema { timezone: "UTC".into(), label_delay: DELAY, amount_decimals: 2, columns: vec![] };
        let result = join_labels(orders, &texts(&[]), &[], &OrderTable::default(), &schema, DELAY);
        assert_eq!(result.unwrap_err(), JoinError::ColumnMissing { table: "labels", role: Role::Id });
    }
}
