//! Mistakes in configurations and their error messages: the rows of `mistakes.txt`.
//!
//! A row is the text of a configuration after `--- mistake`, and its errors after `--- refused`, a line each.

#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod host_keys;

use std::fs;

use whelk::config::{Config, Overrides};

const ROWS: &str = include_str!("mistakes.txt");
const MISTAKE: &str = "--- mistake\n";
const REFUSED: &str = "--- refused\n";

/// The errors of a text, in a folder with the plugins `echo` and `probe`, without the folder in the paths.
fn refused(text: &str) -> String {
    let place = tempfile::tempdir().unwrap();
    for folder in ["plugins", "keys", "d"] {
        fs::create_dir(place.path().join(folder)).unwrap();
    }
    for file in ["plugins/echo.wasm", "plugins/probe.wasm", "keys/alice"] {
        fs::write(place.path().join(file), "").unwrap();
    }
    let file = place.path().join("w.toml");
    fs::write(&file, text).unwrap();
    let refused = Config::load(&file, &Overrides::default()).map(|_| ());
    let folder = format!("{}/", place.path().display());
    refused.err().map(|refused| format!("{refused}\n")).unwrap_or_default().replace(&folder, "")
}

#[test]
fn each_mistake_is_refused_with_what_is_wrong_where_and_what_to_write() {
    let rows: Vec<(&str, &str)> = ROWS.split(MISTAKE).skip(1).map(|row| row.split_once(REFUSED).unwrap()).collect();
    assert!(rows.len() > 100, "{}", rows.len());
    let differs = |(text, expected): &&(&str, &str)| refused(text) != expected.trim_start_matches('\n');
    let wrong: Vec<String> = rows
        .iter()
        .filter(differs)
        .map(|(text, expected)| format!("{text}expected:\n{expected}is:\n{}", refused(text)))
        .collect();
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}
