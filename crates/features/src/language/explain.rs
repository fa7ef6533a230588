//! Each feature in one plain sentence, and the columns that it needs.

use super::feature::{
    Aggregate, Comparison, Condition, EntityPart, Feature, History, NetworkFeature, Place, Point, TextFunction, Value,
    ValueOf, Window,
};
use super::resolve::{self, ResolveError, TablesPresent};
use super::text::{Quoted, Thousandths};
use crate::kind::EventKind;
use crate::schema::{Role, Schema};
use crate::time::Span;

/// A feature as a person reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// The feature's text.
    pub feature: String,
    /// What it says.
    pub sentence: String,
    /// The names of the columns that it reads, in the order of the schema.
    pub columns: Vec<String>,
}

/// Explains a list of features; fails at the first that does not fit the schema or the tables.
pub fn explain_all(
    schema: &Schema,
    tables: TablesPresent,
    features: &[Feature],
) -> Result<Vec<Explained>, ResolveError> {
    let one = |feature: &Feature| {
        let columns = resolve::columns(schema, tables, feature)?;
        Ok(Explained {
            feature: feature.to_string(),
            sentence: explain(schema, feature),
            columns: columns.into_iter().map(|column| schema.columns[column].name.clone()).collect(),
        })
    };
    features.iter().map(one).collect()
}

/// One sentence, without a capital and a full stop. Columns are called by their roles where those say what they are, by
/// their names otherwise; a name that the schema does not have stands as it is.
///
/// ```
/// use orderguard_features::language::{explain::explain, feature::Feature};
/// use orderguard_features::schema::Schema;
/// let schema = Schema::from_toml("[[column]]\nname = 'pan'\nrole = 'card'").unwrap();
/// let feature = Feature::parse("count(order) by pan over 1d").unwrap();
/// assert_eq!(explain(&schema, &feature), "how many orders the card had in the 24 hours before");
/// ```
pub fn explain(schema: &Schema, feature: &Feature) -> String {
    let words = Words { schema };
    match feature {
        Feature::Amount => "the order's amount".into(),
        Feature::Number(name) => format!("the order's {}", words.noun(name)),
        Feature::Category(place) => format!("which {} the order has", words.place(place)),
        Feature::Hour => "the local hour of the order, 0 to 23".into(),
        Feature::Weekday => "the local day of the week, 0 for Monday to 6 for Sunday".into(),
        Feature::Night => "whether the local hour of the order is 0 to 6".into(),
        Feature::Weekend => "whether the order came on a Saturday or Sunday".into(),
        Feature::Since(name) => format!("seconds from {} to the order", words.noun(name)),
        Feature::Text { function, column } => words.text(*function, column),
        Feature::Similarity(a, b) => {
            format!("how alike the {} and the {} are, 0 to 1", words.noun(a), words.noun(b))
        }
        Feature::Mismatch(a, b) => format!("whether the {} and the {} differ", words.place(a), words.place(b)),
        Feature::Km(a, b) => format!("the distance in km from {} to {}", point(*a), point(*b)),
        Feature::History(history) => words.history(history),
        Feature::Network(network) => words.network(network),
    }
}

struct Words<'a> {
    schema: &'a Schema,
}

impl Words<'_> {
    /// What a column is called: `card`, or its name in quotes.
    fn noun(&self, name: &str) -> String {
        let Ok(column) = resolve::column(self.schema, name) else { return Quoted(name).to_string() };
        let column = &self.schema.columns[column];
        let only = self.schema.columns.iter().filter(|other| other.role == column.role).count() == 1;
        match role_noun(column.role) {
            Some((one, _)) if only => one.into(),
            Some((one, _)) => format!("{one} {}", Quoted(&column.name)),
            None => Quoted(&column.name).to_string(),
        }
    }

    /// The same for several.
    fn nouns(&self, part: &EntityPart) -> String {
        match part {
            EntityPart::Column(name) => {
                let role = resolve::column(self.schema, name).map(|column| self.schema.columns[column].role);
                match role.ok().and_then(role_noun) {
                    Some((_, many)) => many.into(),
                    None => format!("values of {}", self.noun(name)),
                }
            }
            EntityPart::IpNetwork(_) => "networks of IP addresses".into(),
            EntityPart::EmailDomain(_) => "e-mail domains".into(),
            EntityPart::Bin(_) => "card issuers".into(),
            EntityPart::Shop => "shops".into(),
        }
    }

    fn part(&self, part: &EntityPart) -> String {
        match part {
            EntityPart::Shop => "shop".into(),
            EntityPart::Column(name) => self.noun(name),
            EntityPart::IpNetwork(_) => "network of the IP address".into(),
            EntityPart::EmailDomain(_) => "e-mail domain".into(),
            EntityPart::Bin(_) => "card's issuer".into(),
        }
    }

    /// `the card`, `this customer with this device`.
    fn entity(&self, parts: &[EntityPart]) -> String {
        match parts {
            [EntityPart::Shop] => "the whole shop".into(),
            [part] => format!("the {}", self.part(part)),
            parts => parts.iter().map(|part| format!("this {}", self.part(part))).collect::<Vec<_>>().join(" with "),
        }
    }

    fn place(&self, place: &Place) -> String {
        match place {
            Place::Column(name) => self.noun(name),
            Place::IpCountry => "country of the IP address".into(),
            Place::BinCountry => "country of the card's issuer".into(),
            Place::PhoneCountry => "country of the phone number".into(),
            Place::EmailDomain => "e-mail domain".into(),
            Place::AgentFamily => "browser".into(),
            Place::AgentSystem => "operating system".into(),
            Place::BinKind => "kind of card".into(),
        }
    }

    fn text(&self, function: TextFunction, name: &str) -> String {
        let noun = self.noun(name);
        match function {
            TextFunction::Valid => format!("whether the {noun} is well formed"),
            TextFunction::Length => format!("how many characters the {noun} has"),
            TextFunction::DigitShare => format!("which share of the {noun} is digits"),
            TextFunction::Entropy => format!("how random the characters of the {noun} are, in bits"),
            TextFunction::LongestRun => {
                format!("the longest run of equal characters, consonants or digits in the {noun}")
            }
            TextFunction::Free => format!("whether the domain of the {noun} is a free provider's"),
            TextFunction::Disposable => format!("whether the domain of the {noun} is a throw-away provider's"),
            TextFunction::Private => format!("whether the {noun} belongs to a private or reserved network"),
            TextFunction::V6 => format!("whether the {noun} is of version 6"),
            TextFunction::Bot => format!("whether the {noun} names an automation tool"),
            TextFunction::Mobile => format!("whether the {noun} names a phone or tablet"),
        }
    }

    fn value(&self, value: &ValueOf) -> String {
        match value {
            ValueOf::Amount => "amount".into(),
            ValueOf::Age => "age (seconds from the order to the event)".into(),
            ValueOf::Number(name) => self.noun(name),
        }
    }

    fn condition(&self, condition: &Condition) -> String {
        match condition {
            // What names no order has no age, and hardly anything comes before the order that it names.
            Condition::Compare { value: ValueOf::Age, op: Comparison::AtLeast, thousandths: 0 } => {
                "about a known order".into()
            }
            Condition::Compare { value: ValueOf::Age, op, thousandths } => {
                let length = if *thousandths < 0 {
                    format!("{} seconds", Thousandths(*thousandths))
                } else {
                    span(Span(*thousandths))
                };
                format!("made {} {length} after the order", comparison(*op))
            }
            Condition::Compare { value, op, thousandths } => {
                format!("with {} {} {}", self.value(value), comparison(*op), Thousandths(*thousandths))
            }
            Condition::Level { column, equal, level } => {
                let than = if *equal { "" } else { "other than " };
                format!("with {} {than}{}", self.noun(column), Quoted(level))
            }
        }
    }

    fn conditions(&self, history: &History) -> String {
        history.conditions.iter().map(|one| self.condition(one)).collect::<Vec<_>>().join(" and ")
    }

    /// `orders with amount below 5`.
    fn events(&self, history: &History, kind: EventKind) -> String {
        let conditions = self.conditions(history);
        let space = if conditions.is_empty() { "" } else { " " };
        format!("{}{space}{conditions}", kind_words(kind).1)
    }

    fn history(&self, history: &History) -> String {
        let entity = self.entity(&history.entity);
        let events = |kind: EventKind| self.events(history, kind);
        let when = window(&history.window);
        let those = |value: &Value| format!("the {} that {entity} had {when}", events(value.kind));
        let value = |value: &Value| self.value(&value.what);
        let sentence = match &history.aggregate {
            Aggregate::Count(kind) | Aggregate::DecayedCount(kind) => {
                format!("how many {} {entity} had {when}", events(*kind))
            }
            Aggregate::Sum(of) | Aggregate::DecayedSum(of) => format!("the total {} of {}", value(of), those(of)),
            Aggregate::Mean(of) => format!("the mean {} of {}", value(of), those(of)),
            Aggregate::Deviation(of) => format!("the standard deviation of the {} of {}", value(of), those(of)),
            Aggregate::Min(of) => format!("the smallest {} of {}", value(of), those(of)),
            Aggregate::Max(of) => format!("the largest {} of {}", value(of), those(of)),
            Aggregate::ZScore(of) => {
                format!("how many standard deviations this order's {} lies above the mean of {}", value(of), those(of))
            }
            Aggregate::Ratio(of) => format!("this order's {0} over the mean {0} of {1}", value(of), those(of)),
            Aggregate::Distinct(part, kind) => {
                format!("how many different {} came with the {} of {entity} {when}", self.nouns(part), events(*kind))
            }
            Aggregate::Share(kind) => format!(
                "the share {} among the {} that {entity} had {when}",
                self.conditions(history),
                kind_words(*kind).1
            ),
            Aggregate::Rate { of, per, norm, .. } => {
                let rate = format!("how many {} {entity} had for each {} {when}", events(*of), kind_words(*per).0);
                let to =
                    if norm.is_empty() { String::new() } else { format!(", over the same of {}", self.entity(norm)) };
                format!("{rate}{to}")
            }
            Aggregate::SinceFirst(kind) => format!("seconds since the first of the {} of {entity}", events(*kind)),
            Aggregate::SinceLast(kind) => format!("seconds since the latest of the {} of {entity}", events(*kind)),
            Aggregate::IsNew if history.entity.len() > 1 => format!("whether {entity} comes for the first time"),
            Aggregate::IsNew => format!("whether {entity} is seen for the first time"),
            Aggregate::GapVariation(kind) => {
                let events = events(*kind);
                format!("how uneven the times between the {events} of {entity} were {when}, 0 for like clockwork")
            }
            Aggregate::Speed(place) => {
                format!("the speed in km/h from where {entity} was last to {} of this order", point(*place))
            }
            Aggregate::FraudCount => format!("how many orders of {entity} that were settled {when} are known as fraud"),
            Aggregate::OrdersSinceFraud => {
                format!(
                    "how many orders of {entity} were settled {when} after the latest one known as fraud; -1 without one"
                )
            }
            Aggregate::FraudRate { .. } => {
                format!("which share of the orders of {entity} that were settled {when} is known as fraud")
            }
        };
        let shrink = match &history.aggregate {
            Aggregate::Rate { shrink, per, .. } => Some((*shrink, kind_words(*per).1)),
            Aggregate::FraudRate { shrink } => Some((*shrink, "orders")),
            _ => None,
        };
        let shrink = match shrink {
            Some((n, of)) if n > 0 => format!(", as if {n} more {of} had the rate of the whole shop"),
            _ => String::new(),
        };
        let versus = history.window.versus.map(|versus| {
            let second = window(&Window { over: Some(versus), ..history.window });
            format!(", over the same {second}")
        });
        let fading = history.window.half_life.map(|half| format!(", each counting half after every {}", span(half)));
        format!("{sentence}{}{}{shrink}", versus.unwrap_or_default(), fading.unwrap_or_default())
    }

    fn network(&self, network: &NetworkFeature) -> String {
        match network {
            NetworkFeature::ClusterSize => {
                "how many accounts are linked with this one by shared cards, devices, addresses and contacts".into()
            }
            NetworkFeature::ClusterFrauds => "how many frauds of the linked accounts are known so far".into(),
            NetworkFeature::ClusterNewLinks => {
                "how many things of this order are new for the account but known from other accounts".into()
            }
            NetworkFeature::AccountsPer(name) => {
                format!("how many accounts the {} was seen with so far", self.noun(name))
            }
        }
    }
}

/// `in the 24 hours before`.
fn window(window: &Window) -> String {
    let delayed = (window.delayed != Span::default()).then(|| span(window.delayed));
    match (window.over, delayed) {
        (None, None) => "so far".into(),
        (None, Some(delay)) => format!("until {delay} before"),
        (Some(over), None) => format!("in the {} before", one_left_out(&span(over))),
        (Some(over), Some(delay)) => format!("in the {} that ended {delay} before", one_left_out(&span(over))),
    }
}

/// `in the hour before`, not `in the 1 hour before`.
fn one_left_out(span: &str) -> &str {
    span.strip_prefix("1 ").unwrap_or(span)
}

/// `1 minute`, `24 hours`, `7 days`.
fn span(span: Span) -> String {
    let units = [(Span::DAY, "day"), (Span::HOUR, "hour"), (Span::MINUTE, "minute"), (Span::SECOND, "second")];
    // One day is 24 hours, not from midnight to midnight.
    let fits =
        |unit: &(Span, &str)| span != Span::DAY && span.0 % unit.0.0 == 0 || unit.1 == "hour" && span == Span::DAY;
    let (n, unit) = match units.into_iter().find(fits) {
        Some((unit, name)) => (span.0 / unit.0, name),
        None => (span.0, "millisecond"),
    };
    format!("{n} {unit}{}", if n == 1 { "" } else { "s" })
}

fn comparison(op: Comparison) -> &'static str {
    match op {
        Comparison::Less => "below",
        Comparison::AtMost => "at most",
        Comparison::Greater => "above",
        Comparison::AtLeast => "at least",
        Comparison::Equal => "exactly",
        Comparison::Different => "other than",
    }
}

fn point(point: Point) -> &'static str {
    match point {
        Point::Ip => "the place of the IP address",
        Point::Billing => "the billing address",
        Point::Shipping => "the delivery address",
    }
}

/// One and several.
fn kind_words(kind: EventKind) -> (&'static str, &'static str) {
    match kind {
        EventKind::Order => ("order", "orders"),
        EventKind::PaymentFailed => ("declined payment", "declined payments"),
        EventKind::Return => ("return", "returns"),
        EventKind::Refund => ("refund", "refunds"),
        EventKind::RefundClaim => ("refund claim", "refund claims"),
        EventKind::Chargeback => ("chargeback", "chargebacks"),
        EventKind::Cancel => ("cancellation", "cancellations"),
        EventKind::Contact => ("contact", "contacts"),
        EventKind::Login => ("log-in", "log-ins"),
        EventKind::Signup => ("sign-up", "sign-ups"),
        EventKind::Review => ("review", "reviews"),
        EventKind::Verification => ("confirmation", "confirmations"),
        EventKind::PaymentChange => ("change of payment", "changes of payment"),
        EventKind::AbuseReport => ("abuse report", "abuse reports"),
    }
}

/// One and several; `None` for roles that say too little of a column.
fn role_noun(role: Role) -> Option<(&'static str, &'static str)> {
    Some(match role {
        Role::Currency => ("currency", "currencies"),
        Role::Customer => ("customer", "customers"),
        Role::Card => ("card", "cards"),
        Role::Device => ("device", "devices"),
        Role::Ip => ("IP address", "IP addresses"),
        Role::Email => ("e-mail address", "e-mail addresses"),
        Role::Phone => ("phone number", "phone numbers"),
        Role::BillingAddress => ("billing address", "billing addresses"),
        Role::ShippingAddress => ("delivery address", "delivery addresses"),
        Role::Merchant => ("seller", "sellers"),
        Role::Bin => ("card's issuer", "card issuers"),
        Role::Coupon => ("coupon", "coupons"),
        Role::Basket => ("basket", "baskets"),
        Role::Name => ("name", "names"),
        Role::UserAgent => ("user agent", "user agents"),
        Role::CardCountry => ("country of the card's issuer", "countries of card issuers"),
        Role::IpCountry => ("country of the IP address", "countries of IP addresses"),
        Role::BillingCountry => ("billing country", "billing countries"),
        Role::BillingRegion => ("billing region", "billing regions"),
        Role::BillingPostcode => ("billing postcode", "billing postcodes"),
        Role::ShippingCountry => ("delivery country", "delivery countries"),
        Role::ShippingRegion => ("delivery region", "delivery regions"),
        Role::ShippingPostcode => ("delivery postcode", "delivery postcodes"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Available, Column};

    #[test]
    fn features_are_sentences() {
        let column =
            |(name, role): (&str, Role)| Column { name: name.into(), role, available: Available::Order, format: None };
        let columns = [
            ("at", Role::Time),
            ("no", Role::Id),
            ("kind", Role::Event),
            ("total", Role::Amount),
            ("who", Role::Customer),
            ("pan", Role::Card),
            ("ip", Role::Ip),
            ("ship", Role::ShippingAddress),
            ("goods", Role::Category),
            ("reason", Role::Category),
            ("seller", Role::Merchant),
            ("market", Role::Merchant),
            ("mail", Role::Email),
            ("n_items", Role::Number),
            ("billing_country", Role::BillingCountry),
        ];
        let schema = Schema {
            timezone: "UTC".into(),
            label_delay: Span::days(7),
            amount_decimals: 2,
            columns: columns.map(column).to_vec(),
        };
        for (text, sentence, columns) in [
            ("count(order) by pan over 1d", "how many orders the card had in the 24 hours before", &["at", "pan"][..]),
            ("count(order) by pan over 1min", "how many orders the card had in the minute before", &["at", "pan"]),
            ("count(order) by pan", "how many orders the card had so far", &["at", "pan"]),
            (
                "sum(amount) by who over 7d delayed 30d where amount < 5",
                "the total amount of the orders with amount below 5 that the customer had in the 7 days that ended 30 days before",
                &["at", "total", "who"],
            ),
            (
                "count(order) by who over 1h / 30d",
                "how many orders the customer had in the hour before, over the same in the 30 days before",
                &["at", "who"],
            ),
            (
                "count(order) by market over 1d",
                "how many orders the seller \"market\" had in the 24 hours before",
                &["at", "market"],
            ),
            (
                "distinct(card) by ip24 over 90min",
                "how many different cards came with the orders of the network of the IP address in the 90 minutes before",
                &["at", "pan", "ip"],
            ),
            (
                "rate(return per order) by who over 90d shrink 10 to goods",
                "how many returns the customer had for each order in the 90 days before, over the same of the \"goods\", \
                 as if 10 more orders had the rate of the whole shop",
                &["at", "kind", "who", "goods"],
            ),
            (
                "share(return) by who where age >= 14d and reason = \"late\"",
                "the share made at least 14 days after the order and with \"reason\" \"late\" among the returns that the \
                 customer had so far",
                &["at", "no", "kind", "who", "reason"],
            ),
            (
                "share(refund_claim) by who over 90d where age >= 0s",
                "the share about a known order among the refund claims that the customer had in the 90 days before",
                &["at", "no", "kind", "who"],
            ),
            (
                "fraud_rate by shop over 7d",
                "which share of the orders of the whole shop that were settled in the 7 days before is known as fraud",
                &["at"],
            ),
            (
                "is_new by who + shipping_address",
                "whether this customer with this delivery address comes for the first time",
                &["at", "who", "ship"],
            ),
            (
                "zscore(n_items) by who over 30d",
                "how many standard deviations this order's \"n_items\" lies above the mean of the orders that the customer \
                 had in the 30 days before",
                &["at", "who", "n_items"],
            ),
            (
                "decayed_count(order) by pan halflife 3d",
                "how many orders the card had so far, each counting half after every 3 days",
                &["at", "pan"],
            ),
            (
                "mismatch(ip.country, billing.country)",
                "whether the country of the IP address and the billing country differ",
                &["ip", "billing_country"],
            ),
            ("entropy(mail)", "how random the characters of the e-mail address are, in bits", &["mail"]),
            ("accounts_per(pan)", "how many accounts the card was seen with so far", &["at", "who", "pan"]),
        ] {
            let feature = Feature::parse(text).unwrap();
            let explained = explain_all(&schema, TablesPresent::ALL, std::slice::from_ref(&feature)).unwrap();
            let [explained] = &explained[..] else { panic!("one feature has one explanation") };
            assert_eq!((explained.feature.as_str(), explained.sentence.as_str()), (text, sentence));
            assert_eq!(explained.columns, columns, "{text}");
        }
        let unknown = Feature::parse("entropy(nick)").unwrap();
        assert!(explain_all(&schema, TablesPresent::ALL, &[unknown]).is_err());
    }
}
