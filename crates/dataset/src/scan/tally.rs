//! The sums over one column's values.

use std::collections::BTreeMap;

use orderguard_features::parse::{self, TimeParser};
use orderguard_features::table::MISSING_I64;

use super::facts::{FORMATS, Facts, Fraction};
use crate::intern::{Interner, hash};
use crate::profile::{ColumnProfile, MAX_DISTINCT, MAX_FRACTIONS};

/// How many of the most frequent values are told.
const N_TOP: usize = 32;

/// The facts about one column's values, summed; the sums do not depend on the order of the values.
pub(super) struct Tally {
    pub(super) name: String,
    /// Last position of the key in an object, among the other keys: of all rows, so that their order does not matter.
    pub(super) position: usize,
    sums: ColumnProfile,
    n_present: u64,
    times: [(u64, i64, i64); FORMATS.len()],
    /// Distinct values with their counts and facts, until there are too many. The sums do not hold these yet.
    distinct: Option<Distinct>,
    /// For each piece of rows: its key, and the numbers of its first and last row, NaN where they have none.
    edges: Vec<(u64, f64, f64)>,
    /// Row in the piece and number of the value before.
    before: (usize, f64),
    /// Piece and line in which the column came up last.
    pub(super) last_line: (u64, u64),
}

#[derive(Default)]
struct Distinct {
    values: Interner,
    counts: Vec<u64>,
    /// The values as numbers, NaN where they are none.
    numbers: Vec<f64>,
    facts: Vec<Facts>,
    /// How many are numbers with decimals.
    n_fractions: u64,
    /// Code + 1 of small whole numbers.
    of_number: Vec<u32>,
}

/// Whole numbers below are found without a hash. More distinct ones are not told apart in any case.
const MAX_DIRECT: u32 = 1 << 17;

impl Tally {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            position: 0,
            sums: ColumnProfile::default(),
            n_present: 0,
            times: [(0, i64::MAX, i64::MIN); FORMATS.len()],
            distinct: Some(Distinct::default()),
            edges: Vec::new(),
            before: (usize::MAX, f64::NAN),
            last_line: (u64::MAX, 0),
        }
    }

    /// Adds the value in row `row` of the piece of rows with this key.
    pub(super) fn add(&mut self, text: &str, key: u64, row: usize, parsers: &[TimeParser]) {
        let number = if let Some(distinct) = &mut self.distinct {
            let code = distinct.code(text, parsers) as usize;
            distinct.counts[code] += 1;
            let number = distinct.numbers[code];
            if distinct.are_too_many() {
                self.give_up_distinct();
            }
            number
        } else if let Some(fraction) = Fraction::of(text.as_bytes()) {
            self.apply_fraction(&fraction, text.as_bytes());
            fraction.number
        } else {
            let facts = Facts::of(text, parsers);
            self.apply(&facts, 1);
            facts.number
        };
        if self.edges.last().is_none_or(|edge| edge.0 != key) {
            self.edges.push((key, if row == 0 { number } else { f64::NAN }, f64::NAN));
        } else if self.before.0 + 1 == row && number > self.before.1 {
            self.sums.n_increasing += 1;
        }
        self.before = (row, number);
    }

    /// Adds the distinct values to the sums and forgets them.
    fn give_up_distinct(&mut self) {
        if let Some(distinct) = self.distinct.take() {
            self.apply_all(&distinct);
        }
    }

    fn apply_all(&mut self, distinct: &Distinct) {
        distinct.facts.iter().zip(&distinct.counts).for_each(|(facts, &count)| self.apply(facts, count));
    }

    /// Notes the number of the last row of the piece, if the column has one there.
    pub(super) fn close(&mut self, key: u64, n_rows: usize) {
        if let Some(edge) = self.edges.last_mut()
            && edge.0 == key
            && self.before.0 + 1 == n_rows
        {
            edge.2 = self.before.1;
        }
        self.before = (usize::MAX, f64::NAN);
    }

    /// As [`Self::apply`] of one such number: most values of most large files are.
    fn apply_fraction(&mut self, fraction: &Fraction, text: &[u8]) {
        self.n_present += 1;
        let sums = &mut self.sums;
        sums.max_len = sums.max_len.max(text.len() as u64);
        sums.n_number += 1;
        sums.n_fraction += u64::from(fraction.decimals > 0);
        sums.max_decimals = sums.max_decimals.max(fraction.decimals);
        let number = fraction.number + 0.0;
        let (low, high) = sums.number_range.unwrap_or((number, number));
        sums.number_range = Some((low.min(number), high.max(number)));
        for (sum, (_, format)) in self.times.iter_mut().zip(FORMATS) {
            if let Some(ms) = fraction.time(format) {
                *sum = (sum.0 + 1, sum.1.min(ms), sum.2.max(ms));
            }
        }
        match Fraction::label(text) {
            1 => sums.n_label.0 += 1,
            0 => sums.n_label.1 += 1,
            _ => {}
        }
        sums.n_ip_number += u64::from(fraction.is_ip_number());
        sums.n_phone += u64::from(fraction.reads_as_phone());
    }

    /// Adds the facts of `count` equal values.
    fn apply(&mut self, facts: &Facts, count: u64) {
        if facts.missing {
            return;
        }
        self.n_present += count;
        let sums = &mut self.sums;
        sums.max_len = sums.max_len.max(u64::from(facts.len));
        let counted = |is: bool| if is { count } else { 0 };
        if !facts.number.is_nan() {
            sums.n_number += count;
            sums.n_integer += counted(facts.integer);
            sums.n_fraction += counted(facts.decimals > 0);
            sums.max_decimals = sums.max_decimals.max(facts.decimals);
            // Zero keeps no sign, which would depend on what was seen first.
            let number = facts.number + 0.0;
            let (low, high) = sums.number_range.unwrap_or((number, number));
            sums.number_range = Some((low.min(number), high.max(number)));
        }
        for (sum, &time) in self.times.iter_mut().zip(&facts.times) {
            if time != MISSING_I64 {
                *sum = (sum.0 + count, sum.1.min(time), sum.2.max(time));
            }
        }
        sums.n_label.0 += counted(facts.label == 1);
        sums.n_label.1 += counted(facts.label == 0);
        sums.n_ip += counted(facts.ip);
        sums.n_ip_number += counted(facts.ip_number);
        sums.n_email += counted(facts.email);
        sums.n_luhn += counted(facts.luhn);
        sums.n_masked_card += counted(facts.masked_card);
        sums.n_phone += counted(facts.phone);
        sums.n_currency += counted(facts.currency);
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.position = self.position.max(other.position);
        self.n_present += other.n_present;
        self.edges.extend(other.edges);
        for (sum, time) in self.times.iter_mut().zip(other.times) {
            *sum = (sum.0 + time.0, sum.1.min(time.1), sum.2.max(time.2));
        }
        let (a, b) = (&mut self.sums, other.sums);
        a.n_integer += b.n_integer;
        a.n_number += b.n_number;
        a.n_fraction += b.n_fraction;
        a.max_decimals = a.max_decimals.max(b.max_decimals);
        a.number_range = match (a.number_range, b.number_range) {
            (Some(x), Some(y)) => Some((x.0.min(y.0), x.1.max(y.1))),
            (x, y) => x.or(y),
        };
        a.n_label = (a.n_label.0 + b.n_label.0, a.n_label.1 + b.n_label.1);
        a.n_ip += b.n_ip;
        a.n_ip_number += b.n_ip_number;
        a.n_email += b.n_email;
        a.n_luhn += b.n_luhn;
        a.n_masked_card += b.n_masked_card;
        a.n_phone += b.n_phone;
        a.n_currency += b.n_currency;
        a.n_increasing += b.n_increasing;
        a.max_len = a.max_len.max(b.max_len);
        match (&mut self.distinct, other.distinct) {
            (Some(ours), Some(theirs)) => {
                if !ours.merge(&theirs) {
                    self.give_up_distinct();
                }
            }
            (_, theirs) => {
                self.give_up_distinct();
                if let Some(theirs) = theirs {
                    self.apply_all(&theirs);
                }
            }
        }
    }

    /// The profile of the column in `n_rows` rows that came in the pieces with these keys.
    pub(super) fn finish(mut self, n_rows: u64, pieces: &[u64]) -> ColumnProfile {
        let distinct = self.distinct.take();
        if let Some(distinct) = &distinct {
            self.apply_all(distinct);
        }
        self.edges.sort_by_key(|edge| edge.0);
        for pair in self.edges.windows(2) {
            let (before, after) = (pair[0], pair[1]);
            let next = pieces.partition_point(|&key| key <= before.0);
            if pieces.get(next) == Some(&after.0) && after.1 > before.2 {
                self.sums.n_increasing += 1;
            }
        }
        let times = FORMATS.iter().zip(self.times).filter(|(_, sum)| sum.0 > 0);
        let mut out = ColumnProfile {
            name: self.name,
            n_missing: n_rows - self.n_present,
            times: times.map(|((name, _), sum)| (*name, sum)).collect::<BTreeMap<_, _>>(),
            has_more_distinct: distinct.is_none(),
            n_distinct: if self.sums.n_fraction > 0 { MAX_FRACTIONS } else { MAX_DISTINCT },
            ..self.sums
        };
        if let Some(distinct) = distinct {
            let mut present: Vec<u32> =
                (0..distinct.values.len() as u32).filter(|&code| !distinct.facts[code as usize].missing).collect();
            out.n_distinct = present.len() as u64;
            present.sort_by_key(|&code| (std::cmp::Reverse(distinct.counts[code as usize]), distinct.values.get(code)));
            let top = present.iter().take(N_TOP);
            out.top = top.map(|&code| (distinct.values.get(code).to_owned(), distinct.counts[code as usize])).collect();
        }
        out
    }
}

impl Distinct {
    fn code(&mut self, text: &str, parsers: &[TimeParser]) -> u32 {
        let small = parse::small_integer(text).filter(|number| *number < MAX_DIRECT).map(|number| number as usize);
        let Some(number) = small else { return self.intern(text, || Facts::of(text, parsers)) };
        match self.of_number.get(number) {
            Some(&slot) if slot > 0 => slot - 1,
            slot => {
                if slot.is_none() {
                    self.of_number.resize((2 * number).clamp(1_024, MAX_DIRECT as usize), 0);
                }
                let code = self.intern(text, || Facts::of_small_integer(number as u32, text.len()));
                self.of_number[number] = code + 1;
                code
            }
        }
    }

    fn intern(&mut self, text: &str, facts: impl FnOnce() -> Facts) -> u32 {
        let (code, is_new) = self.values.intern(hash(text), text);
        if is_new {
            let facts = facts();
            self.counts.push(0);
            self.numbers.push(facts.number);
            self.n_fractions += u64::from(facts.decimals > 0);
            self.facts.push(facts);
        }
        code
    }

    /// Adds the other's values; false if that makes too many.
    fn merge(&mut self, other: &Self) -> bool {
        for code in 0..other.values.len() {
            let text = other.values.get(code as u32);
            let ours = self.intern(text, || other.facts[code]);
            self.counts[ours as usize] += other.counts[code];
        }
        !self.are_too_many()
    }

    fn are_too_many(&self) -> bool {
        self.values.len() as u64 > MAX_DISTINCT || self.n_fractions > MAX_FRACTIONS
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn fractions_count_as_what_is_found_by_looking(text in "-?[0-9]{1,12}\\.[0-9]{1,12}|[01]\\.0|-?[0-9.]{1,9}") {
            let parsers: Vec<TimeParser> =
                FORMATS.iter().map(|(_, format)| TimeParser::new(*format, "UTC").unwrap()).collect();
            if let Some(fraction) = Fraction::of(text.as_bytes()) {
                let (mut one, mut other) = (Tally::new("x"), Tally::new("x"));
                one.apply_fraction(&fraction, text.as_bytes());
                other.apply(&Facts::of_any(&text, &parsers), 1);
                prop_assert_eq!((&one.sums, one.n_present, one.times), (&other.sums, other.n_present, other.times));
            }
        }
    }
}
