//! `orderguard simulate`: a labelled order stream as CSV.

use std::path::Path;

use orderguard_simulator::{SimulatorParams, simulate, write_csv};

use crate::args::SimulateArgs;
use crate::console::Console;
use crate::failure::{Blame, Outcome};
use crate::output;

/// Strong compression: the file is written once and shipped.
const ZSTD_LEVEL: i32 = 19;

pub(crate) fn run(args: &SimulateArgs, console: &Console) -> Outcome {
    let params = SimulatorParams {
        n_orders: args.orders,
        days: args.days,
        fraud_share: args.fraud_share,
        start: args.start,
        seed: args.seed,
        ..Default::default()
    };
    let params = params.check().bad_usage()?;
    let bar = console.steps_bar("simulating");
    bar.set_length(args.orders);
    let orders = simulate(&params).inspect(|_| bar.inc(1));
    let ends_in = |path: &Path, ending: &str| path.extension().is_some_and(|e| e.eq_ignore_ascii_case(ending));
    match &args.output {
        None => output::print_with(|out| write_csv(orders, &mut { out }).map(|_| ())),
        Some(path) if ends_in(path, "zst") => output::write_with(path, |file| {
            let mut encoder = zstd::Encoder::new(file, ZSTD_LEVEL)?;
            write_csv(orders, &mut encoder)?;
            encoder.finish()?.flush()
        }),
        Some(path) if ends_in(path, "gz") => output::write_with(path, |file| {
            let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::best());
            write_csv(orders, &mut encoder)?;
            encoder.finish()?.flush()
        }),
        Some(path) => output::write_with(path, |file| write_csv(orders, &mut { file }).map(|_| ())),
    }?;
    bar.finish_and_clear();
    Ok(())
}
