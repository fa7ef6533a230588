//! The cells of Arrow columns: as the text that a CSV file would hold, or as values where that is the same.

use std::fmt::Write;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Date64Type, Decimal128Type, Decimal256Type, Float16Type, Float32Type, Float64Type,
    Int8Type, Int16Type, Int32Type, Int64Type, Time32MillisecondType, Time32SecondType, Time64MicrosecondType,
    Time64NanosecondType, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, PrimitiveArray};
use arrow_schema::{DataType, TimeUnit};
use orderguard_features::table::MISSING_I64;

use crate::columns::{CellReader, CellTexts, Cells, Planned, extend, push_cells};
use crate::intern::{Cache, SharedInterner};

/// What a column holds that cannot be read as cells; `None` where it can.
pub(super) fn unreadable(of: &DataType) -> Option<&'static str> {
    match of {
        DataType::List(_)
        | DataType::LargeList(_)
        | DataType::FixedSizeList(..)
        | DataType::ListView(_)
        | DataType::LargeListView(_) => Some("lists"),
        DataType::Struct(_) => Some("nested columns"),
        DataType::Map(..) => Some("maps"),
        DataType::Union(..) => Some("values of several types"),
        DataType::Interval(_) | DataType::Duration(_) => Some("spans of time"),
        _ => None,
    }
}

/// One column of a batch.
pub(crate) struct Column<'a> {
    array: Option<&'a ArrayRef>,
    n_rows: usize,
}

impl<'a> Column<'a> {
    /// The column in `array`; without one, all cells are missing.
    pub(crate) fn new(array: Option<&'a ArrayRef>, n_rows: usize) -> Self {
        Self { array, n_rows }
    }

    /// Whether the file says that the cells are points in time.
    pub(crate) fn is_time(&self) -> bool {
        let of = self.array.map(Array::data_type);
        matches!(of, Some(DataType::Timestamp(..) | DataType::Date32 | DataType::Date64))
    }

    /// Whether a row's cell is missing.
    pub(crate) fn is_null(&self, row: usize) -> bool {
        self.array.is_none_or(|array| array.is_null(row))
    }

    /// Appends the values of all rows, and to `bad` the rows whose cells cannot be read.
    pub(crate) fn push(&self, column: &Planned, cells: &mut Cells, cache: &mut Cache, bad: &mut Vec<u32>) {
        let Some(array) = self.array else { return push_cells(column, cells, cache, self, bad) };
        match (&column.reader, cells) {
            (CellReader::Time { typed, .. }, Cells::Time(values)) if self.is_time() => {
                let clock = Clock::of(array);
                let read = |row: usize| {
                    let time = if array.is_null(row) {
                        Ok(MISSING_I64)
                    } else {
                        typed.of_clock(clock.at(row).div_euclid(clock.per_ms), clock.in_utc)
                    };
                    column.checked_time(time).ok()
                };
                extend(values, self.n_rows, bad, read);
            }
            (CellReader::Number, Cells::Number(values)) if matches!(array.data_type(), DataType::Float64) => {
                let array = array.as_primitive::<Float64Type>();
                extend(values, self.n_rows, bad, |row| {
                    let x = if array.is_null(row) { f64::NAN } else { array.value(row) };
                    (x.is_nan() || x.abs() <= f64::from(f32::MAX)).then_some(if x.is_nan() { f64::NAN } else { x })
                });
            }
            (CellReader::Text, Cells::Text(values)) if matches!(array.data_type(), DataType::Int64) => {
                let numbers = array.as_primitive::<Int64Type>();
                let mut text = String::new();
                extend(values, self.n_rows, bad, |row| match u32::try_from(numbers.value(row)) {
                    Ok(number) if number < SharedInterner::N_NUMBERS && !numbers.is_null(row) => {
                        Some(SharedInterner::code_of_number(number))
                    }
                    _ => column.code(cache, self.get(row, &mut text)).ok(),
                });
            }
            (_, cells) => push_cells(column, cells, cache, self, bad),
        }
    }
}

impl CellTexts for Column<'_> {
    fn n_rows(&self) -> usize {
        self.n_rows
    }

    fn get<'s>(&'s self, row: usize, out: &'s mut String) -> &'s str {
        let Some(array) = self.array.filter(|array| !array.is_null(row)) else { return "" };
        match array.data_type() {
            DataType::Utf8 => return array.as_string::<i32>().value(row).trim_ascii(),
            DataType::LargeUtf8 => return array.as_string::<i64>().value(row).trim_ascii(),
            DataType::Utf8View => return array.as_string_view().value(row).trim_ascii(),
            _ => {}
        }
        out.clear();
        write(array, row, out);
        out
    }
}

fn write(array: &ArrayRef, row: usize, out: &mut String) {
    fn show<T: ArrowPrimitiveType>(array: &ArrayRef, row: usize, out: &mut String)
    where
        T::Native: std::fmt::Display,
    {
        push(out, format_args!("{}", array.as_primitive::<T>().value(row)));
    }
    match array.data_type() {
        DataType::Boolean => out.push_str(if array.as_boolean().value(row) { "true" } else { "false" }),
        DataType::Int8 => show::<Int8Type>(array, row, out),
        DataType::Int16 => show::<Int16Type>(array, row, out),
        DataType::Int32 => show::<Int32Type>(array, row, out),
        DataType::Int64 => show::<Int64Type>(array, row, out),
        DataType::UInt8 => show::<UInt8Type>(array, row, out),
        DataType::UInt16 => show::<UInt16Type>(array, row, out),
        DataType::UInt32 => show::<UInt32Type>(array, row, out),
        DataType::UInt64 => show::<UInt64Type>(array, row, out),
        // Data frames write the point of a whole float too.
        DataType::Float16 => push(out, format_args!("{:?}", array.as_primitive::<Float16Type>().value(row).to_f32())),
        DataType::Float32 => push(out, format_args!("{:?}", array.as_primitive::<Float32Type>().value(row))),
        DataType::Float64 => push(out, format_args!("{:?}", array.as_primitive::<Float64Type>().value(row))),
        DataType::Decimal128(_, scale) => decimal(&array.as_primitive::<Decimal128Type>().value(row), *scale, out),
        DataType::Decimal256(_, scale) => decimal(&array.as_primitive::<Decimal256Type>().value(row), *scale, out),
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => Clock::of(array).write(row, out),
        DataType::Time32(_) | DataType::Time64(_) => time_of_day(array, row, out),
        DataType::Binary => bytes(array.as_binary::<i32>().value(row), out),
        DataType::LargeBinary => bytes(array.as_binary::<i64>().value(row), out),
        DataType::BinaryView => bytes(array.as_binary_view().value(row), out),
        DataType::FixedSizeBinary(_) => bytes(array.as_fixed_size_binary().value(row), out),
        // Null has no values, and the others were refused with the file.
        _ => {}
    }
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes everything");
}

/// Text as it is, other bytes in hexadecimal digits.
fn bytes(bytes: &[u8], out: &mut String) {
    match std::str::from_utf8(bytes) {
        Ok(text) => out.push_str(text.trim_ascii()),
        Err(_) => bytes.iter().for_each(|byte| push(out, format_args!("{byte:02x}"))),
    }
}

/// A whole number of `10^-scale`, with all its decimals.
fn decimal(value: &impl std::fmt::Display, scale: i8, out: &mut String) {
    push(out, format_args!("{value}"));
    if scale < 0 {
        out.extend(std::iter::repeat_n('0', usize::from(scale.unsigned_abs())));
        return;
    }
    let scale = scale.unsigned_abs() as usize;
    if scale > 0 {
        let sign = usize::from(out.starts_with('-'));
        let n_digits = out.len() - sign;
        if n_digits <= scale {
            out.insert_str(sign, &"0".repeat(scale + 1 - n_digits));
        }
        out.insert(out.len() - scale, '.');
    }
}

/// The time of day, with as many decimals of the second as the unit has where they are not all zero.
fn time_of_day(array: &ArrayRef, row: usize, out: &mut String) {
    fn value<T: ArrowPrimitiveType>(array: &ArrayRef, row: usize) -> i64
    where
        T::Native: Into<i64>,
    {
        array.as_primitive::<T>().value(row).into()
    }
    let (ticks, per_second) = match array.data_type() {
        DataType::Time32(TimeUnit::Second) => (value::<Time32SecondType>(array, row), 1),
        DataType::Time32(_) => (value::<Time32MillisecondType>(array, row), 1_000),
        DataType::Time64(TimeUnit::Microsecond) => (value::<Time64MicrosecondType>(array, row), 1_000_000),
        _ => (value::<Time64NanosecondType>(array, row), 1_000_000_000),
    };
    clock_time(ticks, per_second, out);
}

fn clock_time(ticks: i64, per_second: i64, out: &mut String) {
    let (seconds, rest) = (ticks.div_euclid(per_second), ticks.rem_euclid(per_second));
    push(out, format_args!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60));
    if rest > 0 {
        push(out, format_args!(".{rest:0width$}", width = per_second.ilog10() as usize));
    }
}

/// Points in time of one column.
struct Clock<'a> {
    ticks: Ticks<'a>,
    /// Ticks in a millisecond; where one lasts longer, `scale` milliseconds.
    per_ms: i64,
    scale: i64,
    /// Whether they count from 1970 in UTC, not on some clock.
    in_utc: bool,
    is_date: bool,
}

enum Ticks<'a> {
    Seconds(&'a PrimitiveArray<TimestampSecondType>),
    Millis(&'a PrimitiveArray<TimestampMillisecondType>),
    Micros(&'a PrimitiveArray<TimestampMicrosecondType>),
    Nanos(&'a PrimitiveArray<TimestampNanosecondType>),
    Days(&'a PrimitiveArray<Date32Type>),
    DayMillis(&'a PrimitiveArray<Date64Type>),
}

const DAY_MS: i64 = 86_400_000;

impl<'a> Clock<'a> {
    fn of(array: &'a ArrayRef) -> Self {
        let in_utc = matches!(array.data_type(), DataType::Timestamp(_, Some(_)));
        let is_date = matches!(array.data_type(), DataType::Date32 | DataType::Date64);
        let (ticks, per_ms, scale) = match array.data_type() {
            DataType::Timestamp(TimeUnit::Second, _) => (Ticks::Seconds(array.as_primitive()), 1, 1_000),
            DataType::Timestamp(TimeUnit::Millisecond, _) => (Ticks::Millis(array.as_primitive()), 1, 1),
            DataType::Timestamp(TimeUnit::Microsecond, _) => (Ticks::Micros(array.as_primitive()), 1_000, 1),
            DataType::Timestamp(TimeUnit::Nanosecond, _) => (Ticks::Nanos(array.as_primitive()), 1_000_000, 1),
            DataType::Date32 => (Ticks::Days(array.as_primitive()), 1, DAY_MS),
            _ => (Ticks::DayMillis(array.as_primitive()), 1, 1),
        };
        Self { ticks, per_ms, scale, in_utc, is_date }
    }

    /// Ticks of at most a millisecond.
    fn at(&self, row: usize) -> i64 {
        let ticks = match self.ticks {
            Ticks::Seconds(array) => array.value(row),
            Ticks::Millis(array) => array.value(row),
            Ticks::Micros(array) => array.value(row),
            Ticks::Nanos(array) => array.value(row),
            Ticks::Days(array) => i64::from(array.value(row)),
            Ticks::DayMillis(array) => array.value(row),
        };
        ticks.saturating_mul(self.scale)
    }

    /// `2018-04-01`, `2018-04-01 00:00:31` or `2018-04-01 00:00:31.250Z`.
    fn write(&self, row: usize, out: &mut String) {
        let (ticks, per_day) = (self.at(row), DAY_MS * self.per_ms);
        let (year, month, day) = civil(ticks.div_euclid(per_day));
        push(out, format_args!("{year:04}-{month:02}-{day:02}"));
        if !self.is_date {
            out.push(' ');
            clock_time(ticks.rem_euclid(per_day), 1_000 * self.per_ms, out);
            if self.in_utc {
                out.push('Z');
            }
        }
    }
}

/// Year, month and day that lie so many days after 1970-01-01, by Howard Hinnant's `civil_from_days`.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}
