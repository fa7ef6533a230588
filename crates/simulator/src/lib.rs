//! Labelled order streams for demonstrations and tests: honest customers with habits, seven kinds of abuse, and labels
//! that become known late or never.
//!
//! [`SimulatorParams`] says how many orders, when and how dishonest; [`simulate`] makes them one after another in order of
//! time; [`write_csv`] writes them as a shop's export. The same parameters give the same bytes on every machine: the
//! random numbers are PCG-64, the logarithms `libm`'s, and nothing depends on a clock, a thread or a hash table.
//!
//! No person, bank, street, provider or domain in the data exists: e-mail domains are those set aside for examples,
//! network addresses lie in ranges that were never given out, telephone, card and issuer numbers are made up.
//!
//! Where to start reading: `stream.rs` (the day loop), `honest.rs` (one honest order), `abuse.rs` (what each kind of
//! abuse changes), `customer.rs` (who people are), `label.rs` (what the shop learns), `world.rs` (tables).

mod abuse;
mod csv;
mod customer;
mod honest;
mod label;
mod order;
mod params;
mod random;
mod stream;
mod world;

pub use csv::{CSV_HEADER, write_csv};
pub use order::{Address, Card, CustomerId, DeviceId, FraudKind, Phone, SimulatedOrder};
pub use params::{CheckedSimulatorParams, ParamError, SimulatorParams};
pub use stream::{SimulatedOrders, simulate};

/// The currency of every amount.
pub const CURRENCY: &str = "EUR";
