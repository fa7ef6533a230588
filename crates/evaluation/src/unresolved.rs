//! Orders whose label is not due yet: how many there are, and how many frauds they hide.

use crate::report::{LabelAge, Unresolved};
use crate::sum::{MoneySum, mean_of_units};

/// Ages in days at which the report says how much of the fraud is known.
const AGES: [f64; 13] = [1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 14.0, 21.0, 30.0, 45.0, 60.0, 90.0, 120.0];

/// What is known of unresolved orders, in parallel slices.
#[derive(Clone, Copy, Debug, Default)]
pub struct Young<'a> {
    /// Calibrated probabilities.
    pub probability: &'a [f64],
    /// Whether the order is known as fraud already.
    pub known: &'a [bool],
    /// Days from the order to the end of the data.
    pub age_days: &'a [f64],
    /// Amounts, NaN where one is missing.
    pub amounts: Option<&'a [f64]>,
}

/// Counts unresolved orders and estimates their frauds. `fraud_ages` are the days from order to label of the frauds of resolved orders
/// whose label time is known; they may be empty. `None` without unresolved orders. The slices of `young` have one length.
///
/// Each fraud that is known at an age at which a share s of the frauds is known stands for 1/s frauds, as in a chain ladder.
pub fn unresolved(young: &Young<'_>, fraud_ages: &[f64]) -> Option<Unresolved> {
    let n = young.probability.len();
    if n == 0 {
        return None;
    }
    let mut ages = fraud_ages.to_vec();
    ages.sort_unstable_by(f64::total_cmp);
    let share_known = |age: f64| ages.partition_point(|&a| a <= age) as f64 / ages.len() as f64;
    let n_fraud_known = young.known.iter().filter(|&&known| known).count() as u64;
    let sum = mean_of_units(n, |row| young.probability[row]).map(|mean| mean * n as f64);
    let n_fraud_expected = sum.map(|sum| sum.max(n_fraud_known as f64));
    let mut of_known: Vec<f64> =
        young.known.iter().zip(young.age_days).filter(|(known, _)| **known).map(|(_, &age)| share_known(age)).collect();
    of_known.sort_unstable_by(f64::total_cmp);
    let is_told = !ages.is_empty() && n_fraud_known > 0 && of_known.iter().all(|&share| share > 0.0);
    let mut value = MoneySum::default();
    young.amounts.iter().flat_map(|amounts| amounts.iter()).for_each(|&amount| value.add(amount));
    let text = format!(
        "{n} orders are too young for their labels to be known: they are in no figure, and never counted as honest. {}By their scores \
         they hold about {:.0} frauds.",
        if n_fraud_known > 0 { format!("{n_fraud_known} of them are known as fraud already. ") } else { String::new() },
        n_fraud_expected.unwrap_or_default()
    );
    Some(Unresolved {
        n_rows: n as u64,
        n_fraud_known,
        n_fraud_expected,
        n_fraud_by_age: is_told.then(|| of_known.iter().map(|share| 1.0 / share).sum()),
        value: young.amounts.map(|_| value.total()),
        label_ages: if ages.is_empty() {
            Vec::new()
        } else {
            AGES.iter().map(|&days| LabelAge { days, share_known: share_known(days) }).collect()
        },
        text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_frauds_stand_for_those_that_are_not_known_yet() {
        let young = Young {
            probability: &[0.5, 0.1, 0.2, 0.4],
            known: &[true, false, false, true],
            age_days: &[2.0, 2.0, 5.0, 9.0],
            amounts: Some(&[10.0, f64::NAN, 5.0, 1.0]),
        };
        // Half of the frauds are known within 3 days, all within 8.
        let found = unresolved(&young, &[1.0, 2.0, 6.0, 8.0]).unwrap();
        assert_eq!((found.n_rows, found.n_fraud_known, found.value), (4, 2, Some(16.0)));
        assert_eq!(found.n_fraud_by_age, Some(3.0));
        assert_eq!(found.n_fraud_expected, Some(2.0), "not fewer than are known");
        assert_eq!(found.label_ages[2], LabelAge { days: 3.0, share_known: 0.5 });
        assert!(found.text.starts_with("4 orders are too young"), "{}", found.text);
        assert_eq!(unresolved(&Young::default(), &[1.0]), None);
        let alone = unresolved(&young, &[]).unwrap();
        assert_eq!((alone.n_fraud_by_age, alone.label_ages.len()), (None, 0));
    }
}
