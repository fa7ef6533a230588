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
    // Nothing of it is English, not even the decision or a decimal point.
    for word in ["approve", "challenge", "review", "decline", "usually", "order ", "threshold", " of ", "seen"] {
        assert!(!polish.contains(word), "{word}: {polish}");
    }
    let digits = |pair: &[u8]| pair[0].is_ascii_digit() && pair[1] == b'.' && pair[2].is_ascii_digit();
    assert!(!polish.as_bytes().windows(3).any(digits), "{polish}");
    place.ok(&format!("{explain} --language pl --svg dlaczego.svg"));
    let svg = place.text("dlaczego.svg");
    assert!(!svg.contains("review") && !svg.contains("decline") && svg.contains("średni wynik"), "{svg}");
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
    let printed = place.ok("reasons --model edited.ogm").out;
    assert!(printed.contains("costs {value}!"));
    // What is not named stays: the words for a missing amount, and the Polish ones.
    let amount = printed.split("[[reason]]").find(|entry| entry.contains("feature = \"amount\"")).unwrap();
    assert!(amount.contains("missing = \"not known") && amount.contains("kwota zamówienia"), "{amount}");
    place.write("clear.toml", "[[reason]]\nfeature = \"amount\"\nenglish = { missing = \"\" }\n");
    place.ok("reasons --model edited.ogm --set clear.toml -o cleared.ogm");
    let printed = place.ok("reasons --model cleared.ogm").out;
    let amount = printed.split("[[reason]]").find(|entry| entry.contains("feature = \"amount\"")).unwrap();
    assert!(!amount.contains("not known") && amount.contains("costs {value}!"), "{amount}");
    let score = |model: &str| place.ok(&format!("score --model {model} --state out/state.ogs --data new.csv")).out;
    assert_eq!(cells(&score("edited.ogm")), cells(&score("out/model.ogm")));

    for (text, says) in [
        (
            edit.replace("{value}", "{price}"),
            "bad.toml, line 4: feature \"amount\", english, text: byte 6: expected {value}",
        ),
        (
            edit.replace("amount", "amounts"),
            "bad.toml, line 2: expected a feature of the model, found \"amounts\"; did you mean \"amount\"?",
        ),
        (edit.replace("text", "words"), "bad.toml, line 4: expected text, no, first_seen or missing, found words"),
        (edit.replace("\"money\"", "\"\""), "bad.toml, line 3: feature \"amount\": group: expected 1 to 1000 bytes"),
        ("a = 1".into(), "bad.toml, line 1: expected entries [[reason]]"),
        ("\n[[reason".into(), "bad.toml, line 2: "),
        ("[[reason]]\ngroup = \"x\"".into(), "bad.toml, line 1: reason: expected feature, found none"),
    ] {
        place.write("bad.toml", text);
        place.fails("reasons --model out/model.ogm --set bad.toml -o bad.ogm", 1, &[says]);
    }
}
