//! The whole stream: the same bytes everywhere, in order, with the shares and delays that were asked for, and hard enough.

mod common;

use std::collections::{BTreeMap, HashMap};

use common::{csv, large, orders};
use orderguard_features::kind::EventKind;
use orderguard_features::time::{Span, UnixMillis};
use orderguard_simulator::{
    FraudKind, IpPlace, Layout, SimulatedEvent, SimulatedOrder, SimulatorParams, simulate, write_csv,
};
use proptest::prelude::*;

/// FNV-1a, 64 bits: short enough to be right at a glance.
fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[test]
fn the_same_parameters_give_the_same_bytes_on_every_machine() {
    let params = SimulatorParams { n_orders: 3_000, days: 60, ..Default::default() };
    let text = csv(Layout::Stream, params.clone());
    assert_eq!(text, csv(Layout::Stream, params.clone()));
    assert_ne!(text, csv(Layout::Stream, SimulatorParams { seed: 2, ..params.clone() }));
    // Changes whenever the simulator's behaviour changes: then the sample data set has to be made anew.
    assert_eq!(fnv(&text), 0xca48_6ba6_bb5f_5bbc, "found {:#018x}", fnv(&text));
    // The parts make the whole.
    let n_lines = |layout| csv(layout, params.clone()).lines().count();
    assert_eq!(text.lines().count() + 1, n_lines(Layout::Orders) + n_lines(Layout::Others));
}

#[test]
fn kinds_come_in_their_shares() {
    let orders = large();
    let mut counts = BTreeMap::new();
    for kind in orders.iter().filter_map(|order| order.truth) {
        *counts.entry(kind).or_insert(0_u32) += 1;
    }
    assert_eq!(counts.values().sum::<u32>(), 3_000);
    for kind in FraudKind::ALL {
        let expected = 3_000.0 * kind.share();
        let found = f64::from(counts[&kind]);
        assert!((found - expected).abs() <= 1.0, "{kind}: expected {expected}, found {found}");
    }
}

#[test]
fn labels_come_late_and_not_always() {
    let orders = large();
    let n_fraud = orders.iter().filter(|order| order.truth.is_some()).count() as f64;
    let n_missed = orders.iter().filter(|order| order.truth.is_some() && order.label == Some(false)).count() as f64;
    // Never found, or contested by the shop and won.
    assert!((0.03..0.09).contains(&(n_missed / n_fraud)), "missed {}", n_missed / n_fraud);
    let n_mistaken = orders.iter().filter(|order| order.truth.is_none() && order.label == Some(true)).count() as f64;
    assert!((0.015..0.05).contains(&(n_mistaken / n_fraud)), "mistaken {}", n_mistaken / n_fraud);
    let n_looked = orders.iter().filter(|order| order.label == Some(false) && order.label_time.is_some()).count();
    assert!(n_looked > 1_000, "honest orders that somebody looked at: {n_looked}");
    let n_open: Vec<_> = orders.iter().filter(|order| order.label.is_none()).collect();
    assert!(!n_open.is_empty() && n_open.len() < 600);
    let last = orders.last().unwrap().time;
    assert!(n_open.iter().all(|order| order.time >= last.minus(Span::days(11)) && order.label_time.is_none()));

    let median_days = |kind: FraudKind| {
        let mut delays: Vec<i64> = orders
            .iter()
            .filter(|order| order.fraud_kind == Some(kind) && order.truth == Some(kind))
            .map(|order| order.label_time.unwrap().0 - order.time.0)
            .collect();
        delays.sort_unstable();
        delays[delays.len() / 2] as f64 / Span::DAY.0 as f64
    };
    assert!((18.0..30.0).contains(&median_days(FraudKind::Chargeback)));
    assert!((13.0..24.0).contains(&median_days(FraudKind::FakeOrder)));
    assert!((2.0..9.0).contains(&median_days(FraudKind::StolenCard)));
    assert!(median_days(FraudKind::Bot) < 3.0);
}

#[test]
fn labels_read_out_early_leave_young_orders_undecided() {
    let params = SimulatorParams { n_orders: 4_000, days: 90, labels_until: Span(0), ..Default::default() };
    let end = params.start.plus(Span::days(90));
    let orders = orders(params);
    assert!(orders.iter().all(|order| order.label_time.is_none_or(|time| time <= end)));
    let young: Vec<_> = orders.iter().filter(|order| order.time > end.minus(Span::days(30))).collect();
    assert!(young.iter().all(|order| order.label != Some(false) || order.label_time.is_some()));
    assert!(young.iter().filter(|order| order.label.is_none()).count() > young.len() / 2);
}

/// Area under the ROC curve of one column, the better of its two directions; ties count half.
fn auc(orders: &[SimulatedOrder], value: impl Fn(&SimulatedOrder) -> f64) -> f64 {
    let mut scored: Vec<(f64, bool)> =
        orders.iter().filter_map(|order| order.label.map(|label| (value(order), label))).collect();
    scored.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut pairs, mut start) = (0.0, 0.0, 0);
    while start < scored.len() {
        let end = start + scored[start..].iter().take_while(|(value, _)| *value == scored[start].0).count();
        let n_fraud = scored[start..end].iter().filter(|(_, label)| *label).count() as f64;
        let n_honest = (end - start) as f64 - n_fraud;
        pairs += n_fraud * (below + n_honest / 2.0);
        below += n_honest;
        start = end;
    }
    let n_fraud = scored.iter().filter(|(_, label)| *label).count() as f64;
    let auc = pairs / (n_fraud * (scored.len() as f64 - n_fraud));
    auc.max(1.0 - auc)
}

type Column = (&'static str, fn(&SimulatedOrder) -> f64);

#[test]
fn no_column_alone_tells_fraud_from_honesty() {
    let orders = large();
    let columns: [Column; 17] = [
        ("order_id", |o| o.order_id as f64),
        ("amount", |o| o.amount_cents as f64),
        ("n_items", |o| f64::from(o.n_items)),
        ("account age", |o| (o.time.0 - o.signup_time.0) as f64),
        ("session_seconds", |o| o.session_seconds.map_or(-1.0, f64::from)),
        ("hour", |o| (o.time.0.rem_euclid(Span::DAY.0)) as f64),
        ("customer number", |o| f64::from(o.customer_id.0)),
        ("device missing", |o| f64::from(u8::from(o.device.is_none()))),
        ("phone missing", |o| f64::from(u8::from(o.phone.is_none()))),
        ("ip", |o| o.ip.map_or(-1.0, |ip| f64::from(u32::from(ip)))),
        ("ships elsewhere", |o| f64::from(u8::from(o.billing != o.shipping))),
        ("card is foreign", |o| f64::from(u8::from(o.card.is_some_and(|card| card.country != o.billing.country)))),
        ("ip is foreign", |o| f64::from(u8::from(o.ip.is_some_and(|ip| IpPlace::of(ip).country != o.billing.country)))),
        ("ip latitude", |o| o.ip.map_or(-1.0, |ip| f64::from(IpPlace::of(ip).latitude))),
        ("shipping latitude", |o| f64::from(o.shipping.latitude)),
        ("basket", |o| f64::from(o.basket)),
        ("bin", |o| o.card.map_or(-1.0, |card| f64::from(card.bin))),
    ];
    for (name, value) in columns {
        let auc = auc(&orders, value);
        assert!(auc < 0.8, "{name}: {auc}");
    }
    // No level of a category is fraud's alone, and none is honesty's alone where it is common.
    let mut levels: BTreeMap<(&str, String), (u32, u32)> = BTreeMap::new();
    for order in orders.iter().filter(|order| order.label.is_some()) {
        for (column, level) in [
            ("payment_method", order.payment_method.to_string()),
            ("category", order.category.to_string()),
            ("coupon", order.coupon.unwrap_or("").to_string()),
            ("channel", order.channel.to_string()),
            ("domain", order.email.split_once('@').unwrap().1.to_string()),
            ("card_country", order.card.map_or("", |card| card.country).to_string()),
            ("currency", order.currency.to_string()),
            ("agent", order.user_agent.map_or(String::new(), |agent| agent.pattern.to_string())),
            ("billing region", format!("{}-{}", order.billing.country, order.billing.region)),
            ("business", order.is_business.to_string()),
            ("ip network", order.ip.map_or(String::new(), |ip| ip.octets()[0].to_string())),
            ("shipping_country", order.shipping.country.to_string()),
        ] {
            let counts = levels.entry((column, level)).or_default();
            counts.0 += u32::from(order.label == Some(true));
            counts.1 += 1;
        }
    }
    for ((column, level), (n_fraud, n)) in levels {
        assert!(n < 200 || n_fraud * 2 < n, "{column} {level:?}: {n_fraud} of {n} are fraud");
        assert!(n < 2_000 || n_fraud > 0, "{column} {level:?}: none of {n} is fraud");
    }
}

#[test]
fn customers_come_back_and_weeks_and_days_have_a_shape() {
    let orders = large();
    let mut per_customer: HashMap<u32, u32> = HashMap::new();
    let mut per_hour = [0_u32; 24];
    for order in &orders {
        *per_customer.entry(order.customer_id.0).or_default() += 1;
        per_hour[(order.time.0.rem_euclid(Span::DAY.0) / Span::HOUR.0) as usize] += 1;
    }
    let mut counts: Vec<u32> = per_customer.into_values().collect();
    counts.sort_unstable();
    let median = counts[counts.len() / 2];
    let most = counts[counts.len() - 1];
    assert!(median <= 3 && most > 40, "median {median}, most {most}");
    assert!(per_hour[19] > 4 * per_hour[3], "{per_hour:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn every_stream_keeps_its_promises(
        n_orders in 1_u64..1_500,
        days in 1_u32..120,
        seed: u64,
        start in -1_000_000_000_000_i64..2_000_000_000_000,
        fraud_share in 0.0_f64..=0.5,
        shares in [0.0_f64..=1.0, 0.0_f64..=1.0, 0.0_f64..=1.0, 0.0_f64..=1.0],
        drift in proptest::option::of(0.0_f64..1.0),
        foreign_currencies: bool,
        read_out_days in 0_i64..100,
    ) {
        let [missed_share, mistaken_share, reversed_share, late_share] = shares;
        let params = SimulatorParams {
            n_orders, seed, start: UnixMillis(start), days, fraud_share, missed_share, mistaken_share, reversed_share,
            late_share, drift_day: drift.map(|share| (share * f64::from(days)) as u32), foreign_currencies,
            labels_until: Span::days(read_out_days),
        };
        let n_fraud = (n_orders as f64 * fraud_share).round() as usize;
        let checked = params.clone().check().unwrap();
        let stream = simulate(&checked).orders();
        prop_assert_eq!(stream.len(), n_orders as usize);
        let events: Vec<SimulatedEvent> = simulate(&checked).collect();
        let orders: Vec<SimulatedOrder> = stream.collect();
        prop_assert_eq!(orders.len(), n_orders as usize);
        prop_assert_eq!(orders.iter().filter(|order| order.truth.is_some()).count(), n_fraud);
        let first = UnixMillis(start.div_euclid(1_000) * 1_000);
        let end = first.plus(Span::days(i64::from(days)));
        let read_out = end.plus(Span::days(read_out_days));
        for (i, order) in orders.iter().enumerate() {
            prop_assert_eq!(order.order_id, 700_001 + i as u64);
            prop_assert!(order.time >= first && order.time < end);
            prop_assert!(i == 0 || orders[i - 1].time <= order.time);
            prop_assert!(order.signup_time <= order.time);
            prop_assert!(order.amount_cents > 0 && order.n_items > 0);
            prop_assert!(foreign_currencies || order.currency == "EUR");
            prop_assert_eq!(order.fraud_kind.is_some(), order.label == Some(true));
            prop_assert_eq!(order.card.is_some(), order.payment_method == "card");
            prop_assert_eq!(order.user_agent.is_some(), order.ip.is_some());
            prop_assert!(order.label_time.is_none() || order.label.is_some());
            prop_assert!(order.label != Some(true) || order.label_time.is_some());
            prop_assert!(order.label_time.is_none_or(|t| t >= order.time && t <= read_out));
        }
        // The shop learns of events one after another, of none before it happened, of an order's before the order.
        let mut placed = HashMap::new();
        for (i, event) in events.iter().enumerate() {
            prop_assert_eq!(event.event_id(), 3_000_001 + i as u64);
            prop_assert!(event.time() >= first && event.time() <= event.known_at() && event.known_at() <= read_out);
            prop_assert_eq!((event.time().0 % 1_000, event.known_at().0 % 1_000), (0, 0));
            if let Some(before) = i.checked_sub(1).map(|before| &events[before]) {
                prop_assert!((before.known_at(), before.time()) <= (event.known_at(), event.time()));
            }
            match event {
                SimulatedEvent::Order(order) => {
                    prop_assert_eq!(&**order, &SimulatedOrder { event_id: order.event_id, ..orders[placed.len()].clone() });
                    placed.insert(order.order_id, (order.time, order.customer_id));
                }
                SimulatedEvent::Other(other) => {
                    prop_assert!(other.kind != EventKind::Order);
                    prop_assert_eq!(other.label.is_some(), other.kind.is_label());
                    prop_assert!(other.amount_cents.is_none_or(|cents| cents > 0));
                    prop_assert_eq!(other.amount_cents.is_some(), other.currency.is_some());
                    if let Some(id) = other.order_id {
                        let (time, customer) = placed[&id];
                        prop_assert!(time < other.time && customer == other.customer_id);
                    }
                }
            }
        }
        let text = csv(Layout::Stream, params);
        prop_assert!(!text.contains(['"', '\r', '\t']));
        prop_assert!(text.ends_with('\n'));
        prop_assert_eq!(text.lines().count(), events.len() + 1);
        let columns: Vec<&str> = text.lines().next().unwrap().split(',').collect();
        for (line, event) in text.lines().skip(1).zip(&events) {
            let fields: Vec<&str> = line.split(',').collect();
            prop_assert_eq!(fields.len(), columns.len());
            let cell = |name: &str| fields[columns.iter().position(|column| *column == name).unwrap()];
            prop_assert_eq!(cell("event"), event.kind().name());
            prop_assert_eq!(cell("event_id"), event.event_id().to_string());
            prop_assert_eq!(cell("known_at"), event.known_at().to_string());
            prop_assert_eq!(cell("order_id"), event.order_id().map_or(String::new(), |id| id.to_string()));
            let label = |label| match label { Some(true) => "1", Some(false) => "0", None => "" };
            match event {
                SimulatedEvent::Order(order) => {
                    prop_assert_eq!(cell("amount").replace('.', "").parse::<i64>().unwrap(), order.amount_cents);
                    prop_assert_eq!(cell("shipping_address"), order.shipping.to_string());
                    prop_assert_eq!(cell("card"), order.card.map_or(String::new(), |card| card.to_string()));
                    prop_assert_eq!(cell("session_seconds"), order.session_seconds.map_or(String::new(), |s| s.to_string()));
                    prop_assert_eq!(cell("label"), label(order.label));
                    prop_assert_eq!(cell("fraud_kind"), order.fraud_kind.map_or("", FraudKind::name));
                    prop_assert_eq!(cell("topic"), "");
                }
                SimulatedEvent::Other(other) => {
                    prop_assert_eq!(cell("reason"), other.reason.unwrap_or(""));
                    prop_assert_eq!(cell("topic"), other.topic.unwrap_or(""));
                    prop_assert_eq!(cell("rating"), other.rating.map_or(String::new(), |stars| stars.to_string()));
                    prop_assert_eq!(cell("label"), label(other.label));
                    prop_assert_eq!(cell("category"), other.category.unwrap_or(""));
                    prop_assert_eq!(cell("shipping_address"), "");
                    prop_assert_eq!(cell("n_items"), "");
                }
            }
        }
    }
}

/// The last chargeback or report about an order says what its label is, and when that was learned.
#[test]
fn chargebacks_and_labels_say_the_same() {
    let params = SimulatorParams { n_orders: 40_000, fraud_share: 0.05, seed: 11, ..Default::default() };
    let mut last: BTreeMap<u64, (bool, UnixMillis)> = BTreeMap::new();
    let mut labelled: HashMap<u64, SimulatedOrder> = HashMap::new();
    let (mut n_reversed, mut n_late, mut n_others) = (0, 0, 0);
    for event in simulate(&params.check().unwrap()) {
        match event {
            SimulatedEvent::Order(order) => {
                labelled.insert(order.order_id, *order);
            }
            SimulatedEvent::Other(event) => {
                n_others += 1;
                n_late += u32::from(event.known_at > event.time);
                if let Some(label) = event.label {
                    n_reversed += u32::from(!label);
                    // A reversal follows what it reverses.
                    assert!(label || last[&event.order_id.unwrap()].0);
                    last.insert(event.order_id.unwrap(), (label, event.known_at));
                }
            }
        }
    }
    for (id, (label, known_at)) in &last {
        assert_eq!((labelled[id].label, labelled[id].label_time), (Some(*label), Some(*known_at)));
    }
    let n_frauds = labelled.values().filter(|order| order.label == Some(true)).count();
    let told = last.values().filter(|(label, _)| *label).count();
    assert!(told * 2 > n_frauds && told < n_frauds, "{told} of {n_frauds}: others the shop finds by itself");
    assert!(n_reversed > 20, "{n_reversed}");
    let share = f64::from(n_late) / f64::from(n_others);
    assert!((0.08..0.25).contains(&share), "{share}");
}

#[test]
fn abuse_changes_after_the_drift() {
    let params =
        SimulatorParams { n_orders: 40_000, fraud_share: 0.1, seed: 5, drift_day: Some(90), ..Default::default() };
    let drift = params.start.plus(Span::days(90));
    let orders = orders(params);
    let share = |after: bool, test: &dyn Fn(&SimulatedOrder) -> bool| {
        let frauds = orders.iter().filter(|order| order.truth.is_some() && (order.time >= drift) == after);
        let (n, hits) = frauds.fold((0, 0), |(n, hits), order| (n + 1, hits + u32::from(test(order))));
        f64::from(hits) / f64::from(n)
    };
    let takes_over = |order: &SimulatedOrder| order.truth == Some(FraudKind::AccountTakeover);
    assert!(share(true, &takes_over) > 1.5 * share(false, &takes_over));
    let false_on_invoice = |order: &SimulatedOrder| {
        order.truth == Some(FraudKind::FakeOrder) && matches!(order.payment_method, "invoice" | "cash_on_delivery")
    };
    // Episodes that began before the drift go on for a while.
    assert!(share(false, &false_on_invoice) > 4.0 * share(true, &false_on_invoice));
}

#[test]
fn missed_share_has_its_extremes() {
    let all_missed =
        orders(SimulatorParams { n_orders: 3_000, missed_share: 1.0, mistaken_share: 0.0, ..Default::default() });
    assert!(all_missed.iter().all(|order| order.label != Some(true)));
    let none_missed = orders(SimulatorParams {
        n_orders: 3_000,
        missed_share: 0.0,
        mistaken_share: 0.0,
        reversed_share: 0.0,
        ..Default::default()
    });
    assert!(none_missed.iter().all(|order| order.label.is_none_or(|label| label == order.truth.is_some())));
}

#[test]
fn a_full_disk_is_reported() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let params = SimulatorParams { n_orders: 10, ..Default::default() }.check().unwrap();
    let error = write_csv(Layout::Stream, simulate(&params), &mut Full).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
}
