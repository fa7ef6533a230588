//! What is read of the entities of one definition, checked and compiled once.

use std::fmt;

use super::layout::{Layout, MAX_CELLS};
use super::{AHEAD, ENTITY_LIFETIME, LATENESS_ALLOWANCE, MISSING, Occurrence};
use crate::kind::EventKind;
use crate::language::feature::{Comparison, FIRST_SEEN, FIRST_SEEN_Z_SCORE};
use crate::time::Span;

/// What became known within 2^20 ms, 17 minutes, shares a mark.
const RECENT: i64 = (1 << 20) - 1;
/// The longest window, delay or half-life: ten years.
pub const MAX_SPAN: i64 = 3_660 * Span::DAY.0;
/// The most readings of one plan.
pub const MAX_READINGS: usize = 4_096;
/// The largest index of a value or key, plus one.
pub const MAX_INDEX: usize = 256;
/// A window of a decayed aggregate without `over` holds this many half-lives; older events weigh less than 2^-32.
pub const DECAY_HALF_LIVES: i64 = 32;

/// A value of events, as a number in the user's unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Input {
    /// Position in [`Occurrence::values`].
    pub index: usize,
    /// What the whole number is divided by.
    pub unit: f64,
    /// Whether only events in the currency of the order that is read count.
    pub per_currency: bool,
}

/// A condition on an event. A missing value fulfils none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// `value * denominator OP numerator`, exactly. Levels come as values 0 and 1.
    Compare {
        /// Position in [`Occurrence::values`].
        index: usize,
        /// Comparison.
        op: Comparison,
        /// Upper part of the bound.
        numerator: i64,
        /// Lower part of the bound, positive.
        denominator: i64,
    },
}

impl Test {
    fn holds(&self, event: &Occurrence<'_>) -> bool {
        let Self::Compare { index, op, numerator, denominator } = *self;
        let value = event.value(index);
        if value == MISSING {
            return false;
        }
        let (left, right) = (i128::from(value) * i128::from(denominator), i128::from(numerator));
        match op {
            Comparison::Less => left < right,
            Comparison::AtMost => left <= right,
            Comparison::Greater => left > right,
            Comparison::AtLeast => left >= right,
            Comparison::Equal => left == right,
            Comparison::Different => left != right,
        }
    }
}

/// Events of one kind that fulfil all tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// The kind.
    pub kind: EventKind,
    /// All must hold.
    pub tests: Vec<Test>,
}

impl Series {
    /// All events of a kind.
    pub fn all(kind: EventKind) -> Self {
        Self { kind, tests: Vec::new() }
    }

    /// Whether an event belongs to it.
    pub fn holds(&self, event: &Occurrence<'_>) -> bool {
        event.kind == self.kind && self.tests.iter().all(|test| test.holds(event))
    }
}

/// `[t - delayed - over, t - delayed)`, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Window {
    /// Length; `None` for the lifetime. A lifetime is 400 days for min, max, distinct, gap variation and speed, and the
    /// shorter of 400 days and 32 half-lives for decayed aggregates.
    pub over: Option<i64>,
    /// How long before the order the window ends.
    pub delayed: i64,
}

/// What is computed of the events in the window.
#[derive(Clone, Debug, PartialEq)]
pub enum Measure {
    /// Events.
    Count,
    /// Sum of the values; 0 without any.
    Sum(Input),
    /// Mean of the values; 0 without any.
    Mean(Input),
    /// Sample standard deviation of the values; 0 with fewer than two.
    Deviation(Input),
    /// Smallest value; 0 without any.
    Min(Input),
    /// Largest value; 0 without any.
    Max(Input),
    /// The order's value less the mean, over the deviation, cut to +-100; 0 where the deviation is; NaN without own value.
    ZScore(Input),
    /// The order's value over the mean; 0 where that is not positive; NaN without own value.
    Ratio(Input),
    /// Distinct keys among the exact events; those without a key do not count.
    Distinct {
        /// Position in [`Occurrence::keys`].
        key: usize,
    },
    /// Events of the series over those of `all`; 0 where there are none.
    Share {
        /// Below the line.
        all: Series,
    },
    /// Events of the series for each of `per`; 0 where there are none.
    Rate {
        /// Below the line.
        per: Series,
    },
    /// Each event counts 2^(-age / half-life), in steps of 2^-32.
    DecayedCount {
        /// Milliseconds.
        half_life: i64,
    },
    /// Each value counts 2^(-age / half-life), in steps of 2^-32.
    DecayedSum {
        /// The value.
        input: Input,
        /// Milliseconds.
        half_life: i64,
    },
    /// Seconds since the first event in the window; -1 without one.
    SinceFirst,
    /// Seconds since the last event in the window; -1 without one.
    SinceLast,
    /// 1 when the entity has no history, else 0. Has neither series nor window.
    IsNew,
    /// Sample deviation over mean of the times between exact events; 0 with fewer than three events or without any gap.
    GapVariation,
    /// km/h from the latest exact event with a place to the place of the order; 0 without one; NaN without own place.
    Speed {
        /// Position in [`Occurrence::values`] of a [`pack_place`](super::pack_place).
        index: usize,
    },
    /// Orders resolved in the window and known as fraud. Has no series.
    FraudCount,
    /// That count over the orders resolved in the window, 0 where there are none. Has no series.
    FraudRate,
    /// Orders resolved in the window after the time at which its latest fraud was; -1 without a fraud. Has no series.
    OrdersSinceFraud,
    /// Orders resolved in the window. Has no series.
    Resolved,
}

impl Measure {
    /// Whether it counts labels rather than events.
    pub fn is_of_labels(&self) -> bool {
        matches!(self, Self::FraudCount | Self::FraudRate | Self::OrdersSinceFraud | Self::Resolved)
    }

    /// Whether it may be divided by itself over another window.
    fn divides(&self) -> bool {
        !matches!(
            self,
            Self::ZScore(_) | Self::Ratio(_) | Self::SinceFirst | Self::SinceLast | Self::IsNew | Self::Speed { .. }
        )
    }

    /// The value that it reads, if any.
    pub fn input(&self) -> Option<Input> {
        match *self {
            Self::Sum(input)
            | Self::Mean(input)
            | Self::Deviation(input)
            | Self::Min(input)
            | Self::Max(input)
            | Self::ZScore(input)
            | Self::Ratio(input)
            | Self::DecayedSum { input, .. } => Some(input),
            _ => None,
        }
    }

    /// How far back it looks without `over`; `None` for ever.
    fn longest(&self) -> Option<i64> {
        match *self {
            Self::Min(_) | Self::Max(_) | Self::Distinct { .. } | Self::GapVariation | Self::Speed { .. } => {
                Some(ENTITY_LIFETIME.0)
            }
            Self::DecayedCount { half_life } | Self::DecayedSum { half_life, .. } => {
                Some(half_life.saturating_mul(DECAY_HALF_LIVES).min(ENTITY_LIFETIME.0))
            }
            _ => None,
        }
    }
}

/// One output of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// What is computed.
    pub measure: Measure,
    /// Of which events.
    pub series: Series,
    /// In which window.
    pub window: Window,
    /// Divides by the same over this many milliseconds with the same delay; 0 where that is 0.
    pub versus: Option<i64>,
}

impl Reading {
    /// Its value for an entity without history.
    pub fn first_seen(&self) -> f32 {
        match self.measure {
            Measure::ZScore(_) => FIRST_SEEN_Z_SCORE,
            Measure::IsNew => 1.0,
            _ => FIRST_SEEN,
        }
    }

    /// The window that is really looked at.
    pub(super) fn span(&self, over: Option<i64>) -> Window {
        Window { over: over.or_else(|| self.measure.longest()), delayed: self.window.delayed }
    }
}

/// All readings of one entity definition.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub(super) readings: Vec<Reading>,
    pub(super) label_delay: i64,
    pub(super) exact_events: usize,
    /// Bit per kind that is stored.
    kinds: u32,
    /// Window bounds, rising, with the logarithm of their buckets' widths.
    pub(super) levels: Vec<Level>,
    /// Rows older than this, seen from the newest, count for lifetimes only.
    pub(super) retention: i64,
    pub(super) layout: Layout,
}

/// Folded rows up to an age are in buckets of a width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Level {
    pub(super) bound: i64,
    pub(super) log_width: u32,
}

impl Plan {
    /// Checks the readings and works out what has to be kept for them.
    ///
    /// `label_delay` (milliseconds) is when an order without a label counts as resolved; `exact_events` is how many events
    /// of an entity are kept one by one.
    pub fn new(readings: Vec<Reading>, label_delay: i64, exact_events: usize) -> Result<Self, PlanError> {
        if readings.len() > MAX_READINGS {
            return Err(PlanError::TooManyReadings { found: readings.len() });
        }
        if !(0..=MAX_SPAN).contains(&label_delay) {
            return Err(PlanError::LabelDelay { found: label_delay });
        }
        if !(1..=1 << 24).contains(&exact_events) {
            return Err(PlanError::ExactEvents { found: exact_events });
        }
        let mut kinds = 1 << EventKind::Order as u32;
        let mut bounds = Vec::new();
        let mut longest = 0;
        for (reading, r) in readings.iter().enumerate() {
            check(reading, r)?;
            let has_series = !r.measure.is_of_labels() && r.measure != Measure::IsNew;
            if has_series {
                kinds |= 1 << r.series.kind as u32;
            }
            if let Measure::Share { all: below } | Measure::Rate { per: below } = &r.measure {
                kinds |= 1 << below.kind as u32;
            }
            for over in std::iter::once(r.window.over).chain(r.versus.map(Some)) {
                let window = r.span(over);
                // A resolved order lies a label delay further back than its resolution.
                let delay = if r.measure.is_of_labels() { label_delay } else { 0 };
                let bound = window.delayed + delay + window.over.unwrap_or(0);
                longest = longest.max(bound);
                if bound > 0 {
                    bounds.push(bound);
                }
            }
        }
        // Rows beyond the longest window wait in wide buckets, so that few of them do.
        let retention = longest + LATENESS_ALLOWANCE.0 + RECENT + 1;
        bounds.push(retention);
        bounds.sort_unstable();
        bounds.dedup();
        let layout = Layout::new(&readings)?;
        let levels = bounds.into_iter().map(|bound| Level { bound, log_width: (bound / 256).max(1).ilog2() }).collect();
        Ok(Self { readings, label_delay, exact_events, kinds, levels, retention, layout })
    }

    /// Number of outputs of a reading.
    pub fn n_outputs(&self) -> usize {
        self.readings.len()
    }

    /// The values of events that are looked at, rising.
    pub(crate) fn used_values(&self) -> &[usize] {
        &self.layout.used_values
    }

    /// The keys of events that are looked at, rising.
    pub(crate) fn used_keys(&self) -> &[usize] {
        &self.layout.used_keys
    }

    /// Number of windows, each searched once per order.
    pub fn n_windows(&self) -> usize {
        self.layout.groups.len()
    }

    /// The readings, in the order of the outputs.
    pub fn readings(&self) -> &[Reading] {
        &self.readings
    }

    /// Whether events of the kind are remembered; orders always are.
    pub fn stores(&self, kind: EventKind) -> bool {
        self.kinds >> kind as u32 & 1 == 1
    }

    /// How many events of an entity are kept one by one.
    pub fn exact_events(&self) -> usize {
        self.exact_events
    }

    /// How long after an order without a label it counts as resolved, in milliseconds.
    pub fn label_delay(&self) -> i64 {
        self.label_delay
    }

    /// Writes NaN to every output: the order does not have this entity.
    pub fn write_missing(&self, mut write: impl FnMut(usize, f32)) {
        (0..self.readings.len()).for_each(|output| write(output, f32::NAN));
    }

    /// Writes the values of an entity that was never seen.
    pub fn write_first_seen(&self, mut write: impl FnMut(usize, f32)) {
        self.readings.iter().enumerate().for_each(|(output, reading)| write(output, reading.first_seen()));
    }

    /// Where a folded event of that time stands, `i64::MIN` for beyond the retention, seen from the clock.
    ///
    /// Folding again gives the same, and folding a folded time for a later clock gives what folding the event's own
    /// time would: each step looks at the bucket's start alone, and buckets nest.
    pub(super) fn fold(&self, clock: i64, time: i64) -> i64 {
        let mut start = time;
        for level in &self.levels {
            start = start >> level.log_width << level.log_width;
            if clock.saturating_sub(start) <= level.bound {
                break;
            }
        }
        self.retained(clock, start)
    }

    /// The last clock up to which a folded row stays where it is.
    pub(super) fn moves_after(&self, start: i64) -> i64 {
        if start == i64::MIN {
            return i64::MAX;
        }
        // The row is of the narrowest level at which it may stand; of several bounds with one width the last counts.
        let mut stays = i64::MIN;
        for level in &self.levels {
            if start >> level.log_width << level.log_width != start {
                break;
            }
            stays = start.saturating_add(level.bound);
        }
        stays
    }

    /// What keeps rows at one folded time apart: those that became known within the last day stand by when that was, so
    /// that an order of that day, coming late, still sees what was known before. `i64::MIN` for all others.
    pub(super) fn mark(known_at: i64, last_known_at: i64) -> i64 {
        let mark = known_at | RECENT;
        if mark < last_known_at.saturating_sub(LATENESS_ALLOWANCE.0) { i64::MIN } else { mark }
    }

    /// The last known time up to which a mark stays.
    pub(super) fn merges_after(mark: i64) -> i64 {
        if mark == i64::MIN { i64::MAX } else { mark.saturating_add(LATENESS_ALLOWANCE.0) }
    }

    /// How many events are newer than the one by whose time ages are counted: [`AHEAD`], or all exact ones but one.
    pub(super) fn n_ahead(&self) -> usize {
        AHEAD.min(self.exact_events - 1)
    }

    /// The time of an exact row, `i64::MIN` beyond the retention.
    pub(super) fn retained(&self, clock: i64, time: i64) -> i64 {
        if time < clock.saturating_sub(self.retention) { i64::MIN } else { time }
    }
}

fn check(reading: usize, r: &Reading) -> Result<(), PlanError> {
    let spans = [r.window.over, r.versus].into_iter().flatten();
    let half_life = match r.measure {
        Measure::DecayedCount { half_life } | Measure::DecayedSum { half_life, .. } => Some(half_life),
        _ => None,
    };
    if let Some(found) = spans.chain(half_life).find(|span| !(1..=MAX_SPAN).contains(span)) {
        return Err(PlanError::Span { reading, found });
    }
    if !(0..=MAX_SPAN).contains(&r.window.delayed) {
        return Err(PlanError::Span { reading, found: r.window.delayed });
    }
    if r.versus.is_some() && !r.measure.divides() {
        return Err(PlanError::Versus { reading });
    }
    if let Some(input) = r.measure.input().filter(|input| !(input.unit > 0.0 && input.unit.is_finite())) {
        return Err(PlanError::Unit { reading, found: input.unit });
    }
    let below = match &r.measure {
        Measure::Share { all: below } | Measure::Rate { per: below } => Some(below),
        _ => None,
    };
    let tests = || r.series.tests.iter().chain(below.iter().flat_map(|series| &series.tests));
    let index = match r.measure {
        Measure::Distinct { key } => Some(key),
        Measure::Speed { index } => Some(index),
        _ => r.measure.input().map(|input| input.index),
    };
    let indices = tests().map(|Test::Compare { index, .. }| *index).chain(index);
    if let Some(found) = indices.into_iter().find(|&index| index >= MAX_INDEX) {
        return Err(PlanError::Index { reading, found });
    }
    if tests().any(|Test::Compare { denominator, .. }| *denominator < 1) {
        return Err(PlanError::Denominator { reading });
    }
    Ok(())
}

/// Readings that cannot be computed.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum PlanError {
    /// More than [`MAX_READINGS`].
    TooManyReadings {
        /// How many.
        found: usize,
    },
    /// More different series, values, keys and places than one entity may have.
    TooManyCells {
        /// How many.
        found: usize,
    },
    /// A label delay that is negative or longer than ten years.
    LabelDelay {
        /// Milliseconds.
        found: i64,
    },
    /// No exact event, or more than 2^24.
    ExactEvents {
        /// How many.
        found: usize,
    },
    /// A window, delay or half-life of nothing or more than ten years.
    Span {
        /// Position of the reading.
        reading: usize,
        /// Milliseconds.
        found: i64,
    },
    /// A measure that cannot be divided by itself over another window.
    Versus {
        /// Position of the reading.
        reading: usize,
    },
    /// A unit that is no positive number.
    Unit {
        /// Position of the reading.
        reading: usize,
        /// The unit.
        found: f64,
    },
    /// A position of a value or key beyond [`MAX_INDEX`].
    Index {
        /// Position of the reading.
        reading: usize,
        /// The position.
        found: usize,
    },
    /// A bound whose lower part is not positive.
    Denominator {
        /// Position of the reading.
        reading: usize,
    },
}

impl PlanError {
    /// Position of the reading that is at fault; `None` where it is all of them together.
    pub fn reading(&self) -> Option<usize> {
        match *self {
            Self::TooManyReadings { .. }
            | Self::TooManyCells { .. }
            | Self::LabelDelay { .. }
            | Self::ExactEvents { .. } => None,
            Self::Span { reading, .. }
            | Self::Versus { reading }
            | Self::Unit { reading, .. }
            | Self::Index { reading, .. }
            | Self::Denominator { reading } => Some(reading),
        }
    }
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyReadings { found } => {
                write!(f, "one entity: expected at most {MAX_READINGS} features, found {found}")
            }
            Self::TooManyCells { found } => {
                write!(
                    f,
                    "one entity: expected at most {MAX_CELLS} different kinds with conditions and values, found {found}"
                )
            }
            Self::LabelDelay { found } => write!(f, "label delay: expected 0 to 10 years, found {found} ms"),
            Self::ExactEvents { found } => write!(f, "exact events: expected 1 to {}, found {found}", 1 << 24),
            Self::Span { reading, found } => {
                write!(f, "feature {reading}: expected a length of time of 1 ms to 10 years, found {found} ms")
            }
            Self::Versus { reading } => {
                write!(f, "feature {reading}: cannot be divided by its value over another window")
            }
            Self::Unit { reading, found } => {
                write!(f, "feature {reading}: expected a positive number as unit, found {found}")
            }
            Self::Index { reading, found } => {
                write!(f, "feature {reading}: expected a column below {MAX_INDEX}, found {found}")
            }
            Self::Denominator { reading } => {
                write!(f, "feature {reading}: expected a bound with a positive denominator")
            }
        }
    }
}

impl std::error::Error for PlanError {}
