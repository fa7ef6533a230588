//! `orderguard verify-log`: decisions scored again.

use std::fmt::Write;
use std::io::{BufRead, BufReader, Read};

use orderguard_inference::audit::{Chain, is_sealed, model_id};
use orderguard_inference::model::Model;
use orderguard_inference::reasons::{Language, ReasonScratch, Reasoner};
use orderguard_inference::rules::{Ground, RuleSet};
use orderguard_inference::{Decision, Score, Scorer};
use serde_json::Value;

use crate::args::VerifyLogArgs;
use crate::audit::Shadow;
use crate::console::{Console, printable};
use crate::failure::{Blame, Failure, Outcome, data};
use crate::{input, output, rules_file};

/// The largest model that is read.
const MAX_BYTES: u64 = 1 << 30;
/// The longest line of a log.
const MAX_LINE: u64 = 1 << 24;

pub(crate) fn run(args: &VerifyLogArgs, console: &Console) -> Outcome {
    let model = Model::from_bytes(&input::read(&args.model, MAX_BYTES)?)
        .or_else(|error| data(format_args!("{}: {error}", args.model.display())))?;
    let mut verifier = Verifier {
        scorer: Scorer::compile(&model).bad_data()?,
        id: model_id(&model),
        reasoner: Reasoner::compile(&model).ok(),
        rules: args.rules.as_deref().map(|path| rules_file::bind_names(path, &model)).transpose()?,
        shadow: args.shadow.as_deref().map(|path| Shadow::new(path, &model)).transpose()?,
        scratch: ReasonScratch::default(),
        chain: None,
        position: [0; 3],
        counts: Counts::default(),
    };
    let mut reader = BufReader::new(open(args)?);
    let (mut n_records, mut n_wrong, mut n_differences) = (0u64, 0u64, 0u64);
    let mut line = String::new();
    let mut show = |number: u64, differences: &[String]| -> Outcome {
        for difference in differences {
            n_differences += 1;
            if n_differences <= args.show as u64 {
                output::print(&format!("{}, line {number}: {}\n", args.log.display(), printable(difference)))?;
            }
        }
        n_wrong += u64::from(!differences.is_empty());
        Ok(())
    };
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
        show(number, &verifier.differences(line.trim_end_matches(['\r', '\n'])))?;
    }
    if n_records == 0 {
        return data(format_args!("{}: expected records of decisions, found none", args.log.display()));
    }
    let last = verifier.chain.as_ref().map(Chain::last);
    if let (Some(expected), Some((_, found))) = (&args.last, last)
        && expected != found
    {
        show(n_records, &[format!("hash: expected {expected} in the last record, found {found}")])?;
    }
    if n_differences > 0 {
        return data(format_args!("{n_wrong} of {n_records} records differ, in {n_differences} places"));
    }
    let Counts { unread, unknown_rules, unknown_shadows, .. } = verifier.counts;
    let mut said = format!("{} decisions scored again, 0 differences", n_records - unread);
    for (n, what) in [
        (unread, "of orders that were not read"),
        (unknown_rules, "by rules, which --rules would check"),
        (unknown_shadows, "with a shadow model, which --shadow would score again"),
    ] {
        if n > 0 {
            let _ = write!(said, "; {n} {what}");
        }
    }
    if let Some((number, hash)) = last {
        let _ = write!(said, "; the last record has number {number} and hash {hash}");
    }
    console.note(&said);
    Ok(())
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

/// What a log is held against, and where it stands.
struct Verifier {
    scorer: Scorer,
    id: String,
    /// None where the model cannot give reasons.
    reasoner: Option<Reasoner>,
    rules: Option<RuleSet>,
    shadow: Option<Shadow>,
    scratch: ReasonScratch,
    /// Number and hash of the record before; none before the first.
    chain: Option<Chain>,
    /// Orders, events and labels that the state had learned at the record before.
    position: [u64; 3],
    counts: Counts,
}

/// Records without a difference that could not be looked at whole.
#[derive(Default)]
struct Counts {
    unread: u64,
    unknown_rules: u64,
    unknown_shadows: u64,
}

/// The differences of one record.
struct Differences(Vec<String>);

impl Differences {
    /// Compares a number by its bits.
    fn number(&mut self, name: &str, found: &Value, again: f64) {
        if number(found).map(f64::to_bits) != Some(again.to_bits()) {
            self.0.push(format!("{name}: the log says {found}, scored again {again:?}"));
        }
    }

    fn text(&mut self, name: &str, found: &Value, again: &str) {
        if found.as_str() != Some(again) {
            self.0.push(format!("{name}: the log says {found}, scored again {again}"));
        }
    }
}

impl Verifier {
    /// What is different in one record.
    fn differences(&mut self, line: &str) -> Vec<String> {
        let Ok(record) = serde_json::from_str::<Value>(line) else {
            // What comes next is held against the line before.
            return vec!["expected a record as JSON, found something else".into()];
        };
        let mut found = Differences(Vec::new());
        self.check_chain(line, &record, &mut found);
        self.check_position(&record, &mut found);
        if record["model"].as_str() != Some(self.id.as_str()) {
            found.0.push(format!("model: the log says {}, the file given is {}", record["model"], self.id));
        }
        let Some(decision) = record["decision"].as_str().and_then(Decision::from_name) else {
            found.0.push("decision: expected approve, challenge, review or decline".into());
            return found.0;
        };
        let rule = record["rule"].as_str().unwrap_or("");
        if record.get("raw_score").is_none() {
            self.check_unread(rule, decision, &mut found);
            self.counts.unread += 1;
            return found.0;
        }
        let row: Option<Vec<f32>> = record["row"].as_array().and_then(|row| row.iter().map(cell).collect());
        let Some((row, Ok(score))) = row.map(|row| (self.scorer.score(&row), row)).map(|(score, row)| (row, score))
        else {
            found.0.push(format!("row: expected {} numbers", self.scorer.n_features()));
            return found.0;
        };
        found.number("raw_score", &record["raw_score"], score.raw_score);
        found.number("probability", &record["probability"], score.probability);
        found.number("threshold", &record["threshold"], self.scorer.bound(score.raw_score));
        self.check_decision(rule, decision, &row, &score, &mut found);
        self.check_reasons(&record["reasons"], decision, &row, &score, &mut found);
        self.check_shadow(&record, &row, &mut found);
        found.0
    }

    /// The line's own hash, and that it follows the line before.
    fn check_chain(&mut self, line: &str, record: &Value, found: &mut Differences) {
        if !is_sealed(line) {
            found.0.push("hash: the record was changed after it was written".into());
        }
        let (number, after) = (record["number"].as_u64().unwrap_or(0), record["after"].as_str().unwrap_or(""));
        let start = Chain::default();
        let (last, hash) = self.chain.as_ref().map_or((0, ""), Chain::last);
        if self.chain.is_some() && number != last + 1 {
            found.0.push(format!("number: expected {}, as records were taken out or moved; found {number}", last + 1));
        } else if self.chain.is_some() && after != hash {
            found.0.push("after: expected the hash of the record before: one of the two was changed".into());
        } else if self.chain.is_none() && (number == 0 || (number == 1 && after != start.last().1)) {
            found
                .0
                .push("number: expected 1 with nothing before it, or the record behind that of an earlier log".into());
        }
        self.chain = Some(Chain::after(number, record["hash"].as_str().unwrap_or("")));
    }

    /// A state learns and never forgets what it has learned.
    fn check_position(&mut self, record: &Value, found: &mut Differences) {
        for (name, before) in ["orders", "events", "labels"].into_iter().zip(&mut self.position) {
            match record["position"][name].as_u64() {
                Some(now) if now < *before => {
                    found.0.push(format!("position: {name} fell from {before} to {now}"));
                }
                Some(now) => *before = now,
                None => found.0.push(format!("position: expected {name}")),
            }
        }
    }

    fn check_unread(&mut self, rule: &str, decision: Decision, found: &mut Differences) {
        match &self.rules {
            None if rule == "unreadable" || rule.starts_with("list ") => {}
            Some(rules) if rule == "unreadable" => {
                if decision != rules.fallback() {
                    found.0.push(format!("decision: the log says {decision}, the rules say {}", rules.fallback()));
                }
            }
            Some(rules) if rules.ground_of(rule).is_some_and(|ground| matches!(ground, Ground::List(_))) => {
                if decision != Decision::Decline {
                    found.0.push(format!("decision: the log says {decision}, a list of blocked entities declines"));
                }
            }
            _ => found.0.push("raw_score: expected one, as the order was read".into()),
        }
    }

    /// What can be told of a decision from the row alone: all but whether a list holds the order's entity.
    fn check_decision(&mut self, rule: &str, decision: Decision, row: &[f32], score: &Score, found: &mut Differences) {
        let Some(rules) = &self.rules else {
            if rule == "model" && decision != score.decision {
                found.0.push(format!("decision: the log says {decision}, scored again {}", score.decision));
            }
            if rule == "unreadable" {
                found.0.push("rule: the log says unreadable, but the record has a score".into());
            }
            self.counts.unknown_rules += u64::from(rule != "model");
            return;
        };
        let expected = match rules.ground_of(rule) {
            Some(Ground::List(at)) => (rules.lists()[at].decision(), Ground::List(at)),
            Some(_) => rules.decide(|_| false, row, score),
            None => {
                found.0.push(format!("rule: the log says {rule:?}, and the rules given have none of that name"));
                return;
            }
        };
        let name = rules.ground_name(expected.1);
        if decision != expected.0 || rule != name {
            found
                .0
                .push(format!("decision: the log says {decision} by {rule}, decided again {} by {name}", expected.0));
        }
    }

    /// The reasons must be the strongest ones against the order, in one language, from the first on.
    fn check_reasons(
        &mut self,
        reasons: &Value,
        decision: Decision,
        row: &[f32],
        score: &Score,
        found: &mut Differences,
    ) {
        let Some(said) = reasons.as_array() else {
            found.0.push("reasons: expected a list".into());
            return;
        };
        if decision == Decision::Approve && !said.is_empty() {
            found.0.push("reasons: expected none, as the order was approved".into());
            return;
        }
        let Some(reasoner) = self.reasoner.as_ref().filter(|_| !said.is_empty()) else { return };
        let Ok(again) = reasoner.reasons(row, score.raw_score, &mut self.scratch) else { return };
        let is_language = |language| {
            let against = again.iter().take_while(|reason| reason.log_odds > 0.0);
            let mut words = against.map(|reason| reasoner.text(reason, row, language));
            said.iter().all(|said| said.as_str().is_some_and(|said| words.next().as_deref() == Some(said)))
        };
        if !is_language(Language::English) && !is_language(Language::Polish) {
            found.0.push("reasons: expected the strongest ones of the row, found others".into());
        }
    }

    fn check_shadow(&mut self, record: &Value, row: &[f32], found: &mut Differences) {
        let said = &record["shadow"];
        match (&self.shadow, said.is_null()) {
            (None, is_absent) => self.counts.unknown_shadows += u64::from(!is_absent),
            (Some(_), true) => found.0.push("shadow: expected what the shadow model said, found nothing".into()),
            (Some(shadow), false) => {
                let again = shadow.score(row);
                found.text("shadow model", &said["model"], &shadow.id);
                found.number("shadow raw_score", &said["raw_score"], again.raw_score);
                found.number("shadow probability", &said["probability"], again.probability);
                found.text("shadow decision", &said["decision"], again.decision.name());
            }
        }
    }
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
