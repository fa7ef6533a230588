//! Whether a model makes sense: everything that scoring relies on is proven here once.

use orderguard_features::language::feature::Feature;
use orderguard_features::language::resolve::TablesPresent;
use orderguard_features::language::spec::{FeatureKind, FeatureSpec};
use orderguard_features::schema::Schema;

use crate::calibrate::probability;
use crate::error::ModelError;
use crate::linear::signed_log;
use crate::model::{
    Calibration, Characteristic, FeatureReference, Forest, LinearModel, LinearTerm, Model, Node, Predictor, Scorecard,
    Threshold, Tree,
};

/// Most features of a row.
pub const MAX_FEATURES: u64 = 1 << 20;
/// Most trees of a forest.
pub const MAX_TREES: u64 = 1 << 24;
/// Most nodes of all trees together.
pub const MAX_NODES: u64 = 1 << 28;
/// Largest `scale_bits`.
pub const MAX_SCALE_BITS: u8 = 40;
/// Largest magnitude of a forest's base. With [`MAX_TREES`] leaves of 32 bits the sum stays inside of 64 bits.
pub const MAX_BASE: i64 = 1 << 61;
/// How far the stored probability of the threshold may be from the calibrated one.
const PROBABILITY_TOLERANCE: f64 = 1e-9;

/// Checks a whole model, golden rows excepted (they need a compiled one). O(size of the model).
pub fn check(model: &Model) -> Result<(), ModelError> {
    model.schema.check().map_err(ModelError::Schema)?;
    check_spec(&model.spec, &model.schema)?;
    let kinds = model.spec.kinds();
    check_predictor(&model.predictor, &kinds)?;
    check_calibration(&model.calibration)?;
    check_threshold(&model.threshold, &model.calibration)?;
    crate::decision::check_tiers(&model.tiers)?;
    check_reference(&model.reference, &kinds)?;
    model.reasons.check(kinds.len())?;
    crate::background::check(&model.background, &model.predictor, kinds.len())?;
    crate::drift::check(model)?;
    for (i, golden) in model.golden.iter().enumerate() {
        check_len(|| format!("golden row {i}"), golden.row.len(), kinds.len())?;
    }
    Ok(())
}

/// Checks trees or weights against the kinds of the features.
pub fn check_predictor(predictor: &Predictor, kinds: &[FeatureKind]) -> Result<(), ModelError> {
    check_row(predictor, Row { n_features: kinds.len(), kinds: Some(kinds) })
}

/// Checks trees or weights where nobody says which features are categories.
pub(crate) fn check_predictor_alone(predictor: &Predictor) -> Result<(), ModelError> {
    let n_features = match predictor {
        Predictor::Gbt(forest) => forest.n_features,
        Predictor::Logistic(linear) => linear.n_features,
        Predictor::Scorecard(card) => card.n_features,
    };
    check_row(predictor, Row { n_features: n_features as usize, kinds: None })
}

/// What is known of the rows that a predictor reads.
#[derive(Clone, Copy)]
struct Row<'a> {
    n_features: usize,
    kinds: Option<&'a [FeatureKind]>,
}

impl Row<'_> {
    fn is_numeric(self, feature: u32) -> bool {
        self.kinds.is_some_and(|kinds| kinds[feature as usize] == FeatureKind::Numeric)
    }
}

fn check_row(predictor: &Predictor, row: Row<'_>) -> Result<(), ModelError> {
    check_count("features", row.n_features, MAX_FEATURES)?;
    if row.n_features == 0 {
        return Err(ModelError::Empty { of: "features" });
    }
    match predictor {
        Predictor::Gbt(forest) => check_forest(forest, row),
        Predictor::Logistic(linear) => check_linear(linear, row),
        Predictor::Scorecard(card) => check_scorecard(card, row),
    }
}

fn check_feature_idx(feature: u32, row: Row<'_>, place: impl Fn() -> String) -> Result<(), ModelError> {
    if (feature as usize) < row.n_features {
        return Ok(());
    }
    Err(ModelError::FeatureOutOfRange { place: place(), feature, n_features: row.n_features as u32 })
}

fn check_spec(spec: &FeatureSpec, schema: &Schema) -> Result<(), ModelError> {
    // Which tables are there is asked when the features are compiled.
    spec.check(schema, TablesPresent::ALL).map_err(ModelError::Spec)?;
    for vocabulary in &spec.vocabularies {
        let used =
            |feature: &Feature| matches!(feature, Feature::Category(place) if place.to_string() == vocabulary.place);
        if !spec.features.iter().any(used) {
            return Err(ModelError::VocabularyUnused { place: vocabulary.place.clone() });
        }
    }
    Ok(())
}

fn check_forest(forest: &Forest, row: Row<'_>) -> Result<(), ModelError> {
    check_len(|| "rows of the forest".into(), forest.n_features as usize, row.n_features)?;
    let place = || "forest".to_owned();
    if forest.scale_bits > MAX_SCALE_BITS {
        let found = f64::from(forest.scale_bits);
        return Err(ModelError::Value { place: place(), field: "scale_bits", found, expected: "0 to 40" });
    }
    if forest.base.unsigned_abs() > MAX_BASE.unsigned_abs() {
        let found = forest.base as f64;
        return Err(ModelError::Value { place: place(), field: "base", found, expected: "at most 2^61 in magnitude" });
    }
    check_count("trees", forest.trees.len(), MAX_TREES)?;
    check_count("nodes", forest.trees.iter().map(|tree| tree.nodes.len()).sum(), MAX_NODES)?;
    let mut n_parents = Vec::new();
    for (i, tree) in forest.trees.iter().enumerate() {
        check_tree(i as u32, tree, row, &mut n_parents)?;
    }
    Ok(())
}

fn check_tree(tree_idx: u32, tree: &Tree, row: Row<'_>, n_parents: &mut Vec<u32>) -> Result<(), ModelError> {
    let n_nodes = tree.nodes.len() as u32;
    let n_level_sets = tree.level_sets.len() as u32;
    if n_nodes == 0 {
        return Err(ModelError::EmptyTree { tree: tree_idx });
    }
    n_parents.clear();
    n_parents.resize(tree.nodes.len(), 0);
    for (node_idx, node) in tree.nodes.iter().enumerate() {
        let node_idx = node_idx as u32;
        let place = || format!("tree {tree_idx}, node {node_idx}");
        let (feature, left, right) = match *node {
            Node::Leaf { .. } => continue,
            Node::Numeric { feature, threshold, left, right, .. } => {
                if !threshold.is_finite() {
                    let found = f64::from(threshold);
                    return Err(ModelError::Value { place: place(), field: "threshold", found, expected: FINITE });
                }
                (feature, left, right)
            }
            Node::Categorical { feature, level_set, left, right, .. } => {
                if level_set >= n_level_sets {
                    return Err(ModelError::LevelSetOutOfRange {
                        tree: tree_idx,
                        node: node_idx,
                        level_set,
                        n_level_sets,
                    });
                }
                check_feature_idx(feature, row, place)?;
                if row.is_numeric(feature) {
                    return Err(ModelError::NotCategorical { place: place(), feature });
                }
                (feature, left, right)
            }
        };
        check_feature_idx(feature, row, place)?;
        for child in [left, right] {
            if child >= n_nodes {
                return Err(ModelError::ChildOutOfRange { tree: tree_idx, node: node_idx, child, n_nodes });
            }
            if child <= node_idx {
                return Err(ModelError::ChildBeforeParent { tree: tree_idx, node: node_idx, child });
            }
            n_parents[child as usize] += 1;
        }
    }
    // The root has none, because children stand after their parents.
    match n_parents.iter().skip(1).position(|&n| n != 1) {
        None => Ok(()),
        Some(at) => Err(ModelError::NotOneParent { tree: tree_idx, node: at as u32 + 1, n_parents: n_parents[at + 1] }),
    }
}

const FINITE: &str = "a finite number";

fn check_linear(linear: &LinearModel, row: Row<'_>) -> Result<(), ModelError> {
    check_len(|| "rows of the linear model".into(), linear.n_features as usize, row.n_features)?;
    check_count("terms", linear.terms.len(), MAX_FEATURES)?;
    check_value("intercept", "intercept", linear.intercept, FINITE, f64::is_finite)?;
    let mut bound = linear.intercept.abs();
    for (i, term) in linear.terms.iter().enumerate() {
        bound += check_term(i, term, row)?;
    }
    // Below it no sum in any order can overflow, so that no row ever gives an infinite or NaN score.
    let expected = "contributions whose sum stays finite";
    check_value("linear model", "largest raw score", bound, expected, f64::is_finite)
}

/// Checks one term and gives the largest magnitude that it can add.
fn check_term(term_idx: usize, term: &LinearTerm, row: Row<'_>) -> Result<f64, ModelError> {
    let place = format!("term {term_idx}");
    check_feature_idx(term.feature(), row, || place.clone())?;
    match term {
        LinearTerm::Numeric { weight, low, high, log, mean, scale, missing, first_seen, .. } => {
            check_value(&place, "weight", *weight, FINITE, f64::is_finite)?;
            check_value(&place, "low", f64::from(*low), FINITE, f64::is_finite)?;
            check_value(&place, "high", f64::from(*high), "a finite number, not below `low`", |high| {
                high.is_finite() && high >= f64::from(*low)
            })?;
            check_value(&place, "mean", *mean, FINITE, f64::is_finite)?;
            check_value(&place, "scale", *scale, "a finite number above 0", |x| x.is_finite() && x > 0.0)?;
            check_value(&place, "missing", *missing, FINITE, f64::is_finite)?;
            check_value(&place, "first_seen", first_seen.unwrap_or(0.0), FINITE, f64::is_finite)?;
            let value = |x: f32| if *log { signed_log(x) } else { f64::from(x) };
            let at = |x: f32| (weight * ((value(x) - mean) / scale)).abs();
            // f64::max drops NaN, which 0 x infinity gives; the sum keeps it for the check of the bound.
            let ends = at(*low) + at(*high);
            Ok(ends + missing.abs().max(first_seen.unwrap_or(0.0).abs()))
        }
        LinearTerm::Categorical { feature, levels, missing } => {
            match row.kinds.map(|kinds| kinds[*feature as usize]) {
                Some(FeatureKind::Numeric) => return Err(ModelError::NotCategorical { place, feature: *feature }),
                Some(FeatureKind::Categorical { n_levels }) => {
                    check_len(|| format!("levels of {place}"), levels.len(), n_levels as usize + 1)?;
                }
                None => {}
            }
            check_value(&place, "missing", *missing, FINITE, f64::is_finite)?;
            for level in levels {
                check_value(&place, "levels", *level, FINITE, f64::is_finite)?;
            }
            Ok(levels.iter().fold(missing.abs(), |most, level| most.max(level.abs())))
        }
    }
}

fn check_scorecard(card: &Scorecard, row: Row<'_>) -> Result<(), ModelError> {
    check_len(|| "rows of the scorecard".into(), card.n_features as usize, row.n_features)?;
    check_count("characteristics", card.characteristics.len(), MAX_FEATURES)?;
    let scale = &card.scale;
    let above_zero = |x: f64| x.is_finite() && x > 0.0;
    check_value("point scale", "base_score", scale.base_score, FINITE, f64::is_finite)?;
    check_value("point scale", "base_odds", scale.base_odds, "a finite number above 0", above_zero)?;
    check_value("point scale", "points_to_double", scale.points_to_double, "a finite number above 0", above_zero)?;
    let mut most = i64::from(card.start).abs();
    for (i, characteristic) in card.characteristics.iter().enumerate() {
        // At most 2^20 characteristics of 2^31 points: far from overflow.
        most += check_characteristic(i, characteristic, row)?;
    }
    let expected = "points whose raw score stays finite";
    for points in [most, -most] {
        let raw_score = scale.raw_score(points);
        check_value("scorecard", "largest raw score", raw_score, expected, f64::is_finite)?;
    }
    Ok(())
}

/// Checks one characteristic and gives the largest magnitude of its points.
fn check_characteristic(at: usize, characteristic: &Characteristic, row: Row<'_>) -> Result<i64, ModelError> {
    let place = format!("characteristic {at}");
    check_feature_idx(characteristic.feature(), row, || place.clone())?;
    let ascending = |field: &'static str, values: &mut dyn Iterator<Item = f32>| {
        let mut before = f64::NEG_INFINITY;
        for value in values.map(f64::from) {
            let expected = "a finite number above the one before";
            check_value(&place, field, value, expected, |x| x.is_finite() && x > before)?;
            before = value;
        }
        Ok(())
    };
    match characteristic {
        Characteristic::Numeric { specials, upper, bins, .. } => {
            ascending("specials", &mut specials.iter().map(|special| special.0))?;
            ascending("upper", &mut upper.iter().copied())?;
            check_len(|| format!("bins of {place}"), bins.len(), upper.len() + 1)?;
        }
        Characteristic::Categorical { feature, groups, bins, .. } => {
            match row.kinds.map(|kinds| kinds[*feature as usize]) {
                Some(FeatureKind::Numeric) => return Err(ModelError::NotCategorical { place, feature: *feature }),
                Some(FeatureKind::Categorical { n_levels }) => {
                    check_len(|| format!("groups of {place}"), groups.len(), n_levels as usize + 1)?;
                }
                None if groups.is_empty() => return Err(ModelError::Empty { of: "groups of a characteristic" }),
                None => {}
            }
            for &group in groups {
                let expected = "a bin of the characteristic";
                check_value(&place, "groups", f64::from(group), expected, |_| (group as usize) < bins.len())?;
            }
        }
    }
    let mut most = 0;
    for bin in characteristic.bins() {
        let expected = "at most as many frauds as orders";
        check_value(&place, "n_fraud", bin.n_fraud as f64, expected, |_| bin.n_fraud <= bin.n_orders)?;
        most = most.max(i64::from(bin.points).abs());
    }
    Ok(most)
}

pub(crate) fn check_calibration(calibration: &Calibration) -> Result<(), ModelError> {
    let check =
        |field, found, expected, holds: fn(f64) -> bool| check_value("calibration", field, found, expected, holds);
    match calibration {
        Calibration::Platt { slope, intercept } => {
            check("slope", *slope, "a finite number above 0", |x| x.is_finite() && x > 0.0)?;
            check("intercept", *intercept, FINITE, f64::is_finite)
        }
        Calibration::Beta { a, b, c } => {
            check("a", *a, "a finite number from 0 on", |x| x.is_finite() && x >= 0.0)?;
            check("b", *b, "a finite number from 0 on", |x| x.is_finite() && x >= 0.0)?;
            check("a + b", a + b, "a finite number above 0", |x| x.is_finite() && x > 0.0)?;
            check("c", *c, FINITE, f64::is_finite)
        }
        Calibration::Isotonic { knots } => {
            if knots.is_empty() {
                return Err(ModelError::Empty { of: "knots of the calibration" });
            }
            for (i, knot) in knots.iter().enumerate() {
                let place = format!("calibration, knot {i}");
                let before = if i == 0 { (f64::NEG_INFINITY, f64::NEG_INFINITY) } else { knots[i - 1] };
                let expected = "a finite number above that of the knot before";
                check_value(&place, "raw score", knot.0, expected, |x| x.is_finite() && x > before.0)?;
                check_value(&place, "log-odds", knot.1, expected, |x| x.is_finite() && x > before.1)?;
            }
            Ok(())
        }
    }
}

fn check_threshold(threshold: &Threshold, calibration: &Calibration) -> Result<(), ModelError> {
    // Infinite is meant: "stop nothing" and "stop all".
    check_value("threshold", "raw_score", threshold.raw_score, "a number", |x| !x.is_nan())?;
    let calibrated = probability(calibration, threshold.raw_score);
    let expected = "the calibrated probability of its raw score";
    check_value("threshold", "probability", threshold.probability, expected, |p| {
        (p - calibrated).abs() <= PROBABILITY_TOLERANCE
    })
}

fn check_reference(reference: &[FeatureReference], kinds: &[FeatureKind]) -> Result<(), ModelError> {
    if reference.is_empty() {
        return Ok(());
    }
    check_len(|| "reference".into(), reference.len(), kinds.len())?;
    for (i, (feature, kind)) in reference.iter().zip(kinds).enumerate() {
        let place = format!("reference of feature {i}");
        let share = "a share from 0 to 1";
        check_value(&place, "missing_share", feature.missing_share, share, |x| (0.0..=1.0).contains(&x))?;
        check_value(&place, "importance", feature.importance, "a finite number from 0 on", |x| {
            x.is_finite() && x >= 0.0
        })?;
        for level_share in &feature.level_shares {
            check_value(&place, "level_shares", *level_share, share, |x| (0.0..=1.0).contains(&x))?;
        }
        for pair in feature.quantiles.windows(2) {
            check_value(&place, "quantiles", f64::from(pair[1]), "rising numbers", |x| x >= f64::from(pair[0]))?;
        }
        let (n_quantiles, n_shares) = match *kind {
            // A column without any present value has no quantiles.
            FeatureKind::Numeric if feature.quantiles.is_empty() => (0, 0),
            FeatureKind::Numeric => (crate::reference::N_QUANTILES, 0),
            FeatureKind::Categorical { n_levels } => (0, n_levels as usize + 1),
        };
        check_len(|| format!("quantiles, {place}"), feature.quantiles.len(), n_quantiles)?;
        check_len(|| format!("level_shares, {place}"), feature.level_shares.len(), n_shares)?;
    }
    Ok(())
}

fn check_count(of: &'static str, found: usize, limit: u64) -> Result<(), ModelError> {
    if found as u64 <= limit { Ok(()) } else { Err(ModelError::Count { of, found: found as u64, limit }) }
}

fn check_len(of: impl Fn() -> String, found: usize, expected: usize) -> Result<(), ModelError> {
    if found == expected {
        return Ok(());
    }
    Err(ModelError::Length { of: of(), found: found as u64, expected: expected as u64 })
}

fn check_value(
    place: &str,
    field: &'static str,
    found: f64,
    expected: &'static str,
    holds: impl Fn(f64) -> bool,
) -> Result<(), ModelError> {
    if holds(found) { Ok(()) } else { Err(ModelError::Value { place: place.to_owned(), field, found, expected }) }
}
