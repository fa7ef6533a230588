//! Cuts the sources into blocks of whole records, each of which one thread then parses by itself.
//!
//! ```text
//! file:    header | r1 r2 r3 | r4 "quoted     block = some whole records, cut at the last line end outside quotes;
//!                            |  newline" r5   the rest is carried over to the next block
//! ```
//! Reading, decompressing and finding the cuts is one sequential job, far faster than parsing; whichever thread is free
//! does the next piece of it (`rayon::iter::par_bridge`), so that no more blocks are in memory than threads.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use orderguard_features::parse::{self, TimeParser};
use orderguard_features::schema::TimeFormat;
use orderguard_features::table::MISSING_I64;

use orderguard_features::identity::is_card_number;

use crate::delimited::{Boundaries, Dialect, Records, Scan, count, detect, has_binary, line_end};
use crate::error::ReadError;
#[cfg(feature = "parquet")]
use crate::parquet_in::ParquetFile;
use crate::rejection::RejectReason;
use crate::scan::{is_email, is_phone};
use crate::source::{Kind, Sources, Stream, kind_of};

/// Told how many stored bytes were read, and how many there are.
pub type Progress<'a> = &'a (dyn Fn(u64, u64) + Sync);

/// How much of a file is looked at to find its delimiter.
const SAMPLE_BYTES: usize = 256 << 10;

/// What the records of a file look like.
#[derive(Clone)]
pub(crate) enum Shape {
    Delimited {
        dialect: Dialect,
        header: Arc<[String]>,
    },
    JsonLines,
    /// One row group.
    #[cfg(feature = "parquet")]
    Parquet {
        file: Arc<ParquetFile>,
        group: usize,
    },
}

/// Some whole records of one file.
pub(crate) struct Block {
    /// Position among all blocks.
    pub(crate) index: usize,
    pub(crate) file: u32,
    pub(crate) shape: Shape,
    pub(crate) bytes: Vec<u8>,
    /// Line of the first byte; of a row group the number of its first row.
    pub(crate) first_line: u64,
    /// Whether the file ends with this block and without a line end.
    pub(crate) ends_bare: bool,
    /// A row that no block holds, because its end is not clear: its line and why.
    pub(crate) broken: Option<(u64, RejectReason)>,
    spare: Spare,
}

impl Drop for Block {
    fn drop(&mut self) {
        self.spare.give(std::mem::take(&mut self.bytes));
    }
}

/// Buffers of blocks that are done: the next blocks are read into memory that is there already.
#[derive(Clone, Default)]
struct Spare(Arc<Mutex<Vec<Vec<u8>>>>);

/// A buffer that grew larger than this many blocks for one long row is given back to the system.
const MAX_SPARE_BLOCKS: usize = 4;

impl Spare {
    fn take(&self) -> Vec<u8> {
        let mut buf = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        buf.clear();
        buf
    }

    fn give(&self, buf: Vec<u8>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(buf);
    }
}

/// Yields the blocks of all files, in order.
pub(crate) struct Blocks<'a> {
    sources: &'a Sources,
    progress: Progress<'a>,
    current: Option<Open<'a>>,
    /// The Parquet file whose row groups come next, and the next of them.
    #[cfg(feature = "parquet")]
    groups: Option<(Arc<ParquetFile>, usize)>,
    next_file: usize,
    next_index: usize,
    /// Stored bytes of the files that are done.
    stored: u64,
    /// Decompressed bytes so far.
    meter: &'a AtomicU64,
    stop: &'a AtomicBool,
    spare: Spare,
}

struct Open<'a> {
    stream: Stream<'a>,
    shape: Shape,
    terminator: u8,
    boundaries: Boundaries,
    /// Bytes not handed out yet; starts at a record.
    buf: Vec<u8>,
    /// Line of the first byte of `buf`.
    line: u64,
    end: bool,
    /// The line that `buf` starts in is thrown away.
    skip_line: bool,
    /// How much of `buf` is looked at; grows when a record is longer than a block.
    target: usize,
}

impl<'a> Blocks<'a> {
    /// The blocks of `sources`. `meter` counts what is read after decompression; once `stop` is set, no block follows.
    pub(crate) fn new(
        sources: &'a Sources,
        progress: Progress<'a>,
        meter: &'a AtomicU64,
        stop: &'a AtomicBool,
    ) -> Self {
        Self {
            sources,
            progress,
            current: None,
            #[cfg(feature = "parquet")]
            groups: None,
            next_file: 0,
            next_index: 0,
            stored: 0,
            meter,
            stop,
            spare: Spare::default(),
        }
    }

    fn advance(&mut self) -> Result<Option<Block>, ReadError> {
        loop {
            #[cfg(feature = "parquet")]
            if let Some(block) = self.next_group()? {
                return Ok(Some(block));
            }
            if self.current.is_none() {
                if self.next_file == self.sources.files.len() {
                    return Ok(None);
                }
                #[cfg(feature = "parquet")]
                if let Some(stored) = self.sources.files[self.next_file].as_parquet()? {
                    let file = ParquetFile::open(&self.sources.files[self.next_file].name, stored)?;
                    self.groups = Some((Arc::new(file), 0));
                    self.next_file += 1;
                    continue;
                }
                self.current = Some(self.open()?);
                self.next_file += 1;
            }
            if let Some(block) = self.next_of_file()? {
                return Ok(Some(block));
            }
            self.current = None;
            self.stored += self.sources.files[self.next_file - 1].len;
        }
    }

    #[cfg(feature = "parquet")]
    fn next_group(&mut self) -> Result<Option<Block>, ReadError> {
        let Some((file, group)) = self.groups.take() else { return Ok(None) };
        let stored = &self.sources.files[self.next_file - 1];
        let n_groups = file.groups.len();
        let share = stored.len as f64 * (group as f64 / n_groups.max(1) as f64);
        (self.progress)(self.stored + share as u64, self.sources.stored_bytes());
        let Some(content) = file.groups.get(group).copied() else {
            self.stored += stored.len;
            return Ok(None);
        };
        let limit = self.sources.options.max_bytes;
        let before = self.meter.fetch_add(content.bytes, Ordering::Relaxed);
        if before.saturating_add(content.bytes) > limit {
            return Err(ReadError::TooLarge { file: stored.name.clone(), limit });
        }
        self.groups = Some((Arc::clone(&file), group + 1));
        let block = Block {
            index: self.next_index,
            file: (self.next_file - 1) as u32,
            shape: Shape::Parquet { file, group },
            bytes: Vec::new(),
            first_line: content.first_row + 1,
            ends_bare: false,
            broken: None,
            spare: self.spare.clone(),
        };
        self.next_index += 1;
        Ok(Some(block))
    }

    fn open(&mut self) -> Result<Open<'a>, ReadError> {
        let file = &self.sources.files[self.next_file];
        let mut stream = file.stream()?;
        let mut buf = Vec::new();
        let mut end = self.grow(&mut stream, &mut buf, SAMPLE_BYTES)?;
        if buf.starts_with(b"\xef\xbb\xbf") {
            buf.drain(..3);
        }
        if let Some(found) = foreign(&buf) {
            return Err(ReadError::UnknownFormat { file: file.name.clone(), found });
        }
        let Some(&first) = buf.trim_ascii_start().first() else {
            // A file that opens with more blanks than the sample is no table either.
            return Err(ReadError::Empty { file: file.name.clone() });
        };
        let kind = kind_of(&file.name).unwrap_or(if first == b'{' { Kind::JsonLines } else { Kind::Delimited });
        if kind == Kind::JsonLines {
            if first == b'[' {
                let found = "a JSON array (write one object a line)";
                return Err(ReadError::UnknownFormat { file: file.name.clone(), found });
            }
            let dialect = Dialect { delimiter: b',', terminator: b'\n' };
            let boundaries = Boundaries::new(dialect, false);
            let (shape, terminator) = (Shape::JsonLines, b'\n');
            return Ok(Open { stream, shape, terminator, boundaries, buf, line: 1, end, skip_line: false, target: 0 });
        }
        let dialect = detect(&buf, self.sources.options.delimiter, end);
        let header = loop {
            if let Some((header, used)) = header(&buf, dialect, end).map_err(|e| e.in_file(&file.name))? {
                break (header, used);
            }
            let limit = self.max_row();
            if buf.len() > limit {
                return Err(ReadError::HeaderTooLong { file: file.name.clone(), limit });
            }
            end = self.grow(&mut stream, &mut buf, SAMPLE_BYTES)?;
        };
        let (header, used) = header;
        let line = 1 + count(dialect.terminator, &buf[..used]);
        buf.drain(..used);
        Ok(Open {
            stream,
            shape: Shape::Delimited { dialect, header: header.into() },
            terminator: dialect.terminator,
            boundaries: Boundaries::new(dialect, true),
            buf,
            line,
            end,
            skip_line: false,
            target: 0,
        })
    }

    /// Adds up to `n` bytes to `buf`; whether the stream ended.
    fn grow(&mut self, stream: &mut Stream<'a>, buf: &mut Vec<u8>, n: usize) -> Result<bool, ReadError> {
        let file = &self.sources.files[self.next_file.min(self.sources.files.len() - 1)];
        let before = buf.len();
        buf.resize(before + n, 0);
        let got = stream.fill(&file.name, &mut buf[before..])?;
        buf.truncate(before + got);
        let limit = self.sources.options.max_bytes;
        if self.meter.fetch_add(got as u64, Ordering::Relaxed) + got as u64 > limit {
            return Err(ReadError::TooLarge { file: file.name.clone(), limit });
        }
        Ok(got < n)
    }

    fn max_quoted(&self) -> usize {
        self.sources.options.max_field_bytes.saturating_mul(16)
    }

    fn max_row(&self) -> usize {
        self.sources.options.max_field_bytes.saturating_mul(64)
    }

    fn next_of_file(&mut self) -> Result<Option<Block>, ReadError> {
        let Some(mut open) = self.current.take() else { return Ok(None) };
        let result = self.next_of(&mut open);
        (self.progress)(self.stored + open.stream.stored_bytes(), self.sources.stored_bytes());
        self.current = Some(open);
        result
    }

    fn next_of(&mut self, open: &mut Open<'a>) -> Result<Option<Block>, ReadError> {
        let step = self.sources.options.block_bytes.max(1);
        loop {
            if open.skip_line {
                match line_end(&open.buf, 0, open.terminator) {
                    Some(at) => {
                        open.buf.drain(..=at);
                        open.line += 1;
                        open.skip_line = false;
                    }
                    None => open.buf.clear(),
                }
            }
            open.target = open.target.max(step);
            let seen = open.buf.len().min(open.target);
            let end = open.end && seen == open.buf.len();
            let limit = self.max_quoted();
            let scan = if open.skip_line { Scan::Done } else { open.boundaries.scan(&open.buf[..seen], end, limit) };
            let last = open.boundaries.last;
            if let Scan::Unclosed(quote) = scan {
                if last > 0 {
                    let block = self.cut(open, last, false);
                    open.boundaries.restart();
                    return Ok(Some(block));
                }
                let file_ends = end && seen - quote <= limit;
                return Ok(Some(self.give_up_row(open, quote, RejectReason::UnclosedQuote, file_ends)));
            }
            // A record that ends with the file ends there too.
            if end && seen > 0 {
                let ends_bare = open.buf[seen - 1] != open.terminator;
                return Ok(Some(self.cut(open, seen, ends_bare)));
            }
            if end {
                return Ok(None);
            }
            if last > 0 && seen == open.target {
                return Ok(Some(self.cut(open, last, false)));
            }
            if last == 0 && seen > self.max_row() {
                let reason = RejectReason::RowTooLong { limit: self.max_row() };
                return Ok(Some(self.give_up_row(open, 0, reason, false)));
            }
            if seen == open.target {
                open.target += step;
            }
            if open.target > open.buf.len() {
                let mut buf = std::mem::take(&mut open.buf);
                open.end = self.grow(&mut open.stream, &mut buf, step)?;
                open.buf = buf;
            }
        }
    }

    /// Hands out the first `n` bytes.
    fn cut(&mut self, open: &mut Open<'a>, n: usize, ends_bare: bool) -> Block {
        let mut carry = self.spare.take();
        if carry.capacity() > MAX_SPARE_BLOCKS.saturating_mul(self.sources.options.block_bytes) {
            carry = Vec::new();
        }
        // Room for what is carried over and the next piece, so that the buffer need not move.
        let step = self.sources.options.block_bytes.min(1 << 20);
        carry.reserve(open.buf.len() - n + step);
        carry.extend_from_slice(&open.buf[n..]);
        let mut bytes = std::mem::replace(&mut open.buf, carry);
        bytes.truncate(n);
        let first_line = open.line;
        open.line += count(open.terminator, &bytes);
        open.boundaries.last = n;
        open.boundaries.rebase();
        open.target = 0;
        self.block(open, bytes, first_line, ends_bare, None)
    }

    /// Rejects the row that the buffer starts with, and goes on after the line that `from` lies in. `file_ends` says
    /// that the file ended before the row did.
    fn give_up_row(&mut self, open: &mut Open<'a>, from: usize, reason: RejectReason, file_ends: bool) -> Block {
        let row_line = open.line;
        let line_end = line_end(&open.buf, from, open.terminator);
        let used = line_end.map_or(open.buf.len(), |at| at + 1);
        open.skip_line = line_end.is_none() && !open.end;
        let is_last = file_ends && open.buf[used..].trim_ascii().is_empty();
        open.line += count(open.terminator, &open.buf[..used]);
        open.buf.drain(..used);
        open.boundaries.restart();
        open.target = 0;
        let reason = if is_last { RejectReason::FileEndsInside } else { reason };
        self.block(open, Vec::new(), row_line, false, Some((row_line, reason)))
    }

    fn block(
        &mut self,
        open: &Open<'a>,
        bytes: Vec<u8>,
        first_line: u64,
        ends_bare: bool,
        broken: Option<(u64, RejectReason)>,
    ) -> Block {
        let index = self.next_index;
        self.next_index += 1;
        let file = (self.next_file - 1) as u32;
        Block {
            index,
            file,
            shape: open.shape.clone(),
            bytes,
            first_line,
            ends_bare,
            broken,
            spare: self.spare.clone(),
        }
    }
}

impl Iterator for Blocks<'_> {
    type Item = Result<Block, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.stop.load(Ordering::Relaxed) {
            return None;
        }
        let item = self.advance().transpose();
        if matches!(item, Some(Err(_))) {
            self.stop.store(true, Ordering::Relaxed);
        }
        item
    }
}

/// What the bytes are if they are not text.
fn foreign(bytes: &[u8]) -> Option<&'static str> {
    let marks: [(&[u8], &str); 6] = [
        (b"PAR1", "a Parquet file"),
        (b"ARROW1", "an Arrow file"),
        (b"PK\x03\x04", "a zip or spreadsheet file"),
        (b"BZh", "a bzip2 file"),
        (b"\xff\xfe", "UTF-16 text"),
        (b"\xfe\xff", "UTF-16 text"),
    ];
    let known = marks.iter().find(|(mark, _)| bytes.starts_with(mark)).map(|(_, name)| *name);
    known.or_else(|| has_binary(&bytes[..bytes.len().min(4_096)]).then_some("binary data"))
}

/// Longest name of a column in bytes. Names stand in schemas, models and messages; what is longer is no name but a value
/// in a file without a header.
const MAX_NAME: usize = 4_096;

pub(crate) enum HeaderError {
    NotUtf8 { at: u64 },
    NameTooLong { position: usize, bytes: usize },
    Values { position: usize, kind: &'static str },
    Duplicate { column: String, positions: (usize, usize) },
}

impl HeaderError {
    pub(crate) fn in_file(self, file: &str) -> ReadError {
        let file = file.to_owned();
        match self {
            Self::NotUtf8 { at } => ReadError::HeaderNotUtf8 { file, at },
            Self::Values { position, kind } => ReadError::HeaderOfValues { file, position, kind },
            Self::NameTooLong { position, bytes } => ReadError::NameTooLong { file, position, bytes, limit: MAX_NAME },
            Self::Duplicate { column, positions } => ReadError::DuplicateColumn { file, column, positions },
        }
    }
}

/// What a name is that can only be a value: the file has no header.
fn value(name: &str) -> Option<&'static str> {
    if is_email(name) && !name.contains(char::is_whitespace) {
        Some("an e-mail address")
    } else if is_card_number(name.as_bytes()) {
        Some("a card number")
    } else if name.starts_with('+') && is_phone(name.as_bytes()) {
        Some("a phone number")
    } else if is_time(name) {
        Some("a time")
    } else {
        None
    }
}

/// The position of a name that can only be a value, and what it is. Of numbers it takes half of the names: a single one
/// names a year, a code or a position.
fn value_in<'a>(names: impl ExactSizeIterator<Item = &'a str> + Clone) -> Option<(usize, &'static str)> {
    let n = names.len();
    let first = names.clone().enumerate().find_map(|(i, name)| Some((i, value(name)?)));
    first.or_else(|| {
        let numbers = names.enumerate().filter(|&(_, name)| is_quantity(name, n));
        let first = numbers.clone().next();
        first.filter(|_| 2 * numbers.count() >= n).map(|(i, _)| (i, "a number"))
    })
}

/// A date or a date with the time of day. A count since 1970 is a number.
fn is_time(name: &str) -> bool {
    let formats = [TimeFormat::Iso, TimeFormat::MonthDayYear, TimeFormat::DayMonthYear];
    let is_date = name.starts_with(|c: char| c.is_ascii_digit()) && parse::number(name).is_err();
    is_date
        && formats.into_iter().any(|format| {
            TimeParser::new(format, "UTC").is_ok_and(|parser| parser.parse(name).is_ok_and(|time| time != MISSING_I64))
        })
}

/// A number that is no year and no position among `n` columns, such as a table without names is written with.
fn is_quantity(name: &str, n: usize) -> bool {
    let is_year_or_position =
        |x: f64| x.fract() == 0.0 && ((1_900.0..=2_100.0).contains(&x) || (0.0..=n as f64).contains(&x));
    // Infinity and words for a missing number are names too.
    name.bytes().any(|b| b.is_ascii_digit())
        && parse::number(name).is_ok_and(|x| !x.is_nan() && !is_year_or_position(x))
}

/// The names in the header and the bytes that it takes; `None` if it does not end within `bytes`.
fn header(bytes: &[u8], dialect: Dialect, end: bool) -> Result<Option<(Vec<String>, usize)>, HeaderError> {
    let mut records = Records::new(bytes, dialect, 1);
    let Some(record) = records.next() else { return Ok(None) };
    if record.end == bytes.len() && !end {
        return Ok(None);
    }
    let text = std::str::from_utf8(&bytes[record.start..record.end])
        .map_err(|e| HeaderError::NotUtf8 { at: (record.start + e.valid_up_to()) as u64 })?;
    let mut scratch = String::new();
    let names = (0..record.n_fields).map(|i| records.text(i, text, record.start, &mut scratch).to_owned()).collect();
    let names = check_names(names)?;
    let used = records.position();
    Ok(Some((names, used)))
}

/// The names of a file's columns, if they can be names; what has none is called by its position.
pub(crate) fn check_names(mut names: Vec<String>) -> Result<Vec<String>, HeaderError> {
    for (i, name) in names.iter_mut().enumerate().filter(|(_, name)| name.is_empty()) {
        // A data frame's index is written without a name.
        *name = format!("column_{}", i + 1);
    }
    if let Some(i) = names.iter().position(|name| name.len() > MAX_NAME) {
        return Err(HeaderError::NameTooLong { position: i + 1, bytes: names[i].len() });
    }
    // Names reach messages, reports and models, where values must not stand.
    if let Some((i, kind)) = value_in(names.iter().map(String::as_str)) {
        return Err(HeaderError::Values { position: i + 1, kind });
    }
    let mut sorted: Vec<usize> = (0..names.len()).collect();
    sorted.sort_by_key(|&i| (&names[i], i));
    if let Some(pair) = sorted.windows(2).find(|pair| names[pair[0]] == names[pair[1]]) {
        let positions = (pair[0] + 1, pair[1] + 1);
        return Err(HeaderError::Duplicate { column: names[pair[0]].clone(), positions });
    }
    Ok(names)
}
