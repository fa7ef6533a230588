//! Puts a block of the stream in groups by the shard of one slot's entity, in the order of the stream, with all that the
//! slot is told of each item beside it: tables are read, and shards written, from the front to the back.
//!
//! ```text
//! stream   o1 o2 e1 o3 | o4 n1 o5          chunks of the block, one job each
//! shards   [o1 e1 o4] [o2 o5] [o3 n1]      a counting sort: members of a shard in the order of the stream
//! outputs  [o1 o4] [o2 o5] [o3]            each order has a place for its features, in the same order
//! ```

use super::Head;
use super::items::Items;
use super::stream::Stream;
use crate::extract::Slot;
use crate::identity::EntityKey;
use crate::kernel::Occurrence;
use crate::kind::EventKind;
use crate::parallel;
use crate::shards::{N_SHARDS, shard_of};
use crate::table::MISSING_I64;

/// Items of the stream that are partitioned at once: more would not stay in the cache of the last level, fewer would fetch the
/// histories of entities more often.
pub(super) const BLOCK: usize = 1 << 19;
/// Items per job.
const CHUNK: usize = 1 << 14;
/// Stands for no place: the order lacks the entity.
pub(super) const NOWHERE: u32 = u32::MAX;

/// An item of a shard.
#[derive(Clone, Copy, Default)]
pub(super) struct Member {
    pub(super) key: u64,
    /// Of a label, when it was learned.
    time: i64,
    currency: u32,
    pub(super) item: u32,
    /// Of an order, its place among the orders of its shard.
    pub(super) place: u32,
    kind: EventKind,
    /// Whether it is an order that history ignores.
    pub(super) is_repeated: bool,
    /// Whether it became known later than at its time.
    is_late: bool,
}

/// See the module. Its memory serves one block after the other.
#[derive(Default)]
pub(super) struct Partition {
    members: Vec<Member>,
    /// `n_values` and `n_keys` per member.
    values: Vec<i64>,
    keys: Vec<u64>,
    n_values: usize,
    n_keys: usize,
    /// Members of shard `s` are `members[starts[s]..starts[s + 1]]`.
    starts: Vec<usize>,
    /// Orders of shard `s` have the places `order_starts[s]..order_starts[s + 1]`.
    pub(super) order_starts: Vec<usize>,
    /// Per order of the block its place, or [`NOWHERE`].
    pub(super) places: Vec<u32>,
    /// The entity of each item of the block, 0 for those that the slot does not look at.
    entities: Vec<u64>,
}

/// The members of one shard.
#[derive(Clone, Copy)]
pub(super) struct ShardMembers<'a> {
    items: &'a Items<'a>,
    pub(super) members: &'a [Member],
    values: &'a [i64],
    keys: &'a [u64],
    n_values: usize,
    n_keys: usize,
}

impl ShardMembers<'_> {
    /// When the one at a position was learned.
    pub(super) fn learned_at(&self, at: usize) -> i64 {
        let Member { time, item, is_late, .. } = self.members[at];
        if is_late { self.items.known_at(item) } else { time }
    }

    /// The order or event at a position, as history sees it.
    pub(super) fn occurrence(&self, at: usize) -> Occurrence<'_> {
        let Member { time, currency, kind, .. } = self.members[at];
        let known_at = self.learned_at(at);
        let values = &self.values[at * self.n_values..][..self.n_values];
        let keys = &self.keys[at * self.n_keys..][..self.n_keys];
        Occurrence { time, known_at, kind, currency, values, keys }
    }
}

/// Members and orders of each shard in one chunk.
struct Counts {
    members: Vec<u32>,
    orders: Vec<u32>,
}

/// Where a chunk's members of one shard go.
struct Piece<'a> {
    members: &'a mut [Member],
    values: &'a mut [i64],
    keys: &'a mut [u64],
}

impl Partition {
    /// The members of each shard, empty ones too.
    pub(super) fn shards<'a>(&'a self, items: &'a Items<'a>) -> impl Iterator<Item = ShardMembers<'a>> {
        let Self { members, values, keys, .. } = self;
        let (n_values, n_keys) = (self.n_values, self.n_keys);
        self.starts.windows(2).map(move |range| ShardMembers {
            items,
            members: &members[range[0]..range[1]],
            values: &values[range[0] * n_values..range[1] * n_values],
            keys: &keys[range[0] * n_keys..range[1] * n_keys],
            n_values,
            n_keys,
        })
    }

    /// Sorts a block of the stream.
    pub(super) fn fill(&mut self, slot: &Slot, items: &Items<'_>, stream: &Stream, block: &[u32], n_threads: usize) {
        let Self { members, values, keys, n_values, n_keys, starts, order_starts, places, entities } = self;
        let look = Look::new(slot, items, stream);
        (*n_values, *n_keys) = (look.n_values, look.n_keys);
        entities.resize(block.len(), 0);
        let chunks: Vec<(&[u32], &mut [u64])> = block.chunks(CHUNK).zip(entities.chunks_mut(CHUNK)).collect();
        let counts: Vec<Counts> = parallel::run(n_threads, chunks, |(chunk, entities)| look.find(chunk, entities));

        *starts = vec![0; N_SHARDS + 1];
        *order_starts = vec![0; N_SHARDS + 1];
        for shard in 0..N_SHARDS {
            let of = |of: fn(&Counts) -> &[u32]| -> usize { counts.iter().map(|c| of(c)[shard] as usize).sum() };
            starts[shard + 1] = starts[shard] + of(|c| &c.members);
            order_starts[shard + 1] = order_starts[shard] + of(|c| &c.orders);
        }

        // What is not written anew is not read either.
        members.resize(starts[N_SHARDS], Member::default());
        values.resize(starts[N_SHARDS] * look.n_values, MISSING_I64);
        keys.resize(starts[N_SHARDS] * look.n_keys, 0);
        places.clear();
        places.resize(block.iter().filter(|&&item| items.is_order(item)).count(), NOWHERE);
        // Each chunk gets its own piece of every shard, so that chunks are written at once.
        let mut rest: Vec<Piece<'_>> = split(members, starts, 1)
            .into_iter()
            .zip(split(values, starts, look.n_values))
            .zip(split(keys, starts, look.n_keys))
            .map(|((members, values), keys)| Piece { members, values, keys })
            .collect();
        let mut places_left = places.as_mut_slice();
        let mut order_next = order_starts.clone();
        let mut jobs = Vec::with_capacity(counts.len());
        for ((chunk, entities), counts) in block.chunks(CHUNK).zip(entities.chunks(CHUNK)).zip(&counts) {
            let pieces: Vec<Piece<'_>> =
                rest.iter_mut().zip(&counts.members).map(|(left, &n)| left.split_off(n as usize, &look)).collect();
            let n_orders = chunk.iter().filter(|&&item| items.is_order(item)).count();
            let own_places = places_left.split_off_mut(..n_orders).expect("each order stands in the stream once");
            jobs.push((chunk, entities, pieces, own_places, order_next.clone()));
            for (next, &n) in order_next.iter_mut().zip(&counts.orders) {
                *next += n as usize;
            }
        }
        parallel::run(n_threads, jobs, |(chunk, entities, mut pieces, places, mut order_next)| {
            let mut used = vec![0_u32; N_SHARDS];
            let mut places = places.iter_mut();
            for (&item, &key) in chunk.iter().zip(entities) {
                let place = if items.is_order(item) { places.next() } else { None };
                if key == 0 {
                    continue;
                }
                let shard = shard_of(EntityKey(key));
                let mut in_shard = 0;
                if let Some(place) = place {
                    *place = order_next[shard] as u32;
                    in_shard = (order_next[shard] - order_starts[shard]) as u32;
                    order_next[shard] += 1;
                }
                look.tell(key, item, in_shard, used[shard] as usize, &mut pieces[shard]);
                used[shard] += 1;
            }
        });
    }
}

impl<'a> Piece<'a> {
    fn split_off(&mut self, n: usize, look: &Look<'_>) -> Piece<'a> {
        const COUNTED: &str = "counted before";
        Piece {
            members: self.members.split_off_mut(..n).expect(COUNTED),
            values: self.values.split_off_mut(..n * look.n_values).expect(COUNTED),
            keys: self.keys.split_off_mut(..n * look.n_keys).expect(COUNTED),
        }
    }
}

/// Cuts a slice with `width` entries for each position at `starts`.
pub(super) fn split<'a, T>(mut slice: &'a mut [T], starts: &[usize], width: usize) -> Vec<&'a mut [T]> {
    let piece = |pair: &[usize]| slice.split_off_mut(..(pair[1] - pair[0]) * width).expect("starts rise to the length");
    starts.windows(2).map(piece).collect()
}

/// What a slot looks at.
struct Look<'a> {
    slot: &'a Slot,
    items: &'a Items<'a>,
    stream: &'a Stream,
    n_events: usize,
    /// A bit per kind of event that the slot remembers.
    kinds: u32,
    values: &'a [usize],
    keys: &'a [usize],
    n_values: usize,
    n_keys: usize,
}

impl<'a> Look<'a> {
    fn new(slot: &'a Slot, items: &'a Items<'a>, stream: &'a Stream) -> Self {
        let stored = EventKind::ALL.into_iter().filter(|&kind| slot.plan.stores(kind));
        let (values, keys) = (slot.plan.used_values(), slot.plan.used_keys());
        let width = |used: &[usize]| used.last().map_or(0, |last| last + 1);
        Self {
            slot,
            items,
            stream,
            n_events: items.n_events(),
            kinds: stored.fold(0, |kinds, kind| kinds | 1 << kind as u32),
            values,
            keys,
            n_values: width(values),
            n_keys: width(keys),
        }
    }

    /// Writes the entity of each item, 0 for items that are not looked at.
    fn find(&self, chunk: &[u32], entities: &mut [u64]) -> Counts {
        let mut counts = Counts { members: vec![0; N_SHARDS], orders: vec![0; N_SHARDS] };
        for (&item, entity) in chunk.iter().zip(entities) {
            let is_order = self.items.is_order(item);
            let wanted = is_order
                || if (item as usize) < self.n_events {
                    self.kinds >> self.items.kind(item) as u32 & 1 == 1
                } else {
                    self.slot.reads_labels
                };
            *entity = if wanted { self.slot.key(|source| self.items.key(source, item)) } else { 0 };
            if *entity != 0 {
                let shard = shard_of(EntityKey(*entity));
                counts.members[shard] += 1;
                counts.orders[shard] += u32::from(is_order);
            }
        }
        counts
    }

    /// Writes what is told of an item. Of labels that is only when they were learned.
    fn tell(&self, key: u64, item: u32, place: u32, at: usize, piece: &mut Piece<'_>) {
        if (item as usize) >= self.n_events {
            let time = self.stream.time(self.items, item);
            piece.members[at] = Member { key, time, item, place, ..Member::default() };
            return;
        }
        for &index in self.values {
            piece.values[at * self.n_values + index] = self.items.value(index, item);
        }
        for &source in self.keys {
            piece.keys[at * self.n_keys + source] = self.items.key(source, item);
        }
        let Head { time, known_at, currency, kind } = self.items.head(item);
        let (is_repeated, is_late) = (self.stream.is_repeated(item), known_at != time);
        piece.members[at] = Member { key, time, currency, item, place, kind, is_repeated, is_late };
    }
}
