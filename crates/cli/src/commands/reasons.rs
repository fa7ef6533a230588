//! `orderguard reasons`: the words in which a model gives reasons, to read and to edit.

use std::path::Path;

use orderguard_inference::model::Model;
use orderguard_inference::reasons::{FeatureTexts, Pattern, ReasonTexts};

use crate::args::ReasonsArgs;
use crate::console::Console;
use crate::failure::{Blame, Outcome, data};
use crate::{input, output};

/// The largest model, or file of words, that is read.
const MAX_BYTES: u64 = 1 << 30;

pub(crate) fn run(args: &ReasonsArgs, console: &Console) -> Outcome {
    let mut model = Model::from_bytes(&input::read(&args.model, MAX_BYTES)?)
        .or_else(|error| data(format_args!("{}: {error}", args.model.display())))?;
    if model.reasons.features.is_empty() {
        model.reasons = ReasonTexts::proposed(&model.schema, &model.spec);
    }
    let Some(path) = &args.set else {
        return output::print(&write(&model));
    };
    let text = String::from_utf8(input::read(path, MAX_BYTES)?).unwrap_or_default();
    let n_changed = read(&text, &mut model, path)?;
    let bytes = model.to_bytes().or_else(|error| data(format_args!("{}: {error}", path.display())))?;
    let out = args.output.as_deref().unwrap_or(&args.model);
    output::write(out, &bytes)?;
    console.note(&format!("{}: the words of {n_changed} features changed", out.display()));
    Ok(())
}

const LANGUAGES: [&str; 2] = ["english", "polish"];
const KINDS: [&str; 4] = ["text", "no", "first_seen", "missing"];

fn texts_of(pattern: &mut Pattern) -> [&mut String; 4] {
    [&mut pattern.text, &mut pattern.no, &mut pattern.first_seen, &mut pattern.missing]
}

fn write(model: &Model) -> String {
    let mut out = String::from(
        "# The words of each feature. {value}, {value:one/many}, {usual} and {share} are filled in; features with the same group\n\
         # are one reason. Edit, then: orderguard reasons --model MODEL --set THIS_FILE\n",
    );
    for (name, texts) in model.spec.names().iter().zip(&model.reasons.features) {
        let mut table = toml::Table::new();
        table.insert("feature".into(), name.as_str().into());
        table.insert("group".into(), model.reasons.groups[texts.group as usize].as_str().into());
        let mut texts = texts.clone();
        for (language, pattern) in LANGUAGES.into_iter().zip([&mut texts.english, &mut texts.polish]) {
            let mut words = toml::Table::new();
            for (kind, text) in KINDS.into_iter().zip(texts_of(pattern)) {
                if !text.is_empty() {
                    words.insert(kind.into(), text.as_str().into());
                }
            }
            table.insert(language.into(), words.into());
        }
        let mut whole = toml::Table::new();
        whole.insert("reason".into(), toml::Value::Array(vec![table.into()]));
        out.push('\n');
        out.push_str(&toml::to_string(&whole).expect("tables of texts can be written"));
    }
    out
}

/// Takes over the words of a file; features that it does not name keep theirs. Returns how many changed.
fn read(text: &str, model: &mut Model, path: &Path) -> Outcome<usize> {
    let place = path.display();
    let whole: toml::Table =
        text.parse().or_else(|error: toml::de::Error| data(format_args!("{place}: {}", error.message())))?;
    let Some(list) = whole.get("reason").and_then(toml::Value::as_array).filter(|_| whole.len() == 1) else {
        return data(format_args!("{place}: expected entries [[reason]] and nothing else"));
    };
    let names = model.spec.names();
    let mut groups: Vec<String> =
        model.reasons.features.iter().map(|texts| model.reasons.groups[texts.group as usize].clone()).collect();
    let before = (groups.clone(), model.reasons.features.clone());
    for (i, entry) in list.iter().enumerate() {
        let expect = |what: &str| data(format_args!("{place}: reason {i}: expected {what}"));
        let Some(entry) = entry.as_table() else { return expect("a table") };
        let feature = entry.get("feature").and_then(toml::Value::as_str);
        let Some(at) = feature.and_then(|name| names.iter().position(|other| other == name)) else {
            return expect("feature, one of the model's");
        };
        let texts: &mut FeatureTexts = &mut model.reasons.features[at];
        for (key, value) in entry {
            match (key.as_str(), value) {
                ("feature", _) => {}
                ("group", toml::Value::String(name)) => groups[at].clone_from(name),
                ("english" | "polish", toml::Value::Table(words)) => {
                    let pattern = if key == "english" { &mut texts.english } else { &mut texts.polish };
                    *pattern = Pattern::default();
                    for (kind, text) in words {
                        let slot = KINDS.iter().position(|known| known == kind);
                        let (Some(slot), Some(text)) = (slot, text.as_str()) else {
                            return expect("text, no, first_seen and missing, each a text");
                        };
                        text.clone_into(texts_of(pattern)[slot]);
                    }
                }
                _ => return expect("feature, group, english and polish"),
            }
        }
    }
    // Numbers of groups in the order of their first feature.
    model.reasons.groups.clear();
    for (texts, name) in model.reasons.features.iter_mut().zip(&groups) {
        let known = model.reasons.groups.iter().position(|group| group == name);
        let at = known.unwrap_or_else(|| {
            model.reasons.groups.push(name.clone());
            model.reasons.groups.len() - 1
        });
        texts.group = at as u32;
    }
    model.reasons.check(names.len()).bad_data()?;
    let same_words = |a: &FeatureTexts, b: &FeatureTexts| a.english == b.english && a.polish == b.polish;
    let changed = |&i: &usize| groups[i] != before.0[i] || !same_words(&model.reasons.features[i], &before.1[i]);
    Ok((0..names.len()).filter(changed).count())
}
