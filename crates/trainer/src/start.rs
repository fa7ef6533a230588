//! The scores that a fit goes on from.

use orderguard_features::matrix::Matrix;
use orderguard_inference::model::{Forest, Predictor};
use orderguard_inference::{BatchScratch, RawScorer};
use rayon::prelude::*;

use crate::fit_error::{FitError, StartError};
use crate::numeric::{SCALE_BITS, to_fixed};
use crate::params::CheckedGbtParams;
use crate::samples::Samples;
use crate::thinning::prior_shift;

/// Rows that one task scores.
const TASK_ROWS: usize = 1 << 13;

/// Fixed-point scores of the rows of all parts before any tree is added, among the sampled and weighted orders.
pub(crate) struct Start {
    pub(crate) base: i64,
    pub(crate) scores: Vec<i64>,
}

impl Start {
    pub(crate) fn new(
        params: &CheckedGbtParams,
        n_features: usize,
        forest: Option<&Forest>,
        parts: &[&Samples<'_>],
    ) -> Result<Option<Self>, FitError> {
        let Some(forest) = forest else { return Ok(None) };
        check(forest, n_features)?;
        let shift = prior_shift(params);
        let mut scores = scores(forest, parts)?;
        for score in &mut scores {
            *score -= shift;
        }
        Ok(Some(Self { base: forest.base - shift, scores }))
    }
}

/// Refuses a forest that this library cannot add trees to.
pub(crate) fn check(forest: &Forest, n_features: usize) -> Result<(), FitError> {
    if forest.n_features as usize != n_features {
        let error = StartError::Width { found: forest.n_features, expected: n_features };
        return Err(FitError::BadStart(error));
    }
    if forest.scale_bits != SCALE_BITS {
        return Err(FitError::BadStart(StartError::Unit { found: forest.scale_bits, expected: SCALE_BITS }));
    }
    Ok(())
}

/// Fixed-point scores of all samples, part after part; the bits that scoring gives.
pub(crate) fn scores(forest: &Forest, parts: &[&Samples<'_>]) -> Result<Vec<i64>, FitError> {
    let scorer = RawScorer::compile(&Predictor::Gbt(forest.clone()))
        .map_err(|error| FitError::BadStart(StartError::Broken(error.to_string())))?;
    let mut all = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
    for part in parts {
        all.extend(of_rows(&scorer, part.matrix, part.rows));
    }
    Ok(all)
}

fn of_rows(scorer: &RawScorer, matrix: &Matrix, rows: &[u32]) -> Vec<i64> {
    let mut raw = vec![0.0; rows.len()];
    raw.par_chunks_mut(TASK_ROWS).zip(rows.par_chunks(TASK_ROWS)).for_each(|(raw, rows)| {
        scorer
            .raw_scores_into(matrix, rows, raw, &mut BatchScratch::default())
            .expect("the width was checked, and the rows are the caller's");
    });
    // A score is a whole number of units, below 2^53 of them.
    raw.into_iter().map(to_fixed).collect()
}
