//! What dishonest customers do, one function per kind. Each starts from an order as an honest customer would place it and
//! changes only what that kind of abuse has to change, so that no single column gives it away.

use std::net::Ipv4Addr;

use orderguard_features::time::UnixMillis;

use crate::customer::{self, Customer, Population};
use crate::honest;
use crate::order::{Address, DeviceId, FraudKind, SimulatedOrder};
use crate::random::Random;
use crate::world::{self, CATEGORIES, COUNTRIES};

/// A run of orders by one dishonest actor, planned before the stream starts.
#[derive(Clone, Debug)]
pub(crate) struct Episode {
    pub(crate) kind: FraudKind,
    /// Second since 1970 of the first order.
    pub(crate) start: i64,
    pub(crate) n_orders: u64,
    /// Names the episode's random numbers.
    pub(crate) index: u64,
}

/// People who work together over the whole stream and use their means again.
struct Ring {
    country: usize,
    devices: Vec<DeviceId>,
    drops: Vec<Address>,
    networks: [Ipv4Addr; 2],
}

/// Everybody dishonest, across episodes.
pub(crate) struct Underworld {
    rings: Vec<Ring>,
    /// Customers who charged back or claimed before, by position in the population.
    habitual: Vec<usize>,
}

/// Splits `n_fraud` over kinds and episodes that start between `start` and `end` (seconds since 1970), by time.
pub(crate) fn plan(n_fraud: u64, start: i64, end: i64, random: &mut Random) -> Vec<Episode> {
    let mut episodes = Vec::new();
    let mut share_before = 0.0;
    let mut n_before = 0;
    for kind in FraudKind::ALL {
        // Rounding the running total keeps the sum exact.
        share_before += kind.share();
        let n_until = (n_fraud as f64 * share_before.min(1.0)).round() as u64;
        let mut rest = n_until - n_before;
        n_before = n_until;
        while rest > 0 {
            let n_orders = episode_size(kind, random).min(rest);
            rest -= n_orders;
            episodes.push(Episode {
                kind,
                start: random.between(start, end - 1),
                n_orders,
                index: episodes.len() as u64,
            });
        }
    }
    episodes.sort_by_key(|episode| (episode.start, episode.index));
    episodes
}

fn episode_size(kind: FraudKind, random: &mut Random) -> u64 {
    let (least, mean_more, most) = match kind {
        FraudKind::Chargeback => (1, 2.2, 8),
        FraudKind::FakeOrder => (1, 2.8, 12),
        FraudKind::StolenCard => (1, 3.2, 12),
        FraudKind::AccountTakeover => (1, 1.8, 6),
        FraudKind::RefundAbuse => (2, 2.0, 8),
        FraudKind::CouponAbuse => (3, 4.0, 15),
        FraudKind::Bot => (4, 5.0, 20),
    };
    (least + random.exponential(mean_more) as u64).min(most)
}

impl Underworld {
    /// Rings enough for that many dishonest orders.
    pub(crate) fn new(n_fraud: u64, random: &mut Random) -> Self {
        let rings = (0..n_fraud / 70 + 3)
            .map(|_| {
                let country = customer::pick_country(random);
                Ring {
                    country,
                    devices: (0..4).map(|_| customer::device(random)).collect(),
                    drops: (0..4).map(|_| customer::address(&COUNTRIES[country], random)).collect(),
                    networks: [customer::hiding_ip(random), customer::provider_ip(&COUNTRIES[country], random)],
                }
            })
            .collect();
        Self { rings, habitual: Vec::new() }
    }

    /// The orders of one episode, exactly as many as planned, all before `end` (seconds since 1970).
    pub(crate) fn act(
        &mut self,
        episode: &Episode,
        end: i64,
        population: &mut Population,
        random: &mut Random,
    ) -> Vec<SimulatedOrder> {
        let seconds = times(episode, end, random);
        let mut orders = match episode.kind {
            FraudKind::Chargeback | FraudKind::RefundAbuse => self.claim(episode.kind, &seconds, population, random),
            FraudKind::FakeOrder => self.fake(&seconds, population, random),
            FraudKind::StolenCard => self.steal(&seconds, population, random),
            FraudKind::AccountTakeover => self.take_over(&seconds, population, random),
            FraudKind::CouponAbuse => coupons(&seconds, population, random),
            FraudKind::Bot => self.bot(&seconds, population, random),
        };
        for order in &mut orders {
            order.truth = Some(episode.kind);
        }
        orders
    }

    /// Ordinary customers with a habit of charging back or claiming. Their own orders go on between these.
    fn claim(
        &mut self,
        kind: FraudKind,
        seconds: &[i64],
        population: &mut Population,
        random: &mut Random,
    ) -> Vec<SimulatedOrder> {
        let start = seconds[0];
        let actor = if !self.habitual.is_empty() && random.chance(0.6) {
            *random.pick(&self.habitual)
        } else if random.chance(0.6) {
            population.buyer(random)
        } else {
            let signup = start - random.exponential(5.0 * 86_400.0) as i64;
            let mut person = population.person(signup, random);
            if random.chance(0.7) {
                person.payment = "card";
            }
            population.add(person)
        };
        self.habitual.push(actor);
        let mut account = population.customers[actor].clone();
        let mut orders = Vec::with_capacity(seconds.len());
        for (i, &second) in seconds.iter().enumerate() {
            if i > 0 && random.chance(0.2) {
                // The shop may have noticed: another account at the same place.
                account = alias(&account, second, population, random);
            }
            let mut order = honest::order(&account, second, population, random);
            if kind == FraudKind::Chargeback {
                if random.chance(0.7) {
                    pay_by_card(&mut order, &account, random);
                }
                if random.chance(0.3) {
                    order.shipping = population.parcel_shop(account.home.country, random);
                }
            }
            if random.chance(0.85) {
                let taste = account.taste * random.log_normal(1.9, 0.4);
                honest::pay(&mut order, &honest::basket(tempting(random), taste, random));
            }
            orders.push(order);
        }
        orders
    }

    /// False identities that never pay.
    fn fake(&mut self, seconds: &[i64], population: &mut Population, random: &mut Random) -> Vec<SimulatedOrder> {
        let ring = random.chance(0.65).then(|| random.pick(&self.rings));
        let mut actor = impostor(ring, seconds[0], population, random);
        let device = a_device(ring, 1.0, random);
        let mut orders = Vec::with_capacity(seconds.len());
        for (i, &second) in seconds.iter().enumerate() {
            if i > 0 && random.chance(0.55) {
                let place = actor.home;
                actor = impostor(ring, second, population, random);
                if random.chance(0.6) {
                    actor.home = Address { flat: random.between(1, 24) as u16, ..place };
                }
            }
            let mut order = honest::order(&actor, second, population, random);
            if order.device.is_some() {
                order.device = Some(if random.chance(0.7) { device } else { actor.devices[0] });
            }
            if order.ip.is_some() && random.chance(0.45) {
                order.ip = Some(masked_ip(actor.country, ring, random));
            }
            if random.chance(0.8) {
                order.payment_method = if random.chance(0.7) { "invoice" } else { "cash_on_delivery" };
                (order.card, order.card_country) = (None, None);
            }
            if random.chance(0.6) {
                order.shipping = drop_place(&actor, ring, population, random);
            }
            let taste = actor.taste * random.log_normal(1.7, 0.4);
            honest::pay(&mut order, &honest::basket(tempting(random), taste, random));
            orders.push(order);
        }
        orders
    }

    /// Cards of strangers: first, sometimes, small charges, then dear goods to an address that is not the card holder's.
    fn steal(&mut self, seconds: &[i64], population: &mut Population, random: &mut Random) -> Vec<SimulatedOrder> {
        let ring = random.chance(0.55).then(|| random.pick(&self.rings));
        let mut actor = impostor(ring, seconds[0], population, random);
        let device = a_device(ring, 1.0, random);
        let n_tests = if seconds.len() >= 3 && random.chance(0.6) { seconds.len() / 3 } else { 0 };
        let keeps_address = random.chance(0.35);
        let mut orders = Vec::with_capacity(seconds.len());
        for (i, &second) in seconds.iter().enumerate() {
            if i > 0 && random.chance(0.45) {
                let holder = customer::pick_country(random);
                actor.cards = vec![customer::card(holder, random)];
                actor.card_country = COUNTRIES[holder].code;
            }
            if i > 0 && random.chance(0.2) {
                actor = impostor(ring, second, population, random);
            }
            let mut order = honest::order(&actor, second, population, random);
            pay_by_card(&mut order, &actor, random);
            if order.device.is_some() {
                order.device =
                    (!random.chance(0.12)).then(|| if random.chance(0.8) { device } else { actor.devices[0] });
            }
            if order.ip.is_some() {
                order.ip = Some(masked_ip(actor.country, ring, random));
            }
            if !keeps_address {
                order.shipping = drop_place(&actor, ring, population, random);
            }
            if let Some(visit) = &mut order.session_seconds
                && random.chance(0.5)
            {
                *visit = random.log_normal(120.0, 0.7).clamp(4.0, 14_400.0) as u32;
            }
            let taste = if i < n_tests { 0.25 } else { actor.taste * random.log_normal(1.9, 0.4) };
            honest::pay(&mut order, &honest::basket(tempting(random), taste, random));
            orders.push(order);
        }
        orders
    }

    /// An account that has been quiet, in strange hands.
    fn take_over(&mut self, seconds: &[i64], population: &mut Population, random: &mut Random) -> Vec<SimulatedOrder> {
        let ring = random.chance(0.5).then(|| random.pick(&self.rings));
        let likes_busy = random.chance(0.6);
        let pick = |random: &mut Random| if likes_busy { population.buyer(random) } else { population.anybody(random) };
        let mut victim = pick(random);
        for _ in 0..12 {
            if population.customers[victim].signup < seconds[0] - 60 * 86_400 {
                break;
            }
            victim = pick(random);
        }
        let victim = population.customers[victim].clone();
        let device = a_device(ring, 0.4, random);
        let drop = drop_place(&victim, ring, population, random);
        let changes_address = random.chance(0.8);
        let mut orders = Vec::with_capacity(seconds.len());
        for &second in seconds {
            let mut order = honest::order(&victim, second, population, random);
            if order.device.is_some() {
                order.device = (!random.chance(0.1)).then_some(device);
            }
            if order.ip.is_some() {
                order.ip = Some(masked_ip(victim.country, ring, random));
            }
            order.shipping = if changes_address { drop } else { victim.home };
            let taste = victim.taste * random.log_normal(2.4, 0.4);
            honest::pay(&mut order, &honest::basket(tempting(random), taste, random));
            orders.push(order);
        }
        orders
    }

    /// Programs that buy the same offer again and again.
    fn bot(&mut self, seconds: &[i64], population: &mut Population, random: &mut Random) -> Vec<SimulatedOrder> {
        let ring = Some(random.pick(&self.rings));
        let goods = honest::basket(tempting(random), random.log_normal(0.8, 0.3), random);
        let is_fast = random.chance(0.7);
        let mut actor = impostor(ring, seconds[0], population, random);
        let drops: Vec<Address> = (0..3).map(|_| drop_place(&actor, ring, population, random)).collect();
        let mut orders = Vec::with_capacity(seconds.len());
        for (i, &second) in seconds.iter().enumerate() {
            if i > 0 && random.chance(0.4) {
                actor = impostor(ring, second, population, random);
            }
            let mut order = honest::order(&actor, second, population, random);
            order.channel = "web";
            order.ip = Some(masked_ip(actor.country, ring, random));
            order.device = random.chance(0.55).then_some(actor.devices[0]);
            order.shipping = *random.pick(&drops);
            order.special_offer = random.chance(0.8);
            let median = if is_fast { 14.0 } else { 60.0 };
            order.session_seconds = Some(random.log_normal(median, 0.5).clamp(3.0, 600.0) as u32);
            honest::pay(&mut order, &goods);
            orders.push(order);
        }
        orders
    }
}

/// One person who opens an account per voucher.
fn coupons(seconds: &[i64], population: &mut Population, random: &mut Random) -> Vec<SimulatedOrder> {
    let mut account = population.person(seconds[0] - 120, random);
    let shares_device = random.chance(0.75);
    let shares_address = random.chance(0.7);
    let mut orders = Vec::with_capacity(seconds.len());
    for (i, &second) in seconds.iter().enumerate() {
        if i > 0 {
            account = alias(&account, second, population, random);
            if !shares_device || random.chance(0.15) {
                account.devices = vec![customer::device(random)];
            }
            if !shares_address {
                account.home = customer::address_near(&account.home, random);
            }
        }
        let mut order = honest::order(&account, second, population, random);
        if random.chance(0.85) {
            order.coupon = Some(world::WELCOME_COUPON);
        }
        let category = *random.pick(&account.favourites);
        honest::pay(&mut order, &honest::basket(category, account.taste, random));
        orders.push(order);
    }
    orders
}

/// When the orders of an episode are placed: the first at its start, none at or after `end`.
fn times(episode: &Episode, end: i64, random: &mut Random) -> Vec<i64> {
    let day = episode.start.div_euclid(86_400) * 86_400;
    let night = matches!(episode.kind, FraudKind::Bot | FraudKind::StolenCard) && random.chance(0.35);
    let hour = if night { random.unit() * 5.0 } else { 15.0 + 4.5 * random.normal() };
    // Moving within the day must not move before the start of the stream: only later hours are taken.
    let first = (day + (hour.rem_euclid(24.0) * 3_600.0) as i64).max(episode.start).min(end - 1);
    let slow = random.chance(0.3);
    let mean_gap = match episode.kind {
        FraudKind::Chargeback => 11.0 * 86_400.0,
        FraudKind::RefundAbuse => 8.0 * 86_400.0,
        FraudKind::FakeOrder => 14.0 * 3_600.0,
        FraudKind::CouponAbuse => 9.0 * 3_600.0,
        FraudKind::StolenCard | FraudKind::AccountTakeover if slow => 18.0 * 3_600.0,
        FraudKind::StolenCard | FraudKind::AccountTakeover => 25.0 * 60.0,
        FraudKind::Bot => 70.0,
    };
    let mut seconds = vec![first];
    let mut second = first;
    while (seconds.len() as u64) < episode.n_orders {
        second += 5 + random.exponential(mean_gap) as i64;
        if second >= end {
            second = random.between(first, end - 1);
        }
        seconds.push(second);
    }
    seconds.sort_unstable();
    seconds
}

/// A false identity with an account that is new, or was put aside for a while.
fn impostor(ring: Option<&Ring>, second: i64, population: &mut Population, random: &mut Random) -> Customer {
    let age = match random.weighted(&[50.0, 25.0, 25.0], |w| *w) {
        0 => random.exponential(1_800.0),
        1 => random.exponential(4.0 * 86_400.0),
        _ => random.exponential(150.0 * 86_400.0),
    };
    let mut actor = population.person(second - 60 - age as i64, random);
    let country = match ring {
        Some(ring) if random.chance(0.5) => ring.country,
        _ => actor.country,
    };
    actor.country = country;
    actor.home = match ring {
        Some(ring) if random.chance(0.25) => *random.pick(&ring.drops),
        _ => customer::address(&COUNTRIES[country], random),
    };
    actor.home_ip = customer::provider_ip(&COUNTRIES[country], random);
    actor.devices = vec![customer::device(random)];
    let holder = if random.chance(0.85) { country } else { customer::pick_country(random) };
    actor.cards = vec![customer::card(holder, random)];
    actor.card_country = COUNTRIES[holder].code;
    actor.is_business = random.chance(0.17);
    if random.chance(0.4) {
        let local = if random.chance(0.6) { world::gibberish(random) } else { world::name(random) };
        let domain =
            if random.chance(0.35) { *random.pick(&world::THROW_AWAY_DOMAINS) } else { customer::usual_domain(random) };
        actor.email = format!("{local}@{domain}");
    }
    if random.chance(0.3) {
        actor.phone = None;
    }
    actor
}

/// Another account of the same person: same home, devices and cards, other e-mail address.
fn alias(account: &Customer, second: i64, population: &mut Population, random: &mut Random) -> Customer {
    let age = if random.chance(0.7) { random.exponential(900.0) } else { random.exponential(6.0 * 86_400.0) };
    let mut other = account.clone();
    other.id = population.new_id();
    other.signup = second - 30 - age as i64;
    other.n_orders = 0;
    other.email = customer::ordinary_email(false, random);
    if random.chance(0.5) {
        other.phone = random.chance(0.5).then(|| customer::phone(&COUNTRIES[account.country], random));
    }
    if random.chance(0.3) {
        other.home.flat = random.between(1, 24) as u16;
    }
    other
}

/// One of the ring's devices with that probability, else a fresh one.
fn a_device(ring: Option<&Ring>, probability: f64, random: &mut Random) -> DeviceId {
    match ring {
        Some(ring) if random.chance(probability) => *random.pick(&ring.devices),
        _ => customer::device(random),
    }
}

fn pay_by_card(order: &mut SimulatedOrder, account: &Customer, random: &mut Random) {
    order.payment_method = "card";
    order.card = Some(*random.pick(&account.cards));
    order.card_country = Some(account.card_country);
}

/// Goods that are easy to sell on, mostly.
fn tempting(random: &mut Random) -> usize {
    random.weighted(&CATEGORIES, |c| c.popularity * c.appeal)
}

/// Where the goods go when not home: a place the ring watches, a parcel shop, an empty flat.
fn drop_place(actor: &Customer, ring: Option<&Ring>, population: &Population, random: &mut Random) -> Address {
    match ring {
        Some(ring) if random.chance(0.6) => *random.pick(&ring.drops),
        _ if random.chance(0.4) => population.parcel_shop(actor.home.country, random),
        _ if random.chance(0.6) => customer::address_near(&actor.home, random),
        _ => customer::address(&COUNTRIES[actor.country], random),
    }
}

/// A network address that does not lead home: the ring's own networks, a hired private network, a hijacked home, a telephone.
fn masked_ip(country: usize, ring: Option<&Ring>, random: &mut Random) -> Ipv4Addr {
    if let Some(ring) = ring
        && random.chance(0.35)
    {
        let [a, b, c, _] = random.pick(&ring.networks).octets();
        return Ipv4Addr::new(a, b, c, random.between(1, 254) as u8);
    }
    match random.weighted(&[27.0, 43.0, 15.0, 15.0], |w| *w) {
        0 => customer::hiding_ip(random),
        1 => customer::provider_ip(&COUNTRIES[country], random),
        2 => customer::mobile_ip(country, random),
        _ => customer::provider_ip(random.pick(&COUNTRIES), random),
    }
}

/// What the plan must know of the time of an order.
pub(crate) fn second_of(order: &SimulatedOrder) -> i64 {
    let UnixMillis(millis) = order.time;
    millis.div_euclid(1_000)
}
