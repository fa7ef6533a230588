//! Search for parameters: successive halving over folds that move forward in time.
//!
//! Every trial is compared with trial 0, which has the parameters that the search was given. Twelve trials at a time begin with
//! a few rounds on the newest fold; the best third goes on there to the end, and the best third of those is fitted on all
//! folds. Where the next trials are looked for depends on those before (`sampler.rs`). Of the trials that came that far one
//! replaces trial 0 only if it is better by more than chance explains: see [`Found::chosen`].
//!
//! # Reference
//! Jamieson and Talwalkar, Non-stochastic Best Arm Identification and Hyperparameter Optimization (2016), for the halving;
//! Dawid, Present Position and Potential Developments: The Prequential Approach (1984), for the folds.

mod ground;
mod sampler;
mod space;

use orderguard_features::language::spec::FeatureKind;

use crate::boosting::Extras;
use crate::fit_error::FitError;
use crate::params::CheckedGbtParams;
use crate::samples::Samples;
pub(crate) use ground::SIDE_BY_SIDE;
use ground::{Ground, Job, Run};
use sampler::{Seen, propose};
pub(crate) use space::MOST_LEAVES;
use space::Space;
pub use space::{Dimension, Setting, value_text};

/// Trials that begin together.
const TOGETHER: usize = 12;
/// One of so many trials goes on.
const HALVING: usize = 3;
/// The first comparison is made after as many rounds as make this sum of learning rates: 50 rounds of 0.05.
const FIRST_PROGRESS: f64 = 2.5;
/// With less time left than that for so many trials, none is begun.
const FEWEST: usize = 3;
/// What a trial takes on average, in fits of trial 0 on all folds, before any was made: a third of the rounds of one fold in four,
/// and the share of those that go on.
const FIRST_GUESS: f64 = 0.3;

/// A part of the samples to learn from, and later ones to judge by.
#[derive(Clone, Copy, Debug)]
pub struct Fold<'a> {
    /// Samples to learn from, with the labels known when `held` begins.
    pub train: Samples<'a>,
    /// Later samples.
    pub held: Samples<'a>,
    /// Weights and keys of `train`, the measure of `held`; `start` and `resume` are not used.
    pub extras: Extras<'a>,
    /// Times of `train`, where old samples may be made to weigh less.
    pub times: Option<&'a [i64]>,
}

/// When a search ends.
#[derive(Clone, Copy)]
pub enum Limit<'a> {
    /// After so many trials beside trial 0. The result depends on data, parameters and seed alone.
    Trials(usize),
    /// After so many seconds, once trial 0 is done.
    Seconds {
        /// Of the whole search.
        budget: f64,
        /// Seconds since it began: a library has no clock of its own.
        elapsed: &'a (dyn Fn() -> f64 + Sync),
    },
}

/// How far a trial came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rung {
    /// The search ended before anything was known of it.
    Nothing,
    /// The first rounds on the newest fold.
    FirstRounds,
    /// The newest fold.
    NewestFold,
    /// All folds.
    AllFolds,
}

/// One setting, and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// 0 is the setting that the search was given.
    pub number: usize,
    /// What was fitted with.
    pub setting: Setting,
    /// How far it came.
    pub rung: Rung,
    /// The measure of its best round on each fold, oldest fold first; none where it was not fitted to the end.
    pub values: Vec<Option<f64>>,
    /// The best round on each fold.
    pub rounds: Vec<Option<usize>>,
    /// The measure less that of trial 0, on the folds and after the rounds that it was last compared on: the mean.
    pub difference: f64,
    /// The standard error of that mean over folds; none with fewer than two.
    pub error: Option<f64>,
}

/// What a search found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// All trials in the order of their numbers.
    pub trials: Vec<Trial>,
    /// The number of the trial to fit with. Of the trials that were fitted on all folds, the one whose mean difference from
    /// trial 0, less one standard error of that mean, is largest; trial 0 where that is not above 0.
    pub chosen: usize,
    /// What was searched; dimensions that say nothing for these samples are left out.
    pub dimensions: Vec<Dimension>,
    /// Whether it ended before its limit because `stop` said so.
    pub is_stopped: bool,
}

/// Looks for parameters that are better than `params` on `folds`, oldest first. Only `searched` dimensions are varied; `stop` is
/// asked between rounds, and ends the search with what is known by then; `report` hears of each trial when it is compared.
///
/// With [`Limit::Trials`] the same samples in the same order, parameters and seed give the same trials, to the bit, for any
/// number of threads. Time is that of the fits: for `n` trials about `n` times 0.3 of those of trial 0. Memory is a binned
/// matrix of each fold, twice where [`Dimension::MaxBins`] is searched, and for small folds a fit for each thread at a time.
///
/// # Errors
/// [`FitError::OneFold`] with fewer than two folds, [`FitError::OneClass`] and [`FitError::NoFraudInValidation`] with the fold's
/// position, and those of [`crate::boosting::fit`].
///
/// # Panics
/// As [`crate::boosting::fit`], and if there are not as many times as samples.
pub fn search(
    params: &CheckedGbtParams,
    searched: &[Dimension],
    kinds: &[FeatureKind],
    folds: &[Fold<'_>],
    limit: Limit<'_>,
    stop: &(dyn Fn() -> bool + Sync),
    report: &mut dyn FnMut(&Trial),
) -> Result<Found, FitError> {
    if folds.len() < 2 {
        return Err(FitError::OneFold);
    }
    for fold in folds {
        assert!(fold.times.is_none_or(|times| times.len() == fold.train.len()), "one time for each sample");
    }
    let n_train = folds.iter().map(|fold| fold.train.len()).max().unwrap_or(0);
    let space = Space::new(params, searched, n_train, span(folds));
    let mut state =
        Search { ground: Ground::new(kinds, folds), n_folds: folds.len(), base: Vec::new(), trials: Vec::new() };
    let mut is_stopped = !state.first(&space, stop)?;
    report(&state.trials[0]);
    let clock = |budget: f64, elapsed: &(dyn Fn() -> f64 + Sync)| budget - elapsed();
    let after_first = match limit {
        Limit::Trials(_) => 0.0,
        Limit::Seconds { elapsed, .. } => elapsed(),
    };
    let mut seen: Vec<Seen> = Vec::new();
    while !is_stopped && !space.dimensions().is_empty() {
        let n_done = state.trials.len() - 1;
        let n = match limit {
            Limit::Trials(n) => (n - n_done.min(n)).min(TOGETHER),
            Limit::Seconds { budget, elapsed } => {
                let now = elapsed();
                let of_one = if n_done > 0 { (now - after_first) / n_done as f64 } else { FIRST_GUESS * now };
                let possible = (clock(budget, elapsed).max(0.0) / of_one.max(1e-9)) as usize;
                if possible < FEWEST { 0 } else { possible.min(TOGETHER) }
            }
        };
        if n == 0 {
            break;
        }
        let first = state.trials.len();
        let points: Vec<Vec<f64>> =
            (first..first + n).map(|trial| propose(&space.base_point(), &seen, params.seed, trial)).collect();
        let settings = points.iter().map(|point| space.setting(point)).collect();
        let is_over = || match limit {
            Limit::Trials(_) => stop(),
            Limit::Seconds { budget, elapsed } => stop() || clock(budget, elapsed) <= 0.0,
        };
        is_stopped = !state.halve(settings, &is_over, report)? && stop();
        for (point, trial) in points.into_iter().zip(&state.trials[first..]) {
            if trial.rung > Rung::Nothing {
                seen.push(Seen { point, rank: (trial.rung as usize, trial.difference) });
            }
        }
    }
    let chosen = choose(&state.trials);
    Ok(Found { chosen, trials: state.trials, dimensions: space.dimensions().to_vec(), is_stopped })
}

/// From the first to the last time that any fold learns from; 0 without times.
fn span(folds: &[Fold<'_>]) -> i64 {
    let times = || folds.iter().filter_map(|fold| fold.times).flatten();
    match (times().min(), times().max()) {
        (Some(first), Some(last)) if folds.iter().all(|fold| fold.times.is_some()) => last.saturating_sub(*first),
        _ => 0,
    }
}

/// The rule of [`Found::chosen`].
fn choose(trials: &[Trial]) -> usize {
    let lowest = |trial: &Trial| trial.error.map(|error| trial.difference - error);
    let mut best = (0, 0.0);
    for trial in trials.iter().filter(|trial| trial.number > 0 && trial.rung == Rung::AllFolds) {
        if let Some(value) = lowest(trial).filter(|&value| value > best.1) {
            best = (trial.number, value);
        }
    }
    best.0
}

struct Search<'a> {
    ground: Ground<'a>,
    n_folds: usize,
    /// Trial 0 on each fold.
    base: Vec<Run>,
    trials: Vec<Trial>,
}

impl Search<'_> {
    fn trial(&self, number: usize, setting: Setting) -> Trial {
        let none = vec![None; self.n_folds];
        let rounds = vec![None; self.n_folds];
        Trial { number, setting, rung: Rung::Nothing, values: none, rounds, difference: 0.0, error: None }
    }

    /// Trial 0 on all folds; whether it was not stopped.
    fn first(&mut self, space: &Space, stop: &(dyn Fn() -> bool + Sync)) -> Result<bool, FitError> {
        let setting = space.base();
        let job = |fold| Job { setting, fold, rounds: usize::MAX };
        let jobs: Vec<Job<'_>> = (0..self.n_folds).map(job).collect();
        let runs = self.ground.run(&jobs, stop)?;
        let mut trial = self.trial(0, setting.clone());
        for (fold, run) in runs.iter().enumerate() {
            note(&mut trial, fold, run.as_ref());
        }
        let all: Option<Vec<Run>> = runs.into_iter().collect();
        if all.is_some() {
            trial.rung = Rung::AllFolds;
        }
        self.trials.push(trial);
        let is_done = all.is_some();
        self.base = all.unwrap_or_default();
        Ok(is_done)
    }

    /// A few new trials together; whether they were not stopped.
    fn halve(
        &mut self,
        settings: Vec<Setting>,
        stop: &(dyn Fn() -> bool + Sync),
        report: &mut dyn FnMut(&Trial),
    ) -> Result<bool, FitError> {
        let first = self.trials.len();
        for (i, setting) in settings.into_iter().enumerate() {
            self.trials.push(self.trial(first + i, setting));
        }
        let newest = self.n_folds - 1;
        let mut numbers: Vec<usize> = (first..self.trials.len()).collect();
        // A few rounds.
        let rounds = |trial: &Trial| first_rounds(trial.setting.params.learning_rate);
        let jobs: Vec<Job<'_>> = (numbers.iter().map(|&i| &self.trials[i]))
            .map(|trial| Job { setting: &trial.setting, fold: newest, rounds: rounds(trial) })
            .collect();
        let base = self.base[newest].value_at(rounds(&self.trials[0]));
        let runs = self.ground.run(&jobs, stop)?;
        for (&i, run) in numbers.iter().zip(&runs) {
            let Some(run) = run else { continue };
            let trial = &mut self.trials[i];
            (trial.rung, trial.difference) = (Rung::FirstRounds, run.value_at(rounds(trial)) - base);
            if !run.is_cut {
                note(trial, newest, Some(run));
            }
            report(trial);
        }
        if runs.contains(&None) {
            return Ok(false);
        }
        // All rounds of the newest fold.
        numbers = self.best(numbers);
        let jobs: Vec<Job<'_>> = (numbers.iter().map(|&i| &self.trials[i]))
            .filter(|trial| trial.values[newest].is_none())
            .map(|trial| Job { setting: &trial.setting, fold: newest, rounds: usize::MAX })
            .collect();
        let mut runs = self.ground.run(&jobs, stop)?.into_iter();
        let base = self.base[newest].value();
        let mut is_stopped = false;
        for &i in &numbers {
            let trial = &mut self.trials[i];
            if trial.values[newest].is_none() {
                note(trial, newest, runs.next().flatten().as_ref());
            }
            let Some(value) = trial.values[newest] else {
                is_stopped = true;
                continue;
            };
            (trial.rung, trial.difference) = (Rung::NewestFold, value - base);
            report(trial);
        }
        if is_stopped {
            return Ok(false);
        }
        // The other folds.
        numbers = self.best(numbers);
        let fits: Vec<(usize, usize)> = numbers.iter().flat_map(|&i| (0..newest).map(move |fold| (i, fold))).collect();
        let jobs: Vec<Job<'_>> = (fits.iter())
            .map(|&(i, fold)| Job { setting: &self.trials[i].setting, fold, rounds: usize::MAX })
            .collect();
        let runs = self.ground.run(&jobs, stop)?;
        for (&(i, fold), run) in fits.iter().zip(&runs) {
            note(&mut self.trials[i], fold, run.as_ref());
        }
        for &i in &numbers {
            let trial = &mut self.trials[i];
            let differences: Option<Vec<f64>> =
                trial.values.iter().zip(&self.base).map(|(value, base)| Some((*value)? - base.value())).collect();
            let Some(differences) = differences else { continue };
            (trial.difference, trial.error) = mean_and_error(&differences);
            trial.rung = Rung::AllFolds;
            report(trial);
        }
        Ok(!runs.contains(&None))
    }

    /// The better third of some trials, at least one; of equal ones the earlier.
    fn best(&self, mut numbers: Vec<usize>) -> Vec<usize> {
        numbers.sort_by(|&a, &b| self.trials[b].difference.total_cmp(&self.trials[a].difference));
        numbers.truncate(numbers.len().div_ceil(HALVING));
        numbers.sort_unstable();
        numbers
    }
}

/// Keeps what a whole fit on a fold found.
fn note(trial: &mut Trial, fold: usize, run: Option<&Run>) {
    trial.values[fold] = run.map(Run::value);
    trial.rounds[fold] = run.map(|run| run.best_round);
}

/// Rounds of the first comparison: fewer where each goes farther.
fn first_rounds(learning_rate: f64) -> usize {
    (FIRST_PROGRESS / learning_rate).ceil().max(1.0) as usize
}

fn mean_and_error(values: &[f64]) -> (f64, Option<f64>) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares = values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>();
    (mean, (values.len() > 1).then(|| libm::sqrt(squares / (n - 1.0) / n)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::GbtParams;

    fn trial(number: usize, rung: Rung, differences: &[f64]) -> Trial {
        let (difference, error) = mean_and_error(differences);
        let setting = Setting { params: GbtParams::default(), half_life: None };
        Trial { number, setting, rung, values: Vec::new(), rounds: Vec::new(), difference, error }
    }

    #[test]
    fn mean_and_its_error() {
        let (mean, error) = mean_and_error(&[1.0, 3.0]);
        assert_eq!((mean, error), (2.0, Some(1.0)));
        assert_eq!(mean_and_error(&[5.0]), (5.0, None));
    }

    #[test]
    fn the_first_trial_stays_unless_another_is_clearly_better() {
        let first = || trial(0, Rung::AllFolds, &[0.0, 0.0, 0.0]);
        for (others, chosen) in [
            (vec![], 0),
            // Better on average, and by less than one standard error.
            (vec![trial(1, Rung::AllFolds, &[0.1, -0.05, 0.0])], 0),
            (vec![trial(1, Rung::AllFolds, &[0.02, 0.01, 0.03])], 1),
            // Not fitted on all folds.
            (vec![trial(1, Rung::NewestFold, &[0.5, 0.5])], 0),
            // The steadier one, though another's mean is higher.
            (vec![trial(1, Rung::AllFolds, &[0.2, 0.0, 0.01]), trial(2, Rung::AllFolds, &[0.05, 0.05, 0.06])], 2),
            // Equal ones: the earlier.
            (vec![trial(1, Rung::AllFolds, &[0.1, 0.1]), trial(2, Rung::AllFolds, &[0.1, 0.1])], 1),
            (vec![trial(1, Rung::AllFolds, &[-0.1, -0.1])], 0),
        ] {
            let trials: Vec<Trial> = std::iter::once(first()).chain(others).collect();
            assert_eq!(choose(&trials), chosen);
        }
    }

    #[test]
    fn slow_learners_are_compared_after_more_rounds() {
        assert_eq!(first_rounds(0.05), 50);
        assert_eq!(first_rounds(0.02), 125);
        assert_eq!(first_rounds(1.0), 3);
    }
}
