//! What dishonest customers do: when episodes happen, who takes part (`people.rs`), and what each kind of abuse changes
//! (`schemes.rs`). Each scheme starts from an order as an honest customer would place it and changes only what it has to,
//! so that no single column gives it away.

mod people;
mod schemes;

use self::people::Ring;
use crate::around::Planned;
use crate::customer::Population;
use crate::diary::DAY_SECS;
use crate::event::OtherEvent;
use crate::order::FraudKind;
use crate::random::Random;

/// A run of orders by one dishonest actor, planned before the stream starts.
#[derive(Clone, Debug)]
pub(crate) struct Episode {
    pub(crate) kind: FraudKind,
    /// Second since 1970 of the first order.
    pub(crate) start: i64,
    /// Second since 1970 from which it is prepared, at least two days before `start` unless the stream begins then:
    /// accounts that are needed and not there are opened from here on.
    pub(crate) prepared: i64,
    /// Whether accounts may be older than that, since nothing before was in the stream.
    from_before: bool,
    pub(crate) n_orders: u64,
    /// Whether it starts after the drift, when methods are others.
    is_modern: bool,
    /// Names the episode's random numbers.
    pub(crate) index: u64,
}

/// What comes of an episode.
#[derive(Default)]
pub(crate) struct Plot {
    /// Exactly as many orders as planned, by time.
    pub(crate) orders: Vec<Planned>,
    /// Sign-ups, log-ins, reviews and changes beside the orders.
    pub(crate) events: Vec<OtherEvent>,
}

/// Everybody dishonest, across episodes.
pub(crate) struct Underworld {
    /// Before the drift, and after it.
    rings: [Vec<Ring>; 2],
    /// Customers who charged back or claimed before, by position in the population, for each of the two.
    habitual: [Vec<usize>; 2],
}

/// Splits `n_fraud` over kinds and episodes that start between `start` and `end` (seconds since 1970), by time of their
/// preparation. From `drift` on kinds have other shares.
pub(crate) fn plan(n_fraud: u64, start: i64, end: i64, drift: Option<i64>, random: &mut Random) -> Vec<Episode> {
    let drift = drift.unwrap_or(end);
    let n_before = (n_fraud as f64 * ((drift - start) as f64 / (end - start) as f64)).round() as u64;
    let mut episodes = Vec::new();
    for (is_modern, from, until, n) in [(false, start, drift, n_before), (true, drift, end, n_fraud - n_before)] {
        let mut share_before = 0.0;
        let mut n_planned = 0;
        for kind in FraudKind::ALL {
            // Rounding the running total keeps the sum exact.
            share_before += if is_modern { kind.share_after_drift() } else { kind.share() };
            let last = kind == FraudKind::Bot;
            let n_until = if last { n } else { (n as f64 * share_before.min(1.0)).round() as u64 };
            let mut rest = n_until - n_planned;
            n_planned = n_until;
            while rest > 0 {
                let n_orders = episode_size(kind, random).min(rest);
                rest -= n_orders;
                let first = random.between(from, until - 1);
                let prepared = first - lead(random);
                episodes.push(Episode {
                    kind,
                    start: first,
                    prepared: prepared.max(start),
                    from_before: prepared <= start,
                    n_orders,
                    is_modern,
                    index: episodes.len() as u64,
                });
            }
        }
    }
    episodes.sort_by_key(|episode| (episode.prepared, episode.index));
    episodes
}

/// Seconds between preparation and first order: days, sometimes months, as accounts with some age are trusted more.
fn lead(random: &mut Random) -> i64 {
    let mean_days = [0.0, 6.0, 100.0][random.weighted(&[55.0, 25.0, 20.0], |w| *w)];
    ((2.0 + random.exponential(mean_days)) * DAY_SECS as f64) as i64
}

fn episode_size(kind: FraudKind, random: &mut Random) -> u64 {
    let (least, mean_more, most) = match kind {
        FraudKind::Chargeback => (1, 2.2, 8),
        FraudKind::FakeOrder => (1, 2.8, 12),
        FraudKind::StolenCard => (1, 3.2, 12),
        FraudKind::AccountTakeover => (1, 1.8, 6),
        FraudKind::RefundAbuse => (2, 2.5, 9),
        FraudKind::CouponAbuse => (3, 4.0, 15),
        FraudKind::Bot => (4, 5.0, 20),
    };
    (least + random.exponential(mean_more) as u64).min(most)
}

impl Underworld {
    /// Rings enough for that many dishonest orders.
    pub(crate) fn new(n_fraud: u64, random: &mut Random) -> Self {
        let n_rings = n_fraud / 110 + 3;
        let rings = [(); 2].map(|()| (0..n_rings).map(|_| Ring::new(random)).collect());
        Self { rings, habitual: [Vec::new(), Vec::new()] }
    }

    /// The orders of one episode, all before `end` (seconds since 1970), and what happens beside them.
    pub(crate) fn act(
        &mut self,
        episode: &Episode,
        end: i64,
        population: &mut Population,
        random: &mut Random,
    ) -> Plot {
        let seconds = times(episode, end, random);
        let mut plot = self.carry_out(episode, &seconds, population, random);
        for planned in &mut plot.orders {
            planned.order.truth = Some(episode.kind);
        }
        plot
    }
}

/// When the orders of an episode are placed: the first within a day of its start, none at or after `end`.
fn times(episode: &Episode, end: i64, random: &mut Random) -> Vec<i64> {
    let day = episode.start.div_euclid(DAY_SECS) * DAY_SECS;
    let night = matches!(episode.kind, FraudKind::Bot | FraudKind::StolenCard) && random.chance(0.35);
    let hour = if night { random.unit() * 5.0 } else { 15.0 + 4.5 * random.normal() };
    let mut first = day + (hour.rem_euclid(24.0) * 3_600.0) as i64;
    if first < episode.start {
        first += DAY_SECS;
    }
    let first = first.min(end - 1);
    let slow = random.chance(0.3);
    // A program waits equally long each time, more or less.
    let beat = random.log_normal(150.0, 0.8).clamp(15.0, 2_400.0);
    let mean_gap = match episode.kind {
        FraudKind::Chargeback => 11.0 * 86_400.0,
        FraudKind::RefundAbuse => 9.0 * 86_400.0,
        FraudKind::FakeOrder => 14.0 * 3_600.0,
        FraudKind::CouponAbuse => 9.0 * 3_600.0,
        FraudKind::StolenCard | FraudKind::AccountTakeover if slow => 18.0 * 3_600.0,
        FraudKind::StolenCard | FraudKind::AccountTakeover => 25.0 * 60.0,
        FraudKind::Bot => beat,
    };
    let mut seconds = vec![first];
    let mut second = first;
    while (seconds.len() as u64) < episode.n_orders {
        second += if episode.kind == FraudKind::Bot {
            (mean_gap * (0.96 + 0.08 * random.unit())) as i64
        } else {
            5 + random.exponential(mean_gap) as i64
        };
        if second >= end {
            second = random.between(first, end - 1);
        }
        seconds.push(second);
    }
    seconds.sort_unstable();
    seconds
}
