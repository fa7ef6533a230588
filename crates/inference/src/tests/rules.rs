//! Rules beside a model: what decides, and what is written of it.

use orderguard_features::event::Value;
use orderguard_features::identity::IdentityKey;
use orderguard_features::language::feature::Feature;
use orderguard_features::language::spec::FeatureSpec;
use orderguard_features::schema::{Available, Column, Role, Schema, TimeFormat};
use orderguard_features::time::{Span, UnixMillis};

use super::samples::gbt;
use crate::audit::{self, Chain, Record, is_sealed};
use crate::decision::{Decision, Tier};
use crate::model::{Background, DriftReference, Forest, Model, Node, Predictor, Tree};
use crate::rules::{Decider, EntityList, FirstOrderLimit, Ground, Rules, RulesError};
use crate::service::OrderScorer;

const NAMES: [&str; 4] = ["id", "time", "customer", "amount"];
const ARRIVAL: UnixMillis = UnixMillis(1_769_853_600_000);

fn key() -> IdentityKey {
    IdentityKey::new(b"a key for tests")
}

/// Amounts above 100 have a raw score of 2, others of -2.
fn model() -> Model {
    let column = |(name, role): (&str, Role)| {
        let format = (role == Role::Time).then_some(TimeFormat::Iso);
        Column { name: name.into(), role, available: Available::Order, format }
    };
    let roles = [Role::Id, Role::Time, Role::Customer, Role::Amount];
    let nodes = vec![
        Node::Numeric { feature: 0, threshold: 100.0, missing_left: true, left: 1, right: 2 },
        Node::Leaf { value: -2 },
        Node::Leaf { value: 2 },
    ];
    let features = ["amount", "count(order) by customer"].map(|text| Feature::parse(text).unwrap());
    let sample = gbt();
    let mut card = sample.card;
    card.key_check = key().check();
    Model {
        schema: Schema {
            timezone: "UTC".into(),
            label_delay: Span::days(7),
            amount_decimals: 2,
            columns: NAMES.into_iter().zip(roles).map(column).collect(),
        },
        spec: FeatureSpec { features: features.to_vec(), vocabularies: Vec::new(), ..sample.spec },
        predictor: Predictor::Gbt(Forest {
            n_features: 2,
            base: 0,
            scale_bits: 0,
            trees: vec![Tree { nodes, level_sets: Vec::new() }],
        }),
        tiers: vec![
            Tier { decision: Decision::Challenge, raw_score: 0.0 },
            Tier { decision: Decision::Decline, raw_score: 3.0 },
        ],
        background: Background::default(),
        drift: DriftReference::default(),
        reference: Vec::new(),
        golden: Vec::new(),
        card,
        ..sample
    }
}

fn list(name: &str, trusted: bool, ids: &[&str]) -> EntityList {
    let ids = ids.iter().map(|id| (*id).to_owned()).collect();
    EntityList { name: name.into(), column: "customer".into(), trusted, ids }
}

fn decider(rules: &Rules) -> Result<Decider, RulesError> {
    let model = model();
    Decider::new(OrderScorer::new(&model, key(), &NAMES).unwrap(), &model, &NAMES, rules)
}

fn order<'a>(id: &'a str, customer: &'a str, amount: f64) -> [Value<'a>; 4] {
    [id.into(), "2026-01-31T09:00:00Z".into(), customer.into(), Value::Number(amount)]
}

#[test]
fn each_decision_names_what_made_it() {
    let rules = Rules {
        lists: vec![list("friends", true, &["anna", "both"]), list("thieves", false, &["thief", "both"])],
        first_order: Some(FirstOrderLimit { max_amount: 50.0, decision: Decision::Review }),
        fallback: Decision::Decline,
    };
    let decider = decider(&rules).unwrap();
    let mut state = decider.scorer().new_state();
    let mut scratch = decider.scorer().scratch();
    let mut decide = |state: &_, customer, amount| {
        let verdict = decider.decide(state, &order("o", customer, amount), ARRIVAL, &mut scratch);
        assert!(verdict.error.is_none() && verdict.shadow.is_none());
        (verdict.decision, decider.ground_name(verdict.ground).to_owned())
    };
    let said = |decision, ground: &str| (decision, ground.to_owned());
    assert_eq!(decide(&state, "new", 20.0), said(Decision::Approve, "model"));
    assert_eq!(decide(&state, "new", 50.0), said(Decision::Approve, "model"));
    assert_eq!(decide(&state, "new", 50.5), said(Decision::Review, "first order"));
    assert_eq!(decide(&state, "new", 500.0), said(Decision::Review, "first order"), "stricter than the model's");
    assert_eq!(decide(&state, "anna", 500.0), said(Decision::Approve, "list friends"));
    assert_eq!(decide(&state, "thief", 1.0), said(Decision::Decline, "list thieves"));
    assert_eq!(decide(&state, "both", 1.0), said(Decision::Decline, "list thieves"), "blocked before trusted");
    // After the first order the limit is no more.
    let first = decider.scorer();
    let mut other = first.scratch();
    first.score(&state, &order("o-1", "new", 20.0), ARRIVAL, &mut other).unwrap();
    first.learn(&mut state, &other);
    let later = UnixMillis(ARRIVAL.0 + 1_000);
    let values = ["o-2".into(), "2026-01-31T10:00:00.900Z".into(), "new".into(), Value::Number(60.0)];
    let verdict = decider.decide(&state, &values, later, &mut other);
    assert_eq!((verdict.decision, verdict.ground), (Decision::Approve, Ground::Model));
    // What cannot be read has the fallback.
    let verdict = decider.decide(&state, &order("", "new", 20.0), ARRIVAL, &mut other);
    assert_eq!((verdict.decision, verdict.ground), (Decision::Decline, Ground::Unreadable));
    assert!(verdict.score.is_none() && verdict.error.is_some());
    let verdict = decider.decide(&state, &order("o", "new", 20.0)[..3], ARRIVAL, &mut other);
    assert_eq!(verdict.ground, Ground::Unreadable);
    // And who is blocked stays blocked.
    let verdict = decider.decide(&state, &order("", "thief", 20.0), ARRIVAL, &mut other);
    assert_eq!(
        (verdict.decision, decider.ground_name(verdict.ground).to_owned()),
        said(Decision::Decline, "list thieves")
    );
    assert!(verdict.score.is_none() && verdict.error.is_some());
}

#[test]
fn only_a_count_of_all_orders_tells_the_first() {
    let rules = Rules {
        first_order: Some(FirstOrderLimit { max_amount: 50.0, decision: Decision::Review }),
        ..Rules::default()
    };
    for other in
        ["count(order) by customer over 7d", "count(order) by customer where amount < 5", "sum(amount) by customer"]
    {
        let mut model = model();
        model.spec.features[1] = Feature::parse(other).unwrap();
        let scorer = OrderScorer::new(&model, key(), &NAMES).unwrap();
        let error = Decider::new(scorer, &model, &NAMES, &rules).unwrap_err();
        assert_eq!(error, RulesError::NoFeature { expected: "count(order) by customer" }, "{other}");
    }
}

#[test]
fn rules_that_do_not_fit_are_refused() {
    let of = |list: EntityList| decider(&Rules { lists: vec![list], ..Rules::default() }).unwrap_err().to_string();
    let column = |column: &str| EntityList { column: column.into(), ..list("l", true, &["x"]) };
    assert!(of(column("amount")).contains("expected a column of an entity"));
    assert!(of(column("nothing")).contains("found \"nothing\""));
    assert!(of(list("l", true, &["x", " "])).contains("entry 2"));
    let mut model = model();
    model.spec.features.swap_remove(0);
    let limit = FirstOrderLimit { max_amount: 1.0, decision: Decision::Review };
    let rules = Rules { first_order: Some(limit), ..Rules::default() };
    let scorer = OrderScorer::new(&self::model(), key(), &NAMES).unwrap();
    let error = Decider::new(scorer, &model, &NAMES, &rules).unwrap_err();
    assert_eq!(error, RulesError::NoFeature { expected: "amount" });
}

#[test]
fn a_shadow_model_is_judged_on_the_same_features() {
    let mut shadow = model();
    shadow.spec.features.remove(1);
    let Predictor::Gbt(forest) = &mut shadow.predictor else { unreachable!() };
    forest.n_features = 1;
    forest.base = 5;
    let decider = decider(&Rules::default()).unwrap().with_shadow(&model(), &shadow).unwrap();
    let mut scratch = decider.scorer().scratch();
    let verdict = decider.decide(&decider.scorer().new_state(), &order("o", "c", 20.0), ARRIVAL, &mut scratch);
    assert_eq!((verdict.decision, verdict.ground), (Decision::Approve, Ground::Model), "without effect");
    let said = verdict.shadow.unwrap();
    assert_eq!((said.raw_score, said.decision), (3.0, Decision::Decline));
    shadow.spec.features[0] = Feature::parse("hour").unwrap();
    let error = self::decider(&Rules::default()).unwrap().with_shadow(&model(), &shadow).unwrap_err();
    assert_eq!(error.to_string(), "shadow model: expected features of the deciding model, found \"hour\"");
}

#[test]
fn tiers_are_part_of_the_file() {
    let model = model();
    let bytes = model.to_bytes().unwrap();
    let loaded = Model::from_bytes(&bytes).unwrap();
    assert_eq!(loaded.tiers, model.tiers);
    assert_eq!(loaded.to_bytes().unwrap(), bytes);
    for change in [
        (|model: &mut Model| model.tiers.swap(0, 1)) as fn(&mut Model),
        |model| model.tiers[0].decision = Decision::Approve,
        |model| model.tiers[1].raw_score = f64::NAN,
    ] {
        let mut broken = model.clone();
        change(&mut broken);
        assert!(Model::from_bytes(&broken.encode()).unwrap_err().to_string().contains("tier"));
    }
}

#[test]
fn a_record_is_one_line_of_json() {
    let model = model();
    let id = audit::model_id(&model);
    assert_eq!(id.len(), 16);
    let score = crate::Scorer::compile(&model).unwrap().score(&[20.0, f32::NAN]).unwrap();
    let record = Record {
        order: "o \"1\"\n",
        time: Some(ARRIVAL),
        model: "m",
        position: (3, 2, 1),
        score: Some(score),
        threshold: Some(0.75),
        decision: score.decision,
        ground: "model",
        reasons: &["a\\b".to_owned(), "zażółć".to_owned()],
        shadow: Some(("s", score)),
        row: &[20.0, f32::NAN, f32::NEG_INFINITY, 0.1],
        error: None,
    };
    let (mut chain, mut out) = (Chain::default(), String::new());
    chain.write(&record, &mut out);
    let p = score.probability;
    let start = "0".repeat(32);
    let expected = format!(
        "{{\"number\":1,\"after\":\"{start}\",\"order\":\"o \\\"1\\\"\\u000a\",\"time\":1769853600000,\"model\":\"m\",\
         \"position\":{{\"orders\":3,\"events\":2,\"labels\":1}},\
         \"raw_score\":-2.0,\"probability\":{p:?},\"threshold\":0.75,\"decision\":\"approve\",\"rule\":\"model\",\
         \"reasons\":[\"a\\\\b\",\"zażółć\"],\"shadow\":{{\"model\":\"s\",\"raw_score\":-2.0,\"probability\":{p:?},\"decision\":\"approve\"}},\
         \"row\":[20.0,null,\"-inf\",0.10000000149011612]"
    );
    let hash = &blake3::hash(expected.as_bytes()).to_hex()[..32];
    assert_eq!(out, format!("{expected},\"hash\":\"{hash}\"}}\n"));
    assert_eq!(chain.last(), (1, hash));
    let unreadable = Record {
        time: None,
        score: None,
        threshold: None,
        shadow: None,
        row: &[],
        ground: "unreadable",
        reasons: &[],
        error: Some("line 7"),
        ..record
    };
    let second = out.len();
    chain.write(&unreadable, &mut out);
    let line = &out[second..];
    assert!(line.starts_with(&format!("{{\"number\":2,\"after\":\"{hash}\",")), "{line}");
    assert!(line.contains("\"time\":null,") && !line.contains("raw_score") && !line.contains("threshold"), "{line}");
    assert!(
        line.contains("\"rule\":\"unreadable\",\"reasons\":[],\"error\":\"line 7\",\"row\":[],\"hash\":"),
        "{line}"
    );
    // In a new file the chain goes on.
    let mut after = String::new();
    Chain::after(1, hash).write(&unreadable, &mut after);
    assert_eq!(after, line);
}

#[test]
fn every_changed_byte_breaks_the_seal() {
    let record = Record {
        order: "o,\"hash\":\"0\"}",
        time: Some(ARRIVAL),
        model: "m",
        position: (3, 2, 1),
        score: None,
        threshold: None,
        decision: Decision::Review,
        ground: "unreadable",
        reasons: &[],
        shadow: None,
        row: &[],
        error: None,
    };
    let mut out = String::new();
    Chain::default().write(&record, &mut out);
    let line = out.trim_end();
    assert!(is_sealed(line));
    for at in 0..line.len() {
        let mut changed = line.as_bytes().to_vec();
        changed[at] ^= 1;
        assert!(!String::from_utf8(changed).is_ok_and(|changed| is_sealed(&changed)), "byte {at}");
        assert!(!is_sealed(&line[..at]));
    }
}

/// Streams whose rows say what they are.
fn streaming() -> Model {
    let mut model = model();
    let event = Column { name: "event".into(), role: Role::Event, available: Available::Order, format: None };
    model.schema.columns.push(event);
    // Only kinds that some feature asks for are remembered.
    for text in ["count(signup) by customer", "count(payment_failed) by customer"] {
        model.spec.features.push(Feature::parse(text).unwrap());
    }
    let Predictor::Gbt(forest) = &mut model.predictor else { unreachable!() };
    forest.n_features = 4;
    model
}

#[test]
fn a_sign_up_is_no_order() {
    let model = streaming();
    let names = ["id", "time", "customer", "amount", "event"];
    let rules = Rules {
        first_order: Some(FirstOrderLimit { max_amount: 50.0, decision: Decision::Review }),
        ..Rules::default()
    };
    let decider = Decider::new(OrderScorer::new(&model, key(), &names).unwrap(), &model, &names, &rules).unwrap();
    let (scorer, mut state) = (decider.scorer(), decider.scorer().new_state());
    let mut scratch = scorer.scratch();
    let row = |id: &'static str, time: &'static str, amount: f64, kind: &'static str| {
        [id.into(), time.into(), "anna".into(), Value::Number(amount), kind.into()]
    };
    let order = row("o-1", "2026-01-31T09:00:00Z", 60.0, "order");
    let limited = (Decision::Review, Ground::FirstOrder);
    let said = |state: &_, order: &[Value<'_>], scratch: &mut _| {
        let verdict = decider.decide(state, order, ARRIVAL, scratch);
        (verdict.decision, verdict.ground, scratch.row()[1])
    };
    assert_eq!(said(&state, &order, &mut scratch), (limited.0, limited.1, -1.0), "first seen");
    // Signing up and failing to pay make history, but no order.
    let yesterday = UnixMillis(ARRIVAL.0 - 82_800_000);
    for (at, kind) in [("2026-01-30T09:00:00Z", "signup"), ("2026-01-30T10:00:00Z", "payment_failed")] {
        let event = [Value::Missing, at.into(), "anna".into(), Value::Missing, kind.into()];
        scorer.learn_event(&mut state, &event, yesterday, &mut scorer.scratch()).unwrap();
    }
    assert_eq!(said(&state, &order, &mut scratch), (limited.0, limited.1, 0.0), "history, but no order");
    let earlier = row("o-0", "2026-01-30T10:30:00Z", 5.0, "order");
    let mut own = scorer.scratch();
    scorer.score(&state, &earlier, yesterday, &mut own).unwrap();
    scorer.learn(&mut state, &own);
    assert_eq!(said(&state, &order, &mut scratch), (Decision::Approve, Ground::Model, 1.0));
}
