//! Turns texts into codes, by many threads at once and with the same codes for any number of them.
//!
//! Threads draw provisional codes from one sharded table as texts come up. [`SharedInterner::renumber`] then walks over
//! the rows in order and gives the texts their final codes by first appearance, which no thread can influence.

use std::hash::{BuildHasher, Hasher};
use std::sync::{Mutex, PoisonError};

use foldhash::fast::FixedState;
use orderguard_features::table::{Levels, MISSING_CODE, TextColumn};

/// An open-addressed table of texts.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    /// Tag (low half of the hash) << 32 | code + 1; 0 where free. The length is a power of two.
    slots: Vec<u64>,
    levels: Levels,
}

/// The hash under which interners know a text.
pub(crate) fn hash(text: &str) -> u64 {
    let mut hasher = FixedState::default().build_hasher();
    hasher.write(text.as_bytes());
    hasher.finish()
}

impl Interner {
    pub(crate) fn len(&self) -> usize {
        self.levels.len()
    }

    pub(crate) fn get(&self, code: u32) -> &str {
        self.levels.get(code)
    }

    /// The texts, each under its code.
    pub(crate) fn into_levels(self) -> Levels {
        self.levels
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The code of a text, and whether it is new.
    pub(crate) fn intern(&mut self, hash: u64, text: &str) -> (u32, bool) {
        if self.levels.len() * 2 >= self.slots.len() {
            self.grow();
        }
        let tag = hash & 0xffff_ffff;
        let mask = self.slots.len() - 1;
        let mut at = tag as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                let code = self.levels.push(text);
                self.slots[at] = tag << 32 | (u64::from(code) + 1);
                return (code, true);
            }
            if slot >> 32 == tag {
                let code = slot as u32 - 1;
                if self.levels.get(code) == text {
                    return (code, false);
                }
            }
            at = (at + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let len = (self.slots.len() * 2).max(16);
        let old = std::mem::replace(&mut self.slots, vec![0; len]);
        for slot in old.into_iter().filter(|&slot| slot != 0) {
            let mut at = (slot >> 32) as usize & (len - 1);
            while self.slots[at] != 0 {
                at = (at + 1) & (len - 1);
            }
            self.slots[at] = slot;
        }
    }
}

const SHARD_BITS: u32 = 4;
const SHARDS: usize = 1 << SHARD_BITS;
/// Marks the provisional codes of small numbers, which need no table.
const NUMBER: u32 = 1 << 31;
/// Texts of one shard; all shards together fill the codes that are no numbers.
const MAX_PER_SHARD: u32 = (1 << (31 - SHARD_BITS)) - 1;

/// The texts of one column, filled by all threads.
#[derive(Debug, Default)]
pub(crate) struct SharedInterner {
    shards: [Mutex<Interner>; SHARDS],
}

/// There are more texts than codes.
#[derive(Debug)]
pub(crate) struct Full;

impl SharedInterner {
    /// The provisional code of a text.
    pub(crate) fn intern(&self, hash: u64, text: &str) -> Result<u32, Full> {
        let shard = (hash >> (64 - SHARD_BITS)) as usize;
        // A thread that panicked here is a bug that rayon passes on; the table itself stays whole.
        let mut interner = self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner);
        let (code, _) = interner.intern(hash, text);
        if code >= MAX_PER_SHARD { Err(Full) } else { Ok(code << SHARD_BITS | shard as u32) }
    }

    /// Whole numbers below have provisional codes of their own.
    #[cfg(feature = "parquet")]
    pub(crate) const N_NUMBERS: u32 = 10_000_000;

    /// The provisional code of a text that is the usual spelling of a whole number below ten million.
    pub(crate) fn code_of_number(number: u32) -> u32 {
        NUMBER | number
    }

    /// The column whose rows have these provisional codes, with codes by first appearance.
    pub(crate) fn renumber(self, parts: &[Vec<u32>], n_rows: usize) -> TextColumn {
        let shards = self.shards.map(|shard| shard.into_inner().unwrap_or_else(PoisonError::into_inner));
        let mut finals: Vec<Vec<u32>> = shards.iter().map(|shard| vec![MISSING_CODE; shard.len()]).collect();
        let numbers = parts.iter().flatten().filter(|code| **code >= NUMBER && **code != MISSING_CODE);
        // Final code + 1 of each number. Zeros come from the system for nothing, and only pages that are used take memory.
        let mut of_number = vec![0_u32; numbers.max().map_or(0, |&code| (code - NUMBER) as usize + 1)];
        let mut column = TextColumn { codes: Vec::with_capacity(n_rows), levels: Levels::default() };
        let mut digits = String::new();
        for part in parts {
            column.codes.extend(part.iter().map(|&code| {
                if code == MISSING_CODE {
                    return MISSING_CODE;
                }
                if code >= NUMBER {
                    let slot = &mut of_number[(code - NUMBER) as usize];
                    if *slot == 0 {
                        digits.clear();
                        write_number(code - NUMBER, &mut digits);
                        *slot = column.levels.push(&digits) + 1;
                    }
                    return *slot - 1;
                }
                let (shard, code) = (code as usize % SHARDS, code >> SHARD_BITS);
                let slot = &mut finals[shard][code as usize];
                if *slot == MISSING_CODE {
                    *slot = column.levels.push(shards[shard].get(code));
                }
                *slot
            }));
        }
        column
    }
}

/// Appends a number's digits.
fn write_number(mut number: u32, out: &mut String) {
    let (mut digits, mut at) = ([0; 10], 10);
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend(digits[at..].iter().map(|&digit| char::from(digit)));
}

/// One thread's view of a column's texts: keeps the codes of texts it met lately, so that few look-ups need a lock.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    seen: Interner,
    codes: Vec<u32>,
    n_lookups: usize,
    /// Nearly every text is new, as in a column of identifiers: keeping them does not pay.
    bypass: bool,
}

/// Texts kept before the cache starts anew; some megabytes.
const MAX_CACHED: usize = 1 << 15;

impl Cache {
    pub(crate) fn code(&mut self, shared: &SharedInterner, text: &str) -> Result<u32, Full> {
        let hash = hash(text);
        if self.bypass {
            return shared.intern(hash, text);
        }
        if self.seen.len() == MAX_CACHED {
            self.bypass = self.n_lookups < 2 * MAX_CACHED;
            self.seen.clear();
            self.codes.clear();
            self.n_lookups = 0;
        }
        self.n_lookups += 1;
        let (code, is_new) = self.seen.intern(hash, text);
        if is_new {
            self.codes.push(shared.intern(hash, text)?);
        }
        Ok(self.codes[code as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_follow_first_appearance_for_any_arrival() {
        let rows: Vec<String> = (0..5_000_u64).map(|i| format!("v{}", i * 7_919 % 1_203)).collect();
        let column_of = |backwards: bool| {
            let shared = SharedInterner::default();
            let mut cache = Cache::default();
            let mut codes = vec![0; rows.len()];
            for i in 0..rows.len() {
                let row = if backwards { rows.len() - 1 - i } else { i };
                codes[row] = cache.code(&shared, &rows[row]).unwrap();
            }
            codes[17] = MISSING_CODE;
            shared.renumber(&codes.chunks(777).map(<[u32]>::to_vec).collect::<Vec<_>>(), rows.len())
        };
        let (forward, backward) = (column_of(false), column_of(true));
        assert_eq!(forward.codes, backward.codes);
        assert!(forward.levels.iter().eq(backward.levels.iter()));
        for (i, row) in rows.iter().enumerate() {
            assert_eq!(forward.get(i), (i != 17).then_some(row.as_str()));
        }
        assert_eq!(forward.levels.len(), 1_203);
    }

    #[test]
    fn many_new_texts_outgrow_the_cache() {
        let shared = SharedInterner::default();
        let mut cache = Cache::default();
        let codes: Vec<u32> = (0..100_000).map(|i| cache.code(&shared, &i.to_string()).unwrap()).collect();
        assert!(cache.bypass);
        let column = shared.renumber(&[codes], 100_000);
        assert!((0..100_000).all(|i| column.codes[i] == i as u32 && column.get(i) == Some(i.to_string().as_str())));
    }
}
