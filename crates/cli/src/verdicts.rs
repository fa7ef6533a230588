//! Decisions of many orders: what the model says, and what the shop's rules make of it.

use orderguard_features::identity::IdentityKey;
use orderguard_features::matrix::Matrix;
use orderguard_features::table::{ColumnData, MISSING_CODE};
use orderguard_inference::rules::{Ground, RuleSet};
use orderguard_inference::{Decision, Score};

use crate::ingest::Orders;

/// What is done with one order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decided {
    pub(crate) score: Score,
    pub(crate) decision: Decision,
    pub(crate) ground: Ground,
}

/// Rules, and which orders their lists hold.
pub(crate) struct Judge<'a> {
    rules: Option<&'a RuleSet>,
    /// For each list: its column, and which of the column's levels it holds.
    listed: Vec<(usize, Vec<bool>)>,
}

impl<'a> Judge<'a> {
    /// Each identifier of a listed column is hashed once.
    pub(crate) fn new(rules: Option<&'a RuleSet>, orders: &Orders, key: &IdentityKey) -> Self {
        let lists = rules.map_or(&[][..], RuleSet::lists);
        let of_list = |list: &orderguard_inference::rules::BoundList| match &orders.outcome.table.columns[list.column()]
        {
            ColumnData::Text(text) => (list.column(), text.levels.iter().map(|level| list.holds(key, level)).collect()),
            _ => (list.column(), Vec::new()),
        };
        Self { rules, listed: lists.iter().map(of_list).collect() }
    }

    /// The decision of the order in row `row` of the table, whose features `values` are.
    pub(crate) fn decide(&self, orders: &Orders, row: usize, values: &[f32], score: Score) -> Decided {
        let Some(rules) = self.rules else {
            return Decided { score, decision: score.decision, ground: Ground::Model };
        };
        let is_listed = |at: usize| {
            let (column, levels) = &self.listed[at];
            match &orders.outcome.table.columns[*column] {
                ColumnData::Text(text) if text.codes[row] != MISSING_CODE => levels[text.codes[row] as usize],
                _ => false,
            }
        };
        let (decision, ground) = rules.decide(is_listed, values, &score);
        Decided { score, decision, ground }
    }

    /// One entry per row of the table, from the raw scores of all orders in canonical order.
    pub(crate) fn decide_all(&self, orders: &Orders, matrix: &Matrix, scores: &[Score]) -> Vec<Option<Decided>> {
        let mut values = vec![0.0; matrix.n_features()];
        let mut all = vec![None; orders.len()];
        for (at, (&row, &score)) in orders.rows.row.iter().zip(scores).enumerate() {
            if self.rules.is_some() {
                matrix.copy_row(at, &mut values);
            }
            all[row as usize] = Some(self.decide(orders, row as usize, &values, score));
        }
        all
    }

    /// What is done with an order that could not be read.
    pub(crate) fn unread(&self) -> Decision {
        self.rules.map_or(Decision::Review, RuleSet::fallback)
    }

    /// Whether there are rules.
    pub(crate) fn has_rules(&self) -> bool {
        self.rules.is_some()
    }

    /// The name of what decided, as in records.
    pub(crate) fn ground_name(&self, ground: Ground) -> &str {
        match (self.rules, ground) {
            (Some(rules), _) => rules.ground_name(ground),
            (None, Ground::Unreadable) => "unreadable",
            (None, _) => "model",
        }
    }
}
