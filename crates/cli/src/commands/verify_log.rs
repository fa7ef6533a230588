//! `orderguard verify-log`: decisions scored again.

use std::io::{BufRead, BufReader, Read};

use orderguard_inference::audit::model_id;
use orderguard_inference::model::Model;
use orderguard_inference::{Decision, Scorer};
use serde_json::Value;

use crate::args::VerifyLogArgs;
use crate::console::{Console, printable};
use crate::failure::{Blame, Failure, Outcome, data};
use crate::{input, output};

/// The largest model that is read.
const MAX_BYTES: u64 = 1 << 30;
/// The longest line of a log.
const MAX_LINE: u64 = 1 << 24;

pub(crate) fn run(args: &VerifyLogArgs, console: &Console) -> Outcome {
    let model = Model::from_bytes(&input::read(&args.model, MAX_BYTES)?)
        .or_else(|error| data(format_args!("{}: {error}", args.model.display())))?;
    let scorer = Scorer::compile(&model).bad_data()?;
    let id = model_id(&model);
    let mut reader = BufReader::new(open(args)?);
    let (mut n_records, mut n_wrong, mut n_differences, mut n_unread) = (0u64, 0u64, 0u64, 0u64);
    let mut line = String::new();
    for number in 1u64.. {
        line.clear();
        let n = reader
            .by_ref()
            .take(MAX_LINE)
            .read_line(&mut line)
            .or_else(|error| data(format_args!("{}, line {number}: {error}", args.log.display())))?;
        if n == 0 {
            break;
        }
        n_records += 1;
        let found = differences(&line, &scorer, &id);
        n_wrong += u64::from(!found.is_empty());
        n_unread += u64::from(found.is_empty() && !line.contains("\"raw_score\""));
        for difference in found {
            n_differences += 1;
            if n_differences <= args.show as u64 {
                output::print(&format!("{}, line {number}: {}\n", args.log.display(), printable(&difference)))?;
            }
        }
    }
    if n_records == 0 {
        return data(format_args!("{}: expected records of decisions, found none", args.log.display()));
    }
    if n_differences == 0 {
        let n_scored = n_records - n_unread;
        let unread = if n_unread == 0 { String::new() } else { format!("; {n_unread} of orders that were not read") };
        console.note(&format!("{n_scored} decisions scored again, 0 differences{unread}"));
        return Ok(());
    }
    data(format_args!("{n_wrong} of {n_records} decisions differ, in {n_differences} places"))
}

fn open(args: &VerifyLogArgs) -> Outcome<Box<dyn Read>> {
    let path = &args.log;
    let refuse = |error: std::io::Error| Failure::Usage(anyhow::anyhow!("cannot read {}: {error}", path.display()));
    let file = std::fs::File::open(path).map_err(refuse)?;
    Ok(match path.extension().and_then(|end| end.to_str()) {
        Some("gz") => Box::new(flate2::read::MultiGzDecoder::new(file)),
        Some("zst") => Box::new(zstd::Decoder::new(file).map_err(refuse)?),
        _ => Box::new(file),
    })
}

/// What is different in one record.
fn differences(line: &str, scorer: &Scorer, id: &str) -> Vec<String> {
    let Ok(record) = serde_json::from_str::<Value>(line) else {
        return vec!["expected a record as JSON, found something else".into()];
    };
    let mut found = Vec::new();
    if record["model"] != id {
        let said = record["model"].as_str().unwrap_or("none");
        found.push(format!("model: the log says {said}, this is {id}"));
    }
    let Some(decision) = record["decision"].as_str().and_then(Decision::from_name) else {
        found.push("decision: expected approve, challenge, review or decline".into());
        return found;
    };
    let rule = record["rule"].as_str().unwrap_or("");
    if record.get("raw_score").is_none() {
        if rule != "unreadable" {
            found.push("raw_score: expected one, as the order was read".into());
        }
        return found;
    }
    let row: Option<Vec<f32>> = record["row"].as_array().and_then(|row| row.iter().map(cell).collect());
    let score = row.map(|row| scorer.score(&row));
    let Some(Ok(score)) = score else {
        found.push(format!("row: expected {} numbers", scorer.n_features()));
        return found;
    };
    for (name, again) in [
        ("raw_score", score.raw_score),
        ("probability", score.probability),
        ("threshold", scorer.threshold().raw_score),
    ] {
        if number(&record[name]).map(f64::to_bits) != Some(again.to_bits()) {
            found.push(format!("{name}: the log says {}, scored again {again:?}", record[name]));
        }
    }
    if rule == "model" && decision != score.decision {
        found.push(format!("decision: the log says {decision}, scored again {}", score.decision));
    }
    found
}

/// A number of the record, with the bits that its text means.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.to_string().parse().ok(),
        Value::String(text) if text == "inf" => Some(f64::INFINITY),
        Value::String(text) if text == "-inf" => Some(f64::NEG_INFINITY),
        Value::Null => Some(f64::NAN),
        _ => None,
    }
}

fn cell(value: &Value) -> Option<f32> {
    number(value).map(|x| x as f32)
}
