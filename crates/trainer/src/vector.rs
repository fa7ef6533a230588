//! Which vector instructions the kernels are compiled for, chosen when the program runs.
//!
//! A kernel is written once, in safe Rust without intrinsics, as the body of `Kernel::run`. It is compiled three times: for
//! the target's baseline (the scalar twin of the tests), for AVX2 and for AVX-512. Kernels use integers and IEEE additions,
//! multiplications, divisions and comparisons in an order that does not depend on the width of registers, and nothing is
//! contracted to a fused multiply-add, so that all three give the same bits.
//!
//! This module holds the only `unsafe` of the crate: the calls into code that needs more than the baseline. [`Width`] can
//! only be made for instructions that the processor was found to have, which is what those calls rely on.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicU8, Ordering};

/// Vector instructions that this processor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Width(Level);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "only x86-64 has more than the baseline"))]
enum Level {
    Scalar = 0,
    Avx2 = 1,
    Avx512 = 2,
}

/// The highest level that fits may use; lowered by [`limit`].
static HIGHEST: AtomicU8 = AtomicU8::new(Level::Avx512 as u8);

/// Lowers the width of all later fits in this process to `width`. Fits give the same bits at any width, so this is of use
/// to tests and measurements alone.
pub fn limit(width: Width) {
    HIGHEST.store(width.0 as u8, Ordering::Relaxed);
}

impl Width {
    /// The widths that this processor has, the baseline first.
    pub fn available() -> Vec<Self> {
        #[cfg_attr(not(target_arch = "x86_64"), allow(unused_mut, reason = "only x86-64 has more than the baseline"))]
        let mut widths = vec![Self(Level::Scalar)];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") {
                widths.push(Self(Level::Avx2));
                let wide = is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl");
                if wide {
                    widths.push(Self(Level::Avx512));
                }
            }
        }
        widths
    }

    /// The widest that this processor has and [`limit`] allows.
    pub(crate) fn best() -> Self {
        let highest = HIGHEST.load(Ordering::Relaxed);
        let mut allowed = Self::available().into_iter().filter(|width| width.0 as u8 <= highest);
        allowed.next_back().unwrap_or(Self(Level::Scalar))
    }

    /// `scalar`, `avx2` or `avx512`.
    pub fn name(self) -> &'static str {
        match self.0 {
            Level::Scalar => "scalar",
            Level::Avx2 => "avx2",
            Level::Avx512 => "avx512",
        }
    }

    /// Runs a kernel compiled for this width.
    #[inline]
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self.0 {
            Level::Scalar => kernel.run(),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: this level is only made where AVX2 was detected.
            Level::Avx2 => unsafe { run_avx2(kernel) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: this level is only made where AVX2 and AVX-512 F, BW, DQ and VL were detected.
            Level::Avx512 => unsafe { run_avx512(kernel) },
            #[cfg(not(target_arch = "x86_64"))]
            Level::Avx2 | Level::Avx512 => kernel.run(),
        }
    }
}

/// A loop worth compiling for wide registers. `run` and all it calls must be `#[inline(always)]`: what is not inlined stays
/// at the baseline.
pub(crate) trait Kernel {
    type Output;

    fn run(self) -> Self::Output;
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512dq,avx512vl")]
fn run_avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}
