//! The program as people and scripts use it: files in, files out, messages and exit codes. One binary, so that linking is
//! paid once; a fresh directory for every test.

mod bad_input;
mod bad_models;
mod contracts;
mod converting;
mod deciding;
mod determinism;
mod disk;
mod drifting;
mod events;
mod explaining;
mod exporting;
mod features;
mod harness;
mod help;
mod labels;
mod larger_than_memory;
mod learning;
mod life;
mod measuring;
mod options;
mod overwriting;
mod replay_check;
mod ruling;
mod search;
mod state;
mod streaming;
