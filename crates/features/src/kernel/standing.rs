//! Where rows stand: what is folded is judged by what was known before the order that is read became known.
//!
//! ```text
//! events by known_at   . . . . . . . . . | . .
//!                                        ^ edge: when the latest event or label became known
//! ```
//! What was learned of the edge moves nothing yet: rows stand as seen from before it, for all orders that become known in the
//! same millisecond, before and after. The first thing of a later millisecond lets all move ([`EntityHistory::pass`]); an order
//! that becomes known later and is read before works out where that would put them ([`Standing`]).

use super::folded::Folded;
use super::history::EntityHistory;
use super::layout::KNOWN;
use super::plan::Plan;

/// From where rows are looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct AsOf {
    /// The event time from which ages are counted.
    pub(super) clock: i64,
    /// When the last event became known.
    pub(super) last_known: i64,
    /// What became known from then on has not moved anything, and stands for itself.
    pub(super) edge: i64,
}

/// Marks folded rows of the edge.
pub(super) const AT_EDGE: i64 = i64::MAX;

impl AsOf {
    /// For what nothing was folded of.
    pub(super) const NOTHING: Self = Self { clock: i64::MIN, last_known: i64::MIN, edge: i64::MAX };

    /// [`Plan::mark`], and another one for what became known at the edge.
    pub(super) fn mark(&self, known_at: i64) -> i64 {
        if known_at >= self.edge { AT_EDGE } else { Plan::mark(known_at, self.last_known) }
    }
}

/// What a reading takes for folded beyond what is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    pub(super) as_of: AsOf,
    /// The first row of the log that is exact.
    pub(super) first: usize,
    /// So many of the oldest exact labels are not.
    pub(super) n_labels: usize,
    /// Whether some folded rows may be newer than some of the log.
    pub(super) is_mixed: bool,
}

impl EntityHistory {
    /// When the latest of all that was learned became known.
    pub(super) fn edge(&self) -> i64 {
        let labels = self.extra.as_ref().map_or(i64::MIN, |extra| extra.labels.max_known_at());
        self.newest.max(self.late_known).max(labels)
    }

    /// As seen by what becomes known after all that was learned.
    pub(super) fn as_of_all(&self, plan: &Plan) -> AsOf {
        AsOf { clock: self.clock(plan), last_known: self.newest.max(self.late_known), edge: i64::MAX }
    }

    /// As seen by what becomes known at the edge; `folded` are its folded rows. O(rows).
    pub(super) fn as_of_edge<'a>(&self, plan: &Plan, folded: impl Iterator<Item = &'a [i64]>) -> AsOf {
        let (layout, log, edge) = (&plan.layout, &self.log, self.edge());
        let base = if self.is_empty() { i64::MIN } else { log.base(layout)[KNOWN] };
        let known = (log.start()..log.end()).map(|at| log.row(layout, at)[KNOWN]);
        let known = known.chain(folded.map(|row| row[KNOWN])).filter(|&known_at| known_at < edge);
        AsOf { clock: self.clock_before(plan, edge), last_known: known.fold(base, i64::max), edge }
    }

    /// [`Self::as_of_edge`], of the folded rows that there are.
    pub(super) fn as_of_its_edge(&self, plan: &Plan) -> AsOf {
        let folded = self.folded().into_iter();
        self.as_of_edge(plan, folded.flat_map(|rows| (0..rows.len()).map(|at| rows.row(&plan.layout, at))))
    }

    /// The clock as of what became known before that.
    pub(super) fn clock_before(&self, plan: &Plan, known_at: i64) -> i64 {
        let log = &self.log;
        let mut rows = (log.start()..log.end()).rev().filter(|&at| log.row(&plan.layout, at)[KNOWN] < known_at);
        rows.nth(plan.n_ahead()).map_or(i64::MIN, |at| log.times(&plan.layout)[at])
    }

    /// Brings everything to where it stands as seen from after all that was learned.
    pub(super) fn pass(&mut self, plan: &Plan) {
        if self.is_empty() {
            return;
        }
        let as_of = self.as_of_all(plan);
        while self.log.len() > plan.exact_events {
            let first = self.log.times(&plan.layout)[self.log.start()];
            self.fold_first(plan, &as_of, plan.fold(as_of.clock, first));
        }
        self.drop_old(plan, &as_of);
        if let Some(extra) = &mut self.extra {
            let extra = &mut **extra;
            extra.folded.settle(plan, &as_of);
            extra.labels.pass(plan, as_of.clock);
        }
    }

    /// Drops first rows that no window reaches.
    pub(super) fn drop_old(&mut self, plan: &Plan, as_of: &AsOf) {
        while plan.retained(as_of.clock, self.log.times(&plan.layout)[self.log.start()]) == i64::MIN {
            self.fold_first(plan, as_of, i64::MIN);
        }
    }

    /// Brings what became known before the edge to where it stands at the edge, after something was learned late. O(rows) for
    /// each row that moves, else O(rows as late as the latest).
    #[cold]
    pub(super) fn trim(&mut self, plan: &Plan) {
        let (layout, edge) = (&plan.layout, self.edge());
        // What was known at the edge is not older than this.
        let since = edge.saturating_sub(self.lateness);
        let clock = self.clock_before(plan, edge);
        loop {
            let log = &self.log;
            let rows = || (log.start()..log.end()).rev().take_while(|&at| log.times(layout)[at] >= since);
            let n_before = log.len() - rows().filter(|&at| log.row(layout, at)[KNOWN] >= edge).count();
            let is_before = |&at: &usize| log.row(layout, at)[KNOWN] < edge;
            let Some(at) = (log.start()..log.end()).find(is_before) else { break };
            if n_before <= plan.exact_events && plan.retained(clock, log.times(layout)[at]) > i64::MIN {
                break;
            }
            self.take_out(plan, &self.as_of_its_edge(plan), at);
        }
        while self.log.len() > 2 * plan.exact_events {
            self.fold_surplus(plan);
        }
        if let Some(extra) = &mut self.extra {
            extra.labels.trim(plan, clock, edge);
        }
    }

    /// Folds the oldest event of the edge, where so many are of it that it would be in any case. O(rows).
    #[cold]
    pub(super) fn fold_surplus(&mut self, plan: &Plan) {
        let (layout, log, edge) = (&plan.layout, &self.log, self.edge());
        let since = edge.saturating_sub(self.lateness);
        let from = log.times(layout)[log.start()..].partition_point(|&time| time < since);
        let mut rows = log.start() + from..log.end();
        let at = rows.find(|&at| log.row(layout, at)[KNOWN] >= edge).unwrap_or(log.start());
        // Any earlier clock will do: rows are moved on later.
        self.take_out(plan, &AsOf { edge, ..AsOf::NOTHING }, at);
    }

    /// Where rows stand for an order that became known then, and sees what was known before `now`; `None` where all must
    /// really [`pass`](Self::pass) first.
    #[inline]
    pub(super) fn standing(&self, plan: &Plan, known_at: i64, now: i64) -> Option<Standing> {
        let (log, folded) = (&self.log, self.folded());
        let edge = self.edge();
        let is_mixed = folded.is_some_and(Folded::has_edge);
        let asis = |as_of: AsOf| Standing { as_of, first: log.start(), n_labels: 0, is_mixed };
        if known_at <= edge {
            // Of the edge nothing is seen; the first of the others is the first that is exact.
            let is_before = |&at: &usize| log.row(&plan.layout, at)[KNOWN] < edge;
            let first = (log.start()..log.end()).find(is_before).unwrap_or(log.end());
            let asis = |as_of: AsOf| Some(Standing { first, ..asis(as_of) });
            let Some(rows) = folded else { return asis(AsOf::NOTHING) };
            // When the last of all became known matters only where not all was known.
            if rows.max_known_at() >= now {
                return asis(self.as_of_its_edge(plan));
            }
            return asis(AsOf { clock: self.clock_before(plan, edge), edge, ..AsOf::NOTHING });
        }
        let labels = self.extra.as_ref().map(|extra| &extra.labels).filter(|labels| !labels.is_empty());
        let is_late = self.newest.max(self.late_known) >= now || labels.is_some_and(|l| l.max_known_at() >= now);
        let is_hot = log.len() > plan.exact_events || folded.is_some() || labels.is_some_and(|l| l.is_hot(plan));
        let was_dropped = log.base(&plan.layout)[KNOWN] > i64::MIN;
        let tells_dropped = plan.layout.counts_since_fraud || was_dropped && !plan.layout.sinces.is_empty();
        if !is_late && !is_hot && !tells_dropped {
            return Some(asis(AsOf::NOTHING));
        }
        let as_of = self.as_of_all(plan);
        let first = self.first_exact(plan, &as_of);
        let n_labels = labels.map_or(0, |labels| labels.n_old(plan, as_of.clock));
        // Late events of the edge stand in the log before, or in the bucket of, some that are folded or dropped.
        let oldest = log.times(&plan.layout)[log.start()];
        let is_newer = |rows: &Folded| rows.times().last().is_some_and(|&last| last >= plan.fold(as_of.clock, oldest));
        let is_mixed = is_mixed || first > log.start() && (was_dropped || folded.is_some_and(is_newer));
        let standing = Standing { as_of, first, n_labels, is_mixed };
        if is_late && !self.was_old_known(plan, &standing, now) {
            return None;
        }
        // Weights of one half-life are summed up one after the other.
        (!is_mixed || plan.layout.decays.is_empty() && !is_late).then_some(standing)
    }

    /// Whether it makes no difference before `now` that what is to be folded becomes known together with what is.
    fn was_old_known(&self, plan: &Plan, standing: &Standing, now: i64) -> bool {
        let log = &self.log;
        let is_known = |at: usize| log.row(&plan.layout, at)[KNOWN] < now;
        let was_folded_known = self.folded().is_none_or(|rows| rows.max_known_at() < now);
        let rows_tell =
            standing.first == log.start() || was_folded_known && (log.start() - 1..standing.first).all(is_known);
        let labels = self.extra.as_ref().map(|extra| &extra.labels);
        rows_tell && labels.is_none_or(|labels| labels.was_old_known(plan, standing.as_of.clock, now))
    }

    /// The first row that is exact as seen from after all that was learned.
    fn first_exact(&self, plan: &Plan, as_of: &AsOf) -> usize {
        let (log, times) = (&self.log, self.log.times(&plan.layout));
        let mut first = log.start() + log.len().saturating_sub(plan.exact_events);
        while plan.retained(as_of.clock, times[first]) == i64::MIN {
            first += 1;
        }
        first
    }

    /// Takes a row of the log to the folded ones.
    fn take_out(&mut self, plan: &Plan, as_of: &AsOf, at: usize) {
        let time = plan.fold(as_of.clock, self.log.times(&plan.layout)[at]);
        if at == self.log.start() {
            self.fold_first(plan, as_of, time);
        } else {
            self.fold_other(plan, as_of, at, time);
        }
    }
}
