//! The identity key: from a file that the user names, else the public one, and then the program says so.

use std::path::Path;

use orderguard_features::identity::{IdentityKey, PUBLIC_KEY};

use crate::failure::{Outcome, usage};
use crate::input;

/// Shortest secret that is taken; fewer bytes can be tried out.
const MIN_SECRET: usize = 16;

/// Longest key file that is read.
const MAX_SECRET: u64 = 1 << 16;

/// What `train` says when the public key was used.
pub(crate) const PUBLIC_KEY_NOTE: &str = "identifiers are hashed with the public key, so whoever has the state file can \
     test guesses; give a secret of your own with --key-file";

/// Reads the key; the public one without a file.
pub(crate) fn load(path: Option<&Path>) -> Outcome<IdentityKey> {
    let Some(path) = path else { return Ok(IdentityKey::new(PUBLIC_KEY)) };
    let secret = input::read(path, MAX_SECRET)?;
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
