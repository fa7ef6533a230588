//! What several decisions by score do: challenge here, review there, decline above.

use serde::{Deserialize, Serialize};

use crate::confusion::share;
use crate::error::MetricError;
use crate::sum::{MoneySum, fold_rows};

/// Most tiers beside the decision below all of them.
pub const MAX_TIERS: usize = 8;

/// The orders of one decision.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TierFigures {
    /// The decision.
    pub decision: String,
    /// Orders have it from this raw score on, up to that of the next tier; `None` for the decision below all tiers, and where no
    /// finite score reaches the tier.
    pub raw_score: Option<f64>,
    /// Labelled orders that have it.
    pub n_rows: u64,
    /// Frauds among them.
    pub n_fraud: u64,
    /// Its share of all orders.
    pub share: Option<f64>,
    /// Share of frauds among its orders.
    pub precision: Option<f64>,
    /// Share of all frauds that have it.
    pub recall: Option<f64>,
    /// The money of its orders; `None` without amounts.
    pub value: Option<TierValue>,
}

/// Money in the unit of the amounts that were given. Missing (NaN) and negative amounts count as nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TierValue {
    /// Of frauds.
    pub fraud: f64,
    /// Of honest orders.
    pub honest: f64,
}

#[derive(Clone, Copy, Default)]
struct Tally {
    n_fraud: u64,
    n_honest: u64,
    fraud: MoneySum,
    honest: MoneySum,
}

/// The figures of each decision, the mildest first: orders below all tiers have `below`; `tiers` names the others with the raw
/// score from which on they are made, rising. `raw`, `labels` (1 fraud, 0 honest) and `amounts` have one length.
///
/// The result does not depend on the order of the rows or on threads. O(n), in parallel.
///
/// # Errors
/// If lengths differ.
///
/// # Panics
/// With more than [`MAX_TIERS`]: a caller's bug.
pub fn tiers(
    raw: &[f64],
    labels: &[u8],
    amounts: Option<&[f64]>,
    below: &str,
    tiers: &[(&str, f64)],
) -> Result<Vec<TierFigures>, MetricError> {
    assert!(tiers.len() <= MAX_TIERS, "at most {MAX_TIERS} tiers");
    for (what, found) in [("labels", Some(labels.len())), ("amounts", amounts.map(<[f64]>::len))] {
        if let Some(found) = found.filter(|&found| found != raw.len()) {
            return Err(MetricError::LengthMismatch { what, expected: raw.len(), found });
        }
    }
    let add = |all: &mut [Tally; MAX_TIERS + 1], row: usize| {
        let tally = &mut all[tiers.iter().take_while(|tier| raw[row] >= tier.1).count()];
        let amount = amounts.map_or(0.0, |amounts| amounts[row]);
        if labels[row] == 1 {
            tally.n_fraud += 1;
            tally.fraud.add(amount);
        } else {
            tally.n_honest += 1;
            tally.honest.add(amount);
        }
    };
    let both = |a: Tally, b: Tally| Tally {
        n_fraud: a.n_fraud + b.n_fraud,
        n_honest: a.n_honest + b.n_honest,
        fraud: a.fraud.plus(b.fraud),
        honest: a.honest.plus(b.honest),
    };
    let join = |a: [Tally; MAX_TIERS + 1], b: [Tally; MAX_TIERS + 1]| std::array::from_fn(|i| both(a[i], b[i]));
    let all = fold_rows(raw.len(), add, join);
    let n_fraud: u64 = all.iter().map(|tally| tally.n_fraud).sum();
    let figures = |(i, tally): (usize, &Tally)| {
        let n_rows = tally.n_fraud + tally.n_honest;
        let tier = i.checked_sub(1).map(|at| tiers[at]);
        TierFigures {
            decision: tier.map_or(below, |tier| tier.0).to_owned(),
            raw_score: tier.map(|tier| tier.1).filter(|raw| raw.is_finite()),
            n_rows,
            n_fraud: tally.n_fraud,
            share: share(n_rows, raw.len() as u64),
            precision: share(tally.n_fraud, n_rows),
            recall: share(tally.n_fraud, n_fraud),
            value: amounts.map(|_| TierValue { fraud: tally.fraud.total(), honest: tally.honest.total() }),
        }
    };
    Ok(all.iter().take(tiers.len() + 1).enumerate().map(figures).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_order_has_one_decision() {
        let (raw, labels) = ([-2.0, 0.0, 0.5, 1.0, 1.0, 9.0], [0, 0, 1, 0, 1, 1]);
        let amounts = [1.0, 2.0, 4.0, 8.0, f64::NAN, 32.0];
        let found = tiers(
            &raw,
            &labels,
            Some(&amounts),
            "approve",
            &[("challenge", 0.0), ("review", 1.0), ("decline", f64::INFINITY)],
        )
        .unwrap();
        let counts: Vec<(&str, u64, u64)> =
            found.iter().map(|tier| (tier.decision.as_str(), tier.n_rows, tier.n_fraud)).collect();
        assert_eq!(counts, [("approve", 1, 0), ("challenge", 2, 1), ("review", 3, 2), ("decline", 0, 0)]);
        assert_eq!(found[1].precision, Some(0.5));
        assert_eq!((found[2].recall, found[2].share), (Some(2.0 / 3.0), Some(0.5)));
        assert_eq!(found[2].value, Some(TierValue { fraud: 32.0, honest: 8.0 }));
        assert_eq!((found[0].raw_score, found[1].raw_score, found[3].raw_score), (None, Some(0.0), None));
        assert_eq!((found[3].precision, found[3].recall), (None, Some(0.0)));
        assert!(tiers(&raw, &labels[1..], None, "approve", &[]).is_err());
        assert_eq!(tiers(&[], &[], None, "approve", &[]).unwrap()[0].share, None);
    }

    proptest! {
        #[test]
        fn agrees_with_counting_by_hand(
            rows in prop::collection::vec((-3.0f64..3.0, 0u8..2, 0.0f64..9.0), 0..60), first in -2.0f64..0.0, second in 0.0f64..2.0,
        ) {
            let raw: Vec<f64> = rows.iter().map(|row| row.0).collect();
            let labels: Vec<u8> = rows.iter().map(|row| row.1).collect();
            let amounts: Vec<f64> = rows.iter().map(|row| row.2).collect();
            let found = tiers(&raw, &labels, Some(&amounts), "a", &[("b", first), ("c", second)]).unwrap();
            for (name, low, high) in [("a", f64::NEG_INFINITY, first), ("b", first, second), ("c", second, f64::INFINITY)] {
                let tier = found.iter().find(|tier| tier.decision == name).unwrap();
                let within = || rows.iter().filter(|row| row.0 >= low && row.0 < high);
                prop_assert_eq!(tier.n_rows, within().count() as u64);
                prop_assert_eq!(tier.n_fraud, within().filter(|row| row.1 == 1).count() as u64);
                let fraud: f64 = within().filter(|row| row.1 == 1).map(|row| row.2).sum();
                prop_assert!((tier.value.unwrap().fraud - fraud).abs() < 1e-9);
            }
        }
    }
}
