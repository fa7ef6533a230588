//! A scorecard: the obvious way to add its points, the fast one, and the table that people read.

use std::fmt::Write;

use orderguard_features::language::feature::{Feature, is_first_seen};
use orderguard_features::language::spec::FeatureSpec;

use crate::model::{Characteristic, PointScale, ScoreBin, Scorecard};

/// Points of a row: `start`, and those of one bin per characteristic. O(bins).
///
/// `row` holds one value per feature, NaN = missing. A characteristic whose feature lies outside of the row counts as
/// missing; a loaded model has no such characteristic.
pub fn points(card: &Scorecard, row: &[f32]) -> i64 {
    let value = |of: &Characteristic| row.get(of.feature() as usize).copied().unwrap_or(f32::NAN);
    i64::from(card.start) + card.characteristics.iter().map(|of| i64::from(of.bin(value(of)).points)).sum::<i64>()
}

/// Raw score of a row (log-odds of fraud) by looking at bin after bin: the oracle of the compiled scorer.
pub fn raw_score_naive(card: &Scorecard, row: &[f32]) -> f64 {
    card.scale.raw_score(points(card, row))
}

impl PointScale {
    /// The raw score that so many points stand for.
    pub fn raw_score(&self, points: i64) -> f64 {
        (points as f64 - self.base_score) * (std::f64::consts::LN_2 / self.points_to_double) - libm::log(self.base_odds)
    }

    /// The points, not rounded, of an order with these log-odds of fraud.
    pub fn points(&self, log_odds: f64) -> f64 {
        self.base_score + (log_odds + libm::log(self.base_odds)) * (self.points_to_double / std::f64::consts::LN_2)
    }
}

impl Characteristic {
    /// The feature that it reads.
    pub fn feature(&self) -> u32 {
        match self {
            Self::Numeric { feature, .. } | Self::Categorical { feature, .. } => *feature,
        }
    }

    /// The bin of a value of the feature.
    pub fn bin(&self, x: f32) -> ScoreBin {
        match self {
            Self::Numeric { specials, upper, bins, missing, .. } => {
                if x.is_nan() {
                    return *missing;
                }
                if let Some((_, bin)) = specials.iter().find(|(value, _)| *value == x) {
                    return *bin;
                }
                let at = upper.iter().position(|&upper| x <= upper).unwrap_or(upper.len());
                bins.get(at).copied().unwrap_or_default()
            }
            Self::Categorical { groups, bins, missing, .. } => {
                if x.is_nan() {
                    return *missing;
                }
                let is_it = |code: &usize| *code as f32 == x;
                let known = (0..groups.len()).find(is_it).map(|code| groups[code]);
                let group = known.or(groups.last().copied()).unwrap_or(0);
                bins.get(group as usize).copied().unwrap_or_default()
            }
        }
    }

    /// All its bins: special ones first, then the others in order, the one of missing values last.
    pub fn bins(&self) -> impl Iterator<Item = &ScoreBin> {
        let (specials, bins, missing) = match self {
            Self::Numeric { specials, bins, missing, .. } => (specials.as_slice(), bins, missing),
            Self::Categorical { bins, missing, .. } => (&[][..], bins, missing),
        };
        specials.iter().map(|(_, bin)| bin).chain(bins).chain(std::iter::once(missing))
    }
}

/// The compiled form: bins by binary search, level codes by position.
#[derive(Clone, Debug)]
pub(crate) struct FlatScorecard {
    n_features: usize,
    scale: PointScale,
    start: i64,
    steps: Vec<Step>,
    /// Ends, specials and points of all characteristics, one after the other.
    ends: Vec<f32>,
    specials: Vec<(f32, i32)>,
    points: Vec<i32>,
}

/// Ranges of one characteristic within the arrays.
#[derive(Clone, Copy, Debug)]
struct Step {
    feature: u32,
    missing: i32,
    is_category: bool,
    ends: (u32, u32),
    specials: (u32, u32),
    points: (u32, u32),
}

impl FlatScorecard {
    /// Lays out a card that was checked.
    pub(crate) fn new(card: &Scorecard) -> Self {
        let mut flat = Self {
            n_features: card.n_features as usize,
            scale: card.scale,
            start: i64::from(card.start),
            steps: Vec::new(),
            ends: Vec::new(),
            specials: Vec::new(),
            points: Vec::new(),
        };
        for characteristic in &card.characteristics {
            let from = (flat.ends.len() as u32, flat.specials.len() as u32, flat.points.len() as u32);
            let (missing, is_category) = match characteristic {
                Characteristic::Numeric { specials, upper, bins, missing, .. } => {
                    flat.ends.extend(upper);
                    flat.specials.extend(specials.iter().map(|(value, bin)| (*value, bin.points)));
                    flat.points.extend(bins.iter().map(|bin| bin.points));
                    (missing.points, false)
                }
                Characteristic::Categorical { groups, bins, missing, .. } => {
                    flat.points.extend(groups.iter().map(|&group| bins[group as usize].points));
                    (missing.points, true)
                }
            };
            flat.steps.push(Step {
                feature: characteristic.feature(),
                missing,
                is_category,
                ends: (from.0, flat.ends.len() as u32),
                specials: (from.1, flat.specials.len() as u32),
                points: (from.2, flat.points.len() as u32),
            });
        }
        flat
    }

    pub(crate) fn n_features(&self) -> usize {
        self.n_features
    }

    /// Raw score of a row of `n_features` values. Allocates nothing.
    pub(crate) fn raw_score(&self, row: &[f32]) -> f64 {
        let points = |step: &Step| i64::from(self.points_of(step, row[step.feature as usize]));
        self.scale.raw_score(self.start + self.steps.iter().map(points).sum::<i64>())
    }

    fn points_of(&self, step: &Step, x: f32) -> i32 {
        if x.is_nan() {
            return step.missing;
        }
        let points = &self.points[step.points.0 as usize..step.points.1 as usize];
        if step.is_category {
            // The cast saturates, so that a code which is not a whole number in range differs from its own cast.
            let code = x as u32;
            let last = points.len() - 1;
            return points[if code as f32 == x { (code as usize).min(last) } else { last }];
        }
        let specials = &self.specials[step.specials.0 as usize..step.specials.1 as usize];
        if let Some((_, points)) = specials.iter().find(|(value, _)| *value == x) {
            return *points;
        }
        let ends = &self.ends[step.ends.0 as usize..step.ends.1 as usize];
        points[ends.partition_point(|&end| end < x)]
    }
}

/// The scorecard as a table: per characteristic its bins with points, orders, frauds and share of fraud in training. Levels of
/// categories stand by name, those of a bin together.
pub fn render(card: &Scorecard, spec: &FeatureSpec) -> String {
    let PointScale { base_score, base_odds, points_to_double } = card.scale;
    let mut text = format!(
        "Scorecard: more points, more risk. {base_score} points stand for {base_odds} honest orders to one fraud, and\n\
         {points_to_double} points more double the odds of fraud. Every order starts with {} points and gets those of one\n\
         bin of each feature below. Orders and frauds are those of the training part.\n\n",
        card.start
    );
    let mut tables: Vec<(String, Vec<[String; 5]>)> = Vec::new();
    for characteristic in &card.characteristics {
        let feature = spec.features.get(characteristic.feature() as usize);
        let lines = named_bins(characteristic, spec).into_iter().map(|(name, bin)| bin_line(name, bin)).collect();
        tables.push((feature.map_or_else(|| "?".into(), ToString::to_string), lines));
    }
    let head = ["", "points", "orders", "frauds", "of them"].map(str::to_owned);
    let all = || tables.iter().flat_map(|(_, lines)| lines).chain(std::iter::once(&head));
    let widths: [usize; 5] = std::array::from_fn(|at| all().map(|line| line[at].chars().count()).max().unwrap_or(0));
    write_line(&mut text, &head, &widths);
    for (feature, lines) in &tables {
        text.push_str(feature);
        text.push('\n');
        for line in lines {
            write_line(&mut text, line, &widths);
        }
    }
    text
}

fn bin_line(name: String, bin: ScoreBin) -> [String; 5] {
    let share = match bin.n_orders {
        0 => "-".into(),
        n => format!("{:.2} %", 100.0 * bin.n_fraud as f64 / n as f64),
    };
    [name, format!("{:+}", bin.points), bin.n_orders.to_string(), bin.n_fraud.to_string(), share]
}

fn write_line(text: &mut String, [name, cells @ ..]: &[String; 5], widths: &[usize; 5]) {
    text.push_str("  ");
    text.push_str(name);
    text.extend(std::iter::repeat_n(' ', widths[0].saturating_sub(name.chars().count())));
    for (cell, width) in cells.iter().zip(&widths[1..]) {
        write!(text, "  {cell:>width$}").expect("writing to memory cannot fail");
    }
    text.push('\n');
}

/// Longest name of a bin before levels are only counted.
const MAX_NAME: usize = 60;

fn named_bins(characteristic: &Characteristic, spec: &FeatureSpec) -> Vec<(String, ScoreBin)> {
    let mut named = Vec::new();
    match characteristic {
        Characteristic::Numeric { specials, upper, bins, missing, .. } => {
            for (value, bin) in specials {
                named
                    .push((if is_first_seen(*value) { "first seen".into() } else { format!("exactly {value}") }, *bin));
            }
            for (i, bin) in bins.iter().enumerate() {
                let name = match (i.checked_sub(1).map(|before| upper[before]), upper.get(i)) {
                    (None, None) => "any".into(),
                    (None, Some(end)) => format!("up to {end}"),
                    (Some(from), None) => format!("over {from}"),
                    (Some(from), Some(end)) => format!("over {from} up to {end}"),
                };
                named.push((name, *bin));
            }
            named.push(("missing".into(), *missing));
        }
        Characteristic::Categorical { feature, groups, bins, missing } => {
            let levels = match spec.features.get(*feature as usize) {
                Some(Feature::Category(place)) => spec.vocabulary(place),
                _ => None,
            };
            for (i, bin) in bins.iter().enumerate() {
                let name_of = |code: usize| match levels.and_then(|vocabulary| vocabulary.levels.get(code)) {
                    Some(level) => level.clone(),
                    None => "rare or unseen".into(),
                };
                let names: Vec<String> =
                    (0..groups.len()).filter(|&code| groups[code] as usize == i).map(name_of).collect();
                let mut name = names.join(", ");
                if name.chars().count() > MAX_NAME {
                    name =
                        name.chars().take(MAX_NAME - 20).collect::<String>() + &format!("... ({} levels)", names.len());
                }
                named.push((name, *bin));
            }
            named.push(("missing".into(), *missing));
        }
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bin(points: i32) -> ScoreBin {
        ScoreBin { points, n_orders: 10, n_fraud: 1 }
    }

    fn card() -> Scorecard {
        let amount = Characteristic::Numeric {
            feature: 0,
            specials: vec![(-1.0, bin(7))],
            upper: vec![0.0, 10.0],
            bins: vec![bin(0), bin(5), bin(20)],
            missing: bin(3),
        };
        let country = Characteristic::Categorical {
            feature: 1,
            groups: vec![1, 0, 1],
            bins: vec![bin(0), bin(100)],
            missing: bin(50),
        };
        Scorecard {
            n_features: 2,
            scale: PointScale { base_score: 500.0, base_odds: 50.0, points_to_double: 20.0 },
            start: 400,
            characteristics: vec![amount, country],
        }
    }

    #[test]
    fn every_value_has_one_bin() {
        let card = card();
        let flat = FlatScorecard::new(&card);
        let nan = f32::NAN;
        for (row, expected) in [
            ([0.0, 0.0], 500),
            ([0.1, 1.0], 405),
            ([10.0, 1.0], 405),
            ([10.0f32.next_up(), 1.0], 420),
            ([f32::INFINITY, 1.0], 420),
            ([f32::NEG_INFINITY, 1.0], 400),
            ([-1.0, 1.0], 407),
            ([-2.0, 2.0], 500),
            ([nan, nan], 453),
            ([0.0, 0.5], 500),
            ([0.0, -1.0], 500),
            ([0.0, 1e30], 500),
            ([0.0, -0.0], 500),
        ] {
            assert_eq!(points(&card, &row), expected, "{row:?}");
            assert_eq!(flat.raw_score(&row).to_bits(), card.scale.raw_score(expected).to_bits(), "{row:?}");
        }
    }

    #[test]
    fn points_are_log_odds_in_other_units() {
        let scale = card().scale;
        // 500 points: one fraud among 50 honest orders; 20 more: two.
        assert!((scale.raw_score(500) - libm::log(1.0 / 50.0)).abs() < 1e-12);
        assert!((scale.raw_score(520) - libm::log(2.0 / 50.0)).abs() < 1e-12);
        assert!((scale.points(scale.raw_score(437)) - 437.0).abs() < 1e-9);
    }
}
