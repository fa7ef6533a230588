//! What statements of different times about one order come to.

use super::LabelChange;

/// What somebody says of an order. Statements are sorted by the time from which on they count, then by the time at which they
/// were made; of two made at once, the one that says fraud comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Statement {
    /// From when on it counts.
    pub(super) time: i64,
    /// When it was made: before `time` where the order was not known yet;
    /// [`MISSING_I64`](orderguard_features::table::MISSING_I64), before all times, where nobody says when.
    pub(super) made: i64,
    pub(super) fraud: bool,
}

impl Statement {
    /// One that counts from when it was made.
    pub(super) fn at(time: i64, fraud: bool) -> Self {
        Self { time, made: time, fraud }
    }
}

/// What holds in the end, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) time: i64,
    pub(super) fraud: bool,
}

/// What statements in the order of their times come to; adds the turns to fraud and back.
///
/// # Panics
/// If there is no statement: a caller's bug.
pub(super) fn settle(row: u32, statements: &[Statement], changes: &mut Vec<LabelChange>) -> Settled {
    let mut holds: Option<Settled> = None;
    for &Statement { time, fraud, .. } in statements {
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

/// Sorts the statements about one order and keeps one for each time: the one that was made last, and of those made at once
/// the one that says fraud; tells whether any made at once contradicted each other.
pub(super) fn one_for_each_time(statements: &mut Vec<Statement>) -> bool {
    statements.sort_unstable();
    statements.dedup();
    let is_conflicting = statements.windows(2).any(|pair| (pair[0].time, pair[0].made) == (pair[1].time, pair[1].made));
    statements.dedup_by(|later, earlier| {
        let same_time = later.time == earlier.time;
        if same_time {
            *earlier = *later;
        }
        same_time
    });
    is_conflicting
}
