//! The model file, version 0: `docs/model-format.md` describes it byte for byte.

mod header;
mod read;
mod rows;
mod wire;
mod write;

pub use read::MAX_FILE_LEN;
