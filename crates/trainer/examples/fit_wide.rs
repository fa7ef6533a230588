//! How long does a logistic regression take on wide data: 24,000 orders, 146 features, of these four categories of 254 levels?
//!
//! `cargo run --release -p orderguard-trainer --example fit_wide [ORDERS]` prints seconds and steps for the whole path of
//! penalties, without and with an absolute part, from seeded made-up data.
#![allow(clippy::print_stdout, reason = "a program that prints is the point")]

use std::ops::ControlFlow;
use std::time::Instant;

use orderguard_features::language::spec::FeatureKind;
use orderguard_features::matrix::Matrix;
use orderguard_trainer::logistic::{LogisticParams, fit_logistic};
use orderguard_trainer::samples::Samples;

const N_NUMERIC: usize = 142;
const N_CATEGORIES: usize = 4;
const N_LEVELS: usize = 254;

fn uniform(i: usize) -> f64 {
    let mut x = (i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(0x1234_5678_9ABC_DEF1);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((x ^ (x >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let n_rows: usize = std::env::args().nth(1).map_or(Ok(24_000), |n| n.parse())?;
    let n_features = N_NUMERIC + N_CATEGORIES;
    let mut values = vec![0.0_f32; n_rows * n_features];
    let mut labels = vec![0; n_rows];
    for (i, label) in labels.iter_mut().enumerate() {
        let u = |k: usize| uniform(i * 2 * n_features + k);
        let shared = u(1_000) * 2.0 - 1.0;
        let mut risk = -5.0;
        for j in 0..N_NUMERIC {
            // Heavy tails, many zeros, some missing, and all a little alike: as counts and sums of one history are.
            let x = (3.0 * (u(j) + 0.5 * shared)).exp().floor();
            let is_missing = u(j + n_features) < 0.05 && j % 5 == 0;
            values[j * n_rows + i] = if is_missing { f32::NAN } else { x as f32 };
            risk += if j < 12 { 0.04 * x.min(20.0) } else { 0.0 };
        }
        for k in 0..N_CATEGORIES {
            let level = (u(N_NUMERIC + k).powi(2) * N_LEVELS as f64).floor();
            values[(N_NUMERIC + k) * n_rows + i] = level as f32;
            risk += if level as usize % 37 == k { 1.5 } else { 0.0 };
        }
        *label = u8::from(u(999) < 1.0 / (1.0 + (-risk).exp()));
    }
    let matrix = Matrix::from_columns(n_rows, n_features, values);
    let mut kinds = vec![FeatureKind::Numeric; N_NUMERIC];
    kinds.resize(n_features, FeatureKind::Categorical { n_levels: N_LEVELS as u32 });
    let rows: Vec<u32> = (0..n_rows as u32).collect();
    let cut = n_rows * 4 / 5;
    let train = Samples { matrix: &matrix, rows: &rows[..cut], labels: &labels[..cut] };
    let validation = Samples { matrix: &matrix, rows: &rows[cut..], labels: &labels[cut..] };
    println!("{} orders to fit, {} frauds", train.len(), train.n_fraud());
    for (l1_ratio, knot_shares) in
        [(0.0, vec![]), (0.5, vec![]), (1.0, vec![]), (0.0, LogisticParams::default().knot_shares)]
    {
        let n_knots = knot_shares.len();
        let params = LogisticParams { l1_ratio, knot_shares, ..Default::default() }.check()?;
        let start = Instant::now();
        let mut go = |_: usize, _: usize| ControlFlow::Continue(());
        let fit = fit_logistic(&params, &kinds, &vec![false; n_features], &train, Some(&validation), &mut go)?;
        let seconds = start.elapsed().as_secs_f64();
        println!("l1_ratio {l1_ratio}, {n_knots} bends: {seconds:.2} s, penalty {}", fit.lambda);
        for step in &fit.history {
            println!(
                "  penalty {:>5}: {} weights, {} steps{}, validation log loss {:.6}",
                step.lambda,
                step.n_weights,
                step.n_iterations,
                if step.converged { "" } else { " (not converged)" },
                step.validation_log_loss.unwrap_or(f64::NAN)
            );
        }
    }
    Ok(())
}
