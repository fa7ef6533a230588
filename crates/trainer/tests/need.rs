//! The memory that is foreseen, beside the memory that is taken. Alone in its program: the system tells of a process as a whole.
#![cfg(target_os = "linux")]

use std::ops::ControlFlow;

use orderguard_features::language::spec::FeatureKind;
use orderguard_features::matrix::Matrix;
use orderguard_trainer::boosting::{Extras, fit};
use orderguard_trainer::need::{FitSize, bytes};
use orderguard_trainer::params::GbtParams;
use orderguard_trainer::samples::Samples;

/// A line of the system's report on this process, in bytes.
fn status(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn a_fit_takes_what_was_foreseen_and_not_much_less() {
    let (n, n_features) = (400_000_usize, 24);
    let mut state = 9_u64;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 24) as f32
    };
    let matrix = Matrix::from_columns(n, n_features, (0..n * n_features).map(|_| draw()).collect());
    let labels: Vec<u8> = (0..n).map(|i| u8::from(matrix.column(0)[i] > 0.97 && draw() < 0.5)).collect();
    let rows: Vec<u32> = (0..n as u32).collect();
    let cut = n * 4 / 5;
    let part = |from: usize, to: usize| Samples { matrix: &matrix, rows: &rows[from..to], labels: &labels[from..to] };
    // All rows of every tree: the most that a fit can take.
    let params =
        GbtParams { n_trees: 4, easy_row_limit: 0.0, row_fraction: 0.95, ..Default::default() }.check().unwrap();
    let size = FitSize { n_train: cut, n_held: n - cut, n_features, n_fits: 1, n_threads: 2 };
    let foreseen = bytes(&params, size);
    let before = status("VmRSS:");
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    let kinds = vec![FeatureKind::Numeric; n_features];
    let go = &mut |_: &orderguard_trainer::boosting::Round<'_>| ControlFlow::Continue(());
    pool.install(|| fit(&params, &kinds, &part(0, cut), &part(cut, n), &Extras::default(), go)).unwrap();
    let taken = status("VmHWM:") - before;
    // The allocator and the threads have some of their own.
    assert!(taken < foreseen + (16 << 20) && taken > foreseen / 2, "{foreseen} foreseen, {taken} taken");
}
