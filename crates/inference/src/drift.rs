//! Drift: how far the orders of today have moved from those that a model was made of, told by counters at the scorer.
//!
//! A model file may hold a [`DriftReference`]: bins of each feature and of the raw score, with the orders that fell into each.
//! [`DriftBins`] puts a row into its bins; [`DriftCounts`] holds what was counted: one per thread, without locks, added up when
//! somebody asks. [`shift`] compares two sets of counts.
//!
//! Missing values and "seen for the first time" have bins of their own. Features are counted on training orders, scores on orders that
//! the model did not learn from where there are some: a model is surer of what it has learned.

mod build;
mod chi_squared;
mod count;
mod index;

use orderguard_features::language::spec::FeatureKind;

use crate::error::ModelError;
use crate::model::Model;
use crate::reasons::may_be_first_seen;
pub use build::{MAX_ROWS, build};
pub use chi_squared::{chi_squared_bound, chi_squared_tail};
pub use count::{DriftBins, DriftCounts};
pub use index::{Shift, psi, shift};

/// Most edges of a numeric feature or of the score.
pub const MAX_EDGES: usize = 15;

/// How orders were distributed when the model was made. Empty where nobody counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DriftReference {
    /// One entry per feature in the order of the row; empty where nobody counted.
    pub features: Vec<FeatureBins>,
    /// The raw score.
    pub score: Option<ScoreBins>,
}

/// The bins of one feature.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FeatureBins {
    /// Numeric: bin i holds x when `edges[i - 1] < x <= edges[i]`, with nothing below the first bin and above the last; finite,
    /// strictly rising, at most [`MAX_EDGES`]. Category: none.
    pub edges: Vec<f32>,
    /// Orders of each bin; of a category of each level code, rare last.
    pub counts: Vec<u32>,
    /// Orders whose entity was seen for the first time; 0 of features that do not say that.
    pub first_seen: u32,
    /// Orders where it was missing.
    pub missing: u32,
}

/// The bins of the raw score, as those of a numeric feature.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScoreBins {
    /// Edges.
    pub edges: Vec<f64>,
    /// Orders of each bin.
    pub counts: Vec<u32>,
}

impl DriftReference {
    /// Whether nobody counted.
    pub fn is_empty(&self) -> bool {
        self.features.is_empty() && self.score.is_none()
    }
}

/// Checks a reference against the model that it stands in.
pub(crate) fn check(model: &Model) -> Result<(), ModelError> {
    let DriftReference { features, score } = &model.drift;
    let kinds = model.spec.kinds();
    if !features.is_empty() && features.len() != kinds.len() {
        let (found, expected) = (features.len() as u64, kinds.len() as u64);
        return Err(ModelError::Length { of: "drift".into(), found, expected });
    }
    let mut n_rows = None;
    for (i, (bins, kind)) in features.iter().zip(&kinds).enumerate() {
        let place = || format!("drift, feature {i}");
        let expected = match *kind {
            FeatureKind::Numeric => bins.edges.len() as u64 + 1,
            FeatureKind::Categorical { n_levels } => u64::from(n_levels) + 1,
        };
        if matches!(kind, FeatureKind::Categorical { .. }) && !bins.edges.is_empty() {
            let found = bins.edges.len() as u64;
            return Err(ModelError::Length { of: format!("{}: edges of a category", place()), found, expected: 0 });
        }
        check_bins(&place, bins.edges.iter().copied().map(f64::from), bins.edges.len(), bins.counts.len(), expected)?;
        if bins.first_seen > 0 && !may_be_first_seen(&model.spec.features[i]) {
            let found = f64::from(bins.first_seen);
            return Err(ModelError::Value { place: place(), field: "first_seen", found, expected: "0" });
        }
        let n = bins.counts.iter().map(|&n| u64::from(n)).sum::<u64>();
        let n = n + u64::from(bins.first_seen) + u64::from(bins.missing);
        let n_rows = *n_rows.get_or_insert(n);
        if n != n_rows || n == 0 {
            return Err(ModelError::Length { of: format!("{}: orders", place()), found: n, expected: n_rows.max(1) });
        }
    }
    let Some(score) = score else { return Ok(()) };
    let place = || "drift, score".to_owned();
    check_bins(
        &place,
        score.edges.iter().copied(),
        score.edges.len(),
        score.counts.len(),
        score.edges.len() as u64 + 1,
    )?;
    if score.counts.iter().all(|&n| n == 0) {
        return Err(ModelError::Empty { of: "drift, orders of the score" });
    }
    Ok(())
}

fn check_bins(
    place: &dyn Fn() -> String,
    edges: impl Iterator<Item = f64>,
    n_edges: usize,
    n_counts: usize,
    expected: u64,
) -> Result<(), ModelError> {
    if n_edges > MAX_EDGES {
        return Err(ModelError::Count { of: "edges of drift bins", found: n_edges as u64, limit: MAX_EDGES as u64 });
    }
    let mut before = f64::NEG_INFINITY;
    for edge in edges {
        if !(edge.is_finite() && edge > before) {
            let expected = "a finite number above the one before";
            return Err(ModelError::Value { place: place(), field: "edges", found: edge, expected });
        }
        before = edge;
    }
    if n_counts as u64 != expected {
        return Err(ModelError::Length { of: format!("{}: bins", place()), found: n_counts as u64, expected });
    }
    Ok(())
}
