//! Scoring and explaining allocate nothing once their scratch is warm. One test in this program, so that no other thread counts.
#![allow(unsafe_code, reason = "an allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use orderguard_inference::engine::{Choice, Engine, Width};
use orderguard_inference::explain::{ExplainScratch, Explainer};
use orderguard_inference::import::lightgbm;
use orderguard_inference::rows::{RowScorer, RowScratch};

static N_ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: everything is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        N_ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
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

#[test]
fn a_warm_scorer_allocates_nothing() {
    let text = include_bytes!("data/lightgbm/missing-zero.txt");
    let model = lightgbm::read(text).unwrap();
    let n = model.names.len();
    let rows: Vec<f64> = model.golden.iter().flat_map(|golden| golden.row.clone()).collect();
    let narrow: Vec<f32> = rows.iter().map(|&x| x as f32).collect();
    let explainer = Explainer::compile(&model.forest).unwrap();
    let mut out = vec![0.0; rows.len() / n];
    let mut parts = vec![0.0; n];
    for width in Width::available() {
        for engine in [Engine::Walk, Engine::Quick, Engine::Masks] {
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
            let before = N_ALLOCATIONS.load(Ordering::Relaxed);
            assert!(before > 0);
            all();
            assert_eq!(N_ALLOCATIONS.load(Ordering::Relaxed), before, "{engine:?} at {}", width.name());
        }
    }
}
