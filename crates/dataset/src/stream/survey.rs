//! The first pass: what the files hold, what must be rejected, and whether they are in order of time.

use std::sync::atomic::{AtomicBool, AtomicU64};

use orderguard_features::kind::EventKind;
use orderguard_features::schema::{Role, Schema};
use orderguard_features::table::ColumnData;

use super::Walk;
use super::rows::{HEAD, Rows, is_of_orders};
use crate::blocks::Progress;
use crate::error::ReadError;
use crate::events::Arrivals;
use crate::read::{ReadOptions, refuse_too_many, refuse_unseen};
use crate::rejection::Rejections;
use crate::rows::Ending;
use crate::source::Sources;

/// What is known of files after one pass over them.
#[derive(Clone, Debug)]
pub struct Survey {
    /// Accepted rows that are orders.
    pub n_orders: u64,
    /// Accepted rows that are other events.
    pub n_events: u64,
    /// The rejected rows.
    pub rejections: Rejections,
    /// Accepted and rejected rows.
    pub n_rows_seen: u64,
    /// Bytes read, after decompression.
    pub bytes: u64,
    /// Names of the files.
    pub files: Vec<String>,
    /// For each of the files: whether it was given as one of events.
    pub is_events: Vec<bool>,
    /// Bytes that sorting the rows on disk takes.
    pub sort_bytes: u64,
    /// What the column of arrivals says that it should not.
    pub arrivals: Arrivals,
    /// When the first order happened; `None` without orders or times.
    pub first_order: Option<i64>,
    /// When the last order happened.
    pub last_order: Option<i64>,
    /// The line of each file's last row, where the file was cut inside it.
    pub(super) cut: Vec<Option<u64>>,
    /// Which columns of the schema any file has.
    pub(super) seen: Vec<bool>,
    /// Whether rows may be something else than orders.
    pub(super) has_kinds: bool,
    /// First and last arrival of each file with rows, and whether its rows are in order.
    spans: Vec<Option<Span>>,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    first: i64,
    last: i64,
    sorted: bool,
}

/// Looks at all rows once. Memory: some blocks.
///
/// # Errors
/// As [`read`](crate::read::read()).
pub fn survey(
    sources: &Sources,
    schema: &Schema,
    options: &ReadOptions,
    progress: Progress<'_>,
) -> Result<Survey, ReadError> {
    let (bytes, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let n_files = sources.files.len();
    let mut survey = Survey {
        n_orders: 0,
        n_events: 0,
        rejections: Rejections::default(),
        n_rows_seen: 0,
        bytes: 0,
        files: sources.names(),
        is_events: sources.files.iter().map(|file| !is_of_orders(file.content)).collect(),
        sort_bytes: 0,
        arrivals: Arrivals::default(),
        first_order: None,
        last_order: None,
        cut: vec![None; n_files],
        seen: vec![false; schema.columns.len()],
        has_kinds: schema.find(Role::Event).is_some() || sources.files.iter().any(|file| !is_of_orders(file.content)),
        spans: vec![None; n_files],
    };
    let mut seen_in_orders = vec![false; schema.columns.len()];
    let mut endings = vec![Ending::default(); n_files];
    let mut walk = Walk::new(sources, schema, options, progress, (&bytes, &stop));
    while let Some(mut rows) = walk.next()? {
        let file = rows.file as usize;
        endings[file].add(rows.ending);
        // A suspect row is the last of its file.
        survey.cut[file] = endings[file].cut_line();
        rows.drop_cut(&survey.cut);
        for &(position, seen, in_orders) in &rows.seen {
            survey.seen[position] |= seen;
            seen_in_orders[position] |= in_orders;
        }
        survey.add(&mut rows, schema);
    }
    survey.n_rows_seen = survey.n_orders + survey.n_events + survey.rejections.count();
    drop(walk);
    survey.bytes = bytes.into_inner();
    if survey.n_rows_seen == 0 {
        return Err(ReadError::HeaderOnly { file: survey.files.into_iter().next().unwrap_or_default() });
    }
    if survey.is_events.contains(&false) {
        refuse_unseen(schema, options, &seen_in_orders, &survey.files)?;
    }
    refuse_too_many(&survey.rejections, survey.n_rows_seen, options, &survey.files)?;
    Ok(survey)
}

impl Survey {
    fn add(&mut self, rows: &mut Rows, schema: &Schema) {
        self.rejections.append(std::mem::take(&mut rows.rejections));
        let n_orders = rows.kinds.iter().filter(|&&kind| kind == EventKind::Order).count() as u64;
        self.n_orders += n_orders;
        self.n_events += rows.len() as u64 - n_orders;
        self.sort_bytes += sort_bytes(rows);
        let times = |role| match schema.find(role).map(|column| &rows.columns[column]) {
            Some(ColumnData::Time(times)) => times.as_slice(),
            _ => &[],
        };
        self.arrivals = [self.arrivals, Arrivals::between(times(Role::Time), times(Role::KnownAt))].into_iter().sum();
        let span = &mut self.spans[rows.file as usize];
        for row in 0..rows.len() {
            let known_at = rows.known_at(row);
            let span = span.get_or_insert(Span { first: known_at, last: known_at, sorted: true });
            span.sorted &= known_at >= span.last;
            span.first = span.first.min(known_at);
            span.last = span.last.max(known_at);
            if rows.kinds[row] == EventKind::Order && schema.find(Role::Time).is_some() {
                let time = rows.time(row);
                self.first_order = Some(self.first_order.map_or(time, |first| first.min(time)));
                self.last_order = self.last_order.max(Some(time));
            }
        }
    }

    /// Files in order of time, one list for those that follow one another; `None` where a file is not in order itself.
    pub(super) fn chains(&self) -> Option<Vec<Vec<usize>>> {
        let mut files: Vec<(usize, Span)> =
            self.spans.iter().enumerate().filter_map(|(file, span)| Some((file, (*span)?))).collect();
        if files.iter().any(|(_, span)| !span.sorted) {
            return None;
        }
        files.sort_by_key(|(file, span)| (span.first, *file));
        let mut chains: Vec<(i64, Vec<usize>)> = Vec::new();
        for (file, span) in files {
            match chains.iter_mut().find(|(last, _)| *last <= span.first) {
                Some((last, chain)) => {
                    *last = span.last;
                    chain.push(file);
                }
                None => chains.push((span.last, vec![file])),
            }
        }
        Some(chains.into_iter().map(|(_, chain)| chain).collect())
    }

    /// Whether the rows are in order of time, file by file.
    pub fn is_in_order(&self) -> bool {
        self.chains().is_some()
    }

    /// Whether any file has the column at that position of the schema.
    pub fn has_column(&self, position: usize) -> bool {
        self.seen[position]
    }

    /// Accepted rows.
    pub fn n_rows(&self) -> u64 {
        self.n_orders + self.n_events
    }
}

/// Bytes of all records of some rows.
fn sort_bytes(rows: &Rows) -> u64 {
    let n = rows.len();
    let mut bytes = n * (HEAD + 4);
    for column in &rows.columns {
        bytes += match column {
            ColumnData::Absent => 0,
            ColumnData::Number(_) | ColumnData::Amount(_) | ColumnData::Time(_) => n * 8,
            ColumnData::Label(_) => n,
            ColumnData::Text(text) => (0..n).map(|row| 4 + text.get(row).map_or(0, str::len)).sum(),
        };
    }
    bytes as u64
}
