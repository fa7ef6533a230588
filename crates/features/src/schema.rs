//! What each column of a shop's data means: its role, how its text is read, and when it is known.

use std::collections::{HashMap, HashSet};
use std::fmt;

use crate::time::Span;

/// What a column is for. In `schema.toml` the variants are written in snake case (`label_time`, `billing_address`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The order's identifier; a repeated one is ignored and counted.
    Id,
    /// When the order happened.
    Time,
    /// 1 = fraud, 0 = honest, empty = unlabelled.
    Label,
    /// When the shop learned the label.
    LabelTime,
    /// The order's value, kept as an exact integer.
    Amount,
    /// The currency of the amount (ISO 4217 letters).
    Currency,
    /// Entity: the account that buys.
    Customer,
    /// Entity: the payment card; full numbers are hashed at once.
    Card,
    /// Entity: the device or browser fingerprint.
    Device,
    /// Entity: the network address (IPv4, IPv6, or an IPv4 address as a decimal number).
    Ip,
    /// Entity: e-mail address.
    Email,
    /// Entity: telephone number.
    Phone,
    /// Entity: where the bill goes.
    BillingAddress,
    /// Entity: where the goods go.
    ShippingAddress,
    /// Entity: who sells, a merchant or terminal.
    Merchant,
    /// Entity: the issuer number of the card, its first six or eight digits.
    Bin,
    /// Entity: the coupon or voucher that was used.
    Coupon,
    /// Entity: what was bought, as one text or hash; equal baskets have equal ones.
    Basket,
    /// The kind of event that a row is (see [`EventKind`](crate::kind::EventKind)); without such a column all rows are orders.
    Event,
    /// Identifier of an event of any kind; a repeated one is ignored and counted. (`id` names the order that a row is, or is
    /// about.)
    EventId,
    /// When the shop knew of the event; without it, the time of the event.
    KnownAt,
    /// The customer's or card holder's name: compared with other texts, never stored.
    Name,
    /// The browser's own description of itself.
    UserAgent,
    /// Country where the card was issued.
    CardCountry,
    /// Country of the network address, where the shop looks it up itself.
    IpCountry,
    /// Country of the bill's address.
    BillingCountry,
    /// State or province of the bill's address.
    BillingRegion,
    /// Postal code of the bill's address.
    BillingPostcode,
    /// Degrees north of the bill's address.
    BillingLatitude,
    /// Degrees east of the bill's address.
    BillingLongitude,
    /// Country of the delivery's address.
    ShippingCountry,
    /// State or province of the delivery's address.
    ShippingRegion,
    /// Postal code of the delivery's address.
    ShippingPostcode,
    /// Degrees north of the delivery's address.
    ShippingLatitude,
    /// Degrees east of the delivery's address.
    ShippingLongitude,
    /// Degrees north of the network address, where the shop looks it up itself.
    IpLatitude,
    /// Degrees east of the network address, where the shop looks it up itself.
    IpLongitude,
    /// One of a few levels.
    Category,
    /// A quantity.
    Number,
    /// Another point in time than the order's, such as the sign-up; the feature is the seconds from it to the order.
    Timestamp,
    /// Free text; not used by this version, kept out of the model.
    Text,
    /// Not read.
    Ignored,
}

impl Role {
    /// Every role, in the order of the documentation.
    pub const ALL: [Self; 42] = [
        Self::Id,
        Self::Time,
        Self::Label,
        Self::LabelTime,
        Self::Amount,
        Self::Currency,
        Self::Customer,
        Self::Card,
        Self::Device,
        Self::Ip,
        Self::Email,
        Self::Phone,
        Self::BillingAddress,
        Self::ShippingAddress,
        Self::Merchant,
        Self::Bin,
        Self::Coupon,
        Self::Basket,
        Self::Event,
        Self::EventId,
        Self::KnownAt,
        Self::Name,
        Self::UserAgent,
        Self::CardCountry,
        Self::IpCountry,
        Self::BillingCountry,
        Self::BillingRegion,
        Self::BillingPostcode,
        Self::BillingLatitude,
        Self::BillingLongitude,
        Self::ShippingCountry,
        Self::ShippingRegion,
        Self::ShippingPostcode,
        Self::ShippingLatitude,
        Self::ShippingLongitude,
        Self::IpLatitude,
        Self::IpLongitude,
        Self::Category,
        Self::Number,
        Self::Timestamp,
        Self::Text,
        Self::Ignored,
    ];

    /// Whether history is counted over this column's values.
    pub fn is_entity(self) -> bool {
        matches!(
            self,
            Self::Customer
                | Self::Card
                | Self::Device
                | Self::Ip
                | Self::Email
                | Self::Phone
                | Self::BillingAddress
                | Self::ShippingAddress
                | Self::Merchant
                | Self::Bin
                | Self::Coupon
                | Self::Basket
        )
    }

    /// Whether the column holds one of a few levels, so that it can be a category feature.
    pub fn is_category(self) -> bool {
        matches!(
            self,
            Self::Category
                | Self::Currency
                | Self::CardCountry
                | Self::IpCountry
                | Self::BillingCountry
                | Self::BillingRegion
                | Self::ShippingCountry
                | Self::ShippingRegion
        )
    }

    /// Whether the column holds a quantity.
    pub fn is_number(self) -> bool {
        matches!(
            self,
            Self::Number
                | Self::BillingLatitude
                | Self::BillingLongitude
                | Self::ShippingLatitude
                | Self::ShippingLongitude
                | Self::IpLatitude
                | Self::IpLongitude
        )
    }

    /// Whether at most one column may have this role.
    pub fn is_single(self) -> bool {
        matches!(
            self,
            Self::Id
                | Self::Time
                | Self::Label
                | Self::LabelTime
                | Self::Amount
                | Self::Currency
                | Self::Event
                | Self::EventId
                | Self::KnownAt
                | Self::CardCountry
                | Self::IpCountry
                | Self::BillingCountry
                | Self::BillingRegion
                | Self::BillingPostcode
                | Self::BillingLatitude
                | Self::BillingLongitude
                | Self::ShippingCountry
                | Self::ShippingRegion
                | Self::ShippingPostcode
                | Self::ShippingLatitude
                | Self::ShippingLongitude
                | Self::IpLatitude
                | Self::IpLongitude
        )
    }

    /// The name in `schema.toml`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Time => "time",
            Self::Label => "label",
            Self::LabelTime => "label_time",
            Self::Amount => "amount",
            Self::Currency => "currency",
            Self::Customer => "customer",
            Self::Card => "card",
            Self::Device => "device",
            Self::Ip => "ip",
            Self::Email => "email",
            Self::Phone => "phone",
            Self::BillingAddress => "billing_address",
            Self::ShippingAddress => "shipping_address",
            Self::Merchant => "merchant",
            Self::Bin => "bin",
            Self::Coupon => "coupon",
            Self::Basket => "basket",
            Self::Event => "event",
            Self::EventId => "event_id",
            Self::KnownAt => "known_at",
            Self::Name => "name",
            Self::UserAgent => "user_agent",
            Self::CardCountry => "card_country",
            Self::IpCountry => "ip_country",
            Self::BillingCountry => "billing_country",
            Self::BillingRegion => "billing_region",
            Self::BillingPostcode => "billing_postcode",
            Self::BillingLatitude => "billing_latitude",
            Self::BillingLongitude => "billing_longitude",
            Self::ShippingCountry => "shipping_country",
            Self::ShippingRegion => "shipping_region",
            Self::ShippingPostcode => "shipping_postcode",
            Self::ShippingLatitude => "shipping_latitude",
            Self::ShippingLongitude => "shipping_longitude",
            Self::IpLatitude => "ip_latitude",
            Self::IpLongitude => "ip_longitude",
            Self::Category => "category",
            Self::Number => "number",
            Self::Timestamp => "timestamp",
            Self::Text => "text",
            Self::Ignored => "ignored",
        }
    }

    /// The role of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// When the shop knows a column's value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Available {
    /// Known when the order is placed: may be a feature of that order.
    #[default]
    Order,
    /// Known only later: never a feature of its own order.
    Later,
}

/// How the text of a time column is read; decided once per column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeFormat {
    /// `2018-04-01T00:00:31.250+02:00`, `2018-04-01 00:00:31`, `2018-04-01`; also with `/` or `.` between year, month and day.
    Iso,
    /// Seconds since 1970, with or without a fraction.
    EpochSeconds,
    /// Milliseconds since 1970.
    EpochMillis,
    /// `2/24/2015 22:55`, two-digit years are 2000 + yy; seconds and AM/PM optional.
    MonthDayYear,
    /// `24/2/2015 22:55` or `24.02.2015 22:55`.
    DayMonthYear,
}

/// One column of the shop's data.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// The name in the file's header.
    pub name: String,
    /// What the column is for.
    pub role: Role,
    /// When the value is known; default `order`.
    #[serde(default)]
    pub available: Available,
    /// How times are read; set for `time`, `label_time` and `timestamp` columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<TimeFormat>,
}

/// The meaning of a shop's data, kept in `schema.toml` and in the model.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schema {
    /// IANA name of the zone that times without an offset are in, and that local hours are computed for.
    #[serde(default = "utc")]
    pub timezone: String,
    /// How long after an order its label is due; orders younger than this are never taken as honest.
    #[serde(default = "default_label_delay")]
    pub label_delay: Span,
    /// How many decimal digits amounts are kept with: 2 keeps cents. A value with more is a bad row, never rounded.
    #[serde(default = "two")]
    pub amount_decimals: u8,
    /// The columns, in the order of the file they were inferred from.
    #[serde(rename = "column")]
    pub columns: Vec<Column>,
}

fn utc() -> String {
    "UTC".into()
}

fn default_label_delay() -> Span {
    Span::days(7)
}

fn two() -> u8 {
    2
}

impl Schema {
    /// Position of the first column with this role.
    pub fn find(&self, role: Role) -> Option<usize> {
        self.columns.iter().position(|c| c.role == role)
    }

    /// Position of the column of this name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name == name)
    }

    /// Positions of the entity columns, in column order. An entity known only later is still an entity of history, but
    /// this version learns nothing from it, so it is left out.
    pub fn entity_columns(&self) -> Vec<usize> {
        (0..self.columns.len())
            .filter(|&i| self.columns[i].role.is_entity() && self.columns[i].available == Available::Order)
            .collect()
    }

    /// Reads `schema.toml` and checks it.
    pub fn from_toml(text: &str) -> Result<Self, SchemaError> {
        let schema: Self = toml::from_str(text).map_err(|e| SchemaError::Toml { message: e.to_string() })?;
        schema.check()?;
        Ok(schema)
    }

    /// The text of `schema.toml`; reading it back gives an equal schema.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a schema holds only strings, numbers and arrays of tables")
    }

    /// Checks what no single field can say: single roles, unique names, known zone, formats where times are read.
    pub fn check(&self) -> Result<(), SchemaError> {
        if jiff::tz::TimeZone::get(&self.timezone).is_err() {
            return Err(SchemaError::UnknownTimezone { found: self.timezone.clone() });
        }
        if self.amount_decimals > 6 {
            return Err(SchemaError::AmountDecimals { found: self.amount_decimals });
        }
        let mut names = HashSet::with_capacity(self.columns.len());
        let mut single: HashMap<Role, &str> = HashMap::new();
        for column in &self.columns {
            if !names.insert(column.name.as_str()) {
                return Err(SchemaError::DuplicateColumn { name: column.name.clone() });
            }
            if column.role.is_single()
                && let Some(first) = single.insert(column.role, &column.name)
            {
                return Err(SchemaError::RoleTwice {
                    role: column.role,
                    first: first.to_owned(),
                    second: column.name.clone(),
                });
            }
            let is_time = matches!(column.role, Role::Time | Role::KnownAt | Role::LabelTime | Role::Timestamp);
            if is_time && column.format.is_none() {
                return Err(SchemaError::FormatMissing { name: column.name.clone() });
            }
        }
        if self.find(Role::LabelTime).is_some() && self.find(Role::Time).is_none() {
            return Err(SchemaError::LabelTimeWithoutTime);
        }
        Ok(())
    }

    /// A hash of all that decides how a row is read: equal schemas have equal fingerprints on every machine.
    pub fn fingerprint(&self) -> u64 {
        let mut bytes = Vec::new();
        bytes.extend(self.timezone.as_bytes());
        bytes.push(0);
        bytes.extend(self.label_delay.0.to_le_bytes());
        bytes.push(self.amount_decimals);
        for column in self.columns.iter().filter(|c| c.role != Role::Ignored) {
            bytes.extend((column.name.len() as u64).to_le_bytes());
            bytes.extend(column.name.as_bytes());
            bytes.extend(column.role.name().as_bytes());
            bytes.push(u8::from(column.available == Available::Later));
            bytes.push(column.format.map_or(0, |f| 1 + f as u8));
        }
        xxhash_rust::xxh3::xxh3_64(&bytes)
    }
}

/// A schema that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SchemaError {
    /// The text is not a `schema.toml`.
    Toml {
        /// The parser's message, with line and column.
        message: String,
    },
    /// The time zone is not in the IANA database.
    UnknownTimezone {
        /// The name found.
        found: String,
    },
    /// More decimals than exact sums allow.
    AmountDecimals {
        /// The number found.
        found: u8,
    },
    /// Two columns have one name.
    DuplicateColumn {
        /// The name.
        name: String,
    },
    /// Two columns have a role that only one may have.
    RoleTwice {
        /// The role.
        role: Role,
        /// The first column with it.
        first: String,
        /// The second column with it.
        second: String,
    },
    /// A time column does not say how its text is read.
    FormatMissing {
        /// The column.
        name: String,
    },
    /// Labels have times but orders do not.
    LabelTimeWithoutTime,
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Toml { message } => write!(f, "schema: {message}"),
            Self::UnknownTimezone { found } => {
                write!(f, "schema: timezone: expected an IANA name such as Europe/Warsaw, found {found:?}")
            }
            Self::AmountDecimals { found } => write!(f, "schema: amount_decimals: expected 0 to 6, found {found}"),
            Self::DuplicateColumn { name } => write!(f, "schema: column {name:?} stands twice"),
            Self::RoleTwice { role, first, second } => {
                write!(f, "schema: role {role}: expected one column, found {first:?} and {second:?}")
            }
            Self::FormatMissing { name } => write!(
                f,
                "schema: column {name:?}: expected a format (iso, epoch_seconds, epoch_millis, month_day_year, day_month_year), found none"
            ),
            Self::LabelTimeWithoutTime => write!(f, "schema: a label_time column needs a time column beside it"),
        }
    }
}

impl std::error::Error for SchemaError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, role: Role) -> Column {
        Column { name: name.into(), role, available: Available::Order, format: None }
    }

    fn schema(columns: Vec<Column>) -> Schema {
        Schema { timezone: "UTC".into(), label_delay: Span::days(7), amount_decimals: 2, columns }
    }

    #[test]
    fn toml_round_trip() {
        let mut s = schema(vec![column("order \"no\"", Role::Id), column("at", Role::Time), column("ip", Role::Ip)]);
        s.columns[1].format = Some(TimeFormat::MonthDayYear);
        s.columns[2].available = Available::Later;
        assert_eq!(Schema::from_toml(&s.to_toml()).unwrap(), s);
    }

    #[test]
    fn refuses_what_no_field_can_say() {
        let twice = schema(vec![column("a", Role::Label), column("b", Role::Label)]);
        assert!(matches!(twice.check(), Err(SchemaError::RoleTwice { .. })));
        let same = schema(vec![column("a", Role::Number), column("a", Role::Category)]);
        assert!(matches!(same.check(), Err(SchemaError::DuplicateColumn { .. })));
        let no_format = schema(vec![column("a", Role::Time)]);
        assert!(matches!(no_format.check(), Err(SchemaError::FormatMissing { .. })));
        let mut zone = schema(vec![]);
        zone.timezone = "Mars/Olympus".into();
        assert!(matches!(zone.check(), Err(SchemaError::UnknownTimezone { .. })));
        assert!(matches!(Schema::from_toml("column = 3"), Err(SchemaError::Toml { .. })));
    }

    #[test]
    fn fingerprint_sees_roles_and_ignores_ignored() {
        let a = schema(vec![column("a", Role::Number), column("x", Role::Ignored)]);
        let b = schema(vec![column("a", Role::Number)]);
        let c = schema(vec![column("a", Role::Category)]);
        assert_eq!(a.fingerprint(), b.fingerprint());
        assert_ne!(b.fingerprint(), c.fingerprint());
    }
}
