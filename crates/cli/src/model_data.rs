//! Orders for a finished model: its files, its history, and feature rows by replay.

use std::path::Path;

use orderguard_dataset::read::ReadOptions;
use orderguard_features::extract::Extractor;
use orderguard_features::identity::IdentityKey;
use orderguard_features::matrix::Matrix;
use orderguard_features::replay::replay;
use orderguard_features::schema::{Role, Schema};
use orderguard_features::state::State;
use orderguard_inference::model::Model;
use orderguard_inference::{Scorer, service};

use crate::args::{DataArgs, HistoryArgs};
use crate::console::Console;
use crate::failure::{Blame, Failure, Outcome, usage};
use crate::ingest::{self, Orders};
use crate::key;

/// A model that is ready, and the state from which it starts.
pub(crate) struct Loaded {
    pub(crate) model: Model,
    pub(crate) scorer: Scorer,
    pub(crate) extractor: Extractor,
    pub(crate) key: IdentityKey,
    pub(crate) state: State,
}

/// Loads a model and the history it needs.
pub(crate) fn load(path: &Path, data: &DataArgs, history: &HistoryArgs, console: &Console) -> Outcome<Loaded> {
    let model = Model::from_bytes(&read_file(path)?)
        .map_err(|error| Failure::Data(anyhow::anyhow!("{}: {error}", path.display())))?;
    let key = key::load(history.key_file.as_deref(), console)?;
    let extractor = service::extractor(&model, key.clone()).bad_usage()?;
    let scorer = Scorer::compile(&model).bad_data()?;
    let mut state = State::new(&extractor);
    if let Some(path) = &history.state {
        state = State::from_bytes(&read_file(path)?, &extractor)
            .map_err(|error| Failure::Data(anyhow::anyhow!("{}: {error}", path.display())))?;
    } else if !history.history.is_empty() {
        let earlier = DataArgs { data: history.history.clone(), ..*data };
        let orders = read_orders(&model.schema, &earlier, &key, false, console)?;
        let n_orders = orders.len();
        replay_onto(&extractor, &orders, &mut state, console)?;
        console.note(&format!("history: {n_orders} earlier orders"));
    } else if extractor.uses_history() && !history.cold_start {
        return usage(
            "the model uses entity history: give it with --state FILE or --history FILE, or say --cold-start to begin \
             without any (every customer, card and device is then first seen)",
        );
    }
    Ok(Loaded { model, scorer, extractor, key, state })
}

fn read_file(path: &Path) -> Outcome<Vec<u8>> {
    std::fs::read(path).map_err(|error| Failure::Usage(anyhow::anyhow!("cannot read {}: {error}", path.display())))
}

/// Reads orders by the model's schema. Without `labelled`, label columns may be lacking, and so may columns that the model
/// does not read.
pub(crate) fn read_orders(
    schema: &Schema,
    data: &DataArgs,
    key: &IdentityKey,
    labelled: bool,
    console: &Console,
) -> Outcome<Orders> {
    let sources = ingest::open(&data.data, data.delimiter)?;
    let mut options = ReadOptions { max_rejected: data.max_rejected, ..ReadOptions::for_scoring() };
    if labelled {
        options.optional_roles.retain(|role| *role != Role::Label);
    }
    ingest::orders(&sources, schema.clone(), &options, None, key, console)
}

/// The rows of orders after the history in `state`, which learns them.
pub(crate) fn replay_onto(
    extractor: &Extractor,
    orders: &Orders,
    state: &mut State,
    console: &Console,
) -> Outcome<Matrix> {
    if let (Some(reached), Some(first)) = (state.position().last_order, orders.rows.time.first())
        && orders.schema.find(Role::Time).is_some()
        && *first < reached
    {
        console.note(&format!(
            "the first order, at {first}, lies before the last one of the history, at {reached}: orders are scored as if they \
             had arrived late, and see only what was known before their own time"
        ));
    }
    let bar = console.steps_bar("features");
    let replayed = replay(
        extractor,
        &orders.outcome.table,
        &orders.rows,
        &orders.label_events,
        state,
        rayon::current_num_threads(),
        &|done, total| {
            bar.set_length(total as u64);
            bar.set_position(done as u64);
        },
    )
    .bad_data()?;
    bar.finish_and_clear();
    Ok(replayed.matrix)
}
