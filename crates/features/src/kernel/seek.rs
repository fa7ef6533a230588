//! Searches in rising times that begin where the last one ended.

/// The first position in `start..end` whose time is not before `key`, searched outwards from `near`: O(log of how far).
#[inline]
pub(super) fn seek(times: &[i64], start: usize, end: usize, near: usize, key: i64) -> usize {
    let near = near.clamp(start, end);
    if near > start && times[near - 1] >= key {
        return seek_before(times, start, near - 1, key);
    }
    // Mostly none to a few rows on.
    for (step, &time) in times[near..end].iter().enumerate().take(8) {
        if time >= key {
            return near + step;
        }
    }
    if end - near <= 8 { end } else { seek_after(times, near + 8, end, key) }
}

/// As [`seek`], where all before `lo` are before `key`.
#[inline(never)]
fn seek_after(times: &[i64], mut lo: usize, end: usize, key: i64) -> usize {
    let (mut hi, mut step) = (lo, 8);
    while hi < end && times[hi] < key {
        lo = hi + 1;
        hi += step;
        step *= 2;
    }
    let hi = hi.min(end);
    lo + times[lo..hi].partition_point(|&time| time < key)
}

/// As [`seek`], where the one at `hi` is not before `key`.
#[inline(never)]
fn seek_before(times: &[i64], start: usize, mut hi: usize, key: i64) -> usize {
    let mut step = 1;
    while hi > start {
        let probe = hi.saturating_sub(step).max(start);
        if times[probe] < key {
            return probe + 1 + times[probe + 1..hi].partition_point(|&time| time < key);
        }
        hi = probe;
        step *= 2;
    }
    start
}

/// Number of positions of `lo..hi`, from `lo` on, for which `is_before` holds.
pub(super) fn partition(lo: usize, hi: usize, is_before: impl Fn(usize) -> bool) -> usize {
    let (mut a, mut b) = (lo, hi);
    while a < b {
        let middle = a + (b - a) / 2;
        if is_before(middle) { a = middle + 1 } else { b = middle }
    }
    a - lo
}

/// As [`seek`], where the one that is sought is mostly near, and never far for long: times only go on.
#[inline]
pub(super) fn advance(times: &[i64], start: usize, end: usize, near: usize, key: i64) -> usize {
    let mut at = near.clamp(start, end);
    if at > start && times[at - 1] >= key {
        return seek(times, start, end, at, key);
    }
    while at < end && times[at] < key {
        at += 1;
    }
    at
}
