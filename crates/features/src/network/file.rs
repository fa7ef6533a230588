//! The network as bytes and back.
//!
//! Clusters and things that no reading can see any more are left out, and a join leads to the root that its cluster had at the
//! end of that millisecond: so equal networks are equal bytes, whatever has been swept from memory and in whatever order the
//! events came.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::lives::{Lives, n_unseen};
use super::{Account, AccountMore, Join, MAX_DEPTH, Network, Node, Stand, Thing, ThingMore, Use};
use crate::container::SectionReader;
use crate::identity::EntityKey;
use crate::kernel::{ENTITY_LIFETIME, HistoryError};
use crate::shared::Shared;
use crate::slow_clock::SlowClock;
use crate::varint::{get, get_signed, invalid, put, put_signed};

/// The last event of every cluster of several lives, by its root.
type ClusterLast = HashMap<Node, i64, FixedState>;

impl Network {
    /// Appends the network. Equal networks give equal bytes. O(accounts + things).
    pub fn write_to(&self, out: &mut Vec<u8>) {
        self.write_head(out);
        self.write_accounts(out);
        self.write_things(out);
    }

    /// Reads what [`Network::write_to`] wrote. O(bytes); nothing is allocated by a count alone.
    pub fn read_from(reader: &mut SectionReader<'_>) -> Result<Self, HistoryError> {
        let mut network = Self::read_head(reader)?;
        let n_accounts = reader.u64()?;
        network.read_accounts(n_accounts, reader)?;
        network.check_accounts(reader)?;
        let n_things = reader.u64()?;
        network.read_things(n_things, reader)?;
        network.check_canonical(reader)?;
        Ok(network)
    }

    fn write_accounts(&self, out: &mut Vec<u8>) {
        let cluster_last = self.cluster_last();
        let horizon = self.horizon();
        let n_at = out.len();
        out.extend([0; 8]);
        let (mut n, mut before) = (0_u64, 0);
        for (EntityKey(key), account) in &self.accounts {
            for life in in_order(account) {
                let node = Node { key, first: life.first };
                let last = match self.root(node, i64::MAX) {
                    Some((root, _)) => cluster_last.get(&root).copied().unwrap_or(life.last),
                    None => continue,
                };
                if last < horizon {
                    continue;
                }
                let (mut join, stands) = match &life.more {
                    Some(more) => (more.joined, &more.stands[n_unseen(&more.stands, horizon)..]),
                    None => (None, &[][..]),
                };
                if let Some(join) = &mut join {
                    join.into = self.root_from(join.into, join.time).unwrap_or(join.into);
                }
                put(out, key - before);
                before = key;
                self.write_life(out, life, join, stands);
                n += 1;
            }
        }
        out[n_at..n_at + 8].copy_from_slice(&n.to_le_bytes());
    }

    fn write_life(&self, out: &mut Vec<u8>, life: &Account, join: Option<Join>, stands: &[Stand]) {
        put_signed(out, self.last.wrapping_sub(life.last));
        put(out, life.last.wrapping_sub(life.first) as u64);
        put(out, (stands.len() as u64) << 1 | u64::from(join.is_some()));
        if let Some(Join { time, into }) = join {
            put_signed(out, self.last.wrapping_sub(time));
            out.extend(into.key.to_le_bytes());
            put_signed(out, self.last.wrapping_sub(into.first));
        }
        let mut before = None;
        for stand in stands {
            match before {
                None => put_signed(out, self.last.wrapping_sub(stand.time)),
                Some(before) => put(out, stand.time.wrapping_sub(before) as u64),
            }
            before = Some(stand.time);
            put(out, u64::from(stand.size));
            put(out, u64::from(stand.frauds));
        }
    }

    /// Only clusters of more than one life are listed: for others it is the life's own.
    fn cluster_last(&self) -> ClusterLast {
        let mut cluster_last = ClusterLast::default();
        for (EntityKey(key), account) in &self.accounts {
            for life in account.lives().filter(|life| life.is_linked()) {
                if let Some((root, _)) = self.root(Node { key, first: life.first }, i64::MAX) {
                    let last = cluster_last.entry(root).or_insert(life.last);
                    *last = (*last).max(life.last);
                }
            }
        }
        cluster_last
    }

    fn read_accounts(&mut self, n: u64, reader: &mut SectionReader<'_>) -> Result<(), HistoryError> {
        let mut key = 0_u64;
        // Lives of the key, the newest first.
        let mut lives: Vec<Account> = Vec::new();
        for _ in 0..n {
            let step = get(reader)?;
            if step > 0 {
                self.take_account(key, &mut lives, reader)?;
            }
            key = key.checked_add(step).ok_or_else(|| invalid(reader, "accounts in rising order"))?;
            let last = self.last.wrapping_sub(get_signed(reader)?);
            let first = span_before(reader, last)?;
            if key == 0 || lives.first().is_some_and(|before| first.saturating_sub(before.last) <= ENTITY_LIFETIME.0) {
                return Err(invalid(reader, "lives of an account that do not touch"));
            }
            let more = self.read_cluster(reader, last)?;
            lives.insert(0, Account { first, last, more });
        }
        self.take_account(key, &mut lives, reader)
    }

    fn take_account(
        &mut self,
        key: u64,
        lives: &mut Vec<Account>,
        reader: &SectionReader<'_>,
    ) -> Result<(), HistoryError> {
        let Some(account) = Account::from_lives(std::mem::take(lives)) else { return Ok(()) };
        match self.accounts.insert(EntityKey(key), account) {
            None => Ok(()),
            Some(_) => Err(invalid(reader, "every account once")),
        }
    }

    fn read_cluster(
        &self,
        reader: &mut SectionReader<'_>,
        last: i64,
    ) -> Result<Option<Shared<AccountMore>>, HistoryError> {
        let flags = get(reader)?;
        let mut more = AccountMore { cluster_last: last, ..AccountMore::default() };
        if flags & 1 == 1 {
            let time = self.last.wrapping_sub(get_signed(reader)?);
            let key = reader.u64()?;
            let first = self.last.wrapping_sub(get_signed(reader)?);
            more.joined = Some(Join { time, into: Node { key, first } });
        }
        for _ in 0..flags >> 1 {
            let time = match more.stands.last() {
                None => self.last.wrapping_sub(get_signed(reader)?),
                Some(before) => span_after(reader, before.time)?,
            };
            let count = |reader: &mut SectionReader<'_>| {
                u32::try_from(get(reader)?).map_err(|_| invalid(reader, "a count of 32 bits"))
            };
            let stand = Stand { time, size: count(reader)?, frauds: count(reader)? };
            if stand.size == 0 || more.stands.last().is_some_and(|before| before.time == time) {
                return Err(invalid(reader, "a cluster that has accounts, at rising times"));
            }
            more.stands.push(stand);
        }
        if more.joined.is_some_and(|join| more.stands.last().is_some_and(|stand| stand.time >= join.time)) {
            return Err(invalid(reader, "a cluster up to when it was joined"));
        }
        Ok((flags > 0).then(|| Shared::new(more)))
    }

    /// What the reading code takes for granted: joins lead to accounts that are there, never in a circle. Then notes the last
    /// events of clusters.
    fn check_accounts(&mut self, reader: &SectionReader<'_>) -> Result<(), HistoryError> {
        for (_, account) in &self.accounts {
            for join in account.lives().filter_map(Account::join) {
                let Some(into) = self.life(join.into) else {
                    return Err(invalid(reader, "accounts joined to accounts"));
                };
                if self.depth(join.into) > MAX_DEPTH {
                    return Err(invalid(reader, "clusters no deeper than chance makes them"));
                }
                if !into.is_linked() {
                    return Err(invalid(reader, "a cluster of several accounts at its root"));
                }
            }
        }
        let mut roots: Vec<(Node, i64)> = self.cluster_last().into_iter().collect();
        roots.sort_unstable();
        for (root, last) in roots {
            if let Some(root) = self.life_mut(root) {
                root.more().cluster_last = last;
            }
        }
        Ok(())
    }

    /// Whether there is nothing that a writer leaves out, and joins are as it writes them.
    fn check_canonical(&self, reader: &SectionReader<'_>) -> Result<(), HistoryError> {
        let horizon = self.horizon();
        for (EntityKey(key), account) in &self.accounts {
            for life in account.lives() {
                let root = self.root(Node { key, first: life.first }, i64::MAX);
                if root.is_none_or(|(_, root)| root.cluster_last() < horizon) {
                    return Err(invalid(reader, "clusters that can be read"));
                }
                let Some(more) = &life.more else { continue };
                if n_unseen(&more.stands, horizon) > 0 {
                    return Err(invalid(reader, "no more of a cluster than can be read"));
                }
                if more.joined.is_some_and(|join| self.root_from(join.into, join.time) != Some(join.into)) {
                    return Err(invalid(reader, "clusters joined to the root of their millisecond"));
                }
            }
        }
        if self.things.iter().any(|(_, thing)| thing.lives().any(|life| life.last < horizon)) {
            return Err(invalid(reader, "things that can be read"));
        }
        Ok(())
    }

    /// How many joins lead from an account to its root; stops beyond [`MAX_DEPTH`].
    fn depth(&self, node: Node) -> usize {
        let next = |account: &&Account| account.join().and_then(|join| self.life(join.into));
        std::iter::successors(self.life(node), next).take(MAX_DEPTH + 2).count()
    }

    fn write_things(&self, out: &mut Vec<u8>) {
        let horizon = self.horizon();
        let n_at = out.len();
        out.extend([0; 8]);
        let (mut n, mut before) = (0_u64, 0);
        for (EntityKey(key), thing) in &self.things {
            for life in in_order(thing).into_iter().filter(|life| life.last >= horizon) {
                put(out, key - before);
                before = key;
                self.write_thing(out, life);
                n += 1;
            }
        }
        out[n_at..n_at + 8].copy_from_slice(&n.to_le_bytes());
    }

    fn write_thing(&self, out: &mut Vec<u8>, life: &Thing) {
        put_signed(out, self.last.wrapping_sub(life.last));
        put(out, life.others().len() as u64);
        put(out, life.last.wrapping_sub(life.head.time) as u64);
        out.extend(life.head.account.to_le_bytes());
        let mut time = life.head.time;
        for u in life.others() {
            put(out, u.time.wrapping_sub(time) as u64);
            time = u.time;
            out.extend(u.account.to_le_bytes());
        }
    }

    fn read_things(&mut self, n: u64, reader: &mut SectionReader<'_>) -> Result<(), HistoryError> {
        let mut key = 0_u64;
        let mut lives: Vec<Thing> = Vec::new();
        for _ in 0..n {
            let step = get(reader)?;
            if step > 0 {
                self.take_thing(key, &mut lives, reader)?;
            }
            key = key.checked_add(step).ok_or_else(|| invalid(reader, "things in rising order"))?;
            let last = self.last.wrapping_sub(get_signed(reader)?);
            let n_others = get(reader)?;
            let head = Use { time: span_before(reader, last)?, account: reader.u64()? };
            if key == 0
                || lives.first().is_some_and(|before| head.time.saturating_sub(before.last) <= ENTITY_LIFETIME.0)
            {
                return Err(invalid(reader, "lives of a thing that do not touch"));
            }
            if n_others > self.hub_limit as u64 || head.account == 0 {
                return Err(invalid(reader, "accounts of a thing up to the hub limit and one more"));
            }
            let mut more = ThingMore::default();
            let mut seen = head;
            for _ in 0..n_others {
                let next = Use { time: span_after(reader, seen.time)?, account: reader.u64()? };
                if next <= seen || next.time > last || next.account == 0 {
                    return Err(invalid(reader, "accounts of a thing in the order of their times"));
                }
                more.uses.push(next);
                seen = next;
            }
            let more = (n_others > 0).then(|| Shared::new(more));
            lives.insert(0, Thing { last, head, more });
        }
        self.take_thing(key, &mut lives, reader)
    }

    fn take_thing(&mut self, key: u64, lives: &mut Vec<Thing>, reader: &SectionReader<'_>) -> Result<(), HistoryError> {
        let Some(thing) = Thing::from_lives(std::mem::take(lives)) else { return Ok(()) };
        match self.things.insert(EntityKey(key), thing) {
            None => Ok(()),
            Some(_) => Err(invalid(reader, "every thing once")),
        }
    }
}

/// The network in parts that a database keeps, each written anew only when it may have changed. They hold what memory
/// holds: what can no longer be read may be among it.
impl Network {
    /// What is no part: hub limit, last event, number of forgotten accounts.
    pub(crate) fn write_head(&self, out: &mut Vec<u8>) {
        out.extend((self.hub_limit as u32).to_le_bytes());
        out.extend(self.last.to_le_bytes());
        out.extend(self.n_forgotten.to_le_bytes());
        self.clock.write_to(out);
    }

    /// Reads what [`Network::write_head`] wrote: a network that is about to take parts.
    pub(crate) fn read_head(reader: &mut SectionReader<'_>) -> Result<Self, HistoryError> {
        let mut network = Self::new(reader.u32()?);
        network.last = reader.i64()?;
        network.n_forgotten = reader.u64()?;
        network.clock = SlowClock::read_from(reader)?;
        Ok(network)
    }

    /// The shards of accounts that differ in memory from those of another network, of which this may be a later clone.
    pub(crate) fn changed_accounts(&self, before: &Self) -> Vec<usize> {
        self.accounts.changed_shards(&before.accounts)
    }

    /// The same for things.
    pub(crate) fn changed_things(&self, before: &Self) -> Vec<usize> {
        self.things.changed_shards(&before.things)
    }

    /// Appends the accounts of a shard; nothing where there are none. Times are told from 0, so that a part that does not
    /// change keeps its meaning.
    pub(crate) fn write_account_shard(&self, shard: usize, out: &mut Vec<u8>) {
        let epoch = Self { last: 0, ..Self::new(0) };
        let (n_at, mut n, mut before) = (out.len(), 0_u64, 0);
        for (EntityKey(key), account) in self.accounts.shards().get(shard).into_iter().flatten() {
            if n == 0 {
                out.extend([0; 8]);
            }
            for life in in_order(account) {
                let (join, stands) = match &life.more {
                    Some(more) => (more.joined, &more.stands[..]),
                    None => (None, &[][..]),
                };
                put(out, key - before);
                before = key;
                epoch.write_life(out, life, join, stands);
                n += 1;
            }
        }
        if n > 0 {
            out[n_at..n_at + 8].copy_from_slice(&n.to_le_bytes());
        }
    }

    /// Appends the things of a shard; nothing where there are none.
    pub(crate) fn write_thing_shard(&self, shard: usize, out: &mut Vec<u8>) {
        let epoch = Self { last: 0, ..Self::new(0) };
        let (n_at, mut n, mut before) = (out.len(), 0_u64, 0);
        for (EntityKey(key), thing) in self.things.shards().get(shard).into_iter().flatten() {
            if n == 0 {
                out.extend([0; 8]);
            }
            for life in in_order(thing) {
                put(out, key - before);
                before = key;
                epoch.write_thing(out, life);
                n += 1;
            }
        }
        if n > 0 {
            out[n_at..n_at + 8].copy_from_slice(&n.to_le_bytes());
        }
    }

    /// Takes what [`Network::write_account_shard`] wrote. After all parts, [`Network::finish_parts`] is due.
    pub(crate) fn read_account_shard(&mut self, reader: &mut SectionReader<'_>) -> Result<(), HistoryError> {
        let last = std::mem::replace(&mut self.last, 0);
        let n = reader.u64()?;
        self.read_accounts(n, reader)?;
        self.last = last;
        Ok(())
    }

    /// Takes what [`Network::write_thing_shard`] wrote.
    pub(crate) fn read_thing_shard(&mut self, reader: &mut SectionReader<'_>) -> Result<(), HistoryError> {
        let last = std::mem::replace(&mut self.last, 0);
        let n = reader.u64()?;
        self.read_things(n, reader)?;
        self.last = last;
        Ok(())
    }

    /// Checks that the parts belong together.
    pub(crate) fn finish_parts(&mut self, reader: &SectionReader<'_>) -> Result<(), HistoryError> {
        self.check_accounts(reader)
    }
}

/// The lives of an account or a thing in the order of their times.
fn in_order<V: Lives>(newest: &V) -> Vec<&V> {
    let mut lives: Vec<&V> = newest.lives().collect();
    lives.reverse();
    lives
}

/// A time given by how long it lies after another.
fn span_after(reader: &mut SectionReader<'_>, before: i64) -> Result<i64, HistoryError> {
    let span = get(reader)?;
    let time = i128::from(before) + i128::from(span);
    i64::try_from(time).map_err(|_| invalid(reader, "a time of 64 bits"))
}

/// A time given by how long it lies before another.
fn span_before(reader: &mut SectionReader<'_>, after: i64) -> Result<i64, HistoryError> {
    let span = get(reader)?;
    let time = i128::from(after) - i128::from(span);
    i64::try_from(time).map_err(|_| invalid(reader, "a time of 64 bits"))
}

/// Networks are equal when their bytes are.
impl PartialEq for Network {
    fn eq(&self, other: &Self) -> bool {
        let (mut own, mut others) = (Vec::new(), Vec::new());
        self.write_to(&mut own);
        other.write_to(&mut others);
        own == others
    }
}
