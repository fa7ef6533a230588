//! Models that take each other's place under load: the example, run on the kept models.
#![allow(dead_code, unreachable_pub, reason = "the example is a program, of which the tests run a part")]

use std::time::Duration;

use orderguard_features::event::Value;
use orderguard_features::identity::{IdentityKey, PUBLIC_KEY};
use orderguard_inference::calibrate::probability;
use orderguard_inference::model::Model;

#[path = "../examples/swap_model.rs"]
mod swap_model;

/// Three kinds of model over the same features, each with a threshold of its own.
fn models(key: &IdentityKey) -> Vec<Model> {
    let files = [
        &include_bytes!("../../../models/golden/v0/gbt.ogm")[..],
        include_bytes!("../../../models/golden/v0/logistic.ogm"),
        include_bytes!("../../../models/golden/v0/scorecard.ogm"),
    ];
    let change = |(i, bytes): (usize, &[u8])| {
        let mut model = Model::from_bytes(bytes).unwrap();
        model.card.key_check = key.check();
        model.threshold.raw_score = -1.0 - i as f64;
        model.threshold.probability = probability(&model.calibration, model.threshold.raw_score);
        model
    };
    files.into_iter().enumerate().map(change).collect()
}

#[test]
fn no_decision_is_dropped_or_mixed_while_models_are_swapped() {
    let key = IdentityKey::new(PUBLIC_KEY);
    let models = models(&key);
    let names: Vec<&str> = models[0].schema.columns.iter().map(|column| column.name.as_str()).collect();
    let n_orders = 30_000;
    let texts: Vec<[String; 7]> = (0..n_orders)
        .map(|i| {
            // Every thousandth has a time that cannot be read.
            let time = if i % 1_000 == 0 { "soon".into() } else { format!("2027-01-14T{:02}:00:00Z", i % 24) };
            let country = ["PL", "DE", "Åland", "FR", ""][i % 5].to_owned();
            let amount = (i * 37 % 1_000).to_string();
            [format!("o-{i}"), time, String::new(), amount, (i % 7).to_string(), country, format!("card {}", i % 400)]
        })
        .collect();
    let orders: Vec<Vec<Value<'_>>> =
        texts.iter().map(|cells| cells.iter().map(|cell| Value::Text(cell)).collect()).collect();

    let deployed = swap_model::deploy(&models, &key, &names).unwrap();
    let tally = swap_model::run(&deployed, &orders, 4, Duration::from_micros(50));
    assert_eq!((tally.decided, tally.refused, tally.mixed), (n_orders - 30, 30, 0), "{tally:?}");
    assert!(tally.swaps > 3 && tally.by_model.iter().all(|&n| n > 0), "{tally:?}");
    assert_eq!(tally.by_model.iter().sum::<usize>(), tally.decided);
    // Each was learned once, whichever model was in charge.
    let state = deployed[0].state.lock().unwrap();
    assert_eq!(state.position().n_orders, tally.decided as u64);
}
