//! Dishonest actors and their means: rings, false identities, second accounts, places and networks to hide.

use std::net::Ipv4Addr;

use super::Episode;
use crate::customer::{self, Customer, Population};
use crate::order::{Address, DeviceId};
use crate::random::Random;
use crate::world::{self, CATEGORIES, COUNTRIES};

/// People who work together over the whole stream and use their means again.
pub(super) struct Ring {
    country: usize,
    pub(super) devices: Vec<DeviceId>,
    pub(super) drops: Vec<Address>,
    networks: [Ipv4Addr; 2],
}

impl Ring {
    pub(super) fn new(random: &mut Random) -> Self {
        let country = customer::pick_country(random);
        Self {
            country,
            devices: (0..4).map(|_| customer::device(random)).collect(),
            drops: (0..2).map(|_| customer::address(country, random)).collect(),
            networks: [customer::hiding_ip(random), customer::provider_ip(country, None, random)],
        }
    }
}

/// A false identity with an account that is new, or was opened when the episode was prepared.
pub(super) fn impostor(
    ring: Option<&Ring>,
    second: i64,
    episode: &Episode,
    population: &mut Population,
    random: &mut Random,
) -> Customer {
    let age = match random.weighted(&[55.0, 45.0], |w| *w) {
        0 => random.exponential(1_800.0),
        _ if episode.from_before && random.chance(0.3) => random.exponential(150.0 * 86_400.0),
        _ => random.unit() * (second - episode.prepared) as f64,
    };
    let earliest = if episode.from_before { i64::MIN } else { episode.prepared };
    let mut actor = population.person((second - 60 - age as i64).max(earliest).min(second), random);
    let country = match ring {
        Some(ring) if random.chance(0.5) => ring.country,
        _ => actor.country,
    };
    actor.country = country;
    actor.home = match ring {
        Some(ring) if random.chance(0.25) => *random.pick(&ring.drops),
        _ => customer::address(country, random),
    };
    actor.home_ip = customer::provider_ip(country, None, random);
    actor.use_only(customer::device(random));
    let holder = if random.chance(0.85) { country } else { customer::pick_country(random) };
    actor.cards = [customer::card(holder, random); 2];
    actor.is_business = random.chance(0.17);
    let telling = if episode.is_modern { 0.12 } else { 0.4 };
    if random.chance(telling) {
        let local = if random.chance(0.6) { world::gibberish(random) } else { world::name(random) };
        let domain =
            if random.chance(0.35) { *random.pick(&world::THROW_AWAY_DOMAINS) } else { customer::usual_domain(random) };
        actor.email = format!("{local}@{domain}").into();
    }
    actor.phone = if random.chance(0.3) { None } else { Some(customer::phone(country, random)) };
    if let Some(phone) = &mut actor.phone {
        if random.chance(0.15) {
            phone.prefix = COUNTRIES[customer::any_country(random)].prefix;
        }
        phone.is_cut = random.chance(0.08);
    }
    actor
}

/// Another account of the same person: same home, devices and cards, other e-mail address, perhaps another name.
pub(super) fn alias(
    account: &Customer,
    second: i64,
    episode: &Episode,
    population: &mut Population,
    random: &mut Random,
) -> Customer {
    let age = if random.chance(0.7) { random.exponential(900.0) } else { random.exponential(6.0 * 86_400.0) };
    let mut other = account.clone();
    other.id = population.new_id();
    other.signup = (second - 30 - age as i64).max(episode.prepared).min(second);
    other.n_orders = 0;
    let (first, last) = (world::name(random), world::name(random));
    other.email = customer::ordinary_email(&first, &last, false, random).into();
    if random.chance(0.6) {
        other.name = customer::full_name(&first, &last).into();
    }
    if random.chance(0.5) {
        other.phone = random.chance(0.5).then(|| customer::phone(account.country, random));
    }
    if random.chance(0.3) {
        other.home.flat = random.between(1, 24) as u16;
    }
    other
}

/// One of the ring's devices with that probability, else a fresh one.
pub(super) fn a_device(ring: Option<&Ring>, probability: f64, random: &mut Random) -> DeviceId {
    match ring {
        Some(ring) if random.chance(probability) => *random.pick(&ring.devices),
        _ => customer::device(random),
    }
}

/// Goods that are easy to sell on, mostly.
pub(super) fn tempting(random: &mut Random) -> usize {
    random.weighted(&CATEGORIES, |c| c.popularity * c.appeal)
}

/// Where the goods go when not home: a place the ring watches, a parcel shop, an empty flat.
pub(super) fn drop_place(
    actor: &Customer,
    ring: Option<&Ring>,
    population: &Population,
    random: &mut Random,
) -> Address {
    match ring {
        Some(ring) if random.chance(0.6) => *random.pick(&ring.drops),
        _ if random.chance(0.4) => population.parcel_shop(actor.country, random),
        _ if random.chance(0.6) => customer::address_near(&actor.home, random),
        _ => customer::address(actor.country, random),
    }
}

/// A network address that does not lead home: the ring's own networks, a hired private network, a hijacked home, a
/// telephone. After the drift it is mostly a hijacked home in the town that the goods are ordered from.
pub(super) fn masked_ip(actor: &Customer, ring: Option<&Ring>, is_modern: bool, random: &mut Random) -> Ipv4Addr {
    if is_modern && random.chance(0.6) {
        return customer::provider_ip(actor.country, Some(actor.home.region), random);
    }
    if let Some(ring) = ring
        && random.chance(0.35)
    {
        let [a, b, c, _] = random.pick(&ring.networks).octets();
        return Ipv4Addr::new(a, b, c, random.between(1, 254) as u8);
    }
    match random.weighted(&[27.0, 43.0, 15.0, 15.0], |w| *w) {
        0 => customer::hiding_ip(random),
        1 => customer::provider_ip(actor.country, None, random),
        2 => customer::mobile_ip(actor.country, random),
        _ => customer::provider_ip(customer::any_country(random), None, random),
    }
}
