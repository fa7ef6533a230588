//! The sections of the page.

use std::collections::BTreeMap;

use super::charts::charts;
use super::slider;
use super::view::{Block, Page, Section, Table};
use crate::chart::Picture;
use crate::evaluation::Evaluation;
use crate::interval::Interval;
use crate::report::{Part, Report, Segment, Slice, ThresholdRow};
use crate::terminal::{self, figure_rows, judged};
use crate::tiers::TierFigures;
use crate::words::{bytes, count, counted, day, minute, money, percent, seconds};

const DAY_MS: f64 = 86_400_000.0;
/// Columns of the data shown before "and more".
const MAX_COLUMNS: usize = 200;

pub(super) fn page(report: &Report) -> Page {
    let pictures = charts(report);
    let chart = |id: &str| {
        let found = pictures.iter().find(|chart| chart.id == id);
        found.map(|chart| Block::Chart(Picture::inline(&chart.picture, chart.id)))
    };
    let sections = [
        Section::new("threshold", "The threshold", threshold(report)),
        Section::new("tiers", "Decisions of the tiers", tiers(report)),
        Section::new(
            "figures",
            "Figures",
            [figures(report), chart("precision-recall"), chart("roc"), chart("scores")].into_iter().flatten().collect(),
        ),
        Section::new(
            "calibration",
            "Probabilities",
            [chart("calibration"), reliability(report)].into_iter().flatten().collect(),
        ),
        Section::new("money", "Money", money_section(report)),
        Section::new("choices", "Other thresholds", choices(report)),
        Section::new(
            "weeks",
            "Week by week",
            [chart("weeks"), slices_of(report, "week from", |e| &e.weeks)].into_iter().flatten().collect(),
        ),
        Section::new(
            "days",
            "Day by day",
            [chart("daily-orders"), chart("daily-precision")].into_iter().flatten().collect(),
        ),
        Section::new("segments", "Segments", chart("segments").into_iter().chain(segments(report)).collect()),
        Section::new(
            "kinds",
            "Kinds of abuse",
            [chart("kinds"), slices_of(report, "kind", |e| &e.kinds)].into_iter().flatten().collect(),
        ),
        Section::new("features", "What the model looks at", chart("importance").into_iter().collect()),
        Section::new("data", "Data", data(report)),
        Section::new("folds", "Folds forward in time", folds(report).into_iter().collect()),
        Section::new("split", "How the orders were divided", split(report)),
        Section::new("columns", "Columns", columns(report)),
        Section::new("model", "The model", model(report)),
    ];
    Page {
        title: "Which orders are fraudulent: what the model finds".into(),
        program: report.program.clone(),
        lead: terminal::sentences(report),
        banner: banner(report),
        sections: sections.into_iter().flatten().collect(),
        footer: footer(report),
        script: include_str!("page.js"),
    }
}

/// What to know before one believes the figures.
fn banner(report: &Report) -> Vec<String> {
    let unresolved = match &report.unresolved {
        Some(unresolved) => Some(unresolved.text.clone()),
        None => (report.split.n_unresolved > 0).then(|| {
            format!(
                "{} are too recent for a label: they are in no figure and not counted as honest.",
                counted(report.split.n_unresolved, "order")
            )
        }),
    };
    let selection = report.selection.as_ref().and_then(|selection| selection.warning.clone());
    let mut lines: Vec<String> = unresolved.into_iter().chain(selection).collect();
    lines.extend(report.notes.iter().cloned());
    lines
}

fn threshold(report: &Report) -> Vec<Block> {
    let (Some(threshold), Some((_, figures))) = (&report.threshold, judged(report)) else { return Vec::new() };
    let n_days = figures.n_days.map(|days| days as f64);
    let mut blocks = vec![Block::Paragraph(format!(
        "Orders are stopped from raw score {:.4} on, which is a probability of {}. It was chosen for: {}.",
        threshold.raw_score,
        percent(Some(threshold.probability)),
        threshold.aim
    ))];
    blocks.extend(threshold.note.clone().map(Block::Paragraph));
    blocks.extend(slider::blocks(figures, threshold.raw_score, n_days));
    blocks
}

fn tiers(report: &Report) -> Vec<Block> {
    let Some((part, figures)) = judged(report).filter(|(_, figures)| !figures.tiers.is_empty()) else {
        return Vec::new();
    };
    let header = [
        "",
        "from raw score",
        "orders",
        "share",
        "frauds",
        "precision",
        "of all frauds",
        "fraud value",
        "honest value",
    ];
    let row = |tier: &TierFigures| {
        let value = |of: &dyn Fn(&crate::tiers::TierValue) -> f64| {
            tier.value.as_ref().map_or("n/a".into(), |v| money(of(v), None))
        };
        vec![
            tier.decision.clone(),
            tier.raw_score.map_or_else(|| "-".to_owned(), |raw| format!("{raw:.4}")),
            count(tier.n_rows),
            percent(tier.share),
            count(tier.n_fraud),
            percent(tier.precision),
            percent(tier.recall),
            value(&|v| v.fraud),
            value(&|v| v.honest),
        ]
    };
    vec![Block::Table(Table {
        caption: format!("What each decision does in the {part} part"),
        header: header.map(str::to_owned).to_vec(),
        rows: figures.tiers.iter().map(row).collect(),
        right: (1..header.len()).collect(),
        ..Table::default()
    })]
}

/// A figure with its interval behind it.
fn with_interval(value: Option<f64>, interval: Option<Interval>) -> String {
    let interval =
        interval.map_or(String::new(), |i| format!(" ({} to {})", percent(Some(i.low)), percent(Some(i.high))));
    format!("{}{interval}", percent(value))
}

fn money_section(report: &Report) -> Vec<Block> {
    let Some((part, figures)) = judged(report) else { return Vec::new() };
    let Some(found) = &figures.money else { return Vec::new() };
    let currency = match report.data.amounts.as_slice() {
        [only] => only.currency.as_deref(),
        _ => None,
    };
    let money = |amount: f64| money(amount, currency);
    let reduction = figures.intervals.as_ref().and_then(|intervals| intervals.at_threshold.loss_reduction);
    let points = |bp: Option<f64>| bp.map_or("n/a".to_owned(), |bp| format!("{bp:.1} basis points"));
    let mut rows = vec![
        ("loss if nothing were stopped", money(found.loss_doing_nothing)),
        ("loss with these decisions", money(found.loss)),
        ("savings", money(found.savings)),
        ("loss reduction", with_interval(found.loss_reduction, reduction)),
        ("fraud in the value of orders, before", points(found.fraud_bp_before)),
        ("fraud in the value of orders let through", points(found.fraud_bp_after)),
    ];
    if let Some(expected) = found.expected_loss {
        rows.push(("loss that the probabilities foretell", money(expected)));
    }
    if let Some(best) = &found.best {
        rows.push(("least loss of any threshold, in hindsight", money(best.loss)));
    }
    let mut blocks = vec![Block::Table(Table {
        caption: format!("What the decisions cost in the {part} part, 95 % interval in brackets"),
        header: vec![String::new(), String::new()],
        rows: rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect(),
        right: vec![1],
        ..Table::default()
    })];
    if let Some(costs) = &report.costs {
        let lead = if costs.is_default {
            "Nobody gave a cost table, so these figures stand on a modest one; --costs takes yours."
        } else {
            "The cost table that was given:"
        };
        blocks.push(Block::Paragraph(lead.into()));
        blocks.push(Block::Items(costs.words.clone()));
    }
    blocks
}

/// Thresholds of other aims.
fn choices(report: &Report) -> Vec<Block> {
    let Some((part, figures)) = judged(report).filter(|(_, figures)| !figures.thresholds.is_empty()) else {
        return Vec::new();
    };
    let row = |found: &ThresholdRow| {
        let at = &found.at_threshold;
        let intervals = found.intervals.unwrap_or_default();
        vec![
            format!("{}{}", found.aim, if found.is_used { " (in use)" } else { "" }),
            format!("{:.4}", found.raw_score),
            with_interval(at.precision, intervals.precision),
            with_interval(at.recall, intervals.recall),
            with_interval(at.false_positive_rate, intervals.false_positive_rate),
            found.alerts_per_day.map_or("n/a".into(), |alerts| format!("{alerts:.1}")),
            found.money.as_ref().map_or("n/a".into(), |found| money(found.savings, None)),
        ]
    };
    let header = ["chosen for", "raw score", "precision", "recall", "false alarms", "alerts a day", "savings"];
    vec![Block::Table(Table {
        caption: format!("Thresholds chosen on validation, and what they do in the {part} part (95 % intervals)"),
        header: header.map(str::to_owned).to_vec(),
        rows: figures.thresholds.iter().map(row).collect(),
        right: vec![1, 2, 3, 4, 5, 6],
        ..Table::default()
    })]
}

fn slice_row(slice: &Slice) -> Vec<String> {
    let at = &slice.at_threshold;
    let intervals = slice.intervals.unwrap_or_default();
    let figure = |value: Option<f64>| value.map_or("n/a".into(), |value| format!("{value:.3}"));
    vec![
        slice.name.clone(),
        count(slice.n_rows),
        count(slice.n_fraud),
        figure(slice.roc_auc),
        figure(slice.average_precision),
        with_interval(at.recall, intervals.recall),
        with_interval(at.precision, intervals.precision),
        with_interval(at.false_positive_rate, intervals.false_positive_rate),
        slice.note.clone().unwrap_or_default(),
    ]
}

fn slice_table(caption: String, name: &str, slices: &[Slice]) -> Block {
    let header = [name, "orders", "frauds", "ROC AUC", "average precision", "recall", "precision", "false alarms", ""];
    Block::Table(Table {
        caption,
        header: header.map(str::to_owned).to_vec(),
        rows: slices.iter().map(slice_row).collect(),
        right: (1..8).collect(),
        ..Table::default()
    })
}

fn slices_of(report: &Report, name: &str, of: impl Fn(&Evaluation) -> &Vec<Slice>) -> Option<Block> {
    let (part, figures) = judged(report)?;
    let slices = of(figures);
    (!slices.is_empty())
        .then(|| slice_table(format!("At the threshold, in the {part} part (95 % intervals)"), name, slices))
}

fn segments(report: &Report) -> Vec<Block> {
    let Some((_, figures)) = judged(report) else { return Vec::new() };
    let table = |segment: &Segment| {
        let more = match segment.n_rows_in_others {
            0 => String::new(),
            n => format!("; {} of rarer values are not shown", counted(n, "order")),
        };
        slice_table(format!("By {}, the weakest first{more}", segment.column), &segment.column, &segment.slices)
    };
    figures.segments.iter().map(table).collect()
}

fn figures(report: &Report) -> Option<Block> {
    let (header, rows) = figure_rows(report, true)?;
    let right = (1..header.len() - 1).collect();
    Some(Block::Table(Table { caption: "Measures of each part".into(), header, rows, right, ..Table::default() }))
}

fn reliability(report: &Report) -> Option<Block> {
    let (part, figures) = judged(report)?;
    let filled: Vec<_> = figures.reliability.iter().filter(|bin| bin.n_rows > 0).collect();
    let row = |bin: &&crate::curve::ReliabilityBin| {
        vec![
            format!("{} to {}", percent(Some(bin.from)), percent(Some(bin.until))),
            count(bin.n_rows),
            count(bin.n_fraud),
            percent(bin.mean_probability),
            percent(bin.observed),
        ]
    };
    (!filled.is_empty()).then(|| {
        Block::Table(Table {
            caption: format!("Bands of probability in the {part} part"),
            header: ["probability", "orders", "frauds", "foretold", "observed"].map(str::to_owned).to_vec(),
            rows: filled.iter().map(row).collect(),
            right: vec![1, 2, 3, 4],
            ..Table::default()
        })
    })
}

fn data(report: &Report) -> Vec<Block> {
    let data = &report.data;
    let mut items = Vec::new();
    let files: Vec<&str> = data.files.iter().map(|file| file.name.as_str()).collect();
    if !files.is_empty() {
        items.push(format!("Files: {}", files.join(", ")));
    }
    items.push(format!(
        "Rows: {} read, {} accepted, {} rejected, {} repeated, {} without a label",
        count(data.n_rows),
        count(data.n_accepted),
        count(data.n_rejected),
        count(data.n_duplicates),
        count(data.n_unlabelled)
    ));
    items.push(format!("Frauds: {} ({} of the labelled orders)", count(data.n_fraud), percent(data.fraud_share)));
    if let (Some(from), Some(until)) = (data.from, data.until) {
        let days = (until.0.0 - from.0.0) as f64 / DAY_MS;
        items.push(format!("Time: {} to {} UTC ({days:.0} days)", minute(Some(from)), minute(Some(until))));
    }
    for total in &data.amounts {
        let money = |amount| money(amount, total.currency.as_deref());
        items.push(format!(
            "Amount: {} in {}, fraud {}",
            money(total.total),
            counted(total.n_orders, "order"),
            money(total.fraud)
        ));
    }
    if let Some(events) = &data.events {
        let kinds: Vec<String> = events.kinds.iter().map(|(kind, &n)| format!("{} {kind}", count(n))).collect();
        items.push(format!("Other events: {}", kinds.join(", ")));
    }
    if !data.hash.is_empty() {
        items.push(format!("BLAKE3 of the canonically sorted rows: {}", data.hash));
    }
    vec![Block::Items(items)]
}

fn split(report: &Report) -> Vec<Block> {
    let split = &report.split;
    let named = [("train", split.train), ("validation", split.validation), ("test", split.test)];
    let mut parts: Vec<(&str, Part)> = named
        .into_iter()
        .filter_map(|(name, part)| Some((name, part?)))
        .chain(split.gaps.iter().map(|gap| ("gap, in no part", *gap)))
        .collect();
    // Parts without times stay as they are named; the sort is stable.
    parts.sort_by_key(|(_, part)| part.from);
    if parts.is_empty() {
        return Vec::new();
    }
    let row = |(name, part): &(&str, Part)| {
        let share = (part.n_rows > 0).then(|| part.n_fraud as f64 / part.n_rows as f64);
        vec![
            (*name).to_owned(),
            minute(part.from),
            minute(part.until),
            count(part.n_rows),
            count(part.n_fraud),
            percent(share),
        ]
    };
    let mut blocks = vec![Block::Table(Table {
        caption: "Parts, in order of time (UTC)".into(),
        header: ["part", "from", "until", "orders", "frauds", "share"].map(str::to_owned).to_vec(),
        rows: parts.iter().map(row).collect(),
        right: vec![3, 4, 5],
        ..Table::default()
    })];
    if !split.notes.is_empty() {
        blocks.push(Block::Items(split.notes.clone()));
    }
    blocks
}

/// Fits on folds that move forward in time.
fn folds(report: &Report) -> Option<Block> {
    let folds = report.folds.as_ref().filter(|folds| !folds.folds.is_empty())?;
    let names: Vec<&String> = folds.mean.keys().collect();
    let figure =
        |value: Option<&Option<f64>>| value.copied().flatten().map_or("n/a".to_owned(), |value| format!("{value:.4}"));
    let cells = |figures: &BTreeMap<String, Option<f64>>| -> Vec<String> {
        names.iter().map(|name| figure(figures.get(*name))).collect()
    };
    let mut rows: Vec<Vec<String>> = folds
        .folds
        .iter()
        .map(|fold| {
            let lead = [minute(fold.test_from), minute(fold.test_until), count(fold.n_rows), count(fold.n_fraud)];
            lead.into_iter().chain(cells(&fold.figures)).collect()
        })
        .collect();
    for (name, figures) in [("mean", &folds.mean), ("standard deviation", &folds.spread)] {
        let lead = [name.to_owned(), String::new(), String::new(), String::new()];
        rows.push(lead.into_iter().chain(cells(figures)).collect());
    }
    let header = ["judged from", "until", "orders", "frauds"].map(str::to_owned).into_iter();
    Some(Block::Table(Table {
        caption: "Each fold is fitted on what was known before it (UTC)".into(),
        right: (2..4 + names.len()).collect(),
        header: header.chain(names.iter().map(|name| (*name).clone())).collect(),
        rows,
        ..Table::default()
    }))
}

fn columns(report: &Report) -> Vec<Block> {
    let mut blocks = Vec::new();
    let leaks = report.leaks.iter().map(|leak| {
        format!("{}, {}: {}", leak.column, if leak.kept { "kept as asked" } else { "left out" }, leak.reason)
    });
    let leaks: Vec<String> = leaks.collect();
    if !leaks.is_empty() {
        blocks.push(Block::Paragraph("Columns that may know the answer:".into()));
        blocks.push(Block::Items(leaks));
    }
    if report.rejections.n > 0 {
        let first = report.rejections.first.iter().take(20).map(|rejection| {
            let column = rejection.column.as_ref().map_or(String::new(), |column| format!(", column {column}"));
            format!("{}, line {}{column}: {}", rejection.file, count(rejection.line), rejection.reason)
        });
        blocks.push(Block::Paragraph(format!(
            "{} could not be read; the first of them:",
            counted(report.rejections.n, "row")
        )));
        blocks.push(Block::Items(first.collect()));
    }
    let rows: Vec<Vec<String>> = report
        .schema
        .columns
        .iter()
        .take(MAX_COLUMNS)
        .map(|column| {
            let known = if column.available == "order" { "with the order" } else { column.available.as_str() };
            vec![column.name.clone(), column.role.clone(), known.to_owned(), column.reason.clone().unwrap_or_default()]
        })
        .collect();
    if !rows.is_empty() {
        blocks.push(Block::Table(Table {
            caption: "What the columns were taken for".into(),
            header: ["column", "taken for", "known", "because"].map(str::to_owned).to_vec(),
            rows,
            ..Table::default()
        }));
    }
    blocks
}

fn model(report: &Report) -> Vec<Block> {
    let Some(model) = &report.model else { return Vec::new() };
    let kind = match model.kind.as_str() {
        "gbt" => format!("Boosted trees, {}", counted(model.rounds, "round")),
        "logistic" => "Logistic regression".to_owned(),
        "scorecard" => "Scorecard".to_owned(),
        other => other.to_owned(),
    };
    let refit = if model.refit { ", fitted again on all orders" } else { "" };
    let mut blocks = vec![Block::Paragraph(format!(
        "{kind}{refit}; probabilities by {} calibration; seed {}.",
        model.calibration, model.seed
    ))];
    if !model.params.is_empty() {
        blocks.push(Block::Table(Table {
            caption: "Parameters".into(),
            header: vec!["parameter".into(), "value".into()],
            rows: model.params.iter().map(|(name, value)| vec![name.clone(), value.clone()]).collect(),
            ..Table::default()
        }));
    }
    blocks
}

fn footer(report: &Report) -> String {
    let t = &report.timing;
    let memory = t.peak_rss_bytes.map_or(String::new(), |n| format!(", at most {} of memory", bytes(n)));
    let span = judged(report).and_then(|(part, figures): (_, &Evaluation)| {
        let span = if part == "test" { report.split.test } else { report.split.validation }?;
        Some(format!(
            "Figures of the {part} part, {}, {} to {}. ",
            counted(figures.n_rows, "order"),
            day(span.from?),
            day(span.until?)
        ))
    });
    let reaction = report.reaction.filter(|reaction| reaction.n > 0).map(|reaction| {
        format!(
            "One order takes {:.1} us for its features and {:.1} us for its score (99 of 100 at most {:.1} and {:.1}). ",
            reaction.features_p50, reaction.score_p50, reaction.features_p99, reaction.score_p99
        )
    });
    format!("{}{}Made in {}{memory}.", span.unwrap_or_default(), reaction.unwrap_or_default(), seconds(t.total))
}
