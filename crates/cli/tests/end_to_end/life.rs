//! The life of a model: sampling that leaves probabilities alone, going on from a model, and fits that are stopped.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Place, Table};

const TRAIN: &str = "train --data a.csv --out out";

fn shop(table: &Table) -> Place {
    let place = Place::new();
    place.write("a.csv", table.csv());
    place
}

/// A fact of a model.
#[track_caller]
fn fact(place: &Place, model: &str, name: &str) -> String {
    let lines = place.ok(&format!("inspect {model}")).out;
    let found =
        lines.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(|rest| rest.trim().to_owned()));
    found.unwrap_or_else(|| panic!("no {name} in {lines}"))
}

fn events(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect()
}

#[test]
fn probabilities_stay_those_of_the_real_mix() {
    let table = Table::simulated(6_000, 7).without(&["fraud_kind"]);
    let place = shop(&table);
    let mut means = Vec::new();
    for options in ["", "--negative-rate 15%", "--fraud-weight 12", "--negative-rate 0.3 --fraud-weight 4 --bag 2"] {
        place.ok(&format!("{TRAIN} --label-delay 1d --trees 60 --learning-rate 0.1 {options}"));
        let report = place.json("out/report.json");
        let figure = |part: &str, name: &str| report[part][name].as_f64().unwrap();
        for part in ["validation", "test"] {
            let (mean, rate, n) = (figure(part, "mean_probability"), figure(part, "base_rate"), figure(part, "n_rows"));
            // Four standard deviations: of the number of frauds there, and of the one that the map was fitted on.
            let within = 4.0 * (2.0 * rate / n).sqrt();
            assert!((mean - rate).abs() < within, "{options}, {part}: {mean} instead of {rate}, within {within}");
        }
        means.push(figure("test", "mean_probability"));
        let corrected = place.ok("inspect out/model.ogm").out.contains("parameter prior-correction");
        assert_eq!(corrected, !options.is_empty(), "{options}");
        let scores = place.ok("score --model out/model.ogm --state out/state.ogs --data a.csv").cells();
        let raw: Vec<f64> = scores[1..].iter().map(|row| row[2].parse().unwrap()).collect();
        let probability: Vec<f64> = scores[1..].iter().map(|row| row[3].parse().unwrap()).collect();
        if options.starts_with("--negative-rate 15%") {
            // Before calibration too: the base holds the correction.
            let mean_raw = raw.iter().map(|x| 1.0 / (1.0 + (-x).exp())).sum::<f64>() / raw.len() as f64;
            let mean = probability.iter().sum::<f64>() / raw.len() as f64;
            assert!((mean_raw / mean - 1.0).abs() < 0.4, "{options}: {mean_raw} raw, {mean} calibrated");
        }
        // Both rank alike.
        let mut order: Vec<usize> = (0..raw.len()).collect();
        order.sort_by(|&a, &b| raw[a].total_cmp(&raw[b]));
        assert!(order.windows(2).all(|pair| probability[pair[0]] <= probability[pair[1]]), "{options}");
    }
    assert!(means.iter().all(|mean| (mean / means[0] - 1.0).abs() < 0.35), "{means:?}");
}

#[test]
fn several_seeds_are_one_model() {
    let place = shop(&Table::narrow(1_500));
    place.ok(&format!("{TRAIN} --trees 6 --patience 0 --bag 3"));
    let model = place.read("out/model.ogm");
    let n_trees: usize = fact(&place, "out/model.ogm", "trees").parse().unwrap();
    assert!(n_trees > 6 && n_trees <= 18, "{n_trees}");
    place.ok(&format!("{TRAIN} --params out/params.toml --threads 1"));
    assert!(place.read("out/model.ogm") == model, "the model differs");
    place.ok(&format!("{TRAIN} --trees 6 --patience 0 --bag 3 --refit"));
    assert_eq!(fact(&place, "out/model-refit.ogm", "trees"), n_trees.to_string());
    place.fails(&format!("{TRAIN} --bag 0"), 2, &["--bag: expected 1 to 1000, found 0"]);
}

#[test]
fn trees_are_added_and_leaves_fitted_again() {
    let table = Table::narrow(2_500);
    let place = Place::new();
    place.write("old.csv", table.part(0..1_500).csv());
    place.write("a.csv", table.csv());
    place.ok("train --data old.csv --out old --trees 8 --leaves 6 --patience 0");
    let n_old: usize = fact(&place, "old/model.ogm", "trees").parse().unwrap();

    place.ok(&format!("{TRAIN} --continue-from old/model.ogm --trees 5 --patience 0"));
    let n_new: usize = fact(&place, "out/model.ogm", "trees").parse().unwrap();
    assert!(n_new > n_old && n_new <= n_old + 5, "{n_old} and {n_new}");
    assert_eq!(fact(&place, "out/model.ogm", "parameter leaves"), "6");
    assert_eq!(fact(&place, "out/model.ogm", "parameter trees"), "5");
    assert_eq!(fact(&place, "out/model.ogm", "continues model").len(), 64);
    let schema = fact(&place, "old/model.ogm", "schema fingerprint");
    assert_eq!(fact(&place, "out/model.ogm", "schema fingerprint"), schema);
    let model = place.read("out/model.ogm");
    place.ok(&format!("{TRAIN} --continue-from old/model.ogm --trees 5 --patience 0 --threads 1 --refit"));
    assert!(place.read("out/model.ogm") == model, "the model differs");

    place.ok(&format!("{TRAIN} --refit-leaves old/model.ogm --refit"));
    let line = |model: &str, name: &str| fact(&place, model, name);
    for name in ["trees", "nodes", "schema fingerprint", "features"] {
        assert_eq!(line("out/model.ogm", name), line("old/model.ogm", name));
    }
    assert_eq!(line("out/model.ogm", "leaves fitted again, of model").len(), 64);
    let score = |model: &str| place.ok(&format!("score --model {model} --cold-start --data old.csv")).out;
    assert_ne!(score("out/model.ogm"), score("old/model.ogm"));
    assert_ne!(score("out/model-refit.ogm"), score("out/model.ogm"));
}

#[test]
fn models_that_cannot_be_gone_on_from() {
    let table = Table::narrow(1_300);
    let place = shop(&table);
    place.ok("train --data a.csv --out trees --trees 5");
    place.ok("train --data a.csv --out line --model logistic");
    place.write("narrower.csv", table.without(&["n_items"]).csv());
    place.write("a.key", "0123456789abcdef0123456789abcdef");
    for how in ["--continue-from", "--refit-leaves"] {
        for (options, code, says) in [
            (
                "line/model.ogm",
                2,
                "line/model.ogm: expected a model of boosted trees to go on from, found a logistic model",
            ),
            ("none.ogm", 2, "cannot read none.ogm"),
            ("a.csv", 1, "a.csv: "),
            ("trees/model.ogm --model logistic", 2, "expected --model gbt, found --model logistic"),
            ("trees/model.ogm --key-file a.key", 2, "another identity key"),
            ("trees/model.ogm --schema s.toml", 2, "--schema"),
            ("trees/model.ogm --features f.toml", 2, "--features"),
        ] {
            let run = place.run(&format!("{TRAIN} {how} {options}"));
            assert_eq!(run.code, Some(code), "{how} {options}: {}", run.err);
            run.says(says);
        }
        let run = place.run(&format!("train --data narrower.csv --out out {how} trees/model.ogm"));
        run.failed(1, &["n_items"]);
    }
    for (options, says) in [
        ("--refit-leaves trees/model.ogm --leaves 4", "--leaves says how trees grow, and --refit-leaves grows none"),
        ("--refit-leaves trees/model.ogm --continue-from trees/model.ogm", "cannot be used with"),
        ("--refit-leaves trees/model.ogm --checkpoint c", "expected it without --checkpoint"),
        ("--continue-from trees/model.ogm --bag 2", "--bag fits several models"),
    ] {
        let run = place.run(&format!("{TRAIN} {options}"));
        assert_eq!(run.code, Some(2), "{options}: {}", run.err);
        run.says(says);
    }
    assert!(place.files("out").is_empty());
}

/// Waits until the log holds so many rounds; false where the program ended before.
fn wait_for_rounds(place: &Place, child: &mut std::process::Child, n: usize) -> bool {
    let start = Instant::now();
    loop {
        let text = std::fs::read_to_string(place.path("log.jsonl")).unwrap_or_default();
        if text.lines().filter(|line| line.contains("\"event\":\"round\"")).count() >= n {
            return true;
        }
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        assert!(start.elapsed() < Duration::from_mins(2), "no round after two minutes: {text}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_killed_fit_is_gone_on_with() {
    // Few frauds in validation: folds choose, so there are two stages; and two bags.
    let place = shop(&Table::narrow(1_500));
    let options = "--trees 40 --patience 0 --bag 2 --row-fraction 0.8";
    place.ok(&format!("{TRAIN} {options}"));
    let expected = place.read("out/model.ogm");
    std::fs::remove_dir_all(place.path("out")).unwrap();
    let run = format!("{TRAIN} {options} --checkpoint c --checkpoint-every 0 --log-json log.jsonl");
    let mut n_killed = 0;
    for n_rounds in [1, 17, 40, 23, 9] {
        let resume = if n_killed == 0 { "" } else { " --resume" };
        std::fs::write(place.path("log.jsonl"), "").unwrap();
        let mut child = place.command(&format!("{run}{resume} --quiet")).spawn().unwrap();
        if wait_for_rounds(&place, &mut child, n_rounds) {
            child.kill().unwrap();
            n_killed += 1;
        }
        child.wait().unwrap();
        // A file whose writing was cut off has another name.
        assert!(!place.path("out/model.ogm").exists());
    }
    assert!(n_killed >= 4, "{n_killed}");
    let last = place.ok(&format!("{run} --resume"));
    last.says("resumed after tree");
    assert!(place.read("out/model.ogm") == expected, "the model differs");
    assert!(place.files("c").is_empty(), "{:?}", place.files("c"));
    let resumed = events(&place.text("log.jsonl")).iter().any(|event| event["resumed_round"].as_u64() > Some(0));
    assert!(resumed, "nothing was resumed");
}

#[test]
fn checkpoints_of_other_fits_are_refused() {
    let place = shop(&Table::narrow(1_300));
    let run = |options: &str| format!("{TRAIN} --trees 30 --patience 0 --checkpoint c --checkpoint-every 0 {options}");
    let mut child = place.command(&run("--log-json log.jsonl --quiet")).spawn().unwrap();
    assert!(wait_for_rounds(&place, &mut child, 3));
    child.kill().unwrap();
    child.wait().unwrap();
    let kept = place.files("c").into_iter().find(|name| name.contains(".ogc")).expect("a checkpoint was written");
    let bytes = place.read(&kept);
    place.fails(
        &run("--resume --leaves 5"),
        2,
        &["c/folds-1.ogc: expected a checkpoint of this fit, found one of other"],
    );
    place.write(&kept, &bytes[..bytes.len() - 3]);
    place.fails(&run("--resume"), 1, &["c/folds-1.ogc: "]);
    assert!(place.files("out").is_empty());
    // Without it, the fit begins anew.
    place.ok(&run("--leaves 5"));
    let run = place.run(&format!("{TRAIN} --resume"));
    assert_eq!(run.code, Some(2));
    run.says("--checkpoint");
}

#[test]
#[cfg(unix)]
fn the_first_interrupt_keeps_the_best_so_far() {
    let place = shop(&Table::narrow(1_500));
    let run = format!("{TRAIN} --trees 100000 --patience 0 --log-json log.jsonl");
    let mut child =
        place.command(&run).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    assert!(wait_for_rounds(&place, &mut child, 5));
    assert_eq!(place.shell(&format!("kill -INT {}", child.id())).code, Some(0));
    assert!(child.wait().unwrap().success());
    let events = events(&place.text("log.jsonl"));
    assert_eq!(events.last().unwrap()["event"], "done");
    assert_eq!(events.last().unwrap()["stopped"], true);
    let note = fact(&place, "out/model.ogm", "note");
    let all = place.ok("inspect out/model.ogm").out;
    assert!(all.contains("stopped by hand after"), "{note}");
    place.ok("score --model out/model.ogm --state out/state.ogs --data a.csv");
}

#[test]
fn machines_can_follow_a_fit() {
    let table = Table::simulated(3_000, 7);
    let place = shop(&table);
    let run = place.ok(&format!("{TRAIN} --label-delay 1d --trees 12 --patience 0 --log-json -"));
    let lines = events(&run.out);
    let names: Vec<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!((names[0], names[names.len() - 1]), ("start", "done"));
    for name in ["read", "fit", "stage", "round"] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    let rounds: Vec<&Value> =
        lines.iter().filter(|line| line["event"] == "round" && !line["value"].is_null()).collect();
    for (i, round) in rounds.iter().enumerate() {
        assert_eq!((round["round"].as_u64(), round["of"].as_u64()), (Some(i as u64 + 1), Some(12)));
        assert_eq!(round["measure"], "average-precision");
        assert!(round["value"].as_f64().is_some_and(|value| (0.0..=1.0).contains(&value)), "{round}");
        assert!(round["seconds"].as_f64() > Some(0.0) && round["seconds_left_at_most"].as_f64() >= Some(0.0));
    }
    assert_eq!(rounds.len(), 12);
    place.ok(&format!("{TRAIN} --trees 3 --log-json log.jsonl"));
    assert_eq!(events(&place.text("log.jsonl")).last().unwrap()["event"], "done");
    place.fails(&format!("{TRAIN} --json --log-json -"), 2, &["both write to standard output"]);
    place.fails("train --data none.csv --out out --log-json log.jsonl", 2, &["none.csv"]);
    let last = events(&place.text("log.jsonl")).pop().unwrap();
    assert!(last["event"] == "error" && last["message"].as_str().unwrap().contains("none.csv"), "{last}");
}

#[test]
fn a_fit_that_needs_too_much_memory_is_refused() {
    let place = shop(&Table::narrow(1_300));
    let run =
        place.fails(&format!("{TRAIN} --trees 3 --max-memory 2M"), 2, &["of memory", "2.0 MB, as --max-memory says"]);
    assert!(run.out.is_empty() && place.files("out").is_empty());
    // What is foreseen grows with what takes it.
    let need = |options: &str| {
        let run = place.ok(&format!("{TRAIN} --trees 3 --max-memory 8G --log-json - {options}"));
        let fit = events(&run.out).into_iter().find(|event| event["event"] == "fit").unwrap();
        fit["memory_bytes"].as_u64().unwrap()
    };
    let plain = need("");
    assert!(need("--leaves 200") > plain && need("--negative-rate 0.2") < plain && need("--max-bins 30") < plain);
    for wrong in ["0", "much", "-1G"] {
        assert_eq!(place.run(&format!("{TRAIN} --max-memory={wrong}")).code, Some(2));
    }
}
