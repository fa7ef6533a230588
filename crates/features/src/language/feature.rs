//! What a feature is, as far as its text says it: names are still names here.

use crate::kind::EventKind;
use crate::time::Span;

/// The value of a history feature of an entity without history, for features that are never negative in themselves.
pub const FIRST_SEEN: f32 = -1.0;
/// The same for z-scores, which are cut to [-[`MAX_Z_SCORE`], [`MAX_Z_SCORE`]].
pub const FIRST_SEEN_Z_SCORE: f32 = -1_000.0;
/// Whether the value of a history feature says that its entity was never seen before.
pub fn is_first_seen(value: f32) -> bool {
    value == FIRST_SEEN || value == FIRST_SEEN_Z_SCORE
}

/// The largest z-score, in standard deviations.
pub const MAX_Z_SCORE: f64 = 100.0;

/// One feature of an order. Its text form is also its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Feature {
    /// `amount`: the order's amount in major units.
    Amount,
    /// `number(COLUMN)`: a quantity as it was sent.
    Number(String),
    /// `category(PLACE)`: the position of the level in the model's vocabulary, its length for rare and unseen levels.
    Category(Place),
    /// `hour`: local hour of the day, 0 to 23.
    Hour,
    /// `weekday`: local day of the week, 0 = Monday to 6 = Sunday.
    Weekday,
    /// `night`: 1 when the local hour is 0 to 6, else 0 (the hours of the Fraud Detection Handbook, chapter 3).
    Night,
    /// `weekend`: 1 on Saturday and Sunday, else 0.
    Weekend,
    /// `since(COLUMN)`: seconds from another point in time to the order; negative when it lies later.
    Since(String),
    /// `FUNCTION(COLUMN)`: a property of one text, such as `entropy(email)`.
    Text {
        /// What is computed.
        function: TextFunction,
        /// The column.
        column: String,
    },
    /// `similarity(COLUMN, COLUMN)`: 0 (nothing in common) to 1 (the same after normalisation).
    Similarity(String, String),
    /// `mismatch(PLACE, PLACE)`: 1 when both are there and differ, 0 when they agree, missing otherwise.
    Mismatch(Place, Place),
    /// `km(POINT, POINT)`: great-circle distance.
    Km(Point, Point),
    /// An aggregate over the history of an entity.
    History(History),
    /// A property of the cluster of accounts that are linked by shared things.
    Network(NetworkFeature),
}

/// A property of one text. Missing text: NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TextFunction {
    /// `valid`: 1 when an e-mail address, phone number, IP address or card number is well formed.
    Valid,
    /// `length`: characters (of an e-mail address: of its local part).
    Length,
    /// `digit_share`: share of digits among the characters (of an e-mail address: of its local part).
    DigitShare,
    /// `entropy`: Shannon entropy of the characters, in bits (of an e-mail address: of its local part).
    Entropy,
    /// `longest_run`: length of the longest run of one kind of character: equal ones, consonants or digits.
    LongestRun,
    /// `free`: 1 when the e-mail domain is in the user's list of free providers.
    Free,
    /// `disposable`: 1 when the e-mail domain is in the user's list of throw-away providers.
    Disposable,
    /// `private`: 1 for an address of a private, loop-back, link-local, shared or reserved network.
    Private,
    /// `v6`: 1 for IP version 6, 0 for version 4.
    V6,
    /// `bot`: 1 when a user agent names an automation tool, a library or a headless browser.
    Bot,
    /// `mobile`: 1 when a user agent names a phone or tablet.
    Mobile,
}

/// Something with a country, region or other level: a column, or what a table says of one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// A column, by name or by role (`billing.country` is the column of role `billing_country`).
    Column(String),
    /// `ip.country`: the column of role `ip_country`, else what the user's MaxMind database says of the IP column.
    IpCountry,
    /// `bin.country`: the column of role `card_country`, else what the user's BIN table says of the BIN or card column.
    BinCountry,
    /// `phone.country`: the country of the number's international prefix.
    PhoneCountry,
    /// `email.domain`: the registrable domain of the e-mail address.
    EmailDomain,
    /// `agent.family`: browser family of the user agent.
    AgentFamily,
    /// `agent.system`: operating system of the user agent.
    AgentSystem,
    /// `bin.kind`: credit, debit, prepaid, as the user's BIN table says.
    BinKind,
}

/// Something with coordinates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Point {
    /// `ip`: columns `ip_latitude` and `ip_longitude`, else the user's MaxMind database.
    Ip,
    /// `billing`: columns `billing_latitude` and `billing_longitude`.
    Billing,
    /// `shipping`: columns `shipping_latitude` and `shipping_longitude`.
    Shipping,
}

/// An aggregate over the events of an entity that were known before the order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct History {
    /// What is computed.
    pub aggregate: Aggregate,
    /// Whose events are looked at: `by card`, `by customer + device` (one to three parts).
    pub entity: Vec<EntityPart>,
    /// Which of them, by time.
    pub window: Window,
    /// `where amount < 5 and reason = "damaged"`: all must hold; a missing value fulfils no condition.
    pub conditions: Vec<Condition>,
}

/// One part of an entity.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EntityPart {
    /// `shop`: one entity for all events.
    Shop,
    /// A column with text, by name or by role.
    Column(String),
    /// `ip24(COLUMN)`, or `ip24` for the only IP column: its network, /24 of version 4 and /48 of version 6.
    IpNetwork(Option<String>),
    /// `email_domain(COLUMN)`, or `email_domain`: the registrable domain.
    EmailDomain(Option<String>),
    /// `bin(COLUMN)`, or `bin`: the BIN column, else the first six digits of the card column.
    Bin(Option<String>),
}

/// What is computed over the events. `of KIND` may be left out for orders.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Aggregate {
    /// `count(KIND)`.
    Count(EventKind),
    /// `sum(VALUE of KIND)`, in major units and the order's currency where the value is the amount.
    Sum(Value),
    /// `mean(VALUE of KIND)`; 0 without events.
    Mean(Value),
    /// `deviation(VALUE of KIND)`: sample standard deviation; 0 with fewer than two events.
    Deviation(Value),
    /// `min(VALUE of KIND)`; 0 without events.
    Min(Value),
    /// `max(VALUE of KIND)`; 0 without events.
    Max(Value),
    /// `zscore(VALUE)`: this order's value, less the mean of the entity's orders, over their deviation; 0 where that is 0.
    ZScore(Value),
    /// `ratio(VALUE)`: this order's value over the mean of the entity's orders; 0 where that is not positive.
    Ratio(Value),
    /// `distinct(COLUMN of KIND)`: distinct values of an entity or category column; counts at most the newest exact events.
    Distinct(EntityPart, EventKind),
    /// `share(KIND)`: share of the events of the kind that fulfil the conditions; 0 without events.
    Share(EventKind),
    /// `rate(KIND per KIND)`: events of the first kind for each of the second; with `shrink N`: (a + N p) / (b + N), where
    /// p is the rate of the whole shop in the same window. The conditions hold for the first kind.
    Rate {
        /// Counted.
        of: EventKind,
        /// Counted below the line.
        per: EventKind,
        /// Pseudo-events of the shop's rate; 0 for none.
        shrink: u32,
        /// `to ENTITY`: divided by the same (unshrunk) rate of another entity, the norm, such as the category's; 0 where the
        /// norm is 0.
        norm: Vec<EntityPart>,
    },
    /// `decayed_count(KIND)` with `halflife SPAN`: each event counts 2^(-age / half-life).
    DecayedCount(EventKind),
    /// `decayed_sum(VALUE of KIND)` with `halflife SPAN`.
    DecayedSum(Value),
    /// `since_first(KIND)`: seconds.
    SinceFirst(EventKind),
    /// `since_last(KIND)`: seconds.
    SinceLast(EventKind),
    /// `is_new`: 1 when the entity (mostly a pair, `is_new by customer + device`) has no history, else 0.
    IsNew,
    /// `gap_variation(KIND)`: coefficient of variation of the times between events; 0 with fewer than three events.
    GapVariation(EventKind),
    /// `speed(ip)`: km/h from where the entity's latest event was, to where this order is; 0 without an earlier place.
    Speed(Point),
    /// `fraud_count`: orders of the entity resolved in the window and known as fraud.
    FraudCount,
    /// `orders_since_fraud`: orders resolved in the window after the latest of it that is known as fraud; -1 without one.
    OrdersSinceFraud,
    /// `fraud_rate`: that count over the number of orders resolved in the window; 0 when there are none. `shrink N` as for
    /// rates.
    FraudRate {
        /// Pseudo-orders of the shop's rate; 0 for none.
        shrink: u32,
    },
}

/// A value of an event.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Value {
    /// Which one.
    pub what: ValueOf,
    /// Of events of this kind.
    pub kind: EventKind,
}

/// Which value of an event.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ValueOf {
    /// `amount`.
    Amount,
    /// `age`: seconds from the order that the event is about to the event.
    Age,
    /// A number column.
    Number(String),
}

/// Which events by time: those in `[t - delay - over, t - delay)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Window {
    /// `over SPAN`, 1 minute to 90 days; lifetime without.
    pub over: Option<Span>,
    /// `/ SPAN`: the aggregate over the first window divided by that over this one; 0 where that is 0.
    pub versus: Option<Span>,
    /// `delayed SPAN`.
    pub delayed: Span,
    /// `halflife SPAN` of decayed aggregates.
    pub half_life: Option<Span>,
}

/// A condition on an event.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Condition {
    /// `amount < 5`, `age >= 14d`, `n_items > 3`. The constant is in thousandths of the value's unit (major units of
    /// money, seconds, the number itself), so that it is exact.
    Compare {
        /// Left side.
        value: ValueOf,
        /// Comparison.
        op: Comparison,
        /// Right side, in thousandths.
        thousandths: i64,
    },
    /// `reason = "damaged"`, `channel != "shop"`.
    Level {
        /// Column with text, by name or role.
        column: String,
        /// Whether it must be equal (or different).
        equal: bool,
        /// The level.
        level: String,
    },
}

/// How a value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
    /// `=`
    Equal,
    /// `!=`
    Different,
}

/// A property of the cluster of the order's account, as it was known before the order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum NetworkFeature {
    /// `cluster_size`: accounts linked by shared things; 1 for an account alone, first seen for a new one without links.
    ClusterSize,
    /// `cluster_frauds`: frauds known so far of the cluster's accounts.
    ClusterFrauds,
    /// `cluster_new_links`: shared things of this order that this account never used before and other accounts did.
    ClusterNewLinks,
    /// `accounts_per(COLUMN)`: accounts seen with this device, card, address, e-mail or phone; at most the hub limit + 1.
    AccountsPer(String),
}

impl Aggregate {
    /// The kind of events that are looked at, which is also what conditions speak of; `None` where the aggregate names none.
    pub fn kind(&self) -> Option<EventKind> {
        match self {
            Self::Count(kind)
            | Self::Distinct(_, kind)
            | Self::Share(kind)
            | Self::Rate { of: kind, .. }
            | Self::DecayedCount(kind)
            | Self::SinceFirst(kind)
            | Self::SinceLast(kind)
            | Self::GapVariation(kind) => Some(*kind),
            Self::Sum(value)
            | Self::Mean(value)
            | Self::Deviation(value)
            | Self::Min(value)
            | Self::Max(value)
            | Self::ZScore(value)
            | Self::Ratio(value)
            | Self::DecayedSum(value) => Some(value.kind),
            Self::IsNew | Self::Speed(_) | Self::FraudCount | Self::OrdersSinceFraud | Self::FraudRate { .. } => None,
        }
    }
}

impl Feature {
    /// The value of the feature for an entity without history.
    pub fn first_seen(&self) -> f32 {
        match self {
            Self::History(History { aggregate: Aggregate::ZScore(_), .. }) => FIRST_SEEN_Z_SCORE,
            _ => FIRST_SEEN,
        }
    }
}
