//! Streams: other events than orders, in the same file or in files of their own, and labels that come as events.

use std::fmt::Write;

use serde_json::Value;

use crate::harness::{Place, Table};

const TRAIN: &str = "train --out out --trees 10";

fn notes(report: &Value) -> Vec<&str> {
    report["notes"].as_array().unwrap().iter().map(|note| note.as_str().unwrap()).collect()
}

#[track_caller]
fn has_note(report: &Value, words: &str) {
    assert!(notes(report).iter().any(|note| note.contains(words)), "expected {words:?} in {:?}", notes(report));
}

/// Orders without labels, and their frauds as rows of order id and time.
fn orders_and_frauds(n: usize) -> (Table, Table) {
    let table = Table::narrow(n);
    let mut frauds = table.select(&["order_id", "label_time", "label"]).renamed("label_time", "order_time");
    frauds.rows.retain(|row| row[2] == "1");
    (table.without(&["label", "label_time"]), frauds.select(&["order_id", "order_time"]))
}

#[test]
fn chargebacks_as_events_are_labels_like_a_list_of_them() {
    let (orders, frauds) = orders_and_frauds(1_500);
    let place = Place::new();
    place.write("orders.csv", orders.csv());
    place.write("chargebacks.csv", frauds.csv());
    let list = frauds.renamed("order_time", "label_time").with("fraud", |_, _| "1".into());
    place.write("labels.csv", list.csv());
    place.ok(&format!("{TRAIN} --data orders.csv --labels labels.csv"));
    let by_list = place.json("out/report.json");
    let run = place.ok(&format!("{TRAIN} --data orders.csv --events chargeback=chargebacks.csv"));
    let by_events = place.json("out/report.json");
    assert!(run.out.contains("chargeback; ") || run.out.contains("are labels"), "{}", run.out);
    for member in ["n_fraud", "n_unlabelled", "n_accepted", "from", "until", "amounts"] {
        assert_eq!(by_events["data"][member], by_list["data"][member], "{member}");
    }
    for part in ["train", "validation", "test", "gaps"] {
        assert_eq!(by_events["split"][part], by_list["split"][part], "{part}");
    }
    let events = &by_events["data"]["events"];
    let n = frauds.rows.len();
    assert_eq!((&events["kinds"]["chargeback"], &events["n_labels"]), (&n.into(), &n.into()));
    assert_eq!((&events["n_labels_matched"], &events["n_repeated"]), (&n.into(), &0.into()));
    assert_eq!((&by_events["data"]["labels"], &by_list["data"]["events"]), (&Value::Null, &Value::Null));
    has_note(&by_events, "chargebacks and reports among the events are the labels");
    assert!(place.text("out/schema.toml").contains("role = \"event\""));

    // The same for a finished model; what is scored are the orders alone.
    let model = "--model out/model.ogm --cold-start --data orders.csv";
    let test = |more: &str| {
        let run = place.ok(&format!("evaluate {model} --json {more}"));
        serde_json::from_str::<Value>(&run.out).unwrap()["test"].take()
    };
    assert_eq!(test("--events chargeback=chargebacks.csv")["n_fraud"], test("--labels labels.csv")["n_fraud"]);
    place.write("bad.csv", "order_id,order_time\n1,never\n");
    let scored = place.ok(&format!("score {model} --events chargeback=chargebacks.csv login=bad.csv"));
    assert_eq!(scored.cells().len(), 1_501);
    assert!(!scored.out.contains("error"), "a bad event is no order");
}

#[test]
fn one_file_of_all_kinds_equals_files_of_each() {
    let (orders, frauds) = orders_and_frauds(1_500);
    let place = Place::new();
    let logins = orders.select(&["order_time", "customer_id"]);
    place.write("orders.csv", orders.csv());
    place.write("logins.jsonl", logins.json_lines(&[]));
    place.write("chargebacks.csv", frauds.csv());
    place.ok(&format!("{TRAIN} --data orders.csv --events login=logins.jsonl chargeback=chargebacks.csv"));
    let apart = place.json("out/report.json");

    let mut all = orders.with("event", |i, _| ["order", "", "Order"][i % 3].into());
    for (kind, table) in [("login", &logins), ("chargeback", &frauds)] {
        for row in &table.rows {
            let cell = |name: &String| match name.as_str() {
                "event" => kind.to_owned(),
                name => table.header.iter().position(|of| of == name).map_or(String::new(), |i| row[i].clone()),
            };
            all.rows.push(all.header.iter().map(cell).collect());
        }
    }
    place.write("all.csv", all.shuffled().csv());
    place.ok(&format!("{TRAIN} --data all.csv"));
    let together = place.json("out/report.json");
    for member in ["n_fraud", "n_unlabelled", "n_accepted", "n_rows", "n_rejected", "hash", "events"] {
        assert_eq!(together["data"][member], apart["data"][member], "{member}");
    }
    assert_eq!(together["test"], apart["test"]);
    assert_eq!(together["split"], apart["split"]);
    assert_eq!(together["data"]["events"]["kinds"]["login"], 1_500);
}

#[test]
fn events_that_cannot_be_are_rejected_or_do_nothing() {
    let (orders, frauds) = orders_and_frauds(1_500);
    let place = Place::new();
    let of_first = |column: &str| orders.rows[0][orders.column(column)].clone();
    let honest = |at: usize| {
        let ids: Vec<&String> = orders.rows.iter().map(|row| &row[orders.column("order_id")]).collect();
        let is_fraud = |id: &&&String| frauds.rows.iter().any(|row| row[0] == ***id);
        (*ids.iter().filter(|id| !is_fraud(id)).nth(at).unwrap()).clone()
    };
    let long = "x".repeat(1_000_000);
    let mut text = String::from("event_id,event,order_id,order_time,known_at,customer_id\n");
    for (i, row) in frauds.rows.iter().enumerate() {
        writeln!(text, "c{i},chargeback,{},{},,", row[0], row[1]).unwrap();
    }
    // Known before it happened; known years ahead; before 1970; an id and a customer of a million characters.
    writeln!(text, "p1,login,,{},2001-01-01,c1", of_first("order_time")).unwrap();
    writeln!(text, "p2,login,,{},2099-01-01,c1", of_first("order_time")).unwrap();
    writeln!(text, "p3,signup,,1905-06-01 12:00:00,,c1").unwrap();
    writeln!(text, "{long},login,{long},2024-02-01 12:00:00,,{long}").unwrap();
    // A chargeback long before its order, one of no order, one without an order, and one that is told twice.
    writeln!(text, "p4,chargeback,{},1999-01-01,,", honest(0)).unwrap();
    writeln!(text, "p5,chargeback,nobody,2024-02-01,,").unwrap();
    writeln!(text, "p6,abuse_report,,2024-02-01,,").unwrap();
    writeln!(text, "p5,chargeback,{},2024-02-20,,", honest(1)).unwrap();
    // Bad rows: no kind that is known, none at all, no time, too early.
    writeln!(text, "q1,page_view,,2024-02-01,,").unwrap();
    writeln!(text, "q2,,,2024-02-01,,").unwrap();
    writeln!(text, "q3,login,,,,").unwrap();
    writeln!(text, "q4,login,,1850-01-01,,").unwrap();
    place.write("orders.csv", orders.csv());
    place.write("events.csv", &text);
    place.ok(&format!("{TRAIN} --data orders.csv --events events.csv"));
    let report = place.json("out/report.json");
    let n = frauds.rows.len();
    assert_eq!(report["data"]["n_fraud"], n);
    assert_eq!(report["data"]["n_rejected"], 4);
    let reasons: Vec<&str> =
        report["rejections"]["first"].as_array().unwrap().iter().map(|r| r["reason"].as_str().unwrap()).collect();
    let expected = ["expected a kind of event", "expected a value (event)", "expected a value (time)", "time"];
    for (reason, words) in reasons.iter().zip(expected) {
        assert!(reason.contains(words), "{reason}");
    }
    let lines: Vec<u64> =
        report["rejections"]["first"].as_array().unwrap().iter().map(|r| r["line"].as_u64().unwrap()).collect();
    let first = n as u64 + 10;
    assert_eq!(lines, [first, first + 1, first + 2, first + 3]);
    let events = &report["data"]["events"];
    assert_eq!((&events["n_repeated"], &events["n_labels"]), (&1.into(), &(n + 3).into()));
    assert_eq!(events["n_labels_matched"], n);
    has_note(&report, "1 rows were known before they happened");
    has_note(&report, "rows were known 90d after they happened or later");
    let until = report["data"]["until"].as_str().unwrap();
    assert!(until.starts_with("2024"), "the clock that jumped is not the end of the data: {until}");
    let columns = report["schema"]["columns"].as_array().unwrap();
    let role = |name: &str| &columns.iter().find(|c| c["name"] == name).unwrap()["role"];
    assert_eq!(
        (role("event_id"), role("event"), role("known_at")),
        (&"event_id".into(), &"event".into(), &"known_at".into())
    );
    assert!(!place.text("out/report.json").contains("xxxx"));
}

#[test]
fn reversals_and_labels_of_the_orders_go_together() {
    let table = Table::narrow(1_500);
    let place = Place::new();
    place.write("orders.csv", table.csv());
    let [id, label, label_time] = ["order_id", "label", "label_time"].map(|name| table.column(name));
    let frauds: Vec<&Vec<String>> =
        table.rows.iter().filter(|row| row[label] == "1" && !row[label_time].is_empty()).collect();
    let honest = table.rows.iter().find(|row| row[label] == "0").unwrap();
    // Two frauds are taken back, and an order that was called honest turns out to be one.
    let events = format!(
        "event,order_id,order_time,label\nchargeback,{},2025-01-01,0\nabuse_report,{},2025-01-01,no\nchargeback,{},2025-01-01,\n",
        frauds[0][id], frauds[1][id], honest[id]
    );
    place.write("events.csv", events);
    place.ok(&format!("{TRAIN} --data orders.csv"));
    let before = place.json("out/report.json")["data"]["n_fraud"].as_u64().unwrap();
    place.ok(&format!("{TRAIN} --data orders.csv --events events.csv"));
    let report = place.json("out/report.json");
    assert_eq!(report["data"]["n_fraud"].as_u64().unwrap(), before - 1);
    has_note(
        &report,
        "3 events that are labels: 3 matched an order, 0 did not, 0 empty, 0 orders with conflicting ones, 3 changed",
    );
}

#[test]
fn events_of_the_history_belong_to_it() {
    let (orders, frauds) = orders_and_frauds(1_500);
    let place = Place::new();
    place.write("orders.csv", orders.csv());
    place.write("chargebacks.csv", frauds.csv());
    place.ok(&format!("{TRAIN} --data orders.csv --events chargeback=chargebacks.csv"));
    place.write("old.csv", orders.part(0..1_200).csv());
    place.write("new.csv", orders.part(1_200..1_500).csv());
    let cut = &orders.rows[1_199][orders.column("order_time")];
    let n_after = frauds.rows.iter().filter(|row| row[1] > *cut).count();
    assert!(n_after > 0 && n_after < frauds.rows.len());
    let run = place.ok(
        "evaluate --model out/model.ogm --history old.csv --data new.csv --events chargeback=chargebacks.csv --json",
    );
    let report: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(report["data"]["events"]["kinds"]["chargeback"], n_after);
}

#[test]
fn a_state_does_not_learn_its_events_again() {
    let (orders, frauds) = orders_and_frauds(1_500);
    let logins = orders.select(&["order_time", "customer_id"]);
    let time = orders.column("order_time");
    let cut = &orders.rows[1_199][time];
    let mut old_frauds = frauds.clone();
    old_frauds.rows.retain(|row| row[1] <= *cut);
    let place = Place::new();
    for (name, table) in [
        ("old.csv", &orders.part(0..1_200)),
        ("new.csv", &orders.part(1_200..1_500)),
        ("logins.csv", &logins),
        ("old-logins.csv", &logins.part(0..1_200)),
        ("new-logins.csv", &logins.part(1_200..1_500)),
        ("frauds.csv", &old_frauds),
    ] {
        place.write(name, table.csv());
    }
    place.ok(&format!("{TRAIN} --data old.csv --events login=old-logins.csv chargeback=frauds.csv"));
    let score = |logins: &str, state: &str| {
        let model = "--model out/model.ogm --state out/state.ogs --data new.csv";
        place.ok(&format!("score {model} --events login={logins} --save-state {state}"))
    };
    let (all, newer) = (score("logins.csv", "all.ogs"), score("new-logins.csv", "newer.ogs"));
    assert_eq!(all.out, newer.out);
    assert!(place.read("all.ogs") == place.read("newer.ogs"), "what was known is learned once");
    all.says("1200 of 1500 events were known by ");
    assert!(!newer.err.contains("were known by"), "{}", newer.err);
    // The labels among them are still those of the orders.
    let run = place.ok(
        "evaluate --model out/model.ogm --state out/state.ogs --data old.csv --events chargeback=frauds.csv --json",
    );
    let report: Value = serde_json::from_str(&run.out).unwrap();
    has_note(&report, &format!("{0} of {0} events were known by ", old_frauds.rows.len()));
    assert_eq!(report["data"]["n_fraud"], old_frauds.rows.len());
}

#[test]
fn events_without_orders_are_refused_by_a_given_schema_too() {
    let (orders, _) = orders_and_frauds(60);
    let place = Place::new();
    place.write("orders.csv", orders.with("event", |i, _| if i == 0 { "order" } else { "login" }.into()).csv());
    place.write("logins.csv", orders.with("event", |_, _| "login".into()).csv());
    place.ok("schema --data orders.csv -o schema.toml");
    place.fails("train --out out --data logins.csv --schema schema.toml", 1, &["found 60 other events", "no order"]);
}

#[test]
fn files_of_events_must_say_what_they_hold() {
    let (orders, frauds) = orders_and_frauds(600);
    let place = Place::new();
    place.write("orders.csv", orders.csv());
    place.write("e.csv", frauds.csv());
    place.write("f.csv", frauds.renamed("order_time", "when").csv());
    let train = format!("{TRAIN} --data orders.csv --events");
    place.fails(&format!("{train} chargebacks=e.csv"), 2, &["payment_failed", "chargeback"]);
    place.fails(&format!("{train} order=e.csv"), 2, &["--data"]);
    place.fails(&format!("{train} chargeback=none.csv"), 2, &["none.csv"]);
    place.fails(&format!("{train} chargeback=f.csv"), 1, &["f.csv", "order_time", "named as in the orders"]);
    place.fails(&format!("{train} chargeback=e.csv e.csv"), 1, &["e.csv", "KIND=FILE"]);
    place.fails(&format!("{train} login=e.csv"), 1, &["label"]);
}
