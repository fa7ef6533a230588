//! Entity history in files.

use std::path::Path;

use orderguard_features::extract::Extractor;
use orderguard_features::snapshot::MAX_STATE_BYTES;
use orderguard_features::state::State;

use crate::failure::{Failure, Outcome};
use crate::input;
use crate::output::Staged;

/// Reads a state.
pub(crate) fn read(path: &Path, extractor: &Extractor) -> Outcome<State> {
    State::from_bytes(&input::read(path, MAX_STATE_BYTES as u64)?, extractor)
        .map_err(|error| Failure::Data(anyhow::anyhow!("{}: {error}", path.display())))
}

/// Writes a state; it gets its name with the other files.
pub(crate) fn stage(path: &Path, state: &State, extractor: &Extractor, files: &mut Staged) -> Outcome {
    files.add(path, &state.to_bytes(extractor))
}
