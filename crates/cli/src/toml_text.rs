//! A TOML file with the lines on which its values stand, for messages that name them.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::failure::{Blame, Failure, Outcome, data};
use crate::input;

/// The largest file that is read.
const MAX_BYTES: u64 = 1 << 26;

/// The text of a TOML file.
pub(crate) struct TomlText<'a> {
    path: &'a Path,
    text: String,
}

impl<'a> TomlText<'a> {
    pub(crate) fn read(path: &'a Path) -> Outcome<Self> {
        let bytes = input::read(path, MAX_BYTES)?;
        let text = String::from_utf8(bytes).or_else(|error| {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = line_after(valid);
            data(format_args!("{}, line {line}: expected UTF-8, found other bytes", path.display()))
        })?;
        Ok(Self { path, text })
    }

    /// Its content; a syntax error names the line.
    pub(crate) fn parse(&self) -> Outcome<DeTable<'_>> {
        let parsed = DeTable::parse(&self.text).map_err(|error| {
            let at = error.span().unwrap_or(0..0);
            Failure::Data(anyhow::anyhow!("{}: {}", self.place(&at), error.message()))
        });
        parsed.map(Spanned::into_inner)
    }

    /// The file, and the line where something stands.
    pub(crate) fn place(&self, at: &Range<usize>) -> String {
        let before = &self.text.as_bytes()[..at.start.min(self.text.len())];
        format!("{}, line {}", self.path.display(), line_after(before))
    }

    /// A refusal of what stands somewhere.
    pub(crate) fn refuse<T>(&self, at: &Range<usize>, message: &str) -> Outcome<T> {
        data(format_args!("{}: {message}", self.place(at)))
    }

    /// A text.
    pub(crate) fn text<'t>(&self, name: &str, value: &'t Spanned<DeValue<'_>>) -> Outcome<&'t str> {
        match value.get_ref().as_str() {
            Some(text) => Ok(text),
            None => self.expected(name, "a text", value),
        }
    }

    /// A finite number, whole or not.
    pub(crate) fn number(&self, name: &str, value: &Spanned<DeValue<'_>>) -> Outcome<f64> {
        let text = match value.get_ref() {
            DeValue::Integer(number) if number.radix() == 10 => number.as_str(),
            DeValue::Float(number) => number.as_str(),
            _ => return self.expected(name, "a number", value),
        };
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(number),
            _ => self.expected(name, "a finite number", value),
        }
    }

    /// A table.
    pub(crate) fn table<'t, 'i>(&self, name: &str, value: &'t Spanned<DeValue<'i>>) -> Outcome<&'t DeTable<'i>> {
        match value.get_ref().as_table() {
            Some(table) => Ok(table),
            None => self.expected(name, "a table", value),
        }
    }

    /// The values of a list.
    pub(crate) fn list<'t, 'i>(
        &self,
        name: &str,
        value: &'t Spanned<DeValue<'i>>,
    ) -> Outcome<&'t [Spanned<DeValue<'i>>]> {
        match value.get_ref().as_array() {
            Some(array) => Ok(array),
            None => self.expected(name, "a list", value),
        }
    }

    /// A refusal of a value of the wrong kind.
    pub(crate) fn expected<T>(&self, name: &str, what: &str, value: &Spanned<DeValue<'_>>) -> Outcome<T> {
        let found = value.get_ref().type_str();
        self.refuse(&value.span(), &format!("{name}: expected {what}, found a value of type {found}"))
    }

    /// A refusal of a name that means nothing here.
    pub(crate) fn unknown<T>(&self, name: &Spanned<std::borrow::Cow<'_, str>>, known: &str) -> Outcome<T> {
        self.refuse(&name.span(), &format!("expected {known}, found {}", name.get_ref()))
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        self.path
    }
}

/// Number of the line that comes behind some bytes.
fn line_after(bytes: &[u8]) -> usize {
    bytes.split(|&byte| byte == b'\n').count()
}

/// Lines of a file of identifiers: trimmed, empty ones left out.
pub(crate) fn lines(path: &Path) -> Outcome<Vec<String>> {
    let text = String::from_utf8(input::read(path, MAX_BYTES)?)
        .map_err(|error| anyhow::anyhow!("{}: {}", path.display(), error.utf8_error()))
        .bad_data()?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}
