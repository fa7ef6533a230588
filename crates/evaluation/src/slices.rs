//! Figures of some of the orders: of a week, of a country, of a kind of abuse.

use std::collections::BTreeMap;

use crate::costs::CostTable;
use crate::error::MetricError;
use crate::measure::{Options, decided, money};
use crate::pass::Depth;
use crate::ranked::Ranked;
use crate::replicates::{ANY, Plan, Replicates, SHARE, at};
use crate::report::{Segment, Slice, SliceIntervals};
use crate::scored::Scored;

/// Fewer orders than this are not judged.
pub const MIN_SLICE_ROWS: u64 = 100;
/// Fewer frauds than this are not judged: a recall of one half then has a standard error of 0.16.
pub const MIN_SLICE_FRAUDS: u64 = 10;
/// Most values of one column that are shown.
pub const MAX_SLICES: usize = 20;
/// The value of an order that has none.
pub const NO_VALUE: u32 = u32::MAX;

/// The value of one column for each order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Column {
    /// Name of the column.
    pub name: String,
    /// The values, distinct.
    pub values: Vec<String>,
    /// For each order the position of its value, [`NO_VALUE`] for none.
    pub codes: Vec<u32>,
}

/// What slices are taken of.
pub(crate) struct Parts<'a> {
    pub(crate) orders: &'a Scored<'a>,
    pub(crate) ranked: &'a Ranked,
    pub(crate) threshold: f64,
    pub(crate) costs: Option<&'a CostTable>,
    pub(crate) options: &'a Options<'a>,
}

/// Orders of a slice as columns of their own.
pub(crate) struct Columns {
    raw: Vec<f64>,
    probability: Vec<f64>,
    labels: Vec<u8>,
    amounts: Option<Vec<f64>>,
}

impl Columns {
    fn of(orders: &Scored<'_>, rows: impl Iterator<Item = usize> + Clone) -> Self {
        Self {
            raw: rows.clone().map(|row| orders.raw[row]).collect(),
            probability: rows.clone().map(|row| orders.probability[row]).collect(),
            labels: rows.clone().map(|row| orders.labels[row]).collect(),
            amounts: orders.amounts.map(|all| rows.map(|row| all[row]).collect()),
        }
    }

    pub(crate) fn scored(&self) -> Scored<'_> {
        Scored {
            raw: &self.raw,
            probability: &self.probability,
            labels: &self.labels,
            amounts: self.amounts.as_deref(),
            days: None,
            entities: None,
            weights: None,
        }
    }
}

/// The Monday on which the week of a day began.
fn monday(day: i64) -> i64 {
    // 1970-01-01 was a Thursday.
    (day + 3).div_euclid(7) * 7 - 3
}

/// `2018-08-06`.
fn date(day: i64) -> String {
    let millis = day.saturating_mul(86_400_000);
    orderguard_features::time::UnixMillis(millis).to_string().chars().take(10).collect()
}

/// Name, orders and days with an order of each week, earliest first.
pub(crate) fn by_week(orders: &Scored<'_>) -> Vec<(String, Columns, u64)> {
    let Some(days) = orders.days else { return Vec::new() };
    let mut weeks: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for (row, &day) in days.iter().enumerate() {
        weeks.entry(monday(day)).or_default().push(row);
    }
    let week = |(first, rows): (i64, Vec<usize>)| {
        let mut seen: Vec<i64> = rows.iter().map(|&row| days[row]).collect();
        seen.sort_unstable();
        seen.dedup();
        (date(first), Columns::of(orders, rows.iter().copied()), seen.len() as u64)
    };
    weeks.into_iter().map(week).collect()
}

/// The weeks of the part, earliest first; none without days.
pub(crate) fn weeks(parts: &Parts<'_>) -> Vec<Slice> {
    let Some(days) = parts.orders.days else { return Vec::new() };
    let mut weeks: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
    for (i, &row) in parts.ranked.row.iter().enumerate() {
        weeks.entry(monday(days[row as usize])).or_default().push(i as u32);
    }
    weeks.into_iter().map(|(first, positions)| slice(parts, date(first), &positions)).collect()
}

/// The orders by the values of each column, the column with the weakest value first.
pub(crate) fn segments(parts: &Parts<'_>) -> Result<Vec<Segment>, MetricError> {
    let mut segments = Vec::new();
    for column in parts.options.columns {
        fits(parts, column)?;
        let mut by_value: Vec<Vec<u32>> = vec![Vec::new(); column.values.len()];
        let mut n_rows_in_others = 0;
        for (i, &row) in parts.ranked.row.iter().enumerate() {
            match by_value.get_mut(column.codes[row as usize] as usize) {
                Some(positions) => positions.push(i as u32),
                None => n_rows_in_others += 1,
            }
        }
        let mut values: Vec<(usize, Vec<u32>)> =
            by_value.into_iter().enumerate().filter(|(_, positions)| !positions.is_empty()).collect();
        values.sort_by(|a, b| b.1.len().cmp(&a.1.len()).then_with(|| column.values[a.0].cmp(&column.values[b.0])));
        n_rows_in_others +=
            values.drain(MAX_SLICES.min(values.len())..).map(|(_, rows)| rows.len() as u64).sum::<u64>();
        let mut slices: Vec<Slice> = values
            .into_iter()
            .map(|(value, positions)| slice(parts, column.values[value].clone(), &positions))
            .collect();
        slices.sort_by(|a, b| strength(a).total_cmp(&strength(b)).then_with(|| a.name.cmp(&b.name)));
        segments.push(Segment { column: column.name.clone(), slices, n_rows_in_others });
    }
    let weakest = |segment: &Segment| segment.slices.first().map_or(f64::INFINITY, strength);
    segments.sort_by(|a, b| weakest(a).total_cmp(&weakest(b)).then_with(|| a.column.cmp(&b.column)));
    Ok(segments)
}

/// What slices are ordered by: the area under the curve does not depend on their share of fraud.
fn strength(slice: &Slice) -> f64 {
    slice.roc_auc.filter(|_| slice.note.is_none()).unwrap_or(f64::INFINITY)
}

/// The frauds of each kind among all honest orders, most frauds first.
pub(crate) fn kinds(parts: &Parts<'_>) -> Result<Vec<Slice>, MetricError> {
    let Some(column) = parts.options.kinds else { return Ok(Vec::new()) };
    fits(parts, column)?;
    let mut counts = vec![0_u64; column.values.len()];
    for (&code, &label) in column.codes.iter().zip(parts.orders.labels) {
        if let Some(count) = counts.get_mut(code as usize) {
            *count += u64::from(label == 1);
        }
    }
    let mut kinds: Vec<usize> = (0..counts.len()).filter(|&kind| counts[kind] > 0).collect();
    kinds.sort_by(|&a, &b| counts[b].cmp(&counts[a]).then_with(|| column.values[a].cmp(&column.values[b])));
    let of = |kind: usize| {
        let is_one = |&i: &u32| {
            let row = parts.ranked.row[i as usize] as usize;
            parts.orders.labels[row] != 1 || column.codes[row] as usize == kind
        };
        let positions: Vec<u32> = (0..parts.ranked.len() as u32).filter(is_one).collect();
        slice(parts, column.values[kind].clone(), &positions)
    };
    Ok(kinds.into_iter().take(MAX_SLICES).map(of).collect())
}

fn fits(parts: &Parts<'_>, column: &Column) -> Result<(), MetricError> {
    let (expected, found) = (parts.orders.len(), column.codes.len());
    if expected == found { Ok(()) } else { Err(MetricError::LengthMismatch { what: "segments", expected, found }) }
}

fn slice(parts: &Parts<'_>, name: String, positions: &[u32]) -> Slice {
    let rows = positions.iter().map(|&i| parts.ranked.row[i as usize] as usize);
    let columns = Columns::of(parts.orders, rows);
    let orders = columns.scored();
    let at_threshold = decided(&orders, parts.threshold);
    let confusion = &at_threshold.confusion;
    let (n_rows, n_fraud) = (confusion.n_rows(), confusion.tp + confusion.fn_);
    let counted = |n: u64, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let note = (n_rows < MIN_SLICE_ROWS || n_fraud < MIN_SLICE_FRAUDS)
        .then(|| format!("not enough data: {} in {}", counted(n_fraud, "fraud"), counted(n_rows, "order")));
    let slice = Slice {
        name,
        n_rows,
        n_fraud,
        at_threshold,
        money: parts.costs.map(|costs| money(&orders, parts.threshold, costs, None)),
        note,
        ..Slice::default()
    };
    if slice.note.is_some() {
        return slice;
    }
    let ranked = parts.ranked.subset(positions);
    let plan = Plan { n: parts.options.n_replicates, seed: parts.options.seed, depth: Depth::Ranking };
    let replicates = Replicates::new(&ranked, &[ranked.n_from(parts.threshold)], None, plan);
    Slice {
        average_precision: replicates.own.found.average_precision,
        roc_auc: replicates.own.found.roc_auc,
        intervals: (plan.n > 0).then(|| SliceIntervals {
            average_precision: replicates.interval(SHARE, |r| r.found.average_precision),
            precision: replicates.interval(SHARE, |r| at::precision(r, 0)),
            recall: replicates.interval(SHARE, |r| at::recall(r, 0)),
            false_positive_rate: replicates.interval(SHARE, |r| at::false_positive_rate(r, 0)),
            loss_reduction: parts.costs.and_then(|costs| replicates.interval(ANY, |r| at::loss_reduction(r, 0, costs))),
        }),
        ..slice
    }
}
