//! Many events of one entity in one go, where all goes its usual way: what a replay does most of the time.
//!
//! A run is what reading each order and learning each event one by one would be, for plans whose outputs are differences of two
//! totals, and events that come in order of time and are known at once. Ends of windows move with the orders, rows are put behind
//! one another, and what has become too old goes when the run ends: no window reaches it, so that it makes no difference when.

use super::history::EntityHistory;
use super::labels::{LabelView, Labels};
use super::layout::{KNOWN, META};
use super::log::Tail;
use super::plain::{Spans, write_frauds, write_spans};
use super::plan::Plan;
use super::read::Near;
use super::seek::advance;
use super::standing::AsOf;
use super::{ENTITY_LIFETIME, MAX_CELLS, MAX_TIME, Occurrence};

/// An event that a run may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Next<'a> {
    pub(crate) event: Occurrence<'a>,
    /// Where the outputs of an order go.
    pub(crate) place: Option<usize>,
    pub(crate) is_learned: bool,
    /// Whether another event became known in the same millisecond.
    pub(crate) is_shared: bool,
}

/// The orders of a run, and where their windows begin and end: room that runs use one after the other.
#[derive(Debug, Default)]
pub(crate) struct Run {
    orders: Vec<RunOrder>,
    /// The last row before each order's window, and the last in it.
    before: Vec<u32>,
    upto: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct RunOrder {
    time: i64,
    place: u32,
    /// Where the rows ended when it came.
    end: u32,
}

impl EntityHistory {
    /// Reads and learns events as long as all goes its usual way; how many it took. The others are to be read and learned one by
    /// one. `next` gives the events from the first on, `None` for what is no event or after the last. An entity last heard of
    /// before `horizon` may be gone: no event of it is taken.
    pub(crate) fn run<'a>(
        &mut self,
        plan: &Plan,
        horizon: i64,
        (run, near): (&mut Run, &mut [Near]),
        next: impl Fn(usize) -> Option<Next<'a>>,
        write: impl FnMut(usize, usize, f32),
    ) -> usize {
        let layout = &plan.layout;
        let (mut last_known, mut last_but_one) = (self.newest.max(self.late_known), i64::MIN);
        let is_usual = layout.is_plain
            && !(self.is_empty() || self.has_lives || !self.is_exact(plan) || layout.per_currency && self.mixed);
        if !is_usual || last_known < horizon {
            return 0;
        }
        let (currency, extra) = (self.currency, self.extra.as_deref());
        let mut tail = self.log.tail(layout);
        let (first_end, stride) = (tail.end, layout.stride);
        let room = tail.capacity.min(tail.start + plan.exact_events);
        let mut cells = [0; MAX_CELLS];
        let mut n_taken = 0;
        run.orders.clear();
        while let Some(Next { event, place, is_learned, is_shared }) = next(n_taken) {
            let now = event.time;
            let is_usual = !is_shared
                && event.known_at == now
                && now > last_known
                && now <= MAX_TIME
                && now - last_known <= ENTITY_LIFETIME.0
                && !(layout.per_currency && event.currency != currency)
                && tail.end < room;
            if !is_usual {
                break;
            }
            if let Some(place) = place {
                run.orders.push(RunOrder { time: now, place: place as u32, end: tail.end as u32 });
            }
            if is_learned {
                let fresh = layout.fresh(&event, &mut cells);
                tail.times[tail.end] = fresh.time;
                let (before, row) = tail.rows[(tail.end - 1) * stride..(tail.end + 1) * stride].split_at_mut(stride);
                row.copy_from_slice(before);
                layout.add_event(row, &fresh);
                (row[KNOWN], row[META]) = (fresh.known_at, fresh.meta as i64);
                tail.end += 1;
                (last_but_one, last_known) = (last_known, now);
            }
            n_taken += 1;
        }
        let end = tail.end;
        run.read(plan, &tail, extra.map(|extra| &extra.labels), near, write);
        if end > first_end {
            self.log.set_end(end);
            self.newest = last_known;
            // As the last event found it.
            let as_of = AsOf { clock: self.clock_before(plan, last_known), last_known: last_but_one, edge: last_known };
            self.drop_many(plan, as_of.clock);
            self.drop_old(plan, &as_of);
            if let Some(extra) = &mut self.extra {
                extra.labels.pass(plan, as_of.clock);
            }
        }
        n_taken
    }

    /// Does what dropping one by one does with rows that are too old, but for the last, where all were known at once
    /// and have one currency.
    fn drop_many(&mut self, plan: &Plan, clock: i64) {
        let layout = &plan.layout;
        let (times, start) = (self.log.times(layout), self.log.start());
        let n_old = times[start..].iter().take_while(|&&time| plan.retained(clock, time) == i64::MIN).count();
        // The first makes the base one of its currency.
        let is_usual = |at: usize| self.log.row(layout, at)[KNOWN] == times[at];
        if n_old < 2 || self.log.base(layout)[KNOWN] == i64::MIN || !(start..start + n_old).all(is_usual) {
            return;
        }
        self.late_known = self.late_known.max(times[start + n_old - 2]);
        self.log.drop_many(layout, n_old - 1);
    }
}

impl Run {
    /// Reads all orders of the run, window by window: rows that came after an order begin where its own windows end.
    fn read(
        &mut self,
        plan: &Plan,
        tail: &Tail<'_>,
        labels: Option<&Labels>,
        near: &mut [Near],
        mut write: impl FnMut(usize, usize, f32),
    ) {
        let Self { orders, before, upto } = self;
        let (times, start) = (&tail.times[..tail.end], tail.start);
        // Windows with the same end stand one after the other.
        let mut delayed = None;
        for (group, near) in plan.layout.groups.iter().zip(near) {
            if !group.reads_rows {
                for order in &*orders {
                    let labels = labels.map(|labels| LabelView::plain(labels, plan, order.time));
                    write_frauds(labels, group, &mut |output, value| write(order.place as usize, output, value));
                }
                continue;
            }
            let back = group.window.delayed;
            if delayed != Some(back) {
                upto.clear();
                let mut hi = near.hi as usize;
                upto.extend(orders.iter().map(|order| {
                    let end = order.end as usize;
                    hi = if back == 0 { end } else { advance(times, start, end, hi, order.time - back) };
                    hi as u32 - 1
                }));
                (delayed, near.hi) = (Some(back), hi as u32);
            }
            before.clear();
            if let Some(over) = group.window.over {
                let mut lo = near.lo as usize;
                before.extend(orders.iter().zip(&*upto).map(|(order, &upto)| {
                    lo = advance(times, start, upto as usize + 1, lo, order.time - back - over);
                    lo as u32 - 1
                }));
                near.lo = lo as u32;
            }
            let spans = Spans { rows: tail.rows, stride: plan.layout.stride, before, upto };
            write_spans(&group.plain, &spans, |at, output, value| write(orders[at].place as usize, output, value));
        }
    }
}
