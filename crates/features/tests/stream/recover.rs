//! A service that is stopped after any event and restored from its last file goes on where it was: no event of the stream counts
//! twice and none is lost, with identifiers or without.

use orderguard_features::replay::learned_events;
use orderguard_features::resume::Resume;
use orderguard_features::schema::{Role, Schema};

use super::raw::{schema, spec};
use super::*;
use orderguard_features::identity::IdentityKey;

/// Events of whom nothing tells one from another but what they say, on a grid so coarse that many share a millisecond, and twins.
fn ties(n: usize) -> impl Strategy<Value = Vec<Raw>> {
    let twins = prop::collection::vec(any::<prop::sample::Index>(), 0..n / 4);
    (raws(n), twins, 1_i64..20).prop_map(|(mut raws, twins, days)| {
        for raw in &mut raws {
            raw.time = START + (raw.time - START).div_euclid(days * DAY) * days * DAY;
            raw.labels.clear();
        }
        for twin in twins {
            let raw = twin.get(&raws).clone();
            raws.push(raw);
        }
        raws
    })
}

/// The schema without identifiers of orders and events.
fn without_ids() -> Schema {
    let mut schema = schema();
    for column in &mut schema.columns {
        if matches!(column.role, Role::Id | Role::EventId) {
            column.role = Role::Ignored;
        }
    }
    schema
}

struct Service<'a> {
    extractor: &'a Extractor,
    raws: &'a [Raw],
    state: State,
    event: Event,
}

impl Service<'_> {
    fn read(&mut self, i: usize) {
        let binding = self.extractor.bind(&names()).unwrap();
        let cells = self.raws[i].cells();
        let given: Vec<Value> = cells.iter().map(|cell| Value::Text(cell)).collect();
        let known_at = UnixMillis(self.raws[i].known_at());
        self.extractor.read_event(&binding, &given, known_at, &mut self.event).unwrap();
    }

    fn learn(&mut self, i: usize) {
        self.read(i);
        self.state.learn(self.extractor, &self.event);
    }

    /// What an order's features are before it is learned.
    fn row(&mut self, i: usize) -> Vec<u32> {
        self.read(i);
        let mut row = vec![0.0; self.extractor.row_len()];
        self.extractor.extract(&self.state, &self.event, &mut row);
        row[..self.extractor.n_features()].iter().map(|&x| bits(x)).collect()
    }

    /// Learns what the state has not learned of a stream; rows of orders come back.
    fn catch_up(&mut self, stream: &[usize], resume: &mut Resume) -> Vec<(usize, Vec<u32>)> {
        let mut rows = Vec::new();
        for &i in stream {
            self.read(i);
            if !resume.has_learned(&self.event) {
                if self.raws[i].is_order() {
                    rows.push((i, self.row(i)));
                }
                self.learn(i);
            }
        }
        rows
    }
}

/// Stops after each event, restores and goes on, in another order within each millisecond where `is_turned`.
fn stop_everywhere(extractor: &Extractor, raws: &[Raw], is_turned: bool) -> Result<(), TestCaseError> {
    let order = |is_turned: bool| {
        let steps = steps(raws, &Tables::new(raws, 1));
        let mut stream: Vec<(i64, usize)> = steps
            .iter()
            .filter_map(|&(at, step)| if let Step::Event(i) = step { Some((at, i)) } else { None })
            .collect();
        if is_turned {
            stream.reverse();
            stream.sort_by_key(|(at, _)| *at);
        }
        stream.into_iter().map(|(_, i)| i).collect::<Vec<usize>>()
    };
    let (stream, again) = (order(false), order(is_turned));
    let service = || Service { extractor, raws, state: State::new(extractor), event: Event::default() };
    let mut whole = service();
    let mut rows = vec![Vec::new(); raws.len()];
    for &i in &stream {
        if raws[i].is_order() {
            rows[i] = whole.row(i);
        }
        whole.learn(i);
    }
    let expected = whole.state.to_bytes(extractor);
    let mut before = service();
    for n in 0..=stream.len() {
        if n > 0 {
            before.learn(stream[n - 1]);
        }
        let file = before.state.to_bytes(extractor);
        let state = State::from_bytes(&file, extractor).unwrap();
        prop_assert!(state.to_bytes(extractor) == file, "a state file reads back as it was written");
        let mut after = Service { state, ..service() };
        let mut resume = after.state.resume();
        let known_at = |i: &usize| UnixMillis(raws[*i].known_at());
        let from = after.state.position().learned_until();
        let rest: Vec<usize> = again.iter().copied().filter(|i| from.is_none_or(|from| known_at(i) >= from)).collect();
        for (i, row) in after.catch_up(&rest, &mut resume) {
            // Of one millisecond the order does not matter: nothing of it is seen.
            prop_assert_eq!(&row, &rows[i], "row {} after {} events", i, n);
        }
        prop_assert!(after.state.to_bytes(extractor) == expected, "stopped after {} of {} events", n, stream.len());
        prop_assert_eq!(after.state.position(), whole.state.position());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_event_without_an_id_counts_twice_or_is_lost(raws in ties(40), is_turned in any::<bool>()) {
        let mut spec = spec(4_096);
        // Without ids nothing says which order a return is about.
        spec.features.remove(FEATURES.iter().position(|text| text.contains("age of")).unwrap());
        let extractor = Extractor::new(&without_ids(), &spec, IdentityKey::new(b"test")).unwrap();
        stop_everywhere(&extractor, &raws, is_turned)?;
    }

    #[test]
    fn no_event_with_an_id_counts_twice_or_is_lost(raws in ties(40)) {
        stop_everywhere(&extractor(4_096), &raws, false)?;
    }

    #[test]
    fn tables_know_what_was_learned_alike(raws in ties(60), n in any::<prop::sample::Index>()) {
        let extractor = extractor(4_096);
        let tables = Tables::new(&raws, 1);
        let steps = steps(&raws, &tables);
        let n = n.index(steps.len() + 1);
        let mut service = Service { extractor: &extractor, raws: &raws, state: State::new(&extractor), event: Event::default() };
        let mut n_events = 0;
        for (_, step) in &steps[..n] {
            let Step::Event(i) = *step else { continue };
            service.learn(i);
            n_events += usize::from(!raws[i].is_order());
        }
        let mut resume = service.state.resume();
        let learned = learned_events(&extractor, &tables.events, &tables.event_rows, &mut resume);
        // Those of one content are learned from the first on, in either order.
        prop_assert_eq!(learned.iter().filter(|&&learned| learned).count(), n_events);
        let rest: Vec<usize> =
            tables.event_at.iter().zip(&learned).filter(|(_, learned)| !**learned).map(|(&i, _)| i).collect();
        let mut at: Vec<usize> = (0..raws.len()).filter(|&i| raws[i].is_order()).chain(rest).collect();
        at.sort_by_key(|&i| steps.iter().position(|(_, step)| *step == Step::Event(i)));
        for i in at {
            service.read(i);
            if !raws[i].is_order() || !resume.has_learned(&service.event) {
                service.learn(i);
            }
        }
        let (_, whole) = live(&extractor, &raws, 0);
        prop_assert!(service.state.to_bytes(&extractor) == whole.to_bytes(&extractor));
    }
}
