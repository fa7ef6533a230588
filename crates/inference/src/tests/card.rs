//! What `inspect` prints of the fixtures.

use super::samples::{gbt, logistic};
use crate::card::describe;
use crate::model::Model;

fn check(model: &Model, expected: &str) {
    let lines: Vec<String> = describe(model).into_iter().map(|(name, value)| format!("{name}: {value}")).collect();
    assert_eq!(lines.join("\n"), expected.trim());
}

#[test]
fn boosted_trees() {
    let fingerprint = gbt().schema.fingerprint();
    let expected = r#"
kind: gbt
written by: orderguard 0.1.0
schema fingerprint: FINGERPRINT
identity key check: 000000000000002a
data hash: 00ff
seed: 1
time zone: Europe/Warsaw
label delay: 7d
trees: 3
nodes: 11, of these 7 leaves
level sets: 1
leaf unit: 2^-16
base raw score: -1.068115234375
golden rows: 6
reasons: against 40 training rows
calibration: beta, a 1.25, b 0.75, c -0.5
threshold: raw score 0.75, probability 0.467313
threshold aim: false-positive rate at most 0.5 % in validation
orders: 1000
parameter learning_rate: 0.1
features: 5
feature amount: 41.67 % of importance, 25.00 % missing, 0 / 11.25 / 22.5 at 5 / 50 / 95 %
feature number(items): 33.33 % of importance, 25.00 % missing, 0 / 11.25 / 22.5 at 5 / 50 / 95 %
feature hour: 16.67 % of importance, 25.00 % missing, 0 / 11.25 / 22.5 at 5 / 50 / 95 %
feature count(order) by "card \"no\"" over 1d: 8.33 % of importance, 25.00 % missing, 0 / 11.25 / 22.5 at 5 / 50 / 95 %
feature category(country): 0.00 % of importance, 3 levels, 0.00 % missing
note: a note
"#;
    check(&gbt(), &expected.replace("FINGERPRINT", &format!("{fingerprint:016x}")));
}

#[test]
fn a_linear_model_without_reference() {
    let mut model = logistic();
    model.reference.clear();
    let lines = describe(&model);
    let value = |name: &str| lines.iter().find(|line| line.0 == name).map(|line| line.1.as_str());
    assert_eq!(value("terms"), Some("3, of these 3 not zero"));
    assert_eq!(value("intercept"), Some("-3.25"));
    assert_eq!(value("calibration"), Some("isotonic, 3 knots"));
    assert_eq!(value("feature category(country)"), Some("3 levels"));
    assert_eq!(value("trees"), None);
}
