//! Adds a grown tree to the scores of all rows.

use rayon::prelude::*;

use crate::binning::{BinnedMatrix, MISSING_BIN};
use crate::grower::{GrownNode, GrownTree};
use crate::splitting::{BinSet, Split, has};
use crate::vector::{Kernel, Width};

/// Rows that one task scores.
const TASK_ROWS: usize = 1 << 14;
/// Rows that go down the tree together.
const LANES: usize = 256;
/// Trees of more leaves are walked row by row: their nodes outnumber the steps to a leaf by too much.
const MAX_LEAVES_ABREAST: usize = 96;

/// Adds the value of its leaf to the fixed-point score of every row of the matrix. Parallel; integers, hence exact.
///
/// Small trees: all nodes are evaluated for 256 rows at a time, byte by byte, without looking anything up. A node passes to
/// each child the rows that reach it, as bytes of all ones or zeroes:
///
/// ```text
/// reach root    FF FF FF FF
/// bin <= last   FF 00 00 FF
/// reach left    FF 00 00 FF    = reach root AND (bin <= last)
/// reach right   00 FF FF 00    = reach root AND NOT (bin <= last)
/// ```
pub(crate) fn add_tree(width: Width, tree: &GrownTree, binned: &BinnedMatrix, scores: &mut [i64]) {
    let steps: Vec<Step> = tree.nodes.iter().map(Step::new).collect();
    let n_leaves = steps.iter().filter(|step| matches!(step, Step::Leaf(_))).count();
    let abreast = n_leaves <= MAX_LEAVES_ABREAST;
    scores.par_chunks_mut(TASK_ROWS).enumerate().for_each(|(task, scores)| {
        let first = task * TASK_ROWS;
        if !abreast {
            for (row, score) in (first..).zip(scores) {
                *score += i64::from(walk(&tree.nodes, binned, row));
            }
            return;
        }
        let mut reach = vec![[0_u8; LANES]; steps.len()];
        for (i, scores) in scores.chunks_mut(LANES).enumerate() {
            let first = first + i * LANES;
            width.run(Descend { steps: &steps, binned, first, reach: &mut reach, scores });
        }
    });
}

/// A node, prepared.
enum Step {
    Leaf(i64),
    /// Left: `bin + lift <= last`, in arithmetic modulo 256, which takes the bin of missing values round to 0.
    Numeric {
        column: usize,
        lift: u8,
        last: u8,
        left: usize,
        right: usize,
    },
    Categorical {
        column: usize,
        left_bins: BinSet,
        left: usize,
        right: usize,
    },
}

impl Step {
    fn new(node: &GrownNode) -> Self {
        match node {
            GrownNode::Leaf { value } => Self::Leaf(i64::from(*value)),
            GrownNode::Split { split, left, right } => {
                let (left, right) = (*left as usize, *right as usize);
                let Split { column, left_bins, .. } = *split;
                let last = split.last_left_bin;
                let lift = u8::from(split.missing_left);
                if split.categorical {
                    Self::Categorical { column, left_bins, left, right }
                } else {
                    Self::Numeric { column, lift, last: last + lift, left, right }
                }
            }
        }
    }
}

struct Descend<'a> {
    steps: &'a [Step],
    binned: &'a BinnedMatrix,
    first: usize,
    /// For each node the rows that reach it.
    reach: &'a mut [[u8; LANES]],
    scores: &'a mut [i64],
}

impl Kernel for Descend<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { steps, binned, first, reach, scores } = self;
        let n = scores.len();
        reach[0] = [0xFF; LANES];
        let mut leaf_of = [0_u8; LANES];
        let mut values = [0_i64; 256];
        let mut n_leaves = 0;
        for (i, step) in steps.iter().enumerate() {
            let here = reach[i];
            match step {
                Step::Leaf(value) => {
                    values[n_leaves & 255] = *value;
                    for (leaf, here) in leaf_of.iter_mut().zip(&here) {
                        *leaf |= here & n_leaves as u8;
                    }
                    n_leaves += 1;
                }
                Step::Numeric { column, lift, last, left, right } => {
                    let bins = &binned.column(*column)[first..first + n];
                    let mut to_left = [0_u8; LANES];
                    for ((out, bin), here) in to_left.iter_mut().zip(bins).zip(&here) {
                        let is_left = if bin.wrapping_add(*lift) <= *last { 0xFF } else { 0 };
                        *out = here & is_left;
                    }
                    for ((out, here), to_left) in reach[*right].iter_mut().zip(&here).zip(&to_left) {
                        *out = here & !to_left;
                    }
                    reach[*left] = to_left;
                }
                Step::Categorical { column, left_bins, left, right } => {
                    let bins = &binned.column(*column)[first..first + n];
                    let mut to_left = [0_u8; LANES];
                    for ((out, &bin), here) in to_left.iter_mut().zip(bins).zip(&here) {
                        *out = if has(left_bins, bin) { *here } else { 0 };
                    }
                    for ((out, here), to_left) in reach[*right].iter_mut().zip(&here).zip(&to_left) {
                        *out = here & !to_left;
                    }
                    reach[*left] = to_left;
                }
            }
        }
        for (score, leaf) in scores.iter_mut().zip(leaf_of) {
            *score += values[usize::from(leaf)];
        }
    }
}

/// The value of the leaf that a row reaches, step by step.
fn walk(nodes: &[GrownNode], binned: &BinnedMatrix, row: usize) -> i32 {
    let mut at = 0;
    loop {
        match &nodes[at] {
            GrownNode::Leaf { value } => return *value,
            GrownNode::Split { split, left, right } => {
                let bin = binned.bin(row, split.column);
                let goes_left = if split.categorical {
                    has(&split.left_bins, bin)
                } else if bin == MISSING_BIN {
                    split.missing_left
                } else {
                    bin <= split.last_left_bin
                };
                at = if goes_left { *left } else { *right } as usize;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::hash3;
    use orderguard_features::language::spec::FeatureKind;
    use orderguard_features::matrix::Matrix;
    use proptest::prelude::*;

    /// A tree of random splits; children stand after their parent.
    fn random_tree(binned: &BinnedMatrix, n_splits: usize, seed: u64) -> GrownTree {
        let draw = |i: usize, key: u64, n: usize| hash3(seed, i as u64, key) as usize % n;
        let mut nodes = vec![GrownNode::Leaf { value: 7 }];
        for i in 0..n_splits {
            let leaves: Vec<usize> =
                (0..nodes.len()).filter(|&at| matches!(nodes[at], GrownNode::Leaf { .. })).collect();
            let at = leaves[draw(i, 0, leaves.len())];
            let column = draw(i, 1, binned.features().len());
            let feature = &binned.features()[column];
            let categorical = matches!(feature.bins, crate::binning::FeatureBins::Categorical { .. });
            let last_left_bin = draw(i, 2, feature.bins.n_bins() - 1) as u8;
            let missing_left = draw(i, 3, 2) == 0;
            let mut left_bins = [0; 4];
            for bin in 0..=255_u8 {
                let inside = if bin == MISSING_BIN {
                    missing_left
                } else if categorical {
                    hash3(seed, i as u64, 9 + u64::from(bin)).is_multiple_of(2)
                } else {
                    bin <= last_left_bin
                };
                left_bins[usize::from(bin) / 64] |= u64::from(inside) << (bin % 64);
            }
            let split = Split { gain: 1.0, column, left_bins, missing_left, last_left_bin, categorical, left: [0, 0] };
            let (left, right) = (nodes.len() as u32, nodes.len() as u32 + 1);
            nodes[at] = GrownNode::Split { split, left, right };
            nodes.extend([0, 1].map(|side| GrownNode::Leaf { value: draw(i, 5 + side, 1000) as i32 - 500 }));
        }
        GrownTree { nodes }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn every_row_gets_the_value_of_its_leaf(n_splits in 0_usize..130, n_rows in 2_usize..900, seed in any::<u64>()) {
            let kinds = [FeatureKind::Numeric, FeatureKind::Categorical { n_levels: 40 }, FeatureKind::Numeric];
            let cell = |i: usize| match hash3(seed, i as u64, 1) % 43 { 42 => f32::NAN, x => x as f32 };
            let matrix = Matrix::from_columns(n_rows, 3, (0..3 * n_rows).map(cell).collect());
            let rows: Vec<u32> = (0..n_rows as u32).collect();
            let binned = BinnedMatrix::new(&kinds, &[(&matrix, &rows)], 255);
            prop_assume!(binned.features().len() == 3);
            let tree = random_tree(&binned, n_splits, seed);
            let naive = |row: usize| {
                let mut at = 0;
                loop {
                    match &tree.nodes[at] {
                        GrownNode::Leaf { value } => break i64::from(*value),
                        GrownNode::Split { split, left, right } => {
                            let inside = has(&split.left_bins, binned.bin(row, split.column));
                            at = if inside { *left } else { *right } as usize;
                        }
                    }
                }
            };
            for width in Width::available() {
                let mut scores: Vec<i64> = (0..n_rows as i64).collect();
                add_tree(width, &tree, &binned, &mut scores);
                for (row, score) in scores.into_iter().enumerate() {
                    prop_assert_eq!(score, row as i64 + naive(row), "{} row {}", width.name(), row);
                }
            }
        }
    }
}
