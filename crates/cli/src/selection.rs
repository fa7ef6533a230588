//! Orders whose label was seen by chance, or not at all: columns of `--propensity` and `--declined`.

use orderguard_evaluation::report::Selection;
use orderguard_evaluation::{CostTable, Options, Scored, selection};
use orderguard_features::schema::Role;
use orderguard_features::table::ColumnData;

use crate::args::SelectionArgs;
use crate::failure::{Blame, Outcome, data, usage};
use crate::ingest::Orders;
use crate::measure::Measured;

const DAY_MS: i64 = 86_400_000;

/// What the columns say of each order, in canonical order.
pub(crate) struct Weighing<'a> {
    args: &'a SelectionArgs,
    declined: Option<Vec<bool>>,
    propensity: Option<Vec<f64>>,
}

impl<'a> Weighing<'a> {
    pub(crate) fn new(orders: &Orders, args: &'a SelectionArgs) -> Outcome<Self> {
        let declined = args.declined.as_deref().map(|name| declined(orders, name)).transpose()?;
        let propensity = args.propensity.as_deref().map(|name| propensity(orders, name)).transpose()?;
        Ok(Self { args, declined, propensity })
    }

    /// Takes declined orders, and those without a chance, out of what is measured; gives the numbers of both.
    pub(crate) fn leave_out(&self, rows: &mut Vec<u32>, labels: &mut Vec<u8>) -> (u64, u64) {
        let is_declined = |row: u32| self.declined.as_ref().is_some_and(|all| all[row as usize]);
        let is_unweighted = |row: u32| self.propensity.as_ref().is_some_and(|all| all[row as usize].is_nan());
        let (mut n_declined, mut n_unweighted) = (0, 0);
        let mut kept = Vec::with_capacity(rows.len());
        for (&row, &label) in rows.iter().zip(labels.iter()) {
            if is_declined(row) {
                n_declined += 1;
            } else if is_unweighted(row) {
                n_unweighted += 1;
            } else {
                kept.push((row, label));
            }
        }
        (*rows, *labels) = kept.into_iter().unzip();
        (n_declined, n_unweighted)
    }

    /// The section of the report; `None` where nothing is said of how labels came to be seen.
    pub(crate) fn section(
        &self,
        part: &Measured<'_>,
        orders: &Orders,
        entities: Option<&[u64]>,
        threshold: f64,
        costs: &CostTable,
        (n_declined, n_without_propensity): (u64, u64),
    ) -> Outcome<Option<Selection>> {
        if self.declined.is_none() && self.propensity.is_none() {
            return Ok(None);
        }
        let warning = (n_declined > 0 && self.propensity.is_none()).then(|| {
            format!(
                "{n_declined} declined orders have no label that anybody saw: the figures are those of approved orders, on which a \
                 model looks worse than it is, and frauds it declines now count for nothing. Let a few pass by chance, and give \
                 that chance with --propensity."
            )
        });
        let mut section = Selection::default();
        if let Some(propensity) = &self.propensity {
            let of_rows = |all: &[f64]| -> Vec<f64> { part.rows.iter().map(|&row| all[row as usize]).collect() };
            let weights: Vec<f64> = of_rows(propensity).iter().map(|chance| 1.0 / chance).collect();
            let amounts = orders.amounts().map(|all| of_rows(&all));
            let entities = entities.map(|all| -> Vec<u64> { part.rows.iter().map(|&row| all[row as usize]).collect() });
            let day = |&row: &u32| orders.rows.time[row as usize].0.div_euclid(DAY_MS);
            let days = orders.schema.find(Role::Time).map(|_| -> Vec<i64> { part.rows.iter().map(day).collect() });
            let scored = Scored::new(part.raw, part.probabilities, part.labels)
                .and_then(|scored| scored.with_amounts(amounts.as_deref()))
                .and_then(|scored| scored.with_entities(entities.as_deref()))
                .and_then(|scored| scored.with_days(days.as_deref()))
                .and_then(|scored| scored.with_weights(Some(&weights)))
                .bad_data()?;
            section = selection(&scored, threshold, &Options { costs: Some(*costs), ..Options::default() });
        }
        Ok(Some(Selection {
            propensity_column: self.args.propensity.clone(),
            declined_column: self.args.declined.clone(),
            n_declined,
            n_without_propensity,
            warning,
            ..section
        }))
    }
}

fn column<'o>(orders: &'o Orders, option: &str, name: &str) -> Outcome<&'o ColumnData> {
    match orders.schema.position(name).map(|column| &orders.outcome.table.columns[column]) {
        None | Some(ColumnData::Absent) => usage(format_args!(
            "{option}: expected a column that the model's schema reads (role number or category), found {name:?}"
        )),
        Some(column) => Ok(column),
    }
}

/// The chance of each order, NaN where it is missing.
fn propensity(orders: &Orders, name: &str) -> Outcome<Vec<f64>> {
    let ColumnData::Number(all) = column(orders, "--propensity", name)? else {
        return usage(format_args!("--propensity: expected a column of numbers, found {name:?} of another kind"));
    };
    let found: Vec<f64> = orders.rows.row.iter().map(|&row| all[row as usize]).collect();
    match found.iter().find(|chance| !(chance.is_nan() || **chance > 0.0 && **chance <= 1.0)) {
        Some(chance) => data(format_args!("{name}: expected chances above 0 and up to 1, found {chance}")),
        None => Ok(found),
    }
}

/// Whether each order was declined; a missing value says no.
fn declined(orders: &Orders, name: &str) -> Outcome<Vec<bool>> {
    let rows = || orders.rows.row.iter().map(|&row| row as usize);
    match column(orders, "--declined", name)? {
        ColumnData::Number(all) => match rows().map(|row| all[row]).find(|x| !x.is_nan() && *x != 0.0 && *x != 1.0) {
            Some(other) => data(format_args!("{name}: expected 0 or 1, found {other}")),
            None => Ok(rows().map(|row| all[row] == 1.0).collect()),
        },
        ColumnData::Text(text) => {
            let says = |word: &str| ["1", "true", "yes", "declined"].iter().any(|yes| word.eq_ignore_ascii_case(yes));
            Ok(rows().map(|row| text.get(row).is_some_and(says)).collect())
        }
        _ => usage(format_args!("--declined: expected a column of numbers or names, found {name:?} of another kind")),
    }
}
