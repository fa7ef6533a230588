//! Reading: from rows to outputs, without changing or allocating anything (but see [`Reader::distinct`]).

use super::folded::{self, Folded};
use super::history::EntityHistory;
use super::layout::{self, KNOWN, Layout, Moment, Op};
use super::log::Log;
use super::measure::{self, Moments};
use super::plan::{Plan, Window};
use super::{ENTITY_LIFETIME, MAX_TIME, MISSING, Occurrence};

/// The rows of a window: exact ones `lo..hi`, folded ones `from..to`, and whether all that was ever dropped is in it.
#[derive(Clone, Copy, Debug)]
struct Range<'a> {
    lo: usize,
    hi: usize,
    from: usize,
    to: usize,
    lifetime: bool,
    /// The window's start.
    since: i64,
    /// Pairs of running totals whose differences add up to what lies in it, where all of it was known.
    ends: [Ends<'a>; 2],
}

/// The window searched last: a longer one with the same end is searched before its first row only.
#[derive(Default)]
struct Cursor {
    back: i64,
    /// 0 before the first search.
    over: i64,
    lo: usize,
    hi: usize,
}

/// A row as a walk sees it.
#[derive(Clone, Copy)]
struct Seen<'a> {
    /// `i64::MIN` for what was dropped.
    time: i64,
    cells: &'a [i64],
    before: Option<&'a [i64]>,
    place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Base,
    Folded(usize),
    Exact(usize),
}

/// Running totals at the end of a run of rows, and before it; none for 0.
type Ends<'a> = (Option<&'a [i64]>, Option<&'a [i64]>);

const NO_ENDS: [Ends<'static>; 2] = [(None, None); 2];

struct Reader<'a> {
    layout: &'a Layout,
    history: &'a EntityHistory,
    log: &'a Log,
    times: &'a [i64],
    folded: Option<&'a Folded>,
    order: &'a Occurrence<'a>,
    /// The order's currency, as far as readings ask for it.
    currency: u32,
    /// One past the last row that may be seen.
    end: usize,
    /// Whether everything before `end` was known.
    clear: bool,
}

impl EntityHistory {
    /// Computes every reading of the plan for `order` and hands each to `write` with its position, in no certain order.
    ///
    /// O(log n) for each window and output where all rows up to the order's time were known by then; else O(rows) for
    /// each. Extremes, distinct counts and gaps are O(rows in the window) always, of which a scan takes 4 to 16 at a time.
    /// Inputs in the order's currency are O(rows) where the entity has several.
    pub fn read(&self, plan: &Plan, order: &Occurrence<'_>, mut write: impl FnMut(usize, f32)) {
        let order = &Occurrence { time: order.time.clamp(-MAX_TIME, MAX_TIME), ..*order };
        let Some(reader) = Reader::new(self, plan, order) else {
            return plan.write_first_seen(write);
        };
        let mut last = Cursor::default();
        for group in &plan.layout.groups {
            let delay = if group.of_labels { plan.label_delay } else { 0 };
            let range = reader.range(group.window, delay, &mut last);
            for step in &group.steps {
                let mut value = reader.value(step.op, group.window, range);
                if let Some(versus) = step.versus {
                    let range = reader.range(versus, delay, &mut Cursor::default());
                    value = measure::over(value, reader.value(step.op, versus, range));
                }
                write(step.output, value as f32);
            }
        }
    }
}

impl<'a> Reader<'a> {
    /// `None` where nothing was seen for a lifetime.
    fn new(history: &'a EntityHistory, plan: &'a Plan, order: &'a Occurrence<'a>) -> Option<Self> {
        if history.is_empty() {
            return None;
        }
        let (layout, log, now) = (&plan.layout, &history.log, order.time);
        let times = log.times(layout);
        let end = if history.newest < now {
            log.end()
        } else {
            log.start() + times[log.start()..].partition_point(|&time| time < now)
        };
        let clear = history.late_known < now;
        let currency = layout.currency(order);
        let folded = history.folded();
        let reader = Self { layout, history, log, times, folded, order, currency, end, clear };
        let last = if clear {
            let exact = if end > log.start() { times[end - 1] } else { i64::MIN };
            exact.max(history.late_known)
        } else {
            let mut last = i64::MIN;
            reader.walk(reader.everything(), false, |row| last = last.max(row.cells[KNOWN]));
            last
        };
        (last > i64::MIN && now.saturating_sub(last) <= ENTITY_LIFETIME.0).then_some(reader)
    }

    fn start(&self) -> usize {
        self.log.start()
    }

    fn everything(&self) -> Range<'a> {
        let to = self.folded.map_or(0, Folded::len);
        Range { lo: self.start(), hi: self.end, from: 0, to, lifetime: true, since: i64::MIN, ends: NO_ENDS }
    }

    /// The rows of a window that lies a further `delay` back. `last` is what was searched before.
    fn range(&self, window: Window, delay: i64, last: &mut Cursor) -> Range<'a> {
        let (back, over) = (window.delayed + delay, window.over.unwrap_or(i64::MAX));
        let until = self.order.time.saturating_sub(back);
        if back != last.back || over < last.over || last.over == 0 {
            let hi = match back {
                0 => self.end,
                _ => self.start() + self.times[self.start()..self.end].partition_point(|&time| time < until),
            };
            *last = Cursor { back, over, lo: hi, hi };
        }
        let hi = last.hi;
        let to = self.folded.map_or(0, |folded| folded.times().partition_point(|&time| time < until));
        if window.over.is_none() {
            return self.with_ends(Range { hi, to, ..self.everything() });
        }
        let since = until.saturating_sub(over);
        let lo = self.start() + self.times[self.start()..last.lo].partition_point(|&time| time < since);
        (last.lo, last.over) = (lo, over);
        let from = self.folded.map_or(0, |folded| folded.times()[..to].partition_point(|&time| time < since));
        self.with_ends(Range { lo, hi, from, to, lifetime: false, since, ends: NO_ENDS })
    }

    fn row(&self, at: usize) -> &'a [i64] {
        self.log.row(self.layout, at)
    }

    /// Fills in the ends of a range.
    fn with_ends(&self, range: Range<'a>) -> Range<'a> {
        let before = if range.lifetime && self.folded.is_none() { None } else { Some(self.row(range.lo - 1)) };
        let exact = (Some(self.row(range.hi - 1)), before);
        let folded = self.folded.map_or((None, None), |folded| {
            (folded.before(self.layout, range.to), folded.before(self.layout, range.from))
        });
        Range { ends: [exact, folded], ..range }
    }

    /// Calls `see` for every known row of a range, from the oldest on; with `own_currency` those in the order's only.
    fn walk(&self, range: Range<'a>, own_currency: bool, mut see: impl FnMut(Seen<'a>)) {
        let layout = self.layout;
        let mut show = |time: i64, cells: &'a [i64], before: Option<&'a [i64]>, place: Place| {
            let known = cells[KNOWN] < self.order.time;
            if known && !(own_currency && folded::currency(cells) != self.currency) {
                see(Seen { time, cells, before, place });
            }
        };
        match self.folded {
            Some(folded) => {
                for at in range.from..range.to {
                    show(folded.times()[at], folded.row(layout, at), None, Place::Folded(at));
                }
            }
            None if range.lifetime && self.log.base(layout)[KNOWN] > i64::MIN => {
                show(i64::MIN, self.log.base(layout), None, Place::Base);
            }
            None => {}
        }
        for at in range.lo..range.hi {
            show(self.times[at], self.row(at), Some(self.row(at - 1)), Place::Exact(at));
        }
    }

    fn count(&self, series: usize, range: Range<'a>) -> u64 {
        let mut n = 0;
        if self.clear {
            for (row, before) in range.ends {
                n += row.map_or(0, |row| layout::count(series, row, before));
            }
        } else {
            self.walk(range, false, |seen| n += layout::count(series, seen.cells, seen.before));
        }
        n
    }

    /// Whether differences of totals will do; `None` where no row has the order's currency.
    fn by_totals(&self, own_currency: bool) -> Option<bool> {
        if !own_currency || self.history.mixed {
            return Some(self.clear && !own_currency);
        }
        (self.history.currency == self.currency).then_some(self.clear)
    }

    fn moments(&self, input: usize, squares: bool, own_currency: bool, range: Range<'a>) -> Moments {
        let mut moments = Moments::default();
        let mut add = |row: &[i64], before: Option<&[i64]>| {
            moments.n += self.layout.n_values(input, row, before);
            moments.sum += i128::from(self.layout.sum(input, row, before));
            if let Some(at) = self.layout.inputs[input].squares.filter(|_| squares) {
                let below = before.map_or(0, |before| layout::wide(before, at));
                moments.squares = moments.squares.wrapping_add(layout::wide(row, at).wrapping_sub(below));
            }
        };
        match self.by_totals(own_currency) {
            Some(true) => {
                for (row, before) in range.ends {
                    if let Some(row) = row {
                        add(row, before);
                    }
                }
            }
            Some(false) => self.walk(range, own_currency, |seen| add(seen.cells, seen.before)),
            None => {}
        }
        moments
    }

    fn value(&self, op: Op, window: Window, range: Range<'a>) -> f64 {
        match op {
            Op::Count { series } => self.count(series, range) as f64,
            Op::Moments { input, of, own, unit, per_currency } => {
                let squares = matches!(of, Moment::Deviation | Moment::ZScore);
                let moments = self.moments(input, squares, per_currency, range);
                match of {
                    Moment::Sum => moments.sum(unit),
                    Moment::Mean => moments.mean(unit),
                    Moment::Deviation => moments.deviation(unit),
                    Moment::ZScore => moments.z_score(self.order.value(own)),
                    Moment::Ratio => moments.ratio(self.order.value(own)),
                }
            }
            Op::Extreme { input, largest, unit, per_currency } => {
                self.extreme(input, largest, per_currency, range) / unit
            }
            Op::Distinct { key } => self.distinct(key, range) as f64,
            Op::Quotient { above, below } => {
                measure::over(self.count(above, range) as f64, self.count(below, range) as f64)
            }
            Op::Decayed { decay, unit, per_currency } => self.decayed(decay, per_currency, range) / unit,
            Op::SinceFirst { series, since } => self.age(self.first(series, since, range)),
            Op::SinceLast { series, since } => self.age(self.last(series, since, range)),
            Op::IsNew => 0.0,
            Op::GapVariation { series } => self.gap_variation(series, range),
            Op::Speed { place, own } => self.speed(place, own, range),
            Op::FraudCount => self.labels(window).1 as f64,
            Op::Resolved => self.resolved(window, range).0 as f64,
            Op::FraudRate => {
                let (resolved, frauds) = self.resolved(window, range);
                measure::over(frauds as f64, resolved as f64)
            }
        }
    }

    fn extreme(&self, input: usize, largest: bool, own_currency: bool, range: Range<'a>) -> f64 {
        let Some(column) = self.layout.inputs[input].column else { return 0.0 };
        let values = self.log.column(self.layout, column);
        // MISSING is the smallest number of all.
        let mut found = if largest { MISSING } else { i64::MAX };
        let mut take = |value: i64| {
            found = if largest { found.max(value) } else { found.min(if value == MISSING { i64::MAX } else { value }) };
        };
        let pair = self.layout.stride + 2 * self.layout.extremes.iter().position(|&i| i == input).unwrap_or(0);
        match self.by_totals(own_currency) {
            Some(true) => {
                values[range.lo..range.hi].iter().for_each(|&value| take(value));
                for at in range.from..range.to {
                    let row = self.folded.map_or(&[][..], |folded| folded.row(self.layout, at));
                    if row[pair] <= row[pair + 1] {
                        take(row[pair + usize::from(largest)]);
                    }
                }
            }
            Some(false) => self.walk(range, own_currency, |seen| match seen.place {
                Place::Exact(at) => take(values[at]),
                Place::Folded(_) if seen.cells[pair] <= seen.cells[pair + 1] => {
                    take(seen.cells[pair + usize::from(largest)]);
                }
                _ => {}
            }),
            None => {}
        }
        if found == MISSING || found == i64::MAX { 0.0 } else { found as f64 }
    }

    /// Distinct keys. Allocates where an event was not known by then: all keys are then gathered and sorted.
    fn distinct(&self, key: usize, range: Range<'a>) -> usize {
        let column = self.layout.keys[key].column;
        if !self.clear {
            let keys = self.log.column(self.layout, column);
            let mut seen = Vec::new();
            self.walk(range, false, |row| {
                if let Place::Exact(at) = row.place {
                    seen.push(keys[at]);
                }
            });
            seen.sort_unstable();
            seen.dedup();
            return seen.iter().filter(|&&key| key != 0).count();
        }
        if range.hi == range.lo {
            return 0;
        }
        // A key counts where it occurs for the first time: its previous time lies before the window, or before all that
        // is exact.
        let since = range.since.max(self.times[self.start()]);
        let previous = &self.log.column(self.layout, column + 1)[range.lo..range.hi];
        previous.iter().map(|&time| usize::from(time < since)).sum()
    }

    fn decayed(&self, decay: usize, own_currency: bool, range: Range<'a>) -> f64 {
        let cell = &self.layout.decays[decay];
        let half_life = cell.half_life;
        let now = self.order.time.div_euclid(half_life);
        // The parts of one half-life since the epoch, from the oldest on: whole numbers, so that their order is nothing.
        let (mut total, mut epoch, mut part) = (0_i128, i64::MIN, 0_i128);
        let mut add = |of: i64, more: i128| {
            if of != epoch {
                total += measure::shift(part, now.saturating_sub(epoch));
                (epoch, part) = (of, 0);
            }
            part = part.wrapping_add(more);
        };
        match self.by_totals(own_currency) {
            Some(true) => {
                if let Some(folded) = self.folded {
                    for at in range.from..range.to {
                        let of = folded.times()[at].div_euclid(half_life);
                        add(of, self.layout.decay(cell, folded.row(self.layout, at), None));
                    }
                }
                let mut lo = range.lo;
                while lo < range.hi {
                    let of = self.times[lo].div_euclid(half_life);
                    let end = (of + 1) * half_life;
                    let next = lo + self.times[lo..range.hi].partition_point(|&time| time < end);
                    add(of, self.layout.decay(cell, self.row(next - 1), Some(self.row(lo - 1))));
                    lo = next;
                }
            }
            Some(false) => self.walk(range, own_currency, |seen| {
                add(seen.time.div_euclid(half_life), self.layout.decay(cell, seen.cells, seen.before));
            }),
            None => {}
        }
        total += measure::shift(part, now.saturating_sub(epoch));
        measure::decayed(self.order.time, half_life, total)
    }

    /// Seconds since then; -1 for never.
    fn age(&self, time: Option<i64>) -> f64 {
        time.map_or(-1.0, |time| self.order.time.saturating_sub(time) as f64 / 1_000.0)
    }

    fn is_of(&self, series: usize, at: usize) -> bool {
        layout::count(series, self.row(at), Some(self.row(at - 1))) > 0
    }

    /// (first, last) time of the events of a folded row or the base.
    fn times_of(&self, since: usize, seen: &Seen<'a>) -> &'a [i64] {
        let at = self.layout.stride + 2 * (self.layout.extremes.len() + since);
        match seen.place {
            Place::Base => self.log.head(since),
            _ => &seen.cells[at..at + 2],
        }
    }

    fn first(&self, series: usize, since: usize, range: Range<'a>) -> Option<i64> {
        let mut first = i64::MAX;
        if self.clear {
            // Folded events are older than exact ones.
            let folded = Range { lo: range.hi, hi: range.hi, ..range };
            self.walk(folded, false, |seen| first = first.min(self.times_of(since, &seen)[0]));
            if first < i64::MAX {
                return Some(first);
            }
            let none = self.row(range.lo - 1);
            if layout::count(series, self.row(range.hi - 1), Some(none)) == 0 {
                return None;
            }
            let is_before = |at| layout::count(series, self.row(at), Some(none)) == 0;
            return Some(self.times[range.lo + partition(range.lo, range.hi, is_before)]);
        }
        self.walk(range, false, |seen| match seen.place {
            Place::Exact(_) if layout::count(series, seen.cells, seen.before) > 0 => first = first.min(seen.time),
            Place::Exact(_) => {}
            _ => first = first.min(self.times_of(since, &seen)[0]),
        });
        (first < i64::MAX).then_some(first)
    }

    fn last(&self, series: usize, since: usize, range: Range<'a>) -> Option<i64> {
        let mut last = i64::MIN;
        if self.clear && range.hi > range.lo {
            if self.is_of(series, range.hi - 1) {
                return Some(self.times[range.hi - 1]);
            }
            let all = self.row(range.hi - 1);
            if layout::count(series, all, Some(self.row(range.lo - 1))) > 0 {
                // The first row after which no more come is the last of the series.
                let at =
                    range.lo + partition(range.lo, range.hi, |at| layout::count(series, all, Some(self.row(at))) > 0);
                return Some(self.times[at]);
            }
        }
        // Where all is known, the exact rows have none.
        let range = if self.clear { Range { lo: range.hi, ..range } } else { range };
        self.walk(range, false, |seen| match seen.place {
            Place::Exact(_) if layout::count(series, seen.cells, seen.before) > 0 => last = last.max(seen.time),
            Place::Exact(_) => {}
            _ => last = last.max(self.times_of(since, &seen)[1]),
        });
        (last > i64::MIN).then_some(last)
    }

    fn gap_variation(&self, series: usize, range: Range<'a>) -> f64 {
        let (mut n, mut sum, mut squares, mut previous) = (0, 0, 0, None);
        self.walk(range, false, |seen| {
            if matches!(seen.place, Place::Exact(_)) && layout::count(series, seen.cells, seen.before) > 0 {
                if let Some(previous) = previous {
                    let gap = i128::from(seen.time) - i128::from(previous);
                    (n, sum, squares) = (n + 1, sum + gap, squares + gap * gap);
                }
                previous = Some(seen.time);
            }
        });
        measure::gap_variation(n, sum, squares)
    }

    fn speed(&self, place: usize, own: usize, range: Range<'a>) -> f64 {
        let places = self.log.column(self.layout, self.layout.places[place].column);
        let known = |&at: &usize| places[at] != MISSING && self.row(at)[KNOWN] < self.order.time;
        let from = (range.lo..range.hi).rev().find(known);
        let (there, since) = from.map_or((MISSING, self.order.time), |at| (places[at], self.times[at]));
        measure::speed(there, self.order.raw(own), self.order.time.saturating_sub(since))
    }

    /// (orders resolved, frauds) by labels.
    fn labels(&self, window: Window) -> (i64, i64) {
        let Some(extra) = &self.history.extra else { return (0, 0) };
        let to = self.order.time.saturating_sub(window.delayed);
        let from = window.over.map_or(i64::MIN, |over| to.saturating_sub(over));
        let (resolved, frauds) = extra.labels.between(self.order.time, from, to);
        (resolved, frauds.max(0))
    }

    /// (orders resolved, frauds), of which the orders of `range` fall due by themselves.
    fn resolved(&self, window: Window, range: Range<'a>) -> (i64, i64) {
        let (resolved, frauds) = self.labels(window);
        let due = self.count(self.layout.orders, range) as i64;
        ((due + resolved).max(frauds), frauds)
    }
}

/// Number of positions of `lo..hi`, from `lo` on, for which `is_before` holds.
fn partition(lo: usize, hi: usize, is_before: impl Fn(usize) -> bool) -> usize {
    let (mut a, mut b) = (lo, hi);
    while a < b {
        let middle = a + (b - a) / 2;
        if is_before(middle) { a = middle + 1 } else { b = middle }
    }
    a - lo
}
