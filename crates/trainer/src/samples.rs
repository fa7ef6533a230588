//! The rows a learner sees: a selection of a feature matrix with labels.

use orderguard_features::matrix::Matrix;

/// Labelled rows of a matrix. The order of `rows` is the caller's canonical order of the orders (by time, id, content):
/// learners may key sampling on the position in `rows`, and so give the same model for any order of the rows in the file.
#[derive(Clone, Copy, Debug)]
pub struct Samples<'a> {
    /// Feature values of all rows, also of those not selected.
    pub matrix: &'a Matrix,
    /// Selected rows, no duplicates.
    pub rows: &'a [u32],
    /// 1 = fraud, 0 = honest; one per entry of `rows`.
    pub labels: &'a [u8],
}

impl Samples<'_> {
    /// Number of selected rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether no row is selected.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Number of frauds among them.
    pub fn n_fraud(&self) -> usize {
        self.labels.iter().map(|&label| usize::from(label == 1)).sum()
    }
}
