//! Delimited text: which delimiter a file uses, where its records end, and the fields of one record.
//!
//! The grammar is that of the `csv` crate: a quote opens a field only as its first character, two quotes inside stand
//! for one, and what follows a closing quote belongs to the field. Records end with a line feed; white space around a
//! field, and with it the carriage return of a CRLF, is cut off.

use memchr::{memchr, memchr3, memrchr};

/// How a file's fields and records are separated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dialect {
    /// Between fields.
    pub(crate) delimiter: u8,
    /// After a record: a line feed, or a carriage return in files of old machines that have no line feed.
    pub(crate) terminator: u8,
}

const QUOTE: u8 = b'"';

/// Delimiters that are tried, the likeliest first.
const CANDIDATES: [u8; 4] = [b',', b';', b'\t', b'|'];

/// Records looked at to find the delimiter.
const SAMPLE_RECORDS: usize = 50;

/// Finds the dialect from the start of a file: the delimiter with which most of the first records have as many fields
/// as the header, then the one that gives more fields, then the likelier one.
pub(crate) fn detect(sample: &[u8], delimiter: Option<u8>, whole: bool) -> Dialect {
    let terminator = if memchr(b'\n', sample).is_none() && memchr(b'\r', sample).is_some() { b'\r' } else { b'\n' };
    if let Some(delimiter) = delimiter {
        return Dialect { delimiter, terminator };
    }
    let mut best = (Dialect { delimiter: CANDIDATES[0], terminator }, (0, 0));
    for delimiter in CANDIDATES {
        let dialect = Dialect { delimiter, terminator };
        let mut records = Records::new(sample, dialect, 1);
        let Some(header) = records.next() else { continue };
        let n_fields = header.n_fields;
        if n_fields < 2 {
            continue;
        }
        let (mut n_records, mut n_same) = (0, 0);
        while let Some(record) = records.next() {
            // The last record of a sample may be cut.
            if n_records == SAMPLE_RECORDS || (!whole && record.end == sample.len()) {
                break;
            }
            n_records += 1;
            n_same += usize::from(record.n_fields == n_fields);
        }
        let share = (n_same * 1_000_usize).checked_div(n_records).unwrap_or(1_000);
        if (share, n_fields) > best.1 {
            best = (dialect, (share, n_fields));
        }
    }
    best.0
}

/// Walks over the records of a byte slice that starts at a record and holds whole ones; blank lines are passed over.
pub(crate) struct Records<'a> {
    bytes: &'a [u8],
    marks: Marks<'a>,
    at: usize,
    line: u64,
    /// Where the fields of the current record end, and where the first starts.
    ends: Vec<u32>,
    start: u32,
}

/// One record: bounds in the slice, without the terminator.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) line: u64,
    pub(crate) n_fields: usize,
}

impl<'a> Records<'a> {
    pub(crate) fn new(bytes: &'a [u8], dialect: Dialect, first_line: u64) -> Self {
        Self { bytes, marks: Marks::new(bytes, dialect), at: 0, line: first_line, ends: Vec::new(), start: 0 }
    }

    /// The next record; its fields are read with [`Records::text`] until the record after it is asked for.
    pub(crate) fn next(&mut self) -> Option<Record> {
        let mut ends = std::mem::take(&mut self.ends);
        ends.clear();
        let record = self.next_into(&mut ends);
        self.ends = ends;
        self.start = record.map_or(0, |record| record.start as u32);
        record
    }

    /// The next record; adds to `ends` where its fields end.
    pub(crate) fn next_into(&mut self, ends: &mut Vec<u32>) -> Option<Record> {
        let before = ends.len();
        while self.at < self.bytes.len() {
            let (start, line) = (self.at, self.line);
            let end = self.split(start, ends);
            self.at = end + 1;
            self.line += 1;
            let n_fields = ends.len() - before;
            if n_fields == 1 && self.bytes[start..end].trim_ascii().is_empty() {
                ends.truncate(before);
                continue;
            }
            return Some(Record { start, end, line, n_fields });
        }
        None
    }

    /// The bytes not yet walked over start here.
    pub(crate) fn position(&self) -> usize {
        self.at.min(self.bytes.len())
    }

    /// Adds the ends of the fields of the record at `start`; returns the last one.
    fn split(&mut self, start: usize, ends: &mut Vec<u32>) -> usize {
        let Dialect { delimiter, terminator } = self.marks.dialect;
        let mut field = start;
        while let Some(at) = self.marks.next() {
            let mark = self.bytes[at];
            if mark == delimiter {
                ends.push(at as u32);
                field = at + 1;
            } else if mark == terminator {
                ends.push(at as u32);
                return at;
            } else if at == field {
                let close = closing_quote(self.bytes, at).unwrap_or(self.bytes.len());
                self.line += count(terminator, &self.bytes[at..close]);
                // A quote behind the closing one stands inside the field.
                self.marks.seek((close + 1).min(self.bytes.len()));
            }
        }
        ends.push(self.bytes.len() as u32);
        self.bytes.len()
    }

    fn field(&self, field: usize) -> (usize, usize) {
        let start = if field == 0 { self.start } else { self.ends[field - 1] + 1 };
        (start as usize, self.ends[field] as usize)
    }

    /// The current record's field as stored, quotes included.
    fn raw(&self, field: usize) -> &'a [u8] {
        let (start, end) = self.field(field);
        &self.bytes[start..end]
    }

    /// Where the fields of the current record end.
    pub(crate) fn ends(&self) -> &[u32] {
        &self.ends
    }

    /// Whether the current record's last field is empty.
    pub(crate) fn last_is_empty(&self) -> bool {
        is_empty(self.raw(self.ends.len() - 1))
    }

    /// The text of a field of the current record, whose bytes were found to be UTF-8: `record` is that text, starting at
    /// `base` of the slice. Quotes are undone (in `scratch` where needed), white space is cut off.
    pub(crate) fn text<'s>(&self, field: usize, record: &'s str, base: usize, scratch: &'s mut String) -> &'s str {
        let (start, end) = self.field(field);
        text(&record[start - base..end - base], scratch)
    }
}

/// Whether a field as stored has no text.
pub(crate) fn is_empty(raw: &[u8]) -> bool {
    match raw {
        [] => true,
        [first, ..] if *first > b' ' && *first != QUOTE => false,
        _ => matches!(raw.trim_ascii(), b"" | b"\"\""),
    }
}

/// The text of a field as stored: quotes are undone (in `scratch` where needed), white space is cut off.
#[inline]
pub(crate) fn text<'s>(raw: &'s str, scratch: &'s mut String) -> &'s str {
    let bytes = raw.as_bytes();
    if let (Some(first), Some(last)) = (bytes.first(), bytes.last())
        && *first > b' '
        && *last > b' '
        && *first != QUOTE
    {
        return raw;
    }
    trimmed(raw, scratch)
}

fn trimmed<'s>(raw: &'s str, scratch: &'s mut String) -> &'s str {
    if !raw.starts_with('"') {
        return raw.trim_ascii();
    }
    let inner = raw[1..].trim_ascii_end();
    if let Some(inner) = inner.strip_suffix('"')
        && memchr(QUOTE, inner.as_bytes()).is_none()
    {
        return inner.trim_ascii();
    }
    unquote(raw, scratch);
    scratch.trim_ascii()
}

/// Positions of delimiters, terminators and quotes, found for 64 bytes at once.
struct Marks<'a> {
    bytes: &'a [u8],
    dialect: Dialect,
    /// Start of the 64 bytes looked at.
    base: usize,
    /// A bit for each of them that is a mark and was not handed out.
    bits: u64,
}

const CHUNK: usize = 64;

impl<'a> Marks<'a> {
    fn new(bytes: &'a [u8], dialect: Dialect) -> Self {
        let mut marks = Self { bytes, dialect, base: 0, bits: 0 };
        marks.look();
        marks
    }

    #[inline]
    fn next(&mut self) -> Option<usize> {
        while self.bits == 0 {
            if self.base + CHUNK >= self.bytes.len() {
                return None;
            }
            self.base += CHUNK;
            self.look();
        }
        let at = self.base + self.bits.trailing_zeros() as usize;
        self.bits &= self.bits - 1;
        Some(at)
    }

    /// Goes on at a position that was not handed out yet.
    fn seek(&mut self, at: usize) {
        let base = at - at % CHUNK;
        if base != self.base {
            self.base = base;
            self.look();
        }
        self.bits &= u64::MAX << (at % CHUNK);
    }

    fn look(&mut self) {
        let rest = &self.bytes[self.base.min(self.bytes.len())..];
        self.bits = if let Some(chunk) = rest.first_chunk() {
            self.dialect.marks(chunk)
        } else {
            // Zeros are no marks.
            let mut chunk = [0; CHUNK];
            chunk[..rest.len()].copy_from_slice(rest);
            self.dialect.marks(&chunk)
        };
    }
}

impl Dialect {
    /// A bit for each byte that is a mark.
    #[inline]
    fn marks(self, chunk: &[u8; CHUNK]) -> u64 {
        let mut found = [0_u8; CHUNK];
        // Compilers turn this loop into a few vector instructions.
        for (found, &byte) in found.iter_mut().zip(chunk) {
            let is = |mark| u8::from(byte == mark);
            *found = is(self.delimiter) | is(self.terminator) | is(QUOTE);
        }
        let mut bits = 0;
        for (i, eight) in found.as_chunks().0.iter().enumerate() {
            // The product has byte k of the eight, which is 0 or 1, at bit 56 + k; no two others meet there or below.
            bits |= (u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * i);
        }
        bits
    }
}

/// Undoes quotes: what stands in a field that starts with one.
fn unquote(raw: &str, out: &mut String) {
    out.clear();
    let mut rest = &raw[1..];
    while let Some(at) = memchr(QUOTE, rest.as_bytes()) {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(more) = rest.strip_prefix('"') else { break };
        out.push('"');
        rest = more;
    }
    out.push_str(rest);
}

/// Position of the quote that closes the one at `open`.
fn closing_quote(bytes: &[u8], open: usize) -> Option<usize> {
    let mut at = open + 1;
    loop {
        let quote = at + memchr(QUOTE, bytes.get(at..)?)?;
        if bytes.get(quote + 1) != Some(&QUOTE) {
            return Some(quote);
        }
        at = quote + 2;
    }
}

/// How often `byte` occurs.
pub(crate) fn count(byte: u8, bytes: &[u8]) -> u64 {
    memchr::memchr_iter(byte, bytes).count() as u64
}

/// Finds where records end in bytes that arrive piece by piece, jumping from quote to quote.
#[derive(Debug)]
pub(crate) struct Boundaries {
    dialect: Dialect,
    /// Whether quotes mean anything; not in JSON Lines.
    quotes: bool,
    /// Everything before was looked at.
    scanned: usize,
    /// The quote whose closing one was not seen yet.
    open: Option<usize>,
    /// One past the terminator of the last whole record.
    pub(crate) last: usize,
}

/// What [`Boundaries::scan`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scan {
    /// All bytes were looked at, or more are needed.
    Done,
    /// The quote at this position does not close within the limit; the record starts at [`Boundaries::last`].
    Unclosed(usize),
}

impl Boundaries {
    pub(crate) fn new(dialect: Dialect, quotes: bool) -> Self {
        Self { dialect, quotes, scanned: 0, open: None, last: 0 }
    }

    /// Forgets the bytes before `last`, which were handed out.
    pub(crate) fn rebase(&mut self) {
        self.scanned = self.scanned.saturating_sub(self.last);
        self.open = self.open.map(|at| at - self.last);
        self.last = 0;
    }

    /// Starts anew at the first byte.
    pub(crate) fn restart(&mut self) {
        *self = Self::new(self.dialect, self.quotes);
    }

    /// Looks at the bytes that are new. `end` says that no more will come. A quote must close within `limit` bytes.
    pub(crate) fn scan(&mut self, bytes: &[u8], end: bool, limit: usize) -> Scan {
        let Dialect { delimiter, terminator } = self.dialect;
        loop {
            if let Some(open) = self.open {
                match memchr(QUOTE, &bytes[self.scanned..]).map(|i| self.scanned + i) {
                    Some(at) if at - open > limit => return Scan::Unclosed(open),
                    // Whether it closes shows in the byte after it.
                    Some(at) if at + 1 == bytes.len() && !end => {
                        self.scanned = at;
                        return Scan::Done;
                    }
                    Some(at) if bytes.get(at + 1) == Some(&QUOTE) => self.scanned = at + 2,
                    Some(at) => (self.open, self.scanned) = (None, at + 1),
                    None if end || bytes.len() - open > limit => return Scan::Unclosed(open),
                    None => {
                        self.scanned = bytes.len();
                        return Scan::Done;
                    }
                }
                continue;
            }
            let rest = &bytes[self.scanned..];
            let quote = if self.quotes { memchr(QUOTE, rest) } else { None };
            let before = &rest[..quote.unwrap_or(rest.len())];
            if let Some(i) = memrchr(terminator, before) {
                self.last = self.scanned + i + 1;
            }
            let Some(at) = quote.map(|i| self.scanned + i) else {
                self.scanned = bytes.len();
                return Scan::Done;
            };
            if at == self.last || bytes[at - 1] == delimiter {
                self.open = Some(at);
            }
            self.scanned = at + 1;
        }
    }
}

/// The first byte that ends the line that `from` lies in.
pub(crate) fn line_end(bytes: &[u8], from: usize, terminator: u8) -> Option<usize> {
    memchr(terminator, &bytes[from..]).map(|i| from + i)
}

/// Whether bytes hold a mark that text does not: NUL, or the other control characters of binary files.
pub(crate) fn has_binary(bytes: &[u8]) -> bool {
    memchr3(0, 1, 2, bytes).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMA: Dialect = Dialect { delimiter: b',', terminator: b'\n' };

    fn read(text: &str) -> Vec<(u64, Vec<String>)> {
        let mut records = Records::new(text.as_bytes(), COMMA, 1);
        let mut out = Vec::new();
        let mut scratch = String::new();
        while let Some(record) = records.next() {
            let whole = &text[record.start..record.end];
            let fields = (0..record.n_fields).map(|i| records.text(i, whole, record.start, &mut scratch).to_owned());
            out.push((record.line, fields.collect()));
        }
        out
    }

    fn row(line: u64, fields: &[&str]) -> (u64, Vec<String>) {
        (line, fields.iter().map(|&field| field.to_owned()).collect())
    }

    #[test]
    fn quotes_are_undone_and_lines_counted() {
        assert_eq!(
            read("a,b\r\n\r\n\"x\ny\",\" 1\"\"2 \"\r\n5\" pipe,\"a\"b\"c\n,\n"),
            [row(1, &["a", "b"]), row(3, &["x\ny", "1\"2"]), row(5, &["5\" pipe", "ab\"c"]), row(6, &["", ""]),]
        );
        assert_eq!(read("\"\"\n \n\"a\""), [row(1, &[""]), row(3, &["a"])]);
    }

    #[test]
    fn marks_are_found_wherever_they_stand() {
        let bytes: Vec<u8> = (0..1_000_u32).map(|i| b"\0,\n\"ax\x80\xff,;"[(i * i / 7 + i) as usize % 10]).collect();
        for start in 0..70 {
            for end in [start, start + 1, start + 63, start + 64, start + 65, 640, 1_000] {
                let bytes = &bytes[start..end];
                let expected: Vec<usize> = (0..bytes.len()).filter(|&i| b",\n\"".contains(&bytes[i])).collect();
                let mut marks = Marks::new(bytes, COMMA);
                let found: Vec<usize> = std::iter::from_fn(|| marks.next()).collect();
                assert_eq!(found, expected);
                for at in [bytes.len() / 3, bytes.len() / 2, bytes.len()] {
                    let mut marks = Marks::new(bytes, COMMA);
                    marks.seek(at);
                    let found: Vec<usize> = std::iter::from_fn(|| marks.next()).collect();
                    assert_eq!(found, expected[expected.partition_point(|&i| i < at)..]);
                }
            }
        }
    }

    #[test]
    fn delimiters_are_found() {
        for (text, delimiter) in [
            ("a,b\n1,2\n", b','),
            ("a;b\n1,5;2,5\n3,5;4,5\n", b';'),
            ("a\tb,c\n1\t2,3\n4\t5\n", b'\t'),
            ("a|b|c\n1|2|3", b'|'),
            ("a;b,c;d\n\"1,2,3\";2;3\n", b';'),
            ("alone\n1\n", b','),
            ("a;b", b';'),
        ] {
            assert_eq!(detect(text.as_bytes(), None, true).delimiter, delimiter, "{text:?}");
        }
        assert_eq!(detect(b"a,b\n", Some(b'^'), true).delimiter, b'^');
        assert_eq!(detect(b"a,b\r1,2\r", None, true), Dialect { delimiter: b',', terminator: b'\r' });
    }

    #[test]
    fn boundaries_are_outside_quotes_however_the_bytes_arrive() {
        let text = b"a,\"x\n\"\"\ny\",c\nz\"q,5\n\"u\"\n,\"\"\nlast";
        let whole_records = text.len() - "last".len();
        for step in 1..text.len() {
            let mut boundaries = Boundaries::new(COMMA, true);
            let mut n = 0;
            while n < text.len() {
                n = (n + step).min(text.len());
                assert_eq!(boundaries.scan(&text[..n], n == text.len(), 100), Scan::Done);
            }
            assert_eq!(boundaries.last, whole_records, "{step}");
        }
    }

    #[test]
    fn an_unclosed_quote_is_found_at_the_limit() {
        let text = b"a\nb,\"0123456789\"\n";
        for (limit, found) in [(10, Scan::Unclosed(4)), (11, Scan::Done)] {
            assert_eq!(Boundaries::new(COMMA, true).scan(text, true, limit), found);
        }
        assert_eq!(Boundaries::new(COMMA, true).scan(b"a\n\"b\n", true, 100), Scan::Unclosed(2));
    }
}
