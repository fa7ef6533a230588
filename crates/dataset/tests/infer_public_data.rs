//! Inference, leaks and the split on the public data in the folder that `ORDERGUARD_DATA` names; without it, nothing is
//! checked here: the same rules are held by the other tests on made-up data.

use std::path::PathBuf;

use orderguard_dataset::infer::{InferOptions, Proposal, infer};
use orderguard_dataset::labels::{LabelTimeNote, believe_label_times};
use orderguard_dataset::leaks::{LeakReason, find_leaks};
use orderguard_dataset::profile::Profile;
use orderguard_dataset::read::{ReadOptions, ReadOutcome, read};
use orderguard_dataset::scan::profile;
use orderguard_dataset::source::Sources;
use orderguard_dataset::split::{Protocol, Split, SplitInput, SplitOptions, split};
use orderguard_features::schema::{Role, Schema, TimeFormat};
use orderguard_features::table::{ColumnData, MISSING_CODE};
use orderguard_features::time::Span;

const DAY: i64 = 86_400_000;

fn data(path: &str) -> Option<PathBuf> {
    std::env::var_os("ORDERGUARD_DATA").map(|folder| PathBuf::from(folder).join(path))
}

fn scan(path: PathBuf) -> (Sources, Profile, Proposal) {
    let sources = Sources::from_paths(&[path]).unwrap();
    let profile = profile(&sources, &|_, _| {}).unwrap();
    let proposal = infer(&profile, &InferOptions::default()).unwrap();
    (sources, profile, proposal)
}

#[track_caller]
fn check(proposal: &Proposal, expected: &[(&str, Role)]) {
    assert_eq!(proposal.schema.columns.len(), expected.len());
    for (row, &(name, role)) in proposal.table().zip(expected) {
        assert_eq!((row.name, row.role), (name, role), "{}", row.reason);
    }
}

fn labels_of(outcome: &ReadOutcome, schema: &Schema) -> Vec<i8> {
    match &outcome.table.columns[schema.find(Role::Label).unwrap()] {
        ColumnData::Label(labels) => labels.clone(),
        other => panic!("a label column holds labels, not {other:?}"),
    }
}

fn times_of(outcome: &ReadOutcome, schema: &Schema, role: Role) -> Vec<i64> {
    match &outcome.table.columns[schema.find(role).unwrap()] {
        ColumnData::Time(times) => times.clone(),
        other => panic!("a time column holds times, not {other:?}"),
    }
}

#[test]
fn shop_first_purchases() {
    let Some(path) = data("ecommerce-2015/fraud_data_first30189_with_ip.csv.zst") else { return };
    let (_, _, proposal) = scan(path);
    check(
        &proposal,
        &[
            ("user_id", Role::Customer),
            ("signup_time", Role::Timestamp),
            ("purchase_time", Role::Time),
            ("purchase_value", Role::Amount),
            ("device_id", Role::Device),
            ("source", Role::Category),
            ("browser", Role::Category),
            ("sex", Role::Category),
            ("age", Role::Number),
            ("ip_address", Role::Ip),
            ("class", Role::Label),
        ],
    );
    assert_eq!(proposal.schema.columns[2].format, Some(TimeFormat::MonthDayYear));
    let Some(path) = data("ecommerce-2015/fraud_data_first51689_no_ip.csv.zst") else { return };
    let (_, _, proposal) = scan(path);
    assert_eq!(proposal.schema.find(Role::Time), Some(2));
    assert_eq!(proposal.schema.columns[2].format, Some(TimeFormat::MonthDayYear));
}

#[test]
fn partly_unlabelled_transactions() {
    let Some(path) = data("frauddetector-samples/transaction_data_2K_coldstart.csv.zst") else { return };
    let (sources, _, proposal) = scan(path);
    let role = |name: &str| proposal.schema.columns[proposal.schema.position(name).unwrap()].role;
    for (name, expected) in [
        ("EVENT_LABEL", Role::Label),
        ("EVENT_TIMESTAMP", Role::Time),
        ("LABEL_TIMESTAMP", Role::LabelTime),
        ("EVENT_ID", Role::Id),
        ("ENTITY_TYPE", Role::Ignored),
        ("ENTITY_ID", Role::Customer),
        ("customer_name", Role::Name),
        ("billing_street", Role::BillingAddress),
        ("billing_country", Role::Ignored),
        ("billing_latitude", Role::BillingLatitude),
        ("billing_longitude", Role::BillingLongitude),
        ("ip_address", Role::Ip),
        ("customer_email", Role::Email),
        ("billing_phone", Role::Phone),
        ("product_category", Role::Category),
        ("order_price", Role::Amount),
        ("payment_currency", Role::Currency),
        ("merchant", Role::Merchant),
        ("user_agent", Role::UserAgent),
        ("card_bin", Role::Bin),
    ] {
        assert_eq!(role(name), expected, "{name}");
    }
    let outcome = read(&sources, &proposal.schema, &ReadOptions::default(), &|_, _| {}).unwrap();
    let schema = &proposal.schema;
    let given = times_of(&outcome, schema, Role::LabelTime);
    let (times, labels) = (times_of(&outcome, schema, Role::Time), labels_of(&outcome, schema));
    let (_, note) = believe_label_times(&times, &labels, Some(&given), Span::days(7));
    assert!(matches!(note, Some(LabelTimeNote::NotBelieved { n_judged: 95, n_equal: 95, .. })), "{note:?}");

    let Some(path) = data("frauddetector-samples/registration_data_2K_coldstart.csv.zst") else { return };
    let (_, _, proposal) = scan(path);
    let role = |name: &str| proposal.schema.columns[proposal.schema.position(name).unwrap()].role;
    assert_eq!(role("phone_number"), Role::Phone);
    assert_eq!(role("billing_address"), Role::BillingAddress);
    assert_eq!(role("EVENT_TIMESTAMP"), Role::Time);
}

#[test]
fn chargebacks() {
    let Some(path) = data("chargeback-sample/transactional-sample.csv.zst") else { return };
    let (_, _, proposal) = scan(path);
    check(
        &proposal,
        &[
            ("transaction_id", Role::Id),
            ("merchant_id", Role::Merchant),
            ("user_id", Role::Customer),
            ("card_number", Role::Card),
            ("transaction_date", Role::Time),
            ("transaction_amount", Role::Amount),
            ("device_id", Role::Device),
            ("has_cbk", Role::Label),
        ],
    );
}

#[test]
fn handbook_transactions() {
    let Some(path) = data("handbook/transactions.csv.zst") else { return };
    let (sources, _, proposal) = scan(path);
    let schema = &proposal.schema;
    check(
        &proposal,
        &[
            ("TRANSACTION_ID", Role::Id),
            ("TX_DATETIME", Role::Time),
            ("CUSTOMER_ID", Role::Customer),
            ("TERMINAL_ID", Role::Merchant),
            ("TX_AMOUNT", Role::Amount),
            ("TX_TIME_SECONDS", Role::Number),
            ("TX_TIME_DAYS", Role::Number),
            ("TX_FRAUD", Role::Label),
            ("TX_FRAUD_SCENARIO", Role::Category),
        ],
    );
    // 1,214 amounts of the file are binary fractions written out (85.64999999999999); the counts below are of all rows.
    let mut schema = schema.clone();
    schema.columns[4].role = Role::Number;
    let schema = &schema;
    let outcome = read(&sources, schema, &ReadOptions::default(), &|_, _| {}).unwrap();
    assert_eq!((outcome.table.n_rows, outcome.n_rows_seen), (1_754_155, 1_754_155));
    let (times, labels) = (times_of(&outcome, schema, Role::Time), labels_of(&outcome, schema));
    let (labels, _) = believe_label_times(&times, &labels, None, Span::days(7));
    let ColumnData::Text(customers) = &outcome.table.columns[2] else { panic!("customers are text") };
    assert!(!customers.codes.contains(&MISSING_CODE));
    let customers: Vec<u64> = customers.codes.iter().map(|&code| u64::from(code)).collect();
    let keys: Vec<u64> = (0..times.len() as u64).collect();
    let input = SplitInput { time: Some(&times), labels: &labels, row_key: &keys, groups: Some(&customers) };
    let n_fraud = |labels: &[u8]| labels.iter().map(|&label| u32::from(label)).sum::<u32>();
    let leaks = |s: &Split| {
        let leaks = find_leaks(&outcome.table, schema, &s.train, &s.train_label, &[]).unwrap();
        leaks.into_iter().map(|leak| (leak.column, leak.reason)).collect::<Vec<_>>()
    };

    // Chapter 3 of the handbook: train on the week from 2018-07-25, test on the week from 2018-08-08.
    let train_from = 1_532_476_800_000;
    let options = SplitOptions {
        train_from: Some(train_from),
        train_until: Some(train_from + 7 * DAY),
        test_from: Some(train_from + 14 * DAY),
        test_until: Some(train_from + 21 * DAY),
        drop_known: Some(&customers),
        ..SplitOptions::default()
    };
    let chapter_3 = split(&input, &options).unwrap();
    assert_eq!(chapter_3.train.len(), 67_240);
    assert_eq!((chapter_3.test.len(), n_fraud(&chapter_3.test_label)), (58_264, 385));
    assert_eq!(chapter_3.protocol, Protocol::InTimeWithFolds { n_folds: 5 });

    for s in [chapter_3, split(&input, &SplitOptions::default()).unwrap()] {
        let found = leaks(&s);
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["TX_TIME_SECONDS", "TX_TIME_DAYS", "TX_FRAUD_SCENARIO"], "{found:?}");
        assert!(found[..2].iter().all(|(_, reason)| matches!(reason, LeakReason::RunningNumber { .. })));
    }
}
