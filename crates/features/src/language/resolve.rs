//! From names to columns: what a feature reads, given a schema and the tables that the shop brings.

mod error;

use std::fmt;

pub use error::ResolveError;

use super::error::nearest;
use super::feature::{
    Aggregate, Comparison, Condition, EntityPart, Feature, History, NetworkFeature, Place, Point, TextFunction, ValueOf,
};
use crate::kind::EventKind;
use crate::own::tables::TableKind;
use crate::schema::{Available, Role, Schema};

/// Which tables of the shop's own are at hand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each table is there or not, whatever the others are")]
pub struct TablesPresent {
    /// A MaxMind database with countries or coordinates of network addresses.
    pub geo: bool,
    /// A BIN table: country and kind of cards.
    pub bins: bool,
    /// A list of free e-mail providers.
    pub free_domains: bool,
    /// A list of throw-away e-mail providers.
    pub disposable_domains: bool,
}

impl TablesPresent {
    /// All of them.
    pub const ALL: Self = Self { geo: true, bins: true, free_domains: true, disposable_domains: true };
}

/// A table of the shop's own that a feature needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NeededTable {
    /// See [`TablesPresent::geo`].
    Geo,
    /// See [`TablesPresent::bins`].
    Bins,
    /// See [`TablesPresent::free_domains`].
    FreeDomains,
    /// See [`TablesPresent::disposable_domains`].
    DisposableDomains,
}

impl NeededTable {
    /// The table among those that a user brings.
    pub fn kind(self) -> TableKind {
        match self {
            Self::Geo => TableKind::Geo,
            Self::Bins => TableKind::Bins,
            Self::FreeDomains => TableKind::FreeDomains,
            Self::DisposableDomains => TableKind::DisposableDomains,
        }
    }
}

impl fmt::Display for NeededTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Geo => "a MaxMind database of network addresses",
            Self::Bins => "a BIN table",
            Self::FreeDomains => "a list of free e-mail providers",
            Self::DisposableDomains => "a list of throw-away e-mail providers",
        })
    }
}

/// What is made of a column's text before it becomes a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Derive {
    /// Nothing.
    None,
    /// The network of an IP address.
    IpNetwork,
    /// The registrable domain of an e-mail address.
    EmailDomain,
    /// The first six digits of a card number, or a BIN as it is.
    Bin,
}

/// Gives one entity key per event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeySource {
    /// Position in the schema.
    pub column: usize,
    /// What is made of its text.
    pub derive: Derive,
}

/// Gives the level of a place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PlaceSource {
    /// Position of the column whose text is read.
    pub column: usize,
    /// What is made of the text: [`Place::Column`] is the text itself, also where the schema has a column for a place that
    /// a table could say (`ip_country`, `card_country`).
    pub place: Place,
}

/// Gives coordinates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PointSource {
    /// Positions of two number columns, in degrees.
    Columns {
        /// North.
        latitude: usize,
        /// East.
        longitude: usize,
    },
    /// Position of an IP column, to be looked up in the MaxMind database.
    Ip {
        /// The column.
        column: usize,
    },
}

/// Gives a value of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ValueSource {
    /// The amount column, at this position.
    Amount(usize),
    /// Milliseconds since the order that the event is about.
    Age,
    /// A number column, at this position.
    Number(usize),
}

/// A condition with positions for names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ConditionSource {
    /// See [`Condition::Compare`].
    Compare {
        /// Left side.
        value: ValueSource,
        /// Comparison.
        op: Comparison,
        /// Right side, in thousandths of the major unit, second or number.
        thousandths: i64,
    },
    /// See [`Condition::Level`].
    Level {
        /// Position of the text column.
        column: usize,
        /// Whether it must be equal (or different).
        equal: bool,
        /// The level.
        level: String,
    },
}

/// The column of that name, else the first column of the role with that name (dots may stand for underscores).
pub fn column(schema: &Schema, name: &str) -> Result<usize, ResolveError> {
    let role = || {
        let role_name = name.replace('.', "_");
        schema.find(Role::ALL.into_iter().find(|role| role.name() == role_name)?)
    };
    schema.position(name).or_else(role).ok_or_else(|| {
        let read = || schema.columns.iter().filter(|c| c.role != Role::Ignored);
        let known = read().map(|c| c.name.as_str()).chain(read().map(|c| c.role.name()));
        ResolveError::UnknownColumn { name: name.to_owned(), suggestion: nearest(name, known).map(str::to_owned) }
    })
}

/// A column that fits, and is known with the order where that is asked for.
fn fitting(
    schema: &Schema,
    name: &str,
    with_order: bool,
    fits: impl Fn(Role) -> bool,
    expected: &'static str,
) -> Result<usize, ResolveError> {
    let position = column(schema, name)?;
    let found = schema.columns[position].role;
    if !fits(found) {
        return Err(ResolveError::WrongRole { name: name.to_owned(), found, expected });
    }
    known(schema, position, with_order)
}

fn known(schema: &Schema, position: usize, with_order: bool) -> Result<usize, ResolveError> {
    let column = &schema.columns[position];
    if with_order && column.available == Available::Later {
        return Err(ResolveError::KnownLater { name: column.name.clone() });
    }
    Ok(position)
}

fn of_role(schema: &Schema, role: Role, name: &str, with_order: bool) -> Result<usize, ResolveError> {
    match schema.find(role) {
        Some(position) => known(schema, position, with_order),
        None => Err(ResolveError::RoleMissing { name: name.to_owned(), needs: of_that_role(role) }),
    }
}

fn of_that_role(role: Role) -> &'static str {
    match role {
        Role::Time => "of role time",
        Role::Amount => "of role amount",
        Role::Customer => "of role customer",
        Role::Ip => "of role ip",
        Role::Email => "of role email",
        Role::Phone => "of role phone",
        Role::UserAgent => "of role user_agent",
        Role::Event => "of role event",
        Role::Id => "of role id",
        _ => "of the role that it needs",
    }
}

/// Whether the column holds text that history may count over or compare with.
pub fn is_key(role: Role) -> bool {
    role.is_entity()
        || role.is_category()
        || matches!(role, Role::BillingPostcode | Role::ShippingPostcode | Role::UserAgent)
}

const A_KEY: &str = "an entity, a category, a country, a region, a postcode or a user agent";

/// The key sources of an entity of history, one per part; none for the whole shop.
pub fn entity(schema: &Schema, parts: &[EntityPart]) -> Result<Vec<KeySource>, ResolveError> {
    parts.iter().filter(|part| **part != EntityPart::Shop).map(|part| key(schema, part, true)).collect()
}

/// The key source of one part, as `distinct(PART of KIND)` reads it: columns that are known later may stand on events that
/// are no orders.
pub fn key(schema: &Schema, part: &EntityPart, with_order: bool) -> Result<KeySource, ResolveError> {
    let derived =
        |name: &Option<String>, roles: &[Role], bare: &str, needs: &'static str, expected: &'static str| match name {
            Some(name) => fitting(schema, name, with_order, |role| roles.contains(&role), expected),
            None => match roles.iter().find_map(|role| schema.find(*role)) {
                Some(position) => known(schema, position, with_order),
                None => Err(ResolveError::RoleMissing { name: bare.to_owned(), needs }),
            },
        };
    let (column, derive) = match part {
        EntityPart::Shop => {
            return Err(ResolveError::RoleMissing { name: "shop".into(), needs: "for the shop: it is no column" });
        }
        EntityPart::Column(name) => (fitting(schema, name, with_order, is_key, A_KEY)?, Derive::None),
        EntityPart::IpNetwork(name) => {
            (derived(name, &[Role::Ip], "ip24", "of role ip", "a column of role ip")?, Derive::IpNetwork)
        }
        EntityPart::EmailDomain(name) => {
            let expected = "a column of role email";
            (derived(name, &[Role::Email], "email_domain", "of role email", expected)?, Derive::EmailDomain)
        }
        EntityPart::Bin(name) => {
            let expected = "a column of role bin or card";
            (derived(name, &[Role::Bin, Role::Card], "bin", "of role bin or card", expected)?, Derive::Bin)
        }
    };
    Ok(KeySource { column, derive })
}

/// Where the level of a place comes from.
pub fn place(schema: &Schema, tables: TablesPresent, place: &Place) -> Result<PlaceSource, ResolveError> {
    // A column of the shop's own goes before what a table says.
    let own_or = |own: Option<Role>, from: &[Role], table: Option<NeededTable>, needs: &'static str| {
        if let Some(column) = own.and_then(|role| schema.find(role)) {
            let name = schema.columns[column].name.clone();
            return Ok(PlaceSource { column: known(schema, column, true)?, place: Place::Column(name) });
        }
        let name = place.to_string();
        let Some(column) = from.iter().find_map(|role| schema.find(*role)) else {
            return Err(ResolveError::RoleMissing { name, needs });
        };
        table.map_or(Ok(()), |table| need(tables, table, &name))?;
        Ok(PlaceSource { column: known(schema, column, true)?, place: place.clone() })
    };
    match place {
        Place::Column(name) => {
            let column = fitting(schema, name, true, is_key, A_KEY)?;
            Ok(PlaceSource { column, place: place.clone() })
        }
        Place::IpCountry => {
            own_or(Some(Role::IpCountry), &[Role::Ip], Some(NeededTable::Geo), "of role ip_country or ip")
        }
        Place::BinCountry => {
            let from = [Role::Bin, Role::Card];
            own_or(Some(Role::CardCountry), &from, Some(NeededTable::Bins), "of role card_country, bin or card")
        }
        Place::BinKind => own_or(None, &[Role::Bin, Role::Card], Some(NeededTable::Bins), "of role bin or card"),
        Place::PhoneCountry => own_or(None, &[Role::Phone], None, "of role phone"),
        Place::EmailDomain => own_or(None, &[Role::Email], None, "of role email"),
        Place::AgentFamily | Place::AgentSystem => own_or(None, &[Role::UserAgent], None, "of role user_agent"),
    }
}

/// Where the level of `category(PLACE)` comes from: any place but the identifiers of people, whose texts a model may not
/// hold.
pub fn category(schema: &Schema, tables: TablesPresent, of: &Place) -> Result<PlaceSource, ResolveError> {
    let source = place(schema, tables, of)?;
    let found = schema.columns[source.column].role;
    if matches!(source.place, Place::Column(_)) && names_people(found) {
        let expected =
            "a category, a country, a region or the like, since levels are kept by name and identifiers are not";
        return Err(ResolveError::WrongRole { name: of.to_string(), found, expected });
    }
    Ok(source)
}

/// Whether the column's texts each stand for a person or what belongs to one.
fn names_people(role: Role) -> bool {
    matches!(
        role,
        Role::Customer
            | Role::Card
            | Role::Device
            | Role::Ip
            | Role::Email
            | Role::Phone
            | Role::BillingAddress
            | Role::ShippingAddress
    )
}

fn need(tables: TablesPresent, table: NeededTable, name: &str) -> Result<(), ResolveError> {
    let present = match table {
        NeededTable::Geo => tables.geo,
        NeededTable::Bins => tables.bins,
        NeededTable::FreeDomains => tables.free_domains,
        NeededTable::DisposableDomains => tables.disposable_domains,
    };
    if present { Ok(()) } else { Err(ResolveError::TableMissing { name: name.to_owned(), table }) }
}

/// Where the coordinates of a point come from.
pub fn point(schema: &Schema, tables: TablesPresent, point: Point) -> Result<PointSource, ResolveError> {
    let (latitude, longitude, needs) = match point {
        Point::Ip => (Role::IpLatitude, Role::IpLongitude, "of role ip, or of roles ip_latitude and ip_longitude"),
        Point::Billing => {
            (Role::BillingLatitude, Role::BillingLongitude, "of role billing_latitude or billing_longitude")
        }
        Point::Shipping => {
            (Role::ShippingLatitude, Role::ShippingLongitude, "of role shipping_latitude or shipping_longitude")
        }
    };
    if let (Some(latitude), Some(longitude)) = (schema.find(latitude), schema.find(longitude)) {
        let (latitude, longitude) = (known(schema, latitude, true)?, known(schema, longitude, true)?);
        return Ok(PointSource::Columns { latitude, longitude });
    }
    let name = point.name().to_owned();
    match schema.find(Role::Ip).filter(|_| point == Point::Ip) {
        None => Err(ResolveError::RoleMissing { name, needs }),
        Some(column) => {
            need(tables, NeededTable::Geo, &name)?;
            Ok(PointSource::Ip { column: known(schema, column, true)? })
        }
    }
}

/// Where a value of an event of that kind comes from.
pub fn value(schema: &Schema, value: &ValueOf, kind: EventKind) -> Result<ValueSource, ResolveError> {
    let with_order = kind == EventKind::Order;
    Ok(match value {
        ValueOf::Amount => ValueSource::Amount(of_role(schema, Role::Amount, "amount", with_order)?),
        ValueOf::Age => {
            // Without an id no event can say which order it is about.
            of_role(schema, Role::Id, "age", false)?;
            ValueSource::Age
        }
        ValueOf::Number(name) => {
            ValueSource::Number(fitting(schema, name, with_order, Role::is_number, "a number column")?)
        }
    })
}

/// Where the two sides of a condition on an event of that kind come from.
pub fn condition(schema: &Schema, condition: &Condition, kind: EventKind) -> Result<ConditionSource, ResolveError> {
    Ok(match condition {
        Condition::Compare { value: left, op, thousandths } => {
            let value = value(schema, left, kind)?;
            ConditionSource::Compare { value, op: *op, thousandths: *thousandths }
        }
        Condition::Level { column, equal, level } => {
            let column = fitting(schema, column, kind == EventKind::Order, is_key, A_KEY)?;
            ConditionSource::Level { column, equal: *equal, level: level.clone() }
        }
    })
}

/// The column whose text a text function reads.
pub fn text(schema: &Schema, tables: TablesPresent, function: TextFunction, name: &str) -> Result<usize, ResolveError> {
    use TextFunction as F;
    let fit = |roles: &[Role], expected| fitting(schema, name, true, |role| roles.contains(&role), expected);
    let table = match function {
        F::Free => Some(NeededTable::FreeDomains),
        F::Disposable => Some(NeededTable::DisposableDomains),
        _ => None,
    };
    let column = match function {
        F::Valid => fit(
            &[Role::Email, Role::Phone, Role::Ip, Role::Card, Role::Bin],
            "a column of role email, phone, ip, card or bin",
        ),
        F::Free | F::Disposable => fit(&[Role::Email], "a column of role email"),
        F::Private | F::V6 => fit(&[Role::Ip], "a column of role ip"),
        F::Bot | F::Mobile => fit(&[Role::UserAgent], "a column of role user_agent"),
        F::Length | F::DigitShare | F::Entropy | F::LongestRun => fitting(schema, name, true, is_text, A_TEXT),
    }?;
    table.map_or(Ok(()), |table| need(tables, table, function.name()))?;
    Ok(column)
}

fn is_text(role: Role) -> bool {
    is_key(role) || role == Role::Name
}

const A_TEXT: &str = "a column with text: an entity, a name, a category or a user agent";

/// The columns of `similarity(A, B)`.
pub fn similarity(schema: &Schema, a: &str, b: &str) -> Result<(usize, usize), ResolveError> {
    let one = |name| fitting(schema, name, true, is_text, A_TEXT);
    Ok((one(a)?, one(b)?))
}

/// The column of `number(COLUMN)`.
pub fn number(schema: &Schema, name: &str) -> Result<usize, ResolveError> {
    fitting(schema, name, true, Role::is_number, "a number column")
}

/// The column of `since(COLUMN)`.
pub fn timestamp(schema: &Schema, name: &str) -> Result<usize, ResolveError> {
    fitting(schema, name, true, |role| role == Role::Timestamp, "a column of role timestamp")
}

/// Whether accounts are linked by columns of this role.
pub fn is_thing(role: Role) -> bool {
    matches!(role, Role::Device | Role::Card | Role::Email | Role::Phone | Role::BillingAddress | Role::ShippingAddress)
}

/// The column of accounts, and those of the things that link them, in column order.
pub fn network(schema: &Schema) -> Result<(usize, Vec<usize>), ResolveError> {
    let account = of_role(schema, Role::Customer, "", true)?;
    let usable = |i: &usize| is_thing(schema.columns[*i].role) && schema.columns[*i].available == Available::Order;
    let things: Vec<usize> = (0..schema.columns.len()).filter(usable).collect();
    if things.is_empty() {
        let needs = "that links accounts: of role device, card, email, phone, billing_address or shipping_address";
        return Err(ResolveError::RoleMissing { name: String::new(), needs });
    }
    Ok((account, things))
}

/// The column of `accounts_per(COLUMN)`, one of those of [`network`].
pub fn thing(schema: &Schema, name: &str) -> Result<usize, ResolveError> {
    network(schema)?;
    fitting(schema, name, true, is_thing, "a device, card, address, e-mail or phone column")
}

/// Every column that a feature reads, in column order, each once; the way to check that it fits the schema.
pub fn columns(schema: &Schema, tables: TablesPresent, feature: &Feature) -> Result<Vec<usize>, ResolveError> {
    let mut columns = match feature {
        Feature::Amount => vec![of_role(schema, Role::Amount, "amount", true)?],
        Feature::Number(name) => vec![number(schema, name)?],
        Feature::Category(of) => vec![category(schema, tables, of)?.column],
        Feature::Hour | Feature::Weekday | Feature::Night | Feature::Weekend => {
            vec![of_role(schema, Role::Time, "", true)?]
        }
        Feature::Since(name) => vec![of_role(schema, Role::Time, "", true)?, timestamp(schema, name)?],
        Feature::Text { function, column } => vec![text(schema, tables, *function, column)?],
        Feature::Similarity(a, b) => {
            let (a, b) = similarity(schema, a, b)?;
            vec![a, b]
        }
        Feature::Mismatch(a, b) => vec![place(schema, tables, a)?.column, place(schema, tables, b)?.column],
        Feature::Km(a, b) => {
            let mut columns = point_columns(point(schema, tables, *a)?);
            columns.extend(point_columns(point(schema, tables, *b)?));
            columns
        }
        Feature::History(history) => history_columns(schema, tables, history)?,
        Feature::Network(network_feature) => {
            let time = of_role(schema, Role::Time, "", true)?;
            let (account, things) = network(schema)?;
            match network_feature {
                NetworkFeature::AccountsPer(name) => vec![time, account, thing(schema, name)?],
                _ => [time, account].into_iter().chain(things).collect(),
            }
        }
    };
    columns.sort_unstable();
    columns.dedup();
    Ok(columns)
}

/// The tables that a list of features cannot do without, given the schema's columns: none where the shop has a column for
/// what a table would say.
pub fn needed_tables(schema: &Schema, features: &[Feature]) -> Vec<NeededTable> {
    use NeededTable as T;
    let without = |table| TablesPresent {
        geo: table != T::Geo,
        bins: table != T::Bins,
        free_domains: table != T::FreeDomains,
        disposable_domains: table != T::DisposableDomains,
    };
    let needs = |table: &NeededTable| {
        let missing = |feature| columns(schema, without(*table), feature);
        features.iter().any(|feature| matches!(missing(feature), Err(ResolveError::TableMissing { .. })))
    };
    [T::Geo, T::Bins, T::FreeDomains, T::DisposableDomains].into_iter().filter(needs).collect()
}

fn point_columns(point: PointSource) -> Vec<usize> {
    match point {
        PointSource::Columns { latitude, longitude } => vec![latitude, longitude],
        PointSource::Ip { column } => vec![column],
    }
}

fn history_columns(schema: &Schema, tables: TablesPresent, history: &History) -> Result<Vec<usize>, ResolveError> {
    let mut columns = vec![of_role(schema, Role::Time, "", true)?];
    columns.extend(entity(schema, &history.entity)?.iter().map(|source| source.column));
    let kind = history.aggregate.kind();
    if kind.is_some_and(|kind| kind != EventKind::Order) {
        columns.push(of_role(schema, Role::Event, "", false)?);
    }
    match &history.aggregate {
        Aggregate::Sum(of)
        | Aggregate::Mean(of)
        | Aggregate::Deviation(of)
        | Aggregate::Min(of)
        | Aggregate::Max(of)
        | Aggregate::ZScore(of)
        | Aggregate::Ratio(of)
        | Aggregate::DecayedSum(of) => columns.push(value_column(schema, value(schema, &of.what, of.kind)?)),
        Aggregate::Distinct(part, kind) => columns.push(key(schema, part, *kind == EventKind::Order)?.column),
        Aggregate::Rate { per, norm, .. } => {
            if *per != EventKind::Order {
                columns.push(of_role(schema, Role::Event, "", false)?);
            }
            columns.extend(entity(schema, norm)?.iter().map(|source| source.column));
        }
        Aggregate::Speed(of) => columns.extend(point_columns(point(schema, tables, *of)?)),
        Aggregate::FraudCount | Aggregate::OrdersSinceFraud | Aggregate::FraudRate { .. } => {
            columns.extend(schema.find(Role::Label));
            columns.extend(schema.find(Role::LabelTime));
        }
        _ => {}
    }
    for one in &history.conditions {
        columns.push(match condition(schema, one, kind.unwrap_or_default())? {
            ConditionSource::Compare { value, .. } => value_column(schema, value),
            ConditionSource::Level { column, .. } => column,
        });
    }
    Ok(columns)
}

fn value_column(schema: &Schema, value: ValueSource) -> usize {
    match value {
        ValueSource::Amount(column) | ValueSource::Number(column) => column,
        ValueSource::Age => schema.find(Role::Id).expect("an age was resolved, so there is an id"),
    }
}
