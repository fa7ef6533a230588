//! The identity key: from a file that the user names, else the public one, and then the program says so.

use std::path::Path;

use orderguard_features::identity::{IdentityKey, PUBLIC_KEY};

use crate::console::Console;
use crate::failure::{Failure, Outcome, usage};

/// Shortest secret that is taken; fewer bytes can be tried out.
const MIN_SECRET: usize = 16;

/// Reads the key.
pub(crate) fn load(path: Option<&Path>, console: &Console) -> Outcome<IdentityKey> {
    let Some(path) = path else {
        console.note(
            "identifiers are hashed with the public key, so whoever has the state file can test guesses; \
             give a secret of your own with --key-file",
        );
        return Ok(IdentityKey::new(PUBLIC_KEY));
    };
    let secret = std::fs::read(path)
        .map_err(|error| Failure::Usage(anyhow::anyhow!("cannot read key file {}: {error}", path.display())))?;
    // An editor's newline at the end is not part of the secret.
    let secret = secret.trim_ascii_end();
    if secret.len() < MIN_SECRET {
        return usage(format_args!(
            "key file {}: expected at least {MIN_SECRET} bytes, found {}",
            path.display(),
            secret.len()
        ));
    }
    Ok(IdentityKey::new(secret))
}
