//! The state file: entity history as bytes and back. `docs/state-format.md` lists the layout byte for byte.
//!
//! Writing is deterministic: entities and orders are sorted, and what memory holds beyond its age is left out, so that equal
//! histories are equal bytes. [`State::freeze`] takes a picture that is written elsewhere while the state goes on learning.

use std::fmt;

use crate::container::{Container, ContainerError, ContainerWriter, KIND_STATE, SectionReader, Tag};
use crate::extract::{Extractor, MAX_SLOTS, Slot};
use crate::identity::EntityKey;
use crate::kernel::{AHEAD, EntityHistory, HistoryError};
use crate::network::Network;
use crate::order_index::{EventIds, OrderIndex};
use crate::resume::Latest;
use crate::shards::Shard;
use crate::slow_clock::LifeClock;
use crate::state::{Histories, LayoutMismatch, NEVER, Position, State, is_gone};
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
pub(crate) fn entity_tag(slot: usize) -> Tag {
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

/// A state as it stood at one moment. It shares memory with the state that it was taken of, never changes, and can be sent
/// to another thread to be written there.
#[derive(Clone, Debug)]
pub struct Frozen {
    pub(crate) state: State,
}

impl Frozen {
    /// How far the state had come.
    pub fn position(&self) -> Position {
        self.state.position
    }

    /// Tells which extractors the state fits, as [`Extractor::state_layout`].
    pub fn layout(&self) -> u64 {
        self.state.layout
    }

    /// The bytes of a state file. O(state), one copy.
    pub fn to_bytes(&self, extractor: &Extractor) -> Vec<u8> {
        self.state.to_bytes(extractor)
    }

    /// The state, to learn on from there.
    pub fn thaw(self) -> State {
        self.state
    }
}

impl State {
    /// Takes a picture of the state: under a millisecond at a million entities, as only pointers are copied. What is learned
    /// afterwards copies the few entities that stand near those it changes, once.
    pub fn freeze(&self) -> Frozen {
        Frozen { state: self.clone() }
    }

    /// The bytes of a state file. O(state), one copy.
    ///
    /// # Panics
    /// If the state was made with another extractor: a caller's bug.
    pub fn to_bytes(&self, extractor: &Extractor) -> Vec<u8> {
        assert_eq!(self.histories.len(), extractor.slots.len(), "the state must be the extractor's");
        let mut head = Vec::new();
        self.write_head(&mut head);
        let horizon = self.lives.horizon();
        let (mut entities, mut names) = (Vec::new(), Vec::new());
        for ((slot, name), histories) in extractor.slots.iter().zip(extractor.entities()).zip(&self.histories) {
            let mut out = vec![0; 8];
            let shards = histories.shards().iter();
            let n: u64 = shards.map(|shard| write_histories(slot, shard, horizon, &mut out)).sum();
            out[..8].copy_from_slice(&n.to_le_bytes());
            entities.push(out);
            names.extend((name.len() as u32).to_le_bytes());
            names.extend(name.as_bytes());
            names.extend(n.to_le_bytes());
        }
        let mut writer = ContainerWriter::new(KIND_STATE, STATE_VERSION, extractor.schema.fingerprint())
            .section(HEAD, true, head)
            .section(NAMES, true, names);
        for (index, out) in entities.into_iter().enumerate() {
            writer = writer.section(entity_tag(index), true, out);
        }
        let (mut orders, mut events) = (Vec::new(), Vec::new());
        self.orders.write_to(&mut orders);
        self.event_ids.write_to(&mut events);
        writer = writer.section(ORDERS, true, orders).section(EVENTS, true, events);
        if let Some(network) = &self.network {
            let mut out = Vec::new();
            network.write_to(&mut out);
            writer = writer.section(NETWORK, true, out);
        }
        writer.finish()
    }

    /// Reads a state file for an extractor. O(bytes); nothing is allocated on the word of a count alone.
    pub fn from_bytes(bytes: &[u8], extractor: &Extractor) -> Result<Self, StateError> {
        let container = open(bytes)?;
        let mut reader = container.reader(HEAD)?;
        let head = Head::read(&mut reader).map_err(in_section(HEAD))?;
        reader.finish()?;
        let mut state = head.state_for(extractor)?;
        read_names(&container, head.n_slots)?;
        let horizon = state.lives.horizon();
        for (index, slot) in extractor.slots.iter().enumerate() {
            let tag = entity_tag(index);
            let mut reader = container.reader(tag)?;
            let n = reader.u64()?;
            let histories = &mut state.histories[index];
            read_histories(slot, n, &mut reader, histories).map_err(in_section(tag))?;
            if histories.iter().any(|(_, history)| is_gone(history, horizon)) {
                return Err(in_section(tag)(invalid(&reader, "entities that can be read")));
            }
            reader.finish()?;
        }
        let mut reader = container.reader(ORDERS)?;
        state.orders = OrderIndex::read_from(&mut reader, state.label_delay, extractor.sources.len())
            .map_err(in_section(ORDERS))?;
        reader.finish()?;
        let mut reader = container.reader(EVENTS)?;
        state.event_ids = EventIds::read_from(&mut reader, state.label_delay).map_err(in_section(EVENTS))?;
        reader.finish()?;
        if state.network.is_some() {
            let mut reader = container.reader(NETWORK)?;
            let network = Network::read_from(&mut reader).map_err(in_section(NETWORK))?;
            reader.finish()?;
            check_hub_limit(&network, extractor).map_err(in_section(NETWORK))?;
            state.network = Some(network);
        } else if container.section(NETWORK).is_some() {
            let reader = container.reader(NETWORK)?;
            return Err(in_section(NETWORK)(invalid(&reader, "no network, which the model does not read")));
        }
        Ok(state)
    }

    /// What the state belongs to, and how far it has come.
    pub(crate) fn write_head(&self, out: &mut Vec<u8>) {
        out.extend(self.layout.to_le_bytes());
        out.extend(self.label_delay.0.to_le_bytes());
        let p = self.position;
        for n in [p.n_orders, p.n_events, p.n_labels, p.n_repeated, p.n_labels_ignored] {
            out.extend(n.to_le_bytes());
        }
        for time in [p.last_order, p.last_event, p.known_at] {
            out.extend(time.map_or(i64::MIN, |t| t.0).to_le_bytes());
        }
        out.extend((self.histories.len() as u32).to_le_bytes());
        self.lives.write_to(out);
        out.extend(p.newest.iter().flat_map(|time| time.0.to_le_bytes()));
        self.latest.write_to(&p.newest, out);
    }
}

/// What a state file says of itself; needs no model.
pub fn read_card(bytes: &[u8]) -> Result<StateCard, StateError> {
    let container = open(bytes)?;
    let mut reader = container.reader(HEAD)?;
    let head = Head::read(&mut reader).map_err(in_section(HEAD))?;
    reader.finish()?;
    Ok(StateCard {
        fingerprint: container.fingerprint(),
        layout: head.layout,
        position: head.position,
        entities: read_names(&container, head.n_slots)?,
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

fn read_names(container: &Container<'_>, n_slots: usize) -> Result<Vec<(String, u64)>, StateError> {
    let mut reader = container.reader(NAMES)?;
    let mut entities = Vec::new();
    for slot in 0..n_slots {
        let len = reader.u32()? as usize;
        let Ok(name) = String::from_utf8(reader.take(len)?.to_vec()) else {
            return Err(in_section(NAMES)(invalid(&reader, "a UTF-8 name")));
        };
        let n = reader.u64()?;
        if container.reader(entity_tag(slot))?.u64()? != n {
            return Err(in_section(NAMES)(invalid(&reader, "as many entities as in their own section")));
        }
        entities.push((name, n));
    }
    reader.finish()?;
    Ok(entities)
}

/// What a state belongs to, and how far it has come.
pub(crate) struct Head {
    pub(crate) layout: u64,
    pub(crate) label_delay: Span,
    pub(crate) position: Position,
    pub(crate) n_slots: usize,
    lives: LifeClock,
    latest: Latest,
}

impl Head {
    pub(crate) fn read(reader: &mut SectionReader<'_>) -> Result<Self, HistoryError> {
        let layout = reader.u64()?;
        let label_delay = Span(reader.i64()?);
        if !(0..=Span::days(3_660).0).contains(&label_delay.0) {
            return Err(invalid(reader, "a label delay of 0 to 10 years"));
        }
        let mut counts = [0; 5];
        for count in &mut counts {
            *count = reader.u64()?;
        }
        let [n_orders, n_events, n_labels, n_repeated, n_labels_ignored] = counts;
        let [last_order, last_event, known_at] =
            [reader.i64()?, reader.i64()?, reader.i64()?].map(|ms| (ms != i64::MIN).then_some(UnixMillis(ms)));
        let n_slots = reader.u32()? as usize;
        if n_slots > MAX_SLOTS {
            return Err(invalid(reader, "at most 256 entities"));
        }
        let lives = LifeClock::read_from(reader)?;
        let mut newest = [NEVER; AHEAD + 1];
        for time in &mut newest {
            *time = UnixMillis(reader.i64()?);
        }
        if !newest.windows(2).all(|pair| pair[0] < pair[1] || pair[1] == NEVER) {
            return Err(invalid(reader, "the latest times in rising order"));
        }
        let latest = Latest::read_from(&newest, reader)?;
        let position = Position {
            n_orders,
            n_events,
            n_labels,
            n_repeated,
            n_labels_ignored,
            last_order,
            last_event,
            known_at,
            newest,
        };
        Ok(Self { layout, label_delay, position, n_slots, lives, latest })
    }

    /// An empty state at that position, if it is one of the extractor's.
    pub(crate) fn state_for(&self, extractor: &Extractor) -> Result<State, StateError> {
        let mut state = State::new(extractor);
        let (expected, found) = (state.layout, self.layout);
        if expected != found {
            return Err(StateError::Layout(LayoutMismatch { expected, found }));
        }
        if (self.n_slots, self.label_delay) != (state.histories.len(), state.label_delay) {
            return Err(StateError::Invalid {
                section: "HEAD".into(),
                offset: 0,
                expected: "as many entities and the label delay that the model has",
            });
        }
        state.position = self.position;
        state.lives = self.lives;
        state.latest = self.latest.clone();
        Ok(state)
    }
}

/// Appends the entities of a shard in rising order of their keys, without those that are gone by a horizon; how many
/// they are comes back.
pub(crate) fn write_histories(
    slot: &Slot,
    shard: &Shard<EntityKey, EntityHistory>,
    horizon: i64,
    out: &mut Vec<u8>,
) -> u64 {
    let mut n = 0;
    for (key, history) in shard.iter().filter(|(_, history)| !is_gone(history, horizon)) {
        out.extend(key.0.to_le_bytes());
        history.write_to(&slot.plan, out);
        n += 1;
    }
    n
}

/// Reads `n` entities into a map that has none of them.
pub(crate) fn read_histories(
    slot: &Slot,
    n: u64,
    reader: &mut SectionReader<'_>,
    histories: &mut Histories,
) -> Result<(), HistoryError> {
    let mut before = 0;
    for _ in 0..n {
        let key = reader.u64()?;
        if key <= before {
            return Err(invalid(reader, "entity keys in rising order"));
        }
        before = key;
        let history = EntityHistory::read_from(reader, &slot.plan)?;
        if histories.insert(EntityKey(key), history).is_some() {
            return Err(invalid(reader, "every entity once"));
        }
    }
    Ok(())
}

pub(crate) fn check_hub_limit(network: &Network, extractor: &Extractor) -> Result<(), HistoryError> {
    if network.hub_limit() == extractor.hub_limit {
        return Ok(());
    }
    Err(HistoryError::Invalid { offset: 0, expected: "the hub limit that the model has" })
}

pub(crate) fn invalid(reader: &SectionReader<'_>, expected: &'static str) -> HistoryError {
    crate::varint::invalid(reader, expected)
}

/// Names the section of an error.
pub(crate) fn in_section(tag: Tag) -> impl Fn(HistoryError) -> StateError {
    move |error| match error {
        HistoryError::Container(error) => StateError::Container(error),
        HistoryError::Invalid { offset, expected } => {
            StateError::Invalid { section: String::from_utf8_lossy(&tag).into_owned(), offset, expected }
        }
    }
}
