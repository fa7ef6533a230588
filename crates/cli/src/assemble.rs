//! From fitted parts to a model file: card, reference, golden rows, and the refit on all resolved orders.

use orderguard_dataset::split::Split;
use orderguard_evaluation::report::{self, Report};
use orderguard_features::identity::IdentityKey;
use orderguard_features::language::spec::FeatureSpec;
use orderguard_features::matrix::Matrix;
use orderguard_features::schema::Schema;
use orderguard_inference::model::{Model, ModelCard, Predictor};
use orderguard_inference::reasons::ReasonTexts;
use orderguard_inference::{background, drift, golden, reference};
use rayon::prelude::*;

use crate::failure::{Blame, Outcome};
use crate::fit::{self, Fitted};
use crate::ingest::Orders;
use crate::learner::Learner;
use crate::start::Earlier;
use crate::watch::Watch;
use crate::weighing::Facts;

/// Made-up rows in the model file whose scores are checked on load.
const N_GOLDEN: usize = 8;

/// What a model's card says.
pub(crate) struct Card(ModelCard);

impl Card {
    /// Says nothing: of a model that is measured and not kept.
    pub(crate) fn blank() -> Self {
        Self(ModelCard::default())
    }

    pub(crate) fn new(
        report: &Report,
        params: &[(String, String)],
        extra_facts: &[(String, String)],
        key: &IdentityKey,
        refit: bool,
    ) -> Self {
        let kind = report.model.as_ref().map_or(String::new(), |model| model.kind.clone());
        let mut facts: Vec<(String, String)> = Vec::new();
        let mut fact = |name: &str, value: String| facts.push((name.to_owned(), value));
        let time = |time: Option<report::IsoTime>| time.map_or("unknown".into(), |time| time.to_string());
        fact("orders", report.data.n_accepted.to_string());
        fact("frauds", report.data.n_fraud.to_string());
        fact("orders from", time(report.data.from));
        fact("orders until", time(report.data.until));
        fact("split", report.split.protocol.clone());
        for (name, figures) in [("validation", &report.validation), ("test", &report.test)] {
            let Some(figures) = figures else { continue };
            let figure = |value: Option<f64>| value.map_or("n/a".into(), |value| format!("{value:.4}"));
            fact(&format!("{name} orders"), figures.n_rows.to_string());
            fact(&format!("{name} frauds"), figures.n_fraud.to_string());
            fact(&format!("{name} average precision"), figure(figures.average_precision));
            fact(&format!("{name} ROC AUC"), figure(figures.roc_auc));
            let fine = |value: Option<f64>| value.map_or("n/a".into(), |value| format!("{value:.5}"));
            fact(&format!("{name} log loss"), fine(figures.log_loss));
            fact(&format!("{name} calibration error"), fine(figures.calibration_error));
        }
        facts.extend(extra_facts.iter().cloned());
        let mut notes = report.notes.clone();
        notes.extend(report.split.notes.iter().cloned());
        notes.extend(report.leaks.iter().map(|leak| {
            let verb = if leak.kept { "kept although" } else { "left out:" };
            format!("column {} {verb} {}", leak.column, leak.reason)
        }));
        if refit {
            notes.push(
                "refit: fitted again on all resolved orders with the rounds and parameters of the measured model; \
                 calibration and threshold are carried over, and the figures are those of the measured model"
                    .into(),
            );
        }
        Self(ModelCard {
            program_version: env!("CARGO_PKG_VERSION").into(),
            kind: if refit { format!("{kind}, refit") } else { kind },
            data_hash: report.data.hash.clone(),
            seed: report.model.as_ref().map_or(0, |model| model.seed),
            key_check: key.check(),
            facts,
            params: params.to_vec(),
            notes,
        })
    }
}

#[allow(clippy::too_many_arguments)] // every one of them is a part of the model
pub(crate) fn assemble(
    schema: &Schema,
    spec: &FeatureSpec,
    matrix: &Matrix,
    rows: &[u32],
    fitted: &Fitted,
    predictor: &Predictor,
    importance: &[f64],
    // Rows that the model did not learn from, whose scores are those of orders to come.
    unlearned: &[u32],
    card: Card,
) -> Result<Model, orderguard_inference::ModelError> {
    let kinds = spec.kinds();
    let reference = (0..kinds.len())
        .into_par_iter()
        .map(|i| reference::of_feature(matrix.column(i), rows, kinds[i], importance[i]))
        .collect::<Vec<_>>();
    Ok(Model {
        schema: schema.clone(),
        spec: spec.clone(),
        golden: golden::build(&reference, &kinds, predictor, N_GOLDEN)?,
        background: background::of(predictor, matrix, rows)?,
        drift: drift::build(spec, predictor, matrix, rows, if unlearned.is_empty() { rows } else { unlearned })?,
        reasons: ReasonTexts::proposed(schema, spec),
        predictor: predictor.clone(),
        calibration: fitted.calibration.clone(),
        threshold: fitted.threshold.clone(),
        tiers: Vec::new(),
        card: card.0,
        reference,
    })
}

/// What a card says of the model that was gone on from.
pub(crate) fn earlier_fact(earlier: Option<&Earlier>) -> Vec<(String, String)> {
    earlier.map(|earlier| earlier.fact.clone()).into_iter().collect()
}

/// The same model on all resolved orders.
#[allow(clippy::too_many_arguments)] // everything that the fit used, once more
pub(crate) fn refit(
    params: &[(String, String)],
    learner: &Learner,
    facts: &Facts,
    orders: &Orders,
    spec: &FeatureSpec,
    matrix: &Matrix,
    parts: &Split,
    fitted: &Fitted,
    report: &Report,
    key: &IdentityKey,
    watch: &Watch<'_>,
    earlier: Option<&Earlier>,
    measured: &Model,
) -> Outcome<Vec<u8>> {
    let due = |order: usize| orders.rows.time[order].plus(orders.schema.label_delay).0;
    let resolved = |order: &usize| parts.data_end.is_none_or(|end| due(*order) <= end);
    let rows: Vec<u32> = (0..orders.len())
        .filter(|&order| orders.labels.is_labelled_at(order, parts.data_end.unwrap_or(i64::MAX)))
        .filter(resolved)
        .map(|order| order as u32)
        .collect();
    let known = orders.labels.known_fraud_at(parts.data_end.unwrap_or(i64::MAX));
    let labels: Vec<u8> = rows.iter().map(|&row| known[row as usize]).collect();
    let all = fit::Parts {
        matrix,
        spec,
        train: (&rows, &labels),
        validation: (&[], &[]),
        folds: None,
        groups: None,
        facts,
        earlier,
    };
    let (predictor, importance) = fit::refit(learner, &all, fitted, watch)?;
    let card = Card::new(report, params, &earlier_fact(earlier), key, true);
    let mut model =
        assemble(&orders.schema, spec, matrix, &rows, fitted, &predictor, &importance, &[], card).bad_data()?;
    // It learned from all: how orders to come will score, the measured model tells.
    model.drift.score.clone_from(&measured.drift.score);
    model.to_bytes().bad_data()
}
