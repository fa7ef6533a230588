//! What is remembered of all entities: the state that a service holds, changed only by learning.

use std::collections::HashMap;
use std::fmt;

use foldhash::fast::FixedState;

use crate::event::OrderEvent;
use crate::extract::Extractor;
use crate::history::{EntityHistory, LabelNews, Sighting};
use crate::identity::{EntityKey, OrderId};
use crate::time::{Span, UnixMillis};

/// For how long after an order its label is taken, and a repeated order id recognised: 120 days, within which chargebacks
/// come, or 60 days more than the label delay where that is longer.
pub fn order_memory(label_delay: Span) -> Span {
    Span::days(120).max(Span(label_delay.0.saturating_add(Span::days(60).0)))
}

/// Histories of one entity column.
pub(crate) type Histories = HashMap<EntityKey, EntityHistory, FixedState>;

/// What is kept of an order so that its label finds its entities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OrderRecord {
    pub(crate) known_at: UnixMillis,
    /// From when on the order counts as resolved.
    pub(crate) resolved_at: UnixMillis,
    /// When its latest label was learned.
    pub(crate) label_time: Option<UnixMillis>,
    /// One per entity column.
    pub(crate) entities: Box<[Option<EntityKey>]>,
}

/// How far the state has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Orders learned.
    pub n_orders: u64,
    /// Labels learned.
    pub n_labels: u64,
    /// Repeated order ids ignored.
    pub n_repeated: u64,
    /// Labels ignored because their order is unknown or too old.
    pub n_labels_ignored: u64,
    /// When the latest order became known.
    pub last_order: Option<UnixMillis>,
    /// When the latest event became known: an order, or a label (which may be learned later than the last order).
    pub known_at: Option<UnixMillis>,
}

/// Entity history up to a stated event. One owner changes it; a service holds it behind one lock for the feature step.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    pub(crate) layout: u64,
    pub(crate) label_delay: Span,
    pub(crate) histories: Vec<Histories>,
    pub(crate) orders: HashMap<OrderId, OrderRecord, FixedState>,
    pub(crate) position: Position,
    /// Number of orders in memory after which those too old are looked for.
    pub(crate) purge_at: usize,
}

/// What became of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learned {
    /// It is part of the history now.
    Taken,
    /// The event was seen before, the label's order is unknown, or it is older than [`order_memory`].
    Ignored,
}

/// A state that belongs to another specification, schema or identity key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayoutMismatch {
    /// Layout that the extractor needs.
    pub expected: u64,
    /// Layout of the state.
    pub found: u64,
}

impl fmt::Display for LayoutMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "state: expected layout {:016x}, found {:016x}: it was made with another schema, feature specification or identity key",
            self.expected, self.found
        )
    }
}

impl std::error::Error for LayoutMismatch {}

impl State {
    /// A state without any history.
    pub fn new(extractor: &Extractor) -> Self {
        Self {
            layout: extractor.state_layout(),
            label_delay: extractor.schema.label_delay,
            histories: vec![Histories::default(); extractor.entities.len()],
            orders: HashMap::default(),
            position: Position::default(),
            purge_at: 1 << 16,
        }
    }

    /// Refuses an extractor that this state was not made with.
    pub fn check_layout(&self, extractor: &Extractor) -> Result<(), LayoutMismatch> {
        let expected = extractor.state_layout();
        if self.layout == expected { Ok(()) } else { Err(LayoutMismatch { expected, found: self.layout }) }
    }

    /// How far the state has come.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Number of entities remembered in each entity column of the extractor.
    pub fn n_entities(&self) -> Vec<usize> {
        self.histories.iter().map(HashMap::len).collect()
    }

    /// Number of orders that still take a label.
    pub fn n_open_orders(&self) -> usize {
        self.orders.len()
    }

    pub(crate) fn history(&self, slot: usize, entity: EntityKey) -> Option<&EntityHistory> {
        self.histories[slot].get(&entity)
    }

    /// Learns an order, after it was scored. A repeated id within [`order_memory`] is ignored and counted.
    ///
    /// Events are to be learned in order of `known_at`; those of one millisecond in any order.
    pub fn learn(&mut self, extractor: &Extractor, event: &OrderEvent) -> Learned {
        if let Some(id) = event.id {
            if self.recent_order(id, event.known_at).is_some() {
                self.position.n_repeated += 1;
                return Learned::Ignored;
            }
            self.remember(
                id,
                OrderRecord::new(event.time, event.known_at, self.label_delay, event.entities.as_slice().into()),
            );
        }
        let id = event.id.map_or_else(|| event.content_hash(), |id| id.0);
        let sighting =
            Sighting { time: event.time, known_at: event.known_at, id, amount: event.amount, currency: event.currency };
        for (slot, histories) in self.histories.iter_mut().enumerate() {
            if let Some(entity) = event.entities[slot] {
                histories.entry(entity).or_default().observe(&sighting, &extractor.entities[slot].plan.retention);
            }
        }
        self.position.n_orders += 1;
        self.position.last_order = self.position.last_order.max(Some(event.known_at));
        self.position.known_at = self.position.known_at.max(Some(event.known_at));
        Learned::Taken
    }

    /// Learns the label of an order, or that an earlier label is reversed: `fraud` as the shop sees it from `time` on.
    ///
    /// A time before the order became known, or before its previous label, counts as that time.
    pub fn learn_label(&mut self, extractor: &Extractor, id: OrderId, time: UnixMillis, fraud: bool) -> Learned {
        let memory = order_memory(self.label_delay);
        let Some(record) = self.orders.get_mut(&id).filter(|record| record.takes_label_at(time, memory)) else {
            self.position.n_labels_ignored += 1;
            return Learned::Ignored;
        };
        let news = record.label(id.0, time, fraud);
        let entities = record.entities.clone();
        for (slot, histories) in self.histories.iter_mut().enumerate() {
            if let Some(history) = entities[slot].and_then(|entity| histories.get_mut(&entity)) {
                history.learn_label(&news, &extractor.entities[slot].plan.retention);
            }
        }
        self.position.n_labels += 1;
        self.position.known_at = self.position.known_at.max(Some(news.time));
        Learned::Taken
    }

    fn recent_order(&self, id: OrderId, known_at: UnixMillis) -> Option<&OrderRecord> {
        self.orders.get(&id).filter(|record| known_at <= record.known_at.plus(order_memory(self.label_delay)))
    }

    pub(crate) fn remember(&mut self, id: OrderId, record: OrderRecord) {
        let now = record.known_at;
        self.orders.insert(id, record);
        // Amortised: each sweep is paid for by the inserts since the last one. Whether an old record is still there makes
        // no difference to any answer, because its age is checked at every use.
        if self.orders.len() >= self.purge_at {
            let memory = order_memory(self.label_delay);
            self.orders.retain(|_, record| now <= record.known_at.plus(memory));
            self.purge_at = (2 * self.orders.len()).max(1 << 16);
        }
    }
}

impl OrderRecord {
    pub(crate) fn new(
        time: UnixMillis,
        known_at: UnixMillis,
        label_delay: Span,
        entities: Box<[Option<EntityKey>]>,
    ) -> Self {
        Self { known_at, resolved_at: time.plus(label_delay), label_time: None, entities }
    }

    pub(crate) fn takes_label_at(&self, time: UnixMillis, memory: Span) -> bool {
        time <= self.known_at.plus(memory)
    }

    /// Notes a label and tells what the entities learn.
    pub(crate) fn label(&mut self, id: u64, time: UnixMillis, fraud: bool) -> LabelNews {
        let time = time.max(self.known_at).max(self.label_time.unwrap_or(self.known_at));
        let resolved_before = self.resolved_at;
        self.resolved_at = resolved_before.min(time);
        self.label_time = Some(time);
        LabelNews { id, known_at: self.known_at, resolved_before, time, fraud }
    }
}

impl OrderEvent {
    /// A hash of what history remembers of an order, in place of an id where the schema has none.
    pub(crate) fn content_hash(&self) -> u64 {
        let mut bytes = Vec::with_capacity(20 + 8 * self.entities.len());
        bytes.extend(self.time.0.to_le_bytes());
        bytes.extend(self.amount.to_le_bytes());
        bytes.extend(self.currency.to_le_bytes());
        for entity in &self.entities {
            bytes.extend(entity.map_or(0, |key| key.0).to_le_bytes());
        }
        xxhash_rust::xxh3::xxh3_64(&bytes)
    }
}
