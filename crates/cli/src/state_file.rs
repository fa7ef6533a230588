//! Entity history in files: a state file, or an embedded database where the name ends in `.redb`.

use std::path::Path;

use orderguard_features::extract::Extractor;
use orderguard_features::snapshot::MAX_STATE_BYTES;
use orderguard_features::state::State;
use orderguard_store::{Store, StoreError};

use crate::failure::{Failure, Outcome, data};
use crate::input;
use crate::output::Staged;

fn is_database(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("redb"))
}

/// Reads a state.
pub(crate) fn read(path: &Path, extractor: &Extractor) -> Outcome<State> {
    if !is_database(path) {
        return State::from_bytes(&input::read(path, MAX_STATE_BYTES as u64)?, extractor)
            .map_err(|error| Failure::Data(anyhow::anyhow!("{}: {error}", path.display())));
    }
    // Opening would make one.
    if !path.is_file() {
        return Err(Failure::Usage(anyhow::anyhow!("cannot read {}: no such database", path.display())));
    }
    let state = Store::open(path).and_then(|mut store| store.load(extractor)).map_err(|error| blame(path, &error))?;
    match state {
        Some(state) => Ok(state),
        None => data(format_args!("{}: expected a history, found an empty database", path.display())),
    }
}

/// Writes a state; it gets its name with the other files. A database is written anew, so that nothing of what was erased
/// stays in its unused pages; one that a service has open is refused.
pub(crate) fn stage(path: &Path, state: &State, extractor: &Extractor, files: &mut Staged) -> Outcome {
    if !is_database(path) {
        return files.add(path, &state.to_bytes(extractor));
    }
    if path.is_file() {
        Store::open(path).map_err(|error| blame(path, &error))?;
    }
    files.add_made(path, |made| {
        let saved = Store::open(made).and_then(|mut store| store.save(&state.freeze(), extractor));
        saved.map(drop).map_err(|error| blame(path, &error))
    })
}

fn blame(path: &Path, error: &StoreError) -> Failure {
    let words = anyhow::anyhow!("{}: {error}", path.display());
    match error {
        StoreError::Io { .. } | StoreError::InUse => Failure::Usage(words),
        _ => Failure::Data(words),
    }
}
