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

mod file;
#[cfg(test)]
mod tests;

use std::hint::black_box;

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

    /// The account of an event at `time`; a new life if it was idle for too long.
    fn see_account(&mut self, key: u64, time: i64) -> Node {
        let account = self.accounts.entry_or_insert_with(EntityKey(key), || {
            self.sweep.accounts_due += SWEPT_PER_NEW;
            Account { first: time, last: time, more: None }
        });
        if account.holds(time) {
            account.last = account.last.max(time);
            return Node { key, first: account.first };
        }
        let mut lives = oldest_first(account);
        let (at, later) = settle(&mut lives, time, || Account { first: time, last: time, more: None });
        lives[at].first = lives[at].first.min(time);
        let own = Node { key, first: lives[at].first };
        lives.reverse();
        *account = Account::from_lives(lives).expect("the life of the event is among them");
        if let Some(later) = later {
            let (old, stands) = later.more.as_ref().map_or((None, &[][..]), |more| (more.joined, &more.stands));
            // The account is in the cluster already: it counts once.
            if let Some((a, b, from)) = self.take_over(own, (later.first, Change::NONE), Stand::ALONE, stands, old) {
                self.unite(a, b, from);
            }
            self.note_cluster(own, later.cluster_last());
        }
        own
    }

    /// Notes that a thing was seen with an account, and links the account with the others.
    fn see_thing(&mut self, key: u64, time: i64, own: Node) {
        let hub_limit = self.hub_limit;
        let seen = Use { time, account: own.key };
        let Some(own_last) = self.life(own).map(|life| life.last) else { return };
        let thing = self.things.entry_or_insert_with(EntityKey(key), || {
            self.sweep.things_due += SWEPT_PER_NEW;
            Thing { last: time, head: seen, more: None }
        });
        if thing.holds(time) {
            thing.last = thing.last.max(time);
            if let Some((other, from)) = thing.see(seen, own.first..=own_last, hub_limit) {
                self.link(own, other, from);
            }
            return;
        }
        let mut lives = oldest_first(thing);
        let (at, later) = settle(&mut lives, time, || Thing { last: time, head: seen, more: None });
        let life = &mut lives[at];
        let mut grown_together = None;
        if let Some(later) = later {
            later.uses().for_each(|u| life.insert(*u, hub_limit + 1));
            grown_together = (life.n_before(later.head.time) < hub_limit).then_some((life.head, later.head));
        }
        let linked = life.see(seen, own.first..=own_last, hub_limit);
        lives.reverse();
        *thing = Thing::from_lives(lives).expect("the life of the event is among them");
        if let Some((other, from)) = linked {
            self.link(own, other, from);
        }
        if let Some((one, other)) = grown_together
            && let Some(one) = self.node_of(one)
        {
            self.link(one, other, other.time);
        }
    }

    /// Links two accounts from `time` on.
    fn link(&mut self, own: Node, other: Use, time: i64) {
        let Some(other) = self.node_of(other) else { return };
        let (Some((_, a)), Some((_, b))) = (self.root(own, i64::MAX), self.root(other, i64::MAX)) else { return };
        let cluster_last = a.cluster_last().max(b.cluster_last());
        self.unite(own, other, time);
        if let Some((node, root)) = self.root(own, i64::MAX)
            && root.cluster_last() < cluster_last
            && let Some(root) = self.life_mut(node)
        {
            root.more().cluster_last = cluster_last;
        }
    }

    /// Makes the clusters of two accounts one from `time` on.
    ///
    /// ```text
    /// a -> p at 9, and now a - b at 5:    a -> b at 5, and then b - p at 9, and so on with what the child of these two joined
    /// ```
    fn unite(&mut self, a: Node, b: Node, time: i64) {
        let mut next = Some((a, b, time));
        while let Some((a, b, time)) = next {
            next = self.unite_roots(a, b, time);
        }
    }

    /// One step of it: whom to unite next.
    fn unite_roots(&mut self, a: Node, b: Node, time: i64) -> Option<(Node, Node, i64)> {
        let (a, b) = (self.root_from(a, time)?, self.root_from(b, time)?);
        if a == b {
            return None;
        }
        let (root, child) = if a.rank() < b.rank() { (a, b) } else { (b, a) };
        let more = self.life_mut(child)?.more();
        let old = more.joined.replace(Join { time, into: root });
        // Those of this very time are seen by nobody: who reads later than this starts from the new root.
        let later = more.stands.split_off(more.stands.partition_point(|stand| stand.time < time));
        let before = more.stands.last().copied().unwrap_or(Stand::ALONE);
        self.take_over(root, (time, Change::between(Stand::NOTHING, before)), before, &later, old)
    }

    /// Lets a cluster have from a time on what another one had: `change` then, and what made it differ from `before` later. That
    /// one's join, if it made any, is this one's now: whom to unite next.
    fn take_over(
        &mut self,
        own: Node,
        (time, change): (i64, Change),
        mut before: Stand,
        later: &[Stand],
        old: Option<Join>,
    ) -> Option<(Node, Node, i64)> {
        self.add(own, time, change);
        for stand in later {
            self.add(own, stand.time, Change::between(before, *stand));
            before = *stand;
        }
        let Join { time, into } = old?;
        self.add(into, time, Change::between(before, Stand::NOTHING));
        Some((own, into, time))
    }

    /// Lets the cluster of an account change at a time, and those that it joined since with it.
    fn add(&mut self, node: Node, time: i64, change: Change) {
        if change == Change::NONE {
            return;
        }
        let horizon = self.horizon();
        let mut next = Some((node, time));
        while let Some((node, time)) = next {
            let Some(root) = self.root_from(node, time).and_then(|root| self.life_mut(root)) else { return };
            root.change(time, change, horizon);
            next = root.join().map(|join| (join.into, join.time));
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
    fn root(&self, mut node: Node, t: i64) -> Option<(Node, &Account)> {
        for _ in 0..=MAX_DEPTH {
            let account = self.life(node)?;
            match account.join() {
                Some(join) if join.time < t => node = join.into,
                _ => return Some((Node { key: node.key, first: account.first }, account)),
            }
        }
        None
    }

    /// The root from `time` on, which may have joined another one later.
    fn root_from(&self, node: Node, time: i64) -> Option<Node> {
        self.root(node, time.saturating_add(1)).map(|(root, _)| root)
    }

    fn life(&self, node: Node) -> Option<&Account> {
        // One that has begun earlier, as was learned since, has the same name.
        self.accounts.get(EntityKey(node.key))?.life_at(node.first)
    }

    fn life_mut(&mut self, node: Node) -> Option<&mut Account> {
        let account = self.accounts.get_mut(EntityKey(node.key))?;
        if account.is_of(node.first) {
            return Some(account);
        }
        account.more.as_mut()?.older.iter_mut().find(|life| life.is_of(node.first))
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

/// The lives of an account or a thing in the order of their times.
fn oldest_first<V: Lives>(newest: &V) -> Vec<V> {
    let mut lives: Vec<V> = newest.lives().map(V::single).collect();
    lives.reverse();
    lives
}

/// Puts an event among lives, the oldest first: the position of its life comes back. Where it is near to two they grow
/// together: the later one comes back, whose last event is that of the earlier one now.
fn settle<V: Lives>(lives: &mut Vec<V>, time: i64, new: impl FnOnce() -> V) -> (usize, Option<V>) {
    let at = lives.partition_point(|life| life.span().0 <= time);
    let is_near_earlier = at > 0 && lives[at - 1].holds(time);
    let is_near_later = lives.get(at).is_some_and(|life| life.span().0.saturating_sub(time) <= ENTITY_LIFETIME.0);
    if !is_near_earlier {
        if !is_near_later {
            lives.insert(at, new());
        }
        return (at, None);
    }
    let later = is_near_later.then(|| lives.remove(at));
    let last = later.as_ref().map_or(time, |later| later.span().1);
    let life = &mut lives[at - 1];
    life.extend_to(last);
    (at - 1, later)
}

/// What lives, and may live again after a long silence.
trait Lives: Sized {
    /// First and last event.
    fn span(&self) -> (i64, i64);

    /// Notes an event that may be the last.
    fn extend_to(&mut self, time: i64);

    /// Whether an event that is not before the first belongs to this life and no later one.
    fn holds(&self, time: i64) -> bool {
        let (first, last) = self.span();
        first <= time && time.saturating_sub(last) <= ENTITY_LIFETIME.0
    }

    /// All lives, the newest first.
    fn lives(&self) -> impl Iterator<Item = &Self>;

    /// This life without those before it.
    fn single(&self) -> Self;
}

impl Node {
    /// Which of two roots becomes that of both: the smaller one. Any order does that has nothing to do with the events'.
    fn rank(self) -> (u64, i64) {
        (self.key.wrapping_mul(RANK_FACTOR), self.first)
    }
}

const RANK_FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
/// The number with which it multiplies to 1.
const RANK_INVERSE: u64 = 0xF1DE_83E1_9937_733D;

/// By how much a cluster changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Change {
    size: i64,
    frauds: i64,
}

impl Change {
    const NONE: Self = Self { size: 0, frauds: 0 };

    fn between(before: Stand, after: Stand) -> Self {
        let step = |before: u32, after: u32| i64::from(after) - i64::from(before);
        Self { size: step(before.size, after.size), frauds: step(before.frauds, after.frauds) }
    }
}

impl AccountMore {
    fn is_empty(&self) -> bool {
        self.joined.is_none() && self.stands.is_empty() && self.older.is_empty()
    }
}

impl Lives for Account {
    fn span(&self) -> (i64, i64) {
        (self.first, self.last)
    }

    fn extend_to(&mut self, time: i64) {
        self.last = self.last.max(time);
    }

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

    /// The life to which a time belongs at which there was an event.
    fn life_at(&self, time: i64) -> Option<&Self> {
        self.lives().find(|life| life.is_of(time))
    }

    fn is_of(&self, time: i64) -> bool {
        (self.first..=self.last).contains(&time)
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

    /// Lets the cluster of this root change at a time.
    fn change(&mut self, time: i64, change: Change, horizon: i64) {
        let stands = &mut self.more().stands;
        let n_unseen = n_unseen(stands, horizon);
        if n_unseen > stands.len() / 2 {
            stands.drain(..n_unseen);
        }
        let at = stands.partition_point(|stand| stand.time < time);
        let before = at.checked_sub(1).map_or(Stand::ALONE, |before| stands[before]);
        if stands.get(at).is_none_or(|stand| stand.time > time) {
            stands.insert(at, Stand { time, ..before });
        }
        let changed = |n: u32, by: i64, least: i64| {
            u32::try_from((i64::from(n) + by).clamp(least, i64::from(u32::MAX))).unwrap_or(u32::MAX)
        };
        for stand in &mut stands[at..] {
            stand.size = changed(stand.size, change.size, 1);
            stand.frauds = changed(stand.frauds, change.frauds, 0);
        }
        if Change::between(before, stands[at]) == Change::NONE {
            stands.remove(at);
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
    /// No account.
    const NOTHING: Self = Self { time: i64::MIN, size: 0, frauds: 0 };
}

impl Lives for Thing {
    fn span(&self) -> (i64, i64) {
        (self.head.time, self.last)
    }

    fn extend_to(&mut self, time: i64) {
        self.last = self.last.max(time);
    }

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

    /// Notes a use by a life of an account that spans these times; whom the account is linked with by it, and from when on.
    fn see(&mut self, seen: Use, own: std::ops::RangeInclusive<i64>, hub_limit: usize) -> Option<(Use, i64)> {
        let known = self.uses().find(|u| u.account == seen.account && own.contains(&u.time)).copied();
        match known {
            Some(known) if known.time <= seen.time => return None,
            Some(known) => {
                let mut uses: Vec<Use> = self.uses().map(|u| if *u == known { seen } else { *u }).collect();
                uses.sort_unstable();
                self.set_uses(uses);
            }
            None if self.n_before(seen.time) <= hub_limit => self.insert(seen, hub_limit + 1),
            None => {}
        }
        // All others that it links are linked with its first account already.
        let other = if self.head == seen { *self.others().first()? } else { self.head };
        let from = seen.time.max(other.time);
        (self.n_before(from) < hub_limit).then_some((other, from))
    }

    /// Sets the uses, sorted; there is one.
    fn set_uses(&mut self, mut uses: Vec<Use>) {
        self.head = uses.remove(0);
        if let Some(more) = self.more.as_mut() {
            more.uses = uses;
        }
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
        self.set_uses(uses);
        self
    }
}
