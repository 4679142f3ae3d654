//! Lines as rows of the screen.

use unicode_width::UnicodeWidthChar;
use unix_common::regex::Regex;

/// How lines are shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    /// Colours and the like are sent to the terminal. `-R`
    pub(crate) raw: bool,
    /// Lines have their numbers. `-N`
    pub(crate) numbers: bool,
    /// Long lines are cut. `-S`
    pub(crate) chop: bool,
    pub(crate) columns: usize,
}

/// The columns of a number and the blank after it.
const NUMBER: usize = 8;

/// The rows of a line, at least one. What the pattern matches is shown in reverse.
pub(crate) fn rows(line: &[u8], number: usize, style: Style, pattern: Option<&Regex>) -> Vec<String> {
    let margin = if style.numbers { NUMBER } else { 0 };
    let width = style.columns.saturating_sub(margin).max(1);
    let marks = matches(line, pattern);
    let head = |first: bool| match (style.numbers, first) {
        (false, _) => String::new(),
        (true, true) => format!("{:>7} ", number + 1),
        (true, false) => " ".repeat(NUMBER),
    };
    let (mut all, mut row, mut column, mut at) = (Vec::new(), head(true), 0, 0);
    // The colours that are on, for the next row.
    let mut colors = String::new();
    while at < line.len() {
        if style.raw
            && let Some(length) = escape_length(&line[at..])
        {
            let sequence = String::from_utf8_lossy(&line[at..at + length]).into_owned();
            if matches!(sequence.as_str(), "\x1b[m" | "\x1b[0m") {
                colors.clear();
            } else if sequence.ends_with('m') {
                colors.push_str(&sequence);
            }
            if sequence.ends_with('m') {
                row.push_str(&sequence);
            }
            at += length;
            continue;
        }
        let (shown, cells, length) = shown(&line[at..], column);
        if column + cells > width && column > 0 {
            if style.chop {
                break;
            }
            if !colors.is_empty() {
                row.push_str("\x1b[m");
            }
            all.push(std::mem::replace(&mut row, head(false)));
            row.push_str(&colors);
            column = 0;
            continue;
        }
        if marks.iter().any(|(from, to)| (*from..*to).contains(&at)) {
            row.push_str(&format!("\x1b[7m{shown}\x1b[27m"));
        } else {
            row.push_str(&shown);
        }
        column += cells;
        at += length;
    }
    if !colors.is_empty() {
        row.push_str("\x1b[m");
    }
    all.push(row);
    all
}

fn matches(line: &[u8], pattern: Option<&Regex>) -> Vec<(usize, usize)> {
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some((from, to)) = pattern.and_then(|pattern| pattern.find_at(line, at)) {
        found.push((from, to));
        at = to.max(from + 1);
        if at > line.len() {
            break;
        }
    }
    found
}

/// The bytes of a control sequence.
fn escape_length(text: &[u8]) -> Option<usize> {
    if !text.starts_with(b"\x1b[") {
        return None;
    }
    text[2..].iter().position(|byte| (0x40..=0x7e).contains(byte)).map(|end| end + 3)
}

/// How the first character is shown, in how many cells, and how many bytes it has.
fn shown(text: &[u8], column: usize) -> (String, usize, usize) {
    let character =
        (1..=4.min(text.len())).find_map(|length| std::str::from_utf8(&text[..length]).ok()?.chars().next());
    match character {
        Some('\t') => {
            let cells = 8 - column % 8;
            (" ".repeat(cells), cells, 1)
        }
        Some(control) if u32::from(control) < 32 || control == '\x7f' => {
            let caret = if control == '\x7f' { '?' } else { char::from(control as u8 + 64) };
            (format!("^{caret}"), 2, 1)
        }
        Some(character) => (character.to_string(), character.width().unwrap_or_default(), character.len_utf8()),
        None => (format!("<{:02X}>", text[0]), 4, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_wrapped_at_whole_characters() {
        let style = Style { raw: false, numbers: false, chop: false, columns: 5 };
        assert_eq!(rows("漢字漢字".as_bytes(), 0, style, None), ["漢字", "漢字"]);
        assert_eq!(rows(b"a\tb\x01", 0, Style { columns: 20, ..style }, None), ["a       b^A"]);
        assert_eq!(rows(b"abcdefg", 0, Style { chop: true, ..style }, None), ["abcde"]);
        let raw = Style { raw: true, ..style };
        assert_eq!(rows(b"\x1b[31mabcdef\x1b[m", 0, raw, None), ["\x1b[31mabcde\x1b[m", "\x1b[31mf\x1b[m"]);
        assert_eq!(rows(b"x", 0, Style { numbers: true, columns: 20, ..style }, None), ["      1 x"]);
        assert_eq!(rows(b"", 0, style, None), [""]);
    }
}
