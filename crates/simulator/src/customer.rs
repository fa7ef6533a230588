//! Customers and what is theirs: an identity, a household, habits. Honest people and impostors are made by the same code,
//! so that nothing tells them apart except what they do.

use std::net::Ipv4Addr;

use crate::order::{Address, Card, CustomerId, DeviceId, Phone};
use crate::random::Random;
use crate::world::{self, CATEGORIES, COUNTRIES, Country};

/// How often a customer of each activity level buys, relative to level 0; the tail is heavy.
pub(crate) const LEVEL_WEIGHTS: [f64; 9] = [1.0, 1.7, 2.9, 4.9, 8.4, 14.2, 24.1, 41.0, 69.8];

/// One account and its owner's habits.
#[derive(Clone, Debug)]
pub(crate) struct Customer {
    pub(crate) id: CustomerId,
    /// Seconds since 1970.
    pub(crate) signup: i64,
    pub(crate) email: String,
    pub(crate) phone: Option<Phone>,
    /// Position in [`COUNTRIES`].
    pub(crate) country: usize,
    pub(crate) home: Address,
    /// Where parcels go when nobody is at home: an office, a parcel shop, family.
    pub(crate) other_place: Address,
    /// The one used most comes first.
    pub(crate) devices: Vec<DeviceId>,
    pub(crate) hides_device: bool,
    pub(crate) home_ip: Ipv4Addr,
    /// Position of the office in the population, for those who shop at work.
    pub(crate) office: Option<usize>,
    pub(crate) uses_vpn: bool,
    pub(crate) cards: Vec<Card>,
    pub(crate) card_country: &'static str,
    pub(crate) payment: &'static str,
    /// Positions in [`CATEGORIES`].
    pub(crate) favourites: [usize; 3],
    /// Factor on prices.
    pub(crate) taste: f64,
    /// Local hour around which this customer shops.
    pub(crate) hour: f64,
    /// Median length of a visit in seconds.
    pub(crate) visit: f64,
    pub(crate) channel: &'static str,
    pub(crate) is_business: bool,
    /// Position in [`LEVEL_WEIGHTS`].
    pub(crate) level: usize,
    pub(crate) n_orders: u32,
}

/// Everybody who has an account, and the places they share.
#[derive(Debug, Default)]
pub(crate) struct Population {
    pub(crate) customers: Vec<Customer>,
    /// Customers of each activity level, by position.
    levels: [Vec<u32>; LEVEL_WEIGHTS.len()],
    /// Network addresses that many colleagues share.
    offices: Vec<Ipv4Addr>,
    /// Parcel shops, shared by the neighbourhood and by those who do not want to be found at home.
    parcel_shops: Vec<Address>,
    next_id: u32,
}

impl Population {
    /// The shop's places and the customers it had before the first order, signed up until `start`.
    pub(crate) fn new(n_customers: u64, start: i64, random: &mut Random) -> Self {
        let mut population = Self { next_id: random.bits() as u32, ..Self::default() };
        for _ in 0..(n_customers / 120).max(4) {
            let country = pick_country(random);
            population.offices.push(provider_ip(&COUNTRIES[country], random));
        }
        for _ in 0..(n_customers / 60).max(6) {
            let country = pick_country(random);
            let mut shop = address(&COUNTRIES[country], random);
            shop.flat = 0;
            population.parcel_shops.push(shop);
        }
        for _ in 0..n_customers {
            let age_days = random.exponential(420.0).min(2_500.0);
            let signup = start - 3_600 - (age_days * 86_400.0) as i64;
            let mut customer = population.person(signup, random);
            // They bought something before the stream starts: no voucher for newcomers.
            customer.n_orders = 1;
            population.add(customer);
        }
        population
    }

    /// Puts an account on the books: from now on it may be drawn again.
    pub(crate) fn add(&mut self, customer: Customer) -> usize {
        let position = self.customers.len();
        self.levels[customer.level].push(position as u32);
        self.customers.push(customer);
        position
    }

    /// An existing customer, in proportion to how often each buys.
    pub(crate) fn buyer(&self, random: &mut Random) -> usize {
        let level = random.weighted(&[0, 1, 2, 3, 4, 5, 6, 7, 8], |&level: &usize| {
            LEVEL_WEIGHTS[level] * self.levels[level].len() as f64
        });
        *random.pick(&self.levels[level]) as usize
    }

    /// Any existing customer, busy or not.
    pub(crate) fn anybody(&self, random: &mut Random) -> usize {
        random.below(self.customers.len() as u64) as usize
    }

    /// The network address of an office.
    pub(crate) fn office_ip(&self, office: usize) -> Ipv4Addr {
        self.offices[office]
    }

    /// A parcel shop in that country, or anywhere if it has none.
    pub(crate) fn parcel_shop(&self, country: &str, random: &mut Random) -> Address {
        for _ in 0..6 {
            let shop = *random.pick(&self.parcel_shops);
            if shop.country == country {
                return shop;
            }
        }
        *random.pick(&self.parcel_shops)
    }

    /// A new person with an account opened at `signup` (seconds since 1970), not yet on the books. One in six moves in
    /// with somebody who is.
    pub(crate) fn person(&mut self, signup: i64, random: &mut Random) -> Customer {
        let country = pick_country(random);
        let is_business = random.chance(0.09);
        let home = address(&COUNTRIES[country], random);
        let mut person = Customer {
            id: self.new_id(),
            signup,
            email: ordinary_email(is_business, random),
            phone: random.chance(0.82).then(|| phone(&COUNTRIES[country], random)),
            country,
            home,
            other_place: home,
            devices: (0..1 + usize::from(random.chance(0.45)) + usize::from(random.chance(0.1)))
                .map(|_| device(random))
                .collect(),
            hides_device: random.chance(0.05),
            home_ip: provider_ip(&COUNTRIES[country], random),
            office: random
                .chance(if is_business { 0.5 } else { 0.14 })
                .then(|| random.below(self.offices.len() as u64) as usize),
            uses_vpn: random.chance(0.05),
            cards: (0..=usize::from(random.chance(0.22))).map(|_| card(country, random)).collect(),
            card_country: COUNTRIES[country].code,
            payment: habit_of_payment(is_business, random),
            favourites: [(); 3].map(|()| random.weighted(&CATEGORIES, |c| c.popularity)),
            taste: random.log_normal(1.0, 0.35),
            hour: *random.pick(&[8.5, 12.5, 17.0, 19.5, 20.5, 21.5, 20.0, 23.0]),
            visit: random.log_normal(380.0, 0.6),
            channel: ["web", "app", "phone", "marketplace"][random.weighted(&[60.0, 30.0, 3.0, 7.0], |w| *w)],
            is_business,
            level: geometric(0.45, LEVEL_WEIGHTS.len() - 1, random),
            n_orders: 0,
        };
        if random.chance(0.03) {
            let foreign = pick_country(random);
            person.cards = vec![card(foreign, random)];
            person.card_country = COUNTRIES[foreign].code;
        }
        if is_business {
            person.hour = random.log_normal(11.5, 0.2);
            person.taste *= 1.6;
        } else if !self.customers.is_empty() && random.chance(0.17) {
            let mate = self.anybody(random);
            person.move_in(&self.customers[mate], random);
        }
        person.other_place = match random.weighted(&[45.0, 35.0, 20.0], |w| *w) {
            0 => self.parcel_shop(person.home.country, random),
            1 => address_near(&person.home, random),
            _ => address(&COUNTRIES[pick_country(random)], random),
        };
        person
    }

    /// An account number that says nothing about its age: multiplying by an odd number only shuffles them.
    pub(crate) fn new_id(&mut self) -> CustomerId {
        self.next_id = self.next_id.wrapping_add(1);
        CustomerId(self.next_id.wrapping_mul(0x9e37_79b1))
    }
}

impl Customer {
    /// Shares a roof with `mate`, and often a computer or a card.
    fn move_in(&mut self, mate: &Self, random: &mut Random) {
        self.country = mate.country;
        self.home = mate.home;
        self.home_ip = mate.home_ip;
        if random.chance(0.45) {
            self.devices[0] = mate.devices[0];
        }
        self.card_country = COUNTRIES[mate.country].code;
        self.cards = if random.chance(0.25) { mate.cards.clone() } else { vec![card(mate.country, random)] };
        self.card_country = if self.cards == mate.cards { mate.card_country } else { self.card_country };
    }
}

/// A country, in proportion to its share of the customers.
pub(crate) fn pick_country(random: &mut Random) -> usize {
    random.weighted(&COUNTRIES, |c| c.share)
}

/// A door somewhere in the country; towns are of very different sizes.
pub(crate) fn address(country: &Country, random: &mut Random) -> Address {
    let town = (random.unit() * random.unit() * 900.0) as u32;
    Address {
        country: country.code,
        postcode: 10_000 + town * 97,
        street: random.below(world::N_STREETS) as u16,
        house: random.exponential(30.0).min(400.0) as u16 + 1,
        flat: if random.chance(0.5) { random.between(1, 24) as u16 } else { 0 },
    }
}

/// Another door in the same town.
pub(crate) fn address_near(place: &Address, random: &mut Random) -> Address {
    Address {
        street: random.below(world::N_STREETS) as u16,
        house: random.exponential(30.0).min(400.0) as u16 + 1,
        flat: if random.chance(0.5) { random.between(1, 24) as u16 } else { 0 },
        ..*place
    }
}

/// A device nobody has used before.
pub(crate) fn device(random: &mut Random) -> DeviceId {
    DeviceId(random.bits() >> 24)
}

/// A card issued in the country; each has a few issuers, the first of them large.
pub(crate) fn card(country: usize, random: &mut Random) -> Card {
    let issuer = geometric(0.6, 11, random) as u32;
    Card { bin: 990_000 + 100 * country as u32 + issuer, last_four: random.below(10_000) as u16 }
}

/// A telephone number in the country.
pub(crate) fn phone(country: &Country, random: &mut Random) -> Phone {
    Phone { prefix: country.prefix, rest: random.below(1_000_000) as u32 }
}

/// An address at one of the country's providers, large blocks first.
pub(crate) fn provider_ip(country: &Country, random: &mut Random) -> Ipv4Addr {
    let block = geometric(0.93, 255, random) as u8;
    Ipv4Addr::new(country.network, block, random.below(256) as u8, random.between(1, 254) as u8)
}

/// An address that a mobile provider lends to many customers at a time (100.64.0.0/10).
pub(crate) fn mobile_ip(country: usize, random: &mut Random) -> Ipv4Addr {
    Ipv4Addr::new(100, 64 + country as u8, random.below(6) as u8, random.below(256) as u8)
}

/// An address of a data centre or private network that honest and dishonest customers hide behind.
pub(crate) fn hiding_ip(random: &mut Random) -> Ipv4Addr {
    let block = geometric(0.9, 255, random) as u8;
    Ipv4Addr::new(world::HIDING_NETWORK, block, random.below(4) as u8, random.below(256) as u8)
}

/// An e-mail address as people choose them.
pub(crate) fn ordinary_email(is_business: bool, random: &mut Random) -> String {
    let (first, last) = (world::name(random), world::name(random));
    if is_business && random.chance(0.7) {
        return format!(
            "{}@{last}-{}.example",
            random.pick(&["office", "info", "orders", first.as_str()]),
            world::name(random)
        );
    }
    let year = random.between(50, 99);
    let local = match random.below(6) {
        0 | 1 => format!("{first}.{last}"),
        2 => format!("{first}{last}{}", random.below(100)),
        3 => format!("{}{last}{year}", &first[..1]),
        4 => format!("{first}_{last}"),
        // Some honest addresses look like noise.
        _ if random.chance(0.12) => world::gibberish(random),
        _ => format!("{last}{}", random.below(10_000)),
    };
    let domain = if random.chance(0.012) { *random.pick(&world::THROW_AWAY_DOMAINS) } else { usual_domain(random) };
    format!("{local}@{domain}")
}

/// A domain that ordinary people have their mail at, large ones first.
pub(crate) fn usual_domain(random: &mut Random) -> &'static str {
    world::HONEST_DOMAINS[geometric(0.7, world::HONEST_DOMAINS.len() - 1, random)]
}

/// Number of successes before the first failure, at most `most`.
pub(crate) fn geometric(success: f64, most: usize, random: &mut Random) -> usize {
    let mut n = 0;
    while n < most && random.chance(success) {
        n += 1;
    }
    n
}

fn habit_of_payment(is_business: bool, random: &mut Random) -> &'static str {
    const METHODS: [&str; 5] = ["card", "wallet", "invoice", "bank_transfer", "cash_on_delivery"];
    let shares = if is_business { [28.0, 12.0, 45.0, 14.0, 1.0] } else { [44.0, 27.0, 17.0, 7.0, 5.0] };
    METHODS[random.weighted(&shares, |share| *share)]
}
