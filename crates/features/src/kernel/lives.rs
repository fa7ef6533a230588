//! The lives of one entity: what is to be done where it was silent for a lifetime, or where dates are wrong by as much.
//!
//! Lives stand apart by more than [`ENTITY_LIFETIME`], by when their events became known. The newest is the history itself; the
//! others, which few entities have, stand aside. Which lives there are depends on the events alone, in whatever order they come.

use super::cells::Cells;
use super::folded;
use super::history::EntityHistory;
use super::layout::{Fresh, KNOWN, MAX_CELLS};
use super::plan::Plan;
use super::{ENTITY_LIFETIME, Occurrence};
use crate::network::KEPT;

impl EntityHistory {
    /// Whether an event that became known then belongs to this life, as far as this life alone tells.
    pub(super) fn is_near(&self, known_at: i64) -> bool {
        self.is_near_later(known_at) && self.is_near_earlier(known_at)
    }

    /// Whether it is not too long before the life.
    fn is_near_later(&self, known_at: i64) -> bool {
        self.born.saturating_sub(known_at) <= ENTITY_LIFETIME.0
    }

    /// Whether it is not too long after it.
    fn is_near_earlier(&self, known_at: i64) -> bool {
        known_at.saturating_sub(self.newest.max(self.late_known)) <= ENTITY_LIFETIME.0
    }

    /// The life that an order sees: the latest that had begun before, unless it is over.
    pub(super) fn life_before(&self, plan: &Plan, order: &Occurrence<'_>) -> &Self {
        let (lives, now) = (self.lives(), order.time);
        let found = if self.born < now { None } else { lives.iter().rposition(|life| life.born < now) };
        let Some(at) = found else { return self };
        if self.last_over(plan, order.known_at.max(now)).is_some_and(|last| last >= at) { self } else { &lives[at] }
    }

    /// Earlier lives, and present ones where this one is of the future, the oldest first.
    pub(super) fn lives(&self) -> &[Self] {
        self.extra.as_ref().map_or(&[], |extra| &extra.lives)
    }

    /// Learns an event where it may make a new life, or belong to another one than the newest.
    #[cold]
    pub(super) fn put_among(&mut self, plan: &Plan, event: &Fresh<'_>) {
        let mut lives = self.extra.as_mut().map(|extra| std::mem::take(&mut extra.lives)).unwrap_or_default();
        lives.push(Self { has_lives: false, ..std::mem::take(self) });
        let at = lives.partition_point(|life| life.born <= event.known_at);
        let is_near_earlier = at > 0 && lives[at - 1].is_near_earlier(event.known_at);
        let is_near_later = lives.get(at).is_some_and(|life| life.is_near_later(event.known_at));
        let own = match (is_near_earlier, is_near_later) {
            (true, false) => at - 1,
            (false, true) => at,
            (true, true) => {
                let later = lives.remove(at);
                lives[at - 1].absorb(plan, later);
                at - 1
            }
            (false, false) => {
                // What stands aside gives back the room that it was learned in.
                if let Some(before) = lives.last_mut() {
                    before.log.leave(&plan.layout, &mut Cells::default());
                }
                lives.insert(at, Self::default());
                at
            }
        };
        lives[own].put(plan, event);
        if let Some(newest) = lives.pop() {
            *self = newest;
        }
        self.set_lives(lives);
        self.forget_lives(plan);
    }

    /// Puts lives aside.
    pub(super) fn set_lives(&mut self, lives: Vec<Self>) {
        self.has_lives = !lives.is_empty();
        if self.has_lives {
            self.extra().lives = lives;
        }
    }

    /// Whether a life is no longer held for what became known then: the next one has come further than late orders reach, not
    /// only by a few wrong dates.
    pub(super) fn is_over(&self, plan: &Plan, next: &Self, known_at: i64) -> bool {
        let clock = if known_at > next.edge() { next.clock(plan) } else { next.clock_before(plan, next.edge()) };
        clock > self.newest.max(self.late_known).saturating_add(KEPT)
    }

    /// The last life that is over, and those before it with it.
    fn last_over(&self, plan: &Plan, known_at: i64) -> Option<usize> {
        let lives = self.lives();
        let next = |at: usize| lives.get(at + 1).unwrap_or(self);
        (0..lives.len()).rfind(|&at| lives[at].is_over(plan, next(at), known_at))
    }

    /// Forgets lives that are over for what becomes known at the edge.
    pub(super) fn forget_lives(&mut self, plan: &Plan) {
        if let Some(last) = self.last_over(plan, self.edge()) {
            self.extra().lives.drain(..=last);
        }
        self.has_lives = !self.lives().is_empty();
    }

    /// Takes in another life. O(rows of the smaller one * rows of the other).
    fn absorb(&mut self, plan: &Plan, mut other: Self) {
        if self.log.len() < other.log.len() {
            std::mem::swap(self, &mut other);
        }
        other.for_each_exact(plan, |event| self.put(plan, event));
        self.born = self.born.min(other.born);
        self.late_known = self.late_known.max(other.late_known);
        self.lateness = self.lateness.max(other.lateness);
        self.mixed |= other.mixed || self.currency != other.currency;
        if let Some(extra) = &other.extra {
            let (folded, exact) = extra.labels.parts();
            exact.into_iter().chain(folded).for_each(|change| self.extra().labels.add(change));
        }
        let as_of = self.as_of_its_edge(plan);
        let dropped = other.dropped(plan);
        let folded = other
            .folded()
            .into_iter()
            .flat_map(|rows| rows.times().iter().enumerate().map(|(at, &time)| (time, rows.row(&plan.layout, at))));
        for (time, row) in folded.chain(dropped.iter().map(|row| (i64::MIN, row.as_slice()))) {
            self.late_known = self.late_known.max(row[KNOWN]);
            self.mixed |= plan.layout.per_currency && folded::currency(row) != self.currency;
            self.unfold_base(plan, &as_of);
            self.extra().folded.add(plan, &as_of, plan.fold(as_of.clock, time), row);
        }
        self.trim(plan);
    }

    /// Calls `each` for all exact events, from the oldest on.
    fn for_each_exact(&self, plan: &Plan, mut each: impl FnMut(&Fresh<'_>)) {
        let (layout, log) = (&plan.layout, &self.log);
        let mut counts = vec![0; layout.stride];
        for at in log.start()..log.end() {
            log.own_counts(layout, at, &mut counts);
            let mut cells = [0; MAX_CELLS];
            let (series, n_cells) = log.cells_of(layout, at, &counts, &mut cells);
            let row = log.row(layout, at);
            let (known_at, meta) = (row[KNOWN], row[super::layout::META] as u64);
            each(&Fresh { time: log.times(layout)[at], known_at, meta, series, cells: &cells[..n_cells] });
        }
    }
}
