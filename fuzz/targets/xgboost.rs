//! XGBoost JSON: refused, or a model that writes, loads again and scores as the naive walk does.
#![no_main]

use libfuzzer_sys::fuzz_target;
use orderguard_inference::import::xgboost::{Rounds, read};

mod imported;

fuzz_target!(|data: &[u8]| {
    // Each reads what it needs: one the best round, the other the trees behind it.
    match (read(data, Rounds::Best), read(data, Rounds::All)) {
        (Ok(best), Ok(all)) => {
            imported::check(&best);
            assert!(best.forest.trees.len() <= all.forest.trees.len());
            if best.forest.trees.len() < all.forest.trees.len() {
                imported::check(&all);
            }
        }
        (Ok(model), Err(_)) | (Err(_), Ok(model)) => imported::check(&model),
        (Err(_), Err(_)) => {}
    }
});
