//! The feature language: one meaning has one text, texts read back, errors point at the character.

use orderguard_features::kind::EventKind;
use orderguard_features::language::feature::{
    Aggregate, Comparison, Condition, EntityPart, Feature, History, NetworkFeature, Place, Point, TextFunction, Value,
    ValueOf, Window,
};
use orderguard_features::language::file::FeatureFile;
use orderguard_features::language::parse::{MAX_SHRINK, MAX_THOUSANDTHS};
use orderguard_features::time::Span;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::{option, sample};

fn canonical(text: &str) -> String {
    Feature::parse(text).unwrap_or_else(|error| panic!("{error}\n{}", error.caret())).to_string()
}

#[test]
fn one_meaning_has_one_text() {
    for (text, expected) in [
        (" count( order )by card over 24h ", "count(order) by card over 1d"),
        (
            "sum(amount of order) by customer over 168h where amount<5",
            "sum(amount) by customer over 7d where amount < 5",
        ),
        ("count(Payment-Failed) by ip delayed 1d over 7d", "count(payment_failed) by ip over 7d delayed 1d"),
        (
            "count(order) by shop where channel = web and n_items == 3.50",
            "count(order) by shop where channel = \"web\" and n_items = 3.5",
        ),
        ("share(return) by customer where age >= 1209600", "share(return) by customer where age >= 14d"),
        (
            "rate(return per order) by customer to category shrink 20",
            "rate(return per order) by customer shrink 20 to category",
        ),
        ("count(order) by \"card\" over 1h/30d", "count(order) by card over 1h / 30d"),
        ("distinct(\"bin\") by bin(card)", "distinct(\"bin\") by bin(card)"),
        ("category(\"ip.country\")", "category(\"ip.country\")"),
        ("mean(\"age\") by \"over\" + \"shop\"", "mean(\"age\") by \"over\" + \"shop\""),
        ("count(order) by card where amount > -0.05", "count(order) by card where amount > -0.05"),
    ] {
        assert_eq!(canonical(text), expected);
        assert_eq!(canonical(expected), expected);
    }
}

#[test]
fn errors_point_at_the_character_and_suggest() {
    for (text, at, suggestion) in [
        ("", 0, None),
        ("  ", 2, None),
        ("median(amount) by card", 0, Some("mean")),
        ("quantile(amount) by card", 0, None),
        ("cuont(order) by card", 0, Some("count")),
        ("Amount", 0, Some("amount")),
        ("cluster_sizes", 0, Some("cluster_size")),
        ("count(orders) by card over 1d", 6, Some("order")),
        ("count order by card", 6, None),
        ("count(order) for card", 13, None),
        ("count(order) by over 1d", 16, None),
        ("count(order) by card over", 25, None),
        ("count(order) by card over 0d", 26, None),
        ("count(order) by card over 59s", 26, None),
        ("count(order) by card over 91d", 26, None),
        ("count(order) by card over 10y", 26, None),
        ("count(order) by card over 3650d", 26, None),
        ("count(order) by card ovr 1d", 21, Some("over")),
        ("count(order) by card over 1d over 2d", 29, None),
        ("count(order) by card over 1d delayed 7d / 30d", 40, None),
        ("count(order) by card over 1d / 24h", 31, None),
        ("count(order) by card / 7d", 21, None),
        ("count(order) by card + card", 23, None),
        ("count(order) by a + b + c + d", 28, None),
        ("count(order) by card + shop", 23, None),
        ("count(order) by ip42(ip)", 16, Some("ip24")),
        ("distinct(shop) by card", 9, None),
        ("sum(amount) by card over 1d twice", 28, None),
        ("sum(age) by card", 7, None),
        ("zscore(age) by card", 7, None),
        ("zscore(amount of return) by card", 14, None),
        ("since_last(order) by card over 1d", 26, None),
        ("is_new by card where amount < 5", 15, None),
        ("decayed_count(order) by card", 28, None),
        ("decayed_count(order) by card over 7d", 29, None),
        ("share(order) by card over 7d", 28, None),
        ("rate(return) by card", 11, None),
        ("fraud_rate by card shrink 0", 26, None),
        ("fraud_rate by card shrink 1.5", 26, None),
        ("fraud_rate by card where amount < 5", 19, None),
        ("count(order) by card where amount < cheap", 36, None),
        ("count(order) by card where amount < 1.2345", 36, None),
        ("count(order) by card where amount < 99999999999999999999", 36, None),
        ("count(order) by card where age > 1d", 27, None),
        ("count(order) by card where channel < \"web\"", 35, None),
        ("count(order) by card where channel web", 35, None),
        ("km(ip, shiping)", 7, Some("shipping")),
        ("km(ip shipping)", 6, None),
        ("number(\"x", 9, None),
        ("number(\"é\\", 11, None),
        ("number(é)", 7, None),
        ("hour by card", 5, None),
    ] {
        let error = Feature::parse(text).unwrap_err();
        assert_eq!((error.at, error.suggestion.as_deref()), (at, suggestion), "{text}: {error}");
        assert!(error.text.is_char_boundary(error.at));
    }
    let error = Feature::parse("number(é!)").unwrap_err();
    assert_eq!(error.caret(), "number(é!)\n       ^");
    assert_eq!(error.to_string(), "feature \"number(é!)\", character 8: expected a column");
}

#[test]
fn what_may_follow_is_said() {
    let error = Feature::parse("rate(return per order) by customer over 7d in").unwrap_err();
    assert_eq!(error.expected, "`delayed`, `shrink`, `to`, `where` or the end");
    let error = Feature::parse("is_new by customer + device ever").unwrap_err();
    assert_eq!(error.expected, "the end of the feature");
}

fn name() -> impl Strategy<Value = String> {
    let words =
        ["card", "over", "shop", "ip24", "bin", "email_domain", "age", "amount", "ip.country", "a-b", "7d", "x\\y"];
    prop_oneof![
        sample::select(words.to_vec()).prop_map(str::to_owned),
        "[a-zA-Z0-9_.-]{1,8}",
        "\\PC{0,8}",
        any::<String>(),
    ]
}

fn kind() -> impl Strategy<Value = EventKind> {
    sample::select(&EventKind::ALL[..])
}

fn place() -> impl Strategy<Value = Place> {
    prop_oneof![name().prop_map(Place::Column), sample::select(&Place::DERIVED[..])]
}

fn point() -> impl Strategy<Value = Point> {
    sample::select(&Point::ALL[..])
}

fn part() -> impl Strategy<Value = EntityPart> {
    prop_oneof![
        4 => name().prop_map(EntityPart::Column),
        1 => option::of(name()).prop_map(EntityPart::IpNetwork),
        1 => option::of(name()).prop_map(EntityPart::EmailDomain),
        1 => option::of(name()).prop_map(EntityPart::Bin),
    ]
}

fn entity() -> impl Strategy<Value = Vec<EntityPart>> {
    let columns = vec(part(), 1..=3).prop_map(|mut parts| {
        parts.sort();
        parts.dedup();
        parts
    });
    prop_oneof![1 => Just(vec![EntityPart::Shop]), 6 => columns]
}

fn value_of() -> impl Strategy<Value = ValueOf> {
    prop_oneof![Just(ValueOf::Amount), Just(ValueOf::Age), name().prop_map(ValueOf::Number)]
}

fn value() -> impl Strategy<Value = Value> {
    (value_of(), kind())
        .prop_filter("orders have no age", |(what, kind)| *what != ValueOf::Age || *kind != EventKind::Order)
        .prop_map(|(what, kind)| Value { what, kind })
}

fn span() -> impl Strategy<Value = Span> {
    prop_oneof![(60_000..=Span::days(90).0).prop_map(Span), (1..=90_i64).prop_map(Span::days)]
}

fn aggregate() -> impl Strategy<Value = Aggregate> {
    let order_value = || {
        let what = prop_oneof![Just(ValueOf::Amount), name().prop_map(ValueOf::Number)];
        what.prop_map(|what| Value { what, kind: EventKind::Order })
    };
    let shrink = || prop_oneof![Just(0), 1..=MAX_SHRINK];
    let norm = prop_oneof![Just(Vec::new()), entity()];
    prop_oneof![
        kind().prop_map(Aggregate::Count),
        value().prop_map(Aggregate::Sum),
        value().prop_map(Aggregate::Mean),
        value().prop_map(Aggregate::Deviation),
        value().prop_map(Aggregate::Min),
        value().prop_map(Aggregate::Max),
        order_value().prop_map(Aggregate::ZScore),
        order_value().prop_map(Aggregate::Ratio),
        (part(), kind()).prop_map(|(part, kind)| Aggregate::Distinct(part, kind)),
        kind().prop_map(Aggregate::Share),
        (kind(), kind(), shrink(), norm).prop_map(|(of, per, shrink, norm)| Aggregate::Rate { of, per, shrink, norm }),
        kind().prop_map(Aggregate::DecayedCount),
        value().prop_map(Aggregate::DecayedSum),
        kind().prop_map(Aggregate::SinceFirst),
        kind().prop_map(Aggregate::SinceLast),
        Just(Aggregate::IsNew),
        kind().prop_map(Aggregate::GapVariation),
        point().prop_map(Aggregate::Speed),
        Just(Aggregate::FraudCount),
        Just(Aggregate::OrdersSinceFraud),
        shrink().prop_map(|shrink| Aggregate::FraudRate { shrink }),
    ]
}

fn condition(kind: EventKind) -> impl Strategy<Value = Condition> {
    let signs = [
        Comparison::Less,
        Comparison::AtMost,
        Comparison::Greater,
        Comparison::AtLeast,
        Comparison::Equal,
        Comparison::Different,
    ];
    let thousandths = prop_oneof![
        -10_000..=10_000_i64,
        -MAX_THOUSANDTHS..=MAX_THOUSANDTHS,
        (0..=30_i64).prop_map(|days| Span::days(days).0)
    ];
    let compare =
        (value_of(), sample::select(signs.to_vec()), thousandths).prop_map(move |(value, op, thousandths)| {
            let value = if kind == EventKind::Order && value == ValueOf::Age { ValueOf::Amount } else { value };
            Condition::Compare { value, op, thousandths }
        });
    let level = (name(), any::<bool>(), any::<String>()).prop_map(|(column, equal, level)| Condition::Level {
        column,
        equal,
        level,
    });
    prop_oneof![compare, level]
}

/// Any aggregate with clauses that may stand behind it.
fn history() -> impl Strategy<Value = History> {
    let windows = (option::of(span()), option::of(span()), option::of(span()), span());
    let conditions = |aggregate: &Aggregate| vec(condition(aggregate.kind().unwrap_or_default()), 0..4);
    let with_conditions = aggregate().prop_flat_map(move |aggregate| (conditions(&aggregate), Just(aggregate)));
    (with_conditions, entity(), windows).prop_map(
        |((mut conditions, aggregate), entity, (over, versus, delayed, half_life))| {
            use Aggregate as A;
            let decayed = matches!(aggregate, A::DecayedCount(_) | A::DecayedSum(_));
            let timeless = matches!(aggregate, A::SinceFirst(_) | A::SinceLast(_) | A::IsNew | A::Speed(_));
            let dividing = matches!(
                aggregate,
                A::Count(_) | A::Sum(_) | A::Mean(_) | A::Deviation(_) | A::Min(_) | A::Max(_) | A::Distinct(..)
            );
            let windowed = !decayed && !timeless;
            let window = Window {
                over: over.filter(|_| windowed),
                versus: versus.filter(|span| dividing && over.is_some_and(|over| over != *span)),
                delayed: delayed.filter(|_| windowed).unwrap_or_default(),
                half_life: decayed.then_some(half_life),
            };
            if aggregate.kind().is_none() {
                conditions.clear();
            }
            if matches!(aggregate, A::Share(_)) && conditions.is_empty() {
                conditions.push(Condition::Level { column: "channel".into(), equal: true, level: "web".into() });
            }
            History { aggregate, entity, window, conditions }
        },
    )
}

fn feature() -> impl Strategy<Value = Feature> {
    let own = [Feature::Amount, Feature::Hour, Feature::Weekday, Feature::Night, Feature::Weekend];
    let network = [NetworkFeature::ClusterSize, NetworkFeature::ClusterFrauds, NetworkFeature::ClusterNewLinks];
    prop_oneof![
        1 => sample::select(own.to_vec()),
        1 => name().prop_map(Feature::Number),
        1 => place().prop_map(Feature::Category),
        1 => name().prop_map(Feature::Since),
        1 => (sample::select(&TextFunction::ALL[..]), name())
            .prop_map(|(function, column)| Feature::Text { function, column }),
        1 => (name(), name()).prop_map(|(a, b)| Feature::Similarity(a, b)),
        1 => (place(), place()).prop_map(|(a, b)| Feature::Mismatch(a, b)),
        1 => (point(), point()).prop_map(|(a, b)| Feature::Km(a, b)),
        1 => sample::select(network.to_vec()).prop_map(Feature::Network),
        1 => name().prop_map(|column| Feature::Network(NetworkFeature::AccountsPer(column))),
        12 => history().prop_map(Feature::History),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_feature_reads_back(feature in feature()) {
        let text = feature.to_string();
        prop_assert_eq!(Feature::parse(&text), Ok(feature), "{}", text);
    }

    #[test]
    fn a_changed_text_is_read_or_refused_at_one_of_its_characters(
        feature in feature(), at in any::<sample::Index>(), cut in 0..4_usize, put in "\\PC{0,2}",
    ) {
        let mut chars: Vec<char> = feature.to_string().chars().collect();
        let at = at.index(chars.len());
        let end = (at + cut).min(chars.len());
        chars.splice(at..end, put.chars());
        let text: String = chars.into_iter().collect();
        match Feature::parse(&text) {
            Ok(read) => prop_assert_eq!(Feature::parse(&read.to_string()), Ok(read)),
            Err(error) => {
                prop_assert!(text.is_char_boundary(error.at), "{}", error);
                prop_assert_eq!(error.caret().lines().count(), 2);
            }
        }
    }
}

/// The examples of the page that explains the language.
fn documented() -> Vec<&'static str> {
    let page = include_str!("../../../docs/features.md");
    let blocks = page.split("```feature\n").skip(1);
    blocks.flat_map(|block| block.split("```").next().unwrap_or_default().lines()).collect()
}

#[test]
fn every_documented_example_reads() {
    let examples = documented();
    assert!(examples.len() > 50, "{}", examples.len());
    for example in &examples {
        let feature = Feature::parse(example).unwrap_or_else(|error| panic!("{error}\n{}", error.caret()));
        assert_eq!(Feature::parse(&feature.to_string()), Ok(feature), "{example}");
    }
    // No form is left out of the page.
    let heads = |text: &str| text.split(['(', ' ']).next().unwrap_or_default().to_owned();
    let shown: Vec<String> = examples.iter().map(|example| heads(example)).collect();
    for head in [
        "amount",
        "number",
        "category",
        "hour",
        "weekday",
        "night",
        "weekend",
        "since",
        "similarity",
        "mismatch",
        "km",
        "count",
        "sum",
        "mean",
        "deviation",
        "min",
        "max",
        "zscore",
        "ratio",
        "distinct",
        "share",
        "rate",
        "decayed_count",
        "decayed_sum",
        "since_first",
        "since_last",
        "is_new",
        "gap_variation",
        "speed",
        "fraud_count",
        "fraud_rate",
        "cluster_size",
        "cluster_frauds",
        "cluster_new_links",
        "accounts_per",
    ]
    .into_iter()
    .chain(TextFunction::ALL.map(TextFunction::name))
    {
        assert!(shown.iter().any(|shown| shown == head), "no example of {head}");
    }
}

#[test]
fn the_documented_file_reads() {
    let page = include_str!("../../../docs/features.md");
    let file = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("the page shows a file");
    let file = FeatureFile::from_toml(file).unwrap_or_else(|error| panic!("{error}"));
    assert!(file.extends_default && file.remove.len() == 2 && file.features.len() == 2 && file.vocabularies.len() == 1);
    let error =
        FeatureFile::from_toml("extends = \"default\"\nfeatures = [\n\n\"count(ordr) by card over 24h\"]").unwrap_err();
    let shown =
        page.split("```text\n").nth(1).and_then(|rest| rest.split("```").next()).expect("the page shows an error");
    assert_eq!(error.to_string(), shown.trim_end());
}
