//! The whole way of an order, from JSON to JSON: what a service does for each one, but learning it.

use std::fmt::Write;

use orderguard_features::event::{Event, Value};
use orderguard_features::extract::Extractor;
use orderguard_features::identity::{IdentityKey, PUBLIC_KEY};
use orderguard_features::kind::EventKind;
use orderguard_features::language::catalogue::catalogue;
use orderguard_features::language::observed::Observed;
use orderguard_features::language::resolve::TablesPresent;
use orderguard_features::language::spec::{FeatureKind, FeatureSpec, Vocabulary};
use orderguard_features::language::vocabulary::places;
use orderguard_features::matrix::Matrix;
use orderguard_features::schema::{Available, Column, Role, Schema, TimeFormat};
use orderguard_features::state::State;
use orderguard_features::time::{Span, UnixMillis};
use orderguard_inference::calibrate::probability;
use orderguard_inference::drift::{self, DriftBins};
use orderguard_inference::json::{JsonScratch, OrderReader, write_answer};
use orderguard_inference::model::{Calibration, Forest, Model, ModelCard, Node, Predictor, Threshold, Tree};
use orderguard_inference::reasons::{Language, ReasonScratch, ReasonTexts, Reasoner};
use orderguard_inference::rules::{Decider, EntityList, FirstOrderLimit, Ground, Rules};
use orderguard_inference::service::OrderScorer;
use orderguard_inference::{Decision, background, golden, reference};
use orderguard_simulator::{Layout, SimulatedEvent, SimulatorParams, simulate};

use super::n_allocations;

const N_ORDERS: u64 = 1_500;
/// The last ones are answered, with the history of those before.
const N_ANSWERED: usize = 500;

/// When it came in, and its cells.
type Order<'a> = (UnixMillis, Vec<&'a str>);

/// What the columns of the simulator mean.
fn role(name: &str) -> Role {
    match name {
        "order_id" => Role::Id,
        "event_time" => Role::Time,
        "customer_id" => Role::Customer,
        "signup_time" => Role::Timestamp,
        "customer_name" => Role::Name,
        "device_id" => Role::Device,
        "basket_hash" => Role::Basket,
        "n_items" | "special_offer" | "session_seconds" => Role::Number,
        "payment_method" | "channel" | "customer_type" => Role::Category,
        "fraud_kind" => Role::Ignored,
        name => Role::from_name(name).unwrap(),
    }
}

fn schema(names: &[&str]) -> Schema {
    let column = |name: &&str| {
        let role = role(name);
        let format = matches!(role, Role::Time | Role::Timestamp | Role::LabelTime).then_some(TimeFormat::Iso);
        Column { name: (*name).to_owned(), role, available: Available::Order, format }
    };
    let columns = names.iter().map(column).collect();
    Schema { timezone: "UTC".into(), label_delay: Span::days(7), amount_decimals: 2, columns }
}

/// The usual features.
fn spec(schema: &Schema) -> FeatureSpec {
    let observed = Observed::everything(schema, &[EventKind::Order], &[]);
    let features = catalogue(schema, TablesPresent::default(), &observed).features;
    let levels = ["web", "card", "private", "books", "PL", "DE"].map(str::to_owned).to_vec();
    let vocabulary = |place: String| Vocabulary { place, levels: levels.clone() };
    let vocabularies = places(&features).into_iter().map(|place| vocabulary(place.to_string())).collect();
    FeatureSpec { features, vocabularies, ..FeatureSpec::default() }
}

/// A tree for each feature, which also asks for the next two.
fn forest(spec: &FeatureSpec, middles: &[f32]) -> Forest {
    let kinds = spec.kinds();
    let n = kinds.len() as u32;
    let split = |feature: u32, left: u32, missing_left| match kinds[feature as usize] {
        FeatureKind::Numeric => {
            let threshold = middles[feature as usize];
            Node::Numeric { feature, threshold, missing_left, left, right: left + 1 }
        }
        FeatureKind::Categorical { .. } => {
            Node::Categorical { feature, level_set: 0, missing_left, left, right: left + 1 }
        }
    };
    let tree = |i: u32| {
        let leaf = |k: u32| Node::Leaf { value: ((i * 7_919 + k * 104_729) % 4_001) as i32 - 2_000 };
        let nodes = vec![
            split(i, 1, i.is_multiple_of(2)),
            split((i + 1) % n, 3, true),
            split((i + 2) % n, 5, false),
            leaf(0),
            leaf(1),
            leaf(2),
            leaf(3),
        ];
        Tree { nodes, level_sets: vec![[0b1011, 0, 0, 0]] }
    };
    Forest { n_features: n, base: -4_000, scale_bits: 12, trees: (0..n).map(tree).collect() }
}

/// Features of the orders as they come, and the history that they leave.
fn play(extractor: &Extractor, names: &[&str], orders: &[Order<'_>], state: &mut State) -> Matrix {
    let binding = extractor.bind(names).unwrap();
    let mut event = Event::default();
    let mut row = vec![0.0; extractor.row_len()];
    let mut rows: Vec<Vec<f32>> = Vec::new();
    for (arrival, cells) in orders {
        let values: Vec<Value<'_>> = cells.iter().map(|cell| Value::Text(cell)).collect();
        extractor.read_order(&binding, &values, *arrival, &mut event).unwrap();
        extractor.extract(state, &event, &mut row);
        rows.push(row.clone());
        state.learn(extractor, &event);
    }
    let n = extractor.n_features();
    let columns = (0..n).flat_map(|j| rows.iter().map(move |row| row[j])).collect();
    Matrix::from_columns(rows.len(), n, columns)
}

fn model(schema: &Schema, spec: &FeatureSpec, matrix: &Matrix) -> Model {
    let kinds = spec.kinds();
    let rows: Vec<u32> = (0..matrix.n_rows() as u32).collect();
    let reference: Vec<_> =
        (0..kinds.len()).map(|i| reference::of_feature(matrix.column(i), &rows, kinds[i], 1.0)).collect();
    let middles: Vec<f32> = reference.iter().map(|found| found.quantiles.get(9).copied().unwrap_or_default()).collect();
    let predictor = Predictor::Gbt(forest(spec, &middles));
    let calibration = Calibration::Platt { slope: 1.0, intercept: 0.0 };
    let raw_score = -1.0;
    Model {
        golden: golden::build(&reference, &kinds, &predictor, 4).unwrap(),
        background: background::of(&predictor, matrix, &rows).unwrap(),
        drift: drift::build(spec, &predictor, matrix, &rows, &rows).unwrap(),
        reasons: ReasonTexts::proposed(schema, spec),
        threshold: Threshold { raw_score, probability: probability(&calibration, raw_score), aim: "a test".into() },
        tiers: Vec::new(),
        card: ModelCard { key_check: IdentityKey::new(PUBLIC_KEY).check(), ..ModelCard::default() },
        schema: schema.clone(),
        spec: spec.clone(),
        predictor,
        calibration,
        reference,
    }
}

/// An order as a flat object, numbers as numbers, with escapes and a member that nobody asked for.
fn json(names: &[&str], cells: &[&str]) -> String {
    let mut out = String::from("{\"extra\": [1, {\"a\": 2}]");
    for (name, cell) in names.iter().zip(cells) {
        let _ = match *cell {
            "" => write!(out, ", \"{name}\": null"),
            cell if role(name) == Role::Amount || role(name).is_number() => write!(out, ", \"{name}\": {cell}"),
            cell => write!(out, ", \"{name}\": \"{}\"", cell.replace('/', "\\/")),
        };
    }
    out.push('}');
    out
}

#[test]
fn a_warm_service_allocates_nothing_from_json_to_json() {
    let key = IdentityKey::new(PUBLIC_KEY);
    let header = Layout::Orders.header();
    let names: Vec<&str> = header.split(',').collect();
    let params = SimulatorParams { n_orders: N_ORDERS, ..Default::default() }.check().unwrap();
    let line = |event: SimulatedEvent| {
        let mut line = Vec::new();
        Layout::Orders.append(&event, &mut line);
        (event.known_at(), String::from_utf8(line).unwrap())
    };
    let lines: Vec<_> = simulate(&params).filter(|event| event.kind() == EventKind::Order).map(line).collect();
    let orders: Vec<Order<'_>> =
        lines.iter().map(|(arrival, line)| (*arrival, line.trim_end().split(',').collect())).collect();
    let (old, new) = orders.split_at(orders.len() - N_ANSWERED);
    let (schema, spec) = (schema(&names), spec(&schema(&names)));
    assert!(spec.len() > 60, "{}", spec.len());
    let extractor = Extractor::new(&schema, &spec, key.clone()).unwrap();
    let mut state = State::new(&extractor);
    let matrix = play(&extractor, &names, old, &mut state);
    let model = model(&schema, &spec, &matrix);

    let list = |column: &str, trusted, ids: &[&str]| EntityList {
        name: column.into(),
        column: column.into(),
        trusted,
        ids: ids.iter().map(|&id| id.to_owned()).collect(),
    };
    let at = |name: &str| names.iter().position(|other| *other == name).unwrap();
    let ip = new.iter().map(|order| order.1[at("ip")]).find(|ip| !ip.is_empty()).unwrap();
    let rules = Rules {
        lists: vec![
            list("customer", true, &[new[3].1[at("customer_id")]]),
            list("billing_address", false, &["nowhere 1"]),
            list("phone", false, &["+48 111 111 111"]),
            list("email", false, &["NOBODY@shop.example"]),
            list("ip", false, &[ip]),
        ],
        first_order: Some(FirstOrderLimit { max_amount: 100.0, decision: Decision::Challenge }),
        fallback: Decision::Review,
    };
    let scorer = OrderScorer::new(&model, key, &names).unwrap();
    let decider = Decider::new(scorer, &model, &names, &rules).unwrap().with_shadow(&model, &model).unwrap();
    let (reader, reasoner) = (OrderReader::new(&names), Reasoner::compile(&model).unwrap());
    let bins = DriftBins::compile(&model).unwrap();
    let jsons: Vec<(UnixMillis, String)> = new.iter().map(|order| (order.0, json(&names, &order.1))).collect();

    let (mut read, mut scratch, mut reasons) =
        (JsonScratch::default(), decider.scorer().scratch(), ReasonScratch::default());
    let (mut counts, mut words, mut answer) = (bins.counts(), vec![String::new(); 3], String::new());
    let mut grounds = [0; 3];
    let mut n_with_reasons = 0;
    let mut all = || {
        for (arrival, json) in &jsons {
            let verdict =
                reader.read(json, &mut read, |values| decider.decide(&state, values, *arrival, &mut scratch)).unwrap();
            let score = verdict.score.expect("every order can be read");
            bins.observe(scratch.row(), score.raw_score, &mut counts).unwrap();
            let mut n = 0;
            if verdict.decision != Decision::Approve {
                let found = reasoner.reasons(scratch.row(), score.raw_score, &mut reasons).unwrap();
                for (reason, words) in found.iter().zip(&mut words) {
                    words.clear();
                    reasoner.write(reason, scratch.row(), Language::English, words);
                    n += 1;
                }
                n_with_reasons += 1;
            }
            grounds[match verdict.ground {
                Ground::Model => 0,
                Ground::List(_) => 1,
                Ground::FirstOrder | Ground::Unreadable => 2,
            }] += 1;
            answer.clear();
            let rule = decider.ground_name(verdict.ground);
            write_answer("order", &verdict, rule, words[..n].iter().map(String::as_str), &mut answer);
        }
    };
    all();
    let before = n_allocations();
    all();
    assert_eq!(n_allocations() - before, 0, "for {N_ANSWERED} orders");
    assert!(grounds.iter().all(|&n| n > 1) && n_with_reasons > 100, "{grounds:?} {n_with_reasons}");
}
