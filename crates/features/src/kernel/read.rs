//! Reading: from rows to outputs, without changing anything, and without allocating but for late orders of hot entities.

mod values;

use super::folded::{self, Folded};
use super::history::EntityHistory;
use super::labels::LabelView;
use super::layout::{Group, KNOWN, Layout, NOTHING, Step};
use super::log::Log;
use super::measure;
use super::plain::{Ends, write_frauds, write_plain};
use super::plan::{Plan, Window};
use super::seek::{partition, seek};
use super::standing::Standing;
use super::{ENTITY_LIFETIME, MAX_TIME, Occurrence};

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
    /// Rows before its first one stand folded.
    standing: Standing,
    labels: Option<LabelView<'a>>,
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
            return self.life_before(plan, order).read_life(plan, order, near, write);
        }
        self.read_life(plan, order, near, &mut write);
    }

    #[inline]
    fn read_life(&self, plan: &Plan, order: &Occurrence<'_>, near: &mut [Near], mut write: impl FnMut(usize, f32)) {
        if self.read_plain(plan, order, near, &mut write) {
            return;
        }
        if self.is_empty() {
            return plan.write_first_seen(write);
        }
        let now = order.time.clamp(-MAX_TIME, MAX_TIME);
        if let Some(standing) = self.standing(plan, order.known_at.max(now), now) {
            return self.read_standing(plan, order, near, &standing, &mut write);
        }
        let mut passed = self.clone();
        passed.pass(plan);
        let (as_of, first) = (passed.as_of_all(plan), passed.log.start());
        passed.read_standing(plan, order, near, &Standing { as_of, first, n_labels: 0, is_mixed: false }, &mut write);
    }

    #[inline]
    fn read_standing(
        &self,
        plan: &Plan,
        order: &Occurrence<'_>,
        near: &mut [Near],
        standing: &Standing,
        write: &mut impl FnMut(usize, f32),
    ) {
        let settled;
        let mut folded = self.folded();
        // What was not known then depends on where rows stand.
        if let Some(rows) = folded.filter(|rows| rows.max_known_at() >= order.time) {
            settled = rows.settled(plan, &standing.as_of);
            folded = Some(&*settled);
        }
        let Some(reader) = Reader::new(self, plan, order, standing, folded) else {
            return plan.write_first_seen(write);
        };
        let mut last = (0, Near { lo: reader.end as u32, hi: reader.end as u32 });
        for (index, group) in plan.layout.groups.iter().enumerate() {
            if !group.reads_rows {
                write_frauds(reader.labels, group, write);
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
                reader.plain(group, last.1, write);
                if group.rest.is_empty() {
                    continue;
                }
            }
            let view = reader.view(group.window, back, last.1);
            for step in if reader.is_plain { &group.rest } else { &group.steps } {
                reader.step(step, group.window, back, &view, write);
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
        standing: &Standing,
        folded: Option<&'a Folded>,
    ) -> Option<Self> {
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
        let (clock, n_old) = (standing.as_of.clock, standing.n_labels);
        let labels = history.extra.as_ref().map(|extra| LabelView { labels: &extra.labels, plan, clock, n_old, now });
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
            standing: *standing,
            labels,
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
        let seek = |end: usize, near: u32, time: i64| {
            let at = seek(self.times, start, end, near as usize, time);
            if at < self.standing.first { self.seek_folded(at, end, time) } else { at }
        };
        let hi = if back == 0 { self.end } else { seek(self.end, near.hi, until) };
        let lo = window.over.map_or(start, |over| seek(hi, near.lo, until.saturating_sub(over)));
        Near { lo: lo as u32, hi: hi as u32 }
    }

    /// The first row from `at` on, before which all were before a time, that is not where it stands folded.
    #[inline(never)]
    fn seek_folded(&self, at: usize, end: usize, time: i64) -> usize {
        let stands = |at: usize| self.plan.fold(self.standing.as_of.clock, self.times[at]);
        at + partition(at, self.standing.first.min(end), |at| stands(at) < time)
    }

    /// The rows of such a window, its exact ones at `at`.
    fn view(&self, window: Window, back: i64, at: Near) -> View<'a> {
        let until = self.now.saturating_sub(back);
        let (lo, hi) = (at.lo as usize, at.hi as usize);
        let lifetime = window.over.is_none();
        let since = window.over.map_or(i64::MIN, |over| until.saturating_sub(over));
        let (mut from, mut to) = (0, 0);
        if let Some(folded) = self.folded {
            to = folded.n_before(self.plan, self.standing.as_of.clock, until);
            from = if lifetime { 0 } else { folded.n_before(self.plan, self.standing.as_of.clock, since) };
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

    /// Writes the plain outputs of a group whose exact rows are at `at`.
    #[inline]
    fn plain(&self, group: &Group, at: Near, write: &mut impl FnMut(usize, f32)) {
        let (lo, hi, with_base) = (at.lo as usize, at.hi as usize, group.window.over.is_none());
        let all = self.ends(lo, hi, with_base);
        let own = if group.plain_own && !self.is_own { self.own_ends(lo, hi, with_base) } else { all };
        write_plain(&group.plain, all, own, write);
    }
}
