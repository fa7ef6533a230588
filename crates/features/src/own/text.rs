//! What the characters of one text look like: how many, how mixed, in which runs. Letter case does not matter.

use std::sync::LazyLock;

use super::fold::latin;

/// `n log2 n` for the counts of short texts, from `libm`, so that every machine has the same.
static N_LOG_N: LazyLock<[f64; 65]> =
    LazyLock::new(|| std::array::from_fn(|n| if n == 0 { 0.0 } else { n as f64 * libm::log2(n as f64) }));

fn n_log_n(n: u32) -> f64 {
    N_LOG_N.get(n as usize).copied().unwrap_or_else(|| f64::from(n) * libm::log2(f64::from(n)))
}

/// Number of characters.
pub(super) fn length(text: &str) -> f32 {
    text.chars().count() as f32
}

/// Share of digits among the characters, 0 to 1; NaN for an empty text.
pub(super) fn digit_share(text: &str) -> f32 {
    let n_digits = text.bytes().filter(u8::is_ascii_digit).count();
    (n_digits as f64 / text.chars().count() as f64) as f32
}

/// Shannon entropy of the characters in bits per character: log2 n - sum(c log2 c) / n over the counts c of the n
/// characters. 0 for one repeated character; NaN for an empty text. Letters beyond ASCII are taken as they are.
pub(super) fn entropy(text: &str) -> f32 {
    if text.is_empty() {
        return f32::NAN;
    }
    let mut counts = [0_u32; 128];
    let mut others = Vec::new();
    let mut n = 0;
    for c in text.chars() {
        n += 1;
        if c.is_ascii() {
            counts[usize::from(c.to_ascii_lowercase() as u8)] += 1;
        } else {
            others.push(c);
        }
    }
    let mut sum = 0.0;
    for byte in text.bytes().filter(u8::is_ascii) {
        // Each character at its first place; there are fewer places than possible characters.
        sum += n_log_n(std::mem::take(&mut counts[usize::from(byte.to_ascii_lowercase())]));
    }
    others.sort_unstable();
    sum += others.chunk_by(|a, b| a == b).map(|same| n_log_n(same.len() as u32)).sum::<f64>();
    let n = f64::from(n);
    ((libm::log2(n) - sum / n).max(0.0)) as f32
}

/// Length of the longest run of equal characters, of consonants or of digits (y is a vowel; a Latin letter with a
/// diacritic counts as the letter without it). 0 for an empty text.
pub(super) fn longest_run(text: &str) -> f32 {
    let (mut longest, mut equal, mut consonants, mut digits) = (0_u32, 0, 0, 0);
    let mut previous = None;
    for c in text.chars() {
        let c = if c.is_ascii() { c.to_ascii_lowercase() } else { c };
        let base = if c.is_ascii() { c } else { latin(c).and_then(|letters| letters.chars().next()).unwrap_or(c) };
        let is_consonant = base.is_ascii_lowercase() && !matches!(base, 'a' | 'e' | 'i' | 'o' | 'u' | 'y');
        equal = if previous == Some(c) { equal + 1 } else { 1 };
        consonants = if is_consonant { consonants + 1 } else { 0 };
        digits = if c.is_ascii_digit() { digits + 1 } else { 0 };
        previous = Some(c);
        longest = longest.max(equal).max(consonants).max(digits);
    }
    longest as f32
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_texts() {
        assert_eq!((length("Ärger"), length("")), (5.0, 0.0));
        assert_eq!((digit_share("ab12"), digit_share("7"), digit_share("é")), (0.5, 1.0, 0.0));
        assert!(digit_share("").is_nan() && entropy("").is_nan());
        assert_eq!((entropy("aAaa"), entropy("ab"), entropy("abcd"), entropy("éé")), (0.0, 1.0, 2.0, 0.0));
        assert_eq!(
            (longest_run("xkcdqq"), longest_run("aaa"), longest_run("a1234b"), longest_run("anna")),
            (6.0, 3.0, 4.0, 2.0)
        );
        assert_eq!((longest_run("šžč"), longest_run("éé"), longest_run("")), (3.0, 2.0, 0.0));
    }

    proptest! {
        #[test]
        fn entropy_is_that_of_the_definition(text in "[a-cA-C0-1éя.]{1,200}") {
            let mut counts = HashMap::new();
            for c in text.chars().map(|c| c.to_ascii_lowercase()) {
                *counts.entry(c).or_insert(0.0_f64) += 1.0;
            }
            let n = text.chars().count() as f64;
            let expected: f64 = counts.values().map(|c| -(c / n) * (c / n).log2()).sum();
            prop_assert!((f64::from(entropy(&text)) - expected).abs() < 1e-5);
        }

        #[test]
        fn a_run_is_the_longest_stretch_of_one_kind(text in "[abkst019A]{0,40}") {
            let letters: Vec<char> = text.to_lowercase().chars().collect();
            let same = |part: &[char]| part.iter().all(|&c| c == part[0]);
            let all = |part: &[char], of: &str| part.iter().all(|&c| of.contains(c));
            let expected = (0..letters.len())
                .flat_map(|from| (from + 1..=letters.len()).map(move |to| (from, to)))
                .filter(|&(from, to)| {
                    let part = &letters[from..to];
                    same(part) || all(part, "bkst") || all(part, "019")
                })
                .map(|(from, to)| to - from)
                .max();
            prop_assert_eq!(longest_run(&text), expected.unwrap_or(0) as f32);
        }
    }
}
