//! Labels and when they became known: those of the orders' own table, those that arrive in a file of their own, and those
//! that events carry.

mod belief;
mod join;
mod merge;
mod settle;
mod spread;

use orderguard_features::table::MISSING_I64;
use orderguard_features::time::{Span, UnixMillis};

pub(crate) use belief::Judged;
pub use belief::{LabelTimeNote, LateFrauds, believe_label_times, late_frauds};
pub use join::{JoinCounts, JoinError, JoinNote, LabelSource, SourceCounts, join_labels};
pub use merge::{MergeCounts, merge_repeated};
pub use spread::{LabelsOnDisk, LearnedLabel, LearnedLabels, OrderStatement, SettledOnDisk, SettledOrders, leave_out};

/// The label of every order and when the shop learned it. Row `i` is the order at position `i`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderLabels {
    /// What is known at the end of the data: 1 fraud, 0 honest, -1 unlabelled.
    pub label: Vec<i8>,
    /// When that became known, epoch milliseconds: the time given where it is believed, else order time + label delay;
    /// [`MISSING_I64`] for unlabelled orders. Of a fraud stated more than once, the first time.
    pub label_time: Vec<i64>,
    /// From when on each order counts as labelled at all, epoch milliseconds: the order's own table says of all its
    /// orders at any time whether they are (`i64::MIN`), a file of labels only of those that it names, from the first
    /// time on. `i64::MAX` for unlabelled orders. Who fits leaves out orders that became labelled later: the others of
    /// their kind are not there as honest ones either.
    pub known_from: Vec<i64>,
    /// Every turn to fraud and every reversal, sorted by (time, row), so that history can learn each at its own time.
    /// Orders are honest until something else is learned, so an honest label that follows none of fraud is no change.
    pub changes: Vec<LabelChange>,
}

/// The moment at which the shop's opinion of an order changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LabelChange {
    /// When, epoch milliseconds.
    pub time: i64,
    /// Position of the order.
    pub row: u32,
    /// True when it became known as fraud, false when that was reversed.
    pub fraud: bool,
}

impl OrderLabels {
    /// Whether the order at `row` counted as labelled at `as_of`.
    pub fn is_labelled_at(&self, row: usize, as_of: i64) -> bool {
        self.label[row] >= 0 && self.known_from[row] <= as_of
    }

    /// Whether each order was known as fraud at `as_of`: 1 or 0 per order. An order whose label is not due is 0 here
    /// too; who fits on labels leaves such orders out.
    pub fn known_fraud_at(&self, as_of: i64) -> Vec<u8> {
        let mut known = vec![0; self.label.len()];
        for change in self.changes.iter().take_while(|change| change.time <= as_of) {
            known[change.row as usize] = u8::from(change.fraud);
        }
        known
    }
}

/// When the label of an order is due.
fn due(time: i64, label_delay: Span) -> i64 {
    if time == MISSING_I64 { MISSING_I64 } else { UnixMillis(time).plus(label_delay).0 }
}
