//! Tests across modules: engines against the naive walk, the model file, hostile files, fixtures.

mod background;
mod card;
mod drift;
mod engines;
mod explain;
mod export;
mod file;
mod fixtures;
mod hostile;
mod onnx;
mod reasons;
mod rules;
mod samples;
mod scoring;
