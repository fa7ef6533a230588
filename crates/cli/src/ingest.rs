//! From files to orders in canonical order, with their labels and when each became known.

use std::path::{Path, PathBuf};

use orderguard_dataset::error::ReadError;
use orderguard_dataset::events::{Arrivals, keep_events};
use orderguard_dataset::infer::{InferOptions, Proposal, infer, infer_labels};
use orderguard_dataset::labels::{
    JoinCounts, LabelSource, LabelTimeNote, OrderLabels, believe_label_times, join_labels, late_frauds, leave_out,
    merge_repeated,
};
use orderguard_dataset::read::{ReadOptions, ReadOutcome, read};
use orderguard_dataset::scan::profile;
use orderguard_dataset::source::{Input, SourceOptions, Sources};
use orderguard_dataset::split::NO_ENTITY;
use orderguard_features::canonical::{CanonicalRows, canonical_events, canonical_rows, repeated};
use orderguard_features::extract::Extractor;
use orderguard_features::identity::IdentityKey;
use orderguard_features::replay::{LabelEvent, LabelOf, learned_events};
use orderguard_features::resume::Resume;
use orderguard_features::schema::{Available, Column, Role, Schema};
use orderguard_features::state::State;
use orderguard_features::table::{ColumnData, EventTable, MISSING_CODE, MISSING_I64, OrderTable};
use orderguard_features::time::{Span, UnixMillis};

use crate::args::{DataArgs, EventsFile, SchemaOptions};
use crate::console::Console;
use crate::failure::{Blame, Failure, Outcome};

/// Orders as they were read, and everything the report says about that.
pub(crate) struct Orders {
    pub(crate) schema: Schema,
    /// The table, what was rejected, and the files.
    pub(crate) outcome: ReadOutcome,
    /// Canonical order.
    pub(crate) rows: CanonicalRows,
    /// Events of other kinds, where the data hold any.
    pub(crate) events: Option<OtherEvents>,
    /// One entry per order, in canonical order.
    pub(crate) labels: OrderLabels,
    /// Orders whose id was seen before: not used, counted.
    pub(crate) repeated: Vec<bool>,
    /// The labels as history learns them.
    pub(crate) label_events: Vec<LabelEvent>,
    /// The last instant that the data speak of: the last order, or the last label where label times are believed.
    pub(crate) data_end: Option<UnixMillis>,
    /// What joining labels of a file, or of events, came to.
    pub(crate) join: Option<JoinCounts>,
    pub(crate) notes: Vec<String>,
    /// Notes for the report and not for the model: on files that were passed over, since no model holds a path, and on what
    /// was inferred, since a model of the same schema from a file is the same model.
    pub(crate) remarks: Vec<String>,
}

/// Events of other kinds than orders.
pub(crate) struct OtherEvents {
    pub(crate) table: EventTable,
    /// Their canonical order.
    pub(crate) rows: CanonicalRows,
    /// In canonical order: whether the event's own id was seen before, of another event or an order; such events are not used,
    /// and counted.
    pub(crate) repeated: Vec<bool>,
}

/// Which of the events belong to the orders that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventSpan {
    /// All.
    All,
    /// Those that the shop knew of by the last order: the others belong to later orders.
    UntilLastOrder,
    /// Those that it learned after this instant: the others belong to earlier orders.
    After(UnixMillis),
}

impl Orders {
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// When the first order happened, `None` where there is none or the data have no times. Orders stand in the order in which
    /// they became known, which is another one where some reached the shop late.
    pub(crate) fn first_time(&self) -> Option<UnixMillis> {
        self.schema.find(Role::Time)?;
        self.rows.time.iter().copied().min()
    }

    /// As [`Self::first_time`], the last.
    pub(crate) fn last_time(&self) -> Option<UnixMillis> {
        self.schema.find(Role::Time)?;
        self.rows.time.iter().copied().max()
    }

    /// Order times, `None` where the data have none.
    pub(crate) fn times(&self) -> Option<Vec<i64>> {
        self.schema.find(Role::Time)?;
        Some(self.rows.time.iter().map(|time| time.0).collect())
    }

    /// Leaves out the events that the state has learned, see [`Resume`]. Their labels of the orders stay.
    pub(crate) fn leave_out_learned(&mut self, state: &State, extractor: &Extractor, key: &IdentityKey) {
        let mut resume = state.resume();
        let Some(until) = resume.learned_until() else { return };
        let Some(events) = self.events.take() else { return };
        let n_before = events.rows.len();
        let (table, rows) = events_within(events.table, None, Some((extractor, &mut resume)), &self.schema, key);
        self.remarks.extend(learned_note(n_before - rows.len(), n_before, until));
        let (_, repeated) = repeated(&self.rows, Some(&rows), self.schema.label_delay);
        self.events = (!rows.is_empty()).then_some(OtherEvents { table, rows, repeated });
    }

    /// Amounts in major units in canonical order (NaN where missing), if all are in one currency.
    pub(crate) fn amounts(&self) -> Option<Vec<f64>> {
        let ColumnData::Amount(minor) = &self.outcome.table.columns[self.schema.find(Role::Amount)?] else {
            return None;
        };
        if let Some(column) = self.schema.find(Role::Currency)
            && let ColumnData::Text(currency) = &self.outcome.table.columns[column]
        {
            // A missing currency is one of its own: it may be any.
            let name = |&code: &u32| (code != MISSING_CODE).then(|| currency.levels.get(code));
            let mut seen = currency.codes.iter().map(name);
            let first = seen.next();
            if seen.any(|level| Some(level) != first) {
                return None;
            }
        }
        let unit = 10_f64.powi(i32::from(self.schema.amount_decimals));
        let major = |row: &u32| match minor[*row as usize] {
            MISSING_I64 => f64::NAN,
            amount => amount as f64 / unit,
        };
        Some(self.rows.row.iter().map(major).collect())
    }

    /// Hash of an entity column's value per order in canonical order, `missing` where there is none.
    pub(crate) fn entity_keys(&self, column: usize, key: &IdentityKey, missing: u64) -> Option<Vec<u64>> {
        let ColumnData::Text(text) = &self.outcome.table.columns[column] else { return None };
        let role = self.schema.columns[column].role;
        let of_level: Vec<u64> =
            text.levels.iter().map(|level| key.entity(role, level).map_or(missing, |key| key.0)).collect();
        let hash = |row: &u32| match text.codes[*row as usize] {
            MISSING_CODE => missing,
            code => of_level[code as usize],
        };
        Some(self.rows.row.iter().map(hash).collect())
    }
}

/// Opens files, folders and standard input.
pub(crate) fn open(data: &[PathBuf], events: &[EventsFile], delimiter: Option<u8>) -> Outcome<Sources> {
    let input = |path: &PathBuf| {
        if path == Path::new("-") {
            Input::Reader { name: "-".into(), reader: Box::new(std::io::stdin()) }
        } else {
            Input::Path(path.clone())
        }
    };
    let options = SourceOptions { delimiter, ..Default::default() };
    let mut sources = Sources::open(data.iter().map(input).collect(), options).map_err(blame)?;
    for file in events {
        sources.add_events(file.kind, input(&file.path)).map_err(blame)?;
    }
    Ok(sources)
}

/// The schema with a column for the kind of events, where files of events are read and it has none: all data of its model are
/// then streams, whose rows may say what they are.
pub(crate) fn with_kinds(mut schema: Schema, events: &[EventsFile]) -> Schema {
    if !events.is_empty() && schema.find(Role::Event).is_none() {
        let names =
            ["event", "event_kind"].map(str::to_owned).into_iter().chain((2..).map(|i| format!("event_kind_{i}")));
        let mut free = names.filter(|name| schema.position(name).is_none());
        let name = free.next().expect("a schema has finitely many columns");
        schema.columns.push(Column { name, role: Role::Event, available: Available::Order, format: None });
    }
    schema
}

/// A file that cannot be opened is a matter of usage; one that holds the wrong thing, of data.
pub(crate) fn blame(error: ReadError) -> Failure {
    match error {
        ReadError::TooManyRejected { .. } => Failure::Data(anyhow::anyhow!("{error}; --max-rejected allows more")),
        ReadError::Io { .. } | ReadError::Scratch(_) | ReadError::NoInput | ReadError::EmptyFolder { .. } => {
            Failure::Usage(error.into())
        }
        _ => Failure::Data(error.into()),
    }
}

/// Infers the schema from the data.
pub(crate) fn propose(
    sources: &Sources,
    options: &SchemaOptions,
    label_required: bool,
    max_rejected: f64,
    console: &Console,
) -> Outcome<Proposal> {
    let bar = console.bytes_bar("scanning");
    let profile = profile(sources, &|done, total| {
        bar.set_length(total);
        bar.set_position(done);
    })
    .map_err(blame)?;
    bar.finish_and_clear();
    let options = InferOptions {
        label: options.label.clone(),
        label_required,
        label_delay: options.label_delay,
        timezone: options.timezone.clone(),
        max_rejected_share: max_rejected,
    };
    infer(&profile, &options).map_err(|error| {
        use orderguard_dataset::infer::InferError;
        match error {
            InferError::LabelNotFound { .. } | InferError::Schema { .. } => Failure::Usage(error.into()),
            _ => Failure::Data(error.into()),
        }
    })
}

/// Reads orders with a schema, puts them in canonical order, and settles their labels.
pub(crate) fn orders(
    sources: &Sources,
    schema: Schema,
    options: &ReadOptions,
    labels: Option<&Path>,
    span: EventSpan,
    key: &IdentityKey,
    console: &Console,
) -> Outcome<Orders> {
    let bar = console.bytes_bar("reading");
    let mut outcome = read(sources, &schema, options, &|done, total| {
        bar.set_length(total);
        bar.set_position(done);
    })
    .map_err(blame)?;
    bar.finish_and_clear();
    let mut notes: Vec<String> = Vec::new();
    let remarks = sources.skipped().iter().map(|path| format!("{} was skipped: not a table", path.display())).collect();

    let events = outcome.events.take().filter(|events| events.table.n_rows > 0);
    let last = match schema.find(Role::Time).map(|column| &outcome.table.columns[column]) {
        Some(ColumnData::Time(times)) => times.iter().copied().max(),
        _ => None,
    };
    let events = events.map(|events| events_within(events, span.limits(last), None, &schema, key));
    let table = &outcome.table;
    let rows = canonical_rows(&schema, table, key, rayon::current_num_threads());
    let (repeated, of_events) = repeated(&rows, events.as_ref().map(|(_, rows)| rows), schema.label_delay);
    let events = events.map(|(table, rows)| OtherEvents { table, rows, repeated: of_events });
    let arrivals = [Some(table), events.as_ref().map(|events| &events.table.table)].into_iter().flatten();
    notes.extend(arrivals.map(|table| Arrivals::of(table, &schema)).sum::<Arrivals>().notes());
    let column = |role: Role| schema.find(role).map(|column| &table.columns[column]);
    let times: Vec<i64> = match column(Role::Time) {
        Some(ColumnData::Time(times)) => times.clone(),
        _ => vec![0; table.n_rows],
    };
    let mut known_at = vec![0; table.n_rows];
    rows.row.iter().zip(&rows.known_at).for_each(|(&row, known)| known_at[row as usize] = known.0);
    let label: Vec<i8> = match column(Role::Label) {
        Some(ColumnData::Label(labels)) => labels.clone(),
        _ => vec![-1; table.n_rows],
    };
    let given = match column(Role::LabelTime) {
        Some(ColumnData::Time(given)) => Some(given.as_slice()),
        _ => None,
    };
    let (mut settled, note) = believe_label_times(&times, &label, given, schema.label_delay);
    let believed = given.is_some() && !matches!(note, Some(LabelTimeNote::NotBelieved { .. }));
    notes.extend(note.map(|note| note.to_string()));
    if let Some(ColumnData::Text(ids)) = column(Role::Id) {
        let (merged, counts) = merge_repeated(settled, ids, &times, &known_at, schema.label_delay);
        settled = merged;
        notes.extend((!counts.is_empty()).then(|| counts.to_string()));
    }
    let mut join = None;
    let file = labels.map(|path| read_labels(path, &schema, options, console)).transpose()?;
    let mut label_sources = Vec::new();
    if let Some((labels, label_schema)) = &file {
        label_sources.push(LabelSource::of_file(labels, label_schema).bad_data()?);
    }
    label_sources.extend(events.as_ref().and_then(|events| events.labels(&schema)));
    if !label_sources.is_empty() {
        if let Some(ColumnData::Text(ids)) = column(Role::Id) {
            let (joined, counts) = join_labels(settled, ids, &times, &known_at, &label_sources, schema.label_delay);
            settled = joined;
            notes.push(counts.to_string());
            notes.extend(counts.note().map(|note| note.to_string()));
            join = Some(counts);
        } else if file.is_some() {
            return crate::failure::data("--labels: the orders have no id column to join on");
        }
    }

    let mut labels = in_canonical_order(&settled, &rows);
    leave_out(&mut labels, &repeated);
    let has_time = schema.find(Role::Time).is_some();
    if has_time {
        let times: Vec<i64> = rows.time.iter().map(|time| time.0).collect();
        notes.extend(late_frauds(&labels, &times, schema.label_delay).map(|late| late.to_string()));
    }
    let label_events = if has_time { label_events(&labels, &rows, schema.label_delay) } else { Vec::new() };
    let last_order = rows.time.iter().copied().max().filter(|_| has_time);
    let last_label = (believed || join.is_some()).then(|| last_stated(&labels, &rows, schema.label_delay)).flatten();
    Ok(Orders {
        data_end: last_order.max(last_label.filter(|_| has_time)),
        schema,
        outcome,
        rows,
        events,
        labels,
        label_events,
        repeated,
        join,
        notes,
        remarks,
    })
}

/// The latest label time that is not merely order time + delay.
fn last_stated(labels: &OrderLabels, rows: &CanonicalRows, delay: Span) -> Option<UnixMillis> {
    let due = |order: usize| rows.time[order].plus(delay).0;
    let stated = (0..rows.len()).filter(|&o| labels.label_time[o] != MISSING_I64 && labels.label_time[o] != due(o));
    let of_changes = labels.changes.iter().filter(|c| c.time != due(c.row as usize)).map(|c| c.time);
    stated.map(|order| labels.label_time[order]).chain(of_changes).max().map(UnixMillis)
}

fn in_canonical_order(settled: &OrderLabels, rows: &CanonicalRows) -> OrderLabels {
    let mut place = vec![0; rows.len()];
    for (order, &row) in rows.row.iter().enumerate() {
        place[row as usize] = order as u32;
    }
    let mut changes = settled.changes.clone();
    for change in &mut changes {
        change.row = place[change.row as usize];
    }
    changes.sort_unstable();
    OrderLabels {
        label: rows.row.iter().map(|&row| settled.label[row as usize]).collect(),
        label_time: rows.row.iter().map(|&row| settled.label_time[row as usize]).collect(),
        known_from: rows.row.iter().map(|&row| settled.known_from[row as usize]).collect(),
        changes,
    }
}

/// What history learns: every turn to fraud and back, and honest labels that came before they were due (they resolve
/// their order early).
fn label_events(labels: &OrderLabels, rows: &CanonicalRows, delay: Span) -> Vec<LabelEvent> {
    let mut changed = vec![false; rows.len()];
    let mut events: Vec<LabelEvent> = labels
        .changes
        .iter()
        .map(|change| {
            changed[change.row as usize] = true;
            LabelEvent { order: LabelOf::Row(change.row), time: UnixMillis(change.time), fraud: change.fraud }
        })
        .collect();
    for (order, changed) in changed.into_iter().enumerate() {
        let time = labels.label_time[order];
        if labels.label[order] == 0 && !changed && time < rows.time[order].plus(delay).0 {
            events.push(LabelEvent { order: LabelOf::Row(order as u32), time: UnixMillis(time), fraud: false });
        }
    }
    events
}

/// What is said where a state has learned some of the events, or all.
pub(crate) fn learned_note(n_learned: usize, n_events: usize, until: UnixMillis) -> Option<String> {
    (n_learned > 0).then(|| {
        format!(
            "{n_learned} of {n_events} events were known by {until}, up to where the history goes: it has learned them, and they \
             are not learned again"
        )
    })
}

/// The events that the shop learned within the limits (both included) and that a state has not learned, and their canonical order.
pub(crate) fn events_within(
    mut table: EventTable,
    limits: Option<(i64, i64)>,
    learned: Option<(&Extractor, &mut Resume)>,
    schema: &Schema,
    key: &IdentityKey,
) -> (EventTable, CanonicalRows) {
    let times = |role: Role, table: &OrderTable| match schema.find(role).map(|column| &table.columns[column]) {
        Some(ColumnData::Time(times)) => Some(times.clone()),
        _ => None,
    };
    if (limits.is_some() || learned.is_some())
        && let Some(time) = times(Role::Time, &table.table)
    {
        let (from, until) = limits.unwrap_or((i64::MIN, i64::MAX));
        let known = times(Role::KnownAt, &table.table);
        let known_at = |row: usize| known.as_ref().map_or(time[row], |known| known[row].max(time[row]));
        let learned_until = learned.as_ref().and_then(|(_, resume)| resume.learned_until());
        let is_old = |known_at: i64| learned_until.is_some_and(|until| UnixMillis(known_at) < until);
        keep_events(&mut table, |row| (from..=until).contains(&known_at(row)) && !is_old(known_at(row)));
    }
    let canonical = |table: &EventTable| canonical_events(schema, table, key, rayon::current_num_threads());
    let mut rows = canonical(&table);
    if let Some((extractor, resume)) = learned {
        let mut is_learned = vec![false; rows.len()];
        for (&row, learned) in rows.row.iter().zip(learned_events(extractor, &table, &rows, resume)) {
            is_learned[row as usize] = learned;
        }
        if is_learned.contains(&true) {
            keep_events(&mut table, |row| !is_learned[row]);
            rows = canonical(&table);
        }
    }
    (table, rows)
}

impl EventSpan {
    /// First and last arrival of the events that belong to the orders, of which the last happened at `last_order`.
    pub(crate) fn limits(self, last_order: Option<i64>) -> Option<(i64, i64)> {
        match self {
            Self::All => None,
            Self::UntilLastOrder => last_order.map(|last| (i64::MIN, last)),
            Self::After(UnixMillis(instant)) => Some((instant.saturating_add(1), i64::MAX)),
        }
    }
}

impl OtherEvents {
    /// The events that are labels, repeated ones left out.
    pub(crate) fn labels(&self, schema: &Schema) -> Option<LabelSource<'_>> {
        let mut is_repeated = vec![false; self.rows.len()];
        for (&row, &repeated) in self.rows.row.iter().zip(&self.repeated) {
            is_repeated[row as usize] = repeated;
        }
        LabelSource::of_events(&self.table, schema, |row| is_repeated[row])
    }
}

/// Reads a file of labels.
pub(crate) fn read_labels(
    path: &Path,
    schema: &Schema,
    options: &ReadOptions,
    console: &Console,
) -> Outcome<(OrderTable, Schema)> {
    let sources = open(&[path.to_owned()], &[], None)?;
    let bar = console.bytes_bar("labels");
    let profile = profile(&sources, &|done, total| {
        bar.set_length(total);
        bar.set_position(done);
    })
    .map_err(blame)?;
    let infer_options = InferOptions {
        timezone: schema.timezone.clone(),
        label_delay: schema.label_delay,
        max_rejected_share: options.max_rejected,
        ..Default::default()
    };
    let proposal = infer_labels(&profile, &infer_options).bad_data()?;
    let read_options = ReadOptions { optional_roles: vec![Role::Time], ..options.clone() };
    let labels = read(&sources, &proposal.schema, &read_options, &|_, _| {}).map_err(blame)?;
    bar.finish_and_clear();
    if labels.rejections.count() > 0 {
        console.note(&format!("{}: {} rows rejected", path.display(), labels.rejections.count()));
    }
    Ok((labels.table, proposal.schema))
}

/// Reading options for data with labels.
pub(crate) fn training_options(data: &DataArgs, schema: &Schema, labels_in_a_file: bool) -> ReadOptions {
    // Of a stream, files of orders may lack what only other events have, their labels among it.
    let is_stream = schema.find(Role::Event).is_some();
    let optional_roles = if labels_in_a_file || is_stream { vec![Role::Label, Role::LabelTime] } else { Vec::new() };
    ReadOptions { max_rejected: data.max_rejected, optional_roles, optional_later: is_stream }
}

/// The entity whose orders belong together: the customer, else the card, device, e-mail or IP address.
pub(crate) fn entity_groups(orders: &Orders, key: &IdentityKey) -> Option<Vec<u64>> {
    let preferred = [Role::Customer, Role::Card, Role::Device, Role::Email, Role::Ip];
    let column = preferred.into_iter().find_map(|role| orders.schema.find(role))?;
    // Orders without the entity are groups of their own.
    let keys = orders.entity_keys(column, key, NO_ENTITY)?;
    Some(keys.iter().zip(&orders.rows.hash).map(|(&k, &hash)| if k == NO_ENTITY { hash } else { k }).collect())
}
