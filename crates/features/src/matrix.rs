//! Feature rows: a dense column-major matrix of `f32`, NaN where a value is missing.

/// `n_rows x n_features`, column-major: feature `j` is `values[j * n_rows .. (j + 1) * n_rows]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matrix {
    n_rows: usize,
    n_features: usize,
    values: Vec<f32>,
}

impl Matrix {
    /// A matrix with every cell missing (NaN).
    pub fn missing(n_rows: usize, n_features: usize) -> Self {
        Self { n_rows, n_features, values: vec![f32::NAN; n_rows * n_features] }
    }

    /// A matrix over column-major values.
    ///
    /// # Panics
    /// If `values.len() != n_rows * n_features`: a caller's bug, never caused by data.
    pub fn from_columns(n_rows: usize, n_features: usize, values: Vec<f32>) -> Self {
        assert_eq!(values.len(), n_rows * n_features, "values must hold n_rows * n_features cells");
        Self { n_rows, n_features, values }
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Number of features.
    pub fn n_features(&self) -> usize {
        self.n_features
    }

    /// All rows of one feature.
    pub fn column(&self, feature: usize) -> &[f32] {
        &self.values[feature * self.n_rows..(feature + 1) * self.n_rows]
    }

    /// All rows of one feature, to be written.
    pub fn column_mut(&mut self, feature: usize) -> &mut [f32] {
        &mut self.values[feature * self.n_rows..(feature + 1) * self.n_rows]
    }

    /// The columns one after the other, each to be written by somebody else.
    pub fn columns_mut(&mut self) -> impl Iterator<Item = &mut [f32]> {
        let (n_rows, mut rest) = (self.n_rows, self.values.as_mut_slice());
        (0..self.n_features).map(move |_| rest.split_off_mut(..n_rows).expect("values hold n_rows * n_features cells"))
    }

    /// Copies row `row` into `out` (`n_features` long).
    pub fn copy_row(&self, row: usize, out: &mut [f32]) {
        for (feature, slot) in out.iter_mut().enumerate() {
            *slot = self.values[feature * self.n_rows + row];
        }
    }

    /// A new matrix of the given rows, in the given order.
    #[must_use]
    pub fn select_rows(&self, rows: &[u32]) -> Self {
        let mut values = Vec::with_capacity(rows.len() * self.n_features);
        for feature in 0..self.n_features {
            let column = self.column(feature);
            values.extend(rows.iter().map(|&row| column[row as usize]));
        }
        Self { n_rows: rows.len(), n_features: self.n_features, values }
    }
}
