//! Gradient-boosted trees and logistic regression for rare frauds, parallel and deterministic.
#![allow(clippy::inline_always, reason = "what a kernel calls is compiled for its vectors only where it is inlined")]

mod apply;
pub mod binning;
pub mod boosting;
pub mod calibration;
mod constraints;
pub mod crossfit;
mod gram;
mod grower;
mod histogram;
pub mod logistic;
mod loss;
mod newton;
mod numeric;
pub mod param_error;
pub mod params;
mod partition;
pub mod samples;
mod splitting;
mod standardise;
pub mod validation;
pub mod vector;
pub mod weights;
