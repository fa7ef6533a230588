//! Why orders cannot be split.

use std::fmt;

use orderguard_features::time::{Span, UnixMillis};

use super::days_up;

/// Orders that cannot be split.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SplitError {
    /// Too few labelled orders.
    TooFewRows {
        /// Labelled orders.
        n_labelled: usize,
        /// The least that will do.
        needed: usize,
    },
    /// A part holds no order.
    EmptyPart {
        /// Train or test.
        part: &'static str,
        /// Its first instant, `None` without time.
        from: Option<i64>,
        /// Its end.
        until: Option<i64>,
    },
    /// The orders span too little time: no order of train has a label that is due.
    TooShort {
        /// First instant of train.
        from: i64,
        /// The start of test where it is fixed, else up to when labels are known.
        until: i64,
        /// What a label needs.
        label_delay: Span,
        /// Days between the two that are needed at least.
        needed_days: i64,
    },
    /// No order of the test part has a label that is due.
    UnresolvedTest {
        /// First instant of test.
        test_from: i64,
        /// Up to when labels are known.
        data_end: i64,
        /// What a label needs.
        label_delay: Span,
        /// Labelled orders of the test part.
        n_rows: u64,
    },
    /// Train holds one class only.
    OneClass {
        /// Frauds of train, as known by the time of the fit.
        n_fraud: usize,
        /// Other orders of train.
        n_honest: usize,
    },
    /// An instant lies outside the data.
    OutOfRange {
        /// Which option.
        option: &'static str,
        /// Its value.
        found: i64,
        /// Time of the first order.
        data_from: i64,
        /// Time of the last order.
        data_until: i64,
    },
    /// Two instants contradict each other.
    Contradiction {
        /// The option that must not be later.
        first: &'static str,
        /// Its value.
        first_at: i64,
        /// The option that must not be earlier.
        second: &'static str,
        /// Its value.
        second_at: i64,
    },
    /// The shares are not three positive numbers.
    Shares,
    /// Instants were given for data without time.
    NoTime,
    /// Too few frauds before the test part for folds that move forward.
    NoForwardFolds {
        /// Frauds of train and validation.
        n_fraud: usize,
        /// Frauds that a fold needs to learn from and to be judged by.
        needed: usize,
    },
}

impl fmt::Display for SplitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFewRows { n_labelled, needed } => {
                write!(f, "split: expected at least {needed} labelled orders, found {n_labelled}")
            }
            Self::TooShort { from, until, label_delay, needed_days } => write!(
                f,
                "split: expected orders in train whose labels are due in time, found none: the orders span too little time for the label delay: {} days from {} to {}, where --label-delay {label_delay} needs at least {needed_days}",
                days_up(until.saturating_sub(*from)),
                UnixMillis(*from),
                UnixMillis(*until)
            ),
            Self::UnresolvedTest { test_from, data_end, label_delay, n_rows } => write!(
                f,
                "split: expected orders in test whose labels are due in time, found none of {n_rows}: test begins at {}, and labels are known up to {}, less --label-delay {label_delay}",
                UnixMillis(*test_from),
                UnixMillis(*data_end)
            ),
            Self::EmptyPart { part, from: Some(from), until: Some(until) } => write!(
                f,
                "split: expected resolved, labelled orders in {part} from {} until {}, found none",
                UnixMillis(*from),
                UnixMillis(*until)
            ),
            Self::EmptyPart { part, .. } => write!(f, "split: expected labelled orders in {part}, found none"),
            Self::OneClass { n_fraud, n_honest } => write!(
                f,
                "split: expected both classes in train as known by the time of the fit, found {n_fraud} fraud and {n_honest} honest orders"
            ),
            Self::OutOfRange { option, found, data_from, data_until } => write!(
                f,
                "split: {option}: expected an instant in the data, {} to {}, found {}",
                UnixMillis(*data_from),
                UnixMillis(*data_until),
                UnixMillis(*found)
            ),
            Self::Contradiction { first, first_at, second, second_at } => write!(
                f,
                "split: expected {first} before {second}, found {} and {}",
                UnixMillis(*first_at),
                UnixMillis(*second_at)
            ),
            Self::Shares => f.write_str("split: expected three shares above 0, for train, validation and test"),
            Self::NoForwardFolds { n_fraud, needed } => write!(
                f,
                "folds: expected two that move forward in time, each with {needed} frauds to learn from, whose labels are due by then, and {needed} to be judged by, found fewer among the {n_fraud} frauds before the test part"
            ),
            Self::NoTime => f.write_str("split: dates were given, but the data have no order time"),
        }
    }
}

impl std::error::Error for SplitError {}
