//! Scorecards from outside: what a table of points finds, and that it is the model.

use std::ops::ControlFlow;

use orderguard_features::language::spec::FeatureKind;
use orderguard_features::matrix::Matrix;
use orderguard_inference::RawScorer;
use orderguard_inference::model::{Characteristic, PointScale, Predictor, Scorecard};
use orderguard_inference::scorecard::points;
use orderguard_trainer::logistic::{FitLinearError, LogisticParams, fit_logistic};
use orderguard_trainer::samples::Samples;
use orderguard_trainer::scorecard::*;
use orderguard_trainer::woe::Trend;

const N: usize = 12_000;

fn uniform(i: usize) -> f64 {
    let mut x = (i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(0x1234_5678_9ABC_DEF1);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((x ^ (x >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Feature 0 risky above 50, some missing; 1 falling, with first-seen values; 2 a category whose level 1 is risky; 3 a copy of
/// 0; 4 noise; 5 constant; 6 all missing.
fn data() -> (Matrix, Vec<u8>, Vec<FeatureKind>, Vec<bool>) {
    let mut values = vec![0.0_f32; N * 7];
    let mut labels = vec![0; N];
    for i in 0..N {
        let u = |k: usize| uniform(i * 10 + k);
        let amount = (u(0) * 100.0).floor();
        let missing = u(1) < 0.1;
        let seen = u(2);
        let level = (u(3) * 4.0).floor();
        let z =
            -4.0 + if missing {
                0.8
            } else if amount > 50.0 {
                1.5
            } else {
                0.0
            } + if seen < 0.2 { 1.2 } else { -seen }
                + if level == 1.0 { 1.0 } else { 0.0 };
        labels[i] = u8::from(u(4) < 1.0 / (1.0 + (-z).exp()));
        let amount = if missing { f32::NAN } else { amount as f32 };
        let history = if seen < 0.2 { -1.0 } else { (seen * 30.0) as f32 };
        for (j, v) in [amount, history, level as f32, amount, u(5) as f32, 5.0, f32::NAN].into_iter().enumerate() {
            values[j * N + i] = v;
        }
    }
    let mut kinds = vec![FeatureKind::Numeric; 7];
    kinds[2] = FeatureKind::Categorical { n_levels: 4 };
    (Matrix::from_columns(N, 7, values), labels, kinds, (0..7).map(|j| j == 1).collect())
}

fn go(_: usize, _: usize) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn find(card: &Scorecard, feature: u32) -> Option<&Characteristic> {
    card.characteristics.iter().find(|of| of.feature() == feature)
}

#[test]
fn finds_what_was_planted_and_ranks_about_as_a_logistic_regression() {
    let (matrix, labels, kinds, first_seen) = data();
    let rows: Vec<u32> = (0..N as u32).collect();
    let part = |from: usize, to: usize| Samples { matrix: &matrix, rows: &rows[from..to], labels: &labels[from..to] };
    let (train, valid, test) = (part(0, 7_000), part(7_000, 9_000), part(9_000, N));
    let params = ScorecardParams::default().check().unwrap();
    let fit = fit_scorecard(&params, &kinds, &first_seen, &train, &valid, &mut go).unwrap();
    let card = &fit.card;
    for feature in [4, 5, 6] {
        assert!(find(card, feature).is_none() && fit.importance[feature as usize] == 0.0, "{feature}");
    }
    assert!(card.characteristics.iter().flat_map(Characteristic::bins).all(|bin| bin.points >= 0));
    let Some(Characteristic::Numeric { upper, bins, missing, .. }) = find(card, 0).or(find(card, 3)) else {
        panic!("the amount is in the card: {card:?}")
    };
    assert!(upper.iter().any(|end| (47.0..=53.0).contains(end)), "{upper:?}");
    assert!(bins.windows(2).all(|pair| pair[0].points <= pair[1].points) && missing.points > bins[0].points);
    let Some(Characteristic::Numeric { specials, bins, .. }) = find(card, 1) else { panic!("{card:?}") };
    assert!(specials[0].0 == -1.0 && specials[0].1.points > bins[0].points);
    let Some(Characteristic::Categorical { groups, bins, .. }) = find(card, 2) else { panic!("{card:?}") };
    assert_eq!((groups[0], groups[2], groups[3]), (0, 0, 0));
    assert!(bins[groups[1] as usize].points > 10 && bins.len() == 3 && bins[2].n_orders == 0);
    // Orders with a log-odds of 0.5 more have 20 / ln 2 / 2 points more, within what 7,000 orders tell.
    assert!((f64::from(bins[groups[1] as usize].points) - 20.0 / std::f64::consts::LN_2).abs() < 8.0, "{bins:?}");

    let average_precision = |scores: &[f64]| orderguard_evaluation::average_precision(scores, test.labels).unwrap();
    let by_points = average_precision(&raw_scores(card, &test));
    let logistic = LogisticParams::default().check().unwrap();
    let linear = fit_logistic(&logistic, &kinds, &first_seen, &train, Some(&valid), &mut go).unwrap();
    let by_weights = average_precision(&orderguard_trainer::logistic::raw_scores(&linear.model, &test));
    assert!(by_points > by_weights - 0.02, "{by_points} {by_weights}");
    // Probabilities are those of the data: as many frauds are expected as there are.
    let expected: f64 = raw_scores(card, &test).iter().map(|raw| 1.0 / (1.0 + (-raw).exp())).sum();
    let found = test.n_fraud() as f64;
    assert!((expected - found).abs() < 0.15 * found, "{expected} {found}");

    let scorer = RawScorer::compile(&Predictor::Scorecard(card.clone())).unwrap();
    let mut row = vec![0.0; 7];
    for (&at, score) in test.rows.iter().zip(raw_scores(card, &test)) {
        matrix.copy_row(at as usize, &mut row);
        assert_eq!(scorer.raw_score(&row).unwrap().to_bits(), score.to_bits());
        assert_eq!(card.scale.raw_score(points(card, &row)), score);
    }
}

#[test]
fn points_mean_what_the_scale_says() {
    let (matrix, labels, kinds, first_seen) = data();
    let rows: Vec<u32> = (0..N as u32).collect();
    let samples = Samples { matrix: &matrix, rows: &rows, labels: &labels };
    let fit = |scale: PointScale| {
        let params = ScorecardParams { scale, ..Default::default() }.check().unwrap();
        fit_scorecard_fixed(&params, &kinds, &first_seen, &samples, 9, &mut go).unwrap()
    };
    let plain = fit(ScorecardParams::default().scale);
    let fine = fit(PointScale { base_score: 0.0, base_odds: 1.0, points_to_double: 1_000.0 });
    assert_eq!(plain.card.characteristics.len(), fine.card.characteristics.len());
    let (a, b) = (raw_scores(&plain.card, &samples), raw_scores(&fine.card, &samples));
    // Half a point of rounding for each characteristic and the start.
    let most = 0.5 * (1 + plain.card.characteristics.len()) as f64 * std::f64::consts::LN_2 / 20.0 + 0.01;
    assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() <= most));
}

#[test]
fn trends_specials_and_the_number_of_characteristics_are_kept() {
    let (matrix, labels, kinds, first_seen) = data();
    let rows: Vec<u32> = (0..N as u32).collect();
    let samples = Samples { matrix: &matrix, rows: &rows, labels: &labels };
    let params = ScorecardParams {
        max_characteristics: 2,
        trends: vec![(0, Trend::Falling), (3, Trend::Falling)],
        specials: vec![(1, 29.0), (1, 6.5)],
        ..Default::default()
    };
    let params = params.check().unwrap();
    let fit = fit_scorecard_fixed(&params, &kinds, &first_seen, &samples, 19, &mut go).unwrap();
    assert!(matches!(fit.card.characteristics.len(), 1..=2), "{:?}", fit.card);
    for of in &fit.card.characteristics {
        if let Characteristic::Numeric { feature: 0 | 3, bins, .. } = of {
            assert!(bins.windows(2).all(|pair| pair[0].points >= pair[1].points), "{of:?}");
        }
        if let Characteristic::Numeric { feature: 1, specials, .. } = of {
            assert!(specials.iter().all(|(value, _)| [-1.0, 6.5, 29.0].contains(value)));
        }
    }
}

#[test]
fn same_bits_for_any_number_of_threads_and_honest_folds() {
    let (matrix, labels, kinds, first_seen) = data();
    let rows: Vec<u32> = (0..4_000).collect();
    let samples = Samples { matrix: &matrix, rows: &rows, labels: &labels[..4_000] };
    let folds: Vec<u8> = (0..4_000).map(|i| (i % 3) as u8).collect();
    let params = ScorecardParams::default().check().unwrap();
    let with = |n: usize, labels: &[u8]| {
        let samples = Samples { labels, ..samples };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
        pool.install(|| fit_scorecard_folds(&params, &kinds, &first_seen, &samples, &folds, &mut go).unwrap())
    };
    let one = with(1, samples.labels);
    assert_eq!(one, with(3, samples.labels));
    assert_eq!(one.history.len(), N_STRENGTHS);
    // A fold's scores never depend on its own labels: at the step that both runs chose, or with equal choices.
    let turned: Vec<u8> = (0..4_000).map(|i| if folds[i] == 1 { 1 - labels[i] } else { labels[i] }).collect();
    let other = with(2, &turned);
    if other.strength == one.strength {
        assert!((0..4_000).filter(|i| folds[*i] == 1).all(|i| one.out_of_fold[i] == other.out_of_fold[i]));
    }
    assert_ne!(one.out_of_fold, other.out_of_fold);
}

#[test]
fn refuses_one_class_and_bad_parameters_and_makes_an_empty_card_of_noise() {
    let matrix = Matrix::from_columns(300, 1, (0..300).map(|i| uniform(i) as f32).collect());
    let rows: Vec<u32> = (0..300).collect();
    let params = ScorecardParams::default().check().unwrap();
    let fit = |labels: &[u8]| {
        let samples = Samples { matrix: &matrix, rows: &rows, labels };
        fit_scorecard(&params, &[FeatureKind::Numeric], &[false], &samples, &samples, &mut go)
    };
    assert_eq!(fit(&[0; 300]).unwrap_err(), FitLinearError::OneClass { n_fraud: 0, n_honest: 300 });
    let mut one = vec![0; 300];
    one[7] = 1;
    let card = fit(&one).unwrap().card;
    assert!(card.characteristics.is_empty());
    // One fraud among 299 honest orders, to half a point.
    let raw = card.scale.raw_score(points(&card, &[0.5]));
    assert!((raw - (1.0_f64 / 299.0).ln()).abs() < 0.02, "{raw}");
    let name = |change: fn(&mut ScorecardParams)| {
        let mut params = ScorecardParams::default();
        change(&mut params);
        params.check().unwrap_err().name
    };
    assert_eq!(name(|p| p.scale.base_odds = 0.0), "base_odds");
    assert_eq!(name(|p| p.scale.base_score = f64::NAN), "base_score");
    assert_eq!(name(|p| p.scale.points_to_double = 0.5), "points_to_double");
    assert_eq!(name(|p| p.max_characteristics = 0), "max_characteristics");
    assert_eq!(name(|p| p.min_information = -1.0), "min_information");
    assert_eq!(name(|p| p.max_bins = 1), "max_bins");
    assert_eq!(name(|p| p.min_share = 0.6), "min_share");
    assert_eq!(name(|p| p.min_class = 0), "min_class");
    assert_eq!(name(|p| p.min_gain = f64::NAN), "min_gain");
    assert_eq!(name(|p| p.ridge = 0.0), "ridge");
    assert_eq!(name(|p| p.specials = vec![(0, f32::NAN)]), "specials");
}
