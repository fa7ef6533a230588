//! What is held of one account or thing: its lives, and what is known of it from when on.

use super::{Account, AccountMore, Join, Node, Stand, Thing, ThingMore, Use};
use crate::kernel::ENTITY_LIFETIME;
use crate::shared::Shared;

/// The lives of an account or a thing in the order of their times.
pub(super) fn oldest_first<V: Lives>(newest: &V) -> Vec<V> {
    let mut lives: Vec<V> = newest.lives().map(V::single).collect();
    lives.reverse();
    lives
}

/// Puts an event among lives, the oldest first: the position of its life comes back. Where it is near to two they grow
/// together: the later one comes back, whose last event is that of the earlier one now.
pub(super) fn settle<V: Lives>(lives: &mut Vec<V>, time: i64, new: impl FnOnce() -> V) -> (usize, Option<V>) {
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
pub(super) trait Lives: Sized {
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
    pub(super) fn rank(self) -> (u64, i64) {
        (self.key.wrapping_mul(RANK_FACTOR), self.first)
    }
}

const RANK_FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
/// The number with which it multiplies to 1.
pub(super) const RANK_INVERSE: u64 = 0xF1DE_83E1_9937_733D;

/// By how much a cluster changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) size: i64,
    pub(super) frauds: i64,
}

impl Change {
    pub(super) const NONE: Self = Self { size: 0, frauds: 0 };

    pub(super) fn between(before: Stand, after: Stand) -> Self {
        let step = |before: u32, after: u32| i64::from(after) - i64::from(before);
        Self { size: step(before.size, after.size), frauds: step(before.frauds, after.frauds) }
    }
}

impl AccountMore {
    pub(super) fn is_empty(&self) -> bool {
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
    pub(super) fn more(&mut self) -> &mut AccountMore {
        let last = self.last;
        self.more.get_or_insert_with(|| Shared::new(AccountMore { cluster_last: last, ..AccountMore::default() }))
    }

    pub(super) fn for_each_life(&mut self, mut change: impl FnMut(&mut Self)) {
        if let Some(more) = self.more.as_mut() {
            more.older.iter_mut().for_each(&mut change);
        }
        change(self);
    }

    /// A record of lives, the newest first, none of which has others before it.
    pub(super) fn from_lives(lives: Vec<Self>) -> Option<Self> {
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
    pub(super) fn life_at(&self, time: i64) -> Option<&Self> {
        self.lives().find(|life| life.is_of(time))
    }

    pub(super) fn is_of(&self, time: i64) -> bool {
        (self.first..=self.last).contains(&time)
    }

    /// The life as known before `t`, unless it was idle for too long.
    pub(super) fn alive_at(&self, t: i64) -> Option<&Self> {
        self.lives().find(|life| life.first < t).filter(|life| t.saturating_sub(life.last) <= ENTITY_LIFETIME.0)
    }

    pub(super) fn join(&self) -> Option<Join> {
        self.more.as_ref()?.joined
    }

    pub(super) fn is_linked(&self) -> bool {
        self.more.as_ref().is_some_and(|more| more.joined.is_some() || more.stands.iter().any(|stand| stand.size > 1))
    }

    pub(super) fn cluster_last(&self) -> i64 {
        self.more.as_ref().map_or(self.last, |more| more.cluster_last.max(self.last))
    }

    /// The cluster of this root as known before `t`.
    pub(super) fn stand_at(&self, t: i64) -> Stand {
        let stands = self.more.as_ref().map_or(&[][..], |more| &more.stands);
        stands[..stands.partition_point(|stand| stand.time < t)].last().copied().unwrap_or(Stand::ALONE)
    }

    pub(super) fn newest_stand(&self) -> Stand {
        self.more.as_ref().and_then(|more| more.stands.last().copied()).unwrap_or(Stand::ALONE)
    }

    /// Lets the cluster of this root change at a time.
    pub(super) fn change(&mut self, time: i64, change: Change, horizon: i64) {
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
pub(super) fn n_unseen(stands: &[Stand], horizon: i64) -> usize {
    stands.partition_point(|stand| stand.time < horizon).saturating_sub(1)
}

impl Stand {
    /// An account before anything happened to it.
    pub(super) const ALONE: Self = Self { time: i64::MIN, size: 1, frauds: 0 };
    /// No account.
    pub(super) const NOTHING: Self = Self { time: i64::MIN, size: 0, frauds: 0 };
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
    pub(super) fn from_lives(lives: Vec<Self>) -> Option<Self> {
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
    pub(super) fn alive_at(&self, t: i64) -> Option<&Self> {
        self.lives().find(|life| life.head.time < t).filter(|life| t.saturating_sub(life.last) <= ENTITY_LIFETIME.0)
    }

    pub(super) fn uses(&self) -> impl Iterator<Item = &Use> {
        std::iter::once(&self.head).chain(self.others())
    }

    pub(super) fn others(&self) -> &[Use] {
        self.more.as_ref().map_or(&[], |more| &more.uses)
    }

    /// Accounts known before `t`.
    pub(super) fn n_before(&self, t: i64) -> usize {
        usize::from(self.head.time < t) + self.others().partition_point(|u| u.time < t)
    }

    /// Whether this life of an account was seen with it before `t`.
    pub(super) fn knows(&self, account: Node, t: i64) -> bool {
        self.uses().any(|u| u.account == account.key && u.time >= account.first && u.time < t)
    }

    pub(super) fn is_used_by(&self, account: u64) -> bool {
        self.uses().any(|u| u.account == account)
    }

    /// Notes a use by a life of an account that spans these times; whom the account is linked with by it, and from when on.
    pub(super) fn see(
        &mut self,
        seen: Use,
        own: std::ops::RangeInclusive<i64>,
        hub_limit: usize,
    ) -> Option<(Use, i64)> {
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
    pub(super) fn insert(&mut self, seen: Use, limit: usize) {
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
    pub(super) fn renamed(mut self, account: u64, name: u64) -> Self {
        let mut uses: Vec<Use> =
            self.uses().map(|u| if u.account == account { Use { account: name, ..*u } } else { *u }).collect();
        uses.sort_unstable();
        self.set_uses(uses);
        self
    }
}
