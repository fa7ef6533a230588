//! The canonical order of a table's rows: by (`known_at`, time, id, content), so that the order of rows in a file never matters.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use crate::event::currency_code;
use crate::identity::{IdentityKey, OrderId};
use crate::parallel;
use crate::schema::{Role, Schema};
use crate::state::order_memory;
use crate::table::{ColumnData, MISSING_CODE, OrderTable};
use crate::time::{Span, UnixMillis};

/// The rows of a table in canonical order. All vectors have one entry per row.
#[derive(Clone, Debug, Default)]
pub struct CanonicalRows {
    /// Position in the table.
    pub row: Vec<u32>,
    /// Hash of all values that were read, the label among them.
    pub hash: Vec<u64>,
    /// Hash of the order's id; `None` when the schema has no id column.
    pub id: Option<Vec<OrderId>>,
    /// When the order happened; the epoch for all when the schema has no time column.
    pub time: Vec<UnixMillis>,
}

impl CanonicalRows {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.row.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.row.is_empty()
    }

    /// Which orders carry an id that was taken before: by an earlier order at most [`order_memory`] ago, or, as `known`
    /// tells, by an order from before this table. All false where the schema has no id.
    pub fn repeated(&self, label_delay: Span, known: impl Fn(OrderId) -> Option<UnixMillis>) -> Vec<bool> {
        let mut repeated = vec![false; self.len()];
        let Some(ids) = &self.id else { return repeated };
        let memory = order_memory(label_delay);
        let mut last_taken: HashMap<OrderId, UnixMillis, FixedState> =
            HashMap::with_capacity_and_hasher(self.len(), FixedState::default());
        for (i, &id) in ids.iter().enumerate() {
            let before = last_taken.get(&id).copied().or_else(|| known(id));
            if before.is_some_and(|before| self.time[i] <= before.plus(memory)) {
                repeated[i] = true;
            } else {
                last_taken.insert(id, self.time[i]);
            }
        }
        repeated
    }

    /// BLAKE3 of the row hashes in canonical order, hexadecimal: equal for files that hold the same rows in any order.
    pub fn data_hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for hash in &self.hash {
            hasher.update(&hash.to_le_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }
}

/// Sorts the rows of a table. O(n log n), O(n) where they are sorted by time already.
pub fn canonical_rows(schema: &Schema, table: &OrderTable, key: &IdentityKey, n_threads: usize) -> CanonicalRows {
    let hashes = row_hashes(table, n_threads);
    let times: Vec<UnixMillis> = match schema.find(Role::Time).map(|column| &table.columns[column]) {
        Some(ColumnData::Time(times)) => times.iter().map(|&ms| UnixMillis(ms)).collect(),
        _ => vec![UnixMillis::default(); table.n_rows],
    };
    let ids: Option<Vec<OrderId>> = match schema.find(Role::Id).map(|column| &table.columns[column]) {
        Some(ColumnData::Text(text)) => {
            let of_level = hash_levels(text.levels.len(), n_threads, |code| key.order_id(text.levels.get(code)));
            Some(
                text.codes
                    .iter()
                    .map(|&code| if code == MISSING_CODE { OrderId(0) } else { of_level[code as usize] })
                    .collect(),
            )
        }
        _ => None,
    };
    let sort_key = |&row: &u32| {
        let row = row as usize;
        (times[row], ids.as_ref().map_or(OrderId(0), |ids| ids[row]), hashes[row])
    };
    let mut row: Vec<u32> = (0..table.n_rows as u32).collect();
    if !row.is_sorted_by_key(sort_key) {
        row.sort_by_cached_key(sort_key);
    }
    CanonicalRows {
        hash: row.iter().map(|&r| hashes[r as usize]).collect(),
        id: ids.map(|ids| row.iter().map(|&r| ids[r as usize]).collect()),
        time: row.iter().map(|&r| times[r as usize]).collect(),
        row,
    }
}

/// Computes something of every level of a text column in parallel.
pub(crate) fn hash_levels<T: Send>(n_levels: usize, n_threads: usize, of: impl Fn(u32) -> T + Sync) -> Vec<T> {
    let jobs: Vec<_> = (0..n_levels as u32).step_by(8_192).collect();
    let chunk = |start: u32| (start..(start + 8_192).min(n_levels as u32)).map(&of).collect::<Vec<_>>();
    parallel::run(n_threads, jobs, chunk).into_iter().flatten().collect()
}

fn row_hashes(table: &OrderTable, n_threads: usize) -> Vec<u64> {
    let level_hashes: Vec<Vec<u64>> = table
        .columns
        .iter()
        .map(|column| match column {
            ColumnData::Text(text) => hash_levels(text.levels.len(), n_threads, |code| {
                xxhash_rust::xxh3::xxh3_64(text.levels.get(code).as_bytes())
            }),
            _ => Vec::new(),
        })
        .collect();
    let jobs: Vec<usize> = (0..table.n_rows).step_by(65_536).collect();
    let chunk = |start: usize| {
        let mut bytes: Vec<u8> = Vec::with_capacity(table.columns.len() * 8);
        let rows = start..(start + 65_536).min(table.n_rows);
        rows.map(|row| {
            bytes.clear();
            for (column, level_hashes) in table.columns.iter().zip(&level_hashes) {
                let word = match column {
                    ColumnData::Absent => continue,
                    ColumnData::Number(values) => values[row].to_bits(),
                    ColumnData::Amount(values) | ColumnData::Time(values) => values[row] as u64,
                    ColumnData::Label(labels) => labels[row] as u64,
                    ColumnData::Text(text) if text.codes[row] == MISSING_CODE => u64::MAX,
                    ColumnData::Text(text) => level_hashes[text.codes[row] as usize],
                };
                bytes.extend(word.to_le_bytes());
            }
            xxhash_rust::xxh3::xxh3_64(&bytes)
        })
        .collect::<Vec<_>>()
    };
    parallel::run(n_threads, jobs, chunk).into_iter().flatten().collect()
}

/// The currency of each level of a text column.
pub(crate) fn currency_codes(column: &ColumnData, n_rows: usize) -> Vec<u32> {
    match column {
        ColumnData::Text(text) => {
            let of_level: Vec<u32> = text.levels.iter().map(currency_code).collect();
            text.codes.iter().map(|&code| if code == MISSING_CODE { 0 } else { of_level[code as usize] }).collect()
        }
        _ => vec![0; n_rows],
    }
}
