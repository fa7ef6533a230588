//! Models for other programs: an ONNX graph that scores the same, and a dump that people read.

mod calibration;
mod graph;
pub mod json;
mod linear;
pub mod onnx;
mod protobuf;
mod scorecard;
mod trees;

use std::fmt;

use crate::error::ModelError;

/// A model that cannot be written in another form.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ExportError {
    /// The model contradicts itself.
    Model(ModelError),
    /// ONNX files hold at most 2 GiB.
    TooLarge {
        /// Bytes that it would take.
        found: usize,
    },
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model(error) => error.fmt(f),
            Self::TooLarge { found } => write!(f, "onnx: expected at most 2147483647 bytes, found {found}"),
        }
    }
}

impl std::error::Error for ExportError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Model(error) => Some(error),
            Self::TooLarge { .. } => None,
        }
    }
}

impl From<ModelError> for ExportError {
    fn from(error: ModelError) -> Self {
        Self::Model(error)
    }
}
