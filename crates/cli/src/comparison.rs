//! `orderguard train --compare`: our learners, and those of other libraries, on one split and in one table.

use std::fmt::Write;
use std::time::Instant;

use orderguard_evaluation::Evaluation;
use orderguard_evaluation::threshold::Aim;
use orderguard_features::schema::Schema;
use orderguard_inference::RawScorer;

use crate::args::{LearningArgs, ModelKind};
use crate::assemble::{Card, assemble};
use crate::console::Console;
use crate::failure::{Blame, Outcome};
use crate::fit::{self, Parts};
use crate::learner::Learner;
use crate::log::Log;
use crate::measure;
use crate::watch::Watch;

/// Times that test orders are scored; the fastest counts.
const N_TIMINGS: usize = 3;

/// One learner's line.
struct Line {
    name: String,
    average_precision: Option<f64>,
    recall: Option<f64>,
    log_loss: Option<f64>,
    fit_seconds: f64,
    /// Of one order, in microseconds, all threads at work.
    score_micros: f64,
    n_bytes: Option<usize>,
}

/// Fits everything, measures it on the test orders and gives the table, or JSON.
pub(crate) fn run(
    options: &LearningArgs,
    schema: &Schema,
    parts: &Parts<'_>,
    test: (&[u32], &[u8]),
    aim: Aim,
    json: bool,
    (console, log): (&Console, &Log),
) -> Outcome<String> {
    let watch = Watch::new(console, log, None);
    let mut lines = Vec::new();
    for kind in [ModelKind::Logistic, ModelKind::Scorecard, ModelKind::Gbt] {
        lines.push(ours(kind, options, schema, parts, test, aim, &watch)?);
    }
    let without = others(options, parts, test, console, &mut lines)?;
    let n_fraud = test.1.iter().filter(|&&label| label != 0).count();
    Ok(if json { as_json(&lines) } else { as_text(&lines, test.0.len(), n_fraud, &without) })
}

fn ours(
    kind: ModelKind,
    options: &LearningArgs,
    schema: &Schema,
    parts: &Parts<'_>,
    (rows, labels): (&[u32], &[u8]),
    aim: Aim,
    watch: &Watch<'_>,
) -> Outcome<Line> {
    let options = if kind == options.model() {
        options.clone()
    } else {
        LearningArgs { model: Some(kind), seed: Some(options.seed()), ..LearningArgs::default() }
    };
    let start = Instant::now();
    let (learner, options) = Learner::resolve(&options, parts)?;
    let fitted = fit::fit(&learner, &options, parts, aim, watch)?;
    let fit_seconds = start.elapsed().as_secs_f64();
    let scorer = RawScorer::compile(&fitted.predictor).bad_data()?;
    let mut raw = Vec::new();
    let score_micros = fastest(rows.len(), || {
        raw = measure::raw_scores(&scorer, parts.matrix, rows)?;
        Ok(())
    })?;
    let probabilities = measure::probabilities(&fitted.calibration, &raw);
    let figures = Evaluation::compute(&raw, &probabilities, labels, None, fitted.threshold.raw_score).bad_data()?;
    let (predictor, importance) = (&fitted.predictor, &fitted.importance);
    let model =
        assemble(schema, parts.spec, parts.matrix, parts.train.0, &fitted, predictor, importance, &[], Card::blank());
    let n_bytes = model.bad_data()?.to_bytes().bad_data()?.len();
    let name = match kind {
        ModelKind::Logistic => "orderguard: logistic regression",
        ModelKind::Scorecard => "orderguard: scorecard",
        ModelKind::Gbt => "orderguard: boosted trees",
    };
    Ok(line(name, &figures, fit_seconds, score_micros, Some(n_bytes)))
}

fn line(name: &str, figures: &Evaluation, fit_seconds: f64, score_micros: f64, n_bytes: Option<usize>) -> Line {
    Line {
        name: name.to_owned(),
        average_precision: figures.average_precision,
        recall: figures.recall_at_fpr.get("0.01").copied().flatten(),
        log_loss: figures.log_loss,
        fit_seconds,
        score_micros,
        n_bytes,
    }
}

/// Microseconds per row of the fastest run.
fn fastest(n_rows: usize, mut score: impl FnMut() -> Outcome) -> Outcome<f64> {
    let mut least = f64::INFINITY;
    for _ in 0..N_TIMINGS {
        let start = Instant::now();
        score()?;
        least = least.min(start.elapsed().as_secs_f64());
    }
    Ok(1e6 * least / n_rows.max(1) as f64)
}

/// Adds the learners of other libraries. They have no calibration of their own, so they get ours, fitted on the same orders.
/// Returns what the reader must know.
#[cfg(feature = "baselines")]
fn others(
    options: &LearningArgs,
    parts: &Parts<'_>,
    (rows, labels): (&[u32], &[u8]),
    console: &Console,
    lines: &mut Vec<Line>,
) -> Outcome<String> {
    use orderguard_trainer::baselines::Baseline;
    use orderguard_trainer::calibration::fit_calibration;
    use orderguard_trainer::samples::Samples;

    if parts.folds.is_some() {
        return Ok(
            "Other libraries are left out: there are too few frauds for a validation part to calibrate them on.".into(),
        );
    }
    let test = Samples { matrix: parts.matrix, rows, labels };
    let mut refused = String::new();
    for baseline in Baseline::ALL {
        let bar = console.steps_bar(baseline.name());
        let start = Instant::now();
        let fitted = match baseline.fit(&parts.train(), options.seed()) {
            Ok(fitted) => fitted,
            Err(error) => {
                writeln!(refused, "{error}").expect("writing to memory cannot fail");
                continue;
            }
        };
        let held = fitted.scores(&parts.validation()).bad_data()?;
        let calibration = fit_calibration(&held, parts.validation.1, None, options.seed()).bad_data()?.calibration;
        let fit_seconds = start.elapsed().as_secs_f64();
        let mut raw = Vec::new();
        let score_micros = fastest(rows.len(), || {
            raw = fitted.scores(&test).bad_data()?;
            Ok(())
        })?;
        let probabilities = measure::probabilities(&calibration, &raw);
        let figures = Evaluation::compute(&raw, &probabilities, labels, None, f64::INFINITY).bad_data()?;
        lines.push(line(baseline.name(), &figures, fit_seconds, score_micros, fitted.n_bytes()));
        bar.finish_and_clear();
    }
    Ok(refused
        + "Other libraries run with missing values as medians and level codes as numbers, on one thread, and are calibrated\n\
           as ours are; their sizes are those of their numbers alone.")
}

#[cfg(not(feature = "baselines"))]
#[allow(clippy::unnecessary_wraps, reason = "with the libraries built in, it fails where they do")]
fn others(_: &LearningArgs, _: &Parts<'_>, _: (&[u32], &[u8]), _: &Console, _: &mut Vec<Line>) -> Outcome<String> {
    Ok("Not built in: linfa-trees, linfa-logistic and smartcore. `cargo build --release --features baselines` adds them.".into())
}

fn as_text(lines: &[Line], n_test: usize, n_fraud: usize, note: &str) -> String {
    let figure = |value: Option<f64>, digits: usize| value.map_or_else(|| "-".into(), |x| format!("{x:.digits$}"));
    let size = |n_bytes: Option<usize>| n_bytes.map_or_else(|| "-".into(), |n| format!("{:.1} KB", n as f64 / 1_000.0));
    let width = lines.iter().map(|line| line.name.len()).max().unwrap_or(0);
    let mut text = format!(
        "Fitted on one training part, chosen and calibrated on one validation part, measured on {n_test} test orders with\n\
         {n_fraud} frauds.\n\n{:width$}  average    recall at 1 %  log     fit       scoring    size of\n\
         {:width$}  precision  false alarms   loss    seconds   us/order   the model\n",
        "", ""
    );
    for line in lines {
        writeln!(
            text,
            "{:width$}  {:<9}  {:<13}  {:<6}  {:<8.2}  {:<9.3}  {}",
            line.name,
            figure(line.average_precision, 4),
            figure(line.recall.map(|x| 100.0 * x), 1) + " %",
            figure(line.log_loss, 4),
            line.fit_seconds,
            line.score_micros,
            size(line.n_bytes)
        )
        .expect("writing to memory cannot fail");
    }
    text + "\n" + note + "\n"
}

fn as_json(lines: &[Line]) -> String {
    let of_line = |line: &Line| {
        serde_json::json!({
            "learner": line.name,
            "average_precision": line.average_precision,
            "recall_at_fpr_0.01": line.recall,
            "log_loss": line.log_loss,
            "fit_seconds": line.fit_seconds,
            "score_microseconds": line.score_micros,
            "bytes": line.n_bytes,
        })
    };
    format!("{:#}\n", serde_json::Value::Array(lines.iter().map(of_line).collect()))
}
