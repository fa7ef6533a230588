//! Rules beside a model: what they decide, and how they are refused.

use crate::contracts::shop;
use crate::harness::{Place, repository};

const SCORE: &str = "score --model out/model.ogm --state out/state.ogs --data new.csv";

/// The example of the documentation.
fn example() -> String {
    let text = std::fs::read_to_string(repository("docs/decisions.md")).unwrap();
    text.split("```toml\n").nth(1).unwrap().split("```").next().unwrap().to_owned()
}

#[test]
fn the_example_of_the_documentation_decides() {
    let (place, mut table) = shop();
    let (customer, amount) = (table.column("customer_id"), table.column("amount"));
    // Nobody's first order, then one of somebody blocked, one of somebody trusted, and one that cannot be read.
    table.rows[0][customer] = "never-seen-before".into();
    table.rows[0][amount] = "900.00".into();
    table.rows[1][customer] = "c-1041".into();
    table.rows[2][customer] = "c-17".into();
    table.rows[3][amount] = "a lot".into();
    table.rows[4][customer] = "from-the-file".into();
    place.write("new.csv", table.csv());
    place.write("rules.toml", example());
    place.write("blocked-customers.txt", "\nfrom-the-file\n another \n");
    let run = place.ok(&format!("{SCORE} --rules rules.toml -o scores.csv --audit log.jsonl"));
    let scores: Vec<Vec<String>> =
        place.text("scores.csv").lines().map(|line| line.split(',').map(str::to_owned).collect()).collect();
    assert_eq!(scores[0], ["line", "order_id", "raw_score", "probability", "decision", "rule"]);
    let decided = |line: usize| (scores[line - 1][4].as_str(), scores[line - 1][5].as_str());
    assert_eq!(decided(2), ("challenge", "first order"));
    assert_eq!(decided(3), ("decline", "list chargebacks"));
    assert_eq!(decided(4), ("approve", "list regulars"));
    assert_eq!(decided(5), ("review", "unreadable"));
    assert_eq!(decided(6), ("decline", "list chargebacks"));
    assert!(run.err.contains("log.jsonl: 500 records; the last one has the hash "), "{}", run.err);

    let log = place.text("log.jsonl");
    let records: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |id: &str| records.iter().find(|record| record["order"] == id).unwrap();
    assert_eq!(of(&table.rows[1][0])["rule"], "list chargebacks");
    assert_eq!(of(&table.rows[1][0])["decision"], "decline");
    let unread = records.last().unwrap();
    assert_eq!((&unread["rule"], &unread["decision"]), (&"unreadable".into(), &"review".into()));
    let error = unread["error"].as_str().unwrap();
    assert!(error.starts_with("new.csv: line 5: column \"amount\"") && unread.get("raw_score").is_none(), "{error}");

    let verify = "verify-log log.jsonl --model out/model.ogm";
    let run = place.ok(verify);
    run.says("499 decisions scored again, 0 differences; 1 of orders that were not read; ");
    place.ok(&format!("{verify} --rules rules.toml")).says("; 1 of orders that were not read; the last record");
    // Other rules decide otherwise.
    place
        .write("other.toml", example().replace("max_amount = 500", "max_amount = 5000").replace("regulars", "friends"));
    let run = place.fails(&format!("{verify} --rules other.toml"), 1, &[" of 500 records differ"]);
    assert!(
        run.out.contains("decision: the log says challenge by first order, decided again approve by model"),
        "{}",
        run.out
    );
    assert!(run.out.contains("rule: the log says \"list regulars\", and the rules given have none"), "{}", run.out);

    let explain = format!("explain {} --rules rules.toml --order", &SCORE[6..]);
    let run = place.ok(&format!("{explain} {}", table.rows[1][0]));
    assert!(run.out.contains("decision: decline (list chargebacks; the model alone: "), "{}", run.out);
    let run = place.ok(&format!("{explain} {} --language pl", table.rows[1][0]));
    assert!(run.out.contains("decyzja: odrzucić (lista chargebacks; sam model: "), "{}", run.out);
    let run = place.ok(&format!("{explain} {} --json", table.rows[0][0]));
    let found: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!((&found["decision"], &found["rule"]), (&"challenge".into(), &"first order".into()));
    assert_eq!(found["model_decision"], "approve");
}

#[test]
fn rules_that_do_not_fit_are_refused_with_their_line() {
    let (place, table) = shop();
    let list = "[[list]]\nname = \"l\"\ncolumn = \"customer\"\nkind = \"blocked\"\n";
    for (text, says) in [
        (
            "fallback = \"stop\"".to_owned(),
            "bad.toml, line 1: fallback: expected approve, challenge, review or decline",
        ),
        ("\n\nfall back = 1".into(), "bad.toml, line 3: "),
        (
            "fallback = \"review\"\nlists = []".into(),
            "bad.toml, line 2: expected fallback, first_order or list, found lists",
        ),
        ("[first_order]\nmax_amount = \"5\"".into(), "bad.toml, line 2: first_order: max_amount: expected a number"),
        (
            "[first_order]\nmax_amount = -5\ndecision = \"review\"".into(),
            "bad.toml, line 2: first_order: max_amount: expected an amount of at least 0",
        ),
        ("[first_order]\nmax_amount = 5".into(), "line 1: first_order: expected max_amount and decision"),
        ("[first_order]\nmax_amount = 5\ndecision = \"approve\"".into(), "expected a decision stricter than approve"),
        (format!("{list}ids = [7]"), "line 5: ids: expected a text"),
        (format!("{list}file = \"none.txt\""), "bad.toml: cannot read none.txt"),
        (format!("{list}{list}"), "list \"l\": expected a name of its own"),
        (list.replace("blocked", "bad"), "line 4: kind: expected trusted or blocked"),
        (list.replace("customer", "amount"), "bad.toml: list \"l\": expected a column of an entity"),
        (list.replace("name = \"l\"\n", ""), "line 1: list: expected name, column and kind"),
        (format!("{list}ids = [\" \"]"), "list \"l\", entry 1: expected an identifier, found none"),
    ] {
        place.write("bad.toml", text);
        let code = if says.contains("cannot read") { 2 } else { 1 };
        place.fails(&format!("{SCORE} --rules bad.toml"), code, &[says]);
    }
    // A list of a column that the orders do not have would let everybody through.
    place.write("rules.toml", list);
    place.write("new.csv", table.without(&["customer_id"]).csv());
    assert_ne!(place.run(&format!("{SCORE} --rules rules.toml")).code, Some(0));
}

#[test]
fn a_list_may_be_of_a_column_that_no_feature_reads() {
    let (place, table) = shop();
    place.write(
        "features.toml",
        "features = [\"amount\", \"number(n_items)\", \"hour\", \"number(session_seconds)\"]\n",
    );
    place.ok("train --data old.csv --out plain --trees 5 --features features.toml");
    let id = &table.rows[7][table.column("customer_id")];
    place.write(
        "rules.toml",
        format!("[[list]]\nname = \"one\"\ncolumn = \"customer\"\nkind = \"blocked\"\nids = [\"{id}\"]\n"),
    );
    let score = "score --model plain/model.ogm --cold-start --data new.csv --rules rules.toml";
    let run = place.ok(score);
    let blocked = run.cells().iter().filter(|row| row[5] == "list one" && row[4] == "decline").count();
    let expected = table.rows.iter().filter(|row| row[table.column("customer_id")] == *id).count();
    assert_eq!(blocked, expected);
    place.write("new.csv", table.without(&["customer_id"]).csv());
    place.fails(score, 1, &["customer_id"]);
    let _: &Place = &place;
}
