//! Grows one tree best-first: always the leaf whose split gains most is split next.

use std::ops::Range;

use orderguard_inference::model::{Node, Tree};
use rayon::prelude::*;

use crate::binning::{BinnedMatrix, FeatureBins, MISSING_BIN};
use crate::histogram::{BLOCK_ENTRIES, Entry, N_BINS, build_from_rows, minus, plus};
use crate::numeric::to_fixed;
use crate::params::CheckedGbtParams;
use crate::splitting::{Judge, Split, has, partition};

/// Cells from which a further thread is worth its own histogram.
const CELLS_PER_PART: usize = 1 << 16;
/// Histograms of open leaves are kept for subtraction while all together stay below this.
const MAX_HISTOGRAM_BYTES: usize = 1 << 30;

/// A tree in terms of bins; node 0 is the root, children stand after their parent.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct GrownTree {
    pub(crate) nodes: Vec<GrownNode>,
}

/// A split or a leaf of a [`GrownTree`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum GrownNode {
    Split { split: Split, left: u32, right: u32 },
    Leaf { value: i32 },
}

impl GrownTree {
    /// The same tree on raw values: bin numbers become thresholds and level sets. Level sets that occur twice are stored once.
    pub(crate) fn into_tree(self, binned: &BinnedMatrix) -> Tree {
        let mut level_sets: Vec<[u64; 4]> = Vec::new();
        let nodes = self.nodes.into_iter().map(|node| match node {
            GrownNode::Leaf { value } => Node::Leaf { value },
            GrownNode::Split { split, left, right } => {
                let feature = &binned.features()[split.column];
                let missing_left = split.missing_left;
                match &feature.bins {
                    FeatureBins::Numeric { thresholds } => {
                        let threshold = thresholds[usize::from(split.last_left_bin)];
                        Node::Numeric { feature: feature.feature, threshold, missing_left, left, right }
                    }
                    FeatureBins::Categorical { levels } => {
                        let mut set = [0; 4];
                        for (bin, &level) in levels.iter().enumerate() {
                            if has(&split.left_bins, bin as u8) {
                                set[usize::from(level) / 64] |= 1 << (level % 64);
                            }
                        }
                        let known = level_sets.iter().position(|&other| other == set);
                        let level_set = known.unwrap_or_else(|| {
                            level_sets.push(set);
                            level_sets.len() - 1
                        }) as u32;
                        Node::Categorical { feature: feature.feature, level_set, missing_left, left, right }
                    }
                }
            }
        });
        Tree { nodes: nodes.collect(), level_sets }
    }

    /// Sends rows down the tree: reorders `rows` so that those of one leaf stand together, in their order, and lists the
    /// leaves' ranges with their values. `scratch` is as long as `rows`.
    pub(crate) fn sort_into_leaves(
        &self,
        binned: &BinnedMatrix,
        rows: &mut [u32],
        scratch: &mut [u32],
    ) -> Vec<(Range<usize>, i32)> {
        let mut leaves = Vec::new();
        let mut open = vec![(0_usize, 0..rows.len())];
        while let Some((node, range)) = open.pop() {
            match &self.nodes[node] {
                GrownNode::Leaf { value } => leaves.push((range, *value)),
                GrownNode::Split { split, left, right } => {
                    let rows = &mut rows[range.clone()];
                    let n_left = partition(binned, split.column, &split.left_bins, rows, &mut scratch[range.clone()]);
                    let middle = range.start + n_left;
                    open.push((*left as usize, range.start..middle));
                    open.push((*right as usize, middle..range.end));
                }
            }
        }
        leaves
    }
}

/// A leaf that may still be split.
struct OpenLeaf {
    node: usize,
    rows: Range<usize>,
    total: Entry,
    depth: usize,
    hist: Option<Vec<Entry>>,
    split: Split,
}

/// Working memory that is kept from tree to tree.
#[derive(Default)]
pub(crate) struct Grower {
    /// Rows to grow on, increasing; afterwards grouped by leaf.
    pub(crate) rows: Vec<u32>,
    scratch: Vec<u32>,
    free_histograms: Vec<Vec<Entry>>,
}

/// What one tree is grown from.
pub(crate) struct Task<'a> {
    pub(crate) binned: &'a BinnedMatrix,
    pub(crate) gradients: &'a [[i32; 2]],
    pub(crate) judge: Judge,
    pub(crate) params: &'a CheckedGbtParams,
    /// Which binned features may be used.
    pub(crate) allowed: &'a [bool],
}

impl Grower {
    /// Grows a tree on `self.rows`. Returns it with the range of `self.rows` of each leaf and the leaf's value.
    pub(crate) fn grow(&mut self, task: &Task<'_>) -> (GrownTree, Vec<(Range<usize>, i32)>) {
        let params = task.params;
        let packing = task.judge.packing;
        let n_rows = self.rows.len();
        self.scratch.resize(n_rows, 0);
        let total = self
            .rows
            .par_chunks(CELLS_PER_PART)
            .map(|rows| rows.iter().fold([0, 0], |sum, &row| plus(sum, packing.entry(task.gradients[row as usize]))))
            .reduce(|| [0, 0], plus);
        let leaf = |total: Entry| {
            let value = task.judge.leaf_value(packing.sums(total)) * params.learning_rate;
            GrownNode::Leaf { value: to_fixed(value) as i32 }
        };
        let mut nodes = vec![leaf(total)];
        let mut closed: Vec<(Range<usize>, usize)> = Vec::new();
        let mut open: Vec<OpenLeaf> = Vec::new();

        let may_split = |total: Entry, depth: usize| {
            let sums = packing.sums(total);
            depth < params.max_depth
                && u64::from(sums.n_rows) >= 2 * params.min_rows_per_leaf as u64
                && sums.hessian >= 2.0 * params.min_child_weight
        };
        let keep_histograms =
            task.binned.n_blocks() * BLOCK_ENTRIES * size_of::<Entry>() * params.max_leaves <= MAX_HISTOGRAM_BYTES;
        if may_split(total, 0) {
            let mut hist = self.take_histogram(task.binned);
            let parts = self.build(task, 0..n_rows, &mut hist);
            let split = search(task, &parts, &mut hist, total);
            self.free_histograms.extend(parts);
            self.settle(0, 0..n_rows, total, 0, Some(hist), split, &mut open, &mut closed);
        } else {
            closed.push((0..n_rows, 0));
        }

        while nodes.len() < 2 * params.max_leaves - 1 {
            // Equal gains: the leaf that is older.
            let Some(best) = (0..open.len()).reduce(|a, b| {
                let (x, y) = (&open[a], &open[b]);
                if y.split.gain > x.split.gain || (y.split.gain == x.split.gain && y.node < x.node) { b } else { a }
            }) else {
                break;
            };
            let OpenLeaf { node, rows, total, depth, hist, split } = open.swap_remove(best);
            let n_left = partition(
                task.binned,
                split.column,
                &split.left_bins,
                &mut self.rows[rows.clone()],
                &mut self.scratch[rows.clone()],
            );
            debug_assert_eq!(n_left, packing.n_rows(split.left) as usize, "the partition agrees with the histogram");
            let (left_total, right_total) = (split.left, minus(total, split.left));
            let left_rows = rows.start..rows.start + n_left;
            let right_rows = rows.start + n_left..rows.end;
            let (left, right) = (nodes.len(), nodes.len() + 1);
            nodes.push(leaf(left_total));
            nodes.push(leaf(right_total));
            nodes[node] = GrownNode::Split { split, left: left as u32, right: right as u32 };

            let depth = depth + 1;
            let finished = nodes.len() >= 2 * params.max_leaves - 1;
            let splittable = |total| !finished && may_split(total, depth);
            let (left_open, right_open) = (splittable(left_total), splittable(right_total));
            if !left_open && !right_open {
                closed.push((left_rows, left));
                closed.push((right_rows, right));
                self.free_histograms.extend(hist);
                continue;
            }
            let left_is_small = left_rows.len() <= right_rows.len();
            let side = |small: bool| {
                if small == left_is_small {
                    (left, left_rows.clone(), left_total, left_open)
                } else {
                    (right, right_rows.clone(), right_total, right_open)
                }
            };
            let (small, large) = (side(true), side(false));
            let mut small_hist = self.take_histogram(task.binned);
            let (small_split, large_split, large_hist);
            if let Some(mut parent_hist) = hist {
                let parts = self.build(task, small.1.clone(), &mut small_hist);
                (small_split, large_split) = search_both(
                    task,
                    &parts,
                    &mut small_hist,
                    &mut parent_hist,
                    small.3.then_some(small.2),
                    large.3.then_some(large.2),
                );
                self.free_histograms.extend(parts);
                large_hist = Some(parent_hist);
            } else {
                // Without the parent's histogram both are summed from rows.
                let mut from_rows = |side: &(usize, Range<usize>, Entry, bool), hist: &mut Vec<Entry>| {
                    if !side.3 {
                        return None;
                    }
                    let parts = self.build(task, side.1.clone(), hist);
                    let split = search(task, &parts, hist, side.2);
                    self.free_histograms.extend(parts);
                    split
                };
                large_split = from_rows(&large, &mut small_hist);
                small_split = from_rows(&small, &mut small_hist);
                large_hist = None;
            }
            let mut hists = [Some(small_hist), large_hist];
            if !keep_histograms {
                self.free_histograms.extend(hists.iter_mut().filter_map(Option::take));
            }
            let [small_hist, large_hist] = hists;
            self.settle(small.0, small.1, small.2, depth, small_hist, small_split, &mut open, &mut closed);
            self.settle(large.0, large.1, large.2, depth, large_hist, large_split, &mut open, &mut closed);
        }
        for leaf in open {
            self.free_histograms.extend(leaf.hist);
            closed.push((leaf.rows, leaf.node));
        }
        let leaves = closed.into_iter().map(|(rows, node)| match &nodes[node] {
            GrownNode::Leaf { value } => (rows, *value),
            GrownNode::Split { .. } => (rows, 0),
        });
        let leaves = leaves.collect();
        (GrownTree { nodes }, leaves)
    }

    /// Puts a new leaf among the open or the closed ones.
    #[expect(clippy::too_many_arguments, reason = "the parts of one leaf and the two lists")]
    fn settle(
        &mut self,
        node: usize,
        rows: Range<usize>,
        total: Entry,
        depth: usize,
        hist: Option<Vec<Entry>>,
        split: Option<Split>,
        open: &mut Vec<OpenLeaf>,
        closed: &mut Vec<(Range<usize>, usize)>,
    ) {
        if let Some(split) = split {
            open.push(OpenLeaf { node, rows, total, depth, hist, split });
        } else {
            self.free_histograms.extend(hist);
            closed.push((rows, node));
        }
    }

    fn take_histogram(&mut self, binned: &BinnedMatrix) -> Vec<Entry> {
        self.free_histograms.pop().unwrap_or_else(|| vec![[0, 0]; binned.n_blocks() * BLOCK_ENTRIES])
    }

    /// Sums the histogram of some rows. Many rows: each thread sums its share, all but the first into histograms that are
    /// returned and still have to be added. Few rows: each thread sums some blocks of features.
    fn build(&mut self, task: &Task<'_>, rows: Range<usize>, hist: &mut [Entry]) -> Vec<Vec<Entry>> {
        let n_cells = rows.len() * task.binned.features().len();
        let n_parts = (n_cells / CELLS_PER_PART).clamp(1, rayon::current_num_threads());
        let mut parts: Vec<Vec<Entry>> = (1..n_parts).map(|_| self.take_histogram(task.binned)).collect();
        let rows = &self.rows[rows];
        let packing = task.judge.packing;
        if n_parts == 1 {
            hist.par_chunks_mut(BLOCK_ENTRIES)
                .enumerate()
                .for_each(|(block, hist)| build_from_rows(task.binned, block, rows, task.gradients, packing, hist));
        } else {
            let mut targets: Vec<&mut [Entry]> = vec![hist];
            targets.extend(parts.iter_mut().map(Vec::as_mut_slice));
            rows.par_chunks(rows.len().div_ceil(n_parts))
                .zip(targets)
                .for_each(|(rows, hist)| build_from_rows(task.binned, 0, rows, task.gradients, packing, hist));
        }
        parts
    }
}

/// Adds the partial sums of one column.
fn join_parts(parts: &[Vec<Entry>], column: usize, hist: &mut [Entry]) {
    for part in parts {
        for (sum, &more) in hist.iter_mut().zip(&part[column * N_BINS..(column + 1) * N_BINS]) {
            *sum = plus(*sum, more);
        }
    }
}

/// The better of two splits; equal gains: the lower feature.
fn better(a: Option<Split>, b: Option<Split>) -> Option<Split> {
    match (a, b) {
        (Some(a), Some(b)) => {
            let b_wins = b.gain > a.gain || (b.gain == a.gain && b.column < a.column);
            Some(if b_wins { b } else { a })
        }
        (a, b) => a.or(b),
    }
}

/// Completes a histogram and finds the best split of its node.
fn search(task: &Task<'_>, parts: &[Vec<Entry>], hist: &mut [Entry], total: Entry) -> Option<Split> {
    hist.par_chunks_exact_mut(N_BINS)
        .zip(task.binned.features())
        .enumerate()
        .filter(|(column, _)| task.allowed[*column])
        .map(|(column, (hist, feature))| {
            join_parts(parts, column, hist);
            task.judge.best_split(&feature.bins, column, hist, total)
        })
        .reduce(|| None, better)
}

/// Completes the histogram of the smaller child, turns the parent's into the larger child's by subtraction, and finds the
/// best split of each child whose total is given.
fn search_both(
    task: &Task<'_>,
    parts: &[Vec<Entry>],
    small_hist: &mut [Entry],
    parent_hist: &mut [Entry],
    small_total: Option<Entry>,
    large_total: Option<Entry>,
) -> (Option<Split>, Option<Split>) {
    small_hist
        .par_chunks_exact_mut(N_BINS)
        .zip(parent_hist.par_chunks_exact_mut(N_BINS))
        .zip(task.binned.features())
        .enumerate()
        .filter(|(column, _)| task.allowed[*column])
        .map(|(column, ((small, large), feature))| {
            join_parts(parts, column, small);
            let best = |hist: &[Entry], total| task.judge.best_split(&feature.bins, column, hist, total);
            let small_split = small_total.and_then(|total| best(small, total));
            let n_bins = feature.bins.n_bins();
            let subtract = |range: Range<usize>, large: &mut [Entry]| {
                for (sum, &taken) in large[range.clone()].iter_mut().zip(&small[range]) {
                    *sum = minus(*sum, taken);
                }
            };
            subtract(0..n_bins, large);
            subtract(usize::from(MISSING_BIN)..N_BINS, large);
            (small_split, large_total.and_then(|total| best(large, total)))
        })
        .reduce(|| (None, None), |a, b| (better(a.0, b.0), better(a.1, b.1)))
}
