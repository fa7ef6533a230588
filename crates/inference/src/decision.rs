//! What is to be done with an order.

use std::fmt;

use crate::calibrate::probability;
use crate::error::ModelError;
use crate::model::{Calibration, Threshold};

/// What is to be done with an order, from the mildest to the strictest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Decision {
    /// Let it pass.
    Approve,
    /// Ask the buyer for one proof more, such as 3-D Secure.
    Challenge,
    /// Let a person look at it.
    Review,
    /// Refuse it.
    Decline,
}

impl Decision {
    /// Every decision, from the mildest to the strictest.
    pub const ALL: [Self; 4] = [Self::Approve, Self::Challenge, Self::Review, Self::Decline];

    /// The name in files: `approve`, `challenge`, `review` or `decline`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Challenge => "challenge",
            Self::Review => "review",
            Self::Decline => "decline",
        }
    }

    /// The decision of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|decision| decision.name() == name)
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// From which score on a decision other than [`Decision::Approve`] is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tier {
    /// The decision.
    pub decision: Decision,
    /// Orders with `raw >= raw_score` have it, unless a stricter tier has them.
    pub raw_score: f64,
}

/// The decision of a raw score: that of the last tier that it reaches. Without tiers [`Decision::Review`] when `raw_score >=
/// threshold.raw_score`, else [`Decision::Approve`]. A NaN score, which no checked model gives, is reviewed.
///
/// `tiers` rise in score and strictness. O(tiers), of which there are at most three.
pub fn decide(threshold: &Threshold, tiers: &[Tier], raw_score: f64) -> Decision {
    if raw_score.is_nan() {
        return Decision::Review;
    }
    if tiers.is_empty() {
        return if raw_score < threshold.raw_score { Decision::Approve } else { Decision::Review };
    }
    let reached = tiers.iter().take_while(|tier| raw_score >= tier.raw_score).last();
    reached.map_or(Decision::Approve, |tier| tier.decision)
}

/// The raw score at which the decision of `raw_score` was made: that of the tier it reached, or of the mildest tier, below which it
/// stayed; without tiers the threshold's. `tiers` as for [`decide`]; a NaN score, which reaches none, stayed below.
pub fn bound(threshold: &Threshold, tiers: &[Tier], raw_score: f64) -> f64 {
    let Some(mildest) = tiers.first() else { return threshold.raw_score };
    tiers.iter().take_while(|tier| raw_score >= tier.raw_score).last().unwrap_or(mildest).raw_score
}

/// The smallest raw score whose calibrated probability is at least `wanted`, which lies between 0 and 1; infinite where no finite
/// score reaches it. By bisection over the numbers of f64: at most 64 steps.
pub fn raw_score_of(calibration: &Calibration, wanted: f64) -> f64 {
    // In this order of bits numbers rise: negative ones have theirs reversed.
    let number = |key: u64| f64::from_bits(if key >> 63 == 1 { key ^ 1 << 63 } else { !key });
    let key = |x: f64| if x.is_sign_negative() { !x.to_bits() } else { x.to_bits() ^ 1 << 63 };
    let (mut low, mut high) = (key(f64::NEG_INFINITY), key(f64::INFINITY));
    while low < high {
        let middle = low + (high - low) / 2;
        if probability(calibration, number(middle)) >= wanted { high = middle } else { low = middle + 1 }
    }
    number(low)
}

/// Checks that tiers rise in score and strictness.
pub(crate) fn check_tiers(tiers: &[Tier]) -> Result<(), ModelError> {
    for (i, tier) in tiers.iter().enumerate() {
        let place = || format!("tier {i}");
        let before = i.checked_sub(1).map(|before| tiers[before]);
        let rises = before.is_none_or(|before| before.raw_score < tier.raw_score);
        if tier.raw_score.is_nan() || !rises {
            let expected = "a number above that of the tier before";
            return Err(ModelError::Value { place: place(), field: "raw_score", found: tier.raw_score, expected });
        }
        let mildest = before.map_or(Decision::Approve, |before| before.decision);
        if tier.decision <= mildest {
            let found = f64::from(tier.decision as u8);
            let expected = "a stricter decision than that of the tier before";
            return Err(ModelError::Value { place: place(), field: "decision", found, expected });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_threshold_itself_is_reviewed() {
        let threshold = Threshold { raw_score: 0.5, probability: 0.6, aim: String::new() };
        assert_eq!(decide(&threshold, &[], 0.5), Decision::Review);
        assert_eq!(decide(&threshold, &[], 0.5f64.next_down()), Decision::Approve);
        assert_eq!(decide(&threshold, &[], f64::NAN), Decision::Review);
    }

    #[test]
    fn the_last_tier_that_is_reached_decides() {
        let threshold = Threshold { raw_score: 0.5, probability: 0.6, aim: String::new() };
        let tiers = [
            Tier { decision: Decision::Challenge, raw_score: -1.0 },
            Tier { decision: Decision::Review, raw_score: 1.0 },
            Tier { decision: Decision::Decline, raw_score: f64::INFINITY },
        ];
        assert_eq!(check_tiers(&tiers), Ok(()));
        for (raw, decision) in [
            (f64::NEG_INFINITY, Decision::Approve),
            (-1.0f64.next_up(), Decision::Approve),
            (-1.0, Decision::Challenge),
            (0.6, Decision::Challenge),
            (1.0, Decision::Review),
            (1e300, Decision::Review),
            (f64::INFINITY, Decision::Decline),
            (f64::NAN, Decision::Review),
        ] {
            assert_eq!(decide(&threshold, &tiers, raw), decision, "{raw}");
        }
        // What decided is the tier's bound, and never that of the model's threshold.
        for (raw, at) in [
            (f64::NEG_INFINITY, -1.0),
            (-1.0, -1.0),
            (0.6, -1.0),
            (1.0, 1.0),
            (1e300, 1.0),
            (f64::INFINITY, f64::INFINITY),
        ] {
            assert_eq!(bound(&threshold, &tiers, raw), at, "{raw}");
        }
        assert_eq!(bound(&threshold, &[], 7.0), 0.5);
    }

    #[test]
    fn tiers_that_do_not_rise_are_refused() {
        let tier = |decision, raw_score| Tier { decision, raw_score };
        for tiers in [
            vec![tier(Decision::Approve, 0.0)],
            vec![tier(Decision::Review, f64::NAN)],
            vec![tier(Decision::Review, 0.0), tier(Decision::Decline, 0.0)],
            vec![tier(Decision::Review, 0.0), tier(Decision::Challenge, 1.0)],
        ] {
            assert!(matches!(check_tiers(&tiers), Err(ModelError::Value { .. })), "{tiers:?}");
        }
    }

    #[test]
    fn names_read_back() {
        for decision in Decision::ALL {
            assert_eq!(Decision::from_name(decision.name()), Some(decision));
        }
        assert_eq!(Decision::from_name("Approve"), None);
        assert_eq!(format!("{:>8}", Decision::Review), "  review");
    }

    proptest! {
        #[test]
        fn the_raw_score_of_a_probability_is_the_first_that_has_it(
            slope in 1e-3f64..50.0, intercept in -20.0f64..20.0, wanted in 1e-9f64..0.999,
        ) {
            let calibration = Calibration::Platt { slope, intercept };
            let found = raw_score_of(&calibration, wanted);
            prop_assert!(probability(&calibration, found) >= wanted);
            prop_assert!(probability(&calibration, found.next_down()) < wanted);
        }
    }

    #[test]
    fn a_probability_that_nothing_has_is_infinitely_far() {
        let level = Calibration::Beta { a: 1.0, b: 0.0, c: 0.0 };
        assert_eq!(raw_score_of(&level, 0.9), f64::INFINITY);
    }
}
