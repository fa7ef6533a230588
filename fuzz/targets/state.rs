//! State files: an error, or a history that reads, learns and is written again.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use orderguard_features::container::KIND_STATE;
use orderguard_features::snapshot::read_card;
use orderguard_features::state::State;
use orderguard_fuzz::{ARRIVAL, Shop, shop};

static SHOP: OnceLock<Shop> = OnceLock::new();

/// An order of entities that the seeds hold.
const ORDER: &str =
    "o-9\t2026-01-31T09:59:00Z\torder\te9\t19.99\tPLN\tc1\t4111111111111111\td1\t1.2.3.4\ta@mail.example";

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    orderguard_fuzz::mutate(KIND_STATE, data, size, max_size, seed)
});

fuzz_target!(|data: &[u8]| {
    let shop = SHOP.get_or_init(shop);
    let scorer = &shop.scorer;
    let _ = read_card(data);
    let Ok(mut state) = State::from_bytes(data, scorer.extractor()) else { return };
    let bytes = scorer.snapshot(&state);
    let again = scorer.restore(&bytes).expect("what was written is read");
    assert_eq!(scorer.snapshot(&again), bytes);
    let mut scratch = scorer.scratch();
    let values = shop.values(ORDER);
    let score = scorer.score(&state, &values, ARRIVAL, &mut scratch).expect("the order is right");
    assert!(score.raw_score.is_finite());
    scorer.learn(&mut state, &scratch);
    scorer.learn_label(&mut state, "o-9", ARRIVAL, true);
    scorer.features(&state, &values, ARRIVAL, &mut scratch).expect("the order is right");
});
