//! What labels change: which orders count as resolved and as fraud, apart from those that fall due by themselves.

use super::plan::Plan;

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
    next_due: i64,
    next_merge: i64,
}

/// (orders resolved, frauds).
type Changes = (i64, i64);

impl Labels {
    pub(super) fn new() -> Self {
        Self { max_known_at: i64::MIN, next_due: i64::MAX, next_merge: i64::MAX, ..Self::default() }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<LabelRow>() * (self.folded.capacity() + self.rows.capacity()) + 8 * self.marks.capacity()
    }

    /// Learns a change. O(1) for the newest, else O(rows).
    pub(super) fn add(&mut self, plan: &Plan, clock: i64, change: LabelRow) {
        self.max_known_at = self.max_known_at.max(change.known_at);
        self.settle(plan, clock);
        let exact = &self.rows[self.start..];
        let known = exact.binary_search_by_key(&change.key(), LabelRow::key);
        let time = plan.retained(clock, change.at);
        match known {
            _ if time == i64::MIN => self.fold(plan, time, change),
            Ok(at) => add_from(&mut self.rows[self.start + at..], change),
            Err(at) => {
                if exact.len() >= plan.exact_events {
                    if at == 0 {
                        return self.fold(plan, plan.fold(clock, change.at), change);
                    }
                    self.fold_first(plan, plan.fold(clock, exact[0].at));
                    return self.insert(change);
                }
                self.insert(change);
            }
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

    /// Moves the first exact row to a folded time.
    fn fold_first(&mut self, plan: &Plan, time: i64) {
        let change = own(&self.rows, self.start);
        self.start += 1;
        self.fold(plan, time, change);
    }

    fn fold(&mut self, plan: &Plan, time: i64, change: LabelRow) {
        let mark = Plan::mark(change.known_at, self.max_known_at);
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

    /// Brings every row to where it stands as seen from `clock`.
    pub(super) fn settle(&mut self, plan: &Plan, clock: i64) {
        while self.rows.get(self.start).is_some_and(|first| plan.retained(clock, first.at) == i64::MIN) {
            self.fold_first(plan, i64::MIN);
        }
        if clock <= self.next_due && self.max_known_at <= self.next_merge {
            return;
        }
        let old = std::mem::take(&mut self.folded);
        self.marks.clear();
        (self.next_due, self.next_merge) = (i64::MAX, i64::MAX);
        for at in 0..old.len() {
            self.fold(plan, plan.fold(clock, old[at].at), own(&old, at));
        }
    }

    /// All changes in `[from, to)` that were known before `now`. O(log n) where all were, else O(rows).
    pub(super) fn between(&self, now: i64, from: i64, to: i64) -> Changes {
        let clear = self.max_known_at < now;
        let (a, b) =
            (between(&self.folded, 0, clear, now, from, to), between(&self.rows, self.start, clear, now, from, to));
        (a.0 + b.0, a.1 + b.1)
    }

    /// The latest time in `[from, to)` at which more orders were resolved as fraud than were reversed, as far as known before
    /// `now`. O(rows after it).
    pub(super) fn latest_fraud(&self, now: i64, from: i64, to: i64) -> Option<i64> {
        let within = |rows: &[LabelRow], start: usize| {
            let lo = start + rows[start..].partition_point(|row| row.at < from);
            let hi = lo + rows[lo..].partition_point(|row| row.at < to);
            (lo, hi)
        };
        let ((lo, mut hi), (folded_lo, mut folded_hi)) = (within(&self.rows, self.start), within(&self.folded, 0));
        // From the latest time on, all rows of one time together.
        loop {
            let exact = (hi > lo).then(|| self.rows[hi - 1].at);
            let folded = (folded_hi > folded_lo).then(|| self.folded[folded_hi - 1].at);
            let at = exact.max(folded)?;
            let mut frauds = 0;
            while hi > lo && self.rows[hi - 1].at == at {
                hi -= 1;
                let row = own(&self.rows, hi);
                frauds += if row.known_at < now { row.frauds } else { 0 };
            }
            while folded_hi > folded_lo && self.folded[folded_hi - 1].at == at {
                folded_hi -= 1;
                let row = own(&self.folded, folded_hi);
                frauds += if row.known_at < now { row.frauds } else { 0 };
            }
            if frauds > 0 {
                return Some(at);
            }
        }
    }

    /// Folded and exact rows, each with what it changes by itself.
    pub(super) fn parts(&self) -> (Vec<LabelRow>, Vec<LabelRow>) {
        let owned = |rows: &[LabelRow], start: usize| (start..rows.len()).map(|at| own(rows, at)).collect();
        (owned(&self.folded, 0), owned(&self.rows, self.start))
    }

    /// The reverse of [`parts`](Self::parts).
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
        labels.marks = folded.iter().map(|row| Plan::mark(row.known_at, labels.max_known_at)).collect();
        labels.next_merge = labels.marks.iter().map(|&mark| Plan::merges_after(mark)).min().unwrap_or(i64::MAX);
        labels.next_due = folded.iter().map(|row| plan.moves_after(row.at)).min().unwrap_or(i64::MAX);
        labels
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

fn between(rows: &[LabelRow], start: usize, clear: bool, now: i64, from: i64, to: i64) -> Changes {
    // Most windows end later than all that is known.
    let is_last = rows.last().is_none_or(|row| row.at < to);
    let hi = if is_last { rows.len() } else { start + rows[start..].partition_point(|row| row.at < to) };
    let lo = start + rows[start..hi].partition_point(|row| row.at < from);
    if clear {
        let (above, below) = (totals_before(rows, hi), totals_before(rows, lo));
        return (i64::from(above.0.wrapping_sub(below.0)), i64::from(above.1.wrapping_sub(below.1)));
    }
    let known = (lo..hi).map(|at| own(rows, at)).filter(|row| row.known_at < now);
    known.fold((0, 0), |sum, row| (sum.0 + i64::from(row.resolved), sum.1 + i64::from(row.frauds)))
}
