//! The reference of a model, from the rows that it was made of.

use orderguard_features::language::feature::is_first_seen;
use orderguard_features::language::spec::{FeatureKind, FeatureSpec};
use orderguard_features::matrix::Matrix;

use super::{DriftReference, FeatureBins, MAX_EDGES, ScoreBins};
use crate::error::{ModelError, ScoreError};
use crate::model::Predictor;
use crate::reasons::may_be_first_seen;
use crate::scorer::{BatchScratch, RawScorer};

/// Most rows that are counted: a bin with a tenth of them is known to a sixtieth of itself.
pub const MAX_ROWS: usize = 1 << 15;

/// Shares of the present values below the edges of a numeric feature: tenths.
const TENTHS: [f64; 9] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
/// The same for the score: finer where the frauds are.
const OF_SCORE: [f64; 11] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99];
const _: () = assert!(OF_SCORE.len() <= MAX_EDGES && TENTHS.len() <= MAX_EDGES);

/// Counts the features of `rows` and the raw scores of `score_rows`, rows of a matrix with the columns of `spec`; of more than
/// [`MAX_ROWS`], so many evenly spaced. Without rows the part stays empty.
///
/// O(rows x features x log rows).
///
/// # Errors
/// If the predictor contradicts itself, or the matrix has another width.
///
/// # Panics
/// If a row is outside of the matrix: a caller's bug.
pub fn build(
    spec: &FeatureSpec,
    predictor: &Predictor,
    matrix: &Matrix,
    rows: &[u32],
    score_rows: &[u32],
) -> Result<DriftReference, ModelError> {
    let scorer = RawScorer::compile(predictor)?;
    for (of, found) in [("columns of the matrix", matrix.n_features()), ("rows of the predictor", scorer.n_features())]
    {
        if found != spec.len() {
            return Err(ModelError::Length { of: of.into(), found: found as u64, expected: spec.len() as u64 });
        }
    }
    let drawn = evenly(rows);
    let mut present = Vec::new();
    let features = spec.kinds().into_iter().zip(&spec.features).enumerate().map(|(i, (kind, feature))| {
        let column = matrix.column(i);
        let values = drawn.iter().map(|&row| column[row as usize]);
        match kind {
            FeatureKind::Numeric => numeric(values, may_be_first_seen(feature), &mut present),
            FeatureKind::Categorical { n_levels } => category(values, n_levels),
        }
    });
    let features = if drawn.is_empty() { Vec::new() } else { features.collect() };
    let drawn = evenly(score_rows);
    let mut scores = vec![0.0; drawn.len()];
    match scorer.raw_scores_into(matrix, &drawn, &mut scores, &mut BatchScratch::default()) {
        Ok(()) => {}
        Err(ScoreError::RowOutOfRange { row, n_rows }) => panic!("row {row} is outside of a matrix of {n_rows} rows"),
        Err(_) => unreachable!("widths and lengths agree"),
    }
    scores.sort_unstable_by(f64::total_cmp);
    let score = (!scores.is_empty()).then(|| {
        let edges = edges(&scores, &OF_SCORE);
        let counts = counts(&scores, &edges);
        ScoreBins { edges, counts }
    });
    Ok(DriftReference { features, score })
}

fn evenly(rows: &[u32]) -> Vec<u32> {
    let n = rows.len().min(MAX_ROWS);
    (0..n).map(|i| rows[(i as u64 * rows.len() as u64 / n as u64) as usize]).collect()
}

fn numeric(values: impl Iterator<Item = f32>, may_be_first_seen: bool, present: &mut Vec<f32>) -> FeatureBins {
    let (mut missing, mut first_seen) = (0, 0);
    present.clear();
    for x in values {
        if x.is_nan() {
            missing += 1;
        } else if may_be_first_seen && is_first_seen(x) {
            first_seen += 1;
        } else {
            present.push(x);
        }
    }
    present.sort_unstable_by(f32::total_cmp);
    let edges = edges(present, &TENTHS);
    FeatureBins { counts: counts(present, &edges), edges, first_seen, missing }
}

fn category(values: impl Iterator<Item = f32>, n_levels: u32) -> FeatureBins {
    let mut bins = FeatureBins { counts: vec![0; n_levels as usize + 1], ..FeatureBins::default() };
    for x in values {
        if x.is_nan() {
            bins.missing += 1;
        } else {
            bins.counts[super::count::level(x, n_levels)] += 1;
        }
    }
    bins
}

/// Values of these ranks, each once; not the largest of all, above which nothing would be.
fn edges<T: Copy + PartialOrd + Into<f64>>(sorted: &[T], shares: &[f64]) -> Vec<T> {
    let Some(&largest) = sorted.last() else { return Vec::new() };
    let mut edges: Vec<T> = Vec::with_capacity(shares.len());
    for share in shares {
        let rank = (share * sorted.len() as f64).ceil().max(1.0) as usize - 1;
        let edge = sorted[rank.min(sorted.len() - 1)];
        if edge < largest && edge.into().is_finite() && edges.last().is_none_or(|before| *before < edge) {
            edges.push(edge);
        }
    }
    edges
}

/// How many of the values fall into each bin.
fn counts<T: Copy + PartialOrd>(sorted: &[T], edges: &[T]) -> Vec<u32> {
    let mut before = 0;
    let mut count = |end: usize| {
        let n = (end - before) as u32;
        before = end;
        n
    };
    let ends = edges.iter().map(|edge| sorted.partition_point(|x| x <= edge));
    ends.chain([sorted.len()]).map(&mut count).collect()
}
