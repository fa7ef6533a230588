//! Schema inference from files that hold orders and other events.

use std::fmt::Write;

use orderguard_dataset::infer::{InferError, InferOptions, Note, Proposal, infer};
use orderguard_dataset::profile::Profile;
use orderguard_dataset::read::{ReadOptions, read};
use orderguard_dataset::scan::profile;
use orderguard_dataset::source::{Input, SourceOptions, Sources};
use orderguard_features::kind::EventKind;
use orderguard_features::schema::{Available, Role};

const HEADER: &str = "event_id,event_type,order_id,occurred_at,received_at,user_id,ip,amount,coupon_code,card_bin,basket_hash,\
    full_name,useragent,ip_country,country,billing_zip,shipping_lat,shipping_lon,claim_reason,label\n";

/// 400 orders, each with a log-in before it; every fifth is returned, every twentieth charged back.
fn stream(without: &[&str]) -> String {
    let mut rows = String::from(HEADER);
    let mut n = 0;
    let mut event_id = || {
        n += 1;
        format!("e{n}")
    };
    for i in 0..400 {
        let day = format!("2024-{:02}-{:02}", 1 + i / 100, 1 + i % 28);
        let (user, ip) = (format!("u{}", i % 150), format!("10.0.{}.{}", i % 7, i % 200));
        writeln!(rows, "{},login,,{day} 09:00:00,{day} 09:00:01,{user},{ip},,,,,,,,,,,,,", event_id()).unwrap();
        writeln!(
            rows,
            "{},order,o{i},{day} 10:00:00,{day} 10:00:0{},{user},{ip},{}.50,SAVE{},{},b{},Ann {i},Mozilla/5.0 ({i}),{},{},{:05},5{}.25,1{}.5,,",
            event_id(), i % 10, 10 + i % 90, i % 60, 400_000 + i % 40, i % 300, ["DE", "FR", "PL"][i % 3], ["DE", "FR"][i % 2],
            10_000 + i, i % 9, i % 9
        )
        .unwrap();
        if i % 5 == 0 {
            let reason = ["damaged", "not_as_described"][i / 5 % 2];
            writeln!(rows, "{},return,o{i},{day} 20:00:00,,,,,,,,,,,,,,,{reason},", event_id()).unwrap();
        }
        if i % 20 == 0 {
            writeln!(rows, "{},chargeback,o{i},{day} 23:00:00,,,,,,,,,,,,,,,,{}", event_id(), i32::from(i % 40 == 0))
                .unwrap();
        }
    }
    let table: Vec<Vec<&str>> = rows.lines().map(|line| line.split(',').collect()).collect();
    let kept: Vec<usize> = (0..table[0].len()).filter(|&i| !without.contains(&table[0][i])).collect();
    table.iter().map(|row| kept.iter().map(|&i| row[i]).collect::<Vec<_>>().join(",") + "\n").collect()
}

fn open(name: &str, text: impl Into<Vec<u8>>) -> Sources {
    let input = Input::Bytes { name: name.into(), bytes: text.into() };
    Sources::open(vec![input], SourceOptions { block_bytes: 5_000, ..SourceOptions::default() }).unwrap()
}

fn scan(sources: &Sources) -> (Profile, Proposal) {
    let profile = profile(sources, &|_, _| {}).unwrap();
    let proposal = infer(&profile, &InferOptions::default()).unwrap_or_else(|error| panic!("{error}"));
    (profile, proposal)
}

#[track_caller]
fn check(proposal: &Proposal, expected: &[(&str, Role)]) {
    for &(name, role) in expected {
        let found = proposal.table().find(|row| row.name == name).unwrap_or_else(|| panic!("no column {name}"));
        assert_eq!(found.role, role, "{name}: {}", found.reason);
    }
}

const ROLES: [(&str, Role); 19] = [
    ("event_id", Role::EventId),
    ("event_type", Role::Event),
    ("order_id", Role::Id),
    ("occurred_at", Role::Time),
    ("received_at", Role::KnownAt),
    ("user_id", Role::Customer),
    ("ip", Role::Ip),
    ("amount", Role::Amount),
    ("coupon_code", Role::Coupon),
    ("card_bin", Role::Bin),
    ("basket_hash", Role::Basket),
    ("full_name", Role::Name),
    ("useragent", Role::UserAgent),
    ("ip_country", Role::IpCountry),
    ("country", Role::BillingCountry),
    ("billing_zip", Role::BillingPostcode),
    ("shipping_lat", Role::ShippingLatitude),
    ("shipping_lon", Role::ShippingLongitude),
    ("claim_reason", Role::Category),
];

#[test]
fn a_stream_tells_orders_from_other_events() {
    let (profile, proposal) = scan(&open("stream.csv", stream(&[])));
    check(&proposal, &ROLES);
    check(&proposal, &[("label", Role::Label)]);
    let row = |name: &str| proposal.table().find(|row| row.name == name).unwrap();
    assert_eq!(row("claim_reason").available, Available::Later);
    assert!(row("claim_reason").reason.contains("only other events"), "{}", row("claim_reason").reason);
    assert_eq!(row("amount").available, Available::Order);
    assert_eq!(
        row("event_type").reason,
        "name and values say kinds of events: 400 order, 80 return, 20 chargeback, 400 login"
    );
    assert!(row("country").reason.contains("taken as the bill's"));
    let events = profile.events.as_ref().unwrap();
    assert_eq!((profile.n_rows, events.n_rows, events.column.as_deref()), (400, 500, Some("event_type")));
    assert_eq!(events.columns.len(), profile.columns.len());
}

#[test]
fn streams_of_json_lines_and_of_shuffled_rows_are_the_same() {
    let text = stream(&[]);
    let (expected, _) = scan(&open("stream.csv", text.clone()));
    let header: Vec<&str> = text.lines().next().unwrap().split(',').collect();
    let objects = |line: &str| {
        let members: Vec<String> = header
            .iter()
            .zip(line.split(','))
            .map(
                |(name, cell)| {
                    if cell.is_empty() { format!("\"{name}\": null") } else { format!("\"{name}\": \"{cell}\"") }
                },
            )
            .collect();
        format!("{{{}}}\n", members.join(", "))
    };
    let json: String = text.lines().skip(1).map(objects).collect();
    let (found, proposal) = scan(&open("stream.jsonl", json));
    check(&proposal, &ROLES);
    assert_eq!(found.n_rows, expected.n_rows);
    for (a, b) in found
        .columns
        .iter()
        .zip(&expected.columns)
        .chain(found.events.iter().flat_map(|e| &e.columns).zip(expected.events.iter().flat_map(|e| &e.columns)))
    {
        assert_eq!((&a.name, a.n_missing, a.n_distinct, &a.top), (&b.name, b.n_missing, b.n_distinct, &b.top));
    }
}

#[test]
fn files_of_events_add_their_columns() {
    let text = stream(&["event_type", "label", "claim_reason", "event_id"]);
    let of = |kind: &str| -> Vec<&str> {
        let all = stream(&[]);
        let kinds: Vec<bool> = all.lines().skip(1).map(|line| line.split(',').nth(1) == Some(kind)).collect();
        text.lines().skip(1).zip(kinds).filter(|(_, is)| *is).map(|(line, _)| line).collect()
    };
    let header = text.lines().next().unwrap();
    let orders = format!("{header}\n{}\n", of("order").join("\n"));
    let mut sources = open("orders.csv", orders);
    let mut add = |kind: &str, text: String| {
        let input = Input::Bytes { name: format!("{kind}.csv"), bytes: text.into() };
        sources.add_events(EventKind::from_name(kind), input).unwrap();
    };
    add("login", format!("{header}\n{}\n", of("login").join("\n")));
    add(
        "contact",
        "occurred_at,user_id,topic\n2024-01-01,u1,delivery\n2024-01-02,u2,refund\n2024-01-02,u2,refund\n".into(),
    );
    add("chargeback", "occurred_at,order_id\n2024-02-01,o1\n2024-02-02,o2\n".into());
    let (profile, proposal) = scan(&sources);
    check(
        &proposal,
        &ROLES.iter().copied().filter(|(name, _)| proposal.schema.position(name).is_some()).collect::<Vec<_>>(),
    );
    check(&proposal, &[("topic", Role::Category)]);
    assert_eq!(proposal.schema.columns[proposal.schema.position("topic").unwrap()].available, Available::Later);
    assert!(proposal.schema.find(Role::Label).is_none(), "chargebacks are the labels");
    assert_eq!(
        profile.events.unwrap().kinds,
        [(EventKind::Chargeback, 2), (EventKind::Contact, 3), (EventKind::Login, 400)]
    );
    let options = ReadOptions { optional_later: true, ..ReadOptions::default() };
    let outcome = read(&sources, &proposal.schema, &options, &|_, _| {}).unwrap();
    assert_eq!((outcome.table.n_rows, outcome.events.unwrap().kinds.len()), (400, 405));
}

#[test]
fn columns_that_only_look_like_kinds_are_not() {
    // A last action of the customer: log-ins and orders, and much else.
    let mut text = String::new();
    for i in 0..200 {
        writeln!(text, "o{i},2024-01-{:02},{},{}", 1 + i % 28, ["login", "order", "search"][i % 3], i % 2).unwrap();
    }
    let (profile, proposal) = scan(&open("o.csv", format!("order_id,order_time,action,fraud\n{text}")));
    check(&proposal, &[("action", Role::Category)]);
    assert_eq!((profile.n_rows, profile.events.is_none()), (200, true));
    // A name that says nothing about rows, and values that are kinds.
    let text = text.replace("search", "contact");
    let (_, proposal) = scan(&open("o.csv", format!("order_id,order_time,last_step,fraud\n{text}")));
    check(&proposal, &[("last_step", Role::Category)]);
    assert!(proposal.notes.contains(&Note::KindsUnnamed { column: "last_step".into() }), "{:?}", proposal.notes);
}

#[test]
fn events_alone_are_no_orders() {
    let stream = stream(&[]);
    let events: Vec<&str> = stream.lines().filter(|line| !line.contains(",order,")).collect();
    let profile = profile(&open("events.csv", events.join("\n")), &|_, _| ()).unwrap();
    let error = infer(&profile, &InferOptions::default()).unwrap_err();
    let n_events = events.len() as u64 - 1;
    assert_eq!(error, InferError::NoOrders { column: "event_type".into(), n_events });
}

#[test]
fn unknown_kinds_are_told_before_they_are_rejected() {
    let text = stream(&["event_id"]).replace("login,,", "page_view,,").replacen("page_view", "login", 200);
    let sources = open("stream.csv", text);
    let (_, proposal) = scan(&sources);
    check(&proposal, &[("event_type", Role::Event)]);
    let told = Note::UnknownKinds { column: "event_type".into(), n_rows: 200 };
    assert!(proposal.notes.contains(&told), "{:?}", proposal.notes);
    assert!(proposal.notes.iter().any(|note| note.to_string().contains("200 rows, which will be rejected")));
}

#[test]
fn without_labels_of_any_sort_the_label_is_asked_for() {
    let text = stream(&["label"]);
    let text = text.lines().filter(|line| !line.contains("chargeback")).collect::<Vec<_>>().join("\n");
    let profile = profile(&open("stream.csv", text), &|_, _| {}).unwrap();
    assert!(matches!(infer(&profile, &InferOptions::default()), Err(InferError::NoLabel { .. })));
    let options = InferOptions { label_required: false, ..InferOptions::default() };
    assert!(infer(&profile, &options).is_ok());
}
