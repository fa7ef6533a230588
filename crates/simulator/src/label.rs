//! What the shop learns about an order, when, and from whom.

use orderguard_features::kind::EventKind;
use orderguard_features::time::{Span, UnixMillis};

use crate::diary::Diary;
use crate::event::OtherEvent;
use crate::order::{FraudKind, SimulatedOrder};
use crate::params::SimulatorParams;
use crate::random::Random;

/// Younger than this at the read-out, an order about which nothing is known is not taken as honest.
const UNDECIDED: Span = Span::days(30);
/// Share of the mistaken chargebacks that are withdrawn.
const WITHDRAWN: f64 = 0.25;

/// Labels the orders of one stream.
pub(crate) struct Labeller {
    read_out: UnixMillis,
    last_days: UnixMillis,
    missed_share: f64,
    mistaken_probability: f64,
    reversed_share: f64,
}

/// Who tells the shop.
#[derive(Clone, Copy)]
enum Source {
    /// A bank takes the money back.
    Bank(&'static str),
    /// Somebody reports it: the card holder, the account's owner, a neighbour.
    Report(&'static str),
    /// The shop finds out by itself.
    Shop,
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
            reversed_share: params.reversed_share,
        }
    }

    /// Sets `label`, `label_time` and `fraud_kind` from `truth`, and notes the chargebacks and reports that tell the shop.
    /// The order's label is that of the last of them, where there is one.
    pub(crate) fn label(&self, order: &mut SimulatedOrder, diary: &mut Diary, random: &mut Random) {
        // Some of the last orders are still open whatever the truth: a parcel lost, a dispute not closed.
        if order.time >= self.last_days && random.chance(0.04) {
            return;
        }
        let known = match order.truth {
            Some(kind) if random.chance(miss_probability(kind, self.missed_share)) => None,
            Some(kind) => Some((kind, self.reversed_share)),
            // Somebody in the family ordered, or the name on the statement was not recognised.
            None if random.chance(self.mistaken_probability) => Some((FraudKind::Chargeback, WITHDRAWN)),
            None => None,
        };
        if let Some((kind, reversed)) = known {
            let (delay, source) = discovery(kind, order, random);
            let label_time = order.time.plus(delay);
            if label_time <= self.read_out {
                order.label = Some(true);
                order.label_time = Some(label_time);
                order.fraud_kind = Some(kind);
                self.tell(order, source, label_time, reversed, diary, random);
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
        if order.label.is_none() && !is_young {
            order.label = Some(false);
        }
    }

    /// Notes the chargeback or report, and perhaps that it is reversed later.
    fn tell(
        &self,
        order: &mut SimulatedOrder,
        source: Source,
        label_time: UnixMillis,
        reversed: f64,
        diary: &mut Diary,
        random: &mut Random,
    ) {
        let (kind, reason) = match source {
            Source::Bank(reason) => (EventKind::Chargeback, reason),
            Source::Report(reason) => (EventKind::AbuseReport, reason),
            Source::Shop => return,
        };
        let statement = |time: UnixMillis, known_at: UnixMillis, reason, is_fraud| {
            let mut event = OtherEvent::about(kind, order, 0);
            event.time = time;
            event.known_at = known_at;
            event.reason = Some(reason);
            event.label = Some(is_fraud);
            if kind == EventKind::Chargeback {
                event.card = order.card;
                event.amount_cents = Some(order.amount_cents);
                event.currency = Some(order.currency);
            }
            event
        };
        // Banks write days after they took the money, people tell at once.
        let on_its_way = if kind == EventKind::Chargeback { 1.2 * 86_400.0 } else { 900.0 };
        let since = (label_time.0 - order.time.0) / 1_000;
        let way = (random.exponential(on_its_way) as i64).min(since / 2);
        diary.note_known(statement(UnixMillis(label_time.0 - way * 1_000), label_time, reason, true));
        if kind == EventKind::Chargeback && random.chance(reversed) {
            let reversed_at = label_time.plus(seconds(86_400.0 * random.log_normal(16.0, 0.5).min(90.0)));
            if reversed_at <= self.read_out {
                diary.note_known(statement(reversed_at, reversed_at, "reversed", false));
                order.label = Some(false);
                order.label_time = Some(reversed_at);
                order.fraud_kind = None;
            }
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
fn discovery(kind: FraudKind, order: &SimulatedOrder, random: &mut Random) -> (Span, Source) {
    const DISPUTES: [&str; 4] = ["fraud", "not_received", "not_as_described", "not_recognised"];
    let pays_in_advance = matches!(order.payment_method, "card" | "wallet");
    let ((median_days, sigma), source) = match kind {
        FraudKind::Chargeback => {
            ((24.0, 0.45), Source::Bank(DISPUTES[random.weighted(&[40.0, 25.0, 15.0, 20.0], |w| *w)]))
        }
        FraudKind::FakeOrder if pays_in_advance && random.chance(0.5) => ((20.0, 0.4), Source::Bank("fraud")),
        FraudKind::FakeOrder if random.chance(0.15) => ((12.0, 0.5), Source::Report("false_identity")),
        FraudKind::FakeOrder => ((18.0, 0.4), Source::Shop),
        // The card holder's bank calls; or nobody does, and a chargeback comes.
        FraudKind::StolenCard if random.chance(0.65) => {
            ((3.0, 0.8), if random.chance(0.7) { Source::Report("stolen_card") } else { Source::Shop })
        }
        FraudKind::StolenCard => ((21.0, 0.4), Source::Bank("fraud")),
        FraudKind::AccountTakeover if random.chance(0.7) => ((3.5, 0.9), Source::Report("account_taken_over")),
        FraudKind::AccountTakeover if pays_in_advance => ((14.0, 0.5), Source::Bank("fraud")),
        FraudKind::AccountTakeover => ((5.0, 0.9), Source::Shop),
        FraudKind::RefundAbuse if pays_in_advance && random.chance(0.2) => {
            ((26.0, 0.4), Source::Bank(DISPUTES[1 + random.below(2) as usize]))
        }
        FraudKind::RefundAbuse => ((26.0, 0.4), Source::Shop),
        FraudKind::CouponAbuse => ((6.0, 0.7), Source::Shop),
        FraudKind::Bot if random.chance(0.2) => ((1.5, 0.9), Source::Report("bought_by_program")),
        FraudKind::Bot => ((1.0, 0.9), Source::Shop),
    };
    (seconds((random.log_normal(median_days, sigma) * 86_400.0).clamp(1_800.0, 120.0 * 86_400.0)), source)
}

fn seconds(seconds: f64) -> Span {
    Span(seconds as i64 * 1_000)
}
