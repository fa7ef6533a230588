//! Sample weights that shops ask for, to be multiplied and handed to a fit as [`crate::boosting::Extras::weights`].
//!
//! A weighted fit learns other odds than those of the orders as they are; the calibration that follows it on unweighted
//! validation orders is what makes its scores probabilities of the shop's real mix.

use std::fmt;

/// Values from which no weights can be made.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum WeightError {
    /// An amount or cost is negative or infinite, or a cost is NaN.
    BadValue {
        /// The sample.
        sample: usize,
        /// Its value.
        value: f64,
    },
    /// The half-life is not above 0.
    BadHalfLife {
        /// The half-life in milliseconds.
        found: i64,
    },
}

impl fmt::Display for WeightError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadValue { sample, value } => {
                write!(f, "sample {sample}: expected an amount of 0 or more, found {value}")
            }
            Self::BadHalfLife { found } => write!(f, "half-life: expected more than 0 ms, found {found}"),
        }
    }
}

impl std::error::Error for WeightError {}

/// Weights in proportion to the amount, so that a fraud of 500 counts like ten of 50. NaN is missing and weighs as the mean;
/// amounts above `cap` times the mean weigh as that much, so that a single order cannot rule the fit. `cap` at least 1.
///
/// ```
/// # use orderguard_trainer::weights::by_amount;
/// assert_eq!(by_amount(&[10.0, 30.0, f64::NAN, 20.0], 100.0), Ok(vec![0.5, 1.5, 1.0, 1.0]));
/// assert_eq!(by_amount(&[1.0, 1.0, 1.0, 97.0], 2.0), Ok(vec![0.04, 0.04, 0.04, 2.0]));
/// ```
///
/// # Errors
/// [`WeightError::BadValue`].
pub fn by_amount(amounts: &[f64], cap: f64) -> Result<Vec<f64>, WeightError> {
    let bad = amounts.iter().position(|&amount| amount < 0.0 || amount.is_infinite());
    if let Some(sample) = bad {
        return Err(WeightError::BadValue { sample, value: amounts[sample] });
    }
    let known = amounts.iter().filter(|amount| !amount.is_nan());
    let (sum, n) = known.fold((0.0, 0_u32), |(sum, n), &amount| (sum + amount, n + 1));
    if sum == 0.0 {
        return Ok(vec![1.0; amounts.len()]);
    }
    let mean = sum / f64::from(n);
    let weight = |&amount: &f64| if amount.is_nan() { 1.0 } else { (amount / mean).min(cap) };
    Ok(amounts.iter().map(weight).collect())
}

/// Weights by what a wrong decision costs: for a fraud what missing it costs, for an honest order what stopping it costs.
///
/// `labels` are 1 for fraud, 0 for honest. NaN is not allowed here.
///
/// # Errors
/// [`WeightError::BadValue`].
///
/// # Panics
/// If the lengths differ: a caller's bug.
pub fn by_cost(labels: &[u8], cost_if_missed: &[f64], cost_if_stopped: &[f64]) -> Result<Vec<f64>, WeightError> {
    assert!(labels.len() == cost_if_missed.len() && labels.len() == cost_if_stopped.len(), "one cost for each label");
    let costs = labels.iter().zip(cost_if_missed).zip(cost_if_stopped);
    let costs: Vec<f64> =
        costs.map(|((&label, &missed), &stopped)| if label == 1 { missed } else { stopped }).collect();
    match costs.iter().position(|cost| !(0.0..f64::INFINITY).contains(cost)) {
        Some(sample) => Err(WeightError::BadValue { sample, value: costs[sample] }),
        None => Ok(costs),
    }
}

/// Weights that halve with every half-life before `as_of`, so that old habits of fraudsters fade. Times are milliseconds;
/// samples after `as_of` weigh 1.
///
/// ```
/// # use orderguard_trainer::weights::by_age;
/// assert_eq!(by_age(&[0, 500, 1000, 2000], 1000, 500), Ok(vec![0.25, 0.5, 1.0, 1.0]));
/// ```
///
/// # Errors
/// [`WeightError::BadHalfLife`].
pub fn by_age(times: &[i64], as_of: i64, half_life: i64) -> Result<Vec<f64>, WeightError> {
    if half_life <= 0 {
        return Err(WeightError::BadHalfLife { found: half_life });
    }
    let weight = |&time: &i64| {
        let age = as_of.saturating_sub(time).max(0);
        libm::exp2(-(age as f64) / half_life as f64)
    };
    Ok(times.iter().map(weight).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_amounts_and_costs_are_refused_or_defined() {
        for bad in [-1.0, f64::INFINITY] {
            assert_eq!(by_amount(&[1.0, bad], 5.0), Err(WeightError::BadValue { sample: 1, value: bad }));
        }
        assert_eq!(by_amount(&[0.0, f64::NAN], 5.0), Ok(vec![1.0, 1.0]));
        assert_eq!(by_amount(&[], 5.0), Ok(vec![]));
        assert_eq!(by_cost(&[1, 0], &[9.0, 9.0], &[2.0, 3.0]), Ok(vec![9.0, 3.0]));
        assert!(by_cost(&[0], &[1.0], &[f64::NAN]).is_err());
        assert_eq!(by_age(&[1], 2, 0).unwrap_err().to_string(), "half-life: expected more than 0 ms, found 0");
        assert_eq!(by_age(&[i64::MIN], i64::MAX, 1), Ok(vec![0.0]));
    }
}
