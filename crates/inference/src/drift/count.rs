//! Counting: into which bin each value of a row falls.

use orderguard_features::language::feature::is_first_seen;
use orderguard_features::language::spec::FeatureKind;

use super::{MAX_EDGES, ScoreBins};
use crate::error::ScoreError;
use crate::model::Model;
use crate::reasons::may_be_first_seen;

/// The bins of a model, laid out for counting. Immutable, `Send + Sync`; [`DriftCounts`] hold what is counted.
#[derive(Clone, Debug)]
pub struct DriftBins {
    features: Vec<Bins>,
    score: Option<[f64; LANES]>,
    score_start: usize,
    n_cells: usize,
    reference: Vec<u64>,
}

/// Edges side by side, for a comparison with all of them at once; those that are not there are infinite.
const LANES: usize = MAX_EDGES + 1;

#[derive(Clone, Debug)]
struct Bins {
    cut: Cut,
    /// Its first cell: bins, then first seen (numeric), then missing.
    start: usize,
    /// Cells of it.
    n_cells: usize,
}

#[derive(Clone, Debug)]
enum Cut {
    Numeric { edges: Box<[f32; LANES]>, may_be_first_seen: bool },
    Category { n_levels: u32 },
}

/// What was counted with one model. Kept by the caller, one per thread; counts of several threads are added up with
/// [`DriftCounts::merge`], in any order with the same result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DriftCounts {
    cells: Vec<u64>,
}

impl DriftBins {
    /// Lays out the bins of a checked model; `None` where it holds no reference of its features.
    pub fn compile(model: &Model) -> Option<Self> {
        if model.drift.features.is_empty() {
            return None;
        }
        let (mut start, mut reference, mut features) = (0, Vec::new(), Vec::new());
        let kinds = model.spec.kinds();
        for ((bins, kind), feature) in model.drift.features.iter().zip(kinds).zip(&model.spec.features) {
            reference.extend(bins.counts.iter().copied().map(u64::from));
            let cut = match kind {
                FeatureKind::Numeric => {
                    reference.push(bins.first_seen.into());
                    let mut edges = Box::new([f32::INFINITY; LANES]);
                    edges.iter_mut().zip(&bins.edges).for_each(|(lane, edge)| *lane = *edge);
                    Cut::Numeric { edges, may_be_first_seen: may_be_first_seen(feature) }
                }
                FeatureKind::Categorical { n_levels } => Cut::Category { n_levels },
            };
            reference.push(bins.missing.into());
            features.push(Bins { cut, start, n_cells: reference.len() - start });
            start = reference.len();
        }
        let score = model.drift.score.as_ref().map(|ScoreBins { edges, counts }| {
            reference.extend(counts.iter().copied().map(u64::from));
            let mut lanes = [f64::INFINITY; LANES];
            lanes.iter_mut().zip(edges).for_each(|(lane, edge)| *lane = *edge);
            lanes
        });
        Some(Self { features, score, score_start: start, n_cells: reference.len(), reference })
    }

    /// Counts of nothing.
    pub fn counts(&self) -> DriftCounts {
        DriftCounts { cells: vec![0; self.n_cells] }
    }

    /// What the reference holds, in the shape of counts.
    pub fn reference(&self) -> DriftCounts {
        DriftCounts { cells: self.reference.clone() }
    }

    /// Counts one order: its feature row, NaN = missing, and its raw score. Allocates nothing; O(features).
    ///
    /// # Errors
    /// If the row has another length than the model's; nothing is counted then.
    ///
    /// # Panics
    /// If `counts` are not from [`Self::counts`]: a caller's bug.
    pub fn observe(&self, row: &[f32], raw_score: f64, counts: &mut DriftCounts) -> Result<(), ScoreError> {
        if row.len() != self.features.len() {
            return Err(ScoreError::RowLength { found: row.len(), expected: self.features.len() });
        }
        let cells = &mut counts.cells[..self.n_cells];
        for (bins, &x) in self.features.iter().zip(row) {
            cells[bins.start + bins.cell(x)] += 1;
        }
        if let Some(edges) = &self.score {
            // A NaN score, which no checked model gives, is in the first bin.
            cells[self.score_start + edges.iter().map(|&edge| usize::from(raw_score > edge)).sum::<usize>()] += 1;
        }
        Ok(())
    }

    /// How many features a row has.
    pub fn n_features(&self) -> usize {
        self.features.len()
    }

    /// The counts of one feature: its bins, then of numeric ones those seen for the first time, then the missing ones.
    pub fn of_feature<'a>(&self, feature: usize, counts: &'a DriftCounts) -> &'a [u64] {
        let Bins { start, n_cells, .. } = self.features[feature];
        &counts.cells[start..start + n_cells]
    }

    /// The counts of the score; empty where the reference has none.
    pub fn of_score<'a>(&self, counts: &'a DriftCounts) -> &'a [u64] {
        &counts.cells[self.score_start..]
    }
}

impl DriftCounts {
    /// Adds what another thread counted with the same bins.
    ///
    /// # Panics
    /// If the other counts are of other bins: a caller's bug.
    pub fn merge(&mut self, other: &Self) {
        assert_eq!(self.cells.len(), other.cells.len(), "counts of the same bins");
        self.cells.iter_mut().zip(&other.cells).for_each(|(sum, n)| *sum += n);
    }

    /// Begins anew, with the same memory.
    pub fn clear(&mut self) {
        self.cells.fill(0);
    }
}

impl Bins {
    fn cell(&self, x: f32) -> usize {
        match &self.cut {
            Cut::Numeric { edges, may_be_first_seen } => {
                // Without a branch, which compilers turn into a few instructions over all lanes.
                let bin = edges.iter().map(|&edge| u32::from(x > edge)).sum::<u32>() as usize;
                if x.is_nan() {
                    self.n_cells - 1
                } else if *may_be_first_seen && is_first_seen(x) {
                    self.n_cells - 2
                } else {
                    bin
                }
            }
            Cut::Category { n_levels } => {
                if x.is_nan() {
                    self.n_cells - 1
                } else {
                    level(x, *n_levels)
                }
            }
        }
    }
}

/// The bin of a level code; what is no code is rare.
pub(super) fn level(x: f32, n_levels: u32) -> usize {
    let code = x as u32;
    if code as f32 == x { code.min(n_levels) as usize } else { n_levels as usize }
}
