//! Reading: from rows to outputs, without changing anything, and without allocating but for late orders of hot entities.

use super::folded::{self, Folded};
use super::history::EntityHistory;
use super::layout::{self, Group, KNOWN, Layout, Moment, NOTHING, Op, Step};
use super::log::Log;
use super::measure::{self, Moments};
use super::plain::{Ends, write_frauds, write_plain};
use super::plan::{Plan, Window};
use super::seek::{partition, seek};
use super::{ENTITY_LIFETIME, MAX_TIME, MISSING, Occurrence};

/// Where a window of an entity began and ended when it was searched last: where the next search begins.
///
/// It makes reading orders one after the other faster, and changes no value.
#[derive(Clone, Copy, Debug, Default)]
pub struct Near {
    pub(super) lo: u32,
    pub(super) hi: u32,
}

/// The rows of a window: exact ones `lo..hi`, folded ones `from..to`.
#[derive(Clone, Copy, Debug)]
struct View<'a> {
    lo: usize,
    /// All of `lo..mid` was known.
    mid: usize,
    hi: usize,
    from: usize,
    to: usize,
    /// Whether all that was ever dropped is in it.
    lifetime: bool,
    /// The window's start.
    since: i64,
    /// Running totals at the end of `lo..mid`, and before it.
    all: Ends<'a>,
    /// Those in the order's currency, where they are asked for.
    own: Ends<'a>,
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

struct Reader<'a> {
    layout: &'a Layout,
    history: &'a EntityHistory,
    log: &'a Log,
    times: &'a [i64],
    /// All rows, the base and those before it among them.
    rows: &'a [i64],
    folded: Option<&'a Folded>,
    plan: &'a Plan,
    order: &'a Occurrence<'a>,
    /// The order's time.
    now: i64,
    /// The order's currency, as far as readings ask for it.
    currency: u32,
    /// One past the last row that may be seen.
    end: usize,
    /// All exact rows before this one were known.
    clear: usize,
    /// Whether all that is no longer exact was, too.
    all_clear: bool,
    /// Whether all is exact, and that and what was dropped was known.
    is_plain: bool,
    /// Whether all has the order's currency, as far as readings ask for it.
    is_own: bool,
}

impl EntityHistory {
    /// Computes every reading of the plan for `order` and hands each to `write` with its position, in no certain order.
    ///
    /// O(log n) for each window and output, n being the rows. Extremes, distinct counts and gaps are O(rows in the window),
    /// of which a scan takes 4 to 16 at a time. Rows are looked at one by one where some may not have been known by the
    /// order's time: those within the entity's longest lateness before it. Inputs in the order's currency
    /// are looked for in the rows next to the ends of the window: O(rows of other currencies in between).
    pub fn read(&self, plan: &Plan, order: &Occurrence<'_>, write: impl FnMut(usize, f32)) {
        self.read_near(plan, order, &mut [], write);
    }

    /// As [`Self::read`], with one [`Near`] per window ([`Plan::n_windows`]) that this entity's last order left.
    pub fn read_near(&self, plan: &Plan, order: &Occurrence<'_>, near: &mut [Near], mut write: impl FnMut(usize, f32)) {
        if self.has_lives {
            return self.life_before(order.time).read_life(plan, order, near, write);
        }
        self.read_life(plan, order, near, &mut write);
    }

    #[inline]
    fn read_life(&self, plan: &Plan, order: &Occurrence<'_>, near: &mut [Near], mut write: impl FnMut(usize, f32)) {
        if self.read_plain(plan, order, near, &mut write) {
            return;
        }
        let settled;
        let mut folded = self.folded();
        if let Some(rows) = folded {
            // What was not known then, and decayed totals, depend on where rows stand.
            if rows.max_known_at() >= order.time || !plan.layout.decays.is_empty() {
                settled = rows.settled(plan, self.clock(plan), self.newest.max(self.late_known));
                folded = Some(&*settled);
            }
        }
        let Some(reader) = Reader::new(self, plan, order, folded) else {
            return plan.write_first_seen(write);
        };
        let mut last = (0, Near { lo: reader.end as u32, hi: reader.end as u32 });
        for (index, group) in plan.layout.groups.iter().enumerate() {
            if !group.reads_rows {
                write_frauds(self.extra.as_deref(), group, reader.now, &mut write);
                continue;
            }
            let delay = if group.of_labels { plan.label_delay } else { 0 };
            let back = group.window.delayed + delay;
            if back != last.0 {
                last = (back, Near { lo: last.1.hi, hi: last.1.hi });
            }
            // Without a trace of the last order, a window with the same end begins before the shorter one.
            let from = near.get(index).copied().unwrap_or(last.1);
            last.1 = reader.place(group.window, back, from);
            near.get_mut(index).into_iter().for_each(|near| *near = last.1);
            if reader.is_plain {
                reader.plain(group, last.1, &mut write);
                if group.rest.is_empty() {
                    continue;
                }
            }
            let view = reader.view(group.window, back, last.1);
            for step in if reader.is_plain { &group.rest } else { &group.steps } {
                reader.step(step, group.window, back, &view, &mut write);
            }
        }
    }
}

impl<'a> Reader<'a> {
    /// `None` where nothing was seen for a lifetime.
    #[inline]
    fn new(
        history: &'a EntityHistory,
        plan: &'a Plan,
        order: &'a Occurrence<'a>,
        folded: Option<&'a Folded>,
    ) -> Option<Self> {
        if history.is_empty() {
            return None;
        }
        let (layout, log, now) = (&plan.layout, &history.log, order.time.clamp(-MAX_TIME, MAX_TIME));
        let (times, rows, start) = (log.times(layout), log.rows(layout), log.start());
        let end = if history.newest < now { log.end() } else { seek(times, start, log.end(), log.end(), now) };
        let base_known_at = rows[(start - 1) * layout.stride + KNOWN];
        let old_known_at = folded.map_or(base_known_at, Folded::max_known_at);
        let all_clear = old_known_at < now;
        let mut clear = end;
        if history.late_known >= now {
            clear = seek(times, start, end, end, now.saturating_sub(history.lateness));
            while clear < end && log.row(layout, clear)[KNOWN] < now {
                clear += 1;
            }
        }
        let currency = layout.currency(order);
        let is_plain = all_clear && clear == end && folded.is_none();
        let is_own = !history.mixed && history.currency == currency;
        let reader = Self {
            layout,
            history,
            log,
            times,
            rows,
            folded,
            plan,
            order,
            now,
            currency,
            end,
            clear,
            all_clear,
            is_plain,
            is_own,
        };
        (now.saturating_sub(reader.last_known()) <= ENTITY_LIFETIME.0).then_some(reader)
    }

    /// When the last of what was known became known; the time of the last clear row where that is recent enough.
    fn last_known(&self) -> i64 {
        let exact = if self.clear > self.start() { self.times[self.clear - 1] } else { i64::MIN };
        if self.history.late_known < self.now {
            return exact.max(self.history.late_known);
        }
        if self.now.saturating_sub(exact) <= ENTITY_LIFETIME.0 {
            return exact;
        }
        let mut last = i64::MIN;
        self.walk(&self.everything(), false, |row| last = last.max(row.cells[KNOWN]));
        last
    }

    fn start(&self) -> usize {
        self.log.start()
    }

    fn everything(&self) -> View<'a> {
        let to = self.folded.map_or(0, Folded::len);
        let (lo, hi) = (self.start(), self.end);
        let nothing = Ends { upto: &NOTHING, before: &NOTHING };
        View { lo, mid: lo, hi, from: 0, to, lifetime: true, since: i64::MIN, all: nothing, own: nothing }
    }

    /// The exact rows of a window that ends `back` before the order; `near` is where they may be.
    #[inline]
    fn place(&self, window: Window, back: i64, near: Near) -> Near {
        let until = self.now.saturating_sub(back);
        let start = self.start();
        let hi = if back == 0 { self.end } else { seek(self.times, start, self.end, near.hi as usize, until) };
        let lo =
            window.over.map_or(start, |over| seek(self.times, start, hi, near.lo as usize, until.saturating_sub(over)));
        Near { lo: lo as u32, hi: hi as u32 }
    }

    /// The rows of such a window, its exact ones at `at`.
    fn view(&self, window: Window, back: i64, at: Near) -> View<'a> {
        let until = self.now.saturating_sub(back);
        let (lo, hi) = (at.lo as usize, at.hi as usize);
        let lifetime = window.over.is_none();
        let since = window.over.map_or(i64::MIN, |over| until.saturating_sub(over));
        let (mut from, mut to) = (0, 0);
        if let Some(folded) = self.folded {
            let clock = self.history.clock(self.plan);
            to = folded.n_before(self.plan, clock, until);
            from = if lifetime { 0 } else { folded.n_before(self.plan, clock, since) };
        }
        let mid = self.clear.clamp(lo, hi);
        // What was dropped is in the base, unless there are folded rows.
        let with_base = lifetime && self.folded.is_none();
        let own = if self.layout.own.is_empty() { self.everything().own } else { self.own_ends(lo, mid, with_base) };
        View { lo, mid, hi, from, to, lifetime, since, all: self.ends(lo, mid, with_base), own }
    }

    /// Running totals before and after exact rows; none before if what the base stands for counts with them and was known.
    #[inline]
    fn ends(&self, lo: usize, hi: usize, with_base: bool) -> Ends<'a> {
        let with_base = with_base && self.log.base(self.layout)[KNOWN] < self.now;
        let before = if with_base { &NOTHING[..self.layout.stride] } else { self.row(lo - 1) };
        Ends { upto: self.row(hi - 1), before }
    }

    /// The same in the order's currency.
    #[inline]
    fn own_ends(&self, lo: usize, hi: usize, with_base: bool) -> Ends<'a> {
        let with_base = with_base && self.log.base(self.layout)[KNOWN] < self.now;
        let before = if with_base { &NOTHING[..self.layout.stride] } else { self.own_before(lo) };
        Ends { upto: self.own_before(hi), before }
    }

    /// Running totals in the order's currency before an exact row.
    #[inline]
    fn own_before(&self, row: usize) -> &'a [i64] {
        if !self.is_own {
            return self.log.own_before(self.layout, row, self.currency).unwrap_or(&NOTHING[..self.layout.stride]);
        }
        self.row(row - 1)
    }

    /// Writes one output.
    fn step(&self, step: &Step, window: Window, back: i64, view: &View<'a>, write: &mut impl FnMut(usize, f32)) {
        let mut value = self.value(step.op, window, view);
        if let Some(versus) = step.versus {
            let near = Near { lo: view.lo as u32, hi: view.hi as u32 };
            let other = self.view(versus, back, self.place(versus, back, near));
            value = measure::over(value, self.value(step.op, versus, &other));
        }
        write(step.output, value as f32);
    }

    #[inline]
    fn row(&self, at: usize) -> &'a [i64] {
        &self.rows[at * self.layout.stride..][..self.layout.stride]
    }

    /// Whether differences of totals tell all of a view.
    fn is_clear(&self, view: &View<'_>) -> bool {
        self.all_clear && view.mid == view.hi
    }

    /// The folded rows of a view where all were known: running totals at the end and before it.
    fn folded_totals(&self, view: &View<'_>, own_currency: bool) -> Option<(&'a [i64], Option<&'a [i64]>)> {
        let folded = self.folded.filter(|_| self.all_clear)?;
        let before = |at: usize| {
            if own_currency {
                folded.own_before(self.layout, at, self.currency)
            } else {
                folded.before(self.layout, at)
            }
        };
        Some((before(view.to)?, before(view.from)))
    }

    /// Calls `see` for every known row of a view, from the oldest on; with `own_currency` those in the order's only.
    fn walk(&self, view: &View<'a>, own_currency: bool, mut see: impl FnMut(Seen<'a>)) {
        self.walk_folded(view, own_currency, &mut see);
        let base = self.log.base(self.layout);
        if self.folded.is_none() && view.lifetime && base[KNOWN] > i64::MIN && self.sees(base, own_currency) {
            see(Seen { time: i64::MIN, cells: base, before: None, place: Place::Base });
        }
        self.walk_exact(view.lo, view.hi, own_currency, see);
    }

    /// Calls `see` for what totals do not tell of a view.
    fn walk_rest(&self, view: &View<'a>, own_currency: bool, mut see: impl FnMut(Seen<'a>)) {
        if !self.all_clear {
            self.walk_folded(view, own_currency, &mut see);
        }
        self.walk_exact(view.mid, view.hi, own_currency, see);
    }

    fn walk_folded(&self, view: &View<'a>, own_currency: bool, mut see: impl FnMut(Seen<'a>)) {
        let Some(folded) = self.folded else { return };
        for at in view.from..view.to {
            let cells = folded.row(self.layout, at);
            if self.sees(cells, own_currency) {
                see(Seen { time: folded.times()[at], cells, before: None, place: Place::Folded(at) });
            }
        }
    }

    fn walk_exact(&self, lo: usize, hi: usize, own_currency: bool, mut see: impl FnMut(Seen<'a>)) {
        for at in lo..hi {
            let cells = self.row(at);
            if self.sees(cells, own_currency) {
                let before = if own_currency { self.own_before(at) } else { self.row(at - 1) };
                see(Seen { time: self.times[at], cells, before: Some(before), place: Place::Exact(at) });
            }
        }
    }

    /// Whether a row was known, and has the order's currency.
    fn sees(&self, row: &[i64], own_currency: bool) -> bool {
        row[KNOWN] < self.now && !(own_currency && folded::currency(row) != self.currency)
    }

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

    /// Writes the plain outputs of a group whose exact rows are at `at`.
    #[inline]
    fn plain(&self, group: &Group, at: Near, write: &mut impl FnMut(usize, f32)) {
        let (lo, hi, with_base) = (at.lo as usize, at.hi as usize, group.window.over.is_none());
        let all = self.ends(lo, hi, with_base);
        let own = if group.plain_own && !self.is_own { self.own_ends(lo, hi, with_base) } else { all };
        write_plain(&group.plain, all, own, write);
    }

    #[inline]
    fn value(&self, op: Op, window: Window, view: &View<'a>) -> f64 {
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
            Op::FraudCount => self.history.labels(window, self.now).1 as f64,
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
        if view.hi == view.lo {
            return 0;
        }
        let column = self.layout.keys[key].column;
        // A key counts where it occurs for the first time: its previous time lies before the window, or before all that
        // is exact.
        let since = view.since.max(self.times[self.start()]);
        let previous = &self.log.column(self.layout, column + 1)[view.lo..view.mid];
        let mut n: usize = previous.iter().map(|&time| usize::from(time < since)).sum();
        if view.mid < view.hi {
            n += self.distinct_late(self.log.column(self.layout, column), view);
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
        self.walk_folded(view, own_currency, |seen| add(seen.time.div_euclid(half_life), of_row(&seen)));
        let mut lo = view.lo;
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
        if first < i64::MAX {
            return Some(first);
        }
        let none = self.row(view.lo - 1);
        let is_before = |at| layout::count(series, self.row(at), Some(none)) == 0;
        let at = view.lo + partition(view.lo, view.mid, is_before);
        if at < view.mid {
            return Some(self.times[at]);
        }
        self.walk_exact(view.mid, view.hi, false, |seen| {
            if layout::count(series, seen.cells, seen.before) > 0 {
                first = first.min(seen.time);
            }
        });
        (first < i64::MAX).then_some(first)
    }

    fn last(&self, series: usize, since: usize, view: &View<'a>) -> Option<i64> {
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
        if view.mid > view.lo && layout::count(series, all, Some(self.row(view.lo - 1))) > 0 {
            if layout::count(series, all, Some(self.row(view.mid - 2))) > 0 {
                return Some(self.times[view.mid - 1]);
            }
            // The first row after which no more come is the last of the series.
            let is_before = |at| layout::count(series, all, Some(self.row(at))) > 0;
            return Some(self.times[view.lo + partition(view.lo, view.mid, is_before)]);
        }
        self.walk(&Self::without_exact(view), false, |seen| last = last.max(self.times_of(since, &seen)[1]));
        (last > i64::MIN).then_some(last)
    }

    fn gap_variation(&self, series: usize, view: &View<'a>) -> f64 {
        let (mut n, mut sum, mut squares, mut previous) = (0, 0, 0, None);
        self.walk_exact(view.lo, view.hi, false, |seen| {
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
        let from = (view.lo..view.hi).rev().find(known);
        let (there, since) = from.map_or((MISSING, self.now), |at| (places[at], self.times[at]));
        measure::speed(there, self.order.raw(own), self.now.saturating_sub(since))
    }

    fn orders_since_fraud(&self, window: Window, view: &View<'a>) -> f64 {
        let Some(latest) = self.history.latest_fraud(window, self.now) else { return -1.0 };
        let until = self.now.saturating_sub(window.delayed);
        let after = Window { over: Some(until.saturating_sub(latest.saturating_add(1))), ..window };
        let back = window.delayed + self.plan.label_delay;
        let near = Near { lo: view.lo as u32, hi: view.hi as u32 };
        self.resolved(after, &self.view(after, back, self.place(after, back, near))).0 as f64
    }

    /// (orders resolved, frauds), of which the orders of the view fall due by themselves.
    fn resolved(&self, window: Window, view: &View<'a>) -> (i64, i64) {
        let (resolved, frauds) = self.history.labels(window, self.now);
        let due = self.count(self.layout.orders, view) as i64;
        ((due + resolved).max(frauds), frauds)
    }
}
