//! Tables that are larger than memory, in order of time and piece by piece.
//!
//! ```text
//! files -> survey: what is in them, and whether they are in order of time
//!       -> in order:     read again, file by file, and merged
//!       -> not in order: sorted by pieces that fit into memory, each written to disk, and merged
//!       -> chunks, cut between the milliseconds in which rows became known
//! ```
//! Rows have the values that [`read`](crate::read::read()) gives them, and those that it rejects are rejected. The canonical
//! orders of the chunks, one after the other, are the canonical order of all rows.

mod chunk;
mod rows;
mod survey;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use orderguard_features::schema::Schema;
use rayon::prelude::*;

pub use chunk::{Chunk, Chunks, TableBuilder};
pub use survey::{Survey, survey};

use crate::blocks::{Blocks, Progress};
use crate::error::ReadError;
use crate::read::ReadOptions;
use crate::scratch::{Cursor, Reader, Records, Scratch, Spool};
use crate::source::Sources;
use rows::{Layout, Rows, encode};

/// Reads blocks in order, as many at a time as there are threads.
struct Walk<'a> {
    blocks: Blocks<'a>,
    sources: &'a Sources,
    schema: &'a Schema,
    options: &'a ReadOptions,
    ready: VecDeque<Result<Rows, ReadError>>,
}

impl<'a> Walk<'a> {
    fn new(
        sources: &'a Sources,
        schema: &'a Schema,
        options: &'a ReadOptions,
        progress: Progress<'a>,
        (bytes, stop): (&'a AtomicU64, &'a AtomicBool),
    ) -> Self {
        let blocks = Blocks::new(sources, progress, bytes, stop);
        Self { blocks, sources, schema, options, ready: VecDeque::new() }
    }

    fn next(&mut self) -> Result<Option<Rows>, ReadError> {
        if self.ready.is_empty() {
            let n = rayon::current_num_threads();
            let blocks: Vec<_> = self.blocks.by_ref().take(n).collect();
            let parse = |block: Result<_, ReadError>| Rows::parse(&block?, self.sources, self.schema, self.options);
            self.ready.extend(blocks.into_par_iter().map(parse).collect::<Vec<_>>());
        }
        self.ready.pop_front().transpose()
    }
}

/// Rows that can be had in order of time, more than once.
pub struct Ordered<'s> {
    layout: Layout,
    survey: &'s Survey,
    schema: &'s Schema,
    options: &'s ReadOptions,
    way: Way<'s>,
}

/// Files that follow one another in time.
struct Chain {
    sources: Sources,
    /// Their positions among all files.
    files: Vec<usize>,
    bytes: AtomicU64,
    stop: AtomicBool,
}

enum Way<'s> {
    /// Files that are in order themselves; each list of them one after the other.
    Files(Vec<Chain>),
    /// Sorted pieces on disk.
    Runs { scratch: &'s Scratch, runs: Vec<Records>, buffer: usize },
}

impl<'s> Ordered<'s> {
    /// Reads the files in place, if they are in order of time: each by itself, and so that no more than `max_open` must be
    /// read at once. `None` where they are not.
    ///
    /// # Errors
    /// [`ReadError::Schema`].
    pub fn in_place(
        sources: &Sources,
        survey: &'s Survey,
        schema: &'s Schema,
        options: &'s ReadOptions,
        max_open: usize,
    ) -> Result<Option<Self>, ReadError> {
        let Some(chains) = survey.chains().filter(|chains| chains.len() <= max_open.max(1)) else { return Ok(None) };
        let chain = |files: Vec<usize>| Chain {
            sources: sources.only(&files),
            files,
            bytes: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        };
        let chains = chains.into_iter().map(chain).collect();
        Ok(Some(Self { layout: Layout::new(schema, options)?, survey, schema, options, way: Way::Files(chains) }))
    }

    /// Sorts the rows on disk, in pieces of about `memory` bytes.
    ///
    /// # Errors
    /// [`ReadError::Scratch`] when the disk is full, [`ReadError::Changed`], and whatever is wrong with a file as a whole.
    pub fn sorted(
        sources: &Sources,
        survey: &'s Survey,
        schema: &'s Schema,
        options: &'s ReadOptions,
        scratch: &'s Scratch,
        memory: usize,
        progress: Progress<'_>,
    ) -> Result<Self, ReadError> {
        let layout = Layout::new(schema, options)?;
        let (bytes, stop) = (AtomicU64::new(0), AtomicBool::new(false));
        let mut walk = Walk::new(sources, schema, options, progress, (&bytes, &stop));
        let (mut runs, mut piece, mut size) = (Vec::new(), Vec::new(), 0);
        while let Some(mut rows) = walk.next()? {
            rows.drop_cut(&survey.cut);
            size += rows.memory();
            piece.push(rows);
            if size >= memory {
                runs.push(write_run(&piece, scratch)?);
                piece.clear();
                size = 0;
            }
        }
        if !piece.is_empty() {
            runs.push(write_run(&piece, scratch)?);
        }
        let buffer = (memory / runs.len().max(1)).clamp(MIN_BUFFER, MAX_BUFFER);
        Ok(Self { layout, survey, schema, options, way: Way::Runs { scratch, runs, buffer } })
    }

    /// How many sorted pieces are on disk; 0 where the files are read in place.
    pub fn n_runs(&self) -> usize {
        match &self.way {
            Way::Files(_) => 0,
            Way::Runs { runs, .. } => runs.len(),
        }
    }

    /// The rows in chunks of about `max_rows` rows and `max_bytes` bytes, and of at least one millisecond.
    ///
    /// # Errors
    /// [`ReadError::Scratch`], and whatever is wrong with a file as a whole.
    pub fn chunks(&self, max_rows: usize, max_bytes: usize) -> Result<Chunks<'_>, ReadError> {
        let (schema, options) = (self.schema, self.options);
        let mut cursors: Vec<Source<'_>> = Vec::new();
        match &self.way {
            Way::Files(chains) => {
                for Chain { sources, files, bytes, stop } in chains {
                    bytes.store(0, Ordering::Relaxed);
                    let walk = Walk::new(sources, schema, options, &|_, _| {}, (bytes, stop));
                    let in_place = InPlace { walk, files, survey: self.survey, rows: None, at: 0, before: i64::MIN };
                    cursors.push(Source::Files(Box::new(in_place)));
                }
            }
            Way::Runs { scratch, runs, buffer } => {
                cursors.extend(runs.iter().map(|run| Source::Run(run.reader(scratch, *buffer))));
            }
        }
        Chunks::new(cursors, &self.layout, self.survey, max_rows, max_bytes)
    }
}

/// Buffers of sorted pieces: small enough for thousands of them, and no larger than the disk makes use of.
const MIN_BUFFER: usize = 4 << 10;
const MAX_BUFFER: usize = 1 << 20;

fn write_run(piece: &[Rows], scratch: &Scratch) -> Result<Records, ReadError> {
    let mut keys: Vec<(i64, u32, u32)> = Vec::with_capacity(piece.iter().map(Rows::len).sum());
    for (i, rows) in piece.iter().enumerate() {
        keys.extend((0..rows.len()).map(|row| (rows.known_at(row), i as u32, row as u32)));
    }
    // Pieces and rows stand in the order of the files, as the records do of one time.
    keys.par_sort_unstable();
    let mut spool = Spool::new(scratch, MAX_BUFFER);
    let mut record = Vec::new();
    for (_, i, row) in keys {
        let rows = &piece[i as usize];
        encode(rows, row as usize, &mut record);
        spool.push(&record)?;
    }
    Ok(spool.finish()?)
}

/// Where records come from.
enum Source<'a> {
    Files(Box<InPlace<'a>>),
    Run(Reader<'a>),
}

impl Cursor for Source<'_> {
    fn next_into(&mut self, record: &mut Vec<u8>) -> Result<bool, ReadError> {
        match self {
            Self::Files(files) => files.next_into(record),
            Self::Run(run) => run.next_into(record),
        }
    }
}

/// Files that are in order of time, one after the other.
struct InPlace<'a> {
    walk: Walk<'a>,
    /// Positions of the files among all.
    files: &'a [usize],
    survey: &'a Survey,
    rows: Option<Rows>,
    at: usize,
    before: i64,
}

impl Cursor for InPlace<'_> {
    fn next_into(&mut self, record: &mut Vec<u8>) -> Result<bool, ReadError> {
        loop {
            if let Some(rows) = &self.rows
                && self.at < rows.len()
            {
                let known_at = rows.known_at(self.at);
                if known_at < self.before {
                    let file = self.survey.files[rows.file as usize].clone();
                    return Err(ReadError::Changed { file });
                }
                self.before = known_at;
                encode(rows, self.at, record);
                self.at += 1;
                return Ok(true);
            }
            let Some(mut rows) = self.walk.next()? else { return Ok(false) };
            rows.file = self.files[rows.file as usize] as u32;
            rows.drop_cut(&self.survey.cut);
            (self.rows, self.at) = (Some(rows), 0);
        }
    }
}
