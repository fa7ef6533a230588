//! Fraud metrics, thresholds and reports.
//!
//! The metrics work on plain slices: a raw score, a label and perhaps a probability and an amount per order. Rankings are
//! always made on the raw score, figures that have no meaning (no fraud, no honest order) are `None` and never a made-up
//! number, and every result is the same for any order of the rows and any number of threads.
//!
//! [`Evaluation::compute`] gives all figures of one set of orders, [`threshold::choose`] the score from which orders are
//! stopped; [`report::Report`] holds what a run found, and [`terminal::render`] shows it to people.

pub mod confusion;
pub mod curve;
pub mod entity;
pub mod error;
pub mod evaluation;
pub mod interval;
pub mod metrics;
pub mod ranking;
pub mod report;
mod sum;
pub mod terminal;
pub mod threshold;
pub mod tiers;

pub use confusion::{Confusion, Value};
pub use entity::entity_precision_at_k_per_day;
pub use error::MetricError;
pub use evaluation::{AtThreshold, Evaluation};
pub use interval::{Interval, Intervals, bootstrap_intervals};
pub use metrics::{average_precision, brier, log_loss, roc_auc};
pub use ranking::Ranking;
pub use report::Report;
pub use threshold::{Aim, Choice};
pub use tiers::{TierFigures, TierValue, tiers};
