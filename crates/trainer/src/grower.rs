//! Grows one tree: leaf by leaf the one whose split gains most, or level by level.
//!
//! Leaves are expanded ahead of need: as many of the best ones as there are threads are partitioned and searched at the same
//! time, each by one thread, and then split in their order. Which leaves are split, and how, follows from gains alone, so
//! looking ahead changes no bit.

use std::sync::Arc;

use rayon::prelude::*;

use orderguard_inference::model::{Node, Tree};

use crate::binning::{BinnedMatrix, FeatureBins};
use crate::constraints::Constraints;
use crate::histogram::{Entry, Layout, RowSource, Subtract, build};
use crate::numeric::to_fixed;
use crate::params::{CheckedGbtParams, Growth};
use crate::partition::partition;
use crate::splitting::{Candidate, Frame, Judge, Split, has};

/// Histograms of open leaves are kept for subtraction while all together stay below this.
const MAX_HISTOGRAM_BYTES: usize = 1 << 30;
/// Features that one task searches.
const FEATURES_PER_TASK: usize = 16;

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
}

/// What one tree is grown from.
pub(crate) struct Task<'a> {
    pub(crate) binned: &'a BinnedMatrix,
    pub(crate) layout: &'a Layout,
    pub(crate) source: RowSource<'a>,
    pub(crate) judge: Judge,
    pub(crate) params: &'a CheckedGbtParams,
    pub(crate) learning_rate: f64,
    /// Which binned features may be used.
    pub(crate) allowed: &'a [bool],
    pub(crate) constraints: &'a Constraints,
}

/// The groups that hold all features on the way to a node, as positions; none where everything may meet.
type LiveGroups = Option<Arc<[usize]>>;

/// A leaf that may still be split.
struct OpenLeaf {
    node: usize,
    depth: usize,
    /// First of its rows, and their number, in `Grower::rows`.
    start: usize,
    n_rows: usize,
    frame: Frame,
    groups: LiveGroups,
    hist: Option<Vec<Entry>>,
    split: Split,
    children: Option<[Child; 2]>,
}

/// A part of an expanded leaf.
struct Child {
    n_rows: usize,
    frame: Frame,
    groups: LiveGroups,
    hist: Option<Vec<Entry>>,
    /// None: it stays a leaf.
    split: Option<Split>,
}

/// Working memory that is kept from tree to tree.
#[derive(Default)]
pub(crate) struct Grower {
    /// Positions in the source, those of one leaf side by side and increasing.
    rows: Vec<u32>,
    scratch: Vec<u32>,
    free_histograms: Vec<Vec<Entry>>,
}

impl Grower {
    /// Grows a tree on rows 0 to `n_rows` of the task's source, whose statistics sum to `total`.
    pub(crate) fn grow(&mut self, task: &Task<'_>, n_rows: usize, total: Entry) -> GrownTree {
        let params = task.params;
        self.rows.clear();
        self.rows.extend(0..n_rows as u32);
        self.scratch.resize(n_rows, 0);
        let root = task.judge.root(total);
        let mut nodes = vec![task.leaf(&root)];
        let mut open: Vec<OpenLeaf> = Vec::new();
        if task.may_split(&root, 0) {
            let mut hist = self.take_histogram(task);
            build(task.judge.width, task.judge.scale, task.layout, task.source, &self.rows, &mut hist);
            let groups = task.all_groups();
            match task.search(&hist, &root, &groups) {
                Some(split) => {
                    let hist = Some(hist);
                    open.push(OpenLeaf {
                        node: 0,
                        depth: 0,
                        start: 0,
                        n_rows,
                        frame: root,
                        groups,
                        hist,
                        split,
                        children: None,
                    });
                }
                None => self.free_histograms.push(hist),
            }
        }
        while nodes.len() < 2 * params.max_leaves - 1 && !open.is_empty() {
            let splits_left = params.max_leaves - nodes.len().div_ceil(2);
            let mut best = first_in_order(&open, params.growth);
            if splits_left > 1 && open[best].children.is_none() {
                self.expand(task, &mut open, splits_left);
                // That put the leaves in order.
                best = 0;
            }
            let OpenLeaf { node, depth, start, frame, hist, split, children, .. } = open.swap_remove(best);
            self.free_histograms.extend(hist);
            let (left, right) = (nodes.len(), nodes.len() + 1);
            let direction = task.constraints.direction(split.column);
            nodes.extend(task.judge.children(&frame, &split, direction).map(|frame| task.leaf(&frame)));
            nodes[node] = GrownNode::Split { split, left: left as u32, right: right as u32 };
            let mut start = start;
            for (node, child) in [left, right].into_iter().zip(children.into_iter().flatten()) {
                let Child { n_rows, frame, groups, hist, split } = child;
                match split {
                    Some(split) => {
                        open.push(OpenLeaf {
                            node,
                            depth: depth + 1,
                            start,
                            n_rows,
                            frame,
                            groups,
                            hist,
                            split,
                            children: None,
                        });
                    }
                    None => self.free_histograms.extend(hist),
                }
                start += n_rows;
            }
        }
        for leaf in open {
            self.free_histograms.extend(leaf.hist);
            self.free_histograms.extend(leaf.children.into_iter().flatten().filter_map(|child| child.hist));
        }
        GrownTree { nodes }
    }

    fn take_histogram(&mut self, task: &Task<'_>) -> Vec<Entry> {
        self.free_histograms.pop().unwrap_or_else(|| vec![[0, 0]; task.layout.len()])
    }

    /// Expands the first leaves in order that are not expanded yet: as many as there are threads, but no more than can still be
    /// split.
    fn expand(&mut self, task: &Task<'_>, open: &mut [OpenLeaf], splits_left: usize) {
        open.sort_by(|a, b| order(a, b, task.params.growth));
        let n = rayon::current_num_threads().min(splits_left);
        let mut chosen: Vec<&mut OpenLeaf> =
            open.iter_mut().take(splits_left).filter(|leaf| leaf.children.is_none()).take(n).collect();
        chosen.sort_by_key(|leaf| leaf.start);
        let mut jobs = Vec::with_capacity(chosen.len());
        let histograms: Vec<Vec<Entry>> = chosen.iter().map(|_| self.take_histogram(task)).collect();
        let (mut rows, mut scratch, mut at) = (self.rows.as_mut_slice(), self.scratch.as_mut_slice(), 0);
        for (leaf, hist) in chosen.into_iter().zip(histograms) {
            let skipped = leaf.start - at;
            let (own_rows, rest_rows) = rows[skipped..].split_at_mut(leaf.n_rows);
            let (own_scratch, rest_scratch) = scratch[skipped..].split_at_mut(leaf.n_rows);
            (rows, scratch, at) = (rest_rows, rest_scratch, leaf.start + leaf.n_rows);
            jobs.push((leaf, own_rows, own_scratch, hist));
        }
        let unused: Vec<Vec<Entry>> = if let [_] = jobs.as_slice() {
            jobs.into_iter().filter_map(|(leaf, rows, scratch, hist)| task.expand(leaf, rows, scratch, hist)).collect()
        } else {
            let expand = |(leaf, rows, scratch, hist)| task.expand(leaf, rows, scratch, hist);
            jobs.into_par_iter().with_max_len(1).filter_map(expand).collect()
        };
        self.free_histograms.extend(unused);
    }
}

/// Whether `a` is split before `b`: by gain, or by depth and then by gain; equal ones in the order they were made.
fn order(a: &OpenLeaf, b: &OpenLeaf, growth: Growth) -> std::cmp::Ordering {
    let by_depth = match growth {
        Growth::BestFirst => std::cmp::Ordering::Equal,
        Growth::LevelByLevel => a.depth.cmp(&b.depth),
    };
    by_depth.then(b.split.gain.total_cmp(&a.split.gain)).then(a.node.cmp(&b.node))
}

fn first_in_order(open: &[OpenLeaf], growth: Growth) -> usize {
    (1..open.len()).fold(0, |best, i| if order(&open[i], &open[best], growth).is_lt() { i } else { best })
}

impl Task<'_> {
    fn leaf(&self, frame: &Frame) -> GrownNode {
        GrownNode::Leaf { value: to_fixed(frame.value * self.learning_rate) as i32 }
    }

    fn may_split(&self, frame: &Frame, depth: usize) -> bool {
        let sums = self.judge.scale.sums(frame.total);
        depth < self.params.max_depth
            && u64::from(sums.n_rows) >= 2 * self.params.min_rows_per_leaf as u64
            && sums.hessian >= 2.0 * self.params.min_child_weight
    }

    fn all_groups(&self) -> LiveGroups {
        (!self.constraints.groups.is_empty()).then(|| (0..self.constraints.groups.len()).collect())
    }

    /// Parts a leaf's rows, sums the histogram of the smaller part from them and that of the larger by subtraction, and
    /// searches both. Returns `hist` where it was not needed.
    fn expand(
        &self,
        leaf: &mut OpenLeaf,
        rows: &mut [u32],
        scratch: &mut [u32],
        mut hist: Vec<Entry>,
    ) -> Option<Vec<Entry>> {
        let split = &leaf.split;
        let n_left = partition(self.source, split.column, &split.left_bins, rows, scratch);
        debug_assert_eq!(
            n_left,
            self.judge.scale.n_rows(split.left) as usize,
            "the partition agrees with the histogram"
        );
        let frames = self.judge.children(&leaf.frame, split, self.constraints.direction(split.column));
        let groups = leaf.groups.as_ref().map(|live| {
            live.iter().copied().filter(|&group| self.constraints.groups[group][split.column]).collect::<Arc<[usize]>>()
        });
        let open = frames.map(|frame| self.may_split(&frame, leaf.depth + 1));
        let n_rows = [n_left, rows.len() - n_left];
        let mut children = [0, 1].map(|i| Child {
            n_rows: n_rows[i],
            frame: frames[i],
            groups: groups.clone(),
            hist: None,
            split: None,
        });
        let (left_rows, right_rows) = rows.split_at(n_left);
        let of_side = [left_rows, right_rows];
        let (small, large) = if n_rows[0] <= n_rows[1] { (0, 1) } else { (1, 0) };
        let sum = |rows: &[u32], out: &mut [Entry]| {
            build(self.judge.width, self.judge.scale, self.layout, self.source, rows, out);
        };
        let search = |i: usize, hist: &[Entry]| {
            if open[i] { self.search(hist, &frames[i], &groups) } else { None }
        };
        let mut unused = None;
        if !open[0] && !open[1] {
            unused = Some(hist);
        } else if let Some(mut node) = leaf.hist.take() {
            sum(of_side[small], &mut hist);
            self.judge.width.run(Subtract { node: &mut node, child: &hist });
            children[small].split = search(small, &hist);
            children[large].split = search(large, &node);
            children[small].hist = Some(hist);
            children[large].hist = Some(node);
        } else {
            for i in [large, small] {
                if open[i] {
                    sum(of_side[i], &mut hist);
                    children[i].split = search(i, &hist);
                }
            }
            unused = Some(hist);
        }
        let histogram_bytes = self.layout.len() * size_of::<Entry>() * self.params.max_leaves;
        if histogram_bytes > MAX_HISTOGRAM_BYTES {
            for child in &mut children {
                child.hist = None;
            }
        }
        leaf.children = Some(children);
        unused
    }

    /// The best split of a node from its histogram.
    fn search(&self, hist: &[Entry], frame: &Frame, groups: &LiveGroups) -> Option<Split> {
        let features = self.binned.features();
        let of_feature = |column: usize| {
            let may_meet = |live: &Arc<[usize]>| live.iter().any(|&group| self.constraints.groups[group][column]);
            if !self.allowed[column] || !groups.as_ref().is_none_or(may_meet) {
                return None;
            }
            let candidate = Candidate {
                column,
                bins: &features[column].bins,
                hist: &hist[self.layout.range(column)],
                direction: self.constraints.direction(column),
            };
            self.judge.best_split(&candidate, frame)
        };
        (0..features.len()).into_par_iter().with_min_len(FEATURES_PER_TASK).map(of_feature).reduce(|| None, better)
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
