//! Reading what most plans read most of the time, in few instructions: counts, sums and means of windows whose rows are all
//! exact and were all known, and numbers of frauds.

use super::history::{EntityHistory, Extra};
use super::labels::LabelView;
use super::layout::{Group, InputCell, Moment, NOTHING, Op, Step, TOTALS};
use super::measure;
use super::plan::Plan;
use super::read::Near;
use super::seek::seek;
use super::{ENTITY_LIFETIME, MAX_TIME, Occurrence};

/// A step that is a difference of two totals where all is exact and known, see [`Group::plain`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Plain {
    Count { output: usize, n: Half },
    Sum { output: usize, sum: usize, unit: f64, per_currency: bool },
    Mean { output: usize, n: Half, sum: usize, unit: f64, per_currency: bool },
}

impl Plain {
    pub(super) fn of(step: &Step, inputs: &[InputCell]) -> Option<Self> {
        let output = step.output;
        match step.op {
            _ if step.versus.is_some() => None,
            Op::Count { series } => Some(Self::Count { output, n: Half::at(series) }),
            Op::Moments { input, of: Moment::Sum, unit, per_currency, .. } => {
                Some(Self::Sum { output, sum: inputs[input].sum, unit, per_currency })
            }
            Op::Moments { input, of: Moment::Mean, unit, per_currency, .. } => {
                let InputCell { n, sum, .. } = inputs[input];
                Some(Self::Mean { output, n: Half::at(n), sum, unit, per_currency })
            }
            _ => None,
        }
    }
}

/// Where a count stands in a row: which word, and which half of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Half {
    word: usize,
    shift: u32,
}

impl Half {
    pub(super) fn at(index: usize) -> Self {
        Self { word: TOTALS + index / 2, shift: 32 * (index % 2) as u32 }
    }

    pub(super) fn of(self, row: &[i64]) -> u32 {
        (row[self.word] as u64 >> self.shift) as u32
    }

    /// The count of the rows after `before`, up to `upto`.
    #[inline]
    pub(super) fn between(self, before: &[i64], upto: &[i64]) -> u32 {
        self.of(upto).wrapping_sub(self.of(before))
    }
}

/// Running totals at the end of a run of rows, and before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends<'a> {
    pub(super) upto: &'a [i64],
    pub(super) before: &'a [i64],
}

impl EntityHistory {
    /// Does what [`Self::read_near`] does where the plan asks for nothing but such windows, all was known before the order,
    /// is exact, and has its currency. Else it writes nothing and says so.
    #[inline]
    pub(super) fn read_plain(
        &self,
        plan: &Plan,
        order: &Occurrence<'_>,
        near: &mut [Near],
        write: &mut impl FnMut(usize, f32),
    ) -> bool {
        let (layout, now) = (&plan.layout, order.time.clamp(-MAX_TIME, MAX_TIME));
        let last_known = self.newest.max(self.late_known);
        if !layout.is_plain || last_known >= now || self.is_empty() || !self.is_exact(plan) {
            return false;
        }
        if layout.per_currency && (self.mixed || self.currency != order.currency) {
            return false;
        }
        if now.saturating_sub(last_known) > ENTITY_LIFETIME.0 {
            plan.write_first_seen(write);
            return true;
        }
        let (times, rows, start, end) =
            (self.log.times(layout), self.log.rows(layout), self.log.start(), self.log.end());
        let labels = self.extra.as_ref().map(|extra| LabelView::plain(&extra.labels, plan, now));
        let row = |at: usize| &rows[at * layout.stride..][..layout.stride];
        let (mut last_back, mut last) = (0, Near { lo: end as u32, hi: end as u32 });
        for (index, group) in layout.groups.iter().enumerate() {
            if !group.reads_rows {
                write_frauds(labels, group, write);
                continue;
            }
            let back = group.window.delayed;
            if back != last_back {
                (last_back, last) = (back, Near { lo: last.hi, hi: last.hi });
            }
            let from = near.get(index).copied().unwrap_or(last);
            let until = now.saturating_sub(back);
            let hi = if back == 0 { end } else { seek(times, start, end, from.hi as usize, until) };
            let (mut lo, mut before) = (start, &NOTHING[..layout.stride]);
            if let Some(over) = group.window.over {
                lo = seek(times, start, hi, from.lo as usize, until.saturating_sub(over));
                before = row(lo - 1);
            }
            last = Near { lo: lo as u32, hi: hi as u32 };
            if let Some(near) = near.get_mut(index) {
                *near = last;
            }
            let all = Ends { upto: row(hi - 1), before };
            write_plain(&group.plain, all, all, write);
        }
        true
    }

    /// Whether nothing is folded, or to be, but what is beyond the retention.
    pub(super) fn is_exact(&self, plan: &Plan) -> bool {
        let is_exact = |extra: &Extra| extra.folded.len() == 0 && !extra.labels.is_hot(plan);
        self.log.len() <= plan.exact_events && self.extra.as_deref().is_none_or(is_exact)
    }
}

/// Writes the outputs of a group that reads labels alone.
pub(super) fn write_frauds(labels: Option<LabelView<'_>>, group: &Group, write: &mut impl FnMut(usize, f32)) {
    let frauds = |window| labels.map_or(0, |labels| labels.counts(window).1) as f64;
    for step in &group.steps {
        let first = frauds(group.window);
        write(step.output, step.versus.map_or(first, |versus| measure::over(first, frauds(versus))) as f32);
    }
}

/// Writes steps of all rows, and of those in the order's currency.
#[expect(clippy::inline_always, reason = "both kinds of totals are mostly the same, which only the caller knows")]
#[inline(always)]
pub(super) fn write_plain(steps: &[Plain], all: Ends<'_>, own: Ends<'_>, write: &mut impl FnMut(usize, f32)) {
    for step in steps {
        match *step {
            Plain::Count { output, n } => write(output, n.between(all.before, all.upto) as f32),
            Plain::Sum { output, sum, unit, per_currency } => {
                let Ends { upto, before } = if per_currency { own } else { all };
                write(output, sum_of(sum, unit, before, upto));
            }
            Plain::Mean { output, n, sum, unit, per_currency } => {
                let Ends { upto, before } = if per_currency { own } else { all };
                write(output, mean_of((n, sum), unit, before, upto));
            }
        }
    }
}

/// The ends of one window for many orders: the last row before it and the last in it, by row number. Without the former, windows
/// begin with the first row of all.
pub(super) struct Spans<'a> {
    pub(super) rows: &'a [i64],
    pub(super) stride: usize,
    pub(super) before: &'a [u32],
    pub(super) upto: &'a [u32],
}

impl Spans<'_> {
    /// Calls `write` with the number of each order and what `value` makes of its ends.
    #[inline]
    fn each(&self, value: impl Fn(&[i64], &[i64]) -> f32, mut write: impl FnMut(usize, f32)) {
        let Self { rows, stride, before, upto } = *self;
        let row = |at: u32| &rows[at as usize * stride..][..stride];
        if before.is_empty() {
            let before = &NOTHING[..stride];
            upto.iter().enumerate().for_each(|(at, &upto)| write(at, value(before, row(upto))));
        } else {
            let ends = before.iter().zip(upto).enumerate();
            ends.for_each(|(at, (&before, &upto))| write(at, value(row(before), row(upto))));
        }
    }
}

/// Does what [`write_plain`] does, step by step for all orders, with the number of the order before the output.
pub(super) fn write_spans(steps: &[Plain], spans: &Spans<'_>, mut write: impl FnMut(usize, usize, f32)) {
    for step in steps {
        match *step {
            Plain::Count { output, n } => {
                spans.each(|before, upto| n.between(before, upto) as f32, |at, value| write(at, output, value));
            }
            Plain::Sum { output, sum, unit, .. } => {
                let value = |before: &[i64], upto: &[i64]| sum_of(sum, unit, before, upto);
                spans.each(value, |at, value| write(at, output, value));
            }
            Plain::Mean { output, n, sum, unit, .. } => {
                let value = |before: &[i64], upto: &[i64]| mean_of((n, sum), unit, before, upto);
                spans.each(value, |at, value| write(at, output, value));
            }
        }
    }
}

#[inline]
fn sum_of(sum: usize, unit: f64, before: &[i64], upto: &[i64]) -> f32 {
    (upto[sum].wrapping_sub(before[sum]) as f64 / unit) as f32
}

#[inline]
fn mean_of((n, sum): (Half, usize), unit: f64, before: &[i64], upto: &[i64]) -> f32 {
    let (n, sum) = (n.between(before, upto), upto[sum].wrapping_sub(before[sum]));
    let mean = if n == 0 { 0.0 } else { sum as f64 / (f64::from(n) * unit) };
    mean as f32
}
