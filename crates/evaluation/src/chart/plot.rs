//! A chart with two axes: lines, bands around them, points with intervals, bars, and lines to look at.

use super::scale::{Scale, Unit};
use super::svg::{Anchor, Picture, Svg};

/// A chart to draw. Values that are no numbers are left out.
#[derive(Clone, Debug)]
pub struct Plot {
    /// What it shows.
    pub title: String,
    /// What one sees in it, for those who cannot look.
    pub description: String,
    /// To the right.
    pub x: Axis,
    /// Upwards.
    pub y: Axis,
    /// The first is drawn first.
    pub layers: Vec<Layer>,
}

/// One axis.
#[derive(Clone, Debug)]
pub struct Axis {
    /// What is on it.
    pub name: String,
    /// From where to where.
    pub scale: Scale,
    /// How numbers are written.
    pub unit: Unit,
}

/// Something in the plane of the axes. `series` is 0 to 3, a colour.
#[derive(Clone, Debug)]
pub enum Layer {
    /// A line through points.
    Line {
        /// Its colour.
        series: usize,
        /// Its name in the legend; none is shown where it is empty.
        name: String,
        /// Places on the axes, from left to right.
        points: Vec<(f64, f64)>,
    },
    /// The area between two lines: (x, low, high).
    Band {
        /// Its colour.
        series: usize,
        /// From left to right.
        points: Vec<(f64, f64, f64)>,
    },
    /// Dots with the interval of each.
    Points {
        /// Their colour.
        series: usize,
        /// Their name in the legend; none is shown where it is empty.
        name: String,
        /// The dots.
        points: Vec<Point>,
    },
    /// Bars that stand on the x axis.
    Bars {
        /// Their colour.
        series: usize,
        /// Their name in the legend; none is shown where it is empty.
        name: String,
        /// The bars.
        bars: Vec<Bar>,
    },
    /// From corner to corner: where both axes have the same value.
    Diagonal,
    /// A level line, such as the share of frauds.
    Level {
        /// Its height.
        y: f64,
        /// What it is.
        name: String,
    },
    /// A dot to look at.
    Mark {
        /// Its place.
        at: (f64, f64),
        /// What it is.
        name: String,
    },
    /// An upright line to look at.
    Upright {
        /// Its place.
        x: f64,
        /// What it is.
        name: String,
    },
}

/// A dot.
#[derive(Clone, Debug)]
pub struct Point {
    /// Its place to the right.
    pub x: f64,
    /// Its height.
    pub y: f64,
    /// Ends of its interval, if it has one.
    pub interval: Option<(f64, f64)>,
    /// What a pointer is told.
    pub hint: String,
}

/// A bar.
#[derive(Clone, Debug)]
pub struct Bar {
    /// Left end.
    pub from: f64,
    /// Right end.
    pub until: f64,
    /// Height.
    pub y: f64,
    /// What a pointer is told.
    pub hint: String,
}

/// Classes of the series, and with it their colours.
pub(super) const SERIES: [&str; 4] = ["a", "b", "c", "d"];

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 18.0;
const TOP: f64 = 62.0;
const BOTTOM: f64 = 48.0;

/// From values to pixels.
struct Plane {
    x: Scale,
    y: Scale,
}

impl Plane {
    fn x(&self, value: f64) -> f64 {
        LEFT + self.x.place(value) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.place(value) * (HEIGHT - TOP - BOTTOM)
    }

    fn at(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (self.x(x), self.y(y))
    }
}

impl Plot {
    /// Draws the chart: 640 by 400 pixels.
    pub fn draw(&self) -> Picture {
        let mut svg = Svg::new(WIDTH, HEIGHT);
        let plane = Plane { x: self.x.scale, y: self.y.scale };
        svg.text("title", (LEFT, 22.0), Anchor::Start, &self.title);
        self.axes(&mut svg, &plane);
        self.legend(&mut svg);
        for layer in &self.layers {
            draw_layer(&mut svg, &plane, layer);
        }
        svg.finish(&self.title, &self.description)
    }

    fn axes(&self, svg: &mut Svg, plane: &Plane) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for tick in self.y.scale.ticks(6) {
            let y = plane.y(tick);
            svg.line("grid", (LEFT, y), (right, y));
            svg.text("tick", (LEFT - 8.0, y + 4.0), Anchor::End, &self.y.unit.show(tick));
        }
        let most = if self.x.unit == Unit::Day { 5 } else { 8 };
        for tick in self.x.scale.ticks(most) {
            let x = plane.x(tick);
            svg.line("grid", (x, TOP), (x, bottom));
            svg.text("tick", (x, bottom + 17.0), Anchor::Middle, &self.x.unit.show(tick));
        }
        svg.line("axis", (LEFT, bottom), (right, bottom));
        svg.line("axis", (LEFT, TOP), (LEFT, bottom));
        svg.text("label", (f64::midpoint(LEFT, right), HEIGHT - 10.0), Anchor::Middle, &self.x.name);
        svg.upright("label", (16.0, f64::midpoint(TOP, bottom)), &self.y.name);
    }

    fn legend(&self, svg: &mut Svg) {
        let mut x = LEFT;
        for layer in &self.layers {
            let (Layer::Line { series, name, .. }
            | Layer::Points { series, name, .. }
            | Layer::Bars { series, name, .. }) = layer
            else {
                continue;
            };
            if name.is_empty() {
                continue;
            }
            let class = class_of(*series);
            match layer {
                Layer::Line { .. } => svg.line(&format!("line {class}"), (x, 41.0), (x + 22.0, 41.0)),
                Layer::Points { .. } => svg.dot(&format!("dot {class}"), (x + 11.0, 41.0), 4.0, ""),
                _ => svg.rect(&format!("bar {class}"), (x + 4.0, 35.0), (14.0, 11.0), ""),
            }
            svg.text("tick", (x + 28.0, 45.0), Anchor::Start, name);
            x += 48.0 + 6.3 * name.chars().count() as f64;
        }
    }
}

pub(super) fn class_of(series: usize) -> &'static str {
    SERIES[series % SERIES.len()]
}

fn draw_layer(svg: &mut Svg, plane: &Plane, layer: &Layer) {
    match layer {
        Layer::Line { series, points, .. } => {
            let points: Vec<_> =
                points.iter().filter(|(x, y)| is_place(&[*x, *y])).map(|&point| plane.at(point)).collect();
            svg.path(&format!("line {}", class_of(*series)), &points);
        }
        Layer::Band { series, points } => {
            let points: Vec<_> = points.iter().filter(|(x, low, high)| is_place(&[*x, *low, *high])).collect();
            let above = points.iter().map(|&&(x, _, high)| plane.at((x, high)));
            let below = points.iter().rev().map(|&&(x, low, _)| plane.at((x, low)));
            svg.area(&format!("band {}", class_of(*series)), &above.chain(below).collect::<Vec<_>>());
        }
        Layer::Points { series, points, .. } => {
            let class = class_of(*series);
            for point in points.iter().filter(|point| is_place(&[point.x, point.y])) {
                let (x, y) = plane.at((point.x, point.y));
                if let Some((low, high)) = point.interval.filter(|&(low, high)| is_place(&[low, high])) {
                    svg.line(&format!("whisker {class}"), (x, plane.y(low)), (x, plane.y(high)));
                }
                svg.dot(&format!("dot {class}"), (x, y), 3.5, &point.hint);
            }
        }
        Layer::Bars { series, bars, .. } => {
            let class = format!("bar {}", class_of(*series));
            for bar in bars.iter().filter(|bar| is_place(&[bar.from, bar.until, bar.y])) {
                let (left, right, top) = (plane.x(bar.from), plane.x(bar.until), plane.y(bar.y));
                svg.rect(&class, (left, top), ((right - left).max(1.0), HEIGHT - BOTTOM - top), &bar.hint);
            }
        }
        Layer::Diagonal => {
            let (from, to) = shared_range(plane);
            svg.line("even", plane.at((from, from)), plane.at((to, to)));
        }
        Layer::Level { y, name } if y.is_finite() => {
            let height = plane.y(*y);
            svg.line("even", (LEFT, height), (WIDTH - RIGHT, height));
            svg.text("note", (LEFT + 6.0, height - 5.0), Anchor::Start, name);
        }
        Layer::Mark { at, name } if is_place(&[at.0, at.1]) => {
            let (x, y) = plane.at(*at);
            svg.dot("dot mark", (x, y), 5.0, name);
            let (shift, anchor) = if x > WIDTH - 220.0 { (-9.0, Anchor::End) } else { (9.0, Anchor::Start) };
            svg.text("mark", (x + shift, (y - 8.0).max(TOP + 10.0)), anchor, name);
        }
        Layer::Upright { x, name } if x.is_finite() => {
            let place = plane.x(*x);
            svg.line("mark", (place, TOP), (place, HEIGHT - BOTTOM));
            let (shift, anchor) = if place > WIDTH - 200.0 { (-6.0, Anchor::End) } else { (6.0, Anchor::Start) };
            svg.text("mark", (place + shift, TOP + 12.0), anchor, name);
        }
        Layer::Level { .. } | Layer::Mark { .. } | Layer::Upright { .. } => {}
    }
}

fn is_place(values: &[f64]) -> bool {
    values.iter().all(|value| value.is_finite())
}

/// The values that both axes hold.
fn shared_range(plane: &Plane) -> (f64, f64) {
    let ends = |scale: Scale| match scale {
        Scale::Linear { from, to } | Scale::Log { from, to } => (from, to),
    };
    let ((x_from, x_to), (y_from, y_to)) = (ends(plane.x), ends(plane.y));
    (x_from.max(y_from), x_to.min(y_to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(from: f64, to: f64) -> Axis {
        Axis { name: "share".into(), scale: Scale::Linear { from, to }, unit: Unit::Share }
    }

    #[test]
    fn every_layer_is_drawn_once_and_what_is_no_number_is_not() {
        let nan = f64::NAN;
        let plot = Plot {
            title: "All".into(),
            description: "One of each.".into(),
            x: axis(0.0, 1.0),
            y: axis(0.0, 1.0),
            layers: vec![
                Layer::Diagonal,
                Layer::Band { series: 0, points: vec![(0.0, 0.1, 0.2), (nan, 0.0, 0.0), (1.0, 0.3, 0.4)] },
                Layer::Line { series: 0, name: "line".into(), points: vec![(0.0, 0.1), (0.5, nan), (1.0, 0.9)] },
                Layer::Bars {
                    series: 1,
                    name: "bars".into(),
                    bars: vec![Bar { from: 0.0, until: 0.1, y: 0.5, hint: "half".into() }],
                },
                Layer::Points {
                    series: 2,
                    name: String::new(),
                    points: vec![
                        Point { x: 0.5, y: 0.5, interval: Some((0.4, 0.6)), hint: "here".into() },
                        Point { x: nan, y: 0.5, interval: None, hint: String::new() },
                    ],
                },
                Layer::Level { y: 0.02, name: "base".into() },
                Layer::Mark { at: (0.9, 0.5), name: "threshold".into() },
                Layer::Upright { x: nan, name: "nowhere".into() },
            ],
        };
        let text = plot.draw().standalone();
        let n = |what: &str| text.matches(what).count();
        assert_eq!(
            [n("class=\"line a\""), n("class=\"band a\""), n("class=\"dot c\""), n("class=\"whisker c\"")],
            [2, 1, 1, 1]
        );
        assert_eq!([n("class=\"bar b\""), n("class=\"dot mark\""), n("nowhere"), n("NaN")], [2, 1, 0, 0]);
        assert!(text.contains("M64 323L622 91"), "a line runs from (0, 0.1) to (1, 0.9): {text}");
    }
}
