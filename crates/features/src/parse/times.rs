//! Times as shops write them.

use super::{CellError, fast, is_missing_number};
use crate::schema::{SchemaError, TimeFormat};
use crate::table::MISSING_I64;
use crate::time::UnixMillis;

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

    pub(super) fn parse_bytewise(&self, text: &str) -> Result<i64, CellError> {
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
}
