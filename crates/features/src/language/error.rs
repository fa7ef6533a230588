//! Where a text fails, what was expected there, and which known word is near.

use std::fmt;

/// A feature text that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureError {
    /// The text.
    pub text: String,
    /// Byte offset of the first character that does not fit.
    pub at: usize,
    /// What was expected there.
    pub expected: String,
    /// The known word that is nearest to what was found, if any is near.
    pub suggestion: Option<String>,
}

impl FeatureError {
    /// Position of the first character that does not fit, counted in characters from 1.
    pub fn character(&self) -> usize {
        self.text[..self.at].chars().count() + 1
    }

    /// The text, and below it a caret under the first character that does not fit.
    pub fn caret(&self) -> String {
        caret(&self.text, self.at)
    }
}

/// A text on one line, and below it a caret under the character at a byte offset.
pub(super) fn caret(text: &str, at: usize) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("{line}\n{:width$}^", "", width = text[..at].chars().count())
}

impl fmt::Display for FeatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "feature {:?}, character {}: expected {}", self.text, self.character(), self.expected)?;
        self.suggestion.as_ref().map_or(Ok(()), |word| write!(f, "; did you mean `{word}`?"))
    }
}

impl std::error::Error for FeatureError {}

/// The candidate that is nearest to a word, if it takes few enough slips of the keyboard to get there (a third of the
/// word's length, at least one; letter case is free). Of equally near ones, the first.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let n_chars = word.chars().count();
    // The distance costs the product of the lengths; nobody mistypes a name of hundreds of characters.
    if n_chars == 0 || n_chars > 200 {
        return None;
    }
    let most = (n_chars / 3).max(1);
    let distance = |candidate: &str| strsim::damerau_levenshtein(&word, &candidate.to_lowercase());
    let candidates = candidates.into_iter().filter(|c| c.chars().count() <= n_chars + most);
    candidates.map(|c| (distance(c), c)).filter(|(d, _)| *d <= most).min_by_key(|(d, _)| *d).map(|(_, c)| c)
}
