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

    let run = place.ok("verify-log log.jsonl --model tiers.ogm");
    assert!(run.err.contains("500 decisions scored again, 0 differences"), "{}", run.err);
    // Another model, and a record that somebody changed.
    let run = place.fails("verify-log log.jsonl --model out/model.ogm --show 2", 1, &["500 of 500 decisions differ"]);
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
        ("{\"order\"", "{order", "expected a record as JSON"),
    ] {
        place.write("changed.jsonl", text.replacen(from, to, 1));
        let run = place.fails("verify-log changed.jsonl --model tiers.ogm", 1, &["1 of 500 decisions differ"]);
        assert!(run.out.contains(says) && run.out.starts_with("changed.jsonl, line "), "{}", run.out);
    }
}

#[test]
fn tiers_that_make_no_sense_are_refused() {
    let (place, _) = shop();
    let before = place.read("out/model.ogm");
    place.fails(
        "tiers --model out/model.ogm --challenge 5% --review 4%",
        2,
        &["--review", "more than for --challenge"],
    );
    place.fails("tiers --model out/model.ogm --decline 0", 2, &["--decline: expected a probability"]);
    assert_eq!(place.read("out/model.ogm"), before);
    place.ok("tiers --model out/model.ogm --decline 50% -o t.ogm");
    place.ok("tiers --model t.ogm --clear");
    assert_eq!(place.read("t.ogm"), before);
}
