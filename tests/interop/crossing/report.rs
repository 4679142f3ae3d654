//! The matrix as a table, and the copy of it in `host/ssh/CLIENTS.md`.

use std::fmt::Write;

use whelk_tests::{provider_has, repository};

use super::run::{Crossed, all};

/// What stands before the copy, and behind it.
const MARKS: [&str; 2] = ["<!-- matrix: written by a test, see WHELK_BLESS -->\n", "<!-- end of the matrix -->"];

/// What came of all crossings: the clients by their headings.
pub(super) struct Matrix {
    columns: Vec<(&'static str, Vec<Crossed>)>,
}

impl Matrix {
    pub(super) fn new(columns: Vec<(&'static str, Vec<Crossed>)>) -> Self {
        Self { columns }
    }

    /// A table in Markdown: `●` for what was crossed, nothing for what the client does not have.
    pub(super) fn table(&self) -> String {
        let mut text = "| |".to_owned();
        self.columns.iter().for_each(|(heading, _)| text += &format!(" {heading} |"));
        text += "\n|---|";
        text += &":-:|".repeat(self.columns.len());
        text.push('\n');
        for crossing in all() {
            write!(text, "| `{crossing}` |").expect("a text can be written to");
            for (_, crossed) in &self.columns {
                text += match crossed.iter().find(|(one, _)| *one == crossing) {
                    Some((_, Ok(()))) => " ● |",
                    Some((_, Err(_))) => " failed |",
                    None => " |",
                };
            }
            text.push('\n');
        }
        text
    }

    /// What failed, each with its reason.
    pub(super) fn failures(&self) -> Vec<String> {
        let of = |(heading, crossed): &(&str, Vec<Crossed>)| {
            let failed = crossed.iter().filter_map(|(crossing, result)| Some((crossing, result.as_ref().err()?)));
            failed.map(|(crossing, error)| format!("{heading}: {crossing}: {error}")).collect::<Vec<_>>()
        };
        self.columns.iter().flat_map(of).collect()
    }
}

/// Compares the copy, or with `WHELK_BLESS=1` replaces it.
pub(super) fn check_copy(table: &str) {
    let path = repository().join("host/ssh/CLIENTS.md");
    let text = std::fs::read_to_string(&path).expect("the repository has it");
    let (before, rest) = text.split_once(MARKS[0]).expect("it has a place for the matrix");
    let (copy, after) = rest.split_once(MARKS[1]).expect("the matrix has an end");
    if std::env::var_os("WHELK_BLESS").is_some_and(|value| value == "1") {
        let text = format!("{before}{}{table}{}{after}", MARKS[0], MARKS[1]);
        std::fs::write(&path, text).expect("the repository can be written");
    } else {
        let copy: String = copy.split_inclusive('\n').filter(|row| provider_has(row)).collect();
        assert_eq!(copy, table, "host/ssh/CLIENTS.md shows another matrix: WHELK_BLESS=1 writes this one");
    }
}
