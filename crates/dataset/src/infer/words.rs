//! Column names as words: `customerID`, `customer_id` and `customerid` all read as `customer`, `id`.

/// The lower-cased words of a column name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Words(Vec<String>);

/// Words that names written without any sign between them are cut into; longer ones are tried first.
const VOCABULARY: &[&str] = &[
    "account",
    "addr",
    "address",
    "agent",
    "amount",
    "amt",
    "at",
    "basket",
    "bill",
    "billing",
    "bin",
    "browser",
    "buyer",
    "card",
    "cart",
    "category",
    "cbk",
    "chargeback",
    "city",
    "class",
    "client",
    "code",
    "country",
    "coupon",
    "created",
    "credit",
    "currency",
    "cust",
    "customer",
    "date",
    "datetime",
    "day",
    "device",
    "domain",
    "email",
    "event",
    "fingerprint",
    "first",
    "flag",
    "fraud",
    "fraudulent",
    "has",
    "hash",
    "id",
    "ingested",
    "invoice",
    "ip",
    "is",
    "item",
    "items",
    "kind",
    "known",
    "label",
    "last",
    "latitude",
    "longitude",
    "mail",
    "masked",
    "merchant",
    "method",
    "mobile",
    "name",
    "no",
    "num",
    "number",
    "order",
    "payment",
    "phone",
    "postal",
    "postcode",
    "price",
    "product",
    "promo",
    "purchase",
    "received",
    "recorded",
    "region",
    "register",
    "registration",
    "seller",
    "session",
    "ship",
    "shipping",
    "shop",
    "signup",
    "source",
    "state",
    "status",
    "store",
    "street",
    "terminal",
    "time",
    "timestamp",
    "total",
    "trans",
    "transaction",
    "trx",
    "tx",
    "txn",
    "type",
    "user",
    "uuid",
    "value",
    "vendor",
    "voucher",
    "zip",
];

impl Words {
    /// Splits a name at signs, between a lower-case and an upper-case letter, before the last capital of a run that a
    /// small letter follows, and between letters and digits; a word that is not known is cut into known ones where
    /// that works out exactly.
    pub(crate) fn of(name: &str) -> Self {
        let chars: Vec<char> = name.chars().collect();
        let mut words = Vec::new();
        let mut word = String::new();
        for (i, &c) in chars.iter().enumerate() {
            let starts_new = i > 0 && {
                let before = chars[i - 1];
                let camel = before.is_lowercase() && c.is_uppercase();
                let acronym_ends = before.is_uppercase()
                    && c.is_uppercase()
                    && chars.get(i + 1).is_some_and(|next| next.is_lowercase());
                camel || acronym_ends || before.is_ascii_digit() != c.is_ascii_digit()
            };
            if (starts_new || !c.is_alphanumeric()) && !word.is_empty() {
                push_word(&mut words, std::mem::take(&mut word));
            }
            if c.is_alphanumeric() {
                word.extend(c.to_lowercase());
            }
        }
        if !word.is_empty() {
            push_word(&mut words, word);
        }
        Self(words)
    }

    /// Whether any of the given words stands in the name.
    pub(crate) fn has(&self, any_of: &[&str]) -> bool {
        self.0.iter().any(|word| any_of.contains(&word.as_str()))
    }

    /// Whether every word is a number or stands in one of the lists.
    pub(crate) fn are_all_in(&self, lists: &[&[&str]]) -> bool {
        self.0.iter().all(|word| {
            word.bytes().all(|b| b.is_ascii_digit()) || lists.iter().any(|list| list.contains(&word.as_str()))
        })
    }

    /// The first word of the name that stands in the list.
    pub(crate) fn first_of(&self, any_of: &[&str]) -> Option<&str> {
        self.0.iter().map(String::as_str).find(|word| any_of.contains(word))
    }

    /// Number of words.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

fn push_word(words: &mut Vec<String>, word: String) {
    // A longer word is no column name written without signs, and the search below would take long on it.
    if !VOCABULARY.contains(&word.as_str())
        && word.len() <= 40
        && let Some(parts) = cut(&word)
    {
        words.extend(parts.into_iter().map(str::to_owned));
    } else {
        words.push(word);
    }
}

/// The word as a row of known words with the fewest of them, `None` where there is no such row.
fn cut(word: &str) -> Option<Vec<&'static str>> {
    // best[i]: the last known word of the best row for word[..i], and that row's length.
    let mut best: Vec<Option<(&'static str, usize)>> = vec![None; word.len() + 1];
    for end in 1..=word.len() {
        let Some(head) = word.get(..end) else { continue };
        for &known in VOCABULARY {
            if !head.ends_with(known) {
                continue;
            }
            let start = end - known.len();
            let n_words = if start == 0 { 1 } else { best[start].map_or(usize::MAX, |(_, n)| n + 1) };
            if n_words != usize::MAX && best[end].is_none_or(|(_, n)| n_words < n) {
                best[end] = Some((known, n_words));
            }
        }
    }
    let mut parts = Vec::new();
    let mut end = word.len();
    while end > 0 {
        let (known, _) = best[end]?;
        parts.push(known);
        end -= known.len();
    }
    parts.reverse();
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(name: &str) -> String {
        Words::of(name).0.join(" ")
    }

    #[test]
    fn names_split_where_people_split_them() {
        for (name, expected) in [
            ("TX_FRAUD_SCENARIO", "tx fraud scenario"),
            ("customerId", "customer id"),
            ("customerID", "customer id"),
            ("IPAddress", "ip address"),
            ("ip.address", "ip address"),
            ("order no", "order no"),
            ("isfraud", "is fraud"),
            ("isFraud", "is fraud"),
            ("cardnumber", "card number"),
            ("transactionid", "transaction id"),
            ("card1", "card 1"),
            ("state", "state"),
            ("statement", "statement"),
            ("zażółć", "zażółć"),
            ("", ""),
        ] {
            assert_eq!(words(name), expected, "{name}");
        }
    }

    #[test]
    fn word_lists_are_asked_whole_words() {
        let w = Words::of("shipping_total_2");
        assert!(w.has(&["total"]) && !w.has(&["ship"]));
        assert!(w.are_all_in(&[&["shipping"], &["total"]]) && !w.are_all_in(&[&["total"]]));
        assert_eq!(w.first_of(&["total", "shipping"]), Some("shipping"));
        assert_eq!(w.len(), 3);
    }
}
