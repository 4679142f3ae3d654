//! How reports are written: values of a server's answer as words, and tables.

use std::fmt::Write;

use serde_json::Value;

use crate::observe::escape::escape;

/// How much of a digest is shown: enough to tell files apart at a glance.
const SHORT: usize = 12;

/// A text without control characters.
pub(in crate::cli) fn harmless(text: &str) -> String {
    escape(text.as_bytes()).to_string()
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
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..COLUMNS).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}
