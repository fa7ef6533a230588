//! From which raw score on an order is stopped: chosen on validation under an aim that a person can state.

use std::fmt;

use crate::confusion::{Confusion, share};
use crate::costs::CostTable;
use crate::error::MetricError;
use crate::measure::cumulated;
use crate::ranked::Ranked;
use crate::ranking::{Cut, Ranking};
use crate::scored::Scored;

/// What a threshold is chosen for. Rates and shares are 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Aim {
    /// Catch as many frauds as possible while at most this share of the honest orders is stopped.
    FalsePositiveRate(f64),
    /// Catch as many frauds as possible while at least this share of the stopped orders are frauds.
    Precision(f64),
    /// Catch at least this share of the frauds while stopping as few orders as possible.
    Recall(f64),
    /// The highest F1.
    F1,
    /// Catch as many frauds as possible while at most so many orders are stopped on a day, on average over the days.
    Capacity(f64),
    /// Lose the least money by a cost table.
    Money,
}

impl Default for Aim {
    /// At most 1 in 200 honest orders is stopped. A stopped customer is what a shop feels first, and this aim holds whatever
    /// the share of fraud is: a precision cannot be promised before one knows how much fraud there is, and F1 takes a wrongly
    /// stopped order to be as bad as a missed fraud. Fraud is commonly 0.2 to 1 % of orders, so at this rate false alarms
    /// are about as many as the frauds themselves, which a review team can work through.
    fn default() -> Self {
        Self::FalsePositiveRate(0.005)
    }
}

impl Aim {
    /// Reads `fpr=0.5%`, `fpr=0.005`, `precision=0.9`, `recall=80%`, `f1`, `capacity=200/day` or `money`; case and spaces do not
    /// matter.
    ///
    /// ```
    /// use orderguard_evaluation::threshold::Aim;
    /// assert_eq!(Aim::parse("fpr = 0.5%"), Ok(Aim::FalsePositiveRate(0.005)));
    /// assert_eq!(Aim::parse("capacity=200/day"), Ok(Aim::Capacity(200.0)));
    /// assert!(Aim::parse("recall=80").is_err());
    /// ```
    ///
    /// # Errors
    /// When the text is none of these, the share lies outside 0 to 1, or the capacity is not above 0.
    pub fn parse(text: &str) -> Result<Self, AimError> {
        let refuse = || AimError { found: text.chars().take(40).collect() };
        let compact: String = text.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect();
        if compact == "f1" {
            return Ok(Self::F1);
        }
        if compact == "money" {
            return Ok(Self::Money);
        }
        if let Some(capacity) = compact.strip_prefix("capacity=") {
            return parse_capacity(capacity).map(Self::Capacity).ok_or_else(refuse);
        }
        let (name, share) = compact.split_once('=').ok_or_else(refuse)?;
        let share = parse_share(share).ok_or_else(refuse)?;
        match name {
            "fpr" => Ok(Self::FalsePositiveRate(share)),
            "precision" => Ok(Self::Precision(share)),
            "recall" => Ok(Self::Recall(share)),
            _ => Err(refuse()),
        }
    }
}

/// Orders a day, such as `200/day` or `200`.
pub fn parse_capacity(text: &str) -> Option<f64> {
    let number = text.strip_suffix("/day").unwrap_or(text);
    let plain = number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    number.parse().ok().filter(|&n: &f64| plain && n > 0.0 && n <= 1e12)
}

/// A share such as `0.005` or `0.5%`. The digits of a percentage are moved before the number is read, so that `0.5%` is the
/// same double as `0.005` and a rate of exactly one in two hundred is not missed by a rounding.
fn parse_share(text: &str) -> Option<f64> {
    let number = match text.strip_suffix('%') {
        Some(percent) => format!("{percent}e-2"),
        None => text.to_owned(),
    };
    let plain = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'%'));
    number.parse().ok().filter(|share| plain && (0.0..=1.0).contains(share))
}

impl fmt::Display for Aim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FalsePositiveRate(rate) => write!(f, "false-positive rate at most {}", Percent(*rate)),
            Self::Precision(floor) => write!(f, "precision at least {}", Percent(*floor)),
            Self::Recall(floor) => write!(f, "recall at least {}", Percent(*floor)),
            Self::F1 => f.write_str("highest F1"),
            Self::Capacity(orders) => write!(f, "at most {orders} orders stopped a day"),
            Self::Money => f.write_str("least money lost"),
        }
    }
}

/// A share written as a percentage with no more digits than it needs.
struct Percent(f64);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.6}", self.0 * 100.0);
        write!(f, "{} %", text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// The text is not an aim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AimError {
    /// The start of the text that was found.
    pub found: String,
}

impl fmt::Display for AimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "aim of the threshold: expected fpr=, precision= or recall= with a share from 0 to 1 or 0% to 100% (such as \
             fpr=0.5%), capacity= with orders a day above 0 (capacity=200/day), money or f1; found {:?}",
            self.found
        )
    }
}

impl std::error::Error for AimError {}

/// A chosen threshold and what it achieves on the orders it was chosen on.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// Orders with `raw >= raw_score` are stopped; finite.
    pub raw_score: f64,
    /// The aim in words, such as "false-positive rate at most 0.5 % in validation".
    pub aim_text: String,
    /// Counts on the orders the threshold was chosen on; its methods give precision, recall and the rest.
    pub achieved: Confusion,
    /// Why the aim could not be followed to the letter, where it could not.
    pub note: Option<String>,
}

/// Chooses the threshold for `aim` on the raw scores and labels (1 fraud, 0 honest) of the validation part.
///
/// Among thresholds that serve the aim equally the one that stops the fewest orders is taken. It is placed halfway between
/// the lowest score stopped and the highest let through, so that a tiny difference of scores flips nothing; beyond the
/// outermost scores it lies half a unit away. Where the aim cannot be met or judged, a defined threshold is taken and `note`
/// says which: without frauds, the lowest one that keeps the honest orders stopped within the rate of the aim (for other
/// aims within the default rate); with an unreachable precision, the one of the highest precision.
///
/// # Errors
/// As [`Ranking::new`].
pub fn choose(scores: &[f64], labels: &[u8], aim: Aim) -> Result<Choice, MetricError> {
    Ok(choose_ranked(&Ranking::new(scores, labels)?, aim))
}

/// As [`choose`], on all that is known of the orders: [`Aim::Capacity`] needs their days and [`Aim::Money`] their amounts and what
/// mistakes cost. Where these are not known, `note` says so and the default aim is followed. O(n log n), in parallel.
pub fn choose_scored(orders: &Scored<'_>, aim: Aim, costs: &CostTable) -> Choice {
    let ranking = Ranking::from_checked(orders.raw, orders.labels);
    let cut = if ranking.n_fraud() == 0 {
        None
    } else {
        match aim {
            Aim::Capacity(a_day) => orders.days.map(|days| within_capacity(&ranking, days, a_day)),
            Aim::Money => orders.amounts.map(|_| of_least_loss(&ranking, orders, costs)),
            _ => None,
        }
    };
    match cut {
        Some(cut) => chosen(&ranking, aim, &cut, None),
        None => choose_ranked(&ranking, aim),
    }
}

fn within_capacity(ranking: &Ranking, days: &[i64], a_day: f64) -> Cut {
    let mut distinct = days.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    let most = a_day * distinct.len() as f64;
    let first_with_most = |best: Cut, cut: Cut| if cut.tp > best.tp { cut } else { best };
    let within = ranking.cuts().take_while(|cut| (cut.tp + cut.fp) as f64 <= most);
    within.reduce(first_with_most).expect("stopping nothing is within every capacity")
}

fn of_least_loss(ranking: &Ranking, orders: &Scored<'_>, costs: &CostTable) -> Cut {
    let ranked = Ranked::new(&Scored { days: None, entities: None, weights: None, ..*orders });
    let (all, _) = cumulated(&ranked, |_, _| ());
    let mut losses = vec![costs.doing_nothing(&all)];
    cumulated(&ranked, |_, stopped| losses.push(costs.stopping(&all, stopped)));
    let cheaper = |best: (Cut, f64), next: (Cut, f64)| if next.1 < best.1 { next } else { best };
    ranking.cuts().zip(losses).reduce(cheaper).expect("stopping nothing is always a cut").0
}

/// As [`choose`], for orders that are ranked already. O(distinct scores).
pub fn choose_ranked(ranking: &Ranking, aim: Aim) -> Choice {
    let (cut, note) = if ranking.n_rows() == 0 {
        let nothing = Cut { lowest_stopped: None, highest_passed: None, tp: 0, fp: 0 };
        (nothing, Some("validation holds no order: the threshold is a raw score of 0 and stands on nothing".to_owned()))
    } else if ranking.n_fraud() == 0 {
        let rate = if let Aim::FalsePositiveRate(rate) = aim { rate } else { DEFAULT_RATE };
        let note = format!(
            "validation holds no fraud: the threshold is the lowest that stops at most {} of its orders",
            Percent(rate)
        );
        (lowest_within(ranking, rate), Some(note))
    } else {
        match aim {
            Aim::FalsePositiveRate(rate) => (most_frauds_within(ranking, rate), None),
            Aim::Precision(floor) => at_precision(ranking, floor),
            Aim::Recall(floor) => (at_recall(ranking, floor), None),
            Aim::F1 => (highest_f1(ranking), None),
            Aim::Capacity(_) | Aim::Money => {
                let what = if aim == Aim::Money { "amounts in one currency" } else { "times" };
                let note = format!(
                    "the aim needs {what}: the threshold is chosen for a false-positive rate of at most {} instead",
                    Percent(DEFAULT_RATE)
                );
                (most_frauds_within(ranking, DEFAULT_RATE), Some(note))
            }
        }
    };
    chosen(ranking, aim, &cut, note)
}

fn chosen(ranking: &Ranking, aim: Aim, cut: &Cut, note: Option<String>) -> Choice {
    Choice {
        raw_score: place(cut),
        aim_text: format!("{aim} in validation"),
        achieved: Confusion {
            tp: cut.tp,
            fp: cut.fp,
            tn: ranking.n_honest() - cut.fp,
            fn_: ranking.n_fraud() - cut.tp,
        },
        note,
    }
}

const DEFAULT_RATE: f64 = 0.005;

fn within(ranking: &Ranking, rate: f64) -> impl Iterator<Item = Cut> + '_ {
    // Without honest orders no rate is exceeded.
    ranking.cuts().take_while(move |cut| share(cut.fp, ranking.n_honest()).is_none_or(|fpr| fpr <= rate))
}

fn lowest_within(ranking: &Ranking, rate: f64) -> Cut {
    within(ranking, rate).last().expect("stopping nothing is within every rate")
}

fn most_frauds_within(ranking: &Ranking, rate: f64) -> Cut {
    // The first of the cuts with the most frauds: going lower would only stop more honest orders.
    let first_with_most = |best: Cut, cut: Cut| if cut.tp > best.tp { cut } else { best };
    within(ranking, rate).reduce(first_with_most).expect("stopping nothing is within every rate")
}

fn at_precision(ranking: &Ranking, floor: f64) -> (Cut, Option<String>) {
    let good = ranking.cuts().filter(|cut| share(cut.tp, cut.tp + cut.fp).is_some_and(|precision| precision >= floor));
    if let Some(cut) = good.reduce(|best, cut| if cut.tp > best.tp { cut } else { best })
        && cut.tp > 0
    {
        return (cut, None);
    }
    let precision = |cut: &Cut| share(cut.tp, cut.tp + cut.fp).unwrap_or(0.0);
    // Of equal precisions the last has the most frauds.
    let cut = ranking
        .cuts()
        .reduce(|best, cut| if precision(&cut) >= precision(&best) { cut } else { best })
        .expect("stopping nothing is always a cut");
    let note = format!(
        "no threshold reaches a precision of {} in validation: the one with the highest precision, {}, is taken",
        Percent(floor),
        Percent((precision(&cut) * 1e4).round() / 1e4)
    );
    (cut, Some(note))
}

fn at_recall(ranking: &Ranking, floor: f64) -> Cut {
    let enough = |cut: &Cut| share(cut.tp, ranking.n_fraud()).is_some_and(|recall| recall >= floor);
    ranking.cuts().find(enough).expect("stopping everything catches every fraud, and a floor is at most 1")
}

fn highest_f1(ranking: &Ranking) -> Cut {
    let f1 = |cut: &Cut| share(2 * cut.tp, cut.tp + cut.fp + ranking.n_fraud());
    ranking
        .cuts()
        .reduce(|best, cut| if f1(&cut) > f1(&best) { cut } else { best })
        .expect("stopping nothing is always a cut")
}

/// A finite threshold that stops exactly what the cut stops.
fn place(cut: &Cut) -> f64 {
    match (cut.lowest_stopped, cut.highest_passed) {
        (Some(stopped), Some(passed)) => {
            // Halves first, so that no sum overflows; between neighbouring doubles the upper one divides them.
            let middle = stopped / 2.0 + passed / 2.0;
            if middle > passed && middle <= stopped { middle } else { stopped }
        }
        (Some(stopped), None) => (stopped - 0.5).max(f64::MIN),
        (None, Some(passed)) => (passed + 0.5).max(passed.next_up()).min(f64::MAX),
        (None, None) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aims_read_back() {
        for (text, aim, shown) in [
            ("fpr=0.5%", Aim::FalsePositiveRate(0.005), "false-positive rate at most 0.5 %"),
            ("FPR = 0.001", Aim::FalsePositiveRate(0.001), "false-positive rate at most 0.1 %"),
            ("precision=90%", Aim::Precision(0.9), "precision at least 90 %"),
            ("recall=0.8", Aim::Recall(0.8), "recall at least 80 %"),
            ("F1", Aim::F1, "highest F1"),
            ("capacity = 200/day", Aim::Capacity(200.0), "at most 200 orders stopped a day"),
            ("capacity=0.5", Aim::Capacity(0.5), "at most 0.5 orders stopped a day"),
            ("Money", Aim::Money, "least money lost"),
        ] {
            assert_eq!(Aim::parse(text), Ok(aim));
            assert_eq!(aim.to_string(), shown);
        }
        for bad in
            ["capacity", "capacity=", "capacity=0", "capacity=0/day", "capacity=-1", "capacity=1e3", "capacity=2/week"]
        {
            assert!(Aim::parse(bad).is_err(), "{bad:?}");
        }
        for bad in
            ["", "fpr", "fpr=", "fpr=%", "fpr=-1", "fpr=2", "fpr=101%", "fpr=nan", "recall=inf", "f2=0.1", "fpr=1e-3"]
        {
            assert!(Aim::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Aim::parse("profit").unwrap_err().to_string().ends_with("found \"profit\""));
    }

    #[test]
    fn the_default_rate_is_the_default_aim() {
        assert_eq!(Aim::default(), Aim::FalsePositiveRate(DEFAULT_RATE));
    }

    // Frauds at 4 and 2 (two), honest at 3, 1 and 0 (two).
    const SCORES: [f64; 7] = [4.0, 3.0, 2.0, 2.0, 1.0, 0.0, 0.0];
    const LABELS: [u8; 7] = [1, 0, 1, 1, 0, 0, 0];

    #[test]
    fn each_aim_takes_its_cut_halfway() {
        for (aim, raw_score, tp, fp) in [
            (Aim::FalsePositiveRate(0.0), 3.5, 1, 0),
            (Aim::FalsePositiveRate(0.24), 3.5, 1, 0),
            (Aim::FalsePositiveRate(0.25), 1.5, 3, 1),
            // A lower threshold would stop more honest orders and no more frauds.
            (Aim::FalsePositiveRate(1.0), 1.5, 3, 1),
            (Aim::Precision(1.0), 3.5, 1, 0),
            (Aim::Precision(0.7), 1.5, 3, 1),
            (Aim::Recall(0.0), 4.5, 0, 0),
            (Aim::Recall(0.3), 3.5, 1, 0),
            (Aim::Recall(0.5), 1.5, 3, 1),
            (Aim::F1, 1.5, 3, 1),
        ] {
            let choice = choose(&SCORES, &LABELS, aim).unwrap();
            assert_eq!((choice.raw_score, choice.achieved.tp, choice.achieved.fp), (raw_score, tp, fp), "{aim:?}");
            assert_eq!(choice.note, None);
        }
    }

    #[test]
    fn degenerate_validation_gives_a_defined_threshold_and_says_so() {
        let choice = choose(&[3.0, 2.0, 1.0, 0.0], &[0; 4], Aim::FalsePositiveRate(0.25)).unwrap();
        assert_eq!((choice.raw_score, choice.achieved.fp), (2.5, 1));
        assert!(choice.note.unwrap().starts_with("validation holds no fraud"));

        let choice = choose(&[3.0, 2.0], &[0; 2], Aim::F1).unwrap();
        assert_eq!((choice.raw_score, choice.achieved.fp), (3.5, 0));

        let choice = choose(&[], &[], Aim::F1).unwrap();
        assert_eq!(choice.raw_score, 0.0);
        assert!(choice.note.unwrap().starts_with("validation holds no order"));

        let choice = choose(&[1.0, 2.0], &[1, 1], Aim::default()).unwrap();
        assert_eq!((choice.raw_score, choice.achieved.tp), (0.5, 2));

        let choice = choose(&[2.0, 2.0, 1.0], &[1, 0, 0], Aim::Precision(0.9)).unwrap();
        assert_eq!((choice.raw_score, choice.achieved.tp, choice.achieved.fp), (1.5, 1, 1));
        assert_eq!(
            choice.note.as_deref(),
            Some(
                "no threshold reaches a precision of 90 % in validation: the one with the highest precision, 50 %, is taken"
            )
        );
    }

    #[test]
    fn neighbouring_and_huge_scores_are_divided() {
        for (low, high) in [(1.0, 1.0_f64.next_up()), (-f64::MAX, f64::MAX), (0.0, 5e-324), (-5e-324, 0.0)] {
            let choice = choose(&[high, low], &[1, 0], Aim::F1).unwrap();
            assert!(choice.raw_score > low && choice.raw_score <= high, "{low} {high}: {}", choice.raw_score);
        }
        let choice = choose(&[f64::MAX], &[0], Aim::F1).unwrap();
        assert!(choice.raw_score.is_finite());
    }
}
