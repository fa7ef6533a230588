//! What must hold of a model that an importer took.

use orderguard_inference::explain::Explainer;
use orderguard_inference::rows::{RowModel, RowScorer};
use orderguard_inference::wide::raw_score_naive;

pub fn check(model: &RowModel) {
    let bytes = model.to_bytes().expect("what was imported is written");
    let again = RowModel::from_bytes(&bytes).expect("what was written is loaded");
    let scorer = RowScorer::compile(&again).expect("what was loaded scores");
    for x in [f64::NAN, 0.0, -0.5, 2.0, 1e-36, f64::INFINITY] {
        let row = vec![x; scorer.n_values()];
        let found = scorer.raw_score(&row).expect("one value per name");
        assert!(found.is_finite());
        assert_eq!(found.to_bits(), raw_score_naive(&model.forest, &row).to_bits());
    }
    let _ = Explainer::compile(&model.forest);
}
