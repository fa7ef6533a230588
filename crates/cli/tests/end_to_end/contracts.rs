//! What scripts rely on: the report's members, the columns of the scores, and the exit codes of runs without history.

use crate::harness::{Place, Run, Table, cells};

/// Earlier orders in `old.csv`, later ones in `new.csv`, and a model of the earlier ones in `out`.
pub(crate) fn shop() -> (Place, Table) {
    let place = Place::new();
    let table = Table::narrow(1_800);
    place.write("old.csv", table.part(0..1_300).csv());
    place.write("new.csv", table.part(1_300..1_800).csv());
    place.ok("train --data old.csv --out out --trees 15");
    (place, table.part(1_300..1_800))
}

#[track_caller]
fn check_part(part: &serde_json::Value) {
    assert!(part["n_rows"].is_u64() && part["n_fraud"].is_u64(), "{part}");
    for figure in ["roc_auc", "average_precision", "brier"] {
        assert!(part[figure].is_f64(), "{figure}");
    }
    for key in ["0.001", "0.005", "0.01", "0.05"] {
        assert!(part["recall_at_fpr"][key].is_number(), "{key}");
    }
    let at = &part["at_threshold"];
    for figure in ["recall", "false_positive_rate"] {
        assert!(at[figure].is_number(), "{figure}");
    }
    // Nothing was stopped: then there is no precision.
    assert!(at["precision"].is_number() || at["precision"].is_null() && at["confusion"]["tp"] == 0);
    let count = |name: &str| at["confusion"][name].as_u64().unwrap_or_else(|| panic!("{name}"));
    assert_eq!(count("tp") + count("fn"), part["n_fraud"].as_u64().unwrap());
    assert_eq!(count("tp") + count("fp") + count("tn") + count("fn"), part["n_rows"].as_u64().unwrap());
}

#[track_caller]
fn check_report(report: &serde_json::Value) {
    assert!(report["schema_version"].is_u64());
    for member in ["data", "schema", "split", "test", "threshold", "timing"] {
        assert!(report[member].is_object(), "{member}");
    }
    check_part(&report["test"]);
    assert!(report["threshold"]["raw_score"].is_f64() && report["threshold"]["probability"].is_f64());
    assert!(report["threshold"]["aim"].is_string());
    for step in ["read", "features", "fit", "evaluate", "total"] {
        assert!(report["timing"][step].is_number(), "{step}");
    }
    assert!(report["timing"]["peak_rss_bytes"].as_u64().unwrap() > 1 << 20);
}

#[test]
fn json_is_the_content_of_the_report_file() {
    let place = Place::new();
    place.write("a.csv", Table::narrow(1_300).csv());
    for options in ["--trees 5", "--model logistic --quiet"] {
        let run = place.ok(&format!("train --data a.csv --out out --json {options}"));
        assert_eq!(run.out, place.text("out/report.json"));
        let report: serde_json::Value = serde_json::from_str(&run.out).unwrap();
        check_report(&report);
        check_part(&report["validation"]);
        assert!(report["split"]["train"].is_object() && report["split"]["test"].is_object());
    }
}

#[test]
fn evaluate_reports_in_the_same_shape() {
    let (place, _) = shop();
    let run = place.ok("evaluate --model out/model.ogm --state out/state.ogs --data new.csv --json");
    let report: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    check_report(&report);
    assert!(report["validation"].is_null());
    assert_eq!(report["timing"]["fit"], 0.0);
    let trained = place.json("out/report.json");
    assert_eq!(report["threshold"]["raw_score"], trained["threshold"]["raw_score"]);
    assert_eq!(report["schema_version"], trained["schema_version"]);
    assert_eq!(place.files("").len(), 9, "evaluate writes no file");
}

#[test]
fn scores_come_in_the_order_of_the_input() {
    let (place, new) = shop();
    let shuffled = new.shuffled();
    place.write("shuffled.csv", shuffled.csv());
    let run = place.ok("score --model out/model.ogm --state out/state.ogs --data shuffled.csv");
    let scored = run.cells();
    assert_eq!(scored[0], ["line", "order_id", "raw_score", "probability", "decision"]);
    assert_eq!(scored.len(), 501);
    let threshold = place.json("out/report.json")["threshold"]["raw_score"].as_f64().unwrap();
    for (i, (row, order)) in scored[1..].iter().zip(&shuffled.rows).enumerate() {
        assert_eq!((row[0].as_str(), &row[1]), ((i + 2).to_string().as_str(), &order[0]));
        let (raw, probability): (f64, f64) = (row[2].parse().unwrap(), row[3].parse().unwrap());
        assert!(probability > 0.0 && probability < 1.0);
        assert_eq!(row[4] != "approve", raw >= threshold, "{row:?}");
    }
    // The same orders, wherever they stand, have the same scores.
    let by_id = |csv: &str| {
        let mut rows: Vec<Vec<String>> = cells(csv).into_iter().skip(1).map(|row| row[1..].to_vec()).collect();
        rows.sort();
        rows
    };
    let plain = place.ok("score --model out/model.ogm --state out/state.ogs --data new.csv");
    assert_eq!(by_id(&plain.out), by_id(&run.out));
    place.ok("score --model out/model.ogm --state out/state.ogs --data shuffled.csv -o scores.csv");
    assert_eq!(place.text("scores.csv"), run.out);
}

#[test]
fn rejected_rows_keep_their_place() {
    let (place, mut new) = shop();
    let (time, amount) = (new.column("order_time"), new.column("amount"));
    new.rows[0][time] = "soon".into();
    new.rows[7][amount] = "a lot".into();
    let mut csv = new.part(0..20).csv();
    csv += "only,three,fields\n";
    csv += new.part(20..100).csv().split_once('\n').unwrap().1;
    csv += "\"never closed,2024-02-20T10:00:00Z\n";
    place.write("bad.csv", csv);
    let run = place.ok("score --model out/model.ogm --state out/state.ogs --data bad.csv --max-rejected 5%");
    let scored = run.cells();
    let error = |row: &&Vec<String>| row[4] == "error";
    let rejected: Vec<&str> = scored.iter().filter(error).map(|row| row[0].as_str()).collect();
    assert_eq!(rejected, ["2", "9", "22", "103"]);
    for row in scored.iter().filter(error) {
        assert_eq!(row[1..], ["", "", "", "error"]);
    }
    let lines: Vec<u64> = scored[1..].iter().map(|row| row[0].parse().unwrap()).collect();
    assert_eq!(lines, (2..=103).collect::<Vec<_>>());
    for words in
        ["bad.csv: line 2: column \"order_time\"", "line 9: column \"amount\"", "line 22: expected 9 fields, found 3"]
    {
        run.says(words);
    }
    let says = ["4 of 102 rows cannot be read, at most 1 may; the first: bad.csv: line 2"];
    place.fails(
        "score --model out/model.ogm --state out/state.ogs --data bad.csv -o s.csv --save-state s.ogs",
        1,
        &says,
    );
    assert!(!place.path("s.csv").exists() && !place.path("s.ogs").exists());
}

#[test]
fn scores_of_several_files_follow_one_another() {
    let (place, new) = shop();
    place.write("parts/1.csv", new.part(0..200).csv());
    place.write("parts/2.csv.gz", crate::harness::gzip(new.part(200..500).csv().as_bytes()));
    let whole = place.ok("score --model out/model.ogm --state out/state.ogs --data new.csv").cells();
    let parts = place.ok("score --model out/model.ogm --state out/state.ogs --data parts").cells();
    assert_eq!(parts.len(), whole.len());
    for (i, (part, whole)) in parts.iter().zip(&whole).enumerate().skip(1) {
        assert_eq!(part[1..], whole[1..]);
        let line = if i <= 200 { i + 1 } else { i - 199 };
        assert_eq!(part[0], line.to_string());
    }
}

#[test]
fn without_an_id_column_there_is_none_in_the_scores() {
    let place = Place::new();
    let table = Table::narrow(1_300).without(&["order_id"]);
    place.write("a.csv", table.csv());
    place.ok("train --data a.csv --out out --trees 5");
    let scored = place.ok("score --model out/model.ogm --cold-start --data a.csv").cells();
    assert_eq!(scored[0], ["line", "raw_score", "probability", "decision"]);
    assert!(scored.iter().all(|row| row.len() == 4));
    let mut broken = table.part(0..150);
    broken.rows[3][0] = "soon".into();
    place.write("b.csv", broken.csv());
    let scored = place.ok("score --model out/model.ogm --cold-start --data b.csv").cells();
    assert_eq!(scored[4], ["5", "", "", "error"]);
}

#[test]
fn the_id_column_is_named_as_in_the_input() {
    let place = Place::new();
    let table = Table::narrow(1_300).renamed("order_id", "Transaction, ID");
    place.write("a.csv", table.csv());
    place.ok("train --data a.csv --out out --trees 5");
    let run = place.ok("score --model out/model.ogm --cold-start --data a.csv");
    assert!(run.out.starts_with("line,\"Transaction, ID\",raw_score,probability,decision\n2,"), "{}", &run.out[..80]);
}

#[test]
fn history_is_asked_for() {
    let (place, _) = shop();
    let says = ["--state FILE", "--history FILE", "--cold-start"];
    place.fails("score --model out/model.ogm --data new.csv -o s.csv", 2, &says);
    place.fails("evaluate --model out/model.ogm --data new.csv", 2, &says);
    assert!(!place.path("s.csv").exists());
    place.ok("score --model out/model.ogm --data new.csv -o s.csv --cold-start");
}

#[test]
fn a_model_without_history_needs_none() {
    let place = Place::new();
    place.write("a.csv", Table::narrow(1_300).without(&["order_time", "label_time", "order_id"]).csv());
    place.ok("train --data a.csv --out out --trees 5");
    assert_eq!(place.ok("score --model out/model.ogm --data a.csv").cells().len(), 1_301);
    place.ok("evaluate --model out/model.ogm --data a.csv");
}

/// The report of an evaluation without what differs between runs.
fn figures(run: &Run) -> serde_json::Value {
    let mut report: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    report["timing"].take();
    report
}

#[test]
fn history_from_orders_equals_history_from_a_state() {
    let (place, _) = shop();
    place.ok("score --model out/model.ogm --cold-start --data old.csv --save-state learned.ogs -o old-scores.csv");
    assert!(place.read("learned.ogs") == place.read("out/state.ogs"), "train and score learn the same history");
    let evaluate = "evaluate --model out/model.ogm --data new.csv --json";
    let by_history = place.ok(&format!("{evaluate} --history old.csv"));
    let by_state = place.ok(&format!("{evaluate} --state learned.ogs"));
    assert_eq!(figures(&by_history), figures(&by_state));
    let cold = place.ok(&format!("{evaluate} --cold-start"));
    assert_ne!(figures(&by_history)["test"], figures(&cold)["test"], "history makes a difference");
    let score = "score --model out/model.ogm --data new.csv";
    let by_history = place.ok(&format!("{score} --history old.csv --save-state h.ogs"));
    let by_state = place.ok(&format!("{score} --state learned.ogs --save-state s.ogs"));
    assert_eq!(by_history.out, by_state.out);
    assert!(place.read("h.ogs") == place.read("s.ogs"));
}

/// Scores in one go and in two halves, the second from the state that the first left.
#[track_caller]
pub(crate) fn halves_equal_the_whole(place: &Place, new: &Table, cut: usize) {
    place.write("whole.csv", new.csv());
    place.write("first.csv", new.part(0..cut).csv());
    place.write("second.csv", new.part(cut..new.rows.len()).csv());
    let score = "score --model out/model.ogm";
    let whole = place.ok(&format!("{score} --state out/state.ogs --data whole.csv --save-state whole.ogs")).cells();
    let first = place.ok(&format!("{score} --state out/state.ogs --data first.csv --save-state half.ogs")).cells();
    let second = place.ok(&format!("{score} --state half.ogs --data second.csv --save-state end.ogs")).cells();
    let halves: Vec<&[String]> = first[1..].iter().chain(&second[1..]).map(|row| &row[1..]).collect();
    let whole: Vec<&[String]> = whole[1..].iter().map(|row| &row[1..]).collect();
    let differing = whole.iter().zip(&halves).filter(|(a, b)| a != b).count();
    assert_eq!(differing, 0, "of {} scores", whole.len());
    assert_eq!(halves.len(), whole.len());
    assert!(place.read("whole.ogs") == place.read("end.ogs"), "the states differ");
}

#[test]
fn scoring_in_two_halves_equals_scoring_at_once() {
    let (place, new) = shop();
    let unlabelled = new.without(&["label", "label_time"]);
    for cut in [1, 250, 499] {
        halves_equal_the_whole(&place, &unlabelled, cut);
    }
}

#[test]
fn a_report_is_shown_again_as_a_page_and_as_charts() {
    let (place, _) = shop();
    let trained = place.ok("train --data old.csv --trees 5 --out out");
    assert_eq!(place.ok("report out/report.json").out, trained.out, "the same text as at the end of training");
    place.ok("report out/report.json --html page.html --charts charts");
    let page = place.text("page.html");
    assert_eq!(page, place.text("out/report.html"));
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("id=\"threshold-table\""));
    let charts = place.files("charts");
    assert!(charts.contains(&"charts/precision-recall.svg".to_owned()) && charts.len() >= 5, "{charts:?}");
    for chart in charts {
        assert!(place.text(&chart).starts_with("<svg "), "{chart}");
    }
    place.fails("report out/report.json --html out/report.json", 2, &["would overwrite", "REPORT"]);
    place.write("other.json", "{\"schema_version\": 1");
    place.fails("report other.json", 1, &["other.json: report, line 1"]);
    place.write("bytes.json", [0xff, 0xfe]);
    place.fails("report bytes.json", 1, &["bytes.json", "UTF-8"]);
    place.fails("report nothing.json", 2, &["cannot read nothing.json"]);
}
