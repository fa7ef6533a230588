//! Seeded randomness that gives the same numbers on every machine: PCG-64 and `libm`, never the platform's own functions.

use rand_core::Rng as _;
use rand_pcg::Pcg64;

/// A stream of random numbers, named by a seed and a purpose so that one concern never shifts the numbers of another.
pub(crate) struct Random(Pcg64);

impl Random {
    /// The stream of `purpose` (a constant of the caller) and `index` (a day, an episode) under `seed`.
    pub(crate) fn new(seed: u64, purpose: u64, index: u64) -> Self {
        let state = (u128::from(seed) << 64) | u128::from(seed ^ 0x9e37_79b9_7f4a_7c15);
        let mut pcg = Pcg64::new(state, (u128::from(purpose) << 64) | u128::from(index));
        // Streams that differ in few bits start alike; a few steps part them.
        for _ in 0..4 {
            pcg.next_u64();
        }
        Self(pcg)
    }

    /// 64 random bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in `[0, 1)`, a multiple of 2^-53.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
    }

    /// Uniform in `0..n` (0 when `n` is 0); the bias of the multiplication is below `n` / 2^64.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(n)) >> 64) as u64
    }

    /// Uniform in `low..=high`.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low + 1) as u64) as i64
    }

    /// True with that probability.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// One of the items, each as likely; `items` is never empty here.
    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }

    /// Position drawn in proportion to `weight` of each item; never one of weight 0 unless all are.
    pub(crate) fn weighted<T>(&mut self, items: &[T], weight: impl Fn(&T) -> f64) -> usize {
        let total: f64 = items.iter().map(&weight).sum();
        let mut rest = self.unit() * total;
        // Rounding may leave a crumb at the end; it goes to the last item that can be drawn.
        let mut last = 0;
        for (i, item) in items.iter().enumerate() {
            let weight = weight(item);
            if weight > 0.0 {
                last = i;
                rest -= weight;
                if rest < 0.0 {
                    break;
                }
            }
        }
        last
    }

    /// Standard normal (Box and Muller 1958).
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * libm::log(1.0 - self.unit())).sqrt();
        radius * libm::cos(2.0 * std::f64::consts::PI * self.unit())
    }

    /// Log-normal with that median and the deviation `sigma` of its logarithm.
    pub(crate) fn log_normal(&mut self, median: f64, sigma: f64) -> f64 {
        median * libm::exp(sigma * self.normal())
    }

    /// A whole number with that mean: the mean rounded up or down.
    pub(crate) fn about(&mut self, mean: f64) -> u64 {
        mean as u64 + u64::from(self.chance(mean - mean.floor()))
    }

    /// Exponential with that mean.
    pub(crate) fn exponential(&mut self, mean: f64) -> f64 {
        -mean * libm::log(1.0 - self.unit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_numbers_are_fixed() {
        let mut random = Random::new(1, 2, 3);
        let found: Vec<u64> = (0..3).map(|_| random.bits()).collect();
        let again: Vec<u64> = {
            let mut random = Random::new(1, 2, 3);
            (0..3).map(|_| random.bits()).collect()
        };
        assert_eq!(found, again);
        assert_ne!(Random::new(1, 2, 4).bits(), found[0]);
        assert_ne!(Random::new(1, 3, 3).bits(), found[0]);
        assert_ne!(Random::new(2, 2, 3).bits(), found[0]);
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let mut random = Random::new(7, 0, 0);
        let n = 40_000;
        let normals: Vec<f64> = (0..n).map(|_| random.normal()).collect();
        let mean = normals.iter().sum::<f64>() / f64::from(n);
        let variance = normals.iter().map(|z| (z - mean) * (z - mean)).sum::<f64>() / f64::from(n);
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.04, "{mean} {variance}");
        let mean = (0..n).map(|_| random.exponential(5.0)).sum::<f64>() / f64::from(n);
        assert!((mean - 5.0).abs() < 0.15, "{mean}");
        let mut medians: Vec<f64> = (0..n).map(|_| random.log_normal(20.0, 0.7)).collect();
        medians.sort_by(f64::total_cmp);
        assert!((medians[medians.len() / 2] - 20.0).abs() < 0.6);
        let ones = (0..n).filter(|_| random.weighted(&[1.0, 3.0], |w| *w) == 1).count();
        assert!((ones as f64 / f64::from(n) - 0.75).abs() < 0.02);
        assert!((0..n).all(|_| (-2..=2).contains(&random.between(-2, 2))));
    }
}
