//! Numbers, names and paragraphs as people read them.

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};

use super::Style;
use crate::report::IsoTime;

pub(super) const NOT_DEFINED: &str = "n/a";

/// `1,754,155`.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3 + 1);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share as a percentage with the digits that tell: `0.837 %`, `12.4 %`, `100 %`.
pub(super) fn percent(share: Option<f64>) -> String {
    let Some(share) = share.filter(|share| share.is_finite()) else { return NOT_DEFINED.to_owned() };
    let value = share * 100.0;
    match value {
        0.0 => "0 %".to_owned(),
        100.0 => "100 %".to_owned(),
        v if v < 0.9995 => format!("{v:.3} %"),
        v if !(9.995..=99.0).contains(&v) => format!("{v:.2} %"),
        v => format!("{v:.1} %"),
    }
}

/// A figure from 0 to 1 with four digits.
pub(super) fn figure(value: Option<f64>) -> String {
    value.filter(|value| value.is_finite()).map_or_else(|| NOT_DEFINED.to_owned(), |value| format!("{value:.4}"))
}

/// `EUR 33,120.50`; whole amounts and those from a million up without decimals.
pub(super) fn money(amount: f64, currency: Option<&str>) -> String {
    if !amount.is_finite() {
        return NOT_DEFINED.to_owned();
    }
    let cents = (amount.abs() * 100.0).round();
    let (whole, rest) = ((cents / 100.0).floor(), cents % 100.0);
    let sign = if amount < 0.0 { "-" } else { "" };
    let number = if rest == 0.0 || whole >= 1e6 {
        format!("{sign}{}", count(amount.abs().round() as u64))
    } else {
        format!("{sign}{}.{rest:02.0}", count(whole as u64))
    };
    currency.map_or(number.clone(), |currency| format!("{currency} {number}"))
}

/// `2018-04-01 00:00`, in UTC.
pub(super) fn minute(time: Option<IsoTime>) -> String {
    time.map_or_else(
        || NOT_DEFINED.to_owned(),
        |time| time.to_string().chars().take(16).collect::<String>().replace('T', " "),
    )
}

/// `2018-04-01`.
pub(super) fn day(time: IsoTime) -> String {
    time.to_string().chars().take(10).collect()
}

/// `0.04 s`, `12.3 s`, `3 min 05 s`.
pub(super) fn seconds(value: f64) -> String {
    match value {
        v if !v.is_finite() || v < 0.0 => NOT_DEFINED.to_owned(),
        v if v < 9.995 => format!("{v:.2} s"),
        v if v < 119.95 => format!("{v:.1} s"),
        v => format!("{} min {:02} s", v.round() as u64 / 60, v.round() as u64 % 60),
    }
}

/// `512 MB`, `1.4 GB` (powers of ten).
pub(super) fn bytes(n: u64) -> String {
    if n < 1_000_000_000 { format!("{:.0} MB", n as f64 / 1e6) } else { format!("{:.1} GB", n as f64 / 1e9) }
}

/// `1 order`, `2 orders`.
pub(super) fn counted(n: u64, one: &str) -> String {
    format!("{} {one}{}", count(n), if n == 1 { "" } else { "s" })
}

/// A name from the data without control characters, and without anything but ASCII where the style asks for that.
pub(super) fn clean(text: &str, style: &Style) -> String {
    // Directional marks could make a name read as another one.
    let hidden =
        |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    let keep = |c: char| if c.is_control() || hidden(c) || (style.ascii && !c.is_ascii()) { '?' } else { c };
    text.chars().map(keep).collect()
}

/// The text cut to `max` characters, the last of them an ellipsis where something is missing.
pub(super) fn shorten(text: &str, max: usize, style: &Style) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let kept: String = text.chars().take(max.saturating_sub(if style.ascii { 2 } else { 1 })).collect();
    kept + if style.ascii { ".." } else { "…" }
}

/// Breaks a paragraph at spaces into lines of at most `width` characters (a longer word stands alone), each ending with a
/// newline. `first` goes before the first line, `rest` spaces before the others.
pub(super) fn wrap(text: &str, width: usize, first: &str, rest: usize) -> String {
    let mut out = first.to_owned();
    let mut used = first.chars().count();
    let mut fresh = true;
    let mut words = text.split_whitespace().peekable();
    while let Some(word) = words.next() {
        // A number stays with its percent sign.
        let word = match words.next_if(|next| next.starts_with('%')) {
            Some(sign) => format!("{word} {sign}"),
            None => word.to_owned(),
        };
        let length = word.chars().count();
        if !fresh && used + 1 + length > width {
            let indent = first.chars().count() + rest;
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent));
            used = indent;
            fresh = true;
        }
        if !fresh {
            out.push(' ');
            used += 1;
        }
        out.push_str(&word);
        used += length;
        fresh = false;
    }
    out.push('\n');
    out
}

/// A table with a line below the header and no other lines, at most as wide as the style allows. `right` names the
/// columns that are aligned right.
pub(super) fn table(header: &[&str], rows: Vec<Vec<String>>, right: &[usize], style: &Style) -> String {
    let line = style.sign('─', '-');
    let mut table = Table::new();
    table.load_style(TableStyle::new().header_separator(LineStyle::none().fill(line).junction(line)));
    table.force_no_tty().set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(style.columns() - 2).unwrap_or(u16::MAX));
    table.set_header(header.iter().map(|cell| (*cell).to_owned()));
    table.add_rows(rows);
    for (i, column) in table.column_iter_mut().enumerate() {
        // The column separator adds one.
        column.set_padding((0, 1));
        if right.contains(&i) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| format!("  {}\n", line.trim_end())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_people_read_them() {
        assert_eq!([count(0), count(999), count(1_000), count(1_754_155)], ["0", "999", "1,000", "1,754,155"]);
        for (share, shown) in [
            (0.0, "0 %"),
            (0.00005, "0.005 %"),
            (0.00837, "0.837 %"),
            (0.1244, "12.4 %"),
            (0.9996, "99.96 %"),
            (0.0112, "1.12 %"),
            (1.0, "100 %"),
        ] {
            assert_eq!(percent(Some(share)), shown);
        }
        assert_eq!([percent(None), percent(Some(f64::NAN)), figure(None)], ["n/a"; 3]);
        assert_eq!(money(33_120.5, Some("EUR")), "EUR 33,120.50");
        assert_eq!([money(-0.999, None), money(1_234_567.891, None), money(20.0, None)], ["-1", "1,234,568", "20"]);
        assert_eq!([seconds(0.041), seconds(12.34), seconds(185.2)], ["0.04 s", "12.3 s", "3 min 05 s"]);
        assert_eq!([bytes(512_400_000), bytes(1_440_000_000)], ["512 MB", "1.4 GB"]);
        assert_eq!([counted(1, "order"), counted(1_000, "order")], ["1 order", "1,000 orders"]);
    }

    #[test]
    fn names_cannot_command_the_terminal() {
        let style = Style::default();
        assert_eq!(clean("a\x1b[31mb\r\n\u{202e}é", &style), "a?[31mb???é");
        assert_eq!(clean("é", &Style { ascii: true, ..style }), "?");
        assert_eq!(shorten("abcdef", 4, &style), "abc…");
    }

    #[test]
    fn paragraphs_keep_to_the_width() {
        assert_eq!(wrap("one two three", 9, "- ", 0), "- one two\n  three\n");
        assert_eq!(wrap("incomprehensibilities a", 5, "", 0), "incomprehensibilities\na\n");
        assert_eq!(wrap("", 5, "", 0), "\n");
        assert_eq!(wrap("so 0.5 % of", 6, "", 0), "so\n0.5 %\nof\n");
    }
}
