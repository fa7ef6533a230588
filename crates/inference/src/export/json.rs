//! A dump of a model that people read and other programs take apart. Raw scores follow from it by the rules of [`crate::model`].
//!
//! The order of members and lines is fixed, and equal models give equal text. Numbers are the shortest digits that mean no other
//! number of their kind; infinite ones are the texts `inf` and `-inf`.

use std::fmt::{Display, Write};

use orderguard_features::language::feature::Feature;

use crate::audit::model_id;
use crate::model::{Calibration, Characteristic, LinearTerm, Model, Node, Predictor, ScoreBin};
use crate::rows::RowModel;
use crate::tree::unit;
use crate::wide::{Codes, WideNode};

/// Version of the dump; a member that changes its meaning raises it.
pub const VERSION: u32 = 1;

/// The dump of a model. O(size of the model).
pub fn of_model(model: &Model) -> String {
    let mut out = Writer::default();
    out.open('{');
    out.member("format", &Text("orderguard model"));
    out.member("version", &VERSION);
    out.member("model", &Text(&model_id(model)));
    out.member("kind", &Text(kind_of(&model.predictor)));
    out.key("schema");
    schema(&mut out, model);
    out.key("features");
    out.list(model.spec.features.iter().enumerate(), |out, (i, feature)| {
        out.line_open('{');
        out.member("feature", &i);
        out.member("name", &Text(&feature.to_string()));
        if let Feature::Category(place) = feature {
            let levels = model.spec.vocabulary(place).map(|found| found.levels.as_slice()).unwrap_or_default();
            out.key("levels");
            out.row(levels.iter().map(|level| Text(level).to_string()));
        }
        out.line_close('}');
    });
    predictor(&mut out, &model.predictor);
    calibration(&mut out, &model.calibration);
    out.key("threshold");
    out.line_open('{');
    out.member("raw_score", &Number(model.threshold.raw_score));
    out.member("probability", &Number(model.threshold.probability));
    out.member("aim", &Text(&model.threshold.aim));
    out.line_close('}');
    out.key("tiers");
    out.list(&model.tiers, |out, tier| {
        out.line_open('{');
        out.member("decision", &Text(tier.decision.name()));
        out.member("raw_score", &Number(tier.raw_score));
        out.line_close('}');
    });
    out.key("card");
    out.open('{');
    let card = &model.card;
    out.member("program_version", &Text(&card.program_version));
    out.member("data_hash", &Text(&card.data_hash));
    out.member("seed", &card.seed);
    for (name, pairs) in [("facts", &card.facts), ("parameters", &card.params)] {
        out.key(name);
        // A list of pairs: names may come twice.
        out.list(pairs.iter(), |out, (name, value)| out.row([Text(name).to_string(), Text(value).to_string()]));
    }
    out.key("notes");
    out.list(&card.notes, |out, note| out.put(&Text(note)));
    out.close('}');
    out.close('}');
    out.finish()
}

/// The dump of a converted model. O(size of the model).
pub fn of_rows(model: &RowModel) -> String {
    let forest = &model.forest;
    let mut out = Writer::default();
    out.open('{');
    out.member("format", &Text("orderguard model"));
    out.member("version", &VERSION);
    out.member("kind", &Text("converted trees"));
    out.key("features");
    out.list(model.names.iter().enumerate(), |out, (i, name)| {
        out.line_open('{');
        out.member("feature", &i);
        out.member("name", &Text(name));
        out.line_close('}');
    });
    out.member(
        "codes",
        &Text(match forest.codes {
            Codes::Whole => "whole numbers",
            Codes::Truncated => "fractions are cut off",
            Codes::Narrowed => "rounded to 32 bits, fractions are cut off",
        }),
    );
    let step = unit(forest.scale_bits);
    out.member("base", &Number(forest.base as f64 * step));
    out.key("trees");
    out.list(&forest.trees, |out, tree| {
        out.list(tree.nodes.iter().enumerate(), |out, (i, node)| {
            out.line_open('{');
            out.member("node", &i);
            match *node {
                WideNode::Leaf { value } => out.member("leaf", &Number(value as f64 * step)),
                WideNode::Numeric { feature, threshold, missing, left, right } => {
                    out.member("feature", &feature);
                    out.member("at_most", &Number(threshold));
                    out.member("zero_is_missing", &missing.zero);
                    children(out, missing.left, left, right);
                }
                WideNode::Categorical { feature, first_word, n_words, missing_left, left, right } => {
                    out.member("feature", &feature);
                    out.key("in");
                    out.row(members(&tree.words[first_word as usize..][..n_words as usize]));
                    children(out, missing_left, left, right);
                }
            }
            out.line_close('}');
        });
    });
    calibration(&mut out, &model.calibration);
    out.key("facts");
    out.list(&model.facts, |out, (name, value)| out.row([Text(name).to_string(), Text(value).to_string()]));
    out.close('}');
    out.finish()
}

fn kind_of(predictor: &Predictor) -> &'static str {
    match predictor {
        Predictor::Gbt(_) => "trees",
        Predictor::Logistic(_) => "logistic regression",
        Predictor::Scorecard(_) => "scorecard",
    }
}

fn schema(out: &mut Writer, model: &Model) {
    let schema = &model.schema;
    out.open('{');
    out.member("time_zone", &Text(&schema.timezone));
    out.member("label_delay", &Text(&schema.label_delay.to_string()));
    out.member("amount_decimals", &schema.amount_decimals);
    out.key("columns");
    out.list(&schema.columns, |out, column| {
        out.line_open('{');
        out.member("name", &Text(&column.name));
        out.member("role", &Text(column.role.name()));
        out.line_close('}');
    });
    out.close('}');
}

fn predictor(out: &mut Writer, predictor: &Predictor) {
    match predictor {
        Predictor::Gbt(forest) => {
            let step = unit(forest.scale_bits);
            out.member("base", &Number(forest.base as f64 * step));
            out.key("trees");
            out.list(&forest.trees, |out, tree| {
                out.list(tree.nodes.iter().enumerate(), |out, (i, node)| {
                    out.line_open('{');
                    out.member("node", &i);
                    match *node {
                        Node::Leaf { value } => out.member("leaf", &Number(f64::from(value) * step)),
                        Node::Numeric { feature, threshold, missing_left, left, right } => {
                            out.member("feature", &feature);
                            out.member("at_most", &Narrow(threshold));
                            children(out, missing_left, left, right);
                        }
                        Node::Categorical { feature, level_set, missing_left, left, right } => {
                            out.member("feature", &feature);
                            out.key("in");
                            out.row(members(&tree.level_sets[level_set as usize]));
                            children(out, missing_left, left, right);
                        }
                    }
                    out.line_close('}');
                });
            });
        }
        Predictor::Logistic(linear) => {
            out.member("intercept", &Number(linear.intercept));
            out.key("terms");
            out.list(&linear.terms, |out, term| {
                out.line_open('{');
                out.member("feature", &term.feature());
                match term {
                    LinearTerm::Numeric { weight, low, high, log, mean, scale, missing, first_seen, .. } => {
                        out.member("low", &Narrow(*low));
                        out.member("high", &Narrow(*high));
                        out.member("log", log);
                        for (name, x) in [("mean", mean), ("scale", scale), ("weight", weight), ("missing", missing)] {
                            out.member(name, &Number(*x));
                        }
                        if let Some(first_seen) = first_seen {
                            out.member("first_seen", &Number(*first_seen));
                        }
                    }
                    LinearTerm::Categorical { levels, missing, .. } => {
                        out.key("levels");
                        out.row(levels.iter().map(|&x| Number(x).to_string()));
                        out.member("missing", &Number(*missing));
                    }
                }
                out.line_close('}');
            });
        }
        Predictor::Scorecard(card) => {
            out.key("points");
            out.line_open('{');
            out.member("start", &card.start);
            out.member("base_score", &Number(card.scale.base_score));
            out.member("base_odds", &Number(card.scale.base_odds));
            out.member("points_to_double", &Number(card.scale.points_to_double));
            out.line_close('}');
            out.key("characteristics");
            out.list(&card.characteristics, characteristic);
        }
    }
}

fn characteristic(out: &mut Writer, characteristic: &Characteristic) {
    let bin = |out: &mut Writer, what: &dyn Fn(&mut Writer), bin: &ScoreBin| {
        out.line_open('{');
        what(out);
        out.member("points", &bin.points);
        out.member("orders", &bin.n_orders);
        out.member("frauds", &bin.n_fraud);
        out.line_close('}');
    };
    out.open('{');
    out.member("feature", &characteristic.feature());
    out.key("bins");
    match characteristic {
        Characteristic::Numeric { specials, upper, bins, .. } => {
            let of_specials = specials.iter().map(|(x, bin)| ("exactly", Some(*x), bin));
            let of_bins = bins.iter().enumerate().map(|(i, bin)| ("up_to", upper.get(i).copied(), bin));
            out.list(of_specials.chain(of_bins), |out, (name, x, of)| {
                bin(out, &|out| out.member(name, &Narrow(x.unwrap_or(f32::INFINITY))), of);
            });
        }
        Characteristic::Categorical { groups, bins, .. } => {
            out.list(bins.iter().enumerate(), |out, (i, of)| {
                let codes = (0..groups.len()).filter(|&code| groups[code] as usize == i).map(|code| code.to_string());
                let codes: Vec<String> = codes.collect();
                bin(
                    out,
                    &|out| {
                        out.key("codes");
                        out.row(codes.iter().cloned());
                    },
                    of,
                );
            });
        }
    }
    let (Characteristic::Numeric { missing, .. } | Characteristic::Categorical { missing, .. }) = characteristic;
    out.key("missing");
    bin(out, &|_| {}, missing);
    out.close('}');
}

fn children(out: &mut Writer, missing_left: bool, left: u32, right: u32) {
    out.member("yes", &left);
    out.member("no", &right);
    out.member("missing", &if missing_left { left } else { right });
}

/// Codes of a level set, rising.
fn members(words: &[u64]) -> impl Iterator<Item = String> {
    let bits = |(i, word): (usize, u64)| (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| i * 64 + bit);
    words.iter().copied().enumerate().flat_map(bits).map(|code| code.to_string())
}

fn calibration(out: &mut Writer, calibration: &Calibration) {
    out.key("calibration");
    out.line_open('{');
    match calibration {
        Calibration::Platt { slope, intercept } => {
            out.member("map", &Text("platt"));
            out.member("slope", &Number(*slope));
            out.member("intercept", &Number(*intercept));
        }
        Calibration::Beta { a, b, c } => {
            out.member("map", &Text("beta"));
            for (name, x) in [("a", a), ("b", b), ("c", c)] {
                out.member(name, &Number(*x));
            }
        }
        Calibration::Isotonic { knots } => {
            out.member("map", &Text("isotonic"));
            out.key("knots");
            out.row(knots.iter().map(|(raw, log_odds)| format!("[{}, {}]", Number(*raw), Number(*log_odds))));
        }
    }
    out.line_close('}');
}

/// Lists and objects, one entry per line, but for objects and rows that fill one line.
#[derive(Default)]
struct Writer {
    text: String,
    depth: usize,
    /// Whether an entry stands before the next one, by depth.
    has_entry: Vec<bool>,
    /// How many of the open lists and objects are written in one line.
    in_line: usize,
}

impl Writer {
    fn next(&mut self) {
        let has_entry = self.has_entry.last_mut().is_some_and(|has| std::mem::replace(has, true));
        if has_entry {
            self.text.push(',');
        }
        if self.in_line > 0 {
            if has_entry {
                self.text.push(' ');
            }
        } else if self.depth > 0 {
            self.text.push('\n');
            self.text.extend(std::iter::repeat_n(' ', self.depth));
        }
    }

    /// An entry of a list.
    fn put(&mut self, value: &dyn Display) {
        let _ = write!(self.text, "{value}");
    }

    fn key(&mut self, name: &str) {
        self.next();
        let _ = write!(self.text, "\"{name}\": ");
    }

    fn member(&mut self, name: &str, value: &dyn Display) {
        self.key(name);
        self.put(value);
    }

    fn open(&mut self, bracket: char) {
        self.text.push(bracket);
        self.depth += 1;
        self.has_entry.push(false);
    }

    fn close(&mut self, bracket: char) {
        self.depth -= 1;
        if self.has_entry.pop() == Some(true) && self.in_line == 0 {
            self.text.push('\n');
            self.text.extend(std::iter::repeat_n(' ', self.depth));
        }
        self.text.push(bracket);
    }

    fn line_open(&mut self, bracket: char) {
        self.open(bracket);
        self.in_line += 1;
    }

    fn line_close(&mut self, bracket: char) {
        self.close(bracket);
        self.in_line -= 1;
    }

    fn list<T>(&mut self, entries: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut Self, T)) {
        self.open('[');
        for entry in entries {
            self.next();
            write(self, entry);
        }
        self.close(']');
    }

    /// A list in one line.
    fn row(&mut self, entries: impl IntoIterator<Item = String>) {
        self.text.push('[');
        for (i, entry) in entries.into_iter().enumerate() {
            self.text.push_str(if i > 0 { ", " } else { "" });
            self.text.push_str(&entry);
        }
        self.text.push(']');
    }

    fn finish(mut self) -> String {
        self.text.push('\n');
        self.text
    }
}

struct Text<'a>(&'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                c if c.is_control() => write!(f, "\\u{:04x}", c as u32)?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

struct Number(f64);

impl Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            x if x.is_finite() => write!(f, "{x:?}"),
            x if x.is_nan() => f.write_str("null"),
            x => f.write_str(if x > 0.0 { "\"inf\"" } else { "\"-inf\"" }),
        }
    }
}

struct Narrow(f32);

impl Display for Narrow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            x if x.is_finite() => write!(f, "{x:?}"),
            x => Number(f64::from(x)).fmt(f),
        }
    }
}
