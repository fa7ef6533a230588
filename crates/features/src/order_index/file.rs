//! The order index and the set of event ids as bytes and back, in the order in which things became known.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::{EarlyLabel, EventIds, OrderIndex, OrderRecord, Seen};
use crate::container::SectionReader;
use crate::identity::OrderId;
use crate::kernel::HistoryError;
use crate::recent::{Recent, Row};
use crate::time::{Span, UnixMillis};
use crate::varint::{get, get_signed, invalid, put, put_signed};

const HAS_LABEL: u8 = 1;
const IS_FRAUD: u8 = 2;
const OTHER_CURRENCY: u8 = 4;

impl OrderIndex {
    /// Appends the orders that are not too old. Equal indexes give equal bytes. O(n log n).
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let orders: Vec<_> = self.iter().collect();
        out.extend((orders.len() as u64).to_le_bytes());
        self.write_clock(out);
        self.write_orders(&orders, self.orders.last(), out);
    }

    /// Reads what [`Self::write_to`] wrote, for the same label delay and number of keys. O(bytes).
    pub fn read_from(reader: &mut SectionReader<'_>, label_delay: Span, n_keys: usize) -> Result<Self, HistoryError> {
        let mut index = Self::new(label_delay, n_keys);
        let n = reader.u64()?;
        index.orders.read_clock(reader)?;
        index.read_early(reader)?;
        let last = index.orders.last();
        index.read_orders(n, last, reader)?;
        if index.orders.iter().count() as u64 != n {
            return Err(invalid(reader, "orders that are not too old"));
        }
        Ok(index)
    }

    /// The days (UTC, since the epoch) whose orders differ in memory from those of another index, of which this may be a
    /// later clone. A day with orders that are too old may be among them.
    pub(crate) fn changed_days(&self, before: &Self) -> Vec<i32> {
        self.orders.changed_days(&before.orders)
    }

    /// Appends the orders that became known on one day; nothing where there are none.
    pub(crate) fn write_day(&self, day: i32, out: &mut Vec<u8>) {
        let orders = self.orders.iter_day(day);
        if !orders.is_empty() {
            out.extend((orders.len() as u64).to_le_bytes());
            self.write_orders(&orders, UnixMillis(0), out);
        }
    }

    /// Where the index has come, and the labels that wait for their orders: what its days do not say.
    pub(crate) fn write_clock(&self, out: &mut Vec<u8>) {
        self.orders.write_clock(out);
        self.early.write_clock(out);
        let early: Vec<_> = self.early.iter().collect();
        put(out, early.len() as u64);
        let mut before = self.early.last();
        for (i, (label, _)) in early.into_iter().enumerate() {
            put_step(out, i, before, label.known_at);
            before = label.known_at;
            out.extend(label.id.0.to_le_bytes());
            out.push(u8::from(label.fraud));
        }
    }

    fn read_early(&mut self, reader: &mut SectionReader<'_>) -> Result<(), HistoryError> {
        self.early.read_clock(reader)?;
        let n = get(reader)?;
        let mut before = None;
        for _ in 0..n {
            let known_at = get_step(reader, before.map(|(known_at, _)| known_at), self.early.last())?;
            let id = OrderId(reader.u64()?);
            check_next(&self.early, reader, &mut before, known_at, id)?;
            let says = reader.u8()?;
            if says > 1 {
                return Err(invalid(reader, "fraud or not"));
            }
            self.early.place(EarlyLabel { id, known_at, fraud: says == 1 }, &[]);
        }
        if self.early.iter().count() as u64 != n {
            return Err(invalid(reader, "labels that are not too old"));
        }
        Ok(())
    }

    /// An empty index that has come as far, and is about to take days.
    pub(crate) fn with_clock(
        label_delay: Span,
        n_keys: usize,
        reader: &mut SectionReader<'_>,
    ) -> Result<Self, HistoryError> {
        let mut index = Self::new(label_delay, n_keys);
        index.orders.read_clock(reader)?;
        index.read_early(reader)?;
        Ok(index)
    }

    /// Takes what [`Self::write_day`] wrote.
    pub(crate) fn read_day(&mut self, reader: &mut SectionReader<'_>) -> Result<(), HistoryError> {
        let n = reader.u64()?;
        self.read_orders(n, UnixMillis(0), reader)
    }

    /// For each key source the keys in rising order; then the orders, which name keys by their places in these lists.
    fn write_orders(&self, orders: &[(&OrderRecord, &[u64])], epoch: UnixMillis, out: &mut Vec<u8>) {
        let mut places: Vec<HashMap<u64, u64, FixedState>> = Vec::with_capacity(self.n_keys);
        for source in 0..self.n_keys {
            let mut keys: Vec<u64> = orders.iter().map(|(_, keys)| keys[source]).filter(|key| *key != 0).collect();
            keys.sort_unstable();
            keys.dedup();
            put(out, keys.len() as u64);
            let mut before = 0;
            for &key in &keys {
                put(out, key - before);
                before = key;
            }
            places.push(keys.into_iter().zip(1..).collect());
        }
        let (mut known_at, mut currency) = (epoch, 0);
        for (i, (order, keys)) in orders.iter().enumerate() {
            put_step(out, i, known_at, order.known_at);
            known_at = order.known_at;
            out.extend(order.id.0.to_le_bytes());
            put_signed(out, order.known_at.0.wrapping_sub(order.time.0));
            let flag = |flag: u8, is_set: bool| if is_set { flag } else { 0 };
            let is_other = order.currency != currency;
            let has_label = order.label_time.is_some();
            out.push(flag(HAS_LABEL, has_label) | flag(IS_FRAUD, order.fraud) | flag(OTHER_CURRENCY, is_other));
            if is_other {
                currency = order.currency;
                put(out, u64::from(currency));
            }
            if let Some(label_time) = order.label_time {
                put(out, label_time.0.wrapping_sub(order.known_at.0) as u64);
                put(out, order.time.plus(self.label_delay).0.wrapping_sub(order.resolved_at.0) as u64);
            }
            for (key, places) in keys.iter().zip(&places) {
                put(out, if *key == 0 { 0 } else { places[key] });
            }
        }
    }

    fn read_orders(&mut self, n: u64, epoch: UnixMillis, reader: &mut SectionReader<'_>) -> Result<(), HistoryError> {
        // One list per key source, and whether an order names each key.
        let mut lists: Vec<Vec<(u64, bool)>> = Vec::new();
        for _ in 0..self.n_keys {
            let mut list = Vec::new();
            let mut key = 0_u64;
            for _ in 0..get(reader)? {
                let step = get(reader)?;
                key = key
                    .checked_add(step)
                    .filter(|_| step > 0)
                    .ok_or_else(|| invalid(reader, "keys in rising order"))?;
                list.push((key, false));
            }
            lists.push(list);
        }
        let mut keys = vec![0; self.n_keys];
        let mut before: Option<(UnixMillis, OrderId)> = None;
        let mut currency = 0;
        for _ in 0..n {
            let known_at = get_step(reader, before.map(|(known_at, _)| known_at), epoch)?;
            let id = OrderId(reader.u64()?);
            check_next(&self.orders, reader, &mut before, known_at, id)?;
            let time = UnixMillis(known_at.0.wrapping_sub(get_signed(reader)?));
            let due = time.plus(self.label_delay);
            let flags = reader.u8()?;
            if flags & OTHER_CURRENCY != 0 {
                let next = u32::try_from(get(reader)?).ok().filter(|next| *next != currency);
                currency = next.ok_or_else(|| invalid(reader, "another currency than the order's before"))?;
            }
            let (mut label_time, mut resolved_at) = (None, due);
            if flags & HAS_LABEL != 0 {
                let label = known_at.0.checked_add_unsigned(get(reader)?);
                let resolved = due.0.checked_sub_unsigned(get(reader)?);
                let (Some(label), Some(resolved)) = (label, resolved) else {
                    return Err(invalid(reader, "times of 64 bits"));
                };
                if resolved != due.0 && !(known_at.0..=label).contains(&resolved) || resolved > label {
                    return Err(invalid(reader, "an order resolved when due, or by a label before"));
                }
                (label_time, resolved_at) = (Some(UnixMillis(label)), UnixMillis(resolved));
            }
            if flags > (HAS_LABEL | IS_FRAUD | OTHER_CURRENCY) || flags & (HAS_LABEL | IS_FRAUD) == IS_FRAUD {
                return Err(invalid(reader, "a fraud with a label"));
            }
            for (key, list) in keys.iter_mut().zip(&mut lists) {
                let place = get(reader)?;
                *key = 0;
                if place > 0 {
                    let Some((of_list, named)) = list.get_mut(place as usize - 1) else {
                        return Err(invalid(reader, "the place of a key in its list"));
                    };
                    (*key, *named) = (*of_list, true);
                }
            }
            let fraud = flags & IS_FRAUD != 0;
            self.orders.place(OrderRecord { id, time, known_at, resolved_at, label_time, fraud, currency }, &keys);
        }
        if lists.iter().flatten().any(|(_, named)| !named) {
            return Err(invalid(reader, "keys that orders have"));
        }
        Ok(())
    }
}

impl EventIds {
    /// Appends the ids that are not too old. Equal sets give equal bytes. O(n log n).
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let ids: Vec<_> = self.seen.iter().collect();
        out.extend((ids.len() as u64).to_le_bytes());
        self.seen.write_clock(out);
        write_ids(&ids, self.seen.last(), out);
    }

    /// Reads what [`Self::write_to`] wrote, for the same label delay. O(bytes).
    pub fn read_from(reader: &mut SectionReader<'_>, label_delay: Span) -> Result<Self, HistoryError> {
        let mut ids = Self::new(label_delay);
        let n = reader.u64()?;
        ids.seen.read_clock(reader)?;
        let last = ids.seen.last();
        ids.read_ids(n, last, reader)?;
        if ids.iter().count() as u64 != n {
            return Err(invalid(reader, "events that are not too old"));
        }
        Ok(ids)
    }

    fn read_ids(&mut self, n: u64, epoch: UnixMillis, reader: &mut SectionReader<'_>) -> Result<(), HistoryError> {
        let mut before = None;
        for _ in 0..n {
            let known_at = get_step(reader, before.map(|(known_at, _)| known_at), epoch)?;
            let id = OrderId(reader.u64()?);
            check_next(&self.seen, reader, &mut before, known_at, id)?;
            self.seen.place(Seen { id, known_at }, &[]);
        }
        Ok(())
    }

    /// As [`OrderIndex::changed_days`].
    pub(crate) fn changed_days(&self, before: &Self) -> Vec<i32> {
        self.seen.changed_days(&before.seen)
    }

    /// As [`OrderIndex::write_day`].
    pub(crate) fn write_day(&self, day: i32, out: &mut Vec<u8>) {
        let ids = self.seen.iter_day(day);
        if !ids.is_empty() {
            out.extend((ids.len() as u64).to_le_bytes());
            write_ids(&ids, UnixMillis(0), out);
        }
    }

    /// As [`OrderIndex::write_clock`].
    pub(crate) fn write_clock(&self, out: &mut Vec<u8>) {
        self.seen.write_clock(out);
    }

    /// As [`OrderIndex::with_clock`].
    pub(crate) fn with_clock(label_delay: Span, reader: &mut SectionReader<'_>) -> Result<Self, HistoryError> {
        let mut ids = Self::new(label_delay);
        ids.seen.read_clock(reader)?;
        Ok(ids)
    }

    /// As [`OrderIndex::read_day`].
    pub(crate) fn read_day(&mut self, reader: &mut SectionReader<'_>) -> Result<(), HistoryError> {
        let n = reader.u64()?;
        self.read_ids(n, UnixMillis(0), reader)
    }
}

fn write_ids(ids: &[(&Seen, &[u64])], epoch: UnixMillis, out: &mut Vec<u8>) {
    let mut before = epoch;
    for (i, (seen, _)) in ids.iter().enumerate() {
        put_step(out, i, before, seen.known_at);
        before = seen.known_at;
        out.extend(seen.id.0.to_le_bytes());
    }
}

/// The first time as its distance from the last, the others as theirs from the one before.
fn put_step(out: &mut Vec<u8>, index: usize, before: UnixMillis, time: UnixMillis) {
    if index == 0 {
        put_signed(out, before.0.wrapping_sub(time.0));
    } else {
        put(out, time.0.wrapping_sub(before.0) as u64);
    }
}

fn get_step(
    reader: &mut SectionReader<'_>,
    before: Option<UnixMillis>,
    epoch: UnixMillis,
) -> Result<UnixMillis, HistoryError> {
    match before {
        None => Ok(UnixMillis(epoch.0.wrapping_sub(get_signed(reader)?))),
        Some(before) => {
            let time = before.0.checked_add_unsigned(get(reader)?);
            time.map(UnixMillis).ok_or_else(|| invalid(reader, "a time of 64 bits"))
        }
    }
}

/// Rows by (time, id), all different.
fn check_next<T: Row>(
    rows: &Recent<T>,
    reader: &SectionReader<'_>,
    before: &mut Option<(UnixMillis, OrderId)>,
    known_at: UnixMillis,
    id: OrderId,
) -> Result<(), HistoryError> {
    if before.is_some_and(|before| before >= (known_at, id)) || rows.contains(id) {
        return Err(invalid(reader, "different ids by the time when they became known"));
    }
    *before = Some((known_at, id));
    Ok(())
}
