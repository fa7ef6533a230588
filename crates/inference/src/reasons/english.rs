//! The patterns that are proposed in English.

use orderguard_features::kind::EventKind;
use orderguard_features::language::explain::explain;
use orderguard_features::language::feature::{
    Aggregate, EntityPart, Feature, History, NetworkFeature, Place, Point, TextFunction, Value, ValueOf, Window,
};
use orderguard_features::language::resolve;
use orderguard_features::schema::{Role, Schema};
use orderguard_features::time::Span;

use super::Pattern;

/// The words for a feature.
pub(super) fn pattern(schema: &Schema, feature: &Feature) -> Pattern {
    let words = Words { schema };
    let missing = format!("not known: {}", escaped(&explain(schema, feature)));
    let plain = |text: String| Pattern { text, no: String::new(), first_seen: String::new(), missing: missing.clone() };
    let flag = |text: String, no: String| Pattern { no, ..plain(text) };
    match feature {
        Feature::Amount => plain("the amount is {value}, usually {usual}".into()),
        Feature::Number(name) => plain(format!("{} is {{value}}, usually {{usual}}", words.noun(name))),
        Feature::Category(place) => plain(format!("{} is {{value}}, as in {{share}} of orders", words.place(place))),
        Feature::Hour => plain("the order came in the hour from {value}:00, usually from {usual}:00".into()),
        Feature::Weekday => plain("the order came on a {value}".into()),
        Feature::Night => flag("the order came at night".into(), "the order did not come at night".into()),
        Feature::Weekend => flag("the order came on a weekend".into(), "the order came on a working day".into()),
        Feature::Since(name) => {
            plain(format!("{} was {{value}} before the order, usually {{usual}}", words.noun(name)))
        }
        Feature::Text { function, column } => {
            let noun = words.noun(column);
            let (yes, no) = match function {
                TextFunction::Valid => (format!("{noun} is well formed"), format!("{noun} is not well formed")),
                TextFunction::Free => {
                    (format!("{noun} is from a free provider"), format!("{noun} is from no free provider"))
                }
                TextFunction::Disposable => {
                    (format!("{noun} is from a throw-away provider"), format!("{noun} is from no throw-away provider"))
                }
                TextFunction::Private => {
                    (format!("{noun} is of a private network"), format!("{noun} is of a public network"))
                }
                TextFunction::V6 => (format!("{noun} is of version 6"), format!("{noun} is of version 4")),
                TextFunction::Bot => {
                    (format!("{noun} names an automation tool"), format!("{noun} names no automation tool"))
                }
                TextFunction::Mobile => {
                    (format!("{noun} names a phone or tablet"), format!("{noun} names no phone or tablet"))
                }
                TextFunction::Length => {
                    (format!("{noun} has {{value:character/characters}}, usually {{usual}}"), String::new())
                }
                TextFunction::DigitShare => {
                    (format!("{{value}} of {noun} is digits, usually {{usual}}"), String::new())
                }
                TextFunction::Entropy => {
                    let text = "{value} bits of randomness per character, usually {usual}";
                    (format!("{noun} has {text}"), String::new())
                }
                TextFunction::LongestRun => {
                    let text = "{value:character/characters} of one kind in a row, usually {usual}";
                    (format!("{noun} has {text}"), String::new())
                }
            };
            flag(yes, no)
        }
        Feature::Similarity(a, b) => {
            plain(format!("{} and {} are {{value}} alike, usually {{usual}}", words.noun(a), words.noun(b)))
        }
        Feature::Mismatch(a, b) => {
            let (a, b) = (words.place(a), words.place(b));
            flag(format!("{a} and {b} differ"), format!("{a} and {b} agree"))
        }
        Feature::Km(a, b) => plain(format!("{{value}} from {} to {}, usually {{usual}}", point(*a), point(*b))),
        Feature::History(history) => {
            let first_seen = words.first_seen(&history.entity);
            if history.aggregate == Aggregate::IsNew {
                return Pattern { no: words.seen_before(&history.entity), ..plain(first_seen) };
            }
            Pattern { first_seen, ..plain(words.history(history)) }
        }
        Feature::Network(network) => {
            let text = match network {
                NetworkFeature::ClusterSize => {
                    "{value:account/accounts} in a group linked by shared data, usually {usual}".to_owned()
                }
                NetworkFeature::ClusterFrauds => {
                    "{value:known fraud/known frauds} of linked accounts, usually {usual}".to_owned()
                }
                NetworkFeature::ClusterNewLinks => {
                    "{value:detail/details} of the order known from other accounts and new for this one, usually {usual}"
                        .to_owned()
                }
                NetworkFeature::AccountsPer(name) => {
                    format!("{} was used by {{value:account/accounts}} so far, usually {{usual}}", words.noun(name))
                }
            };
            Pattern { first_seen: "the account is seen for the first time".into(), ..plain(text) }
        }
    }
}

/// A text of somebody else without braces, which would be gaps.
pub(super) fn escaped(text: &str) -> String {
    text.replace(['{', '}'], "'")
}

struct Words<'a> {
    schema: &'a Schema,
}

impl Words<'_> {
    fn role(&self, name: &str) -> Option<(Role, bool)> {
        let role = self.schema.columns[resolve::column(self.schema, name).ok()?].role;
        Some((role, self.schema.columns.iter().filter(|other| other.role == role).count() == 1))
    }

    /// `the card`, or the column's name in quotes.
    fn noun(&self, name: &str) -> String {
        let noun = match self.role(name) {
            Some((Role::Amount, _)) => "the amount",
            Some((Role::Customer, true)) => "this customer",
            Some((Role::Card, true)) => "this card",
            Some((Role::Device, true)) => "this device",
            Some((Role::Ip, true)) => "this IP address",
            Some((Role::Email, true)) => "this e-mail address",
            Some((Role::Phone, true)) => "this phone number",
            Some((Role::BillingAddress, true)) => "this billing address",
            Some((Role::ShippingAddress, true)) => "this delivery address",
            Some((Role::Merchant, true)) => "this seller",
            Some((Role::Bin, true)) => "this card's issuer",
            Some((Role::Coupon, true)) => "this coupon",
            Some((Role::Basket, true)) => "this basket",
            Some((Role::Name, true)) => "the name",
            Some((Role::UserAgent, true)) => "the user agent",
            Some((Role::BillingCountry, true)) => "the billing country",
            Some((Role::BillingRegion, true)) => "the billing region",
            Some((Role::BillingPostcode, true)) => "the billing postcode",
            Some((Role::ShippingCountry, true)) => "the delivery country",
            Some((Role::ShippingRegion, true)) => "the delivery region",
            Some((Role::ShippingPostcode, true)) => "the delivery postcode",
            Some((Role::CardCountry, true)) => "the country of the card's issuer",
            Some((Role::IpCountry, true)) => "the country of the IP address",
            _ => return format!("\"{}\"", escaped(name)),
        };
        noun.into()
    }

    fn place(&self, place: &Place) -> String {
        match place {
            Place::Column(name) => self.noun(name),
            Place::IpCountry => "the country of the IP address".into(),
            Place::BinCountry => "the country of the card's issuer".into(),
            Place::PhoneCountry => "the country of the phone number".into(),
            Place::EmailDomain => "the e-mail domain".into(),
            Place::AgentFamily => "the browser".into(),
            Place::AgentSystem => "the operating system".into(),
            Place::BinKind => "the kind of card".into(),
        }
    }

    fn part(&self, part: &EntityPart) -> String {
        match part {
            EntityPart::Shop => "the whole shop".into(),
            EntityPart::Column(name) => self.noun(name),
            EntityPart::IpNetwork(_) => "this IP network".into(),
            EntityPart::EmailDomain(_) => "this e-mail domain".into(),
            EntityPart::Bin(_) => "this card's issuer".into(),
        }
    }

    fn entity(&self, parts: &[EntityPart]) -> String {
        parts.iter().map(|part| self.part(part)).collect::<Vec<_>>().join(" and ")
    }

    /// `from this device`, `by this customer and with this card`.
    fn of(&self, parts: &[EntityPart]) -> String {
        let one = |part: &EntityPart| {
            let with = match part {
                EntityPart::Shop => "in",
                EntityPart::IpNetwork(_) => "from",
                EntityPart::Column(name) => match self.role(name) {
                    Some((Role::Customer, _)) => "by",
                    Some((Role::Device | Role::Ip, _)) => "from",
                    Some((Role::ShippingAddress, _)) => "to",
                    Some((Role::Merchant, _)) => "at",
                    _ => "with",
                },
                _ => "with",
            };
            format!("{with} {}", self.part(part))
        };
        parts.iter().map(one).collect::<Vec<_>>().join(" and ")
    }

    fn first_seen(&self, parts: &[EntityPart]) -> String {
        let together = if parts.len() > 1 { "are seen together" } else { "is seen" };
        format!("{} {together} for the first time", self.entity(parts))
    }

    fn seen_before(&self, parts: &[EntityPart]) -> String {
        let together = if parts.len() > 1 { "were seen together" } else { "was seen" };
        format!("{} {together} before", self.entity(parts))
    }

    fn value(value: &Value) -> String {
        match &value.what {
            ValueOf::Amount => "amount".into(),
            ValueOf::Age => "time after the order".into(),
            ValueOf::Number(name) => format!("\"{}\"", escaped(name)),
        }
    }

    fn history(&self, history: &History) -> String {
        let of = self.of(&history.entity);
        let when = window(&history.window);
        let only = conditions(history);
        let those = |kind: EventKind| format!("{}{only} {of} {when}", kinds(kind).1);
        if let Some(versus) = history.window.versus {
            let longer = window(&Window { over: Some(versus), ..history.window });
            return match &history.aggregate {
                Aggregate::Count(kind) => {
                    format!("{{value}} of the {}{only} {of} {longer} came {when}, usually {{usual}}", kinds(*kind).1)
                }
                Aggregate::Sum(value) => {
                    let (many, of_it) = (kinds(value.kind).1, Self::value(value));
                    format!("{{value}} of the {of_it} of the {many}{only} {of} {longer} came {when}, usually {{usual}}")
                }
                Aggregate::Mean(value) | Aggregate::Deviation(value) => {
                    let what = if matches!(history.aggregate, Aggregate::Mean(_)) { "mean" } else { "spread of the" };
                    let (many, of_it) = (kinds(value.kind).1, Self::value(value));
                    format!(
                        "the {what} {of_it} of the {many}{only} {of} {when} is {{value}} times that {longer}, usually {{usual}}"
                    )
                }
                _ => {
                    let what = escaped(&explain(self.schema, &Feature::History(history.clone())));
                    format!("{what}: {{value}}, usually {{usual}}")
                }
            };
        }
        let usual = "usually {usual}";
        match &history.aggregate {
            Aggregate::Count(kind) => {
                let (one, many) = kinds(*kind);
                format!("{{value:{one}/{many}}}{only} {of} {when}, {usual}")
            }
            Aggregate::DecayedCount(kind) => {
                format!("{{value}} {} lately, the older the less each counts, {usual}", those(*kind))
            }
            Aggregate::Sum(value) | Aggregate::DecayedSum(value) => {
                format!("a total {} of {{value}} in {}, {usual}", Self::value(value), those(value.kind))
            }
            Aggregate::Mean(value) => {
                format!("a mean {} of {{value}} in {}, {usual}", Self::value(value), those(value.kind))
            }
            Aggregate::Deviation(value) => {
                format!("a spread of the {} of {{value}} in {}, {usual}", Self::value(value), those(value.kind))
            }
            Aggregate::Min(value) => {
                format!("a smallest {} of {{value}} in {}, {usual}", Self::value(value), those(value.kind))
            }
            Aggregate::Max(value) => {
                format!("a largest {} of {{value}} in {}, {usual}", Self::value(value), those(value.kind))
            }
            Aggregate::ZScore(value) => format!(
                "the {} of this order against the mean of {}: {{value}} standard deviations, {usual}",
                Self::value(value),
                those(value.kind)
            ),
            Aggregate::Ratio(value) => {
                format!(
                    "this order's {} is {{value}} times the mean of {}, {usual}",
                    Self::value(value),
                    those(value.kind)
                )
            }
            Aggregate::Distinct(part, kind) => {
                let (one, many) = several(self.role_of(part), part);
                format!("{{value:different {one}/different {many}}} in {}, {usual}", those(*kind))
            }
            Aggregate::Share(kind) => {
                let many = kinds(*kind).1;
                format!("{{value}} of the {many} {of} {when} are of one kind{only}, {usual}")
            }
            Aggregate::Rate { of: kind, per, norm, shrink } => {
                let over = if norm.is_empty() {
                    format!("per {}", kinds(*per).0)
                } else {
                    format!("per {}, against those {}", kinds(*per).0, self.of(norm))
                };
                // Drawn to the shop's rate: nothing that could be counted.
                let estimated = if *shrink > 0 { "an estimated " } else { "" };
                format!("{estimated}{{value}} {} {over}, {usual}", those(*kind))
            }
            Aggregate::SinceFirst(kind) => {
                format!("the first {}{only} {of} was {{value}} ago, {usual}", kinds(*kind).0)
            }
            Aggregate::SinceLast(kind) => {
                format!("the latest {}{only} {of} was {{value}} ago, {usual}", kinds(*kind).0)
            }
            Aggregate::GapVariation(kind) => {
                format!("the times between {} vary by {{value}} of their mean (0 is clockwork), {usual}", those(*kind))
            }
            Aggregate::Speed(place) => {
                format!("{{value}} from where {} was last to {}, {usual}", self.entity(&history.entity), point(*place))
            }
            Aggregate::FraudCount => format!("{{value:known fraud/known frauds}} {of} {when}, {usual}"),
            Aggregate::OrdersSinceFraud => {
                format!("{{value:order/orders}} {of} settled since the last known fraud {when}, {usual}")
            }
            Aggregate::FraudRate { shrink: 0 } => {
                format!("{{value}} of the orders {of} settled {when} were fraud, {usual}")
            }
            // Drawn to the shop's share: no share of these orders.
            Aggregate::FraudRate { .. } => {
                format!("estimated share of fraud among the orders {of} settled {when}: {{value}}, {usual}")
            }
            Aggregate::IsNew => String::new(),
        }
    }

    fn role_of(&self, part: &EntityPart) -> Option<Role> {
        match part {
            EntityPart::Column(name) => self.role(name).map(|found| found.0),
            _ => None,
        }
    }
}

fn several(role: Option<Role>, part: &EntityPart) -> (&'static str, &'static str) {
    match (role, part) {
        (Some(Role::Customer), _) => ("customer", "customers"),
        (Some(Role::Card), _) => ("card", "cards"),
        (Some(Role::Device), _) => ("device", "devices"),
        (Some(Role::Ip), _) => ("IP address", "IP addresses"),
        (Some(Role::Email), _) => ("e-mail address", "e-mail addresses"),
        (Some(Role::Phone), _) => ("phone number", "phone numbers"),
        (Some(Role::BillingAddress), _) => ("billing address", "billing addresses"),
        (Some(Role::ShippingAddress), _) => ("delivery address", "delivery addresses"),
        (Some(Role::Merchant), _) => ("seller", "sellers"),
        (_, EntityPart::IpNetwork(_)) => ("IP network", "IP networks"),
        (_, EntityPart::EmailDomain(_)) => ("e-mail domain", "e-mail domains"),
        (_, EntityPart::Bin(_)) => ("card issuer", "card issuers"),
        _ => ("value", "values"),
    }
}

/// ` (amount < 5)`, or nothing.
fn conditions(history: &History) -> String {
    if history.conditions.is_empty() {
        return String::new();
    }
    let all: Vec<String> = history.conditions.iter().map(|one| escaped(&one.to_string())).collect();
    format!(" ({})", all.join(", "))
}

fn window(window: &Window) -> String {
    let delayed = (window.delayed != Span::default()).then(|| span(window.delayed));
    match (window.over, delayed) {
        (None, None) => "so far".into(),
        (None, Some(delay)) => format!("until {delay} before"),
        (Some(over), None) => format!("in the last {}", one_left_out(&span(over))),
        (Some(over), Some(delay)) => format!("in the {} that ended {delay} before", one_left_out(&span(over))),
    }
}

fn one_left_out(span: &str) -> &str {
    span.strip_prefix("1 ").unwrap_or(span)
}

fn span(span: Span) -> String {
    let (n, unit) = parts(span);
    let unit = ["second", "minute", "hour", "day"][unit];
    format!("{n} {unit}{}", if n == 1 { "" } else { "s" })
}

/// A length in seconds (0), minutes, hours or days (3), the largest that is whole. A day is 24 hours.
pub(super) fn parts(span: Span) -> (i64, usize) {
    let units = [(Span::DAY, 3), (Span::HOUR, 2), (Span::MINUTE, 1)];
    let whole = units.into_iter().find(|(unit, at)| span.0 % unit.0 == 0 && (*at != 3 || span != Span::DAY));
    whole.map_or((span.0 / Span::SECOND.0, 0), |(unit, at)| (span.0 / unit.0, at))
}

fn point(point: Point) -> &'static str {
    match point {
        Point::Ip => "the place of the IP address",
        Point::Billing => "the billing address",
        Point::Shipping => "the delivery address",
    }
}

fn kinds(kind: EventKind) -> (&'static str, &'static str) {
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
