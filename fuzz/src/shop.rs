//! A shop that has columns of every kind, with all the features that are proposed for it.

use std::sync::Arc;

use orderguard_features::event::Value;
use orderguard_features::identity::{IdentityKey, PUBLIC_KEY};
use orderguard_features::kind::EventKind;
use orderguard_features::language::catalogue::catalogue;
use orderguard_features::language::feature::Feature;
use orderguard_features::language::observed::Observed;
use orderguard_features::language::spec::{FeatureSpec, Vocabulary};
use orderguard_features::own::tables::{TableKind, Tables};
use orderguard_features::schema::{Available, Column, Role, Schema, TimeFormat};
use orderguard_features::time::{Span, UnixMillis};
use orderguard_inference::calibrate::probability;
use orderguard_inference::drift::DriftReference;
use orderguard_inference::model::{
    Background, Calibration, Forest, Model, ModelCard, Node, Predictor, ReasonTexts, Threshold, Tree,
};
use orderguard_inference::service::OrderScorer;

/// When the first order comes in: 2026-01-31T10:00:00Z.
pub const ARRIVAL: UnixMillis = UnixMillis(1_769_853_600_000);

/// Levels of every category.
const LEVELS: [&str; 3] = ["PL", "DE", "web"];

/// A model and its scorer for orders with the columns `names`.
pub struct Shop {
    pub model: Model,
    pub names: Vec<&'static str>,
    pub scorer: OrderScorer,
}

const COLUMNS: [(&str, Role); 34] = [
    ("id", Role::Id),
    ("time", Role::Time),
    ("event", Role::Event),
    ("event_id", Role::EventId),
    ("amount", Role::Amount),
    ("currency", Role::Currency),
    ("customer", Role::Customer),
    ("card", Role::Card),
    ("device", Role::Device),
    ("ip", Role::Ip),
    ("email", Role::Email),
    ("phone", Role::Phone),
    ("billing", Role::BillingAddress),
    ("shipping", Role::ShippingAddress),
    ("merchant", Role::Merchant),
    ("coupon", Role::Coupon),
    ("basket", Role::Basket),
    ("name", Role::Name),
    ("agent", Role::UserAgent),
    ("card_country", Role::CardCountry),
    ("ip_country", Role::IpCountry),
    ("billing_country", Role::BillingCountry),
    ("shipping_country", Role::ShippingCountry),
    ("billing_postcode", Role::BillingPostcode),
    ("shipping_postcode", Role::ShippingPostcode),
    ("billing_lat", Role::BillingLatitude),
    ("billing_lon", Role::BillingLongitude),
    ("shipping_lat", Role::ShippingLatitude),
    ("shipping_lon", Role::ShippingLongitude),
    ("channel", Role::Category),
    ("items", Role::Number),
    ("signup", Role::Timestamp),
    ("fraud", Role::Label),
    ("label_time", Role::LabelTime),
];

/// The shop. Takes some milliseconds: make it once.
pub fn shop() -> Shop {
    let column = |&(name, role): &(&str, Role)| Column {
        name: name.into(),
        role,
        available: if matches!(role, Role::LabelTime) { Available::Later } else { Available::Order },
        format: matches!(role, Role::Time | Role::Timestamp | Role::LabelTime).then_some(TimeFormat::Iso),
    };
    let schema = Schema {
        timezone: "Europe/Warsaw".into(),
        label_delay: Span::days(7),
        amount_decimals: 2,
        columns: COLUMNS.iter().map(column).collect(),
    };
    let geo = include_bytes!("../../crates/features/tests/data/geo-test.mmdb").to_vec();
    let bins = b"bin,country,kind,brand\n411111,PL,debit,visa\n550000,DE,prepaid,mastercard\n".to_vec();
    let domains = b"mail.example\nfree.test\n".to_vec();
    let tables = [(TableKind::Geo, geo), (TableKind::Bins, bins), (TableKind::FreeDomains, domains)]
        .into_iter()
        .fold(Tables::new(), |tables, (kind, bytes)| tables.with(kind, bytes).expect("the table is right"));
    let observed = Observed::everything(&schema, &EventKind::ALL, &[("channel", &LEVELS)]);
    let features = catalogue(&schema, tables.present(), &observed).features;
    let vocabulary = |feature: &Feature| match feature {
        Feature::Category(place) => {
            Some(Vocabulary { place: place.to_string(), levels: LEVELS.map(str::to_owned).to_vec() })
        }
        _ => None,
    };
    let vocabularies = features.iter().filter_map(vocabulary).collect();
    let mut spec = FeatureSpec { features, vocabularies, ..FeatureSpec::default() };
    spec.note_tables(&schema, &tables);
    let key = IdentityKey::new(PUBLIC_KEY);
    let calibration = Calibration::Platt { slope: 1.0, intercept: 0.0 };
    let model = Model {
        predictor: Predictor::Gbt(Forest {
            n_features: spec.len() as u32,
            base: -100,
            scale_bits: 8,
            trees: (0..spec.len() as u32).map(stump).collect(),
        }),
        threshold: Threshold { raw_score: 0.5, probability: probability(&calibration, 0.5), aim: String::new() },
        calibration,
        tiers: Vec::new(),
        card: ModelCard { kind: "gbt".into(), key_check: key.check(), ..ModelCard::default() },
        reference: Vec::new(),
        background: Background::default(),
        drift: DriftReference::default(),
        reasons: ReasonTexts::default(),
        golden: Vec::new(),
        schema,
        spec,
    };
    let names: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).collect();
    let scorer = OrderScorer::with_tables(&model, key, Arc::new(tables), &names).expect("the model is right");
    Shop { model, names, scorer }
}

/// A tree that reads one feature.
fn stump(feature: u32) -> Tree {
    let (value, left, right) = (feature as i32, 1, 2);
    let split = Node::Numeric { feature, threshold: 1.5, missing_left: feature % 2 == 0, left, right };
    Tree { nodes: vec![split, Node::Leaf { value: -value }, Node::Leaf { value }], level_sets: Vec::new() }
}

impl Shop {
    /// A value of an order: nothing for no text, a number behind `#`, else text.
    pub fn value(cell: &str) -> Value<'_> {
        match cell.strip_prefix('#').and_then(|number| number.parse().ok()) {
            Some(number) => Value::Number(number),
            None if cell.is_empty() => Value::Missing,
            None => Value::Text(cell),
        }
    }

    /// The values of a line, cells apart by tabs; missing ones where the line is short.
    pub fn values<'a>(&self, line: &'a str) -> Vec<Value<'a>> {
        let mut values: Vec<Value<'_>> = line.split('\t').map(Self::value).take(self.names.len()).collect();
        values.resize(self.names.len(), Value::Missing);
        values
    }
}
