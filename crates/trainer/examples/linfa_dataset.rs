//! Our learners in a linfa pipeline: one dataset, three learners, linfa's own ROC curve.
//!
//! `cargo run --release -p orderguard-trainer --features linfa --example linfa_dataset`
#![allow(clippy::print_stdout, reason = "the program's output")]

use linfa::prelude::*;
use ndarray::{Array1, Array2};
use orderguard_trainer::linfa::{FitError, Learner, Params};
use orderguard_trainer::logistic::LogisticParams;
use orderguard_trainer::params::GbtParams;
use orderguard_trainer::scorecard::ScorecardParams;

fn uniform(i: usize) -> f64 {
    let mut x = (i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(0x1234_5678_9ABC_DEF1);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((x ^ (x >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Amounts, hours since sign-up and numbers of earlier orders; fraud is a dear order of a new account.
fn orders(n: usize) -> Dataset<f64, bool, ndarray::Ix1> {
    let records = Array2::from_shape_fn((n, 3), |(i, j)| {
        let u = uniform(3 * i + j);
        [(5.0 * u).exp(), 1_000.0 * u * u, (10.0 * u).floor()][j]
    });
    let label = |(i, row): (usize, ndarray::ArrayView1<f64>)| {
        let risk = -5.0 + f64::from(u8::from(row[0] > 60.0)) * 2.0 + f64::from(u8::from(row[1] < 100.0)) * 2.5;
        uniform(900_000_007 + i) < 1.0 / (1.0 + (-risk).exp())
    };
    let labels: Array1<bool> = records.outer_iter().enumerate().map(label).collect();
    Dataset::new(records, labels).with_feature_names(vec!["amount", "hours since sign-up", "orders"])
}

fn show<P: Params>(
    name: &str,
    params: P,
    train: &Dataset<f64, bool, ndarray::Ix1>,
    test: &Dataset<f64, bool, ndarray::Ix1>,
) -> Result<(), FitError> {
    let model = Learner::new(params).fit(train)?;
    let probabilities: Array1<Pr> = model.predict(test);
    let labels: Vec<bool> = test.targets().to_vec();
    let curve = probabilities.as_slice().unwrap_or(&[]).roc(&labels)?;
    println!("{name}: area under the ROC curve {:.3}", curve.area_under_curve());
    Ok(())
}

fn main() -> Result<(), FitError> {
    let (train, test) = orders(20_000).split_with_ratio(0.7);
    show("boosted trees", GbtParams { n_trees: 100, ..GbtParams::default() }, &train, &test)?;
    show("logistic regression", LogisticParams::default(), &train, &test)?;
    show("scorecard", ScorecardParams::default(), &train, &test)
}
