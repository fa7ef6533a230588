//! Reads order tables into typed columns, infers what the columns mean, refuses leaks and splits by time.

pub mod profile;
