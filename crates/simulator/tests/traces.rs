//! What dishonest customers leave behind: every trace is there for the kinds it belongs to, and more rarely for honest
//! customers too.

mod common;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::OnceLock;

use common::{events, large_params};
use orderguard_features::kind::EventKind;
use orderguard_features::time::Span;
use orderguard_simulator::{FraudKind, IpPlace, OtherEvent, SimulatedEvent, SimulatedOrder};

/// One stream with what follows from it, shared by the tests.
struct Shop {
    orders: Vec<SimulatedOrder>,
    others: Vec<OtherEvent>,
    /// Events about each order.
    about: HashMap<u64, Vec<usize>>,
}

fn shop() -> &'static Shop {
    static SHOP: OnceLock<Shop> = OnceLock::new();
    SHOP.get_or_init(|| {
        let mut shop = Shop { orders: Vec::new(), others: Vec::new(), about: HashMap::new() };
        for event in events(large_params()) {
            match event {
                SimulatedEvent::Order(order) => shop.orders.push(*order),
                SimulatedEvent::Other(event) => {
                    if let Some(id) = event.order_id {
                        shop.about.entry(id).or_default().push(shop.others.len());
                    }
                    shop.others.push(*event);
                }
            }
        }
        shop
    })
}

impl Shop {
    /// Share of the orders of a kind (`None` = honest) that pass.
    fn share(&self, kind: Option<FraudKind>, test: impl Fn(&SimulatedOrder) -> bool) -> f64 {
        let (n, hits) = self
            .orders
            .iter()
            .filter(|order| order.truth == kind)
            .fold((0_u32, 0_u32), |(n, hits), order| (n + 1, hits + u32::from(test(order))));
        f64::from(hits) / f64::from(n)
    }

    /// Share of the orders of a kind that an event passing the test is about.
    fn followed(&self, kind: Option<FraudKind>, test: impl Fn(&OtherEvent, &SimulatedOrder) -> bool) -> f64 {
        self.share(kind, |order| {
            self.about.get(&order.order_id).is_some_and(|about| about.iter().any(|&i| test(&self.others[i], order)))
        })
    }

    /// Events of the account of each order in the given time before it that pass, in all, per order of the kind.
    fn preceded(
        &self,
        kind: Option<FraudKind>,
        span: Span,
        test: impl Fn(&OtherEvent, &SimulatedOrder) -> bool,
    ) -> f64 {
        let mut of_account: HashMap<u32, Vec<&OtherEvent>> = HashMap::new();
        for event in &self.others {
            of_account.entry(event.customer_id.0).or_default().push(event);
        }
        let (mut n, mut hits) = (0_u32, 0_u32);
        for order in self.orders.iter().filter(|order| order.truth == kind) {
            n += 1;
            hits += of_account.get(&order.customer_id.0).map_or(0, |events| {
                let is_near = |e: &&&OtherEvent| e.time < order.time && e.time >= order.time.minus(span);
                events.iter().filter(is_near).filter(|e| test(e, order)).count() as u32
            });
        }
        f64::from(hits) / f64::from(n)
    }
}

/// The trace is there in at least `least` of the kind, at least `factor` times as often as among honest orders, and among
/// those as well.
#[track_caller]
fn trace(kind: FraudKind, of_kind: f64, honest: f64, least: f64, factor: f64) {
    assert!(of_kind >= least, "{kind}: expected at least {least}, found {of_kind} (honest {honest})");
    assert!(of_kind >= factor * honest, "{kind}: expected {factor} times {honest}, found {of_kind}");
    assert!(honest > 0.0, "{kind}: no honest order looks like that");
}

fn both(kind: FraudKind, test: impl Fn(&SimulatedOrder) -> bool) -> (f64, f64) {
    (shop().share(Some(kind), &test), shop().share(None, &test))
}

/// Orders of a kind and honest ones, each with its count of `key`s among the orders before it in the span.
fn repeats<K: std::hash::Hash + Eq>(span: Span, key: impl Fn(&SimulatedOrder) -> Option<K>) -> HashMap<u64, usize> {
    let mut seen: HashMap<K, Vec<(i64, u32)>> = HashMap::new();
    let mut result = HashMap::new();
    for order in &shop().orders {
        let Some(key) = key(order) else { continue };
        let before = seen.entry(key).or_default();
        let n = before.iter().filter(|(time, _)| *time >= order.time.0 - span.0 && *time < order.time.0).count();
        result.insert(order.order_id, n);
        before.push((order.time.0, order.customer_id.0));
    }
    result
}

/// As [`repeats`]: accounts other than the order's own that used the key before.
fn accounts<K: std::hash::Hash + Eq>(key: impl Fn(&SimulatedOrder) -> Option<K>) -> HashMap<u64, usize> {
    let mut seen: HashMap<K, HashSet<u32>> = HashMap::new();
    let mut result = HashMap::new();
    for order in &shop().orders {
        let Some(key) = key(order) else { continue };
        let users = seen.entry(key).or_default();
        result.insert(order.order_id, users.len() - usize::from(users.contains(&order.customer_id.0)));
        users.insert(order.customer_id.0);
    }
    result
}

fn age_days(order: &SimulatedOrder) -> i64 {
    (order.time.0 - order.signup_time.0) / Span::DAY.0
}

fn age_of(event: &OtherEvent, order: &SimulatedOrder) -> f64 {
    (event.time.0 - order.time.0) as f64 / Span::DAY.0 as f64
}

#[test]
fn all_kinds_of_events_come() {
    let mut counts: BTreeMap<EventKind, usize> = BTreeMap::new();
    for event in &shop().others {
        *counts.entry(event.kind).or_default() += 1;
    }
    for kind in EventKind::ALL.into_iter().filter(|kind| *kind != EventKind::Order) {
        assert!(counts.get(&kind).is_some_and(|n| *n > 300), "{kind}: {:?}", counts.get(&kind));
    }
}

#[test]
fn bursts_per_device_and_address() {
    let by_device = repeats(Span::HOUR, |order| order.device);
    let busy = |order: &SimulatedOrder| by_device.get(&order.order_id).is_some_and(|n| *n >= 1);
    for (kind, least) in [(FraudKind::StolenCard, 0.15), (FraudKind::Bot, 0.2)] {
        let (of_kind, honest) = both(kind, busy);
        trace(kind, of_kind, honest, least, 4.0);
    }
    let to_address = repeats(Span::days(30), |order| Some(order.shipping.to_string()));
    let crowded = |order: &SimulatedOrder| to_address[&order.order_id] >= 3;
    let (of_kind, honest) = both(FraudKind::Bot, crowded);
    trace(FraudKind::Bot, of_kind, honest, 0.2, 2.0);
    let people = accounts(|order| Some(order.shipping.to_string()));
    for kind in [FraudKind::Bot, FraudKind::FakeOrder, FraudKind::StolenCard] {
        let (of_kind, honest) = both(kind, |order| people[&order.order_id] >= 3);
        trace(kind, of_kind, honest, 0.15, 1.5);
    }
}

#[test]
fn networks_that_hide() {
    let foreign = |order: &SimulatedOrder| order.ip.is_some_and(|ip| IpPlace::of(ip).country != order.billing.country);
    for kind in [FraudKind::StolenCard, FraudKind::Bot] {
        let (of_kind, honest) = both(kind, foreign);
        trace(kind, of_kind, honest, 0.25, 2.5);
    }
    // Several networks within a day.
    let mut last: HashMap<u32, (i64, [u8; 3])> = HashMap::new();
    let mut changed = HashSet::new();
    for order in &shop().orders {
        let Some(ip) = order.ip else { continue };
        let [a, b, c, _] = ip.octets();
        let before = last.insert(order.customer_id.0, (order.time.0, [a, b, c]));
        if before.is_some_and(|(time, net)| net != [a, b, c] && order.time.0 - time < Span::HOUR.0) {
            changed.insert(order.order_id);
        }
    }
    let (of_kind, honest) = both(FraudKind::StolenCard, |order| changed.contains(&order.order_id));
    trace(FraudKind::StolenCard, of_kind, honest, 0.15, 4.0);
}

#[test]
fn false_contact_data() {
    let throw_away = ["tempbox.", "tenminutes.", "quickmail.", "nomail.", "dropinbox."];
    let is_thrown_away = |order: &SimulatedOrder| {
        order.email.split_once('@').is_some_and(|(_, domain)| throw_away.iter().any(|d| domain.starts_with(d)))
    };
    let is_cut = |order: &SimulatedOrder| order.phone.is_some_and(|phone| phone.is_cut);
    let noise = |order: &SimulatedOrder| {
        let local = order.email.split('@').next().unwrap();
        local.bytes().filter(u8::is_ascii_digit).count() * 5 > local.len()
            && !local.ends_with(|c: char| c.is_ascii_digit())
    };
    for kind in [FraudKind::FakeOrder, FraudKind::StolenCard] {
        for (test, least, factor) in [
            (&is_thrown_away as &dyn Fn(&SimulatedOrder) -> bool, 0.06, 4.0),
            (&is_cut, 0.03, 4.0),
            (&noise, 0.04, 3.0),
        ] {
            let (of_kind, honest) = both(kind, test);
            trace(kind, of_kind, honest, least, factor);
        }
    }
}

#[test]
fn returns_follow_the_category_and_the_habit() {
    let returned = |e: &OtherEvent, _: &SimulatedOrder| e.kind == EventKind::Return;
    for (category, low, high) in
        [("clothing", 0.25, 0.36), ("cosmetics", 0.16, 0.24), ("electronics", 0.11, 0.19), ("sport", 0.07, 0.13)]
    {
        let honest: Vec<_> = shop().orders.iter().filter(|o| o.truth.is_none() && o.category == category).collect();
        let n = honest.iter().filter(|o| {
            shop().about.get(&o.order_id).is_some_and(|about| about.iter().any(|&i| returned(&shop().others[i], o)))
        });
        let share = n.count() as f64 / honest.len() as f64;
        assert!((low..high).contains(&share), "{category}: {share}");
    }
    let kind = FraudKind::RefundAbuse;
    let given_back = |e: &OtherEvent, _: &SimulatedOrder| matches!(e.kind, EventKind::Return | EventKind::RefundClaim);
    trace(kind, shop().followed(Some(kind), given_back), shop().followed(None, given_back), 0.75, 4.0);
    let at_limit = |e: &OtherEvent, o: &SimulatedOrder| e.kind == EventKind::Return && age_of(e, o) >= 14.0;
    trace(kind, shop().followed(Some(kind), at_limit), shop().followed(None, at_limit), 0.15, 5.0);
    let unproven = |e: &OtherEvent, _: &SimulatedOrder| e.proof == Some(false) || e.packaging == Some(false);
    trace(kind, shop().followed(Some(kind), unproven), shop().followed(None, unproven), 0.4, 8.0);
    let asks_early = |e: &OtherEvent, o: &SimulatedOrder| e.topic == Some("return") && age_of(e, o) < 2.0;
    trace(kind, shop().followed(Some(kind), asks_early), shop().followed(None, asks_early), 0.2, 5.0);
    let complains = |e: &OtherEvent, _: &SimulatedOrder| e.topic == Some("complaint");
    trace(kind, shop().followed(Some(kind), complains), shop().followed(None, complains), 0.1, 5.0);
    let extreme = |e: &OtherEvent, _: &SimulatedOrder| e.rating == Some(1);
    trace(kind, shop().followed(Some(kind), extreme), shop().followed(None, extreme), 0.02, 3.0);
}

#[test]
fn the_same_claim_again() {
    let mut reasons: HashMap<u32, Vec<&str>> = HashMap::new();
    for event in shop().others.iter().filter(|event| event.kind == EventKind::RefundClaim) {
        reasons.entry(event.customer_id.0).or_default().extend(event.reason);
    }
    let abusers: HashSet<u32> =
        shop().orders.iter().filter(|o| o.truth == Some(FraudKind::RefundAbuse)).map(|o| o.customer_id.0).collect();
    let again = |of_abusers: bool| {
        let of_group = reasons.iter().filter(|(id, _)| abusers.contains(id) == of_abusers);
        let pairs = of_group.flat_map(|(_, claims)| claims.windows(2));
        let (n, same) = pairs.fold((0, 0), |(n, same), pair| (n + 1, same + u32::from(pair[0] == pair[1])));
        assert!(n >= 10, "{n}");
        f64::from(same) / f64::from(n)
    };
    let (of_abusers, of_others) = (again(true), again(false));
    assert!(of_abusers > 0.6 && of_others > 0.0 && of_abusers > of_others + 0.15, "{of_abusers} {of_others}");
}

#[test]
fn dear_goods_without_history() {
    for (kind, least) in [(FraudKind::FakeOrder, 0.4), (FraudKind::StolenCard, 0.4), (FraudKind::Bot, 0.4)] {
        let (of_kind, honest) = both(kind, |order| age_days(order) < 2);
        trace(kind, of_kind, honest, least, 2.0);
    }
    // Test charges of stolen cards are small: their other orders are the dear ones.
    for kind in [FraudKind::AccountTakeover, FraudKind::FakeOrder, FraudKind::StolenCard, FraudKind::Chargeback] {
        let (of_kind, honest) = both(kind, |order| order.currency == "EUR" && order.amount_cents > 15_000);
        trace(kind, of_kind, honest, 0.25, 1.5);
    }
    assert!(shop().share(Some(FraudKind::AccountTakeover), |order| age_days(order) >= 60) > 0.85);
}

#[test]
fn goods_go_elsewhere() {
    let elsewhere = |order: &SimulatedOrder| order.billing.postcode != order.shipping.postcode;
    for kind in [FraudKind::StolenCard, FraudKind::AccountTakeover, FraudKind::FakeOrder] {
        let (of_kind, honest) = both(kind, elsewhere);
        trace(kind, of_kind, honest, 0.25, 1.5);
    }
}

#[test]
fn orders_stay_open_and_are_cancelled() {
    let late = |e: &OtherEvent, o: &SimulatedOrder| e.kind == EventKind::Cancel && age_of(e, o) > 3.0;
    let kind = FraudKind::FakeOrder;
    trace(kind, shop().followed(Some(kind), late), shop().followed(None, late), 0.25, 20.0);
    let cancelled = |e: &OtherEvent, _: &SimulatedOrder| e.kind == EventKind::Cancel;
    trace(kind, shop().followed(Some(kind), cancelled), shop().followed(None, cancelled), 0.3, 5.0);
}

#[test]
fn stolen_cards_fail_first() {
    let kind = FraudKind::StolenCard;
    let failed = |e: &OtherEvent, _: &SimulatedOrder| e.kind == EventKind::PaymentFailed;
    trace(kind, shop().preceded(Some(kind), Span::HOUR, failed), shop().preceded(None, Span::HOUR, failed), 0.7, 10.0);
    let foreign_card = |e: &OtherEvent, o: &SimulatedOrder| {
        failed(e, o) && e.card.is_some_and(|card| o.card.is_some_and(|own| own.token != card.token))
    };
    let (of_kind, honest) =
        (shop().preceded(Some(kind), Span::HOUR, foreign_card), shop().preceded(None, Span::DAY, foreign_card));
    trace(kind, of_kind, honest, 0.4, 20.0);
    let (of_kind, honest) = both(kind, |order| order.card.is_some_and(|card| card.country != order.billing.country));
    trace(kind, of_kind, honest, 0.2, 4.0);
    // Small charges before dear ones on one device.
    let mut small: HashMap<u64, i64> = HashMap::new();
    let mut tested = HashSet::new();
    for order in shop().orders.iter().filter(|order| order.device.is_some() && order.currency == "EUR") {
        let device = order.device.unwrap().0;
        if order.amount_cents < 1_500 {
            small.insert(device, order.time.0);
        } else if small.get(&device).is_some_and(|time| order.time.0 - time < Span::days(3).0) {
            tested.insert(order.order_id);
        }
    }
    let (of_kind, honest) = both(kind, |order| tested.contains(&order.order_id));
    trace(kind, of_kind, honest, 0.08, 8.0);
    // Several cards on one device.
    let mut cards: HashMap<u64, HashSet<u64>> = HashMap::new();
    let mut several = HashSet::new();
    for order in &shop().orders {
        if let (Some(device), Some(card)) = (order.device, order.card) {
            let seen = cards.entry(device.0).or_default();
            seen.insert(card.token);
            if seen.len() >= 3 {
                several.insert(order.order_id);
            }
        }
    }
    let (of_kind, honest) = both(kind, |order| several.contains(&order.order_id));
    trace(kind, of_kind, honest, 0.12, 10.0);
}

#[test]
fn one_person_has_many_accounts() {
    let kind = FraudKind::CouponAbuse;
    let (of_kind, honest) = both(kind, |order| order.coupon == Some("WELCOME10"));
    trace(kind, of_kind, honest, 0.7, 5.0);
    let by_device = accounts(|order| order.device);
    let (of_kind, honest) = both(kind, |order| by_device.get(&order.order_id).is_some_and(|n| *n >= 2));
    trace(kind, of_kind, honest, 0.15, 10.0);
    let by_address = accounts(|order| Some(order.billing.to_string()));
    let (of_kind, honest) = both(kind, |order| by_address[&order.order_id] >= 2);
    trace(kind, of_kind, honest, 0.12, 3.0);
    // Hubs: honest accounts that share an office's network address.
    let by_ip = accounts(|order| order.ip);
    assert!(shop().share(None, |order| by_ip.get(&order.order_id).is_some_and(|n| *n >= 10)) > 0.005);
}

#[test]
fn reviews_of_nothing() {
    let alone = |e: &OtherEvent, _: &SimulatedOrder| e.kind == EventKind::Review && e.order_id.is_none();
    let kind = FraudKind::CouponAbuse;
    trace(kind, shop().preceded(Some(kind), Span::DAY, alone), shop().preceded(None, Span::DAY, alone), 0.5, 20.0);
}

#[test]
fn foreign_money_and_unusual_methods() {
    let kind = FraudKind::StolenCard;
    let unusual = |o: &SimulatedOrder| {
        let usual = match o.billing.country {
            "PL" => "PLN",
            "GB" => "GBP",
            "US" => "USD",
            "RO" => "RON",
            "TR" => "TRY",
            _ => "EUR",
        };
        o.currency != "EUR" && o.currency != usual
    };
    let (of_kind, honest) = both(kind, unusual);
    trace(kind, of_kind, honest, 0.03, 3.0);
    let mut methods: HashMap<u32, HashSet<&str>> = HashMap::new();
    let mut new = HashSet::new();
    let mut known = HashSet::new();
    for order in &shop().orders {
        let seen = methods.entry(order.customer_id.0).or_default();
        if !seen.is_empty() {
            known.insert(order.order_id);
            if !seen.contains(order.payment_method) {
                new.insert(order.order_id);
            }
        }
        seen.insert(order.payment_method);
    }
    let rate =
        |kind| shop().share(kind, |o| new.contains(&o.order_id)) / shop().share(kind, |o| known.contains(&o.order_id));
    trace(FraudKind::AccountTakeover, rate(Some(FraudKind::AccountTakeover)), rate(None), 0.15, 1.4);
}

#[test]
fn programs_are_quick_regular_and_of_one_taste() {
    let kind = FraudKind::Bot;
    let (of_kind, honest) = both(kind, |order| order.session_seconds.is_some_and(|s| s < 30));
    trace(kind, of_kind, honest, 0.4, 10.0);
    let baskets = repeats(Span::days(1), |order| Some((order.basket, order.shipping.to_string())));
    let (of_kind, honest) = both(kind, |order| baskets[&order.order_id] >= 1);
    trace(kind, of_kind, honest, 0.3, 20.0);
    let (of_kind, honest) = both(kind, |order| order.user_agent.is_some_and(|agent| agent.pattern >= 7));
    trace(kind, of_kind, honest, 0.1, 10.0);
    let night = |order: &SimulatedOrder| order.time.0.rem_euclid(Span::DAY.0) < 5 * Span::HOUR.0;
    let (of_kind, honest) = both(kind, night);
    trace(kind, of_kind, honest, 0.2, 2.0);
    // Equal gaps: the coefficient of variation of three gaps in a row to the same few addresses.
    let mut times: HashMap<String, Vec<i64>> = HashMap::new();
    let (mut regular, mut irregular) = (0, 0);
    for order in &shop().orders {
        let times = times.entry(format!("{:08x}", order.basket)).or_default();
        times.push(order.time.0 / 1_000);
        if let [.., a, b, c] = times[..]
            && order.truth == Some(kind)
            && c - a < 7_200
        {
            let (first, second) = ((b - a) as f64, (c - b) as f64);
            if (first - second).abs() < 0.1 * first { regular += 1 } else { irregular += 1 }
        }
    }
    assert!(regular > 3 * irregular, "{regular} {irregular}");
}

#[test]
fn accounts_are_taken_over() {
    let kind = FraudKind::AccountTakeover;
    // A device the account never showed before, in a log-in or order, although the account is known.
    let mut devices: HashMap<u32, HashSet<u64>> = HashMap::new();
    let mut fresh = HashSet::new();
    let mut known = HashSet::new();
    for order in &shop().orders {
        let Some(device) = order.device else { continue };
        let seen = devices.entry(order.customer_id.0).or_default();
        if !seen.is_empty() {
            known.insert(order.order_id);
            if !seen.contains(&device.0) {
                fresh.insert(order.order_id);
            }
        }
        seen.insert(device.0);
    }
    let rate = |kind| {
        shop().share(kind, |o| fresh.contains(&o.order_id)) / shop().share(kind, |o| known.contains(&o.order_id))
    };
    trace(kind, rate(Some(kind)), rate(None), 0.3, 1.5);
    let changed = |e: &OtherEvent, _: &SimulatedOrder| e.kind == EventKind::PaymentChange;
    let in_a_day = |kind| shop().preceded(kind, Span::days(2), changed);
    trace(kind, in_a_day(Some(kind)), in_a_day(None), 0.5, 15.0);
    let strange_login = |e: &OtherEvent, o: &SimulatedOrder| {
        e.kind == EventKind::Login && e.ip.is_some_and(|ip| IpPlace::of(ip).country != o.billing.country)
    };
    let of = |kind| shop().preceded(kind, Span::days(2), strange_login);
    trace(kind, of(Some(kind)), of(None), 0.3, 3.0);
}

#[test]
fn false_orders_are_commonest_among_businesses() {
    let (of_kind, honest) = both(FraudKind::FakeOrder, |order| order.is_business);
    trace(FraudKind::FakeOrder, of_kind, honest, 0.12, 1.2);
}
