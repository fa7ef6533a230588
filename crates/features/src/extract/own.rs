//! Features of the order itself: what they read, and their value for one live order.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::read::Cells;
use crate::calendar::LocalTime;
use crate::event::{NumberText, OrderError};
use crate::language::feature::{Feature, TextFunction};
use crate::language::resolve::{self, PlaceSource, PointSource, ResolveError, TablesPresent};
use crate::language::spec::FeatureSpec;
use crate::own::{self, Tables};
use crate::parse::TimeParser;
use crate::schema::{Role, Schema};
use crate::table::MISSING_I64;
use crate::time::UnixMillis;

/// Level -> code of one category.
pub(crate) type LevelCodes = HashMap<String, u32, FixedState>;

/// A feature that reads nothing but its own order. Columns are positions in the schema.
#[derive(Clone, Debug)]
pub(crate) enum Own {
    Amount { column: usize, unit: f64 },
    Number(usize),
    Category { place: PlaceSource, codes: LevelCodes },
    Clock(ClockPart),
    Since { column: usize, parser: TimeParser },
    Text { function: TextFunction, column: usize },
    Similarity(usize, usize),
    Mismatch(PlaceSource, PlaceSource),
    Km(PointSource, PointSource),
}

/// A property of the order's local time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClockPart {
    Hour,
    Weekday,
    Night,
    Weekend,
}

impl ClockPart {
    pub(crate) fn value(self, local: LocalTime) -> f32 {
        match self {
            Self::Hour => f32::from(local.hour),
            Self::Weekday => f32::from(local.weekday),
            Self::Night => f32::from(u8::from(local.is_night())),
            Self::Weekend => f32::from(u8::from(local.is_weekend())),
        }
    }
}

/// Finds the columns of a feature.
///
/// # Panics
/// For features of history and network, which have plans of their own: a caller's bug.
pub(super) fn compile(
    schema: &Schema,
    tables: TablesPresent,
    feature: &Feature,
    spec: &FeatureSpec,
) -> Result<Own, ResolveError> {
    Ok(match feature {
        Feature::Amount => {
            let column = *resolve::columns(schema, tables, feature)?.first().expect("the amount is one column");
            Own::Amount { column, unit: 10_f64.powi(i32::from(schema.amount_decimals)) }
        }
        Feature::Number(name) => Own::Number(resolve::number(schema, name)?),
        Feature::Category(place) => {
            let levels = spec.vocabulary(place).map_or(&[][..], |vocabulary| &vocabulary.levels);
            let codes = levels.iter().enumerate().map(|(code, level)| (level.clone(), code as u32)).collect();
            Own::Category { place: resolve::category(schema, tables, place)?, codes }
        }
        Feature::Hour => Own::Clock(ClockPart::Hour),
        Feature::Weekday => Own::Clock(ClockPart::Weekday),
        Feature::Night => Own::Clock(ClockPart::Night),
        Feature::Weekend => Own::Clock(ClockPart::Weekend),
        Feature::Since(name) => {
            let column = resolve::timestamp(schema, name)?;
            let format = schema.columns[column].format.expect("checked: a timestamp has a format");
            let parser = TimeParser::new(format, &schema.timezone).expect("checked: the time zone is known");
            Own::Since { column, parser }
        }
        Feature::Text { function, column } => {
            Own::Text { function: *function, column: resolve::text(schema, tables, *function, column)? }
        }
        Feature::Similarity(a, b) => {
            let (a, b) = resolve::similarity(schema, a, b)?;
            Own::Similarity(a, b)
        }
        Feature::Mismatch(a, b) => {
            Own::Mismatch(resolve::place(schema, tables, a)?, resolve::place(schema, tables, b)?)
        }
        Feature::Km(a, b) => Own::Km(resolve::point(schema, tables, *a)?, resolve::point(schema, tables, *b)?),
        Feature::History(_) | Feature::Network(_) => unreachable!("the caller handles history and network"),
    })
}

impl Own {
    /// The columns that it reads.
    pub(crate) fn columns(&self) -> Vec<usize> {
        match self {
            Self::Amount { column, .. }
            | Self::Number(column)
            | Self::Since { column, .. }
            | Self::Text { column, .. } => {
                vec![*column]
            }
            Self::Category { place, .. } => vec![place.column],
            Self::Clock(_) => Vec::new(),
            Self::Similarity(a, b) => vec![*a, *b],
            Self::Mismatch(a, b) => vec![a.column, b.column],
            Self::Km(a, b) => {
                let (a, b) = (point_columns(a), point_columns(b));
                [a.0, b.0].into_iter().chain(a.1).chain(b.1).collect()
            }
        }
    }

    /// The value for a live order.
    pub(super) fn of_order(
        &self,
        cells: &Cells<'_>,
        schema: &Schema,
        tables: &Tables,
        time: UnixMillis,
        local: LocalTime,
    ) -> Result<f32, OrderError> {
        let (mut left, mut right) = (NumberText::default(), NumberText::default());
        let role = |column: usize| schema.columns[column].role;
        Ok(match self {
            Self::Amount { column, unit } => amount_feature(cells.amount(*column)?, *unit),
            Self::Number(column) => cells.number(*column)? as f32,
            Self::Category { place, codes } => cells
                .text(place.column, &mut left)
                .map_or(f32::NAN, |text| category_feature(codes, place, role(place.column), text, tables)),
            Self::Clock(part) => part.value(local),
            Self::Since { column, parser } => since_feature(time, cells.time(*column, parser)?),
            Self::Text { function, column } => cells
                .text(*column, &mut left)
                .map_or(f32::NAN, |text| own::text_feature(*function, role(*column), text, tables)),
            Self::Similarity(a, b) => match (cells.text(*a, &mut left), cells.text(*b, &mut right)) {
                (Some(x), Some(y)) => own::similarity(role(*a), x, role(*b), y),
                _ => f32::NAN,
            },
            Self::Mismatch(a, b) => match (cells.text(a.column, &mut left), cells.text(b.column, &mut right)) {
                (Some(x), Some(y)) => {
                    let x = own::place(&a.place, role(a.column), x, tables);
                    let y = own::place(&b.place, role(b.column), y, tables);
                    mismatch_feature(x.as_deref(), y.as_deref())
                }
                _ => f32::NAN,
            },
            Self::Km(a, b) => km_feature(cells.point(a, tables)?, cells.point(b, tables)?),
        })
    }
}

/// The one or two columns that a place is read from.
pub(crate) fn point_columns(point: &PointSource) -> (usize, Option<usize>) {
    match *point {
        PointSource::Columns { latitude, longitude } => (latitude, Some(longitude)),
        PointSource::Ip { column } => (column, None),
    }
}

/// Major units; NaN when missing.
pub(crate) fn amount_feature(amount: i64, unit: f64) -> f32 {
    if amount == MISSING_I64 { f32::NAN } else { (amount as f64 / unit) as f32 }
}

/// Seconds from a timestamp (milliseconds, [`MISSING_I64`] when missing) to the order.
pub(crate) fn since_feature(time: UnixMillis, timestamp: i64) -> f32 {
    if timestamp == MISSING_I64 { f32::NAN } else { ((time.0 as f64 - timestamp as f64) / 1_000.0) as f32 }
}

/// Code of a level: its position in the vocabulary, or the vocabulary's length for rare and unseen ones; NaN where the
/// text has no such place.
pub(crate) fn category_feature(
    codes: &LevelCodes,
    place: &PlaceSource,
    role: Role,
    text: &str,
    tables: &Tables,
) -> f32 {
    own::place(&place.place, role, text, tables)
        .map_or(f32::NAN, |level| codes.get(level.as_ref()).copied().unwrap_or(codes.len() as u32) as f32)
}

/// 1 where both are there and differ, 0 where they agree, NaN otherwise.
pub(crate) fn mismatch_feature<T: PartialEq>(a: Option<T>, b: Option<T>) -> f32 {
    match (a, b) {
        (Some(a), Some(b)) => f32::from(u8::from(a != b)),
        _ => f32::NAN,
    }
}

/// Kilometres; NaN where a point is missing.
pub(crate) fn km_feature(a: Option<(f64, f64)>, b: Option<(f64, f64)>) -> f32 {
    match (a, b) {
        (Some(a), Some(b)) => own::km(a, b) as f32,
        _ => f32::NAN,
    }
}
