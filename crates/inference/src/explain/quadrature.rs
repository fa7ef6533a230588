//! Gauss-Legendre quadrature from 0 to 1.

/// Points and weights; n points integrate polynomials of degree up to 2n - 1 exactly.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) points: Vec<f64>,
    pub(super) weights: Vec<f64>,
}

impl Rule {
    /// The rule of `n` points: zeros of the Legendre polynomial, by Newton's method from the usual guess.
    ///
    /// # Reference
    /// Press et al., Numerical Recipes (2007), section 4.6.
    pub(super) fn new(n: usize) -> Self {
        let mut rule = Self { points: Vec::with_capacity(n), weights: Vec::with_capacity(n) };
        for i in 0..n {
            let mut x = libm::cos(std::f64::consts::PI * (i as f64 + 0.75) / (n as f64 + 0.5));
            let mut slope = 1.0;
            // Converges in a handful of steps; the last ones no longer move it.
            for _ in 0..20 {
                let (mut here, mut before) = (1.0, 0.0);
                for k in 0..n {
                    let k = k as f64;
                    (here, before) = (((2.0 * k + 1.0) * x * here - k * before) / (k + 1.0), here);
                }
                slope = n as f64 * (x * here - before) / (x * x - 1.0);
                x -= here / slope;
            }
            rule.points.push(0.5 - 0.5 * x);
            rule.weights.push(1.0 / ((1.0 - x * x) * slope * slope));
        }
        rule
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integrates_powers_up_to_twice_the_points() {
        for n in [4, 8, 16, 40, 128] {
            let rule = Rule::new(n);
            assert!(rule.points.iter().all(|&t| t > 0.0 && t < 1.0));
            for power in 0..2 * n as i32 {
                let values = rule.points.iter().zip(&rule.weights).map(|(t, weight)| weight * t.powi(power));
                let (found, exact) = (values.sum::<f64>(), 1.0 / f64::from(power + 1));
                assert!((found - exact).abs() < 1e-14, "{n} points, power {power}: {found} {exact}");
            }
        }
    }
}
