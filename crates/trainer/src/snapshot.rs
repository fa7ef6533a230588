//! A fit as it stands after some round: what a later run needs to go on as if it had never been stopped.
//!
//! Draws depend on seed and round alone, and scores are sums of integers: trees and metrics are all there is to keep.

use orderguard_inference::model::{Forest, Tree};

use crate::booster::Booster;
use crate::boosting::RoundReport;
use crate::fit_error::{FitError, StartError};
use crate::numeric::SCALE_BITS;
use crate::samples::Samples;
use crate::start::scores;

/// Trees and metrics of a fit after some round.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// The metric after each round.
    pub metrics: Vec<Option<f64>>,
    /// One for each fit in step: one, or one for each fold.
    pub fits: Vec<SnapshotFit>,
}

/// The trees of one fit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SnapshotFit {
    /// In the order of the rounds.
    pub trees: Vec<Tree>,
    /// Feature and gain of each split, one list for each tree.
    pub gains: Vec<Vec<(u32, f64)>>,
}

impl Snapshot {
    pub(crate) fn new(history: &[RoundReport], boosters: &[Booster<'_>]) -> Self {
        let of_booster =
            |booster: &Booster<'_>| SnapshotFit { trees: booster.trees.clone(), gains: booster.gains.clone() };
        Self {
            metrics: history.iter().map(|report| report.metric).collect(),
            fits: boosters.iter().map(of_booster).collect(),
        }
    }

    /// What the rounds brought.
    pub(crate) fn history(&self, n_rounds: usize) -> Vec<RoundReport> {
        (1..).zip(&self.metrics).map(|(round, &metric)| RoundReport { round, n_rounds, metric }).collect()
    }
}

/// Brings boosters from where they stand to the end of the given round of a snapshot. `parts` hold their rows.
pub(crate) fn restore(
    snapshot: &Snapshot,
    boosters: &mut [Booster<'_>],
    n_features: usize,
    round: usize,
    parts: &[&Samples<'_>],
) -> Result<(), FitError> {
    let other = Err(FitError::BadStart(StartError::OtherFit));
    if snapshot.fits.len() != boosters.len() {
        return other;
    }
    for (booster, fit) in boosters.iter_mut().zip(&snapshot.fits) {
        let (from, until) = (booster.trees.len(), round.min(fit.trees.len()));
        let (Some(trees), Some(gains)) = (fit.trees.get(from..until), fit.gains.get(from..until)) else { return other };
        if gains.iter().flatten().any(|&(feature, _)| feature as usize >= n_features) {
            return other;
        }
        let added = Forest { n_features: n_features as u32, base: 0, scale_bits: SCALE_BITS, trees: trees.to_vec() };
        booster.extend(trees, gains, &scores(&added, parts)?);
    }
    Ok(())
}
