//! A service that embeds the library gets the scores of the program, to the bit.

use orderguard_features::event::Value;
use orderguard_features::identity::{IdentityKey, PUBLIC_KEY};
use orderguard_features::parse::TimeParser;
use orderguard_features::schema::TimeFormat;
use orderguard_features::time::UnixMillis;
use orderguard_inference::model::Model;
use orderguard_inference::service::OrderScorer;

use crate::contracts::{halves_equal_the_whole, shop};
use crate::harness::{Place, Table};

/// Scores the orders one by one, learning each, and between them the frauds that became known; returns raw scores and the
/// state at the end.
fn stream(place: &Place, orders: &Table, frauds: &[(UnixMillis, String)]) -> (Vec<f64>, Vec<u8>) {
    let model = Model::load(place.path("out/model.ogm")).unwrap();
    let names: Vec<&str> = orders.header.iter().map(String::as_str).collect();
    let scorer = OrderScorer::new(&model, IdentityKey::new(PUBLIC_KEY), &names).unwrap();
    let mut state = scorer.restore(&place.read("out/state.ogs")).unwrap();
    let mut scratch = scorer.scratch();
    let parser = TimeParser::new(TimeFormat::Iso, "UTC").unwrap();
    let time = orders.column("order_time");
    let mut frauds = frauds.iter().peekable();
    let mut scores = Vec::new();
    for row in &orders.rows {
        let arrival = UnixMillis(parser.parse(&row[time]).unwrap());
        while let Some((at, id)) = frauds.next_if(|(at, _)| *at < arrival) {
            scorer.learn_label(&mut state, id, *at, true);
        }
        let values: Vec<Value> = row.iter().map(|cell| Value::Text(cell)).collect();
        scores.push(scorer.score(&state, &values, arrival, &mut scratch).unwrap().raw_score);
        scorer.learn(&mut state, &scratch);
    }
    for (at, id) in frauds {
        scorer.learn_label(&mut state, id, *at, true);
    }
    (scores, scorer.snapshot(&state))
}

#[track_caller]
fn assert_same_bits(place: &Place, data: &str, streamed: &(Vec<f64>, Vec<u8>)) {
    let run =
        place.ok(&format!("score --model out/model.ogm --state out/state.ogs --data {data} --save-state end.ogs"));
    let batch: Vec<u64> = run.cells()[1..].iter().map(|row| row[2].parse::<f64>().unwrap().to_bits()).collect();
    let streamed_bits: Vec<u64> = streamed.0.iter().map(|score| score.to_bits()).collect();
    assert_eq!(batch, streamed_bits);
    assert!(batch.windows(2).any(|pair| pair[0] != pair[1]), "the model tells orders apart");
    assert!(place.read("end.ogs") == streamed.1, "the states differ");
}

#[test]
fn orders_one_by_one_score_as_in_a_file() {
    let (place, new) = shop();
    let orders = new.without(&["label", "label_time"]);
    place.write("orders.csv", orders.csv());
    assert_same_bits(&place, "orders.csv", &stream(&place, &orders, &[]));
}

/// Thirty customers of whom one in six is a thief: those numbered 0 in the first 1,300 orders, those numbered 1 later. Each
/// fraud becomes known two days after its order. Returns the frauds of the later orders.
fn shop_of_thieves() -> (Place, Table, Vec<(UnixMillis, String)>) {
    let mut table = Table::narrow(1_800);
    let parser = TimeParser::new(TimeFormat::Iso, "UTC").unwrap();
    let [id, time, customer, label, label_time] =
        ["order_id", "order_time", "customer_id", "label", "label_time"].map(|name| table.column(name));
    let mut frauds = Vec::new();
    for (i, row) in table.rows.iter_mut().enumerate() {
        let number = i * 7 % 30;
        let is_fraud = number % 6 == usize::from(i >= 1_300);
        row[customer] = format!("C{number}");
        row[label] = u8::from(is_fraud).to_string();
        row[label_time] = String::new();
        if is_fraud {
            let at = UnixMillis(parser.parse(&row[time]).unwrap() + 2 * 86_400_000 + 1);
            row[label_time] = at.to_string();
            if i >= 1_300 {
                frauds.push((at, row[id].clone()));
            }
        }
    }
    let place = Place::new();
    place.write("old.csv", table.part(0..1_300).csv());
    // The customer's own number would tell all; only what is known of its earlier orders may.
    place.ok("train --data old.csv --out out --trees 15 --keep customer_id");
    (place, table.part(1_300..1_800), frauds)
}

#[test]
fn labels_that_come_between_orders_count_as_in_a_file() {
    let (place, new, frauds) = shop_of_thieves();
    let unlabelled = new.without(&["label", "label_time"]);
    place.write("orders.csv", new.csv());
    place.write("unlabelled.csv", unlabelled.csv());
    assert_same_bits(&place, "orders.csv", &stream(&place, &unlabelled, &frauds));
    let score = |data: &str| place.ok(&format!("score --model out/model.ogm --state out/state.ogs --data {data}")).out;
    assert!(score("orders.csv") != score("unlabelled.csv"), "labels make a difference to history");
}

/// Labels of the first half's orders become known while the second half comes in; both halves come with them.
#[test]
fn two_halves_with_labels_score_as_one_file() {
    let (place, new, _) = shop_of_thieves();
    for cut in [100, 250] {
        halves_equal_the_whole(&place, &new, cut);
    }
}
