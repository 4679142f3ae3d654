//! How reports are written: values of a server's answer as words, and tables.

use std::fmt::Write;

use serde_json::Value;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::locale::{self, padded};
use crate::observe::escape::escape;

/// How much of a digest is shown: enough to tell files apart at a glance.
const SHORT: usize = 12;

/// A text without control characters. What is beyond US-ASCII is shown if the locale is one of UTF-8, and if it takes a
/// column: a combining character would change another one.
pub(in crate::cli) fn harmless(text: &str) -> String {
    shown(text, locale::is_utf8())
}

fn shown(text: &str, is_utf8: bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in escape(text.as_bytes()).to_string().chars() {
        if character.is_ascii() || is_utf8 && character.width().is_some_and(|columns| columns > 0) {
            shown.push(character);
        } else {
            let _ = write!(shown, "\\u{{{:x}}}", u32::from(character));
        }
    }
    shown
}

/// How long something has been so.
pub(super) fn seconds(value: &Value) -> String {
    format!("{} s", value["for_s"].as_u64().unwrap_or_default())
}

/// The first digits of a digest.
pub(super) fn digest(value: &Value) -> String {
    words(value).chars().take(SHORT).collect()
}

pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub(super) fn words(value: &Value) -> String {
    harmless(value.as_str().unwrap_or_default())
}

/// Columns as wide as their widest word, two spaces apart.
pub(in crate::cli) fn aligned<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].width()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..COLUMNS).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| padded(cell, *width));
        let line = cells.collect::<Vec<_>>().join("  ");
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locale_without_utf_8_shows_ascii_alone_and_none_shows_what_takes_no_column() {
        let name = "Zoe\u{308} 漢\u{1b}\\";
        assert_eq!(shown(name, true), "Zoe\\u{308} 漢\\x1b\\\\");
        assert_eq!(shown(name, false), "Zoe\\u{308} \\u{6f22}\\x1b\\\\");
    }

    #[test]
    fn columns_begin_below_each_other_whatever_the_width_of_their_characters() {
        let rows = [["NAME", "AGE"], ["漢字漢", "1"], ["é", "2"]].map(|row| row.map(str::to_owned));
        assert_eq!(aligned(&rows), "NAME    AGE\n漢字漢  1\né       2\n");
    }
}
