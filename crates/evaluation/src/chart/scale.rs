//! From values to places along an axis, and the round values that are written there.

/// How an axis divides its values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    /// Equal steps are equally long.
    Linear {
        /// First value.
        from: f64,
        /// Last value, greater than the first.
        to: f64,
    },
    /// Equal ratios are equally long.
    Log {
        /// First value, above 0.
        from: f64,
        /// Last value, greater than the first.
        to: f64,
    },
}

impl Scale {
    /// A linear scale that holds all values and, where wanted, zero; from 0 to 1 without finite values.
    pub fn around(values: impl IntoIterator<Item = f64>, with_zero: bool) -> Self {
        let (mut low, mut high) = if with_zero { (0.0, 0.0) } else { (f64::INFINITY, f64::NEG_INFINITY) };
        for value in values.into_iter().filter(|value| value.is_finite()) {
            low = value.min(low);
            high = value.max(high);
        }
        if low > high {
            return Self::Linear { from: 0.0, to: 1.0 };
        }
        if low == high {
            let half = if low == 0.0 { 1.0 } else { low.abs() / 2.0 };
            return Self::Linear { from: if with_zero && low >= 0.0 { 0.0 } else { low - half }, to: high + half };
        }
        Self::Linear { from: low, to: high }
    }

    /// Where a value lies: 0 at the first, 1 at the last. Values beyond lie at the ends, so does what is no number.
    pub fn place(&self, value: f64) -> f64 {
        let share = match *self {
            Self::Linear { from, to } => (value - from) / (to - from),
            Self::Log { from, to } => (value / from).max(f64::MIN_POSITIVE).ln() / (to / from).ln(),
        };
        if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) }
    }

    /// Round values within the scale, at most about `most`.
    pub fn ticks(&self, most: usize) -> Vec<f64> {
        match *self {
            Self::Linear { from, to } => {
                let step = round_step((to - from) / most.max(1) as f64);
                let (first, last) = ((from / step - 1e-9).ceil(), (to / step + 1e-9).floor());
                let n = if last >= first { (last - first).min(1000.0) as i64 } else { -1 };
                (0..=n).map(|i| (first + i as f64) * step).map(|tick| if tick == 0.0 { 0.0 } else { tick }).collect()
            }
            Self::Log { from, to } => {
                let (first, last) = ((from.log10() - 1e-9).ceil() as i32, (to.log10() + 1e-9).floor() as i32);
                let every = ((last - first + 1).max(1) as usize).div_ceil(most.max(1)) as i32;
                (first..=last).step_by(every.max(1) as usize).map(|power| 10.0_f64.powi(power)).collect()
            }
        }
    }
}

/// The smallest of 1, 2 and 5 times a power of ten that is not below `least`.
fn round_step(least: f64) -> f64 {
    if least.is_nan() || least <= 0.0 || least.is_infinite() {
        return 1.0;
    }
    let power = 10.0_f64.powi(least.log10().floor() as i32);
    [1.0, 2.0, 5.0, 10.0]
        .map(|factor| factor * power)
        .into_iter()
        .find(|&step| step >= least * (1.0 - 1e-9))
        .unwrap_or(power)
}

/// What numbers on an axis mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Plain numbers.
    Number,
    /// Shares, shown as percentages.
    Share,
    /// Whole numbers of things, shown in thousands and millions where they are large.
    Count,
    /// Days since 1970, shown as dates.
    Day,
}

impl Unit {
    /// A value as it is written on an axis.
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Number => number(value),
            Self::Share => format!("{} %", number(value * 100.0)),
            Self::Count => count(value),
            Self::Day => date(value),
        }
    }
}

/// With three digits that matter and no zeros at the end.
fn number(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return "0".into();
    }
    let decimals = (2 - value.abs().log10().floor() as i32).clamp(0, 9) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn count(value: f64) -> String {
    let (divisor, letter) = match value.abs() {
        v if v >= 1e6 => (1e6, "M"),
        v if v >= 1e4 => (1e3, "k"),
        _ => (1.0, ""),
    };
    format!("{}{letter}", number(value / divisor))
}

/// A day since 1970 as YYYY-MM-DD; nothing for days outside years 1 to 9999.
///
/// # Reference
/// Hinnant, *chrono-Compatible Low-Level Date Algorithms* (2021): `civil_from_days`.
pub fn date(day: f64) -> String {
    if !(-719_162.0..=2_932_896.0).contains(&day) {
        return String::new();
    }
    let z = day.floor() as i64 + 719_468;
    let era = z.div_euclid(146_097);
    let of_era = z.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within() {
        let linear = |from, to, most| Scale::Linear { from, to }.ticks(most);
        assert_eq!(linear(0.0, 1.0, 5), [0.0, 0.2, 0.4, 0.2 * 3.0, 0.8, 1.0]);
        assert_eq!(linear(-3.0, 12.0, 4), [0.0, 5.0, 10.0]);
        assert_eq!(Scale::Log { from: 1e-4, to: 1.0 }.ticks(10), [1e-4, 1e-3, 1e-2, 1e-1, 1.0]);
        assert_eq!(Scale::Log { from: 1.0, to: 1e9 }.ticks(5), [1.0, 1e2, 1e4, 1e6, 1e8]);
    }

    #[test]
    fn places_run_from_0_to_1() {
        let log = Scale::Log { from: 1e-4, to: 1.0 };
        assert!((log.place(0.01) - 0.5).abs() < 1e-12);
        assert_eq!([log.place(0.0), log.place(2.0), log.place(f64::NAN)], [0.0, 1.0, 0.0]);
        assert_eq!(Scale::around([3.0, f64::NAN, -1.0], false), Scale::Linear { from: -1.0, to: 3.0 });
        assert_eq!(Scale::around([], false), Scale::Linear { from: 0.0, to: 1.0 });
    }

    #[test]
    fn numbers_are_short() {
        let shown = [0.0, 0.05, 123.456, 99_999.0, -0.001_234].map(|x| Unit::Number.show(x));
        assert_eq!(shown, ["0", "0.05", "123", "99999", "-0.00123"]);
        assert_eq!([0.005, 0.5].map(|x| Unit::Share.show(x)), ["0.5 %", "50 %"]);
        assert_eq!([999.0, 25_000.0, 3.5e6].map(|x| Unit::Count.show(x)), ["999", "25k", "3.5M"]);
    }

    #[test]
    fn days_are_dates() {
        assert_eq!([0.0, 19_723.0, -1.0, 11_016.0].map(date), ["1970-01-01", "2024-01-01", "1969-12-31", "2000-02-29"]);
        assert_eq!(date(f64::NAN), "");
    }
}
