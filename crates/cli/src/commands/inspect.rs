//! `orderguard inspect`: what a model or state file says of itself.

use std::fmt::Write;

use orderguard_features::container::{KIND_STATE, magic};
use orderguard_features::snapshot::{self, MAX_STATE_BYTES, StateError};
use orderguard_features::time::UnixMillis;
use orderguard_inference::model::{Model, Predictor};
use orderguard_inference::rows::RowModel;
use orderguard_inference::{card, scorecard};

use crate::args::InspectArgs;
use crate::console::printable;
use crate::failure::{Outcome, data};
use crate::{input, output};

pub(crate) fn run(args: &InspectArgs) -> Outcome {
    let bytes = input::read(&args.file, MAX_STATE_BYTES as u64)?;
    let lines = if bytes.starts_with(&magic(KIND_STATE)) {
        state_lines(&bytes).map_err(|error| error.to_string())
    } else if RowModel::is_one(&bytes) {
        RowModel::from_bytes(&bytes).map(|model| model.describe()).map_err(|error| error.to_string())
    } else {
        Model::from_bytes(&bytes).map(|model| card::describe(&model)).map_err(|error| error.to_string())
    };
    let lines = lines.or_else(|error| data(format_args!("{}: {error}", args.file.display())))?;
    if args.json {
        let members: Vec<serde_json::Value> =
            lines.iter().map(|(name, value)| serde_json::json!({"name": name, "value": value})).collect();
        return output::print(&format!("{:#}\n", serde_json::Value::Array(members)));
    }
    let width = lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).min(40);
    let mut text = String::new();
    for (name, value) in &lines {
        writeln!(text, "{name:<width$}  {value}").expect("writing to a string cannot fail");
    }
    if let Ok(Model { predictor: Predictor::Scorecard(card), spec, .. }) = Model::from_bytes(&bytes) {
        text.push('\n');
        text.push_str(&scorecard::render(&card, &spec));
    }
    output::print(&printable(&text))
}

fn state_lines(bytes: &[u8]) -> Result<Vec<(String, String)>, StateError> {
    let card = snapshot::read_card(bytes)?;
    let mut lines: Vec<(String, String)> = Vec::new();
    let mut add = |name: &str, value: String| lines.push((name.to_owned(), value));
    add("kind", "state: entity history".into());
    add("schema fingerprint", format!("{:016x}", card.fingerprint));
    add("layout", format!("{:016x}", card.layout));
    add("size", format!("{} bytes", bytes.len()));
    let time = |time: Option<UnixMillis>| time.map_or("none yet".into(), |time| time.to_string());
    add("last order", time(card.position.last_order));
    add("last event", time(card.position.known_at));
    add("orders learned", card.position.n_orders.to_string());
    add("other events learned", card.position.n_events.to_string());
    add("labels learned", card.position.n_labels.to_string());
    add("repeated ids ignored", card.position.n_repeated.to_string());
    add("labels ignored", card.position.n_labels_ignored.to_string());
    add("orders that still take a label", card.n_open_orders.to_string());
    add("label delay", card.label_delay.to_string());
    for (name, n) in &card.entities {
        add(&format!("entities of {name}"), n.to_string());
    }
    Ok(lines)
}
