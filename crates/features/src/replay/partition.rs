//! Puts the items of one slot in groups by the shard of their entity, in the order of the stream.
//!
//! ```text
//! stream   o1 o2 e1 o3 | o4 n1 o5          chunks of the stream, one job each
//! shards   [o1 e1 o4] [o2 o5] [o3 n1]      a counting sort: members of a shard in the order of the stream
//! outputs  [o1 o4] [o2 o5] [o3]            each order has a place for its features, in the same order
//! ```

use super::items::Items;
use super::stream::Stream;
use crate::extract::Slot;
use crate::identity::EntityKey;
use crate::kind::EventKind;
use crate::parallel;
use crate::shards::{N_SHARDS, shard_of};

/// Items of the stream per job.
const CHUNK: usize = 65_536;
/// Stands for no place: the order lacks the entity.
pub(super) const NOWHERE: u32 = u32::MAX;

/// An item of a shard.
#[derive(Clone, Copy, Default)]
pub(super) struct Member {
    pub(super) key: u64,
    pub(super) item: u32,
    /// Of an order, its place among the orders of its shard.
    pub(super) place: u32,
}

/// See the module.
pub(super) struct Partition {
    pub(super) members: Vec<Member>,
    /// Members of shard `s` are `members[starts[s]..starts[s + 1]]`.
    pub(super) starts: Vec<usize>,
    /// Orders of shard `s` have the places `order_starts[s]..order_starts[s + 1]`.
    pub(super) order_starts: Vec<usize>,
    /// Per order its place, or [`NOWHERE`].
    pub(super) places: Vec<u32>,
}

/// Members and orders of each shard in one chunk.
struct Counts {
    members: Vec<u32>,
    orders: Vec<u32>,
}

impl Partition {
    pub(super) fn new(slot: &Slot, items: &Items, stream: &Stream, n_threads: usize) -> Self {
        let wanted = Wanted { items, n_events: items.n_events(), kinds: kinds_of(slot), labels: slot.reads_labels };
        let chunks: Vec<&[u32]> = stream.items.chunks(CHUNK).collect();
        let keys: Vec<(Vec<u64>, Counts)> = parallel::run(n_threads, chunks.clone(), |chunk| wanted.keys(slot, chunk));

        let (mut starts, mut order_starts) = (vec![0; N_SHARDS + 1], vec![0; N_SHARDS + 1]);
        for shard in 0..N_SHARDS {
            let of =
                |counts: fn(&Counts) -> &[u32]| -> usize { keys.iter().map(|(_, c)| counts(c)[shard] as usize).sum() };
            starts[shard + 1] = starts[shard] + of(|c| &c.members);
            order_starts[shard + 1] = order_starts[shard] + of(|c| &c.orders);
        }

        let mut members = vec![Member::default(); starts[N_SHARDS]];
        let mut places = vec![NOWHERE; items.n_orders];
        // Each chunk gets its own piece of every shard, so that chunks are written at once.
        let mut rest: Vec<&mut [Member]> = split(&mut members, &starts);
        let mut places_left = places.as_mut_slice();
        let mut order_next = order_starts.clone();
        let mut jobs = Vec::with_capacity(chunks.len());
        for (chunk, (keys, counts)) in chunks.iter().zip(&keys) {
            let pieces: Vec<&mut [Member]> = rest
                .iter_mut()
                .zip(&counts.members)
                .map(|(left, &n)| left.split_off_mut(..n as usize).expect("counted"))
                .collect();
            let n_orders = chunk.iter().filter(|&&item| items.is_order(item)).count();
            let own_places = places_left.split_off_mut(..n_orders).expect("each order stands in the stream once");
            jobs.push((*chunk, keys, pieces, own_places, order_next.clone()));
            for (next, &n) in order_next.iter_mut().zip(&counts.orders) {
                *next += n as usize;
            }
        }
        parallel::run(n_threads, jobs, |(chunk, keys, mut pieces, places, mut order_next)| {
            let mut used = vec![0_u32; N_SHARDS];
            let mut places = places.iter_mut();
            for (&item, &key) in chunk.iter().zip(keys) {
                let place = if items.is_order(item) { places.next() } else { None };
                if key == 0 {
                    continue;
                }
                let shard = shard_of(EntityKey(key));
                let mut member = Member { key, item, place: 0 };
                if let Some(place) = place {
                    *place = order_next[shard] as u32;
                    member.place = (order_next[shard] - order_starts[shard]) as u32;
                    order_next[shard] += 1;
                }
                pieces[shard][used[shard] as usize] = member;
                used[shard] += 1;
            }
        });
        Self { members, starts, order_starts, places }
    }
}

/// Cuts a slice at `starts`.
pub(super) fn split<'a, T>(mut slice: &'a mut [T], starts: &[usize]) -> Vec<&'a mut [T]> {
    starts.windows(2).map(|pair| slice.split_off_mut(..pair[1] - pair[0]).expect("starts rise to the length")).collect()
}

/// A bit per kind of event that the slot remembers.
fn kinds_of(slot: &Slot) -> u32 {
    EventKind::ALL.into_iter().filter(|&kind| slot.plan.stores(kind)).fold(0, |kinds, kind| kinds | 1 << kind as u32)
}

/// Which items a slot looks at.
struct Wanted<'a> {
    items: &'a Items,
    n_events: usize,
    kinds: u32,
    labels: bool,
}

impl Wanted<'_> {
    /// The key of each item's entity, 0 for items that are not looked at.
    fn keys(&self, slot: &Slot, chunk: &[u32]) -> (Vec<u64>, Counts) {
        let mut counts = Counts { members: vec![0; N_SHARDS], orders: vec![0; N_SHARDS] };
        let keys = chunk.iter().map(|&item| {
            let at = item as usize;
            let is_order = at < self.items.n_orders;
            let wanted = is_order
                || if at < self.n_events {
                    self.kinds >> self.items.heads[at].kind as u32 & 1 == 1
                } else {
                    self.labels
                };
            let key = if wanted { slot.key(|source| self.items.keys[source][at]) } else { 0 };
            if key != 0 {
                let shard = shard_of(EntityKey(key));
                counts.members[shard] += 1;
                counts.orders[shard] += u32::from(is_order);
            }
            key
        });
        (keys.collect(), counts)
    }
}
