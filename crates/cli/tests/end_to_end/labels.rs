//! Labels that are missing, that come in a file of their own, and whose times cannot be believed.

use crate::harness::{Place, Table};

const TRAIN: &str = "train --out out --trees 10";

fn text(value: &serde_json::Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

#[track_caller]
fn has_note(report: &serde_json::Value, words: &str) {
    let notes = report["notes"].as_array().unwrap();
    assert!(notes.iter().any(|note| text(note).contains(words)), "expected {words:?} in {notes:?}");
}

#[test]
fn unlabelled_rows_are_counted_apart() {
    let mut table = Table::narrow(1_500);
    let [label, label_time] = ["label", "label_time"].map(|name| table.column(name));
    let before = table.rows.iter().filter(|row| row[label].is_empty()).count();
    let mut n_blanked = 0;
    for (i, row) in table.rows.iter_mut().enumerate() {
        if i % 5 == 0 && !row[label].is_empty() {
            row[label] = [String::new(), "NA".into(), "null".into()][i / 5 % 3].clone();
            row[label_time] = String::new();
            n_blanked += 1;
        }
    }
    let n_unlabelled = before + n_blanked;
    let frauds = table.rows.iter().filter(|row| row[label] == "1").count();
    let place = Place::new();
    place.write("a.csv", table.csv());
    place.ok(&format!("{TRAIN} --data a.csv"));
    let report = place.json("out/report.json");
    assert_eq!(report["data"]["n_unlabelled"], n_unlabelled);
    assert_eq!(report["data"]["n_fraud"], frauds);
    assert_eq!(report["data"]["n_accepted"], 1_500);
    let in_parts: u64 = ["train", "test"].iter().map(|part| report["split"][part]["n_rows"].as_u64().unwrap()).sum();
    assert!(in_parts <= 1_500 - n_unlabelled as u64, "{in_parts} rows in the parts");
    let run = place.ok("evaluate --model out/model.ogm --cold-start --data a.csv --json");
    let report: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(report["data"]["n_unlabelled"], n_unlabelled);
    let measured = report["test"]["n_rows"].as_u64().unwrap() + report["split"]["n_unresolved"].as_u64().unwrap();
    assert_eq!(measured, (1_500 - n_unlabelled) as u64);
    // Unlabelled orders are history all the same.
    let run = place.ok("score --model out/model.ogm --cold-start --data a.csv --save-state s.ogs");
    assert_eq!(run.cells().len(), 1_501);
    assert!(place.ok("inspect s.ogs").out.contains("orders learned"));
}

#[test]
fn labels_of_a_file_equal_labels_of_a_column() {
    let table = Table::narrow(1_500);
    let place = Place::new();
    place.write("whole.csv", table.csv());
    place.write("orders.csv", table.without(&["label", "label_time"]).csv());
    let mut labels = table.select(&["order_id", "label", "label_time"]);
    labels.rows.retain(|row| !row[1].is_empty());
    place.write("labels.csv", labels.shuffled().csv());
    place.ok(&format!("{TRAIN} --data whole.csv"));
    let by_column = place.json("out/report.json");
    let run = place.ok(&format!("{TRAIN} --data orders.csv --labels labels.csv --json"));
    let by_file: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    for member in ["n_fraud", "n_unlabelled", "fraud_share", "from", "until"] {
        assert_eq!(by_file["data"][member], by_column["data"][member], "{member}");
    }
    let join = &by_file["data"]["labels"];
    assert_eq!(join["n_rows"], labels.rows.len());
    assert_eq!(join["n_matched"], labels.rows.len());
    assert_eq!((&join["n_unmatched"], &join["n_conflicting"]), (&0.into(), &0.into()));
    for member in ["test", "gaps", "protocol"] {
        assert_eq!(by_file["split"][member], by_column["split"][member], "{member}");
    }
    // A column says of every order that it was taken for honest until its label came; a file says nothing before its first
    // row, so frauds that became known after the fit are in no part of it.
    let train = |report: &serde_json::Value, of: &str| report["split"]["train"][of].as_u64().unwrap();
    assert_eq!(train(&by_file, "n_fraud"), train(&by_column, "n_fraud"));
    assert!(train(&by_file, "n_rows") < train(&by_column, "n_rows"));
}

#[test]
fn orders_that_a_list_of_chargebacks_does_not_name_are_honest_once_due() {
    let table = Table::narrow(1_500);
    let place = Place::new();
    place.write("orders.csv", table.without(&["label", "label_time"]).csv());
    let mut frauds = table.select(&["order_id", "label", "label_time"]);
    frauds.rows.retain(|row| row[1] == "1");
    place.write("chargebacks.csv", frauds.csv());
    place.ok(&format!("{TRAIN} --data orders.csv --labels chargebacks.csv"));
    let report = place.json("out/report.json");
    has_note(&report, "honest once their label is due");
    assert_eq!(report["data"]["n_fraud"], frauds.rows.len());
    assert_eq!(report["data"]["n_unlabelled"], 0);
    let test = &report["test"];
    assert!(test["n_rows"].as_u64().unwrap() > 10 * test["n_fraud"].as_u64().unwrap(), "{}", test["n_rows"]);
}

#[test]
fn a_finished_model_takes_labels_of_a_file_too() {
    let table = Table::narrow(1_800);
    let place = Place::new();
    place.write("old.csv", table.part(0..1_300).csv());
    place.ok("train --data old.csv --out out --trees 10");
    let new = table.part(1_300..1_800);
    place.write("new.csv", new.csv());
    place.write("orders.csv", new.without(&["label", "label_time"]).csv());
    let mut labels = new.select(&["order_id", "label", "label_time"]);
    labels.rows.retain(|row| !row[1].is_empty());
    place.write("labels.csv", labels.csv());
    let model = "--model out/model.ogm --state out/state.ogs";
    let test = |data: &str| {
        let run = place.ok(&format!("evaluate {model} --json --data {data}"));
        serde_json::from_str::<serde_json::Value>(&run.out).unwrap()["test"].take()
    };
    assert_eq!(test("orders.csv --labels labels.csv"), test("new.csv"));
    let score = |data: &str| place.ok(&format!("score {model} --save-state s.ogs --data {data}")).out;
    let by_column = (score("new.csv"), place.read("s.ogs"));
    assert!((score("orders.csv --labels labels.csv"), place.read("s.ogs")) == by_column);
}

#[test]
fn unmatched_and_conflicting_labels_are_counted() {
    let table = Table::narrow(1_500);
    let place = Place::new();
    place.write("orders.csv", table.without(&["label", "label_time"]).csv());
    let mut labels = table.select(&["order_id", "label", "label_time"]);
    labels.rows.retain(|row| row[1] == "1");
    let n_fraud = labels.rows.len();
    labels.rows.push(vec!["999999999".into(), "1".into(), String::new()]);
    labels.rows.push(vec!["999999998".into(), "0".into(), String::new()]);
    let mut twice = labels.rows[0].clone();
    twice[1] = "0".into();
    labels.rows.push(twice);
    let honest = table.rows.iter().filter(|row| row[7] == "0");
    labels.rows.extend(honest.map(|row| vec![row[0].clone(), "0".into(), String::new()]));
    place.write("labels.csv", labels.csv());
    let run = place.ok(&format!("{TRAIN} --data orders.csv --labels labels.csv --json"));
    let report: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    let join = &report["data"]["labels"];
    assert_eq!((&join["n_unmatched"], &join["n_conflicting"]), (&2.into(), &1.into()));
    assert_eq!(join["n_rows"], labels.rows.len());
    assert!(report["data"]["n_fraud"].as_u64().unwrap() >= n_fraud as u64 - 1);
    has_note(&report, "2");
}

#[test]
fn bad_label_files() {
    let place = Place::new();
    let table = Table::narrow(1_500);
    place.write("a.csv", table.without(&["label", "label_time"]).csv());
    place.write("noid.csv", table.without(&["order_id", "label", "label_time"]).csv());
    place.write("l.csv", table.select(&["order_id", "label", "label_time"]).csv());
    place.write("other.csv", table.select(&["amount", "label"]).csv());
    place.write("empty.csv", "");
    place.write("header.csv", "order_id,label\n");
    for (args, code, says) in [
        ("--data noid.csv --labels l.csv", 1, "--labels: the orders have no id column"),
        ("--data a.csv --labels other.csv", 1, "expected a column that names the order"),
        ("--data a.csv --labels empty.csv", 1, "empty.csv: expected a table, found an empty file"),
        ("--data a.csv --labels header.csv", 1, "header.csv: expected rows after the header, found none"),
    ] {
        place.fails(&format!("{TRAIN} {args}"), code, &[says]);
    }
    assert_eq!(place.files("out"), [""; 0]);
}

#[test]
fn label_times_that_cannot_be_are_reported() {
    let table = Table::narrow(1_500);
    let [label, time, label_time] = ["label", "order_time", "label_time"].map(|name| table.column(name));
    let mut stamped = table.clone();
    for row in stamped.rows.iter_mut().filter(|row| !row[label].is_empty()) {
        row[label_time] = row[time].clone();
    }
    let place = Place::new();
    place.write("a.csv", stamped.csv());
    place.ok(&format!("{TRAIN} --data a.csv"));
    let report = place.json("out/report.json");
    has_note(&report, "label times are not believed");
    has_note(&report, "order time + 7d is used");
    let mut some = table.clone();
    let mut n_changed = 0;
    for row in some.rows.iter_mut().filter(|row| row[label] == "1").take(3) {
        row[label_time] = "2023-12-01T00:00:00Z".into();
        n_changed += 1;
    }
    place.write("b.csv", some.csv());
    place.ok(&format!("{TRAIN} --data b.csv"));
    has_note(&place.json("out/report.json"), &format!("{n_changed} label times lie no later than their order"));
}

#[test]
fn labels_in_any_words() {
    let table = Table::narrow(1_500);
    let label = table.column("label");
    let place = Place::new();
    place.write("a.csv", table.csv());
    place.ok(&format!("{TRAIN} --data a.csv"));
    let expected = (place.read("out/model.ogm"), place.read("out/state.ogs"));
    for (fraud, honest) in [("true", "FALSE"), ("Yes", "no"), ("FRAUD", "Legit"), ("1.0", "0.0")] {
        let mut words = table.clone();
        for row in &mut words.rows {
            row[label] = [("1", fraud), ("0", honest), ("", "")]
                .into_iter()
                .find(|(from, _)| *from == row[label])
                .map(|(_, to)| to.to_owned())
                .unwrap();
        }
        place.write("b.csv", words.csv());
        place.ok(&format!("{TRAIN} --data b.csv"));
        assert!(place.read("out/model.ogm") == expected.0, "{fraud}: the model differs");
        assert!(place.read("out/state.ogs") == expected.1, "{fraud}: the state differs");
    }
}
