//! From an order and the state to a feature row. Compiled once from schema and specification; names become positions here.
//!
//! A row is made of *cells*: first the features, in the order of the specification, then hidden cells that only features
//! combined of several entities read (the shop's own rate for `shrink`, the norm for `to`).

mod compile;
mod error;
pub(crate) mod own;
mod read;

use std::hint::black_box;
use std::sync::Arc;

pub use error::ExtractorError;
pub use read::Binding;

use crate::calendar::LocalClock;
use crate::event::{Event, NumberText, OrderError};
use crate::identity::IdentityKey;
use crate::kernel::{self, LabelNews, Occurrence, Plan};
use crate::kind::EventKind;
use crate::language::feature::FIRST_SEEN;
use crate::language::resolve::{Derive, PointSource};
use crate::network::Network;
use crate::own::Tables;
use crate::parse::TimeParser;
use crate::schema::{Role, Schema};
use crate::state::{State, is_gone};
use crate::table::MISSING_I64;
use compile::FIRST_VALUE;
use own::{Own, point_columns};
use read::Cells;

/// The most columns that are counted over, linked by or counted in.
pub const MAX_KEY_SOURCES: usize = 64;
/// The most entities that are counted over; a combination of columns is one.
pub const MAX_SLOTS: usize = 256;
/// The most numbers of an event that history remembers.
pub const MAX_VALUES: usize = kernel::MAX_INDEX;

/// Gives one key per event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// Position in the schema.
    pub(crate) column: usize,
    pub(crate) role: Role,
    pub(crate) derive: Derive,
}

impl Source {
    /// What sets the keys of this source apart from those of others with equal texts.
    pub(crate) fn domain(&self) -> &'static str {
        match self.derive {
            Derive::None => self.role.name(),
            Derive::IpNetwork => "ip_network",
            Derive::EmailDomain => "email_domain",
            Derive::Bin => Role::Bin.name(),
        }
    }

    /// The key of a text; 0 where nothing is left of it (a phone `unknown`, an IP address that is none).
    pub(crate) fn key(&self, key: &IdentityKey, text: &str) -> u64 {
        let found = match self.derive {
            Derive::None => key.entity(self.role, text),
            derive => crate::own::derive_key_text(derive, self.role, text)
                .map(|spelling| key.derived(self.domain(), &spelling)),
        };
        // 0 stands for missing. That a hash is 0 happens once in 2^64 times.
        found.map_or(0, |key| key.0.max(1))
    }
}

/// A number of an event that history remembers, beside amount and age.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum HistoryValue {
    /// A number column, in 1 / 65,536.
    Number(usize),
    /// Whether a text column has a level: 1 or 0.
    Level { column: usize, level: String },
    /// Where it happened, see [`kernel::pack_place`].
    Place(PointSource),
}

impl HistoryValue {
    /// The columns that it reads.
    pub(crate) fn columns(&self) -> impl Iterator<Item = usize> {
        let (first, second) = match self {
            Self::Number(column) | Self::Level { column, .. } => (*column, None),
            Self::Place(point) => point_columns(point),
        };
        [first].into_iter().chain(second)
    }

    fn of_event(&self, cells: &Cells<'_>, tables: &Tables) -> Result<i64, OrderError> {
        let mut scratch = NumberText::default();
        Ok(match self {
            Self::Number(column) => fixed_point(cells.number(*column)?),
            Self::Level { column, level } => {
                cells.text(*column, &mut scratch).map_or(MISSING_I64, |text| i64::from(text == level))
            }
            Self::Place(point) => place_value(cells.point(point, tables)?),
        })
    }
}

/// A number in 1 / 65,536, rounded; cut to what history takes.
pub(crate) fn fixed_point(number: f64) -> i64 {
    if number.is_nan() {
        return MISSING_I64;
    }
    // A float beyond the range becomes the nearest end.
    ((number * 65_536.0).round() as i64).clamp(-kernel::MAX_VALUE, kernel::MAX_VALUE)
}

/// Degrees north and east, where both are given.
pub(crate) fn point_of(latitude: f64, longitude: f64) -> Option<(f64, f64)> {
    (!latitude.is_nan() && !longitude.is_nan()).then_some((latitude, longitude))
}

/// What history keeps of a place: the nearest hundredth of a degree, about a kilometre. That is enough to see an impossible
/// journey, and too little to find a door.
pub(crate) fn place_value(point: Option<(f64, f64)>) -> i64 {
    let coarse = |degrees: f64| (degrees * 100.0).round() / 100.0;
    match point {
        // What lies just outside the globe is not to be rounded onto it.
        Some((latitude, longitude)) if kernel::pack_place(latitude, longitude) != MISSING_I64 => {
            kernel::pack_place(coarse(latitude), coarse(longitude))
        }
        _ => MISSING_I64,
    }
}

/// An entity that some feature counts over.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    /// Key sources, rising; none for the whole shop.
    pub(crate) sources: Vec<usize>,
    pub(crate) plan: Plan,
    /// Where each output of the plan goes.
    pub(crate) cells: Vec<usize>,
    /// Whether labels change what is read of it.
    pub(crate) reads_labels: bool,
}

/// The key of the whole shop, an entity that every event has.
const SHOP: u64 = 1;

impl Slot {
    /// The key of an event's entity, 0 where it has none.
    pub(crate) fn key(&self, key_of: impl Fn(usize) -> u64) -> u64 {
        match *self.sources.as_slice() {
            [] => SHOP,
            [source] => key_of(source),
            _ => {
                let mut key = 0;
                for &source in &self.sources {
                    let part = key_of(source);
                    if part == 0 {
                        return 0;
                    }
                    key = mix(key ^ part);
                }
                key.max(1)
            }
        }
    }
}

/// The finaliser of `SplitMix64` (Steele, Lea and Flood 2014), moved off zero: spreads a key over 64 bits.
pub(crate) fn mix(key: u64) -> u64 {
    let z = key.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The key from which [`mix`] made this one.
pub(crate) fn unmix(key: u64) -> u64 {
    let z = key ^ (key >> 31) ^ (key >> 62);
    let z = z.wrapping_mul(0x3196_42B2_D24D_8EC3);
    let z = z ^ (z >> 27) ^ (z >> 54);
    let z = z.wrapping_mul(0x96DE_1B17_3F11_9089);
    let z = z ^ (z >> 30) ^ (z >> 60);
    z.wrapping_sub(0x9E37_79B9_7F4A_7C15)
}

/// A feature that is computed of several cells.
#[derive(Clone, Debug)]
pub(crate) struct Combination {
    /// Where it goes.
    pub(crate) cell: usize,
    pub(crate) rate: Combine,
    /// Cell of the rate that it is divided by.
    pub(crate) norm: Option<usize>,
}

/// A rate; all fields but the weight are cells.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Combine {
    Plain { rate: usize },
    Shrunk { above: usize, below: usize, prior: usize, weight: f64 },
}

impl Combination {
    /// The value. NaN where the order lacks one of the entities, [`FIRST_SEEN`] where its own has no history; a shop or a
    /// norm without history has rate 0.
    pub(crate) fn value(&self, cell: impl Fn(usize) -> f32) -> f32 {
        let norm = self.norm.map(&cell);
        let own = match self.rate {
            Combine::Plain { rate } => cell(rate),
            Combine::Shrunk { above, .. } => cell(above),
        };
        if own.is_nan() || norm.is_some_and(f32::is_nan) {
            return f32::NAN;
        }
        if own == FIRST_SEEN {
            return FIRST_SEEN;
        }
        let rate = match self.rate {
            Combine::Plain { .. } => f64::from(own),
            Combine::Shrunk { below, prior, weight, .. } => {
                let prior = f64::from(cell(prior)).max(0.0);
                (f64::from(own) + weight * prior) / (f64::from(cell(below)) + weight)
            }
        };
        match norm.map(f64::from) {
            None => rate as f32,
            Some(norm) if norm > 0.0 => (rate / norm) as f32,
            Some(_) => 0.0,
        }
    }
}

/// What is read of the network of accounts.
#[derive(Clone, Debug)]
pub(crate) struct NetworkPlan {
    /// Key source of accounts.
    pub(crate) account: usize,
    /// Key sources of the things that link them.
    pub(crate) things: Vec<usize>,
    pub(crate) outputs: Vec<(usize, NetworkOutput)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NetworkOutput {
    ClusterSize,
    ClusterFrauds,
    NewLinks,
    /// Position among the things.
    AccountsPer(usize),
}

impl NetworkPlan {
    /// Reads the network for an order at `time`, and hands each output to `write` with its position.
    pub(crate) fn read(
        &self,
        network: &Network,
        time: i64,
        key_of: impl Fn(usize) -> u64,
        mut write: impl FnMut(usize, f32),
    ) {
        let (mut things, mut accounts_per) = ([0; MAX_KEY_SOURCES], [0.0; MAX_KEY_SOURCES]);
        let things = self.things_of(&mut things, &key_of);
        let accounts_per = &mut accounts_per[..things.len()];
        let reading = network.read(time, key_of(self.account), things, accounts_per);
        for (index, (_, output)) in self.outputs.iter().enumerate() {
            let value = match *output {
                NetworkOutput::ClusterSize => reading.cluster_size,
                NetworkOutput::ClusterFrauds => reading.cluster_frauds,
                NetworkOutput::NewLinks => reading.new_links,
                NetworkOutput::AccountsPer(thing) => accounts_per[thing],
            };
            write(index, value);
        }
    }

    /// Learns an order or another event.
    pub(crate) fn learn(&self, network: &mut Network, known_at: i64, key_of: impl Fn(usize) -> u64) {
        let mut things = [0; MAX_KEY_SOURCES];
        let things = self.things_of(&mut things, &key_of);
        network.learn(known_at, key_of(self.account), things);
    }

    /// Learns the label of an order.
    pub(crate) fn learn_label(&self, network: &mut Network, news: &LabelNews, key_of: impl Fn(usize) -> u64) {
        network.learn_label(key_of(self.account), news.known_at, news.at, news.fraud, news.was_fraud);
    }

    fn things_of<'a>(&self, room: &'a mut [u64; MAX_KEY_SOURCES], key_of: impl Fn(usize) -> u64) -> &'a [u64] {
        for (place, &source) in room.iter_mut().zip(&self.things) {
            *place = key_of(source);
        }
        &room[..self.things.len()]
    }
}

/// Computes feature rows; immutable, shared by any number of threads.
#[derive(Clone, Debug)]
pub struct Extractor {
    pub(crate) schema: Schema,
    pub(crate) n_features: usize,
    pub(crate) row_len: usize,
    /// The first so many sources are those whose distinct values history counts.
    pub(crate) n_distinct: usize,
    pub(crate) sources: Vec<Source>,
    /// From index [`FIRST_VALUE`] on.
    pub(crate) values: Vec<HistoryValue>,
    pub(crate) slots: Vec<Slot>,
    pub(crate) own: Vec<(usize, Own)>,
    pub(crate) combinations: Vec<Combination>,
    pub(crate) network: Option<NetworkPlan>,
    pub(crate) clock: LocalClock,
    pub(crate) key: IdentityKey,
    pub(crate) tables: Arc<Tables>,
    pub(crate) hub_limit: u32,
    /// Whether history reads amounts, and with them currencies.
    pub(crate) reads_amount: bool,
    time_parser: Option<TimeParser>,
    layout: u64,
}

impl Extractor {
    /// Number of features.
    pub fn n_features(&self) -> usize {
        self.n_features
    }

    /// Length of a row: the features, and behind them cells that are of no use to a caller.
    pub fn row_len(&self) -> usize {
        self.row_len
    }

    /// The schema it was compiled from.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The key that hashes identifiers.
    pub fn key(&self) -> &IdentityKey {
        &self.key
    }

    /// The shop's own tables.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Whether rows depend on earlier events.
    pub fn uses_history(&self) -> bool {
        !self.slots.is_empty() || self.network.is_some()
    }

    /// Tells which states fit: those of the same history and network features over the same columns, with the same limits,
    /// label delay, amount unit and identity key.
    pub fn state_layout(&self) -> u64 {
        self.layout
    }

    /// What each entity is made of, in words, in the order in which a state holds them.
    pub fn entities(&self) -> Vec<String> {
        let entity = |slot: &Slot| match slot.sources.as_slice() {
            [] => "shop".to_owned(),
            sources => sources.iter().map(|&source| self.source_name(source)).collect::<Vec<_>>().join(" + "),
        };
        self.slots.iter().map(entity).collect()
    }

    /// A key source in words.
    pub(crate) fn source_name(&self, source: usize) -> String {
        let source = &self.sources[source];
        let column = &self.schema.columns[source.column].name;
        match source.derive {
            Derive::None => column.clone(),
            Derive::IpNetwork => format!("ip24({column})"),
            Derive::EmailDomain => format!("email_domain({column})"),
            Derive::Bin => format!("bin({column})"),
        }
    }

    /// Numbers of an event that history remembers.
    pub(crate) fn n_values(&self) -> usize {
        FIRST_VALUE + self.values.len()
    }

    /// Computes the row of an order from what the state knows before it; writes all of `row`.
    ///
    /// The state is not changed, and nothing is allocated. O(entities * features * log n).
    ///
    /// # Panics
    /// If `row` is not [`Self::row_len`] long, or the event was read by another extractor or is no order: a caller's bug.
    pub fn extract(&self, state: &State, event: &Event, row: &mut [f32]) {
        assert_eq!(row.len(), self.row_len, "row must have one place per cell");
        assert!(
            event.kind == EventKind::Order && event.own.len() == self.own.len(),
            "the event must be an order that this extractor read"
        );
        for (&(cell, _), &value) in self.own.iter().zip(&event.own) {
            row[cell] = value;
        }
        let order = self.occurrence(event, &event.values, &event.keys);
        // Entities lie far apart in memory: all are found first, and what will be read of them is asked for, at once.
        let horizon = state.lives.horizon_at(event.known_at.0);
        let mut found = [None; MAX_SLOTS];
        let found = &mut found[..self.slots.len()];
        let mut keys = [0; MAX_SLOTS];
        for (key, slot) in keys.iter_mut().zip(&self.slots) {
            *key = slot.key(|source| event.keys[source]);
        }
        let mut things = [0; MAX_KEY_SOURCES];
        let key_of = |source: usize| event.keys[source];
        let of_network = self.network.as_ref();
        let of_network =
            of_network.map_or((0, &[][..]), |plan| (key_of(plan.account), plan.things_of(&mut things, key_of)));
        if !found.is_empty() {
            state.find_histories(&keys[..found.len()], found, event, of_network);
        }
        let touched =
            found.iter().zip(&self.slots).filter_map(|(history, slot)| Some(history.as_ref()?.touch(&slot.plan)));
        black_box(touched.fold(0, |all, touched| all ^ touched));
        for ((slot, history), key) in self.slots.iter().zip(found).zip(keys) {
            let write = |output: usize, value: f32| row[slot.cells[output]] = value;
            match history {
                _ if key == 0 => slot.plan.write_missing(write),
                Some(history) if !is_gone(history, horizon) => history.read(&slot.plan, &order, write),
                _ => slot.plan.write_first_seen(write),
            }
        }
        if let (Some(plan), Some(network)) = (&self.network, &state.network) {
            let write = |output: usize, value: f32| row[plan.outputs[output].0] = value;
            plan.read(network, event.time.0, |source| event.keys[source], write);
        }
        for combination in &self.combinations {
            row[combination.cell] = combination.value(|cell| row[cell]);
        }
    }

    /// The event as history sees it.
    pub(crate) fn occurrence<'a>(&self, event: &Event, values: &'a [i64], keys: &'a [u64]) -> Occurrence<'a> {
        Occurrence {
            time: event.time.0,
            known_at: event.known_at.0,
            kind: event.kind,
            currency: event.currency,
            values,
            keys: &keys[..self.n_distinct],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_keeps_places_to_a_kilometre() {
        let kept = |latitude: f64, longitude: f64| kernel::unpack_place(place_value(Some((latitude, longitude))));
        assert_eq!(kept(52.229_675, 21.012_228), Some((52.23, 21.01)));
        assert_eq!(kept(-33.868_82, 151.209_29), Some((-33.87, 151.21)));
        assert_eq!(kept(-90.0, 180.0), Some((-90.0, 180.0)));
        assert_eq!((kept(90.004, 0.0), kept(0.0, f64::NAN)), (None, None));
        assert_eq!(place_value(None), MISSING_I64);
    }
}
