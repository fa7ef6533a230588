//! From a row of values to one byte per column.

use super::plan::{ABOVE_ALL, Column, LevelRanks, Plan};
use super::vector::Lanes;
use crate::wide::{Codes, Missing, ZERO_BAND};

/// Thresholds that are compared at a time.
pub(super) const BLOCK: usize = 16;

/// Sixteen thresholds, of one or two cache lines.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(crate) struct Block<T>(pub(super) [T; BLOCK]);

/// A number that rows consist of.
pub(crate) trait Value: Copy + PartialOrd + Into<f64> {
    const ABOVE: Self;

    /// The largest number of this type that is at most `x`: `v <= x` and `v <= Self::at_most(x)` are the same for all `v`.
    fn at_most(x: f64) -> Self;
    fn is_missing(self) -> bool;
    fn is_zero(self) -> bool;
    /// How many of sixteen ascending thresholds are below a value.
    fn count_below<L: Lanes>(lanes: L, block: &Block<Self>, x: Self) -> u32;
}

impl Value for f32 {
    const ABOVE: Self = Self::INFINITY;

    fn at_most(x: f64) -> Self {
        let near = x as Self;
        if f64::from(near) > x { near.next_down() } else { near }
    }

    #[inline(always)]
    fn is_missing(self) -> bool {
        self.is_nan()
    }

    #[inline(always)]
    fn is_zero(self) -> bool {
        self.abs() <= ZERO_BAND as Self
    }

    #[inline(always)]
    fn count_below<L: Lanes>(lanes: L, block: &Block<Self>, x: Self) -> u32 {
        lanes.count_below_f32(block, x)
    }
}

impl Value for f64 {
    const ABOVE: Self = Self::INFINITY;

    fn at_most(x: f64) -> Self {
        x
    }

    #[inline(always)]
    fn is_missing(self) -> bool {
        self.is_nan()
    }

    #[inline(always)]
    fn is_zero(self) -> bool {
        self.abs() <= ZERO_BAND
    }

    #[inline(always)]
    fn count_below<L: Lanes>(lanes: L, block: &Block<Self>, x: Self) -> u32 {
        lanes.count_below_f64(block, x)
    }
}

/// Ranks rows of one type of number.
#[derive(Clone, Debug)]
pub(super) struct Ranker<T> {
    codes: Codes,
    features: Vec<RankedFeature>,
    blocks: Vec<Block<T>>,
    /// Features that have exactly the columns named by [`RankedFeature::plain`] are done when ranked; these are the others.
    columns: Vec<(u32, (u32, u32, Missing))>,
    levels: Vec<LevelRanks>,
    n_columns: usize,
}

/// A feature and its tree of blocks: each block holds the last threshold of each of sixteen blocks of the level below.
#[derive(Clone, Copy, Debug)]
struct RankedFeature {
    feature: u32,
    /// First block of each level, the top one first.
    levels: [u32; MAX_LEVELS],
    n_levels: u8,
    /// Columns of this feature alone that hold its rank: missing values left, and right; [`NONE`] where there is none.
    plain: [u32; 2],
}

/// 16^7 thresholds are as many as a forest has nodes.
const MAX_LEVELS: usize = 7;
const NONE: u32 = u32::MAX;

impl<T: Value> Ranker<T> {
    pub(super) fn new(plan: &Plan) -> Self {
        let mut blocks = Vec::new();
        let mut features: Vec<RankedFeature> = Vec::with_capacity(plan.cuts.len());
        for (feature, cuts) in &plan.cuts {
            let cuts: Vec<T> = cuts.iter().map(|&cut| T::at_most(cut)).collect();
            let (levels, n_levels) = push_levels(&cuts, &mut blocks);
            features.push(RankedFeature { feature: *feature, levels, n_levels, plain: [NONE; 2] });
        }
        let mut columns = Vec::new();
        for (at, column) in plan.columns.iter().enumerate() {
            match *column {
                Column::Rank { slot, offset: 0, missing } if !missing.zero => {
                    features[slot as usize].plain[usize::from(!missing.left)] = at as u32;
                }
                Column::Rank { slot, offset, missing } => columns.push((at as u32, (slot, offset, missing))),
                Column::Levels => {}
            }
        }
        Self {
            codes: plan.codes,
            features,
            blocks,
            columns,
            levels: plan.levels.clone(),
            n_columns: plan.columns.len(),
        }
    }

    /// Writes the byte of each column; `bytes` has at least one place per column and one more.
    #[inline(always)]
    pub(super) fn rank<L: Lanes>(&self, lanes: L, row: &[T], bytes: &mut [u8]) {
        // The place behind the last column takes what no column asks for.
        let spare = self.n_columns as u32;
        for feature in &self.features {
            let x = row[feature.feature as usize];
            let rank = self.rank_of(lanes, feature, x).min(u32::from(ABOVE_ALL)) as u8;
            // NaN is above no threshold, so its rank is 0 already.
            let right = if x.is_missing() { ABOVE_ALL } else { rank };
            bytes[feature.plain[0].min(spare) as usize] = rank;
            bytes[feature.plain[1].min(spare) as usize] = right;
        }
        for &(at, column) in &self.columns {
            bytes[at as usize] = self.byte_of(lanes, column, row);
        }
        for levels in &self.levels {
            levels.rank(self.codes, row[levels.feature as usize].into(), bytes);
        }
    }

    #[inline(always)]
    fn rank_of<L: Lanes>(&self, lanes: L, feature: &RankedFeature, x: T) -> u32 {
        let mut at = 0;
        for &first in &feature.levels[..usize::from(feature.n_levels)] {
            let block = &self.blocks[(first + at) as usize];
            at = at * BLOCK as u32 + T::count_below(lanes, block, x);
        }
        at
    }

    /// A column of which there is none for most models.
    #[inline(always)]
    fn byte_of<L: Lanes>(&self, lanes: L, (slot, offset, missing): (u32, u32, Missing), row: &[T]) -> u8 {
        let feature = &self.features[slot as usize];
        let x = row[feature.feature as usize];
        if x.is_missing() || missing.zero && x.is_zero() {
            return if missing.left { 0 } else { ABOVE_ALL };
        }
        self.rank_of(lanes, feature, x).saturating_sub(offset).min(u32::from(ABOVE_ALL)) as u8
    }
}

/// Appends the levels of a feature's thresholds, the top one first, and gives where they begin.
fn push_levels<T: Value>(cuts: &[T], blocks: &mut Vec<Block<T>>) -> ([u32; MAX_LEVELS], u8) {
    let mut levels: Vec<Vec<Block<T>>> = Vec::new();
    let mut values = cuts.to_vec();
    loop {
        // One place more than values, so that a value above all of them ends in a block too.
        let n_blocks = values.len() / BLOCK + 1;
        values.resize(n_blocks * BLOCK, T::ABOVE);
        let level: Vec<Block<T>> =
            values.chunks_exact(BLOCK).map(|chunk| Block(std::array::from_fn(|i| chunk[i]))).collect();
        // The last block is reached by what is above all others: it needs no entry above.
        values = level[..n_blocks - 1].iter().map(|block| block.0[BLOCK - 1]).collect();
        levels.push(level);
        if n_blocks == 1 {
            break;
        }
    }
    let mut firsts = [0; MAX_LEVELS];
    for (first, level) in firsts.iter_mut().zip(levels.iter().rev()) {
        *first = blocks.len() as u32;
        blocks.extend(level);
    }
    (firsts, levels.len() as u8)
}
