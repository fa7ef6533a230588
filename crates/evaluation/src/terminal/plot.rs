//! Pictures made of characters, where looking is quicker than reading.

use super::Style;
use super::text::wrap;
use crate::evaluation::Evaluation;
use crate::report::Report;
use crate::words::{count, percent};

/// Lines of the precision-recall plot: precision 100 % down to 0 % in steps of 10.
const HEIGHT: usize = 11;

/// Precision (upwards) at each recall (to the right) for validation and test, with the chosen threshold marked.
pub(super) fn precision_recall(report: &Report, style: &Style) -> String {
    let drawable =
        |part: &Option<Evaluation>| part.as_ref().is_some_and(|part| part.n_fraud > 0 && !part.curve.is_empty());
    if !drawable(&report.test) && !drawable(&report.validation) {
        return String::new();
    }
    let width = (style.columns() - 12).min(80);
    let mut grid = vec![vec![' '; width]; HEIGHT];
    let signs = [style.sign('○', 'o'), style.sign('●', '*'), style.sign('◆', 'X')];
    // The later ones are drawn over the earlier ones.
    for (part, sign) in [(&report.validation, signs[0]), (&report.test, signs[1])] {
        for (column, precision) in part.iter().flat_map(|part| columns(part, width)) {
            grid[row_of(precision)][column] = sign;
        }
    }
    let marked = report.test.as_ref().or(report.validation.as_ref()).map(|part| &part.at_threshold);
    if let Some((recall, precision)) = marked.and_then(|at| at.recall.zip(at.precision)) {
        let column = ((recall * width as f64) as usize).min(width - 1);
        grid[row_of(precision)][column] = signs[2];
    }

    let mut out = String::new();
    for (i, line) in grid.iter().enumerate() {
        let label = if i % 5 == 0 { format!("{:>5} %", 100 - 10 * i) } else { String::new() };
        out += &format!("  {label:>7} {}{}\n", style.sign('│', '|'), line.iter().collect::<String>());
    }
    let axis: String = std::iter::repeat_n(style.sign('─', '-'), width).collect();
    out += &format!("  {:>7} {}{axis}\n", "", style.sign('└', '+'));
    let gap = width / 2 - 3;
    out += &format!("{:>11}0 %{:>gap$}{:>rest$}\n", "", "50 %", "100 % recall", rest = width - 3 - gap);
    let shown = [(drawable(&report.validation), signs[0], "validation"), (drawable(&report.test), signs[1], "test")];
    let mut legend: Vec<String> =
        shown.iter().filter(|s| s.0).map(|(_, sign, name)| format!("{sign} {name}")).collect();
    legend.push(format!("{} chosen threshold", signs[2]));
    out + &format!("{:>11}{}\n", "", legend.join("   "))
}

/// For each column of the plot, the precision of the strictest threshold that reaches the column's recall.
fn columns(part: &Evaluation, width: usize) -> Vec<(usize, f64)> {
    let reached = |recall: f64| part.curve.iter().find(|point| point.recall.is_some_and(|r| r >= recall));
    (0..width)
        .filter_map(|column| {
            let point = reached((column as f64 + 0.5) / width as f64)?;
            Some((column, point.precision?))
        })
        .collect()
}

fn row_of(precision: f64) -> usize {
    let from_below = (precision.clamp(0.0, 1.0) * (HEIGHT - 1) as f64).round() as usize;
    HEIGHT - 1 - from_below
}

/// Bands of probability with what was foretold and what came, as numbers and on a line in powers of ten.
pub(super) fn reliability(report: &Report, style: &Style) -> String {
    let Some((part, figures)) = super::judged(report) else { return String::new() };
    let filled: Vec<_> = figures.reliability.iter().filter(|bin| bin.n_rows > 0).collect();
    if filled.is_empty() {
        return String::new();
    }
    let (foretold, came, both) = (style.sign('○', 'o'), style.sign('●', '*'), style.sign('◉', '@'));
    let room = style.columns().saturating_sub(55).clamp(12, 48);
    let mut out = format!(
        "  {:<17}{:>10}{:>11}{:>11}  0.01 %{:>rest$}\n",
        "probability",
        "orders",
        "foretold",
        "came",
        "100 %",
        rest = room - 6
    );
    for bin in filled {
        let (Some(mean), Some(observed)) = (bin.mean_probability, bin.observed) else { continue };
        let mut line = vec![style.sign('·', '.'); room];
        let (a, b) = (place(mean, room), place(observed, room));
        line[a] = foretold;
        line[b] = if a == b { both } else { came };
        let band = format!("{} - {} %", short_percent(bin.from), short_percent(bin.until));
        out += &format!(
            "  {band:<17}{:>10}{:>11}{:>11}  {}\n",
            count(bin.n_rows),
            percent(Some(mean)),
            percent(Some(observed)),
            line.iter().collect::<String>()
        );
    }
    let text = format!(
        "{foretold} foretold   {came} came   {both} both; where they meet the probability can be taken at its word ({part} part)."
    );
    out + &wrap(&text, style.columns(), "  ", 0)
}

fn short_percent(share: f64) -> String {
    format!("{}", (share * 1e4).round() / 100.0)
}

/// Position of a share on a line from 0.01 % to 100 % in powers of ten; less is at the left end.
fn place(share: f64, room: usize) -> usize {
    let decades = (libm::log10(share.max(1e-4)) + 4.0) / 4.0;
    ((decades * (room - 1) as f64).round() as usize).min(room - 1)
}
