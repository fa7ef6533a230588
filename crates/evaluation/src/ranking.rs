//! Scored orders brought into order once; every figure that depends on the ranking is then one pass over it.

use rayon::prelude::*;

use crate::error::MetricError;

/// Labelled orders grouped by raw score, highest score first. Orders with the same score stand in one group: no threshold can
/// tell them apart, so no figure may depend on how they happened to be ordered.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranking {
    groups: Vec<Group>,
    n_fraud: u64,
    n_honest: u64,
}

/// The orders of one raw score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Group {
    /// The raw score; -0 is stored as 0.
    pub score: f64,
    /// Frauds with this score.
    pub n_fraud: u64,
    /// Honest orders with this score.
    pub n_honest: u64,
}

/// What is stopped when the threshold lies just below one group: that group and all above it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cut {
    /// The lowest score stopped; `None` when nothing is.
    pub lowest_stopped: Option<f64>,
    /// The highest score let through; `None` when everything is stopped.
    pub highest_passed: Option<f64>,
    /// Frauds stopped.
    pub tp: u64,
    /// Honest orders stopped.
    pub fp: u64,
}

impl Ranking {
    /// Sorts the scores (in parallel) and groups equal ones. `labels` holds 1 for fraud and 0 for honest, one per score.
    /// O(n log n) time, 16 bytes per order and 24 per distinct score.
    ///
    /// # Errors
    /// [`MetricError::LengthMismatch`], [`MetricError::ScoreNotFinite`] and [`MetricError::LabelNotBinary`], the last two
    /// with the first row concerned.
    pub fn new(scores: &[f64], labels: &[u8]) -> Result<Self, MetricError> {
        if labels.len() != scores.len() {
            return Err(MetricError::LengthMismatch { what: "labels", expected: scores.len(), found: labels.len() });
        }
        if let Some(row) = scores.iter().position(|score| !score.is_finite()) {
            return Err(MetricError::ScoreNotFinite { row, found: scores[row] });
        }
        if let Some(row) = labels.iter().position(|&label| label > 1) {
            return Err(MetricError::LabelNotBinary { row, found: labels[row] });
        }
        Ok(Self::from_checked(scores, labels))
    }

    /// The same for slices known to be of one length and free of NaN; infinities rank as the ends, labels other than 1 are
    /// honest.
    pub(crate) fn from_checked(scores: &[f64], labels: &[u8]) -> Self {
        let (mut fraud, mut honest) = (Vec::new(), Vec::with_capacity(scores.len()));
        for (&score, &label) in scores.iter().zip(labels) {
            if label == 1 { fraud.push(sort_key(score)) } else { honest.push(sort_key(score)) }
        }
        // The classes are sorted apart: plain integers sort faster than pairs, and the merge is one pass.
        rayon::join(|| fraud.par_sort_unstable(), || honest.par_sort_unstable());

        let mut groups: Vec<Group> = Vec::new();
        let (mut f, mut h) = (fraud.as_slice(), honest.as_slice());
        loop {
            let key = match (f.last(), h.last()) {
                (Some(&a), Some(&b)) => a.max(b),
                (Some(&a), None) => a,
                (None, Some(&b)) => b,
                (None, None) => break,
            };
            let n_fraud = take_equal(&mut f, key);
            let n_honest = take_equal(&mut h, key);
            groups.push(Group { score: score_of(key), n_fraud, n_honest });
        }
        Self { groups, n_fraud: fraud.len() as u64, n_honest: honest.len() as u64 }
    }

    /// The groups, highest score first.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Number of orders.
    pub fn n_rows(&self) -> u64 {
        self.n_fraud + self.n_honest
    }

    /// Number of frauds.
    pub fn n_fraud(&self) -> u64 {
        self.n_fraud
    }

    /// Number of honest orders.
    pub fn n_honest(&self) -> u64 {
        self.n_honest
    }

    /// Every way to divide the orders by a threshold, from stopping nothing to stopping everything.
    pub fn cuts(&self) -> impl Iterator<Item = Cut> + '_ {
        let nothing =
            Cut { lowest_stopped: None, highest_passed: self.groups.first().map(|group| group.score), tp: 0, fp: 0 };
        let rest = self.groups.iter().enumerate().scan((0, 0), |(tp, fp), (i, group)| {
            *tp += group.n_fraud;
            *fp += group.n_honest;
            let highest_passed = self.groups.get(i + 1).map(|next| next.score);
            Some(Cut { lowest_stopped: Some(group.score), highest_passed, tp: *tp, fp: *fp })
        });
        std::iter::once(nothing).chain(rest)
    }
}

/// Removes the entries equal to `key` from the end and counts them.
fn take_equal(sorted: &mut &[u64], key: u64) -> u64 {
    let mut n = 0;
    while let [head @ .., last] = *sorted
        && *last == key
    {
        *sorted = head;
        n += 1;
    }
    n
}

/// An integer that orders as the number does; the two zeros are one.
fn sort_key(score: f64) -> u64 {
    let bits = (score + 0.0).to_bits();
    if bits >> 63 == 1 { !bits } else { bits | (1 << 63) }
}

/// Reverses [`sort_key`].
fn score_of(key: u64) -> f64 {
    f64::from_bits(if key >> 63 == 1 { key & !(1 << 63) } else { !key })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_order_as_numbers_and_turn_back() {
        let ordered = [f64::NEG_INFINITY, -1e300, -1.5, -f64::MIN_POSITIVE, 0.0, 5e-324, 1.0, 1e300, f64::INFINITY];
        for pair in ordered.windows(2) {
            assert!(sort_key(pair[0]) < sort_key(pair[1]), "{pair:?}");
        }
        assert_eq!(sort_key(-0.0), sort_key(0.0));
        for score in ordered {
            assert_eq!(score_of(sort_key(score)).to_bits(), score.to_bits());
        }
    }

    #[test]
    fn equal_scores_share_a_group() {
        let ranking = Ranking::new(&[0.0, 2.0, -0.0, 2.0, 1.0], &[1, 0, 0, 1, 1]).unwrap();
        let groups: Vec<_> = ranking.groups().iter().map(|g| (g.score, g.n_fraud, g.n_honest)).collect();
        assert_eq!(groups, [(2.0, 1, 1), (1.0, 1, 0), (0.0, 1, 1)]);
        let cuts: Vec<_> = ranking.cuts().map(|c| (c.lowest_stopped, c.highest_passed, c.tp, c.fp)).collect();
        let expected = [
            (None, Some(2.0), 0, 0),
            (Some(2.0), Some(1.0), 1, 1),
            (Some(1.0), Some(0.0), 2, 1),
            (Some(0.0), None, 3, 2),
        ];
        assert_eq!(cuts, expected);
    }

    #[test]
    fn refuses_what_cannot_be_ranked() {
        let error = Ranking::new(&[1.0], &[]).unwrap_err();
        assert_eq!(error.to_string(), "labels: expected one for each of the 1 scores, found 0");
        let error = Ranking::new(&[1.0, f64::NAN], &[0, 1]).unwrap_err();
        assert_eq!(error.to_string(), "scored order 1: expected a finite raw score, found NaN");
        let error = Ranking::new(&[1.0, 2.0], &[0, 3]).unwrap_err();
        assert_eq!(error.to_string(), "scored order 1: expected the label 0 (honest) or 1 (fraud), found 3");
    }
}
