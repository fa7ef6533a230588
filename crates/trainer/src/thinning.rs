//! Learning from a share of the honest orders, and what that does to the odds.
//!
//! With every fraud and a share `r` of the honest orders the odds of fraud are `1 / r` times the real ones, and with frauds that
//! weigh `w` times as much, `w` times. Both multiply the odds of all orders alike, so `ln r - ln w` is added to every raw score:
//! it goes into the base of the trees. Scores are then log-odds of the real mix, and keep their order.
//!
//! # Reference
//! King and Zeng, Logistic Regression in Rare Events Data (2001), section 4.1: the prior correction.

use crate::boosting::Extras;
use crate::numeric::{hash3, mix32, to_fixed};
use crate::params::CheckedGbtParams;
use crate::samples::Samples;

/// Key that keeps this draw apart from others.
const THINNING_DRAW: u64 = 4 << 32;

/// What is added to fixed-point scores of the sampled and weighted orders to make them those of the real mix.
pub(crate) fn prior_shift(params: &CheckedGbtParams) -> i64 {
    to_fixed(params.prior_correction())
}

/// The samples that are left, by position; none where all are.
pub(crate) struct Thinned(Option<Kept>);

struct Kept {
    positions: Vec<u32>,
    rows: Vec<u32>,
    labels: Vec<u8>,
    weights: Option<Vec<f64>>,
    keys: Vec<u32>,
}

impl Thinned {
    /// Keeps all frauds, and honest samples by a hash of seed and key. O(n).
    pub(crate) fn new(params: &CheckedGbtParams, samples: &Samples<'_>, extras: &Extras<'_>) -> Self {
        if params.negative_rate >= 1.0 {
            return Self(None);
        }
        let draw = hash3(params.seed, THINNING_DRAW, 0) as u32;
        let limit = (params.negative_rate * 4_294_967_296.0) as u32;
        let key_of = |position: u32| extras.keys.map_or(position, |keys| keys[position as usize]);
        let is_kept = |&position: &u32| {
            samples.labels[position as usize] == 1 || mix32(key_of(position).wrapping_mul(0xC2B2_AE35) ^ draw) < limit
        };
        let positions: Vec<u32> = (0..samples.len() as u32).filter(is_kept).collect();
        let at = || positions.iter().map(|&position| position as usize);
        Self(Some(Kept {
            rows: at().map(|i| samples.rows[i]).collect(),
            labels: at().map(|i| samples.labels[i]).collect(),
            weights: extras.weights.map(|weights| at().map(|i| weights[i]).collect()),
            keys: positions.iter().map(|&position| key_of(position)).collect(),
            positions,
        }))
    }

    /// Those left of the samples that this was made for.
    pub(crate) fn samples<'a>(&'a self, all: &Samples<'a>) -> Samples<'a> {
        match &self.0 {
            None => *all,
            Some(kept) => Samples { matrix: all.matrix, rows: &kept.rows, labels: &kept.labels },
        }
    }

    /// The extras of those left.
    pub(crate) fn extras<'a>(&'a self, all: &Extras<'a>) -> Extras<'a> {
        match &self.0 {
            None => *all,
            Some(kept) => Extras { weights: kept.weights.as_deref(), keys: Some(&kept.keys), ..*all },
        }
    }

    /// Positions of those left among `n` samples, increasing.
    pub(crate) fn positions(&self, n: usize) -> impl Iterator<Item = u32> {
        let kept = self.0.as_ref().map(|kept| kept.positions.iter().copied());
        let all = if self.0.is_none() { n as u32 } else { 0 };
        kept.into_iter().flatten().chain(0..all)
    }
}
