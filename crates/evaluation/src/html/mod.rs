//! A report as one page of HTML that needs nothing from elsewhere: no network, and no script to be read.
//!
//! `sections.rs` says what stands where, `charts.rs` draws; `page.html` puts tags around it.

mod charts;
mod sections;
mod slider;
#[cfg(test)]
mod tests;
mod view;

use minijinja::{AutoEscape, Environment};

pub use charts::{CHART_IDS, Chart, charts};

use crate::chart;
use crate::report::Report;

/// The report as a page, with all charts that it has the figures for. Names from the data are escaped: no file can bring
/// tags or scripts into the page. Some hundred kilobytes at most.
pub fn page(report: &Report) -> String {
    const TEMPLATE: &str = include_str!("page.html");
    let mut environment = Environment::empty();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.add_filter("safe", |text: String| minijinja::Value::from_safe_string(text));
    let style = format!("{}\n{}\n{}", include_str!("page.css"), chart::STYLE, chart::DARK_STYLE);
    let page = sections::page(report);
    environment
        .render_str(TEMPLATE, minijinja::context! { style, ..minijinja::value::Serde(&page) })
        .expect("the template asks only for what every page has")
}
