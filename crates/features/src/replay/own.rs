//! Features of the orders themselves, column by column. What depends on one text is computed once for each distinct text, what
//! depends on two once for each distinct pair.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::{ReplayError, ReplayInput};
use crate::canonical::{CanonicalRows, hash_levels};
use crate::extract::Extractor;
use crate::extract::own::{Own, amount_feature, category_feature, km_feature, mismatch_feature, since_feature};
use crate::language::resolve::{PlaceSource, PointSource};
use crate::parallel;
use crate::schema::Role;
use crate::table::{ColumnData, MISSING_CODE, OrderTable, TextColumn};

/// Refuses a table that lacks a column which rows of orders need.
pub(super) fn check_columns(extractor: &Extractor, table: &OrderTable) -> Result<(), ReplayError> {
    let (needed, _) = extractor.read_columns();
    for (column, needed) in needed.into_iter().enumerate() {
        let described = &extractor.schema.columns[column];
        // Without ids orders are told apart by nothing, and a schema without a currency in the file has one currency.
        let may_lack = matches!(described.role, Role::Id | Role::Currency);
        let found = table.columns.get(column);
        if needed && !may_lack && matches!(found, None | Some(ColumnData::Absent)) {
            return Err(ReplayError::ColumnAbsent { column: described.name.clone() });
        }
    }
    Ok(())
}

/// Fills one column per own feature of the extractor, in canonical order.
pub(super) fn fill(extractor: &Extractor, input: &ReplayInput<'_>, columns: Vec<&mut [f32]>, n_threads: usize) {
    let source = Source { extractor, table: input.orders, rows: input.rows, n_threads };
    let jobs: Vec<_> = extractor.own.iter().map(|(_, own)| own).zip(columns).collect();
    parallel::run(n_threads, jobs, |(own, column)| source.fill(own, column));
}

struct Source<'a> {
    extractor: &'a Extractor,
    table: &'a OrderTable,
    rows: &'a CanonicalRows,
    n_threads: usize,
}

impl<'a> Source<'a> {
    fn fill(&self, own: &Own, column: &mut [f32]) {
        column.fill(f32::NAN);
        let rows = &self.rows.row;
        let mut by_row = |value: &dyn Fn(usize) -> f32| {
            column.iter_mut().zip(rows).for_each(|(cell, &row)| *cell = value(row as usize));
        };
        match own {
            Own::Amount { column, unit } => {
                if let ColumnData::Amount(amounts) = &self.table.columns[*column] {
                    by_row(&|row| amount_feature(amounts[row], *unit));
                }
            }
            Own::Number(column) => {
                if let Some(numbers) = self.numbers(*column) {
                    by_row(&|row| numbers[row] as f32);
                }
            }
            Own::Since { column: timestamp, .. } => {
                if let ColumnData::Time(times) = &self.table.columns[*timestamp] {
                    for ((cell, &row), &time) in column.iter_mut().zip(rows).zip(&self.rows.time) {
                        *cell = since_feature(time, times[row as usize]);
                    }
                }
            }
            Own::Clock(part) => {
                for (cell, &time) in column.iter_mut().zip(&self.rows.time) {
                    *cell = part.value(self.extractor.clock.at(time));
                }
            }
            Own::Category { place, codes } => {
                let role = self.role(place.column);
                self.by_level(place.column, column, |text| {
                    category_feature(codes, place, role, text, &self.extractor.tables)
                });
            }
            Own::Text { function, column: text } => {
                let role = self.role(*text);
                self.by_level(*text, column, |text| {
                    crate::own::text_feature(*function, role, text, &self.extractor.tables)
                });
            }
            Own::Similarity(a, b) => self.similarity(*a, *b, column),
            Own::Mismatch(a, b) => self.mismatch(a, b, column),
            Own::Km(a, b) => {
                let (a, b) = (self.points(a), self.points(b));
                by_row(&|row| km_feature(a.get(row), b.get(row)));
            }
        }
    }

    fn role(&self, column: usize) -> Role {
        self.extractor.schema.columns[column].role
    }

    fn text(&self, column: usize) -> Option<&'a TextColumn> {
        match &self.table.columns[column] {
            ColumnData::Text(text) => Some(text),
            _ => None,
        }
    }

    fn numbers(&self, column: usize) -> Option<&'a [f64]> {
        match &self.table.columns[column] {
            ColumnData::Number(numbers) => Some(numbers),
            _ => None,
        }
    }

    fn by_level(&self, text: usize, column: &mut [f32], value: impl Fn(&str) -> f32 + Sync) {
        let Some(text) = self.text(text) else { return };
        let of_level = hash_levels(text.levels.len(), self.n_threads, |code| value(text.levels.get(code)));
        for (cell, &row) in column.iter_mut().zip(&self.rows.row) {
            *cell = match text.codes[row as usize] {
                MISSING_CODE => f32::NAN,
                code => of_level[code as usize],
            };
        }
    }

    fn similarity(&self, a: usize, b: usize, column: &mut [f32]) {
        let (Some(left), Some(right)) = (self.text(a), self.text(b)) else { return };
        let (a, b) = (self.role(a), self.role(b));
        // Most pairs come with a text that has not come before.
        let n_pairs = column.len().min(left.levels.len().max(right.levels.len()));
        let mut known: HashMap<(u32, u32), f32, FixedState> =
            HashMap::with_capacity_and_hasher(n_pairs, FixedState::default());
        for (cell, &row) in column.iter_mut().zip(&self.rows.row) {
            let pair = (left.codes[row as usize], right.codes[row as usize]);
            if pair.0 != MISSING_CODE && pair.1 != MISSING_CODE {
                *cell = *known
                    .entry(pair)
                    .or_insert_with(|| crate::own::similarity(a, left.levels.get(pair.0), b, right.levels.get(pair.1)));
            }
        }
    }

    fn mismatch(&self, a: &PlaceSource, b: &PlaceSource, column: &mut [f32]) {
        let (Some(left), Some(right)) = (self.text(a.column), self.text(b.column)) else { return };
        let mut names = Names::default();
        let (of_left, of_right) = (self.places(a, left, &mut names), self.places(b, right, &mut names));
        let place = |codes: &[u32], of_level: &[Option<u32>], row: usize| match codes[row] {
            MISSING_CODE => None,
            code => of_level[code as usize],
        };
        for (cell, &row) in column.iter_mut().zip(&self.rows.row) {
            let row = row as usize;
            *cell = mismatch_feature(place(&left.codes, &of_left, row), place(&right.codes, &of_right, row));
        }
    }

    /// A number per level that stands for its place, equal for equal places.
    fn places(&self, source: &PlaceSource, text: &TextColumn, names: &mut Names) -> Vec<Option<u32>> {
        let role = self.role(source.column);
        let place = |level| crate::own::place(&source.place, role, level, &self.extractor.tables);
        text.levels.iter().map(|level| place(level).map(|name| names.number(&name))).collect()
    }

    fn points(&self, source: &PointSource) -> Points<'a> {
        match *source {
            PointSource::Columns { latitude, longitude } => match (self.numbers(latitude), self.numbers(longitude)) {
                (Some(latitude), Some(longitude)) => Points::Columns(latitude, longitude),
                _ => Points::Missing,
            },
            PointSource::Ip { column } => self.text(column).map_or(Points::Missing, |text| {
                let tables = &self.extractor.tables;
                Points::Levels(
                    &text.codes,
                    hash_levels(text.levels.len(), self.n_threads, |code| {
                        crate::own::point(text.levels.get(code), tables)
                    }),
                )
            }),
        }
    }
}

/// Where orders are, by row of the table.
enum Points<'a> {
    Missing,
    Columns(&'a [f64], &'a [f64]),
    Levels(&'a [u32], Vec<Option<(f64, f64)>>),
}

impl Points<'_> {
    fn get(&self, row: usize) -> Option<(f64, f64)> {
        match self {
            Self::Missing => None,
            Self::Columns(latitude, longitude) => crate::extract::point_of(latitude[row], longitude[row]),
            Self::Levels(codes, of_level) => match codes[row] {
                MISSING_CODE => None,
                code => of_level[code as usize],
            },
        }
    }
}

/// Numbers names in the order in which they come.
#[derive(Default)]
struct Names(HashMap<String, u32, FixedState>);

impl Names {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(&number) = self.0.get(name) {
            return number;
        }
        let number = self.0.len() as u32;
        self.0.insert(name.to_owned(), number);
        number
    }
}
