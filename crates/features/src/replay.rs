//! Training rows: the serving code run over past orders, entity by entity, each in order of `known_at`.
//!
//! An entity's features depend on its own events alone, so entities are independent jobs. Within one entity the loop is
//! what a live service does: read the features of an order, then learn it, with labels learned at their own time.

use std::collections::HashMap;
use std::fmt;

use foldhash::fast::FixedState;

use crate::canonical::{CanonicalRows, currency_codes, hash_levels};
use crate::event::OrderEvent;
use crate::extract::{Direct, EntitySlot, Extractor, Input, Reader, amount_feature, category_value, since_feature};
use crate::history::{EntityHistory, LabelNews, Reading, Sighting};
use crate::identity::EntityKey;
use crate::matrix::Matrix;
use crate::parallel;
use crate::state::{OrderRecord, State, order_memory};
use crate::table::{ColumnData, MISSING_CODE, MISSING_I64, OrderTable};
use crate::time::UnixMillis;

/// The shop learns the label of an order of the table, or that an earlier label is reversed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelEvent {
    /// Position of the order in canonical order.
    pub order: u32,
    /// When it is learned.
    pub time: UnixMillis,
    /// What is learned.
    pub fraud: bool,
}

/// What a replay gives.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// One row per order, in canonical order.
    pub matrix: Matrix,
    /// Orders whose id was seen before: their rows are there, but history ignores them and no fit may use them.
    pub repeated: Vec<bool>,
}

/// A table that cannot be replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplayError {
    /// The features read a column that the table does not have.
    ColumnAbsent {
        /// The column.
        column: String,
    },
    /// The state belongs to another specification.
    Layout(crate::state::LayoutMismatch),
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ColumnAbsent { column } => {
                write!(f, "features: the data have no column {column:?}, which the model reads")
            }
            Self::Layout(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ReplayError {}

/// Computes the feature row of every order of `table` and learns all orders and labels into `state`.
///
/// `rows` is the table's canonical order. `state` may hold earlier history. The result does not depend on `n_threads` or
/// on the order of the table's rows. `progress` is called with (done, total) steps. O(rows * entity columns * windows).
pub fn replay(
    extractor: &Extractor,
    table: &OrderTable,
    rows: &CanonicalRows,
    labels: &[LabelEvent],
    state: &mut State,
    n_threads: usize,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Replayed, ReplayError> {
    state.check_layout(extractor).map_err(ReplayError::Layout)?;
    let total = extractor.entities.len() + 1;
    let orders = Orders::new(extractor, table, rows)?;
    let mut matrix = Matrix::missing(rows.len(), extractor.n_features());
    fill_direct(extractor, table, rows, &orders, n_threads, &mut matrix)?;
    progress(1, total);

    let entities: Vec<EntityCodes> = extractor
        .entities
        .iter()
        .map(|slot| EntityCodes::new(extractor, table, rows, slot, n_threads))
        .collect::<Result<_, _>>()?;
    let repeated = rows.repeated(state.label_delay, |id| state.orders.get(&id).map(|record| record.known_at));
    state.position.n_repeated += repeated.iter().filter(|&&r| r).count() as u64;
    let ids = order_ids(rows, &orders, &entities);
    let news = label_news(rows, &ids, &repeated, labels, state);
    for (slot_index, (slot, codes)) in extractor.entities.iter().zip(&entities).enumerate() {
        let job = SlotReplay { slot, codes, orders: &orders, ids: &ids, repeated: &repeated, news: &news };
        job.run(&mut state.histories[slot_index], n_threads, &mut matrix);
        progress(slot_index + 2, total);
    }
    remember_orders(rows, &entities, &repeated, &news, state);
    Ok(Replayed { matrix, repeated })
}

/// What every entity remembers of the orders, in canonical order.
struct Orders {
    time: Vec<UnixMillis>,
    amount: Vec<i64>,
    currency: Vec<u32>,
}

impl Orders {
    fn new(extractor: &Extractor, table: &OrderTable, rows: &CanonicalRows) -> Result<Self, ReplayError> {
        use crate::schema::Role;
        let schema = &extractor.schema;
        let mut amount = vec![MISSING_I64; rows.len()];
        let mut currency = vec![0; rows.len()];
        if extractor.reads_amount() {
            if let Some(column) = schema.find(Role::Amount) {
                let ColumnData::Amount(amounts) = &table.columns[column] else {
                    return Err(absent(extractor, column));
                };
                amount = rows.row.iter().map(|&row| amounts[row as usize]).collect();
            }
            if let Some(column) = schema.find(Role::Currency) {
                let codes = currency_codes(&table.columns[column], table.n_rows);
                currency = rows.row.iter().map(|&row| codes[row as usize]).collect();
            }
        }
        Ok(Self { time: rows.time.clone(), amount, currency })
    }
}

fn absent(extractor: &Extractor, column: usize) -> ReplayError {
    ReplayError::ColumnAbsent { column: extractor.schema.columns[column].name.clone() }
}

/// Fills the features that need no history.
fn fill_direct(
    extractor: &Extractor,
    table: &OrderTable,
    rows: &CanonicalRows,
    orders: &Orders,
    n_threads: usize,
    matrix: &mut Matrix,
) -> Result<(), ReplayError> {
    for input in &extractor.inputs {
        if !matches!(
            (&input.reader, &table.columns[input.column]),
            (Reader::Number, ColumnData::Number(_))
                | (Reader::Category(_), ColumnData::Text(_))
                | (Reader::Timestamp(_), ColumnData::Time(_))
        ) {
            return Err(absent(extractor, input.column));
        }
    }
    let mut direct_of: Vec<Option<Direct>> = vec![None; extractor.n_features()];
    for &(output, direct) in &extractor.direct {
        direct_of[output] = Some(direct);
    }
    let jobs: Vec<(Direct, &mut [f32])> =
        matrix.columns_mut().zip(&direct_of).filter_map(|(column, direct)| direct.map(|d| (d, column))).collect();
    parallel::run(n_threads, jobs, |(direct, column)| {
        let local = |i: usize| extractor.clock.at(orders.time[i]);
        let mut fill = |value: &dyn Fn(usize) -> f32| {
            for (i, cell) in column.iter_mut().enumerate() {
                *cell = value(i);
            }
        };
        match direct {
            Direct::Amount => fill(&|i| amount_feature(orders.amount[i], extractor.minor_units())),
            Direct::Hour => fill(&|i| f32::from(local(i).hour)),
            Direct::Weekday => fill(&|i| f32::from(local(i).weekday)),
            Direct::Night => fill(&|i| f32::from(u8::from(local(i).is_night()))),
            Direct::Weekend => fill(&|i| f32::from(u8::from(local(i).is_weekend()))),
            Direct::Input(input) => {
                let values = input_values(&extractor.inputs[input], table);
                fill(&|i| values(rows.row[i] as usize) as f32);
            }
            Direct::Since(input) => {
                let values = input_values(&extractor.inputs[input], table);
                fill(&|i| since_feature(orders.time[i], values(rows.row[i] as usize)));
            }
        }
    });
    Ok(())
}

/// The value of an input for each row of the table.
fn input_values<'a>(input: &Input, table: &'a OrderTable) -> Box<dyn Fn(usize) -> f64 + 'a> {
    match (&input.reader, &table.columns[input.column]) {
        (Reader::Number, ColumnData::Number(values)) => Box::new(|row| values[row]),
        (Reader::Timestamp(_), ColumnData::Time(times)) => {
            Box::new(|row| if times[row] == MISSING_I64 { f64::NAN } else { times[row] as f64 })
        }
        (Reader::Category(codes), ColumnData::Text(text)) => {
            let of_level: Vec<f64> = text.levels.iter().map(|level| category_value(codes, level)).collect();
            Box::new(move |row| match text.codes[row] {
                MISSING_CODE => f64::NAN,
                code => of_level[code as usize],
            })
        }
        _ => Box::new(|_| f64::NAN),
    }
}

/// The entity of each order in one entity column: `codes[order]` is a position in `keys`, or [`MISSING_CODE`].
struct EntityCodes {
    codes: Vec<u32>,
    keys: Vec<EntityKey>,
}

impl EntityCodes {
    fn new(
        extractor: &Extractor,
        table: &OrderTable,
        rows: &CanonicalRows,
        slot: &EntitySlot,
        n_threads: usize,
    ) -> Result<Self, ReplayError> {
        let ColumnData::Text(text) = &table.columns[slot.column] else {
            return Err(absent(extractor, slot.column));
        };
        let of_level =
            hash_levels(text.levels.len(), n_threads, |code| extractor.key.entity(slot.role, text.levels.get(code)));
        // Two spellings of one identifier have one key, and must have one code.
        let mut keys = Vec::new();
        let mut code_of: HashMap<EntityKey, u32, FixedState> = HashMap::default();
        let code_of_level: Vec<u32> = of_level
            .into_iter()
            .map(|key| {
                key.map_or(MISSING_CODE, |key| {
                    *code_of.entry(key).or_insert_with(|| {
                        keys.push(key);
                        (keys.len() - 1) as u32
                    })
                })
            })
            .collect();
        let codes = rows.row.iter().map(|&row| match text.codes[row as usize] {
            MISSING_CODE => MISSING_CODE,
            code => code_of_level[code as usize],
        });
        Ok(Self { codes: codes.collect(), keys })
    }

    fn key(&self, order: usize) -> Option<EntityKey> {
        match self.codes[order] {
            MISSING_CODE => None,
            code => Some(self.keys[code as usize]),
        }
    }
}

/// What tells the orders of an entity apart: the id's hash, or a hash of the content and, for equal contents, a count.
fn order_ids(rows: &CanonicalRows, orders: &Orders, entities: &[EntityCodes]) -> Vec<u64> {
    if let Some(ids) = &rows.id {
        return ids.iter().map(|id| id.0).collect();
    }
    let mut seen: HashMap<u64, u64, FixedState> = HashMap::default();
    let mut event = OrderEvent::default();
    (0..rows.len())
        .map(|i| {
            event.time = orders.time[i];
            event.amount = orders.amount[i];
            event.currency = orders.currency[i];
            event.entities.clear();
            event.entities.extend(entities.iter().map(|codes| codes.key(i)));
            let hash = event.content_hash();
            let n_before = seen.entry(hash).or_insert(0);
            let id = hash.wrapping_add(*n_before);
            *n_before += 1;
            id
        })
        .collect()
}

/// The labels in the order in which they are learned.
struct News {
    /// Order that each label is of.
    order: Vec<u32>,
    items: Vec<LabelNews>,
    /// State of each labelled order after its last label: (order, resolved at, label time).
    last: HashMap<u32, OrderRecord, FixedState>,
}

fn label_news(rows: &CanonicalRows, ids: &[u64], repeated: &[bool], labels: &[LabelEvent], state: &mut State) -> News {
    let mut sorted: Vec<&LabelEvent> = labels.iter().collect();
    sorted.sort_by_key(|label| (label.time, label.order, label.fraud));
    let mut news = News { order: Vec::new(), items: Vec::new(), last: HashMap::default() };
    for label in sorted {
        let order = label.order as usize;
        if repeated[order] {
            continue;
        }
        let record = news
            .last
            .entry(label.order)
            .or_insert_with(|| OrderRecord::new(rows.time[order], rows.time[order], state.label_delay, Box::default()));
        if !record.takes_label_at(label.time, order_memory(state.label_delay)) {
            state.position.n_labels_ignored += 1;
            continue;
        }
        news.items.push(record.label(ids[order], label.time, label.fraud));
        news.order.push(label.order);
    }
    // A label that came before its order counts from the order's time on, which may change its place.
    let mut places: Vec<usize> = (0..news.items.len()).collect();
    places.sort_by_key(|&i| news.items[i].time);
    news.order = places.iter().map(|&i| news.order[i]).collect();
    news.items = places.iter().map(|&i| news.items[i]).collect();
    state.position.n_labels += news.items.len() as u64;
    news
}

/// The replay of one entity column.
struct SlotReplay<'a> {
    slot: &'a EntitySlot,
    codes: &'a EntityCodes,
    orders: &'a Orders,
    ids: &'a [u64],
    repeated: &'a [bool],
    news: &'a News,
}

/// Members grouped by code: group `g` is `members[starts[g]..starts[g + 1]]`, in their original order.
struct Groups {
    starts: Vec<usize>,
    members: Vec<u32>,
}

impl Groups {
    /// Groups `0..codes.len()` by code; those with [`MISSING_CODE`] are left out.
    fn new(codes: impl Iterator<Item = u32> + Clone, n_groups: usize) -> Self {
        let mut starts = vec![0; n_groups + 1];
        for code in codes.clone().filter(|&code| code != MISSING_CODE) {
            starts[code as usize + 1] += 1;
        }
        for g in 0..n_groups {
            starts[g + 1] += starts[g];
        }
        let mut next = starts.clone();
        let mut members = vec![0; starts[n_groups]];
        for (member, code) in codes.enumerate().filter(|&(_, code)| code != MISSING_CODE) {
            members[next[code as usize]] = member as u32;
            next[code as usize] += 1;
        }
        Self { starts, members }
    }

    fn get(&self, group: usize) -> &[u32] {
        &self.members[self.starts[group]..self.starts[group + 1]]
    }
}

/// A run of entities with the places for their features: one slice per feature, in group order.
struct Shard<'a> {
    entities: std::ops::Range<usize>,
    histories: Vec<EntityHistory>,
    outputs: Vec<&'a mut [f32]>,
}

impl SlotReplay<'_> {
    fn run(&self, histories: &mut crate::state::Histories, n_threads: usize, matrix: &mut Matrix) {
        let n_entities = self.codes.keys.len();
        let by_entity = Groups::new(self.codes.codes.iter().copied(), n_entities);
        let labels_by_entity =
            Groups::new(self.news.order.iter().map(|&order| self.codes.codes[order as usize]), n_entities);
        let n_slots = self.slot.plan.slots().len();
        let mut grouped: Vec<Vec<f32>> = vec![vec![0.0; by_entity.members.len()]; n_slots];

        let mut shards = Vec::new();
        let mut rest: Vec<&mut [f32]> = grouped.iter_mut().map(Vec::as_mut_slice).collect();
        for entities in cut(&by_entity.starts, n_threads * 8) {
            let n = by_entity.starts[entities.end] - by_entity.starts[entities.start];
            let mut outputs = Vec::with_capacity(n_slots);
            rest = rest
                .into_iter()
                .map(|slice| {
                    let (head, tail) = slice.split_at_mut(n);
                    outputs.push(head);
                    tail
                })
                .collect();
            let taken = entities.clone().map(|e| histories.remove(&self.codes.keys[e]).unwrap_or_default()).collect();
            shards.push(Shard { entities, histories: taken, outputs });
        }
        let done = parallel::run(n_threads, shards, |mut shard| {
            let first = by_entity.starts[shard.entities.start];
            for (index, entity) in shard.entities.clone().enumerate() {
                let at = by_entity.starts[entity] - first;
                let history = &mut shard.histories[index];
                self.replay_entity(
                    history,
                    by_entity.get(entity),
                    labels_by_entity.get(entity),
                    at,
                    &mut shard.outputs,
                );
            }
            (shard.entities, shard.histories)
        });
        for (entities, of_shard) in done {
            // An entity that only repeated orders name was learned nothing of.
            let learned = entities.map(|e| self.codes.keys[e]).zip(of_shard).filter(|(_, history)| !history.is_empty());
            histories.extend(learned);
        }
        self.scatter(&by_entity.members, &grouped, n_threads, matrix);
    }

    /// One entity: orders of one millisecond are read first and learned afterwards; labels come at their own time.
    fn replay_entity(
        &self,
        history: &mut EntityHistory,
        orders: &[u32],
        labels: &[u32],
        at: usize,
        outputs: &mut [&mut [f32]],
    ) {
        let plan = &self.slot.plan;
        let mut labels = labels.iter().map(|&l| &self.news.items[l as usize]).peekable();
        let mut start = 0;
        while start < orders.len() {
            let known_at = self.orders.time[orders[start] as usize];
            while let Some(news) = labels.next_if(|news| news.time < known_at) {
                history.learn_label(news, &plan.retention);
            }
            let same = orders[start..].iter().take_while(|&&o| self.orders.time[o as usize] == known_at).count();
            for (i, &order) in orders.iter().enumerate().skip(start).take(same) {
                let order = order as usize;
                let reading = Reading {
                    time: self.orders.time[order],
                    amount: self.orders.amount[order],
                    currency: self.orders.currency[order],
                };
                history.read(plan, &reading, |slot, value| outputs[slot][at + i] = value);
            }
            for &order in &orders[start..start + same] {
                let order = order as usize;
                if !self.repeated[order] {
                    history.observe(&self.sighting(order), &plan.retention);
                }
            }
            start += same;
        }
        for news in labels {
            history.learn_label(news, &plan.retention);
        }
    }

    fn sighting(&self, order: usize) -> Sighting {
        Sighting {
            time: self.orders.time[order],
            known_at: self.orders.time[order],
            id: self.ids[order],
            amount: self.orders.amount[order],
            currency: self.orders.currency[order],
        }
    }

    /// Brings the features from group order to row order; orders without the entity keep NaN.
    fn scatter(&self, members: &[u32], grouped: &[Vec<f32>], n_threads: usize, matrix: &mut Matrix) {
        let mut slot_of: Vec<Option<usize>> = vec![None; matrix.n_features()];
        for (index, slot) in self.slot.plan.slots().iter().enumerate() {
            slot_of[slot.output] = Some(index);
        }
        let jobs: Vec<_> = matrix
            .columns_mut()
            .zip(slot_of)
            .filter_map(|(column, slot)| slot.map(|s| (column, &grouped[s])))
            .collect();
        parallel::run(n_threads, jobs, |(column, values)| {
            for (&order, &value) in members.iter().zip(values) {
                column[order as usize] = value;
            }
        });
    }
}

/// Cuts groups into about `n` runs of about equal numbers of members.
fn cut(starts: &[usize], n: usize) -> Vec<std::ops::Range<usize>> {
    let n_groups = starts.len() - 1;
    let target = starts[n_groups].div_ceil(n.max(1)).max(1);
    let mut runs = Vec::new();
    let mut from = 0;
    for group in 0..n_groups {
        if starts[group + 1] - starts[from] >= target || group + 1 == n_groups {
            runs.push(from..group + 1);
            from = group + 1;
        }
    }
    runs
}

/// Keeps what later labels and repeated ids need.
fn remember_orders(rows: &CanonicalRows, entities: &[EntityCodes], repeated: &[bool], news: &News, state: &mut State) {
    let last_order = (0..rows.len()).rfind(|&i| !repeated[i]).map(|i| rows.time[i]);
    let latest = last_order.max(news.items.last().map(|news| news.time));
    state.position.last_order = state.position.last_order.max(last_order);
    state.position.n_orders += repeated.iter().filter(|&&r| !r).count() as u64;
    state.position.known_at = state.position.known_at.max(latest);
    let Some(ids) = &rows.id else { return };
    let oldest = state.position.known_at.unwrap_or_default().minus(order_memory(state.label_delay));
    for i in (0..rows.len()).filter(|&i| !repeated[i] && rows.time[i] >= oldest) {
        let keys: Box<[_]> = entities.iter().map(|codes| codes.key(i)).collect();
        let mut record = OrderRecord::new(rows.time[i], rows.time[i], state.label_delay, keys);
        if let Some(labelled) = news.last.get(&(i as u32)) {
            record.resolved_at = labelled.resolved_at;
            record.label_time = labelled.label_time;
        }
        state.remember(ids[i], record);
    }
}
