//! XGBoost JSON: refused, or a model that writes, loads again and scores as the naive walk does.
#![no_main]

use libfuzzer_sys::fuzz_target;
use orderguard_inference::import::xgboost::{Rounds, read};

mod imported;

fuzz_target!(|data: &[u8]| {
    if let Ok(model) = read(data, Rounds::Best) {
        imported::check(&model);
        let all = read(data, Rounds::All).expect("the best rounds are among all");
        assert!(all.forest.trees.len() >= model.forest.trees.len());
    }
});
