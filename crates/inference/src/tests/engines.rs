//! Every engine, at every vector width, against the naive walk: the same bits for forests and rows of all kinds.

use orderguard_features::matrix::Matrix;
use proptest::prelude::*;

use super::samples::gbt;
use crate::engine::{Choice, CompiledForest, Engine, EngineScratch, Width, compile_both};
use crate::model::{Forest, Node, Predictor, Tree};
use crate::scorer::{BatchScratch, RawScorer};
use crate::wide::{Codes, Missing, WideForest, WideNode, WideTree, ZERO_BAND, raw_score_naive};

/// Draws numbers; the same each time for one seed.
struct Draw(u64);

impl Draw {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// What forests are drawn from.
#[derive(Clone, Copy, Debug)]
struct Shape {
    seed: u64,
    n_features: u64,
    n_trees: u64,
    max_leaves: u64,
    /// Thresholds per feature.
    n_cuts: u64,
    /// One split in so many is categorical; 0 for none.
    categories: u64,
    zeros_missing: bool,
    codes: Codes,
}

fn threshold(draw: &mut Draw, shape: Shape, feature: u64) -> f64 {
    let odd = [0.0, -0.0, ZERO_BAND, -ZERO_BAND, 5e-324, 1e300, -1e300, f64::MAX, 1e-40, 16_777_217.0];
    if draw.one_in(12) {
        return odd[draw.below(odd.len() as u64) as usize];
    }
    // Of the feature and a small number, so that trees share thresholds.
    let cut = draw.below(shape.n_cuts) as f64 - shape.n_cuts as f64 / 2.0;
    cut * 0.1 + feature as f64
}

fn tree(draw: &mut Draw, shape: Shape) -> WideTree {
    let n_leaves = 1 + draw.below(shape.max_leaves);
    tree_of(draw, shape, n_leaves)
}

fn tree_of(draw: &mut Draw, shape: Shape, n_leaves: u64) -> WideTree {
    let mut tree = WideTree { nodes: vec![WideNode::Leaf { value: 0 }], words: Vec::new(), n_rows: Vec::new() };
    // Splits the newest leaf every other time, so that some trees are chains.
    let mut leaves = vec![0u32];
    for _ in 1..n_leaves {
        let at = if draw.one_in(2) { leaves.len() - 1 } else { draw.below(leaves.len() as u64) as usize };
        let node = leaves.swap_remove(at);
        let (left, right) = (tree.nodes.len() as u32, tree.nodes.len() as u32 + 1);
        tree.nodes.extend([WideNode::Leaf { value: 0 }; 2]);
        leaves.extend([left, right]);
        let feature = draw.below(shape.n_features);
        tree.nodes[node as usize] = if shape.categories > 0 && draw.one_in(shape.categories) {
            let (first_word, n_words) = (tree.words.len() as u32, draw.below(4) as u32);
            for _ in 0..n_words {
                tree.words.push(draw.below(u64::MAX));
            }
            let missing_left = draw.one_in(2);
            WideNode::Categorical { feature: feature as u32, first_word, n_words, missing_left, left, right }
        } else {
            let threshold = threshold(draw, shape, feature);
            let missing = Missing { left: draw.one_in(2), zero: shape.zeros_missing && draw.one_in(2) };
            WideNode::Numeric { feature: feature as u32, threshold, missing, left, right }
        };
    }
    for node in &mut tree.nodes {
        if let WideNode::Leaf { value } = node {
            *value = draw.below(1 << 40) as i64 - (1 << 39);
        }
    }
    tree
}

fn forest(shape: Shape) -> WideForest {
    let mut draw = Draw(shape.seed);
    let trees = (0..shape.n_trees).map(|_| tree(&mut draw, shape)).collect();
    WideForest { n_features: shape.n_features as u32, base: -12_345, scale_bits: 42, codes: shape.codes, trees }
}

/// Rows of thresholds, their neighbours, codes and odd values.
fn rows(shape: Shape, n: usize) -> Vec<f64> {
    let mut draw = Draw(!shape.seed);
    let odd = [f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 0.0, 2e-35, -2e-35, 1e30, 0.5, -0.5, 255.9];
    let mut value = |feature: u64| match draw.below(8) {
        0 => odd[draw.below(odd.len() as u64) as usize],
        1 | 2 => draw.below(270) as f64,
        3 | 4 => threshold(&mut draw, shape, feature),
        5 => threshold(&mut draw, shape, feature).next_up(),
        6 => threshold(&mut draw, shape, feature).next_down(),
        _ => draw.below(1000) as f64 / 37.0 - 10.0,
    };
    (0..n as u64 * shape.n_features).map(|i| value(i % shape.n_features)).collect()
}

/// Every engine that can run a forest, at every width.
fn choices() -> Vec<Choice> {
    let engines = [None, Some(Engine::Walk), Some(Engine::Quick), Some(Engine::Scan)];
    Width::available().into_iter().flat_map(|width| engines.map(|engine| Choice { engine, width })).collect()
}

fn check(shape: Shape, n_rows: usize) {
    check_forest(&forest(shape), shape, n_rows);
}

fn check_forest(forest: &WideForest, shape: Shape, n_rows: usize) {
    forest.check().unwrap();
    let n = shape.n_features as usize;
    let rows = rows(shape, n_rows);
    let narrow: Vec<f32> = rows.iter().map(|&x| x as f32).collect();
    let bits =
        |rows: &[f64]| -> Vec<u64> { rows.chunks_exact(n).map(|row| raw_score_naive(forest, row).to_bits()).collect() };
    let expected = bits(&rows);
    let expected_narrow = bits(&narrow.iter().map(|&x| f64::from(x)).collect::<Vec<_>>());
    for choice in choices() {
        let (of_f32, of_f64): (CompiledForest<f32>, CompiledForest<f64>) = compile_both(forest, choice);
        let name = format!("{shape:?}, {:?} at {}", of_f64.engine(), choice.width.name());
        for (i, row) in rows.chunks_exact(n).enumerate() {
            assert_eq!(of_f64.raw_score(row).to_bits(), expected[i], "{name}, row {i}");
        }
        for (i, row) in narrow.chunks_exact(n).enumerate() {
            assert_eq!(of_f32.raw_score(row).to_bits(), expected_narrow[i], "{name}, row {i} of f32");
        }
        let mut scratch = EngineScratch::default();
        let mut out = vec![0.0; n_rows];
        // Twice, because the scratch is full of the first time's bytes.
        for _ in 0..2 {
            let gather = |i: usize, row: &mut [f64]| row.copy_from_slice(&rows[i * n..][..n]);
            of_f64.raw_scores(&mut out, &mut vec![0.0; n], &mut scratch, gather);
            assert!(out.iter().map(|score| score.to_bits()).eq(expected.iter().copied()), "{name}, batch");
        }
        let gather = |i: usize, row: &mut [f32]| row.copy_from_slice(&narrow[i * n..][..n]);
        of_f32.raw_scores(&mut out, &mut vec![0.0; n], &mut scratch, gather);
        assert!(out.iter().map(|score| score.to_bits()).eq(expected_narrow.iter().copied()), "{name}, batch of f32");
    }
}

const PLAIN: Shape = Shape {
    seed: 1,
    n_features: 40,
    n_trees: 100,
    max_leaves: 31,
    n_cuts: 100,
    categories: 0,
    zeros_missing: false,
    codes: Codes::Whole,
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn random_forests_give_the_same_bits(
        seed in any::<u64>(),
        n_features in 1u64..50,
        n_trees in 0u64..140,
        max_leaves in prop_oneof![Just(1u64), 2u64..33, 33u64..65, 65u64..257, Just(400)],
        n_cuts in prop_oneof![Just(1u64), Just(20), Just(400)],
        categories in prop_oneof![Just(0u64), Just(1), Just(6)],
        zeros_missing in any::<bool>(),
        codes in prop_oneof![Just(Codes::Whole), Just(Codes::Truncated), Just(Codes::Narrowed)],
        n_rows in 0usize..80,
    ) {
        check(Shape { seed, n_features, n_trees, max_leaves, n_cuts, categories, zeros_missing, codes }, n_rows);
    }
}

#[test]
fn many_trees_give_the_same_bits() {
    check(Shape { n_trees: 5000, max_leaves: 8, ..PLAIN }, 7);
    check(Shape { n_trees: 1025, max_leaves: 64, seed: 2, ..PLAIN }, 5);
}

#[test]
fn trees_of_as_many_leaves_as_a_byte_counts_give_the_same_bits() {
    for n_leaves in [1, 2, 255, 256, 257] {
        let mut draw = Draw(n_leaves);
        let trees = (0..70).map(|_| tree_of(&mut draw, PLAIN, n_leaves)).collect();
        check_forest(&WideForest { trees, ..forest(PLAIN) }, PLAIN, 30);
    }
}

#[test]
fn features_of_many_thresholds_take_several_columns() {
    for (n_cuts, n_trees) in [(250, 30), (255, 60), (256, 60), (5000, 300)] {
        check(Shape { n_features: 2, n_cuts, n_trees, seed: n_cuts, max_leaves: 64, ..PLAIN }, 40);
    }
}

#[test]
fn wide_rows_and_many_level_sets_give_the_same_bits() {
    // One, two and four registers of columns, then more than the vector engine takes, then more than the stack.
    for (n_features, n_trees) in [(30, 40), (60, 40), (110, 60), (1000, 200), (9000, 400)] {
        check(Shape { n_features, n_trees, seed: n_features, ..PLAIN }, 6);
    }
    check(Shape { categories: 1, n_trees: 400, seed: 9, ..PLAIN }, 6);
}

#[test]
fn the_engine_follows_the_trees_and_the_width() {
    let engine = |shape: Shape, width| compile_both(&forest(shape), Choice { engine: None, width }).0.engine();
    for width in Width::available() {
        let vector = width.name() != "scalar";
        let or = |otherwise| if vector { Engine::Scan } else { otherwise };
        assert_eq!(engine(Shape { max_leaves: 8, ..PLAIN }, width), Engine::Scan);
        assert_eq!(engine(PLAIN, width), or(Engine::Quick));
        assert_eq!(engine(Shape { max_leaves: 64, ..PLAIN }, width), or(Engine::Quick));
        assert_eq!(engine(Shape { max_leaves: 255, ..PLAIN }, width), or(Engine::Walk));
        assert_eq!(engine(Shape { n_features: 1000, n_trees: 300, ..PLAIN }, width), Engine::Quick);
        assert_eq!(engine(Shape { max_leaves: 400, ..PLAIN }, width), Engine::Walk);
    }
    // Asked for what cannot run it, the default does.
    let choice = Choice { engine: Some(Engine::Quick), width: Width::best() };
    assert_eq!(compile_both(&forest(Shape { max_leaves: 400, ..PLAIN }), choice).1.engine(), Engine::Walk);
}

#[test]
fn our_own_forests_give_the_bits_of_their_naive_walk() {
    let Predictor::Gbt(sample) = gbt().predictor else { unreachable!("the sample holds trees") };
    let mut draw = Draw(4);
    let mut trees = sample.trees;
    for _ in 0..90 {
        let wide = tree(&mut draw, Shape { n_features: 5, max_leaves: 20, ..PLAIN });
        let narrow = |node: &WideNode| match *node {
            WideNode::Numeric { feature, threshold, missing, left, right } => {
                let threshold = threshold.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32;
                Node::Numeric { feature, threshold, missing_left: missing.left, left, right }
            }
            WideNode::Leaf { value } => Node::Leaf { value: value as i32 },
            WideNode::Categorical { .. } => unreachable!("none is drawn"),
        };
        trees.push(Tree { nodes: wide.nodes.iter().map(narrow).collect(), level_sets: Vec::new() });
    }
    let forest = Forest { trees, ..sample };
    let values: Vec<f32> = rows(Shape { n_features: 5, ..PLAIN }, 300).iter().map(|&x| x as f32).collect();
    let columns = (0..5).flat_map(|feature| values.iter().skip(feature).step_by(5).copied()).collect();
    let matrix = Matrix::from_columns(300, 5, columns);
    for choice in choices() {
        let scorer = RawScorer::compile_with(&Predictor::Gbt(forest.clone()), choice).unwrap();
        let mut out = vec![0.0; 300];
        scorer
            .raw_scores_into(&matrix, &(0..300).collect::<Vec<u32>>(), &mut out, &mut BatchScratch::default())
            .unwrap();
        for (row, score) in values.chunks_exact(5).zip(out) {
            let expected = crate::tree::raw_score_naive(&forest, row).to_bits();
            assert_eq!(scorer.raw_score(row).unwrap().to_bits(), expected);
            assert_eq!(score.to_bits(), expected);
        }
    }
}
