//! Which orders a model learns from, which choose its rounds and calibration, and which measure it: parts in time.
//!
//! ```text
//!  train_from        train_until     validation_until            test_from           test_until
//!      |---- train ----|-- validation --|-- gap: label delay --|------- test -------|
//!            (gap)  before validation too, where train can spare it
//! ```
//! Every fit sees only orders whose label was due by then, and their labels as they were known by then. An order that became
//! labelled only later was unlabelled then: it is in no fit.

mod error;
mod forward;
mod note;

use std::collections::HashMap;
use std::fmt;

use orderguard_features::table::MISSING_I64;
use orderguard_features::time::{Span, UnixMillis};
use xxhash_rust::xxh3::xxh3_64_with_seed;

pub use error::SplitError;
pub use forward::{ForwardFold, MIN_FOLD_FRAUDS, forward_folds};
pub use note::SplitNote;

use crate::folds::entity_folds;
use crate::labels::OrderLabels;

/// Fewer frauds than this in validation choose nothing reliably: the standard error of a recall of one half is then
/// more than 0.07.
pub const MIN_VALIDATION_FRAUDS: usize = 50;
/// Fewer labelled orders than this are no data to learn from.
pub const MIN_LABELLED_ROWS: usize = 10;
/// How many folds take the place of a validation part that is too small.
pub const N_FOLDS: u32 = 5;
/// The entity key of an order without the entity; such orders are never dropped as known.
pub const NO_ENTITY: u64 = u64::MAX;

/// The orders to split, in the caller's canonical order; results are positions in these slices.
#[derive(Clone, Copy, Debug)]
pub struct SplitInput<'a> {
    /// When each order happened, epoch milliseconds; `None` where the data have no time. An order whose time is missing
    /// is in no part.
    pub time: Option<&'a [i64]>,
    /// The labels and when they became known.
    pub labels: &'a OrderLabels,
    /// A hash of each order's content or id: decides parts without time, and folds without `groups`.
    pub row_key: &'a [u64],
    /// Hash of the entity whose orders stay in one fold; `None` makes each order its own group.
    pub groups: Option<&'a [u64]>,
}

/// How to split.
#[derive(Clone, Copy, Debug)]
pub struct SplitOptions<'a> {
    /// How long after an order its label is due.
    pub label_delay: Span,
    /// Shares of the time span for train, validation with the gap, and test. Default 0.6, 0.2, 0.2.
    pub shares: [f64; 3],
    /// First instant of train; default the start of the data.
    pub train_from: Option<i64>,
    /// End of train (not in it).
    pub train_until: Option<i64>,
    /// First instant of test.
    pub test_from: Option<i64>,
    /// End of test (not in it); default the end of the data.
    pub test_until: Option<i64>,
    /// Up to when labels are known; default the time of the last order, or of the last label whose time was given.
    pub data_end: Option<i64>,
    /// One entity key per order ([`NO_ENTITY`] for none): orders of entities known as compromised leave the test part.
    pub drop_known: Option<&'a [u64]>,
    /// Seed of everything that is drawn by a hash.
    pub seed: u64,
}

impl Default for SplitOptions<'_> {
    fn default() -> Self {
        Self {
            label_delay: Span::days(7),
            shares: [0.6, 0.2, 0.2],
            train_from: None,
            train_until: None,
            test_from: None,
            test_until: None,
            data_end: None,
            drop_known: None,
            seed: 1,
        }
    }
}

/// How the parts were made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Parts in time.
    #[default]
    InTime,
    /// Parts in time; folds inside train take the place of validation.
    InTimeWithFolds {
        /// How many.
        n_folds: u32,
    },
    /// No time: parts by a seeded hash of the row, which flatters.
    Shuffled,
    /// As `Shuffled`, with folds in the place of validation.
    ShuffledWithFolds {
        /// How many.
        n_folds: u32,
    },
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InTime => f.write_str("in time"),
            Self::InTimeWithFolds { n_folds } => write!(f, "in time, {n_folds} folds over entities inside train"),
            Self::Shuffled => f.write_str("shuffled by a hash of the row"),
            Self::ShuffledWithFolds { n_folds } => {
                write!(f, "shuffled by a hash of the row, {n_folds} folds over entities inside train")
            }
        }
    }
}

/// The limits of the parts, epoch milliseconds, each part half-open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boundaries {
    /// First instant of train.
    pub train_from: i64,
    /// First instant after train.
    pub train_until: i64,
    /// First and first-after instant of validation, `None` where folds take its place.
    pub validation: Option<(i64, i64)>,
    /// First instant of test.
    pub test_from: i64,
    /// First instant after test.
    pub test_until: i64,
}

/// The parts. Rows are positions in the input, in its order. Every order is in one part or in one of the counts: train,
/// validation, test, the two gaps, outside, labelled later, unresolved, unlabelled, without time, and known entities.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Split {
    /// How the parts were made.
    pub protocol: Protocol,
    /// Orders to fit on.
    pub train: Vec<u32>,
    /// Their labels as known at [`fit_as_of`](Self::fit_as_of): 1 fraud, 0 not known as fraud.
    pub train_label: Vec<u8>,
    /// The fold of each order of train, where folds take the place of validation.
    pub train_fold: Option<Vec<u8>>,
    /// Orders that choose rounds and calibration; empty with folds.
    pub validation: Vec<u32>,
    /// Their labels as known when the test part begins.
    pub validation_label: Vec<u8>,
    /// Orders that measure.
    pub test: Vec<u32>,
    /// Their labels as known at the end of the data.
    pub test_label: Vec<u8>,
    /// The limits in time, `None` without time.
    pub boundaries: Option<Boundaries>,
    /// The instant whose knowledge the fit on train has, `None` without time.
    pub fit_as_of: Option<i64>,
    /// The instant up to which labels are known, `None` without time.
    pub data_end: Option<i64>,
    /// Labelled orders between train and validation.
    pub n_gap_before_validation: u64,
    /// Of them, frauds as known at the end of the data.
    pub n_gap_before_validation_fraud: u64,
    /// Labelled orders between the last fitted part and test.
    pub n_gap_before_test: u64,
    /// Of them, frauds as known at the end of the data.
    pub n_gap_before_test_fraud: u64,
    /// Labelled orders before the start of train and after the end of test.
    pub n_outside: (u64, u64),
    /// Labelled orders of train and validation that had no label yet at the time of the fit, and are in neither.
    pub n_labelled_later: u64,
    /// Labelled orders of the test part whose label is not due at the end of the data: neither fraud nor honest.
    pub n_unresolved_test: u64,
    /// Orders with a time and without a label, in no part.
    pub n_unlabelled: u64,
    /// Orders without a time, in no part.
    pub n_without_time: u64,
    /// Orders of the test part dropped because their entity was known as compromised.
    pub n_known_entity_dropped: u64,
    /// What the user should know.
    pub notes: Vec<SplitNote>,
}

/// Splits orders into train, validation and test.
///
/// Default parts are shares of the span from the first to the last order; where most of the test part so found would not
/// be resolved at the end of the data, shares of the span up to which labels are due. Train's and
/// test's ends can be fixed one by one: with `train_until` and `test_from` both fixed, validation is what lies between
/// them less the gap (nothing, where they are one label delay apart, and folds take its place); with one of them
/// fixed, the shares divide what is left. A fixed train part is never cut: the gap before validation is then taken from
/// validation's start.
///
/// An order is fitted at an as-of time only if its time + delay is not later. The fit on train is as of the start of
/// validation where a gap separates the two, else as of the start of test; validation is as of the start of test.
/// O(n) and one pass over the label changes per part.
///
/// # Panics
/// If lengths disagree: a caller's bug, never caused by data.
pub fn split(input: &SplitInput<'_>, options: &SplitOptions<'_>) -> Result<Split, SplitError> {
    let n_rows = input.labels.label.len();
    assert_eq!(n_rows, input.row_key.len(), "one key per row");
    assert!(input.time.is_none_or(|time| time.len() == n_rows), "one time per row");
    assert!(input.groups.is_none_or(|groups| groups.len() == n_rows), "one group per row");
    assert!(options.drop_known.is_none_or(|keys| keys.len() == n_rows), "one entity per row");
    if !options.shares.iter().all(|&share| share > 0.0 && share.is_finite()) {
        return Err(SplitError::Shares);
    }
    let has_time = |row: usize| input.time.is_none_or(|time| time[row] != MISSING_I64);
    let n_labelled = (0..n_rows).filter(|&row| input.labels.label[row] >= 0 && has_time(row)).count();
    if n_labelled < MIN_LABELLED_ROWS {
        return Err(SplitError::TooFewRows { n_labelled, needed: MIN_LABELLED_ROWS });
    }
    let mut split = match input.time {
        Some(time) => split_in_time(input, time, options)?,
        None => split_by_hash(input, options)?,
    };
    split.n_unlabelled = (0..n_rows).filter(|&row| input.labels.label[row] < 0 && has_time(row)).count() as u64;
    split.n_without_time = (0..n_rows).filter(|&row| !has_time(row)).count() as u64;

    let n_fraud = count_frauds(&split.train_label);
    if n_fraud == 0 || n_fraud == split.train.len() {
        return Err(SplitError::OneClass { n_fraud, n_honest: split.train.len() - n_fraud });
    }
    if count_frauds(&split.test_label) == 0 {
        split.notes.push(SplitNote::NoFraudInTest);
    }
    if let Protocol::InTimeWithFolds { n_folds } | Protocol::ShuffledWithFolds { n_folds } = split.protocol {
        let groups = input.groups.filter(|groups| n_fraud_groups(groups, &split.train, &split.train_label) > 1);
        let keys = groups.unwrap_or(input.row_key);
        let keys: Vec<u64> = split.train.iter().map(|&row| keys[row as usize]).collect();
        split.train_fold = Some(entity_folds(&keys, &split.train_label, n_folds, options.seed));
    }
    Ok(split)
}

/// How many folds there can be so that each holds a fraud: at least 2, since one fold chooses nothing.
fn fold_count(input: &SplitInput, train: &[u32], labels: &[u8], notes: &mut Vec<SplitNote>) -> u32 {
    let n_fraud = count_frauds(labels);
    let n_groups = input.groups.map_or(n_fraud, |groups| n_fraud_groups(groups, train, labels));
    let n_holders = if n_groups > 1 { n_groups } else { n_fraud };
    if n_groups == 1 && n_fraud > 1 {
        notes.push(SplitNote::FraudsOfOneEntity { n_fraud });
    }
    N_FOLDS.min(n_holders.max(2) as u32)
}

/// How many groups hold a fraud.
fn n_fraud_groups(groups: &[u64], train: &[u32], labels: &[u8]) -> usize {
    let frauds = train.iter().zip(labels).filter(|&(_, &label)| label == 1);
    let mut keys: Vec<u64> = frauds.map(|(&row, _)| groups[row as usize]).collect();
    keys.sort_unstable();
    keys.dedup();
    keys.len()
}

/// Whole days, the last one begun.
fn days_up(ms: i64) -> i64 {
    ms.max(0).saturating_add(Span::DAY.0 - 1) / Span::DAY.0
}

fn count_frauds(labels: &[u8]) -> usize {
    labels.iter().map(|&label| usize::from(label == 1)).sum()
}

/// Orders, their labels, and what they are cut from.
struct Parts<'a> {
    time: &'a [i64],
    labels: &'a OrderLabels,
    delay: Span,
}

impl Parts<'_> {
    /// Orders in `[from, until)` that are labelled and resolved at `as_of`, with the labels known then.
    fn resolved(&self, from: i64, until: i64, as_of: i64) -> (Vec<u32>, Vec<u8>) {
        let known = self.labels.known_fraud_at(as_of);
        let rows: Vec<u32> = (0..self.time.len())
            .filter(|&row| {
                let time = self.time[row];
                let due = UnixMillis(time).plus(self.delay).0;
                time != MISSING_I64
                    && self.labels.is_labelled_at(row, as_of)
                    && time >= from
                    && time < until
                    && due <= as_of
            })
            .map(|row| row as u32)
            .collect();
        let labels = rows.iter().map(|&row| known[row as usize]).collect();
        (rows, labels)
    }

    /// Labelled orders in `[from, until)`.
    fn labelled(&self, from: i64, until: i64) -> impl Iterator<Item = usize> {
        let inside = move |row: usize| (from..until).contains(&self.time[row]) && self.time[row] != MISSING_I64;
        (0..self.time.len()).filter(move |&row| self.labels.label[row] >= 0 && inside(row))
    }

    fn n_labelled(&self, from: i64, until: i64) -> u64 {
        self.labelled(from, until).count() as u64
    }
}

fn split_in_time(input: &SplitInput<'_>, time: &[i64], options: &SplitOptions<'_>) -> Result<Split, SplitError> {
    let parts = Parts { time, labels: input.labels, delay: options.label_delay };
    let present = || time.iter().copied().filter(|&t| t != MISSING_I64);
    let data_from = present().min().expect("labelled orders with time were counted");
    let last = present().max().expect("labelled orders with time were counted");
    let data_end = options.data_end.unwrap_or_else(|| {
        // A label learned after the last order was written into the data after it; a due time was written by nobody.
        let learned = (0..time.len()).filter(|&row| input.labels.label[row] >= 0 && time[row] != MISSING_I64);
        let learned =
            learned.map(|row| (input.labels.label_time[row], UnixMillis(time[row]).plus(options.label_delay).0));
        learned.filter(|(at, due)| at != due).map(|(at, _)| at).fold(last, i64::max)
    });
    let mut notes = Vec::new();
    let fixed = place_parts(options, data_from, last, data_end, &mut notes)?;
    let Placed { train_from, train_until, test_from, test_until } = fixed;
    let delay = options.label_delay;
    if data_end < test_from {
        let (first, second) = ("test-from", "as-of");
        return Err(SplitError::Contradiction { first, first_at: test_from, second, second_at: data_end });
    }

    // Validation with a gap before it, then without, then folds.
    let train_is_fixed = options.train_until.is_some();
    let (with_gap, gap_train_until, gap_validation_from) = if train_is_fixed {
        let from = UnixMillis(train_until).plus(delay).0;
        (parts.resolved(from, test_from, test_from), train_until, from)
    } else {
        (
            parts.resolved(train_until, test_from, test_from),
            UnixMillis(train_until).minus(delay).0.saturating_add(1),
            train_until,
        )
    };
    let validation_until = UnixMillis(test_from).minus(delay).0.saturating_add(1);
    let (all_validation, all_validation_label) = parts.resolved(train_until, test_from, test_from);
    let n_validation_fraud = count_frauds(&all_validation_label);
    let with_gap_train = parts.resolved(train_from, train_until, gap_validation_from);
    let without_gap_train = parts.resolved(train_from, train_until, test_from);
    let (n_fraud_with_gap, n_fraud_without) = (count_frauds(&with_gap_train.1), count_frauds(&without_gap_train.1));

    let gap_fits = count_frauds(&with_gap.1) >= MIN_VALIDATION_FRAUDS && 2 * n_fraud_with_gap >= n_fraud_without;
    let (protocol, train, validation, boundaries, fit_as_of);
    if gap_fits {
        protocol = Protocol::InTime;
        train = with_gap_train;
        validation = with_gap;
        boundaries = (gap_train_until.min(train_until), Some((gap_validation_from, validation_until)));
        fit_as_of = gap_validation_from;
    } else if n_validation_fraud >= MIN_VALIDATION_FRAUDS && n_fraud_without > 0 {
        notes.push(SplitNote::GapBeforeValidationDropped { n_fraud_with_gap, n_fraud_without });
        protocol = Protocol::InTime;
        train = without_gap_train;
        validation = (all_validation, all_validation_label);
        boundaries = (train_until, Some((train_until, validation_until)));
        fit_as_of = test_from;
    } else {
        let until = if train_is_fixed { train_until } else { test_from };
        train = parts.resolved(train_from, until, test_from);
        let n_folds = fold_count(input, &train.0, &train.1, &mut notes);
        notes.push(SplitNote::FoldsInsteadOfValidation { n_validation_fraud, n_folds });
        protocol = Protocol::InTimeWithFolds { n_folds };
        validation = (Vec::new(), Vec::new());
        boundaries = (until.min(validation_until), None);
        fit_as_of = test_from;
    }
    let boundaries =
        Boundaries { train_from, train_until: boundaries.0, validation: boundaries.1, test_from, test_until };
    if boundaries.train_until <= train_from {
        let needed_days = |share: f64| days_up((delay.0 as f64 * share) as i64).saturating_add(1);
        let [train, validation, test] = options.shares;
        // The end of train is as far from the start of test as the end of test from the end of the data.
        let (until, needed_days) = match options.test_from {
            Some(test_from) => (test_from, needed_days(1.0)),
            None => (data_end, needed_days(1.0 + (train + validation + test) / (train + validation))),
        };
        return Err(SplitError::TooShort { from: train_from, until, label_delay: delay, needed_days });
    }
    if train.0.is_empty() {
        let (from, until) = (Some(train_from), Some(boundaries.train_until));
        return Err(SplitError::EmptyPart { part: "train", from, until });
    }

    let (mut test, mut test_label) = parts.resolved(test_from, test_until, data_end);
    let n_unresolved_test = parts.n_labelled(test_from, test_until) - test.len() as u64;
    if n_unresolved_test > 0 {
        notes.push(SplitNote::UnresolvedTest { n_rows: n_unresolved_test });
    }
    if test.is_empty() && n_unresolved_test > 0 {
        let (label_delay, n_rows) = (delay, n_unresolved_test);
        return Err(SplitError::UnresolvedTest { test_from, data_end, label_delay, n_rows });
    }
    if test.is_empty() {
        return Err(SplitError::EmptyPart { part: "test", from: Some(test_from), until: Some(test_until) });
    }
    let mut n_known_entity_dropped = 0;
    if let Some(entities) = options.drop_known {
        let compromised = Compromised::among(&parts, entities, train_from, &train);
        let n_before = test.len();
        let keep: Vec<bool> =
            test.iter().map(|&row| !compromised.is_known(entities[row as usize], time[row as usize])).collect();
        let mut kept = keep.iter();
        test.retain(|_| *kept.next().expect("one flag per row"));
        let mut kept = keep.iter();
        test_label.retain(|_| *kept.next().expect("one flag per row"));
        n_known_entity_dropped = (n_before - test.len()) as u64;
    }
    let later_in = |rows: &[u32], from: i64, until: i64| parts.n_labelled(from, until) - rows.len() as u64;
    let n_labelled_later = later_in(&train.0, train_from, boundaries.train_until)
        + boundaries.validation.map_or(0, |(from, until)| later_in(&validation.0, from, until));
    let last_fitted = boundaries.validation.map_or(boundaries.train_until, |(_, until)| until);
    if n_labelled_later > 0 {
        notes.push(SplitNote::LabelledLater { n_rows: n_labelled_later });
    }
    let n_outside = (parts.n_labelled(i64::MIN, train_from), parts.n_labelled(test_until, i64::MAX));
    if n_outside != (0, 0) {
        notes.push(SplitNote::Outside { n_before: n_outside.0, n_after: n_outside.1 });
    }
    let known = input.labels.known_fraud_at(data_end);
    let n_of = |from: i64, until: i64| {
        let n_fraud = parts.labelled(from, until).filter(|&row| known[row] == 1).count() as u64;
        (parts.n_labelled(from, until), n_fraud)
    };
    let (n_gap_before_validation, n_gap_before_validation_fraud) =
        boundaries.validation.map_or((0, 0), |(from, _)| n_of(boundaries.train_until, from));
    let (n_gap_before_test, n_gap_before_test_fraud) = n_of(last_fitted, test_from);
    Ok(Split {
        protocol,
        train: train.0,
        train_label: train.1,
        train_fold: None,
        validation: validation.0,
        validation_label: validation.1,
        test,
        test_label,
        boundaries: Some(boundaries),
        fit_as_of: Some(fit_as_of),
        data_end: Some(data_end),
        n_gap_before_validation,
        n_gap_before_validation_fraud,
        n_gap_before_test,
        n_gap_before_test_fraud,
        n_outside,
        n_labelled_later,
        n_unresolved_test,
        n_known_entity_dropped,
        notes,
        ..Split::default()
    })
}

/// The limits between which parts are cut.
#[derive(Clone, Copy)]
struct Placed {
    train_from: i64,
    train_until: i64,
    test_from: i64,
    test_until: i64,
}

fn place_parts(
    options: &SplitOptions<'_>,
    data_from: i64,
    last: i64,
    data_end: i64,
    notes: &mut Vec<SplitNote>,
) -> Result<Placed, SplitError> {
    let given = [
        ("train-from", options.train_from),
        ("train-until", options.train_until),
        ("test-from", options.test_from),
        ("test-until", options.test_until),
    ];
    for (i, &(first, first_at)) in given.iter().enumerate() {
        for &(second, second_at) in &given[i + 1..] {
            // Train may end where test starts; a part may not end where it starts.
            if let (Some(first_at), Some(second_at)) = (first_at, second_at)
                && (first_at > second_at || (first_at == second_at && (first, second) != ("train-until", "test-from")))
            {
                return Err(SplitError::Contradiction { first, first_at, second, second_at });
            }
        }
    }
    // Starts must have an order at or after them, ends one before them.
    for (option, at, is_end) in [
        ("train-from", options.train_from, false),
        ("train-until", options.train_until, true),
        ("test-from", options.test_from, false),
    ] {
        if let Some(found) = at
            && ((is_end && found <= data_from) || found > last)
        {
            return Err(SplitError::OutOfRange { option, found, data_from, data_until: last });
        }
    }
    if let Some(found) = options.test_until
        && found <= data_from
    {
        return Err(SplitError::OutOfRange { option: "test-until", found, data_from, data_until: last });
    }
    let train_from = options.train_from.unwrap_or(data_from);
    let mut end = options.test_until.unwrap_or(last.saturating_add(1));
    let resolved_until = UnixMillis(data_end).minus(options.label_delay).0.saturating_add(1);
    let test_until = |placed_end: i64| options.test_until.unwrap_or(placed_end);
    loop {
        let (train_until, test_from) = share_out(options, train_from, end);
        // Most of test not resolved: look at the resolved span instead, once, and only where nothing fixes test.
        let test_resolved = resolved_until.saturating_sub(test_from);
        let is_free = options.test_from.is_none() && options.test_until.is_none() && end > resolved_until;
        if is_free && test_resolved.saturating_mul(2) < end.saturating_sub(test_from) && resolved_until > train_from {
            end = resolved_until;
            notes.push(SplitNote::ResolvedSpan { resolved_until });
            continue;
        }
        return Ok(Placed { train_from, train_until, test_from, test_until: test_until(end) });
    }
}

/// End of train and start of test between `from` and `end`, by the shares where they are not fixed.
fn share_out(options: &SplitOptions<'_>, from: i64, end: i64) -> (i64, i64) {
    let [train, validation, test] = options.shares;
    let at = |from: i64, until: i64, share: f64| {
        let span = until.saturating_sub(from).max(0);
        from.saturating_add((span as f64 * share).round() as i64)
    };
    match (options.train_until, options.test_from) {
        (Some(train_until), Some(test_from)) => (train_until, test_from),
        (Some(train_until), None) => (train_until, at(train_until, end, validation / (validation + test))),
        (None, Some(test_from)) => (at(from, test_from, train / (train + validation)), test_from),
        (None, None) => {
            let whole = train + validation + test;
            (at(from, end, train / whole), at(from, end, (train + validation) / whole))
        }
    }
}

/// Entities with a known fraud, and since when.
struct Compromised {
    known_since: HashMap<u64, i64, foldhash::quality::RandomState>,
}

impl Compromised {
    /// From frauds on orders from the start of train on: known since the label time, or, in train, since ever.
    fn among(parts: &Parts<'_>, entities: &[u64], train_from: i64, train: &(Vec<u32>, Vec<u8>)) -> Self {
        let mut known_since = HashMap::default();
        let mut learn = |row: usize, since: i64| {
            let entry = known_since.entry(entities[row]).or_insert(since);
            *entry = since.min(*entry);
        };
        for (&row, _) in train.0.iter().zip(&train.1).filter(|&(_, &label)| label == 1) {
            learn(row as usize, i64::MIN);
        }
        for row in (0..entities.len()).filter(|&row| parts.labels.label[row] == 1 && parts.time[row] >= train_from) {
            learn(row, parts.labels.label_time[row]);
        }
        Self { known_since }
    }

    /// Whether the entity was known before the day (UTC) of an order: lists of compromised entities are made once a day.
    fn is_known(&self, entity: u64, time: i64) -> bool {
        let day = time - time.rem_euclid(Span::DAY.0);
        entity != NO_ENTITY && self.known_since.get(&entity).is_some_and(|&since| since < day)
    }
}

/// Stratified parts by a seeded hash of the row; rows with one key stay together.
fn split_by_hash(input: &SplitInput<'_>, options: &SplitOptions<'_>) -> Result<Split, SplitError> {
    let fixed = [options.train_from, options.train_until, options.test_from, options.test_until];
    if fixed.iter().any(Option::is_some) {
        return Err(SplitError::NoTime);
    }
    let label = &input.labels.label;
    let whole: f64 = options.shares.iter().sum();
    let until_train = options.shares[0] / whole;
    let until_validation = (options.shares[0] + options.shares[1]) / whole;
    // 0 train, 1 validation, 2 test, 3 none.
    let mut part = vec![3_u8; label.len()];
    for class in [0, 1] {
        let mut drawn: Vec<(u64, u64, u32)> = (0..label.len())
            .filter(|&row| label[row] == class)
            .map(|row| {
                let key = input.row_key[row];
                (xxh3_64_with_seed(&key.to_le_bytes(), options.seed), key, row as u32)
            })
            .collect();
        drawn.sort_unstable();
        let n = drawn.len() as f64;
        let mut position = 0;
        for same_key in drawn.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            let share = (position as f64 + 0.5) / n;
            let to = if share < until_train { 0 } else { 1 + u8::from(share >= until_validation) };
            for &(_, _, row) in same_key {
                part[row as usize] = to;
            }
            position += same_key.len();
        }
    }
    let rows_of = |wanted: &dyn Fn(u8) -> bool| {
        let rows: Vec<u32> = (0..part.len()).filter(|&row| wanted(part[row])).map(|row| row as u32).collect();
        let labels = rows.iter().map(|&row| u8::from(label[row as usize] == 1)).collect::<Vec<_>>();
        (rows, labels)
    };
    let mut notes = vec![SplitNote::NoTime];
    let mut train = rows_of(&|part| part == 0);
    let mut validation = rows_of(&|part| part == 1);
    let (test, test_label) = rows_of(&|part| part == 2);
    let n_validation_fraud = count_frauds(&validation.1);
    let mut protocol = Protocol::Shuffled;
    if n_validation_fraud < MIN_VALIDATION_FRAUDS {
        train = rows_of(&|part| part < 2);
        validation = (Vec::new(), Vec::new());
        let n_folds = fold_count(input, &train.0, &train.1, &mut notes);
        protocol = Protocol::ShuffledWithFolds { n_folds };
        notes.push(SplitNote::FoldsInsteadOfValidation { n_validation_fraud, n_folds });
    }
    for (part, rows) in [("train", &train.0), ("test", &test)] {
        if rows.is_empty() {
            return Err(SplitError::EmptyPart { part, from: None, until: None });
        }
    }
    Ok(Split {
        protocol,
        train: train.0,
        train_label: train.1,
        train_fold: None,
        validation: validation.0,
        validation_label: validation.1,
        test,
        test_label,
        notes,
        ..Split::default()
    })
}
