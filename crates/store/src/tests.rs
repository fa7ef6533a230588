//! Saves and loads, in turn with crashes and damage.

use std::path::Path;

use orderguard_features::container::ContainerError;
use orderguard_features::event::{Event, Value};
use orderguard_features::identity::IdentityKey;
use orderguard_features::language::feature::Feature;
use orderguard_features::language::spec::FeatureSpec;
use orderguard_features::schema::{Available, Column, Role, Schema, TimeFormat};
use orderguard_features::snapshot::StateError;
use orderguard_features::time::{Span, UnixMillis};

use super::*;

const NAMES: [&str; 5] = ["id", "time", "customer", "device", "amount"];

fn extractor(features: &[&str]) -> Extractor {
    let roles = [Role::Id, Role::Time, Role::Customer, Role::Device, Role::Amount];
    let columns = NAMES.iter().zip(roles).map(|(name, role)| Column {
        name: (*name).into(),
        role,
        available: Available::Order,
        format: (role == Role::Time).then_some(TimeFormat::EpochMillis),
    });
    let schema =
        Schema { timezone: "UTC".into(), label_delay: Span::days(7), amount_decimals: 2, columns: columns.collect() };
    let features = features.iter().map(|text| Feature::parse(text).unwrap()).collect();
    let spec = FeatureSpec { features, ..FeatureSpec::default() };
    Extractor::new(&schema, &spec, IdentityKey::new(b"test")).unwrap()
}

fn shop() -> Extractor {
    extractor(&[
        "count(order) by customer over 30d",
        "sum(amount) by device over 7d",
        "fraud_count by device over 30d",
        "cluster_size",
    ])
}

/// Learns the orders of a stream from `from` up to `to`, with labels.
fn learn(state: &mut State, extractor: &Extractor, from: u64, to: u64) {
    let binding = extractor.bind(&NAMES).unwrap();
    let mut event = Event::default();
    for n in from..to {
        let time = 1_600_000_000_000 + n as i64 * 900_000;
        let cells = [
            format!("o{n}"),
            time.to_string(),
            format!("c{}", n * 7 % 500),
            format!("d{}", n * 11 % 300),
            format!("{n}"),
        ];
        let values: Vec<Value<'_>> = cells.iter().map(|cell| Value::Text(cell)).collect();
        extractor.read_event(&binding, &values, UnixMillis(time), &mut event).unwrap();
        state.learn(extractor, &event);
        if n % 50 == 49 {
            let id = extractor.key().order_id(&format!("o{}", n - 40));
            state.learn_label(extractor, id, UnixMillis(time), true);
        }
    }
}

fn state_after(extractor: &Extractor, n: u64) -> Vec<u8> {
    let mut state = State::new(extractor);
    learn(&mut state, extractor, 0, n);
    state.to_bytes(extractor)
}

fn load(path: &Path, extractor: &Extractor) -> Result<Option<State>, StoreError> {
    Store::open(path)?.load(extractor)
}

#[test]
fn each_save_writes_what_changed_and_the_last_one_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.redb");
    let extractor = shop();
    let mut store = Store::open(&path).unwrap();
    assert!(store.load(&extractor).unwrap().is_none());
    let mut state = State::new(&extractor);
    learn(&mut state, &extractor, 0, 3_000);
    let first = store.save(&state.freeze(), &extractor).unwrap();
    assert_eq!(store.save(&state.freeze(), &extractor).unwrap(), Saved { n_parts: 0, n_bytes: 0 });
    learn(&mut state, &extractor, 3_000, 3_020);
    let second = store.save(&state.freeze(), &extractor).unwrap();
    assert!(second.n_parts * 5 < first.n_parts && second.n_bytes * 5 < first.n_bytes, "{first:?} {second:?}");
    drop(store);

    // Another process goes on from there.
    let mut store = Store::open(&path).unwrap();
    let mut loaded = store.load(&extractor).unwrap().unwrap();
    assert_eq!(loaded.to_bytes(&extractor), state_after(&extractor, 3_020));
    assert_eq!(loaded.position(), state.position());
    learn(&mut loaded, &extractor, 3_020, 3_050);
    let third = store.save(&loaded.freeze(), &extractor).unwrap();
    assert!(third.n_parts * 5 < first.n_parts, "{first:?} {third:?}");
    // A state that is no descendant of the one in the file replaces it.
    let mut other = State::new(&extractor);
    learn(&mut other, &extractor, 7_000, 7_100);
    store.save(&other.freeze(), &extractor).unwrap();
    drop(store);
    assert_eq!(load(&path, &extractor).unwrap().unwrap().to_bytes(&extractor), other.to_bytes(&extractor));
}

#[test]
fn a_crash_within_a_save_leaves_the_save_before() {
    let folder = tempfile::tempdir().unwrap();
    let (path, crashed) = (folder.path().join("state.redb"), folder.path().join("crashed.redb"));
    let extractor = shop();
    let mut state = State::new(&extractor);
    learn(&mut state, &extractor, 0, 1_000);
    let mut store = Store::open(&path).unwrap();
    store.save(&state.freeze(), &extractor).unwrap();

    // The process dies after half of the parts were written: what the file holds then is copied away.
    learn(&mut state, &extractor, 1_000, 2_000);
    let frozen = state.freeze();
    let transaction = store.database.begin_write().unwrap();
    {
        let mut parts = transaction.open_table(PARTS).unwrap();
        for part in frozen.changed_parts(&extractor, None).take(300) {
            parts.insert(part.key.0, part.bytes.as_slice()).unwrap();
        }
    }
    std::fs::copy(&path, &crashed).unwrap();
    drop(transaction);

    let mut recovered = load(&crashed, &extractor).unwrap().unwrap();
    assert_eq!(recovered.to_bytes(&extractor), state_after(&extractor, 1_000));
    // Recovery is the load and a replay from its position.
    let learned = recovered.position().n_orders;
    learn(&mut recovered, &extractor, learned, 2_000);
    assert_eq!(recovered.to_bytes(&extractor), state.to_bytes(&extractor));
    // So it is where the process dies right after a save.
    store.save(&frozen, &extractor).unwrap();
    std::fs::copy(&path, &crashed).unwrap();
    assert_eq!(load(&crashed, &extractor).unwrap().unwrap().to_bytes(&extractor), state.to_bytes(&extractor));
}

#[test]
fn damaged_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (path, damaged) = (folder.path().join("state.redb"), folder.path().join("damaged.redb"));
    let extractor = shop();
    let mut state = State::new(&extractor);
    learn(&mut state, &extractor, 0, 1_000);
    let mut store = Store::open(&path).unwrap();
    store.save(&state.freeze(), &extractor).unwrap();
    drop(store);
    let whole = std::fs::read(&path).unwrap();

    for len in [1, 100, 4_096, whole.len() / 3, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&damaged, &whole[..len]).unwrap();
        assert!(load(&damaged, &extractor).is_err(), "cut to {len} of {} bytes", whole.len());
    }
    std::fs::write(&damaged, b"no database at all, but some text ".repeat(300)).unwrap();
    assert!(matches!(load(&damaged, &extractor), Err(StoreError::Damaged { .. })));

    // Content that was altered in place, where the database itself does not look.
    let customer = extractor.subject("customer", "c7").unwrap();
    let intact = state.export(&extractor, &customer);
    let mut n_refused = 0;
    for at in (whole.len() / 10..whole.len()).step_by(whole.len() / 40) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x40;
        std::fs::write(&damaged, &bytes).unwrap();
        match load(&damaged, &extractor) {
            Err(_) | Ok(None) => n_refused += 1,
            // The byte belonged to nothing.
            Ok(Some(read_back)) => assert_eq!(read_back.export(&extractor, &customer), intact),
        }
    }
    assert!(n_refused > 0);
}

#[test]
fn other_models_versions_and_processes_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.redb");
    let extractor = shop();
    let mut state = State::new(&extractor);
    learn(&mut state, &extractor, 0, 200);
    let mut store = Store::open(&path).unwrap();
    store.save(&state.freeze(), &extractor).unwrap();
    assert!(matches!(Store::open(&path), Err(StoreError::InUse)));
    let other = self::extractor(&["count(order) by customer over 1d"]);
    assert!(matches!(store.load(&other), Err(StoreError::State(StateError::Layout(_)))));
    // Another model's state takes the place of the first.
    let mut small = State::new(&other);
    learn(&mut small, &other, 0, 100);
    store.save(&small.freeze(), &other).unwrap();
    assert_eq!(store.load(&other).unwrap().unwrap().to_bytes(&other), small.to_bytes(&other));
    assert!(matches!(store.load(&extractor), Err(StoreError::State(StateError::Layout(_)))));

    // What a newer program may write, and what nobody would.
    for (head, expected) in [(&[9, 9][..], true), (&[0; 12][..], false)] {
        let transaction = store.database.begin_write().unwrap();
        transaction.open_table(HEAD).unwrap().insert((), head).unwrap();
        transaction.commit().unwrap();
        let error = store.load(&other).unwrap_err();
        assert!(matches!(error, StoreError::State(StateError::Container(_))), "{error} {expected}");
        let truncated = matches!(error, StoreError::State(StateError::Container(ContainerError::Truncated { .. })));
        assert_eq!(truncated, expected);
    }
    assert!(matches!(Store::open(folder.path()), Err(StoreError::Io { .. })), "a folder");
    assert!(matches!(Store::open(folder.path().join("no/such/file")), Err(StoreError::Io { .. })));
}
