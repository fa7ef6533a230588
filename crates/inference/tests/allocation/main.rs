//! Scoring and explaining allocate nothing once their scratch is warm.
#![allow(unsafe_code, reason = "an allocator that counts")]

mod order;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use orderguard_features::matrix::Matrix;
use orderguard_inference::engine::{Choice, Engine, Width};
use orderguard_inference::explain::{ExplainScratch, Explainer};
use orderguard_inference::import::lightgbm;
use orderguard_inference::model::Model;
use orderguard_inference::reasons::{Language, ReasonScratch, Reasoner};
use orderguard_inference::rows::{RowScorer, RowScratch};
use orderguard_inference::{BatchScratch, Scorer};

thread_local! {
    /// Allocations of this thread, so that tests side by side do not count each other's.
    static N_ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// How often this thread has allocated.
fn n_allocations() -> usize {
    N_ALLOCATIONS.get()
}

struct Counting;

// SAFETY: everything is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        N_ALLOCATIONS.set(N_ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract of this very method.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `alloc` above, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Orders of our own models: scores, contributions, reasons and their words.
fn own_models() {
    for bytes in [
        &include_bytes!("../../../../models/golden/v0/gbt.ogm")[..],
        include_bytes!("../../../../models/golden/v0/logistic.ogm"),
        include_bytes!("../../../../models/golden/v0/scorecard.ogm"),
    ] {
        let model = Model::from_bytes(bytes).unwrap();
        let (scorer, reasoner) = (Scorer::compile(&model).unwrap(), Reasoner::compile(&model).unwrap());
        let n = scorer.n_features();
        let columns = (0..n).flat_map(|j| model.golden.iter().map(move |golden| golden.row[j])).collect();
        let matrix = Matrix::from_columns(model.golden.len(), n, columns);
        let rows: Vec<u32> = (0..model.golden.len() as u32).collect();
        let mut out = vec![0.0; rows.len()];
        let (mut batch, mut reasons, mut words) = (BatchScratch::default(), ReasonScratch::default(), String::new());
        let mut all = || {
            scorer.raw_scores_into(&matrix, &rows, &mut out, &mut batch).unwrap();
            for golden in &model.golden {
                let score = scorer.score(&golden.row).unwrap();
                for reason in reasoner.reasons(&golden.row, score.raw_score, &mut reasons).unwrap() {
                    words.clear();
                    reasoner.write(reason, &golden.row, Language::Polish, &mut words);
                    assert!(!words.is_empty());
                }
            }
        };
        all();
        let before = n_allocations();
        all();
        assert_eq!(n_allocations(), before, "{}", model.card.kind);
    }
}

#[test]
fn a_warm_scorer_of_orders_allocates_nothing() {
    own_models();
}

#[test]
fn a_warm_scorer_of_rows_allocates_nothing() {
    let text = include_bytes!("../data/lightgbm/missing-zero.txt");
    let model = lightgbm::read(text).unwrap();
    let n = model.names.len();
    let rows: Vec<f64> = model.golden.iter().flat_map(|golden| golden.row.clone()).collect();
    let narrow: Vec<f32> = rows.iter().map(|&x| x as f32).collect();
    let explainer = Explainer::compile(&model.forest).unwrap();
    let mut out = vec![0.0; rows.len() / n];
    let mut parts = vec![0.0; n];
    for width in Width::available() {
        for engine in [Engine::Walk, Engine::Quick, Engine::Scan] {
            let scorer = RowScorer::compile_with(&model, Choice { engine: Some(engine), width }).unwrap();
            let (mut scratch, mut reasons) = (RowScratch::default(), ExplainScratch::default());
            let mut all = || {
                for (row, narrow) in rows.chunks_exact(n).zip(narrow.chunks_exact(n)) {
                    scorer.raw_score(row).unwrap();
                    scorer.raw_score_f32(narrow).unwrap();
                    explainer.explain(row, &mut reasons, &mut parts).unwrap();
                }
                scorer.raw_scores_into(&rows, &mut out, &mut scratch).unwrap();
                scorer.raw_scores_f32_into(&narrow, &mut out, &mut scratch).unwrap();
            };
            all();
            let before = n_allocations();
            assert!(before > 0);
            all();
            assert_eq!(n_allocations(), before, "{engine:?} at {}", width.name());
        }
    }
}
