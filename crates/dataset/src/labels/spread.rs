//! Labels of more orders than fit in memory: what is said of them is spread over lists on disk by the order's id, and each
//! list is settled by itself, since nothing that is said of one id matters to another.
//!
//! ```text
//! orders, labels of a file, events  ->  lists by id  ->  settled list by list  ->  merged by order, and by time learned
//! ```

use std::collections::BTreeMap;

use orderguard_features::identity::OrderId;
use orderguard_features::table::{Levels, MISSING_CODE, MISSING_I64, TextColumn};
use orderguard_features::time::Span;

use super::belief::{late_among, settle_times, timed_delays};
use super::join::{Whole, is_fraud_list, join_part};
use super::{
    JoinCounts, Judged, LabelSource, LabelTimeNote, LateFrauds, MergeCounts, OrderLabels, due, merge_repeated,
};
use crate::error::ReadError;
use crate::scratch::{Cursor, Merge, Reader, Records, Scratch, Spool, from_sortable, sortable, u64_at};

/// Bytes that each list gathers before they are written.
const LIST_BUFFER: usize = 64 << 10;
/// Memory that an order takes while its list is settled, measured and rounded up.
const BYTES_PER_ORDER: u64 = 300;
/// The most lists.
const MAX_LISTS: u64 = 512;

/// What an order's own row says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderStatement {
    /// Its id, `OrderId(0)` where the data have none.
    pub id: OrderId,
    /// When it happened.
    pub time: i64,
    /// When the shop knew of it.
    pub known_at: i64,
    /// 1 fraud, 0 honest, -1 nothing.
    pub label: i8,
    /// When that was learned; [`MISSING_I64`] where it is not said.
    pub label_time: i64,
    /// Whether the order repeats an earlier one: it then has no label, whatever is said.
    pub repeated: bool,
}

/// Statements that are being gathered.
#[derive(Debug)]
pub struct LabelsOnDisk<'s> {
    scratch: &'s Scratch,
    lists: Vec<Spool<'s>>,
    has_ids: bool,
    has_label_times: bool,
    n_orders: u64,
    /// Whether a file, and events, say anything of orders.
    has_sources: [bool; 2],
    judged: Judged,
    memory: usize,
}

/// What the statements came to.
#[derive(Debug)]
pub struct SettledOnDisk<'s> {
    scratch: &'s Scratch,
    orders: Vec<Records>,
    learned: Vec<Records>,
    memory: usize,
    /// What is not believed about label times.
    pub time_note: Option<LabelTimeNote>,
    /// Whether label times are given and believed.
    pub times_are_believed: bool,
    /// What merging the labels of repeated orders came to.
    pub merged: MergeCounts,
    /// What joining labels of a file, or of events, came to.
    pub joined: Option<JoinCounts>,
    /// Frauds that became known later than the label delay says.
    pub late: Option<LateFrauds>,
    /// The latest label time that is not merely order time + delay.
    pub last_label: Option<i64>,
    /// Whether any order has a label.
    pub has_label: bool,
    /// Labels that history learns.
    pub n_learned: u64,
}

const ORDER: u8 = 0;
const OF_FILE: u8 = 1;
const OF_EVENT: u8 = 2;

impl<'s> LabelsOnDisk<'s> {
    /// For about `n_orders` orders and `memory` bytes. `has_ids` and `has_label_times` tell whether the data have such columns.
    pub fn new(scratch: &'s Scratch, n_orders: u64, memory: u64, has_ids: bool, has_label_times: bool) -> Self {
        let n_lists = (n_orders.saturating_mul(BYTES_PER_ORDER) / memory.max(1)).clamp(1, MAX_LISTS);
        let buffer = usize::try_from(memory / n_lists).map_or(LIST_BUFFER, |share| share.clamp(1 << 10, LIST_BUFFER));
        let lists = (0..n_lists).map(|_| Spool::new(scratch, buffer)).collect();
        Self {
            scratch,
            lists,
            has_ids,
            has_label_times,
            n_orders: 0,
            has_sources: [false; 2],
            judged: Judged::default(),
            memory: usize::try_from(memory).unwrap_or(usize::MAX),
        }
    }

    /// Adds the next order, in canonical order.
    ///
    /// # Errors
    /// [`ReadError::Scratch`].
    pub fn order(&mut self, order: &OrderStatement) -> Result<(), ReadError> {
        if self.has_label_times {
            self.judged.add(order.time, order.label, order.label_time);
        }
        let mut record = Vec::with_capacity(64);
        record.push(ORDER);
        record.extend(self.n_orders.to_be_bytes());
        record.extend(order.id.0.to_be_bytes());
        for time in [order.time, order.known_at, order.label_time] {
            record.extend(sortable(time));
        }
        record.extend([order.label as u8, u8::from(order.repeated)]);
        let list = if self.has_ids { order.id.0 } else { self.n_orders };
        self.n_orders += 1;
        self.push(list, &record)
    }

    /// Adds what a file, or an event, says of the order of an id (`OrderId(0)` where it names none): 1 fraud, 0 honest, -1
    /// nothing, and when that was learned.
    ///
    /// # Errors
    /// [`ReadError::Scratch`].
    pub fn source(&mut self, of_event: bool, id: OrderId, label: i8, learned: i64) -> Result<(), ReadError> {
        self.has_sources[usize::from(of_event)] = true;
        let mut record = vec![if of_event { OF_EVENT } else { OF_FILE }];
        record.extend(id.0.to_be_bytes());
        record.extend(sortable(learned));
        record.push(label as u8);
        self.push(id.0, &record)
    }

    /// Notes that there is a file of labels, even if it holds no row.
    pub fn has_file(&mut self) {
        self.has_sources[0] = true;
    }

    fn push(&mut self, list: u64, record: &[u8]) -> Result<(), ReadError> {
        let n_lists = self.lists.len() as u64;
        Ok(self.lists[(list % n_lists) as usize].push(record)?)
    }

    /// Settles all labels. With the same orders and sources it gives what
    /// [`believe_label_times`](super::believe_label_times), [`merge_repeated`] and [`join_labels`](super::join_labels) do.
    ///
    /// # Errors
    /// [`ReadError::Scratch`].
    pub fn settle(self, label_delay: Span) -> Result<SettledOnDisk<'s>, ReadError> {
        let Self { scratch, lists, has_ids, has_label_times, judged, has_sources, memory, .. } = self;
        let [has_file, has_events] = has_sources;
        let lists: Vec<Records> = lists.into_iter().map(Spool::finish).collect::<Result<_, _>>()?;
        let times_are_believed = has_label_times && judged.are_believed();
        let mut settled = SettledOnDisk {
            scratch,
            orders: Vec::with_capacity(lists.len()),
            learned: Vec::with_capacity(lists.len()),
            memory,
            time_note: None,
            times_are_believed,
            merged: MergeCounts::default(),
            joined: None,
            late: None,
            last_label: None,
            has_label: false,
            n_learned: 0,
        };
        let joins = has_ids && (has_file || has_events);
        let buffer = LIST_BUFFER.min(memory.max(1 << 10));
        let load = |records: &Records| List::load(records.reader(scratch, buffer));
        let mut whole = Whole { has_own_labels: false, names_only_frauds: false };
        if joins {
            let (mut n_fraud, mut n_honest) = (0, 0);
            for records in &lists {
                let list = load(records)?;
                let (orders, ..) = list.own_labels(times_are_believed, has_ids, label_delay);
                whole.has_own_labels |= orders.label.iter().any(|&label| label >= 0);
                let called = list.sources(true, false).iter().map(LabelSource::n_called).next().unwrap_or_default();
                (n_fraud, n_honest) = (n_fraud + called.0, n_honest + called.1);
            }
            whole.names_only_frauds = !has_file || is_fraud_list((n_fraud, n_honest));
        }
        let (mut n_replaced, mut delays) = (0, Vec::new());
        for records in &lists {
            let list = load(records)?;
            let (mut labels, replaced, merged) = list.own_labels(times_are_believed, has_ids, label_delay);
            n_replaced += replaced;
            settled.merged.add(merged);
            if joins {
                let sources = list.sources(has_file, has_events);
                let (joined, counts) =
                    join_part(labels, &list.ids, (&list.times, &list.known_at), &sources, label_delay, whole);
                labels = joined;
                settled.joined.get_or_insert_default().add(&counts);
            }
            leave_out(&mut labels, &list.repeated);
            delays.extend(timed_delays(&labels, &list.times, label_delay));
            settled.take(&list, &labels, label_delay)?;
        }
        settled.time_note = judged.note(n_replaced, label_delay).filter(|_| has_label_times);
        settled.late = late_among(delays, label_delay);
        Ok(settled)
    }
}

/// Takes the labels of repeated orders away, so that they are in no fit and no figure.
///
/// # Panics
/// If there is not one flag per order: a caller's bug.
pub fn leave_out(labels: &mut OrderLabels, repeated: &[bool]) {
    for (order, _) in repeated.iter().enumerate().filter(|(_, repeated)| **repeated) {
        labels.label[order] = -1;
        labels.label_time[order] = MISSING_I64;
    }
    labels.changes.retain(|change| !repeated[change.row as usize]);
}

/// What is said of some of the ids.
#[derive(Debug, Default)]
struct List {
    ordinal: Vec<u64>,
    id: Vec<u64>,
    ids: TextColumn,
    times: Vec<i64>,
    known_at: Vec<i64>,
    given: Vec<i64>,
    label: Vec<i8>,
    repeated: Vec<bool>,
    /// Of the file and of events: code of the id in `ids`, what is said, and when it was learned.
    said: [Vec<(u32, i8, i64)>; 2],
}

impl List {
    fn load(mut reader: Reader<'_>) -> Result<Self, ReadError> {
        let mut list = Self::default();
        let mut codes: BTreeMap<u64, u32> = BTreeMap::new();
        let mut levels = Levels::default();
        let mut code_of = |id: u64| match id {
            0 => MISSING_CODE,
            id => *codes.entry(id).or_insert_with(|| levels.push(&format!("{id:016x}"))),
        };
        let mut record = Vec::new();
        let mut id_codes = Vec::new();
        while reader.next_into(&mut record)? {
            let rest = &record[1..];
            if record[0] == ORDER {
                let id = u64_at(&rest[8..]);
                list.ordinal.push(u64_at(rest));
                list.id.push(id);
                id_codes.push(code_of(id));
                list.times.push(from_sortable(&rest[16..]));
                list.known_at.push(from_sortable(&rest[24..]));
                list.given.push(from_sortable(&rest[32..]));
                list.label.push(rest[40] as i8);
                list.repeated.push(rest[41] != 0);
            } else {
                let said = (code_of(u64_at(rest)), rest[16] as i8, from_sortable(&rest[8..]));
                list.said[usize::from(record[0] == OF_EVENT)].push(said);
            }
        }
        list.ids = TextColumn { codes: id_codes, levels };
        Ok(list)
    }

    /// The labels of the orders' own table, how many label times cannot be true, and what merging came to.
    fn own_labels(&self, believed: bool, has_ids: bool, label_delay: Span) -> (OrderLabels, u64, MergeCounts) {
        let given = believed.then_some(self.given.as_slice());
        let (labels, n_replaced) = settle_times(&self.times, &self.label, given, label_delay);
        if !has_ids {
            return (labels, n_replaced, MergeCounts::default());
        }
        let (labels, counts) = merge_repeated(labels, &self.ids, &self.times, &self.known_at, label_delay);
        (labels, n_replaced, counts)
    }

    fn sources(&self, file: bool, events: bool) -> Vec<LabelSource<'_>> {
        let wanted = [(false, file), (true, events)].into_iter().zip(&self.said).filter(|((_, wanted), _)| *wanted);
        let id = |code: u32| (code != MISSING_CODE).then(|| self.ids.levels.get(code));
        let source = |((of_events, _), said): (_, &Vec<(u32, i8, i64)>)| LabelSource {
            of_events,
            rows: said.iter().map(|&(code, said, learned)| (id(code), said, learned)).collect(),
        };
        wanted.map(source).collect()
    }
}

impl SettledOnDisk<'_> {
    /// Writes the labels of a list: in the order of the orders, and in the order in which history learns them.
    fn take(&mut self, list: &List, labels: &OrderLabels, label_delay: Span) -> Result<(), ReadError> {
        let due = |row: usize| due(list.times[row], label_delay);
        let mut spool = Spool::new(self.scratch, LIST_BUFFER);
        for row in 0..labels.label.len() {
            let (label, time) = (labels.label[row], labels.label_time[row]);
            self.has_label |= label >= 0;
            if time != MISSING_I64 && time != due(row) {
                self.last_label = self.last_label.max(Some(time));
            }
            let mut record = [0; 25];
            record[..8].copy_from_slice(&list.ordinal[row].to_be_bytes());
            record[8..16].copy_from_slice(&sortable(time));
            record[16..24].copy_from_slice(&sortable(labels.known_from[row]));
            record[24] = label as u8;
            spool.push(&record)?;
        }
        self.orders.push(spool.finish()?);

        let mut changed = vec![false; labels.label.len()];
        let mut learned: Vec<[u8; 42]> = Vec::new();
        let mut learn = |row: usize, time: i64, fraud: bool, is_change: bool| {
            let mut record = [0; 42];
            record[..8].copy_from_slice(&sortable(time.max(list.known_at[row])));
            record[8..16].copy_from_slice(&list.ordinal[row].to_be_bytes());
            record[16] = u8::from(fraud);
            record[17..25].copy_from_slice(&sortable(time));
            record[25..33].copy_from_slice(&list.id[row].to_be_bytes());
            record[33..41].copy_from_slice(&sortable(list.known_at[row]));
            record[41] = u8::from(is_change);
            learned.push(record);
        };
        for change in &labels.changes {
            changed[change.row as usize] = true;
            learn(change.row as usize, change.time, change.fraud, true);
            if change.time != due(change.row as usize) {
                self.last_label = self.last_label.max(Some(change.time));
            }
        }
        for row in (0..labels.label.len()).filter(|&row| labels.label[row] == 0 && !changed[row]) {
            // An honest label that came before it was due resolves its order early.
            if labels.label_time[row] < due(row) {
                learn(row, labels.label_time[row], false, false);
            }
        }
        learned.sort_unstable();
        self.n_learned += learned.len() as u64;
        let mut spool = Spool::new(self.scratch, LIST_BUFFER);
        learned.iter().try_for_each(|record| spool.push(record))?;
        self.learned.push(spool.finish()?);
        Ok(())
    }
}

impl<'s> SettledOnDisk<'s> {
    fn merge(&self, lists: &[Records]) -> Result<Merge<Reader<'s>>, ReadError> {
        let buffer = (self.memory / lists.len().max(1)).clamp(1 << 10, LIST_BUFFER);
        Merge::new(lists.iter().map(|list| list.reader(self.scratch, buffer)).collect())
    }

    /// The labels of all orders, in canonical order.
    ///
    /// # Errors
    /// [`ReadError::Scratch`].
    pub fn orders(&self) -> Result<SettledOrders<'s>, ReadError> {
        Ok(SettledOrders { merge: self.merge(&self.orders)?, record: Vec::new() })
    }

    /// The labels that history learns, in order of time, then of their orders.
    ///
    /// # Errors
    /// [`ReadError::Scratch`].
    pub fn learned(&self) -> Result<LearnedLabels<'s>, ReadError> {
        Ok(LearnedLabels { merge: self.merge(&self.learned)?, record: Vec::new() })
    }
}

/// See [`SettledOnDisk::orders`].
pub struct SettledOrders<'s> {
    merge: Merge<Reader<'s>>,
    record: Vec<u8>,
}

impl SettledOrders<'_> {
    /// Labels of the next `n` orders, without their changes.
    ///
    /// # Errors
    /// [`ReadError::Scratch`], and [`ReadError::Changed`] where there are not as many.
    pub fn take(&mut self, n: usize) -> Result<OrderLabels, ReadError> {
        let mut labels = OrderLabels::default();
        for _ in 0..n {
            if !self.merge.next_into(&mut self.record)? {
                return Err(ReadError::Changed { file: "the orders".into() });
            }
            labels.label_time.push(from_sortable(&self.record[8..]));
            labels.known_from.push(from_sortable(&self.record[16..]));
            labels.label.push(self.record[24] as i8);
        }
        Ok(labels)
    }
}

/// A label that history learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LearnedLabel {
    /// When, as it was said; history learns it then, but never before its order.
    pub time: i64,
    /// When the shop knew of the order.
    pub known_at: i64,
    /// Position of the order in canonical order.
    pub order: u64,
    /// Its id.
    pub id: OrderId,
    /// What is learned.
    pub fraud: bool,
    /// Whether it is a turn to fraud or back, not merely an early confirmation.
    pub is_change: bool,
}

/// See [`SettledOnDisk::learned`].
pub struct LearnedLabels<'s> {
    merge: Merge<Reader<'s>>,
    record: Vec<u8>,
}

impl LearnedLabels<'_> {
    /// The next label that is learned before `until`, if that is given.
    ///
    /// # Errors
    /// [`ReadError::Scratch`].
    pub fn next_before(&mut self, until: Option<i64>) -> Result<Option<LearnedLabel>, ReadError> {
        let Some(head) = self.merge.peek() else { return Ok(None) };
        if until.is_some_and(|until| from_sortable(head) >= until) || !self.merge.next_into(&mut self.record)? {
            return Ok(None);
        }
        let record = &self.record;
        Ok(Some(LearnedLabel {
            order: u64_at(&record[8..]),
            fraud: record[16] != 0,
            time: from_sortable(&record[17..]),
            id: OrderId(u64_at(&record[25..])),
            known_at: from_sortable(&record[33..]),
            is_change: record[41] != 0,
        }))
    }
}
