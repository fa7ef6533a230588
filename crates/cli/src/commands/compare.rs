//! `orderguard compare`: a new model and an old one on the same orders.

use std::path::{Path, PathBuf};

use orderguard_evaluation::compare::{Comparison, Measure, compare};
use orderguard_evaluation::terminal::render_comparison;
use orderguard_evaluation::{Options, Scored};
use orderguard_features::schema::Role;

use crate::args::{CompareArgs, HistoryArgs, MeasureArg};
use crate::commands::evaluate::resolved;
use crate::console::{Console, report_style};
use crate::costs_file;
use crate::failure::{Blame, Failure, Outcome, data};
use crate::ingest;
use crate::{measure, model_data, output};

const DAY_MS: i64 = 86_400_000;

/// What one model makes of the orders.
struct Side {
    /// Rows of the table that was read, of the orders that are resolved, in canonical order.
    keys: Vec<u32>,
    raw: Vec<f64>,
    probabilities: Vec<f64>,
    labels: Vec<u8>,
    amounts: Option<Vec<f64>>,
    days: Option<Vec<i64>>,
    entities: Option<Vec<u64>>,
    threshold: f64,
    n_young: usize,
}

pub(crate) fn run(args: &CompareArgs, console: &Console) -> Outcome {
    let costs = costs_file::load(args.costs.as_deref())?;
    let old = side(args, &args.old, args.history.state.as_ref(), console)?;
    let state = args.new_state.as_ref().or(args.history.state.as_ref());
    let new = side(args, &args.new, state, console)?;
    if old.keys != new.keys || old.labels != new.labels {
        return data(format_args!(
            "{} and {} read these data as different orders ({} and {} labelled ones): expected models whose schemas agree on id, time \
             and label",
            args.old.display(),
            args.new.display(),
            old.labels.len(),
            new.labels.len()
        ));
    }
    let scored = Scored::new(&old.raw, &old.probabilities, &old.labels)
        .and_then(|scored| scored.with_amounts(old.amounts.as_deref()))
        .and_then(|scored| scored.with_days(old.days.as_deref()))
        .and_then(|scored| scored.with_entities(old.entities.as_deref()))
        .bad_data()?;
    let other = Scored::new(&new.raw, &new.probabilities, &new.labels).bad_data()?;
    let measure = match args.measure {
        MeasureArg::AveragePrecision => Measure::AveragePrecision,
        MeasureArg::RocAuc => Measure::RocAuc,
        MeasureArg::Recall => Measure::Recall,
        MeasureArg::LossReduction => Measure::LossReduction,
    };
    let options = Options { costs: Some(costs.table), ..Options::default() };
    let thresholds = [old.threshold, new.threshold];
    let mut comparison = compare(&scored, &other, thresholds, (measure, args.margin), &options).bad_data()?;
    if old.n_young > 0 {
        comparison
            .notes
            .push(format!("{} orders are too young for their labels to be known: they are left out", old.n_young));
    }
    if old.amounts.is_some() && costs.is_default {
        comparison.notes.push("figures in money stand on the default costs: give your own with --costs".into());
    }
    print(&comparison, args.json)?;
    if comparison.verdict.is_non_inferior {
        Ok(())
    } else {
        Err(Failure::Kept(anyhow::anyhow!("{}", comparison.verdict.text)))
    }
}

fn print(comparison: &Comparison, json: bool) -> Outcome {
    if json {
        let text = serde_json::to_string_pretty(comparison).bad_usage()?;
        output::print(&(text + "\n"))
    } else {
        output::print(&render_comparison(comparison, &report_style()))
    }
}

fn side(args: &CompareArgs, model: &Path, state: Option<&PathBuf>, console: &Console) -> Outcome<Side> {
    let history = HistoryArgs { state: state.cloned(), ..args.history.clone() };
    let mut loaded = model_data::load(model, &args.data, &history, &args.tables, console)?;
    let orders = loaded.read_orders(&args.data, args.labels.as_deref(), console)?;
    let (rows, labels, young) = resolved(&orders, args.as_of.or(orders.data_end));
    if labels.is_empty() {
        return data("the orders have no label to measure against that is due: expected a label column or --labels");
    }
    let matrix = model_data::replay_onto(&loaded.extractor, &orders, &mut loaded.state, console)?;
    let raw = measure::model_scores(&loaded.scorer, &matrix, &rows)?;
    let of_rows = |row: &u32| *row as usize;
    let entities = ingest::entity_groups(&orders, &loaded.key);
    let days = orders.schema.find(Role::Time).map(|_| -> Vec<i64> {
        rows.iter().map(of_rows).map(|row| orders.rows.time[row].0.div_euclid(DAY_MS)).collect()
    });
    let model = &loaded.model;
    Ok(Side {
        keys: rows.iter().map(of_rows).map(|row| orders.rows.row[row]).collect(),
        probabilities: measure::probabilities(&model.calibration, &raw),
        raw,
        amounts: orders.amounts().map(|all| rows.iter().map(of_rows).map(|row| all[row]).collect()),
        days,
        entities: entities.map(|all| rows.iter().map(of_rows).map(|row| all[row]).collect()),
        threshold: model.tiers.first().map_or(model.threshold.raw_score, |tier| tier.raw_score),
        n_young: young.len(),
        labels,
    })
}
