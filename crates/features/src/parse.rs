//! From the text of one cell to a typed value: the only place where it happens, for files and for live orders alike.

mod fast;

use std::fmt;

pub use fast::small_integer;

use crate::schema::{SchemaError, TimeFormat};
use crate::table::MISSING_I64;
use crate::time::UnixMillis;

/// The largest amount, in minor units, that one order may carry: a hundred thousand million in a currency with cents.
/// 900,000 such orders of one entity still sum exactly in the 64 bits that a window has.
pub const MAX_AMOUNT: i64 = 10_000_000_000_000;

/// Whether a text, identifier or category is absent: empty, `null`, `nan` or `\N`.
///
/// ```
/// use orderguard_features::parse::is_missing;
/// assert!(is_missing("") && is_missing("NULL") && is_missing("\\N"));
/// assert!(!is_missing("NA"), "NA is the country code of Namibia");
/// ```
pub fn is_missing(text: &str) -> bool {
    match text.len() {
        0 => true,
        2 => text == "\\N",
        3 => text.eq_ignore_ascii_case("nan"),
        4 => text.eq_ignore_ascii_case("null"),
        _ => false,
    }
}

/// Whether a number, amount, time or label is absent: as [`is_missing`], and also `NA`, `N/A`, `none` and `-`.
pub fn is_missing_number(text: &str) -> bool {
    is_missing(text)
        || match text.len() {
            1 => text == "-",
            2 => text.eq_ignore_ascii_case("na"),
            3 => text.eq_ignore_ascii_case("n/a"),
            4 => text.eq_ignore_ascii_case("none"),
            _ => false,
        }
}

/// A cell that cannot be read. Never holds the cell's text, which may be personal.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CellError {
    /// Expected a number.
    NotANumber {
        /// Length of the text found, in characters.
        n_chars: usize,
    },
    /// An infinite number, or one beyond what 32-bit floating point holds.
    NumberOutOfRange,
    /// Expected an amount such as `12.50`.
    NotAnAmount {
        /// Length of the text found, in characters.
        n_chars: usize,
    },
    /// More decimals than the schema's `amount_decimals`.
    TooManyDecimals {
        /// Digits found after the point, trailing zeros not counted.
        found: usize,
        /// The schema's number.
        allowed: u8,
    },
    /// An amount beyond [`MAX_AMOUNT`].
    AmountOutOfRange,
    /// Expected a time in the column's format.
    NotATime {
        /// The format.
        format: TimeFormat,
        /// Length of the text found, in characters.
        n_chars: usize,
    },
    /// A time before 1900 or from 2200 on.
    TimeOutOfRange,
    /// Expected a label.
    NotALabel {
        /// Length of the text found, in characters.
        n_chars: usize,
    },
}

impl fmt::Display for CellError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotANumber { n_chars } => write!(f, "expected a number, found text of {n_chars} characters"),
            Self::NumberOutOfRange => {
                f.write_str("expected a finite number below 3.4e38, found a larger or infinite one")
            }
            Self::NotAnAmount { n_chars } => {
                write!(f, "expected an amount such as 12.50, found text of {n_chars} characters")
            }
            Self::TooManyDecimals { found, allowed } => {
                write!(
                    f,
                    "expected an amount of at most {allowed} decimals (amount_decimals in the schema), found {found}"
                )
            }
            Self::AmountOutOfRange => {
                write!(f, "expected an amount of at most {MAX_AMOUNT} minor units, found a larger one")
            }
            Self::NotATime { format, n_chars } => {
                let example = match format {
                    TimeFormat::Iso => "2018-04-01 00:00:31",
                    TimeFormat::EpochSeconds => "seconds since 1970",
                    TimeFormat::EpochMillis => "milliseconds since 1970",
                    TimeFormat::MonthDayYear => "2/24/2015 22:55 (month first)",
                    TimeFormat::DayMonthYear => "24/2/2015 22:55 (day first)",
                };
                write!(f, "expected a time such as {example}, found text of {n_chars} characters")
            }
            Self::TimeOutOfRange => f.write_str("expected a time from 1900 up to 2200, found one outside"),
            Self::NotALabel { n_chars } => write!(
                f,
                "expected a label (0/1, true/false, yes/no, fraud/legit or empty), found text of {n_chars} characters"
            ),
        }
    }
}

impl std::error::Error for CellError {}

/// Reads a number; NaN when missing. Spaces around it are not expected: the reader trims cells.
pub fn number(text: &str) -> Result<f64, CellError> {
    const TENS: [f64; 8] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7];
    let (negative, bytes) = sign(text);
    if let Some((digits, n_decimals)) = fast::decimal(bytes) {
        // Both are exact, so their ratio is the number nearest to the text (Clinger 1990, section 3).
        let x = digits as f64 / TENS[n_decimals];
        return Ok(if negative { -x } else { x });
    }
    number_by_std(text)
}

/// Whether a minus stands first, and the bytes behind it.
fn sign(text: &str) -> (bool, &[u8]) {
    match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        bytes => (false, bytes),
    }
}

fn number_by_std(text: &str) -> Result<f64, CellError> {
    // An exporter writes a plain number nearly always, so that is tried first.
    match text.parse::<f64>() {
        Ok(x) if x.is_nan() => Ok(f64::NAN),
        Ok(x) if x.abs() <= f64::from(f32::MAX) => Ok(x),
        Ok(_) => Err(CellError::NumberOutOfRange),
        Err(_) if is_missing_number(text) => Ok(f64::NAN),
        Err(_) => Err(CellError::NotANumber { n_chars: text.chars().count() }),
    }
}

/// Reads an amount as an exact integer of `10^-decimals` units; [`MISSING_I64`] when missing.
///
/// ```
/// use orderguard_features::parse::amount;
/// assert_eq!(amount("57.1", 2), Ok(5_710));
/// assert_eq!(amount("-0.05", 2), Ok(-5));
/// assert!(amount("57.125", 2).is_err(), "never rounded");
/// ```
pub fn amount(text: &str, decimals: u8) -> Result<i64, CellError> {
    const TENS: [i64; 8] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000];
    let (negative, bytes) = sign(text);
    if let Some((digits, n_decimals)) = fast::decimal(bytes)
        && let Some(missing) = usize::from(decimals).checked_sub(n_decimals)
        && let Some(unit) = TENS.get(missing)
    {
        let minor = digits as i64 * unit;
        if minor <= MAX_AMOUNT {
            return Ok(if negative { -minor } else { minor });
        }
    }
    amount_bytewise(text, decimals)
}

fn amount_bytewise(text: &str, decimals: u8) -> Result<i64, CellError> {
    let bytes = text.as_bytes();
    let (negative, digits) = match bytes.first() {
        Some(b'-') => (true, &bytes[1..]),
        Some(b'+') => (false, &bytes[1..]),
        _ => (false, bytes),
    };
    let point = digits.iter().position(|&b| b == b'.');
    let (whole, mut fraction) = match point {
        Some(at) => (&digits[..at], &digits[at + 1..]),
        None => (digits, &digits[digits.len()..]),
    };
    let all_digits = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
    if whole.len() + fraction.len() == 0 || !all_digits(whole) || !all_digits(fraction) {
        return if is_missing_number(text) {
            Ok(MISSING_I64)
        } else {
            Err(CellError::NotAnAmount { n_chars: text.chars().count() })
        };
    }
    let mut noise_up = false;
    if fraction.len() > usize::from(decimals)
        && let Some(up) = float_noise(&fraction[usize::from(decimals)..])
    {
        fraction = &fraction[..usize::from(decimals)];
        noise_up = up;
    }
    while let [rest @ .., b'0'] = fraction {
        fraction = rest;
    }
    if fraction.len() > usize::from(decimals) {
        return Err(CellError::TooManyDecimals { found: fraction.len(), allowed: decimals });
    }
    let mut minor: i64 = 0;
    let padding = usize::from(decimals) - fraction.len();
    for digit in whole.iter().chain(fraction).copied().chain(std::iter::repeat_n(b'0', padding)) {
        minor = minor * 10 + i64::from(digit - b'0');
        if minor > MAX_AMOUNT {
            return Err(CellError::AmountOutOfRange);
        }
    }
    minor += i64::from(noise_up);
    Ok(if negative { -minor } else { minor })
}

/// Whether digits are what binary floating point leaves behind a decimal number (`85.64999999999999`,
/// `57.160000000000004`): at least seven, all 9 or all 0 but for the last two. `Some(true)` when the number before them is
/// one unit higher. An exporter that computes with doubles writes such amounts; they are exact amounts all the same.
fn float_noise(tail: &[u8]) -> Option<bool> {
    let head = tail.get(..tail.len().checked_sub(2)?).filter(|head| head.len() >= 5)?;
    let first = head[0];
    (matches!(first, b'0' | b'9') && head.iter().all(|&digit| digit == first)).then_some(first == b'9')
}

/// How many decimals a number is written with, trailing zeros and the noise of floating point not counted; 0 for anything
/// that is not digits with at most one point.
///
/// ```
/// use orderguard_features::parse::n_decimals;
/// assert_eq!([n_decimals("146.0"), n_decimals("57.16"), n_decimals("85.64999999999999")], [0, 2, 2]);
/// ```
pub fn n_decimals(text: &str) -> usize {
    let Some((_, fraction)) = text.split_once('.') else { return 0 };
    let fraction = fraction.as_bytes();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return 0;
    }
    let written = (0..fraction.len()).find(|&n| float_noise(&fraction[n..]).is_some()).unwrap_or(fraction.len());
    fraction[..written].iter().rposition(|&digit| digit != b'0').map_or(0, |last| last + 1)
}

/// Reads a label: 1 fraud, 0 honest, -1 when missing (unlabelled). Upper and lower case are the same.
pub fn label(text: &str) -> Result<i8, CellError> {
    const FRAUD: [&str; 8] = ["1", "true", "yes", "fraud", "1.0", "y", "t", "fraudulent"];
    const HONEST: [&str; 10] = ["0", "false", "no", "legit", "0.0", "n", "f", "legitimate", "genuine", "honest"];
    match text {
        "0" => return Ok(0),
        "1" => return Ok(1),
        _ => {}
    }
    if FRAUD.iter().any(|word| text.eq_ignore_ascii_case(word)) {
        Ok(1)
    } else if HONEST.iter().any(|word| text.eq_ignore_ascii_case(word)) {
        Ok(0)
    } else if is_missing_number(text) {
        Ok(-1)
    } else {
        Err(CellError::NotALabel { n_chars: text.chars().count() })
    }
}

/// Reads an IPv4 or IPv6 address, or an IPv4 address written as a decimal number (its fraction, a trace of a
/// spreadsheet, is cut off).
pub fn ip_address(text: &str) -> Option<std::net::IpAddr> {
    if let Ok(ip) = text.parse::<std::net::IpAddr>() {
        return Some(ip);
    }
    let whole = text
        .split_once('.')
        .map_or(text, |(whole, fraction)| if fraction.bytes().all(|b| b.is_ascii_digit()) { whole } else { "" });
    let number: u32 = whole.parse().ok()?;
    Some(std::net::Ipv4Addr::from(number).into())
}

/// Reads the times of one column.
#[derive(Clone, Debug)]
pub struct TimeParser {
    format: TimeFormat,
    /// `None` for UTC, which needs no table.
    zone: Option<jiff::tz::TimeZone>,
}

impl TimeParser {
    /// A parser for a format; times without an offset are taken to be local times of `timezone` (IANA name).
    pub fn new(format: TimeFormat, timezone: &str) -> Result<Self, SchemaError> {
        Ok(Self { format, zone: crate::calendar::zone(timezone)? })
    }

    /// Reads a time as epoch milliseconds; [`MISSING_I64`] when missing. A local time that a clock change skips is read
    /// as if the clock had not changed; of one that happens twice, the first is meant.
    pub fn parse(&self, text: &str) -> Result<i64, CellError> {
        if self.format == TimeFormat::Iso
            && let Some((ms, in_utc)) = fast::iso(text.as_bytes())
            && let Some(ms) = if in_utc { Some(ms) } else { self.local(ms) }
            && UnixMillis(ms).is_plausible()
        {
            return Ok(ms);
        }
        self.parse_bytewise(text)
    }

    fn parse_bytewise(&self, text: &str) -> Result<i64, CellError> {
        let ms = match self.format {
            TimeFormat::Iso => iso(text).and_then(|time| self.instant(&time)),
            TimeFormat::MonthDayYear => spreadsheet(text, true).and_then(|time| self.instant(&time)),
            TimeFormat::DayMonthYear => spreadsheet(text, false).and_then(|time| self.instant(&time)),
            TimeFormat::EpochSeconds => epoch(text, 3),
            TimeFormat::EpochMillis => epoch(text, 0),
        };
        match ms {
            Some(ms) if UnixMillis(ms).is_plausible() => Ok(ms),
            Some(_) => Err(CellError::TimeOutOfRange),
            None if is_missing_number(text) => Ok(MISSING_I64),
            None => Err(CellError::NotATime { format: self.format, n_chars: text.chars().count() }),
        }
    }

    /// A parser of ISO times, where times without an offset are local times of the same zone.
    #[must_use]
    pub fn as_iso(&self) -> Self {
        Self { format: TimeFormat::Iso, zone: self.zone.clone() }
    }

    /// The instant of a time that is no text: milliseconds from 1970 on a clock that shows UTC, or local time of the zone.
    /// The same as [`TimeParser::parse`] gives for the time's text.
    pub fn of_clock(&self, ms: i64, in_utc: bool) -> Result<i64, CellError> {
        // Beyond any zone's table, a clock's offset makes no difference.
        let is_near = (-1 << 48..1 << 48).contains(&ms);
        let instant = if in_utc || !is_near { Some(ms) } else { self.local(ms) };
        instant.filter(|&ms| UnixMillis(ms).is_plausible()).ok_or(CellError::TimeOutOfRange)
    }

    fn instant(&self, civil: &Civil) -> Option<i64> {
        let as_utc = civil.as_utc_millis();
        if let Offset::Seconds(seconds) = civil.offset {
            return Some(as_utc - i64::from(seconds) * 1_000);
        }
        self.local(as_utc)
    }

    /// The instant at which the clocks of the zone show what clocks on UTC show at `as_utc`.
    fn local(&self, as_utc: i64) -> Option<i64> {
        let Some(zone) = &self.zone else { return Some(as_utc) };
        let local = jiff::Timestamp::from_millisecond(as_utc).ok()?.to_zoned(jiff::tz::TimeZone::UTC).datetime();
        Some(zone.to_timestamp(local).ok()?.as_millisecond())
    }
}

/// A date and time of day as written, checked.
struct Civil {
    year: i64,
    month: u32,
    day: u32,
    ms_of_day: i64,
    offset: Offset,
}

impl Civil {
    fn new(year: i64, month: u32, day: u32, ms_of_day: i64, offset: Offset) -> Option<Self> {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days = match month {
            2 => 28 + u32::from(leap),
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        (1..=days).contains(&day).then_some(Self { year, month, day, ms_of_day, offset })
    }

    /// Days from 1970-01-01 by Howard Hinnant's `days_from_civil`, years counted from March.
    fn as_utc_millis(&self) -> i64 {
        let year = if self.month <= 2 { self.year - 1 } else { self.year };
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let month_from_march = i64::from((self.month + 9) % 12);
        let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(self.day) - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        (era * 146_097 + day_of_era - 719_468) * 86_400_000 + self.ms_of_day
    }
}

/// Reads numbers and marks from the left.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    /// `min..=max` digits as a number.
    fn digits(&mut self, min: usize, max: usize) -> Option<u32> {
        let n = self.0.iter().take(max).take_while(|b| b.is_ascii_digit()).count();
        if n < min {
            return None;
        }
        let value = self.0[..n].iter().fold(0, |value, b| value * 10 + u32::from(b - b'0'));
        self.0 = &self.0[n..];
        Some(value)
    }

    fn one_of(&mut self, marks: &[u8]) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        marks.contains(&first).then(|| {
            self.0 = rest;
            first
        })
    }

    /// `H:MM`, `HH:MM:SS` or `HH:MM:SS.fff...`, with AM or PM where `twelve` allows it.
    fn time_of_day(&mut self, twelve: bool) -> Option<i64> {
        let mut hour = self.digits(1, 2)?;
        self.one_of(b":")?;
        let minute = self.digits(2, 2)?;
        let (mut second, mut ms) = (0, 0);
        if self.one_of(b":").is_some() {
            second = self.digits(2, 2)?;
            if self.one_of(b".,").is_some() {
                let n = self.0.iter().take_while(|b| b.is_ascii_digit()).count();
                if n == 0 || n > 9 {
                    return None;
                }
                // Digits past the millisecond are cut off, so that a time never moves forward.
                ms = self.0[..n].iter().copied().chain(*b"000").take(3).fold(0, |ms, b| ms * 10 + i64::from(b - b'0'));
                self.0 = &self.0[n..];
            }
        }
        if twelve {
            let half = self.0.trim_ascii_start();
            let pm = half.eq_ignore_ascii_case(b"pm");
            if pm || half.eq_ignore_ascii_case(b"am") {
                if !(1..=12).contains(&hour) {
                    return None;
                }
                hour = hour % 12 + if pm { 12 } else { 0 };
                self.0 = b"";
            }
        }
        // A leap second, or the end of a day written as 24:00, does not exist in epoch time: refused.
        (hour < 24 && minute < 60 && second < 60)
            .then(|| (i64::from(hour) * 3_600 + i64::from(minute) * 60 + i64::from(second)) * 1_000 + ms)
    }

    /// Nothing (the schema's zone), `Z`, `+hh`, `+hhmm` or `+hh:mm`.
    fn offset(&mut self) -> Option<Offset> {
        if self.0.first() == Some(&b' ') && self.0.len() > 1 {
            self.0 = &self.0[1..];
        }
        if self.0.is_empty() {
            return Some(Offset::OfSchema);
        }
        if self.0.eq_ignore_ascii_case(b"z") || self.0.eq_ignore_ascii_case(b"utc") {
            self.0 = b"";
            return Some(Offset::Seconds(0));
        }
        let sign = if self.one_of(b"+-")? == b'-' { -1 } else { 1 };
        let hours = self.digits(2, 2)?;
        self.one_of(b":");
        let minutes = if self.0.is_empty() { 0 } else { self.digits(2, 2)? };
        let seconds = sign * (hours * 3_600 + minutes * 60) as i32;
        (hours <= 18 && minutes < 60 && self.0.is_empty()).then_some(Offset::Seconds(seconds))
    }
}

/// Where a written time stands to UTC.
#[derive(Clone, Copy)]
enum Offset {
    /// It is a local time of the schema's zone.
    OfSchema,
    /// So many seconds ahead of UTC.
    Seconds(i32),
}

fn iso(text: &str) -> Option<Civil> {
    let mut cursor = Cursor(text.as_bytes());
    let year = cursor.digits(4, 4)?;
    let mark = cursor.one_of(b"-/.")?;
    let month = cursor.digits(1, 2)?;
    cursor.one_of(&[mark])?;
    let day = cursor.digits(1, 2)?;
    let (mut ms_of_day, mut offset) = (0, Offset::OfSchema);
    if !cursor.0.is_empty() {
        cursor.one_of(b"Tt ")?;
        ms_of_day = cursor.time_of_day(false)?;
        offset = cursor.offset()?;
    }
    Civil::new(i64::from(year), month, day, ms_of_day, offset)
}

/// `2/24/2015 22:55` (month first) or `24.2.15 22:55:10` (day first).
fn spreadsheet(text: &str, month_first: bool) -> Option<Civil> {
    let mut cursor = Cursor(text.as_bytes());
    let first = cursor.digits(1, 2)?;
    let mark = cursor.one_of(b"/.-")?;
    let second = cursor.digits(1, 2)?;
    cursor.one_of(&[mark])?;
    let before = cursor.0.len();
    let mut year = cursor.digits(2, 4)?;
    match before - cursor.0.len() {
        2 => year += 2_000,
        4 => {}
        _ => return None,
    }
    let mut ms_of_day = 0;
    if !cursor.0.is_empty() {
        cursor.one_of(b" ,T")?;
        cursor.0 = cursor.0.trim_ascii_start();
        ms_of_day = cursor.time_of_day(true)?;
        if !cursor.0.is_empty() {
            return None;
        }
    }
    let (month, day) = if month_first { (first, second) } else { (second, first) };
    Civil::new(i64::from(year), month, day, ms_of_day, Offset::OfSchema)
}

/// A count since 1970 with an optional fraction, of which `kept` digits become part of the milliseconds.
fn epoch(text: &str, kept: usize) -> Option<i64> {
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() || whole.len() > 14 || fraction.len() > 12 {
        return None;
    }
    if !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(kept);
    let ms =
        whole.bytes().chain(digits).try_fold(0_i64, |ms, b| ms.checked_mul(10)?.checked_add(i64::from(b - b'0')))?;
    Some(if negative { -ms } else { ms })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(format: TimeFormat, text: &str) -> Result<i64, CellError> {
        TimeParser::new(format, "UTC").unwrap().parse(text)
    }

    #[test]
    fn reads_the_times_that_shops_write() {
        let t = 1_424_818_500_000; // 2015-02-24T22:55:00Z
        for text in ["2015-02-24T22:55:00Z", "2015-02-24 22:55", "2015/2/24 22:55:00.000", "2015-02-24T23:55+01:00"] {
            assert_eq!(utc(TimeFormat::Iso, text), Ok(t), "{text}");
        }
        for text in ["2/24/2015 22:55", "2/24/15 22:55", "02/24/2015 10:55 PM", "2-24-2015 22:55:00"] {
            assert_eq!(utc(TimeFormat::MonthDayYear, text), Ok(t), "{text}");
        }
        assert_eq!(utc(TimeFormat::DayMonthYear, "24.02.2015 22:55"), Ok(t));
        assert_eq!(utc(TimeFormat::EpochSeconds, "1424818500"), Ok(t));
        assert_eq!(utc(TimeFormat::EpochSeconds, "1424818500.25"), Ok(t + 250));
        assert_eq!(utc(TimeFormat::EpochMillis, "1424818500000"), Ok(t));
        assert_eq!(utc(TimeFormat::Iso, ""), Ok(MISSING_I64));
    }

    #[test]
    fn refuses_times_that_do_not_exist() {
        for text in
            ["2015-02-29", "2015-13-01", "2015-00-10", "2015-02-24 24:00", "2015-02-24 10:60", "2015-02-24x", "x"]
        {
            assert!(matches!(utc(TimeFormat::Iso, text), Err(CellError::NotATime { .. })), "{text}");
        }
        assert_eq!(utc(TimeFormat::Iso, "0001-01-01"), Err(CellError::TimeOutOfRange));
        assert_eq!(utc(TimeFormat::EpochMillis, "99999999999999"), Err(CellError::TimeOutOfRange));
        assert!(utc(TimeFormat::MonthDayYear, "24/2/2015").is_err());
        assert!(utc(TimeFormat::MonthDayYear, "2/24/015").is_err());
    }

    #[test]
    fn local_times_follow_the_zone() {
        let warsaw = TimeParser::new(TimeFormat::Iso, "Europe/Warsaw").unwrap();
        assert_eq!(warsaw.parse("2020-07-01 12:00"), utc(TimeFormat::Iso, "2020-07-01 10:00"));
        assert_eq!(warsaw.parse("2020-01-01 12:00"), utc(TimeFormat::Iso, "2020-01-01 11:00"));
        // The hour that the spring change skips, and the first of the two that autumn has.
        assert_eq!(warsaw.parse("2020-03-29 02:30"), utc(TimeFormat::Iso, "2020-03-29 01:30"));
        assert_eq!(warsaw.parse("2020-10-25 02:30"), utc(TimeFormat::Iso, "2020-10-25 00:30"));
        assert!(TimeParser::new(TimeFormat::Iso, "Nowhere").is_err());
    }

    #[test]
    fn amounts_are_exact_or_refused() {
        assert_eq!(amount("146.0", 2), Ok(14_600));
        assert_eq!(amount(".5", 2), Ok(50));
        assert_eq!(amount("7", 0), Ok(7));
        assert_eq!(amount("7.000", 0), Ok(7));
        assert_eq!(amount("", 2), Ok(MISSING_I64));
        assert_eq!(amount("85.64999999999999", 2), Ok(8_565));
        assert_eq!(amount("-0.9999999999999999", 2), Ok(-100));
        assert_eq!(amount("57.160000000000004", 2), Ok(5_716));
        assert_eq!(amount("0.1234599999999999", 2), Err(CellError::TooManyDecimals { found: 16, allowed: 2 }));
        assert_eq!(amount("0.001", 2), Err(CellError::TooManyDecimals { found: 3, allowed: 2 }));
        assert_eq!(amount("100000000000.01", 2), Err(CellError::AmountOutOfRange));
        assert_eq!(amount("99999999999999999999999999", 2), Err(CellError::AmountOutOfRange));
        for text in ["1,50", "1e3", "--1", ".", "+", "EUR 5", "1.2.3"] {
            assert!(matches!(amount(text, 2), Err(CellError::NotAnAmount { .. })), "{text}");
        }
    }

    #[test]
    fn numbers_are_finite_or_missing() {
        assert_eq!(number("1e3"), Ok(1000.0));
        assert!(number("NaN").unwrap().is_nan() && number("n/a").unwrap().is_nan() && number("").unwrap().is_nan());
        assert_eq!(number("inf"), Err(CellError::NumberOutOfRange));
        assert_eq!(number("1e39"), Err(CellError::NumberOutOfRange));
        assert_eq!(number("zwölf"), Err(CellError::NotANumber { n_chars: 5 }));
    }

    #[test]
    fn labels_in_any_case() {
        assert_eq!(
            [label("FALSE"), label("Fraud"), label("legit"), label(""), label("1")],
            [Ok(0), Ok(1), Ok(0), Ok(-1), Ok(1)]
        );
        assert!(label("maybe").is_err());
    }

    #[test]
    fn ip_addresses_as_text_and_as_number() {
        assert_eq!(ip_address("43.173.1.32"), ip_address("732758304.8"));
        assert!(ip_address("2001:db8::1").is_some());
        assert_eq!(ip_address("4294967296"), None);
        assert_eq!(ip_address("1.2.3.4.5"), None);
        assert_eq!(ip_address("x"), None);
    }
}
