//! How many cells per second are binned, and how many rows per second does one round of boosting take?
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use std::ops::ControlFlow;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use orderguard_features::language::spec::FeatureKind;
use orderguard_features::matrix::Matrix;
use orderguard_trainer::binning::BinnedMatrix;
use orderguard_trainer::boosting::{Extras, fit_rounds};
use orderguard_trainer::params::GbtParams;
use orderguard_trainer::samples::Samples;

const N_ROWS: usize = 50_000;
const N_FEATURES: usize = 40;
const N_ROUNDS: usize = 5;

fn data() -> (Matrix, Vec<u8>) {
    let mut state = 1_u64;
    let mut unit = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f32 / (1_u64 << 31) as f32
    };
    let matrix = Matrix::from_columns(N_ROWS, N_FEATURES, (0..N_ROWS * N_FEATURES).map(|_| unit()).collect());
    let risky = |row: usize| matrix.column(0)[row] > 0.9 && matrix.column(1)[row] > 0.7;
    let labels = (0..N_ROWS).map(|row| u8::from(unit() < if risky(row) { 0.3 } else { 0.01 })).collect();
    (matrix, labels)
}

fn gbt(c: &mut Criterion) {
    let (matrix, labels) = data();
    let rows: Vec<u32> = (0..N_ROWS as u32).collect();
    let kinds = [FeatureKind::Numeric; N_FEATURES];
    let mut group = c.benchmark_group("gbt");
    group.sample_size(10);
    group.throughput(Throughput::Elements((N_ROWS * N_FEATURES) as u64));
    group.bench_function("bin", |b| b.iter(|| BinnedMatrix::new(&kinds, &[(&matrix, &rows)], 255)));
    group.throughput(Throughput::Elements((N_ROWS * N_ROUNDS) as u64));
    let params = GbtParams::default().check().expect("defaults are in their ranges");
    group.bench_function("bin and five rounds", |b| {
        let samples = Samples { matrix: &matrix, rows: &rows, labels: &labels };
        b.iter(|| {
            fit_rounds(&params, &kinds, &samples, N_ROUNDS, &Extras::default(), &mut |_| ControlFlow::Continue(()))
        });
    });
    group.finish();
}

criterion_group!(benches, gbt);
criterion_main!(benches);
