//! A state in parts, for a database that writes only what changed: the entities of each slot by shard of their keys, orders
//! and event ids by the day on which they became known, accounts and things of the network by shard.
//!
//! Each part begins with a checksum of its key and content. Parts hold what memory holds, so that two equal states may have different parts; either gives an equal state back.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::container::{ContainerError, SectionReader, Tag};
use crate::extract::Extractor;
use crate::kernel::HistoryError;
use crate::network::Network;
use crate::order_index::{EventIds, OrderIndex};
use crate::shards::N_SHARDS;
use crate::snapshot::{
    Frozen, Head, STATE_VERSION, StateError, check_hub_limit, entity_tag, in_section, invalid, read_histories,
    write_histories,
};
use crate::state::State;

/// Which part of a state: the kind in the upper half, shard or day in the lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartKey(pub u64);

/// A part as it is now; without bytes where there is nothing left of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which one.
    pub key: PartKey,
    /// Its content.
    pub bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Slot(usize),
    Orders,
    Events,
    Accounts,
    Things,
}

/// Kinds below are slots.
const ORDERS: u32 = 1 << 16;
const EVENTS: u32 = ORDERS + 1;
const ACCOUNTS: u32 = ORDERS + 2;
const THINGS: u32 = ORDERS + 3;

impl PartKey {
    fn new(kind: Kind, index: i32) -> Self {
        let kind = match kind {
            Kind::Slot(slot) => slot as u32,
            Kind::Orders => ORDERS,
            Kind::Events => EVENTS,
            Kind::Accounts => ACCOUNTS,
            Kind::Things => THINGS,
        };
        // The lowest day comes first.
        Self(u64::from(kind) << 32 | u64::from(index.cast_unsigned() ^ 1 << 31))
    }

    fn kind(self) -> Option<Kind> {
        match (self.0 >> 32) as u32 {
            ORDERS => Some(Kind::Orders),
            EVENTS => Some(Kind::Events),
            ACCOUNTS => Some(Kind::Accounts),
            THINGS => Some(Kind::Things),
            slot if slot < ORDERS => Some(Kind::Slot(slot as usize)),
            _ => None,
        }
    }

    /// The section of a state file that holds the same, for errors.
    fn tag(self) -> Tag {
        match self.kind() {
            Some(Kind::Slot(slot)) => entity_tag(slot),
            Some(Kind::Orders) => *b"ORDR",
            Some(Kind::Events) => *b"EVNT",
            Some(Kind::Accounts | Kind::Things) => *b"NETW",
            None => *b"????",
        }
    }
}

const HEAD: Tag = *b"HEAD";
/// No part has it.
const HEAD_KEY: PartKey = PartKey(u64::MAX);
const CHECKSUM_LEN: usize = 8;

/// Fills in the checksum, for which the first bytes are left free.
fn sealed(key: PartKey, mut bytes: Vec<u8>) -> Vec<u8> {
    let checksum = xxh3_64_with_seed(&bytes[CHECKSUM_LEN..], key.0);
    bytes[..CHECKSUM_LEN].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

fn unsealed(key: PartKey, tag: Tag, bytes: &[u8]) -> Result<&[u8], StateError> {
    let mut reader = SectionReader::new(tag, bytes);
    let checksum = reader.u64()?;
    let content = reader.take(reader.remaining())?;
    if xxh3_64_with_seed(content, key.0) != checksum {
        return Err(StateError::Container(ContainerError::ChecksumMismatch));
    }
    Ok(content)
}

impl Frozen {
    /// The part without which the others mean nothing: what the state belongs to, and how far it has come.
    pub fn head(&self, extractor: &Extractor) -> Vec<u8> {
        let mut out = vec![0; CHECKSUM_LEN];
        out.extend(STATE_VERSION.to_le_bytes());
        out.extend(extractor.schema.fingerprint().to_le_bytes());
        self.state.write_head(&mut out);
        self.state.orders.write_clock(&mut out);
        self.state.event_ids.write_clock(&mut out);
        if let Some(network) = &self.state.network {
            network.write_head(&mut out);
        }
        sealed(HEAD_KEY, out)
    }

    /// The parts that may differ from those of an earlier picture of the same state; all that are not empty without one.
    ///
    /// What was not touched since then is not looked at, let alone copied. The parts come one by one, so that no more than
    /// one is held.
    pub fn changed_parts<'a>(
        &'a self,
        extractor: &'a Extractor,
        before: Option<&'a Self>,
    ) -> impl Iterator<Item = Part> + 'a {
        let empty = State::new(extractor);
        let earlier = before.map_or(&empty, |before| &before.state);
        let mut keys = Vec::new();
        for (index, (histories, before)) in self.state.histories.iter().zip(&earlier.histories).enumerate() {
            let changed = histories.changed_shards(before);
            keys.extend(changed.into_iter().map(|shard| PartKey::new(Kind::Slot(index), shard as i32)));
        }
        let days = self.state.orders.changed_days(&earlier.orders);
        keys.extend(days.into_iter().map(|day| PartKey::new(Kind::Orders, day)));
        let days = self.state.event_ids.changed_days(&earlier.event_ids);
        keys.extend(days.into_iter().map(|day| PartKey::new(Kind::Events, day)));
        if let (Some(network), Some(before)) = (&self.state.network, &earlier.network) {
            let changed = network.changed_accounts(before);
            keys.extend(changed.into_iter().map(|shard| PartKey::new(Kind::Accounts, shard as i32)));
            let changed = network.changed_things(before);
            keys.extend(changed.into_iter().map(|shard| PartKey::new(Kind::Things, shard as i32)));
        }
        keys.into_iter().map(|key| Part { key, bytes: self.part(extractor, key) })
    }

    fn part(&self, extractor: &Extractor, key: PartKey) -> Vec<u8> {
        let mut out = vec![0; CHECKSUM_LEN];
        let index = (key.0 as u32 ^ 1 << 31).cast_signed();
        match key.kind().expect("made by this module") {
            Kind::Slot(slot) => {
                if let Some(shard) = self.state.histories[slot].shards().get(index as usize)
                    && !shard.is_empty()
                {
                    out.extend((shard.len() as u64).to_le_bytes());
                    write_histories(&extractor.slots[slot], shard, i64::MIN, &mut out);
                }
            }
            Kind::Orders => self.state.orders.write_day(index, &mut out),
            Kind::Events => self.state.event_ids.write_day(index, &mut out),
            kind => {
                let network = self.state.network.as_ref().expect("its parts are named where there is one");
                match kind {
                    Kind::Accounts => network.write_account_shard(index as usize, &mut out),
                    _ => network.write_thing_shard(index as usize, &mut out),
                }
            }
        }
        if out.len() == CHECKSUM_LEN { Vec::new() } else { sealed(key, out) }
    }
}

/// Puts a state together again. The parts come in any order.
#[derive(Debug)]
pub struct PartsReader<'e> {
    extractor: &'e Extractor,
    state: State,
}

impl<'e> PartsReader<'e> {
    /// Begins with what [`Frozen::head`] gave.
    ///
    /// # Errors
    /// [`StateError::Layout`] where the state is not one of the extractor's.
    pub fn new(extractor: &'e Extractor, head: &[u8]) -> Result<Self, StateError> {
        let mut reader = SectionReader::new(HEAD, unsealed(HEAD_KEY, HEAD, head)?);
        let version = reader.u16()?;
        if version > STATE_VERSION {
            return Err(StateError::Container(ContainerError::UnsupportedVersion {
                of: "state",
                found: version,
                newest: STATE_VERSION,
            }));
        }
        // The fingerprint is for people; the layout says what fits.
        reader.u64()?;
        let mut state = Head::read(&mut reader).map_err(in_section(HEAD))?.state_for(extractor)?;
        state.orders = OrderIndex::with_clock(state.label_delay, extractor.sources.len(), &mut reader)
            .map_err(in_section(HEAD))?;
        state.event_ids = EventIds::with_clock(state.label_delay, &mut reader).map_err(in_section(HEAD))?;
        if state.network.is_some() {
            let network = Network::read_head(&mut reader).map_err(in_section(HEAD))?;
            check_hub_limit(&network, extractor).map_err(in_section(HEAD))?;
            state.network = Some(network);
        }
        reader.finish()?;
        Ok(Self { extractor, state })
    }

    /// Takes a part.
    pub fn take(&mut self, key: PartKey, bytes: &[u8]) -> Result<(), StateError> {
        let tag = key.tag();
        let mut reader = SectionReader::new(tag, unsealed(key, tag, bytes)?);
        self.read(key, &mut reader).map_err(in_section(tag))?;
        Ok(reader.finish()?)
    }

    /// The state, once it has taken all parts.
    pub fn finish(mut self) -> Result<State, StateError> {
        if let Some(network) = &mut self.state.network {
            let reader = SectionReader::new(*b"NETW", &[]);
            network.finish_parts(&reader).map_err(in_section(*b"NETW"))?;
        }
        Ok(self.state)
    }

    fn read(&mut self, key: PartKey, reader: &mut SectionReader<'_>) -> Result<(), HistoryError> {
        let shard = key.0 as u32 ^ 1 << 31;
        match (key.kind(), &mut self.state.network) {
            (Some(Kind::Slot(index)), _) if index < self.extractor.slots.len() && (shard as usize) < N_SHARDS => {
                let n = reader.u64()?;
                read_histories(&self.extractor.slots[index], n, reader, &mut self.state.histories[index])
            }
            (Some(Kind::Orders), _) => self.state.orders.read_day(reader),
            (Some(Kind::Events), _) => self.state.event_ids.read_day(reader),
            (Some(Kind::Accounts), Some(network)) => network.read_account_shard(reader),
            (Some(Kind::Things), Some(network)) => network.read_thing_shard(reader),
            _ => Err(invalid(reader, "a part of the model's state")),
        }
    }
}
