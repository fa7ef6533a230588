//! Gradient-boosted trees and logistic regression for rare frauds, parallel and deterministic.
#![allow(clippy::inline_always, reason = "what a kernel calls is compiled for its vectors only where it is inlined")]

mod apply;
#[cfg(feature = "baselines")]
pub mod baselines;
pub mod binning;
mod booster;
pub mod boosting;
pub mod calibration;
mod constraints;
pub mod crossfit;
pub mod ensemble;
mod fit_error;
mod gram;
mod grower;
mod histogram;
pub mod leaves;
#[cfg(feature = "linfa")]
pub mod linfa;
pub mod logistic;
mod loss;
pub mod need;
mod newton;
mod numeric;
pub mod ordered;
pub mod param_error;
pub mod params;
mod partition;
pub mod roofline;
pub mod samples;
pub mod scorecard;
pub mod search;
pub mod snapshot;
mod splitting;
mod standardise;
mod start;
mod thinning;
pub mod validation;
pub mod vector;
pub mod weights;
pub mod woe;
