//! Penalised logistic regression by Newton's method: the loss is replaced by its quadratic at the current weights, that is
//! minimised with the penalty, and a line search makes the step safe.
//!
//! Minimises `sum of log losses + lambda * ((1 - l1_ratio) / 2 * |w|^2 + l1_ratio * |w|_1)`; the intercept is free.
//!
//! Without an absolute part the quadratic is minimised by conjugate gradients, which need products with the columns only. They
//! are preconditioned by the Cholesky factor of the quadratic itself, made from a sample of the rows and from blocks of
//! columns, and kept from step to step as long as it serves: a few products are then enough, and a category of hundreds of
//! levels costs no more than one that is 1 in each row. With an absolute part the quadratic of the weights that are not 0, or
//! want to leave 0, is minimised by coordinate descent.
//!
//! Every sum over rows runs in row order within a part and then over the parts in order.
//!
//! # Reference
//! Lin, Weng and Keerthi, "Trust region Newton methods for large-scale logistic regression", JMLR 9, 2008; Lee, Sun and
//! Saunders, "Proximal Newton-type methods for minimizing composite functions", SIAM J. Optim. 24(3), 2014; Friedman, Hastie
//! and Tibshirani, "Regularization paths for generalized linear models via coordinate descent", 2010.

use rayon::prelude::*;

use crate::gram::{Chosen, Drawn, Square, factorise, gram, solve_factorised};
use crate::standardise::{DENSE_LANES, Part, Shape};
use crate::vector::{Kernel, Width};

/// Sufficient decrease of a step (Nocedal and Wright, "Numerical Optimization", 3.1).
const ARMIJO: f64 = 1e-4;
/// Halvings before a step counts as lost in rounding.
const MAX_HALVINGS: u32 = 40;
/// Sweeps of coordinate descent over one quadratic.
const MAX_SWEEPS: u32 = 1_000;
/// Most columns of one Gram matrix: 8 MiB.
const MAX_BLOCK: usize = 1_024;
/// Rows, at least, from which a preconditioner is made where there are that many.
const PRECONDITIONER_ROWS: usize = 32_768;
/// Conjugate gradients stop when the residual, as the preconditioner measures it, is below this share of the first.
const RESIDUAL_SHARE: f64 = 0.02;
/// Most products of one Newton step; a direction that is not finished is still one downhill.
const MAX_PRODUCTS: u32 = 200;
/// After a step of more products the preconditioner is made anew.
const TOO_MANY_PRODUCTS: u32 = 12;

/// Strength and shape of the penalty, and when to stop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) lambda: f64,
    pub(crate) l1_ratio: f64,
    pub(crate) max_iterations: u32,
    /// Stops when a step promises to lower the objective by less than this.
    pub(crate) tolerance: f64,
    /// Whether no weight may be below 0.
    pub(crate) nonnegative: bool,
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
    shape: Shape,
    /// The intercept first.
    pub(crate) weights: Vec<f64>,
    scores: Vec<Vec<f64>>,
    preconditioner: Option<Preconditioner>,
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

/// First and second derivative of the loss by the raw score, per part and row.
struct Bends {
    residuals: Vec<Vec<f64>>,
    curvatures: Vec<Vec<f64>>,
}

impl<'a> Fit<'a> {
    /// All weights zero, the intercept at the log-odds of the fraud share.
    pub(crate) fn new(parts: &'a [Part], shape: Shape, intercept: f64) -> Self {
        let mut weights = vec![0.0; shape.len()];
        weights[0] = intercept;
        let scores = parts.iter().map(|part| vec![intercept; part.labels.len()]).collect();
        Self { parts, shape, weights, scores, preconditioner: None }
    }

    /// Total log loss on the training rows.
    pub(crate) fn loss(&self) -> f64 {
        self.loss_after(0.0, None)
    }

    /// The least absolute penalty that leaves every weight at 0, where all are there and none may fall below.
    pub(crate) fn steepest(&self) -> f64 {
        self.transposed(&self.bends().residuals)[1..].iter().fold(0.0, |most, g| most.max(-g))
    }

    /// Moves to the minimum for this penalty, starting from where the fit stands.
    pub(crate) fn run(&mut self, target: &Target) -> Outcome {
        for n_iterations in 1..=target.max_iterations {
            let sparse = target.l1() > 0.0 || target.nonnegative;
            let promised = if sparse { self.step_sparse(target) } else { self.step_smooth(target) };
            if promised <= target.tolerance {
                return Outcome { n_iterations, converged: true };
            }
        }
        Outcome { n_iterations: target.max_iterations, converged: false }
    }

    /// One step in all weights. Returns how much the quadratic promised to lower the objective.
    fn step_smooth(&mut self, target: &Target) -> f64 {
        let bends = self.bends();
        let mut gradient = self.transposed(&bends.residuals);
        for (g, w) in gradient.iter_mut().zip(&self.weights).skip(1) {
            *g += target.l2() * w;
        }
        let mut preconditioner = match self.preconditioner.take() {
            Some(kept) if kept.n_products <= TOO_MANY_PRODUCTS => kept,
            _ => Preconditioner::new(self.parts, self.shape, &bends.curvatures),
        };
        preconditioner.set_penalty(target.l2());
        let direction = self.minimise(&gradient, &bends.curvatures, target.l2(), &mut preconditioner);
        self.preconditioner = Some(preconditioner);
        self.search(&gradient, &direction, target)
    }

    /// Minimises `gradient . d + d . (X^T C X + l2) . d / 2` by preconditioned conjugate gradients.
    fn minimise(&self, gradient: &[f64], curvatures: &[Vec<f64>], l2: f64, by: &mut Preconditioner) -> Vec<f64> {
        let mut direction = vec![0.0; gradient.len()];
        let mut residual: Vec<f64> = gradient.iter().map(|g| -g).collect();
        let mut z = by.apply(&residual);
        let mut along = z.clone();
        let mut size = dot(&residual, &z);
        let enough = RESIDUAL_SHARE * RESIDUAL_SHARE * size;
        by.n_products = 0;
        while by.n_products < MAX_PRODUCTS && size > enough && size.is_finite() {
            let mut product = self.curved(&along, curvatures);
            for (p, a) in product.iter_mut().zip(&along).skip(1) {
                *p += l2 * a;
            }
            by.n_products += 1;
            let bend = dot(&along, &product);
            // Where rounding has eaten the curvature, what was found so far is the direction.
            if bend.is_nan() || bend <= 0.0 {
                break;
            }
            let t = size / bend;
            for (d, a) in direction.iter_mut().zip(&along) {
                *d += t * a;
            }
            for (r, p) in residual.iter_mut().zip(&product) {
                *r -= t * p;
            }
            z = by.apply(&residual);
            let next = dot(&residual, &z);
            let keep = next / size;
            for (a, z) in along.iter_mut().zip(&z) {
                *a = z + keep * *a;
            }
            size = next;
        }
        direction
    }

    /// One round of steps in the weights that are not 0 or want to leave it, in blocks where they are many.
    fn step_sparse(&mut self, target: &Target) -> f64 {
        let gradient = self.transposed(&self.bends().residuals);
        let pull = |j: usize| if target.nonnegative { -gradient[j] } else { gradient[j].abs() };
        let in_use = |j: &usize| *j == 0 || self.weights[*j] != 0.0 || pull(*j) > target.l1();
        let working: Vec<usize> = (0..self.weights.len()).filter(in_use).collect();
        working.chunks(MAX_BLOCK).map(|columns| self.step_sparse_in(columns, target)).sum()
    }

    fn step_sparse_in(&mut self, columns: &[usize], target: &Target) -> f64 {
        let bends = self.bends();
        let mut gradient = self.transposed(&bends.residuals);
        for (g, w) in gradient.iter_mut().zip(&self.weights).skip(1) {
            *g += target.l2() * w;
        }
        let drawn = Drawn { parts: self.parts, weights: &bends.curvatures, stride: 1 };
        let mut hessian = gram(&Chosen::new(self.shape, columns), &drawn);
        for (j, &column) in columns.iter().enumerate() {
            // Keeps the system solvable when the rows no longer bend the loss (all scores saturated, columns duplicated).
            let ridge = hessian.diagonal(j) * 1e-12 + 1e-12;
            hessian.add_to_diagonal(j, ridge + if column == 0 { 0.0 } else { target.l2() });
        }
        hessian.mirror();
        let of = |all: &[f64]| -> Vec<f64> { columns.iter().map(|&column| all[column]).collect() };
        let found = descend_coordinates(&of(&gradient), &hessian, &of(&self.weights), columns[0] == 0, target);
        let mut direction = vec![0.0; self.weights.len()];
        for (&column, d) in columns.iter().zip(found) {
            direction[column] = d;
        }
        self.search(&gradient, &direction, target)
    }

    /// Moves along a direction as far as the objective falls as promised; `gradient` includes the square part of the penalty.
    fn search(&mut self, gradient: &[f64], direction: &[f64], target: &Target) -> f64 {
        let weights = &self.weights;
        let l1_change = |t: f64| -> f64 {
            if target.l1() == 0.0 {
                return 0.0;
            }
            let change = |(w, d): (&f64, &f64)| (w + t * d).abs() - w.abs();
            weights.iter().zip(direction).skip(1).map(change).sum::<f64>() * target.l1()
        };
        let slope = dot(gradient, direction) + l1_change(1.0);
        if !(slope < 0.0 && slope.is_finite()) {
            return 0.0;
        }
        let moves = self.product(direction);
        let before = self.loss();
        let along = dot(&weights[1..], &direction[1..]);
        let square = dot(&direction[1..], &direction[1..]);
        let mut t = 1.0;
        for _ in 0..MAX_HALVINGS {
            let penalty_change = target.l2() * (t * along + 0.5 * t * t * square) + l1_change(t);
            if self.loss_after(t, Some(&moves)) - before + penalty_change <= ARMIJO * t * slope {
                for (weight, d) in self.weights.iter_mut().zip(direction) {
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

    fn bends(&self) -> Bends {
        let of_part = |(part, scores): (&Part, &Vec<f64>)| -> (Vec<f64>, Vec<f64>) {
            let of_row = |(&score, &label): (&f64, &u8)| {
                let probability = sigmoid(score);
                (probability - f64::from(label), probability * (1.0 - probability))
            };
            scores.iter().zip(&part.labels).map(of_row).unzip()
        };
        let (residuals, curvatures) = self.parts.par_iter().zip(&self.scores).map(of_part).unzip();
        Bends { residuals, curvatures }
    }

    /// Training loss after moving `t` along `moves`.
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

    /// `X v`: how the raw scores move along a direction.
    fn product(&self, v: &[f64]) -> Vec<Vec<f64>> {
        let dense = self.padded(v);
        let width = Width::best();
        self.parts.par_iter().map(|part| width.run(Product { part, v, dense: &dense })).collect()
    }

    /// `X^T r`.
    fn transposed(&self, r: &[Vec<f64>]) -> Vec<f64> {
        let width = Width::best();
        let of_part = |(part, r): (&Part, &Vec<f64>)| width.run(Transposed { part, r, shape: self.shape });
        self.add_up(self.parts.par_iter().zip(r).map(of_part).collect())
    }

    /// `X^T C X v`, in one pass over the rows.
    fn curved(&self, v: &[f64], curvatures: &[Vec<f64>]) -> Vec<f64> {
        let dense = self.padded(v);
        let width = Width::best();
        let of_part = |(part, curvatures): (&Part, &Vec<f64>)| {
            width.run(Curved { part, v, dense: &dense, curvatures, shape: self.shape })
        };
        self.add_up(self.parts.par_iter().zip(curvatures).map(of_part).collect())
    }

    /// The dense part of a vector over all columns, padded as rows are.
    fn padded(&self, v: &[f64]) -> Vec<f64> {
        let mut dense = v[1..=self.shape.n_dense].to_vec();
        dense.resize(self.shape.padded(), 0.0);
        dense
    }

    fn add_up(&self, parts: Vec<Sums>) -> Vec<f64> {
        let mut total = vec![0.0; self.shape.len()];
        for sums in parts {
            total[0] += sums.intercept;
            for (t, s) in total[1..=self.shape.n_dense].iter_mut().zip(&sums.dense) {
                *t += s;
            }
            for (t, s) in total[1 + self.shape.n_dense..].iter_mut().zip(&sums.indicators) {
                *t += s;
            }
        }
        total
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Sums over the rows of a part, per column; `dense` is padded.
struct Sums {
    intercept: f64,
    dense: Vec<f64>,
    indicators: Vec<f64>,
}

impl Sums {
    fn zero(shape: Shape) -> Self {
        Self { intercept: 0.0, dense: vec![0.0; shape.padded()], indicators: vec![0.0; shape.n_indicators] }
    }

    /// Adds `r` times row `i`.
    #[inline(always)]
    fn add(&mut self, part: &Part, i: usize, r: f64, first_indicator: usize) {
        self.intercept += r;
        for (sum, &x) in self.dense.iter_mut().zip(part.dense(i)) {
            *sum += r * f64::from(x);
        }
        for &column in part.active(i) {
            self.indicators[column as usize - first_indicator] += r;
        }
    }
}

/// Row `i` times a vector; lanes are added in a fixed order, whatever the width of registers.
#[inline(always)]
fn row_product(part: &Part, i: usize, v: &[f64], dense: &[f64]) -> f64 {
    let mut lanes = [0.0; DENSE_LANES];
    let (x, _) = part.dense(i).as_chunks::<DENSE_LANES>();
    let (d, _) = dense.as_chunks::<DENSE_LANES>();
    for (x, d) in x.iter().zip(d) {
        for lane in 0..DENSE_LANES {
            lanes[lane] += f64::from(x[lane]) * d[lane];
        }
    }
    let mut sum = v[0] + lanes.iter().sum::<f64>();
    for &column in part.active(i) {
        sum += v[column as usize];
    }
    sum
}

struct Product<'a> {
    part: &'a Part,
    v: &'a [f64],
    dense: &'a [f64],
}

impl Kernel for Product<'_> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn run(self) -> Vec<f64> {
        let mut out = Vec::with_capacity(self.part.labels.len());
        for i in 0..self.part.labels.len() {
            out.push(row_product(self.part, i, self.v, self.dense));
        }
        out
    }
}

struct Transposed<'a> {
    part: &'a Part,
    r: &'a [f64],
    shape: Shape,
}

impl Kernel for Transposed<'_> {
    type Output = Sums;

    #[inline(always)]
    fn run(self) -> Sums {
        let mut sums = Sums::zero(self.shape);
        for (i, &r) in self.r.iter().enumerate() {
            sums.add(self.part, i, r, 1 + self.shape.n_dense);
        }
        sums
    }
}

struct Curved<'a> {
    part: &'a Part,
    v: &'a [f64],
    dense: &'a [f64],
    curvatures: &'a [f64],
    shape: Shape,
}

impl Kernel for Curved<'_> {
    type Output = Sums;

    #[inline(always)]
    fn run(self) -> Sums {
        let mut sums = Sums::zero(self.shape);
        for (i, &curvature) in self.curvatures.iter().enumerate() {
            let r = curvature * row_product(self.part, i, self.v, self.dense);
            sums.add(self.part, i, r, 1 + self.shape.n_dense);
        }
        sums
    }
}

/// Factors of the quadratic's blocks on the diagonal, without what lies between blocks.
struct Preconditioner {
    blocks: Vec<Block>,
    l2: Option<f64>,
    /// Products that the last step took.
    n_products: u32,
}

struct Block {
    first: usize,
    /// Without the penalty.
    gram: Square,
    factor: Square,
}

impl Preconditioner {
    fn new(parts: &[Part], shape: Shape, curvatures: &[Vec<f64>]) -> Self {
        let n_rows: usize = parts.iter().map(|part| part.labels.len()).sum();
        let n_columns = shape.len();
        let enough = PRECONDITIONER_ROWS.max(16 * n_columns.min(MAX_BLOCK));
        let stride = (n_rows / enough).max(1);
        let columns: Vec<usize> = (0..n_columns).collect();
        let blocks = columns
            .chunks(MAX_BLOCK)
            .map(|columns| {
                let drawn = Drawn { parts, weights: curvatures, stride };
                let gram = gram(&Chosen::new(shape, columns), &drawn);
                Block { first: columns[0], gram, factor: Square { n: 0, cells: Vec::new() } }
            })
            .collect();
        Self { blocks, l2: None, n_products: 0 }
    }

    fn set_penalty(&mut self, l2: f64) {
        if self.l2 == Some(l2) {
            return;
        }
        self.l2 = Some(l2);
        for block in &mut self.blocks {
            block.factor = Square { n: block.gram.n, cells: block.gram.cells.clone() };
            for j in 0..block.gram.n {
                // The first share keeps the factor finite when the rows no longer bend the loss.
                let ridge = block.gram.diagonal(j) * 1e-9 + 1e-12;
                block.factor.add_to_diagonal(j, ridge + if block.first + j == 0 { 0.0 } else { l2 });
            }
            factorise(&mut block.factor);
        }
    }

    fn apply(&self, r: &[f64]) -> Vec<f64> {
        let mut z = r.to_vec();
        for block in &self.blocks {
            solve_factorised(&block.factor, &mut z[block.first..block.first + block.factor.n]);
        }
        z
    }
}

/// Minimises `gradient . d + d . hessian . d / 2 + l1 * |weights + d|_1` by cyclic coordinate descent; the first weight has no
/// penalty where it is the intercept.
fn descend_coordinates(
    gradient: &[f64],
    hessian: &Square,
    weights: &[f64],
    has_intercept: bool,
    target: &Target,
) -> Vec<f64> {
    let n = gradient.len();
    let l1 = target.l1();
    let mut d = vec![0.0; n];
    let mut slope = gradient.to_vec();
    let mut update = |j: usize| -> f64 {
        let h = hessian.diagonal(j);
        let is_free = has_intercept && j == 0;
        let old = weights[j] + d[j];
        let free = old - slope[j] / h;
        let new = if is_free {
            free
        } else if target.nonnegative {
            (free - l1 / h).max(0.0)
        } else {
            (free.abs() - l1 / h).max(0.0).copysign(free)
        };
        let change = new - old;
        if change == 0.0 {
            return 0.0;
        }
        // A weight that returns to zero must be exactly zero, so the sum is not built up from changes.
        d[j] = new - weights[j];
        for (s, h) in slope.iter_mut().zip(hessian.row(j)) {
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
    fn coordinate_descent_meets_cholesky_when_the_absolute_part_vanishes() {
        let hessian = Square { n: 3, cells: vec![4.0, 2.0, 0.6, 2.0, 5.0, 1.0, 0.6, 1.0, 3.0] };
        let gradient = [1.0, -2.0, 0.5];
        let target = Target { lambda: 1e-14, l1_ratio: 1.0, max_iterations: 1, tolerance: 1e-20, nonnegative: false };
        let by_descent = descend_coordinates(&gradient, &hessian, &[0.0, 0.3, -0.2], true, &target);
        let mut factor = Square { n: 3, cells: hessian.cells.clone() };
        factorise(&mut factor);
        let mut by_cholesky: Vec<f64> = gradient.iter().map(|g| -g).collect();
        solve_factorised(&factor, &mut by_cholesky);
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
