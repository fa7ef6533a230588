//! The chi-squared distribution: its upper tail, and the value with a given tail.

/// Probability that a chi-squared variable of `df` degrees of freedom is above `x`; 1 for `df` 0 or `x` <= 0.
///
/// By the series of the incomplete gamma function below its mean and by its continued fraction above; within 1e-12.
///
/// # Reference
/// Abramowitz and Stegun, Handbook of Mathematical Functions (1964), 6.5.29, 6.5.31 and 26.4.19.
pub fn chi_squared_tail(x: f64, df: u32) -> f64 {
    if df == 0 || x.is_nan() || x <= 0.0 {
        return 1.0;
    }
    if x == f64::INFINITY {
        return 0.0;
    }
    let (a, x) = (f64::from(df) / 2.0, x / 2.0);
    let front = libm::exp(a * libm::log(x) - x - libm::lgamma(a));
    if x < a + 1.0 {
        let (mut term, mut sum, mut n) = (1.0 / a, 1.0 / a, a);
        while term > sum * 1e-16 {
            n += 1.0;
            term *= x / n;
            sum += term;
        }
        return (1.0 - front * sum).clamp(0.0, 1.0);
    }
    // Lentz's way of evaluating a continued fraction.
    let (mut below, mut ratio) = (x + 1.0 - a, 1e300);
    let mut inverse = 1.0 / below;
    let mut fraction = inverse;
    for i in 1..100_000 {
        let above = -f64::from(i) * (f64::from(i) - a);
        below += 2.0;
        inverse = 1.0 / (above * inverse + below);
        ratio = below + above / ratio;
        let step = ratio * inverse;
        fraction *= step;
        if (step - 1.0).abs() < 1e-15 {
            break;
        }
    }
    (front * fraction).clamp(0.0, 1.0)
}

/// The value above which a chi-squared variable of `df` degrees of freedom lies with probability `tail` (0 to 1, both not
/// included); 0 for `df` 0. By bisection, within 1e-9 of itself.
pub fn chi_squared_bound(tail: f64, df: u32) -> f64 {
    if df == 0 {
        return 0.0;
    }
    let (mut low, mut high) = (0.0, f64::from(df) + 10.0);
    while chi_squared_tail(high, df) > tail && high < 1e9 {
        high *= 2.0;
    }
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            break;
        }
        if chi_squared_tail(middle, df) > tail { low = middle } else { high = middle }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_in_the_tables() {
        for (tail, df, bound) in [
            (0.05, 1, 3.841_458_820_694_124),
            (0.01, 9, 21.665_994_333_461_92),
            (0.01, 1, 6.634_896_601_021_214),
            (0.5, 2, 1.386_294_361_119_890_6),
            (0.001, 30, 59.703_064_3),
        ] {
            let found = chi_squared_bound(tail, df);
            assert!((found / bound - 1.0).abs() < 1e-6, "{tail} {df}: {found}");
            assert!((chi_squared_tail(found, df) / tail - 1.0).abs() < 1e-7, "{tail} {df}");
        }
        // Two degrees of freedom are an exponential variable.
        for x in [0.1f64, 1.0, 3.9, 4.1, 30.0, 300.0] {
            assert!((chi_squared_tail(x, 2) / (-x / 2.0).exp() - 1.0).abs() < 1e-11, "{x}");
        }
    }

    #[test]
    fn the_tail_falls_from_one_to_nothing() {
        for df in [1, 2, 7, 40, 400] {
            let mut before = 1.0;
            for i in 0..400 {
                let tail = chi_squared_tail(f64::from(i) * 3.0, df);
                assert!((0.0..=before).contains(&tail), "{df} {i} {tail}");
                before = tail;
            }
            assert!(before < 1e-20);
        }
        assert_eq!(
            (chi_squared_tail(5.0, 0), chi_squared_tail(f64::NAN, 3), chi_squared_tail(-1.0, 3)),
            (1.0, 1.0, 1.0)
        );
        assert_eq!((chi_squared_tail(f64::INFINITY, 3), chi_squared_bound(0.01, 0)), (0.0, 0.0));
    }
}
