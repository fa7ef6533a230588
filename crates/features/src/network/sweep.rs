//! What no reading can see any more leaves memory, a leaf at a time.

use super::lives::Lives;
use super::{Account, NOTED, Network, Node, Sweep, Thing};
use crate::identity::EntityKey;
use crate::shards::Shards;

/// So many are due before one leaf of them is looked at.
const SWEPT_AT_ONCE: usize = 16;

impl Network {
    /// Looks at a few more accounts and things where it is due, and takes out what no reading can see.
    pub(super) fn sweep(&mut self) {
        // The last event of a cluster is noted up to a day too early.
        let horizon = self.horizon().saturating_sub(2 * NOTED);
        let Sweep { mut account_cursor, mut thing_cursor, .. } = self.sweep;
        if self.sweep.things_due >= SWEPT_AT_ONCE {
            let is_old = |_: u64, life: &Thing| life.last < horizon;
            let (found, n_seen) = lives_left(&self.things, &mut thing_cursor, is_old);
            for (key, lives) in found {
                match Thing::from_lives(lives) {
                    Some(thing) => drop(self.things.insert(key, thing)),
                    None => drop(self.things.remove(key)),
                }
            }
            self.sweep.things_due = self.sweep.things_due.saturating_sub(n_seen.max(1));
        }
        if self.sweep.accounts_due >= SWEPT_AT_ONCE {
            let is_old = |key: u64, life: &Account| {
                let root = || self.root(Node { key, first: life.first }, i64::MAX);
                life.last < horizon && root().is_none_or(|(_, root)| root.cluster_last() < horizon)
            };
            let (found, n_seen) = lives_left(&self.accounts, &mut account_cursor, is_old);
            for (key, lives) in found {
                match Account::from_lives(lives) {
                    Some(account) => drop(self.accounts.insert(key, account)),
                    None => drop(self.accounts.remove(key)),
                }
            }
            self.sweep.accounts_due = self.sweep.accounts_due.saturating_sub(n_seen.max(1));
        }
        (self.sweep.account_cursor, self.sweep.thing_cursor) = (account_cursor, thing_cursor);
    }
}

/// The entries of the leaf at a cursor that have lives which are too old, with the lives that they have left, and how many
/// entries were looked at.
fn lives_left<V: Lives>(
    map: &Shards<EntityKey, V>,
    cursor: &mut u64,
    is_old: impl Fn(u64, &V) -> bool,
) -> (Vec<(EntityKey, Vec<V>)>, usize) {
    let mut found = Vec::new();
    let leaf = map.leaf_at(*cursor);
    for (key, value) in leaf.entries {
        if value.lives().any(|life| is_old(*key, life)) {
            let left = value.lives().filter(|life| !is_old(*key, life)).map(V::single);
            found.push((EntityKey(*key), left.collect()));
        }
    }
    *cursor = leaf.next.unwrap_or(0);
    (found, leaf.entries.len())
}
