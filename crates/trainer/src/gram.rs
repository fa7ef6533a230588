//! Weighted Gram matrices of chosen columns, and their Cholesky factors.
//!
//! Every element is one sum over rows in their order, computed by one thread, so that no bit depends on how many there are.

use rayon::prelude::*;

use crate::standardise::{Part, Shape};
use crate::vector::{Kernel, Width};

/// Output rows of one job.
const TILE: usize = 32;
/// Rows whose outer products are added in one pass over a tile.
const LANES: usize = 4;
/// Columns that are eliminated together.
const PANEL: usize = 32;

/// A square symmetric matrix, row-major. Of a fresh Gram matrix or factor only the lower triangle means anything.
pub(crate) struct Square {
    pub(crate) n: usize,
    pub(crate) cells: Vec<f64>,
}

impl Square {
    pub(crate) fn diagonal(&self, j: usize) -> f64 {
        self.cells[j * self.n + j]
    }

    pub(crate) fn add_to_diagonal(&mut self, j: usize, x: f64) {
        self.cells[j * self.n + j] += x;
    }

    pub(crate) fn row(&self, j: usize) -> &[f64] {
        &self.cells[j * self.n..(j + 1) * self.n]
    }

    /// Copies the lower triangle to the upper one.
    pub(crate) fn mirror(&mut self) {
        for i in 0..self.n {
            for j in 0..i {
                self.cells[j * self.n + i] = self.cells[i * self.n + j];
            }
        }
    }
}

/// Which columns a Gram matrix is of; its rows and columns stand in this order.
pub(crate) struct Chosen {
    /// Whether the intercept, a column of ones, is the first.
    has_intercept: bool,
    /// Positions of dense values in a row.
    dense: Vec<u32>,
    /// For each indicator its row in the matrix, `NOT_CHOSEN` for others.
    local: Vec<u32>,
    n: usize,
    first_indicator: usize,
}

const NOT_CHOSEN: u32 = u32::MAX;

impl Chosen {
    /// `columns` ascending, 0 for the intercept.
    pub(crate) fn new(shape: Shape, columns: &[usize]) -> Self {
        let first_indicator = 1 + shape.n_dense;
        let n_dense = columns.partition_point(|&column| column < first_indicator);
        let has_intercept = columns.first() == Some(&0);
        let dense = columns[usize::from(has_intercept)..n_dense].iter().map(|&column| column as u32 - 1).collect();
        let mut local = vec![NOT_CHOSEN; shape.n_indicators];
        for (at, &column) in columns.iter().enumerate().skip(n_dense) {
            local[column - first_indicator] = at as u32;
        }
        Self { has_intercept, dense, local, n: columns.len(), first_indicator }
    }

    fn n_before_indicators(&self) -> usize {
        usize::from(self.has_intercept) + self.dense.len()
    }

    /// The chosen values of a row that are not indicators.
    #[inline(always)]
    fn gather(&self, dense: &[f32], out: &mut [f64]) {
        let (ones, rest) = out.split_at_mut(usize::from(self.has_intercept));
        ones.fill(1.0);
        for (to, &at) in rest.iter_mut().zip(&self.dense) {
            *to = f64::from(dense[at as usize]);
        }
    }

    /// Rows of the matrix whose indicators are 1, ascending.
    fn active<'a>(&'a self, part: &'a Part, i: usize) -> impl Iterator<Item = usize> + 'a {
        let local = |&column: &u32| self.local[column as usize - self.first_indicator];
        part.active(i).iter().map(local).filter(|&at| at != NOT_CHOSEN).map(|at| at as usize)
    }
}

/// Rows that are summed: every `stride`th of all parts together, each standing for as many.
pub(crate) struct Drawn<'a> {
    pub(crate) parts: &'a [Part],
    /// One weight per row of each part.
    pub(crate) weights: &'a [Vec<f64>],
    pub(crate) stride: usize,
}

impl Drawn<'_> {
    /// Part, row and weight of each.
    fn rows(&self) -> impl Iterator<Item = (&Part, usize, f64)> {
        let all = self
            .parts
            .iter()
            .zip(self.weights)
            .flat_map(|(part, weights)| weights.iter().enumerate().map(move |(i, &weight)| (part, i, weight)));
        all.step_by(self.stride).map(|(part, i, weight)| (part, i, weight * self.stride as f64))
    }
}

/// Sum over the drawn rows of `weight * x * x^T` over the chosen columns: the lower triangle.
pub(crate) fn gram(chosen: &Chosen, drawn: &Drawn) -> Square {
    let n = chosen.n;
    let mut cells = vec![0.0; n * n];
    let width = Width::best();
    cells.par_chunks_mut(TILE * n.max(1)).enumerate().for_each(|(tile, cells)| {
        let from = tile * TILE;
        let dense_until = chosen.n_before_indicators().min(from + TILE);
        if from < dense_until {
            width.run(DenseTile { chosen, drawn, from, until: dense_until, cells });
        }
        if dense_until < from + TILE {
            indicator_tile(chosen, drawn, from, cells);
        }
    });
    Square { n, cells }
}

struct DenseTile<'a, 'b> {
    chosen: &'a Chosen,
    drawn: &'a Drawn<'b>,
    from: usize,
    until: usize,
    cells: &'a mut [f64],
}

impl Kernel for DenseTile<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { chosen, drawn, from, until, cells } = self;
        let mut x: [Vec<f64>; LANES] = std::array::from_fn(|_| vec![0.0; chosen.n_before_indicators()]);
        let mut weights = [0.0; LANES];
        let mut filled = 0;
        let mut rows = drawn.rows();
        loop {
            let next = rows.next();
            if let Some((part, i, weight)) = next {
                chosen.gather(part.dense(i), &mut x[filled]);
                weights[filled] = weight;
                filled += 1;
            } else {
                weights[filled..].fill(0.0);
            }
            if filled == LANES || next.is_none() {
                add_outer_products(&x, weights, from, until, chosen.n, cells);
                filled = 0;
            }
            if next.is_none() {
                return;
            }
        }
    }
}

#[inline(always)]
fn add_outer_products(
    x: &[Vec<f64>; LANES],
    weights: [f64; LANES],
    from: usize,
    until: usize,
    n: usize,
    cells: &mut [f64],
) {
    let [x0, x1, x2, x3] = x;
    let (x0, x1, x2, x3) = (&x0[..until], &x1[..until], &x2[..until], &x3[..until]);
    for i in from..until {
        let a = [weights[0] * x0[i], weights[1] * x1[i], weights[2] * x2[i], weights[3] * x3[i]];
        let row = &mut cells[(i - from) * n..][..until];
        for j in 0..until {
            row[j] += (a[0] * x0[j] + a[1] * x1[j]) + (a[2] * x2[j] + a[3] * x3[j]);
        }
    }
}

/// Rows of indicators: their products with everything that stands before them.
fn indicator_tile(chosen: &Chosen, drawn: &Drawn, from: usize, cells: &mut [f64]) {
    let n_dense = chosen.n_before_indicators();
    let mut x = vec![0.0; n_dense];
    let mut active: Vec<usize> = Vec::new();
    for (part, i, weight) in drawn.rows() {
        active.clear();
        active.extend(chosen.active(part, i));
        let mut gathered = false;
        for (k, &row) in active.iter().enumerate() {
            if row < from || row >= from + TILE {
                continue;
            }
            if !gathered {
                chosen.gather(part.dense(i), &mut x);
                gathered = true;
            }
            let cells = &mut cells[(row - from) * chosen.n..][..chosen.n];
            for (cell, x) in cells.iter_mut().zip(&x) {
                *cell += weight * x;
            }
            for &other in &active[..=k] {
                cells[other] += weight;
            }
        }
    }
}

/// The lower Cholesky factor in place of the matrix. A pivot lost to rounding becomes infinite, which freezes its weight.
///
/// # Reference
/// Golub and Van Loan, *Matrix Computations* (2013), 4.2.9: block outer-product form.
pub(crate) fn factorise(matrix: &mut Square) {
    let n = matrix.n;
    let floor = 1e-14 * (0..n).map(|j| matrix.diagonal(j)).fold(0.0, f64::max);
    let width = Width::best();
    let mut across = vec![0.0; PANEL * n];
    for start in (0..n).step_by(PANEL) {
        let end = (start + PANEL).min(n);
        let (above, below) = matrix.cells.split_at_mut(end * n);
        let top = &mut above[start * n..];
        for i in 0..end - start {
            let (done, rest) = top.split_at_mut(i * n);
            eliminate(&mut rest[..n], done, start, i, n);
            let pivot = rest[start + i];
            rest[start + i] = if pivot > floor { pivot.sqrt() } else { f64::INFINITY };
        }
        let top = &above[start * n..];
        below.par_chunks_mut(n).for_each(|row| {
            for j in 0..end - start {
                eliminate_one(row, &top[j * n..(j + 1) * n], start, j);
            }
        });
        // The panel on its side, so that the update of a row walks along memory.
        for (i, row) in below.chunks(n).enumerate() {
            for (j, x) in row[start..end].iter().enumerate() {
                across[j * n + i] = *x;
            }
        }
        let across = &across[..(end - start) * n];
        below.par_chunks_mut(n * 8).enumerate().for_each(|(chunk, rows)| {
            width.run(TrailingUpdate { rows, across, n, start, end, first: chunk * 8 });
        });
    }
}

/// Row `i` of the panel, with the rows before it done.
fn eliminate(row: &mut [f64], done: &[f64], start: usize, i: usize, n: usize) {
    for j in 0..i {
        eliminate_one(row, &done[j * n..(j + 1) * n], start, j);
    }
    let dot: f64 = row[start..start + i].iter().map(|x| x * x).sum();
    row[start + i] -= dot;
}

/// Element `j` of the panel in `row`, by the panel's finished row `j`.
fn eliminate_one(row: &mut [f64], by: &[f64], start: usize, j: usize) {
    let dot: f64 = row[start..start + j].iter().zip(&by[start..start + j]).map(|(a, b)| a * b).sum();
    row[start + j] = (row[start + j] - dot) / by[start + j];
}

struct TrailingUpdate<'a> {
    rows: &'a mut [f64],
    across: &'a [f64],
    n: usize,
    start: usize,
    end: usize,
    /// Of the rows, counted from the end of the panel.
    first: usize,
}

impl Kernel for TrailingUpdate<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { rows, across, n, start, end, first } = self;
        for (i, row) in rows.chunks_mut(n).enumerate() {
            let (panel, trailing) = row.split_at_mut(end);
            let panel = &panel[start..];
            let trailing = &mut trailing[..=first + i];
            let len = trailing.len();
            for k in (0..panel.len()).step_by(4) {
                let a: [f64; 4] = std::array::from_fn(|l| panel.get(k + l).copied().unwrap_or(0.0));
                // Beyond the panel any column serves: it is multiplied by 0.
                let column = |l: usize| &across[(k + l).min(panel.len() - 1) * n..][..len];
                let (c0, c1, c2, c3) = (column(0), column(1), column(2), column(3));
                for j in 0..len {
                    trailing[j] -= (a[0] * c0[j] + a[1] * c1[j]) + (a[2] * c2[j] + a[3] * c3[j]);
                }
            }
        }
    }
}

/// Solves `L L^T x = b` in place.
pub(crate) fn solve_factorised(factor: &Square, b: &mut [f64]) {
    let n = factor.n;
    for i in 0..n {
        let row = factor.row(i);
        let dot: f64 = row[..i].iter().zip(&*b).map(|(l, x)| l * x).sum();
        b[i] = (b[i] - dot) / row[i];
    }
    for i in (0..n).rev() {
        let row = factor.row(i);
        let x = b[i] / row[i];
        b[i] = x;
        for (b, l) in b[..i].iter_mut().zip(row) {
            *b -= x * l;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::Samples;
    use crate::standardise::{Columns, Lines};
    use orderguard_features::language::spec::FeatureKind;
    use orderguard_features::matrix::Matrix;

    fn uniform(i: usize) -> f64 {
        crate::numeric::hash3(7, i as u64, 1) as f64 / u64::MAX as f64
    }

    #[test]
    fn factor_solves_and_freezes_lost_pivots() {
        // Wider than two panels.
        let n = 77;
        let base: Vec<f64> = (0..n * n).map(uniform).collect();
        let mut matrix = Square { n, cells: vec![0.0; n * n] };
        for i in 0..n {
            for j in 0..n {
                let dot: f64 = (0..n).map(|k| base[i * n + k] * base[j * n + k]).sum();
                matrix.cells[i * n + j] = dot + f64::from(u8::from(i == j));
            }
        }
        let whole = matrix.cells.clone();
        let want: Vec<f64> = (0..n).map(|i| uniform(i + 99) - 0.5).collect();
        let mut b: Vec<f64> = (0..n).map(|i| (0..n).map(|j| whole[i * n + j] * want[j]).sum()).collect();
        factorise(&mut matrix);
        solve_factorised(&matrix, &mut b);
        for (got, want) in b.iter().zip(&want) {
            assert!((got - want).abs() < 1e-9, "{got} {want}");
        }
        let mut singular = Square { n: 2, cells: vec![1.0; 4] };
        factorise(&mut singular);
        let mut b = [-1.0, -1.0];
        solve_factorised(&singular, &mut b);
        assert_eq!(b, [-1.0, 0.0]);
    }

    #[test]
    fn gram_of_any_choice_is_the_plain_sum() {
        let (n, n_numeric) = (700, 40);
        let mut values: Vec<f32> = (0..n * n_numeric).map(|i| uniform(i) as f32).collect();
        values.extend((0..n).map(|i| (uniform(i + 5) * 45.0).floor() as f32));
        let mut kinds = vec![FeatureKind::Numeric; n_numeric];
        kinds.push(FeatureKind::Categorical { n_levels: 45 });
        let matrix = Matrix::from_columns(n, n_numeric + 1, values);
        let rows: Vec<u32> = (0..n as u32).collect();
        let labels = vec![0; n];
        let samples = Samples { matrix: &matrix, rows: &rows, labels: &labels };
        let columns = Columns::new(&kinds, &[false; 41], Lines::STRAIGHT, &samples);
        let parts = columns.apply(&samples);
        let weights: Vec<Vec<f64>> =
            parts.iter().map(|part| (0..part.labels.len()).map(|i| 0.1 + uniform(i)).collect()).collect();
        let value = |part: &Part, i: usize, column: usize| match column {
            0 => 1.0,
            column if column <= columns.shape.n_dense => f64::from(part.dense(i)[column - 1]),
            column => f64::from(u8::from(part.active(i).contains(&(column as u32)))),
        };
        let all: Vec<usize> = (0..columns.shape.len()).collect();
        let some: Vec<usize> = all.iter().copied().filter(|c| c % 3 == 1).collect();
        for (chosen, stride) in [(&all, 1), (&some, 1), (&all, 3)] {
            let got = gram(&Chosen::new(columns.shape, chosen), &Drawn { parts: &parts, weights: &weights, stride });
            for (i, &a) in chosen.iter().enumerate() {
                for (j, &b) in chosen.iter().enumerate().take(i + 1) {
                    let (mut want, mut at) = (0.0, 0);
                    for (part, weights) in parts.iter().zip(&weights) {
                        for (row, weight) in weights.iter().enumerate() {
                            if at % stride == 0 {
                                want += stride as f64 * weight * value(part, row, a) * value(part, row, b);
                            }
                            at += 1;
                        }
                    }
                    let found = got.cells[i * got.n + j];
                    assert!((found - want).abs() < 1e-9 * (1.0 + want.abs()), "{a} {b}: {found} {want}");
                }
            }
        }
    }
}
