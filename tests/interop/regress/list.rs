//! The list of scripts in `README.md`: a table whose rows are the script, its outcome, and the reason.

use std::fmt;

use whelk_tests::repository;

/// What a script says in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All of it.
    Passed,
    /// A part of it fails: how its complaints begin.
    Fails(Vec<String>),
    /// It asks sshd for something that Whelk has no setting for: what, as `sshd.py` calls it.
    Refused(String),
    /// It is not run.
    NotRun,
}

impl Outcome {
    /// Whether this outcome of a run is one that the list expects: every complaint begins as one of the list's, and
    /// each of those occurs.
    pub(super) fn is_expected(&self, listed: &Outcome) -> bool {
        let (Self::Fails(complaints), Self::Fails(begin)) = (self, listed) else { return self == listed };
        let begins = |complaint: &String, start: &String| complaint.starts_with(start);
        complaints.iter().all(|complaint| begin.iter().any(|start| begins(complaint, start)))
            && begin.iter().all(|start| complaints.iter().any(|complaint| begins(complaint, start)))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.write_str("passed"),
            Self::Fails(complaints) => write!(f, "fails: {}", complaints.join("; ")),
            Self::Refused(what) => write!(f, "not applicable: no `{what}`"),
            Self::NotRun => f.write_str("not applicable"),
        }
    }
}

/// A row.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) script: String,
    pub(super) outcome: Outcome,
    /// Keywords of sshd_config that are left out of its configuration: `without` and their names in the third column.
    pub(super) left_out: Vec<String>,
}

impl Entry {
    /// Whether the outcome is checked.
    pub(super) fn runs(&self) -> bool {
        self.outcome != Outcome::NotRun
    }
}

/// All rows.
pub(super) fn entries() -> Vec<Entry> {
    let path = repository().join("tests/interop/regress/README.md");
    let text = std::fs::read_to_string(&path).expect("the list is checked in");
    text.lines().filter(|line| line.starts_with("| `")).map(entry).collect()
}

fn entry(line: &str) -> Entry {
    let columns: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    let [script, outcome, reason] = columns[..] else { panic!("three columns in {line:?}") };
    // What is quoted behind a word, up to the next such word.
    let after = |word: &str| -> Vec<String> {
        let Some(at) = reason.find(word) else { return Vec::new() };
        let rest = &reason[at..];
        let rest = rest[1..].find(" without `").map_or(rest, |end| &rest[..=end]);
        rest.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let outcome = match outcome {
        "passed" => Outcome::Passed,
        "fails" => Outcome::Fails(after("says ")),
        "not applicable" => match reason.strip_prefix("no `").and_then(|rest| rest.split_once('`')) {
            Some((what, _)) => Outcome::Refused(what.to_owned()),
            None => Outcome::NotRun,
        },
        other => panic!("no outcome {other:?} in {line:?}"),
    };
    assert!(outcome == Outcome::Passed || !reason.is_empty(), "a reason is missing in {line:?}");
    let left_out = after("without `");
    Entry { script: script.trim_matches('`').to_owned(), outcome, left_out }
}
