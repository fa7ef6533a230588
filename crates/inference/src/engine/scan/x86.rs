//! One row with AVX2, 32 trees at a time, and rows with AVX-512, 64 trees at a time.

use std::arch::x86_64::{
    __m256i, __m512i, _mm256_and_si256, _mm256_blendv_epi8, _mm256_cmpeq_epi8, _mm256_min_epu8, _mm256_set1_epi8,
    _mm256_shuffle_epi8, _mm256_slli_epi16, _mm512_cmple_epu8_mask, _mm512_mask_blend_epi8, _mm512_mask_mov_epi8,
    _mm512_maskz_mov_epi8, _mm512_movepi8_mask, _mm512_permutex2var_epi8, _mm512_permutexvar_epi8, _mm512_set1_epi8,
    _mm512_setzero_si512, _mm512_sub_epi8,
};

use super::{GROUP, Group, Groups, MAX_COLUMNS, Part, ScanForest};
use crate::engine::vector::{load_half, load_twice, load_u8, store_half, store_u8};

/// Bytes of a row: room for the most columns.
const STRIDE: usize = MAX_COLUMNS;
/// Rows that share what is loaded of a step.
const ROWS: usize = 4;
/// The bytes of a row.
type Row = [[u8; 64]; STRIDE / 64];

/// Adds to `sums[i]` the leaves of row i, whose bytes begin at i times 256.
#[target_feature(enable = "avx2,bmi1,popcnt,avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx512vbmi")]
pub(in crate::engine) fn sums_avx512(forest: &ScanForest, bytes: &[u8], sums: &mut [i64]) {
    match forest.n_tables {
        1 => tables_avx512::<1>(forest, bytes, sums),
        2 => tables_avx512::<2>(forest, bytes, sums),
        _ => tables_avx512::<4>(forest, bytes, sums),
    }
}

#[inline]
#[target_feature(enable = "avx2,bmi1,popcnt,avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx512vbmi")]
fn tables_avx512<const TABLES: usize>(forest: &ScanForest, bytes: &[u8], sums: &mut [i64]) {
    let (registers, _) = bytes.as_chunks::<64>();
    let (rows, _) = registers.as_chunks::<{ STRIDE / 64 }>();
    let rows = &rows[..sums.len()];
    let (together, alone) = rows.as_chunks::<ROWS>();
    let (sums_together, sums_alone) = sums.as_chunks_mut::<ROWS>();
    for part in forest.parts() {
        // A group stays in the level 1 cache while all rows run through it.
        for group in 0..part.n_groups() {
            let group = part.groups::<1>(group);
            for (rows, sums) in together.iter().zip(&mut *sums_together) {
                let reached = reach_avx512::<TABLES, ROWS, 1>(rows, &group);
                for (sum, [reached]) in sums.iter_mut().zip(&reached) {
                    *sum += group.sum_of(reached);
                }
            }
        }
        for (row, sum) in alone.iter().zip(&mut *sums_alone) {
            *sum += match part.n_groups() {
                1 => alone_avx512::<TABLES, 1>(row, &part),
                2 => alone_avx512::<TABLES, 2>(row, &part),
                3 => alone_avx512::<TABLES, 3>(row, &part),
                _ => alone_avx512::<TABLES, 4>(row, &part),
            };
        }
    }
}

#[inline]
#[target_feature(enable = "avx2,bmi1,popcnt,avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx512vbmi")]
fn alone_avx512<const TABLES: usize, const K: usize>(row: &Row, part: &Part<'_>) -> i64 {
    let groups = part.groups::<K>(0);
    let [reached] = reach_avx512::<TABLES, 1, K>(std::array::from_ref(row), &groups);
    groups.sum_of(reached.as_flattened())
}

/// The leaves that some rows reach in the trees of some groups.
#[inline]
#[target_feature(enable = "avx2,bmi1,popcnt,avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx512vbmi")]
fn reach_avx512<const TABLES: usize, const N: usize, const K: usize>(
    rows: &[Row; N],
    groups: &Groups<'_, K>,
) -> [[Group; K]; N] {
    let mut tables = [[_mm512_setzero_si512(); TABLES]; N];
    for (table, row) in tables.iter_mut().zip(rows) {
        for (register, bytes) in table.iter_mut().zip(row) {
            *register = load_u8(bytes);
        }
    }
    let mut reached = [groups.last_leaves.map(|last| load_u8(last)); N];
    let mut here = _mm512_set1_epi8(groups.n_steps as i8);
    for i in 0..groups.n_steps {
        here = _mm512_sub_epi8(here, _mm512_set1_epi8(1));
        for (k, steps) in groups.steps.iter().enumerate() {
            let step = &steps[i];
            let (columns, ranks, ends) = (load_u8(&step.columns), load_u8(&step.ranks), load_u8(&step.ends));
            for (table, reached) in tables.iter().zip(&mut reached) {
                // What says right moves nobody but who is at leaf 0 already. Only the last two lines wait for the step before.
                let left = _mm512_cmple_epu8_mask(look_up_avx512(table, columns), ranks);
                let ends = _mm512_maskz_mov_epi8(left, ends);
                let moves = _mm512_cmple_epu8_mask(reached[k], ends);
                reached[k] = _mm512_mask_mov_epi8(reached[k], moves, here);
            }
        }
    }
    let mut bytes = [[[0; GROUP]; K]; N];
    for (bytes, reached) in bytes.as_flattened_mut().iter_mut().zip(reached.as_flattened()) {
        store_u8(bytes, *reached);
    }
    bytes
}

/// The row's bytes of 64 columns.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn look_up_avx512<const TABLES: usize>(row: &[__m512i; TABLES], columns: __m512i) -> __m512i {
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

/// Sum of the leaves of the row with these bytes.
#[target_feature(enable = "avx2,bmi1,popcnt")]
pub(in crate::engine) fn sum_avx2(forest: &ScanForest, bytes: &[u8]) -> i64 {
    let (tables, _) = bytes.as_chunks::<16>();
    match forest.n_columns.div_ceil(16) {
        0..=2 => tables_avx2::<2>(forest, tables),
        3..=4 => tables_avx2::<4>(forest, tables),
        5..=8 => tables_avx2::<8>(forest, tables),
        _ => tables_avx2::<16>(forest, tables),
    }
}

#[inline]
#[target_feature(enable = "avx2,bmi1,popcnt")]
fn tables_avx2<const TABLES: usize>(forest: &ScanForest, tables: &[[u8; 16]]) -> i64 {
    let tables: &[_; TABLES] = tables.first_chunk().expect("a row has room for the most columns");
    let tables = tables.each_ref().map(|table| load_twice(table));
    let mut sum = 0;
    for part in forest.parts() {
        for group in 0..part.n_groups() {
            let group = part.groups::<1>(group);
            let reached = reach_avx2(&tables, &group);
            sum += group.sum_of(&reached);
        }
    }
    sum
}

/// The leaves that a row reaches in the trees of a group.
#[inline]
#[target_feature(enable = "avx2,bmi1,popcnt")]
fn reach_avx2<const TABLES: usize>(tables: &[__m256i; TABLES], group: &Groups<'_, 1>) -> Group {
    let halves = |bytes: &Group| -> [__m256i; 2] {
        let (halves, _) = bytes.as_chunks::<32>();
        [load_half(&halves[0]), load_half(&halves[1])]
    };
    let mut reached = halves(group.last_leaves[0]);
    for (step, i) in group.steps[0].iter().zip((0..group.n_steps).rev()) {
        let here = _mm256_set1_epi8(i as i8);
        let (columns, ranks, ends) = (halves(&step.columns), halves(&step.ranks), halves(&step.ends));
        for half in 0..2 {
            let values = look_up_avx2(tables, columns[half]);
            // At most as large: the smaller of both is the first.
            let left = _mm256_cmpeq_epi8(_mm256_min_epu8(values, ranks[half]), values);
            let ends = _mm256_and_si256(left, ends[half]);
            let moves = _mm256_cmpeq_epi8(_mm256_min_epu8(reached[half], ends), reached[half]);
            reached[half] = _mm256_blendv_epi8(reached[half], here, moves);
        }
    }
    let mut bytes = [0; GROUP];
    let (halves, _) = bytes.as_chunks_mut::<32>();
    for (bytes, reached) in halves.iter_mut().zip(reached) {
        store_half(bytes, reached);
    }
    bytes
}

/// The row's bytes of 32 columns: each of two to sixteen tables is asked for the low four bits, and the others choose.
#[inline]
#[target_feature(enable = "avx2,bmi1,popcnt")]
fn look_up_avx2<const TABLES: usize>(tables: &[__m256i; TABLES], columns: __m256i) -> __m256i {
    // The highest bit would make a shuffle give zero.
    let low = if TABLES > 8 { _mm256_and_si256(columns, _mm256_set1_epi8(15)) } else { columns };
    let mut found = tables.map(|table| _mm256_shuffle_epi8(table, low));
    // A choice looks at the highest bit of each byte: bits 4 to 7 come there one after the other.
    let bit_4 = _mm256_slli_epi16::<3>(columns);
    for pair in 0..TABLES / 2 {
        found[pair] = _mm256_blendv_epi8(found[2 * pair], found[2 * pair + 1], bit_4);
    }
    if TABLES >= 4 {
        let bit_5 = _mm256_slli_epi16::<2>(columns);
        for pair in 0..TABLES / 4 {
            found[pair] = _mm256_blendv_epi8(found[2 * pair], found[2 * pair + 1], bit_5);
        }
    }
    if TABLES >= 8 {
        let bit_6 = _mm256_slli_epi16::<1>(columns);
        for pair in 0..TABLES / 8 {
            found[pair] = _mm256_blendv_epi8(found[2 * pair], found[2 * pair + 1], bit_6);
        }
    }
    if TABLES == 16 {
        found[0] = _mm256_blendv_epi8(found[0], found[1], columns);
    }
    found[0]
}
