//! Files that cannot be learned from, and rows that cannot be read: a clear error or a counted rejection, nothing
//! half-written.

use crate::harness::{Place, Table, gzip, zstd};

const QUICK: &str = "--trees 10 --label-delay 7d";

/// Trains on a file of this content; it must fail and leave nothing in the output folder.
#[track_caller]
fn refused(name: &str, content: impl AsRef<[u8]>, options: &str, code: i32, says: &[&str]) {
    let place = Place::new();
    place.write(name, content);
    place.fails(&format!("train --data {name} --out out {options}"), code, says);
    assert_eq!(place.files(""), [name], "something was left behind");
}

/// Trains on a file of this content and returns the report.
#[track_caller]
fn trained(content: impl AsRef<[u8]>, options: &str) -> serde_json::Value {
    let place = Place::new();
    place.write("orders.csv", content);
    let run = place.ok(&format!("train --data orders.csv --out out {QUICK} --json {options}"));
    assert_eq!(
        place.files("out"),
        [
            "out/features.toml",
            "out/model.ogm",
            "out/params.toml",
            "out/report.html",
            "out/report.json",
            "out/schema.toml",
            "out/state.ogs"
        ]
    );
    serde_json::from_str(&run.out).unwrap()
}

#[track_caller]
fn rejections(report: &serde_json::Value) -> Vec<(u64, String, String)> {
    let first = report["rejections"]["first"].as_array().unwrap();
    assert_eq!(report["rejections"]["n"].as_u64().unwrap(), first.len() as u64);
    assert_eq!(report["data"]["n_rejected"], report["rejections"]["n"]);
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    first.iter().map(|r| (r["line"].as_u64().unwrap(), text(&r["column"]), text(&r["reason"]))).collect()
}

/// Sets a cell; returns the line it stands on.
fn set(table: &mut Table, row: usize, column: &str, value: &str) -> u64 {
    let column = table.column(column);
    value.clone_into(&mut table.rows[row][column]);
    row as u64 + 2
}

#[test]
fn an_empty_file() {
    for (name, content) in
        [("a.csv", Vec::new()), ("a.csv.gz", gzip(b"")), ("a.csv.zst", zstd(b"")), ("a.jsonl", vec![])]
    {
        refused(name, content, "", 1, &[name, "expected a table, found an empty file"]);
    }
    refused("a.csv", "\n\n\r\n", "", 1, &["a.csv: expected"]);
}

#[test]
fn a_header_only() {
    let header = "order_id,order_time,amount,label\n";
    refused("a.csv", header, "", 1, &["a.csv: expected rows after the header, found none"]);
    refused("a.csv", header.trim_end(), "", 1, &["a.csv"]);
    let place = Place::new();
    place.write("a.csv", header);
    place.fails("schema --data a.csv -o s.toml", 1, &["a.csv: expected rows after the header, found none"]);
    assert_eq!(place.files(""), ["a.csv"]);
}

#[test]
fn one_class_only() {
    let mut table = Table::narrow(400);
    let label = table.column("label");
    for row in &mut table.rows {
        row[label] = "0".into();
    }
    let says = "label: expected both fraud and honest orders, found ";
    refused("a.csv", table.csv(), "", 1, &[&format!("{says}0 fraud and 400 honest")]);
    for row in &mut table.rows {
        row[label] = "1".into();
    }
    refused("a.csv", table.csv(), "", 1, &[&format!("{says}400 fraud and 0 honest")]);
    for row in &mut table.rows {
        row[label] = String::new();
    }
    refused("a.csv", table.csv(), "--label label", 1, &["label", "found"]);
}

#[test]
fn one_class_without_a_time() {
    let mut table = Table::narrow(400).without(&["order_time", "label_time"]);
    let label = table.column("label");
    for row in &mut table.rows {
        row[label] = "0".into();
    }
    refused("a.csv", table.csv(), "", 1, &["expected both fraud and honest orders, found 0 fraud and 400 honest"]);
}

#[test]
fn no_label_found() {
    let table = Table::narrow(300).without(&["label", "label_time"]);
    let coin = table.with("gift", |i, _| (i % 3 / 2).to_string());
    refused("a.csv", table.csv(), "", 1, &["label: expected a column of 0/1", "found none"]);
    refused("a.csv", coin.csv(), "", 1, &["found none", "\"gift\"", "name one with --label"]);
}

#[test]
fn two_candidates_for_the_label() {
    let table = Table::narrow(300);
    let label = table.column("label");
    let two = table.renamed("label", "is_fraud").with("fraud_flag", |_, row| row[label].clone());
    refused(
        "a.csv",
        two.csv(),
        "",
        1,
        &["label: expected one column, found", "\"is_fraud\"", "\"fraud_flag\"", "--label"],
    );
}

#[test]
fn a_label_that_is_none() {
    refused(
        "a.csv",
        Table::narrow(300).csv(),
        "--label amount",
        1,
        &["label \"amount\": expected 0/1", "found them in"],
    );
}

#[test]
fn unknown_column_names() {
    let csv = Table::narrow(1_000).csv();
    refused("a.csv", &csv, "--label labell", 2, &["label", "\"label\"", "found \"labell\""]);
    refused("a.csv", &csv, "--keep nonsense", 2, &["keep", "\"nonsense\""]);
    refused("a.csv", &csv, "--drop-known-entities nonsense", 2, &["--drop-known-entities: expected", "\"nonsense\""]);
    refused(
        "a.csv",
        &csv,
        "--drop-known-entities amount",
        2,
        &["--drop-known-entities: expected an entity", "\"amount\""],
    );
    refused("a.csv", &csv, "--timezone Mars/Olympus", 2, &["timezone", "Mars/Olympus"]);
}

#[test]
fn a_schema_of_other_columns() {
    let place = Place::new();
    place.write("a.csv", Table::narrow(300).csv());
    place.write("b.csv", Table::narrow(300).renamed("amount", "total").csv());
    place.ok("schema --data a.csv -o s.toml --quiet");
    let says = ["b.csv: expected a column \"amount\", found ", "\"total\""];
    place.fails("train --data b.csv --schema s.toml --out out", 1, &says);
    assert_eq!(place.files(""), ["a.csv", "b.csv", "s.toml"]);
}

#[test]
fn a_schema_that_is_none() {
    let place = Place::new();
    place.write("a.csv", Table::narrow(100).csv());
    for (text, says) in [
        ("[[column]\n", "s.toml"),
        ("[[column]]\nname = \"amount\"\nrole = \"wizard\"\n", "wizard"),
        ("[[column]]\nname = \"label\"\nrole = \"label\"\n[[column]]\nname = \"label\"\nrole = \"label\"\n", "label"),
        ("timezone = \"Mars/Olympus\"\n[[column]]\nname = \"label\"\nrole = \"label\"\n", "Mars/Olympus"),
    ] {
        place.write("s.toml", text);
        place.fails("train --data a.csv --schema s.toml --out out", 2, &["s.toml: ", says]);
    }
    place.fails("train --data a.csv --schema none.toml --out out", 2, &["cannot read none.toml"]);
    place.write("s.toml", "[[column]]\nname = \"amount\"\nrole = \"amount\"\n");
    place.fails("train --data a.csv --schema s.toml --out out", 1, &["no label column", "--labels"]);
    assert_eq!(place.files(""), ["a.csv", "s.toml"]);
}

#[test]
fn two_columns_of_one_name() {
    let table = Table::narrow(100).renamed("n_items", "amount");
    refused("a.csv", table.csv(), "", 1, &["a.csv: two columns are named \"amount\", number 4 and 6"]);
}

#[test]
fn nan_is_missing_and_infinity_a_rejected_row() {
    let mut table = Table::narrow(1_500);
    set(&mut table, 10, "session_seconds", "NaN");
    set(&mut table, 11, "session_seconds", "nan");
    let lines = [
        set(&mut table, 20, "session_seconds", "inf"),
        set(&mut table, 21, "session_seconds", "-Infinity"),
        set(&mut table, 22, "session_seconds", "1e39"),
        set(&mut table, 23, "amount", "inf"),
    ];
    let report = trained(table.csv(), "");
    let found = rejections(&report);
    assert_eq!(found.iter().map(|(line, ..)| *line).collect::<Vec<_>>(), lines);
    for (_, column, reason) in &found[..3] {
        assert_eq!(column, "session_seconds");
        assert!(reason.contains("expected a finite number"), "{reason}");
    }
    assert_eq!(found[3].1, "amount");
    assert_eq!(report["data"]["n_accepted"], 1_496);
}

#[test]
fn text_in_number_columns() {
    let mut table = Table::narrow(1_500);
    let private = "jane.roe@example.com";
    let line = set(&mut table, 700, "session_seconds", private);
    let report = trained(table.csv(), "");
    let says = "expected a number, found text of 20 characters".to_owned();
    assert_eq!(rejections(&report), [(line, "session_seconds".into(), says)]);
    assert!(!report.to_string().contains(private), "the text of a cell is in the report");
}

#[test]
fn too_many_bad_rows() {
    let mut table = Table::narrow(300);
    let place = Place::new();
    place.write("a.csv", table.csv());
    place.ok("schema --data a.csv -o s.toml --quiet");
    for row in 0..4 {
        set(&mut table, 10 + row, "session_seconds", "a while");
    }
    place.write("a.csv", table.csv());
    let says = [
        "4 of 300 rows cannot be read, at most 3 may; the first: a.csv: line 12: column \"session_seconds\": expected a number, \
         found text of 7 characters",
    ];
    place.fails("train --data a.csv --schema s.toml --out out", 1, &says);
    assert_eq!(place.files(""), ["a.csv", "s.toml"]);
    place.ok("train --data a.csv --schema s.toml --out out --max-rejected 2% --trees 5");
}

#[test]
fn times_out_of_range() {
    let mut table = Table::narrow(1_500);
    let lines = [
        set(&mut table, 3, "order_time", "0001-01-01T00:00:00Z"),
        set(&mut table, 4, "order_time", "9999-12-31T23:59:59Z"),
        set(&mut table, 5, "order_time", "2024-13-45T00:00:00Z"),
        set(&mut table, 6, "order_time", ""),
    ];
    let found = rejections(&trained(table.csv(), ""));
    assert_eq!(found.iter().map(|(line, ..)| *line).collect::<Vec<_>>(), lines);
    assert!(found.iter().all(|(_, column, _)| column == "order_time"));
    let says = ["from 1900 up to 2200", "from 1900 up to 2200", "expected a time such as", "expected a value (time)"];
    for ((_, _, reason), says) in found.iter().zip(says) {
        assert!(reason.contains(says), "{reason}");
    }
}

#[test]
fn all_times_out_of_range() {
    let mut table = Table::narrow(300);
    let time = table.column("order_time");
    for (i, row) in table.rows.iter_mut().enumerate() {
        row[time] = format!("9999-01-{:02}T00:00:00Z", i % 28 + 1);
    }
    let place = Place::new();
    place.write("a.csv", Table::narrow(300).csv());
    place.ok("schema --data a.csv -o s.toml --quiet");
    place.write("a.csv", table.csv());
    let says = ["300 of 300 rows cannot be read", "a.csv: line 2: column \"order_time\"", "from 1900 up to 2200"];
    place.fails("train --data a.csv --schema s.toml --out out", 1, &says);
    assert_eq!(place.files(""), ["a.csv", "s.toml"]);
}

#[test]
fn repeated_ids_are_counted_and_not_used() {
    let table = Table::narrow(1_500);
    let place = Place::new();
    place.write("once.csv", table.csv());
    let mut twice = table.clone();
    twice.rows.extend(table.rows[200..205].to_vec());
    place.write("twice.csv", twice.csv());
    for name in ["once", "twice"] {
        place.ok(&format!("train --data {name}.csv --out {name} {QUICK}"));
    }
    let report = place.json("twice/report.json");
    assert_eq!(report["data"]["n_duplicates"], 5);
    assert_eq!(report["data"]["n_accepted"], 1_505);
    let once = place.json("once/report.json");
    for member in ["n_fraud", "n_unlabelled", "fraud_share", "amounts"] {
        assert_eq!(report["data"][member], once["data"][member], "{member}");
    }
    assert_eq!(report["split"], once["split"]);
    assert_eq!(report["test"], once["test"]);
}

#[test]
fn ten_thousand_columns() {
    let mut table = Table::narrow(250);
    table.header.extend((0..10_000).map(|i| format!("x{i}")));
    for (i, row) in table.rows.iter_mut().enumerate() {
        row.extend((0..10_000).map(|j| ((i * 31 + j * 17 + i * j) % 97).to_string()));
    }
    let place = Place::new();
    place.write("a.csv", table.csv());
    place.ok("train --data a.csv --out out --trees 3 --leaves 3");
    assert_eq!(place.json("out/report.json")["schema"]["columns"].as_array().unwrap().len(), 10_009);
    let scored = place.ok("score --model out/model.ogm --cold-start --data a.csv").cells();
    assert_eq!(scored.len(), 251);
}

#[test]
fn a_field_of_five_megabytes() {
    let mut table = Table::narrow(1_500);
    let long = "x".repeat(5 << 20);
    let lines = [set(&mut table, 40, "payment_method", &long), set(&mut table, 42, "amount", &long)];
    let found = rejections(&trained(table.csv(), ""));
    let reason = "expected at most 1048576 bytes in a field, found 5242880".to_owned();
    assert_eq!(found, [(lines[0], "payment_method".into(), reason.clone()), (lines[1], "amount".into(), reason)]);
}

#[test]
fn a_header_of_five_megabytes() {
    let mut table = Table::narrow(300);
    table.header[5] = "x".repeat(5 << 20);
    let place = Place::new();
    place.write("a.csv", table.csv());
    for command in ["train --out out", "train --out out --label labell", "schema -o s.toml"] {
        let run = place.run(&format!("{command} --data a.csv"));
        run.failed(1, &["a.csv: column 6", "expected a name of at most 4096 bytes, found 5242880"]);
        assert!(run.err.len() < 4_096, "the message repeats the field: {} bytes", run.err.len());
    }
    assert_eq!(place.files(""), ["a.csv"]);
}

#[test]
fn a_file_without_a_header() {
    let place = Place::new();
    let csv = Table::simulated(1_000, 3).csv();
    place.write("whole.csv", &csv);
    place.write("a.csv", csv.split_once('\n').unwrap().1);
    place.ok("train --data whole.csv --out out --trees 3 --quiet");
    for command in ["train --out o2", "schema -o s.toml", "score --model out/model.ogm --cold-start"] {
        let says = ["a.csv: expected names of columns in the first row, found a time in field 2"];
        let run = place.fails(&format!("{command} --data a.csv"), 1, &says);
        assert!(!run.err.contains('@'), "{}", run.err);
    }
    assert_eq!(place.files("o2"), [""; 0]);
}

#[test]
fn an_open_quote() {
    let mut csv = Table::narrow(1_500).csv();
    let at = csv.match_indices('\n').nth(700).unwrap().0 + 1;
    csv.insert(at, '"');
    let found = rejections(&trained(csv, ""));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, 702);
    assert!(found[0].2.contains("a quote opens in this row and does not close"));
}

#[test]
fn a_truncated_archive() {
    let csv = Table::simulated(2_000, 3).csv();
    for (name, whole) in [("a.csv.gz", gzip(csv.as_bytes())), ("a.csv.zst", zstd(csv.as_bytes()))] {
        for cut in [whole.len() / 2, whole.len() - 3, 9, 3, 1] {
            refused(name, &whole[..cut], "", 1, &[&format!("{name}: byte {cut}: the compressed file is cut off here")]);
        }
    }
}

#[test]
fn a_damaged_archive() {
    let csv = Table::simulated(2_000, 3).csv();
    for (name, mut whole) in [("a.csv.gz", gzip(csv.as_bytes())), ("a.csv.zst", zstd(csv.as_bytes()))] {
        // In the tables of the first block: damage in the text alone would show only where there is a checksum.
        whole[24..64].fill(0x5a);
        refused(name, &whole, "", 1, &[name, "the compressed file is damaged"]);
    }
}

#[test]
fn other_things_than_tables() {
    refused("a.csv", b"PAR1\x00\x01\x02\x03", "", 1, &["a.csv: ", "Parquet"]);
    refused("a.csv", b"\xff\xfeo\x00r\x00d\x00", "", 1, &["a.csv: expected delimited text or JSON Lines"]);
    refused("a.jsonl", b"[1, 2]\n[3, 4]\n", "", 1, &["a.jsonl"]);
}

#[test]
fn paths_that_cannot_be_read() {
    let place = Place::new();
    place.write("a.csv", Table::narrow(100).csv());
    place.write("empty/notes.md", "nothing here");
    place.fails("train --data none.csv --out out", 2, &["none.csv: No such file"]);
    place.fails("train --data a.csv none.csv --out out", 2, &["none.csv: No such file"]);
    place.fails("train --data a.csv/b.csv --out out", 2, &["a.csv/b.csv: Not a directory"]);
    place.fails("train --data empty --out out", 2, &["empty: expected .csv", "found none (1 other files)"]);
    place.fails("train --data a.csv --labels none.csv --out out", 2, &["none.csv: No such file"]);
    place.fails("train --data a.csv --key-file none --out out", 2, &["cannot read ", "none: No such file"]);
    place.write("short", "secret");
    place.fails("train --data a.csv --key-file short --out out", 2, &["short: expected at least 16 bytes, found 6"]);
    place.fails("schema --data none.csv", 2, &["none.csv: No such file"]);
    for command in ["score", "evaluate"] {
        let model = format!("{command} --model none.ogm --data a.csv --cold-start");
        place.fails(&model, 2, &["cannot read none.ogm: No such file"]);
        place.fails(&format!("{command} --model empty --data a.csv --cold-start"), 2, &["cannot read empty: Is a dir"]);
    }
    place.fails("inspect none.ogm", 2, &["cannot read none.ogm: No such file"]);
    assert_eq!(place.files(""), ["a.csv", "empty/notes.md", "short"]);
}

#[test]
fn a_file_without_the_right_to_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    place.write("a.csv", Table::narrow(100).csv());
    std::fs::set_permissions(place.path("a.csv"), std::fs::Permissions::from_mode(0o000)).unwrap();
    // The administrator reads everything.
    if std::fs::File::open(place.path("a.csv")).is_err() {
        place.fails("train --data a.csv --out out", 2, &["a.csv: Permission denied"]);
        assert_eq!(place.files(""), ["a.csv"]);
    }
}

#[test]
fn an_output_folder_that_is_a_file() {
    let place = Place::new();
    place.write("a.csv", Table::narrow(1_000).csv());
    place.write("out", "something precious");
    place.fails("train --data a.csv --out out", 2, &["cannot make folder out: File exists"]);
    place.fails("train --data a.csv --out out/models", 2, &["cannot make folder out/models: Not a directory"]);
    place.fails("simulate --orders 10 -o none/a.csv", 2, &["cannot write none/a.csv: No such file"]);
    place.write("folder/b.csv", "");
    place.fails("simulate --orders 10 -o folder", 2, &["cannot write folder: is a directory"]);
    assert_eq!(place.text("out"), "something precious");
    assert_eq!(place.files(""), ["a.csv", "folder/b.csv", "out"]);
}

#[test]
fn what_is_typed_wrongly() {
    let place = Place::new();
    place.write("a.csv", Table::narrow(100).csv());
    for (args, says) in [
        ("", "Usage"),
        ("train", "--data"),
        ("train --data a.csv --trees 0", "trees"),
        ("train --data a.csv --learning-rate 7", "--learning-rate"),
        ("train --data a.csv --label-delay soon", "--label-delay"),
        ("train --data a.csv --max-rejected 200%", "--max-rejected"),
        ("train --data a.csv --train-from yesterday", "--train-from"),
        ("train --data a.csv --aim luck", "--aim"),
        ("train --data a.csv --model forest", "gbt"),
        ("train --data a.csv --threads 0", "--threads"),
        ("train --data a.csv --schema s.toml --label x", "--schema"),
        ("score --model m --data a.csv --cold-start --state s", "--cold-start"),
        ("score --model m --data a.csv --state s --history a.csv", "--history"),
        ("simulate --orders 10 --fraud-share 2", "--fraud-share"),
    ] {
        let run = place.run(args);
        assert_eq!(run.code, Some(2), "{args}: {}", run.err);
        assert!(run.err.contains(says) && !run.err.contains("panicked"), "{args}: {}", run.err);
    }
    assert_eq!(place.files(""), ["a.csv"]);
}

/// Names come from strangers: on a terminal they must not move the cursor or change its colours.
#[test]
fn control_characters_in_names_reach_no_terminal() {
    let place = Place::new();
    let table = Table::narrow(1_300).renamed("n_items", "n\u{1b}[31mitems\u{7}");
    place.write("a.csv", table.csv());
    let runs = [
        place.ok("schema --data a.csv -o s.toml"),
        place.ok("train --data a.csv --out out --trees 5"),
        place.ok("train --data a.csv --schema s.toml --out out --trees 5"),
        place.ok("inspect out/model.ogm"),
        place.run("train --data a.csv --out out --label l\u{1b}[31m"),
        place.run("train --data \u{1b}[31m.csv --out out"),
    ];
    for run in runs {
        let shown = run.out + &run.err;
        let found = shown.chars().find(|c| c.is_control() && *c != '\n');
        assert_eq!(found, None, "{shown:?}");
    }
}
