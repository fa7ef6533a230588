//! State files, pictures of a state, its parts, and the erasure of a person.

use std::collections::BTreeMap;

use orderguard_features::container::{Container, ContainerError, ContainerWriter, KIND_STATE};
use orderguard_features::event::{Event, Value};
use orderguard_features::extract::{Binding, Extractor};
use orderguard_features::identity::IdentityKey;
use orderguard_features::language::feature::Feature;
use orderguard_features::language::spec::FeatureSpec;
use orderguard_features::parts::{PartKey, PartsReader};
use orderguard_features::schema::{Available, Column, Role, Schema, TimeFormat};
use orderguard_features::snapshot::{Frozen, StateError, read_card};
use orderguard_features::state::State;
use orderguard_features::subject::{Forgotten, SubjectError};
use orderguard_features::time::{Span, UnixMillis};
use proptest::prelude::*;

const NAMES: [&str; 8] = ["id", "event_id", "event", "time", "customer", "device", "email", "amount"];
const FEATURES: [&str; 14] = [
    "count(order) by customer over 30d",
    "sum(amount) by customer over 7d",
    "mean(amount) by customer",
    "count(login) by customer over 7d",
    "distinct(device) by customer over 30d",
    "count(order) by customer + device over 30d",
    "count(order) by customer + device + email over 30d",
    "fraud_rate by device over 30d",
    "count(order) by email over 30d",
    "count(order) by shop over 1d",
    "cluster_size",
    "cluster_frauds",
    "cluster_new_links",
    "accounts_per(device)",
];

fn schema() -> Schema {
    let roles =
        [Role::Id, Role::EventId, Role::Event, Role::Time, Role::Customer, Role::Device, Role::Email, Role::Amount];
    let columns = NAMES.iter().zip(roles).map(|(name, role)| Column {
        name: (*name).into(),
        role,
        available: Available::Order,
        format: (role == Role::Time).then_some(TimeFormat::EpochMillis),
    });
    Schema { timezone: "UTC".into(), label_delay: Span::days(7), amount_decimals: 2, columns: columns.collect() }
}

fn extractor(n_features: usize) -> Extractor {
    let features = FEATURES[..n_features].iter().map(|text| Feature::parse(text).unwrap()).collect();
    let spec = FeatureSpec { features, ..FeatureSpec::default() };
    Extractor::new(&schema(), &spec, IdentityKey::new(b"test")).unwrap()
}

/// A service: it reads, computes and learns one event after the other.
struct Service {
    extractor: Extractor,
    binding: Binding,
    state: State,
    rows: Vec<Vec<u32>>,
}

impl Service {
    fn new() -> Self {
        let extractor = extractor(FEATURES.len());
        let binding = extractor.bind(&NAMES).unwrap();
        let state = State::new(&extractor);
        Self { extractor, binding, state, rows: Vec::new() }
    }

    /// The n-th event of the one stream of these tests: an order, a log-in or a chargeback.
    fn take(&mut self, n: u64) {
        let random = |salt: u64, below: u64| {
            let mixed = (n * 31 + salt).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            ((mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 33) % below
        };
        let time = 1_600_000_000_000 + n as i64 * 1_700_000;
        let kind = ["order", "order", "order", "login", "chargeback"][random(1, 5) as usize];
        let about = if kind == "order" { n } else { n.saturating_sub(random(2, 300)) };
        let customer = format!("c{}", random(3, 60));
        let device = if random(4, 9) == 0 { String::new() } else { format!("d{}", random(5, 40)) };
        let cells = [
            format!("o{about}"),
            format!("e{n}"),
            kind.to_owned(),
            time.to_string(),
            customer.clone(),
            device,
            format!("{customer}@shop.example"),
            format!("{}.50", random(6, 200)),
        ];
        let values: Vec<Value<'_>> =
            cells.iter().map(|cell| if cell.is_empty() { Value::Missing } else { Value::Text(cell) }).collect();
        let mut event = Event::default();
        self.extractor.read_event(&self.binding, &values, UnixMillis(time), &mut event).unwrap();
        if kind == "order" {
            let mut row = vec![0.0; self.extractor.row_len()];
            self.extractor.extract(&self.state, &event, &mut row);
            self.rows.push(row.iter().map(|cell| cell.to_bits()).collect());
        }
        self.state.learn(&self.extractor, &event);
    }

    fn bytes(&self) -> Vec<u8> {
        self.state.to_bytes(&self.extractor)
    }
}

#[test]
fn a_picture_is_written_elsewhere_while_the_state_learns_on() {
    let mut service = Service::new();
    (0..2_000).for_each(|n| service.take(n));
    let expected = service.bytes();
    let frozen = service.state.freeze();
    std::thread::scope(|scope| {
        let extractor = service.extractor.clone();
        let writer = scope.spawn(move || (0..3).map(|_| frozen.to_bytes(&extractor)).collect::<Vec<_>>());
        (2_000..4_000).for_each(|n| service.take(n));
        assert!(writer.join().unwrap().iter().all(|bytes| *bytes == expected));
    });
    assert_ne!(service.bytes(), expected);
}

#[test]
fn a_restored_state_learns_on_as_if_nothing_had_happened() {
    let mut service = Service::new();
    let mut restored = Service::new();
    for n in 0..3_000 {
        if n % 700 == 350 {
            let file = restored.bytes();
            restored.state = State::from_bytes(&file, &restored.extractor).unwrap();
            assert_eq!(restored.bytes(), file);
        }
        service.take(n);
        restored.take(n);
    }
    assert_eq!(service.rows, restored.rows);
    assert_eq!(service.bytes(), restored.bytes());
    let card = read_card(&service.bytes()).unwrap();
    assert_eq!(card.position, service.state.position());
    assert_eq!(card.entities.len(), service.extractor.entities().len());
    assert!(card.n_open_orders > 1_000 && card.entities.iter().all(|(_, n)| *n > 0), "{card:?}");
}

fn all_parts(frozen: &Frozen, extractor: &Extractor) -> BTreeMap<PartKey, Vec<u8>> {
    let parts = frozen.changed_parts(extractor, None).filter(|part| !part.bytes.is_empty());
    parts.map(|part| (part.key, part.bytes)).collect()
}

fn from_parts(head: &[u8], parts: &BTreeMap<PartKey, Vec<u8>>, extractor: &Extractor) -> Result<State, StateError> {
    let mut reader = PartsReader::new(extractor, head)?;
    // Any order does.
    for (key, bytes) in parts.iter().rev() {
        reader.take(*key, bytes)?;
    }
    reader.finish()
}

#[test]
fn changed_parts_keep_a_database_up_to_date() {
    let mut service = Service::new();
    let mut parts: BTreeMap<PartKey, Vec<u8>> = BTreeMap::new();
    let mut before: Option<Frozen> = None;
    let mut n_written = Vec::new();
    for n in 0..8_011 {
        service.take(n);
        if n % 1_000 != 0 && n != 8_010 {
            continue;
        }
        if n == 5_000 {
            let subject = service.extractor.subject("customer", "c7").unwrap();
            assert!(service.state.forget(&service.extractor, &subject).n_histories > 1);
        }
        let frozen = service.state.freeze();
        n_written.push(0);
        for part in frozen.changed_parts(&service.extractor, before.as_ref()) {
            *n_written.last_mut().unwrap() += 1;
            if part.bytes.is_empty() {
                parts.remove(&part.key)
            } else {
                parts.insert(part.key, part.bytes)
            };
        }
        assert!(parts == all_parts(&frozen, &service.extractor), "after {n} events");
        let head = frozen.head(&service.extractor);
        let mut state = from_parts(&head, &parts, &service.extractor).unwrap();
        assert_eq!(state.to_bytes(&service.extractor), service.bytes());
        assert_eq!(state.position(), service.state.position());
        // The state of the parts is as good as that of which they were made.
        std::mem::swap(&mut state, &mut service.state);
        before = Some(service.state.freeze());
    }
    assert!(n_written.last().unwrap() * 3 < parts.len(), "{n_written:?} of {}", parts.len());
}

#[test]
fn altered_parts_are_refused() {
    let mut service = Service::new();
    (0..500).for_each(|n| service.take(n));
    let frozen = service.state.freeze();
    let (head, parts) = (frozen.head(&service.extractor), all_parts(&frozen, &service.extractor));
    let refused = ContainerError::ChecksumMismatch;
    for (key, bytes) in parts.iter().step_by(17) {
        let mut reader = PartsReader::new(&service.extractor, &head).unwrap();
        let mut altered = bytes.clone();
        *altered.last_mut().unwrap() ^= 4;
        assert_eq!(reader.take(*key, &altered), Err(StateError::Container(refused.clone())));
        assert_eq!(reader.take(PartKey(key.0 ^ 1), bytes), Err(StateError::Container(refused.clone())));
        assert!(reader.take(*key, &bytes[..5]).is_err());
        assert!(reader.take(*key, bytes).is_ok());
        assert!(reader.take(*key, bytes).is_err(), "twice");
    }
    assert!(matches!(PartsReader::new(&extractor(3), &head), Err(StateError::Layout(_))));
    assert!(PartsReader::new(&service.extractor, &head[..20]).is_err());
}

#[test]
fn a_person_is_exported_and_forgotten() {
    let mut service = Service::new();
    (0..3_000).for_each(|n| service.take(n));
    let extractor = service.extractor.clone();
    let subject = extractor.subject("customer", "c7").unwrap();
    assert_eq!(extractor.subject("customer", " c7 ").unwrap(), subject);
    assert!(matches!(extractor.subject("colour", "red"), Err(SubjectError::UnknownEntity { .. })));
    assert!(matches!(extractor.subject("device", " "), Err(SubjectError::NoIdentifier { .. })));

    let export = service.state.export(&extractor, &subject);
    let of = |entity: &str| export.histories.iter().filter(|history| history.entity == entity).count();
    assert_eq!((of("customer"), of("email"), of("shop")), (1, 0, 0));
    assert!(of("device + customer") > 5 && of("device + customer + email") > 5, "{export:?}");
    assert!(export.orders.len() > 10 && export.orders.iter().any(|order| order.fraud));
    assert!(export.account.is_some_and(|account| account.cluster_size > 1) && export.thing.is_none());

    let before = service.state.sizes(&extractor);
    let forgotten = service.state.forget(&extractor, &subject);
    assert_eq!(forgotten.n_histories as usize, export.histories.len());
    assert_eq!(forgotten.n_orders as usize, export.orders.len());
    assert!(forgotten.in_network);
    let after = service.state.sizes(&extractor);
    let n = |sizes: &orderguard_features::subject::Sizes| sizes.entities.iter().map(|entity| entity.n).sum::<u64>();
    assert_eq!(n(&before) - n(&after), forgotten.n_histories);
    assert!(after.bytes() < before.bytes() && after.n_orders == before.n_orders);

    let export = service.state.export(&extractor, &subject);
    assert!(export.histories.is_empty() && export.orders.is_empty() && export.account.is_none(), "{export:?}");
    assert_eq!(service.state.forget(&extractor, &subject), Forgotten::default());
    // What is left is a state like any other.
    let file = service.bytes();
    service.state = State::from_bytes(&file, &extractor).unwrap();
    assert_eq!(service.bytes(), file);
    (3_000..3_500).for_each(|n| service.take(n));

    let subject = extractor.subject("email", "C9@shop.example").unwrap();
    let forgotten = service.state.forget(&extractor, &subject);
    assert!(forgotten.n_histories > 1 && forgotten.n_orders > 1 && forgotten.in_network);
}

#[test]
fn other_models_and_other_files_are_refused() {
    let mut service = Service::new();
    (0..300).for_each(|n| service.take(n));
    let file = service.bytes();
    assert!(matches!(State::from_bytes(&file, &extractor(5)), Err(StateError::Layout(_))));
    assert!(matches!(State::from_bytes(&file[..100], &service.extractor), Err(StateError::Container(_))));
    assert!(matches!(State::from_bytes(b"", &service.extractor), Err(StateError::Container(_))));
    // A file of a newer program.
    let container = Container::parse(&file, KIND_STATE, 0, usize::MAX).unwrap();
    let newer = container.sections().iter().fold(ContainerWriter::new(KIND_STATE, 1, 0), |writer, section| {
        writer.section(section.tag, section.required, section.bytes.to_vec())
    });
    assert!(matches!(
        State::from_bytes(&newer.finish(), &service.extractor),
        Err(StateError::Container(ContainerError::UnsupportedVersion { .. }))
    ));
}

fn sample() -> (Extractor, Vec<u8>) {
    let mut service = Service::new();
    (0..400).for_each(|n| service.take(n));
    let bytes = service.bytes();
    (service.extractor, bytes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// The checksum is made to fit, so that the sections themselves are read.
    #[test]
    fn altered_sections_are_refused_or_are_a_state(
        at in any::<prop::sample::Index>(),
        section in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in 0..4_u8,
    ) {
        thread_local! {
            static SAMPLE: (Extractor, Vec<u8>) = sample();
        }
        SAMPLE.with(|(extractor, file)| {
            let container = Container::parse(file, KIND_STATE, 0, usize::MAX).unwrap();
            let altered_section = section.index(container.sections().len());
            let mut writer = ContainerWriter::new(KIND_STATE, 0, container.fingerprint());
            for (i, section) in container.sections().iter().enumerate() {
                let mut bytes = section.bytes.to_vec();
                if i == altered_section && !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] = byte;
                    if cut == 0 {
                        bytes.truncate(at);
                    }
                }
                writer = writer.section(section.tag, section.required, bytes);
            }
            let altered = writer.finish();
            if let Ok(state) = State::from_bytes(&altered, extractor) {
                // Names are for people: all else is as it was read.
                if container.sections()[altered_section].tag != *b"NAME" {
                    prop_assert_eq!(state.to_bytes(extractor), altered);
                }
            }
            Ok(())
        })?;
    }
}
