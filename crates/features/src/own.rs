//! An order's own features that need more than its numbers: functions of one or two texts, and of tables that the user
//! brings. Pure, without history.
//!
//! Each kind of text has its file: [`email`], [`phone`], [`ip`], [`card`], [`address`], [`agent`]; [`geo`] says where network
//! addresses are, [`tables`] holds what the user brings. The functions here choose by the column's role. Text that is missing
//! or that is not what its column should hold gives NaN or `None`, but for [`TextFunction::Valid`], which then is 0.
//! Nothing is judged here: that a country or a domain is bad is for a model to learn.

pub mod address;
pub mod agent;
pub mod card;
pub mod country;
mod distance;
pub mod email;
mod fold;
pub mod geo;
pub mod ip;
pub mod phone;
pub mod spelling;
pub mod tables;
mod text;

pub use geo::km;
pub use spelling::Spelling;
pub use tables::Tables;

use crate::language::feature::{Place, TextFunction};
use crate::language::resolve::Derive;
use crate::parse::is_missing;
use crate::schema::Role;
use spelling::Made;

/// A property of one text; NaN where it is missing or the function makes no sense for the role or the text.
///
/// `length`, `digit_share`, `entropy` and `longest_run` look at the local part of an e-mail address and at the whole of any
/// other text. `free` and `disposable` need the user's list. About 100 ns.
pub fn text_feature(function: TextFunction, role: Role, text: &str, tables: &Tables) -> f32 {
    let text = text.trim();
    if is_missing(text) {
        return f32::NAN;
    }
    let flag = |flag: Option<bool>| flag.map_or(f32::NAN, |flag| f32::from(u8::from(flag)));
    match function {
        TextFunction::Valid => flag(is_valid(role, text)),
        TextFunction::Length => characters(role, text).map_or(f32::NAN, text::length),
        TextFunction::DigitShare => characters(role, text).map_or(f32::NAN, text::digit_share),
        TextFunction::Entropy => characters(role, text).map_or(f32::NAN, text::entropy),
        TextFunction::LongestRun => characters(role, text).map_or(f32::NAN, text::longest_run),
        TextFunction::Free if role == Role::Email => flag(tables.free_domains().and_then(|list| list.holds(text))),
        TextFunction::Disposable if role == Role::Email => {
            flag(tables.disposable_domains().and_then(|list| list.holds(text)))
        }
        TextFunction::Private if role == Role::Ip => flag(ip::parse(text).map(|ip| ip::reach(ip) != ip::Reach::Public)),
        TextFunction::V6 if role == Role::Ip => flag(ip::parse(text).map(|ip| ip.is_ipv6())),
        TextFunction::Bot if role == Role::UserAgent => flag(agent::Agent::parse(text).map(|agent| agent.is_bot)),
        TextFunction::Mobile if role == Role::UserAgent => flag(agent::Agent::parse(text).map(|agent| agent.is_mobile)),
        _ => f32::NAN,
    }
}

fn is_valid(role: Role, text: &str) -> Option<bool> {
    match role {
        Role::Email => Some(email::Email::split(text).is_some_and(email::Email::is_valid)),
        Role::Phone => Some(phone::Phone::parse(text).is_some_and(|phone| phone.is_valid())),
        Role::Ip => Some(ip::parse(text).is_some()),
        Role::Card => card::is_valid(text),
        Role::Bin => Some(card::bin(role, text).is_some()),
        _ => None,
    }
}

/// The characters that the functions of characters look at.
fn characters(role: Role, text: &str) -> Option<&str> {
    if role == Role::Email { email::Email::split(text).map(|email| email.local) } else { Some(text) }
}

/// How alike two texts of an order are, 0 to 1; NaN where one is missing or cannot be used. Symmetric; 1 for equal texts.
///
/// An e-mail address and a name: [`email::similarity_to_name`]. Two e-mail addresses, phone numbers or postal addresses:
/// the function of their file. Anything else: the words of both, as for addresses but without long forms of abbreviations.
/// Some 300 ns for usual texts.
pub fn similarity(a_role: Role, a: &str, b_role: Role, b: &str) -> f32 {
    if is_missing(a) || is_missing(b) {
        return f32::NAN;
    }
    let is_address = |role| matches!(role, Role::BillingAddress | Role::ShippingAddress);
    match (a_role, b_role) {
        (Role::Email, Role::Name) => email::similarity_to_name(a, b),
        (Role::Name, Role::Email) => email::similarity_to_name(b, a),
        (Role::Email, Role::Email) => email::similarity(a, b),
        (Role::Phone, Role::Phone) => phone::similarity(a, b),
        (a_role, b_role) if is_address(a_role) && is_address(b_role) => address::similarity(a, b),
        _ => address::similarity_of_texts(a, b),
    }
}

/// The level of a place, read from the text of a column; `None` where the text does not tell or the table is not there.
///
/// Countries are in upper case, and a three-letter code is that of two letters (`usa` is `US`); a text of a column is itself
/// otherwise, trimmed. A place that a table could say may also come
/// from a column that has it (`ip.country` from a column of role `ip_country`): then the text is the level.
pub fn place<'a>(place: &Place, role: Role, text: &'a str, tables: &'a Tables) -> Option<Spelling<'a>> {
    let text = text.trim();
    if is_missing(text) {
        return None;
    }
    let bins = || tables.bins()?.find(role, text);
    match (place, role) {
        (Place::IpCountry, Role::Ip) => tables.geo()?.country(ip::parse(text)?).map(Spelling::Given),
        (Place::BinCountry, Role::Card | Role::Bin) => bins()?.country.map(country_level),
        (Place::BinKind, Role::Card | Role::Bin) => bins()?.kind.map(Spelling::Given),
        (Place::PhoneCountry, Role::Phone) => phone::Phone::parse(text)?.country().map(Spelling::Given),
        (Place::EmailDomain, Role::Email) => email::email_domain(text),
        (Place::AgentFamily, Role::UserAgent) => Some(Spelling::Given(agent::Agent::parse(text)?.family)),
        (Place::AgentSystem, Role::UserAgent) => Some(Spelling::Given(agent::Agent::parse(text)?.system)),
        (_, Role::IpCountry | Role::CardCountry | Role::BillingCountry | Role::ShippingCountry) => {
            Some(country_level(text))
        }
        _ => Some(Spelling::Given(text)),
    }
}

/// A country in its one spelling.
fn country_level(text: &str) -> Spelling<'_> {
    let text = upper(text);
    country::alpha_2(&text).map_or(text, Spelling::Given)
}

fn upper(text: &str) -> Spelling<'_> {
    if text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_lowercase()) {
        Spelling::Given(text)
    } else {
        let mut upper = Made::new();
        text.chars().flat_map(char::to_uppercase).for_each(|c| upper.push(c));
        Spelling::Made(upper)
    }
}

/// Degrees north and east of a network address, by the user's MaxMind database.
pub fn point(ip_text: &str, tables: &Tables) -> Option<(f64, f64)> {
    tables.geo()?.point(ip::parse(ip_text)?)
}

/// The text that becomes an entity's key: the network of an IP address, the registrable domain of an e-mail address, the BIN of
/// a card, or the identifier in its one spelling ([`canonical`](crate::identity::canonical)). `None` where there is none.
pub fn derive_key_text(derive: Derive, role: Role, text: &str) -> Option<Spelling<'_>> {
    match derive {
        Derive::None => Some(crate::identity::canonical(role, text)).filter(|spelling| !spelling.is_empty()),
        Derive::IpNetwork => ip::ip_network(text).map(Spelling::Made),
        Derive::EmailDomain => email::email_domain(text),
        Derive::Bin => card::bin(role, text),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::tables::TableKind;
    use super::*;

    const FUNCTIONS: [TextFunction; 11] = [
        TextFunction::Valid,
        TextFunction::Length,
        TextFunction::DigitShare,
        TextFunction::Entropy,
        TextFunction::LongestRun,
        TextFunction::Free,
        TextFunction::Disposable,
        TextFunction::Private,
        TextFunction::V6,
        TextFunction::Bot,
        TextFunction::Mobile,
    ];

    fn tables() -> Tables {
        let geo = include_bytes!("../tests/data/geo-test.mmdb").to_vec();
        let bins = b"bin,country,kind,brand\n523421,BR,debit,mastercard\n".to_vec();
        Tables::new()
            .with(TableKind::Geo, geo)
            .and_then(|tables| tables.with(TableKind::Bins, bins))
            .and_then(|tables| tables.with(TableKind::FreeDomains, b"free.example\n".to_vec()))
            .and_then(|tables| tables.with(TableKind::DisposableDomains, b"gone.example\n".to_vec()))
            .unwrap()
    }

    #[test]
    fn functions_by_role() {
        let tables = tables();
        let value = |function, role, text| text_feature(function, role, text, &tables);
        for (function, role, text, expected) in [
            (TextFunction::Valid, Role::Email, "ann@a.example", 1.0),
            (TextFunction::Valid, Role::Email, "ann", 0.0),
            (TextFunction::Valid, Role::Phone, "n/a", 0.0),
            (TextFunction::Valid, Role::Phone, "+49 30 901820", 1.0),
            (TextFunction::Valid, Role::Ip, "732758368.8", 1.0),
            (TextFunction::Valid, Role::Ip, "1.2.3", 0.0),
            (TextFunction::Valid, Role::Card, "4111111111111111", 1.0),
            (TextFunction::Valid, Role::Card, "4111111111111112", 0.0),
            (TextFunction::Valid, Role::Bin, "41111", 0.0),
            (TextFunction::Length, Role::Email, "änn@a.example", 3.0),
            (TextFunction::Length, Role::Name, " Ann B ", 5.0),
            (TextFunction::DigitShare, Role::Email, "ab12@a.example", 0.5),
            (TextFunction::Entropy, Role::Email, "abab@a.example", 1.0),
            (TextFunction::LongestRun, Role::Coupon, "SAVE2024", 4.0),
            (TextFunction::Free, Role::Email, "a@mail.free.example", 1.0),
            (TextFunction::Free, Role::Email, "a@gone.example", 0.0),
            (TextFunction::Disposable, Role::Email, "a@gone.example", 1.0),
            (TextFunction::Private, Role::Ip, "10.0.0.1", 1.0),
            (TextFunction::Private, Role::Ip, "8.8.8.8", 0.0),
            (TextFunction::V6, Role::Ip, "2606:4700::1", 1.0),
            (TextFunction::V6, Role::Ip, "::ffff:8.8.8.8", 0.0),
            (TextFunction::Bot, Role::UserAgent, "curl/8.0", 1.0),
            (TextFunction::Mobile, Role::UserAgent, "curl/8.0", 0.0),
        ] {
            assert_eq!(value(function, role, text), expected, "{function:?} {role} {text}");
        }
        for (function, role, text) in [
            (TextFunction::Valid, Role::Card, "411111******1111"),
            (TextFunction::Valid, Role::Name, "Ann"),
            (TextFunction::Entropy, Role::Email, "no address"),
            (TextFunction::Free, Role::Email, "a@[192.0.2.1]"),
            (TextFunction::Free, Role::Name, "a@free.example"),
            (TextFunction::Private, Role::Ip, "home"),
            (TextFunction::Bot, Role::UserAgent, "--"),
        ] {
            assert!(value(function, role, text).is_nan(), "{function:?} {role} {text}");
        }
        assert!(text_feature(TextFunction::Free, Role::Email, "a@free.example", &Tables::new()).is_nan());
        for function in FUNCTIONS {
            for role in Role::ALL {
                assert!(["", "  ", "null"].into_iter().all(|text| value(function, role, text).is_nan()));
            }
        }
    }

    #[test]
    fn places_by_role() {
        let tables = tables();
        for (wanted, role, text, expected) in [
            (Place::IpCountry, Role::Ip, "198.51.100.7", Some("JP")),
            (Place::IpCountry, Role::Ip, "home", None),
            (Place::IpCountry, Role::IpCountry, "jp", Some("JP")),
            (Place::IpCountry, Role::IpCountry, " jpn ", Some("JP")),
            (Place::BinCountry, Role::CardCountry, "DEU", Some("DE")),
            (Place::Column("c".into()), Role::ShippingCountry, "Usa", Some("US")),
            (Place::Column("c".into()), Role::ShippingCountry, "xyz", Some("XYZ")),
            (Place::Column("c".into()), Role::Category, "USA", Some("USA")),
            (Place::BinCountry, Role::Card, "523421******6253", Some("BR")),
            (Place::BinCountry, Role::Bin, "523421", Some("BR")),
            (Place::BinCountry, Role::CardCountry, " br ", Some("BR")),
            (Place::BinCountry, Role::Bin, "411111", None),
            (Place::BinKind, Role::Card, "523421******6253", Some("debit")),
            (Place::PhoneCountry, Role::Phone, "+49 30 901820", Some("DE")),
            (Place::PhoneCountry, Role::Phone, "030 901820", None),
            (Place::EmailDomain, Role::Email, "a@Mail.shop.co.uk", Some("shop.co.uk")),
            (Place::AgentFamily, Role::UserAgent, "curl/8.0", Some("library")),
            (Place::AgentSystem, Role::UserAgent, "curl/8.0", Some("other")),
            (Place::Column("c".into()), Role::BillingCountry, "us", Some("US")),
            (Place::Column("c".into()), Role::BillingPostcode, " ab1 ", Some("ab1")),
            (Place::Column("c".into()), Role::Category, "null", None),
        ] {
            assert_eq!(place(&wanted, role, text, &tables).as_deref(), expected, "{wanted:?} {role} {text}");
            if matches!(wanted, Place::IpCountry | Place::BinCountry | Place::BinKind) && !role.is_category() {
                assert_eq!(place(&wanted, role, text, &Tables::new()), None);
            }
        }
        assert_eq!(point("198.51.100.7", &tables), Some((35.6895, 139.6917)));
        assert_eq!(point("198.51.100.7", &Tables::new()), None);
    }

    #[test]
    fn keys_of_derived_entities() {
        for (derive, role, text, expected) in [
            (Derive::None, Role::Email, "Ann@A.example", Some("ann@a.example")),
            (Derive::None, Role::Phone, "none", None),
            (Derive::IpNetwork, Role::Ip, "192.0.2.7", Some("192.0.2.0/24")),
            (Derive::IpNetwork, Role::Ip, "home", None),
            (Derive::EmailDomain, Role::Email, "ann@x.A.example", Some("a.example")),
            (Derive::Bin, Role::Card, "4111 1111 1111 1111", Some("411111")),
            (Derive::Bin, Role::Bin, "52342199", Some("52342199")),
        ] {
            assert_eq!(derive_key_text(derive, role, text).as_deref(), expected);
        }
    }

    fn check_all(a: &str, b: &str, tables: &Tables) {
        let roles = [
            Role::Email,
            Role::Phone,
            Role::Ip,
            Role::Card,
            Role::Bin,
            Role::UserAgent,
            Role::Name,
            Role::BillingAddress,
        ];
        for role in roles {
            for function in FUNCTIONS {
                let value = text_feature(function, role, a, tables);
                let most = match function {
                    TextFunction::Length | TextFunction::LongestRun => a.len() as f32,
                    TextFunction::Entropy => 21.0,
                    _ => 1.0,
                };
                assert!(value.is_nan() || (0.0..=most).contains(&value), "{function:?} {role} {value}");
            }
            for other in roles {
                let score = similarity(role, a, other, b);
                assert!(score.is_nan() || (0.0..=1.0).contains(&score), "{role} {other} {score}");
                assert_eq!(score.to_bits(), similarity(other, b, role, a).to_bits(), "{role} {other}");
            }
            let same = similarity(role, a, role, a);
            assert!(same.is_nan() || same == 1.0, "{role} {same}");
            for wanted in [
                Place::IpCountry,
                Place::BinCountry,
                Place::PhoneCountry,
                Place::EmailDomain,
                Place::AgentFamily,
                Place::AgentSystem,
                Place::BinKind,
                Place::Column("c".into()),
            ] {
                assert!(place(&wanted, role, a, tables).is_none_or(|level| !level.is_empty()));
            }
            for derive in [Derive::None, Derive::IpNetwork, Derive::EmailDomain, Derive::Bin] {
                assert!(derive_key_text(derive, role, a).is_none_or(|text| !text.is_empty()));
            }
        }
        let _ = point(a, tables);
    }

    #[test]
    fn texts_of_a_megabyte_are_texts() {
        let tables = tables();
        for part in ["a", "1", "é", "語", "a@", "@.", "+", " ", ".-", "x 1 ", "\u{301}", "\u{1f600}", "İ", "0"] {
            check_all(&part.repeat(1_000_000 / part.len()), "ann@a.example", &tables);
        }
    }

    proptest! {
        #[test]
        fn any_two_texts_are_in_range(a in "\\PC{0,30}", b in "[a-zA-Z0-9@+. äß-]{0,40}") {
            let tables = Tables::new();
            check_all(&a, &b, &tables);
            check_all(&b, &a, &tables);
        }
    }
}
