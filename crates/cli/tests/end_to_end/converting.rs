//! Models of other libraries.

use crate::harness::{Place, repository};

fn fixture(name: &str) -> Vec<u8> {
    let is_json = std::path::Path::new(name).extension().is_some_and(|end| end == "json");
    let library = if is_json { "xgboost" } else { "lightgbm" };
    std::fs::read(repository("crates/inference/tests/data").join(library).join(name)).unwrap()
}

#[test]
fn a_lightgbm_text_becomes_a_model_file() {
    let place = Place::new();
    place.write("model.txt", fixture("missing-zero.txt"));
    let run = place.ok("convert --from lightgbm model.txt -o model.ogm");
    assert!(run.err.contains("8 trees over 6 values, from Column_0 to Column_5"), "{}", run.err);
    let card = place.ok("inspect model.ogm").out;
    for line in ["LightGBM text, version v4", "binary sigmoid:1", "platt, slope 1, intercept 0", "Column_5"] {
        assert!(card.contains(line), "{line}: {card}");
    }
    place.write("orders.csv", "order_id,order_time\n1,2026-01-01\n");
    place.fails("score --model model.ogm --cold-start --data orders.csv", 1, &["takes rows by name"]);
}

#[test]
fn an_xgboost_json_becomes_a_model_file() {
    let place = Place::new();
    place.write("model.json", fixture("best-iteration.json"));
    let best = place.ok("convert --from xgboost model.json -o model.ogm");
    let card = place.ok("inspect model.ogm").out;
    for line in ["XGBoost JSON, version 3.2.0", "binary:logistic", "gbtree", "f5"] {
        assert!(card.contains(line), "{line}: {card}");
    }
    let all = place.ok("convert --from xgboost --all-rounds model.json -o model.ogm");
    assert_ne!(best.err, all.err);
    place.write("forest.json", fixture("refused-forest.json"));
    place.fails("convert --from xgboost forest.json -o forest.ogm", 1, &["forest.json: byte", "random forest"]);
    place.fails("convert --from lightgbm --all-rounds model.json -o model.ogm", 2, &["--all-rounds is for xgboost"]);
}

#[test]
fn what_is_not_read_is_named() {
    let place = Place::new();
    place.write("forest.txt", fixture("refused-forest.txt"));
    place.write("orders.csv", "order_id,amount\n");
    let says = ["forest.txt: line", "random forest"];
    place.fails("convert --from lightgbm forest.txt -o model.ogm", 1, &says);
    place.fails(
        "convert --from lightgbm orders.csv -o model.ogm",
        1,
        &["orders.csv: line 1: expected the word `tree`"],
    );
    place.fails("convert --from lightgbm none.txt -o model.ogm", 2, &["none.txt"]);
    place.fails("convert --from catboost forest.txt -o model.ogm", 2, &["lightgbm"]);
    assert!(!place.files(".").contains(&"model.ogm".to_owned()));
}
