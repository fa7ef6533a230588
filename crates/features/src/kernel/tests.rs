//! The history against a recount of all events, on random streams.

use proptest::prelude::*;

use super::naive::Recount;
use super::seek::seek;
use super::*;
use crate::container::SectionReader;
use crate::language::feature::Comparison;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const T0: i64 = 17_000 * DAY;
const LABEL_DELAY: i64 = 7 * DAY;

const ORDER: EventKind = EventKind::Order;
const FAILED: EventKind = EventKind::PaymentFailed;

fn amount(per_currency: bool) -> Input {
    Input { index: 0, unit: 100.0, per_currency }
}

fn series(kind: EventKind, tests: &[Test]) -> Series {
    Series { kind, tests: tests.to_vec() }
}

fn below(index: usize, op: Comparison, numerator: i64) -> Test {
    Test::Compare { index, op, numerator, denominator: 3 }
}

/// Readings of every kind, of which plans take some.
fn all_readings() -> Vec<Reading> {
    let age = Input { index: 1, unit: 1_000.0, per_currency: false };
    let small = [below(0, Comparison::Less, 1_500), below(2, Comparison::Equal, 3)];
    let of = [series(ORDER, &[]), series(FAILED, &[]), series(ORDER, &small[..1]), series(FAILED, &small[1..])];
    let mut readings = Vec::new();
    for per_currency in [true, false] {
        for measure in [
            Measure::Count,
            Measure::Sum(amount(per_currency)),
            Measure::Mean(amount(per_currency)),
            Measure::Deviation(age),
            Measure::Deviation(amount(per_currency)),
            Measure::Min(amount(per_currency)),
            Measure::Max(age),
            Measure::ZScore(amount(per_currency)),
            Measure::Ratio(amount(per_currency)),
            Measure::Distinct { key: 0 },
            Measure::Distinct { key: 1 },
            Measure::Share { all: of[0].clone() },
            Measure::Rate { per: of[1].clone() },
            Measure::DecayedCount { half_life: HOUR },
            Measure::DecayedSum { input: amount(per_currency), half_life: 3 * DAY },
            Measure::SinceFirst,
            Measure::SinceLast,
            Measure::IsNew,
            Measure::GapVariation,
            Measure::Speed { index: 3 },
            Measure::FraudCount,
            Measure::FraudRate,
            Measure::OrdersSinceFraud,
            Measure::Resolved,
        ] {
            for (i, series) in of.iter().enumerate() {
                let windows = [
                    (Some(HOUR), 0),
                    (Some(DAY), 0),
                    (None, 0),
                    (Some(30 * DAY), 0),
                    (Some(2 * DAY), 7 * DAY),
                    (None, DAY),
                ];
                for (j, (over, delayed)) in windows.into_iter().enumerate() {
                    let divides = !matches!(
                        measure,
                        Measure::ZScore(_)
                            | Measure::Ratio(_)
                            | Measure::SinceFirst
                            | Measure::SinceLast
                            | Measure::IsNew
                            | Measure::Speed { .. }
                    );
                    let versus = (divides && (i + j) % 3 == 0).then_some(10 * DAY);
                    readings.push(Reading {
                        measure: measure.clone(),
                        series: series.clone(),
                        window: Window { over, delayed },
                        versus,
                    });
                }
            }
        }
    }
    readings
}

/// The commonest readings: plans of nothing else are read in a way of their own.
fn plain_readings() -> Vec<Reading> {
    let is_plain = |r: &Reading| match r.measure {
        Measure::Count | Measure::Sum(_) | Measure::Mean(_) => r.versus.is_none(),
        _ => r.measure == Measure::FraudCount,
    };
    all_readings().into_iter().filter(is_plain).collect()
}

fn plans() -> impl Strategy<Value = Plan> {
    plans_of(prop_oneof![
        2 => proptest::sample::subsequence(all_readings(), 1..24),
        1 => proptest::sample::subsequence(plain_readings(), 1..12),
    ])
}

fn plain_plans() -> impl Strategy<Value = Plan> {
    plans_of(proptest::sample::subsequence(plain_readings(), 1..12))
}

fn plans_of(readings: impl Strategy<Value = Vec<Reading>>) -> impl Strategy<Value = Plan> {
    let exact = prop_oneof![1 => 1_usize..3, 4 => 3_usize..9, 1 => Just(4_096_usize)];
    (readings, exact, any::<bool>())
        .prop_map(|(readings, exact, due)| Plan::new(readings, if due { LABEL_DELAY } else { 0 }, exact).unwrap())
}

/// What happens to an entity.
#[derive(Clone, Debug)]
struct Happening {
    time: i64,
    late: i64,
    kind: EventKind,
    currency: u32,
    values: [i64; 4],
    keys: [u64; 2],
    /// Labels of an order: (delay after it, fraud).
    labels: Vec<(i64, bool)>,
    shuffle: u32,
}

impl Happening {
    fn occurrence(&self) -> Occurrence<'_> {
        let Self { time, late, kind, currency, .. } = *self;
        Occurrence { time, known_at: time + late, kind, currency, values: &self.values, keys: &self.keys }
    }
}

fn happenings(longest: usize) -> impl Strategy<Value = Vec<Happening>> {
    let time = prop_oneof![
        4 => (0_i64..50).prop_map(|m| m * MINUTE),
        4 => (0_i64..40).prop_map(|h| h * HOUR),
        4 => (0_i64..40).prop_map(|d| d * DAY),
        1 => (0_i64..4).prop_map(|d| d * 401 * DAY),
        1 => 0_i64..60 * DAY,
        1 => (0_i64..3).prop_map(|d| -d * 17_001 * DAY),
    ];
    let late =
        prop_oneof![4 => Just(0), 1 => (0_i64..30).prop_map(|h| h * HOUR), 1 => (0_i64..80).prop_map(|d| d * DAY)];
    let kind = prop_oneof![5 => Just(ORDER), 3 => Just(FAILED), 1 => Just(EventKind::Login)];
    let value = prop_oneof![1 => Just(MISSING), 6 => -50_i64..2_000, 1 => any::<i64>()];
    let flag = prop_oneof![Just(MISSING), Just(0), Just(1)];
    let place = prop_oneof![Just(MISSING), (0_i32..90).prop_map(|d| pack_place(d.into(), f64::from(d) * 1.5))];
    let label = (prop_oneof![(0_i64..12).prop_map(|d| d * DAY), 0_i64..9 * DAY], any::<bool>());
    let labels = prop_oneof![2 => Just(vec![]), 3 => proptest::collection::vec(label, 0..4)];
    let happening = (
        (time, late, kind, prop_oneof![5 => Just(1_u32), 1 => 0_u32..3, 1 => 0_u32..9]),
        (value.clone(), value, flag, place),
        (0_u64..4, 0_u64..3),
        labels,
        any::<u32>(),
    );
    let happening = happening.prop_map(|((time, late, kind, currency), values, keys, mut labels, shuffle)| {
        labels.sort_unstable_by_key(|label| label.0);
        let (values, keys) = ([values.0, values.1, values.2, values.3], [keys.0, keys.1]);
        Happening { time: T0 + time, late, kind, currency, values, keys, labels, shuffle }
    });
    proptest::collection::vec(happening, 1..longest)
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Event(usize),
    Label(LabelNews),
}

/// Everything in the order in which it becomes known, with that time; within one millisecond by `rank`.
fn steps(all: &[Happening], rank: impl Fn(u32) -> u32) -> Vec<(i64, Step)> {
    let mut steps = Vec::new();
    for (i, happening) in all.iter().enumerate() {
        let known_at = happening.time + happening.late;
        steps.push((known_at, 0, rank(happening.shuffle), i, 0, Step::Event(i)));
        if happening.kind != ORDER {
            continue;
        }
        let (mut resolved_before, mut was_fraud) = (happening.time + LABEL_DELAY, false);
        for (n, &(delay, fraud)) in happening.labels.iter().enumerate() {
            let at = (happening.time + delay).max(known_at);
            let news = LabelNews { known_at, resolved_before, at, fraud, was_fraud };
            steps.push((at, 1, rank(happening.shuffle), i, n, Step::Label(news)));
            (resolved_before, was_fraud) = (resolved_before.min(at), fraud);
        }
    }
    steps.sort_by_key(|&(at, class, rank, i, n, _)| (at, class, rank, i, n));
    steps.into_iter().map(|(at, .., step)| (at, step)).collect()
}

fn learn(history: &mut EntityHistory, plan: &Plan, all: &[Happening], step: &Step) {
    match step {
        Step::Event(i) => history.observe(plan, &all[*i].occurrence()),
        Step::Label(news) => history.learn_label(plan, news),
    }
}

fn bytes(history: &EntityHistory, plan: &Plan) -> Vec<u8> {
    let mut out = Vec::new();
    history.write_to(plan, &mut out);
    out
}

fn restore(bytes: &[u8], plan: &Plan) -> Result<EntityHistory, HistoryError> {
    let mut reader = SectionReader::new(*b"TEST", bytes);
    let history = EntityHistory::read_from(&mut reader, plan)?;
    reader.finish()?;
    Ok(history)
}

fn row(plan: &Plan, read: impl FnOnce(&mut dyn FnMut(usize, f32))) -> Vec<u32> {
    let mut row = vec![None; plan.n_outputs()];
    read(&mut |output, value: f32| {
        assert!(row[output].is_none(), "output {output} written twice");
        row[output] = Some(if value.is_nan() { f32::NAN.to_bits() } else { value.to_bits() });
    });
    row.into_iter().map(|value| value.expect("every output is written")).collect()
}

/// The rows of all orders and the bytes of the history after all steps, read and learned one by one, or in runs where possible.
fn replayed(plan: &Plan, all: &[Happening], in_runs: bool) -> (Vec<Vec<Option<u32>>>, Vec<u8>, usize) {
    let steps = steps(all, |rank| rank);
    let mut history = EntityHistory::default();
    let mut room = Room::default();
    let mut near = vec![Near::default(); plan.n_windows()];
    let mut rows = vec![vec![None; plan.n_outputs()]; steps.len()];
    let (mut at, mut n_in_runs) = (0, 0);
    while at < steps.len() {
        if in_runs {
            history.enter(plan, &mut room, steps.len() - at);
            let next = |n: usize| {
                let (known_at, Step::Event(i)) = steps.get(at + n)? else { return None };
                let event = all[*i].occurrence();
                Some(Next {
                    event,
                    place: (event.kind == ORDER).then_some(at + n),
                    is_learned: plan.stores(event.kind),
                    is_shared: steps.get(at + n + 1).is_some_and(|after| after.0 == *known_at),
                })
            };
            let write = |place: usize, output: usize, value: f32| rows[place][output] = Some(value.to_bits());
            let n = history.run(plan, i64::MIN, (&mut Run::default(), &mut near), next, write);
            history.leave(plan, &mut room);
            (at, n_in_runs) = (at + n, n_in_runs + n);
        }
        let now: Vec<_> = (at..steps.len()).take_while(|&other| steps[other].0 == steps[at].0).collect();
        for &at in &now {
            if let Step::Event(i) = steps[at].1
                && all[i].kind == ORDER
            {
                let write = |output: usize, value: f32| rows[at][output] = Some(value.to_bits());
                history.read_near(plan, &all[i].occurrence(), &mut near, write);
            }
        }
        for &at in &now {
            learn(&mut history, plan, all, &steps[at].1);
        }
        at += now.len();
    }
    (rows, bytes(&history, plan), n_in_runs)
}

#[test]
fn a_run_takes_all_but_the_first_of_usual_events() {
    let order = Happening {
        time: T0,
        late: 0,
        kind: ORDER,
        currency: 1,
        values: [100, MISSING, MISSING, MISSING],
        keys: [0; 2],
        labels: Vec::new(),
        shuffle: 0,
    };
    let all: Vec<_> = (0..200).map(|day| Happening { time: T0 + day * DAY, ..order.clone() }).collect();
    let readings = [Measure::Count, Measure::Sum(amount(true)), Measure::Mean(amount(true))].map(|measure| Reading {
        measure,
        series: series(ORDER, &[]),
        window: Window { over: Some(30 * DAY), delayed: 7 * DAY },
        versus: None,
    });
    let plan = Plan::new(readings.to_vec(), 0, 4_096).unwrap();
    let (rows, written, n_in_runs) = replayed(&plan, &all, true);
    assert_eq!(n_in_runs, 199);
    assert_eq!((rows, written, 0), replayed(&plan, &all, false));
}

fn compare(plan: &Plan, history: &EntityHistory, recount: &Recount, order: &Occurrence<'_>) {
    let found = row(plan, |write| history.read(plan, order, write));
    let expected = row(plan, |write| recount.read(plan, order, write));
    // Wherever a search begins, it ends at the same rows.
    let mut random = order.time as u64;
    let mut near = vec![Near::default(); plan.n_windows()];
    for near in &mut near {
        random = random.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
        *near = Near { lo: (random >> 58) as u32, hi: (random >> 40) as u32 & 127 };
    }
    assert_eq!(row(plan, |write| history.read_near(plan, order, &mut near, write)), found);
    assert_eq!(row(plan, |write| history.read_near(plan, order, &mut near, write)), found);
    for (i, reading) in plan.readings().iter().enumerate() {
        let values = (f32::from_bits(found[i]), f32::from_bits(expected[i]));
        assert_eq!(found[i], expected[i], "found and recount {values:?} of {reading:?} at {}", order.time - T0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_reading_is_a_recount(plan in plans(), all in happenings(60), back in 0_i64..40, restore_every in 1_usize..12) {
        let (mut history, mut recount) = (EntityHistory::default(), Recount::default());
        // Pictures of folded rows, currencies and lives too, that are shared with what goes on changing.
        let mut pictures = Vec::new();
        for (n, (at, step)) in steps(&all, |rank| rank).into_iter().enumerate() {
            if n % 7 == 3 {
                pictures.push((history.clone(), bytes(&history, &plan)));
            }
            if n % restore_every == restore_every - 1 {
                let written = bytes(&history, &plan);
                history = restore(&written, &plan).unwrap();
                prop_assert_eq!(bytes(&history, &plan), written);
            }
            let order = all[n % all.len()].occurrence();
            // At the time of what comes next, after it, and at a time before something that is known already.
            let times = [at, at + 1 + back * DAY / 7, at - back * HOUR, order.time, order.time + DAY];
            // Of the same millisecond as what was learned last, or of a later one.
            for (time, known_at) in times.into_iter().flat_map(|time| [(time, at), (time, at + 1)]) {
                compare(&plan, &history, &recount, &Occurrence { time, known_at, ..order });
            }
            learn(&mut history, &plan, &all, &step);
            match step {
                Step::Event(i) => recount.observe(&plan, &all[i].occurrence()),
                Step::Label(news) => recount.learn_label(&news),
            }
            compare(&plan, &history, &recount, &Occurrence { time: at + 1, known_at: at + 1, ..order });
            compare(&plan, &history, &recount, &Occurrence { time: at, known_at: at, ..order });
        }
        let order = all[0].occurrence();
        for days in [1, 30, 399, 401, 1_000] {
            let last = history.last_known_at().unwrap_or(T0);
            let time = last + days * DAY;
            let known_at = steps(&all, |rank| rank).last().map_or(time, |&(at, _)| time.max(at + 1));
            compare(&plan, &history, &recount, &Occurrence { time, known_at, ..order });
        }
        for (picture, before) in pictures {
            prop_assert_eq!(bytes(&picture, &plan), before);
        }
    }

    #[test]
    fn live_reading_is_replay_and_recount_however_many_share_a_millisecond(
        plan in plans(), mut all in happenings(90), apart in 1_i64..40, shared in 1_usize..12, late in any::<bool>(), restore_every in 1_usize..20,
    ) {
        // Time goes on by less than a bucket to several.
        for (i, happening) in all.iter_mut().enumerate() {
            let known_at = T0 + (i / shared) as i64 * apart * apart * MINUTE;
            happening.late = if late && i % 4 == 0 { happening.late } else { 0 };
            happening.time = known_at - happening.late;
        }
        let (expected, expected_bytes, _) = replayed(&plan, &all, false);
        let (in_runs, in_runs_bytes, _) = replayed(&plan, &all, true);
        prop_assert_eq!(&in_runs, &expected);
        prop_assert_eq!(in_runs_bytes, &expected_bytes[..]);
        let (mut history, mut recount) = (EntityHistory::default(), Recount::default());
        for (n, (_, step)) in steps(&all, |rank| rank).into_iter().enumerate() {
            if n % restore_every == restore_every - 1 {
                let written = bytes(&history, &plan);
                history = restore(&written, &plan).unwrap();
                prop_assert_eq!(bytes(&history, &plan), written);
            }
            if let Step::Event(i) = step && all[i].kind == ORDER {
                let order = all[i].occurrence();
                compare(&plan, &history, &recount, &order);
                let found = row(&plan, |write| history.read(&plan, &order, write));
                let is_nan = |bits: u32| f32::from_bits(bits).is_nan();
                for (output, (found, expected)) in found.into_iter().zip(&expected[n]).enumerate() {
                    let expected = expected.expect("every order is read");
                    prop_assert!(found == expected || is_nan(found) && is_nan(expected), "output {output}");
                }
            }
            learn(&mut history, &plan, &all, &step);
            match step {
                Step::Event(i) => recount.observe(&plan, &all[i].occurrence()),
                Step::Label(news) => recount.learn_label(&news),
            }
        }
        prop_assert_eq!(bytes(&history, &plan), expected_bytes);
    }

    #[test]
    fn what_comes_in_any_order_is_taken_in_and_restored(plan in plans(), all in happenings(60), seed: u32) {
        let mut history = EntityHistory::default();
        let mut steps = steps(&all, |rank| rank);
        steps.sort_by_key(|(at, _)| (*at as u32).wrapping_mul(seed | 1).rotate_left(7));
        for (n, (at, step)) in steps.into_iter().enumerate() {
            let order = all[n % all.len()].occurrence();
            row(&plan, |write| history.read(&plan, &Occurrence { time: at, known_at: at, ..order }, write));
            learn(&mut history, &plan, &all, &step);
            let written = bytes(&history, &plan);
            let mut restored = restore(&written, &plan).unwrap();
            prop_assert_eq!(bytes(&restored, &plan), written);
            learn(&mut restored, &plan, &all, &step);
        }
    }

    #[test]
    fn a_run_is_one_after_the_other(plan in plain_plans(), mut all in happenings(60), usual in 1_usize..10) {
        for (i, happening) in all.iter_mut().enumerate().filter(|(i, _)| i % 10 < usual) {
            // Some of them at one time still.
            (happening.late, happening.currency) = (0, 1);
            happening.time += if i % 4 == 0 { 0 } else { i as i64 };
        }
        let (rows, written, _) = replayed(&plan, &all, true);
        let (expected, expected_written, _) = replayed(&plan, &all, false);
        prop_assert_eq!(rows, expected);
        prop_assert_eq!(written, expected_written);
    }

    #[test]
    fn a_search_from_anywhere_is_a_partition(mut times in proptest::collection::vec(-40_i64..40, 0..300), start: usize, near: usize, key in -42_i64..42) {
        times.sort_unstable();
        let start = start % (times.len() + 1);
        let expected = start + times[start..].partition_point(|&time| time < key);
        prop_assert_eq!(seek(&times, start, times.len(), near % 400, key), expected);
        prop_assert_eq!(seek(&times, start, times.len(), expected, key), expected);
    }

    #[test]
    fn the_order_within_a_millisecond_is_nothing(plan in plans(), mut all in happenings(60), coarse in 1_i64..30, seed: u32) {
        // Known at a few times only, so that many come together.
        for happening in &mut all {
            let known_at = happening.time + happening.late;
            happening.late = (known_at.div_euclid(coarse * DAY) + 1) * coarse * DAY - happening.time;
        }
        let (mut one, mut other) = (EntityHistory::default(), EntityHistory::default());
        let shuffled = steps(&all, |rank| rank.wrapping_mul(seed | 1).rotate_left(13));
        let in_order = steps(&all, |rank| rank);
        for (i, ((at, a), (_, b))) in in_order.iter().zip(&shuffled).enumerate() {
            learn(&mut one, &plan, &all, a);
            learn(&mut other, &plan, &all, b);
            if in_order.get(i + 1).is_none_or(|(next, _)| next > at) {
                prop_assert_eq!(bytes(&one, &plan), bytes(&other, &plan));
            }
        }
    }

    #[test]
    fn nothing_known_later_changes_a_reading(plan in plans(), mut all in happenings(40), me in 0_usize..40) {
        // Exact rows only, and nothing known so much later that old ones are dropped: that does depend on what comes later.
        let plan = Plan::new(plan.readings().to_vec(), plan.label_delay(), 4_096).unwrap();
        for happening in &mut all {
            // Some after a silence that ends a life.
            let time = (happening.time - T0).rem_euclid(120 * DAY);
            happening.time = T0 + time % (40 * DAY) + time / (40 * DAY) * 430 * DAY;
        }
        let order = all[me % all.len()].occurrence();
        let (mut some, mut more) = (EntityHistory::default(), EntityHistory::default());
        for (at, step) in steps(&all, |rank| rank) {
            if at < order.time {
                learn(&mut some, &plan, &all, &step);
            }
            if at <= order.time + DAY {
                learn(&mut more, &plan, &all, &step);
            }
        }
        let rows = [&some, &more].map(|history| row(&plan, |write| history.read(&plan, &order, write)));
        prop_assert_eq!(&rows[0], &rows[1]);
    }

    #[test]
    fn hostile_bytes_are_refused_or_harmless(plan in plans(), all in happenings(30), flips in proptest::collection::vec((any::<u16>(), 1_u8..=255), 1..4), cut: u16) {
        let mut history = EntityHistory::default();
        for (_, step) in steps(&all, |rank| rank) {
            learn(&mut history, &plan, &all, &step);
        }
        let written = bytes(&history, &plan);
        prop_assert!(restore(&written, &plan).is_ok());
        prop_assert!(restore(&written[..usize::from(cut) % written.len()], &plan).is_err());
        let mut broken = written.clone();
        for (at, flip) in flips {
            let at = usize::from(at) % broken.len();
            broken[at] ^= flip;
        }
        if let Ok(mut history) = restore(&broken, &plan) {
            let rewritten = bytes(&history, &plan);
            prop_assert_eq!(&rewritten, &broken);
            for happening in &all {
                row(&plan, |write| history.read(&plan, &happening.occurrence(), write));
                history.observe(&plan, &happening.occurrence());
            }
            for time in [i64::MIN, 0, i64::MAX] {
                let order = Occurrence { time, known_at: time, ..all[0].occurrence() };
                row(&plan, |write| history.read(&plan, &order, write));
                history.observe(&plan, &order);
            }
        }
    }
}

fn reading(measure: Measure, over: Option<i64>) -> Reading {
    let series = Series::all(EventKind::Order);
    Reading { measure, series, window: Window { over, delayed: 0 }, versus: None }
}

fn order_of(time: i64, values: &[i64]) -> Occurrence<'_> {
    Occurrence { time, known_at: time, kind: EventKind::Order, currency: 1, values, keys: &[] }
}

fn read(history: &EntityHistory, plan: &Plan, order: &Occurrence<'_>) -> Vec<f32> {
    let mut row = vec![f32::NAN; plan.n_outputs()];
    history.read(plan, order, |output, value| row[output] = value);
    row
}

#[test]
fn a_few_wrong_dates_in_the_future_erase_nothing_and_make_nothing_look_old() {
    let reading = |measure| Reading {
        measure,
        series: series(ORDER, &[]),
        window: Window { over: Some(30 * DAY), delayed: 0 },
        versus: None,
    };
    let plan = Plan::new(vec![reading(Measure::Count), reading(Measure::Sum(amount(false)))], LABEL_DELAY, 64).unwrap();
    let order = |time: i64| Occurrence { time, known_at: time, kind: ORDER, currency: 1, values: &[100], keys: &[] };
    for ahead in [300, 399, 401, 500, 5_000] {
        let (mut history, mut recount) = (EntityHistory::default(), Recount::default());
        let mut see = |history: &mut EntityHistory, day: i64| {
            history.observe(&plan, &order(T0 + day * DAY));
            recount.observe(&plan, &order(T0 + day * DAY));
        };
        for day in 0..200 {
            see(&mut history, day);
            if day % 50 == 20 {
                see(&mut history, day + ahead);
            }
        }
        let mut outputs = [0.0; 2];
        history.read(&plan, &order(T0 + 200 * DAY), |output, value| outputs[output] = value);
        assert_eq!(outputs, [30.0, 30.0], "{ahead} days");
        // The present reaches the wrong dates, and what was before them is still there.
        for day in 200..700 {
            see(&mut history, day);
        }
        for day in [250, 399, 500, 650, 699, 700, 1_099, 1_101] {
            compare(&plan, &history, &recount, &Occurrence { known_at: T0 + 10_000 * DAY, ..order(T0 + day * DAY) });
        }
    }
}

#[test]
fn counts_means_and_labels_of_a_few_orders() {
    let amount = Input { index: 0, unit: 100.0, per_currency: true };
    let small = Test::Compare { index: 0, op: Comparison::Less, numerator: 500, denominator: 1 };
    let mut readings = vec![
        reading(Measure::Count, Some(DAY)),
        reading(Measure::Mean(amount), Some(7 * DAY)),
        reading(Measure::Ratio(amount), None),
        reading(Measure::Count, None),
        reading(Measure::FraudRate, Some(30 * DAY)),
        reading(Measure::SinceLast, None),
        reading(Measure::IsNew, None),
    ];
    readings[3].series.tests.push(small);
    let plan = Plan::new(readings, 7 * DAY, 4096).unwrap();
    let mut history = EntityHistory::default();
    history.observe(&plan, &order_of(T0, &[400]));
    history.observe(&plan, &order_of(T0 + DAY, &[1_000]));
    let row = read(&history, &plan, &order_of(T0 + 2 * DAY, &[1_400]));
    assert_eq!(row, [1.0, 7.0, 2.0, 1.0, 0.0, 86_400.0, 0.0]);
    // The first order is known as fraud on day 3, and the second falls due on day 8.
    let news =
        LabelNews { known_at: T0, resolved_before: T0 + 7 * DAY, at: T0 + 3 * DAY, fraud: true, was_fraud: false };
    history.learn_label(&plan, &news);
    let rate = |days: i64, history: &EntityHistory| read(history, &plan, &order_of(T0 + days * DAY, &[1]))[4];
    assert_eq!((rate(3, &history), rate(4, &history), rate(9, &history)), (0.0, 1.0, 0.5));
    history.learn_label(
        &plan,
        &LabelNews { resolved_before: T0 + 3 * DAY, at: T0 + 10 * DAY, fraud: false, was_fraud: true, ..news },
    );
    assert_eq!((rate(10, &history), rate(11, &history)), (0.5, 0.0));
    assert_eq!(read(&history, &plan, &order_of(T0 + 402 * DAY, &[1]))[6], 1.0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn short_histories_of_few_exact_events_are_recounts(
        readings in proptest::sample::subsequence(all_readings(), 1..5), exact in 1_usize..6, due in any::<bool>(), all in happenings(22),
        restore_every in 1_usize..12, back in 0_i64..40,
    ) {
        let plan = Plan::new(readings, if due { LABEL_DELAY } else { 0 }, exact).unwrap();
        let (mut history, mut recount) = (EntityHistory::default(), Recount::default());
        for (n, (at, step)) in steps(&all, |rank| rank).into_iter().enumerate() {
            if n % restore_every == restore_every - 1 {
                history = restore(&bytes(&history, &plan), &plan).unwrap();
            }
            let order = all[n % all.len()].occurrence();
            for time in [order.time, at - back * HOUR, at] {
                compare(&plan, &history, &recount, &Occurrence { time, known_at: at, ..order });
                compare(&plan, &history, &recount, &Occurrence { time, known_at: at + 1, ..order });
            }
            learn(&mut history, &plan, &all, &step);
            match step {
                Step::Event(i) => recount.observe(&plan, &all[i].occurrence()),
                Step::Label(news) => recount.learn_label(&news),
            }
        }
    }
}
