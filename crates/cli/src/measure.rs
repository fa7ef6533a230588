//! Scores of many rows, and the sections of the report that every command shares.

use orderguard_dataset::infer::Proposal;
use orderguard_evaluation::report::{self, AmountTotal, Costs, Data, DataFile, EventCounts, LabelJoin, Rejections};
use orderguard_evaluation::unresolved::{Young, unresolved as estimate};
use orderguard_evaluation::{Candidate, Column, Evaluation, Options, Scored};
use orderguard_features::matrix::Matrix;
use orderguard_features::schema::{Available, Role, Schema, TimeFormat};
use orderguard_features::table::{ColumnData, MISSING_I64};
use orderguard_features::time::UnixMillis;
use orderguard_inference::calibrate::probability;
use orderguard_inference::model::{Calibration, Predictor};
use orderguard_inference::{BatchScratch, RawScorer, Scorer};
use rayon::prelude::*;

use crate::failure::{Blame, Outcome};
use crate::ingest::Orders;

/// Rows scored by one thread at a time.
const CHUNK: usize = 8_192;
const DAY_MS: i64 = 86_400_000;

/// Raw scores of rows, in parallel.
pub(crate) fn raw_scores(scorer: &RawScorer, matrix: &Matrix, rows: &[u32]) -> Outcome<Vec<f64>> {
    in_chunks(rows, |rows, out| scorer.raw_scores_into(matrix, rows, out, &mut BatchScratch::default()))
}

/// As [`raw_scores`], by a whole model.
pub(crate) fn model_scores(scorer: &Scorer, matrix: &Matrix, rows: &[u32]) -> Outcome<Vec<f64>> {
    in_chunks(rows, |rows, out| scorer.raw_scores_into(matrix, rows, out, &mut BatchScratch::default()))
}

fn in_chunks(
    rows: &[u32],
    score: impl Fn(&[u32], &mut [f64]) -> Result<(), orderguard_inference::ScoreError> + Sync,
) -> Outcome<Vec<f64>> {
    let mut scores = vec![0.0; rows.len()];
    rows.par_chunks(CHUNK).zip(scores.par_chunks_mut(CHUNK)).try_for_each(|(rows, out)| score(rows, out)).bad_data()?;
    Ok(scores)
}

/// Calibrated probabilities.
pub(crate) fn probabilities(calibration: &Calibration, raw: &[f64]) -> Vec<f64> {
    raw.par_iter().map(|&raw| probability(calibration, raw)).collect()
}

/// What is measured on one part of the orders.
pub(crate) struct Measured<'a> {
    pub(crate) rows: &'a [u32],
    pub(crate) labels: &'a [u8],
    pub(crate) raw: &'a [f64],
    pub(crate) probabilities: &'a [f64],
}

/// What is measured beside the figures of every part.
#[derive(Default)]
pub(crate) struct Asked<'a> {
    pub(crate) costs: Option<&'a Costs>,
    pub(crate) thresholds: &'a [Candidate],
    pub(crate) columns: &'a [Column],
    pub(crate) kinds: Option<&'a Column>,
}

/// All figures of a part. `entities` hold one hash per order, for daily lists and intervals.
pub(crate) fn evaluate(
    part: &Measured<'_>,
    orders: &Orders,
    entities: Option<&[u64]>,
    threshold: f64,
    asked: &Asked<'_>,
) -> Outcome<Evaluation> {
    let amounts = orders.amounts().map(|all| -> Vec<f64> { part.rows.iter().map(|&row| all[row as usize]).collect() });
    let entities = entities.map(|all| -> Vec<u64> { part.rows.iter().map(|&row| all[row as usize]).collect() });
    let days = orders.schema.find(Role::Time).map(|_| -> Vec<i64> {
        part.rows.iter().map(|&row| orders.rows.time[row as usize].0.div_euclid(DAY_MS)).collect()
    });
    let scored = Scored::new(part.raw, part.probabilities, part.labels)
        .and_then(|scored| scored.with_amounts(amounts.as_deref()))
        .and_then(|scored| scored.with_days(days.as_deref()))
        .and_then(|scored| scored.with_entities(entities.as_deref()))
        .bad_data()?;
    let options = Options {
        costs: asked.costs.map(|costs| costs.table),
        thresholds: asked.thresholds,
        columns: asked.columns,
        kinds: asked.kinds,
        ..Options::default()
    };
    Evaluation::measure(&scored, threshold, &options).bad_data()
}

/// The section `unresolved`: orders too young for their labels at the end of the data, with their probabilities.
pub(crate) fn unresolved(
    orders: &Orders,
    young: &[u32],
    probabilities: &[f64],
    data_end: UnixMillis,
) -> Option<report::Unresolved> {
    let days = |from: i64, until: i64| (until - from) as f64 / DAY_MS as f64;
    let known = orders.labels.known_fraud_at(data_end.0);
    let time = |row: u32| orders.rows.time[row as usize].0;
    let is_known: Vec<bool> = young.iter().map(|&row| known[row as usize] == 1).collect();
    let age_days: Vec<f64> = young.iter().map(|&row| days(time(row), data_end.0)).collect();
    let amounts = orders.amounts().map(|all| -> Vec<f64> { young.iter().map(|&row| all[row as usize]).collect() });
    // How late labels came, of frauds that had the time to be learned.
    let delay = orders.schema.label_delay;
    let is_resolved = |row: &usize| orders.rows.time[*row].plus(delay) <= data_end && known[*row] == 1;
    let label_time = |row: usize| Some(orders.labels.label_time[row]).filter(|&time| time != MISSING_I64);
    let fraud_ages: Vec<f64> = (0..orders.len())
        .filter(is_resolved)
        .filter_map(|row| Some(days(time(row as u32), label_time(row)?)))
        .collect();
    let young =
        Young { probability: probabilities, known: &is_known, age_days: &age_days, amounts: amounts.as_deref() };
    estimate(&young, &fraud_ages)
}

/// The section `data`.
pub(crate) fn data_section(orders: &Orders) -> Data {
    let outcome = &orders.outcome;
    let n_duplicates = orders.repeated.iter().filter(|&&r| r).count() as u64;
    let count = |wanted: i8| orders.labels.label.iter().filter(|&&label| label == wanted).count() as u64;
    let (n_fraud, n_honest) = (count(1), count(0));
    let mut files: Vec<DataFile> =
        outcome.files.iter().map(|name| DataFile { name: name.clone(), n_rows: 0, n_rejected: 0 }).collect();
    for &source in &outcome.table.source {
        files[source as usize].n_rows += 1;
    }
    for &source in orders.events.iter().flat_map(|events| &events.table.table.source) {
        files[source as usize].n_rows += 1;
    }
    for &(source, _) in &outcome.rejections.places {
        files[source as usize].n_rows += 1;
        files[source as usize].n_rejected += 1;
    }
    Data {
        files,
        n_rows: outcome.n_rows_seen,
        n_accepted: outcome.table.n_rows as u64,
        n_rejected: outcome.rejections.count(),
        n_duplicates,
        n_unlabelled: count(-1) - n_duplicates,
        n_fraud,
        fraud_share: (n_fraud + n_honest > 0).then(|| n_fraud as f64 / (n_fraud + n_honest) as f64),
        events: event_counts(orders),
        from: orders.first_time().map(Into::into),
        until: orders.last_time().map(Into::into),
        amounts: amount_totals(orders),
        labels: orders.join.filter(|join| join.file.n_rows > 0).map(|join| LabelJoin {
            n_rows: join.file.n_rows,
            n_matched: join.file.n_matched,
            n_unmatched: join.file.n_unmatched,
            n_conflicting: join.n_conflicting,
        }),
        hash: orders.rows.data_hash(),
    }
}

/// Events of other kinds, and how many of them are labels.
fn event_counts(orders: &Orders) -> Option<EventCounts> {
    let events = orders.events.as_ref()?;
    let mut counts = EventCounts {
        n_repeated: events.repeated.iter().filter(|&&repeated| repeated).count() as u64,
        n_labels: orders.join.map_or(0, |join| join.events.n_rows),
        n_labels_matched: orders.join.map_or(0, |join| join.events.n_matched),
        ..EventCounts::default()
    };
    for kind in &events.table.kinds {
        *counts.kinds.entry(kind.name().to_owned()).or_default() += 1;
    }
    Some(counts)
}

/// Exact totals by currency, in the order of their names.
fn amount_totals(orders: &Orders) -> Vec<AmountTotal> {
    let table = &orders.outcome.table;
    let Some(ColumnData::Amount(minor)) = orders.schema.find(Role::Amount).map(|column| &table.columns[column]) else {
        return Vec::new();
    };
    let currency = match orders.schema.find(Role::Currency).map(|column| &table.columns[column]) {
        Some(ColumnData::Text(text)) => Some(text),
        _ => None,
    };
    let mut totals: std::collections::BTreeMap<Option<&str>, (u64, i128, i128)> = std::collections::BTreeMap::new();
    for (order, &row) in orders.rows.row.iter().enumerate() {
        let amount = minor[row as usize];
        if amount == MISSING_I64 || orders.repeated[order] {
            continue;
        }
        let name = currency.and_then(|text| text.get(row as usize));
        // A report names currencies; whatever else stands in the column may be personal.
        let is_code = |name: &&str| name.len() <= 4 && name.bytes().all(|b| b.is_ascii_alphanumeric());
        let total = totals.entry(name.map(|name| if is_code(&name) { name } else { "other" })).or_default();
        total.0 += 1;
        total.1 += i128::from(amount);
        if orders.labels.label[order] == 1 {
            total.2 += i128::from(amount);
        }
    }
    let unit = 10_f64.powi(i32::from(orders.schema.amount_decimals));
    let total = |(currency, (n_orders, total, fraud)): (Option<&str>, (u64, i128, i128))| AmountTotal {
        currency: currency.map(str::to_owned),
        n_orders,
        total: total as f64 / unit,
        fraud: fraud as f64 / unit,
    };
    totals.into_iter().map(total).collect()
}

/// The section `schema`; `reasons` has one entry per column where the schema was inferred.
pub(crate) fn schema_section(schema: &Schema, reasons: Option<&[String]>) -> report::Schema {
    let columns = schema.columns.iter().enumerate().map(|(i, column)| report::Column {
        name: column.name.clone(),
        role: column.role.name().to_owned(),
        available: match column.available {
            Available::Order => "order".into(),
            Available::Later => "later".into(),
        },
        format: column.format.map(|format| format_name(format).to_owned()),
        reason: reasons.and_then(|reasons| reasons.get(i).cloned()),
    });
    report::Schema {
        columns: columns.collect(),
        timezone: schema.timezone.clone(),
        label_delay: schema.label_delay.to_string(),
    }
}

/// The section `schema` of a proposal.
pub(crate) fn proposal_section(proposal: &Proposal) -> report::Schema {
    schema_section(&proposal.schema, Some(&proposal.reasons))
}

fn format_name(format: TimeFormat) -> &'static str {
    match format {
        TimeFormat::Iso => "iso",
        TimeFormat::EpochSeconds => "epoch_seconds",
        TimeFormat::EpochMillis => "epoch_millis",
        TimeFormat::MonthDayYear => "month_day_year",
        TimeFormat::DayMonthYear => "day_month_year",
    }
}

/// The section `rejections`.
pub(crate) fn rejections_section(orders: &Orders, max_share: f64) -> Rejections {
    let rejections = &orders.outcome.rejections;
    let first = rejections.first.iter().take(100).map(|rejection| report::Rejection {
        file: orders.outcome.files[rejection.source as usize].clone(),
        line: rejection.line,
        column: rejection.column.as_ref().map(ToString::to_string),
        reason: rejection.reason.to_string(),
    });
    Rejections { n: rejections.count(), max_share: Some(max_share), first: first.collect() }
}

/// The features with their shares of the importance, most important first.
pub(crate) fn feature_section(names: &[String], importance: &[f64]) -> Vec<report::Feature> {
    let total: f64 = importance.iter().sum();
    let mut features: Vec<report::Feature> = names
        .iter()
        .zip(importance)
        .map(|(name, &gain)| report::Feature {
            name: name.clone(),
            importance: if total > 0.0 { gain / total } else { 0.0 },
        })
        .collect();
    features.sort_by(|a, b| b.importance.total_cmp(&a.importance).then_with(|| a.name.cmp(&b.name)));
    features
}

/// Trees of a forest; 1 for a linear model.
pub(crate) fn rounds(predictor: &Predictor) -> u64 {
    match predictor {
        Predictor::Gbt(forest) => forest.trees.len() as u64,
        Predictor::Logistic(_) | Predictor::Scorecard(_) => 1,
    }
}

/// The kind of a calibration, as the report names it.
pub(crate) fn calibration_name(calibration: &Calibration) -> &'static str {
    match calibration {
        Calibration::Platt { .. } => "platt",
        Calibration::Beta { .. } => "beta",
        Calibration::Isotonic { .. } => "isotonic",
    }
}
