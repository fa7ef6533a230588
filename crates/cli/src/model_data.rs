//! Orders for a finished model: its files, its history, and feature rows by replay.

use std::borrow::Cow;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use orderguard_dataset::read::ReadOptions;
use orderguard_features::extract::Extractor;
use orderguard_features::identity::IdentityKey;
use orderguard_features::language::catalogue::default_spec;
use orderguard_features::language::observed::Observed;
use orderguard_features::language::resolve::{self, TablesPresent};
use orderguard_features::language::spec::FeatureSpec;
use orderguard_features::matrix::Matrix;
use orderguard_features::own::{self, Tables};
use orderguard_features::replay::{ReplayInput, replay};
use orderguard_features::schema::{Role, Schema};
use orderguard_features::snapshot::MAX_STATE_BYTES;
use orderguard_features::state::State;
use orderguard_inference::Scorer;
use orderguard_inference::model::Model;
use orderguard_inference::service::{self, SetupError};

use crate::args::{DataArgs, HistoryArgs};
use crate::console::Console;
use crate::failure::{Blame, Failure, Outcome, usage};
use crate::ingest::{self, EventSpan, Orders};
use crate::{input, key};

/// The largest model file that is read.
const MAX_MODEL_BYTES: u64 = 1 << 32;

/// A model that is ready, and the state from which it starts.
pub(crate) struct Loaded {
    pub(crate) model: Model,
    pub(crate) scorer: Scorer,
    pub(crate) extractor: Extractor,
    pub(crate) key: IdentityKey,
    pub(crate) state: State,
    /// The events that the state does not hold yet.
    pub(crate) events: EventSpan,
}

/// Loads a model and the history it needs.
pub(crate) fn load(path: &Path, data: &DataArgs, history: &HistoryArgs, console: &Console) -> Outcome<Loaded> {
    let model = Model::from_bytes(&input::read(path, MAX_MODEL_BYTES)?)
        .map_err(|error| Failure::Data(anyhow::anyhow!("{}: {error}", path.display())))?;
    let key = key::load(history.key_file.as_deref())?;
    let extractor = service::extractor(&model, key.clone(), Arc::default()).map_err(|error| match error {
        SetupError::KeyMismatch { .. } => Failure::Usage(anyhow::anyhow!(
            "the model was made with another identity key: give the key file of its training with --key-file (or \
             ORDERGUARD_KEY_FILE), and none if it had none"
        )),
        error => Failure::Data(error.into()),
    })?;
    let scorer = Scorer::compile(&model).bad_data()?;
    let mut state = State::new(&extractor);
    let mut events = EventSpan::All;
    if let Some(path) = &history.state {
        state = State::from_bytes(&input::read(path, MAX_STATE_BYTES as u64)?, &extractor)
            .map_err(|error| Failure::Data(anyhow::anyhow!("{}: {error}", path.display())))?;
    } else if !history.history.is_empty() {
        let earlier = DataArgs { data: history.history.clone(), ..data.clone() };
        let orders = read_orders(&model.schema, &model.spec, &earlier, None, EventSpan::UntilLastOrder, &key, console)?;
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
    Ok(Loaded { model, scorer, extractor, key, state, events })
}

/// Reads orders for a model: the columns that its features read must be there, all others may lack. Labels come from the
/// orders' own column or from a file of their own.
pub(crate) fn read_orders(
    schema: &Schema,
    spec: &FeatureSpec,
    data: &DataArgs,
    labels: Option<&Path>,
    events: EventSpan,
    key: &IdentityKey,
    console: &Console,
) -> Outcome<Orders> {
    let sources = ingest::open(&data.data, &data.events, data.delimiter)?;
    let mut schema = ingest::with_kinds(schema.clone(), &data.events);
    let mut read = HashSet::new();
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
    ingest::orders(&sources, schema, &options, labels, events, key, console)
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

/// The features that a model reads when nobody says otherwise. What occurs is judged by the orders of the training part, given
/// by their positions in canonical order and by their rows in the table, and by the other events known by then.
pub(crate) fn default_features(orders: &Orders, train: &[u32], train_rows: &[u32]) -> FeatureSpec {
    let (schema, table) = (&orders.schema, &orders.outcome.table);
    let last = train.iter().map(|&order| orders.rows.known_at[order as usize]).max();
    let event_rows: Vec<u32> = orders
        .events
        .iter()
        .flat_map(|events| {
            let rows = events.rows.row.iter().zip(&events.rows.known_at);
            rows.filter(|&(_, known_at)| Some(*known_at) <= last).map(|(&row, _)| row)
        })
        .collect();
    let events = orders.events.as_ref().map(|events| (&events.table, event_rows.as_slice()));
    let observed = Observed::new(schema, table, train_rows, events);
    let tables = Tables::new();
    default_spec(schema, tables.present(), &observed, table, train_rows, &|source, text| {
        let role = schema.columns[source.column].role;
        own::place(&source.place, role, text, &tables).map(|level| Cow::Owned(level.into_owned()))
    })
    .0
}

/// The rows of orders after the history in `state`, which learns them.
pub(crate) fn replay_onto(
    extractor: &Extractor,
    orders: &Orders,
    state: &mut State,
    console: &Console,
) -> Outcome<Matrix> {
    if let (Some(reached), Some(first)) = (state.position().last_order, orders.first_time())
        && first < reached
    {
        console.note(&format!(
            "the first order, at {first}, lies before the last one of the history, at {reached}: such orders are scored as if \
             they had arrived late, and what the history has forgotten by then is missing from their windows; a state \
             from before these orders, --history or --cold-start avoids that"
        ));
    }
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
