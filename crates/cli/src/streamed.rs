//! Orders that are larger than memory: read in order of time and piece by piece, with the rows that they have in memory.
//!
//! ```text
//! survey -> sorted on disk, where need be -> labels of all orders -> some orders, to draw features from -> replay, chunk by chunk
//! ```
//! In memory are some blocks of the files, one chunk, and what history remembers.

use std::collections::HashSet;
use std::path::Path;

use orderguard_dataset::labels::{LabelSource, LabelsOnDisk, LearnedLabel, OrderLabels, OrderStatement, SettledOnDisk};
use orderguard_dataset::read::ReadOutcome;
use orderguard_dataset::rejection::Rejections;
use orderguard_dataset::scratch::Scratch;
use orderguard_dataset::stream::{Chunk, Chunks, Ordered, Survey, survey};
use orderguard_features::canonical::{CanonicalRows, Repeats, canonical_rows};
use orderguard_features::extract::Extractor;
use orderguard_features::identity::OrderId;
use orderguard_features::matrix::Matrix;
use orderguard_features::replay::{LabelEvent, LabelOf, ReplayInput, replay};
use orderguard_features::resume::Resume;
use orderguard_features::schema::{Role, Schema};
use orderguard_features::state::State;
use orderguard_features::table::{ColumnData, EventTable, MISSING_I64, OrderTable};
use orderguard_features::time::UnixMillis;

use crate::args::RowsArgs;
use crate::console::Console;
use crate::failure::{Blame, Outcome};
use crate::ingest::{self, Orders, OtherEvents, blame, events_within, learned_note};
use crate::memory::{self, bytes_text};
use crate::model_data;
use crate::rows::{Basis, Opened, Wanted, report_rejections};

/// Bytes of memory per byte of a table's text while features are computed in memory, measured and rounded up.
const BYTES_PER_BYTE: u64 = 24;
/// Cells of a feature row, where the features are not known yet.
const EXPECTED_CELLS: usize = 120;
/// Bytes that a row takes beside its values and its features: its labels, its places in several orders, its keys.
const BYTES_PER_ROW: u64 = 400;
/// Bytes that a cell takes while it is computed.
const BYTES_PER_CELL: u64 = 12;
/// Fewer rows than this in a chunk would be slow, and save nothing.
const MIN_CHUNK: u64 = 512;
/// Bytes per order that its labels take on disk while they are settled.
const LABEL_BYTES: u64 = 120;
/// Memory that a file takes while it is read in place.
const OPEN_BYTES: u64 = 16 << 20;
/// Shares of the memory: for the piece that is sorted, for labels, for a chunk, and for the orders that features are drawn from.
const SHARE: u64 = 4;

/// What a survey says of orders that are too large for memory; `None` where they are not, or cannot be cut.
pub(crate) fn too_large(opened: &Opened, args: &RowsArgs, console: &Console) -> Outcome<Option<Survey>> {
    let Some(limit) = memory::limit(&args.memory) else { return Ok(None) };
    let expected = opened.sources.expected_bytes();
    if expected.saturating_mul(BYTES_PER_BYTE) <= limit {
        return Ok(None);
    }
    let bar = console.bytes_bar("looking");
    let survey = survey(&opened.sources, &opened.schema, &opened.options, &|done, total| {
        bar.set_length(total);
        bar.set_position(done);
    })
    .map_err(blame)?;
    bar.finish_and_clear();
    let needed = survey.n_rows().saturating_mul(row_bytes(&survey, n_cells(&opened.basis)));
    if needed <= limit {
        return Ok(None);
    }
    let (about, may) = (bytes_text(needed), bytes_text(limit));
    let what = format!("the rows take about {about} in memory, and may take {may} (history comes on top)");
    if opened.schema.find(Role::Time).is_none() {
        console
            .note(&format!("{what}: all are read at once, because without a time there is no order to read them in"));
        return Ok(None);
    }
    let has_labels = args.labels.is_some() || opened.schema.find(Role::Label).is_some();
    if has_labels && opened.schema.find(Role::Id).is_none() {
        console.note(&format!(
            "{what}: all are read at once, because orders without an id cannot be told which label is theirs later"
        ));
        return Ok(None);
    }
    console.note(&format!("{what}: they are read piece by piece, in order of time"));
    Ok(Some(survey))
}

fn n_cells(basis: &Basis) -> usize {
    match basis {
        Basis::Model(wanted) => wanted.extractor.row_len(),
        Basis::Data { .. } => EXPECTED_CELLS,
    }
}

/// Memory of a row in a replay.
fn row_bytes(survey: &Survey, n_cells: usize) -> u64 {
    2 * survey.sort_bytes / survey.n_rows().max(1) + n_cells as u64 * BYTES_PER_CELL + BYTES_PER_ROW
}

/// Orders in order of time, with their labels.
pub(crate) struct Stream<'s> {
    opened: &'s Input,
    survey: &'s Survey,
    ordered: &'s Ordered<'s>,
    settled: SettledOnDisk<'s>,
    limit: u64,
    /// First and last arrival of the events that belong to the orders.
    event_limits: Option<(i64, i64)>,
    /// Whether the history comes from a file, and may hold some of the events.
    is_stored: bool,
    data_end: Option<UnixMillis>,
}

/// What is read, and how.
pub(crate) struct Input {
    sources: orderguard_dataset::source::Sources,
    schema: Schema,
    options: orderguard_dataset::read::ReadOptions,
    key: orderguard_features::identity::IdentityKey,
}

/// What was replayed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Replayed {
    pub(crate) orders: u64,
    pub(crate) events: u64,
    pub(crate) labels: u64,
}

/// The rows of a chunk, in canonical order.
struct Piece {
    orders: OrderTable,
    rows: CanonicalRows,
    events: Option<(EventTable, CanonicalRows)>,
    until: Option<i64>,
}

/// Puts the orders in order of time, settles their labels and finds their features; hands them to `then`.
pub(crate) fn with_stream<T>(
    opened: Opened,
    survey: &Survey,
    args: &RowsArgs,
    console: &Console,
    then: impl FnOnce(&Stream<'_>, Wanted, &Schema) -> Outcome<T>,
) -> Outcome<T> {
    let Opened { sources, schema, options, key, span, remarks, basis } = opened;
    let limit = memory::limit(&args.memory).unwrap_or(u64::MAX);
    let folder = memory::temp_folder(&args.memory);
    let input = Input { sources, schema, options, key };
    let scratch = memory::scratch(&folder)?;
    let ordered = in_order(&input, survey, &scratch, limit, &folder, console)?;
    let event_limits = span.limits(survey.last_order);
    let mut notes: Vec<String> = survey.arrivals.notes().collect();
    let settled = settle(&input, survey, &ordered, &scratch, limit, event_limits, args.labels.as_deref(), console)?;
    notes.extend(settled.time_note.map(|note| note.to_string()));
    notes.extend((!settled.merged.is_empty()).then(|| settled.merged.to_string()));
    if let Some(joined) = settled.joined {
        notes.push(joined.to_string());
        notes.extend(joined.note().map(|note| note.to_string()));
    }
    notes.extend(settled.late.map(|late| late.to_string()));
    let last_label = settled.last_label.filter(|_| settled.times_are_believed || settled.joined.is_some());
    let data_end = survey.last_order.max(last_label).map(UnixMillis);
    let is_stored = args.history.state.is_some();
    let stream =
        Stream { opened: &input, survey, ordered: &ordered, settled, limit, event_limits, is_stored, data_end };
    let (wanted, schema, drawn) = match basis {
        Basis::Model(wanted) => (*wanted, input.schema.clone(), Vec::new()),
        basis @ Basis::Data { .. } => {
            let mut sample = stream.sample(console)?;
            let wanted = basis.wanted(&mut sample, args, input.key.clone(), console)?;
            (wanted, sample.schema, sample.remarks)
        }
    };
    let skipped = input.sources.skipped().iter().map(|path| format!("{} was skipped: not a table", path.display()));
    for note in skipped.chain(remarks).chain(drawn).chain(notes) {
        console.note(&note);
    }
    report_rejections(&survey.rejections, &survey.files, console);
    then(&stream, wanted, &schema)
}

/// Reads the files in place where they are in order of time, and sorts their rows on disk where they are not.
fn in_order<'s>(
    input: &'s Input,
    survey: &'s Survey,
    scratch: &'s Scratch,
    limit: u64,
    folder: &Path,
    console: &Console,
) -> Outcome<Ordered<'s>> {
    let Input { sources, schema, options, .. } = input;
    // Each file that is open holds some blocks. Orders and events in a file each are the common case.
    let max_open = usize::try_from(limit / OPEN_BYTES).unwrap_or(usize::MAX).clamp(2, 64);
    let labels = survey.n_orders.saturating_mul(LABEL_BYTES);
    if let Some(ordered) = Ordered::in_place(sources, survey, schema, options, max_open).map_err(blame)? {
        memory::check_space(folder, labels)?;
        return Ok(ordered);
    }
    let needed = survey.sort_bytes.saturating_add(labels);
    let free = memory::check_space(folder, needed)?;
    console.note(&format!(
        "the rows are not in order of time: sorting {} of them on disk, in {}, which takes about {}{}",
        bytes_text(survey.bytes),
        folder.display(),
        bytes_text(needed),
        free.map_or(String::new(), |free| format!(" of the {} free there", bytes_text(free)))
    ));
    let bar = console.bytes_bar("sorting");
    let piece = usize::try_from(limit / SHARE).unwrap_or(usize::MAX);
    let ordered = Ordered::sorted(sources, survey, schema, options, scratch, piece, &|done, total| {
        bar.set_length(total);
        bar.set_position(done);
    })
    .map_err(blame)?;
    bar.finish_and_clear();
    Ok(ordered)
}

fn chunks<'o>(ordered: &'o Ordered<'_>, survey: &Survey, limit: u64, n_cells: usize) -> Outcome<Chunks<'o>> {
    let share = limit / SHARE;
    let n_rows = (share / row_bytes(survey, n_cells)).max(MIN_CHUNK);
    let bytes = usize::try_from(share / 2).unwrap_or(usize::MAX).max(1 << 16);
    ordered.chunks(usize::try_from(n_rows).unwrap_or(usize::MAX), bytes).map_err(blame)
}

fn piece(
    input: &Input,
    event_limits: Option<(i64, i64)>,
    learned: Option<(&Extractor, &mut Resume)>,
    chunk: Chunk,
) -> Piece {
    let Input { schema, key, .. } = input;
    let rows = canonical_rows(schema, &chunk.orders, key, rayon::current_num_threads());
    let events = chunk.events.filter(|events| events.table.n_rows > 0);
    let events = events.map(|events| events_within(events, event_limits, learned, schema, key));
    Piece { orders: chunk.orders, rows, events, until: chunk.until }
}

/// Gathers what is said of all orders, and settles it.
#[allow(clippy::too_many_arguments)] // what is read, within which limits, and where it goes
fn settle<'s>(
    input: &Input,
    survey: &Survey,
    ordered: &Ordered<'_>,
    scratch: &'s Scratch,
    limit: u64,
    event_limits: Option<(i64, i64)>,
    file: Option<&Path>,
    console: &Console,
) -> Outcome<SettledOnDisk<'s>> {
    let Input { schema, key, options, .. } = input;
    let has = |role| schema.find(role).is_some_and(|column| survey.has_column(column));
    let (has_ids, has_times) = (has(Role::Id), has(Role::LabelTime));
    let mut labels = LabelsOnDisk::new(scratch, survey.n_orders, limit / SHARE, has_ids, has_times);
    let id_of = |id: Option<&str>| id.map_or(OrderId(0), |id| key.order_id(id));
    if let Some(path) = file {
        if !has_ids {
            return crate::failure::data("--labels: the orders have no id column to join on");
        }
        let (table, label_schema) = ingest::read_labels(path, schema, options, console)?;
        labels.has_file();
        for (id, said, learned) in LabelSource::of_file(&table, &label_schema).bad_data()?.rows() {
            labels.source(false, id_of(id), said, learned).map_err(blame)?;
        }
    }
    let bar = console.steps_bar("labels");
    bar.set_length(survey.n_rows());
    let mut repeats = Repeats::new(schema.label_delay);
    let mut chunks = chunks(ordered, survey, limit, 0)?;
    while let Some(chunk) = chunks.next_chunk().map_err(blame)? {
        let Piece { orders, rows, events, .. } = piece(input, event_limits, None, chunk);
        let column = |role: Role| schema.find(role).map(|column| &orders.columns[column]);
        let (repeated, of_events) = repeats.of(&rows, events.as_ref().map(|(_, rows)| rows));
        for (i, &row) in rows.row.iter().enumerate() {
            let row = row as usize;
            let label = match column(Role::Label) {
                Some(ColumnData::Label(labels)) => labels[row],
                _ => -1,
            };
            let label_time = match column(Role::LabelTime) {
                Some(ColumnData::Time(times)) => times[row],
                _ => MISSING_I64,
            };
            let statement = OrderStatement {
                id: rows.id.as_ref().map_or(OrderId(0), |ids| ids[i]),
                time: rows.time[i].0,
                known_at: rows.known_at[i].0,
                label,
                label_time,
                repeated: repeated[i],
            };
            labels.order(&statement).map_err(blame)?;
        }
        bar.inc(rows.len() as u64);
        if let Some((table, rows)) = events {
            bar.inc(rows.len() as u64);
            let events = OtherEvents { table, rows, repeated: of_events };
            for (id, said, learned) in events.labels(schema).iter().flat_map(LabelSource::rows) {
                labels.source(true, id_of(id), said, learned).map_err(blame)?;
            }
        }
    }
    let settled = labels.settle(schema.label_delay).map_err(blame)?;
    bar.finish_and_clear();
    Ok(settled)
}

impl Stream<'_> {
    /// Columns of the table of rows.
    pub(crate) fn has_ids(&self) -> bool {
        self.opened.schema.find(Role::Id).is_some_and(|column| self.survey.has_column(column))
    }

    /// Whether any order has a label.
    pub(crate) fn has_label(&self) -> bool {
        self.settled.has_label
    }

    /// Whether any row is another event than an order.
    pub(crate) fn has_events(&self) -> bool {
        self.survey.n_events > 0
    }

    /// Names of the files.
    pub(crate) fn files(&self) -> &[String] {
        &self.survey.files
    }

    /// The orders of a piece as the in-memory path has them.
    fn orders(
        &self,
        schema: &Schema,
        piece: Piece,
        labels: OrderLabels,
        repeated: Vec<bool>,
        label_events: Vec<LabelEvent>,
    ) -> Orders {
        let Piece { orders: table, rows, events, .. } = piece;
        let outcome = ReadOutcome {
            n_rows_seen: table.n_rows as u64,
            table,
            events: None,
            rejections: Rejections::default(),
            bytes: 0,
            files: self.survey.files.clone(),
            is_events: self.survey.is_events.clone(),
        };
        Orders {
            schema: schema.clone(),
            outcome,
            rows,
            events: events.map(|(table, rows)| OtherEvents { table, rows, repeated: Vec::new() }),
            labels,
            repeated,
            label_events,
            data_end: self.data_end,
            join: None,
            notes: Vec::new(),
            remarks: Vec::new(),
        }
    }

    /// As many orders and events as fit into a share of the memory, chosen by their content: features are drawn from them.
    fn sample(&self, console: &Console) -> Outcome<Orders> {
        let fit = (self.limit / SHARE / row_bytes(self.survey, 0)).max(MIN_CHUNK);
        let one_in = self.survey.n_rows().div_ceil(fit).next_power_of_two();
        let is_chosen = |hash: u64| hash & (one_in - 1) == 0;
        let bar = console.steps_bar("sampling");
        bar.set_length(self.survey.n_rows());
        let mut chunks = chunks(self.ordered, self.survey, self.limit, 0)?;
        let mut builder = chunks.builder();
        let mut all = self.settled.orders().map_err(blame)?;
        let mut labels = OrderLabels::default();
        let (mut chosen, mut first) = (Vec::new(), 0);
        while let Some(chunk) = chunks.next_chunk().map_err(blame)? {
            let piece = piece(self.opened, self.event_limits, None, chunk);
            let of_piece = all.take(piece.rows.len()).map_err(blame)?;
            for (i, &row) in piece.rows.row.iter().enumerate().filter(|&(i, _)| is_chosen(piece.rows.hash[i])) {
                builder.add_order(&piece.orders, row as usize);
                chosen.push(first + i as u64);
                labels.label.push(of_piece.label[i]);
                labels.label_time.push(of_piece.label_time[i]);
                labels.known_from.push(of_piece.known_from[i]);
            }
            first += piece.rows.len() as u64;
            bar.inc(piece.rows.len() as u64);
            if let Some((events, rows)) = &piece.events {
                for (&row, _) in rows.row.iter().zip(&rows.hash).filter(|&(_, &hash)| is_chosen(hash)) {
                    builder.add_event(events, row as usize);
                }
                bar.inc(rows.len() as u64);
            }
        }
        bar.finish_and_clear();
        let mut learned = self.settled.learned().map_err(blame)?;
        while let Some(label) = learned.next_before(None).map_err(blame)? {
            if label.is_change
                && let Ok(row) = chosen.binary_search(&label.order)
            {
                labels.changes.push(orderguard_dataset::labels::LabelChange {
                    time: label.time,
                    row: row as u32,
                    fraud: label.fraud,
                });
            }
        }
        labels.changes.sort_unstable();
        let piece = piece(self.opened, None, None, builder.finish(None));
        let repeated = vec![false; piece.rows.len()];
        let n_chosen = piece.rows.len();
        let mut orders = self.orders(&self.opened.schema, piece, labels, repeated, Vec::new());
        if one_in > 1 {
            orders.remarks.push(format!(
                "default features, levels of categories, and columns that may give the answer away are judged on {n_chosen} of \
                 the {} orders (1 in {one_in}, chosen by their content), which is what fits into memory; --model, or \
                 --features with all features, takes them as they are",
                self.survey.n_orders
            ));
        }
        Ok(orders)
    }

    /// Computes the rows of all orders and hands them over chunk by chunk, in canonical order, with the labels that history
    /// learned by then; `schema` is the one of the features.
    pub(crate) fn replay(
        &self,
        schema: &Schema,
        extractor: &Extractor,
        state: &mut State,
        console: &Console,
        mut each: impl FnMut(&Orders, &Matrix) -> Outcome,
    ) -> Outcome<Replayed> {
        model_data::note_early_orders(state, self.survey.first_order.map(UnixMillis), console);
        let bar = console.steps_bar("features");
        bar.set_length(self.survey.n_rows());
        let mut labels = self.settled.orders().map_err(blame)?;
        let mut learned = self.settled.learned().map_err(blame)?;
        let mut chunks = chunks(self.ordered, self.survey, self.limit, extractor.row_len())?;
        let mut done = Replayed { labels: self.settled.n_learned, ..Replayed::default() };
        let mut resume = self.is_stored.then(|| state.resume());
        let learned_until = resume.as_ref().and_then(Resume::learned_until);
        let event_limits = if learned_until.is_some() { None } else { self.event_limits };
        let mut n_events_seen = 0;
        // Orders that the history before knew already: their labels are not learned.
        let mut known_before: HashSet<u64> = HashSet::new();
        while let Some(chunk) = chunks.next_chunk().map_err(blame)? {
            let n_events = chunk.events.as_ref().map_or(0, |events| events.table.n_rows);
            n_events_seen += n_events;
            let piece = piece(self.opened, event_limits, resume.as_mut().map(|resume| (extractor, resume)), chunk);
            let of_piece = labels.take(piece.rows.len()).map_err(blame)?;
            let mut label_events = Vec::new();
            while let Some(label) = learned.next_before(piece.until).map_err(blame)? {
                if !known_before.contains(&label.order) {
                    label_events.push(label_event(&label, done.orders));
                }
            }
            let n_orders = piece.rows.len();
            let orders = self.orders(schema, piece, of_piece, vec![false; n_orders], label_events);
            let input = ReplayInput {
                orders: &orders.outcome.table,
                rows: &orders.rows,
                events: orders.events.as_ref().map(|events| (&events.table, &events.rows)),
                labels: &orders.label_events,
            };
            let replayed = replay(extractor, &input, state, rayon::current_num_threads(), &|_, _| {}).bad_data()?;
            for (i, _) in replayed.repeated.iter().enumerate().filter(|(_, repeated)| **repeated) {
                if orders.labels.label[i] >= 0 {
                    known_before.insert(done.orders + i as u64);
                }
            }
            each(&orders, &replayed.matrix)?;
            done.orders += n_orders as u64;
            done.events += orders.events.as_ref().map_or(0, |events| events.rows.len() as u64);
            bar.inc((n_orders + n_events) as u64);
        }
        bar.finish_and_clear();
        if let Some(until) = learned_until {
            let n_learned = n_events_seen - usize::try_from(done.events).unwrap_or(usize::MAX);
            if let Some(note) = learned_note(n_learned, n_events_seen, until) {
                console.note(&note);
            }
        }
        Ok(done)
    }
}

/// A label as a replay of the chunk learns it whose first order is number `first`.
fn label_event(label: &LearnedLabel, first: u64) -> LabelEvent {
    let order = match label.order.checked_sub(first) {
        Some(row) => LabelOf::Row(row as u32),
        None => LabelOf::Known(label.id, UnixMillis(label.known_at)),
    };
    LabelEvent { order, time: UnixMillis(label.time), fraud: label.fraud }
}
