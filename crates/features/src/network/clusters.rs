//! Which accounts are one cluster from when on: a forest of joins that each carry a time, in which earlier ones may still be put.

use super::lives::{Change, Lives, oldest_first, settle};
use super::{Account, Join, KEPT, MAX_DEPTH, NOTED, Network, Node, SWEPT_PER_NEW, Stand, Thing, Use};
use crate::identity::EntityKey;

impl Network {
    /// The account of an event at `time`; a new life if it was idle for too long.
    pub(super) fn see_account(&mut self, key: u64, time: i64) -> Node {
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
    pub(super) fn see_thing(&mut self, key: u64, time: i64, own: Node) {
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
    pub(super) fn link(&mut self, own: Node, other: Use, time: i64) {
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
    pub(super) fn add(&mut self, node: Node, time: i64, change: Change) {
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

    pub(super) fn note_cluster(&mut self, own: Node, time: i64) {
        if let Some((node, root)) = self.root(own, i64::MAX)
            && root.is_linked()
            && time.saturating_sub(root.cluster_last()) > NOTED
            && let Some(root) = self.life_mut(node)
        {
            root.more().cluster_last = time;
        }
    }

    /// What was last heard of before this is too old to be kept.
    pub(super) fn horizon(&self) -> i64 {
        self.clock.now().saturating_sub(KEPT)
    }

    /// The root of an account's cluster as known before `t`. `None` for what has left memory.
    pub(super) fn root(&self, mut node: Node, t: i64) -> Option<(Node, &Account)> {
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
    pub(super) fn root_from(&self, node: Node, time: i64) -> Option<Node> {
        self.root(node, time.saturating_add(1)).map(|(root, _)| root)
    }

    pub(super) fn life(&self, node: Node) -> Option<&Account> {
        // One that has begun earlier, as was learned since, has the same name.
        self.accounts.get(EntityKey(node.key))?.life_at(node.first)
    }

    pub(super) fn life_mut(&mut self, node: Node) -> Option<&mut Account> {
        let account = self.accounts.get_mut(EntityKey(node.key))?;
        if account.is_of(node.first) {
            return Some(account);
        }
        account.more.as_mut()?.older.iter_mut().find(|life| life.is_of(node.first))
    }

    pub(super) fn node_of(&self, seen: Use) -> Option<Node> {
        let life = self.accounts.get(EntityKey(seen.account))?.life_at(seen.time)?;
        Some(Node { key: seen.account, first: life.first })
    }
}
