//! The histogram kernel by itself, so that it can be measured against what memory and processor can do at most.
//!
//! Fits have no use for this; `examples/roofline.rs` has.

use orderguard_features::language::spec::FeatureKind;
use orderguard_features::matrix::Matrix;

use crate::binning::BinnedMatrix;
use crate::histogram::{Entry, Layout, RowSource, Scale, build};
use crate::numeric::hash3;
use crate::vector::Width;

/// Binned rows of random values, and the histogram of all of them: what the root of a tree costs.
#[derive(Debug)]
pub struct HistogramPass {
    binned: BinnedMatrix,
    layout: Layout,
    scale: Scale,
    values: Vec<u64>,
    rows: Vec<u32>,
    sums: Vec<Entry>,
}

impl HistogramPass {
    /// `n_rows` rows of `n_features` evenly spread features with 255 bins each, of which a pass adds every `every`-th row.
    ///
    /// O(rows * features) time and memory. `n_rows` is at most 2^30.
    pub fn new(n_rows: usize, n_features: usize, every: usize, seed: u64) -> Self {
        let cell = |i: usize| (hash3(seed, i as u64, 0) >> 40) as f32;
        let matrix = Matrix::from_columns(n_rows, n_features, (0..n_rows * n_features).map(cell).collect());
        let all: Vec<u32> = (0..n_rows as u32).collect();
        let binned = BinnedMatrix::new(&vec![FeatureKind::Numeric; n_features], &[(&matrix, &all)], 255);
        let scale = Scale::new(n_rows, 1.0, 0.25);
        let unit = |i: u64| (hash3(seed, i, 1) >> 11) as f64 / (1_u64 << 53) as f64;
        let values = (0..n_rows as u64).map(|i| scale.pack(2.0 * unit(i) - 1.0, 0.2 * unit(i), i as u32)).collect();
        let layout = Layout::new(binned.features());
        let sums = vec![[0, 0]; layout.len()];
        let rows = all.into_iter().step_by(every.max(1)).collect();
        Self { binned, layout, scale, values, rows, sums }
    }

    /// Sums all rows into the histogram, on the current thread pool.
    pub fn run(&mut self) {
        let source = RowSource { words: self.binned.row_words(), stride: self.binned.n_blocks(), values: &self.values };
        build(Width::best(), self.scale, &self.layout, source, &self.rows, &mut self.sums);
    }

    /// Rows of the first feature's bins together: those of the pass.
    pub fn n_summed(&self) -> usize {
        self.sums[self.layout.range(0)].iter().map(|&sum| self.scale.n_rows(sum) as usize).sum()
    }

    /// Additions to bins in one pass.
    pub fn n_cells(&self) -> usize {
        self.rows.len() * self.layout.n_features()
    }

    /// Bytes that one pass must read from memory once each: bins, statistics and row numbers.
    pub fn n_bytes(&self) -> usize {
        self.rows.len() * (8 * self.binned.n_blocks() + 8 + 4)
    }
}

#[cfg(test)]
mod tests {
    use super::HistogramPass;

    #[test]
    fn a_pass_sums_its_rows() {
        let mut pass = HistogramPass::new(1_000, 9, 3, 1);
        pass.run();
        assert_eq!((pass.n_summed(), pass.n_cells(), pass.n_bytes()), (334, 334 * 9, 334 * (16 + 12)));
    }
}
