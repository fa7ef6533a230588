//! `features.toml`: the specification as a person writes it.
//!
//! ```toml
//! extends = "default"                 # start from the proposed features; without it, only those below
//! remove = ["night", "weekend"]       # of the proposed ones
//! features = [
//!   "count(order) by card over 24h",
//!   "distinct(card) by device over 30d",
//! ]
//! exact_events = 4096                 # newest events per entity that are remembered one by one
//!
//! [network]
//! hub_limit = 20                      # a thing shared by more accounts links none
//!
//! [[vocabulary]]                      # of category(channel); learned from the data without it
//! place = "channel"
//! levels = ["app", "web"]
//! ```

use std::collections::{HashMap, HashSet};
use std::fmt;

use toml::Spanned;

use super::error::{FeatureError, caret, nearest};
use super::feature::{Feature, Place};
use super::resolve::{self, ResolveError, TablesPresent};
use super::spec::{EXACT_EVENTS, FeatureSpec, HUB_LIMIT, MAX_FEATURES, SpecError, Vocabulary};
use super::text::Quoted;
use crate::schema::Schema;

/// A feature and the line of the file that it stands on, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The line.
    pub line: usize,
    /// The feature.
    pub feature: Feature,
}

/// What a `features.toml` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeatureFile {
    /// Whether the proposed features are the start.
    pub extends_default: bool,
    /// Proposed features that are not wanted.
    pub remove: Vec<Line>,
    /// Features, in the order of the row; behind the proposed ones.
    pub features: Vec<Line>,
    /// See [`FeatureSpec::exact_events`].
    pub exact_events: Option<u32>,
    /// See [`FeatureSpec::hub_limit`].
    pub hub_limit: Option<u32>,
    /// Vocabularies that are given and not learned.
    pub vocabularies: Vec<Vocabulary>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    extends: Option<Spanned<String>>,
    #[serde(default)]
    remove: Vec<Spanned<String>>,
    #[serde(default)]
    features: Vec<Spanned<String>>,
    exact_events: Option<Spanned<i64>>,
    network: Option<NetworkWire>,
    #[serde(default)]
    vocabulary: Vec<VocabularyWire>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct NetworkWire {
    hub_limit: Option<Spanned<i64>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct VocabularyWire {
    place: Spanned<String>,
    levels: Vec<Spanned<String>>,
}

impl FeatureFile {
    /// Reads the text of a `features.toml`.
    ///
    /// ```
    /// use orderguard_features::language::file::FeatureFile;
    /// let error = FeatureFile::from_toml("features = [\n  'count(ordr) by card',\n]").unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "line 2: expected a kind of event, such as `order` or `return`; did you mean `order`?\n  \
    ///      count(ordr) by card\n        ^"
    /// );
    /// ```
    pub fn from_toml(text: &str) -> Result<Self, FileError> {
        let line_at = |at: usize| 1 + text.bytes().take(at).filter(|b| *b == b'\n').count();
        let wire: Wire = toml::from_str(text).map_err(|error| FileError::Toml {
            line: error.span().map(|span| line_at(span.start)),
            message: error.message().to_owned(),
        })?;
        let features = |list: &[Spanned<String>]| -> Result<Vec<Line>, FileError> {
            let mut seen = HashMap::with_capacity(list.len());
            let mut lines = Vec::with_capacity(list.len());
            for item in list {
                let line = line_at(item.span().start);
                let feature = Feature::parse(item.get_ref()).map_err(|error| FileError::Feature { line, error })?;
                if let Some(first) = seen.insert(feature.clone(), line) {
                    return Err(FileError::Twice { line, first, feature: feature.to_string() });
                }
                lines.push(Line { line, feature });
            }
            Ok(lines)
        };
        let number = |field, range: std::ops::RangeInclusive<u32>, value: Option<&Spanned<i64>>| match value {
            None => Ok(None),
            Some(value) => match u32::try_from(*value.get_ref()) {
                Ok(n) if range.contains(&n) => Ok(Some(n)),
                _ => {
                    let (line, found) = (line_at(value.span().start), *value.get_ref());
                    Err(FileError::OutOfRange { line, field, found, low: *range.start(), high: *range.end() })
                }
            },
        };
        let extends_default = match &wire.extends {
            None => false,
            Some(name) if name.get_ref() == "default" => true,
            Some(name) => {
                return Err(FileError::Extends { line: line_at(name.span().start), found: name.get_ref().clone() });
            }
        };
        if !extends_default && let Some(item) = wire.remove.first() {
            return Err(FileError::RemoveFromNothing { line: line_at(item.span().start) });
        }
        let hub_limit = wire.network.as_ref().and_then(|network| network.hub_limit.as_ref());
        let file = Self {
            extends_default,
            remove: features(&wire.remove)?,
            features: features(&wire.features)?,
            exact_events: number("exact_events", EXACT_EVENTS, wire.exact_events.as_ref())?,
            hub_limit: number("hub_limit", HUB_LIMIT, hub_limit)?,
            vocabularies: vocabularies(&wire.vocabulary, line_at)?,
        };
        if file.features.len() > MAX_FEATURES {
            return Err(FileError::TooMany { found: file.features.len() });
        }
        Ok(file)
    }

    /// The text of the file; reading it back gives the same but for the lines.
    pub fn to_toml(&self) -> String {
        let mut out: Vec<String> = Vec::new();
        let list = |out: &mut Vec<String>, name: &str, lines: &[Line]| {
            out.push(format!("{name} = ["));
            out.extend(lines.iter().map(|line| format!("  {},", toml_string(&line.feature.to_string()))));
            out.push("]".into());
        };
        if self.extends_default {
            out.push("extends = \"default\"".into());
        }
        if !self.remove.is_empty() {
            list(&mut out, "remove", &self.remove);
        }
        list(&mut out, "features", &self.features);
        out.extend(self.exact_events.map(|exact_events| format!("exact_events = {exact_events}")));
        out.extend(self.hub_limit.map(|hub_limit| format!("\n[network]\nhub_limit = {hub_limit}")));
        for vocabulary in &self.vocabularies {
            let levels: Vec<String> = vocabulary.levels.iter().map(|level| toml_string(level)).collect();
            out.push(format!("\n[[vocabulary]]\nplace = {}", toml_string(&vocabulary.place)));
            out.push(format!("levels = [{}]", levels.join(", ")));
        }
        out.push(String::new());
        out.join("\n")
    }

    /// The file that says the same as a specification.
    pub fn from_spec(spec: &FeatureSpec) -> Self {
        let line = |feature: &Feature| Line { line: 0, feature: feature.clone() };
        Self {
            extends_default: false,
            remove: Vec::new(),
            features: spec.features.iter().map(line).collect(),
            exact_events: Some(spec.exact_events),
            hub_limit: Some(spec.hub_limit),
            vocabularies: spec.vocabularies.clone(),
        }
    }

    /// The specification that the file asks for: the proposed features without the removed ones where it extends them, then
    /// its own. Categories have the vocabularies of the file, else the proposed ones; what has none is to be learned.
    ///
    /// Also returns the features to remove that are not among the proposed ones: mostly a slip, though what is proposed may
    /// change with the data.
    pub fn apply(&self, proposed: &FeatureSpec) -> (FeatureSpec, Vec<Line>) {
        let start: &[Feature] = if self.extends_default { &proposed.features } else { &[] };
        let removed: HashSet<&Feature> = self.remove.iter().map(|line| &line.feature).collect();
        let mut features: Vec<Feature> = start.iter().filter(|feature| !removed.contains(feature)).cloned().collect();
        let here: HashSet<Feature> = features.iter().cloned().collect();
        features.extend(self.features.iter().map(|line| line.feature.clone()).filter(|f| !here.contains(f)));
        let mut vocabularies = self.vocabularies.clone();
        for vocabulary in &proposed.vocabularies {
            if vocabularies.iter().all(|given| given.place != vocabulary.place) {
                vocabularies.push(vocabulary.clone());
            }
        }
        let read = |vocabulary: &Vocabulary| {
            features.iter().any(|f| matches!(f, Feature::Category(place) if place.to_string() == vocabulary.place))
        };
        vocabularies.retain(read);
        let not_there = self.remove.iter().filter(|line| !start.contains(&line.feature)).cloned().collect();
        let spec = FeatureSpec {
            features,
            vocabularies,
            exact_events: self.exact_events.unwrap_or(proposed.exact_events),
            hub_limit: self.hub_limit.unwrap_or(proposed.hub_limit),
            tables: proposed.tables.clone(),
        };
        (spec, not_there)
    }

    /// Checks that every feature fits the schema and the tables.
    pub fn check(&self, schema: &Schema, tables: TablesPresent) -> Result<(), FileError> {
        for Line { line, feature } in &self.features {
            resolve::columns(schema, tables, feature).map_err(|error| FileError::Resolve {
                line: *line,
                feature: feature.to_string(),
                error,
            })?;
        }
        Ok(())
    }
}

/// The vocabularies of a file; `line_at` gives the line of a byte.
fn vocabularies(wire: &[VocabularyWire], line_at: impl Fn(usize) -> usize) -> Result<Vec<Vocabulary>, FileError> {
    let mut vocabularies: Vec<Vocabulary> = Vec::with_capacity(wire.len());
    for item in wire {
        let line = line_at(item.place.span().start);
        let place = Place::parse(item.place.get_ref()).map_err(|error| FileError::Feature { line, error })?.to_string();
        if vocabularies.iter().any(|vocabulary| vocabulary.place == place) {
            return Err(FileError::VocabularyTwice { line, place });
        }
        let mut seen = HashSet::with_capacity(item.levels.len());
        if let Some(level) = item.levels.iter().find(|level| !seen.insert(level.get_ref())) {
            return Err(FileError::LevelTwice { line: line_at(level.span().start), place });
        }
        let levels = item.levels.iter().map(|level| level.get_ref().clone()).collect();
        vocabularies.push(Vocabulary { place, levels });
    }
    Ok(vocabularies)
}

fn toml_string(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// A `features.toml` that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileError {
    /// Not TOML, or with fields that do not belong there.
    Toml {
        /// The line, where the parser knows it.
        line: Option<usize>,
        /// The parser's message.
        message: String,
    },
    /// A feature, or the place of a vocabulary, cannot be read.
    Feature {
        /// The line.
        line: usize,
        /// What is wrong with it.
        error: FeatureError,
    },
    /// A feature does not fit the schema or the tables.
    Resolve {
        /// The line.
        line: usize,
        /// The feature.
        feature: String,
        /// What does not fit.
        error: ResolveError,
    },
    /// A feature stands twice in one list.
    Twice {
        /// The second line.
        line: usize,
        /// The first line.
        first: usize,
        /// The feature.
        feature: String,
    },
    /// More features than [`MAX_FEATURES`].
    TooMany {
        /// Their number.
        found: usize,
    },
    /// `extends` names something else than `default`.
    Extends {
        /// The line.
        line: usize,
        /// The name.
        found: String,
    },
    /// `remove` without `extends`.
    RemoveFromNothing {
        /// The line.
        line: usize,
    },
    /// A number is out of range.
    OutOfRange {
        /// The line.
        line: usize,
        /// Which number.
        field: &'static str,
        /// The number.
        found: i64,
        /// The lowest allowed.
        low: u32,
        /// The highest allowed.
        high: u32,
    },
    /// Two vocabularies of one place.
    VocabularyTwice {
        /// The line of the second.
        line: usize,
        /// The place.
        place: String,
    },
    /// A level stands twice in a vocabulary.
    LevelTwice {
        /// The line of the second.
        line: usize,
        /// The place.
        place: String,
    },
}

impl FileError {
    /// The error of a specification that a file asked for, with the line of the feature where it stands there.
    pub fn of_spec(file: &FeatureFile, error: SpecError) -> Result<Self, SpecError> {
        let line_of = |text: &str| file.features.iter().find(|line| line.feature.to_string() == text).map(|l| l.line);
        match error {
            SpecError::Resolve { index, feature, error } => match line_of(&feature) {
                Some(line) => Ok(Self::Resolve { line, feature, error }),
                None => Err(SpecError::Resolve { index, feature, error }),
            },
            other => Err(other),
        }
    }
}

/// Where in a feature's text a name stands, for the caret.
fn position(feature: &str, name: &str) -> Option<usize> {
    let quoted = Quoted(name).to_string();
    let whole_word = |at: &usize| {
        let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-');
        let before = feature[..*at].chars().next_back().is_some_and(is_word);
        let after = feature[*at + name.len()..].chars().next().is_some_and(is_word);
        !before && !after
    };
    let bare = || feature.match_indices(name).map(|(at, _)| at).find(whole_word);
    if name.is_empty() { None } else { feature.find(&quoted).or_else(bare) }
}

fn indented(lines: &str) -> String {
    lines.lines().fold(String::new(), |all, line| all + "\n  " + line)
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Toml { line: Some(line), message } => write!(f, "line {line}: {}", message.trim_end()),
            Self::Toml { line: None, message } => write!(f, "{}", message.trim_end()),
            Self::Feature { line, error } => {
                write!(f, "line {line}: expected {}", error.expected)?;
                if let Some(word) = &error.suggestion {
                    write!(f, "; did you mean `{word}`?")?;
                }
                f.write_str(&indented(&error.caret()))
            }
            Self::Resolve { line, feature, error } => {
                write!(f, "line {line}: {error}")?;
                let at = position(feature, error.name());
                f.write_str(&indented(&at.map_or_else(|| feature.clone(), |at| caret(feature, at))))
            }
            Self::Twice { line, first, feature } => {
                write!(f, "line {line}: the feature stands on line {first} already{}", indented(feature))
            }
            Self::TooMany { found } => write!(f, "features: expected at most {MAX_FEATURES}, found {found}"),
            Self::Extends { line, found } => write!(f, "line {line}: extends: expected \"default\", found {found:?}"),
            Self::RemoveFromNothing { line } => {
                write!(f, "line {line}: remove: expected `extends = \"default\"` beside it, found none")
            }
            Self::OutOfRange { line, field, found, low, high } => {
                write!(f, "line {line}: {field}: expected a number from {low} to {high}, found {found}")
            }
            Self::VocabularyTwice { line, place } => write!(f, "line {line}: a second vocabulary of {place}"),
            Self::LevelTwice { line, place } => {
                write!(f, "line {line}: vocabulary of {place}: expected distinct levels, found one repeated")
            }
        }
    }
}

impl std::error::Error for FileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Feature { error, .. } => Some(error),
            Self::Resolve { error, .. } => Some(error),
            _ => None,
        }
    }
}

/// The proposed feature that is nearest to one that was to be removed, for a hint.
pub fn nearest_feature(line: &Line, proposed: &[Feature]) -> Option<String> {
    let texts: Vec<String> = proposed.iter().map(ToString::to_string).collect();
    nearest(&line.feature.to_string(), texts.iter().map(String::as_str)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Available, Column, Role};

    const FILE: &str = r#"extends = "default"
remove = ["night"]
features = [
  "count(order) by card over 24h",
  'count(refund_claim) by customer where reason = "damaged"',
]
exact_events = 1024

[network]
hub_limit = 10

[[vocabulary]]
place = "channel"
levels = ["app", "web\n\"x\""]
"#;

    fn features(texts: &[&str]) -> Vec<Feature> {
        texts.iter().map(|text| Feature::parse(text).unwrap()).collect()
    }

    #[test]
    fn reads_what_it_writes() {
        let file = FeatureFile::from_toml(FILE).unwrap();
        assert_eq!(file.features.iter().map(|line| line.line).collect::<Vec<_>>(), [4, 5]);
        assert_eq!((file.exact_events, file.hub_limit), (Some(1024), Some(10)));
        let text = file.to_toml();
        let again = FeatureFile::from_toml(&text).unwrap();
        assert_eq!(again.to_toml(), text);
        let without_lines = |file: &FeatureFile| {
            let features = |lines: &[Line]| lines.iter().map(|line| line.feature.clone()).collect::<Vec<_>>();
            (features(&file.remove), features(&file.features), file.vocabularies.clone())
        };
        assert_eq!(without_lines(&again), without_lines(&file));
        assert_eq!(FeatureFile::from_toml("").unwrap(), FeatureFile::default());
    }

    #[test]
    fn extends_what_is_proposed() {
        let file = FeatureFile::from_toml(FILE).unwrap();
        let vocabulary = |place: &str, level: &str| Vocabulary { place: place.into(), levels: vec![level.into()] };
        let proposed = FeatureSpec {
            features: features(&[
                "amount",
                "night",
                "category(channel)",
                "category(country)",
                "count(order) by card over 1d",
            ]),
            vocabularies: vec![vocabulary("channel", "shop"), vocabulary("country", "PL"), vocabulary("gone", "x")],
            ..FeatureSpec::default()
        };
        let (spec, not_there) = file.apply(&proposed);
        assert_eq!(
            spec.names(),
            [
                "amount",
                "category(channel)",
                "category(country)",
                "count(order) by card over 1d",
                "count(refund_claim) by customer where reason = \"damaged\""
            ]
        );
        assert_eq!(not_there, []);
        assert_eq!((spec.exact_events, spec.hub_limit), (1024, 10));
        // The file's own vocabulary goes first; those that no feature reads go.
        assert_eq!(
            spec.vocabularies.iter().map(|v| (v.place.as_str(), v.levels.len())).collect::<Vec<_>>(),
            [("channel", 2), ("country", 1)]
        );

        let again = FeatureFile::from_toml(&FeatureFile::from_spec(&spec).to_toml()).unwrap();
        assert_eq!(again.apply(&FeatureSpec::default()).0, spec);

        let (_, not_there) =
            file.apply(&FeatureSpec { features: features(&["weekend", "nigh(x)"][..1]), ..FeatureSpec::default() });
        assert_eq!(not_there, file.remove);
        let proposed = features(&["weekend", "count(order) by card over 1h"]);
        let line = Line { line: 1, feature: Feature::parse("count(order) by card over 1d").unwrap() };
        assert_eq!(nearest_feature(&line, &proposed).as_deref(), Some("count(order) by card over 1h"));
    }

    #[test]
    fn errors_name_the_line_and_the_character() {
        for (text, expected) in [
            (
                "features = [\n\"amount\",\n\"count(order) by card over 0d\"]",
                "line 3: expected a length of time from 1min to 90d, such as 7d\n  count(order) by card over 0d\n                            ^",
            ),
            ("features = ['amount',\n'hour', 'amount']", "line 2: the feature stands on line 1 already\n  amount"),
            (
                "feature = []",
                "line 1: unknown field `feature`, expected one of `extends`, `remove`, `features`, `exact_events`, `network`, `vocabulary`",
            ),
            ("\nextends = 'all'", "line 2: extends: expected \"default\", found \"all\""),
            ("remove = ['hour']", "line 1: remove: expected `extends = \"default\"` beside it, found none"),
            ("exact_events = 3", "line 1: exact_events: expected a number from 16 to 1048576, found 3"),
            ("[network]\nhub_limit = -1", "line 2: hub_limit: expected a number from 2 to 10000, found -1"),
            (
                "[[vocabulary]]\nplace = 'a'\nlevels = []\n[[vocabulary]]\nplace = '\"a\"'\nlevels = []",
                "line 5: a second vocabulary of a",
            ),
            (
                "[[vocabulary]]\nplace = 'a'\nlevels = ['x',\n'y', 'x']",
                "line 4: vocabulary of a: expected distinct levels, found one repeated",
            ),
            ("[[vocabulary]]\nplace = 'a b'\nlevels = []", "line 2: expected the end of the feature\n  a b\n    ^"),
        ] {
            assert_eq!(FeatureFile::from_toml(text).unwrap_err().to_string(), expected, "{text}");
        }
        assert!(matches!(FeatureFile::from_toml("features = ["), Err(FileError::Toml { line: Some(1), .. })));
    }

    #[test]
    fn names_that_do_not_fit_are_pointed_at() {
        let column = |name: &str, role| Column { name: name.into(), role, available: Available::Order, format: None };
        let schema = Schema {
            timezone: "UTC".into(),
            label_delay: crate::time::Span::days(7),
            amount_decimals: 2,
            columns: vec![column("time", Role::Time), column("card_no", Role::Card)],
        };
        let check = |text: &str| FeatureFile::from_toml(text).unwrap().check(&schema, TablesPresent::ALL);
        assert_eq!(check("features = ['count(order) by card']"), Ok(()));
        assert_eq!(
            check("features = ['count(order) by card_mo over 1d']").unwrap_err().to_string(),
            "line 1: the schema has no column of name or role \"card_mo\"; did you mean \"card_no\"?\n  \
             count(order) by card_mo over 1d\n                  ^"
        );
        assert_eq!(
            check("\nfeatures = ['cluster_size']").unwrap_err().to_string(),
            "line 2: the schema has no column of role customer\n  cluster_size"
        );
    }
}
