//! Reads order tables into typed columns, infers what the columns mean, refuses leaks and splits by time.
//!
//! Start reading at [`source`] (where bytes come from), then [`read`] (rows to typed columns) and [`scan`] (the evidence
//! for a schema).

mod blocks;
mod columns;
mod delimited;
pub mod error;
pub mod events;
pub mod folds;
pub mod infer;
mod intern;
pub mod labels;
pub mod leaks;
#[cfg(feature = "parquet")]
mod parquet_in;
#[cfg(feature = "parquet")]
pub mod parquet_out;
pub mod profile;
pub mod read;
pub mod rejection;
mod rows;
pub mod scan;
pub mod scratch;
pub mod source;
pub mod split;
pub mod stream;

pub use orderguard_features::json as json_lines;
