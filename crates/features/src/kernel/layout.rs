//! Where the numbers of an event stand in an entity's history: worked out once from the readings of a plan.
//!
//! A row of the log is a few *cells*: when it was known, what tells it from others of its millisecond, and running totals
//! of this and all earlier rows, so that what lies in a window is one subtraction per number:
//!
//! ```text
//! row-major   known_at | currency, tie | counts, two a word | sums | decayed counts | squares, decayed sums (two words each)
//!             | the same of what counts in the order's currency only: running totals of the rows of one currency
//! columns     time | key, previous time of that key (per distinct count) | value (per min and max) | place
//! ```

use super::measure::decay_weight;
use super::plain::{Half, Plain};
use super::plan::{Input, Measure, PlanError, Reading, Series, Window};
use super::{MAX_TIME, MISSING, Occurrence};
use crate::kind::EventKind;

/// Cells before the totals.
pub(super) const KNOWN: usize = 0;
pub(super) const META: usize = 1;
pub(super) const TOTALS: usize = 2;
/// The most different series, and the most different values, keys and places, of one plan.
pub const MAX_CELLS: usize = 64;

/// No row has more cells: all counts, two a word, all sums, and two words for each square and decayed sum.
pub(super) const MAX_STRIDE: usize = TOTALS + 1 + MAX_CELLS + MAX_CELLS + 2 * MAX_CELLS + 2 * MAX_CELLS;

/// Totals of nothing.
pub(super) static NOTHING: [i64; MAX_STRIDE] = [0; MAX_STRIDE];

/// A value of a series: one number, one sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InputCell {
    pub(super) series: usize,
    pub(super) index: usize,
    /// Whether its totals are those of the rows in one currency.
    pub(super) own_currency: bool,
    /// Half with the number of values, see [`count`], and position of their sum.
    pub(super) n: usize,
    pub(super) sum: usize,
    /// Position of the sum of squares, if any reading needs it.
    pub(super) squares: Option<usize>,
    /// Column with the values themselves, if any reading needs their extremes.
    pub(super) column: Option<usize>,
}

/// A key of a series; column `column` has the keys, the next one the previous times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyCell {
    pub(super) series: usize,
    pub(super) key: usize,
    pub(super) column: usize,
}

/// A place of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PlaceCell {
    pub(super) series: usize,
    pub(super) index: usize,
    pub(super) column: usize,
}

/// A running total of decay weights: of events (one word) or values (two).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DecayCell {
    pub(super) series: usize,
    pub(super) input: Option<usize>,
    pub(super) half_life: i64,
    pub(super) at: usize,
}

impl DecayCell {
    fn is_wide(&self) -> bool {
        self.input.is_some()
    }

    /// The total: a difference of two rows, as [`count`].
    pub(super) fn total(&self, row: &[i64], before: Option<&[i64]>) -> i128 {
        if self.is_wide() {
            wide(row, self.at).wrapping_sub(before.map_or(0, |before| wide(before, self.at)))
        } else {
            i128::from(row[self.at].wrapping_sub(before.map_or(0, |before| before[self.at])))
        }
    }

    /// Adds to the total.
    pub(super) fn add(&self, row: &mut [i64], part: i128) {
        if self.is_wide() {
            add_wide(row, self.at, part);
        } else {
            row[self.at] = row[self.at].wrapping_add(part as i64);
        }
    }

    /// Makes the total nothing.
    pub(super) fn clear(&self, row: &mut [i64]) {
        row[self.at..=self.at + usize::from(self.is_wide())].fill(0);
    }
}

/// A part of a row's totals: one-word cells `from..wide`, two-word cells `wide..end`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Part {
    from: usize,
    wide: usize,
    end: usize,
}

/// What one reading does, by positions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Op {
    Count { series: usize },
    Moments { input: usize, of: Moment, own: usize, unit: f64, per_currency: bool },
    Extreme { input: usize, largest: bool, unit: f64, per_currency: bool },
    Distinct { key: usize },
    Quotient { above: usize, below: usize },
    Decayed { decay: usize, unit: f64, per_currency: bool },
    SinceFirst { series: usize, since: usize },
    SinceLast { series: usize, since: usize },
    IsNew,
    GapVariation { series: usize },
    Speed { place: usize, own: usize },
    FraudCount,
    FraudRate,
    OrdersSinceFraud,
    Resolved,
}

/// What is made of the moments of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    Sum,
    Mean,
    Deviation,
    ZScore,
    Ratio,
}

/// One output of a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Step {
    pub(super) output: usize,
    pub(super) op: Op,
    /// Divided by the same over this window.
    pub(super) versus: Option<Window>,
}

/// All readings of one window, so that it is searched once.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Group {
    pub(super) window: Window,
    pub(super) of_labels: bool,
    /// Whether anything but labels is looked at.
    pub(super) reads_rows: bool,
    pub(super) steps: Vec<Step>,
    /// Steps that are a difference of two totals where all is exact and known, in a form that takes a few instructions.
    pub(super) plain: Vec<Plain>,
    /// Whether some of them are of the order's currency.
    pub(super) plain_own: bool,
    /// The steps that are not among them.
    pub(super) rest: Vec<Step>,
}

/// See the module.
#[expect(clippy::struct_excessive_bools, reason = "each says what one part of a reading can leave out")]
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Layout {
    pub(super) series: Vec<Series>,
    pub(super) inputs: Vec<InputCell>,
    pub(super) keys: Vec<KeyCell>,
    pub(super) places: Vec<PlaceCell>,
    pub(super) decays: Vec<DecayCell>,
    /// Series of which the first and last time are read.
    pub(super) sinces: Vec<usize>,
    /// Inputs of which extremes are read.
    pub(super) extremes: Vec<usize>,
    /// Totals of all rows, and of the rows in one currency.
    pub(super) common: Part,
    pub(super) own: Part,
    pub(super) stride: usize,
    /// Columns beside the times.
    pub(super) n_columns: usize,
    pub(super) per_currency: bool,
    pub(super) reads_labels: bool,
    /// Whether orders since the latest fraud of all are counted: only they tell dropped rows from those to be dropped.
    pub(super) counts_since_fraud: bool,
    /// The series of all orders, where labels are read.
    pub(super) orders: usize,
    pub(super) groups: Vec<Group>,
    /// Whether all steps are plain, or read labels alone.
    pub(super) is_plain: bool,
    pub(super) used_values: Vec<usize>,
    pub(super) used_keys: Vec<usize>,
}

/// An event by cells: what a row is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fresh<'a> {
    pub(super) time: i64,
    pub(super) known_at: i64,
    /// Currency, and what tells it from other events of its millisecond.
    pub(super) meta: u64,
    /// Bit per series.
    pub(super) series: u64,
    /// Values by input, then keys, then places; missing where the event is not of the series.
    pub(super) cells: &'a [i64],
}

impl Fresh<'_> {
    pub(super) fn order(&self) -> (i64, i64, u64) {
        (self.time, self.known_at, self.meta)
    }
}

fn position<T: PartialEq>(list: &mut Vec<T>, item: T) -> usize {
    list.iter().position(|other| *other == item).unwrap_or_else(|| {
        list.push(item);
        list.len() - 1
    })
}

impl Layout {
    pub(super) fn new(readings: &[Reading]) -> Result<Self, PlanError> {
        let mut layout = Self::default();
        if readings.iter().any(|r| r.measure.is_of_labels()) {
            layout.reads_labels = true;
            layout.orders = position(&mut layout.series, Series::all(EventKind::Order));
        }
        let since_any = |r: &Reading| r.measure == Measure::OrdersSinceFraud && r.window.over.is_none();
        layout.counts_since_fraud = readings.iter().any(since_any);
        let mut ops: Vec<Op> = readings.iter().map(|r| layout.op(r)).collect();
        let n_cells = layout.inputs.len() + layout.keys.len() + layout.places.len();
        let found = n_cells.max(layout.series.len()).max(layout.decays.len());
        if found > MAX_CELLS {
            return Err(PlanError::TooManyCells { found });
        }
        layout.place_cells(&mut ops);
        for (output, (r, op)) in readings.iter().zip(ops).enumerate() {
            let of_labels = r.measure.is_of_labels();
            let window = r.span(r.window.over);
            let step = Step { output, op, versus: r.versus.map(|over| r.span(Some(over))) };
            match layout.groups.iter_mut().find(|g| (g.window, g.of_labels) == (window, of_labels)) {
                Some(group) => {
                    group.reads_rows |= op != Op::FraudCount;
                    group.steps.push(step);
                }
                None => layout.groups.push(Group {
                    window,
                    of_labels,
                    reads_rows: op != Op::FraudCount,
                    steps: vec![step],
                    plain: Vec::new(),
                    plain_own: false,
                    rest: Vec::new(),
                }),
            }
        }
        for group in &mut layout.groups {
            let plain = |step: &Step| Plain::of(step, &layout.inputs);
            group.plain = group.steps.iter().filter_map(plain).collect();
            group.plain_own = group.plain.iter().any(|step| {
                matches!(step, Plain::Sum { per_currency: true, .. } | Plain::Mean { per_currency: true, .. })
            });
            group.rest = group.steps.iter().filter(|step| plain(step).is_none()).copied().collect();
        }
        layout.is_plain = layout.groups.iter().all(|g| g.rest.is_empty() || !g.reads_rows);
        // Nested windows one after the other, the longest last: each is searched in what the one before left over.
        layout.groups.sort_by_key(|g| (g.of_labels, g.window.delayed, g.window.over.unwrap_or(i64::MAX)));
        Ok(layout)
    }

    fn op(&mut self, r: &Reading) -> Op {
        let has_series = !r.measure.is_of_labels() && r.measure != Measure::IsNew;
        let series = if has_series { self.series(&r.series) } else { 0 };
        let mut input = |input: Input| {
            self.per_currency |= input.per_currency;
            position(&mut self.used_values, input.index);
            let (index, own_currency) = (input.index, input.per_currency);
            position(
                &mut self.inputs,
                InputCell { series, index, own_currency, n: 0, sum: 0, squares: None, column: None },
            )
        };
        let moments = |input: usize, of: Moment, value: Input| Op::Moments {
            input,
            of,
            own: value.index,
            unit: value.unit,
            per_currency: value.per_currency,
        };
        match r.measure {
            Measure::Count => Op::Count { series },
            Measure::Sum(value) => moments(input(value), Moment::Sum, value),
            Measure::Mean(value) => moments(input(value), Moment::Mean, value),
            Measure::Ratio(value) => moments(input(value), Moment::Ratio, value),
            Measure::Deviation(value) => moments(input(value), Moment::Deviation, value),
            Measure::ZScore(value) => moments(input(value), Moment::ZScore, value),
            Measure::Min(value) | Measure::Max(value) => Op::Extreme {
                input: input(value),
                largest: matches!(r.measure, Measure::Max(_)),
                unit: value.unit,
                per_currency: value.per_currency,
            },
            Measure::Distinct { key } => {
                position(&mut self.used_keys, key);
                Op::Distinct { key: position(&mut self.keys, KeyCell { series, key, column: 0 }) }
            }
            Measure::Share { all: ref below } | Measure::Rate { per: ref below } => {
                Op::Quotient { above: series, below: self.series(below) }
            }
            Measure::DecayedCount { half_life } => {
                let cell = DecayCell { series, input: None, half_life, at: 0 };
                Op::Decayed { decay: position(&mut self.decays, cell), unit: 1.0, per_currency: false }
            }
            Measure::DecayedSum { input: value, half_life } => {
                let cell = DecayCell { series, input: Some(input(value)), half_life, at: 0 };
                let decay = position(&mut self.decays, cell);
                Op::Decayed { decay, unit: value.unit, per_currency: value.per_currency }
            }
            Measure::SinceFirst => Op::SinceFirst { series, since: position(&mut self.sinces, series) },
            Measure::SinceLast => Op::SinceLast { series, since: position(&mut self.sinces, series) },
            Measure::IsNew => Op::IsNew,
            Measure::GapVariation => Op::GapVariation { series },
            Measure::Speed { index } => {
                position(&mut self.used_values, index);
                let place = position(&mut self.places, PlaceCell { series, index, column: 0 });
                Op::Speed { place, own: index }
            }
            Measure::FraudCount => Op::FraudCount,
            Measure::FraudRate => Op::FraudRate,
            Measure::OrdersSinceFraud => Op::OrdersSinceFraud,
            Measure::Resolved => Op::Resolved,
        }
    }

    fn series(&mut self, series: &Series) -> usize {
        for test in &series.tests {
            let super::Test::Compare { index, .. } = test;
            position(&mut self.used_values, *index);
        }
        position(&mut self.series, series.clone())
    }

    /// Gives every cell its place, now that all are known.
    fn place_cells(&mut self, ops: &mut [Op]) {
        let needs = |input: usize, wanted: fn(&Op) -> Option<usize>| ops.iter().any(|op| wanted(op) == Some(input));
        let squares = |op: &Op| match *op {
            Op::Moments { input, of: Moment::Deviation | Moment::ZScore, .. } => Some(input),
            _ => None,
        };
        let extreme = |op: &Op| match *op {
            Op::Extreme { input, .. } => Some(input),
            _ => None,
        };
        self.common = self.place_part(TOTALS, self.series.len(), false, ops, squares);
        self.own = self.place_part(self.common.end, 0, true, ops, squares);
        let mut column = 0;
        for (i, input) in self.inputs.iter_mut().enumerate() {
            if needs(i, extreme) {
                input.column = Some(column);
                self.extremes.push(i);
                column += 1;
            }
        }
        for key in &mut self.keys {
            key.column = column;
            column += 2;
        }
        for place in &mut self.places {
            place.column = column;
            column += 1;
        }
        self.stride = self.own.end;
        self.n_columns = column;
        self.used_values.sort_unstable();
        self.used_keys.sort_unstable();
    }

    /// Places the totals of the inputs that are, or are not, by currency, behind some counts of series.
    fn place_part(
        &mut self,
        from: usize,
        n_series: usize,
        own_currency: bool,
        ops: &[Op],
        squares: impl Fn(&Op) -> Option<usize>,
    ) -> Part {
        let mut half = 2 * (from - TOTALS) + n_series;
        for input in self.inputs.iter_mut().filter(|input| input.own_currency == own_currency) {
            input.n = half;
            half += 1;
        }
        let mut at = TOTALS + half.div_ceil(2);
        for input in self.inputs.iter_mut().filter(|input| input.own_currency == own_currency) {
            input.sum = at;
            at += 1;
        }
        for decay in self.decays.iter_mut().filter(|decay| decay.input.is_none() && !own_currency) {
            decay.at = at;
            at += 1;
        }
        let wide = at;
        for decay in &mut self.decays {
            if decay.input.is_some_and(|input| self.inputs[input].own_currency == own_currency) {
                decay.at = at;
                at += 2;
            }
        }
        for (i, input) in self.inputs.iter_mut().enumerate() {
            if input.own_currency == own_currency && ops.iter().any(|op| squares(op) == Some(i)) {
                input.squares = Some(at);
                at += 2;
            }
        }
        Part { from, wide, end: at }
    }

    /// The currency as far as readings ask for it.
    pub(super) fn currency(&self, event: &Occurrence<'_>) -> u32 {
        if self.per_currency { event.currency } else { 0 }
    }

    /// Orders events of one time that became known at one time: a hash of all that readings look at, so that events
    /// which it does not tell apart are interchangeable.
    pub(super) fn tie(&self, event: &Occurrence<'_>) -> u32 {
        let mix = |hash: u64, word: u64| (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        let mut hash = mix(0x51_7c_c1_b7_27_22_0a_95, event.kind as u64);
        for &index in &self.used_values {
            hash = mix(hash, event.raw(index) as u64);
        }
        for &index in &self.used_keys {
            hash = mix(hash, event.key(index));
        }
        (mix(hash, 0) >> 32) as u32
    }

    /// An event as cells, into `cells`.
    pub(super) fn fresh<'a>(&self, event: &Occurrence<'_>, cells: &'a mut [i64]) -> Fresh<'a> {
        let mut series = 0;
        for (i, s) in self.series.iter().enumerate() {
            series |= u64::from(s.holds(event)) << i;
        }
        let is_of = |i: usize| series >> i & 1 == 1;
        let mut n = 0;
        let mut put = |cell: i64| {
            cells[n] = cell;
            n += 1;
        };
        self.inputs.iter().for_each(|c| put(if is_of(c.series) { event.value(c.index) } else { MISSING }));
        self.keys.iter().for_each(|c| put(if is_of(c.series) { event.key(c.key) as i64 } else { 0 }));
        self.places.iter().for_each(|c| put(if is_of(c.series) { event.raw(c.index) } else { MISSING }));
        let meta = u64::from(self.currency(event)) << 32 | u64::from(self.tie(event));
        let time = event.time.clamp(-MAX_TIME, MAX_TIME);
        let known_at = event.known_at.clamp(time, MAX_TIME);
        Fresh { time, known_at, meta, series, cells: &cells[..n] }
    }

    /// Number of cells of an event.
    pub(super) fn n_cells(&self) -> usize {
        self.inputs.len() + self.keys.len() + self.places.len()
    }

    pub(super) fn key_cell(&self, cells: &[i64], key: usize) -> i64 {
        cells[self.inputs.len() + key]
    }

    pub(super) fn place_cell(&self, cells: &[i64], place: usize) -> i64 {
        cells[self.inputs.len() + self.keys.len() + place]
    }

    /// Adds what an event counts to running totals, those of its own currency among them.
    pub(super) fn add_event(&self, row: &mut [i64], event: &Fresh<'_>) {
        let mut rest = event.series;
        while rest != 0 {
            let series = rest.trailing_zeros() as usize;
            add_half(row, series, 1);
            rest &= rest - 1;
        }
        for (input, &value) in self.inputs.iter().zip(event.cells) {
            if value != MISSING {
                add_half(row, input.n, 1);
                row[input.sum] = row[input.sum].wrapping_add(value);
                if let Some(at) = input.squares {
                    add_wide(row, at, i128::from(value) * i128::from(value));
                }
            }
        }
        for decay in &self.decays {
            let value = decay.input.map_or(1, |input| event.cells[input]);
            if event.series >> decay.series & 1 == 1 && value != MISSING {
                let (_, weight) = decay_weight(event.time, decay.half_life);
                decay.add(row, i128::from(value) * i128::from(weight));
            }
        }
    }

    /// What the events of a row count in a decayed total at a folded time.
    pub(super) fn weigh(&self, decay: &DecayCell, row: &[i64], before: Option<&[i64]>, time: i64) -> i128 {
        if time == i64::MIN {
            return 0;
        }
        let of_events = match decay.input {
            None => i128::from(count(decay.series, row, before)),
            Some(input) => i128::from(self.sum(input, row, before)),
        };
        of_events * i128::from(decay_weight(time, decay.half_life).1)
    }

    /// `row + change`, total by total.
    pub(super) fn add_totals(&self, row: &mut [i64], change: &[i64]) {
        self.common.add(row, change);
        self.own.add(row, change);
    }

    /// What one row counts by itself, where it holds running totals: its totals less those before it, which for its
    /// currency are those of an earlier row.
    pub(super) fn subtract_totals(&self, row: &mut [i64], before: &[i64], own_before: &[i64]) {
        self.common.subtract(row, before);
        self.own.subtract(row, own_before);
    }

    /// Number of values of an input: a difference of two rows, as [`count`].
    pub(super) fn n_values(&self, input: usize, row: &[i64], before: Option<&[i64]>) -> u64 {
        count(self.inputs[input].n, row, before)
    }

    /// Sum of the values of an input, likewise.
    pub(super) fn sum(&self, input: usize, row: &[i64], before: Option<&[i64]>) -> i64 {
        let at = self.inputs[input].sum;
        row[at].wrapping_sub(before.map_or(0, |before| before[at]))
    }
}

impl Part {
    /// Whether it has no totals.
    pub(super) fn is_empty(self) -> bool {
        self.from == self.end
    }

    /// `row + change`.
    pub(super) fn add(self, row: &mut [i64], change: &[i64]) {
        for at in self.from..self.wide {
            row[at] = row[at].wrapping_add(change[at]);
        }
        for at in (self.wide..self.end).step_by(2) {
            add_wide(row, at, wide(change, at));
        }
    }

    /// `row - before`.
    pub(super) fn subtract(self, row: &mut [i64], before: &[i64]) {
        for at in self.from..self.wide {
            row[at] = row[at].wrapping_sub(before[at]);
        }
        for at in (self.wide..self.end).step_by(2) {
            add_wide(row, at, wide(before, at).wrapping_neg());
        }
    }

    /// Takes the totals of another row.
    pub(super) fn copy(self, row: &mut [i64], from: &[i64]) {
        row[self.from..self.end].copy_from_slice(&from[self.from..self.end]);
    }
}

/// Number of events of a series, or of values: a difference of two rows, the second absent for the totals themselves.
pub(super) fn count(series: usize, row: &[i64], before: Option<&[i64]>) -> u64 {
    u64::from(half(row, series).wrapping_sub(before.map_or(0, |before| half(before, series))))
}

fn half(row: &[i64], index: usize) -> u32 {
    Half::at(index).of(row)
}

pub(super) fn add_half(row: &mut [i64], index: usize, n: u32) {
    let cell = &mut row[TOTALS + index / 2];
    *cell = (*cell as u64).wrapping_add(u64::from(n) << (32 * (index % 2))) as i64;
}

pub(super) fn wide(row: &[i64], at: usize) -> i128 {
    i128::from(row[at + 1]) << 64 | i128::from(row[at] as u64)
}

fn add_wide(row: &mut [i64], at: usize, change: i128) {
    let sum = wide(row, at).wrapping_add(change);
    row[at] = sum as i64;
    row[at + 1] = (sum >> 64) as i64;
}
