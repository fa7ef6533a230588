//! Reports as files and on a terminal, on a made-up run.

mod common;

use common::{orders, report};
use orderguard_evaluation::report::{Column, Part, Report, Schema, Split, Threshold};
use orderguard_evaluation::terminal::{Style, render, schema_table};
use orderguard_evaluation::{Aim, Evaluation, threshold};

#[test]
fn a_report_reads_back_as_it_was() {
    for report in [report(), Report::default()] {
        let text = report.to_json();
        let back = Report::from_json(&text).unwrap();
        assert_eq!(back, report);
        assert_eq!(back.to_json(), text);
    }
}

#[test]
fn scripts_find_what_they_rely_on() {
    let json: serde_json::Value = serde_json::from_str(&report().to_json()).unwrap();
    assert_eq!(json["schema_version"], 1);
    for member in ["data", "schema", "split", "validation", "test", "threshold", "timing"] {
        assert!(json[member].is_object(), "{member}");
    }
    for part in ["validation", "test"] {
        let part = &json[part];
        assert!(part["n_rows"].is_u64() && part["n_fraud"].is_u64());
        for figure in ["roc_auc", "average_precision", "brier"] {
            assert!(part[figure].is_f64(), "{figure}");
        }
        for key in ["0.001", "0.005", "0.01", "0.05"] {
            assert!(part["recall_at_fpr"][key].is_f64(), "{key}");
        }
        for figure in ["precision", "recall", "false_positive_rate"] {
            assert!(part["at_threshold"][figure].is_f64(), "{figure}");
        }
        for count in ["tp", "fp", "tn", "fn"] {
            assert!(part["at_threshold"]["confusion"][count].is_u64(), "{count}");
        }
    }
    assert!(json["threshold"]["raw_score"].is_f64() && json["threshold"]["probability"].is_f64());
    assert_eq!(json["threshold"]["aim"], "false-positive rate at most 0.5 % in validation");
    for step in ["read", "features", "fit", "evaluate", "total"] {
        assert!(json["timing"][step].is_f64(), "{step}");
    }
    assert!(json["timing"]["peak_rss_bytes"].is_u64());
}

#[test]
fn undefined_figures_are_null_and_shown_as_not_available() {
    let test = Evaluation::compute(&[0.5, -1.0], &[0.6, 0.3], &[0, 0], None, 0.0).unwrap();
    let report = Report { test: Some(test), ..Report::default() };
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    assert!(json["test"]["roc_auc"].is_null() && json["test"]["recall_at_fpr"]["0.01"].is_null());
    assert!(json["validation"].is_null());
    let shown = render(&report, &Style::default());
    assert!(shown.contains("holds no fraud"), "{shown}");
    assert!(shown.contains("ROC AUC") && shown.contains("n/a") && !shown.contains("NaN"), "{shown}");
}

/// The whole page as it was looked at and found good; `UPDATE_SNAPSHOTS=1` writes it anew.
fn check(name: &str, shown: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots").join(name);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, shown).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert!(shown == expected, "{name} differs; found:\n{shown}");
}

#[test]
fn the_page_at_80_and_120_columns_and_in_ascii() {
    let report = report();
    check("report-80.txt", &render(&report, &Style::default()));
    check("report-120.txt", &render(&report, &Style { width: 120, ..Style::default() }));
    check("report-ascii.txt", &render(&report, &Style { ascii: true, ..Style::default() }));
}

#[test]
fn no_line_is_wider_than_the_terminal_and_ascii_is_ascii() {
    for width in [0, 40, 60, 80, 97, 120, 140, 500] {
        for ascii in [false, true] {
            let shown = render(&report(), &Style { width, ascii, colour: false });
            let widest = shown.lines().map(|line| line.chars().count()).max().unwrap();
            // Below 60 columns the widest row of numbers decides.
            assert!(widest <= width.clamp(66, 140), "{width}: {widest}\n{shown}");
            assert!(!ascii || shown.is_ascii(), "{shown}");
            assert!(!shown.contains('\x1b'));
        }
    }
}

#[test]
fn colour_only_adds_escapes() {
    let coloured = render(&report(), &Style { colour: true, ..Style::default() });
    assert!(coloured.contains("\x1b[1;36mData\x1b[0m"));
    let mut plain = String::new();
    let mut rest = coloured.as_str();
    while let Some((before, after)) = rest.split_once('\x1b') {
        plain += before;
        rest = after.split_once('m').unwrap().1;
    }
    assert_eq!(plain + rest, render(&report(), &Style::default()));
}

#[test]
fn odd_runs_are_rendered_too() {
    let style = Style::default();
    let shown = render(&Report::default(), &style);
    assert!(shown.starts_with("No labelled orders were measured"), "{shown}");

    let nothing = Evaluation::compute(&[], &[], &[], None, 0.0).unwrap();
    let shown = render(&Report { test: Some(nothing), ..Report::default() }, &style);
    assert!(shown.contains("holds no labelled order"), "{shown}");

    let frauds = Evaluation::compute(&[1.0], &[0.5], &[1], Some(&[9.5]), 2.0).unwrap();
    let shown = render(&Report { validation: Some(frauds), ..Report::default() }, &style);
    assert!(shown.contains("It stops no order at all.") && shown.contains("false alarms are unknown"), "{shown}");

    // No times: no bar, but the parts.
    let mut random = report();
    random.split = Split {
        protocol: "hash".into(),
        train: Some(Part::default()),
        notes: vec!["a split that is not by time flatters".into()],
        ..Split::default()
    };
    let shown = render(&random, &style);
    assert!(shown.contains("not by time") && shown.contains("flatters"), "{shown}");

    let choice = threshold::choose(&[1.0], &[0], Aim::F1).unwrap();
    let kept = Threshold { raw_score: choice.raw_score, probability: 0.1, aim: choice.aim_text, note: choice.note };
    let shown = render(&Report { threshold: Some(kept), ..Report::default() }, &style);
    assert!(shown.contains("Note: validation holds no fraud"), "{shown}");
}

#[test]
fn ten_thousand_columns_and_hostile_names_stay_readable() {
    let column =
        |i: usize| Column { name: format!("\x1b[2J{}", "c".repeat(i)), role: "number".into(), ..Column::default() };
    let schema = Schema { columns: (0..10_000).map(column).collect(), ..Schema::default() };
    let shown = schema_table(&schema, &Style::default());
    assert!(shown.contains("and 9,960 more") && !shown.contains('\x1b'), "{shown}");
    assert!(shown.lines().count() < 60);
}

#[test]
fn the_made_up_orders_are_told_apart() {
    let (raw, probability, labels, amounts) = orders(5_000, 0.01, 3);
    let figures = Evaluation::compute(&raw, &probability, &labels, Some(&amounts), 0.0).unwrap();
    assert!(figures.roc_auc.unwrap() > 0.9);
}
