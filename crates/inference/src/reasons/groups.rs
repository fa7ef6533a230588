//! Which features say the same thing, and in which unit.

use orderguard_features::language::feature::{Aggregate, Feature, History, ValueOf};
use orderguard_features::language::resolve;
use orderguard_features::schema::{Role, Schema};

/// What the numbers of a feature are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Count,
    Number,
    Money,
    /// 0 to 1.
    Share,
    Seconds,
    Kilometres,
    /// Kilometres an hour.
    Speed,
    /// 1 for yes, 0 for no.
    Flag,
    /// A code of the vocabulary.
    Level,
    Weekday,
}

/// Whether -1 means "seen for the first time": of what history and the network say, yes-or-no features aside. The number of a
/// column may be -1 too.
pub(crate) fn may_be_first_seen(feature: &Feature) -> bool {
    match feature {
        Feature::History(history) => history.aggregate != Aggregate::IsNew,
        Feature::Network(_) => true,
        _ => false,
    }
}

/// The unit of a feature's values.
pub(super) fn unit(feature: &Feature) -> Unit {
    let of = |value: &ValueOf| match value {
        ValueOf::Amount => Unit::Money,
        ValueOf::Age => Unit::Seconds,
        ValueOf::Number(_) => Unit::Number,
    };
    match feature {
        Feature::Amount => Unit::Money,
        Feature::Category(_) => Unit::Level,
        Feature::Weekday => Unit::Weekday,
        Feature::Night | Feature::Weekend | Feature::Mismatch(..) => Unit::Flag,
        Feature::Since(_) => Unit::Seconds,
        Feature::Text { function, .. } => {
            use orderguard_features::language::feature::TextFunction as F;
            match function {
                F::Valid | F::Free | F::Disposable | F::Private | F::V6 | F::Bot | F::Mobile => Unit::Flag,
                F::DigitShare => Unit::Share,
                F::Length | F::LongestRun => Unit::Count,
                F::Entropy => Unit::Number,
            }
        }
        Feature::Similarity(..) => Unit::Share,
        Feature::Km(..) => Unit::Kilometres,
        Feature::Hour | Feature::Number(_) => Unit::Number,
        Feature::Network(_) => Unit::Count,
        Feature::History(History { window, aggregate, .. }) if window.versus.is_some() => match aggregate {
            // The shorter window lies within the longer one.
            Aggregate::Count(_) | Aggregate::Sum(_) => Unit::Share,
            _ => Unit::Number,
        },
        Feature::History(History { aggregate, .. }) => match aggregate {
            Aggregate::Count(_) | Aggregate::Distinct(..) | Aggregate::FraudCount | Aggregate::OrdersSinceFraud => {
                Unit::Count
            }
            Aggregate::Sum(value)
            | Aggregate::Mean(value)
            | Aggregate::Deviation(value)
            | Aggregate::Min(value)
            | Aggregate::Max(value)
            | Aggregate::DecayedSum(value) => of(&value.what),
            Aggregate::Share(_) | Aggregate::FraudRate { .. } => Unit::Share,
            Aggregate::SinceFirst(_) | Aggregate::SinceLast(_) => Unit::Seconds,
            Aggregate::IsNew => Unit::Flag,
            Aggregate::Speed(_) => Unit::Speed,
            Aggregate::ZScore(_)
            | Aggregate::Ratio(_)
            | Aggregate::Rate { .. }
            | Aggregate::DecayedCount(_)
            | Aggregate::GapVariation(_) => Unit::Number,
        },
    }
}

/// The name of the reason to which a feature belongs.
pub(super) fn group(schema: &Schema, feature: &Feature) -> String {
    match feature {
        Feature::Amount => "order amount".into(),
        Feature::Number(name) => format!("number {name}"),
        Feature::Category(place) => format!("category {place}"),
        Feature::Hour | Feature::Weekday | Feature::Night | Feature::Weekend => "time of the order".into(),
        Feature::Since(name) => format!("time since {name}"),
        Feature::Text { column, .. } | Feature::Similarity(column, _) => {
            let found = resolve::column(schema, column).map(|at| schema.columns[at].role);
            match found {
                Ok(Role::Ip) => "network address".into(),
                Ok(Role::UserAgent) => "browser".into(),
                _ => format!("text of {column}"),
            }
        }
        Feature::Mismatch(..) | Feature::Km(..) => "places that do not agree".into(),
        Feature::Network(_) => "linked accounts".into(),
        Feature::History(history) => {
            let entity = history.entity.iter().map(ToString::to_string).collect::<Vec<_>>().join(" + ");
            let what = match &history.aggregate {
                Aggregate::Count(kind)
                | Aggregate::DecayedCount(kind)
                | Aggregate::SinceFirst(kind)
                | Aggregate::SinceLast(kind)
                | Aggregate::GapVariation(kind)
                | Aggregate::Share(kind)
                | Aggregate::Rate { of: kind, .. } => format!("{kind} activity"),
                Aggregate::IsNew => "order activity".into(),
                Aggregate::FraudCount | Aggregate::OrdersSinceFraud | Aggregate::FraudRate { .. } => {
                    "known frauds".into()
                }
                Aggregate::Distinct(part, _) => format!("different {part}"),
                Aggregate::Speed(_) => "speed".into(),
                Aggregate::Sum(value)
                | Aggregate::Mean(value)
                | Aggregate::Deviation(value)
                | Aggregate::Min(value)
                | Aggregate::Max(value)
                | Aggregate::ZScore(value)
                | Aggregate::Ratio(value)
                | Aggregate::DecayedSum(value) => format!("{} of {}s", value.what, value.kind),
            };
            format!("{entity}: {what}")
        }
    }
}
