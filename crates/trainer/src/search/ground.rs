//! The folds that settings are tried on, binned once.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use orderguard_features::language::spec::FeatureKind;
use rayon::ThreadPoolBuilder;

use super::Fold;
use super::space::Setting;
use crate::binning::BinnedMatrix;
use crate::boosting::{Extras, Round, bin, fit_binned, smoothed};
use crate::fit_error::FitError;
use crate::params::{CheckedGbtParams, GbtParams};
use crate::thinning::Thinned;
use crate::weights::by_age;

/// Folds of fewer rows are too small to keep all threads busy with one of them: several are fitted at a time.
pub(crate) const SIDE_BY_SIDE: usize = 1 << 18;

/// The measure of one setting on one fold.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Run {
    /// After each round, averaged over the last ones, the best so far.
    best_so_far: Vec<f64>,
    /// The round with the best one.
    pub(super) best_round: usize,
    /// Whether more rounds would have followed.
    pub(super) is_cut: bool,
}

impl Run {
    /// The best measure of the first rounds.
    pub(super) fn value_at(&self, rounds: usize) -> f64 {
        self.best_so_far[rounds.clamp(1, self.best_so_far.len()) - 1]
    }

    /// The best measure of all rounds.
    pub(super) fn value(&self) -> f64 {
        self.value_at(usize::MAX)
    }
}

/// One fit to be made.
pub(super) struct Job<'a> {
    pub(super) setting: &'a Setting,
    pub(super) fold: usize,
    /// Rounds after which it is cut.
    pub(super) rounds: usize,
}

pub(super) struct Ground<'a> {
    kinds: &'a [FeatureKind],
    folds: &'a [Fold<'a>],
    /// By fold and `max_bins`.
    binned: BTreeMap<(usize, usize), BinnedMatrix>,
}

impl<'a> Ground<'a> {
    pub(super) fn new(kinds: &'a [FeatureKind], folds: &'a [Fold<'a>]) -> Self {
        Self { kinds, folds, binned: BTreeMap::new() }
    }

    /// Fits all jobs; none for one that `stop` ended. The same for any number of threads.
    pub(super) fn run(
        &mut self,
        jobs: &[Job<'_>],
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<Vec<Option<Run>>, FitError> {
        let params: Vec<CheckedGbtParams> = jobs.iter().map(|job| checked(&job.setting.params)).collect();
        for (job, params) in jobs.iter().zip(&params) {
            let (kinds, fold) = (self.kinds, &self.folds[job.fold]);
            self.binned.entry((job.fold, params.max_bins)).or_insert_with(|| {
                let thinned = Thinned::new(params, &fold.train, &fold.extras);
                bin(params.max_bins, kinds, &[&thinned.samples(&fold.train), &fold.held])
            });
        }
        let small = self.folds.iter().all(|fold| fold.train.len() + fold.held.len() < SIDE_BY_SIDE);
        each(jobs.len(), small, &|i| self.fit(&jobs[i], &params[i], stop)).into_iter().collect()
    }

    fn fit(
        &self,
        job: &Job<'_>,
        params: &CheckedGbtParams,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<Option<Run>, FitError> {
        if stop() {
            return Ok(None);
        }
        let fold = &self.folds[job.fold];
        let weights = faded(fold, job.setting.half_life);
        let extras = Extras { weights: weights.as_deref().or(fold.extras.weights), ..fold.extras };
        let thinned = Thinned::new(params, &fold.train, &extras);
        let (train, extras) = (thinned.samples(&fold.train), thinned.extras(&extras));
        let mut is_stopped = false;
        let mut is_cut = false;
        let mut best_so_far: Vec<f64> = Vec::new();
        let mut history = Vec::new();
        let mut after = |round: &Round<'_>| {
            history.push(**round);
            let best = best_so_far.last().copied().unwrap_or(f64::NEG_INFINITY);
            best_so_far.push(best.max(smoothed(params, &history)));
            is_stopped = stop();
            is_cut = round.round >= job.rounds && round.round < round.n_rounds;
            if is_stopped || is_cut { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let binned = &self.binned[&(job.fold, params.max_bins)];
        let fit = fit_binned(params, self.kinds, &train, &fold.held, &extras, binned, &mut after).map_err(|error| {
            let fold = Some(job.fold as u8);
            match error {
                FitError::OneClass { n_rows, n_fraud, .. } => FitError::OneClass { n_rows, n_fraud, fold },
                FitError::NoFraudInValidation { n_rows, .. } => FitError::NoFraudInValidation { n_rows, fold },
                other => other,
            }
        })?;
        if best_so_far.is_empty() {
            // No tree could be grown: all scores are alike.
            let measure = extras.measure.of(0..fold.held.len());
            best_so_far.push(measure.of(&vec![0; fold.held.len()], fold.held.labels).unwrap_or(0.0));
        }
        Ok((!is_stopped).then_some(Run { best_so_far, best_round: fit.best_round, is_cut }))
    }
}

/// The weights of a fold's samples, halved with every half-life.
fn faded(fold: &Fold<'_>, half_life: Option<i64>) -> Option<Vec<f64>> {
    let (half_life, times) = (half_life?, fold.times?);
    let newest = times.iter().copied().max()?;
    let mut weights = by_age(times, newest, half_life).expect("a half-life is above 0");
    if let Some(given) = fold.extras.weights {
        weights.iter_mut().zip(given).for_each(|(weight, given)| *weight *= given);
    }
    Some(weights)
}

fn checked(params: &GbtParams) -> CheckedGbtParams {
    params.clone().check().expect("the base was checked, and all points of the space are within the ranges")
}

/// The results of all tasks, in their order. Side by side every task has threads of its own, as many as there are for each:
/// were they to share them, one that waits would begin another, and all would hold their memory at once.
fn each<T: Send>(n: usize, side_by_side: bool, task: &(dyn Fn(usize) -> T + Sync)) -> Vec<T> {
    let n_threads = rayon::current_num_threads();
    let n_workers = n.min(n_threads);
    let one_by_one = || (0..n).map(task).collect();
    if !side_by_side || n_workers < 2 {
        return one_by_one();
    }
    let pool = |worker: usize| {
        let extra = usize::from(worker < n_threads % n_workers);
        ThreadPoolBuilder::new().num_threads(n_threads / n_workers + extra).build().ok()
    };
    let Some(pools) = (0..n_workers).map(pool).collect::<Option<Vec<_>>>() else { return one_by_one() };
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let done: Mutex<Vec<(usize, T)>> = Mutex::new(Vec::with_capacity(n));
    std::thread::scope(|scope| {
        for pool in &pools {
            let (next, failed, done) = (&next, &failed, &done);
            scope.spawn(move || {
                while !failed.load(Ordering::Relaxed) {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    if i >= n {
                        break;
                    }
                    // A panic goes on in the caller; the others need not work for it.
                    let guard = Guard(failed);
                    let result = pool.install(|| task(i));
                    std::mem::forget(guard);
                    if let Ok(mut done) = done.lock() {
                        done.push((i, result));
                    }
                }
            });
        }
    });
    let mut done = done.into_inner().expect("no task holds the lock");
    done.sort_by_key(|(i, _)| *i);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Tells the others when a task did not come back.
struct Guard<'a>(&'a AtomicBool);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_from_no_more_threads_than_there_are() {
        for n_threads in [1, 2, 5] {
            let pool = ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
            for n in [0, 1, 3, 40] {
                let found = pool.install(|| each(n, true, &|i| (i, rayon::current_num_threads())));
                let numbers: Vec<usize> = found.iter().map(|(i, _)| *i).collect();
                assert_eq!(numbers, (0..n).collect::<Vec<_>>());
                assert!(found.iter().all(|(_, threads)| (1..=n_threads).contains(threads)));
                if n >= n_threads && n_threads > 1 {
                    assert!(found.iter().all(|(_, threads)| *threads == 1));
                }
            }
        }
    }
}
