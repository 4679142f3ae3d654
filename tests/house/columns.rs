//! The width of lines.

use crate::source::{Source, repository, rust_files, text_files};

/// As `max_width` in `.rustfmt.toml`, which leaves comments and macro calls alone.
const COLUMNS: usize = 120;

#[test]
fn no_line_is_wider_than_120_columns() {
    let settings = std::fs::read_to_string(repository().join(".rustfmt.toml")).expect("the repository has it");
    assert!(settings.contains(&format!("max_width = {COLUMNS}")), "rustfmt uses another width: {settings}");
    let mut offenders = Vec::new();
    for source in rust_files() {
        let strings = source.lines_with_strings_at(COLUMNS);
        let wide = wide_lines(source.text()).filter(|line| !strings.contains(line));
        offenders.extend(wide.map(|line| format!("{}:{line}", Source::name(&source))));
    }
    for (name, text) in text_files(&["toml", "wit"]) {
        offenders.extend(wide_lines(&text).map(|line| format!("{name}:{line}")));
    }
    crate::assert_none(&offenders, "lines of more than 120 columns (only a string literal may cross column 120)");
}

fn wide_lines(text: &str) -> impl Iterator<Item = usize> {
    text.lines().enumerate().filter(|(_, line)| line.chars().count() > COLUMNS).map(|(number, _)| number + 1)
}
