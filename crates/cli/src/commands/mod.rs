//! One file per command.

pub(crate) mod compare;
pub(crate) mod convert;
pub(crate) mod evaluate;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod features;
pub(crate) mod inspect;
pub(crate) mod monitor;
pub(crate) mod reasons;
pub(crate) mod replay_check;
pub(crate) mod report;
pub(crate) mod schema;
pub(crate) mod score;
pub(crate) mod simulate;
pub(crate) mod state;
pub(crate) mod threshold;
pub(crate) mod tiers;
pub(crate) mod train;
pub(crate) mod verify_log;

use crate::failure::{Blame, Outcome};

/// Sets how many threads the program uses.
pub(crate) fn set_threads(threads: Option<u16>) -> Outcome {
    let n = threads.map_or(0, usize::from);
    rayon::ThreadPoolBuilder::new().num_threads(n).build_global().bad_usage()
}
