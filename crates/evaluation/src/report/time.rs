//! Instants as a report writes them.

use std::fmt;

use orderguard_features::time::UnixMillis;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An instant, written in JSON as ISO 8601 in UTC, such as `2018-04-01T00:00:31Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IsoTime(pub UnixMillis);

impl From<UnixMillis> for IsoTime {
    fn from(time: UnixMillis) -> Self {
        Self(time)
    }
}

impl fmt::Display for IsoTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for IsoTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for IsoTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        parse(&text).map(|ms| Self(UnixMillis(ms))).ok_or_else(|| {
            serde::de::Error::custom(format_args!("time: expected one such as 2018-04-01T00:00:31Z, found {text:?}"))
        })
    }
}

/// Reads `YYYY-MM-DDTHH:MM:SS[.mmm]Z`, the only form that [`UnixMillis`] is shown in.
fn parse(text: &str) -> Option<i64> {
    let bytes = text.strip_suffix('Z')?.as_bytes();
    let number = |from: usize, until: usize| -> Option<i64> {
        bytes.get(from..until)?.iter().try_fold(0, |n, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))
    };
    let signs = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if signs.iter().any(|&(at, sign)| bytes.get(at) != Some(&sign)) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let month_days = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        _ => 31,
    };
    let in_range =
        (1..=12).contains(&month) && (1..=month_days).contains(&day) && hour < 24 && minute < 60 && second < 60;
    if !in_range {
        return None;
    }
    let millis = match bytes.get(19) {
        None => 0,
        Some(b'.') if (21..=23).contains(&bytes.len()) => {
            let digits = bytes.len() - 20;
            number(20, bytes.len())? * [100, 10, 1][digits - 1]
        }
        Some(_) => return None,
    };
    // Days since 1970 by counting years from March, so that the leap day is the last of its year
    // (Howard Hinnant, chrono-compatible low-level date algorithms, `days_from_civil`).
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let year_of_era = y - era * 400;
    let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60_000 + second * 1_000 + millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_back_as_written() {
        // Every 31 hours and some from 1899 to 2201 crosses all months, leap days and centuries.
        for ms in (-2_240_000_000_000..7_300_000_000_000_i64).step_by(111_637_123) {
            assert_eq!(parse(&UnixMillis(ms).to_string()), Some(ms));
        }
        assert_eq!(parse("2018-04-01T00:00:31Z"), Some(1_522_540_831_000));
        assert_eq!(parse("1970-01-01T00:00:00.5Z"), Some(500));
    }

    #[test]
    fn other_texts_are_refused() {
        for bad in [
            "",
            "Z",
            "2018-04-01",
            "2018-02-29T00:00:00Z",
            "2018-04-01T24:00:00Z",
            "2018-04-01T00:00:00.1234Z",
            "2018-04-01T00:00:00.Z",
            "2018-04-01T00:00:00+Z",
            "é018-04-01T00:00:0Z",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
