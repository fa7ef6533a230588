//! What inference has to say: notes beside a proposal, and errors instead of one.

use std::fmt;

use orderguard_features::schema::SchemaError;

use super::evidence::count;

/// Something uncertain, or something that the user should know. Never holds a value of the data.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// The label has one class only.
    OneClass {
        /// The column.
        column: String,
        /// Orders labelled as fraud.
        n_fraud: u64,
        /// Orders labelled as honest.
        n_honest: u64,
    },
    /// No column says when the order happened.
    NoTime,
    /// Several columns could be the order's time.
    TwoTimes {
        /// The one taken.
        chosen: String,
        /// The other ones, kept as timestamps.
        others: Vec<String>,
    },
    /// The only time is one of the customer's life.
    OrderTimeUnusual {
        /// The column.
        column: String,
    },
    /// Rows without a time will be rejected.
    TimeMissing {
        /// The column.
        column: String,
        /// How many rows.
        n_rows: u64,
    },
    /// Both readings of day and month fit; the one that spans far less time was taken.
    DayMonthBySpan {
        /// The column.
        column: String,
        /// Whether the month was taken to stand first.
        month_first: bool,
        /// Days that the chosen reading spans.
        days: i64,
        /// Days that the other one spans.
        other_days: i64,
    },
    /// Both readings of day and month fit; the month was taken to stand first.
    DayMonthAmbiguous {
        /// The column.
        column: String,
    },
    /// Amounts without a currency.
    CurrencyMissing {
        /// The column of the amount.
        amount: String,
    },
    /// Amounts in several currencies.
    SeveralCurrencies {
        /// The column of the currency.
        column: String,
        /// How many.
        n_currencies: u64,
    },
    /// Full card numbers.
    CardNumbers {
        /// The column.
        column: String,
        /// How many values pass the Luhn check.
        n_luhn: u64,
    },
    /// Masked card numbers.
    MaskedCards {
        /// The column.
        column: String,
    },
    /// The values of a column are kinds of events, but its name does not say that the rows are.
    KindsUnnamed {
        /// The column.
        column: String,
    },
    /// Words that are no kind of event: their rows will be rejected.
    UnknownKinds {
        /// The column.
        column: String,
        /// How many rows.
        n_rows: u64,
    },
    /// A column named as the order's identifier repeats too often to be one.
    IdRepeats {
        /// The column.
        column: String,
        /// Distinct values.
        n_distinct: u64,
        /// Rows with a value.
        n_present: u64,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneClass { column, n_fraud, n_honest } => write!(
                f,
                "label {column:?}: expected both fraud and honest orders, found {} fraud and {} honest",
                count(*n_fraud),
                count(*n_honest)
            ),
            Self::NoTime => f.write_str("no column says when the order happened: no history, and no split by time"),
            Self::TwoTimes { chosen, others } => {
                write!(f, "order time: {chosen:?} was taken, as well suited were {}", listed(others))
            }
            Self::OrderTimeUnusual { column } => {
                write!(f, "order time: {column:?} was taken though it is not named as the order's, for want of another")
            }
            Self::TimeMissing { column, n_rows } => {
                write!(f, "order time {column:?} is missing in {} rows, which will be rejected", count(*n_rows))
            }
            Self::DayMonthBySpan { column, month_first, days, other_days } => write!(
                f,
                "times of {column:?} fit month/day and day/month; taken as {}, which spans {days} days instead of {other_days}",
                if *month_first { "month/day" } else { "day/month" }
            ),
            Self::DayMonthAmbiguous { column } => write!(
                f,
                "times of {column:?} fit month/day and day/month; taken as month/day: set its format in schema.toml if that is wrong"
            ),
            Self::CurrencyMissing { amount } => {
                write!(f, "amount {amount:?} has no currency column: all amounts are taken to be in one currency")
            }
            Self::SeveralCurrencies { column, n_currencies } => write!(
                f,
                "{column:?} holds {} currencies: amounts of different ones are never summed",
                count(*n_currencies)
            ),
            Self::CardNumbers { column, n_luhn } => write!(
                f,
                "{column:?} holds full card numbers ({} pass the Luhn check): only keyed hashes of them are kept",
                count(*n_luhn)
            ),
            Self::MaskedCards { column } => {
                write!(
                    f,
                    "{column:?} holds masked card numbers: only keyed hashes of them are kept; different cards may share one"
                )
            }
            Self::KindsUnnamed { column } => write!(
                f,
                "{column:?} holds words for kinds of events: if they say what each row is, give it the role event in schema.toml"
            ),
            Self::UnknownKinds { column, n_rows } => write!(
                f,
                "{column:?} says a kind of event that is not known in {} rows, which will be rejected",
                count(*n_rows)
            ),
            Self::IdRepeats { column, n_distinct, n_present } => write!(
                f,
                "{column:?} is named as the order's identifier but repeats ({} distinct values in {} rows): not taken as one",
                count(*n_distinct),
                count(*n_present)
            ),
        }
    }
}

/// A table whose meaning cannot be told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InferError {
    /// Nothing to infer from.
    NoRows {
        /// Columns of the header.
        n_columns: usize,
    },
    /// A column that says kinds of events names other ones than orders in all rows.
    NoOrders {
        /// The column.
        column: String,
        /// Rows with a kind.
        n_events: u64,
    },
    /// Two columns have one name.
    DuplicateColumn {
        /// The name.
        name: String,
    },
    /// The label that the user named is no column.
    LabelNotFound {
        /// The name.
        name: String,
        /// The columns there are.
        columns: Vec<String>,
    },
    /// The label that the user named holds other things than labels.
    LabelNotReadable {
        /// The name.
        name: String,
        /// Rows with a value.
        n_present: u64,
        /// Of them, values that read as a label.
        n_label: u64,
    },
    /// No column is named and filled as a label.
    NoLabel {
        /// The words that were looked for.
        looked_for: &'static str,
        /// Columns with the two values of a label.
        suggestions: Vec<String>,
    },
    /// Several columns are named and filled as a label, none better than the others.
    TwoLabels {
        /// The columns.
        candidates: Vec<String>,
    },
    /// No column of a file of labels names the order.
    NoOrderId {
        /// The columns there are.
        columns: Vec<String>,
    },
    /// What the options ask for is no schema.
    Schema {
        /// Why.
        source: SchemaError,
    },
}

impl fmt::Display for InferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRows { n_columns } => {
                write!(f, "schema: expected a header and rows, found {n_columns} columns and no row")
            }
            Self::NoOrders { column, n_events } => write!(
                f,
                "schema: expected orders, found {} other events by column {column:?} and no order: give the orders, and these \
                 events beside them (--events)",
                count(*n_events)
            ),
            Self::DuplicateColumn { name } => {
                write!(f, "schema: expected column names that differ, found {name:?} twice")
            }
            Self::LabelNotFound { name, columns } => {
                write!(f, "label: expected one of the columns {}, found {name:?}", listed(columns))
            }
            Self::LabelNotReadable { name, n_present, n_label } => write!(
                f,
                "label {name:?}: expected 0/1, true/false, yes/no or fraud/legit in every row with a value, found them in {} of {}",
                count(*n_label),
                count(*n_present)
            ),
            Self::NoLabel { looked_for, suggestions } => {
                write!(
                    f,
                    "label: expected a column of 0/1, true/false, yes/no or fraud/legit whose name says {looked_for}, found none"
                )?;
                if !suggestions.is_empty() {
                    write!(f, "; these columns hold two such values: {}: name one with --label", listed(suggestions))?;
                }
                Ok(())
            }
            Self::TwoLabels { candidates } => {
                write!(f, "label: expected one column, found {}: name one with --label", listed(candidates))
            }
            Self::NoOrderId { columns } => write!(
                f,
                "labels: expected a column that names the order, such as order_id or transaction_id, found {}",
                listed(columns)
            ),
            Self::Schema { source } => source.fmt(f),
        }
    }
}

impl std::error::Error for InferError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Schema { source } => Some(source),
            _ => None,
        }
    }
}

/// At most twenty names in quotes, and how many more there are.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 20;
    let mut text = names.iter().take(SHOWN).map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text = format!("{text} and {} more", names.len() - SHOWN);
    }
    text
}
