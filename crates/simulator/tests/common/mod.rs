//! Streams that several test programs look at.

#![allow(dead_code, reason = "each test program uses a part")]

use orderguard_simulator::{Layout, SimulatedEvent, SimulatedOrder, SimulatorParams, simulate, write_csv};

pub(crate) fn orders(params: SimulatorParams) -> Vec<SimulatedOrder> {
    simulate(&params.check().unwrap()).orders().collect()
}

pub(crate) fn events(params: SimulatorParams) -> Vec<SimulatedEvent> {
    simulate(&params.check().unwrap()).collect()
}

pub(crate) fn csv(layout: Layout, params: SimulatorParams) -> String {
    let mut file = Vec::new();
    write_csv(layout, simulate(&params.check().unwrap()), &mut file).unwrap();
    String::from_utf8(file).unwrap()
}

pub(crate) fn large_params() -> SimulatorParams {
    SimulatorParams { n_orders: 60_000, days: 365, fraud_share: 0.05, seed: 3, ..Default::default() }
}

pub(crate) fn large() -> Vec<SimulatedOrder> {
    orders(large_params())
}
