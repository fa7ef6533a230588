//! Bins of a scorecard: a feature is cut where the share of fraud changes, and each bin has its weight of evidence.
//!
//! Missing values have a bin of their own, and so has each special value ("seen for the first time", and what the caller
//! names). The other values of a numeric feature are first cut into many bins of about equal size; neighbours are then merged,
//! always the two that differ least, until every bin holds enough orders and enough of both classes, neighbours differ by more
//! than chance, there are few enough of them, and the share of fraud rises or falls throughout where that is asked. Levels of
//! a category are put in order of their share of fraud and merged in the same way.
//!
//! # Reference
//! Siddiqi, *Credit Risk Scorecards* (2006), chapter 6; the merging is that of `ChiMerge` (Kerber, AAAI 1992) with the
//! likelihood ratio in place of chi-squared.

use orderguard_features::language::feature::is_first_seen;
use orderguard_features::language::spec::FeatureKind;

use crate::numeric::between;
use crate::samples::Samples;

/// Bins that a numeric feature is first cut into, at most.
const N_FINE: usize = 64;
/// A free cut is taken instead of a monotone one when it explains so many times as much, ...
const FREE_TIMES: f64 = 1.5;
/// ... and so much more, in units of log likelihood.
const FREE_MORE: f64 = 10.0;

/// Which way the share of fraud may go along a numeric feature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trend {
    /// Rising or falling, whichever explains more; free where a free cut explains more than 1.5 times as much (hours of
    /// the day).
    #[default]
    Auto,
    /// Rising from bin to bin.
    Rising,
    /// Falling from bin to bin.
    Falling,
    /// Any.
    Free,
}

/// Orders and frauds of a bin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Orders.
    pub n: u64,
    /// Frauds among them.
    pub n_fraud: u64,
}

impl Counts {
    fn add(&mut self, label: u8) {
        self.n += 1;
        self.n_fraud += u64::from(label == 1);
    }

    fn join(self, other: Self) -> Self {
        Self { n: self.n + other.n, n_fraud: self.n_fraud + other.n_fraud }
    }

    fn n_honest(self) -> u64 {
        self.n - self.n_fraud
    }

    /// Log likelihood of its labels at its own share of fraud.
    fn log_likelihood(self) -> f64 {
        let part = |k: u64| if k == 0 { 0.0 } else { k as f64 * libm::log(k as f64 / self.n as f64) };
        part(self.n_fraud) + part(self.n_honest())
    }

    /// Whether its share of fraud is below that of `other`; exact.
    fn is_below(self, other: Self) -> bool {
        u128::from(self.n_fraud) * u128::from(other.n) < u128::from(other.n_fraud) * u128::from(self.n)
    }
}

/// How much log likelihood is lost when two bins become one; 0 or more.
fn loss(a: Counts, b: Counts) -> f64 {
    (a.log_likelihood() + b.log_likelihood() - a.join(b).log_likelihood()).max(0.0)
}

/// Weight of evidence of a bin among orders of which `all` were counted: by how much the log-odds of fraud in it lie above
/// those of all, drawn to 0 as if one more fraud, and as many honest orders as belong to one, had been seen in it. 0 for an
/// empty bin, and where `all` holds one class only.
pub fn weight_of_evidence(bin: Counts, all: Counts) -> f64 {
    if all.n_fraud == 0 || all.n_honest() == 0 {
        return 0.0;
    }
    let honest_per_fraud = all.n_honest() as f64 / all.n_fraud as f64;
    libm::log((bin.n_fraud as f64 + 1.0) / (bin.n_honest() as f64 + honest_per_fraud) * honest_per_fraud)
}

/// A feature in bins.
#[derive(Clone, Debug, PartialEq)]
pub enum Binned {
    /// See [`Characteristic::Numeric`](orderguard_inference::model::Characteristic::Numeric).
    Numeric {
        /// Special values that occur, ascending.
        specials: Vec<(f32, Counts)>,
        /// Upper ends of all bins but the last, ascending.
        upper: Vec<f32>,
        /// One more than upper ends.
        bins: Vec<Counts>,
        /// Missing values.
        missing: Counts,
    },
    /// See [`Characteristic::Categorical`](orderguard_inference::model::Characteristic::Categorical).
    Categorical {
        /// Bin of each level, then of rare and unseen ones.
        groups: Vec<u32>,
        /// In order of their share of fraud; a bin without orders, for levels that do not occur, stands last.
        bins: Vec<Counts>,
        /// Missing values.
        missing: Counts,
    },
}

impl Binned {
    /// All bins: special ones, then the others, then that of missing values.
    pub fn bins(&self) -> impl Iterator<Item = Counts> + '_ {
        let (specials, bins, missing) = match self {
            Self::Numeric { specials, bins, missing, .. } => (specials.as_slice(), bins, missing),
            Self::Categorical { bins, missing, .. } => (&[][..], bins, missing),
        };
        specials.iter().map(|(_, counts)| *counts).chain(bins.iter().copied()).chain(std::iter::once(*missing))
    }

    /// Position in [`bins`](Self::bins) of a value.
    pub fn position(&self, x: f32) -> usize {
        match self {
            Self::Numeric { specials, upper, bins, .. } => {
                if x.is_nan() {
                    specials.len() + bins.len()
                } else if let Some(at) = specials.iter().position(|(value, _)| *value == x) {
                    at
                } else {
                    specials.len() + upper.partition_point(|&end| end < x)
                }
            }
            Self::Categorical { groups, bins, .. } => {
                if x.is_nan() {
                    return bins.len();
                }
                let (code, last) = (x as u32, groups.len() - 1);
                groups[if code as f32 == x { (code as usize).min(last) } else { last }] as usize
            }
        }
    }

    /// Information value: how far the bins tell frauds from honest orders; 0.02 is weak, 0.3 strong (Siddiqi 2006).
    pub fn information(&self, all: Counts) -> f64 {
        if all.n_fraud == 0 || all.n_honest() == 0 {
            return 0.0;
        }
        let part = |bin: Counts| {
            let more = bin.n_fraud as f64 / all.n_fraud as f64 - bin.n_honest() as f64 / all.n_honest() as f64;
            more * weight_of_evidence(bin, all)
        };
        self.bins().map(part).sum()
    }
}

/// What bins must hold, checked by [`ScorecardParams::check`](crate::scorecard::ScorecardParams::check).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) max_bins: usize,
    pub(crate) min_orders: u64,
    /// Of each class.
    pub(crate) min_class: u64,
    /// Log likelihood that a cut must gain.
    pub(crate) min_gain: f64,
}

/// Cuts one feature. `specials` are values with bins of their own beside "seen for the first time", which has one where
/// `has_first_seen`.
pub(crate) fn bin_feature(
    samples: &Samples,
    feature: usize,
    kind: FeatureKind,
    has_first_seen: bool,
    specials: &[f32],
    trend: Trend,
    limits: &Limits,
) -> Binned {
    let column = samples.matrix.column(feature);
    let cells = samples.rows.iter().zip(samples.labels).map(|(&row, &label)| (column[row as usize], label));
    match kind {
        FeatureKind::Numeric => bin_numeric(cells, has_first_seen, specials, trend, limits),
        FeatureKind::Categorical { n_levels } => bin_levels(cells, n_levels as usize, limits),
    }
}

fn bin_numeric(
    cells: impl Iterator<Item = (f32, u8)>,
    has_first_seen: bool,
    specials: &[f32],
    trend: Trend,
    limits: &Limits,
) -> Binned {
    let is_special = |x: f32| specials.contains(&x) || (has_first_seen && is_first_seen(x));
    let mut missing = Counts::default();
    let mut plain: Vec<(f32, u8)> = Vec::new();
    let mut special: Vec<(f32, u8)> = Vec::new();
    for (x, label) in cells {
        // Both zeros are one value.
        let x = x + 0.0;
        if x.is_nan() {
            missing.add(label);
        } else if is_special(x) {
            special.push((x, label));
        } else {
            plain.push((x, label));
        }
    }
    special.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let mut special_bins: Vec<(f32, Counts)> = Vec::new();
    for (x, label) in special {
        if special_bins.last().is_none_or(|(value, _)| *value != x) {
            special_bins.push((x, Counts::default()));
        }
        special_bins.last_mut().expect("pushed above at the latest").1.add(label);
    }
    let (upper, fine) = cut_finely(plain);
    let (upper, bins) = merge_by_trend(&upper, &fine, trend, limits);
    Binned::Numeric { specials: special_bins, upper, bins, missing }
}

/// Bins of about equal size with an end between different values; one bin where there is no value.
fn cut_finely(mut values: Vec<(f32, u8)>) -> (Vec<f32>, Vec<Counts>) {
    values.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let size = values.len().div_ceil(N_FINE).max(1) as u64;
    let (mut upper, mut bins, mut open) = (Vec::new(), Vec::new(), Counts::default());
    for (i, &(x, label)) in values.iter().enumerate() {
        open.add(label);
        let next = values.get(i + 1).map(|next| next.0).filter(|&next| next != x);
        if let Some(next) = next.filter(|_| open.n >= size)
            && let Some(end) = short_between(x, next)
        {
            upper.push(end);
            bins.push(std::mem::take(&mut open));
        }
    }
    bins.push(open);
    (upper, bins)
}

/// A number `t` with `a <= t < b`, of as few decimal digits as there is; people read it.
fn short_between(a: f32, b: f32) -> Option<f32> {
    let middle = between(a, b)?;
    (0..9)
        .filter_map(|digits| format!("{middle:.digits$e}").parse::<f32>().ok())
        .find(|&t| a <= t && t < b)
        .or(Some(middle))
}

fn merge_by_trend(upper: &[f32], fine: &[Counts], trend: Trend, limits: &Limits) -> (Vec<f32>, Vec<Counts>) {
    let merged = |trend: Trend| {
        let mut merging = Merging { upper: upper.to_vec(), bins: fine.to_vec() };
        merging.run(trend, limits);
        merging
    };
    let explained = |merging: &Merging| {
        let whole = merging.bins.iter().fold(Counts::default(), |all, &bin| all.join(bin));
        merging.bins.iter().map(|bin| bin.log_likelihood()).sum::<f64>() - whole.log_likelihood()
    };
    let best = if trend == Trend::Auto {
        let (rising, falling, free) = (merged(Trend::Rising), merged(Trend::Falling), merged(Trend::Free));
        let monotone = if explained(&falling) > explained(&rising) { falling } else { rising };
        let (by_one, by_free) = (explained(&monotone), explained(&free));
        if by_free > FREE_TIMES * by_one && by_free > by_one + FREE_MORE { free } else { monotone }
    } else {
        merged(trend)
    };
    (best.upper, best.bins)
}

/// Neighbouring bins on their way to fewer.
struct Merging {
    upper: Vec<f32>,
    bins: Vec<Counts>,
}

impl Merging {
    fn run(&mut self, trend: Trend, limits: &Limits) {
        while let Some(left) = self.next(trend, limits) {
            self.bins[left] = self.bins[left].join(self.bins[left + 1]);
            self.bins.remove(left + 1);
            self.upper.remove(left);
        }
    }

    /// The left one of the pair that is merged next; `None` when all is well.
    fn next(&self, trend: Trend, limits: &Limits) -> Option<usize> {
        let bins = &self.bins;
        if bins.len() < 2 {
            return None;
        }
        let disordered = |pair: &[Counts]| match trend {
            Trend::Rising => !pair[0].is_below(pair[1]),
            Trend::Falling => !pair[1].is_below(pair[0]),
            Trend::Auto | Trend::Free => false,
        };
        if let Some(left) = bins.windows(2).position(disordered) {
            return Some(left);
        }
        let losses: Vec<f64> = bins.windows(2).map(|pair| loss(pair[0], pair[1])).collect();
        let is_small = |bin: &Counts| {
            bin.n < limits.min_orders || bin.n_fraud < limits.min_class || bin.n_honest() < limits.min_class
        };
        let small = (0..bins.len()).filter(|&at| is_small(&bins[at])).min_by_key(|&at| bins[at].n);
        if let Some(at) = small {
            let to_right = at == 0 || (at < losses.len() && losses[at] < losses[at - 1]);
            return Some(if to_right { at } else { at - 1 });
        }
        let (left, least) = losses.iter().copied().enumerate().min_by(|a, b| a.1.total_cmp(&b.1))?;
        (bins.len() > limits.max_bins || least < limits.min_gain).then_some(left)
    }
}

fn bin_levels(cells: impl Iterator<Item = (f32, u8)>, n_levels: usize, limits: &Limits) -> Binned {
    let mut missing = Counts::default();
    let mut counts = vec![Counts::default(); n_levels + 1];
    for (x, label) in cells {
        if x.is_nan() {
            missing.add(label);
            continue;
        }
        let code = x as u32;
        counts[if code as f32 == x { (code as usize).min(n_levels) } else { n_levels }].add(label);
    }
    let all = counts.iter().fold(Counts::default(), |all, &level| all.join(level));
    let mut order: Vec<usize> = (0..=n_levels).filter(|&level| counts[level].n > 0).collect();
    // Levels of few orders stand near the middle: their share says little.
    order.sort_by(|&a, &b| {
        weight_of_evidence(counts[a], all).total_cmp(&weight_of_evidence(counts[b], all)).then(a.cmp(&b))
    });
    // An "upper end" counts the levels up to the end of its bin.
    let mut merging = Merging {
        upper: (1..order.len()).map(|at| at as f32).collect(),
        bins: order.iter().map(|&level| counts[level]).collect(),
    };
    merging.run(Trend::Free, limits);
    let mut groups = vec![merging.bins.len() as u32; n_levels + 1];
    for (at, &level) in order.iter().enumerate() {
        groups[level] = merging.upper.partition_point(|&end| end <= at as f32) as u32;
    }
    if order.len() <= n_levels {
        merging.bins.push(Counts::default());
    }
    Binned::Categorical { groups, bins: merging.bins, missing }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { max_bins: 5, min_orders: 20, min_class: 3, min_gain: 2.0 };

    fn numeric(cells: &[(f32, u8)], trend: Trend) -> Binned {
        bin_numeric(cells.iter().copied(), true, &[99.0], trend, &LIMITS)
    }

    #[test]
    fn finds_a_planted_step_and_writes_it_short() {
        // Between 5,998.5 and 5,999.5 a number of four digits lies.
        let cells: Vec<(f32, u8)> = (0..12_800).map(|i| (i as f32 - 0.5, u8::from(i >= 6_400 && i % 3 == 0))).collect();
        let Binned::Numeric { upper, bins, .. } = numeric(&cells, Trend::Auto) else { unreachable!() };
        // The first bin has no fraud, so the fine bins on its edge decide; 200 orders stand in each.
        assert_eq!(upper.len(), 1, "{upper:?} {bins:?}");
        assert!((upper[0] - 6_400.0).abs() <= 200.0, "{upper:?}");
        assert_eq!(short_between(19.37, 24.02), Some(20.0));
        assert_eq!(short_between(5_998.5, 5_999.5), Some(5_999.0));
        assert_eq!(short_between(f32::NEG_INFINITY, f32::MIN), None);
    }

    #[test]
    fn a_valley_is_cut_freely_and_a_slope_is_not() {
        let hour = |i: usize| (i % 24) as f32;
        let night: Vec<(f32, u8)> = (0..24_000)
            .map(|i| {
                let share = if hour(i) < 5.0 || hour(i) >= 22.0 { 12 } else { 1 };
                (hour(i), u8::from(crate::numeric::hash3(1, i as u64, 0) % 100 < share))
            })
            .collect();
        let Binned::Numeric { bins, .. } = numeric(&night, Trend::Auto) else { unreachable!() };
        let (falls, rises) = (|pair: &[Counts]| pair[1].is_below(pair[0]), |pair: &[Counts]| pair[0].is_below(pair[1]));
        assert!(bins.windows(2).any(falls) && bins.windows(2).any(rises), "{bins:?}");
        let Binned::Numeric { bins, .. } = numeric(&night, Trend::Rising) else { unreachable!() };
        assert!(bins.windows(2).all(|pair| pair[0].is_below(pair[1])));
    }

    #[test]
    fn levels_are_grouped_by_risk_and_absent_ones_are_neutral() {
        // Levels 0 to 3 of shares 1 %, 20 %, 1 %, never; level 4 means rare.
        let cells = (0..9_000).map(|i: u32| {
            let level = [0.0, 1.0, 2.0][i as usize % 3];
            (level, u8::from((i / 3).is_multiple_of(if level == 1.0 { 5 } else { 100 })))
        });
        let Binned::Categorical { groups, bins, missing } = bin_levels(cells, 4, &LIMITS) else { unreachable!() };
        assert_eq!(groups, [0, 1, 0, 2, 2]);
        assert_eq!((bins[1].n, bins[1].n_fraud, bins[2], missing), (3_000, 600, Counts::default(), Counts::default()));
        let all = Counts { n: 9_000, n_fraud: 660 };
        assert_eq!(weight_of_evidence(bins[2], all), 0.0);
        assert!(weight_of_evidence(bins[1], all) > 0.5 && weight_of_evidence(bins[0], all) < -1.0);
    }

    #[test]
    fn one_class_and_nothing_at_all_are_defined() {
        for cells in
            [vec![], vec![(1.0, 0); 500], vec![(f32::NAN, 1); 30], vec![(f32::INFINITY, 1), (f32::NEG_INFINITY, 0)]]
        {
            let binned = numeric(&cells, Trend::Auto);
            let all = binned.bins().fold(Counts::default(), Counts::join);
            assert_eq!(all.n, cells.len() as u64);
            assert!(binned.information(all).is_finite());
        }
    }

    proptest! {
        #[test]
        fn bins_cover_every_order_once_and_keep_their_limits(
            cells in prop::collection::vec((prop_oneof![Just(f32::NAN), Just(-1.0), Just(99.0), Just(-0.0), Just(0.0),
                Just(f32::INFINITY), -9.0..9.0f32, (0..6u8).prop_map(f32::from)], 0..4u8), 0..600),
            trend in prop_oneof![Just(Trend::Auto), Just(Trend::Rising), Just(Trend::Falling), Just(Trend::Free)],
        ) {
            let cells: Vec<(f32, u8)> = cells.into_iter().map(|(x, draw)| (x, u8::from(draw == 0))).collect();
            let binned = numeric(&cells, trend);
            let mut counted = vec![Counts::default(); binned.bins().count()];
            for &(x, label) in &cells {
                counted[binned.position(x)].add(label);
            }
            prop_assert_eq!(&counted, &binned.bins().collect::<Vec<_>>());
            let Binned::Numeric { specials, upper, bins, .. } = &binned else { unreachable!() };
            prop_assert_eq!(bins.len(), upper.len() + 1);
            prop_assert!(upper.windows(2).all(|pair| pair[0] < pair[1]) && upper.iter().all(|end| end.is_finite()));
            prop_assert!(specials.iter().all(|(x, _)| *x == -1.0 || *x == 99.0));
            if bins.len() > 1 {
                prop_assert!(bins.len() <= LIMITS.max_bins);
                prop_assert!(bins.iter().all(|bin| bin.n >= 20 && bin.n_fraud >= 3 && bin.n_honest() >= 3));
                prop_assert!(bins.windows(2).all(|pair| loss(pair[0], pair[1]) >= LIMITS.min_gain));
            }
            let rises = bins.windows(2).all(|pair| pair[0].is_below(pair[1]));
            let falls = bins.windows(2).all(|pair| pair[1].is_below(pair[0]));
            prop_assert!(trend != Trend::Rising || rises);
            prop_assert!(trend != Trend::Falling || falls);
        }

        #[test]
        fn order_of_orders_changes_nothing(cells in prop::collection::vec((-3.0..3.0f32, 0..2u8), 1..300), by in 1..299usize) {
            let mut turned = cells.clone();
            turned.rotate_left(by % cells.len());
            prop_assert_eq!(numeric(&cells, Trend::Auto), numeric(&turned, Trend::Auto));
        }
    }
}
