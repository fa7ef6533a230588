//! From raw score to probability.

use crate::model::Calibration;

/// The probability of fraud that a raw score stands for, in [0, 1].
///
/// Increasing, up to the rounding of the last bit: rank and compare by the raw score, show the probability. A NaN raw score
/// gives NaN; infinities give the ends, 0 and 1 (a beta map with one weight levels off at the other end). `exp` and `log` come from `libm`: the same bits on every machine. O(1), for
/// [`Calibration::Isotonic`] O(log knots).
///
/// ```
/// use orderguard_inference::{calibrate::probability, model::Calibration};
/// let plain = Calibration::Platt { slope: 1.0, intercept: 0.0 };
/// assert_eq!(probability(&plain, 0.0), 0.5);
/// assert!(probability(&plain, -800.0) >= 0.0);
/// ```
pub fn probability(calibration: &Calibration, raw: f64) -> f64 {
    sigmoid(log_odds(calibration, raw))
}

/// The calibrated log-odds of a raw score; [`probability`] is its [`sigmoid`]. Infinite where the raw score is.
pub fn log_odds(calibration: &Calibration, raw: f64) -> f64 {
    match calibration {
        Calibration::Platt { slope, intercept } => slope * raw + intercept,
        Calibration::Beta { a, b, c } => {
            // ln s = -ln(1 + e^-raw) and -ln(1 - s) = ln(1 + e^raw), without computing s, which would round to 0 or 1.
            // A weight of 0 leaves its term out also where the term is infinite.
            let below = if *a == 0.0 { 0.0 } else { -a * softplus(-raw) };
            let above = if *b == 0.0 { 0.0 } else { b * softplus(raw) };
            if raw.is_nan() { raw } else { below + above + c }
        }
        Calibration::Isotonic { knots } => interpolate(knots, raw),
    }
}

/// `1 / (1 + exp(-x))` without overflow: the exponential is only taken of a number that is not positive.
///
/// # Reference
/// Maechler, Accurately Computing log(1 - exp(-|a|)) (2012), for the idea of splitting at the sign.
pub fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + libm::exp(-x))
    } else {
        let e = libm::exp(x);
        e / (1.0 + e)
    }
}

/// `ln(1 + exp(x))` without overflow or cancellation.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + libm::log1p(libm::exp(-x.abs()))
}

/// Straight lines between the knots, slope 1 outside of them; no knot means the raw score itself.
fn interpolate(knots: &[(f64, f64)], raw: f64) -> f64 {
    let (Some(first), Some(last)) = (knots.first(), knots.last()) else {
        return raw;
    };
    if raw <= first.0 {
        return first.1 + (raw - first.0);
    }
    if raw >= last.0 {
        return last.1 + (raw - last.0);
    }
    // NaN passes both comparisons above; it is below no knot here, so the position would be 0.
    let right = knots.partition_point(|knot| knot.0 <= raw);
    if right == 0 {
        return f64::NAN;
    }
    let (from, to) = (knots[right - 1], knots[right]);
    // Rounding may carry the line past its end by an ulp; the clamp keeps the map from decreasing across a knot.
    (from.1 + (raw - from.0) / (to.0 - from.0) * (to.1 - from.1)).clamp(from.1, to.1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn calibrations() -> impl Strategy<Value = Calibration> {
        prop_oneof![
            (1e-3f64..10.0, -20.0f64..20.0).prop_map(|(slope, intercept)| Calibration::Platt { slope, intercept }),
            (1e-3f64..10.0, 0.0f64..10.0, -20.0f64..20.0).prop_map(|(a, b, c)| Calibration::Beta { a, b, c }),
            (0.0f64..10.0, 1e-3f64..10.0, -20.0f64..20.0).prop_map(|(a, b, c)| Calibration::Beta { a, b, c }),
            (-5.0f64..5.0, -5.0f64..5.0, prop::collection::vec((1e-3f64..2.0, 1e-3f64..2.0), 0..6)).prop_map(
                |(x, y, steps)| {
                    let mut knots = vec![(x, y)];
                    for (dx, dy) in steps {
                        let last = knots[knots.len() - 1];
                        knots.push((last.0 + dx, last.1 + dy));
                    }
                    Calibration::Isotonic { knots }
                }
            ),
        ]
    }

    #[test]
    fn known_values() {
        assert_eq!(sigmoid(0.0), 0.5);
        assert!((sigmoid(1.0) - 0.731_058_578_630_004_9).abs() < 1e-15);
        assert!((sigmoid(-40.0) - 4.248_354_255_291_589e-18).abs() < 1e-32);
        // Beta with a = b = 1, c = 0 is the identity on the log-odds.
        let identity = Calibration::Beta { a: 1.0, b: 1.0, c: 0.0 };
        for raw in [-30.0, -3.0, 0.0, 0.5, 20.0] {
            assert!((log_odds(&identity, raw) - raw).abs() < 1e-12, "{raw}");
        }
        let lines = Calibration::Isotonic { knots: vec![(0.0, -1.0), (2.0, 0.0), (3.0, 4.0)] };
        for (raw, expected) in [(-1.0, -2.0), (0.0, -1.0), (1.0, -0.5), (2.0, 0.0), (2.5, 2.0), (3.0, 4.0), (5.0, 6.0)]
        {
            assert_eq!(log_odds(&lines, raw), expected, "{raw}");
        }
    }

    #[test]
    fn infinities_give_the_ends_and_nan_gives_nan() {
        for calibration in [
            Calibration::Platt { slope: 0.5, intercept: -2.0 },
            Calibration::Beta { a: 1.0, b: 2.0, c: 0.1 },
            Calibration::Isotonic { knots: vec![(0.0, 0.0), (1.0, 2.0)] },
        ] {
            assert_eq!(probability(&calibration, f64::INFINITY), 1.0, "{calibration:?}");
            assert_eq!(probability(&calibration, f64::NEG_INFINITY), 0.0, "{calibration:?}");
            assert!(probability(&calibration, f64::NAN).is_nan(), "{calibration:?}");
            assert_eq!(probability(&calibration, f64::MAX), 1.0, "{calibration:?}");
            assert_eq!(probability(&calibration, f64::MIN), 0.0, "{calibration:?}");
        }
        // A beta map with one weight levels off at that end: ln p tends to c.
        let level = Calibration::Beta { a: 1.0, b: 0.0, c: 0.0 };
        assert_eq!(probability(&level, f64::INFINITY), 0.5);
        assert_eq!(probability(&level, f64::NEG_INFINITY), 0.0);
    }

    proptest! {
        #[test]
        fn agrees_with_the_plain_formula(calibration in calibrations(), raw in -8.0f64..8.0) {
            let logit = match &calibration {
                Calibration::Platt { slope, intercept } => slope * raw + intercept,
                Calibration::Beta { a, b, c } => {
                    let s = 1.0 / (1.0 + (-raw).exp());
                    a * s.ln() - b * (1.0 - s).ln() + c
                }
                Calibration::Isotonic { knots } => {
                    let mut value = knots[0].1 + (raw - knots[0].0).min(0.0);
                    for pair in knots.windows(2) {
                        let part = ((raw - pair[0].0) / (pair[1].0 - pair[0].0)).clamp(0.0, 1.0);
                        value += part * (pair[1].1 - pair[0].1);
                    }
                    value + (raw - knots[knots.len() - 1].0).max(0.0)
                }
            };
            prop_assert!((log_odds(&calibration, raw) - logit).abs() <= 1e-8 * logit.abs().max(1.0));
            let p = 1.0 / (1.0 + (-logit).exp());
            prop_assert!((probability(&calibration, raw) - p).abs() <= 1e-8);
        }

        #[test]
        fn increases_and_stays_between_zero_and_one(
            calibration in calibrations(), from in -60.0f64..60.0, step in 1e-3f64..10.0,
        ) {
            let (low, high) = (probability(&calibration, from), probability(&calibration, from + step));
            prop_assert!((0.0..=1.0).contains(&low) && low <= high && high <= 1.0);
            // Strictly, where f64 has room: the log-odds move by at least 1e-3 x 1e-3 x a share.
            let (l, h) = (log_odds(&calibration, from), log_odds(&calibration, from + step));
            prop_assert!(l <= h);
            if from > -5.0 && from + step < 5.0 {
                prop_assert!(l < h);
                if h < 15.0 {
                    prop_assert!(low < high, "{} {} {} {}", l, h, low, high);
                }
            }
        }

        #[test]
        fn rises_strictly_from_step_to_step_of_the_booster(calibration in calibrations(), at in -30.0f64..30.0) {
            // A beta map with one weight of 0 levels off; fitted ones have none.
            let levels_off = matches!(calibration, Calibration::Beta { a, b, .. } if a.min(b) < 1e-3);
            let from = (at * 67_108_864.0).round();
            let (low, high) = (from / 67_108_864.0, (from + 1.0) / 67_108_864.0);
            let (l, h) = (log_odds(&calibration, low), log_odds(&calibration, high));
            prop_assert!(l <= h && (levels_off || l < h), "{l} {h}");
            // The probability follows as long as 1 - p has room for the step.
            if !levels_off && h < 8.0 {
                prop_assert!(probability(&calibration, low) < probability(&calibration, high));
            }
        }

        #[test]
        fn neighbours_never_decrease(calibration in calibrations(), raw in -50.0f64..50.0) {
            prop_assert!(probability(&calibration, raw) <= probability(&calibration, raw.next_up()) + 1e-15);
            if let Calibration::Isotonic { knots } = &calibration {
                for &(x, y) in knots {
                    prop_assert!(log_odds(&calibration, x.next_down()) <= y);
                    prop_assert!(log_odds(&calibration, x.next_up()) >= y);
                    prop_assert_eq!(log_odds(&calibration, x), y);
                }
            }
        }
    }
}
