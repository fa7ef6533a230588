//! What one pass over the data found in each column: the evidence on which the schema is inferred.

use std::collections::BTreeMap;

use orderguard_features::kind::EventKind;

/// Facts about every column of the sources, from a pass over all rows.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    /// Orders seen, rejected rows (wrong number of fields) not counted.
    pub n_rows: u64,
    /// One entry per column, in the order of the header; of JSON Lines in the order of the keys.
    pub columns: Vec<ColumnProfile>,
    /// Other events than orders; `None` where nothing says that there are any.
    pub events: Option<EventProfile>,
}

/// Facts about the rows that are other events than orders.
#[derive(Clone, Debug, Default)]
pub struct EventProfile {
    /// The column that says the kind of each row.
    pub column: Option<String>,
    /// How many rows of each kind, orders too where the column says so; in the order of the kinds.
    pub kinds: Vec<(EventKind, u64)>,
    /// Rows whose word in that column is no kind.
    pub n_unknown: u64,
    /// Events seen.
    pub n_rows: u64,
    /// The same columns as those of the orders.
    pub columns: Vec<ColumnProfile>,
}

/// Facts about one column. Counts are of present values unless said otherwise; one value may count under several.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ColumnProfile {
    /// Name in the header, byte-order mark removed.
    pub name: String,
    /// Rows where the cell is missing (`features::parse::is_missing_number`).
    pub n_missing: u64,
    /// Whole numbers without a decimal point.
    pub n_integer: u64,
    /// Numbers, whole or not (also counts integers).
    pub n_number: u64,
    /// Most decimal digits after the point seen, as `features::parse::n_decimals` counts them: without trailing zeros and the
    /// noise of floating point.
    pub max_decimals: u8,
    /// Smallest and largest number.
    pub number_range: Option<(f64, f64)>,
    /// For each reading of a time that fits some value (key = the name in `schema.toml`, such as `iso`): how many values
    /// fit, and the earliest and latest instant in epoch milliseconds, zone taken as UTC.
    pub times: BTreeMap<&'static str, (u64, i64, i64)>,
    /// Words that `features::parse::label` reads as a label: how many are fraud, and how many honest.
    pub n_label: (u64, u64),
    /// IPv4 or IPv6 addresses in their usual notation.
    pub n_ip: u64,
    /// Whole or decimal numbers in 2^24 .. 2^32, as IPv4 addresses stored as numbers are.
    pub n_ip_number: u64,
    /// Values with exactly one `@`, something before it and a dot after it.
    pub n_email: u64,
    /// 13 to 19 digits (spaces and dashes allowed) that pass the Luhn check and start with 3, 4, 5 or 6.
    pub n_luhn: u64,
    /// Card numbers with the middle masked: digits, then `*`, `x` or `X`, then digits, 12 to 19 in all.
    pub n_masked_card: u64,
    /// Values that look like a phone number: 7 to 15 digits after `+`, spaces, dots, dashes and parentheses, at least one such sign.
    pub n_phone: u64,
    /// Three upper-case letters.
    pub n_currency: u64,
    /// Numbers with decimals that are not zero.
    pub n_fraction: u64,
    /// Number of distinct values, exact up to [`MAX_DISTINCT`] of all and [`MAX_FRACTIONS`] of those with decimals, then the
    /// smaller of the two numbers that can be meant.
    pub n_distinct: u64,
    /// Whether there are more distinct values than that.
    pub has_more_distinct: bool,
    /// The most frequent values among the distinct ones kept, most frequent first, at most 32, with counts; empty where
    /// there are more distinct values than were told apart.
    pub top: Vec<(String, u64)>,
    /// Rows whose number is greater than the number in the row before.
    pub n_increasing: u64,
    /// Longest value in bytes.
    pub max_len: u64,
}

/// Up to how many distinct values are told apart.
pub const MAX_DISTINCT: u64 = 100_000;

/// Up to how many distinct numbers with decimals are told apart: they are measurements, of which it is only asked whether
/// they are few.
pub const MAX_FRACTIONS: u64 = 10_000;
