//! What readings make of the rows of a window.

use super::super::MISSING;
use super::super::layout::{self, KNOWN, Moment, Op};
use super::super::measure::{self, Moments};
use super::super::plain::Ends;
use super::super::plan::Window;
use super::super::seek::{partition, seek};
use super::{Near, Place, Reader, Seen, View};

impl<'a> Reader<'a> {
    #[inline]
    fn count(&self, series: usize, view: &View<'a>) -> u64 {
        let mut n = layout::count(series, view.all.upto, Some(view.all.before));
        if let Some((upto, before)) = self.folded_totals(view, false) {
            n += layout::count(series, upto, before);
        }
        if !self.is_clear(view) {
            self.walk_rest(view, false, |seen| n += layout::count(series, seen.cells, seen.before));
        }
        n
    }

    #[inline]
    fn moments(&self, input: usize, squares: bool, own_currency: bool, view: &View<'a>) -> Moments {
        let Ends { upto, before } = if own_currency { view.own } else { view.all };
        let mut moments = Moments::default();
        let mut add = |row: &[i64], before: Option<&[i64]>| {
            moments.n += self.layout.n_values(input, row, before);
            moments.sum += i128::from(self.layout.sum(input, row, before));
            if let Some(at) = self.layout.inputs[input].squares.filter(|_| squares) {
                let below = before.map_or(0, |before| layout::wide(before, at));
                moments.squares = moments.squares.wrapping_add(layout::wide(row, at).wrapping_sub(below));
            }
        };
        add(upto, Some(before));
        if let Some((upto, before)) = self.folded_totals(view, own_currency) {
            add(upto, before);
        }
        if !self.is_clear(view) {
            self.walk_rest(view, own_currency, |seen| add(seen.cells, seen.before));
        }
        moments
    }

    /// One output, before a comparison with another window.
    #[inline]
    pub(super) fn value(&self, op: Op, window: Window, view: &View<'a>) -> f64 {
        match op {
            Op::Count { series } => self.count(series, view) as f64,
            Op::Moments { input, of, own, unit, per_currency } => {
                let squares = matches!(of, Moment::Deviation | Moment::ZScore);
                let moments = self.moments(input, squares, per_currency, view);
                match of {
                    Moment::Sum => moments.sum(unit),
                    Moment::Mean => moments.mean(unit),
                    Moment::Deviation => moments.deviation(unit),
                    Moment::ZScore => moments.z_score(self.order.value(own)),
                    Moment::Ratio => moments.ratio(self.order.value(own)),
                }
            }
            Op::Extreme { input, largest, unit, per_currency } => {
                self.extreme(input, largest, per_currency, view) / unit
            }
            Op::Distinct { key } => self.distinct(key, view) as f64,
            Op::Quotient { above, below } => {
                measure::over(self.count(above, view) as f64, self.count(below, view) as f64)
            }
            Op::Decayed { decay, unit, per_currency } => self.decayed(decay, per_currency, view) / unit,
            Op::SinceFirst { series, since } => self.age(self.first(series, since, view)),
            Op::SinceLast { series, since } => self.age(self.last(series, since, view)),
            Op::IsNew => 0.0,
            Op::GapVariation { series } => self.gap_variation(series, view),
            Op::Speed { place, own } => self.speed(place, own, view),
            Op::FraudCount => self.label_counts(window).1 as f64,
            Op::Resolved => self.resolved(window, view).0 as f64,
            Op::OrdersSinceFraud => self.orders_since_fraud(window, view),
            Op::FraudRate => {
                let (resolved, frauds) = self.resolved(window, view);
                measure::over(frauds as f64, resolved as f64)
            }
        }
    }

    fn extreme(&self, input: usize, largest: bool, own_currency: bool, view: &View<'a>) -> f64 {
        let Some(column) = self.layout.inputs[input].column else { return 0.0 };
        let values = self.log.column(self.layout, column);
        // MISSING is the smallest number of all.
        let mut found = if largest { MISSING } else { i64::MAX };
        let mut take = |value: i64| {
            found = if largest { found.max(value) } else { found.min(if value == MISSING { i64::MAX } else { value }) };
        };
        let pair = self.layout.stride + 2 * self.layout.extremes.iter().position(|&i| i == input).unwrap_or(0);
        let mut see = |seen: Seen<'a>| match seen.place {
            Place::Exact(at) => take(values[at]),
            Place::Folded(_) if seen.cells[pair] <= seen.cells[pair + 1] => {
                take(seen.cells[pair + usize::from(largest)]);
            }
            _ => {}
        };
        self.walk_folded(view, own_currency, &mut see);
        if own_currency && self.history.mixed {
            self.walk_exact(view.lo, view.hi, true, see);
        } else if !own_currency || self.history.currency == self.currency {
            self.walk_exact(view.mid, view.hi, own_currency, see);
            values[view.lo..view.mid].iter().for_each(|&value| take(value));
        }
        if found == MISSING || found == i64::MAX { 0.0 } else { found as f64 }
    }

    /// Distinct keys of the exact rows.
    fn distinct(&self, key: usize, view: &View<'a>) -> usize {
        let (lo, mid) = (view.lo.max(self.standing.first), view.mid.max(self.standing.first));
        if view.hi <= lo {
            return 0;
        }
        let column = self.layout.keys[key].column;
        let (keys, previous) = (self.log.column(self.layout, column), self.log.column(self.layout, column + 1));
        // A key counts where it occurs for the first time: its previous time lies before the window, or before all that
        // is exact.
        let exact = self.times[self.standing.first];
        let since = view.since.max(exact);
        let mut n: usize = previous[lo..mid].iter().map(|&time| usize::from(time < since)).sum();
        if since == exact && self.standing.first > self.start() && self.times[self.standing.first - 1] == exact {
            // Of those of one time some are folded, and their keys are lost.
            let n_tied = self.times[self.standing.first..mid].iter().take_while(|&&time| time == exact).count();
            let is_lost =
                |&at: &usize| !keys[self.standing.first..at.min(self.standing.first + n_tied)].contains(&keys[at]);
            n += (lo..mid).filter(|&at| previous[at] == exact).filter(is_lost).count();
        }
        if mid < view.hi {
            n += self.distinct_late(keys, &View { lo, mid, ..*view });
        }
        n
    }

    /// Distinct keys of the rows of which some may not have been known, but for those that the others have: O(n log n), however
    /// many events became known while the order was on its way.
    fn distinct_late(&self, keys: &[i64], view: &View<'a>) -> usize {
        let known = (view.mid..view.hi).filter(|&at| keys[at] != 0 && self.row(at)[KNOWN] < self.now);
        let mut late: Vec<(i64, bool)> = known.map(|at| (keys[at], true)).collect();
        late.sort_unstable();
        late.dedup();
        if !late.is_empty() {
            for key in &keys[view.lo..view.mid] {
                if let Ok(at) = late.binary_search_by_key(key, |(key, _)| *key) {
                    late[at].1 = false;
                }
            }
        }
        late.iter().filter(|(_, is_new)| *is_new).count()
    }

    fn decayed(&self, decay: usize, own_currency: bool, view: &View<'a>) -> f64 {
        let cell = &self.layout.decays[decay];
        let half_life = cell.half_life;
        let now = self.now.div_euclid(half_life);
        // The parts of one half-life since the epoch, from the oldest on: whole numbers, so that their order is nothing.
        let (mut total, mut epoch, mut part) = (0_i128, i64::MIN, 0_i128);
        let mut add = |of: i64, more: i128| {
            if of != epoch {
                total += measure::shift(part, now.saturating_sub(epoch));
                (epoch, part) = (of, 0);
            }
            part = part.wrapping_add(more);
        };
        let of_row = |seen: &Seen<'_>| cell.total(seen.cells, seen.before);
        let mut add_at = |seen: &Seen<'_>, time: i64| {
            let part =
                if time == seen.time { of_row(seen) } else { self.layout.weigh(cell, seen.cells, seen.before, time) };
            add(time.div_euclid(half_life), part);
        };
        if let Some(folded) = self.folded {
            let stands = |time: i64| folded.standing(self.plan, self.standing.as_of.clock, time);
            self.walk_folded(view, own_currency, |seen| add_at(&seen, stands(seen.time)));
        }
        let mut lo = view.lo.max(self.standing.first.min(view.mid));
        self.walk_exact(view.lo, lo, own_currency, |seen| {
            add_at(&seen, self.plan.fold(self.standing.as_of.clock, seen.time));
        });
        while lo < view.mid {
            let of = self.times[lo].div_euclid(half_life);
            let end = (of + 1) * half_life;
            let next = seek(self.times, lo, view.mid, view.mid, end);
            let Ends { upto, before } =
                if own_currency { self.own_ends(lo, next, false) } else { self.ends(lo, next, false) };
            add(of, cell.total(upto, Some(before)));
            lo = next;
        }
        let (lo, hi) = (view.mid, view.hi);
        self.walk_exact(lo, hi, own_currency, |seen| add(seen.time.div_euclid(half_life), of_row(&seen)));
        total += measure::shift(part, now.saturating_sub(epoch));
        measure::decayed(self.now, half_life, total)
    }

    /// Seconds since then; -1 for never.
    fn age(&self, time: Option<i64>) -> f64 {
        time.map_or(-1.0, |time| self.now.saturating_sub(time) as f64 / 1_000.0)
    }

    /// (first, last) time of the events of a folded row or the base.
    fn times_of(&self, since: usize, seen: &Seen<'a>) -> &'a [i64] {
        let at = self.layout.stride + 2 * (self.layout.extremes.len() + since);
        match seen.place {
            Place::Base => self.log.head(since),
            _ => &seen.cells[at..at + 2],
        }
    }

    /// A view without its exact rows: they are newer than all others.
    fn without_exact(view: &View<'a>) -> View<'a> {
        View { lo: view.hi, mid: view.hi, ..*view }
    }

    fn first(&self, series: usize, since: usize, view: &View<'a>) -> Option<i64> {
        let mut first = i64::MAX;
        self.walk(&Self::without_exact(view), false, |seen| first = first.min(self.times_of(since, &seen)[0]));
        if first < i64::MAX && !self.standing.is_mixed {
            return Some(first);
        }
        let none = self.row(view.lo - 1);
        let is_before = |at| layout::count(series, self.row(at), Some(none)) == 0;
        let at = view.lo + partition(view.lo, view.mid, is_before);
        if at < view.mid {
            return Some(first.min(self.times[at]));
        }
        self.walk_exact(view.mid, view.hi, false, |seen| {
            if layout::count(series, seen.cells, seen.before) > 0 {
                first = first.min(seen.time);
            }
        });
        (first < i64::MAX).then_some(first)
    }

    fn last(&self, series: usize, since: usize, view: &View<'a>) -> Option<i64> {
        let exact = self.last_exact(series, view);
        if exact.is_some() && !self.standing.is_mixed {
            return exact;
        }
        let mut last = exact.unwrap_or(i64::MIN);
        self.walk(&Self::without_exact(view), false, |seen| last = last.max(self.times_of(since, &seen)[1]));
        (last > i64::MIN).then_some(last)
    }

    fn last_exact(&self, series: usize, view: &View<'a>) -> Option<i64> {
        let mut last = i64::MIN;
        self.walk_exact(view.mid, view.hi, false, |seen| {
            if layout::count(series, seen.cells, seen.before) > 0 {
                last = last.max(seen.time);
            }
        });
        if last > i64::MIN {
            return Some(last);
        }
        let all = self.row(view.mid - 1);
        if view.mid == view.lo || layout::count(series, all, Some(self.row(view.lo - 1))) == 0 {
            return None;
        }
        if layout::count(series, all, Some(self.row(view.mid - 2))) > 0 {
            return Some(self.times[view.mid - 1]);
        }
        // The first row after which no more come is the last of the series.
        let is_before = |at| layout::count(series, all, Some(self.row(at))) > 0;
        Some(self.times[view.lo + partition(view.lo, view.mid, is_before)])
    }

    fn gap_variation(&self, series: usize, view: &View<'a>) -> f64 {
        let (mut n, mut sum, mut squares, mut previous) = (0, 0, 0, None);
        self.walk_exact(view.lo.max(self.standing.first), view.hi, false, |seen| {
            if layout::count(series, seen.cells, seen.before) > 0 {
                if let Some(previous) = previous {
                    let gap = i128::from(seen.time) - i128::from(previous);
                    (n, sum, squares) = (n + 1, sum + gap, squares + gap * gap);
                }
                previous = Some(seen.time);
            }
        });
        measure::gap_variation(n, sum, squares)
    }

    fn speed(&self, place: usize, own: usize, view: &View<'a>) -> f64 {
        let places = self.log.column(self.layout, self.layout.places[place].column);
        let known = |&at: &usize| places[at] != MISSING && self.row(at)[KNOWN] < self.now;
        let from = (view.lo.max(self.standing.first)..view.hi).rev().find(known);
        let (there, since) = from.map_or((MISSING, self.now), |at| (places[at], self.times[at]));
        measure::speed(there, self.order.raw(own), self.now.saturating_sub(since))
    }

    fn orders_since_fraud(&self, window: Window, view: &View<'a>) -> f64 {
        let Some(latest) = self.labels.and_then(|labels| labels.latest_fraud(window)) else { return -1.0 };
        let until = self.now.saturating_sub(window.delayed);
        let after = Window { over: Some(until.saturating_sub(latest.saturating_add(1))), ..window };
        let back = window.delayed + self.plan.label_delay;
        let near = Near { lo: view.lo as u32, hi: view.hi as u32 };
        self.resolved(after, &self.view(after, back, self.place(after, back, near))).0 as f64
    }

    /// (orders resolved, frauds), of which the orders of the view fall due by themselves.
    fn resolved(&self, window: Window, view: &View<'a>) -> (i64, i64) {
        let (resolved, frauds) = self.label_counts(window);
        let due = self.count(self.layout.orders, view) as i64;
        ((due + resolved).max(frauds), frauds)
    }

    /// (orders resolved, frauds) by labels.
    fn label_counts(&self, window: Window) -> (i64, i64) {
        self.labels.map_or((0, 0), |labels| labels.counts(window))
    }
}
