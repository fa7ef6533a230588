//! The replay of one slot: its entities one after the other, shard by shard.

use super::items::{Gathered, Items};
use super::partition::{Member, NOWHERE, Partition, split};
use super::stream::Stream;
use crate::extract::Slot;
use crate::identity::EntityKey;
use crate::kernel::{EntityHistory, LabelNews, Occurrence};
use crate::parallel;
use crate::shards::Shard;
use crate::state::Histories;

/// Rows that are brought from shard order to row order at once, so that what they read stays in the cache.
const TILE: usize = 1_024;

/// Replays all entities of a slot, and writes one column per output of its plan.
pub(super) fn replay_slot(
    slot: &Slot,
    items: &Items,
    stream: &Stream,
    histories: &mut Histories,
    columns: Vec<&mut [f32]>,
    n_threads: usize,
) {
    let partition = Partition::new(slot, items, stream, n_threads);
    let n_outputs = slot.plan.n_outputs();
    let n_places = *partition.order_starts.last().expect("one start more than shards");
    let mut cells = vec![0.0; n_places * n_outputs];
    let cell_starts: Vec<usize> = partition.order_starts.iter().map(|start| start * n_outputs).collect();
    let jobs: Vec<_> = histories
        .shards_mut()
        .iter_mut()
        .zip(split(&mut cells, &cell_starts))
        .zip(partition.starts.windows(2))
        .map(|((shard, cells), range)| (shard, cells, &partition.members[range[0]..range[1]]))
        .filter(|(_, _, members)| !members.is_empty())
        .collect();
    parallel::run(n_threads, jobs, |(shard, cells, members)| {
        ShardReplay { slot, items, stream, cells }.run(shard, members);
    });
    scatter(&partition.places, &cells, columns, n_threads);
}

/// Replays the whole shop, the entity of all events.
pub(super) fn replay_shop(
    slot: &Slot,
    items: &Items,
    stream: &Stream,
    histories: &mut Histories,
    columns: &mut [&mut [f32]],
) {
    let key = slot.key(|_| 0);
    let mut history = histories.get_mut(EntityKey(key)).map(std::mem::take).unwrap_or_default();
    for group in stream.milliseconds(items) {
        for &item in group.iter().filter(|&&item| items.is_order(item)) {
            let write = |output: usize, value: f32| columns[output][item as usize] = value;
            read(slot, &history, &items.occurrence(item), write);
        }
        for &item in group {
            let is_repeated = stream.is_repeated(item);
            learn(slot, &mut history, stream.news(items, item), is_repeated, || items.occurrence(item));
        }
    }
    if history.is_empty() {
        histories.remove(EntityKey(key));
    } else {
        histories.insert(EntityKey(key), history);
    }
}

struct ShardReplay<'a> {
    slot: &'a Slot,
    items: &'a Items,
    stream: &'a Stream,
    /// One row of outputs per order of the shard.
    cells: &'a mut [f32],
}

impl ShardReplay<'_> {
    fn run(mut self, shard: &mut Shard<EntityKey, EntityHistory>, members: &[Member]) {
        let items: Vec<u32> = members.iter().map(|member| member.item).collect();
        let gathered = self.items.gather(&items, self.stream);
        let entities = Entities::new(members);
        for (key, members_of) in entities.iter() {
            let key = EntityKey(key);
            if let Some(history) = shard.get_mut(key) {
                self.entity(history, members, members_of, &gathered);
            } else {
                let mut history = EntityHistory::default();
                self.entity(&mut history, members, members_of, &gathered);
                // An entity that only repeated orders name was learned nothing of.
                if !history.is_empty() {
                    shard.insert(key, history);
                }
            }
        }
    }

    /// One entity: the orders of one millisecond are read before anything of it is learned.
    fn entity(&mut self, history: &mut EntityHistory, members: &[Member], of_entity: &[u32], gathered: &Gathered) {
        let n_outputs = self.slot.plan.n_outputs();
        let mut rest = of_entity;
        while let Some(&first) = rest.first() {
            let now = gathered.times[first as usize];
            let n_now = 1 + rest[1..].iter().take_while(|&&at| gathered.times[at as usize] == now).count();
            let (group, later) = rest.split_at(n_now);
            rest = later;
            for &at in group {
                let Member { item, place, .. } = members[at as usize];
                if self.items.is_order(item) {
                    let cells = &mut self.cells[place as usize * n_outputs..][..n_outputs];
                    read(self.slot, history, &gathered.occurrence(at as usize), |output, value| cells[output] = value);
                }
            }
            for &at in group {
                let news = self.stream.news(self.items, members[at as usize].item);
                let is_repeated = gathered.repeated[at as usize];
                learn(self.slot, history, news, is_repeated, || gathered.occurrence(at as usize));
            }
        }
    }
}

fn read(slot: &Slot, history: &EntityHistory, order: &Occurrence<'_>, write: impl FnMut(usize, f32)) {
    if history.is_empty() {
        slot.plan.write_first_seen(write);
    } else {
        history.read(&slot.plan, order, write);
    }
}

/// Learns an order, event or label, unless history ignores it.
fn learn<'a>(
    slot: &Slot,
    history: &mut EntityHistory,
    news: Option<&LabelNews>,
    is_repeated: bool,
    occurrence: impl Fn() -> Occurrence<'a>,
) {
    if let Some(news) = news {
        if slot.reads_labels && !history.is_empty() {
            history.learn_label(&slot.plan, news);
        }
    } else if !is_repeated {
        history.observe(&slot.plan, &occurrence());
    }
}

/// The members of a shard by entity: entities in rising order of their keys, members in the order of the stream.
struct Entities {
    keys: Vec<(u64, u32)>,
    /// Members of group `g` are `members[ends[g - 1]..ends[g]]`.
    ends: Vec<u32>,
    members: Vec<u32>,
}

impl Entities {
    fn new(members: &[Member]) -> Self {
        // Open addressing; keys are hashes, whose low bits serve as they are.
        let n_slots = (members.len() * 2).next_power_of_two();
        let mut table = vec![u32::MAX; n_slots];
        let mut keys: Vec<(u64, u32)> = Vec::new();
        let mut counts: Vec<u32> = Vec::new();
        let mut group_of = Vec::with_capacity(members.len());
        for member in members {
            let mut at = member.key as usize & (n_slots - 1);
            let group = loop {
                match table[at] {
                    u32::MAX => {
                        table[at] = keys.len() as u32;
                        keys.push((member.key, keys.len() as u32));
                        counts.push(0);
                        break keys.len() - 1;
                    }
                    group if keys[group as usize].0 == member.key => break group as usize,
                    _ => at = (at + 1) & (n_slots - 1),
                }
            };
            counts[group] += 1;
            group_of.push(group as u32);
        }
        let mut next = counts;
        let mut total = 0;
        for count in &mut next {
            (*count, total) = (total, total + *count);
        }
        let mut sorted = vec![0; members.len()];
        for (member, &group) in group_of.iter().enumerate() {
            sorted[next[group as usize] as usize] = member as u32;
            next[group as usize] += 1;
        }
        keys.sort_unstable();
        Self { keys, ends: next, members: sorted }
    }

    fn iter(&self) -> impl Iterator<Item = (u64, &[u32])> {
        self.keys.iter().map(|&(key, group)| {
            let group = group as usize;
            let start = if group == 0 { 0 } else { self.ends[group - 1] as usize };
            (key, &self.members[start..self.ends[group] as usize])
        })
    }
}

/// Brings cells from shard order to columns in row order; orders without the entity get NaN.
fn scatter(places: &[u32], cells: &[f32], mut columns: Vec<&mut [f32]>, n_threads: usize) {
    const BLOCK: usize = 32 * TILE;
    let n_outputs = columns.len();
    let jobs: Vec<_> = places
        .chunks(BLOCK)
        .map(|places| {
            let pieces: Vec<&mut [f32]> = columns
                .iter_mut()
                .map(|column| column.split_off_mut(..places.len()).expect("one cell per order"))
                .collect();
            (places, pieces)
        })
        .collect();
    parallel::run(n_threads, jobs, |(places, mut columns)| {
        for (tile, places) in places.chunks(TILE).enumerate() {
            for (output, column) in columns.iter_mut().enumerate() {
                for (cell, &place) in column[tile * TILE..].iter_mut().zip(places) {
                    *cell = match place {
                        NOWHERE => f32::NAN,
                        place => cells[place as usize * n_outputs + output],
                    };
                }
            }
        }
    });
}
