//! What the shop learns about an order, and when.

use orderguard_features::time::{Span, UnixMillis};

use crate::order::{FraudKind, SimulatedOrder};
use crate::params::SimulatorParams;
use crate::random::Random;

/// Younger than this at the read-out, an order about which nothing is known is not taken as honest.
const UNDECIDED: Span = Span::days(30);

/// Labels the orders of one stream.
pub(crate) struct Labeller {
    read_out: UnixMillis,
    last_days: UnixMillis,
    missed_share: f64,
    mistaken_probability: f64,
}

impl Labeller {
    /// For a stream that ends at `end` with that many dishonest and honest orders.
    pub(crate) fn new(params: &SimulatorParams, end: UnixMillis, n_fraud: u64, n_honest: u64) -> Self {
        let n_mistaken = params.mistaken_share * n_fraud as f64;
        Self {
            read_out: end.plus(params.labels_until),
            last_days: end.minus(Span::days(10)),
            missed_share: params.missed_share,
            mistaken_probability: n_mistaken / n_honest.max(1) as f64,
        }
    }

    /// Sets `label`, `label_time` and `fraud_kind` from `truth`.
    pub(crate) fn label(&self, order: &mut SimulatedOrder, random: &mut Random) {
        let known = match order.truth {
            Some(kind) if random.chance(miss_probability(kind, self.missed_share)) => None,
            Some(kind) => Some((kind, delay(kind, random))),
            // Somebody in the family ordered, or the name on the statement was not recognised.
            None if random.chance(self.mistaken_probability) => {
                Some((FraudKind::Chargeback, delay(FraudKind::Chargeback, random)))
            }
            None => None,
        };
        if let Some((kind, delay)) = known {
            let label_time = order.time.plus(delay);
            if label_time <= self.read_out {
                order.label = Some(true);
                order.label_time = Some(label_time);
                order.fraud_kind = Some(kind);
            }
        } else if random.chance(0.03) {
            // Somebody looked and found nothing wrong, within a few days.
            let label_time = order.time.plus(seconds(random.log_normal(86_400.0, 0.8)));
            if label_time <= self.read_out {
                order.label = Some(false);
                order.label_time = Some(label_time);
            }
        }
        let is_young = order.time.plus(UNDECIDED) > self.read_out;
        // Some of the last orders are still open whatever the truth: a parcel lost, a dispute not closed.
        let is_open = order.time >= self.last_days && random.chance(0.04);
        if is_open {
            (order.label, order.label_time, order.fraud_kind) = (None, None, None);
        } else if order.label.is_none() && !is_young {
            order.label = Some(false);
        }
    }
}

/// Probability that this kind is never found, such that over the usual mix it is `missed_share`.
fn miss_probability(kind: FraudKind, missed_share: f64) -> f64 {
    let weight = |kind| match kind {
        FraudKind::Chargeback => 1.2,
        FraudKind::FakeOrder => 0.8,
        FraudKind::StolenCard => 0.4,
        FraudKind::AccountTakeover => 0.6,
        FraudKind::RefundAbuse => 2.0,
        FraudKind::CouponAbuse => 3.0,
        FraudKind::Bot => 1.4,
    };
    let mean: f64 = FraudKind::ALL.into_iter().map(|kind| kind.share() * weight(kind)).sum();
    // At a share of 1 everything is missed, whatever the kind.
    let scaled = missed_share * weight(kind) / mean;
    (scaled + missed_share * missed_share * (1.0 - scaled).max(0.0)).min(1.0)
}

/// Time from the order until the shop knows: hours where it sees for itself, weeks where a bank or a court tells it.
fn delay(kind: FraudKind, random: &mut Random) -> Span {
    let (median_days, sigma) = match kind {
        FraudKind::Chargeback => (24.0, 0.45),
        FraudKind::FakeOrder => (18.0, 0.4),
        // The card holder's bank calls; or nobody does, and a chargeback comes.
        FraudKind::StolenCard if random.chance(0.65) => (3.0, 0.8),
        FraudKind::StolenCard => (21.0, 0.4),
        FraudKind::AccountTakeover => (4.0, 0.9),
        FraudKind::RefundAbuse => (26.0, 0.4),
        FraudKind::CouponAbuse => (6.0, 0.7),
        FraudKind::Bot => (1.0, 0.9),
    };
    seconds((random.log_normal(median_days, sigma) * 86_400.0).clamp(1_800.0, 120.0 * 86_400.0))
}

fn seconds(seconds: f64) -> Span {
    Span(seconds as i64 * 1_000)
}
