//! Thresholds for other aims, to put beside the one that was chosen.

use orderguard_evaluation::threshold::{Choice, choose_scored};
use orderguard_evaluation::{Aim, Candidate, CostTable, Scored};
use orderguard_features::schema::Role;
use orderguard_inference::calibrate::probability;
use orderguard_inference::model::Calibration;

use crate::failure::{Blame, Outcome};
use crate::ingest::Orders;
use crate::measure::Measured;

const DAY_MS: i64 = 86_400_000;

/// Aims that a report compares.
const AIMS: [Aim; 7] = [
    Aim::FalsePositiveRate(0.001),
    Aim::FalsePositiveRate(0.005),
    Aim::FalsePositiveRate(0.01),
    Aim::Precision(0.5),
    Aim::Precision(0.8),
    Aim::Recall(0.8),
    Aim::F1,
];

/// Chooses thresholds on some orders.
pub(crate) struct Chooser<'a> {
    part: &'a Measured<'a>,
    amounts: Option<Vec<f64>>,
    days: Option<Vec<i64>>,
    costs: &'a CostTable,
}

impl<'a> Chooser<'a> {
    pub(crate) fn new(part: &'a Measured<'a>, orders: &Orders, costs: &'a CostTable) -> Self {
        let has_time = orders.schema.find(Role::Time).is_some();
        let day = |&row: &u32| orders.rows.time[row as usize].0.div_euclid(DAY_MS);
        Self {
            part,
            amounts: orders.amounts().map(|all| part.rows.iter().map(|&row| all[row as usize]).collect()),
            days: has_time.then(|| part.rows.iter().map(day).collect()),
            costs,
        }
    }

    pub(crate) fn choose(&self, aim: Aim) -> Outcome<Choice> {
        let orders = Scored::new(self.part.raw, self.part.probabilities, self.part.labels)
            .and_then(|orders| orders.with_amounts(self.amounts.as_deref()))
            .and_then(|orders| orders.with_days(self.days.as_deref()))
            .bad_data()?;
        Ok(choose_scored(&orders, aim, self.costs))
    }

    /// The thresholds of all aims, that of the model among them, the strictest first.
    pub(crate) fn candidates(&self, calibration: &Calibration, used: (&str, f64)) -> Outcome<Vec<Candidate>> {
        let of = |aim: &str, raw_score: f64, note: Option<String>| Candidate {
            aim: aim.to_owned(),
            raw_score,
            probability: Some(probability(calibration, raw_score)),
            is_used: false,
            note,
        };
        let mut all = vec![Candidate { is_used: true, ..of(used.0, used.1, None) }];
        for aim in AIMS.into_iter().chain(self.amounts.as_ref().map(|_| Aim::Money)) {
            let choice = self.choose(aim)?;
            // The one of the model is there already, with its aim as it was given.
            if !used.0.starts_with(&aim.to_string()) {
                all.push(of(&aim.to_string(), choice.raw_score, choice.note));
            }
        }
        all.sort_by(|a, b| b.raw_score.total_cmp(&a.raw_score).then(b.is_used.cmp(&a.is_used)));
        Ok(all)
    }
}
