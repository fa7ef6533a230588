//! The role of one column by itself: what its contents leave no choice about, and what remains when the roles that
//! only one column may have are given.

use orderguard_features::schema::{Available, Role, TimeFormat};

use super::evidence::{Evidence, TimeReading, count};
use super::message::Note;
use super::names;

/// A role and its reason.
#[derive(Clone, Debug)]
pub(crate) struct Decision {
    pub(crate) role: Role,
    pub(crate) available: Available,
    pub(crate) format: Option<TimeFormat>,
    pub(crate) reason: String,
}

impl Decision {
    pub(crate) fn new(role: Role, reason: String) -> Self {
        Self { role, available: Available::Order, format: None, reason }
    }

    pub(crate) fn time(role: Role, reading: TimeReading, reason: String) -> Self {
        Self { format: Some(reading.format), ..Self::new(role, reason) }
    }
}

/// Roles that the values decide whatever the name says: nothing there, one value only, and card numbers, which must not
/// be kept by mistake.
pub(crate) fn by_contents_alone(column: &Evidence<'_>, notes: &mut Vec<Note>) -> Option<Decision> {
    let profile = column.profile;
    if column.n_present == 0 {
        return Some(Decision::new(Role::Ignored, "empty in every row".into()));
    }
    // One in ten random numbers passes the Luhn check; one in two never does by chance.
    if column.at_least(profile.n_luhn, 0.5) {
        notes.push(Note::CardNumbers { column: column.name.to_owned(), n_luhn: profile.n_luhn });
        let reason = format!(
            "card numbers: {} of {} values pass the Luhn check",
            count(profile.n_luhn),
            count(column.n_present)
        );
        return Some(Decision::new(Role::Card, reason));
    }
    if column.at_least(profile.n_masked_card, 0.5) {
        notes.push(Note::MaskedCards { column: column.name.to_owned() });
        return Some(Decision::new(Role::Card, format!("masked card numbers; {}", column.distinct_in_words())));
    }
    if profile.n_distinct == 1 && profile.n_missing == 0 && column.n_rows > 1 {
        return Some(Decision::new(Role::Ignored, "the same value in every row".into()));
    }
    None
}

/// The role of a column that is not one of the single ones.
pub(crate) fn remaining(column: &Evidence<'_>, time: Option<TimeReading>) -> Decision {
    let mut decision = match time {
        Some(reading) => Decision::time(Role::Timestamp, reading, "another point in time than the order's".into()),
        None => entity(column).unwrap_or_else(|| plain(column)),
    };
    if names::is_later(&column.words) && !matches!(decision.role, Role::Ignored | Role::Text) {
        decision.available = Available::Later;
        decision.reason.push_str("; the name says that it is known only after the order");
    }
    decision
}

/// Something that orders share, by its values or by its name where the values do not speak against it.
fn entity(column: &Evidence<'_>) -> Option<Decision> {
    let profile = column.profile;
    let say = |role, what: &str| Some(Decision::new(role, format!("{what}; {}", column.distinct_in_words())));
    if column.at_least(profile.n_email, 0.9) {
        return say(Role::Email, "values are e-mail addresses");
    }
    if column.at_least(profile.n_ip, 0.9) {
        return say(Role::Ip, "values are network addresses");
    }
    let named = names::entity(&column.words);
    if let Some((role, word)) = named {
        let fits = match role {
            Role::Ip => column.at_least(profile.n_ip_number, 0.9) || !column.is_number(),
            Role::Phone => column.at_least(profile.n_phone.max(profile.n_integer), 0.5),
            // Fractions are measurements, whatever the name.
            _ => column.is_integer() || !column.is_number(),
        };
        let fits = fits && has_shape_of(column, role);
        // Twenty values in thousands of rows each are kinds of a thing, not things; merchants and coupons may be that few.
        let are_kinds = !matches!(role, Role::Merchant | Role::Bin | Role::Coupon)
            && profile.n_distinct <= 20
            && profile.n_distinct.saturating_mul(1_000) < column.n_present;
        let two_values = profile.n_distinct <= 2 && column.n_present > 20;
        if fits && !are_kinds && !two_values {
            let numeric_ip = role == Role::Ip && column.is_number();
            let what = if numeric_ip {
                "name says ip, values are addresses as numbers".into()
            } else {
                format!("name says {word}")
            };
            return say(role, &what);
        }
        return None;
    }
    // Dates and social security numbers also look like phone numbers: only where nothing else explains the column.
    if column.at_least(profile.n_phone, 0.95) && !column.is_number() && !column.has_few_levels() {
        return say(Role::Phone, "values look like phone numbers");
    }
    None
}

/// Whether the values can be what the name says, for roles whose names say little.
fn has_shape_of(column: &Evidence<'_>, role: Role) -> bool {
    let profile = column.profile;
    match role {
        // Six to eight digits.
        Role::Bin => column.at_least(profile.n_integer, 0.9) && (6..=8).contains(&profile.max_len),
        _ => true,
    }
}

/// Whether the values can be those of a place's role.
pub(crate) fn can_be_place(column: &Evidence<'_>, role: Role) -> bool {
    let within = |limit: f64| {
        column.is_number()
            && column.profile.number_range.is_some_and(|(low, high)| -limit <= low && high <= limit)
            && column.profile.max_decimals > 0
    };
    match role {
        Role::BillingLatitude | Role::ShippingLatitude | Role::IpLatitude => within(90.0),
        Role::BillingLongitude | Role::ShippingLongitude | Role::IpLongitude => within(180.0),
        Role::BillingPostcode | Role::ShippingPostcode => {
            column.profile.max_len <= 16 && (column.is_integer() || !column.is_number())
        }
        _ => !column.is_number() && column.has_few_levels(),
    }
}

/// A quantity, a category, or something that this version does not use.
fn plain(column: &Evidence<'_>) -> Decision {
    let profile = column.profile;
    let words = &column.words;
    let distinct = || column.distinct_in_words();
    if names::is_row_number(column.name, words) && column.is_integer() && column.is_nearly_unique(0.5) {
        return Decision::new(Role::Ignored, format!("row numbers; {}", distinct()));
    }
    let says_id = names::says_id(words) || names::order_id_rank(words) > 0;
    if says_id && column.n_rows > 1 && column.is_nearly_unique(0.95) {
        return Decision::new(Role::Ignored, format!("an identifier; {}", distinct()));
    }
    if names::says_user_agent(words) && !column.is_number() {
        return Decision::new(Role::UserAgent, format!("name says user agent; {}", distinct()));
    }
    if names::says_person_name(words) && !column.is_number() && profile.n_distinct > 2 {
        return Decision::new(Role::Name, format!("name says a person's name; {}", distinct()));
    }
    if names::says_free_text(words) && !column.is_number() {
        return Decision::new(Role::Text, format!("name says free text; {}", distinct()));
    }
    let few = column.has_few_levels();
    if column.is_number() {
        let codes = column.is_integer() && (names::says_code(words) || says_id);
        return match (codes, few) {
            (true, true) => Decision::new(Role::Category, format!("name says codes, whole numbers; {}", distinct())),
            (true, false) if says_id => {
                Decision::new(Role::Text, format!("identifiers of something not known; {}", distinct()))
            }
            _ => Decision::new(Role::Number, format!("numbers; {}", distinct())),
        };
    }
    if few && profile.max_len <= 1_000 {
        return Decision::new(Role::Category, format!("text with few levels; {}", distinct()));
    }
    let numbers = if column.at_least(profile.n_number, 0.5) {
        format!("; {} of {} values are numbers", count(profile.n_number), count(column.n_present))
    } else {
        String::new()
    };
    Decision::new(Role::Text, format!("text with too many levels for a category; {}{numbers}", distinct()))
}

/// Whether the letters are a currency of ISO 4217 (active codes, 2024).
pub(crate) fn is_currency_code(text: &str) -> bool {
    const CODES: &str = "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD \
        CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD \
        HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL \
        MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD \
        RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD \
        UYU UZS VED VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWL";
    text.len() == 3 && CODES.split_ascii_whitespace().any(|code| code == text)
}
