//! How the model learns: options of `train`, all of which may also stand in a file of parameters under the same names.

use std::fmt;

use clap::ValueEnum;
use orderguard_features::time::Span;

use super::{ModelKind, parse_share};

const LEARNER: &str = "Learning";
const TREES: &str = "Trees: how many, how large";
const CAUTION: &str = "Trees: how much evidence a leaf needs";
const SAMPLING: &str = "Trees: what each one sees";
const CONSTRAINTS: &str = "Trees: what they may not do";
const WEIGHTS: &str = "Which orders count more";
const STOPPING: &str = "When to stop";
const LINEAR: &str = "Logistic regression and scorecard";

/// Every option is absent where nobody gave it, so that a file of parameters can stand behind the command line.
#[derive(clap::Args, Clone, Debug, Default, PartialEq)]
pub(crate) struct LearningArgs {
    /// What is fitted: boosted trees, logistic regression, or a scorecard; also --learner [default: gbt].
    #[arg(long, alias = "learner", value_enum, help_heading = LEARNER)]
    pub(crate) model: Option<ModelKind>,
    /// Seed of everything drawn at random [default: 1].
    #[arg(long, value_name = "N", help_heading = LEARNER)]
    pub(crate) seed: Option<u64>,

    /// Most trees; early stopping usually keeps fewer [default: 1000].
    #[arg(long, value_name = "N", help_heading = TREES)]
    pub(crate) trees: Option<usize>,
    /// Share of each leaf's value that is taken. More needs fewer trees and generalises a little worse [default: 0.05].
    #[arg(long, value_name = "RATE", help_heading = TREES)]
    pub(crate) learning_rate: Option<f64>,
    /// What the learning rate is multiplied by after each tree, down to a tenth of where it began. Less takes smaller steps
    /// as the fit goes on [default: 1].
    #[arg(long, value_name = "FACTOR", help_heading = TREES)]
    pub(crate) rate_decay: Option<f64>,
    /// Most leaves of a tree. More lets a tree combine more features [default: 31].
    #[arg(long, value_name = "N", help_heading = TREES)]
    pub(crate) leaves: Option<usize>,
    /// Most splits between the root and a leaf. Less forbids long chains that isolate a few orders [default: 255, only the
    /// leaves limit].
    #[arg(long, value_name = "N", help_heading = TREES)]
    pub(crate) depth: Option<usize>,
    /// Which leaf is split next [default: best-first].
    #[arg(long, value_enum, help_heading = TREES)]
    pub(crate) growth: Option<GrowthArg>,
    /// Most bins that a feature's values are sorted into, 3 to 255. Less is coarser and a little faster [default: 255].
    #[arg(long, value_name = "N", help_heading = TREES)]
    pub(crate) max_bins: Option<usize>,

    /// Fewest orders in a leaf. More smooths [default: one in 500 training orders, 20 to 40].
    #[arg(long, value_name = "N", help_heading = CAUTION)]
    pub(crate) min_rows_per_leaf: Option<usize>,
    /// Least certainty that a leaf's orders must leave open together: each adds p (1 - p). More stops splits among orders that
    /// are clear already [default: 1].
    #[arg(long, value_name = "WEIGHT", help_heading = CAUTION)]
    pub(crate) min_leaf_weight: Option<f64>,
    /// Least gain of a split. More prunes [default: 0].
    #[arg(long, value_name = "GAIN", help_heading = CAUTION)]
    pub(crate) min_gain: Option<f64>,
    /// Penalty on the size of leaf values. More sets weak leaves to zero [default: 0].
    #[arg(long, value_name = "PENALTY", help_heading = CAUTION)]
    pub(crate) l1: Option<f64>,
    /// Penalty on the square of leaf values. More shrinks leaves of little weight [default: 10].
    #[arg(long, value_name = "PENALTY", help_heading = CAUTION)]
    pub(crate) l2: Option<f64>,
    /// Largest leaf value before the learning rate, in log-odds. More lets a pure leaf move a score further [default: 1].
    #[arg(long, value_name = "VALUE", help_heading = CAUTION)]
    pub(crate) max_leaf_value: Option<f64>,
    /// How strongly a leaf is drawn to the node above it, as if that had been seen with so much more weight [default: 10].
    #[arg(long, value_name = "WEIGHT", help_heading = CAUTION)]
    pub(crate) leaf_smoothing: Option<f64>,
    /// Weight added to a category's level before levels are ordered by risk. More moves rare levels to the middle
    /// [default: 10].
    #[arg(long, value_name = "WEIGHT", help_heading = CAUTION)]
    pub(crate) category_smoothing: Option<f64>,
    /// Penalty added to --l2 where a split sorts many levels of a category [default: 10].
    #[arg(long, value_name = "PENALTY", help_heading = CAUTION)]
    pub(crate) category_l2: Option<f64>,
    /// Fewest orders that a level of a category must add to a split [default: 100].
    #[arg(long, value_name = "N", help_heading = CAUTION)]
    pub(crate) min_rows_per_level: Option<usize>,

    /// Share of the orders that each tree sees, such as 0.8 or 80%. Less is faster and makes trees more different
    /// [default: 1].
    #[arg(long, value_name = "SHARE", value_parser = parse_share, help_heading = SAMPLING)]
    pub(crate) row_fraction: Option<f64>,
    /// Share of the features that each tree may use [default: 0.8].
    #[arg(long, value_name = "SHARE", value_parser = parse_share, help_heading = SAMPLING)]
    pub(crate) feature_fraction: Option<f64>,
    /// Share of the honest orders that trees learn from at all; all frauds are. Less saves time and memory. Probabilities stay
    /// those of the shop's real mix: the correction is part of the model [default: 1].
    #[arg(long, value_name = "SHARE", value_parser = parse_share, help_heading = SAMPLING)]
    pub(crate) negative_rate: Option<f64>,
    /// Orders whose error is smaller than this are drawn, and count for as many as they stand for: nearly all honest orders
    /// are soon that easy. More is faster and noisier, 0 uses all orders [default: 0.1].
    #[arg(long, value_name = "ERROR", help_heading = SAMPLING)]
    pub(crate) easy_row_limit: Option<f64>,
    /// Fit so many models, each with a seed of its own, and take the mean of their scores. More is steadier, and slower in
    /// fitting and scoring alike [default: 1].
    #[arg(long, value_name = "N", help_heading = SAMPLING)]
    pub(crate) bag: Option<usize>,

    /// A numeric feature on which the score may only rise, such as `amount`. May be repeated.
    #[arg(long, value_name = "FEATURE", help_heading = CONSTRAINTS)]
    pub(crate) rising: Vec<String>,
    /// A numeric feature on which the score may only fall. May be repeated.
    #[arg(long, value_name = "FEATURE", help_heading = CONSTRAINTS)]
    pub(crate) falling: Vec<String>,
    /// Features that may meet in one branch, separated by semicolons; may be repeated. Where any group is given, a feature in
    /// none meets no other.
    #[arg(long, value_name = "FEATURE;FEATURE", help_heading = CONSTRAINTS)]
    pub(crate) together: Vec<String>,

    /// Let orders weigh by their amount, by what a wrong decision about them costs (--cost-missed, --cost-stopped), or by a
    /// column of weights: amount, cost or column=NAME. Probabilities stay those of the orders as they are.
    #[arg(long, value_name = "WHAT", value_parser = WeighBy::parse, help_heading = WEIGHTS)]
    pub(crate) weigh_by: Option<WeighBy>,
    /// With --weigh-by amount: an order weighs at most this many times the mean [default: 100].
    #[arg(long, value_name = "TIMES", help_heading = WEIGHTS)]
    pub(crate) amount_cap: Option<f64>,
    /// How many times more a fraud weighs than an honest order. Probabilities stay those of the shop's real mix [default: 1].
    #[arg(long, value_name = "TIMES", help_heading = WEIGHTS)]
    pub(crate) fraud_weight: Option<f64>,
    /// Age at which an order weighs half as much as a new one, such as 90d, so that old habits fade [default: never].
    #[arg(long, value_name = "SPAN", value_parser = Span::parse, help_heading = WEIGHTS)]
    pub(crate) half_life: Option<Span>,
    /// What a missed fraud costs: a number, a numeric column, NUMBER*COLUMN, or a sum such as 15+0.8*amount.
    #[arg(long, value_name = "COST", value_parser = Cost::parse, help_heading = WEIGHTS)]
    pub(crate) cost_missed: Option<Cost>,
    /// What stopping an honest order costs, written in the same way.
    #[arg(long, value_name = "COST", value_parser = Cost::parse, help_heading = WEIGHTS)]
    pub(crate) cost_stopped: Option<Cost>,

    /// What the number of trees is chosen by, on orders later than those learned from: average-precision, recall@0.5% (at that
    /// rate of false alarms), precision@100 (of so many orders a day, days of UTC), or money (saved, by --cost-missed and
    /// --cost-stopped) [default: average-precision].
    #[arg(long, value_name = "MEASURE", value_parser = StopOn::parse, help_heading = STOPPING)]
    pub(crate) stop_on: Option<StopOn>,
    /// Trees without a better measure after which fitting stops; 0 never stops early [default: 50].
    #[arg(long, value_name = "N", help_heading = STOPPING)]
    pub(crate) patience: Option<usize>,
    /// Trees over which the measure is averaged before it is compared. More trusts single jumps less [default: 5].
    #[arg(long, value_name = "N", help_heading = STOPPING)]
    pub(crate) metric_window: Option<usize>,

    /// Logistic regression: share of the penalty that sets weights to exactly 0, from 0 to 1 [default: 0].
    #[arg(long, value_name = "SHARE", value_parser = parse_share, help_heading = LINEAR)]
    pub(crate) l1_ratio: Option<f64>,
    /// Scorecard: most features; fewer are easier to read [default: 20].
    #[arg(long, value_name = "N", help_heading = LINEAR)]
    pub(crate) characteristics: Option<usize>,
    /// Scorecard: points of an order at the base odds [default: 500].
    #[arg(long, value_name = "POINTS", help_heading = LINEAR)]
    pub(crate) base_score: Option<f64>,
    /// Scorecard: honest orders to one fraud at the base score [default: 50].
    #[arg(long, value_name = "ODDS", help_heading = LINEAR)]
    pub(crate) base_odds: Option<f64>,
    /// Scorecard: points that double the odds of fraud [default: 20].
    #[arg(long, value_name = "POINTS", help_heading = LINEAR)]
    pub(crate) points_to_double: Option<f64>,
}

/// The options, each once: what is done with all of them is written with this list, and the compiler sees that none lacks.
macro_rules! each_option {
    ($do:ident) => {
        $do!(
            model,
            seed,
            trees,
            learning_rate,
            rate_decay,
            leaves,
            depth,
            growth,
            max_bins,
            min_rows_per_leaf,
            min_leaf_weight,
            min_gain,
            l1,
            l2,
            max_leaf_value,
            leaf_smoothing,
            category_smoothing,
            category_l2,
            min_rows_per_level,
            row_fraction,
            feature_fraction,
            negative_rate,
            easy_row_limit,
            bag,
            rising,
            falling,
            together,
            weigh_by,
            amount_cap,
            fraud_weight,
            half_life,
            cost_missed,
            cost_stopped,
            stop_on,
            patience,
            metric_window,
            l1_ratio,
            characteristics,
            base_score,
            base_odds,
            points_to_double
        )
    };
}

impl LearningArgs {
    /// These options, and where one was not given, what `behind` says.
    pub(crate) fn or(self, behind: Self) -> Self {
        macro_rules! merge {
            ($($name:ident),*) => { Self { $($name: Slot::or(self.$name, behind.$name)),* } };
        }
        each_option!(merge)
    }

    /// The options that are given: name, and value as in a TOML file.
    pub(crate) fn given(&self) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        macro_rules! list {
            ($($name:ident),*) => { $(
                if let Some(text) = self.$name.to_toml() {
                    pairs.push((stringify!($name).replace('_', "-"), text));
                }
            )* };
        }
        each_option!(list);
        pairs
    }
}

/// An option that may be absent.
trait Slot {
    fn or(self, behind: Self) -> Self;
    fn to_toml(&self) -> Option<String>;
}

impl<T: Toml> Slot for Option<T> {
    fn or(self, behind: Self) -> Self {
        Self::or(self, behind)
    }

    fn to_toml(&self) -> Option<String> {
        self.as_ref().map(T::to_toml)
    }
}

impl Slot for Vec<String> {
    fn or(self, behind: Self) -> Self {
        if self.is_empty() { behind } else { self }
    }

    fn to_toml(&self) -> Option<String> {
        let texts: Vec<String> = self.iter().map(|text| quoted(text)).collect();
        (!texts.is_empty()).then(|| format!("[{}]", texts.join(", ")))
    }
}

/// A value in a TOML file.
trait Toml {
    fn to_toml(&self) -> String;
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

impl Toml for usize {
    fn to_toml(&self) -> String {
        self.to_string()
    }
}

impl Toml for u64 {
    fn to_toml(&self) -> String {
        // Numbers of TOML have a sign.
        if i64::try_from(*self).is_ok() { self.to_string() } else { quoted(&self.to_string()) }
    }
}

impl Toml for f64 {
    fn to_toml(&self) -> String {
        format!("{self:?}")
    }
}

impl Toml for Span {
    fn to_toml(&self) -> String {
        quoted(&self.to_string())
    }
}

impl Toml for ModelKind {
    fn to_toml(&self) -> String {
        value_name(self)
    }
}

impl Toml for GrowthArg {
    fn to_toml(&self) -> String {
        value_name(self)
    }
}

fn value_name(value: &impl ValueEnum) -> String {
    value.to_possible_value().map_or(String::new(), |value| quoted(value.get_name()))
}

impl Toml for WeighBy {
    fn to_toml(&self) -> String {
        quoted(&self.to_string())
    }
}

impl Toml for StopOn {
    fn to_toml(&self) -> String {
        quoted(&self.to_string())
    }
}

impl Toml for Cost {
    fn to_toml(&self) -> String {
        quoted(&self.0)
    }
}

/// The order in which leaves are split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum GrowthArg {
    /// Always the leaf whose split gains most.
    BestFirst,
    /// All leaves of one depth before those of the next.
    LevelByLevel,
}

/// What orders weigh by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WeighBy {
    Amount,
    Cost,
    Column(String),
}

impl WeighBy {
    fn parse(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            None if text == "amount" => Ok(Self::Amount),
            None if text == "cost" => Ok(Self::Cost),
            Some(("column", name)) if !name.is_empty() => Ok(Self::Column(name.to_owned())),
            _ => Err("expected amount, cost or column=NAME".into()),
        }
    }
}

impl fmt::Display for WeighBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Amount => f.write_str("amount"),
            Self::Cost => f.write_str("cost"),
            Self::Column(name) => write!(f, "column={name}"),
        }
    }
}

/// What the number of trees is chosen by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum StopOn {
    AveragePrecision,
    Recall(f64),
    Precision(usize),
    Money,
}

impl StopOn {
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || "expected average-precision, recall@0.5%, precision@100 or money".to_owned();
        match text.split_once('@') {
            None if text == "average-precision" => Ok(Self::AveragePrecision),
            None if text == "money" => Ok(Self::Money),
            Some(("recall", share)) => {
                let share = parse_share(share).map_err(|_| wrong())?;
                if share > 0.0 { Ok(Self::Recall(share)) } else { Err(wrong()) }
            }
            Some(("precision", k)) => k.parse().ok().filter(|&k| k > 0).map(Self::Precision).ok_or_else(wrong),
            _ => Err(wrong()),
        }
    }

    /// In the words of the progress bar.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::AveragePrecision => "average precision",
            Self::Recall(_) => "recall",
            Self::Precision(_) => "precision",
            Self::Money => "saved",
        }
    }
}

impl fmt::Display for StopOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AveragePrecision => f.write_str("average-precision"),
            Self::Recall(share) => write!(f, "recall@{share}"),
            Self::Precision(k) => write!(f, "precision@{k}"),
            Self::Money => f.write_str("money"),
        }
    }
}

/// What a decision costs, as it was written; the terms are [`Cost::terms`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cost(String);

/// A number, times a column's value where one is named.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CostTerm {
    pub(crate) factor: f64,
    pub(crate) column: Option<String>,
}

impl Cost {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let cost = Self(text.trim().to_owned());
        cost.checked_terms().map(|_| cost)
    }

    pub(crate) fn terms(&self) -> Vec<CostTerm> {
        self.checked_terms().expect("the text was parsed before")
    }

    fn checked_terms(&self) -> Result<Vec<CostTerm>, String> {
        let wrong = || "expected a number from 0 on, a column, NUMBER*COLUMN, or a sum of these".to_owned();
        let number = |text: &str| text.trim().parse::<f64>().ok().filter(|x| (0.0..f64::INFINITY).contains(x));
        let column = |text: &str| Some(text.trim().to_owned()).filter(|name| !name.is_empty());
        let term = |text: &str| match text.split_once('*') {
            Some((factor, name)) => Ok(CostTerm {
                factor: number(factor).ok_or_else(wrong)?,
                column: Some(column(name).ok_or_else(wrong)?),
            }),
            None => match text.trim().parse::<f64>() {
                Ok(_) => Ok(CostTerm { factor: number(text).ok_or_else(wrong)?, column: None }),
                Err(_) => Ok(CostTerm { factor: 1.0, column: Some(column(text).ok_or_else(wrong)?) }),
            },
        };
        self.0.split('+').map(term).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs() {
        let term = |factor, column: Option<&str>| CostTerm { factor, column: column.map(str::to_owned) };
        let terms = |text: &str| Cost::parse(text).map(|cost| cost.terms());
        assert_eq!(terms("15"), Ok(vec![term(15.0, None)]));
        assert_eq!(terms("loss"), Ok(vec![term(1.0, Some("loss"))]));
        assert_eq!(terms("15 + 0.8*amount"), Ok(vec![term(15.0, None), term(0.8, Some("amount"))]));
        for wrong in ["", "-1", "1+", "2*", "x*amount", "NaN", "inf", "-2*amount"] {
            assert!(Cost::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn measures_and_weights_read_back_as_written() {
        for text in ["average-precision", "recall@0.005", "precision@100", "money"] {
            assert_eq!(StopOn::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(StopOn::parse("recall@0.5%"), Ok(StopOn::Recall(0.005)));
        for wrong in ["", "ap", "recall@0", "recall@2", "precision@0", "precision@x", "money@1"] {
            assert!(StopOn::parse(wrong).is_err(), "{wrong}");
        }
        for text in ["amount", "cost", "column=my weight"] {
            assert_eq!(WeighBy::parse(text).unwrap().to_string(), text);
        }
        for wrong in ["", "weight", "column=", "amount=2"] {
            assert!(WeighBy::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_was_given_wins() {
        let front = LearningArgs { trees: Some(3), rising: vec!["a".into()], ..Default::default() };
        let behind = LearningArgs { trees: Some(9), l2: Some(0.5), rising: vec!["b".into()], ..Default::default() };
        let both = front.or(behind);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(both.given(), [pair("trees", "3"), pair("l2", "0.5"), pair("rising", "[\"a\"]")]);
    }
}
