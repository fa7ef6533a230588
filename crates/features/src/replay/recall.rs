//! The orders and events of a replay, found by their ids: as in the state, but in plain maps, which are given to the state
//! at the end. Looking ids up in maps that grow without a stop would take longer than all else that is done per order.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::items::Items;
use crate::canonical::CanonicalRows;
use crate::identity::OrderId;
use crate::order_index::{EventIds, OrderIndex, OrderLabel, OrderRecord};
use crate::state::order_memory;
use crate::time::{Span, UnixMillis};

type Ids<T> = HashMap<u64, T, FixedState>;

/// What a replay remembers of its own orders and events. What came before it is asked of the state.
pub(super) struct Recall<'a> {
    rows: &'a CanonicalRows,
    label_delay: Span,
    memory: Span,
    /// The latest order of each id.
    order_of: Ids<u32>,
    /// Orders that were taken, rising.
    taken: Vec<u32>,
    /// Orders with a label.
    labelled: HashMap<u32, OrderRecord, FixedState>,
    /// When the latest event of each id became known.
    event_ids: Ids<UnixMillis>,
    /// Events that were taken, in order.
    events: Vec<(OrderId, UnixMillis)>,
    /// Whether the state holds orders or events from before.
    earlier_orders: bool,
    earlier_events: bool,
}

/// Whose keys and currency an order has.
pub(super) enum OrderKeys<'a> {
    /// Those of an order of this replay.
    Row(u32),
    /// Those that the state holds.
    Stored(&'a [u64], u32),
}

impl OrderKeys<'_> {
    /// The same, without a loan.
    pub(super) fn to_kept(&self) -> KeptKeys {
        match self {
            Self::Row(order) => KeptKeys::Row(*order),
            Self::Stored(keys, currency) => KeptKeys::Stored((*keys).into(), *currency),
        }
    }
}

/// As [`OrderKeys`].
pub(super) enum KeptKeys {
    Row(u32),
    Stored(Box<[u64]>, u32),
}

impl KeptKeys {
    /// The key of one source; `of_order` gives that of an order of this replay.
    pub(super) fn of_source(&self, source: usize, of_order: impl Fn(u32) -> u64) -> u64 {
        match self {
            Self::Row(order) => of_order(*order),
            Self::Stored(stored, _) => stored[source],
        }
    }

    /// The currency; `of_order` gives that of an order of this replay.
    pub(super) fn currency(&self, of_order: impl Fn(u32) -> u32) -> u32 {
        match self {
            Self::Row(order) => of_order(*order),
            Self::Stored(_, currency) => *currency,
        }
    }
}

/// What became of a label.
pub(super) enum LabelOutcome<'a> {
    New(OrderLabel, OrderKeys<'a>),
    /// The order's latest label says so already.
    Same,
    /// The order is unknown or too old.
    Unknown,
}

impl<'a> Recall<'a> {
    pub(super) fn new(rows: &'a CanonicalRows, label_delay: Span, orders: &OrderIndex, events: &EventIds) -> Self {
        let ids =
            |wanted: bool| Ids::with_capacity_and_hasher(if wanted { rows.len() } else { 0 }, FixedState::default());
        Self {
            rows,
            label_delay,
            memory: order_memory(label_delay),
            order_of: ids(rows.id.is_some()),
            taken: Vec::with_capacity(if rows.id.is_some() { rows.len() } else { 0 }),
            labelled: HashMap::default(),
            event_ids: Ids::default(),
            events: Vec::new(),
            earlier_orders: !orders.is_empty(),
            earlier_events: !events.is_empty(),
        }
    }

    /// As [`EventIds::insert`].
    pub(super) fn take_event(&mut self, id: OrderId, known_at: UnixMillis, earlier: &EventIds) -> bool {
        let is_new = match self.event_ids.get(&id.0) {
            Some(&before) => known_at > before.plus(self.memory),
            None => !self.earlier_events || !earlier.contains(id, known_at),
        };
        if is_new {
            self.event_ids.insert(id.0, known_at);
            self.events.push((id, known_at));
        }
        is_new
    }

    /// As [`OrderIndex::insert`].
    pub(super) fn take_order(&mut self, id: OrderId, order: u32, earlier: &OrderIndex) -> bool {
        let known_at = self.rows.known_at[order as usize];
        let is_new = match self.order_of.get(&id.0) {
            Some(&before) => self.is_forgotten(before, known_at),
            None => !self.earlier_orders || earlier.get(id, known_at).is_none(),
        };
        if is_new {
            self.order_of.insert(id.0, order);
            self.taken.push(order);
        }
        is_new
    }

    fn is_forgotten(&self, order: u32, at: UnixMillis) -> bool {
        at > self.rows.known_at[order as usize].plus(self.memory)
    }

    /// The time and keys of an order that was known before that time.
    pub(super) fn order_before<'b>(
        &self,
        id: OrderId,
        known_at: UnixMillis,
        earlier: &'b OrderIndex,
    ) -> Option<(UnixMillis, OrderKeys<'b>)> {
        let Some(&order) = self.order_of.get(&id.0) else {
            let (record, keys) = if self.earlier_orders { earlier.get(id, known_at) } else { None }?;
            return (record.known_at < known_at).then_some((record.time, OrderKeys::Stored(keys, record.currency)));
        };
        let is_known = self.rows.known_at[order as usize] < known_at && !self.is_forgotten(order, known_at);
        is_known.then(|| (self.rows.time[order as usize], OrderKeys::Row(order)))
    }

    /// As [`State::learn_label`](crate::state::State::learn_label), for the order of that id.
    pub(super) fn learn_label<'b>(
        &mut self,
        id: OrderId,
        time: UnixMillis,
        fraud: bool,
        earlier: &'b mut OrderIndex,
    ) -> LabelOutcome<'b> {
        if let Some(&order) = self.order_of.get(&id.0) {
            return self.label_row(order, time, fraud);
        }
        if !self.earlier_orders {
            return LabelOutcome::Unknown;
        }
        if earlier.get(id, time).is_some_and(|(record, _)| record.has_label(time, fraud)) {
            return LabelOutcome::Same;
        }
        match earlier.learn_label(id, time, fraud) {
            // A label has no currency.
            Some((label, keys)) => LabelOutcome::New(label, OrderKeys::Stored(keys, 0)),
            None => LabelOutcome::Unknown,
        }
    }

    /// The same for the order of that id which became known at that time.
    pub(super) fn label_known<'b>(
        &mut self,
        (id, known_at): (OrderId, UnixMillis),
        time: UnixMillis,
        fraud: bool,
        earlier: &'b mut OrderIndex,
    ) -> LabelOutcome<'b> {
        let latest = match self.order_of.get(&id.0) {
            Some(&order) => Some(self.rows.known_at[order as usize]),
            None => earlier.get(id, time).map(|(record, _)| record.known_at),
        };
        if latest == Some(known_at) { self.learn_label(id, time, fraud, earlier) } else { LabelOutcome::Unknown }
    }

    /// The same for an order of this replay, which need not have an id.
    pub(super) fn label_row<'b>(&mut self, order: u32, time: UnixMillis, fraud: bool) -> LabelOutcome<'b> {
        if self.is_forgotten(order, time) {
            return LabelOutcome::Unknown;
        }
        let record = self.record(order);
        let record = self.labelled.entry(order).or_insert(record);
        if record.has_label(time, fraud) {
            return LabelOutcome::Same;
        }
        LabelOutcome::New(record.learn_label(time, fraud), OrderKeys::Row(order))
    }

    fn record(&self, order: u32) -> OrderRecord {
        let at = order as usize;
        let id = self.rows.id.as_ref().map_or(OrderId(0), |ids| ids[at]);
        OrderRecord::new(id, self.rows.time[at], self.rows.known_at[at], self.label_delay)
    }

    /// Leaves all that was taken in the state.
    pub(super) fn hand_over(self, items: &Items<'_>, orders: &mut OrderIndex, event_ids: &mut EventIds) {
        // Of orders that share an id, the latest counts; so of events.
        let latest: Vec<u32> = if self.taken.len() == self.order_of.len() {
            self.taken.clone()
        } else {
            let is_latest = |order: &&u32| self.order_of.get(&self.record(**order).id.0) == Some(*order);
            self.taken.iter().filter(is_latest).copied().collect()
        };
        let record = |i: usize| {
            let order = latest[i];
            let record = self.labelled.get(&order).copied().unwrap_or_else(|| self.record(order));
            OrderRecord { currency: items.head(order).currency, ..record }
        };
        let keys = |i: usize, room: &mut [u64]| {
            let places = room.iter_mut().take(items.n_sources()).enumerate();
            places.for_each(|(source, place)| *place = items.key(source, latest[i]));
        };
        let known_at = |order: &u32| self.rows.known_at[*order as usize];
        orders.extend(self.taken.iter().map(known_at), latest.len(), record, keys);
        let is_latest = |(id, known_at): &&(OrderId, UnixMillis)| self.event_ids.get(&id.0) == Some(known_at);
        let latest: Vec<_> = self.events.iter().filter(is_latest).copied().collect();
        event_ids.extend(self.events.iter().map(|(_, known_at)| *known_at), latest.len(), |i| latest[i]);
    }
}
