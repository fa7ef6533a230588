//! Loads one model file and scores orders.
pub mod calibrate;
pub mod linear;
pub mod model;
