//! From names to columns: roles and names, what may stand where, and what is said of anything else.

use orderguard_features::event::{Event, Value};
use orderguard_features::extract::Extractor;
use orderguard_features::identity::IdentityKey;
use orderguard_features::kind::EventKind;
use orderguard_features::language::feature::{EntityPart, Feature, Place, Point, TextFunction, ValueOf};
use orderguard_features::language::resolve::{
    self, Derive, KeySource, NeededTable, PointSource, ResolveError, TablesPresent, ValueSource,
};
use orderguard_features::language::spec::{FeatureSpec, MAX_FEATURES, SpecError, Vocabulary};
use orderguard_features::own::tables::{TableKind, Tables};
use orderguard_features::schema::{Available, Column, Role, Schema, TimeFormat};
use orderguard_features::state::State;
use orderguard_features::time::{Span, UnixMillis};

const COLUMNS: [(&str, Role); 24] = [
    ("at", Role::Time),
    ("no", Role::Id),
    ("event", Role::Event),
    ("amount", Role::Amount),
    ("who", Role::Customer),
    ("pan", Role::Card),
    ("ip", Role::Ip),
    ("mail", Role::Email),
    ("tel", Role::Phone),
    ("shop", Role::Merchant),
    ("second", Role::Merchant),
    ("ship", Role::ShippingAddress),
    ("country", Role::BillingCountry),
    ("lat", Role::ShippingLatitude),
    ("lon", Role::ShippingLongitude),
    ("n_items", Role::Number),
    ("channel", Role::Category),
    ("reason", Role::Category),
    ("refund_days", Role::Number),
    ("nick", Role::Name),
    ("note", Role::Text),
    ("skipped", Role::Ignored),
    ("signed_up", Role::Timestamp),
    ("card", Role::Category),
];

fn schema() -> Schema {
    let column = |(name, role): (&str, Role)| Column {
        name: name.into(),
        role,
        available: if matches!(name, "reason" | "refund_days") { Available::Later } else { Available::Order },
        format: matches!(role, Role::Time | Role::Timestamp).then_some(TimeFormat::Iso),
    };
    let schema = Schema {
        timezone: "UTC".into(),
        label_delay: Span::days(7),
        amount_decimals: 2,
        columns: COLUMNS.map(column).to_vec(),
    };
    schema.check().unwrap();
    schema
}

fn at(name: &str) -> usize {
    COLUMNS.iter().position(|(column, _)| *column == name).unwrap()
}

fn columns(text: &str) -> Result<Vec<&'static str>, ResolveError> {
    let columns = resolve::columns(&schema(), TablesPresent::ALL, &Feature::parse(text).unwrap())?;
    Ok(columns.into_iter().map(|column| COLUMNS[column].0).collect())
}

#[test]
fn names_go_before_roles_and_roles_mean_their_first_column() {
    let schema = schema();
    assert_eq!(resolve::column(&schema, "customer"), Ok(at("who")));
    assert_eq!(resolve::column(&schema, "card"), Ok(at("card")), "a name goes before a role");
    assert_eq!(resolve::column(&schema, "merchant"), Ok(at("shop")), "the first of two");
    assert_eq!(resolve::column(&schema, "billing.country"), Ok(at("country")));
    for (name, suggestion) in
        [("custmer", Some("customer")), ("chanel", Some("channel")), ("device", None), ("skiped", None)]
    {
        let expected = ResolveError::UnknownColumn { name: name.into(), suggestion: suggestion.map(Into::into) };
        assert_eq!(resolve::column(&schema, name), Err(expected));
    }
}

#[test]
fn entities_are_key_sources() {
    let schema = schema();
    let entity = |text: &str| match Feature::parse(&format!("count(order) by {text}")).unwrap() {
        Feature::History(history) => resolve::entity(&schema, &history.entity),
        other => panic!("{other} is no history"),
    };
    let source = |name, derive| KeySource { column: at(name), derive };
    assert_eq!(entity("shop"), Ok(vec![]));
    assert_eq!(entity("\"shop\""), Ok(vec![source("shop", Derive::None)]));
    assert_eq!(
        entity("customer + ip24 + channel"),
        Ok(vec![source("who", Derive::None), source("ip", Derive::IpNetwork), source("channel", Derive::None)])
    );
    assert_eq!(entity("email_domain"), Ok(vec![source("mail", Derive::EmailDomain)]));
    assert_eq!(entity("bin"), Ok(vec![source("pan", Derive::Bin)]));
    assert_eq!(entity("bin(pan)"), Ok(vec![source("pan", Derive::Bin)]));
    assert!(matches!(entity("bin(mail)"), Err(ResolveError::WrongRole { found: Role::Email, .. })));
    assert!(matches!(entity("reason"), Err(ResolveError::KnownLater { .. })));
    for name in ["no", "nick", "note", "amount", "at", "n_items", "skipped", "event"] {
        assert!(matches!(entity(name), Err(ResolveError::WrongRole { .. })), "{name}");
    }
    let mut less = schema.clone();
    less.columns[at("ip")].role = Role::Ignored;
    let part = [EntityPart::IpNetwork(None)];
    assert_eq!(
        resolve::entity(&less, &part),
        Err(ResolveError::RoleMissing { name: "ip24".into(), needs: "of role ip" })
    );
}

#[test]
fn columns_known_later_belong_to_other_events() {
    assert_eq!(columns("count(refund_claim) by who where reason = \"late\""), Ok(vec!["at", "event", "who", "reason"]));
    assert_eq!(columns("mean(refund_days of refund) by who"), Ok(vec!["at", "event", "who", "refund_days"]));
    assert_eq!(columns("distinct(reason of return) by who"), Ok(vec!["at", "event", "who", "reason"]));
    for text in [
        "count(order) by who where reason = \"late\"",
        "mean(refund_days) by who",
        "zscore(refund_days) by who",
        "distinct(reason) by who",
        "number(refund_days)",
        "category(reason)",
    ] {
        assert!(matches!(columns(text), Err(ResolveError::KnownLater { .. })), "{text}");
    }
}

#[test]
fn features_list_their_columns() {
    for (text, expected) in [
        ("amount", &["amount"][..]),
        ("hour", &["at"]),
        ("since(signed_up)", &["at", "signed_up"]),
        ("similarity(email, name)", &["mail", "nick"]),
        ("mismatch(ip.country, country)", &["ip", "country"]),
        ("km(ip, shipping)", &["ip", "lat", "lon"]),
        ("share(return) by who where age >= 14d", &["at", "no", "event", "who"]),
        ("rate(return per order) by who shrink 5 to channel", &["at", "event", "who", "channel"]),
        ("rate(order per login) by shop", &["at", "event"]),
        ("speed(shipping) by who", &["at", "who", "lat", "lon"]),
        ("accounts_per(pan)", &["at", "who", "pan"]),
        ("cluster_size", &["at", "who", "pan", "mail", "tel", "ship"]),
        ("zscore(n_items) by channel where amount > 3", &["at", "amount", "n_items", "channel"]),
    ] {
        assert_eq!(columns(text).as_deref(), Ok(expected), "{text}");
    }
    for text in [
        "number(channel)",
        "since(at)",
        "entropy(n_items)",
        "entropy(note)",
        "free(nick)",
        "private(mail)",
        "bot(mail)",
        "valid(channel)",
        "similarity(mail, amount)",
        "category(mail_domain)",
        "category(nick)",
        "km(billing, shipping)",
        "accounts_per(ip)",
        "sum(channel) by who",
        "count(order) by who where amount = 3 and n_items = \"x\"",
    ] {
        assert!(columns(text).is_err(), "{text}");
    }
}

#[test]
fn identifiers_of_people_are_no_categories() {
    for name in ["who", "pan", "ip", "mail", "tel", "ship"] {
        let found = columns(&format!("category({name})"));
        assert!(matches!(found, Err(ResolveError::WrongRole { .. })), "{name}");
    }
    assert_eq!(columns("category(ip.country)"), Ok(vec!["ip"]));
    assert_eq!(columns("mismatch(ship, channel)"), Ok(vec!["ship", "channel"]));
}

#[test]
fn columns_go_before_tables() {
    let mut schema = schema();
    let none = TablesPresent::default();
    let missing = |name: &str, table| Some(ResolveError::TableMissing { name: name.into(), table });
    assert_eq!(resolve::place(&schema, none, &Place::IpCountry).err(), missing("ip.country", NeededTable::Geo));
    assert_eq!(resolve::place(&schema, none, &Place::BinKind).err(), missing("bin.kind", NeededTable::Bins));
    assert_eq!(resolve::point(&schema, none, Point::Ip).err(), missing("ip", NeededTable::Geo));
    assert_eq!(
        resolve::text(&schema, none, TextFunction::Free, "mail").err(),
        missing("free", NeededTable::FreeDomains)
    );
    let found = resolve::place(&schema, none, &Place::PhoneCountry).unwrap();
    assert_eq!((found.column, found.place), (at("tel"), Place::PhoneCountry));
    assert_eq!(resolve::point(&schema, TablesPresent::ALL, Point::Ip), Ok(PointSource::Ip { column: at("ip") }));
    let shipping = PointSource::Columns { latitude: at("lat"), longitude: at("lon") };
    assert_eq!(resolve::point(&schema, none, Point::Shipping), Ok(shipping));

    schema.columns[at("channel")].role = Role::IpCountry;
    let found = resolve::place(&schema, none, &Place::IpCountry).unwrap();
    assert_eq!((found.column, found.place), (at("channel"), Place::Column("channel".into())));
}

#[test]
fn an_age_needs_an_id() {
    let mut schema = schema();
    assert_eq!(resolve::value(&schema, &ValueOf::Age, EventKind::Return), Ok(ValueSource::Age));
    schema.columns[at("no")].role = Role::Ignored;
    let missing = ResolveError::RoleMissing { name: "age".into(), needs: "of role id" };
    assert_eq!(resolve::value(&schema, &ValueOf::Age, EventKind::Return), Err(missing));
}

#[test]
fn a_specification_is_checked_as_a_whole() {
    let schema = schema();
    let features = |texts: &[&str]| texts.iter().map(|text| Feature::parse(text).unwrap()).collect::<Vec<_>>();
    let vocabulary = |place: &str, levels: &[&str]| Vocabulary {
        place: place.into(),
        levels: levels.iter().map(|level| (*level).to_owned()).collect(),
    };
    let good = FeatureSpec {
        features: features(&["amount", "category(channel)", "category(ip.country)", "count(order) by who"]),
        vocabularies: vec![vocabulary("channel", &["app", "web"]), vocabulary("ip.country", &["DE"])],
        ..FeatureSpec::default()
    };
    let check = |change: &dyn Fn(&mut FeatureSpec)| {
        let mut spec = good.clone();
        change(&mut spec);
        spec.check(&schema, TablesPresent::ALL)
    };
    assert_eq!(check(&|_| {}), Ok(()));
    let kinds: Vec<String> = good.kinds().iter().map(|kind| format!("{kind:?}")).collect();
    assert_eq!(kinds, ["Numeric", "Categorical { n_levels: 2 }", "Categorical { n_levels: 1 }", "Numeric"]);
    assert!(good.uses_history() && good.uses_state() && !good.uses_network());

    let twice = check(&|spec| spec.features.push(Feature::Amount));
    assert_eq!(twice, Err(SpecError::FeatureTwice { index: 4, feature: "amount".into() }));
    let unknown = check(&|spec| spec.features[0] = Feature::Number("n_itms".into()));
    let Err(error @ SpecError::Resolve { index: 0, .. }) = unknown else { panic!("{unknown:?}") };
    assert_eq!(
        error.to_string(),
        "feature `number(n_itms)`: the schema has no column of name or role \"n_itms\"; did you mean \"n_items\"?"
    );
    let missing = check(&|spec| spec.vocabularies.truncate(1));
    assert_eq!(missing, Err(SpecError::VocabularyMissing { place: "ip.country".into() }));
    for repeat in [vocabulary("channel", &["x"]), vocabulary("reason", &["x", "x"])] {
        let place = repeat.place.clone();
        let error = check(&|spec| spec.vocabularies.push(repeat.clone()));
        assert_eq!(error, Err(SpecError::VocabularyRepeats { place }));
    }
    assert_eq!(check(&|spec| spec.exact_events = 0), Err(SpecError::ExactEvents { found: 0 }));
    assert_eq!(check(&|spec| spec.hub_limit = 1), Err(SpecError::HubLimit { found: 1 }));
    let many = check(&|spec| spec.features = (0..=MAX_FEATURES).map(|i| Feature::Number(i.to_string())).collect());
    assert_eq!(many, Err(SpecError::TooManyFeatures { found: MAX_FEATURES + 1 }));
}

#[test]
fn only_the_tables_that_features_need_are_noted() {
    let schema = schema();
    let tables = Tables::new()
        .with(TableKind::FreeDomains, b"free.example\n".to_vec())
        .and_then(|tables| tables.with(TableKind::DisposableDomains, b"gone.example\n".to_vec()))
        .unwrap();
    let mut spec = FeatureSpec { features: vec![Feature::Amount], ..FeatureSpec::default() };
    spec.note_tables(&schema, &tables);
    assert_eq!(spec.tables, []);
    spec.features.push(Feature::parse("free(mail)").unwrap());
    spec.note_tables(&schema, &tables);
    let [noted] = &spec.tables[..] else { panic!("{:?}", spec.tables) };
    assert_eq!((noted.name.as_str(), Some(noted.hash)), ("free_domains", tables.hash(TableKind::FreeDomains)));

    let needed = |text: &str| resolve::needed_tables(&schema, &[Feature::parse(text).unwrap()]);
    assert_eq!(needed("mismatch(bin.country, ip.country)"), [NeededTable::Geo, NeededTable::Bins]);
    assert_eq!(needed("mismatch(phone.country, country)"), []);
}

fn extractor(texts: &[&str]) -> Extractor {
    let features = texts.iter().map(|text| Feature::parse(text).unwrap()).collect();
    let spec = FeatureSpec { features, ..FeatureSpec::default() };
    Extractor::new(&schema(), &spec, IdentityKey::new(b"test")).unwrap()
}

#[test]
fn a_number_meets_the_bound_that_it_is() {
    // 0.7 and 0.1 are no whole numbers of the steps in which history remembers numbers, one rounded down and one up.
    let extractor = extractor(&[
        "count(review) by who over 1d where n_items >= 0.7",
        "count(review) by who over 1d where n_items <= 0.1",
        "count(review) by who over 1d where n_items = 0.1",
        "count(review) by who over 1d where n_items != 0.7",
        "count(review) by who over 1d where n_items < 2000000000",
    ]);
    let binding = extractor.bind(&["no", "at", "event", "who", "n_items"]).unwrap();
    let (mut state, mut event) = (State::new(&extractor), Event::default());
    let read = |time: &str, kind: &str, number: &str, event: &mut Event| {
        let given = ["o", time, kind, "ann", number].map(Value::Text);
        extractor.read_event(&binding, &given, UnixMillis(0), event).unwrap();
    };
    for (time, number) in
        [("1970-01-01T00:00:01Z", "0.7"), ("1970-01-01T00:00:02Z", "0.1"), ("1970-01-01T00:00:03Z", "1500000000")]
    {
        read(time, "review", number, &mut event);
        state.learn(&extractor, &event);
    }
    read("1970-01-01T00:00:04Z", "order", "", &mut event);
    let mut row = vec![0.0; extractor.row_len()];
    extractor.extract(&state, &event, &mut row);
    assert_eq!(row, [2.0, 1.0, 1.0, 2.0, 3.0]);
}

#[test]
fn accounts_of_a_thing_are_counted_without_the_other_things() {
    let names = ["no", "at", "who", "pan"];
    assert!(extractor(&["accounts_per(pan)"]).bind(&names).is_ok());
    assert!(extractor(&["accounts_per(pan)", "cluster_size"]).bind(&names).is_err());
    assert!(extractor(&["accounts_per(mail)", "accounts_per(pan)"]).bind(&["no", "at", "who", "mail", "pan"]).is_ok());
}
