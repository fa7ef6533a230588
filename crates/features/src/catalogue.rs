//! The default features: what a model reads when nobody wrote a specification, generated from the schema's roles.

use crate::identity::is_card_number;
use crate::schema::{Available, Role, Schema};
use crate::spec::{Feature, FeatureSpec, Vocabulary};
use crate::table::{ColumnData, MISSING_CODE, OrderTable, TextColumn};
use crate::time::Span;

/// Windows of order counts and sums.
pub const ACTIVITY_WINDOWS: [Span; 4] = [Span::HOUR, Span::DAY, Span::days(7), Span::days(30)];
/// Windows of known frauds, the terminal-risk windows of the Fraud Detection Handbook, chapter 3.
pub const LABEL_WINDOWS: [Span; 3] = [Span::DAY, Span::days(7), Span::days(30)];
/// A level is named in the vocabulary from this many training orders on; rarer ones are one level, and not stored.
pub const MIN_LEVEL_ORDERS: usize = 20;
/// The most levels of one category; the most frequent are kept.
pub const MAX_LEVELS: usize = 254;

/// The default specification. Vocabularies are taken from the rows of `table` in `fit_rows` (the training part), so that
/// nothing of later rows is known. The result does not depend on the order of rows.
pub fn default_spec(schema: &Schema, table: &OrderTable, fit_rows: &[u32]) -> FeatureSpec {
    let mut spec = FeatureSpec::default();
    let has_time = schema.find(Role::Time).is_some();
    let has_amount = schema.find(Role::Amount).is_some_and(|c| schema.columns[c].available == Available::Order);
    if has_amount {
        spec.features.push(Feature::Amount);
    }
    for (index, column) in schema.columns.iter().enumerate().filter(|(_, c)| c.available == Available::Order) {
        let name = column.name.clone();
        match (column.role, &table.columns[index]) {
            (Role::Number, ColumnData::Number(_)) => spec.features.push(Feature::Number(name)),
            (Role::Timestamp, ColumnData::Time(_)) if has_time => spec.features.push(Feature::Since(name)),
            (Role::Category | Role::Currency, ColumnData::Text(text)) => {
                let levels = frequent_levels(text, fit_rows);
                if !levels.is_empty() {
                    spec.features.push(Feature::Category(name.clone()));
                    spec.vocabularies.push(Vocabulary { column: name, levels });
                }
            }
            _ => {}
        }
    }
    if has_time {
        spec.features.extend([Feature::Hour, Feature::Weekday, Feature::Night, Feature::Weekend]);
        for index in schema.entity_columns() {
            add_history(&mut spec.features, &schema.columns[index].name, has_amount);
        }
    }
    spec
}

fn add_history(features: &mut Vec<Feature>, entity: &str, has_amount: bool) {
    let entity = || entity.to_owned();
    features.push(Feature::CountAll { entity: entity() });
    features.push(Feature::SinceLast { entity: entity() });
    for window in ACTIVITY_WINDOWS {
        features.push(Feature::Count { entity: entity(), window });
        if has_amount {
            features.push(Feature::Sum { entity: entity(), window });
        }
    }
    if has_amount {
        for window in [Span::days(7), Span::days(30)] {
            features.push(Feature::Ratio { entity: entity(), window });
        }
    }
    for window in LABEL_WINDOWS {
        features.push(Feature::FraudCount { entity: entity(), window });
        features.push(Feature::FraudRate { entity: entity(), window });
    }
}

/// The levels of at least [`MIN_LEVEL_ORDERS`] of the given rows, at most [`MAX_LEVELS`], in the order of their names.
fn frequent_levels(text: &TextColumn, rows: &[u32]) -> Vec<String> {
    let mut counts = vec![0_usize; text.levels.len()];
    for &row in rows {
        let code = text.codes[row as usize];
        if code != MISSING_CODE {
            counts[code as usize] += 1;
        }
    }
    let mut frequent: Vec<(usize, &str)> = counts
        .into_iter()
        .zip(text.levels.iter())
        .filter(|(count, level)| *count >= MIN_LEVEL_ORDERS && !is_personal(level))
        .collect();
    frequent.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    frequent.truncate(MAX_LEVELS);
    let mut levels: Vec<String> = frequent.into_iter().map(|(_, level)| level.to_owned()).collect();
    levels.sort_unstable();
    levels
}

/// Whether a text is an e-mail address or a card number. Such a level is never named, however frequent it is and whatever
/// role its column was given: a model file holds no personal data.
pub fn is_personal(text: &str) -> bool {
    text.contains('@') || is_card_number(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Column, TimeFormat};
    use crate::table::Levels;

    #[test]
    fn personal_levels_have_no_name() {
        let mut levels = Levels::default();
        let codes = ["ann@shop.example", "4111111111111111", "shoes"].map(|level| levels.push(level));
        let text = TextColumn { codes: codes.repeat(30), levels };
        let rows: Vec<u32> = (0..90).collect();
        assert_eq!(frequent_levels(&text, &rows), ["shoes"]);
    }

    #[test]
    fn features_follow_the_roles_and_rare_levels_have_no_name() {
        let column = |name: &str, role, available| Column {
            name: name.into(),
            role,
            available,
            format: (role == Role::Time).then_some(TimeFormat::Iso),
        };
        let schema = Schema {
            timezone: "UTC".into(),
            label_delay: Span::days(7),
            amount_decimals: 2,
            columns: vec![
                column("at", Role::Time, Available::Order),
                column("who", Role::Customer, Available::Order),
                column("kind", Role::Category, Available::Order),
                column("outcome", Role::Category, Available::Later),
            ],
        };
        let mut levels = Levels::default();
        let (rare, usual) = (levels.push("someone@shop.example"), levels.push("shoes"));
        let mut codes = vec![usual; 40];
        codes[..19].fill(rare);
        let kind = TextColumn { codes, levels };
        let table = OrderTable {
            n_rows: 40,
            columns: vec![
                ColumnData::Time(vec![0; 40]),
                ColumnData::Text(kind.clone()),
                ColumnData::Text(kind.clone()),
                ColumnData::Text(kind),
            ],
            source: vec![0; 40],
            line: vec![0; 40],
        };
        let rows: Vec<u32> = (0..40).collect();
        let spec = default_spec(&schema, &table, &rows);
        assert_eq!(spec.vocabularies, [Vocabulary { column: "kind".into(), levels: vec!["shoes".into()] }]);
        let names = spec.names();
        assert!(names.contains(&"count(order) by who over 1h".to_owned()));
        assert!(names.contains(&"fraud_rate by who over 30d".to_owned()));
        assert!(!names.iter().any(|name| name.contains("amount") || name.contains("outcome")), "{names:?}");
    }
}
