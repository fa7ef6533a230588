//! The canonical text of a feature, which is also its name: reading it back gives an equal feature.

use std::fmt::{self, Display, Formatter};

use super::feature::{
    Aggregate, Comparison, Condition, EntityPart, Feature, History, NetworkFeature, Place, Point, TextFunction, Value,
    ValueOf, Window,
};
use crate::kind::EventKind;
use crate::time::Span;

/// Words that mean something between the names of a feature; a column of such a name is written in quotes.
pub(super) const KEYWORDS: [&str; 10] =
    ["by", "over", "delayed", "halflife", "shrink", "to", "where", "and", "of", "per"];
/// Entities that are no columns; a column of such a name is written in quotes.
pub(super) const DERIVED_ENTITIES: [&str; 4] = ["shop", "ip24", "email_domain", "bin"];
/// Values that are no number columns; a column of such a name is written in quotes.
pub(super) const OWN_VALUES: [&str; 2] = ["amount", "age"];

impl TextFunction {
    /// Every function, in the order of the documentation.
    pub const ALL: [Self; 11] = [
        Self::Valid,
        Self::Length,
        Self::DigitShare,
        Self::Entropy,
        Self::LongestRun,
        Self::Free,
        Self::Disposable,
        Self::Private,
        Self::V6,
        Self::Bot,
        Self::Mobile,
    ];

    /// The name in a feature.
    pub fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Length => "length",
            Self::DigitShare => "digit_share",
            Self::Entropy => "entropy",
            Self::LongestRun => "longest_run",
            Self::Free => "free",
            Self::Disposable => "disposable",
            Self::Private => "private",
            Self::V6 => "v6",
            Self::Bot => "bot",
            Self::Mobile => "mobile",
        }
    }
}

impl Place {
    /// The places that are no columns.
    pub const DERIVED: [Self; 7] = [
        Self::IpCountry,
        Self::BinCountry,
        Self::PhoneCountry,
        Self::EmailDomain,
        Self::AgentFamily,
        Self::AgentSystem,
        Self::BinKind,
    ];

    /// The name of a place that is no column.
    pub(super) fn derived_name(&self) -> Option<&'static str> {
        Some(match self {
            Self::Column(_) => return None,
            Self::IpCountry => "ip.country",
            Self::BinCountry => "bin.country",
            Self::PhoneCountry => "phone.country",
            Self::EmailDomain => "email.domain",
            Self::AgentFamily => "agent.family",
            Self::AgentSystem => "agent.system",
            Self::BinKind => "bin.kind",
        })
    }
}

impl Point {
    /// Every point.
    pub const ALL: [Self; 3] = [Self::Ip, Self::Billing, Self::Shipping];

    /// The name in a feature.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Billing => "billing",
            Self::Shipping => "shipping",
        }
    }
}

impl Comparison {
    /// The sign in a feature.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
            Self::Equal => "=",
            Self::Different => "!=",
        }
    }
}

/// Whether a byte may stand in a name without quotes.
pub(super) fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')
}

/// A text in double quotes; quotes and backslashes in it have a backslash before them.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

/// A column's name: bare where it is a plain word that means nothing else in its place.
pub(super) struct Name<'a>(pub(super) &'a str);

impl Display for Name<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let plain = !self.0.is_empty() && self.0.bytes().all(is_plain) && !KEYWORDS.contains(&self.0);
        if plain { f.write_str(self.0) } else { Quoted(self.0).fmt(f) }
    }
}

/// A column's name where some words mean something else.
fn name_beside(f: &mut Formatter<'_>, name: &str, mut others: impl Iterator<Item = &'static str>) -> fmt::Result {
    if others.any(|other| other == name) { Quoted(name).fmt(f) } else { Name(name).fmt(f) }
}

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Column(name) => name_beside(f, name, Self::DERIVED.iter().filter_map(Self::derived_name)),
            derived => f.write_str(derived.derived_name().expect("only a column has no name of its own")),
        }
    }
}

impl Display for Point {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Display for EntityPart {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (derived, column) = match self {
            Self::Shop => return f.write_str("shop"),
            Self::Column(name) => return name_beside(f, name, DERIVED_ENTITIES.into_iter()),
            Self::IpNetwork(column) => ("ip24", column),
            Self::EmailDomain(column) => ("email_domain", column),
            Self::Bin(column) => ("bin", column),
        };
        f.write_str(derived)?;
        column.as_ref().map_or(Ok(()), |column| write!(f, "({})", Name(column)))
    }
}

/// Entity parts with ` + ` between them.
pub(super) struct Entity<'a>(pub(super) &'a [EntityPart]);

impl Display for Entity<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (i, part) in self.0.iter().enumerate() {
            f.write_str(if i == 0 { "" } else { " + " })?;
            part.fmt(f)?;
        }
        Ok(())
    }
}

impl Display for ValueOf {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Amount => f.write_str("amount"),
            Self::Age => f.write_str("age"),
            Self::Number(name) => name_beside(f, name, OWN_VALUES.into_iter()),
        }
    }
}

impl Display for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.what.fmt(f)?;
        of_kind(f, self.kind)
    }
}

fn of_kind(f: &mut Formatter<'_>, kind: EventKind) -> fmt::Result {
    if kind == EventKind::Order { Ok(()) } else { write!(f, " of {kind}") }
}

/// A number of thousandths as people write it: `4.99`, `-5`.
pub(super) struct Thousandths(pub(super) i64);

impl Display for Thousandths {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, part) = (self.0.unsigned_abs() / 1_000, self.0.unsigned_abs() % 1_000);
        let digits = format!("{part:03}");
        let digits = digits.trim_end_matches('0');
        let point = if digits.is_empty() { "" } else { "." };
        write!(f, "{sign}{whole}{point}{digits}")
    }
}

/// The longest age that is written as a length of time; longer ones are seconds.
pub(super) const LONGEST_SPAN: Span = Span::days(3_660);

impl Display for Condition {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compare { value, op, thousandths } => {
                write!(f, "{value} {} ", op.sign())?;
                match value {
                    ValueOf::Age if *thousandths == 0 => f.write_str("0s"),
                    ValueOf::Age if (0..=LONGEST_SPAN.0).contains(thousandths) => Span(*thousandths).fmt(f),
                    _ => Thousandths(*thousandths).fmt(f),
                }
            }
            Self::Level { column, equal, level } => {
                let sign = if *equal { Comparison::Equal } else { Comparison::Different }.sign();
                name_beside(f, column, OWN_VALUES.into_iter())?;
                write!(f, " {sign} {}", Quoted(level))
            }
        }
    }
}

impl Display for Aggregate {
    /// The part before `by`; `shrink` and `to` stand behind the window and belong to the text of a [`History`].
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(kind) => write!(f, "count({kind})"),
            Self::Sum(value) => write!(f, "sum({value})"),
            Self::Mean(value) => write!(f, "mean({value})"),
            Self::Deviation(value) => write!(f, "deviation({value})"),
            Self::Min(value) => write!(f, "min({value})"),
            Self::Max(value) => write!(f, "max({value})"),
            Self::ZScore(value) => write!(f, "zscore({value})"),
            Self::Ratio(value) => write!(f, "ratio({value})"),
            Self::Distinct(part, kind) => {
                write!(f, "distinct({part}")?;
                of_kind(f, *kind)?;
                f.write_str(")")
            }
            Self::Share(kind) => write!(f, "share({kind})"),
            Self::Rate { of, per, .. } => write!(f, "rate({of} per {per})"),
            Self::DecayedCount(kind) => write!(f, "decayed_count({kind})"),
            Self::DecayedSum(value) => write!(f, "decayed_sum({value})"),
            Self::SinceFirst(kind) => write!(f, "since_first({kind})"),
            Self::SinceLast(kind) => write!(f, "since_last({kind})"),
            Self::IsNew => f.write_str("is_new"),
            Self::GapVariation(kind) => write!(f, "gap_variation({kind})"),
            Self::Speed(point) => write!(f, "speed({point})"),
            Self::FraudCount => f.write_str("fraud_count"),
            Self::OrdersSinceFraud => f.write_str("orders_since_fraud"),
            Self::FraudRate { .. } => f.write_str("fraud_rate"),
        }
    }
}

impl Display for Window {
    /// With a space before each clause.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let clauses = [
            ("over", self.over),
            ("/", self.versus),
            ("delayed", (self.delayed != Span::default()).then_some(self.delayed)),
            ("halflife", self.half_life),
        ];
        clauses.into_iter().try_for_each(|(word, span)| span.map_or(Ok(()), |span| write!(f, " {word} {span}")))
    }
}

impl Display for History {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {}{}", self.aggregate, Entity(&self.entity), self.window)?;
        if let Aggregate::Rate { shrink, .. } | Aggregate::FraudRate { shrink } = self.aggregate
            && shrink > 0
        {
            write!(f, " shrink {shrink}")?;
        }
        if let Aggregate::Rate { norm, .. } = &self.aggregate
            && !norm.is_empty()
        {
            write!(f, " to {}", Entity(norm))?;
        }
        for (i, condition) in self.conditions.iter().enumerate() {
            write!(f, " {} {condition}", if i == 0 { "where" } else { "and" })?;
        }
        Ok(())
    }
}

impl Display for NetworkFeature {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClusterSize => f.write_str("cluster_size"),
            Self::ClusterFrauds => f.write_str("cluster_frauds"),
            Self::ClusterNewLinks => f.write_str("cluster_new_links"),
            Self::AccountsPer(column) => write!(f, "accounts_per({})", Name(column)),
        }
    }
}

impl Display for Feature {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Amount => f.write_str("amount"),
            Self::Number(column) => write!(f, "number({})", Name(column)),
            Self::Category(place) => write!(f, "category({place})"),
            Self::Hour => f.write_str("hour"),
            Self::Weekday => f.write_str("weekday"),
            Self::Night => f.write_str("night"),
            Self::Weekend => f.write_str("weekend"),
            Self::Since(column) => write!(f, "since({})", Name(column)),
            Self::Text { function, column } => write!(f, "{}({})", function.name(), Name(column)),
            Self::Similarity(a, b) => write!(f, "similarity({}, {})", Name(a), Name(b)),
            Self::Mismatch(a, b) => write!(f, "mismatch({a}, {b})"),
            Self::Km(a, b) => write!(f, "km({a}, {b})"),
            Self::History(history) => history.fmt(f),
            Self::Network(network) => network.fmt(f),
        }
    }
}
