//! Parts in time: nothing of the future in a fit, nothing unresolved in a figure.

use orderguard_dataset::labels::{LabelChange, OrderLabels, believe_label_times};
use orderguard_dataset::split::{NO_ENTITY, Protocol, Split, SplitError, SplitInput, SplitNote, SplitOptions, split};
use orderguard_features::table::MISSING_I64;
use orderguard_features::time::Span;
use proptest::prelude::*;

const DAY: i64 = 86_400_000;

/// `n` orders, one an hour, every `step`-th a fraud.
fn hourly(n: usize, step: usize) -> (Vec<i64>, Vec<i8>) {
    ((0..n).map(|i| i as i64 * 3_600_000).collect(), (0..n).map(|i| i8::from(i % step == 0)).collect())
}

fn run_on(time: Option<&[i64]>, labels: &OrderLabels, options: &SplitOptions<'_>) -> Result<Split, SplitError> {
    let keys: Vec<u64> = (0..labels.label.len() as u64).collect();
    split(&SplitInput { time, labels, row_key: &keys, groups: None }, options)
}

fn run(time: &[i64], label: &[i8], options: &SplitOptions<'_>) -> Result<Split, SplitError> {
    let (labels, _) = believe_label_times(time, label, None, options.label_delay);
    run_on(Some(time), &labels, options)
}

fn days(n: i64) -> SplitOptions<'static> {
    SplitOptions { label_delay: Span::days(n), ..SplitOptions::default() }
}

#[test]
fn default_parts_are_shares_of_the_span_with_both_gaps() {
    let (time, label) = hourly(4_800, 10);
    let s = run(&time, &label, &days(7)).unwrap();
    assert_eq!(s.protocol, Protocol::InTime);
    let b = s.boundaries.unwrap();
    let end = time[4_799] + 1;
    assert_eq!(b.test_from, (end as f64 * 0.8).round() as i64);
    assert_eq!(b.test_until, end);
    let (validation_from, validation_until) = b.validation.unwrap();
    assert_eq!(validation_from, (end as f64 * 0.6).round() as i64);
    assert_eq!(validation_until, b.test_from - 7 * DAY + 1);
    assert_eq!(b.train_until, validation_from - 7 * DAY + 1);
    assert_eq!(s.fit_as_of, Some(validation_from));
    assert_eq!((s.n_gap_before_validation, s.n_gap_before_test), (168, 168));
    let frauds_from =
        |at: i64| time.iter().zip(&label).filter(|&(&t, &l)| l == 1 && t >= at && t < at + 7 * DAY - 1).count();
    let n_fraud = (s.n_gap_before_validation_fraud, s.n_gap_before_test_fraud);
    assert_eq!(n_fraud, (frauds_from(b.train_until) as u64, frauds_from(validation_until) as u64));
    assert!(n_fraud.0 > 10 && n_fraud.1 > 10);
    assert_eq!(s.n_unresolved_test, 168, "the last week is not due at the end of the data");
    assert_eq!(s.train.len() + s.validation.len() + s.test.len() + 3 * 168, 4_800);
    assert_eq!(s.notes, [SplitNote::UnresolvedTest { n_rows: 168 }]);
    assert!(s.test_label.iter().zip(&s.test).all(|(&known, &row)| known == label[row as usize] as u8));
}

#[test]
fn the_gap_before_validation_yields_to_the_frauds_of_train() {
    // All but a few of train's frauds stand in the week before validation.
    let (time, mut label) = hourly(4_800, 10);
    label[..2_712].iter_mut().enumerate().filter(|(row, _)| row % 400 != 0).for_each(|(_, l)| *l = 0);
    let s = run(&time, &label, &days(7)).unwrap();
    assert_eq!(s.protocol, Protocol::InTime);
    let n_fraud_without = s.train_label.iter().map(|&l| usize::from(l)).sum();
    assert_eq!(s.notes[0], SplitNote::GapBeforeValidationDropped { n_fraud_with_gap: 7, n_fraud_without });
    let b = s.boundaries.unwrap();
    assert_eq!(b.train_until, b.validation.unwrap().0);
    assert_eq!((s.fit_as_of, s.n_gap_before_validation), (Some(b.test_from), 0));
}

#[test]
fn few_frauds_in_validation_make_folds() {
    let (time, label) = hourly(4_800, 40);
    let s = run(&time, &label, &days(7)).unwrap();
    assert_eq!(s.protocol, Protocol::InTimeWithFolds { n_folds: 5 });
    assert!(s.validation.is_empty() && s.boundaries.unwrap().validation.is_none());
    assert_eq!(s.fit_as_of, Some(s.boundaries.unwrap().test_from));
    let folds = s.train_fold.as_ref().unwrap();
    assert_eq!(folds.len(), s.train.len());
    for fold in 0..5 {
        let n_fraud = folds.iter().zip(&s.train_label).filter(|&(&f, &l)| f == fold && l == 1).count();
        assert!((16..=20).contains(&n_fraud), "{n_fraud} frauds in fold {fold}");
    }
    assert!(
        s.notes.iter().any(|n| matches!(n, SplitNote::FoldsInsteadOfValidation { n_validation_fraud: 20, n_folds: 5 }))
    );
    let last = *s.train.last().unwrap() as usize;
    assert!(time[last] + 7 * DAY <= s.boundaries.unwrap().test_from);
}

#[test]
fn every_fold_holds_a_fraud_however_few_entities_commit_them() {
    let (time, label) = hourly(4_800, 40);
    let (labels, _) = believe_label_times(&time, &label, None, Span::days(7));
    let keys: Vec<u64> = (0..4_800).collect();
    for n_thieves in 1..8 {
        // Frauds belong to a few entities, every honest order to one of its own.
        let groups: Vec<u64> = (0..4_800).map(|i| if i % 40 == 0 { i / 40 % n_thieves } else { 1_000 + i }).collect();
        let input = SplitInput { time: Some(&time), labels: &labels, row_key: &keys, groups: Some(&groups) };
        let s = split(&input, &days(7)).unwrap();
        let n_folds = if n_thieves == 1 { 5 } else { n_thieves.min(5) as u32 };
        assert_eq!(s.protocol, Protocol::InTimeWithFolds { n_folds }, "{n_thieves}");
        let folds = s.train_fold.as_ref().unwrap();
        for fold in 0..n_folds as u8 {
            let n_fraud = folds.iter().zip(&s.train_label).filter(|&(&f, &l)| f == fold && l == 1).count();
            assert!(n_fraud > 0, "{n_thieves} entities, fold {fold}");
        }
        let said = s.notes.iter().any(|note| matches!(note, SplitNote::FraudsOfOneEntity { n_fraud: 92.. }));
        assert_eq!(said, n_thieves == 1, "{:?}", s.notes);
    }
}

#[test]
fn short_data_are_split_where_labels_are_due() {
    // 31 days, a delay of 7: the last fifth would not be resolved at all.
    let (time, label) = hourly(31 * 24, 8);
    let s = run(&time, &label, &days(7)).unwrap();
    assert!(s.notes.iter().any(|n| matches!(n, SplitNote::ResolvedSpan { .. })));
    assert!(!s.test.is_empty());
    assert_eq!(s.n_unresolved_test, 0);
    assert!(s.test.iter().all(|&row| time[row as usize] + 7 * DAY <= time[time.len() - 1]));
}

#[test]
fn too_few_days_for_the_label_delay_say_how_many_are_needed() {
    let of_days = |n: usize| {
        let (time, label) = hourly(n * 24, 4);
        run(&time, &label, &days(7))
    };
    assert_eq!(
        of_days(12).unwrap_err().to_string(),
        "split: expected orders in train whose labels are due in time, found none: the orders span too little time for the label delay: 12 days from 1970-01-01T00:00:00Z to 1970-01-12T23:00:00Z, where --label-delay 7d needs at least 17"
    );
    assert!(of_days(17).is_ok());
    assert!(matches!(of_days(15), Err(SplitError::TooShort { needed_days: 17, .. })));
    assert!(matches!(of_days(5), Err(SplitError::TooShort { needed_days: 17, .. })));
}

#[test]
fn labels_are_those_of_the_end_of_the_data() {
    // Frauds become known ten days after the order; on day 100 the last ten days of frauds are not.
    let (time, label) = hourly(4_800, 10);
    let given: Vec<i64> = time.iter().map(|t| t + 10 * DAY).collect();
    let (labels, _) = believe_label_times(&time, &label, Some(&given), Span::days(7));
    let options = SplitOptions { data_end: Some(100 * DAY), test_from: Some(80 * DAY), ..days(7) };
    let s = run_on(Some(&time), &labels, &options).unwrap();
    for (&row, &known) in s.test.iter().zip(&s.test_label) {
        let row = row as usize;
        assert!(time[row] + 7 * DAY <= 100 * DAY);
        assert_eq!(known == 1, label[row] == 1 && given[row] <= 100 * DAY);
    }
    assert!(s.test.iter().zip(&s.test_label).any(|(&row, &known)| i8::from(known == 1) != label[row as usize]));
}

#[test]
fn fits_know_only_what_was_known() {
    let (time, label) = hourly(4_800, 10);
    // All frauds become known twenty days after the order, later than the delay says.
    let given: Vec<i64> = time.iter().map(|t| t + 20 * DAY).collect();
    let (labels, note) = believe_label_times(&time, &label, Some(&given), Span::days(7));
    assert_eq!(note, None);
    let s = run_on(Some(&time), &labels, &days(7)).unwrap();
    for (&row, &known) in s.train.iter().zip(&s.train_label) {
        let is_known = label[row as usize] == 1 && given[row as usize] <= s.fit_as_of.unwrap();
        assert_eq!(known == 1, is_known);
    }
    assert!(s.train_label.iter().zip(&s.train).any(|(&known, &row)| i8::from(known == 1) != label[row as usize]));
    assert_eq!(s.data_end, Some(given[4_799]), "labels were learned after the last order");
    assert_eq!(s.n_unresolved_test, 0);
    assert!(s.test_label.iter().zip(&s.test).all(|(&known, &row)| known == label[row as usize] as u8));
}

#[test]
fn reversals_count_from_their_time_on() {
    let (time, label) = hourly(4_800, 10);
    let (mut labels, _) = believe_label_times(&time, &label, None, Span::days(7));
    let at_end = time[4_799];
    labels.changes.push(LabelChange { time: at_end, row: 0, fraud: false });
    labels.changes.sort_unstable();
    labels.label[0] = 0;
    let s = run_on(Some(&time), &labels, &days(7)).unwrap();
    assert_eq!((s.train[0], s.train_label[0]), (0, 1), "at the fit the shop still held it for fraud");
    assert_eq!(labels.known_fraud_at(at_end)[0], 0);
}

#[test]
fn orders_that_were_unlabelled_at_the_fit_are_not_in_it() {
    // Every third order has a label only since a statement of the last day; a fit before knew nothing of it.
    let (time, label) = hourly(4_800, 10);
    let (mut labels, _) = believe_label_times(&time, &label, None, Span::days(7));
    (0..4_800).filter(|row| row % 3 == 0).for_each(|row| labels.known_from[row] = time[4_799]);
    let s = run_on(Some(&time), &labels, &days(7)).unwrap();
    assert!(!s.train.iter().chain(&s.validation).any(|row| row % 3 == 0));
    assert!(s.test.iter().any(|row| row % 3 == 0), "at the end of the data they are labelled");
    let whole = run(&time, &label, &days(7)).unwrap();
    assert_eq!(s.test, whole.test);
    let n = (whole.train.len() + whole.validation.len() - s.train.len() - s.validation.len()) as u64;
    assert_eq!(s.n_labelled_later, n);
    assert!(s.notes.contains(&SplitNote::LabelledLater { n_rows: n }));
}

#[test]
fn unlabelled_orders_are_in_no_part() {
    let (time, mut label) = hourly(4_800, 10);
    (0..4_800).filter(|row| row % 3 == 1).for_each(|row| label[row] = -1);
    let mut time = time;
    time[5] = MISSING_I64;
    let s = run(&time, &label, &days(7)).unwrap();
    assert_eq!((s.n_unlabelled, s.n_without_time), (1_600, 1));
    assert_eq!(n_in_all(&s), 4_800);
    assert!([&s.train, &s.validation, &s.test].into_iter().flatten().all(|&row| row % 3 != 1 && row != 5));
}

#[test]
fn fixed_parts_are_kept() {
    let (time, label) = hourly(4_800, 10);
    let options = SplitOptions {
        train_from: Some(50 * DAY),
        train_until: Some(57 * DAY),
        test_from: Some(64 * DAY),
        test_until: Some(71 * DAY),
        ..days(7)
    };
    let s = run(&time, &label, &options).unwrap();
    assert_eq!((s.train[0], s.train.len()), (50 * 24, 7 * 24));
    assert_eq!((s.test[0], s.test.len()), (64 * 24, 7 * 24));
    assert_eq!(s.n_outside, (50 * 24, 4_800 - 71 * 24));
    assert!(s.notes.contains(&SplitNote::Outside { n_before: 50 * 24, n_after: 4_800 - 71 * 24 }));
    assert_eq!(n_in_all(&s), 4_800);
    assert_eq!(s.protocol, Protocol::InTimeWithFolds { n_folds: 5 });
    assert_eq!(s.boundaries.unwrap().train_until, 57 * DAY);

    let wide = SplitOptions { test_from: Some(110 * DAY), test_until: None, ..options };
    let s = run(&time, &label, &wide).unwrap();
    assert_eq!(s.protocol, Protocol::InTime);
    assert_eq!(s.train.len(), 7 * 24, "a fixed train part is never cut");
    assert_eq!(s.boundaries.unwrap().validation, Some((64 * DAY, 103 * DAY + 1)));

    let test_only = SplitOptions { test_from: Some(120 * DAY), ..days(7) };
    let b = run(&time, &label, &test_only).unwrap().boundaries.unwrap();
    assert_eq!(b.validation.unwrap().0, 90 * DAY);
    let train_only = SplitOptions { train_until: Some(100 * DAY), ..days(7) };
    let b = run(&time, &label, &train_only).unwrap().boundaries.unwrap();
    assert_eq!(b.train_until, 100 * DAY);
    assert!((b.test_from - (150 * DAY - DAY / 48)).abs() < DAY);
}

#[test]
fn dates_that_cannot_be_are_errors() {
    let (time, label) = hourly(4_800, 10);
    let error = |options: SplitOptions<'_>| run(&time, &label, &options).unwrap_err();
    let backwards = SplitOptions { train_until: Some(100 * DAY), test_from: Some(90 * DAY), ..days(7) };
    assert!(matches!(error(backwards), SplitError::Contradiction { first: "train-until", second: "test-from", .. }));
    let empty = SplitOptions { test_from: Some(90 * DAY), test_until: Some(90 * DAY), ..days(7) };
    assert!(matches!(error(empty), SplitError::Contradiction { first: "test-from", second: "test-until", .. }));
    let late = SplitOptions { test_from: Some(900 * DAY), ..days(7) };
    assert_eq!(
        error(late).to_string(),
        "split: test-from: expected an instant in the data, 1970-01-01T00:00:00Z to 1970-07-19T23:00:00Z, found 1972-06-19T00:00:00Z"
    );
    let early = SplitOptions { train_until: Some(-DAY), ..days(7) };
    assert!(matches!(error(early), SplitError::OutOfRange { option: "train-until", .. }));
    let not_due = SplitOptions { test_from: Some(3 * DAY), ..days(7) };
    assert!(matches!(error(not_due), SplitError::TooShort { needed_days: 8, .. }));
    let past = SplitOptions { data_end: Some(31 * DAY), test_from: Some(60 * DAY), ..days(7) };
    assert!(matches!(error(past), SplitError::Contradiction { first: "test-from", second: "as-of", .. }));
    let not_yet = SplitOptions { data_end: Some(63 * DAY), test_from: Some(60 * DAY), ..days(7) };
    let error_of_test = error(not_yet);
    assert!(matches!(error_of_test, SplitError::UnresolvedTest { n_rows: 3_360, .. }), "{error_of_test:?}");
    assert_eq!(error(SplitOptions { shares: [0.6, 0.4, 0.0], ..days(7) }), SplitError::Shares);
}

#[test]
fn too_little_to_learn_from_is_an_error() {
    let (time, label) = hourly(9, 2);
    assert!(matches!(run(&time, &label, &days(0)), Err(SplitError::TooFewRows { n_labelled: 9, .. })));
    let (time, label) = hourly(4_800, 10_000);
    assert!(run(&time, &label, &days(7)).is_ok(), "one fraud is a class");
    let honest = vec![0; 4_800];
    assert!(matches!(run(&time, &honest, &days(7)), Err(SplitError::OneClass { n_fraud: 0, .. })));
    assert!(matches!(run(&time, &vec![1; 4_800], &days(7)), Err(SplitError::OneClass { n_honest: 0, .. })));
}

#[test]
fn no_fraud_in_test_is_noted() {
    let (time, mut label) = hourly(4_800, 10);
    label[3_800..].fill(0);
    assert!(run(&time, &label, &days(7)).unwrap().notes.contains(&SplitNote::NoFraudInTest));
}

#[test]
fn compromised_entities_leave_the_test_part() {
    let (time, label) = hourly(4_800, 10);
    let b = run(&time, &label, &days(7)).unwrap().boundaries.unwrap();
    let first = time.iter().position(|&t| t >= b.test_from).unwrap();
    let mut entities: Vec<u64> = (0..4_800).map(|row| 1_000_000 + row).collect();
    // 1: fraud in train. 2: fraud in test, known 7 days later. 3: honest so far. Missing entities never meet.
    (entities[0], entities[first + 1]) = (1, 1);
    let fraud = (first..4_800).find(|&row| label[row] == 1).unwrap();
    let next_day = 24 - (time[fraud] / 3_600_000 % 24) as usize;
    let known_day = fraud + next_day + 7 * 24;
    for row in [fraud, known_day - 1, known_day] {
        entities[row] = 2;
    }
    (entities[1], entities[first + 3]) = (3, 3);
    (entities[10], entities[first + 5]) = (NO_ENTITY, NO_ENTITY);
    let options = SplitOptions { drop_known: Some(&entities), ..days(7) };
    let all = run(&time, &label, &days(7)).unwrap().test;
    let s = run(&time, &label, &options).unwrap();
    let dropped: Vec<usize> = all.iter().filter(|row| !s.test.contains(row)).map(|&row| row as usize).collect();
    assert_eq!(dropped, [first + 1, known_day]);
    assert_eq!((s.n_known_entity_dropped, s.test.len()), (2, s.test_label.len()));
}

#[test]
fn without_time_parts_are_stratified_by_hash() {
    let label: Vec<i8> = (0..4_000).map(|i| if i % 100 == 99 { -1 } else { i8::from(i % 10 == 0) }).collect();
    let known_from = vec![i64::MIN; 4_000];
    let labels = OrderLabels { label_time: vec![0; 4_000], known_from, changes: vec![], label };
    let s = run_on(None, &labels, &days(7)).unwrap();
    assert_eq!(s.protocol, Protocol::Shuffled);
    assert_eq!([&s.train, &s.validation, &s.test].map(Vec::len), [2_376, 792, 792]);
    assert_eq!(s.train_label.iter().map(|&l| u32::from(l)).sum::<u32>(), 240);
    assert_eq!(s.n_unlabelled, 40);
    assert_eq!(n_in_all(&s), 4_000);
    assert!(s.notes.contains(&SplitNote::NoTime));
    let other = SplitOptions { seed: 2, ..days(7) };
    assert_ne!(run_on(None, &labels, &other).unwrap().test, s.test);
    let dated = SplitOptions { test_from: Some(0), ..days(7) };
    assert_eq!(run_on(None, &labels, &dated).unwrap_err(), SplitError::NoTime);
}

/// All orders in the parts and in the counts.
fn n_in_all(s: &Split) -> u64 {
    (s.train.len() + s.validation.len() + s.test.len()) as u64
        + s.n_gap_before_validation
        + s.n_gap_before_test
        + s.n_outside.0
        + s.n_outside.1
        + s.n_labelled_later
        + s.n_unresolved_test
        + s.n_unlabelled
        + s.n_without_time
        + s.n_known_entity_dropped
}

/// Orders as (time in hours, label, entity).
fn orders() -> impl Strategy<Value = Vec<(i64, i8, u64)>> {
    prop::collection::vec((0_i64..2_400, -1_i8..2, 0_u64..40), 30..400)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn parts_respect_time_and_delay(
        mut orders in orders(), delay in 0_i64..20, with_times: bool, late: bool, dates in 0..4, known: bool,
    ) {
        orders.sort_unstable();
        let time: Vec<i64> = orders.iter().map(|o| o.0 * 3_600_000).collect();
        let label: Vec<i8> = orders.iter().map(|o| o.1).collect();
        let groups: Vec<u64> = orders.iter().map(|o| o.2).collect();
        let given: Vec<i64> = orders.iter().map(|o| o.0 * 3_600_000 + 1 + (o.2 as i64) * DAY).collect();
        let (mut labels, _) = believe_label_times(&time, &label, with_times.then_some(&given), Span::days(delay));
        if late {
            // Some orders are labelled only since a statement that came later.
            (0..time.len()).filter(|row| row % 4 == 0).for_each(|row| labels.known_from[row] = given[row]);
        }
        let keys: Vec<u64> = orders.iter().map(|o| (o.0 as u64) << 20 | o.2 << 4 | (o.1 + 1) as u64).collect();
        let input = SplitInput { time: Some(&time), labels: &labels, row_key: &keys, groups: Some(&groups) };
        let options = SplitOptions {
            train_from: (dates > 0).then_some(10 * DAY),
            train_until: (dates == 2).then_some(50 * DAY),
            test_from: (dates > 1).then_some(70 * DAY),
            test_until: (dates == 3).then_some(90 * DAY),
            drop_known: known.then_some(&groups),
            ..days(delay)
        };
        let Ok(s) = split(&input, &options) else { return Ok(()) };
        let b = s.boundaries.unwrap();
        let of = |row: &u32| time[*row as usize];
        let due = |row: &u32| of(row) + delay * DAY;
        prop_assert!(s.train.iter().all(|row| of(row) >= b.train_from && of(row) < b.train_until && due(row) <= s.fit_as_of.unwrap()));
        prop_assert!(s.validation.iter().all(|row| due(row) <= b.test_from && of(row) < b.validation.unwrap().1));
        prop_assert!(s.test.iter().all(|row| of(row) >= b.test_from && due(row) <= s.data_end.unwrap()));
        if let (Some(last), Some(first)) = (s.train.last(), s.validation.first()) {
            prop_assert!(last < first);
        }
        let parts: Vec<u32> = [&s.train, &s.validation, &s.test].into_iter().flatten().copied().collect();
        prop_assert!(parts.is_sorted_by(|a, b| a < b), "parts stand in time, and no order in two");
        prop_assert!(parts.iter().all(|&row| label[row as usize] >= 0));
        prop_assert!(s.train.iter().all(|&row| labels.known_from[row as usize] <= s.fit_as_of.unwrap()));
        for (rows, known, as_of) in [
            (&s.train, &s.train_label, s.fit_as_of.unwrap()),
            (&s.validation, &s.validation_label, b.test_from),
            (&s.test, &s.test_label, s.data_end.unwrap()),
        ] {
            for (&row, &known) in rows.iter().zip(known) {
                let row = row as usize;
                prop_assert_eq!(known == 1, label[row] == 1 && labels.label_time[row] <= as_of);
            }
        }
        prop_assert_eq!(n_in_all(&s), orders.len() as u64);
    }

    #[test]
    fn rows_without_time_fall_the_same_way_in_any_order(mut rows in prop::collection::vec((0_u64..1_000_000, 0_i8..2), 30..200)) {
        let part_of = |rows: &[(u64, i8)]| {
            let keys: Vec<u64> = rows.iter().map(|r| r.0).collect();
            let labels = OrderLabels { label: rows.iter().map(|r| r.1).collect(), label_time: vec![0; rows.len()], known_from: vec![i64::MIN; rows.len()], changes: vec![] };
            let input = SplitInput { time: None, labels: &labels, row_key: &keys, groups: None };
            split(&input, &SplitOptions::default()).map(|s| {
                let mut test: Vec<(u64, i8)> = s.test.iter().map(|&row| rows[row as usize]).collect();
                test.sort_unstable();
                test
            }).map_err(|e| e.to_string())
        };
        let before = part_of(&rows);
        rows.reverse();
        prop_assert_eq!(before, part_of(&rows));
    }
}
