//! `report.json`: written so that people can read it too, and read back.

use std::fmt;
use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::Formatter;

use super::{Report, SCHEMA_VERSION};

impl Report {
    /// The report as JSON text ending with a newline: members indented by two spaces, one line for each item of a list.
    /// Numbers that are not finite become null.
    pub fn to_json(&self) -> String {
        let mut bytes = Vec::new();
        let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, Layout::default());
        self.serialize(&mut serializer).expect("plain data with text keys always serialises into memory");
        bytes.push(b'\n');
        String::from_utf8(bytes).expect("serde_json writes UTF-8")
    }

    /// Reads what [`Report::to_json`] wrote; members it does not know are skipped.
    ///
    /// # Errors
    /// [`ReportError::UnsupportedVersion`] and [`ReportError::Malformed`].
    pub fn from_json(text: &str) -> Result<Self, ReportError> {
        #[derive(serde::Deserialize)]
        struct Version {
            schema_version: u32,
        }
        let malformed = |error: serde_json::Error| ReportError::Malformed {
            line: error.line(),
            column: error.column(),
            reason: error.to_string(),
        };
        // The version is looked at first: a newer report may differ in any other member.
        let Version { schema_version: found } = serde_json::from_str(text).map_err(malformed)?;
        if found != SCHEMA_VERSION {
            return Err(ReportError::UnsupportedVersion { found, expected: SCHEMA_VERSION });
        }
        serde_json::from_str(text).map_err(malformed)
    }
}

/// A text that is not a report of this version.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReportError {
    /// The layout is of another version.
    UnsupportedVersion {
        /// `schema_version` of the text.
        found: u32,
        /// The version this program reads.
        expected: u32,
    },
    /// Not JSON, or a member is absent or of the wrong kind.
    Malformed {
        /// Line of the text, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong.
        reason: String,
    },
}

impl fmt::Display for ReportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnsupportedVersion { found, expected } => {
                write!(f, "report: expected schema_version {expected}, found {found}")
            }
            Self::Malformed { line, column, reason } => write!(f, "report, line {line}, column {column}: {reason}"),
        }
    }
}

impl std::error::Error for ReportError {}

/// Objects are spread over lines down to the items of a list; each item stands on one line.
#[derive(Default)]
struct Layout {
    depth: usize,
    lists: usize,
    /// Whether the object or list that ends next holds anything.
    filled: bool,
}

impl Layout {
    fn new_line<W: ?Sized + Write>(&self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b"\n")?;
        (0..self.depth).try_for_each(|_| writer.write_all(b"  "))
    }
}

impl Formatter for Layout {
    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.lists += 1;
        self.depth += 1;
        self.filled = false;
        writer.write_all(b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.lists -= 1;
        self.depth -= 1;
        if self.lists == 0 && self.filled {
            self.new_line(writer)?;
        }
        writer.write_all(b"]")
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, _writer: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if !first {
            writer.write_all(b",")?;
        }
        if self.lists == 1 {
            return self.new_line(writer);
        }
        if first { Ok(()) } else { writer.write_all(b" ") }
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth += 1;
        self.filled = false;
        writer.write_all(b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth -= 1;
        if self.lists == 0 && self.filled {
            self.new_line(writer)?;
        }
        writer.write_all(b"}")
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, _writer: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if !first {
            writer.write_all(b",")?;
        }
        if self.lists == 0 {
            return self.new_line(writer);
        }
        if first { Ok(()) } else { writer.write_all(b" ") }
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Feature, Leak};

    #[test]
    fn items_of_a_list_stand_on_one_line_each() {
        let mut bytes = Vec::new();
        let value = serde_json::json!({"a": {"b": [], "c": [{"d": 1, "e": [1, 2]}, {"d": 2, "e": {}}]}, "f": {}});
        value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, Layout::default())).unwrap();
        let expected = "{\n  \"a\": {\n    \"b\": [],\n    \"c\": [\n      {\"d\": 1, \"e\": [1, 2]},\n      {\"d\": 2, \"e\": {}}\n    ]\n  },\n  \"f\": {}\n}";
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }

    #[test]
    fn what_is_not_finite_becomes_null() {
        let mut report = Report::default();
        report.features.push(Feature { name: "amount".into(), importance: f64::NAN });
        let text = report.to_json();
        assert!(text.contains("\"importance\": null"), "{text}");
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
    }

    #[test]
    fn refuses_other_versions_and_other_texts() {
        let newer = Report { schema_version: 2, ..Report::default() }.to_json();
        let error = Report::from_json(&newer).unwrap_err();
        assert_eq!(error.to_string(), "report: expected schema_version 1, found 2");
        let error = Report::from_json("{\n").unwrap_err();
        assert!(error.to_string().starts_with("report, line 2, column 0: EOF"), "{error}");
        assert!(matches!(Report::from_json("{\"schema_version\": 1}"), Err(ReportError::Malformed { .. })));
    }

    #[test]
    fn members_it_does_not_know_are_skipped() {
        let mut report = Report::default();
        report.leaks.push(Leak { column: "c".into(), reason: "\"quoted\"\n".into(), kept: false });
        let text = report.to_json().replacen('{', "{\"later\": [1, {\"x\": null}],", 1);
        assert_eq!(Report::from_json(&text), Ok(report));
    }
}
