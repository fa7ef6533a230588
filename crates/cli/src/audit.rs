//! Records of the decisions of `score`.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use orderguard_features::matrix::Matrix;
use orderguard_features::schema::Role;
use orderguard_inference::audit::{Chain, Record, model_id};
use orderguard_inference::model::Model;
use orderguard_inference::reasons::{Language, ReasonScratch, Reasoner};
use orderguard_inference::rules::{Ground, shadow_columns};
use orderguard_inference::{Decision, Score, Scorer};

use crate::commands::score::text_of;
use crate::failure::{Blame, Outcome, data};
use crate::ingest::Orders;
use crate::model_data::Loaded;
use crate::verdicts::{Decided, Judge};
use crate::{input, output};

/// Reasons of a record.
const N_REASONS: usize = 3;
/// The largest model that is read.
const MAX_BYTES: u64 = 1 << 30;

/// What is needed to write records.
pub(crate) struct Records {
    path: PathBuf,
    model: String,
    scorer: Scorer,
    /// None where the model cannot give reasons.
    reasoner: Option<Reasoner>,
    shadow: Option<Shadow>,
    /// Orders, events and labels that the state had learned before.
    position: (u64, u64, u64),
}

/// A second model that is judged on the same rows.
pub(crate) struct Shadow {
    pub(crate) id: String,
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
            scorer: loaded.scorer.clone(),
            reasoner: Reasoner::compile(&loaded.model).ok(),
            shadow,
            position: (position.n_orders, position.n_events, position.n_labels),
        })
    }

    /// Adds the file of records to those that are to be published; `-` is standard output. Says where the log stands then.
    pub(crate) fn stage(
        &self,
        orders: &Orders,
        matrix: &Matrix,
        decided: &[Option<Decided>],
        judge: &Judge<'_>,
        files: &mut output::Staged,
    ) -> Outcome<(u64, String)> {
        let last = Cell::new(Chain::default());
        let content = |file: &mut dyn Write| {
            last.set(self.write(orders, matrix, decided, judge, file)?);
            Ok(())
        };
        if self.path == Path::new("-") {
            output::print_with(content)?;
        } else {
            files.add_with(&self.path, |file| content(file))?;
        }
        let last = last.take();
        let (number, hash) = last.last();
        Ok((number, hash.to_owned()))
    }

    /// Accepted orders in canonical order, each as if those before it had been learned; then the rows that could not be read, in
    /// the order of the input.
    fn write(
        &self,
        orders: &Orders,
        matrix: &Matrix,
        decided: &[Option<Decided>],
        judge: &Judge<'_>,
        file: &mut dyn Write,
    ) -> io::Result<Chain> {
        let id = orders.schema.find(Role::Id);
        let has_time = orders.schema.find(Role::Time).is_some();
        let mut chain = Chain::default();
        let mut row = vec![0.0; matrix.n_features()];
        let (mut scratch, mut line) = (ReasonScratch::default(), String::new());
        let (n_orders, n_events, n_labels) = self.position;
        for (at, &place) in orders.rows.row.iter().enumerate() {
            let Some(Decided { score, decision, ground }) = decided[place as usize] else { continue };
            matrix.copy_row(at, &mut row);
            let reasons = self.reasons(&row, &score, decision, &mut scratch);
            let record = Record {
                order: id.map_or("", |column| text_of(&orders.outcome.table.columns[column], place as usize)),
                time: has_time.then(|| orders.rows.time[at]),
                model: &self.model,
                position: (n_orders + at as u64, n_events, n_labels),
                score: Some(score),
                threshold: Some(self.scorer.bound(score.raw_score)),
                decision,
                ground: judge.ground_name(ground),
                reasons: &reasons,
                shadow: self.shadow.as_ref().map(|shadow| (shadow.id.as_str(), shadow.score(&row))),
                row: &row,
                error: None,
            };
            line.clear();
            chain.write(&record, &mut line);
            file.write_all(line.as_bytes())?;
        }
        let ground = judge.ground_name(Ground::Unreadable);
        for error in unread(orders) {
            let record = Record {
                order: "",
                time: None,
                model: &self.model,
                position: (n_orders + orders.len() as u64, n_events, n_labels),
                score: None,
                threshold: None,
                decision: judge.unread(),
                ground,
                reasons: &[],
                shadow: None,
                row: &[],
                error: Some(&error),
            };
            line.clear();
            chain.write(&record, &mut line);
            file.write_all(line.as_bytes())?;
        }
        Ok(chain)
    }

    /// What speaks against an order that is not approved.
    fn reasons(&self, row: &[f32], score: &Score, decision: Decision, scratch: &mut ReasonScratch) -> Vec<String> {
        let Some(reasoner) = self.reasoner.as_ref().filter(|_| decision != Decision::Approve) else {
            return Vec::new();
        };
        let Ok(reasons) = reasoner.reasons(row, score.raw_score, scratch) else { return Vec::new() };
        let against = reasons.iter().take_while(|reason| reason.log_odds > 0.0).take(N_REASONS);
        against.map(|reason| reasoner.text(reason, row, Language::English)).collect()
    }
}

/// Where each row of orders stands that could not be read, and why where that is kept.
fn unread(orders: &Orders) -> impl Iterator<Item = String> + '_ {
    let rejections = &orders.outcome.rejections;
    let why: BTreeMap<(u32, u64), String> =
        rejections.first.iter().map(|rejection| ((rejection.source, rejection.line), rejection.to_string())).collect();
    let of_orders = |&&(source, _): &&(u32, u64)| !orders.outcome.is_events[source as usize];
    rejections.places.iter().filter(of_orders).map(move |&(source, line)| {
        let file = &orders.outcome.files[source as usize];
        match why.get(&(source, line)) {
            Some(why) => format!("{file}: {why}"),
            None => format!("{file}: line {line}"),
        }
    })
}

impl Shadow {
    pub(crate) fn new(path: &Path, model: &Model) -> Outcome<Self> {
        let shadow = Model::from_bytes(&input::read(path, MAX_BYTES)?)
            .or_else(|error| data(format_args!("{}: {error}", path.display())))?;
        let columns =
            shadow_columns(model, &shadow).or_else(|error| data(format_args!("{}: {error}", path.display())))?;
        let scorer = Scorer::compile(&shadow).bad_data()?;
        Ok(Self { id: model_id(&shadow), scorer, columns })
    }

    pub(crate) fn score(&self, row: &[f32]) -> Score {
        let own: Vec<f32> = self.columns.iter().map(|&at| row[at as usize]).collect();
        self.scorer.score(&own).expect("one column for each of its features")
    }
}
