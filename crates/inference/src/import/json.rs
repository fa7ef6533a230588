//! JSON read from front to back, without a tree of values: a caller says what it wants where it stands, and skips the rest.
//!
//! Numbers are handed over as they are written, so that the caller chooses the type into which they are rounded. `NaN`,
//! `Infinity` and `-Infinity` are words as `true` is: other libraries write them.

use super::{ImportError, Place, beginning};

/// Deepest nesting that is read.
const MAX_DEPTH: u32 = 64;

/// A text and how far it has been read.
pub(super) struct Json<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
}

impl<'a> Json<'a> {
    pub(super) fn new(text: &'a [u8]) -> Result<Self, ImportError> {
        match std::str::from_utf8(text) {
            Ok(text) => Ok(Self { text, at: 0, depth: 0 }),
            Err(error) => Err(ImportError::NotText { place: Place::Byte(error.valid_up_to()) }),
        }
    }

    /// Where the next value begins.
    pub(super) fn place(&mut self) -> Place {
        self.skip_space();
        Place::Byte(self.at)
    }

    /// An object: `each` reads the value of the key it is given.
    pub(super) fn object(
        &mut self,
        mut each: impl FnMut(&mut Self, &str) -> Result<(), ImportError>,
    ) -> Result<(), ImportError> {
        self.sequence(b'{', b'}', "an object", |json| {
            let key = json.string()?;
            json.expect(b':', "`:`")?;
            each(json, &key)
        })
    }

    /// An array: `each` reads the next of its values.
    pub(super) fn array(&mut self, each: impl FnMut(&mut Self) -> Result<(), ImportError>) -> Result<(), ImportError> {
        self.sequence(b'[', b']', "an array", each)
    }

    /// The values of an array of numbers or other words, each made of its text.
    pub(super) fn words<T>(
        &mut self,
        field: &'static str,
        expected: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>, ImportError> {
        let mut values = Vec::new();
        self.array(|json| {
            let place = json.place();
            let word = json.word()?;
            let value = parse(word).ok_or_else(|| {
                let found = beginning(word);
                ImportError::Value { place, field, at: values.len(), expected, found }
            })?;
            values.push(value);
            Ok(())
        })?;
        Ok(values)
    }

    /// A number, `true`, `false`, `null` or another bare word, as it is written.
    pub(super) fn word(&mut self) -> Result<&'a str, ImportError> {
        self.skip_space();
        let rest = &self.text[self.at..];
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        let len = rest.bytes().take_while(|&byte| is_part(byte)).count();
        if len == 0 {
            return Err(self.unexpected("a number"));
        }
        self.at += len;
        Ok(&rest[..len])
    }

    /// A string, unescaped.
    pub(super) fn string(&mut self) -> Result<String, ImportError> {
        self.expect(b'"', "a string")?;
        let mut string = String::new();
        loop {
            let rest = &self.text[self.at..];
            let Some(len) = rest.find(['"', '\\']) else {
                self.at = self.text.len();
                return Err(self.unexpected("the end of a string"));
            };
            string.push_str(&rest[..len]);
            self.at += len + 1;
            if rest.as_bytes()[len] == b'"' {
                return Ok(string);
            }
            string.push(self.escaped()?);
        }
    }

    /// The character behind a backslash.
    fn escaped(&mut self) -> Result<char, ImportError> {
        let what = self.text.as_bytes().get(self.at).copied().unwrap_or(0);
        let plain = match what {
            b'"' | b'\\' | b'/' => char::from(what),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                self.at += 1;
                let high = self.hex()?;
                if !(0xD800..0xDC00).contains(&high) {
                    return char::from_u32(high).ok_or_else(|| self.unexpected("a character"));
                }
                if !self.text[self.at..].starts_with("\\u") {
                    return Err(self.unexpected("the second half of a character"));
                }
                self.at += 2;
                let low = self.hex()?.wrapping_sub(0xDC00);
                let code = if low < 0x400 { char::from_u32(0x1_0000 + ((high - 0xD800) << 10) + low) } else { None };
                return code.ok_or_else(|| self.unexpected("the second half of a character"));
            }
            _ => return Err(self.unexpected("an escape")),
        };
        self.at += 1;
        Ok(plain)
    }

    fn hex(&mut self) -> Result<u32, ImportError> {
        let digits = self.text.get(self.at..self.at + 4).filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()));
        let Some(code) = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()) else {
            return Err(self.unexpected("four hexadecimal digits"));
        };
        self.at += 4;
        Ok(code)
    }

    /// Any value.
    pub(super) fn skip(&mut self) -> Result<(), ImportError> {
        self.skip_space();
        match self.text.as_bytes().get(self.at) {
            Some(b'{') => self.object(|json, _| json.skip()),
            Some(b'[') => self.array(Self::skip),
            Some(b'"') => self.string().map(drop),
            _ => self.word().map(drop),
        }
    }

    /// Nothing but white space is left.
    pub(super) fn finish(mut self) -> Result<(), ImportError> {
        self.skip_space();
        if self.at == self.text.len() { Ok(()) } else { Err(self.unexpected("the end of the text")) }
    }

    fn sequence(
        &mut self,
        open: u8,
        close: u8,
        what: &'static str,
        mut each: impl FnMut(&mut Self) -> Result<(), ImportError>,
    ) -> Result<(), ImportError> {
        if self.depth == MAX_DEPTH {
            return Err(self.unexpected("no deeper nesting"));
        }
        self.expect(open, what)?;
        self.depth += 1;
        if !self.take(close) {
            loop {
                each(self)?;
                if self.take(close) {
                    break;
                }
                self.expect(b',', "`,` or an end")?;
            }
        }
        self.depth -= 1;
        Ok(())
    }

    fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), ImportError> {
        if self.take(byte) { Ok(()) } else { Err(self.unexpected(what)) }
    }

    /// Steps over white space, and the byte if it comes next.
    fn take(&mut self, byte: u8) -> bool {
        self.skip_space();
        let is_next = self.text.as_bytes().get(self.at) == Some(&byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn skip_space(&mut self) {
        let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        self.at += self.text.as_bytes()[self.at..].iter().take_while(|byte| is_space(byte)).count();
    }

    fn unexpected(&self, expected: &'static str) -> ImportError {
        let rest = self.text.get(self.at..).unwrap_or("");
        let found = if rest.is_empty() { "the end of the text".to_owned() } else { beginning(rest) };
        ImportError::Unexpected { place: Place::Byte(self.at), expected, found }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skipped(text: &str) -> Result<(), ImportError> {
        let mut json = Json::new(text.as_bytes())?;
        json.skip()?;
        json.finish()
    }

    #[test]
    fn values_of_all_kinds_are_stepped_over() {
        for text in [
            "{}",
            " [ ] ",
            r#"{"a": [1, -2.5E-1, {"b": null}], "c": "}]\"", "d": true}"#,
            "[NaN, -Infinity]",
            r#""\ud83d\ude00\u0041\n""#,
        ] {
            assert_eq!(skipped(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn broken_texts_are_refused_where_they_break() {
        for (text, byte) in [
            ("", 0),
            ("{", 1),
            ("[1 2]", 3),
            ("[1,]", 3),
            ("{\"a\" 1}", 5),
            ("{a: 1}", 1),
            ("\"open", 5),
            ("\"\\x\"", 2),
            ("\"\\u12\"", 3),
            ("\"\\ud800x\"", 7),
            ("\"\\ud800\\u0041\"", 13),
            ("[] []", 3),
            ("[1}", 2),
        ] {
            let error = skipped(text).unwrap_err();
            let expected = Place::Byte(byte);
            assert!(matches!(&error, ImportError::Unexpected { place, .. } if *place == expected), "{text}: {error}");
        }
        assert_eq!(skipped(&"[".repeat(1_000_000)).unwrap_err().to_string().find("no deeper nesting"), Some(18));
        assert!(matches!(Json::new(b"[\xFF]"), Err(ImportError::NotText { place: Place::Byte(1) })));
    }

    #[test]
    fn strings_are_unescaped() {
        let mut json = Json::new(r#"["caf\u00e9 \ud83d\ude00 \"x\" \\ \/ \b\f\n\r\t"]"#.as_bytes()).unwrap();
        let mut found = Vec::new();
        json.array(|json| json.string().map(|string| found.push(string))).unwrap();
        assert_eq!(found, ["café 😀 \"x\" \\ / \u{8}\u{c}\n\r\t"]);
    }
}
