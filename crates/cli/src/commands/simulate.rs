//! `orderguard simulate`: a labelled event stream as CSV, whole, its orders alone, or in two files.

use std::io::{self, Write};
use std::path::Path;
use std::sync::mpsc;

use indicatif::ProgressBar;
use orderguard_features::kind::EventKind;
use orderguard_simulator::{CheckedSimulatorParams, Layout, SimulatedEvent, SimulatorParams, simulate, write_csv};

use crate::args::SimulateArgs;
use crate::console::Console;
use crate::failure::{Blame, Outcome};
use crate::output::{self, Staged};

/// Strong compression: the file is written once and shipped.
const ZSTD_LEVEL: i32 = 19;
/// Events that pass from the thread that makes them to the one that writes them at a time.
const BLOCK: usize = 4_096;

pub(crate) fn run(args: &SimulateArgs, console: &Console) -> Outcome {
    let params = SimulatorParams {
        n_orders: args.orders,
        days: args.days,
        fraud_share: args.fraud_share,
        start: args.start,
        seed: args.seed,
        drift_day: args.drift_day,
        foreign_currencies: !args.one_currency,
        ..Default::default()
    };
    let params = params.check().bad_usage()?;
    let bar = console.steps_bar("simulating");
    let is_whole = !args.orders_only && args.events.is_none();
    let layout = if is_whole { Layout::Stream } else { Layout::Orders };
    bar.set_length(args.orders * (1 + u64::from(args.events.is_some())));
    // Files appear together or not at all; each takes a pass of its own, which costs less than keeping the events.
    let mut staged = Staged::default();
    if let Some(path) = &args.output {
        staged.add_with(path, |file| compressed(path, layout, &params, &bar, file))?;
    }
    if let Some(path) = &args.events {
        staged.add_with(path, |file| compressed(path, Layout::Others, &params, &bar, file))?;
    }
    if args.output.is_none() {
        output::print_with(|out| write(layout, &params, &bar, out))?;
    }
    staged.publish()?;
    bar.finish_and_clear();
    Ok(())
}

/// Writes to a file of that name, compressed as its ending says.
fn compressed(
    path: &Path,
    layout: Layout,
    params: &CheckedSimulatorParams,
    bar: &ProgressBar,
    file: &mut dyn Write,
) -> io::Result<()> {
    let ends_in = |ending: &str| path.extension().is_some_and(|e| e.eq_ignore_ascii_case(ending));
    if ends_in("zst") {
        let mut encoder = zstd::Encoder::new(file, ZSTD_LEVEL)?;
        write(layout, params, bar, &mut encoder)?;
        encoder.finish()?.flush()
    } else if ends_in("gz") {
        let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::best());
        write(layout, params, bar, &mut encoder)?;
        encoder.finish()?.flush()
    } else {
        write(layout, params, bar, file)
    }
}

/// One thread makes the events while this one writes them.
fn write(
    layout: Layout,
    params: &CheckedSimulatorParams,
    bar: &ProgressBar,
    mut out: &mut dyn Write,
) -> io::Result<()> {
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel::<Vec<SimulatedEvent>>(4);
        scope.spawn(move || {
            let mut events = simulate(params);
            loop {
                let block: Vec<SimulatedEvent> = events.by_ref().take(BLOCK).collect();
                bar.inc(block.iter().filter(|event| event.kind() == EventKind::Order).count() as u64);
                // Nobody takes the block where writing failed: that is told there.
                if block.is_empty() || sender.send(block).is_err() {
                    break;
                }
            }
        });
        write_csv(layout, receiver.into_iter().flatten(), &mut out).map(|_| ())
    })
}
