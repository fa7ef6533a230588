//! The engine for AVX-512: all splits of 64 trees at a time, without a branch.
//!
//! It is QuickScorer's idea turned round. A leaf mask stands for the leaves of a tree from left to right; a split that sends
//! the row right takes away those of its left side; the leftmost that is left after all splits is the row's leaf. QuickScorer
//! visits only the splits that say right, one after the other; here the i-th splits of 64 trees stand side by side, all are
//! looked at, and there is nothing to predict or to wait for:
//!
//! ```text
//! 64 columns  -> the row's bytes for them: one permutation of the row, which lies in one to four registers
//!             -> compared with 64 ranks: 64 bits
//!             -> masks of 16 trees and-ed at a time, where the bit is set
//! ```
//!
//! Trees have at most 64 leaves (masks of 32 bits where 32 are enough), a row at most 256 columns.
//!
//! # Reference
//! Lucchese et al., QuickScorer: A Fast Algorithm to Rank Documents with Additive Ensembles of Regression Trees (2015).

use std::arch::x86_64::{
    __m512i, _mm512_and_si512, _mm512_cmpgt_epu8_mask, _mm512_lzcnt_epi32, _mm512_lzcnt_epi64, _mm512_mask_and_epi32,
    _mm512_mask_and_epi64, _mm512_mask_blend_epi8, _mm512_movepi8_mask, _mm512_permutex2var_epi8,
    _mm512_permutexvar_epi8, _mm512_set1_epi8, _mm512_setzero_si512, _mm512_sub_epi32, _mm512_sub_epi64,
};

use super::plan::{Plan, PlanTree};
use super::vector::{load_u8, load_u32, load_u64, store_u32, store_u64};

/// Trees of a group.
const GROUP: usize = 64;
/// Most leaves of a tree.
pub(super) const MAX_LEAVES: usize = 64;
/// Four registers hold fewer columns than this: a place stays free for what no column asks for.
pub(super) const MAX_COLUMNS: usize = 256;
/// The bytes of a row.
type Row = [[u8; 64]; STRIDE / 64];
/// Rows that share what is loaded of a step.
const ROWS: usize = 4;

/// A forest laid out for this engine.
#[derive(Clone, Debug)]
pub(super) struct MaskForest {
    /// Registers that hold a row: 1, 2 or 4.
    n_tables: usize,
    trees: Trees,
}

#[derive(Clone, Debug)]
enum Trees {
    /// At most 32 leaves each.
    Narrow(Groups<[[u32; 16]; 4], 32>),
    /// At most 64 leaves each.
    Wide(Groups<[[u64; 8]; 8], 64>),
}

#[derive(Clone, Debug)]
struct Groups<M, const LEAVES: usize> {
    steps: Vec<Step<M>>,
    /// End of each group in `steps`.
    ends: Vec<u32>,
    /// Leaves of the trees of each group.
    leaves: Vec<[[i64; LEAVES]; GROUP]>,
}

/// One split of each of 64 trees.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Step<M> {
    columns: [u8; GROUP],
    ranks: [u8; GROUP],
    /// Leaves that are left when the split says right.
    masks: M,
}

/// Masks of 64 trees.
trait Masks: Copy {
    const ALL: Self;

    fn set(&mut self, tree: usize, mask: u64);
}

impl Masks for [[u32; 16]; 4] {
    const ALL: Self = [[u32::MAX; 16]; 4];

    fn set(&mut self, tree: usize, mask: u64) {
        self[tree / 16][tree % 16] = mask as u32;
    }
}

impl Masks for [[u64; 8]; 8] {
    const ALL: Self = [[u64::MAX; 8]; 8];

    fn set(&mut self, tree: usize, mask: u64) {
        self[tree / 8][tree % 8] = mask;
    }
}

impl MaskForest {
    /// Lays out a forest; `None` if it has too large trees or too many columns for this engine.
    pub(super) fn new(plan: &Plan) -> Option<Self> {
        let n_tables = match plan.columns.len() {
            0..=64 => 1,
            65..=128 => 2,
            129..MAX_COLUMNS => 4,
            _ => return None,
        };
        let trees = match plan.trees.iter().map(|tree| tree.n_leaves).max().unwrap_or(1) {
            ..=32 => Trees::Narrow(Groups::new(plan)),
            33..=MAX_LEAVES => Trees::Wide(Groups::new(plan)),
            _ => return None,
        };
        Some(Self { n_tables, trees })
    }
}

impl<M: Masks, const LEAVES: usize> Groups<M, LEAVES> {
    fn new(plan: &Plan) -> Self {
        // Trees of one size side by side: a group has as many steps as its largest tree has splits. Any order gives one sum.
        let mut trees: Vec<&PlanTree> = plan.trees.iter().collect();
        trees.sort_by_key(|tree| tree.n_leaves);
        let mut groups = Self { steps: Vec::new(), ends: Vec::new(), leaves: Vec::new() };
        for group in trees.chunks(GROUP) {
            let n_steps = group.iter().map(|tree| tree.n_leaves - 1).max().unwrap_or(0);
            let start = groups.steps.len();
            // No byte is above rank 255: a place without a split says left.
            let empty = Step { columns: [0; GROUP], ranks: [255; GROUP], masks: M::ALL };
            groups.steps.resize(start + n_steps, empty);
            let mut leaves = [[0; LEAVES]; GROUP];
            for (place, tree) in group.iter().enumerate() {
                for (step, (column, rank, mask)) in groups.steps[start..].iter_mut().zip(tree.masks()) {
                    step.columns[place] = column as u8;
                    step.ranks[place] = rank;
                    step.masks.set(place, mask);
                }
                for (slot, value) in leaves[place].iter_mut().zip(tree.leaves()) {
                    *slot = value;
                }
            }
            groups.ends.push(groups.steps.len() as u32);
            groups.leaves.push(leaves);
        }
        groups
    }
}

/// Bytes of a row: room for the most columns.
pub(super) const STRIDE: usize = MAX_COLUMNS;

/// Adds to `sums[i]` the leaves of row i, whose bytes begin at i times [`STRIDE`].
#[target_feature(enable = "avx2,bmi1,popcnt,avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx512vbmi")]
pub(super) fn sums(forest: &MaskForest, bytes: &[u8], sums: &mut [i64]) {
    match forest.n_tables {
        1 => sums_of::<1>(&forest.trees, bytes, sums),
        2 => sums_of::<2>(&forest.trees, bytes, sums),
        _ => sums_of::<4>(&forest.trees, bytes, sums),
    }
}

#[inline]
#[target_feature(enable = "avx2,bmi1,popcnt,avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx512vbmi")]
fn sums_of<const TABLES: usize>(trees: &Trees, bytes: &[u8], sums: &mut [i64]) {
    let (registers, _) = bytes.as_chunks::<64>();
    let (rows, _) = registers.as_chunks::<{ STRIDE / 64 }>();
    let rows = &rows[..sums.len()];
    let (blocks, rest) = rows.as_chunks::<ROWS>();
    let (block_sums, rest_sums) = sums.as_chunks_mut::<ROWS>();
    match trees {
        Trees::Narrow(groups) => {
            // A group stays in the level 1 cache while all rows run through it.
            for (steps, leaves) in groups.each() {
                for (block, sums) in blocks.iter().zip(&mut *block_sums) {
                    narrow::<TABLES, _>(steps, leaves, block, sums);
                }
                for (row, sum) in rest.iter().zip(&mut *rest_sums) {
                    narrow::<TABLES, _>(steps, leaves, std::array::from_ref(row), std::array::from_mut(sum));
                }
            }
        }
        Trees::Wide(groups) => {
            for (steps, leaves) in groups.each() {
                for (row, sum) in rows.iter().zip(block_sums.as_flattened_mut().iter_mut().chain(&mut *rest_sums)) {
                    wide::<TABLES>(steps, leaves, row, sum);
                }
            }
        }
    }
}

impl<M, const LEAVES: usize> Groups<M, LEAVES> {
    #[inline(always)]
    fn each(&self) -> impl Iterator<Item = (&[Step<M>], &[[i64; LEAVES]; GROUP])> {
        let mut start = 0;
        self.ends.iter().zip(&self.leaves).map(move |(&end, leaves)| {
            let steps = &self.steps[start..end as usize];
            start = end as usize;
            (steps, leaves)
        })
    }
}

/// The row's bytes of 64 columns.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn look_up<const TABLES: usize>(row: &[__m512i; TABLES], columns: __m512i) -> __m512i {
    if TABLES == 1 {
        _mm512_permutexvar_epi8(columns, row[0])
    } else if TABLES == 2 {
        _mm512_permutex2var_epi8(row[0], columns, row[TABLES - 1])
    } else {
        let low = _mm512_permutex2var_epi8(row[0], columns, row[1]);
        let high = _mm512_permutex2var_epi8(row[TABLES - 2], columns, row[TABLES - 1]);
        _mm512_mask_blend_epi8(_mm512_movepi8_mask(columns), low, high)
    }
}

#[inline]
#[target_feature(enable = "avx2,bmi1,popcnt,avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx512vbmi")]
fn narrow<const TABLES: usize, const N: usize>(
    steps: &[Step<[[u32; 16]; 4]>],
    leaves: &[[i64; 32]; GROUP],
    rows: &[Row; N],
    sums: &mut [i64; N],
) {
    let mut tables = [[_mm512_setzero_si512(); TABLES]; N];
    for (table, row) in tables.iter_mut().zip(rows) {
        for (register, bytes) in table.iter_mut().zip(row) {
            *register = load_u8(bytes);
        }
    }
    let mut left = [[_mm512_set1_epi8(-1); 4]; N];
    for step in steps {
        let (columns, ranks) = (load_u8(&step.columns), load_u8(&step.ranks));
        let masks = [0, 1, 2, 3].map(|i: usize| load_u32(&step.masks[i]));
        for (table, left) in tables.iter().zip(&mut left) {
            let says_right = _mm512_cmpgt_epu8_mask(look_up(table, columns), ranks);
            left[0] = _mm512_mask_and_epi32(left[0], says_right as u16, left[0], masks[0]);
            left[1] = _mm512_mask_and_epi32(left[1], (says_right >> 16) as u16, left[1], masks[1]);
            left[2] = _mm512_mask_and_epi32(left[2], (says_right >> 32) as u16, left[2], masks[2]);
            left[3] = _mm512_mask_and_epi32(left[3], (says_right >> 48) as u16, left[3], masks[3]);
        }
    }
    let (quarters, _) = leaves.as_chunks::<16>();
    for (left, sum) in left.iter().zip(sums) {
        let mut total = 0i64;
        for (&left, leaves) in left.iter().zip(quarters) {
            let lowest = _mm512_and_si512(left, _mm512_sub_epi32(_mm512_setzero_si512(), left));
            let mut zeros_above = [0; 16];
            store_u32(&mut zeros_above, _mm512_lzcnt_epi32(lowest));
            for (leaves, zeros) in leaves.iter().zip(zeros_above) {
                total += leaves[31 - (zeros & 31) as usize];
            }
        }
        *sum += total;
    }
}

#[inline]
#[target_feature(enable = "avx2,bmi1,popcnt,avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx512vbmi")]
fn wide<const TABLES: usize>(steps: &[Step<[[u64; 8]; 8]>], leaves: &[[i64; 64]; GROUP], row: &Row, sum: &mut i64) {
    let mut table = [_mm512_setzero_si512(); TABLES];
    for (register, bytes) in table.iter_mut().zip(row) {
        *register = load_u8(bytes);
    }
    let mut left = [_mm512_set1_epi8(-1); 8];
    for step in steps {
        let (columns, ranks) = (load_u8(&step.columns), load_u8(&step.ranks));
        let mut says_right = _mm512_cmpgt_epu8_mask(look_up(&table, columns), ranks);
        for (left, masks) in left.iter_mut().zip(&step.masks) {
            *left = _mm512_mask_and_epi64(*left, says_right as u8, *left, load_u64(masks));
            says_right >>= 8;
        }
    }
    let (eighths, _) = leaves.as_chunks::<8>();
    for (&left, leaves) in left.iter().zip(eighths) {
        let lowest = _mm512_and_si512(left, _mm512_sub_epi64(_mm512_setzero_si512(), left));
        let mut zeros_above = [0; 8];
        store_u64(&mut zeros_above, _mm512_lzcnt_epi64(lowest));
        for (leaves, zeros) in leaves.iter().zip(zeros_above) {
            *sum += leaves[63 - (zeros & 63) as usize];
        }
    }
}
