//! The `orderguard` program: wires the libraries together. Files, clocks, progress and printing live here and nowhere else.

mod args;
mod assemble;
mod audit;
mod candidates;
mod checkpoint;
mod commands;
mod comparison;
mod console;
mod costs_file;
mod drift_picture;
mod failure;
mod fit;
mod ingest;
mod input;
mod interrupt;
mod key;
mod learner;
mod log;
mod measure;
mod memory;
mod model_data;
mod output;
mod overlap;
mod params_file;
mod picture;
mod prequential;
mod rows;
mod rules_file;
mod search;
mod segments;
mod selection;
mod specification;
mod start;
mod state_file;
mod streamed;
mod table_file;
mod toml_text;
mod verdicts;
mod watch;
mod weighing;

use clap::Parser;

use args::{Args, Command};
use console::Console;

/// Asks the kernel less often than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    let args = Args::parse();
    let console = Console::new(args.quiet);
    let result = overlap::check(&args.command).and_then(|()| commands::set_threads(args.threads)).and_then(|()| {
        match args.command {
            Command::Train(args) => commands::train::run(&args, &console),
            Command::Evaluate(args) => commands::evaluate::run(&args, &console),
            Command::Report(args) => commands::report::run(&args, &console),
            Command::Score(args) => commands::score::run(&args, &console),
            Command::Explain(args) => commands::explain::run(&args, &console),
            Command::Reasons(args) => commands::reasons::run(&args, &console),
            Command::VerifyLog(args) => commands::verify_log::run(&args, &console),
            Command::Monitor(args) => commands::monitor::run(&args, &console),
            Command::Compare(args) => commands::compare::run(&args, &console),
            Command::Tiers(args) => commands::tiers::run(&args, &console),
            Command::Threshold(args) => commands::threshold::run(&args, &console),
            Command::Schema(args) => commands::schema::run(&args, &console),
            Command::Features(args) => commands::features::run(&args, &console),
            Command::ReplayCheck(args) => commands::replay_check::run(&args, &console),
            Command::State(args) => commands::state::run(&args, &console),
            Command::Inspect(args) => commands::inspect::run(&args),
            Command::Convert(args) => commands::convert::run(&args, &console),
            Command::Export(args) => commands::export::run(&args, &console),
            Command::Simulate(args) => commands::simulate::run(&args, &console),
        }
    });
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(failure) => {
            console::error(&failure);
            failure.exit_code()
        }
    }
}
