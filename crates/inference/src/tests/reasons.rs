//! Reasons: their sums, their order, and their words in both languages.

use orderguard_features::language::feature::Feature;
use orderguard_features::language::spec::FeatureSpec;
use orderguard_features::schema::{Available, Column, Role, Schema, TimeFormat};
use orderguard_features::time::Span;
use proptest::prelude::*;

use super::samples::{any_predictor, any_row, gbt, model};
use crate::model::{Calibration, FeatureReference, Forest, Model, Node, Predictor, Tree};
use crate::reasons::{Language, Pattern, ReasonScratch, ReasonTexts, Reasoner};
use crate::{ModelError, RawScorer, Scorer};

fn schema() -> Schema {
    let column = |(name, role): (&str, Role)| {
        let format = (role == Role::Time).then_some(TimeFormat::Iso);
        Column { name: name.into(), role, available: Available::Order, format }
    };
    let columns = [
        ("id", Role::Id),
        ("time", Role::Time),
        ("event", Role::Event),
        ("amount", Role::Amount),
        ("customer", Role::Customer),
        ("device", Role::Device),
        ("card", Role::Card),
        ("ip", Role::Ip),
        ("email", Role::Email),
        ("shipping_address", Role::ShippingAddress),
        ("billing_country", Role::BillingCountry),
        ("goods", Role::Category),
        ("n_items", Role::Number),
    ];
    Schema {
        timezone: "UTC".into(),
        label_delay: Span::days(7),
        amount_decimals: 2,
        columns: columns.map(column).to_vec(),
    }
}

/// A model that asks one feature, of which half of the training rows are at most 1, and 2 in the middle.
fn of_one(text: &str) -> Model {
    let mut model = gbt();
    model.schema = schema();
    let feature = Feature::parse(text).unwrap();
    model.spec = FeatureSpec { features: vec![feature], vocabularies: Vec::new(), ..model.spec };
    let nodes = vec![
        Node::Numeric { feature: 0, threshold: 1.0, missing_left: false, left: 1, right: 2 },
        Node::Leaf { value: -512 },
        Node::Leaf { value: 512 },
    ];
    let trees = vec![Tree { nodes, level_sets: Vec::new() }];
    model.predictor = Predictor::Gbt(Forest { n_features: 1, base: 0, scale_bits: 8, trees });
    model.background.node_rows = vec![vec![40, 20, 20]];
    let quantiles = (0..19u8).map(|i| f32::from(i / 3)).collect();
    model.reference = vec![FeatureReference { missing_share: 0.0, quantiles, level_shares: vec![], importance: 1.0 }];
    model.golden.clear();
    model
}

fn said(text: &str, x: f32, language: Language) -> String {
    let model = of_one(text);
    let reasoner = Reasoner::compile(&model).unwrap();
    let raw = Scorer::compile(&model).unwrap().raw_score(&[x]).unwrap();
    let mut scratch = ReasonScratch::default();
    let reasons = reasoner.reasons(&[x], raw, &mut scratch).unwrap();
    assert_eq!(reasons.len(), 1);
    reasoner.text(&reasons[0], &[x], language)
}

#[test]
fn words_hold_numbers_of_the_order() {
    for (text, x, english, polish) in [
        (
            "count(order) by device over 1h",
            7.0,
            "7 orders from this device in the last hour, usually 3",
            "7 zamówień z tego urządzenia w ostatniej godzinie, zwykle 3",
        ),
        (
            "count(order) by customer + card over 7d where amount < 5",
            2.0,
            "2 orders (amount < 5) by this customer and with this card in the last 7 days, usually 3",
            "2 zamówienia (kwota < 5) tego klienta i tą kartą w ciągu ostatnich 7 dni, zwykle 3",
        ),
        (
            "count(order) by ip over 1d",
            -1.0,
            "this IP address is seen for the first time",
            "pierwszy raz widzimy ten adres IP",
        ),
        (
            "count(order) by card over 1d",
            f32::NAN,
            "not known: how many orders the card had in the 24 hours before",
            "brak danych: liczba zamówień tą kartą w ciągu ostatnich 24 godzin",
        ),
        (
            "count(order) by customer over 1d / 30d",
            0.5,
            "50 % of the orders by this customer in the last 30 days came in the last 24 hours, usually 300 %",
            "50 % zamówień tego klienta w ciągu ostatnich 30 dni przypada na ostatnie 24 godziny, zwykle 300 %",
        ),
        (
            "is_new by customer + device",
            1.0,
            "this customer and this device are seen together for the first time",
            "pierwszy raz widzimy razem tego klienta i to urządzenie",
        ),
        (
            "is_new by customer + device",
            0.0,
            "this customer and this device were seen together before",
            "widzieliśmy już razem tego klienta i to urządzenie",
        ),
        ("amount", 1234.5, "the amount is 1234.50, usually 3.00", "kwota zamówienia: 1234,50, zwykle 3,00"),
        (
            "sum(amount) by shipping_address over 7d",
            80.0,
            "a total amount of 80.00 in orders to this delivery address in the last 7 days, usually 3.00",
            "suma kwoty zamówień na ten adres dostawy w ciągu ostatnich 7 dni: 80,00, zwykle 3,00",
        ),
        (
            "fraud_rate by ip24 over 30d shrink 20",
            0.25,
            "estimated share of fraud among the orders from this IP network settled in the last 30 days: 25 %, usually 300 %",
            "szacowany udział oszustw wśród zamówień z tej sieci IP rozliczonych w ciągu ostatnich 30 dni: 25 %, zwykle 300 %",
        ),
        (
            "since_last(order) by email",
            7_200.0,
            "the latest order with this e-mail address was 2 h ago, usually 3 s",
            "zamówienie z tym adresem e-mail, ostatni raz: 2 godz. temu, zwykle 3 s",
        ),
        (
            "distinct(card) by device over 1d",
            9.0,
            "9 different cards in orders from this device in the last 24 hours, usually 3",
            "liczba różnych wartości (karta) wśród zamówień z tego urządzenia w ciągu ostatnich 24 godzin: 9, zwykle 3",
        ),
        (
            "fraud_rate by ip24 over 30d",
            0.25,
            "25 % of the orders from this IP network settled in the last 30 days were fraud, usually 300 %",
            "udział oszustw wśród zamówień z tej sieci IP rozliczonych w ciągu ostatnich 30 dni: 25 %, zwykle 300 %",
        ),
        (
            "rate(return per signup) by customer over 90d shrink 10",
            0.5,
            "an estimated 0.5 returns by this customer in the last 90 days per sign-up, usually 3",
            "szacowana liczba zwrotów towaru tego klienta w ciągu ostatnich 90 dni w przeliczeniu na rejestrację: 0,5, zwykle 3",
        ),
        // The number of a column may be -1.
        ("number(n_items)", -1.0, "\"n_items\" is -1, usually 3", "„n_items”: -1, zwykle 3"),
        (
            "count(return) by customer over 90d where age >= 14d",
            f32::NAN,
            "not known: how many returns made at least 14 days after the order the customer had in the 90 days before",
            "brak danych: liczba zwrotów towaru (czas od zamówienia >= 14 dni) tego klienta w ciągu ostatnich 90 dni",
        ),
        ("valid(email)", 0.0, "this e-mail address is not well formed", "adres e-mail: zapis niepoprawny"),
        (
            "accounts_per(card)",
            5.0,
            "this card was used by 5 accounts so far, usually 3",
            "karta: dotąd na 5 kontach, zwykle 3",
        ),
    ] {
        assert_eq!(said(text, x, Language::English), english, "{text}");
        assert_eq!(said(text, x, Language::Polish), polish, "{text}");
    }
}

#[test]
fn every_kind_of_feature_has_words() {
    let features = [
        "number(n_items)",
        "hour",
        "weekday",
        "night",
        "weekend",
        "entropy(email)",
        "digit_share(email)",
        "longest_run(email)",
        "length(email)",
        "similarity(email, customer)",
        "mismatch(ip.country, billing.country)",
        "km(ip, shipping)",
        "mean(amount) by customer over 7d / 90d",
        "deviation(amount) by customer over 7d / 90d",
        "sum(amount) by customer over 1d / 30d",
        "max(amount) by customer over 1d / 30d",
        "mean(n_items) by customer",
        "deviation(amount) by customer over 30d",
        "min(amount) by customer over 30d",
        "max(amount) by customer over 30d",
        "zscore(amount) by shop over 7d",
        "ratio(amount) by customer over 30d",
        "share(return) by customer over 90d where age >= 14d",
        "rate(return per order) by customer over 90d shrink 10 to goods",
        "decayed_count(order) by customer halflife 3d",
        "decayed_sum(amount) by customer halflife 3d",
        "since_first(signup) by customer",
        "gap_variation(order) by device over 7d",
        "speed(ip) by customer",
        "fraud_count by card over 90d",
        "orders_since_fraud by card over 30d",
        "count(login) by customer over 2min delayed 3h",
        "count(order) by bin",
        "count(order) by email_domain delayed 30d",
        "cluster_size",
        "cluster_frauds",
        "cluster_new_links",
    ];
    for text in features {
        let feature = Feature::parse(text).unwrap();
        let spec = FeatureSpec { features: vec![feature], vocabularies: Vec::new(), ..gbt().spec };
        let texts = ReasonTexts::proposed(&schema(), &spec);
        assert_eq!(texts.check(1), Ok(()), "{text}");
        for pattern in [&texts.features[0].english, &texts.features[0].polish] {
            assert!(!pattern.text.is_empty() && !pattern.missing.is_empty(), "{text}");
            assert!(!pattern.text.contains("  "), "{text}: {}", pattern.text);
        }
        // Nothing of the feature language, which is English, stands in Polish words.
        let Pattern { text: said, no, first_seen, missing } = &texts.features[0].polish;
        for words in [said, no, first_seen, missing] {
            for english in ["order", "over", " by ", "where", "amount", "count", "cluster", "age"] {
                let gaps = words.replace("{usual}", "").replace("{value", "");
                assert!(!gaps.contains(english), "{text}: {words}");
            }
        }
    }
}

#[test]
fn a_name_with_braces_is_no_gap() {
    let mut schema = schema();
    schema.columns[12].name = "n{value".into();
    let feature = Feature::Number("n{value".into());
    let spec = FeatureSpec { features: vec![feature], vocabularies: Vec::new(), ..gbt().spec };
    assert_eq!(ReasonTexts::proposed(&schema, &spec).check(1), Ok(()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn groups_add_up_to_the_parts(predictor in any_predictor(), row in any_row()) {
        let model = model(predictor, Calibration::Platt { slope: 1.0, intercept: 0.0 });
        let reasoner = Reasoner::compile(&model).unwrap();
        let raw = RawScorer::compile(&model.predictor).unwrap().raw_score(&row).unwrap();
        let mut scratch = ReasonScratch::default();
        let reasons = reasoner.reasons(&row, raw, &mut scratch).unwrap().to_vec();
        prop_assert!(reasons.is_sorted_by(|a, b| a.log_odds >= b.log_odds));
        for reason in &reasons {
            let group = |feature: usize| model.spec.features.len() > feature
                && ReasonTexts::proposed(&model.schema, &model.spec).features[feature].group == reason.group;
            let parts = scratch.parts().iter().enumerate().filter(|(feature, _)| group(*feature));
            let sum: f64 = parts.map(|(_, part)| part).sum();
            prop_assert!((sum - reason.log_odds).abs() <= 1e-9 * sum.abs().max(1.0));
            prop_assert!(group(reason.feature as usize));
            let words = reasoner.text(reason, &row, Language::English);
            prop_assert!(!words.is_empty());
        }
        let total: f64 = reasons.iter().map(|reason| reason.log_odds).sum();
        let parts: f64 = scratch.parts().iter().sum();
        let size: f64 = scratch.parts().iter().map(|part| part.abs()).sum();
        prop_assert!((total - parts).abs() <= 1e-9 * size.max(1.0));
    }
}

#[test]
fn edited_words_are_kept_and_checked() {
    let mut model = gbt();
    model.reasons = ReasonTexts::proposed(&model.schema, &model.spec);
    model.reasons.features[0].english = Pattern { text: "costs {value}".into(), ..Pattern::default() };
    let loaded = Model::from_bytes(&model.to_bytes().unwrap()).unwrap();
    assert_eq!(loaded.reasons, model.reasons);
    assert_eq!(loaded.to_bytes().unwrap(), model.to_bytes().unwrap());
    let refused = |change: &dyn Fn(&mut ReasonTexts)| {
        let mut model = model.clone();
        change(&mut model.reasons);
        Model::from_bytes(&model.encode()).unwrap_err().to_string()
    };
    for (error, says) in [
        (refused(&|texts| texts.features[2].polish.no = "{x}".into()), "reasons, feature 2: byte 0: expected {value}"),
        (refused(&|texts| texts.features[0].group = 99), "reason of a feature"),
        (refused(&|texts| texts.groups[0].clear()), "expected 1 to 1000 bytes, found 0"),
        (refused(&|texts| texts.features.truncate(2)), "reasons: expected length 5, found 2"),
    ] {
        assert!(error.contains(says), "{error}");
    }
    let proposed = ReasonTexts::proposed(&model.schema, &model.spec);
    assert!(matches!(proposed.check(4), Err(ModelError::Length { .. })));
}
