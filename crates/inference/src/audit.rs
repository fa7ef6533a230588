//! One line of JSON per decision: enough to score it again and to answer for it.
//!
//! The lines of a log are a chain: each has a number and the hash of the line before, and ends with its own hash, so that a line
//! which was taken out, changed or moved shows. Whoever can write the log can make the chain anew from there on: keep the last
//! number and hash elsewhere, and the end of the log is sealed too.

use std::fmt::Write;

use orderguard_features::time::UnixMillis;

use crate::json::{write_number as number, write_text as text};
use crate::model::Model;
use crate::scorer::Score;

/// What is written of one decision.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The order's id, as the shop has it.
    pub order: &'a str,
    /// When the order was placed; none of an order that could not be read, where nobody says when it came.
    pub time: Option<UnixMillis>,
    /// The deciding model ([`model_id`]).
    pub model: &'a str,
    /// Orders, other events and labels that the state had learned.
    pub position: (u64, u64, u64),
    /// What the model said; none of an order that could not be read.
    pub score: Option<Score>,
    /// At which raw score the model decides ([`Scorer::bound`](crate::Scorer::bound)); none of an order that could not be read.
    pub threshold: Option<f64>,
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
    /// Why, and perhaps where, the order could not be read.
    pub error: Option<&'a str>,
}

/// Bytes of a hash that are written: 32 hexadecimal digits.
const HASH_LEN: usize = 16;
/// What stands before the hash of a line, and behind it.
const SEAL: (&str, &str) = (",\"hash\":\"", "\"}");

/// Where a log stands: one per file, or per sequence of files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Number of the last record; 0 before the first.
    number: u64,
    /// Its hash.
    hash: String,
}

impl Default for Chain {
    fn default() -> Self {
        Self { number: 0, hash: "0".repeat(2 * HASH_LEN) }
    }
}

impl Chain {
    /// Goes on behind the record of this number and hash, such as the last one of the file before.
    pub fn after(number: u64, hash: &str) -> Self {
        Self { number, hash: hash.to_owned() }
    }

    /// Number and hash of the last record.
    pub fn last(&self) -> (u64, &str) {
        (self.number, &self.hash)
    }

    /// Appends a record and the end of its line. Numbers are written so that they read back to the same bits; missing values are
    /// `null`, infinite ones texts.
    pub fn write(&mut self, record: &Record<'_>, out: &mut String) {
        let start = out.len();
        self.number += 1;
        let _ = write!(out, "{{\"number\":{},\"after\":\"{}\",", self.number, self.hash);
        members(record, out);
        hash_of(&out[start..], &mut self.hash);
        for part in [SEAL.0, &self.hash, SEAL.1, "\n"] {
            out.push_str(part);
        }
    }
}

/// Whether a line, without its end, carries the hash of what stands in it.
pub fn is_sealed(line: &str) -> bool {
    let sealed = line.strip_suffix(SEAL.1).and_then(|line| line.rsplit_once(SEAL.0));
    sealed.is_some_and(|(content, found)| {
        let mut hash = String::new();
        hash_of(content, &mut hash);
        hash == found
    })
}

fn hash_of(text: &str, out: &mut String) {
    out.clear();
    hex(&blake3::hash(text.as_bytes()).as_bytes()[..HASH_LEN], out);
}

fn hex(bytes: &[u8], out: &mut String) {
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
}

/// What tells a model from others: the beginning of the checksum of its file, 16 hexadecimal digits.
pub fn model_id(model: &Model) -> String {
    let mut id = String::new();
    // Bytes 32 to 63 of a container are its checksum.
    hex(&model.encode()[32..40], &mut id);
    id
}

/// What a record says, without braces.
fn members(record: &Record<'_>, out: &mut String) {
    out.push_str("\"order\":");
    text(record.order, out);
    match record.time {
        Some(time) => drop(write!(out, ",\"time\":{}", time.0)),
        None => out.push_str(",\"time\":null"),
    }
    out.push_str(",\"model\":");
    text(record.model, out);
    let (orders, events, labels) = record.position;
    let _ = write!(out, ",\"position\":{{\"orders\":{orders},\"events\":{events},\"labels\":{labels}}}");
    if let Some(score) = &record.score {
        said(score, out);
    }
    if let Some(threshold) = record.threshold {
        out.push_str(",\"threshold\":");
        number(threshold, out);
    }
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
    if let Some(error) = record.error {
        out.push_str(",\"error\":");
        text(error, out);
    }
    out.push_str(",\"row\":[");
    for (i, &x) in record.row.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        number(f64::from(x), out);
    }
    out.push(']');
}

fn said(score: &Score, out: &mut String) {
    out.push_str(",\"raw_score\":");
    number(score.raw_score, out);
    out.push_str(",\"probability\":");
    number(score.probability, out);
}
