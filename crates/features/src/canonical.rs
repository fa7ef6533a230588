//! The canonical order of a table's rows: by (`known_at`, time, id, content), so that the order of rows in a file never matters.

mod repeats;

pub use repeats::{Repeats, repeated};

use std::ops::Range;

use crate::event::currency_code;
use crate::identity::{IdentityKey, OrderId};
use crate::kind::EventKind;
use crate::parallel;
use crate::schema::{Role, Schema};
use crate::table::{ColumnData, EventTable, MISSING_CODE, OrderTable};
use crate::time::UnixMillis;

/// The rows of a table in canonical order. All vectors have one entry per row.
#[derive(Clone, Debug, Default)]
pub struct CanonicalRows {
    /// Position in the table.
    pub row: Vec<u32>,
    /// Hash of all values that were read, the label among them.
    pub hash: Vec<u64>,
    /// Hash of the id of the order that a row is, or is about (`OrderId(0)` where missing); `None` when the schema has no
    /// id column.
    pub id: Option<Vec<OrderId>>,
    /// Hash of the event's own identifier, `OrderId(0)` where missing; `None` when the schema has no such column.
    pub event_id: Option<Vec<OrderId>>,
    /// When it happened; the epoch for all when the schema has no time column.
    pub time: Vec<UnixMillis>,
    /// When the shop knew of it: never before `time`, and equal to it where nothing else is said.
    pub known_at: Vec<UnixMillis>,
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

    /// BLAKE3 of the row hashes in canonical order, hexadecimal: equal for files that hold the same rows in any order.
    pub fn data_hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for hash in &self.hash {
            hasher.update(&hash.to_le_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }
}

/// Sorts the rows of a table. O(n log n), O(n) where they are sorted already.
pub fn canonical_rows(schema: &Schema, table: &OrderTable, key: &IdentityKey, n_threads: usize) -> CanonicalRows {
    sort_rows(schema, table, &[], key, n_threads)
}

/// Sorts the rows of a table of events, by the same rule; the kind counts as content.
pub fn canonical_events(schema: &Schema, events: &EventTable, key: &IdentityKey, n_threads: usize) -> CanonicalRows {
    sort_rows(schema, &events.table, &events.kinds, key, n_threads)
}

fn sort_rows(
    schema: &Schema,
    table: &OrderTable,
    kinds: &[EventKind],
    key: &IdentityKey,
    n_threads: usize,
) -> CanonicalRows {
    let column = |role: Role| schema.find(role).map(|column| &table.columns[column]);
    let hashes = row_hashes(table, kinds, n_threads);
    let times: Vec<UnixMillis> = match column(Role::Time) {
        Some(ColumnData::Time(times)) => times.iter().map(|&ms| UnixMillis(ms)).collect(),
        _ => vec![UnixMillis::default(); table.n_rows],
    };
    let known_at: Option<Vec<UnixMillis>> = match column(Role::KnownAt) {
        // A missing one is the smallest number there is.
        Some(ColumnData::Time(known)) => {
            Some(known.iter().zip(&times).map(|(&ms, &t)| UnixMillis(ms).max(t)).collect())
        }
        _ => None,
    };
    let hashed = |role: Role| match column(role) {
        Some(ColumnData::Text(text)) => {
            let of_level = hash_levels(text.levels.len(), n_threads, |code| key.order_id(text.levels.get(code)));
            let of_code = |&code: &u32| if code == MISSING_CODE { OrderId(0) } else { of_level[code as usize] };
            Some(text.codes.iter().map(of_code).collect::<Vec<_>>())
        }
        _ => None,
    };
    let (ids, event_ids) = (hashed(Role::Id), hashed(Role::EventId));
    let moment = |row: usize| (known_at.as_ref().map_or(times[row], |known| known[row]), times[row]);
    let row: Vec<u32> = (0..table.n_rows as u32).collect();
    if (1..table.n_rows).all(|row| moment(row - 1) <= moment(row)) {
        // Most files are: only rows of one moment are to be brought into an order, which moves no times.
        let mut rows = CanonicalRows { row, hash: hashes, id: ids, event_id: event_ids, ..CanonicalRows::default() };
        sort_moments(&mut rows, moment, n_threads);
        rows.known_at = known_at.unwrap_or_else(|| times.clone());
        rows.time = times;
        return rows;
    }
    let mut row = row;
    row.sort_by_cached_key(|&row| {
        let at = row as usize;
        let (known, time) = moment(at);
        (known, time, ids.as_ref().map_or(OrderId(0), |ids| ids[at]), hashes[at])
    });
    let sorted = |ids: Option<Vec<OrderId>>| ids.map(|ids| row.iter().map(|&r| ids[r as usize]).collect());
    let time: Vec<UnixMillis> = row.iter().map(|&r| times[r as usize]).collect();
    CanonicalRows {
        hash: row.iter().map(|&r| hashes[r as usize]).collect(),
        id: sorted(ids),
        event_id: sorted(event_ids),
        known_at: known_at.map_or_else(|| time.clone(), |known| row.iter().map(|&r| known[r as usize]).collect()),
        time,
        row,
    }
}

/// Rows one after the other.
struct Piece<'a> {
    first: usize,
    row: &'a mut [u32],
    hash: &'a mut [u64],
    id: Option<&'a mut [OrderId]>,
    event_id: Option<&'a mut [OrderId]>,
}

impl<'a> Piece<'a> {
    fn split_off(&mut self, n: usize) -> Piece<'a> {
        const WITHIN: &str = "a piece ends within the rows";
        let of_ids =
            |ids: &mut Option<&'a mut [OrderId]>| ids.as_mut().map(|ids| ids.split_off_mut(..n).expect(WITHIN));
        let piece = Piece {
            first: self.first,
            row: self.row.split_off_mut(..n).expect(WITHIN),
            hash: self.hash.split_off_mut(..n).expect(WITHIN),
            id: of_ids(&mut self.id),
            event_id: of_ids(&mut self.event_id),
        };
        self.first += n;
        piece
    }

    /// Sorts the rows from `start` to `end` by (id, hash, row).
    fn sort(&mut self, start: usize, end: usize, room: &mut Vec<(OrderId, u64, u32, OrderId)>) {
        let id = |ids: &Option<&mut [OrderId]>, at: usize| ids.as_ref().map_or(OrderId(0), |ids| ids[at]);
        room.clear();
        room.extend((start..end).map(|at| (id(&self.id, at), self.hash[at], self.row[at], id(&self.event_id, at))));
        room.sort_unstable();
        for (at, &(id, hash, row, event_id)) in (start..end).zip(&*room) {
            (self.row[at], self.hash[at]) = (row, hash);
            self.id.iter_mut().for_each(|ids| ids[at] = id);
            self.event_id.iter_mut().for_each(|ids| ids[at] = event_id);
        }
    }
}

/// Sorts the rows of each moment; moments rise.
fn sort_moments<T: PartialEq>(rows: &mut CanonicalRows, moment: impl Fn(usize) -> T + Sync, n_threads: usize) {
    let n = rows.len();
    let mut rest = Piece {
        first: 0,
        row: &mut rows.row,
        hash: &mut rows.hash,
        id: rows.id.as_deref_mut(),
        event_id: rows.event_id.as_deref_mut(),
    };
    let mut jobs = Vec::new();
    while rest.first < n {
        // No moment is cut in two.
        let mut end = (rest.first + BLOCK).min(n);
        while end < n && moment(end - 1) == moment(end) {
            end += 1;
        }
        jobs.push(rest.split_off(end - rest.first));
    }
    parallel::run(n_threads, jobs, |mut piece: Piece<'_>| {
        let (mut start, mut room) = (0, Vec::new());
        for end in 1..=piece.row.len() {
            if end == piece.row.len() || moment(piece.first + end - 1) != moment(piece.first + end) {
                if end - start > 1 {
                    piece.sort(start, end, &mut room);
                }
                start = end;
            }
        }
    });
}

/// Computes something of every level of a text column in parallel.
pub(crate) fn hash_levels<T: Send>(n_levels: usize, n_threads: usize, of: impl Fn(u32) -> T + Sync) -> Vec<T> {
    let jobs: Vec<_> = (0..n_levels as u32).step_by(8_192).collect();
    let chunk = |start: u32| (start..(start + 8_192).min(n_levels as u32)).map(&of).collect::<Vec<_>>();
    parallel::run(n_threads, jobs, chunk).into_iter().flatten().collect()
}

/// Rows per job.
const BLOCK: usize = 16_384;

fn row_hashes(table: &OrderTable, kinds: &[EventKind], n_threads: usize) -> Vec<u64> {
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
    let mut hashes = vec![0; table.n_rows];
    let columns: Vec<_> =
        table.columns.iter().zip(&level_hashes).filter(|(c, _)| !matches!(c, ColumnData::Absent)).collect();
    let width = columns.len() * 8 + usize::from(!kinds.is_empty());
    if width == 0 {
        hashes.fill(xxhash_rust::xxh3::xxh3_64(&[]));
        return hashes;
    }
    let jobs: Vec<_> = hashes.chunks_mut(BLOCK).enumerate().collect();
    parallel::run(n_threads, jobs, |(block, hashes): (usize, &mut [u64])| {
        // A few rows at a time, column by column, so that their bytes stay in the first cache.
        let mut bytes = vec![0; width * TILE];
        for (tile, hashes) in hashes.chunks_mut(TILE).enumerate() {
            let first = block * BLOCK + tile * TILE;
            let rows = first..first + hashes.len();
            for (at, &(column, level_hashes)) in columns.iter().enumerate() {
                let places = bytes.chunks_exact_mut(width).map(|row| &mut row[at * 8..at * 8 + 8]);
                fill_words(column, level_hashes, rows.clone(), places);
            }
            for (row, kind) in bytes.chunks_exact_mut(width).zip(kinds.get(rows).unwrap_or_default()) {
                row[width - 1] = *kind as u8;
            }
            for (hash, row) in hashes.iter_mut().zip(bytes.chunks_exact(width)) {
                *hash = xxhash_rust::xxh3::xxh3_64(row);
            }
        }
    });
    hashes
}

/// Rows that are hashed together.
const TILE: usize = 128;

/// Writes what some rows of a column are hashed by.
fn fill_words<'a>(
    column: &ColumnData,
    level_hashes: &[u64],
    rows: Range<usize>,
    places: impl Iterator<Item = &'a mut [u8]>,
) {
    fn put<'a>(places: impl Iterator<Item = &'a mut [u8]>, words: impl Iterator<Item = u64>) {
        places.zip(words).for_each(|(place, word)| place.copy_from_slice(&word.to_le_bytes()));
    }
    match column {
        ColumnData::Absent => {}
        ColumnData::Number(values) => put(places, values[rows].iter().map(|value| value.to_bits())),
        ColumnData::Amount(values) | ColumnData::Time(values) => {
            put(places, values[rows].iter().map(|&value| value as u64));
        }
        ColumnData::Label(labels) => put(places, labels[rows].iter().map(|&label| label as u64)),
        ColumnData::Text(text) => {
            let word = |&code: &u32| if code == MISSING_CODE { u64::MAX } else { level_hashes[code as usize] };
            put(places, text.codes[rows].iter().map(word));
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Available, Column, TimeFormat};
    use crate::table::{Levels, MISSING_I64, TextColumn};
    use crate::time::Span;

    fn schema() -> Schema {
        let columns = [("id", Role::Id), ("at", Role::Time), ("known", Role::KnownAt), ("event", Role::EventId)];
        let column = |(name, role): (&str, Role)| Column {
            name: name.to_owned(),
            role,
            available: Available::Order,
            format: matches!(role, Role::Time | Role::KnownAt).then_some(TimeFormat::EpochMillis),
        };
        Schema {
            timezone: "UTC".into(),
            label_delay: Span::days(7),
            amount_decimals: 2,
            columns: columns.map(column).into(),
        }
    }

    fn text(cells: &[&str]) -> ColumnData {
        let mut column = TextColumn { codes: Vec::new(), levels: Levels::default() };
        for cell in cells {
            let known = column.levels.iter().position(|level| level == *cell);
            let code = match known {
                _ if cell.is_empty() => MISSING_CODE,
                Some(code) => code as u32,
                None => column.levels.push(cell),
            };
            column.codes.push(code);
        }
        ColumnData::Text(column)
    }

    fn table(ids: &[&str], times: &[i64], known: &[i64], events: &[&str]) -> OrderTable {
        OrderTable {
            n_rows: ids.len(),
            columns: vec![text(ids), ColumnData::Time(times.into()), ColumnData::Time(known.into()), text(events)],
            source: vec![0; ids.len()],
            line: vec![0; ids.len()],
        }
    }

    #[test]
    fn late_rows_stand_where_they_became_known() {
        let table = table(&["a", "b", "c"], &[30, 10, 20], &[MISSING_I64, 90, 5], &["", "", ""]);
        let rows = canonical_rows(&schema(), &table, &IdentityKey::new(b"k"), 1);
        assert_eq!(rows.row, [2, 0, 1]);
        assert_eq!(rows.known_at, [20, 30, 90].map(UnixMillis), "never before the event, and its time where missing");
        assert_eq!(rows.time, [20, 30, 10].map(UnixMillis));
    }

    #[test]
    fn order_and_event_ids_are_taken_once() {
        let none = [MISSING_I64; 6];
        let day = Span::DAY.0;
        let times = [0, 1, 2, 3, 4, 121 * day];
        let table = table(&["a", "b", "a", "c", "", "a"], &times, &none, &["x", "y", "z", "y", "", ""]);
        let rows = canonical_rows(&schema(), &table, &IdentityKey::new(b"k"), 1);
        assert_eq!(repeated(&rows, None, Span::days(7)).0, [false, false, true, true, false, false]);
    }

    #[test]
    fn rows_are_hashed_by_all_that_was_read() {
        let n = 3 * TILE + 5;
        let texts: Vec<String> =
            (0..n).map(|row| if row % 7 == 0 { String::new() } else { format!("t{}", row % 9) }).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let numbers: Vec<f64> = (0..n).map(|row| if row % 5 == 0 { f64::NAN } else { row as f64 / 3.0 }).collect();
        let times: Vec<i64> = (0..n as i64).map(|row| row * 77).collect();
        let labels: Vec<i8> = (0..n).map(|row| (row % 3) as i8 - 1).collect();
        let kinds: Vec<EventKind> = (0..n).map(|row| EventKind::ALL[row % 4]).collect();
        let columns = vec![
            ColumnData::Absent,
            text(&texts),
            ColumnData::Number(numbers.clone()),
            ColumnData::Time(times.clone()),
            ColumnData::Label(labels.clone()),
        ];
        let table = OrderTable { n_rows: n, columns, source: vec![0; n], line: vec![0; n] };
        for kinds in [&kinds[..], &[]] {
            let expected = (0..n).map(|row| {
                let of_text =
                    if texts[row].is_empty() { u64::MAX } else { xxhash_rust::xxh3::xxh3_64(texts[row].as_bytes()) };
                let words = [of_text, numbers[row].to_bits(), times[row] as u64, labels[row] as u64];
                let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
                bytes.extend(kinds.get(row).map(|&kind| kind as u8));
                xxhash_rust::xxh3::xxh3_64(&bytes)
            });
            assert_eq!(row_hashes(&table, kinds, 2), expected.collect::<Vec<_>>());
        }
        let nothing = OrderTable { columns: vec![ColumnData::Absent], ..table };
        assert_eq!(row_hashes(&nothing, &[], 1), vec![xxhash_rust::xxh3::xxh3_64(&[]); n]);
    }

    #[test]
    fn the_kind_of_an_event_is_part_of_its_content() {
        let one = table(&["a", "a"], &[5, 5], &[MISSING_I64; 2], &["", ""]);
        let kinds = vec![EventKind::Login, EventKind::Signup];
        let rows = canonical_events(&schema(), &EventTable { table: one.clone(), kinds }, &IdentityKey::new(b"k"), 1);
        let kinds = vec![EventKind::Signup, EventKind::Login];
        let swapped = canonical_events(&schema(), &EventTable { table: one, kinds }, &IdentityKey::new(b"k"), 1);
        assert_ne!(rows.row, swapped.row);
        assert_eq!(rows.hash, swapped.hash);
    }
}
