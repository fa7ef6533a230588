//! Orders and events as history sees them: numbers and keys, side by side.
//!
//! Items are numbered: orders in canonical order, then events in canonical order, then the labels as they are learned.

use super::stream::Stream;
use super::{Head, ReplayInput};
use crate::canonical::{CanonicalRows, currency_codes, hash_levels};
use crate::extract::{Extractor, HistoryValue, Source, fixed_point, place_value};
use crate::kernel::Occurrence;
use crate::kind::EventKind;
use crate::language::resolve::PointSource;
use crate::parallel;
use crate::schema::Role;
use crate::state::AGE;
use crate::table::{ColumnData, MISSING_CODE, MISSING_I64, OrderTable, TextColumn};

/// See the module.
pub(super) struct Items {
    pub(super) n_orders: usize,
    /// Per order and event.
    pub(super) heads: Vec<Head>,
    /// Per key source, one key per item; 0 where missing.
    pub(super) keys: Vec<Vec<u64>>,
    n_values: usize,
    /// `n_values` per order and event.
    values: Vec<i64>,
    n_distinct: usize,
    /// The first `n_distinct` keys of each order and event, once [`Self::settle`] was called.
    distinct: Vec<u64>,
}

/// One of the two tables.
struct Side<'a> {
    table: &'a OrderTable,
    rows: &'a CanonicalRows,
    kinds: Option<&'a [EventKind]>,
}

impl Side<'_> {
    /// Whether the values of a column count: an order lacks what is known only later.
    fn reads(&self, extractor: &Extractor, column: usize) -> bool {
        let kind = if self.kinds.is_some() { EventKind::Login } else { EventKind::Order };
        extractor.is_known(column, kind)
    }

    fn text(&self, extractor: &Extractor, column: usize) -> Option<&TextColumn> {
        match &self.table.columns[column] {
            ColumnData::Text(text) if self.reads(extractor, column) => Some(text),
            _ => None,
        }
    }
}

impl Items {
    pub(super) fn new(extractor: &Extractor, input: &ReplayInput<'_>, n_threads: usize) -> Self {
        let mut sides = vec![Side { table: input.orders, rows: input.rows, kinds: None }];
        sides.extend(input.events.map(|(events, rows)| Side {
            table: &events.table,
            rows,
            kinds: Some(&events.kinds),
        }));
        let n_values = extractor.n_values();
        let mut heads = Vec::new();
        let mut values = Vec::new();
        let mut keys: Vec<Vec<u64>> = vec![Vec::new(); extractor.sources.len()];
        for side in &sides {
            heads.extend(heads_of(extractor, side, n_threads));
            values.extend(values_of(extractor, side, n_values, n_threads));
            for (keys, source) in keys.iter_mut().zip(&extractor.sources) {
                let of_side = keys_of(extractor, side, source, n_threads);
                if keys.is_empty() { *keys = of_side } else { keys.extend(of_side) }
            }
        }
        let n_distinct = extractor.n_distinct;
        Self { n_orders: input.rows.len(), heads, keys, n_values, values, n_distinct, distinct: Vec::new() }
    }

    /// Orders and events.
    pub(super) fn n_events(&self) -> usize {
        self.heads.len()
    }

    pub(super) fn is_order(&self, item: u32) -> bool {
        (item as usize) < self.n_orders
    }

    /// Gives events the keys and ages that they have from their orders, labels the keys of theirs, and copies the keys that
    /// are counted distinct.
    pub(super) fn settle(&mut self, stream: &Stream, n_threads: usize) {
        for inherited in &stream.inherited {
            self.values[inherited.item * self.n_values + AGE] = inherited.age;
        }
        parallel::run(
            n_threads,
            self.keys.iter_mut().enumerate().collect(),
            |(source, keys): (usize, &mut Vec<u64>)| {
                for inherited in &stream.inherited {
                    if keys[inherited.item] == 0 {
                        keys[inherited.item] = inherited.keys.of_source(source, keys);
                    }
                }
                keys.reserve_exact(stream.news_keys.len());
                for of_label in &stream.news_keys {
                    let key = of_label.of_source(source, keys);
                    keys.push(key);
                }
            },
        );
        self.gather_distinct(n_threads);
    }

    fn gather_distinct(&mut self, n_threads: usize) {
        let n = self.n_distinct;
        self.distinct = vec![0; n * self.heads.len()];
        if n == 0 {
            return;
        }
        let keys = &self.keys[..n];
        let jobs: Vec<_> = self.distinct.chunks_mut(BLOCK * n).enumerate().collect();
        parallel::run(n_threads, jobs, |(block, out)| {
            for (source, keys) in keys.iter().enumerate() {
                let keys = &keys[block * BLOCK..];
                out.iter_mut().skip(source).step_by(n).zip(keys).for_each(|(place, &key)| *place = key);
            }
        });
    }

    /// Copies what history is told of some orders and events next to each other: an entity's items lie far apart in the
    /// stream, and one miss of the cache for each would cost more than all that is computed of it. `wanted` are in the order of
    /// the stream; of items that are labels only the time is copied.
    pub(super) fn gather(&self, wanted: &[u32], stream: &Stream) -> Gathered {
        let n_events = self.n_events();
        let blank = Head { time: 0, known_at: 0, currency: 0, kind: EventKind::Order };
        let head = |&item: &u32| self.heads.get(item as usize).copied().unwrap_or(blank);
        let heads = wanted.iter().map(head).collect();
        let times = wanted.iter().map(|&item| stream.time(self, item)).collect();
        let repeated = wanted.iter().map(|&item| stream.is_repeated(item)).collect();
        let mut values = vec![MISSING_I64; wanted.len() * self.n_values];
        let mut distinct = vec![0; wanted.len() * self.n_distinct];
        let places = values.chunks_exact_mut(self.n_values.max(1)).zip(wanted);
        for (place, &item) in places.filter(|&(_, &item)| (item as usize) < n_events) {
            place.copy_from_slice(&self.values[item as usize * self.n_values..][..self.n_values]);
        }
        let places = distinct.chunks_exact_mut(self.n_distinct.max(1)).zip(wanted);
        for (place, &item) in places.filter(|&(_, &item)| (item as usize) < n_events) {
            place.copy_from_slice(&self.distinct[item as usize * self.n_distinct..][..self.n_distinct]);
        }
        Gathered { times, repeated, heads, n_values: self.n_values, values, n_distinct: self.n_distinct, distinct }
    }

    /// An order or event as history sees it.
    pub(super) fn occurrence(&self, item: u32) -> Occurrence<'_> {
        let item = item as usize;
        let head = &self.heads[item];
        Occurrence {
            time: head.time,
            known_at: head.known_at,
            kind: head.kind,
            currency: head.currency,
            values: &self.values[item * self.n_values..(item + 1) * self.n_values],
            keys: &self.distinct[item * self.n_distinct..(item + 1) * self.n_distinct],
        }
    }
}

/// Some items of the stream, side by side.
pub(super) struct Gathered {
    /// When each was learned.
    pub(super) times: Vec<i64>,
    /// Whether each is an order that history ignores.
    pub(super) repeated: Vec<bool>,
    heads: Vec<Head>,
    n_values: usize,
    values: Vec<i64>,
    n_distinct: usize,
    distinct: Vec<u64>,
}

impl Gathered {
    /// The order or event at a position, as history sees it.
    pub(super) fn occurrence(&self, at: usize) -> Occurrence<'_> {
        let head = &self.heads[at];
        Occurrence {
            time: head.time,
            known_at: head.known_at,
            kind: head.kind,
            currency: head.currency,
            values: &self.values[at * self.n_values..][..self.n_values],
            keys: &self.distinct[at * self.n_distinct..][..self.n_distinct],
        }
    }
}

fn heads_of(extractor: &Extractor, side: &Side<'_>, n_threads: usize) -> Vec<Head> {
    let currency = extractor
        .schema
        .find(Role::Currency)
        .filter(|&column| extractor.reads_amount && side.reads(extractor, column))
        .map(|column| currency_codes(&side.table.columns[column], side.table.n_rows));
    let head = |i: usize| {
        let row = side.rows.row[i] as usize;
        Head {
            time: side.rows.time[i].0,
            known_at: side.rows.known_at[i].0,
            currency: currency.as_ref().map_or(0, |codes| codes[row]),
            kind: side.kinds.map_or(EventKind::Order, |kinds| kinds[row]),
        }
    };
    by_block(side.rows.len(), n_threads, head)
}

/// Computes one thing of each row, block by block in parallel.
fn by_block<T: Copy + Default + Send>(n: usize, n_threads: usize, of_row: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let mut all = vec![T::default(); n];
    parallel::run(n_threads, all.chunks_mut(BLOCK).enumerate().collect(), |(block, out): (usize, &mut [T])| {
        out.iter_mut().enumerate().for_each(|(i, place)| *place = of_row(block * BLOCK + i));
    });
    all
}

/// Rows per job.
const BLOCK: usize = 16_384;

fn values_of(extractor: &Extractor, side: &Side<'_>, n_values: usize, n_threads: usize) -> Vec<i64> {
    let columns: Vec<(usize, ValueColumn<'_>)> = std::iter::once((0, amount_column(extractor, side)))
        .chain(
            extractor
                .values
                .iter()
                .enumerate()
                .map(|(i, value)| (i + n_values - extractor.values.len(), value_column(extractor, side, value))),
        )
        .collect();
    let mut values = vec![MISSING_I64; n_values * side.rows.len()];
    let jobs: Vec<_> = values.chunks_mut(BLOCK * n_values).enumerate().collect();
    parallel::run(n_threads, jobs, |(block, out)| {
        let rows = &side.rows.row[block * BLOCK..];
        for (index, column) in &columns {
            column.fill(rows, out.iter_mut().skip(*index).step_by(n_values));
        }
    });
    values
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
    fn fill<'b>(&self, rows: &[u32], out: impl Iterator<Item = &'b mut i64>) {
        let places = out.zip(rows).map(|(place, &row)| (place, row as usize));
        match self {
            Self::Missing => {}
            Self::Whole(values) => places.for_each(|(place, row)| *place = values[row]),
            Self::Number(values) => places.for_each(|(place, row)| *place = fixed_point(values[row])),
            Self::Level(codes, of_level) => places.for_each(|(place, row)| {
                if codes[row] != MISSING_CODE {
                    *place = of_level[codes[row] as usize];
                }
            }),
            Self::Point(latitude, longitude) => places.for_each(|(place, row)| {
                *place = place_value(Some((latitude[row], longitude[row])));
            }),
        }
    }
}

fn amount_column<'a>(extractor: &Extractor, side: &Side<'a>) -> ValueColumn<'a> {
    match extractor.schema.find(Role::Amount) {
        Some(column) if extractor.reads_amount && side.reads(extractor, column) => match &side.table.columns[column] {
            ColumnData::Amount(amounts) => ValueColumn::Whole(amounts),
            _ => ValueColumn::Missing,
        },
        _ => ValueColumn::Missing,
    }
}

fn value_column<'a>(extractor: &Extractor, side: &Side<'a>, value: &HistoryValue) -> ValueColumn<'a> {
    if !value.columns().iter().all(|&column| side.reads(extractor, column)) {
        return ValueColumn::Missing;
    }
    let columns = &side.table.columns;
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

fn keys_of(extractor: &Extractor, side: &Side<'_>, source: &Source, n_threads: usize) -> Vec<u64> {
    let Some(text) = side.text(extractor, source.column) else { return vec![0; side.rows.len()] };
    let of_level = hash_levels(text.levels.len(), n_threads, |code| source.key(&extractor.key, text.levels.get(code)));
    let of_code = |code: u32| if code == MISSING_CODE { 0 } else { of_level[code as usize] };
    by_block(side.rows.len(), n_threads, |i| of_code(text.codes[side.rows.row[i] as usize]))
}
