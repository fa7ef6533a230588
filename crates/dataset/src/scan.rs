//! One pass over all rows that gathers the evidence on which a schema is inferred.

mod kinds;
#[cfg(feature = "parquet")]
mod row_groups;
mod sums;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use foldhash::fast::FixedState;
use orderguard_features::identity::is_card_number;
use orderguard_features::kind::EventKind;
use orderguard_features::parse::{self, TimeParser, is_missing_number};
use orderguard_features::schema::TimeFormat;
use orderguard_features::table::MISSING_I64;
use orderguard_features::time::UnixMillis;
use rayon::prelude::*;

use crate::blocks::{Block, Blocks, Progress, Shape};
use crate::delimited::Records;
use crate::error::ReadError;
use crate::intern::{Interner, hash};
use crate::json_lines::{Value, decode, members};
use crate::profile::{ColumnProfile, EventProfile, MAX_DISTINCT, MAX_FRACTIONS, Profile};
use crate::rows::{Ending, check, json_rows};
use crate::source::{Content, Sources};
use kinds::Kinds;
use sums::Sums;

/// The readings of a time that are tried, with their names in `schema.toml`.
const FORMATS: [(&str, TimeFormat); 5] = [
    ("iso", TimeFormat::Iso),
    ("epoch_seconds", TimeFormat::EpochSeconds),
    ("epoch_millis", TimeFormat::EpochMillis),
    ("month_day_year", TimeFormat::MonthDayYear),
    ("day_month_year", TimeFormat::DayMonthYear),
];

/// How many of the most frequent values are told.
const N_TOP: usize = 32;

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
/// [`MAX_DISTINCT`] distinct values. Runs in the current rayon pool.
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

/// What one value looks like.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "independent answers about one text, each counted by itself")]
struct Facts {
    missing: bool,
    /// NaN if it is none.
    number: f64,
    integer: bool,
    decimals: u8,
    times: [i64; FORMATS.len()],
    /// As [`parse::label`], -1 if it is none.
    label: i8,
    ip: bool,
    ip_number: bool,
    email: bool,
    luhn: bool,
    masked_card: bool,
    phone: bool,
    currency: bool,
    len: u32,
}

impl Facts {
    /// Of a text that is there and nothing known.
    const NONE: Self = Self {
        missing: false,
        number: f64::NAN,
        integer: false,
        decimals: 0,
        times: [MISSING_I64; FORMATS.len()],
        label: -1,
        ip: false,
        ip_number: false,
        email: false,
        luhn: false,
        masked_card: false,
        phone: false,
        currency: false,
        len: 0,
    };

    /// Of a number as [`parse::small_integer`] reads it, written with so many digits.
    fn of_small_integer(number: u32, len: usize) -> Self {
        let mut facts = Self { number: f64::from(number), integer: true, len: len as u32, ..Self::NONE };
        for (time, (_, format)) in facts.times.iter_mut().zip(FORMATS) {
            match format {
                // Below ten million both lie within the century.
                TimeFormat::EpochSeconds => *time = i64::from(number) * 1_000,
                TimeFormat::EpochMillis => *time = i64::from(number),
                _ => {}
            }
        }
        if number < 2 && len == 1 {
            facts.label = number as i8;
        }
        facts
    }

    /// Of a text such as `2018-04-01 00:00:31`; `None` for any other. Its marks make it nothing else than a time.
    fn of_iso_time(text: &str, parsers: &[TimeParser]) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() != 19 || (bytes[4], bytes[7], bytes[13]) != (b'-', b'-', b':') {
            return None;
        }
        let iso = FORMATS.iter().position(|(_, format)| *format == TimeFormat::Iso)?;
        let time = parsers[iso].parse(text).ok().filter(|time| *time != MISSING_I64)?;
        let mut facts = Self { len: 19, ..Self::NONE };
        facts.times[iso] = time;
        Some(facts)
    }

    fn of(text: &str, parsers: &[TimeParser]) -> Self {
        if let Some(number) = parse::small_integer(text) {
            return Self::of_small_integer(number, text.len());
        }
        let found = Self::of_fraction(text.as_bytes()).or_else(|| Self::of_iso_time(text, parsers));
        found.unwrap_or_else(|| Self::of_any(text, parsers))
    }

    /// Of a number with a decimal point, at most fifteen digits in all; `None` for any other text.
    fn of_fraction(text: &[u8]) -> Option<Self> {
        const TENS: [f64; 13] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12];
        let (negative, body) = match text {
            [b'-', rest @ ..] => (true, rest),
            _ => (false, text),
        };
        let point = body.iter().take(15).position(|&byte| byte == b'.')?;
        let (whole, fraction) = (&body[..point], &body[point + 1..]);
        let n_digits = whole.len() + fraction.len();
        if whole.is_empty() || fraction.is_empty() || fraction.len() > 12 || n_digits > 15 {
            return None;
        }
        let append = |number: u64, byte: &u8| {
            let digit = byte.wrapping_sub(b'0');
            (digit < 10).then(|| number * 10 + u64::from(digit))
        };
        let whole_number = whole.iter().try_fold(0, append)?;
        let digits = fraction.iter().try_fold(whole_number, append)?;
        // Both are exact, so their ratio is the number nearest to the text (Clinger 1990, section 3).
        let size = digits as f64 / TENS[fraction.len()];
        let number = if negative { -size } else { size };
        let decimals = match fraction.len() {
            // Too short for the noise of floating point.
            ..7 => fraction.iter().rposition(|&digit| digit != b'0').map_or(0, |last| last + 1),
            _ => parse::n_decimals(std::str::from_utf8(body).ok()?),
        };
        let mut facts = Self { number, decimals: decimals as u8, len: text.len() as u32, ..Self::NONE };
        let milliseconds = fraction.iter().copied().chain([b'0'; 3]).take(3);
        let of_seconds = milliseconds.fold(whole_number, |ms, byte| ms * 10 + u64::from(byte - b'0'));
        for (time, (_, format)) in facts.times.iter_mut().zip(FORMATS) {
            let size = match format {
                TimeFormat::EpochSeconds => of_seconds as i64,
                TimeFormat::EpochMillis => whole_number as i64,
                _ => continue,
            };
            let ms = if negative { -size } else { size };
            if UnixMillis(ms).is_plausible() {
                *time = ms;
            }
        }
        facts.label = match text {
            b"1.0" => 1,
            b"0.0" => 0,
            _ => -1,
        };
        facts.ip_number = (16_777_216.0..4_294_967_296.0).contains(&number);
        facts.phone = (7..=15).contains(&n_digits);
        Some(facts)
    }

    fn of_any(text: &str, parsers: &[TimeParser]) -> Self {
        let bytes = text.as_bytes();
        let number = parse::number(text).unwrap_or(f64::NAN);
        let is_number = !number.is_nan();
        let mut times = [MISSING_I64; FORMATS.len()];
        // A count since 1970 reads as a number, a date with its two marks never does; both start with a digit or a sign.
        if bytes.first().is_some_and(|b| b.is_ascii_digit() || *b == b'-') {
            for ((time, parser), (_, format)) in times.iter_mut().zip(parsers).zip(FORMATS) {
                if matches!(format, TimeFormat::EpochSeconds | TimeFormat::EpochMillis) == is_number {
                    *time = parser.parse(text).unwrap_or(MISSING_I64);
                }
            }
        }
        let has_mark = !is_number && bytes.iter().any(|b| matches!(b, b'.' | b':'));
        Self {
            missing: is_missing_number(text),
            number,
            integer: is_number && bytes[usize::from(matches!(bytes[0], b'-' | b'+'))..].iter().all(u8::is_ascii_digit),
            decimals: if is_number { parse::n_decimals(text).min(255) as u8 } else { 0 },
            times,
            label: if bytes.len() <= 16 { parse::label(text).unwrap_or(-1) } else { -1 },
            ip: has_mark && bytes.len() <= 45 && text.parse::<std::net::IpAddr>().is_ok(),
            ip_number: (16_777_216.0..4_294_967_296.0).contains(&number),
            email: !is_number && is_email(text),
            luhn: is_card_number(bytes),
            masked_card: !is_number && is_masked_card(bytes),
            phone: is_phone(bytes),
            currency: bytes.len() == 3 && bytes.iter().all(u8::is_ascii_uppercase),
            len: bytes.len().min(u32::MAX as usize) as u32,
        }
    }
}

pub(crate) fn is_email(text: &str) -> bool {
    match text.split_once('@') {
        Some((before, after)) => !before.is_empty() && !after.contains('@') && after.contains('.'),
        None => false,
    }
}

fn is_masked_card(text: &[u8]) -> bool {
    let is_mask = |b: &u8| matches!(b, b'*' | b'x' | b'X');
    let head = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let mask = text[head..].iter().take_while(|b| is_mask(b)).count();
    let tail = &text[head + mask..];
    (12..=19).contains(&text.len()) && head > 0 && mask > 0 && !tail.is_empty() && tail.iter().all(u8::is_ascii_digit)
}

pub(crate) fn is_phone(text: &[u8]) -> bool {
    let n_digits = text.iter().filter(|b| b.is_ascii_digit()).count();
    let n_signs = text.iter().filter(|b| matches!(b, b'+' | b' ' | b'.' | b'-' | b'(' | b')')).count();
    (7..=15).contains(&n_digits) && n_signs > 0 && n_digits + n_signs == text.len()
}

/// The facts about one column's values, summed; the sums do not depend on the order of the values.
struct Tally {
    name: String,
    /// Last position of the key in an object, among the other keys: of all rows, so that their order does not matter.
    position: usize,
    sums: ColumnProfile,
    n_present: u64,
    times: [(u64, i64, i64); FORMATS.len()],
    /// Distinct values with their counts and facts, until there are too many. The sums do not hold these yet.
    distinct: Option<Distinct>,
    /// For each piece of rows: its key, and the numbers of its first and last row, NaN where they have none.
    edges: Vec<(u64, f64, f64)>,
    /// Row in the piece and number of the value before.
    before: (usize, f64),
    /// Piece and line in which the column came up last.
    last_line: (u64, u64),
}

#[derive(Default)]
struct Distinct {
    values: Interner,
    counts: Vec<u64>,
    /// The values as numbers, NaN where they are none.
    numbers: Vec<f64>,
    facts: Vec<Facts>,
    /// How many are numbers with decimals.
    n_fractions: u64,
    /// Code + 1 of small whole numbers.
    of_number: Vec<u32>,
}

/// Whole numbers below are found without a hash. More distinct ones are not told apart in any case.
const MAX_DIRECT: u32 = 1 << 17;

impl Tally {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            position: 0,
            sums: ColumnProfile::default(),
            n_present: 0,
            times: [(0, i64::MAX, i64::MIN); FORMATS.len()],
            distinct: Some(Distinct::default()),
            edges: Vec::new(),
            before: (usize::MAX, f64::NAN),
            last_line: (u64::MAX, 0),
        }
    }

    /// Adds the value in row `row` of the piece of rows with this key.
    fn add(&mut self, text: &str, key: u64, row: usize, parsers: &[TimeParser]) {
        let number = if let Some(distinct) = &mut self.distinct {
            let code = distinct.code(text, parsers) as usize;
            distinct.counts[code] += 1;
            let number = distinct.numbers[code];
            if distinct.are_too_many() {
                self.give_up_distinct();
            }
            number
        } else {
            let facts = Facts::of(text, parsers);
            self.apply(&facts, 1);
            facts.number
        };
        if self.edges.last().is_none_or(|edge| edge.0 != key) {
            self.edges.push((key, if row == 0 { number } else { f64::NAN }, f64::NAN));
        } else if self.before.0 + 1 == row && number > self.before.1 {
            self.sums.n_increasing += 1;
        }
        self.before = (row, number);
    }

    /// Adds the distinct values to the sums and forgets them.
    fn give_up_distinct(&mut self) {
        if let Some(distinct) = self.distinct.take() {
            self.apply_all(&distinct);
        }
    }

    fn apply_all(&mut self, distinct: &Distinct) {
        distinct.facts.iter().zip(&distinct.counts).for_each(|(facts, &count)| self.apply(facts, count));
    }

    /// Notes the number of the last row of the piece, if the column has one there.
    fn close(&mut self, key: u64, n_rows: usize) {
        if let Some(edge) = self.edges.last_mut()
            && edge.0 == key
            && self.before.0 + 1 == n_rows
        {
            edge.2 = self.before.1;
        }
        self.before = (usize::MAX, f64::NAN);
    }

    /// Adds the facts of `count` equal values.
    fn apply(&mut self, facts: &Facts, count: u64) {
        if facts.missing {
            return;
        }
        self.n_present += count;
        let sums = &mut self.sums;
        sums.max_len = sums.max_len.max(u64::from(facts.len));
        let counted = |is: bool| if is { count } else { 0 };
        if !facts.number.is_nan() {
            sums.n_number += count;
            sums.n_integer += counted(facts.integer);
            sums.n_fraction += counted(facts.decimals > 0);
            sums.max_decimals = sums.max_decimals.max(facts.decimals);
            // Zero keeps no sign, which would depend on what was seen first.
            let number = facts.number + 0.0;
            let (low, high) = sums.number_range.unwrap_or((number, number));
            sums.number_range = Some((low.min(number), high.max(number)));
        }
        for (sum, &time) in self.times.iter_mut().zip(&facts.times) {
            if time != MISSING_I64 {
                *sum = (sum.0 + count, sum.1.min(time), sum.2.max(time));
            }
        }
        sums.n_label.0 += counted(facts.label == 1);
        sums.n_label.1 += counted(facts.label == 0);
        sums.n_ip += counted(facts.ip);
        sums.n_ip_number += counted(facts.ip_number);
        sums.n_email += counted(facts.email);
        sums.n_luhn += counted(facts.luhn);
        sums.n_masked_card += counted(facts.masked_card);
        sums.n_phone += counted(facts.phone);
        sums.n_currency += counted(facts.currency);
    }

    fn merge(&mut self, other: Self) {
        self.position = self.position.max(other.position);
        self.n_present += other.n_present;
        self.edges.extend(other.edges);
        for (sum, time) in self.times.iter_mut().zip(other.times) {
            *sum = (sum.0 + time.0, sum.1.min(time.1), sum.2.max(time.2));
        }
        let (a, b) = (&mut self.sums, other.sums);
        a.n_integer += b.n_integer;
        a.n_number += b.n_number;
        a.n_fraction += b.n_fraction;
        a.max_decimals = a.max_decimals.max(b.max_decimals);
        a.number_range = match (a.number_range, b.number_range) {
            (Some(x), Some(y)) => Some((x.0.min(y.0), x.1.max(y.1))),
            (x, y) => x.or(y),
        };
        a.n_label = (a.n_label.0 + b.n_label.0, a.n_label.1 + b.n_label.1);
        a.n_ip += b.n_ip;
        a.n_ip_number += b.n_ip_number;
        a.n_email += b.n_email;
        a.n_luhn += b.n_luhn;
        a.n_masked_card += b.n_masked_card;
        a.n_phone += b.n_phone;
        a.n_currency += b.n_currency;
        a.n_increasing += b.n_increasing;
        a.max_len = a.max_len.max(b.max_len);
        match (&mut self.distinct, other.distinct) {
            (Some(ours), Some(theirs)) => {
                if !ours.merge(&theirs) {
                    self.give_up_distinct();
                }
            }
            (_, theirs) => {
                self.give_up_distinct();
                if let Some(theirs) = theirs {
                    self.apply_all(&theirs);
                }
            }
        }
    }

    /// The profile of the column in `n_rows` rows that came in the pieces with these keys.
    fn finish(mut self, n_rows: u64, pieces: &[u64]) -> ColumnProfile {
        let distinct = self.distinct.take();
        if let Some(distinct) = &distinct {
            self.apply_all(distinct);
        }
        self.edges.sort_by_key(|edge| edge.0);
        for pair in self.edges.windows(2) {
            let (before, after) = (pair[0], pair[1]);
            let next = pieces.partition_point(|&key| key <= before.0);
            if pieces.get(next) == Some(&after.0) && after.1 > before.2 {
                self.sums.n_increasing += 1;
            }
        }
        let times = FORMATS.iter().zip(self.times).filter(|(_, sum)| sum.0 > 0);
        let mut out = ColumnProfile {
            name: self.name,
            n_missing: n_rows - self.n_present,
            times: times.map(|((name, _), sum)| (*name, sum)).collect::<BTreeMap<_, _>>(),
            has_more_distinct: distinct.is_none(),
            n_distinct: if self.sums.n_fraction > 0 { MAX_FRACTIONS } else { MAX_DISTINCT },
            ..self.sums
        };
        if let Some(distinct) = distinct {
            let mut present: Vec<u32> =
                (0..distinct.values.len() as u32).filter(|&code| !distinct.facts[code as usize].missing).collect();
            out.n_distinct = present.len() as u64;
            present.sort_by_key(|&code| (std::cmp::Reverse(distinct.counts[code as usize]), distinct.values.get(code)));
            let top = present.iter().take(N_TOP);
            out.top = top.map(|&code| (distinct.values.get(code).to_owned(), distinct.counts[code as usize])).collect();
        }
        out
    }
}

impl Distinct {
    fn code(&mut self, text: &str, parsers: &[TimeParser]) -> u32 {
        let small = parse::small_integer(text).filter(|number| *number < MAX_DIRECT).map(|number| number as usize);
        let Some(number) = small else { return self.intern(text, || Facts::of(text, parsers)) };
        match self.of_number.get(number) {
            Some(&slot) if slot > 0 => slot - 1,
            slot => {
                if slot.is_none() {
                    self.of_number.resize((2 * number).clamp(1_024, MAX_DIRECT as usize), 0);
                }
                let code = self.intern(text, || Facts::of_small_integer(number as u32, text.len()));
                self.of_number[number] = code + 1;
                code
            }
        }
    }

    fn intern(&mut self, text: &str, facts: impl FnOnce() -> Facts) -> u32 {
        let (code, is_new) = self.values.intern(hash(text), text);
        if is_new {
            let facts = facts();
            self.counts.push(0);
            self.numbers.push(facts.number);
            self.n_fractions += u64::from(facts.decimals > 0);
            self.facts.push(facts);
        }
        code
    }

    /// Adds the other's values; false if that makes too many.
    fn merge(&mut self, other: &Self) -> bool {
        for code in 0..other.values.len() {
            let text = other.values.get(code as u32);
            let ours = self.intern(text, || other.facts[code]);
            self.counts[ours as usize] += other.counts[code];
        }
        !self.are_too_many()
    }

    fn are_too_many(&self) -> bool {
        self.values.len() as u64 > MAX_DISTINCT || self.n_fractions > MAX_FRACTIONS
    }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Texts by which nothing can be equal to itself: NaN is replaced.
    fn told(facts: Facts) -> (Facts, bool) {
        let is_number = !facts.number.is_nan();
        (Facts { number: if is_number { facts.number } else { 0.0 }, ..facts }, is_number)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn facts_known_from_a_spelling_are_those_found_by_looking(
            text in prop_oneof![
                "[0-9]{1,9}",
                (1_890..2_210_u32, 1..14_u32, 0..33_u32, 0..26_u32, 0..62_u32, 0..62_u32).prop_map(|(y, m, d, h, min, s)|
                    format!("{y:04}-{m:02}-{d:02}{}{h:02}:{min:02}:{s:02}", if d % 3 == 0 { "T" } else { " " })),
                "[0-9]{4}-[0-9]-[0-9]{2} [0-9]{2}:[0-9]{2}\\.[0-9]{3}",
                "[0-9]{4}-[0-9]-[0-9] [0-9]{2}:[0-9]{2}(:[0-9]{2}| [+-][0-9]{2})?",
                "[0-9.:@ -]{1,20}",
                "-?[0-9]{1,16}\\.[0-9]{1,14}",
                "-?[0-9]{1,2}\\.[0-9]{1,2}(00000|99999)[0-9]{2}",
                "[01]\\.0{1,2}",
            ],
        ) {
            let parsers: Vec<TimeParser> =
                FORMATS.iter().map(|(_, format)| TimeParser::new(*format, "UTC").unwrap()).collect();
            prop_assert_eq!(told(Facts::of(&text, &parsers)), told(Facts::of_any(&text, &parsers)), "{:?}", text);
        }
    }
}
