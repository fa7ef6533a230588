//! What a model reads of an order: features, the levels of their categories, and the limits of history.

use std::collections::HashSet;
use std::fmt;

use super::feature::{Feature, Place};
use super::resolve::{self, NeededTable, ResolveError, TablesPresent};
use crate::own::tables::Tables;
use crate::schema::Schema;

/// How many of an entity's newest events are remembered exactly, unless the specification says otherwise.
pub const DEFAULT_EXACT_EVENTS: u32 = 4_096;
/// The range of `exact_events`.
pub const EXACT_EVENTS: std::ops::RangeInclusive<u32> = 16..=1_048_576;
/// How many accounts a shared thing may link, unless the specification says otherwise.
pub const DEFAULT_HUB_LIMIT: u32 = 20;
/// The range of `hub_limit`.
pub const HUB_LIMIT: std::ops::RangeInclusive<u32> = 2..=10_000;
/// The most features of one specification.
pub const MAX_FEATURES: usize = 65_536;

/// How a feature's numbers are to be understood by a learner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FeatureKind {
    /// An ordered quantity.
    Numeric,
    /// Whole numbers `0..n_levels` for known levels and `n_levels` for rare and unseen ones; NaN for missing.
    Categorical {
        /// Number of known levels.
        n_levels: u32,
    },
}

/// The known levels of one category, in code order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Vocabulary {
    /// The text of the place that `category(..)` names: a column such as `channel`, or `ip.country`.
    pub place: String,
    /// Level of code 0, 1, ... Only levels seen in at least 20 training orders; all others are one level, "rare".
    pub levels: Vec<String>,
}

/// A table of the shop's own that the features were made with, so that another one is noticed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TableRef {
    /// Which table: `geo`, `bins`, `free_domains`, `disposable_domains`.
    pub name: String,
    /// Hash of its content.
    pub hash: u64,
}

/// What a model reads of an order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FeatureSpec {
    /// The features, in the order of the row.
    pub features: Vec<Feature>,
    /// One vocabulary for each place that a [`Feature::Category`] names.
    pub vocabularies: Vec<Vocabulary>,
    /// How many of an entity's newest events are remembered exactly; older ones only in sums over spans of time.
    pub exact_events: u32,
    /// A thing shared by more accounts than this (an office's network) links none of them.
    pub hub_limit: u32,
    /// The tables that the features need, by name.
    pub tables: Vec<TableRef>,
}

impl Default for FeatureSpec {
    fn default() -> Self {
        Self {
            features: Vec::new(),
            vocabularies: Vec::new(),
            exact_events: DEFAULT_EXACT_EVENTS,
            hub_limit: DEFAULT_HUB_LIMIT,
            tables: Vec::new(),
        }
    }
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
        let kind = |feature: &Feature| match feature {
            Feature::Category(place) => {
                FeatureKind::Categorical { n_levels: self.vocabulary(place).map_or(0, |v| v.levels.len() as u32) }
            }
            _ => FeatureKind::Numeric,
        };
        self.features.iter().map(kind).collect()
    }

    /// The names of the features.
    pub fn names(&self) -> Vec<String> {
        self.features.iter().map(ToString::to_string).collect()
    }

    /// The vocabulary of a category.
    pub fn vocabulary(&self, place: &Place) -> Option<&Vocabulary> {
        let text = place.to_string();
        self.vocabularies.iter().find(|v| v.place == text)
    }

    /// Whether any feature needs the history of an entity.
    pub fn uses_history(&self) -> bool {
        self.features.iter().any(|feature| matches!(feature, Feature::History(_)))
    }

    /// Whether any feature needs the network of accounts.
    pub fn uses_network(&self) -> bool {
        self.features.iter().any(|feature| matches!(feature, Feature::Network(_)))
    }

    /// Whether any row depends on other events than its own order.
    pub fn uses_state(&self) -> bool {
        self.uses_history() || self.uses_network()
    }

    /// Notes the editions of the tables that the features need, in the order of [`TableKind::ALL`](crate::own::tables::TableKind).
    pub fn note_tables(&mut self, schema: &Schema, tables: &Tables) {
        let needed = resolve::needed_tables(schema, &self.features).into_iter().map(NeededTable::kind);
        let noted = needed.filter_map(|kind| Some(TableRef { name: kind.name().into(), hash: tables.hash(kind)? }));
        self.tables = noted.collect();
    }

    /// Checks that every feature stands once and fits the schema and tables, that every category has one vocabulary of
    /// distinct levels, and that the limits are in range.
    pub fn check(&self, schema: &Schema, tables: TablesPresent) -> Result<(), SpecError> {
        self.check_limits()?;
        let mut seen = HashSet::with_capacity(self.len());
        for (index, feature) in self.features.iter().enumerate() {
            let text = || feature.to_string();
            if !seen.insert(feature) {
                return Err(SpecError::FeatureTwice { index, feature: text() });
            }
            resolve::columns(schema, tables, feature).map_err(|error| SpecError::Resolve {
                index,
                feature: text(),
                error,
            })?;
            if let Feature::Category(place) = feature
                && self.vocabulary(place).is_none()
            {
                return Err(SpecError::VocabularyMissing { place: place.to_string() });
            }
        }
        Ok(())
    }

    /// Checks all that needs no schema but the single occurrence of features.
    fn check_limits(&self) -> Result<(), SpecError> {
        if self.len() > MAX_FEATURES {
            return Err(SpecError::TooManyFeatures { found: self.len() });
        }
        if !EXACT_EVENTS.contains(&self.exact_events) {
            return Err(SpecError::ExactEvents { found: self.exact_events });
        }
        if !HUB_LIMIT.contains(&self.hub_limit) {
            return Err(SpecError::HubLimit { found: self.hub_limit });
        }
        let mut places = HashSet::with_capacity(self.vocabularies.len());
        for vocabulary in &self.vocabularies {
            let mut levels = HashSet::with_capacity(vocabulary.levels.len());
            if !places.insert(&vocabulary.place) || !vocabulary.levels.iter().all(|level| levels.insert(level)) {
                return Err(SpecError::VocabularyRepeats { place: vocabulary.place.clone() });
            }
        }
        Ok(())
    }
}

/// A specification that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpecError {
    /// A feature does not fit the schema or the tables.
    Resolve {
        /// Position of the feature.
        index: usize,
        /// Its text.
        feature: String,
        /// What does not fit.
        error: ResolveError,
    },
    /// A feature stands twice.
    FeatureTwice {
        /// Position of the second.
        index: usize,
        /// Its text.
        feature: String,
    },
    /// More than [`MAX_FEATURES`].
    TooManyFeatures {
        /// Their number.
        found: usize,
    },
    /// A category feature has no vocabulary.
    VocabularyMissing {
        /// What `category(..)` names.
        place: String,
    },
    /// A category has two vocabularies, or one with two equal levels.
    VocabularyRepeats {
        /// What the vocabulary is of.
        place: String,
    },
    /// `exact_events` is out of [`EXACT_EVENTS`].
    ExactEvents {
        /// The number found.
        found: u32,
    },
    /// `hub_limit` is out of [`HUB_LIMIT`].
    HubLimit {
        /// The number found.
        found: u32,
    },
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let range = |r: &std::ops::RangeInclusive<u32>| format!("a number from {} to {}", r.start(), r.end());
        match self {
            Self::Resolve { feature, error, .. } => write!(f, "feature `{feature}`: {error}"),
            Self::FeatureTwice { feature, .. } => write!(f, "feature `{feature}` stands twice"),
            Self::TooManyFeatures { found } => {
                write!(f, "features: expected at most {MAX_FEATURES}, found {found}")
            }
            Self::VocabularyMissing { place } => {
                write!(f, "category {place}: expected a vocabulary, found none")
            }
            Self::VocabularyRepeats { place } => {
                write!(f, "category {place}: expected one vocabulary of distinct levels, found one of them repeated")
            }
            Self::ExactEvents { found } => {
                write!(f, "exact_events: expected {}, found {found}", range(&EXACT_EVENTS))
            }
            Self::HubLimit { found } => write!(f, "hub_limit: expected {}, found {found}", range(&HUB_LIMIT)),
        }
    }
}

impl std::error::Error for SpecError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Resolve { error, .. } => Some(error),
            _ => None,
        }
    }
}
