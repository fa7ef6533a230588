//! How long one order takes in a service, and where the time goes: JSON in, features from the history, score, decision, JSON out.
//!
//! `cargo run --release -p orderguard-inference --example order_race -- MODEL.ogm STATE.ogs ORDERS.jsonl`: one flat object a line,
//! all with the members of the first. `scripts/bench/order` makes them. The history stays as it is: what learning costs is measured
//! last.

#![allow(clippy::print_stdout, reason = "a program that reports")]

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use orderguard_features::identity::{IdentityKey, PUBLIC_KEY};
use orderguard_features::json::members;
use orderguard_features::parse::TimeParser;
use orderguard_features::schema::Role;
use orderguard_features::state::State;
use orderguard_features::time::UnixMillis;
use orderguard_inference::drift::DriftBins;
use orderguard_inference::json::{JsonScratch, OrderReader, write_answer};
use orderguard_inference::model::Model;
use orderguard_inference::reasons::{Language, ReasonScratch, Reasoner};
use orderguard_inference::rules::{Decider, Rules, Verdict};
use orderguard_inference::service::{OrderScorer, Scratch};
use orderguard_inference::{Decision, Scorer};

const N_REASONS: usize = 3;
/// How often all orders are answered.
const N_PASSES: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, state, orders] = &args[..] else { return Err("expected MODEL.ogm STATE.ogs ORDERS.jsonl".into()) };
    let model = Model::load(model)?;
    let text = std::fs::read_to_string(orders)?;
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    let mut names = Vec::new();
    members(lines.first().ok_or("expected orders, found none")?, &mut String::new(), |name, _, _| {
        names.push(name.to_owned());
        Ok(())
    })
    .map_err(|(at, fault)| format!("byte {at}: {fault}"))?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let scorer = OrderScorer::new(&model, IdentityKey::new(PUBLIC_KEY), &names)?;
    let state = scorer.restore(&std::fs::read(state)?)?;
    let service = Service {
        reader: OrderReader::new(&names),
        reasoner: Reasoner::compile(&model)?,
        bins: DriftBins::compile(&model).ok_or("expected a model that says how training orders were distributed")?,
        decider: Decider::new(scorer, &model, &names, &Rules::default())?,
        arrivals: arrivals(&model, &names, &lines)?,
        lines,
        state,
    };
    println!(
        "{} orders of {:.0} bytes, {} features, {} entities, {} learned orders",
        service.lines.len(),
        service.lines.iter().map(|line| line.len()).sum::<usize>() as f64 / service.lines.len() as f64,
        model.spec.len(),
        service.state.n_entities().iter().sum::<usize>(),
        service.state.position().n_orders,
    );
    service.race()
}

/// When each order came in: at its own time.
fn arrivals(model: &Model, names: &[&str], lines: &[&str]) -> Result<Vec<UnixMillis>, Box<dyn Error>> {
    let column = model.schema.find(Role::Time).ok_or("expected a model whose orders have times")?;
    let column = &model.schema.columns[column];
    let at = names.iter().position(|name| *name == column.name).ok_or("expected orders with times")?;
    let parser = TimeParser::new(column.format.ok_or("expected a time column with a format")?, &model.schema.timezone)?;
    let (reader, mut scratch) = (OrderReader::new(names), JsonScratch::default());
    let mut arrival = |line: &&str| -> Result<UnixMillis, Box<dyn Error>> {
        let text = reader.read(line, &mut scratch, |values| match values[at] {
            orderguard_features::event::Value::Text(text) => Ok(parser.parse(text)),
            _ => Err("expected a time"),
        })??;
        Ok(UnixMillis(text.map_err(|error| error.to_string())?))
    };
    lines.iter().map(&mut arrival).collect()
}

struct Service<'a> {
    reader: OrderReader,
    decider: Decider,
    reasoner: Reasoner,
    bins: DriftBins,
    state: State,
    lines: Vec<&'a str>,
    arrivals: Vec<UnixMillis>,
}

/// Memory of one thread.
struct Own {
    json: JsonScratch,
    row: Scratch,
    reasons: ReasonScratch,
    words: Vec<String>,
    answer: String,
}

impl Service<'_> {
    fn own(&self) -> Own {
        Own {
            json: JsonScratch::default(),
            row: self.decider.scorer().scratch(),
            reasons: ReasonScratch::default(),
            words: vec![String::new(); N_REASONS],
            answer: String::new(),
        }
    }

    /// The whole way of one order. `explain` says whether one that is approved gets reasons too.
    fn answer(&self, at: usize, explain: bool, own: &mut Own) -> Decision {
        let verdict = self.reader.read(self.lines[at], &mut own.json, |values| {
            self.decider.decide(&self.state, values, self.arrivals[at], &mut own.row)
        });
        let Ok(verdict) = verdict else { return Decision::Review };
        let n = if explain || verdict.decision != Decision::Approve { self.explain(&verdict, own) } else { 0 };
        own.answer.clear();
        let words = own.words[..n].iter().map(String::as_str);
        write_answer("order", &verdict, "model", words, &mut own.answer);
        black_box(&own.answer);
        verdict.decision
    }

    /// How many reasons there are.
    fn explain(&self, verdict: &Verdict, own: &mut Own) -> usize {
        let Some(score) = &verdict.score else { return 0 };
        let row = own.row.row();
        let Ok(reasons) = self.reasoner.reasons(row, score.raw_score, &mut own.reasons) else { return 0 };
        let against = reasons.iter().take_while(|reason| reason.log_odds > 0.0);
        against
            .zip(&mut own.words)
            .map(|(reason, words)| {
                words.clear();
                self.reasoner.write(reason, row, Language::English, words);
            })
            .count()
    }

    fn race(mut self) -> Result<(), Box<dyn Error>> {
        let mut own = self.own();
        let mut n_stopped = 0;
        for at in 0..self.lines.len() {
            n_stopped += usize::from(self.answer(at, true, &mut own) != Decision::Approve);
        }
        println!("{n_stopped} of them are not approved\n");
        println!("{:<44} {:>8} {:>8} {:>8} {:>9}", "microseconds for one order", "p50", "p90", "p99", "most");
        let n = self.lines.len();
        let mut own = self.own();
        // A neighbour on the same machine makes a pass slow as a whole: the calmest of several counts, and all are told.
        let mut passes: Vec<(Vec<Duration>, Vec<Decision>)> =
            (0..N_PASSES).map(|_| (0..n).map(|at| timed(|| self.answer(at, false, &mut own))).unzip()).collect();
        passes.sort_by_key(|(times, _)| at_share(times, 0.99));
        let all: Vec<String> = passes.iter().map(|(times, _)| micros(at_share(times, 0.99))).collect();
        let (times, decisions) = passes.swap_remove(0);
        let of = |stopped: bool| -> Vec<Duration> {
            let is_it = |(_, decision): &(&Duration, &Decision)| (**decision != Decision::Approve) == stopped;
            times.iter().zip(&decisions).filter(is_it).map(|(time, _)| *time).collect()
        };
        print("approved: JSON in to JSON out", &of(false));
        print("not approved: the same with three reasons", &of(true));
        println!("p99 of all orders in {N_PASSES} passes: {} (above: the first)", all.join(", "));
        print(
            "any, with three reasons",
            &(0..n).map(|at| timed(|| self.answer(at, true, &mut own)).0).collect::<Vec<_>>(),
        );

        println!("\nwhere the time goes (each part by itself, in the same order)");
        let read = |at: usize, own: &mut Own| self.reader.read(self.lines[at], &mut own.json, |values| values.len());
        print("read the JSON", &(0..n).map(|at| timed(|| read(at, &mut own)).0).collect::<Vec<_>>());
        let features = |at: usize, own: &mut Own| {
            self.reader.read(self.lines[at], &mut own.json, |values| {
                let began = Instant::now();
                let done = self.decider.scorer().features(&self.state, values, self.arrivals[at], &mut own.row);
                (began.elapsed(), done)
            })
        };
        let mut rows = Vec::new();
        let mut times = Vec::with_capacity(n);
        for at in 0..n {
            let (time, done) = features(at, &mut own)?;
            done?;
            times.push(time);
            rows.push(own.row.row().to_vec());
        }
        print("features from the history", &times);
        let scorer: &Scorer = self.decider.scorer().scorer();
        print("score and decide", &rows.iter().map(|row| timed(|| scorer.score(row)).0).collect::<Vec<_>>());
        let scores: Vec<_> = rows.iter().map(|row| scorer.score(row)).collect::<Result<_, _>>()?;
        let mut counts = self.bins.counts();
        let count = rows
            .iter()
            .zip(&scores)
            .map(|(row, score)| timed(|| self.bins.observe(row, score.raw_score, &mut counts)).0);
        print("count for drift", &count.collect::<Vec<_>>());
        let reasons = rows.iter().zip(&scores).map(|(row, score)| {
            timed(|| self.reasoner.reasons(row, score.raw_score, &mut own.reasons).map(<[_]>::len)).0
        });
        print("rank the reasons", &reasons.collect::<Vec<_>>());
        let nothing: Vec<Duration> = (0..n).map(|_| timed(|| ()).0).collect();
        print("nothing (what the clock costs)", &nothing);
        drift(&self.bins, &rows, scores.iter().map(|score| score.raw_score).collect::<Vec<_>>().as_slice());

        println!("\nlearning the order afterwards");
        let mut times = Vec::with_capacity(n);
        let scorer = self.decider.scorer();
        for at in 0..n {
            self.reader.read(self.lines[at], &mut own.json, |values| {
                scorer.features(&self.state, values, self.arrivals[at], &mut own.row)
            })??;
            let began = Instant::now();
            black_box(scorer.learn(&mut self.state, &own.row));
            times.push(began.elapsed());
        }
        print("learn", &times);
        Ok(())
    }
}

/// What counting costs where orders come one behind the other: the fastest of several runs, without the clock.
fn drift(bins: &DriftBins, rows: &[Vec<f32>], raw: &[f64]) {
    let mut counts = bins.counts();
    let runs = (0..9).map(|_| {
        timed(|| {
            for (row, &raw) in rows.iter().zip(raw) {
                let _ = bins.observe(row, raw, &mut counts);
            }
            black_box(&counts);
        })
        .0
    });
    let fastest = runs.min().unwrap_or_default().as_nanos() as f64 / rows.len() as f64;
    println!(
        "{:<44} {:>8.3} of which for one feature {:.1} ns",
        "count for drift, one behind the other",
        fastest / 1e3,
        fastest / bins.n_features() as f64
    );
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let began = Instant::now();
    let result = black_box(work());
    (began.elapsed(), result)
}

fn print(name: &str, times: &[Duration]) {
    if times.is_empty() {
        println!("{name:<44} {:>8}", "none");
        return;
    }
    let [half, most, nearly_all, all] = [0.5, 0.9, 0.99, 1.0].map(|share| micros(at_share(times, share)));
    println!("{name:<44} {half:>8} {most:>8} {nearly_all:>8} {all:>9}");
}

/// The time within which this share of all lies; 0 of none.
fn at_share(times: &[Duration], share: f64) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    let last = times.len().saturating_sub(1);
    times.get((share * last as f64) as usize).copied().unwrap_or_default()
}

fn micros(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1e6)
}
