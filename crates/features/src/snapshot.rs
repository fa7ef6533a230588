//! The state file: entity history as bytes and back. `docs/state-format.md` lists the layout byte for byte.
//!
//! Writing is deterministic: entities and orders are sorted by their hashes, and what memory holds beyond its age is left
//! out, so that equal histories are equal bytes.

use std::fmt;

use crate::container::{Container, ContainerError, ContainerWriter, KIND_STATE, SectionReader, Tag};
use crate::extract::{Extractor, MAX_SLOTS, Slot};
use crate::identity::{EntityKey, OrderId};
use crate::kernel::{EntityHistory, HistoryError};
use crate::network::Network;
use crate::order_index::{EventIds, OrderIndex, OrderRecord};
use crate::state::{Histories, LayoutMismatch, Position, State};
use crate::time::{Span, UnixMillis};

/// The newest state format that is read, and the one that is written.
pub const STATE_VERSION: u16 = 0;
/// The largest state file that is read.
pub const MAX_STATE_BYTES: usize = 1 << 36;

const HEAD: Tag = *b"HEAD";
const NAMES: Tag = *b"NAME";
const ORDERS: Tag = *b"ORDR";
const EVENTS: Tag = *b"EVNT";
const NETWORK: Tag = *b"NETW";

/// The section of the n-th entity: `E000` and so on.
fn entity_tag(slot: usize) -> Tag {
    let digit = |unit: usize| b'0' + (slot / unit % 10) as u8;
    [b'E', digit(100), digit(10), digit(1)]
}

/// What a state file says of itself, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateCard {
    /// Schema fingerprint of the extractor that made it.
    pub fingerprint: u64,
    /// Tells which extractors fit.
    pub layout: u64,
    /// How far it has come.
    pub position: Position,
    /// What is counted over, in words, and how many there are of each.
    pub entities: Vec<(String, u64)>,
    /// Orders that still take a label.
    pub n_open_orders: u64,
    /// How long after an order its label is due.
    pub label_delay: Span,
}

/// A state file that cannot be read.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum StateError {
    /// The file itself is broken.
    Container(ContainerError),
    /// The state belongs to another specification.
    Layout(LayoutMismatch),
    /// A field holds a value that it cannot have.
    Invalid {
        /// The section.
        section: String,
        /// Byte offset in the section, near the field.
        offset: usize,
        /// What was expected.
        expected: &'static str,
    },
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Container(error) => write!(f, "state file: {error}"),
            Self::Layout(error) => error.fmt(f),
            Self::Invalid { section, offset, expected } => {
                write!(f, "state file, section {section}, byte {offset}: expected {expected}")
            }
        }
    }
}

impl std::error::Error for StateError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Container(error) => Some(error),
            Self::Layout(error) => Some(error),
            Self::Invalid { .. } => None,
        }
    }
}

impl From<ContainerError> for StateError {
    fn from(error: ContainerError) -> Self {
        Self::Container(error)
    }
}

fn invalid(tag: Tag, reader: &SectionReader<'_>, expected: &'static str) -> StateError {
    StateError::Invalid { section: String::from_utf8_lossy(&tag).into_owned(), offset: reader.offset(), expected }
}

impl State {
    /// The bytes of a state file. O(state), one copy.
    pub fn to_bytes(&self, extractor: &Extractor) -> Vec<u8> {
        let mut writer = ContainerWriter::new(KIND_STATE, STATE_VERSION, extractor.schema.fingerprint())
            .section(HEAD, true, self.head_bytes())
            .section(NAMES, true, self.name_bytes(extractor));
        for (index, (slot, histories)) in extractor.slots.iter().zip(&self.histories).enumerate() {
            writer = writer.section(entity_tag(index), true, history_bytes(slot, histories));
        }
        writer = writer.section(ORDERS, true, self.order_bytes()).section(EVENTS, true, self.event_bytes());
        if let Some(network) = &self.network {
            let mut out = Vec::new();
            network.write_to(&mut out);
            writer = writer.section(NETWORK, true, out);
        }
        writer.finish()
    }

    /// Reads a state file for an extractor.
    pub fn from_bytes(bytes: &[u8], extractor: &Extractor) -> Result<Self, StateError> {
        let container = open(bytes)?;
        let head = Head::read(&container)?;
        let mut state = Self::new(extractor);
        let (expected, found) = (state.layout, head.layout);
        if expected != found {
            return Err(StateError::Layout(LayoutMismatch { expected, found }));
        }
        if head.n_slots != extractor.slots.len() {
            let reader = container.reader(HEAD)?;
            return Err(invalid(HEAD, &reader, "as many entities as the model reads"));
        }
        state.position = head.position;
        for (index, slot) in extractor.slots.iter().enumerate() {
            state.histories[index] = read_histories(&container, entity_tag(index), slot)?;
        }
        read_orders(&container, &mut state.orders)?;
        read_events(&container, &mut state.event_ids)?;
        if state.network.is_some() {
            let mut reader = container.reader(NETWORK)?;
            state.network = Some(Network::read_from(&mut reader).map_err(|error| in_section(NETWORK, error))?);
            reader.finish()?;
        }
        Ok(state)
    }

    fn head_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(self.layout.to_le_bytes());
        out.extend(self.label_delay.0.to_le_bytes());
        let p = self.position;
        for n in [p.n_orders, p.n_events, p.n_labels, p.n_repeated, p.n_labels_ignored] {
            out.extend(n.to_le_bytes());
        }
        for time in [p.last_order, p.known_at] {
            out.extend(time.map_or(i64::MIN, |t| t.0).to_le_bytes());
        }
        out.extend((self.histories.len() as u32).to_le_bytes());
        out
    }

    fn name_bytes(&self, extractor: &Extractor) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, histories) in extractor.entities().iter().zip(&self.histories) {
            out.extend((name.len() as u32).to_le_bytes());
            out.extend(name.as_bytes());
            out.extend((histories.len() as u64).to_le_bytes());
        }
        out
    }

    fn order_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend((self.orders.iter().count() as u64).to_le_bytes());
        out.extend(self.orders.last().map_or(i64::MIN, |t| t.0).to_le_bytes());
        for (record, keys) in self.orders.iter() {
            out.extend(record.id.0.to_le_bytes());
            for time in [record.time, record.known_at, record.resolved_at] {
                out.extend(time.0.to_le_bytes());
            }
            out.extend(record.label_time.map_or(i64::MIN, |t| t.0).to_le_bytes());
            out.push(u8::from(record.fraud));
            let present = keys.iter().enumerate().fold(0_u64, |mask, (i, &key)| mask | u64::from(key != 0) << i);
            out.extend(present.to_le_bytes());
            for key in keys.iter().filter(|&&key| key != 0) {
                out.extend(key.to_le_bytes());
            }
        }
        out
    }

    fn event_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend((self.event_ids.iter().count() as u64).to_le_bytes());
        for (id, known_at) in self.event_ids.iter() {
            out.extend(id.0.to_le_bytes());
            out.extend(known_at.0.to_le_bytes());
        }
        out
    }
}

/// What a state file says of itself; needs no model.
pub fn read_card(bytes: &[u8]) -> Result<StateCard, StateError> {
    let container = open(bytes)?;
    let head = Head::read(&container)?;
    let mut reader = container.reader(NAMES)?;
    let mut entities = Vec::new();
    for _ in 0..head.n_slots {
        let len = reader.u32()? as usize;
        let name =
            String::from_utf8(reader.take(len)?.to_vec()).map_err(|_| invalid(NAMES, &reader, "a UTF-8 name"))?;
        entities.push((name, reader.u64()?));
    }
    Ok(StateCard {
        fingerprint: container.fingerprint(),
        layout: head.layout,
        position: head.position,
        entities,
        n_open_orders: container.reader(ORDERS)?.u64()?,
        label_delay: head.label_delay,
    })
}

fn open(bytes: &[u8]) -> Result<Container<'_>, StateError> {
    let container = Container::parse(bytes, KIND_STATE, STATE_VERSION, MAX_STATE_BYTES)?;
    let mut known = vec![HEAD, NAMES, ORDERS, EVENTS, NETWORK];
    known.extend((0..MAX_SLOTS).map(entity_tag));
    container.refuse_unknown(&known)?;
    Ok(container)
}

struct Head {
    layout: u64,
    label_delay: Span,
    position: Position,
    n_slots: usize,
}

impl Head {
    fn read(container: &Container<'_>) -> Result<Self, StateError> {
        let mut reader = container.reader(HEAD)?;
        let layout = reader.u64()?;
        let label_delay = Span(reader.i64()?);
        if !(0..=Span::days(3_660).0).contains(&label_delay.0) {
            return Err(invalid(HEAD, &reader, "a label delay of 0 to 10 years"));
        }
        let mut counts = [0; 5];
        for count in &mut counts {
            *count = reader.u64()?;
        }
        let [n_orders, n_events, n_labels, n_repeated, n_labels_ignored] = counts;
        let [last_order, known_at] = [optional_time(&mut reader)?, optional_time(&mut reader)?];
        let n_slots = reader.u32()? as usize;
        if n_slots > MAX_SLOTS {
            return Err(invalid(HEAD, &reader, "at most 256 entities"));
        }
        reader.finish()?;
        let position = Position { n_orders, n_events, n_labels, n_repeated, n_labels_ignored, last_order, known_at };
        Ok(Self { layout, label_delay, position, n_slots })
    }
}

/// A time, `i64::MIN` for none.
fn optional_time(reader: &mut SectionReader<'_>) -> Result<Option<UnixMillis>, StateError> {
    Ok(match reader.i64()? {
        i64::MIN => None,
        ms => Some(UnixMillis(ms)),
    })
}

fn history_bytes(slot: &Slot, histories: &Histories) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend((histories.len() as u64).to_le_bytes());
    for (key, history) in histories {
        out.extend(key.0.to_le_bytes());
        history.write_to(&slot.plan, &mut out);
    }
    out
}

fn in_section(tag: Tag, error: HistoryError) -> StateError {
    match error {
        HistoryError::Container(error) => StateError::Container(error),
        HistoryError::Invalid { offset, expected } => {
            StateError::Invalid { section: String::from_utf8_lossy(&tag).into_owned(), offset, expected }
        }
    }
}

fn read_histories(container: &Container<'_>, tag: Tag, slot: &Slot) -> Result<Histories, StateError> {
    let mut reader = container.reader(tag)?;
    let n = reader.u64()?;
    // Nothing is allocated by a count alone: the map grows as entities are really there.
    let mut histories = Histories::default();
    let mut last = None;
    for _ in 0..n {
        let key = EntityKey(reader.u64()?);
        if key.0 == 0 || last.is_some_and(|last| last >= key) {
            return Err(invalid(tag, &reader, "entity keys in rising order"));
        }
        last = Some(key);
        let history = EntityHistory::read_from(&mut reader, &slot.plan).map_err(|error| in_section(tag, error))?;
        histories.insert(key, history);
    }
    reader.finish()?;
    Ok(histories)
}

fn read_orders(container: &Container<'_>, orders: &mut OrderIndex) -> Result<(), StateError> {
    let mut reader = container.reader(ORDERS)?;
    let n_keys = orders.n_keys();
    let (mut records, mut all_keys) = (Vec::<OrderRecord>::new(), Vec::new());
    let n = reader.u64()?;
    let last = optional_time(&mut reader)?;
    for _ in 0..n {
        let id = OrderId(reader.u64()?);
        let [time, known_at, resolved_at] = [reader.i64()?, reader.i64()?, reader.i64()?].map(UnixMillis);
        let label_time = optional_time(&mut reader)?;
        let fraud = match reader.u8()? {
            0 => false,
            1 if label_time.is_some() => true,
            _ => return Err(invalid(ORDERS, &reader, "0, or 1 for a fraud with a label time")),
        };
        if records.last().is_some_and(|last| (last.known_at, last.id) >= (known_at, id)) {
            return Err(invalid(ORDERS, &reader, "orders by the time at which they became known"));
        }
        let present = reader.u64()?;
        if n_keys < 64 && present >> n_keys != 0 {
            return Err(invalid(ORDERS, &reader, "one presence bit per key"));
        }
        for i in 0..n_keys {
            let key = if present >> i & 1 == 1 { reader.u64()? } else { 0 };
            if (key != 0) != (present >> i & 1 == 1) {
                return Err(invalid(ORDERS, &reader, "a key that is not 0"));
            }
            all_keys.push(key);
        }
        records.push(OrderRecord { id, time, known_at, resolved_at, label_time, fraud });
    }
    let keys = |i: usize| &all_keys[i * n_keys..(i + 1) * n_keys];
    orders.restore(last, records.iter().enumerate().map(|(i, &record)| (record, keys(i))));
    Ok(reader.finish()?)
}

fn read_events(container: &Container<'_>, event_ids: &mut EventIds) -> Result<(), StateError> {
    let mut reader = container.reader(EVENTS)?;
    let mut last = None;
    for _ in 0..reader.u64()? {
        let (id, known_at) = (OrderId(reader.u64()?), UnixMillis(reader.i64()?));
        if last.is_some_and(|last| last >= (known_at, id)) || !event_ids.insert(id, known_at) {
            return Err(invalid(EVENTS, &reader, "different events by the time at which they became known"));
        }
        last = Some((known_at, id));
    }
    Ok(reader.finish()?)
}
