//! Reasons in words: what speaks against an order, or for it, with numbers from the order.
//!
//! Contributions of features ([`ModelExplainer`]) that say the same thing, such as the orders of a device in an hour and in a day, are
//! one reason: their sum counts, and the feature with the largest part is put into words. The words are patterns
//! ([`pattern`]) in English and Polish that stand in the model file and can be edited.

mod english;
mod groups;
pub mod pattern;
mod polish;

use orderguard_features::language::feature::{Feature, is_first_seen};
use orderguard_features::language::spec::FeatureSpec;
use orderguard_features::schema::Schema;

use crate::error::{ModelError, ScoreError};
use crate::explain::{ExplainScratch, ModelExplainer};
use crate::model::{FeatureReference, Model};
use groups::Unit;
pub(crate) use groups::may_be_first_seen;
use pattern::{Filling, PatternError};

/// In which language reasons are given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// Polish.
    Polish,
}

/// The words for one feature in one language; see [`pattern`] for what may stand in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pattern {
    /// For a value, of yes-or-no features for yes.
    pub text: String,
    /// For the no of yes-or-no features.
    pub no: String,
    /// For an entity that is seen for the first time.
    pub first_seen: String,
    /// For a missing value.
    pub missing: String,
}

/// The words for one feature.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeatureTexts {
    /// Position in [`ReasonTexts::groups`].
    pub group: u32,
    /// In English.
    pub english: Pattern,
    /// In Polish.
    pub polish: Pattern,
}

/// The reasons that a model knows. Empty, or one entry per feature in the order of the row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReasonTexts {
    /// Names of the reasons.
    pub groups: Vec<String>,
    /// Words and group of each feature.
    pub features: Vec<FeatureTexts>,
}

/// Longest text of a pattern or name of a group, in bytes.
pub const MAX_TEXT: usize = 1_000;

impl ReasonTexts {
    /// The words that are proposed for the features of a specification. Depends on nothing but its arguments.
    pub fn proposed(schema: &Schema, spec: &FeatureSpec) -> Self {
        let mut texts = Self::default();
        for feature in &spec.features {
            let name = groups::group(schema, feature);
            let known = texts.groups.iter().position(|group| *group == name);
            let group = known.unwrap_or_else(|| {
                texts.groups.push(name);
                texts.groups.len() - 1
            });
            texts.features.push(FeatureTexts {
                group: group as u32,
                english: english::pattern(schema, feature),
                polish: polish::pattern(schema, feature),
            });
        }
        texts
    }

    /// Checks that there is nothing or one entry per feature, that groups exist, and that every pattern can be filled.
    pub fn check(&self, n_features: usize) -> Result<(), ModelError> {
        if self.features.is_empty() && self.groups.is_empty() {
            return Ok(());
        }
        if self.features.len() != n_features {
            let (found, expected) = (self.features.len() as u64, n_features as u64);
            return Err(ModelError::Length { of: "reasons".into(), found, expected });
        }
        let refuse = |feature: usize, error| ModelError::Pattern { feature: feature as u32, error };
        for group in &self.groups {
            if group.is_empty() || group.len() > MAX_TEXT {
                return Err(refuse(0, PatternError::Length { found: group.len() }));
            }
        }
        for (i, texts) in self.features.iter().enumerate() {
            if texts.group as usize >= self.groups.len() {
                let (found, limit) = (u64::from(texts.group), self.groups.len() as u64);
                return Err(ModelError::Count { of: "reason of a feature", found, limit });
            }
            for pattern in [&texts.english, &texts.polish] {
                for text in [&pattern.text, &pattern.no, &pattern.first_seen, &pattern.missing] {
                    pattern::check(text).map_err(|error| refuse(i, error))?;
                }
            }
        }
        Ok(())
    }
}

/// One reason: features that say the same thing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reason {
    /// Position in [`Reasoner::groups`].
    pub group: u32,
    /// The feature whose part is the largest; the one that is put into words.
    pub feature: u32,
    /// What all features of the group add to the raw score, in log-odds.
    pub log_odds: f64,
    /// What they add to the calibrated probability, by the rule of [`ModelExplainer::probability_per_log_odds`].
    pub probability: f64,
}

/// A model ready to give reasons. Immutable, `Send + Sync`.
#[derive(Clone, Debug)]
pub struct Reasoner {
    explainer: ModelExplainer,
    texts: ReasonTexts,
    units: Vec<Unit>,
    /// Whether -1 means of a feature that its entity was never seen before.
    may_be_first_seen: Vec<bool>,
    reference: Vec<FeatureReference>,
    levels: Vec<Vec<String>>,
}

/// Memory that is used again for each order: one per thread.
#[derive(Clone, Debug, Default)]
pub struct ReasonScratch {
    explain: ExplainScratch,
    parts: Vec<f64>,
    reasons: Vec<Reason>,
}

impl ReasonScratch {
    /// What each feature added to the raw score of the row that was explained last, in log-odds.
    pub fn parts(&self) -> &[f64] {
        &self.parts
    }
}

impl Reasoner {
    /// Lays out a model; where it holds no patterns, the proposed ones are taken.
    ///
    /// # Errors
    /// As [`ModelExplainer::compile`].
    pub fn compile(model: &Model) -> Result<Self, ModelError> {
        let explainer = ModelExplainer::compile(model)?;
        let texts = if model.reasons.features.is_empty() {
            ReasonTexts::proposed(&model.schema, &model.spec)
        } else {
            model.reasons.clone()
        };
        let levels = |feature: &Feature| match feature {
            Feature::Category(place) => model.spec.vocabulary(place).map(|found| found.levels.clone()),
            _ => None,
        };
        Ok(Self {
            explainer,
            texts,
            units: model.spec.features.iter().map(groups::unit).collect(),
            may_be_first_seen: model.spec.features.iter().map(groups::may_be_first_seen).collect(),
            reference: model.reference.clone(),
            levels: model.spec.features.iter().map(|feature| levels(feature).unwrap_or_default()).collect(),
        })
    }

    /// Names of the reasons.
    pub fn groups(&self) -> &[String] {
        &self.texts.groups
    }

    /// The exact contributions behind the reasons.
    pub fn explainer(&self) -> &ModelExplainer {
        &self.explainer
    }

    /// All reasons of a row that change its score, those that speak most against the order first; equal ones in the order of
    /// [`Self::groups`]. `raw_score` is the row's. Allocates nothing once `scratch` has been used with this model.
    pub fn reasons<'a>(
        &self,
        row: &[f32],
        raw_score: f64,
        scratch: &'a mut ReasonScratch,
    ) -> Result<&'a [Reason], ScoreError> {
        scratch.parts.resize(self.explainer.n_features(), 0.0);
        self.explainer.explain(row, &mut scratch.explain, &mut scratch.parts)?;
        let per_log_odds = self.explainer.probability_per_log_odds(raw_score);
        let none = |group| Reason { group, feature: u32::MAX, log_odds: 0.0, probability: 0.0 };
        scratch.reasons.clear();
        scratch.reasons.extend((0..self.texts.groups.len() as u32).map(none));
        for (feature, (&part, texts)) in scratch.parts.iter().zip(&self.texts.features).enumerate() {
            if part != 0.0 {
                let reason = &mut scratch.reasons[texts.group as usize];
                reason.log_odds += part;
                reason.feature = reason.feature.min(feature as u32);
            }
        }
        // Of each group the feature that pulls most to the group's own side.
        for (feature, (&part, texts)) in scratch.parts.iter().zip(&self.texts.features).enumerate() {
            let reason = &mut scratch.reasons[texts.group as usize];
            let side = if reason.log_odds < 0.0 { -1.0 } else { 1.0 };
            if part != 0.0 && part * side > scratch.parts[reason.feature as usize] * side {
                reason.feature = feature as u32;
            }
        }
        scratch.reasons.retain(|reason| reason.feature != u32::MAX);
        for reason in &mut scratch.reasons {
            reason.probability = reason.log_odds * per_log_odds;
        }
        scratch.reasons.sort_unstable_by(|a, b| b.log_odds.total_cmp(&a.log_odds).then(a.group.cmp(&b.group)));
        Ok(&scratch.reasons)
    }

    /// Appends the words of a reason to `out`. `row` is the row that was explained.
    pub fn write(&self, reason: &Reason, row: &[f32], language: Language, out: &mut String) {
        let at = reason.feature as usize;
        let (Some(texts), Some(&x)) = (self.texts.features.get(at), row.get(at)) else { return };
        let pattern = match language {
            Language::English => &texts.english,
            Language::Polish => &texts.polish,
        };
        let unit = self.units[at];
        let is_no = unit == Unit::Flag && x == 0.0;
        let may_be_first_seen = self.may_be_first_seen[at];
        let is_first = may_be_first_seen && is_first_seen(x);
        let text = match (x.is_nan(), is_first, is_no) {
            (true, ..) => &pattern.missing,
            (_, true, _) if !pattern.first_seen.is_empty() => &pattern.first_seen,
            (.., true) => &pattern.no,
            _ => &pattern.text,
        };
        let (levels, reference) = (&self.levels[at], self.reference.get(at));
        let filling = Filling { x, unit, may_be_first_seen, language, levels, reference };
        pattern::fill(text, &filling, out);
    }

    /// The words of a reason.
    pub fn text(&self, reason: &Reason, row: &[f32], language: Language) -> String {
        let mut out = String::new();
        self.write(reason, row, language, &mut out);
        out
    }
}
