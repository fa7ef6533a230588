//! Loads one model file and scores orders.
//!
//! Start reading at [`model`] (what a model is), then [`tree`] and [`linear`] (what its numbers mean), [`Scorer`] (the fast
//! form of the same) and [`calibrate`] (from raw score to probability). The file is described byte for byte in
//! `docs/model-format.md`.
//!
//! ```no_run
//! use orderguard_inference::{Decision, Scorer, model::Model};
//!
//! let model = Model::load("models/latest/model.ogm")?;
//! let scorer = Scorer::compile(&model)?; // immutable: share it between threads
//! let row = vec![f32::NAN; scorer.n_features()]; // one value per feature of model.spec, NaN = missing
//! let score = scorer.score(&row)?;
//! if score.decision != Decision::Approve {
//!     println!("stopped: probability of fraud {:.3}", score.probability);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Nothing here prints, reads a clock or the environment, or touches a file beyond [`Model::load`](model::Model::load).

pub mod audit;
pub mod background;
pub mod calibrate;
pub mod card;
pub mod decision;
pub mod drift;
pub mod engine;
pub mod error;
pub mod explain;
pub mod export;
pub mod format;
pub mod golden;
pub mod import;
pub mod json;
pub mod linear;
pub mod model;
pub mod reasons;
pub mod reference;
pub mod rows;
pub mod rules;
pub mod scorecard;
pub mod scorer;
pub mod service;
pub mod tree;
pub mod validate;
pub mod wide;

#[cfg(test)]
mod tests;

pub use decision::{Decision, Tier};
pub use error::{LoadError, ModelError, ScoreError, WriteError};
pub use scorer::{BatchScratch, RawScorer, Score, Scorer};
