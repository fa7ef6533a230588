//! From counts and sums to the numbers that features are.

use std::f64::consts::PI;

use super::MISSING;
use crate::language::feature::MAX_Z_SCORE;

/// What is summed up over the values of the events in a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Moments {
    /// Values.
    pub(super) n: u64,
    /// Their sum.
    pub(super) sum: i128,
    /// The sum of their squares.
    pub(super) squares: i128,
}

impl Moments {
    pub(super) fn sum(&self, unit: f64) -> f64 {
        to_f64(self.sum) / unit
    }

    pub(super) fn mean(&self, unit: f64) -> f64 {
        if self.n == 0 { 0.0 } else { to_f64(self.sum) / (self.n as f64 * unit) }
    }

    /// The sample variance in squared whole numbers; 0 with fewer than two values.
    fn variance(&self) -> f64 {
        if self.n < 2 {
            return 0.0;
        }
        let n = self.n as f64;
        if let (Ok(sum), Ok(squares)) = (i64::try_from(self.sum), i64::try_from(self.squares)) {
            // The usual case, in two multiplications.
            let spread = (i128::from(self.n) * i128::from(squares)) - i128::from(sum) * i128::from(sum);
            return (to_f64(spread) / (n * (n - 1.0))).max(0.0);
        }
        let exact = i128::from(self.n).checked_mul(self.squares).zip(self.sum.checked_mul(self.sum));
        let spread = match exact.and_then(|(squares, square)| squares.checked_sub(square)) {
            Some(spread) => to_f64(spread),
            // Beyond 2^127 only billions of values of the largest size come; there f64 is near enough.
            None => n * self.squares as f64 - self.sum as f64 * self.sum as f64,
        };
        (spread / (n * (n - 1.0))).max(0.0)
    }

    pub(super) fn deviation(&self, unit: f64) -> f64 {
        self.variance().sqrt() / unit
    }

    /// How many deviations `own` lies above the mean.
    pub(super) fn z_score(&self, own: i64) -> f64 {
        let deviation = self.variance().sqrt();
        if own == MISSING {
            f64::NAN
        } else if deviation == 0.0 {
            0.0
        } else {
            let above = own as f64 - to_f64(self.sum) / self.n as f64;
            (above / deviation).clamp(-MAX_Z_SCORE, MAX_Z_SCORE)
        }
    }

    /// `own` over the mean.
    pub(super) fn ratio(&self, own: i64) -> f64 {
        if own == MISSING {
            f64::NAN
        } else if self.n == 0 || self.sum <= 0 {
            0.0
        } else {
            own as f64 * self.n as f64 / to_f64(self.sum)
        }
    }
}

/// As `as` does it, and much faster for numbers of 64 bits.
fn to_f64(n: i128) -> f64 {
    let short = n as i64;
    if i128::from(short) == n { short as f64 } else { long_to_f64(n) }
}

#[cold]
#[inline(never)]
fn long_to_f64(n: i128) -> f64 {
    n as f64
}

/// `above / below`, 0 where there is nothing below the line.
pub(super) fn over(above: f64, below: f64) -> f64 {
    if below == 0.0 { 0.0 } else { above / below }
}

/// Sample deviation over mean of n gaps; 0 with fewer than two, or where all are 0.
pub(super) fn gap_variation(n: u64, sum: i128, squares: i128) -> f64 {
    let gaps = Moments { n, sum, squares };
    over(gaps.deviation(1.0), gaps.mean(1.0))
}

/// The fixed-point weight of an event at `time` within its half-life: (half-lives since the epoch, 2^(rest) in steps of
/// 2^-32). Counts from a common epoch, so that weights of events add up in any order.
pub(super) fn decay_weight(time: i64, half_life: i64) -> (i64, i64) {
    let (epoch, rest) = (time.div_euclid(half_life), time.rem_euclid(half_life));
    (epoch, (libm::exp2(rest as f64 / half_life as f64) * 4_294_967_296.0).round() as i64)
}

/// The weights of one half-life since the epoch, as they count `age` half-lives later.
pub(super) fn shift(weights: i128, age: i64) -> i128 {
    weights >> age.clamp(0, 120)
}

/// What shifted weights sum up to at a time.
pub(super) fn decayed(at: i64, half_life: i64, total: i128) -> f64 {
    let rest = at.rem_euclid(half_life) as f64 / half_life as f64;
    to_f64(total) / 4_294_967_296.0 / libm::exp2(rest)
}

/// A place as one history value, to about 10 cm: latitude and longitude in degrees. `MISSING` outside the globe.
pub fn pack_place(latitude: f64, longitude: f64) -> i64 {
    if !(-90.0..=90.0).contains(&latitude) || !(-180.0..=180.0).contains(&longitude) {
        return MISSING;
    }
    let micro = |degrees: f64| (degrees * 1e6).round() as i64;
    // 29 bits for the longitude keep the whole below 2^58: no real place is MISSING.
    (micro(latitude) + 90_000_000) << 29 | (micro(longitude) + 180_000_000)
}

/// The place of [`pack_place`] in degrees.
pub fn unpack_place(packed: i64) -> Option<(f64, f64)> {
    let (latitude, longitude) = (packed >> 29, packed & ((1 << 29) - 1));
    let in_range = (0..=180_000_000).contains(&latitude) && longitude <= 360_000_000;
    in_range.then(|| ((latitude - 90_000_000) as f64 / 1e6, (longitude - 180_000_000) as f64 / 1e6))
}

/// km/h from one packed place to another in some milliseconds; 0 from nowhere, NaN to nowhere.
pub(super) fn speed(from: i64, to: i64, millis: i64) -> f64 {
    let Some(to) = unpack_place(to) else { return f64::NAN };
    let Some(from) = unpack_place(from) else { return 0.0 };
    great_circle_km(from, to) / (millis.max(1) as f64 / 3_600_000.0)
}

/// The haversine formula on a sphere of radius 6371.0088 km, the mean radius of the IUGG.
fn great_circle_km(from: (f64, f64), to: (f64, f64)) -> f64 {
    let radians = |degrees: f64| degrees * (PI / 180.0);
    let half_sine = |a: f64, b: f64| libm::sin(radians(b - a) / 2.0);
    let (latitude, longitude) = (half_sine(from.0, to.0), half_sine(from.1, to.1));
    let chord = latitude * latitude + libm::cos(radians(from.0)) * libm::cos(radians(to.0)) * longitude * longitude;
    2.0 * 6_371.008_8 * libm::asin(chord.sqrt().min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_read_back() {
        for (latitude, longitude) in [(0.0, 0.0), (-90.0, -180.0), (90.0, 180.0), (52.2297, 21.0122), (-33.9, 151.2)] {
            let (a, b) = unpack_place(pack_place(latitude, longitude)).unwrap();
            assert!((a - latitude).abs() < 1e-6 && (b - longitude).abs() < 1e-6);
        }
        assert_eq!(pack_place(90.1, 0.0), MISSING);
        assert_eq!(pack_place(f64::NAN, 0.0), MISSING);
        assert_eq!(unpack_place(MISSING), None);
        assert_eq!(unpack_place(-1), None);
    }

    #[test]
    fn warsaw_to_berlin_in_an_hour() {
        let (warsaw, berlin) = (pack_place(52.2297, 21.0122), pack_place(52.52, 13.405));
        let kmh = speed(warsaw, berlin, 3_600_000);
        assert!((516.0..520.0).contains(&kmh), "{kmh}");
        assert_eq!(speed(MISSING, berlin, 1), 0.0);
        assert!(speed(warsaw, MISSING, 1).is_nan());
        // Half the globe in an instant is fast, but a number.
        assert!(speed(pack_place(90.0, 0.0), pack_place(-90.0, 0.0), 0).is_finite());
    }

    #[test]
    fn moments_of_1_2_3_4() {
        let m = Moments { n: 4, sum: 10, squares: 30 };
        assert_eq!((m.sum(10.0), m.mean(1.0), m.ratio(5)), (1.0, 2.5, 2.0));
        assert!((m.deviation(1.0) - 1.290_994_448_735_805_6).abs() < 1e-15);
        assert!((m.z_score(4) - 1.161_895_003_862_225).abs() < 1e-15);
        assert_eq!(m.z_score(1_000_000), 100.0);
        assert!(m.z_score(MISSING).is_nan() && m.ratio(MISSING).is_nan());
        let one = Moments { n: 1, sum: 5, squares: 25 };
        assert_eq!((one.deviation(1.0), one.z_score(7), one.mean(2.0)), (0.0, 0.0, 2.5));
        assert_eq!(Moments::default().ratio(3), 0.0);
        let huge = Moments { n: 1 << 30, sum: 1 << 76, squares: 1 << 122 };
        assert!(huge.deviation(1.0) >= 0.0);
    }

    #[test]
    fn a_half_life_halves() {
        let day = 86_400_000_i64;
        let now = 20_000 * day + 12_345_678;
        let of = |ages: &[i64]| {
            let epoch = now.div_euclid(day);
            let weights = ages.iter().map(|age| decay_weight(now - age, day));
            decayed(now, day, weights.map(|(of, weight)| shift(weight.into(), epoch - of)).sum())
        };
        for (ages, expected) in
            [(&[0][..], 1.0), (&[day], 0.5), (&[2 * day, day, 0], 1.75), (&[day / 2], 0.5_f64.sqrt())]
        {
            assert!((of(ages) - expected).abs() < 1e-8, "{ages:?}");
        }
    }
}
