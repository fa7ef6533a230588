//! What is held about one account or thing, and how it is forgotten.

use super::lives::{Lives, RANK_INVERSE};
use super::{Account, AccountExport, Network, Node, Thing, ThingExport};
use crate::identity::EntityKey;

impl Network {
    /// What is held about an account. O(things).
    pub fn export_account(&self, account: u64) -> Option<AccountExport> {
        let newest = self.accounts.get(EntityKey(account))?;
        let stand = self.root(Node { key: account, first: newest.first }, i64::MAX)?.1.newest_stand();
        let n_things =
            self.things.iter().filter(|(_, thing)| thing.lives().any(|life| life.is_used_by(account))).count();
        Some(AccountExport {
            first_seen: newest.lives().map(|life| life.first).min()?,
            last_seen: newest.last,
            cluster_size: stand.size,
            cluster_frauds: stand.frauds,
            n_things: n_things as u64,
        })
    }

    /// What is held about a thing.
    pub fn export_thing(&self, thing: u64) -> Option<ThingExport> {
        let newest = self.things.get(EntityKey(thing))?;
        Some(ThingExport {
            first_seen: newest.lives().map(|life| life.head.time).min()?,
            last_seen: newest.last,
            n_accounts: newest.n_before(i64::MAX) as u32,
        })
    }

    /// Forgets a thing; whether it was there. The accounts that it linked stay linked: clusters hold no things.
    pub fn forget_thing(&mut self, thing: u64) -> bool {
        self.things.remove(EntityKey(thing)).is_some()
    }

    /// A new key for an account, made of a running number. Its rank stands where the account's does among those that joined it
    /// and those that it joined, so that ranks go on falling towards the root.
    fn nameless(&mut self, account: u64) -> u64 {
        let (mut above, mut below) = (0, u64::MAX);
        for (EntityKey(key), other) in &self.accounts {
            for join in other.lives().filter_map(Account::join) {
                if key == account && join.into.key != account {
                    above = above.max(join.into.rank().0);
                } else if key != account && join.into.key == account {
                    below = below.min(Node { key, first: 0 }.rank().0);
                }
            }
        }
        let mut n_tries = 0;
        loop {
            (self.n_forgotten, n_tries) = (self.n_forgotten + 1, n_tries + 1);
            let random = xxhash_rust::xxh3::xxh3_64_with_seed(b"forgotten account", self.n_forgotten);
            // An interval with no other key is as good as impossible.
            let rank = match below.saturating_sub(above) {
                width @ 2.. if n_tries < 64 => above + 1 + random % (width - 1),
                _ => random,
            };
            let key = rank.wrapping_mul(RANK_INVERSE);
            if key != 0 && key != account && self.accounts.get(EntityKey(key)).is_none() {
                return key;
            }
        }
    }

    /// Forgets an account; whether it was there. Things that only it used are forgotten with it. Where it is linked or
    /// shares a thing, a nameless account stays in its place, so that the others' cluster keeps its size and frauds; its
    /// key is made of a running number, not of the account. O(accounts + things).
    pub fn forget_account(&mut self, account: u64) -> bool {
        let nameless = self.nameless(account);
        let Some(record) = self.accounts.remove(EntityKey(account)) else { return false };
        let mut is_shared = record.lives().any(Account::is_linked);
        let users: Vec<EntityKey> = self
            .things
            .iter()
            .filter(|(_, thing)| thing.lives().any(|l| l.is_used_by(account)))
            .map(|(key, _)| key)
            .collect();
        for key in users {
            let thing = self.things.get(key).expect("found just now");
            let lives: Vec<Thing> = thing
                .lives()
                .map(Thing::single)
                .filter_map(|life| if life.uses().all(|u| u.account == account) { None } else { Some(life) })
                .map(|life| life.renamed(account, nameless))
                .collect();
            is_shared |= lives.iter().any(|life| life.is_used_by(nameless));
            match Thing::from_lives(lives) {
                Some(thing) => drop(self.things.insert(key, thing)),
                None => drop(self.things.remove(key)),
            }
        }
        if is_shared {
            let children: Vec<EntityKey> = self
                .accounts
                .iter()
                .filter(|(_, other)| other.lives().any(|life| life.join().is_some_and(|join| join.into.key == account)))
                .map(|(key, _)| key)
                .collect();
            self.accounts.insert(EntityKey(nameless), record);
            for key in children.into_iter().chain([EntityKey(nameless)]) {
                let other = self.accounts.get_mut(key).expect("found just now");
                other.for_each_life(|life| {
                    if let Some(join) = life.more.as_mut().and_then(|more| more.joined.as_mut())
                        && join.into.key == account
                    {
                        join.into.key = nameless;
                    }
                });
            }
        }
        true
    }
}
