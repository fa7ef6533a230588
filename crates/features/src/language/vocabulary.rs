//! The levels of categories that a model knows by name.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::feature::{Feature, Place};
use super::resolve::{self, PlaceSource, ResolveError, TablesPresent};
use super::spec::Vocabulary;
use crate::identity::is_card_number;
use crate::schema::Schema;
use crate::table::{ColumnData, MISSING_CODE, OrderTable, TextColumn};

/// A level is named in the vocabulary from this many training orders on; rarer ones are one level, and not stored.
pub const MIN_LEVEL_ORDERS: usize = 20;
/// The most levels of one category; the most frequent are kept.
pub const MAX_LEVELS: usize = 254;

/// Gives the level of a place from the text of its column, `None` where it has none.
pub type LevelOf<'a> = dyn for<'t> Fn(&PlaceSource, &'t str) -> Option<Cow<'t, str>> + 'a;

/// The vocabulary of a place from the rows of `table` in `fit_rows` (the training part), so that nothing of later rows is
/// known. The result does not depend on the order of rows. O(rows + different texts * log).
pub fn learn(
    schema: &Schema,
    tables: TablesPresent,
    place: &Place,
    table: &OrderTable,
    fit_rows: &[u32],
    level_of: &LevelOf<'_>,
) -> Result<Vocabulary, ResolveError> {
    let source = resolve::category(schema, tables, place)?;
    let levels = match &table.columns[source.column] {
        ColumnData::Text(text) => frequent_levels(text, fit_rows, |text| level_of(&source, text)),
        _ => Vec::new(),
    };
    Ok(Vocabulary { place: place.to_string(), levels })
}

/// The places whose levels a list of features reads, each once.
pub fn places(features: &[Feature]) -> Vec<&Place> {
    let mut places: Vec<&Place> = Vec::new();
    for feature in features {
        if let Feature::Category(place) = feature
            && !places.contains(&place)
        {
            places.push(place);
        }
    }
    places
}

/// The levels of at least [`MIN_LEVEL_ORDERS`] of the given rows, at most [`MAX_LEVELS`], in the order of their names.
fn frequent_levels<'t>(
    text: &'t TextColumn,
    rows: &[u32],
    level_of: impl Fn(&'t str) -> Option<Cow<'t, str>>,
) -> Vec<String> {
    let mut counts = vec![0_usize; text.levels.len()];
    for &row in rows {
        let code = text.codes[row as usize];
        if code != MISSING_CODE {
            counts[code as usize] += 1;
        }
    }
    let mut by_level: BTreeMap<Cow<'t, str>, usize> = BTreeMap::new();
    for (count, text) in counts.into_iter().zip(text.levels.iter()).filter(|(count, _)| *count > 0) {
        if let Some(level) = level_of(text) {
            *by_level.entry(level).or_default() += count;
        }
    }
    let mut frequent: Vec<(Cow<'t, str>, usize)> =
        by_level.into_iter().filter(|(level, count)| *count >= MIN_LEVEL_ORDERS && !is_personal(level)).collect();
    // Stable: equally frequent levels stay in the order of their names.
    frequent.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    frequent.truncate(MAX_LEVELS);
    let mut levels: Vec<String> = frequent.into_iter().map(|(level, _)| level.into_owned()).collect();
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
    use crate::table::Levels;

    fn column(texts: &[(&str, usize)]) -> (TextColumn, Vec<u32>) {
        let mut levels = Levels::default();
        let mut codes = Vec::new();
        for (text, n) in texts {
            let code = levels.push(text);
            codes.resize(codes.len() + n, code);
        }
        let rows = (0..codes.len() as u32).collect();
        (TextColumn { codes, levels }, rows)
    }

    #[test]
    fn personal_and_rare_levels_have_no_name() {
        let (text, mut rows) =
            column(&[("ann@shop.example", 30), ("4111111111111111", 30), ("shoes", 20), ("hats", 19), ("bags", 25)]);
        assert_eq!(frequent_levels(&text, &rows, |level| Some(level.into())), ["bags", "shoes"]);
        rows.remove(65);
        assert_eq!(frequent_levels(&text, &rows, |level| Some(level.into())), ["bags"]);
    }

    #[test]
    fn texts_of_one_level_count_together_and_the_most_frequent_stay() {
        let (text, rows) = column(&[("de", 12), ("DE", 12), ("fr", 19), ("unknown", 40)]);
        let level = |text: &str| (text != "unknown").then(|| text.to_uppercase().into());
        assert_eq!(frequent_levels(&text, &rows, level), ["DE"]);

        let names: Vec<String> = (0..MAX_LEVELS + 10).map(|i| format!("level {i:03}")).collect();
        let texts: Vec<(&str, usize)> =
            names.iter().enumerate().map(|(i, name)| (name.as_str(), 20 + i / 20)).collect();
        let (text, rows) = column(&texts);
        let levels = frequent_levels(&text, &rows, |level| Some(level.into()));
        assert_eq!(levels.len(), MAX_LEVELS);
        assert!(levels.is_sorted());
        // Of the first twenty, seen equally often, the ten first by name are kept.
        assert!(levels.contains(&names[9]) && !levels.contains(&names[10]) && levels.contains(&names[20]));
    }
}
