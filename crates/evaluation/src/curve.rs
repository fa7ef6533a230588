//! Curves for reports: few enough points to draw and to store, each of them a threshold that really exists.

use serde::{Deserialize, Serialize};

use crate::confusion::share;
use crate::ranking::Ranking;
use crate::report::ScoreBin;

/// One threshold: the counts, from which both the precision-recall and the ROC curve follow.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// The lowest score stopped.
    pub raw_score: f64,
    /// Frauds stopped.
    pub tp: u64,
    /// Honest orders stopped.
    pub fp: u64,
    /// `tp` of all frauds; `None` without frauds.
    pub recall: Option<f64>,
    /// `tp` of all stopped.
    pub precision: Option<f64>,
    /// `fp` of all honest orders; `None` without honest orders.
    pub false_positive_rate: Option<f64>,
    /// Value of the frauds stopped; `None` without amounts and costs, as the next two.
    #[serde(default)]
    pub fraud_stopped: Option<f64>,
    /// Value of the honest orders stopped.
    #[serde(default)]
    pub honest_stopped: Option<f64>,
    /// Savings against doing nothing.
    #[serde(default)]
    pub savings: Option<f64>,
}

/// Equal parts into which a curve divides the recall, and as many into which it divides the false-positive rate.
pub const CURVE_STEPS: u64 = 100;

impl Ranking {
    /// The curve from the strictest to the loosest threshold: the first and the last, and each that is the first to reach
    /// another hundredth of the frauds, of the honest orders or of the first hundredth of the honest orders (where fraud
    /// teams work). At most `3 * CURVE_STEPS + 2` points.
    pub fn curve(&self) -> Vec<CurvePoint> {
        let step_of =
            |n: u64, of: u64| (u128::from(n) * u128::from(CURVE_STEPS)).checked_div(u128::from(of)).unwrap_or(0);
        let mut last_steps = None;
        let mut points = Vec::new();
        let n_groups = self.groups().len();
        for (i, cut) in self.cuts().enumerate().skip(1) {
            let fine = (u128::from(cut.fp) * u128::from(CURVE_STEPS * CURVE_STEPS))
                .checked_div(u128::from(self.n_honest()))
                .unwrap_or(0);
            let steps =
                Some((step_of(cut.tp, self.n_fraud()), step_of(cut.fp, self.n_honest()), fine.min(CURVE_STEPS.into())));
            if (steps != last_steps || i == n_groups)
                && let Some(raw_score) = cut.lowest_stopped
            {
                points.push(CurvePoint {
                    raw_score,
                    tp: cut.tp,
                    fp: cut.fp,
                    recall: share(cut.tp, self.n_fraud()),
                    precision: share(cut.tp, cut.tp + cut.fp),
                    false_positive_rate: share(cut.fp, self.n_honest()),
                    fraud_stopped: None,
                    honest_stopped: None,
                    savings: None,
                });
            }
            last_steps = steps;
        }
        points
    }
}

/// Bands of the histogram of scores.
pub const HISTOGRAM_BINS: usize = 60;

/// Orders by raw score and class in [`HISTOGRAM_BINS`] bands of equal width from the lowest score to the highest; one band where all
/// scores are equal, none without orders. `scores` are finite. O(n), in parallel.
pub fn histogram(scores: &[f64], labels: &[u8]) -> Vec<ScoreBin> {
    let lowest = scores.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let n_bins = if scores.is_empty() {
        0
    } else if lowest < highest {
        HISTOGRAM_BINS
    } else {
        1
    };
    // In halves, so that no difference overflows.
    let width = highest / 2.0 - lowest / 2.0;
    let edge = |bin: usize| match bin {
        0 => lowest,
        bin if bin == n_bins => highest,
        bin => lowest + 2.0 * (width * (bin as f64 / n_bins as f64)),
    };
    let edges: Vec<f64> = (0..=n_bins).map(edge).collect();
    let add = |bins: &mut Counts, row: usize| {
        let bin = edges[1..].partition_point(|&edge| edge <= scores[row]).min(n_bins.saturating_sub(1));
        bins.0[bin][usize::from(labels[row] == 1)] += 1;
    };
    let join = |mut a: Counts, b: Counts| {
        for (a, b) in a.0.iter_mut().flatten().zip(b.0.iter().flatten()) {
            *a += b;
        }
        a
    };
    let counts = crate::sum::fold_rows(scores.len().min(labels.len()), add, join);
    let bin =
        |i: usize| ScoreBin { from: edges[i], until: edges[i + 1], n_fraud: counts.0[i][1], n_honest: counts.0[i][0] };
    (0..n_bins).map(bin).collect()
}

/// Honest orders and frauds of each band.
struct Counts([[u64; 2]; HISTOGRAM_BINS]);

impl Default for Counts {
    fn default() -> Self {
        Self([[0; 2]; HISTOGRAM_BINS])
    }
}

/// Orders whose probability lies in one band: what was foretold and what came.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Lower end of the band, included.
    pub from: f64,
    /// Upper end, not included except at 1.
    pub until: f64,
    /// Orders in the band.
    pub n_rows: u64,
    /// Frauds among them.
    pub n_fraud: u64,
    /// Mean probability; `None` when the band is empty.
    pub mean_probability: Option<f64>,
    /// Share of frauds; `None` when the band is empty.
    pub observed: Option<f64>,
}

/// Expected calibration error: how far the mean probability of an order's band lies from the share of frauds in it, on average
/// over the orders. 0 is perfect; `None` without orders.
///
/// # Reference
/// Naeini, Cooper and Hauskrecht, Obtaining Well Calibrated Probabilities Using Bayesian Binning (2015).
pub fn calibration_error(bins: &[ReliabilityBin]) -> Option<f64> {
    let n_rows: u64 = bins.iter().map(|bin| bin.n_rows).sum();
    let gap = |bin: &ReliabilityBin| match (bin.mean_probability, bin.observed) {
        (Some(foretold), Some(observed)) => (foretold - observed).abs() * bin.n_rows as f64,
        _ => 0.0,
    };
    (n_rows > 0).then(|| bins.iter().map(gap).sum::<f64>() / n_rows as f64)
}

/// Band edges, finer below where nearly all orders lie.
pub const RELIABILITY_EDGES: [f64; 12] = [0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0];

/// Probability against observed share of fraud, band by band ([`RELIABILITY_EDGES`]). `probabilities` lie in 0 to 1 (NaN is
/// left out), `labels` are 1 for fraud. O(n), in parallel; the result does not depend on the order of the rows.
pub fn reliability(probabilities: &[f64], labels: &[u8]) -> Vec<ReliabilityBin> {
    const N: usize = RELIABILITY_EDGES.len() - 1;
    // Sums of probabilities in units of 2^-60.
    let unit = (1_u64 << 60) as f64;
    let add = |bins: &mut [(u64, u64, u128); N], row: usize| {
        let probability = probabilities[row];
        if (0.0..=1.0).contains(&probability) {
            let bin = RELIABILITY_EDGES[1..N].partition_point(|&edge| edge <= probability);
            bins[bin].0 += 1;
            bins[bin].1 += u64::from(labels[row] == 1);
            bins[bin].2 += (probability * unit).round_ties_even() as u128;
        }
    };
    let join = |a: [(u64, u64, u128); N], b: [(u64, u64, u128); N]| {
        std::array::from_fn(|i| (a[i].0 + b[i].0, a[i].1 + b[i].1, a[i].2 + b[i].2))
    };
    let bins: [(u64, u64, u128); N] = crate::sum::fold_rows(probabilities.len().min(labels.len()), add, join);
    bins.iter()
        .zip(RELIABILITY_EDGES.windows(2))
        .map(|(&(n_rows, n_fraud, sum), edges)| ReliabilityBin {
            from: edges[0],
            until: edges[1],
            n_rows,
            n_fraud,
            mean_probability: (n_rows > 0).then(|| sum as f64 / unit / n_rows as f64),
            observed: share(n_fraud, n_rows),
        })
        .collect()
}
