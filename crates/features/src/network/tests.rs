//! The network against a search over all links that were known.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::container::SectionReader;
use crate::kernel::HistoryError;

const DAY: i64 = Span::DAY.0;

#[derive(Clone, Debug)]
enum Event {
    Seen { time: i64, account: u64, things: Vec<u64> },
    Label { time: i64, account: u64, known_at: i64, fraud: bool },
}

impl Event {
    fn time(&self) -> i64 {
        match self {
            Self::Seen { time, .. } | Self::Label { time, .. } => *time,
        }
    }

    fn teach(&self, network: &mut Network) {
        match self {
            Self::Seen { time, account, things } => network.learn(*time, *account, things),
            Self::Label { time, account, known_at, fraud } => {
                network.learn_label(*account, *known_at, *time, *fraud, !*fraud);
            }
        }
    }
}

fn teach(network: &mut Network, events: &[Event]) {
    for event in events {
        event.teach(network);
    }
}

/// The lives of something: from each first to each last sighting without too long a gap.
fn lives(sightings: &BTreeSet<i64>) -> Vec<(i64, i64)> {
    let mut lives: Vec<(i64, i64)> = Vec::new();
    for &time in sightings {
        match lives.last_mut() {
            Some((_, last)) if time - *last <= ENTITY_LIFETIME.0 => *last = time,
            _ => lives.push((time, time)),
        }
    }
    lives
}

fn life_at(sightings: Option<&BTreeSet<i64>>, time: i64) -> Option<(i64, i64)> {
    lives(sightings?).into_iter().rfind(|(first, _)| *first <= time)
}

/// Reads by a search over the events before `t` that knows nothing of roots and times at roots.
fn read_naive(events: &[Event], hub_limit: usize, t: i64, account: u64, things: &[u64]) -> (NetworkReading, Vec<f32>) {
    type Life = (u64, i64);
    let mut seen_accounts = BTreeMap::<u64, BTreeSet<i64>>::new();
    let mut seen_things = BTreeMap::<u64, BTreeSet<i64>>::new();
    for event in events.iter().filter(|event| event.time() < t) {
        if let Event::Seen { time, account, things } = event
            && *account != 0
        {
            seen_accounts.entry(*account).or_default().insert(*time);
            for thing in things.iter().filter(|thing| **thing != 0) {
                seen_things.entry(*thing).or_default().insert(*time);
            }
        }
    }
    let mut first_use = BTreeMap::<Life, BTreeMap<Life, i64>>::new();
    let mut frauds = BTreeMap::<Life, i64>::new();
    for event in events.iter().filter(|event| event.time() < t) {
        match event {
            Event::Seen { time, account, things } if *account != 0 => {
                let own = (*account, life_at(seen_accounts.get(account), *time).unwrap().0);
                for thing in things.iter().filter(|thing| **thing != 0) {
                    let life = (*thing, life_at(seen_things.get(thing), *time).unwrap().0);
                    first_use.entry(life).or_default().entry(own).or_insert(*time);
                }
            }
            Event::Label { account, known_at, fraud, .. } => {
                if let Some((first, _)) = life_at(seen_accounts.get(account), *known_at) {
                    *frauds.entry((*account, first)).or_default() += if *fraud { 1 } else { -1 };
                }
            }
            Event::Seen { .. } => {}
        }
    }
    let mut links = BTreeMap::<(bool, Life), Vec<(bool, Life)>>::new();
    for (thing, users) in &first_use {
        for (user, time) in users {
            if users.values().filter(|other| *other < time).count() < hub_limit {
                links.entry((true, *thing)).or_default().push((false, *user));
                links.entry((false, *user)).or_default().push((true, *thing));
            }
        }
    }
    let alive = |seen: Option<&BTreeSet<i64>>| {
        let seen = seen?;
        let last = *seen.last()?;
        (t - last <= ENTITY_LIFETIME.0).then(|| lives(seen).last().unwrap().0)
    };
    let own = alive(seen_accounts.get(&account)).map(|first| (account, first));
    let mut reached: BTreeSet<(bool, Life)> = own.map(|own| (false, own)).into_iter().collect();
    let mut new_links = BTreeSet::new();
    let mut accounts_per = Vec::new();
    for &thing in things {
        let life = alive(seen_things.get(&thing)).map(|first| (thing, first));
        accounts_per.push(match life {
            _ if thing == 0 => f32::NAN,
            None => FIRST_SEEN,
            Some(life) => first_use[&life].len().min(hub_limit + 1) as f32,
        });
        if let Some(life) = life
            && first_use[&life].len() < hub_limit
            && own.is_none_or(|own| !first_use[&life].contains_key(&own))
        {
            new_links.insert(thing);
            reached.insert((true, life));
        }
    }
    let is_new = reached.is_empty();
    let mut open: Vec<(bool, Life)> = reached.iter().copied().collect();
    while let Some(node) = open.pop() {
        for next in links.get(&node).into_iter().flatten() {
            if reached.insert(*next) {
                open.push(*next);
            }
        }
    }
    let members: Vec<Life> = reached.iter().filter(|(is_thing, _)| !is_thing).map(|(_, life)| *life).collect();
    let size = members.len() + usize::from(own.is_none());
    let frauds: i64 = members.iter().filter_map(|life| frauds.get(life)).sum();
    let reading = match (account, is_new) {
        (0, _) => [f32::NAN; 3],
        (_, true) => [FIRST_SEEN; 3],
        _ => [size as f32, frauds as f32, new_links.len() as f32],
    };
    (NetworkReading { cluster_size: reading[0], cluster_frauds: reading[1], new_links: reading[2] }, accounts_per)
}

fn read(network: &Network, t: i64, account: u64, things: &[u64]) -> (NetworkReading, Vec<f32>) {
    let mut accounts_per = vec![0.5; things.len()];
    (network.read(t, account, things, &mut accounts_per), accounts_per)
}

fn bits((reading, accounts_per): &(NetworkReading, Vec<f32>)) -> Vec<u32> {
    [reading.cluster_size, reading.cluster_frauds, reading.new_links]
        .iter()
        .chain(accounts_per)
        .map(|x| x.to_bits())
        .collect()
}

fn bytes(network: &Network) -> Vec<u8> {
    let mut out = Vec::new();
    network.write_to(&mut out);
    out
}

fn from_bytes(bytes: &[u8]) -> Result<Network, HistoryError> {
    let mut reader = SectionReader::new(*b"NETW", bytes);
    let network = Network::read_from(&mut reader)?;
    reader.finish()?;
    Ok(network)
}

fn key(x: u64) -> u64 {
    if x == 0 { 0 } else { xxhash_rust::xxh3::xxh3_64_with_seed(b"key", x) }
}

/// A stream in order of time, with many events of one millisecond, long silences, few things and frauds that are reversed.
fn stream() -> impl Strategy<Value = Vec<Event>> {
    let step = prop_oneof![6 => Just(0), 6 => 1..3_i64, 3 => 1..40 * DAY, 1 => 395 * DAY..445 * DAY];
    let event = (step, 0..14_u64, prop::collection::vec(0..9_u64, 0..4), 0..4_u8, any::<prop::sample::Index>());
    prop::collection::vec(event, 1..160).prop_map(|raw| {
        let mut time = 17_000 * DAY;
        let mut events = Vec::new();
        // Orders that may be labelled, and what is held true of them.
        let mut orders: Vec<(i64, u64, bool)> = Vec::new();
        for (step, account, things, what, which) in raw {
            time += step;
            let open: Vec<usize> = (0..orders.len()).filter(|&i| orders[i].0 < time).collect();
            if what == 0 && !open.is_empty() {
                let (known_at, account, fraud) = &mut orders[open[which.index(open.len())]];
                *fraud = !*fraud;
                events.push(Event::Label { time, account: *account, known_at: *known_at, fraud: *fraud });
            } else {
                let account = key(account);
                events.push(Event::Seen {
                    time,
                    account,
                    things: things.iter().map(|x| key(100 + x) * x.min(&1)).collect(),
                });
                if account != 0 {
                    orders.push((time, account, false));
                }
            }
        }
        events
    })
}

/// A stream in order of arrival, with the arrivals: some events are dated ahead of it. Labels come to orders that have been.
fn arrivals(silence: std::ops::Range<i64>, ahead: std::ops::Range<i64>) -> impl Strategy<Value = Vec<(i64, Event)>> {
    let step = prop_oneof![6 => Just(0_i64), 6 => 1..3_i64, 6 => 1..18_000_000_i64, 3 => 1..3 * DAY, 1 => silence];
    let ahead = prop_oneof![4 => Just(0_i64), 2 => 1..3_i64, 2 => ahead];
    let event = (step, ahead, 0..14_u64, prop::collection::vec(0..9_u64, 0..4), 0..4_u8, any::<prop::sample::Index>());
    prop::collection::vec(event, 1..90).prop_map(|raw| {
        let mut arrival = 17_000 * DAY;
        let mut events = Vec::new();
        let mut orders: Vec<(i64, u64, bool)> = Vec::new();
        for (step, ahead, account, things, what, which) in raw {
            arrival += step;
            let open: Vec<usize> = (0..orders.len()).filter(|&i| orders[i].0 < arrival && !orders[i].2).collect();
            if what == 0 && !open.is_empty() {
                let (known_at, account, fraud) = &mut orders[open[which.index(open.len())]];
                *fraud = true;
                let label = Event::Label { time: arrival + ahead, account: *account, known_at: *known_at, fraud: true };
                events.push((arrival, label));
            } else {
                let (time, account) = (arrival + ahead, key(account));
                let things = things.iter().map(|x| key(100 + x) * x.min(&1)).collect();
                events.push((arrival, Event::Seen { time, account, things }));
                if account != 0 {
                    orders.push((time, account, false));
                }
            }
        }
        events
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn readings_are_those_of_a_search(
        events in stream(),
        hub_limit in 0..5_u32,
        restore_at in any::<prop::sample::Index>(),
        queries in prop::collection::vec((0..15_u64, prop::collection::vec(0..10_u64, 0..4), 0..6_u8, 0..30 * DAY), 1..60),
    ) {
        let mut network = Network::new(hub_limit);
        let mut unrestored = Network::new(hub_limit);
        let restore_at = restore_at.index(events.len());
        let mut queries = queries.iter().cycle();
        for (i, event) in events.iter().enumerate() {
            if i == restore_at {
                network = from_bytes(&bytes(&network)).unwrap();
                prop_assert_eq!(&network, &unrestored);
            }
            event.teach(&mut network);
            event.teach(&mut unrestored);
            // Readings of the past do not see what was learned since; those of the future see all.
            let (account, things, how, late) = queries.next().unwrap();
            let t = event.time() + match how {
                0 => 0,
                1..=3 => 1,
                4 => -late,
                _ => 10 * late,
            };
            let things: Vec<u64> = things.iter().map(|x| key(100 + x) * x.min(&1)).collect();
            let expected = read_naive(&events[..=i], hub_limit as usize, t, key(*account), &things);
            prop_assert_eq!(bits(&read(&network, t, key(*account), &things)), bits(&expected), "{:?}", expected);
            prop_assert_eq!(bits(&read(&unrestored, t, key(*account), &things)), bits(&expected));
        }
        prop_assert_eq!(bytes(&network), bytes(&unrestored));
    }

    #[test]
    fn readings_of_long_ago_may_miss_what_left_memory_and_never_see_what_came_later(
        events in stream(),
        hub_limit in 0..5_u32,
        queries in prop::collection::vec((0..15_u64, prop::collection::vec(0..10_u64, 0..4), 0..600 * DAY), 1..60),
    ) {
        let mut network = Network::new(hub_limit);
        let mut queries = queries.iter().cycle();
        for (i, event) in events.iter().enumerate() {
            event.teach(&mut network);
            let (account, things, late) = queries.next().unwrap();
            let t = event.time() - late;
            let things: Vec<u64> = things.iter().map(|x| key(100 + x) * x.min(&1)).collect();
            let (found, accounts_per) = read(&network, t, key(*account), &things);
            let (known, known_per) = read_naive(&events[..=i], hub_limit as usize, t, key(*account), &things);
            let is_no_more = |found: f32, known: f32| found <= known || found.is_nan() && known.is_nan();
            prop_assert!(is_no_more(found.cluster_frauds, known.cluster_frauds), "{:?} {:?}", found, known);
            // An account that left memory counts beside the rest of its cluster.
            prop_assert!(is_no_more(found.cluster_size - 1.0, known.cluster_size), "{:?} {:?}", found, known);
            for (found, known) in accounts_per.into_iter().zip(known_per) {
                prop_assert!(is_no_more(found, known), "{} {}", found, known);
            }
        }
    }

    #[test]
    fn the_order_within_a_millisecond_changes_nothing(events in stream(), hub_limit in 1..4_u32, seed in any::<u64>()) {
        let mut network = Network::new(hub_limit);
        teach(&mut network, &events);
        let mut shuffled: Vec<(i64, u64, &Event)> = events
            .iter()
            .enumerate()
            .map(|(i, event)| (event.time(), key(seed ^ i as u64), event))
            .collect();
        // Labels of one millisecond may say one thing and its contrary of an order: their order counts.
        let label = |event: &Event| matches!(event, Event::Label { .. });
        shuffled.sort_by_key(|(time, random, event)| (*time, if label(event) { 0 } else { random | 1 }));
        let mut other = Network::new(hub_limit);
        for (_, _, event) in &shuffled {
            event.teach(&mut other);
        }
        prop_assert_eq!(bytes(&network), bytes(&other));
    }

    #[test]
    fn events_dated_ahead_of_their_arrival_read_as_in_order_of_time(
        ahead in arrivals(2 * DAY..398 * DAY, 1..DAY),
        restore_at in any::<prop::sample::Index>(),
        queries in prop::collection::vec((0..15_u64, prop::collection::vec(0..10_u64, 0..4), -3 * DAY..DAY), 1..60),
    ) {
        // A hub keeps links that it made before an earlier account came; here are none.
        let hub_limit = 30;
        let mut network = Network::new(hub_limit);
        let restore_at = restore_at.index(ahead.len());
        let mut queries = queries.iter().cycle();
        for (i, (arrival, event)) in ahead.iter().enumerate() {
            if i == restore_at {
                network = from_bytes(&bytes(&network)).unwrap();
            }
            event.teach(&mut network);
            let (account, things, offset) = queries.next().unwrap();
            let things: Vec<u64> = things.iter().map(|x| key(100 + x) * x.min(&1)).collect();
            let mut learned: Vec<Event> = ahead[..=i].iter().map(|(_, event)| event.clone()).collect();
            learned.sort_by_key(Event::time);
            for t in [arrival + 1, arrival + offset] {
                let expected = read_naive(&learned, hub_limit as usize, t, key(*account), &things);
                prop_assert_eq!(bits(&read(&network, t, key(*account), &things)), bits(&expected), "{:?}", expected);
            }
        }
        // The same events in order of time leave the same network, but for how far its slow clock has come.
        let mut events: Vec<Event> = ahead.iter().map(|(_, event)| event.clone()).collect();
        events.sort_by_key(Event::time);
        let mut in_order = Network::new(hub_limit);
        teach(&mut in_order, &events);
        (in_order.clock, in_order.last) = (network.clock, network.last);
        prop_assert_eq!(bytes(&network), bytes(&in_order));
    }

    #[test]
    fn wrong_dates_of_any_size_hide_and_erase_nothing(
        ahead in arrivals(0..DAY, 1..1_500 * DAY),
        queries in prop::collection::vec((0..15_u64, prop::collection::vec(0..10_u64, 0..4), -3 * DAY..1_500 * DAY), 1..60),
        forgotten in 0..14_u64,
    ) {
        let hub_limit = 200;
        let mut network = Network::new(hub_limit);
        let mut queries = queries.iter().cycle();
        for (i, (arrival, event)) in ahead.iter().enumerate() {
            event.teach(&mut network);
            let (account, things, offset) = queries.next().unwrap();
            let things: Vec<u64> = things.iter().map(|x| key(100 + x) * x.min(&1)).collect();
            let mut learned: Vec<Event> = ahead[..=i].iter().map(|(_, event)| event.clone()).collect();
            learned.sort_by_key(Event::time);
            for t in [arrival + 1, arrival + offset] {
                let (known, known_per) = read_naive(&learned, hub_limit as usize, t, key(*account), &things);
                let (found, found_per) = read(&network, t, key(*account), &things);
                prop_assert_eq!(bits(&(found, vec![])), bits(&(known, vec![])), "{:?} {:?}", found, known);
                // An account whose lives grew together is counted for each of them by the things of both.
                let is_no_less = |(found, known): (&f32, &f32)| found >= known || found.is_nan() && known.is_nan();
                prop_assert!(found_per.iter().zip(&known_per).all(is_no_less), "{:?} {:?}", found_per, known_per);
            }
        }
        // Whatever has been put between and renamed, roots are found.
        network.forget_account(key(forgotten));
        let file = bytes(&network);
        prop_assert_eq!(bytes(&from_bytes(&file).unwrap()), file);
        teach(&mut network, &ahead.iter().map(|(_, event)| event.clone()).collect::<Vec<_>>());
        read(&network, i64::MAX, key(1), &[key(101), key(102)]);
    }

    #[test]
    fn altered_bytes_are_refused_or_are_a_network(
        events in stream(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<bool>(),
    ) {
        let mut network = Network::new(2);
        teach(&mut network, &events);
        let mut altered = bytes(&network);
        let at = at.index(altered.len());
        altered[at] = byte;
        if cut {
            altered.truncate(at);
        }
        if let Ok(mut read_back) = from_bytes(&altered) {
            prop_assert_eq!(bytes(&read_back), altered);
            teach(&mut read_back, &events);
            read(&read_back, i64::MAX, key(1), &[key(101), key(102)]);
        }
    }

    #[test]
    fn whoever_is_forgotten_leaves_a_number(events in stream(), who in 1..14_u64) {
        let mut network = Network::new(3);
        teach(&mut network, &events);
        let others: Vec<u64> = (1..14).filter(|x| *x != who).map(key).collect();
        let t = events.last().unwrap().time() + 1;
        let before: Vec<_> = others.iter().map(|&other| bits(&read(&network, t, other, &[]))).collect();
        let was_there = network.export_account(key(who)).is_some();
        prop_assert_eq!(network.forget_account(key(who)), was_there);
        let after: Vec<_> = others.iter().map(|&other| bits(&read(&network, t, other, &[]))).collect();
        prop_assert_eq!(before, after);
        prop_assert_eq!(network.export_account(key(who)), None);
        prop_assert_eq!(read(&network, t, key(who), &[]).0.cluster_size, FIRST_SEEN);
        let file = bytes(&network);
        prop_assert!(!file.windows(8).any(|window| window == key(who).to_le_bytes()));
        prop_assert_eq!(bytes(&from_bytes(&file).unwrap()), file);
    }
}

fn seen(network: &mut Network, time: i64, account: u64, things: &[u64]) {
    network.learn(time, account, things);
}

#[test]
fn a_shared_device_links_accounts_from_then_on() {
    let mut network = Network::new(20);
    seen(&mut network, 10, 1, &[7, 0]);
    seen(&mut network, 20, 2, &[7, 0]);
    network.learn_label(1, 10, 30, true, false);
    let at = |t, account, things: &[u64]| {
        let (reading, per) = read(&network, t, account, things);
        (reading.cluster_size, reading.cluster_frauds, reading.new_links, per)
    };
    assert_eq!(at(10, 1, &[7]), (FIRST_SEEN, FIRST_SEEN, FIRST_SEEN, vec![FIRST_SEEN]));
    assert_eq!(at(11, 1, &[7]), (1.0, 0.0, 0.0, vec![1.0]));
    assert_eq!(at(20, 2, &[7]), (2.0, 0.0, 1.0, vec![1.0]), "a new account on a known device");
    assert_eq!(at(30, 2, &[8]), (2.0, 0.0, 0.0, vec![FIRST_SEEN]));
    assert_eq!(at(31, 2, &[8]), (2.0, 1.0, 0.0, vec![FIRST_SEEN]));
    assert_eq!(at(31, 9, &[8, 7]), (3.0, 1.0, 1.0, vec![FIRST_SEEN, 2.0]));
    assert_eq!(
        network.export_account(1),
        Some(AccountExport { first_seen: 10, last_seen: 10, cluster_size: 2, cluster_frauds: 1, n_things: 1 })
    );
    assert_eq!(network.export_thing(7), Some(ThingExport { first_seen: 10, last_seen: 20, n_accounts: 2 }));
    assert!(network.forget_thing(7) && !network.forget_thing(7));
    assert_eq!(read(&network, 31, 2, &[7]).0.cluster_size, 2.0);
}

#[test]
fn a_hub_links_no_further_accounts() {
    let mut network = Network::new(3);
    for account in 1..=10 {
        seen(&mut network, account as i64, account, &[7]);
    }
    assert_eq!(read(&network, 100, 1, &[7]).0.cluster_size, 3.0);
    assert_eq!(read(&network, 100, 4, &[7]).0.cluster_size, 1.0);
    let (reading, per) = read(&network, 100, 50, &[7]);
    assert_eq!((reading.cluster_size, per), (FIRST_SEEN, vec![4.0]));
}

#[test]
fn memory_is_in_proportion_to_what_lives() {
    let mut network = Network::new(20);
    let mut most = 0;
    for day in 0..4_000_i64 {
        for x in 0..4 {
            let account = key(1 + (4 * day + x) as u64);
            seen(&mut network, day * DAY, account, &[key((1 << 40) + (day / 2) as u64), key((1 << 41) ^ account)]);
        }
        most = most.max(network.n_accounts()).max(network.n_things() / 2);
    }
    assert!(most < 4 * 600, "{most}");
    assert!(network.memory_bytes() < 900 * 4 * 1_000);
}

#[test]
fn clocks_that_jump_and_events_at_the_ends_of_time_are_taken() {
    let mut network = Network::new(2);
    for time in [i64::MAX, 0, i64::MIN, 5, i64::MAX, i64::MIN + 1] {
        for account in 1..4 {
            seen(&mut network, time, account, &[7, 8]);
            network.learn_label(account, time, time, true, false);
            read(&network, time, account, &[7]);
            read(&network, i64::MIN, account, &[7]);
            read(&network, i64::MAX, account, &[7]);
        }
        let file = bytes(&network);
        assert_eq!(bytes(&from_bytes(&file).unwrap()), file);
    }
    // One wrong clock touches its own account and things only.
    let mut network = Network::new(2);
    seen(&mut network, 100 * 365 * DAY, 1, &[7]);
    seen(&mut network, DAY, 2, &[8]);
    seen(&mut network, DAY, 3, &[8]);
    assert_eq!(read(&network, 2 * DAY, 2, &[]).0.cluster_size, 2.0);
}

#[test]
fn a_wrong_date_in_the_future_loses_nothing() {
    let mut network = Network::new(20);
    for x in 1..=1_000 {
        seen(&mut network, x as i64 * 60_000, key(x), &[key((1 << 40) + x / 3)]);
    }
    seen(&mut network, 200 * 365 * DAY, key(1 << 50), &[key(1 << 51)]);
    network = from_bytes(&bytes(&network)).unwrap();
    assert_eq!((network.n_accounts(), network.n_things()), (1_001, 335));
    assert_eq!(read(&network, DAY, key(30), &[]).0.cluster_size, 3.0);
}

#[test]
fn one_date_far_ahead_leaves_its_cluster_alone() {
    let mut network = Network::new(20);
    seen(&mut network, 10 * DAY, 1, &[7]);
    seen(&mut network, 900 * DAY, 2, &[7]);
    seen(&mut network, 20 * DAY, 3, &[7]);
    seen(&mut network, 21 * DAY, 1, &[8]);
    seen(&mut network, 22 * DAY, 4, &[8]);
    network.learn_label(4, 22 * DAY, 23 * DAY, true, false);
    let at = |network: &Network, day: i64, account: u64| {
        let (reading, per) = read(network, day * DAY, account, &[7]);
        (reading.cluster_size, reading.cluster_frauds, per[0])
    };
    assert_eq!(at(&network, 21, 3), (2.0, 0.0, 2.0));
    assert_eq!(at(&network, 23, 3), (3.0, 0.0, 2.0));
    assert_eq!(at(&network, 24, 1), (3.0, 1.0, 2.0));
    // Account 1 itself with a date far ahead: what it was before stays, and it goes on afterwards.
    seen(&mut network, 600 * DAY, 1, &[9]);
    seen(&mut network, 25 * DAY, 5, &[8]);
    for day in (30..=900).step_by(30) {
        seen(&mut network, day * DAY, 1, &[8]);
    }
    assert_eq!(at(&network, 26, 5).0, 4.0);
    assert_eq!(at(&network, 899, 1).0, 4.0);
    let restored = from_bytes(&bytes(&network)).unwrap();
    assert_eq!(at(&restored, 899, 1), at(&network, 899, 1));
}

#[test]
fn a_clone_keeps_what_it_was() {
    let mut network = Network::new(20);
    for x in 1..2_000 {
        seen(&mut network, x as i64, key(x), &[key((1 << 40) + x / 3)]);
    }
    let before = network.clone();
    let file = bytes(&before);
    for x in 1..2_000 {
        seen(&mut network, 5_000 + x as i64, key(x), &[key((1 << 40) + x / 7)]);
        network.learn_label(key(x), x as i64, 9_000, true, false);
    }
    assert_ne!(network, before);
    assert_eq!(bytes(&before), file);
}

#[test]
fn a_million_events_of_one_thing_in_one_millisecond_take_no_more_than_their_accounts() {
    let mut network = Network::new(20);
    for x in 1..=100_000 {
        seen(&mut network, 5, key(x), &[7]);
    }
    // All arrived before anybody could know that it is a hub.
    assert_eq!(read(&network, 6, key(1), &[7]), read(&network, 6, key(99_999), &[7]));
    assert_eq!(read(&network, 6, key(1), &[7]).0.cluster_size, 100_000.0);
    assert_eq!(network.export_thing(7).unwrap().n_accounts, 21);
}
