//! What a simulation is made from, and the check that it makes sense.

use std::fmt;

use orderguard_features::time::{MAX_TIME, MIN_TIME, Span, UnixMillis};

/// The size, time and honesty of a simulated order stream.
///
/// ```
/// use orderguard_simulator::SimulatorParams;
/// let params = SimulatorParams { n_orders: 2_000, seed: 7, ..Default::default() }.check()?;
/// assert_eq!(orderguard_simulator::simulate(&params).orders().count(), 2_000);
/// # Ok::<(), orderguard_simulator::ParamError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SimulatorParams {
    /// How many orders, exactly; 1 to 100,000,000, default 40,000. More orders mean more customers, not busier ones.
    pub n_orders: u64,
    /// Names the stream: the same parameters and seed give the same bytes on every machine; default 1.
    pub seed: u64,
    /// The first instant an order may carry, whole seconds are used; default 2024-01-01T00:00:00Z.
    pub start: UnixMillis,
    /// Over how many days the orders spread, 1 to 3,660, default 180.
    pub days: u32,
    /// Share of orders that are dishonest, 0 to 0.5, default 0.018. The share that carries the label is a little lower: see
    /// `missed_share`.
    pub fraud_share: f64,
    /// Share of the dishonest orders that nobody ever finds, 0 to 1, default 0.05; they are labelled honest. Kinds that
    /// look like ordinary customers are missed more often than stolen cards.
    pub missed_share: f64,
    /// Honest orders charged back by mistake (a child bought, the name on the statement was not recognised), as a share
    /// of the dishonest ones, 0 to 1, default 0.03; they are labelled fraud.
    pub mistaken_share: f64,
    /// Share of the chargebacks of dishonest orders that the shop contests and wins, so that the label is reversed, 0 to 1,
    /// default 0.04. Of the mistaken ones a quarter is withdrawn whatever this says.
    pub reversed_share: f64,
    /// Share of the events other than orders that the shop learns of some time after they happened, 0 to 1, default 0.15;
    /// more of the returns and reviews, fewer of the log-ins. Chargebacks and reports always come late, orders never.
    pub late_share: f64,
    /// Day of the stream, counted from 0, from which the shares and methods of abuse are others; default never.
    pub drift_day: Option<u32>,
    /// Whether customers outside the euro area may pay in their own currency, and travellers in others; default true. With
    /// several currencies amounts are comparable only within each.
    pub foreign_currencies: bool,
    /// How long after the last order the labels are read out, 0 to 3,660 days, default 60 d: what the shop learns after
    /// that is not in the stream, be it a label or another event.
    pub labels_until: Span,
}

impl Default for SimulatorParams {
    fn default() -> Self {
        Self {
            n_orders: 40_000,
            seed: 1,
            start: UnixMillis(1_704_067_200_000),
            days: 180,
            fraud_share: 0.018,
            missed_share: 0.05,
            mistaken_share: 0.03,
            reversed_share: 0.04,
            late_share: 0.15,
            drift_day: None,
            foreign_currencies: true,
            labels_until: Span::days(60),
        }
    }
}

/// Parameters that passed [`SimulatorParams::check`].
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedSimulatorParams(SimulatorParams);

impl CheckedSimulatorParams {
    /// The parameters as they were given.
    pub fn get(&self) -> &SimulatorParams {
        &self.0
    }
}

impl SimulatorParams {
    /// Checks every range.
    ///
    /// # Errors
    /// [`ParamError::OutOfRange`] names the first parameter outside its range, NaN included.
    pub fn check(self) -> Result<CheckedSimulatorParams, ParamError> {
        if !(1..=100_000_000).contains(&self.n_orders) {
            return Err(ParamError::out_of_range("n_orders", self.n_orders, "1 to 100000000"));
        }
        if !(1..=3_660).contains(&self.days) {
            return Err(ParamError::out_of_range("days", self.days, "1 to 3660"));
        }
        for (name, value, most, expected) in [
            ("fraud_share", self.fraud_share, 0.5, "0 to 0.5"),
            ("missed_share", self.missed_share, 1.0, "0 to 1"),
            ("mistaken_share", self.mistaken_share, 1.0, "0 to 1"),
            ("reversed_share", self.reversed_share, 1.0, "0 to 1"),
            ("late_share", self.late_share, 1.0, "0 to 1"),
        ] {
            if !(value >= 0.0 && value <= most) {
                return Err(ParamError::out_of_range(name, value, expected));
            }
        }
        if let Some(day) = self.drift_day
            && day >= self.days
        {
            return Err(ParamError::out_of_range("drift_day", day, "a day of the stream, from 0"));
        }
        if !(0..=Span::days(3_660).0).contains(&self.labels_until.0) {
            return Err(ParamError::out_of_range("labels_until", self.labels_until, "0 to 3660d"));
        }
        // Sign-ups reach back eight years before the first order, labels a year past the read-out.
        let earliest = MIN_TIME.plus(Span::days(3_660));
        let latest = MAX_TIME.minus(Span::days(4 * 3_660));
        if !(earliest..latest).contains(&self.start) {
            return Err(ParamError::out_of_range("start", self.start, "1911 to 2159"));
        }
        Ok(CheckedSimulatorParams(self))
    }
}

/// A parameter that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParamError {
    /// The value lies outside what the parameter may be.
    OutOfRange {
        /// The field of [`SimulatorParams`].
        name: &'static str,
        /// The value, as text.
        found: String,
        /// The range.
        expected: &'static str,
    },
}

impl ParamError {
    fn out_of_range(name: &'static str, found: impl fmt::Display, expected: &'static str) -> Self {
        Self::OutOfRange { name, found: found.to_string(), expected }
    }
}

impl fmt::Display for ParamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange { name, found, expected } => {
                write!(f, "simulator parameter {name}: expected {expected}, found {found}")
            }
        }
    }
}

impl std::error::Error for ParamError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut SimulatorParams)) -> &'static str {
        let mut params = SimulatorParams::default();
        change(&mut params);
        let Err(ParamError::OutOfRange { name, .. }) = params.check() else { return "accepted" };
        name
    }

    #[test]
    fn rejects_each_parameter_out_of_range() {
        assert_eq!(refused(|p| p.n_orders = 0), "n_orders");
        assert_eq!(refused(|p| p.n_orders = 100_000_001), "n_orders");
        assert_eq!(refused(|p| p.days = 0), "days");
        assert_eq!(refused(|p| p.days = 3_661), "days");
        for bad in [-0.1, 0.51, f64::NAN, f64::INFINITY] {
            assert_eq!(refused(|p| p.fraud_share = bad), "fraud_share");
        }
        assert_eq!(refused(|p| p.missed_share = f64::NAN), "missed_share");
        assert_eq!(refused(|p| p.missed_share = 1.01), "missed_share");
        assert_eq!(refused(|p| p.mistaken_share = -1.0), "mistaken_share");
        assert_eq!(refused(|p| p.reversed_share = f64::NAN), "reversed_share");
        assert_eq!(refused(|p| p.late_share = 2.0), "late_share");
        assert_eq!(refused(|p| p.drift_day = Some(180)), "drift_day");
        assert_eq!(refused(|p| p.drift_day = Some(179)), "accepted");
        assert_eq!(refused(|p| p.labels_until = Span(-1)), "labels_until");
        assert_eq!(refused(|p| p.start = MAX_TIME), "start");
        assert_eq!(refused(|p| p.start = MIN_TIME), "start");
        assert_eq!(refused(|_| ()), "accepted");
    }

    #[test]
    fn message_says_what_was_expected_and_found() {
        let error = SimulatorParams { fraud_share: 0.9, ..Default::default() }.check().unwrap_err();
        assert_eq!(error.to_string(), "simulator parameter fraud_share: expected 0 to 0.5, found 0.9");
    }
}
