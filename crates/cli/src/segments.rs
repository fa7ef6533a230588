//! Columns by whose values a report divides the orders.

use std::collections::HashSet;

use orderguard_evaluation::Column;
use orderguard_evaluation::slices::NO_VALUE;
use orderguard_features::identity::IdentityKey;
use orderguard_features::schema::{Available, Role};
use orderguard_features::table::{ColumnData, MISSING_CODE};

use crate::failure::{Outcome, usage};
use crate::ingest::Orders;

/// Values of fewer orders than this are not named: they may be of one person.
const MIN_NAMED: usize = 20;
/// Columns of more values than this are names or texts, not categories.
const MAX_VALUES: usize = 200;
/// Parts of equal size into which amounts are divided.
const N_BANDS: usize = 5;

/// All columns that divide the orders of `rows` (positions in canonical order).
pub(crate) fn columns(orders: &Orders, rows: &[u32], key: &IdentityKey) -> Vec<Column> {
    let mut columns: Vec<Column> = orders
        .schema
        .columns
        .iter()
        .enumerate()
        .filter(|(_, column)| {
            // What is known only later cannot be acted on.
            let is_known = column.available == Available::Order;
            is_known
                && matches!(
                    column.role,
                    Role::Category
                        | Role::Currency
                        | Role::CardCountry
                        | Role::IpCountry
                        | Role::BillingCountry
                        | Role::ShippingCountry
                )
        })
        .filter_map(|(i, _)| of_column(orders, i, rows))
        .filter(|column| column.values.len() > 1 && column.values.len() <= MAX_VALUES)
        .collect();
    columns.extend(amount_bands(orders, rows));
    columns.extend(new_customers(orders, rows, key));
    columns
}

/// The column that names kinds of abuse.
pub(crate) fn kinds(orders: &Orders, name: &str, rows: &[u32]) -> Outcome<Column> {
    let found = orders.schema.position(name).and_then(|column| of_column(orders, column, rows));
    match found {
        Some(column) => Ok(column),
        None => usage(format_args!("--kinds: expected a column of names that the schema reads, found {name:?}")),
    }
}

/// The values of one column of text, those of few orders left out.
fn of_column(orders: &Orders, column: usize, rows: &[u32]) -> Option<Column> {
    let ColumnData::Text(text) = &orders.outcome.table.columns[column] else { return None };
    let code_of = |row: u32| text.codes[orders.rows.row[row as usize] as usize];
    let mut counts = std::collections::BTreeMap::<u32, usize>::new();
    for &row in rows {
        *counts.entry(code_of(row)).or_default() += 1;
    }
    let kept: Vec<u32> =
        counts.into_iter().filter(|&(code, n)| code != MISSING_CODE && n >= MIN_NAMED).map(|(code, _)| code).collect();
    let place = |code: u32| kept.binary_search(&code).map_or(NO_VALUE, |place| place as u32);
    Some(Column {
        name: orders.schema.columns[column].name.clone(),
        values: kept.iter().map(|&code| text.levels.get(code).to_owned()).collect(),
        codes: rows.iter().map(|&row| place(code_of(row))).collect(),
    })
}

/// Bands of the amount with about as many orders each.
fn amount_bands(orders: &Orders, rows: &[u32]) -> Option<Column> {
    let amounts = orders.amounts()?;
    let mut sorted: Vec<f64> = rows.iter().map(|&row| amounts[row as usize]).filter(|a| !a.is_nan()).collect();
    if sorted.is_empty() {
        return None;
    }
    sorted.sort_unstable_by(f64::total_cmp);
    let mut edges: Vec<f64> = (1..N_BANDS).map(|i| sorted[i * sorted.len() / N_BANDS]).collect();
    edges.dedup();
    edges.retain(|&edge| edge > sorted[0]);
    if edges.is_empty() {
        return None;
    }
    let mut values = vec![format!("below {}", edges[0])];
    values.extend(edges.windows(2).map(|pair| format!("{} to {}", pair[0], pair[1])));
    values.extend(edges.last().map(|last| format!("from {last}")));
    let code = |&row: &u32| {
        let amount = amounts[row as usize];
        if amount.is_nan() { NO_VALUE } else { edges.partition_point(|&edge| edge <= amount) as u32 }
    };
    Some(Column { name: "amount band".into(), values, codes: rows.iter().map(code).collect() })
}

/// Whether an order is the first of its customer in these data.
fn new_customers(orders: &Orders, rows: &[u32], key: &IdentityKey) -> Option<Column> {
    let column = orders.schema.find(Role::Customer)?;
    let customers = orders.entity_keys(column, key, NO_CUSTOMER)?;
    let mut seen = HashSet::new();
    let first: Vec<bool> = customers.iter().map(|&customer| seen.insert(customer)).collect();
    let code = |&row: &u32| match (customers[row as usize], first[row as usize]) {
        (NO_CUSTOMER, _) => NO_VALUE,
        (_, is_first) => u32::from(!is_first),
    };
    Some(Column {
        name: "new customer".into(),
        values: vec!["first order in these data".into(), "ordered before".into()],
        codes: rows.iter().map(code).collect(),
    })
}

const NO_CUSTOMER: u64 = u64::MAX;
