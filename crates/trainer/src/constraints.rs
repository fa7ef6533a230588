//! Monotone directions and interaction groups, from feature positions to columns of the binned matrix.

use std::collections::BTreeSet;

use orderguard_features::language::spec::FeatureKind;

use crate::binning::BinnedMatrix;
use crate::boosting::FitError;
use crate::params::{CheckedGbtParams, Direction};

/// What limits splits beyond the numbers, by position among the binned features.
#[derive(Clone, Debug, Default)]
pub(crate) struct Constraints {
    /// Direction of each feature; empty without any.
    pub(crate) directions: Vec<i8>,
    /// Groups of features that may meet on one path; empty where all may.
    pub(crate) groups: Vec<Vec<bool>>,
}

impl Constraints {
    pub(crate) fn direction(&self, column: usize) -> i8 {
        self.directions.get(column).copied().unwrap_or(0)
    }
}

/// The constraints of the parameters in terms of binned features. A feature in no group may meet no other on a path.
pub(crate) fn resolve(
    params: &CheckedGbtParams,
    kinds: &[FeatureKind],
    binned: &BinnedMatrix,
) -> Result<Constraints, FitError> {
    let n_features = kinds.len();
    let known = |&feature: &u32| {
        if (feature as usize) < n_features { Ok(()) } else { Err(FitError::UnknownFeature { feature, n_features }) }
    };
    let mut of_feature = vec![0_i8; n_features];
    for (feature, direction) in &params.monotone {
        known(feature)?;
        let slot = &mut of_feature[*feature as usize];
        let wanted = if *direction == Direction::Rising { 1 } else { -1 };
        if matches!(kinds[*feature as usize], FeatureKind::Categorical { .. }) {
            return Err(FitError::NotNumeric { feature: *feature });
        }
        if *slot == -wanted {
            return Err(FitError::Contradiction { feature: *feature });
        }
        *slot = wanted;
    }
    params.interactions.iter().flatten().try_for_each(known)?;
    let mut result = Constraints::default();
    if !params.monotone.is_empty() {
        result.directions = binned.features().iter().map(|f| of_feature[f.feature as usize]).collect();
    }
    if !params.interactions.is_empty() {
        let mut groups = params.interactions.clone();
        let grouped: BTreeSet<u32> = groups.iter().flatten().copied().collect();
        groups.extend((0..n_features as u32).filter(|feature| !grouped.contains(feature)).map(|feature| vec![feature]));
        result.groups =
            groups.iter().map(|group| binned.features().iter().map(|f| group.contains(&f.feature)).collect()).collect();
    }
    Ok(result)
}
