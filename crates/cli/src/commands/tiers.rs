//! `orderguard tiers`: from which probability on a model challenges, reviews and declines.

use orderguard_inference::calibrate::probability;
use orderguard_inference::decision::{Decision, Tier, raw_score_of};
use orderguard_inference::model::Model;

use crate::args::TiersArgs;
use crate::console::Console;
use crate::failure::{Outcome, data, usage};
use crate::{input, output};

/// The largest model that is read.
const MAX_BYTES: u64 = 1 << 30;

pub(crate) fn run(args: &TiersArgs, console: &Console) -> Outcome {
    let mut model = Model::from_bytes(&input::read(&args.model, MAX_BYTES)?)
        .or_else(|error| data(format_args!("{}: {error}", args.model.display())))?;
    let wanted =
        [(Decision::Challenge, args.challenge), (Decision::Review, args.review), (Decision::Decline, args.decline)];
    let tiers: Vec<(Decision, f64)> = wanted.into_iter().filter_map(|(tier, share)| share.map(|p| (tier, p))).collect();
    if tiers.is_empty() && !args.clear {
        return output::print(&text(&model));
    }
    if let Some([(milder, from), (stricter, found)]) =
        tiers.array_windows().find(|[(_, milder), (_, stricter)]| milder >= stricter)
    {
        let (from, found) = (100.0 * from, 100.0 * found);
        return usage(format_args!(
            "--{stricter}: expected more than the {from} % of --{milder}, which is milder; found {found} %"
        ));
    }
    let tier = |(decision, p)| Tier { decision, raw_score: raw_score_of(&model.calibration, p) };
    let tiers: Vec<Tier> = tiers.into_iter().map(tier).collect();
    model.tiers = tiers;
    let bytes = model.to_bytes().or_else(|error| data(format_args!("{}: {error}", args.model.display())))?;
    let out = args.output.as_deref().unwrap_or(&args.model);
    output::write(out, &bytes)?;
    console.show(&text(&model));
    Ok(())
}

fn text(model: &Model) -> String {
    let line = |decision: Decision, raw_score: f64| {
        let p = probability(&model.calibration, raw_score);
        format!("{decision:>9} from probability {:.3} % (raw score {raw_score})\n", 100.0 * p)
    };
    if model.tiers.is_empty() {
        return line(Decision::Review, model.threshold.raw_score);
    }
    model.tiers.iter().map(|tier| line(tier.decision, tier.raw_score)).collect()
}
