//! Looking into histories, erasing from them, and keeping them in a database.

use crate::harness::{Place, Table};

const MODEL: &str = "--model out/model.ogm";

/// `a.csv` and `b.csv`, a model of the first in `out`, and a customer who has orders in it.
fn shop() -> (Place, String) {
    let place = Place::new();
    let table = Table::narrow(1_200);
    place.write("a.csv", table.part(0..900).csv());
    place.write("b.csv", table.part(900..1_200).csv());
    place.ok("train --data a.csv --out out --trees 3");
    let customer = table.column("customer_id");
    let last = table.part(0..900).rows[899][customer].clone();
    (place, last)
}

#[test]
fn a_history_says_how_large_it_is() {
    let (place, _) = shop();
    let text = place.ok(&format!("state show out/state.ogs {MODEL}")).out;
    assert!(text.starts_with("900 orders, 0 other events and ") && text.contains("customer_id"), "{text}");
    let json: serde_json::Value =
        serde_json::from_str(&place.ok(&format!("state show out/state.ogs {MODEL} --json")).out).unwrap();
    let entities = json["entities"].as_array().unwrap();
    let parts = entities.iter().map(|entity| entity["bytes"].as_u64().unwrap()).sum::<u64>();
    assert!(entities.iter().all(|entity| entity["n"].as_u64().unwrap() > 0) && parts > 0);
    assert!(json["bytes"].as_u64().unwrap() > parts, "orders take room as well");
}

#[test]
fn somebody_is_looked_up_and_erased() {
    let (place, customer) = shop();
    let export = |subject: &str| -> serde_json::Value {
        let run = place.ok(&format!("state export out/state.ogs {MODEL} --subject {subject}"));
        assert!(!run.out.contains(&customer), "no identifier is repeated: {}", run.out);
        serde_json::from_str(&run.out).unwrap()
    };
    let subject = format!("customer={customer}");
    let held = export(&subject);
    assert!(!held["histories"].as_array().unwrap().is_empty() && !held["orders"].as_array().unwrap().is_empty());
    assert_eq!(export(&format!("customer_id={customer}")), held);

    let before = place.read("out/state.ogs");
    let run = place.ok(&format!("state forget out/state.ogs {MODEL} --subject customer=nobody"));
    assert_eq!(run.out, "customer: nothing is held\n");
    assert!(place.read("out/state.ogs") == before);
    let run = place.ok(&format!("state forget out/state.ogs {MODEL} --subject {subject}"));
    assert!(run.out.starts_with("customer: removed ") && !run.out.contains(&customer), "{}", run.out);
    let after = export(&subject);
    assert_eq!((&after["histories"], &after["orders"]), (&serde_json::json!([]), &serde_json::json!([])));
    place.ok(&format!("score {MODEL} --state out/state.ogs --data b.csv"));
    let again = place.ok(&format!("state forget out/state.ogs {MODEL} --subject {subject} --json"));
    assert!(again.out.contains("\"n_histories\": 0"), "{}", again.out);
}

#[test]
fn unknown_subjects_and_files_are_refused() {
    let (place, _) = shop();
    let before = place.files("");
    place.fails(&format!("state export out/state.ogs {MODEL} --subject merchant=m-1"), 2, &["customer_id", "merchant"]);
    place.fails(&format!("state export out/state.ogs {MODEL} --subject customer"), 2, &["customer=c-17"]);
    place.fails(&format!("state show none.ogs {MODEL}"), 2, &["none.ogs"]);
    place.fails(&format!("state show none.redb {MODEL}"), 2, &["none.redb"]);
    place.fails(&format!("state show out/model.ogm {MODEL}"), 1, &["out/model.ogm"]);
    assert_eq!(place.files(""), before);
}

#[test]
fn a_database_holds_the_same_history_as_a_file() {
    let (place, customer) = shop();
    place.ok(&format!("score {MODEL} --state out/state.ogs --data b.csv -o file.csv --save-state file.ogs"));
    place.ok(&format!("score {MODEL} --state out/state.ogs --data b.csv -o first.csv --save-state s.redb"));
    assert!(place.read("first.csv") == place.read("file.csv"));
    place.ok(&format!("score {MODEL} --state s.redb --data b.csv -o second.csv --save-state copy.ogs"));
    place.ok(&format!("score {MODEL} --state file.ogs --data b.csv -o third.csv --save-state s.redb"));
    assert!(place.read("second.csv") == place.read("third.csv"));
    let show = |file: &str| place.ok(&format!("state show {file} {MODEL}")).out;
    assert_eq!(show("s.redb").lines().next(), show("copy.ogs").lines().next());
    place.ok(&format!("state forget s.redb {MODEL} --subject customer={customer}"));
    let export = place.ok(&format!("state export s.redb {MODEL} --subject customer={customer}")).out;
    assert!(export.contains("\"histories\": []"), "{export}");
    place.write("bad.redb", "this is no database");
    place.fails(&format!("score {MODEL} --state bad.redb --data b.csv"), 1, &["bad.redb"]);
    place.fails(&format!("score {MODEL} --state out/state.ogs --data b.csv --save-state bad.redb"), 1, &["bad.redb"]);
    assert_eq!(place.text("bad.redb"), "this is no database");
}
