//! A map from hashes that is cheap to clone, and that grows without a stop.
//!
//! 512 shards by the highest bits of the key, each made when first needed; a shard is a leaf of at most [`LEAF_MAX`] sorted
//! entries, and splits eightfold by the next three bits when it grows beyond. Every node stands behind an `Arc`: a clone
//! copies 512 pointers, and a change afterwards copies the one leaf that it touches. No operation moves more than a leaf,
//! so there is no rehash at any size, and entries stand in the order of their keys without sorting.
//!
//! Keys are hashes, spread evenly; hostile ones (from a file) only make the tree deeper, at most to its 64 bits.

mod each;
mod iter;

use std::marker::PhantomData;
use std::sync::Arc;

pub use each::{Lookups, SIDE_BY_SIDE, get_each};
pub use iter::Iter;

use crate::identity::{EntityKey, OrderId};

/// Number of shards of a map.
pub const N_SHARDS: usize = 1 << ROOT_BITS;
/// Most entries of a leaf: few, because the first change after a clone copies them.
pub const LEAF_MAX: usize = 48;
const ROOT_BITS: u32 = 9;
const BRANCH_BITS: u32 = 3;
const FAN_OUT: usize = 1 << BRANCH_BITS;

/// A 64-bit hash as a key. Keys sort as their bits do.
pub trait ShardKey: Copy {
    /// The hash.
    fn bits(self) -> u64;
    /// The key of that hash.
    fn from_bits(bits: u64) -> Self;
}

impl ShardKey for EntityKey {
    fn bits(self) -> u64 {
        self.0
    }
    fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

impl ShardKey for OrderId {
    fn bits(self) -> u64 {
        self.0
    }
    fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

/// A copy-on-write map in 512 shards. See the module.
#[derive(Debug)]
pub struct Shards<K, V> {
    /// Empty before the first insert, then [`N_SHARDS`].
    shards: Vec<Shard<K, V>>,
}

/// The entries whose keys share their highest nine bits. Shards are independent: each may be filled by a thread of its own.
#[derive(Debug)]
pub struct Shard<K, V> {
    root: Option<Arc<Node<V>>>,
    len: usize,
    key: PhantomData<K>,
}

#[derive(Clone, Debug)]
enum Node<V> {
    Leaf(Leaf<V>),
    Branch([Option<Arc<Node<V>>>; FAN_OUT]),
}

#[derive(Clone, Debug)]
struct Leaf<V> {
    /// Sorted by their keys, each beside its value: a lookup waits for memory once less than with keys apart.
    entries: Vec<(u64, V)>,
}

impl<K, V> Clone for Shard<K, V> {
    fn clone(&self) -> Self {
        Self { root: self.root.clone(), len: self.len, key: PhantomData }
    }
}

impl<K, V> Clone for Shards<K, V> {
    fn clone(&self) -> Self {
        Self { shards: self.shards.clone() }
    }
}

impl<K, V> Default for Shards<K, V> {
    fn default() -> Self {
        Self { shards: Vec::new() }
    }
}

impl<K, V> Default for Shard<K, V> {
    fn default() -> Self {
        Self { root: None, len: 0, key: PhantomData }
    }
}

/// Maps are equal when their entries are, however they came to be.
impl<K: ShardKey, V: PartialEq> PartialEq for Shards<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self.iter().zip(other.iter()).all(|((a, x), (b, y))| a.bits() == b.bits() && x == y)
    }
}

/// The shard of a key: its highest nine bits.
pub fn shard_of(key: impl ShardKey) -> usize {
    (key.bits() >> (64 - ROOT_BITS)) as usize
}

impl<K: ShardKey, V> Shards<K, V> {
    /// Number of entries. O(1) at [`N_SHARDS`] additions.
    pub fn len(&self) -> usize {
        self.shards.iter().map(Shard::len).sum()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.shards.iter().all(|shard| shard.len == 0)
    }

    /// The value of a key.
    pub fn get(&self, key: K) -> Option<&V> {
        self.shards.get(shard_of(key))?.get(key)
    }

    /// The entries in rising order of their keys.
    pub fn iter(&self) -> Iter<'_, K, V> {
        Iter::over(&self.shards)
    }

    /// The shards, or none before the first insert.
    pub fn shards(&self) -> &[Shard<K, V>] {
        &self.shards
    }

    /// All [`N_SHARDS`] shards, made if need be: for filling them on several threads.
    pub fn shards_mut(&mut self) -> &mut [Shard<K, V>] {
        if self.shards.is_empty() {
            self.shards.resize_with(N_SHARDS, Shard::default);
        }
        &mut self.shards
    }

    /// The shards that differ in memory from those of another map, of which this may be a later clone.
    pub fn changed_shards(&self, before: &Self) -> Vec<usize> {
        let none = Shard::default();
        let of = |map: &'_ Self, shard: usize| map.shards.get(shard).map_or(none.clone(), Shard::clone);
        (0..N_SHARDS).filter(|&shard| !of(self, shard).is_same(&of(before, shard))).collect()
    }

    /// The leaf where `cursor` lies: its entries, and the cursor of the next leaf; `None` at the end. For looking
    /// at all entries a few at a time.
    pub fn leaf_at(&self, cursor: u64) -> LeafAt<'_, V> {
        let mut cursor = cursor;
        loop {
            let (found, next) = match self.shards.get(shard_of(EntityKey(cursor))) {
                Some(shard) => shard.leaf_at(cursor),
                None => (None, None),
            };
            match (found, next) {
                (Some(leaf), next) => return LeafAt { entries: &leaf.entries, next },
                (None, Some(next)) => cursor = next,
                (None, None) => return LeafAt { entries: &[], next: None },
            }
        }
    }

    /// Bytes of the map itself, without what its values hold elsewhere. O(leaves).
    pub fn memory_bytes(&self) -> usize {
        self.shards.capacity() * size_of::<Shard<K, V>>() + self.shards.iter().map(Shard::memory_bytes).sum::<usize>()
    }
}

impl<K: ShardKey, V: Clone> Shards<K, V> {
    /// The value of a key, for changing it.
    pub fn get_mut(&mut self, key: K) -> Option<&mut V> {
        self.shards.get_mut(shard_of(key))?.get_mut(key)
    }

    /// The value of a key, made first if it is not there.
    pub fn entry_or_default(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        self.shards_mut()[shard_of(key)].entry_or_default(key)
    }

    /// The value of a key, made by `make` if it is not there.
    pub fn entry_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        self.shards_mut()[shard_of(key)].entry_or_insert_with(key, make)
    }

    /// Sets the value of a key; the earlier one comes back.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.shards_mut()[shard_of(key)].insert(key, value)
    }

    /// Takes a key out.
    pub fn remove(&mut self, key: K) -> Option<V> {
        self.shards.get_mut(shard_of(key))?.remove(key)
    }
}

/// Part of a map, see [`Shards::leaf_at`].
#[derive(Clone, Copy, Debug)]
pub struct LeafAt<'a, V> {
    /// Hashes, sorted, with their values.
    pub entries: &'a [(u64, V)],
    /// Where the next leaf begins; `None` after the last.
    pub next: Option<u64>,
}

impl<K: ShardKey, V> Shard<K, V> {
    /// Number of entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether both are one and the same memory, so that nothing has changed since one was cloned from the other.
    pub fn is_same(&self, other: &Self) -> bool {
        match (&self.root, &other.root) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        }
    }

    /// The value of a key of this shard.
    pub fn get(&self, key: K) -> Option<&V> {
        let key = key.bits();
        let mut node = self.root.as_deref()?;
        let mut used = ROOT_BITS;
        loop {
            match node {
                Node::Leaf(leaf) => return leaf.find(key, used).ok().map(|at| &leaf.entries[at].1),
                Node::Branch(children) => node = children[digit(key, used)].as_deref()?,
            }
            used += BRANCH_BITS;
        }
    }

    /// The entries in rising order of their keys.
    pub fn iter(&self) -> Iter<'_, K, V> {
        Iter::over(std::slice::from_ref(self))
    }

    /// The leaf of a cursor within this shard, and the cursor behind it.
    fn leaf_at(&self, cursor: u64) -> (Option<&Leaf<V>>, Option<u64>) {
        let mut node = self.root.as_deref();
        let mut used = ROOT_BITS;
        while let Some(Node::Branch(children)) = node {
            node = children[digit(cursor, used)].as_deref();
            used += BRANCH_BITS;
        }
        let next = ((cursor >> (64 - used)) + 1).checked_mul(1 << (64 - used));
        match node {
            Some(Node::Leaf(leaf)) => (Some(leaf), next),
            _ => (None, next),
        }
    }

    fn memory_bytes(&self) -> usize {
        fn of<V>(node: &Node<V>) -> usize {
            let own = size_of::<Node<V>>() + 2 * size_of::<usize>();
            own + match node {
                Node::Leaf(leaf) => leaf.entries.capacity() * size_of::<(u64, V)>(),
                Node::Branch(children) => children.iter().flatten().map(|child| of(child)).sum(),
            }
        }
        self.root.as_deref().map_or(0, of)
    }
}

impl<K: ShardKey, V: Clone> Shard<K, V> {
    /// The value of a key of this shard, for changing it.
    pub fn get_mut(&mut self, key: K) -> Option<&mut V> {
        let key = key.bits();
        let mut node = self.root.as_mut()?;
        let mut used = ROOT_BITS;
        loop {
            // Nothing is copied for a key that is not there.
            if let Node::Leaf(leaf) = &**node {
                leaf.find(key, used).ok()?;
            }
            match Arc::make_mut(node) {
                Node::Leaf(leaf) => {
                    let at = leaf.find(key, used).ok()?;
                    return Some(&mut leaf.entries[at].1);
                }
                Node::Branch(children) => node = children[digit(key, used)].as_mut()?,
            }
            used += BRANCH_BITS;
        }
    }

    /// The value of a key of this shard, made first if it is not there.
    pub fn entry_or_default(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        self.entry_or_insert_with(key, V::default)
    }

    /// The value of a key of this shard, made by `make` if it is not there.
    pub fn entry_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let key = key.bits();
        let mut node = self.root.get_or_insert_with(|| Arc::new(Node::empty()));
        let mut used = ROOT_BITS;
        loop {
            let own = Arc::make_mut(node);
            if let Node::Leaf(leaf) = own
                && leaf.entries.len() >= LEAF_MAX
                && leaf.find(key, used).is_err()
            {
                *own = Node::Branch(std::mem::take(leaf).split(used));
            }
            match own {
                Node::Leaf(leaf) => {
                    let at = leaf.find(key, used).unwrap_or_else(|at| {
                        leaf.entries.insert(at, (key, make()));
                        self.len += 1;
                        at
                    });
                    return &mut leaf.entries[at].1;
                }
                Node::Branch(children) => {
                    node = children[digit(key, used)].get_or_insert_with(|| Arc::new(Node::empty()));
                }
            }
            used += BRANCH_BITS;
        }
    }

    /// Sets the value of a key of this shard; the earlier one comes back.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let mut value = Some(value);
        let place = self.entry_or_insert_with(key, || value.take().expect("taken once"));
        value.map(|value| std::mem::replace(place, value))
    }

    /// Takes in entries in rising order of their keys, of which none is there: into an empty shard without moving any twice.
    ///
    /// # Panics
    /// If there are fewer values than keys: a caller's bug.
    pub(crate) fn extend(&mut self, keys: &[K], values: impl IntoIterator<Item = V>) {
        let mut values = values.into_iter();
        if self.root.is_some() {
            for (&key, value) in keys.iter().zip(values) {
                self.insert(key, value);
            }
        } else if !keys.is_empty() {
            let keys: Vec<u64> = keys.iter().map(|key| key.bits()).collect();
            self.root = Some(Arc::new(Node::of_sorted(&keys, &mut values, ROOT_BITS)));
            self.len = keys.len();
        }
    }

    /// Takes a key out of this shard.
    pub fn remove(&mut self, key: K) -> Option<V> {
        self.get(key)?;
        let value = self.remove_from_leaf(key.bits());
        if self.len == 0 {
            self.root = None;
        }
        value
    }

    fn remove_from_leaf(&mut self, key: u64) -> Option<V> {
        let mut node = self.root.as_mut()?;
        let mut used = ROOT_BITS;
        loop {
            match Arc::make_mut(node) {
                Node::Leaf(leaf) => {
                    let at = leaf.find(key, used).ok()?;
                    self.len -= 1;
                    let (_, value) = leaf.entries.remove(at);
                    // Where many go, none may come in their place.
                    if leaf.entries.len() < leaf.entries.capacity() / 4 {
                        leaf.entries.shrink_to(2 * leaf.entries.len());
                    }
                    return Some(value);
                }
                Node::Branch(children) => node = children[digit(key, used)].as_mut()?,
            }
            used += BRANCH_BITS;
        }
    }
}

/// Which of the eight children holds a key, of which `used` bits have been looked at.
fn digit(key: u64, used: u32) -> usize {
    (key << used >> (64 - BRANCH_BITS)) as usize
}

impl<V> Node<V> {
    fn empty() -> Self {
        Self::Leaf(Leaf::default())
    }

    /// The node that inserting one by one would make.
    fn of_sorted(keys: &[u64], values: &mut impl Iterator<Item = V>, used: u32) -> Self {
        if keys.len() <= LEAF_MAX {
            let entries: Vec<(u64, V)> = keys.iter().copied().zip(values.take(keys.len())).collect();
            assert_eq!(entries.len(), keys.len(), "one value per key");
            return Self::Leaf(Leaf { entries });
        }
        let mut rest = keys;
        Self::Branch(std::array::from_fn(|child| {
            let (own, after) = rest.split_at(rest.partition_point(|&key| digit(key, used) <= child));
            rest = after;
            (!own.is_empty()).then(|| Arc::new(Self::of_sorted(own, values, used + BRANCH_BITS)))
        }))
    }
}

impl<V> Default for Leaf<V> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

impl<V> Leaf<V> {
    /// About where a key stands.
    fn estimate(&self, key: u64, used: u32) -> usize {
        // More than LEAF_MAX different keys share at most 58 bits, so that no leaf lies below 60 and the shift is valid.
        ((u128::from(key << used) * self.entries.len() as u128) >> 64) as usize
    }

    /// The place of a key, or where it would stand. Hashes are spread evenly, so the walk from the estimate is short.
    fn find(&self, key: u64, used: u32) -> Result<usize, usize> {
        let entries = &self.entries;
        let mut at = self.estimate(key, used);
        while at < entries.len() && entries[at].0 < key {
            at += 1;
        }
        while at > 0 && entries[at - 1].0 >= key {
            at -= 1;
        }
        if at < entries.len() && entries[at].0 == key { Ok(at) } else { Err(at) }
    }

    fn split(self, used: u32) -> [Option<Arc<Node<V>>>; FAN_OUT] {
        let mut n = [0; FAN_OUT];
        self.entries.iter().for_each(|(key, _)| n[digit(*key, used)] += 1);
        let mut rest = self.entries.into_iter();
        n.map(|n| {
            // Room for as many again: the next to come allocates nothing.
            let mut entries = Vec::with_capacity(2 * n);
            entries.extend(rest.by_ref().take(n));
            (n > 0).then(|| Arc::new(Node::Leaf(Leaf { entries })))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn spread(x: u64) -> EntityKey {
        EntityKey(x.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    fn leaves<V>(map: &Shards<EntityKey, V>) -> Vec<u64> {
        let (mut keys, mut cursor) = (Vec::new(), Some(0));
        while let Some(at) = cursor {
            let leaf = map.leaf_at(at);
            keys.extend(leaf.entries.iter().map(|(key, _)| *key));
            cursor = leaf.next;
        }
        keys
    }

    #[test]
    fn thousands_of_entries_split_and_stand_in_order() {
        let mut map = Shards::<EntityKey, u64>::default();
        assert!(map.is_empty() && map.iter().next().is_none() && map.get(EntityKey(7)).is_none());
        for x in 0..200_000 {
            assert_eq!(map.insert(spread(x), x), None);
        }
        assert_eq!(map.len(), 200_000);
        for x in 0..200_000 {
            assert_eq!(map.get(spread(x)), Some(&x));
        }
        assert_eq!(map.get(spread(200_001)), None);
        let keys: Vec<u64> = map.iter().map(|(key, _)| key.0).collect();
        assert!(keys.is_sorted() && keys.len() == 200_000);
        assert_eq!(leaves(&map), keys);
        assert_eq!(map.shards().iter().flat_map(|shard| shard.iter().map(|(key, _)| key.0)).collect::<Vec<_>>(), keys);
        for x in 0..200_000 {
            assert_eq!(map.remove(spread(x)), Some(x));
        }
        assert!(map.is_empty() && map.remove(spread(3)).is_none());
    }

    #[test]
    fn many_at_once_are_one_after_the_other() {
        for n in [0, 1, 48, 49, 3_000] {
            // One shard, half of it with keys that share most of their bits.
            let mut keys: Vec<EntityKey> =
                (0..n).map(|x| EntityKey(if x % 2 == 0 { x } else { spread(x).0 >> 9 })).collect();
            keys.sort_unstable();
            keys.dedup();
            let (mut at_once, mut one_by_one) = (Shard::default(), Shard::default());
            at_once.extend(&keys, keys.iter().map(|key| key.0));
            for &key in &keys {
                assert_eq!(one_by_one.insert(key, key.0), None);
            }
            let later = [EntityKey(u64::MAX >> 10), EntityKey(u64::MAX >> 9)];
            at_once.extend(&later, [1, 2]);
            later.iter().zip([1, 2]).for_each(|(&key, value)| assert_eq!(one_by_one.insert(key, value), None));
            assert_eq!(at_once.len(), one_by_one.len());
            assert!(
                at_once
                    .iter()
                    .map(|(key, value)| (key, *value))
                    .eq(one_by_one.iter().map(|(key, value)| (key, *value)))
            );
            assert!(keys.iter().all(|&key| at_once.get(key) == Some(&key.0)));
        }
    }

    #[test]
    fn a_clone_does_not_see_later_changes_and_shares_the_rest() {
        let mut map = Shards::<EntityKey, u64>::default();
        for x in 0..10_000 {
            map.insert(spread(x), x);
        }
        let before = map.clone();
        *map.get_mut(spread(5)).unwrap() = 77;
        map.remove(spread(6));
        *map.entry_or_default(EntityKey(1)) += 4;
        assert!(map.get_mut(EntityKey(2)).is_none());
        assert_eq!(
            (before.get(spread(5)), before.get(spread(6)), before.get(EntityKey(1))),
            (Some(&5), Some(&6), None)
        );
        assert_eq!((map.get(spread(5)), map.get(spread(6)), map.get(EntityKey(1))), (Some(&77), None, Some(&4)));
        let changed = map.shards().iter().zip(before.shards()).filter(|(a, b)| !a.is_same(b)).count();
        assert_eq!(changed, 3);
        assert_ne!(map, before);
    }

    #[test]
    fn keys_that_share_all_but_their_last_bits_are_told_apart() {
        let mut map = Shards::<EntityKey, u64>::default();
        for x in 0..3_000 {
            map.insert(EntityKey(x), x);
            map.insert(EntityKey(u64::MAX - x), x);
        }
        assert_eq!(map.len(), 6_000);
        assert!((0..3_000).all(|x| map.get(EntityKey(x)) == Some(&x) && map.get(EntityKey(u64::MAX - x)) == Some(&x)));
        assert_eq!(leaves(&map).len(), 6_000);
        assert!(map.memory_bytes() > 6_000 * 16);
    }

    proptest! {
        #[test]
        fn it_is_a_map(ops in prop::collection::vec((0..3_u8, 0..900_u64, any::<u32>(), any::<bool>()), 0..1_500)) {
            let mut map = Shards::<EntityKey, u32>::default();
            let mut twin = BTreeMap::new();
            let mut frozen = Vec::new();
            for (i, &(op, key, value, close)) in ops.iter().enumerate() {
                // Half of the keys share 54 bits, so that the tree is deep there.
                let key = if close { EntityKey(key) } else { spread(key) };
                match op {
                    0 => prop_assert_eq!(map.insert(key, value), twin.insert(key, value)),
                    1 => prop_assert_eq!(map.remove(key), twin.remove(&key)),
                    _ => {
                        let own = map.entry_or_default(key);
                        *own = own.wrapping_add(value);
                        let own = twin.entry(key).or_default();
                        *own = own.wrapping_add(value);
                    }
                }
                if i % 200 == 0 {
                    frozen.push((map.clone(), twin.clone()));
                }
            }
            frozen.push((map, twin));
            for (map, twin) in frozen {
                prop_assert_eq!(map.len(), twin.len());
                prop_assert_eq!(map.is_empty(), twin.is_empty());
                prop_assert!(map.iter().map(|(k, v)| (k, *v)).eq(twin.iter().map(|(k, v)| (*k, *v))));
                prop_assert_eq!(leaves(&map), twin.keys().map(|k| k.0).collect::<Vec<_>>());
                prop_assert!(twin.iter().all(|(k, v)| map.get(*k) == Some(v)));
            }
        }
    }
}
