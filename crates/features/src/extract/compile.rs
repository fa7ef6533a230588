//! From a specification to plans: names become positions, each entity's readings one plan.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::own::{self, Own};
use super::{
    Combination, Combine, Extractor, ExtractorError, HistoryValue, MAX_KEY_SOURCES, MAX_SLOTS, MAX_VALUES,
    NetworkOutput, NetworkPlan, Slot, Source,
};
use crate::calendar::LocalClock;
use crate::identity::IdentityKey;
use crate::kernel::{self, Input, Measure, Plan, Reading, Series, Test};
use crate::kind::EventKind;
use crate::language::feature::{Aggregate, EntityPart, Feature, History, NetworkFeature};
use crate::language::resolve::{self, ConditionSource, KeySource, ResolveError, TablesPresent, ValueSource};
use crate::language::spec::FeatureSpec;
use crate::own::Tables;
use crate::own::tables::TableKind;
use crate::parse::TimeParser;
use crate::schema::{Role, Schema};

/// What one whole number of a number column stands for: 1 / 65,536 of its unit.
const NUMBER_UNIT: f64 = 65_536.0;
/// Milliseconds in a second.
const AGE_UNIT: f64 = 1_000.0;

impl Extractor {
    /// Compiles a specification that needs no tables of the shop's own; `key` hashes identifiers.
    pub fn new(schema: &Schema, spec: &FeatureSpec, key: IdentityKey) -> Result<Self, ExtractorError> {
        Self::with_tables(schema, spec, key, Arc::default())
    }

    /// Compiles a specification against its schema; `key` hashes identifiers, `tables` are the shop's own.
    ///
    /// # Errors
    /// [`ExtractorError`] names the feature that does not fit.
    pub fn with_tables(
        schema: &Schema,
        spec: &FeatureSpec,
        key: IdentityKey,
        tables: Arc<Tables>,
    ) -> Result<Self, ExtractorError> {
        schema.check()?;
        let present = tables.present();
        spec.check(schema, present)?;
        check_editions(spec, &tables)?;
        let mut compiler = Compiler {
            schema,
            present,
            sources: Vec::new(),
            values: Vec::new(),
            slots: Vec::new(),
            own: Vec::new(),
            combinations: Vec::new(),
            network: None,
            row_len: spec.len(),
            amount_unit: 10_f64.powi(i32::from(schema.amount_decimals)),
        };
        // Keys whose distinct values are counted come first, so that history is handed the front part of the keys alone.
        for feature in &spec.features {
            if let Feature::History(History { aggregate: Aggregate::Distinct(part, kind), .. }) = feature {
                let source = resolve::key(schema, part, *kind == EventKind::Order).map_err(in_feature(feature))?;
                compiler.source(source);
            }
        }
        let n_distinct = compiler.sources.len();
        for (cell, feature) in spec.features.iter().enumerate() {
            compiler.add(cell, feature, spec).map_err(in_feature(feature))?;
        }
        let Compiler { sources, values, slots, own, combinations, network, row_len, .. } = compiler;
        if sources.len() > MAX_KEY_SOURCES {
            return Err(ExtractorError::TooManyKeySources { found: sources.len() });
        }
        if slots.len() > MAX_SLOTS {
            return Err(ExtractorError::TooManyEntities { found: slots.len() });
        }
        if values.len() + FIRST_VALUE > MAX_VALUES {
            return Err(ExtractorError::TooManyValues { found: values.len() + FIRST_VALUE });
        }
        let label_delay = schema.label_delay.0;
        let slots = slots.into_iter().map(|draft| draft.finish(label_delay, spec)).collect::<Result<Vec<_>, _>>()?;
        let reads_amount = slots.iter().any(|slot| slot.plan.readings().iter().any(|reading| reads_value(reading, 0)));
        let time_parser = match schema.find(Role::Time) {
            Some(column) => {
                let format = schema.columns[column].format.expect("checked: a time column has a format");
                Some(TimeParser::new(format, &schema.timezone)?)
            }
            None => None,
        };
        let mut extractor = Self {
            schema: schema.clone(),
            n_features: spec.len(),
            row_len,
            n_distinct,
            sources,
            values,
            slots,
            own,
            combinations,
            network,
            clock: LocalClock::new(&schema.timezone)?,
            key,
            tables,
            time_parser,
            hub_limit: spec.hub_limit,
            reads_amount,
            layout: 0,
        };
        extractor.layout = extractor.hash_layout(spec);
        Ok(extractor)
    }

    /// A hash of all that decides what a state holds.
    fn hash_layout(&self, spec: &FeatureSpec) -> u64 {
        let mut bytes = self.key.check().to_le_bytes().to_vec();
        let mut text = |text: &str| {
            bytes.extend((text.len() as u64).to_le_bytes());
            bytes.extend(text.as_bytes());
        };
        for role in [Role::Id, Role::EventId, Role::Event, Role::Amount, Role::Currency] {
            text(self.schema.find(role).map_or("", |column| self.schema.columns[column].name.as_str()));
        }
        for source in &self.sources {
            text(&self.schema.columns[source.column].name);
            text(source.role.name());
            text(source.domain());
        }
        for value in &self.values {
            for column in value.columns() {
                text(&self.schema.columns[column].name);
            }
        }
        for feature in spec.features.iter().filter(|f| matches!(f, Feature::History(_) | Feature::Network(_))) {
            text(&feature.to_string());
        }
        if self.values.iter().any(|value| matches!(value, HistoryValue::Place(_))) {
            // Places come from the table, so that another edition would mix two maps in one history.
            for table in &spec.tables {
                bytes.extend(table.hash.to_le_bytes());
            }
        }
        bytes.push(self.schema.amount_decimals);
        bytes.extend(self.schema.label_delay.0.to_le_bytes());
        bytes.extend(spec.exact_events.to_le_bytes());
        bytes.extend(spec.hub_limit.to_le_bytes());
        xxh3_64(&bytes)
    }
}

fn in_feature(feature: &Feature) -> impl Fn(ResolveError) -> ExtractorError + '_ {
    |error| ExtractorError::Feature { feature: feature.to_string(), error }
}

/// Refuses other editions of the tables than those that the features were made with.
fn check_editions(spec: &FeatureSpec, tables: &Tables) -> Result<(), ExtractorError> {
    for table in &spec.tables {
        let given = TableKind::from_name(&table.name).and_then(|kind| tables.hash(kind));
        if given != Some(table.hash) {
            return Err(ExtractorError::Table { name: table.name.clone(), given: given.is_some() });
        }
    }
    Ok(())
}

/// The first history value that is not the amount or the age.
pub(super) const FIRST_VALUE: usize = 2;

/// A slot to which readings are still added.
struct Draft {
    sources: Vec<usize>,
    readings: Vec<Reading>,
    cells: Vec<usize>,
    /// The feature that each reading is for.
    features: Vec<String>,
}

impl Draft {
    fn finish(self, label_delay: i64, spec: &FeatureSpec) -> Result<Slot, ExtractorError> {
        let plan = Plan::new(self.readings, label_delay, spec.exact_events as usize).map_err(|error| {
            let feature = error.reading().map_or_else(String::new, |reading| self.features[reading].clone());
            ExtractorError::History { feature, error }
        })?;
        let reads_labels = plan.readings().iter().any(|reading| reading.measure.is_of_labels());
        Ok(Slot { sources: self.sources, plan, cells: self.cells, reads_labels })
    }
}

/// Whether a reading looks at the value of that index.
fn reads_value(reading: &Reading, wanted: usize) -> bool {
    let tests = |series: &Series| series.tests.iter().any(|Test::Compare { index, .. }| *index == wanted);
    let below = match &reading.measure {
        Measure::Share { all: below } | Measure::Rate { per: below } => tests(below),
        _ => false,
    };
    below || tests(&reading.series) || reading.measure.input().is_some_and(|input| input.index == wanted)
}

struct Compiler<'a> {
    schema: &'a Schema,
    present: TablesPresent,
    sources: Vec<Source>,
    values: Vec<HistoryValue>,
    slots: Vec<Draft>,
    own: Vec<(usize, Own)>,
    combinations: Vec<Combination>,
    network: Option<NetworkPlan>,
    row_len: usize,
    amount_unit: f64,
}

impl Compiler<'_> {
    fn add(&mut self, cell: usize, feature: &Feature, spec: &FeatureSpec) -> Result<(), ResolveError> {
        match feature {
            Feature::History(history) => self.add_history(cell, feature, history),
            Feature::Network(network) => self.add_network(cell, network, spec),
            _ => {
                self.own.push((cell, own::compile(self.schema, self.present, feature, spec)?));
                Ok(())
            }
        }
    }

    fn source(&mut self, source: KeySource) -> usize {
        let source =
            Source { column: source.column, role: self.schema.columns[source.column].role, derive: source.derive };
        position_or_push(&mut self.sources, source)
    }

    fn slot(&mut self, parts: &[EntityPart]) -> Result<usize, ResolveError> {
        let sources = resolve::entity(self.schema, parts)?;
        let mut sources: Vec<usize> = sources.into_iter().map(|source| self.source(source)).collect();
        sources.sort_unstable();
        sources.dedup();
        Ok(self.slots.iter().position(|slot| slot.sources == sources).unwrap_or_else(|| {
            self.slots.push(Draft { sources, readings: Vec::new(), cells: Vec::new(), features: Vec::new() });
            self.slots.len() - 1
        }))
    }

    fn value(&mut self, value: HistoryValue) -> usize {
        FIRST_VALUE + position_or_push(&mut self.values, value)
    }

    fn input(&mut self, value: ValueSource) -> Input {
        match value {
            ValueSource::Amount(_) => Input { index: 0, unit: self.amount_unit, per_currency: true },
            ValueSource::Age => Input { index: 1, unit: AGE_UNIT, per_currency: false },
            ValueSource::Number(column) => {
                Input { index: self.value(HistoryValue::Number(column)), unit: NUMBER_UNIT, per_currency: false }
            }
        }
    }

    fn test(&mut self, condition: ConditionSource) -> Test {
        match condition {
            ConditionSource::Compare { value, op, thousandths } => {
                let Input { index, unit, .. } = self.input(value);
                if let ValueSource::Number(_) = value {
                    // Rounded as the values are, so that 0.7 is at least 0.7; no cut, so that cut values stay below.
                    let numerator = (thousandths as f64 / 1_000.0 * unit).round() as i64;
                    return Test::Compare { index, op, numerator, denominator: 1 };
                }
                // Units are whole numbers of at most a million, and constants at most 1e15.
                let numerator = thousandths.saturating_mul(unit as i64);
                Test::Compare { index, op, numerator, denominator: 1_000 }
            }
            ConditionSource::Level { column, equal, level } => {
                let index = self.value(HistoryValue::Level { column, level });
                let op = crate::language::feature::Comparison::Equal;
                Test::Compare { index, op, numerator: i64::from(equal), denominator: 1 }
            }
        }
    }

    fn add_history(&mut self, cell: usize, feature: &Feature, history: &History) -> Result<(), ResolveError> {
        let (schema, aggregate) = (self.schema, &history.aggregate);
        let slot = self.slot(&history.entity)?;
        let kind = aggregate.kind().unwrap_or_default();
        let mut tests = Vec::with_capacity(history.conditions.len());
        for condition in &history.conditions {
            let condition = resolve::condition(schema, condition, kind)?;
            tests.push(self.test(condition));
        }
        let series = Series { kind, tests };
        let window = kernel::Window { over: history.window.over.map(|span| span.0), delayed: history.window.delayed.0 };
        let half_life = || history.window.half_life.map_or(1, |span| span.0);
        let measure = match aggregate {
            Aggregate::Count(_) => Measure::Count,
            Aggregate::Sum(of) => Measure::Sum(self.input(resolve::value(schema, &of.what, of.kind)?)),
            Aggregate::Mean(of) => Measure::Mean(self.input(resolve::value(schema, &of.what, of.kind)?)),
            Aggregate::Deviation(of) => Measure::Deviation(self.input(resolve::value(schema, &of.what, of.kind)?)),
            Aggregate::Min(of) => Measure::Min(self.input(resolve::value(schema, &of.what, of.kind)?)),
            Aggregate::Max(of) => Measure::Max(self.input(resolve::value(schema, &of.what, of.kind)?)),
            Aggregate::ZScore(of) => Measure::ZScore(self.input(resolve::value(schema, &of.what, of.kind)?)),
            Aggregate::Ratio(of) => Measure::Ratio(self.input(resolve::value(schema, &of.what, of.kind)?)),
            Aggregate::Distinct(part, kind) => {
                Measure::Distinct { key: self.source(resolve::key(schema, part, *kind == EventKind::Order)?) }
            }
            Aggregate::Share(kind) => Measure::Share { all: Series::all(*kind) },
            Aggregate::Rate { per, shrink, norm, .. } => {
                let measure = Measure::Rate { per: Series::all(*per) };
                if *shrink > 0 || !norm.is_empty() {
                    let parts = [Measure::Count, Measure::Count];
                    let below = Reading { measure: Measure::Count, series: Series::all(*per), window, versus: None };
                    let reading = Reading { measure, series, window, versus: None };
                    return self.combine(cell, feature, slot, reading, below, parts, *shrink, norm);
                }
                measure
            }
            Aggregate::DecayedCount(_) => Measure::DecayedCount { half_life: half_life() },
            Aggregate::DecayedSum(of) => Measure::DecayedSum {
                input: self.input(resolve::value(schema, &of.what, of.kind)?),
                half_life: half_life(),
            },
            Aggregate::SinceFirst(_) => Measure::SinceFirst,
            Aggregate::SinceLast(_) => Measure::SinceLast,
            Aggregate::IsNew => Measure::IsNew,
            Aggregate::GapVariation(_) => Measure::GapVariation,
            Aggregate::Speed(point) => {
                let point = resolve::point(schema, self.present, *point)?;
                Measure::Speed { index: self.value(HistoryValue::Place(point)) }
            }
            Aggregate::FraudCount => Measure::FraudCount,
            Aggregate::OrdersSinceFraud => Measure::OrdersSinceFraud,
            Aggregate::FraudRate { shrink: 0 } => Measure::FraudRate,
            Aggregate::FraudRate { shrink } => {
                let reading = Reading { measure: Measure::FraudRate, series, window, versus: None };
                let below = Reading { measure: Measure::Resolved, ..reading.clone() };
                let parts = [Measure::FraudCount, Measure::Resolved];
                return self.combine(cell, feature, slot, reading, below, parts, *shrink, &[]);
            }
        };
        let versus = history.window.versus.map(|span| span.0);
        self.read(slot, cell, feature, Reading { measure, series, window, versus });
        Ok(())
    }

    /// A rate that needs other entities: `reading` is it as it stands, `below` what is counted below its line.
    #[allow(clippy::too_many_arguments)]
    fn combine(
        &mut self,
        cell: usize,
        feature: &Feature,
        slot: usize,
        reading: Reading,
        below: Reading,
        [above, _]: [Measure; 2],
        shrink: u32,
        norm: &[EntityPart],
    ) -> Result<(), ResolveError> {
        let rate = if shrink > 0 {
            let above = self.hidden(slot, feature, Reading { measure: above, ..reading.clone() });
            let below = self.hidden(slot, feature, below);
            let shop = self.slot(&[])?;
            let prior = self.hidden(shop, feature, reading.clone());
            Combine::Shrunk { above, below, prior, weight: f64::from(shrink) }
        } else {
            Combine::Plain { rate: self.hidden(slot, feature, reading.clone()) }
        };
        let norm = if norm.is_empty() {
            None
        } else {
            let slot = self.slot(norm)?;
            Some(self.hidden(slot, feature, reading))
        };
        self.combinations.push(Combination { cell, rate, norm });
        Ok(())
    }

    /// A cell behind the features that only combinations see.
    fn hidden(&mut self, slot: usize, feature: &Feature, reading: Reading) -> usize {
        let draft = &self.slots[slot];
        if let Some(known) = draft.readings.iter().position(|known| *known == reading) {
            return draft.cells[known];
        }
        let cell = self.row_len;
        self.row_len += 1;
        self.read(slot, cell, feature, reading);
        cell
    }

    fn read(&mut self, slot: usize, cell: usize, feature: &Feature, reading: Reading) {
        let draft = &mut self.slots[slot];
        draft.readings.push(reading);
        draft.cells.push(cell);
        draft.features.push(feature.to_string());
    }

    fn add_network(&mut self, cell: usize, feature: &NetworkFeature, spec: &FeatureSpec) -> Result<(), ResolveError> {
        let whole = |column| KeySource { column, derive: resolve::Derive::None };
        if self.network.is_none() {
            let (account, things) = network_columns(self.schema, spec)?;
            let account = self.source(whole(account));
            let things = things.into_iter().map(|column| self.source(whole(column))).collect();
            self.network = Some(NetworkPlan { account, things, outputs: Vec::new() });
        }
        let output = match feature {
            NetworkFeature::ClusterSize => NetworkOutput::ClusterSize,
            NetworkFeature::ClusterFrauds => NetworkOutput::ClusterFrauds,
            NetworkFeature::ClusterNewLinks => NetworkOutput::NewLinks,
            NetworkFeature::AccountsPer(name) => {
                let column = resolve::thing(self.schema, name)?;
                let source = self.source(whole(column));
                let thing = self.network.iter().flat_map(|plan| &plan.things).position(|&thing| thing == source);
                NetworkOutput::AccountsPer(thing.ok_or_else(|| ResolveError::WrongRole {
                    name: name.clone(),
                    found: self.schema.columns[column].role,
                    expected: "a thing that links accounts",
                })?)
            }
        };
        let plan = self.network.as_mut().expect("made above");
        plan.outputs.push((cell, output));
        Ok(())
    }
}

/// The column of accounts and those of the things that the features read: all of them for clusters, else only those that
/// accounts are counted of, so that no other column is asked for.
fn network_columns(schema: &Schema, spec: &FeatureSpec) -> Result<(usize, Vec<usize>), ResolveError> {
    let (account, mut things) = resolve::network(schema)?;
    let mut counted = Vec::new();
    for feature in &spec.features {
        match feature {
            Feature::Network(NetworkFeature::AccountsPer(name)) => counted.push(resolve::thing(schema, name)?),
            Feature::Network(_) => return Ok((account, things)),
            _ => {}
        }
    }
    things.retain(|thing| counted.contains(thing));
    Ok((account, things))
}

fn position_or_push<T: PartialEq>(list: &mut Vec<T>, item: T) -> usize {
    list.iter().position(|known| *known == item).unwrap_or_else(|| {
        list.push(item);
        list.len() - 1
    })
}
