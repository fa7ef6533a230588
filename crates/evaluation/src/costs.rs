//! What a fraud let through and an order stopped cost a shop.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::pass::Tally;

/// What decisions cost. Money is in the unit of the amounts (major units of their currency), shares are 0 to 1.
///
/// A fraud let through loses `lost_goods` of its amount, and `chargeback_fee` and `return_handling`. An order stopped costs
/// `review_cost`; if it is honest, `lost_margin` of its amount and `lost_customer` as well. The three entries of tiers say what a
/// challenge and a review come to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CostTable {
    /// Share of the amount that a fraud let through loses: what the goods cost the shop.
    pub lost_goods: f64,
    /// Fee of the bank for each fraud let through.
    pub chargeback_fee: f64,
    /// Handling of the return or the claim, for each fraud let through.
    pub return_handling: f64,
    /// Work on each order that is stopped.
    pub review_cost: f64,
    /// Share of the amount that an honest order stopped loses: the margin of the sale.
    pub lost_margin: f64,
    /// What the annoyance of an honest customer who is stopped costs beyond that sale.
    pub lost_customer: f64,
    /// Share of the reviewed orders that a reviewer decides rightly. Default 0.95.
    #[serde(default = "default_review_right")]
    pub review_right: f64,
    /// Cost of one challenge, such as a text message. Default 0.1.
    #[serde(default = "default_challenge_cost")]
    pub challenge_cost: f64,
    /// Share of the challenged frauds that give up. Default 0.9.
    #[serde(default = "default_challenge_stops")]
    pub challenge_stops: f64,
    /// Share of the challenged honest orders that are given up. Default 0.05.
    #[serde(default = "default_challenge_loses")]
    pub challenge_loses: f64,
}

fn default_review_right() -> f64 {
    0.95
}

fn default_challenge_cost() -> f64 {
    0.1
}

fn default_challenge_stops() -> f64 {
    0.9
}

fn default_challenge_loses() -> f64 {
    0.05
}

impl Default for CostTable {
    /// Round figures of a shop with a margin of a quarter. They are a beginning, and shown wherever they are used.
    fn default() -> Self {
        Self {
            lost_goods: 0.75,
            chargeback_fee: 20.0,
            return_handling: 5.0,
            review_cost: 3.0,
            lost_margin: 0.25,
            lost_customer: 10.0,
            review_right: default_review_right(),
            challenge_cost: default_challenge_cost(),
            challenge_stops: default_challenge_stops(),
            challenge_loses: default_challenge_loses(),
        }
    }
}

/// An entry of a cost table that cannot be.
#[derive(Clone, Debug, PartialEq)]
pub struct CostError {
    /// The entry.
    pub entry: &'static str,
    /// What was found.
    pub found: f64,
    /// What it may be.
    pub expected: &'static str,
}

impl fmt::Display for CostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cost table, {}: expected {}, found {}", self.entry, self.expected, self.found)
    }
}

impl std::error::Error for CostError {}

/// Largest sum of money that an entry may be.
const MAX_MONEY: f64 = 1e9;

impl CostTable {
    /// Checks that every entry is a share or a sum of money that can be.
    ///
    /// # Errors
    /// [`CostError`] with the first entry that is negative, no number, or too large.
    pub fn check(self) -> Result<Self, CostError> {
        let shares = [
            ("lost_goods", self.lost_goods),
            ("lost_margin", self.lost_margin),
            ("review_right", self.review_right),
            ("challenge_stops", self.challenge_stops),
            ("challenge_loses", self.challenge_loses),
        ];
        let sums = [
            ("chargeback_fee", self.chargeback_fee),
            ("return_handling", self.return_handling),
            ("review_cost", self.review_cost),
            ("lost_customer", self.lost_customer),
            ("challenge_cost", self.challenge_cost),
        ];
        for (entry, found) in shares {
            if !(0.0..=1.0).contains(&found) {
                return Err(CostError { entry, found, expected: "a share from 0 to 1" });
            }
        }
        for (entry, found) in sums {
            if !(0.0..=MAX_MONEY).contains(&found) {
                return Err(CostError { entry, found, expected: "an amount of money from 0 to 1e9" });
            }
        }
        Ok(self)
    }

    /// What so many frauds let through cost, and their value.
    fn of_frauds(&self, n: f64, value: f64) -> f64 {
        self.lost_goods * value + (self.chargeback_fee + self.return_handling) * n
    }

    /// What so many honest orders refused cost, and their value.
    fn of_honest(&self, n: f64, value: f64) -> f64 {
        self.lost_margin * value + self.lost_customer * n
    }

    /// What it costs to stop nothing.
    pub(crate) fn doing_nothing(&self, all: &Tally) -> f64 {
        self.of_frauds(all.fraud, all.fraud_value)
    }

    /// What it costs to stop some of all orders: each is looked at and then refused.
    pub(crate) fn stopping(&self, all: &Tally, stopped: &Tally) -> f64 {
        let passed = all.less(stopped);
        self.of_frauds(passed.fraud, passed.fraud_value)
            + self.review_cost * stopped.n()
            + self.of_honest(stopped.honest, stopped.honest_value)
    }

    /// What the orders of one decision cost: approved ones pass, declined ones are refused, reviewed ones cost a review, of which
    /// `review_right` come to the right end, and challenged ones a challenge, which `challenge_stops` of the frauds and
    /// `challenge_loses` of the honest do not pass. An unknown decision costs as a review.
    pub(crate) fn of_decision(&self, decision: &str, orders: &Tally) -> f64 {
        let frauds = self.of_frauds(orders.fraud, orders.fraud_value);
        let honest = self.of_honest(orders.honest, orders.honest_value);
        match decision {
            "approve" => frauds,
            "decline" => honest,
            "challenge" => {
                self.challenge_cost * orders.n() + (1.0 - self.challenge_stops) * frauds + self.challenge_loses * honest
            }
            _ => self.review_cost * orders.n() + (1.0 - self.review_right) * (frauds + honest),
        }
    }

    /// The table in words, a sentence an entry.
    pub fn words(&self) -> Vec<String> {
        let share = |share: f64| {
            let text = format!("{:.3}", share * 100.0);
            format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
        };
        vec![
            format!(
                "a fraud let through costs {} of its amount in goods, a chargeback fee of {} and {} of handling",
                share(self.lost_goods),
                self.chargeback_fee,
                self.return_handling
            ),
            format!("an order stopped costs {} of review", self.review_cost),
            format!(
                "an honest order stopped also loses {} of its amount in margin and {} for the customer annoyed",
                share(self.lost_margin),
                self.lost_customer
            ),
            format!("a reviewer decides {} of the orders rightly", share(self.review_right)),
            format!(
                "a challenge costs {}, turns {} of the frauds away and loses {} of the honest orders",
                self.challenge_cost,
                share(self.challenge_stops),
                share(self.challenge_loses)
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_that_cannot_be_are_refused() {
        let costs = CostTable::default();
        assert_eq!(costs.check(), Ok(costs));
        let error = CostTable { review_cost: -1.0, ..costs }.check().unwrap_err();
        assert_eq!(error.to_string(), "cost table, review_cost: expected an amount of money from 0 to 1e9, found -1");
        for wrong in [
            CostTable { lost_goods: 1.1, ..costs },
            CostTable { lost_margin: f64::NAN, ..costs },
            CostTable { lost_customer: f64::INFINITY, ..costs },
            CostTable { review_right: -0.1, ..costs },
        ] {
            assert!(wrong.check().is_err());
        }
    }

    #[test]
    fn entries_may_not_be_missing_or_misspelt() {
        let text = r#"{"lost_goods":1,"chargeback_fee":15,"return_handling":0,"review_cost":2,"lost_margin":0.3,"lost_customer":5}"#;
        let table: CostTable = serde_json::from_str(text).unwrap();
        assert_eq!((table.lost_goods, table.review_right), (1.0, 0.95));
        let missing = serde_json::from_str::<CostTable>(&text.replace("\"review_cost\":2,", "")).unwrap_err();
        assert!(missing.to_string().contains("missing field `review_cost`"), "{missing}");
        assert!(serde_json::from_str::<CostTable>(&text.replace("lost_margin", "lost_margins")).is_err());
    }
}
