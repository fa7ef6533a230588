//! Labelled event streams of a web shop for demonstrations and tests: honest customers with habits, seven kinds of abuse,
//! what happens around their orders, and labels that become known late, never, or are taken back.
//!
//! [`SimulatorParams`] says how many orders, when and how dishonest; [`simulate`] makes orders and all other events one
//! after another, in the order in which the shop learns of them; [`write_csv`] writes them as a shop's export, whole or
//! orders only. The same parameters give the same bytes on every machine: the random numbers are PCG-64, the logarithms
//! `libm`'s, and nothing depends on a clock, a thread or a hash table.
//!
//! No person, bank, street, provider or domain in the data exists: e-mail domains are those set aside for examples,
//! network addresses lie in ranges that were never given out, telephone, card and issuer numbers are made up. Towns are
//! points drawn inside the countries' bounds.
//!
//! Where to start reading: `stream.rs` (the day loop), `honest.rs` (one honest order), `around.rs` (what comes before and
//! after an order), `abuse.rs` and below (what each kind of abuse changes), `customer.rs` (who people are), `label.rs`
//! (what the shop learns), `diary.rs` (when it learns the rest), `world.rs` (tables).

mod abuse;
mod around;
mod csv;
mod customer;
mod diary;
mod event;
mod honest;
mod label;
mod order;
mod params;
mod random;
mod stream;
mod world;

pub use csv::{Layout, write_csv};
pub use event::{OtherEvent, SimulatedEvent};
pub use order::{Address, Card, CustomerId, DeviceId, FraudKind, IpPlace, Phone, SimulatedOrder, UserAgent};
pub use params::{CheckedSimulatorParams, ParamError, SimulatorParams};
pub use stream::{SimulatedEvents, SimulatedOrders, simulate};
