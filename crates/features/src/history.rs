//! What is remembered of one entity, and what its features are at a time: the one kernel of replay and live scoring.
//!
//! Nothing here depends on other entities, on a clock or on the order in which events of one millisecond arrive. A
//! reading at time t filters by `known_at < t`, so it is exact even where later events have been learned already.

use std::collections::VecDeque;

use crate::spec::{FIRST_SEEN, Feature};
use crate::table::MISSING_I64;
use crate::time::{Span, UnixMillis};

/// An entity not seen for this long is first seen again.
pub const ENTITY_LIFETIME: Span = Span::days(400);

/// How late an order may become known and still see every window whole: entries are kept this much longer than the
/// longest window. Orders that arrive later see windows cut at the old end.
pub const LATENESS_ALLOWANCE: Span = Span::DAY;

/// Stands for "never" in times of labels.
pub(crate) const NEVER: i64 = i64::MAX;

/// An order as an entity remembers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// When the order happened.
    pub time: UnixMillis,
    /// When the shop knew of it; not before `time`.
    pub known_at: UnixMillis,
    /// Tells orders of one millisecond apart.
    pub id: u64,
    /// Minor units, [`MISSING_I64`] when missing.
    pub amount: i64,
    /// Currency letters, see [`crate::event::currency_code`].
    pub currency: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Activity {
    pub(crate) time: i64,
    pub(crate) known_at: i64,
    pub(crate) id: u64,
    /// Sum of the amounts of this and all earlier entries; wraps, differences are exact.
    pub(crate) amount_through: i64,
    /// Number of amounts among them; wraps likewise.
    pub(crate) amounts_through: u32,
    pub(crate) currency: u32,
}

/// An order that counts as resolved from `at` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) at: i64,
    pub(crate) known_at: i64,
    pub(crate) id: u64,
}

/// A time during which a resolved order was known as fraud.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fraud {
    pub(crate) resolved_at: i64,
    pub(crate) id: u64,
    pub(crate) from: i64,
    pub(crate) until: i64,
}

/// History of one entity. Memory: 40 bytes an order within the longest activity window, 24 within the longest label window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityHistory {
    /// Sorted by (time, id).
    pub(crate) activity: VecDeque<Activity>,
    /// Sorted by (at, id).
    pub(crate) resolved: VecDeque<Resolved>,
    /// Sorted by (`resolved_at`, id, from).
    pub(crate) frauds: VecDeque<Fraud>,
    /// The running sums before the first entry of `activity`.
    pub(crate) amount_base: i64,
    pub(crate) amounts_base: u32,
    /// Orders that left `activity`, the time of the latest of them, and when the last of them became known.
    pub(crate) dropped: u32,
    pub(crate) last_dropped: i64,
    pub(crate) dropped_known_at: i64,
    /// Latest times seen; a reading after all of them needs no filter.
    pub(crate) newest: i64,
    pub(crate) max_known_at: i64,
    pub(crate) max_fraud_from: i64,
    pub(crate) any_reversed: bool,
    pub(crate) mixed_currency: bool,
}

impl Default for EntityHistory {
    fn default() -> Self {
        Self {
            activity: VecDeque::new(),
            resolved: VecDeque::new(),
            frauds: VecDeque::new(),
            amount_base: 0,
            amounts_base: 0,
            dropped: 0,
            last_dropped: i64::MIN,
            dropped_known_at: i64::MIN,
            newest: i64::MIN,
            max_known_at: i64::MIN,
            max_fraud_from: i64::MIN,
            any_reversed: false,
            mixed_currency: false,
        }
    }
}

/// How long an entity column's histories keep entries, and when its orders are due; equal for all entities of the column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// The longest window of order counts and sums.
    pub activity: Span,
    /// The longest window of fraud counts and rates.
    pub labels: Span,
    /// How long after an order its label is due.
    pub label_delay: Span,
}

/// One feature of an entity column: where it goes in the row and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) output: usize,
    pub(crate) what: What,
    /// Position among the plan's windows; unused for features without one.
    window: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Count,
    CountAll,
    Sum,
    Ratio,
    SinceLast,
    FraudCount,
    FraudRate,
}

/// All features of one entity column, compiled: each distinct window is searched once.
#[derive(Clone, Debug)]
pub struct Plan {
    slots: Vec<Slot>,
    activity_windows: Vec<i64>,
    label_windows: Vec<i64>,
    /// How long entries are kept.
    pub retention: Retention,
    minor_units: f64,
}

/// Up to how many distinct windows of a kind one entity column may have.
pub const MAX_WINDOWS: usize = 32;

impl Plan {
    /// The plan for the features of `entity`, given with their positions in the row. `amount_decimals` says how many minor
    /// units make a major one.
    pub fn new<'a>(
        features: impl Iterator<Item = (usize, &'a Feature)>,
        entity: &str,
        label_delay: Span,
        amount_decimals: u8,
    ) -> Self {
        let mut plan = Self {
            slots: Vec::new(),
            activity_windows: Vec::new(),
            label_windows: Vec::new(),
            retention: Retention { activity: Span(0), labels: Span(0), label_delay },
            minor_units: 10_f64.powi(i32::from(amount_decimals)),
        };
        for (output, feature) in features.filter(|(_, feature)| feature.entity() == Some(entity)) {
            let what = match feature {
                Feature::Count { .. } => What::Count,
                Feature::CountAll { .. } => What::CountAll,
                Feature::Sum { .. } => What::Sum,
                Feature::Ratio { .. } => What::Ratio,
                Feature::SinceLast { .. } => What::SinceLast,
                Feature::FraudCount { .. } => What::FraudCount,
                Feature::FraudRate { .. } => What::FraudRate,
                _ => continue,
            };
            let of_labels = matches!(what, What::FraudCount | What::FraudRate);
            let window = feature.window().map_or(0, |span| {
                let (windows, kept) = if of_labels {
                    (&mut plan.label_windows, &mut plan.retention.labels)
                } else {
                    (&mut plan.activity_windows, &mut plan.retention.activity)
                };
                *kept = span.max(*kept);
                windows.iter().position(|&w| w == span.0).unwrap_or_else(|| {
                    windows.push(span.0);
                    windows.len() - 1
                })
            });
            plan.slots.push(Slot { output, what, window });
        }
        plan
    }

    /// The features, in the order in which a reading hands them out.
    pub(crate) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// Whether any feature needs amounts.
    pub(crate) fn reads_amount(&self) -> bool {
        self.slots.iter().any(|slot| matches!(slot.what, What::Sum | What::Ratio))
    }

    /// Whether no window list is longer than [`MAX_WINDOWS`].
    pub(crate) fn fits(&self) -> bool {
        self.activity_windows.len() <= MAX_WINDOWS && self.label_windows.len() <= MAX_WINDOWS
    }

    /// Writes NaN to every feature: the order has no value in this entity column.
    pub(crate) fn write_missing(&self, mut write: impl FnMut(usize, f32)) {
        for index in 0..self.slots.len() {
            write(index, f32::NAN);
        }
    }

    /// Writes the value of an entity that was never seen.
    pub(crate) fn write_first_seen(&self, mut write: impl FnMut(usize, f32)) {
        for index in 0..self.slots.len() {
            write(index, FIRST_SEEN);
        }
    }
}

/// The order for which an entity's features are read.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// When the order happened: events known at or after this are not seen.
    pub time: UnixMillis,
    /// Its amount, [`MISSING_I64`] when missing.
    pub amount: i64,
    /// Its currency.
    pub currency: u32,
}

/// What lies in one activity window.
#[derive(Clone, Copy, Default)]
struct InWindow {
    count: u32,
    amount: i64,
    amounts: u32,
}

/// What lies in one label window.
#[derive(Clone, Copy, Default)]
struct LabelsInWindow {
    resolved: u32,
    frauds: u32,
}

/// A label of one order, as its entities learn it.
#[derive(Clone, Copy, Debug)]
pub struct LabelNews {
    /// The order's id.
    pub id: u64,
    /// When the shop learned of the order.
    pub known_at: UnixMillis,
    /// From when on the order counted as resolved before this news: order time + label delay, or its first label's time.
    pub resolved_before: UnixMillis,
    /// When the shop learned this label.
    pub time: UnixMillis,
    /// Whether it says fraud.
    pub fraud: bool,
}

impl EntityHistory {
    /// Whether nothing was ever learned.
    pub fn is_empty(&self) -> bool {
        self.newest == i64::MIN
    }

    /// Learns an order. O(1) for one that comes in order of time, O(n) for a late one.
    pub fn observe(&mut self, order: &Sighting, retention: &Retention) {
        let time = order.time.0;
        if self.newest > i64::MIN {
            if time > self.newest.saturating_add(ENTITY_LIFETIME.0) {
                *self = Self::default();
            } else if time < self.newest.saturating_sub(ENTITY_LIFETIME.0) {
                return;
            }
        }
        self.newest = self.newest.max(time);
        self.max_known_at = self.max_known_at.max(order.known_at.0);
        self.mixed_currency |= self.activity.front().is_some_and(|first| first.currency != order.currency);
        self.insert_activity(order);
        let at = time.saturating_add(retention.label_delay.0);
        self.insert_resolved(Resolved { at, known_at: order.known_at.0, id: order.id });
        self.drop_old(retention);
    }

    /// Learns a label, or that an earlier one is reversed. Does nothing for an order that is no longer remembered.
    pub fn learn_label(&mut self, news: &LabelNews, retention: &Retention) {
        let (id, before, now) = (news.id, news.resolved_before.0, news.time.0);
        let resolved_at = before.min(now);
        let at = self.resolved.partition_point(|r| (r.at, r.id) < (before, id));
        if self.resolved.get(at).is_none_or(|r| (r.at, r.id) != (before, id)) {
            return;
        }
        if resolved_at < before {
            self.resolved.remove(at);
            self.insert_resolved(Resolved { at: resolved_at, known_at: news.known_at.0, id });
        }
        let open = self.frauds.iter().position(|f| f.id == id && f.until == NEVER);
        match (news.fraud, open) {
            (true, None) => {
                let fraud = Fraud { resolved_at, id, from: now, until: NEVER };
                let at = self.frauds.partition_point(|f| (f.resolved_at, f.id, f.from) < (resolved_at, id, now));
                self.frauds.insert(at, fraud);
                self.max_fraud_from = self.max_fraud_from.max(now);
            }
            (false, Some(at)) => {
                self.frauds[at].until = now;
                self.any_reversed = true;
            }
            _ => {}
        }
        self.drop_old(retention);
    }

    fn insert_activity(&mut self, order: &Sighting) {
        let key = (order.time.0, order.id);
        // Orders nearly always come in order of time, so the place is at the end.
        let at = match self.activity.back() {
            Some(last) if (last.time, last.id) > key => self.activity.partition_point(|a| (a.time, a.id) <= key),
            _ => self.activity.len(),
        };
        let (amount, n) = if order.amount == MISSING_I64 { (0, 0) } else { (order.amount, 1) };
        let (amount_before, n_before) = self.sums_before(at);
        for later in self.activity.range_mut(at..) {
            later.amount_through = later.amount_through.wrapping_add(amount);
            later.amounts_through = later.amounts_through.wrapping_add(n);
        }
        let entry = Activity {
            time: order.time.0,
            known_at: order.known_at.0,
            id: order.id,
            amount_through: amount_before.wrapping_add(amount),
            amounts_through: n_before.wrapping_add(n),
            currency: order.currency,
        };
        self.activity.insert(at, entry);
    }

    fn insert_resolved(&mut self, entry: Resolved) {
        let at = match self.resolved.back() {
            Some(last) if (last.at, last.id) > (entry.at, entry.id) => {
                self.resolved.partition_point(|r| (r.at, r.id) <= (entry.at, entry.id))
            }
            _ => self.resolved.len(),
        };
        self.resolved.insert(at, entry);
    }

    /// Forgets what no reading within [`LATENESS_ALLOWANCE`] of the newest order can see.
    fn drop_old(&mut self, retention: &Retention) {
        let oldest = |window: Span| self.newest.saturating_sub(window.0).saturating_sub(LATENESS_ALLOWANCE.0);
        let (oldest_activity, oldest_label) = (oldest(retention.activity), oldest(retention.labels));
        while let Some(first) = self.activity.front().copied().filter(|a| a.time < oldest_activity) {
            (self.amount_base, self.amounts_base) = (first.amount_through, first.amounts_through);
            self.dropped = self.dropped.saturating_add(1);
            self.last_dropped = self.last_dropped.max(first.time);
            self.dropped_known_at = self.dropped_known_at.max(first.known_at);
            self.activity.pop_front();
        }
        while self.resolved.front().is_some_and(|r| r.at < oldest_label) {
            self.resolved.pop_front();
        }
        while self.frauds.front().is_some_and(|f| f.resolved_at < oldest_label) {
            self.frauds.pop_front();
        }
    }

    /// Running sums of all entries before position `at`.
    pub(crate) fn sums_before(&self, at: usize) -> (i64, u32) {
        match at.checked_sub(1) {
            Some(i) => (self.activity[i].amount_through, self.activity[i].amounts_through),
            None => (self.amount_base, self.amounts_base),
        }
    }

    /// Computes every feature of the plan as of `reading.time` and hands each to `write` with its position in the plan.
    ///
    /// O(windows * log n) where everything learned was known before that time; else O(n) for the windows' entries.
    pub fn read(&self, plan: &Plan, reading: &Reading, mut write: impl FnMut(usize, f32)) {
        let now = reading.time.0;
        let all_known = self.max_known_at < now;
        let end = if all_known { self.activity.len() } else { self.activity.partition_point(|a| a.time < now) };
        let (n_visible, last_visible) = if all_known {
            (end, self.activity.back().map(|a| a.time))
        } else {
            let visible = || self.activity.range(..end).filter(|a| a.known_at < now);
            (visible().count(), visible().next_back().map(|a| a.time))
        };
        // Dropped orders are older than the longest window and the lateness allowance. An order that comes later still may
        // lie before they were known: it must not count what it could not know.
        let (n_dropped, last_dropped) =
            if self.dropped_known_at < now { (self.dropped, self.last_dropped) } else { (0, i64::MIN) };
        let n_all = u64::from(n_dropped) + n_visible as u64;
        let last = last_visible.unwrap_or(i64::MIN).max(last_dropped);
        if n_all == 0 || now.saturating_sub(last) > ENTITY_LIFETIME.0 {
            return plan.write_first_seen(write);
        }
        let mut activity = [InWindow::default(); MAX_WINDOWS];
        for (slot, &window) in activity.iter_mut().zip(&plan.activity_windows) {
            *slot = self.in_window(now.saturating_sub(window), end, all_known, reading);
        }
        let mut labels = [LabelsInWindow::default(); MAX_WINDOWS];
        for (slot, &window) in labels.iter_mut().zip(&plan.label_windows) {
            *slot = self.labels_in_window(now.saturating_sub(window), now, all_known);
        }
        for (index, slot) in plan.slots.iter().enumerate() {
            let seen = activity[slot.window];
            let known = labels[slot.window];
            let value = match slot.what {
                What::Count => seen.count as f32,
                What::CountAll => n_all as f32,
                What::Sum => (seen.amount as f64 / plan.minor_units) as f32,
                What::Ratio => amount_ratio(reading.amount, &seen),
                What::SinceLast => ((now - last) as f64 / 1_000.0) as f32,
                What::FraudCount => known.frauds as f32,
                What::FraudRate if known.resolved == 0 => 0.0,
                What::FraudRate => (f64::from(known.frauds) / f64::from(known.resolved)) as f32,
            };
            write(index, value);
        }
    }

    fn in_window(&self, from: i64, end: usize, all_known: bool, reading: &Reading) -> InWindow {
        let start = self.activity.partition_point(|a| a.time < from);
        if all_known && !self.mixed_currency {
            let count = (end - start) as u32;
            if self.activity.front().is_none_or(|a| a.currency != reading.currency) {
                return InWindow { count, amount: 0, amounts: 0 };
            }
            let ((amount, n), (amount_before, n_before)) = (self.sums_before(end), self.sums_before(start));
            return InWindow { count, amount: amount.wrapping_sub(amount_before), amounts: n.wrapping_sub(n_before) };
        }
        let mut found = InWindow::default();
        for i in start..end {
            let entry = &self.activity[i];
            if entry.known_at < reading.time.0 {
                found.count += 1;
                if entry.currency == reading.currency {
                    let (amount_before, n_before) = self.sums_before(i);
                    found.amount = found.amount.wrapping_add(entry.amount_through.wrapping_sub(amount_before));
                    found.amounts = found.amounts.wrapping_add(entry.amounts_through.wrapping_sub(n_before));
                }
            }
        }
        found
    }

    fn labels_in_window(&self, from: i64, now: i64, all_known: bool) -> LabelsInWindow {
        let start = self.resolved.partition_point(|r| r.at < from);
        let end = self.resolved.partition_point(|r| r.at < now);
        let resolved = if all_known {
            (end - start) as u32
        } else {
            self.resolved.range(start..end).filter(|r| r.known_at < now).count() as u32
        };
        if self.frauds.is_empty() {
            return LabelsInWindow { resolved, frauds: 0 };
        }
        let start = self.frauds.partition_point(|f| f.resolved_at < from);
        let end = self.frauds.partition_point(|f| f.resolved_at < now);
        let frauds = if self.max_fraud_from < now && !self.any_reversed {
            end - start
        } else {
            self.frauds.range(start..end).filter(|f| f.from < now && f.until >= now).count()
        };
        LabelsInWindow { resolved, frauds: frauds as u32 }
    }
}

/// The order's amount over the mean amount in the window.
fn amount_ratio(amount: i64, seen: &InWindow) -> f32 {
    if amount == MISSING_I64 {
        f32::NAN
    } else if seen.amounts == 0 || seen.amount <= 0 {
        0.0
    } else {
        (amount as f64 * f64::from(seen.amounts) / seen.amount as f64) as f32
    }
}
