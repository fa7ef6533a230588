//! Writes a simulated event stream to a CSV file, and how long that took:
//! `cargo run --release -p orderguard-simulator --example simulate_csv -- OUT.csv [ORDERS [DAYS [SEED]]]`.
//!
//! One thread makes the events, the other writes them; a million orders with all their events are to take less than 10 s on
//! two cores.

use std::error::Error;
use std::fs::File;
use std::sync::mpsc;
use std::time::Instant;

use orderguard_simulator::{Layout, SimulatedEvent, SimulatorParams, simulate, write_csv};

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
    let params = params.check()?;
    let began = Instant::now();
    let n_events = std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel::<Vec<SimulatedEvent>>(4);
        scope.spawn(move || {
            let mut events = simulate(&params);
            loop {
                let block: Vec<SimulatedEvent> = events.by_ref().take(4_096).collect();
                if block.is_empty() || sender.send(block).is_err() {
                    break;
                }
            }
        });
        write_csv(Layout::Stream, receiver.into_iter().flatten(), &mut File::create(&path)?)
    })?;
    // Progress and printing belong to programs; this is one.
    #[expect(clippy::print_stderr, reason = "an example is a program")]
    {
        eprintln!("{n_events} events written to {path} in {:.2} s", began.elapsed().as_secs_f64());
    }
    Ok(())
}
