//! Reading whole files of a limited size.

use std::io::Read;
use std::path::Path;

use crate::failure::{Failure, Outcome, usage};

/// The bytes of a file of at most `limit` bytes; a larger one, or one without end, is not read into memory.
pub(crate) fn read(path: &Path, limit: u64) -> Outcome<Vec<u8>> {
    let cannot = |error: std::io::Error| Failure::Usage(anyhow::anyhow!("cannot read {}: {error}", path.display()));
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(cannot)?;
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > limit {
        return usage(format_args!("cannot read {}: expected at most {limit} bytes, found more", path.display()));
    }
    Ok(bytes)
}
