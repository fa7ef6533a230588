//! Two models side by side.

use super::Style;
use super::text::{clean, table, wrap};
use crate::compare::{Comparison, Difference, Swapped};
use crate::words::{NOT_DEFINED, count, money};

pub(super) fn text(comparison: &Comparison, style: &Style) -> String {
    let mut out = style.paint("1", &wrap(&clean(&comparison.verdict.text, style), style.columns(), "", 0));
    out += &wrap(
        &format!(
            "On {} labelled orders, {} of them frauds; intervals hold 95 % of {} replicates over {}.",
            count(comparison.n_rows),
            count(comparison.n_fraud),
            count(comparison.n_replicates),
            comparison.resampled
        ),
        style.columns(),
        "",
        0,
    );
    out.push('\n');
    let number = |value: Option<f64>, is_money: bool| match value.filter(|value| value.is_finite()) {
        None => NOT_DEFINED.to_owned(),
        Some(value) if is_money => money(value.round(), None),
        Some(value) => format!("{value:.4}"),
    };
    let row = |(name, of): (&String, &Difference)| {
        let is_money = name == "savings";
        let interval = of.interval.map_or_else(
            || NOT_DEFINED.to_owned(),
            |i| format!("{} to {}", number(Some(i.low), is_money), number(Some(i.high), is_money)),
        );
        vec![
            name.replace('_', " "),
            number(of.old, is_money),
            number(of.new, is_money),
            number(of.difference, is_money),
            interval,
        ]
    };
    let rows = comparison.figures.iter().map(row).collect();
    out += &table(&["", "old", "new", "new less old", "95 % interval"], rows, &[1, 2, 3, 4], style);
    out.push('\n');
    let has_value = comparison.swap.newly_stopped.fraud_value.is_some();
    let row = |name: &str, of: &Swapped| {
        let mut cells = vec![name.to_owned(), count(of.n_fraud), count(of.n_honest)];
        if has_value {
            cells.extend([of.fraud_value, of.honest_value].map(|value| money(value.unwrap_or_default(), None)));
        }
        cells
    };
    let swap = &comparison.swap;
    let rows = vec![
        row("newly stopped", &swap.newly_stopped),
        row("newly let through", &swap.newly_passed),
        row("stopped by both", &swap.stopped_by_both),
        row("let through by both", &swap.passed_by_both),
    ];
    let mut header = vec!["", "frauds", "honest"];
    if has_value {
        header.extend(["fraud value", "honest value"]);
    }
    out += &table(&header, rows, &(1..header.len()).collect::<Vec<_>>(), style);
    for note in &comparison.notes {
        out += &wrap(&clean(note, style), style.columns(), "Note: ", 0);
    }
    out
}
