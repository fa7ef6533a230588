//! Lookups in many maps at once.

use super::{BRANCH_BITS, Node, ROOT_BITS, ShardKey, Shards, digit, shard_of};

/// Looks up a key in each of some maps, side by side: each step down waits for memory, and the waits overlap.
///
/// # Panics
/// If `found` is shorter than `wanted`: a caller's bug.
pub fn get_each<'a, K: ShardKey, V>(wanted: &[(&'a Shards<K, V>, K)], found: &mut [Option<&'a V>]) {
    for (wanted, found) in wanted.chunks(SIDE_BY_SIDE).zip(found[..wanted.len()].chunks_mut(SIDE_BY_SIDE)) {
        let mut lookups = Lookups::new(wanted);
        while lookups.go_down() {}
        lookups.arrive();
        lookups.find(found);
    }
}

/// So many lookups are made at once: more than memory can serve at a time.
pub const SIDE_BY_SIDE: usize = 32;

/// Lookups side by side, step by step, so that those in maps of other kinds may take theirs in between:
/// [`Self::go_down`] until it is over, [`Self::arrive`], [`Self::find`].
#[derive(Debug)]
pub struct Lookups<'a, V> {
    walks: [Walk<'a, V>; SIDE_BY_SIDE],
    n: usize,
}

/// How far one lookup has come.
#[derive(Debug)]
struct Walk<'a, V> {
    node: Option<&'a Node<V>>,
    key: u64,
    used: u32,
    /// The key that stands where this one is expected.
    near: u64,
    estimate: usize,
}

impl<'a, V> Lookups<'a, V> {
    /// Begins.
    ///
    /// # Panics
    /// If there are more than [`SIDE_BY_SIDE`]: a caller's bug.
    pub fn new<K: ShardKey>(wanted: &[(&'a Shards<K, V>, K)]) -> Self {
        let mut walks = [const { Walk { node: None, key: 0, used: ROOT_BITS, near: 0, estimate: 0 } }; SIDE_BY_SIDE];
        for (walk, (map, key)) in walks[..wanted.len()].iter_mut().zip(wanted) {
            walk.node = map.shards.get(shard_of(*key)).and_then(|shard| shard.root.as_deref());
            walk.key = key.bits();
        }
        Self { walks, n: wanted.len() }
    }

    /// One step down; whether another one may follow.
    pub fn go_down(&mut self) -> bool {
        let mut is_below = false;
        for walk in &mut self.walks[..self.n] {
            if let Some(Node::Branch(children)) = walk.node {
                walk.node = children[digit(walk.key, walk.used)].as_deref();
                walk.used += BRANCH_BITS;
                is_below = true;
            }
        }
        is_below
    }

    /// Looks where the keys are expected.
    pub fn arrive(&mut self) {
        for walk in &mut self.walks[..self.n] {
            if let Some(Node::Leaf(leaf)) = walk.node {
                walk.estimate = leaf.estimate(walk.key, walk.used);
                walk.near = leaf.entries.get(walk.estimate).map_or(u64::MAX, |entry| entry.0);
            }
        }
    }

    /// The values.
    ///
    /// # Panics
    /// If there is no room for all: a caller's bug.
    pub fn find(&self, found: &mut [Option<&'a V>]) {
        for (walk, found) in self.walks[..self.n].iter().zip(&mut found[..self.n]) {
            *found = match walk.node {
                Some(Node::Leaf(leaf)) if walk.near == walk.key => {
                    leaf.entries.get(walk.estimate).map(|entry| &entry.1)
                }
                Some(Node::Leaf(leaf)) => leaf.find(walk.key, walk.used).ok().map(|at| &leaf.entries[at].1),
                _ => None,
            };
        }
    }
}
