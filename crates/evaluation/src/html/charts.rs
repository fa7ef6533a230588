//! The charts of a report, as far as it has what they show.

use crate::chart::{Axis, Bar, Layer, Picture, Plot, Point, Row, RowChart, RowValue, Scale, Unit};
use crate::curve::CurvePoint;
use crate::evaluation::Evaluation;
use crate::interval::Interval;
use crate::report::{OrderDay, Report, ScoreBin, Slice};
use crate::terminal::judged;
use crate::words::{count, percent};

/// Rows of a chart with a name in each.
const MAX_ROWS: usize = 20;

/// A chart of a report: a name for files and links, and the picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// Such as `precision-recall`.
    pub id: &'static str,
    /// The picture.
    pub picture: Picture,
}

/// The charts that there can be.
pub const CHART_IDS: [&str; 10] = [
    "precision-recall",
    "roc",
    "scores",
    "calibration",
    "weeks",
    "daily-orders",
    "daily-precision",
    "segments",
    "kinds",
    "importance",
];

/// All charts that a report has the figures for.
pub fn charts(report: &Report) -> Vec<Chart> {
    let draw = |id: &str| match id {
        "precision-recall" => precision_recall(report).map(|plot| plot.draw()),
        "roc" => roc(report).map(|plot| plot.draw()),
        "scores" => scores(report).map(|plot| plot.draw()),
        "calibration" => calibration(report).map(|plot| plot.draw()),
        "weeks" => weeks(report).map(|plot| plot.draw()),
        "daily-orders" => daily_orders(report).map(|plot| plot.draw()),
        "daily-precision" => daily_precision(report).map(|plot| plot.draw()),
        "segments" => segments(report).map(|chart| chart.draw()),
        "kinds" => kinds(report).map(|chart| chart.draw()),
        _ => importance(report).map(|chart| chart.draw()),
    };
    CHART_IDS.into_iter().filter_map(|id| Some(Chart { id, picture: draw(id)? })).collect()
}

/// The parts that have a curve, the one that is judged last, with their names and colours.
fn parts(report: &Report) -> Vec<(&'static str, usize, &Evaluation)> {
    let named = [("validation", 1, &report.validation), ("test", 0, &report.test)];
    let with_curve = |part: &Evaluation| part.n_fraud > 0 && part.n_fraud < part.n_rows && !part.curve.is_empty();
    named
        .into_iter()
        .filter_map(|(name, series, part)| Some((name, series, part.as_ref().filter(|p| with_curve(p))?)))
        .collect()
}

fn shares(name: &str) -> Axis {
    Axis { name: name.into(), scale: Scale::Linear { from: 0.0, to: 1.0 }, unit: Unit::Share }
}

fn line(series: usize, name: &str, curve: &[CurvePoint], at: impl Fn(&CurvePoint) -> Option<(f64, f64)>) -> Layer {
    Layer::Line { series, name: name.into(), points: curve.iter().filter_map(at).collect() }
}

/// Precision at each recall.
fn precision_recall(report: &Report) -> Option<Plot> {
    let parts = parts(report);
    let &(judged, _, last) = parts.last()?;
    let at = &last.at_threshold;
    let base = last.base_rate.unwrap_or(0.0);
    let mut layers = vec![Layer::Level { y: base, name: format!("stopping at random: {}", percent(Some(base))) }];
    for (name, series, part) in &parts {
        let name = format!("{name}, average precision {:.3}", part.average_precision.unwrap_or(0.0));
        layers.push(line(*series, &name, &part.curve, |point| point.recall.zip(point.precision)));
    }
    if let Some(place) = at.recall.zip(at.precision) {
        layers.push(Layer::Mark { at: place, name: "threshold".into() });
    }
    Some(Plot {
        title: "Precision at each recall".into(),
        description: format!(
            "In the {judged} part the threshold stops {} of the frauds with a precision of {}; the average precision is {:.3}.",
            percent(at.recall),
            percent(at.precision),
            last.average_precision.unwrap_or(0.0)
        ),
        x: shares("recall: share of the frauds that are stopped"),
        y: shares("precision: share of frauds among the stopped"),
        layers,
    })
}

/// Recall at each false-positive rate, the rates by their logarithm: fraud teams work far to the left.
fn roc(report: &Report) -> Option<Plot> {
    let parts = parts(report);
    let &(judged, _, last) = parts.last()?;
    let at = &last.at_threshold;
    let least = 1e-4;
    let chance = (0..=40).map(|i| 10.0_f64.powf(-4.0 + f64::from(i) / 10.0)).map(|rate| (rate, rate)).collect();
    let mut layers = vec![Layer::Line { series: 2, name: "chance".into(), points: chance }];
    for (name, series, part) in &parts {
        let name = format!("{name}, area {:.3}", part.roc_auc.unwrap_or(0.0));
        let place = |point: &CurvePoint| Some((point.false_positive_rate?.max(least), point.recall?));
        layers.push(line(*series, &name, &part.curve, place));
    }
    if let Some((rate, recall)) = at.false_positive_rate.zip(at.recall) {
        layers.push(Layer::Mark { at: (rate.max(least), recall), name: "threshold".into() });
    }
    Some(Plot {
        title: "Frauds stopped for each share of honest orders stopped (ROC)".into(),
        description: format!(
            "In the {judged} part the threshold stops {} of the frauds and {} of the honest orders; the area under the curve is {:.3}.",
            percent(at.recall),
            percent(at.false_positive_rate),
            last.roc_auc.unwrap_or(0.0)
        ),
        x: Axis {
            name: "false-positive rate: share of the honest orders that are stopped".into(),
            scale: Scale::Log { from: least, to: 1.0 },
            unit: Unit::Share,
        },
        y: shares("recall: share of the frauds that are stopped"),
        layers,
    })
}

/// Foretold probability against observed share of fraud, both by their logarithm, because nearly all orders lie near 0.
fn calibration(report: &Report) -> Option<Plot> {
    let &(judged, series, part) = parts(report).last()?;
    let least = 1e-4;
    let point = |bin: &crate::curve::ReliabilityBin| {
        let (x, y) = (bin.mean_probability?, bin.observed?);
        let (low, high) = wilson(bin.n_fraud, bin.n_rows);
        Some(Point {
            x: x.max(least),
            y: y.max(least),
            interval: Some((low.max(least), high)),
            hint: format!(
                "{} orders, foretold {}, {} frauds: {}",
                count(bin.n_rows),
                percent(Some(x)),
                count(bin.n_fraud),
                percent(Some(y))
            ),
        })
    };
    let points: Vec<Point> = part.reliability.iter().filter_map(point).collect();
    let log = |name: &str| Axis { name: name.into(), scale: Scale::Log { from: least, to: 1.0 }, unit: Unit::Share };
    let error = part
        .calibration_error
        .map_or(String::new(), |error| format!("; on average they differ by {}", percent(Some(error))));
    Some(Plot {
        title: "Probability foretold, and fraud that came".into(),
        description: format!(
            "Bands of probability in the {judged} part, each with its share of frauds{error}. On the dotted line both are equal."
        ),
        x: log("mean probability foretold"),
        y: log("share of frauds observed, with its 95 % interval"),
        layers: vec![Layer::Diagonal, Layer::Points { series, name: judged.into(), points }],
    })
}

/// The interval of a share by Wilson's score at 95 %.
///
/// # Reference
/// Wilson, *Probable Inference, the Law of Succession, and Statistical Inference* (1927).
pub(super) fn wilson(part: u64, whole: u64) -> (f64, f64) {
    if whole == 0 {
        return (0.0, 1.0);
    }
    let (n, z) = (whole as f64, 1.959_963_984_540_054);
    let share = part as f64 / n;
    let middle = share + z * z / (2.0 * n);
    let half = z * libm::sqrt(share * (1.0 - share) / n + z * z / (4.0 * n * n));
    let scale = 1.0 + z * z / n;
    (((middle - half) / scale).max(0.0), ((middle + half) / scale).min(1.0))
}

/// How many orders of each class have a score, by the logarithm of the numbers.
fn scores(report: &Report) -> Option<Plot> {
    let (part, figures) = judged(report)?;
    let bins = &figures.histogram;
    let (first, last) = (bins.first()?, bins.last()?);
    // The largest numbers stand behind: honest orders.
    let bars = |name: &str, series: usize, n: &dyn Fn(&ScoreBin) -> u64| Layer::Bars {
        series,
        name: name.into(),
        bars: bins
            .iter()
            .filter(|bin| n(bin) > 0)
            .map(|bin| Bar {
                from: bin.from,
                until: bin.until,
                y: n(bin) as f64,
                hint: format!("{:.2} to {:.2}: {} {name}", bin.from, bin.until, count(n(bin))),
            })
            .collect(),
    };
    let highest = bins.iter().map(|bin| bin.n_honest.max(bin.n_fraud)).max()? as f64;
    let mut layers = vec![bars("honest orders", 0, &|bin| bin.n_honest), bars("frauds", 1, &|bin| bin.n_fraud)];
    layers.extend(report.threshold.as_ref().map(|at| Layer::Upright { x: at.raw_score, name: "threshold".into() }));
    Some(Plot {
        title: "Scores of honest orders and of frauds".into(),
        description: format!(
            "Scores of the {part} part run from {:.2} to {:.2}; orders to the right of the threshold are stopped.",
            first.from, last.until
        ),
        x: Axis {
            name: "raw score (log-odds)".into(),
            scale: Scale::Linear { from: first.from, to: last.until.max(first.from + 1e-9) },
            unit: Unit::Number,
        },
        y: Axis {
            name: "orders, by their logarithm".into(),
            scale: Scale::Log { from: 0.5, to: (highest * 1.5).max(10.0) },
            unit: Unit::Count,
        },
        layers,
    })
}

/// A figure and its interval.
type Figure = (f64, Option<Interval>);

/// How the model ages.
fn weeks(report: &Report) -> Option<Plot> {
    let (part, figures) = judged(report)?;
    let weeks = &figures.weeks;
    if weeks.len() < 2 {
        return None;
    }
    let points = |of: fn(&Slice) -> Option<Figure>, shift: f64, what: &str| -> Vec<Point> {
        let point = |(i, week): (usize, &Slice)| {
            let (value, interval) = of(week)?;
            Some(Point {
                x: i as f64 + 1.0 + shift,
                y: value,
                interval: interval.map(|interval| (interval.low, interval.high)),
                hint: format!(
                    "week from {}, {} frauds: {what} {}",
                    week.name,
                    count(week.n_fraud),
                    percent(Some(value))
                ),
            })
        };
        weeks.iter().enumerate().filter_map(point).collect()
    };
    let line = |points: &[Point]| points.iter().map(|point| (point.x, point.y)).collect();
    let recall = points(
        |week| Some((week.at_threshold.recall?, week.intervals.and_then(|intervals| intervals.recall))),
        -0.06,
        "recall",
    );
    let precision = points(
        |week| Some((week.at_threshold.precision?, week.intervals.and_then(|intervals| intervals.precision))),
        0.06,
        "precision",
    );
    let (first, last) = (&weeks.first()?.name, &weeks.last()?.name);
    Some(Plot {
        title: "Week by week: does the model age?".into(),
        description: format!(
            "Recall and precision at the threshold in {} weeks of the {part} part, {first} to {last}.",
            weeks.len()
        ),
        x: Axis {
            name: format!("week: 1 begins on {first}, {} on {last}", weeks.len()),
            scale: Scale::Linear { from: 0.5, to: weeks.len() as f64 + 0.5 },
            unit: Unit::Number,
        },
        y: shares("at the threshold, with 95 % intervals"),
        layers: vec![
            Layer::Line { series: 0, name: String::new(), points: line(&recall) },
            Layer::Line { series: 1, name: String::new(), points: line(&precision) },
            Layer::Points { series: 0, name: "recall".into(), points: recall },
            Layer::Points { series: 1, name: "precision".into(), points: precision },
        ],
    })
}

/// Recall of the segments that can be judged, the weakest first.
fn segments(report: &Report) -> Option<RowChart> {
    let (_, figures) = judged(report)?;
    let all = figures.segments.iter().flat_map(|segment| {
        segment
            .slices
            .iter()
            .filter(|slice| slice.note.is_none())
            .map(|slice| (format!("{}: {}", segment.column, slice.name), slice))
    });
    let mut slices: Vec<(String, &Slice)> = all.collect();
    let auc = |slice: &Slice| slice.roc_auc.unwrap_or(1.0);
    slices.sort_by(|a, b| auc(a.1).total_cmp(&auc(b.1)).then_with(|| a.0.cmp(&b.0)));
    slices.truncate(MAX_ROWS);
    let (weakest, _) = slices.first()?;
    Some(slice_chart(
        "The weakest segments",
        format!("Where frauds are told from honest orders least well, by the area under the ROC curve: {weakest}."),
        &slices,
        figures,
    ))
}

/// Recall by kind of abuse.
fn kinds(report: &Report) -> Option<RowChart> {
    let (_, figures) = judged(report)?;
    let slices: Vec<(String, &Slice)> =
        figures.kinds.iter().take(MAX_ROWS).map(|kind| (kind.name.clone(), kind)).collect();
    let (first, _) = slices.first()?;
    Some(slice_chart(
        "Kinds of abuse",
        format!("Recall of each kind of abuse; the first is {first}."),
        &slices,
        figures,
    ))
}

/// Recall and false alarms, one slice a row.
fn slice_chart(title: &str, description: String, slices: &[(String, &Slice)], whole: &Evaluation) -> RowChart {
    let row = |(name, slice): &(String, &Slice)| {
        let interval = slice.intervals.and_then(|intervals| intervals.recall).map(|recall| (recall.low, recall.high));
        Row {
            name: name.clone(),
            values: vec![slice.at_threshold.recall.map(|value| RowValue { value, interval })],
            note: format!("{} of {}", count(slice.at_threshold.confusion.tp), count(slice.n_fraud)),
        }
    };
    RowChart {
        title: title.into(),
        description,
        axis: "recall: share of the frauds that are stopped, with 95 % intervals".into(),
        unit: Unit::Share,
        has_bars: false,
        reference: whole.at_threshold.recall.map(|recall| (recall, format!("all orders: {}", percent(Some(recall))))),
        series: vec![String::new()],
        rows: slices.iter().map(row).collect(),
    }
}

/// Precision of the daily list of orders.
fn daily_orders(report: &Report) -> Option<Plot> {
    let daily = judged(report)?.1.precision_at_k_per_day.as_ref()?;
    let (first, last) = (daily.days.first()?.day as f64, daily.days.last()?.day as f64);
    let share = |day: &OrderDay| (day.n_fraud > 0).then(|| day.n_found / day.n_fraud as f64);
    let bar = |day: &OrderDay| {
        Some(Bar {
            from: day.day as f64,
            until: day.day as f64 + 0.9,
            y: share(day)?,
            hint: format!(
                "{}: {:.0} of {} frauds",
                crate::chart::scale::date(day.day as f64),
                day.n_found,
                count(day.n_fraud)
            ),
        })
    };
    Some(Plot {
        title: format!("Frauds among the {} most suspicious orders of each day", count(daily.k)),
        description: format!(
            "What a team that looks at {} orders a day finds, on {} days.",
            count(daily.k),
            daily.days.len()
        ),
        x: Axis {
            name: "day of the orders".into(),
            scale: Scale::Linear { from: first, to: last + 1.0 },
            unit: Unit::Day,
        },
        y: shares("share of the day's frauds that are on the list"),
        layers: vec![Layer::Bars { series: 0, name: String::new(), bars: daily.days.iter().filter_map(bar).collect() }],
    })
}

/// Precision of the daily list of entities.
fn daily_precision(report: &Report) -> Option<Plot> {
    let daily = report.test.as_ref()?.entity_precision_at_k.as_ref()?;
    let (first, last) = (daily.days.first()?.day as f64, daily.days.last()?.day as f64);
    let bar = |day: &crate::entity::EntityDay| Bar {
        from: day.day as f64,
        until: day.day as f64 + 0.9,
        y: day.precision,
        hint: format!(
            "{}: {} of the {} customers with fraud were on the list",
            crate::chart::scale::date(day.day as f64),
            count(day.n_found),
            count(day.n_fraudulent)
        ),
    };
    let highest = daily.days.iter().map(|day| day.precision).fold(0.0, f64::max);
    let mut layers = vec![Layer::Bars { series: 0, name: String::new(), bars: daily.days.iter().map(bar).collect() }];
    if let Some(mean) = daily.mean {
        layers.push(Layer::Level { y: mean, name: format!("mean {mean:.3}") });
    }
    Some(Plot {
        title: format!("Precision of the {} most suspicious customers of each day", count(daily.k)),
        description: format!(
            "{} days; on average {:.3} of the list are customers with a fraud that day.",
            daily.days.len(),
            daily.mean.unwrap_or(0.0)
        ),
        x: Axis {
            name: "day of the orders".into(),
            scale: Scale::Linear { from: first, to: last + 1.0 },
            unit: Unit::Day,
        },
        y: Axis {
            name: "precision".into(),
            scale: Scale::Linear { from: 0.0, to: if highest > 0.0 { highest * 1.15 } else { 1.0 } },
            unit: Unit::Share,
        },
        layers,
    })
}

/// What the model looks at.
fn importance(report: &Report) -> Option<RowChart> {
    let used: Vec<_> = report.features.iter().filter(|feature| feature.importance > 0.0).take(MAX_ROWS).collect();
    let first = used.first()?;
    Some(RowChart {
        title: "What the model looks at".into(),
        description: format!(
            "The most important feature is {}, with {} of the total.",
            first.name,
            percent(Some(first.importance))
        ),
        axis: "share of the total importance".into(),
        unit: Unit::Share,
        has_bars: true,
        reference: None,
        series: vec![String::new()],
        rows: used
            .iter()
            .map(|feature| Row {
                name: feature.name.clone(),
                values: vec![Some(RowValue { value: feature.importance, interval: None })],
                note: percent(Some(feature.importance)),
            })
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_holds_the_share_and_never_leaves_0_to_1() {
        for (part, whole) in [(0, 10), (10, 10), (3, 1000), (0, 0)] {
            let (low, high) = wilson(part, whole);
            assert!((0.0..=1.0).contains(&low) && (0.0..=1.0).contains(&high) && low <= high);
            if whole > 0 {
                let share = part as f64 / whole as f64;
                assert!(low <= share + 1e-12 && share <= high + 1e-12);
            }
        }
        // R: prop.test(3, 1000, correct = FALSE)$conf.int
        let (low, high) = wilson(3, 1000);
        assert!((low - 0.001_020_75).abs() < 1e-6 && (high - 0.008_783_9).abs() < 1e-6, "{low} {high}");
    }
}
