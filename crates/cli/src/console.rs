//! What people see while they wait: notes, progress and errors, all on standard error.

// This is the one place that prints to standard error.
#![allow(clippy::print_stderr)]

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::failure::Failure;

/// Standard error, and how much to say there.
pub(crate) struct Console {
    quiet: bool,
    is_terminal: bool,
}

impl Console {
    pub(crate) fn new(quiet: bool) -> Self {
        Self { quiet, is_terminal: std::io::stderr().is_terminal() }
    }

    /// Whether only errors are to be said.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// One thing that the user should know.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            eprintln!("note: {}", printable(text));
        }
    }

    /// A block of text.
    pub(crate) fn show(&self, text: &str) {
        if !self.quiet {
            eprint!("{text}");
        }
    }

    /// A bar over bytes, hidden unless somebody watches.
    pub(crate) fn bytes_bar(&self, what: &'static str) -> ProgressBar {
        self.bar(what, "{msg:>12} {wide_bar:.cyan/dim} {bytes:>10} of {total_bytes} {eta:>4}")
    }

    /// A bar over steps, hidden unless somebody watches.
    pub(crate) fn steps_bar(&self, what: &'static str) -> ProgressBar {
        self.bar(what, "{msg:>12} {wide_bar:.cyan/dim} {pos:>6} of {len} {prefix} {eta:>4}")
    }

    fn bar(&self, what: &'static str, template: &str) -> ProgressBar {
        if self.quiet || !self.is_terminal {
            return ProgressBar::hidden();
        }
        let style = ProgressStyle::with_template(template).expect("the templates above are well formed");
        let bar = ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr_with_hz(10));
        bar.set_style(style);
        bar.set_message(what);
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }
}

/// The last words, said to quiet users too.
pub(crate) fn error(failure: &Failure) {
    eprintln!("error: {}", printable(&failure.to_string()));
}

/// Names from files may hold anything; control characters must not reach the terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// The width of the terminal that `standard output` goes to.
pub(crate) fn report_style() -> orderguard_evaluation::terminal::Style {
    let is_terminal = std::io::stdout().is_terminal();
    let width = if is_terminal { terminal_width() } else { 100 };
    let colour = is_terminal && std::env::var_os("NO_COLOR").is_none();
    let ascii = !std::env::var("LC_ALL")
        .or_else(|_| std::env::var("LC_CTYPE"))
        .or_else(|_| std::env::var("LANG"))
        .map_or(true, |locale| locale.to_ascii_uppercase().replace('-', "").contains("UTF8"));
    orderguard_evaluation::terminal::Style { width, colour, ascii }
}

/// Columns of the terminal; 100 where the system does not tell.
fn terminal_width() -> usize {
    // comfy-table asks the terminal in a way that works on every system.
    comfy_table::Table::new().width().map_or(100, usize::from)
}

/// The most memory that the program held so far, where the system tells.
pub(crate) fn peak_rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1_024)
}
