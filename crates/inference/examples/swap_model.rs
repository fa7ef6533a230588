//! Models that take each other's place while threads score orders: no order is left without a decision, and each decision comes
//! of one model alone.
//!
//! ```text
//! cargo run --release -- train --data datasets/orders-sample.csv.zst --out models/latest
//! cargo run --release -- train --data datasets/orders-sample.csv.zst --out models/next --seed 2
//! cargo run --release -- simulate --orders-only --one-currency -o orders.csv
//! cargo run --release -p orderguard-inference --example swap_model -- orders.csv models/latest/model.ogm models/next/model.ogm
//! ```
//!
//! What makes a decision stands behind one pointer: `arc_swap` hands it out without a lock, and a model lives until the last order
//! that began with it is done. History belongs to features, not to models: models whose features remember the same share it, and
//! one that remembers something else needs a state of its own, made by `orderguard features` or a replay, in its [`Deployed`].
#![allow(clippy::print_stdout, reason = "the program's output")]

use std::collections::HashMap;
use std::error::Error;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use orderguard_features::event::{OrderError, Value};
use orderguard_features::identity::{IdentityKey, PUBLIC_KEY};
use orderguard_features::state::State;
use orderguard_features::time::UnixMillis;
use orderguard_inference::Score;
use orderguard_inference::audit::model_id;
use orderguard_inference::model::Model;
use orderguard_inference::service::{OrderScorer, Scratch};

/// Everything that a decision is made of, swapped as one.
pub struct Deployed {
    /// What tells the model from others.
    pub id: Arc<str>,
    /// The model, bound to the columns of orders.
    pub scorer: OrderScorer,
    /// What is remembered; shared by models that remember the same.
    pub state: Arc<Mutex<State>>,
}

/// A decision and what made it.
pub struct Decided {
    /// Which model.
    pub model: Arc<str>,
    /// What it says.
    pub score: Score,
    /// From which raw score on it stops orders.
    pub threshold: f64,
}

/// What a run came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Orders that have a decision.
    pub decided: usize,
    /// Orders that could not be read.
    pub refused: usize,
    /// Decisions that the model they name would not make: 0.
    pub mixed: usize,
    /// Decisions by model, in the order of the models.
    pub by_model: Vec<usize>,
    /// How often a model took another's place.
    pub swaps: usize,
}

/// Decides about one order with the model that is in charge when it begins, and learns it.
fn decide(
    current: &ArcSwap<Deployed>,
    values: &[Value<'_>],
    arrival: UnixMillis,
    scratch: &mut Scratch,
) -> Result<Decided, OrderError> {
    // Taken once: whatever is put in charge meanwhile, this order's features, score and threshold are of this model.
    let deployed = current.load();
    {
        let mut state = deployed.state.lock().expect("no thread panics while it holds the state");
        deployed.scorer.features(&state, values, arrival, scratch)?;
        deployed.scorer.learn(&mut state, scratch);
    }
    let score = deployed.scorer.judge(scratch).expect("the features are this model's");
    Ok(Decided { model: deployed.id.clone(), score, threshold: deployed.scorer.scorer().threshold().raw_score })
}

/// Puts models, which must remember the same, behind the names of an order's values.
pub fn deploy(models: &[Model], key: &IdentityKey, names: &[&str]) -> Result<Vec<Arc<Deployed>>, Box<dyn Error>> {
    let mut deployed: Vec<Arc<Deployed>> = Vec::new();
    for model in models {
        let scorer = OrderScorer::new(model, key.clone(), names)?;
        let state = match deployed.first() {
            None => Arc::new(Mutex::new(scorer.new_state())),
            Some(first) => first.state.clone(),
        };
        state.lock().map_err(|_| "a thread gave up")?.check_layout(scorer.extractor())?;
        deployed.push(Arc::new(Deployed { id: model_id(model).into(), scorer, state }));
    }
    Ok(deployed)
}

/// Scores orders on `n_threads` threads while the models take turns, `pause` apart, and proves each decision.
pub fn run(models: &[Arc<Deployed>], orders: &[Vec<Value<'_>>], n_threads: usize, pause: Duration) -> Tally {
    let current = ArcSwap::new(models[0].clone());
    let place: HashMap<&str, usize> = models.iter().enumerate().map(|(i, model)| (&*model.id, i)).collect();
    let (next, is_done) = (AtomicUsize::new(0), AtomicBool::new(false));
    let serve = || {
        let mut tally = Tally { by_model: vec![0; models.len()], ..Tally::default() };
        let mut scratch = models[0].scorer.scratch();
        while let Some(values) = orders.get(next.fetch_add(1, Ordering::Relaxed)) {
            let Ok(decided) = decide(&current, values, ARRIVAL, &mut scratch) else {
                tally.refused += 1;
                continue;
            };
            let at = place[&*decided.model];
            tally.decided += 1;
            tally.by_model[at] += 1;
            // The model that the decision names, asked again about the same features.
            let named = models[at].scorer.scorer();
            let is_its = named.score(scratch.row()) == Ok(decided.score)
                && named.threshold().raw_score.to_bits() == decided.threshold.to_bits();
            tally.mixed += usize::from(!is_its);
        }
        tally
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..n_threads).map(|_| scope.spawn(serve)).collect();
        let swapper = scope.spawn(|| {
            let mut swaps = 0;
            while !is_done.load(Ordering::Relaxed) {
                swaps += 1;
                current.store(models[swaps % models.len()].clone());
                std::thread::sleep(pause);
            }
            swaps
        });
        let mut sum = Tally { by_model: vec![0; models.len()], ..Tally::default() };
        for thread in threads {
            let tally = thread.join().expect("serving does not panic");
            sum.decided += tally.decided;
            sum.refused += tally.refused;
            sum.mixed += tally.mixed;
            sum.by_model.iter_mut().zip(tally.by_model).for_each(|(sum, n)| *sum += n);
        }
        is_done.store(true, Ordering::Relaxed);
        sum.swaps = swapper.join().expect("swapping does not panic");
        sum
    })
}

/// All orders come in at this moment; a service asks its clock.
const ARRIVAL: UnixMillis = UnixMillis(1_800_000_000_000);

fn read(path: &str) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{path}: {error}"))
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [orders, first, rest @ ..] = args.as_slice() else {
        return Err("usage: swap_model ORDERS.csv MODEL MODEL...".into());
    };
    let text = String::from_utf8(read(orders)?).map_err(|error| format!("{orders}: {error}"))?;
    let (header, rows) = text.split_once('\n').ok_or("the file has no rows")?;
    let names: Vec<&str> = header.trim_end().split(',').collect();
    if rows.contains('"') {
        return Err("this example splits at commas and cannot read quoted fields".into());
    }
    let orders: Vec<Vec<Value<'_>>> = rows.lines().map(|line| line.split(',').map(Value::Text).collect()).collect();
    let load = |path: &String| Model::from_bytes(&read(path)?).map_err(|error| format!("{path}: {error}"));
    let models: Vec<Model> = std::iter::once(first).chain(rest).map(load).collect::<Result<_, _>>()?;
    let deployed = deploy(&models, &IdentityKey::new(PUBLIC_KEY), &names)?;
    let start = Instant::now();
    let tally = run(&deployed, &orders, 2, Duration::from_micros(200));
    let seconds = start.elapsed().as_secs_f64();
    println!("{} orders decided, {} unreadable, in {seconds:.2} s on 2 threads", tally.decided, tally.refused);
    for (model, n) in deployed.iter().zip(&tally.by_model) {
        println!("  {n} by model {}", model.id);
    }
    println!("{} swaps, one every 200 us at most; {} decisions mixed of two models", tally.swaps, tally.mixed);
    if tally.mixed > 0 || tally.decided + tally.refused != orders.len() {
        return Err("an order was dropped, or its decision is of two models".into());
    }
    Ok(())
}
