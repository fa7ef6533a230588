//! One line of JSON per decision: enough to score it again and to answer for it.

use std::fmt::Write;

use orderguard_features::time::UnixMillis;

use crate::model::Model;
use crate::scorer::Score;

/// What is written of one decision.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The order's id, as the shop has it.
    pub order: &'a str,
    /// When the order was placed.
    pub time: UnixMillis,
    /// The deciding model ([`model_id`]).
    pub model: &'a str,
    /// Orders, other events and labels that the state had learned.
    pub position: (u64, u64, u64),
    /// What the model said; none of an order that could not be read.
    pub score: Option<Score>,
    /// From which raw score on orders are stopped.
    pub threshold: f64,
    /// What was decided.
    pub decision: crate::Decision,
    /// What made the decision ([`crate::rules::Decider::ground_name`]).
    pub ground: &'a str,
    /// Reasons in words, the strongest first.
    pub reasons: &'a [String],
    /// What a shadow model said, and its id.
    pub shadow: Option<(&'a str, Score)>,
    /// The feature row; empty of an order that could not be read.
    pub row: &'a [f32],
}

/// What tells a model from others: the beginning of the checksum of its file, 16 hexadecimal digits.
pub fn model_id(model: &Model) -> String {
    // Bytes 32 to 63 of a container are its checksum.
    model.encode()[32..40].iter().fold(String::new(), |mut id, byte| {
        let _ = write!(id, "{byte:02x}");
        id
    })
}

/// Appends a record and the end of its line. Numbers are written so that they read back to the same bits; missing values are
/// `null`, infinite ones texts.
pub fn write(record: &Record<'_>, out: &mut String) {
    out.push_str("{\"order\":");
    text(record.order, out);
    let _ = write!(out, ",\"time\":{}", record.time.0);
    out.push_str(",\"model\":");
    text(record.model, out);
    let (orders, events, labels) = record.position;
    let _ = write!(out, ",\"position\":{{\"orders\":{orders},\"events\":{events},\"labels\":{labels}}}");
    if let Some(score) = &record.score {
        said(score, out);
    }
    out.push_str(",\"threshold\":");
    number(record.threshold, out);
    let _ = write!(out, ",\"decision\":\"{}\",\"rule\":", record.decision);
    text(record.ground, out);
    out.push_str(",\"reasons\":[");
    for (i, reason) in record.reasons.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        text(reason, out);
    }
    out.push(']');
    if let Some((id, score)) = &record.shadow {
        out.push_str(",\"shadow\":{\"model\":");
        text(id, out);
        said(score, out);
        let _ = write!(out, ",\"decision\":\"{}\"}}", score.decision);
    }
    out.push_str(",\"row\":[");
    for (i, &x) in record.row.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        number(f64::from(x), out);
    }
    out.push_str("]}\n");
}

fn said(score: &Score, out: &mut String) {
    out.push_str(",\"raw_score\":");
    number(score.raw_score, out);
    out.push_str(",\"probability\":");
    number(score.probability, out);
}

fn number(x: f64, out: &mut String) {
    if x.is_nan() {
        out.push_str("null");
    } else if x.is_infinite() {
        out.push_str(if x > 0.0 { "\"inf\"" } else { "\"-inf\"" });
    } else {
        // The shortest digits that mean no other number.
        let _ = write!(out, "{x:?}");
    }
}

fn text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
