//! Reports, thresholds by aim, and comparisons of models.

use crate::contracts::shop;
use crate::harness::{Place, Table};

const EVALUATE: &str = "evaluate --model out/model.ogm --cold-start --data old.csv";

#[test]
fn a_report_tells_weeks_segments_and_money() {
    let (place, _) = shop();
    let report = place.json("out/report.json");
    let test = &report["test"];
    assert!(report["costs"]["is_default"].as_bool().unwrap() && report["costs"]["table"]["review_cost"] == 3.0);
    let money = &test["money"];
    let saved = money["loss_doing_nothing"].as_f64().unwrap() - money["loss"].as_f64().unwrap();
    assert!((saved - money["savings"].as_f64().unwrap()).abs() < 1e-6);
    assert!(money["best"]["loss"].as_f64().unwrap() <= money["loss"].as_f64().unwrap());
    let used: Vec<_> = test["thresholds"].as_array().unwrap().iter().filter(|row| row["is_used"] == true).collect();
    assert_eq!(used.len(), 1);
    assert_eq!(used[0]["at_threshold"], test["at_threshold"]);
    let weeks = test["weeks"].as_array().unwrap();
    let of_weeks: u64 = weeks.iter().map(|week| week["n_rows"].as_u64().unwrap()).sum();
    assert_eq!(of_weeks, test["n_rows"].as_u64().unwrap());
    let names: Vec<&str> =
        test["segments"].as_array().unwrap().iter().map(|segment| segment["column"].as_str().unwrap()).collect();
    assert!(names.contains(&"amount band") && names.contains(&"new customer"), "{names:?}");
    assert_eq!(test["intervals"]["resampled"], "days and entities");
    if report["split"]["n_unresolved"].as_u64().unwrap() > 0 {
        assert!(report["unresolved"]["text"].as_str().unwrap().contains("never counted as honest"));
    }
}

#[test]
fn costs_are_read_and_refused() {
    let (place, _) = shop();
    let table = "lost_goods = 1\nchargeback_fee = 0\nreturn_handling = 0\nreview_cost = 0\nlost_margin = 0\nlost_customer = 0\n";
    place.write("costs.toml", table);
    let run = place.ok(&format!("{EVALUATE} --costs costs.toml --json"));
    let report: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(report["costs"]["is_default"], false);
    // Where only goods count, what is lost are the frauds let through.
    let value = &report["test"]["at_threshold"]["value"];
    let passed = value["fraud"].as_f64().unwrap() - value["fraud_stopped"].as_f64().unwrap();
    assert!((report["test"]["money"]["loss"].as_f64().unwrap() - passed).abs() < 1e-6);
    for (wrong, says) in [
        (table.replace("review_cost = 0\n", ""), "missing field `review_cost`"),
        (
            table.replace("review_cost = 0", "review_cost = -1"),
            "review_cost: expected an amount of money from 0 to 1e9, found -1",
        ),
        (table.replace("lost_goods = 1", "lost_goods = 2"), "lost_goods: expected a share from 0 to 1, found 2"),
        (format!("{table}lost_time = 1\n"), "lost_time"),
    ] {
        place.write("wrong.toml", &wrong);
        place.fails(&format!("{EVALUATE} --costs wrong.toml"), 1, &["wrong.toml: ", says]);
    }
}

#[test]
fn thresholds_are_chosen_by_aim_into_a_copy() {
    let (place, _) = shop();
    let before = place.read("out/model.ogm");
    let threshold = "threshold --model out/model.ogm --cold-start --data old.csv";
    let run = place.ok(&format!("{threshold} --capacity 2/day --json -o two.ogm"));
    let rows: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    let chosen = rows.as_array().unwrap().iter().find(|row| row["is_used"] == true).unwrap();
    assert!(chosen["alerts_per_day"].as_f64().unwrap() <= 2.0, "{chosen}");
    let report = place.ok("evaluate --model two.ogm --cold-start --data old.csv --json");
    let report: serde_json::Value = serde_json::from_str(&report.out).unwrap();
    assert_eq!(report["threshold"]["raw_score"], chosen["raw_score"]);
    assert_eq!(report["test"]["at_threshold"], chosen["at_threshold"]);

    // What is best by hindsight is what is chosen for money on the same orders.
    let run = place.ok(&format!("{threshold} --aim money --json"));
    let rows: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    let money = &rows.as_array().unwrap().iter().find(|row| row["is_used"] == true).unwrap()["money"];
    assert!((money["loss"].as_f64().unwrap() - money["best"]["loss"].as_f64().unwrap()).abs() < 1e-6);

    place.ok(&format!("{threshold} --challenge fpr=20% --decline fpr=1% -o tiers.ogm"));
    assert_eq!(place.ok("tiers --model tiers.ogm").out.lines().count(), 2);
    place.fails(
        &format!("{threshold} --challenge fpr=1% --decline fpr=20% -o none.ogm"),
        1,
        &["--decline would begin"],
    );
    place.fails(&format!("{threshold} --capacity 0 -o none.ogm"), 2, &["orders a day above 0"]);
    place.fails(threshold, 2, &["expected --aim, --capacity"]);
    place.fails(&format!("{threshold} --aim f1 -o out/model.ogm"), 2, &["would overwrite"]);
    assert!(place.read("out/model.ogm") == before && !place.path("none.ogm").exists());
    place.ok(&format!("{threshold} --aim f1 --in-place"));
    assert!(place.read("out/model.ogm") != before);
}

#[test]
fn models_are_compared_and_the_exit_code_says_which_stays() {
    let (place, _) = shop();
    let rest = "--data old.csv --cold-start";
    let run = place.ok(&format!("compare out/model.ogm out/model.ogm {rest} --json"));
    let same: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!((&same["verdict"]["is_non_inferior"], &same["verdict"]["is_better"]), (&true.into(), &false.into()));
    assert_eq!(same["swap"]["newly_stopped"]["n_fraud"], 0);
    assert_eq!(same["figures"]["roc_auc"]["interval"]["low"], 0.0);
    // A margin of nothing asks for more than to be the same.
    let run =
        place.fails(&format!("compare out/model.ogm out/model.ogm {rest} --margin 0"), 3, &["keep the old model"]);
    assert!(run.out.contains("newly stopped"), "{}", run.out);
    place.fails(&format!("compare out/model.ogm missing.ogm {rest}"), 2, &["missing.ogm"]);
}

#[test]
fn labels_that_nobody_saw_are_weighed_or_warned_of() {
    let place = Place::new();
    let table = Table::narrow(1_800);
    let table = table.with("chance", |i, _| if i % 3 == 0 { "0.5" } else { "1" }.into());
    let table = table.with("refused", |i, _| u8::from(i % 10 == 0).to_string());
    place.write("all.csv", table.csv());
    place.ok("train --data all.csv --out seen --trees 15 --quiet");
    let evaluate = "evaluate --model seen/model.ogm --cold-start --data all.csv --json";
    let json = |options: &str| -> serde_json::Value {
        serde_json::from_str(&place.ok(&format!("{evaluate} {options}")).out).unwrap()
    };
    let selection = &json("--propensity chance")["selection"];
    assert!(selection["n_represented"].as_f64().unwrap() > selection["effective_sample_size"].as_f64().unwrap());
    assert!(selection["figures"]["average_precision"]["interval"]["low"].is_f64() && selection["warning"].is_null());
    let all = json("");
    assert!(all["selection"].is_null());
    let declined = json("--declined refused");
    let n_declined = declined["selection"]["n_declined"].as_u64().unwrap();
    assert!(n_declined > 0 && declined["selection"]["warning"].as_str().unwrap().contains("anybody saw"));
    assert_eq!(declined["test"]["n_rows"].as_u64().unwrap() + n_declined, all["test"]["n_rows"].as_u64().unwrap());
    place.fails(&format!("{evaluate} --propensity nothing"), 2, &["--propensity: expected a column"]);
}

#[test]
fn folds_move_forward_in_time() {
    let place = Place::new();
    place.write("old.csv", Table::narrow(4_000).csv());
    place.ok("train --data old.csv --out folds --folds 2 --trees 15 --quiet");
    let folds = &place.json("folds/report.json")["folds"];
    let all = folds["folds"].as_array().unwrap();
    assert!(all.len() == 2 && all[0]["test_from"].as_str().unwrap() < all[1]["test_from"].as_str().unwrap(), "{folds}");
    assert!(all[0]["n_train"].as_u64().unwrap() < all[1]["n_train"].as_u64().unwrap());
    let value = |i: usize| all[i]["figures"]["roc_auc"].as_f64().unwrap();
    assert!((folds["mean"]["roc_auc"].as_f64().unwrap() - f64::midpoint(value(0), value(1))).abs() < 1e-12);
}
