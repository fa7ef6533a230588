//! Labels that arrive in a file of their own or as events, joined onto the orders by order id.

use std::collections::HashMap;
use std::fmt;

use orderguard_features::order_index::EARLY_LABEL;
use orderguard_features::schema::{Role, Schema};
use orderguard_features::state::order_memory;
use orderguard_features::table::{ColumnData, EventTable, MISSING_CODE, MISSING_I64, OrderTable, TextColumn};
use orderguard_features::time::{Span, UnixMillis};

use super::settle::{Settled, Statement, one_for_each_time, settle};
use super::{LabelChange, OrderLabels, due};

/// A file of labels is a list of frauds when at most this share of the orders in it are never called fraud there. Of a
/// list with both classes it is about the share of honest orders, of a list of chargebacks nothing but slips.
const MAX_HONEST_IN_FRAUD_LIST: f64 = 0.01;

/// What one source of labels came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceCounts {
    /// Rows of the source: of the file of labels, or the events that are labels.
    pub n_rows: u64,
    /// Rows whose order is in the data.
    pub n_matched: u64,
    /// Rows whose order is not in the data, or that name none.
    pub n_unmatched: u64,
    /// Rows without a label, which say nothing.
    pub n_empty: u64,
    /// Rows of a file whose label time is missing or lies before the order: order time + label delay was taken.
    pub n_without_time: u64,
}

impl SourceCounts {
    fn add(&mut self, other: &Self) {
        self.n_rows += other.n_rows;
        self.n_matched += other.n_matched;
        self.n_unmatched += other.n_unmatched;
        self.n_empty += other.n_empty;
        self.n_without_time += other.n_without_time;
    }
}

/// What joining labels found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JoinCounts {
    /// Of a file of labels; nothing where there is none.
    pub file: SourceCounts,
    /// Of events that are labels; nothing where there are none.
    pub events: SourceCounts,
    /// Orders with both labels at the same time: the fraud holds.
    pub n_conflicting: u64,
    /// Orders that had a label and now have another one.
    pub n_changed: u64,
    /// Orders that were unlabelled and now have a label.
    pub n_newly_labelled: u64,
    /// Orders that no source names and that have no label of their own, before the next rule.
    pub n_unnamed: u64,
    /// Of them, those taken as honest, because the sources hold only frauds and the orders' own table no label.
    pub n_taken_as_honest: u64,
    /// All orders.
    pub n_orders: u64,
}

/// What the user should know about orders that no label names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoinNote {
    /// Only frauds are named: the other orders are honest.
    FraudList {
        /// Whether events alone say so, and no file of labels.
        by_events: bool,
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
            Self::FraudList { by_events: true, n_taken_as_honest } => write!(
                f,
                "chargebacks and reports among the events are the labels: the {n_taken_as_honest} orders that none of them names are taken as honest once their label is due"
            ),
            Self::FraudList { by_events: false, n_taken_as_honest } => write!(
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
    /// What the user should know about orders that no label names.
    pub fn note(&self) -> Option<JoinNote> {
        let Self { file, n_unnamed, n_taken_as_honest, n_orders, .. } = *self;
        if n_taken_as_honest > 0 {
            Some(JoinNote::FraudList { by_events: file.n_rows == 0, n_taken_as_honest })
        } else {
            (file.n_rows > 0 && 2 * n_unnamed > n_orders).then_some(JoinNote::MostUnnamed { n_unnamed, n_orders })
        }
    }
}

impl fmt::Display for JoinCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, events, .. } = self;
        let sum = |of: fn(&SourceCounts) -> u64| of(file) + of(events);
        match (file.n_rows, events.n_rows) {
            (n, 0) => write!(f, "{n} labels")?,
            (0, n) => write!(f, "{n} events that are labels")?,
            (n, of_events) => write!(f, "{n} labels and {of_events} events that are labels")?,
        }
        write!(
            f,
            ": {} matched an order, {} did not, {} empty, {} orders with conflicting ones, {} changed, {} newly labelled",
            sum(|counts| counts.n_matched),
            sum(|counts| counts.n_unmatched),
            sum(|counts| counts.n_empty),
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

/// What one source says of orders: a file of labels, or the events that are labels.
#[derive(Clone, Debug)]
pub struct LabelSource<'a> {
    pub(super) of_events: bool,
    /// One entry per row: the order, 1 fraud, 0 honest or -1 for nothing, and when that was learned.
    pub(super) rows: Vec<(Option<&'a str>, i8, i64)>,
}

/// What joining must know of all orders and sources, where it is given some of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whole {
    /// Whether the orders' own table labels any order.
    pub(super) has_own_labels: bool,
    /// Whether there are sources, all of which call (almost) every order that they name fraud.
    pub(super) names_only_frauds: bool,
}

impl<'a> LabelSource<'a> {
    /// The rows of a file of labels, read with a schema as [`infer_labels`](crate::infer::infer_labels) proposes it (`id`,
    /// `label`, and `time` for when the label was learned).
    pub fn of_file(table: &'a OrderTable, schema: &Schema) -> Result<Self, JoinError> {
        let column = |role| schema.find(role).and_then(|i| table.columns.get(i));
        let missing = |role| JoinError::ColumnMissing { table: "labels", role };
        let Some(ColumnData::Text(ids)) = column(Role::Id) else { return Err(missing(Role::Id)) };
        let Some(ColumnData::Label(labels)) = column(Role::Label) else { return Err(missing(Role::Label)) };
        let learned = match column(Role::Time).or_else(|| column(Role::LabelTime)) {
            Some(ColumnData::Time(learned)) => Some(learned.as_slice()),
            _ => None,
        };
        let of_row = |row: usize| (ids.get(row), labels[row], learned.map_or(MISSING_I64, |learned| learned[row]));
        Ok(Self { of_events: false, rows: table.rows().map(of_row).collect() })
    }

    /// The chargebacks and reports among events: each calls the order that it names fraud at the time when the shop knew of
    /// it, or takes that back where the column of labels says honest. `is_repeated` tells rows that repeat another event.
    /// `None` where no event is a label.
    pub fn of_events(events: &'a EventTable, schema: &Schema, is_repeated: impl Fn(usize) -> bool) -> Option<Self> {
        let column = |role| schema.find(role).and_then(|i| events.table.columns.get(i));
        let ids = match column(Role::Id) {
            Some(ColumnData::Text(ids)) => Some(ids),
            _ => None,
        };
        let times = |role| match column(role) {
            Some(ColumnData::Time(times)) => Some(times.as_slice()),
            _ => None,
        };
        let (time, known_at) = (times(Role::Time), times(Role::KnownAt));
        let labels = match column(Role::Label) {
            Some(ColumnData::Label(labels)) => Some(labels),
            _ => None,
        };
        let of_row = |row: usize| {
            let of = |times: Option<&[i64]>| times.map_or(MISSING_I64, |times| times[row]);
            // The mark of a missing time is the smallest number.
            let learned = of(time).max(of(known_at));
            let label = labels.map_or(1, |labels| i8::from(labels[row] != 0));
            (ids.and_then(|ids| ids.get(row)), label, learned)
        };
        let is_label = |&row: &usize| events.kinds[row].is_label() && !is_repeated(row);
        let rows: Vec<_> = events.table.rows().filter(is_label).map(of_row).collect();
        (!rows.is_empty()).then_some(Self { of_events: true, rows })
    }

    /// The rows: the order's id where one is named, 1 fraud, 0 honest or -1 for nothing, and when that was learned.
    pub fn rows(&self) -> impl Iterator<Item = (Option<&'a str>, i8, i64)> {
        self.rows.iter().copied()
    }

    /// Whether (almost) every order that is named is called fraud. A fraud that is reversed later is one too.
    fn is_fraud_list(&self) -> bool {
        self.of_events || is_fraud_list(self.n_called())
    }

    /// How many orders are called fraud at any time, and how many honest and never fraud.
    pub(super) fn n_called(&self) -> (u64, u64) {
        let mut called: HashMap<&str, (bool, bool), foldhash::quality::RandomState> = HashMap::default();
        for (id, label, _) in self.rows.iter().filter_map(|&(id, label, learned)| Some((id?, label, learned))) {
            let called = called.entry(id).or_default();
            called.0 |= label == 1;
            called.1 |= label == 0;
        }
        let (mut n_fraud, mut n_honest) = (0_u64, 0_u64);
        #[expect(clippy::iter_over_hash_type, reason = "counts do not depend on the order")]
        for &(fraud, honest) in called.values() {
            n_fraud += u64::from(fraud);
            n_honest += u64::from(honest && !fraud);
        }
        (n_fraud, n_honest)
    }
}

/// Whether a file that calls so many orders fraud, and so many honest and never fraud, is a list of frauds.
pub(super) fn is_fraud_list((n_fraud, n_honest): (u64, u64)) -> bool {
    n_fraud > 0 && n_honest as f64 <= MAX_HONEST_IN_FRAUD_LIST * (n_fraud + n_honest) as f64
}

/// Joins labels that arrived later onto the orders by order id.
///
/// `ids`, `times` and `known_at` (when the shop knew of it) hold one entry per order.
///
/// All statements about an order are put in the order of their times; the latest holds, and a fraud that turns honest is
/// a reversal at that time. What the orders' own table says has the time it gave; where it gave none (the label time is
/// the due time), it yields to what the sources say. Of two different labels at one time the fraud holds, as in a history. A row of
/// a file labels all orders with its id. An event labels the order that a history takes it to be about, and those that repeat it:
/// the latest of that id that was known before it, else one that became known at most [`EARLY_LABEL`] after it, from then
/// on. The result does not depend on the order of rows.
///
/// An order that no source names keeps what its own table says. Where that table labels no order at all and the sources
/// hold (almost) only frauds, as a list of chargebacks does and events do, such orders are honest, known when due, and all
/// orders count as labelled at any time: such a list says of every order, by naming it or not, what it is. A file with both
/// classes says nothing about the others.
///
/// # Panics
/// If lengths differ: a caller's bug, never caused by data.
pub fn join_labels(
    orders: OrderLabels,
    ids: &TextColumn,
    times: &[i64],
    known_at: &[i64],
    sources: &[LabelSource<'_>],
    label_delay: Span,
) -> (OrderLabels, JoinCounts) {
    let whole = Whole {
        has_own_labels: orders.label.iter().any(|&label| label >= 0),
        names_only_frauds: !sources.is_empty() && sources.iter().all(LabelSource::is_fraud_list),
    };
    join_part(orders, ids, (times, known_at), sources, label_delay, whole)
}

/// [`join_labels`] for those orders and rows of the sources that have some of the ids.
pub(super) fn join_part(
    orders: OrderLabels,
    ids: &TextColumn,
    (times, known_at): (&[i64], &[i64]),
    sources: &[LabelSource<'_>],
    label_delay: Span,
    whole: Whole,
) -> (OrderLabels, JoinCounts) {
    assert_eq!(orders.label.len(), ids.codes.len(), "one id per order");
    assert_eq!((orders.label.len(), times.len()), (times.len(), known_at.len()), "two times per order");
    let mut counts = JoinCounts { n_orders: orders.label.len() as u64, ..JoinCounts::default() };
    // Rows of the sources by id; two codes may carry the same text.
    let mut rows_of: HashMap<&str, Vec<Row>, foldhash::quality::RandomState> = HashMap::default();
    for (source, of) in sources.iter().enumerate() {
        for (row, id) in of.rows.iter().enumerate().filter_map(|(row, &(id, ..))| Some((row, id?))) {
            rows_of.entry(id).or_default().push(Row { source, row });
        }
    }
    let by_code: Vec<Option<&Vec<Row>>> = ids.levels.iter().map(|id| rows_of.get(id)).collect();
    let has_events = sources.iter().any(|source| source.of_events);
    let memory = order_memory(label_delay);
    let taken_of = if has_events { taken_by_id(ids, known_at, &by_code, memory) } else { HashMap::default() };

    let OrderLabels { mut label, mut label_time, mut known_from, changes } = orders;
    let mut matched: Vec<Vec<bool>> = sources.iter().map(|source| vec![false; source.rows.len()]).collect();
    let mut is_joined = vec![false; label.len()];
    let mut is_named = vec![false; label.len()];
    let mut joined_changes = Vec::new();
    let mut statements: Vec<Statement> = Vec::new();
    for row in 0..label.len() {
        let code = ids.codes[row];
        let Some(found) = (code != MISSING_CODE).then(|| by_code[code as usize]).flatten() else { continue };
        statements.clear();
        for &Row { source, row: source_row } in found {
            let (_, said, given) = sources[source].rows[source_row];
            let mut earliest = times[row];
            if sources[source].of_events {
                let taken = taken_of.get(ids.levels.get(code)).map_or(&[][..], Vec::as_slice);
                earliest = latest(taken, known_at[row]).unwrap_or(known_at[row]);
                if about(given, taken, memory) != Some(earliest) {
                    continue;
                }
            }
            is_named[row] = true;
            matched[source][source_row] = true;
            if said < 0 {
                continue;
            }
            let fraud = said == 1;
            statements.push(if given != MISSING_I64 && (sources[source].of_events || given >= earliest) {
                Statement { time: given.max(earliest), made: given, fraud }
            } else {
                counts.of(&sources[source]).n_without_time += 1;
                Statement { time: due(times[row], label_delay), made: MISSING_I64, fraud }
            });
        }
        let before = label[row];
        let own = Statement::at(label_time[row], before == 1);
        let own_is_timed = before >= 0 && label_time[row] != due(times[row], label_delay);
        if own_is_timed && !statements.is_empty() {
            statements.push(own);
        }
        counts.n_conflicting += u64::from(one_for_each_time(&mut statements));
        let Some(&first) = statements.first() else { continue };
        // A fraud of the orders' own table without a time was known when it was due, if nothing else was known by then.
        if before == 1 && !own_is_timed && !first.fraud && own.time < first.time {
            statements.insert(0, own);
        }
        is_joined[row] = true;
        known_from[row] = known_from[row].min(first.time);
        let Settled { time, fraud } = settle(row as u32, &statements, &mut joined_changes);
        label[row] = i8::from(fraud);
        label_time[row] = time;
        counts.n_changed += u64::from(before >= 0 && label[row] != before);
        counts.n_newly_labelled += u64::from(before < 0);
    }
    let unnamed = || (0..label.len()).filter(|&row| !is_named[row] && label[row] < 0 && times[row] != MISSING_I64);
    counts.n_unnamed = unnamed().count() as u64;
    if !whole.has_own_labels && whole.names_only_frauds {
        counts.n_taken_as_honest = counts.n_unnamed;
        for row in unnamed().collect::<Vec<_>>() {
            (label[row], label_time[row]) = (0, due(times[row], label_delay));
        }
        for row in (0..label.len()).filter(|&row| label[row] >= 0) {
            known_from[row] = i64::MIN;
        }
    }
    for (source, matched) in sources.iter().zip(&matched) {
        let (n_rows, n_matched) = (matched.len() as u64, matched.iter().filter(|&&matched| matched).count() as u64);
        let n_empty = source.rows.iter().filter(|&&(_, said, _)| said < 0).count() as u64;
        let of = counts.of(source);
        of.n_rows += n_rows;
        of.n_matched += n_matched;
        of.n_unmatched += n_rows - n_matched;
        of.n_empty += n_empty;
    }

    let mut changes: Vec<LabelChange> = changes.into_iter().filter(|change| !is_joined[change.row as usize]).collect();
    changes.append(&mut joined_changes);
    changes.sort_unstable();
    (OrderLabels { label, label_time, known_from, changes }, counts)
}

/// The order that an event known at `at` is about, of orders of one id that were taken: when that became known. An order that
/// is too old for a history to learn of it is better than none.
fn about(at: i64, taken: &[i64], memory: Span) -> Option<i64> {
    let known = latest(taken, at);
    let is_recent = |&known_at: &i64| at <= UnixMillis(known_at).plus(memory).0;
    let next = || taken.iter().copied().find(|&known_at| known_at > at);
    known.filter(is_recent).or_else(|| next().filter(|&next| next <= UnixMillis(at).plus(EARLY_LABEL).0)).or(known)
}

/// The last of some rising times that is not after another.
fn latest(times: &[i64], at: i64) -> Option<i64> {
    times[..times.partition_point(|&time| time <= at)].last().copied()
}

type TakenOf<'a> = HashMap<&'a str, Vec<i64>, foldhash::quality::RandomState>;

/// When the orders of each id that a source names became known, rising, without those that repeat another.
fn taken_by_id<'a>(ids: &'a TextColumn, known_at: &[i64], by_code: &[Option<&Vec<Row>>], memory: Span) -> TakenOf<'a> {
    let mut taken_of: TakenOf<'_> = HashMap::default();
    for (&code, &known_at) in ids.codes.iter().zip(known_at) {
        if code != MISSING_CODE && by_code[code as usize].is_some() {
            taken_of.entry(ids.levels.get(code)).or_default().push(known_at);
        }
    }
    #[expect(clippy::iter_over_hash_type, reason = "each is sorted by itself")]
    for taken in taken_of.values_mut() {
        taken.sort_unstable();
        taken.dedup_by(|later, earlier| *later <= UnixMillis(*earlier).plus(memory).0);
    }
    taken_of
}

/// A row of one of the sources.
#[derive(Clone, Copy)]
struct Row {
    source: usize,
    row: usize,
}

impl JoinCounts {
    /// Adds what another part of the orders and sources came to.
    pub(super) fn add(&mut self, other: &Self) {
        self.file.add(&other.file);
        self.events.add(&other.events);
        self.n_conflicting += other.n_conflicting;
        self.n_changed += other.n_changed;
        self.n_newly_labelled += other.n_newly_labelled;
        self.n_unnamed += other.n_unnamed;
        self.n_taken_as_honest += other.n_taken_as_honest;
        self.n_orders += other.n_orders;
    }

    fn of(&mut self, source: &LabelSource<'_>) -> &mut SourceCounts {
        if source.of_events { &mut self.events } else { &mut self.file }
    }
}

#[cfg(test)]
mod tests {
    use orderguard_features::kind::EventKind;
    use orderguard_features::schema::{Available, Column, TimeFormat};
    use orderguard_features::table::Levels;
    use proptest::prelude::*;

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
        let source = LabelSource::of_file(&table, &schema).unwrap();
        join_labels(orders, &texts(&["a", "b", "c"]), &times, &times, &[source], DELAY)
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
            file: SourceCounts { n_rows: 5, n_matched: 3, n_unmatched: 2, n_empty: 1, n_without_time: 0 },
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
        assert_eq!((labels.label, counts.n_unnamed), (vec![-1, 1, 1], 0));
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
    fn of_contradicting_labels_the_fraud_holds() {
        let (labels, counts) = join(&[-1, 1, -1], None, &[("a", 0, 50), ("a", 1, 50), ("b", 1, 60), ("b", 0, 60)]);
        assert_eq!(labels.label, [1, 1, -1]);
        assert_eq!((counts.n_conflicting, counts.n_changed, counts.n_newly_labelled), (2, 0, 1));
        assert_eq!(labels.changes, [change(50, 0, true), change(60, 1, true)]);
    }

    #[test]
    fn impossible_and_missing_times_are_due_times() {
        let (labels, counts) = join(&[-1, -1, -1], None, &[("b", 1, 5), ("c", 1, MISSING_I64), ("x", 0, 10)]);
        assert_eq!(labels.label_time, [MISSING_I64, 110, 120]);
        assert_eq!(counts.file.n_without_time, 2);
    }

    #[test]
    fn the_join_needs_its_columns() {
        let schema = Schema { timezone: "UTC".into(), label_delay: DELAY, amount_decimals: 2, columns: vec![] };
        let table = OrderTable::default();
        let result = LabelSource::of_file(&table, &schema);
        assert_eq!(result.unwrap_err(), JoinError::ColumnMissing { table: "labels", role: Role::Id });
    }

    const DAY: i64 = Span::DAY.0;

    /// Joins events `(kind, order, time, known at, label)` and perhaps rows of a file onto orders `(id, time)`.
    fn join_events(
        orders: &[(&str, i64)],
        own: &[i8],
        events: &[(EventKind, &str, i64, i64, i8)],
        file: Option<&[(&str, i8, i64)]>,
    ) -> (OrderLabels, JoinCounts) {
        let times: Vec<i64> = orders.iter().map(|order| order.1).collect();
        let column = |name: &str, role| Column { name: name.into(), role, available: Available::Order, format: None };
        let schema = Schema {
            timezone: "UTC".into(),
            label_delay: DELAY,
            amount_decimals: 2,
            columns: vec![
                column("id", Role::Id),
                column("label", Role::Label),
                column("at", Role::Time),
                column("known", Role::KnownAt),
            ],
        };
        let table = OrderTable {
            n_rows: events.len(),
            columns: vec![
                ColumnData::Text(texts(&events.iter().map(|e| e.1).collect::<Vec<_>>())),
                ColumnData::Label(events.iter().map(|e| e.4).collect()),
                ColumnData::Time(events.iter().map(|e| e.2).collect()),
                ColumnData::Time(events.iter().map(|e| e.3).collect()),
            ],
            ..OrderTable::default()
        };
        let events = EventTable { table, kinds: events.iter().map(|e| e.0).collect() };
        let rows = file.unwrap_or_default();
        let of_file = OrderTable {
            n_rows: rows.len(),
            columns: vec![
                ColumnData::Text(texts(&rows.iter().map(|r| r.0).collect::<Vec<_>>())),
                ColumnData::Label(rows.iter().map(|r| r.1).collect()),
                ColumnData::Time(rows.iter().map(|r| r.2).collect()),
                ColumnData::Absent,
            ],
            ..OrderTable::default()
        };
        let sources: Vec<LabelSource<'_>> = file
            .map(|_| LabelSource::of_file(&of_file, &schema).unwrap())
            .into_iter()
            .chain(LabelSource::of_events(&events, &schema, |_| false))
            .collect();
        let (own, _) = believe_label_times(&times, own, None, DELAY);
        let ids = texts(&orders.iter().map(|order| order.0).collect::<Vec<_>>());
        join_labels(own, &ids, &times, &times, &sources, DELAY)
    }

    use EventKind::{AbuseReport, Chargeback, Refund};

    #[test]
    fn chargebacks_and_reports_are_labels_of_their_orders() {
        let orders = [("a", 0), ("b", 10), ("c", 20), ("", 20)];
        let events = [
            (Chargeback, "a", 30, 40, -1),
            (Chargeback, "a", 60, 50, 0),
            (AbuseReport, "b", 30, MISSING_I64, 1),
            (Refund, "c", 30, 30, 1),
            (Chargeback, "x", 30, 30, -1),
            (Chargeback, "", 30, 30, -1),
        ];
        let (labels, counts) = join_events(&orders, &[-1; 4], &events, None);
        assert_eq!(labels.label, [0, 1, 0, 0], "no order has a label of its own: those not named are honest");
        assert_eq!(labels.label_time, [60, 30, 120, 120]);
        assert_eq!(labels.changes, [change(30, 1, true), change(40, 0, true), change(60, 0, false)]);
        assert_eq!(labels.known_from, [i64::MIN; 4]);
        let events = SourceCounts { n_rows: 5, n_matched: 3, n_unmatched: 2, ..SourceCounts::default() };
        let expected =
            JoinCounts { events, n_newly_labelled: 2, n_unnamed: 2, n_taken_as_honest: 2, n_orders: 4, ..counts };
        assert_eq!(counts, expected);
        assert_eq!(counts.file, SourceCounts::default());
        assert_eq!(counts.note(), Some(JoinNote::FraudList { by_events: true, n_taken_as_honest: 2 }));
        assert!(counts.to_string().starts_with("5 events that are labels: 3 matched an order, 2 did not"), "{counts}");
    }

    #[test]
    fn events_join_with_own_labels_and_with_those_of_a_file() {
        let orders = [("a", 0), ("b", 10), ("c", 20), ("d", 20)];
        // Own labels without a time yield; others stay as they are, unlabelled ones too.
        let (labels, counts) = join_events(&orders, &[0, 1, -1, 0], &[(Chargeback, "a", 30, 30, -1)], None);
        assert_eq!(labels.label, [1, 1, -1, 0]);
        assert_eq!(labels.changes, [change(30, 0, true), change(110, 1, true)]);
        assert_eq!((counts.n_changed, counts.n_taken_as_honest, counts.note()), (1, 0, None));
        // A file reverses what an event said, and contradicts another at the same time.
        let events = [(Chargeback, "a", 30, 30, -1), (Chargeback, "b", 50, 50, -1), (Chargeback, "c", 50, 50, -1)];
        let file = [("a", 0, 70), ("b", 0, 50), ("c", 1, 40)];
        let (labels, counts) = join_events(&orders, &[-1; 4], &events, Some(&file));
        assert_eq!(labels.label, [0, 1, 1, -1]);
        let expected = [change(30, 0, true), change(40, 2, true), change(50, 1, true), change(70, 0, false)];
        assert_eq!(labels.changes, expected);
        assert_eq!((counts.n_conflicting, counts.file.n_rows, counts.events.n_rows), (1, 3, 3));
        assert!(counts.to_string().starts_with("3 labels and 3 events that are labels: 6 matched"), "{counts}");
    }

    #[test]
    fn events_are_about_the_latest_order_that_they_can_be_about() {
        // An id that is used again after it was forgotten, and a repeated row of the second order.
        let again = order_memory(DELAY).0 + 10 * DAY;
        let orders = [("a", 0), ("a", again), ("a", again + DAY)];
        let of = |known_at: i64| join_events(&orders, &[-1; 3], &[(Chargeback, "a", known_at, MISSING_I64, -1)], None);
        assert_eq!(of(5 * DAY).0.label, [1, 0, 0]);
        assert_eq!(of(again + 2 * DAY).0.label, [0, 1, 1]);
        // So soon before the second order that it could be about it; but the first is known, and not forgotten.
        assert_eq!(of(order_memory(DELAY).0).0.label, [1, 0, 0]);
        // Told to the day: before the time of the order, and known from the order on; a day before, about none.
        let orders = [("a", 2 * DAY)];
        let of = |known_at: i64| join_events(&orders, &[-1], &[(Chargeback, "a", known_at, MISSING_I64, -1)], None);
        let (labels, counts) = of(2 * DAY - 5);
        assert_eq!((labels.label[0], labels.label_time[0], counts.events.n_without_time), (1, 2 * DAY, 0));
        assert_eq!(labels.changes, [change(2 * DAY, 0, true)]);
        // Of two before the order the later one holds.
        let early = |at: i64, says: i8| (Chargeback, "a", 2 * DAY - at, MISSING_I64, says);
        let (labels, counts) = join_events(&orders, &[-1], &[early(9, 1), early(5, 0)], None);
        assert_eq!((labels.label[0], labels.changes.len(), counts.n_conflicting), (0, 0, 0));
        let (labels, counts) = join_events(&orders, &[-1], &[early(5, 1), early(5, 0)], None);
        assert_eq!((labels.label[0], labels.changes.len(), counts.n_conflicting), (1, 1, 1));
        let (labels, counts) = of(DAY - 1);
        assert_eq!((labels.label[0], counts.events.n_matched, counts.events.n_unmatched), (0, 0, 1));
    }

    proptest! {
        #[test]
        fn the_order_of_rows_and_files_changes_nothing(
            rows in prop::collection::vec((0_usize..4, 0_i64..400, any::<bool>(), any::<bool>()), 1..12), by in 0_usize..12,
        ) {
            let orders = [("a", 0), ("b", 10), ("c", 20), ("a", 30)];
            let outcome = |rows: &[(usize, i64, bool, bool)]| {
                let name = |id: usize| ["a", "b", "c", "x"][id];
                let events: Vec<_> = rows.iter().filter(|r| r.3)
                    .map(|r| (Chargeback, name(r.0), r.1, MISSING_I64, i8::from(r.2))).collect();
                let file: Vec<_> = rows.iter().filter(|r| !r.3).map(|r| (name(r.0), i8::from(r.2), r.1)).collect();
                join_events(&orders, &[-1, 1, -1, 0], &events, Some(&file))
            };
            let mut turned = rows.clone();
            turned.rotate_left(by % rows.len());
            turned.reverse();
            prop_assert_eq!(outcome(&rows), outcome(&turned));
        }
    }
}
