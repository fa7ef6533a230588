//! From the text of one cell to a typed value: the only place where it happens, for files and for live orders alike.

mod fast;
mod times;

use std::fmt;

pub use fast::small_integer;
pub use times::TimeParser;

use crate::schema::TimeFormat;
use crate::table::MISSING_I64;

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

#[cfg(test)]
mod tests {
    use super::*;

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
