//! Orders for a finished model: its files, its history, and feature rows by replay.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use orderguard_dataset::read::ReadOptions;
use orderguard_features::extract::Extractor;
use orderguard_features::identity::IdentityKey;
use orderguard_features::language::resolve::{self, TablesPresent};
use orderguard_features::language::spec::FeatureSpec;
use orderguard_features::matrix::Matrix;
use orderguard_features::own::tables::TableKind;
use orderguard_features::replay::{ReplayInput, replay};
use orderguard_features::schema::{Role, Schema};
use orderguard_features::state::State;
use orderguard_features::time::UnixMillis;
use orderguard_inference::Scorer;
use orderguard_inference::model::Model;
use orderguard_inference::service::{self, SetupError};

use crate::args::{DataArgs, HistoryArgs, TableArgs};
use crate::console::Console;
use crate::failure::{Blame, Failure, Outcome, usage};
use crate::ingest::{self, EventSpan, Orders};
use crate::{input, key, specification, state_file};

/// The largest model file that is read.
const MAX_MODEL_BYTES: u64 = 1 << 32;

/// A model that is ready, and the state from which it starts.
pub(crate) struct Loaded {
    pub(crate) model: Model,
    pub(crate) scorer: Scorer,
    pub(crate) extractor: Extractor,
    pub(crate) key: IdentityKey,
    pub(crate) state: State,
    /// The events that belong to orders after the history.
    pub(crate) events: EventSpan,
    /// Columns that are read beside those of the features: of lists of entities.
    pub(crate) also_read: Vec<usize>,
    /// Whether the state comes from a file, and may hold some of the events that are given.
    is_stored: bool,
}

impl Loaded {
    /// Reads orders for the model, and the events that its state has not learned yet.
    pub(crate) fn read_orders(&self, data: &DataArgs, labels: Option<&Path>, console: &Console) -> Outcome<Orders> {
        let sources = ingest::open(&data.data, &data.events, data.delimiter)?;
        let Model { schema, spec, .. } = &self.model;
        let (schema, options) = reading(schema, spec, &self.also_read, data)?;
        let mut orders = ingest::orders(&sources, schema, &options, labels, self.events, &self.key, console)?;
        if self.is_stored {
            orders.leave_out_learned(&self.state, &self.extractor, &self.key);
        }
        Ok(orders)
    }
}

/// A model without history.
pub(crate) struct Compiled {
    pub(crate) model: Model,
    pub(crate) extractor: Extractor,
    pub(crate) key: IdentityKey,
}

/// Loads a model with the key and the tables of its training.
pub(crate) fn compile(path: &Path, key_file: Option<&Path>, tables: &TableArgs) -> Outcome<Compiled> {
    let model = Model::from_bytes(&input::read(path, MAX_MODEL_BYTES)?)
        .map_err(|error| Failure::Data(anyhow::anyhow!("{}: {error}", path.display())))?;
    let key = key::load(key_file)?;
    let tables = Arc::new(specification::tables(tables)?);
    for table in &model.spec.tables {
        let kind = TableKind::from_name(&table.name);
        let found = kind.and_then(|kind| tables.hash(kind));
        if found != Some(table.hash) {
            return usage(format_args!(
                "{}: its features read the table {} of the training: expected {} with that very file, found {}",
                path.display(),
                table.name,
                kind.map_or("a table", specification::option_of),
                if found.is_some() { "another edition" } else { "none" }
            ));
        }
    }
    let extractor = service::extractor(&model, key.clone(), tables).map_err(|error| match error {
        SetupError::KeyMismatch { .. } => Failure::Usage(anyhow::anyhow!(
            "the model was made with another identity key: give the key file of its training with --key-file (or \
             ORDERGUARD_KEY_FILE), and none if it had none"
        )),
        error => Failure::Data(error.into()),
    })?;
    Ok(Compiled { model, extractor, key })
}

/// Loads a model and the history it needs.
pub(crate) fn load(
    path: &Path,
    data: &DataArgs,
    history: &HistoryArgs,
    tables: &TableArgs,
    console: &Console,
) -> Outcome<Loaded> {
    let Compiled { model, extractor, key } = compile(path, history.key_file.as_deref(), tables)?;
    let scorer = Scorer::compile(&model).bad_data()?;
    let mut state = State::new(&extractor);
    let mut events = EventSpan::All;
    if let Some(path) = &history.state {
        state = state_file::read(path, &extractor)?;
    } else if !history.history.is_empty() {
        let earlier = DataArgs { data: history.history.clone(), ..data.clone() };
        let sources = ingest::open(&earlier.data, &earlier.events, earlier.delimiter)?;
        let (schema, options) = reading(&model.schema, &model.spec, &[], &earlier)?;
        let orders = ingest::orders(&sources, schema, &options, None, EventSpan::UntilLastOrder, &key, console)?;
        events = orders.last_time().map_or(EventSpan::All, EventSpan::After);
        let n_orders = orders.len();
        replay_onto(&extractor, &orders, &mut state, console)?;
        console.note(&format!("history: {n_orders} earlier orders"));
    } else if extractor.uses_history() && !history.cold_start {
        return usage(
            "the model uses entity history: give it with --state FILE or --history FILE, or say --cold-start to begin \
             without any (every customer, card and device is then first seen)",
        );
    }
    Ok(Loaded {
        also_read: Vec::new(),
        is_stored: history.state.is_some(),
        model,
        scorer,
        extractor,
        key,
        state,
        events,
    })
}

/// What is read of the orders for a model, and how: the columns that its features read must be there, all others may lack.
/// `also` names further columns by position.
pub(crate) fn reading(
    schema: &Schema,
    spec: &FeatureSpec,
    also: &[usize],
    data: &DataArgs,
) -> Outcome<(Schema, ReadOptions)> {
    let mut schema = ingest::with_kinds(schema.clone(), &data.events);
    let mut read: HashSet<usize> = also.iter().copied().collect();
    for feature in &spec.features {
        read.extend(resolve::columns(&schema, TablesPresent::ALL, feature).bad_data()?);
    }
    let reads_amount = schema.find(Role::Amount).is_some_and(|column| read.contains(&column));
    for (position, column) in schema.columns.iter_mut().enumerate() {
        let kept = read.contains(&position) || is_always_kept(column.role);
        if !kept {
            column.role = Role::Ignored;
            column.format = None;
        }
    }
    let mut options = ReadOptions { max_rejected: data.max_rejected, ..ReadOptions::for_scoring() };
    if !reads_amount {
        options.optional_roles.extend([Role::Amount, Role::Currency]);
    }
    Ok((schema, options))
}

/// Whether a column is read whatever the features are: what tells orders, events, their times and labels, and amounts, in
/// which reports count.
fn is_always_kept(role: Role) -> bool {
    matches!(
        role,
        Role::Id
            | Role::Time
            | Role::Label
            | Role::LabelTime
            | Role::Event
            | Role::EventId
            | Role::KnownAt
            | Role::Amount
            | Role::Currency
    )
}

/// Says what it means when the history knows later orders than the first of those that are read.
pub(crate) fn note_early_orders(state: &State, first: Option<UnixMillis>, console: &Console) {
    if let (Some(reached), Some(first)) = (state.position().last_order, first)
        && first < reached
    {
        console.note(&format!(
            "the first order, at {first}, lies before the last one of the history, at {reached}: such orders are scored as if \
             they had arrived late, and what the history has forgotten by then is missing from their windows; a state \
             from before these orders, --history or --cold-start avoids that"
        ));
    }
}

/// The rows of orders after the history in `state`, which learns them.
pub(crate) fn replay_onto(
    extractor: &Extractor,
    orders: &Orders,
    state: &mut State,
    console: &Console,
) -> Outcome<Matrix> {
    note_early_orders(state, orders.first_time(), console);
    let bar = console.steps_bar("features");
    let input = ReplayInput {
        orders: &orders.outcome.table,
        rows: &orders.rows,
        events: orders.events.as_ref().map(|events| (&events.table, &events.rows)),
        labels: &orders.label_events,
    };
    let replayed = replay(extractor, &input, state, rayon::current_num_threads(), &|done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    })
    .bad_data()?;
    bar.finish_and_clear();
    Ok(replayed.matrix)
}
