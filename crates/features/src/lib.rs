//! Event-time features of web-shop orders.
//!
//! One implementation replays history for training and serves a live order; both give bit-identical rows.
//! Start reading at [`schema`] (what a column means), then [`event`] (a validated event), [`kernel`] (what is remembered
//! of one entity), [`state`] (of all entities), [`extract`] (event + state -> row) and [`replay`] (the same for a table).
//! [`language`] is how features are written.
//!
//! Nothing here reads files, clocks or the environment, prints, or draws random numbers.

pub mod calendar;
pub mod canonical;
pub mod container;
pub mod event;
pub mod extract;
pub mod identity;
pub mod json;
pub mod kernel;
pub mod kind;
pub mod language;
pub mod matrix;
pub mod network;
pub mod order_index;
pub mod own;
mod parallel;
pub mod parse;
pub mod parts;
mod recent;
pub mod replay;
pub mod resume;
pub mod schema;
pub mod shards;
mod shared;
mod slow_clock;
pub mod snapshot;
pub mod state;
pub mod subject;
pub mod table;
pub mod time;
mod varint;
