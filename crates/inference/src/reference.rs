//! How features were distributed in training: what is usual.

use orderguard_features::language::spec::FeatureKind;
use orderguard_features::matrix::Matrix;

use crate::model::FeatureReference;

/// Quantiles kept of a numeric feature: 0.05, 0.10, ... 0.95.
pub const N_QUANTILES: usize = 19;

/// The reference of every feature, from the given rows; `importance` holds one number per feature.
///
/// The order of the rows does not matter. O(rows x features), one feature after the other; [`of_feature`] is there for
/// callers that work in parallel.
///
/// # Panics
/// If `kinds` or `importance` has not one entry per feature, or a row is outside of the matrix: a caller's bug.
pub fn build(matrix: &Matrix, rows: &[u32], kinds: &[FeatureKind], importance: &[f64]) -> Vec<FeatureReference> {
    assert_eq!(kinds.len(), matrix.n_features(), "one kind per feature");
    assert_eq!(importance.len(), matrix.n_features(), "one importance per feature");
    (0..kinds.len()).map(|i| of_feature(matrix.column(i), rows, kinds[i], importance[i])).collect()
}

/// The reference of one feature. Quantile q of n present values is the one of rank `ceil(q * n)` (1 = smallest).
///
/// Category codes that are not whole numbers in `0..=n_levels` count as rare. With no row, every share is 0.
pub fn of_feature(column: &[f32], rows: &[u32], kind: FeatureKind, importance: f64) -> FeatureReference {
    let mut present: Vec<f32> = rows.iter().map(|&row| column[row as usize]).filter(|x| !x.is_nan()).collect();
    let n_missing = rows.len() - present.len();
    let share = |n: usize| if rows.is_empty() { 0.0 } else { n as f64 / rows.len() as f64 };
    let (quantiles, level_shares) = match kind {
        FeatureKind::Numeric => (quantiles(&mut present), Vec::new()),
        FeatureKind::Categorical { n_levels } => {
            let mut counts = vec![0usize; n_levels as usize + 1];
            for x in present {
                let code = x as u32;
                let level = if code as f32 == x { code.min(n_levels) } else { n_levels };
                counts[level as usize] += 1;
            }
            (Vec::new(), counts.into_iter().map(share).collect())
        }
    };
    FeatureReference { missing_share: share(n_missing), quantiles, level_shares, importance }
}

fn quantiles(values: &mut [f32]) -> Vec<f32> {
    if values.is_empty() {
        return Vec::new();
    }
    let ranks: Vec<usize> = (1..=N_QUANTILES).map(|i| (i * values.len()).div_ceil(N_QUANTILES + 1) - 1).collect();
    place(values, 0, &ranks);
    ranks.into_iter().map(|rank| values[rank]).collect()
}

/// Brings the values of the given ranks to their places; the middle one first, so that each half is searched alone.
fn place(values: &mut [f32], offset: usize, ranks: &[usize]) {
    let Some(&rank) = ranks.get(ranks.len() / 2) else { return };
    if values.len() < 2 {
        return;
    }
    let (below, _, above) = values.select_nth_unstable_by(rank - offset, f32::total_cmp);
    let lower = ranks.partition_point(|&other| other < rank);
    let upper = ranks.partition_point(|&other| other <= rank);
    place(below, offset, &ranks[..lower]);
    place(above, rank + 1, &ranks[upper..]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantiles_of_a_hundred_numbers() {
        let column: Vec<f32> = (1..=100u8).rev().map(f32::from).collect();
        let rows: Vec<u32> = (0..100).collect();
        let reference = of_feature(&column, &rows, FeatureKind::Numeric, 2.0);
        let expected: Vec<f32> = (1..20u8).map(|i| f32::from(i) * 5.0).collect();
        assert_eq!(reference.quantiles, expected);
        assert_eq!((reference.missing_share, reference.importance), (0.0, 2.0));
        assert!(reference.level_shares.is_empty());
    }

    #[test]
    fn shares_of_levels_and_missing() {
        let matrix = Matrix::from_columns(5, 1, vec![0.0, 1.0, 1.0, f32::NAN, 7.5]);
        let kinds = [FeatureKind::Categorical { n_levels: 2 }];
        let reference = &build(&matrix, &[0, 1, 2, 3, 4], &kinds, &[0.0])[0];
        assert_eq!(reference.level_shares, [0.2, 0.4, 0.2]);
        assert_eq!(reference.missing_share, 0.2);
        assert!(reference.quantiles.is_empty());
    }

    #[test]
    fn no_rows_and_no_values() {
        let column = [f32::NAN; 3];
        assert!(of_feature(&column, &[0, 1, 2], FeatureKind::Numeric, 0.0).quantiles.is_empty());
        let none = of_feature(&column, &[], FeatureKind::Categorical { n_levels: 1 }, 0.0);
        assert_eq!((none.missing_share, none.level_shares), (0.0, vec![0.0, 0.0]));
    }

    proptest! {
        #[test]
        fn agrees_with_sorting(values in prop::collection::vec(prop_oneof![Just(f32::NAN), -4.0f32..4.0, Just(1.0f32)], 1..80)) {
            let rows: Vec<u32> = (0..values.len() as u32).collect();
            let mut sorted: Vec<f32> = values.iter().copied().filter(|x| !x.is_nan()).collect();
            sorted.sort_by(f32::total_cmp);
            let found = of_feature(&values, &rows, FeatureKind::Numeric, 0.0).quantiles;
            if sorted.is_empty() {
                prop_assert!(found.is_empty());
            } else {
                for (i, x) in found.iter().enumerate() {
                    let share = (i + 1) as f64 * sorted.len() as f64 / 20.0;
                    let rank = (share - 1e-9).ceil().max(1.0) as usize;
                    prop_assert_eq!(x.to_bits(), sorted[rank - 1].to_bits());
                }
            }
        }
    }
}
