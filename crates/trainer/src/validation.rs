//! What early stopping looks at: a measure of the validation rows after each round, over integer scores.

use rayon::prelude::*;

use crate::param_error::ParamError;

/// Rows that one task counts.
const TASK_ROWS: usize = 1 << 14;

/// The measure of which early stopping keeps the best round. Arrays have one entry per validation sample, or per sample in a
/// fit over folds. Validation should lie later in time than training; a measure sees nothing else.
#[derive(Clone, Copy, Debug, Default)]
pub enum Measure<'a> {
    /// Average precision, equal scores as one step.
    #[default]
    AveragePrecision,
    /// The highest recall of all thresholds whose false-positive rate is at most this; (0, 1].
    RecallAtFpr(f64),
    /// The mean over days of the share of frauds among the `k` highest scores of a day; a day of fewer orders has that many
    /// places. What people who look at `k` orders a day would find.
    PrecisionAtK {
        /// Orders a day, at least 1.
        k: usize,
        /// The day of each sample, any numbers.
        days: &'a [i32],
    },
    /// The most that stopping all orders from some score on would save, and never less than 0.
    Money {
        /// What stopping a sample saves, in minor units: a fraud its value less the cost of stopping, an honest order minus what
        /// losing or delaying it costs.
        saved: &'a [i64],
    },
}

/// A checked measure of some held rows.
#[derive(Clone, Debug)]
pub(crate) enum HeldMeasure {
    AveragePrecision,
    RecallAtFpr(f64),
    PrecisionAtK { k: usize, days: Vec<i32> },
    Money { saved: Vec<i64> },
}

impl Measure<'_> {
    /// Refuses parameters outside their range.
    pub(crate) fn check(&self) -> Result<(), ParamError> {
        match self {
            Self::RecallAtFpr(rate) if !(*rate > 0.0 && *rate <= 1.0) => {
                Err(ParamError::out_of_range("false-positive rate", rate, "(0, 1]"))
            }
            Self::PrecisionAtK { k: 0, .. } => Err(ParamError::out_of_range("orders a day", 0, "1 or more")),
            _ => Ok(()),
        }
    }

    /// The measure of the samples at the given positions.
    pub(crate) fn of(&self, held: impl Iterator<Item = usize>) -> HeldMeasure {
        match *self {
            Self::AveragePrecision => HeldMeasure::AveragePrecision,
            Self::RecallAtFpr(rate) => HeldMeasure::RecallAtFpr(rate),
            Self::PrecisionAtK { k, days } => HeldMeasure::PrecisionAtK { k, days: held.map(|at| days[at]).collect() },
            Self::Money { saved } => HeldMeasure::Money { saved: held.map(|at| saved[at]).collect() },
        }
    }

    /// Entries of the measure's array, where it has one.
    pub(crate) fn len(&self) -> Option<usize> {
        match self {
            Self::AveragePrecision | Self::RecallAtFpr(_) => None,
            Self::PrecisionAtK { days, .. } => Some(days.len()),
            Self::Money { saved } => Some(saved.len()),
        }
    }
}

impl HeldMeasure {
    /// The measure of rows with these scores and labels (1 = fraud); none where it is not defined. Exact counts, hence the same
    /// for any number of threads.
    pub(crate) fn of(&self, scores: &[i64], labels: &[u8]) -> Option<f64> {
        match self {
            Self::AveragePrecision => Some(Steps::of(scores, labels)?.average_precision()),
            Self::RecallAtFpr(rate) => Steps::of(scores, labels)?.recall_at_fpr(*rate),
            Self::PrecisionAtK { k, days } => precision_at_k(scores, labels, *k, days),
            Self::Money { saved } => Some(most_saved(scores, saved)),
        }
    }
}

/// Finds the step that a score stands on: a search over all steps would be missed by the processor's guesses ten times a row.
struct Places<'a> {
    steps: &'a [i64],
    /// Scores of one slot differ by less than two to this.
    shift: u32,
    /// Steps below each slot of scores; one more at the end.
    below: Vec<u32>,
}

impl<'a> Places<'a> {
    /// Of the table; its slots fit the first cache.
    const SLOTS: u64 = 1 << 11;

    /// `steps` rise, and there is one.
    fn new(steps: &'a [i64]) -> Self {
        let span = steps[steps.len() - 1].abs_diff(steps[0]);
        let shift = (u64::BITS - span.leading_zeros()).saturating_sub(Self::SLOTS.ilog2());
        let mut below = vec![0; (span >> shift) as usize + 2];
        for &step in steps {
            below[(step.abs_diff(steps[0]) >> shift) as usize + 1] += 1;
        }
        for slot in 1..below.len() {
            below[slot] += below[slot - 1];
        }
        Self { steps, shift, below }
    }

    /// The last step that is not above the score, which is not below the first one.
    fn of(&self, score: i64) -> usize {
        let slot = (score.abs_diff(self.steps[0]) >> self.shift) as usize;
        if slot + 1 >= self.below.len() {
            return self.steps.len() - 1;
        }
        let (from, to) = (self.below[slot] as usize, self.below[slot + 1] as usize);
        from + self.steps[from..to].partition_point(|&step| step <= score) - 1
    }
}

/// Frauds at each distinct score of a fraud, highest first, and the honest rows from there up to the step before.
struct Steps {
    counts: Vec<(u64, u64)>,
    n_fraud: u64,
    n_honest: u64,
}

impl Steps {
    /// Only the scores of frauds are sorted; honest rows are counted between them, those below all frauds by one comparison, others
    /// by a look into a table. O(f log f + n) in practice, O(n log f) at worst, for f frauds among n rows. None without a fraud.
    fn of(scores: &[i64], labels: &[u8]) -> Option<Self> {
        let mut steps: Vec<i64> =
            scores.iter().zip(labels).filter(|&(_, &label)| label == 1).map(|(&score, _)| score).collect();
        steps.sort_unstable();
        let n_fraud = steps.len();
        let frauds_at: Vec<u64> = steps.chunk_by(|a, b| a == b).map(|stretch| stretch.len() as u64).collect();
        steps.dedup();
        let &lowest = steps.first()?;
        let places = Places::new(&steps);
        // honest_at[i]: honest rows with a score from steps[i] up to but not including steps[i + 1].
        let honest_at = scores
            .par_chunks(TASK_ROWS)
            .zip(labels.par_chunks(TASK_ROWS))
            .fold(
                || vec![0_u64; steps.len()],
                |mut counts, (scores, labels)| {
                    for (&score, &label) in scores.iter().zip(labels) {
                        if score >= lowest && label != 1 {
                            counts[places.of(score)] += 1;
                        }
                    }
                    counts
                },
            )
            .reduce_with(|mut a, b| {
                a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
                a
            })?;
        let counts = frauds_at.into_iter().zip(honest_at).rev().collect();
        Some(Self { counts, n_fraud: n_fraud as u64, n_honest: (scores.len() - n_fraud) as u64 })
    }

    fn average_precision(&self) -> f64 {
        let (mut tp, mut fp, mut sum) = (0, 0, 0.0);
        for &(frauds, honest) in &self.counts {
            tp += frauds;
            fp += honest;
            sum += frauds as f64 * (tp as f64 / (tp + fp) as f64);
        }
        sum / self.n_fraud as f64
    }

    fn recall_at_fpr(&self, max_rate: f64) -> Option<f64> {
        if self.n_honest == 0 {
            return None;
        }
        let (mut tp, mut fp, mut caught) = (0, 0, 0);
        for &(frauds, honest) in &self.counts {
            tp += frauds;
            fp += honest;
            if fp as f64 / self.n_honest as f64 > max_rate {
                break;
            }
            caught = tp;
        }
        Some(caught as f64 / self.n_fraud as f64)
    }
}

/// Ties at the last place hold the share of frauds of their score. O(n log n).
fn precision_at_k(scores: &[i64], labels: &[u8], k: usize, days: &[i32]) -> Option<f64> {
    let mut rows: Vec<(i32, i64, u8)> = days.iter().zip(scores).zip(labels).map(|((&d, &s), &l)| (d, s, l)).collect();
    rows.par_sort_unstable_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
    let (mut sum, mut n_days) = (0.0, 0_u32);
    for day in rows.chunk_by(|a, b| a.0 == b.0) {
        let k = k.min(day.len());
        let (mut taken, mut found) = (0, 0.0);
        for tie in day.chunk_by(|a, b| a.1 == b.1) {
            let frauds = tie.iter().filter(|row| row.2 == 1).count() as f64;
            let places = tie.len().min(k - taken);
            found += frauds * places as f64 / tie.len() as f64;
            taken += places;
            if taken == k {
                break;
            }
        }
        sum += found / k as f64;
        n_days += 1;
    }
    (n_days > 0).then(|| sum / f64::from(n_days))
}

/// O(n log n).
fn most_saved(scores: &[i64], saved: &[i64]) -> f64 {
    let mut rows: Vec<(i64, i64)> = scores.iter().copied().zip(saved.iter().copied()).collect();
    rows.par_sort_unstable_by_key(|row| std::cmp::Reverse(row.0));
    let (mut sum, mut most) = (0_i128, 0_i128);
    for tie in rows.chunk_by(|a, b| a.0 == b.0) {
        sum += tie.iter().map(|row| i128::from(row.1)).sum::<i128>();
        most = most.max(sum);
    }
    most as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use orderguard_evaluation::ranking::Ranking;
    use proptest::prelude::*;

    fn average_precision(scores: &[i64], labels: &[u8]) -> Option<f64> {
        HeldMeasure::AveragePrecision.of(scores, labels)
    }

    #[test]
    fn known_values() {
        assert_eq!(average_precision(&[3, 2, 1], &[1, 0, 1]), Some(f64::midpoint(1.0, 2.0 / 3.0)));
        assert_eq!(average_precision(&[5, 5, 5, 5], &[1, 0, 0, 0]), Some(0.25));
        assert_eq!(average_precision(&[1, 2], &[0, 0]), None);
        assert_eq!(average_precision(&[], &[]), None);
        let half = HeldMeasure::RecallAtFpr(0.5);
        assert_eq!(half.of(&[4, 3, 2, 1], &[1, 0, 1, 0]), Some(1.0));
        assert_eq!(HeldMeasure::RecallAtFpr(0.4).of(&[4, 3, 2, 1], &[1, 0, 1, 0]), Some(0.5));
        let two_days = HeldMeasure::PrecisionAtK { k: 2, days: vec![7, 7, 7, 9] };
        assert_eq!(two_days.of(&[3, 2, 1, 8], &[1, 0, 1, 1]), Some(0.75));
        let money = HeldMeasure::Money { saved: vec![500, -100, 300, -1000] };
        assert_eq!(money.of(&[4, 3, 2, 1], &[1, 0, 1, 0]), Some(700.0));
        assert_eq!(HeldMeasure::Money { saved: vec![-5] }.of(&[1], &[0]), Some(0.0));
    }

    #[test]
    fn measures_outside_their_range_are_refused() {
        for rate in [0.0, 1.5, f64::NAN] {
            assert!(Measure::RecallAtFpr(rate).check().is_err());
        }
        assert!(Measure::PrecisionAtK { k: 0, days: &[] }.check().is_err());
        assert!(Measure::RecallAtFpr(0.01).check().is_ok());
    }

    proptest! {
        #[test]
        fn places_are_those_of_a_search_over_all_steps(
            steps in prop::collection::btree_set(prop_oneof![-40_i64..40, -90_000..90_000_i64, any::<i64>()], 1..60),
            above in prop::collection::vec(any::<u64>(), 20),
        ) {
            let steps: Vec<i64> = steps.into_iter().collect();
            let places = Places::new(&steps);
            let near = steps.iter().flat_map(|&step| [step, step.saturating_add(1), step.saturating_sub(1).max(steps[0])]);
            for score in near.chain(above.iter().map(|&by| steps[0].saturating_add((by >> 1) as i64))) {
                prop_assert_eq!(places.of(score), steps.partition_point(|&step| step <= score) - 1);
            }
        }

        #[test]
        fn agrees_with_the_evaluation_crate(rows in prop::collection::vec((-20_i64..20, 0_u8..2), 0..300), k in 1_usize..20) {
            let (scores, labels): (Vec<i64>, Vec<u8>) = rows.into_iter().unzip();
            let real: Vec<f64> = scores.iter().map(|&score| score as f64).collect();
            let close = |a: Option<f64>, b: Option<f64>| match (a, b) {
                (Some(a), Some(b)) => (a - b).abs() < 1e-12,
                (a, b) => a == b,
            };
            let want = orderguard_evaluation::metrics::average_precision(&real, &labels);
            prop_assert!(close(average_precision(&scores, &labels), want));
            if let Ok(ranking) = Ranking::new(&real, &labels) {
                for rate in [0.01, 0.1, 0.5, 1.0] {
                    prop_assert!(close(HeldMeasure::RecallAtFpr(rate).of(&scores, &labels), ranking.recall_at_fpr(rate)));
                }
                if k <= scores.len() {
                    let one_day = HeldMeasure::PrecisionAtK { k, days: vec![3; scores.len()] };
                    prop_assert!(close(one_day.of(&scores, &labels), ranking.precision_at_k(k as u64)));
                }
            }
        }

        #[test]
        fn money_is_the_best_of_all_thresholds(rows in prop::collection::vec((-9_i64..9, -50_i64..50), 0..80)) {
            let (scores, saved): (Vec<i64>, Vec<i64>) = rows.iter().copied().unzip();
            let from = |threshold: i64| rows.iter().filter(|row| row.0 >= threshold).map(|row| row.1).sum::<i64>();
            let want = (-9..=10).map(from).max().unwrap_or(0).max(0) as f64;
            let found = HeldMeasure::Money { saved }.of(&scores, &vec![0; scores.len()]);
            prop_assert_eq!(found, Some(want));
        }
    }
}
