//! Proximal Newton for penalised logistic regression: the loss is replaced by its quadratic at the current weights, that
//! is minimised with the penalty, and a line search makes the step safe.
//!
//! Minimises `sum of log losses + lambda * ((1 - l1_ratio) / 2 * |w|^2 + l1_ratio * |w|_1)`; the intercept is free. Where
//! there are more columns than one Gram matrix should hold, the blocks take turns (block coordinate descent; the intercept
//! moves with each). Without an absolute part the quadratic is solved by Cholesky, with it by coordinate descent.
//! Every sum over rows runs in row order within a part and then over the parts in order.
//!
//! # Reference
//! Lee, Sun and Saunders, "Proximal Newton-type methods for minimizing composite functions", SIAM J. Optim. 24(3), 2014;
//! Friedman, Hastie and Tibshirani, "Regularization paths for generalized linear models via coordinate descent", 2010.

use rayon::prelude::*;

use crate::standardise::{BlockShape, Part, PartBlock};

/// Sufficient decrease of a step (Nocedal and Wright, "Numerical Optimization", 3.1).
const ARMIJO: f64 = 1e-4;
/// Halvings before a step counts as lost in rounding.
const MAX_HALVINGS: u32 = 40;
/// Sweeps of coordinate descent over one quadratic.
const MAX_SWEEPS: u32 = 1_000;

/// Strength and shape of the penalty, and when to stop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) lambda: f64,
    pub(crate) l1_ratio: f64,
    pub(crate) max_iterations: u32,
    /// Stops when one round of all blocks promises to lower the objective by less than this.
    pub(crate) tolerance: f64,
}

impl Target {
    fn l1(&self) -> f64 {
        self.lambda * self.l1_ratio
    }

    fn l2(&self) -> f64 {
        self.lambda * (1.0 - self.l1_ratio)
    }
}

/// The state of a fit: weights and the raw scores that belong to them.
pub(crate) struct Fit<'a> {
    parts: &'a [Part],
    shapes: &'a [BlockShape],
    /// Per block; column 0 is not used, see `intercept`.
    pub(crate) weights: Vec<Vec<f64>>,
    pub(crate) intercept: f64,
    scores: Vec<Vec<f64>>,
}

/// How a fit ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) n_iterations: u32,
    pub(crate) converged: bool,
}

/// `log(1 + exp(x))` without overflow or cancellation.
pub(crate) fn softplus(x: f64) -> f64 {
    if x > 0.0 { x + libm::log1p(libm::exp(-x)) } else { libm::log1p(libm::exp(x)) }
}

/// `1 / (1 + exp(-x))` without overflow.
pub(crate) fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + libm::exp(-x))
    } else {
        let e = libm::exp(x);
        e / (1.0 + e)
    }
}

/// Log loss of one order with this raw score.
pub(crate) fn log_loss(score: f64, label: u8) -> f64 {
    softplus(if label == 1 { -score } else { score })
}

/// Gradient and Hessian of the unpenalised loss by the weights of one block, intercept first.
struct Quadratic {
    gradient: Vec<f64>,
    /// Row-major; while it is summed, dense pairs stand above the diagonal and pairs with an indicator below it.
    hessian: Vec<f64>,
}

impl<'a> Fit<'a> {
    /// All weights zero, the intercept at the log-odds of the fraud share.
    pub(crate) fn new(parts: &'a [Part], shapes: &'a [BlockShape], intercept: f64) -> Self {
        Self {
            parts,
            shapes,
            weights: shapes.iter().map(|shape| vec![0.0; shape.len()]).collect(),
            intercept,
            scores: parts.iter().map(|part| vec![intercept; part.labels.len()]).collect(),
        }
    }

    /// Total log loss on the training rows.
    pub(crate) fn loss(&self) -> f64 {
        self.loss_after(0.0, None)
    }

    /// Moves to the minimum for this penalty, starting from where the fit stands.
    pub(crate) fn run(&mut self, target: &Target) -> Outcome {
        for n_iterations in 1..=target.max_iterations {
            let mut promised = 0.0;
            for block in 0..self.shapes.len() {
                promised += self.step(block, target);
            }
            if promised <= target.tolerance {
                return Outcome { n_iterations, converged: true };
            }
        }
        Outcome { n_iterations: target.max_iterations, converged: false }
    }

    /// One step in one block. Returns how much the quadratic promised to lower the objective.
    fn step(&mut self, block: usize, target: &Target) -> f64 {
        let Quadratic { mut gradient, mut hessian } = self.quadratic(block);
        let n = gradient.len();
        let weights = &self.weights[block];
        for j in 1..n {
            gradient[j] += target.l2() * weights[j];
            hessian[j * n + j] += target.l2();
        }
        // Keeps the system solvable when the rows no longer bend the loss (all scores saturated, columns duplicated).
        for j in 0..n {
            hessian[j * n + j] = hessian[j * n + j] * (1.0 + 1e-12) + 1e-12;
        }
        let direction = if target.l1() > 0.0 {
            descend_coordinates(&gradient, &hessian, weights, target)
        } else {
            solve_cholesky(&gradient, &mut hessian)
        };
        let l1_change = |t: f64| -> f64 {
            (1..n).map(|j| (weights[j] + t * direction[j]).abs() - weights[j].abs()).sum::<f64>() * target.l1()
        };
        let slope = (0..n).map(|j| gradient[j] * direction[j]).sum::<f64>() + l1_change(1.0);
        if !(slope < 0.0 && slope.is_finite()) {
            return 0.0;
        }
        let moves = self.project(block, &direction);
        let before = self.loss();
        let along = (1..n).map(|j| weights[j] * direction[j]).sum::<f64>();
        let square = (1..n).map(|j| direction[j] * direction[j]).sum::<f64>();
        let mut t = 1.0;
        for _ in 0..MAX_HALVINGS {
            let penalty_change = target.l2() * (t * along + 0.5 * t * t * square) + l1_change(t);
            if self.loss_after(t, Some(&moves)) - before + penalty_change <= ARMIJO * t * slope {
                self.intercept += t * direction[0];
                for (weight, d) in self.weights[block].iter_mut().zip(&direction).skip(1) {
                    *weight += t * d;
                }
                self.scores.par_iter_mut().zip(&moves).for_each(|(scores, moves)| {
                    for (score, m) in scores.iter_mut().zip(moves) {
                        *score += t * m;
                    }
                });
                return -slope;
            }
            t *= 0.5;
        }
        // What is left to gain is below the rounding of the sums.
        0.0
    }

    fn quadratic(&self, block: usize) -> Quadratic {
        let shape = self.shapes[block];
        let sums: Vec<Quadratic> = self
            .parts
            .par_iter()
            .zip(&self.scores)
            .map(|(part, scores)| sum_part(shape, &part.blocks[block], &part.labels, scores))
            .collect();
        let mut sums = sums.into_iter();
        let mut total = sums.next().expect("a fit has at least one row of each class, so at least one part");
        for part in sums {
            add(&mut total.gradient, &part.gradient);
            add(&mut total.hessian, &part.hessian);
        }
        let n = shape.len();
        for i in 0..n {
            for j in 0..i {
                let both = total.hessian[i * n + j] + total.hessian[j * n + i];
                total.hessian[i * n + j] = both;
                total.hessian[j * n + i] = both;
            }
        }
        total
    }

    /// How the raw scores move along a direction in one block.
    fn project(&self, block: usize, direction: &[f64]) -> Vec<Vec<f64>> {
        let n_dense = self.shapes[block].n_dense;
        self.parts
            .par_iter()
            .map(|part| {
                let rows = &part.blocks[block];
                (0..part.labels.len())
                    .map(|i| {
                        let dense = &rows.dense[i * n_dense..(i + 1) * n_dense];
                        let mut sum = direction[0];
                        for (&x, d) in dense.iter().zip(&direction[1..]) {
                            sum += f64::from(x) * d;
                        }
                        for &column in rows.active(i) {
                            sum += direction[column as usize];
                        }
                        sum
                    })
                    .collect()
            })
            .collect()
    }

    /// Total log loss after moving `t` along `moves`.
    fn loss_after(&self, t: f64, moves: Option<&[Vec<f64>]>) -> f64 {
        let sums: Vec<f64> = self
            .parts
            .par_iter()
            .zip(&self.scores)
            .enumerate()
            .map(|(p, (part, scores))| {
                let shift = |i: usize| moves.map_or(0.0, |moves| t * moves[p][i]);
                part.labels.iter().enumerate().map(|(i, &label)| log_loss(scores[i] + shift(i), label)).sum()
            })
            .collect();
        sums.iter().sum()
    }
}

fn add(total: &mut [f64], part: &[f64]) {
    for (t, p) in total.iter_mut().zip(part) {
        *t += p;
    }
}

/// Rows whose outer products are added to the Gram matrix in one pass over it.
const LANES: usize = 4;

fn sum_part(shape: BlockShape, rows: &PartBlock, labels: &[u8], scores: &[f64]) -> Quadratic {
    let n = shape.len();
    let n_dense = shape.n_dense + 1;
    let mut gradient = vec![0.0; n];
    let mut hessian = vec![0.0; n * n];
    let mut x: [Vec<f64>; LANES] = std::array::from_fn(|_| vec![0.0; n_dense]);
    for start in (0..labels.len()).step_by(LANES) {
        let mut curvature = [0.0; LANES];
        for lane in 0..LANES {
            let i = start + lane;
            if i >= labels.len() {
                break;
            }
            let probability = sigmoid(scores[i]);
            let residual = probability - f64::from(labels[i]);
            let weight = probability * (1.0 - probability);
            curvature[lane] = weight;
            let x = &mut x[lane];
            x[0] = 1.0;
            for (to, &from) in x[1..].iter_mut().zip(&rows.dense[i * shape.n_dense..]) {
                *to = f64::from(from);
            }
            for (g, x) in gradient.iter_mut().zip(x.iter()) {
                *g += residual * x;
            }
            let active = rows.active(i);
            for (k, &column) in active.iter().enumerate() {
                let column = column as usize;
                gradient[column] += residual;
                let row = &mut hessian[column * n..(column + 1) * n];
                for (h, x) in row[..n_dense].iter_mut().zip(x.iter()) {
                    *h += weight * x;
                }
                for &other in &active[..=k] {
                    row[other as usize] += weight;
                }
            }
        }
        let [x0, x1, x2, x3] = &x;
        for i in 0..n_dense {
            let a = [curvature[0] * x0[i], curvature[1] * x1[i], curvature[2] * x2[i], curvature[3] * x3[i]];
            let row = &mut hessian[i * n + i..i * n + n_dense];
            for ((((h, x0), x1), x2), x3) in row.iter_mut().zip(&x0[i..]).zip(&x1[i..]).zip(&x2[i..]).zip(&x3[i..]) {
                *h += (a[0] * x0 + a[1] * x1) + (a[2] * x2 + a[3] * x3);
            }
        }
    }
    Quadratic { gradient, hessian }
}

/// Solves `hessian * d = -gradient`; `hessian` is overwritten by its factor. A pivot lost to rounding freezes its weight.
fn solve_cholesky(gradient: &[f64], hessian: &mut [f64]) -> Vec<f64> {
    let n = gradient.len();
    let floor = 1e-14 * (0..n).map(|j| hessian[j * n + j]).fold(0.0, f64::max);
    let mut d: Vec<f64> = gradient.iter().map(|g| -g).collect();
    for j in 0..n {
        for i in j..n {
            let (upper, lower) = hessian.split_at(i * n);
            let (row_i, row_j) = (&lower[..j], if i == j { &lower[..j] } else { &upper[j * n..j * n + j] });
            let dot: f64 = row_i.iter().zip(row_j).map(|(a, b)| a * b).sum();
            let value = hessian[i * n + j] - dot;
            hessian[i * n + j] = if i == j {
                if value > floor { value.sqrt() } else { f64::INFINITY }
            } else {
                value / hessian[j * n + j]
            };
        }
    }
    for i in 0..n {
        let dot: f64 = (0..i).map(|j| hessian[i * n + j] * d[j]).sum();
        d[i] = (d[i] - dot) / hessian[i * n + i];
    }
    for i in (0..n).rev() {
        let dot: f64 = (i + 1..n).map(|j| hessian[j * n + i] * d[j]).sum();
        d[i] = (d[i] - dot) / hessian[i * n + i];
    }
    d
}

/// Minimises `gradient . d + d . hessian . d / 2 + l1 * |weights + d|_1` by cyclic coordinate descent.
fn descend_coordinates(gradient: &[f64], hessian: &[f64], weights: &[f64], target: &Target) -> Vec<f64> {
    let n = gradient.len();
    let l1 = target.l1();
    let mut d = vec![0.0; n];
    let mut slope = gradient.to_vec();
    let mut update = |j: usize| -> f64 {
        let h = hessian[j * n + j];
        let old = if j == 0 { d[0] } else { weights[j] + d[j] };
        let free = old - slope[j] / h;
        let new = if j == 0 { free } else { (free.abs() - l1 / h).max(0.0).copysign(free) };
        let change = new - old;
        if change == 0.0 {
            return 0.0;
        }
        // A weight that returns to zero must be exactly zero, so the sum is not built up from changes.
        d[j] = if j == 0 { new } else { new - weights[j] };
        for (s, h) in slope.iter_mut().zip(&hessian[j * n..(j + 1) * n]) {
            *s += change * h;
        }
        0.5 * h * change * change
    };
    let limit = 1e-3 * target.tolerance;
    let mut sweeps = 0;
    while sweeps < MAX_SWEEPS {
        // All weights once, then those that moved until they rest.
        let gains: Vec<f64> = (0..n).map(&mut update).collect();
        sweeps += 1;
        if gains.iter().sum::<f64>() <= limit {
            break;
        }
        let moving: Vec<usize> = (0..n).filter(|&j| gains[j] > 0.0).collect();
        while sweeps < MAX_SWEEPS {
            sweeps += 1;
            if moving.iter().map(|&j| update(j)).sum::<f64>() <= limit {
                break;
            }
        }
    }
    d
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cholesky_solves_and_freezes_lost_pivots() {
        let matrix = [4.0, 2.0, 0.6, 2.0, 5.0, 1.0, 0.6, 1.0, 3.0];
        let gradient = [1.0, -2.0, 0.5];
        let d = solve_cholesky(&gradient, &mut matrix.to_vec());
        for i in 0..3 {
            let back: f64 = (0..3).map(|j| matrix[i * 3 + j] * d[j]).sum();
            assert!((back + gradient[i]).abs() < 1e-12);
        }
        let d = solve_cholesky(&[1.0, 1.0], &mut [1.0, 1.0, 1.0, 1.0]);
        assert_eq!(d, [-1.0, 0.0]);
    }

    #[test]
    fn coordinate_descent_meets_cholesky_when_the_absolute_part_vanishes() {
        let hessian = [4.0, 2.0, 0.6, 2.0, 5.0, 1.0, 0.6, 1.0, 3.0];
        let gradient = [1.0, -2.0, 0.5];
        let target = Target { lambda: 1e-14, l1_ratio: 1.0, max_iterations: 1, tolerance: 1e-20 };
        let by_descent = descend_coordinates(&gradient, &hessian, &[0.0, 0.3, -0.2], &target);
        let by_cholesky = solve_cholesky(&gradient, &mut hessian.to_vec());
        for (a, b) in by_descent.iter().zip(&by_cholesky) {
            assert!((a - b).abs() < 1e-9, "{a} {b}");
        }
    }

    #[test]
    fn stable_at_the_ends() {
        assert_eq!(softplus(800.0), 800.0);
        assert_eq!(softplus(-800.0), 0.0);
        assert_eq!((sigmoid(-800.0), sigmoid(800.0), sigmoid(0.0)), (0.0, 1.0, 0.5));
        assert!((softplus(-700.0) - libm::exp(-700.0)).abs() <= f64::MIN_POSITIVE);
    }
}
