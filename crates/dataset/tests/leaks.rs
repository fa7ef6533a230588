//! Leaks are found, honest columns are left alone, in any order of the rows.

use orderguard_dataset::leaks::{Leak, LeakError, LeakReason, find_leaks};
use orderguard_features::schema::{Available, Column, Role, Schema, TimeFormat};
use orderguard_features::table::{ColumnData, Levels, MISSING_CODE, MISSING_I64, OrderTable, TextColumn};
use orderguard_features::time::Span;
use proptest::prelude::*;

const N: usize = 4_000;

/// A repeatable number in [0, 1) of a row and a purpose.
fn draw(row: usize, purpose: u64) -> f64 {
    let hash = xxhash_rust::xxh3::xxh3_64_with_seed(&(row as u64).to_le_bytes(), purpose);
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

fn is_fraud(row: usize) -> bool {
    draw(row, 1) < 0.03
}

fn time(row: usize) -> i64 {
    1_600_000_000_000 + row as i64 * 120_000 + (draw(row, 2) * 60_000.0) as i64
}

/// Orders with one more column, under the name `x`; row i stands at `order[i]`.
fn judge_in(
    order: &[usize],
    role: Role,
    data: impl Fn(&[usize]) -> ColumnData,
    keep: &[String],
) -> Result<Vec<Leak>, LeakError> {
    let column = |name: &str, role| Column {
        name: name.into(),
        role,
        available: Available::Order,
        format: matches!(role, Role::Time | Role::Timestamp).then_some(TimeFormat::Iso),
    };
    let schema = Schema {
        timezone: "UTC".into(),
        label_delay: Span::days(7),
        amount_decimals: 2,
        columns: vec![column("at", Role::Time), column("x", role)],
    };
    let times = ColumnData::Time(order.iter().map(|&row| time(row)).collect());
    let table = OrderTable { n_rows: order.len(), columns: vec![times, data(order)], ..OrderTable::default() };
    let rows: Vec<u32> = (0..order.len() as u32).collect();
    let labels: Vec<u8> = order.iter().map(|&row| u8::from(is_fraud(row))).collect();
    find_leaks(&table, &schema, &rows, &labels, keep)
}

fn judge(role: Role, data: impl Fn(&[usize]) -> ColumnData) -> Option<LeakReason> {
    let forward: Vec<usize> = (0..N).collect();
    let mut mixed = forward.clone();
    mixed.sort_by(|&a, &b| draw(a, 99).total_cmp(&draw(b, 99)));
    let found = judge_in(&forward, role, &data, &[]).unwrap();
    assert_eq!(found, judge_in(&mixed, role, &data, &[]).unwrap(), "row order changes nothing");
    found.first().map(|leak| leak.reason)
}

fn number(value: impl Fn(usize) -> f64) -> Option<LeakReason> {
    judge(Role::Number, |rows| ColumnData::Number(rows.iter().map(|&row| value(row)).collect()))
}

fn text(role: Role, value: impl Fn(usize) -> String) -> Option<LeakReason> {
    judge(role, |rows| {
        let mut column = TextColumn { codes: Vec::new(), levels: Levels::default() };
        let mut codes = std::collections::BTreeMap::new();
        for &row in rows {
            let value = value(row);
            let code = if value.is_empty() {
                MISSING_CODE
            } else {
                *codes.entry(value.clone()).or_insert_with(|| column.levels.push(&value))
            };
            column.codes.push(code);
        }
        ColumnData::Text(column)
    })
}

#[test]
fn a_number_that_separates_is_refused() {
    let up = number(|row| draw(row, 3) + f64::from(u8::from(is_fraud(row))));
    assert!(matches!(up, Some(LeakReason::SeparatesByRank { auc: 1.0, .. })), "{up:?}");
    let down = number(|row| draw(row, 3) - 0.995 * f64::from(u8::from(is_fraud(row))));
    assert!(matches!(down, Some(LeakReason::SeparatesByRank { .. })), "{down:?}");
}

#[test]
fn one_threshold_that_finds_nearly_all_is_refused() {
    // 3 % of the frauds are far on the other side: the area is 0.97, the threshold still gives the label away.
    let found = number(|row| match is_fraud(row) {
        true if draw(row, 4) < 0.03 => -1.0,
        true => 2.0,
        false => draw(row, 3),
    });
    assert!(matches!(found, Some(LeakReason::SeparatesByValue { .. })), "{found:?}");
}

#[test]
fn codes_of_fraud_in_the_middle_are_refused() {
    let found = number(|row| if is_fraud(row) { 2.0 } else { [0.0, 1.0, 3.0, 4.0][(draw(row, 3) * 4.0) as usize] });
    assert!(matches!(found, Some(LeakReason::SeparatesByValue { precision: 1.0, recall: 1.0, .. })), "{found:?}");
}

#[test]
fn the_kind_of_the_fraud_is_refused() {
    let kind = |row: usize| ["amount", "terminal", "customer"][(draw(row, 3) * 3.0) as usize].to_owned();
    let found = text(Role::Category, |row| if is_fraud(row) { kind(row) } else { "none".into() });
    assert!(matches!(found, Some(LeakReason::SeparatesByValue { .. })), "{found:?}");
    // Written down for a third of the frauds only.
    let found =
        text(Role::Category, |row| if is_fraud(row) && draw(row, 5) < 0.33 { kind(row) } else { String::new() });
    assert!(matches!(found, Some(LeakReason::SetOnlyForFrauds { .. })), "{found:?}");
    let found = number(|row| if is_fraud(row) && draw(row, 5) < 0.7 { 1.0 + draw(row, 6) } else { 0.0 });
    assert!(matches!(found, Some(LeakReason::SetOnlyForFrauds { .. })), "{found:?}");
    // A code other than the usual one for fewer than half of the frauds, and for no honest order.
    for share in [0.45, 0.25] {
        let found =
            text(Role::Category, |row| if is_fraud(row) && draw(row, 5) < share { kind(row) } else { "0".into() });
        assert!(matches!(found, Some(LeakReason::SetOnlyForFrauds { .. })), "{found:?}");
    }
}

#[test]
fn where_most_orders_are_frauds_a_column_may_be_set_for_frauds_alone() {
    // 30 orders are set, all of them frauds, as 97 of 100 are: by chance one would expect one honest order at most.
    let judge = |n_set: usize, fraud_share: usize| {
        let column = |name: &str, role| Column { name: name.into(), role, available: Available::Order, format: None };
        let schema = Schema {
            timezone: "UTC".into(),
            label_delay: Span::days(7),
            amount_decimals: 2,
            columns: vec![column("x", Role::Number)],
        };
        let values = (0..1_000).map(|row| f64::from(u8::from(row < n_set))).collect();
        let table = OrderTable { n_rows: 1_000, columns: vec![ColumnData::Number(values)], ..OrderTable::default() };
        let labels: Vec<u8> = (0..1_000).map(|row| u8::from(row < n_set || row % 100 < fraud_share)).collect();
        let rows: Vec<u32> = (0..1_000).collect();
        find_leaks(&table, &schema, &rows, &labels, &[]).unwrap().first().map(|leak| leak.reason)
    };
    assert_eq!(judge(30, 97), None);
    assert!(matches!(judge(30, 50), Some(LeakReason::SetOnlyForFrauds { n_set: 30, n_fraud_set: 30, .. })));
}

#[test]
fn an_entity_that_only_frauds_have_is_refused() {
    // The address to which the fraud team wrote: for all frauds, and for a tenth of them.
    let mail = |row: usize| format!("case{}@shop.example", row / 700);
    let found = text(Role::Email, |row| if is_fraud(row) { mail(row) } else { String::new() });
    assert!(matches!(found, Some(LeakReason::SeparatesByValue { precision: 1.0, recall: 1.0, .. })), "{found:?}");
    let found = text(Role::Email, |row| if is_fraud(row) && draw(row, 5) < 0.3 { mail(row) } else { String::new() });
    assert!(matches!(found, Some(LeakReason::SetOnlyForFrauds { .. })), "{found:?}");
    // Only the honest have one.
    let found = text(Role::Device, |row| if is_fraud(row) { String::new() } else { mail(row) });
    assert!(matches!(found, Some(LeakReason::SeparatesByValue { precision: 1.0, recall: 1.0, .. })), "{found:?}");
    // Thieves who use cards of their own, and a device that is often unknown, are no leak.
    let found = text(Role::Card, |row| if is_fraud(row) { format!("f{}", row % 7) } else { format!("h{}", row % 900) });
    assert_eq!(found, None);
    let found = text(Role::Device, |row| {
        if draw(row, 7) < if is_fraud(row) { 0.1 } else { 0.9 } { String::new() } else { mail(row) }
    });
    assert_eq!(found, None);
}

#[test]
fn a_value_missing_only_for_frauds_is_refused() {
    let found = number(|row| if is_fraud(row) { f64::NAN } else { draw(row, 3) });
    assert!(matches!(found, Some(LeakReason::SeparatesByValue { .. })), "{found:?}");
}

#[test]
fn running_numbers_are_refused() {
    let two_days = number(|row| ((time(row) - time(0)) / 172_800_000) as f64);
    assert_eq!(two_days, None, "three values are too few to tell a counter from a setting");
    let quarter = number(|row| ((time(row) - time(0)) / 21_600_000) as f64);
    assert!(matches!(quarter, Some(LeakReason::RunningNumber { gamma: 1.0, .. })), "{quarter:?}");
    let seconds = number(|row| (time(row) / 1_000) as f64);
    assert!(matches!(seconds, Some(LeakReason::RunningNumber { .. })), "{seconds:?}");
    let falling = number(|row| -(row as f64) - (draw(row, 3) * 3.0).floor());
    assert!(matches!(falling, Some(LeakReason::RunningNumber { gamma, .. }) if gamma < 0.0), "{falling:?}");
}

#[test]
fn identifiers_are_refused() {
    let mut by_chance: Vec<usize> = (0..N).collect();
    by_chance.sort_by(|&a, &b| draw(a, 7).total_cmp(&draw(b, 7)));
    let found = number(|row| by_chance[row] as f64);
    assert!(matches!(found, Some(LeakReason::Identifier { .. })), "numbers without a gap, in any order: {found:?}");
    let found = number(|row| (2e8 + draw(row, 8) * 7e8).floor());
    assert!(matches!(found, Some(LeakReason::Identifier { .. })), "nine digits each: {found:?}");
    let found = text(Role::Category, |row| format!("order {row}"));
    assert!(matches!(found, Some(LeakReason::Identifier { .. })), "{found:?}");
    let found = text(Role::Customer, |row| format!("customer {row}"));
    assert!(matches!(found, Some(LeakReason::Identifier { .. })), "{found:?}");
}

#[test]
fn times_after_the_order_are_refused() {
    let at = |shift: fn(usize) -> i64| {
        judge(Role::Timestamp, move |rows| {
            let value = |row: usize| if draw(row, 9) < 0.2 { MISSING_I64 } else { time(row) + shift(row) };
            ColumnData::Time(rows.iter().map(|&row| value(row)).collect())
        })
    };
    let found = at(|row| (draw(row, 3) * 1e8) as i64 + 100_000);
    assert!(matches!(found, Some(LeakReason::AfterOrder { n_after, n_present }) if n_after == n_present), "{found:?}");
    assert_eq!(at(|row| -((draw(row, 3) * 1e10) as i64)), None, "a sign-up before the order");
    assert_eq!(at(|_| 30_000), None, "two clocks");
    // The case was opened after the order, for frauds only: 3 % of all orders. Or the parcel came, for the honest only.
    let found = at(|row| if is_fraud(row) { 86_400_000 } else { -86_400_000 - (draw(row, 3) * 1e9) as i64 });
    assert!(matches!(found, Some(LeakReason::AfterOrderOfClass { fraud: true, n_after: 80.., .. })), "{found:?}");
    let found = at(|row| if is_fraud(row) && draw(row, 4) < 0.2 { 86_400_000 } else { -86_400_000 });
    assert!(matches!(found, Some(LeakReason::AfterOrderOfClass { fraud: true, n_after: 15..30, .. })), "{found:?}");
    assert_eq!(at(|row| if draw(row, 4) < 0.06 { 7_200_000 } else { -86_400_000 }), None, "other time zones");
}

#[test]
fn strong_honest_columns_stay() {
    // Two thirds of the frauds far above all honest orders.
    assert_eq!(
        number(|row| if is_fraud(row) && draw(row, 4) < 0.66 { 5.0 + draw(row, 3) } else { draw(row, 3) * 5.01 }),
        None
    );
    // A flag that is up for a fifth of the frauds and hardly any honest order, and one that was up too rarely to tell.
    let flag = |row: usize| if is_fraud(row) { draw(row, 4) < 0.2 } else { draw(row, 4) < 0.002 };
    assert_eq!(number(|row| f64::from(u8::from(flag(row)))), None);
    assert_eq!(number(|row| f64::from(u8::from(is_fraud(row) && draw(row, 4) < 0.08))), None);
    // A level with half of the frauds, and as many honest orders.
    let country = |row: usize| if is_fraud(row) && draw(row, 4) < 0.5 || draw(row, 5) < 0.02 { "XX" } else { "YY" };
    assert_eq!(text(Role::Category, |row| country(row).into()), None);
    assert_eq!(number(|row| (draw(row, 3) * 80.0).floor()), None);
    assert_eq!(number(|row| draw(row, 3) * 1e9), None);
    assert_eq!(text(Role::Customer, |row| format!("customer {}", row / 2)), None);
    let amount =
        judge(Role::Amount, |rows| ColumnData::Amount(rows.iter().map(|&row| (draw(row, 3) * 9e5) as i64).collect()));
    assert_eq!(amount, None);
}

#[test]
fn buyers_that_repeat_their_fraud_are_no_leak() {
    // Levels that are all fraud or all honest, but with two or three orders each: cities of buyers.
    let found = text(Role::Category, |row| {
        if is_fraud(row) { format!("f{}", (draw(row, 3) * 50.0) as u32) } else { format!("h{}", row % 900) }
    });
    assert_eq!(found, None);
}

#[test]
fn few_frauds_prove_nothing() {
    let order: Vec<usize> = (0..400).collect();
    let n_fraud = order.iter().filter(|&&row| is_fraud(row)).count();
    assert!(n_fraud > 0 && n_fraud < 20);
    let label =
        |rows: &[usize]| ColumnData::Number(rows.iter().map(|&row| f64::from(u8::from(is_fraud(row)))).collect());
    assert_eq!(judge_in(&order, Role::Number, label, &[]), Ok(vec![]));
}

#[test]
fn the_user_may_keep_a_column() {
    let order: Vec<usize> = (0..N).collect();
    let label =
        |rows: &[usize]| ColumnData::Number(rows.iter().map(|&row| f64::from(u8::from(is_fraud(row)))).collect());
    let leaks = judge_in(&order, Role::Number, label, &["x".into()]).unwrap();
    assert!(leaks[0].kept);
    assert!(leaks[0].to_string().starts_with("\"x\" kept as asked: alone it separates"), "{}", leaks[0]);
    let unknown = judge_in(&order, Role::Number, label, &["y".into()]);
    assert_eq!(unknown, Err(LeakError::UnknownColumn { name: "y".into() }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn running_numbers_agree_with_all_pairs(values in prop::collection::vec((0_i64..40, 0_i64..40), 100..160), monotone: bool) {
        let rows: Vec<(i64, i64)> = if monotone {
            let mut a: Vec<i64> = values.iter().map(|v| v.0).collect();
            a.sort_unstable();
            a.iter().map(|&v| (v, v + 1)).collect()
        } else {
            values
        };
        let (mut same, mut opposite) = (0_i64, 0_i64);
        for (i, a) in rows.iter().enumerate() {
            for b in &rows[..i] {
                match (a.0 - b.0) * (a.1 - b.1) {
                    0 => {}
                    product if product > 0 => same += 1,
                    _ => opposite += 1,
                }
            }
        }
        let gamma = (same - opposite) as f64 / (same + opposite) as f64;
        let column = |name: &str, role| Column { name: name.into(), role, available: Available::Order, format: Some(TimeFormat::Iso) };
        let schema = Schema { timezone: "UTC".into(), label_delay: Span::days(7), amount_decimals: 2,
            columns: vec![column("at", Role::Time), column("x", Role::Number)] };
        let columns = vec![
            ColumnData::Time(rows.iter().map(|r| r.1).collect()),
            ColumnData::Number(rows.iter().map(|r| r.0 as f64).collect()),
        ];
        let table = OrderTable { n_rows: rows.len(), columns, ..OrderTable::default() };
        let all: Vec<u32> = (0..rows.len() as u32).collect();
        let leaks = find_leaks(&table, &schema, &all, &vec![0; rows.len()], &[]).unwrap();
        let n_distinct = rows.iter().map(|r| r.0).collect::<std::collections::BTreeSet<_>>().len();
        if gamma.abs() >= 0.999 && n_distinct >= 6 {
            let running = matches!(leaks[0].reason, LeakReason::RunningNumber { gamma: found, .. } if (found - gamma).abs() < 1e-12);
            prop_assert!(running);
        } else {
            prop_assert!(leaks.is_empty());
        }
    }
}
