//! What statements of different times about one order come to.

use super::LabelChange;

/// What holds in the end, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) time: i64,
    pub(super) fraud: bool,
}

/// What the statements `(time, fraud)` come to, in the order of their times; adds the turns to fraud and back.
///
/// # Panics
/// If there is no statement: a caller's bug.
pub(super) fn settle(row: u32, statements: &[(i64, bool)], changes: &mut Vec<LabelChange>) -> Settled {
    let mut holds: Option<Settled> = None;
    for &(time, fraud) in statements {
        if holds.is_some_and(|known| known.fraud == fraud) {
            continue;
        }
        if fraud || holds.is_some() {
            changes.push(LabelChange { time, row, fraud });
        }
        holds = Some(Settled { time, fraud });
    }
    holds.expect("there is at least one statement")
}

/// Sorts statements `(time, fraud)` of one order and removes repeated ones and those that contradict another of the same
/// time; tells whether any did.
pub(super) fn drop_conflicting(statements: &mut Vec<(i64, bool)>) -> bool {
    statements.sort_unstable();
    statements.dedup();
    let n_before = statements.len();
    let mut kept = Vec::with_capacity(n_before);
    kept.extend(statements.chunk_by(|a, b| a.0 == b.0).filter(|same_time| same_time.len() == 1).map(|one| one[0]));
    *statements = kept;
    statements.len() < n_before
}
