//! What machines see while they wait: one JSON object per line.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};

use crate::failure::{Failure, Outcome};

/// Where the lines go, if anywhere.
pub(crate) struct Log {
    out: Option<RefCell<Box<dyn Write>>>,
    start: Instant,
}

impl Log {
    /// `-` is standard output. A file is made anew.
    pub(crate) fn open(path: Option<&Path>, start: Instant) -> Outcome<Self> {
        let out: Option<Box<dyn Write>> = match path {
            None => None,
            Some(path) if path.as_os_str() == "-" => Some(Box::new(io::stdout())),
            Some(path) => Some(Box::new(
                File::create(path)
                    .map_err(|error| Failure::Usage(anyhow::anyhow!("cannot write {}: {error}", path.display())))?,
            )),
        };
        Ok(Self { out: out.map(RefCell::new), start })
    }

    /// Writes one event with the seconds since the program began. A reader that went away does not stop a fit.
    pub(crate) fn event(&self, name: &str, mut members: Value) {
        let Some(out) = &self.out else { return };
        members["event"] = json!(name);
        members["seconds"] = json!((self.start.elapsed().as_secs_f64() * 1e3).round() / 1e3);
        let mut out = out.borrow_mut();
        let _ = writeln!(out, "{members}").and_then(|()| out.flush());
    }
}
