//! `orderguard report`: a report that was written before, shown again.

use std::io::Read;
use std::path::Path;

use orderguard_evaluation::Report;
use orderguard_evaluation::html::{charts, page};
use orderguard_evaluation::terminal::render;

use crate::args::ShowArgs;
use crate::console::{Console, report_style};
use crate::failure::{Blame, Failure, Outcome, data};
use crate::{input, output};

/// Far larger than any report.
const MAX_REPORT_LEN: u64 = 256 << 20;

pub(crate) fn run(args: &ShowArgs, console: &Console) -> Outcome {
    let place = args.report.display();
    let bytes =
        if args.report == Path::new("-") { standard_input()? } else { input::read(&args.report, MAX_REPORT_LEN)? };
    let text = String::from_utf8(bytes).map_err(|error| {
        Failure::Data(anyhow::anyhow!(
            "{place}: expected JSON in UTF-8, found another byte at {}",
            error.utf8_error().valid_up_to()
        ))
    })?;
    let report = Report::from_json(&text).map_err(|error| Failure::Data(anyhow::anyhow!("{place}: {error}")))?;
    if args.html.is_none() && args.charts.is_none() {
        return output::print(&render(&report, &report_style()));
    }
    let mut files = output::Staged::default();
    let mut written = Vec::new();
    if let Some(path) = &args.html {
        files.add(path, page(&report).as_bytes())?;
        written.push(path.display().to_string());
    }
    if let Some(folder) = &args.charts {
        let charts = charts(&report);
        if charts.is_empty() {
            return data(format_args!("{place}: the report has no figures that could be drawn"));
        }
        std::fs::create_dir_all(folder)
            .map_err(|error| Failure::Usage(anyhow::anyhow!("cannot make folder {}: {error}", folder.display())))?;
        for chart in &charts {
            let path = folder.join(chart.id).with_extension("svg");
            files.add(&path, chart.picture.standalone().as_bytes())?;
            written.push(path.display().to_string());
        }
    }
    files.publish()?;
    console.note(&format!("written: {}", written.join(", ")));
    Ok(())
}

fn standard_input() -> Outcome<Vec<u8>> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().take(MAX_REPORT_LEN).read_to_end(&mut bytes).bad_usage()?;
    Ok(bytes)
}
