//! Ordered target statistics: a category of many levels as one number, for rows that have no time of their own.
//!
//! Orders with times have something better, the feature `fraud_rate by COLUMN`, which knows when each label was learned. Where a
//! matrix is all there is, a level becomes its share of fraud among the rows that stand before the row in a seeded
//! permutation, drawn to the share of all rows. A row never sees its own label, so a level of one order tells nothing about
//! it. What is fitted on such columns is turned back into splits on level codes by the final table, the statistics over all
//! rows: so the table is in the model, as the level sets of its trees, and scoring needs nothing new.
//!
//! # Reference
//! Prokhorenkova et al., "`CatBoost`: unbiased boosting with categorical features", `NeurIPS` 2018, section 3.2.

use std::fmt;

use orderguard_features::language::spec::FeatureKind;
use orderguard_features::matrix::Matrix;
use orderguard_inference::model::{Forest, Node, Tree};
use rayon::prelude::*;

use crate::boosting::{self, Extras, GbtFit, Progress};
use crate::fit_error::FitError;
use crate::numeric::hash3;
use crate::param_error::ParamError;
use crate::params::CheckedGbtParams;
use crate::samples::Samples;

/// Most known levels of a category, so that they and the unseen ones fit into a level set of a model.
pub const MAX_LEVELS: u32 = 255;

/// Which categories become numbers, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderedParams {
    /// Categories of more known levels than this are encoded, default 16.
    pub more_levels_than: u32,
    /// Rows of the overall share that are added to every level, above 0, default 20. More draws rare levels to the middle.
    pub prior_rows: f64,
    /// Seed of the permutation.
    pub seed: u64,
}

impl Default for OrderedParams {
    fn default() -> Self {
        Self { more_levels_than: 16, prior_rows: 20.0, seed: 1 }
    }
}

/// A category that cannot be encoded.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum EncodeError {
    /// A parameter outside its range.
    Param(ParamError),
    /// A category has more levels than a model's level sets hold.
    TooManyLevels {
        /// The feature.
        feature: usize,
        /// Its known levels.
        n_levels: u32,
    },
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Param(error) => error.fmt(f),
            Self::TooManyLevels { feature, n_levels } => {
                write!(f, "feature {feature}: expected at most {MAX_LEVELS} known levels, found {n_levels}")
            }
        }
    }
}

impl std::error::Error for EncodeError {}

/// The final statistics of a category.
#[derive(Clone, Debug, PartialEq)]
pub struct LevelTable {
    /// The feature.
    pub feature: usize,
    /// Share of fraud of each known level, then of rare and unseen ones; the overall share for those without rows.
    pub values: Vec<f32>,
    /// Share of fraud where the value is missing; the overall share where it never was.
    pub missing: f32,
}

impl LevelTable {
    /// The number that stands for a cell: that of its level, of unseen ones for whatever is no known code, of missing values for
    /// NaN.
    pub fn value(&self, x: f32) -> f32 {
        if x.is_nan() {
            return self.missing;
        }
        let (code, last) = (x as u32, self.values.len() - 1);
        self.values[if code as f32 == x { (code as usize).min(last) } else { last }]
    }
}

/// Rows whose large categories are numbers.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// One row per sample, in their order.
    pub matrix: Matrix,
    /// Kinds of its features: encoded ones are numeric.
    pub kinds: Vec<FeatureKind>,
    /// The final statistics, one table per encoded feature.
    pub tables: Vec<LevelTable>,
}

/// Encodes the categories of many levels. O(features x rows + rows log rows); the order of the samples counts, as
/// [`Samples`] says, the number of threads does not.
///
/// # Errors
/// See [`EncodeError`].
/// # Panics
/// If `kinds` has another length than a row: a caller's bug, never caused by data.
pub fn encode(params: &OrderedParams, kinds: &[FeatureKind], samples: &Samples) -> Result<Encoded, EncodeError> {
    assert_eq!(kinds.len(), samples.matrix.n_features(), "one kind per feature");
    if !(params.prior_rows > 0.0 && params.prior_rows.is_finite()) {
        let error = ParamError::out_of_range("prior_rows", params.prior_rows, "(0, inf)");
        return Err(EncodeError::Param(error));
    }
    let is_large = |kind: &FeatureKind| matches!(kind, FeatureKind::Categorical { n_levels } if *n_levels > params.more_levels_than);
    for (feature, kind) in kinds.iter().enumerate() {
        if let FeatureKind::Categorical { n_levels } = *kind
            && is_large(kind)
            && n_levels > MAX_LEVELS
        {
            return Err(EncodeError::TooManyLevels { feature, n_levels });
        }
    }
    let mut order: Vec<u32> = (0..samples.len() as u32).collect();
    order.sort_by_key(|&i| (hash3(params.seed, u64::from(i), 0x0D), i));
    let prior = samples.n_fraud() as f64 / samples.len().max(1) as f64;
    let columns: Vec<(Vec<f32>, Option<LevelTable>)> = kinds
        .par_iter()
        .enumerate()
        .map(|(feature, kind)| {
            let column = samples.matrix.column(feature);
            let cells: Vec<f32> = samples.rows.iter().map(|&row| column[row as usize]).collect();
            match *kind {
                FeatureKind::Categorical { n_levels } if is_large(kind) => {
                    let (values, table) = encode_column(
                        feature,
                        &cells,
                        n_levels as usize,
                        samples.labels,
                        &order,
                        prior,
                        params.prior_rows,
                    );
                    (values, Some(table))
                }
                _ => (cells, None),
            }
        })
        .collect();
    let mut values = Vec::with_capacity(samples.len() * kinds.len());
    let (mut tables, mut new_kinds) = (Vec::new(), Vec::new());
    for ((column, table), kind) in columns.into_iter().zip(kinds) {
        values.extend(column);
        new_kinds.push(if table.is_some() { FeatureKind::Numeric } else { *kind });
        tables.extend(table);
    }
    Ok(Encoded { matrix: Matrix::from_columns(samples.len(), kinds.len(), values), kinds: new_kinds, tables })
}

fn encode_column(
    feature: usize,
    cells: &[f32],
    n_levels: usize,
    labels: &[u8],
    order: &[u32],
    prior: f64,
    prior_rows: f64,
) -> (Vec<f32>, LevelTable) {
    // Known levels, rare and unseen ones, missing.
    let mut counts = vec![(0.0, 0.0); n_levels + 2];
    let slot = |x: f32| {
        if x.is_nan() {
            return n_levels + 1;
        }
        let code = x as u32;
        if code as f32 == x { (code as usize).min(n_levels) } else { n_levels }
    };
    let share = |(n, n_fraud): (f64, f64)| ((n_fraud + prior_rows * prior) / (n + prior_rows)) as f32;
    let mut values = vec![0.0; cells.len()];
    for &i in order {
        let i = i as usize;
        let count = &mut counts[slot(cells[i])];
        values[i] = share(*count);
        count.0 += 1.0;
        count.1 += f64::from(labels[i]);
    }
    let values_of_levels = counts[..=n_levels].iter().map(|&count| share(count)).collect();
    let table = LevelTable { feature, values: values_of_levels, missing: share(counts[n_levels + 1]) };
    (values, table)
}

/// Rows on which no trees can be fitted.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum FitEncodedError {
    /// A category cannot be encoded.
    Encode(EncodeError),
    /// The encoded rows give no trees.
    Fit(FitError),
}

impl fmt::Display for FitEncodedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encode(error) => error.fmt(f),
            Self::Fit(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for FitEncodedError {}

/// Fits `n_rounds` trees on rows that have no time: categories of many levels are encoded first, and the trees that come out
/// read level codes again. As [`boosting::fit_rounds`] where there is no such category. Takes the memory of the rows once more.
///
/// # Errors
/// See [`FitEncodedError`].
/// # Panics
/// If `kinds` has another length than a row: a caller's bug, never caused by data.
pub fn fit_encoded(
    params: &CheckedGbtParams,
    ordered: &OrderedParams,
    kinds: &[FeatureKind],
    samples: &Samples,
    n_rounds: usize,
    progress: Progress<'_>,
) -> Result<GbtFit, FitEncodedError> {
    let encoded = encode(ordered, kinds, samples).map_err(FitEncodedError::Encode)?;
    let extras = Extras::default();
    if encoded.tables.is_empty() {
        return boosting::fit_rounds(params, kinds, samples, n_rounds, &extras, progress).map_err(FitEncodedError::Fit);
    }
    let rows: Vec<u32> = (0..samples.len() as u32).collect();
    let train = Samples { matrix: &encoded.matrix, rows: &rows, labels: samples.labels };
    let fit = boosting::fit_rounds(params, &encoded.kinds, &train, n_rounds, &extras, progress);
    let fit = fit.map_err(FitEncodedError::Fit)?;
    Ok(GbtFit { forest: restore(&fit.forest, &encoded.tables), ..fit })
}

/// The forest that reads level codes and scores every row as `forest` does the row's table values. Codes from 256 on, which no
/// known category has, go right.
pub fn restore(forest: &Forest, tables: &[LevelTable]) -> Forest {
    let trees = forest.trees.iter().map(|tree| restore_tree(tree, tables)).collect();
    Forest { trees, ..forest.clone() }
}

fn restore_tree(tree: &Tree, tables: &[LevelTable]) -> Tree {
    let mut level_sets = tree.level_sets.clone();
    let mut restore_node = |node: &Node| match *node {
        Node::Numeric { feature, threshold, left, right, .. } => {
            let Some(table) = tables.iter().find(|table| table.feature == feature as usize) else { return *node };
            let mut set = [0_u64; 4];
            // Codes behind the last level are unseen ones, as in the table.
            for code in 0..256 {
                if table.value(code as f32) <= threshold {
                    set[code / 64] |= 1 << (code % 64);
                }
            }
            level_sets.push(set);
            let level_set = level_sets.len() as u32 - 1;
            Node::Categorical { feature, level_set, missing_left: table.missing <= threshold, left, right }
        }
        other => other,
    };
    let nodes = tree.nodes.iter().map(&mut restore_node).collect();
    Tree { nodes, level_sets }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;
    use crate::params::GbtParams;
    use orderguard_inference::tree::raw_score_naive;
    use proptest::prelude::*;

    const N_LEVELS: u32 = 40;
    const KINDS: [FeatureKind; 3] = [
        FeatureKind::Categorical { n_levels: N_LEVELS },
        FeatureKind::Numeric,
        FeatureKind::Categorical { n_levels: 3 },
    ];

    fn data(n: usize) -> (Matrix, Vec<u8>) {
        let draw = |i: usize, k: u64| hash3(9, i as u64, k) % 1_000;
        let code = |i: usize| match draw(i, 0) {
            0..50 => f32::NAN,
            other => (other % 30) as f32,
        };
        let mut values: Vec<f32> = (0..n).map(code).collect();
        values.extend((0..n).map(|i| draw(i, 1) as f32));
        values.extend((0..n).map(|i| (draw(i, 2) % 3) as f32));
        let labels = (0..n).map(|i| u8::from(draw(i, 3) < if code(i) == 7.0 { 600 } else { 100 })).collect();
        (Matrix::from_columns(n, 3, values), labels)
    }

    #[test]
    fn statistics_are_those_of_the_rows_before() {
        let (matrix, labels) = data(3_000);
        let rows: Vec<u32> = (0..3_000).collect();
        let samples = Samples { matrix: &matrix, rows: &rows, labels: &labels };
        let params = OrderedParams::default();
        let encoded = encode(&params, &KINDS, &samples).unwrap();
        assert_eq!(encoded.kinds, [FeatureKind::Numeric, FeatureKind::Numeric, KINDS[2]]);
        assert_eq!((encoded.matrix.column(1), encoded.matrix.column(2)), (matrix.column(1), matrix.column(2)));
        let mut order: Vec<u32> = rows.clone();
        order.sort_by_key(|&i| (hash3(1, u64::from(i), 0x0D), i));
        let prior = samples.n_fraud() as f64 / 3_000.0;
        let cells = matrix.column(0);
        let same = |a: f32, b: f32| a == b || (a.is_nan() && b.is_nan());
        let naive = |before: &[u32], x: f32| {
            let alike: Vec<&u32> = before.iter().filter(|&&j| same(cells[j as usize], x)).collect();
            let n_fraud = alike.iter().map(|&&j| f64::from(labels[j as usize])).sum::<f64>();
            ((n_fraud + 20.0 * prior) / (alike.len() as f64 + 20.0)) as f32
        };
        for at in (0..3_000).step_by(97) {
            let i = order[at] as usize;
            assert_eq!(encoded.matrix.column(0)[i], naive(&order[..at], cells[i]), "{at}");
        }
        let table = &encoded.tables[0];
        for x in [0.0, 7.0, 29.0, f32::NAN] {
            assert_eq!(table.value(x), naive(&order, x), "{x}");
        }
        // Levels that never came, and what is no level, stand for the overall share.
        for x in [35.0, 40.0, 41.0, 1e30, 0.5, -1.0, f32::INFINITY] {
            assert_eq!(table.value(x), prior as f32, "{x}");
        }
        assert!(table.value(7.0) > 0.4 && table.value(8.0) < 0.2);
    }

    #[test]
    fn a_level_of_one_row_tells_nothing_about_its_label() {
        let n = 200;
        let matrix = Matrix::from_columns(n, 1, (0..n).map(|i| i as f32).collect());
        let rows: Vec<u32> = (0..n as u32).collect();
        let labels: Vec<u8> = (0..n).map(|i| u8::from(i % 3 == 0)).collect();
        let samples = Samples { matrix: &matrix, rows: &rows, labels: &labels };
        let kinds = [FeatureKind::Categorical { n_levels: 200 }];
        let encoded = encode(&OrderedParams::default(), &kinds, &samples).unwrap();
        assert!(encoded.matrix.column(0).windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn levels_of_chance_fool_fewer_trees_than_as_sets() {
        // A tenth of the levels is risky, the others differ by chance; a fifth of the rows tests.
        let (n, n_levels) = (8_000, 200);
        let code = |i: usize| (hash3(4, i as u64, 0) % n_levels) as f32;
        let risk = |i: usize| if code(i) < 20.0 { 300 } else { 30 };
        let labels: Vec<u8> = (0..n).map(|i| u8::from(hash3(4, i as u64, 1) % 1_000 < risk(i))).collect();
        let matrix = Matrix::from_columns(n, 1, (0..n).map(code).collect());
        let rows: Vec<u32> = (0..n as u32).collect();
        let cut = n * 4 / 5;
        let train = Samples { matrix: &matrix, rows: &rows[..cut], labels: &labels[..cut] };
        let kinds = [FeatureKind::Categorical { n_levels: n_levels as u32 }];
        let params = GbtParams { min_rows_per_leaf: 20, ..GbtParams::default() }.check().unwrap();
        let mut go = |_: &boosting::Round<'_>| ControlFlow::Continue(());
        let ordered = fit_encoded(&params, &OrderedParams::default(), &kinds, &train, 60, &mut go).unwrap();
        let sets = boosting::fit_rounds(&params, &kinds, &train, 60, &Extras::default(), &mut go).unwrap();
        let loss = |forest: &Forest| {
            let raw = |i: usize| raw_score_naive(forest, &[code(i)]);
            (cut..n).map(|i| (1.0 + (if labels[i] == 1 { -raw(i) } else { raw(i) }).exp()).ln()).sum::<f64>()
        };
        assert!(loss(&ordered.forest) < 0.95 * loss(&sets.forest));
        assert!(
            ordered.forest.trees.iter().flat_map(|tree| &tree.nodes).all(|node| !matches!(node, Node::Numeric { .. }))
        );
    }

    #[test]
    fn refuses_what_no_model_can_hold() {
        let matrix = Matrix::from_columns(2, 1, vec![0.0, 1.0]);
        let samples = Samples { matrix: &matrix, rows: &[0, 1], labels: &[0, 1] };
        let kinds = [FeatureKind::Categorical { n_levels: 256 }];
        let error = encode(&OrderedParams::default(), &kinds, &samples).unwrap_err();
        assert_eq!(error, EncodeError::TooManyLevels { feature: 0, n_levels: 256 });
        let params = OrderedParams { prior_rows: 0.0, ..Default::default() };
        assert!(matches!(encode(&params, &kinds, &samples), Err(EncodeError::Param(_))));
    }

    proptest! {
        #[test]
        fn restored_trees_score_codes_as_the_others_score_statistics(
            thresholds in prop::collection::vec(0.0..0.7f32, 3),
            codes in prop::collection::vec((0..45u8).prop_map(f32::from), 1..40),
            odd in prop::sample::select(vec![f32::NAN, 0.5, -1.0, -0.0, 255.0]),
        ) {
            let (matrix, labels) = data(800);
            let rows: Vec<u32> = (0..800).collect();
            let samples = Samples { matrix: &matrix, rows: &rows, labels: &labels };
            let encoded = encode(&OrderedParams::default(), &KINDS, &samples).unwrap();
            let split = |threshold, left, right| Node::Numeric { feature: 0, threshold, missing_left: true, left, right };
            let leaf = |value| Node::Leaf { value };
            let nodes = vec![
                split(thresholds[0], 1, 2),
                split(thresholds[1], 3, 4),
                Node::Numeric { feature: 1, threshold: 500.0, missing_left: false, left: 5, right: 6 },
                leaf(1), leaf(2), leaf(4), split(thresholds[2], 7, 8), leaf(8), leaf(16),
            ];
            let forest =
                Forest { n_features: 3, base: 0, scale_bits: 0, trees: vec![Tree { nodes, level_sets: vec![[5, 0, 0, 0]] }] };
            let restored = restore(&forest, &encoded.tables);
            for code in codes.into_iter().chain([odd]) {
                for other in [100.0, 900.0] {
                    // What is no whole number is unseen in the table, and goes right in a level set.
                    let is_code = code.is_nan() || code.fract() == 0.0 && code >= 0.0;
                    if is_code {
                        let as_number = raw_score_naive(&forest, &[encoded.tables[0].value(code), other, 0.0]);
                        prop_assert_eq!(raw_score_naive(&restored, &[code, other, 0.0]), as_number, "{}", code);
                    }
                }
            }
        }
    }
}
