//! Models that other libraries wrote.
//!
//! Their texts are hostile: a reader believes no number before it has looked at what is there, says at which line something
//! is wrong, and allocates in proportion to the text.

mod error;
pub mod lightgbm;
mod scale;

pub use error::ImportError;
