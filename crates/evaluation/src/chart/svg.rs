//! One SVG picture, written element by element.
//!
//! Shapes have classes and no colours of their own: the style sheet gives these, for light and dark screens and for print.

use std::fmt::{self, Write};

/// Colours and lines of all charts, for a page that holds charts; a chart alone brings them along. Without variables, which not
/// every viewer of SVG knows.
pub const STYLE: &str = include_str!("chart.css");

/// Other colours, for dark screens, behind [`STYLE`].
pub const DARK_STYLE: &str = include_str!("dark.css");

/// Where a text ends up beside its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// To the right of it.
    Start,
    /// Across it.
    Middle,
    /// To the left of it.
    End,
}

/// A picture in the making. Lengths are in pixels, from the upper left corner.
#[derive(Clone, Debug)]
pub struct Svg {
    width: f64,
    height: f64,
    body: String,
}

impl Svg {
    /// An empty picture.
    pub fn new(width: f64, height: f64) -> Self {
        Self { width, height, body: String::new() }
    }

    /// A straight line.
    pub fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let [(x1, y1), (x2, y2)] = [from, to].map(|(x, y)| (Short(x), Short(y)));
        self.add(format_args!("<line class=\"{class}\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>"));
    }

    /// Straight lines from point to point; nothing for fewer than two points.
    pub fn path(&mut self, class: &str, points: &[(f64, f64)]) {
        if points.len() > 1 {
            self.add(format_args!("<path class=\"{class}\" d=\"{}\"/>", Path(points)));
        }
    }

    /// The area that the points go round.
    pub fn area(&mut self, class: &str, points: &[(f64, f64)]) {
        if points.len() > 2 {
            self.add(format_args!("<path class=\"{class}\" d=\"{}Z\"/>", Path(points)));
        }
    }

    /// A rectangle; what is shown of it while the pointer rests there.
    pub fn rect(&mut self, class: &str, corner: (f64, f64), size: (f64, f64), hint: &str) {
        let [(x, y), (width, height)] = [corner, size].map(|(x, y)| (Short(x), Short(y)));
        self.add(format_args!(
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\">{}</rect>",
            Hint(hint)
        ));
    }

    /// A dot, with a hint as [`Svg::rect`] has one.
    pub fn dot(&mut self, class: &str, centre: (f64, f64), radius: f64, hint: &str) {
        let (x, y) = (Short(centre.0), Short(centre.1));
        self.add(format_args!(
            "<circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"{}\">{}</circle>",
            Short(radius),
            Hint(hint)
        ));
    }

    /// One line of text.
    pub fn text(&mut self, class: &str, at: (f64, f64), anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let (x, y) = (Short(at.0), Short(at.1));
        self.add(format_args!(
            "<text class=\"{class}\" x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{}</text>",
            Escaped(text)
        ));
    }

    /// One line of text from below upwards, its middle at the point.
    pub fn upright(&mut self, class: &str, at: (f64, f64), text: &str) {
        let (x, y) = (Short(at.0), Short(at.1));
        self.add(format_args!(
            "<text class=\"{class}\" transform=\"translate({x} {y}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            Escaped(text)
        ));
    }

    fn add(&mut self, element: fmt::Arguments<'_>) {
        let _ = writeln!(self.body, "{element}");
    }

    /// The finished picture, told to those who cannot see it by a title and a description.
    pub fn finish(self, title: &str, description: &str) -> Picture {
        Picture {
            width: self.width,
            height: self.height,
            body: self.body,
            title: title.into(),
            description: description.into(),
        }
    }
}

/// A finished picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    width: f64,
    height: f64,
    body: String,
    /// What it shows.
    pub title: String,
    /// What one sees in it, in a sentence or two.
    pub description: String,
}

impl Picture {
    /// For a page that holds [`STYLE`]; `id` tells it from the page's other pictures.
    pub fn inline(&self, id: &str) -> String {
        let head = format!("role=\"img\" aria-labelledby=\"{id}-title {id}-text\"");
        self.element(&head, &format!("{id}-title"), &format!("{id}-text"), "")
    }

    /// A file of its own.
    pub fn standalone(&self) -> String {
        let head = format!(
            "xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\" role=\"img\" aria-labelledby=\"title text\"",
            Short(self.width),
            Short(self.height)
        );
        let first = format!("<style>{STYLE}</style>\n<rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n");
        self.element(&head, "title", "text", &first)
    }

    fn element(&self, head: &str, title_id: &str, text_id: &str, first: &str) -> String {
        format!(
            "<svg class=\"chart\" viewBox=\"0 0 {} {}\" {head}>\n<title id=\"{title_id}\">{}</title>\n\
             <desc id=\"{text_id}\">{}</desc>\n{first}{}</svg>\n",
            Short(self.width),
            Short(self.height),
            Escaped(&self.title),
            Escaped(&self.description),
            self.body
        )
    }
}

/// A length with at most one decimal, never an exponent; what is no number lies at 0.
struct Short(f64);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = if self.0.is_finite() { (self.0 * 10.0).round().clamp(-1e9, 1e9) as i64 } else { 0 };
        write!(f, "{}{}", if tenths < 0 { "-" } else { "" }, tenths.abs() / 10)?;
        match tenths.abs() % 10 {
            0 => Ok(()),
            tenth => write!(f, ".{tenth}"),
        }
    }
}

struct Path<'a>(&'a [(f64, f64)]);

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, &(x, y)) in self.0.iter().enumerate() {
            write!(f, "{}{} {}", if i == 0 { 'M' } else { 'L' }, Short(x), Short(y))?;
        }
        Ok(())
    }
}

/// What a pointer that rests on a shape is told.
struct Hint<'a>(&'a str);

impl fmt::Display for Hint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, "<title>{}</title>", Escaped(self.0)) }
    }
}

/// Text as XML and HTML take it; characters that XML forbids become a replacement sign.
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;"),
                '<' => f.write_str("&lt;"),
                '>' => f.write_str("&gt;"),
                '"' => f.write_str("&quot;"),
                '\'' => f.write_str("&#39;"),
                c if (c < ' ' && c != '\t' && c != '\n') || c == '\u{fffe}' || c == '\u{ffff}' => {
                    f.write_char('\u{fffd}')
                }
                c => f.write_char(c),
            }?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_short_and_never_strange() {
        let shown = |x: f64| Short(x).to_string();
        assert_eq!(
            [12.0, 12.34, -0.04, -0.06, 1e300, f64::NAN].map(shown),
            ["12", "12.3", "0", "-0.1", "100000000", "0"]
        );
    }

    #[test]
    fn words_from_outside_stay_words() {
        let mut svg = Svg::new(10.0, 10.0);
        svg.text("label", (0.0, 0.0), Anchor::Start, "<script>&\"'\u{1}");
        svg.dot("a", (1.0, 1.0), 2.0, "</title>");
        let text = svg.finish("a < b", "b > a").standalone();
        assert!(
            text.contains("&lt;script&gt;&amp;&quot;&#39;\u{fffd}") && text.contains("<title>&lt;/title&gt;</title>")
        );
        assert!(text.contains("a &lt; b") && text.contains("b &gt; a") && !text.contains("<script>"));
    }

    #[test]
    fn lines_without_length_are_left_out() {
        let mut svg = Svg::new(10.0, 10.0);
        svg.path("a", &[(1.0, 1.0)]);
        svg.area("a", &[(1.0, 1.0), (2.0, 2.0)]);
        assert_eq!(svg.body, "");
    }
}
