//! Gradients and hessians of the log loss as integers.

use rayon::prelude::*;

use crate::numeric::{GRADIENT_BITS, HESSIAN_BITS, from_fixed, nearest_i32, sigmoid};

/// Rows that one task handles.
const TASK_ROWS: usize = 1 << 13;

/// Writes gradient `p - label` and hessian `p (1 - p)` of each row, p being the probability behind its raw score, as integers
/// with [`GRADIENT_BITS`] and [`HESSIAN_BITS`] digits after the point. Returns the sum of the hessians.
///
/// `scores` are fixed-point, one per row, as are `labels` (1 = fraud) and `out`. Parallel; integer sums, hence exact.
pub(crate) fn write_gradients(scores: &[i64], labels: &[u8], out: &mut [[i32; 2]]) -> u64 {
    out.par_chunks_mut(TASK_ROWS)
        .zip(scores.par_chunks(TASK_ROWS))
        .zip(labels.par_chunks(TASK_ROWS))
        .map(|((out, scores), labels)| {
            let mut total = 0;
            for ((slot, &score), &label) in out.iter_mut().zip(scores).zip(labels) {
                let p = sigmoid(from_fixed(score));
                let gradient = nearest_i32((p - f64::from(label)) * f64::from(1_u32 << GRADIENT_BITS));
                let hessian = nearest_i32(p * (1.0 - p) * (1_u64 << HESSIAN_BITS) as f64);
                *slot = [gradient, hessian];
                total += hessian as u64;
            }
            total
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::to_fixed;

    #[test]
    fn matches_the_formulas() {
        let raw = [-40.0, -7.0, -1.0, 0.0, 0.3, 6.0, 40.0];
        for label in [0, 1] {
            let scores: Vec<i64> = raw.iter().map(|&x| to_fixed(x)).collect();
            let mut out = vec![[0, 0]; raw.len()];
            let total = write_gradients(&scores, &vec![label; raw.len()], &mut out);
            assert_eq!(total, out.iter().map(|g| g[1] as u64).sum::<u64>());
            for (x, [gradient, hessian]) in raw.iter().zip(out) {
                let p = 1.0 / (1.0 + (-x).exp());
                assert!((f64::from(gradient) / 2f64.powi(30) - (p - f64::from(label))).abs() < 1e-9);
                assert!((f64::from(hessian) / 2f64.powi(32) - p * (1.0 - p)).abs() < 1e-8);
            }
        }
    }
}
