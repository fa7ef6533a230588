//! Gradient-boosted trees and logistic regression for rare frauds, parallel and deterministic.

pub mod param_error;
pub mod samples;
