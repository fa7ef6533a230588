//! The help of every command, word for word. `ORDERGUARD_REWRITE=1 cargo test -p orderguard help` writes the files anew.

use crate::harness::{Place, repository};

/// Compares what was printed with the file of this name under `tests/snapshots`.
#[track_caller]
fn check(found: &str, name: &str) {
    let path = repository("crates/cli/tests/snapshots").join(name);
    if std::env::var_os("ORDERGUARD_REWRITE").is_some() {
        std::fs::write(path, found).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(found, expected, "{name}; ORDERGUARD_REWRITE=1 writes it anew");
}

#[test]
fn help_is_as_kept() {
    let place = Place::new();
    for command in [
        "",
        "train",
        "evaluate",
        "score",
        "explain",
        "reasons",
        "verify-log",
        "tiers",
        "compare",
        "threshold",
        "monitor",
        "schema",
        "features",
        "replay-check",
        "state",
        "inspect",
        "convert",
        "export",
        "simulate",
    ] {
        let run = place.ok(&format!("{command} --help"));
        assert_eq!(run.err, "");
        let name = if command.is_empty() { "orderguard" } else { command };
        check(&run.out, &format!("{name}.txt"));
        let short = place.ok(&format!("{command} -h"));
        assert!(short.out.lines().count() <= run.out.lines().count());
    }
}

#[test]
fn help_teaches_by_example() {
    let place = Place::new();
    for command in [
        "train",
        "evaluate",
        "score",
        "explain",
        "reasons",
        "verify-log",
        "tiers",
        "compare",
        "threshold",
        "monitor",
        "schema",
        "features",
        "replay-check",
        "state",
        "inspect",
        "convert",
        "export",
        "simulate",
    ] {
        let run = place.ok(&format!("{command} --help"));
        assert!(run.out.contains(&format!("    orderguard {command} ")), "{}", run.out);
    }
    assert_eq!(place.ok("--version").out, format!("orderguard {}\n", env!("CARGO_PKG_VERSION")));
}
