//! Models that contradict themselves in files with valid checksums, as an attacker would make them: one test per reason.

use orderguard_features::container::{Container, ContainerError, ContainerWriter, KIND_MODEL, KIND_STATE, Tag};
use orderguard_features::language::feature::Feature;
use orderguard_features::language::spec::{SpecError, Vocabulary};
use orderguard_features::schema::{Available, Role, SchemaError};
use proptest::prelude::*;

use super::samples::{gbt, logistic, scorecard};
use crate::model::{Background, Calibration, Characteristic, LinearTerm, Model, Node, Predictor, Scorecard, Tree};
use crate::{LoadError, ModelError, RawScorer};

/// The file of a sample with the content of one section changed, checksum valid.
pub(super) fn with_section(model: &Model, tag: Tag, change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let bytes = model.encode();
    let container = Container::parse(&bytes, KIND_MODEL, 0, usize::MAX).unwrap();
    let mut writer = ContainerWriter::new(KIND_MODEL, 0, container.fingerprint());
    for section in container.sections() {
        let mut content = section.bytes.to_vec();
        if section.tag == tag {
            change(&mut content);
        }
        writer = writer.section(section.tag, section.required, content);
    }
    writer.finish()
}

/// The file of a sample with one section more.
pub(super) fn with_extra_section(model: &Model, version: u16, required: bool) -> Vec<u8> {
    let bytes = model.encode();
    let container = Container::parse(&bytes, KIND_MODEL, 0, usize::MAX).unwrap();
    let mut writer = ContainerWriter::new(KIND_MODEL, version, container.fingerprint());
    for section in container.sections() {
        writer = writer.section(section.tag, section.required, section.bytes.to_vec());
    }
    writer.section(*b"new!", required, b"from the future".to_vec()).finish()
}

/// The file of a boosted sample whose first tree was changed.
pub(super) fn with_tree(change: impl Fn(&mut Tree)) -> Vec<u8> {
    changed(gbt(), |model| {
        let Predictor::Gbt(forest) = &mut model.predictor else { unreachable!("the sample holds trees") };
        change(&mut forest.trees[0]);
        // Whose counts would be another tree's.
        model.background = Background::default();
    })
}

fn with_term(change: impl Fn(&mut LinearTerm)) -> Vec<u8> {
    changed(logistic(), |model| {
        let Predictor::Logistic(linear) = &mut model.predictor else { unreachable!("the sample is linear") };
        change(&mut linear.terms[0]);
    })
}

fn with_card(change: impl Fn(&mut Scorecard)) -> Vec<u8> {
    changed(scorecard(), |model| {
        let Predictor::Scorecard(card) = &mut model.predictor else { unreachable!("the sample is a scorecard") };
        change(card);
    })
}

fn with_numeric(change: impl Fn(&mut Vec<f32>, &mut Vec<crate::model::ScoreBin>)) -> Vec<u8> {
    with_card(|card| {
        let Characteristic::Numeric { upper, bins, .. } = &mut card.characteristics[0] else {
            unreachable!("the first characteristic of the sample is numeric")
        };
        change(upper, bins);
    })
}

#[test]
fn rejects_scorecards_that_contradict_themselves() {
    for (file, field) in [
        (with_card(|card| card.scale.points_to_double = 0.0), "points_to_double"),
        (with_card(|card| card.scale.base_odds = f64::NAN), "base_odds"),
        (with_card(|card| card.scale.base_score = f64::INFINITY), "base_score"),
        (with_card(|card| card.scale.points_to_double = 1e-310), "largest raw score"),
        (with_numeric(|upper, _| upper[1] = upper[0]), "upper"),
        (with_numeric(|upper, _| upper[0] = f32::NAN), "upper"),
        (with_numeric(|_, bins| bins[0].n_fraud = bins[0].n_orders + 1), "n_fraud"),
    ] {
        let error = reason(&file);
        assert!(matches!(error, ModelError::Value { field: found, .. } if found == field), "{field}: {error}");
    }
    assert!(matches!(reason(&with_numeric(|_, bins| bins.truncate(2))), ModelError::Length { .. }));
    let special = with_card(|card| {
        let Characteristic::Numeric { specials, .. } = &mut card.characteristics[2] else { unreachable!() };
        specials.push(specials[0]);
    });
    assert!(matches!(reason(&special), ModelError::Value { field: "specials", .. }));
    let feature = |to: u32| {
        with_card(move |card| match &mut card.characteristics[1] {
            Characteristic::Categorical { feature, .. } | Characteristic::Numeric { feature, .. } => *feature = to,
        })
    };
    assert!(matches!(reason(&feature(5)), ModelError::FeatureOutOfRange { feature: 5, .. }));
    assert!(matches!(reason(&feature(0)), ModelError::NotCategorical { feature: 0, .. }));
    let groups = |change: fn(&mut Vec<u32>)| {
        with_card(move |card| {
            let Characteristic::Categorical { groups, .. } = &mut card.characteristics[1] else { unreachable!() };
            change(groups);
        })
    };
    assert!(matches!(reason(&groups(|groups| groups[1] = 3)), ModelError::Value { field: "groups", .. }));
    assert!(matches!(reason(&groups(|groups| groups.truncate(3))), ModelError::Length { .. }));
    assert!(matches!(reason(&groups(Vec::clear)), ModelError::Length { .. }));
    let other = with_card(|card| card.n_features = 4);
    assert!(matches!(reason(&other), ModelError::Length { .. }));
    let file = with_section(&scorecard(), *b"pnts", |content| content[32..40].fill(0xFF));
    assert!(matches!(refusal(&file), LoadError::Encoding { section: "pnts", .. }));
}

pub(super) fn changed(mut model: Model, change: impl Fn(&mut Model)) -> Vec<u8> {
    change(&mut model);
    model.encode()
}

fn refusal(bytes: &[u8]) -> LoadError {
    Model::from_bytes(bytes).expect_err("the file is refused")
}

fn reason(bytes: &[u8]) -> ModelError {
    match refusal(bytes) {
        LoadError::Model(reason) => reason,
        other => panic!("{other:?}"),
    }
}

fn set_children(tree: &mut Tree, at: usize, to: (u32, u32)) {
    if let Node::Numeric { left, right, .. } | Node::Categorical { left, right, .. } = &mut tree.nodes[at] {
        (*left, *right) = to;
    }
}

#[test]
fn rejects_another_kind_and_newer_versions() {
    let state = ContainerWriter::new(KIND_STATE, 0, 0).finish();
    assert!(matches!(refusal(&state), LoadError::Container(ContainerError::WrongKind { .. })));
    let newer = with_extra_section(&gbt(), 1, false);
    let expected = ContainerError::UnsupportedVersion { of: "format", found: 1, newest: 0 };
    assert!(matches!(refusal(&newer), LoadError::Container(found) if found == expected));
}

#[test]
fn skips_unknown_optional_and_rejects_unknown_required() {
    assert!(Model::from_bytes(&with_extra_section(&gbt(), 0, false)).is_ok());
    let error = refusal(&with_extra_section(&gbt(), 0, true));
    let expected = ContainerError::UnknownSection { section: "new!".into() };
    assert!(matches!(error, LoadError::Container(found) if found == expected));
}

#[test]
fn rejects_missing_and_foreign_sections() {
    let bytes = gbt().encode();
    let container = Container::parse(&bytes, KIND_MODEL, 0, usize::MAX).unwrap();
    // All but the one without which a model still scores.
    for left_out in container.sections().iter().filter(|section| section.tag != *b"back") {
        let mut writer = ContainerWriter::new(KIND_MODEL, 0, container.fingerprint());
        for section in container.sections().iter().filter(|section| section.tag != left_out.tag) {
            writer = writer.section(section.tag, section.required, section.bytes.to_vec());
        }
        let error = refusal(&writer.finish());
        assert!(matches!(error, LoadError::Container(ContainerError::MissingSection { .. })), "{error}");
    }
    let both = with_extra_section(&gbt(), 0, true);
    let both = both.windows(4).position(|w| w == b"new!").map(|at| (both.clone(), at)).unwrap();
    let (mut file, at) = both;
    file[at..at + 4].copy_from_slice(b"term");
    let checked = [&file[..32], &file[64..]].concat();
    let sum = blake3::hash(&checked);
    file[32..64].copy_from_slice(sum.as_bytes());
    assert!(matches!(refusal(&file), LoadError::Encoding { section: "term", .. }));
}

#[test]
fn rejects_unknown_codes_in_the_header() {
    for (at, field) in [(0, "kind"), (1, "input"), (2, "comparison"), (3, "missing"), (5, "reserved")] {
        let file = with_section(&gbt(), *b"head", |head| head[at] = 9);
        let error = refusal(&file);
        assert!(matches!(error, LoadError::Header { field: found, .. } if found == field), "{field}: {error}");
    }
    let file = with_section(&logistic(), *b"head", |head| head[12] = 1);
    assert!(matches!(refusal(&file), LoadError::Header { field: "counts of trees", .. }));
    let file = with_section(&gbt(), *b"head", |head| head.truncate(31));
    assert!(matches!(refusal(&file), LoadError::Container(ContainerError::Truncated { .. })));
    let file = with_section(&gbt(), *b"head", |head| head.push(0));
    assert!(matches!(refusal(&file), LoadError::Container(ContainerError::TrailingBytes { .. })));
}

#[test]
fn rejects_huge_counts_before_allocating() {
    // Trees, nodes, level sets: four billion of each.
    for at in [12, 16, 20] {
        let file = with_section(&gbt(), *b"head", |head| head[at..at + 4].fill(0xFF));
        let error = refusal(&file);
        assert!(matches!(error, LoadError::Container(ContainerError::Truncated { .. })), "{error}");
    }
    let file = with_section(&gbt(), *b"head", |head| head[8..12].fill(0xFF));
    assert!(matches!(reason(&file), ModelError::Length { .. }));
    // One tree claims nodes of the next, or leaves some over; the same for level sets.
    for (at, n) in [(0, 8), (0, 6), (0, 255), (64, 2), (64, 0)] {
        let file = with_section(&gbt(), *b"tree", |trees| trees[at] = n);
        assert!(matches!(refusal(&file), LoadError::Encoding { section: "tree", .. }), "{at} {n}");
    }
}

#[test]
fn rejects_trailing_bytes_and_padding_in_every_section() {
    for model in [gbt(), logistic(), scorecard()] {
        for tag in [b"head", b"spec", b"tree", b"term", b"pnts", b"deci", b"gold", b"card", b"refr"] {
            let has_it = Container::parse(&model.encode(), KIND_MODEL, 0, usize::MAX).unwrap().section(*tag).is_some();
            let file = with_section(&model, *tag, |content| content.push(0));
            assert_eq!(Model::from_bytes(&file).is_err(), has_it, "{}", tag.escape_ascii());
        }
    }
    // The first array holds three counts, 12 bytes, and is padded to 64.
    let file = with_section(&gbt(), *b"tree", |trees| trees[13] = 1);
    assert!(matches!(refusal(&file), LoadError::Container(ContainerError::NonZeroPadding { offset: 13 })));
}

#[test]
fn rejects_length_bombs() {
    for tag in [b"spec", b"gold", b"refr", b"card"] {
        for huge in [u64::MAX, 1 << 40, 1 << 62, 100_000] {
            let file = with_section(&gbt(), *tag, |content| content[..8].copy_from_slice(&huge.to_le_bytes()));
            let error = refusal(&file);
            assert!(matches!(error, LoadError::Encoding { .. }), "{} {huge}: {error}", tag.escape_ascii());
        }
    }
    let file = with_section(&logistic(), *b"term", |content| content[12..20].fill(0xFF));
    assert!(matches!(refusal(&file), LoadError::Encoding { section: "term", .. }));
}

#[test]
fn rejects_bytes_that_mean_nothing() {
    let file = with_section(&gbt(), *b"deci", |content| content[0] = 7);
    assert!(matches!(refusal(&file), LoadError::Encoding { section: "deci", .. }));
    let file = with_section(&gbt(), *b"card", |content| content[8] = 0xFF);
    assert!(matches!(refusal(&file), LoadError::Encoding { section: "card", .. }));
    let file = with_section(&gbt(), *b"deci", |content| content.truncate(9));
    assert!(matches!(refusal(&file), LoadError::Encoding { section: "deci", .. }));
    // Flags of the first node: kind 3; of the second, a leaf: with a default side.
    for (at, flags) in [(128, 3), (129, 4), (128, 128)] {
        let file = with_section(&gbt(), *b"tree", |trees| trees[at] = flags);
        assert!(matches!(refusal(&file), LoadError::Encoding { section: "tree", .. }), "{at} {flags}");
    }
}

#[test]
fn rejects_schemas() {
    let file = with_section(&gbt(), *b"schm", |text| text[0] = 0xFF);
    assert!(matches!(refusal(&file), LoadError::Encoding { section: "schm", .. }));
    let file = with_section(&gbt(), *b"schm", |text| text.extend(b"\nfuture = 1\n"));
    assert!(matches!(reason(&file), ModelError::Schema(SchemaError::Toml { .. })));
    let file = changed(gbt(), |model| model.schema.timezone = "Mars/Olympus".into());
    assert!(matches!(reason(&file), ModelError::Schema(SchemaError::UnknownTimezone { .. })));
    let file = with_section(&gbt(), *b"schm", |text| {
        let changed = String::from_utf8(text.clone()).unwrap().replace("amount_decimals = 2", "amount_decimals = 3");
        *text = changed.into_bytes();
    });
    assert!(matches!(refusal(&file), LoadError::Fingerprint { .. }));
}

#[test]
fn rejects_features_that_do_not_fit_the_schema() {
    let file = with_section(&gbt(), *b"spec", |spec| spec[16] = b'?');
    assert!(matches!(refusal(&file), LoadError::Feature { feature: 0, .. }));
    let with_feature = |feature: Feature| changed(gbt(), |model| model.spec.features[1] = feature.clone());
    let missing = reason(&with_feature(Feature::Number("nowhere".into())));
    assert!(missing.to_string().contains("nowhere"), "{missing}");
    for (feature, named) in [
        (Feature::Number("is_fraud".into()), "is_fraud"),
        (Feature::Since("placed".into()), "placed"),
        (Feature::parse("count(order) by items over 1d").unwrap(), "items"),
    ] {
        let error = reason(&with_feature(feature));
        assert!(matches!(error, ModelError::Spec(SpecError::Resolve { .. })), "{error}");
        assert!(error.to_string().contains(named), "{error}");
    }
    let later = changed(gbt(), |model| model.schema.columns[4].available = Available::Later);
    assert!(matches!(reason(&later), ModelError::Spec(SpecError::Resolve { .. })));
    assert!(matches!(reason(&with_feature(Feature::Amount)), ModelError::Spec(SpecError::FeatureTwice { .. })));
    let no_amount = changed(gbt(), |model| model.schema.columns[3].role = Role::Number);
    assert!(matches!(reason(&no_amount), ModelError::Spec(SpecError::Resolve { .. })));
    let none = changed(gbt(), |model| {
        model.spec.features.clear();
        model.spec.vocabularies.clear();
    });
    assert_eq!(reason(&none), ModelError::Empty { of: "features" });
}

#[test]
fn rejects_vocabularies_that_do_not_fit_the_features() {
    let none = changed(gbt(), |model| model.spec.vocabularies.clear());
    assert!(matches!(reason(&none), ModelError::Spec(SpecError::VocabularyMissing { .. })));
    let other = Vocabulary { place: "items".into(), levels: vec![] };
    let unused = changed(gbt(), |model| model.spec.vocabularies.push(other.clone()));
    assert_eq!(reason(&unused), ModelError::VocabularyUnused { place: "items".into() });
    let twice = changed(gbt(), |model| model.spec.vocabularies.push(model.spec.vocabularies[0].clone()));
    let repeats = SpecError::VocabularyRepeats { place: "country".into() };
    assert_eq!(reason(&twice), ModelError::Spec(repeats.clone()));
    let level = changed(gbt(), |model| model.spec.vocabularies[0].levels[2] = "PL".into());
    assert_eq!(reason(&level), ModelError::Spec(repeats));
}

#[test]
fn rejects_empty_tree() {
    assert_eq!(reason(&with_tree(|tree| *tree = Tree::default())), ModelError::EmptyTree { tree: 0 });
}

#[test]
fn rejects_child_out_of_range() {
    let error = reason(&with_tree(|tree| set_children(tree, 2, (3, 7))));
    assert_eq!(error, ModelError::ChildOutOfRange { tree: 0, node: 2, child: 7, n_nodes: 7 });
    assert_eq!(error.to_string(), "tree 0, node 2: child 7 is outside the tree's 7 nodes");
}

#[test]
fn rejects_cycles() {
    for child in [4, 2, 0] {
        let error = reason(&with_tree(|tree| set_children(tree, 4, (child, 6))));
        assert_eq!(error, ModelError::ChildBeforeParent { tree: 0, node: 4, child });
    }
}

#[test]
fn rejects_shared_and_lonely_nodes() {
    let error = reason(&with_tree(|tree| set_children(tree, 4, (6, 6))));
    assert_eq!(error, ModelError::NotOneParent { tree: 0, node: 5, n_parents: 0 });
    let error = reason(&with_tree(|tree| set_children(tree, 0, (2, 2))));
    assert_eq!(error, ModelError::NotOneParent { tree: 0, node: 1, n_parents: 0 });
    let error = reason(&with_tree(|tree| set_children(tree, 0, (3, 2))));
    assert_eq!(error, ModelError::NotOneParent { tree: 0, node: 1, n_parents: 0 });
}

#[test]
fn rejects_feature_and_level_set_out_of_range() {
    let error = reason(&with_tree(|tree| {
        if let Node::Numeric { feature, .. } = &mut tree.nodes[4] {
            *feature = 5;
        }
    }));
    assert_eq!(error, ModelError::FeatureOutOfRange { place: "tree 0, node 4".into(), feature: 5, n_features: 5 });
    let error = reason(&with_tree(|tree| {
        if let Node::Categorical { level_set, .. } = &mut tree.nodes[2] {
            *level_set = 1;
        }
    }));
    assert_eq!(error, ModelError::LevelSetOutOfRange { tree: 0, node: 2, level_set: 1, n_level_sets: 1 });
}

#[test]
fn rejects_level_codes_of_a_quantity() {
    let error = reason(&with_tree(|tree| {
        if let Node::Categorical { feature, .. } = &mut tree.nodes[2] {
            *feature = 0;
        }
    }));
    assert_eq!(error, ModelError::NotCategorical { place: "tree 0, node 2".into(), feature: 0 });
    let error = reason(&with_term(|term| {
        *term = LinearTerm::Categorical { feature: 0, levels: vec![0.0; 4], missing: 0.0 };
    }));
    assert_eq!(error, ModelError::NotCategorical { place: "term 0".into(), feature: 0 });
}

/// The field that is refused.
fn field(bytes: &[u8]) -> &'static str {
    match reason(bytes) {
        ModelError::Value { field, .. } => field,
        other => panic!("{other}"),
    }
}

#[test]
fn rejects_numbers_that_mean_nothing_in_trees() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let file = with_tree(|tree| {
            if let Node::Numeric { threshold, .. } = &mut tree.nodes[0] {
                *threshold = bad;
            }
        });
        assert_eq!(field(&file), "threshold");
    }
    assert_eq!(field(&with_section(&gbt(), *b"head", |head| head[4] = 41)), "scale_bits");
    for base in [i64::MIN, i64::MAX] {
        let file = with_section(&gbt(), *b"head", |head| head[24..32].copy_from_slice(&base.to_le_bytes()));
        assert_eq!(field(&file), "base");
    }
}

#[test]
fn rejects_numbers_that_mean_nothing_in_terms() {
    type Change = fn(&mut f64, &mut f32, &mut f32, &mut f64, &mut Option<f64>);
    let cases: [(Change, &str); 8] = [
        (|weight, _, _, _, _| *weight = f64::NAN, "weight"),
        (|_, low, _, _, _| *low = f32::NEG_INFINITY, "low"),
        (|_, _, high, _, _| *high = -1.0, "high"),
        (|_, _, high, _, _| *high = f32::NAN, "high"),
        (|_, _, _, scale, _| *scale = 0.0, "scale"),
        (|_, _, _, scale, _| *scale = f64::NAN, "scale"),
        (|_, _, _, _, first_seen| *first_seen = Some(f64::INFINITY), "first_seen"),
        (|weight, _, _, scale, _| (*weight, *scale) = (1e300, 1e-300), "largest raw score"),
    ];
    for (change, expected) in cases {
        let file = with_term(|term| {
            if let LinearTerm::Numeric { weight, low, high, scale, first_seen, .. } = term {
                change(weight, low, high, scale, first_seen);
            }
        });
        assert_eq!(field(&file), expected);
    }
    let error = reason(&with_term(|term| {
        *term = LinearTerm::Categorical { feature: 2, levels: vec![0.0; 3], missing: 0.0 };
    }));
    assert_eq!(error, ModelError::Length { of: "levels of term 0".into(), found: 3, expected: 4 });
    let error = reason(&with_term(|term| {
        if let LinearTerm::Numeric { feature, .. } = term {
            *feature = 5;
        }
    }));
    assert_eq!(error, ModelError::FeatureOutOfRange { place: "term 0".into(), feature: 5, n_features: 5 });
}

#[test]
fn rejects_calibrations_that_do_not_increase() {
    let with = |calibration: Calibration| changed(gbt(), |model| model.calibration = calibration.clone());
    for (slope, intercept, expected) in
        [(0.0, 0.0, "slope"), (-1.0, 0.0, "slope"), (f64::NAN, 0.0, "slope"), (1.0, f64::INFINITY, "intercept")]
    {
        assert_eq!(field(&with(Calibration::Platt { slope, intercept })), expected);
    }
    for (a, b, c, expected) in
        [(-1.0, 1.0, 0.0, "a"), (1.0, f64::NAN, 0.0, "b"), (0.0, 0.0, 0.0, "a + b"), (1.0, 1.0, f64::NAN, "c")]
    {
        assert_eq!(field(&with(Calibration::Beta { a, b, c })), expected);
    }
    let isotonic = |knots: &[(f64, f64)]| with(Calibration::Isotonic { knots: knots.to_vec() });
    assert_eq!(reason(&isotonic(&[])), ModelError::Empty { of: "knots of the calibration" });
    assert_eq!(field(&isotonic(&[(0.0, 0.0), (0.0, 1.0)])), "raw score");
    assert_eq!(field(&isotonic(&[(0.0, 0.0), (1.0, 0.0)])), "log-odds");
    assert_eq!(field(&isotonic(&[(f64::NAN, 0.0)])), "raw score");
    assert_eq!(field(&isotonic(&[(0.0, f64::INFINITY)])), "log-odds");
}

#[test]
fn rejects_thresholds() {
    assert_eq!(field(&changed(gbt(), |model| model.threshold.raw_score = f64::NAN)), "raw_score");
    assert_eq!(field(&changed(gbt(), |model| model.threshold.probability += 0.01)), "probability");
    let never = changed(gbt(), |model| {
        model.threshold.raw_score = f64::INFINITY;
        model.threshold.probability = 1.0;
    });
    assert!(Model::from_bytes(&never).is_ok());
}

#[test]
fn rejects_references() {
    let with = |change: fn(&mut Model)| changed(gbt(), change);
    assert_eq!(field(&with(|model| model.reference[0].missing_share = 1.5)), "missing_share");
    assert_eq!(field(&with(|model| model.reference[0].importance = f64::NAN)), "importance");
    assert_eq!(field(&with(|model| model.reference[0].quantiles[3] = 99.0)), "quantiles");
    assert_eq!(field(&with(|model| model.reference[2].level_shares[3] = -0.1)), "level_shares");
    for change in [
        (|model| model.reference.truncate(4)) as fn(&mut Model),
        |model| model.reference[0].quantiles.truncate(18),
        |model| model.reference[2].level_shares.truncate(3),
        |model| model.reference[2].quantiles = vec![1.0; 19],
    ] {
        assert!(matches!(reason(&with(change)), ModelError::Length { .. }));
    }
}

#[test]
fn rejects_golden_rows() {
    let other = changed(gbt(), |model| model.golden[2].raw_score_bits ^= 1);
    assert!(matches!(reason(&other), ModelError::GoldenMismatch { row: 2, .. }));
    let short = changed(gbt(), |model| model.golden[2].row.truncate(4));
    assert_eq!(reason(&short), ModelError::Length { of: "golden row 2".into(), found: 4, expected: 5 });
}

#[test]
fn rejects_counts_beyond_the_caps() {
    let Predictor::Gbt(mut forest) = gbt().predictor else { unreachable!("the sample holds trees") };
    forest.n_features = u32::MAX;
    let error = RawScorer::compile(&Predictor::Gbt(forest)).unwrap_err();
    assert_eq!(error, ModelError::Count { of: "features", found: u64::from(u32::MAX), limit: 1 << 20 });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever stands in a section, loading gives an error, or a model that writes and scores.
    #[test]
    fn any_content_with_a_valid_checksum_never_panics(
        linear: bool, section in 0..8usize, at: prop::sample::Index, bytes in prop::collection::vec(any::<u8>(), 1..9),
    ) {
        let model = if linear { logistic() } else { gbt() };
        let file = model.encode();
        let tag = Container::parse(&file, KIND_MODEL, 0, usize::MAX).unwrap().sections()[section].tag;
        let file = with_section(&model, tag, |content| {
            let at = at.index(content.len());
            for (slot, byte) in content[at..].iter_mut().zip(&bytes) {
                *slot = *byte;
            }
        });
        if let Ok(model) = Model::from_bytes(&file) {
            prop_assert!(model.to_bytes().is_ok());
            let scorer = crate::Scorer::compile(&model).unwrap();
            prop_assert!(scorer.score(&[f32::NAN; 5]).unwrap().raw_score.is_finite());
        }
    }
}
