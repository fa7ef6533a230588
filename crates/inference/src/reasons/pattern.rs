//! Texts with gaps: `{value}` is the order's value, `{usual}` the middle one of training, `{share}` how many training orders have the
//! same level. `{value:order/orders}` is the value with the word that fits it: one form for one and another for more, or the three
//! of Polish (`{value:zamówienie/zamówienia/zamówień}`), perhaps with a fourth for fractions. Other braces are refused.

use std::fmt::{self, Write};

use super::groups::Unit;
use super::{Language, MAX_TEXT};
use crate::model::FeatureReference;
use orderguard_features::language::feature::is_first_seen;

/// Why a pattern cannot be filled.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PatternError {
    /// A brace without its other half.
    Unclosed {
        /// Byte of the pattern.
        at: usize,
    },
    /// A gap of a name that means nothing.
    UnknownGap {
        /// Byte of the pattern.
        at: usize,
    },
    /// Empty where that is not allowed, or too long.
    Length {
        /// Bytes found.
        found: usize,
    },
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unclosed { at } => write!(f, "byte {at}: expected a pair of braces, found one"),
            Self::UnknownGap { at } => {
                write!(
                    f,
                    "byte {at}: expected {{value}}, {{value:one/many}}, {{usual}} or {{share}}, found another gap"
                )
            }
            Self::Length { found } => write!(f, "expected 1 to {MAX_TEXT} bytes, found {found}"),
        }
    }
}

/// A part of a pattern.
enum Piece<'a> {
    Text(&'a str),
    Value,
    Counted(&'a str),
    Usual,
    Share,
}

/// Checks that a pattern can be filled; an empty one can.
pub fn check(pattern: &str) -> Result<(), PatternError> {
    if pattern.len() > MAX_TEXT {
        return Err(PatternError::Length { found: pattern.len() });
    }
    pieces(pattern).try_for_each(|piece| piece.map(drop))
}

fn pieces(pattern: &str) -> impl Iterator<Item = Result<Piece<'_>, PatternError>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = &pattern[at..];
        if rest.is_empty() {
            return None;
        }
        let start = at;
        let Some(inside) = rest.strip_prefix('{') else {
            let len = rest.find(['{', '}']).unwrap_or(rest.len());
            if len == 0 {
                at = pattern.len();
                return Some(Err(PatternError::Unclosed { at: start }));
            }
            at += len;
            return Some(Ok(Piece::Text(&rest[..len])));
        };
        let Some(len) = inside.find(['{', '}']).filter(|&len| inside.as_bytes()[len] == b'}') else {
            at = pattern.len();
            return Some(Err(PatternError::Unclosed { at: start }));
        };
        at += len + 2;
        Some(match &inside[..len] {
            "value" => Ok(Piece::Value),
            "usual" => Ok(Piece::Usual),
            "share" => Ok(Piece::Share),
            gap => match gap.strip_prefix("value:").filter(|forms| matches!(forms.split('/').count(), 2..=4)) {
                Some(forms) => Ok(Piece::Counted(forms)),
                None => Err(PatternError::UnknownGap { at: start }),
            },
        })
    })
}

/// What fills the gaps.
pub(super) struct Filling<'a> {
    pub(super) x: f32,
    pub(super) unit: Unit,
    /// Whether -1 means that the entity was never seen before.
    pub(super) may_be_first_seen: bool,
    pub(super) language: Language,
    pub(super) levels: &'a [String],
    pub(super) reference: Option<&'a FeatureReference>,
}

/// Appends a pattern with its gaps filled. What is no pattern ends where it goes wrong.
pub(super) fn fill(pattern: &str, with: &Filling<'_>, out: &mut String) {
    for piece in pieces(pattern).map_while(Result::ok) {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Value => with.push(with.x, out),
            Piece::Counted(forms) => {
                with.push(with.x, out);
                out.push(' ');
                out.push_str(form(forms, with.x));
            }
            Piece::Usual => with.push_usual(out),
            Piece::Share => with.push_share(out),
        }
    }
}

/// The form of a word that stands behind a number: of two the first for 1; of three the first for 1, the second for 2 to 4 but 12
/// to 14, and for fractions unless a fourth is there, the third for all others.
fn form(forms: &str, x: f32) -> &str {
    let mut all = forms.split('/');
    let one = all.next().unwrap_or("");
    let (few, many) = (all.next().unwrap_or(one), all.next());
    let fraction = all.next().unwrap_or(few);
    let n = x.abs();
    let Some(many) = many else { return if n == 1.0 { one } else { few } };
    if n == 1.0 {
        one
    } else if x != x.trunc() {
        fraction
    } else if (2.0..=4.0).contains(&(n % 10.0)) && !(12.0..=14.0).contains(&(n % 100.0)) {
        few
    } else {
        many
    }
}

impl Filling<'_> {
    fn push(&self, x: f32, out: &mut String) {
        match self.unit {
            Unit::Level => out.push_str(self.level(x)),
            Unit::Money => self.push_number(f64::from(x), 2, false, "", out),
            Unit::Share => self.push_number(f64::from(x) * 100.0, 1, true, " %", out),
            Unit::Seconds => self.push_span(f64::from(x), out),
            Unit::Count | Unit::Number | Unit::Flag => self.push_plain(f64::from(x), "", out),
            Unit::Kilometres => self.push_plain(f64::from(x), " km", out),
            Unit::Speed => self.push_plain(f64::from(x), " km/h", out),
            Unit::Weekday => out.push_str(weekday(x, self.language)),
        }
    }

    /// As many digits as say something: three or so.
    fn push_plain(&self, x: f64, unit: &str, out: &mut String) {
        let decimals = match x.abs() {
            size if size >= 100.0 => 0,
            size if size >= 1.0 => 1,
            _ => 3,
        };
        self.push_number(x, decimals, true, unit, out);
    }

    fn push_number(&self, x: f64, decimals: usize, shorten: bool, unit: &str, out: &mut String) {
        let start = out.len();
        let _ = write!(out, "{x:.decimals$}");
        if shorten && out[start..].contains('.') {
            out.truncate(out.trim_end_matches('0').trim_end_matches('.').len());
        }
        if &out[start..] == "-0" {
            out.replace_range(start.., "0");
        }
        if self.language == Language::Polish
            && let Some(point) = out[start..].find('.')
        {
            out.replace_range(start + point..=start + point, ",");
        }
        out.push_str(unit);
    }

    /// Seconds in the largest unit of which there are at least two.
    fn push_span(&self, seconds: f64, out: &mut String) {
        let polish = self.language == Language::Polish;
        let (size, unit) = match seconds.abs() {
            s if s >= 2.0 * 86_400.0 => (86_400.0, if polish { " dni" } else { " days" }),
            s if s >= 2.0 * 3_600.0 => (3_600.0, if polish { " godz." } else { " h" }),
            s if s >= 120.0 => (60.0, " min"),
            _ => (1.0, " s"),
        };
        let start = out.len();
        self.push_number(seconds / size, usize::from(seconds.abs() / size < 10.0), true, "", out);
        // Two and a half of a day.
        let unit = if unit == " dni" && out[start..].contains(',') { " dnia" } else { unit };
        out.push_str(unit);
    }

    fn level(&self, x: f32) -> &str {
        let rare = match self.language {
            Language::English => "a rare one",
            Language::Polish => "rzadka wartość",
        };
        let code = x as u32;
        let known = (code as f32 == x).then(|| self.levels.get(code as usize)).flatten();
        known.map_or(rare, String::as_str)
    }

    fn push_usual(&self, out: &mut String) {
        let polish = self.language == Language::Polish;
        let Some(reference) = self.reference else {
            out.push_str(if polish { "nieznane" } else { "unknown" });
            return;
        };
        if self.unit == Unit::Level {
            let most = (0..reference.level_shares.len())
                .rev()
                .max_by(|&a, &b| reference.level_shares[a].total_cmp(&reference.level_shares[b]));
            out.push_str(self.level(most.map_or(f32::NAN, |code| code as f32)));
            return;
        }
        // Of what has history: that an entity is new is no amount, count or time.
        let is_new = |x: &&f32| self.may_be_first_seen && is_first_seen(**x);
        let n_known = reference.quantiles.iter().filter(|x| !is_new(x)).count();
        match reference.quantiles.iter().filter(|x| !is_new(x)).nth(n_known / 2) {
            Some(&x) => self.push(x, out),
            None if reference.quantiles.is_empty() => out.push_str(if polish { "brak" } else { "none" }),
            None => out.push_str(if polish { "pierwszy raz" } else { "seen for the first time" }),
        }
    }

    fn push_share(&self, out: &mut String) {
        let shares = self.reference.map_or(&[][..], |reference| &reference.level_shares);
        let code = self.x as u32;
        let known = (code as f32 == self.x).then(|| shares.get(code as usize)).flatten();
        self.push_number(known.or(shares.last()).copied().unwrap_or(0.0) * 100.0, 1, true, " %", out);
    }
}

fn weekday(x: f32, language: Language) -> &'static str {
    let days = match language {
        Language::English => ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"],
        Language::Polish => ["poniedziałek", "wtorek", "środa", "czwartek", "piątek", "sobota", "niedziela"],
    };
    days.get(x as usize).copied().unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(pattern: &str, x: f32, unit: Unit, language: Language) -> String {
        let reference = FeatureReference {
            missing_share: 0.0,
            quantiles: vec![0.0, 2.5, 9.0],
            level_shares: vec![0.75, 0.25],
            importance: 0.0,
        };
        with_reference(pattern, x, (unit, false), language, &reference)
    }

    fn with_reference(
        pattern: &str,
        x: f32,
        (unit, may_be_first_seen): (Unit, bool),
        language: Language,
        reference: &FeatureReference,
    ) -> String {
        let levels = ["PL".to_owned()];
        let mut out = String::new();
        let with = Filling { x, unit, may_be_first_seen, language, levels: &levels, reference: Some(reference) };
        fill(pattern, &with, &mut out);
        out
    }

    #[test]
    fn usual_is_the_middle_of_those_with_history() {
        let usual = |quantiles: &[f32], may_be_first_seen| {
            let quantiles = quantiles.to_vec();
            let reference = FeatureReference { missing_share: 0.0, quantiles, level_shares: vec![], importance: 0.0 };
            with_reference("{usual}", 0.0, (Unit::Count, may_be_first_seen), Language::English, &reference)
        };
        assert_eq!(usual(&[-1.0, -1.0, -1.0, 2.0, 3.0, 7.0], true), "3");
        assert_eq!(usual(&[-1_000.0, 4.0], true), "4");
        assert_eq!(usual(&[-1.0, -1.0], true), "seen for the first time");
        // Of a column of the order -1 is a number.
        assert_eq!(usual(&[-1.0, -1.0, 5.0], false), "-1");
        assert_eq!(usual(&[], true), "none");
    }

    #[test]
    fn gaps_are_filled() {
        let english = |pattern: &str, x, unit| filled(pattern, x, unit, Language::English);
        assert_eq!(english("{value:order/orders}, usually {usual}", 7.0, Unit::Count), "7 orders, usually 2.5");
        assert_eq!(english("{value:order/orders}", 1.0, Unit::Count), "1 order");
        assert_eq!(english("{value}", 0.1234, Unit::Share), "12.3 %");
        assert_eq!(english("{value}", 1234.5, Unit::Money), "1234.50");
        assert_eq!(english("{value}", -0.0001, Unit::Number), "0");
        assert_eq!(english("{value}, {share} have it, most {usual}", 0.0, Unit::Level), "PL, 75 % have it, most PL");
        assert_eq!(english("{value} {share}", 9.0, Unit::Level), "a rare one 25 %");
        for (seconds, text) in [(3.0, "3 s"), (600.0, "10 min"), (9_000.0, "2.5 h"), (864_000.0, "10 days")] {
            assert_eq!(english("{value}", seconds, Unit::Seconds), text);
        }
        assert_eq!(english("{value}", 6.0, Unit::Weekday), "Sunday");
        assert_eq!(english("{value}", f32::INFINITY, Unit::Weekday), "");
    }

    #[test]
    fn polish_has_three_forms_and_a_comma() {
        let polish = |x| filled("{value:zamówienie/zamówienia/zamówień}", x, Unit::Count, Language::Polish);
        for (x, text) in [
            (0.0, "0 zamówień"),
            (1.0, "1 zamówienie"),
            (2.0, "2 zamówienia"),
            (4.0, "4 zamówienia"),
            (5.0, "5 zamówień"),
            (12.0, "12 zamówień"),
            (21.0, "21 zamówień"),
            (22.0, "22 zamówienia"),
            (112.0, "112 zamówień"),
            (2.5, "2,5 zamówienia"),
        ] {
            assert_eq!(polish(x), text);
        }
        assert_eq!(filled("{value}", 864_000.0, Unit::Seconds, Language::Polish), "10 dni");
        assert_eq!(filled("{value}", 216_000.0, Unit::Seconds, Language::Polish), "2,5 dnia");
        assert_eq!(filled("{value}", 9_000.0, Unit::Seconds, Language::Polish), "2,5 godz.");
        let fourth = filled("{value:zwrot/zwroty/zwrotów/zwrotu}", 2.5, Unit::Count, Language::Polish);
        assert_eq!(fourth, "2,5 zwrotu");
    }

    #[test]
    fn broken_patterns_are_refused() {
        for (pattern, error) in [
            ("a {value", PatternError::Unclosed { at: 2 }),
            ("a } b", PatternError::Unclosed { at: 2 }),
            ("{va{lue}", PatternError::Unclosed { at: 0 }),
            ("ab {price}", PatternError::UnknownGap { at: 3 }),
            ("{value:one}", PatternError::UnknownGap { at: 0 }),
            ("{value:a/b/c/d/e}", PatternError::UnknownGap { at: 0 }),
        ] {
            assert_eq!(check(pattern), Err(error), "{pattern}");
        }
        assert_eq!(check(&"x".repeat(1_001)), Err(PatternError::Length { found: 1_001 }));
        assert_eq!(check(""), Ok(()));
    }
}
