//! What training rows were to a model: rows per node, mean contributions and quantiles of the raw score. Reasons are measured against
//! it; scoring does without.

use orderguard_features::matrix::Matrix;

use crate::engine::ColumnRanker;
use crate::engine::Width;
use crate::error::{ModelError, ScoreError};
use crate::explain::additive;
use crate::model::{Forest, Node, Predictor};
use crate::reference::N_QUANTILES;
use crate::scorer::{BatchScratch, RawScorer};
use crate::wide::{WideForest, WideNode, WideTree};

/// Most rows that [`of`] counts: the share of a node with one row in a hundred is then known to a thirteenth of itself, and counting takes
/// milliseconds.
pub const MAX_ROWS: usize = 1 << 14;

/// Training rows as a model sees them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Background {
    /// Rows that were counted; 0 where nobody counted, and then the rest is empty.
    pub n_rows: u32,
    /// Of trees: how many rows reached each node of each tree; empty for other kinds.
    pub node_rows: Vec<Vec<u32>>,
    /// Of other kinds: the mean of what each feature adds to the raw score, in log-odds; empty for trees.
    pub means: Vec<f64>,
    /// Quantiles 0.05, 0.10, ... 0.95 of the raw scores, by rank as in [`crate::reference::of_feature`].
    pub scores: Vec<f64>,
}

/// The background of a predictor from the given rows of a matrix, of [`MAX_ROWS`] of them evenly spaced where there are more.
///
/// O(rows x (nodes on the way + features)).
///
/// # Errors
/// If the predictor contradicts itself, or the matrix has another width.
///
/// # Panics
/// If a row is outside of the matrix: a caller's bug.
pub fn of(predictor: &Predictor, matrix: &Matrix, rows: &[u32]) -> Result<Background, ModelError> {
    let scorer = RawScorer::compile(predictor)?;
    let n_features = scorer.n_features();
    if matrix.n_features() != n_features {
        let (found, expected) = (matrix.n_features() as u64, n_features as u64);
        return Err(ModelError::Length { of: "columns of the matrix".into(), found, expected });
    }
    if rows.is_empty() {
        return Ok(Background::default());
    }
    let n = rows.len().min(MAX_ROWS);
    let drawn: Vec<u32> = (0..n).map(|i| rows[(i as u64 * rows.len() as u64 / n as u64) as usize]).collect();
    let mut scores = vec![0.0; n];
    match scorer.raw_scores_into(matrix, &drawn, &mut scores, &mut BatchScratch::default()) {
        Ok(()) => {}
        Err(ScoreError::RowOutOfRange { row, n_rows }) => panic!("row {row} is outside of a matrix of {n_rows} rows"),
        Err(_) => unreachable!("widths and lengths agree"),
    }
    let (node_rows, means) = match predictor {
        Predictor::Gbt(forest) => (node_rows(forest, matrix, &drawn), Vec::new()),
        other => (Vec::new(), means(other, n_features, matrix, &drawn)),
    };
    scores.sort_unstable_by(f64::total_cmp);
    let quantile = |i: usize| scores[(i * n).div_ceil(N_QUANTILES + 1) - 1];
    let scores = (1..=N_QUANTILES).map(quantile).collect();
    Ok(Background { n_rows: n as u32, node_rows, means, scores })
}

/// Rows that are ranked before they walk, and rows that walk side by side.
const BLOCK: usize = 256;
const SIDE_BY_SIDE: usize = 8;

/// A node to walk by: a leaf leads to itself, so that rows of a tree may walk equally many steps.
#[derive(Clone, Copy, Debug)]
struct Step {
    column: u32,
    rank: u8,
    children: [u32; 2],
}

/// Rows walk a tree together, without a branch that depends on them; what reached a leaf is added up towards the root.
fn node_rows(forest: &Forest, matrix: &Matrix, rows: &[u32]) -> Vec<Vec<u32>> {
    let wide = WideForest::from(forest);
    let (ranker, places) = ColumnRanker::new(&wide);
    let trees: Vec<(Vec<Step>, usize)> =
        wide.trees.iter().zip(&places).map(|(tree, places)| steps(tree, places)).collect();
    let mut counts: Vec<Vec<u32>> = wide.trees.iter().map(|tree| vec![0; tree.nodes.len()]).collect();
    let mut narrow = vec![0.0f32; matrix.n_features()];
    let mut row = vec![0.0f64; matrix.n_features()];
    let (width, mut bytes) = (Width::best(), Vec::new());
    let mut block: Vec<u8> = Vec::new();
    for rows in rows.chunks(BLOCK) {
        block.clear();
        for &at in rows {
            matrix.copy_row(at as usize, &mut narrow);
            for (wide, &x) in row.iter_mut().zip(&narrow) {
                *wide = f64::from(x);
            }
            ranker.rank(width, &row, &mut bytes);
            block.extend(&bytes);
        }
        let stride = bytes.len();
        for ((steps, depth), counts) in trees.iter().zip(&mut counts) {
            for rows in block.chunks(SIDE_BY_SIDE * stride) {
                let mut at = [0; SIDE_BY_SIDE];
                let n = rows.len() / stride;
                for _ in 0..*depth {
                    for (at, row) in at.iter_mut().zip(rows.chunks_exact(stride)) {
                        let step = steps[*at as usize];
                        *at = step.children[usize::from(row[step.column as usize] > step.rank)];
                    }
                }
                at[..n].iter().for_each(|&leaf| counts[leaf as usize] += 1);
            }
        }
    }
    for (counts, tree) in counts.iter_mut().zip(&wide.trees) {
        add_up(counts, tree);
    }
    counts
}

/// The nodes of a tree as steps, and how many lead to its deepest leaf.
fn steps(tree: &WideTree, places: &[(u32, u8)]) -> (Vec<Step>, usize) {
    let mut depths = vec![0; tree.nodes.len()];
    let step = |(at, (node, &(column, rank))): (usize, (&WideNode, &(u32, u8)))| match node.children() {
        Some((left, right)) => Step { column, rank, children: [left, right] },
        None => Step { column: 0, rank: 0, children: [at as u32; 2] },
    };
    for at in 0..tree.nodes.len() {
        if let Some((left, right)) = tree.nodes[at].children() {
            // Children stand behind their parent.
            depths[left as usize] = depths[at] + 1;
            depths[right as usize] = depths[at] + 1;
        }
    }
    let steps = tree.nodes.iter().zip(places).enumerate().map(step).collect();
    (steps, depths.into_iter().max().unwrap_or(0))
}

/// From the counts of leaves those of all nodes.
fn add_up(counts: &mut [u32], tree: &WideTree) {
    for at in (0..counts.len()).rev() {
        if let Some((left, right)) = tree.nodes[at].children() {
            counts[at] = counts[left as usize] + counts[right as usize];
        }
    }
}

fn means(predictor: &Predictor, n_features: usize, matrix: &Matrix, rows: &[u32]) -> Vec<f64> {
    let mut sums = vec![0.0; n_features];
    let mut row = vec![0.0; n_features];
    let mut parts = vec![0.0; n_features];
    for &at in rows {
        matrix.copy_row(at as usize, &mut row);
        additive(predictor, &row, &mut parts);
        for (sum, part) in sums.iter_mut().zip(&parts) {
            *sum += part;
        }
    }
    sums.iter().map(|sum| sum / rows.len() as f64).collect()
}

/// Checks a background against its predictor, with the length of a row.
pub(crate) fn check(background: &Background, predictor: &Predictor, n_features: usize) -> Result<(), ModelError> {
    let length = |of: String, found: usize, expected: usize| {
        let (found, expected) = (found as u64, expected as u64);
        if found == expected { Ok(()) } else { Err(ModelError::Length { of, found, expected }) }
    };
    let known = background.n_rows > 0;
    let expect = |n: usize| if known { n } else { 0 };
    let value = |place: String, field, found: f64, expected| ModelError::Value { place, field, found, expected };
    length("background: scores".into(), background.scores.len(), expect(N_QUANTILES))?;
    let sorted = background.scores.is_sorted() && background.scores.iter().all(|score| score.is_finite());
    if !sorted {
        let found = background.scores.iter().copied().find(|score| !score.is_finite()).unwrap_or(f64::NAN);
        return Err(value("background".into(), "scores", found, "finite numbers in ascending order"));
    }
    let Predictor::Gbt(forest) = predictor else {
        length("background: trees".into(), background.node_rows.len(), 0)?;
        length("background: means".into(), background.means.len(), expect(n_features))?;
        return match background.means.iter().find(|mean| !mean.is_finite()) {
            Some(&mean) => Err(value("background".into(), "means", mean, "finite numbers")),
            None => Ok(()),
        };
    };
    length("background: means".into(), background.means.len(), 0)?;
    length("background: trees".into(), background.node_rows.len(), expect(forest.trees.len()))?;
    for (i, (rows, tree)) in background.node_rows.iter().zip(&forest.trees).enumerate() {
        length(format!("background: nodes of tree {i}"), rows.len(), tree.nodes.len())?;
        if rows[0] != background.n_rows {
            return Err(value(format!("background, tree {i}"), "rows", f64::from(rows[0]), "all rows at the root"));
        }
        for (at, node) in tree.nodes.iter().enumerate() {
            let (Node::Numeric { left, right, .. } | Node::Categorical { left, right, .. }) = *node else { continue };
            let sum = u64::from(rows[left as usize]) + u64::from(rows[right as usize]);
            if sum != u64::from(rows[at]) {
                let (place, found) = (format!("background, tree {i}, node {at}"), f64::from(rows[at]));
                return Err(value(place, "rows", found, "the sum of its children's"));
            }
        }
    }
    Ok(())
}
