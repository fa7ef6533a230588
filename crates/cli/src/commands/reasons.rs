//! `orderguard reasons`: the words in which a model gives reasons, to read and to edit.

use orderguard_inference::model::Model;
use orderguard_inference::reasons::pattern::check;
use orderguard_inference::reasons::{FeatureTexts, MAX_TEXT, Pattern, ReasonTexts};
use toml::Spanned;
use toml::de::DeValue;

use crate::args::ReasonsArgs;
use crate::console::Console;
use crate::failure::{Outcome, data};
use crate::params_file::nearest;
use crate::toml_text::TomlText;
use crate::{input, output};

/// The largest model that is read.
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
    let n_changed = read(&TomlText::read(path)?, &mut model)?;
    let bytes = model.to_bytes().or_else(|error| data(format_args!("{}: {error}", path.display())))?;
    let out = args.output.as_deref().unwrap_or(&args.model);
    output::write(out, &bytes)?;
    let features = if n_changed == 1 { "feature" } else { "features" };
    console.note(&format!("{}: the words of {n_changed} {features} changed", out.display()));
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
         # are one reason. What is left out stays as it is; \"\" takes words away. Edit, then: orderguard reasons --model MODEL --set THIS_FILE\n",
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

/// Takes over the words of a file; what it does not name stays as it is. Returns how many features changed.
fn read(file: &TomlText<'_>, model: &mut Model) -> Outcome<usize> {
    let whole = file.parse()?;
    let names = model.spec.names();
    let mut groups: Vec<String> =
        model.reasons.features.iter().map(|texts| model.reasons.groups[texts.group as usize].clone()).collect();
    let before = (groups.clone(), model.reasons.features.clone());
    for (key, list) in &whole {
        if key.get_ref() != "reason" {
            return file.unknown(key, "entries [[reason]] and nothing else");
        }
        for entry in file.list("reason", list)? {
            read_entry(file, entry, &names, &mut groups, model)?;
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
    model.reasons.check(names.len()).or_else(|error| data(format_args!("{}: {error}", file.path().display())))?;
    let same_words = |a: &FeatureTexts, b: &FeatureTexts| a.english == b.english && a.polish == b.polish;
    let changed = |&i: &usize| groups[i] != before.0[i] || !same_words(&model.reasons.features[i], &before.1[i]);
    Ok((0..names.len()).filter(changed).count())
}

/// One entry `[[reason]]`: the words and the group of a feature, as far as they are named.
fn read_entry(
    file: &TomlText<'_>,
    entry: &Spanned<DeValue<'_>>,
    names: &[String],
    groups: &mut [String],
    model: &mut Model,
) -> Outcome {
    let table = file.table("reason", entry)?;
    let Some(feature) = table.get("feature") else {
        return file.refuse(&entry.span(), "reason: expected feature, found none");
    };
    let name = file.text("feature", feature)?;
    let Some(at) = names.iter().position(|other| other == name) else {
        let hint = nearest(name, names.iter().map(String::as_str));
        let hint = hint.map_or(String::new(), |near| format!("; did you mean {near:?}?"));
        return file.refuse(&feature.span(), &format!("expected a feature of the model, found {name:?}{hint}"));
    };
    let texts: &mut FeatureTexts = &mut model.reasons.features[at];
    for (key, value) in table {
        match key.get_ref().as_ref() {
            "feature" => {}
            "group" => {
                let group = file.text("group", value)?;
                if group.is_empty() || group.len() > MAX_TEXT {
                    let found = group.len();
                    let message = format!("feature {name:?}: group: expected 1 to {MAX_TEXT} bytes, found {found}");
                    return file.refuse(&value.span(), &message);
                }
                group.clone_into(&mut groups[at]);
            }
            language @ ("english" | "polish") => {
                let pattern = if language == "english" { &mut texts.english } else { &mut texts.polish };
                for (kind, text) in file.table(language, value)? {
                    let Some(slot) = KINDS.iter().position(|known| known == kind.get_ref()) else {
                        return file.unknown(kind, "text, no, first_seen or missing");
                    };
                    let words = file.text(kind.get_ref(), text)?;
                    check(words).or_else(|error| {
                        let message = format!("feature {name:?}, {language}, {}: {error}", kind.get_ref());
                        file.refuse(&text.span(), &message)
                    })?;
                    words.clone_into(texts_of(pattern)[slot]);
                }
            }
            _ => return file.unknown(key, "feature, group, english or polish"),
        }
    }
    Ok(())
}
