//! The shop's own tables: an error, or a table that answers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use orderguard_features::own::tables::{TableKind, Tables};
use orderguard_features::schema::Role;

fuzz_target!(|data: &[u8]| {
    let Some((&choice, rest)) = data.split_first() else { return };
    let kind = [TableKind::Geo, TableKind::Bins, TableKind::FreeDomains, TableKind::DisposableDomains]
        [usize::from(choice) % 4];
    let Ok(tables) = Tables::new().with(kind, rest.to_vec()) else { return };
    assert!(tables.has(kind) && tables.hash(kind).is_some());
    if let Some(geo) = tables.geo() {
        for address in ["1.2.3.4", "::1", "255.255.255.255", "2001:db8::7", "81.2.69.142", "0.0.0.0"] {
            let address = address.parse().expect("an address");
            let _ = (geo.country(address).map(str::len), geo.point(address));
        }
    }
    if let Some(bins) = tables.bins() {
        for text in ["411111", "4111111111111111", "5", "", "99999999"] {
            let _ = bins.find(Role::Card, text).map(|facts| facts.country.map(str::len));
        }
    }
    for domains in [tables.free_domains(), tables.disposable_domains()].into_iter().flatten() {
        let _ = (domains.holds("a@mail.example"), domains.holds("@"), domains.len());
    }
});
