//! Contributions to a score as a picture: bars that lead from the expected score to the order's, as one SVG without anything
//! from elsewhere.

use std::fmt::Write;

/// What is drawn.
pub(crate) struct Picture {
    pub(crate) title: String,
    /// Where the bars begin, and what that is.
    pub(crate) start: (f64, String),
    /// Where they end, and what that is.
    pub(crate) end: (f64, String),
    /// A line to look at, and its name.
    pub(crate) threshold: Option<(f64, String)>,
    pub(crate) axis: String,
    /// Whether decimals stand behind a comma.
    pub(crate) has_comma: bool,
    pub(crate) bars: Vec<Bar>,
}

/// One contribution.
pub(crate) struct Bar {
    pub(crate) text: String,
    pub(crate) log_odds: f64,
    pub(crate) probability: f64,
}

const WIDTH: f64 = 920.0;
/// Space beside the bars for their numbers.
const LEFT: f64 = 24.0;
const RIGHT: f64 = 190.0;
const TOP: f64 = 108.0;
const ROW: f64 = 46.0;
/// Longest line of words, in characters.
const LINE: usize = 128;

impl Picture {
    pub(crate) fn svg(&self) -> String {
        let bottom = TOP + ROW * self.bars.len() as f64;
        let height = bottom + 54.0;
        let (low, high) = self.range();
        let x = |value: f64| LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT);
        let mut out = String::new();
        let _ = writeln!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
             font-family=\"Helvetica, Arial, DejaVu Sans, sans-serif\" font-size=\"13\" fill=\"#222\" role=\"img\">"
        );
        let _ = writeln!(out, "<title>{}</title>", escape(&self.title));
        let _ = writeln!(out, "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>");
        let _ = writeln!(
            out,
            "<text x=\"{LEFT}\" y=\"34\" font-size=\"18\" font-weight=\"bold\">{}</text>",
            escape(&self.title)
        );
        let _ = writeln!(out, "<text x=\"{LEFT}\" y=\"56\">{} → {}</text>", escape(&self.start.1), escape(&self.end.1));
        // Dashes where the bars begin and where orders are stopped, beside the bars and not across the words.
        let mut upright = |value: f64, colour: &str, name: &str, y: f64| {
            let at = x(value);
            for i in 0..self.bars.len() {
                let top = TOP + ROW * i as f64 + 18.0;
                let _ = writeln!(
                    out,
                    "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{top}\" y2=\"{}\" stroke=\"{colour}\" stroke-dasharray=\"3 2\"/>",
                    top + 18.0
                );
            }
            let _ = writeln!(
                out,
                "<text x=\"{at:.1}\" y=\"{y}\" font-size=\"11\" fill=\"{colour}\" text-anchor=\"{}\">{} {}</text>",
                if at > WIDTH - RIGHT - 120.0 { "end" } else { "start" },
                escape(name),
                self.decimal(format!("{value:.2}"))
            );
        };
        upright(self.start.0, "#888", "", 78.0);
        if let Some((value, name)) = self.threshold.as_ref().filter(|found| (low..=high).contains(&found.0)) {
            upright(*value, "#b36b00", name, 92.0);
        }
        let mut at = self.start.0;
        for (i, bar) in self.bars.iter().enumerate() {
            let y = TOP + ROW * i as f64;
            let (from, to) = (x(at), x(at + bar.log_odds));
            let colour = if bar.log_odds >= 0.0 { "#c0392b" } else { "#2471a3" };
            let _ = writeln!(out, "<text x=\"{LEFT}\" y=\"{:.1}\">{}</text>", y + 13.0, escape(&shortened(&bar.text)));
            let _ = writeln!(
                out,
                "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"14\" rx=\"2\" fill=\"{colour}\"/>",
                from.min(to),
                y + 20.0,
                (to - from).abs().max(1.0)
            );
            let _ = writeln!(
                out,
                "<text x=\"{:.1}\" y=\"{:.1}\" font-size=\"12\" fill=\"{colour}\">{}</text>",
                from.max(to) + 6.0,
                y + 32.0,
                self.decimal(format!("{:+.2} ({:+.2} %)", bar.log_odds, 100.0 * bar.probability))
            );
            at += bar.log_odds;
        }
        let y = bottom + 10.0;
        let _ =
            writeln!(out, "<line x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{y}\" y2=\"{y}\" stroke=\"#444\"/>", WIDTH - RIGHT);
        for tick in ticks(low, high) {
            let at = x(tick);
            let _ =
                writeln!(out, "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{y}\" y2=\"{:.1}\" stroke=\"#444\"/>", y + 4.0);
            let _ = writeln!(
                out,
                "<text x=\"{at:.1}\" y=\"{:.1}\" font-size=\"11\" text-anchor=\"middle\">{}</text>",
                y + 17.0,
                self.decimal(((tick * 1e6).round() / 1e6).to_string())
            );
        }
        let _ = writeln!(
            out,
            "<text x=\"{LEFT}\" y=\"{:.1}\" font-size=\"11\" fill=\"#666\">{}</text>",
            y + 34.0,
            escape(&self.axis)
        );
        out + "</svg>\n"
    }

    fn decimal(&self, text: String) -> String {
        if self.has_comma { text.replace('.', ",") } else { text }
    }

    /// From the lowest to the highest point that a bar reaches, and a little more.
    fn range(&self) -> (f64, f64) {
        let mut at = self.start.0;
        let (mut low, mut high) = (at.min(self.end.0), at.max(self.end.0));
        for bar in &self.bars {
            at += bar.log_odds;
            (low, high) = (low.min(at), high.max(at));
        }
        let space = ((high - low) * 0.04).max(0.05);
        (low - space, high + space)
    }
}

/// Round numbers between two others, five or so.
pub(crate) fn ticks(low: f64, high: f64) -> Vec<f64> {
    let rough = (high - low) / 5.0;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|n| n * power).find(|step| *step >= rough).unwrap_or(rough);
    let first = (low / step).ceil();
    (0..20).map(|i| (first + f64::from(i)) * step).take_while(|tick| *tick <= high).collect()
}

fn shortened(text: &str) -> String {
    let n = text.chars().count();
    if n <= LINE {
        return text.to_owned();
    }
    // The numbers stand at the beginning or at the end.
    let head = LINE / 2;
    text.chars().take(head).chain(['…']).chain(text.chars().skip(n - (LINE - head - 1))).collect()
}

/// Text of an element: no mark-up, no control characters.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped_and_bars_meet() {
        let bar = |log_odds, text: &str| Bar { text: text.into(), log_odds, probability: 0.1 };
        let picture = Picture {
            title: "Order <1> & \"2\"".into(),
            start: (-3.0, "from".into()),
            end: (1.0, "to".into()),
            threshold: Some((0.5, "threshold".into())),
            axis: "log-odds".into(),
            has_comma: false,
            bars: vec![bar(5.0, "up"), bar(-1.0, &format!("{}: 1.3, usually 0", "long ".repeat(60)))],
        };
        let svg = picture.svg();
        assert!(svg.contains("Order &lt;1&gt; &amp; &quot;2&quot;") && !svg.contains("<1>"));
        assert!(svg.contains('…') && svg.contains(": 1.3, usually 0</text>"), "numbers at the end stay");
        let numbers = |name: &str| -> Vec<f64> {
            let bars = svg.lines().filter(|line| line.starts_with("<rect x="));
            bars.map(|line| {
                line.split(&format!(" {name}=\"")).nth(1).unwrap().split('"').next().unwrap().parse().unwrap()
            })
            .collect()
        };
        let (x, width) = (numbers("x"), numbers("width"));
        // The second bar goes back from where the first ended.
        assert!((x[0] + width[0] - (x[1] + width[1])).abs() < 0.2, "{x:?} {width:?}");
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks(-3.1, 1.2), [-3.0, -2.0, -1.0, 0.0, 1.0]);
        assert_eq!(ticks(0.0, 0.1).len(), 6);
    }
}
