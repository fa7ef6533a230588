//! Question: how long does one feature of one text take? Prints nanoseconds per call, the median of rounds over 1,000
//! different texts.
//!   `cargo run --release -p orderguard-features --example own_speed`
#![allow(clippy::print_stdout, missing_docs)]

use std::hint::black_box;
use std::time::Instant;

use orderguard_features::language::feature::{Place, TextFunction};
use orderguard_features::language::resolve::Derive;
use orderguard_features::own::tables::TableKind;
use orderguard_features::own::{Tables, derive_key_text, km, place, point, similarity, text_feature};
use orderguard_features::schema::Role;

const N_TEXTS: usize = 1_000;
const N_ROUNDS: usize = 101;

fn measure(name: &str, mut call: impl FnMut(usize)) {
    let mut rounds: Vec<f64> = (0..N_ROUNDS)
        .map(|_| {
            let start = Instant::now();
            for i in 0..N_TEXTS {
                call(i);
            }
            start.elapsed().as_nanos() as f64 / N_TEXTS as f64
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    println!("{name:<44} {:>7.0} ns", rounds[N_ROUNDS / 2]);
}

fn main() {
    const FIRST: [&str; 8] = ["Patricia", "Nathan", "Zoë", "Jacob", "Wei", "Christopher", "Ann", "Björn"];
    const LAST: [&str; 8] = ["Smith", "Osborne", "van der Berg", "Young", "Zhang", "Müller", "O'Neil", "Martinez"];
    const DOMAIN: [&str; 6] = ["gmail.com", "yahoo.co.uk", "shop.example", "Mail.Web.de", "hotmail.com", "lynch.org"];
    const STREET: [&str; 5] =
        ["Zachary Field Apt.", "Carlson Lane Suite", "Main St. #", "Fuentes Light Ave,", "Hauptstr."];
    let mix = |i: usize, n: usize| ((i * 2_654_435_761) >> 7) % n;
    let texts = |make: &dyn Fn(usize) -> String| -> Vec<String> { (0..N_TEXTS).map(make).collect() };
    let names = texts(&|i| format!("{} {}", FIRST[mix(i, 8)], LAST[mix(i + 5, 8)]));
    let emails = texts(&|i| {
        let (first, last) = (FIRST[mix(i, 8)], LAST[mix(i + 9, 8)].replace([' ', '\''], ""));
        format!("{first}.{last}{}@{}", i % 100, DOMAIN[mix(i, 6)])
    });
    let phones = texts(&|i| match i % 3 {
        0 => format!("+49 30 {:07}", i * 7_919),
        1 => format!("({}) 555-{:04}", 201 + i % 700, i),
        _ => format!("+1-{}-555-{:04}", 201 + i % 700, i),
    });
    let ips = texts(&|i| match i % 4 {
        0 => format!("2001:db8:{i:x}::{:x}", i * 7),
        1 => format!("192.0.2.{}", i % 256),
        _ => format!("{}.{}.{}.{}", 1 + i % 220, i % 256, (i * 7) % 256, (i * 13) % 256),
    });
    let cards = texts(&|i| format!("4{:05}******{:04}", mix(i, 100_000), i));
    let address =
        |i: usize| format!("{} {} {}, Springfield {:05}", i % 900, STREET[mix(i, 5)], i % 50, i * 17 % 90_000);
    let billing = texts(&address);
    let shipping =
        texts(&|i| if i % 3 == 0 { address(i).to_uppercase().replace("APT.", "Apartment") } else { address(i + 1) });
    let agents = texts(&|i| match i % 3 {
        0 => format!(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{i}.0 Safari/537.36"
        ),
        1 => format!(
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_{i} like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Safari/604.1"
        ),
        _ => format!("Opera/9.{i}.(X11; Linux x86_64; crh-UA) Presto/2.9.190 Version/12.00"),
    });
    let bins: Vec<String> = (0..100_000).map(|i| format!("4{i:05},US,credit,visa")).collect();
    let domains: Vec<String> = (0..10_000).map(|i| format!("d{i}.example")).chain(DOMAIN.map(str::to_owned)).collect();
    let tables = [
        (TableKind::Geo, include_bytes!("../tests/data/geo-test.mmdb").to_vec()),
        (TableKind::Bins, format!("bin,country,kind,brand\n{}", bins.join("\n")).into_bytes()),
        (TableKind::FreeDomains, domains.join("\n").into_bytes()),
    ]
    .into_iter()
    .try_fold(Tables::new(), |tables, (kind, bytes)| tables.with(kind, bytes))
    .expect("the tables are well formed");

    for (function, role, texts) in [
        (TextFunction::Valid, Role::Email, &emails),
        (TextFunction::Length, Role::Email, &emails),
        (TextFunction::DigitShare, Role::Email, &emails),
        (TextFunction::Entropy, Role::Email, &emails),
        (TextFunction::LongestRun, Role::Email, &emails),
        (TextFunction::Free, Role::Email, &emails),
        (TextFunction::Valid, Role::Phone, &phones),
        (TextFunction::Valid, Role::Ip, &ips),
        (TextFunction::Private, Role::Ip, &ips),
        (TextFunction::Valid, Role::Card, &cards),
        (TextFunction::Bot, Role::UserAgent, &agents),
    ] {
        measure(&format!("{function:?} of {role}"), |i| {
            black_box(text_feature(function, role, &texts[i], &tables));
        });
    }
    for (wanted, role, texts) in [
        (Place::EmailDomain, Role::Email, &emails),
        (Place::PhoneCountry, Role::Phone, &phones),
        (Place::IpCountry, Role::Ip, &ips),
        (Place::BinCountry, Role::Card, &cards),
        (Place::AgentFamily, Role::UserAgent, &agents),
    ] {
        measure(&format!("place {wanted:?}"), |i| {
            black_box(place(&wanted, role, &texts[i], &tables));
        });
    }
    for (derive, role, texts) in [
        (Derive::IpNetwork, Role::Ip, &ips),
        (Derive::Bin, Role::Card, &cards),
        (Derive::None, Role::Email, &emails),
        (Derive::None, Role::Phone, &phones),
        (Derive::None, Role::Ip, &ips),
        (Derive::None, Role::BillingAddress, &billing),
    ] {
        measure(&format!("key text {derive:?} of {role}"), |i| {
            black_box(derive_key_text(derive, role, &texts[i]));
        });
    }
    for (a_role, a, b_role, b) in [
        (Role::Email, &emails, Role::Name, &names),
        (Role::BillingAddress, &billing, Role::ShippingAddress, &shipping),
        (Role::Email, &emails, Role::Email, &emails),
        (Role::Name, &names, Role::Text, &names),
    ] {
        measure(&format!("similarity of {a_role} and {b_role}"), |i| {
            black_box(similarity(a_role, &a[i], b_role, &b[(i + 1) % N_TEXTS]));
        });
    }
    measure("point of ip", |i| {
        black_box(point(&ips[i], &tables));
    });
    measure("km", |i| {
        black_box(km((i as f64 / 20.0, 3.0), (51.5, i as f64 / 10.0)));
    });
}
