//! Model files, ours and converted ones: an error, or a model that writes, loads again, scores, explains and describes itself.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use orderguard_features::container::KIND_MODEL;
use orderguard_inference::Scorer;
use orderguard_inference::drift::DriftBins;
use orderguard_inference::explain::Explainer;
use orderguard_inference::model::Model;
use orderguard_inference::reasons::{Language, ReasonScratch, Reasoner};
use orderguard_inference::rows::{RowModel, RowScorer};
use orderguard_inference::wide::raw_score_naive;

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    orderguard_fuzz::mutate(KIND_MODEL, data, size, max_size, seed)
});

fuzz_target!(|data: &[u8]| {
    if let Ok(model) = Model::from_bytes(data) {
        orders(&model);
    }
    if let Ok(model) = RowModel::from_bytes(data) {
        rows(&model);
    }
});

fn orders(model: &Model) {
    let bytes = model.to_bytes().expect("what was loaded is written");
    let again = Model::from_bytes(&bytes).expect("what was written is loaded");
    assert_eq!(again.to_bytes().expect("what was loaded is written"), bytes);
    let scorer = Scorer::compile(model).expect("what was loaded scores");
    let reasoner = Reasoner::compile(model);
    let bins = DriftBins::compile(model);
    let mut counts = bins.as_ref().map(DriftBins::counts);
    let (mut scratch, mut words) = (ReasonScratch::default(), String::new());
    for x in [f32::NAN, 0.0, -1.0, 1e30, f32::INFINITY] {
        let row = vec![x; scorer.n_features()];
        let score = scorer.score(&row).expect("one value per feature");
        assert!(score.raw_score.is_finite() && (0.0..=1.0).contains(&score.probability));
        if let (Some(bins), Some(counts)) = (&bins, &mut counts) {
            bins.observe(&row, score.raw_score, counts).expect("one value per feature");
        }
        let Ok(reasoner) = &reasoner else { continue };
        let reasons = reasoner.reasons(&row, score.raw_score, &mut scratch).expect("one value per feature").to_vec();
        for reason in reasons.iter().take(3) {
            reasoner.write(reason, &row, Language::Polish, &mut words);
        }
    }
    let _ = orderguard_inference::card::describe(model);
}

fn rows(model: &RowModel) {
    let bytes = model.to_bytes().expect("what was loaded is written");
    let again = RowModel::from_bytes(&bytes).expect("what was written is loaded");
    assert_eq!(again.to_bytes().expect("what was loaded is written"), bytes);
    let scorer = RowScorer::compile(model).expect("what was loaded scores");
    for x in [f64::NAN, 0.0, -1.0, 1e300, f64::NEG_INFINITY] {
        let row = vec![x; scorer.n_values()];
        let found = scorer.raw_score(&row).expect("one value per name");
        assert_eq!(found.to_bits(), raw_score_naive(&model.forest, &row).to_bits());
    }
    let _ = (Explainer::compile(&model.forest), model.describe());
}
