//! All entries of a map or of a shard, in the order of their keys.

use std::marker::PhantomData;
use std::sync::Arc;

use super::{Leaf, Node, Shard, ShardKey, Shards};

/// Entries in rising order of their keys.
#[derive(Clone, Debug)]
pub struct Iter<'a, K, V> {
    shards: std::slice::Iter<'a, Shard<K, V>>,
    branches: Vec<std::slice::Iter<'a, Option<Arc<Node<V>>>>>,
    leaf: Option<(&'a Leaf<V>, usize)>,
    key: PhantomData<K>,
}

impl<'a, K, V> Iter<'a, K, V> {
    pub(super) fn over(shards: &'a [Shard<K, V>]) -> Self {
        Self { shards: shards.iter(), branches: Vec::new(), leaf: None, key: PhantomData }
    }
}

impl<'a, K: ShardKey, V> Iterator for Iter<'a, K, V> {
    type Item = (K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((leaf, at)) = &mut self.leaf {
                if let Some((key, value)) = leaf.entries.get(*at) {
                    *at += 1;
                    return Some((K::from_bits(*key), value));
                }
                self.leaf = None;
            }
            let node = loop {
                match self.branches.last_mut() {
                    Some(children) => match children.next() {
                        Some(child) => break child,
                        None => {
                            self.branches.pop();
                        }
                    },
                    None => break &self.shards.next()?.root,
                }
            };
            match node.as_deref() {
                Some(Node::Leaf(leaf)) => self.leaf = Some((leaf, 0)),
                Some(Node::Branch(children)) => self.branches.push(children.iter()),
                None => {}
            }
        }
    }
}

impl<'a, K: ShardKey, V> IntoIterator for &'a Shards<K, V> {
    type Item = (K, &'a V);
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a, K: ShardKey, V> IntoIterator for &'a Shard<K, V> {
    type Item = (K, &'a V);
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
