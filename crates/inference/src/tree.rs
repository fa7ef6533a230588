//! The obvious way to score with trees, one node after the other: the oracle that every engine is tested against.

use crate::model::{Forest, Node, Tree};

/// Raw score of a row, by walking each tree from its root. The meaning of a forest; engines give the same bits, faster.
///
/// `row` holds `n_features` values, NaN = missing. The forest must be one that [`check`](crate::validate::check) accepts; on
/// any other, children that do not exist end the walk with nothing added, so that it neither panics nor hangs.
pub fn raw_score_naive(forest: &Forest, row: &[f32]) -> f64 {
    let sum = forest.trees.iter().fold(forest.base, |sum, tree| sum.wrapping_add(i64::from(leaf_value(tree, row))));
    scaled(sum, forest.scale_bits)
}

/// A fixed-point sum as a raw score: `sum * 2^-scale_bits`, exact below 2^53.
pub(crate) fn scaled(sum: i64, scale_bits: u8) -> f64 {
    sum as f64 * unit(scale_bits)
}

/// What one step of the fixed-point sum is worth: `2^-scale_bits`.
pub(crate) fn unit(scale_bits: u8) -> f64 {
    1.0 / (1u64 << scale_bits.min(63)) as f64
}

fn leaf_value(tree: &Tree, row: &[f32]) -> i32 {
    let mut at = 0;
    // Children stand after their parent, so a walk takes at most as many steps as there are nodes.
    for _ in 0..tree.nodes.len() {
        let (goes_left, left, right) = match tree.nodes.get(at as usize) {
            None => return 0,
            Some(Node::Leaf { value }) => return *value,
            Some(&Node::Numeric { feature, threshold, missing_left, left, right }) => {
                let x = value_of(row, feature);
                (if x.is_nan() { missing_left } else { x <= threshold }, left, right)
            }
            Some(&Node::Categorical { feature, level_set, missing_left, left, right }) => {
                let x = value_of(row, feature);
                let in_set = || tree.level_sets.get(level_set as usize).is_some_and(|set| contains(set, x));
                (if x.is_nan() { missing_left } else { in_set() }, left, right)
            }
        };
        at = if goes_left { left } else { right };
    }
    0
}

fn value_of(row: &[f32], feature: u32) -> f32 {
    row.get(feature as usize).copied().unwrap_or(f32::NAN)
}

/// Whether a level code is in a set. Only whole numbers from 0 to 255 can be; -0 is 0, everything else is in no set.
pub fn contains(set: &[u64; 4], code: f32) -> bool {
    // The cast saturates and sends NaN to 0; what is not a whole number in range differs from its own cast.
    let level = code as u8;
    f32::from(level) == code && set[usize::from(level / 64)] >> (level % 64) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_numbers_below_256_are_in_a_set() {
        let all = [u64::MAX; 4];
        for code in 0..256u16 {
            assert!(contains(&all, f32::from(code)));
        }
        for odd in [-1.0, -0.5, 0.5, 255.5, 256.0, 1e9, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, f32::MIN_POSITIVE] {
            assert!(!contains(&all, odd), "{odd}");
        }
        assert!(contains(&all, -0.0));
        let some = [1, 0, 1 << 5, 1 << 63];
        let members: Vec<u16> = (0..300).filter(|&code| contains(&some, f32::from(code))).collect();
        assert_eq!(members, [0, 133, 255]);
    }

    #[test]
    fn walks_by_threshold_and_default_side() {
        let nodes = vec![
            Node::Numeric { feature: 0, threshold: 1.5, missing_left: false, left: 1, right: 2 },
            Node::Leaf { value: 3 },
            Node::Categorical { feature: 1, level_set: 0, missing_left: true, left: 3, right: 4 },
            Node::Leaf { value: -5 },
            Node::Leaf { value: 8 },
        ];
        let tree = Tree { nodes, level_sets: vec![[0b10, 0, 0, 0]] };
        let forest = Forest { n_features: 2, base: 4, scale_bits: 2, trees: vec![tree.clone(), tree] };
        for (row, expected) in [
            ([1.5, 0.0], 2.5),
            ([1.6, 1.0], -1.5),
            ([f32::NAN, 0.0], 5.0),
            ([9.0, f32::NAN], -1.5),
            ([f32::NEG_INFINITY, 0.0], 2.5),
        ] {
            assert_eq!(raw_score_naive(&forest, &row), expected, "{row:?}");
        }
    }

    #[test]
    fn broken_trees_end_the_walk() {
        let node = |left, right| Node::Numeric { feature: 7, threshold: 0.0, missing_left: true, left, right };
        for nodes in [vec![], vec![node(0, 0)], vec![node(9, 9)]] {
            let trees = vec![Tree { nodes, level_sets: vec![] }];
            assert_eq!(raw_score_naive(&Forest { n_features: 1, base: 1, scale_bits: 0, trees }, &[0.0]), 1.0);
        }
    }
}
