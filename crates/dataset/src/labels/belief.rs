//! Label times that are believed, and those that cannot be.

use std::fmt;

use orderguard_features::table::MISSING_I64;
use orderguard_features::time::Span;

use super::{LabelChange, OrderLabels, due};

/// From this share of label times that are no later than their order on, none is believed. Exports that fill the
/// column by copying do so in every row; a few equal times are orders that were stopped at once.
const NOT_LATER_SHARE: f64 = 0.95;

/// What was not believed about label times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LabelTimeNote {
    /// The label times say nothing: (almost) all equal the order's time or lie before it. Order time + delay was taken
    /// for every order.
    NotBelieved {
        /// Orders judged: frauds with a label time, or all labelled orders where no fraud has one.
        n_judged: u64,
        /// Of them, label times equal to the order's.
        n_equal: u64,
        /// Of them, label times before the order's.
        n_before: u64,
        /// What was added to the order's time instead.
        label_delay: Span,
    },
    /// Some label times lie before their order (or, of an honest order, at its time); order time + delay was taken there.
    SomeReplaced {
        /// How many.
        n_replaced: u64,
        /// What was added to the order's time instead.
        label_delay: Span,
    },
}

impl fmt::Display for LabelTimeNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBelieved { n_judged, n_equal, n_before, label_delay } => write!(
                f,
                "label times are not believed: of {n_judged} that were judged, {n_equal} equal the order's time and {n_before} lie before it; order time + {label_delay} is used"
            ),
            Self::SomeReplaced { n_replaced, label_delay } => {
                write!(
                    f,
                    "{n_replaced} label times lie no later than their order; order time + {label_delay} is used for them"
                )
            }
        }
    }
}

/// Decides for every order when its label became known.
///
/// `times`, `labels` and `label_times` hold one entry per order; `label_times` is `None` where the data have no such
/// column. The times given are judged on the frauds (an honest label is often stamped at once and says nothing), or on
/// all labelled orders where no fraud has one: when at least 95 % of them are no later than their order, none is
/// believed. Otherwise single ones that cannot be are replaced.
///
/// # Panics
/// If lengths differ: a caller's bug, never caused by data.
pub fn believe_label_times(
    times: &[i64],
    labels: &[i8],
    label_times: Option<&[i64]>,
    label_delay: Span,
) -> (OrderLabels, Option<LabelTimeNote>) {
    assert_eq!(times.len(), labels.len(), "one label per order");
    let mut judged = Judged::default();
    if let Some(given) = label_times {
        assert_eq!(times.len(), given.len(), "one label time per order");
        (0..times.len()).for_each(|row| judged.add(times[row], labels[row], given[row]));
    }
    let believed = label_times.filter(|_| judged.doubt().is_none());
    let (labels, n_replaced) = settle_times(times, labels, believed, label_delay);
    (labels, judged.note(n_replaced, label_delay))
}

/// What speaks for and against the label times of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Judged {
    frauds: JudgedTimes,
    labelled: JudgedTimes,
}

/// Label times that are given: how many, equal to the order's, before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct JudgedTimes {
    n: u64,
    n_equal: u64,
    n_before: u64,
}

impl Judged {
    /// Adds an order.
    pub(crate) fn add(&mut self, time: i64, label: i8, given: i64) {
        if label < 0 || given == MISSING_I64 {
            return;
        }
        let add = |judged: &mut JudgedTimes| {
            judged.n += 1;
            judged.n_equal += u64::from(given == time);
            judged.n_before += u64::from(given < time);
        };
        add(&mut self.labelled);
        if label == 1 {
            add(&mut self.frauds);
        }
    }

    /// The label times that are not believed.
    fn doubt(&self) -> Option<JudgedTimes> {
        let judged = [self.frauds, self.labelled].into_iter().find(|judged| judged.n > 0)?;
        ((judged.n_equal + judged.n_before) as f64 >= NOT_LATER_SHARE * judged.n as f64).then_some(judged)
    }

    /// Whether label times are believed where they can be.
    pub(crate) fn are_believed(&self) -> bool {
        self.doubt().is_none()
    }

    /// What is to be said once the times are settled.
    pub(crate) fn note(&self, n_replaced: u64, label_delay: Span) -> Option<LabelTimeNote> {
        match self.doubt() {
            Some(JudgedTimes { n: n_judged, n_equal, n_before }) => {
                Some(LabelTimeNote::NotBelieved { n_judged, n_equal, n_before, label_delay })
            }
            None => (n_replaced > 0).then_some(LabelTimeNote::SomeReplaced { n_replaced, label_delay }),
        }
    }
}

/// The labels of orders with the label times given, where they can be true; also how many cannot.
pub(crate) fn settle_times(
    times: &[i64],
    labels: &[i8],
    given: Option<&[i64]>,
    label_delay: Span,
) -> (OrderLabels, u64) {
    let due = |row: usize| due(times[row], label_delay);
    let mut n_replaced = 0;
    let mut label_time: Vec<i64> =
        (0..times.len()).map(|row| if labels[row] < 0 { MISSING_I64 } else { due(row) }).collect();
    if let Some(given) = given {
        for row in (0..times.len()).filter(|&row| labels[row] >= 0 && given[row] != MISSING_I64) {
            let possible = given[row] > times[row] || (labels[row] == 1 && given[row] == times[row]);
            if possible {
                label_time[row] = given[row];
            } else {
                n_replaced += 1;
            }
        }
    }
    let frauds = (0..times.len()).filter(|&row| labels[row] == 1);
    let mut changes: Vec<LabelChange> =
        frauds.map(|row| LabelChange { time: label_time[row], row: row as u32, fraud: true }).collect();
    changes.sort_unstable();
    let known_from = labels.iter().map(|&label| if label < 0 { i64::MAX } else { i64::MIN }).collect();
    (OrderLabels { label: labels.to_vec(), label_time, known_from, changes }, n_replaced)
}

/// From this share of frauds that become known after their label is due on, the label delay is too short.
const LATE_SHARE: f64 = 0.1;
/// The delay that is proposed is one that this share of the frauds stays within.
const WITHIN_SHARE: f64 = 0.9;

/// Frauds that became known later than the label delay says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LateFrauds {
    /// Frauds whose label time is given and believed.
    pub n_timed: u64,
    /// Of them, those known later than order time + label delay.
    pub n_late: u64,
    /// The label delay.
    pub label_delay: Span,
    /// Within how many whole days after their order 90 % of them became known.
    pub within: Span,
}

impl fmt::Display for LateFrauds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { n_timed, n_late, label_delay, within } = self;
        let percent = (100 * n_late + n_timed / 2) / n_timed.max(&1);
        write!(
            f,
            "{percent} % of the frauds became known more than {label_delay} after their order (90 % within {within}): such frauds count as honest in a fit until then; consider --label-delay {within}"
        )
    }
}

/// The frauds that became known after their label was due, where they are more than 10 % of those whose label time is
/// given and believed.
///
/// `times` holds one entry per order. O(n log n).
///
/// # Panics
/// If lengths differ: a caller's bug, never caused by data.
pub fn late_frauds(labels: &OrderLabels, times: &[i64], label_delay: Span) -> Option<LateFrauds> {
    assert_eq!(times.len(), labels.label.len(), "one label per order");
    late_among(timed_delays(labels, times, label_delay), label_delay)
}

/// How long after their orders frauds became known whose label time is given and believed.
pub(crate) fn timed_delays(labels: &OrderLabels, times: &[i64], label_delay: Span) -> Vec<i64> {
    let frauds = (0..times.len()).filter(|&row| labels.label[row] == 1 && times[row] != MISSING_I64);
    // A label that is known exactly when it is due has that time from nobody.
    let timed = frauds.filter(|&row| labels.label_time[row] != due(times[row], label_delay));
    timed.map(|row| labels.label_time[row].saturating_sub(times[row])).collect()
}

/// [`late_frauds`] from the [`timed_delays`] of all orders.
pub(crate) fn late_among(mut delays: Vec<i64>, label_delay: Span) -> Option<LateFrauds> {
    delays.sort_unstable();
    let n_late = delays.iter().filter(|&&delay| delay > label_delay.0).count();
    if n_late as f64 <= LATE_SHARE * delays.len() as f64 {
        return None;
    }
    let at = (delays.len() as f64 * WITHIN_SHARE).ceil() as usize - 1;
    let within = Span::days(delays[at].saturating_add(Span::DAY.0 - 1) / Span::DAY.0);
    Some(LateFrauds { n_timed: delays.len() as u64, n_late: n_late as u64, label_delay, within })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Span = Span(100);

    #[test]
    fn copied_label_times_are_not_believed() {
        let (labels, note) = believe_label_times(&[10, 20, 30], &[1, 0, -1], Some(&[10, 20, MISSING_I64]), DELAY);
        assert!(matches!(note, Some(LabelTimeNote::NotBelieved { n_judged: 1, n_equal: 1, n_before: 0, .. })));
        assert_eq!(labels.label_time, [110, 120, MISSING_I64]);
        assert_eq!(labels.changes, [LabelChange { time: 110, row: 0, fraud: true }]);
        let (_, note) = believe_label_times(&[10, 20], &[0, 0], Some(&[10, 15]), DELAY);
        assert!(matches!(note, Some(LabelTimeNote::NotBelieved { n_judged: 2, n_equal: 1, n_before: 1, .. })));
    }

    #[test]
    fn single_impossible_label_times_are_replaced() {
        let (labels, note) =
            believe_label_times(&[10, 20, 30, 40], &[1, 0, 1, 1], Some(&[50, 20, 60, MISSING_I64]), DELAY);
        assert!(matches!(note, Some(LabelTimeNote::SomeReplaced { n_replaced: 1, .. })));
        assert_eq!(labels.label_time, [50, 120, 60, 140]);
    }

    #[test]
    fn without_label_times_labels_are_known_when_due() {
        let (labels, note) = believe_label_times(&[10, 20], &[1, -1], None, DELAY);
        assert_eq!((labels.label_time, note), (vec![110, MISSING_I64], None));
    }

    #[test]
    fn frauds_known_later_than_the_delay_are_told() {
        const DAY: i64 = Span::DAY.0;
        let late = |n_late: usize| {
            let times: Vec<i64> = (0..100).map(|row| row * DAY).collect();
            // Ten honest orders and ten frauds without a time, eighty frauds with one.
            let label: Vec<i8> = (0..100).map(|row| i8::from(row >= 10)).collect();
            let given: Vec<i64> = (0..100_usize)
                .map(|row| match row {
                    0..10 => times[row] + 60 * DAY,
                    10..20 => MISSING_I64,
                    _ if row < 20 + n_late => times[row] + (8 + row as i64) * DAY + 1,
                    _ => times[row] + DAY,
                })
                .collect();
            let (labels, _) = believe_label_times(&times, &label, Some(&given), Span::days(7));
            late_frauds(&labels, &times, Span::days(7))
        };
        assert_eq!(late(8), None, "one in ten");
        let found = late(20).unwrap();
        assert_eq!((found.n_timed, found.n_late), (80, 20));
        // The 72nd of 80 is the 12th of the late ones: row 31, 39 days and a bit.
        assert_eq!(found.within, Span::days(40));
        assert_eq!(
            found.to_string(),
            "25 % of the frauds became known more than 7d after their order (90 % within 40d): such frauds count as honest in a fit until then; consider --label-delay 40d"
        );
    }
}
