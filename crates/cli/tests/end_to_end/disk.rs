//! A disk that is full, and files that must not be replaced: what was there stays, nothing half-written appears.

use crate::harness::{Place, Table};

/// In front of a command: every file that it writes may have so many blocks of 512 bytes, and a larger one is an error of
/// the write, not a signal.
fn small_disk(blocks: u32, command: &str) -> String {
    format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$ORDERGUARD\" {command}")
}

#[test]
fn a_full_disk_leaves_no_file_of_a_run() {
    let place = Place::new();
    place.write("a.csv", Table::narrow(1_000).csv());
    let run = place.shell(&small_disk(8, "train --data a.csv --out out --trees 5"));
    run.failed(2, &["cannot write out/", "File too large"]);
    assert_eq!(place.files(""), ["a.csv"], "{}", run.err);
}

#[test]
fn a_full_disk_leaves_the_files_of_the_run_before() {
    let place = Place::new();
    place.write("a.csv", Table::narrow(1_000).csv());
    place.ok("train --data a.csv --out out --trees 5");
    let files = place.files("");
    let before: Vec<Vec<u8>> = files.iter().map(|name| place.read(name)).collect();
    let run = place.shell(&small_disk(8, "train --data a.csv --out out --trees 7 --seed 2 --label-delay 3d"));
    run.failed(2, &["cannot write out/", "File too large"]);
    assert_eq!(place.files(""), files);
    for (name, before) in files.iter().zip(before) {
        assert!(place.read(name) == before, "{name} was replaced");
    }
}

#[test]
fn scores_that_find_no_room_leave_the_state_as_it_was() {
    let place = Place::new();
    let table = Table::narrow(1_500);
    place.write("a.csv", table.part(0..1_000).csv());
    place.write("b.csv", table.part(1_000..1_500).csv());
    place.ok("train --data a.csv --out out --trees 5");
    let score = "score --model out/model.ogm --state out/state.ogs --data b.csv";
    // Scores of 500 orders take more than 8 KB; the state fits.
    std::fs::copy(place.path("out/state.ogs"), place.path("state.ogs")).unwrap();
    let before = place.files("");
    let run = place.shell(&format!("\"$ORDERGUARD\" {score} --save-state state.ogs > /dev/full"));
    run.failed(2, &["cannot write to standard output: No space left"]);
    assert!(place.read("state.ogs") == place.read("out/state.ogs"), "the state moved on, but nobody has the scores");
    let run = place.shell(&small_disk(8, &format!("{score} -o scores.csv --save-state state.ogs")));
    run.failed(2, &["cannot write s", "File too large"]);
    assert!(place.read("state.ogs") == place.read("out/state.ogs"));
    assert_eq!(place.files(""), before);
}

#[test]
fn standard_output_without_room() {
    let place = Place::new();
    place.write("a.csv", Table::narrow(1_000).csv());
    place.ok("train --data a.csv --out out --trees 5");
    let says = ["cannot write to standard output: No space left"];
    for command in [
        "simulate --orders 1000",
        "inspect out/model.ogm",
        "score --model out/model.ogm --cold-start --data a.csv",
        "evaluate --model out/model.ogm --cold-start --data a.csv --json",
        "train --data a.csv --out out2 --trees 5 --json",
        "schema --data a.csv -o s.toml",
    ] {
        place.shell(&format!("\"$ORDERGUARD\" {command} > /dev/full")).failed(2, &says);
    }
    assert!(!place.path("s.toml").exists());
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let place = Place::new();
    let run = place.shell("{ \"$ORDERGUARD\" simulate --orders 20000; echo $? >code; } | head -n 1");
    assert!(run.out.starts_with("event_id,"), "{}", run.out);
    assert_eq!((place.text("code").trim(), run.err.as_str()), ("0", ""));
}

#[test]
fn simulated_files_that_find_no_room() {
    let place = Place::new();
    for name in ["a.csv", "a.csv.gz", "a.csv.zst"] {
        let run = place.shell(&small_disk(8, &format!("simulate --orders 3000 -o {name}")));
        run.failed(2, &[&format!("cannot write {name}: File too large")]);
    }
    assert_eq!(place.files(""), [""; 0]);
}

#[test]
fn links_are_followed_and_devices_written_to() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let place = Place::new();
    symlink("/dev/full", place.path("full")).unwrap();
    symlink("/dev/null", place.path("null")).unwrap();
    place.write("real/a.csv", "old");
    symlink("real/a.csv", place.path("link.csv")).unwrap();
    place.fails("simulate --orders 1000 -o full", 2, &["cannot write full: No space left"]);
    place.ok("simulate --orders 10 -o null");
    place.ok("simulate --orders 10 -o link.csv");
    for link in ["full", "null", "link.csv"] {
        assert!(place.path(link).is_symlink(), "{link} was replaced by a file");
    }
    assert!(place.text("real/a.csv").starts_with("event_id,"));
    let mode = |name: &str| std::fs::metadata(place.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(place.shell("umask 077; \"$ORDERGUARD\" simulate --orders 10 -o private.csv").code, Some(0));
    assert_eq!(place.shell("umask 022; \"$ORDERGUARD\" simulate --orders 10 -o public.csv").code, Some(0));
    assert_eq!((mode("private.csv"), mode("public.csv")), (0o600, 0o644));
}
