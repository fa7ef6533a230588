//! No command writes over what it reads.

use crate::contracts::shop;
use crate::harness::{Place, Table};

const SCORE: &str = "score --model out/model.ogm --state out/state.ogs --data new.csv";

#[test]
fn outputs_never_replace_inputs() {
    let (place, _) = shop();
    place.write("labels.csv", "order_id,label,label_time\n");
    place.write("words.toml", place.ok("reasons --model out/model.ogm").out);
    place.write("data/new.csv", place.read("new.csv"));
    std::fs::create_dir(place.path("links")).unwrap();
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(place.path("new.csv"), place.path("links/data.csv")).unwrap();
        std::os::unix::fs::symlink(place.path("out"), place.path("links/models")).unwrap();
    }
    let before: Vec<(String, Vec<u8>)> =
        place.files("").into_iter().map(|name| (name.clone(), place.read(&name))).collect();
    let explain = "explain --model out/model.ogm --state out/state.ogs --data new.csv --order x";
    let monitor = "monitor --model out/model.ogm --state out/state.ogs --data new.csv";
    for (line, says) in [
        (format!("{SCORE} -o new.csv"), "--output new.csv: would overwrite the file that --data reads, new.csv"),
        (format!("{SCORE} -o ./out/../new.csv"), "that --data reads"),
        (format!("{SCORE} -o out/model.ogm"), "that --model reads"),
        (format!("{SCORE} -o out/state.ogs"), "that --state reads"),
        (format!("{SCORE} --labels labels.csv -o labels.csv"), "that --labels reads"),
        (format!("{SCORE} -o s.csv --audit out/model.ogm"), "--audit out/model.ogm: would overwrite"),
        (format!("{SCORE} -o s.csv --audit s.csv"), "--audit s.csv: --output writes the same file"),
        (
            format!("{SCORE} -o s.csv --audit a.jsonl --shadow out/model.ogm --save-state new.csv"),
            "--save-state new.csv",
        ),
        (format!("{SCORE} --data data -o data/new.csv"), "a file in the folder that --data reads"),
        (format!("{explain} --svg new.csv"), "--svg new.csv: would overwrite"),
        (format!("{monitor} --svg out/model.ogm"), "--svg out/model.ogm: would overwrite"),
        ("reasons --model out/model.ogm --set words.toml -o words.toml".into(), "that --set reads"),
        ("schema --data new.csv --force -o new.csv".into(), "that --data reads"),
        ("features --data new.csv -o new.csv".into(), "that --data reads"),
        ("features --data new.csv --write-features new.csv".into(), "--write-features new.csv"),
        ("export out/model.ogm --to json -o out/model.ogm".into(), "that MODEL reads"),
        ("convert --from lightgbm words.toml -o words.toml".into(), "that MODEL reads"),
        ("simulate --orders 10 -o a.csv --events a.csv".into(), "--events a.csv: --output writes the same file"),
        ("train --data old.csv --out out2 --log-json old.csv".into(), "--log-json old.csv"),
        ("train --data old.csv --labels out/report.json --out out".into(), "that --labels reads"),
        #[cfg(unix)]
        (format!("{SCORE} -o links/data.csv"), "that --data reads"),
        #[cfg(unix)]
        (format!("{SCORE} -o links/models/model.ogm"), "that --model reads"),
    ] {
        place.fails(&line, 2, &[says]);
        for (name, content) in &before {
            assert!(place.read(name) == *content, "{line}: {name} changed");
        }
        assert_eq!(place.files("").len(), before.len(), "{line}");
    }
}

#[test]
fn what_goes_on_by_its_nature_may_be_named_twice() {
    let (place, _) = shop();
    let model = place.read("out/model.ogm");
    place.ok(&format!("{SCORE} --save-state out/state.ogs -o scores.csv"));
    place.ok("tiers --model out/model.ogm --review 10% -o out/model.ogm");
    assert!(place.read("out/model.ogm") != model);
    place.write("words.toml", "[[reason]]\nfeature = \"amount\"\ngroup = \"money\"\n");
    place.ok("reasons --model out/model.ogm --set words.toml -o out/model.ogm");
    // A run in the folder of an earlier one, with its files.
    place.ok("train --data old.csv --out out --trees 3 --schema out/schema.toml --params out/params.toml");
    place.ok(&format!("{SCORE} -o /dev/null"));
}

#[test]
fn a_dash_is_standard_output_or_refused() {
    let place = Place::new();
    place.write("a.csv", Table::narrow(1_300).csv());
    place.ok("train --data a.csv --out out --trees 3");
    let score = "score --model out/model.ogm --cold-start --data a.csv";
    let scores = place.ok(&format!("{score} --quiet")).out;
    assert_eq!(place.ok(&format!("{score} --quiet -o -")).out, scores);
    place.fails(&format!("{score} --audit -"), 2, &["--audit -: standard output takes the scores already"]);
    place.fails(&format!("{score} -o - --audit -"), 2, &["--audit -"]);
    let run = place.ok(&format!("{score} -o s.csv --audit -"));
    assert_eq!(place.text("s.csv"), scores);
    assert!(run.out.lines().count() == 1_300 && run.out.starts_with("{\"number\":1,"), "{}", run.err);
    place.fails(&format!("{score} --save-state -"), 2, &["--save-state: expected a file, found -"]);
    assert!(!place.path("-").exists());
}
