//! The live path beside the replay.

use crate::harness::{Place, Table};

fn checked(place: &Place, options: &str) -> serde_json::Value {
    let run = place.ok(&format!("replay-check {options} --json"));
    let json: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!((&json["n_different"], &json["n_refused"], &json["same_state"]), (&0.into(), &0.into(), &true.into()));
    json
}

#[test]
fn a_stream_with_all_events_is_the_same_live() {
    let place = Place::new();
    place.ok("simulate --orders 1500 --days 60 --fraud-share 6% --seed 3 -o s.csv");
    let json = checked(&place, "--data s.csv");
    let n = |name: &str| json[name].as_u64().unwrap();
    assert!(n("n_orders") == 1_500 && n("n_events") > 1_500 && n("n_labels") > 50 && n("n_features") > 60, "{json}");
    assert_eq!(n("n_cells"), n("n_orders") * n("n_features"));
    let text = place.ok("replay-check --data s.csv").out;
    assert!(text.contains("cells that differ: 0 of ") && text.contains("history afterwards: the same "), "{text}");
}

#[test]
fn events_of_one_millisecond_are_the_same_live() {
    let place = Place::new();
    place.ok("simulate --orders 600 --days 30 --fraud-share 6% --seed 4 -o s.csv");
    let text = place.text("s.csv");
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let rows = reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect();
    let mut table = Table { header, rows };
    let time = table.column("event_time");
    for row in &mut table.rows {
        // Whole days: dozens of events share each millisecond.
        row[time].truncate(10);
    }
    place.write("days.csv", table.csv());
    let json = checked(&place, "--data days.csv");
    assert_eq!(json["n_orders"], 600);
}

#[test]
fn orders_without_ids_are_checked_without_labels() {
    let place = Place::new();
    place.write("a.csv", Table::narrow(800).without(&["order_id"]).csv());
    place.ok("replay-check --data a.csv").says("checked without labels");
    let json = checked(&place, "--data a.csv");
    assert_eq!(json["n_labels"], 0);
}

#[test]
fn a_model_goes_on_from_its_state() {
    let table = Table::narrow(1_200);
    let place = Place::new();
    place.write("a.csv", table.part(0..900).csv());
    place.write("b.csv", table.part(900..1_200).csv());
    place.ok("train --data a.csv --out out --trees 3");
    let json = checked(&place, "--data b.csv --model out/model.ogm --state out/state.ogs");
    assert_eq!(json["n_orders"], 300);
    checked(&place, "--data b.csv --model out/model.ogm --history a.csv");
    place.fails("replay-check --data b.csv --model out/model.ogm", 2, &["--cold-start"]);
}
