//! What labels change: which orders count as resolved and as fraud, apart from those that fall due by themselves.

use super::plan::{Plan, Window};
use super::seek::partition;

/// A change at `at`, known from `known_at` on. Counts are running totals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LabelRow {
    pub(super) at: i64,
    pub(super) known_at: i64,
    pub(super) resolved: i32,
    pub(super) frauds: i32,
}

impl LabelRow {
    fn key(&self) -> (i64, i64) {
        (self.at, self.known_at)
    }
}

/// Changes by (time, known at): the newest one by one, older ones in buckets as events are.
#[derive(Clone, Debug, Default)]
pub(super) struct Labels {
    folded: Vec<LabelRow>,
    /// [`Plan::mark`] of each folded row.
    marks: Vec<i64>,
    /// Rows `..start` are gone; the last of them has the totals before the first.
    rows: Vec<LabelRow>,
    start: usize,
    max_known_at: i64,
    /// When the last of those became known from which marks are counted.
    last_settled: i64,
    next_due: i64,
    next_merge: i64,
}

/// (orders resolved, frauds).
type Changes = (i64, i64);

impl Labels {
    pub(super) fn new() -> Self {
        Self {
            max_known_at: i64::MIN,
            last_settled: i64::MIN,
            next_due: i64::MAX,
            next_merge: i64::MAX,
            ..Self::default()
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<LabelRow>() * (self.folded.capacity() + self.rows.capacity()) + 8 * self.marks.capacity()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.folded.is_empty()
    }

    /// When the last of all labels became known.
    pub(super) fn max_known_at(&self) -> i64 {
        self.max_known_at
    }

    /// Whether more than what is beyond the retention is folded, or to be.
    pub(super) fn is_hot(&self, plan: &Plan) -> bool {
        self.rows.len() - self.start > plan.exact_events || self.folded.last().is_some_and(|last| last.at > i64::MIN)
    }

    /// Learns a change. O(1) for the newest, else O(rows).
    pub(super) fn add(&mut self, change: LabelRow) {
        self.max_known_at = self.max_known_at.max(change.known_at);
        let exact = &self.rows[self.start..];
        match exact.binary_search_by_key(&change.key(), LabelRow::key) {
            Ok(at) => add_from(&mut self.rows[self.start + at..], change),
            Err(_) => self.insert(change),
        }
    }

    /// Brings all rows to where they stand as seen from the clock, by what becomes known after them.
    pub(super) fn pass(&mut self, plan: &Plan, clock: i64) {
        self.settle(plan, clock, i64::MAX);
        let n_old = self.n_old(plan, clock);
        for _ in 0..n_old {
            self.take_out(plan, clock, self.start);
        }
    }

    /// Brings those known before `edge` to where they stand then.
    pub(super) fn trim(&mut self, plan: &Plan, clock: i64, edge: i64) {
        self.settle(plan, clock, edge);
        loop {
            let exact = &self.rows[self.start..];
            let n_before = exact.iter().filter(|row| row.known_at < edge).count();
            let Some(first) = exact.iter().position(|row| row.known_at < edge) else { return };
            if n_before <= plan.exact_events && plan.retained(clock, exact[first].at) > i64::MIN {
                return;
            }
            self.take_out(plan, clock, self.start + first);
        }
    }

    fn insert(&mut self, change: LabelRow) {
        if self.start > 64 && self.start > self.rows.len() / 2 {
            self.rows.drain(..self.start - 1);
            self.start = 1;
        }
        let at = self.start + self.rows[self.start..].partition_point(|row| row.key() < change.key());
        let (resolved, frauds) = totals_before(&self.rows, at);
        self.rows.insert(at, LabelRow { resolved, frauds, ..change });
        add_from(&mut self.rows[at..], change);
    }

    /// Moves an exact row to where it stands folded.
    fn take_out(&mut self, plan: &Plan, clock: i64, at: usize) {
        let change = own(&self.rows, at);
        if at == self.start {
            self.start += 1;
        } else {
            self.rows.remove(at);
            let back =
                LabelRow { resolved: change.resolved.wrapping_neg(), frauds: change.frauds.wrapping_neg(), ..change };
            add_from(&mut self.rows[at..], back);
        }
        self.fold(plan, plan.fold(clock, change.at), change);
    }

    fn fold(&mut self, plan: &Plan, time: i64, change: LabelRow) {
        let mark = Plan::mark(change.known_at, self.last_settled);
        let mut at = self.folded.partition_point(|row| row.at < time);
        while self.folded.get(at).is_some_and(|row| row.at == time && self.marks[at] < mark) {
            at += 1;
        }
        if self.folded.get(at).is_none_or(|row| (row.at, self.marks[at]) != (time, mark)) {
            let (resolved, frauds) = totals_before(&self.folded, at);
            self.folded.insert(at, LabelRow { at: time, known_at: i64::MIN, resolved, frauds });
            self.marks.insert(at, mark);
            self.next_due = self.next_due.min(plan.moves_after(time));
            self.next_merge = self.next_merge.min(Plan::merges_after(mark));
        }
        self.folded[at].known_at = self.folded[at].known_at.max(change.known_at);
        add_from(&mut self.folded[at..], change);
    }

    /// Brings folded rows to where they stand as seen from `clock` and from the last label known before `edge`.
    fn settle(&mut self, plan: &Plan, clock: i64, edge: i64) {
        self.last_settled = self.last_known_before(edge);
        if clock <= self.next_due && self.last_settled <= self.next_merge {
            return;
        }
        let old = std::mem::take(&mut self.folded);
        self.marks.clear();
        (self.next_due, self.next_merge) = (i64::MAX, i64::MAX);
        for at in 0..old.len() {
            self.fold(plan, plan.fold(clock, old[at].at), own(&old, at));
        }
    }

    /// When the last label known before `edge` became known.
    fn last_known_before(&self, edge: i64) -> i64 {
        if self.max_known_at < edge {
            return self.max_known_at;
        }
        let all = self.folded.iter().chain(&self.rows[self.start..]).map(|row| row.known_at);
        all.filter(|&known_at| known_at < edge).max().unwrap_or(i64::MIN)
    }

    /// So many of the oldest exact rows are to be folded, by what becomes known after all.
    pub(super) fn n_old(&self, plan: &Plan, clock: i64) -> usize {
        let exact = &self.rows[self.start..];
        let n_many = exact.len().saturating_sub(plan.exact_events);
        n_many + exact[n_many..].iter().take_while(|row| plan.retained(clock, row.at) == i64::MIN).count()
    }

    /// Whether it makes no difference before `now` that old rows become known together with others.
    pub(super) fn was_old_known(&self, plan: &Plan, clock: i64, now: i64) -> bool {
        if self.max_known_at < now {
            return true;
        }
        let n_old = self.n_old(plan, clock);
        let is_settled = clock <= self.next_due && self.max_known_at <= self.next_merge && n_old == 0;
        is_settled || self.folded.iter().chain(&self.rows[self.start..][..n_old]).all(|row| row.known_at < now)
    }

    /// Folded and exact rows, each with what it changes by itself.
    pub(super) fn parts(&self) -> (Vec<LabelRow>, Vec<LabelRow>) {
        let owned = |rows: &[LabelRow], start: usize| (start..rows.len()).map(|at| own(rows, at)).collect();
        (owned(&self.folded, 0), owned(&self.rows, self.start))
    }

    /// The reverse of [`parts`](Self::parts), but for the marks.
    pub(super) fn from_parts(plan: &Plan, folded: &[LabelRow], rows: &[LabelRow]) -> Self {
        let mut labels = Self::new();
        for (part, to) in [(folded, &mut labels.folded), (rows, &mut labels.rows)] {
            for row in part {
                let (resolved, frauds) = totals_before(to, to.len());
                let sum = |total: i32, change: i32| total.wrapping_add(change);
                to.push(LabelRow { resolved: sum(resolved, row.resolved), frauds: sum(frauds, row.frauds), ..*row });
                labels.max_known_at = labels.max_known_at.max(row.known_at);
            }
        }
        labels.next_due = folded.iter().map(|row| plan.moves_after(row.at)).min().unwrap_or(i64::MAX);
        labels
    }

    /// Marks rows that stand as seen from `edge`.
    pub(super) fn settle_marks(&mut self, edge: i64) {
        self.last_settled = self.last_known_before(edge);
        self.marks = self.folded.iter().map(|row| Plan::mark(row.known_at, self.last_settled)).collect();
        self.next_merge = self.marks.iter().map(|&mark| Plan::merges_after(mark)).min().unwrap_or(i64::MAX);
    }
}

/// Labels as a reading sees them.
#[derive(Clone, Copy, Debug)]
pub(super) struct LabelView<'a> {
    pub(super) labels: &'a Labels,
    pub(super) plan: &'a Plan,
    /// From where it looks, and how many of the oldest exact rows it takes for folded, see [`super::standing::Standing`].
    pub(super) clock: i64,
    pub(super) n_old: usize,
    /// What it sees was known before.
    pub(super) now: i64,
}

impl<'a> LabelView<'a> {
    /// Where nothing is folded but what is beyond the retention, and `now` is after all that was learned.
    pub(super) fn plain(labels: &'a Labels, plan: &'a Plan, now: i64) -> Self {
        Self { labels, plan, clock: i64::MIN, n_old: 0, now }
    }

    /// (orders resolved, frauds) by labels in a window. O(log n) where all were known, else O(rows).
    pub(super) fn counts(&self, window: Window) -> Changes {
        let (from, to) = self.bounds(window);
        let Labels { folded, rows, .. } = self.labels;
        let changes = |rows: &[LabelRow], lo: usize, hi: usize| {
            if self.labels.max_known_at < self.now {
                let (above, below) = (totals_before(rows, hi), totals_before(rows, lo));
                return (i64::from(above.0.wrapping_sub(below.0)), i64::from(above.1.wrapping_sub(below.1)));
            }
            let known = (lo..hi).map(|at| own(rows, at)).filter(|row| row.known_at < self.now);
            known.fold((0, 0), |sum, row| (sum.0 + i64::from(row.resolved), sum.1 + i64::from(row.frauds)))
        };
        let of_folded = changes(folded, self.n_folded_before(from), self.n_folded_before(to));
        let of_exact = changes(rows, self.n_exact_before(from), self.n_exact_before(to));
        (of_folded.0 + of_exact.0, (of_folded.1 + of_exact.1).max(0))
    }

    /// The latest time of a window at which more orders were resolved as fraud than were reversed. O(rows after it).
    pub(super) fn latest_fraud(&self, window: Window) -> Option<i64> {
        let (from, to) = self.bounds(window);
        let Labels { folded, rows, .. } = self.labels;
        let (lo, mut hi) = (self.n_exact_before(from), self.n_exact_before(to));
        let (folded_lo, mut folded_hi) = (self.n_folded_before(from), self.n_folded_before(to));
        let frauds_of = |row: LabelRow| if row.known_at < self.now { row.frauds } else { 0 };
        // From the latest time on, all rows of one time together.
        loop {
            let exact = (hi > lo).then(|| self.exact_time(hi - 1));
            let of_folded = (folded_hi > folded_lo).then(|| self.folded_time(folded_hi - 1));
            let at = exact.max(of_folded)?;
            let mut frauds = 0;
            while hi > lo && self.exact_time(hi - 1) == at {
                hi -= 1;
                frauds += frauds_of(own(rows, hi));
            }
            while folded_hi > folded_lo && self.folded_time(folded_hi - 1) == at {
                folded_hi -= 1;
                frauds += frauds_of(own(folded, folded_hi));
            }
            if frauds > 0 {
                return Some(at);
            }
        }
    }

    fn bounds(&self, window: Window) -> (i64, i64) {
        let to = self.now.saturating_sub(window.delayed);
        (window.over.map_or(i64::MIN, |over| to.saturating_sub(over)), to)
    }

    fn folded_time(&self, at: usize) -> i64 {
        let time = self.labels.folded[at].at;
        if self.clock > self.labels.next_due { self.plan.fold(self.clock, time) } else { time }
    }

    fn exact_time(&self, at: usize) -> i64 {
        let time = self.labels.rows[at].at;
        if at < self.labels.start + self.n_old { self.plan.fold(self.clock, time) } else { time }
    }

    fn n_folded_before(&self, time: i64) -> usize {
        let folded = &self.labels.folded;
        // Most windows end later than all that is folded; no row moves on.
        if folded.last().is_none_or(|last| last.at < time) {
            return folded.len();
        }
        let n = folded.partition_point(|row| row.at < time);
        n + partition(n, folded.len(), |at| self.folded_time(at) < time)
    }

    /// The first exact row that is not before a time.
    fn n_exact_before(&self, time: i64) -> usize {
        let Labels { rows, start, .. } = self.labels;
        if rows.last().is_none_or(|row| row.at < time) {
            return rows.len();
        }
        let at = start + rows[*start..].partition_point(|row| row.at < time);
        at + partition(at, start + self.n_old, |at| self.exact_time(at) < time)
    }
}

fn totals_before(rows: &[LabelRow], at: usize) -> (i32, i32) {
    at.checked_sub(1).map_or((0, 0), |before| (rows[before].resolved, rows[before].frauds))
}

/// A row with what it changes by itself.
fn own(rows: &[LabelRow], at: usize) -> LabelRow {
    let (resolved, frauds) = totals_before(rows, at);
    let row = rows[at];
    LabelRow { resolved: row.resolved.wrapping_sub(resolved), frauds: row.frauds.wrapping_sub(frauds), ..row }
}

fn add_from(rows: &mut [LabelRow], change: LabelRow) {
    for row in rows {
        row.resolved = row.resolved.wrapping_add(change.resolved);
        row.frauds = row.frauds.wrapping_add(change.frauds);
    }
}
