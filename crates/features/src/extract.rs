//! From an order and the state to a feature row. Compiled once from schema and specification; names become positions here.

use std::collections::HashMap;
use std::fmt;

use foldhash::fast::FixedState;

use crate::calendar::LocalClock;
use crate::event::{OrderError, OrderEvent, Value, currency_code};
use crate::history::{MAX_WINDOWS, Plan, Reading};
use crate::identity::IdentityKey;
use crate::parse::{self, CellError, TimeParser};
use crate::schema::{Role, Schema, SchemaError};
use crate::snapshot::MAX_ENTITY_COLUMNS;
use crate::spec::{Feature, FeatureSpec};
use crate::state::State;
use crate::table::MISSING_I64;
use crate::time::{Span, UnixMillis};

/// Level -> code of one category column.
pub(crate) type LevelCodes = HashMap<String, u32, FixedState>;

/// How a column that is no entity becomes a number.
#[derive(Clone, Debug)]
pub(crate) enum Reader {
    Number,
    Category(LevelCodes),
    Timestamp(TimeParser),
}

/// A column that is no entity and that some feature reads.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    /// Position in the schema.
    pub(crate) column: usize,
    pub(crate) reader: Reader,
}

/// A feature of the order itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direct {
    Amount,
    /// A number or level code: position among the inputs.
    Input(usize),
    /// Seconds from a timestamp: position among the inputs.
    Since(usize),
    Hour,
    Weekday,
    Night,
    Weekend,
}

/// An entity column that some feature counts over.
#[derive(Clone, Debug)]
pub(crate) struct EntitySlot {
    /// Position in the schema.
    pub(crate) column: usize,
    pub(crate) role: Role,
    pub(crate) plan: Plan,
}

/// Computes feature rows; immutable, shared by any number of threads.
#[derive(Clone, Debug)]
pub struct Extractor {
    pub(crate) schema: Schema,
    pub(crate) n_features: usize,
    pub(crate) direct: Vec<(usize, Direct)>,
    pub(crate) inputs: Vec<Input>,
    pub(crate) entities: Vec<EntitySlot>,
    pub(crate) clock: LocalClock,
    pub(crate) key: IdentityKey,
    time_parser: Option<TimeParser>,
    /// Value of one minor unit in major units, as a divisor.
    minor_units: f64,
}

/// A specification that does not fit its schema.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpecError {
    /// The schema itself is unusable.
    Schema(SchemaError),
    /// A feature names a column that the schema does not have.
    UnknownColumn {
        /// The feature.
        feature: String,
        /// The column.
        column: String,
    },
    /// A feature reads a column of another role than it can.
    WrongRole {
        /// The feature.
        feature: String,
        /// The column's role.
        found: Role,
        /// What the feature can read.
        expected: &'static str,
    },
    /// A feature reads a column that is known only after the order.
    KnownLater {
        /// The feature.
        feature: String,
        /// The column.
        column: String,
    },
    /// A feature needs a role that no column has.
    RoleMissing {
        /// The feature.
        feature: String,
        /// The role.
        role: Role,
    },
    /// A category feature has no vocabulary, or one with two equal levels.
    Vocabulary {
        /// The column.
        column: String,
    },
    /// More entity columns than [`MAX_ENTITY_COLUMNS`].
    TooManyEntities {
        /// Their number.
        found: usize,
    },
    /// One entity column has more distinct windows than [`MAX_WINDOWS`].
    TooManyWindows {
        /// The entity column.
        column: String,
    },
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Schema(error) => error.fmt(f),
            Self::UnknownColumn { feature, column } => {
                write!(f, "feature `{feature}`: the schema has no column {column:?}")
            }
            Self::WrongRole { feature, found, expected } => {
                write!(f, "feature `{feature}`: expected a column of role {expected}, found role {found}")
            }
            Self::KnownLater { feature, column } => {
                write!(f, "feature `{feature}`: column {column:?} is known only after the order")
            }
            Self::RoleMissing { feature, role } => {
                write!(f, "feature `{feature}`: the schema has no column of role {role}")
            }
            Self::Vocabulary { column } => {
                write!(
                    f,
                    "category column {column:?}: expected a vocabulary of distinct levels, found none or a repeated level"
                )
            }
            Self::TooManyEntities { found } => {
                write!(f, "features: expected at most {MAX_ENTITY_COLUMNS} entity columns, found {found}")
            }
            Self::TooManyWindows { column } => {
                write!(f, "entity column {column:?}: expected at most {MAX_WINDOWS} distinct windows, found more")
            }
        }
    }
}

impl std::error::Error for SpecError {}

impl From<SchemaError> for SpecError {
    fn from(error: SchemaError) -> Self {
        Self::Schema(error)
    }
}

impl Extractor {
    /// Compiles a specification against its schema; `key` hashes identifiers.
    pub fn new(schema: &Schema, spec: &FeatureSpec, key: IdentityKey) -> Result<Self, SpecError> {
        schema.check()?;
        let mut extractor = Self {
            schema: schema.clone(),
            n_features: spec.len(),
            direct: Vec::new(),
            inputs: Vec::new(),
            entities: Vec::new(),
            clock: LocalClock::new(&schema.timezone)?,
            key,
            time_parser: None,
            minor_units: 10_f64.powi(i32::from(schema.amount_decimals)),
        };
        if let Some(column) = schema.find(Role::Time) {
            let format = schema.columns[column].format.expect("checked: a time column has a format");
            extractor.time_parser = Some(TimeParser::new(format, &schema.timezone)?);
        }
        for (output, feature) in spec.features.iter().enumerate() {
            extractor.add(output, feature, spec)?;
        }
        if extractor.entities.len() > MAX_ENTITY_COLUMNS {
            return Err(SpecError::TooManyEntities { found: extractor.entities.len() });
        }
        for slot in &extractor.entities {
            if !slot.plan.fits() {
                return Err(SpecError::TooManyWindows { column: schema.columns[slot.column].name.clone() });
            }
        }
        Ok(extractor)
    }

    fn add(&mut self, output: usize, feature: &Feature, spec: &FeatureSpec) -> Result<(), SpecError> {
        let needs = |role: Role| match self.schema.find(role) {
            Some(column) => Ok(column),
            None => Err(SpecError::RoleMissing { feature: feature.to_string(), role }),
        };
        let direct = match feature {
            Feature::Amount => {
                let column = needs(Role::Amount)?;
                self.known_at_order(feature, column)?;
                Direct::Amount
            }
            Feature::Hour | Feature::Weekday | Feature::Night | Feature::Weekend => {
                needs(Role::Time)?;
                match feature {
                    Feature::Hour => Direct::Hour,
                    Feature::Weekday => Direct::Weekday,
                    Feature::Night => Direct::Night,
                    _ => Direct::Weekend,
                }
            }
            Feature::Number(name) => {
                let column = self.column(feature, name, &[Role::Number], "number")?;
                Direct::Input(self.input(column, Reader::Number))
            }
            Feature::Category(name) => {
                let column = self.column(feature, name, &[Role::Category, Role::Currency], "category or currency")?;
                let codes = level_codes(spec, name)?;
                Direct::Input(self.input(column, Reader::Category(codes)))
            }
            Feature::Since(name) => {
                needs(Role::Time)?;
                let column = self.column(feature, name, &[Role::Timestamp], "timestamp")?;
                let format = self.schema.columns[column].format.expect("checked: a timestamp has a format");
                let parser = TimeParser::new(format, &self.schema.timezone)?;
                Direct::Since(self.input(column, Reader::Timestamp(parser)))
            }
            history => {
                needs(Role::Time)?;
                if matches!(history, Feature::Sum { .. } | Feature::Ratio { .. }) {
                    let column = needs(Role::Amount)?;
                    if matches!(history, Feature::Ratio { .. }) {
                        self.known_at_order(feature, column)?;
                    }
                }
                return self.add_history(history, spec);
            }
        };
        self.direct.push((output, direct));
        Ok(())
    }

    fn add_history(&mut self, feature: &Feature, spec: &FeatureSpec) -> Result<(), SpecError> {
        let name = feature.entity().expect("all other features were handled by the caller");
        let Some(column) = self.schema.position(name) else {
            return Err(SpecError::UnknownColumn { feature: feature.to_string(), column: name.to_owned() });
        };
        let role = self.schema.columns[column].role;
        if !role.is_entity() {
            return Err(SpecError::WrongRole { feature: feature.to_string(), found: role, expected: "entity" });
        }
        self.known_at_order(feature, column)?;
        if !self.entities.iter().any(|slot| slot.column == column) {
            let features = spec.features.iter().enumerate();
            let plan = Plan::new(features, name, self.schema.label_delay, self.schema.amount_decimals);
            self.entities.push(EntitySlot { column, role, plan });
        }
        Ok(())
    }

    fn column(
        &self,
        feature: &Feature,
        name: &str,
        roles: &[Role],
        expected: &'static str,
    ) -> Result<usize, SpecError> {
        let Some(column) = self.schema.position(name) else {
            return Err(SpecError::UnknownColumn { feature: feature.to_string(), column: name.to_owned() });
        };
        let found = self.schema.columns[column].role;
        if !roles.contains(&found) {
            return Err(SpecError::WrongRole { feature: feature.to_string(), found, expected });
        }
        self.known_at_order(feature, column)?;
        Ok(column)
    }

    fn known_at_order(&self, feature: &Feature, column: usize) -> Result<(), SpecError> {
        let column = &self.schema.columns[column];
        if column.available == crate::schema::Available::Later {
            return Err(SpecError::KnownLater { feature: feature.to_string(), column: column.name.clone() });
        }
        Ok(())
    }

    fn input(&mut self, column: usize, reader: Reader) -> usize {
        self.inputs.iter().position(|input| input.column == column).unwrap_or_else(|| {
            self.inputs.push(Input { column, reader });
            self.inputs.len() - 1
        })
    }

    /// Length of a row.
    pub fn n_features(&self) -> usize {
        self.n_features
    }

    /// The schema it was compiled from.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The key that hashes identifiers.
    pub fn key(&self) -> &IdentityKey {
        &self.key
    }

    /// Whether rows depend on entity history.
    pub fn uses_history(&self) -> bool {
        !self.entities.is_empty()
    }

    /// Tells which states fit: entity columns with their roles, retentions, label delay, amount and currency column, amount
    /// unit and identity key.
    pub fn state_layout(&self) -> u64 {
        let mut bytes = self.key.check().to_le_bytes().to_vec();
        bytes.push(self.schema.amount_decimals);
        bytes.push(u8::from(self.schema.find(Role::Id).is_some()));
        let add_name = |bytes: &mut Vec<u8>, column: usize| {
            let name = &self.schema.columns[column].name;
            bytes.extend((name.len() as u64).to_le_bytes());
            bytes.extend(name.as_bytes());
        };
        if self.reads_amount() {
            for role in [Role::Amount, Role::Currency] {
                bytes.push(u8::from(self.schema.find(role).is_some()));
                self.schema.find(role).inspect(|&column| add_name(&mut bytes, column));
            }
        }
        for slot in &self.entities {
            add_name(&mut bytes, slot.column);
            bytes.extend(slot.role.name().as_bytes());
            let retention = slot.plan.retention;
            for span in [retention.activity, retention.labels, retention.label_delay] {
                bytes.extend(span.0.to_le_bytes());
            }
        }
        xxhash_rust::xxh3::xxh3_64(&bytes)
    }

    /// Computes the row of an order from what the state knows before it; writes all of `row`.
    ///
    /// The state is not changed. O(entity columns * windows * log n).
    ///
    /// # Panics
    /// If `row` is not [`Self::n_features`] long, or the event was read by another extractor: a caller's bug.
    pub fn extract(&self, state: &State, event: &OrderEvent, row: &mut [f32]) {
        assert_eq!(row.len(), self.n_features, "row must have one place per feature");
        let local = self.clock.at(event.time);
        for &(output, direct) in &self.direct {
            row[output] = match direct {
                Direct::Amount => amount_feature(event.amount, self.minor_units),
                Direct::Input(input) => event.values[input] as f32,
                Direct::Since(input) => since_feature(event.time, event.values[input]),
                Direct::Hour => f32::from(local.hour),
                Direct::Weekday => f32::from(local.weekday),
                Direct::Night => f32::from(u8::from(local.is_night())),
                Direct::Weekend => f32::from(u8::from(local.is_weekend())),
            };
        }
        let reading = Reading { time: event.time, amount: event.amount, currency: event.currency };
        for (slot_index, slot) in self.entities.iter().enumerate() {
            let outputs = slot.plan.slots();
            let write = |index: usize, value: f32| row[outputs[index].output] = value;
            match event.entities[slot_index] {
                None => slot.plan.write_missing(write),
                Some(entity) => match state.history(slot_index, entity) {
                    Some(history) => history.read(&slot.plan, &reading, write),
                    None => slot.plan.write_first_seen(write),
                },
            }
        }
    }

    /// The divisor from minor to major units.
    pub(crate) fn minor_units(&self) -> f64 {
        self.minor_units
    }
}

fn level_codes(spec: &FeatureSpec, column: &str) -> Result<LevelCodes, SpecError> {
    let refuse = || SpecError::Vocabulary { column: column.to_owned() };
    let vocabulary = spec.vocabulary(column).ok_or_else(refuse)?;
    let mut codes = LevelCodes::default();
    for (code, level) in vocabulary.levels.iter().enumerate() {
        if codes.insert(level.clone(), code as u32).is_some() {
            return Err(refuse());
        }
    }
    Ok(codes)
}

/// Major units; NaN when missing.
pub(crate) fn amount_feature(amount: i64, minor_units: f64) -> f32 {
    if amount == MISSING_I64 { f32::NAN } else { (amount as f64 / minor_units) as f32 }
}

/// Seconds from a timestamp (milliseconds, NaN when missing) to the order.
pub(crate) fn since_feature(time: UnixMillis, timestamp: f64) -> f32 {
    ((time.0 as f64 - timestamp) / 1_000.0) as f32
}

/// Code of a level: its position in the vocabulary, or the vocabulary's length for rare and unseen ones.
pub(crate) fn category_value(codes: &LevelCodes, level: &str) -> f64 {
    f64::from(codes.get(level).copied().unwrap_or(codes.len() as u32))
}

/// A caller's column names bound to the positions that an extractor reads; made once, used for every order.
#[derive(Clone, Debug)]
pub struct Binding {
    n_values: usize,
    id: Option<(usize, String)>,
    time: Option<(usize, String)>,
    amount: Option<(usize, String)>,
    currency: Option<usize>,
    inputs: Vec<(usize, String)>,
    entities: Vec<usize>,
}

impl Extractor {
    /// Binds the names of the values that [`Self::read_order`] will be given, in their order. Names that the model does
    /// not read are allowed and ignored; every column that it reads must be named.
    pub fn bind(&self, names: &[&str]) -> Result<Binding, OrderError> {
        let at = |column: usize| {
            let name = &self.schema.columns[column].name;
            let mut places = names.iter().enumerate().filter(|(_, n)| *n == name).map(|(i, _)| i);
            match (places.next(), places.next()) {
                (Some(at), None) => Ok((at, name.clone())),
                (None, _) => Err(OrderError::ColumnNotBound { column: name.clone() }),
                (Some(_), Some(_)) => Err(OrderError::ColumnTwice { column: name.clone() }),
            }
        };
        let role = |role: Role| self.schema.find(role).map(at).transpose();
        Ok(Binding {
            n_values: names.len(),
            id: role(Role::Id)?,
            time: role(Role::Time)?,
            amount: if self.reads_amount() { role(Role::Amount)? } else { None },
            currency: if self.reads_amount() { role(Role::Currency)?.map(|(at, _)| at) } else { None },
            inputs: self.inputs.iter().map(|input| at(input.column)).collect::<Result<_, _>>()?,
            entities: self.entities.iter().map(|slot| at(slot.column).map(|(at, _)| at)).collect::<Result<_, _>>()?,
        })
    }

    /// Whether history or a feature of the order itself needs amounts.
    pub(crate) fn reads_amount(&self) -> bool {
        self.direct.iter().any(|(_, direct)| *direct == Direct::Amount)
            || self.entities.iter().any(|slot| slot.plan.reads_amount())
    }

    /// Reads a raw order into `event`, whose memory is used again.
    ///
    /// `values` holds one value per bound name. `arrival` is when the shop received the order; it becomes `known_at`, and
    /// is moved up to the order's time where that is later (a clock that runs ahead by up to a day).
    pub fn read_order(
        &self,
        binding: &Binding,
        values: &[Value<'_>],
        arrival: UnixMillis,
        event: &mut OrderEvent,
    ) -> Result<(), OrderError> {
        if values.len() != binding.n_values {
            return Err(OrderError::WrongLength { expected: binding.n_values, found: values.len() });
        }
        let mut scratch = NumberText::default();
        event.id = None;
        if let Some((at, column)) = &binding.id {
            let text =
                as_text(values[*at], &mut scratch).ok_or_else(|| OrderError::IdMissing { column: column.clone() })?;
            event.id = Some(self.key.order_id(text));
        }
        event.time = arrival;
        if let (Some((at, column)), Some(parser)) = (&binding.time, &self.time_parser) {
            let ms = match as_text(values[*at], &mut scratch) {
                Some(text) => parser.parse(text).map_err(|error| OrderError::Cell { column: column.clone(), error })?,
                None => MISSING_I64,
            };
            if ms == MISSING_I64 {
                return Err(OrderError::TimeMissing { column: column.clone() });
            }
            event.time = UnixMillis(ms);
            if event.time > arrival.plus(Span::DAY) {
                return Err(OrderError::InFuture { time: event.time, arrival });
            }
        }
        event.known_at = arrival.max(event.time);
        event.amount = MISSING_I64;
        if let Some((at, column)) = &binding.amount
            && let Some(text) = as_text(values[*at], &mut scratch)
        {
            event.amount = parse::amount(text, self.schema.amount_decimals)
                .map_err(|error| OrderError::Cell { column: column.clone(), error })?;
        }
        event.currency = binding.currency.map_or(0, |at| as_text(values[at], &mut scratch).map_or(0, currency_code));
        event.values.clear();
        for (input, (at, column)) in self.inputs.iter().zip(&binding.inputs) {
            let value = input.reader.read(values[*at], &mut scratch);
            event.values.push(value.map_err(|error| OrderError::Cell { column: column.clone(), error })?);
        }
        event.entities.clear();
        for (slot, &at) in self.entities.iter().zip(&binding.entities) {
            event.entities.push(as_text(values[at], &mut scratch).and_then(|text| self.key.entity(slot.role, text)));
        }
        Ok(())
    }
}

impl Reader {
    fn read(&self, value: Value<'_>, scratch: &mut NumberText) -> Result<f64, CellError> {
        match self {
            Self::Number => match value {
                Value::Missing => Ok(f64::NAN),
                Value::Text(text) => parse::number(text.trim()),
                Value::Number(x) if x.is_nan() || x.abs() <= f64::from(f32::MAX) => Ok(x),
                Value::Number(_) => Err(CellError::NumberOutOfRange),
            },
            Self::Category(codes) => Ok(as_text(value, scratch).map_or(f64::NAN, |level| category_value(codes, level))),
            Self::Timestamp(parser) => match as_text(value, scratch).map(|text| parser.parse(text)).transpose()? {
                None | Some(MISSING_I64) => Ok(f64::NAN),
                Some(ms) => Ok(ms as f64),
            },
        }
    }
}

/// Room for the decimal form of a number, so that reading one allocates nothing. The longest, of the smallest negative
/// number, has 327 bytes and up to 17 digits.
struct NumberText {
    bytes: [u8; 352],
}

impl Default for NumberText {
    fn default() -> Self {
        Self { bytes: [0; 352] }
    }
}

/// The value as trimmed text, `None` when missing.
fn as_text<'a>(value: Value<'a>, scratch: &'a mut NumberText) -> Option<&'a str> {
    let text = match value {
        Value::Missing => return None,
        Value::Text(text) => text.trim(),
        Value::Number(x) if x.is_nan() => return None,
        Value::Number(x) => {
            use std::io::Write;
            let mut room = scratch.bytes.as_mut_slice();
            write!(room, "{x}").expect("no number is longer than the room");
            let free = room.len();
            let used = scratch.bytes.len() - free;
            std::str::from_utf8(&scratch.bytes[..used]).expect("a number's decimal form is ASCII")
        }
    };
    (!parse::is_missing(text)).then_some(text)
}
