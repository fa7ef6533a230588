//! A model in words: what `orderguard inspect` prints.

use std::fmt;

use orderguard_features::language::spec::FeatureKind;

use crate::model::{Calibration, LinearTerm, Model, Node, Predictor};

/// Name and value of everything worth knowing about a model, in reading order.
///
/// Levels of categories are counted, not listed.
pub fn describe(model: &Model) -> Vec<(String, String)> {
    let mut lines = Lines(Vec::new());
    let card = &model.card;
    lines.add("kind", &card.kind);
    lines.add("written by", format!("orderguard {}", card.program_version));
    lines.add("schema fingerprint", format!("{:016x}", model.schema.fingerprint()));
    lines.add("identity key check", format!("{:016x}", card.key_check));
    lines.add("data hash", &card.data_hash);
    lines.add("seed", card.seed);
    lines.add("time zone", &model.schema.timezone);
    lines.add("label delay", model.schema.label_delay);
    describe_predictor(model, &mut lines);
    lines.add("calibration", describe_calibration(&model.calibration));
    let threshold = &model.threshold;
    lines.add("threshold", format!("raw score {}, probability {:.6}", threshold.raw_score, threshold.probability));
    lines.add("threshold aim", &threshold.aim);
    for tier in &model.tiers {
        let p = crate::calibrate::probability(&model.calibration, tier.raw_score);
        lines.add(&format!("{} from", tier.decision), format!("raw score {}, probability {p:.6}", tier.raw_score));
    }
    for (name, value) in &card.facts {
        lines.add(name, value);
    }
    for (name, value) in &card.params {
        lines.add(&format!("parameter {name}"), value);
    }
    describe_features(model, &mut lines);
    for note in &card.notes {
        lines.add("note", note);
    }
    lines.0
}

struct Lines(Vec<(String, String)>);

impl Lines {
    fn add(&mut self, name: &str, value: impl fmt::Display) {
        self.0.push((name.to_owned(), value.to_string()));
    }
}

fn describe_predictor(model: &Model, lines: &mut Lines) {
    match &model.predictor {
        Predictor::Gbt(forest) => {
            let nodes = || forest.trees.iter().flat_map(|tree| &tree.nodes);
            let n_leaves = nodes().filter(|node| matches!(node, Node::Leaf { .. })).count();
            lines.add("trees", forest.trees.len());
            lines.add("nodes", format!("{}, of these {n_leaves} leaves", nodes().count()));
            lines.add("level sets", forest.trees.iter().map(|tree| tree.level_sets.len()).sum::<usize>());
            lines.add("leaf unit", format!("2^-{}", forest.scale_bits));
            lines.add("base raw score", crate::tree::scaled(forest.base, forest.scale_bits));
        }
        Predictor::Logistic(linear) => {
            let used = |term: &&LinearTerm| match term {
                LinearTerm::Numeric { weight, .. } => *weight != 0.0,
                LinearTerm::Categorical { levels, .. } => levels.iter().any(|&level| level != 0.0),
            };
            let n_used = linear.terms.iter().filter(used).count();
            lines.add("terms", format!("{}, of these {n_used} not zero", linear.terms.len()));
            lines.add("intercept", linear.intercept);
        }
        Predictor::Scorecard(card) => {
            let n_bins = card.characteristics.iter().map(|characteristic| characteristic.bins().count()).sum::<usize>();
            lines.add("characteristics", format!("{}, in {n_bins} bins", card.characteristics.len()));
            lines.add("points at the start", card.start);
        }
    }
    lines.add("golden rows", model.golden.len());
    match model.background.n_rows {
        0 => lines.add("reasons", "none: nobody counted training rows"),
        n => lines.add("reasons", format!("against {n} training rows")),
    }
}

pub(crate) fn describe_calibration(calibration: &Calibration) -> String {
    match calibration {
        Calibration::Platt { slope, intercept } => format!("platt, slope {slope}, intercept {intercept}"),
        Calibration::Beta { a, b, c } => format!("beta, a {a}, b {b}, c {c}"),
        Calibration::Isotonic { knots } => format!("isotonic, {} knots", knots.len()),
    }
}

/// The features, the most important first; equal ones in the order of the row.
fn describe_features(model: &Model, lines: &mut Lines) {
    let kinds = model.spec.kinds();
    lines.add("features", kinds.len());
    let importance = |i: usize| model.reference.get(i).map_or(0.0, |reference| reference.importance);
    let total: f64 = (0..kinds.len()).map(importance).sum();
    let mut order: Vec<usize> = (0..kinds.len()).collect();
    order.sort_by(|&a, &b| importance(b).total_cmp(&importance(a)));
    for i in order {
        let mut parts = Vec::new();
        if total > 0.0 {
            parts.push(format!("{:.2} % of importance", 100.0 * importance(i) / total));
        }
        if let FeatureKind::Categorical { n_levels } = kinds[i] {
            parts.push(format!("{n_levels} levels"));
        }
        if let Some(reference) = model.reference.get(i) {
            parts.push(format!("{:.2} % missing", 100.0 * reference.missing_share));
            if let [lowest, .., highest] = reference.quantiles[..] {
                let median = reference.quantiles[reference.quantiles.len() / 2];
                parts.push(format!("{lowest} / {median} / {highest} at 5 / 50 / 95 %"));
            }
        }
        lines.add(&format!("feature {}", model.spec.features[i]), parts.join(", "));
    }
}
