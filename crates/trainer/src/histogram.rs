//! Sums of gradients, hessians and rows per bin: the inner loop of the fit.
//!
//! A row's statistic is one word (see [`Scale`]), so that adding a row to a bin is one addition to memory, and eight features'
//! bins of 8 bytes each (16 KiB) stay in the nearest cache. Such narrow sums hold [`CHUNK`] rows; then they are added to the
//! wide histogram, whose integers never overflow.

use rayon::prelude::*;

use crate::binning::{BLOCK, BinnedFeature, MISSING_BIN};
use crate::numeric::nearest_i32;
use crate::vector::{Kernel, Width};

/// Integer sums over rows: the gradient, then hessian and number of rows in one word (see [`Scale`]).
pub(crate) type Entry = [i64; 2];

/// Most rows of a narrow sum: as many as 12 bits count.
const CHUNK: usize = (1 << COUNT_BITS) - 1;
/// Bits of the count and the hessian in a narrow sum; the gradient has the 30 above them, its sign included.
const COUNT_BITS: u32 = 12;
const HESSIAN_BITS: u32 = 22;
/// Largest number of steps of one row's gradient and hessian: [`CHUNK`] times as much still fits the bits above.
const MAX_GRADIENT_STEPS: f64 = 131_072.0;
const MAX_HESSIAN_BITS: u32 = 10;
/// Narrow bins of one feature.
const NARROW: usize = 256;
/// Cells from which a further thread is worth its own histogram.
const CELLS_PER_PART: usize = 1 << 18;
/// Entries that one task joins from all parts.
const JOIN_ENTRIES: usize = 1 << 12;

/// What a step of gradient and hessian stands for, and how wide entries hold them: the count in the low `count_bits` of the
/// second word, the hessian above it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scale {
    count_bits: u32,
    gradient_unit: f64,
    hessian_unit: f64,
    /// Steps of one real unit.
    gradient_steps: f64,
    hessian_steps: f64,
}

/// The smallest power of two (from 2^-80 on) of which `steps` reach `max`. Powers of two keep sums in real units exact.
fn unit(max: f64, steps: f64) -> f64 {
    let mut unit = libm::ldexp(1.0, -80);
    while unit * steps < max {
        unit *= 2.0;
    }
    unit
}

/// What an entry stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sums {
    pub(crate) gradient: f64,
    pub(crate) hessian: f64,
    pub(crate) n_rows: u32,
}

impl Scale {
    /// For up to `n_rows` rows (at most 2^30) with gradients in [-max, max] and hessians in [0, max] of the given maxima.
    pub(crate) fn new(n_rows: usize, max_gradient: f64, max_hessian: f64) -> Self {
        let count_bits = usize::BITS - n_rows.leading_zeros();
        // Beyond 67 million rows a hessian has fewer steps, so that the sum over all rows fits above the count.
        let hessian_bits = MAX_HESSIAN_BITS.min(63 - 2 * count_bits);
        let gradient_unit = unit(max_gradient, MAX_GRADIENT_STEPS);
        let hessian_unit = unit(max_hessian, f64::from(1_u32 << hessian_bits));
        let (gradient_steps, hessian_steps) = (1.0 / gradient_unit, 1.0 / hessian_unit);
        Self { count_bits, gradient_unit, hessian_unit, gradient_steps, hessian_steps }
    }

    /// The word of one row. `up` is random: its halves say whether gradient and hessian are rounded up or down, each with the
    /// probability that makes it right on average.
    #[inline(always)]
    pub(crate) fn pack(self, gradient: f64, hessian: f64, up: u32) -> u64 {
        const STEP: f64 = 1.0 / 65_536.0;
        // Nearest of x + (r - 1/2) for r in [0, 1) is the whole number below x, or above it with the probability of the rest.
        let gradient = nearest_i32(gradient * self.gradient_steps + (f64::from((up >> 16) as i32) * STEP - 0.5));
        let hessian = nearest_i32(hessian * self.hessian_steps + (f64::from((up & 0xFFFF) as i32) * STEP - 0.5));
        (i64::from(gradient) << (HESSIAN_BITS + COUNT_BITS)) as u64 | (hessian as u64) << COUNT_BITS | 1
    }

    /// The wide entry of a narrow sum.
    #[inline(always)]
    pub(crate) fn widen(self, narrow: u64) -> Entry {
        let count = narrow & ((1 << COUNT_BITS) - 1);
        let hessian = narrow >> COUNT_BITS & ((1 << HESSIAN_BITS) - 1);
        [narrow as i64 >> (HESSIAN_BITS + COUNT_BITS), (hessian << self.count_bits | count) as i64]
    }

    /// Number of rows of an entry.
    #[inline(always)]
    pub(crate) fn n_rows(self, entry: Entry) -> u32 {
        (entry[1] & ((1 << self.count_bits) - 1)) as u32
    }

    /// The sums in an entry, in real units.
    #[inline(always)]
    pub(crate) fn sums(self, entry: Entry) -> Sums {
        Sums {
            gradient: entry[0] as f64 * self.gradient_unit,
            hessian: (entry[1] >> self.count_bits) as f64 * self.hessian_unit,
            n_rows: self.n_rows(entry),
        }
    }
}

/// `a + b`, component by component.
#[inline(always)]
pub(crate) fn plus(a: Entry, b: Entry) -> Entry {
    [a[0] + b[0], a[1] + b[1]]
}

/// `a - b`, component by component; `b` sums a subset of the rows of `a`.
#[inline(always)]
pub(crate) fn minus(a: Entry, b: Entry) -> Entry {
    [a[0] - b[0], a[1] - b[1]]
}

/// Where each feature's entries stand in a histogram: one per bin, then that of missing values.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    starts: Vec<usize>,
}

impl Layout {
    pub(crate) fn new(features: &[BinnedFeature]) -> Self {
        let mut starts = vec![0];
        let mut end = 0;
        for feature in features {
            end += feature.bins.n_bins() + 1;
            starts.push(end);
        }
        Self { starts }
    }

    /// Entries of a histogram of all features.
    pub(crate) fn len(&self) -> usize {
        self.starts[self.starts.len() - 1]
    }

    pub(crate) fn n_features(&self) -> usize {
        self.starts.len() - 1
    }

    /// The entries of one feature; the last is that of missing values.
    pub(crate) fn range(&self, column: usize) -> std::ops::Range<usize> {
        self.starts[column]..self.starts[column + 1]
    }
}

/// Rows to sum: their bins, a row's words one after the other (`stride` of them), and their statistics.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowSource<'a> {
    pub(crate) words: &'a [u64],
    pub(crate) stride: usize,
    pub(crate) values: &'a [u64],
}

/// Sums the given rows (positions in `source`, increasing) into the histogram of all features.
///
/// `out` is zeroed here. O(rows * features + features * bins); parallel where the rows are many, with the same sums.
///
/// # Reference
/// `XGBoost`: A Scalable Tree Boosting System (2016), arXiv:1603.02754, equation 7.
pub(crate) fn build(
    width: Width,
    scale: Scale,
    layout: &Layout,
    source: RowSource<'_>,
    rows: &[u32],
    out: &mut [Entry],
) {
    let n_parts = (rows.len() * layout.n_features() / CELLS_PER_PART).clamp(1, rayon::current_num_threads());
    if n_parts == 1 {
        return build_part(width, scale, layout, source, rows, out);
    }
    let parts: Vec<Vec<Entry>> = rows
        .par_chunks(rows.len().div_ceil(n_parts))
        .map(|rows| {
            let mut part = vec![[0, 0]; layout.len()];
            build_part(width, scale, layout, source, rows, &mut part);
            part
        })
        .collect();
    out.par_chunks_mut(JOIN_ENTRIES).enumerate().for_each(|(i, out)| {
        out.fill([0, 0]);
        for part in &parts {
            out.iter_mut().zip(&part[i * JOIN_ENTRIES..]).for_each(|(sum, &more)| *sum = plus(*sum, more));
        }
    });
}

fn build_part(width: Width, scale: Scale, layout: &Layout, source: RowSource<'_>, rows: &[u32], out: &mut [Entry]) {
    if rows.is_empty() {
        out.fill([0, 0]);
    }
    let mut narrow = [0; BLOCK * NARROW];
    for (i, rows) in rows.chunks(CHUNK).enumerate() {
        for first in (0..layout.n_features()).step_by(BLOCK) {
            let n_features = (layout.n_features() - first).min(BLOCK);
            add_rows(&mut narrow, n_features, source, first / BLOCK, rows);
            for (column, narrow) in (first..first + n_features).zip(narrow.chunks_exact_mut(NARROW)) {
                width.run(Flush { scale, narrow, wide: &mut out[layout.range(column)], fresh: i == 0 });
            }
        }
    }
}

/// Adds rows to the narrow sums of one block of which the first `n_features` features are used.
fn add_rows(narrow: &mut [u64; BLOCK * NARROW], n_features: usize, source: RowSource<'_>, block: usize, rows: &[u32]) {
    let add = match n_features {
        1 => add_const::<1>,
        2 => add_const::<2>,
        3 => add_const::<3>,
        4 => add_const::<4>,
        5 => add_const::<5>,
        6 => add_const::<6>,
        7 => add_const::<7>,
        _ => add_const::<8>,
    };
    add(narrow, source, block, rows);
}

fn add_const<const N: usize>(narrow: &mut [u64; BLOCK * NARROW], source: RowSource<'_>, block: usize, rows: &[u32]) {
    for &row in rows {
        let word = source.words[row as usize * source.stride + block];
        let value = source.values[row as usize];
        for i in 0..N {
            let sum = &mut narrow[i * NARROW + ((word >> (8 * i)) & 255) as usize];
            *sum = sum.wrapping_add(value);
        }
    }
}

/// Adds the narrow sums of one feature to its wide ones, or puts them there, and zeroes them.
struct Flush<'a> {
    scale: Scale,
    narrow: &'a mut [u64],
    wide: &'a mut [Entry],
    /// Whether what stands in `wide` is to be forgotten.
    fresh: bool,
}

impl Kernel for Flush<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Some((missing, wide)) = self.wide.split_last_mut() else { return };
        let of_missing = self.scale.widen(std::mem::take(&mut self.narrow[usize::from(MISSING_BIN)]));
        if self.fresh {
            *missing = of_missing;
            for (sum, narrow) in wide.iter_mut().zip(self.narrow) {
                *sum = self.scale.widen(std::mem::take(narrow));
            }
        } else {
            *missing = plus(*missing, of_missing);
            for (sum, narrow) in wide.iter_mut().zip(self.narrow) {
                *sum = plus(*sum, self.scale.widen(std::mem::take(narrow)));
            }
        }
    }
}

/// Turns the histogram of a node into that of one of its children by taking the other child's away.
pub(crate) struct Subtract<'a> {
    pub(crate) node: &'a mut [Entry],
    pub(crate) child: &'a [Entry],
}

impl Kernel for Subtract<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (sum, &taken) in self.node.iter_mut().zip(self.child) {
            *sum = minus(*sum, taken);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::binning::BinnedMatrix;
    use crate::numeric::hash3;
    use orderguard_features::language::spec::FeatureKind;
    use orderguard_features::matrix::Matrix;
    use proptest::prelude::*;

    /// One feature's histogram, cell by cell.
    pub(crate) fn build_naive(
        scale: Scale,
        binned: &BinnedMatrix,
        column: usize,
        rows: &[u32],
        values: &[u64],
    ) -> Vec<Entry> {
        let n_bins = binned.features()[column].bins.n_bins();
        let mut hist = vec![[0, 0]; n_bins + 1];
        for &row in rows {
            let bin = usize::from(binned.bin(row as usize, column)).min(n_bins);
            hist[bin] = plus(hist[bin], scale.widen(values[row as usize]));
        }
        hist
    }

    #[test]
    fn narrow_and_wide_sums_hold_the_largest_rows() {
        for sign in [-1.0, 1.0] {
            for n_rows in [1, CHUNK, 1 << 20, 1 << 30] {
                let scale = Scale::new(n_rows, 1.0, 0.25);
                let value = scale.pack(sign, 0.25, 0xFFFF_FFFF);
                let narrow = (0..CHUNK.min(n_rows)).fold(0, |sum: u64, _| sum.wrapping_add(value));
                let sums = scale.sums(scale.widen(narrow));
                assert_eq!(sums.n_rows as usize, CHUNK.min(n_rows));
                assert_eq!(sums.gradient, sign * f64::from(sums.n_rows));
                assert_eq!(sums.hessian, 0.25 * f64::from(sums.n_rows));
                let all = scale.widen(value).map(|one| one * n_rows as i64);
                assert_eq!(
                    scale.sums(all),
                    Sums { gradient: sign * n_rows as f64, hessian: 0.25 * n_rows as f64, n_rows: n_rows as u32 }
                );
            }
        }
    }

    #[test]
    fn rounding_is_right_on_average() {
        let scale = Scale::new(1000, 1.0, 0.25);
        for (gradient, hessian) in [(-0.123_456_7, 0.108_24), (3.3e-6, 1e-5), (-1e-7, 1e-9), (1.0, 0.25), (0.0, 0.0)] {
            let n = 200_000;
            let (mut sum, mut hessians) = (0.0, 0.0);
            for i in 0..n {
                let sums = scale.sums(scale.widen(scale.pack(gradient, hessian, crate::numeric::mix32(i))));
                sum += sums.gradient;
                hessians += sums.hessian;
            }
            let (mean, mean_hessian) = (sum / f64::from(n), hessians / f64::from(n));
            // A step has a deviation of at most half of it.
            let off = |unit: f64| 5.0 * 0.5 * unit / f64::from(n).sqrt();
            assert!((mean - gradient).abs() <= off(scale.gradient_unit), "{mean} {gradient}");
            assert!((mean_hessian - hessian).abs() <= off(scale.hessian_unit), "{mean_hessian} {hessian}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn agrees_with_the_naive_sum_and_parts_add_up(
            n_features in 1_usize..20,
            n_rows in prop_oneof![1_usize..1500, 4000_usize..30_000],
            keep in 1_u64..5,
            seed in any::<u64>(),
        ) {
            let draw = |i: u64, key: u64| hash3(seed, i, key);
            let cell = |i: usize| match draw(i as u64, 0) % 41 { 40 => f32::NAN, x => x as f32 };
            let matrix = Matrix::from_columns(n_rows, n_features, (0..n_rows * n_features).map(cell).collect());
            let all: Vec<u32> = (0..n_rows as u32).collect();
            let binned = BinnedMatrix::new(&vec![FeatureKind::Numeric; n_features], &[(&matrix, &all)], 255);
            let scale = Scale::new(n_rows, 1.0, 0.25);
            let part = |i: u64, key: u64| (draw(i, key) >> 11) as f64 / (1_u64 << 53) as f64;
            let values: Vec<u64> =
                (0..n_rows as u64).map(|i| scale.pack(2.0 * part(i, 1) - 1.0, part(i, 2) / 4.0, draw(i, 3) as u32)).collect();
            let rows: Vec<u32> = all.into_iter().filter(|&i| draw(u64::from(i), 4).is_multiple_of(keep)).collect();
            let layout = Layout::new(binned.features());
            let source = RowSource { words: binned.row_words(), stride: binned.n_blocks(), values: &values };
            let mut wanted: Option<Vec<Entry>> = None;
            for width in Width::available() {
                for n_threads in [1, 3] {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
                    let of = |rows: &[u32]| {
                        let mut hist = vec![[9, 9]; layout.len()];
                        pool.install(|| build(width, scale, &layout, source, rows, &mut hist));
                        hist
                    };
                    let hist = of(&rows);
                    for column in 0..layout.n_features() {
                        prop_assert_eq!(&hist[layout.range(column)], &build_naive(scale, &binned, column, &rows, &values)[..]);
                    }
                    let (left, right) = rows.split_at(rows.len() / 3);
                    let (left, right) = (of(left), of(right));
                    let mut rest = hist.clone();
                    width.run(Subtract { node: &mut rest, child: &left });
                    prop_assert_eq!(&rest, &right);
                    prop_assert_eq!(wanted.get_or_insert_with(|| hist.clone()), &hist);
                }
            }
        }
    }
}
