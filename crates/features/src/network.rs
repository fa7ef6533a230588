//! Accounts that are linked by shared things: a device, a card, an address, an e-mail address, a phone number.
//!
//! An account is linked to each thing it was seen with, from that moment on, unless the thing was already shared by as many
//! accounts as the hub limit: an office's address, a public terminal. A *cluster* is what links connect. Links never go
//! away while their cluster lives; reading at time t sees only what was learned before t, also where more has been learned
//! since. What is learned in one millisecond does not see each other, and leaves the same network in whatever order it
//! comes. So does what is learned out of the order of its times, as events do that are dated ahead of their arrival: each
//! counts from its own time on, and a wrong date in the future hides nothing that comes before it. There is one exception:
//! a link stays that a thing made while it was no hub, also where an account that comes later was there earlier and makes it one.
//!
//! The structure is a union-find forest whose links carry the time from which they hold: the root of an account at t is
//! found along the links older than t, and every root keeps the times at which its cluster's size and frauds changed. The
//! account whose key has the smallest hash becomes the root; that is linking in random order, with O(log n)
//! expected depth and without path compression, which would lose the times. A link from before later ones is put between
//! them: a root of that time joins the other one then, and what it joined later is linked to its new root instead.
//!
//! # Lifetime
//! Accounts and things idle for more than [`ENTITY_LIFETIME`] are new again; two lives are one as soon as an event between
//! them is known that is not too far from either (a thing then counts an account of both twice). A cluster counts all its accounts, idle ones
//! too, as long as one of them is not. Things, and clusters as a whole, leave memory [`GRACE`] after that: up to then
//! readings of the past are exact. A reading of before that may miss what has left memory; it never sees what came later.
//!
//! # Reference
//! Linking by random index: Goel, Khanna, Larkin, Tarjan, *Disjoint set union with randomized linking* (2014).

mod clusters;
mod file;
mod forget;
mod lives;
mod sweep;
#[cfg(test)]
mod tests;

use std::hint::black_box;

use lives::Change;

use crate::identity::EntityKey;
use crate::kernel::ENTITY_LIFETIME;
use crate::language::feature::FIRST_SEEN;
use crate::shards::{Shards, get_each};
use crate::shared::Shared;
use crate::slow_clock::SlowClock;
use crate::time::Span;

/// For how long beyond their lifetime entities, things and clusters are kept, for readings that come late.
pub const GRACE: Span = Span::days(30);
/// Accounts per thing from which on it links no further ones.
pub const DEFAULT_HUB_LIMIT: u32 = 20;
/// Most things of one event that are looked at.
pub const MAX_THINGS: usize = 64;

/// Milliseconds for which what lives is kept after the last event of it.
pub(crate) const KEPT: i64 = ENTITY_LIFETIME.0 + GRACE.0;
/// A cluster's last event is noted when it is later than the noted one by more than this, so that most events of a cluster
/// change nothing at its root.
const NOTED: i64 = Span::DAY.0;
/// The latest time that is learned, so that there is one at which all has been learned.
const LATEST: i64 = i64::MAX - 1;
/// Most joins from an account to its root. Ranks are as good as random, so even 30 are rare; more are there to waste time.
const MAX_DEPTH: usize = 1_000;
/// For each account or thing that comes, so many are looked at for being too old: a few with each event, so that no event
/// takes much longer than others, and enough that those which are too old stay fewer than the others.
const SWEPT_PER_NEW: usize = 4;

/// Which accounts were linked when, and which frauds of theirs were known when. See the module.
#[derive(Clone, Debug)]
pub struct Network {
    hub_limit: usize,
    accounts: Shards<EntityKey, Account>,
    things: Shards<EntityKey, Thing>,
    /// When the event or label that was learned last became known.
    last: i64,
    n_forgotten: u64,
    /// Says what is too old to be kept.
    clock: SlowClock,
    sweep: Sweep,
}

/// Where the search for what is too old has come.
#[derive(Clone, Copy, Debug)]
struct Sweep {
    account_cursor: u64,
    thing_cursor: u64,
    /// How many are still to be looked at.
    accounts_due: usize,
    things_due: usize,
}

/// One life of an account: it ends when the account is idle for too long.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    first: i64,
    last: i64,
    /// What accounts have that were ever linked, or had a fraud, or a life before.
    more: Option<Shared<AccountMore>>,
}

#[derive(Clone, Debug, Default)]
struct AccountMore {
    joined: Option<Join>,
    /// Size and frauds of the cluster while this account is its root, by rising time.
    stands: Vec<Stand>,
    /// Last event of the cluster, at most [`NOTED`] too early; at roots only.
    cluster_last: i64,
    /// Earlier lives, oldest first; they have none themselves.
    older: Vec<Account>,
}

/// A life of an account is told by its key and its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Node {
    key: u64,
    first: i64,
}

/// From `time` on, the cluster of this root belongs to that of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Join {
    time: i64,
    into: Node,
}

/// A cluster as known from `time` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stand {
    time: i64,
    size: u32,
    frauds: u32,
}

/// One life of a thing.
#[derive(Clone, Debug)]
pub(crate) struct Thing {
    last: i64,
    /// The smallest of its uses; all things have one.
    head: Use,
    more: Option<Shared<ThingMore>>,
}

#[derive(Clone, Debug, Default)]
struct ThingMore {
    /// The other uses by (time, account). With the head at most the hub limit + 1.
    uses: Vec<Use>,
    /// Earlier lives, oldest first; they have none themselves.
    older: Vec<Thing>,
}

/// An account was seen with the thing for the first time (in this life of the account).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Use {
    time: i64,
    account: u64,
}

/// What is known of an order's account. NaN: the order has no account; [`FIRST_SEEN`]: the account is new, and none of the
/// order's things links it to others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NetworkReading {
    /// Accounts of the cluster to which the order belongs: its own account, and those linked to it or to one of its things.
    pub cluster_size: f32,
    /// Orders of these accounts that are known as fraud.
    pub cluster_frauds: f32,
    /// Things of this order that its account never used before and other accounts did, hubs not counted.
    pub new_links: f32,
}

/// What is held about an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct AccountExport {
    /// First event, milliseconds since the epoch.
    pub first_seen: i64,
    /// Last event, milliseconds since the epoch.
    pub last_seen: i64,
    /// Accounts of its cluster, itself among them.
    pub cluster_size: u32,
    /// Known frauds of the cluster.
    pub cluster_frauds: u32,
    /// Things that it was seen with.
    pub n_things: u64,
}

/// What is held about a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ThingExport {
    /// First event, milliseconds since the epoch.
    pub first_seen: i64,
    /// Last event, milliseconds since the epoch.
    pub last_seen: i64,
    /// Accounts seen with it, at most the hub limit + 1.
    pub n_accounts: u32,
}

impl Network {
    /// A network without accounts; a thing with `hub_limit` accounts links no further one.
    pub fn new(hub_limit: u32) -> Self {
        Self {
            hub_limit: hub_limit as usize,
            accounts: Shards::default(),
            things: Shards::default(),
            last: i64::MIN,
            n_forgotten: 0,
            clock: SlowClock::new(),
            sweep: Sweep { account_cursor: 0, thing_cursor: 0, accounts_due: 0, things_due: 0 },
        }
    }

    /// Accounts per thing from which on it links no further ones.
    pub fn hub_limit(&self) -> u32 {
        self.hub_limit as u32
    }

    /// Number of accounts held.
    pub fn n_accounts(&self) -> usize {
        self.accounts.len()
    }

    /// Number of things held.
    pub fn n_things(&self) -> usize {
        self.things.len()
    }

    /// Accounts and things, for looking them up side by side with others.
    pub(crate) fn maps(&self) -> (&Shards<EntityKey, Account>, &Shards<EntityKey, Thing>) {
        (&self.accounts, &self.things)
    }

    /// Whether an account is held.
    pub fn has_account(&self, account: u64) -> bool {
        self.accounts.get(EntityKey(account)).is_some()
    }

    /// Whether a thing is held.
    pub fn has_thing(&self, thing: u64) -> bool {
        self.things.get(EntityKey(thing)).is_some()
    }

    /// Bytes held. O(accounts + things).
    pub fn memory_bytes(&self) -> usize {
        fn of_account(account: &Account) -> usize {
            account.more.as_ref().map_or(0, |more| {
                size_of::<AccountMore>()
                    + more.stands.capacity() * size_of::<Stand>()
                    + more.older.capacity() * size_of::<Account>()
                    + more.older.iter().map(of_account).sum::<usize>()
            })
        }
        fn of_thing(thing: &Thing) -> usize {
            thing.more.as_ref().map_or(0, |more| {
                size_of::<ThingMore>()
                    + more.uses.capacity() * size_of::<Use>()
                    + more.older.capacity() * size_of::<Thing>()
                    + more.older.iter().map(of_thing).sum::<usize>()
            })
        }
        self.accounts.memory_bytes()
            + self.things.memory_bytes()
            + self.accounts.iter().map(|(_, account)| of_account(account)).sum::<usize>()
            + self.things.iter().map(|(_, thing)| of_thing(thing)).sum::<usize>()
    }

    /// Learns that an account was seen with things; 0 is a missing one, and without an account nothing is learned.
    ///
    /// Events may come in any order; each counts from its own `known_at` on. O(things * log n), and where later ones of its
    /// cluster were learned before it, O(changes of the cluster since).
    pub fn learn(&mut self, known_at: i64, account: u64, things: &[u64]) {
        let time = known_at.min(LATEST);
        self.last = time;
        if account == 0 {
            return;
        }
        self.clock.pass(time);
        self.sweep();
        let things = &things[..things.len().min(MAX_THINGS)];
        // All are asked for at once, so that the waits for memory overlap.
        let mut found = [None; MAX_THINGS];
        self.find_things(things, &mut found);
        black_box(found.iter().flatten().fold(0, |all, thing| all ^ thing.last));
        let own = self.see_account(account, time);
        for (i, &thing) in things.iter().enumerate() {
            if thing != 0 && !things[..i].contains(&thing) {
                self.see_thing(thing, time, own);
            }
        }
        self.note_cluster(own, time);
    }

    /// Learns the label of an order of an account, or its reversal: whether it is held to be fraud from `time` on, and was
    /// before. `known_at` is the order's.
    pub fn learn_label(&mut self, account: u64, known_at: i64, time: i64, fraud: bool, was_fraud: bool) {
        let (known_at, time) = (known_at.min(LATEST), time.min(LATEST));
        self.last = time;
        if account == 0 || fraud == was_fraud {
            return;
        }
        let Some(life) = self.accounts.get(EntityKey(account)).and_then(|newest| newest.life_at(known_at)) else {
            return;
        };
        let change = Change { size: 0, frauds: if fraud { 1 } else { -1 } };
        self.add(Node { key: account, first: life.first }, time, change);
    }

    /// Reads what was known before `t` of an order's account and things (0 = missing), and writes for each thing how many
    /// accounts were seen with it: at most the hub limit + 1, NaN for a missing thing, [`FIRST_SEEN`] for a new one.
    ///
    /// The order's own things count as links: a new account on a known device belongs to that device's cluster.
    /// O(things * log n); things beyond [`MAX_THINGS`] link nothing.
    ///
    /// # Panics
    /// If `accounts_per` is not as long as `things`: a caller's bug.
    pub fn read(&self, t: i64, account: u64, things: &[u64], accounts_per: &mut [f32]) -> NetworkReading {
        assert_eq!(things.len(), accounts_per.len(), "one place per thing");
        let mut found = [None; MAX_THINGS];
        self.find_things(&things[..things.len().min(MAX_THINGS)], &mut found);
        // The accounts that are looked at below, so that the waits for memory overlap.
        let mut wanted = [(&self.accounts, EntityKey(account)); MAX_THINGS + 1];
        for (place, thing) in wanted[1..].iter_mut().zip(&found) {
            place.1 = EntityKey(thing.map_or(0, |thing: &Thing| thing.head.account));
        }
        let mut accounts = [None; MAX_THINGS + 1];
        get_each(&wanted[..=things.len().min(MAX_THINGS)], &mut accounts);
        let newest = if account == 0 { None } else { accounts[0] };
        let own = newest.and_then(|newest: &Account| newest.alive_at(t));
        let mut roots = [Node { key: 0, first: 0 }; MAX_THINGS + 1];
        let (mut n_roots, mut size, mut frauds, mut new_links) = (0, u64::from(own.is_none()), 0_u64, 0);
        let mut add = |found: Option<(Node, &Account)>| {
            if let Some((node, root)) = found
                && !roots[..n_roots].contains(&node)
            {
                roots[n_roots] = node;
                n_roots += 1;
                let stand = root.stand_at(t);
                size += u64::from(stand.size);
                frauds += u64::from(stand.frauds);
            }
        };
        add(own.and_then(|own| self.root(Node { key: account, first: own.first }, t)));
        for (i, (&key, accounts_per)) in things.iter().zip(accounts_per).enumerate() {
            if key == 0 {
                *accounts_per = f32::NAN;
                continue;
            }
            let newest = found.get(i).copied().unwrap_or_else(|| self.things.get(EntityKey(key)));
            let Some(thing) = newest.and_then(|newest| newest.alive_at(t)) else {
                *accounts_per = FIRST_SEEN;
                continue;
            };
            let n = thing.n_before(t);
            *accounts_per = n as f32;
            if account == 0 || n >= self.hub_limit || i >= MAX_THINGS || things[..i].contains(&key) {
                continue;
            }
            if !own.is_some_and(|own| thing.knows(Node { key: account, first: own.first }, t)) {
                new_links += 1;
                add(self.node_of(thing.head).and_then(|node| self.root(node, t)));
            }
        }
        if account == 0 {
            NetworkReading { cluster_size: f32::NAN, cluster_frauds: f32::NAN, new_links: f32::NAN }
        } else if n_roots == 0 {
            NetworkReading { cluster_size: FIRST_SEEN, cluster_frauds: FIRST_SEEN, new_links: FIRST_SEEN }
        } else {
            NetworkReading { cluster_size: size as f32, cluster_frauds: frauds as f32, new_links: new_links as f32 }
        }
    }

    /// Looks up at most [`MAX_THINGS`] things at once.
    fn find_things<'a>(&'a self, things: &[u64], found: &mut [Option<&'a Thing>; MAX_THINGS]) {
        let mut wanted = [(&self.things, EntityKey(0)); MAX_THINGS];
        for (place, &thing) in wanted.iter_mut().zip(things) {
            place.1 = EntityKey(thing);
        }
        get_each(&wanted[..things.len()], found);
    }
}
