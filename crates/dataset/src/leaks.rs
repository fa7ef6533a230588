//! Columns that know the answer: found on the training orders and kept out of the model, with the figures that say why.
//!
//! A rule must fire on data that no shop could use at the order, and stay silent on a strong honest signal. Hence the
//! thresholds stand close to perfection, and every rule asks for enough frauds that chance cannot reach it.

use std::fmt;

use orderguard_features::schema::{Available, Role, Schema};
use orderguard_features::table::{ColumnData, MISSING_CODE, MISSING_I64, OrderTable};
use rayon::prelude::*;

/// Fewer frauds (or honest orders) than this prove nothing: with 20 of each, an area of 0.99 by chance is less likely
/// than one in a billion.
const MIN_PER_CLASS: u64 = 20;
/// From this area under the ROC curve on, a column alone separates the classes. The best single honest signals of
/// published fraud data stay below 0.95.
const LEAK_AUC: f64 = 0.99;
/// From this precision and recall on, reached together by one threshold or one set of levels, a column alone separates.
const LEAK_PRECISION_RECALL: f64 = 0.95;
/// A column is "set only for frauds" when at least this share of the orders where it is set are frauds, and they are
/// [`MIN_PER_CLASS`] or more, whatever share of all frauds that is: the records of an investigation are kept for some
/// frauds only. An honest rule that strong lets some honest orders through; one that did not in all of train adds
/// little where it was up for few orders, and is too good to be true where it was up for many.
const SET_ONLY_PRECISION: f64 = 0.99;
/// So many honest orders would be set if frauds and honest orders were set alike: where nearly all orders are frauds, a
/// column that is set for frauds alone shows nothing.
const MIN_HONEST_EXPECTED: f64 = 10.0;
/// Levels that single out frauds must hold this many frauds each on average, else they name buyers, which a model may
/// remember but which is no leak.
const MIN_FRAUDS_PER_LEVEL: u64 = 5;
/// Most levels of a numeric column that is also judged as codes.
const MAX_CODES: usize = 1_000;
/// Fewer values than this do not tell an identifier or a running number from chance.
const MIN_ROWS_OF_ORDER: usize = 100;
/// From this share of pairs in the same order on (or in the opposite one), a value runs with time.
const RUNNING_GAMMA: f64 = 0.999;
/// A running number has at least this many values: fewer are the steps of a setting that changed now and then. A week
/// of day numbers has seven.
const MIN_RUNNING_VALUES: usize = 6;
/// A timestamp lies after the order when it does so in more than this share of the orders, of the frauds, or of the honest
/// orders: sign-ups in another time zone than the purchase lie after it here and there, deliveries nearly always, and the
/// opening of a case for frauds alone.
const LATER_SHARE: f64 = 0.1;
/// Two clocks of one shop differ by up to this much.
const CLOCK_TOLERANCE_MS: i64 = 60_000;

/// A column that would betray the label or the row.
#[derive(Clone, Debug, PartialEq)]
pub struct Leak {
    /// The column.
    pub column: String,
    /// Its position in the schema.
    pub position: usize,
    /// Why.
    pub reason: LeakReason,
    /// Whether the user keeps it all the same.
    pub kept: bool,
}

impl fmt::Display for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let done = if self.kept { "kept as asked" } else { "left out" };
        write!(f, "{:?} {done}: {}", self.column, self.reason)
    }
}

/// Why a column is refused. Figures are of the training orders.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum LeakReason {
    /// Its order alone ranks nearly all frauds above (or below) nearly all honest orders.
    SeparatesByRank {
        /// Area under the ROC curve, of the better direction.
        auc: f64,
        /// Frauds judged.
        n_fraud: u64,
    },
    /// One threshold, or one set of levels, finds nearly all frauds and nearly nothing else.
    SeparatesByValue {
        /// Share of frauds among the orders so found.
        precision: f64,
        /// Share of the frauds so found.
        recall: f64,
        /// Frauds judged.
        n_fraud: u64,
    },
    /// It has a value, or another than the usual one, only for frauds.
    SetOnlyForFrauds {
        /// Orders where it is set.
        n_set: u64,
        /// Of them, frauds.
        n_fraud_set: u64,
        /// All frauds.
        n_fraud: u64,
    },
    /// Its values name the order.
    Identifier {
        /// Distinct values.
        n_distinct: u64,
        /// Orders with a value.
        n_present: u64,
    },
    /// Its value grows (or falls) with time: a counter, a day number, the seconds since some start.
    RunningNumber {
        /// Share of pairs of orders in the order of time less the share in the opposite one, -1 to 1.
        gamma: f64,
        /// Distinct values.
        n_distinct: u64,
    },
    /// It is a point in time after the order.
    AfterOrder {
        /// Orders where it lies after the order.
        n_after: u64,
        /// Orders with a value.
        n_present: u64,
    },
    /// It is a point in time after the order for one class.
    AfterOrderOfClass {
        /// True for frauds, false for honest orders.
        fraud: bool,
        /// Orders of the class where it lies after the order.
        n_after: u64,
        /// Orders of the class with a value.
        n_present: u64,
    },
}

impl fmt::Display for LeakReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SeparatesByRank { auc, n_fraud } => {
                write!(f, "alone it separates the classes almost perfectly (ROC AUC {auc:.4} on {n_fraud} frauds)")
            }
            Self::SeparatesByValue { precision, recall, n_fraud } => write!(
                f,
                "alone it separates the classes almost perfectly (precision {precision:.4} and recall {recall:.4} on {n_fraud} frauds)"
            ),
            Self::SetOnlyForFrauds { n_set, n_fraud_set, n_fraud } => write!(
                f,
                "it is set only for frauds ({n_fraud_set} of the {n_set} orders where it is set, of {n_fraud} frauds in all)"
            ),
            Self::Identifier { n_distinct, n_present } => {
                write!(f, "it is an identifier ({n_distinct} distinct values in {n_present} orders)")
            }
            Self::RunningNumber { gamma, n_distinct } => write!(
                f,
                "it is a running number: its {n_distinct} values go with the order's time (gamma {gamma:.4}), and later orders lie outside what training saw"
            ),
            Self::AfterOrder { n_after, n_present } => {
                write!(f, "it is a time after the order in {n_after} of {n_present} orders")
            }
            Self::AfterOrderOfClass { fraud, n_after, n_present } => {
                let class = if *fraud { "frauds" } else { "honest orders" };
                write!(f, "it is a time after the order in {n_after} of {n_present} {class}")
            }
        }
    }
}

/// Leaks that cannot be looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeakError {
    /// A column to keep is not there.
    UnknownColumn {
        /// Its name.
        name: String,
    },
}

impl fmt::Display for LeakError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownColumn { name } => write!(f, "keep: expected a column of the data, found {name:?}"),
        }
    }
}

impl std::error::Error for LeakError {}

/// Finds the columns that must not become features, in the order of the schema.
///
/// `rows` are the training orders, positions in `table`; `labels` holds one label per entry of `rows`: 1 fraud, 0 honest.
/// Judged are the columns known at the order that could become features: amount, numbers, categories, timestamps,
/// and entities. Of an entity it is judged whether being there at all gives the label away, not its values, which name
/// buyers; and it is refused when no value comes twice, so that there is no history to count. Without a time column
/// nothing can be a running number or lie after the order. `keep` names columns the user wants all the same.
/// The result depends on the rows as a set only. O(columns * n log n), columns in parallel.
///
/// # Panics
/// If lengths disagree or a row is not in the table: a caller's bug, never caused by data.
pub fn find_leaks(
    table: &OrderTable,
    schema: &Schema,
    rows: &[u32],
    labels: &[u8],
    keep: &[String],
) -> Result<Vec<Leak>, LeakError> {
    assert_eq!(rows.len(), labels.len(), "one label per training row");
    if let Some(name) = keep.iter().find(|name| schema.position(name).is_none()) {
        return Err(LeakError::UnknownColumn { name: name.clone() });
    }
    let times = schema.find(Role::Time).and_then(|i| match table.columns.get(i) {
        Some(ColumnData::Time(times)) => Some(times.as_slice()),
        _ => None,
    });
    let orders = Orders { rows, labels, times, n_fraud: labels.iter().map(|&l| u64::from(l == 1)).sum() };
    let found: Vec<Option<LeakReason>> = schema
        .columns
        .par_iter()
        .zip(table.columns.par_iter())
        .map(|(column, data)| {
            if column.available == Available::Later {
                return None;
            }
            match (column.role, data) {
                (Role::Number, ColumnData::Number(values)) => orders.judge_number(|row| values[row]),
                (Role::Amount, ColumnData::Amount(values)) => orders.judge_amount(values),
                (Role::Timestamp, ColumnData::Time(values)) => orders.judge_timestamp(values),
                (Role::Category, ColumnData::Text(text)) => orders.judge_category(&text.codes, text.levels.len()),
                (role, ColumnData::Text(text)) if role.is_entity() => {
                    orders.judge_entity(&text.codes, text.levels.len())
                }
                _ => None,
            }
        })
        .collect();
    let leaks = found.into_iter().enumerate().filter_map(|(position, reason)| {
        let column = schema.columns[position].name.clone();
        let kept = keep.contains(&column);
        Some(Leak { column, position, reason: reason?, kept })
    });
    Ok(leaks.collect())
}

/// The training orders.
struct Orders<'a> {
    rows: &'a [u32],
    labels: &'a [u8],
    times: Option<&'a [i64]>,
    n_fraud: u64,
}

/// An order's value, time and label as one number, whose order is that of value, time and label: numbers sort several times as
/// fast as tuples do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Cell(u128);

impl Cell {
    const SIGN: u64 = 1 << 63;
    /// Times are cut here, far beyond the years that a file may hold: their highest bit gives way to the label.
    const MAX_TIME: i64 = 1 << 62;

    fn new(value: f64, time: i64, fraud: bool) -> Self {
        let bits = value.to_bits();
        // Negative numbers in the order of their sizes turned around, below all others.
        let value = if bits & Self::SIGN == 0 { bits | Self::SIGN } else { !bits };
        let time = (time.clamp(-Self::MAX_TIME, Self::MAX_TIME - 1) + Self::MAX_TIME) as u64;
        Self(u128::from(value) << 64 | u128::from(time << 1 | u64::from(fraud)))
    }

    fn value(self) -> f64 {
        let key = (self.0 >> 64) as u64;
        f64::from_bits(if key & Self::SIGN == 0 { !key } else { key & !Self::SIGN })
    }

    fn time(self) -> i64 {
        (self.0 as u64 >> 1) as i64 - Self::MAX_TIME
    }

    fn is_fraud(self) -> bool {
        self.0 & 1 == 1
    }
}

/// Frauds and honest orders among some.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Classes {
    fraud: u64,
    honest: u64,
}

impl Classes {
    fn add(&mut self, fraud: bool) {
        self.fraud += u64::from(fraud);
        self.honest += u64::from(!fraud);
    }

    fn plus(self, other: Self) -> Self {
        Self { fraud: self.fraud + other.fraud, honest: self.honest + other.honest }
    }

    fn minus(self, other: Self) -> Self {
        Self { fraud: self.fraud - other.fraud, honest: self.honest - other.honest }
    }

    fn n(self) -> u64 {
        self.fraud + self.honest
    }

    fn prove_something(self) -> bool {
        self.fraud >= MIN_PER_CLASS && self.honest >= MIN_PER_CLASS
    }
}

impl Orders<'_> {
    fn all(&self) -> Classes {
        Classes { fraud: self.n_fraud, honest: self.labels.len() as u64 - self.n_fraud }
    }

    fn judge_number(&self, value: impl Fn(usize) -> f64) -> Option<LeakReason> {
        let mut present: Vec<Cell> = self
            .rows
            .iter()
            .zip(self.labels)
            .map(|(&row, &label)| (value(row as usize), self.times.map_or(0, |t| t[row as usize]), label == 1))
            .filter(|(value, _, _)| !value.is_nan())
            .map(|(value, time, fraud)| Cell::new(value, time, fraud))
            .collect();
        present.sort_unstable();
        let groups: Vec<Classes> = present
            .chunk_by(|a, b| a.value() == b.value())
            .map(|same| {
                let mut classes = Classes::default();
                for cell in same {
                    classes.add(cell.is_fraud());
                }
                classes
            })
            .collect();
        let missing = groups.iter().fold(self.all(), |left, &group| left.minus(group));
        self.separates_by_rank(&groups)
            .or_else(|| self.separates_by_threshold(&groups))
            .or_else(|| self.separated(missing))
            .or_else(|| if groups.len() <= MAX_CODES { self.separates_by_levels(&groups, missing) } else { None })
            .or_else(|| self.set_only_for_frauds(&groups, missing))
            .or_else(|| self.running_number(&present, groups.len()))
            .or_else(|| identifier(&present, groups.len()))
    }

    fn judge_amount(&self, values: &[i64]) -> Option<LeakReason> {
        let value = |row: usize| if values[row] == MISSING_I64 { f64::NAN } else { values[row] as f64 };
        // Amounts in cents are whole numbers that may all differ: only separation is judged.
        self.judge_number(value)
            .filter(|reason| !matches!(reason, LeakReason::Identifier { .. } | LeakReason::RunningNumber { .. }))
    }

    fn judge_timestamp(&self, values: &[i64]) -> Option<LeakReason> {
        let Some(times) = self.times else {
            return self.judge_number(|row| if values[row] == MISSING_I64 { f64::NAN } else { values[row] as f64 });
        };
        let (mut present, mut after) = (Classes::default(), Classes::default());
        for (&row, &label) in self.rows.iter().zip(self.labels) {
            let (value, time) = (values[row as usize], times[row as usize]);
            if value != MISSING_I64 {
                present.add(label == 1);
                if value.saturating_sub(time) > CLOCK_TOLERANCE_MS {
                    after.add(label == 1);
                }
            }
        }
        let is_later = |n_after: u64, n_present: u64| n_after as f64 > LATER_SHARE * n_present as f64;
        if is_later(after.n(), present.n()) {
            return Some(LeakReason::AfterOrder { n_after: after.n(), n_present: present.n() });
        }
        for (fraud, n_after, n_present) in [(true, after.fraud, present.fraud), (false, after.honest, present.honest)] {
            if n_present >= MIN_PER_CLASS && is_later(n_after, n_present) {
                return Some(LeakReason::AfterOrderOfClass { fraud, n_after, n_present });
            }
        }
        // As the feature sees it: the time that has passed. That it goes with time or never repeats is in its nature.
        let since = |row: usize| {
            if values[row] == MISSING_I64 { f64::NAN } else { times[row].saturating_sub(values[row]) as f64 }
        };
        self.judge_number(since)
            .filter(|reason| !matches!(reason, LeakReason::Identifier { .. } | LeakReason::RunningNumber { .. }))
    }

    fn judge_category(&self, codes: &[u32], n_levels: usize) -> Option<LeakReason> {
        let (levels, missing) = self.count_levels(codes, n_levels);
        let n_present = levels.iter().map(|level| level.n()).sum::<u64>();
        let n_distinct = levels.len() as u64;
        self.separates_by_levels(&levels, missing).or_else(|| self.set_only_for_frauds(&levels, missing)).or_else(
            || {
                let named = n_present as usize >= MIN_ROWS_OF_ORDER && n_distinct as f64 >= 0.95 * n_present as f64;
                named.then_some(LeakReason::Identifier { n_distinct, n_present })
            },
        )
    }

    fn judge_entity(&self, codes: &[u32], n_levels: usize) -> Option<LeakReason> {
        let (levels, missing) = self.count_levels(codes, n_levels);
        let present = self.all().minus(missing);
        let (n_present, n_distinct) = (present.n(), levels.len() as u64);
        self.separated(missing).or_else(|| self.separated(present)).or_else(|| self.set_only(missing)).or_else(|| {
            (n_present as usize >= MIN_ROWS_OF_ORDER && n_distinct == n_present)
                .then_some(LeakReason::Identifier { n_distinct, n_present })
        })
    }

    /// Classes of each level that occurs, and of the rows without one. Levels stand in the order of their counts, which
    /// no order of the rows changes.
    fn count_levels(&self, codes: &[u32], n_levels: usize) -> (Vec<Classes>, Classes) {
        let mut levels = vec![Classes::default(); n_levels];
        let mut missing = Classes::default();
        for (&row, &label) in self.rows.iter().zip(self.labels) {
            match codes[row as usize] {
                MISSING_CODE => missing.add(label == 1),
                code => levels[code as usize].add(label == 1),
            }
        }
        levels.retain(|level| level.n() > 0);
        levels.sort_unstable_by_key(|level| (level.fraud, level.honest));
        (levels, missing)
    }

    /// Groups of equal values in rising order.
    fn separates_by_rank(&self, groups: &[Classes]) -> Option<LeakReason> {
        let present = groups.iter().fold(Classes::default(), |sum, &group| sum.plus(group));
        // A rank among a few of the frauds says little about the others.
        if !present.prove_something() || 2 * present.fraud < self.n_fraud {
            return None;
        }
        let auc = auc(groups, present);
        let auc = auc.max(1.0 - auc);
        (auc >= LEAK_AUC).then_some(LeakReason::SeparatesByRank { auc, n_fraud: present.fraud })
    }

    fn separates_by_threshold(&self, groups: &[Classes]) -> Option<LeakReason> {
        let present = groups.iter().fold(Classes::default(), |sum, &group| sum.plus(group));
        let mut below = Classes::default();
        let mut best = Classes::default();
        for &group in groups {
            below = below.plus(group);
            best = self.better(best, below);
            best = self.better(best, present.minus(below));
        }
        self.separated(best)
    }

    /// Levels in any order; the missing value is one more. A level speaks for fraud when, with the row in question left
    /// out, most of its orders are frauds.
    fn separates_by_levels(&self, levels: &[Classes], missing: Classes) -> Option<LeakReason> {
        let mut chosen = Classes::default();
        let mut n_chosen = 0;
        for &level in levels.iter().chain([&missing]) {
            if level.fraud >= 2 && level.fraud - 1 > level.honest {
                chosen = chosen.plus(level);
                n_chosen += 1;
            }
        }
        if n_chosen > 0
            && chosen.fraud >= MIN_FRAUDS_PER_LEVEL * n_chosen
            && let Some(leak) = self.separated(chosen)
        {
            return Some(leak);
        }
        // Few levels that hold the frauds, and few others: rank levels by the rate of fraud among their other orders.
        let all = self.all();
        if !all.prove_something() {
            return None;
        }
        let prior = all.fraud as f64 / all.n() as f64;
        let mut ranked: Vec<(f64, Classes)> = Vec::with_capacity(2 * levels.len() + 2);
        for &level in levels.iter().chain([&missing]) {
            let others = level.n() as f64 - 1.0;
            if level.fraud > 0 {
                ranked.push(((level.fraud as f64 - 1.0 + prior) / (others + 1.0), Classes { honest: 0, ..level }));
            }
            if level.honest > 0 {
                ranked.push(((level.fraud as f64 + prior) / (others + 1.0), Classes { fraud: 0, ..level }));
            }
        }
        let n_with_fraud = levels.iter().filter(|level| level.fraud > 0).count() as u64;
        if self.n_fraud < MIN_FRAUDS_PER_LEVEL * n_with_fraud {
            return None;
        }
        ranked.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let groups: Vec<Classes> = ranked
            .chunk_by(|a, b| a.0 == b.0)
            .map(|same| same.iter().fold(Classes::default(), |sum, &(_, classes)| sum.plus(classes)))
            .collect();
        let auc = auc(&groups, all);
        (auc >= LEAK_AUC).then_some(LeakReason::SeparatesByRank { auc, n_fraud: all.fraud })
    }

    /// Values other than missing, or other than the one that most orders have.
    fn set_only_for_frauds(&self, groups: &[Classes], missing: Classes) -> Option<LeakReason> {
        let all = self.all();
        let usual = groups.iter().copied().max_by_key(|group| (group.n(), group.honest)).unwrap_or_default();
        let usual = if 2 * usual.n() >= all.n() { usual } else { Classes::default() };
        self.set_only(missing).or_else(|| self.set_only(usual.plus(missing)))
    }

    /// Whether (almost) all orders other than `unset` are frauds.
    fn set_only(&self, unset: Classes) -> Option<LeakReason> {
        let all = self.all();
        let set = all.minus(unset);
        let honest_expected = set.n() as f64 * all.honest as f64 / all.n() as f64;
        let only_frauds = set.fraud >= MIN_PER_CLASS
            && set.fraud as f64 >= SET_ONLY_PRECISION * set.n() as f64
            && honest_expected >= MIN_HONEST_EXPECTED
            && unset.n() > 0;
        let (n_set, n_fraud_set) = (set.n(), set.fraud);
        only_frauds.then_some(LeakReason::SetOnlyForFrauds { n_set, n_fraud_set, n_fraud: all.fraud })
    }

    /// The selection with the higher of the lower of precision and recall.
    fn better(&self, best: Classes, other: Classes) -> Classes {
        let quality = |chosen: Classes| {
            if chosen.n() == 0 { 0.0 } else { chosen.fraud as f64 / chosen.n().max(self.n_fraud) as f64 }
        };
        if quality(best) >= quality(other) { best } else { other }
    }

    fn separated(&self, chosen: Classes) -> Option<LeakReason> {
        if chosen.n() == 0 || !self.all().prove_something() {
            return None;
        }
        let precision = chosen.fraud as f64 / chosen.n() as f64;
        let recall = chosen.fraud as f64 / self.n_fraud as f64;
        // Where nearly all orders are frauds, any large part of them has that precision.
        let spares_honest = chosen.honest as f64 <= (1.0 - LEAK_PRECISION_RECALL) * self.all().honest as f64;
        (precision >= LEAK_PRECISION_RECALL && recall >= LEAK_PRECISION_RECALL && spares_honest)
            .then_some(LeakReason::SeparatesByValue { precision, recall, n_fraud: self.n_fraud })
    }

    /// `present` is sorted by (value, time).
    fn running_number(&self, present: &[Cell], n_distinct: usize) -> Option<LeakReason> {
        if self.times.is_none() || present.len() < MIN_ROWS_OF_ORDER || n_distinct < MIN_RUNNING_VALUES {
            return None;
        }
        // Some hundred pairs tell nearly every honest column apart before anything is counted in full.
        let stride = present.len() / 64;
        let sample: Vec<Cell> = present.iter().step_by(stride.max(1)).copied().collect();
        if gamma(&sample)?.abs() < 0.9 {
            return None;
        }
        let gamma = gamma(present)?;
        (gamma.abs() >= RUNNING_GAMMA).then_some(LeakReason::RunningNumber { gamma, n_distinct: n_distinct as u64 })
    }
}

/// Area under the ROC curve of groups of equal score in rising order, ties count half.
fn auc(groups: &[Classes], all: Classes) -> f64 {
    let mut honest_below = 0_u64;
    let mut twice_wins = 0_u128;
    for group in groups {
        twice_wins += u128::from(group.fraud) * (2 * u128::from(honest_below) + u128::from(group.honest));
        honest_below += group.honest;
    }
    twice_wins as f64 / (2 * u128::from(all.fraud) * u128::from(all.honest)) as f64
}

/// Pairs in the same order of value and time less pairs in the opposite one, divided by both; pairs with equal values
/// or equal times do not count (Goodman and Kruskal 1954). `None` where no pair counts. `sorted` is sorted by
/// (value, time).
fn gamma(sorted: &[Cell]) -> Option<f64> {
    let pairs = |n: usize| (n as u128) * (n as u128).saturating_sub(1) / 2;
    let equal_values: u128 = sorted.chunk_by(|a, b| a.value() == b.value()).map(|same| pairs(same.len())).sum();
    let equal_both: u128 =
        sorted.chunk_by(|a, b| a.value() == b.value() && a.time() == b.time()).map(|same| pairs(same.len())).sum();
    let mut times: Vec<i64> = sorted.iter().map(|cell| cell.time()).collect();
    let mut scratch = times.clone();
    // With values rising and times rising inside equal values, exactly the opposite pairs are inversions of time.
    let opposite = count_inversions(&mut times, &mut scratch);
    let equal_times: u128 = times.chunk_by(|a, b| a == b).map(|same| pairs(same.len())).sum();
    let counted = pairs(sorted.len()) + equal_both - equal_values - equal_times;
    (counted > 0).then(|| 1.0 - 2.0 * opposite as f64 / counted as f64)
}

/// Sorts `values` and counts the pairs that stood in the wrong order (merge sort).
fn count_inversions(values: &mut [i64], scratch: &mut [i64]) -> u128 {
    let n = values.len();
    if n < 2 {
        return 0;
    }
    let (left, right) = values.split_at_mut(n / 2);
    let mut count = count_inversions(left, scratch) + count_inversions(right, scratch);
    let (mut i, mut j) = (0, 0);
    for slot in &mut scratch[..n] {
        if j == right.len() || (i < left.len() && left[i] <= right[j]) {
            *slot = left[i];
            i += 1;
        } else {
            *slot = right[j];
            count += (left.len() - i) as u128;
            j += 1;
        }
    }
    values.copy_from_slice(&scratch[..n]);
    count
}

/// Whole numbers of which (almost) none comes twice, where quantities would repeat or would not all be equally long.
fn identifier(sorted: &[Cell], n_distinct: usize) -> Option<LeakReason> {
    let n = sorted.len();
    if n < MIN_ROWS_OF_ORDER
        || (n_distinct as f64) < 0.999 * n as f64
        || sorted.iter().any(|cell| cell.value().fract() != 0.0)
    {
        return None;
    }
    let (low, high) = (sorted[0].value(), sorted[n - 1].value());
    // Drawn at random from their range, so many numbers would repeat about n^2 / 2 range times. Ten expected repeats
    // where (almost) none is found do not happen by chance.
    let expected_repeats = (n as f64) * (n as f64) / (2.0 * (high - low + 1.0));
    let repeats = (n - n_distinct) as f64;
    let avoids_repeats = expected_repeats >= 10.0 && repeats < 0.1 * expected_repeats;
    // Numbers of one length of seven digits or more are codes: quantities spread over lengths.
    let digits = |value: f64| value.abs().log10().floor();
    let one_length = low >= 1e6 && digits(low) == digits(high);
    (avoids_repeats || one_length)
        .then_some(LeakReason::Identifier { n_distinct: n_distinct as u64, n_present: n as u64 })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn cells_give_back_what_they_hold_and_sort_as_it_does(
            values in prop::collection::vec((prop::num::f64::ANY, -3_000_000_000_000_i64..9_000_000_000_000, any::<bool>()), 2),
        ) {
            let cells: Vec<Cell> = values.iter().map(|&(value, time, fraud)| Cell::new(value, time, fraud)).collect();
            for (cell, &(value, time, fraud)) in cells.iter().zip(&values) {
                prop_assert_eq!((cell.value().to_bits(), cell.time(), cell.is_fraud()), (value.to_bits(), time, fraud));
            }
            let (a, b) = (values[0], values[1]);
            prop_assert_eq!(cells[0].cmp(&cells[1]), a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
        }
    }
}
