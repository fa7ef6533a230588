//! What honest customers do: when they buy, what, from where, and where to.

use std::net::Ipv4Addr;

use orderguard_features::time::UnixMillis;

use crate::customer::{self, Customer, Population};
use crate::order::{Address, SimulatedOrder};
use crate::random::Random;
use crate::world::{self, CATEGORIES, COUNTRIES};

/// What is in a basket and what it costs.
pub(crate) struct Basket {
    pub(crate) category: usize,
    pub(crate) n_items: u32,
    /// Cents, without delivery and voucher.
    pub(crate) goods_cents: i64,
}

/// A second of the UTC day, drawn around the customer's own hour; a few visits fall anywhere.
pub(crate) fn second_of_day(customer: &Customer, random: &mut Random) -> i64 {
    let local_hour = if random.chance(0.12) { random.unit() * 24.0 } else { customer.hour + 2.0 * random.normal() };
    let utc = local_hour - COUNTRIES[customer.country].utc_offset as f64;
    ((utc * 3_600.0) as i64).rem_euclid(86_400)
}

/// Goods of that category at prices multiplied by `taste`.
pub(crate) fn basket(category: usize, taste: f64, random: &mut Random) -> Basket {
    let goods = &CATEGORIES[category];
    let n_items = 1 + random.exponential(goods.extra_items).min(40.0) as u32;
    let price = random.log_normal(goods.price.0 * taste, goods.price.1).clamp(1.0, 6_000.0);
    Basket { category, n_items, goods_cents: shelf_price(price, random) * i64::from(n_items) }
}

/// A price as shops write it: most end in .99 or .95.
fn shelf_price(price: f64, random: &mut Random) -> i64 {
    let whole = price as i64;
    match random.weighted(&[55.0, 13.0, 12.0, 10.0, 10.0], |w| *w) {
        0 => whole * 100 + 99,
        1 => whole * 100 + 95,
        2 => whole.max(1) * 100,
        3 => whole * 100 + 49,
        _ => whole * 100 + random.between(1, 98),
    }
}

/// What the customer pays for the goods: delivery below 50, voucher off.
pub(crate) fn pay(order: &mut SimulatedOrder, basket: &Basket) {
    order.category = CATEGORIES[basket.category].name;
    order.n_items = basket.n_items;
    let delivery = if basket.goods_cents < 5_000 && order.coupon != Some("FREESHIP") { 499 } else { 0 };
    let off = match order.coupon {
        Some(world::WELCOME_COUPON) => basket.goods_cents / 10,
        Some("SAVE5") => 500.min(basket.goods_cents / 2),
        Some("SEASON") => basket.goods_cents / 20,
        Some("THANKS") => basket.goods_cents * 3 / 20,
        _ => 0,
    };
    order.amount_cents = basket.goods_cents - off + delivery;
}

/// An order as this customer places them, at that second since 1970; labels are not set.
pub(crate) fn order(customer: &Customer, second: i64, population: &Population, random: &mut Random) -> SimulatedOrder {
    let is_sale = world::is_sale(second.div_euclid(86_400));
    let is_first = customer.n_orders == 0;
    let channel = if random.chance(0.85) { customer.channel } else { *random.pick(&["web", "web", "app"]) };
    let sees_device = matches!(channel, "web" | "app") && !customer.hides_device;
    let payment_method = payment(customer, random);
    let pays_by_card = payment_method == "card";
    let coupon_share = if is_first { 0.35 } else { 0.13 };
    let coupon = random
        .chance(coupon_share)
        .then(|| if is_first && random.chance(0.8) { world::WELCOME_COUPON } else { *random.pick(&world::COUPONS) });
    let mut order = SimulatedOrder {
        order_id: 0,
        time: UnixMillis(second * 1_000),
        customer_id: customer.id,
        signup_time: UnixMillis(customer.signup.min(second) * 1_000),
        email: customer.email.clone(),
        phone: customer.phone,
        device: sees_device.then(|| device(customer, random)),
        ip: matches!(channel, "web" | "app").then(|| ip(customer, second, population, random)),
        card: pays_by_card.then(|| if random.chance(0.85) { customer.cards[0] } else { *random.pick(&customer.cards) }),
        card_country: pays_by_card.then_some(customer.card_country),
        billing: customer.home,
        shipping: shipping(customer, population, random),
        payment_method,
        category: "",
        amount_cents: 0,
        n_items: 0,
        coupon,
        channel,
        is_business: customer.is_business,
        special_offer: random.chance(if is_sale { 0.38 } else { 0.09 }),
        session_seconds: (matches!(channel, "web" | "app") && !random.chance(0.03)).then(|| visit(customer, random)),
        label: None,
        label_time: None,
        fraud_kind: None,
        truth: None,
    };
    let category = if random.chance(0.6) {
        *random.pick(&customer.favourites)
    } else {
        random.weighted(&CATEGORIES, |c| c.popularity)
    };
    // Now and then a big purchase: a wedding, a new kitchen, a present.
    let occasion = if random.chance(0.04) { random.log_normal(3.0, 0.4) } else { 1.0 };
    pay(&mut order, &basket(category, customer.taste * occasion, random));
    order
}

fn payment(customer: &Customer, random: &mut Random) -> &'static str {
    const OTHERS: [&str; 5] = ["card", "card", "wallet", "invoice", "bank_transfer"];
    if random.chance(0.86) { customer.payment } else { OTHERS[random.below(5) as usize] }
}

fn device(customer: &Customer, random: &mut Random) -> crate::order::DeviceId {
    if random.chance(0.75) { customer.devices[0] } else { *random.pick(&customer.devices) }
}

/// At home (where the last part changes every two weeks at some providers), on the move, at work, abroad, hidden.
fn ip(customer: &Customer, second: i64, population: &Population, random: &mut Random) -> Ipv4Addr {
    if customer.uses_vpn && random.chance(0.7) {
        return customer::hiding_ip(random);
    }
    let roll = random.unit();
    if roll < 0.025 {
        return customer::provider_ip(random.pick(&COUNTRIES), random);
    }
    if roll < 0.25 {
        return customer::mobile_ip(customer.country, random);
    }
    if roll < 0.4
        && let Some(office) = customer.office
    {
        return population.office_ip(office);
    }
    let [a, b, c, d] = customer.home_ip.octets();
    let is_dynamic = b % 3 == 0;
    let shift = if is_dynamic { (second.div_euclid(14 * 86_400) * 37).rem_euclid(254) as u16 } else { 0 };
    Ipv4Addr::new(a, b, c, ((u16::from(d) + shift) % 254 + 1) as u8)
}

fn shipping(customer: &Customer, population: &Population, random: &mut Random) -> Address {
    match random.weighted(&[83.0, 9.0, 3.0, 5.0], |w| *w) {
        0 => customer.home,
        1 => customer.other_place,
        2 => population.parcel_shop(customer.home.country, random),
        // A present for somebody, mostly in the same country.
        _ if random.chance(0.85) => customer::address(&COUNTRIES[customer.country], random),
        _ => customer::address(&COUNTRIES[customer::pick_country(random)], random),
    }
}

/// Seconds of one visit; people who know what they want are quick.
fn visit(customer: &Customer, random: &mut Random) -> u32 {
    let median = if random.chance(0.1) { 45.0 } else { customer.visit };
    random.log_normal(median, 0.7).clamp(4.0, 14_400.0) as u32
}
