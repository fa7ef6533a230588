//! Folded rows: what is left of the events that an entity has too many of.
//!
//! As the clock goes on, rows move to wider buckets. To move each at its time would take a hot entity longer than all else, so
//! rows are moved many at once; until then a search looks at where they would stand, which tells the same of all that adds up.

use std::borrow::Cow;

use super::MISSING;
use super::layout::{KNOWN, Layout, META};
use super::plan::Plan;
use super::standing::{AT_EDGE, AsOf};

/// Rows by (bucket start, currency, mark), rising. A time of `i64::MIN` is for events beyond the retention.
#[derive(Clone, Debug, Default)]
pub(super) struct Folded {
    times: Vec<i64>,
    /// [`AsOf::mark`] of each row.
    marks: Vec<i64>,
    /// What each row counts, as in the log but not running, then the extremes (smallest, largest) and times (first, last).
    rows: Vec<i64>,
    /// Running totals of `rows`, `stride` cells each; the first two are unused. Those by currency are of the rows with the
    /// row's own.
    totals: Vec<i64>,
    /// The last clock at which no row moves to another bucket.
    next_due: i64,
    /// The last known time at which a mark goes.
    next_merge: i64,
    /// When the last of all rows became known.
    max_known_at: i64,
    /// Whether some are of the edge.
    has_edge: bool,
    /// Rows taken in since all were moved, and how many there were then.
    n_new: usize,
    n_moved: usize,
}

/// Cells of one row.
pub(super) fn width(layout: &Layout) -> usize {
    layout.stride + 2 * (layout.extremes.len() + layout.sinces.len())
}

/// A row that counts nothing.
pub(super) fn blank(layout: &Layout, row: &mut [i64]) {
    row[..layout.stride].fill(0);
    row[KNOWN] = i64::MIN;
    for pair in row[layout.stride..].chunks_exact_mut(2) {
        (pair[0], pair[1]) = (i64::MAX, i64::MIN);
    }
}

/// Lets the pair of an extreme or a time take in a value.
pub(super) fn widen(pair: &mut [i64], value: i64) {
    if value != MISSING {
        pair[0] = pair[0].min(value);
        pair[1] = pair[1].max(value);
    }
}

/// The currency of a row.
pub(super) fn currency(row: &[i64]) -> u32 {
    (row[META] as u64 >> 32) as u32
}

fn merge(layout: &Layout, into: &mut [i64], from: &[i64]) {
    into[KNOWN] = into[KNOWN].max(from[KNOWN]);
    layout.add_totals(into, from);
    for (pair, other) in into[layout.stride..].chunks_exact_mut(2).zip(from[layout.stride..].chunks_exact(2)) {
        pair[0] = pair[0].min(other[0]);
        pair[1] = pair[1].max(other[1]);
    }
}

/// Lets a row's events count at the bucket's start in decayed totals.
fn weigh(layout: &Layout, row: &mut [i64], time: i64) {
    for decay in &layout.decays {
        let weight = layout.weigh(decay, row, None, time);
        decay.clear(row);
        decay.add(row, weight);
    }
}

impl Folded {
    pub(super) fn len(&self) -> usize {
        self.times.len()
    }

    pub(super) fn times(&self) -> &[i64] {
        &self.times
    }

    /// Whether all is beyond the retention, and was known for long.
    pub(super) fn is_old(&self) -> bool {
        self.times == [i64::MIN] && self.marks == [i64::MIN]
    }

    fn key(&self, layout: &Layout, at: usize) -> (i64, u32, i64) {
        (self.times[at], currency(self.row(layout, at)), self.marks[at])
    }

    /// When the last of all rows became known.
    pub(super) fn max_known_at(&self) -> i64 {
        self.max_known_at
    }

    /// Whether some rows became known at the history's edge, and wait there.
    pub(super) fn has_edge(&self) -> bool {
        self.has_edge
    }

    /// Whether every row stands where it does as seen from there.
    fn is_settled(&self, as_of: &AsOf) -> bool {
        as_of.clock <= self.next_due
            && as_of.last_known <= self.next_merge
            && !(self.has_edge && as_of.edge == i64::MAX)
    }

    /// All rows where they stand as seen from there.
    pub(super) fn settled(&self, plan: &Plan, as_of: &AsOf) -> Cow<'_, Self> {
        if self.is_settled(as_of) {
            return Cow::Borrowed(self);
        }
        let mut settled = self.clone();
        settled.move_all(plan, as_of);
        Cow::Owned(settled)
    }

    /// Where a row stands as seen from the clock.
    pub(super) fn standing(&self, plan: &Plan, clock: i64, time: i64) -> i64 {
        if clock > self.next_due { plan.fold(clock, time) } else { time }
    }

    /// The number of rows that stand before a time, as seen from the clock.
    pub(super) fn n_before(&self, plan: &Plan, clock: i64, time: i64) -> usize {
        // Most windows end later than all that is folded; no row moves on.
        if self.times.last().is_none_or(|&last| last < time) {
            return self.len();
        }
        let mut n = self.times.partition_point(|&start| start < time);
        if clock > self.next_due {
            // Rows only ever move back, and none past another.
            while self.times.get(n).is_some_and(|&start| plan.fold(clock, start) < time) {
                n += 1;
            }
        }
        n
    }

    pub(super) fn row(&self, layout: &Layout, at: usize) -> &[i64] {
        &self.rows[at * width(layout)..(at + 1) * width(layout)]
    }

    /// Running totals of all rows before `at`; `None` for nothing.
    pub(super) fn before(&self, layout: &Layout, at: usize) -> Option<&[i64]> {
        let end = at * layout.stride;
        at.checked_sub(1).map(|_| &self.totals[end - layout.stride..end])
    }

    /// Running totals in a currency of all rows before `at`; `None` for nothing. O(rows of other currencies in between).
    pub(super) fn own_before(&self, layout: &Layout, at: usize, of: u32) -> Option<&[i64]> {
        let last = (0..at).rev().find(|&at| currency(self.row(layout, at)) == of)?;
        self.before(layout, last + 1)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        8 * (self.times.capacity() + self.marks.capacity() + self.rows.capacity() + self.totals.capacity())
    }

    /// Takes in a row for a time that [`Plan::fold`] gave. O(1) for the latest bucket, else O(rows).
    pub(super) fn add(&mut self, plan: &Plan, as_of: &AsOf, time: i64, row: &[i64]) {
        let (layout, width) = (&plan.layout, width(&plan.layout));
        let currency = currency(row);
        let mark = as_of.mark(row[KNOWN]);
        let key = (time, currency, mark);
        let mut at = self.len();
        while at > 0 && self.key(layout, at - 1) > key {
            at -= 1;
        }
        if at > 0 && self.key(layout, at - 1) == key {
            at -= 1;
            let into = &mut self.rows[at * width..(at + 1) * width];
            merge(layout, into, row);
        } else {
            self.times.insert(at, time);
            self.marks.insert(at, mark);
            self.rows.splice(at * width..at * width, row.iter().copied());
            self.rows[at * width + META] = (u64::from(currency) << 32) as i64;
            if self.len() == 1 {
                *self =
                    Self { next_due: i64::MAX, next_merge: i64::MAX, max_known_at: i64::MIN, ..std::mem::take(self) };
            }
            self.n_new += 1;
            self.has_edge |= mark == AT_EDGE;
            self.next_due = self.next_due.min(plan.moves_after(time));
            self.next_merge = self.next_merge.min(Plan::merges_after(mark));
        }
        self.max_known_at = self.max_known_at.max(row[KNOWN]);
        weigh(layout, &mut self.rows[at * width..(at + 1) * width], time);
        self.sum_up(layout, at);
    }

    /// Moves rows to where they stand as seen from the clock, once there are enough of them. O(1) amortised over the rows
    /// taken in, but O(rows) for each that moves where decayed totals are kept, which depend on where rows stand.
    pub(super) fn settle(&mut self, plan: &Plan, as_of: &AsOf) {
        let is_time = self.n_new > self.n_moved / 2 + 64 || self.has_edge || !plan.layout.decays.is_empty();
        if is_time && !self.is_settled(as_of) {
            self.move_all(plan, as_of);
        }
    }

    fn move_all(&mut self, plan: &Plan, as_of: &AsOf) {
        let (layout, width) = (&plan.layout, width(&plan.layout));
        let mut places: Vec<(i64, u32, i64, usize)> = (0..self.len())
            .map(|at| {
                let (time, row) = (plan.fold(as_of.clock, self.times[at]), self.row(layout, at));
                (time, currency(row), as_of.mark(row[KNOWN]), at)
            })
            .collect();
        places.sort_unstable();
        let mut times: Vec<i64> = Vec::with_capacity(places.len());
        let mut marks = Vec::with_capacity(places.len());
        let mut rows: Vec<i64> = Vec::with_capacity(self.rows.len());
        let mut last = None;
        for &(time, currency, mark, at) in &places {
            let row = self.row(layout, at);
            if last == Some((time, currency, mark)) {
                let end = rows.len();
                merge(layout, &mut rows[end - width..], row);
            } else {
                times.push(time);
                marks.push(mark);
                rows.extend_from_slice(row);
                last = Some((time, currency, mark));
            }
        }
        for (row, &time) in rows.chunks_exact_mut(width).zip(&times) {
            weigh(layout, row, time);
        }
        (self.times, self.marks, self.rows) = (times, marks, rows);
        (self.n_new, self.n_moved) = (0, self.times.len());
        self.next_due = self.times.iter().map(|&time| plan.moves_after(time)).min().unwrap_or(i64::MAX);
        self.next_merge = self.marks.iter().map(|&mark| Plan::merges_after(mark)).min().unwrap_or(i64::MAX);
        self.has_edge = self.marks.contains(&AT_EDGE);
        self.sum_up(layout, 0);
    }

    /// Recomputes the running totals from a row on.
    fn sum_up(&mut self, layout: &Layout, from: usize) {
        let (stride, width) = (layout.stride, width(layout));
        self.totals.resize(self.len() * stride, 0);
        for at in from..self.len() {
            let row = &self.rows[at * width..at * width + stride];
            let (earlier, totals) = self.totals.split_at_mut(at * stride);
            let totals = &mut totals[..stride];
            totals.fill(0);
            if at > 0 {
                layout.common.copy(totals, &earlier[(at - 1) * stride..]);
            }
            if !layout.own.is_empty() {
                let same = |&at: &usize| currency(&self.rows[at * width..]) == currency(row);
                if let Some(last) = (0..at).rev().find(same) {
                    layout.own.copy(totals, &earlier[last * stride..]);
                }
            }
            layout.add_totals(totals, row);
        }
    }
}
