//! What the first digits of a card number say: the bank identification number (BIN) and, by the user's table, the country
//! that issued the card, its kind and its brand.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use super::spelling::{Made, Spelling};
use crate::schema::Role;

/// Digits of a BIN as a key: what was issued before 2022 is told apart by six (ISO/IEC 7812-1:2017 has eight).
const KEY_DIGITS: usize = 6;
/// Most digits of a BIN.
const MAX_DIGITS: usize = 8;

/// The first six digits of a card number, masked (`411111******1111`) or not; of a BIN column, its six to eight digits.
/// `None` where they are not there: a card column may hold tokens, which have no BIN.
pub fn bin(role: Role, text: &str) -> Option<Spelling<'_>> {
    let text = text.trim();
    if role == Role::Bin && (KEY_DIGITS..=MAX_DIGITS).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
    {
        return Some(Spelling::Given(text));
    }
    let digits = Digits::read(role, text)?;
    let n = if role == Role::Bin { digits.n } else { KEY_DIGITS };
    match text.get(..n) {
        Some(start) if start.bytes().all(|b| b.is_ascii_digit()) => Some(Spelling::Given(start)),
        _ => Some(Spelling::Made(digits.first(n))),
    }
}

/// The first digits of a card number or BIN.
struct Digits {
    /// Padded with zeros to [`MAX_DIGITS`].
    value: u32,
    n: usize,
}

impl Digits {
    fn read(role: Role, text: &str) -> Option<Self> {
        // A BIN that went through a spreadsheet or a float column may end in `.0`.
        let text = if role == Role::Bin { text.strip_suffix(".0").unwrap_or(text) } else { text };
        let (mut value, mut n, mut n_all, mut masked) = (0_u32, 0, 0, false);
        for c in text.chars() {
            match c {
                '0'..='9' => {
                    if !masked && n < MAX_DIGITS {
                        value = value * 10 + (c as u32 - '0' as u32);
                        n += 1;
                    }
                    n_all += 1;
                }
                '*' | 'x' | 'X' | '#' | '.' | '•' | '…' | '_' if n > 0 => masked = true,
                ' ' | '-' => {}
                _ => return None,
            }
        }
        // Lengths of card numbers by ISO/IEC 7812-1, section 4; a masked number may have lost digits.
        let plausible = role == Role::Bin && n_all <= MAX_DIGITS || masked && n_all <= 19 || (12..=19).contains(&n_all);
        (plausible && n >= KEY_DIGITS).then(|| Self { value: value * 10_u32.pow((MAX_DIGITS - n) as u32), n })
    }

    fn first(&self, n: usize) -> Made {
        let mut digits = Made::new();
        write!(digits, "{:08}", self.value).expect("takes all text");
        digits.truncate(n);
        digits
    }
}

/// Whether a text is a full card number, for [`valid`](crate::language::feature::TextFunction::Valid): spaces and dashes
/// around and between are allowed. `None` for a masked number, of which it cannot be told.
pub fn is_valid(text: &str) -> Option<bool> {
    let text = text.trim();
    let masked = text.contains(['*', 'x', 'X', '#', '•', '…']) && Digits::read(Role::Card, text).is_some();
    (!masked).then(|| crate::identity::is_card_number(text.as_bytes()))
}

/// A user's table of BINs, read from CSV.
///
/// The header names the columns `bin` (or `iin`, `prefix`), `country`, `kind` (`type`) and `brand` (`scheme`), of which
/// only `bin` is required; others are passed over. A BIN has 6 to 8 digits, or is a range of two of one length
/// (`400000-400099`). The longest prefix that holds a card decides.
#[derive(Debug)]
pub struct BinTable {
    /// By number of digits, 8 first; ranges do not overlap within one length.
    lengths: [Vec<Range>; 3],
    levels: Vec<Box<str>>,
    hash: u64,
}

/// Cards from `from` to `to` (both included, padded to 8 digits with zeros and nines).
#[derive(Clone, Copy, Debug)]
struct Range {
    from: u32,
    to: u32,
    /// Positions in `levels`, 0 for none.
    facts: [u32; 3],
    line: u64,
}

/// What a BIN table says of a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BinFacts<'a> {
    /// Where it was issued, in upper case as the table spells it.
    pub country: Option<&'a str>,
    /// Credit, debit, prepaid; in lower case.
    pub kind: Option<&'a str>,
    /// The scheme; in lower case.
    pub brand: Option<&'a str>,
}

/// A BIN table that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BinTableError {
    /// The file is not UTF-8.
    NotUtf8 {
        /// Line of the first wrong byte, from 1.
        line: u64,
    },
    /// The header names no column `bin`.
    NoBinColumn,
    /// Two columns of the header have one meaning.
    ColumnTwice {
        /// Which.
        column: &'static str,
    },
    /// A row of another length than the header.
    FieldCount {
        /// Line, from 1.
        line: u64,
        /// Fields of the header.
        expected: usize,
        /// Fields found.
        found: usize,
    },
    /// A quoted field without its end.
    OpenQuote {
        /// Line where it begins, from 1.
        line: u64,
    },
    /// Not 6 to 8 digits, nor a range of two such numbers of one length in order.
    NotABin {
        /// Line, from 1.
        line: u64,
    },
    /// Two rows of one length of prefix say different things of the same card.
    Conflict {
        /// The later line, from 1.
        line: u64,
        /// The earlier one.
        earlier: u64,
    },
    /// No rows.
    Empty,
}

impl fmt::Display for BinTableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUtf8 { line } => write!(f, "BIN table, line {line}: expected UTF-8 text, found other bytes"),
            Self::NoBinColumn => f.write_str("BIN table, line 1: expected a column bin, iin or prefix, found none"),
            Self::ColumnTwice { column } => {
                write!(f, "BIN table, line 1: expected one column for {column}, found two")
            }
            Self::FieldCount { line, expected, found } => {
                write!(f, "BIN table, line {line}: expected {expected} fields as in the header, found {found}")
            }
            Self::OpenQuote { line } => write!(f, "BIN table, line {line}: expected a closing quote, found none"),
            Self::NotABin { line } => {
                write!(f, "BIN table, line {line}: expected a BIN of 6 to 8 digits or a range such as 400000-400099")
            }
            Self::Conflict { line, earlier } => {
                write!(f, "BIN table, line {line}: says other things than line {earlier} of the same cards")
            }
            Self::Empty => f.write_str("BIN table: expected rows below the header, found none"),
        }
    }
}

impl std::error::Error for BinTableError {}

const COLUMNS: [(&str, &[&str]); 4] = [
    ("bin", &["bin", "iin", "prefix"]),
    ("country", &["country", "country_code"]),
    ("kind", &["kind", "type"]),
    ("brand", &["brand", "scheme"]),
];

impl BinTable {
    /// Reads a table; fields are separated by commas, semicolons or tabs (whichever the header has most of) and may be
    /// quoted. O(rows log rows).
    pub fn new(bytes: &[u8]) -> Result<Self, BinTableError> {
        let text = super::tables::utf8(bytes).map_err(|line| BinTableError::NotUtf8 { line })?;
        let header = text.lines().next().unwrap_or("");
        let separator = [',', ';', '\t'].into_iter().rev().max_by_key(|&c| header.matches(c).count()).unwrap_or(',');
        let mut records = Records { rest: text, line: 1, separator };
        let names = records.next_record()?.ok_or(BinTableError::NoBinColumn)?.1;
        let mut columns = [None; 4];
        for (at, name) in names.iter().enumerate() {
            let meaning = COLUMNS.iter().position(|(_, words)| words.iter().any(|w| w.eq_ignore_ascii_case(name)));
            if let Some(meaning) = meaning
                && columns[meaning].replace(at).is_some()
            {
                return Err(BinTableError::ColumnTwice { column: COLUMNS[meaning].0 });
            }
        }
        let [Some(bin_column), facts_columns @ ..] = columns else { return Err(BinTableError::NoBinColumn) };

        let mut lengths = [Vec::new(), Vec::new(), Vec::new()];
        let mut levels: Vec<Box<str>> = vec!["".into()];
        let mut known = std::collections::HashMap::new();
        while let Some((line, fields)) = records.next_record()? {
            if fields.len() != names.len() {
                return Err(BinTableError::FieldCount { line, expected: names.len(), found: fields.len() });
            }
            let (from, to, n_digits) = range(&fields[bin_column]).ok_or(BinTableError::NotABin { line })?;
            let mut facts = [0; 3];
            for (which, column) in facts_columns.iter().enumerate() {
                let Some(column) = *column else { continue };
                let level = fields[column].trim();
                if level.is_empty() {
                    continue;
                }
                let level = if which == 0 { level.to_uppercase() } else { level.to_lowercase() };
                facts[which] = *known.entry(level).or_insert_with_key(|level| {
                    levels.push(level.as_str().into());
                    levels.len() as u32 - 1
                });
            }
            lengths[MAX_DIGITS - n_digits].push(Range { from, to, facts, line });
        }
        if lengths.iter().all(Vec::is_empty) {
            return Err(BinTableError::Empty);
        }
        for ranges in &mut lengths {
            ranges.sort_unstable_by_key(|range| (range.from, range.to, range.line));
            // The same said twice is one row; of overlapping ranges that agree, what is new remains.
            let mut apart: Vec<Range> = Vec::with_capacity(ranges.len());
            for range in ranges.iter().copied() {
                match apart.last_mut() {
                    Some(last) if range.from <= last.to && range.facts == last.facts => last.to = last.to.max(range.to),
                    Some(last) if range.from <= last.to => {
                        let (line, earlier) = (range.line.max(last.line), range.line.min(last.line));
                        return Err(BinTableError::Conflict { line, earlier });
                    }
                    _ => apart.push(range),
                }
            }
            *ranges = apart;
        }
        Ok(Self { lengths, levels, hash: super::tables::content_hash(bytes) })
    }

    /// A hash of the file's content.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// What the table says of a card number, a masked one or a BIN; `None` where the text has no BIN or the table has no
    /// prefix of it. Three binary searches at most.
    pub fn find(&self, role: Role, text: &str) -> Option<BinFacts<'_>> {
        let digits = Digits::read(role, text.trim())?;
        let range = self.lengths.iter().enumerate().find_map(|(shorter, ranges)| {
            let range = ranges[..ranges.partition_point(|range| range.from <= digits.value)].last()?;
            // A prefix that is longer than what is known of the card does not say anything of it.
            (digits.value <= range.to && digits.n >= MAX_DIGITS - shorter).then_some(range)
        })?;
        let level = |which: usize| Some(&*self.levels[range.facts[which] as usize]).filter(|level| !level.is_empty());
        Some(BinFacts { country: level(0), kind: level(1), brand: level(2) })
    }
}

/// A BIN or range of BINs as the cards that it holds, padded to 8 digits, and its number of digits.
fn range(field: &str) -> Option<(u32, u32, usize)> {
    let (from, to) = field.split_once('-').unwrap_or((field, field));
    let (from, to) = (from.trim(), to.trim());
    let digits =
        |text: &str| (KEY_DIGITS..=MAX_DIGITS).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(from) || !digits(to) || from.len() != to.len() || from > to {
        return None;
    }
    let unit = 10_u32.pow((MAX_DIGITS - from.len()) as u32);
    let (first, last): (u32, u32) = (from.parse().ok()?, to.parse().ok()?);
    Some((first * unit, last * unit + (unit - 1), from.len()))
}

/// The line where a record begins, and its fields.
type Record<'a> = (u64, Vec<Cow<'a, str>>);

/// Records of a CSV text (RFC 4180). Empty lines are passed over.
struct Records<'a> {
    rest: &'a str,
    line: u64,
    separator: char,
}

impl<'a> Records<'a> {
    /// The next record; `None` at the end.
    fn next_record(&mut self) -> Result<Option<Record<'a>>, BinTableError> {
        while let Some(rest) = self.rest.strip_prefix("\r\n").or_else(|| self.rest.strip_prefix('\n')) {
            self.rest = rest;
            self.line += 1;
        }
        if self.rest.is_empty() {
            return Ok(None);
        }
        let begins = self.line;
        let mut fields = Vec::new();
        loop {
            fields.push(self.field()?);
            if let Some(rest) = self.rest.strip_prefix(self.separator) {
                self.rest = rest;
                continue;
            }
            self.rest = self.rest.strip_prefix('\r').unwrap_or(self.rest);
            if let Some(rest) = self.rest.strip_prefix('\n') {
                self.rest = rest;
                self.line += 1;
            }
            return Ok(Some((begins, fields)));
        }
    }

    fn field(&mut self) -> Result<Cow<'a, str>, BinTableError> {
        let begins = self.line;
        let Some(quoted) = self.rest.strip_prefix('"') else {
            let end = self.rest.find([self.separator, '\n', '\r']).unwrap_or(self.rest.len());
            // A lone carriage return inside a field is text.
            let end = if self.rest[end..].starts_with('\r') && !self.rest[end..].starts_with("\r\n") {
                self.rest[end..].find([self.separator, '\n']).map_or(self.rest.len(), |more| end + more)
            } else {
                end
            };
            let (field, rest) = self.rest.split_at(end);
            self.rest = rest;
            return Ok(Cow::Borrowed(field.trim()));
        };
        let mut field = String::new();
        let mut inside = quoted;
        loop {
            let Some((part, rest)) = inside.split_once('"') else {
                return Err(BinTableError::OpenQuote { line: begins });
            };
            self.line += part.matches('\n').count() as u64;
            field.push_str(part);
            if let Some(more) = rest.strip_prefix('"') {
                field.push('"');
                inside = more;
                continue;
            }
            // What stands between the quote and the separator belongs to the field, as most readers have it.
            let end = rest.find([self.separator, '\n', '\r']).unwrap_or(rest.len());
            field.push_str(&rest[..end]);
            self.rest = &rest[end..];
            return Ok(Cow::Owned(field));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bins_of_numbers() {
        for (role, text, expected) in [
            (Role::Card, "4111 1111-1111 1111", Some("411111")),
            (Role::Card, "523421******6253", Some("523421")),
            (Role::Card, "5234 21XX XXXX 6253", Some("523421")),
            (Role::Card, "523421…6253", Some("523421")),
            (Role::Card, "5234********6253", None),
            (Role::Card, "123456", None),
            (Role::Card, "tok_4111111111111111", None),
            (Role::Card, "12345678901234567890", None),
            (Role::Card, "", None),
            (Role::Bin, "523421", Some("523421")),
            (Role::Bin, " 52342199 ", Some("52342199")),
            (Role::Bin, "523421.0", Some("523421")),
            (Role::Bin, "52342", None),
            (Role::Bin, "unknown", None),
        ] {
            assert_eq!(bin(role, text).as_deref(), expected, "{role} {text}");
        }
        assert_eq!(is_valid(" 4111 1111 1111 1111 "), Some(true));
        assert_eq!(is_valid("4111111111111112"), Some(false));
        assert_eq!(is_valid("xyz"), Some(false));
        assert_eq!(is_valid("411111******1111"), None);
    }

    fn table(text: &str) -> Result<BinTable, BinTableError> {
        BinTable::new(text.as_bytes())
    }

    #[test]
    fn longest_prefix_wins() {
        let table = table(
            "\u{feff}IIN;Country;Bank;Type;Scheme\r\n\
             411111;us;\"First \"\"Bank\"\"; Inc\";Credit;Visa\r\n\r\n\
             41111111;CA;;;visa\r\n\
             4111112;;;;\r\n\
             523400-523499;BR;Any;debit;mastercard",
        )
        .unwrap();
        let find = |role, text| table.find(role, text).map(|f| (f.country, f.kind, f.brand));
        assert_eq!(find(Role::Card, "4111 1111 1111 1111"), Some((Some("CA"), None, Some("visa"))));
        assert_eq!(find(Role::Card, "411111******1111"), Some((Some("US"), Some("credit"), Some("visa"))));
        assert_eq!(find(Role::Bin, "41111155"), Some((Some("US"), Some("credit"), Some("visa"))));
        assert_eq!(find(Role::Bin, "4111112"), Some((None, None, None)));
        assert_eq!(find(Role::Bin, "411111"), Some((Some("US"), Some("credit"), Some("visa"))));
        assert_eq!(find(Role::Card, "523421******6253").unwrap().0, Some("BR"));
        assert_eq!(find(Role::Bin, "523500"), None);
        assert_eq!(find(Role::Card, "no card"), None);
    }

    #[test]
    fn errors_name_the_line() {
        for (text, expected) in [
            ("", BinTableError::NoBinColumn),
            ("number,country\n411111,US\n", BinTableError::NoBinColumn),
            ("bin,country\n", BinTableError::Empty),
            ("bin,iin\n411111,411111\n", BinTableError::ColumnTwice { column: "bin" }),
            ("bin,country\n411111,US\n411112\n", BinTableError::FieldCount { line: 3, expected: 2, found: 1 }),
            ("bin,country\n\n41111,US\n", BinTableError::NotABin { line: 3 }),
            ("bin,country\n411113-411112,US\n", BinTableError::NotABin { line: 2 }),
            ("bin,country\n411113-4111139,US\n", BinTableError::NotABin { line: 2 }),
            ("bin,country\n411111,\"US\n", BinTableError::OpenQuote { line: 2 }),
            ("bin,country\n\"411111\",\"a\nb\"\n41,US", BinTableError::NotABin { line: 4 }),
            ("bin,country\n411111,US\n411110-411119,CA\n", BinTableError::Conflict { line: 3, earlier: 2 }),
        ] {
            let error = table(text).unwrap_err();
            assert_eq!(error, expected, "{text}");
            assert!(error.to_string().starts_with("BIN table"));
        }
        assert_eq!(BinTable::new(b"bin\n411111\n\xff").unwrap_err(), BinTableError::NotUtf8 { line: 3 });
        assert!(table("bin,country\n411111,US\n411111,us\n").is_ok(), "the same twice");
    }

    proptest! {
        #[test]
        fn finds_what_a_scan_of_all_rows_finds(rows in proptest::collection::vec((4_111_u32..4_113, 0_u32..10_000, 6_usize..=8), 1..40),
                                               cards in proptest::collection::vec((4_111_u32..4_113, 0_u32..10_000), 20)) {
            let prefixes: Vec<String> =
                rows.iter().map(|(head, tail, n)| format!("{head}{tail:04}")[..*n].to_owned()).collect();
            let mut distinct = prefixes.clone();
            distinct.sort_unstable();
            distinct.dedup();
            let rows: Vec<String> = distinct.iter().map(|prefix| format!("{prefix},c{prefix}")).collect();
            let table = table(&format!("bin,country\n{}", rows.join("\n"))).unwrap();
            for (head, tail) in cards {
                let card = format!("{head}{tail:04}00000000");
                let expected = distinct.iter().filter(|p| card.starts_with(*p)).max_by_key(|p| p.len());
                let found = table.find(Role::Card, &card).and_then(|facts| facts.country);
                prop_assert_eq!(found.map(str::to_owned), expected.map(|p| format!("C{p}")));
            }
        }

        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "(bin|country|[0-9]{6}|[,;\"\r\n-]){0,30}") {
            let _ = BinTable::new(&bytes);
            if let Ok(table) = table(&text) {
                let _ = table.find(Role::Bin, &text);
            }
            let _ = (bin(Role::Card, &text), bin(Role::Bin, &text), is_valid(&text));
        }
    }
}
