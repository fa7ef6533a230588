//! A chart with a name in each row: bars from a common start, or dots with their intervals.

use super::plot::class_of;
use super::scale::{Scale, Unit};
use super::svg::{Anchor, Picture, Svg};

/// A chart to draw.
#[derive(Clone, Debug)]
pub struct RowChart {
    /// What it shows.
    pub title: String,
    /// What one sees in it, for those who cannot look.
    pub description: String,
    /// What the values are.
    pub axis: String,
    /// How numbers are written.
    pub unit: Unit,
    /// Bars from zero rather than dots.
    pub has_bars: bool,
    /// A line to look at, and what it is.
    pub reference: Option<(f64, String)>,
    /// Names of the series; a row has a value for each.
    pub series: Vec<String>,
    /// From top to bottom.
    pub rows: Vec<Row>,
}

/// One row.
#[derive(Clone, Debug)]
pub struct Row {
    /// What stands at its left.
    pub name: String,
    /// Its values, one for each series; `None` is left empty.
    pub values: Vec<Option<RowValue>>,
    /// What stands at its right.
    pub note: String,
}

/// A value in a row.
#[derive(Clone, Copy, Debug)]
pub struct RowValue {
    /// Where it lies.
    pub value: f64,
    /// Ends of its interval, if it has one.
    pub interval: Option<(f64, f64)>,
}

const WIDTH: f64 = 740.0;
const NAMES: f64 = 290.0;
const NOTES: f64 = 110.0;
const TOP: f64 = 58.0;
/// Longest name, in characters.
const LONGEST: usize = 38;

impl RowChart {
    /// Draws the chart: 720 pixels wide, as high as it has rows.
    pub fn draw(&self) -> Picture {
        let n_series = self.series.len().max(1);
        let step = if self.has_bars { 8.0 + 12.0 * n_series as f64 } else { 12.0 + 10.0 * n_series as f64 };
        let bottom = TOP + step * self.rows.len() as f64 + 6.0;
        let mut svg = Svg::new(WIDTH, bottom + 44.0);
        let scale = self.scale();
        let place = |value: f64| NAMES + scale.place(value) * (WIDTH - NAMES - NOTES);
        svg.text("title", (12.0, 22.0), Anchor::Start, &self.title);
        for tick in scale.ticks(6) {
            svg.line("grid", (place(tick), TOP - 6.0), (place(tick), bottom));
            svg.text("tick", (place(tick), bottom + 16.0), Anchor::Middle, &self.unit.show(tick));
        }
        svg.text("label", (place_middle(), bottom + 36.0), Anchor::Middle, &self.axis);
        self.legend(&mut svg);
        for (i, row) in self.rows.iter().enumerate() {
            let top = TOP + step * i as f64;
            svg.text("label", (NAMES - 10.0, top + step / 2.0), Anchor::End, &shortened(&row.name));
            svg.text("note", (WIDTH - NOTES + 8.0, top + step / 2.0), Anchor::Start, &row.note);
            for (series, value) in row.values.iter().enumerate() {
                let Some(found) = value.filter(|found| found.value.is_finite()) else { continue };
                let hint = format!("{}: {}", row.name, self.unit.show(found.value));
                self.draw_value(&mut svg, &place, found, series, top, &hint);
            }
        }
        if let Some((value, name)) = &self.reference {
            svg.line("mark", (place(*value), TOP - 6.0), (place(*value), bottom));
            svg.text("mark", (place(*value) + 5.0, TOP - 8.0), Anchor::Start, name);
        }
        svg.line("axis", (place(0.0), TOP - 6.0), (place(0.0), bottom));
        svg.finish(&self.title, &self.description)
    }

    fn draw_value(
        &self,
        svg: &mut Svg,
        place: &impl Fn(f64) -> f64,
        found: RowValue,
        series: usize,
        top: f64,
        hint: &str,
    ) {
        let class = class_of(series);
        let x = place(found.value);
        let middle = if self.has_bars {
            let y = top + 2.0 + 12.0 * series as f64;
            let (from, to) = (x.min(place(0.0)), x.max(place(0.0)));
            svg.rect(&format!("bar {class}"), (from, y), ((to - from).max(1.0), 10.0), hint);
            y + 5.0
        } else {
            top + 6.0 + 10.0 * series as f64
        };
        if let Some((low, high)) = found.interval.filter(|(low, high)| low.is_finite() && high.is_finite()) {
            svg.line(&format!("whisker {class}"), (place(low), middle), (place(high), middle));
        }
        if !self.has_bars {
            svg.dot(&format!("dot {class}"), (x, middle), 4.0, hint);
        }
    }

    fn scale(&self) -> Scale {
        let values = self.rows.iter().flat_map(|row| &row.values).flatten();
        let ends = values.flat_map(|found| {
            let (low, high) = found.interval.unwrap_or((found.value, found.value));
            [low, found.value, high]
        });
        Scale::around(ends.chain(self.reference.iter().map(|found| found.0)), true)
    }

    fn legend(&self, svg: &mut Svg) {
        let mut x = NAMES;
        for (series, name) in self.series.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            svg.rect(&format!("bar {}", class_of(series)), (x, 31.0), (12.0, 10.0), "");
            svg.text("tick", (x + 18.0, 40.0), Anchor::Start, name);
            x += 36.0 + 6.3 * name.chars().count() as f64;
        }
    }
}

fn place_middle() -> f64 {
    NAMES + (WIDTH - NAMES - NOTES) / 2.0
}

/// The start of a long name.
fn shortened(name: &str) -> String {
    if name.chars().count() <= LONGEST {
        return name.to_owned();
    }
    name.chars().take(LONGEST - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_names_values_and_intervals() {
        let value = |value, interval| Some(RowValue { value, interval });
        let chart = RowChart {
            title: "Importance".into(),
            description: String::new(),
            axis: "share".into(),
            unit: Unit::Share,
            has_bars: true,
            reference: None,
            series: vec!["gain".into(), "permutation".into()],
            rows: vec![
                Row {
                    name: "x".repeat(60),
                    values: vec![value(0.6, None), value(-0.1, Some((-0.2, 0.0)))],
                    note: "n".into(),
                },
                Row { name: "two".into(), values: vec![value(f64::NAN, None), None], note: String::new() },
            ],
        };
        let text = chart.draw().standalone();
        let n = |what: &str| text.matches(what).count();
        assert_eq!([n("class=\"bar a\""), n("class=\"bar b\""), n("class=\"whisker b\"")], [2, 2, 1]);
        assert!(text.contains(&format!("{}…</text>", "x".repeat(37))) && !text.contains("NaN"));
    }
}
