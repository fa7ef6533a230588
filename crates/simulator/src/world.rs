//! The shop's surroundings, the same in every simulation: what it sells, where its customers live, how they pay and what
//! things are called. All names are made up; the figures are plausible round numbers, not measured ones.

use std::net::Ipv4Addr;

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
    /// Share of honest orders that come back, in part or whole.
    pub(crate) returns: f64,
}

const fn category(
    name: &'static str,
    popularity: f64,
    price: (f64, f64),
    extra_items: f64,
    appeal: f64,
    returns: f64,
) -> Category {
    Category { name, popularity, price, extra_items, appeal, returns }
}

pub(crate) const CATEGORIES: [Category; 16] = [
    category("clothing", 21.0, (34.0, 0.6), 1.2, 1.2, 0.30),
    category("electronics", 12.0, (95.0, 1.0), 0.3, 2.6, 0.15),
    category("home", 10.0, (38.0, 0.8), 0.8, 0.6, 0.07),
    category("cosmetics", 9.0, (18.0, 0.6), 1.0, 0.9, 0.20),
    category("shoes", 9.0, (62.0, 0.5), 0.3, 1.8, 0.32),
    category("books", 8.0, (14.0, 0.4), 1.1, 0.2, 0.03),
    category("sport", 7.0, (45.0, 0.7), 0.5, 0.9, 0.10),
    category("toys", 6.0, (24.0, 0.6), 1.0, 0.6, 0.06),
    category("grocery", 6.0, (7.0, 0.5), 3.5, 0.2, 0.01),
    category("phones", 5.0, (330.0, 0.7), 0.1, 3.0, 0.12),
    category("garden", 4.0, (42.0, 0.7), 0.7, 0.4, 0.05),
    category("tools", 4.0, (55.0, 0.8), 0.5, 0.9, 0.06),
    category("pet_supplies", 4.0, (21.0, 0.6), 1.5, 0.2, 0.03),
    category("perfume", 3.0, (58.0, 0.5), 0.3, 1.9, 0.12),
    category("jewellery", 2.0, (120.0, 0.9), 0.1, 2.2, 0.14),
    category("gift_cards", 2.0, (40.0, 0.5), 0.2, 2.4, 0.0),
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
    /// What people pay with there, and the share of them that does so in this shop, whose prices are in euro.
    pub(crate) currency: (&'static str, f64),
    /// Where its towns lie: south, north, west and east in thousandths of a degree.
    pub(crate) bounds: [i32; 4],
}

const fn country(
    code: &'static str,
    share: f64,
    prefix: u16,
    network: u8,
    utc_offset: i64,
    currency: (&'static str, f64),
    bounds: [i32; 4],
) -> Country {
    Country { code, share, prefix, network, utc_offset, currency, bounds }
}

pub(crate) const COUNTRIES: [Country; 10] = [
    country("DE", 62.0, 49, 240, 1, ("EUR", 1.0), [47_600, 54_400, 6_500, 14_500]),
    country("AT", 9.0, 43, 241, 1, ("EUR", 1.0), [46_700, 48_700, 10_200, 16_800]),
    country("PL", 8.0, 48, 242, 1, ("PLN", 0.7), [49_700, 54_300, 14_800, 23_300]),
    country("NL", 6.0, 31, 243, 1, ("EUR", 1.0), [51_300, 53_200, 4_200, 6_900]),
    country("FR", 5.0, 33, 244, 1, ("EUR", 1.0), [43_500, 50_200, -800, 7_200]),
    country("IT", 4.0, 39, 245, 1, ("EUR", 1.0), [38_500, 45_900, 8_000, 16_500]),
    country("GB", 2.0, 44, 246, 0, ("GBP", 0.8), [50_800, 56_500, -4_500, 1_000]),
    country("US", 2.0, 1, 247, -5, ("USD", 0.8), [31_500, 44_500, -117_500, -76_500]),
    country("RO", 1.0, 40, 248, 2, ("RON", 0.3), [44_200, 47_600, 21_500, 27_800]),
    country("TR", 1.0, 90, 249, 3, ("TRY", 0.3), [36_900, 40_900, 27_500, 41_500]),
];

/// First byte of the addresses that data centres and private networks hide customers behind.
pub(crate) const HIDING_NETWORK: u8 = 250;

/// Positions in [`COUNTRIES`] where the computers of hiding networks stand, by the second byte of the address; large
/// networks come first.
const HIDING_PLACES: [usize; 8] = [3, 0, 7, 8, 6, 4, 0, 2];

/// Where a network address is, as a table of addresses would say: a position in [`COUNTRIES`], degrees north and east in
/// thousandths.
pub(crate) fn place_of_ip(ip: Ipv4Addr) -> (usize, i32, i32) {
    let [first, second, _, _] = ip.octets();
    let (country, cell) = match first {
        100 => {
            // A mobile network covers the country: tables name its middle.
            let country = usize::from(second.saturating_sub(64)).min(COUNTRIES.len() - 1);
            let [south, north, west, east] = COUNTRIES[country].bounds;
            return (country, i32::midpoint(south, north), i32::midpoint(west, east));
        }
        HIDING_NETWORK => (HIDING_PLACES[usize::from(second) % HIDING_PLACES.len()], 0),
        _ => (usize::from(first.saturating_sub(240)).min(COUNTRIES.len() - 1), u32::from(second) % N_REGIONS),
    };
    let (north, east) = coordinates(country, cell, u32::from(second) + 1_000);
    (country, north, east)
}

/// Parts of every country.
pub(crate) const N_REGIONS: u32 = 6;

/// Degrees north and east, in thousandths, of a place in a region of the country; the same number is the same place.
pub(crate) fn coordinates(country: usize, region: u32, place: u32) -> (i32, i32) {
    let [south, north, west, east] = COUNTRIES[country].bounds;
    let hash = scramble((country as u64) << 40 | u64::from(region) << 32 | u64::from(place));
    // Regions are the cells of a grid of three by two.
    let (row, column) = ((region / 2) as i32, (region % 2) as i32);
    let (height, width) = ((north - south) / 3, (east - west) / 2);
    let part = |bits: u64, length: i32| (((bits & 0xffff) as i64 * i64::from(length)) >> 16) as i32;
    (south + row * height + part(hash, height), west + column * width + part(hash >> 16, width))
}

/// Bits that depend on every bit of `x` (the last step of `SplitMix64`, Steele, Lea and Flood 2014).
pub(crate) fn scramble(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// What one euro buys, in thousandths of the other currency: plausible round numbers that never change.
const RATES: [(&str, i64); 6] =
    [("EUR", 1_000), ("PLN", 4_300), ("GBP", 850), ("USD", 1_080), ("RON", 4_970), ("TRY", 35_000)];

/// Cents of euro as cents of the currency, at least one.
pub(crate) fn convert(euro_cents: i64, currency: &str) -> i64 {
    let rate = RATES.iter().find(|(name, _)| *name == currency).map_or(1_000, |(_, rate)| *rate);
    (euro_cents * rate / 1_000).max(1)
}

/// A currency that travellers may pay in.
pub(crate) fn any_currency(random: &mut Random) -> &'static str {
    random.pick(&RATES).0
}

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

/// The name with a capital letter.
pub(crate) fn capital(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or(String::new(), |first| first.to_ascii_uppercase().to_string() + letters.as_str())
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
    fn places_lie_in_their_countries() {
        for (i, country) in COUNTRIES.iter().enumerate() {
            let [south, north, west, east] = country.bounds;
            let is_inside = |(lat, lon): (i32, i32)| (south..north).contains(&lat) && (west..east).contains(&lon);
            for place in 0..500 {
                assert!(is_inside(coordinates(i, place % N_REGIONS, place)));
            }
            for second in 0..=255 {
                let (at, lat, lon) = place_of_ip(Ipv4Addr::new(country.network, second, 3, 4));
                assert!(at == i && is_inside((lat, lon)));
            }
            assert_eq!(place_of_ip(Ipv4Addr::new(100, 64 + i as u8, 1, 2)).0, i);
        }
        let hidden: Vec<usize> = (0..8).map(|b| place_of_ip(Ipv4Addr::new(HIDING_NETWORK, b, 0, 1)).0).collect();
        assert!(hidden.iter().any(|country| *country != hidden[0]));
    }

    #[test]
    fn money_is_converted_exactly() {
        assert_eq!(convert(1_000, "EUR"), 1_000);
        assert_eq!(convert(1_000, "PLN"), 4_300);
        assert_eq!(convert(1, "GBP"), 1);
        assert!(COUNTRIES.iter().all(|country| RATES.iter().any(|(name, _)| *name == country.currency.0)));
    }

    #[test]
    fn streets_are_told_apart() {
        let mut names: Vec<String> = (0..N_STREETS as u16).map(|s| street_syllables(s).concat()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), N_STREETS as usize);
    }
}
