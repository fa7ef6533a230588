//! The feature language: each feature is one line of text, such as `count(order) by card over 1d`.
//!
//! [`feature`] is what a line means, [`parse`] reads it, [`resolve`] finds the columns that it names, and [`spec`] holds all
//! lines of a model. Three states are never mixed up: *missing* (the order has no value in the entity's
//! column) is NaN, *first seen* (the entity has no history) is [`FIRST_SEEN`](feature::FIRST_SEEN), and history without
//! a hit is 0.

pub mod catalogue;
pub mod error;
pub mod explain;
mod families;
pub mod feature;
pub mod file;
pub mod observed;
pub mod parse;
pub mod resolve;
pub mod spec;
mod text;
pub mod vocabulary;
