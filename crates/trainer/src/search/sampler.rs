//! Where to look next: points drawn near the good trials and far from the others.
//!
//! # Reference
//! Bergstra, Bardenet, Bengio and Kégl, Algorithms for Hyper-Parameter Optimization (2011), section 4, with one kernel for all
//! dimensions of a trial together, so that what goes well together stays together (as in Falkner, Klein and Hutter, BOHB,
//! 2018).

use crate::numeric::hash3;

/// Trials before which points are drawn around the base and anywhere, half and half.
const WARM_UP: usize = 8;
/// Width of the first draws around the base.
const FIRST_WIDTH: f64 = 0.2;
/// Points drawn for one that is taken.
const CANDIDATES: usize = 24;
/// One of so many trials is good.
const GOOD: usize = 4;
/// Key that keeps these draws apart from others.
const SEARCH_DRAW: u64 = 8 << 32;

/// A trial that was looked at.
pub(super) struct Seen {
    pub(super) point: Vec<f64>,
    /// Which trials are better: farther in the halving first, then by measure. Compared as a whole.
    pub(super) rank: (usize, f64),
}

/// Numbers drawn for one trial.
struct Draws {
    seed: u64,
    key: u64,
    n: u64,
}

impl Draws {
    /// In [0, 1).
    fn uniform(&mut self) -> f64 {
        self.n += 1;
        (hash3(self.seed, self.key, self.n) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Normal around `middle`, within the unit interval.
    fn near(&mut self, middle: f64, width: f64) -> f64 {
        for _ in 0..32 {
            let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.uniform()));
            let x = middle + width * radius * libm::cos(std::f64::consts::TAU * self.uniform());
            if (0.0..=1.0).contains(&x) {
                return x;
            }
        }
        middle
    }
}

/// The point of the next trial, by what was seen so far. Depends on its arguments alone.
pub(super) fn propose(base: &[f64], seen: &[Seen], seed: u64, trial: usize) -> Vec<f64> {
    let mut draws = Draws { seed, key: SEARCH_DRAW + trial as u64, n: 0 };
    if seen.len() < WARM_UP {
        return base
            .iter()
            .map(|&x| if draws.uniform() < 0.5 { draws.near(x, FIRST_WIDTH) } else { draws.uniform() })
            .collect();
    }
    let mut order: Vec<&Seen> = seen.iter().collect();
    // Stable: of equal trials the earlier one comes first.
    order.sort_by(|a, b| b.rank.0.cmp(&a.rank.0).then(b.rank.1.total_cmp(&a.rank.1)));
    let (good, others) = order.split_at(seen.len().div_ceil(GOOD));
    let good = Density::new(good.iter().map(|trial| trial.point.as_slice()).chain([base]));
    let others = Density::new(others.iter().map(|trial| trial.point.as_slice()));
    let mut best: Option<(f64, Vec<f64>)> = None;
    for _ in 0..CANDIDATES {
        let point = good.draw(base.len(), &mut draws);
        let promise = libm::log(good.at(&point)) - libm::log(others.at(&point));
        if best.as_ref().is_none_or(|(most, _)| promise > *most) {
            best = Some((promise, point));
        }
    }
    best.expect("there are candidates").1
}

/// Equal parts of a normal density around each point, and of an even one.
struct Density<'a> {
    points: Vec<&'a [f64]>,
    width: f64,
}

impl<'a> Density<'a> {
    fn new(points: impl Iterator<Item = &'a [f64]>) -> Self {
        let points: Vec<&[f64]> = points.collect();
        // Narrower the more there are; never so narrow that a search stays where it is.
        let width = (0.3 * libm::pow(points.len() as f64, -0.2)).clamp(0.08, 0.3);
        Self { points, width }
    }

    fn draw(&self, n: usize, draws: &mut Draws) -> Vec<f64> {
        let which = (draws.uniform() * (self.points.len() + 1) as f64) as usize;
        match self.points.get(which) {
            Some(point) => point.iter().map(|&x| draws.near(x, self.width)).collect(),
            None => (0..n).map(|_| draws.uniform()).collect(),
        }
    }

    /// Within the unit cube, where each kernel integrates to 1.
    fn at(&self, point: &[f64]) -> f64 {
        let below = |x: f64| 0.5 * libm::erfc(-x / std::f64::consts::SQRT_2);
        let kernel = |middle: &&[f64]| {
            let of_dimension = |(&x, &middle): (&f64, &f64)| {
                let z = (x - middle) / self.width;
                let inside = below((1.0 - middle) / self.width) - below(-middle / self.width);
                libm::exp(-0.5 * z * z) / (self.width * libm::sqrt(std::f64::consts::TAU) * inside)
            };
            point.iter().zip(*middle).map(of_dimension).product::<f64>()
        };
        (1.0 + self.points.iter().map(kernel).sum::<f64>()) / (self.points.len() + 1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn densities_integrate_to_one() {
        let (a, b) = ([0.1, 0.9], [0.5, 0.4]);
        let density = Density::new([a.as_slice(), &b].into_iter());
        let n = 200;
        let middle = |i: usize| (i as f64 + 0.5) / n as f64;
        let cells = (0..n).flat_map(|i| (0..n).map(move |j| (i, j)));
        let sum: f64 = cells.map(|(i, j)| density.at(&[middle(i), middle(j)])).sum();
        let mean = sum / (n * n) as f64;
        assert!((mean - 1.0).abs() < 1e-3, "{mean}");
    }

    #[test]
    fn first_points_lie_around_the_base_and_anywhere() {
        let base = vec![0.5; 4];
        let points: Vec<Vec<f64>> = (1..400).map(|trial| propose(&base, &[], 7, trial)).collect();
        let all: Vec<f64> = points.concat();
        assert!(all.iter().all(|x| (0.0..=1.0).contains(x)));
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        let far = all.iter().filter(|x| (**x - 0.5).abs() > 0.4).count() as f64 / all.len() as f64;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
        // A tenth from the even half, a fiftieth from the other.
        assert!((0.08..0.16).contains(&far), "{far}");
        assert_eq!(propose(&base, &[], 7, 3), points[2]);
        assert_ne!(propose(&base, &[], 8, 3), points[2]);
    }

    #[test]
    fn a_search_comes_nearer_to_what_is_best_than_chance_does() {
        // The lower the better: distance to a point that is not the base.
        let best = [0.8, 0.2, 0.9, 0.3, 0.6];
        let loss = |point: &[f64]| point.iter().zip(&best).map(|(x, b)| (x - b) * (x - b)).sum::<f64>();
        let (mut searched, mut by_chance) = (0.0, 0.0);
        for seed in 0..10 {
            let mut seen: Vec<Seen> = Vec::new();
            let mut draws = Draws { seed, key: 1, n: 0 };
            let mut luck = f64::INFINITY;
            for trial in 0..60 {
                let point = propose(&[0.5; 5], &seen, seed, trial);
                seen.push(Seen { rank: (0, -loss(&point)), point });
                let anywhere: Vec<f64> = (0..5).map(|_| draws.uniform()).collect();
                luck = luck.min(loss(&anywhere));
            }
            searched += seen.iter().map(|trial| -trial.rank.1).fold(f64::INFINITY, f64::min);
            by_chance += luck;
        }
        assert!(searched < 0.6 * by_chance, "{searched} against {by_chance}");
    }
}
