//! A report as text for a terminal: first what a fraud manager asks, then what stands behind it.

// `write!` to a String has a result that says nothing; the few allocations of a page do not matter.
#![allow(clippy::format_push_string, clippy::format_collect)]

mod comparison;
mod decide;
mod figures;
mod origin;
mod plot;
mod text;

use crate::compare::Comparison;
use crate::evaluation::Evaluation;
use crate::report::{Report, Schema};
pub(crate) use figures::figure_rows;
use text::{clean, wrap};

/// How to write for a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Columns of the terminal; 40 to 140 are used.
    pub width: usize,
    /// Whether to use bold and colour (ANSI escapes).
    pub colour: bool,
    /// Whether to keep to ASCII, for terminals and logs that cannot show more.
    pub ascii: bool,
}

impl Default for Style {
    /// 80 columns, no colour, not limited to ASCII.
    fn default() -> Self {
        Self { width: 80, colour: false, ascii: false }
    }
}

impl Style {
    fn columns(&self) -> usize {
        self.width.clamp(40, 140)
    }

    fn sign(&self, full: char, ascii: char) -> char {
        if self.ascii { ascii } else { full }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn heading(&self, text: &str) -> String {
        self.paint("1;36", text)
    }
}

/// Renders the whole report, ending with a newline. Undefined figures are shown as `n/a`; control characters in names from
/// the data are replaced, so that no file can send commands to the terminal.
pub fn render(report: &Report, style: &Style) -> String {
    let mut page = Page { style, text: String::new() };
    page.block(&figures::headline(report, style));
    page.section("Data", &origin::data(report, style));
    page.section("Split", &origin::split(report, style));
    page.section("Columns", &schema_table(&report.schema, style));
    page.section("Columns that may know the answer", &origin::leaks(report, style));
    page.section("Rejected rows", &origin::rejections(report, style));
    page.section("Before you believe the figures", &origin::notes(report, style));
    page.section("Orders that are not resolved", &decide::unresolved(report, style));
    page.section("Orders whose label was not seen", &decide::selection(report, style));
    page.section("Search", &origin::search(report, style));
    page.section("Figures", &figures::table_of_figures(report, style));
    page.section("Decisions at the threshold", &figures::decisions(report, style));
    page.section("Decisions of the tiers", &figures::tiers(report, style));
    page.section("In money", &decide::in_money(report, style));
    page.section("Other thresholds", &decide::thresholds(report, style));
    page.section("Week by week", &decide::weeks(report, style));
    page.section("Weakest segments", &decide::segments(report, style));
    page.section("Kinds of abuse", &decide::kinds(report, style));
    page.section("Folds that move forward in time", &decide::folds(report, style));
    page.section("Precision at each recall", &plot::precision_recall(report, style));
    page.section("Probability foretold, and fraud that came", &plot::reliability(report, style));
    page.section("What the model looks at", &figures::features(report, style));
    page.section("Time and memory", &origin::timing(report, style));
    page.text
}

/// What the columns were taken for, as a table; at most 40 columns, then how many more there are. Empty without columns.
pub fn schema_table(schema: &Schema, style: &Style) -> String {
    origin::schema(schema, style)
}

/// Two models side by side, the verdict first.
pub fn render_comparison(comparison: &Comparison, style: &Style) -> String {
    comparison::text(comparison, style)
}

/// The thresholds of a part as a table: what each does, and what it saves. Empty where the part has none.
pub fn threshold_table(figures: &Evaluation, style: &Style) -> String {
    decide::threshold_table(figures, style)
}

/// Sections one below the other, an empty line between them; empty ones are left out.
struct Page<'a> {
    style: &'a Style,
    text: String,
}

impl Page<'_> {
    fn section(&mut self, title: &str, body: &str) {
        if !body.is_empty() {
            self.block(&format!("{}\n{body}", self.style.heading(title)));
        }
    }

    fn block(&mut self, body: &str) {
        if body.is_empty() {
            return;
        }
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        for line in body.trim_end_matches('\n').lines() {
            self.text.push_str(line.trim_end());
            self.text.push('\n');
        }
    }
}

/// The sentences of the headline.
pub(crate) fn sentences(report: &Report) -> Vec<String> {
    let Some((part, figures)) = judged(report) else { return Vec::new() };
    figures::sentences(part, figures, report, &Style::default())
}

/// The part the headline speaks of: test where there is one.
pub(crate) fn judged(report: &Report) -> Option<(&'static str, &Evaluation)> {
    let test = report.test.as_ref().map(|figures| ("test", figures));
    test.or_else(|| report.validation.as_ref().map(|figures| ("validation", figures)))
}

/// Sentences as a list, continuation lines indented.
fn bullets(items: impl IntoIterator<Item = String>, style: &Style) -> String {
    let bullet = style.sign('•', '-');
    items.into_iter().map(|item| wrap(&format!("{bullet} {}", clean(&item, style)), style.columns(), "  ", 2)).collect()
}
