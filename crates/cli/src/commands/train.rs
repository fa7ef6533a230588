//! `orderguard train`: from labelled files to a model, its state, a report and the schema.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use orderguard_dataset::infer::InferError;
use orderguard_dataset::leaks::Leak;
use orderguard_dataset::split::{NO_ENTITY, Protocol, Split, SplitInput, SplitOptions, split};
use orderguard_evaluation::Aim;
use orderguard_evaluation::html::page;
use orderguard_evaluation::report::{self, Part, Report, Threshold, Timing};
use orderguard_evaluation::terminal::render;
use orderguard_features::extract::Extractor;
use orderguard_features::identity::IdentityKey;
use orderguard_features::language::file::FeatureFile;
use orderguard_features::language::spec::FeatureSpec;
use orderguard_features::own::tables::Tables;
use orderguard_features::schema::{Role, Schema};
use orderguard_features::state::{State, order_memory};
use orderguard_features::time::UnixMillis;
use orderguard_inference::calibrate::probability;
use orderguard_inference::model::Predictor;
use orderguard_inference::{RawScorer, scorecard};
use serde_json::json;

use crate::args::{DataArgs, LearningArgs, SchemaOptions, TrainArgs};
use crate::assemble::{Card, assemble, earlier_fact, refit};
use crate::candidates::Chooser;
use crate::checkpoint::{Checkpoints, Owner};
use crate::commands::evaluate::resolved;
use crate::console::{Console, peak_rss_bytes, printable, report_style};
use crate::failure::{Blame, Failure, Outcome, data, usage};
use crate::fit;
use crate::ingest::{self, EventSpan, Orders};
use crate::learner::{self, Learner};
use crate::log::Log;
use crate::measure::{self, Asked, Measured};
use crate::memory::Need;
use crate::specification::{refuse_card_numbers, refuse_leaks, specify};
use crate::start::{self, Earlier};
use crate::watch::Watch;
use crate::weighing::{self, Facts};
use crate::{
    comparison, costs_file, interrupt, key, model_data, output, params_file, prequential, search, segments,
    specification,
};

pub(crate) fn run(args: &TrainArgs, console: &Console) -> Outcome {
    let start = Instant::now();
    if args.json && args.log_json.as_deref().is_some_and(|path| path.as_os_str() == "-") {
        return usage("--json and --log-json - both write to standard output: expected one of the two");
    }
    let log = Log::open(args.log_json.as_deref(), start)?;
    log.event("start", json!({"program": format!("orderguard {}", env!("CARGO_PKG_VERSION"))}));
    let result = train(args, console, &log, start);
    if let Err(failure) = &result {
        log.event("error", json!({"message": failure.to_string()}));
    }
    result
}

fn train(args: &TrainArgs, console: &Console, log: &Log, start: Instant) -> Outcome {
    let given = params_file::given(args)?;
    learner::check_going_on(args, &args.learning)?;
    let earlier = start::load(args)?;
    let earlier = earlier.as_ref();
    let options = match earlier {
        Some(earlier) => given.or(earlier.params.clone()),
        None => given,
    };
    learner::check(&options)?;
    search::check(args, &options)?;
    interrupt::watch(console.is_quiet());
    let costs = costs_file::load(args.report.costs.as_deref())?;
    let key = key::load(args.key_file.as_deref())?;
    let tables = Arc::new(specification::tables(&args.tables)?);
    std::fs::create_dir_all(&args.out)
        .map_err(|error| Failure::Usage(anyhow::anyhow!("cannot make folder {}: {error}", args.out.display())))?;

    let (mut orders, reasons) = read_orders(
        &args.data,
        &args.schema_options,
        known_schema(args, earlier)?,
        args.labels.as_deref(),
        &key,
        console,
    )?;
    let read_seconds = start.elapsed().as_secs_f64();
    log.event("read", json!({"orders": orders.len()}));

    let feature_start = Instant::now();
    let parts = split_orders(args, options.seed(), &orders, &key)?;
    // A column may be what orders weigh by, and still be refused as a feature.
    let facts = Facts::new(&orders, &options)?;
    refuse_card_numbers(&orders)?;
    let (spec, leaks) = match earlier {
        Some(earlier) => (earlier.spec.clone(), Vec::new()),
        None => features(args, &options, &mut orders, &parts, &tables)?,
    };
    if spec.is_empty() {
        return data("no column is left that a model could learn from; `orderguard schema` shows what was found");
    }
    let need = Need::new(args, &options, &parts, spec.len(), orders.len());
    need.check(true, args.max_memory)?;
    let extractor = Extractor::with_tables(&orders.schema, &spec, key.clone(), Arc::clone(&tables)).bad_data()?;
    let mut state = State::new(&extractor);
    let matrix = model_data::replay_onto(&extractor, &orders, &mut state, console)?;
    if state.position().n_labels_ignored > 0 {
        orders.notes.push(format!(
            "{} labels came more than {} after their order: history does not learn them",
            state.position().n_labels_ignored,
            order_memory(orders.schema.label_delay)
        ));
    }
    let feature_seconds = feature_start.elapsed().as_secs_f64();
    need.check(false, args.max_memory)?;

    let fit_start = Instant::now();
    let groups = ingest::entity_groups(&orders, &key);
    let fit_parts = fit::Parts {
        matrix: &matrix,
        spec: &spec,
        train: (&parts.train, &parts.train_label),
        validation: (&parts.validation, &parts.validation_label),
        folds: parts.train_fold.as_deref(),
        groups: groups.as_deref(),
        facts: &facts,
        earlier,
    };
    if args.compare {
        let test = (parts.test.as_slice(), parts.test_label.as_slice());
        let table = comparison::run(&options, &orders.schema, &fit_parts, test, args.aim, args.json, (console, log))?;
        return output::print(&table);
    }
    let (mut learner, mut at_hand) = Learner::resolve(&options, &fit_parts)?;
    let mut found = None;
    if let Learner::Gbt(params) = &learner {
        let watch = Watch::new(console, log, None);
        let options = (&options, &at_hand);
        found = with_split_input(args, at_hand.seed(), &orders, &key, |input, limits| {
            search::run(args, options, params, (input, limits, &parts), &fit_parts, &watch)
        })?;
    }
    // What was found may say how orders weigh.
    let found_facts = found.as_ref().map(|found| Facts::new(&orders, &found.options)).transpose()?;
    let facts = found_facts.as_ref().unwrap_or(&facts);
    let fit_parts = fit::Parts { facts, ..fit_parts };
    if let Some(found) = &found {
        (learner, at_hand) = Learner::resolve(&found.options, &fit_parts)?;
    }
    let options = at_hand;
    log.event(
        "fit",
        json!({
            "model": learner.name(),
            "features": spec.len(),
            "train_orders": parts.train.len(),
            "validation_orders": parts.validation.len(),
            "memory_bytes": need.fit_bytes(),
        }),
    );
    let watch = Watch::new(console, log, checkpoints(args, &options, &orders, &fit_parts)?);
    interrupt::begin_fit();
    let mut fitted = fit::fit(&learner, &options, &fit_parts, args.aim, &watch)?;
    if watch.is_stopped() {
        orders.notes.push(format!("stopped by hand after {} trees: the best model so far", fitted.rounds));
    }
    let folds = args.folds.map(|n_folds| {
        with_split_input(args, options.seed(), &orders, &key, |input, limits| {
            prequential::run(n_folds, (input, limits, &parts), &learner, &fit_parts, &fitted, &watch)
        })
    });
    let folds = folds.transpose()?;
    let params: Vec<(String, String)> = options.given().into_iter().chain(fitted.facts.iter().cloned()).collect();
    let fit_seconds = fit_start.elapsed().as_secs_f64();

    let evaluate_start = Instant::now();
    let entities = groups.as_deref();
    let chosen_on = &fitted.chosen_on;
    let validation = Measured {
        rows: &chosen_on.rows,
        labels: &chosen_on.labels,
        raw: &chosen_on.scores,
        probabilities: &chosen_on.probabilities,
    };
    let chooser = Chooser::new(&validation, &orders, &costs.table);
    if matches!(args.aim, Aim::Capacity(_) | Aim::Money) {
        // These look at more than scores and labels.
        let choice = chooser.choose(args.aim)?;
        fitted.threshold.raw_score = choice.raw_score;
        fitted.threshold.probability = probability(&fitted.calibration, choice.raw_score);
        fitted.threshold_note = choice.note;
    }
    let threshold = fitted.threshold.raw_score;
    let candidates = chooser.candidates(&fitted.calibration, (&fitted.threshold.aim, threshold))?;
    let asked = Asked { costs: Some(&costs), ..Asked::default() };
    let validation = measure::evaluate(&validation, &orders, entities, threshold, &asked)?;
    let scorer = RawScorer::compile(&fitted.predictor).bad_data()?;
    let raw = measure::raw_scores(&scorer, &matrix, &parts.test)?;
    let probabilities = measure::probabilities(&fitted.calibration, &raw);
    let test = Measured { rows: &parts.test, labels: &parts.test_label, raw: &raw, probabilities: &probabilities };
    let columns = segments::columns(&orders, &parts.test, &key);
    let kinds = args.report.kinds.as_deref().map(|name| segments::kinds(&orders, name, &parts.test)).transpose()?;
    let asked = Asked { thresholds: &candidates, columns: &columns, kinds: kinds.as_ref(), ..asked };
    let test = measure::evaluate(&test, &orders, entities, threshold, &asked)?;

    // Orders of the test part's time whose label was not due.
    let data_end = args.as_of.or(orders.data_end);
    let (_, _, mut young) = resolved(&orders, data_end);
    let test_from = parts.boundaries.map(|boundaries| boundaries.test_from);
    young.retain(|&row| test_from.is_none_or(|from| orders.rows.time[row as usize].0 >= from));
    let young_scores = measure::raw_scores(&scorer, &matrix, &young)?;
    let young_probabilities = measure::probabilities(&fitted.calibration, &young_scores);
    let young_orders = data_end.and_then(|end| measure::unresolved(&orders, &young, &young_probabilities, end));

    let data_section = measure::data_section(&orders);
    let currency_note = (data_section.amounts.len() > 1).then(|| {
        format!(
            "amounts come in {} currencies: window sums and ratios count orders in the order's own currency only, the \
             feature `amount` is in each order's own currency, and figures weighted by value are left out",
            data_section.amounts.len()
        )
    });
    let mut report = Report {
        program: format!("orderguard {}", env!("CARGO_PKG_VERSION")),
        data: data_section,
        schema: measure::schema_section(&orders.schema, reasons.as_deref()),
        leaks: leaks.iter().map(leak_section).collect(),
        rejections: measure::rejections_section(&orders, args.data.max_rejected),
        split: split_section(args, &parts),
        search: found.as_ref().map(|found| found.section.clone()),
        model: Some(report::Model {
            kind: learner.name().into(),
            rounds: fitted.rounds,
            params: params.iter().cloned().collect(),
            calibration: measure::calibration_name(&fitted.calibration).into(),
            seed: options.seed(),
            refit: false,
        }),
        features: measure::feature_section(&spec.names(), &fitted.importance),
        validation: Some(validation),
        test: Some(test),
        threshold: Some(Threshold {
            raw_score: fitted.threshold.raw_score,
            probability: fitted.threshold.probability,
            aim: fitted.threshold.aim.clone(),
            note: fitted.threshold_note.clone(),
        }),
        costs: orders.amounts().map(|_| costs.clone()),
        unresolved: young_orders,
        folds,
        notes: orders.notes.iter().chain(&currency_note).chain(&fitted.calibration_note).cloned().collect(),
        ..Report::default()
    };
    let model = assemble(
        &orders.schema,
        &spec,
        &matrix,
        &parts.train,
        &fitted,
        &fitted.predictor,
        &fitted.importance,
        &parts.validation,
        Card::new(&report, &params, &earlier_fact(earlier), &key, false),
    )
    .bad_data()?;
    let model_bytes = model.to_bytes().bad_data()?;
    let mut refit_bytes = None;
    if args.refit {
        refit_bytes = Some(refit(
            &params, &learner, facts, &orders, &spec, &matrix, &parts, &fitted, &report, &key, &watch, earlier, &model,
        )?);
    }
    interrupt::end_fit();
    let state_bytes = state.to_bytes(&extractor);
    report.timing = Timing {
        read: read_seconds,
        features: feature_seconds,
        fit: fit_seconds,
        evaluate: evaluate_start.elapsed().as_secs_f64(),
        total: start.elapsed().as_secs_f64(),
        peak_rss_bytes: peak_rss_bytes(),
        threads: Some(rayon::current_num_threads() as u64),
    };

    // Only now: the card took the notes before.
    report.notes.splice(0..0, orders.remarks.iter().cloned());
    let json = report.to_json();
    let mut files = output::Staged::default();
    files.add(&args.out.join("schema.toml"), orders.schema.to_toml().as_bytes())?;
    files.add(&args.out.join("features.toml"), FeatureFile::from_spec(&spec).to_toml().as_bytes())?;
    files.add(&args.out.join("params.toml"), params_file::write(&options).as_bytes())?;
    files.add(&args.out.join("state.ogs"), &state_bytes)?;
    files.add(&args.out.join("report.json"), json.as_bytes())?;
    files.add(&args.out.join("report.html"), page(&report).as_bytes())?;
    if let Some(bytes) = refit_bytes {
        files.add(&args.out.join("model-refit.ogm"), &bytes)?;
    }
    let table = match &fitted.predictor {
        Predictor::Scorecard(card) => Some(printable(&scorecard::render(card, &spec))),
        _ => None,
    };
    if let Some(table) = &table {
        files.add(&args.out.join("scorecard.txt"), table.as_bytes())?;
    }
    if let Some(found) = &found {
        files.add(&args.out.join("search.jsonl"), found.log.as_bytes())?;
    }
    // The model comes last: whoever sees a new one finds the files beside it new as well.
    files.add(&args.out.join("model.ogm"), &model_bytes)?;
    files.publish()?;
    if let Some(checkpoints) = &watch.checkpoints {
        checkpoints.remove()?;
    }
    if table.is_none() {
        output::remove(&args.out.join("scorecard.txt"))?;
    }
    if found.is_none() {
        output::remove(&args.out.join("search.jsonl"))?;
    }
    if !args.refit {
        // One from an earlier run would not belong to the model beside it.
        output::remove(&args.out.join("model-refit.ogm"))?;
    }
    if args.key_file.is_none() && extractor.uses_history() {
        console.note(key::PUBLIC_KEY_NOTE);
    }
    let average_precision = report.test.as_ref().and_then(|test| test.average_precision);
    log.event(
        "done",
        json!({
            "model": args.out.join("model.ogm").display().to_string(),
            "rounds": fitted.rounds,
            "stopped": watch.is_stopped(),
            "test_average_precision": average_precision,
            "peak_rss_bytes": report.timing.peak_rss_bytes,
        }),
    );
    if args.json {
        output::print(&json)?;
    } else if args.log_json.as_deref().is_none_or(|path| path.as_os_str() != "-") {
        output::print(&render(&report, &report_style()))?;
        if let Some(table) = &table {
            output::print(&format!("\n{table}"))?;
        }
    }
    console.show(&format!(
        "\nwritten to {}: model.ogm, state.ogs, report.json, report.html, schema.toml, features.toml, params.toml{}{}{}\n",
        args.out.display(),
        if found.is_some() { ", search.jsonl" } else { "" },
        if table.is_some() { ", scorecard.txt" } else { "" },
        if args.refit { ", model-refit.ogm" } else { "" }
    ));
    Ok(())
}

/// The meaning of the columns, where a file or an earlier model says it.
fn known_schema(args: &TrainArgs, earlier: Option<&Earlier>) -> Outcome<Option<Schema>> {
    match (earlier, &args.schema) {
        (Some(earlier), _) => Ok(Some(earlier.schema.clone())),
        (None, Some(path)) => read_schema(path).map(Some),
        (None, None) => Ok(None),
    }
}

/// The features of a file or the default ones, and the columns that were refused because they give the answer away.
fn features(
    args: &TrainArgs,
    options: &LearningArgs,
    orders: &mut Orders,
    parts: &Split,
    tables: &Tables,
) -> Outcome<(FeatureSpec, Vec<Leak>)> {
    let leaks = refuse_leaks(orders, &parts.train, &args.keep)?;
    let specified = specify(orders, &parts.train, args.features.as_deref(), tables)?;
    orders.remarks.extend(specified.off_line());
    orders.remarks.extend(specified.notes);
    let mut spec = specified.spec;
    if args.features.is_none() {
        weighing::leave_out_weight(&mut spec, &orders.schema, tables, options);
    }
    Ok((spec, leaks))
}

/// The folder of checkpoints, if one is wanted, for a fit of just these inputs.
fn checkpoints(
    args: &TrainArgs,
    options: &LearningArgs,
    orders: &Orders,
    parts: &fit::Parts<'_>,
) -> Outcome<Option<Checkpoints>> {
    let Some(folder) = &args.checkpoint else { return Ok(None) };
    let mut owner = Owner::default().text(env!("CARGO_PKG_VERSION")).text(&params_file::write(options));
    owner = owner.text(&orders.rows.data_hash()).text(&parts.earlier.map_or(String::new(), |e| e.fact.1.clone()));
    owner = owner.text(&parts.spec.names().join("\n")).matrix(parts.matrix);
    owner = owner.part(parts.train.0, parts.train.1).part(parts.validation.0, parts.validation.1);
    owner = owner.part(&[], parts.folds.unwrap_or_default());
    let every = Duration::from_millis(args.checkpoint_every.0.unsigned_abs());
    Checkpoints::open(folder, every, owner.finish(), args.resume).map(Some)
}

/// Opens, infers where needed, and reads. Also returns why each column has its role, where that was inferred.
fn read_orders(
    data_args: &DataArgs,
    options: &SchemaOptions,
    schema: Option<Schema>,
    labels: Option<&Path>,
    key: &IdentityKey,
    console: &Console,
) -> Outcome<(Orders, Option<Vec<String>>)> {
    let sources = ingest::open(&data_args.data, &data_args.events, data_args.delimiter)?;
    let (schema, reasons, notes) = if let Some(schema) = schema {
        (schema, None, Vec::new())
    } else {
        let proposal = ingest::propose(&sources, options, labels.is_none(), data_args.max_rejected, console)?;
        let notes = proposal.notes.iter().map(ToString::to_string).collect();
        (proposal.schema, Some(proposal.reasons), notes)
    };
    let schema = ingest::with_kinds(schema, &data_args.events);
    if schema.find(Role::Label).is_none() && schema.find(Role::Event).is_none() && labels.is_none() {
        return data(
            "the schema has no label column; give one the role `label`, or give labels with --labels or --events",
        );
    }
    let read_options = ingest::training_options(data_args, &schema, labels.is_some());
    let mut orders = ingest::orders(&sources, schema, &read_options, labels, EventSpan::All, key, console)?;
    orders.remarks.extend(notes);
    if let (0, Some(column), Some(events)) = (orders.len(), orders.schema.find(Role::Event), &orders.events) {
        let column = orders.schema.columns[column].name.clone();
        return Err(InferError::NoOrders { column, n_events: events.rows.len() as u64 }).bad_data();
    }
    let count = |wanted: i8| orders.labels.label.iter().filter(|&&label| label == wanted).count();
    let (n_fraud, n_honest) = (count(1), count(0));
    if n_fraud == 0 || n_honest == 0 {
        return data(format_args!(
            "label: expected both fraud and honest orders, found {n_fraud} fraud and {n_honest} honest"
        ));
    }
    Ok((orders, reasons))
}

pub(crate) fn read_schema(path: &Path) -> Outcome<Schema> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::Usage(anyhow::anyhow!("cannot read {}: {error}", path.display())))?;
    Schema::from_toml(&text).map_err(|error| Failure::Usage(anyhow::anyhow!("{}: {error}", path.display())))
}

fn split_orders(args: &TrainArgs, seed: u64, orders: &Orders, key: &IdentityKey) -> Outcome<Split> {
    with_split_input(args, seed, orders, key, |input, options| {
        split(input, options).map_err(|error| {
            use orderguard_dataset::split::SplitError;
            match error {
                SplitError::OutOfRange { .. } | SplitError::Contradiction { .. } | SplitError::NoTime => {
                    Failure::Usage(error.into())
                }
                _ => Failure::Data(error.into()),
            }
        })
    })
}

/// What is split, and how.
fn with_split_input<T>(
    args: &TrainArgs,
    seed: u64,
    orders: &Orders,
    key: &IdentityKey,
    then: impl FnOnce(&SplitInput<'_>, &SplitOptions<'_>) -> Outcome<T>,
) -> Outcome<T> {
    let drop_known = match &args.drop_known_entities {
        None => None,
        Some(name) => {
            let column = orders.schema.position(name).filter(|&c| orders.schema.columns[c].role.is_entity());
            let Some(column) = column else {
                return usage(format_args!("--drop-known-entities: expected an entity column, found {name:?}"));
            };
            orders.entity_keys(column, key, NO_ENTITY)
        }
    };
    let millis = |time: Option<UnixMillis>| time.map(|time| time.0);
    let time = orders.times();
    let groups = ingest::entity_groups(orders, key);
    let input = SplitInput {
        time: time.as_deref(),
        labels: &orders.labels,
        row_key: &orders.rows.hash,
        groups: groups.as_deref(),
    };
    let options = SplitOptions {
        label_delay: orders.schema.label_delay,
        train_from: millis(args.train_from),
        train_until: millis(args.train_until),
        test_from: millis(args.test_from),
        test_until: millis(args.test_until),
        data_end: millis(args.as_of.or(orders.data_end)),
        drop_known: drop_known.as_deref(),
        seed,
        ..Default::default()
    };
    then(&input, &options)
}

fn leak_section(leak: &Leak) -> report::Leak {
    report::Leak { column: leak.column.clone(), reason: leak.reason.to_string(), kept: leak.kept }
}

fn split_section(args: &TrainArgs, parts: &Split) -> report::Split {
    let n_fraud = |labels: &[u8]| labels.iter().map(|&label| u64::from(label == 1)).sum();
    let part = |rows: &[u32], labels: &[u8], limits: Option<(i64, i64)>| Part {
        from: limits.map(|(from, _)| UnixMillis(from).into()),
        until: limits.map(|(_, until)| UnixMillis(until).into()),
        n_rows: rows.len() as u64,
        n_fraud: n_fraud(labels),
    };
    let gap = |n_rows: u64, n_fraud: u64, limits: Option<(i64, i64)>| Part {
        from: limits.map(|(from, _)| UnixMillis(from).into()),
        until: limits.map(|(_, until)| UnixMillis(until).into()),
        n_rows,
        n_fraud,
    };
    let b = parts.boundaries;
    let fitted_until = b.map(|b| b.validation.map_or(b.train_until, |(_, until)| until));
    let mut gaps = Vec::new();
    if parts.n_gap_before_validation > 0 {
        let limits = b.and_then(|b| Some((b.train_until, b.validation?.0)));
        gaps.push(gap(parts.n_gap_before_validation, parts.n_gap_before_validation_fraud, limits));
    }
    if parts.n_gap_before_test > 0 {
        let limits = b.zip(fitted_until).map(|(b, until)| (until, b.test_from));
        gaps.push(gap(parts.n_gap_before_test, parts.n_gap_before_test_fraud, limits));
    }
    let fixed = [args.train_from, args.train_until, args.test_from, args.test_until].iter().any(Option::is_some);
    let protocol = match parts.protocol {
        Protocol::Shuffled | Protocol::ShuffledWithFolds { .. } => "hash",
        _ if fixed => "dates",
        _ => "time",
    };
    let has_validation = !parts.validation.is_empty();
    let mut notes: Vec<String> = parts.notes.iter().map(ToString::to_string).collect();
    if parts.n_without_time > 0 {
        notes.push(format!("{} orders without a time are in no part", parts.n_without_time));
    }
    report::Split {
        protocol: protocol.into(),
        train: Some(part(&parts.train, &parts.train_label, b.map(|b| (b.train_from, b.train_until)))),
        validation: has_validation
            .then(|| part(&parts.validation, &parts.validation_label, b.and_then(|b| b.validation))),
        test: Some(part(&parts.test, &parts.test_label, b.map(|b| (b.test_from, b.test_until)))),
        gaps,
        n_unresolved: parts.n_unresolved_test,
        n_known_entities: parts.n_known_entity_dropped,
        notes,
    }
}
