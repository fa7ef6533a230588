//! Folds that move forward: nothing of the test part, nothing that was not known yet.

use orderguard_dataset::labels::believe_label_times;
use orderguard_dataset::split::{
    ForwardFold, MIN_FOLD_FRAUDS, Split, SplitError, SplitInput, SplitOptions, forward_folds, split,
};
use orderguard_features::time::Span;
use proptest::prelude::*;

const HOUR: i64 = 3_600_000;

fn folds_of(
    time: Option<&[i64]>,
    label: &[i8],
    label_time: Option<&[i64]>,
    days: i64,
) -> (Split, Result<Vec<ForwardFold>, SplitError>) {
    let options = SplitOptions { label_delay: Span::days(days), ..SplitOptions::default() };
    let none = vec![0; label.len()];
    let (labels, _) = believe_label_times(time.unwrap_or(&none), label, label_time, options.label_delay);
    let keys: Vec<u64> = (0..label.len() as u64).collect();
    let input = SplitInput { time, labels: &labels, row_key: &keys, groups: None };
    let split = split(&input, &options).unwrap();
    let folds = forward_folds(&input, &options, &split, 4);
    (split, folds)
}

fn n_fraud(labels: &[u8]) -> usize {
    labels.iter().map(|&label| usize::from(label == 1)).sum()
}

#[test]
fn four_folds_cover_the_later_half_of_the_frauds() {
    let time: Vec<i64> = (0..4_800).map(|i| i * HOUR).collect();
    let label: Vec<i8> = (0..4_800).map(|i| i8::from(i % 10 == 0)).collect();
    let (split, folds) = folds_of(Some(&time), &label, None, 7);
    let folds = folds.unwrap();
    assert_eq!(folds.len(), 4);
    let n_all = n_fraud(&split.train_label) + n_fraud(&split.validation_label);
    let held: Vec<usize> = folds.iter().map(|fold| n_fraud(&fold.held_label)).collect();
    assert!(held.iter().all(|&n| n.abs_diff(n_all / 8) <= 1), "{held:?} of {n_all}");
    assert_eq!(folds[3].held.last(), split.validation.last());
    for pair in folds.windows(2) {
        assert!(pair[0].train.len() < pair[1].train.len());
        assert!(pair[0].held.last() < pair[1].held.first());
    }
}

#[test]
fn without_time_folds_are_over_entities() {
    let label: Vec<i8> = (0..2_000).map(|i| i8::from(i % 10 == 0)).collect();
    let (split, folds) = folds_of(None, &label, None, 7);
    let folds = folds.unwrap();
    let mut held: Vec<u32> = folds.iter().flat_map(|fold| fold.held.clone()).collect();
    held.sort_unstable();
    let mut all = [split.train, split.validation].concat();
    all.sort_unstable();
    assert_eq!(held, all);
    for fold in &folds {
        assert_eq!(fold.train.len() + fold.held.len(), all.len());
        assert!(fold.as_of.is_none());
    }
}

#[test]
fn too_few_frauds_are_refused() {
    let time: Vec<i64> = (0..1_000).map(|i| i * HOUR).collect();
    let label: Vec<i8> = (0..1_000).map(|i| i8::from(i % 40 == 0)).collect();
    let error = folds_of(Some(&time), &label, None, 2).1.unwrap_err();
    assert!(matches!(error, SplitError::NoForwardFolds { n_fraud: 15..=25, needed: MIN_FOLD_FRAUDS }), "{error}");
    assert!(error.to_string().contains("frauds before the test part"), "{error}");
    let error = folds_of(None, &label, None, 2).1.unwrap_err();
    assert!(matches!(error, SplitError::NoForwardFolds { .. }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn nothing_is_seen_before_it_was_known(
        orders in prop::collection::vec((0_i64..3_000, prop::bool::weighted(0.15), 0_i64..20), 300..900),
        days in 0_i64..12,
    ) {
        let mut orders = orders;
        orders.sort_unstable();
        let time: Vec<i64> = orders.iter().map(|order| order.0 * HOUR).collect();
        let label: Vec<i8> = orders.iter().map(|order| i8::from(order.1)).collect();
        // Labels may be learned before or after they are due.
        let learned: Vec<i64> = orders.iter().map(|order| (order.0 + 24 * order.2) * HOUR).collect();
        let (split, folds) = folds_of(Some(&time), &label, Some(&learned), days);
        let Ok(folds) = folds else { return Ok(()) };
        let test_from = split.boundaries.unwrap().test_from;
        prop_assert!((2..=4).contains(&folds.len()));
        let allowed: std::collections::BTreeSet<u32> = split.train.iter().chain(&split.validation).copied().collect();
        let mut before = i64::MIN;
        for fold in &folds {
            let (from, until) = fold.as_of.unwrap();
            prop_assert!(from >= before && until == test_from);
            before = from;
            prop_assert!(fold.train.iter().chain(&fold.held).all(|row| allowed.contains(row)));
            for (&row, &known) in fold.train.iter().zip(&fold.train_label) {
                let row = row as usize;
                prop_assert!(time[row] < from && time[row] + days * 24 * HOUR <= from);
                prop_assert_eq!(known == 1, label[row] == 1 && learned[row] <= from);
            }
            for (&row, &known) in fold.held.iter().zip(&fold.held_label) {
                let row = row as usize;
                prop_assert!(time[row] >= from && time[row] < test_from);
                prop_assert_eq!(known == 1, label[row] == 1 && learned[row] <= test_from);
            }
            prop_assert!(n_fraud(&fold.train_label) >= MIN_FOLD_FRAUDS && n_fraud(&fold.held_label) >= MIN_FOLD_FRAUDS);
        }
    }
}
