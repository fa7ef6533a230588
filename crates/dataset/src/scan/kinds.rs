//! Which rows of a stream are orders, as far as it can be told before the schema is known.

use std::collections::BTreeMap;

use orderguard_features::kind::EventKind;
use orderguard_features::parse::is_missing;

use crate::infer::{SaysKinds, says_kinds};
use crate::source::Content;

/// The share of values that must be kinds where the name hardly speaks for them.
const NEARLY_ALL: f64 = 0.99;

/// What a column that may say the kind of each row holds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct KindCounts {
    pub(super) by_kind: [u64; EventKind::ALL.len()],
    /// Words that are no kind.
    pub(super) n_unknown: u64,
    /// Whether a file of orders has the column.
    in_orders: bool,
}

impl KindCounts {
    pub(super) fn n_known(&self) -> u64 {
        self.by_kind.iter().sum()
    }

    fn n_orders(&self) -> u64 {
        self.by_kind[EventKind::Order as usize]
    }

    fn add(&mut self, other: &Self) {
        self.by_kind.iter_mut().zip(other.by_kind).for_each(|(sum, n)| *sum += n);
        self.n_unknown += other.n_unknown;
        self.in_orders |= other.in_orders;
    }
}

/// Sums over the columns that may say kinds.
#[derive(Clone, Debug, Default)]
pub(super) struct Kinds {
    by_name: BTreeMap<String, KindCounts>,
    /// Events of files of one kind, that do not say it themselves.
    pub(super) given: KindCounts,
    /// Columns that were found to hold something else.
    excluded: Vec<String>,
}

impl Kinds {
    pub(super) fn excluding(excluded: &[String]) -> Self {
        Self { excluded: excluded.to_vec(), ..Self::default() }
    }

    /// The position of the name that speaks most for kinds.
    pub(super) fn candidate<'a>(&self, names: impl Iterator<Item = &'a str>) -> Option<usize> {
        let mut best: Option<(SaysKinds, usize)> = None;
        for (i, name) in names.enumerate() {
            if let Some(says) = says_kinds(name)
                && best.is_none_or(|(before, _)| says > before)
                && !self.excluded.iter().any(|excluded| excluded == name)
            {
                best = Some((says, i));
            }
        }
        best.map(|(_, i)| i)
    }

    /// Whether a row is an event of another kind than an order; `said` is the column that may tell, and what stands in it.
    pub(super) fn is_event(&mut self, said: Option<(&str, &str)>, content: Content) -> bool {
        let mut kind = None;
        if let Some((name, text)) = said {
            if !self.by_name.contains_key(name) {
                self.by_name.insert(name.to_owned(), KindCounts::default());
            }
            let counts = self.by_name.get_mut(name).expect("it was just put there");
            counts.in_orders |= content == Content::Orders;
            kind = EventKind::from_name(text);
            match kind {
                Some(kind) => counts.by_kind[kind as usize] += 1,
                None => counts.n_unknown += u64::from(!is_missing(text)),
            }
        }
        match (kind, content) {
            (Some(kind), _) => kind != EventKind::Order,
            (None, Content::Orders) => false,
            (None, Content::Events(given)) => {
                self.given.by_kind[given.unwrap_or_default() as usize] += u64::from(given.is_some());
                true
            }
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        for (name, counts) in other.by_name {
            self.by_name.entry(name).or_default().add(&counts);
        }
        self.given.add(&other.given);
    }

    /// The column that says the kinds, with what it holds.
    pub(super) fn column(&self) -> Option<(&str, &KindCounts)> {
        let accepted = self.by_name.iter().filter(|(name, counts)| is_accepted(name, counts));
        accepted.max_by_key(|(name, _)| says_kinds(name)).map(|(name, counts)| (name.as_str(), counts))
    }

    /// Columns that hold something else, though by them rows of files of orders were told apart.
    pub(super) fn mistaken(&self) -> impl Iterator<Item = &String> {
        let is_mistaken = |counts: &KindCounts| counts.in_orders && counts.n_known() > counts.n_orders();
        let refused = self.by_name.iter().filter(|(name, counts)| !is_accepted(name, counts));
        refused.filter(move |(_, counts)| is_mistaken(counts)).map(|(name, _)| name)
    }
}

fn is_accepted(name: &str, counts: &KindCounts) -> bool {
    let (n_known, n) = (counts.n_known(), counts.n_known() + counts.n_unknown);
    // Without one order, files of orders hold something else than a stream.
    let has_orders = !counts.in_orders || counts.n_orders() > 0;
    n > 0
        && match says_kinds(name) {
            // The name says it: a word that is no kind is then a bad row, and an error about it clearer than a log-in taken
            // for an order.
            Some(SaysKinds::Clearly) => has_orders && 2 * n_known >= n,
            Some(SaysKinds::Perhaps) => has_orders && n_known as f64 >= NEARLY_ALL * n as f64,
            None => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds_of(name: &str, texts: &[&str], content: Content) -> Kinds {
        let mut kinds = Kinds::default();
        for text in texts {
            kinds.is_event(Some((name, text)), content);
        }
        kinds
    }

    #[test]
    fn names_and_values_tell_the_column_of_kinds() {
        let found = |name, texts: &[&str]| kinds_of(name, texts, Content::Orders).column().is_some();
        assert!(found("event_type", &["order", "Login", "page_view", ""]));
        assert!(!found("event_type", &["order", "page_view", "search"]));
        assert!(!found("event_type", &["login", "login"]), "no order");
        assert!(found("kind", &["order", "payment failed"]));
        assert!(!found("kind", &["order", "payment failed", "gift"]));
        assert!(!found("colour", &["order", "return"]));
        assert!(kinds_of("kind", &["login"], Content::Events(None)).column().is_some());
    }

    #[test]
    fn the_best_name_counts_and_mistakes_are_told() {
        let kinds = Kinds::default();
        assert_eq!(kinds.candidate(["id", "type", "event", "kind"].into_iter()), Some(2));
        assert_eq!(kinds.candidate(["id", "type", "kind"].into_iter()), Some(1));
        assert_eq!(kinds.candidate(["id"].into_iter()), None);
        assert_eq!(Kinds::excluding(&["type".into()]).candidate(["type", "kind"].into_iter()), Some(1));
        let mistaken = |texts: &[&str]| kinds_of("type", texts, Content::Orders).mistaken().count();
        assert_eq!(
            (mistaken(&["return", "gift"]), mistaken(&["order", "gift"]), mistaken(&["order", "return"])),
            (1, 0, 0)
        );
    }
}
