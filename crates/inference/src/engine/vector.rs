//! Which vector instructions the engines use, chosen when the program runs, and the only `unsafe` of the crate: calls into
//! code that needs them, and their loads from arrays of the right length.
//!
//! A token such as [`Avx512`] can only be made where its instructions were detected; that is what the calls rely on. All
//! widths give the same bits: ranks, comparisons and sums here are exact.
#![allow(unsafe_code)]

use super::rank::Block;
use super::scan::{self, ScanForest};

/// Vector instructions that this processor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Width(Level);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
}

impl Width {
    /// The widths that this processor has, the baseline first. AVX-512 counts with VBMI (Ice Lake, Zen 4 and later): an older
    /// one has the AVX2 width here.
    pub fn available() -> Vec<Self> {
        #[cfg_attr(not(target_arch = "x86_64"), allow(unused_mut, reason = "only x86-64 has more than the baseline"))]
        let mut widths = vec![Self(Level::Scalar)];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("bmi1")
                && is_x86_feature_detected!("popcnt")
            {
                widths.push(Self(Level::Avx2(Avx2(()))));
                if is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512cd")
                    && is_x86_feature_detected!("avx512vbmi")
                {
                    widths.push(Self(Level::Avx512(Avx512(()))));
                }
            }
        }
        widths
    }

    /// The widest that this processor has.
    pub fn best() -> Self {
        Self::available().pop().unwrap_or(Self(Level::Scalar))
    }

    /// `scalar`, `avx2` or `avx512`.
    pub fn name(self) -> &'static str {
        match self.0 {
            Level::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Level::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Level::Avx512(_) => "avx512",
        }
    }

    /// Whether AVX2 is there and to be used.
    pub(super) fn has_avx2(self) -> bool {
        self.0 != Level::Scalar
    }

    /// Whether AVX-512 is there and to be used.
    pub(super) fn has_avx512(self) -> bool {
        self.name() == "avx512"
    }

    /// Runs a kernel compiled for this width.
    #[inline]
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self.0 {
            Level::Scalar => kernel.run(Scalar),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the token was made where AVX2, BMI1 and POPCNT were detected.
            Level::Avx2(token) => unsafe { run_avx2(kernel, token) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the token was made where all of these were detected.
            Level::Avx512(token) => unsafe { run_avx512(kernel, token) },
        }
    }
}

/// Code that is written once and compiled for each width. `run` and all it calls must be `#[inline(always)]`: what is not
/// inlined stays at the baseline.
pub(crate) trait Kernel {
    type Output;

    fn run<L: Lanes>(self, lanes: L) -> Self::Output;
}

/// The few steps that compilers do not find by themselves.
pub(crate) trait Lanes: Copy {
    fn count_below_f32(self, block: &Block<f32>, x: f32) -> u32;
    fn count_below_f64(self, block: &Block<f64>, x: f64) -> u32;

    /// Sum of the leaves of one row.
    fn scan_sum(self, forest: &ScanForest, bytes: &[u8]) -> i64;

    /// Adds to `sums[i]` the leaves of row i, whose bytes begin at 256 i.
    #[inline(always)]
    fn scan_sums(self, forest: &ScanForest, bytes: &[u8], sums: &mut [i64]) {
        for (bytes, sum) in bytes.chunks_exact(scan::MAX_COLUMNS).zip(sums) {
            *sum += self.scan_sum(forest, bytes);
        }
    }
}

/// No vector instructions beyond the target's baseline.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scalar;

impl Lanes for Scalar {
    #[inline(always)]
    fn count_below_f32(self, block: &Block<f32>, x: f32) -> u32 {
        count_below(&block.0, x)
    }

    #[inline(always)]
    fn count_below_f64(self, block: &Block<f64>, x: f64) -> u32 {
        count_below(&block.0, x)
    }

    #[inline(always)]
    fn scan_sum(self, forest: &ScanForest, bytes: &[u8]) -> i64 {
        forest.sum(bytes)
    }
}

/// How many of sixteen ascending numbers are below another, in four steps and a last one without branches.
#[inline(always)]
fn count_below<T: PartialOrd + Copy>(block: &[T; 16], x: T) -> u32 {
    let mut at = 0usize;
    for step in [8, 4, 2, 1] {
        at += if block[at + step - 1] < x { step } else { 0 };
    }
    (at + usize::from(block[at & 15] < x)) as u32
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512, load_half, load_twice, load_u8, store_half, store_u8};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m256i, __m512i, _CMP_LT_OQ, _mm_loadu_si128, _mm256_broadcastsi128_si256, _mm256_cmp_pd, _mm256_cmp_ps,
        _mm256_loadu_pd, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_movemask_pd, _mm256_movemask_ps, _mm256_set1_pd,
        _mm256_set1_ps, _mm256_storeu_si256, _mm512_cmp_pd_mask, _mm512_cmp_ps_mask, _mm512_loadu_pd, _mm512_loadu_ps,
        _mm512_loadu_si512, _mm512_set1_pd, _mm512_set1_ps, _mm512_storeu_si512,
    };

    use super::{Block, Kernel, Lanes};
    use crate::engine::scan::{self, ScanForest};

    /// AVX2, BMI1 and POPCNT are there.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(in crate::engine) struct Avx2(pub(super) ());

    /// What [`Avx2`] says, and AVX-512 F, BW, DQ, VL, CD and VBMI.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(in crate::engine) struct Avx512(pub(super) ());

    #[target_feature(enable = "avx2,bmi1,popcnt")]
    pub(super) fn run_avx2<K: Kernel>(kernel: K, token: Avx2) -> K::Output {
        kernel.run(token)
    }

    #[target_feature(enable = "avx2,bmi1,popcnt,avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx512vbmi")]
    pub(super) fn run_avx512<K: Kernel>(kernel: K, token: Avx512) -> K::Output {
        kernel.run(token)
    }

    impl Lanes for Avx2 {
        #[inline(always)]
        fn count_below_f32(self, block: &Block<f32>, x: f32) -> u32 {
            // SAFETY: the token says that AVX2 is there.
            unsafe { f32_avx2(block, x) }
        }

        #[inline(always)]
        fn count_below_f64(self, block: &Block<f64>, x: f64) -> u32 {
            // SAFETY: the token says that AVX2 is there.
            unsafe { f64_avx2(block, x) }
        }

        #[inline(always)]
        fn scan_sum(self, forest: &ScanForest, bytes: &[u8]) -> i64 {
            // SAFETY: the token says that AVX2, BMI1 and POPCNT are there.
            unsafe { scan::sum_avx2(forest, bytes) }
        }
    }

    impl Lanes for Avx512 {
        #[inline(always)]
        fn count_below_f32(self, block: &Block<f32>, x: f32) -> u32 {
            // SAFETY: the token says that AVX-512 F is there.
            unsafe { f32_avx512(block, x) }
        }

        #[inline(always)]
        fn count_below_f64(self, block: &Block<f64>, x: f64) -> u32 {
            // SAFETY: the token says that AVX-512 F is there.
            unsafe { f64_avx512(block, x) }
        }

        #[inline(always)]
        fn scan_sum(self, forest: &ScanForest, bytes: &[u8]) -> i64 {
            let mut sum = [0];
            self.scan_sums(forest, bytes, &mut sum);
            sum[0]
        }

        #[inline(always)]
        fn scan_sums(self, forest: &ScanForest, bytes: &[u8], sums: &mut [i64]) {
            // SAFETY: the token says that all of these are there.
            unsafe { scan::sums_avx512(forest, bytes, sums) }
        }
    }

    #[inline]
    #[target_feature(enable = "avx2,bmi1,popcnt")]
    fn f32_avx2(block: &Block<f32>, x: f32) -> u32 {
        let x = _mm256_set1_ps(x);
        let below = |part: &[f32; 8]| {
            // SAFETY: the array is eight f32 long.
            let part = unsafe { _mm256_loadu_ps(part.as_ptr()) };
            _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_LT_OQ>(part, x)).count_ones()
        };
        let (parts, _) = block.0.as_chunks::<8>();
        parts.iter().map(below).sum()
    }

    #[inline]
    #[target_feature(enable = "avx2,bmi1,popcnt")]
    fn f64_avx2(block: &Block<f64>, x: f64) -> u32 {
        let x = _mm256_set1_pd(x);
        let below = |part: &[f64; 4]| {
            // SAFETY: the array is four f64 long.
            let part = unsafe { _mm256_loadu_pd(part.as_ptr()) };
            _mm256_movemask_pd(_mm256_cmp_pd::<_CMP_LT_OQ>(part, x)).count_ones()
        };
        let (parts, _) = block.0.as_chunks::<4>();
        parts.iter().map(below).sum()
    }

    #[inline]
    #[target_feature(enable = "avx512f,popcnt")]
    fn f32_avx512(block: &Block<f32>, x: f32) -> u32 {
        // SAFETY: the block is sixteen f32 long.
        let part = unsafe { _mm512_loadu_ps(block.0.as_ptr()) };
        _mm512_cmp_ps_mask::<_CMP_LT_OQ>(part, _mm512_set1_ps(x)).count_ones()
    }

    #[inline]
    #[target_feature(enable = "avx512f,popcnt")]
    fn f64_avx512(block: &Block<f64>, x: f64) -> u32 {
        let x = _mm512_set1_pd(x);
        let below = |part: &[f64; 8]| {
            // SAFETY: the array is eight f64 long.
            let part = unsafe { _mm512_loadu_pd(part.as_ptr()) };
            u16::from(_mm512_cmp_pd_mask::<_CMP_LT_OQ>(part, x))
        };
        let (parts, _) = block.0.as_chunks::<8>();
        (below(&parts[0]) | below(&parts[1]) << 8).count_ones()
    }

    /// The bytes of an array.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(in crate::engine) fn load_u8(array: &[u8; 64]) -> __m512i {
        // SAFETY: the array is 64 bytes long.
        unsafe { _mm512_loadu_si512(array.as_ptr().cast()) }
    }

    /// The bytes of an array.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(in crate::engine) fn load_half(array: &[u8; 32]) -> __m256i {
        // SAFETY: the array is 32 bytes long.
        unsafe { _mm256_loadu_si256(array.as_ptr().cast()) }
    }

    /// The bytes of an array, twice.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(in crate::engine) fn load_twice(array: &[u8; 16]) -> __m256i {
        // SAFETY: the array is 16 bytes long.
        _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(array.as_ptr().cast()) })
    }

    /// Writes the bytes of an array.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(in crate::engine) fn store_u8(array: &mut [u8; 64], value: __m512i) {
        // SAFETY: the array is 64 bytes long.
        unsafe { _mm512_storeu_si512(array.as_mut_ptr().cast(), value) }
    }

    /// Writes the bytes of an array.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(in crate::engine) fn store_half(array: &mut [u8; 32], value: __m256i) {
        // SAFETY: the array is 32 bytes long.
        unsafe { _mm256_storeu_si256(array.as_mut_ptr().cast(), value) }
    }
}

#[cfg(target_arch = "x86_64")]
use x86::{run_avx2, run_avx512};
