//! What the options do.

use crate::harness::{Place, Table};

const TRAIN: &str = "train --data a.csv --out out --trees 10";

fn shop(table: &Table) -> Place {
    let place = Place::new();
    place.write("a.csv", table.csv());
    place
}

#[track_caller]
fn report(place: &Place, options: &str) -> serde_json::Value {
    place.ok(&format!("{TRAIN} {options}"));
    place.json("out/report.json")
}

#[track_caller]
fn n(value: &serde_json::Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no count"))
}

#[test]
fn a_schema_file_says_the_same_as_inference() {
    let place = shop(&Table::simulated(1_300, 7));
    place.ok("schema --data a.csv -o s.toml");
    place.ok(&format!("{TRAIN} --seed 3"));
    let (model, state) = (place.read("out/model.ogm"), place.read("out/state.ogs"));
    place.ok(&format!("{TRAIN} --seed 3 --schema s.toml"));
    assert!(place.read("out/model.ogm") == model, "the model differs");
    assert!(place.read("out/state.ogs") == state, "the state differs");
}

#[test]
fn the_schema_that_train_writes_can_be_used_again() {
    let place = shop(&Table::simulated(1_300, 7));
    let first = report(&place, "");
    let model = place.read("out/model.ogm");
    place.write("s.toml", place.read("out/schema.toml"));
    let second = report(&place, "--schema s.toml");
    assert_eq!(second["test"], first["test"]);
    assert_eq!(place.text("out/schema.toml"), place.text("s.toml"));
    // The column that was refused is no longer looked at, so the card does not speak of it: all else is the same.
    assert_eq!(first["leaks"].as_array().unwrap().len(), 1);
    assert_eq!(second["leaks"].as_array().unwrap().len(), 0);
    assert!(place.read("out/model.ogm").len() < model.len());
}

#[test]
fn a_schema_can_be_edited() {
    let place = shop(&Table::narrow(1_300));
    place.ok("schema --data a.csv -o s.toml --label-delay 3d --timezone Europe/Warsaw");
    let text = place.text("s.toml");
    assert!(text.contains("label_delay = \"3d\"") && text.contains("timezone = \"Europe/Warsaw\""), "{text}");
    let edited =
        text.replace("name = \"payment_method\"\nrole = \"category\"", "name = \"payment_method\"\nrole = \"ignored\"");
    assert_ne!(edited, text);
    place.write("s.toml", edited);
    let report = report(&place, "--schema s.toml");
    assert_eq!(
        (&report["schema"]["label_delay"], &report["schema"]["timezone"]),
        (&"3d".into(), &"Europe/Warsaw".into())
    );
    let features = report["features"].to_string();
    assert!(!features.contains("payment_method") && features.contains("n_items"), "{features}");
    let says = ["s.toml is there already", "--force"];
    place.fails("schema --data a.csv -o s.toml", 2, &says);
    place.ok("schema --data a.csv -o s.toml --force");
    assert!(place.text("s.toml").contains("label_delay = \"7d\""));
}

#[test]
fn the_label_delay_moves_the_gap() {
    let place = shop(&Table::narrow(1_300));
    let week = report(&place, "");
    let day = report(&place, "--label-delay 1d");
    assert_eq!((&week["schema"]["label_delay"], &day["schema"]["label_delay"]), (&"7d".into(), &"1d".into()));
    let gap = |report: &serde_json::Value| n(&report["split"]["gaps"].as_array().unwrap().last().unwrap()["n_rows"]);
    assert!(gap(&week) > 3 * gap(&day), "{} and {}", gap(&week), gap(&day));
}

#[test]
fn parts_between_dates() {
    let table = Table::narrow(2_000);
    let place = shop(&table);
    let dates =
        "--train-from 2024-01-05 --train-until 2024-01-31 --test-from 2024-02-07 --test-until 2024-02-20T12:00:00Z";
    let report = report(&place, dates);
    let split = &report["split"];
    assert_eq!(split["protocol"], "dates");
    assert_eq!(split["train"]["from"], "2024-01-05T00:00:00Z");
    assert_eq!(split["test"]["from"], "2024-02-07T00:00:00Z");
    assert_eq!(split["test"]["until"], "2024-02-20T12:00:00Z");
    let [time, label] = ["order_time", "label"].map(|name| table.column(name));
    let within = |row: &&Vec<String>| ("2024-02-07T00:00:00Z".."2024-02-20T12:00:00Z").contains(&row[time].as_str());
    let labelled = table.rows.iter().filter(within).filter(|row| !row[label].is_empty()).count();
    assert_eq!(n(&split["test"]["n_rows"]), labelled as u64);
    assert_eq!(report["test"]["n_rows"], split["test"]["n_rows"]);
    // What lies before the training part is history of it.
    let history = place.ok("inspect out/state.ogs").out;
    assert!(history.contains("orders learned") && history.contains("2000"), "{history}");
}

#[test]
fn dates_that_contradict_one_another() {
    let place = shop(&Table::narrow(1_300));
    for (dates, says) in [
        ("--train-from 2024-02-01 --train-until 2024-01-01", "train"),
        ("--train-until 2024-02-01 --test-from 2024-01-01", "test"),
        ("--test-from 2024-02-20 --test-until 2024-02-10", "test"),
    ] {
        place.fails(&format!("{TRAIN} {dates}"), 2, &[says]);
    }
    let says = ["test-from: expected an instant in the data, 2024-01-0", "found 2031-01-01T00:00:00Z"];
    place.fails(&format!("{TRAIN} --test-from 2031-01-01"), 2, &says);
    let says = ["expected test-from before as-of, found 2024-0", " and 1999-01-01T00:00:00Z"];
    place.fails(&format!("{TRAIN} --as-of 1999-01-01"), 2, &says);
    let says = ["whose labels are due in time, found none: the orders span too little time for the label delay"];
    place.fails(&format!("{TRAIN} --label-delay 58d"), 1, &says);
    assert_eq!(place.files("out"), [""; 0]);
}

/// With the labels of an earlier day, nothing that came later is known.
#[test]
fn labels_as_of_an_earlier_day() {
    let place = shop(&Table::narrow(2_000));
    let report = report(&place, "--as-of 2024-02-15");
    assert!(report["split"]["test"]["until"].as_str().unwrap() <= "2024-02-15T00:00:00.001Z", "{}", report["split"]);
}

#[test]
fn known_entities_can_be_left_out_of_the_test() {
    let place = shop(&Table::narrow(2_000));
    let all = report(&place, "");
    let fewer = report(&place, "--drop-known-entities customer_id");
    let dropped = n(&fewer["split"]["n_known_entities"]);
    assert_eq!(n(&all["split"]["n_known_entities"]), 0);
    assert!(dropped > 0);
    assert_eq!(n(&fewer["split"]["test"]["n_rows"]) + dropped, n(&all["split"]["test"]["n_rows"]));
}

/// Most frauds of these orders become known after the fit, so next to the labels of that day the column looks less perfect.
#[test]
fn a_column_filled_in_hindsight_is_refused_and_can_be_kept() {
    let table = Table::narrow(1_500);
    let label = table.column("label");
    let table = table.with("verdict_code", |i, row| if row[label] == "1" { "7".into() } else { (i % 3).to_string() });
    let place = shop(&table);
    let refused = report(&place, "");
    let leaks = refused["leaks"].as_array().unwrap();
    assert_eq!((&leaks[0]["column"], &leaks[0]["kept"]), (&"verdict_code".into(), &false.into()));
    assert!(!refused["features"].to_string().contains("verdict_code"));
    assert!(place.text("out/schema.toml").contains("name = \"verdict_code\"\nrole = \"ignored\""));
    let kept = report(&place, "--keep verdict_code");
    assert_eq!((&kept["leaks"][0]["column"], &kept["leaks"][0]["kept"]), (&"verdict_code".into(), &true.into()));
    assert!(kept["features"].to_string().contains("verdict_code"));
    let precision = |report: &serde_json::Value| report["test"]["average_precision"].as_f64().unwrap();
    assert!(precision(&kept) > precision(&refused), "{} {}", precision(&kept), precision(&refused));
}

#[test]
fn a_refit_is_marked_as_one() {
    let place = shop(&Table::narrow(1_500));
    for (kind, train) in [("gbt", TRAIN), ("logistic", "train --data a.csv --out out --model logistic")] {
        place.ok(train);
        let measured = place.read("out/model.ogm");
        let run = place.ok(&format!("{train} --refit"));
        assert!(place.read("out/model.ogm") == measured, "the model that was measured is written either way");
        run.says("model-refit.ogm");
        let (plain, refit) = (place.ok("inspect out/model.ogm").out, place.ok("inspect out/model-refit.ogm").out);
        assert!(!plain.contains("refit"), "{plain}");
        assert!(
            refit.contains(&format!("{kind}, refit")) && refit.contains("calibration and threshold are carried over")
        );
        let line = |text: &str, name: &str| text.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
        for name in ["threshold ", "calibration", "data hash", "schema fingerprint", "test average precision"] {
            assert_eq!(line(&plain, name), line(&refit, name));
        }
        if kind == "gbt" {
            assert_eq!(line(&plain, "trees"), line(&refit, "trees"));
        }
        assert_ne!(place.read("out/model-refit.ogm"), measured);
        let run = place.ok("evaluate --model out/model-refit.ogm --cold-start --data a.csv --json");
        let report: serde_json::Value = serde_json::from_str(&run.out).unwrap();
        assert_eq!(report["model"]["refit"], true);
        std::fs::remove_dir_all(place.path("out")).unwrap();
    }
}

#[test]
fn a_refit_of_an_earlier_run_does_not_stay_beside_a_new_model() {
    let place = shop(&Table::narrow(1_300));
    place.ok(&format!("{TRAIN} --refit"));
    assert_eq!(place.files("out").len(), 8);
    place.ok(TRAIN);
    assert!(!place.path("out/model-refit.ogm").exists());
    assert_eq!(place.files("out").len(), 7);
}

#[test]
fn logistic_regression() {
    let place = shop(&Table::narrow(1_500));
    place.ok("train --data a.csv --out out --model logistic");
    let report = place.json("out/report.json");
    assert_eq!(report["model"]["kind"], "logistic");
    assert!(report["test"]["roc_auc"].as_f64().unwrap() > 0.6);
    assert!(place.ok("inspect out/model.ogm").out.starts_with("kind"));
    assert_eq!(place.ok("score --model out/model.ogm --state out/state.ogs --data a.csv").cells().len(), 1_501);
}

#[test]
fn scorecards_are_written_as_tables_and_as_models() {
    let place = shop(&Table::narrow(1_500));
    let run = place.ok("train --data a.csv --out out --learner scorecard --characteristics 3");
    assert_eq!(place.json("out/report.json")["model"]["kind"], "scorecard");
    let table = String::from_utf8(place.read("out/scorecard.txt")).unwrap();
    assert!(table.starts_with("Scorecard: more points, more risk. 500 points") && run.out.ends_with(&table), "{table}");
    assert!(place.ok("inspect out/model.ogm").out.ends_with(&table));
    // Points of the first scored order: base score and ln 2 / 20 a point.
    let scored = place.ok("score --model out/model.ogm --state out/state.ogs --data a.csv").cells();
    let raw_score: f64 = scored[1][scored[0].iter().position(|name| name == "raw_score").unwrap()].parse().unwrap();
    let points = 500.0 + (raw_score + 50_f64.ln()) * 20.0 / std::f64::consts::LN_2;
    assert!((points - points.round()).abs() < 1e-6, "{points}");
    place.ok("train --data a.csv --out out --params out/params.toml --refit");
    place.ok("train --data a.csv --out out");
    assert!(!place.files("out").contains(&"scorecard.txt".to_owned()), "a table of an earlier run stays");
}

#[test]
fn without_a_time_the_report_says_that_it_flatters() {
    let place = shop(&Table::narrow(1_500).without(&["order_time", "label_time"]));
    let run = place.ok(TRAIN);
    let report = place.json("out/report.json");
    assert_eq!(report["split"]["protocol"], "hash");
    assert!(report["data"]["from"].is_null() && report["split"]["train"]["from"].is_null());
    assert!(run.out.contains("flatter"), "{}", run.out);
    assert!(report["split"]["notes"].to_string().contains("flatter"), "{}", report["split"]["notes"]);
    place.fails(&format!("{TRAIN} --test-from 2024-02-01"), 2, &["time"]);
}

#[test]
fn a_semicolon_between_fields() {
    let place = Place::new();
    place.write("a.csv", Table::narrow(1_300).delimited(b';'));
    place.ok(TRAIN);
    place.ok(&format!("{TRAIN} --delimiter ;"));
    assert_eq!(n(&place.json("out/report.json")["data"]["n_accepted"]), 1_300);
    let scored = place.ok("score --model out/model.ogm --cold-start --data a.csv").cells();
    assert_eq!(scored.len(), 1_301);
    place.fails(&format!("{TRAIN} --delimiter ,"), 1, &["label"]);
}

#[test]
fn orders_from_standard_input() {
    let place = shop(&Table::narrow(1_300));
    place.ok(TRAIN);
    let csv = place.read("a.csv");
    let from_file = place.ok("score --model out/model.ogm --state out/state.ogs --data a.csv").out;
    let run = place.run_with_input("score --model out/model.ogm --state out/state.ogs --data -", &csv);
    assert_eq!((run.code, run.out == from_file), (Some(0), true), "{}", run.err);
    let run = place.run_with_input("schema --data - -o s.toml", &csv);
    assert_eq!(run.code, Some(0), "{}", run.err);
    place.run_with_input("train --data - --out none", b"").failed(1, &["-: expected a table, found an empty file"]);
    assert_eq!(place.files("none"), [""; 0]);
}

#[test]
fn quiet_runs_say_nothing() {
    let place = shop(&Table::narrow(1_300));
    for command in [
        "train --data a.csv --out out --trees 5 --quiet",
        "score --model out/model.ogm --state out/state.ogs --data a.csv -q -o s.csv",
        "evaluate --model out/model.ogm --cold-start --data a.csv -q",
        "schema --data a.csv -o s.toml -q",
        "simulate --orders 20 -q -o b.csv",
        "inspect out/model.ogm -q",
    ] {
        assert_eq!(place.ok(command).err, "", "{command}");
    }
    let run = place.fails("train --data none.csv --quiet --out out", 2, &["none.csv"]);
    assert_eq!(run.err.lines().count(), 1, "{}", run.err);
}

#[test]
fn no_escape_codes_and_no_bars_when_piped() {
    let place = shop(&Table::narrow(1_300));
    let run = place.ok(TRAIN);
    assert!(!run.out.contains('\u{1b}') && !run.err.contains('\u{1b}') && !run.err.contains('\r'));
}

#[test]
fn inspect_shows_models_and_states() {
    let place = shop(&Table::narrow(1_300));
    place.ok(TRAIN);
    let model = place.ok("inspect out/model.ogm").out;
    for name in ["kind", "written by", "schema fingerprint", "data hash", "seed", "trees", "calibration", "threshold"] {
        assert!(model.lines().any(|line| line.starts_with(name)), "{name}: {model}");
    }
    let state = place.ok("inspect out/state.ogs").out;
    for words in ["state: entity history", "orders learned", "1300", "entities of customer_id", "label delay"] {
        assert!(state.contains(words), "{words}: {state}");
    }
    for (file, text) in [("out/model.ogm", model), ("out/state.ogs", state)] {
        let json: serde_json::Value = serde_json::from_str(&place.ok(&format!("inspect {file} --json")).out).unwrap();
        let lines = json.as_array().unwrap();
        assert_eq!(lines.len(), text.lines().count());
        assert!(lines.iter().all(|line| line["name"].is_string() && line["value"].is_string()));
        let path = place.path("");
        assert!(!text.contains(path.to_str().unwrap()) && !text.contains("a.csv"), "a path is in {file}");
    }
}

#[test]
fn a_key_of_ones_own() {
    let place = shop(&Table::narrow(1_300));
    place.write("key", "sixteen bytes or more\n");
    let run = place.ok(TRAIN);
    run.says("--key-file");
    let (model, state) = (place.read("out/model.ogm"), place.read("out/state.ogs"));
    let run = place.ok(&format!("{TRAIN} --key-file key"));
    assert!(!run.err.contains("public key"), "{}", run.err);
    assert!(place.read("out/model.ogm") != model && place.read("out/state.ogs") != state);
}

#[test]
fn no_private_value_reaches_a_file_or_a_message() {
    let table = Table::simulated(1_300, 7);
    let place = shop(&table);
    let run = place.ok(TRAIN);
    let values = |name: &str| {
        let column = table.column(name);
        table.rows.iter().map(move |row| row[column].clone()).filter(|value| !value.is_empty()).take(300)
    };
    let mut haystack = run.out.into_bytes();
    haystack.extend(run.err.into_bytes());
    for file in place.files("out") {
        haystack.extend(place.read(&file));
    }
    let haystack = String::from_utf8_lossy(&haystack).into_owned();
    for column in ["email", "phone", "shipping_address", "customer_id", "device_id", "card"] {
        for value in values(column) {
            assert!(!haystack.contains(&value), "a value of {column} was written");
        }
    }
}

#[test]
fn the_default_folder_is_models_latest() {
    let place = shop(&Table::narrow(1_300));
    place.ok("train --data a.csv --trees 5");
    assert_eq!(place.files("models").len(), 7);
    assert!(place.path("models/latest/model.ogm").exists());
}
