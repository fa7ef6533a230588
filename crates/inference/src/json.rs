//! One order as JSON, and the answer to it: what stands between a service's network and [`Decider`](crate::rules::Decider), without
//! allocating per order.

use std::fmt::{self, Write};
use std::ops::Range;

use orderguard_features::event::Value;
use orderguard_features::json::{JsonFault, Value as Found, decode, members};

use crate::rules::Verdict;

/// Reads orders that come as flat JSON objects with the columns of a scorer as members. Immutable, `Send + Sync`.
///
/// Values are read as the cells of a file are: numbers by their digits as they stand there, so that long identifiers keep all of
/// them; `null` is missing. Members that are not there are missing too, and members of other names are passed over, unless the
/// reader is [`exact`](Self::exact).
#[derive(Clone, Debug)]
pub struct OrderReader {
    is_exact: bool,
    names: Vec<String>,
    /// Positions of the names, sorted by name.
    sorted: Vec<u32>,
}

/// Memory that is used again for each order: one per thread.
#[derive(Clone, Debug, Default)]
pub struct JsonScratch {
    slots: Vec<Slot>,
    values: Vec<Value<'static>>,
    /// Keys with escapes, and values with escapes one behind the other.
    key: String,
    piece: String,
    undone: String,
}

/// Where the value of a column stands.
#[derive(Clone, Debug, Default, PartialEq)]
enum Slot {
    #[default]
    Absent,
    Null,
    /// In the order's own text.
    Text(Range<usize>),
    /// In the text without escapes.
    Undone(Range<usize>),
}

/// A text that is no order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// Byte of the text.
    pub at: usize,
    /// What is wrong there.
    pub fault: JsonFault,
    /// The column that is not there, for [`JsonFault::MissingKey`].
    pub column: Option<String>,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.column {
            None => write!(f, "order, byte {}: {}", self.at, self.fault),
            Some(column) => write!(f, "order, byte {}: {}: {column:?}", self.at, self.fault),
        }
    }
}

impl std::error::Error for JsonError {}

impl OrderReader {
    /// A reader of orders with these columns, in this order, as [`OrderScorer::new`](crate::service::OrderScorer::new) takes them.
    pub fn new(names: &[&str]) -> Self {
        let mut sorted: Vec<u32> = (0..names.len() as u32).collect();
        sorted.sort_by_key(|&at| names[at as usize]);
        Self { names: names.iter().map(|&name| name.to_owned()).collect(), is_exact: false, sorted }
    }

    /// The same for orders that must have all of these members, `null` where there is no value, and no others. So a misspelt name is
    /// refused and does not score an order as if its value were missing.
    ///
    /// ```
    /// use orderguard_inference::json::{JsonScratch, OrderReader};
    ///
    /// let reader = OrderReader::exact(&["id", "amount"]);
    /// let found = reader.read(r#"{"id": "A-1", "amuont": 12.50}"#, &mut JsonScratch::default(), |_| ());
    /// assert_eq!(found.unwrap_err().to_string(), "order, byte 14: a key that is not among the expected ones");
    /// ```
    pub fn exact(names: &[&str]) -> Self {
        Self { is_exact: true, ..Self::new(names) }
    }

    /// Calls `then` with one value for each name. Allocates nothing once `scratch` has been used with orders as long. O(text),
    /// fastest where members stand in the order of the names.
    ///
    /// ```
    /// use orderguard_features::event::Value;
    /// use orderguard_inference::json::{JsonScratch, OrderReader};
    ///
    /// let reader = OrderReader::new(&["id", "amount", "card"]);
    /// let order = r#"{"id": "A-\u0031", "amount": 12.50, "colour": [1, 2]}"#;
    /// reader.read(order, &mut JsonScratch::default(), |values| {
    ///     assert_eq!(values, [Value::Text("A-1"), Value::Text("12.50"), Value::Missing]);
    /// })?;
    /// # Ok::<(), orderguard_inference::json::JsonError>(())
    /// ```
    ///
    /// # Errors
    /// Where the text is no flat object, a name stands twice, or an exact reader finds others or fewer; `then` is not called then.
    pub fn read<R>(
        &self,
        json: &str,
        scratch: &mut JsonScratch,
        then: impl FnOnce(&[Value<'_>]) -> R,
    ) -> Result<R, JsonError> {
        let JsonScratch { slots, values, key, piece, undone } = scratch;
        slots.clear();
        slots.resize(self.names.len(), Slot::Absent);
        undone.clear();
        let mut guess = 0;
        members(json, key, |name, value, _| {
            let Some(at) = self.position(name, guess) else {
                return if self.is_exact { Err(JsonFault::UnknownKey) } else { Ok(()) };
            };
            guess = at + 1;
            if slots[at] != Slot::Absent {
                return Err(JsonFault::DuplicateKey);
            }
            slots[at] = match value {
                Found::Null => Slot::Null,
                Found::Token(range) => Slot::Text(range),
                Found::Text(range) if !json[range.clone()].contains('\\') => Slot::Text(range),
                Found::Text(range) => {
                    let start = undone.len();
                    undone.push_str(decode(&json[range], piece));
                    Slot::Undone(start..undone.len())
                }
                Found::Nested => return Err(JsonFault::Nested),
            };
            Ok(())
        })
        .map_err(|(at, fault)| JsonError { at, fault, column: None })?;
        if let Some(absent) = slots.iter().position(|slot| self.is_exact && *slot == Slot::Absent) {
            let column = Some(self.names[absent].clone());
            return Err(JsonError { at: json.len(), fault: JsonFault::MissingKey, column });
        }
        let mut ready: Vec<Value<'_>> = again(std::mem::take(values));
        ready.extend(slots.iter().map(|slot| match slot {
            Slot::Absent | Slot::Null => Value::Missing,
            Slot::Text(range) => Value::Text(&json[range.clone()]),
            Slot::Undone(range) => Value::Text(&undone[range.clone()]),
        }));
        let result = then(&ready);
        *values = again(ready);
        Ok(result)
    }

    fn position(&self, name: &str, guess: usize) -> Option<usize> {
        if self.names.get(guess).is_some_and(|next| next == name) {
            return Some(guess);
        }
        let found = self.sorted.binary_search_by(|&at| self.names[at as usize].as_str().cmp(name));
        found.ok().map(|at| self.sorted[at] as usize)
    }
}

/// An empty list for values of another lifetime in the same memory: collecting what a list of values of one layout gave takes its
/// memory over (`tests/allocation` counts allocations).
fn again<'b>(mut values: Vec<Value<'_>>) -> Vec<Value<'b>> {
    values.clear();
    values.into_iter().map(|_| Value::Missing).collect()
}

/// Appends the answer to an order as a JSON object: `order`, `decision`, `rule`, where the order could be read `probability` and
/// `raw_score`, and `reasons`. `rule` names what decided ([`Decider::ground_name`](crate::rules::Decider::ground_name)).
pub fn write_answer<'a>(
    order: &str,
    verdict: &Verdict,
    rule: &str,
    reasons: impl IntoIterator<Item = &'a str>,
    out: &mut String,
) {
    out.push_str("{\"order\":");
    write_text(order, out);
    let _ = write!(out, ",\"decision\":\"{}\",\"rule\":", verdict.decision);
    write_text(rule, out);
    if let Some(score) = &verdict.score {
        out.push_str(",\"probability\":");
        write_number(score.probability, out);
        out.push_str(",\"raw_score\":");
        write_number(score.raw_score, out);
    }
    out.push_str(",\"reasons\":[");
    for (i, reason) in reasons.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        write_text(reason, out);
    }
    out.push_str("]}");
}

/// Appends a number with the shortest digits that mean no other; `null` for NaN, a text for an infinite one.
pub(crate) fn write_number(x: f64, out: &mut String) {
    if x.is_nan() {
        out.push_str("null");
    } else if x.is_infinite() {
        out.push_str(if x > 0.0 { "\"inf\"" } else { "\"-inf\"" });
    } else {
        let _ = write!(out, "{x:?}");
    }
}

/// Appends a text in quotes.
pub(crate) fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Decision, Score, rules::Ground};

    fn read(json: &str) -> Result<Vec<Option<String>>, JsonError> {
        let reader = OrderReader::new(&["id", "amount", "né"]);
        let mut scratch = JsonScratch::default();
        let owned = |value: &Value<'_>| match value {
            Value::Text(text) => Some((*text).to_owned()),
            Value::Missing => None,
            Value::Number(_) => panic!("numbers stay text"),
        };
        // The second time with memory of the first.
        let first = reader.read(json, &mut scratch, |values| values.iter().map(owned).collect());
        assert_eq!(first, reader.read(json, &mut scratch, |values| values.iter().map(owned).collect()));
        first
    }

    #[test]
    fn values_are_found_by_name() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(read(r#"{"né":true,"amount":1e3,"id":"x"}"#), Ok(vec![some("x"), some("1e3"), some("true")]));
        assert_eq!(
            read(r#"{"i\u0064":"a\"b\\","n\u00e9":"\ud83d\ude00"}"#),
            Ok(vec![some("a\"b\\"), None, some("😀")])
        );
        assert_eq!(
            read(r#"{"id":null,"other":{"id":2},"amount":12345678901234567890}"#),
            Ok(vec![None, some("12345678901234567890"), None])
        );
        assert_eq!(read("{}"), Ok(vec![None, None, None]));
    }

    #[test]
    fn what_is_no_order_is_refused() {
        for (json, says) in [
            ("[1]", "order, byte 0: expected `{`"),
            (r#"{"id":[1]}"#, "order, byte 1: expected a plain value, found an array or object"),
            (r#"{"id":1,"id":2}"#, "order, byte 8: a key stands twice"),
            (r#"{"id":null,"id":2}"#, "order, byte 11: a key stands twice"),
            (r#"{"id":1"#, "order, byte 7: expected `,` or `}`"),
        ] {
            assert_eq!(read(json).unwrap_err().to_string(), says);
        }
    }

    #[test]
    fn exact_readers_want_every_name_and_no_other() {
        let reader = OrderReader::exact(&["id", "amount"]);
        let read = |json: &str| {
            let found = reader.read(json, &mut JsonScratch::default(), |values| values.len());
            found.map_err(|error| error.to_string())
        };
        assert_eq!(read(r#"{"amount":null,"id":"x"}"#), Ok(2));
        let says = "order, byte 10: an expected key is missing: \"amount\"";
        assert_eq!(read(r#"{"id":"x"}"#), Err(says.into()));
        let says = "order, byte 21: a key that is not among the expected ones";
        assert_eq!(read(r#"{"id":"x","amount":1,"Amount":2}"#), Err(says.into()));
    }

    proptest! {
        #[test]
        fn any_text_is_an_order_or_an_error(json in r#"[{}\[\]",:a-z0-9\\u. -]{0,40}"#) {
            let _ = read(&json);
        }

        #[test]
        fn what_is_written_is_read_back(id in any::<String>(), amount in any::<f64>().prop_filter("finite", |x| x.is_finite())) {
            let mut json = String::from("{\"amount\": ");
            write_number(amount, &mut json);
            json.push_str(", \"id\": ");
            write_text(&id, &mut json);
            json.push('}');
            let found = read(&json).unwrap();
            prop_assert_eq!(found[0].as_deref(), Some(id.as_str()));
            prop_assert_eq!(found[1].as_deref().and_then(|text| text.parse::<f64>().ok()), Some(amount));
        }
    }

    #[test]
    fn answers_are_json() {
        let score = Score { raw_score: -1.5, probability: 0.25, decision: Decision::Review };
        let verdict = Verdict {
            decision: Decision::Decline,
            ground: Ground::List(0),
            score: Some(score),
            shadow: None,
            error: None,
        };
        let mut out = String::new();
        write_answer("a\"1", &verdict, "list x", ["one", "two\n"], &mut out);
        assert_eq!(
            out,
            "{\"order\":\"a\\\"1\",\"decision\":\"decline\",\"rule\":\"list x\",\"probability\":0.25,\"raw_score\":-1.5,\
             \"reasons\":[\"one\",\"two\\u000a\"]}"
        );
        out.clear();
        write_answer("a", &Verdict { score: None, ..verdict }, "unreadable", [], &mut out);
        assert_eq!(out, "{\"order\":\"a\",\"decision\":\"decline\",\"rule\":\"unreadable\",\"reasons\":[]}");
    }
}
