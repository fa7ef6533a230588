//! Whole streams with events of all kinds: replay, the live path and a naive recount agree bit for bit; threads, the order of
//! rows and cuts of the data change nothing, and nothing is seen before it is known.

mod idle;
mod naive;
mod raw;
mod recover;

use orderguard_features::canonical::repeated as repeated_rows;
use orderguard_features::event::{Event, Value};
use orderguard_features::extract::Extractor;
use orderguard_features::matrix::Matrix;
use orderguard_features::replay::{LabelEvent, LabelOf, ReplayInput, replay};
use orderguard_features::state::State;
use orderguard_features::time::UnixMillis;
use proptest::prelude::*;

use naive::Naive;
use raw::{DAY, FEATURES, HOUR, Raw, START, Step, Tables, extractor, names, raws, steps};

/// A row of cells per row of the stream; those of events that are no orders stay empty.
type Rows = Vec<Vec<u32>>;

fn bits(x: f32) -> u32 {
    // All NaNs mean the same: missing.
    if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() }
}

/// Rows by the live path. The orders of one millisecond are read before any of it is learned, as a service does that takes
/// what came at once as one batch. Every `restore_every` groups the state goes through a file.
fn live(extractor: &Extractor, raws: &[Raw], restore_every: usize) -> (Rows, State) {
    let binding = extractor.bind(&names()).unwrap();
    let steps = steps(raws, &Tables::new(raws, 1));
    let mut state = State::new(extractor);
    let mut event = Event::default();
    let mut row = vec![0.0; extractor.row_len()];
    let mut rows = vec![Vec::new(); raws.len()];
    let read = |i: usize, event: &mut Event| {
        let cells = raws[i].cells();
        let given: Vec<Value> = cells.iter().map(|cell| Value::Text(cell)).collect();
        extractor.read_event(&binding, &given, UnixMillis(raws[i].known_at()), event).unwrap();
    };
    for (n, group) in steps.chunk_by(|a, b| a.0 == b.0).enumerate() {
        if restore_every > 0 && n % restore_every == restore_every - 1 {
            let bytes = state.to_bytes(extractor);
            state = State::from_bytes(&bytes, extractor).unwrap();
            assert_eq!(state.to_bytes(extractor), bytes, "a state file reads back as it was written");
        }
        for &(_, step) in group {
            if let Step::Event(i) = step
                && raws[i].is_order()
            {
                read(i, &mut event);
                extractor.extract(&state, &event, &mut row);
                rows[i] = row[..extractor.n_features()].iter().map(|&x| bits(x)).collect();
            }
        }
        for &(_, step) in group {
            match step {
                Step::Event(i) => {
                    read(i, &mut event);
                    state.learn(extractor, &event);
                }
                Step::Label { of, time, fraud } => learn_label(extractor, raws, of, time, fraud, &mut state),
            }
        }
    }
    (rows, state)
}

/// A label of an order counts for the row that was taken: those of repeated rows are left out, as in replay.
fn learn_label(extractor: &Extractor, raws: &[Raw], of: usize, time: i64, fraud: bool, state: &mut State) {
    if !repeated(raws)[of] {
        let id = extractor.key().order_id(&raws[of].cells()[0]);
        let order = (id, UnixMillis(raws[of].known_at()));
        state.learn_label_of(extractor, order, UnixMillis(time), fraud);
    }
}

/// Which orders are repeated, by their own or their event's id.
fn repeated(raws: &[Raw]) -> Vec<bool> {
    let [mut orders, mut events] = [Vec::<(u32, i64)>::new(), Vec::new()];
    // After 120 days an id is free again.
    let take = |taken: &mut Vec<(u32, i64)>, id: Option<u32>, now: i64| {
        let is_known = taken.iter().any(|&(other, at)| Some(other) == id && now - at <= 120 * DAY);
        taken.extend(id.filter(|_| !is_known).map(|id| (id, now)));
        !is_known
    };
    let mut repeated = vec![false; raws.len()];
    for (now, step) in steps(raws, &Tables::new(raws, 1)) {
        let Step::Event(i) = step else { continue };
        let is_new =
            take(&mut events, raws[i].event, now) && (!raws[i].is_order() || take(&mut orders, raws[i].order, now));
        repeated[i] = !is_new;
    }
    repeated
}

/// Rows by replay of one table.
fn replay_onto(extractor: &Extractor, raws: &[Raw], late: &[LabelEvent], n_threads: usize, state: &mut State) -> Rows {
    let tables = Tables::new(raws, n_threads);
    let mut labels = late.to_vec();
    for (order, &i) in tables.order_at.iter().enumerate() {
        labels.extend(raws[i].labels.iter().map(|&(delay, fraud)| LabelEvent {
            order: LabelOf::Row(order as u32),
            time: UnixMillis(raws[i].time + delay),
            fraud,
        }));
    }
    let input = ReplayInput {
        orders: &tables.orders,
        rows: &tables.rows,
        events: Some((&tables.events, &tables.event_rows)),
        labels: &labels,
    };
    let is_first = state.position().known_at.is_none();
    let replayed = replay(extractor, &input, state, n_threads, &|_, _| {}).unwrap();
    if is_first {
        let (orders, _) = repeated_rows(&tables.rows, Some(&tables.event_rows), extractor.schema().label_delay);
        assert_eq!(replayed.repeated, orders, "ids of orders and of other events live in one space");
    }
    let mut rows = vec![Vec::new(); raws.len()];
    for (order, &i) in tables.order_at.iter().enumerate() {
        rows[i] = row_bits(&replayed.matrix, order);
    }
    rows
}

fn row_bits(matrix: &Matrix, row: usize) -> Vec<u32> {
    (0..matrix.n_features()).map(|feature| bits(matrix.column(feature)[row])).collect()
}

fn replayed(extractor: &Extractor, raws: &[Raw], n_threads: usize) -> (Rows, State) {
    let mut state = State::new(extractor);
    let rows = replay_onto(extractor, raws, &[], n_threads, &mut state);
    (rows, state)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn replay_live_and_recount_agree(raws in raws(80), restore_every in 0_usize..9) {
        let extractor = extractor(4_096);
        let (by_replay, state) = replayed(&extractor, &raws, 1);
        let (by_live, live_state) = live(&extractor, &raws, restore_every);
        let recount = Naive::new(&raws, &steps(&raws, &Tables::new(&raws, 1)));
        for (i, raw) in raws.iter().enumerate().filter(|(_, raw)| raw.is_order()) {
            for (feature, name) in FEATURES.iter().enumerate() {
                prop_assert_eq!(by_replay[i][feature], by_live[i][feature], "row {}, {}: {:?}", i, name, raw);
            }
            for (name, value) in recount.features(raw) {
                let feature = FEATURES.iter().position(|known| *known == name).unwrap();
                let found = f32::from_bits(by_live[i][feature]);
                prop_assert_eq!(bits(found), bits(value), "row {}, {}: {} of {}: {:?}", i, name, found, value, raw);
            }
        }
        prop_assert_eq!(state.position(), live_state.position());
        prop_assert!(state.to_bytes(&extractor) == live_state.to_bytes(&extractor), "states differ");
    }

    #[test]
    fn busy_entities_are_bounded_alike(raws in raws(150), restore_every in 0_usize..30) {
        // One customer, so that nearly all events lie beyond the exact ones.
        let mut raws = raws;
        for raw in &mut raws {
            raw.customer = Some(1);
        }
        let extractor = extractor(16);
        let (by_replay, state) = replayed(&extractor, &raws, 2);
        let (by_live, live_state) = live(&extractor, &raws, restore_every);
        prop_assert_eq!(by_replay, by_live);
        prop_assert!(state.to_bytes(&extractor) == live_state.to_bytes(&extractor), "states differ");
    }

    #[test]
    fn threads_and_row_order_change_nothing(raws in raws(80), seed in any::<u64>()) {
        let extractor = extractor(4_096);
        let (one, state) = replayed(&extractor, &raws, 1);
        let mut shuffled: Vec<usize> = (0..raws.len()).collect();
        shuffled.sort_by_key(|&i| (i as u64 + 1).wrapping_mul(seed | 1).rotate_left(17));
        let moved: Vec<Raw> = shuffled.iter().map(|&i| raws[i].clone()).collect();
        let (other, other_state) = replayed(&extractor, &moved, 4);
        for (to, &from) in shuffled.iter().enumerate() {
            prop_assert_eq!(&one[from], &other[to]);
        }
        prop_assert!(state.to_bytes(&extractor) == other_state.to_bytes(&extractor), "states differ");
    }

    #[test]
    fn one_replay_equals_that_of_its_parts(raws in raws(80), cut in 0_i64..60) {
        let extractor = extractor(4_096);
        // So long that ids of orders are used again, and labels come when their order is forgotten.
        let mut raws = raws;
        for raw in &mut raws {
            raw.time = START + (raw.time - START) * 5;
            raw.labels.iter_mut().for_each(|label| label.0 *= 8);
        }
        let is_repeated = repeated(&raws);
        let (whole, whole_state) = replayed(&extractor, &raws, 1);
        let cut = START + cut * 5 * DAY;
        let mut first: Vec<Raw> = raws.iter().filter(|raw| raw.known_at() < cut).cloned().collect();
        let second: Vec<Raw> = raws.iter().filter(|raw| raw.known_at() >= cut).cloned().collect();
        let mut late = Vec::new();
        let of_first = is_repeated.into_iter().zip(&raws).filter(|(_, raw)| raw.known_at() < cut).map(|(is, _)| is);
        for (raw, is_repeated) in first.iter_mut().zip(of_first) {
            let (time, known_at) = (raw.time, raw.known_at());
            let when = |delay: i64| (time + delay).max(known_at);
            let id = extractor.key().order_id(&raw.cells()[0]);
            let is_late = |label: &&(i64, bool)| !is_repeated && when(label.0) >= cut;
            late.extend(raw.labels.iter().filter(is_late).map(|&(delay, fraud)| LabelEvent {
                order: LabelOf::Known(id, UnixMillis(known_at)),
                time: UnixMillis(time + delay),
                fraud,
            }));
            raw.labels.retain(|label| when(label.0) < cut);
        }
        let mut state = State::new(&extractor);
        let mut parts = replay_onto(&extractor, &first, &[], 2, &mut state).into_iter();
        let mut later = replay_onto(&extractor, &second, &late, 2, &mut state).into_iter();
        for (raw, row) in raws.iter().zip(&whole) {
            let part = if raw.known_at() < cut { parts.next() } else { later.next() };
            prop_assert_eq!(row, &part.unwrap());
        }
        prop_assert!(whole_state.to_bytes(&extractor) == state.to_bytes(&extractor), "states differ");
    }

    #[test]
    fn nothing_known_later_changes_a_row(raws in raws(80), me in any::<prop::sample::Index>(), other in raws(20), change in 0_u8..3) {
        let orders: Vec<usize> = (0..raws.len()).filter(|&i| raws[i].is_order()).collect();
        prop_assume!(!orders.is_empty());
        let me = orders[me.index(orders.len())];
        let mut raws = raws;
        // Which of two rows with one id counts depends on both, so that they are told apart here.
        for (i, raw) in raws.iter_mut().enumerate() {
            raw.event = None;
            if raw.is_order() {
                raw.order = Some(i as u32);
            }
        }
        let t = raws[me].time;
        let mut changed = Vec::new();
        let mut place = 0;
        for (i, raw) in raws.iter().enumerate() {
            let mut raw = raw.clone();
            if i == me {
                place = changed.len();
            } else {
                let known_at = raw.known_at();
                raw.labels.retain(|&(delay, _)| (raw.time + delay).max(known_at) < t);
                if known_at >= t {
                    match change {
                        0 => continue,
                        1 => (raw.amount, raw.reason) = (Some(777), Some(0)),
                        _ => (raw.customer, raw.device) = (raws[me].customer, raws[me].device),
                    }
                }
            }
            changed.push(raw);
        }
        changed.extend(other.into_iter().filter(|raw| raw.known_at() >= t).enumerate().map(|(i, mut raw)| {
            raw.event = None;
            if raw.is_order() {
                raw.order = Some(10_000 + i as u32);
            }
            raw
        }));
        let extractor = extractor(4_096);
        let (before, _) = replayed(&extractor, &raws, 1);
        let (after, _) = replayed(&extractor, &changed, 1);
        prop_assert_eq!(&before[me], &after[place]);
    }
}

fn order(id: u32, time: i64, customer: Option<u8>) -> Raw {
    Raw {
        kind: orderguard_features::kind::EventKind::Order,
        order: Some(id),
        event: None,
        time,
        late: 0,
        customer,
        device: None,
        ip: None,
        amount: Some(1_000),
        currency: None,
        reason: None,
        says: None,
        labels: Vec::new(),
    }
}

#[test]
fn missing_first_seen_and_zero_stay_apart() {
    let raws = [order(1, START, Some(1)), order(2, START + 40 * DAY, Some(1)), order(3, START + 40 * DAY, None)];
    let extractor = extractor(4_096);
    let (rows, _) = replayed(&extractor, &raws, 1);
    let cell =
        |row: usize, name: &str| f32::from_bits(rows[row][FEATURES.iter().position(|known| *known == name).unwrap()]);
    let count = "count(order) by customer over 1d";
    assert_eq!((cell(0, count), cell(1, count)), (-1.0, 0.0));
    assert!(cell(2, count).is_nan());
    let zscore = "zscore(amount) by customer over 30d";
    assert_eq!((cell(0, zscore), cell(1, zscore)), (-1_000.0, 0.0));
    assert!(cell(2, "rate(return per order) by customer over 30d shrink 5").is_nan());
    assert_eq!(cell(0, "rate(return per order) by customer over 30d shrink 5"), -1.0);
}

/// The share of known frauds among the settled orders of customer 1, by replay and live.
fn fraud_rates(raws: &[Raw], row: usize) -> [f32; 2] {
    let extractor = extractor(4_096);
    let (replayed, state) = replayed(&extractor, raws, 2);
    let (live, live_state) = live(&extractor, raws, 1);
    assert_eq!(state.position(), live_state.position());
    assert!(state.to_bytes(&extractor) == live_state.to_bytes(&extractor), "states differ");
    let fraud = FEATURES.iter().position(|name| *name == "fraud_rate by customer over 30d shrink 10").unwrap();
    [replayed, live].map(|rows| f32::from_bits(rows[row][fraud]))
}

#[test]
fn a_label_from_before_its_order_counts_from_the_order_on() {
    use orderguard_features::kind::EventKind;
    let chargeback = |time, says| Raw { kind: EventKind::Chargeback, says: Some(says), ..order(1, time, None) };
    let with = |early: &[Raw]| {
        let mut raws = vec![order(1, START, Some(1)), order(2, START + DAY, Some(1))];
        raws.extend(early.iter().cloned());
        fraud_rates(&raws, 1)
    };
    assert_eq!(with(&[]), [0.0; 2], "not settled yet");
    assert_eq!(with(&[chargeback(START - HOUR, true)]), [1.0; 2]);
    assert_eq!(with(&[chargeback(START - DAY, true)]), [1.0; 2]);
    assert_eq!(with(&[chargeback(START - DAY - 1, true)]), [0.0; 2], "it is about no order");
    // The later word of two holds; in one millisecond the fraud.
    assert_eq!(with(&[chargeback(START - HOUR, true), chargeback(START - HOUR + 1, false)]), [0.0; 2]);
    assert_eq!(with(&[chargeback(START - HOUR, false), chargeback(START - HOUR + 1, true)]), [1.0; 2]);
    assert_eq!(with(&[chargeback(START - HOUR, false), chargeback(START - HOUR, true)]), [1.0; 2]);
}

#[test]
fn of_labels_that_contradict_each_other_at_one_time_the_fraud_holds() {
    use orderguard_features::kind::EventKind;
    for device in 0..8 {
        // Which of the two comes first depends on a hash of what they hold.
        let chargeback = |says| Raw {
            kind: EventKind::Chargeback,
            says: Some(says),
            device: Some(device),
            ..order(1, START + HOUR, None)
        };
        let raws = [order(1, START, Some(1)), order(2, START + DAY, Some(1)), chargeback(false), chargeback(true)];
        assert_eq!(fraud_rates(&raws, 1), [1.0; 2]);
    }
}

#[test]
fn a_label_is_of_its_own_order_where_an_id_is_used_again() {
    let again = START + 121 * DAY;
    let labelled = Raw { labels: vec![(130 * DAY, true)], ..order(1, START, Some(1)) };
    // The first order is forgotten when its label comes, and the second is not the one that it is of.
    let raws = [labelled, order(1, again, Some(1)), order(2, again + 20 * DAY, Some(1))];
    assert_eq!(fraud_rates(&raws, 2), [0.0; 2]);
    let raws =
        [order(1, START, Some(1)), Raw { labels: vec![(DAY, true)], ..order(1, again, Some(1)) }, raws[2].clone()];
    assert_eq!(fraud_rates(&raws, 2), [1.0; 2]);
}

#[test]
fn a_late_chargeback_that_is_also_a_label_is_counted_once() {
    use orderguard_features::kind::EventKind;
    let chargeback = Raw { kind: EventKind::Chargeback, ..order(1, START + 130 * DAY, None) };
    let of = |delay: i64| [Raw { labels: vec![(delay, true)], ..order(1, START, Some(1)) }, chargeback.clone()];
    let extractor = extractor(4_096);
    for (raws, n) in [(of(130 * DAY), 1), (of(131 * DAY), 2), (of(20 * DAY), 1)] {
        let positions = [replayed(&extractor, &raws, 1).1.position(), live(&extractor, &raws, 1).1.position()];
        assert_eq!(positions.map(|position| position.n_labels_ignored), [n; 2]);
    }
}

#[test]
fn events_without_a_currency_are_in_that_of_their_order() {
    use orderguard_features::kind::EventKind;
    let refund = |order_id, time, currency| Raw { kind: EventKind::Refund, currency, ..order(order_id, time, None) };
    let raws = [
        Raw { currency: Some(1), ..order(1, START, Some(1)) },
        refund(1, START + DAY, None),
        refund(1, START + DAY, Some(0)),
        // About nothing that is known: in no currency that an order has.
        Raw { customer: Some(1), ..refund(9, START + DAY, None) },
        Raw { currency: Some(1), ..order(2, START + 2 * DAY, Some(1)) },
        Raw { currency: Some(0), ..order(3, START + 2 * DAY, Some(1)) },
        Raw { currency: None, ..order(4, START + 2 * DAY, Some(1)) },
    ];
    let extractor = extractor(4_096);
    let refunded = FEATURES.iter().position(|name| *name == "sum(amount of refund) by customer over 30d").unwrap();
    for rows in [replayed(&extractor, &raws, 1).0, live(&extractor, &raws, 1).0] {
        let sums: Vec<f32> = [4, 5, 6].map(|row: usize| f32::from_bits(rows[row][refunded])).into();
        assert_eq!(sums, [10.0, 10.0, 10.0]);
    }
}

#[test]
fn events_take_the_keys_of_their_order_and_labels_its_fraud() {
    use orderguard_features::kind::EventKind;
    let bare = |kind, order_id, time| Raw { kind, ..order(order_id, time, None) };
    let raws = [
        order(1, START, Some(1)),
        bare(EventKind::Return, 1, START + DAY),
        bare(EventKind::Chargeback, 1, START + 2 * DAY),
        order(2, START + 3 * DAY, Some(1)),
        Raw { says: Some(false), ..bare(EventKind::Chargeback, 1, START + 3 * DAY + HOUR) },
        order(3, START + 4 * DAY, Some(1)),
    ];
    let extractor = extractor(4_096);
    let (rows, state) = replayed(&extractor, &raws, 2);
    let cell =
        |row: usize, name: &str| f32::from_bits(rows[row][FEATURES.iter().position(|known| *known == name).unwrap()]);
    let age = "mean(age of return) by customer over 30d";
    assert_eq!((cell(0, age), cell(3, age)), (-1.0, 86_400.0));
    // One order resolved, as fraud, in a shop with the same rate; then reversed.
    let fraud = "fraud_rate by customer over 30d shrink 10";
    assert_eq!((cell(3, fraud), cell(5, fraud)), (1.0, 0.0));
    assert_eq!((state.position().n_orders, state.position().n_events, state.position().n_labels), (3, 3, 2));
}
