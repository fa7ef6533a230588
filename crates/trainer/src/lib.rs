//! Gradient-boosted trees and logistic regression for rare frauds, parallel and deterministic.

pub mod binning;
pub mod boosting;
pub mod calibration;
pub mod crossfit;
mod grower;
mod histogram;
pub mod logistic;
mod loss;
mod newton;
mod numeric;
pub mod param_error;
pub mod params;
pub mod samples;
mod splitting;
mod standardise;
mod validation;
