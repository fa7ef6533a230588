//! Postal addresses: one spelling of one address, and how alike two of them are.

use std::ops::ControlFlow;

use super::distance::Pattern;
use super::fold::{self, Replacement, Sink, Word, Words};
use super::spelling::Made;

/// The long form of the commonest abbreviations, as they stand after folding; of German street names ending in `str` too
/// (`Hauptstr.`). Where one abbreviation has several meanings (`st` is also saint) it still always becomes the same word, and
/// that is all that a spelling needs. Sources: USPS Publication 28, appendix C, and the usual ones of German, French, Spanish,
/// Italian and Polish.
fn long_form(word: &[u8]) -> Option<Replacement> {
    if word.len() > 4 {
        return word.ends_with(b"str").then_some(Replacement::Append("asse"));
    }
    let long = match word {
        b"apt" => "apartment",
        b"av" | b"ave" => "avenue",
        b"avda" => "avenida",
        b"bd" | b"blvd" | b"bvd" => "boulevard",
        b"bldg" => "building",
        b"chem" => "chemin",
        b"cir" => "circle",
        b"cres" => "crescent",
        b"cso" => "corso",
        b"ct" => "court",
        b"ctra" => "carretera",
        b"dr" => "drive",
        b"esc" => "escalera",
        b"fl" => "floor",
        b"hwy" => "highway",
        b"imp" => "impasse",
        b"ln" => "lane",
        b"mt" => "mount",
        b"pk" => "park",
        b"pkwy" => "parkway",
        b"pl" => "place",
        b"pza" => "plaza",
        b"rd" => "road",
        b"rm" => "room",
        b"rte" => "route",
        b"sq" => "square",
        b"st" => "street",
        b"sta" => "santa",
        b"ste" => "suite",
        b"sto" => "santo",
        b"str" => "strasse",
        b"ter" | b"terr" => "terrace",
        b"tpke" => "turnpike",
        b"trl" => "trail",
        b"ul" => "ulica",
        b"urb" => "urbanizacion",
        b"vle" => "viale",
        b"wy" => "way",
        _ => return None,
    };
    Some(Replacement::Whole(long))
}

/// One spelling for the ways in which the same address is written: lower case, Latin letters without diacritics,
/// anything but letters and digits is one space, abbreviations of street words in their long form, numbers first (so
/// that `Hauptstr. 5` is `5 Hauptstraße`). Numbers keep their order, and so do words. Empty where no letter or digit is.
pub fn spelling(text: &str) -> Made {
    let mut spelling = Spelling { numbers: Made::new(), words: Made::new(), start: 0 };
    fold::words(text, &mut spelling);
    let Spelling { mut numbers, words, .. } = spelling;
    if !numbers.is_empty() && !words.is_empty() {
        numbers.push(' ');
    }
    numbers.push_str(&words);
    numbers
}

struct Spelling {
    numbers: Made,
    words: Made,
    /// Where the current word begins in `words`.
    start: usize,
}

impl Sink for Spelling {
    fn push(&mut self, part: &str) {
        if self.words.len() == self.start && !self.words.is_empty() {
            self.words.push(' ');
            self.start += 1;
        }
        self.words.push_str(part);
    }

    fn push_ascii(&mut self, part: &[u8]) {
        let part = std::str::from_utf8(part).expect("ASCII letters or digits");
        let from = self.words.len();
        self.push(part);
        self.words.make_ascii_lowercase(from);
    }

    fn end_word(&mut self) -> ControlFlow<()> {
        let word = self.words.tail(self.start);
        if word.chars().next().is_some_and(char::is_numeric) {
            if !self.numbers.is_empty() {
                self.numbers.push(' ');
            }
            self.numbers.push_str(word);
            self.words.truncate(self.start.saturating_sub(1));
        } else {
            match long_form(word.as_bytes()) {
                Some(Replacement::Whole(long)) => {
                    self.words.truncate(self.start);
                    self.words.push_str(long);
                }
                Some(Replacement::Append(rest)) => self.words.push_str(rest),
                None => {}
            }
        }
        self.start = self.words.len();
        ControlFlow::Continue(())
    }
}

/// How alike two addresses are, 0 (no word in common) to 1 (the same words); NaN when one has no words.
///
/// Each word of either address is given its best partner in the other: 1 for the same word, 1 - edits / length for words
/// of letters that differ in at most a quarter of their letters, 0 otherwise (numbers are equal or not). The result is
/// the mean over the words of both. Words are those of [`spelling`], the first 32 of each address, 64 letters of each.
///
/// # Reference
/// Monge and Elkan: The field matching problem (1996), made symmetric.
pub fn similarity(a: &str, b: &str) -> f32 {
    of_words(&Words::read(a, long_form), &Words::read(b, long_form))
}

/// The same for texts that are no addresses: abbreviations stay as they are.
pub(super) fn similarity_of_texts(a: &str, b: &str) -> f32 {
    of_words(&Words::read(a, |_| None), &Words::read(b, |_| None))
}

fn of_words(a: &Words, b: &Words) -> f32 {
    if a.len() == 0 || b.len() == 0 {
        return f32::NAN;
    }
    // Lengths are at most 32 each, so that partners fit on the stack.
    let (mut best_of_a, mut best_of_b) = ([0.0_f64; 32], [0.0_f64; 32]);
    for (word, best) in a.words().iter().zip(&mut best_of_a) {
        for (other, other_best) in b.words().iter().zip(&mut best_of_b) {
            let same = (word.head, word.len) == (other.head, other.len) && a.bytes(word) == b.bytes(other);
            if same {
                (*best, *other_best) = (1.0, 1.0);
            }
        }
    }
    for (word, best) in a.words().iter().zip(&mut best_of_a).filter(|(_, best)| **best < 1.0) {
        let mut pattern = None;
        for (other, other_best) in b.words().iter().zip(&mut best_of_b) {
            if may_be_alike(word, other) {
                let pattern = pattern.get_or_insert_with(|| Pattern::new(a.bytes(word)));
                let similarity = pattern.similarity([b.bytes(other), &[]]);
                if similarity >= ALIKE {
                    *best = best.max(similarity);
                    *other_best = other_best.max(similarity);
                }
            }
        }
    }
    let sum = best_of_a[..a.len()].iter().sum::<f64>() + best_of_b[..b.len()].iter().sum::<f64>();
    (sum / (a.len() + b.len()) as f64) as f32
}

/// From which similarity on two different words are taken for two spellings of one.
const ALIKE: f64 = 0.75;

/// Whether two different words can be within [`ALIKE`]: cheap, and never false for a pair that is.
fn may_be_alike(a: &Word, b: &Word) -> bool {
    let most_edits = u32::from(a.len.max(b.len)) / 4;
    // One edit changes at most two members of the set of letters.
    !a.is_number
        && !b.is_number
        && most_edits > 0
        && u32::from(a.len.abs_diff(b.len)) <= most_edits
        && (a.letters ^ b.letters).count_ones() <= 2 * most_edits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ways_to_write_an_address_meet() {
        for (a, b) in [
            ("5, Main St.", "5 main street"),
            ("Hauptstr. 5", "Hauptstraße 5"),
            ("Haupt-Str. 5", "5, Haupt Strasse"),
            ("12b Elm Ave", "12 B, ELM AVENUE"),
            ("10 Bd Saint-Michel", "10, boulevard Saint Michel"),
            ("Calle Cañón 3", "calle canon 3"),
            ("1 Queen's Rd", "1 Queens Road"),
        ] {
            assert_eq!(spelling(a), spelling(b));
            assert_eq!(similarity(a, b), 1.0, "{a}");
        }
        assert_eq!(spelling("Apt 4, 12 Main St"), "4 12 apartment main street");
        assert_eq!(spelling("5 Main St"), "5 main street");
        assert_ne!(spelling("5 Main St"), spelling("6 Main St"));
        assert_ne!(spelling("5 Main St, flat 7"), spelling("7 Main St, flat 5"), "numbers keep their order");
        assert_eq!((&*spelling(" - "), &*spelling("12"), &*spelling("Elm")), ("", "12", "elm"));
        assert!(similarity("", "5 Main St").is_nan() && similarity("5 Main St", "--").is_nan());
    }

    #[test]
    fn likeness_falls_with_what_differs() {
        let address = "12 Wellington Street, Springfield";
        let scores = [
            "12 Welington St Springfield",
            "14 Wellington Street, Springfield",
            "12 Oak Lane, Springfield",
            "99 Elm Rd, Ohio",
        ]
        .map(|other| similarity(address, other));
        assert!(scores.is_sorted_by(|a, b| a > b) && scores[0] > 0.95 && scores[3] == 0.0, "{scores:?}");
    }

    /// The definition, without shortcuts.
    fn naive(a: &str, b: &str) -> f32 {
        let words = |text: &str| -> Vec<String> {
            spelling(text).split(' ').filter(|w| !w.is_empty()).map(str::to_owned).collect()
        };
        let (a, b) = (words(a), words(b));
        let alike = |x: &str, y: &str| {
            let similarity = strsim::normalized_levenshtein(x, y);
            let number = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
            if x == y {
                1.0
            } else if number(x) || number(y) || similarity < 0.75 {
                0.0
            } else {
                similarity
            }
        };
        let best = |of: &[String], among: &[String]| -> f64 {
            of.iter().map(|x| among.iter().map(|y| alike(x, y)).fold(0.0, f64::max)).sum()
        };
        ((best(&a, &b) + best(&b, &a)) / (a.len() + b.len()) as f64) as f32
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(a in "([a-c]{1,9}|[0-9]{1,2}|st|hauptstr)( ([a-c]{1,9}|[0-9]{1,2}|ave)){0,7}",
                                      b in "([a-c]{1,9}|[0-9]{1,2}|st|hauptstr)( ([a-c]{1,9}|[0-9]{1,2}|ave)){0,7}") {
            let score = similarity(&a, &b);
            prop_assert!((score - naive(&a, &b)).abs() < 1e-6, "{} {}", score, naive(&a, &b));
        }

        #[test]
        fn any_text_has_a_spelling_that_stays(text in "\\PC{0,60}") {
            let once = spelling(&text);
            prop_assert_eq!(similarity(&text, &text).is_nan(), once.is_empty());
            prop_assert!(!once.starts_with(' ') && !once.ends_with(' ') && !once.contains("  "));
        }
    }
}
