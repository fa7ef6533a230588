//! Customers and what is theirs: an identity, a household, habits. Honest people and impostors are made by the same code,
//! so that nothing tells them apart except what they do.

use std::net::Ipv4Addr;
use std::sync::Arc;

use crate::order::{Address, Card, CustomerId, DeviceId, Phone};
use crate::random::Random;
use crate::world::{self, CATEGORIES, COUNTRIES};

/// How often a customer of each activity level buys, relative to level 0; the tail is heavy.
pub(crate) const LEVEL_WEIGHTS: [f64; 9] = [1.0, 1.7, 2.9, 4.9, 8.4, 14.2, 24.1, 41.0, 69.8];

/// At most this many devices are told apart per account.
const MAX_DEVICES: usize = 3;

/// How far a customer's dealings with the shop are from the usual ones; 1 is usual.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habits {
    /// Factor on the category's share of returns.
    pub(crate) returns: f64,
    /// Share of the returns that come at the last moment.
    pub(crate) at_limit: f64,
    /// Factor on how often money is asked back without a return.
    pub(crate) claims: f64,
    /// Factor on how often the customer writes or calls.
    pub(crate) contacts: f64,
    /// Factor on payments that fail.
    pub(crate) failures: f64,
    /// Factor on reviews.
    pub(crate) reviews: f64,
}

/// One account and its owner's habits.
#[derive(Clone, Debug)]
pub(crate) struct Customer {
    pub(crate) id: CustomerId,
    /// Seconds since 1970.
    pub(crate) signup: i64,
    pub(crate) name: Arc<str>,
    pub(crate) email: Arc<str>,
    pub(crate) phone: Option<Phone>,
    /// Position in [`COUNTRIES`].
    pub(crate) country: usize,
    pub(crate) home: Address,
    /// Where parcels go when nobody is at home: an office, a parcel shop, family.
    pub(crate) other_place: Address,
    /// The one used most comes first; the first `n_devices` count.
    devices: [DeviceId; MAX_DEVICES],
    n_devices: usize,
    pub(crate) hides_device: bool,
    pub(crate) home_ip: Ipv4Addr,
    /// Position of the office in the population, for those who shop at work.
    pub(crate) office: Option<u32>,
    pub(crate) uses_vpn: bool,
    /// The one used most comes first; people with one card have it twice.
    pub(crate) cards: [Card; 2],
    pub(crate) payment: &'static str,
    pub(crate) currency: &'static str,
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
    pub(crate) habits: Habits,
}

/// Everybody who has an account, and the places they share.
#[derive(Debug, Default)]
pub(crate) struct Population {
    pub(crate) customers: Vec<Customer>,
    /// Customers of each activity level, by position.
    levels: [Vec<u32>; LEVEL_WEIGHTS.len()],
    /// Network addresses that many colleagues share, the largest first.
    offices: Vec<Ipv4Addr>,
    /// Parcel shops of each country, shared by the neighbourhood and by those who do not want to be found at home.
    parcel_shops: [Vec<Address>; COUNTRIES.len()],
    /// Whether accounts may pay in other currencies than EUR.
    foreign_currencies: bool,
    next_id: u32,
}

impl Population {
    /// The shop's places and the customers it had before the first order, signed up until `start`.
    pub(crate) fn new(n_customers: u64, start: i64, foreign_currencies: bool, random: &mut Random) -> Self {
        let mut population = Self { next_id: random.bits() as u32, foreign_currencies, ..Self::default() };
        for _ in 0..(n_customers / 120).max(4) {
            let country = pick_country(random);
            population.offices.push(provider_ip(country, None, random));
        }
        for (country, shops) in population.parcel_shops.iter_mut().enumerate() {
            let n_shops = random.about(n_customers as f64 / 6_000.0 * COUNTRIES[country].share).max(1);
            shops.extend((0..n_shops).map(|_| Address { flat: 0, ..address(country, random) }));
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
    pub(crate) fn office_ip(&self, office: u32) -> Ipv4Addr {
        self.offices[office as usize]
    }

    /// The neighbourhood's parcel shop: one for all who live in the town.
    pub(crate) fn parcel_shop_near(&self, home: &Address, country: usize) -> Address {
        let shops = &self.parcel_shops[country];
        shops[home.postcode as usize % shops.len()]
    }

    /// Any parcel shop in that country.
    pub(crate) fn parcel_shop(&self, country: usize, random: &mut Random) -> Address {
        *random.pick(&self.parcel_shops[country])
    }

    /// What an account in that country pays with.
    fn currency(&self, country: usize, random: &mut Random) -> &'static str {
        let (currency, share) = COUNTRIES[country].currency;
        if self.foreign_currencies && random.chance(share) { currency } else { "EUR" }
    }

    /// A currency that is not the account's habit, where the shop takes several.
    pub(crate) fn unusual_currency(&self, usual: &'static str, random: &mut Random) -> &'static str {
        if self.foreign_currencies { world::any_currency(random) } else { usual }
    }

    /// A new person with an account opened at `signup` (seconds since 1970), not yet on the books. One in six moves in
    /// with somebody who is.
    pub(crate) fn person(&mut self, signup: i64, random: &mut Random) -> Customer {
        let country = pick_country(random);
        let is_business = random.chance(0.09);
        let home = address(country, random);
        let first_card = card(country, random);
        let (first, last) = (world::name(random), world::name(random));
        let mut person = Customer {
            id: self.new_id(),
            signup,
            name: full_name(&first, &last).into(),
            email: ordinary_email(&first, &last, is_business, random).into(),
            phone: random.chance(0.82).then(|| phone(country, random)),
            country,
            home,
            other_place: home,
            devices: [(); MAX_DEVICES].map(|()| device(random)),
            n_devices: 1 + usize::from(random.chance(0.45)) + usize::from(random.chance(0.1)),
            hides_device: random.chance(0.05),
            home_ip: provider_ip(country, Some(home.region), random),
            // Offices are of very different sizes.
            office: random
                .chance(if is_business { 0.5 } else { 0.14 })
                .then(|| (random.unit() * random.unit() * self.offices.len() as f64) as u32),
            uses_vpn: random.chance(0.05),
            cards: [first_card, if random.chance(0.22) { card(country, random) } else { first_card }],
            payment: habit_of_payment(is_business, random),
            currency: self.currency(country, random),
            favourites: [(); 3].map(|()| random.weighted(&CATEGORIES, |c| c.popularity)),
            taste: random.log_normal(1.0, 0.35),
            hour: *random.pick(&[8.5, 12.5, 17.0, 19.5, 20.5, 21.5, 20.0, 23.0]),
            visit: random.log_normal(380.0, 0.6),
            channel: ["web", "app", "phone", "marketplace"][random.weighted(&[60.0, 30.0, 3.0, 7.0], |w| *w)],
            is_business,
            level: geometric(0.45, LEVEL_WEIGHTS.len() - 1, random),
            n_orders: 0,
            habits: habits(random),
        };
        if random.chance(0.03) {
            person.cards = [card(pick_country(random), random); 2];
        }
        if is_business {
            person.hour = random.log_normal(11.5, 0.2);
            person.taste *= 1.6;
        } else if !self.customers.is_empty() && random.chance(0.17) {
            let mate = self.anybody(random);
            person.move_in(&self.customers[mate], random);
        }
        person.other_place = match random.weighted(&[45.0, 35.0, 20.0], |w| *w) {
            0 => self.parcel_shop_near(&person.home, person.country),
            1 => address_near(&person.home, random),
            _ => address(pick_country(random), random),
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
    /// The devices in use, the usual one first.
    pub(crate) fn devices(&self) -> &[DeviceId] {
        &self.devices[..self.n_devices.min(MAX_DEVICES)]
    }

    /// Puts one device in the place of all.
    pub(crate) fn use_only(&mut self, device: DeviceId) {
        self.devices = [device; MAX_DEVICES];
        self.n_devices = 1;
    }

    /// A new telephone, or the old one with cleared cookies: from now on the usual device.
    pub(crate) fn add_device(&mut self, device: DeviceId) {
        self.devices.rotate_right(1);
        self.devices[0] = device;
        self.n_devices = (self.n_devices + 1).min(MAX_DEVICES);
    }

    /// Shares a roof with `mate`, and often a computer, a telephone or a card.
    fn move_in(&mut self, mate: &Self, random: &mut Random) {
        self.country = mate.country;
        self.home = mate.home;
        self.home_ip = mate.home_ip;
        self.currency = mate.currency;
        if random.chance(0.45) {
            self.devices[0] = mate.devices[0];
        }
        if random.chance(0.12) {
            self.phone = mate.phone;
        }
        self.cards = if random.chance(0.25) { mate.cards } else { [card(mate.country, random); 2] };
    }

    /// Moves house within the country.
    pub(crate) fn move_house(&mut self, random: &mut Random) {
        self.home = address(self.country, random);
        self.home_ip = provider_ip(self.country, Some(self.home.region), random);
    }
}

/// Most people are near the usual; some send much back, complain, or mistype their card. None of that is abuse.
fn habits(random: &mut Random) -> Habits {
    let mut habits = Habits {
        returns: random.log_normal(0.92, 0.4),
        at_limit: 0.07,
        claims: random.log_normal(0.8, 0.6),
        contacts: random.log_normal(0.8, 0.6),
        failures: random.log_normal(0.8, 0.6),
        reviews: random.log_normal(0.6, 1.0),
    };
    if random.chance(0.04) {
        habits.returns *= 2.2;
        habits.at_limit = 0.4;
    }
    if random.chance(0.02) {
        habits.contacts *= 5.0;
        habits.claims *= 3.0;
    }
    if random.chance(0.02) {
        habits.failures *= 8.0;
    }
    habits
}

/// A country, in proportion to its share of the customers.
pub(crate) fn pick_country(random: &mut Random) -> usize {
    random.weighted(&COUNTRIES, |c| c.share)
}

/// A country, each as likely: where people travel.
pub(crate) fn any_country(random: &mut Random) -> usize {
    random.below(COUNTRIES.len() as u64) as usize
}

/// A door somewhere in the country; towns are of very different sizes.
pub(crate) fn address(country: usize, random: &mut Random) -> Address {
    let town = (random.unit() * random.unit() * 900.0) as u32;
    let region = town * world::N_REGIONS / 900;
    let (latitude, longitude) = world::coordinates(country, region, town);
    Address {
        country: COUNTRIES[country].code,
        region: region as u8 + 1,
        postcode: 10_000 + town * 97,
        latitude,
        longitude,
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
    Card { token: random.bits() >> 24, bin: 990_000 + 100 * country as u32 + issuer, country: COUNTRIES[country].code }
}

/// A telephone number in the country; some have one from elsewhere, some mistype theirs.
pub(crate) fn phone(country: usize, random: &mut Random) -> Phone {
    let country = if random.chance(0.03) { pick_country(random) } else { country };
    Phone { prefix: COUNTRIES[country].prefix, rest: random.below(1_000_000) as u32, is_cut: random.chance(0.006) }
}

/// An address at one of the country's providers, large blocks first; blocks belong to regions (1 to 6).
pub(crate) fn provider_ip(country: usize, region: Option<u8>, random: &mut Random) -> Ipv4Addr {
    let region =
        region.map_or_else(|| random.below(u64::from(world::N_REGIONS)) as u32, |region| u32::from(region) - 1);
    let block = geometric(0.7, 41, random) as u32 * world::N_REGIONS + region;
    Ipv4Addr::new(COUNTRIES[country].network, block as u8, random.below(256) as u8, random.between(1, 254) as u8)
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

/// The name as people write it.
pub(crate) fn full_name(first: &str, last: &str) -> String {
    world::capital(first) + " " + &world::capital(last)
}

/// An e-mail address as people of that name (in lower case) choose them.
pub(crate) fn ordinary_email(first: &str, last: &str, is_business: bool, random: &mut Random) -> String {
    if is_business && random.chance(0.7) {
        let local = *random.pick(&["office", "info", "orders", first]);
        return format!("{local}@{last}-{}.example", world::name(random));
    }
    let year = random.between(50, 99);
    let local = match random.below(7) {
        0 | 1 => format!("{first}.{last}"),
        2 => format!("{first}{last}{}", random.below(100)),
        3 => format!("{}{last}{year}", &first[..1]),
        4 => format!("{first}_{last}"),
        // A nickname, or somebody else's account.
        5 => format!("{}{}", world::name(random), random.below(100)),
        // Some honest addresses look like noise.
        _ if random.chance(0.14) => world::gibberish(random),
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
