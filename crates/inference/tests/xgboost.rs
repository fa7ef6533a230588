//! Models that XGBoost wrote, against the raw scores, leaves and contributions that it finds itself (`scripts/fixtures/xgboost` makes
//! them), and the same texts broken in many ways.

use std::path::PathBuf;

use orderguard_inference::engine::{Choice, Engine, Width};
use orderguard_inference::explain::{ExplainScratch, Explainer};
use orderguard_inference::import::xgboost::{self, Rounds};
use orderguard_inference::import::{ImportError, Place};
use orderguard_inference::rows::{RowModel, RowScorer};
use orderguard_inference::wide::{WideNode, leaf_of, raw_score_naive};

const NAMES: [&str; 10] = [
    "numeric",
    "names",
    "one-hot",
    "categories",
    "pruned",
    "best-iteration",
    "many-thresholds",
    "dart",
    "one-leaf",
    "version-1",
];

fn text(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/xgboost");
    std::fs::read(folder.join(name)).expect("the fixture is there")
}

fn model(name: &str) -> RowModel {
    xgboost::read(&text(&format!("{name}.json")), Rounds::Best).expect("the fixture is read")
}

/// What the library says of one row.
struct Expected {
    row: Vec<f64>,
    raw_score: f64,
    /// What each value adds, then what nobody does.
    parts: Vec<f64>,
    /// The node in which each tree ends.
    leaves: Vec<usize>,
}

fn expected(name: &str) -> Vec<Expected> {
    let text = String::from_utf8(text(&format!("{name}.rows.txt"))).unwrap();
    let numbers = |text: &str| -> Vec<f64> {
        text.split_whitespace().map(|bits| f64::from_bits(u64::from_str_radix(bits, 16).unwrap())).collect()
    };
    let read = |line: &str| {
        let groups: Vec<&str> = line.split(';').collect();
        let leaves = groups[3].split_whitespace().map(|leaf| leaf.parse().unwrap()).collect();
        Expected { row: numbers(groups[0]), raw_score: numbers(groups[1])[0], parts: numbers(groups[2]), leaves }
    };
    text.lines().map(read).collect()
}

/// Left children of each tree as the file has them: a second, plain reading.
fn lefts(name: &str) -> (Vec<Vec<i64>>, Vec<Vec<i64>>) {
    let text = String::from_utf8(text(&format!("{name}.json"))).unwrap();
    let lists = |field: &str| {
        let start = format!("\"{field}\":[");
        let parts = text.split(&start).skip(1);
        parts.map(|part| part.split(']').next().unwrap().split(',').map(|n| n.parse().unwrap()).collect()).collect()
    };
    (lists("left_children"), lists("right_children"))
}

/// The library's thresholds of a numeric feature in the trees that are taken, by a second, plain reading.
fn conditions(name: &str, feature: usize) -> Vec<f32> {
    let text = text(&format!("{name}.json"));
    let file: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let booster = &file["learner"]["gradient_booster"];
    let booster = if booster["gbtree"].is_null() { booster } else { &booster["gbtree"] };
    let trees = booster["model"]["trees"].as_array().unwrap();
    let number = |value: &serde_json::Value| value.as_f64().unwrap();
    let mut found = Vec::new();
    for tree in &trees[..model(name).forest.trees.len()] {
        for (node, left) in tree["left_children"].as_array().unwrap().iter().enumerate() {
            let is_numeric = number(left) != -1.0 && number(&tree["split_type"][node]) == 0.0;
            if is_numeric && number(&tree["split_indices"][node]) == feature as f64 {
                found.push(number(&tree["split_conditions"][node]) as f32);
            }
        }
    }
    found
}

/// Where each node of the file stands in our trees, and how many have no place there: those that pruning left behind.
fn places(name: &str) -> (Vec<Vec<usize>>, usize) {
    let (lefts, rights) = lefts(name);
    let mut n_left_behind = 0;
    let of_tree = |(lefts, rights): (&Vec<i64>, &Vec<i64>)| {
        let is_reached = |node: usize| node == 0 || [lefts, rights].iter().any(|c| c.contains(&(node as i64)));
        let reached: Vec<bool> = (0..lefts.len()).map(is_reached).collect();
        n_left_behind += reached.iter().filter(|&&reached| !reached).count();
        (0..lefts.len()).map(|node| reached[..node].iter().filter(|&&reached| reached).count()).collect()
    };
    let places = lefts.iter().zip(&rights).map(of_tree).collect();
    (places, n_left_behind)
}

#[test]
fn every_threshold_and_its_neighbours_reach_the_librarys_leaves_in_every_engine() {
    let mut n_of_one_feature = 0;
    for name in NAMES.into_iter().filter(|name| !["one-leaf", "names"].contains(name)) {
        let model = model(name);
        let text = String::from_utf8(text(&format!("{name}.cuts.txt"))).unwrap();
        let numbers = |text: &str| -> Vec<f64> {
            text.split_whitespace().map(|bits| f64::from_bits(u64::from_str_radix(bits, 16).unwrap())).collect()
        };
        let rows: Vec<(Vec<f64>, f64, Vec<usize>)> = text
            .lines()
            .map(|line| {
                let groups: Vec<&str> = line.split(';').collect();
                let leaves = groups[2].split_whitespace().map(|leaf| leaf.parse().unwrap()).collect();
                (numbers(groups[0]), numbers(groups[1])[0], leaves)
            })
            .collect();
        let mut n_thresholds = vec![0; model.names.len()];
        for (feature, n_thresholds) in n_thresholds.iter_mut().enumerate() {
            // The library's thresholds, to the right of which a value lies that equals them.
            let mut cuts: Vec<f32> = conditions(name, feature);
            cuts.sort_by(f32::total_cmp);
            cuts.dedup();
            for cut in &cuts {
                for x in [*cut, cut.next_up(), cut.next_down()].map(f64::from) {
                    assert!(rows.iter().any(|row| row.0[feature] == x), "{name}: no row holds {x:?}");
                }
            }
            *n_thresholds = cuts.len();
        }
        n_of_one_feature = n_thresholds.into_iter().fold(n_of_one_feature, usize::max);
        let (places, _) = places(name);
        let choices = Width::available().into_iter().flat_map(|width| {
            let engines = [Engine::Walk, Engine::Quick, Engine::Scan];
            engines.map(|engine| Choice { engine: Some(engine), width })
        });
        let scorers: Vec<RowScorer> = choices.map(|choice| RowScorer::compile_with(&model, choice).unwrap()).collect();
        for (i, (row, raw_score, leaves)) in rows.iter().enumerate() {
            for (t, (tree, &leaf)) in model.forest.trees.iter().zip(leaves).enumerate() {
                assert_eq!(leaf_of(&model.forest, tree, row), Some(places[t][leaf]), "{name}, row {i}, tree {t}");
            }
            let expected = raw_score_naive(&model.forest, row);
            assert!((expected - raw_score).abs() <= 1e-5, "{name}, row {i}: {expected} {raw_score}");
            for scorer in &scorers {
                assert_eq!(scorer.raw_score(row).unwrap().to_bits(), expected.to_bits(), "{name}, row {i}");
            }
        }
    }
    assert!(n_of_one_feature > 254, "no feature needs 16-bit bins: {n_of_one_feature} thresholds");
}

#[test]
fn rows_reach_the_librarys_leaves_and_scores() {
    let mut n_left_behind = 0;
    for name in NAMES {
        let model = model(name);
        let scorer = RowScorer::compile_with(&model, Choice::default()).unwrap();
        let rows = expected(name);
        assert_eq!(rows.len(), 100, "{name}");
        let (places, unreached) = places(name);
        n_left_behind += unreached;
        for (i, expected) in rows.iter().enumerate() {
            assert_eq!(model.forest.trees.len(), expected.leaves.len());
            for (t, (tree, &leaf)) in model.forest.trees.iter().zip(&expected.leaves).enumerate() {
                let place = places[t][leaf];
                assert_eq!(leaf_of(&model.forest, tree, &expected.row), Some(place), "{name}, row {i}, tree {t}");
            }
            let found = scorer.raw_score(&expected.row).unwrap();
            assert!((found - expected.raw_score).abs() <= 1e-5, "{name}, row {i}: {found} {}", expected.raw_score);
            // As f32, the row is what the library sees.
            let narrow: Vec<f32> = expected.row.iter().map(|&x| x as f32).collect();
            assert_eq!(scorer.raw_score_f32(&narrow).unwrap().to_bits(), found.to_bits(), "{name}, row {i}");
        }
    }
    assert!(n_left_behind > 0, "no fixture was pruned");
}

#[test]
fn rows_have_the_librarys_reasons() {
    for name in NAMES {
        let model = model(name);
        let explainer = Explainer::compile(&model.forest).unwrap();
        let mut scratch = ExplainScratch::default();
        let mut parts = vec![0.0; model.names.len()];
        for (i, expected) in expected(name).iter().enumerate() {
            explainer.explain(&expected.row, &mut scratch, &mut parts).unwrap();
            let (expected_parts, mean) = expected.parts.split_at(parts.len());
            for (feature, (found, expected)) in parts.iter().zip(expected_parts).enumerate() {
                assert!((found - expected).abs() <= 1e-5, "{name}, row {i}, feature {feature}: {found} {expected}");
            }
            assert!((explainer.expected() - mean[0]).abs() <= 1e-5, "{name}");
        }
    }
}

#[test]
fn fixtures_hold_what_they_are_meant_to() {
    let is_set = |node: &WideNode| matches!(node, WideNode::Categorical { .. });
    for name in ["one-hot", "categories"] {
        assert!(model(name).forest.trees.iter().flat_map(|tree| &tree.nodes).any(is_set), "{name}");
    }
    let mut cuts: Vec<f64> = Vec::new();
    for node in &model("many-thresholds").forest.trees[0].nodes {
        if let WideNode::Numeric { feature: 0, threshold, .. } = node {
            cuts.push(*threshold);
        }
    }
    cuts.sort_by(f64::total_cmp);
    cuts.dedup();
    assert!(cuts.len() > 254, "{} thresholds", cuts.len());
    assert_eq!(model("names").names, ["amount", "ordérs in 1h", "items \"each\"", "age"]);
    assert_eq!(model("numeric").names, ["f0", "f1", "f2", "f3"]);
    let fact = |name: &str, fact: &str| model(name).facts.into_iter().find(|f| f.0 == fact).unwrap().1;
    assert_eq!(fact("version-1", "source"), "XGBoost JSON, version 1.7.6");
    assert_eq!(fact("dart", "booster"), "dart");
    let best = model("best-iteration").forest.trees.len();
    let all = xgboost::read(&text("best-iteration.json"), Rounds::All).unwrap().forest.trees.len();
    assert!(best < all, "{best} of {all}");
    assert_eq!(fact("best-iteration", "rounds"), format!("{best} of {all}"));
}

#[test]
fn a_converted_model_is_the_same_after_writing_and_reading() {
    for name in NAMES {
        let model = model(name);
        let bytes = model.to_bytes().unwrap();
        let again = RowModel::from_bytes(&bytes).unwrap();
        assert_eq!(again.to_bytes().unwrap(), bytes, "{name}");
        assert_eq!((again.names, again.forest, again.facts), (model.names, model.forest, model.facts), "{name}");
    }
}

#[test]
fn kinds_that_are_not_read_are_named() {
    for (name, words) in [
        ("classes", "num_class is 3"),
        ("linear", "the booster \"gblinear\" is not read"),
        ("forest", "several trees per round (a random forest) are not read: num_parallel_tree is 3"),
        ("regression", "objective \"reg:squarederror\" is not read"),
        ("targets", "num_target is 2"),
        ("vectors", "num_target is 2"),
    ] {
        let error = xgboost::read(&text(&format!("refused-{name}.json")), Rounds::Best).unwrap_err();
        assert!(matches!(error, ImportError::Unsupported { place: Place::Byte(_), .. }), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn the_other_format_of_the_library_is_named() {
    let error = xgboost::read(b"{L\0\0\0\0\0\0\0\x07learner{L\xff", Rounds::Best).unwrap_err();
    let says = "byte 1: expected JSON, as save_model(\"model.json\") writes it, found \"UBJSON\"";
    assert_eq!(error.to_string(), says);
}

/// A model of one tree, made of its arrays.
fn one_tree(arrays: &str) -> String {
    format!(
        "{{\"learner\":{{\"attributes\":{{}},\"gradient_booster\":{{\"name\":\"gbtree\",\"model\":{{\"trees\":[{{{arrays}}}]}}}},\
         \"learner_model_param\":{{\"base_score\":\"5E-1\",\"num_class\":\"0\",\"num_feature\":\"2\"}},\
         \"objective\":{{\"name\":\"binary:logistic\"}}}},\"version\":[2,1,0]}}"
    )
}

const STUMP: &str = r#""left_children":[1,-1,-1],"right_children":[2,-1,-1],"split_conditions":[1.5,-2,3],"split_indices":[1,0,0],"default_left":[1,0,0]"#;

#[test]
fn children_before_their_parents_are_put_behind_them() {
    let arrays = r#""left_children":[3,-1,-1,2,-1],"right_children":[4,-1,-1,1,-1],"split_conditions":[0.5,1,2,-0.5,4],"split_indices":[0,0,0,1,0],"default_left":[true,false,false,false,false]"#;
    let model = xgboost::read(one_tree(arrays).as_bytes(), Rounds::Best).unwrap();
    let scorer = RowScorer::compile(&model).unwrap();
    for (row, expected) in [
        ([0.0, -1.0], 2.0),
        ([0.0, -0.5], 1.0),
        ([0.5, -1.0], 4.0),
        ([f64::NAN, 0.0], 1.0),
        ([f64::NAN, f64::NAN], 1.0),
    ] {
        assert_eq!(scorer.raw_score(&row).unwrap(), expected, "{row:?}");
    }
    assert!(Explainer::compile(&model.forest).is_err(), "nobody kept the hessians");
}

#[test]
fn broken_texts_are_refused() {
    assert!(xgboost::read(one_tree(STUMP).as_bytes(), Rounds::Best).is_ok());
    let refused = |text: &str| xgboost::read(text.as_bytes(), Rounds::Best).expect_err(text).to_string();
    let field = |from: &str, to: &str| {
        assert!(one_tree(STUMP).contains(from), "{from}");
        refused(&one_tree(STUMP).replace(from, to))
    };
    for (from, to, says) in [
        (
            "\"left_children\":[1,-1,-1]",
            "\"left_children\":[0,-1,-1]",
            "left_children, value 0: expected a node of the tree",
        ),
        ("\"left_children\":[1,-1,-1]", "\"left_children\":[2,-1,-1]", "right_children, value 0"),
        ("\"left_children\":[1,-1,-1]", "\"left_children\":[1,0,-1]", "left_children, value 1"),
        ("\"left_children\":[1,-1,-1]", "\"left_children\":[3,-1,-1]", "left_children, value 0"),
        ("\"left_children\":[1,-1,-1]", "\"left_children\":[-1,-1,-1]", "left_children, value 0"),
        ("\"left_children\":[1,-1,-1]", "\"left_children\":[1,-2147483648,-1]", "left_children, value 1"),
        ("\"left_children\":[1,-1,-1]", "\"left_children\":[1,-1]", "right_children: expected 2 values, found 3"),
        ("\"left_children\":[1,-1,-1]", "\"left_children\":[]", "right_children: expected 0 values"),
        ("\"left_children\":[1,-1,-1]", "\"left_children\":[1e0,-1,-1]", "expected a node, found \"1e0\""),
        ("\"left_children\":[1,-1,-1],", "", "no left_children"),
        ("\"left_children\"", "\"right_children\"", "\"right_children\" stands here for the second time"),
        ("[1.5,-2,3]", "[NaN,-2,3]", "split_conditions, value 0: expected a finite number, found \"NaN\""),
        ("[1.5,-2,3]", "[1.5,-2,3E39]", "split_conditions, value 2"),
        ("[1.5,-2,3]", "[1.5,-2,3E38]", "further from the library's than is promised"),
        ("\"split_indices\":[1,", "\"split_indices\":[2,", "feature 2"),
        ("\"default_left\":[1,", "\"default_left\":[2,", "expected 0 or 1"),
        ("\"default_left\"", "\"split_type\":[1,0,0],\"default_left\"", "no node 0"),
        (
            "\"default_left\"",
            "\"split_type\":[1,0,0],\"categories\":[1],\"categories_nodes\":[0],\"categories_segments\":[0],\"categories_sizes\":[18446744073709551615],\"default_left\"",
            "categories_segments, value 0",
        ),
        (
            "\"default_left\"",
            "\"split_type\":[1,0,0],\"categories\":[16777216],\"default_left\"",
            "expected a category below 2^24",
        ),
        ("\"default_left\"", "\"tree_param\":{\"size_leaf_vector\":\"3\"},\"default_left\"", "vectors in their leaves"),
        ("5E-1", "1.5", "base_score, value 0: expected one probability between 0 and 1, found \"1.5\""),
        ("5E-1", "[5E-1,4E-1]", "expected one probability"),
        ("\"num_feature\":\"2\"", "\"num_feature\":\"4294967296\"", "at most 2^20"),
        ("\"num_feature\":\"2\"", "\"num_feature\":\"x\"", "a whole number"),
        ("\"attributes\":{}", "\"attributes\":{\"best_iteration\":\"1\"}", "expected one of the rounds"),
        ("\"attributes\":{}", "\"feature_names\":[\"a\"]", "feature_names: expected 2 values, found 1"),
        ("\"attributes\":{}", "\"feature_names\":[\"a\",\"a\"]", "found \"a\" twice"),
        ("\"name\":\"gbtree\"", "\"name\":\"dart\"", "no weight_drop"),
        ("\"name\":\"gbtree\"", "\"name\":\"dart\",\"weight_drop\":[]", "weight_drop: expected 1 values, found 0"),
        ("binary:logistic\"", "binary:logitraw\",\"name\":0", "\"objective\" stands here for the second time"),
        ("binary:logistic", "rank:pairwise", "objective \"rank:pairwise\" is not read"),
    ] {
        let error = field(from, to);
        assert!(error.contains(says), "{to}: {error}");
    }
    for (text, says) in [
        ("[]", "byte 0: expected an object"),
        ("{}", "byte 0: the part that begins here has no learner"),
        ("{\"learner\":{}}", "has no objective"),
        ("{\"learner\":[[[", "expected an object"),
    ] {
        assert!(refused(text).contains(says), "{text}: {}", refused(text));
    }
    // A category of 2^24 - 1 takes 2 MiB of bits: a short text must not take much memory.
    let set = "\"split_type\":[1,0,0],\"categories\":[16777215],\"categories_nodes\":[0],\"categories_segments\":[0],\"categories_sizes\":[1]";
    let tree = format!("{{{STUMP},{set}}}");
    let many = one_tree(STUMP).replace(&format!("{{{STUMP}}}"), &vec![tree; 200].join(","));
    assert!(refused(&many).contains("level sets of together more than"), "{}", refused(&many));
}

#[test]
fn cut_texts_and_flipped_bytes_never_panic() {
    for name in ["version-1.json", "dart.json", "categories.json"] {
        let whole = text(name);
        for at in (0..whole.len()).step_by(61).chain(whole.len() - 30..whole.len()) {
            assert!(xgboost::read(&whole[..at], Rounds::Best).is_err(), "{name} cut at {at}");
        }
        let mut draw = 1u64;
        for _ in 0..700 {
            let mut broken = whole.clone();
            for _ in 0..3 {
                draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let at = (draw >> 33) as usize % whole.len();
                broken[at] = b"0123456789-.,[]{}\":E\\\xFFe"[(draw >> 20) as usize % 23];
            }
            // A changed digit may leave a model: it must then be one that holds together.
            if let Ok(model) = xgboost::read(&broken, Rounds::All) {
                assert!(model.check().is_ok());
            }
        }
    }
}
