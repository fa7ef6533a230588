//! The default features: what a model reads when nobody wrote a specification, generated from the schema's roles and from
//! what occurs in the data. What is switched off is listed with the reason.

use std::borrow::Cow;
use std::collections::HashSet;

use super::families::{
    ALWAYS, EVENT_LEVELS, EVENT_LEVELS_WHAT, EVENT_NUMBERS, FEW_ENTITIES, FEW_EXTRAS, Family, MANY_ENTITIES,
    MANY_LEVELS_OF_A_CATEGORY, MORE_OF_A_ROLE,
};
use super::feature::{Aggregate, Condition, Feature, History, Place, Value, ValueOf};
use super::observed::Observed;
use super::resolve::{self, NeededTable, ResolveError, TablesPresent};
use super::spec::FeatureSpec;
use super::text::Quoted;
use super::vocabulary::{self, LevelOf};
use crate::kind::EventKind;
use crate::schema::{Available, Role, Schema};
use crate::table::OrderTable;

/// With at most this many entity columns, each gets all features of an entity.
pub const FEW: usize = 3;
/// An entity column with fewer different values than this, each in many orders, is no entity but a category.
pub const MIN_ENTITY_VALUES: usize = 20;
/// A category of more levels also enters as its history: the share of fraud that was known of the order's level. Trees and
/// weights learn little about single levels of so many.
pub const MANY_LEVELS: usize = 32;
/// From this many orders per value on.
const MANY_ORDERS_PER_VALUE: usize = 50;

/// The default features, and what is not among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// The features, own ones first.
    pub features: Vec<Feature>,
    /// What was switched off.
    pub off: Vec<Off>,
}

/// Features that are switched off for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Off {
    /// What they are for, in words.
    pub what: String,
    /// Why they are off: `no column of role device`.
    pub why: String,
    /// What would switch them on: `a column of role device`.
    pub needs: String,
    /// What they would look like, with names of roles for columns.
    pub features: Vec<String>,
}

/// The default specification: the catalogue with the vocabularies of its categories, learned from the rows of `table` in
/// `fit_rows`. A category without a frequent level is left out.
pub fn default_spec(
    schema: &Schema,
    tables: TablesPresent,
    observed: &Observed,
    table: &OrderTable,
    fit_rows: &[u32],
    level_of: &LevelOf<'_>,
) -> (FeatureSpec, Vec<Off>) {
    let Catalogue { features, mut off } = catalogue(schema, tables, observed);
    let mut spec = FeatureSpec { features, ..FeatureSpec::default() };
    let mut empty: Vec<Place> = Vec::new();
    for place in vocabulary::places(&spec.features) {
        match vocabulary::learn(schema, tables, place, table, fit_rows, level_of) {
            Ok(vocabulary) if !vocabulary.levels.is_empty() => spec.vocabularies.push(vocabulary),
            _ => empty.push(place.clone()),
        }
    }
    spec.features.retain(|feature| !matches!(feature, Feature::Category(place) if empty.contains(place)));
    off.extend(empty.into_iter().map(|place| Off {
        what: format!("levels of {place}"),
        why: format!("no level is seen in {} orders of the training part", vocabulary::MIN_LEVEL_ORDERS),
        needs: "levels that come again".into(),
        features: vec![Feature::Category(place).to_string()],
    }));
    (spec, off)
}

/// The default features of a schema, in the light of what occurs in the data.
///
/// The order of columns decides the order of features; the order of rows decides nothing.
pub fn catalogue(schema: &Schema, tables: TablesPresent, observed: &Observed) -> Catalogue {
    let mut builder = Builder { schema, tables, observed, out: Catalogue::default(), seen: HashSet::new() };
    builder.own_columns();
    let entities = builder.entities();
    if entities.len() <= FEW {
        builder.each(&FEW_ENTITIES, &entities);
        builder.family(&FEW_EXTRAS);
    } else {
        for family in &MANY_ENTITIES {
            builder.family(family);
        }
        let is_first = |column: &usize| schema.find(schema.columns[*column].role) == Some(*column);
        let more: Vec<usize> = entities.into_iter().filter(|column| !is_first(column)).collect();
        builder.each(&MORE_OF_A_ROLE, &more);
    }
    for family in &ALWAYS {
        builder.family(family);
    }
    builder.event_columns();
    builder.out
}

/// Why a template gave no feature.
struct Missing {
    why: String,
    needs: String,
}

impl Missing {
    fn role(words: &str) -> Self {
        Self { why: format!("no column {words}"), needs: format!("a column {words}") }
    }
}

impl From<ResolveError> for Missing {
    fn from(error: ResolveError) -> Self {
        match error {
            ResolveError::RoleMissing { needs, .. } => Self::role(needs),
            ResolveError::TableMissing { table, .. } => {
                Self { why: format!("{} was not given", named(table)), needs: table.to_string() }
            }
            ResolveError::KnownLater { name } => Self {
                why: format!("column {name:?} is known only after the order"),
                needs: format!("{name:?} at the time of the order"),
            },
            other => Self { why: other.to_string(), needs: "another role of that column".into() },
        }
    }
}

fn named(table: NeededTable) -> &'static str {
    match table {
        NeededTable::Geo => "a MaxMind database",
        NeededTable::Bins => "a BIN table",
        NeededTable::FreeDomains => "a list of free e-mail providers",
        NeededTable::DisposableDomains => "a list of throw-away e-mail providers",
    }
}

struct Builder<'a> {
    schema: &'a Schema,
    tables: TablesPresent,
    observed: &'a Observed,
    out: Catalogue,
    seen: HashSet<Feature>,
}

impl Builder<'_> {
    /// The values of the order itself.
    fn own_columns(&mut self) {
        self.family(&Family { what: "the order's amount", templates: &["amount"] });
        for (index, column) in self.schema.columns.iter().enumerate() {
            if column.available == Available::Later || !self.observed.is_filled(EventKind::Order, index) {
                continue;
            }
            let name = column.name.clone();
            let feature = match column.role {
                Role::Number => Feature::Number(name),
                Role::Timestamp => Feature::Since(name),
                // Regions have too many levels to learn from few frauds; other countries are compared with this one. Coupons
                // that many use are kinds of a discount.
                Role::Category | Role::Currency | Role::BillingCountry | Role::Coupon => {
                    Feature::Category(Place::Column(name))
                }
                _ => continue,
            };
            if resolve::columns(self.schema, self.tables, &feature).is_ok() {
                self.push(feature);
            }
            let n_levels = self.observed.column(EventKind::Order, index).map_or(0, |seen| seen.n_distinct);
            if column.role == Role::Category && n_levels > MANY_LEVELS {
                for template in MANY_LEVELS_OF_A_CATEGORY.templates {
                    self.add(MANY_LEVELS_OF_A_CATEGORY.what, template, Some(index), None);
                }
            }
        }
    }

    /// Entity columns whose values come often enough in little enough orders to have a history.
    fn entities(&mut self) -> Vec<usize> {
        let mut entities = Vec::new();
        for column in self.schema.entity_columns() {
            let Some(seen) = self.observed.column(EventKind::Order, column).filter(|seen| seen.n_filled > 0) else {
                continue;
            };
            let name = &self.schema.columns[column].name;
            if !self.is_category_in_disguise(column) {
                entities.push(column);
            } else if self.schema.columns[column].role != Role::Coupon {
                // A coupon that is handed out to everybody tells something together with another entity; others nothing.
                self.out.off.push(Off {
                    what: "history of single values".into(),
                    why: format!("column {name:?} has only {} different values", seen.n_distinct),
                    needs: "the role category, which it seems to be".into(),
                    features: Vec::new(),
                });
            }
        }
        entities
    }

    fn is_category_in_disguise(&self, column: usize) -> bool {
        let seen = self.observed.column(EventKind::Order, column);
        seen.is_some_and(|seen| {
            seen.n_distinct > 0
                && seen.n_distinct < MIN_ENTITY_VALUES
                && seen.n_filled >= MANY_ORDERS_PER_VALUE * seen.n_distinct
        })
    }

    fn family(&mut self, family: &Family) {
        for template in family.templates {
            self.add(family.what, template, None, None);
        }
    }

    fn each(&mut self, family: &Family, entities: &[usize]) {
        for &entity in entities {
            for template in family.templates {
                self.add(family.what, template, Some(entity), None);
            }
        }
    }

    /// Columns that events have and orders have not.
    fn event_columns(&mut self) {
        let of_events = |kind: EventKind, role: Role| {
            let is_own = |column: &usize| {
                self.schema.columns[*column].role == role
                    && self.observed.is_filled(kind, *column)
                    && !self.observed.is_filled(EventKind::Order, *column)
            };
            (0..self.schema.columns.len()).filter(is_own).collect::<Vec<usize>>()
        };
        let mut levels: Vec<(&str, usize, String)> = Vec::new();
        for (template, most) in EVENT_LEVELS {
            let kind = kind_of(template);
            for column in of_events(kind, Role::Category) {
                let seen = self.observed.column(kind, column).map_or(&[][..], |seen| &seen.levels);
                // Of two levels one says it all, and of yes and no the rarer one.
                let take = if seen.len() == 2 { &seen[1..] } else { &seen[..seen.len().min(most)] };
                levels.extend(take.iter().map(|level| (template, column, level.clone())));
            }
        }
        let numbers: Vec<(&str, usize)> = EVENT_NUMBERS
            .templates
            .iter()
            .flat_map(|template| {
                of_events(kind_of(template), Role::Number).into_iter().map(|column| (*template, column))
            })
            .collect();
        if levels.is_empty() {
            let templates: Vec<&str> = EVENT_LEVELS.iter().map(|(template, _)| *template).collect();
            self.no_event_column(EVENT_LEVELS_WHAT, Role::Category, "reason or topic", &templates);
        }
        if numbers.is_empty() {
            self.no_event_column(EVENT_NUMBERS.what, Role::Number, "mark or proof", EVENT_NUMBERS.templates);
        }
        for (template, column, level) in levels {
            self.add(EVENT_LEVELS_WHAT, template, Some(column), Some(&level));
        }
        for (template, column) in numbers {
            self.add(EVENT_NUMBERS.what, template, Some(column), None);
        }
    }

    fn no_event_column(&mut self, what: &str, role: Role, such_as: &str, templates: &[&str]) {
        self.out.off.push(Off {
            what: what.into(),
            why: format!("no column of role {role} is filled on such events and empty on orders"),
            needs: format!("such a column, for example {such_as}"),
            features: templates.iter().map(|template| plain(template)).collect(),
        });
    }

    fn add(&mut self, what: &str, template: &str, entity: Option<usize>, level: Option<&str>) {
        match self.fill(template, entity, level).and_then(|feature| self.check(&feature).map(|()| feature)) {
            Ok(feature) => self.push(feature),
            Err(Missing { why, needs }) => {
                let text = plain(template);
                let same = |off: &&mut Off| off.what == what && off.why == why;
                match self.out.off.iter_mut().find(same) {
                    Some(off) if off.features.contains(&text) => {}
                    Some(off) => off.features.push(text),
                    None => self.out.off.push(Off { what: what.into(), why, needs, features: vec![text] }),
                }
            }
        }
    }

    fn push(&mut self, feature: Feature) {
        if self.seen.insert(feature.clone()) {
            self.out.features.push(feature);
        }
    }

    /// The feature of a template, with the names of the schema's columns.
    fn fill(&self, template: &str, entity: Option<usize>, level: Option<&str>) -> Result<Feature, Missing> {
        let mut text = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            let (word, after) = after.split_once('}').expect("templates are ours and tested: every brace is closed");
            text.push_str(before);
            let named = match (word, level) {
                ("level", Some(level)) => Cow::Borrowed(level),
                _ => Cow::Owned(self.column_name(word, entity)?),
            };
            text.push_str(&Quoted(&named).to_string());
            rest = after;
        }
        text.push_str(rest);
        Ok(Feature::parse(&text).expect("templates are ours and tested: they parse with any name"))
    }

    fn column_name(&self, word: &str, entity: Option<usize>) -> Result<String, Missing> {
        let column = match word {
            "entity" | "column" => entity.ok_or_else(|| Missing::role("to count over"))?,
            "account" => {
                let roles = [Role::Customer, Role::Email, Role::Phone, Role::Card, Role::Device];
                let account = roles.into_iter().find_map(|role| self.of_role(role).ok());
                account.ok_or_else(|| Missing::role("of role customer, email, phone, card or device"))?
            }
            "goods" => {
                let words = ["categor", "product", "goods", "department", "assortment"];
                self.category_called(&words)
                    .ok_or_else(|| Missing::role("of role category that says what kind of goods it is"))?
            }
            "method" => {
                let words = ["pay", "method", "tender"];
                self.category_called(&words).ok_or_else(|| Missing::role("of role category that says how is paid"))?
            }
            role => {
                let role = Role::ALL.into_iter().find(|known| known.name() == role);
                self.of_role(role.expect("templates are ours and tested: they name roles"))?
            }
        };
        Ok(self.schema.columns[column].name.clone())
    }

    /// The first usable column of a role.
    fn of_role(&self, role: Role) -> Result<usize, Missing> {
        let columns = || (0..self.schema.columns.len()).filter(|column| self.schema.columns[*column].role == role);
        let known = columns().find(|column| self.schema.columns[*column].available == Available::Order);
        let column = known.or_else(|| columns().next());
        let column = column.ok_or_else(|| Missing::role(&format!("of role {role}")))?;
        let seen = self.observed.column(EventKind::Order, column);
        if role == Role::Currency && seen.is_some_and(|seen| seen.n_distinct == 1) {
            return Err(Missing { why: "all orders are in one currency".into(), needs: "several currencies".into() });
        }
        if role.is_entity() && role != Role::Coupon && self.is_category_in_disguise(column) {
            let name = &self.schema.columns[column].name;
            return Err(Missing {
                why: format!("column {name:?} has few different values"),
                needs: "more of them".into(),
            });
        }
        Ok(column)
    }

    /// The category column with such a word in its name and more than one level.
    fn category_called(&self, words: &[&str]) -> Option<usize> {
        (0..self.schema.columns.len()).find(|&index| {
            let column = &self.schema.columns[index];
            let name = column.name.to_lowercase();
            column.role == Role::Category
                && column.available == Available::Order
                && words.iter().any(|word| name.contains(word))
                && self.observed.column(EventKind::Order, index).is_some_and(|seen| seen.levels.len() > 1)
        })
    }

    /// Whether everything is there that the feature reads, on the events that it reads it from.
    fn check(&self, feature: &Feature) -> Result<(), Missing> {
        // Before names: without such events their columns are of no interest.
        if let Feature::History(history) = feature {
            for kind in kinds_of(history) {
                if self.observed.n_events(kind) == 0 {
                    return Err(Missing {
                        why: format!("no events of kind {kind}"),
                        needs: format!("events of kind {kind}"),
                    });
                }
            }
        }
        resolve::columns(self.schema, self.tables, feature)?;
        match feature {
            Feature::History(history) => self.check_history(history),
            own => self.check_filled(EventKind::Order, &resolve::columns(self.schema, self.tables, own)?, false),
        }
    }

    fn check_history(&self, history: &History) -> Result<(), Missing> {
        let entity: Vec<usize> =
            resolve::entity(self.schema, &history.entity)?.iter().map(|source| source.column).collect();
        self.check_filled(EventKind::Order, &entity, false)?;
        for kind in kinds_of(history) {
            self.check_filled(kind, &entity, true)?;
        }
        let mut values = Vec::new();
        if let Some(value) = value_of(&history.aggregate) {
            values.push(self.value_column(&value.what, value.kind)?);
        }
        if let Aggregate::Distinct(part, kind) = &history.aggregate {
            let column = resolve::key(self.schema, part, *kind == EventKind::Order)?.column;
            self.check_filled(*kind, &[column], true)?;
        }
        let kind = history.aggregate.kind().unwrap_or_default();
        for condition in &history.conditions {
            values.push(match condition {
                Condition::Compare { value, .. } => self.value_column(value, kind)?,
                Condition::Level { column, .. } => resolve::column(self.schema, column)?,
            });
        }
        self.check_filled(kind, &values, false)?;
        if let Aggregate::Rate { norm, .. } = &history.aggregate {
            let norm: Vec<usize> = resolve::entity(self.schema, norm)?.iter().map(|source| source.column).collect();
            self.check_filled(EventKind::Order, &norm, false)?;
            self.check_filled(kind, &norm, true)?;
        }
        Ok(())
    }

    /// The column that a value stands in; of an age, the id that names the order.
    fn value_column(&self, value: &ValueOf, kind: EventKind) -> Result<usize, Missing> {
        Ok(match resolve::value(self.schema, value, kind)? {
            resolve::ValueSource::Amount(column) | resolve::ValueSource::Number(column) => column,
            resolve::ValueSource::Age => self.schema.find(Role::Id).ok_or_else(|| Missing::role("of role id"))?,
        })
    }

    /// Columns with at least one value on events of that kind; keys may also come from the order that an event names.
    fn check_filled(&self, kind: EventKind, columns: &[usize], is_key: bool) -> Result<(), Missing> {
        let inherits = is_key && self.schema.find(Role::Id).is_some_and(|id| self.observed.is_filled(kind, id));
        match columns.iter().find(|column| !inherits && !self.observed.is_filled(kind, **column)) {
            None => Ok(()),
            Some(&column) => {
                let name = &self.schema.columns[column].name;
                let why = format!("column {name:?} is empty on events of kind {kind}");
                Err(Missing { why, needs: format!("values of {name:?} on events of kind {kind}") })
            }
        }
    }
}

/// The kind of events that a template of [`EVENT_LEVELS`] or [`EVENT_NUMBERS`] is about.
fn kind_of(template: &str) -> EventKind {
    let argument = template.split(['(', ')']).nth(1).unwrap_or_default();
    EventKind::from_name(argument.rsplit(' ').next().unwrap_or_default()).unwrap_or_default()
}

/// A template as a person reads it.
fn plain(template: &str) -> String {
    template.replace(['{', '}'], "")
}

fn kinds_of(history: &History) -> impl Iterator<Item = EventKind> {
    let per = match history.aggregate {
        Aggregate::Rate { per, .. } => Some(per),
        _ => None,
    };
    history.aggregate.kind().into_iter().chain(per)
}

fn value_of(aggregate: &Aggregate) -> Option<&Value> {
    match aggregate {
        Aggregate::Sum(value)
        | Aggregate::Mean(value)
        | Aggregate::Deviation(value)
        | Aggregate::Min(value)
        | Aggregate::Max(value)
        | Aggregate::ZScore(value)
        | Aggregate::Ratio(value)
        | Aggregate::DecayedSum(value) => Some(value),
        _ => None,
    }
}
