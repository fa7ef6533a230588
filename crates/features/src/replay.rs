//! Training rows: the serving code run over past events, entity by entity, each in order of `known_at`.
//!
//! First one pass in order of time settles what concerns single orders: which ids are repeated, which keys an event takes
//! from the order that it is about, what each label tells. After that an entity's features depend on its own events alone,
//! so entities are independent jobs. Within one entity the loop is what a live service does: read the features of an order,
//! then learn it. What needs all events in order (the whole shop as an entity, the network of accounts) runs beside.

mod items;
mod lives;
mod own;
mod partition;
mod recall;
mod slot;
mod stream;

use std::fmt;

use crate::canonical::CanonicalRows;
use crate::extract::{Extractor, NetworkPlan};
use crate::identity::OrderId;
use crate::kind::EventKind;
use crate::matrix::Matrix;
use crate::network::Network;
use crate::parallel;
use crate::state::State;
use crate::table::{EventTable, OrderTable};
use crate::time::UnixMillis;
use items::Items;
pub use items::learned_events;
use recall::Recall;
use slot::SlotRoom;
use stream::Stream;
pub use stream::labels_in_order;

/// Orders with the other events and the labels of the same time.
#[derive(Clone, Copy, Debug)]
pub struct ReplayInput<'a> {
    /// The orders.
    pub orders: &'a OrderTable,
    /// Their canonical order.
    pub rows: &'a CanonicalRows,
    /// Events of other kinds, and their canonical order.
    pub events: Option<(&'a EventTable, &'a CanonicalRows)>,
    /// Labels, in any order, beside those that chargebacks and abuse reports among the events bring.
    pub labels: &'a [LabelEvent],
}

/// The order that a label is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LabelOf {
    /// One that was learned before this replay, by its id and when it became known: that very one, as
    /// [`State::learn_label_of`] takes it.
    Known(OrderId, UnixMillis),
    /// One of the table, by its position in canonical order: that very one, also where its id was given to another order
    /// later.
    Row(u32),
}

/// The shop learns the label of an order, or that an earlier label is reversed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelEvent {
    /// The order.
    pub order: LabelOf,
    /// When it is learned; from when its order became known on where that is later, see [`labels_in_order`].
    pub time: UnixMillis,
    /// What is learned.
    pub fraud: bool,
}

/// What a replay gives.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// One row per order, in canonical order.
    pub matrix: Matrix,
    /// Orders whose id, or event id, was seen before: their rows are there, but history ignores them and no fit may use
    /// them.
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
    /// More orders, events and labels than are replayed at once (2^32 - 2): cut the data at a time, and replay the parts
    /// one after the other onto one state.
    TooManyRows {
        /// Their number.
        found: usize,
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
            Self::TooManyRows { found } => {
                write!(f, "features: expected at most 4294967294 orders, events and labels at once, found {found}")
            }
            Self::Layout(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ReplayError {}

/// Computes the feature row of every order and learns all orders, events and labels into `state`.
///
/// Rows and state are, bit for bit, those of [`Extractor::extract`], [`State::learn`] and [`State::learn_label_of`] called for
/// one after the other: in order of `known_at`; in one millisecond first the rows of all orders, then orders, events and
/// labels are learned, each in canonical order (labels in that of [`labels_in_order`]). `state` may hold earlier history. The
/// result does not depend on `n_threads` or on the order of the tables' rows. `progress` is called with (done, total)
/// steps. O(rows * features).
pub fn replay(
    extractor: &Extractor,
    input: &ReplayInput<'_>,
    state: &mut State,
    n_threads: usize,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Replayed, ReplayError> {
    state.check_layout(extractor).map_err(ReplayError::Layout)?;
    let found = input.rows.len() + input.events.map_or(0, |(_, rows)| rows.len() * 2) + input.labels.len();
    if found >= u32::MAX as usize {
        return Err(ReplayError::TooManyRows { found });
    }
    let total = extractor.slots.len() + 2;
    own::check_columns(extractor, input.orders)?;
    let n_rows = input.rows.len();
    // Every cell is written: memory that is not touched before costs nothing until then.
    let n_features = extractor.n_features();
    let mut matrix = Matrix::from_columns(n_rows, n_features, vec![0.0; n_rows * n_features]);
    let mut hidden: Vec<Vec<f32>> = (n_features..extractor.row_len()).map(|_| vec![0.0; n_rows]).collect();
    let mut columns: Vec<Option<&mut [f32]>> =
        matrix.columns_mut().chain(hidden.iter_mut().map(Vec::as_mut_slice)).map(Some).collect();

    let own_columns = extractor.own.iter().map(|&(cell, _)| columns[cell].take().expect("each cell has one source"));
    let own_columns: Vec<&mut [f32]> = own_columns.collect();
    let in_parallel = |n_threads: usize| {
        own::fill(extractor, input, own_columns, n_threads);
        Items::new(extractor, input, n_threads)
    };
    let (mut items, (stream, recall)) = if n_threads <= 1 {
        (in_parallel(1), Stream::settle(extractor, input, state))
    } else {
        std::thread::scope(|scope| {
            let in_order = scope.spawn(|| Stream::settle(extractor, input, state));
            let items = in_parallel(n_threads);
            (items, in_order.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })
    };
    items.note_latest(&stream.fraud, &state.position.newest, &mut state.latest);
    items.settle(&stream, n_threads);
    progress(1, total);

    let history = HistoryReplay { extractor, items: &items, stream: &stream, n_threads };
    history.run(recall, state, &mut columns, &|done| progress(done + 1, total));
    combine(extractor, &mut matrix, &hidden, n_threads);
    progress(total, total);
    Ok(Replayed { matrix, repeated: stream.repeated })
}

/// What is left once the stream is settled: entities, the network, and what the state takes over.
struct HistoryReplay<'a> {
    extractor: &'a Extractor,
    items: &'a Items<'a>,
    stream: &'a Stream,
    n_threads: usize,
}

impl HistoryReplay<'_> {
    /// Fills the cells of all slots and of the network, and leaves `state` as after all events.
    fn run(
        &self,
        recall: Recall<'_>,
        state: &mut State,
        columns: &mut [Option<&mut [f32]>],
        progress: &(dyn Fn(usize) + Sync),
    ) {
        let Self { extractor, items, stream, n_threads } = *self;
        let mut take = |cell: usize| columns[cell].take().expect("each cell has one source");
        let (mut ordered, mut sharded) = (Vec::new(), Vec::new());
        for (slot, histories) in extractor.slots.iter().zip(&mut state.histories) {
            let outputs: Vec<&mut [f32]> = slot.cells.iter().map(|&cell| take(cell)).collect();
            let list = if slot.sources.is_empty() { &mut ordered } else { &mut sharded };
            list.push((slot, histories, outputs));
        }
        let network = extractor.network.as_ref().zip(state.network.as_mut()).map(|(plan, network)| {
            let outputs: Vec<&mut [f32]> = plan.outputs.iter().map(|&(cell, _)| take(cell)).collect();
            (plan, network, outputs)
        });
        let n_ordered = ordered.len();
        let (orders, event_ids) = (&mut state.orders, &mut state.event_ids);
        let in_order = move || {
            for (slot, histories, mut outputs) in ordered {
                slot::replay_shop(slot, items, stream, histories, &mut outputs);
            }
            if let Some((plan, network, mut outputs)) = network {
                replay_network(plan, items, stream, network, &mut outputs);
            }
            recall.hand_over(items, orders, event_ids);
        };
        let by_shard = |n_threads: usize| {
            let mut room = SlotRoom::default();
            for (done, (slot, histories, outputs)) in sharded.into_iter().enumerate() {
                slot::replay_slot(slot, items, stream, histories, outputs, (&mut room, n_threads));
                progress(n_ordered + done + 1);
            }
        };
        if n_threads <= 1 {
            in_order();
            by_shard(1);
            return;
        }
        std::thread::scope(|scope| {
            let beside = scope.spawn(in_order);
            by_shard(n_threads);
            beside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        });
    }
}

/// The network, event by event: the orders of one millisecond are read before any event of it is learned.
fn replay_network(
    plan: &NetworkPlan,
    items: &Items<'_>,
    stream: &Stream,
    network: &mut Network,
    outputs: &mut [&mut [f32]],
) {
    for group in stream.milliseconds(items, &stream.items) {
        for &item in group.iter().filter(|&&item| items.is_order(item)) {
            let write = |output: usize, value: f32| outputs[output][item as usize] = value;
            plan.read(network, items.head(item).time, |source| items.key(source, item), write);
        }
        for &item in group {
            let key_of = |source: usize| items.key(source, item);
            if let Some(news) = stream.news(items, item) {
                plan.learn_label(network, news, key_of);
            } else if !stream.is_repeated(item) {
                plan.learn(network, items.known_at(item), key_of);
            }
        }
    }
}

/// Fills the features that are computed of other cells.
fn combine(extractor: &Extractor, matrix: &mut Matrix, hidden: &[Vec<f32>], n_threads: usize) {
    let n_features = extractor.n_features();
    let computed = parallel::run(n_threads, extractor.combinations.iter().collect(), |combination| {
        let column = |cell: usize| if cell < n_features { matrix.column(cell) } else { &hidden[cell - n_features] };
        (0..matrix.n_rows()).map(|row| combination.value(|cell| column(cell)[row])).collect::<Vec<f32>>()
    });
    for (combination, values) in extractor.combinations.iter().zip(computed) {
        matrix.column_mut(combination.cell).copy_from_slice(&values);
    }
}

/// What history is told of an event beside values and keys.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Head {
    pub(crate) time: i64,
    pub(crate) known_at: i64,
    pub(crate) currency: u32,
    pub(crate) kind: EventKind,
}
