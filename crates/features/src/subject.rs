//! What is held about a person or a thing: looked up, exported and erased by the text that identifies it; and how much is
//! held in all.
//!
//! # What erasing leaves
//! Gone are the subject's histories, alone and combined with others (customer and device), its key in the orders that still
//! take a label, and its place in the network. A combination is found through the orders that name both, and, for two parts,
//! through all keys that are held of the other part, so that one remains only where it has three parts or its other part was
//! erased before, and its orders are no longer held. What remains beside are sums of others, which name nobody: the histories
//! of the whole shop and of entities that the subject shared (its hashed key may stand in the list of a device's distinct
//! customers until that is too old), and the size and frauds of its cluster.

use std::collections::BTreeSet;
use std::fmt;

use crate::extract::{Extractor, Slot, unmix};
use crate::identity::EntityKey;
use crate::kernel::EntityHistory;
use crate::language::resolve::Derive;
use crate::network::{AccountExport, ThingExport};
use crate::shards::Shards;
use crate::state::State;
use crate::time::UnixMillis;

/// Somebody or something with an identifier, as a state knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    key: u64,
    /// Key sources that give this key: the columns of one role share keys.
    sources: Vec<usize>,
}

/// A subject that cannot be looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubjectError {
    /// The state holds no entity of that name.
    UnknownEntity {
        /// What was asked for.
        found: String,
        /// What there is.
        expected: Vec<String>,
    },
    /// Nothing is left of the text once it is in its one spelling (a phone `unknown`).
    NoIdentifier {
        /// The entity.
        entity: String,
    },
}

impl fmt::Display for SubjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownEntity { found, expected } => {
                write!(f, "subject: expected one of {}, found {found:?}", expected.join(", "))
            }
            Self::NoIdentifier { entity } => write!(f, "subject: expected an identifier of {entity}, found none"),
        }
    }
}

impl std::error::Error for SubjectError {}

/// What erasing a subject removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Forgotten {
    /// Histories, of the subject alone and of combinations with it.
    pub n_histories: u64,
    /// Orders that no longer name it.
    pub n_orders: u64,
    /// Whether it was an account or a thing of the network.
    pub in_network: bool,
}

/// What is held about a subject, in times (milliseconds since the epoch), counts and bytes; no text, no key.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Export {
    /// Histories of the subject alone and of combinations with it.
    pub histories: Vec<HistoryExport>,
    /// Its orders that still take a label, by the time when they became known.
    pub orders: Vec<OrderExport>,
    /// Its place in the network, where it is an account.
    pub account: Option<AccountExport>,
    /// Its place in the network, where it links accounts.
    pub thing: Option<ThingExport>,
}

/// One history.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct HistoryExport {
    /// What it is a history of, in words: `customer`, `customer + device`.
    pub entity: String,
    /// When its latest event happened.
    pub last_time: Option<i64>,
    /// When its latest event became known.
    pub last_known_at: Option<i64>,
    /// Bytes held.
    pub bytes: u64,
}

/// One order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct OrderExport {
    /// When it happened.
    pub time: UnixMillis,
    /// When the shop knew of it.
    pub known_at: UnixMillis,
    /// From when on it counts as resolved.
    pub resolved_at: UnixMillis,
    /// When its latest label was learned.
    pub label_time: Option<UnixMillis>,
    /// Whether that says fraud.
    pub fraud: bool,
}

/// How much a state holds.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Sizes {
    /// Each of the extractor's entities, in words.
    pub entities: Vec<EntitySize>,
    /// Orders that take a label, and some that are too old to.
    pub n_orders: u64,
    /// Bytes of these.
    pub order_bytes: u64,
    /// Event ids.
    pub n_event_ids: u64,
    /// Bytes of these.
    pub event_id_bytes: u64,
    /// Accounts of the network.
    pub n_accounts: u64,
    /// Things of the network.
    pub n_things: u64,
    /// Bytes of the network.
    pub network_bytes: u64,
}

/// How much a state holds of one entity definition.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct EntitySize {
    /// In words: `customer + device`.
    pub entity: String,
    /// Number of entities.
    pub n: u64,
    /// Bytes of their histories.
    pub bytes: u64,
}

impl Sizes {
    /// All bytes.
    pub fn bytes(&self) -> u64 {
        self.entities.iter().map(|entity| entity.bytes).sum::<u64>()
            + self.order_bytes
            + self.event_id_bytes
            + self.network_bytes
    }
}

impl Extractor {
    /// Names of what can be looked up: the columns and derived entities that are counted over or link accounts.
    pub fn subjects(&self) -> Vec<String> {
        (0..self.sources.len()).map(|source| self.source_name(source)).collect()
    }

    /// The subject of that text: `entity` is one of [`Self::subjects`], or the role of such a column.
    pub fn subject(&self, entity: &str, text: &str) -> Result<Subject, SubjectError> {
        let named = |index: &usize| {
            let source = &self.sources[*index];
            self.source_name(*index) == entity || source.derive == Derive::None && source.role.name() == entity
        };
        let Some(found) = (0..self.sources.len()).find(named).map(|index| &self.sources[index]) else {
            return Err(SubjectError::UnknownEntity { found: entity.to_owned(), expected: self.subjects() });
        };
        let key = found.key(&self.key, text);
        if key == 0 {
            return Err(SubjectError::NoIdentifier { entity: entity.to_owned() });
        }
        let same = |index: &usize| self.sources[*index].domain() == found.domain();
        Ok(Subject { key, sources: (0..self.sources.len()).filter(same).collect() })
    }
}

impl State {
    /// Erases a subject; see the module for what remains. O(state).
    ///
    /// # Panics
    /// If the state or the subject was made with another extractor: a caller's bug.
    pub fn forget(&mut self, extractor: &Extractor, subject: &Subject) -> Forgotten {
        let mut forgotten = Forgotten::default();
        for (index, key) in self.entities_of(extractor, subject) {
            forgotten.n_histories += u64::from(self.histories[index].remove(EntityKey(key)).is_some());
        }
        forgotten.n_orders = self.orders_of(subject).count() as u64;
        self.orders.forget_key(subject.key);
        if let (Some(plan), Some(network)) = (&extractor.network, &mut self.network) {
            if subject.sources.contains(&plan.account) {
                forgotten.in_network |= network.forget_account(subject.key);
            }
            if plan.things.iter().any(|thing| subject.sources.contains(thing)) {
                forgotten.in_network |= network.forget_thing(subject.key);
            }
        }
        forgotten
    }

    /// What is held about a subject. O(state).
    ///
    /// # Panics
    /// If the state or the subject was made with another extractor: a caller's bug.
    pub fn export(&self, extractor: &Extractor, subject: &Subject) -> Export {
        let names = extractor.entities();
        let histories = self.entities_of(extractor, subject).into_iter().filter_map(|(index, key)| {
            let history = self.histories[index].get(EntityKey(key))?;
            Some(HistoryExport {
                entity: names[index].clone(),
                last_time: history.last_time(),
                last_known_at: history.last_known_at(),
                bytes: history.memory_bytes() as u64,
            })
        });
        let orders = self.orders_of(subject).map(|(order, _)| OrderExport {
            time: order.time,
            known_at: order.known_at,
            resolved_at: order.resolved_at,
            label_time: order.label_time,
            fraud: order.fraud,
        });
        let is_account = |source: &usize| extractor.network.as_ref().is_some_and(|plan| plan.account == *source);
        let is_thing = |source: &usize| extractor.network.as_ref().is_some_and(|plan| plan.things.contains(source));
        let network = self.network.as_ref();
        Export {
            histories: histories.collect(),
            orders: orders.collect(),
            account: network
                .filter(|_| subject.sources.iter().any(is_account))
                .and_then(|network| network.export_account(subject.key)),
            thing: network
                .filter(|_| subject.sources.iter().any(is_thing))
                .and_then(|network| network.export_thing(subject.key)),
        }
    }

    /// How much is held. O(state).
    ///
    /// # Panics
    /// If the state was made with another extractor: a caller's bug.
    pub fn sizes(&self, extractor: &Extractor) -> Sizes {
        // The map holds the values themselves.
        let behind = |history: &EntityHistory| history.memory_bytes() - size_of::<EntityHistory>();
        let entities = extractor.entities().into_iter().zip(&self.histories).map(|(entity, histories)| EntitySize {
            entity,
            n: histories.len() as u64,
            bytes: (histories.memory_bytes() + histories.iter().map(|(_, history)| behind(history)).sum::<usize>())
                as u64,
        });
        let network = self.network.as_ref();
        Sizes {
            entities: entities.collect(),
            n_orders: self.orders.len() as u64,
            order_bytes: self.orders.memory_bytes() as u64,
            n_event_ids: self.event_ids.len() as u64,
            event_id_bytes: (self.event_ids.memory_bytes() + self.latest.memory_bytes()) as u64,
            n_accounts: network.map_or(0, |network| network.n_accounts() as u64),
            n_things: network.map_or(0, |network| network.n_things() as u64),
            network_bytes: network.map_or(0, |network| network.memory_bytes() as u64),
        }
    }

    fn orders_of(&self, subject: &Subject) -> impl Iterator<Item = (&crate::order_index::OrderRecord, &[u64])> {
        let (key, sources) = (subject.key, subject.sources.clone());
        self.orders.iter().filter(move |(_, keys)| sources.iter().any(|&source| keys[source] == key))
    }

    /// The entities that the subject is, or is part of: (slot, key), each once.
    fn entities_of(&self, extractor: &Extractor, subject: &Subject) -> BTreeSet<(usize, u64)> {
        let mut found = BTreeSet::new();
        for (index, slot) in extractor.slots.iter().enumerate() {
            match *slot.sources.as_slice() {
                [source] if subject.sources.contains(&source) => {
                    found.insert((index, subject.key));
                }
                [a, b] => {
                    if subject.sources.contains(&a) {
                        found.extend(self.pairs(extractor, index, slot, subject, b).map(|key| (index, key)));
                    }
                    if subject.sources.contains(&b) {
                        found.extend(self.pairs(extractor, index, slot, subject, a).map(|key| (index, key)));
                    }
                }
                _ => {}
            }
        }
        for (_, keys) in self.orders_of(subject) {
            for (index, slot) in extractor.slots.iter().enumerate() {
                let is_part =
                    slot.sources.iter().any(|source| subject.sources.contains(source) && keys[*source] == subject.key);
                let key = slot.key(|source| keys[source]);
                if is_part && key != 0 {
                    found.insert((index, key));
                }
            }
        }
        found
    }

    /// Keys of a slot of two parts of which one is the subject and the other, `partner`, is held elsewhere.
    ///
    /// The key of a pair is made so that one part follows from it and the other; whether a part so found is a real one shows
    /// in its being held: a random number is with a probability of 1 in 2^64 for each key held.
    fn pairs<'a>(
        &'a self,
        extractor: &'a Extractor,
        index: usize,
        slot: &'a Slot,
        subject: &'a Subject,
        partner: usize,
    ) -> impl Iterator<Item = u64> + 'a {
        let domain = extractor.sources[partner].domain();
        let is_of = move |source: usize| extractor.sources[source].domain() == domain;
        let of_orders: BTreeSet<u64> = self
            .orders
            .iter()
            .flat_map(move |(_, keys)| keys.iter().enumerate().filter(move |(i, _)| is_of(*i)).map(|(_, key)| *key))
            .collect();
        let slots: Vec<&Shards<_, _>> = extractor
            .slots
            .iter()
            .zip(&self.histories)
            .filter(|(slot, _)| matches!(*slot.sources.as_slice(), [source] if is_of(source)))
            .map(|(_, histories)| histories)
            .collect();
        let in_network = move |key: u64| {
            let (Some(plan), Some(network)) = (&extractor.network, &self.network) else { return false };
            is_of(plan.account) && network.has_account(key)
                || plan.things.iter().any(|thing| is_of(*thing)) && network.has_thing(key)
        };
        let is_held = move |key: u64| {
            of_orders.contains(&key) || slots.iter().any(|s| s.get(EntityKey(key)).is_some()) || in_network(key)
        };
        self.histories[index].iter().map(|(key, _)| key.0).filter(move |&key| {
            let other = other_part(slot, key, subject.key, partner);
            other != 0
                && is_held(other)
                && slot.key(|source| if source == partner { other } else { subject.key }) == key
        })
    }
}

/// The part of a pair that gives its key together with the other part.
fn other_part(slot: &Slot, key: u64, own: u64, partner: usize) -> u64 {
    if slot.sources[0] == partner { unmix(unmix(key) ^ own) } else { unmix(key) ^ crate::extract::mix(own) }
}
