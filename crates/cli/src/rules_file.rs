//! `rules.toml`: what a shop decides itself, beside the model.

use std::path::Path;

use orderguard_inference::Decision;
use orderguard_inference::model::Model;
use orderguard_inference::rules::{BoundList, EntityList, FirstOrderLimit, RuleSet, Rules, RulesError};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::failure::{Outcome, data};
use crate::model_data::Loaded;
use crate::toml_text::{TomlText, lines};

const KNOWN: &str = "fallback, first_order or list";
const OF_LIST: &str = "name, column, kind, ids or file";
const DECISIONS: &str = "approve, challenge, review or decline";

/// Reads rules and binds them to the model, whose columns are then read for the lists too.
pub(crate) fn bind(path: &Path, loaded: &mut Loaded) -> Outcome<RuleSet> {
    let rules = read(path)?;
    let bound = RuleSet::bind(&rules, &loaded.model, loaded.extractor.key())
        .or_else(|error| data(format_args!("{}: {error}", path.display())))?;
    loaded.also_read.extend(bound.lists().iter().map(BoundList::column));
    Ok(bound)
}

/// As [`bind`] where identifiers are not at hand: lists are known by name alone.
pub(crate) fn bind_names(path: &Path, model: &Model) -> Outcome<RuleSet> {
    let mut rules = read(path)?;
    for list in &mut rules.lists {
        list.ids.clear();
    }
    let key = orderguard_features::identity::IdentityKey::new(orderguard_features::identity::PUBLIC_KEY);
    RuleSet::bind(&rules, model, &key).or_else(|error: RulesError| data(format_args!("{}: {error}", path.display())))
}

fn read(path: &Path) -> Outcome<Rules> {
    let file = TomlText::read(path)?;
    let whole = file.parse()?;
    let mut rules = Rules::default();
    for (name, value) in &whole {
        match name.get_ref().as_ref() {
            "fallback" => rules.fallback = decision(&file, "fallback", value)?,
            "first_order" => rules.first_order = Some(first_order(&file, value)?),
            "list" => {
                for entry in file.list("list", value)? {
                    let list = list(&file, entry)?;
                    if rules.lists.iter().any(|other| other.name == list.name) {
                        return file
                            .refuse(&entry.span(), &format!("list {:?}: expected a name of its own", list.name));
                    }
                    rules.lists.push(list);
                }
            }
            _ => return file.unknown(name, KNOWN),
        }
    }
    Ok(rules)
}

fn decision(file: &TomlText<'_>, name: &str, value: &Spanned<DeValue<'_>>) -> Outcome<Decision> {
    match Decision::from_name(file.text(name, value)?) {
        Some(decision) => Ok(decision),
        None => file.refuse(&value.span(), &format!("{name}: expected {DECISIONS}, found another text")),
    }
}

fn first_order(file: &TomlText<'_>, value: &Spanned<DeValue<'_>>) -> Outcome<FirstOrderLimit> {
    let table = file.table("first_order", value)?;
    let (mut max_amount, mut then) = (None, None);
    for (name, value) in table {
        match name.get_ref().as_ref() {
            "max_amount" => {
                let amount = file.number("first_order: max_amount", value)? as f32;
                if !(amount >= 0.0 && amount.is_finite()) {
                    return file.refuse(&value.span(), "first_order: max_amount: expected an amount of at least 0");
                }
                max_amount = Some(amount);
            }
            "decision" => then = Some(decision(file, "first_order: decision", value)?),
            _ => return file.unknown(name, "max_amount or decision"),
        }
    }
    match (max_amount, then) {
        (Some(max_amount), Some(decision)) if decision > Decision::Approve => {
            Ok(FirstOrderLimit { max_amount, decision })
        }
        (Some(_), Some(_)) => file.refuse(&value.span(), "first_order: expected a decision stricter than approve"),
        _ => file.refuse(&value.span(), "first_order: expected max_amount and decision, found one of them or none"),
    }
}

fn list(file: &TomlText<'_>, entry: &Spanned<DeValue<'_>>) -> Outcome<EntityList> {
    let table: &DeTable<'_> = file.table("list", entry)?;
    let (mut name, mut column, mut trusted, mut ids) = (None, None, None, Vec::new());
    for (key, value) in table {
        match key.get_ref().as_ref() {
            "name" => name = Some(file.text("name", value)?.to_owned()),
            "column" => column = Some(file.text("column", value)?.to_owned()),
            "kind" => {
                trusted = match file.text("kind", value)? {
                    "trusted" => Some(true),
                    "blocked" => Some(false),
                    _ => return file.refuse(&value.span(), "kind: expected trusted or blocked, found another text"),
                }
            }
            "ids" => {
                for id in file.list("ids", value)? {
                    ids.push(file.text("ids", id)?.to_owned());
                }
            }
            "file" => {
                let folder = file.path().parent().unwrap_or(Path::new(""));
                let path = folder.join(file.text("file", value)?);
                ids.extend(lines(&path).map_err(|failure| failure.in_file(file.path()))?);
            }
            _ => return file.unknown(key, OF_LIST),
        }
    }
    let (Some(name), Some(column), Some(trusted)) = (name.filter(|name| !name.is_empty()), column, trusted) else {
        return file.refuse(&entry.span(), "list: expected name, column and kind");
    };
    Ok(EntityList { name, column, trusted, ids })
}
