//! Ways to run compiled trees; all give the bits of [`raw_score_naive`](crate::tree::raw_score_naive).

pub(crate) mod scalar;
