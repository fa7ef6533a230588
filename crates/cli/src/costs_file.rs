//! The cost table of a shop: `costs.toml`.

use std::path::Path;

use orderguard_evaluation::CostTable;
use orderguard_evaluation::report::Costs;

use crate::failure::{Failure, Outcome};
use crate::input;

/// The largest file that is read.
const MAX_BYTES: u64 = 1 << 20;

/// The table of a file, or the default one.
pub(crate) fn load(path: Option<&Path>) -> Outcome<Costs> {
    let table = match path {
        None => CostTable::default(),
        Some(path) => {
            let bytes = input::read(path, MAX_BYTES)?;
            let refuse = |error: String| Failure::Data(anyhow::anyhow!("{}: {error}", path.display()));
            let text = String::from_utf8(bytes).map_err(|_| refuse("expected UTF-8, found other bytes".into()))?;
            let table: CostTable = toml::from_str(&text).map_err(|error| {
                let line = error.span().map_or(1, |at| 1 + text[..at.start.min(text.len())].matches('\n').count());
                refuse(format!("line {line}: {}", error.message()))
            })?;
            table.check().map_err(|error| refuse(error.to_string()))?
        }
    };
    Ok(Costs { is_default: path.is_none(), words: table.words(), table })
}
