//! Records of the decisions of `score`.

use std::path::{Path, PathBuf};

use orderguard_features::matrix::Matrix;
use orderguard_features::schema::Role;
use orderguard_inference::audit::{Record, model_id, write};
use orderguard_inference::model::Model;
use orderguard_inference::reasons::{Language, ReasonScratch, Reasoner};
use orderguard_inference::rules::shadow_columns;
use orderguard_inference::{Decision, Score, Scorer};

use crate::commands::score::text_of;
use crate::failure::{Blame, Outcome, data};
use crate::ingest::Orders;
use crate::model_data::Loaded;
use crate::{input, output};

/// Reasons of a record.
const N_REASONS: usize = 3;
/// The largest model that is read.
const MAX_BYTES: u64 = 1 << 30;

/// What is needed to write records.
pub(crate) struct Records {
    path: PathBuf,
    model: String,
    threshold: f64,
    /// None where the model cannot give reasons.
    reasoner: Option<Reasoner>,
    shadow: Option<Shadow>,
    /// Orders, events and labels that the state had learned before.
    position: (u64, u64, u64),
}

struct Shadow {
    id: String,
    scorer: Scorer,
    columns: Vec<u32>,
}

impl Records {
    pub(crate) fn new(path: &Path, shadow: Option<&Path>, loaded: &Loaded) -> Outcome<Self> {
        let shadow = shadow.map(|path| Shadow::new(path, &loaded.model)).transpose()?;
        let position = loaded.state.position();
        Ok(Self {
            path: path.to_owned(),
            model: model_id(&loaded.model),
            threshold: loaded.scorer.threshold().raw_score,
            reasoner: Reasoner::compile(&loaded.model).ok(),
            shadow,
            position: (position.n_orders, position.n_events, position.n_labels),
        })
    }

    /// Adds the file of records to those that are to be published: accepted orders in canonical order, each as if those before it
    /// had been learned.
    pub(crate) fn stage(
        &self,
        orders: &Orders,
        matrix: &Matrix,
        scores: &[Option<Score>],
        files: &mut output::Staged,
    ) -> Outcome {
        let id = orders.schema.find(Role::Id);
        files.add_with(&self.path, |file| {
            let mut row = vec![0.0; matrix.n_features()];
            let (mut scratch, mut line) = (ReasonScratch::default(), String::new());
            for (at, &place) in orders.rows.row.iter().enumerate() {
                let Some(score) = scores[place as usize] else { continue };
                matrix.copy_row(at, &mut row);
                let reasons = self.reasons(&row, &score, &mut scratch);
                let (n_orders, n_events, n_labels) = self.position;
                let record = Record {
                    order: id.map_or("", |column| text_of(&orders.outcome.table.columns[column], place as usize)),
                    time: orders.rows.time[at],
                    model: &self.model,
                    position: (n_orders + at as u64, n_events, n_labels),
                    score: Some(score),
                    threshold: self.threshold,
                    decision: score.decision,
                    ground: "model",
                    reasons: &reasons,
                    shadow: self.shadow.as_ref().map(|shadow| (shadow.id.as_str(), shadow.score(&row))),
                    row: &row,
                };
                line.clear();
                write(&record, &mut line);
                file.write_all(line.as_bytes())?;
            }
            Ok(())
        })
    }

    /// What speaks against an order that is not approved.
    fn reasons(&self, row: &[f32], score: &Score, scratch: &mut ReasonScratch) -> Vec<String> {
        let Some(reasoner) = self.reasoner.as_ref().filter(|_| score.decision != Decision::Approve) else {
            return Vec::new();
        };
        let Ok(reasons) = reasoner.reasons(row, score.raw_score, scratch) else { return Vec::new() };
        let against = reasons.iter().take_while(|reason| reason.log_odds > 0.0).take(N_REASONS);
        against.map(|reason| reasoner.text(reason, row, Language::English)).collect()
    }
}

impl Shadow {
    fn new(path: &Path, model: &Model) -> Outcome<Self> {
        let shadow = Model::from_bytes(&input::read(path, MAX_BYTES)?)
            .or_else(|error| data(format_args!("{}: {error}", path.display())))?;
        let columns = shadow_columns(model, &shadow).bad_data()?;
        let scorer = Scorer::compile(&shadow).bad_data()?;
        Ok(Self { id: model_id(&shadow), scorer, columns })
    }

    fn score(&self, row: &[f32]) -> Score {
        let own: Vec<f32> = self.columns.iter().map(|&at| row[at as usize]).collect();
        self.scorer.score(&own).expect("one column for each of its features")
    }
}
