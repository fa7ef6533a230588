//! Ctrl-C: while trees are fitted the first one keeps the best so far, a second one ends the program at once.

// The handler runs beside everything else and has nobody to hand its words to.
#![allow(clippy::print_stderr)]

use std::sync::atomic::{AtomicU8, Ordering};

/// Nothing is lost but work: Ctrl-C ends the program.
const PLAIN: u8 = 0;
/// Trees are being fitted.
const FITTING: u8 = 1;
/// Ctrl-C was pressed while trees were fitted.
const STOPPED: u8 = 2;
/// Parameters are being looked for.
const SEARCHING: u8 = 3;
/// Ctrl-C was pressed while parameters were looked for.
const SEARCH_STOPPED: u8 = 4;
/// The exit code of a program that Ctrl-C ended, as shells have it.
const EXIT_CODE: i32 = 130;

static STATE: AtomicU8 = AtomicU8::new(PLAIN);

/// Takes Ctrl-C over from the system; where that cannot be, it ends the program as ever.
pub(crate) fn watch(quiet: bool) {
    let _ = ctrlc::set_handler(move || {
        if change(SEARCHING, SEARCH_STOPPED) {
            if !quiet {
                eprintln!("\nkeeping the best parameters so far, and fitting with them");
            }
            return;
        }
        if !change(FITTING, STOPPED) {
            std::process::exit(EXIT_CODE);
        }
        if !quiet {
            eprintln!("\nkeeping the best so far, and finishing with it; Ctrl-C again ends at once");
        }
    });
}

/// From here on Ctrl-C means to stop fitting.
pub(crate) fn begin_fit() {
    change(PLAIN, FITTING);
}

/// From here on Ctrl-C means to stop looking for parameters.
pub(crate) fn begin_search() {
    change(PLAIN, SEARCHING);
}

/// From here on it ends the program again; returns whether it was pressed.
pub(crate) fn end_search() -> bool {
    !change(SEARCHING, PLAIN) && change(SEARCH_STOPPED, PLAIN)
}

/// Whether looking for parameters is to stop.
pub(crate) fn is_search_stopped() -> bool {
    STATE.load(Ordering::SeqCst) == SEARCH_STOPPED
}

/// Goes from one state to the next, if that is where it stands.
fn change(from: u8, to: u8) -> bool {
    STATE.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst).is_ok()
}

/// From here on it ends the program again.
pub(crate) fn end_fit() {
    change(FITTING, PLAIN);
}

/// Whether fitting is to stop.
pub(crate) fn is_stopped() -> bool {
    STATE.load(Ordering::SeqCst) == STOPPED
}
