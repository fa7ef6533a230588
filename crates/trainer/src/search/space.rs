//! What a search may vary: every dimension maps the unit interval to the values of one parameter.

use std::fmt;

use crate::booster::EASY_ROWS_FROM;
use crate::params::GbtParams;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Most leaves of a tree that are tried.
pub(crate) const MOST_LEAVES: usize = 64;
/// Half of the unit interval means that old samples weigh as much as new ones.
const NEVER: f64 = 0.5;

/// A parameter that a search may vary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// [`GbtParams::learning_rate`], 0.03 to 0.2, evenly in its logarithm.
    LearningRate,
    /// [`GbtParams::max_leaves`], 4 to 64, evenly in its logarithm.
    MaxLeaves,
    /// [`GbtParams::min_rows_per_leaf`], 5 to 200, evenly in its logarithm.
    MinRowsPerLeaf,
    /// [`GbtParams::min_child_weight`], 0.1 to 20, evenly in its logarithm.
    MinChildWeight,
    /// [`GbtParams::l2`], 0.3 to 100, evenly in its logarithm.
    L2,
    /// [`GbtParams::leaf_smoothing`], 0.3 to 100, evenly in its logarithm.
    LeafSmoothing,
    /// [`GbtParams::max_leaf_value`], 0.3 to 10, evenly in its logarithm.
    MaxLeafValue,
    /// [`GbtParams::feature_fraction`], 0.2 to 1.
    FeatureFraction,
    /// [`GbtParams::row_fraction`], 0.4 to 1.
    RowFraction,
    /// [`GbtParams::max_bins`], 63 or 255.
    MaxBins,
    /// [`GbtParams::easy_row_limit`], 0 to 0.3; left alone where no fold has so many rows that it is looked at.
    EasyRowLimit,
    /// Half-life of the samples' weights ([`crate::weights::by_age`]): never, or from an eighth of the time that the samples
    /// span to twice that, evenly in its logarithm. Left alone where there are no times.
    HalfLife,
}

enum Values {
    /// From, to; evenly in the logarithm.
    Log(f64, f64),
    /// As `Log`, in whole numbers.
    LogWhole(f64, f64),
    Even(f64, f64),
    OneOf(&'static [usize]),
    HalfLives,
}

impl Dimension {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::LearningRate,
        Self::MaxLeaves,
        Self::MinRowsPerLeaf,
        Self::MinChildWeight,
        Self::L2,
        Self::LeafSmoothing,
        Self::MaxLeafValue,
        Self::FeatureFraction,
        Self::RowFraction,
        Self::MaxBins,
        Self::EasyRowLimit,
        Self::HalfLife,
    ];

    /// The name of the field of [`GbtParams`], or `half_life`.
    pub fn name(self) -> &'static str {
        match self {
            Self::LearningRate => "learning_rate",
            Self::MaxLeaves => "max_leaves",
            Self::MinRowsPerLeaf => "min_rows_per_leaf",
            Self::MinChildWeight => "min_child_weight",
            Self::L2 => "l2",
            Self::LeafSmoothing => "leaf_smoothing",
            Self::MaxLeafValue => "max_leaf_value",
            Self::FeatureFraction => "feature_fraction",
            Self::RowFraction => "row_fraction",
            Self::MaxBins => "max_bins",
            Self::EasyRowLimit => "easy_row_limit",
            Self::HalfLife => "half_life",
        }
    }

    fn values(self) -> Values {
        match self {
            Self::LearningRate => Values::Log(0.03, 0.2),
            Self::MaxLeaves => Values::LogWhole(4.0, MOST_LEAVES as f64),
            Self::MinRowsPerLeaf => Values::LogWhole(5.0, 200.0),
            Self::MinChildWeight => Values::Log(0.1, 20.0),
            Self::L2 | Self::LeafSmoothing => Values::Log(0.3, 100.0),
            Self::MaxLeafValue => Values::Log(0.3, 10.0),
            Self::FeatureFraction => Values::Even(0.2, 1.0),
            Self::RowFraction => Values::Even(0.4, 1.0),
            Self::MaxBins => Values::OneOf(&[63, 255]),
            Self::EasyRowLimit => Values::Even(0.0, 0.3),
            Self::HalfLife => Values::HalfLives,
        }
    }
}

/// What one trial fits with.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// The parameters of the trees.
    pub params: GbtParams,
    /// Half-life of the samples' weights in the unit of their times; none: they keep the weights that they have.
    pub half_life: Option<i64>,
}

/// The dimensions of one search, around the setting that it begins with.
#[derive(Clone, Debug)]
pub(super) struct Space {
    base: Setting,
    dimensions: Vec<Dimension>,
    /// From the first to the last time of the samples.
    span: i64,
}

impl Space {
    /// Without the dimensions that say nothing here. `span` is 0 without times.
    pub(super) fn new(params: &GbtParams, searched: &[Dimension], n_train: usize, span: i64) -> Self {
        let counts = |dimension: &Dimension| match dimension {
            Dimension::EasyRowLimit => n_train > EASY_ROWS_FROM,
            Dimension::HalfLife => span >= 16,
            _ => true,
        };
        let dimensions = Dimension::ALL.into_iter().filter(|d| searched.contains(d)).filter(counts).collect();
        Self { base: Setting { params: params.clone(), half_life: None }, dimensions, span }
    }

    pub(super) fn dimensions(&self) -> &[Dimension] {
        &self.dimensions
    }

    pub(super) fn base(&self) -> &Setting {
        &self.base
    }

    /// Where the base stands; values outside a dimension's range stand at its end.
    pub(super) fn base_point(&self) -> Vec<f64> {
        let p = &self.base.params;
        let at = |&dimension: &Dimension| {
            let value = match dimension {
                Dimension::LearningRate => p.learning_rate,
                Dimension::MaxLeaves => p.max_leaves as f64,
                Dimension::MinRowsPerLeaf => p.min_rows_per_leaf as f64,
                Dimension::MinChildWeight => p.min_child_weight,
                Dimension::L2 => p.l2,
                Dimension::LeafSmoothing => p.leaf_smoothing,
                Dimension::MaxLeafValue => p.max_leaf_value,
                Dimension::FeatureFraction => p.feature_fraction,
                Dimension::RowFraction => p.row_fraction,
                Dimension::MaxBins => p.max_bins as f64,
                Dimension::EasyRowLimit => p.easy_row_limit,
                Dimension::HalfLife => 0.0,
            };
            let share = match dimension.values() {
                Values::Log(from, to) | Values::LogWhole(from, to) => {
                    libm::log(value.max(f64::MIN_POSITIVE) / from) / libm::log(to / from)
                }
                Values::Even(from, to) => (value - from) / (to - from),
                Values::OneOf(values) => {
                    let place = values.iter().position(|&known| known as f64 >= value).unwrap_or(values.len() - 1);
                    (place as f64 + 0.5) / values.len() as f64
                }
                Values::HalfLives => NEVER / 2.0,
            };
            share.clamp(0.0, 1.0)
        };
        self.dimensions.iter().map(at).collect()
    }

    /// The setting at a point of the unit cube, its numbers rounded to three digits, so that people can read them and files
    /// give them back.
    pub(super) fn setting(&self, point: &[f64]) -> Setting {
        let mut setting = self.base.clone();
        for (&dimension, &share) in self.dimensions.iter().zip(point) {
            self.set(&mut setting, dimension, share);
        }
        setting
    }

    fn set(&self, setting: &mut Setting, dimension: Dimension, share: f64) {
        let on_log = |from: f64, to: f64| from * libm::exp(share * libm::log(to / from));
        let (mut value, mut whole) = (0.0, 0);
        match dimension.values() {
            Values::Log(from, to) => value = rounded(on_log(from, to)),
            Values::LogWhole(from, to) => whole = on_log(from, to).round() as usize,
            Values::Even(from, to) => value = rounded(from + share * (to - from)),
            Values::OneOf(values) => whole = values[((share * values.len() as f64) as usize).min(values.len() - 1)],
            Values::HalfLives => {
                setting.half_life = (share >= NEVER).then(|| {
                    let span = self.span as f64;
                    let place = (share - NEVER) / (1.0 - NEVER);
                    whole_span((2.0 * span * libm::exp(-place * libm::log(16.0))) as i64)
                });
            }
        }
        let p = &mut setting.params;
        match dimension {
            Dimension::LearningRate => p.learning_rate = value,
            Dimension::MaxLeaves => p.max_leaves = whole,
            Dimension::MinRowsPerLeaf => p.min_rows_per_leaf = whole,
            Dimension::MinChildWeight => p.min_child_weight = value,
            Dimension::L2 => p.l2 = value,
            Dimension::LeafSmoothing => p.leaf_smoothing = value,
            Dimension::MaxLeafValue => p.max_leaf_value = value,
            Dimension::FeatureFraction => p.feature_fraction = value,
            Dimension::RowFraction => p.row_fraction = value,
            Dimension::MaxBins => p.max_bins = whole,
            Dimension::EasyRowLimit => p.easy_row_limit = value,
            Dimension::HalfLife => {}
        }
    }
}

/// The value of a dimension in a setting, as text; `never` for a half-life that there is not.
pub fn value_text(setting: &Setting, dimension: Dimension) -> String {
    let p = &setting.params;
    let number: &dyn fmt::Display = match dimension {
        Dimension::LearningRate => &p.learning_rate,
        Dimension::MaxLeaves => &p.max_leaves,
        Dimension::MinRowsPerLeaf => &p.min_rows_per_leaf,
        Dimension::MinChildWeight => &p.min_child_weight,
        Dimension::L2 => &p.l2,
        Dimension::LeafSmoothing => &p.leaf_smoothing,
        Dimension::MaxLeafValue => &p.max_leaf_value,
        Dimension::FeatureFraction => &p.feature_fraction,
        Dimension::RowFraction => &p.row_fraction,
        Dimension::MaxBins => &p.max_bins,
        Dimension::EasyRowLimit => &p.easy_row_limit,
        Dimension::HalfLife => {
            return setting.half_life.map_or_else(|| "never".to_owned(), |half_life| half_life.to_string());
        }
    };
    number.to_string()
}

/// Three significant digits.
fn rounded(value: f64) -> f64 {
    format!("{value:.2e}").parse().expect("what a number was written as reads back")
}

/// Whole days or hours, where that changes a tenth at most.
fn whole_span(ms: i64) -> i64 {
    let unit = [DAY_MS, HOUR_MS].into_iter().find(|unit| ms >= 10 * unit).unwrap_or(1);
    (ms / unit * unit).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn space(span: i64) -> Space {
        Space::new(&GbtParams::default(), &Dimension::ALL, 200_000, span)
    }

    #[test]
    fn the_base_stands_where_it_is_read_back() {
        let space = space(100 * DAY_MS);
        assert_eq!(space.dimensions(), Dimension::ALL);
        assert_eq!(&space.setting(&space.base_point()), space.base());
    }

    #[test]
    fn dimensions_that_say_nothing_are_left_out() {
        let few = Space::new(&GbtParams::default(), &Dimension::ALL, 1_000, 0);
        assert!(few.dimensions().iter().all(|d| !matches!(d, Dimension::EasyRowLimit | Dimension::HalfLife)));
        assert_eq!(few.dimensions().len(), 10);
        let one = Space::new(&GbtParams::default(), &[Dimension::L2], 1_000, DAY_MS);
        let setting = one.setting(&[1.0]);
        assert_eq!(setting.params, GbtParams { l2: 100.0, ..GbtParams::default() });
    }

    #[test]
    fn ends_of_the_ranges() {
        let space = space(80 * DAY_MS);
        let n = space.dimensions().len();
        let (low, high) = (space.setting(&vec![0.0; n]), space.setting(&vec![1.0; n]));
        assert_eq!((low.params.learning_rate, high.params.learning_rate), (0.03, 0.2));
        assert_eq!((low.params.max_leaves, high.params.max_leaves), (4, 64));
        assert_eq!((low.params.max_bins, high.params.max_bins), (63, 255));
        assert_eq!((low.params.feature_fraction, high.params.feature_fraction), (0.2, 1.0));
        assert_eq!((low.half_life, high.half_life), (None, Some(10 * DAY_MS)));
        assert_eq!(value_text(&low, Dimension::HalfLife), "never");
        assert_eq!(value_text(&high, Dimension::MaxLeaves), "64");
    }

    proptest! {
        #[test]
        fn every_point_is_a_setting_that_passes(point in prop::collection::vec(0.0_f64..=1.0, 12)) {
            let setting = space(300 * DAY_MS).setting(&point);
            prop_assert!(setting.params.clone().check().is_ok());
            prop_assert!(setting.half_life.is_none_or(|half_life| (37..=600).contains(&(half_life / DAY_MS)) && half_life % DAY_MS == 0));
            let text = value_text(&setting, Dimension::L2);
            prop_assert_eq!(text.parse::<f64>(), Ok(setting.params.l2));
        }
    }
}
