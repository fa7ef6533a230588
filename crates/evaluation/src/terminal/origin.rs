//! What the figures stand on: data, split, columns, refusals, notes, time.

use super::text::{clean, shorten, table, wrap};
use super::{Style, bullets};
use crate::report::{Part, Report, Schema};
use crate::words::{bytes, count, counted, day, minute, money, percent, seconds};

/// Columns, leaks and rejections shown before "and more".
const MAX_COLUMNS: usize = 40;
const MAX_LEAKS: usize = 20;
const MAX_REJECTIONS: usize = 5;
/// Currencies whose totals are shown.
const MAX_CURRENCIES: usize = 4;
const MAX_FILES: usize = 6;

pub(super) fn data(report: &Report, style: &Style) -> String {
    let data = &report.data;
    let mut out = String::new();
    let mut line = |name: &str, text: &str| out += &wrap(text, style.columns(), &format!("  {name:<13}"), 0);
    let files: Vec<String> = data.files.iter().take(MAX_FILES).map(|file| clean(&file.name, style)).collect();
    if !files.is_empty() {
        let more = data.files.len().saturating_sub(MAX_FILES);
        let more = if more > 0 { format!(" and {} more", count(more as u64)) } else { String::new() };
        line(if data.files.len() == 1 { "file" } else { "files" }, &format!("{}{more}", files.join(", ")));
    }
    let mut rows = format!("{} read, {} accepted", count(data.n_rows), count(data.n_accepted));
    for (n, what) in [(data.n_rejected, "rejected"), (data.n_duplicates, "repeated"), (data.n_unlabelled, "unlabelled")]
    {
        if n > 0 {
            rows += &format!(", {} {what}", count(n));
        }
    }
    line("rows", &rows);
    if let Some(events) = &data.events {
        let kinds: Vec<String> =
            events.kinds.iter().map(|(kind, &n)| format!("{} {}", count(n), clean(kind, style))).collect();
        let mut text = kinds.join(", ");
        if events.n_repeated > 0 {
            text += &format!(", {} of them repeated", count(events.n_repeated));
        }
        if events.n_labels > 0 {
            text +=
                &format!("; {} are labels, {} of orders here", count(events.n_labels), count(events.n_labels_matched));
        }
        line("events", &text);
    }
    let labelled = data
        .fraud_share
        .map_or_else(|| "no labels".to_owned(), |share| format!("{} of the labelled orders", percent(Some(share))));
    line("frauds", &format!("{} ({labelled})", count(data.n_fraud)));
    if let Some(join) = &data.labels {
        let text = format!(
            "{} joined, {} matched, {} without an order, {} conflicting",
            count(join.n_rows),
            count(join.n_matched),
            count(join.n_unmatched),
            count(join.n_conflicting)
        );
        line("labels", &text);
    }
    if let (Some(from), Some(until)) = (data.from, data.until) {
        let days = (until.0.0 - from.0.0) as f64 / 86_400_000.0;
        line("time", &format!("{} to {} UTC ({days:.0} days)", minute(Some(from)), minute(Some(until))));
    }
    let mut totals: Vec<_> = data.amounts.iter().collect();
    // The currencies that most orders are in; the sort is stable, so equal ones keep their order by name.
    totals.sort_by_key(|total| std::cmp::Reverse(total.n_orders));
    for total in totals.iter().take(MAX_CURRENCIES) {
        let currency = total.currency.as_deref().map(|currency| clean(currency, style));
        let money = |amount| money(amount, currency.as_deref());
        line(
            "amount",
            &format!("{} in {}, fraud {}", money(total.total), counted(total.n_orders, "order"), money(total.fraud)),
        );
    }
    if totals.len() > MAX_CURRENCIES {
        let n_orders = totals[MAX_CURRENCIES..].iter().map(|total| total.n_orders).sum();
        let more = totals.len() - MAX_CURRENCIES;
        line("amount", &format!("{more} more currencies in {}", counted(n_orders, "order")));
    }
    out
}

pub(super) fn split(report: &Report, style: &Style) -> String {
    let split = &report.split;
    let named = [
        ("train", &split.train, '█', '#'),
        ("validation", &split.validation, '▓', '='),
        ("test", &split.test, '▒', '+'),
    ];
    let mut parts: Vec<(&str, char, Part)> = named
        .into_iter()
        .filter_map(|(name, part, full, ascii)| part.map(|part| (name, style.sign(full, ascii), part)))
        .chain(split.gaps.iter().map(|gap| ("gap", style.sign('·', '.'), *gap)))
        .collect();
    if parts.is_empty() {
        return String::new();
    }
    // Parts without times stay as they are named; the sort is stable.
    parts.sort_by_key(|(.., part)| part.from);
    let mut out = timeline(&parts, style);
    let rows = parts
        .iter()
        .map(|(name, sign, part)| {
            let share =
                if part.n_rows > 0 { percent(Some(part.n_fraud as f64 / part.n_rows as f64)) } else { percent(None) };
            let (from, until) = (minute(part.from), minute(part.until));
            vec![format!("{sign} {name}"), from, until, count(part.n_rows), count(part.n_fraud), share]
        })
        .collect();
    out += &table(&["part", "from (UTC)", "until", "orders", "frauds", "share"], rows, &[3, 4, 5], style);
    let protocol = match split.protocol.as_str() {
        "time" => "Divided by time; the gap is the time in which labels become known.".to_owned(),
        "dates" => "Divided at the dates that were given.".to_owned(),
        "hash" => "Divided by a hash of the row, not by time.".to_owned(),
        "none" => "Not divided: every labelled order is measured.".to_owned(),
        other => clean(other, style),
    };
    let mut notes = vec![protocol];
    if split.n_unresolved > 0 {
        notes.push(format!(
            "{} too recent for a label {} left out, not counted as honest.",
            counted(split.n_unresolved, "order"),
            if split.n_unresolved == 1 { "is" } else { "are" }
        ));
    }
    if split.n_known_entities > 0 {
        notes.push(format!(
            "{} of entities already known as compromised left the test part.",
            counted(split.n_known_entities, "order")
        ));
    }
    notes.extend(split.notes.iter().cloned());
    out + &bullets(notes, style)
}

/// A bar of the whole time span, one sign per slice of time.
fn timeline(parts: &[(&str, char, Part)], style: &Style) -> String {
    let spans: Vec<(i64, i64, char)> = parts
        .iter()
        .filter_map(|(_, sign, part)| part.from.zip(part.until).map(|(from, until)| (from.0.0, until.0.0, *sign)))
        .collect();
    let (Some(start), Some(end)) = (spans.iter().map(|s| s.0).min(), spans.iter().map(|s| s.1).max()) else {
        return String::new();
    };
    if end <= start {
        return String::new();
    }
    let (first, last) = (parts.iter().filter_map(|p| p.2.from).min(), parts.iter().filter_map(|p| p.2.until).max());
    let room = style.columns() - 28;
    let bar: String = (0..room)
        .map(|i| {
            let at = start as f64 + (i as f64 + 0.5) / room as f64 * (end - start) as f64;
            spans.iter().find(|s| s.0 as f64 <= at && at < s.1 as f64).map_or(' ', |s| s.2)
        })
        .collect();
    let edge = |time: Option<_>| time.map_or_else(String::new, day);
    format!("  {}  {bar}  {}\n", edge(first), edge(last))
}

pub(super) fn schema(schema: &Schema, style: &Style) -> String {
    if schema.columns.is_empty() {
        return String::new();
    }
    let wide = style.columns() >= 100;
    let rows = schema.columns.iter().take(MAX_COLUMNS).map(|column| {
        let text = |text: &str, max: usize| shorten(&clean(text, style), max, style);
        let how = [column.format.as_deref(), column.reason.as_deref()];
        let how: Vec<&str> = how.into_iter().flatten().filter(|text| !text.is_empty()).collect();
        let known = if column.available == "order" { "with the order".to_owned() } else { text(&column.available, 16) };
        vec![text(&column.name, if wide { 40 } else { 26 }), text(&column.role, 20), known, text(&how.join("; "), 120)]
    });
    let mut rows: Vec<Vec<String>> = rows.collect();
    let mut head = vec!["column", "taken for", "known", "because"];
    // A schema that was given, not inferred, has no reasons.
    if rows.iter().all(|row| row.last().is_none_or(String::is_empty)) {
        head.pop();
        for row in &mut rows {
            row.truncate(head.len());
        }
    }
    let mut out = table(&head, rows, &[], style);
    let more = schema.columns.len().saturating_sub(MAX_COLUMNS);
    if more > 0 {
        out += &format!("  and {} more (all are in the report file)\n", count(more as u64));
    }
    let mut line = String::new();
    if !schema.timezone.is_empty() {
        line += &format!("Times without a zone are {}. ", clean(&schema.timezone, style));
    }
    if !schema.label_delay.is_empty() {
        line += &format!("An order counts as honest {} after it was placed.", clean(&schema.label_delay, style));
    }
    if !line.is_empty() {
        out += &wrap(&line, style.columns(), "  ", 0);
    }
    out
}

pub(super) fn leaks(report: &Report, style: &Style) -> String {
    let mut items: Vec<String> = report
        .leaks
        .iter()
        .take(MAX_LEAKS)
        .map(|leak| {
            format!("{}, {}: {}", leak.column, if leak.kept { "kept as asked" } else { "left out" }, leak.reason)
        })
        .collect();
    let more = report.leaks.len().saturating_sub(MAX_LEAKS);
    if more > 0 {
        items.push(format!("and {} more (all are in the report file)", count(more as u64)));
    }
    bullets(items, style)
}

pub(super) fn rejections(report: &Report, style: &Style) -> String {
    let rejections = &report.rejections;
    if rejections.n == 0 {
        return String::new();
    }
    let mut items: Vec<String> = rejections
        .first
        .iter()
        .take(MAX_REJECTIONS)
        .map(|r| {
            let column = r.column.as_ref().map_or(String::new(), |column| format!(", column {column}"));
            format!("{}, line {}{column}: {}", r.file, count(r.line), r.reason)
        })
        .collect();
    let more = rejections.n.saturating_sub(items.len() as u64);
    if more > 0 {
        items.push(format!("{} more", count(more)));
    }
    bullets(items, style)
}

pub(super) fn notes(report: &Report, style: &Style) -> String {
    bullets(report.notes.iter().cloned(), style)
}

/// What was looked at, and what came of it.
pub(super) fn search(report: &Report, style: &Style) -> String {
    let Some(search) = &report.search else { return String::new() };
    let looked_at = format!(
        "{} on {} by {}, {} of them on all, in {}{}",
        counted(search.n_trials, "trial"),
        counted(search.n_folds, "fold"),
        clean(&search.measure, style),
        count(search.n_on_all_folds),
        seconds(search.seconds),
        if search.is_stopped { "; stopped by hand" } else { "" }
    );
    let first = search.first.map_or_else(|| "n/a".to_owned(), |first| format!("{first:.4}"));
    let found = if search.chosen == 0 {
        format!("the parameters that it began with ({first}): none was better by more than one standard error")
    } else {
        let params: Vec<String> = search
            .params
            .iter()
            .map(|(name, value)| format!("{} {}", clean(name, style), clean(value, style)))
            .collect();
        format!(
            "trial {}, better than {first} by {:.4} (standard error {:.4}): {}",
            count(search.chosen),
            search.difference,
            search.standard_error,
            params.join(", ")
        )
    };
    let line = |name: &str, text: &str| wrap(text, style.columns(), &format!("  {name:<13}"), 0);
    format!("{}{}", line("looked at", &looked_at), line("chosen", &found))
}

pub(super) fn timing(report: &Report, style: &Style) -> String {
    let t = &report.timing;
    let steps = [("read", t.read), ("features", t.features), ("fit", t.fit), ("evaluate", t.evaluate)];
    let steps: Vec<String> = steps.iter().map(|(name, value)| format!("{name} {}", seconds(*value))).collect();
    let threads = t.threads.map_or(String::new(), |n| format!(" on {}", counted(n, "thread")));
    let memory = t.peak_rss_bytes.map_or(String::new(), |n| format!("; at most {} of memory", bytes(n)));
    let text = format!("{}; {} in all{threads}{memory}", steps.join(", "), seconds(t.total));
    wrap(&text, style.columns(), "  ", 0)
}
