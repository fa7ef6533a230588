//! The one pass in order of time over orders, events and labels, with the same calls that a service makes.

use super::items::Items;
use super::lives::Lives;
use super::recall::{KeptKeys, LabelOutcome, Recall};
use super::{LabelEvent, LabelOf, ReplayInput};
use crate::canonical::CanonicalRows;
use crate::extract::Extractor;
use crate::identity::OrderId;
use crate::kernel::LabelNews;
use crate::kind::EventKind;
use crate::schema::Role;
use crate::state::{Position, State, news_of};
use crate::table::ColumnData;
use crate::time::UnixMillis;

/// What was learned, in the order in which it was.
pub(super) struct Stream {
    /// Items; orders with a repeated id are among them, because their rows are wanted; ignored events and labels are not.
    pub(super) items: Vec<u32>,
    /// Per order.
    pub(super) repeated: Vec<bool>,
    any_repeated: bool,
    /// Items from [`Items::n_events`] on.
    news: Vec<LabelNews>,
    /// When each of them was learned by the clock of the stream.
    news_time: Vec<i64>,
    /// Whose keys each of them has.
    pub(super) news_keys: Vec<KeptKeys>,
    /// Events that take the missing keys of their orders.
    pub(super) inherited: Vec<Inherited>,
    /// Per event, whether it says fraud if it is a label.
    pub(super) fraud: Vec<bool>,
    /// Which entities are gone when.
    pub(super) lives: Lives,
}

/// An event about an order that was known before.
pub(super) struct Inherited {
    pub(super) item: usize,
    pub(super) keys: KeptKeys,
    /// Milliseconds since the order.
    pub(super) age: i64,
}

/// One step of the merged stream.
enum Step {
    Order(usize),
    Event(usize),
    Label(usize),
}

impl Stream {
    /// Settles all that concerns single orders and events. What is left to learn of orders and event ids comes back.
    pub(super) fn settle<'a>(
        extractor: &Extractor,
        input: &'a ReplayInput<'_>,
        state: &mut State,
    ) -> (Self, Recall<'a>) {
        let labels = labels_in_order(input.labels, input.rows);
        let n_events = input.events.map_or(0, |(_, rows)| rows.len());
        let fraud = input.events.map_or_else(Vec::new, |events| says_fraud(extractor, events));
        let mut pass = Pass {
            input,
            recall: Recall::new(input.rows, extractor.schema.label_delay, &state.orders, &state.event_ids),
            stream: Self {
                fraud,
                items: Vec::with_capacity(input.rows.len() + n_events + labels.len()),
                repeated: vec![false; input.rows.len()],
                any_repeated: false,
                news: Vec::new(),
                news_time: Vec::new(),
                news_keys: Vec::new(),
                inherited: Vec::new(),
                lives: Lives::new(&state.lives),
            },
            state,
            n_events: input.rows.len() + n_events,
        };
        if input.events.is_none() && input.rows.id.is_none() && input.rows.event_id.is_none() {
            pass.nameless(&labels);
        } else {
            for step in merged(input, &labels) {
                match step {
                    Step::Order(order) => pass.order(order),
                    Step::Event(event) => pass.event(event),
                    Step::Label(label) => pass.label(&labels[label]),
                }
            }
        }
        pass.stream.lives.finish(&pass.state.lives);
        (pass.stream, pass.recall)
    }

    /// The label that an item is, `None` for orders and events.
    pub(super) fn news(&self, items: &Items<'_>, item: u32) -> Option<&LabelNews> {
        self.news.get((item as usize).checked_sub(items.n_events())?)
    }

    /// Whether an item is an order that history ignores.
    pub(super) fn is_repeated(&self, item: u32) -> bool {
        self.any_repeated && self.repeated.get(item as usize).copied().unwrap_or(false)
    }

    /// When an item was learned.
    pub(super) fn time(&self, items: &Items<'_>, item: u32) -> i64 {
        match (item as usize).checked_sub(items.n_events()) {
            Some(news) => self.news_time[news],
            None => items.known_at(item),
        }
    }

    /// Some of the items in groups of one millisecond.
    pub(super) fn milliseconds<'a>(
        &'a self,
        items: &'a Items<'_>,
        piece: &'a [u32],
    ) -> impl Iterator<Item = &'a [u32]> {
        piece.chunk_by(|&a, &b| self.time(items, a) == self.time(items, b))
    }

    /// The items in pieces, see [`Lives::pieces`].
    pub(super) fn pieces<'a>(&'a self, items: &Items<'_>) -> Vec<&'a [u32]> {
        self.lives.pieces(&self.items, |item| self.time(items, item))
    }

    /// The horizon at the end of some of the items.
    pub(super) fn horizon_after(&self, items: &Items<'_>, piece: &[u32]) -> i64 {
        piece.last().map_or(i64::MIN, |&item| self.lives.horizon_at(self.time(items, item)))
    }
}

/// Labels in the order in which they are learned, with the time at which they are: one from before its order was known counts
/// from then on. Of those of an order that come to one time, only the latest is left; of two that contradict each other at one
/// time, the fraud.
pub fn labels_in_order(labels: &[LabelEvent], orders: &CanonicalRows) -> Vec<LabelEvent> {
    let learned_at = |label: &LabelEvent| match label.order {
        LabelOf::Row(order) => label.time.max(orders.known_at[order as usize]),
        LabelOf::Known(_, known_at) => label.time.max(known_at),
    };
    let mut labels: Vec<(UnixMillis, LabelEvent)> = labels.iter().map(|label| (learned_at(label), *label)).collect();
    labels.sort_by_key(|(at, label)| (*at, label.order, label.time, label.fraud));
    labels.dedup_by(|later, earlier| {
        let same = (later.0, later.1.order) == (earlier.0, earlier.1.order);
        if same {
            *earlier = *later;
        }
        same
    });
    labels.into_iter().map(|(time, label)| LabelEvent { time, ..label }).collect()
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
pub(super) fn says_fraud(
    extractor: &Extractor,
    (events, rows): (&crate::table::EventTable, &CanonicalRows),
) -> Vec<bool> {
    let labels = match extractor.schema.find(Role::Label).map(|column| &events.table.columns[column]) {
        Some(ColumnData::Label(labels)) => Some(labels),
        _ => None,
    };
    rows.row.iter().map(|&row| labels.is_none_or(|labels| labels[row as usize] != 0)).collect()
}

struct Pass<'a, 'b> {
    input: &'a ReplayInput<'a>,
    recall: Recall<'a>,
    state: &'b mut State,
    stream: Stream,
    /// Orders and events: the number of the first label.
    n_events: usize,
}

/// An id that is there.
fn given(ids: Option<&Vec<OrderId>>, at: usize) -> Option<OrderId> {
    ids.map(|ids| ids[at]).filter(|id| *id != OrderId(0))
}

impl Pass<'_, '_> {
    /// All steps where orders have no ids and there are no other events: as one order and label after the other.
    fn nameless(&mut self, labels: &[LabelEvent]) {
        let mut first = 0;
        for label in labels {
            let known_at = &self.input.rows.known_at[first..];
            let n_before = known_at.iter().take_while(|known_at| **known_at <= label.time).count();
            self.nameless_orders(first..first + n_before);
            first += n_before;
            self.label(label);
        }
        self.nameless_orders(first..self.input.rows.len());
    }

    fn nameless_orders(&mut self, orders: std::ops::Range<usize>) {
        let known_at = &self.input.rows.known_at[orders.clone()];
        self.stream.items.extend(orders.map(|order| order as u32));
        self.state.position.pass_orders(known_at);
        self.stream.lives.pass_all(&mut self.state.lives, known_at);
    }

    fn order(&mut self, order: usize) {
        let (rows, state) = (self.input.rows, &mut *self.state);
        let known_at = rows.known_at[order];
        state.position.note(known_at);
        let event_id = given(rows.event_id.as_ref(), order);
        let taken = event_id.is_none_or(|id| self.recall.take_event(id, known_at, &state.event_ids))
            && given(rows.id.as_ref(), order).is_none_or(|id| self.recall.take_order(id, order as u32, &state.orders));
        self.stream.items.push(order as u32);
        if taken {
            state.position.pass(EventKind::Order, known_at);
            self.stream.lives.pass(&mut state.lives, known_at.0);
            if let Some(fraud) = given(rows.id.as_ref(), order).and_then(|id| state.take_early(id, known_at)) {
                let outcome = self.recall.label_row(order as u32, known_at, fraud);
                self.stream.learn(&outcome, known_at, self.n_events, &mut state.position);
            }
        } else {
            self.stream.repeated[order] = true;
            self.stream.any_repeated = true;
            state.position.n_repeated += 1;
        }
    }

    fn event(&mut self, event: usize) {
        let Some((events, rows)) = self.input.events else { return };
        let known_at = rows.known_at[event];
        self.state.position.note(known_at);
        let event_id = given(rows.event_id.as_ref(), event);
        if event_id.is_some_and(|id| !self.recall.take_event(id, known_at, &self.state.event_ids)) {
            self.state.position.n_repeated += 1;
            return;
        }
        let item = self.input.rows.len() + event;
        let id = given(rows.id.as_ref(), event);
        if let Some((time, keys)) = id.and_then(|id| self.recall.order_before(id, known_at, &self.state.orders)) {
            let age = rows.time[event].0.saturating_sub(time.0);
            self.stream.inherited.push(Inherited { item, keys: keys.to_kept(), age });
        }
        let kind = events.kinds[rows.row[event] as usize];
        self.stream.items.push(item as u32);
        self.state.position.pass(kind, known_at);
        self.stream.lives.pass(&mut self.state.lives, known_at.0);
        if let Some(id) = id.filter(|_| kind.is_label()) {
            self.label_by_id(id, known_at, self.stream.fraud[event]);
        }
    }

    /// As [`State::learn_label`].
    fn label_by_id(&mut self, id: OrderId, time: UnixMillis, fraud: bool) {
        let outcome = self.recall.learn_label(id, time, fraud, &mut self.state.orders);
        if matches!(outcome, LabelOutcome::Unknown) {
            self.state.position.n_labels_ignored += u64::from(self.state.orders.keep_early(id, time, fraud));
        } else {
            self.stream.learn(&outcome, time, self.n_events, &mut self.state.position);
        }
    }

    /// As [`State::learn_label_of`].
    fn label(&mut self, label: &LabelEvent) {
        let (id, outcome) = match label.order {
            LabelOf::Row(order) if self.stream.repeated[order as usize] => return,
            LabelOf::Row(order) => {
                let id = given(self.input.rows.id.as_ref(), order as usize);
                (id, self.recall.label_row(order, label.time, label.fraud))
            }
            LabelOf::Known(id, known_at) => {
                let order = (id, known_at);
                (Some(id), self.recall.label_known(order, label.time, label.fraud, &mut self.state.orders))
            }
        };
        if matches!(outcome, LabelOutcome::Unknown) {
            let is_counted = id.is_some_and(|id| self.state.orders.has_early(id, label.time, label.fraud));
            self.state.position.n_labels_ignored += u64::from(!is_counted);
        } else {
            self.stream.learn(&outcome, label.time, self.n_events, &mut self.state.position);
        }
    }
}

impl Stream {
    /// Makes a label an item, with the keys of its order. `n_events` is the number of the first label.
    fn learn(&mut self, outcome: &LabelOutcome<'_>, time: UnixMillis, n_events: usize, position: &mut Position) {
        let (label, keys) = match outcome {
            LabelOutcome::New(label, keys) => (label, keys),
            LabelOutcome::Same | LabelOutcome::Unknown => return,
        };
        self.items.push((n_events + self.news.len()) as u32);
        self.news.push(news_of(label));
        self.news_time.push(time.0);
        self.news_keys.push(keys.to_kept());
        position.n_labels += 1;
        position.known_at = position.known_at.max(Some(label.time));
    }
}
