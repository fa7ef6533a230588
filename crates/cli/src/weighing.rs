//! What a fit is told of the orders beside features and labels: who they are, how much they weigh, what a decision costs.

use orderguard_features::identity::OrderId;
use orderguard_features::language::feature::Feature;
use orderguard_features::language::resolve;
use orderguard_features::language::spec::FeatureSpec;
use orderguard_features::own::tables::Tables;
use orderguard_features::schema::{Role, Schema};
use orderguard_features::table::ColumnData;
use orderguard_features::time::Span;
use orderguard_trainer::boosting::Extras;
use orderguard_trainer::validation::Measure;
use orderguard_trainer::weights::{by_age, by_amount, by_cost};

use crate::args::{Cost, LearningArgs, StopOn, WeighBy};
use crate::failure::{Blame, Outcome, data, usage};
use crate::ingest::Orders;
use crate::params_file::nearest;

/// Most times the mean that an order weighs by its amount, unless the user says otherwise.
pub(crate) const DEFAULT_AMOUNT_CAP: f64 = 100.0;
const DAY_MS: i64 = 86_400_000;
/// Money is counted in hundredths while the best round is looked for.
const MINOR_UNITS: f64 = 100.0;

/// Facts of all orders, in canonical order.
#[derive(Default)]
pub(crate) struct Facts {
    /// Who each order is: draws depend on it, so that they do not depend on where it stands or which columns are read.
    keys: Vec<u32>,
    time: Option<Vec<i64>>,
    base: Base,
    half_life: Option<Span>,
    stop_on: Option<StopOn>,
    /// What missing each order costs if it is a fraud, and stopping it if it is not.
    costs: Option<[Vec<f64>; 2]>,
}

/// What orders weigh before age.
#[derive(Default)]
enum Base {
    #[default]
    Equal,
    Amount(Vec<f64>, f64),
    Cost,
    Column(Vec<f64>),
}

/// The facts of some of the orders, as a fit takes them.
pub(crate) struct Chosen {
    keys: Vec<u32>,
    weights: Option<Vec<f64>>,
    days: Vec<i32>,
    saved: Vec<i64>,
    stop_on: Option<StopOn>,
}

impl Facts {
    /// Reads the columns that the options name.
    pub(crate) fn new(orders: &Orders, options: &LearningArgs) -> Outcome<Self> {
        let keys = (0..orders.len()).map(|order| key(orders, order)).collect();
        let time = orders.times();
        if time.is_none() && options.half_life.is_some() {
            return usage("--half-life: expected orders with a time, found no time column");
        }
        if time.is_none() && matches!(options.stop_on, Some(StopOn::Precision(_))) {
            return usage("--stop-on precision: expected orders with a time, found no time column");
        }
        let base = match &options.weigh_by {
            None => Base::Equal,
            Some(WeighBy::Cost) => Base::Cost,
            Some(WeighBy::Amount) => {
                Base::Amount(amounts(orders, "--weigh-by")?, options.amount_cap.unwrap_or(DEFAULT_AMOUNT_CAP))
            }
            Some(WeighBy::Column(name)) => {
                let weights = numbers(orders, name, "--weigh-by")?;
                check(orders, &weights, &format!("column {name:?} as weight"))?;
                Base::Column(weights)
            }
        };
        let costs = match (&options.cost_missed, &options.cost_stopped) {
            (Some(missed), Some(stopped)) => {
                Some([of_orders(orders, missed, "--cost-missed")?, of_orders(orders, stopped, "--cost-stopped")?])
            }
            _ => None,
        };
        Ok(Self { keys, time, base, half_life: options.half_life, stop_on: options.stop_on, costs })
    }

    /// Those of the given rows; `labels` are theirs.
    pub(crate) fn of(&self, rows: &[u32], labels: &[u8]) -> Outcome<Chosen> {
        let of_rows = |all: &[f64]| -> Vec<f64> { rows.iter().map(|&row| all[row as usize]).collect() };
        let mut weights = match (&self.base, &self.costs) {
            (Base::Equal, _) | (Base::Cost, None) => None,
            (Base::Amount(amounts, cap), _) => Some(by_amount(&of_rows(amounts), *cap).bad_data()?),
            (Base::Column(weights), _) => Some(of_rows(weights)),
            (Base::Cost, Some([missed, stopped])) => {
                Some(by_cost(labels, &of_rows(missed), &of_rows(stopped)).bad_data()?)
            }
        };
        if let (Some(half_life), Some(time)) = (self.half_life, &self.time) {
            let times: Vec<i64> = rows.iter().map(|&row| time[row as usize]).collect();
            let newest = times.iter().copied().max().unwrap_or(0);
            let faded = by_age(&times, newest, half_life.0).bad_usage()?;
            weights = Some(match weights {
                Some(weights) => weights.iter().zip(faded).map(|(weight, faded)| weight * faded).collect(),
                None => faded,
            });
        }
        let days = match (&self.time, self.stop_on) {
            (Some(time), Some(StopOn::Precision(_))) => {
                rows.iter().map(|&row| time[row as usize].div_euclid(DAY_MS) as i32).collect()
            }
            _ => Vec::new(),
        };
        let saved = match (&self.costs, self.stop_on) {
            (Some([missed, stopped]), Some(StopOn::Money)) => {
                let saved = |(&row, &label): (&u32, &u8)| {
                    let row = row as usize;
                    ((if label == 1 { missed[row] } else { -stopped[row] }) * MINOR_UNITS).round() as i64
                };
                rows.iter().zip(labels).map(saved).collect()
            }
            _ => Vec::new(),
        };
        let keys = rows.iter().map(|&row| self.keys[row as usize]).collect();
        Ok(Chosen { keys, weights, days, saved, stop_on: self.stop_on })
    }
}

impl Chosen {
    /// As a fit takes them, with these orders as the ones that learn and `held` as those that choose the best round.
    pub(crate) fn extras<'a>(&'a self, held: &'a Chosen) -> Extras<'a> {
        let measure = match self.stop_on {
            None | Some(StopOn::AveragePrecision) => Measure::AveragePrecision,
            Some(StopOn::Recall(rate)) => Measure::RecallAtFpr(rate),
            Some(StopOn::Precision(k)) => Measure::PrecisionAtK { k, days: &held.days },
            Some(StopOn::Money) => Measure::Money { saved: &held.saved },
        };
        Extras { weights: self.weights.as_deref(), keys: Some(&self.keys), measure, ..Default::default() }
    }

    /// As [`Self::extras`], for a fit of a known number of rounds.
    pub(crate) fn without_measure(&self) -> Extras<'_> {
        Extras { weights: self.weights.as_deref(), keys: Some(&self.keys), ..Default::default() }
    }
}

/// A hash of the order's id, or of what it says where it has none.
fn key(orders: &Orders, order: usize) -> u32 {
    let id = orders.rows.id.as_ref().map(|ids| ids[order]).filter(|id| *id != OrderId(0));
    let hash = id.map_or(orders.rows.hash[order], |id| id.0);
    (hash ^ hash >> 32) as u32
}

fn amounts(orders: &Orders, option: &str) -> Outcome<Vec<f64>> {
    if orders.schema.find(Role::Amount).is_none() {
        return usage(format_args!("{option}: expected orders with an amount, found no amount column"));
    }
    match orders.amounts() {
        Some(amounts) => Ok(amounts),
        None => usage(format_args!("{option}: expected amounts in one currency, found several")),
    }
}

/// The values of a numeric column, NaN where missing. The column of amounts is also called `amount`.
fn numbers(orders: &Orders, name: &str, option: &str) -> Outcome<Vec<f64>> {
    let schema = &orders.schema;
    let amount = schema.find(Role::Amount);
    let position = schema.position(name).or_else(|| amount.filter(|_| name == "amount"));
    let Some(position) = position else {
        let names = || schema.columns.iter().map(|column| column.name.as_str());
        let hint = nearest(name, names()).map_or(String::new(), |near| format!("; did you mean {near:?}?"));
        return usage(format_args!("{option}: expected a column of the orders, found {name:?}{hint}"));
    };
    if Some(position) == amount {
        return amounts(orders, option);
    }
    match &orders.outcome.table.columns[position] {
        ColumnData::Number(values) => Ok(orders.rows.row.iter().map(|&row| values[row as usize]).collect()),
        _ => usage(format_args!(
            "{option}: expected a column of numbers, found {name:?}, which is read as {} (a schema file \
             may give it the role number)",
            schema.columns[position].role
        )),
    }
}

fn of_orders(orders: &Orders, cost: &Cost, option: &str) -> Outcome<Vec<f64>> {
    let mut sum = vec![0.0; orders.len()];
    for term in cost.terms() {
        match &term.column {
            None => sum.iter_mut().for_each(|sum| *sum += term.factor),
            Some(name) => {
                let values = numbers(orders, name, option)?;
                sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += term.factor * value);
            }
        }
    }
    check(orders, &sum, &format!("cost by {option}"))?;
    Ok(sum)
}

/// Takes features of the column of weights out of the default ones: a new order has none yet.
pub(crate) fn leave_out_weight(spec: &mut FeatureSpec, schema: &Schema, tables: &Tables, options: &LearningArgs) {
    let Some(WeighBy::Column(name)) = &options.weigh_by else { return };
    let Some(position) = schema.position(name).filter(|&at| schema.columns[at].role != Role::Amount) else { return };
    let reads = |feature: &Feature| {
        resolve::columns(schema, tables.present(), feature).is_ok_and(|columns| columns.contains(&position))
    };
    spec.features.retain(|feature| !reads(feature));
}

/// Refuses values that cannot weigh, with the first row where one stands.
fn check(orders: &Orders, values: &[f64], what: &str) -> Outcome {
    let Some(order) = values.iter().position(|value| !(0.0..f64::INFINITY).contains(value)) else { return Ok(()) };
    let (table, row) = (&orders.outcome.table, orders.rows.row[order] as usize);
    let value = if values[order].is_nan() { "no value".to_owned() } else { values[order].to_string() };
    data(format_args!(
        "{}, line {}: {what}: expected 0 or more, found {value}",
        orders.outcome.files[table.source[row] as usize], table.line[row]
    ))
}
