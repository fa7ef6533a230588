//! Flat JSON objects, one a line in files: values are kept as the text that stands there, and nothing is allocated.

use std::fmt;
use std::ops::Range;

/// What makes a line unusable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JsonFault {
    /// Not JSON: what was expected here.
    Expected(&'static str),
    /// An array or object as the value of a column that is used.
    Nested,
    /// A key that is used stands twice.
    DuplicateKey,
    /// A key that nobody expects, where no other may be.
    UnknownKey,
    /// A key that must be there is not.
    MissingKey,
}

impl fmt::Display for JsonFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expected(what) => write!(f, "expected {what}"),
            Self::Nested => f.write_str("expected a plain value, found an array or object"),
            Self::DuplicateKey => f.write_str("a key stands twice"),
            Self::UnknownKey => f.write_str("a key that is not among the expected ones"),
            Self::MissingKey => f.write_str("an expected key is missing"),
        }
    }
}

/// A value as it stands in the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `null`.
    Null,
    /// A number, `true` or `false`: the text itself.
    Token(Range<usize>),
    /// A string: what stands between the quotes.
    Text(Range<usize>),
    /// An array or object.
    Nested,
}

/// Where in the text, in bytes, and what.
pub type Fault = (usize, JsonFault);

/// Calls `found(key, value, position)` for each member of the object in `line`, keys decoded. A fault that `found`
/// returns ends the walk. Arrays and objects are passed over. Allocates nothing, once `scratch` is long enough for keys with escapes
/// and has a byte for each bracket that is open at a time. O(line).
///
/// # Errors
/// Where the text is no object, and what was expected there.
pub fn members(
    line: &str,
    scratch: &mut String,
    mut found: impl FnMut(&str, Value, usize) -> Result<(), JsonFault>,
) -> Result<(), Fault> {
    let mut walk = Walk { line: line.as_bytes(), at: 0 };
    walk.skip_space();
    walk.eat(b'{', "`{`")?;
    walk.skip_space();
    if walk.peek() == Some(b'}') {
        walk.at += 1;
        return walk.finish();
    }
    loop {
        walk.skip_space();
        let key_at = walk.at;
        let (key, has_escapes) = walk.string("a key in quotes")?;
        walk.skip_space();
        walk.eat(b':', "`:`")?;
        walk.skip_space();
        let value = walk.value(scratch)?;
        let key = if has_escapes { decode(&line[key], scratch) } else { &line[key] };
        found(key, value, key_at).map_err(|fault| (key_at, fault))?;
        walk.skip_space();
        match walk.peek() {
            Some(b',') => walk.at += 1,
            Some(b'}') => {
                walk.at += 1;
                return walk.finish();
            }
            _ => return walk.expected("`,` or `}`"),
        }
    }
}

/// The text of a string's inside, escapes undone in `scratch` where there are any; half of a surrogate pair becomes U+FFFD. `inside` is a string's range as [`members`] gives it.
///
/// # Panics
/// If it is another text that ends inside an escape: a caller's bug.
pub fn decode<'s>(inside: &'s str, scratch: &'s mut String) -> &'s str {
    if !inside.contains('\\') {
        return inside;
    }
    scratch.clear();
    let mut rest = inside;
    while let Some(at) = rest.find('\\') {
        scratch.push_str(&rest[..at]);
        let kind = rest.as_bytes()[at + 1];
        rest = &rest[at + 2..];
        match kind {
            b'u' => {
                let first = hex(&rest[..4]);
                rest = &rest[4..];
                let second =
                    rest.strip_prefix("\\u").map(|low| hex(&low[..4])).filter(|low| (0xdc00..0xe000).contains(low));
                let code = match second {
                    Some(low) if (0xd800..0xdc00).contains(&first) => {
                        rest = &rest[6..];
                        0x1_0000 + ((first - 0xd800) << 10) + (low - 0xdc00)
                    }
                    _ => first,
                };
                scratch.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            b'n' => scratch.push('\n'),
            b't' => scratch.push('\t'),
            b'r' => scratch.push('\r'),
            b'b' => scratch.push('\u{8}'),
            b'f' => scratch.push('\u{c}'),
            other => scratch.push(char::from(other)),
        }
    }
    scratch.push_str(rest);
    scratch
}

/// Four hexadecimal digits, as [`Walk::string`] has checked them to be.
fn hex(digits: &str) -> u32 {
    u32::from_str_radix(digits, 16).unwrap_or(u32::from(char::REPLACEMENT_CHARACTER))
}

struct Walk<'a> {
    line: &'a [u8],
    at: usize,
}

impl Walk<'_> {
    fn peek(&self) -> Option<u8> {
        self.line.get(self.at).copied()
    }

    fn expected<T>(&self, what: &'static str) -> Result<T, Fault> {
        Err((self.at, JsonFault::Expected(what)))
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8, what: &'static str) -> Result<(), Fault> {
        if self.peek() != Some(byte) {
            return self.expected(what);
        }
        self.at += 1;
        Ok(())
    }

    fn finish(mut self) -> Result<(), Fault> {
        self.skip_space();
        if self.at == self.line.len() { Ok(()) } else { self.expected("the end of the line after the object") }
    }

    /// Passes over bytes of a string that say nothing but themselves, eight at a time as far as there are as many.
    fn skip_plain(&mut self) {
        const ONES: u64 = u64::MAX / 255;
        while let Some(bytes) = self.line.get(self.at..).and_then(<[u8]>::first_chunk::<8>) {
            let bytes = u64::from_le_bytes(*bytes);
            // The high bit of bytes below n; beyond the first such byte also of others.
            let below = |bytes: u64, n: u8| bytes.wrapping_sub(ONES * u64::from(n)) & !bytes & (ONES << 7);
            let is = |byte: u8| below(bytes ^ (ONES * u64::from(byte)), 1);
            let found = is(b'"') | is(b'\\') | below(bytes, 0x20);
            if found != 0 {
                self.at += found.trailing_zeros() as usize / 8;
                return;
            }
            self.at += 8;
        }
    }

    /// Bounds of the inside of a string, and whether it has escapes; stands behind its closing quote afterwards.
    fn string(&mut self, what: &'static str) -> Result<(Range<usize>, bool), Fault> {
        self.eat(b'"', what)?;
        let start = self.at;
        let mut has_escapes = false;
        loop {
            self.skip_plain();
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok((start..self.at - 1, has_escapes));
                }
                Some(b'\\') => {
                    has_escapes = true;
                    self.at += 1;
                    match self.peek() {
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
                        Some(b'u') => {
                            self.at += 1;
                            for _ in 0..4 {
                                if !self.peek().is_some_and(|b| b.is_ascii_hexdigit()) {
                                    return self.expected("four hexadecimal digits");
                                }
                                self.at += 1;
                            }
                        }
                        _ => return self.expected("an escape such as \\n"),
                    }
                }
                Some(0..0x20) => return self.expected("a string without control characters"),
                Some(_) => self.at += 1,
                None => return self.expected("a closing quote"),
            }
        }
    }

    fn value(&mut self, scratch: &mut String) -> Result<Value, Fault> {
        let start = self.at;
        match self.peek() {
            Some(b'"') => self.string("a string").map(|(inside, _)| Value::Text(inside)),
            Some(b'{' | b'[') => self.nested(scratch),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => {
                // NaN and Infinity are no JSON, but Python writes them; what they mean is for the column to say.
                for word in [&b"null"[..], b"true", b"false", b"NaN", b"Infinity"] {
                    if self.line[start..].starts_with(word) {
                        self.at += word.len();
                        return Ok(if word == b"null" { Value::Null } else { Value::Token(start..self.at) });
                    }
                }
                self.expected("a value")
            }
        }
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start { self.expected("a digit") } else { Ok(()) }
    }

    fn number(&mut self) -> Result<Value, Fault> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
            if self.line[self.at..].starts_with(b"Infinity") {
                self.at += 8;
                return Ok(Value::Token(start..self.at));
            }
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(Value::Token(start..self.at))
    }

    /// Passes over an array or object. Brackets must pair; commas and colons inside are not checked, since nothing is
    /// taken from there. No recursion: `closers` holds what closes the open ones.
    fn nested(&mut self, closers: &mut String) -> Result<Value, Fault> {
        closers.clear();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.string("a string")?;
                    continue;
                }
                Some(b'{') => closers.push('}'),
                Some(b'[') => closers.push(']'),
                Some(byte @ (b'}' | b']')) => {
                    if closers.pop() != Some(char::from(byte)) {
                        return self.expected("the bracket that was opened last to close");
                    }
                    if closers.is_empty() {
                        self.at += 1;
                        return Ok(Value::Nested);
                    }
                }
                Some(_) => {}
                None => return self.expected("a closing bracket"),
            }
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Vec<(String, Option<String>)>, Fault> {
        let mut out = Vec::new();
        let mut scratch = String::new();
        members(line, &mut scratch, |key, value, _| {
            let mut inner = String::new();
            out.push((
                key.to_owned(),
                match value {
                    Value::Null => None,
                    Value::Token(range) => Some(line[range].to_owned()),
                    Value::Text(range) => Some(decode(&line[range], &mut inner).to_owned()),
                    Value::Nested => return Err(JsonFault::Nested),
                },
            ));
            Ok(())
        })?;
        Ok(out)
    }

    #[test]
    fn numbers_keep_their_text() {
        let line =
            r#" {"id": 12345678901234567890, "a":0.10 ,"b":-1.5E+3,"t":true,"n":null,"é\n":"\u00e9\ud83d\ude00\/"} "#;
        let expected: Vec<(String, Option<String>)> = [
            ("id", Some("12345678901234567890")),
            ("a", Some("0.10")),
            ("b", Some("-1.5E+3")),
            ("t", Some("true")),
            ("n", None),
            ("é\n", Some("é😀/")),
        ]
        .map(|(key, value)| (key.to_owned(), value.map(str::to_owned)))
        .to_vec();
        assert_eq!(read(line), Ok(expected));
        assert_eq!(read("{}"), Ok(vec![]));
    }

    #[test]
    fn faults_say_where() {
        for (line, at) in [
            ("", 0),
            ("[]", 0),
            ("{", 1),
            ("{\"a\"}", 4),
            ("{\"a\":}", 5),
            ("{\"a\":01}", 6),
            ("{\"a\":1.}", 7),
            ("{\"a\":1,}", 7),
            ("{\"a\":1} x", 8),
            ("{\"a\":\"\\x\"}", 7),
            ("{\"a\":\"\\u12g4\"}", 10),
            ("{\"a\":\"x", 7),
            ("{\"a\":[1,2}", 9),
            ("{\"a\":{\"b\":1", 11),
            ("{a:1}", 1),
        ] {
            assert_eq!(read(line).map_err(|(at, _)| at).map(|_| ()), Err(at), "{line}");
        }
        assert_eq!(read("{\"a\":[\"]\"]}"), Err((1, JsonFault::Nested)));
    }

    #[test]
    fn what_is_special_is_seen_wherever_it_stands() {
        for before in 0..20 {
            for after in 0..20 {
                let text = |middle: &str| format!("{}{middle}{}", "x".repeat(before), "z".repeat(after));
                let line = |middle: &str| format!("{{\"a\":\"{}\"}}", text(middle));
                for plain in ["", " ", "!", "#", "[", "]", "\u{7f}", "\u{80}", "\u{a2}", "ż", "😀"] {
                    assert_eq!(
                        read(&line(plain)),
                        Ok(vec![("a".into(), Some(text(plain)))]),
                        "{before} {plain:?} {after}"
                    );
                }
                let escaped = read(&line("\\\"\\\\"));
                assert_eq!(escaped, Ok(vec![("a".into(), Some(text("\"\\")))]), "{before} {after}");
                let at = 6 + before;
                for control in ["\0", "\n", "\u{1f}"] {
                    let fault = JsonFault::Expected("a string without control characters");
                    assert_eq!(read(&line(control)), Err((at, fault)), "{before} {control:?} {after}");
                }
                assert_eq!(read(&line("\"")).map_err(|(at, _)| at), Err(at + 1), "{before} {after}");
            }
        }
    }

    #[test]
    fn deep_nesting_is_passed_over() {
        let line = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        let mut n = 0;
        let walked = members(&line, &mut String::new(), |_, value, _| {
            n += usize::from(value == Value::Nested);
            Ok(())
        });
        assert_eq!((walked, n), (Ok(()), 1));
    }

    #[test]
    fn half_a_surrogate_pair_does_no_harm() {
        let mut scratch = String::new();
        assert_eq!(decode(r"\ud83dx\ud83d\u0041", &mut scratch), "\u{fffd}x\u{fffd}A");
    }
}
