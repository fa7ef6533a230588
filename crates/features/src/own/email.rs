//! E-mail addresses: syntax, domain, one spelling per mailbox, likeness to a name.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::distance::Pattern;
use super::fold::{Word, Words};
use super::spelling::{Made, Spelling};

/// Longest address (RFC 5321, section 4.5.3.1.3, less the two angle brackets).
const MAX_ADDRESS: usize = 254;
/// Longest local part (section 4.5.3.1.1).
const MAX_LOCAL: usize = 64;
/// Longest domain as text (RFC 1035, section 2.3.4, less the length bytes at both ends).
const MAX_DOMAIN: usize = 253;

/// The two parts of an address, as they were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Email<'a> {
    /// Before the last `@`.
    pub local: &'a str,
    /// Behind it.
    pub domain: &'a str,
}

impl<'a> Email<'a> {
    /// Cuts a text at its last `@`; `None` when there is none or nothing before or behind it. Not yet a valid address.
    pub fn split(text: &'a str) -> Option<Self> {
        let (local, domain) = text.trim().rsplit_once('@')?;
        (!local.is_empty() && !domain.is_empty()).then_some(Self { local, domain })
    }

    /// Whether mail servers would take the address: the `Mailbox` of RFC 5321 without comments and folded white space,
    /// with letters beyond ASCII as of RFC 6531. The domain has two labels at least, or is an address literal.
    pub fn is_valid(self) -> bool {
        self.local.len() + 1 + self.domain.len() <= MAX_ADDRESS
            && self.local.len() <= MAX_LOCAL
            && (is_dot_atom(self.local) || is_quoted(self.local))
            && (is_domain(self.domain) || is_literal(self.domain))
    }

    /// The local part without what stands behind a plus sign: `ann+shop@…` reaches the mailbox of `ann@…`.
    pub fn mailbox(self) -> &'a str {
        match self.local.split_once('+') {
            Some((mailbox, _)) if !mailbox.is_empty() => mailbox,
            _ => self.local,
        }
    }
}

fn is_dot_atom(local: &str) -> bool {
    // RFC 5322, section 3.2.3, `atext`; RFC 6531 adds everything beyond ASCII, of which controls and spaces never pass.
    let atom = |c: char| match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' => true,
        _ if c.is_ascii() => "!#$%&'*+-/=?^_`{|}~".contains(c),
        _ => !c.is_control() && !c.is_whitespace(),
    };
    let mut previous = '.';
    for c in local.chars() {
        if !(atom(c) || c == '.' && previous != '.') {
            return false;
        }
        previous = c;
    }
    previous != '.'
}

fn is_quoted(local: &str) -> bool {
    let Some(inside) = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return false };
    let mut chars = inside.chars();
    while let Some(c) = chars.next() {
        let allowed = match c {
            '\\' => chars.next().is_some_and(|next| matches!(next, ' '..='~')),
            '"' => false,
            _ => c == ' ' || !c.is_control() && !c.is_whitespace(),
        };
        if !allowed {
            return false;
        }
    }
    true
}

/// Whether a text is a domain name with at least two labels of letters, digits and inner hyphens (RFC 5321, section
/// 4.1.2; letters beyond ASCII by RFC 6531), the last of them not all digits (RFC 3696, section 2).
pub(super) fn is_domain(domain: &str) -> bool {
    let mut n_labels = 0;
    let mut last_is_number = false;
    let well_formed = domain.len() <= MAX_DOMAIN
        && domain.split('.').all(|label| {
            n_labels += 1;
            last_is_number = label.bytes().all(|byte| byte.is_ascii_digit());
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| c == '-' || c.is_alphanumeric() || !c.is_ascii() && is_mark(c))
        });
    well_formed && n_labels >= 2 && !last_is_number
}

/// Characters beyond ASCII that names in some scripts need beside letters: anything but spaces and controls.
fn is_mark(c: char) -> bool {
    !c.is_whitespace() && !c.is_control()
}

fn is_literal(domain: &str) -> bool {
    let Some(inside) = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) else { return false };
    match inside.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("ipv6:") => inside[5..].parse::<Ipv6Addr>().is_ok(),
        _ => inside.parse::<Ipv4Addr>().is_ok(),
    }
}

/// A domain in lower case, without a dot at its end, on the stack; `None` where it is no domain name.
pub(super) struct Domain {
    bytes: [u8; MAX_DOMAIN],
    len: usize,
}

impl Domain {
    pub(super) fn new(domain: &str) -> Option<Self> {
        let domain = domain.strip_suffix('.').unwrap_or(domain);
        if !is_domain(domain) {
            return None;
        }
        let mut lower = Self { bytes: [0; MAX_DOMAIN], len: 0 };
        if domain.is_ascii() {
            lower.len = domain.len();
            lower.bytes[..lower.len].copy_from_slice(domain.as_bytes());
            lower.bytes[..lower.len].make_ascii_lowercase();
        } else {
            for c in domain.chars().flat_map(char::to_lowercase) {
                let end = lower.len + c.len_utf8();
                c.encode_utf8(lower.bytes.get_mut(lower.len..end)?);
                lower.len = end;
            }
        }
        Some(lower)
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).expect("made of whole characters only")
    }

    /// The domain that somebody registered, by the public suffix list of the `psl` crate: `mail.shop.co.uk` is
    /// `shop.co.uk`. A domain that is itself a public suffix stays whole.
    fn registrable(&self) -> &str {
        psl::domain_str(self.as_str()).unwrap_or(self.as_str())
    }
}

/// The registrable domain of an address, in lower case; `None` where the text has none (no `@`, an address literal).
///
/// ```
/// use orderguard_features::own::email::email_domain;
/// assert_eq!(email_domain("Ann@Mail.Shop.co.uk").as_deref(), Some("shop.co.uk"));
/// ```
pub fn email_domain(text: &str) -> Option<Spelling<'_>> {
    let email = Email::split(text)?;
    let domain = Domain::new(email.domain)?;
    let registrable = domain.registrable();
    // Written in lower case already, it is the end of the text.
    if let Some(start) = email.domain.len().checked_sub(registrable.len())
        && let Some(tail) = email.domain.get(start..)
        && tail == registrable
    {
        return Some(Spelling::Given(tail));
    }
    let mut made = Made::new();
    made.push_str(registrable);
    Some(Spelling::Made(made))
}

/// One spelling for the ways to write the address of one mailbox: lower case, no `+tag`, and for Google's mail, which
/// documents that it ignores dots and has two domains, neither dots nor `googlemail.com`. A text that is no address is in
/// lower case.
pub fn spelling(text: &str) -> Spelling<'_> {
    let text = text.trim();
    let Some(email) = Email::split(text) else { return lower(text) };
    let domain = email.domain.strip_suffix('.').unwrap_or(email.domain);
    let google = domain.eq_ignore_ascii_case("gmail.com") || domain.eq_ignore_ascii_case("googlemail.com");
    let mailbox = email.mailbox();
    if google && (mailbox.contains('.') || domain.len() != "gmail.com".len()) && mailbox.contains(|c| c != '.') {
        let mut spelling = Made::new();
        mailbox.chars().filter(|&c| c != '.').flat_map(char::to_lowercase).for_each(|c| spelling.push(c));
        spelling.push_str("@gmail.com");
        return Spelling::Made(spelling);
    }
    if mailbox.len() == email.local.len() && domain.len() == email.domain.len() {
        return lower(text);
    }
    Spelling::Made(lower_of(&[mailbox, "@", domain]))
}

fn lower(text: &str) -> Spelling<'_> {
    if text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        Spelling::Given(text)
    } else {
        Spelling::Made(lower_of(&[text]))
    }
}

/// Parts of a text, one behind the other, in lower case.
fn lower_of(parts: &[&str]) -> Made {
    let mut lower = Made::new();
    if parts.iter().any(|part| part.contains('Σ')) {
        // The one letter whose lower case depends on what stands around it.
        lower.push_str(&parts.concat().to_lowercase());
        return lower;
    }
    for part in parts {
        if part.is_ascii() {
            let from = lower.len();
            lower.push_str(part);
            lower.make_ascii_lowercase(from);
        } else {
            part.chars().flat_map(char::to_lowercase).for_each(|c| lower.push(c));
        }
    }
    lower
}

/// How well a local part fits a person's name, 0 to 1; NaN when the name has no letters or the text is no address.
///
/// The letters of the mailbox (no `+tag`, digits, dots; first 64) are compared with the ways in which people form
/// addresses from the first and last word of their name: first, last, both in either order, one of them with the other's
/// initial before or behind it, and the whole name. The result is the best 1 - edits / length of the longer text.
pub fn similarity_to_name(email: &str, name: &str) -> f32 {
    let Some(email) = Email::split(email) else { return f32::NAN };
    let name = Words::read(name, |_| None);
    let is_letters = |word: &&Word| !word.is_number;
    let mut name_words = name.words().iter().filter(is_letters);
    let Some(first) = name_words.next() else { return f32::NAN };
    let last = name_words.next_back();

    let mut letters = [0; MAX_LOCAL];
    let mailbox = Words::read(email.mailbox(), |_| None);
    let n_letters = join(mailbox.words().iter().filter(is_letters).map(|word| mailbox.bytes(word)), &mut letters);
    if n_letters == 0 {
        return 0.0;
    }
    let pattern = Pattern::new(&letters[..n_letters]);
    let missing = !mailbox.words().iter().filter(is_letters).fold(0, |set, word| set | word.letters);
    let mut best = 0.0_f64;
    // The likeliest forms come first: once one fits well, the others cannot do better and need no look.
    let mut compare = |a: &[u8], b: &[u8], set: u64| {
        let n = a.len() + b.len();
        let fewest_edits = n.abs_diff(n_letters).max((set & missing).count_ones() as usize);
        if 1.0 - fewest_edits as f64 / n.max(n_letters) as f64 > best {
            best = best.max(pattern.similarity([a, b]));
        }
    };
    let Some(last) = last else {
        compare(name.bytes(first), &[], first.letters);
        return best as f32;
    };
    let ((first, first_set), (last, last_set)) = ((name.bytes(first), first.letters), (name.bytes(last), last.letters));
    compare(first, last, first_set | last_set);
    compare(initial(first), last, last_set);
    compare(first, &[], first_set);
    compare(last, &[], last_set);
    compare(first, initial(last), first_set);
    compare(last, first, first_set | last_set);
    compare(initial(last), first, first_set);
    compare(last, initial(first), last_set);
    if name.words().len() > 2 {
        let mut whole = [0; 2 * MAX_LOCAL];
        let n = join(name.words().iter().filter(is_letters).map(|word| name.bytes(word)), &mut whole);
        compare(&whole[..n], &[], 0);
    }
    best as f32
}

/// The first character of a word.
fn initial(word: &[u8]) -> &[u8] {
    let n = (1..word.len()).find(|&at| !(0x80..0xc0).contains(&word[at])).unwrap_or(word.len());
    &word[..n]
}

/// Writes words one behind the other as far as there is room, and says how much.
fn join<'a>(words: impl Iterator<Item = &'a [u8]>, out: &mut [u8]) -> usize {
    let mut filled = 0;
    for word in words {
        let n = word.len().min(out.len() - filled);
        out[filled..filled + n].copy_from_slice(&word[..n]);
        filled += n;
    }
    filled
}

/// How alike two addresses are: 1 for one mailbox, else 1 - edits / length of the local parts, halved where the
/// registrable domains differ. NaN when one is no address.
pub fn similarity(a: &str, b: &str) -> f32 {
    let (a, b) = (spelling(a), spelling(b));
    let (Some(left), Some(right)) = (Email::split(&a), Email::split(&b)) else { return f32::NAN };
    let pattern = Pattern::new(left.local.as_bytes());
    let local = pattern.similarity([&right.local.as_bytes()[..right.local.len().min(MAX_LOCAL)]]);
    let last = |email: Email<'_>| email.domain.bytes().next_back();
    let one_domain = left.domain == right.domain
        || last(left) == last(right) && email_domain(&a).is_some_and(|domain| Some(domain) == email_domain(&b));
    (if one_domain { local } else { local / 2.0 }) as f32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn valid(text: &str) -> bool {
        Email::split(text).is_some_and(Email::is_valid)
    }

    #[test]
    fn syntax_of_addresses() {
        let long_local = format!("{}@a.example", "x".repeat(65));
        let long_label = format!("a@{}.example", "x".repeat(64));
        let long = format!("a@{}example", "abcdefg.".repeat(32));
        for text in [
            "ann@shop.example",
            "a.b+tag@x-y.example",
            "o'neil_9@a.b.c.example",
            "\"ann smith\"@shop.example",
            "\"a@b\"@shop.example",
            "üñí@straße.example",
            "ann@[192.0.2.1]",
            "ann@[IPv6:2001:db8::1]",
            "1@2.example",
        ] {
            assert!(valid(text), "{text}");
        }
        for text in [
            "",
            "ann",
            "@shop.example",
            "ann@",
            "ann@shop",
            ".ann@shop.example",
            "ann.@shop.example",
            "a..n@shop.example",
            "ann smith@shop.example",
            "ann@-shop.example",
            "ann@shop-.example",
            "ann@shop..example",
            "ann@shop.example.",
            "ann@1.2.3.4",
            "ann@[300.1.1.1]",
            "ann@sh_op.example",
            "\"ann@shop.example",
            "a(b)@shop.example",
            &long_local,
            &long_label,
            &long,
        ] {
            assert!(!valid(text), "{text}");
        }
    }

    #[test]
    fn domains_by_public_suffix() {
        for (text, expected) in [
            ("a@shop.example", Some("shop.example")),
            ("a@b.c.Shop.CO.UK", Some("shop.co.uk")),
            ("a@mail.shop.com.", Some("shop.com")),
            ("a@foo.github.io", Some("foo.github.io")),
            ("a@co.uk", Some("co.uk")),
            ("a@mail.例え.jp", Some("例え.jp")),
            ("a@mail.xn--r8jz45g.jp", Some("xn--r8jz45g.jp")),
            ("a@MÜLLER.de", Some("müller.de")),
            ("a@x.gov.中国", Some("gov.中国")),
            ("a@localhost", None),
            ("a@[192.0.2.1]", None),
            ("a@1.2.3.4", None),
            ("nobody", None),
        ] {
            assert_eq!(email_domain(text).as_deref(), expected, "{text}");
        }
        assert!(matches!(email_domain("a@mail.shop.example"), Some(Spelling::Given("shop.example"))));
    }

    #[test]
    fn spellings_of_one_mailbox() {
        for (a, b) in [
            ("Ann@Shop.example", "ann@shop.example"),
            ("ann+shop@shop.example", "ann@shop.example"),
            ("a.n.n+x@GoogleMail.com", "ann@gmail.com"),
            ("ann@shop.example.", "ANN@shop.example"),
            (" ÄNN@shop.example ", "änn@shop.example"),
        ] {
            assert_eq!(spelling(a), spelling(b), "{a}");
        }
        assert_ne!(spelling("a.nn@shop.example"), spelling("ann@shop.example"), "dots count with other providers");
        assert_eq!(spelling("+1@shop.example"), "+1@shop.example");
        assert_eq!(spelling("...@gmail.com"), "...@gmail.com");
        assert_eq!(spelling("No Address"), "no address");
        assert!(matches!(spelling("ann@shop.example"), Spelling::Given(_)));
    }

    #[test]
    fn names_show_in_addresses() {
        let name = "Zoë van der Berg";
        for local in ["zoe", "berg", "zoe.berg", "berg_zoe84", "zberg", "z.berg+news", "bergz", "zoeb", "zoevanderberg"]
        {
            assert_eq!(similarity_to_name(&format!("{local}@shop.example"), name), 1.0, "{local}");
        }
        let scores = ["zoe.berg", "zoe.burg", "zoberg84", "xkqjwvt"]
            .map(|l| similarity_to_name(&format!("{l}@a.example"), name));
        assert!(scores.is_sorted_by(|a, b| a >= b) && scores[1] > 0.8 && scores[3] < 0.3, "{scores:?}");
        assert_eq!(similarity_to_name("12345@a.example", name), 0.0);
        assert!(similarity_to_name("zoe", name).is_nan() && similarity_to_name("zoe@a.example", "17").is_nan());
    }

    #[test]
    fn two_addresses_of_one_person_are_alike() {
        assert_eq!(similarity("a.nn+1@gmail.com", "ann@googlemail.com"), 1.0);
        assert_eq!(similarity("ann@a.example", "ann@b.example"), 0.5);
        assert_eq!(similarity("ann@mail.a.example", "anne@a.example"), 0.75);
        assert!(similarity("ann", "ann@a.example").is_nan());
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(a in "\\PC{0,20}@?\\PC{0,20}", b in "[A-Za-zé.+ @]{0,30}") {
            for text in [&a, &b] {
                if let Some(domain) = email_domain(text) {
                    prop_assert!(is_domain(&domain) && *domain.to_lowercase() == *domain);
                }
                let once = spelling(text);
                if valid(text) {
                    prop_assert_eq!(&*spelling(&once), &*once);
                }
            }
            for score in [similarity(&a, &b), similarity_to_name(&a, &b), similarity_to_name(&b, &a)] {
                prop_assert!(score.is_nan() || (0.0..=1.0).contains(&score));
            }
            prop_assert_eq!(similarity(&a, &b).to_bits(), similarity(&b, &a).to_bits());
        }

        /// The score is the best of the candidates, each measured by the whole table.
        #[test]
        fn name_score_is_that_of_the_definition(local in "[a-c]{1,12}", first in "[a-c]{1,6}", last in "[a-c]{1,6}") {
            let (f, l) = (&first[..1], &last[..1]);
            let candidates = [
                first.clone(), last.clone(), format!("{first}{last}"), format!("{last}{first}"), format!("{f}{last}"),
                format!("{first}{l}"), format!("{l}{first}"), format!("{last}{f}"),
            ];
            let expected = candidates.iter().map(|c| strsim::normalized_levenshtein(&local, c)).fold(0.0, f64::max);
            let score = similarity_to_name(&format!("{local}1@a.example"), &format!("{first} {last}"));
            prop_assert!((f64::from(score) - expected).abs() < 1e-6);
        }
    }
}
