//! One spelling of an identifier: the text itself where it has it already, or one that was made, in a place of its own on the
//! stack. So that reading an order allocates nothing.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

/// Bytes of a text that is made without allocating: those of the longest e-mail address that can be sent to (RFC 5321).
pub const ROOM: usize = 254;

/// A text that is given or made. Reads as a `str`.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "its place on the stack is what it is for")]
pub enum Spelling<'a> {
    /// As it was given.
    Given(&'a str),
    /// Another text.
    Made(Made),
}

/// A text that grows; only one of more than [`ROOM`] bytes is on the heap.
#[derive(Clone)]
pub struct Made {
    bytes: [u8; ROOM],
    len: usize,
    /// All of the text, once it is longer.
    long: Option<String>,
}

impl Made {
    /// An empty text.
    pub fn new() -> Self {
        Self { bytes: [0; ROOM], len: 0, long: None }
    }

    /// Its length in bytes; unlike that of the text, without looking at the text.
    pub fn len(&self) -> usize {
        self.long.as_ref().map_or(self.len, String::len)
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The text from byte `from` on.
    ///
    /// # Panics
    /// If `from` is not between two characters: a caller's bug.
    pub fn tail(&self, from: usize) -> &str {
        match &self.long {
            Some(long) => &long[from..],
            None => std::str::from_utf8(&self.bytes[from..self.len]).expect("cut between characters"),
        }
    }

    /// Appends a text.
    pub fn push_str(&mut self, more: &str) {
        if let Some(long) = &mut self.long {
            long.push_str(more);
        } else if let Some(free) = self.bytes.get_mut(self.len..self.len + more.len()) {
            free.copy_from_slice(more.as_bytes());
            self.len += more.len();
        } else {
            let mut long = String::with_capacity(2 * (self.len + more.len()));
            long.push_str(self);
            long.push_str(more);
            self.long = Some(long);
        }
    }

    /// Appends a character.
    pub fn push(&mut self, c: char) {
        self.push_str(c.encode_utf8(&mut [0; 4]));
    }

    /// Cuts the text.
    ///
    /// # Panics
    /// If `len` is not between two characters: a caller's bug.
    pub fn truncate(&mut self, len: usize) {
        if let Some(long) = &mut self.long {
            long.truncate(len);
        } else if len < self.len {
            assert!(self.bytes[len] & 0xc0 != 0x80, "cut between characters");
            self.len = len;
        }
    }

    /// Makes ASCII letters from byte `from` on lower case.
    pub fn make_ascii_lowercase(&mut self, from: usize) {
        match &mut self.long {
            Some(long) => long[from..].make_ascii_lowercase(),
            None => self.bytes[from..self.len].make_ascii_lowercase(),
        }
    }
}

impl Default for Made {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for Made {
    type Target = str;

    fn deref(&self) -> &str {
        match &self.long {
            Some(long) => long,
            None => std::str::from_utf8(&self.bytes[..self.len])
                .expect("whole texts were appended, and cut between characters"),
        }
    }
}

impl fmt::Debug for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl fmt::Write for Made {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        self.push_str(more);
        Ok(())
    }
}

impl Deref for Spelling<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Given(text) => text,
            Self::Made(made) => made,
        }
    }
}

impl AsRef<str> for Spelling<'_> {
    fn as_ref(&self) -> &str {
        self
    }
}

impl PartialEq for Made {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl PartialEq<&str> for Made {
    fn eq(&self, other: &&str) -> bool {
        **self == **other
    }
}

impl PartialEq for Spelling<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl PartialEq<&str> for Spelling<'_> {
    fn eq(&self, other: &&str) -> bool {
        **self == **other
    }
}

impl<'a> From<Spelling<'a>> for Cow<'a, str> {
    fn from(spelling: Spelling<'a>) -> Self {
        match spelling {
            Spelling::Given(text) => Cow::Borrowed(text),
            Spelling::Made(made) => Cow::Owned((*made).to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn grows_as_a_string_does(parts in prop::collection::vec((".{0,90}", any::<u16>()), 0..8)) {
            let (mut made, mut string) = (Made::new(), String::new());
            for (part, cut) in parts {
                if cut % 4 == 0 {
                    let at = usize::from(cut) % (string.len() + 1);
                    let at = (0..=at).rev().find(|&at| string.is_char_boundary(at)).unwrap();
                    made.truncate(at);
                    string.truncate(at);
                }
                let from = string.len();
                made.push_str(&part);
                string.push_str(&part);
                if cut % 3 == 0 {
                    made.make_ascii_lowercase(from);
                    string[from..].make_ascii_lowercase();
                }
                made.push('ż');
                string.push('ż');
                prop_assert_eq!(&*made, string.as_str());
                prop_assert_eq!((made.len(), made.tail(from)), (string.len(), &string[from..]));
            }
        }
    }
}
