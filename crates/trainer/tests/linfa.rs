//! The linfa edge: the same models as our own calls, and linfa's conventions.
#![cfg(feature = "linfa")]

use linfa::prelude::*;
use ndarray::{Array1, Array2, array};
use orderguard_features::language::spec::FeatureKind;
use orderguard_features::matrix::Matrix;
use orderguard_inference::model::Predictor;
use orderguard_trainer::linfa::{FitError, Learner};
use orderguard_trainer::logistic::{LogisticParams, fit_logistic_fixed};
use orderguard_trainer::params::GbtParams;
use orderguard_trainer::samples::Samples;
use orderguard_trainer::scorecard::ScorecardParams;

fn dataset() -> Dataset<f64, usize, ndarray::Ix1> {
    let records =
        Array2::from_shape_fn(
            (900, 3),
            |(i, j)| if (i + j) % 17 == 0 { f64::NAN } else { ((i * 31 + j * 7) % 50) as f64 },
        );
    let labels = Array1::from_shape_fn(900, |i| usize::from((i * 31) % 50 > 35 || i % 41 == 0));
    Dataset::new(records, labels)
}

#[test]
fn fits_the_same_weights_as_our_own_call() {
    let data = dataset();
    let model = Learner::new(LogisticParams::default()).fit(&data).unwrap();
    let columns: Vec<f32> = data.records().columns().into_iter().flat_map(|c| c.mapv(|x| x as f32).to_vec()).collect();
    let matrix = Matrix::from_columns(900, 3, columns);
    let labels: Vec<u8> = data.targets().iter().map(|&label| label as u8).collect();
    let rows: Vec<u32> = (0..900).collect();
    let samples = Samples { matrix: &matrix, rows: &rows, labels: &labels };
    let params = LogisticParams::default().check().unwrap();
    let go = &mut |_: usize, _: usize| std::ops::ControlFlow::Continue(());
    let own = fit_logistic_fixed(&params, &[FeatureKind::Numeric; 3], &[false; 3], &samples, 1.0, go).unwrap();
    assert_eq!(model.predictor, Predictor::Logistic(own.model));
    let probabilities: Array1<Pr> = model.predict(&data);
    for (p, raw) in probabilities.iter().zip(model.raw_scores(data.records())) {
        assert!((f64::from(**p) - 1.0 / (1.0 + (-raw).exp())).abs() < 1e-6);
    }
}

#[test]
fn every_learner_tells_the_classes_apart() {
    let data = dataset();
    let gbt = Learner::new(GbtParams { n_trees: 30, min_rows_per_leaf: 10, ..Default::default() }).fit(&data).unwrap();
    let card = Learner::new(ScorecardParams::default()).fit(&data).unwrap();
    for model in [gbt, card] {
        let probabilities: Array1<Pr> = model.predict(&data);
        let labels: Vec<bool> = data.targets().iter().map(|&label| label == 1).collect();
        let curve = probabilities.as_slice().unwrap().roc(labels.as_slice()).unwrap();
        assert!(curve.area_under_curve() > 0.8, "{}", curve.area_under_curve());
    }
}

#[test]
fn refuses_what_it_cannot_use() {
    let wrong = Learner::new(GbtParams { learning_rate: 2.0, ..Default::default() });
    assert_eq!(wrong.check_ref().unwrap_err().name, "learning_rate");
    assert!(matches!(wrong.fit(&dataset()), Err(FitError::Param(_))));
    let three = Dataset::new(array![[1.0_f32], [2.0], [3.0]], array![0_usize, 1, 2]);
    let logistic = Learner::new(LogisticParams::default());
    assert!(matches!(logistic.fit(&three), Err(FitError::Label { row: 2 })));
    let one = Dataset::new(array![[1.0_f32], [2.0]], array![false, false]);
    let error = logistic.fit(&one).unwrap_err();
    assert!(error.to_string().contains("0 frauds and 2 honest"), "{error}");
    let kinds = Learner::new(LogisticParams::default()).kinds(vec![FeatureKind::Numeric; 2]);
    assert!(matches!(kinds.fit(&one), Err(FitError::Length { found: 2, expected: 1, .. })));
}
