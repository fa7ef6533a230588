//! Scored orders, checked once; everything that is measured takes them.

use crate::error::MetricError;

/// Labelled orders with their scores: parallel slices of one length, known to be sound. Borrowed, so copies cost nothing.
///
/// ```
/// use orderguard_evaluation::Scored;
/// let orders = Scored::new(&[2.0, -1.0], &[0.9, 0.1], &[1, 0])?.with_days(Some(&[17_000, 17_001]))?;
/// assert_eq!(orders.len(), 2);
/// assert!(orders.with_amounts(Some(&[9.5])).is_err());
/// # Ok::<(), orderguard_evaluation::MetricError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Scored<'a> {
    pub(crate) raw: &'a [f64],
    pub(crate) probability: &'a [f64],
    pub(crate) labels: &'a [u8],
    pub(crate) amounts: Option<&'a [f64]>,
    pub(crate) days: Option<&'a [i64]>,
    pub(crate) entities: Option<&'a [u64]>,
    pub(crate) weights: Option<&'a [f64]>,
}

impl<'a> Scored<'a> {
    /// `raw` scores (finite), calibrated probabilities (0 to 1) and labels (1 fraud, 0 honest).
    ///
    /// # Errors
    /// [`MetricError`], with the first row concerned.
    pub fn new(raw: &'a [f64], probability: &'a [f64], labels: &'a [u8]) -> Result<Self, MetricError> {
        let orders = Self { raw, probability, labels, amounts: None, days: None, entities: None, weights: None };
        orders.fits("probabilities", Some(probability.len()))?;
        orders.fits("labels", Some(labels.len()))?;
        if let Some(row) = raw.iter().position(|score| !score.is_finite()) {
            return Err(MetricError::ScoreNotFinite { row, found: raw[row] });
        }
        if let Some(row) = probability.iter().position(|p| !(0.0..=1.0).contains(p)) {
            return Err(MetricError::ProbabilityOutOfRange { row, found: probability[row] });
        }
        if let Some(row) = labels.iter().position(|&label| label > 1) {
            return Err(MetricError::LabelNotBinary { row, found: labels[row] });
        }
        Ok(orders)
    }

    /// With the amount of each order in major units of one currency; one that is missing (NaN) or negative counts as nothing.
    ///
    /// # Errors
    /// [`MetricError::LengthMismatch`].
    pub fn with_amounts(self, amounts: Option<&'a [f64]>) -> Result<Self, MetricError> {
        self.fits("amounts", amounts.map(<[f64]>::len))?;
        Ok(Self { amounts, ..self })
    }

    /// With the calendar day of each order, counted from 1970-01-01.
    ///
    /// # Errors
    /// [`MetricError::LengthMismatch`].
    pub fn with_days(self, days: Option<&'a [i64]>) -> Result<Self, MetricError> {
        self.fits("days", days.map(<[i64]>::len))?;
        Ok(Self { days, ..self })
    }

    /// With a stable number for the entity of each order, such as a keyed hash of the customer.
    ///
    /// # Errors
    /// [`MetricError::LengthMismatch`].
    pub fn with_entities(self, entities: Option<&'a [u64]>) -> Result<Self, MetricError> {
        self.fits("entities", entities.map(<[u64]>::len))?;
        Ok(Self { entities, ..self })
    }

    /// With the weight of each order: one over the chance that its label was seen. At least 1 as a rule; above 0 and finite always.
    ///
    /// # Errors
    /// [`MetricError::LengthMismatch`] and [`MetricError::WeightOutOfRange`].
    pub fn with_weights(self, weights: Option<&'a [f64]>) -> Result<Self, MetricError> {
        self.fits("weights", weights.map(<[f64]>::len))?;
        let out_of_range = |w: &f64| !(*w > 0.0 && w.is_finite());
        if let Some((weights, row)) = weights.and_then(|all| Some((all, all.iter().position(out_of_range)?))) {
            return Err(MetricError::WeightOutOfRange { row, found: weights[row] });
        }
        Ok(Self { weights, ..self })
    }

    /// Number of orders.
    pub fn len(&self) -> usize {
        self.raw.len()
    }

    /// Whether there is no order.
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    fn fits(&self, what: &'static str, found: Option<usize>) -> Result<(), MetricError> {
        match found {
            Some(found) if found != self.raw.len() => {
                Err(MetricError::LengthMismatch { what, expected: self.raw.len(), found })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_weights_that_cannot_be() {
        let orders = Scored::new(&[1.0, 2.0], &[0.5, 0.5], &[0, 1]).unwrap();
        assert!(orders.with_weights(Some(&[1.0, 4.0])).is_ok());
        for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let error = orders.with_weights(Some(&[1.0, wrong])).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("scored order 1: expected a weight above 0 and finite, found {wrong}")
            );
        }
        assert!(orders.with_days(Some(&[1])).is_err() && orders.with_entities(Some(&[])).is_err());
    }
}
