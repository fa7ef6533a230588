//! What is remembered of one entity, and how events and labels change it.

use super::cells::Cells;
use super::folded::{self, Folded};
use super::labels::{LabelRow, Labels};
use super::layout::{self, Fresh, KNOWN, MAX_CELLS, META};
use super::log::Log;
use super::plan::Plan;
use super::standing::AsOf;
use super::{LabelNews, Occurrence};
use crate::shared::Shared;

/// What is remembered of one entity: 72 bytes and one allocation, and a second one for labels that came early or say
/// fraud, for folded events, and for other lives.
#[derive(Clone, Debug)]
pub struct EntityHistory {
    pub(super) log: Log,
    /// The latest event time.
    pub(super) newest: i64,
    /// When the first event of this life became known.
    pub(super) born: i64,
    /// When the latest of the late events became known, those that are no longer exact among them: all others were known
    /// at their own time.
    pub(super) late_known: i64,
    /// The longest time from an event to when it became known.
    pub(super) lateness: i64,
    pub(super) extra: Option<Shared<Extra>>,
    /// Of the first event, as far as readings ask for it.
    pub(super) currency: u32,
    /// Whether later events had another one.
    pub(super) mixed: bool,
    /// Whether other lives stand aside.
    pub(super) has_lives: bool,
}

/// Memory that the histories of one shard use one after the other while many events are learned.
#[derive(Debug, Default)]
pub(crate) struct Room {
    cells: Cells,
}

const FEW_CELLS: usize = 8;

/// What few entities have.
#[derive(Clone, Debug)]
pub(super) struct Extra {
    pub(super) labels: Labels,
    /// Where nothing is folded, the base of the log stands for what was dropped.
    pub(super) folded: Folded,
    /// Other lives, the oldest first; they have none themselves.
    pub(super) lives: Vec<EntityHistory>,
    /// One folded row in the making.
    scratch: Vec<i64>,
}

impl Extra {
    pub(super) fn new() -> Self {
        Self { labels: Labels::new(), folded: Folded::default(), lives: Vec::new(), scratch: Vec::new() }
    }
}

impl Default for EntityHistory {
    fn default() -> Self {
        Self {
            log: Log::default(),
            newest: i64::MIN,
            born: i64::MAX,
            late_known: i64::MIN,
            lateness: 0,
            extra: None,
            currency: 0,
            mixed: false,
            has_lives: false,
        }
    }
}

impl EntityHistory {
    /// Whether nothing was ever learned.
    pub fn is_empty(&self) -> bool {
        self.newest == i64::MIN
    }

    /// Number of exact events.
    pub(crate) fn len(&self) -> usize {
        self.log.len()
    }

    /// The newest event's time.
    pub fn last_time(&self) -> Option<i64> {
        (!self.is_empty()).then_some(self.newest)
    }

    /// Looks at what every reading looks at, so that the memory is near when they do.
    pub(crate) fn touch(&self, plan: &Plan) -> i64 {
        self.newest ^ self.log.touch(&plan.layout)
    }

    /// When the latest event became known.
    pub fn last_known_at(&self) -> Option<i64> {
        (!self.is_empty()).then_some(self.newest.max(self.late_known))
    }

    /// Bytes held, in and behind this value.
    pub fn memory_bytes(&self) -> usize {
        let extra = self.extra.as_ref().map_or(0, |extra| {
            size_of::<Extra>()
                + extra.labels.memory_bytes()
                + extra.folded.memory_bytes()
                + 8 * extra.scratch.capacity()
                + extra.lives.iter().map(Self::memory_bytes).sum::<usize>()
        });
        size_of::<Self>() + self.log.memory_bytes() + extra
    }

    pub(super) fn folded(&self) -> Option<&Folded> {
        self.extra.as_ref().map(|extra| &extra.folded).filter(|folded| folded.len() > 0)
    }

    /// Learns an event. Events of kinds that no reading uses are not remembered, except orders.
    ///
    /// O(1) amortised for events in order of time, O(rows) for late ones.
    pub fn observe(&mut self, plan: &Plan, event: &Occurrence<'_>) {
        if !plan.stores(event.kind) {
            return;
        }
        // Few events have many, and zeros take time.
        let (mut few, mut many);
        let cells = if plan.layout.n_cells() <= FEW_CELLS {
            few = [0; FEW_CELLS];
            &mut few[..]
        } else {
            many = [0; MAX_CELLS];
            &mut many[..]
        };
        let event = plan.layout.fresh(event, cells);
        let is_of_newest = !self.has_lives || self.born <= event.known_at;
        if self.is_empty() || is_of_newest && self.is_near(event.known_at) {
            self.put(plan, &event);
            if self.has_lives {
                self.forget_lives(plan);
            }
        } else {
            self.put_among(plan, &event);
        }
    }

    /// Makes ready to learn `n` events one after the other: the history lives in `room` until [`Self::leave`].
    pub(crate) fn enter(&mut self, plan: &Plan, room: &mut Room, n: usize) {
        self.log.enter(&plan.layout, &mut room.cells, n.min(plan.exact_events + 1));
    }

    /// The end of [`Self::enter`].
    pub(crate) fn leave(&mut self, plan: &Plan, room: &mut Room) {
        if self.is_empty() {
            room.cells = std::mem::take(&mut self.log).into_cells();
        } else {
            self.log.leave(&plan.layout, &mut room.cells);
        }
    }

    /// Learns an event of this life.
    pub(super) fn put(&mut self, plan: &Plan, event: &Fresh<'_>) {
        let edge = self.edge();
        if event.known_at > edge {
            self.pass(plan);
        }
        self.note(plan, event);
        self.log.insert(&plan.layout, event);
        if event.known_at < edge {
            self.trim(plan);
        } else if self.log.len() > 2 * plan.exact_events {
            self.fold_surplus(plan);
        }
    }

    /// Notes what is known of all events together.
    fn note(&mut self, plan: &Plan, event: &Fresh<'_>) {
        let currency = (event.meta >> 32) as u32;
        if self.is_empty() {
            self.log.reserve(&plan.layout, 1);
            self.currency = currency;
        }
        self.mixed |= self.currency != currency;
        self.born = self.born.min(event.known_at);
        self.newest = self.newest.max(event.time);
        if event.known_at > event.time {
            self.late_known = self.late_known.max(event.known_at);
            self.lateness = self.lateness.max(event.known_at - event.time);
        }
    }

    /// The event time from which ages are counted: that of the [`AHEAD`] + 1 newest event, so that a few with a wrong date in
    /// the future make nothing look old. It never falls.
    pub(super) fn clock(&self, plan: &Plan) -> i64 {
        let ahead = plan.n_ahead();
        if self.log.len() > ahead { self.log.times(&plan.layout)[self.log.end() - 1 - ahead] } else { i64::MIN }
    }

    /// Takes an event that is known to be exact, in order of time.
    pub(super) fn take(&mut self, plan: &Plan, event: &Fresh<'_>) {
        self.note(plan, event);
        self.log.insert(&plan.layout, event);
    }

    /// Sets what the base of a history without folded rows stands for; rows that are there count from it on.
    pub(super) fn set_base(&mut self, plan: &Plan, row: &[i64]) {
        let layout = &plan.layout;
        self.log.raise(layout, row);
        let times = layout.stride + 2 * layout.extremes.len();
        for since in 0..layout.sinces.len() {
            self.log.head_mut(since).copy_from_slice(&row[times + 2 * since..times + 2 * since + 2]);
        }
    }

    /// Moves the first row of the log to a folded time.
    pub(super) fn fold_first(&mut self, plan: &Plan, as_of: &AsOf, time: i64) {
        let layout = &plan.layout;
        let first = self.log.start();
        let (known_at, meta) = (self.log.row(layout, first)[KNOWN], self.log.row(layout, first)[META]);
        self.late_known = self.late_known.max(known_at);
        let base = self.log.base(layout);
        let same_currency = base[KNOWN] == i64::MIN || base[META] >> 32 == meta >> 32;
        let old = time == i64::MIN && as_of.mark(known_at) == i64::MIN;
        if old && self.folded().is_none() && same_currency {
            let base_known_at = base[KNOWN];
            for since in 0..layout.sinces.len() {
                let (row, before) = (self.log.row(layout, first), self.log.row(layout, first - 1));
                if layout::count(layout.sinces[since], row, Some(before)) > 0 {
                    let at = self.log.times(layout)[first];
                    folded::widen(self.log.head_mut(since), at);
                }
            }
            self.log.drop_first(layout);
            self.log.base_mut(layout)[KNOWN] = known_at.max(base_known_at);
            return;
        }
        self.unfold_base(plan, as_of);
        let mut row = self.take_scratch(plan);
        self.log.own_counts(layout, first, &mut row[..layout.stride]);
        self.log.pairs_of(layout, first, &mut row[layout.stride..]);
        self.log.drop_first(layout);
        self.log.base_mut(layout)[KNOWN] = i64::MIN;
        self.add_folded(plan, as_of, time, row);
    }

    /// Takes a row that is not the first of the log to a folded time.
    pub(super) fn fold_other(&mut self, plan: &Plan, as_of: &AsOf, at: usize, time: i64) {
        let layout = &plan.layout;
        self.late_known = self.late_known.max(self.log.row(layout, at)[KNOWN]);
        self.unfold_base(plan, as_of);
        let mut row = self.take_scratch(plan);
        self.log.own_counts(layout, at, &mut row[..layout.stride]);
        self.log.pairs_of(layout, at, &mut row[layout.stride..]);
        self.log.remove(layout, at);
        self.add_folded(plan, as_of, time, row);
    }

    pub(super) fn extra(&mut self) -> &mut Extra {
        self.extra.get_or_insert_with(|| Shared::new(Extra::new()))
    }

    fn take_scratch(&mut self, plan: &Plan) -> Vec<i64> {
        let mut row = std::mem::take(&mut self.extra().scratch);
        row.resize(folded::width(&plan.layout), 0);
        folded::blank(&plan.layout, &mut row);
        row
    }

    fn add_folded(&mut self, plan: &Plan, as_of: &AsOf, time: i64, row: Vec<i64>) {
        let extra = self.extra();
        extra.folded.add(plan, as_of, time, &row);
        extra.scratch = row;
    }

    /// Makes what the base stands for a folded row, before there are others.
    pub(super) fn unfold_base(&mut self, plan: &Plan, as_of: &AsOf) {
        if let Some(row) = self.dropped(plan) {
            self.extra().folded.add(plan, as_of, i64::MIN, &row);
            self.log.base_mut(&plan.layout)[KNOWN] = i64::MIN;
        }
    }

    /// What the base stands for, as a folded row.
    pub(super) fn dropped(&self, plan: &Plan) -> Option<Vec<i64>> {
        let layout = &plan.layout;
        let base = (!self.is_empty()).then(|| self.log.base(layout)).filter(|base| base[KNOWN] > i64::MIN)?;
        let mut row = vec![0; folded::width(layout)];
        folded::blank(layout, &mut row);
        row[..layout.stride].copy_from_slice(base);
        let times = layout.stride + 2 * layout.extremes.len();
        for since in 0..layout.sinces.len() {
            row[times + 2 * since..times + 2 * since + 2].copy_from_slice(self.log.head(since));
        }
        Some(row)
    }

    /// Learns a label of one of the entity's orders, or that an earlier one is reversed.
    ///
    /// Labels of orders of a life that is forgotten are ignored. O(log n) for few labels, at most O(labels).
    pub fn learn_label(&mut self, plan: &Plan, news: &LabelNews) {
        if !plan.layout.reads_labels || self.is_empty() {
            return;
        }
        if news.known_at < self.born {
            if self.has_lives
                && let Some(life) = self.extra().lives.iter_mut().rev().find(|life| life.born <= news.known_at)
            {
                life.learn_label(plan, news);
            }
            return;
        }
        let (before, at) = (news.resolved_before, news.at.max(news.known_at));
        let frauds = i32::from(news.fraud) - i32::from(news.was_fraud);
        if at >= before && frauds == 0 {
            return;
        }
        let edge = self.edge();
        if at > edge {
            self.pass(plan);
        }
        let labels = &mut self.extra().labels;
        let mut change = |resolved_at: i64, resolved: i32, frauds: i32| {
            labels.add(LabelRow { at: resolved_at, known_at: at, resolved, frauds });
        };
        if at < before {
            change(at, 1, 0);
            change(before, -1, 0);
        }
        if frauds != 0 {
            change(before.min(at), 0, frauds);
        }
        if at < edge {
            self.trim(plan);
        }
        if self.has_lives {
            self.forget_lives(plan);
        }
    }
}
