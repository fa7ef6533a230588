//! How long does a picture of a state with a million customers stop a service, and how long do the events after it take?
//!
//! `cargo run --release -p orderguard-features --example freeze`
#![allow(clippy::print_stdout)]

use std::time::{Duration, Instant};

use orderguard_features::event::{Event, Value};
use orderguard_features::extract::Extractor;
use orderguard_features::identity::IdentityKey;
use orderguard_features::language::feature::Feature;
use orderguard_features::language::spec::FeatureSpec;
use orderguard_features::schema::{Available, Column, Role, Schema, TimeFormat};
use orderguard_features::state::State;
use orderguard_features::time::{Span, UnixMillis};

const NAMES: [&str; 6] = ["id", "time", "customer", "device", "email", "amount"];
const N: u64 = 1_000_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let roles = [Role::Id, Role::Time, Role::Customer, Role::Device, Role::Email, Role::Amount];
    let columns = NAMES.iter().zip(roles).map(|(name, role)| Column {
        name: (*name).into(),
        role,
        available: Available::Order,
        format: (role == Role::Time).then_some(TimeFormat::EpochMillis),
    });
    let schema =
        Schema { timezone: "UTC".into(), label_delay: Span::days(30), amount_decimals: 2, columns: columns.collect() };
    let features = [
        "count(order) by customer over 7d",
        "sum(amount) by customer over 30d",
        "count(order) by device over 1d",
        "count(order) by email over 30d",
        "count(order) by customer + device over 30d",
        "fraud_rate by device over 30d",
        "cluster_size",
    ];
    let features = features.iter().map(|text| Feature::parse(text)).collect::<Result<_, _>>()?;
    let spec = FeatureSpec { features, ..FeatureSpec::default() };
    let extractor = Extractor::new(&schema, &spec, IdentityKey::new(b"freeze"))?;
    let binding = extractor.bind(&NAMES)?;
    let mut state = State::new(&extractor);
    let mut event = Event::default();
    let mut learn = |state: &mut State, n: u64| -> Result<Duration, Box<dyn std::error::Error>> {
        let time = 1_600_000_000_000 + n as i64 * 5_000;
        let customer = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
        let cells = [
            format!("o{n}"),
            time.to_string(),
            format!("c{}", if n < N { n } else { customer % N }),
            format!("d{}", n % (N / 2)),
            format!("m{}", n % N),
            format!("{}.99", n % 300),
        ];
        let values: Vec<Value<'_>> = cells.iter().map(|cell| Value::Text(cell)).collect();
        extractor.read_event(&binding, &values, UnixMillis(time), &mut event)?;
        let start = Instant::now();
        state.learn(&extractor, &event);
        Ok(start.elapsed())
    };
    for n in 0..N {
        learn(&mut state, n)?;
    }
    let percentiles = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
        format!("p50 {:?}, p99 {:?}, most {:?}", at(0.5), at(0.99), at(1.0))
    };
    let mut quiet = (N..N + 100_000).map(|n| learn(&mut state, n)).collect::<Result<Vec<_>, _>>()?;
    let mut freezes = Vec::new();
    let mut after = Vec::new();
    let mut frozen = None;
    for picture in 0..20 {
        let start = Instant::now();
        let now = state.freeze();
        freezes.push(start.elapsed());
        frozen = Some(now);
        let first = N + 100_000 + picture * 2_000;
        for n in first..first + 2_000 {
            after.push(learn(&mut state, n)?);
        }
    }
    let sizes = state.sizes(&extractor);
    println!(
        "{} entities, {} orders, {} MB",
        sizes.entities.iter().map(|e| e.n).sum::<u64>(),
        sizes.n_orders,
        sizes.bytes() >> 20
    );
    println!("freeze: {}", percentiles(&mut freezes));
    println!("learn without pictures: {}", percentiles(&mut quiet));
    println!("learn right after pictures: {}", percentiles(&mut after));
    if let Some(frozen) = frozen {
        let start = Instant::now();
        let bytes = frozen.to_bytes(&extractor);
        println!("file: {} MB in {:?}", bytes.len() >> 20, start.elapsed());
        let start = Instant::now();
        let restored = State::from_bytes(&bytes, &extractor)?;
        println!("restored {} orders in {:?}", restored.n_open_orders(), start.elapsed());
    }
    Ok(())
}
