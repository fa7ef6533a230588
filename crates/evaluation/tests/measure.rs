//! Everything that is measured of scored orders, on odd sets of them.

use orderguard_evaluation::slices::NO_VALUE;
use orderguard_evaluation::threshold::choose_scored;
use orderguard_evaluation::{Aim, Candidate, Column, CostTable, Evaluation, Options, Scored};
use proptest::prelude::*;

type Row = (i32, u8, u64, i64, u32);

struct Sample {
    raw: Vec<f64>,
    probability: Vec<f64>,
    labels: Vec<u8>,
    amounts: Vec<f64>,
    days: Vec<i64>,
    entities: Vec<u64>,
    codes: Vec<u32>,
}

fn sample(rows: &[Row]) -> Sample {
    Sample {
        raw: rows.iter().map(|r| f64::from(r.0) / 4.0).collect(),
        probability: rows.iter().map(|r| 1.0 / (1.0 + (-f64::from(r.0) / 4.0).exp())).collect(),
        labels: rows.iter().map(|r| r.1).collect(),
        amounts: rows.iter().map(|r| f64::from(r.4) / 100.0).collect(),
        days: rows.iter().map(|r| r.3).collect(),
        entities: rows.iter().map(|r| r.2).collect(),
        codes: rows.iter().map(|r| if r.4 % 7 == 0 { NO_VALUE } else { r.4 % 3 }).collect(),
    }
}

fn measure(rows: &[Row], threshold: f64) -> Evaluation {
    let sample = sample(rows);
    let orders = Scored::new(&sample.raw, &sample.probability, &sample.labels)
        .and_then(|orders| orders.with_amounts(Some(&sample.amounts)))
        .and_then(|orders| orders.with_days(Some(&sample.days)))
        .and_then(|orders| orders.with_entities(Some(&sample.entities)))
        .unwrap();
    let column =
        Column { name: "country".into(), values: vec!["PL".into(), "DE".into(), "FR".into()], codes: sample.codes };
    let thresholds = [
        Candidate { aim: "none".into(), raw_score: 1e9, ..Candidate::default() },
        Candidate { aim: "all".into(), raw_score: -1e9, is_used: true, ..Candidate::default() },
    ];
    let options = Options {
        costs: Some(CostTable::default()),
        k_per_day: 3,
        n_replicates: 20,
        thresholds: &thresholds,
        columns: std::slice::from_ref(&column),
        kinds: Some(&column),
        ..Options::default()
    };
    Evaluation::measure(&orders, threshold, &options).unwrap()
}

fn rows(n: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Row>> {
    let labels = prop_oneof![Just(0_u8..1), Just(1..2), Just(0..2), Just(0..2)];
    (labels, 1_i32..9).prop_flat_map(move |(label, spread)| {
        prop::collection::vec((-spread..spread, label, 0_u64..30, -9_i64..20, 0_u32..9_000), n.clone())
    })
}

fn finite(value: &serde_json::Value) -> bool {
    // A number that is not finite is written as null, and only undefined figures may be null.
    match value {
        serde_json::Value::Array(items) => items.iter().all(finite),
        serde_json::Value::Object(members) => members.values().all(finite),
        serde_json::Value::Number(number) => number.as_f64().is_some_and(f64::is_finite),
        _ => true,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn neither_row_order_nor_threads_change_anything(rows in rows(0..150), turn in 0_usize..150, n_threads in 1_usize..4) {
        let mut turned = rows.clone();
        turned.rotate_left(turn.min(rows.len()));
        turned.reverse();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        let (one, other) = (measure(&rows, 0.5), pool.install(|| measure(&turned, 0.5)));
        prop_assert!(finite(&serde_json::to_value(&one).unwrap()));
        prop_assert_eq!(one, other);
    }

    #[test]
    fn money_adds_up_order_by_order(rows in rows(1..60), threshold in -9_i32..9) {
        let threshold = f64::from(threshold) / 4.0;
        let costs = CostTable::default();
        let loss = |stops: &dyn Fn(f64) -> bool| -> f64 {
            rows.iter().map(|r| {
                let amount = f64::from(r.4) / 100.0;
                match (r.1 == 1, stops(f64::from(r.0) / 4.0)) {
                    (true, false) => costs.lost_goods * amount + costs.chargeback_fee + costs.return_handling,
                    (true, true) => costs.review_cost,
                    (false, true) => costs.review_cost + costs.lost_margin * amount + costs.lost_customer,
                    (false, false) => 0.0,
                }
            }).sum()
        };
        let e = measure(&rows, threshold);
        let money = e.money.unwrap();
        prop_assert!((money.loss - loss(&|raw| raw >= threshold)).abs() < 1e-6);
        prop_assert!((money.loss_doing_nothing - loss(&|_| false)).abs() < 1e-6);
        let best = rows.iter().map(|r| f64::from(r.0) / 4.0).map(|t| loss(&|raw| raw >= t)).fold(loss(&|_| false), f64::min);
        prop_assert!((money.best.unwrap().loss - best).abs() < 1e-6);
        let expected: f64 = rows.iter().map(|r| {
            let (amount, raw) = (f64::from(r.4) / 100.0, f64::from(r.0) / 4.0);
            let p = 1.0 / (1.0 + (-raw).exp());
            if raw >= threshold {
                costs.review_cost + (1.0 - p) * (costs.lost_margin * amount + costs.lost_customer)
            } else {
                p * (costs.lost_goods * amount + costs.chargeback_fee + costs.return_handling)
            }
        }).sum();
        prop_assert!((money.expected_loss.unwrap() - expected).abs() < 1e-6);
        for point in &e.curve {
            prop_assert!((point.savings.unwrap() - (loss(&|_| false) - loss(&|raw| raw >= point.raw_score))).abs() < 1e-6);
        }
    }

    #[test]
    fn aims_of_capacity_and_money_are_the_best_that_can_be_done(rows in rows(1..80), capacity in 1_u32..12) {
        let data = sample(&rows);
        let orders = Scored::new(&data.raw, &data.probability, &data.labels)
            .and_then(|orders| orders.with_amounts(Some(&data.amounts)))
            .and_then(|orders| orders.with_days(Some(&data.days)))
            .unwrap();
        let costs = CostTable::default();
        prop_assume!(data.labels.contains(&1));
        let stops = |t: f64| rows.iter().filter(|r| f64::from(r.0) / 4.0 >= t).count() as f64;
        let catches = |t: f64| rows.iter().filter(|r| f64::from(r.0) / 4.0 >= t && r.1 == 1).count();
        let mut days = data.days.clone();
        days.sort_unstable();
        days.dedup();
        let a_day = f64::from(capacity) / 2.0;
        let all: Vec<f64> = data.raw.iter().copied().chain([1e9]).collect();
        let choice = choose_scored(&orders, Aim::Capacity(a_day), &costs);
        prop_assert_eq!(&choice.note, &None);
        let most = a_day * days.len() as f64;
        prop_assert!(stops(choice.raw_score) <= most);
        let best = all.iter().filter(|&&t| stops(t) <= most).map(|&t| catches(t)).max().unwrap();
        prop_assert_eq!(catches(choice.raw_score), best);

        let choice = choose_scored(&orders, Aim::Money, &costs);
        let loss = |threshold: f64| measure(&rows, threshold).money.unwrap();
        let found = loss(choice.raw_score);
        prop_assert!((found.loss - found.best.unwrap().loss).abs() < 1e-9);
    }

    #[test]
    fn weeks_and_segments_hold_every_order_once(rows in rows(0..400)) {
        let e = measure(&rows, 0.0);
        prop_assert_eq!(e.weeks.iter().map(|week| week.n_rows).sum::<u64>(), rows.len() as u64);
        prop_assert!(e.weeks.windows(2).all(|pair| pair[0].name < pair[1].name));
        let segment = &e.segments[0];
        prop_assert_eq!(segment.slices.iter().map(|s| s.n_rows).sum::<u64>() + segment.n_rows_in_others, rows.len() as u64);
        for slice in segment.slices.iter().chain(&e.weeks).chain(&e.kinds) {
            prop_assert_eq!(slice.note.is_some(), slice.n_rows < 100 || slice.n_fraud < 10);
            prop_assert!(slice.note.is_none() || slice.average_precision.is_none());
        }
        let none = &e.thresholds[0];
        prop_assert_eq!(none.at_threshold.confusion.tp + none.at_threshold.confusion.fp, 0);
        prop_assert_eq!(none.weeks.len(), e.weeks.len());
        prop_assert_eq!(none.money.as_ref().unwrap().savings, 0.0);
    }
}

#[test]
fn a_segment_is_measured_as_orders_of_their_own() {
    let rows: Vec<Row> = (0..2_000_u32)
        .map(|i| {
            let draw = i.wrapping_mul(2_654_435_761) >> 16;
            (
                (draw % 17) as i32 - 8,
                u8::from(draw % 97 < 5 + draw % 17),
                u64::from(i / 3),
                i64::from(i / 100),
                draw % 9_000,
            )
        })
        .collect();
    let e = measure(&rows, 0.5);
    let poland: Vec<Row> = rows.iter().copied().filter(|r| r.4 % 7 != 0 && r.4 % 3 == 0).collect();
    let alone = measure(&poland, 0.5);
    let slice = e.segments[0].slices.iter().find(|slice| slice.name == "PL").unwrap();
    assert!((slice.average_precision.unwrap() - alone.average_precision.unwrap()).abs() < 1e-12);
    assert_eq!(slice.at_threshold, alone.at_threshold);
    let (whole, part) =
        (alone.intervals.unwrap().average_precision.unwrap(), slice.intervals.unwrap().average_precision.unwrap());
    assert!((whole.low - part.low).abs() < 1e-12 && (whole.high - part.high).abs() < 1e-12, "{whole:?} {part:?}");
}

#[test]
fn aims_that_cannot_be_followed_say_so() {
    let orders = Scored::new(&[1.0, 0.0], &[0.6, 0.5], &[1, 0]).unwrap();
    let costs = CostTable::default();
    let note = |aim| choose_scored(&orders, aim, &costs).note.unwrap();
    assert!(note(Aim::Money).starts_with("the aim needs amounts in one currency: "));
    assert!(note(Aim::Capacity(3.0)).starts_with("the aim needs times: "));
}

#[test]
fn nothing_to_measure() {
    let e = measure(&[], 0.0);
    assert_eq!((e.n_rows, e.weeks.len(), e.histogram.len()), (0, 0, 0));
    assert_eq!(e.intervals.unwrap().roc_auc, None);
    assert_eq!(e.money.unwrap().loss_reduction, None);
}
