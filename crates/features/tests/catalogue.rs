//! The default catalogue: full where everything is there, lean where little is, and every gap explained.

use std::borrow::Cow;
use std::collections::HashMap;

use orderguard_features::kind::EventKind;
use orderguard_features::language::catalogue::{Catalogue, Off, catalogue, default_spec};
use orderguard_features::language::feature::{Feature, Place};
use orderguard_features::language::observed::Observed;
use orderguard_features::language::resolve::{self, PlaceSource, TablesPresent};
use orderguard_features::schema::{Available, Column, Role, Schema, TimeFormat};
use orderguard_features::table::{ColumnData, EventTable, Levels, MISSING_CODE, OrderTable, TextColumn};
use orderguard_features::time::Span;

fn column(name: &str, role: Role) -> Column {
    let is_time = matches!(role, Role::Time | Role::KnownAt | Role::LabelTime | Role::Timestamp);
    let available = match role {
        Role::Label | Role::LabelTime => Available::Later,
        _ => Available::Order,
    };
    Column { name: name.into(), role, available, format: is_time.then_some(TimeFormat::Iso) }
}

fn schema(columns: &[(&str, Role)]) -> Schema {
    let columns = columns.iter().map(|(name, role)| column(name, *role)).collect();
    let schema = Schema { timezone: "UTC".into(), label_delay: Span::days(7), amount_decimals: 2, columns };
    schema.check().unwrap();
    schema
}

/// One column of every role, and what shops have beside them.
fn full_schema() -> Schema {
    let mut columns: Vec<(String, Role)> = Role::ALL
        .into_iter()
        .filter(|role| !matches!(role, Role::Category | Role::Number | Role::Timestamp | Role::Ignored | Role::Text))
        .map(|role| (format!("the_{role}"), role))
        .collect();
    let more = [
        ("goods_category", Role::Category),
        ("payment_method", Role::Category),
        ("channel", Role::Category),
        ("customer_type", Role::Category),
        ("special_offer", Role::Category),
        ("n_items", Role::Number),
        ("session_seconds", Role::Number),
        ("signed_up", Role::Timestamp),
        ("reason", Role::Category),
        ("topic", Role::Category),
        ("rating", Role::Number),
    ];
    columns.extend(more.map(|(name, role)| (name.to_owned(), role)));
    let columns: Vec<(&str, Role)> = columns.iter().map(|(name, role)| (name.as_str(), *role)).collect();
    schema(&columns)
}

/// Texts of a column, one per row; "" is missing.
fn texts(rows: &[String]) -> ColumnData {
    let mut levels = Levels::default();
    let mut known: HashMap<&str, u32> = HashMap::new();
    let codes = rows.iter().map(|text| match text.as_str() {
        "" => MISSING_CODE,
        text => *known.entry(text).or_insert_with(|| levels.push(text)),
    });
    ColumnData::Text(TextColumn { codes: codes.collect(), levels })
}

const N_ROWS: usize = 2_000;

/// Rows in which every column is filled as its role wants, but for the empty ones; categories have four levels.
fn table(schema: &Schema, empty: &[&str]) -> OrderTable {
    let column = |column: &Column| {
        if empty.contains(&column.name.as_str()) {
            return match column.role {
                Role::Number => ColumnData::Number(vec![f64::NAN; N_ROWS]),
                _ => texts(&vec![String::new(); N_ROWS]),
            };
        }
        match column.role {
            Role::Time | Role::KnownAt | Role::LabelTime | Role::Timestamp => ColumnData::Time(vec![0; N_ROWS]),
            Role::Label => ColumnData::Label(vec![0; N_ROWS]),
            Role::Amount => ColumnData::Amount(vec![100; N_ROWS]),
            role if role.is_number() => ColumnData::Number(vec![1.0; N_ROWS]),
            role if role.is_category() => {
                texts(&(0..N_ROWS).map(|row| format!("level {}", row % 4)).collect::<Vec<_>>())
            }
            _ => texts(&(0..N_ROWS).map(|row| format!("{} {}", column.name, row % 300)).collect::<Vec<_>>()),
        }
    };
    OrderTable {
        n_rows: N_ROWS,
        columns: schema.columns.iter().map(column).collect(),
        source: vec![0; N_ROWS],
        line: (1..=N_ROWS as u64).collect(),
    }
}

fn rows() -> Vec<u32> {
    (0..N_ROWS as u32).collect()
}

/// A stream with every kind of event: claims and returns have reasons, contacts topics, reviews ratings.
fn everything(schema: &Schema) -> Observed {
    let kinds: Vec<EventKind> = (0..N_ROWS).map(|row| EventKind::ALL[1 + row % 13]).collect();
    let mut events = table(schema, &[]);
    let on = |name: &str| match name {
        "reason" => &[EventKind::RefundClaim, EventKind::Return][..],
        "topic" => &[EventKind::Contact],
        "rating" => &[EventKind::Review],
        _ => &EventKind::ALL,
    };
    for (column, data) in schema.columns.iter().zip(&mut events.columns) {
        let missing = |row: &usize| !on(&column.name).contains(&kinds[*row]);
        match data {
            ColumnData::Text(text) => (0..N_ROWS).filter(missing).for_each(|row| text.codes[row] = MISSING_CODE),
            ColumnData::Number(values) => (0..N_ROWS).filter(missing).for_each(|row| values[row] = f64::NAN),
            _ => {}
        }
    }
    let orders = table(schema, &["reason", "topic", "rating"]);
    Observed::new(schema, &orders, &rows(), Some((&EventTable { table: events, kinds }, &rows())))
}

fn orders_only(schema: &Schema) -> Observed {
    Observed::new(schema, &table(schema, &[]), &rows(), None)
}

fn names(catalogue: &Catalogue) -> Vec<String> {
    catalogue.features.iter().map(ToString::to_string).collect()
}

fn off<'a>(catalogue: &'a Catalogue, feature: &str) -> Option<&'a Off> {
    catalogue.off.iter().find(|off| off.features.iter().any(|f| f == feature))
}

#[test]
fn a_shop_with_everything_gets_everything() {
    let schema = full_schema();
    let all = catalogue(&schema, TablesPresent::ALL, &everything(&schema));
    let names = names(&all);
    assert!((80..=135).contains(&names.len()), "{} features", names.len());
    assert_eq!(all.off, [], "nothing is missing, so nothing is off");
    for feature in &all.features {
        resolve::columns(&schema, TablesPresent::ALL, feature).unwrap_or_else(|error| panic!("{feature}: {error}"));
        assert_eq!(Feature::parse(&feature.to_string()).as_ref(), Ok(feature));
    }
    let mut once = names.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), names.len());
    // One of each row of what dishonest customers do.
    for expected in [
        "count(order) by the_card over 1min",
        "distinct(the_ip) by the_customer over 1d",
        "speed(ip) by the_customer",
        "fraud_rate by ip24 over 30d shrink 20",
        "similarity(the_email, the_name)",
        "rate(return per order) by the_customer over 90d shrink 10 to goods_category",
        "since_first(order) by the_customer",
        "zscore(amount) by goods_category over 30d",
        "mismatch(the_billing_postcode, the_shipping_postcode)",
        "rate(cancel per order) by the_card over 90d shrink 10",
        "count(payment_failed) by the_card over 1d",
        "count(order) by the_card over 1d where amount < 5",
        "mismatch(bin.country, ip.country)",
        "cluster_frauds",
        "is_new by the_customer + payment_method",
        "is_new by the_customer + the_currency",
        "rate(contact per order) by the_customer over 90d shrink 10",
        "since(signed_up)",
        "number(session_seconds)",
        "count(order) by the_basket over 1h",
        "count(order) by the_shipping_address over 30d",
        "count(refund_claim) by the_customer over 90d where reason = \"level 1\"",
        "share(return) by the_customer over 90d where age >= 14d",
        "mean(rating of review) by the_customer over 90d",
        "is_new by the_customer + the_device",
        "category(customer_type)",
    ] {
        assert!(names.contains(&expected.to_owned()), "{expected} is missing of {names:#?}");
    }
    assert!(!names.iter().any(|name| name == "category(reason)" || name == "number(rating)"), "empty on orders");
}

#[test]
fn a_plain_file_of_orders_gets_a_lean_list() {
    let schema = schema(&[
        ("TRANSACTION_ID", Role::Id),
        ("TX_DATETIME", Role::Time),
        ("CUSTOMER_ID", Role::Customer),
        ("TERMINAL_ID", Role::Merchant),
        ("TX_AMOUNT", Role::Amount),
        ("TX_FRAUD", Role::Label),
    ]);
    let plain = catalogue(&schema, TablesPresent::default(), &orders_only(&schema));
    let names = names(&plain);
    assert!((40..=60).contains(&names.len()), "{} features: {names:#?}", names.len());
    for entity in ["CUSTOMER_ID", "TERMINAL_ID"] {
        for days in [1, 7, 30] {
            for what in ["count(order)", "sum(amount)", "fraud_count", "fraud_rate"] {
                assert!(names.contains(&format!("{what} by {entity} over {days}d")), "{what} {entity} {days}");
            }
        }
    }
    let missing = off(&plain, "distinct(card) by device over 1d").expect("needs a device");
    assert_eq!(
        (missing.what.as_str(), missing.why.as_str(), missing.needs.as_str()),
        (
            "stolen cards: declined payments, many cards, small test charges, foreign issuers",
            "no column of role card",
            "a column of role card"
        )
    );
    let events = off(&plain, "rate(return per order) by account over 90d shrink 10").expect("needs returns");
    assert_eq!((events.why.as_str(), events.needs.as_str()), ("no events of kind return", "events of kind return"));
    assert_eq!(
        off(&plain, "cluster_size").expect("needs things").why,
        "no column that links accounts: of role device, card, email, phone, billing_address or shipping_address"
    );
}

#[test]
fn every_purpose_is_on_or_said_to_be_off() {
    let full = full_schema();
    let all = catalogue(&full, TablesPresent::ALL, &everything(&full));
    // Without one role at a time: what needs it is listed, with the reason, and the rest stays.
    for role in Role::ALL {
        let mut less = full.clone();
        less.columns.retain(|column| column.role != role);
        if less.check().is_err() || less.columns.len() == full.columns.len() {
            continue;
        }
        let catalogue = catalogue(&less, TablesPresent::ALL, &everything(&less));
        for feature in &catalogue.features {
            resolve::columns(&less, TablesPresent::ALL, feature).unwrap_or_else(|error| panic!("{feature}: {error}"));
        }
        // Features of single columns and of single levels have no template of their own.
        let single = |name: &&String| {
            ["number(", "category(", "since("].iter().any(|own| name.starts_with(own)) || name.contains("= \"level")
        };
        let count = |names: &[String]| names.iter().filter(|name| !single(name)).count();
        let lost = count(&names(&all)).saturating_sub(count(&names(&catalogue)));
        let listed: usize = catalogue.off.iter().map(|off| off.features.len()).sum();
        assert!(listed >= lost, "without {role}: {lost} lost, {listed} listed");
        for off in &catalogue.off {
            assert!(!off.why.is_empty() && !off.needs.is_empty() && !off.what.is_empty(), "{off:?}");
        }
    }
}

#[test]
fn tables_that_were_not_given_are_named() {
    let mut schema = full_schema();
    schema
        .columns
        .retain(|c| !matches!(c.role, Role::IpCountry | Role::CardCountry | Role::IpLatitude | Role::IpLongitude));
    let without = catalogue(&schema, TablesPresent::default(), &everything(&schema));
    for (feature, why, needs) in [
        ("km(ip, shipping)", "a MaxMind database was not given", "a MaxMind database of network addresses"),
        ("mismatch(bin.country, billing_country)", "a BIN table was not given", "a BIN table"),
        ("free(email)", "a list of free e-mail providers was not given", "a list of free e-mail providers"),
    ] {
        let off = off(&without, feature).unwrap_or_else(|| panic!("{feature} must be off"));
        assert_eq!((off.why.as_str(), off.needs.as_str()), (why, needs), "{feature}");
    }
    let names = names(&without);
    assert!(names.contains(&"mismatch(phone.country, the_billing_country)".to_owned()), "the prefix needs no table");
}

#[test]
fn columns_known_later_are_not_read_of_the_order() {
    let mut schema = full_schema();
    for column in &mut schema.columns {
        if matches!(column.role, Role::Device) || column.name == "session_seconds" {
            column.available = Available::Later;
        }
    }
    let catalogue = catalogue(&schema, TablesPresent::ALL, &everything(&schema));
    assert!(!names(&catalogue).iter().any(|name| name.contains("device") || name.contains("session")));
    let off = off(&catalogue, "count(order) by device over 10min").expect("the device is known too late");
    assert_eq!(off.why, "column \"the_device\" is known only after the order");
}

#[test]
fn few_different_values_are_no_entity() {
    let schema = schema(&[("at", Role::Time), ("who", Role::Customer), ("seller", Role::Merchant)]);
    let mut orders = table(&schema, &[]);
    orders.columns[2] = texts(&(0..N_ROWS).map(|row| format!("seller {}", row % 5)).collect::<Vec<_>>());
    let catalogue = catalogue(&schema, TablesPresent::ALL, &Observed::new(&schema, &orders, &rows(), None));
    assert!(!names(&catalogue).iter().any(|name| name.contains("seller")), "{:?}", names(&catalogue));
    assert!(catalogue.off.iter().any(|off| off.why == "column \"seller\" has only 5 different values"));
}

/// Levels in lower case; none for texts without letters.
fn lower<'t>(source: &PlaceSource, text: &'t str) -> Option<Cow<'t, str>> {
    assert!(matches!(&source.place, Place::Column(name) if name == "kind" || name == "note"));
    text.contains(char::is_alphabetic).then(|| text.to_lowercase().into())
}

#[test]
fn coupons_for_everybody_count_together_with_others() {
    let schema = full_schema();
    let mut orders = table(&schema, &[]);
    let coupon = schema.find(Role::Coupon).unwrap();
    orders.columns[coupon] = texts(&(0..N_ROWS).map(|row| format!("CODE{}", row % 3)).collect::<Vec<_>>());
    let observed = Observed::new(&schema, &orders, &rows(), None);
    let catalogue = catalogue(&schema, TablesPresent::ALL, &observed);
    assert!(names(&catalogue).contains(&"count(order) by the_device + the_coupon over 30d".to_owned()));
    assert!(names(&catalogue).contains(&"category(the_coupon)".to_owned()));
    assert!(!names(&catalogue).iter().any(|name| name.contains("by the_coupon")), "{:?}", names(&catalogue));
    assert!(catalogue.off.iter().all(|off| !off.why.contains("coupon")), "{:#?}", catalogue.off);
}

#[test]
fn data_that_are_still_to_come_can_be_planned_for() {
    let schema = full_schema();
    let planned = |kinds: &[EventKind]| {
        let levels: [(&str, &[&str]); 1] = [("goods_category", &["books", "shoes"])];
        names(&catalogue(&schema, TablesPresent::ALL, &Observed::everything(&schema, kinds, &levels)))
    };
    let with_returns = planned(&[EventKind::Return]);
    let rate = "rate(return per order) by the_customer over 90d shrink 10 to goods_category".to_owned();
    assert!(with_returns.contains(&rate) && !with_returns.iter().any(|name| name.contains("login")));
    assert!(!planned(&[]).contains(&rate));
}

#[test]
fn vocabularies_come_from_the_fit_rows_and_empty_ones_switch_off() {
    let schema =
        schema(&[("at", Role::Time), ("who", Role::Customer), ("kind", Role::Category), ("note", Role::Category)]);
    let mut orders = table(&schema, &[]);
    orders.columns[2] =
        texts(&(0..N_ROWS).map(|row| if row < 95 { "Shoes".into() } else { "Hats".into() }).collect::<Vec<_>>());
    orders.columns[3] = texts(&(0..N_ROWS).map(|row| format!("note {row}")).collect::<Vec<_>>());
    let fit: Vec<u32> = (0..110).collect();
    let observed = Observed::new(&schema, &orders, &fit, None);
    let (spec, off) = default_spec(&schema, TablesPresent::ALL, &observed, &orders, &fit, &lower);
    assert_eq!(spec.vocabularies.len(), 1);
    assert_eq!(
        (spec.vocabularies[0].place.as_str(), &spec.vocabularies[0].levels[..]),
        ("kind", &["shoes".to_owned()][..])
    );
    assert!(!spec.names().contains(&"category(note)".to_owned()));
    assert!(off.iter().any(|off| off.features == ["category(note)"] && off.what == "levels of note"));
    assert_eq!(spec.check(&schema, TablesPresent::ALL), Ok(()));

    // The order of rows decides nothing.
    let mut turned = orders.clone();
    for column in &mut turned.columns {
        match column {
            ColumnData::Text(text) => text.codes.reverse(),
            ColumnData::Time(times) => times.reverse(),
            _ => {}
        }
    }
    let last: Vec<u32> = (0..N_ROWS as u32).rev().take(110).collect();
    let observed = Observed::new(&schema, &turned, &last, None);
    assert_eq!(default_spec(&schema, TablesPresent::ALL, &observed, &turned, &last, &lower), (spec, off));
}

#[test]
fn names_that_mean_something_else_are_quoted() {
    let schema = schema(&[
        ("time", Role::Time),
        ("over", Role::Customer),
        ("ip24", Role::Merchant),
        ("amount \"net\"", Role::Amount),
        ("age", Role::Number),
    ]);
    let catalogue = catalogue(&schema, TablesPresent::ALL, &orders_only(&schema));
    for feature in &catalogue.features {
        assert_eq!(Feature::parse(&feature.to_string()).as_ref(), Ok(feature));
    }
    let names = names(&catalogue);
    assert!(names.contains(&"count(order) by \"over\" over 1h".to_owned()), "{names:#?}");
    assert!(names.contains(&"is_new by \"over\" + \"ip24\"".to_owned()), "{names:#?}");
}

#[test]
fn categories_of_many_levels_enter_by_the_frauds_of_their_level() {
    let columns = [
        ("id", Role::Id),
        ("time", Role::Time),
        ("label", Role::Label),
        ("few", Role::Category),
        ("many", Role::Category),
    ];
    let schema = schema(&columns);
    let mut orders = table(&schema, &[]);
    orders.columns[4] = texts(&(0..N_ROWS).map(|row| format!("level {}", row % 40)).collect::<Vec<_>>());
    let names = |schema: &Schema| {
        names(&catalogue(schema, TablesPresent::default(), &Observed::new(schema, &orders, &rows(), None)))
    };
    let history = |column: &str| format!("fraud_rate by {column} over 90d shrink 20");
    let found = names(&schema);
    assert!(found.contains(&"category(many)".to_owned()) && found.contains(&history("many")), "{found:?}");
    assert!(found.contains(&"category(few)".to_owned()) && !found.contains(&history("few")), "{found:?}");
    // Known only later: history of other orders at best, and no category.
    let mut later = schema.clone();
    later.columns[4].available = Available::Later;
    assert!(names(&later).iter().all(|name| !name.contains("many")));
}
