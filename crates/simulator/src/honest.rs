//! What honest customers do: when they buy, what, from where, and where to.

use std::net::Ipv4Addr;

use orderguard_features::time::UnixMillis;

use crate::customer::{self, Customer, Population};
use crate::order::{Address, DeviceId, SimulatedOrder, UserAgent};
use crate::random::Random;
use crate::world::{self, CATEGORIES};

/// What is in a basket and what it costs.
#[derive(Clone, Copy)]
pub(crate) struct Basket {
    pub(crate) category: usize,
    pub(crate) n_items: u32,
    /// Cents of euro, without delivery and voucher.
    pub(crate) goods_cents: i64,
    /// Names the contents.
    pub(crate) contents: u32,
}

/// A second of the UTC day, drawn around the customer's own hour; a few visits fall anywhere.
pub(crate) fn second_of_day(customer: &Customer, random: &mut Random) -> i64 {
    let local_hour = if random.chance(0.12) { random.unit() * 24.0 } else { customer.hour + 2.0 * random.normal() };
    let utc = local_hour - world::COUNTRIES[customer.country].utc_offset as f64;
    ((utc * 3_600.0) as i64).rem_euclid(86_400)
}

/// Goods of that category at prices multiplied by `taste`.
pub(crate) fn basket(category: usize, taste: f64, random: &mut Random) -> Basket {
    let goods = &CATEGORIES[category];
    let n_items = 1 + random.exponential(goods.extra_items).min(40.0) as u32;
    let price = random.log_normal(goods.price.0 * taste, goods.price.1).clamp(1.0, 6_000.0);
    let cents = shelf_price(price, random);
    // Few things of a category have the same price: the price says which it is, up to two. Larger baskets are mixed.
    let variant = if n_items == 1 { random.below(2) } else { random.below(50) };
    let contents = (category as u64) << 56 | variant << 48 | u64::from(n_items) << 40 | cents as u64;
    Basket {
        category,
        n_items,
        goods_cents: cents * i64::from(n_items),
        contents: (world::scramble(contents) >> 32) as u32,
    }
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

/// What the customer pays for the goods, in euro: delivery below 50, voucher off.
pub(crate) fn pay(order: &mut SimulatedOrder, basket: &Basket) {
    order.category = CATEGORIES[basket.category].name;
    order.n_items = basket.n_items;
    order.basket = basket.contents;
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

/// An order as this customer places them, at that second since 1970; numbers and labels are not set, the amount is in euro.
pub(crate) fn order(customer: &Customer, second: i64, population: &Population, random: &mut Random) -> SimulatedOrder {
    let is_sale = world::is_sale(second.div_euclid(86_400));
    let is_first = customer.n_orders == 0;
    let channel = if random.chance(0.85) { customer.channel } else { *random.pick(&["web", "web", "app"]) };
    let is_online = matches!(channel, "web" | "app");
    let used = device(customer, random);
    let payment_method = payment(customer, random);
    let coupon_share = if is_first { 0.35 } else { 0.13 };
    let coupon = random
        .chance(coupon_share)
        .then(|| if is_first && random.chance(0.8) { world::WELCOME_COUPON } else { *random.pick(&world::COUPONS) });
    let mut order = SimulatedOrder {
        event_id: 0,
        order_id: 0,
        time: UnixMillis(second * 1_000),
        customer_id: customer.id,
        signup_time: UnixMillis(customer.signup.min(second) * 1_000),
        name: customer.name.clone(),
        email: customer.email.clone(),
        phone: customer.phone,
        device: (is_online && !customer.hides_device).then_some(used),
        user_agent: is_online.then(|| UserAgent::of(used.0, second)),
        ip: is_online.then(|| ip(customer, second, population, random)),
        card: (payment_method == "card").then(|| customer.cards[usize::from(random.chance(0.12))]),
        billing: customer.home,
        shipping: shipping(customer, population, random),
        payment_method,
        category: "",
        basket: 0,
        amount_cents: 0,
        currency: if random.chance(0.012) {
            population.unusual_currency(customer.currency, random)
        } else {
            customer.currency
        },
        n_items: 0,
        coupon,
        channel,
        is_business: customer.is_business,
        special_offer: random.chance(if is_sale { 0.38 } else { 0.09 }),
        session_seconds: (is_online && !random.chance(0.03)).then(|| visit(customer, random)),
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

/// The usual device, or another of the customer's.
pub(crate) fn device(customer: &Customer, random: &mut Random) -> DeviceId {
    if random.chance(0.75) { customer.devices()[0] } else { *random.pick(customer.devices()) }
}

/// At home (where the last part changes every two weeks at some providers), on the move, at work, abroad, hidden.
pub(crate) fn ip(customer: &Customer, second: i64, population: &Population, random: &mut Random) -> Ipv4Addr {
    if customer.uses_vpn && random.chance(0.7) {
        return customer::hiding_ip(random);
    }
    let roll = random.unit();
    if roll < 0.025 {
        return customer::provider_ip(customer::any_country(random), None, random);
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
    let is_dynamic = c % 3 == 0;
    let shift = if is_dynamic { (second.div_euclid(14 * 86_400) * 37).rem_euclid(254) as u16 } else { 0 };
    Ipv4Addr::new(a, b, c, ((u16::from(d) + shift) % 254 + 1) as u8)
}

fn shipping(customer: &Customer, population: &Population, random: &mut Random) -> Address {
    match random.weighted(&[83.0, 9.0, 3.0, 5.0], |w| *w) {
        0 => customer.home,
        1 => customer.other_place,
        2 => population.parcel_shop(customer.country, random),
        // A present for somebody, mostly in the same country.
        _ if random.chance(0.85) => customer::address(customer.country, random),
        _ => customer::address(customer::pick_country(random), random),
    }
}

/// Seconds of one visit; people who know what they want are quick.
fn visit(customer: &Customer, random: &mut Random) -> u32 {
    let median = if random.chance(0.1) { 45.0 } else { customer.visit };
    random.log_normal(median, 0.7).clamp(4.0, 14_400.0) as u32
}

/// Goods for a new flat.
pub(crate) fn furnishing(random: &mut Random) -> usize {
    const FURNISHING: [&str; 4] = ["home", "electronics", "tools", "garden"];
    let name = FURNISHING[random.weighted(&[6.0, 3.0, 1.5, 1.0], |w| *w)];
    CATEGORIES.iter().position(|category| category.name == name).unwrap_or(0)
}
