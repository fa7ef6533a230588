//! How much memory a fit takes, foreseen before it begins.

use crate::binning::BLOCK;
use crate::params::{CheckedGbtParams, GbtParams};
use crate::search::{MOST_LEAVES, SIDE_BY_SIDE};

/// Rows whose values one thread sorts while it chooses bins, and bytes for each.
const BINNING_BYTES: u64 = (1 << 17) * 8;
/// Histograms are kept for all open leaves up to this, see `grower.rs`.
const MAX_HISTOGRAM_BYTES: u64 = 1 << 30;

/// The size of a fit.
#[derive(Clone, Copy, Debug)]
pub struct FitSize {
    /// Samples that trees learn from.
    pub n_train: usize,
    /// Samples that are only scored.
    pub n_held: usize,
    /// Length of a feature row.
    pub n_features: usize,
    /// Fits in step: 1, or the number of folds.
    pub n_fits: usize,
    /// Threads.
    pub n_threads: usize,
}

/// Bytes that a fit of boosted trees takes at most beside the feature matrix: the binned matrix twice, scores, the rows of a tree
/// as if all were drawn, histograms. The trees themselves are small and not counted.
///
/// ```
/// use orderguard_trainer::need::{FitSize, bytes};
/// let params = orderguard_trainer::params::GbtParams::default().check().unwrap();
/// let size = FitSize { n_train: 1_000_000, n_held: 200_000, n_features: 100, n_fits: 1, n_threads: 2 };
/// let megabytes = bytes(&params, size) >> 20;
/// assert!((200..600).contains(&megabytes), "{megabytes}");
/// ```
pub fn bytes(params: &CheckedGbtParams, size: FitSize) -> u64 {
    let FitSize { n_train, n_held, n_features, n_fits, n_threads } = size;
    let (n_train, n_held, n_features) = (n_train as u64, n_held as u64, n_features as u64);
    let (n_fits, n_threads) = (n_fits as u64, n_threads as u64);
    let n_rows = n_train + n_held;
    let row_words = 8 * n_features.div_ceil(BLOCK as u64);
    let binned = n_rows * (n_features + row_words);
    // Labels, weights, keys, and the scores of a start.
    let shared = n_rows * (1 + 4 + 4 + 8);
    // Positions, statistics and the copy of what was drawn; rows of the leaves and their scratch.
    let tree = n_train * (4 + 8 + 8 + row_words + 8);
    let histogram = n_features * (params.max_bins as u64 + 1) * 16;
    let all_leaves = histogram * (params.max_leaves as u64 + n_threads);
    let histograms = if histogram * params.max_leaves as u64 > MAX_HISTOGRAM_BYTES {
        histogram * (2 * n_threads + 2)
    } else {
        all_leaves
    };
    // Scores, positions, and the best scores of held rows.
    let fit = n_rows * (8 + 4) + n_rows * 8 + tree + histograms;
    binned + shared + n_fits * fit + n_threads * BINNING_BYTES
}

/// Bytes that a search takes at most beside the feature matrix: a binned matrix for each of `n_folds` folds of all samples, as
/// coarse and as fine, and the largest fit that may be tried, as many times as there are threads.
pub fn search_bytes(params: &CheckedGbtParams, size: FitSize, n_folds: usize) -> u64 {
    let n_rows = (size.n_train + size.n_held) as u64;
    let row_bytes = size.n_features as u64 + 8 * (size.n_features as u64).div_ceil(BLOCK as u64);
    let largest = GbtParams { max_leaves: params.max_leaves.max(MOST_LEAVES), ..(**params).clone() };
    let largest = largest.check().expect("the leaves are within their range");
    let fit = bytes(&largest, FitSize { n_train: n_rows as usize, n_held: 0, n_fits: 1, ..size });
    let at_a_time = if n_rows < SIDE_BY_SIDE as u64 { size.n_threads as u64 } else { 1 };
    2 * n_folds as u64 * n_rows * row_bytes + at_a_time * fit
}
