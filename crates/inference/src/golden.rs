//! Made-up rows that a model file carries with the raw scores they must give.

use orderguard_features::language::feature::FIRST_SEEN;
use orderguard_features::language::spec::FeatureKind;

use crate::error::ModelError;
use crate::model::{FeatureReference, GoldenRow, Predictor};
use crate::scorer::RawScorer;

/// Makes `n` rows of quantiles and category codes, never of real orders, and scores them.
///
/// The first row is the median of everything, the second all missing, the third all first seen and unseen levels; the others
/// mix quantiles, levels, rare levels, missing and first-seen values feature by feature. Depends on nothing but its
/// arguments.
///
/// # Errors
/// If `predictor` does not fit `kinds`, or `reference` does not hold one entry per kind.
pub fn build(
    reference: &[FeatureReference],
    kinds: &[FeatureKind],
    predictor: &Predictor,
    n: usize,
) -> Result<Vec<GoldenRow>, ModelError> {
    if reference.len() != kinds.len() {
        let (found, expected) = (reference.len() as u64, kinds.len() as u64);
        return Err(ModelError::Length { of: "reference".into(), found, expected });
    }
    crate::validate::check_predictor(predictor, kinds)?;
    let scorer = RawScorer::compile(predictor)?;
    let golden_row = |i: usize| {
        let row: Vec<f32> = reference
            .iter()
            .zip(kinds)
            .enumerate()
            .map(|(feature, (reference, &kind))| match i {
                0 => middle(reference, kind),
                1 => f32::NAN,
                2 => never_seen(kind),
                _ => mixed(reference, kind, mix((i as u64) << 32 | feature as u64)),
            })
            .collect();
        let raw_score_bits = scorer.raw_score(&row).expect("the row has one value per feature").to_bits();
        GoldenRow { row, raw_score_bits }
    };
    Ok((0..n).map(golden_row).collect())
}

fn middle(reference: &FeatureReference, kind: FeatureKind) -> f32 {
    match kind {
        FeatureKind::Numeric => reference.quantiles.get(reference.quantiles.len() / 2).copied().unwrap_or(f32::NAN),
        FeatureKind::Categorical { .. } => 0.0,
    }
}

fn never_seen(kind: FeatureKind) -> f32 {
    match kind {
        FeatureKind::Numeric => FIRST_SEEN,
        FeatureKind::Categorical { n_levels } => n_levels as f32,
    }
}

fn mixed(reference: &FeatureReference, kind: FeatureKind, draw: u64) -> f32 {
    let pick = draw >> 8;
    match (draw & 0xFF, kind) {
        (0..16, _) => f32::NAN,
        (16..32, _) => never_seen(kind),
        (_, FeatureKind::Numeric) => {
            let n = reference.quantiles.len().max(1) as u64;
            reference.quantiles.get((pick % n) as usize).copied().unwrap_or(f32::NAN)
        }
        (_, FeatureKind::Categorical { n_levels }) => (pick % (u64::from(n_levels) + 1)) as f32,
    }
}

/// The finaliser of `SplitMix64` (Steele, Lea and Flood 2014): spreads a counter over 64 bits.
fn mix(counter: u64) -> u64 {
    let z = counter.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{LinearModel, LinearTerm};

    #[test]
    fn rows_hold_quantiles_codes_missing_and_first_seen() {
        let kinds = [FeatureKind::Numeric, FeatureKind::Categorical { n_levels: 2 }];
        let quantiles: Vec<f32> = (0..19u8).map(f32::from).collect();
        let numeric = FeatureReference { missing_share: 0.0, quantiles, level_shares: vec![], importance: 1.0 };
        let shares = vec![0.5, 0.3, 0.2];
        let category =
            FeatureReference { missing_share: 0.0, quantiles: vec![], level_shares: shares, importance: 1.0 };
        let term = LinearTerm::Categorical { feature: 1, levels: vec![1.0, 2.0, 4.0], missing: 8.0 };
        let predictor = Predictor::Logistic(LinearModel { n_features: 2, intercept: 0.5, terms: vec![term] });
        let rows = build(&[numeric.clone(), category.clone()], &kinds, &predictor, 100).unwrap();
        assert_eq!(rows[0].row, [9.0, 0.0]);
        assert!(rows[1].row.iter().all(|x| x.is_nan()));
        assert_eq!(rows[2].row, [-1.0, 2.0]);
        assert_eq!(f64::from_bits(rows[0].raw_score_bits), 1.5);
        assert_eq!(f64::from_bits(rows[1].raw_score_bits), 8.5);
        for feature in 0..2 {
            let column: Vec<f32> = rows[3..].iter().map(|golden| golden.row[feature]).collect();
            assert!(column.iter().any(|x| x.is_nan()));
            assert!(column.iter().any(|&x| x == [FIRST_SEEN, 2.0][feature]));
            assert!(column.iter().all(|&x| x.is_nan() || (-1.0..=18.0).contains(&x)));
        }
        assert!(build(&[numeric], &kinds, &predictor, 1).is_err());
        assert!(build(&[category.clone(), category], &[FeatureKind::Numeric; 2], &predictor, 1).is_err());
    }
}
