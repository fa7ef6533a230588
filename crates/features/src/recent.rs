//! Rows with an identifier, kept for a stated time after they became known, and found by their identifier.
//!
//! Rows stand in buckets of one day by `known_at`, in chunks of [`CHUNK`] behind `Arc`s, so that a clone copies a few
//! pointers per day and chunk, and a change afterwards one chunk. Each insert takes out at most [`RETIRED_PER_INSERT`] rows
//! that are too old, of the earliest day first: nothing is swept while times go on, a late row does not hold up those behind it,
//! and a few wrong dates in the future cost nothing.
//!
//! A row is gone for good once the slow clock says that it is too old, whether it has left memory or not: a file holds only the
//! others. So, where the clock jumps back, all that is gone leaves memory first.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::container::SectionReader;
use crate::identity::OrderId;
use crate::kernel::HistoryError;
use crate::shards::Shards;
use crate::slow_clock::SlowClock;
use crate::time::{Span, UnixMillis};

/// Rows of a full chunk.
const CHUNK: usize = 256;
/// Most rows that one insert takes out: more than one, so that a backlog shrinks.
const RETIRED_PER_INSERT: usize = 2;
/// By less than this the clock does not go back.
const JUMP: Span = Span::DAY;

/// What is kept of an identifier.
pub(crate) trait Row: Copy {
    fn id(&self) -> OrderId;
    fn known_at(&self) -> UnixMillis;
}

/// Where a row stands. Rows of one day move, rows of different days never meet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    day: i32,
    index: u32,
}

#[derive(Clone, Debug)]
struct Chunk<T> {
    rows: Vec<T>,
    /// `n_keys` for each row.
    keys: Vec<u64>,
}

/// The rows of one day; all chunks but the last are full.
type Day<T> = Arc<Vec<Arc<Chunk<T>>>>;

#[derive(Clone, Debug)]
pub(crate) struct Recent<T> {
    memory: Span,
    n_keys: usize,
    days: BTreeMap<i32, Day<T>>,
    places: Shards<OrderId, Place>,
    last: UnixMillis,
    clock: SlowClock,
}

impl<T: Row> Recent<T> {
    /// Keeps rows for `memory` after they became known, each with `n_keys` keys.
    pub(crate) fn new(memory: Span, n_keys: usize) -> Self {
        Self {
            memory,
            n_keys,
            days: BTreeMap::new(),
            places: Shards::default(),
            last: UnixMillis(i64::MIN),
            clock: SlowClock::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// When the row that was inserted last became known.
    pub(crate) fn last(&self) -> UnixMillis {
        self.last
    }

    /// Whether both have come as far.
    pub(crate) fn is_level_with(&self, other: &Self) -> bool {
        (self.last, self.clock) == (other.last, other.clock)
    }

    /// The identifier that the next insert will take out, if any.
    pub(crate) fn next_retired(&self) -> Option<OrderId> {
        let last = self.days.first_key_value()?.1.last()?.rows.last()?;
        (!self.is_kept(last.known_at())).then(|| last.id())
    }

    /// Where to look up an identifier, for doing so side by side with other lookups.
    pub(crate) fn places(&self) -> &Shards<OrderId, Place> {
        &self.places
    }

    /// Whether there is a row of that identifier, be it too old.
    pub(crate) fn contains(&self, id: OrderId) -> bool {
        self.places.get(id).is_some()
    }

    /// The row of an identifier, if it is still remembered at `at`.
    pub(crate) fn get(&self, id: OrderId, at: UnixMillis) -> Option<(&T, &[u64])> {
        let place = self.places.get(id)?;
        let (row, keys) = self.row(*place)?;
        (at <= row.known_at().plus(self.memory) && self.is_kept(row.known_at())).then_some((row, keys))
    }

    /// As [`Self::get`], for changing it.
    pub(crate) fn get_mut(&mut self, id: OrderId, at: UnixMillis) -> Option<(&mut T, &mut [u64])> {
        self.get(id, at)?;
        let place = *self.places.get(id)?;
        self.row_mut(place)
    }

    /// Inserts a row, in place of one with its identifier.
    pub(crate) fn insert(&mut self, row: T, keys: &[u64]) {
        self.pass(row.known_at());
        self.retire();
        self.place(row, keys);
    }

    /// Lets the clock follow an event that became known then.
    fn pass(&mut self, known_at: UnixMillis) {
        self.last = known_at;
        let before = self.clock.now();
        self.clock.pass(known_at.0);
        if self.clock.now() < before {
            if self.clock.now() >= before.saturating_sub(JUMP.0) {
                self.clock.stand_at(before);
            } else {
                self.take_out_gone(before);
            }
        }
        if !self.is_kept(known_at) {
            // What has just become known is not too old: the clock is wrong.
            self.take_out_gone(self.clock.now());
            self.clock.stand_at(known_at.0);
        }
    }

    /// Takes out all rows that are too old by a clock. O(rows of the days that have such).
    fn take_out_gone(&mut self, now: i64) {
        let latest = UnixMillis(now.saturating_sub(self.memory.0));
        let chunks = self.days.range(..=day_of(latest)).flat_map(|(_, day)| day.iter());
        let rows = chunks.flat_map(|chunk| &chunk.rows);
        let gone: Vec<OrderId> = rows.filter(|row| row.known_at() < latest).map(Row::id).collect();
        for id in gone {
            self.take(id);
        }
    }

    /// Takes out the row of an identifier, be it too old.
    pub(crate) fn take(&mut self, id: OrderId) {
        if let Some(&place) = self.places.get(id) {
            self.remove(place);
        }
    }

    /// Inserts `n` rows in order of `known_at`, whose identifiers are all different: as [`Self::insert`] of one after the
    /// other, but for rows that would have been taken out again. `row` gives a row, `keys` fills in its keys; `passed` says
    /// when each became known, and each that one of the same identifier replaced.
    pub(crate) fn extend(
        &mut self,
        passed: impl Iterator<Item = UnixMillis>,
        n: usize,
        row: impl Fn(usize) -> T,
        keys: impl Fn(usize, &mut [u64]),
    ) {
        passed.for_each(|known_at| self.pass(known_at));
        let mut before = usize::MAX;
        while before != self.len() {
            before = self.len();
            self.retire();
        }
        if before > 0 {
            for i in 0..n {
                if let Some(old) = self.places.get(row(i).id()) {
                    self.remove(*old);
                }
            }
        }
        let mut room = vec![0; self.n_keys];
        let mut placed = Vec::new();
        for i in 0..n {
            let row = row(i);
            if self.is_kept(row.known_at()) {
                keys(i, &mut room);
                placed.push((row.id(), self.append(row, &room)));
            }
        }
        // In the order of the map, so that each leaf is filled once and from left to right.
        placed.sort_unstable_by_key(|(id, _)| *id);
        for (id, place) in placed {
            self.places.insert(id, place);
        }
    }

    /// Where insertions have come: what a file holds beside the rows.
    pub(crate) fn write_clock(&self, out: &mut Vec<u8>) {
        out.extend(self.last.0.to_le_bytes());
        self.clock.write_to(out);
    }

    /// Reads what [`Self::write_clock`] wrote, before [`Self::place`] takes the rows.
    pub(crate) fn read_clock(&mut self, reader: &mut SectionReader<'_>) -> Result<(), HistoryError> {
        self.last = UnixMillis(reader.i64()?);
        self.clock = SlowClock::read_from(reader)?;
        Ok(())
    }

    /// Whether a row that became known at that time is kept.
    fn is_kept(&self, known_at: UnixMillis) -> bool {
        self.clock.now() <= known_at.plus(self.memory).0
    }

    /// Takes a row without taking out others.
    pub(crate) fn place(&mut self, row: T, keys: &[u64]) {
        assert_eq!(keys.len(), self.n_keys, "one key per key source");
        if let Some(old) = self.places.get(row.id()) {
            self.remove(*old);
        }
        let place = self.append(row, keys);
        self.places.insert(row.id(), place);
    }

    /// Puts a row at the end of its day.
    fn append(&mut self, row: T, keys: &[u64]) -> Place {
        let day = day_of(row.known_at());
        let chunks = Arc::make_mut(self.days.entry(day).or_default());
        if chunks.last().is_none_or(|chunk| chunk.rows.len() == CHUNK) {
            // A day with few rows takes little memory, a day with many does not move them.
            let n = if chunks.is_empty() { 1 } else { CHUNK };
            chunks.push(Arc::new(Chunk { rows: Vec::with_capacity(n), keys: Vec::with_capacity(n * self.n_keys) }));
        }
        let before = (chunks.len() - 1) * CHUNK;
        let chunk = Arc::make_mut(chunks.last_mut().expect("pushed if there was none"));
        chunk.rows.push(row);
        chunk.keys.extend_from_slice(keys);
        Place { day, index: (before + chunk.rows.len() - 1) as u32 }
    }

    /// The rows that are not too old, by (`known_at`, id). O(n log n).
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&T, &[u64])> {
        self.days.values().flat_map(|day| self.sorted(day)).filter(|(row, _)| self.is_kept(row.known_at()))
    }

    /// All rows of one day, also those that are too old, by (`known_at`, id).
    pub(crate) fn iter_day(&self, day: i32) -> Vec<(&T, &[u64])> {
        self.days.get(&day).map(|day| self.sorted(day)).unwrap_or_default()
    }

    /// The days that differ in memory from those of another, of which this may be a later clone.
    pub(crate) fn changed_days(&self, before: &Self) -> Vec<i32> {
        let of = |days: &BTreeMap<i32, Day<T>>, day: i32| days.get(&day).map(Arc::as_ptr);
        let mut days: Vec<i32> = self.days.keys().chain(before.days.keys()).copied().collect();
        days.sort_unstable();
        days.dedup();
        days.retain(|&day| of(&self.days, day) != of(&before.days, day));
        days
    }

    fn sorted<'a>(&'a self, day: &'a Day<T>) -> Vec<(&'a T, &'a [u64])> {
        let mut rows: Vec<(&T, &[u64])> = day
            .iter()
            .flat_map(|chunk| chunk.rows.iter().enumerate().map(|(i, row)| (row, keys_of(chunk, i, self.n_keys))))
            .collect();
        rows.sort_unstable_by_key(|(row, _)| (row.known_at(), row.id()));
        rows
    }

    /// Changes the keys of rows; copies only chunks of which a row is `wanted`. O(n).
    pub(crate) fn change_keys(&mut self, wanted: impl Fn(&[u64]) -> bool, mut change: impl FnMut(&mut [u64])) {
        let n_keys = self.n_keys;
        if n_keys == 0 {
            return;
        }
        for day in self.days.values_mut() {
            if !day.iter().any(|chunk| chunk.keys.chunks_exact(n_keys).any(&wanted)) {
                continue;
            }
            for chunk in Arc::make_mut(day) {
                if chunk.keys.chunks_exact(n_keys).any(&wanted) {
                    let keys = &mut Arc::make_mut(chunk).keys;
                    keys.chunks_exact_mut(n_keys).filter(|keys| wanted(keys)).for_each(&mut change);
                }
            }
        }
    }

    /// Bytes held, the map of identifiers among them. O(chunks).
    pub(crate) fn memory_bytes(&self) -> usize {
        let chunks = self.days.values().flat_map(|day| day.iter());
        let rows: usize = chunks
            .map(|c| size_of::<Chunk<T>>() + 32 + c.rows.capacity() * size_of::<T>() + c.keys.capacity() * 8)
            .sum();
        rows + self.places.memory_bytes()
    }

    fn row(&self, place: Place) -> Option<(&T, &[u64])> {
        let chunk = self.days.get(&place.day)?.get(place.index as usize / CHUNK)?;
        let at = place.index as usize % CHUNK;
        Some((chunk.rows.get(at)?, keys_of(chunk, at, self.n_keys)))
    }

    fn row_mut(&mut self, place: Place) -> Option<(&mut T, &mut [u64])> {
        let chunk = Arc::make_mut(self.days.get_mut(&place.day)?).get_mut(place.index as usize / CHUNK)?;
        let chunk = Arc::make_mut(chunk);
        let at = place.index as usize % CHUNK;
        let keys = &mut chunk.keys[at * self.n_keys..(at + 1) * self.n_keys];
        Some((chunk.rows.get_mut(at)?, keys))
    }

    /// Takes out a few rows that are too old, from the end of the earliest day.
    fn retire(&mut self) {
        for _ in 0..RETIRED_PER_INSERT {
            let Some((&day, chunks)) = self.days.first_key_value() else { return };
            let (chunk, before) = (chunks.last().expect("no day is empty"), (chunks.len() - 1) * CHUNK);
            let index = before + chunk.rows.len() - 1;
            if self.is_kept(chunk.rows.last().expect("no chunk is empty").known_at()) {
                return;
            }
            self.remove(Place { day, index: index as u32 });
        }
    }

    /// Takes a row out; the last one of its day takes its place.
    fn remove(&mut self, place: Place) {
        let Some(day) = self.days.get_mut(&place.day) else { return };
        let chunks = Arc::make_mut(day);
        let last = Arc::make_mut(chunks.last_mut().expect("no day is empty"));
        let row = last.rows.pop().expect("no chunk is empty");
        let keys = last.keys.split_off(last.rows.len() * self.n_keys);
        let emptied = last.rows.is_empty();
        let index = (chunks.len() - 1) * CHUNK + chunks.last().map_or(0, |last| last.rows.len());
        if emptied {
            chunks.pop();
        }
        let day_emptied = chunks.is_empty();
        if index == place.index as usize {
            self.places.remove(row.id());
        } else if let Some((own, own_keys)) = self.row_mut(place) {
            let gone = own.id();
            *own = row;
            own_keys.copy_from_slice(&keys);
            self.places.remove(gone);
            self.places.insert(row.id(), place);
        }
        if day_emptied {
            self.days.remove(&place.day);
        }
    }
}

fn keys_of<T>(chunk: &Chunk<T>, at: usize, n_keys: usize) -> &[u64] {
    &chunk.keys[at * n_keys..(at + 1) * n_keys]
}

/// Days since the epoch, at the ends of `i32` for times that no calendar has.
fn day_of(time: UnixMillis) -> i32 {
    time.0.div_euclid(Span::DAY.0).clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
}
