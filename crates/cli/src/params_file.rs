//! The file of parameters: the options of learning under their own names, as TOML, or as a model keeps them.

use std::path::Path;

use clap::{CommandFactory, Parser};
use orderguard_features::container::{KIND_MODEL, magic};
use orderguard_inference::model::{Model, ModelCard};

use crate::args::{LearningArgs, TrainArgs};
use crate::failure::{Outcome, data, usage};
use crate::input;

/// The largest file of parameters, or model, that is read.
const MAX_FILE_BYTES: u64 = 1 << 32;

/// One option in the form of a command line, so that a file's values are checked by the same rules.
#[derive(Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
struct OneOption {
    #[command(flatten)]
    learning: LearningArgs,
}

/// The options that the user gave: those of the command line, and behind them those of the file.
pub(crate) fn given(args: &TrainArgs) -> Outcome<LearningArgs> {
    let typed = args.learning.clone();
    match &args.params {
        Some(path) => Ok(typed.or(read(path)?)),
        None => Ok(typed),
    }
}

/// The parameters in a TOML file or in a model.
fn read(path: &Path) -> Outcome<LearningArgs> {
    let bytes = input::read(path, MAX_FILE_BYTES)?;
    if bytes.starts_with(&magic(KIND_MODEL)) {
        let model = Model::from_bytes(&bytes);
        return match model {
            Ok(model) => match of_card(&model.card) {
                none if none == LearningArgs::default() => usage(format_args!(
                    "{}: expected a model that says how it was fitted, found one of an earlier edition",
                    path.display()
                )),
                params => Ok(params),
            },
            Err(error) => data(format_args!("{}: {error}", path.display())),
        };
    }
    let Ok(text) = String::from_utf8(bytes) else {
        return usage(format_args!("{}: expected UTF-8 text or a model, found other bytes", path.display()));
    };
    parse(&text).or_else(|error| usage(format_args!("{}: {error}", path.display())))
}

/// The parameters that a model was fitted with.
pub(crate) fn of_card(card: &ModelCard) -> LearningArgs {
    let known = names();
    let lines = card.params.iter().filter(|(name, _)| known.contains(name));
    // A model of another edition may know other values; those that are no longer understood are left to their defaults.
    lines.fold(LearningArgs::default(), |all, (name, value)| {
        parse(&format!("{name} = {value}")).map_or_else(|_| all.clone(), |one| all.clone().or(one))
    })
}

/// The text of a file that gives these parameters again.
pub(crate) fn write(params: &LearningArgs) -> String {
    let lines: Vec<String> = params.given().into_iter().map(|(name, value)| format!("{name} = {value}\n")).collect();
    format!(
        "# How the model beside this file was fitted: `orderguard train --params FILE` fits it again.\n{}",
        lines.concat()
    )
}

fn names() -> Vec<String> {
    let command = OneOption::command();
    command.get_arguments().filter_map(|arg| arg.get_long().map(str::to_owned)).collect()
}

fn parse(text: &str) -> Result<LearningArgs, String> {
    let table: toml::Table = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
    let known = names();
    let mut all = LearningArgs::default();
    for (key, value) in &table {
        let name = key.replace('_', "-");
        if !known.contains(&name) {
            let hint = nearest(&name, known.iter().map(String::as_str));
            let hint = hint.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
            return Err(format!("expected the name of an option of learning, found `{key}`{hint}"));
        }
        let values = match value {
            toml::Value::Array(values) => values.iter().map(|value| scalar(key, value)).collect::<Result<_, _>>()?,
            value => vec![scalar(key, value)?],
        };
        let typed = values.iter().map(|value| format!("--{name}={value}"));
        let one = OneOption::try_parse_from(typed).map_err(|error| {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            format!("{key}: {}", line.strip_prefix("error: ").unwrap_or(line))
        })?;
        all = all.or(one.learning);
    }
    Ok(all)
}

/// A value as it would be typed; a list of texts within a list is one group, joined by semicolons.
fn scalar(key: &str, value: &toml::Value) -> Result<String, String> {
    match value {
        toml::Value::String(text) => Ok(text.clone()),
        toml::Value::Integer(number) => Ok(number.to_string()),
        toml::Value::Float(number) => Ok(number.to_string()),
        toml::Value::Array(group) => {
            let texts: Vec<String> = group.iter().map(|value| scalar(key, value)).collect::<Result<_, _>>()?;
            Ok(texts.join("; "))
        }
        other => Err(format!("{key}: expected a number, a text or a list, found a {}", other.type_str())),
    }
}

/// The candidate that is nearest to a word, where it takes few enough slips to get there: a third of the word, at least one.
pub(crate) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let most = (word.chars().count() / 3).max(1);
    let distance = |candidate: &str| strsim::damerau_levenshtein(&word.to_lowercase(), &candidate.to_lowercase());
    candidates.map(|c| (distance(c), c)).filter(|(d, _)| *d <= most).min_by_key(|(d, _)| *d).map(|(_, c)| c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{GrowthArg, StopOn};

    #[test]
    fn a_file_reads_back_as_written() {
        let text = "trees = 30\nlearning_rate = 0.1\ngrowth = \"level-by-level\"\nrow-fraction = \"80%\"\n\
                    seed = \"18446744073709551615\"\nhalf-life = \"90d\"\nrising = [\"amount\", \"a \\\"b\\\"\"]\n\
                    together = [[\"a\", \"b(c, d)\"], \"e; f\"]\nstop-on = \"recall@0.5%\"\ncost-missed = \"15+amount\"\n";
        let params = parse(text).unwrap();
        assert_eq!((params.trees, params.learning_rate, params.seed), (Some(30), Some(0.1), Some(u64::MAX)));
        assert_eq!((params.growth, params.row_fraction), (Some(GrowthArg::LevelByLevel), Some(0.8)));
        assert_eq!(params.together, ["a; b(c, d)", "e; f"]);
        assert_eq!(params.stop_on, Some(StopOn::Recall(0.005)));
        assert_eq!(parse(&write(&params)), Ok(params));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, says) in [
            ("trees = 1\ntrees = 2\n", "duplicate key"),
            ("tree = 1\n", "found `tree`; did you mean `trees`?"),
            ("colour = 1\n", "found `colour`"),
            ("trees = \"many\"\n", "trees: invalid value 'many'"),
            ("trees = -1\n", "trees: invalid value '-1'"),
            ("row-fraction = 1.5\n", "row-fraction: invalid value '1.5'"),
            ("growth = \"sideways\"\n", "growth: invalid value 'sideways'"),
            ("trees = true\n", "trees: expected a number, a text or a list, found a boolean"),
            ("trees = [1, 2]\n", "trees: the argument"),
            ("[trees]\nn = 1\n", "found a table"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
