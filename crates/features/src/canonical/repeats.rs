//! Which orders and events repeat an earlier one.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::CanonicalRows;
use crate::identity::OrderId;
use crate::state::order_memory;
use crate::time::{Span, UnixMillis};

/// Which orders, and which other events, are repeated: their event id was taken before by an order or event of any kind, or, of
/// an order, its order id by an order, that became known at most [`order_memory`] ago; in one millisecond orders come first. All
/// false where the schema has neither id. It is what a replay onto an empty state ignores. O(rows).
pub fn repeated(orders: &CanonicalRows, events: Option<&CanonicalRows>, label_delay: Span) -> (Vec<bool>, Vec<bool>) {
    Repeats::new(label_delay).of(orders, events)
}

/// What [`repeated`] tells of all rows, chunk by chunk. Ids are forgotten once they may come again, so that memory does not
/// grow with the data.
#[derive(Debug)]
pub struct Repeats {
    memory: Span,
    orders: Taken,
    events: Taken,
}

/// Ids and when they were taken, in two ages: what both ages have left behind may come again.
#[derive(Debug, Default)]
struct Taken {
    ages: [HashMap<OrderId, UnixMillis, FixedState>; 2],
    /// When the younger age began.
    since: Option<UnixMillis>,
}

impl Taken {
    /// Takes an id, unless it was taken at most `memory` ago; true where there is none.
    fn take(&mut self, ids: Option<&Vec<OrderId>>, row: usize, now: UnixMillis, memory: Span) -> bool {
        let Some(id) = ids.map(|ids| ids[row]).filter(|id| *id != OrderId(0)) else { return true };
        if self.since.is_none_or(|since| now > since.plus(memory)) {
            self.since = Some(now);
            let young = std::mem::take(&mut self.ages[0]);
            self.ages[1] = young;
        }
        let before = self.ages.iter().find_map(|age| age.get(&id));
        let is_new = before.is_none_or(|before| now > before.plus(memory));
        if is_new {
            self.ages[0].insert(id, now);
        }
        is_new
    }
}

impl Repeats {
    /// Before the first chunk.
    pub fn new(label_delay: Span) -> Self {
        Self { memory: order_memory(label_delay), orders: Taken::default(), events: Taken::default() }
    }

    /// Which orders and which events of the next chunk repeat an earlier one. No chunk may begin in the last millisecond of the
    /// one before.
    pub fn of(&mut self, orders: &CanonicalRows, events: Option<&CanonicalRows>) -> (Vec<bool>, Vec<bool>) {
        let n_events = events.map_or(0, CanonicalRows::len);
        let mut repeated = (vec![false; orders.len()], vec![false; n_events]);
        let mut event = 0;
        for order in 0..=orders.len() {
            let until = orders.known_at.get(order);
            while let Some(events) = events
                && event < n_events
                && until.is_none_or(|&until| events.known_at[event] < until)
            {
                repeated.1[event] = self.is_repeated(events, event, false);
                event += 1;
            }
            if order < orders.len() {
                repeated.0[order] = self.is_repeated(orders, order, true);
            }
        }
        repeated
    }

    fn is_repeated(&mut self, rows: &CanonicalRows, row: usize, is_order: bool) -> bool {
        let (now, memory) = (rows.known_at[row], self.memory);
        let is_new = self.events.take(rows.event_id.as_ref(), row, now, memory)
            && (!is_order || self.orders.take(rows.id.as_ref(), row, now, memory));
        !is_new
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// (days since the row before, whether it is an order, id, event id).
    type Step = (i64, bool, u64, u64);

    /// Orders, and other events, that are repeated.
    type Told = (Vec<bool>, Vec<bool>);

    /// The steps as orders and events, each with the positions of its rows.
    fn rows_of(steps: &[(UnixMillis, Step)]) -> [(CanonicalRows, Vec<usize>); 2] {
        [true, false].map(|orders| {
            let mut rows =
                CanonicalRows { id: Some(Vec::new()), event_id: Some(Vec::new()), ..CanonicalRows::default() };
            let mut places = Vec::new();
            for (place, &(now, (_, _, id, event))) in steps.iter().enumerate().filter(|(_, step)| step.1.1 == orders) {
                places.push(place);
                rows.row.push(rows.len() as u32);
                rows.known_at.push(now);
                rows.id.as_mut().unwrap().push(OrderId(id));
                rows.event_id.as_mut().unwrap().push(OrderId(event));
            }
            (rows, places)
        })
    }

    /// By looking at all that came before.
    fn repeated_naive(steps: &[(UnixMillis, Step)], memory: Span) -> Vec<bool> {
        let mut turn: Vec<usize> = (0..steps.len()).collect();
        turn.sort_by_key(|&i| (steps[i].0, !steps[i].1.1));
        let [mut orders, mut events] = [Vec::<(u64, UnixMillis)>::new(), Vec::new()];
        let mut repeated = vec![false; steps.len()];
        for i in turn {
            let (now, (_, is_order, id, event)) = steps[i];
            let is_known = |taken: &[(u64, UnixMillis)], id: u64| {
                id != 0 && taken.iter().any(|&(other, at)| other == id && now <= at.plus(memory))
            };
            if is_known(&events, event) {
                repeated[i] = true;
                continue;
            }
            events.push((event, now));
            if is_order && is_known(&orders, id) {
                repeated[i] = true;
            } else if is_order {
                orders.push((id, now));
            }
        }
        repeated
    }

    proptest! {
        #[test]
        fn the_whole_and_its_chunks_tell_what_looking_back_tells(
            steps in prop::collection::vec((0_i64..40, any::<bool>(), 0_u64..6, 0_u64..9), 0..200), cut in 1_usize..50,
        ) {
            let delay = Span::days(7);
            let mut now = UnixMillis(0);
            let steps: Vec<(UnixMillis, Step)> = steps.into_iter().map(|step| {
                // Many share a millisecond.
                now = now.plus(Span::days((step.0 - 15).max(0)));
                (now, step)
            }).collect();
            let expected = repeated_naive(&steps, order_memory(delay));
            let told = |of: &mut dyn FnMut(&CanonicalRows, &CanonicalRows) -> Told, steps: &[_]| {
                let [(orders, order_places), (events, event_places)] = rows_of(steps);
                let (of_orders, of_events) = of(&orders, &events);
                let mut told = vec![false; steps.len()];
                for (place, is_repeated) in order_places.into_iter().zip(of_orders).chain(event_places.into_iter().zip(of_events)) {
                    told[place] = is_repeated;
                }
                told
            };
            prop_assert_eq!(&told(&mut |orders, events| repeated(orders, Some(events), delay), &steps), &expected);
            let mut repeats = Repeats::new(delay);
            let mut by_chunk = Vec::new();
            let mut left = &steps[..];
            while !left.is_empty() {
                let last = left[cut.min(left.len()) - 1].0;
                let (chunk, rest) = left.split_at(left.partition_point(|step| step.0 <= last));
                by_chunk.extend(told(&mut |orders, events| repeats.of(orders, Some(events)), chunk));
                left = rest;
            }
            prop_assert_eq!(by_chunk, expected);
        }
    }
}
