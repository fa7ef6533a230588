//! What is to be done with an order.

use std::fmt;

use crate::model::Threshold;

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

/// [`Decision::Review`] when `raw_score >= threshold.raw_score`, else [`Decision::Approve`].
///
/// A model has one threshold in this version, so the other two decisions are never made. A NaN score, which no checked
/// model gives, is reviewed.
pub fn decide(threshold: &Threshold, raw_score: f64) -> Decision {
    if raw_score < threshold.raw_score { Decision::Approve } else { Decision::Review }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_itself_is_reviewed() {
        let threshold = Threshold { raw_score: 0.5, probability: 0.6, aim: String::new() };
        assert_eq!(decide(&threshold, 0.5), Decision::Review);
        assert_eq!(decide(&threshold, 0.5f64.next_down()), Decision::Approve);
        assert_eq!(decide(&threshold, f64::NAN), Decision::Review);
    }

    #[test]
    fn names_read_back() {
        for decision in Decision::ALL {
            assert_eq!(Decision::from_name(decision.name()), Some(decision));
        }
        assert_eq!(Decision::from_name("Approve"), None);
        assert_eq!(format!("{:>8}", Decision::Review), "  review");
    }
}
