//! What decisions cost, what other thresholds would do, and where the model is weak.

use super::text::{clean, shorten, table, wrap};
use super::{Style, judged};
use crate::evaluation::{AtThreshold, Evaluation};
use crate::interval::Interval;
use crate::report::{Report, Slice};
use crate::words::{NOT_DEFINED, count, counted, day, figure, money, percent};

/// Slices shown of all columns.
const N_SEGMENTS: usize = 12;
/// Weeks shown.
const N_WEEKS: usize = 26;

/// The interval of a share, in percent.
fn shares(interval: Option<Interval>) -> String {
    interval
        .map_or_else(|| NOT_DEFINED.to_owned(), |i| format!("{} to {}", percent(Some(i.low)), percent(Some(i.high))))
}

fn currency(report: &Report, style: &Style) -> Option<String> {
    match report.data.amounts.as_slice() {
        [only] => only.currency.as_deref().map(|currency| clean(currency, style)),
        _ => None,
    }
}

pub(super) fn unresolved(report: &Report, style: &Style) -> String {
    report.unresolved.as_ref().map_or(String::new(), |of| wrap(&clean(&of.text, style), style.columns(), "  ", 0))
}

pub(super) fn selection(report: &Report, style: &Style) -> String {
    let Some(selection) = &report.selection else { return String::new() };
    let mut out = String::new();
    if let Some(warning) = &selection.warning {
        out += &wrap(&clean(warning, style), style.columns(), "  ", 0);
    }
    if let (Some(size), Some(all)) = (selection.effective_sample_size, selection.n_represented) {
        let text = format!(
            "Weighted by one over the chance that a label was seen, the orders stand for {}; they tell as much as {} of equal weight.",
            counted(all.round() as u64, "order"),
            count(size.round() as u64)
        );
        out += &wrap(&text, style.columns(), "  ", 0);
    }
    if selection.figures.is_empty() {
        return out;
    }
    let row = |(name, of): (&String, &crate::report::WeightedFigure)| {
        let interval = of.interval.map_or_else(|| NOT_DEFINED.to_owned(), |i| format!("{:.4} to {:.4}", i.low, i.high));
        vec![name.replace('_', " "), figure(of.value), interval]
    };
    let rows = selection.figures.iter().map(row).collect();
    out + &table(&["weighted", "", "95 % interval"], rows, &[1, 2], style)
}

pub(super) fn in_money(report: &Report, style: &Style) -> String {
    let Some((_, figures)) = judged(report) else { return String::new() };
    let (Some(costs), Some(bill)) = (&report.costs, &figures.money) else { return String::new() };
    let currency = currency(report, style);
    let money = |amount: f64| money(amount, currency.as_deref());
    let mut out = String::new();
    let mut say = |text: &str| out += &wrap(text, style.columns(), "  ", 0);
    let reduction = figures.intervals.as_ref().and_then(|all| all.at_threshold.loss_reduction);
    let range = reduction.map_or(String::new(), |i| format!(" ({})", shares(Some(i))));
    say(&format!(
        "Doing nothing loses {}, these decisions {}: they save {}, {}{range} of the loss.",
        money(bill.loss_doing_nothing),
        money(bill.loss),
        money(bill.savings),
        percent(bill.loss_reduction)
    ));
    let bp = |share: Option<f64>| share.map_or_else(|| NOT_DEFINED.to_owned(), |bp| format!("{bp:.1}"));
    say(&format!(
        "Fraud is {} basis points of the value before, and {} of what is let through.",
        bp(bill.fraud_bp_before),
        bp(bill.fraud_bp_after)
    ));
    if let Some(expected) = bill.expected_loss {
        say(&format!("The probabilities foretold a loss of {}.", money(expected)));
    }
    if let Some(best) = bill.best {
        let from = best.raw_score.map_or("stopping nothing".to_owned(), |raw| format!("raw score {raw:.4}"));
        say(&format!(
            "With hindsight {from} would have lost least on these orders: {}, stopping {}.",
            money(best.loss),
            counted(best.n_stopped, "order")
        ));
    }
    let table =
        if costs.is_default { "the default costs, to be replaced by your own with --costs" } else { "your costs" };
    say(&format!("By {table}: {}.", costs.words.join("; ")));
    out
}

pub(super) fn thresholds(report: &Report, style: &Style) -> String {
    judged(report).map_or(String::new(), |(_, figures)| threshold_table(figures, style))
}

/// The thresholds of a part, and under the one that is used what it does week by week.
pub(super) fn threshold_table(figures: &Evaluation, style: &Style) -> String {
    if figures.thresholds.is_empty() {
        return String::new();
    }
    let has_money = figures.thresholds.iter().any(|row| row.money.is_some());
    let wide = style.columns() >= 110;
    let mut header = vec!["aim", "from", "recall", "precision", "false alarms"];
    if wide {
        header.insert(3, "95 %");
        header.insert(5, "95 %");
    }
    header.push("a day");
    if has_money {
        header.push("saves");
    }
    let used = style.sign('→', '>');
    let row = |row: &crate::report::ThresholdRow| {
        let at = &row.at_threshold;
        let mark = if row.is_used { format!("{used} ") } else { String::new() };
        let mut cells = vec![
            mark + &shorten(&clean(&row.aim, style), if wide { 44 } else { 26 }, style),
            format!("{:.2}", row.raw_score),
            percent(at.recall),
            percent(at.precision),
            percent(at.false_positive_rate),
        ];
        if wide {
            cells.insert(3, shares(row.intervals.and_then(|i| i.recall)));
            cells.insert(5, shares(row.intervals.and_then(|i| i.precision)));
        }
        cells.push(row.alerts_per_day.map_or_else(|| NOT_DEFINED.to_owned(), |n| format!("{n:.1}")));
        if has_money {
            cells.push(row.money.as_ref().map_or_else(|| NOT_DEFINED.to_owned(), |m| money(m.savings.round(), None)));
        }
        cells
    };
    let rows = figures.thresholds.iter().map(row).collect();
    table(&header, rows, &(1..header.len()).collect::<Vec<_>>(), style)
}

fn cells(slice: &Slice, style: &Style, label: String) -> Vec<String> {
    let AtThreshold { recall, precision, false_positive_rate, .. } = slice.at_threshold;
    let mut cells = vec![label, count(slice.n_rows), count(slice.n_fraud)];
    if slice.note.is_some() {
        cells.extend([String::new(), String::new(), String::new()]);
        cells.push(format!("{} not enough data", style.sign('–', '-')));
    } else {
        cells.extend([
            percent(recall),
            percent(precision),
            percent(false_positive_rate),
            figure(slice.average_precision),
        ]);
    }
    cells
}

const SLICE_HEADER: [&str; 7] = ["", "orders", "frauds", "recall", "precision", "false alarms", "av. precision"];

pub(super) fn weeks(report: &Report, style: &Style) -> String {
    let Some((_, figures)) = judged(report).filter(|(_, figures)| figures.weeks.len() > 1) else {
        return String::new();
    };
    let rows = figures.weeks.iter().take(N_WEEKS).map(|week| cells(week, style, week.name.clone())).collect();
    let more = figures.weeks.len().saturating_sub(N_WEEKS);
    let more = if more > 0 { format!("  and {more} more weeks\n") } else { String::new() };
    table(&SLICE_HEADER, rows, &[1, 2, 3, 4, 5, 6], style) + &more
}

pub(super) fn segments(report: &Report, style: &Style) -> String {
    let Some((_, figures)) = judged(report) else { return String::new() };
    let mut all: Vec<(&str, &Slice)> = figures
        .segments
        .iter()
        .flat_map(|segment| segment.slices.iter().map(|slice| (segment.column.as_str(), slice)))
        .filter(|(_, slice)| slice.note.is_none())
        .collect();
    let n_small =
        figures.segments.iter().flat_map(|segment| &segment.slices).filter(|slice| slice.note.is_some()).count();
    let strength = |slice: &Slice| slice.roc_auc.unwrap_or(f64::INFINITY);
    all.sort_by(|a, b| strength(a.1).total_cmp(&strength(b.1)));
    let label = |column: &str, slice: &Slice| shorten(&clean(&format!("{column}: {}", slice.name), style), 34, style);
    let rows: Vec<Vec<String>> =
        all.iter().take(N_SEGMENTS).map(|(column, slice)| cells(slice, style, label(column, slice))).collect();
    let mut out = if rows.is_empty() { String::new() } else { table(&SLICE_HEADER, rows, &[1, 2, 3, 4, 5, 6], style) };
    let more = all.len().saturating_sub(N_SEGMENTS);
    if more + n_small > 0 {
        out += &wrap(
            &format!("{more} stronger ones are in report.json, and {n_small} with not enough data to be judged."),
            style.columns(),
            "  ",
            0,
        );
    }
    out
}

pub(super) fn kinds(report: &Report, style: &Style) -> String {
    let Some((_, figures)) = judged(report).filter(|(_, figures)| !figures.kinds.is_empty()) else {
        return String::new();
    };
    let row = |kind: &Slice| {
        let c = &kind.at_threshold.confusion;
        vec![
            shorten(&clean(&kind.name, style), 40, style),
            count(kind.n_fraud),
            count(c.tp),
            percent(kind.at_threshold.recall),
            shares(kind.intervals.and_then(|i| i.recall)),
        ]
    };
    let rows = figures.kinds.iter().map(row).collect();
    table(&["", "frauds", "stopped", "recall", "95 % interval"], rows, &[1, 2, 3, 4], style)
}

pub(super) fn folds(report: &Report, style: &Style) -> String {
    let Some(folds) = &report.folds else { return String::new() };
    let names: Vec<&String> = folds.mean.keys().collect();
    let mut header = vec!["judged from".to_owned(), "orders".to_owned(), "frauds".to_owned()];
    header.extend(names.iter().map(|name| name.replace('_', " ")));
    let mut rows: Vec<Vec<String>> = folds
        .folds
        .iter()
        .map(|fold| {
            let from = fold.test_from.map_or_else(|| NOT_DEFINED.to_owned(), day);
            let figures = names.iter().map(|name| figure(fold.figures.get(*name).copied().flatten()));
            [from, count(fold.n_rows), count(fold.n_fraud)].into_iter().chain(figures).collect()
        })
        .collect();
    for (what, values) in [("mean", &folds.mean), ("spread", &folds.spread)] {
        let figures = names.iter().map(|name| figure(values.get(*name).copied().flatten()));
        rows.push([what.to_owned(), String::new(), String::new()].into_iter().chain(figures).collect());
    }
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    table(&header, rows, &(1..header.len()).collect::<Vec<_>>(), style)
}
