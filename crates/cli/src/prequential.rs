//! Folds that move forward in time: each fit anew on what was known at its moment, and judged by the orders that came next.

use std::collections::BTreeMap;

use orderguard_dataset::split::{Split, SplitInput, SplitOptions, forward_folds};
use orderguard_evaluation::report::{Fold, Folds};
use orderguard_evaluation::{Ranking, entity_precision_at_k_per_day};
use orderguard_features::time::UnixMillis;
use orderguard_inference::RawScorer;

use crate::failure::{Blame, Outcome};
use crate::fit::{self, Fitted};
use crate::learner::Learner;
use crate::measure;
use crate::watch::Watch;

const DAY_MS: i64 = 86_400_000;
/// Length of the daily list, as everywhere.
const DAILY_LIST: usize = 100;

/// Fits and judges `n_folds` folds with the parameters and rounds of a fitted model. They lie before its test part, so what its rounds
/// were chosen on is judged again: the mean flatters by what that choice is worth, the spread does not.
pub(crate) fn run(
    n_folds: u32,
    (input, options, split): (&SplitInput<'_>, &SplitOptions<'_>, &Split),
    learner: &Learner,
    parts: &fit::Parts<'_>,
    fitted: &Fitted,
    watch: &Watch<'_>,
) -> Outcome<Folds> {
    let mut folds = Vec::new();
    for fold in forward_folds(input, options, split, n_folds).bad_data()? {
        let of_fold =
            fit::Parts { train: (&fold.train, &fold.train_label), validation: (&[], &[]), folds: None, ..*parts };
        let (predictor, _) = fit::refit(learner, &of_fold, fitted, watch)?;
        let scorer = RawScorer::compile(&predictor).bad_data()?;
        let raw = measure::raw_scores(&scorer, parts.matrix, &fold.held)?;
        let ranking = Ranking::new(&raw, &fold.held_label).bad_data()?;
        let mut figures: BTreeMap<String, Option<f64>> = [
            ("roc_auc".to_owned(), ranking.roc_auc()),
            ("average_precision".to_owned(), ranking.average_precision()),
            ("recall_at_fpr_0.005".to_owned(), ranking.recall_at_fpr(0.005)),
        ]
        .into();
        let of_rows = |all: &[u64]| -> Vec<u64> { fold.held.iter().map(|&row| all[row as usize]).collect() };
        let times = input.time.map(|time| -> Vec<i64> { fold.held.iter().map(|&row| time[row as usize]).collect() });
        if let Some((entities, times)) = parts.groups.zip(times.as_ref()) {
            let days: Vec<i64> = times.iter().map(|time| time.div_euclid(DAY_MS)).collect();
            let list = entity_precision_at_k_per_day(&raw, &fold.held_label, &of_rows(entities), &days, DAILY_LIST);
            figures.insert("entity_precision_at_k".into(), list.and_then(|list| list.mean));
        }
        let n_fraud = |labels: &[u8]| labels.iter().map(|&label| u64::from(label)).sum();
        let limit = |of: Option<i64>| of.map(|time| UnixMillis(time).into());
        folds.push(Fold {
            test_from: limit(fold.as_of.map(|(from, _)| from)),
            test_until: limit(times.and_then(|times| times.into_iter().max()).map(|last| last + 1)),
            n_train: fold.train.len() as u64,
            n_train_fraud: n_fraud(&fold.train_label),
            n_rows: fold.held.len() as u64,
            n_fraud: n_fraud(&fold.held_label),
            figures,
        });
    }
    Ok(Folds::of(folds))
}
