//! A report.json as a page of HTML, and each of its charts as an SVG file.
//!
//! `cargo run -p orderguard-evaluation --example report_page -- models/report.json FOLDER`

use std::error::Error;
use std::path::PathBuf;

use orderguard_evaluation::{Report, html};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [report, folder] = &args[..] else { return Err("expected REPORT.json FOLDER".into()) };
    let report = Report::from_json(&std::fs::read_to_string(report)?)?;
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("report.html"), html::page(&report))?;
    for chart in html::charts(&report) {
        std::fs::write(folder.join(chart.id).with_extension("svg"), chart.picture.standalone())?;
    }
    Ok(())
}
