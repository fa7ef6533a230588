//! A program in C against the shared and the static library: the same bits as in Rust, and no misuse that breaks it.
//!
//! `ORDERGUARD_C_RUNNER="valgrind -q --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite"` runs it under another
//! program. (What is possibly lost are time zones, which are kept for as long as the program runs.)

use std::ffi::OsString;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use orderguard_features::event::Value;
use orderguard_features::identity::{IdentityKey, PUBLIC_KEY};
use orderguard_features::state::Learned;
use orderguard_features::time::UnixMillis;
use orderguard_inference::audit::model_id;
use orderguard_inference::model::Model;
use orderguard_inference::reasons::{Language, ReasonScratch, Reasoner};
use orderguard_inference::rows::{RowModel, RowScorer};
use orderguard_inference::rules::{Decider, EntityList, Ground, Rules};
use orderguard_inference::service::OrderScorer;
use orderguard_inference::{Decision, Score, Scorer};

fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// The C compiler; without one nothing can be tested.
fn compiler() -> Option<OsString> {
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let found = Command::new(&compiler).arg("--version").output().is_ok_and(|output| output.status.success());
    if found {
        return Some(compiler);
    }
    assert!(std::env::var_os("CI").is_none(), "CI must have a C compiler");
    #[allow(clippy::print_stderr, reason = "says why a test does nothing")]
    {
        eprintln!("skipped: there is no C compiler ({})", compiler.display());
    }
    None
}

/// Builds the program with both kinds of library.
fn build(compiler: &OsString, folder: &Path) -> Vec<PathBuf> {
    // Cargo puts the libraries of the crate under test beside the tests.
    let program = std::env::current_exe().unwrap();
    let libraries = program.parent().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut built = Vec::new();
    for kind in ["shared", "static"] {
        let out = folder.join(kind);
        let mut command = Command::new(compiler);
        command.args(["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O1", "-g", "-I"]);
        command.arg(root.join("include")).arg(root.join("tests/program.c")).arg("-o").arg(&out);
        if kind == "shared" {
            command.arg("-L").arg(libraries).arg("-lorderguard_c").arg(format!("-Wl,-rpath,{}", libraries.display()));
        } else {
            command.arg(libraries.join("liborderguard_c.a"));
        }
        let output = command.args(["-lpthread", "-ldl", "-lm"]).output().unwrap();
        assert!(output.status.success(), "{kind}: {}", String::from_utf8_lossy(&output.stderr));
        built.push(out);
    }
    built
}

/// What the program prints.
fn run(program: &Path, args: &[&str]) -> String {
    let runner = std::env::var("ORDERGUARD_C_RUNNER").unwrap_or_default();
    let mut words = runner.split_whitespace();
    let mut command = match words.next() {
        Some(first) => Command::new(first),
        None => Command::new(program),
    };
    if !runner.is_empty() {
        command.args(words).arg(program);
    }
    let output = command.args(args).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {}: {errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

fn line(out: &mut String, what: &str, raw_score: f64, probability: f64, decision: i32) {
    writeln!(out, "{what} {:016x} {:016x} {decision}", raw_score.to_bits(), probability.to_bits()).unwrap();
}

/// What the program must print of these rows.
fn expected_rows(id: &str, names: &[String], n_rows: usize, score: impl Fn(usize) -> (f64, f64, i32)) -> String {
    let mut out = format!("model {id} of {} values\n", names.len());
    for name in names {
        writeln!(out, "value {name}").unwrap();
    }
    for what in [&["one f32", "one f64"][..], &["all f32"], &["all f64"]] {
        for i in 0..n_rows {
            let (raw_score, probability, decision) = score(i);
            for what in what {
                line(&mut out, what, raw_score, probability, decision);
            }
        }
    }
    out
}

/// Rows of thresholds' neighbours, odd codes, missing and infinite values.
fn odd_rows(n_values: usize) -> Vec<f32> {
    let odd =
        [19.99, 250.5, 250.5f32.next_up(), f32::NAN, f32::INFINITY, -0.0, 1.0, 2.0, 5.0, -1.0, 1e9, 0.5, 3.0, 1e-36];
    (0..n_values * 40).map(|i| odd[(i * 7 + i / 11) % odd.len()]).collect()
}

fn bytes(rows: &[f32]) -> Vec<u8> {
    rows.iter().flat_map(|x| x.to_ne_bytes()).collect()
}

/// The example of the documentation in C, and the header alone in C++, where there is a compiler for it.
#[test]
fn the_example_and_the_header_compile() {
    let Some(compiler) = compiler() else { return };
    let folder = tempfile::tempdir().unwrap();
    let page = std::fs::read_to_string(repository("docs/embedding-c.md")).unwrap();
    let example = page.split("```c\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let has_cpp = Command::new("c++").arg("--version").output().is_ok_and(|output| output.status.success());
    let cpp = has_cpp.then(|| (OsString::from("c++"), "header.cpp", "#include \"orderguard.h\"\n", "-std=c++17"));
    for (compiler, name, text, standard) in [(compiler, "example.c", example, "-std=c99")].into_iter().chain(cpp) {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let mut command = Command::new(compiler);
        command.args([standard, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", "-I"]);
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("include")).arg(path);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn c_sees_what_rust_sees() {
    let Some(compiler) = compiler() else { return };
    let folder = tempfile::tempdir().unwrap();
    let programs = build(&compiler, folder.path());
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    for name in ["gbt", "logistic", "scorecard", "spoken"] {
        let path = repository("models/golden/v0").join(format!("{name}.ogm"));
        let model = Model::load(&path).unwrap();
        let scorer = Scorer::compile(&model).unwrap();
        let n = scorer.n_features();
        let rows = odd_rows(n);
        let expected = expected_rows(&model_id(&model), &model.spec.names(), rows.len() / n, |i| {
            let Score { raw_score, probability, decision } = scorer.score(&rows[i * n..][..n]).unwrap();
            (raw_score, probability, decision as i32)
        });
        let rows = write("rows", &bytes(&rows));
        for program in &programs {
            let args = ["rows", path.to_str().unwrap(), &rows, &n.to_string()];
            assert_eq!(run(program, &args), expected, "{name}");
            run(program, &["threads", args[1], args[2], args[3]]);
        }
    }
    let path = repository("models/golden/v0/converted.ogm");
    let file = std::fs::read(&path).unwrap();
    let model = RowModel::from_bytes(&file).unwrap();
    let scorer = RowScorer::compile(&model).unwrap();
    let n = scorer.n_values();
    let rows = odd_rows(n);
    let id = format!("{:016x}", u64::from_be_bytes(file[32..40].try_into().unwrap()));
    let expected = expected_rows(&id, &model.names, rows.len() / n, |i| {
        let raw_score = scorer.raw_score_f32(&rows[i * n..][..n]).unwrap();
        (raw_score, scorer.probability(raw_score), -1)
    });
    let rows = write("rows", &bytes(&rows));
    let orders = orders_model();
    let path_of_orders = write("orders.ogm", &orders.to_bytes().unwrap());
    let expected_of_orders = expected_orders(&orders);
    for program in &programs {
        assert_eq!(run(program, &["rows", path.to_str().unwrap(), &rows, &n.to_string()]), expected);
        compare_orders(&run(program, &["orders", &path_of_orders]), &expected_of_orders);
        assert_eq!(run(program, &["misuse", &path_of_orders]), "");
    }
}

/// The kept model with words and tiers, for the public key.
fn orders_model() -> Model {
    let mut model = Model::load(repository("models/golden/v0/spoken.ogm")).unwrap();
    model.card.key_check = IdentityKey::new(PUBLIC_KEY).check();
    model
}

/// What `program.c` prints of its orders, as Rust has it; lines of JSON hold the numbers alone.
fn expected_orders(model: &Model) -> String {
    let key = IdentityKey::new(PUBLIC_KEY);
    let names: Vec<&str> = model.schema.columns.iter().map(|column| column.name.as_str()).collect();
    let list = |name: &str, trusted, ids: &[&str]| EntityList {
        name: name.into(),
        column: "card".into(),
        trusted,
        ids: ids.iter().map(|id| (*id).to_owned()).collect(),
    };
    let lists = vec![list("stolen", false, &["card 7"]), list("staff", true, &["card 8", "card 9"])];
    let rules = Rules { lists, first_order: None, fallback: Decision::Decline };
    let decider = Decider::new(OrderScorer::new(model, key, &names).unwrap(), model, &names, &rules).unwrap();
    let (scorer, reasoner) = (decider.scorer(), Reasoner::compile(model).unwrap());
    let (mut state, mut scratch, mut reasons) = (scorer.new_state(), scorer.scratch(), ReasonScratch::default());
    let mut out = String::new();
    let told = |out: &mut String, bytes: &[u8]| {
        let hash = bytes
            .iter()
            .fold(14_695_981_039_346_656_037u64, |h, byte| (h ^ u64::from(*byte)).wrapping_mul(1_099_511_628_211));
        writeln!(out, "state {} {hash:016x}", bytes.len()).unwrap();
    };
    for i in 0..200i64 {
        let arrival = UnixMillis(1_800_000_000_000 + i * 1000);
        let id = format!("o-{i}");
        let time = if i % 50 == 11 { "soon".into() } else { format!("2027-01-14T{:02}:00:00Z", i % 24) };
        let card = format!("card {}", i % 20);
        let values = [
            Value::Text(&id),
            Value::Text(&time),
            Value::Missing,
            Value::Number((i * 37 % 1000) as f64),
            Value::Number((i % 7) as f64),
            Value::Text(["PL", "DE", "Åland", "FR", ""][(i % 5) as usize]),
            Value::Text(&card),
        ];
        let verdict = decider.decide(&state, &values, arrival, &mut scratch);
        let (ground, list) = match verdict.ground {
            Ground::Model => (0, None),
            Ground::List(at) => (1, Some(["stolen", "staff"][at])),
            Ground::FirstOrder => (2, None),
            Ground::Unreadable => (3, None),
        };
        writeln!(out, "order {i} decision {} ground {ground}", verdict.decision as i32).unwrap();
        if let Some(list) = list {
            writeln!(out, "list {list}").unwrap();
        }
        let Some(Score { raw_score, probability, decision }) = verdict.score else {
            // Whoever is blocked is declined even where the order cannot be read.
            if ground == 3 {
                writeln!(out, "unreadable: {}", verdict.error.unwrap()).unwrap();
                continue;
            }
            panic!("the unreadable orders of this test are of nobody blocked");
        };
        line(&mut out, "score", raw_score, probability, decision as i32);
        let row = scratch.row().to_vec();
        for x in &row {
            write!(out, "{:016x} ", f64::from(*x).to_bits()).unwrap();
        }
        let language = if i % 2 == 0 { Language::English } else { Language::Polish };
        let found = reasoner.reasons(&row, raw_score, &mut reasons).unwrap();
        let against: Vec<_> = found.iter().filter(|reason| reason.log_odds > 0.0).take(3).collect();
        let texts: Vec<String> = against.iter().map(|reason| reasoner.text(reason, &row, language)).collect();
        writeln!(out, "\nreasons {}", texts.join("\n")).unwrap();
        let objects: Vec<serde_json::Value> = against
            .iter()
            .zip(&texts)
            .map(|(reason, text)| {
                serde_json::json!({
                    "group": reasoner.groups()[reason.group as usize], "text": text,
                    "log_odds": reason.log_odds, "probability": reason.probability,
                })
            })
            .collect();
        writeln!(out, "json {}", serde_json::Value::Array(objects)).unwrap();
        assert_eq!(scorer.learn(&mut state, &scratch), Learned::Taken);
        // The program tries again, which teaches nothing.
        assert_ne!(scorer.learn(&mut state, &scratch), Learned::Taken);
        if i % 10 == 3 {
            let learned = scorer.learn_label(&mut state, &id, UnixMillis(arrival.0 + 500), true);
            writeln!(out, "label {}", i32::from(learned == Learned::Taken)).unwrap();
        }
        if i == 100 {
            told(&mut out, &scorer.snapshot(&state));
        }
    }
    told(&mut out, &scorer.snapshot(&state));
    out
}

fn compare_orders(found: &str, expected: &str) {
    for (at, (found, expected)) in found.lines().zip(expected.lines()).enumerate() {
        assert_eq!(found, expected, "line {at}");
    }
    assert_eq!(found.len(), expected.len());
    // All that the program can print was there.
    for what in [
        "ground 0",
        "ground 1",
        "ground 3",
        "list stolen",
        "list staff",
        "label 1",
        "json [{",
        "decision 0",
        "decision 1",
        "decision 3",
    ] {
        assert!(found.contains(what), "{what}");
    }
}
