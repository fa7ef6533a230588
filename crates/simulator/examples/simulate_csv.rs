//! Writes a simulated order stream to a CSV file:
//! `cargo run --release -p orderguard-simulator --example simulate_csv -- OUT.csv [ORDERS [DAYS [SEED]]]`.

use std::error::Error;
use std::fs::File;

use orderguard_simulator::{SimulatorParams, simulate, write_csv};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("usage: simulate_csv OUT.csv [ORDERS [DAYS [SEED]]]")?;
    let mut params = SimulatorParams::default();
    if let Some(n_orders) = args.next() {
        params.n_orders = n_orders.parse()?;
    }
    if let Some(days) = args.next() {
        params.days = days.parse()?;
    }
    if let Some(seed) = args.next() {
        params.seed = seed.parse()?;
    }
    let n_orders = write_csv(simulate(&params.check()?), &mut File::create(&path)?)?;
    // Progress and printing belong to programs; this is one.
    #[expect(clippy::print_stderr, reason = "an example is a program")]
    {
        eprintln!("{n_orders} orders written to {path}");
    }
    Ok(())
}
