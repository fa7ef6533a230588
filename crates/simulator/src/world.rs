//! The shop's surroundings, the same in every simulation: what it sells, where its customers live, how they pay and what
//! things are called. All names are made up; the figures are plausible round numbers, not measured ones.

use crate::random::Random;

/// Goods of one kind.
pub(crate) struct Category {
    pub(crate) name: &'static str,
    /// How often honest customers buy it, relative to the others.
    pub(crate) popularity: f64,
    /// Median price of a piece in currency units, and deviation of its logarithm.
    pub(crate) price: (f64, f64),
    /// Mean number of pieces beyond the first.
    pub(crate) extra_items: f64,
    /// How much easier than others it is to sell on.
    pub(crate) appeal: f64,
}

const fn category(name: &'static str, popularity: f64, price: (f64, f64), extra_items: f64, appeal: f64) -> Category {
    Category { name, popularity, price, extra_items, appeal }
}

pub(crate) const CATEGORIES: [Category; 16] = [
    category("clothing", 21.0, (34.0, 0.6), 1.2, 1.2),
    category("electronics", 12.0, (95.0, 1.0), 0.3, 2.6),
    category("home", 10.0, (38.0, 0.8), 0.8, 0.6),
    category("cosmetics", 9.0, (18.0, 0.6), 1.0, 0.9),
    category("shoes", 9.0, (62.0, 0.5), 0.3, 1.8),
    category("books", 8.0, (14.0, 0.4), 1.1, 0.2),
    category("sport", 7.0, (45.0, 0.7), 0.5, 0.9),
    category("toys", 6.0, (24.0, 0.6), 1.0, 0.6),
    category("grocery", 6.0, (7.0, 0.5), 3.5, 0.2),
    category("phones", 5.0, (330.0, 0.7), 0.1, 3.0),
    category("garden", 4.0, (42.0, 0.7), 0.7, 0.4),
    category("tools", 4.0, (55.0, 0.8), 0.5, 0.9),
    category("pet_supplies", 4.0, (21.0, 0.6), 1.5, 0.2),
    category("perfume", 3.0, (58.0, 0.5), 0.3, 1.9),
    category("jewellery", 2.0, (120.0, 0.9), 0.1, 2.2),
    category("gift_cards", 2.0, (40.0, 0.5), 0.2, 2.4),
];

/// A country that customers live in. Its network addresses are `network`.x.y.z, in the part of the address space that
/// was never given out.
pub(crate) struct Country {
    pub(crate) code: &'static str,
    pub(crate) share: f64,
    pub(crate) prefix: u16,
    pub(crate) network: u8,
    /// Hours that local time is ahead of UTC; seasons change nothing.
    pub(crate) utc_offset: i64,
}

const fn country(code: &'static str, share: f64, prefix: u16, network: u8, utc_offset: i64) -> Country {
    Country { code, share, prefix, network, utc_offset }
}

pub(crate) const COUNTRIES: [Country; 10] = [
    country("DE", 62.0, 49, 240, 1),
    country("AT", 9.0, 43, 241, 1),
    country("PL", 8.0, 48, 242, 1),
    country("NL", 6.0, 31, 243, 1),
    country("FR", 5.0, 33, 244, 1),
    country("IT", 4.0, 39, 245, 1),
    country("GB", 2.0, 44, 246, 0),
    country("US", 2.0, 1, 247, -5),
    country("RO", 1.0, 40, 248, 2),
    country("TR", 1.0, 90, 249, 3),
];

/// First byte of the addresses that data centres and private networks hide customers behind.
pub(crate) const HIDING_NETWORK: u8 = 250;

pub(crate) const HONEST_DOMAINS: [&str; 9] = [
    "postfach.example",
    "webmail.example",
    "inbox.example",
    "mailhaus.example",
    "fastpost.example",
    "letters.example",
    "example.com",
    "example.net",
    "example.org",
];
pub(crate) const THROW_AWAY_DOMAINS: [&str; 5] =
    ["tempbox.example", "tenminutes.example", "quickmail.example", "nomail.example", "dropinbox.example"];

pub(crate) const WELCOME_COUPON: &str = "WELCOME10";
pub(crate) const COUPONS: [&str; 4] = ["SAVE5", "SEASON", "THANKS", "FREESHIP"];

const SYLLABLES: [&str; 24] = [
    "ba", "ber", "da", "del", "fa", "gor", "ha", "jo", "ka", "kel", "la", "lin", "ma", "mir", "na", "nor", "pe", "ra",
    "ris", "sa", "tel", "to", "va", "wen",
];
const STREET_STARTS: [&str; 16] = [
    "Alt", "Berg", "Birn", "Dorn", "Eich", "Feld", "Garn", "Hof", "Korn", "Lind", "Markt", "Mohn", "Rosen", "See",
    "Tann", "Wald",
];
const STREET_MIDDLES: [&str; 16] =
    ["a", "bach", "el", "en", "er", "es", "garten", "heim", "ing", "is", "o", "ort", "rain", "tal", "um", "und"];
const STREET_ENDS: [&str; 4] = [" street", " road", " lane", " square"];

/// Number of streets that [`street_syllables`] tells apart.
pub(crate) const N_STREETS: u64 = 16 * 16 * 4;

/// The name of a street, in three parts.
pub(crate) fn street_syllables(street: u16) -> [&'static str; 3] {
    let street = usize::from(street);
    [STREET_STARTS[street % 16], STREET_MIDDLES[street / 16 % 16], STREET_ENDS[street / 256 % 4]]
}

/// A name of two or three syllables, in lower case.
pub(crate) fn name(random: &mut Random) -> String {
    let mut name = String::with_capacity(24);
    for _ in 0..random.between(2, 3) {
        let syllable: &'static str = random.pick::<&str>(&SYLLABLES);
        name.push_str(syllable);
    }
    name
}

/// Letters and digits without sense, as programs make them.
pub(crate) fn gibberish(random: &mut Random) -> String {
    const SIGNS: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    (0..random.between(8, 13)).map(|_| char::from(*random.pick(SIGNS))).collect()
}

/// How busy the shop is on a day (days since 1970), around 1: the week, the year with its peak before Christmas, and
/// three days of special offers in every four weeks.
pub(crate) fn busyness(day: i64) -> f64 {
    const WEEK: [f64; 7] = [1.08, 1.04, 1.0, 1.0, 0.9, 0.86, 1.12];
    let week = WEEK[(day + 3).rem_euclid(7) as usize];
    let year = 2.0 * std::f64::consts::PI * (day as f64 - 335.0) / 365.25;
    let season = 1.0 + 0.18 * libm::cos(year) + 0.08 * libm::cos(2.0 * year);
    week * season * if is_sale(day) { 1.5 } else { 1.0 }
}

/// Whether special offers run on a day (days since 1970).
pub(crate) fn is_sale(day: i64) -> bool {
    day.rem_euclid(28) >= 25
}

/// Whether a day (days since 1970) is a Saturday or Sunday.
pub(crate) fn is_weekend(day: i64) -> bool {
    (day + 3).rem_euclid(7) >= 5
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calendar_is_right() {
        // 2024-01-06 was a Saturday, day 19,728 since 1970.
        let days: Vec<bool> = (19_728..19_735).map(is_weekend).collect();
        assert_eq!(days, [true, true, false, false, false, false, false]);
        assert!(is_weekend(-4) && is_weekend(-5) && !is_weekend(-6), "1969-12-27 and 28 were a weekend");
        assert!(busyness(19_728) > 0.5 && busyness(19_728) < 2.5);
    }

    #[test]
    fn streets_are_told_apart() {
        let mut names: Vec<String> = (0..N_STREETS as u16).map(|s| street_syllables(s).concat()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), N_STREETS as usize);
    }
}
