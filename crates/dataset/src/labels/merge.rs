//! Labels of orders that were exported more than once.

use std::collections::HashMap;
use std::fmt;

use orderguard_features::state::order_memory;
use orderguard_features::table::{MISSING_CODE, TextColumn};
use orderguard_features::time::{Span, UnixMillis};

use super::settle::{Settled, Statement, one_for_each_time, settle};
use super::{LabelChange, OrderLabels, due};

/// What merging the labels of repeated orders found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MergeCounts {
    /// Rows that had no label and now have that of another row of their order.
    pub n_completed: u64,
    /// Rows that had a label and now have another one.
    pub n_changed: u64,
    /// Orders whose rows contradict each other at the same time: they count as fraud.
    pub n_conflicting: u64,
}

impl MergeCounts {
    /// Adds what another part of the orders came to.
    pub(crate) fn add(&mut self, other: Self) {
        self.n_completed += other.n_completed;
        self.n_changed += other.n_changed;
        self.n_conflicting += other.n_conflicting;
    }

    /// Whether no label was touched.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for MergeCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "orders that stand in the data more than once: {} rows take the label of another row of their order, {} another one than their own, and {} orders have both labels at one time and count as fraud",
            self.n_completed, self.n_changed, self.n_conflicting
        )
    }
}

/// Gives all rows of one order the same label, so that it does not matter which of them counts.
///
/// `ids`, `times` and `known_at` (when the shop knew of it) hold one entry per row. Rows are one order when they have one id and
/// became known within [`order_memory`] of its first row, as repeated orders are told (`canonical::repeated`). A row without a
/// label says nothing. Labels with a time of their own come before those without; the latest holds, and a fraud that turns honest
/// is a reversal at that time. Of two different labels at one time the fraud holds. Call it before
/// [`join_labels`](super::join_labels), whose rules these are. The result does not depend on the order of rows.
///
/// # Panics
/// If lengths differ: a caller's bug, never caused by data.
pub fn merge_repeated(
    orders: OrderLabels,
    ids: &TextColumn,
    times: &[i64],
    known_at: &[i64],
    label_delay: Span,
) -> (OrderLabels, MergeCounts) {
    assert_eq!(orders.label.len(), ids.codes.len(), "one id per row");
    assert_eq!((orders.label.len(), times.len()), (times.len(), known_at.len()), "two times per row");
    let mut counts = MergeCounts::default();
    let groups = repeated_rows(ids, known_at, order_memory(label_delay));
    if groups.is_empty() {
        return (orders, counts);
    }
    let OrderLabels { mut label, mut label_time, mut known_from, mut changes } = orders;
    let mut is_merged = vec![false; label.len()];
    let mut merged_changes = Vec::new();
    for rows in &groups {
        let is_timed = |row: usize| label_time[row] != due(times[row], label_delay);
        let labelled = || rows.iter().map(|&row| row as usize).filter(|&row| label[row] >= 0);
        let Some(earliest) = labelled().map(|row| known_from[row]).min() else { continue };
        let has_untimed = |wanted: i8| labelled().any(|row| label[row] == wanted && !is_timed(row));
        let mut timed: Vec<Statement> = labelled()
            .filter(|&row| is_timed(row))
            .map(|row| Statement::at(label_time[row], label[row] == 1))
            .collect();
        let (fraud, honest) = (has_untimed(1), has_untimed(0));
        let is_conflicting = one_for_each_time(&mut timed) || timed.is_empty() && fraud && honest;
        let untimed = (fraud || honest).then_some(fraud);
        counts.n_conflicting += u64::from(is_conflicting);
        for row in rows.iter().map(|&row| row as usize) {
            let due = due(times[row], label_delay);
            let mut statements = timed.clone();
            match (statements.first(), untimed) {
                (None, Some(fraud)) => statements.push(Statement::at(due, fraud)),
                // A fraud without a time was known when it was due, if nothing else was known by then.
                (Some(first), Some(true)) if !first.fraud && due < first.time => {
                    statements.insert(0, Statement::at(due, true));
                }
                _ => {}
            }
            is_merged[row] = true;
            let before = label[row];
            let Settled { time, fraud } = settle(row as u32, &statements, &mut merged_changes);
            (label[row], label_time[row], known_from[row]) = (i8::from(fraud), time, earliest);
            counts.n_completed += u64::from(before < 0);
            counts.n_changed += u64::from(before >= 0 && before != label[row]);
        }
    }
    changes.retain(|change: &LabelChange| !is_merged[change.row as usize]);
    changes.append(&mut merged_changes);
    changes.sort_unstable();
    (OrderLabels { label, label_time, known_from, changes }, counts)
}

/// The rows of each order that has more than one.
fn repeated_rows(ids: &TextColumn, known_at: &[i64], memory: Span) -> Vec<Vec<u32>> {
    // Two codes may carry the same text.
    let mut first_code: HashMap<&str, u32, foldhash::quality::RandomState> =
        HashMap::with_capacity_and_hasher(ids.levels.len(), foldhash::quality::RandomState::default());
    let codes: Vec<u32> =
        ids.levels.iter().enumerate().map(|(code, id)| *first_code.entry(id).or_insert(code as u32)).collect();
    let mut n_rows = vec![0_u32; codes.len()];
    for &code in ids.codes.iter().filter(|&&code| code != MISSING_CODE) {
        n_rows[codes[code as usize] as usize] += 1;
    }
    let mut rows: Vec<(u32, i64, u32)> = (0..known_at.len())
        .filter(|&row| ids.codes[row] != MISSING_CODE)
        .map(|row| (codes[ids.codes[row] as usize], known_at[row], row as u32))
        .filter(|&(code, _, _)| n_rows[code as usize] > 1)
        .collect();
    rows.sort_unstable();
    let mut groups: Vec<Vec<u32>> = Vec::new();
    let mut first: Option<(u32, i64)> = None;
    for (code, time, row) in rows {
        match (first, groups.last_mut()) {
            (Some((of, since)), Some(group)) if of == code && time <= UnixMillis(since).plus(memory).0 => {
                group.push(row);
            }
            _ => {
                first = Some((code, time));
                groups.push(vec![row]);
            }
        }
    }
    groups.retain(|group| group.len() > 1);
    groups
}

#[cfg(test)]
mod tests {
    use orderguard_features::table::{Levels, MISSING_I64};
    use proptest::prelude::*;

    use super::super::believe_label_times;
    use super::*;

    const DELAY: Span = Span(100);

    /// Merges rows `(id, order time, label, label time)`; an empty id is a missing one.
    fn merge(rows: &[(&str, i64, i8, i64)]) -> (OrderLabels, MergeCounts) {
        let times: Vec<i64> = rows.iter().map(|r| r.1).collect();
        let labels: Vec<i8> = rows.iter().map(|r| r.2).collect();
        let given: Vec<i64> = rows.iter().map(|r| r.3).collect();
        let (orders, _) = believe_label_times(&times, &labels, Some(&given), DELAY);
        let mut levels = Levels::default();
        let codes = rows.iter().map(|r| if r.0.is_empty() { MISSING_CODE } else { levels.push(r.0) }).collect();
        merge_repeated(orders, &TextColumn { codes, levels }, &times, &times, DELAY)
    }

    const NONE: i64 = MISSING_I64;

    #[test]
    fn a_label_in_one_of_the_rows_is_enough() {
        let rows = [("a", 0, -1, NONE), ("b", 5, 0, NONE), ("a", 0, 1, 40), ("", 0, -1, NONE), ("", 0, 1, NONE)];
        let (labels, counts) = merge(&rows);
        assert_eq!(labels.label, [1, 0, 1, -1, 1], "orders without an id are never one");
        assert_eq!(labels.label_time, [40, 105, 40, NONE, 100]);
        assert_eq!(labels.known_from[0], i64::MIN);
        assert_eq!(labels.changes.iter().map(|c| (c.time, c.row)).collect::<Vec<_>>(), [(40, 0), (40, 2), (100, 4)]);
        assert_eq!(counts, MergeCounts { n_completed: 1, ..MergeCounts::default() });
    }

    #[test]
    fn later_labels_hold_and_times_count_more_than_none() {
        // Honest when exported first, fraud when exported again, with the time.
        let (labels, counts) = merge(&[("a", 0, 0, NONE), ("a", 0, 1, 40)]);
        assert_eq!((labels.label, counts.n_changed), (vec![1, 1], 1));
        // A fraud that was reversed.
        let (labels, _) = merge(&[("a", 0, 0, 80), ("a", 0, 1, 40)]);
        assert_eq!((labels.label.as_slice(), labels.changes.len()), (&[0, 0][..], 4));
        assert_eq!(labels.known_fraud_at(50), [1, 1]);
        // Known as fraud when due, and found honest after that.
        let (labels, _) = merge(&[("a", 0, 0, 180), ("a", 0, 1, NONE), ("b", 0, 1, 7)]);
        assert_eq!(labels.label, [0, 0, 1]);
        assert_eq!(labels.known_fraud_at(150), [1, 1, 1]);
    }

    #[test]
    fn of_labels_that_contradict_each_other_the_fraud_holds() {
        let (labels, counts) = merge(&[("a", 0, 0, NONE), ("a", 0, 1, NONE), ("b", 0, 0, 50), ("b", 0, 1, 50)]);
        assert_eq!((labels.label, labels.label_time), (vec![1; 4], vec![100, 100, 50, 50]));
        assert_eq!(counts.n_conflicting, 2);
    }

    #[test]
    fn an_id_that_comes_again_much_later_is_another_order() {
        let (labels, counts) = merge(&[("a", 0, 0, NONE), ("a", order_memory(DELAY).0 + 1, 1, NONE)]);
        assert_eq!(labels.label, [0, 1]);
        assert!(counts.is_empty());
    }

    proptest! {
        #[test]
        fn the_order_of_rows_changes_nothing(
            rows in prop::collection::vec((0_usize..4, 0_i64..3, -1_i8..2, prop::option::of(0_i64..4)), 1..12), by in 0_usize..12,
        ) {
            let step = order_memory(DELAY).0 * 3 / 5;
            let rows: Vec<(&'static str, i64, i8, i64)> = rows.iter()
                .map(|&(id, time, label, known)| (["", "a", "b", "c"][id], time * step, label, known.map_or(NONE, |k| time * step + k * 60)))
                .collect();
            let mut turned = rows.clone();
            turned.rotate_left(by % rows.len());
            turned.reverse();
            let outcome = |rows: &[(&'static str, i64, i8, i64)]| {
                let (labels, counts) = merge(rows);
                let mut all: Vec<_> = (0..rows.len()).map(|i| {
                    let changes: Vec<(i64, bool)> =
                        labels.changes.iter().filter(|c| c.row as usize == i).map(|c| (c.time, c.fraud)).collect();
                    (rows[i], labels.label[i], labels.label_time[i], labels.known_from[i], changes)
                }).collect();
                all.sort();
                (all, counts)
            };
            prop_assert_eq!(outcome(&rows), outcome(&turned));
        }
    }
}
