//! The feature specification: which features a model reads, each one line of text, and the levels of its categories.

use std::fmt;

pub use crate::language::spec::FeatureKind;
use crate::time::Span;

/// One feature of an order. The text form ([`fmt::Display`], [`Feature::parse`]) is also the feature's name.
///
/// History features name an *entity column*; they see events with `known_at < t` whose time lies in `[t - window, t)`.
/// Missing entity: NaN. Entity never seen: [`FIRST_SEEN`]. Seen, but nothing in the window: 0.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Feature {
    /// `amount`: the order's amount in major units.
    Amount,
    /// `number(COLUMN)`: a quantity as it was sent.
    Number(String),
    /// `category(COLUMN)`: the position of the level in the model's vocabulary, its length for rare and unseen levels.
    Category(String),
    /// `hour`: local hour of the day, 0 to 23.
    Hour,
    /// `weekday`: local day of the week, 0 = Monday to 6 = Sunday.
    Weekday,
    /// `night`: 1 when the local hour is 0 to 6, else 0 (the hours of the Fraud Detection Handbook, chapter 3).
    Night,
    /// `weekend`: 1 on Saturday and Sunday, else 0.
    Weekend,
    /// `since(COLUMN)`: seconds from another point in time, such as the sign-up, to the order; negative when it lies later.
    Since(String),
    /// `count(order) by COLUMN over WINDOW`: orders of the entity.
    Count {
        /// Entity column.
        entity: String,
        /// Window.
        window: Span,
    },
    /// `count(order) by COLUMN`: orders of the entity since it was first seen.
    CountAll {
        /// Entity column.
        entity: String,
    },
    /// `sum(amount) by COLUMN over WINDOW`: value of the entity's orders in this order's currency, in major units.
    Sum {
        /// Entity column.
        entity: String,
        /// Window.
        window: Span,
    },
    /// `ratio(amount) by COLUMN over WINDOW`: this order's amount divided by the mean amount of the entity's orders in
    /// the window, in this order's currency; 0 when there are none or their mean is not positive.
    Ratio {
        /// Entity column.
        entity: String,
        /// Window.
        window: Span,
    },
    /// `since_last(order) by COLUMN`: seconds since the entity's latest order.
    SinceLast {
        /// Entity column.
        entity: String,
    },
    /// `fraud_count by COLUMN over WINDOW`: orders of the entity resolved in the window and known as fraud.
    FraudCount {
        /// Entity column.
        entity: String,
        /// Window.
        window: Span,
    },
    /// `fraud_rate by COLUMN over WINDOW`: that count divided by the number of orders resolved in the window, 0 when there are none.
    FraudRate {
        /// Entity column.
        entity: String,
        /// Window.
        window: Span,
    },
}

/// The value of every history feature of an entity that was never seen before: no count, rate or age can take it.
///
/// (A window sum may be negative where a shop books negative orders; the entity's counts always tell the states apart.)
pub const FIRST_SEEN: f32 = -1.0;

/// The known levels of one category column, in code order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Vocabulary {
    /// The column.
    pub column: String,
    /// Level of code 0, 1, ... Only levels seen in at least 20 training orders; all others are one level, "rare".
    pub levels: Vec<String>,
}

/// What a model reads of an order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FeatureSpec {
    /// The features, in the order of the row.
    pub features: Vec<Feature>,
    /// One vocabulary for each column that a [`Feature::Category`] names.
    pub vocabularies: Vec<Vocabulary>,
}

impl FeatureSpec {
    /// Number of features, the length of a row.
    pub fn len(&self) -> usize {
        self.features.len()
    }

    /// Whether there is no feature.
    pub fn is_empty(&self) -> bool {
        self.features.is_empty()
    }

    /// The kind of each feature.
    pub fn kinds(&self) -> Vec<FeatureKind> {
        self.features
            .iter()
            .map(|feature| match feature {
                Feature::Category(column) => {
                    FeatureKind::Categorical { n_levels: self.vocabulary(column).map_or(0, |v| v.levels.len() as u32) }
                }
                _ => FeatureKind::Numeric,
            })
            .collect()
    }

    /// The names of the features.
    pub fn names(&self) -> Vec<String> {
        self.features.iter().map(ToString::to_string).collect()
    }

    /// The vocabulary of a category column.
    pub fn vocabulary(&self, column: &str) -> Option<&Vocabulary> {
        self.vocabularies.iter().find(|v| v.column == column)
    }

    /// Whether any feature needs entity history.
    pub fn uses_history(&self) -> bool {
        self.features.iter().any(|f| f.entity().is_some())
    }
}

/// A column name as it stands in a feature's text: bare when it is a plain word, else quoted.
fn quoted(name: &str) -> String {
    let plain =
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.' || b == b'-');
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\"")) }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Amount => f.write_str("amount"),
            Self::Number(column) => write!(f, "number({})", quoted(column)),
            Self::Category(column) => write!(f, "category({})", quoted(column)),
            Self::Hour => f.write_str("hour"),
            Self::Weekday => f.write_str("weekday"),
            Self::Night => f.write_str("night"),
            Self::Weekend => f.write_str("weekend"),
            Self::Since(column) => write!(f, "since({})", quoted(column)),
            Self::Count { entity, window } => write!(f, "count(order) by {} over {window}", quoted(entity)),
            Self::CountAll { entity } => write!(f, "count(order) by {}", quoted(entity)),
            Self::Sum { entity, window } => write!(f, "sum(amount) by {} over {window}", quoted(entity)),
            Self::Ratio { entity, window } => write!(f, "ratio(amount) by {} over {window}", quoted(entity)),
            Self::SinceLast { entity } => write!(f, "since_last(order) by {}", quoted(entity)),
            Self::FraudCount { entity, window } => write!(f, "fraud_count by {} over {window}", quoted(entity)),
            Self::FraudRate { entity, window } => write!(f, "fraud_rate by {} over {window}", quoted(entity)),
        }
    }
}

/// A feature text that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureError {
    /// Byte offset of the first character that does not fit.
    pub at: usize,
    /// What was expected there.
    pub expected: &'static str,
    /// The text.
    pub text: String,
}

impl fmt::Display for FeatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "feature {:?}, character {}: expected {}",
            self.text,
            self.text[..self.at].chars().count() + 1,
            self.expected
        )
    }
}

impl std::error::Error for FeatureError {}

/// Reads one feature text from left to right.
struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn refuse<T>(&self, expected: &'static str) -> Result<T, FeatureError> {
        Err(FeatureError { at: self.at.min(self.text.len()), expected, text: self.text.to_owned() })
    }

    fn skip_space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    fn eat(&mut self, token: &str) -> bool {
        self.skip_space();
        let found = self.text[self.at..].starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn word(&mut self, expected: &'static str) -> Result<String, FeatureError> {
        self.skip_space();
        let rest = &self.text[self.at..];
        if let Some(inner) = rest.strip_prefix('"') {
            let mut name = String::new();
            let mut chars = inner.char_indices();
            while let Some((i, c)) = chars.next() {
                match c {
                    '"' => {
                        self.at += 1 + i + 1;
                        return Ok(name);
                    }
                    '\\' => match chars.next() {
                        Some((_, c)) => name.push(c),
                        None => break,
                    },
                    c => name.push(c),
                }
            }
            self.at = self.text.len();
            return self.refuse("a closing quote");
        }
        let len = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-')).count();
        if len == 0 {
            return self.refuse(expected);
        }
        self.at += len;
        Ok(rest[..len].to_owned())
    }

    fn expect(&mut self, token: &str, expected: &'static str) -> Result<(), FeatureError> {
        if self.eat(token) { Ok(()) } else { self.refuse(expected) }
    }

    fn by(&mut self) -> Result<String, FeatureError> {
        self.expect("by ", "`by` and an entity column")?;
        self.word("an entity column")
    }

    fn over(&mut self) -> Result<Span, FeatureError> {
        self.expect("over ", "`over` and a window such as 24h")?;
        self.skip_space();
        let start = self.at;
        let word = self.word("a window such as 24h")?;
        match Span::parse(&word) {
            Ok(span) if span >= Span::MINUTE && span <= Span::days(3_650) => Ok(span),
            _ => {
                self.at = start;
                self.refuse("a window between 1min and 3650d")
            }
        }
    }
}

impl Feature {
    /// The entity column whose history this feature reads.
    pub fn entity(&self) -> Option<&str> {
        match self {
            Self::Count { entity, .. }
            | Self::CountAll { entity }
            | Self::Sum { entity, .. }
            | Self::Ratio { entity, .. }
            | Self::SinceLast { entity }
            | Self::FraudCount { entity, .. }
            | Self::FraudRate { entity, .. } => Some(entity),
            _ => None,
        }
    }

    /// The window of a windowed feature.
    pub fn window(&self) -> Option<Span> {
        match self {
            Self::Count { window, .. }
            | Self::Sum { window, .. }
            | Self::Ratio { window, .. }
            | Self::FraudCount { window, .. }
            | Self::FraudRate { window, .. } => Some(*window),
            _ => None,
        }
    }

    /// The column that the feature reads from the order itself, or counts over.
    pub fn column(&self) -> Option<&str> {
        match self {
            Self::Number(column) | Self::Category(column) | Self::Since(column) => Some(column),
            _ => self.entity(),
        }
    }

    /// Reads the text form.
    ///
    /// ```
    /// use orderguard_features::spec::Feature;
    /// let feature = Feature::parse("count(order) by card over 1d").unwrap();
    /// assert_eq!(feature.to_string(), "count(order) by card over 1d");
    /// assert_eq!(Feature::parse("count(order) for card").unwrap_err().at, 13);
    /// ```
    pub fn parse(text: &str) -> Result<Self, FeatureError> {
        let mut p = Parser { text, at: 0 };
        let head = p.word("a feature such as `count(order) by customer over 7d`")?;
        let feature = match head.as_str() {
            "amount" => Self::Amount,
            "hour" => Self::Hour,
            "weekday" => Self::Weekday,
            "night" => Self::Night,
            "weekend" => Self::Weekend,
            "number" | "category" | "since" => {
                p.expect("(", "`(` and a column")?;
                let column = p.word("a column")?;
                p.expect(")", "`)`")?;
                match head.as_str() {
                    "number" => Self::Number(column),
                    "category" => Self::Category(column),
                    _ => Self::Since(column),
                }
            }
            "count" => {
                p.expect("(order)", "`(order)`")?;
                let entity = p.by()?;
                p.skip_space();
                if p.at == text.len() { Self::CountAll { entity } } else { Self::Count { entity, window: p.over()? } }
            }
            "since_last" => {
                p.expect("(order)", "`(order)`")?;
                Self::SinceLast { entity: p.by()? }
            }
            "sum" => {
                p.expect("(amount)", "`(amount)`")?;
                Self::Sum { entity: p.by()?, window: p.over()? }
            }
            "ratio" => {
                p.expect("(amount)", "`(amount)`")?;
                Self::Ratio { entity: p.by()?, window: p.over()? }
            }
            "fraud_count" => Self::FraudCount { entity: p.by()?, window: p.over()? },
            "fraud_rate" => Self::FraudRate { entity: p.by()?, window: p.over()? },
            _ => {
                p.at = 0;
                return p.refuse(
                    "one of amount, number, category, hour, weekday, night, weekend, since, count, sum, ratio, since_last, fraud_count, fraud_rate",
                );
            }
        };
        p.skip_space();
        if p.at == text.len() { Ok(feature) } else { p.refuse("the end of the feature") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_reads_back() {
        let e = || "card no \"1\"".to_owned();
        let w = Span::days(7);
        for feature in [
            Feature::Amount,
            Feature::Number(e()),
            Feature::Category("a.b".into()),
            Feature::Hour,
            Feature::Weekday,
            Feature::Night,
            Feature::Weekend,
            Feature::Since("sign_up".into()),
            Feature::Count { entity: e(), window: w },
            Feature::CountAll { entity: e() },
            Feature::Sum { entity: e(), window: w },
            Feature::Ratio { entity: "x\\y".into(), window: w },
            Feature::SinceLast { entity: e() },
            Feature::FraudCount { entity: e(), window: w },
            Feature::FraudRate { entity: "émail".into(), window: Span::HOUR },
        ] {
            assert_eq!(Feature::parse(&feature.to_string()).unwrap(), feature);
        }
    }

    #[test]
    fn errors_point_at_the_character() {
        for (text, at) in [
            ("", 0),
            ("median(amount) by card", 0),
            ("count(orders) by card over 1d", 5),
            ("count(order) by card over", 21),
            ("count(order) by card over 0d", 26),
            ("count(order) by card over 10y", 26),
            ("sum(amount) by card over 1d twice", 28),
            ("number(\"x", 9),
        ] {
            assert_eq!(Feature::parse(text).unwrap_err().at, at, "{text}");
        }
    }
}
