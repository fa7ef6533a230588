//! Sums whose bits do not depend on the order of the rows: terms are rounded to fixed point and added as integers.

use rayon::prelude::*;

/// Rows that one task adds before it hands over its part.
const CHUNK: usize = 1 << 16;

/// One as fixed point; a term is off by at most 2^-61, far below what an f64 mean shows.
const UNIT: f64 = (1_u64 << 60) as f64;

/// Mean of `term(0), .. term(n - 1)`, each 0 to 64; `None` when `n` is 0. In parallel.
pub(crate) fn mean_of_units(n: usize, term: impl Fn(usize) -> f64 + Sync) -> Option<f64> {
    if n == 0 {
        return None;
    }
    let total: u128 = (0..n.div_ceil(CHUNK))
        .into_par_iter()
        .map(|chunk| {
            let rows = chunk * CHUNK..n.min((chunk + 1) * CHUNK);
            rows.map(|row| (term(row) * UNIT).round_ties_even() as u128).sum::<u128>()
        })
        .sum();
    Some(total as f64 / UNIT / n as f64)
}

/// One unit of money as fixed point: an amount from 16 up is kept exactly, a smaller one to 2^-49.
const MONEY_UNIT: f64 = (1_u64 << 48) as f64;
/// Larger amounts are no order of a shop; the cap keeps the sum of any number of rows inside 128 bits.
const MONEY_CAP: f64 = 1e15;

/// An exact sum of amounts of money.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MoneySum(u128);

impl MoneySum {
    /// Adds an amount; one that is missing (NaN) or negative adds nothing.
    pub(crate) fn add(&mut self, amount: f64) {
        // The cast turns NaN into 0.
        self.0 += (amount.clamp(0.0, MONEY_CAP) * MONEY_UNIT).round_ties_even() as u128;
    }

    /// Both sums together.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    /// The sum, rounded once.
    pub(crate) fn total(self) -> f64 {
        self.0 as f64 / MONEY_UNIT
    }
}

/// Folds the rows of chunks in parallel and joins the parts; `add` and `join` must not depend on order.
pub(crate) fn fold_rows<T: Default + Send>(
    n: usize,
    add: impl Fn(&mut T, usize) + Sync,
    join: impl Fn(T, T) -> T + Sync + Send,
) -> T {
    (0..n.div_ceil(CHUNK))
        .into_par_iter()
        .map(|chunk| {
            let mut part = T::default();
            for row in chunk * CHUNK..n.min((chunk + 1) * CHUNK) {
                add(&mut part, row);
            }
            part
        })
        .reduce(T::default, join)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_exact_where_plain_addition_drifts() {
        let mut sum = MoneySum::default();
        for amount in [1e15, 0.1, 0.2, f64::NAN, -5.0, f64::NEG_INFINITY] {
            sum.add(amount);
        }
        assert_eq!(sum.total(), 1e15 + 0.3);
        assert_eq!(mean_of_units(3, |row| [0.25, 0.5, 0.75][row]), Some(0.5));
        assert_eq!(mean_of_units(0, |_| 1.0), None);
    }

    #[test]
    fn folding_counts_every_row_once() {
        let n = 3 * CHUNK + 7;
        assert_eq!(fold_rows(n, |sum: &mut u64, row| *sum += row as u64, |a, b| a + b), (n as u64 - 1) * n as u64 / 2);
    }
}
