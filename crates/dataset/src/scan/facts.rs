//! What one value looks like: every question that the evidence for a schema asks of a text, answered once.

use orderguard_features::identity::is_card_number;
use orderguard_features::parse::{self, TimeParser, is_missing_number};
use orderguard_features::schema::TimeFormat;
use orderguard_features::table::MISSING_I64;
use orderguard_features::time::UnixMillis;

/// The readings of a time that are tried, with their names in `schema.toml`.
pub(super) const FORMATS: [(&str, TimeFormat); 5] = [
    ("iso", TimeFormat::Iso),
    ("epoch_seconds", TimeFormat::EpochSeconds),
    ("epoch_millis", TimeFormat::EpochMillis),
    ("month_day_year", TimeFormat::MonthDayYear),
    ("day_month_year", TimeFormat::DayMonthYear),
];

/// What one value looks like.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "independent answers about one text, each counted by itself")]
pub(super) struct Facts {
    pub(super) missing: bool,
    /// NaN if it is none.
    pub(super) number: f64,
    pub(super) integer: bool,
    pub(super) decimals: u8,
    pub(super) times: [i64; FORMATS.len()],
    /// As [`parse::label`], -1 if it is none.
    pub(super) label: i8,
    pub(super) ip: bool,
    pub(super) ip_number: bool,
    pub(super) email: bool,
    pub(super) luhn: bool,
    pub(super) masked_card: bool,
    pub(super) phone: bool,
    pub(super) currency: bool,
    pub(super) len: u32,
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
    pub(super) fn of_small_integer(number: u32, len: usize) -> Self {
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

    pub(super) fn of(text: &str, parsers: &[TimeParser]) -> Self {
        if let Some(number) = parse::small_integer(text) {
            return Self::of_small_integer(number, text.len());
        }
        let found = Self::of_fraction(text.as_bytes()).or_else(|| Self::of_iso_time(text, parsers));
        found.unwrap_or_else(|| Self::of_any(text, parsers))
    }

    fn of_fraction(text: &[u8]) -> Option<Self> {
        let fraction = Fraction::of(text)?;
        let mut facts = Self {
            number: fraction.number,
            decimals: fraction.decimals,
            ip_number: fraction.is_ip_number(),
            phone: fraction.reads_as_phone(),
            label: Fraction::label(text),
            len: text.len() as u32,
            ..Self::NONE
        };
        for (time, (_, format)) in facts.times.iter_mut().zip(FORMATS) {
            if let Some(ms) = fraction.time(format) {
                *time = ms;
            }
        }
        Some(facts)
    }

    pub(super) fn of_any(text: &str, parsers: &[TimeParser]) -> Self {
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

/// The number that goes on with these digits; `None` where something else stands among them.
fn more_digits(number: u64, digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(number, |number, byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit < 10).then_some(number * 10 + u64::from(digit))
    })
}

/// A number with a decimal point, at most fifteen digits in all.
#[derive(Clone, Copy)]
pub(super) struct Fraction {
    pub(super) number: f64,
    pub(super) decimals: u8,
    n_digits: u8,
    /// As counts since 1970.
    seconds: i64,
    millis: i64,
}

impl Fraction {
    /// `None` for any other text.
    pub(super) fn of(text: &[u8]) -> Option<Self> {
        const TENS: [f64; 13] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12];
        let (negative, body) = match text {
            [b'-', rest @ ..] => (true, rest),
            _ => (false, text),
        };
        if body.len() > 16 {
            return None;
        }
        let point = body.iter().position(|&byte| byte == b'.').filter(|&at| at > 0)?;
        let tail = &body[point + 1..];
        let (n_digits, n_decimals) = (body.len() - 1, tail.len());
        if n_decimals == 0 || n_decimals > 12 {
            return None;
        }
        let (thousandths, rest) = tail.split_at(n_decimals.min(3));
        let whole = more_digits(0, &body[..point])?;
        let in_thousandths = more_digits(whole, thousandths)?;
        let digits = more_digits(in_thousandths, rest)?;
        // Both are exact, so their ratio is the number nearest to the text (Clinger 1990, section 3).
        let size = digits as f64 / TENS[n_decimals];
        let decimals = match tail {
            // Too short for the noise of floating point.
            [.., last] if n_decimals < 7 && *last != b'0' => n_decimals,
            _ => parse::n_decimals(std::str::from_utf8(body).ok()?),
        };
        let seconds = match n_decimals {
            1 => digits * 100,
            2 => digits * 10,
            _ => in_thousandths,
        } as i64;
        let sign = if negative { -1 } else { 1 };
        Some(Self {
            number: if negative { -size } else { size },
            decimals: decimals as u8,
            n_digits: n_digits as u8,
            seconds: sign * seconds,
            millis: sign * whole as i64,
        })
    }

    pub(super) fn is_ip_number(&self) -> bool {
        (16_777_216.0..4_294_967_296.0).contains(&self.number)
    }

    /// The point is a sign that phone numbers have too.
    pub(super) fn reads_as_phone(&self) -> bool {
        (7..=15).contains(&self.n_digits)
    }

    pub(super) fn label(text: &[u8]) -> i8 {
        match text {
            b"1.0" => 1,
            b"0.0" => 0,
            _ => -1,
        }
    }

    pub(super) fn time(&self, format: TimeFormat) -> Option<i64> {
        let ms = match format {
            TimeFormat::EpochSeconds => self.seconds,
            TimeFormat::EpochMillis => self.millis,
            _ => return None,
        };
        UnixMillis(ms).is_plausible().then_some(ms)
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
