//! A fit while it runs: progress for people and machines, checkpoints, and Ctrl-C.

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;
use std::time::Instant;

use indicatif::ProgressBar;
use orderguard_trainer::boosting::Round;
use orderguard_trainer::snapshot::Snapshot;
use serde_json::json;

use crate::args::StopOn;
use crate::checkpoint::Checkpoints;
use crate::console::Console;
use crate::failure::{Failure, Outcome};
use crate::interrupt;
use crate::log::Log;

/// Everybody who wants to know of a fit.
pub(crate) struct Watch<'a> {
    pub(crate) console: &'a Console,
    pub(crate) log: &'a Log,
    pub(crate) checkpoints: Option<Checkpoints>,
    /// Why a checkpoint could not be written; the fit ends with it.
    failed: RefCell<Option<Failure>>,
    stopped: Cell<bool>,
}

/// One run of rounds: of the model, of its folds, of a bag.
pub(crate) struct Stage<'a> {
    watch: &'a Watch<'a>,
    name: String,
    measure: Option<StopOn>,
    /// Whether Ctrl-C ends it; a run of a known number of rounds is carried through.
    may_stop: bool,
    bar: ProgressBar,
    start: Instant,
    rounds_before: usize,
    resumed: Option<Snapshot>,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(console: &'a Console, log: &'a Log, checkpoints: Option<Checkpoints>) -> Self {
        Self { console, log, checkpoints, failed: RefCell::new(None), stopped: Cell::new(false) }
    }

    /// Begins a stage, where an earlier run left it if that is wanted.
    pub(crate) fn stage(
        &'a self,
        name: String,
        title: &'static str,
        measure: Option<StopOn>,
        may_stop: bool,
    ) -> Outcome<Stage<'a>> {
        let resumed = match &self.checkpoints {
            Some(checkpoints) => checkpoints.load(&name)?,
            None => None,
        };
        let rounds_before = resumed.as_ref().map_or(0, |snapshot| snapshot.metrics.len());
        if rounds_before > 0 {
            self.console.note(&format!("resumed after tree {rounds_before} of stage {name}"));
        }
        self.log.event("stage", json!({"stage": name, "resumed_round": rounds_before}));
        let bar = self.console.steps_bar(title);
        Ok(Stage { watch: self, name, measure, may_stop, bar, start: Instant::now(), rounds_before, resumed })
    }

    /// Whether Ctrl-C ended a stage early.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.get()
    }
}

impl Stage<'_> {
    /// Where to go on from.
    pub(crate) fn resumed(&self) -> Option<&Snapshot> {
        self.resumed.as_ref()
    }

    /// To be called after each round.
    pub(crate) fn after(&self, round: &Round<'_>) -> ControlFlow<()> {
        let (bar, watch) = (&self.bar, self.watch);
        bar.set_length(round.n_rounds as u64);
        bar.set_position(round.round as u64);
        if let (Some(metric), Some(measure)) = (round.metric, self.measure) {
            bar.set_prefix(format!("{} {metric:.4}", measure.words()));
        }
        let seconds = self.start.elapsed().as_secs_f64();
        let per_round = seconds / (round.round - self.rounds_before) as f64;
        watch.log.event(
            "round",
            json!({
                "stage": self.name,
                "round": round.round,
                "of": round.n_rounds,
                "measure": self.measure.filter(|_| round.metric.is_some()).map(|measure| measure.to_string()),
                "value": round.metric,
                "seconds_left_at_most": ((round.n_rounds - round.round) as f64 * per_round * 1e3).round() / 1e3,
            }),
        );
        let stop = self.may_stop && interrupt::is_stopped();
        if let Some(checkpoints) = &watch.checkpoints {
            let is_due = stop || checkpoints.is_due() || round.round == round.n_rounds;
            if is_due && let Err(failure) = checkpoints.save(&self.name, &round.snapshot()) {
                *watch.failed.borrow_mut() = Some(failure);
                return ControlFlow::Break(());
            }
        }
        if stop {
            watch.stopped.set(true);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    /// Ends the stage.
    pub(crate) fn finish(self) -> Outcome {
        self.bar.finish_and_clear();
        match self.watch.failed.take() {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }
}
