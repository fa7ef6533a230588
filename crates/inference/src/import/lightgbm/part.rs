//! Lines of a model text, and the fields of one part of it.

use std::str::FromStr;

use crate::import::{ImportError, Place, beginning};

/// Lines with their numbers, from 1.
pub(super) struct Lines<'a> {
    lines: std::slice::Split<'a, u8, fn(&u8) -> bool>,
    line: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { lines: text.split(|&byte| byte == b'\n'), line: 0 }
    }

    /// The next line, without the end of the line; `None` past the last.
    fn next(&mut self) -> Result<Option<(usize, &'a str)>, ImportError> {
        self.line += 1;
        let Some(bytes) = self.lines.next() else { return Ok(None) };
        let text = std::str::from_utf8(bytes).map_err(|_| ImportError::NotText { place: Place::Line(self.line) })?;
        Ok(Some((self.line, text.trim_end_matches('\r'))))
    }

    /// The next line that is not empty.
    pub(super) fn next_filled(&mut self, expected: &'static str) -> Result<(usize, &'a str), ImportError> {
        loop {
            match self.next()? {
                Some((_, "")) => {}
                Some(line) => return Ok(line),
                None => return Err(ImportError::unexpected(self.line, expected, "the end of the text")),
            }
        }
    }
}

/// The fields `name=value` of one part, which ends with an empty line.
pub(super) struct Part<'a> {
    line: usize,
    fields: Vec<(&'static str, Field<'a>)>,
}

/// One value as it stands there.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) name: &'static str,
    pub(super) line: usize,
    pub(super) text: &'a str,
}

impl<'a> Part<'a> {
    /// Reads the part whose first line was `line`; only fields of the names given are kept, each may stand once.
    pub(super) fn read(line: usize, lines: &mut Lines<'a>, names: &[&'static str]) -> Result<Self, ImportError> {
        let mut part = Self { line, fields: Vec::with_capacity(names.len()) };
        while let Some((line, text)) = lines.next()? {
            if text.is_empty() {
                break;
            }
            let (key, text) = text.split_once('=').unwrap_or((text, ""));
            let Some(name) = names.iter().find(|&&name| name == key) else { continue };
            if part.find(name).is_some() {
                return Err(ImportError::RepeatedField { place: Place::Line(line), field: (*name).to_owned() });
            }
            part.fields.push((name, Field { name, line, text }));
        }
        Ok(part)
    }

    pub(super) fn find(&self, name: &str) -> Option<Field<'a>> {
        self.fields.iter().find(|(other, _)| *other == name).map(|(_, field)| *field)
    }

    pub(super) fn need(&self, name: &'static str) -> Result<Field<'a>, ImportError> {
        self.find(name).ok_or(ImportError::MissingField { place: Place::Line(self.line), field: name })
    }
}

impl Field<'_> {
    pub(super) fn whole<T: FromStr>(&self, expected: &'static str) -> Result<T, ImportError> {
        self.text.parse().map_err(|_| value_error(self.line, self.name, 0, expected, self.text))
    }

    /// The values of a list of `n`, separated by spaces. Memory grows with the text, not with `n`.
    pub(super) fn list<T>(
        &self,
        n: usize,
        expected: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>, ImportError> {
        let words = self.text.split_ascii_whitespace();
        let found = words.clone().count();
        if found != n {
            return Err(ImportError::Count { place: Place::Line(self.line), field: self.name, found, expected: n });
        }
        let read = |(at, text)| parse(text).ok_or_else(|| value_error(self.line, self.name, at, expected, text));
        words.enumerate().map(read).collect()
    }
}

impl ImportError {
    pub(super) fn unexpected(line: usize, expected: &'static str, found: &str) -> Self {
        Self::Unexpected { place: Place::Line(line), expected, found: beginning(found) }
    }
}

pub(super) fn value_error(
    line: usize,
    field: &'static str,
    at: usize,
    expected: &'static str,
    found: &str,
) -> ImportError {
    ImportError::Value { place: Place::Line(line), field, at, expected, found: beginning(found) }
}
