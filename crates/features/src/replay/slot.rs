//! The replay of one slot: its entities one after the other, shard by shard.

use std::sync::{Mutex, PoisonError};

use super::items::Items;
use super::partition::{BLOCK, Member, NOWHERE, Partition, ShardMembers, split};
use super::stream::Stream;
use crate::extract::Slot;
use crate::identity::EntityKey;
use crate::kernel::{EntityHistory, LabelNews, Near, Next, Occurrence, Room, Run};
use crate::network::GRACE;
use crate::parallel;
use crate::shards::Shard;
use crate::state::{Histories, is_gone, take_out_gone};

/// Rows that are brought from shard order to row order at once, so that what they read stays in the cache.
const TILE: usize = 1_024;

/// Memory that slots use one after the other.
#[derive(Default)]
pub(super) struct SlotRoom {
    partition: Partition,
    cells: Vec<f32>,
    /// As many as there are threads at work.
    shards: Mutex<Vec<ShardRoom>>,
}

/// Memory that shards use one after the other.
#[derive(Default)]
struct ShardRoom {
    entities: Entities,
    history: Room,
    run: Run,
    near: Vec<Near>,
    /// Entities that were not known before.
    new_keys: Vec<EntityKey>,
    new_histories: Vec<EntityHistory>,
}

/// Replays all entities of a slot, and writes one column per output of its plan.
pub(super) fn replay_slot(
    slot: &Slot,
    items: &Items<'_>,
    stream: &Stream,
    histories: &mut Histories,
    mut columns: Vec<&mut [f32]>,
    (room, n_threads): (&mut SlotRoom, usize),
) {
    let SlotRoom { partition, cells, shards } = room;
    let shards = &*shards;
    let n_outputs = slot.plan.n_outputs();
    if let Some(horizon) = stream.lives.gone_at_start() {
        take_out_gone(histories.shards_mut(), horizon);
    }
    // Nothing can be gone of which the stream knows first.
    let first = stream.items.first().map_or(i64::MAX, |&item| stream.time(items, item));
    let mut taken_out = if histories.is_empty() { first } else { i64::MIN };
    let pieces = stream.pieces(items);
    for (block, is_last) in pieces.into_iter().flat_map(blocks) {
        partition.fill(slot, items, stream, block, n_threads);
        let n_places = *partition.order_starts.last().expect("one start more than shards");
        // Every place is written before it is read.
        cells.resize(n_places * n_outputs, 0.0);
        let jobs: Vec<_> = histories
            .shards_mut()
            .iter_mut()
            .zip(split(cells, &partition.order_starts, n_outputs))
            .zip(partition.shards(items))
            .filter(|(_, members)| !members.members.is_empty())
            .collect();
        let pool = || shards.lock().unwrap_or_else(PoisonError::into_inner);
        parallel::run(n_threads, jobs, |((shard, cells), members)| {
            let mut room = pool().pop().unwrap_or_default();
            ShardReplay { slot, items, stream, cells }.run(shard, members, &mut room);
            pool().push(room);
        });
        let n_orders = partition.places.len();
        let of_block = columns
            .iter_mut()
            .map(|column| column.split_off_mut(..n_orders).expect("one cell per order, block by block"))
            .collect();
        scatter(&partition.places, cells, of_block, n_threads);
        let horizon = stream.horizon_after(items, block);
        if horizon.saturating_sub(taken_out) > if is_last { 0 } else { GRACE.0 } {
            let jobs = histories.shards_mut().chunks_mut(SHARDS_AT_ONCE).collect();
            parallel::run(n_threads, jobs, |shards| take_out_gone(shards, horizon));
            taken_out = horizon;
        }
    }
}

/// A piece of the stream block by block, and which is the last.
fn blocks(piece: &[u32]) -> impl Iterator<Item = (&[u32], bool)> {
    let n = piece.len().div_ceil(BLOCK);
    piece.chunks(BLOCK).enumerate().map(move |(at, block)| (block, at + 1 == n))
}

/// Shards that one job looks at for what is gone.
const SHARDS_AT_ONCE: usize = 64;

/// Replays the whole shop, the entity of all events.
pub(super) fn replay_shop(
    slot: &Slot,
    items: &Items<'_>,
    stream: &Stream,
    histories: &mut Histories,
    columns: &mut [&mut [f32]],
) {
    let key = slot.key(|_| 0);
    let mut history = histories.get_mut(EntityKey(key)).map(std::mem::take).unwrap_or_default();
    let mut near = vec![Near::default(); slot.plan.n_windows()];
    let (mut values, mut keys) = (Vec::new(), Vec::new());
    if stream.lives.gone_at_start().is_some_and(|horizon| is_gone(&history, horizon)) {
        history = EntityHistory::default();
    }
    for piece in stream.pieces(items) {
        for group in stream.milliseconds(items, piece) {
            let mut was_gone = stream.lives.is_gone(&history, stream.time(items, group[0]));
            for &item in group.iter().filter(|&&item| items.is_order(item)) {
                let write = |output: usize, value: f32| columns[output][item as usize] = value;
                let order = items.occurrence(slot, item, &mut values, &mut keys);
                read(slot, (&history, was_gone), &order, &mut near, write);
            }
            for &item in group {
                match stream.news(items, item) {
                    Some(news) => learn_label(slot, &mut history, news),
                    None if stream.is_repeated(item) || !slot.plan.stores(items.head(item).kind) => {}
                    None => {
                        if std::mem::take(&mut was_gone) {
                            history = EntityHistory::default();
                        }
                        history.observe(&slot.plan, &items.occurrence(slot, item, &mut values, &mut keys));
                    }
                }
            }
        }
        if is_gone(&history, stream.horizon_after(items, piece)) {
            history = EntityHistory::default();
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
    items: &'a Items<'a>,
    stream: &'a Stream,
    /// One row of outputs per order of the shard.
    cells: &'a mut [f32],
}

impl ShardReplay<'_> {
    fn run(mut self, shard: &mut Shard<EntityKey, EntityHistory>, members: ShardMembers<'_>, room: &mut ShardRoom) {
        let ShardRoom { entities, history: room, run, near, new_keys, new_histories } = room;
        entities.fill(members.members);
        for (key, of_entity) in entities.iter() {
            let key = EntityKey(key);
            near.clear();
            near.resize(self.slot.plan.n_windows(), Near::default());
            if let Some(history) = shard.get_mut(key) {
                self.entity(history, of_entity, members, (room, run, near));
            } else {
                let mut history = EntityHistory::default();
                self.entity(&mut history, of_entity, members, (room, run, near));
                // An entity that only repeated orders name was learned nothing of.
                if !history.is_empty() {
                    new_keys.push(key);
                    new_histories.push(history);
                }
            }
        }
        shard.extend(new_keys, new_histories.drain(..));
        new_keys.clear();
    }

    /// One entity: the orders of one millisecond are read before anything of it is learned.
    fn entity(
        &mut self,
        history: &mut EntityHistory,
        of_entity: &[u32],
        shard: ShardMembers<'_>,
        (room, run, near): (&mut Room, &mut Run, &mut [Near]),
    ) {
        let plan = &self.slot.plan;
        let n_outputs = plan.n_outputs();
        // Few events more than there are fit in, or make it grow once.
        let in_room = of_entity.len() > history.len() / 4;
        if in_room {
            history.enter(plan, room, of_entity.len());
        }
        let learned_at = |at: u32| shard.learned_at(at as usize);
        let n_events = self.items.n_events();
        let horizon = self.stream.lives.latest_horizon();
        let mut rest = of_entity;
        while !rest.is_empty() {
            // Most events come one after the other and at once.
            let next = |n: usize| {
                let &at = rest.get(n)?;
                let member = &shard.members[at as usize];
                let is_order = self.items.is_order(member.item);
                let followed_at = rest.get(n + 1).map(|&after| learned_at(after));
                ((member.item as usize) < n_events).then(|| Next {
                    event: shard.occurrence(at as usize),
                    place: is_order.then_some(member.place as usize),
                    is_learned: !member.is_repeated,
                    is_shared: followed_at == Some(learned_at(at)),
                })
            };
            let cells = &mut *self.cells;
            let write = |place: usize, output: usize, value: f32| cells[place * n_outputs + output] = value;
            rest = &rest[history.run(plan, horizon, (run, near), next, write)..];
            let n_now = rest.iter().take_while(|&&at| learned_at(at) == learned_at(rest[0])).count();
            let (now, after) = rest.split_at(n_now);
            rest = after;
            if now.is_empty() {
                break;
            }
            let mut was_gone = self.stream.lives.is_gone(history, learned_at(now[0]));
            for &at in now {
                let member = &shard.members[at as usize];
                if self.items.is_order(member.item) {
                    let cells = &mut self.cells[member.place as usize * n_outputs..][..n_outputs];
                    let write = |output: usize, value: f32| cells[output] = value;
                    read(self.slot, (history, was_gone), &shard.occurrence(at as usize), near, write);
                }
            }
            for &at in now {
                let member = &shard.members[at as usize];
                match self.stream.news(self.items, member.item) {
                    Some(news) => learn_label(self.slot, history, news),
                    None if member.is_repeated => {}
                    None => {
                        let event = shard.occurrence(at as usize);
                        if was_gone && plan.stores(event.kind) {
                            *history = EntityHistory::default();
                            was_gone = false;
                        }
                        history.observe(plan, &event);
                    }
                }
            }
        }
        if in_room {
            history.leave(plan, room);
        }
    }
}

fn read(
    slot: &Slot,
    (history, is_gone): (&EntityHistory, bool),
    order: &Occurrence<'_>,
    near: &mut [Near],
    write: impl FnMut(usize, f32),
) {
    if is_gone || history.is_empty() {
        slot.plan.write_first_seen(write);
    } else {
        history.read_near(&slot.plan, order, near, write);
    }
}

fn learn_label(slot: &Slot, history: &mut EntityHistory, news: &LabelNews) {
    if slot.reads_labels && !history.is_empty() {
        history.learn_label(&slot.plan, news);
    }
}

/// The members of a shard by entity: entities in rising order of their keys, members in the order of the stream.
#[derive(Default)]
struct Entities {
    keys: Vec<(u64, u32)>,
    /// Members of group `g` are `members[ends[g - 1]..ends[g]]`.
    ends: Vec<u32>,
    members: Vec<u32>,
    /// Open addressing: the group of a key, or `u32::MAX`.
    table: Vec<u32>,
    group_of: Vec<u32>,
}

impl Entities {
    fn fill(&mut self, members: &[Member]) {
        let Self { keys, ends, members: sorted, table, group_of } = self;
        // Keys are hashes, whose low bits serve as they are.
        let n_slots = (members.len() * 2).next_power_of_two();
        table.clear();
        table.resize(n_slots, u32::MAX);
        keys.clear();
        ends.clear();
        group_of.clear();
        for member in members {
            let mut at = member.key as usize & (n_slots - 1);
            let group = loop {
                match table[at] {
                    u32::MAX => {
                        table[at] = keys.len() as u32;
                        keys.push((member.key, keys.len() as u32));
                        ends.push(0);
                        break keys.len() - 1;
                    }
                    group if keys[group as usize].0 == member.key => break group as usize,
                    _ => at = (at + 1) & (n_slots - 1),
                }
            };
            ends[group] += 1;
            group_of.push(group as u32);
        }
        let mut total = 0;
        for end in ends.iter_mut() {
            (*end, total) = (total, total + *end);
        }
        sorted.resize(members.len(), 0);
        for (member, &group) in group_of.iter().enumerate() {
            sorted[ends[group as usize] as usize] = member as u32;
            ends[group as usize] += 1;
        }
        keys.sort_unstable();
    }

    /// Each entity's key and members.
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
