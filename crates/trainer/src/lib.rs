//! Gradient-boosted trees and logistic regression for rare frauds, parallel and deterministic.

pub mod calibration;
pub mod crossfit;
pub mod logistic;
mod newton;
pub mod param_error;
pub mod samples;
mod standardise;
