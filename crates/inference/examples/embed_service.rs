//! A service that embeds orderguard: orders come in one after the other and are scored and learned by several threads,
//! labels arrive later, and the history is saved at the end.
//!
//! ```text
//! cargo run --release -- train --data datasets/orders-sample.csv.zst
//! cargo run --release -- simulate --orders-only --one-currency -o orders.csv
//! cargo run --release -p orderguard-inference --example embed_service -- models/latest orders.csv --cold-start
//! ```
//!
//! The second command writes the sample uncompressed; the third plays it as if it happened now. `--cold-start` begins
//! without history, because these orders are part of the history in `state.ogs` already; leave it out for newer ones.
//! Where `ORDERGUARD_KEY_FILE` names a key file, identifiers are hashed with it, as in training.
#![allow(clippy::print_stdout, reason = "the program's output")]

use std::collections::VecDeque;
use std::error::Error;
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use orderguard_features::event::Value;
use orderguard_features::identity::{IdentityKey, PUBLIC_KEY};
use orderguard_features::parse::TimeParser;
use orderguard_features::schema::{Role, Schema};
use orderguard_features::state::{Learned, State};
use orderguard_features::table::MISSING_I64;
use orderguard_features::time::UnixMillis;
use orderguard_inference::Decision;
use orderguard_inference::model::Model;
use orderguard_inference::service::OrderScorer;

const N_THREADS: usize = 2;
/// Stopped orders that are printed in full.
const N_SHOWN: u64 = 10;

/// What reaches the service, in the order in which the shop comes to know it.
enum Message<'a> {
    Order { id: &'a str, line: &'a str, arrival: UnixMillis },
    Label { order_id: &'a str, time: UnixMillis, fraud: bool },
}

/// What one lock protects. The feed stands for the network: an order arrives when a thread takes it.
struct Shared<'a> {
    state: State,
    feed: VecDeque<Message<'a>>,
}

/// What one thread did.
#[derive(Default)]
struct Counts {
    scored: u64,
    stopped: u64,
    refused: u64,
    repeated: u64,
    labels: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let cold_start = args.iter().any(|arg| arg == "--cold-start");
    args.retain(|arg| arg != "--cold-start");
    let [folder, orders] = args.as_slice() else {
        return Err("usage: embed_service FOLDER ORDERS.csv [--cold-start], such as models/latest orders.csv".into());
    };
    let folder = Path::new(folder);

    // Once, at start: the model, the key, and the names under which orders will come.
    let model = Model::load(folder.join("model.ogm"))?;
    let text = std::fs::read_to_string(orders)?;
    let (header, rows) = text.split_once('\n').ok_or("the file has no rows")?;
    let names: Vec<&str> = header.trim_end().split(',').collect();
    let scorer = OrderScorer::new(&model, identity_key()?, &names)?;
    let state =
        if cold_start { scorer.new_state() } else { scorer.restore(&std::fs::read(folder.join("state.ogs"))?)? };

    let feed = read_feed(&model.schema, &names, rows)?;
    let shared = Mutex::new(Shared { state, feed });
    let start = Instant::now();
    let done: Vec<Counts> = std::thread::scope(|scope| {
        let (scorer, shared) = (&scorer, &shared);
        let threads: Vec<_> = (0..N_THREADS).map(|i| scope.spawn(move || serve(i, scorer, shared))).collect();
        threads.into_iter().map(|thread| thread.join().expect("serving does not panic")).collect()
    });
    let seconds = start.elapsed().as_secs_f64();

    let sum = |count: fn(&Counts) -> u64| done.iter().map(count).sum::<u64>();
    let scored = sum(|c| c.scored);
    println!("{scored} orders scored, {} stopped, {} refused as unreadable", sum(|c| c.stopped), sum(|c| c.refused));
    println!("{} order ids were known already; {} labels learned", sum(|c| c.repeated), sum(|c| c.labels));
    println!("{seconds:.2} s, {:.0} orders per second on {N_THREADS} threads", scored as f64 / seconds);

    // A reader of the file sees the old history or the new one, never half of either.
    let shared = shared.into_inner().map_err(|_| "a thread gave up while it held the state")?;
    let saved = folder.join("service-state.ogs");
    let sibling = folder.join("service-state.ogs.new");
    std::fs::write(&sibling, scorer.snapshot(&shared.state))?;
    std::fs::rename(&sibling, &saved)?;
    println!("history saved to {}", saved.display());
    Ok(())
}

/// One thread of the service.
fn serve(thread: usize, scorer: &OrderScorer, shared: &Mutex<Shared<'_>>) -> Counts {
    let mut counts = Counts::default();
    // Scratch space is the thread's own, so that scoring allocates nothing.
    let mut scratch = scorer.scratch();
    let mut values: Vec<Value<'_>> = Vec::new();
    loop {
        // The lock is held for the feature step only: read what is known of the order's entities, then learn the order.
        let order_id = {
            let mut guard = shared.lock().expect("no thread panics while it holds the state");
            let Shared { state, feed } = &mut *guard;
            match feed.pop_front() {
                None => return counts,
                Some(Message::Label { order_id, time, fraud }) => {
                    counts.labels += u64::from(scorer.learn_label(state, order_id, time, fraud) == Learned::Taken);
                    continue;
                }
                Some(Message::Order { id, line, arrival }) => {
                    values.clear();
                    values.extend(line.split(',').map(Value::Text));
                    if let Err(error) = scorer.features(state, &values, arrival, &mut scratch) {
                        // Names the column and what was expected, never an e-mail, phone or address value.
                        counts.refused += 1;
                        println!("thread {thread}: {error}");
                        continue;
                    }
                    counts.repeated += u64::from(scorer.learn(state, &scratch) == Learned::Ignored);
                    id
                }
            }
        };
        // Judging needs no lock: model and scratch are enough.
        match scorer.judge(&scratch) {
            Ok(score) => {
                counts.scored += 1;
                if score.decision != Decision::Approve {
                    counts.stopped += 1;
                    if counts.stopped <= N_SHOWN / N_THREADS as u64 {
                        println!(
                            "thread {thread}: {order_id} {} at probability {:.3}",
                            score.decision, score.probability
                        );
                    }
                }
            }
            Err(error) => println!("thread {thread}: {error}"),
        }
    }
}

/// Orders by the time they happened, labels by the time they were learned. A real service gets both from outside.
fn read_feed<'a>(schema: &Schema, names: &[&str], rows: &'a str) -> Result<VecDeque<Message<'a>>, Box<dyn Error>> {
    if rows.contains('"') {
        return Err("this example splits at commas and cannot read quoted fields".into());
    }
    let place = |role: Role| {
        let name = &schema.columns[schema.find(role)?].name;
        names.iter().position(|n| n == name)
    };
    let parser = |role: Role| -> Result<Option<TimeParser>, Box<dyn Error>> {
        let Some(format) = schema.find(role).and_then(|column| schema.columns[column].format) else { return Ok(None) };
        Ok(Some(TimeParser::new(format, &schema.timezone)?))
    };
    let order_time = parser(Role::Time)?.ok_or("the model has no time column, so there is no history to serve")?;
    let label_time = parser(Role::LabelTime)?;
    let mut feed = Vec::new();
    for line in rows.lines() {
        let cells: Vec<&str> = line.split(',').collect();
        let cell = |role: Role| place(role).and_then(|place| cells.get(place).copied()).unwrap_or("");
        // Live, the arrival is the clock's; here it is the order's own time.
        let arrival = match order_time.parse(cell(Role::Time)) {
            Ok(ms) if ms != MISSING_I64 => UnixMillis(ms),
            _ => continue,
        };
        let id = cell(Role::Id);
        feed.push((arrival, 0, Message::Order { id, line, arrival }));
        let due = arrival.plus(schema.label_delay);
        let fraud = cell(Role::Label) == "1";
        let learned = label_time.as_ref().and_then(|parser| parser.parse(cell(Role::LabelTime)).ok());
        let learned = learned.filter(|&ms| ms != MISSING_I64).map(UnixMillis);
        // An honest label matters when it comes early: without one, the order counts as honest when its label is due.
        let time = if fraud { Some(learned.unwrap_or(due)) } else { learned.filter(|&time| time < due) };
        let labelled = !cell(Role::Label).is_empty();
        if let Some(time) = time.filter(|_| labelled) {
            feed.push((time, 1, Message::Label { order_id: id, time, fraud }));
        }
    }
    feed.sort_by_key(|(time, kind, _)| (*time, *kind));
    Ok(feed.into_iter().map(|(_, _, message)| message).collect())
}

/// The key that hashes identifiers: the one of training.
fn identity_key() -> Result<IdentityKey, Box<dyn Error>> {
    match std::env::var_os("ORDERGUARD_KEY_FILE") {
        Some(path) => Ok(IdentityKey::new(std::fs::read(path)?.trim_ascii_end())),
        None => Ok(IdentityKey::new(PUBLIC_KEY)),
    }
}
