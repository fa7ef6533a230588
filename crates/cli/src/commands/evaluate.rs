//! `orderguard evaluate`: a finished model measured on labelled orders.

use std::time::Instant;

use orderguard_evaluation::report::{self, Part, Report, Threshold, Timing};
use orderguard_evaluation::terminal::render;
use orderguard_evaluation::{money_of_tiers, tiers};
use orderguard_features::schema::Role;
use orderguard_features::time::UnixMillis;
use orderguard_inference::Decision;
use orderguard_inference::calibrate::probability;
use orderguard_inference::model::Model;

use crate::args::EvaluateArgs;
use crate::console::{Console, peak_rss_bytes, report_style};
use crate::failure::{Blame, Outcome, data};
use crate::ingest::{self, Orders};
use crate::measure::{self, Asked, Measured};
use crate::{costs_file, model_data, output, segments, selection};

pub(crate) fn run(args: &EvaluateArgs, console: &Console) -> Outcome {
    let start = Instant::now();
    let costs = costs_file::load(args.report.costs.as_deref())?;
    let mut loaded = model_data::load(&args.model, &args.data, &args.history, &args.tables, console)?;
    let has_events = !args.data.events.is_empty() || loaded.model.schema.find(Role::Event).is_some();
    if loaded.model.schema.find(Role::Label).is_none() && args.labels.is_none() && !has_events {
        return data("the model's schema has no label column: give labels with --labels");
    }
    let orders = loaded.read_orders(&args.data, args.labels.as_deref(), console)?;
    let labelled = orders.labels.label.iter().any(|&label| label >= 0);
    if !labelled {
        return data("the orders have no label to measure against: expected a label column or --labels");
    }
    let read = start.elapsed().as_secs_f64();

    let feature_start = Instant::now();
    let matrix = model_data::replay_onto(&loaded.extractor, &orders, &mut loaded.state, console)?;
    let features = feature_start.elapsed().as_secs_f64();

    let evaluate_start = Instant::now();
    let data_end = args.as_of.or(orders.data_end);
    let (mut rows, mut labels, young) = resolved(&orders, data_end);
    let weighing = selection::Weighing::new(&orders, &args.selection)?;
    let n_declined = weighing.leave_out(&mut rows, &mut labels);
    let raw = measure::model_scores(&loaded.scorer, &matrix, &rows)?;
    let probabilities = measure::probabilities(&loaded.model.calibration, &raw);
    let part = Measured { rows: &rows, labels: &labels, raw: &raw, probabilities: &probabilities };
    let threshold = deciding_threshold(&loaded.model);
    let entities = ingest::entity_groups(&orders, &loaded.key);
    let columns = segments::columns(&orders, &rows, &loaded.key);
    let kinds = args.report.kinds.as_deref().map(|name| segments::kinds(&orders, name, &rows)).transpose()?;
    let asked = Asked { costs: Some(&costs), columns: &columns, kinds: kinds.as_ref(), ..Asked::default() };
    let mut test = measure::evaluate(&part, &orders, entities.as_deref(), threshold.raw_score, &asked)?;
    if !loaded.model.tiers.is_empty() {
        let bounds: Vec<_> = loaded.model.tiers.iter().map(|tier| (tier.decision.name(), tier.raw_score)).collect();
        let amounts =
            orders.amounts().map(|amounts| -> Vec<f64> { rows.iter().map(|&row| amounts[row as usize]).collect() });
        test.tiers = tiers(&raw, &labels, amounts.as_deref(), Decision::Approve.name(), &bounds).bad_data()?;
        // What each decision costs, in the place of one threshold.
        test.money = money_of_tiers(&test.tiers, &costs.table);
        if let Some(intervals) = &mut test.intervals {
            // Those of one threshold, which would stand beside another sum.
            intervals.at_threshold.loss_reduction = None;
            intervals.at_threshold.savings = None;
        }
    }
    let young_scores = measure::model_scores(&loaded.scorer, &matrix, &young)?;
    let young_probabilities = measure::probabilities(&loaded.model.calibration, &young_scores);
    let young_orders = data_end.and_then(|end| measure::unresolved(&orders, &young, &young_probabilities, end));
    let weighed =
        weighing.section(&part, &orders, entities.as_deref(), threshold.raw_score, &costs.table, n_declined)?;
    let names = loaded.model.spec.names();
    let importance: Vec<f64> = loaded.model.reference.iter().map(|reference| reference.importance).collect();
    let limits = |of: Option<UnixMillis>| of.map(report::IsoTime::from);
    let mut report = Report {
        program: format!("orderguard {}", env!("CARGO_PKG_VERSION")),
        data: measure::data_section(&orders),
        schema: measure::schema_section(&orders.schema, None),
        rejections: measure::rejections_section(&orders, args.data.max_rejected),
        split: report::Split {
            protocol: "none".into(),
            test: Some(Part {
                from: limits(orders.first_time()),
                until: limits(orders.last_time()),
                n_rows: test.n_rows,
                n_fraud: test.n_fraud,
            }),
            n_unresolved: young.len() as u64,
            ..Default::default()
        },
        model: Some(report::Model {
            kind: loaded.model.card.kind.clone(),
            params: loaded.model.card.params.iter().cloned().collect(),
            seed: loaded.model.card.seed,
            rounds: measure::rounds(&loaded.model.predictor),
            calibration: measure::calibration_name(&loaded.model.calibration).into(),
            refit: loaded.model.card.kind.contains("refit"),
        }),
        features: measure::feature_section(&names, &importance),
        test: Some(test),
        threshold: Some(threshold),
        costs: orders.amounts().map(|_| costs.clone()),
        unresolved: young_orders,
        selection: weighed,
        notes: orders.remarks.iter().chain(&orders.notes).cloned().collect(),
        ..Report::default()
    };
    report.timing = Timing {
        read,
        features,
        fit: 0.0,
        evaluate: evaluate_start.elapsed().as_secs_f64(),
        total: start.elapsed().as_secs_f64(),
        peak_rss_bytes: peak_rss_bytes(),
        threads: Some(rayon::current_num_threads() as u64),
    };
    if args.json { output::print(&report.to_json()) } else { output::print(&render(&report, &report_style())) }
}

/// From where on orders are not approved: the threshold of training, or the mildest tier that was set since.
fn deciding_threshold(model: &Model) -> Threshold {
    let trained = &model.threshold;
    match model.tiers.first() {
        None => Threshold {
            raw_score: trained.raw_score,
            probability: trained.probability,
            aim: trained.aim.clone(),
            note: None,
        },
        Some(tier) => Threshold {
            raw_score: tier.raw_score,
            probability: probability(&model.calibration, tier.raw_score),
            aim: format!("{} and stricter tiers, as they were set", tier.decision),
            note: Some(format!("the threshold of training, raw score {:.4}, decides nothing", trained.raw_score)),
        },
    }
}

/// Labelled orders whose label was due at the end of the data, their labels, and the orders that were not due yet.
pub(crate) fn resolved(orders: &Orders, data_end: Option<UnixMillis>) -> (Vec<u32>, Vec<u8>, Vec<u32>) {
    let has_time = orders.schema.find(Role::Time).is_some();
    // What the shop knew at the end of the data; a fraud that is learned later counts as honest once its label was due.
    let as_of = data_end.map_or(i64::MAX, |end| end.0);
    let known = orders.labels.known_fraud_at(as_of);
    let (mut rows, mut labels, mut young) = (Vec::new(), Vec::new(), Vec::new());
    for order in (0..orders.len()).filter(|&order| orders.labels.is_labelled_at(order, as_of)) {
        let due = orders.rows.time[order].plus(orders.schema.label_delay);
        if has_time && data_end.is_some_and(|end| due > end) {
            young.push(order as u32);
        } else {
            rows.push(order as u32);
            labels.push(known[order]);
        }
    }
    (rows, labels, young)
}
