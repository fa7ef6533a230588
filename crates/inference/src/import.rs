//! Models that other libraries wrote.
//!
//! Their texts are hostile: a reader believes no number before it has looked at what is there, says at which line or byte something
//! is wrong, and allocates in proportion to the text.

mod error;
mod json;
pub mod lightgbm;
mod scale;
pub mod xgboost;

pub use error::{ImportError, Place};

/// Longest piece of a text that an error repeats, in characters.
const QUOTED: usize = 40;

fn beginning(text: &str) -> String {
    text.chars().take(QUOTED).collect()
}
