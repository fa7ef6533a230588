//! Names, paragraphs and tables as a terminal shows them.

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};

use super::Style;

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
