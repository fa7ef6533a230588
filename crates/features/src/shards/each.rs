//! Lookups in many maps at once.

use super::{BRANCH_BITS, Node, ROOT_BITS, ShardKey, Shards, digit, shard_of};

/// Looks up a key in each of some maps, side by side: each step down waits for memory, and the waits overlap.
///
/// # Panics
/// If `found` is shorter than `wanted`: a caller's bug.
pub fn get_each<'a, K: ShardKey, V>(wanted: &[(&'a Shards<K, V>, K)], found: &mut [Option<&'a V>]) {
    for (wanted, found) in wanted.chunks(SIDE_BY_SIDE).zip(found[..wanted.len()].chunks_mut(SIDE_BY_SIDE)) {
        let mut walks = [const { Walk { node: None, key: 0, used: ROOT_BITS, near: 0, estimate: 0 } }; SIDE_BY_SIDE];
        let walks = &mut walks[..wanted.len()];
        for (walk, (map, key)) in walks.iter_mut().zip(wanted) {
            walk.node = map.shards.get(shard_of(*key)).and_then(|shard| shard.root.as_deref());
            walk.key = key.bits();
        }
        let mut is_below = true;
        while is_below {
            is_below = false;
            for walk in &mut *walks {
                if let Some(Node::Branch(children)) = walk.node {
                    walk.node = children[digit(walk.key, walk.used)].as_deref();
                    walk.used += BRANCH_BITS;
                    is_below = true;
                }
            }
        }
        for walk in &mut *walks {
            if let Some(Node::Leaf(leaf)) = walk.node {
                walk.estimate = leaf.estimate(walk.key, walk.used);
                walk.near = leaf.keys.get(walk.estimate).copied().unwrap_or(u64::MAX);
            }
        }
        for (walk, found) in walks.iter().zip(found) {
            *found = match walk.node {
                Some(Node::Leaf(leaf)) if walk.near == walk.key => Some(&leaf.values[walk.estimate]),
                Some(Node::Leaf(leaf)) => leaf.find(walk.key, walk.used).ok().map(|at| &leaf.values[at]),
                _ => None,
            };
        }
    }
}

/// So many lookups are made at once: more than memory can serve at a time.
const SIDE_BY_SIDE: usize = 32;

/// How far one lookup has come.
struct Walk<'a, V> {
    node: Option<&'a Node<V>>,
    key: u64,
    used: u32,
    /// The key that stands where this one is expected.
    near: u64,
    estimate: usize,
}
