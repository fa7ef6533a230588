//! One pass down the ranking that yields every figure of weighted orders: of a replicate, or of orders with weights of their own.

use crate::curve::RELIABILITY_EDGES;
use crate::evaluation::FPR_TARGETS;
use crate::ranked::{FRAUD, LAST, Ranked};

const N_BANDS: usize = RELIABILITY_EDGES.len() - 1;

/// Weighted orders by class, and their value.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Tally {
    pub(crate) fraud: f64,
    pub(crate) honest: f64,
    pub(crate) fraud_value: f64,
    pub(crate) honest_value: f64,
}

impl Tally {
    pub(crate) fn n(&self) -> f64 {
        self.fraud + self.honest
    }

    pub(crate) fn less(&self, other: &Self) -> Self {
        Self {
            fraud: self.fraud - other.fraud,
            honest: self.honest - other.honest,
            fraud_value: self.fraud_value - other.fraud_value,
            honest_value: self.honest_value - other.honest_value,
        }
    }
}

/// What a pass found. A figure without meaning is `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Found {
    pub(crate) roc_auc: Option<f64>,
    pub(crate) average_precision: Option<f64>,
    pub(crate) recall_at_fpr: [Option<f64>; FPR_TARGETS.len()],
    pub(crate) precision_at_fpr: [Option<f64>; FPR_TARGETS.len()],
    pub(crate) brier: Option<f64>,
    pub(crate) log_loss: Option<f64>,
    pub(crate) calibration_error: Option<f64>,
    /// All orders.
    pub(crate) all: Tally,
    /// The orders above each cut.
    pub(crate) above: Vec<Tally>,
}

/// `part / whole`, `None` when there is nothing to divide by.
pub(crate) fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

/// What is read besides the ranking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Everything.
    Full,
    /// Not the probabilities, and not the rates of false alarms.
    Ranking,
}

/// `drawn` says how often each order is there; `cuts` are rising positions in the ranking. O(n).
pub(crate) fn pass(ranked: &Ranked, drawn: &[u8], cuts: &[usize], depth: Depth) -> Found {
    match (depth, ranked.weight.is_empty()) {
        (Depth::Full, true) => run::<true, false>(ranked, drawn, cuts),
        (Depth::Full, false) => run::<true, true>(ranked, drawn, cuts),
        (Depth::Ranking, true) => run::<false, false>(ranked, drawn, cuts),
        (Depth::Ranking, false) => run::<false, true>(ranked, drawn, cuts),
    }
}

fn run<const FULL: bool, const WEIGHTED: bool>(ranked: &Ranked, drawn: &[u8], cuts: &[usize]) -> Found {
    let n = ranked.len();
    let weight = |i: usize| f64::from(drawn[i]) * if WEIGHTED { ranked.weight[i] } else { 1.0 };
    let all_honest: f64 = (0..n).map(|i| if ranked.is_fraud(i) { 0.0 } else { weight(i) }).sum();
    let has_amounts = !ranked.amount.is_empty();

    let mut at = Tally::default();
    // Of the orders of the score at hand.
    let (mut tied_fraud, mut tied_honest) = (0.0, 0.0);
    let (mut tp, mut fp) = (0.0, 0.0);
    let (mut pairs, mut precision) = (0.0, 0.0);
    let mut best = [(0.0, 0.0); FPR_TARGETS.len()];
    let (mut squares, mut logs) = (0.0, 0.0);
    // Weight, frauds and probability of each band.
    let mut bands = [[0.0_f64; 3]; N_BANDS];
    let mut above = Vec::with_capacity(cuts.len());
    let mut start = 0;
    for end in cuts.iter().copied().chain([n]) {
        for i in start..end {
            let w = weight(i);
            let flags = ranked.flags[i];
            let is_fraud = f64::from(flags & FRAUD);
            let (fraud, honest) = (w * is_fraud, w * (1.0 - is_fraud));
            tied_fraud += fraud;
            tied_honest += honest;
            if has_amounts {
                let amount = ranked.amount[i];
                at.fraud_value += fraud * amount;
                at.honest_value += honest * amount;
            }
            if FULL {
                let p = ranked.probability[i];
                squares += w * (p - is_fraud) * (p - is_fraud);
                logs += w * ranked.log_loss[i];
                let band = &mut bands[ranked.band[i] as usize];
                band[0] += w;
                band[1] += fraud;
                band[2] += w * p;
            }
            if flags & LAST != 0 {
                // A fraud above an honest order counts a pair, a tie half of one.
                pairs += tied_honest * (tp + tied_fraud / 2.0);
                tp += tied_fraud;
                fp += tied_honest;
                if tied_fraud > 0.0 {
                    precision += tied_fraud * (tp / (tp + fp));
                    if FULL {
                        for (best, (_, rate)) in best.iter_mut().zip(FPR_TARGETS) {
                            if fp / all_honest <= rate {
                                *best = (tp, fp);
                            }
                        }
                    }
                }
                (tied_fraud, tied_honest) = (0.0, 0.0);
            }
        }
        start = end;
        above.push(Tally { fraud: tp + tied_fraud, honest: fp + tied_honest, ..at });
    }
    let all = above.pop().unwrap_or_default();
    let both = tp > 0.0 && fp > 0.0;
    let gap = |[n, fraud, p]: &[f64; 3]| (p - fraud).abs() * if *n > 0.0 { 1.0 } else { 0.0 };
    Found {
        roc_auc: both.then(|| pairs / (tp * fp)),
        average_precision: ratio(precision, tp),
        recall_at_fpr: best.map(|(caught, _)| if FULL && both { ratio(caught, tp) } else { None }),
        precision_at_fpr: best.map(|(caught, alarms)| if FULL && both { ratio(caught, caught + alarms) } else { None }),
        brier: if FULL { ratio(squares, all.n()) } else { None },
        log_loss: if FULL { ratio(logs, all.n()) } else { None },
        calibration_error: if FULL { ratio(bands.iter().map(gap).sum(), all.n()) } else { None },
        all,
        above,
    }
}
