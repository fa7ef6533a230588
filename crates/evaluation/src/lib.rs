//! Fraud metrics, thresholds and reports.
//!
//! The metrics work on plain slices: a raw score, a label and perhaps a probability and an amount per order. Rankings are
//! always made on the raw score, figures that have no meaning (no fraud, no honest order) are `None` and never a made-up
//! number, and every result is the same for any order of the rows and any number of threads.
//!
//! [`Evaluation::measure`] gives all figures of one set of orders with their intervals, [`threshold::choose`] the score from which orders are
//! stopped; [`report::Report`] holds what a run found, [`terminal::render`] and [`html::page`] show it to people.

pub mod chart;
pub mod compare;
pub mod confusion;
pub mod costs;
pub mod curve;
mod daily;
mod draws;
pub mod entity;
pub mod error;
pub mod evaluation;
pub mod html;
pub mod interval;
pub mod measure;
pub mod metrics;
mod pass;
mod ranked;
pub mod ranking;
mod replicates;
pub mod report;
pub mod scored;
pub mod selection;
pub mod slices;
mod sum;
pub mod terminal;
pub mod threshold;
pub mod tiers;
pub mod unresolved;
mod words;

pub use compare::{Comparison, Measure, compare};
pub use confusion::{Confusion, Value};
pub use costs::{CostError, CostTable};
pub use entity::entity_precision_at_k_per_day;
pub use error::MetricError;
pub use evaluation::{AtThreshold, Evaluation};
pub use interval::{Interval, Intervals};
pub use measure::{Candidate, Options, money_of_tiers};
pub use metrics::{average_precision, brier, log_loss, roc_auc};
pub use ranking::Ranking;
pub use report::Report;
pub use scored::Scored;
pub use selection::selection;
pub use slices::Column;
pub use threshold::{Aim, Choice};
pub use tiers::{TierFigures, TierValue, tiers};
