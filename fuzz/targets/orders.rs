//! Raw orders, events and labels as a service gets them: each is refused or scored and learned, and the history that comes of it is
//! written, read back and gives the same rows.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use orderguard_features::time::UnixMillis;
use orderguard_fuzz::{ARRIVAL, Shop, shop};

static SHOP: OnceLock<Shop> = OnceLock::new();

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let shop = SHOP.get_or_init(shop);
    let scorer = &shop.scorer;
    let mut state = scorer.new_state();
    let mut scratch = scorer.scratch();
    let mut arrival = ARRIVAL;
    let mut last = None;
    for line in text.lines() {
        let (word, rest) = line.split_at_checked(1).unwrap_or(("", line));
        match word {
            // Minutes go by, either way.
            "+" => {
                let minutes = rest.parse::<i32>().unwrap_or(1);
                arrival = UnixMillis(arrival.0.saturating_add(i64::from(minutes) * 60_000));
            }
            "l" => drop(scorer.learn_label(&mut state, rest, arrival, true)),
            "h" => drop(scorer.learn_label(&mut state, rest, arrival, false)),
            "e" => drop(scorer.learn_event(&mut state, &shop.values(rest), arrival, &mut scratch)),
            _ => {
                let values = shop.values(rest);
                if let Ok(score) = scorer.score(&state, &values, arrival, &mut scratch) {
                    assert!(score.raw_score.is_finite());
                    let row: Vec<u32> = scratch.row().iter().map(|x| x.to_bits()).collect();
                    let again = scorer.score(&state, &values, arrival, &mut scratch).expect("it was read once");
                    assert_eq!(again, score);
                    assert!(scratch.row().iter().map(|x| x.to_bits()).eq(row.iter().copied()));
                    scorer.learn(&mut state, &scratch);
                    last = Some((values, arrival));
                }
            }
        }
    }
    let bytes = scorer.snapshot(&state);
    let restored = scorer.restore(&bytes).expect("what was written is read");
    assert_eq!(scorer.snapshot(&restored), bytes);
    if let Some((values, arrival)) = last {
        scorer.features(&state, &values, arrival, &mut scratch).expect("it was read before");
        let row: Vec<u32> = scratch.row().iter().map(|x| x.to_bits()).collect();
        scorer.features(&restored, &values, arrival, &mut scratch).expect("it was read before");
        assert!(scratch.row().iter().map(|x| x.to_bits()).eq(row));
    }
});
