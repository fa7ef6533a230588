//! Tiers of decisions, their records, and records scored again.

use crate::contracts::shop;
use crate::harness::cells;

#[test]
fn tiers_decide_and_records_hold() {
    let (place, _) = shop();
    assert!(place.ok("tiers --model out/model.ogm").out.contains("review from probability"));
    // Between probabilities that occur, so that every decision is made.
    let plain = place.ok("score --model out/model.ogm --state out/state.ogs --data new.csv").cells();
    let mut found: Vec<f64> = plain[1..].iter().map(|row| row[3].parse().unwrap()).collect();
    found.sort_by(f64::total_cmp);
    found.dedup();
    assert!(found.len() >= 4, "{found:?}");
    let [challenge, review, decline] = [1, 2, 3].map(|i| {
        let at = i * found.len() / 4;
        f64::midpoint(found[at - 1], found[at])
    });
    place.ok(&format!(
        "tiers --model out/model.ogm --challenge {challenge} --review {review} --decline {decline} -o tiers.ogm"
    ));
    let shown = place.ok("tiers --model tiers.ogm").out;
    assert!(shown.contains("challenge from probability") && shown.lines().count() == 3, "{shown}");
    let log = "score --model tiers.ogm --state out/state.ogs --data new.csv -o scores.csv --audit log.jsonl";
    place.ok(&format!("{log} --shadow out/model.ogm"));
    let scores = cells(&place.text("scores.csv"));
    let mut counts = std::collections::BTreeMap::new();
    for row in &scores[1..] {
        let p: f64 = row[3].parse().unwrap();
        let expected = match p {
            p if p >= decline => "decline",
            p if p >= review => "review",
            p if p >= challenge => "challenge",
            _ => "approve",
        };
        assert_eq!(row[4], expected, "{row:?}");
        *counts.entry(row[4].clone()).or_insert(0) += 1;
    }
    assert_eq!(counts.len(), 4, "{counts:?}");

    let records: Vec<serde_json::Value> =
        place.text("log.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records.len(), scores.len() - 1);
    let first = records[0]["position"]["orders"].as_u64().unwrap();
    for (i, record) in records.iter().enumerate() {
        assert_eq!(record["position"]["orders"], first + i as u64);
        assert_eq!((&record["rule"], &record["shadow"]["raw_score"]), (&"model".into(), &record["raw_score"]));
        assert!(record["shadow"]["model"] != record["model"]);
        let n_reasons = record["reasons"].as_array().unwrap().len();
        assert!(n_reasons <= 3 && (record["decision"] == "approve") == (n_reasons == 0), "{record}");
    }

    // The bound that decided, which is not that of the model.
    let trained = place.json("out/report.json")["threshold"]["raw_score"].as_f64().unwrap();
    let mut bounds: Vec<f64> = records.iter().map(|record| record["threshold"].as_f64().unwrap()).collect();
    for record in &records {
        let (raw, bound) = (record["raw_score"].as_f64().unwrap(), record["threshold"].as_f64().unwrap());
        assert_eq!(raw >= bound, record["decision"] != "approve", "{record}");
    }
    bounds.sort_by(f64::total_cmp);
    bounds.dedup();
    assert!(bounds.len() == 3 && !bounds.contains(&trained), "{bounds:?}");
    let stopped = records.iter().find(|record| record["decision"] == "decline").unwrap();
    let id = stopped["order"].as_str().unwrap();
    let explain = format!("explain --model tiers.ogm --state out/state.ogs --data new.csv --order {id}");
    let found: serde_json::Value = serde_json::from_str(&place.ok(&format!("{explain} --json")).out).unwrap();
    assert_eq!(found["threshold"], stopped["threshold"]);
    assert!(place.ok(&explain).out.contains(&format!("decline (threshold {:.3})", bounds[2])));

    let run = place.ok("verify-log log.jsonl --model tiers.ogm");
    run.says("500 decisions scored again, 0 differences; 500 with a shadow model, which --shadow would score again");
    let last = records[499]["hash"].as_str().unwrap();
    let whole = format!("verify-log log.jsonl --model tiers.ogm --shadow out/model.ogm --last {last}");
    place.ok(&whole).says(&format!("0 differences; the last record has number 500 and hash {last}"));
    // Another model, and a record that somebody changed.
    let run = place.fails("verify-log log.jsonl --model out/model.ogm --show 2", 1, &["500 of 500 records differ"]);
    assert_eq!(run.out.lines().count(), 2);
    let text = place.text("log.jsonl");
    for (from, to, says) in [
        (
            "\"decision\":\"approve\"",
            "\"decision\":\"decline\"",
            "decision: the log says decline, scored again approve",
        ),
        ("\"raw_score\":-", "\"raw_score\":-1", "raw_score: the log says"),
        ("\"row\":[", "\"row\":[1.0,", "row: expected"),
        ("{\"number\"", "{number", "expected a record as JSON"),
        ("\"rule\":\"model\"", "\"rule\":\"list friends\"", "hash: the record was changed"),
        ("\"order\":\"", "\"order\":\"x", "hash: the record was changed"),
        ("\"reasons\":[\"", "\"reasons\":[\"not ", "reasons: expected the strongest ones of the row, found others"),
        ("\"shadow\":{\"model\":\"", "\"shadow\":{\"model\":\"0", "shadow model: the log says"),
        ("\"orders\":13", "\"orders\":99913", "position: orders fell from"),
    ] {
        assert!(text.contains(from), "{from}");
        place.write("changed.jsonl", text.replacen(from, to, 1));
        let verify = "verify-log changed.jsonl --model tiers.ogm --shadow out/model.ogm";
        let run = place.fails(verify, 1, &[" of 500 records differ"]);
        assert!(run.out.contains(says) && run.out.starts_with("changed.jsonl, line "), "{}", run.out);
    }
    // Records that were taken out, moved or cut off.
    let lines: Vec<&str> = text.lines().collect();
    let swapped = [&lines[..40], &[lines[41], lines[40]], &lines[42..]].concat();
    for (lines, last, says) in [
        (
            [&lines[..40], &lines[41..]].concat(),
            "",
            "line 41: number: expected 41, as records were taken out or moved; found 42",
        ),
        (swapped, "", "line 41: number: expected 41"),
        ([&lines[..40], &lines[39..]].concat(), "", "number: expected 41"),
        (lines[..400].to_vec(), last, "expected 60b1d6e8"),
    ] {
        place.write("changed.jsonl", lines.join("\n") + "\n");
        let option = if last.is_empty() { String::new() } else { "--last 60b1d6e8".into() };
        let run = place.fails(&format!("verify-log changed.jsonl --model tiers.ogm {option}"), 1, &["records differ"]);
        assert!(run.out.contains(says), "{}", run.out);
    }
    // The end of a log that goes on behind an earlier one is whole by itself.
    place.write("rest.jsonl", lines[100..].join("\n") + "\n");
    place.ok("verify-log rest.jsonl --model tiers.ogm").says("400 decisions scored again");
}

#[test]
fn evaluate_tells_what_each_tier_does() {
    let (place, table) = shop();
    let evaluate = "evaluate --model out/model.ogm --state out/state.ogs --data new.csv";
    let plain: serde_json::Value = serde_json::from_str(&place.ok(&format!("{evaluate} --json")).out).unwrap();
    assert_eq!(plain["test"]["tiers"], serde_json::json!([]));
    place.ok("tiers --model out/model.ogm --challenge 2% --review 4% --decline 30% -o tiers.ogm");
    let evaluate = evaluate.replace("out/model.ogm", "tiers.ogm");
    let report: serde_json::Value = serde_json::from_str(&place.ok(&format!("{evaluate} --json")).out).unwrap();
    let tiers = report["test"]["tiers"].as_array().unwrap();
    let names: Vec<&str> = tiers.iter().map(|tier| tier["decision"].as_str().unwrap()).collect();
    assert_eq!(names, ["approve", "challenge", "review", "decline"]);
    // Against the decisions of `score` and the labels of the table.
    let scores = place.ok("score --model tiers.ogm --state out/state.ogs --data new.csv").cells();
    let (label, amount) = (table.column("label"), table.column("amount"));
    let evaluated = report["test"]["n_rows"].as_u64().unwrap();
    for tier in tiers {
        assert!(tier["n_rows"].as_u64().unwrap() <= evaluated);
        let value = &tier["value"];
        assert!(value["fraud"].is_f64() && value["honest"].is_f64(), "{tier}");
    }
    let sum = |member: &str| tiers.iter().map(|tier| tier[member].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("n_rows"), sum("n_fraud")), (evaluated, report["test"]["n_fraud"].as_u64().unwrap()));
    // All labels are due where the data were read out long after.
    let late: serde_json::Value =
        serde_json::from_str(&place.ok(&format!("{evaluate} --json --as-of 2030-01-01")).out).unwrap();
    for tier in late["test"]["tiers"].as_array().unwrap() {
        // Some orders have no label.
        let of_tier = |row: &&(&Vec<String>, &Vec<String>)| {
            row.0[4] == tier["decision"].as_str().unwrap() && !row.1[label].is_empty()
        };
        let rows: Vec<(&Vec<String>, &Vec<String>)> = scores[1..].iter().zip(&table.rows).collect();
        let rows: Vec<_> = rows.iter().filter(of_tier).collect();
        let frauds = rows.iter().filter(|row| row.1[label] == "1");
        assert_eq!(tier["n_rows"], rows.len(), "{tier}");
        assert_eq!(tier["n_fraud"], frauds.clone().count(), "{tier}");
        let money: f64 = frauds.map(|row| row.1[amount].parse::<f64>().unwrap()).sum();
        assert!((tier["value"]["fraud"].as_f64().unwrap() - money).abs() < 1e-6, "{tier}");
    }
    // What is stopped is what is not approved.
    let at = &report["test"]["at_threshold"]["confusion"];
    let passed = at["tn"].as_u64().unwrap() + at["fn"].as_u64().unwrap();
    assert_eq!(tiers[0]["n_rows"], passed);
    assert_eq!(report["threshold"]["raw_score"], tiers[1]["raw_score"]);
    let text = place.ok(&evaluate).out;
    assert!(text.contains("Decisions of the tiers") && text.contains("\n  challenge"), "{text}");
}

#[test]
fn tiers_that_make_no_sense_are_refused() {
    let (place, _) = shop();
    let before = place.read("out/model.ogm");
    place.fails(
        "tiers --model out/model.ogm --challenge 5% --review 4%",
        2,
        &["--review: expected more than the 5 % of --challenge, which is milder; found 4 %"],
    );
    place.fails("tiers --model out/model.ogm --decline 0", 2, &["expected a probability above 0 and below 1"]);
    assert_eq!(place.read("out/model.ogm"), before);
    place.ok("tiers --model out/model.ogm --decline 50% -o t.ogm");
    place.ok("tiers --model t.ogm --clear");
    assert_eq!(place.read("t.ogm"), before);
}
