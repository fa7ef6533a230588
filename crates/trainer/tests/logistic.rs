//! Logistic regression from outside: the optimum, hostile columns, threads.

use std::ops::ControlFlow;

use orderguard_features::language::spec::FeatureKind;
use orderguard_features::matrix::Matrix;
use orderguard_inference::linear::raw_score;
use orderguard_inference::model::{LinearModel, LinearTerm};
use orderguard_trainer::logistic::*;
use orderguard_trainer::samples::Samples;

const N: usize = 6_000;

fn uniform(i: usize) -> f64 {
    let mut x = (i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(0x1234_5678_9ABC_DEF1);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((x ^ (x >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Feature 0 useful, 1 its copy, 2 constant, 3 all missing, 4 a history feature with first-seen and missing, 5 categorical
/// with 3 levels (2 never seen, rare ones useful), 6 noise with infinities.
fn data() -> (Matrix, Vec<u8>, Vec<FeatureKind>, Vec<bool>) {
    let mut values = vec![0.0_f32; N * 7];
    let mut labels = vec![0; N];
    for i in 0..N {
        let u = |k: usize| uniform(i * 10 + k);
        let x = u(0) * 4.0 - 2.0;
        let seen = u(1);
        let level = if u(2) < 0.5 {
            0.0
        } else if u(2) < 0.9 {
            1.0
        } else {
            3.0
        };
        let z = 1.2 * x - 3.0 + if seen < 0.2 { 1.5 } else { 0.0 } + if level == 3.0 { 1.0 } else { 0.0 };
        labels[i] = u8::from(u(3) < 1.0 / (1.0 + (-z).exp()));
        let history = if seen < 0.2 {
            -1.0
        } else if seen < 0.3 {
            f32::NAN
        } else {
            (seen * 9.0).floor() as f32
        };
        let noise = if i % 500 == 7 { f32::INFINITY } else { u(4) as f32 };
        for (j, v) in [x as f32, x as f32, 5.0, f32::NAN, history, level, noise].into_iter().enumerate() {
            values[j * N + i] = v;
        }
    }
    let mut kinds = vec![FeatureKind::Numeric; 7];
    kinds[5] = FeatureKind::Categorical { n_levels: 3 };
    let first_seen = (0..7).map(|j| j == 4).collect();
    (Matrix::from_columns(N, 7, values), labels, kinds, first_seen)
}

fn go(_: usize, _: usize) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn objective(model: &LinearModel, samples: &Samples, weights: &[f64], lambda: f64, l1_ratio: f64) -> f64 {
    let loss: f64 = raw_scores(model, samples)
        .iter()
        .zip(samples.labels)
        .map(|(&s, &y)| if y == 1 { (1.0 + (-s).exp()).ln() } else { (1.0 + s.exp()).ln() })
        .sum();
    loss + weights.iter().map(|w| lambda * ((1.0 - l1_ratio) / 2.0 * w * w + l1_ratio * w.abs())).sum::<f64>()
}

/// Every free number of the model, intercept first. Missing and first-seen stand in a feature's first term, 0 in the others.
fn numbers(model: &mut LinearModel) -> Vec<&mut f64> {
    let mut all = vec![&mut model.intercept];
    let mut before = None;
    for term in &mut model.terms {
        let is_first = before != Some(term.feature());
        before = Some(term.feature());
        match term {
            LinearTerm::Numeric { weight, missing, first_seen, .. } => {
                all.push(weight);
                if is_first {
                    all.push(missing);
                    all.extend(first_seen);
                }
            }
            LinearTerm::Categorical { levels, missing, .. } => {
                all.extend(levels);
                all.push(missing);
            }
        }
    }
    all
}

#[test]
fn no_small_change_of_any_weight_is_better() {
    let (matrix, labels, kinds, first_seen) = data();
    let rows: Vec<u32> = (0..N as u32).collect();
    let samples = Samples { matrix: &matrix, rows: &rows, labels: &labels };
    for l1_ratio in [0.0, 0.5, 1.0] {
        let params = LogisticParams { l1_ratio, tolerance: 1e-9, ..Default::default() }.check().unwrap();
        let fit = fit_logistic_fixed(&params, &kinds, &first_seen, &samples, 3.0, &mut go).unwrap();
        assert!(fit.history[0].converged);
        let mut model = fit.model;
        let weights = |model: &mut LinearModel| numbers(model).iter().skip(1).map(|w| **w).collect::<Vec<f64>>();
        let w = weights(&mut model);
        let best = objective(&model, &samples, &w, 3.0, l1_ratio);
        for k in 0..numbers(&mut model).len() {
            for change in [1e-3, -1e-3] {
                let mut moved = model.clone();
                *numbers(&mut moved)[k] += change;
                let w = weights(&mut moved);
                assert!(objective(&moved, &samples, &w, 3.0, l1_ratio) > best - 1e-6, "{l1_ratio} {k} {change}");
            }
        }
    }
}

#[test]
fn hostile_columns_and_scores_equal_to_inference() {
    let (matrix, labels, kinds, first_seen) = data();
    let rows: Vec<u32> = (0..N as u32).collect();
    let (train, valid) = rows.split_at(4_000);
    let train = Samples { matrix: &matrix, rows: train, labels: &labels[..4_000] };
    let valid = Samples { matrix: &matrix, rows: valid, labels: &labels[4_000..] };
    let params = LogisticParams::default().check().unwrap();
    let fit = fit_logistic(&params, &kinds, &first_seen, &train, Some(&valid), &mut go).unwrap();
    assert!(fit.importance[0] > 0.3 && (fit.importance[0] - fit.importance[1]).abs() < 1e-3, "{:?}", fit.importance);
    assert_eq!((fit.importance[2], fit.importance[3]), (0.0, 0.0));
    let scores = raw_scores(&fit.model, &valid);
    let mut row = vec![0.0; 7];
    for (&at, score) in valid.rows.iter().zip(&scores) {
        matrix.copy_row(at as usize, &mut row);
        assert_eq!(raw_score(&fit.model, &row).to_bits(), score.to_bits());
    }
    let levels = fit.model.terms.iter().find_map(|t| match t {
        LinearTerm::Categorical { levels, .. } => Some(levels),
        LinearTerm::Numeric { .. } => None,
    });
    let levels = levels.unwrap();
    assert_eq!((levels.len(), levels[2]), (4, 0.0));
    assert!(levels[3] > levels[0] + 0.5);
}

#[test]
fn same_bits_for_any_number_of_threads() {
    let (matrix, labels, kinds, first_seen) = data();
    let rows: Vec<u32> = (0..N as u32).collect();
    let samples = Samples { matrix: &matrix, rows: &rows, labels: &labels };
    let params = LogisticParams { l1_ratio: 0.3, ..Default::default() }.check().unwrap();
    let with = |n: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
        pool.install(|| fit_logistic(&params, &kinds, &first_seen, &samples, Some(&samples), &mut go).unwrap())
    };
    let one = with(1);
    assert_eq!(one, with(3));
    assert!(one.history.iter().all(|step| step.converged));
}

#[test]
fn separable_rare_and_wide_data_converge() {
    // One fraud in a thousand, separated exactly by the only feature.
    let matrix = Matrix::from_columns(4_000, 1, (0..4_000).map(|i| i as f32).collect());
    let rows: Vec<u32> = (0..4_000).collect();
    let labels: Vec<u8> = (0..4_000).map(|i| u8::from(i >= 3_996)).collect();
    let samples = Samples { matrix: &matrix, rows: &rows, labels: &labels };
    for lambda in [1.0, 1e-6] {
        let params = LogisticParams::default().check().unwrap();
        let fit = fit_logistic_fixed(&params, &[FeatureKind::Numeric], &[false], &samples, lambda, &mut go).unwrap();
        assert!(fit.history[0].converged && fit.importance[0].is_finite());
        let scores = raw_scores(&fit.model, &samples);
        let honest = scores[..3_996].iter().copied().fold(f64::NEG_INFINITY, f64::max);
        assert!(scores[3_996..].iter().all(|&score| score > honest && score.is_finite()));
    }
    // More columns than one block holds.
    let wide = Matrix::from_columns(600, 900, (0..600 * 900).map(|i| uniform(i) as f32).collect());
    let labels: Vec<u8> = (0..600).map(|i| u8::from(wide.column(0)[i] + wide.column(899)[i] > 1.5)).collect();
    let samples = Samples { matrix: &wide, rows: &rows[..600], labels: &labels };
    let params = LogisticParams { knot_shares: vec![], ..Default::default() }.check().unwrap();
    let kinds = vec![FeatureKind::Numeric; 900];
    let fit = fit_logistic_fixed(&params, &kinds, &[false; 900], &samples, 30.0, &mut go).unwrap();
    assert!(fit.history[0].converged, "{:?}", fit.history);
    let mut ranked: Vec<usize> = (0..900).collect();
    ranked.sort_by(|&a, &b| fit.importance[b].total_cmp(&fit.importance[a]));
    ranked.truncate(2);
    ranked.sort_unstable();
    assert_eq!(ranked, [0, 899]);
}

#[test]
fn folds_score_every_order_by_a_model_of_the_others() {
    let (matrix, labels, kinds, first_seen) = data();
    let rows: Vec<u32> = (0..N as u32).collect();
    let samples = Samples { matrix: &matrix, rows: &rows, labels: &labels };
    let folds: Vec<u8> = (0..N).map(|i| (i % 3) as u8).collect();
    let params = LogisticParams { lambdas: vec![10.0, 1.0], ..Default::default() }.check().unwrap();
    let chosen = fit_logistic_folds(&params, &kinds, &first_seen, &samples, &folds, &mut go).unwrap();
    let turned: Vec<u8> = labels.iter().zip(&folds).map(|(&y, &f)| if f == 1 { 1 - y } else { y }).collect();
    let one = LogisticParams { lambdas: vec![chosen.lambda], ..Default::default() }.check().unwrap();
    let before = fit_logistic_folds(&one, &kinds, &first_seen, &samples, &folds, &mut go).unwrap();
    let other = Samples { labels: &turned, ..samples };
    let after = fit_logistic_folds(&one, &kinds, &first_seen, &other, &folds, &mut go).unwrap();
    for (i, &fold) in folds.iter().enumerate() {
        assert_eq!(before.out_of_fold[i] == after.out_of_fold[i], fold == 1);
    }
}

#[test]
fn refuses_one_class_bad_parameters_and_stops_on_request() {
    let matrix = Matrix::from_columns(3, 1, vec![1.0, 2.0, 3.0]);
    let samples = Samples { matrix: &matrix, rows: &[0, 1, 2], labels: &[0, 0, 0] };
    let params = LogisticParams::default().check().unwrap();
    let kinds = [FeatureKind::Numeric];
    let error = fit_logistic(&params, &kinds, &[false], &samples, None, &mut go).unwrap_err();
    assert_eq!(error, FitLinearError::OneClass { n_fraud: 0, n_honest: 3 });
    let both = Samples { labels: &[0, 1, 0], ..samples };
    let stop = &mut |_: usize, _: usize| ControlFlow::Break(());
    assert_eq!(fit_logistic(&params, &kinds, &[false], &both, None, stop), Err(FitLinearError::Interrupted));
    let name = |params: LogisticParams| params.check().unwrap_err().name;
    assert_eq!(name(LogisticParams { lambdas: vec![1.0, 2.0], ..Default::default() }), "lambdas");
    assert_eq!(name(LogisticParams { lambda: f64::NAN, ..Default::default() }), "lambda");
    assert_eq!(name(LogisticParams { l1_ratio: 1.5, ..Default::default() }), "l1_ratio");
    assert_eq!(name(LogisticParams { knot_shares: vec![0.0], ..Default::default() }), "knot_shares");
    assert_eq!(name(LogisticParams { reach: 0.0, ..Default::default() }), "reach");
    assert_eq!(name(LogisticParams { tolerance: 0.0, ..Default::default() }), "tolerance");
    assert_eq!(name(LogisticParams { max_iterations: 0, ..Default::default() }), "max_iterations");
}

/// The weights of another implementation, written by `scripts/fixtures/logistic`.
#[test]
fn finds_the_weights_that_scikit_learn_finds() {
    let fixture: serde_json::Value = serde_json::from_str(include_str!("data/logistic.json")).unwrap();
    let names = ["plain", "skewed", "first", "second"];
    let column = |name: &str| {
        let cells = fixture["columns"][name].as_array().unwrap();
        cells.iter().map(|x| x.as_f64().map_or(f32::NAN, |x| x as f32)).collect::<Vec<f32>>()
    };
    let values: Vec<f32> = names.iter().flat_map(|name| column(name)).collect();
    let labels: Vec<u8> =
        fixture["labels"].as_array().unwrap().iter().map(|label| label.as_u64().unwrap() as u8).collect();
    let kinds: Vec<FeatureKind> = names
        .iter()
        .map(|name| match fixture["levels"][name].as_u64() {
            Some(n) => FeatureKind::Categorical { n_levels: n as u32 },
            None => FeatureKind::Numeric,
        })
        .collect();
    let matrix = Matrix::from_columns(labels.len(), 4, values);
    let rows: Vec<u32> = (0..labels.len() as u32).collect();
    let samples = Samples { matrix: &matrix, rows: &rows, labels: &labels };
    for wanted in fixture["fits"].as_array().unwrap() {
        let number = |name: &str| wanted[name].as_f64().unwrap();
        let (lambda, l1_ratio) = (number("lambda"), number("l1_ratio"));
        let params = LogisticParams {
            l1_ratio,
            knot_shares: vec![],
            logs: false,
            reach: f64::INFINITY,
            tolerance: 1e-12,
            ..Default::default()
        }
        .check()
        .unwrap();
        let model = fit_logistic_fixed(&params, &kinds, &[false; 4], &samples, lambda, &mut go).unwrap().model;
        let weight = |name: &str| {
            let (feature, place) = name.split_once(' ').unwrap_or((name, ""));
            let feature = names.iter().position(|known| *known == feature).unwrap() as u32;
            let Some(term) = model.terms.iter().find(|term| term.feature() == feature) else { return 0.0 };
            match (term, place) {
                (LinearTerm::Numeric { missing, .. } | LinearTerm::Categorical { missing, .. }, "missing") => *missing,
                (LinearTerm::Numeric { weight, .. }, _) => *weight,
                (LinearTerm::Categorical { levels, .. }, level) => levels[level.parse::<usize>().unwrap()],
            }
        };
        // Cells are rounded to f32 once more after they are standardised: seven digits.
        let close = |found: f64, wanted: f64, name: &str| {
            assert!((found - wanted).abs() < 2e-6, "{lambda} {l1_ratio} {name}: {found} {wanted}");
        };
        close(model.intercept, number("intercept"), "intercept");
        let mut n_zero = 0;
        for (name, wanted) in wanted["weights"].as_object().unwrap() {
            close(weight(name), wanted.as_f64().unwrap(), name);
            n_zero += usize::from(weight(name) == 0.0);
        }
        assert_eq!(n_zero > 0, l1_ratio > 0.0, "an absolute part removes weights: {n_zero}");
    }
}
