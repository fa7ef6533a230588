//! Entities that were idle for too long leave memory and file, and nobody can tell when: streams with long gaps, events that
//! come very late, entities that come back, and clocks that were wrong for a while.

use super::*;
use crate::raw::{Tables, raws};

/// Streams with gaps of about the lifetime and what is kept beyond it. `late` is how many days events come late at most.
fn with_gaps(late: i64) -> impl Strategy<Value = Vec<Raw>> {
    let gap = prop::sample::select(vec![0_i64, 30, 100, 340, 371, 400, 401, 429, 431, 440, 900]);
    let gaps = prop::collection::vec((gap, 0_i64..3), 6);
    let each = prop::collection::vec((0_usize..7, 0_u8..10, prop::option::weighted(0.2, 0..=late)), 400);
    (raws(400), gaps, each).prop_map(|(mut raws, gaps, each)| {
        let starts: Vec<i64> = gaps
            .iter()
            .scan(0, |start, (days, hours)| {
                *start += days * DAY + hours * HOUR;
                Some(*start)
            })
            .collect();
        for (raw, (era, customer, late)) in raws.iter_mut().zip(each) {
            raw.time = START + (raw.time - START) / 2 + if era == 0 { 0 } else { starts[era - 1] };
            raw.customer = raw.customer.map(|_| customer);
            raw.late = late.map_or(raw.late, |days| days * DAY);
        }
        // Ids come once: whether one is repeated is not for longer than a state remembers them.
        for (i, raw) in raws.iter_mut().enumerate() {
            let about = raw.order.map(|order| (i as u32).saturating_sub(order));
            (raw.order, raw.event) = (if raw.is_order() { Some(i as u32) } else { about }, None);
        }
        raws
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn when_the_idle_leave_is_not_to_be_seen(raws in with_gaps(500), restore_every in 0_usize..40, cut in 0_i64..1_500) {
        let extractor = extractor(4_096);
        let (by_replay, state) = replayed(&extractor, &raws, 2);
        let (by_live, live_state) = live(&extractor, &raws, 0);
        let (by_restored, restored_state) = live(&extractor, &raws, restore_every);
        // What links accounts is read at the time of the order, also where that is long past and the links may have left.
        let network = ["cluster_size", "cluster_frauds", "cluster_new_links", "accounts_per(device)"];
        for (feature, name) in FEATURES.iter().enumerate().filter(|(_, name)| !network.contains(name)) {
            for i in (0..raws.len()).filter(|&i| raws[i].is_order()) {
                prop_assert_eq!(by_replay[i][feature], by_live[i][feature], "row {}, {}: {:?}", i, name, raws[i]);
                prop_assert_eq!(by_restored[i][feature], by_live[i][feature], "restored row {}, {}: {:?}", i, name, raws[i]);
            }
        }
        let file = live_state.to_bytes(&extractor);
        prop_assert!(state.to_bytes(&extractor) == file, "states differ");
        prop_assert!(restored_state.to_bytes(&extractor) == file, "restored states differ");
        // In two parts.
        let cut = START + cut * DAY;
        let mut raws = raws;
        for raw in &mut raws {
            raw.labels.clear();
        }
        let (_, whole) = replayed(&extractor, &raws, 1);
        let (first, second): (Vec<Raw>, Vec<Raw>) = raws.into_iter().partition(|raw| raw.known_at() < cut);
        let mut state = State::new(&extractor);
        replay_onto(&extractor, &first, &[], 1, &mut state);
        replay_onto(&extractor, &second, &[], 1, &mut state);
        prop_assert!(state.to_bytes(&extractor) == whole.to_bytes(&extractor), "states of parts differ");
    }

    /// A customer's features are those of a shop that has no other customer, where too little happens for any clock to move.
    #[test]
    fn others_and_the_clock_change_nothing(raws in with_gaps(29)) {
        let mut raws = raws;
        for (i, raw) in raws.iter_mut().enumerate() {
            raw.order = raw.is_order().then_some(i as u32);
        }
        let extractor = extractor(4_096);
        let (rows, _) = live(&extractor, &raws, 0);
        let own = |name: &str| name.contains("by customer ") && !name.contains("shrink") && !name.contains(" to ") || name.ends_with("by customer");
        for customer in 0..10 {
            let at: Vec<usize> = (0..raws.len()).filter(|&i| raws[i].customer == Some(customer)).take(63).collect();
            let alone: Vec<Raw> = at.iter().map(|&i| raws[i].clone()).collect();
            prop_assume!(raws.iter().filter(|raw| raw.customer == Some(customer)).count() == alone.len());
            let (alone, _) = live(&extractor, &alone, 0);
            for (feature, name) in FEATURES.iter().enumerate().filter(|(_, name)| own(name)) {
                for (row, &i) in alone.iter().zip(&at).filter(|(row, _)| !row.is_empty()) {
                    prop_assert_eq!(row[feature], rows[i][feature], "row {}, {}: {:?}", i, name, raws[i]);
                }
            }
        }
    }

    /// The shop's clock is wrong for a while, and right again.
    #[test]
    fn a_clock_that_went_back_is_followed_alike(ahead in with_gaps(40), raws in with_gaps(40), days in 0_i64..3_000, cut in 0_usize..400) {
        let extractor = extractor(4_096);
        let mut streams = [ahead, raws];
        for (of, stream) in streams.iter_mut().enumerate() {
            for (i, raw) in stream.iter_mut().enumerate() {
                raw.time += if of == 0 { days * DAY } else { 0 };
                raw.order = raw.is_order().then_some((1_000 * of + i) as u32);
                raw.labels.clear();
            }
        }
        let (mut replayed, mut learned) = (State::new(&extractor), State::new(&extractor));
        for (n, stream) in streams.iter().enumerate() {
            let rows = replay_onto(&extractor, stream, &[], 2, &mut replayed);
            let found = live_onto(&extractor, stream, &mut learned, |at, state| {
                if at == cut {
                    *state = State::from_bytes(&state.to_bytes(&extractor), &extractor).unwrap();
                }
            });
            let customers = FEATURES.iter().position(|name| *name == "count(order) by customer over 1d").unwrap();
            let shop = FEATURES.iter().position(|name| *name == "count(order) by shop over 1d").unwrap();
            for (row, found) in rows.iter().zip(&found).filter(|(row, _)| !row.is_empty()) {
                prop_assert_eq!((row[customers], row[shop]), (found[customers], found[shop]));
            }
            for slot in 0..extractor.entities().len() {
                let tag = [b'E', b'0', b'0' + (slot / 10) as u8, b'0' + (slot % 10) as u8];
                let [a, b] = [&replayed, &learned].map(|state| section(&state.to_bytes(&extractor), tag));
                prop_assert!(a == b, "stream {}, slot {}", n, slot);
            }
        }
    }
}

fn section(file: &[u8], tag: [u8; 4]) -> Vec<u8> {
    use orderguard_features::container::{Container, KIND_STATE};
    Container::parse(file, KIND_STATE, 0, usize::MAX).unwrap().section(tag).unwrap().to_vec()
}

/// Rows by the live path onto a state, to which something is done before each millisecond.
fn live_onto(
    extractor: &Extractor,
    raws: &[Raw],
    state: &mut State,
    mut between: impl FnMut(usize, &mut State),
) -> Rows {
    let binding = extractor.bind(&names()).unwrap();
    let (mut event, mut row) = (Event::default(), vec![0.0; extractor.row_len()]);
    let mut rows = vec![Vec::new(); raws.len()];
    for (n, group) in steps(raws, &Tables::new(raws, 1)).chunk_by(|a, b| a.0 == b.0).enumerate() {
        between(n, state);
        for is_reading in [true, false] {
            for &(_, step) in group {
                let Step::Event(i) = step else { continue };
                let cells = raws[i].cells();
                let given: Vec<Value> = cells.iter().map(|cell| Value::Text(cell)).collect();
                extractor.read_event(&binding, &given, UnixMillis(raws[i].known_at()), &mut event).unwrap();
                if !is_reading {
                    state.learn(extractor, &event);
                } else if raws[i].is_order() {
                    extractor.extract(state, &event, &mut row);
                    rows[i] = row[..extractor.n_features()].iter().map(|&x| bits(x)).collect();
                }
            }
        }
    }
    rows
}

#[test]
fn an_order_that_comes_too_late_finds_nobody() {
    let count = FEATURES.iter().position(|name| *name == "count(order) by customer over 1d").unwrap();
    let extractor = extractor(4_096);
    // After the second block of 64 the clock stands 435 days after the first order.
    for (n_others, seen) in [(126, 0.0), (127, -1.0), (300, -1.0)] {
        let mut raws = vec![order(0, START, Some(1))];
        raws.extend((1..=n_others).map(|n| order(n, START + 435 * DAY + i64::from(n), Some(2 + (n % 8) as u8))));
        // It is a repeated one, so that the clock is not moved by it.
        raws.push(Raw { late: 400 * DAY, ..order(n_others, START + 40 * DAY, Some(1)) });
        let (by_replay, state) = replayed(&extractor, &raws, 1);
        for restore_every in [0, 1, 100] {
            let (by_live, live_state) = live(&extractor, &raws, restore_every);
            for rows in [&by_replay, &by_live] {
                assert_eq!(f32::from_bits(rows.last().unwrap()[count]), seen, "after {n_others} others");
            }
            assert!(state.to_bytes(&extractor) == live_state.to_bytes(&extractor));
        }
    }
}

/// Two new customers a day, for as long as six lifetimes, and one who comes every day.
fn newcomers() -> Vec<Raw> {
    let orders = (0..2_400_i64).flat_map(|day| {
        (0..3_i64).map(move |of| {
            let number = (day * 3 + of) as u32;
            let ip = (of > 0).then_some((day % 250) as u8);
            Raw { ip, ..order(number, START + day * DAY + of * HOUR, Some(7)) }
        })
    });
    orders.collect()
}

#[test]
fn memory_is_in_proportion_to_the_living() {
    let extractor = extractor(4_096);
    let binding = extractor.bind(&names()).unwrap();
    let customer = extractor.entities().iter().position(|entity| entity == "customer").unwrap();
    let (mut state, mut event, mut most) = (State::new(&extractor), Event::default(), 0);
    let raws = newcomers();
    for raw in &raws {
        let mut cells = raw.cells();
        if raw.ip.is_some() {
            cells[5] = format!("newcomer {}", cells[0]);
        }
        let given: Vec<Value> = cells.iter().map(|cell| Value::Text(cell)).collect();
        extractor.read_event(&binding, &given, UnixMillis(raw.known_at()), &mut event).unwrap();
        state.learn(&extractor, &event);
        most = most.max(state.n_entities()[customer]);
    }
    // 860 of the newcomers were seen within 430 days, and the one who always comes.
    assert!(most < 2 * 861, "{most}");
    let file = state.to_bytes(&extractor);
    let written = State::from_bytes(&file, &extractor).unwrap().n_entities();
    assert!((861..861 + 2 * 64).contains(&written[customer]), "{written:?}");
    assert!(written.iter().zip(state.n_entities()).all(|(&written, held)| written <= held));
}

#[test]
fn a_replay_keeps_the_living_only() {
    let extractor = extractor(4_096);
    let ip = extractor.entities().iter().position(|entity| entity == "ip").unwrap();
    let mut raws = newcomers();
    // Each address is seen in one half year only.
    for (n, raw) in raws.iter_mut().enumerate() {
        raw.ip = raw.ip.map(|_| (n / 540) as u8);
    }
    let (_, state) = replayed(&extractor, &raws, 2);
    let file = state.to_bytes(&extractor);
    assert_eq!(state.n_entities()[ip], 4, "{:?}", state.n_entities());
    assert_eq!(State::from_bytes(&file, &extractor).unwrap().n_entities(), state.n_entities());
}
