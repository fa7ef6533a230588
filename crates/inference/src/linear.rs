//! Evaluation of a linear model, in the order that its documentation states: the same bits on every machine.

use orderguard_features::language::feature::is_first_seen;

use crate::model::{LinearModel, LinearTerm};

/// Raw score of a row: the intercept, then each term's contribution added in the order the terms stand. O(terms).
///
/// `row` holds one value per feature, NaN = missing. A term whose feature lies outside of the row adds its `missing`;
/// a loaded model has no such term.
pub fn raw_score(model: &LinearModel, row: &[f32]) -> f64 {
    let mut sum = model.intercept;
    for term in &model.terms {
        let x = row.get(term.feature() as usize).copied().unwrap_or(f32::NAN);
        sum += term.contribution(x);
    }
    sum
}

/// `sign(x) ln(1 + |x|)`: counts, amounts and times on the scale of their orders of magnitude; 0 stays 0.
pub fn signed_log(x: f32) -> f64 {
    if x == 0.0 {
        return 0.0;
    }
    let x = f64::from(x);
    libm::copysign(libm::log1p(x.abs()), x)
}

impl LinearTerm {
    /// The feature that the term reads.
    pub fn feature(&self) -> u32 {
        match self {
            Self::Numeric { feature, .. } | Self::Categorical { feature, .. } => *feature,
        }
    }

    /// What the value `x` of the term's feature adds to the raw score.
    ///
    /// A category code that is not a whole number in `0..levels.len()` counts as unseen and adds the last entry.
    pub fn contribution(&self, x: f32) -> f64 {
        match self {
            Self::Numeric { weight, low, high, log, mean, scale, missing, first_seen, .. } => {
                if x.is_nan() {
                    return *missing;
                }
                match first_seen {
                    Some(value) if is_first_seen(x) => *value,
                    // max and min rather than clamp: clamp panics on bounds in the wrong order.
                    _ => {
                        let x = x.max(*low).min(*high);
                        let value = if *log { signed_log(x) } else { f64::from(x) };
                        weight * ((value - mean) / scale)
                    }
                }
            }
            Self::Categorical { levels, missing, .. } => {
                if x.is_nan() {
                    return *missing;
                }
                // The cast saturates, so that a code which is not a whole number in range differs from its own cast.
                let code = x as u32;
                let known = (code as f32 == x).then(|| levels.get(code as usize)).flatten();
                known.or(levels.last()).copied().unwrap_or(0.0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numeric(first_seen: Option<f64>) -> LinearTerm {
        LinearTerm::Numeric {
            feature: 0,
            weight: 2.0,
            low: 0.0,
            high: 10.0,
            log: false,
            mean: 4.0,
            scale: 2.0,
            missing: -0.25,
            first_seen,
        }
    }

    #[test]
    fn numeric_terms_clamp_and_know_missing_and_first_seen() {
        let term = numeric(Some(7.5));
        for (x, expected) in [(4.0, 0.0), (5.0, 1.0), (99.0, 6.0), (-3.0, -4.0), (f32::INFINITY, 6.0)] {
            assert_eq!(term.contribution(x), expected, "{x}");
        }
        assert_eq!(term.contribution(f32::NAN), -0.25);
        assert_eq!(term.contribution(-1.0), 7.5);
        assert_eq!(numeric(None).contribution(-1.0), -4.0);
    }

    #[test]
    fn logarithms_keep_the_sign() {
        let LinearTerm::Numeric { mean, scale, missing, .. } = numeric(None) else { unreachable!() };
        let term = LinearTerm::Numeric {
            feature: 0,
            weight: 2.0,
            low: -10.0,
            high: 10.0,
            log: true,
            mean,
            scale,
            missing,
            first_seen: None,
        };
        for (x, log) in [(0.0, 0.0), (-0.0, 0.0), (1.5, 2.5_f64.ln()), (-1.5, -(2.5_f64.ln())), (99.0, 11_f64.ln())] {
            assert!((term.contribution(x) - (log - 4.0)).abs() < 1e-15, "{x}");
        }
    }

    #[test]
    fn categorical_terms_send_odd_codes_to_the_last_entry() {
        let term = LinearTerm::Categorical { feature: 0, levels: vec![1.0, 2.0, 3.0], missing: 9.0 };
        for (x, expected) in [(0.0, 1.0), (-0.0, 1.0), (1.0, 2.0), (2.0, 3.0), (3.0, 3.0), (1e30, 3.0), (-1.0, 3.0)] {
            assert_eq!(term.contribution(x), expected, "{x}");
        }
        assert_eq!(term.contribution(0.5), 3.0);
        assert_eq!(term.contribution(f32::INFINITY), 3.0);
        assert_eq!(term.contribution(f32::NAN), 9.0);
    }

    #[test]
    fn terms_are_added_in_order() {
        // 1e16 + 1 - 1e16 differs by order: the documented one is from first to last.
        let term = |value: f64| LinearTerm::Categorical { feature: 0, levels: vec![value], missing: 0.0 };
        let model = |values: [f64; 3]| LinearModel {
            n_features: 1,
            intercept: 0.0,
            terms: values.into_iter().map(term).collect(),
        };
        assert_eq!(raw_score(&model([1e16, 1.0, -1e16]), &[0.0]), 0.0);
        assert_eq!(raw_score(&model([1e16, -1e16, 1.0]), &[0.0]), 1.0);
    }

    proptest! {
        #[test]
        fn any_bits_give_a_number(bits: u32) {
            let x = f32::from_bits(bits);
            prop_assert!(numeric(Some(1.0)).contribution(x).is_finite());
            let term = LinearTerm::Categorical { feature: 0, levels: vec![1.0, 2.0], missing: 0.0 };
            prop_assert!(term.contribution(x).is_finite());
        }
    }
}
