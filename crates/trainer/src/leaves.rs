//! New leaf values for an old model: its splits stay, newer orders say what they are worth.

use orderguard_features::matrix::Matrix;
use orderguard_inference::model::{Forest, Node, Tree};
use orderguard_inference::tree::contains;
use rayon::prelude::*;

use crate::boosting::{Extras, FitError};
use crate::numeric::{from_fixed, sigmoid, to_fixed};
use crate::params::CheckedGbtParams;
use crate::samples::Samples;
use crate::start::check;

/// Rows that one task sums.
const TASK_ROWS: usize = 1 << 14;
/// Units of the sums of gradients and hessians: whole numbers, so that neither threads nor the order of rows change a bit.
const UNITS: f64 = 4_294_967_296.0;

/// The same trees with leaf values fitted to `samples`, tree after tree.
///
/// A leaf's step is that of boosting, drawn to its old value with the weight `l2 + leaf_smoothing`: for sums G and H of gradients
/// and hessians and an old step s it is `(weight * s - G) / (weight + H)`. So a leaf that no order reaches keeps its value, and
/// one that many reach forgets it. Of the parameters the learning rate and its decay (those of the model), `l2`,
/// `leaf_smoothing` and `max_leaf_value` are used; of the extras, weights. O(rows * trees * depth).
///
/// # Errors
/// [`FitError::NoRows`], [`FitError::BadStart`], [`FitError::BadWeight`].
///
/// # Panics
/// If the samples and weights disagree about lengths: a caller's bug.
pub fn refit_leaves(
    params: &CheckedGbtParams,
    forest: &Forest,
    samples: &Samples<'_>,
    extras: &Extras<'_>,
) -> Result<Forest, FitError> {
    check(forest, samples.matrix.n_features())?;
    crate::start::scores(&Forest { trees: forest.trees.clone(), ..*forest }, &[])?;
    if samples.is_empty() {
        return Err(FitError::NoRows);
    }
    let weights = extras.weights;
    assert!(weights.is_none_or(|weights| weights.len() == samples.len()), "one weight for each sample");
    if let Some(weights) = weights
        && let Some(sample) = weights.iter().position(|weight| !(0.0..f64::INFINITY).contains(weight))
    {
        return Err(FitError::BadWeight { sample, weight: weights[sample] });
    }
    let mean = weights.map_or(1.0, |weights| weights.iter().sum::<f64>() / samples.len() as f64);
    let weight_of = |i: usize| match weights {
        Some(weights) if mean > 0.0 => weights[i] / mean,
        Some(_) => 0.0,
        None => 1.0,
    };
    let pull = params.l2 + params.leaf_smoothing;
    let mut scores = vec![forest.base; samples.len()];
    let mut leaf_of = vec![0_u32; samples.len()];
    let mut result = forest.clone();
    for (i, tree) in result.trees.iter_mut().enumerate() {
        leaf_of
            .par_iter_mut()
            .zip(samples.rows)
            .for_each(|(leaf, &row)| *leaf = leaf_reached(tree, samples.matrix, row));
        let sums = sum_by_leaf(tree.nodes.len(), &leaf_of, &scores, samples.labels, &weight_of);
        let rate = params.rate_of_round(i + 1);
        for (node, [gradient, hessian]) in tree.nodes.iter_mut().zip(sums) {
            let Node::Leaf { value } = node else { continue };
            let old = from_fixed(i64::from(*value)) / rate;
            let (gradient, hessian) = (gradient as f64 / UNITS, hessian as f64 / UNITS);
            if hessian + pull > 0.0 {
                let step = (pull * old - gradient) / (hessian + pull);
                // A value that was larger may stay so.
                let most = params.max_leaf_value.max(old.abs());
                *value = to_fixed(step.clamp(-most, most) * rate) as i32;
            }
        }
        let nodes = &tree.nodes;
        scores.par_iter_mut().zip(&leaf_of).for_each(|(score, &leaf)| {
            if let Node::Leaf { value } = nodes[leaf as usize] {
                *score += i64::from(value);
            }
        });
    }
    Ok(result)
}

/// The leaf that a row reaches.
fn leaf_reached(tree: &Tree, matrix: &Matrix, row: u32) -> u32 {
    let mut at = 0;
    loop {
        let (goes_left, left, right) = match &tree.nodes[at as usize] {
            Node::Leaf { .. } => return at,
            &Node::Numeric { feature, threshold, missing_left, left, right } => {
                let x = matrix.column(feature as usize)[row as usize];
                (if x.is_nan() { missing_left } else { x <= threshold }, left, right)
            }
            &Node::Categorical { feature, level_set, missing_left, left, right } => {
                let x = matrix.column(feature as usize)[row as usize];
                let inside = || contains(&tree.level_sets[level_set as usize], x);
                (if x.is_nan() { missing_left } else { inside() }, left, right)
            }
        };
        at = if goes_left { left } else { right };
    }
}

/// Gradient and hessian of the samples in each node.
fn sum_by_leaf(
    n_nodes: usize,
    leaf_of: &[u32],
    scores: &[i64],
    labels: &[u8],
    weight_of: &(impl Fn(usize) -> f64 + Sync),
) -> Vec<[i128; 2]> {
    let n_tasks = leaf_of.len().div_ceil(TASK_ROWS);
    let of_task = |mut sums: Vec<[i128; 2]>, task: usize| {
        for i in task * TASK_ROWS..((task + 1) * TASK_ROWS).min(leaf_of.len()) {
            let p = sigmoid(from_fixed(scores[i]));
            let weight = weight_of(i);
            let sum = &mut sums[leaf_of[i] as usize];
            sum[0] += ((p - f64::from(labels[i])) * weight * UNITS).round() as i128;
            sum[1] += (p * (1.0 - p) * weight * UNITS).round() as i128;
        }
        sums
    };
    let zero = || vec![[0_i128; 2]; n_nodes];
    (0..n_tasks).into_par_iter().fold(zero, of_task).reduce(zero, |mut a, b| {
        a.iter_mut().zip(b).for_each(|(a, b)| *a = [a[0] + b[0], a[1] + b[1]]);
        a
    })
}
