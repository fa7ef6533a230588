//! The whole stream: the same bytes everywhere, in order, with the shares and delays that were asked for, and hard enough.

use std::collections::{BTreeMap, HashMap, HashSet};

use orderguard_features::time::{Span, UnixMillis};
use orderguard_simulator::{CSV_HEADER, FraudKind, SimulatedOrder, SimulatorParams, simulate, write_csv};
use proptest::prelude::*;

fn orders(params: SimulatorParams) -> Vec<SimulatedOrder> {
    simulate(&params.check().unwrap()).collect()
}

fn csv(params: SimulatorParams) -> String {
    let mut file = Vec::new();
    write_csv(simulate(&params.check().unwrap()), &mut file).unwrap();
    String::from_utf8(file).unwrap()
}

/// FNV-1a, 64 bits: short enough to be right at a glance.
fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn large() -> Vec<SimulatedOrder> {
    orders(SimulatorParams { n_orders: 60_000, days: 365, fraud_share: 0.05, seed: 3, ..Default::default() })
}

#[test]
fn the_same_parameters_give_the_same_bytes_on_every_machine() {
    let params = SimulatorParams { n_orders: 3_000, days: 60, ..Default::default() };
    let text = csv(params.clone());
    assert_eq!(text, csv(params.clone()));
    assert_ne!(text, csv(SimulatorParams { seed: 2, ..params }));
    // Changes whenever the simulator's behaviour changes: then the sample data set has to be made anew.
    assert_eq!(fnv(&text), 0xf893_33df_9279_724b, "found {:#018x}", fnv(&text));
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
    assert!((0.03..0.075).contains(&(n_missed / n_fraud)), "missed {}", n_missed / n_fraud);
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
    let columns: [Column; 12] = [
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
        ("card is foreign", |o| f64::from(u8::from(o.card_country.is_some_and(|c| c != o.billing.country)))),
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
            ("card_country", order.card_country.unwrap_or("").to_string()),
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
fn abuse_leaves_its_traces() {
    let orders = large();
    let share = |kind: Option<FraudKind>, test: &dyn Fn(&SimulatedOrder) -> bool| {
        let of_kind: Vec<_> = orders.iter().filter(|order| order.truth == kind).collect();
        of_kind.iter().filter(|order| test(order)).count() as f64 / of_kind.len() as f64
    };
    let age_days = |order: &SimulatedOrder| (order.time.0 - order.signup_time.0) / Span::DAY.0;
    assert!(share(Some(FraudKind::FakeOrder), &|o| age_days(o) < 2) > 2.0 * share(None, &|o| age_days(o) < 2));
    assert!(share(Some(FraudKind::AccountTakeover), &|o| age_days(o) >= 60) > 0.9);
    assert!(share(Some(FraudKind::StolenCard), &|o| o.payment_method == "card") == 1.0);
    assert!(share(Some(FraudKind::CouponAbuse), &|o| o.coupon == Some("WELCOME10")) > 0.7);
    assert!(share(None, &|o| o.coupon == Some("WELCOME10")) < 0.1);
    assert!(share(Some(FraudKind::Bot), &|o| o.session_seconds.is_some_and(|s| s < 30)) > 0.4);
    assert!(share(None, &|o| o.session_seconds.is_some_and(|s| s < 30)) < 0.05);

    // A device the account never used before, while the account is known: seen in takeovers, rare among honest orders.
    let mut pairs = HashSet::new();
    let mut accounts = HashSet::new();
    let mut new_device: BTreeMap<Option<FraudKind>, (u32, u32)> = BTreeMap::new();
    for order in &orders {
        let Some(device) = order.device else { continue };
        if !accounts.insert(order.customer_id) {
            let counts = new_device.entry(order.truth).or_default();
            counts.0 += u32::from(!pairs.contains(&(order.customer_id, device)));
            counts.1 += 1;
        }
        pairs.insert((order.customer_id, device));
    }
    let rate = |kind| {
        let (n_new, n) = new_device[&kind];
        f64::from(n_new) / f64::from(n)
    };
    assert!(rate(Some(FraudKind::AccountTakeover)) > 1.5 * rate(None));
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
        missed_share in 0.0_f64..=1.0,
        mistaken_share in 0.0_f64..=1.0,
        read_out_days in 0_i64..100,
    ) {
        let params = SimulatorParams {
            n_orders, seed, start: UnixMillis(start), days, fraud_share, missed_share, mistaken_share,
            labels_until: Span::days(read_out_days),
        };
        let n_fraud = (n_orders as f64 * fraud_share).round() as usize;
        let checked = params.clone().check().unwrap();
        let stream = simulate(&checked);
        prop_assert_eq!(stream.len(), n_orders as usize);
        let orders: Vec<_> = stream.collect();
        prop_assert_eq!(orders.len(), n_orders as usize);
        prop_assert_eq!(orders.iter().filter(|order| order.truth.is_some()).count(), n_fraud);
        let first = UnixMillis(start.div_euclid(1_000) * 1_000);
        let end = first.plus(Span::days(i64::from(days)));
        for (i, order) in orders.iter().enumerate() {
            prop_assert_eq!(order.order_id, 700_001 + i as u64);
            prop_assert!(order.time >= first && order.time < end);
            prop_assert!(i == 0 || orders[i - 1].time <= order.time);
            prop_assert!(order.signup_time <= order.time);
            prop_assert!(order.amount_cents > 0 && order.n_items > 0);
            prop_assert_eq!(order.fraud_kind.is_some(), order.label == Some(true));
            prop_assert_eq!(order.card.is_some(), order.payment_method == "card");
            prop_assert_eq!(order.card_country.is_some(), order.card.is_some());
            prop_assert!(order.label_time.is_none() || order.label.is_some());
            prop_assert!(order.label != Some(true) || order.label_time.is_some());
            prop_assert!(order.label_time.is_none_or(|t| t >= order.time && t <= end.plus(Span::days(read_out_days))));
        }
        let text = csv(params);
        let n_fields = CSV_HEADER.split(',').count();
        prop_assert!(!text.contains(['"', '\r', ';', '\t']));
        prop_assert!(text.ends_with('\n'));
        prop_assert_eq!(text.lines().count(), n_orders as usize + 1);
        for (line, order) in text.lines().skip(1).zip(&orders) {
            let fields: Vec<&str> = line.split(',').collect();
            prop_assert_eq!(fields.len(), n_fields);
            prop_assert_eq!(fields[0], order.order_id.to_string());
            let cents: i64 = fields[17].replace('.', "").parse().unwrap();
            prop_assert_eq!(cents, order.amount_cents);
            prop_assert_eq!(fields[25], match order.label { Some(true) => "1", Some(false) => "0", None => "" });
            prop_assert_eq!(fields[27], order.fraud_kind.map_or("", FraudKind::name));
        }
    }
}

#[test]
fn missed_share_has_its_extremes() {
    let all_missed =
        orders(SimulatorParams { n_orders: 3_000, missed_share: 1.0, mistaken_share: 0.0, ..Default::default() });
    assert!(all_missed.iter().all(|order| order.label != Some(true)));
    let none_missed =
        orders(SimulatorParams { n_orders: 3_000, missed_share: 0.0, mistaken_share: 0.0, ..Default::default() });
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
    let error = write_csv(simulate(&params), &mut Full).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
}
