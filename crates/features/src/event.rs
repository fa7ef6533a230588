//! The validated event: what is left of a raw record once every value has been read and every identifier hashed.

use std::fmt;

use crate::identity::OrderId;
use crate::kind::EventKind;
use crate::parse::{CellError, is_missing};
use crate::time::UnixMillis;

/// One value of a live order, as the service has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// The shop has no value.
    Missing,
    /// Text, read exactly as a cell of a file is.
    Text(&'a str),
    /// A number; NaN is missing. For identifiers and categories its shortest decimal form is taken as text.
    Number(f64),
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> Value<'a> {
    /// The value as a cell of a file would have it, trimmed; `None` when missing. A number is written in `room`.
    pub fn text<'b>(self, room: &'b mut NumberText) -> Option<&'b str>
    where
        'a: 'b,
    {
        use std::io::Write;

        let text = match self {
            Self::Missing => return None,
            Self::Text(text) => text.trim(),
            Self::Number(x) if x.is_nan() => return None,
            Self::Number(x) => {
                let mut free = room.bytes.as_mut_slice();
                write!(free, "{x}").expect("no number is longer than the room");
                let n_free = free.len();
                let used = room.bytes.len() - n_free;
                std::str::from_utf8(&room.bytes[..used]).expect("a number's decimal form is ASCII")
            }
        };
        (!is_missing(text)).then_some(text)
    }
}

/// Room for the decimal form of a number, so that reading one allocates nothing. The longest, of the smallest negative
/// number, has 327 bytes and up to 17 digits.
#[derive(Clone, Debug)]
pub struct NumberText {
    bytes: [u8; 352],
}

impl Default for NumberText {
    fn default() -> Self {
        Self { bytes: [0; 352] }
    }
}

/// A validated event: an order, which is scored, or something else that history learns. Kept by the caller and filled again
/// for each event, so that its memory is used again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// Hash of the identifier of the order that this is, or is about; `None` where there is none.
    pub id: Option<OrderId>,
    /// Hash of the event's own identifier; `None` where there is none.
    pub event_id: Option<OrderId>,
    /// When it happened.
    pub time: UnixMillis,
    /// When the shop knew of it; not before `time`.
    pub known_at: UnixMillis,
    /// What an event that is a label says of its order; false where it takes an earlier one back.
    pub fraud: bool,
    /// See [`currency_code`]; 0 when missing.
    pub currency: u32,
    /// Numbers that history remembers: first the amount in minor units, then the age (missing until the state is asked for
    /// the order), then what the features need; [`MISSING_I64`](crate::table::MISSING_I64) when missing.
    pub values: Vec<i64>,
    /// One per column that some feature counts over, links by or counts the values of; 0 when missing.
    pub keys: Vec<u64>,
    /// Features that need no history, in the order of the specification; empty for events that are not scored.
    pub own: Vec<f32>,
}

/// A currency as a number: its letters in upper case, big-endian; 0 for a missing one. Codes that ISO 4217 does not know are
/// told apart as one of [`OTHER_CURRENCIES`], by a hash, so that no entity has more currencies than there can be: each keeps
/// totals of its own.
pub fn currency_code(text: &str) -> u32 {
    let text = text.trim();
    if let &[a, b, c] = text.as_bytes() {
        let code = [a, b, c].map(|letter| letter.to_ascii_uppercase());
        if CURRENCIES.as_bytes().chunks_exact(4).any(|known| known[..3] == code) {
            return u32::from_be_bytes([0, code[0], code[1], code[2]]);
        }
    }
    match text {
        "" => 0,
        _ => 0x8000_0000 | (xxhash_rust::xxh3::xxh3_64(text.to_uppercase().as_bytes()) % OTHER_CURRENCIES) as u32,
    }
}

/// So many numbers there are for currencies that are not in ISO 4217: tokens, points, mistakes.
pub const OTHER_CURRENCIES: u64 = 256;

/// ISO 4217, list one, and those of the last decade.
const CURRENCIES: &str = "\
    EUR USD PLN GBP CHF CZK SEK NOK DKK HUF RON BGN UAH TRY JPY CNY INR BRL CAD AUD NZD MXN KRW SGD HKD ILS ZAR RUB \
    AED AFN ALL AMD ANG AOA ARS AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BOV BSD BTN BWP BYN BZD CDF CHE CHW CLF CLP COP \
    COU CRC CUC CUP CVE DJF DOP DZD EGP ERN ETB FJD FKP GEL GHS GIP GMD GNF GTQ GYD HNL HRK HTG IDR IQD IRR ISK JMD JOD \
    KES KGS KHR KMF KPW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXV MYR MZN NAD \
    NGN NIO NPR OMR PAB PEN PGK PHP PKR PYG QAR RSD RWF SAR SBD SCR SDG SHP SLE SLL SOS SRD SSP STN SVC SYP SZL THB TJS \
    TMT TND TOP TTD TWD TZS UGX USN UYI UYU UYW UZS VED VES VND VUV WST XAF XAG XAU XCD XCG XDR XOF XPD XPF XPT XSU XUA \
    YER ZMW ZWG ZWL ";

/// A live order that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OrderError {
    /// The order does not have one value per bound column.
    WrongLength {
        /// Columns bound.
        expected: usize,
        /// Values given.
        found: usize,
    },
    /// A cell cannot be read.
    Cell {
        /// The column.
        column: String,
        /// What is wrong with it.
        error: CellError,
    },
    /// The column of event kinds holds something else.
    UnknownKind {
        /// The column.
        column: String,
    },
    /// The row is an event of another kind, where an order was expected.
    NotAnOrder {
        /// The kind.
        found: EventKind,
    },
    /// The order has no time.
    TimeMissing {
        /// The time column.
        column: String,
    },
    /// The order has no identifier although the schema has one.
    IdMissing {
        /// The id column.
        column: String,
    },
    /// The order's time lies more than a day after its arrival: a clock is wrong.
    InFuture {
        /// The order's time.
        time: UnixMillis,
        /// Its arrival.
        arrival: UnixMillis,
    },
    /// The model needs a column that the caller did not name.
    ColumnNotBound {
        /// The column.
        column: String,
    },
    /// The caller named a column twice.
    ColumnTwice {
        /// The column.
        column: String,
    },
}

impl fmt::Display for OrderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongLength { expected, found } => write!(f, "order: expected {expected} values, found {found}"),
            Self::Cell { column, error } => write!(f, "order, column {column:?}: {error}"),
            Self::UnknownKind { column } => {
                write!(f, "event, column {column:?}: expected a kind of event such as order, return or chargeback")
            }
            Self::NotAnOrder { found } => write!(f, "order: expected an order, found an event of kind {found}"),
            Self::TimeMissing { column } => {
                write!(f, "order, column {column:?}: expected the order's time, found nothing")
            }
            Self::IdMissing { column } => write!(f, "order, column {column:?}: expected the order's id, found nothing"),
            Self::InFuture { time, arrival } => {
                write!(f, "order: expected a time at most a day after its arrival at {arrival}, found {time}")
            }
            Self::ColumnNotBound { column } => {
                write!(f, "order: expected a column {column:?}, found none of that name")
            }
            Self::ColumnTwice { column } => write!(f, "order: column {column:?} is named twice"),
        }
    }
}

impl std::error::Error for OrderError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Cell { error, .. } => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn currencies_are_few() {
        assert_eq!((currency_code("EUR"), currency_code(" eur ")), (0x0045_5552, 0x0045_5552));
        assert_eq!((currency_code(""), currency_code("  ")), (0, 0));
        assert_ne!(currency_code("PLN"), currency_code("ZWL"));
        assert_eq!(currency_code("usdt"), currency_code("USDT"));
        assert!(
            CURRENCIES.len().is_multiple_of(4) && CURRENCIES.as_bytes().chunks_exact(4).all(|code| code[3] == b' ')
        );
        let mut codes: Vec<u32> = (0..100_000).map(|i| currency_code(&format!("T{i}"))).collect();
        codes.extend(CURRENCIES.split_whitespace().map(currency_code));
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), CURRENCIES.split_whitespace().count() + OTHER_CURRENCIES as usize);
    }
}
