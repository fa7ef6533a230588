//! The one pass in order of time over orders, events and labels, with the same calls that a service makes.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::items::Items;
use super::{LabelEvent, LabelOf, ReplayInput};
use crate::canonical::CanonicalRows;
use crate::extract::Extractor;
use crate::identity::OrderId;
use crate::kernel::LabelNews;
use crate::kind::EventKind;
use crate::order_index::OrderLabel;
use crate::schema::Role;
use crate::state::{AGE, State, news_of, order_memory};
use crate::table::ColumnData;
use crate::time::UnixMillis;

/// What was learned, in the order in which it was.
pub(super) struct Stream {
    /// Items; orders with a repeated id are among them, because their rows are wanted; ignored events and labels are not.
    pub(super) items: Vec<u32>,
    /// Per order.
    pub(super) repeated: Vec<bool>,
    /// Items from [`Items::n_events`] on.
    news: Vec<LabelNews>,
    /// When each of them was learned by the clock of the stream.
    news_time: Vec<i64>,
}

/// A label of an order of the table where orders have no ids.
#[derive(Clone, Copy)]
struct Unnamed {
    resolved_at: UnixMillis,
    label_time: Option<UnixMillis>,
    fraud: bool,
}

/// One step of the merged stream.
enum Step {
    Order(usize),
    Event(usize),
    Label(usize),
}

impl Stream {
    /// Learns all that concerns single orders and events into `state`, and gives events the keys of their orders.
    pub(super) fn settle(extractor: &Extractor, input: &ReplayInput<'_>, items: &mut Items, state: &mut State) -> Self {
        let labels = sorted_labels(input);
        let n_events = input.events.map_or(0, |(_, rows)| rows.len());
        let fraud = input.events.map_or_else(Vec::new, |events| says_fraud(extractor, events));
        let mut pass = Pass {
            extractor,
            input,
            items,
            state,
            fraud,
            unnamed: HashMap::default(),
            key_room: vec![0; extractor.sources.len()],
            stream: Self {
                items: Vec::with_capacity(input.rows.len() + n_events + labels.len()),
                repeated: vec![false; input.rows.len()],
                news: Vec::new(),
                news_time: Vec::new(),
            },
        };
        for step in merged(input, &labels) {
            match step {
                Step::Order(order) => pass.order(order),
                Step::Event(event) => pass.event(event),
                Step::Label(label) => pass.label(&labels[label]),
            }
        }
        pass.stream
    }

    /// The label that an item is, `None` for orders and events.
    pub(super) fn news(&self, items: &Items, item: u32) -> Option<&LabelNews> {
        self.news.get((item as usize).checked_sub(items.n_events())?)
    }

    /// Whether an item is an order that history ignores.
    pub(super) fn is_repeated(&self, item: u32) -> bool {
        self.repeated.get(item as usize).copied().unwrap_or(false)
    }

    /// When an item was learned.
    pub(super) fn time(&self, items: &Items, item: u32) -> i64 {
        match (item as usize).checked_sub(items.n_events()) {
            Some(news) => self.news_time[news],
            None => items.heads[item as usize].known_at,
        }
    }

    /// The items in groups of one millisecond.
    pub(super) fn milliseconds<'a>(&'a self, items: &'a Items) -> impl Iterator<Item = &'a [u32]> {
        self.items.chunk_by(|&a, &b| self.time(items, a) == self.time(items, b))
    }
}

/// A label with the time at which it is learned: one from before its order was known counts from then on.
fn sorted_labels(input: &ReplayInput<'_>) -> Vec<LabelEvent> {
    let mut labels = input.labels.to_vec();
    for label in &mut labels {
        if let LabelOf::Row(order) = label.order {
            label.time = label.time.max(input.rows.known_at[order as usize]);
        }
    }
    labels.sort_by_key(|label| (label.time, label.order, label.fraud));
    labels
}

/// Orders, events and labels by time; in one millisecond in this order.
fn merged<'a>(input: &ReplayInput<'a>, labels: &'a [LabelEvent]) -> impl Iterator<Item = Step> + use<'a> {
    let orders = &input.rows.known_at;
    let events: &[UnixMillis] = input.events.map_or(&[], |(_, rows)| &rows.known_at);
    let (mut order, mut event, mut label) = (0, 0, 0);
    std::iter::from_fn(move || {
        let (next_event, next_label) = (events.get(event), labels.get(label).map(|label| &label.time));
        let before = |a: &UnixMillis, b: Option<&UnixMillis>| b.is_none_or(|b| a <= b);
        if let Some(time) = orders.get(order)
            && before(time, next_event)
            && before(time, next_label)
        {
            order += 1;
            return Some(Step::Order(order - 1));
        }
        match next_event {
            Some(time) if before(time, next_label) => {
                event += 1;
                Some(Step::Event(event - 1))
            }
            _ => next_label.map(|_| {
                label += 1;
                Step::Label(label - 1)
            }),
        }
    })
}

/// Per canonical event, whether it says fraud if it is a label: an event with a 0 in the label column takes one back.
fn says_fraud(extractor: &Extractor, (events, rows): (&crate::table::EventTable, &CanonicalRows)) -> Vec<bool> {
    let labels = match extractor.schema.find(Role::Label).map(|column| &events.table.columns[column]) {
        Some(ColumnData::Label(labels)) => Some(labels),
        _ => None,
    };
    rows.row.iter().map(|&row| labels.is_none_or(|labels| labels[row as usize] != 0)).collect()
}

struct Pass<'a> {
    extractor: &'a Extractor,
    input: &'a ReplayInput<'a>,
    items: &'a mut Items,
    state: &'a mut State,
    fraud: Vec<bool>,
    unnamed: HashMap<u32, Unnamed, FixedState>,
    key_room: Vec<u64>,
    stream: Stream,
}

/// An id that is there.
fn given(ids: Option<&Vec<OrderId>>, at: usize) -> Option<OrderId> {
    ids.map(|ids| ids[at]).filter(|id| *id != OrderId(0))
}

impl Pass<'_> {
    fn order(&mut self, order: usize) {
        let rows = self.input.rows;
        let known_at = rows.known_at[order];
        let taken = given(rows.event_id.as_ref(), order).is_none_or(|id| self.state.event_ids.insert(id, known_at))
            && given(rows.id.as_ref(), order).is_none_or(|id| {
                for (key, keys) in self.key_room.iter_mut().zip(&self.items.keys) {
                    *key = keys[order];
                }
                self.state.orders.insert(id, rows.time[order], known_at, &self.key_room)
            });
        self.stream.items.push(order as u32);
        if taken {
            self.state.position.pass(EventKind::Order, known_at);
        } else {
            self.stream.repeated[order] = true;
            self.state.position.n_repeated += 1;
        }
    }

    fn event(&mut self, event: usize) {
        let Some((_, rows)) = self.input.events else { return };
        let known_at = rows.known_at[event];
        if given(rows.event_id.as_ref(), event).is_some_and(|id| !self.state.event_ids.insert(id, known_at)) {
            self.state.position.n_repeated += 1;
            return;
        }
        let item = self.items.n_orders + event;
        let id = given(rows.id.as_ref(), event);
        if let Some((time, keys)) = id.and_then(|id| self.state.order_before(id, known_at)) {
            for (own, &of_order) in self.items.keys.iter_mut().zip(keys) {
                if own[item] == 0 {
                    own[item] = of_order;
                }
            }
            *self.items.value_mut(item, AGE) = rows.time[event].0.saturating_sub(time.0);
        }
        let kind = self.items.heads[item].kind;
        self.stream.items.push(item as u32);
        self.state.position.pass(kind, known_at);
        if let Some(id) = id.filter(|_| kind.is_label()) {
            self.label_of(id, known_at, self.fraud[event]);
        }
    }

    fn label(&mut self, label: &LabelEvent) {
        match label.order {
            LabelOf::Id(id) => self.label_of(id, label.time, label.fraud),
            LabelOf::Row(order) if self.stream.repeated[order as usize] => {}
            LabelOf::Row(order) => match given(self.input.rows.id.as_ref(), order as usize) {
                Some(id) => self.label_of(id, label.time, label.fraud),
                None => self.label_of_unnamed(order, label.time, label.fraud),
            },
        }
    }

    fn label_of(&mut self, id: OrderId, time: UnixMillis, fraud: bool) {
        // As `State::learn_label`.
        let latest = self.state.orders.get(id, time).map(|(order, _)| (order.label_time, order.fraud));
        if latest == Some((Some(time), fraud)) {
            return;
        }
        let Some((label, keys)) = self.state.orders.learn_label(id, time, fraud) else {
            self.state.position.n_labels_ignored += 1;
            return;
        };
        for (all, &key) in self.items.keys.iter_mut().zip(keys) {
            all.push(key);
        }
        self.push_news(&label, time);
    }

    /// As [`OrderIndex::learn_label`](crate::order_index::OrderIndex::learn_label), for an order that has no name.
    fn label_of_unnamed(&mut self, order: u32, time: UnixMillis, fraud: bool) {
        let rows = self.input.rows;
        let delay = self.extractor.schema.label_delay;
        let (order_time, known_at) = (rows.time[order as usize], rows.known_at[order as usize]);
        if time > known_at.plus(order_memory(delay)) {
            self.state.position.n_labels_ignored += 1;
            return;
        }
        let unnamed = Unnamed { resolved_at: order_time.plus(delay), label_time: None, fraud: false };
        let record = self.unnamed.entry(order).or_insert(unnamed);
        let label = OrderLabel {
            id: OrderId(0),
            order_time,
            known_at,
            resolved_before: record.resolved_at,
            time: time.max(known_at).max(record.label_time.unwrap_or(known_at)),
            fraud,
            was_fraud: record.fraud,
        };
        *record = Unnamed { resolved_at: label.resolved_at(), label_time: Some(label.time), fraud };
        for keys in &mut self.items.keys {
            keys.push(keys[order as usize]);
        }
        self.push_news(&label, time);
    }

    fn push_news(&mut self, label: &OrderLabel, time: UnixMillis) {
        self.stream.items.push((self.items.n_events() + self.stream.news.len()) as u32);
        self.stream.news.push(news_of(label));
        self.stream.news_time.push(time.0);
        self.state.position.n_labels += 1;
        self.state.position.known_at = self.state.position.known_at.max(Some(label.time));
    }
}
