//! The state file: entity history as bytes and back. `docs/state-format.md` lists the layout byte for byte.
//!
//! Writing is deterministic: entities and orders are sorted by their hashes, and what memory holds beyond its age is left
//! out, so that equal histories are equal bytes.

use std::fmt;

use crate::container::{Container, ContainerError, ContainerWriter, KIND_STATE, SectionReader, Tag};
use crate::extract::Extractor;
use crate::history::{Activity, EntityHistory, Fraud, NEVER, Resolved};
use crate::identity::{EntityKey, OrderId};
use crate::parse::MAX_AMOUNT;
use crate::schema::Role;
use crate::state::{Histories, LayoutMismatch, OrderRecord, Position, State, order_memory};
use crate::table::MISSING_I64;
use crate::time::{Span, UnixMillis};

/// The newest state format that is read, and the one that is written.
pub const STATE_VERSION: u16 = 0;
/// The largest state file that is read.
pub const MAX_STATE_BYTES: usize = 1 << 36;

const HEAD: Tag = *b"HEAD";
const COLUMNS: Tag = *b"COLS";
const ORDERS: Tag = *b"ORDR";

/// The section of the n-th entity column: `E000` and so on.
fn entity_tag(slot: usize) -> Tag {
    let digit = |unit: usize| b'0' + (slot / unit % 10) as u8;
    [b'E', digit(100), digit(10), digit(1)]
}

/// Most entity columns that a state may have.
pub const MAX_ENTITY_COLUMNS: usize = 64;

/// What a state file says of itself, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateCard {
    /// Schema fingerprint of the extractor that made it.
    pub fingerprint: u64,
    /// Tells which extractors fit.
    pub layout: u64,
    /// How far it has come.
    pub position: Position,
    /// Entity columns: name, role, number of entities.
    pub entities: Vec<(String, Role, u64)>,
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
            .section(COLUMNS, true, self.column_bytes(extractor));
        for (slot, histories) in self.histories.iter().enumerate() {
            writer = writer.section(entity_tag(slot), true, history_bytes(histories));
        }
        writer.section(ORDERS, true, self.order_bytes()).finish()
    }

    /// Reads a state file for an extractor.
    pub fn from_bytes(bytes: &[u8], extractor: &Extractor) -> Result<Self, StateError> {
        let container = open(bytes)?;
        let (mut state, n_slots) = read_head(&container)?;
        state.check_layout(extractor).map_err(StateError::Layout)?;
        if n_slots != extractor.entities.len() {
            let reader = container.reader(HEAD)?;
            return Err(invalid(HEAD, &reader, "as many entity columns as the model reads"));
        }
        for slot in 0..n_slots {
            state.histories.push(read_histories(&container, entity_tag(slot))?);
        }
        read_orders(&container, &mut state, n_slots)?;
        Ok(state)
    }

    fn head_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(self.layout.to_le_bytes());
        out.extend(self.label_delay.0.to_le_bytes());
        let p = self.position;
        for n in [p.n_orders, p.n_labels, p.n_repeated, p.n_labels_ignored] {
            out.extend(n.to_le_bytes());
        }
        for time in [p.last_order, p.known_at] {
            out.extend(time.map_or(i64::MIN, |t| t.0).to_le_bytes());
        }
        out.extend((self.histories.len() as u32).to_le_bytes());
        out
    }

    fn column_bytes(&self, extractor: &Extractor) -> Vec<u8> {
        let mut out = Vec::new();
        for (slot, histories) in extractor.entities.iter().zip(&self.histories) {
            let name = extractor.schema.columns[slot.column].name.as_bytes();
            out.extend((name.len() as u32).to_le_bytes());
            out.extend(name);
            let role = Role::ALL.iter().position(|role| *role == slot.role).expect("ALL holds every role");
            out.push(role as u8);
            out.extend((histories.len() as u64).to_le_bytes());
        }
        out
    }

    fn order_bytes(&self) -> Vec<u8> {
        let now = self.position.known_at.unwrap_or_default();
        let memory = order_memory(self.label_delay);
        let mut orders: Vec<_> = self.orders.iter().filter(|(_, r)| now <= r.known_at.plus(memory)).collect();
        orders.sort_unstable_by_key(|(id, _)| **id);
        let mut out = Vec::new();
        out.extend((orders.len() as u64).to_le_bytes());
        for (id, record) in orders {
            out.extend(id.0.to_le_bytes());
            out.extend(record.known_at.0.to_le_bytes());
            out.extend(record.resolved_at.0.to_le_bytes());
            out.extend(record.label_time.map_or(i64::MIN, |t| t.0).to_le_bytes());
            let present =
                record.entities.iter().enumerate().fold(0_u64, |mask, (i, e)| mask | u64::from(e.is_some()) << i);
            out.extend(present.to_le_bytes());
            for entity in record.entities.iter().flatten() {
                out.extend(entity.0.to_le_bytes());
            }
        }
        out
    }
}

/// What a state file says of itself; needs no model.
pub fn read_card(bytes: &[u8]) -> Result<StateCard, StateError> {
    let container = open(bytes)?;
    let (state, n_slots) = read_head(&container)?;
    let mut reader = container.reader(COLUMNS)?;
    let mut entities = Vec::new();
    for _ in 0..n_slots {
        let len = reader.u32()? as usize;
        let name =
            String::from_utf8(reader.take(len)?.to_vec()).map_err(|_| invalid(COLUMNS, &reader, "a UTF-8 name"))?;
        let role = Role::ALL.get(usize::from(reader.u8()?)).copied();
        let role = role.filter(|role| role.is_entity()).ok_or_else(|| invalid(COLUMNS, &reader, "an entity role"))?;
        entities.push((name, role, reader.u64()?));
    }
    reader.finish()?;
    Ok(StateCard {
        fingerprint: container.fingerprint(),
        layout: state.layout,
        position: state.position,
        entities,
        n_open_orders: container.reader(ORDERS)?.u64()?,
        label_delay: state.label_delay,
    })
}

fn open(bytes: &[u8]) -> Result<Container<'_>, StateError> {
    let container = Container::parse(bytes, KIND_STATE, STATE_VERSION, MAX_STATE_BYTES)?;
    let mut known = vec![HEAD, COLUMNS, ORDERS];
    known.extend((0..MAX_ENTITY_COLUMNS).map(entity_tag));
    container.refuse_unknown(&known)?;
    Ok(container)
}

fn read_head(container: &Container<'_>) -> Result<(State, usize), StateError> {
    let mut reader = container.reader(HEAD)?;
    let layout = reader.u64()?;
    let label_delay = Span(reader.i64()?);
    if !(0..=Span::days(3_660).0).contains(&label_delay.0) {
        return Err(invalid(HEAD, &reader, "a label delay of 0 to 10 years"));
    }
    let mut counts = [0; 4];
    for count in &mut counts {
        *count = reader.u64()?;
    }
    let [n_orders, n_labels, n_repeated, n_labels_ignored] = counts;
    let [last_order, known_at] = [optional_time(&mut reader)?, optional_time(&mut reader)?];
    let n_slots = reader.u32()? as usize;
    if n_slots > MAX_ENTITY_COLUMNS {
        return Err(invalid(HEAD, &reader, "at most 64 entity columns"));
    }
    reader.finish()?;
    let position = Position { n_orders, n_labels, n_repeated, n_labels_ignored, last_order, known_at };
    let state = State {
        layout,
        label_delay,
        histories: Vec::new(),
        orders: std::collections::HashMap::default(),
        position,
        purge_at: 1 << 16,
    };
    Ok((state, n_slots))
}

/// A time, `i64::MIN` for none.
fn optional_time(reader: &mut SectionReader<'_>) -> Result<Option<UnixMillis>, StateError> {
    Ok(match reader.i64()? {
        i64::MIN => None,
        ms => Some(UnixMillis(ms)),
    })
}

const ACTIVITY_LEN: usize = 36;
const RESOLVED_LEN: usize = 24;
const FRAUD_LEN: usize = 32;

fn history_bytes(histories: &Histories) -> Vec<u8> {
    let mut keys: Vec<EntityKey> = histories.keys().copied().collect();
    keys.sort_unstable();
    let mut out = Vec::new();
    out.extend((keys.len() as u64).to_le_bytes());
    for key in keys {
        let history = &histories[&key];
        out.extend(key.0.to_le_bytes());
        let times = [
            history.newest,
            history.max_known_at,
            history.max_fraud_from,
            history.last_dropped,
            history.dropped_known_at,
        ];
        for time in times {
            out.extend(time.to_le_bytes());
        }
        out.extend(history.dropped.to_le_bytes());
        out.push(u8::from(history.any_reversed) | u8::from(history.mixed_currency) << 1);
        for n in [history.activity.len(), history.resolved.len(), history.frauds.len()] {
            out.extend((n as u32).to_le_bytes());
        }
        for (i, entry) in history.activity.iter().enumerate() {
            let (amount_before, n_before) = history.sums_before(i);
            let has_amount = entry.amounts_through != n_before;
            let amount = if has_amount { entry.amount_through.wrapping_sub(amount_before) } else { MISSING_I64 };
            for word in [entry.time, entry.known_at, entry.id as i64, amount] {
                out.extend(word.to_le_bytes());
            }
            out.extend(entry.currency.to_le_bytes());
        }
        for entry in &history.resolved {
            for word in [entry.at, entry.known_at, entry.id as i64] {
                out.extend(word.to_le_bytes());
            }
        }
        for entry in &history.frauds {
            for word in [entry.resolved_at, entry.id as i64, entry.from, entry.until] {
                out.extend(word.to_le_bytes());
            }
        }
    }
    out
}

fn read_histories(container: &Container<'_>, tag: Tag) -> Result<Histories, StateError> {
    let mut reader = container.reader(tag)?;
    let n = reader.u64()?;
    // Nothing is allocated by a count alone: the map grows as entities are really there.
    let mut histories = Histories::default();
    let mut last = None;
    for _ in 0..n {
        let key = EntityKey(reader.u64()?);
        if last.is_some_and(|last| last >= key) {
            return Err(invalid(tag, &reader, "entity keys in rising order"));
        }
        last = Some(key);
        histories.insert(key, read_history(tag, &mut reader)?);
    }
    reader.finish()?;
    Ok(histories)
}

fn read_history(tag: Tag, reader: &mut SectionReader<'_>) -> Result<EntityHistory, StateError> {
    let mut history = EntityHistory {
        newest: reader.i64()?,
        max_known_at: reader.i64()?,
        max_fraud_from: reader.i64()?,
        last_dropped: reader.i64()?,
        dropped_known_at: reader.i64()?,
        dropped: reader.u32()?,
        ..EntityHistory::default()
    };
    let flags = reader.u8()?;
    if flags > 3 {
        return Err(invalid(tag, reader, "flags 0 to 3"));
    }
    history.any_reversed = flags & 1 != 0;
    history.mixed_currency = flags & 2 != 0;
    let (n_activity, n_resolved, n_frauds) = (reader.u32()? as usize, reader.u32()? as usize, reader.u32()? as usize);
    for bytes in reader.take_elements(n_activity, ACTIVITY_LEN)? {
        let amount = word(bytes, 3);
        if amount != MISSING_I64 && !(-MAX_AMOUNT..=MAX_AMOUNT).contains(&amount) {
            return Err(invalid(tag, reader, "an amount of at most 1e13 minor units"));
        }
        let (before, n_before) = history.sums_before(history.activity.len());
        let (own, n) = if amount == MISSING_I64 { (0, 0) } else { (amount, 1) };
        history.activity.push_back(Activity {
            time: word(bytes, 0),
            known_at: word(bytes, 1),
            id: word(bytes, 2) as u64,
            amount_through: before.wrapping_add(own),
            amounts_through: n_before.wrapping_add(n),
            currency: u32::from_le_bytes(bytes[32..].try_into().expect("36 bytes")),
        });
    }
    for bytes in reader.take_elements(n_resolved, RESOLVED_LEN)? {
        history.resolved.push_back(Resolved {
            at: word(bytes, 0),
            known_at: word(bytes, 1),
            id: word(bytes, 2) as u64,
        });
    }
    for bytes in reader.take_elements(n_frauds, FRAUD_LEN)? {
        let (resolved_at, id, from, until) = (word(bytes, 0), word(bytes, 1) as u64, word(bytes, 2), word(bytes, 3));
        history.frauds.push_back(Fraud { resolved_at, id, from, until });
    }
    check_history(&history).map_err(|expected| invalid(tag, reader, expected))?;
    Ok(history)
}

/// What the reading code takes for granted: sorted lists, and maxima that really are ones.
fn check_history(history: &EntityHistory) -> Result<(), &'static str> {
    if !history.activity.iter().is_sorted_by_key(|a| (a.time, a.id)) {
        return Err("orders sorted by time and id");
    }
    if history
        .activity
        .iter()
        .any(|a| a.time > history.newest || a.known_at > history.max_known_at || a.time > a.known_at)
    {
        return Err("order times up to the newest, known at or after them");
    }
    if history.dropped_known_at > history.max_known_at || history.dropped_known_at < history.last_dropped {
        return Err("forgotten orders known after their time");
    }
    if history.last_dropped > history.newest || (history.dropped == 0) != (history.last_dropped == i64::MIN) {
        return Err("forgotten orders up to the newest");
    }
    if !history.resolved.iter().is_sorted_by_key(|r| (r.at, r.id)) {
        return Err("resolutions sorted by time and id");
    }
    if history.resolved.iter().any(|r| r.known_at > history.max_known_at) {
        return Err("resolutions of known orders");
    }
    if !history.frauds.iter().is_sorted_by_key(|f| (f.resolved_at, f.id, f.from)) {
        return Err("frauds sorted by time and id");
    }
    if history.frauds.iter().any(|f| f.from > history.max_fraud_from) {
        return Err("frauds known up to the newest");
    }
    if history.frauds.iter().any(|f| f.until != NEVER) && !history.any_reversed {
        return Err("a flag for reversed labels");
    }
    let first = history.activity.front().map(|a| a.currency);
    if history.activity.iter().any(|a| Some(a.currency) != first) && !history.mixed_currency {
        return Err("a flag for several currencies");
    }
    Ok(())
}

fn word(bytes: &[u8], index: usize) -> i64 {
    i64::from_le_bytes(bytes[8 * index..8 * index + 8].try_into().expect("eight bytes"))
}

fn read_orders(container: &Container<'_>, state: &mut State, n_slots: usize) -> Result<(), StateError> {
    let mut reader = container.reader(ORDERS)?;
    let n = reader.u64()?;
    let mut last = None;
    for _ in 0..n {
        let id = OrderId(reader.u64()?);
        if last.is_some_and(|last| last >= id) {
            return Err(invalid(ORDERS, &reader, "order ids in rising order"));
        }
        last = Some(id);
        let (known_at, resolved_at) = (UnixMillis(reader.i64()?), UnixMillis(reader.i64()?));
        let label_time = optional_time(&mut reader)?;
        let present = reader.u64()?;
        if n_slots < 64 && present >> n_slots != 0 {
            return Err(invalid(ORDERS, &reader, "one presence bit per entity column"));
        }
        let mut entities = vec![None; n_slots].into_boxed_slice();
        for (i, entity) in entities.iter_mut().enumerate() {
            if present >> i & 1 == 1 {
                *entity = Some(EntityKey(reader.u64()?));
            }
        }
        state.orders.insert(id, OrderRecord { known_at, resolved_at, label_time, entities });
    }
    reader.finish()?;
    state.purge_at = (2 * state.orders.len()).max(1 << 16);
    Ok(())
}
