//! Replay, live path and a naive recount agree bit for bit, on random streams with ties, late events, repeated ids, missing
//! values, several currencies, reversed labels, and snapshots taken in the middle.

use orderguard_features::canonical::canonical_rows;
use orderguard_features::container::{Container, ContainerWriter, KIND_STATE};
use orderguard_features::event::{Event, Value};
use orderguard_features::extract::Extractor;
use orderguard_features::identity::IdentityKey;
use orderguard_features::language::feature::{FIRST_SEEN, Feature};
use orderguard_features::language::spec::{FeatureSpec, Vocabulary};
use orderguard_features::matrix::Matrix;
use orderguard_features::parse::{self, TimeParser};
use orderguard_features::replay::{LabelEvent, LabelOf, ReplayInput, replay};
use orderguard_features::schema::{Available, Column, Role, Schema, TimeFormat};
use orderguard_features::state::State;
use orderguard_features::table::{ColumnData, Levels, MISSING_CODE, MISSING_I64, OrderTable, TextColumn};
use orderguard_features::time::{Span, UnixMillis};
use proptest::prelude::*;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
const START: i64 = 1_522_540_800_000;
const NAMES: [&str; 8] = ["id", "time", "customer", "ip", "amount", "currency", "kind", "signup"];

/// One order as a shop would write it, and what happens to its label.
#[derive(Clone, Debug)]
struct Raw {
    id: u32,
    time: i64,
    customer: Option<u8>,
    ip: Option<u8>,
    amount: Option<i64>,
    currency: u8,
    kind: Option<u8>,
    signup: Option<i64>,
    /// (delay after the order, fraud) in rising order of delay.
    labels: Vec<(i64, bool)>,
    /// How long after the order the shop learns of it; only the live path can be late.
    late: i64,
}

impl Raw {
    fn cells(&self) -> [String; 8] {
        let text = |value: Option<String>| value.unwrap_or_default();
        [
            format!("o{}", self.id),
            self.time.to_string(),
            text(self.customer.map(|c| format!("c{c}"))),
            text(self.ip.map(|c| format!("10.0.0.{c}"))),
            text(
                self.amount.map(|a| format!("{}{}.{:02}", if a < 0 { "-" } else { "" }, a.abs() / 100, a.abs() % 100)),
            ),
            ["EUR", "PLN"][usize::from(self.currency)].to_string(),
            text(self.kind.map(|k| format!("k{k}"))),
            text(self.signup.map(|s| s.to_string())),
        ]
    }
}

fn schema() -> Schema {
    let roles =
        [Role::Id, Role::Time, Role::Customer, Role::Ip, Role::Amount, Role::Currency, Role::Category, Role::Timestamp];
    let columns = NAMES.iter().zip(roles).map(|(name, role)| Column {
        name: (*name).into(),
        role,
        available: Available::Order,
        format: matches!(role, Role::Time | Role::Timestamp).then_some(TimeFormat::EpochMillis),
    });
    Schema {
        timezone: "Europe/Warsaw".into(),
        label_delay: Span::days(7),
        amount_decimals: 2,
        columns: columns.collect(),
    }
}

fn spec() -> FeatureSpec {
    let mut features: Vec<Feature> =
        ["amount", "hour", "weekday", "night", "weekend", "category(kind)", "since(signup)"]
            .iter()
            .map(|text| Feature::parse(text).unwrap())
            .collect();
    for entity in ["customer", "ip"] {
        for text in ["count(order) by E", "since_last(order) by E"] {
            features.push(Feature::parse(&text.replace('E', entity)).unwrap());
        }
        for window in ["1h", "1d", "30d"] {
            for text in
                ["count(order) by E", "sum(amount) by E", "ratio(amount) by E", "fraud_count by E", "fraud_rate by E"]
            {
                features.push(Feature::parse(&format!("{} over {window}", text.replace('E', entity))).unwrap());
            }
        }
    }
    let vocabularies = vec![Vocabulary { place: "kind".into(), levels: vec!["k0".into(), "k1".into()] }];
    FeatureSpec { features, vocabularies, ..FeatureSpec::default() }
}

fn extractor() -> Extractor {
    Extractor::new(&schema(), &spec(), IdentityKey::new(b"test")).unwrap()
}

fn intern(cells: impl Iterator<Item = String>) -> ColumnData {
    let mut column = TextColumn { codes: Vec::new(), levels: Levels::default() };
    for cell in cells {
        let known = column.levels.iter().position(|level| level == cell);
        let code = match known {
            _ if cell.is_empty() => MISSING_CODE,
            Some(code) => code as u32,
            None => column.levels.push(&cell),
        };
        column.codes.push(code);
    }
    ColumnData::Text(column)
}

fn table(raws: &[Raw]) -> OrderTable {
    let cell = |column: usize| raws.iter().map(move |raw| raw.cells()[column].clone());
    let times = TimeParser::new(TimeFormat::EpochMillis, "UTC").unwrap();
    let time = |column: usize| ColumnData::Time(cell(column).map(|c| times.parse(&c).unwrap()).collect());
    OrderTable {
        n_rows: raws.len(),
        columns: vec![
            intern(cell(0)),
            time(1),
            intern(cell(2)),
            intern(cell(3)),
            ColumnData::Amount(cell(4).map(|c| parse::amount(&c, 2).unwrap()).collect()),
            intern(cell(5)),
            intern(cell(6)),
            time(7),
        ],
        source: vec![0; raws.len()],
        line: (2..).take(raws.len()).collect(),
    }
}

/// Rows by replay, in the order of `raws`.
fn replayed(raws: &[Raw], n_threads: usize) -> (Matrix, State) {
    let extractor = extractor();
    let table = table(raws);
    let rows = canonical_rows(extractor.schema(), &table, extractor.key(), n_threads);
    let mut labels = Vec::new();
    for (order, &row) in rows.row.iter().enumerate() {
        let raw = &raws[row as usize];
        labels.extend(raw.labels.iter().map(|&(delay, fraud)| LabelEvent {
            order: LabelOf::Row(order as u32),
            time: UnixMillis(raw.time + delay),
            fraud,
        }));
    }
    let mut state = State::new(&extractor);
    let result = replay(
        &extractor,
        &ReplayInput { orders: &table, rows: &rows, events: None, labels: &labels },
        &mut state,
        n_threads,
        &|_, _| {},
    )
    .unwrap();
    let mut in_file_order = vec![0; raws.len()];
    for (order, &row) in rows.row.iter().enumerate() {
        in_file_order[row as usize] = order as u32;
    }
    (result.matrix.select_rows(&in_file_order), state)
}

enum Step {
    Order(usize),
    Label(usize, i64, bool),
}

/// Rows by the live path, event by event in order of `known_at`; every `restore_every` events the state goes through a file.
fn live(raws: &[Raw], restore_every: usize) -> (Matrix, State) {
    let extractor = extractor();
    let binding = extractor.bind(&NAMES).unwrap();
    // A repeated id is ignored with its labels, as in the replay: the first in canonical order counts.
    let mut steps: Vec<(i64, u8, Step)> = Vec::new();
    let mut by_time: Vec<usize> = (0..raws.len()).collect();
    let hashes = canonical_rows(extractor.schema(), &table(raws), extractor.key(), 1);
    let rank: Vec<usize> = {
        let mut rank = vec![0; raws.len()];
        hashes.row.iter().enumerate().for_each(|(order, &row)| rank[row as usize] = order);
        rank
    };
    by_time.sort_by_key(|&i| (raws[i].time + raws[i].late, rank[i]));
    let mut seen = std::collections::BTreeSet::new();
    for &i in &by_time {
        let raw = &raws[i];
        steps.push((raw.time + raw.late, 0, Step::Order(i)));
        if seen.insert(raw.id) {
            for &(delay, fraud) in &raw.labels {
                let time = (raw.time + delay).max(raw.time + raw.late);
                steps.push((time, 1, Step::Label(i, time, fraud)));
            }
        }
    }
    steps.sort_by_key(|(time, kind, step)| {
        let order = match step {
            Step::Order(i) | Step::Label(i, ..) => rank[*i],
        };
        let fraud = matches!(step, Step::Label(_, _, true));
        (*time, *kind, order, fraud)
    });
    let mut state = State::new(&extractor);
    let mut event = Event::default();
    let mut row = vec![0.0; extractor.row_len()];
    let mut values = vec![f32::NAN; raws.len() * extractor.n_features()];
    for (n, (arrival, _, step)) in steps.iter().enumerate() {
        if restore_every > 0 && n % restore_every == restore_every - 1 {
            let bytes = state.to_bytes(&extractor);
            state = State::from_bytes(&bytes, &extractor).unwrap();
            assert_eq!(state.to_bytes(&extractor), bytes, "a state file reads back as it was written");
        }
        match step {
            Step::Order(i) => {
                let cells = raws[*i].cells();
                let given: Vec<Value> = cells.iter().map(|cell| Value::Text(cell)).collect();
                extractor.read_order(&binding, &given, UnixMillis(*arrival), &mut event).unwrap();
                extractor.extract(&state, &event, &mut row);
                for (feature, value) in row.iter().enumerate() {
                    values[feature * raws.len() + i] = *value;
                }
                state.learn(&extractor, &event);
            }
            Step::Label(i, time, fraud) => {
                let id = extractor.key().order_id(&raws[*i].cells()[0]);
                state.learn_label(&extractor, id, UnixMillis(*time), *fraud);
            }
        }
    }
    (Matrix::from_columns(raws.len(), extractor.n_features(), values), state)
}

/// Counts everything anew for one order by the definitions of the design, with no shared code.
fn naive(raws: &[Raw], order: usize) -> Vec<f32> {
    let me = &raws[order];
    let t = me.time;
    let mut kept: Vec<&Raw> = Vec::new();
    let mut by_known: Vec<&Raw> = raws.iter().collect();
    by_known.sort_by_key(|r| r.time + r.late);
    for raw in by_known {
        if !kept.iter().any(|k| k.id == raw.id) {
            kept.push(raw);
        }
    }
    let mut row = Vec::new();
    for entity in 0..2 {
        let of = |r: &Raw| if entity == 0 { r.customer } else { r.ip };
        let windows = [HOUR, DAY, 30 * DAY];
        let Some(mine) = of(me) else {
            row.extend(std::iter::repeat_n(f32::NAN, 2 + 5 * windows.len()));
            continue;
        };
        let past: Vec<&&Raw> =
            kept.iter().filter(|r| of(r) == Some(mine) && r.time < t && r.time + r.late < t).collect();
        if past.is_empty() {
            row.extend(std::iter::repeat_n(FIRST_SEEN, 2 + 5 * windows.len()));
            continue;
        }
        let last = past.iter().map(|r| r.time).max().unwrap();
        row.push(past.len() as f32);
        row.push(((t - last) as f64 / 1000.0) as f32);
        for w in windows {
            let inside: Vec<_> = past.iter().filter(|r| r.time >= t - w).collect();
            let amounts: Vec<i64> =
                inside.iter().filter(|r| r.currency == me.currency).filter_map(|r| r.amount).collect();
            let sum: i64 = amounts.iter().sum();
            let (mut resolved, mut frauds) = (0, 0);
            for r in &past {
                let known = |delay: i64| (r.time + delay).max(r.time + r.late);
                let first = r.labels.first().map_or(i64::MAX, |&(delay, _)| known(delay));
                let at = first.min(r.time + 7 * DAY);
                if at >= t - w && at < t {
                    resolved += 1;
                    let latest = r.labels.iter().rfind(|&&(delay, _)| known(delay) < t);
                    frauds += u32::from(latest.is_some_and(|&(_, fraud)| fraud));
                }
            }
            row.push(inside.len() as f32);
            row.push((sum as f64 / 100.0) as f32);
            row.push(match me.amount {
                None => f32::NAN,
                Some(_) if amounts.is_empty() || sum <= 0 => 0.0,
                Some(a) => (a as f64 * amounts.len() as f64 / sum as f64) as f32,
            });
            row.push(frauds as f32);
            row.push(if resolved == 0 { 0.0 } else { (f64::from(frauds) / f64::from(resolved)) as f32 });
        }
    }
    row
}

fn bits(matrix: &Matrix, row: usize) -> Vec<u32> {
    // All NaNs mean the same: missing.
    let canonical = |x: f32| if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() };
    (0..matrix.n_features()).map(|f| canonical(matrix.column(f)[row])).collect()
}

fn raws(late: bool) -> impl Strategy<Value = Vec<Raw>> {
    // A coarse grid of times, so that ties and events exactly on window edges are common.
    let time = prop_oneof![
        (0_i64..80).prop_map(|h| START + h * HOUR),
        (0_i64..60).prop_map(|d| START + d * DAY),
        (0_i64..5_000).prop_map(|m| START + m * 60_000)
    ];
    let labels = proptest::collection::vec((0_i64..20, any::<bool>()), 0..4).prop_map(|mut labels| {
        labels.sort_by_key(|l| l.0);
        labels.dedup_by_key(|l| l.0);
        labels.into_iter().map(|(days, fraud)| (days * DAY, fraud)).collect::<Vec<_>>()
    });
    let late = if late { (0_i64..24).prop_map(|h| h * HOUR).boxed() } else { Just(0_i64).boxed() };
    let raw = (
        (0_u32..200, time, proptest::option::weighted(0.9, 0_u8..4), proptest::option::weighted(0.9, 0_u8..3)),
        (proptest::option::weighted(0.9, -500_i64..50_000), 0_u8..2, proptest::option::of(0_u8..4), labels, late),
    )
        .prop_map(|((id, time, customer, ip), (amount, currency, kind, labels, late))| Raw {
            id,
            time,
            customer,
            ip,
            amount,
            currency,
            kind,
            signup: amount.map(|a| time - a * 1_000),
            labels,
            late,
        });
    // Of two orders with one id in one millisecond the content decides which counts; the recount does not model that.
    proptest::collection::vec(raw, 1..60).prop_map(|mut raws| {
        for i in 0..raws.len() {
            if raws[..i].iter().any(|r| (r.id, r.time) == (raws[i].id, raws[i].time)) {
                raws[i].id = 1_000 + i as u32;
            }
        }
        raws
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn replay_equals_live_and_recount(raws in raws(false), restore_every in 0_usize..9) {
        let (by_replay, state) = replayed(&raws, 1);
        let (by_live, live_state) = live(&raws, restore_every);
        let first_history = spec().features.iter().position(|f| matches!(f, Feature::History(_))).unwrap();
        for i in 0..raws.len() {
            prop_assert_eq!(bits(&by_replay, i), bits(&by_live, i), "order {}: {:?}", i, raws[i]);
            let recount = naive(&raws, i);
            let recount = Matrix::from_columns(1, recount.len(), recount);
            prop_assert_eq!(&bits(&by_replay, i)[first_history..], &bits(&recount, 0)[..], "order {}: {:?}", i, raws[i]);
        }
        let extractor = extractor();
        prop_assert_eq!(state.to_bytes(&extractor), live_state.to_bytes(&extractor));
    }

    #[test]
    fn late_orders_are_seen_from_when_they_are_known(raws in raws(true), restore_every in 0_usize..9) {
        // Ids of late orders are unique here: which of two repeats counts is not what this test is about.
        let mut raws = raws;
        for (i, raw) in raws.iter_mut().enumerate() {
            raw.id = i as u32;
        }
        let (by_live, _) = live(&raws, restore_every);
        let first_history = spec().features.iter().position(|f| matches!(f, Feature::History(_))).unwrap();
        for i in 0..raws.len() {
            let recount = naive(&raws, i);
            let recount = Matrix::from_columns(1, recount.len(), recount);
            prop_assert_eq!(&bits(&by_live, i)[first_history..], &bits(&recount, 0)[..], "order {}: {:?}", i, raws[i]);
        }
    }

    #[test]
    fn threads_and_row_order_change_nothing(raws in raws(false), seed in any::<u64>()) {
        let (one, state) = replayed(&raws, 1);
        let mut shuffled: Vec<usize> = (0..raws.len()).collect();
        shuffled.sort_by_key(|&i| (i as u64 + 1).wrapping_mul(seed | 1).rotate_left(17));
        let moved: Vec<Raw> = shuffled.iter().map(|&i| raws[i].clone()).collect();
        let (other, other_state) = replayed(&moved, 4);
        for (to, &from) in shuffled.iter().enumerate() {
            // Two rows equal in all values may swap places, so they are compared by value.
            prop_assert_eq!(bits(&one, from), bits(&other, to));
        }
        let extractor = extractor();
        prop_assert_eq!(state.to_bytes(&extractor), other_state.to_bytes(&extractor));
    }

    #[test]
    fn orders_late_by_weeks_never_count_what_they_could_not_know(raws in raws(true), scale in 1_i64..60) {
        let mut raws = raws;
        for (i, raw) in raws.iter_mut().enumerate() {
            raw.id = i as u32;
            raw.late *= scale;
            // Two labels before the order is known would come at one instant, and contradict each other.
            raw.labels.truncate(1);
        }
        let (by_live, _) = live(&raws, 0);
        let names = spec().names();
        let first_history = spec().features.iter().position(|f| matches!(f, Feature::History(_))).unwrap();
        for i in 0..raws.len() {
            for (value, name) in naive(&raws, i).into_iter().zip(&names[first_history..]) {
                let found = by_live.column(names.iter().position(|n| n == name).unwrap())[i];
                if name.starts_with("count") || name.starts_with("fraud_count") {
                    // Entries may have been forgotten by then, but none is seen that was not known.
                    prop_assert!(value.is_nan() || found <= value, "{}: {} of at most {}", name, found, value);
                } else if name.starts_with("since_last") {
                    prop_assert!(value.is_nan() || found == FIRST_SEEN || found >= value, "{}: {} of {}", name, found, value);
                }
            }
        }
    }

    #[test]
    fn nothing_known_later_changes_a_row(raws in raws(true), at in 0_usize..60, change in 0_u8..3) {
        let mut raws = raws;
        for (i, raw) in raws.iter_mut().enumerate() {
            raw.id = i as u32;
        }
        let me = at % raws.len();
        let t = raws[me].time;
        let (mut changed, mut place) = (Vec::new(), me);
        for (i, raw) in raws.iter().enumerate() {
            let mut raw = raw.clone();
            if i != me {
                // Labels learned from t on are gone; orders known from t on are gone or different.
                raw.labels.retain(|&(delay, _)| (raw.time + delay).max(raw.time + raw.late) < t);
                if raw.time + raw.late >= t {
                    match change {
                        0 => {
                            place -= usize::from(i < me);
                            continue;
                        }
                        1 => raw.amount = Some(77_777),
                        _ => raw.customer = raws[me].customer,
                    }
                }
            }
            changed.push(raw);
        }
        let (before, _) = live(&raws, 0);
        let (after, _) = live(&changed, 0);
        prop_assert_eq!(bits(&before, me), bits(&after, place));
    }
}

#[test]
fn missing_first_seen_and_zero_stay_apart() {
    let order = |id, time, customer| Raw {
        id,
        time,
        customer,
        ip: None,
        amount: Some(100),
        currency: 0,
        kind: None,
        signup: None,
        labels: Vec::new(),
        late: 0,
    };
    let raws = [order(1, START, Some(1)), order(2, START + 40 * DAY, Some(1)), order(3, START + 40 * DAY, None)];
    let (matrix, _) = replayed(&raws, 1);
    let count = spec().names().iter().position(|n| n == "count(order) by customer over 1h").unwrap();
    let cells = matrix.column(count);
    assert_eq!(cells[0], FIRST_SEEN);
    assert_eq!(cells[1], 0.0);
    assert!(cells[2].is_nan());
}

#[test]
fn an_entity_idle_for_400_days_is_first_seen_again() {
    let order = |id, time| Raw {
        id,
        time,
        customer: Some(1),
        ip: None,
        amount: None,
        currency: 0,
        kind: None,
        signup: None,
        labels: Vec::new(),
        late: 0,
    };
    let raws = [order(1, START), order(2, START + 400 * DAY), order(3, START + 801 * DAY), order(4, START + 802 * DAY)];
    let (matrix, _) = replayed(&raws, 1);
    let (by_live, _) = live(&raws, 2);
    let count = spec().names().iter().position(|n| n == "count(order) by customer").unwrap();
    assert_eq!(matrix.column(count), [FIRST_SEEN, 1.0, FIRST_SEEN, 1.0]);
    assert_eq!(by_live.column(count), matrix.column(count));
}

/// Reads the features of every order as of `time`.
fn read_all(extractor: &Extractor, state: &State, raws: &[Raw], time: i64) {
    let binding = extractor.bind(&NAMES).unwrap();
    let mut event = Event::default();
    let mut row = vec![0.0; extractor.row_len()];
    for raw in raws {
        let cells = raw.cells();
        let given: Vec<Value> = cells.iter().map(|cell| Value::Text(cell)).collect();
        extractor.read_order(&binding, &given, UnixMillis(START + DAY), &mut event).unwrap();
        event.time = UnixMillis(time);
        extractor.extract(state, &event, &mut row);
    }
}

#[test]
fn broken_state_files_are_refused() {
    let raws: Vec<Raw> = (0..4)
        .map(|i| Raw {
            id: i,
            time: START + i64::from(i) * HOUR,
            customer: Some(1),
            ip: Some(i as u8),
            amount: Some(5),
            currency: (i % 2) as u8,
            kind: None,
            signup: None,
            labels: vec![(DAY, true), (2 * DAY, false)],
            late: 0,
        })
        .collect();
    let (_, state) = replayed(&raws, 1);
    let extractor = extractor();
    let bytes = state.to_bytes(&extractor);
    assert!(State::from_bytes(&bytes, &extractor).is_ok());
    for len in 0..bytes.len() {
        assert!(State::from_bytes(&bytes[..len], &extractor).is_err(), "cut at {len}");
    }
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut broken = bytes.clone();
            broken[at] ^= 1 << bit;
            assert!(State::from_bytes(&broken, &extractor).is_err(), "byte {at}, bit {bit}");
        }
    }
    let sections = Container::parse(&bytes, KIND_STATE, 0, 1 << 20).unwrap();
    let mut refused = 0;
    for section in sections.sections() {
        for at in 0..section.bytes.len() {
            // The checksum is made right again, so that what stands inside is judged.
            let mut writer = ContainerWriter::new(KIND_STATE, 0, sections.fingerprint());
            for other in sections.sections() {
                let mut content = other.bytes.to_vec();
                if other.tag == section.tag {
                    content[at] ^= 0x80;
                }
                writer = writer.section(other.tag, other.required, content);
            }
            match State::from_bytes(&writer.finish(), &extractor) {
                Err(_) => refused += 1,
                Ok(state) => {
                    // Whatever is accepted must be readable at any time without a panic.
                    for time in [i64::MIN, START, START + DAY, i64::MAX] {
                        read_all(&extractor, &state, &raws, time);
                    }
                }
            }
        }
    }
    assert!(refused > 100, "{refused} hostile states refused");
    let other = Extractor::new(&schema(), &spec(), IdentityKey::new(b"other key")).unwrap();
    let error = State::from_bytes(&bytes, &other).unwrap_err().to_string();
    assert!(error.contains("identity key"), "{error}");
}

#[test]
fn labels_count_however_long_the_label_delay_is() {
    let mut long = schema();
    long.label_delay = Span::days(200);
    let mut spec = FeatureSpec::default();
    spec.features.push(Feature::parse("fraud_count by customer over 30d").unwrap());
    let extractor = Extractor::new(&long, &spec, IdentityKey::new(b"test")).unwrap();
    let order = |id, days: i64, labels: &[(i64, bool)]| Raw {
        id,
        time: START + days * DAY,
        customer: Some(1),
        ip: None,
        amount: None,
        currency: 0,
        kind: None,
        signup: None,
        labels: labels.to_vec(),
        late: 0,
    };
    let raws = [order(1, 0, &[(200 * DAY, true)]), order(2, 201, &[])];
    let table = table(&raws);
    let rows = canonical_rows(&long, &table, extractor.key(), 1);
    let labels = [LabelEvent { order: LabelOf::Row(0), time: UnixMillis(START + 200 * DAY), fraud: true }];
    let mut state = State::new(&extractor);
    let result = replay(
        &extractor,
        &ReplayInput { orders: &table, rows: &rows, events: None, labels: &labels },
        &mut state,
        1,
        &|_, _| {},
    )
    .unwrap();
    assert_eq!(result.matrix.column(0), [FIRST_SEEN, 1.0]);
    assert_eq!(state.position().n_labels_ignored, 0);
}

#[test]
fn missing_amounts_and_identifiers_are_marked() {
    assert_eq!(parse::amount("", 2), Ok(MISSING_I64));
    let extractor = extractor();
    let binding = extractor.bind(&NAMES).unwrap();
    let mut event = Event::default();
    let mut given = vec![Value::Missing; NAMES.len()];
    let read = |given: &[Value], event: &mut Event| extractor.read_order(&binding, given, UnixMillis(START), event);
    assert!(read(&given, &mut event).unwrap_err().to_string().contains("id"));
    given[0] = Value::Text("o1");
    assert!(read(&given, &mut event).unwrap_err().to_string().contains("time"));
    let time = (START + 2 * DAY).to_string();
    given[1] = Value::Text(&time);
    assert!(read(&given, &mut event).unwrap_err().to_string().contains("arrival"));
    let time = START.to_string();
    given[1] = Value::Text(&time);
    read(&given, &mut event).unwrap();
    assert_eq!((event.values[0], event.keys.as_slice()), (MISSING_I64, &[0, 0][..]));
    given[4] = Value::Text("twelve");
    assert!(read(&given, &mut event).unwrap_err().to_string().contains("amount"));
    assert!(read(&given[1..], &mut event).unwrap_err().to_string().contains("8 values"));
    given[4] = Value::Number(12.5);
    given[2] = Value::Number(17.0);
    read(&given, &mut event).unwrap();
    assert_eq!(event.values[0], 1_250);
    assert_eq!(Some(event.keys[0]), extractor.key().entity(Role::Customer, "17").map(|key| key.0));
    for longest in [-5e-324, f64::MIN, -2.225_073_858_507_201e-308, f64::INFINITY, f64::NAN] {
        given[2] = Value::Number(longest);
        read(&given, &mut event).unwrap();
        assert_eq!(event.keys[0] == 0, longest.is_nan());
    }
    assert!(extractor.bind(&NAMES[1..]).is_err());
    assert!(extractor.bind(&["id", "id", "time", "customer", "ip", "amount", "currency", "kind", "signup"]).is_err());
}
