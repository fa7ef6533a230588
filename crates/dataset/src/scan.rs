//! One pass over all rows that gathers the evidence on which a schema is inferred.

mod facts;
mod kinds;
#[cfg(feature = "parquet")]
mod row_groups;
mod sums;
mod tally;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use foldhash::fast::FixedState;
use orderguard_features::kind::EventKind;
use orderguard_features::parse::TimeParser;
use rayon::prelude::*;

use crate::blocks::{Block, Blocks, Progress, Shape};
use crate::delimited::Records;
use crate::error::ReadError;
use crate::json_lines::{Value, decode, members};
use crate::profile::{EventProfile, Profile};
use crate::rows::{Ending, check, json_rows};
use crate::source::{Content, Sources};
use facts::FORMATS;
pub(crate) use facts::{is_email, is_phone};
use kinds::Kinds;
use sums::Sums;
use tally::Tally;

/// Looks at every value of every column.
///
/// Orders and other events are looked at apart: a column that is named and filled as one of kinds tells them, and files that
/// were given as events. Where it turns out to hold something else, the data are looked at once more without it.
///
/// Rows that no schema could accept are left out: a wrong number of fields, bytes that are not UTF-8, a field that is
/// too long, a line that is not a JSON object, a cut last row. Of JSON Lines the columns are the union of the keys; `null`,
/// absent and nested values count as missing. Keys stand in the order of their last positions in an object, then of their
/// names (behind the columns of delimited files): as in the objects where one has all keys, and the same for any order of
/// the rows.
///
/// The result does not depend on the number of threads or the size of blocks. Memory: per thread and column up to
/// [`MAX_DISTINCT`](crate::profile::MAX_DISTINCT) distinct values. Runs in the current rayon pool.
///
/// # Errors
/// [`ReadError::MissingColumn`] if one delimited file of orders has a column that another lacks, [`ReadError::HeaderOnly`] if no
/// file has a row that can be looked at, and whatever is wrong with a file as a whole.
pub fn profile(sources: &Sources, progress: Progress<'_>) -> Result<Profile, ReadError> {
    let parsers = FORMATS.iter().map(|(_, format)| TimeParser::new(*format, "UTC")).collect::<Result<Vec<_>, _>>()?;
    let mut excluded: Vec<String> = Vec::new();
    loop {
        let all = scan(sources, &parsers, &excluded, progress)?;
        let n_excluded = excluded.len();
        excluded.extend(all.kinds.mistaken().cloned());
        if excluded.len() == n_excluded {
            return Ok(all.finish());
        }
    }
}

/// One pass over the data.
fn scan<'p>(
    sources: &'p Sources,
    parsers: &'p [TimeParser],
    excluded: &[String],
    progress: Progress<'_>,
) -> Result<Scanner<'p>, ReadError> {
    let (bytes, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let scanners: Vec<Scanner<'_>> = Blocks::new(sources, progress, &bytes, &stop)
        .par_bridge()
        .fold(
            || Scanner::new(sources, parsers, excluded),
            |mut scanner, block| {
                match block {
                    Ok(block) => scanner.block(&block),
                    Err(error) => scanner.error = Some(error),
                }
                if scanner.error.is_some() {
                    stop.store(true, Ordering::Relaxed);
                }
                scanner
            },
        )
        .collect();
    let mut all = Scanner::new(sources, parsers, excluded);
    for scanner in scanners {
        all.merge(scanner);
    }
    if let Some(error) = all.error {
        return Err(error);
    }
    all.headers.sort_by_key(|(file, _)| *file);
    all.headers.dedup_by_key(|(file, _)| *file);
    same_columns(sources, &all.headers)?;
    all.take_whole_last_rows();
    if all.orders.n_rows + all.events.n_rows == 0 {
        return Err(ReadError::HeaderOnly { file: sources.names().into_iter().next().unwrap_or_default() });
    }
    Ok(all)
}

/// Delimited files of orders must have the same columns, in any order.
fn same_columns(sources: &Sources, headers: &[(u32, Arc<[String]>)]) -> Result<(), ReadError> {
    let mut of_orders = headers.iter().filter(|(file, _)| sources.files[*file as usize].content == Content::Orders);
    let Some(first) = of_orders.next() else { return Ok(()) };
    let lacking = |file: &(u32, Arc<[String]>), other: &(u32, Arc<[String]>)| {
        let names: std::collections::HashSet<&str, FixedState> = file.1.iter().map(String::as_str).collect();
        match other.1.iter().find(|name| !names.contains(name.as_str())) {
            Some(name) => Err(ReadError::MissingColumn {
                file: sources.files[file.0 as usize].name.clone(),
                column: name.clone(),
                found: file.1.to_vec(),
                of_events: false,
            }),
            None => Ok(()),
        }
    };
    of_orders.try_for_each(|other| lacking(other, first).and_then(|()| lacking(first, other)))
}

/// A last row of which it shows only at the end whether the file was cut inside it.
struct Suspect {
    file: u32,
    key: u64,
    is_event: bool,
    cells: Vec<(String, String)>,
}

/// One thread's sums over the blocks that it met.
struct Scanner<'p> {
    sources: &'p Sources,
    parsers: &'p [TimeParser],
    orders: Sums,
    events: Sums,
    kinds: Kinds,
    headers: Vec<(u32, Arc<[String]>)>,
    endings: BTreeMap<u32, Ending>,
    suspects: Vec<Suspect>,
    error: Option<ReadError>,
}

impl<'p> Scanner<'p> {
    fn new(sources: &'p Sources, parsers: &'p [TimeParser], excluded: &[String]) -> Self {
        Self {
            sources,
            parsers,
            orders: Sums::default(),
            events: Sums::default(),
            kinds: Kinds::excluding(excluded),
            headers: Vec::new(),
            endings: BTreeMap::new(),
            suspects: Vec::new(),
            error: None,
        }
    }

    fn rows(&mut self, is_event: bool) -> &mut Sums {
        if is_event { &mut self.events } else { &mut self.orders }
    }

    fn block(&mut self, block: &Block) {
        let key = 2 * block.index as u64;
        match &block.shape {
            Shape::Delimited { header, .. } => {
                if self.headers.last().is_none_or(|(file, _)| *file != block.file) {
                    self.headers.push((block.file, Arc::clone(header)));
                }
                self.delimited(block, key);
            }
            Shape::JsonLines => self.json(block, key),
            #[cfg(feature = "parquet")]
            Shape::Parquet { file, group } => {
                if self.headers.last().is_none_or(|(file, _)| *file != block.file) {
                    self.headers.push((block.file, Arc::clone(&file.names)));
                }
                if let Err(error) = self.row_group(block.file, file, *group, key) {
                    self.error = Some(error);
                }
            }
        }
        self.close(key);
    }

    fn close(&mut self, key: u64) {
        self.orders.close(key);
        self.events.close(key);
    }

    fn delimited(&mut self, block: &Block, key: u64) {
        let Shape::Delimited { dialect, header } = &block.shape else { return };
        let bytes = block.bytes.as_slice();
        let whole = std::str::from_utf8(bytes).ok();
        let content = self.sources.files[block.file as usize].content;
        let kind = self.kinds.candidate(header.iter().map(String::as_str));
        let tells_apart = kind.is_some() || content != Content::Orders;
        let of_orders: Vec<usize> = header.iter().map(|name| self.orders.column(name)).collect();
        let of_events: Vec<usize> =
            if tells_apart { header.iter().map(|name| self.events.column(name)).collect() } else { Vec::new() };
        let mut records = Records::new(bytes, *dialect, block.first_line);
        let (mut scratch, mut ending) = (String::new(), Ending::default());
        while let Some(record) = records.next() {
            let is_last = block.ends_bare && record.end == bytes.len();
            let Ok(text) = check(records.ends(), record, bytes, whole, header.len(), is_last, self.sources) else {
                continue;
            };
            let is_event = tells_apart && {
                let said =
                    kind.map(|field| (header[field].as_str(), records.text(field, text, record.start, &mut scratch)));
                self.kinds.is_event(said, content)
            };
            let last_is_empty = records.last_is_empty();
            if is_last && last_is_empty {
                ending.suspect = Some(record.line);
                let cells = header.iter().enumerate().map(|(field, name)| {
                    (name.clone(), records.text(field, text, record.start, &mut scratch).to_owned())
                });
                self.suspects.push(Suspect { file: block.file, key: key + 1, is_event, cells: cells.collect() });
                continue;
            }
            ending.n_rows += 1;
            ending.n_last_empty += u64::from(last_is_empty);
            let (rows, columns) =
                if is_event { (&mut self.events, &of_events) } else { (&mut self.orders, &of_orders) };
            for (field, &column) in columns.iter().enumerate() {
                let text = records.text(field, text, record.start, &mut scratch);
                rows.add(column, text, key, self.parsers);
            }
            rows.end_row();
        }
        self.endings.entry(block.file).or_default().add(ending);
    }

    fn json(&mut self, block: &Block, key: u64) {
        let mut scratch = String::new();
        let limit = self.sources.options.max_field_bytes;
        let content = self.sources.files[block.file as usize].content;
        // Names and values of one line; a line with a fault must leave no trace.
        let mut row: Vec<(usize, Value)> = Vec::new();
        let mut names: Vec<String> = Vec::new();
        let mut columns: Vec<usize> = Vec::new();
        // The names of the row before, and which of them may say the kind.
        let mut candidate: (Vec<String>, Option<usize>) = (Vec::new(), None);
        for line in json_rows(block) {
            let Ok(text) = line.text(self.sources) else { continue };
            row.clear();
            let walked = members(text, &mut scratch, |name, value, _| {
                let n = row.len();
                if names.len() == n {
                    names.push(String::new());
                }
                if names[n] != name {
                    name.clone_into(&mut names[n]);
                }
                row.push((n, value));
                Ok(())
            });
            let too_long = row
                .iter()
                .any(|(_, value)| matches!(value, Value::Text(range) | Value::Token(range) if range.len() > limit));
            if walked.is_err() || too_long {
                continue;
            }
            if candidate.0[..] != names[..row.len()] {
                let found = self.kinds.candidate(names[..row.len()].iter().map(String::as_str));
                candidate = (names[..row.len()].to_vec(), found);
            }
            let cell_of = |value: &Value, scratch: &mut String| match value {
                Value::Text(range) => Some(decode(&text[range.clone()], scratch).trim_ascii().to_owned()),
                Value::Token(range) => Some(text[range.clone()].to_owned()),
                Value::Null | Value::Nested => None,
            };
            let said = candidate.1.map(|i| cell_of(&row[i].1, &mut scratch).unwrap_or_default());
            let said = candidate.1.map(|i| names[i].as_str()).zip(said.as_deref());
            let is_event = self.kinds.is_event(said, content);
            columns.clear();
            let parsers = self.parsers;
            let rows = self.rows(is_event);
            for (name, _) in &row {
                let column = rows.column(&names[*name]);
                if std::mem::replace(&mut rows.tallies[column].last_line, (key, line.line)) != (key, line.line) {
                    columns.push(column);
                }
            }
            // A key stood twice.
            if columns.len() < row.len() {
                continue;
            }
            for (position, (&column, (_, value))) in columns.iter().zip(&row).enumerate() {
                rows.tallies[column].position = rows.tallies[column].position.max(position);
                let cell = match value {
                    Value::Text(range) => decode(&text[range.clone()], &mut scratch).trim_ascii(),
                    Value::Token(range) => &text[range.clone()],
                    Value::Null | Value::Nested => continue,
                };
                rows.add(column, cell, key, parsers);
            }
            rows.end_row();
        }
    }

    fn merge(&mut self, other: Self) {
        self.orders.merge(other.orders);
        self.events.merge(other.events);
        self.kinds.merge(other.kinds);
        self.headers.extend(other.headers);
        for (file, ending) in other.endings {
            self.endings.entry(file).or_default().add(ending);
        }
        self.suspects.extend(other.suspects);
        // Reading stops at its first error, and nothing else can fail here.
        self.error = self.error.take().or(other.error);
    }

    /// Adds the last rows inside which their files were not cut after all.
    fn take_whole_last_rows(&mut self) {
        for Suspect { file, key, is_event, cells } in std::mem::take(&mut self.suspects) {
            if self.endings.get(&file).is_some_and(|ending| ending.cut_line().is_some()) {
                continue;
            }
            let parsers = self.parsers;
            let rows = self.rows(is_event);
            for (name, text) in &cells {
                let column = rows.column(name);
                rows.add(column, text, key, parsers);
            }
            rows.end_row();
            rows.close(key);
        }
    }

    fn finish(mut self) -> Profile {
        let is_stream = self.kinds.column().is_some() || self.events.n_rows > 0;
        if is_stream {
            // Both sorts of rows have all columns, so that they stand beside one another.
            let names = |rows: &Sums| rows.tallies.iter().map(|tally| (tally.name.clone(), tally.position)).collect();
            let all: [Vec<(String, usize)>; 2] = [names(&self.orders), names(&self.events)];
            for (name, position) in all.iter().flatten() {
                for rows in [&mut self.orders, &mut self.events] {
                    let column = rows.column(name);
                    rows.tallies[column].position = rows.tallies[column].position.max(*position);
                }
            }
        }
        // Headers give the order of their columns, the first one first; the fullest objects that of theirs.
        let mut in_header: HashMap<&str, usize, FixedState> = HashMap::default();
        for name in self.headers.iter().flat_map(|(_, header)| header.iter()) {
            let n = in_header.len();
            in_header.entry(name).or_insert(n);
        }
        let place = |tally: &Tally| {
            (in_header.get(tally.name.as_str()).copied().unwrap_or(usize::MAX), tally.position, tally.name.clone())
        };
        let events = is_stream.then(|| {
            let column = self.kinds.column();
            let by_kind = |kind: EventKind| {
                let of = |counts: &kinds::KindCounts| counts.by_kind[kind as usize];
                of(&self.kinds.given) + column.map_or(0, |(_, counts)| of(counts))
            };
            EventProfile {
                column: column.map(|(name, _)| name.to_owned()),
                kinds: EventKind::ALL.map(|kind| (kind, by_kind(kind))).into_iter().filter(|(_, n)| *n > 0).collect(),
                n_unknown: column.map_or(0, |(_, counts)| counts.n_unknown),
                n_rows: self.events.n_rows,
                columns: self.events.finish(place),
            }
        });
        Profile { n_rows: self.orders.n_rows, columns: self.orders.finish(place), events }
    }
}
