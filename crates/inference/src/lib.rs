//! Loads one model file and scores orders.
pub mod model;
