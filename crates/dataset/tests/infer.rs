//! Schema inference from profiles made by hand, shaped as the public data sets are.

use orderguard_dataset::infer::{InferError, InferOptions, Note, Proposal, infer, infer_labels};
use orderguard_dataset::profile::{ColumnProfile, MAX_DISTINCT, Profile};
use orderguard_features::schema::{Available, Role, TimeFormat};

const DAY: i64 = 86_400_000;
/// 2018-04-01.
const APRIL: i64 = 1_522_540_800_000;

fn column(name: &str, n_distinct: u64) -> ColumnProfile {
    ColumnProfile {
        name: name.into(),
        n_distinct: n_distinct.min(MAX_DISTINCT),
        has_more_distinct: n_distinct >= MAX_DISTINCT,
        max_len: 12,
        ..Default::default()
    }
}

fn integers(name: &str, n: u64, n_distinct: u64) -> ColumnProfile {
    ColumnProfile {
        n_integer: n,
        n_number: n,
        number_range: Some((0.0, n_distinct as f64)),
        ..column(name, n_distinct)
    }
}

fn decimals(name: &str, n: u64, n_distinct: u64, max_decimals: u8) -> ColumnProfile {
    ColumnProfile { n_integer: n / 50, n_number: n, max_decimals, ..column(name, n_distinct) }
}

fn time(name: &str, n: u64, n_distinct: u64, readings: &[&'static str]) -> ColumnProfile {
    let times = readings.iter().map(|&key| (key, (n, APRIL, APRIL + 180 * DAY))).collect();
    ColumnProfile { times, ..column(name, n_distinct) }
}

fn label(name: &str, n_fraud: u64, n_honest: u64) -> ColumnProfile {
    let n = n_fraud + n_honest;
    ColumnProfile { n_label: (n_fraud, n_honest), ..integers(name, n, 2) }
}

fn profile(n_rows: u64, columns: Vec<ColumnProfile>) -> Profile {
    Profile { n_rows, columns, events: None }
}

fn infer_default(profile: &Profile) -> Result<Proposal, InferError> {
    infer(profile, &InferOptions::default())
}

#[track_caller]
fn role(proposal: &Proposal, name: &str) -> Role {
    proposal.schema.columns[proposal.schema.position(name).expect(name)].role
}

#[track_caller]
fn check(proposal: &Proposal, expected: &[(&str, Role)]) {
    for &(name, expected) in expected {
        let position = proposal.schema.position(name).expect(name);
        assert_eq!(role(proposal, name), expected, "{name}: {}", proposal.reasons[position]);
    }
}

fn handbook() -> Profile {
    let n = 1_754_155;
    let scenario = ColumnProfile { n_label: (973, 1_739_474), ..integers("TX_FRAUD_SCENARIO", n, 4) };
    profile(
        n,
        vec![
            integers("TRANSACTION_ID", n, n),
            time("TX_DATETIME", n, n, &["iso"]),
            integers("CUSTOMER_ID", n, 4_990),
            integers("TERMINAL_ID", n, 10_000),
            decimals("TX_AMOUNT", n, 38_000, 2),
            integers("TX_TIME_SECONDS", n, n),
            integers("TX_TIME_DAYS", n, 183),
            label("TX_FRAUD", 14_681, n - 14_681),
            scenario,
        ],
    )
}

#[test]
fn handbook_columns_find_their_roles() {
    let proposal = infer_default(&handbook()).unwrap();
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
    assert_eq!(proposal.schema.amount_decimals, 2);
    assert_eq!(proposal.notes, [Note::CurrencyMissing { amount: "TX_AMOUNT".into() }]);
    let row = proposal.table().nth(2).unwrap();
    assert_eq!(
        (row.name, row.role, row.available, row.format),
        ("CUSTOMER_ID", Role::Customer, Available::Order, None)
    );
    assert_eq!(row.reason, "name says customer; 4,990 distinct values in 1,754,155 rows");
    assert_eq!(proposal.table().nth(1).unwrap().format, Some(TimeFormat::Iso));
}

#[test]
fn shop_first_purchases_find_their_roles() {
    let n = 30_189;
    let ip = ColumnProfile { n_ip_number: n - 20, ..decimals("ip_address", n, 29_156, 9) };
    let proposal = infer_default(&profile(
        n,
        vec![
            integers("user_id", n, n),
            time("signup_time", n, 28_890, &["month_day_year"]),
            time("purchase_time", n, 28_371, &["month_day_year"]),
            integers("purchase_value", n, 112),
            column("device_id", 28_949),
            column("source", 3),
            column("browser", 5),
            column("sex", 2),
            integers("age", n, 54),
            ip,
            label("class", 2_867, n - 2_867),
        ],
    ))
    .unwrap();
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
}

#[test]
fn unlabelled_transactions_find_their_roles() {
    let n = 1_611;
    let phones = ColumnProfile { n_phone: 1_500, ..column("billing_phone", 248) };
    let label_time = ColumnProfile { n_missing: 801, ..time("LABEL_TIMESTAMP", 810, 810, &["iso"]) };
    let proposal = infer_default(&profile(
        n,
        vec![
            ColumnProfile { n_missing: 801, ..label("EVENT_LABEL", 95, 715) },
            time("EVENT_TIMESTAMP", n, n, &["iso"]),
            label_time,
            column("EVENT_ID", n),
            column("ENTITY_TYPE", 1),
            ColumnProfile { n_phone: n, ..column("ENTITY_ID", 248) },
            ColumnProfile { max_len: 6, ..integers("card_bin", n, 248) },
            column("customer_name", 158),
            column("billing_street", 248),
            ColumnProfile { number_range: Some((-33.5, 71.2)), ..decimals("billing_latitude", n, 247, 4) },
            ColumnProfile { number_range: Some((-179.0, 181.0)), ..decimals("billing_longitude", n, 247, 4) },
            column("customer_job", 208),
            ColumnProfile { n_ip: n, ..column("ip_address", 248) },
            ColumnProfile { n_email: n, ..column("customer_email", 248) },
            phones,
            column("product_category", 14),
            decimals("order_price", n, 1_504, 2),
            ColumnProfile { n_currency: n, ..column("payment_currency", 163) },
            column("merchant", 601),
        ],
    ))
    .unwrap();
    check(
        &proposal,
        &[
            ("EVENT_LABEL", Role::Label),
            ("EVENT_TIMESTAMP", Role::Time),
            ("LABEL_TIMESTAMP", Role::LabelTime),
            ("EVENT_ID", Role::Id),
            ("ENTITY_TYPE", Role::Ignored),
            ("ENTITY_ID", Role::Customer),
            ("card_bin", Role::Bin),
            ("customer_name", Role::Name),
            ("billing_street", Role::BillingAddress),
            ("billing_latitude", Role::BillingLatitude),
            ("billing_longitude", Role::Number),
            ("customer_job", Role::Category),
            ("ip_address", Role::Ip),
            ("customer_email", Role::Email),
            ("billing_phone", Role::Phone),
            ("product_category", Role::Category),
            ("order_price", Role::Amount),
            ("payment_currency", Role::Currency),
            ("merchant", Role::Merchant),
        ],
    );
    assert!(proposal.notes.contains(&Note::SeveralCurrencies { column: "payment_currency".into(), n_currencies: 163 }));
}

#[test]
fn chargebacks_find_their_roles() {
    let n = 3_199;
    let proposal = infer_default(&profile(
        n,
        vec![
            integers("transaction_id", n, n),
            integers("merchant_id", n, 1_756),
            integers("user_id", n, 2_704),
            ColumnProfile { n_masked_card: n, ..column("card_number", 2_925) },
            time("transaction_date", n, 3_188, &["iso"]),
            decimals("transaction_amount", n, 3_124, 2),
            ColumnProfile { n_missing: 830, ..integers("device_id", n - 830, 1_996) },
            ColumnProfile { n_label: (391, n - 391), ..column("has_cbk", 2) },
        ],
    ))
    .unwrap();
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
    assert!(proposal.notes.contains(&Note::MaskedCards { column: "card_number".into() }));
}

#[test]
fn card_numbers_are_cards_under_any_name() {
    let n = 1_000;
    let proposal = infer_default(&profile(
        n,
        vec![label("label", 50, 950), ColumnProfile { n_luhn: 990, ..integers("merchant_note", n, n) }],
    ))
    .unwrap();
    assert_eq!(role(&proposal, "merchant_note"), Role::Card);
    assert!(proposal.notes.contains(&Note::CardNumbers { column: "merchant_note".into(), n_luhn: 990 }));
    assert!(proposal.notes.contains(&Note::NoTime));
}

#[test]
fn contents_veto_names() {
    let n = 10_000;
    let proposal = infer_default(&profile(
        n,
        vec![
            label("label", 500, n - 500),
            column("amount", 5),
            decimals("customer_id", n, 9_000, 4),
            column("device_id", 2),
            column("time", 3),
            integers("transaction_id", n, 40),
            ColumnProfile { n_email: n, ..column("handle", 5_000) },
        ],
    ))
    .unwrap();
    check(
        &proposal,
        &[
            ("amount", Role::Category),
            ("customer_id", Role::Number),
            ("device_id", Role::Category),
            ("time", Role::Category),
            ("transaction_id", Role::Category),
            ("handle", Role::Email),
        ],
    );
    let repeats = Note::IdRepeats { column: "transaction_id".into(), n_distinct: 40, n_present: n };
    assert!(proposal.notes.contains(&repeats));
}

#[test]
fn a_few_coupons_are_coupons_and_yes_and_no_is_not() {
    let n = 100_000;
    let used_by_some = |name, n_distinct| ColumnProfile { n_missing: 80_000, ..column(name, n_distinct) };
    let columns = vec![
        label("fraud", 900, 99_100),
        used_by_some("coupon", 5),
        used_by_some("VoucherCode", 20),
        used_by_some("promo_code", 9_000),
        integers("discount", n, 2),
        used_by_some("coupon_used", 2),
        decimals("coupon_value", n, 40, 2),
        decimals("discount_applied", n, 40, 2),
    ];
    let proposal = infer_default(&profile(n, columns)).unwrap();
    check(
        &proposal,
        &[
            ("coupon", Role::Coupon),
            ("VoucherCode", Role::Coupon),
            ("promo_code", Role::Coupon),
            ("discount", Role::Number),
            ("coupon_used", Role::Category),
            ("coupon_value", Role::Number),
            ("discount_applied", Role::Number),
        ],
    );
}

#[test]
fn what_comes_after_the_order_is_known_later() {
    let n = 10_000;
    let refund = ColumnProfile { n_missing: 9_000, ..column("refund_reason", 6) };
    let delivered = ColumnProfile { n_missing: 900, ..time("delivered_at", n - 900, 9_000, &["iso"]) };
    let proposal = infer_default(&profile(
        n,
        vec![
            label("is_fraud", 500, n - 500),
            time("order_date", n, 9_900, &["iso"]),
            refund,
            delivered,
            integers("previous_chargebacks", n, 7),
            column("shipping_method", 4),
        ],
    ))
    .unwrap();
    let available = |name: &str| proposal.schema.columns[proposal.schema.position(name).unwrap()].available;
    assert_eq!(available("refund_reason"), Available::Later);
    assert_eq!(available("delivered_at"), Available::Later);
    assert_eq!(available("previous_chargebacks"), Available::Order);
    assert_eq!(available("shipping_method"), Available::Order);
    check(
        &proposal,
        &[("order_date", Role::Time), ("delivered_at", Role::Timestamp), ("previous_chargebacks", Role::Number)],
    );
}

#[test]
fn currency_by_contents_and_constant_currency() {
    let n = 1_000;
    let top = vec![("EUR".to_owned(), 900), ("PLN".to_owned(), 100)];
    let money = ColumnProfile { n_currency: n, top, ..column("paid_in", 2) };
    let proposal = infer_default(&profile(n, vec![label("label", 50, 950), money])).unwrap();
    assert_eq!(role(&proposal, "paid_in"), Role::Currency);
    let top = vec![("USA".to_owned(), 900), ("PLN".to_owned(), 100)];
    let country = ColumnProfile { n_currency: n, top, ..column("where", 2) };
    let constant = ColumnProfile { n_currency: n, ..column("currency", 1) };
    let proposal = infer_default(&profile(n, vec![label("label", 50, 950), country, constant])).unwrap();
    check(&proposal, &[("where", Role::Category), ("currency", Role::Currency)]);
}

#[test]
fn amounts_keep_the_decimals_that_were_seen() {
    for (seen, kept) in [(0, 2), (2, 2), (3, 3), (9, 6)] {
        let columns = vec![label("label", 50, 950), decimals("amount", 1_000, 900, seen)];
        assert_eq!(infer_default(&profile(1_000, columns)).unwrap().schema.amount_decimals, kept);
    }
}

#[test]
fn day_and_month_are_settled_by_another_column_or_noted() {
    let both = ["month_day_year", "day_month_year"];
    let n = 1_000;
    let columns = vec![label("label", 50, 950), time("order_time", n, 900, &both)];
    let proposal = infer_default(&profile(n, columns.clone())).unwrap();
    assert!(proposal.notes.contains(&Note::DayMonthAmbiguous { column: "order_time".into() }));
    assert_eq!(proposal.schema.columns[1].format, Some(TimeFormat::MonthDayYear));

    let with_certain = [columns, vec![time("signup_time", n, 900, &["day_month_year"])]].concat();
    let proposal = infer_default(&profile(n, with_certain)).unwrap();
    assert_eq!(proposal.schema.columns[1].format, Some(TimeFormat::DayMonthYear));
    assert!(!proposal.notes.iter().any(|n| matches!(n, Note::DayMonthAmbiguous { .. })));
}

#[test]
fn epoch_numbers_are_times_only_where_the_name_says_so() {
    let n = 1_000;
    let epoch = |name: &str| ColumnProfile {
        times: [("epoch_seconds", (n, APRIL, APRIL + 90 * DAY))].into_iter().collect(),
        ..integers(name, n, n)
    };
    let proposal =
        infer_default(&profile(n, vec![label("label", 50, 950), epoch("created_at"), epoch("customer_id")])).unwrap();
    check(&proposal, &[("created_at", Role::Time), ("customer_id", Role::Customer)]);
    assert_eq!(proposal.schema.columns[1].format, Some(TimeFormat::EpochSeconds));
}

#[test]
fn the_user_names_the_label() {
    let data = profile(1_000, vec![label("fraud", 50, 950), label("chargeback", 60, 940), column("note", 900)]);
    let Err(InferError::TwoLabels { candidates }) = infer_default(&data) else { panic!("two labels are an error") };
    assert_eq!(candidates, ["fraud", "chargeback"]);
    let named = |name: &str| infer(&data, &InferOptions { label: Some(name.into()), ..Default::default() });
    let proposal = named("chargeback").unwrap();
    assert_eq!(role(&proposal, "chargeback"), Role::Label);
    assert_ne!(role(&proposal, "fraud"), Role::Label);
    assert!(matches!(named("nothing"), Err(InferError::LabelNotFound { .. })));
    let Err(error @ InferError::LabelNotReadable { .. }) = named("note") else { panic!("a note is no label") };
    assert_eq!(
        error.to_string(),
        "label \"note\": expected 0/1, true/false, yes/no or fraud/legit in every row with a value, found them in 0 of 1,000"
    );
}

#[test]
fn a_clear_label_beats_a_vague_one() {
    let proposal = infer_default(&profile(1_000, vec![label("class", 400, 600), label("is_fraud", 50, 950)])).unwrap();
    check(&proposal, &[("is_fraud", Role::Label), ("class", Role::Category)]);
}

#[test]
fn no_label_says_what_was_looked_for() {
    let data = profile(1_000, vec![label("flagged", 50, 950), decimals("amount", 1_000, 900, 2)]);
    let error = infer_default(&data).unwrap_err();
    assert!(matches!(&error, InferError::NoLabel { suggestions, .. } if suggestions == &["flagged"]));
    assert!(error.to_string().contains("chargeback") && error.to_string().contains("flagged"), "{error}");
    let later = InferOptions { label_required: false, ..Default::default() };
    assert!(infer(&data, &later).unwrap().schema.find(Role::Label).is_none());
}

#[test]
fn one_class_is_noted() {
    let honest_only = ColumnProfile { n_distinct: 1, ..label("is_fraud", 0, 1_000) };
    let proposal = infer_default(&profile(1_000, vec![honest_only, decimals("amount", 1_000, 900, 2)])).unwrap();
    assert_eq!(role(&proposal, "is_fraud"), Role::Label);
    assert!(proposal.notes.iter().any(|n| matches!(n, Note::OneClass { n_fraud: 0, n_honest: 1_000, .. })));
}

#[test]
fn tables_that_mean_nothing_are_errors() {
    assert_eq!(infer_default(&profile(0, vec![label("label", 0, 0)])), Err(InferError::NoRows { n_columns: 1 }));
    assert_eq!(infer_default(&profile(0, vec![])), Err(InferError::NoRows { n_columns: 0 }));
    let twice = profile(10, vec![label("label", 5, 5), column("a", 3), column("a", 3)]);
    assert_eq!(infer_default(&twice), Err(InferError::DuplicateColumn { name: "a".into() }));
    let zone = InferOptions { timezone: "Mars/Olympus".into(), ..Default::default() };
    let data = profile(10, vec![label("label", 5, 5)]);
    assert!(matches!(infer(&data, &zone), Err(InferError::Schema { .. })));
}

#[test]
fn ten_thousand_columns_are_no_trouble() {
    let mut columns = vec![label("label", 500, 9_500)];
    columns.extend((0..10_000).map(|i| decimals(&format!("feature_{i}"), 10_000, 9_000, 4)));
    let proposal = infer_default(&profile(10_000, columns)).unwrap();
    assert_eq!(proposal.schema.columns.len(), 10_001);
    assert!(proposal.schema.columns[1..].iter().all(|c| c.role == Role::Number));
}

#[test]
fn files_of_labels_find_their_roles() {
    let n = 500;
    let data = profile(
        n,
        vec![
            column("order_id", n),
            ColumnProfile { n_label: (400, 100), ..column("label", 2) },
            time("order_date", n, 480, &["iso"]),
            time("reported_at", n, 480, &["iso"]),
            column("kind", 4),
            column("source", 3),
            column("case_officer", 100),
        ],
    );
    let proposal = infer_labels(&data, &InferOptions::default()).unwrap();
    check(
        &proposal,
        &[
            ("order_id", Role::Id),
            ("label", Role::Label),
            ("order_date", Role::Ignored),
            ("reported_at", Role::Time),
            ("kind", Role::Category),
            ("source", Role::Category),
            ("case_officer", Role::Ignored),
        ],
    );
    let nameless = profile(n, vec![label("label", 400, 100), column("city", 40)]);
    assert!(matches!(infer_labels(&nameless, &InferOptions::default()), Err(InferError::NoOrderId { .. })));
}
