//! What each feature adds, against the definition: Shapley values by going through all subsets of features.

use proptest::prelude::*;

use crate::engine::Width;
use crate::explain::{ExplainScratch, Explainer, MAX_PATH};
use crate::wide::{Codes, Missing, WideForest, WideNode, WideTree, raw_score_naive};
use crate::{ModelError, ScoreError};

const UNIT: f64 = 1.0 / (1u64 << 30) as f64;

/// A tree grown by `draws`: which leaf is split on which feature, where, how many training rows go left, leaf values.
fn tree(n_features: u32, draws: &[(u8, u8, i8, u8, i32)]) -> WideTree {
    let mut tree = WideTree { nodes: vec![WideNode::Leaf { value: 1 << 28 }], words: vec![0b1010], n_rows: vec![5000] };
    for &(which, feature, cut, share, value) in draws {
        let leaves: Vec<usize> = (0..tree.nodes.len()).filter(|&at| tree.nodes[at].children().is_none()).collect();
        let at = leaves[usize::from(which) % leaves.len()];
        let (left, right) = (tree.nodes.len() as u32, tree.nodes.len() as u32 + 1);
        tree.nodes
            .extend([WideNode::Leaf { value: i64::from(value) }, WideNode::Leaf { value: -i64::from(value) / 3 }]);
        let n_left = tree.n_rows[at] * u64::from(share) / 255;
        tree.n_rows.extend([n_left, tree.n_rows[at] - n_left]);
        let feature = u32::from(feature) % n_features;
        tree.nodes[at] = if cut == 0 {
            WideNode::Categorical { feature, first_word: 0, n_words: 1, missing_left: false, left, right }
        } else {
            let missing = Missing { left: cut > 0, zero: cut % 5 == 0 };
            WideNode::Numeric { feature, threshold: f64::from(cut) / 16.0, missing, left, right }
        };
    }
    tree
}

/// The mean of a tree's leaves for a row of which only the features in `known` are known: where another one is asked, rows go
/// both ways as in training.
fn mean(tree: &WideTree, codes: Codes, row: &[f64], known: u32, at: usize) -> f64 {
    let node = &tree.nodes[at];
    let (Some((left, right)), Some(feature)) = (node.children(), node.feature()) else {
        let WideNode::Leaf { value } = *node else { unreachable!("it has no children") };
        return value as f64 * UNIT;
    };
    let (left, right) = (left as usize, right as usize);
    if known >> feature & 1 == 1 {
        let goes_left = node.goes_left(&tree.words, codes, row[feature as usize]);
        return mean(tree, codes, row, known, if goes_left { left } else { right });
    }
    let share = if tree.n_rows[at] == 0 { 0.5 } else { tree.n_rows[left] as f64 / tree.n_rows[at] as f64 };
    share * mean(tree, codes, row, known, left) + (1.0 - share) * mean(tree, codes, row, known, right)
}

/// Shapley values by their definition.
fn by_subsets(forest: &WideForest, row: &[f64]) -> Vec<f64> {
    let n = forest.n_features;
    let factorial = |n: u32| (1..=n).map(f64::from).product::<f64>();
    let value = |known: u32| forest.trees.iter().map(|tree| mean(tree, forest.codes, row, known, 0)).sum::<f64>();
    let values: Vec<f64> = (0..1u32 << n).map(value).collect();
    let of = |feature: u32| {
        let without = (0..1u32 << n).filter(|known| known >> feature & 1 == 0);
        let part = |known: u32| {
            let size = known.count_ones();
            let weight = factorial(size) * factorial(n - 1 - size) / factorial(n);
            weight * (values[(known | 1 << feature) as usize] - values[known as usize])
        };
        without.map(part).sum()
    };
    (0..n).map(of).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]

    #[test]
    fn parts_are_shapley_values_and_sum_to_the_score(
        n_features in 1u32..8,
        trees in prop::collection::vec(
            prop::collection::vec((any::<u8>(), any::<u8>(), any::<i8>(), any::<u8>(), -(1i32 << 30)..1 << 30), 0..14), 1..4),
        values in prop::collection::vec(prop_oneof![Just(f64::NAN), Just(0.0), Just(3.0), -8.0..8.0f64], 8),
    ) {
        let trees = trees.iter().map(|draws| tree(n_features, draws)).collect();
        let forest = WideForest { n_features, base: 77, scale_bits: 30, codes: Codes::Whole, trees };
        let row = &values[..n_features as usize];
        let explainer = Explainer::compile(&forest).unwrap();
        let expected = by_subsets(&forest, row);
        let mut found = vec![9.0; row.len()];
        let mut bits: Option<Vec<u64>> = None;
        let mut scratch = ExplainScratch::default();
        for width in Width::available() {
            explainer.clone().with_width(width).explain(row, &mut scratch, &mut found).unwrap();
            for (found, expected) in found.iter().zip(&expected) {
                prop_assert!((found - expected).abs() < 1e-6, "{found} {expected}");
            }
            let now: Vec<u64> = found.iter().map(|part| part.to_bits()).collect();
            prop_assert_eq!(bits.get_or_insert_with(|| now.clone()), &now);
        }
        let sum = explainer.expected() + found.iter().sum::<f64>();
        prop_assert!((sum - raw_score_naive(&forest, row)).abs() < 1e-9);
    }
}

/// A chain that asks `n` different features, one after the other.
fn chain(n: u32) -> WideForest {
    let mut tree = WideTree { nodes: Vec::new(), words: Vec::new(), n_rows: Vec::new() };
    for feature in 0..n {
        let missing = Missing { left: true, zero: false };
        let (left, right) = (2 * feature + 1, 2 * feature + 2);
        tree.nodes.push(WideNode::Numeric { feature, threshold: 0.5, missing, left, right });
        tree.nodes.push(WideNode::Leaf { value: i64::from(feature) << 20 });
        tree.n_rows.extend([3 * u64::from(n - feature), 3]);
    }
    tree.nodes.push(WideNode::Leaf { value: 1 << 29 });
    tree.n_rows.push(1);
    WideForest { n_features: n, base: 0, scale_bits: 30, codes: Codes::Whole, trees: vec![tree] }
}

#[test]
fn long_paths_sum_to_the_score_too() {
    for n in [8, 9, 16, 17, 100, MAX_PATH as u32] {
        let forest = chain(n);
        let explainer = Explainer::compile(&forest).unwrap();
        let row: Vec<f64> = (0..n).map(|feature| f64::from(u8::from(feature + 3 < n))).collect();
        let mut parts = vec![0.0; n as usize];
        explainer.explain(&row, &mut ExplainScratch::default(), &mut parts).unwrap();
        let sum = explainer.expected() + parts.iter().sum::<f64>();
        assert!((sum - raw_score_naive(&forest, &row)).abs() < 1e-9, "{n}");
    }
    let refused = Explainer::compile(&chain(MAX_PATH as u32 + 1)).unwrap_err();
    assert_eq!(refused, ModelError::Count { of: "features on one path", found: 257, limit: 256 });
}

#[test]
fn trees_without_counts_and_rows_of_another_length_are_refused() {
    let mut forest = chain(2);
    let explainer = Explainer::compile(&forest).unwrap();
    let mut scratch = ExplainScratch::default();
    let short = explainer.explain(&[1.0], &mut scratch, &mut [0.0; 2]);
    assert_eq!(short, Err(ScoreError::RowLength { found: 1, expected: 2 }));
    let narrow = explainer.explain(&[1.0; 2], &mut scratch, &mut [0.0; 1]);
    assert_eq!(narrow, Err(ScoreError::OutputLength { found: 1, expected: 2 }));
    forest.trees[0].n_rows.clear();
    assert!(matches!(Explainer::compile(&forest), Err(ModelError::Length { .. })));
}
