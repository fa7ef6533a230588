//! Small models, made from numbers that a caller or proptest draws.

use orderguard_features::language::feature::{Feature, Place};
use orderguard_features::language::spec::{FeatureKind, FeatureSpec, Vocabulary};
use orderguard_features::matrix::Matrix;
use orderguard_features::schema::{Available, Column, Role, Schema, TimeFormat};
use orderguard_features::time::Span;
use proptest::prelude::*;

use crate::calibrate::probability;
use crate::decision::{Decision, Tier};
use crate::model::{
    Calibration, Characteristic, FeatureReference, Forest, LinearModel, LinearTerm, Model, ModelCard, Node, PointScale,
    Predictor, ScoreBin, Scorecard, Threshold, Tree,
};
use crate::reasons::{FeatureTexts, Pattern, ReasonTexts};
use crate::rows::RowModel;
use crate::wide::{Codes, Missing, WideForest, WideNode, WideTree};

/// Known levels of the sample's category.
pub(super) const N_LEVELS: usize = 3;
/// Position of the sample's category.
pub(super) const CATEGORY: u32 = 2;
/// Features of the sample.
pub(super) const N_FEATURES: u32 = 5;

pub(super) fn schema() -> Schema {
    let column = |name: &str, role, format| Column { name: name.into(), role, available: Available::Order, format };
    Schema {
        timezone: "Europe/Warsaw".into(),
        label_delay: Span::days(7),
        amount_decimals: 2,
        columns: vec![
            column("order \"id\"\nof the shop", Role::Id, None),
            column("placed", Role::Time, Some(TimeFormat::Iso)),
            column("is_fraud", Role::Label, None),
            column("amount", Role::Amount, None),
            column("items", Role::Number, None),
            column("country", Role::Category, None),
            column("card \"no\"", Role::Card, None),
        ],
    }
}

pub(super) fn spec() -> FeatureSpec {
    FeatureSpec {
        features: vec![
            Feature::Amount,
            Feature::Number("items".into()),
            Feature::Category(Place::Column("country".into())),
            Feature::Hour,
            Feature::parse("count(order) by \"card \\\"no\\\"\" over 1d").unwrap(),
        ],
        vocabularies: vec![Vocabulary {
            place: "country".into(),
            levels: vec!["PL".into(), "DE".into(), "Åland".into()],
        }],
        ..FeatureSpec::default()
    }
}

/// A forest of one tree per list of draws; each draw splits one leaf.
pub(super) fn forest(base: i64, scale_bits: u8, trees: &[Vec<u64>]) -> Forest {
    Forest { n_features: N_FEATURES, base, scale_bits, trees: trees.iter().map(|draws| tree(draws)).collect() }
}

fn tree(draws: &[u64]) -> Tree {
    let mut nodes = vec![Node::Leaf { value: 7 }];
    let mut level_sets = Vec::new();
    for (i, &draw) in draws.iter().enumerate() {
        let leaves: Vec<usize> = (0..nodes.len()).filter(|&at| matches!(nodes[at], Node::Leaf { .. })).collect();
        let at = leaves[(draw % 61) as usize % leaves.len()];
        let (left, right) = (nodes.len() as u32, nodes.len() as u32 + 1);
        let missing_left = draw >> 8 & 1 == 1;
        let feature = (draw >> 9) as u32 % N_FEATURES;
        nodes[at] = if feature == CATEGORY {
            let word = draw.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            level_sets.push([word, !word, word.rotate_left(9), word >> 3]);
            Node::Categorical { feature, level_set: level_sets.len() as u32 - 1, missing_left, left, right }
        } else {
            let threshold = THRESHOLDS[(draw >> 16) as usize % THRESHOLDS.len()];
            // Children in either order: only "after the parent" is promised.
            let (left, right) = if draw >> 24 & 1 == 1 { (left, right) } else { (right, left) };
            Node::Numeric { feature, threshold, missing_left, left, right }
        };
        nodes.push(Node::Leaf { value: (draw >> 32) as i32 });
        nodes.push(Node::Leaf { value: i as i32 - (draw >> 40) as i32 });
    }
    Tree { nodes, level_sets }
}

/// Split points of the samples, edge values included.
pub(super) const THRESHOLDS: [f32; 12] =
    [0.0, -0.0, 1.0, -1.0, 0.5, 10.25, 23.0, 1e-45, f32::MIN_POSITIVE, f32::MAX, f32::MIN, 1_000.0];

pub(super) fn any_forest() -> impl Strategy<Value = Forest> {
    let trees = prop::collection::vec(prop::collection::vec(any::<u64>(), 0..20), 0..20);
    (-(1i64 << 61)..=1 << 61, 0..=40u8, trees).prop_map(|(base, scale_bits, trees)| forest(base, scale_bits, &trees))
}

pub(super) fn any_linear() -> impl Strategy<Value = LinearModel> {
    let x = || prop_oneof![Just(0.0), -50.0f64..50.0, Just(-0.0), Just(1e-310)];
    let numeric =
        (0..4u32, x(), (-9.0f32..9.0, 0.0f32..99.0, any::<bool>()), x(), 1e-3f64..99.0, x(), prop::option::of(x()))
            .prop_map(|(feature, weight, (low, width, log), mean, scale, missing, first_seen)| LinearTerm::Numeric {
                feature: if feature == CATEGORY { 4 } else { feature },
                weight,
                low,
                high: low + width,
                log,
                mean,
                scale,
                missing,
                first_seen,
            });
    let categorical = (prop::collection::vec(x(), N_LEVELS + 1), x())
        .prop_map(|(levels, missing)| LinearTerm::Categorical { feature: CATEGORY, levels, missing });
    let terms = prop::collection::vec(prop_oneof![3 => numeric, 1 => categorical], 0..8);
    (x(), terms).prop_map(|(intercept, terms)| LinearModel { n_features: N_FEATURES, intercept, terms })
}

pub(super) fn any_predictor() -> impl Strategy<Value = Predictor> {
    prop_oneof![
        any_forest().prop_map(Predictor::Gbt),
        any_linear().prop_map(Predictor::Logistic),
        any_scorecard().prop_map(Predictor::Scorecard)
    ]
}

pub(super) fn any_scorecard() -> impl Strategy<Value = Scorecard> {
    let bin = || {
        (-500..500i32, 0..1_000u64, 0..1_000u64).prop_map(|(points, n_orders, n_fraud)| ScoreBin {
            points,
            n_orders: n_orders + n_fraud,
            n_fraud,
        })
    };
    let ascending = |mut values: Vec<f32>| {
        values.sort_by(f32::total_cmp);
        values.dedup();
        values
    };
    let values =
        |n: usize| prop::collection::vec((0..THRESHOLDS.len()).prop_map(|i| THRESHOLDS[i]), 0..n).prop_map(ascending);
    let numeric = (0..4u32, values(3), values(6), prop::collection::vec(bin(), 12)).prop_map(
        |(feature, specials, upper, bins)| Characteristic::Numeric {
            feature: if feature == CATEGORY { 4 } else { feature },
            specials: specials.into_iter().zip(bins[8..].iter().copied()).collect(),
            bins: bins[..=upper.len()].to_vec(),
            upper,
            missing: bins[11],
        },
    );
    let categorical = (prop::collection::vec(0..2u32, N_LEVELS + 1), bin(), bin(), bin()).prop_map(
        |(groups, one, other, missing)| Characteristic::Categorical {
            feature: CATEGORY,
            groups,
            bins: vec![one, other],
            missing,
        },
    );
    let scale = (-1e3..1e3f64, 1e-3..1e3f64, 1e-3..1e3f64)
        .prop_map(|(base_score, base_odds, points_to_double)| PointScale { base_score, base_odds, points_to_double });
    let characteristics = prop::collection::vec(prop_oneof![3 => numeric, 1 => categorical], 0..8);
    (scale, any::<i32>(), characteristics).prop_map(|(scale, start, characteristics)| Scorecard {
        n_features: N_FEATURES,
        scale,
        start,
        characteristics,
    })
}

/// Any bits, thresholds and their neighbours, and level codes within and beyond every set.
pub(super) fn any_value() -> impl Strategy<Value = f32> {
    prop_oneof![
        any::<u32>().prop_map(f32::from_bits),
        (0..THRESHOLDS.len(), 0..3u8).prop_map(|(i, side)| match side {
            0 => THRESHOLDS[i],
            1 => THRESHOLDS[i].next_up(),
            _ => THRESHOLDS[i].next_down(),
        }),
        (0..300u16).prop_map(f32::from),
        Just(f32::NAN),
        Just(f32::from_bits(0xFFC0_1234)),
        Just(f32::from_bits(0x7F80_0001)),
        Just(f32::INFINITY),
        Just(f32::NEG_INFINITY),
        Just(2.5),
    ]
}

pub(super) fn any_row() -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec(any_value(), N_FEATURES as usize)
}

pub(super) fn any_calibration() -> impl Strategy<Value = Calibration> {
    prop_oneof![
        (1e-3f64..9.0, -9.0f64..9.0).prop_map(|(slope, intercept)| Calibration::Platt { slope, intercept }),
        (0.0f64..9.0, 1e-3f64..9.0, -9.0f64..9.0).prop_map(|(a, b, c)| Calibration::Beta { a, b, c }),
        prop::collection::vec((1e-3f64..2.0, 1e-3f64..2.0), 1..5).prop_map(|steps| {
            let mut at = (-3.0, -4.0);
            let knots = steps.into_iter().map(|step| {
                at = (at.0 + step.0, at.1 + step.1);
                at
            });
            Calibration::Isotonic { knots: knots.collect() }
        }),
    ]
}

/// A value of row i and feature j of the made-up training rows.
pub(super) fn sample_value(i: u32, j: u32) -> f32 {
    match (i * 7 + j * 3) % 11 {
        0 => f32::NAN,
        1 => -1.0,
        _ if j == CATEGORY => (i % 5) as f32,
        n => n as f32 * 2.5 - 4.0,
    }
}

/// A whole model around a predictor, golden rows included.
pub(super) fn model(predictor: Predictor, calibration: Calibration) -> Model {
    let spec = spec();
    let reference: Vec<FeatureReference> = spec
        .kinds()
        .iter()
        .enumerate()
        .map(|(i, kind)| match kind {
            FeatureKind::Numeric => FeatureReference {
                missing_share: 0.25,
                quantiles: (0..19u8).map(|q| f32::from(q) * 1.25).collect(),
                level_shares: vec![],
                importance: (N_FEATURES as usize - i) as f64,
            },
            FeatureKind::Categorical { .. } => FeatureReference {
                missing_share: 0.0,
                quantiles: vec![],
                level_shares: vec![0.5, 0.25, 0.125, 0.125],
                importance: 0.0,
            },
        })
        .collect();
    let golden = crate::golden::build(&reference, &spec.kinds(), &predictor, 6).unwrap();
    let columns = (0..N_FEATURES).flat_map(|j| (0..40u32).map(move |i| sample_value(i, j))).collect();
    let matrix = Matrix::from_columns(40, N_FEATURES as usize, columns);
    let background = crate::background::of(&predictor, &matrix, &(0..40).collect::<Vec<u32>>()).unwrap();
    let raw_score = 0.75;
    let kind = match predictor {
        Predictor::Gbt(_) => "gbt",
        Predictor::Logistic(_) => "logistic",
        Predictor::Scorecard(_) => "scorecard",
    };
    Model {
        schema: schema(),
        spec,
        predictor,
        threshold: Threshold {
            raw_score,
            probability: probability(&calibration, raw_score),
            aim: "false-positive rate at most 0.5 % in validation".into(),
        },
        tiers: Vec::new(),
        calibration,
        card: ModelCard {
            program_version: "0.1.0".into(),
            kind: kind.into(),
            data_hash: "00ff".into(),
            seed: 1,
            key_check: 42,
            facts: vec![("orders".into(), "1000".into())],
            params: vec![("learning_rate".into(), "0.1".into())],
            notes: vec!["a note".into()],
        },
        reference,
        background,
        drift: crate::drift::DriftReference::default(),
        reasons: crate::reasons::ReasonTexts::default(),
        golden,
    }
}

/// The boosted model of the fixtures.
pub(super) fn gbt() -> Model {
    let amount = Tree {
        nodes: vec![
            Node::Numeric { feature: 0, threshold: 250.5, missing_left: true, left: 1, right: 2 },
            Node::Leaf { value: -40_000 },
            Node::Categorical { feature: 2, level_set: 0, missing_left: false, left: 3, right: 4 },
            Node::Leaf { value: 30_000 },
            Node::Numeric { feature: 4, threshold: 3.0, missing_left: false, left: 5, right: 6 },
            Node::Leaf { value: -9_000 },
            Node::Leaf { value: 120_000 },
        ],
        level_sets: vec![[0b101, 0, 0, 0]],
    };
    let stump = Tree {
        nodes: vec![
            Node::Numeric { feature: 3, threshold: 5.0, missing_left: false, left: 1, right: 2 },
            Node::Leaf { value: 17_001 },
            Node::Leaf { value: -2_000 },
        ],
        level_sets: vec![],
    };
    let constant = Tree { nodes: vec![Node::Leaf { value: 11 }], level_sets: vec![] };
    let forest = Forest { n_features: N_FEATURES, base: -70_000, scale_bits: 16, trees: vec![amount, stump, constant] };
    model(Predictor::Gbt(forest), Calibration::Beta { a: 1.25, b: 0.75, c: -0.5 })
}

/// The linear model of the fixtures.
pub(super) fn logistic() -> Model {
    let numeric = |feature, weight, first_seen| LinearTerm::Numeric {
        feature,
        weight,
        low: 0.0,
        high: 900.0,
        log: feature == 4,
        mean: 40.25,
        scale: 17.5,
        missing: 0.125,
        first_seen,
    };
    let country = LinearTerm::Categorical { feature: 2, levels: vec![0.1, -0.2, 0.0, 0.7], missing: 0.3 };
    let terms = vec![numeric(0, 0.6, None), country, numeric(4, 1.5, Some(0.9))];
    let linear = LinearModel { n_features: N_FEATURES, intercept: -3.25, terms };
    let knots = vec![(-4.0, -6.0), (-1.0, -5.75), (2.0, 1.0)];
    model(Predictor::Logistic(linear), Calibration::Isotonic { knots })
}

/// The scorecard of the fixtures.
pub(super) fn scorecard() -> Model {
    let bin = |points, n_orders, n_fraud| ScoreBin { points, n_orders, n_fraud };
    let amount = Characteristic::Numeric {
        feature: 0,
        specials: vec![],
        upper: vec![20.0, 250.5],
        bins: vec![bin(0, 400, 2), bin(14, 300, 4), bin(61, 200, 20)],
        missing: bin(9, 0, 0),
    };
    let country = Characteristic::Categorical {
        feature: 2,
        groups: vec![0, 0, 1, 2],
        bins: vec![bin(0, 700, 10), bin(33, 100, 6), bin(48, 100, 10)],
        missing: bin(5, 0, 0),
    };
    let orders = Characteristic::Numeric {
        feature: 4,
        specials: vec![(-1.0, bin(40, 90, 9))],
        upper: vec![3.0],
        bins: vec![bin(0, 700, 9), bin(25, 110, 8)],
        missing: bin(0, 0, 0),
    };
    let card = Scorecard {
        n_features: N_FEATURES,
        scale: PointScale { base_score: 500.0, base_odds: 50.0, points_to_double: 20.0 },
        start: 421,
        characteristics: vec![amount, country, orders],
    };
    model(Predictor::Scorecard(card), Calibration::Platt { slope: 1.125, intercept: -0.25 })
}

/// The boosted model with tiers and with words of its own, in two languages: every section that a file may have.
pub(super) fn spoken() -> Model {
    let mut model = gbt();
    model.tiers = vec![
        Tier { decision: Decision::Challenge, raw_score: -0.5 },
        Tier { decision: Decision::Review, raw_score: 0.75 },
        Tier { decision: Decision::Decline, raw_score: 1.5 },
    ];
    let pattern = |text: &str, no: &str, first_seen: &str, missing: &str| Pattern {
        text: text.into(),
        no: no.into(),
        first_seen: first_seen.into(),
        missing: missing.into(),
    };
    let words = |group, english: &str, polish: &str| FeatureTexts {
        group,
        english: pattern(english, "", "new", "-"),
        polish: pattern(polish, "", "nowe", "-"),
    };
    model.reasons = ReasonTexts {
        groups: vec!["basket".into(), "place".into(), "habit".into()],
        features: vec![
            words(0, "{value} paid, usually {usual}", "zapłacono {value}, zwykle {usual}"),
            words(0, "{value:item/items}", "{value:sztuka/sztuki/sztuk}"),
            words(1, "from {value} ({share})", "z {value} ({share})"),
            words(2, "at {value}", "o {value}"),
            words(2, "{value:order/orders} a day", "{value:zakup/zakupy/zakupów} dziennie"),
        ],
    };
    model
}

/// Another library's model as we keep it: wide thresholds, zeros that are missing, codes cut off, level sets of two lengths.
pub(super) fn converted() -> RowModel {
    let missing = |left, zero| Missing { left, zero };
    let numeric =
        |feature, threshold, missing, left, right| WideNode::Numeric { feature, threshold, missing, left, right };
    let deep = WideTree {
        nodes: vec![
            numeric(0, 0.1 + 0.2, missing(true, false), 1, 2),
            WideNode::Categorical { feature: 2, first_word: 0, n_words: 2, missing_left: false, left: 3, right: 4 },
            numeric(1, 0.0, missing(false, true), 5, 6),
            WideNode::Leaf { value: 1 << 40 },
            WideNode::Leaf { value: -(1 << 41) },
            WideNode::Leaf { value: 3 },
            WideNode::Leaf { value: -77_777_777_777 },
        ],
        words: vec![0b1010, 1 << 63],
        n_rows: vec![100, 60, 40, 20, 40, 30, 10],
    };
    let odd = WideTree {
        nodes: vec![
            numeric(1, f64::INFINITY, missing(false, false), 1, 2),
            WideNode::Categorical { feature: 2, first_word: 0, n_words: 1, missing_left: true, left: 3, right: 4 },
            WideNode::Leaf { value: 5_000_000_000_000 },
            WideNode::Leaf { value: -1 },
            WideNode::Leaf { value: 1 },
        ],
        words: vec![0b1],
        n_rows: vec![100, 90, 10, 45, 45],
    };
    let forest =
        WideForest { n_features: 3, base: -(1 << 42), scale_bits: 44, codes: Codes::Truncated, trees: vec![deep, odd] };
    let model = RowModel {
        names: ["amount", "since \"last\" order", "kraj"].map(str::to_owned).to_vec(),
        forest,
        calibration: Calibration::Platt { slope: 1.0, intercept: 0.0 },
        facts: vec![("library".into(), "none: a sample".into())],
        golden: Vec::new(),
    };
    model.with_golden_rows().unwrap()
}
