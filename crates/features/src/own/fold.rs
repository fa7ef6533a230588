//! The words of a text without case, diacritics and punctuation: what addresses and names are compared by.
//!
//! A word is a run of letters or a run of digits: `12b` is two words, so that it meets `12 b`. Apostrophes are dropped
//! inside words (`O'Brien` is one word). Latin letters lose their diacritics, composed or not; letters of other scripts
//! become lower case and stay as they are otherwise.

use std::ops::ControlFlow;

/// Where the words go.
pub(super) trait Sink {
    /// More letters or digits (UTF-8, folded) of the word that is being read.
    fn push(&mut self, part: &str);
    /// The same for ASCII letters or digits of either case.
    fn push_ascii(&mut self, part: &[u8]);
    /// The word is complete. `Break` when no more words are wanted.
    fn end_word(&mut self) -> ControlFlow<()>;
}

/// What one character is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Letter,
    Digit,
    /// Between words.
    Other,
    /// Passed over inside words: apostrophes, and diacritics that are characters of their own.
    Silent,
}

/// The kinds of the ASCII characters.
const ASCII: [Kind; 128] = {
    let mut kinds = [Kind::Other; 128];
    let mut byte = 0;
    while byte < 128 {
        kinds[byte as usize] = match byte {
            b'a'..=b'z' | b'A'..=b'Z' => Kind::Letter,
            b'0'..=b'9' => Kind::Digit,
            b'\'' | b'`' => Kind::Silent,
            _ => Kind::Other,
        };
        byte += 1;
    }
    kinds
};

fn kind_of(c: char) -> Kind {
    match c {
        '\u{2019}' | '\u{300}'..='\u{36f}' => Kind::Silent,
        _ if c.is_ascii() => ASCII[c as usize],
        _ if c.is_numeric() => Kind::Digit,
        _ if c.is_alphabetic() => Kind::Letter,
        _ => Kind::Other,
    }
}

/// Reads the words of a text from left to right.
pub(super) fn words(text: &str, sink: &mut impl Sink) {
    let bytes = text.as_bytes();
    let mut inside = Kind::Other;
    let mut at = 0;
    while at < bytes.len() {
        // Runs of one kind of ASCII characters go over whole; most texts are nothing else.
        let start = at;
        let first = bytes[at];
        let (kind, beyond) = if first.is_ascii() {
            let kind = ASCII[usize::from(first)];
            while at < bytes.len() && bytes[at].is_ascii() && ASCII[usize::from(bytes[at])] == kind {
                at += 1;
            }
            (kind, None)
        } else {
            let c = text[at..].chars().next().expect("not at the end");
            at += c.len_utf8();
            (kind_of(c), Some(c))
        };
        if kind == Kind::Silent {
            continue;
        }
        if kind != inside && inside != Kind::Other && sink.end_word().is_break() {
            return;
        }
        inside = kind;
        if kind == Kind::Other {
            continue;
        }
        match beyond {
            None => sink.push_ascii(&bytes[start..at]),
            Some(c) => match latin(c) {
                Some(letters) => sink.push(letters),
                None => c.to_lowercase().for_each(|lower| sink.push(lower.encode_utf8(&mut [0; 4]))),
            },
        }
    }
    if inside != Kind::Other {
        let _ = sink.end_word();
    }
}

/// The base letters of U+00C0 to U+024F and U+1E00 to U+1EFF by the decompositions of Unicode 15 (NFKD), and for letters
/// with a stroke the letter without it. A dot: not a single base letter.
const LATIN: &str = "aaaaaa.ceeeeiiiidnooooo.ouuuuy..aaaaaa.ceeeeiiiidnooooo.ouuuuy.y\
                     aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiii..jjkkkllllll.\
                     .llnnnnnnnnnoooooo..rrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs\
                     bb.....ccdd......ffg...ikkl.....oo..pp......tt.uu..yyzz.........\
                     .............aaiioouuuuuuuuuu.aaaa..ggggkkoooo..j...gg..nnaa..oo\
                     aaaaeeeeiiiioooorrrruuuusstt..hh....zzaaeeooooooooyy......accl..\
                     ...b..eejjqqrryy";
const LATIN_ADDITIONAL: &str = "aabbbbbbccddddddddddeeeeeeeeeeffgghhhhhhhhhhiiiikkkkkkllllllllmm\
                                mmmmnnnnnnnnoooooooopppprrrrrrrrssssssssssttttttttuuuuuuuuuuvvvv\
                                wwwwwwwwwwxxxxyyzzzzzzhtwy.s...daaaaaaaaaaaaaaaaaaaaaaaaeeeeeeee\
                                eeeeeeeeiiiioooooooooooooooooooooooouuuuuuuuuuuuuuyyyyyyyy......";

/// The unaccented lower-case letters of a Latin letter beyond ASCII; `None` for all other characters.
pub(super) fn latin(c: char) -> Option<&'static str> {
    let whole = match c {
        'Æ' | 'æ' | 'Ǽ' | 'ǽ' | 'Ǣ' | 'ǣ' => "ae",
        'Œ' | 'œ' => "oe",
        'ß' | 'ẞ' => "ss",
        'Þ' | 'þ' => "th",
        'Ĳ' | 'ĳ' => "ij",
        '\u{c0}'..='\u{24f}' => base(LATIN, c as usize - 0xc0)?,
        '\u{1e00}'..='\u{1eff}' => base(LATIN_ADDITIONAL, c as usize - 0x1e00)?,
        _ => return None,
    };
    Some(whole)
}

fn base(table: &'static str, at: usize) -> Option<&'static str> {
    table.get(at..=at).filter(|&letter| letter != ".")
}

/// How many bytes of a word are kept for comparisons.
pub(super) const MAX_WORD: usize = 64;
/// How many bytes of a text are looked at for comparisons.
const MAX_READ: usize = 4_096;
/// How many bytes of its words are kept.
const MAX_BYTES: usize = 320;
/// How many words are kept.
const MAX_WORDS: usize = 32;

/// The first words of a text, at most 32 of at most 64 bytes from its first 4,096, without allocation: comparing has a
/// bounded cost whatever the text is.
pub(super) struct Words {
    bytes: [u8; MAX_BYTES],
    filled: usize,
    marks: [Word; MAX_WORDS],
    count: usize,
    /// Where the word that is being read begins.
    start: usize,
    /// What stands for a word, such as the long form of an abbreviation.
    replace: fn(&[u8]) -> Option<Replacement>,
}

/// Where a word is, and what tells it from most others at a glance.
#[derive(Clone, Copy, Default)]
pub(super) struct Word {
    start: u16,
    pub(super) len: u16,
    /// Whether it is made of digits.
    pub(super) is_number: bool,
    /// Its first 8 bytes.
    pub(super) head: u64,
    /// Set of the low six bits of its bytes.
    pub(super) letters: u64,
}

/// What a word becomes.
#[derive(Clone, Copy)]
pub(super) enum Replacement {
    /// Another word.
    Whole(&'static str),
    /// The word with something behind it.
    Append(&'static str),
}

impl Words {
    /// Reads a text; `replace` says what stands for a word, or nothing to keep it.
    pub(super) fn read(text: &str, replace: fn(&[u8]) -> Option<Replacement>) -> Self {
        let mut words =
            Self { bytes: [0; MAX_BYTES], filled: 0, marks: [Word::default(); MAX_WORDS], count: 0, start: 0, replace };
        self::words(&text[..text.floor_char_boundary(MAX_READ)], &mut words);
        words
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn words(&self) -> &[Word] {
        &self.marks[..self.count]
    }

    pub(super) fn bytes(&self, word: &Word) -> &[u8] {
        &self.bytes[usize::from(word.start)..usize::from(word.start + word.len)]
    }
}

impl Sink for Words {
    fn push(&mut self, part: &str) {
        // All of a character or nothing of it.
        if self.filled + part.len() <= MAX_BYTES.min(self.start + MAX_WORD) {
            self.bytes[self.filled..self.filled + part.len()].copy_from_slice(part.as_bytes());
            self.filled += part.len();
        }
    }

    fn push_ascii(&mut self, part: &[u8]) {
        let n = part.len().min(MAX_BYTES.min(self.start + MAX_WORD) - self.filled);
        for (to, byte) in self.bytes[self.filled..self.filled + n].iter_mut().zip(part) {
            // Sets the bit of lower case, which digits have anyway.
            *to = byte | 0x20;
        }
        self.filled += n;
    }

    fn end_word(&mut self) -> ControlFlow<()> {
        match (self.replace)(&self.bytes[self.start..self.filled]) {
            Some(Replacement::Whole(long)) => {
                self.filled = self.start;
                self.push(long);
            }
            Some(Replacement::Append(rest)) => self.push(rest),
            None => {}
        }
        let word = &self.bytes[self.start..self.filled];
        if !word.is_empty() {
            let (mut head, mut letters) = (0, 0);
            for (at, &byte) in word.iter().enumerate() {
                letters |= 1 << (byte & 63);
                if at < 8 {
                    head = head << 8 | u64::from(byte);
                }
            }
            self.marks[self.count] = Word {
                start: self.start as u16,
                len: word.len() as u16,
                is_number: word[0].is_ascii_digit(),
                head,
                letters,
            };
            self.count += 1;
        }
        self.start = self.filled;
        if self.count == MAX_WORDS || self.filled == MAX_BYTES {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<String> {
        let words = Words::read(text, |_| None);
        words.words().iter().map(|word| String::from_utf8(words.bytes(word).to_vec()).unwrap()).collect()
    }

    #[test]
    fn case_diacritics_and_punctuation_do_not_matter() {
        assert_eq!(split("  Ärztehaus, Großer-Weg 12B "), ["arztehaus", "grosser", "weg", "12", "b"]);
        assert_eq!(split("Łódź Đà Nẵng Ærø"), ["lodz", "da", "nang", "aero"]);
        assert_eq!(split("e\u{301}te\u{301} O'Brien Queen\u{2019}s"), ["ete", "obrien", "queens"]);
        assert_eq!(split("ул. Ленина 5"), ["ул", "ленина", "5"]);
        assert_eq!(split("東京都1丁目"), ["東京都", "1", "丁目"]);
        assert_eq!(split(" ,.- "), Vec::<String>::new());
    }

    #[test]
    fn every_table_letter_is_a_letter_in_its_place() {
        assert_eq!((LATIN.len(), LATIN_ADDITIONAL.len()), (0x250 - 0xc0, 0x100));
        for (c, expected) in
            [('À', "a"), ('ÿ', "y"), ('Ā', "a"), ('ſ', "s"), ('ƀ', "b"), ('ɏ', "y"), ('Ḁ', "a"), ('ỹ', "y")]
        {
            assert_eq!(latin(c), Some(expected), "{c}");
        }
        assert_eq!((latin('×'), latin('÷'), latin('a'), latin('я')), (None, None, None, None));
    }

    #[test]
    fn long_texts_are_cut_and_stay_text() {
        for text in
            ["ä".repeat(500_000), "я ".repeat(1_000), "a1".repeat(1_000), "語".repeat(100), "x".repeat(1_000_000)]
        {
            let words = split(&text);
            assert!(!words.is_empty() && words.len() <= MAX_WORDS);
            assert!(words.iter().all(|word| word.len() <= MAX_WORD));
        }
    }
}
