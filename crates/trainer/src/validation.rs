//! The validation metric of the round loop: average precision over integer scores, without sorting all rows.

use rayon::prelude::*;

/// Rows that one task counts.
const TASK_ROWS: usize = 1 << 14;

/// Average precision, step-wise, equal scores as one step: the sum over distinct scores of the recall gained there times the
/// precision of all rows with at least that score. None without a fraud.
///
/// Only the scores of frauds are sorted; honest rows are counted between them, most by one comparison with the lowest. O(f
/// log f + n) in practice, O(n log f) at worst, for f frauds among n rows. Counts are exact, so threads change no bit.
pub(crate) fn average_precision(scores: &[i64], labels: &[u8]) -> Option<f64> {
    let mut frauds: Vec<i64> =
        scores.iter().zip(labels).filter(|&(_, &label)| label == 1).map(|(&score, _)| score).collect();
    frauds.sort_unstable();
    let n_fraud = frauds.len();
    let mut steps = frauds;
    let mut frauds_at: Vec<u64> = Vec::new();
    for stretch in steps.chunk_by(|a, b| a == b) {
        frauds_at.push(stretch.len() as u64);
    }
    steps.dedup();
    let &lowest = steps.first()?;
    // honest_at[i]: honest rows with a score from steps[i] up to but not including steps[i + 1].
    let honest_at = scores
        .par_chunks(TASK_ROWS)
        .zip(labels.par_chunks(TASK_ROWS))
        .fold(
            || vec![0_u64; steps.len()],
            |mut counts, (scores, labels)| {
                for (&score, &label) in scores.iter().zip(labels) {
                    if score >= lowest && label != 1 {
                        counts[steps.partition_point(|&step| step <= score) - 1] += 1;
                    }
                }
                counts
            },
        )
        .reduce_with(|mut a, b| {
            a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
            a
        })?;
    let (mut tp, mut fp, mut sum) = (0, 0, 0.0);
    for (&frauds, &honest) in frauds_at.iter().zip(&honest_at).rev() {
        tp += frauds;
        fp += honest;
        sum += frauds as f64 * (tp as f64 / (tp + fp) as f64);
    }
    Some(sum / n_fraud as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_values() {
        assert_eq!(average_precision(&[3, 2, 1], &[1, 0, 1]), Some(f64::midpoint(1.0, 2.0 / 3.0)));
        assert_eq!(average_precision(&[5, 5, 5, 5], &[1, 0, 0, 0]), Some(0.25));
        assert_eq!(average_precision(&[1, 2], &[0, 0]), None);
        assert_eq!(average_precision(&[], &[]), None);
    }

    proptest! {
        #[test]
        fn agrees_with_the_evaluation_crate(rows in prop::collection::vec((-20_i64..20, 0_u8..2), 0..300)) {
            let (scores, labels): (Vec<i64>, Vec<u8>) = rows.into_iter().unzip();
            let real: Vec<f64> = scores.iter().map(|&score| score as f64).collect();
            let want = orderguard_evaluation::metrics::average_precision(&real, &labels);
            match (average_precision(&scores, &labels), want) {
                (Some(a), Some(b)) => prop_assert!((a - b).abs() < 1e-12, "{} {}", a, b),
                (a, b) => prop_assert_eq!(a, b),
            }
        }
    }
}
