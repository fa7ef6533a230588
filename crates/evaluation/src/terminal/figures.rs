//! What the model achieves: the headline, the figures, the decisions, the features.

use super::text::{clean, shorten, table, wrap};
use super::{Style, judged};
use crate::evaluation::{Evaluation, FPR_TARGETS};
use crate::interval::Interval;
use crate::report::Report;
use crate::tiers::TierFigures;
use crate::words::{NOT_DEFINED, count, counted, day, figure, money, percent};

/// Features shown.
const N_FEATURES: usize = 15;

pub(super) fn headline(report: &Report, style: &Style) -> String {
    let mut out = String::new();
    if let Some(model) = &report.model {
        let kind = match model.kind.as_str() {
            "gbt" => format!("boosted trees, {}", counted(model.rounds, "round")),
            "logistic" => "logistic regression".to_owned(),
            "scorecard" => "scorecard".to_owned(),
            other => clean(other, style),
        };
        let refit = if model.refit { ", fitted again on all orders" } else { "" };
        out += &format!("{}: {kind}{refit}\n\n", style.paint("1", "orderguard"));
    }
    let Some((part, figures)) = judged(report) else {
        return out + &wrap("No labelled orders were measured: there are no figures.", style.columns(), "", 0);
    };
    for (i, sentence) in sentences(part, figures, report, style).iter().enumerate() {
        for line in wrap(sentence, style.columns(), "", 0).lines() {
            out += &if i == 0 { style.paint("1", line) } else { line.to_owned() };
            out.push('\n');
        }
    }
    out
}

pub(super) fn sentences(part: &str, figures: &Evaluation, report: &Report, style: &Style) -> Vec<String> {
    let at = &figures.at_threshold;
    let c = &at.confusion;
    if c.n_rows() == 0 {
        return vec![format!("The {part} part holds no labelled order: there are no figures.")];
    }
    let mut out = Vec::new();
    out.push(match (at.recall, at.false_positive_rate) {
        (Some(recall), Some(rate)) => format!(
            "The model stops {} of the frauds ({} of {}) and wrongly stops {} of the honest orders ({} of {}).",
            percent(Some(recall)),
            count(c.tp),
            count(c.tp + c.fn_),
            percent(Some(rate)),
            count(c.fp),
            count(c.fp + c.tn)
        ),
        (None, Some(rate)) => format!(
            "The {part} part holds no fraud, so what share the model catches is unknown; it stops {} of the honest orders ({} of {}).",
            percent(Some(rate)),
            count(c.fp),
            count(c.fp + c.tn)
        ),
        _ => format!(
            "The model stops {} of the frauds ({} of {}); the {part} part holds no honest order, so false alarms are unknown.",
            percent(at.recall),
            count(c.tp),
            count(c.tp + c.fn_)
        ),
    });
    let stopped = c.tp + c.fp;
    if stopped == 0 {
        out.push("It stops no order at all.".to_owned());
    } else {
        let each = figures.n_rows as f64 / stopped as f64;
        let each = if each >= 9.95 { format!("{each:.0}") } else { format!("{each:.1}") };
        out.push(format!("Of the orders it stops {} are frauds; it stops 1 order in {each}.", percent(at.precision)));
    }
    if let Some(value) = at.value.filter(|value| value.fraud + value.honest > 0.0) {
        let currency = match report.data.amounts.as_slice() {
            [only] => only.currency.as_deref().map(|currency| clean(currency, style)),
            _ => None,
        };
        let money = |amount: f64| money(amount, currency.as_deref());
        let caught = if value.fraud > 0.0 {
            format!(
                "{} of the fraud value is stopped, {} of {}",
                percent(value.weighted_recall()),
                money(value.fraud_stopped),
                money(value.fraud)
            )
        } else {
            "there is no fraud value".to_owned()
        };
        out.push(format!(
            "In money: {caught}; honest orders worth {} ({} of theirs) are stopped with it.",
            money(value.honest_stopped),
            percent(value.weighted_false_positive_rate())
        ));
    }
    let span = match (part, &report.split.test, &report.split.validation) {
        ("test", Some(span), _) | ("validation", _, Some(span)) => span.from.zip(span.until),
        _ => None,
    };
    let span = span.map_or(String::new(), |(from, until)| format!(" from {} to {}", day(from), day(until)));
    let aim = report
        .threshold
        .as_ref()
        .map_or(String::new(), |threshold| format!(" The threshold was chosen for: {}.", clean(&threshold.aim, style)));
    out.push(format!("Measured on the {part} part: {}{span}.{aim}", counted(figures.n_rows, "labelled order")));
    out
}

pub(super) fn table_of_figures(report: &Report, style: &Style) -> String {
    let Some((header, rows)) = figure_rows(report, style.columns() >= 100) else { return String::new() };
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let n_parts = header.iter().filter(|name| matches!(**name, "validation" | "test")).count();
    table(&header, rows, &(1..=n_parts).collect::<Vec<_>>(), style)
}

/// Header and rows of the table of all figures, with what each says where wanted; `None` without a measured part.
pub(crate) fn figure_rows(report: &Report, explain: bool) -> Option<(Vec<String>, Vec<Vec<String>>)> {
    let parts: Vec<(&str, &Evaluation)> = [("validation", &report.validation), ("test", &report.test)]
        .into_iter()
        .filter_map(|(name, part)| part.as_ref().map(|part| (name, part)))
        .collect();
    if parts.is_empty() {
        return None;
    }
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut row = |name: &str, meaning: &str, value: &dyn Fn(&Evaluation) -> String| {
        let values = parts.iter().map(|(_, part)| value(part));
        let mut cells: Vec<String> = std::iter::once(name.to_owned()).chain(values).collect();
        if explain {
            cells.push(meaning.to_owned());
        }
        rows.push(cells);
    };
    row("labelled orders", "", &|e| count(e.n_rows));
    row("frauds", "", &|e| count(e.n_fraud));
    row("share of fraud", "average precision of guessing", &|e| percent(e.base_rate));
    row("average precision", "mean precision over all recalls; 1 is perfect", &|e| figure(e.average_precision));
    let with_intervals = parts.iter().any(|(_, part)| part.intervals.is_some());
    let interval = |of: Option<Interval>| {
        of.map_or_else(|| NOT_DEFINED.to_owned(), |of| format!("{:.3} to {:.3}", of.low, of.high))
    };
    if with_intervals {
        row("  95 % interval", "if other customers had come (bootstrap)", &|e| {
            interval(e.intervals.as_ref().and_then(|i| i.average_precision))
        });
    }
    row("ROC AUC", "chance that a fraud outranks an honest order", &|e| figure(e.roc_auc));
    if with_intervals {
        row("  95 % interval", "", &|e| interval(e.intervals.as_ref().and_then(|i| i.roc_auc)));
    }
    for (key, rate) in FPR_TARGETS {
        let name = format!("recall at {} % false alarms", rate * 100.0);
        // Said once: the other rates read the same.
        let meaning =
            if rate == FPR_TARGETS[0].1 { "frauds caught when so many honest orders are stopped" } else { "" };
        row(&name, meaning, &|e| percent(e.recall_at_fpr.get(key).copied().flatten()));
    }
    for k in [100, 1_000] {
        let defined = |e: &Evaluation| e.precision_at_k.get(&k).copied().flatten();
        if parts.iter().any(|(_, part)| defined(part).is_some()) {
            row(&format!("precision of the top {}", count(k)), "frauds among the highest scores", &|e| {
                percent(defined(e))
            });
        }
    }
    if let Some(k) = parts.iter().find_map(|(_, part)| part.entity_precision_at_k.as_ref()).map(|list| list.k) {
        row(&format!("customers' daily top {}", count(k)), "frauds among the daily list of new customers", &|e| {
            percent(e.entity_precision_at_k.as_ref().and_then(|list| list.mean))
        });
    }
    row("mean probability", "equals the share of fraud when calibrated", &|e| percent(e.mean_probability));
    row("Brier score", "squared error of the probability; lower is better", &|e| {
        e.brier.map_or_else(|| NOT_DEFINED.to_owned(), |value| format!("{value:.5}"))
    });
    row("log loss", "surprise by what happened; lower is better", &|e| {
        e.log_loss.map_or_else(|| NOT_DEFINED.to_owned(), |value| format!("{value:.5}"))
    });
    row("calibration error", "foretold against observed share of fraud, on average", &|e| {
        e.calibration_error.map_or_else(|| NOT_DEFINED.to_owned(), |value| format!("{value:.5}"))
    });
    let names = std::iter::once("").chain(parts.iter().map(|(name, _)| *name)).chain(explain.then_some("what it says"));
    Some((names.map(str::to_owned).collect(), rows))
}

pub(super) fn decisions(report: &Report, style: &Style) -> String {
    let mut out = String::new();
    if let Some(threshold) = &report.threshold {
        let text = format!(
            "Stopped from raw score {:.4} on, which is a probability of {}. Aim: {}.",
            threshold.raw_score,
            percent(Some(threshold.probability)),
            clean(&threshold.aim, style)
        );
        out += &wrap(&text, style.columns(), "  ", 0);
        if let Some(note) = &threshold.note {
            out += &wrap(&clean(note, style), style.columns(), "  Note: ", 0);
        }
    }
    let parts = [("validation", &report.validation), ("test", &report.test)];
    let mut rows = Vec::new();
    for (name, part) in parts {
        let Some(part) = part else { continue };
        let at = &part.at_threshold;
        let c = &at.confusion;
        let cells = |what: &str, stopped: u64, passed: u64, share: String| {
            vec![format!("{what} ({name})"), count(stopped), count(passed), share]
        };
        rows.push(cells("fraud", c.tp, c.fn_, format!("{} caught (recall)", percent(at.recall))));
        rows.push(cells("honest", c.fp, c.tn, format!("{} stopped (false alarms)", percent(at.false_positive_rate))));
        let all = format!("{} of those stopped are fraud (precision), F1 {}", percent(at.precision), figure(at.f1));
        rows.push(cells("all", c.tp + c.fp, c.fn_ + c.tn, all));
    }
    if rows.is_empty() {
        return out;
    }
    out + &table(&["", "stopped", "let through", ""], rows, &[1, 2], style)
}

pub(super) fn tiers(report: &Report, style: &Style) -> String {
    let mut out = String::new();
    for part in [&report.validation, &report.test] {
        let Some(part) = part.as_ref().filter(|part| !part.tiers.is_empty()) else { continue };
        let has_value = part.tiers.iter().any(|tier| tier.value.is_some());
        let mut header = vec!["", "from raw score", "orders", "share", "frauds", "precision", "of all frauds"];
        if has_value {
            header.extend(["fraud value", "honest value"]);
        }
        let row = |tier: &TierFigures| {
            let from = tier.raw_score.map_or_else(|| "-".to_owned(), |raw| format!("{raw:.4}"));
            let mut cells = vec![
                clean(&tier.decision, style),
                from,
                count(tier.n_rows),
                percent(tier.share),
                count(tier.n_fraud),
                percent(tier.precision),
                percent(tier.recall),
            ];
            cells.extend(tier.value.iter().flat_map(|value| [money(value.fraud, None), money(value.honest, None)]));
            cells
        };
        let rows = part.tiers.iter().map(row).collect();
        out += &table(&header, rows, &(1..header.len()).collect::<Vec<_>>(), style);
    }
    out
}

pub(super) fn features(report: &Report, style: &Style) -> String {
    let used: Vec<_> = report.features.iter().filter(|feature| feature.importance > 0.0).collect();
    if used.is_empty() {
        return String::new();
    }
    let longest = used.iter().take(N_FEATURES).map(|f| f.name.chars().count()).max().unwrap_or(0);
    let names = longest.min(style.columns() / 2);
    let room = style.columns() - names - 14;
    let highest = used.iter().map(|feature| feature.importance).fold(0.0, f64::max);
    let mut out = String::new();
    for feature in used.iter().take(N_FEATURES) {
        let name = shorten(&clean(&feature.name, style), names, style);
        let length = ((feature.importance / highest * room as f64).round() as usize).min(room);
        let bar: String = std::iter::repeat_n(style.sign('█', '#'), length).collect();
        out += &format!("  {name:<names$}  {:>8}  {bar}\n", percent(Some(feature.importance)));
    }
    let rest = used.len().saturating_sub(N_FEATURES);
    let unused = report.features.len() - used.len();
    if rest + unused > 0 {
        let share: f64 = used.iter().skip(N_FEATURES).map(|feature| feature.importance).sum();
        let more = if rest > 0 {
            format!("{} more with {} together; ", count(rest as u64), percent(Some(share)))
        } else {
            String::new()
        };
        out += &wrap(&format!("{more}{} not used.", count(unused as u64)), style.columns(), "  ", 0);
    }
    out
}
