//! Drift as a picture: the index of each figure with its bound, and that of the score week by week; one SVG without anything from
//! elsewhere.

use std::fmt::Write;

use crate::picture::{escape, ticks};

/// What is drawn.
pub(crate) struct Picture {
    pub(crate) title: String,
    /// An index below it is no drift.
    pub(crate) min_psi: f64,
    /// The score and the features.
    pub(crate) figures: Vec<Bar>,
    /// The score of each week.
    pub(crate) weeks: Vec<Bar>,
}

/// An index and its bound.
pub(crate) struct Bar {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) bound: f64,
    pub(crate) is_drifted: bool,
}

const WIDTH: f64 = 920.0;
const NAMES: f64 = 330.0;
const RIGHT: f64 = 90.0;
const TOP: f64 = 84.0;
const ROW: f64 = 22.0;
/// Longest name, in characters.
const LONGEST: usize = 46;

impl Picture {
    pub(crate) fn svg(&self) -> String {
        let second = TOP + ROW * self.figures.len() as f64 + 90.0;
        let height = if self.weeks.is_empty() { second - 40.0 } else { second + ROW * self.weeks.len() as f64 + 46.0 };
        let mut out = String::new();
        let _ = writeln!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
             font-family=\"Helvetica, Arial, DejaVu Sans, sans-serif\" font-size=\"12\" fill=\"#222\" role=\"img\">"
        );
        let _ = writeln!(out, "<title>{}</title>", escape(&self.title));
        let _ = writeln!(out, "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>");
        let _ = writeln!(
            out,
            "<text x=\"24\" y=\"32\" font-size=\"17\" font-weight=\"bold\">{}</text>",
            escape(&self.title)
        );
        let _ = writeln!(
            out,
            "<text x=\"24\" y=\"54\" fill=\"#666\">red: drifted · upright stroke: bound of chance · dashes: {}, below which nothing \
             counts</text>",
            self.min_psi
        );
        self.bars(&self.figures, TOP, &mut out);
        if !self.weeks.is_empty() {
            let _ = writeln!(
                out,
                "<text x=\"24\" y=\"{:.1}\" font-size=\"14\" font-weight=\"bold\">Score, week by week</text>",
                second - 14.0
            );
            self.bars(&self.weeks, second, &mut out);
        }
        out + "</svg>\n"
    }

    fn bars(&self, bars: &[Bar], top: f64, out: &mut String) {
        let largest = bars.iter().map(|bar| bar.value.max(bar.bound)).fold(self.min_psi, f64::max) * 1.05;
        let x = |value: f64| NAMES + value / largest * (WIDTH - NAMES - RIGHT);
        let bottom = top + ROW * bars.len() as f64 + 4.0;
        for (i, bar) in bars.iter().enumerate() {
            let y = top + ROW * i as f64;
            let colour = if bar.is_drifted { "#c0392b" } else { "#7f8c8d" };
            let name: String = match bar.name.chars().count() {
                n if n > LONGEST => bar.name.chars().take(LONGEST - 1).chain(['…']).collect(),
                _ => bar.name.clone(),
            };
            let _ = writeln!(
                out,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                NAMES - 8.0,
                y + 14.0,
                escape(&name)
            );
            let _ = writeln!(
                out,
                "<rect x=\"{NAMES}\" y=\"{:.1}\" width=\"{:.1}\" height=\"13\" fill=\"{colour}\"/>",
                y + 3.0,
                (x(bar.value) - NAMES).max(1.0)
            );
            let _ = writeln!(
                out,
                "<line x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{1:.1}\" y2=\"{2:.1}\" stroke=\"#222\"/>",
                x(bar.bound),
                y + 1.0,
                y + 18.0
            );
            let _ = writeln!(
                out,
                "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{:.4}</text>",
                x(bar.value.max(bar.bound)) + 6.0,
                y + 14.0,
                bar.value
            );
        }
        let _ = writeln!(
            out,
            "<line x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{top}\" y2=\"{bottom}\" stroke=\"#b36b00\" stroke-dasharray=\"4 3\"/>",
            x(self.min_psi)
        );
        let _ = writeln!(
            out,
            "<line x1=\"{NAMES}\" x2=\"{:.1}\" y1=\"{bottom}\" y2=\"{bottom}\" stroke=\"#444\"/>",
            WIDTH - RIGHT
        );
        for tick in ticks(0.0, largest) {
            let _ = writeln!(
                out,
                "<text x=\"{:.1}\" y=\"{:.1}\" font-size=\"11\" text-anchor=\"middle\">{}</text>",
                x(tick),
                bottom + 15.0,
                (tick * 1e6).round() / 1e6
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_they_say() {
        let bar = |value, is_drifted| Bar { name: "a < b".into(), value, bound: 0.05, is_drifted };
        let picture = Picture {
            title: "drift".into(),
            min_psi: 0.1,
            figures: vec![bar(0.4, true), bar(0.2, false)],
            weeks: vec![bar(0.1, false)],
        };
        let svg = picture.svg();
        let widths: Vec<f64> = svg
            .lines()
            .filter(|line| line.starts_with("<rect x="))
            .map(|line| line.split("width=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap())
            .collect();
        assert!((widths[0] / widths[1] - 2.0).abs() < 1e-2 && widths.len() == 3, "{widths:?}");
        assert!(svg.contains("a &lt; b") && svg.contains("Score, week by week"));
        assert!(!Picture { weeks: Vec::new(), ..picture }.svg().contains("week by week"));
    }
}
