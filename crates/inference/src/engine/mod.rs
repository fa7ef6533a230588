//! Ways to run trees fast; all give the bits of the naive walks.
//!
//! `plan.rs` turns every split into a comparison of two bytes, `rank.rs` a row into bytes. What then runs over the trees is an
//! [`Engine`]: mostly `scan.rs`.

#![allow(clippy::inline_always, reason = "what is not inlined into a kernel stays at the baseline's instructions")]

mod plan;
mod quick;
mod rank;
mod scan;
mod vector;
mod walk;

pub use vector::Width;

use std::sync::Arc;

use crate::tree::unit;
use crate::wide::WideForest;
use plan::{Plan, PlanNode};
use quick::QuickForest;
use rank::{Ranker, Value};
use scan::{RowsForest, ScanForest};
pub(crate) use vector::{Kernel, Lanes};
use walk::WalkForest;

/// How trees are run. All give the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Node by node, eight trees or rows abreast: any trees.
    Walk,
    /// QuickScorer, only the splits that say right: trees of at most 64 leaves.
    Quick,
    /// All splits, those of 64 trees at a time: trees of at most 256 leaves, 256 columns.
    Scan,
}

impl Engine {
    fn runs(self, plan: &Plan) -> bool {
        match self {
            Self::Walk => true,
            Self::Quick => plan.max_leaves() <= quick::MAX_LEAVES,
            Self::Scan => plan.max_leaves() <= scan::MAX_LEAVES && plan.columns.len() <= scan::MAX_COLUMNS,
        }
    }

    /// What `scripts/bench/score` measures to be fastest for one row: with vector instructions the scan, without them that of
    /// small trees alone.
    fn best(plan: &Plan, width: Width) -> Self {
        if Self::Scan.runs(plan) && (width.has_avx2() || plan.max_leaves() <= 8) {
            Self::Scan
        } else if Self::Quick.runs(plan) {
            Self::Quick
        } else {
            Self::Walk
        }
    }
}

/// Which engine and which instructions a scorer uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The engine; where it cannot run the trees, and by default, the one that measurements name for them.
    pub engine: Option<Engine>,
    /// The widest instructions.
    pub width: Width,
}

impl Default for Choice {
    fn default() -> Self {
        Self { engine: None, width: Width::best() }
    }
}

/// Rows whose bytes lie in memory at a time.
const BATCH: usize = scan::ROWS;
/// Bytes of all rows of a batch together, where there are very many columns.
const MAX_BATCH_BYTES: usize = 1 << 22;
/// Columns of a row that is ranked on the stack.
const MAX_STACK_COLUMNS: usize = 4096;

/// Memory for ranked rows, used again for each row: one per thread.
#[derive(Clone, Debug, Default)]
pub struct EngineScratch {
    bytes: Vec<u8>,
    abreast: Vec<[u8; scan::ROWS]>,
}

/// A forest ready to score rows of `T`.
#[derive(Clone, Debug)]
pub(crate) struct CompiledForest<T> {
    n_features: usize,
    n_columns: usize,
    base: i64,
    unit: f64,
    ranker: Ranker<T>,
    trees: Arc<Trees>,
    width: Width,
}

#[derive(Clone, Debug)]
enum Trees {
    /// For one row, and for many where that is faster.
    Walk(WalkForest, Option<RowsForest>),
    Quick(QuickForest, Option<RowsForest>),
    Scan(ScanForest, Option<RowsForest>),
}

impl<T: Value> CompiledForest<T> {
    /// Lays out a forest that [`WideForest::check`] has accepted. O(nodes log nodes).
    pub(crate) fn new(forest: &WideForest, choice: Choice) -> Self {
        let plan = Plan::new(forest);
        let trees = Arc::new(Trees::new(&plan, choice));
        Self::from_plan(&plan, trees, choice.width)
    }

    fn from_plan(plan: &Plan, trees: Arc<Trees>, width: Width) -> Self {
        Self {
            n_features: plan.n_features,
            n_columns: plan.columns.len(),
            base: plan.base,
            unit: unit(plan.scale_bits),
            ranker: Ranker::new(plan),
            trees,
            width,
        }
    }

    pub(crate) fn n_features(&self) -> usize {
        self.n_features
    }

    /// The engine that was picked.
    pub(crate) fn engine(&self) -> Engine {
        match &*self.trees {
            Trees::Walk(..) => Engine::Walk,
            Trees::Quick(..) => Engine::Quick,
            Trees::Scan(..) => Engine::Scan,
        }
    }

    /// Bytes of a ranked row: at least one behind those of the columns.
    fn stride(&self) -> usize {
        (self.n_columns + 1).next_multiple_of(256)
    }

    /// Raw score of one row of `n_features` values. Allocates nothing for up to 4,095 columns.
    #[inline]
    pub(crate) fn raw_score(&self, row: &[T]) -> f64 {
        let stride = self.stride();
        if stride <= 256 {
            self.raw_score_in(row, &mut [0; 256])
        } else if stride <= MAX_STACK_COLUMNS {
            self.raw_score_in(row, &mut [0; MAX_STACK_COLUMNS][..stride])
        } else {
            self.raw_score_in(row, &mut vec![0; stride])
        }
    }

    fn raw_score_in(&self, row: &[T], bytes: &mut [u8]) -> f64 {
        let sum = self.width.run(OneRow { forest: self, row, bytes });
        (self.base + sum) as f64 * self.unit
    }

    /// Raw scores of `out.len()` rows; `gather(i, row)` writes the values of row `i`. `scratch` grows when it must.
    pub(crate) fn raw_scores(
        &self,
        out: &mut [f64],
        row: &mut [T],
        scratch: &mut EngineScratch,
        mut gather: impl FnMut(usize, &mut [T]),
    ) {
        let stride = self.stride();
        let batch = (MAX_BATCH_BYTES / stride).clamp(1, BATCH);
        scratch.bytes.resize(stride * batch, 0);
        if self.trees.rows().is_some() {
            scratch.abreast.resize(self.n_columns, [0; scan::ROWS]);
        }
        for (block, out) in out.chunks_mut(batch).enumerate() {
            let bytes = &mut scratch.bytes[..stride * out.len()];
            for (i, bytes) in bytes.chunks_exact_mut(stride).enumerate() {
                gather(block * batch + i, row);
                self.width.run(Rank { ranker: &self.ranker, row, bytes });
            }
            let mut sums = [self.base; BATCH];
            let sums = &mut sums[..out.len()];
            self.width.run(Rows { forest: self, bytes, abreast: &mut scratch.abreast, sums });
            for (slot, &mut sum) in out.iter_mut().zip(sums) {
                *slot = sum as f64 * self.unit;
            }
        }
    }
}

/// One forest for rows of either type of number.
pub(crate) fn compile_both(forest: &WideForest, choice: Choice) -> (CompiledForest<f32>, CompiledForest<f64>) {
    let plan = Plan::new(forest);
    let trees = Arc::new(Trees::new(&plan, choice));
    let narrow = CompiledForest::from_plan(&plan, Arc::clone(&trees), choice.width);
    (narrow, CompiledForest::from_plan(&plan, trees, choice.width))
}

impl Trees {
    /// The engine that was asked for, or where that is none or cannot run these trees, the one that [`Engine::best`] names.
    fn new(plan: &Plan, choice: Choice) -> Self {
        let best = Engine::best(plan, choice.width);
        let asked = choice.engine.filter(|engine| engine.runs(plan)).unwrap_or(best);
        // A scan of AVX-512 is faster for many rows too.
        let rows = || if choice.width.has_avx512() { None } else { RowsForest::new(plan) };
        match asked {
            Engine::Scan => Self::Scan(ScanForest::new(plan), rows()),
            Engine::Quick => Self::Quick(QuickForest::new(plan), RowsForest::new(plan)),
            Engine::Walk => Self::Walk(WalkForest::new(plan), RowsForest::new(plan)),
        }
    }

    fn rows(&self) -> Option<&RowsForest> {
        match self {
            Self::Walk(_, rows) | Self::Quick(_, rows) | Self::Scan(_, rows) => rows.as_ref(),
        }
    }
}

struct Rank<'a, T> {
    ranker: &'a Ranker<T>,
    row: &'a [T],
    bytes: &'a mut [u8],
}

impl<T: Value> Kernel for Rank<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        self.ranker.rank(lanes, self.row, self.bytes);
    }
}

struct OneRow<'a, T> {
    forest: &'a CompiledForest<T>,
    row: &'a [T],
    bytes: &'a mut [u8],
}

impl<T: Value> Kernel for OneRow<'_, T> {
    type Output = i64;

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) -> i64 {
        self.forest.ranker.rank(lanes, self.row, self.bytes);
        match &*self.forest.trees {
            Trees::Walk(trees, _) => trees.sum(self.bytes),
            Trees::Quick(trees, _) => trees.sum(self.bytes),
            Trees::Scan(trees, _) => lanes.scan_sum(trees, self.bytes),
        }
    }
}

struct Rows<'a, T> {
    forest: &'a CompiledForest<T>,
    bytes: &'a [u8],
    abreast: &'a mut [[u8; scan::ROWS]],
    sums: &'a mut [i64],
}

impl<T: Value> Kernel for Rows<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let stride = self.forest.stride();
        if let Some(trees) = self.forest.trees.rows() {
            for (i, row) in self.bytes.chunks_exact(stride).enumerate() {
                for (column, &byte) in self.abreast.iter_mut().zip(row) {
                    column[i] = byte;
                }
            }
            let mut all = [0; scan::ROWS];
            trees.sums(self.abreast, &mut all);
            for (sum, more) in self.sums.iter_mut().zip(all) {
                *sum += more;
            }
            return;
        }
        match &*self.forest.trees {
            Trees::Walk(trees, _) => trees.sums(self.bytes, stride, self.sums),
            Trees::Scan(trees, _) => lanes.scan_sums(trees, self.bytes, self.sums),
            Trees::Quick(trees, _) => {
                for (row, sum) in self.bytes.chunks_exact(stride).zip(self.sums) {
                    *sum += trees.sum(row);
                }
            }
        }
    }
}

/// The ranks of a forest without its trees: for those who look at single splits.
#[derive(Clone, Debug)]
pub(crate) struct ColumnRanker {
    n_columns: usize,
    ranker: Ranker<f64>,
}

impl ColumnRanker {
    /// The ranks, and column and rank of each node of each tree; zeros for leaves. A split sends a row right when the byte of
    /// its column is above its rank.
    pub(crate) fn new(forest: &WideForest) -> (Self, Vec<Vec<(u32, u8)>>) {
        let plan = Plan::new(forest);
        let place = |node: &PlanNode| match *node {
            PlanNode::Split { column, rank, .. } => (column, rank),
            PlanNode::Leaf { .. } => (0, 0),
        };
        let columns = plan.trees.iter().map(|tree| tree.nodes.iter().map(place).collect()).collect();
        (Self { n_columns: plan.columns.len(), ranker: Ranker::new(&plan) }, columns)
    }

    /// Writes the bytes of a row's columns, and one behind them.
    pub(crate) fn rank(&self, width: Width, row: &[f64], bytes: &mut Vec<u8>) {
        bytes.resize(self.n_columns + 1, 0);
        width.run(Rank { ranker: &self.ranker, row, bytes });
    }
}
