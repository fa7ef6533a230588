//! Points and spans of time: epoch milliseconds, and spans people write such as `7d`.

use std::fmt;

/// Milliseconds since 1970-01-01T00:00:00Z; negative before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct UnixMillis(pub i64);

/// The earliest time an event may carry: 1900-01-01T00:00:00Z.
pub const MIN_TIME: UnixMillis = UnixMillis(-2_208_988_800_000);
/// The first instant an event may no longer carry: 2200-01-01T00:00:00Z.
pub const MAX_TIME: UnixMillis = UnixMillis(7_258_118_400_000);

impl UnixMillis {
    /// This instant moved by `span`; saturates at the ends of `i64`.
    #[must_use]
    pub fn plus(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// This instant moved back by `span`; saturates at the ends of `i64`.
    #[must_use]
    pub fn minus(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0))
    }

    /// Whether the instant lies in the range events may carry, 1900 up to (not including) 2200.
    pub fn is_plausible(self) -> bool {
        self >= MIN_TIME && self < MAX_TIME
    }
}

impl fmt::Display for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(ts) => write!(f, "{ts}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

/// A length of time in whole milliseconds, never negative where it is parsed from text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub i64);

impl Span {
    /// One second.
    pub const SECOND: Self = Self(1_000);
    /// One minute.
    pub const MINUTE: Self = Self(60_000);
    /// One hour.
    pub const HOUR: Self = Self(3_600_000);
    /// 24 hours; a calendar day with a clock change is still counted as 24 hours.
    pub const DAY: Self = Self(86_400_000);

    /// `n` times 24 hours.
    pub const fn days(n: i64) -> Self {
        Self(n * Self::DAY.0)
    }

    /// Reads `90s`, `15min`, `12h`, `7d`, `2w` or `0`.
    ///
    /// ```
    /// use orderguard_features::time::Span;
    /// assert_eq!(Span::parse("7d"), Ok(Span::days(7)));
    /// assert!(Span::parse("7 moons").is_err());
    /// ```
    pub fn parse(text: &str) -> Result<Self, SpanError> {
        let refuse = || SpanError { found: text.chars().take(40).collect() };
        let text = text.trim();
        if text == "0" {
            return Ok(Self(0));
        }
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let n: i64 = text[..digits].parse().map_err(|_| refuse())?;
        let unit = match text[digits..].trim() {
            "ms" => 1,
            "s" | "sec" => Self::SECOND.0,
            "m" | "min" => Self::MINUTE.0,
            "h" => Self::HOUR.0,
            "d" => Self::DAY.0,
            "w" => 7 * Self::DAY.0,
            _ => return Err(refuse()),
        };
        // Ten years is longer than any window or delay that means something for a shop.
        match n.checked_mul(unit) {
            Some(ms) if ms <= 3_660 * Self::DAY.0 => Ok(Self(ms)),
            _ => Err(refuse()),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, name) in [(Self::DAY.0, "d"), (Self::HOUR.0, "h"), (Self::MINUTE.0, "min"), (Self::SECOND.0, "s")] {
            if self.0 != 0 && self.0 % unit == 0 {
                return write!(f, "{}{name}", self.0 / unit);
            }
        }
        write!(f, "{}ms", self.0)
    }
}

impl serde::Serialize for Span {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Span {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// The text is not a length of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanError {
    /// The start of the text that was found.
    pub found: String,
}

impl fmt::Display for SpanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "length of time: expected a whole number with ms, s, min, h, d or w, at most 10 years (such as 7d), found {:?}",
            self.found
        )
    }
}

impl std::error::Error for SpanError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_back_as_written() {
        for text in ["90s", "15min", "12h", "7d", "1500ms"] {
            assert_eq!(Span::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Span::parse("2w"), Ok(Span::days(14)));
        for bad in ["", "d", "-7d", "7", "99999999d", "7 moons", "9999999999999999999d", "é"] {
            assert!(Span::parse(bad).is_err(), "{bad:?}");
        }
    }
}
