//! The same orders give the same bytes: for any number of threads, any order of the rows, any kind of file.

use crate::harness::{Place, Table, gzip, zstd};

/// Trains with these arguments; returns the bytes of model, state and schema.
#[track_caller]
fn trained(place: &Place, args: &str) -> [Vec<u8>; 3] {
    place.ok(&format!("train --out out {args}"));
    ["out/model.ogm", "out/state.ogs", "out/schema.toml"].map(|name| place.read(name))
}

#[track_caller]
fn assert_same(found: &[Vec<u8>; 3], expected: &[Vec<u8>; 3], what: &str) {
    for ((found, expected), name) in found.iter().zip(expected).zip(["model", "state", "schema"]) {
        assert!(found == expected, "{what}: the {name} differs");
    }
}

#[test]
fn threads_and_the_order_of_the_rows_change_nothing() {
    let table = Table::narrow(1_500);
    for options in ["--model gbt --trees 20", "--model logistic", "--model scorecard", "--model gbt --trees 5 --refit"]
    {
        let place = Place::new();
        place.write("a.csv", table.csv());
        place.write("shuffled.csv", table.shuffled().csv());
        let mut backwards = table.clone();
        backwards.rows.reverse();
        place.write("backwards.csv", backwards.csv());
        let expected = trained(&place, &format!("--data a.csv --threads 1 {options}"));
        for threads in [2, 4] {
            let found = trained(&place, &format!("--data a.csv --threads {threads} {options}"));
            assert_same(&found, &expected, &format!("{threads} threads, {options}"));
        }
        for name in ["shuffled", "backwards"] {
            let found = trained(&place, &format!("--data {name}.csv {options}"));
            assert_same(&found, &expected, &format!("{name}, {options}"));
        }
    }
}

#[test]
fn the_order_of_rows_changes_nothing_without_a_time() {
    let table = Table::narrow(1_500).without(&["order_time", "label_time"]);
    let place = Place::new();
    place.write("a.csv", table.csv());
    place.write("shuffled.csv", table.shuffled().csv());
    let expected = trained(&place, "--data a.csv --trees 10");
    assert_same(&trained(&place, "--data shuffled.csv --trees 10 --threads 3"), &expected, "shuffled");
}

#[test]
fn the_order_of_rows_changes_nothing_with_all_columns_and_equal_times() {
    let mut table = Table::simulated(1_200, 5);
    let time = table.column("order_time");
    // Whole hours, so that many orders share one.
    for row in &mut table.rows {
        row[time].replace_range(14.., "00:00Z");
    }
    let place = Place::new();
    place.write("a.csv", table.csv());
    place.write("shuffled.csv", table.shuffled().csv());
    let expected = trained(&place, "--data a.csv --trees 8 --threads 1");
    assert_same(&trained(&place, "--data shuffled.csv --trees 8 --threads 4"), &expected, "shuffled");
}

#[test]
fn the_kind_of_file_changes_nothing() {
    let table = Table::narrow(1_500);
    let csv = table.csv();
    let place = Place::new();
    place.write("a.csv", &csv);
    let expected = trained(&place, "--data a.csv --trees 10");
    let numbers = ["order_id", "amount", "n_items", "session_seconds", "label"];
    place.write("a.csv.gz", gzip(csv.as_bytes()));
    place.write("a.csv.zst", zstd(csv.as_bytes()));
    place.write("named-wrongly.csv", gzip(csv.as_bytes()));
    place.write("a.jsonl", table.json_lines(&numbers));
    place.write("texts.jsonl.zst", zstd(table.json_lines(&[]).as_bytes()));
    place.write("crlf.csv", format!("\u{feff}{}", csv.replace('\n', "\r\n")));
    place.write("semicolon.csv", table.delimited(b';'));
    place.write("tab.tsv", table.delimited(b'\t'));
    place.write("parts/2.csv", table.part(0..400).csv());
    place.write("parts/1.csv.zst", zstd(table.part(900..1_500).csv().as_bytes()));
    place.write("parts/3.jsonl", table.part(400..900).json_lines(&numbers));
    place.write("parts/README.md", "skipped");
    for data in [
        "a.csv.gz",
        "a.csv.zst",
        "named-wrongly.csv",
        "a.jsonl",
        "texts.jsonl.zst",
        "crlf.csv",
        "semicolon.csv",
        "semicolon.csv --delimiter ;",
        "tab.tsv",
        "parts/1.csv.zst parts/2.csv parts/3.jsonl",
        "parts/3.jsonl parts/2.csv parts/1.csv.zst",
        "parts",
    ] {
        assert_same(&trained(&place, &format!("--data {data} --trees 10")), &expected, data);
    }
    let run = place.run_with_input("train --data - --out out --trees 10", &zstd(csv.as_bytes()));
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert!(place.read("out/model.ogm") == expected[0], "standard input: the model differs");
}

#[test]
fn the_seed_is_all_that_chance_depends_on() {
    let place = Place::new();
    place.write("a.csv", Table::narrow(1_500).csv());
    let first = trained(&place, "--data a.csv --trees 10 --seed 1");
    assert_same(&trained(&place, "--data a.csv --trees 10"), &first, "seed 1 is the default");
    assert!(trained(&place, "--data a.csv --trees 10 --seed 2")[0] != first[0]);
}

#[test]
fn simulation_is_the_same_everywhere() {
    let place = Place::new();
    let first = place.ok("simulate --orders 500 --seed 4").out;
    assert_eq!(place.ok("simulate --orders 500 --seed 4 --threads 1 --quiet").out, first);
    place.ok("simulate --orders 500 --seed 4 -o a.csv");
    assert_eq!(place.text("a.csv"), first);
    assert_ne!(place.ok("simulate --orders 500 --seed 5").out, first);
    let orders = place.ok("simulate --orders 500 --seed 4 --orders-only -o orders.csv --quiet");
    assert_eq!((orders.out.as_str(), place.text("orders.csv").lines().count()), ("", 501));
    place.ok("simulate --orders 500 --seed 4 -o some.csv --events others.csv");
    assert_eq!(place.text("some.csv"), place.text("orders.csv"));
    assert_eq!(place.text("others.csv").lines().count() + 500, first.lines().count());
    place.ok("simulate --orders 500 --seed 4 -o a.csv.zst");
    place.ok("simulate --orders 500 --seed 4 -o b.csv.zst");
    assert_eq!(place.read("a.csv.zst"), place.read("b.csv.zst"));
    assert_eq!(zstd::decode_all(&place.read("a.csv.zst")[..]).unwrap(), first.as_bytes());
}

/// Columns are found by name: their order, and columns that the model does not know, are of no account.
#[test]
fn scores_do_not_depend_on_where_columns_stand() {
    let table = Table::simulated(1_300, 7);
    let place = Place::new();
    place.write("a.csv", table.csv());
    place.ok("train --data a.csv --out out --trees 8");
    let mut names: Vec<&str> = table.header.iter().map(String::as_str).collect();
    names.reverse();
    let backwards = table.select(&names).with("comment", |i, _| format!("\"{i}\", as they say"));
    place.write("backwards.csv", backwards.csv());
    place.write("a.jsonl", backwards.json_lines(&["amount", "n_items"]));
    place.write("needed.csv", table.without(&["label", "label_time", "fraud_kind"]).csv());
    let score = |data: &str| place.ok(&format!("score --model out/model.ogm --cold-start --data {data}"));
    let expected = score("a.csv").out;
    assert_eq!(score("backwards.csv").out, expected);
    // Without a header, rows stand one line higher; without labels, history learns less and another score may come out.
    let without_line =
        |text: &str| text.lines().map(|line| line.split_once(',').unwrap().1.to_owned()).collect::<Vec<_>>();
    assert_eq!(without_line(&score("a.jsonl").out), without_line(&expected));
    assert_eq!(score("needed.csv").cells().len(), 1_301);
}
