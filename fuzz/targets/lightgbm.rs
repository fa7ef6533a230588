//! LightGBM texts: refused, or a model that writes, loads again and scores as the naive walk does.
#![no_main]

use libfuzzer_sys::fuzz_target;
use orderguard_inference::import::lightgbm;

mod imported;

fuzz_target!(|data: &[u8]| {
    if let Ok(model) = lightgbm::read(data) {
        imported::check(&model);
    }
});
