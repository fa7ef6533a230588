//! `--budget` and `--trials`: what is searched, what is kept, and what a search may not see.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Place, Table};

const TRAIN: &str = "train --data a.csv --out out --label-delay 1d --patience 10";

fn shop(table: &Table) -> Place {
    let place = Place::new();
    place.write("a.csv", table.csv());
    place
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect()
}

#[test]
fn a_search_is_the_same_for_any_threads_and_its_parameters_give_the_same_model() {
    let place = shop(&Table::narrow(2_500));
    let search = format!("{TRAIN} --trials 7 --learning-rate 0.1 --leaves 6 --half-life 400d");
    let run = place.ok(&format!("{search} --threads 1"));
    let (log, model) = (place.text("out/search.jsonl"), place.read("out/model.ogm"));
    let report = place.json("out/report.json");
    for threads in [2, 8] {
        place.ok(&format!("{search} --threads {threads}"));
        assert_eq!(place.text("out/search.jsonl"), log, "{threads} threads");
        assert!(place.read("out/model.ogm") == model, "{threads} threads: the model differs");
    }

    let trials = lines(&log);
    assert_eq!(trials.len(), 8);
    for (number, trial) in trials.iter().enumerate() {
        assert_eq!(trial["trial"], number);
        let parameters = trial["parameters"].as_object().unwrap();
        for pinned in ["learning-rate", "leaves", "half-life", "easy-row-limit"] {
            assert!(!parameters.contains_key(pinned), "{pinned} was searched");
        }
        assert!(parameters["l2"].is_number() && parameters.len() == 8, "{trial}");
        assert_eq!(trial["values"].as_array().unwrap().len(), trials[0]["values"].as_array().unwrap().len());
    }
    assert_eq!((trials[0]["came_to"].as_str(), trials[0]["difference"].as_f64()), (Some("all folds"), Some(0.0)));
    assert_eq!(trials[0]["parameters"]["l2"], 10.0);
    let came_to = |rung: &str| trials.iter().filter(|trial| trial["came_to"] == rung).count();
    assert_eq!((came_to("first rounds"), came_to("newest fold"), came_to("all folds")), (4, 2, 2));

    // The rule, by its definition.
    let mut chosen = (0, 0.0);
    for (number, trial) in trials.iter().enumerate().skip(1).filter(|(_, trial)| trial["came_to"] == "all folds") {
        let lowest = trial["difference"].as_f64().unwrap() - trial["standard_error"].as_f64().unwrap();
        chosen = if lowest > chosen.1 { (number, lowest) } else { chosen };
    }
    assert_eq!(report["search"]["chosen"], chosen.0);
    for (number, trial) in trials.iter().enumerate() {
        assert_eq!(trial["chosen"], number == chosen.0);
    }
    let search = &report["search"];
    assert_eq!((&search["n_trials"], &search["limit"]), (&Value::from(7), &Value::from("7 trials")));
    assert_eq!(search["measure"], "average-precision");
    assert!(run.out.contains("\nSearch\n  looked at    7 trials on "), "{}", run.out);
    let params = place.text("out/params.toml");
    for (name, value) in search["params"].as_object().unwrap() {
        let text = value.as_str().unwrap();
        let said = params.lines().find_map(|line| line.strip_prefix(&format!("{name} = ")));
        let same = said.is_some_and(|said| said.parse::<f64>().unwrap() == text.parse::<f64>().unwrap());
        assert!(same, "{name} = {text} in {params}");
    }

    place.ok(&format!("{TRAIN} --params out/params.toml"));
    assert!(place.read("out/model.ogm") == model, "the parameters give another model");
    assert!(!place.path("out/search.jsonl").exists(), "the log of another model stays");
    assert_eq!(place.json("out/report.json")["search"], Value::Null);
    place.ok("train --data a.csv --out again --label-delay 1d --params out/model.ogm");
    assert!(place.read("again/model.ogm") == model, "the card's parameters give another model");
}

#[test]
fn the_test_part_is_not_looked_at() {
    let table = Table::narrow(2_500);
    let place = shop(&table);
    let search =
        format!("{TRAIN} --trials 4 --leaves 6 --learning-rate 0.1 --test-from 2024-02-15 --train-until 2024-02-01");
    let times = table.column("order_time");
    let (first, last) = (&table.rows[0][times], &table.rows[table.rows.len() - 1][times]);
    assert!(first.as_str() < "2024-02-01" && last.as_str() > "2024-02-20", "{first} to {last}");
    place.ok(&search);
    let log = place.text("out/search.jsonl");
    // Everything that is known only in the test part is turned round.
    let mut other = table.clone();
    let columns = ["label", "amount", "session_seconds"].map(|name| table.column(name));
    let label_time = table.column("label_time");
    for row in other.rows.iter_mut().filter(|row| row[times].as_str() >= "2024-02-15") {
        row[columns[0]] = if row[columns[0]] == "1" { "0" } else { "1" }.to_owned();
        row[columns[1]] = "77.5".to_owned();
        row[columns[2]] = "12".to_owned();
        row[label_time].clear();
    }
    place.write("a.csv", other.csv());
    let n_fraud = place.json("out/report.json")["test"]["n_fraud"].as_u64().unwrap();
    place.ok(&search.replace("--label-delay 1d", "--schema out/schema.toml"));
    assert_eq!(place.text("out/search.jsonl"), log);
    assert!(place.json("out/report.json")["test"]["n_fraud"].as_u64().unwrap() > 2 * n_fraud);
}

#[test]
fn searches_with_weights_other_measures_and_no_time() {
    let table = Table::narrow(2_500);
    let place = shop(&table);
    for options in [
        "--weigh-by amount --stop-on precision@5 --bag 2",
        "--stop-on money --cost-missed 15+amount --cost-stopped 5 --negative-rate 60% --fraud-weight 3",
        "--refit --rising amount",
    ] {
        place.ok(&format!("{TRAIN} --trials 3 --leaves 6 --learning-rate 0.1 {options}"));
        let model = place.read("out/model.ogm");
        assert_eq!(lines(&place.text("out/search.jsonl")).len(), 4);
        place.ok(&format!("{TRAIN} --params out/params.toml"));
        assert!(place.read("out/model.ogm") == model, "{options}: the parameters give another model");
    }
    place.write("a.csv", table.without(&["order_time", "label_time"]).csv());
    place.ok(&format!("{TRAIN} --trials 3 --leaves 6"));
    let trials = lines(&place.text("out/search.jsonl"));
    assert!(trials.iter().all(|trial| trial["parameters"].get("half-life").is_none()));
}

#[test]
fn a_budget_ends_in_time_and_keeps_at_least_the_first_trial() {
    let place = shop(&Table::narrow(2_500));
    place.ok(&format!("{TRAIN} --budget 1ms"));
    let search = &place.json("out/report.json")["search"];
    assert_eq!((search["n_trials"].as_u64(), search["chosen"].as_u64()), (Some(0), Some(0)));
    assert!(search["first"].is_number() && search["limit"] == "1ms");
    let of_default = place.read("out/model.ogm");
    place.ok(TRAIN);
    assert!(place.read("out/model.ogm") == of_default, "a search that found nothing changes the model");

    let run = place.ok(&format!("{TRAIN} --budget 4s --leaves 6 --log-json -"));
    let search = &place.json("out/report.json")["search"];
    assert!(search["n_trials"].as_u64() >= Some(3), "{search}");
    let events = lines(&run.out);
    let trials = events.iter().filter(|event| event["event"] == "trial").count();
    assert!(trials > 3 && events.iter().any(|event| event["event"] == "fit"));
    assert_eq!(place.json("out/report.json")["search"]["is_stopped"], false);
}

#[test]
#[cfg(unix)]
fn an_interrupt_keeps_the_best_parameters_so_far() {
    let place = shop(&Table::narrow(2_500));
    let run = format!("{TRAIN} --budget 1h --leaves 6 --log-json log.jsonl");
    let mut child =
        place.command(&run).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    let until = Instant::now() + Duration::from_mins(2);
    while !std::fs::read_to_string(place.path("log.jsonl")).is_ok_and(|log| log.matches("\"trial\"").count() > 10) {
        assert!(child.try_wait().unwrap().is_none() && Instant::now() < until, "no trials");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(place.shell(&format!("kill -INT {}", child.id())).code, Some(0));
    assert!(child.wait().unwrap().success());
    let search = &place.json("out/report.json")["search"];
    assert!(search["is_stopped"] == true && search["n_trials"].as_u64() > Some(3), "{search}");
    let model = place.read("out/model.ogm");
    place.ok(&format!("{TRAIN} --params out/params.toml"));
    assert!(place.read("out/model.ogm") == model, "the parameters give another model");
}

#[test]
fn searches_that_cannot_be() {
    let place = shop(&Table::narrow(1_300));
    for (options, says) in [
        ("--trials 3 --budget 1m", "--trials"),
        ("--trials 3 --continue-from m.ogm", "--continue-from"),
        ("--budget 3s --refit-leaves m.ogm", "--refit-leaves"),
        ("--trials 3 --compare", "--compare"),
        ("--trials 3 --checkpoint c", "--checkpoint"),
        ("--trials 0", "--trials: expected 1 or more, found 0"),
        ("--budget 0", "--budget: expected more than 0"),
        ("--budget soon", "soon"),
        ("--trials 3 --model logistic", "expected it with --model gbt, found --model logistic"),
        ("--budget 3s --model scorecard", "expected it with --model gbt, found --model scorecard"),
    ] {
        let run = place.run(&format!("{TRAIN} {options}"));
        assert_eq!(run.code, Some(2), "{options}: {}", run.err);
        run.says(says);
    }
    place.ok(&format!("{TRAIN} --trees 3"));
    place.write("all.toml", format!("{}half-life = \"90d\"\n", place.text("out/params.toml")));
    place.fails(&format!("{TRAIN} --trials 3 --params all.toml"), 2, &["left to search, found all of them given"]);
    let few = Table::narrow(1_300).part(0..300);
    place.write("few.csv", few.csv());
    let run = "train --data few.csv --out few --label-delay 1d --trials 2";
    place.fails(run, 1, &["the search for parameters: folds: expected two that move forward in time"]);
    assert!(place.files("few").is_empty());
}
