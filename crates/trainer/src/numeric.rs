//! The precision policy of the booster on one page, and the arithmetic that carries it.
//!
//! - Features are `f32`, thresholds too; a threshold is a real number between two neighbouring values.
//! - Raw scores are fixed-point integers with [`SCALE_BITS`] binary digits after the point, in training as in scoring, so
//!   that a row has the same score bits in both and trees may be added in any order.
//! - Gradients and hessians are rounded once per round and row to whole steps, 2^-17 of the largest gradient and 2^-10 of
//!   the largest hessian that a row can have, up or down at random by a hash of seed, round and row, so that sums are right
//!   on average. A row's gradient, hessian and count share one word while up to 4,095 rows are summed, then they are added to
//!   wide integers (`histogram.rs`): sums are exact, so neither threads nor the order of rows nor the subtraction of a sibling
//!   changes a bit. The noise of such steps is some thousandths of that of the labels.
//! - Rows of small gradient may be drawn by the same hash instead of all used, and then count for more (`loss.rs`).
//! - Gains and leaf values are `f64`, computed from those sums by one thread, in a fixed order.
//! - `exp` is [`exp`] below (additions and multiplications only, hence the same bits everywhere), `ln` is `libm`'s.

/// Binary digits after the point of raw scores and leaf values.
pub(crate) const SCALE_BITS: u8 = 26;
/// 1.5 x 2^52: adding it to a number below 2^51 leaves the nearest integer in the low bits of the sum.
const TO_NEAREST: f64 = 6_755_399_441_055_744.0;

/// The integer nearest to `x`, ties to even; `|x|` at most 2^31 - 1.
#[inline(always)]
pub(crate) fn nearest_i32(x: f64) -> i32 {
    (x + TO_NEAREST).to_bits() as i32
}

/// A raw score or leaf value as a fixed-point number.
pub(crate) fn to_fixed(x: f64) -> i64 {
    (x * f64::from(1_u32 << SCALE_BITS)).round_ties_even() as i64
}

/// The real number behind a fixed-point one.
#[inline(always)]
pub(crate) fn from_fixed(x: i64) -> f64 {
    x as f64 * (1.0 / f64::from(1_u32 << SCALE_BITS))
}

/// e to the power `x`, for `x` clamped to [-700, 700]; within 2 units in the last place, without branches or tables so
/// that compilers turn loops over it into vector code.
///
/// # Reference
/// Reduction with a two-part ln 2 as in Cody and Waite, *Software Manual for the Elementary Functions* (1980), chapter 6;
/// then Taylor's series to degree 13, whose rest is below 2^-57 for |r| <= ln 2 / 2.
#[inline(always)]
pub(crate) fn exp(x: f64) -> f64 {
    const LN2_HIGH: f64 = f64::from_bits(0x3FE6_2E42_FEE0_0000);
    const LN2_LOW: f64 = f64::from_bits(0x3DEA_39EF_3579_3C76);
    let x = x.clamp(-700.0, 700.0);
    let shifted = x * std::f64::consts::LOG2_E + TO_NEAREST;
    let k = shifted - TO_NEAREST;
    let r = (x - k * LN2_HIGH) - k * LN2_LOW;
    let mut sum = 1.0 / 6_227_020_800.0;
    for coefficient in [
        1.0 / 479_001_600.0,
        1.0 / 39_916_800.0,
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ] {
        sum = sum * r + coefficient;
    }
    // The low bits of `shifted` hold k; moved to the exponent field they multiply by 2^k.
    sum * f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52)
}

/// The probability behind log-odds.
#[inline(always)]
pub(crate) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + exp(-x))
}

/// Log-odds of a share strictly between 0 and 1.
pub(crate) fn logit(share: f64) -> f64 {
    libm::log(share) - libm::log1p(-share)
}

/// Well-mixed 32 bits from 32 (`lowbias32`, Wellons 2018); cheap in vector code.
#[inline(always)]
pub(crate) fn mix32(mut x: u32) -> u32 {
    x = (x ^ (x >> 16)).wrapping_mul(0x7FEB_352D);
    x = (x ^ (x >> 15)).wrapping_mul(0x846C_A68B);
    x ^ (x >> 16)
}

/// Well-mixed 64 bits from a seed and two keys (the finaliser of `SplitMix64`, Steele, Lea and Flood 2014, twice).
#[inline]
pub(crate) fn hash3(seed: u64, a: u64, b: u64) -> u64 {
    let mix = |mut z: u64| {
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    };
    let first = mix(seed.wrapping_add(a.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15)));
    mix(first.wrapping_add(b.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15)))
}

/// A finite number `t` with `a <= t` and not `b <= t`, halfway where that can be, or none: only between minus infinity and
/// the lowest finite number. `a < b`, no NaN.
pub(crate) fn between(a: f32, b: f32) -> Option<f32> {
    match (a == f32::NEG_INFINITY, b == f32::INFINITY) {
        (true, true) => Some(0.0),
        (true, false) => (b > f32::MIN).then_some(f32::MIN),
        (false, true) => Some(f32::MAX),
        (false, false) => {
            let middle = (f64::midpoint(f64::from(a), f64::from(b))) as f32;
            // Neighbours have no number between them; the middle then rounds to one of them and must not be b.
            Some(if middle < b { middle } else { a })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn exp_is_close_to_the_reference() {
        for i in -700_000..=700_000 {
            let x = f64::from(i) * 1e-3 + 1e-5;
            let want = libm::exp(x);
            if x.abs() < 700.0 {
                assert!(((exp(x) - want) / want).abs() < 5e-16, "{x}: {} {want}", exp(x));
            }
        }
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(sigmoid(0.0), 0.5);
        assert!(sigmoid(1e9) == 1.0 && sigmoid(-1e9) > 0.0);
    }

    #[test]
    fn nearest_rounds_ties_to_even() {
        for (x, want) in [(0.4, 0), (0.5, 0), (1.5, 2), (-0.5, 0), (-1.5, -2), (-2.4, -2), (1_073_741_824.0, 1 << 30)] {
            assert_eq!(nearest_i32(x), want, "{x}");
        }
    }

    proptest! {
        #[test]
        fn between_separates(a in prop::num::f32::ANY, b in prop::num::f32::ANY, near in any::<bool>()) {
            let b = if near { a.next_up() } else { b };
            prop_assume!(!a.is_nan() && !b.is_nan() && a != b);
            let (a, b) = if a < b { (a, b) } else { (b, a) };
            match between(a, b) {
                Some(t) => prop_assert!(t.is_finite() && a <= t && b > t),
                None => prop_assert!(a == f32::NEG_INFINITY && b == f32::MIN),
            }
        }
    }
}
