//! `orderguard threshold`: from which score on a model stops orders, chosen anew on labelled orders, in a copy of the model.

use orderguard_evaluation::terminal::threshold_table;
use orderguard_evaluation::{Aim, Candidate};
use orderguard_inference::calibrate::probability;
use orderguard_inference::decision::{Decision, Tier};
use orderguard_inference::model::Threshold;

use crate::args::ThresholdArgs;
use crate::candidates::Chooser;
use crate::commands::evaluate::resolved;
use crate::console::{Console, report_style};
use crate::costs_file;
use crate::failure::{Blame, Outcome, data, usage};
use crate::ingest;
use crate::measure::{self, Asked, Measured};
use crate::{model_data, output};

pub(crate) fn run(args: &ThresholdArgs, console: &Console) -> Outcome {
    let aims = aims(args)?;
    if args.output.is_none() && !args.in_place && !args.json {
        console.note("no model is written: give the name of a copy with --output, or --in-place");
    }
    let costs = costs_file::load(args.costs.as_deref())?;
    let mut loaded = model_data::load(&args.model, &args.data, &args.history, &args.tables, console)?;
    let orders = loaded.read_orders(&args.data, args.labels.as_deref(), console)?;
    let (rows, labels, _) = resolved(&orders, args.as_of.or(orders.data_end));
    let n_fraud: usize = labels.iter().map(|&label| usize::from(label)).sum();
    if n_fraud == 0 || n_fraud == labels.len() {
        return data(format_args!(
            "label: expected both fraud and honest orders that are resolved, found {n_fraud} fraud and {} honest",
            labels.len() - n_fraud
        ));
    }
    let matrix = model_data::replay_onto(&loaded.extractor, &orders, &mut loaded.state, console)?;
    let raw = measure::model_scores(&loaded.scorer, &matrix, &rows)?;
    let probabilities = measure::probabilities(&loaded.model.calibration, &raw);
    let part = Measured { rows: &rows, labels: &labels, raw: &raw, probabilities: &probabilities };
    let chooser = Chooser::new(&part, &orders, &costs.table);
    let mut model = loaded.model;
    let mut candidates = vec![Candidate {
        aim: "as it was".into(),
        raw_score: model.tiers.first().map_or(model.threshold.raw_score, |tier| tier.raw_score),
        ..Candidate::default()
    }];
    let mut tiers = Vec::new();
    for &(decision, aim) in &aims {
        let choice = chooser.choose(aim)?;
        if let Some(note) = &choice.note {
            console.note(note);
        }
        let words = decision.map_or_else(|| aim.to_string(), |decision| format!("{decision}: {aim}"));
        candidates.push(Candidate {
            aim: words,
            raw_score: choice.raw_score,
            probability: Some(probability(&model.calibration, choice.raw_score)),
            is_used: true,
            note: choice.note,
        });
        match decision {
            Some(decision) => tiers.push(Tier { decision, raw_score: choice.raw_score }),
            None => {
                model.threshold = Threshold {
                    raw_score: choice.raw_score,
                    probability: probability(&model.calibration, choice.raw_score),
                    aim: format!("{aim} on {} labelled orders", labels.len()),
                };
            }
        }
    }
    if let Some(pair) = tiers.windows(2).find(|pair| pair[0].raw_score >= pair[1].raw_score) {
        return data(format_args!(
            "--{} would begin at raw score {}, not above --{} at {}: give aims that stop fewer orders the stricter the decision",
            pair[1].decision, pair[1].raw_score, pair[0].decision, pair[0].raw_score
        ));
    }
    // Tiers decide before the threshold: those of before would leave a new one without effect.
    model.tiers = tiers;

    let entities = ingest::entity_groups(&orders, &loaded.key);
    let asked = Asked { costs: Some(&costs), thresholds: &candidates, ..Asked::default() };
    let used = candidates[1].raw_score;
    let figures = measure::evaluate(&part, &orders, entities.as_deref(), used, &asked)?;
    let target = args.output.as_deref().or(args.in_place.then_some(args.model.as_path()));
    if let Some(target) = target {
        let bytes = model.to_bytes().or_else(|error| data(format_args!("{}: {error}", args.model.display())))?;
        output::write(target, &bytes)?;
    }
    if args.json {
        let text = serde_json::to_string_pretty(&figures.thresholds).bad_usage()?;
        return output::print(&(text + "\n"));
    }
    let written = target.map_or(String::new(), |path| format!("\nwritten to {}\n", path.display()));
    output::print(&format!(
        "Chosen on these {} orders, {n_fraud} of them frauds: on later ones expect a little less.\n{}",
        labels.len(),
        threshold_table(&figures, &report_style())
    ))?;
    console.show(&written);
    Ok(())
}

/// What each decision is chosen for; without a decision, what the threshold is.
fn aims(args: &ThresholdArgs) -> Outcome<Vec<(Option<Decision>, Aim)>> {
    let tiers: Vec<(Option<Decision>, Aim)> =
        [(Decision::Challenge, args.challenge), (Decision::Review, args.review), (Decision::Decline, args.decline)]
            .into_iter()
            .filter_map(|(decision, aim)| Some((Some(decision), aim?)))
            .collect();
    let one = args.aim.or(args.capacity.map(Aim::Capacity));
    match one {
        Some(aim) => Ok(vec![(None, aim)]),
        None if tiers.is_empty() => {
            usage("expected --aim, --capacity, or aims of tiers with --challenge, --review and --decline")
        }
        None => Ok(tiers),
    }
}
