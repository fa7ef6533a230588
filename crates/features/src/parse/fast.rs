//! The spellings that nearly every cell has, read eight bytes at a time.
//!
//! Every function answers `None` for a text that it does not know, even where the text is fine: the readers of
//! [`crate::parse`] then look at it byte by byte, and they alone decide what is refused. What is answered is what they
//! would answer (property tests below hold the two side by side).
//!
//! A word holds the text's first byte in its lowest eight bits.

/// `b` in every byte of a word.
const fn repeat(b: u8) -> u64 {
    u64::from_le_bytes([b; 8])
}

/// The word of one to eight bytes; zeros behind them. Two loads that may overlap need no loop.
fn word(bytes: &[u8]) -> u64 {
    if let (Some(head), Some(tail)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let (head, tail) = (u32::from_le_bytes(*head), u32::from_le_bytes(*tail));
        return u64::from(head) | u64::from(tail) << (8 * (bytes.len() - 4));
    }
    match *bytes {
        [a] => u64::from(a),
        [a, b] => u64::from(u16::from_le_bytes([a, b])),
        [a, b, c] => u64::from(u32::from_le_bytes([a, b, c, 0])),
        _ => 0,
    }
}

/// The number that the first `n` bytes (1 to 8) of a word spell, if all of them are digits; the bytes behind must be 0.
fn digits(word: u64, n: usize) -> Option<u64> {
    // Leading zeros fill the word; the bytes move up, so that the last digit stands highest.
    let free = 8 * (8 - n as u32);
    let word = if n == 8 { word } else { word << free | repeat(b'0') >> (64 - free) };
    let over = word.wrapping_add(repeat(0x7f - b'9'));
    let under = word.wrapping_sub(repeat(b'0'));
    if (over | under) & repeat(0x80) != 0 {
        return None;
    }
    // Neighbours are joined to numbers of two, four and eight digits.
    let pairs = (word & repeat(0x0f)).wrapping_mul((10 << 8) + 1) >> 8;
    let fours = (pairs & 0x00ff_00ff_00ff_00ff).wrapping_mul((100 << 16) + 1) >> 16;
    Some((fours & 0x0000_ffff_0000_ffff).wrapping_mul((10_000 << 32) + 1) >> 32)
}

/// Digits with at most one point among or around them, at most eight bytes in all: the digits as one number, and how many
/// stand behind the point.
pub(super) fn decimal(text: &[u8]) -> Option<(u64, usize)> {
    let n = text.len();
    if n == 0 || n > 8 {
        return None;
    }
    let word = word(text);
    // The highest bit of the bytes that are a point; bytes above the first such one may err, so only the first is used.
    let marks = word ^ repeat(b'.');
    let points = marks.wrapping_sub(repeat(1)) & !marks & repeat(0x80);
    if points == 0 {
        return Some((digits(word, n)?, 0));
    }
    let point = points.trailing_zeros() / 8;
    let before = word & !(u64::MAX << (8 * point));
    // The point is the last byte where n is 1; then nothing is left, and it is no number.
    let after = (word >> (8 * point)) >> 8;
    let n_digits = n - 1;
    if n_digits == 0 {
        return None;
    }
    Some((digits(before | after << (8 * point), n_digits)?, n - 1 - point as usize))
}

/// The number that a text spells, if it is the one usual spelling of a whole number below ten million: digits alone, and
/// no zero before others. So equal numbers are equal texts.
///
/// ```
/// use orderguard_features::parse::small_integer;
/// assert_eq!(small_integer("596"), Some(596));
/// assert_eq!([small_integer("0596"), small_integer("-1"), small_integer("12345678")], [None; 3]);
/// ```
pub fn small_integer(text: &str) -> Option<u32> {
    let bytes = text.as_bytes();
    let n = bytes.len();
    if n == 0 || n > 7 || (bytes[0] == b'0' && n > 1) {
        return None;
    }
    digits(word(bytes), n).map(|number| number as u32)
}

/// A written date and time of day, `2018-04-01 00:00:31` or with a `T` between and a `Z` behind: the milliseconds from 1970
/// to it by a clock on UTC, and whether the `Z` stands.
pub(super) fn iso(text: &[u8]) -> Option<(i64, bool)> {
    // Eight bytes less what each must be: digits become their values, marks 0.
    const DATE: u64 = u64::from_le_bytes(*b"0000-00-");
    const TIME: u64 = u64::from_le_bytes(*b"00:00:00");
    /// Added to them, what is no digit or not the mark reaches the highest bit of its byte.
    const DATE_ROOM: u64 = u64::from_le_bytes([0x76, 0x76, 0x76, 0x76, 0x7f, 0x76, 0x76, 0x7f]);
    const TIME_ROOM: u64 = u64::from_le_bytes([0x76, 0x76, 0x7f, 0x76, 0x76, 0x7f, 0x76, 0x76]);
    const MONTHS: [u8; 13] = [0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let (text, rest) = text.split_first_chunk::<19>()?;
    let in_utc = match rest {
        [] => false,
        b"Z" => true,
        _ => return None,
    };
    let date = u64::from_le_bytes(*text.first_chunk()?) ^ DATE;
    let time = u64::from_le_bytes(*text.last_chunk()?) ^ TIME;
    let (tens, ones) = (text[8] ^ b'0', text[9] ^ b'0');
    let bad = (date.wrapping_add(DATE_ROOM) | date | time.wrapping_add(TIME_ROOM) | time) & repeat(0x80);
    if bad != 0 || tens > 9 || ones > 9 || !matches!(text[10], b' ' | b'T') {
        return None;
    }
    // Each byte becomes ten times itself and the next one: at most 99.
    let pairs = |word: u64| word.wrapping_mul(10).wrapping_add(word >> 8);
    let byte = |word: u64, at: u32| (word >> (8 * at)) as u8;
    let (date, time) = (pairs(date), pairs(time));
    let year = 100 * u32::from(byte(date, 0)) + u32::from(byte(date, 2));
    let (month, day) = (byte(date, 5), tens * 10 + ones);
    let (hour, minute, second) = (byte(time, 0), byte(time, 3), byte(time, 6));
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let exists = (1..=12).contains(&month)
        && (1..=MONTHS[usize::from(month)]).contains(&day)
        && (month != 2 || day != 29 || is_leap)
        && hour < 24
        && minute < 60
        && second < 60;
    if !exists || year == 0 {
        return None;
    }
    // Days by Howard Hinnant's `days_from_civil`, years counted from March.
    let (year, month) = if month <= 2 { (year - 1, u32::from(month) + 9) } else { (year, u32::from(month) - 3) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + u32::from(day) - 1;
    let seconds = i64::from(hour) * 3_600 + i64::from(minute) * 60 + i64::from(second);
    Some(((i64::from(days) - 719_468) * 86_400_000 + seconds * 1_000, in_utc))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{TimeParser, amount, amount_bytewise, number, number_by_std};
    use super::*;
    use crate::schema::TimeFormat;

    /// Cells as exporters write them, and such as are nearly that.
    fn cell() -> impl Strategy<Value = String> {
        prop_oneof![
            "[0-9]{0,9}",
            "[-+]?[0-9]{0,7}\\.?[0-9]{0,4}",
            "[-+0-9.eE_ ,/:]{0,10}",
            "\\PC{0,9}",
            prop::collection::vec(any::<u8>(), 0..9)
                .prop_filter_map("not UTF-8", |bytes| String::from_utf8(bytes).ok()),
        ]
    }

    fn moment() -> impl Strategy<Value = String> {
        let fields = (0..2_300_u32, 0..14_u32, 0..33_u32, 0..26_u32, 0..62_u32, 0..62_u32);
        let written = fields.prop_map(|(y, m, d, h, min, s)| format!("{y:04}-{m:02}-{d:02} {h:02}:{min:02}:{s:02}"));
        (written, 0..24_usize, any::<char>(), 0..6_u8).prop_map(|(written, at, other, how)| match how {
            0 => {
                let mut chars: Vec<char> = written.chars().collect();
                let at = at % chars.len();
                chars[at] = other;
                chars.into_iter().collect()
            }
            1 => written.replace(' ', "T") + "Z",
            2 => written + "Z",
            3 => written.chars().take(at).collect(),
            4 => written + "+01:00",
            _ => written,
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3_000))]

        #[test]
        fn numbers_are_those_of_the_slow_reader(text in cell(), decimals in 0..8_u8) {
            prop_assert_eq!(number(&text).map(f64::to_bits), number_by_std(&text).map(f64::to_bits), "{:?}", text);
            prop_assert_eq!(amount(&text, decimals), amount_bytewise(&text, decimals), "{:?}", text);
        }

        #[test]
        fn small_integers_are_their_one_spelling(text in cell(), n in 0..20_000_000_u32) {
            let naive = text.parse::<u32>().ok().filter(|n| *n < 10_000_000 && n.to_string() == text);
            prop_assert_eq!(small_integer(&text), naive, "{:?}", text);
            prop_assert_eq!(small_integer(&n.to_string()), (n < 10_000_000).then_some(n));
        }

        #[test]
        fn times_are_those_of_the_slow_reader(text in moment(), zone in prop::sample::select(vec!["UTC", "Europe/Warsaw"])) {
            let parser = TimeParser::new(TimeFormat::Iso, zone).unwrap();
            prop_assert_eq!(parser.parse(&text), parser.parse_bytewise(&text), "{:?}", text);
        }
    }

    #[test]
    fn every_spelling_of_a_few_bytes_reads_alike() {
        let marks = b"019./:-+ \0\x80\xff".map(u64::from);
        for n in 0..=8_usize {
            for seed in 0..40_000_u64 {
                let mut seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let bytes: Vec<u8> = (0..n)
                    .map(|_| {
                        seed = seed.rotate_left(23).wrapping_mul(0x2545_f491_4f6c_dd1d);
                        marks[(seed >> 40) as usize % marks.len()] as u8
                    })
                    .collect();
                let n_points = bytes.split(|b| *b == b'.').count() - 1;
                let n_digits = bytes.iter().filter(|b| b.is_ascii_digit()).count();
                let expected = (n_points <= 1 && n_digits > 0 && n_points + n_digits == n).then(|| {
                    let behind = bytes.iter().rev().position(|b| *b == b'.').unwrap_or(0);
                    let digits = bytes.iter().filter(|b| **b != b'.');
                    (digits.fold(0, |x, b| x * 10 + u64::from(b - b'0')), behind)
                });
                assert_eq!(decimal(&bytes), expected, "{bytes:?}");
            }
        }
    }

    #[test]
    fn every_day_of_the_calendar_is_told_right() {
        let mut day = 0;
        for year in 1_i64..=9_999 {
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            for (month, days) in
                [31, 28 + i64::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31].into_iter().enumerate()
            {
                for (of_month, offset) in [(1, 0), (days, days - 1)] {
                    let text = format!("{year:04}-{:02}-{of_month:02} 00:00:00", month + 1);
                    let expected = (day + offset - 719_162) * 86_400_000;
                    assert_eq!(iso(text.as_bytes()), Some((expected, false)), "{text}");
                }
                assert_eq!(iso(format!("{year:04}-{:02}-{:02} 00:00:00", month + 1, days + 1).as_bytes()), None);
                day += days;
            }
        }
    }
}
