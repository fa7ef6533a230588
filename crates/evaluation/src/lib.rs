//! Fraud metrics, thresholds and reports.
//!
//! Everything here works on plain slices: a raw score, a label and perhaps a probability and an amount per order. Rankings are
//! always made on the raw score, figures that have no meaning (no fraud, no honest order) are `None` and never a made-up
//! number, and every result is the same for any order of the rows and any number of threads.

pub mod error;
pub mod metrics;
pub mod ranking;

pub use error::MetricError;
pub use metrics::{average_precision, roc_auc};
pub use ranking::Ranking;
