//! A training parameter outside its range.

use std::fmt;

/// A parameter that cannot be used: which one, what was found, what is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamError {
    /// Name of the parameter, as in the parameter struct.
    pub name: &'static str,
    /// The value found, as text.
    pub found: String,
    /// The allowed range in words, such as `(0, 1]`.
    pub range: &'static str,
}

impl ParamError {
    /// An error for `name`, whose value `found` lies outside `range`.
    pub fn out_of_range(name: &'static str, found: impl fmt::Display, range: &'static str) -> Self {
        Self { name, found: found.to_string(), range }
    }
}

impl fmt::Display for ParamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "parameter {}: expected {}, found {}", self.name, self.range, self.found)
    }
}

impl std::error::Error for ParamError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_where_expected_found() {
        let error = ParamError::out_of_range("learning_rate", 1.5, "(0, 1]");
        assert_eq!(error.to_string(), "parameter learning_rate: expected (0, 1], found 1.5");
    }
}
