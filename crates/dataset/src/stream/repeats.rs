//! Repeated orders and events in rows that come chunk by chunk.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use orderguard_features::canonical::CanonicalRows;
use orderguard_features::identity::OrderId;
use orderguard_features::state::order_memory;
use orderguard_features::time::{Span, UnixMillis};

/// What `CanonicalRows::repeated` tells of all rows, chunk by chunk. Ids are forgotten once they may come again, so that memory
/// does not grow with the data.
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
    /// Takes an id, unless it was taken at most `memory` ago.
    fn take(&mut self, id: OrderId, now: UnixMillis, memory: Span) -> bool {
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

    /// Which rows of the next chunk repeat an earlier one.
    pub fn of(&mut self, rows: &CanonicalRows) -> Vec<bool> {
        let given =
            |ids: &Option<Vec<OrderId>>, i: usize| ids.as_ref().map(|ids| ids[i]).filter(|id| *id != OrderId(0));
        let memory = self.memory;
        let is_new = |i: usize| {
            let now = rows.known_at[i];
            given(&rows.event_id, i).is_none_or(|id| self.events.take(id, now, memory))
                && given(&rows.id, i).is_none_or(|id| self.orders.take(id, now, memory))
        };
        (0..rows.len()).map(is_new).map(|is_new| !is_new).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn chunks_tell_what_the_whole_tells(
            steps in prop::collection::vec((0_i64..40, 0_u64..6, 0_u64..6), 0..200), cut in 1_usize..50,
        ) {
            let delay = Span::days(7);
            let mut now = 0;
            let mut all = CanonicalRows { id: Some(Vec::new()), event_id: Some(Vec::new()), ..CanonicalRows::default() };
            for (i, &(days, id, event)) in steps.iter().enumerate() {
                now += Span::days(days).0;
                all.row.push(i as u32);
                all.known_at.push(UnixMillis(now));
                all.id.as_mut().unwrap().push(OrderId(id));
                all.event_id.as_mut().unwrap().push(OrderId(event));
            }
            let mut repeats = Repeats::new(delay);
            let mut found = Vec::new();
            for at in (0..steps.len()).step_by(cut) {
                let part = at..(at + cut).min(steps.len());
                let of = |ids: &Option<Vec<OrderId>>| ids.as_ref().map(|ids| ids[part.clone()].to_vec());
                found.extend(repeats.of(&CanonicalRows {
                    row: all.row[part.clone()].to_vec(),
                    known_at: all.known_at[part.clone()].to_vec(),
                    id: of(&all.id),
                    event_id: of(&all.event_id),
                    ..CanonicalRows::default()
                }));
            }
            prop_assert_eq!(found, all.repeated(delay, |_| None));
        }
    }
}
