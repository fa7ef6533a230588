//! Orders and events as history sees them: numbers and keys, where the tables have them.
//!
//! Items are numbered: orders in canonical order, then events in canonical order, then the labels as they are learned. Of
//! orders nothing is copied but what one shard of one slot needs, when it does; what events take from their orders stands
//! beside them.

use super::stream::{Stream, says_fraud};
use super::{Head, ReplayInput};
use crate::canonical::{CanonicalRows, currency_codes, hash_levels};
use crate::extract::{Extractor, HistoryValue, Slot, Source, fixed_point, place_value};
use crate::identity::OrderId;
use crate::kernel::Occurrence;
use crate::kind::EventKind;
use crate::language::resolve::PointSource;
use crate::parallel;
use crate::resume::{Content, Latest, Resume};
use crate::schema::Role;
use crate::state::{AGE, NEVER};
use crate::table::{ColumnData, EventTable, MISSING_CODE, MISSING_I64, OrderTable, TextColumn};
use crate::time::UnixMillis;

/// See the module.
pub(super) struct Items<'a> {
    pub(super) n_orders: usize,
    orders: Side<'a>,
    events: Option<Side<'a>>,
    /// Per key source, one key per event and label; 0 where missing.
    late_keys: Vec<Vec<u64>>,
    /// Per event, milliseconds since the order that it is about.
    ages: Vec<i64>,
}

/// One of the two tables.
struct Side<'a> {
    rows: &'a CanonicalRows,
    kinds: Option<&'a [EventKind]>,
    /// Per row of the table, where amounts are read.
    currency: Option<Vec<u32>>,
    /// By index of the value.
    values: Vec<ValueColumn<'a>>,
    /// By key source.
    keys: Vec<Option<KeyColumn<'a>>>,
}

/// A text column as keys of one source.
struct KeyColumn<'a> {
    codes: &'a [u32],
    of_level: Vec<u64>,
}

/// Whether the values of a column count: an order lacks what is known only later.
fn reads(extractor: &Extractor, kinds: Option<&[EventKind]>, column: usize) -> bool {
    extractor.is_known(column, if kinds.is_some() { EventKind::Login } else { EventKind::Order })
}

impl<'a> Side<'a> {
    fn new(
        extractor: &Extractor,
        table: &'a OrderTable,
        rows: &'a CanonicalRows,
        kinds: Option<&'a [EventKind]>,
        n_threads: usize,
    ) -> Self {
        let reads = |column: usize| reads(extractor, kinds, column);
        let currency = extractor
            .schema
            .find(Role::Currency)
            .filter(|&column| extractor.reads_amount && reads(column))
            .map(|column| currency_codes(&table.columns[column], table.n_rows));
        let mut values = vec![amount_column(extractor, table, &reads)];
        values.resize_with(extractor.n_values() - extractor.values.len(), || ValueColumn::Missing);
        values.extend(extractor.values.iter().map(|value| value_column(extractor, table, value, &reads)));
        let text = |column: usize| match &table.columns[column] {
            ColumnData::Text(text) if reads(column) => Some(text),
            _ => None,
        };
        let keys_of = |source: &Source| Some(key_column(extractor, text(source.column)?, source, n_threads));
        Self { rows, kinds, currency, values, keys: extractor.sources.iter().map(keys_of).collect() }
    }

    fn head(&self, i: usize) -> Head {
        let row = self.rows.row[i] as usize;
        Head {
            time: self.rows.time[i].0,
            known_at: self.rows.known_at[i].0,
            currency: self.currency.as_ref().map_or(0, |codes| codes[row]),
            kind: self.kinds.map_or(EventKind::Order, |kinds| kinds[row]),
        }
    }

    /// See [`Content`]; `fraud` says of events whether they are labels that say fraud.
    fn content_hash(&self, i: usize, fraud: &[bool]) -> u64 {
        let Head { time, known_at, currency, kind } = self.head(i);
        let row = self.rows.row[i] as usize;
        let id = |ids: &Option<Vec<OrderId>>| ids.as_ref().map(|ids| ids[i]);
        let content = Content {
            kind,
            id: id(&self.rows.id),
            event_id: id(&self.rows.event_id),
            time,
            known_at,
            fraud: fraud.get(i).copied().unwrap_or(false),
            currency,
            values: self.values.iter().map(|values| values.of_row(row)),
            keys: (0..self.keys.len()).map(|source| self.key(source, i)),
        };
        content.hash()
    }

    fn key(&self, source: usize, i: usize) -> u64 {
        self.keys[source].as_ref().map_or(0, |column| column.of_row(self.rows.row[i]))
    }
}

impl KeyColumn<'_> {
    fn of_row(&self, row: u32) -> u64 {
        match self.codes[row as usize] {
            MISSING_CODE => 0,
            code => self.of_level[code as usize],
        }
    }
}

impl<'a> Items<'a> {
    pub(super) fn new(extractor: &Extractor, input: &ReplayInput<'a>, n_threads: usize) -> Self {
        let orders = Side::new(extractor, input.orders, input.rows, None, n_threads);
        let events = input
            .events
            .map(|(events, rows)| Side::new(extractor, &events.table, rows, Some(&events.kinds), n_threads));
        let sources: Vec<usize> = (0..extractor.sources.len()).collect();
        let late_keys = parallel::run(n_threads, sources, |source| {
            let of_events = |side: &Side<'_>| (0..side.rows.len()).map(|i| side.key(source, i)).collect();
            events.as_ref().map_or_else(Vec::new, of_events)
        });
        let ages = vec![MISSING_I64; events.as_ref().map_or(0, |side| side.rows.len())];
        Self { n_orders: input.rows.len(), orders, events, late_keys, ages }
    }

    /// Orders and events.
    pub(super) fn n_events(&self) -> usize {
        self.n_orders + self.ages.len()
    }

    pub(super) fn is_order(&self, item: u32) -> bool {
        (item as usize) < self.n_orders
    }

    /// Key sources.
    pub(super) fn n_sources(&self) -> usize {
        self.late_keys.len()
    }

    /// The key of an item, 0 where it has none.
    pub(super) fn key(&self, source: usize, item: u32) -> u64 {
        match (item as usize).checked_sub(self.n_orders) {
            None => self.orders.key(source, item as usize),
            Some(late) => self.late_keys[source][late],
        }
    }

    /// Times, currency and kind of an order or event.
    pub(super) fn head(&self, item: u32) -> Head {
        match (item as usize).checked_sub(self.n_orders) {
            None => self.orders.head(item as usize),
            Some(event) => self.events.as_ref().map_or_else(Head::default, |side| side.head(event)),
        }
    }

    /// Notes what became known at the latest times, as [`State::learn`] does, before events take anything of their orders.
    pub(super) fn note_latest(&self, fraud: &[bool], newest: &[UnixMillis], latest: &mut Latest) {
        let Some(&first) = newest.iter().find(|time| **time != NEVER) else { return };
        latest.forget_before(first);
        let mut note = |side: &Side<'_>, fraud: &[bool]| {
            let times = side.rows.known_at.iter().enumerate().rev();
            for (i, &known_at) in times.take_while(|(_, known_at)| **known_at >= first) {
                latest.add(known_at, side.content_hash(i, fraud));
            }
        };
        note(&self.orders, &[]);
        self.events.iter().for_each(|side| note(side, fraud));
    }

    /// When an order or event became known.
    pub(super) fn known_at(&self, item: u32) -> i64 {
        match ((item as usize).checked_sub(self.n_orders), &self.events) {
            (Some(event), Some(side)) => side.rows.known_at[event].0,
            _ => self.orders.rows.known_at[item as usize].0,
        }
    }

    /// The kind of an order or event.
    pub(super) fn kind(&self, item: u32) -> EventKind {
        match ((item as usize).checked_sub(self.n_orders), &self.events) {
            (Some(event), Some(Side { rows, kinds: Some(kinds), .. })) => kinds[rows.row[event] as usize],
            _ => EventKind::Order,
        }
    }

    /// Gives events the keys, currencies and ages that they have from their orders, and labels the keys of theirs.
    pub(super) fn settle(&mut self, stream: &Stream, n_threads: usize) {
        let (n_orders, orders) = (self.n_orders, &self.orders);
        for inherited in &stream.inherited {
            self.ages[inherited.item - n_orders] = inherited.age;
        }
        if let Some(Side { rows, currency: Some(currency), .. }) = &mut self.events {
            for inherited in &stream.inherited {
                let code = &mut currency[rows.row[inherited.item - n_orders] as usize];
                if *code == 0 {
                    *code = inherited.keys.currency(|order| orders.head(order as usize).currency);
                }
            }
        }
        let sources: Vec<_> = self.late_keys.iter_mut().enumerate().collect();
        parallel::run(n_threads, sources, |(source, keys): (usize, &mut Vec<u64>)| {
            let of_order = |order: u32| orders.key(source, order as usize);
            for inherited in &stream.inherited {
                let key = &mut keys[inherited.item - n_orders];
                if *key == 0 {
                    *key = inherited.keys.of_source(source, of_order);
                }
            }
            keys.extend(stream.news_keys.iter().map(|of_label| of_label.of_source(source, of_order)));
        });
    }

    /// A value of an order or event.
    pub(super) fn value(&self, index: usize, item: u32) -> i64 {
        let (side, i) = match ((item as usize).checked_sub(self.n_orders), &self.events) {
            (Some(event), Some(_)) if index == AGE => return self.ages[event],
            (Some(event), Some(side)) => (side, event),
            _ => (&self.orders, item as usize),
        };
        side.values[index].of_row(side.rows.row[i] as usize)
    }

    /// An order or event as history sees it; `values` and `keys` are room.
    pub(super) fn occurrence<'b>(
        &self,
        slot: &Slot,
        item: u32,
        values: &'b mut Vec<i64>,
        keys: &'b mut Vec<u64>,
    ) -> Occurrence<'b> {
        let (used_values, used_keys) = (slot.plan.used_values(), slot.plan.used_keys());
        let width = |used: &[usize]| used.last().map_or(0, |last| last + 1);
        refill(values, width(used_values), MISSING_I64);
        refill(keys, width(used_keys), 0);
        for &index in used_values {
            values[index] = self.value(index, item);
        }
        for &source in used_keys {
            keys[source] = self.key(source, item);
        }
        self.head(item).occurrence(values, keys)
    }
}

/// Which rows of a table of events the state has learned already, in the order of `rows`; see [`Resume`].
///
/// The events are those of the stream that the state was learning, all of the milliseconds in question among them.
pub fn learned_events(
    extractor: &Extractor,
    events: &EventTable,
    rows: &CanonicalRows,
    resume: &mut Resume,
) -> Vec<bool> {
    let side = Side::new(extractor, &events.table, rows, Some(&events.kinds), 1);
    let fraud = says_fraud(extractor, (events, rows));
    let is_learned =
        |(i, &known_at): (usize, &UnixMillis)| resume.has_learned_content(known_at, || side.content_hash(i, &fraud));
    rows.known_at.iter().enumerate().map(is_learned).collect()
}

fn refill<T: Copy>(vec: &mut Vec<T>, n: usize, value: T) {
    vec.clear();
    vec.resize(n, value);
}

impl Head {
    pub(super) fn occurrence<'b>(&self, values: &'b [i64], keys: &'b [u64]) -> Occurrence<'b> {
        let Self { time, known_at, currency, kind } = *self;
        Occurrence { time, known_at, kind, currency, values, keys }
    }
}

/// Where the values of one index come from.
enum ValueColumn<'a> {
    Missing,
    Whole(&'a [i64]),
    Number(&'a [f64]),
    /// Per code of the column.
    Level(&'a [u32], Vec<i64>),
    Point(&'a [f64], &'a [f64]),
}

impl ValueColumn<'_> {
    fn of_row(&self, row: usize) -> i64 {
        match self {
            Self::Missing => MISSING_I64,
            Self::Whole(values) => values[row],
            Self::Number(values) => fixed_point(values[row]),
            Self::Level(codes, of_level) => match codes[row] {
                MISSING_CODE => MISSING_I64,
                code => of_level[code as usize],
            },
            Self::Point(latitude, longitude) => place_value(Some((latitude[row], longitude[row]))),
        }
    }
}

fn amount_column<'a>(extractor: &Extractor, table: &'a OrderTable, reads: &impl Fn(usize) -> bool) -> ValueColumn<'a> {
    match extractor.schema.find(Role::Amount) {
        Some(column) if extractor.reads_amount && reads(column) => match &table.columns[column] {
            ColumnData::Amount(amounts) => ValueColumn::Whole(amounts),
            _ => ValueColumn::Missing,
        },
        _ => ValueColumn::Missing,
    }
}

fn value_column<'a>(
    extractor: &Extractor,
    table: &'a OrderTable,
    value: &HistoryValue,
    reads: &impl Fn(usize) -> bool,
) -> ValueColumn<'a> {
    if !value.columns().into_iter().all(reads) {
        return ValueColumn::Missing;
    }
    let columns = &table.columns;
    match value {
        HistoryValue::Number(column) => match &columns[*column] {
            ColumnData::Number(numbers) => ValueColumn::Number(numbers),
            _ => ValueColumn::Missing,
        },
        HistoryValue::Level { column, level } => match &columns[*column] {
            ColumnData::Text(text) => {
                ValueColumn::Level(&text.codes, text.levels.iter().map(|known| i64::from(known == level)).collect())
            }
            _ => ValueColumn::Missing,
        },
        HistoryValue::Place(PointSource::Columns { latitude, longitude }) => {
            match (&columns[*latitude], &columns[*longitude]) {
                (ColumnData::Number(latitude), ColumnData::Number(longitude)) => {
                    ValueColumn::Point(latitude, longitude)
                }
                _ => ValueColumn::Missing,
            }
        }
        HistoryValue::Place(PointSource::Ip { column }) => match &columns[*column] {
            ColumnData::Text(text) => {
                let place = |level| place_value(crate::own::point(level, &extractor.tables));
                ValueColumn::Level(&text.codes, text.levels.iter().map(place).collect())
            }
            _ => ValueColumn::Missing,
        },
    }
}

fn key_column<'a>(extractor: &Extractor, text: &'a TextColumn, source: &Source, n_threads: usize) -> KeyColumn<'a> {
    let of_level = hash_levels(text.levels.len(), n_threads, |code| source.key(&extractor.key, text.levels.get(code)));
    KeyColumn { codes: &text.codes, of_level }
}
