//! Accounts that are linked by shared things: a device, a card, an address, an e-mail address, a phone number.
//!
//! An account is linked to each thing it was seen with, from that moment on, unless the thing was already shared by as many
//! accounts as the hub limit: an office's address, a public terminal. A *cluster* is what links connect. Links never go
//! away while their cluster lives; reading at time t sees only what was learned before t, also where more has been learned
//! since. What is learned in one millisecond does not see each other, and leaves the same network in whatever order it
//! comes.
//!
//! The structure is a union-find forest whose links carry the time from which they hold: the root of an account at t is
//! found along the links older than t, and every root keeps the times at which its cluster's size and frauds changed. The
//! account whose key has the smallest hash becomes the root; that is linking in random order, with O(log n)
//! expected depth and without path compression, which would lose the times.
//!
//! # Lifetime
//! Accounts and things idle for more than [`ENTITY_LIFETIME`] are new again. A cluster counts all its accounts, idle ones
//! too, as long as one of them is not. Things, and clusters as a whole, leave memory [`GRACE`] after that: up to then
//! readings of the past are exact. A reading of before that may miss what has left memory; it never sees what came later.
//!
//! # Reference
//! Linking by random index: Goel, Khanna, Larkin, Tarjan, *Disjoint set union with randomized linking* (2014).

mod file;
#[cfg(test)]
mod tests;

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
struct Account {
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
struct Thing {
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
    /// Events are to be learned in order of `known_at`. One that comes too late counts from the last event of its account
    /// and things on. O(things * log n).
    pub fn learn(&mut self, known_at: i64, account: u64, things: &[u64]) {
        let known_at = known_at.min(LATEST);
        self.last = known_at;
        if account == 0 {
            return;
        }
        self.clock.pass(known_at);
        self.sweep();
        let things = &things[..things.len().min(MAX_THINGS)];
        let mut found = [None; MAX_THINGS];
        self.find_things(things, &mut found);
        let time = found
            .iter()
            .flatten()
            .map(|thing| thing.last)
            .chain(self.accounts.get(EntityKey(account)).map(|account| account.last))
            .fold(known_at, i64::max);
        let own = self.see_account(account, time);
        for (i, &thing) in things.iter().enumerate() {
            if thing != 0
                && !things[..i].contains(&thing)
                && let Some(other) = self.see_thing(thing, time, own)
            {
                self.link(own, other, time);
            }
        }
        self.note_cluster(own, time);
    }

    /// Learns the label of an order of an account, or its reversal: whether it is held to be fraud from `time` on, and was
    /// before. `known_at` is the order's.
    pub fn learn_label(&mut self, account: u64, known_at: i64, time: i64, fraud: bool, was_fraud: bool) {
        let time = time.min(LATEST);
        self.last = time;
        if account == 0 || fraud == was_fraud {
            return;
        }
        let Some(life) = self.accounts.get(EntityKey(account)).and_then(|newest| newest.life_at(known_at)) else {
            return;
        };
        let Some((node, root)) = self.root(Node { key: account, first: life.first }, i64::MAX) else { return };
        let now = root.newest_stand();
        let time = time.max(now.time);
        let frauds = if fraud { now.frauds.saturating_add(1) } else { now.frauds.saturating_sub(1) };
        let horizon = self.horizon();
        if let Some(root) = self.life_mut(node) {
            root.stand(Stand { time, size: now.size, frauds }, horizon);
        }
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

    /// Forgets an account; whether it was there. Things that only it used are forgotten with it. Where it is linked or
    /// shares a thing, a nameless account stays in its place, so that the others' cluster keeps its size and frauds; its
    /// key is made of a running number, not of the account. O(accounts + things).
    pub fn forget_account(&mut self, account: u64) -> bool {
        let Some(record) = self.accounts.remove(EntityKey(account)) else { return false };
        let nameless = loop {
            self.n_forgotten += 1;
            let key = xxhash_rust::xxh3::xxh3_64_with_seed(b"forgotten account", self.n_forgotten);
            if key != 0 && self.accounts.get(EntityKey(key)).is_none() {
                break key;
            }
        };
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

    /// The account of an event at `time`, which is not before its last; a new life if it was idle for too long.
    fn see_account(&mut self, key: u64, time: i64) -> Node {
        let account = self.accounts.entry_or_insert_with(EntityKey(key), || {
            self.sweep.accounts_due += SWEPT_PER_NEW;
            Account { first: time, last: time, more: None }
        });
        if time.saturating_sub(account.last) > ENTITY_LIFETIME.0 {
            let mut before = std::mem::replace(account, Account { first: time, last: time, more: None });
            let mut older = before.more.as_mut().map(|more| std::mem::take(&mut more.older)).unwrap_or_default();
            before.more.take_if(|more| more.is_empty());
            older.push(before);
            account.more().older = older;
        }
        account.last = time;
        Node { key, first: account.first }
    }

    /// Notes that a thing was seen with an account; another account with which that one is linked by it now comes back.
    fn see_thing(&mut self, key: u64, time: i64, own: Node) -> Option<Use> {
        let hub_limit = self.hub_limit;
        let seen = Use { time, account: own.key };
        let thing = self.things.entry_or_insert_with(EntityKey(key), || {
            self.sweep.things_due += SWEPT_PER_NEW;
            Thing { last: time, head: seen, more: None }
        });
        if time.saturating_sub(thing.last) > ENTITY_LIFETIME.0 {
            let mut before = std::mem::replace(thing, Thing { last: time, head: seen, more: None });
            let mut older = before.more.as_mut().map(|more| std::mem::take(&mut more.older)).unwrap_or_default();
            before.more.take_if(|more| more.uses.is_empty());
            older.push(before);
            thing.more.get_or_insert_default().older = older;
        }
        thing.last = time;
        if thing.knows(own, i64::MAX) {
            return None;
        }
        let n_before = thing.n_before(time);
        // All others that it links are linked with its first account already.
        let other = (n_before < hub_limit).then_some(thing.head);
        if n_before <= hub_limit {
            thing.insert(seen, hub_limit + 1);
        }
        other
    }

    /// Links two accounts from `time` on.
    fn link(&mut self, own: Node, other: Use, time: i64) {
        let Some((a, root_a)) = self.root(own, i64::MAX) else { return };
        let Some((b, root_b)) = self.node_of(other).and_then(|node| self.root(node, i64::MAX)) else { return };
        if a == b {
            return;
        }
        let (stand_a, stand_b) = (root_a.newest_stand(), root_b.newest_stand());
        let cluster_last = root_a.cluster_last().max(root_b.cluster_last());
        let time = time.max(stand_a.time).max(stand_b.time);
        let (root, child) = if a.rank() < b.rank() { (a, b) } else { (b, a) };
        if let Some(child) = self.life_mut(child) {
            let more = child.more();
            more.joined = Some(Join { time, into: root });
            // Seen by nobody: who reads later than this starts from the new root.
            more.stands.pop_if(|stand| stand.time == time);
        }
        let horizon = self.horizon();
        if let Some(root) = self.life_mut(root) {
            let size = stand_a.size.saturating_add(stand_b.size);
            let frauds = stand_a.frauds.saturating_add(stand_b.frauds);
            root.stand(Stand { time, size, frauds }, horizon);
            root.more().cluster_last = cluster_last;
        }
    }

    fn note_cluster(&mut self, own: Node, time: i64) {
        if let Some((node, root)) = self.root(own, i64::MAX)
            && root.is_linked()
            && time.saturating_sub(root.cluster_last()) > NOTED
            && let Some(root) = self.life_mut(node)
        {
            root.more().cluster_last = time;
        }
    }

    /// What was last heard of before this is too old to be kept.
    fn horizon(&self) -> i64 {
        self.clock.now().saturating_sub(KEPT)
    }

    /// The root of an account's cluster as known before `t`. `None` for what has left memory.
    fn root(&self, node: Node, t: i64) -> Option<(Node, &Account)> {
        let mut node = node;
        loop {
            let account = self.life(node)?;
            match account.join() {
                Some(join) if join.time < t => node = join.into,
                _ => return Some((node, account)),
            }
        }
    }

    fn life(&self, node: Node) -> Option<&Account> {
        self.accounts.get(EntityKey(node.key))?.lives().find(|life| life.first == node.first)
    }

    fn life_mut(&mut self, node: Node) -> Option<&mut Account> {
        let account = self.accounts.get_mut(EntityKey(node.key))?;
        if account.first == node.first {
            return Some(account);
        }
        account.more.as_mut()?.older.iter_mut().find(|life| life.first == node.first)
    }

    fn node_of(&self, seen: Use) -> Option<Node> {
        let life = self.accounts.get(EntityKey(seen.account))?.life_at(seen.time)?;
        Some(Node { key: seen.account, first: life.first })
    }

    /// Looks at a few more accounts and things where it is due, and takes out what no reading can see.
    fn sweep(&mut self) {
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

/// So many are due before one leaf of them is looked at.
const SWEPT_AT_ONCE: usize = 16;

/// The entries of the leaf at a cursor that have lives which are too old, with the lives that they have left, and how many
/// entries were looked at.
fn lives_left<V: Lives>(
    map: &Shards<EntityKey, V>,
    cursor: &mut u64,
    is_old: impl Fn(u64, &V) -> bool,
) -> (Vec<(EntityKey, Vec<V>)>, usize) {
    let mut found = Vec::new();
    let leaf = map.leaf_at(*cursor);
    for (&key, value) in leaf.keys.iter().zip(leaf.values) {
        if value.lives().any(|life| is_old(key, life)) {
            let left = value.lives().filter(|life| !is_old(key, life)).map(V::single);
            found.push((EntityKey(key), left.collect()));
        }
    }
    *cursor = leaf.next.unwrap_or(0);
    (found, leaf.keys.len())
}

/// What lives, and may live again after a long silence.
trait Lives: Sized {
    /// All lives, the newest first.
    fn lives(&self) -> impl Iterator<Item = &Self>;

    /// This life without those before it.
    fn single(&self) -> Self;
}

impl Node {
    /// Which of two roots becomes that of both: the smaller one. Any order does that has nothing to do with the events'.
    fn rank(self) -> (u64, i64) {
        (self.key.wrapping_mul(0x9E37_79B9_7F4A_7C15), self.first)
    }
}

impl AccountMore {
    fn is_empty(&self) -> bool {
        self.joined.is_none() && self.stands.is_empty() && self.older.is_empty()
    }
}

impl Lives for Account {
    fn lives(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(self.more.iter().flat_map(|more| more.older.iter().rev()))
    }

    fn single(&self) -> Self {
        let mut more = self.more.as_ref().map(|more| {
            Shared::new(AccountMore {
                joined: more.joined,
                stands: more.stands.clone(),
                cluster_last: more.cluster_last,
                older: Vec::new(),
            })
        });
        more.take_if(|more| more.is_empty());
        Self { first: self.first, last: self.last, more }
    }
}

impl Account {
    fn more(&mut self) -> &mut AccountMore {
        let last = self.last;
        self.more.get_or_insert_with(|| Shared::new(AccountMore { cluster_last: last, ..AccountMore::default() }))
    }

    fn for_each_life(&mut self, mut change: impl FnMut(&mut Self)) {
        if let Some(more) = self.more.as_mut() {
            more.older.iter_mut().for_each(&mut change);
        }
        change(self);
    }

    /// A record of lives, the newest first, none of which has others before it.
    fn from_lives(lives: Vec<Self>) -> Option<Self> {
        let mut lives = lives.into_iter();
        let mut newest = lives.next()?;
        let mut older: Vec<Self> = lives.collect();
        if !older.is_empty() {
            older.reverse();
            newest.more().older = older;
        }
        Some(newest)
    }

    /// The life that had begun by `time`.
    fn life_at(&self, time: i64) -> Option<&Self> {
        self.lives().find(|life| life.first <= time)
    }

    /// The life as known before `t`, unless it was idle for too long.
    fn alive_at(&self, t: i64) -> Option<&Self> {
        self.lives().find(|life| life.first < t).filter(|life| t.saturating_sub(life.last) <= ENTITY_LIFETIME.0)
    }

    fn join(&self) -> Option<Join> {
        self.more.as_ref()?.joined
    }

    fn is_linked(&self) -> bool {
        self.more.as_ref().is_some_and(|more| more.joined.is_some() || more.stands.iter().any(|stand| stand.size > 1))
    }

    fn cluster_last(&self) -> i64 {
        self.more.as_ref().map_or(self.last, |more| more.cluster_last.max(self.last))
    }

    /// The cluster of this root as known before `t`.
    fn stand_at(&self, t: i64) -> Stand {
        let stands = self.more.as_ref().map_or(&[][..], |more| &more.stands);
        stands[..stands.partition_point(|stand| stand.time < t)].last().copied().unwrap_or(Stand::ALONE)
    }

    fn newest_stand(&self) -> Stand {
        self.more.as_ref().and_then(|more| more.stands.last().copied()).unwrap_or(Stand::ALONE)
    }

    /// Notes how the cluster of this root stands from a time on that is not before the last.
    fn stand(&mut self, now: Stand, horizon: i64) {
        let stands = &mut self.more().stands;
        match stands.last_mut() {
            Some(last) if last.time == now.time => *last = now,
            _ => {
                let n_unseen = n_unseen(stands, horizon);
                if n_unseen > stands.len() / 2 {
                    stands.drain(..n_unseen);
                }
                stands.push(now);
            }
        }
    }
}

/// How many stands no reading from `horizon` on can see.
fn n_unseen(stands: &[Stand], horizon: i64) -> usize {
    stands.partition_point(|stand| stand.time < horizon).saturating_sub(1)
}

impl Stand {
    /// An account before anything happened to it.
    const ALONE: Self = Self { time: i64::MIN, size: 1, frauds: 0 };
}

impl Lives for Thing {
    fn lives(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(self.more.iter().flat_map(|more| more.older.iter().rev()))
    }

    fn single(&self) -> Self {
        let mut more =
            self.more.as_ref().map(|more| Shared::new(ThingMore { uses: more.uses.clone(), older: Vec::new() }));
        more.take_if(|more| more.uses.is_empty());
        Self { last: self.last, head: self.head, more }
    }
}

impl Thing {
    /// A record of lives, the newest first, none of which has others before it.
    fn from_lives(lives: Vec<Self>) -> Option<Self> {
        let mut lives = lives.into_iter();
        let mut newest = lives.next()?;
        let mut older: Vec<Self> = lives.collect();
        if !older.is_empty() {
            older.reverse();
            newest.more.get_or_insert_default().older = older;
        }
        Some(newest)
    }

    /// The life as known before `t`, unless it was idle for too long.
    fn alive_at(&self, t: i64) -> Option<&Self> {
        self.lives().find(|life| life.head.time < t).filter(|life| t.saturating_sub(life.last) <= ENTITY_LIFETIME.0)
    }

    fn uses(&self) -> impl Iterator<Item = &Use> {
        std::iter::once(&self.head).chain(self.others())
    }

    fn others(&self) -> &[Use] {
        self.more.as_ref().map_or(&[], |more| &more.uses)
    }

    /// Accounts known before `t`.
    fn n_before(&self, t: i64) -> usize {
        usize::from(self.head.time < t) + self.others().partition_point(|u| u.time < t)
    }

    /// Whether this life of an account was seen with it before `t`.
    fn knows(&self, account: Node, t: i64) -> bool {
        self.uses().any(|u| u.account == account.key && u.time >= account.first && u.time < t)
    }

    fn is_used_by(&self, account: u64) -> bool {
        self.uses().any(|u| u.account == account)
    }

    /// Inserts a use in order, and keeps the first `limit`.
    fn insert(&mut self, seen: Use, limit: usize) {
        let later = if seen < self.head { std::mem::replace(&mut self.head, seen) } else { seen };
        if later == self.head || limit <= 1 {
            return;
        }
        let uses = &mut self.more.get_or_insert_default().uses;
        let at = uses.partition_point(|u| *u < later);
        uses.insert(at, later);
        uses.truncate(limit - 1);
    }

    /// With another name for an account.
    fn renamed(mut self, account: u64, name: u64) -> Self {
        let mut uses: Vec<Use> =
            self.uses().map(|u| if u.account == account { Use { account: name, ..*u } } else { *u }).collect();
        uses.sort_unstable();
        self.head = uses.remove(0);
        if let Some(more) = self.more.as_mut() {
            more.uses = uses;
        }
        self
    }
}
