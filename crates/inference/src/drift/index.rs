//! The population stability index, and what it is where nothing moved.

use super::chi_squared::{chi_squared_bound, chi_squared_tail};

/// Orders that a cell must be expected to hold on both sides, or hold on the smaller one, to count alone.
const FEWEST: f64 = 5.0;

/// How far counts moved from those of a reference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shift {
    /// Population stability index: sum over cells of `(p - q) ln(p / q)`, p and q the cell's shares; 0 where nothing moved. By
    /// custom 0.1 is worth a look, and 0.25 a lot.
    pub psi: f64,
    /// Chance of such an index, or a larger one, where nothing moved.
    pub p_value: f64,
    /// The index that is reached with the probability that was asked for where nothing moved.
    pub bound: f64,
    /// Cells that were compared, less one.
    pub df: u32,
    /// Orders of the reference, and orders compared with it.
    pub n: (u64, u64),
    /// Position of the cell that adds most; of the pooled ones the first.
    pub most: usize,
}

/// Compares counts with those of a reference, cell by cell. `tail` is the probability with which `bound` is reached where both
/// are drawn from one distribution; for many comparisons at once divide it by their number (Bonferroni).
///
/// Where nothing moved, the index over `1/n + 1/m` (n and m orders) is about chi-squared with a degree of freedom less than cells:
/// so the bound follows the numbers of orders, and a fixed one such as 0.1 would be reached by chance in small samples. The orders must
/// be independent for that; those of one customer are not, and the bound is then somewhat low. Cells that hold, and are expected to hold,
/// fewer than five orders on the smaller side are pooled, and half an order is added to each, so that an empty one stays finite.
///
/// # Reference
/// Yurdakul and Naranjo, Statistical properties of the population stability index, Journal of Risk Model Validation 14 (2020).
pub fn shift(reference: &[u64], found: &[u64], tail: f64) -> Shift {
    let n = (reference.iter().sum::<u64>(), found.iter().sum::<u64>());
    let nothing = Shift { psi: 0.0, p_value: 1.0, bound: 0.0, df: 0, n, most: 0 };
    if n.0 == 0 || n.1 == 0 {
        return nothing;
    }
    let smaller = n.0.min(n.1) as f64 / (n.0 + n.1) as f64;
    // A cell that chance would leave nearly empty on the smaller side, but is not, tells most of all.
    let of_smaller = |(r, f): (u64, u64)| if n.0 < n.1 { r } else { f };
    let is_small =
        |cell: (u64, u64)| ((cell.0 + cell.1) as f64) * smaller < FEWEST && (of_smaller(cell) as f64) < FEWEST;
    let cells = || reference.iter().copied().zip(found.iter().copied());
    let mut pooled = (0, 0);
    let mut kept: Vec<(usize, (u64, u64))> = Vec::with_capacity(reference.len());
    let mut first_pooled = None;
    for (at, cell) in cells().enumerate() {
        if is_small(cell) {
            pooled = (pooled.0 + cell.0, pooled.1 + cell.1);
            if cell != (0, 0) {
                first_pooled.get_or_insert(at);
            }
        } else {
            kept.push((at, cell));
        }
    }
    if let Some(at) = first_pooled {
        match kept.iter_mut().min_by_key(|(_, (r, f))| r + f) {
            // Not enough for a cell even together.
            Some((_, cell)) if is_small(pooled) => *cell = (cell.0 + pooled.0, cell.1 + pooled.1),
            _ => kept.push((at, pooled)),
        }
    }
    let Some(df) = kept.len().checked_sub(1).filter(|&df| df > 0) else { return nothing };
    let shares = |of: fn(&(u64, u64)) -> u64| -> Vec<f64> {
        let total: f64 = kept.iter().map(|(_, cell)| of(cell) as f64 + 0.5).sum();
        kept.iter().map(|(_, cell)| (of(cell) as f64 + 0.5) / total).collect()
    };
    let (before, now) = (shares(|cell| cell.0), shares(|cell| cell.1));
    let parts: Vec<f64> = before.iter().zip(&now).map(|(&q, &p)| part(p, q)).collect();
    let psi: f64 = parts.iter().sum();
    let most = (0..parts.len()).rev().max_by(|&a, &b| parts[a].total_cmp(&parts[b])).map_or(0, |at| kept[at].0);
    let scale = 1.0 / n.0 as f64 + 1.0 / n.1 as f64;
    Shift {
        psi,
        p_value: chi_squared_tail(psi / scale, df as u32),
        bound: chi_squared_bound(tail, df as u32) * scale,
        df: df as u32,
        n,
        most,
    }
}

/// The index of two lists of shares, all above 0.
pub fn psi(p: &[f64], q: &[f64]) -> f64 {
    p.iter().zip(q).map(|(&p, &q)| part(p, q)).sum()
}

fn part(p: f64, q: f64) -> f64 {
    (p - q) * libm::log(p / q)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moved_is_told_from_chance() {
        let same = shift(&[1_000, 1_000, 1_000], &[100, 100, 100], 0.01);
        assert!(same.psi < 1e-4 && same.p_value > 0.99 && same.df == 2, "{same:?}");
        let moved = shift(&[1_000, 1_000, 1_000, 0], &[100, 100, 20, 80], 0.01);
        assert!(moved.psi > moved.bound && moved.psi > 0.5 && moved.p_value < 1e-6 && moved.most == 3, "{moved:?}");
        // The same shares of few orders say nothing.
        let few = shift(&[1_000, 1_000, 1_000], &[8, 6, 4], 0.01);
        assert!(few.psi > 0.1 - 0.05 && few.psi < few.bound, "{few:?}");
        assert_eq!(psi(&[0.5, 0.5], &[0.5, 0.5]), 0.0);
        assert!((psi(&[0.2, 0.8], &[0.4, 0.6]) - (0.2 * 2f64.ln() + 0.2 * (0.8f64 / 0.6).ln())).abs() < 1e-12);
    }

    #[test]
    fn nothing_to_compare_is_no_shift() {
        for (reference, found) in
            [(vec![], vec![]), (vec![0, 0], vec![3, 4]), (vec![5, 5], vec![0, 0]), (vec![9], vec![7])]
        {
            let found = shift(&reference, &found, 0.01);
            assert_eq!((found.psi, found.p_value, found.df), (0.0, 1.0, 0));
        }
        // Cells that nobody is in are no cells.
        assert_eq!(shift(&[50, 0, 50, 0], &[50, 0, 50, 0], 0.01).df, 1);
    }

    #[test]
    fn small_cells_are_pooled() {
        let found = shift(&[500, 500, 3, 2, 3], &[500, 500, 2, 4, 3], 0.01);
        assert_eq!(found.df, 2, "three small ones make one");
        let found = shift(&[500, 500, 1], &[500, 500, 1], 0.01);
        assert_eq!(found.df, 1, "one alone goes to the smallest");
        // A new level that many have is seen, however many the reference has of it.
        let found = shift(&[10_000, 10_000, 0], &[100, 100, 50], 0.01);
        assert!(found.psi > found.bound && found.most == 2, "{found:?}");
    }

    /// Draws twice from one distribution, again and again: the bound must be crossed as often as it says.
    #[test]
    fn the_bound_respects_the_sample_size() {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut draw = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1u64 << 53) as f64
        };
        let shares = [0.05, 0.1, 0.15, 0.2, 0.2, 0.3];
        for (n, m) in [(5_000, 200), (1_000, 1_000), (300, 4_000)] {
            let mut sample = |size: usize| {
                let mut counts = [0u64; 6];
                for _ in 0..size {
                    let mut at = draw();
                    let cell = shares
                        .iter()
                        .position(|share| {
                            at -= share;
                            at < 0.0
                        })
                        .unwrap_or(5);
                    counts[cell] += 1;
                }
                counts
            };
            let n_runs = 2_000;
            let crossed = (0..n_runs).filter(|_| {
                let (reference, found) = (sample(n), sample(m));
                let found = shift(&reference, &found, 0.05);
                assert_eq!(found.p_value < 0.05, found.psi > found.bound);
                found.psi > found.bound
            });
            let share = crossed.count() as f64 / f64::from(n_runs);
            // Four standard errors of a share of 5 % in 2,000 runs are 2 %.
            assert!((share - 0.05).abs() < 0.02, "{n} and {m}: {share}");
        }
    }
}
