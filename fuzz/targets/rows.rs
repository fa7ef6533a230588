//! Rows of any bits: every engine gives the bits of the naive walk, one row at a time and many together.
//!
//! The first byte names the model, the second the engine and its vector width; the rest is rows.
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use orderguard_inference::engine::{Choice, Engine, Width};
use orderguard_inference::import::{lightgbm, xgboost};
use orderguard_inference::model::{Model, Predictor};
use orderguard_inference::rows::{RowModel, RowScorer, RowScratch};
use orderguard_inference::wide::raw_score_naive;
use orderguard_inference::{RawScorer, Scorer, linear, scorecard, tree};

macro_rules! golden {
    ($name:literal) => {
        include_bytes!(concat!("../../models/golden/v0/", $name, ".ogm"))
    };
}
macro_rules! data {
    ($name:literal) => {
        include_bytes!(concat!("../../crates/inference/tests/data/", $name))
    };
}

struct Subjects {
    own: Vec<(Model, Vec<RawScorer>)>,
    foreign: Vec<(RowModel, Vec<RowScorer>)>,
    scratch: RowScratch,
}

fn choices() -> Vec<Choice> {
    let widths = Width::available();
    let of = |width| [Engine::Walk, Engine::Quick, Engine::Scan].map(|engine| Choice { engine: Some(engine), width });
    widths.into_iter().flat_map(of).collect()
}

fn subjects() -> Subjects {
    let own = |bytes: &[u8]| {
        let model = Model::from_bytes(bytes).expect("the fixture loads");
        let compile = |choice| RawScorer::compile_with(&model.predictor, choice).expect("the fixture compiles");
        let scorers = choices().into_iter().map(compile).collect();
        Scorer::compile(&model).expect("the fixture compiles");
        (model, scorers)
    };
    let foreign = |model: RowModel| {
        let compile = |choice| RowScorer::compile_with(&model, choice).expect("the fixture compiles");
        let scorers = choices().into_iter().map(compile).collect();
        (model, scorers)
    };
    let light =
        [&data!("lightgbm/missing-zero.txt")[..], data!("lightgbm/one-hot.txt"), data!("lightgbm/missing-nan.txt")];
    let extreme = [&data!("xgboost/categories.json")[..], data!("xgboost/version-1.json")];
    let light = light.map(|text| lightgbm::read(text).expect("the fixture is read"));
    let extreme = extreme.map(|text| xgboost::read(text, xgboost::Rounds::Best).expect("the fixture is read"));
    Subjects {
        own: [&golden!("gbt")[..], golden!("logistic"), golden!("scorecard")].map(own).into(),
        foreign: light.into_iter().chain(extreme).map(foreign).collect(),
        scratch: RowScratch::default(),
    }
}

thread_local! {
    static SUBJECTS: RefCell<Subjects> = RefCell::new(subjects());
}

fuzz_target!(|data: &[u8]| {
    let Some((&[model, engine], bytes)) = data.split_first_chunk::<2>() else { return };
    SUBJECTS.with_borrow_mut(|subjects| {
        let n = subjects.own.len() + subjects.foreign.len();
        let at = usize::from(model) % n;
        if let Some((model, scorers)) = subjects.own.get(at) {
            own(model, &scorers[usize::from(engine) % scorers.len()], bytes);
        } else {
            let (model, scorers) = &subjects.foreign[at - subjects.own.len()];
            foreign(model, &scorers[usize::from(engine) % scorers.len()], bytes, &mut subjects.scratch);
        }
    });
});

fn own(model: &Model, scorer: &RawScorer, bytes: &[u8]) {
    let values: Vec<f32> =
        bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().expect("four bytes"))).collect();
    for row in values.chunks(scorer.n_features()) {
        if row.len() < scorer.n_features() {
            assert!(scorer.raw_score(row).is_err());
            continue;
        }
        let expected = match &model.predictor {
            Predictor::Gbt(forest) => tree::raw_score_naive(forest, row),
            Predictor::Logistic(model) => linear::raw_score(model, row),
            Predictor::Scorecard(card) => scorecard::raw_score_naive(card, row),
        };
        assert!(expected.is_finite());
        assert_eq!(scorer.raw_score(row).expect("as long as the model's").to_bits(), expected.to_bits());
    }
}

fn foreign(model: &RowModel, scorer: &RowScorer, bytes: &[u8], scratch: &mut RowScratch) {
    let n = model.names.len();
    let mut values: Vec<f64> =
        bytes.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().expect("eight bytes"))).collect();
    let n_rows = values.len().div_ceil(n);
    values.resize(n_rows * n, f64::NAN);
    let naive = |row: &[f64]| raw_score_naive(&model.forest, row).to_bits();
    let mut out = vec![0.0; n_rows];
    scorer.raw_scores_into(&values, &mut out, scratch).expect("whole rows");
    for (row, found) in values.chunks(n).zip(&out) {
        let expected = naive(row);
        assert_eq!(found.to_bits(), expected);
        assert_eq!(scorer.raw_score(row).expect("as long as the model's").to_bits(), expected);
    }
    let narrow: Vec<f32> = values.iter().map(|&x| x as f32).collect();
    scorer.raw_scores_f32_into(&narrow, &mut out, scratch).expect("whole rows");
    for (row, found) in narrow.chunks(n).zip(&out) {
        let widened: Vec<f64> = row.iter().map(|&x| f64::from(x)).collect();
        assert_eq!(found.to_bits(), naive(&widened));
    }
}
