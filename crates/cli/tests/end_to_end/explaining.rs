//! Why an order has its score, in words.

use crate::contracts::shop;
use crate::harness::cells;

#[test]
fn reasons_of_an_order_add_up_to_its_score() {
    let (place, table) = shop();
    let scores = place.ok("score --model out/model.ogm --state out/state.ogs --data new.csv").cells();
    let column = |name: &str| scores[0].iter().position(|cell| cell == name).unwrap();
    let number = |row: &[String], name: &str| row[column(name)].parse::<f64>().unwrap();
    let highest = scores[1..].iter().max_by(|a, b| number(a, "raw_score").total_cmp(&number(b, "raw_score"))).unwrap();
    let id = &highest[column("order_id")];
    let explain = format!("explain --model out/model.ogm --state out/state.ogs --data new.csv --order {id}");
    let run = place.ok(&format!("{explain} --json --reasons 3 --svg why.svg"));
    let found: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(found["raw_score"].as_f64().unwrap(), number(highest, "raw_score"));
    let reasons = found["reasons"].as_array().unwrap();
    assert_eq!(reasons.len(), 3);
    for unit in ["log_odds", "probability"] {
        let sum = reasons.iter().map(|reason| reason[unit].as_f64().unwrap()).sum::<f64>()
            + found["others"][unit].as_f64().unwrap();
        let key = if unit == "log_odds" { "raw_score" } else { unit };
        let way = found[key].as_f64().unwrap() - found["expected"][key].as_f64().unwrap();
        assert!((sum - way).abs() < 1e-9, "{unit}: {sum} {way}");
    }
    let parts: f64 =
        found["features"].as_array().unwrap().iter().map(|feature| feature["log_odds"].as_f64().unwrap()).sum();
    let way = found["raw_score"].as_f64().unwrap() - found["expected"]["raw_score"].as_f64().unwrap();
    assert!((parts - way).abs() < 1e-9);
    let words = reasons[0]["text"].as_str().unwrap();
    let svg = place.text("why.svg");
    assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n") && svg.contains(id.as_str()));
    assert!(place.ok(&explain).out.contains(words));
    let polish = place.ok(&format!("{explain} --language pl")).out;
    assert!(polish.contains("prawdopodobieństwo oszustwa") && !polish.contains(words), "{polish}");
    assert!(table.csv().contains(id.as_str()));

    place.fails(&explain.replace(id.as_str(), "nobody's"), 1, &["new.csv: no order has the id"]);
    place.fails(&format!("{explain} --language de"), 2, &["en, pl"]);
}

#[test]
fn words_can_be_edited() {
    let (place, _) = shop();
    let printed = place.ok("reasons --model out/model.ogm").out;
    assert!(printed.contains("feature = \"amount\"") && printed.contains("kwota zamówienia"), "{printed}");
    // What is printed is what is there.
    place.write("same.toml", &printed);
    let run = place.ok("reasons --model out/model.ogm --set same.toml -o same.ogm");
    assert!(run.err.contains("words of 0 features changed"), "{}", run.err);
    assert_eq!(place.read("same.ogm"), place.read("out/model.ogm"));

    let edit = "[[reason]]\nfeature = \"amount\"\ngroup = \"money\"\nenglish = { text = \"costs {value}!\" }\n";
    place.write("edit.toml", edit);
    place.ok("reasons --model out/model.ogm --set edit.toml -o edited.ogm");
    assert!(place.ok("reasons --model edited.ogm").out.contains("costs {value}!"));
    let score = |model: &str| place.ok(&format!("score --model {model} --state out/state.ogs --data new.csv")).out;
    assert_eq!(cells(&score("edited.ogm")), cells(&score("out/model.ogm")));

    for (text, says) in [
        (edit.replace("{value}", "{price}"), "byte 6: expected {value}"),
        (edit.replace("amount", "amounts"), "reason 0: expected feature, one of the model's"),
        (edit.replace("text", "words"), "expected text, no, first_seen and missing"),
        ("a = 1".into(), "expected entries [[reason]]"),
        ("[[reason".into(), "bad.toml"),
    ] {
        place.write("bad.toml", text);
        place.fails("reasons --model out/model.ogm --set bad.toml -o bad.ogm", 1, &[says]);
    }
}
