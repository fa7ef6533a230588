//! Calibration from outside: known distortions, order of rows, hostile scores.

use orderguard_inference::calibrate::{log_odds, probability};
use orderguard_inference::model::Calibration;
use orderguard_trainer::calibration::{CalibrationError, fit_calibration};
use proptest::prelude::*;

/// A number in (0, 1) from a position, the same on every machine.
fn uniform(i: u64) -> f64 {
    let mut x = i.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(0x1234_5678_9ABC_DEF1);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((x ^ (x >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Raw scores between -6 and 2, and labels drawn with the log-odds `truth(raw)`.
fn drawn(n: u64, truth: impl Fn(f64) -> f64) -> (Vec<f64>, Vec<u8>) {
    (0..n)
        .map(|i| {
            let raw = 8.0 * uniform(2 * i) - 6.0;
            (raw, u8::from(uniform(2 * i + 1) < 1.0 / (1.0 + libm::exp(-truth(raw)))))
        })
        .unzip()
}

#[test]
fn recovers_a_linear_distortion() {
    let (raw, labels) = drawn(20_000, |x| 0.5 * x - 1.0);
    let fit = fit_calibration(&raw, &labels, None, 1).unwrap();
    for x in [-5.0, -2.0, 0.0, 1.5] {
        assert!((log_odds(&fit.calibration, x) - (0.5 * x - 1.0)).abs() < 0.15, "{:?}", fit.calibration);
    }
    let chosen = fit.candidates.iter().map(|c| c.1).fold(f64::INFINITY, f64::min);
    assert!(chosen < fit.uncalibrated_log_loss - 0.01);
    for bin in &fit.reliability {
        let share = bin.n_fraud as f64 / bin.n_rows as f64;
        assert!((share - bin.mean_probability).abs() < 0.2 * bin.mean_probability + 0.03, "{bin:?}");
    }
    assert_eq!(fit.reliability.iter().map(|b| b.n_rows).sum::<usize>(), 20_000);
}

#[test]
fn recovers_a_step_by_isotonic_and_a_bend_by_beta() {
    let (raw, labels) = drawn(20_000, |x| if x < -1.0 { -4.0 } else { 0.0 });
    let step = fit_calibration(&raw, &labels, None, 1).unwrap();
    assert!(matches!(step.calibration, Calibration::Isotonic { .. }), "{:?}", step.candidates);
    assert!((probability(&step.calibration, 1.0) - 0.5).abs() < 0.05);
    let (a, b, c) = (0.4, 2.0, -0.5);
    let truth = Calibration::Beta { a, b, c };
    let (raw, labels) = drawn(20_000, |x| log_odds(&truth, x));
    let bend = fit_calibration(&raw, &labels, None, 1).unwrap();
    for x in [-5.0, -2.0, 0.0, 1.5] {
        assert!((log_odds(&bend.calibration, x) - log_odds(&truth, x)).abs() < 0.3, "{:?}", bend.calibration);
    }
    assert!(bend.candidates[1].1 < bend.candidates[0].1, "beta must beat platt: {:?}", bend.candidates);
}

#[test]
fn few_frauds_mean_few_candidates() {
    let (raw, mut labels) = drawn(2_000, |x| x);
    let mut left = 150;
    for label in &mut labels {
        left -= i32::from(*label);
        *label &= u8::from(left >= 0);
    }
    let names = |labels: &[u8]| {
        fit_calibration(&raw, labels, None, 1).unwrap().candidates.iter().map(|c| c.0).collect::<Vec<_>>()
    };
    assert_eq!(names(&labels), ["platt", "beta"]);
    let mut five = vec![0; 2_000];
    five[..5].fill(1);
    let fit = fit_calibration(&raw, &five, None, 1).unwrap();
    assert!(matches!(fit.calibration, Calibration::Platt { slope: 1.0, .. }) && fit.note.is_some());
    let none = fit_calibration(&raw, &vec![0; 2_000], None, 1).unwrap();
    assert_eq!(none.calibration, Calibration::Platt { slope: 1.0, intercept: 0.0 });
    assert!(none.note.unwrap().contains("0 frauds"));
    assert!(fit_calibration(&[], &[], None, 1).unwrap().note.is_some());
}

#[test]
fn rejects_what_is_no_score() {
    assert_eq!(
        fit_calibration(&[0.0, f64::INFINITY], &[0, 1], None, 1),
        Err(CalibrationError::RawScore { row: 1, found: f64::INFINITY })
    );
    assert!(matches!(fit_calibration(&[f64::NAN], &[0], None, 1), Err(CalibrationError::RawScore { row: 0, .. })));
    assert_eq!(fit_calibration(&[0.0], &[2], None, 1), Err(CalibrationError::Label { row: 0, found: 2 }));
    let short = fit_calibration(&[0.0, 1.0], &[0], None, 1);
    assert_eq!(short, Err(CalibrationError::LengthMismatch { n_raw: 2, n_other: 1 }));
    let groups = fit_calibration(&[0.0], &[0], Some(&[]), 1);
    assert_eq!(groups, Err(CalibrationError::LengthMismatch { n_raw: 1, n_other: 0 }));
}

#[test]
fn row_order_changes_no_bit() {
    let (raw, labels) = drawn(5_000, |x| x);
    let raw: Vec<f64> = raw.iter().map(|x| (x * 20.0).round() / 20.0).collect();
    let groups: Vec<u64> = (0..5_000).map(|i| i % 700).collect();
    let shuffled: Vec<usize> = (0..5_000).map(|i| i * 1_777 % 5_000).collect();
    let pick = |v: &[f64]| shuffled.iter().map(|&i| v[i]).collect::<Vec<_>>();
    let (raw2, labels2) = (pick(&raw), shuffled.iter().map(|&i| labels[i]).collect::<Vec<_>>());
    let groups2: Vec<u64> = shuffled.iter().map(|&i| groups[i]).collect();
    for (g, g2) in [(None, None), (Some(groups.as_slice()), Some(groups2.as_slice()))] {
        let (one, two) =
            (fit_calibration(&raw, &labels, g, 3).unwrap(), fit_calibration(&raw2, &labels2, g2, 3).unwrap());
        assert_eq!((&one.calibration, &one.candidates), (&two.calibration, &two.candidates));
        assert_eq!(one.reliability, two.reliability);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn always_finite_and_rising(
        rows in prop::collection::vec((prop_oneof![-8.0..4.0_f64, -700.0..700.0_f64, Just(0.0), Just(700.0), -1e-9..1e-9_f64], 0_u8..2), 1..400),
    ) {
        let (raw, labels): (Vec<f64>, Vec<u8>) = rows.into_iter().unzip();
        let fit = fit_calibration(&raw, &labels, None, 1).unwrap();
        match &fit.calibration {
            Calibration::Platt { slope, intercept } => prop_assert!(*slope > 0.0 && slope.is_finite() && intercept.is_finite()),
            Calibration::Beta { a, b, c } => prop_assert!(*a > 0.0 && *b > 0.0 && (a + b).is_finite() && c.is_finite()),
            Calibration::Isotonic { knots } => {
                prop_assert!(knots.windows(2).all(|k| k[0].0 < k[1].0 && k[0].1 < k[1].1));
                prop_assert!(knots.iter().all(|k| k.0.is_finite() && k.1.is_finite()));
            }
        }
        for i in -700..700 {
            let (low, high) = (log_odds(&fit.calibration, f64::from(i)), log_odds(&fit.calibration, f64::from(i + 1)));
            prop_assert!(low < high, "{i}: {low} {high} {:?}", fit.calibration);
        }
        // Strictly also between neighbouring scores of a booster, which are 2^-26 apart.
        for &at in &raw {
            let from = (at.clamp(-30.0, 30.0) * 67_108_864.0).round();
            let (low, high) = (from / 67_108_864.0, (from + 1.0) / 67_108_864.0);
            prop_assert!(log_odds(&fit.calibration, low) < log_odds(&fit.calibration, high), "{low} {:?}", fit.calibration);
        }
        for (end, p) in [(f64::NEG_INFINITY, 0.0), (f64::INFINITY, 1.0)] {
            prop_assert_eq!(probability(&fit.calibration, end), p);
        }
        prop_assert!(fit.cross_fitted.iter().all(|p| (0.0..=1.0).contains(p)));
    }
}
