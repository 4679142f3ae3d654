//! Public suites of shells, with dash and bash through the same harness.
//!
//! * yash's scripted tests (GPL-3.0-or-later, from the package yash-cli): the files `*-p.sh`, which any POSIX shell
//!   passes. They are fetched when the test runs, and are no part of this repository.
//! * brush's cases (MIT, from the package brush-shell): commands whose output bash itself says.
//!
//! `failures.txt` lists each case that fails, with the reason. The test fails when a case fails that is not listed, and
//! when one that is listed passes.
//!
//! Settings: `SUITE` a part of the names of the cases to run, `SUITE_SHOW` also shows what differs.

mod brush;
mod cases;
mod yash;

use cases::{Outcome, Shells, Verdicts};
use std::collections::BTreeMap;

/// The share of brush's cases that must pass, in percent.
const LEAST_OF_BRUSH: usize = 87;

/// The cases that are listed, with their reasons: the lines after `# reason`. A reason that begins with "either way: "
/// is of cases that depend on the order in which processes run.
fn listed() -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut reason = "";
    for line in include_str!("failures.txt").lines().filter(|line| !line.is_empty()) {
        match line.strip_prefix("# ") {
            Some(text) => reason = text,
            None => {
                all.insert(line.to_owned(), reason.to_owned());
            }
        }
    }
    all
}

#[test]
fn no_case_changes_its_verdict() {
    let shells = Shells::new();
    let wanted = std::env::var("SUITE").unwrap_or_default();
    let suites = [yash::run(&shells, &wanted), brush::run(&shells, &wanted)];
    for suite in &suites {
        suite.print();
    }
    let listed = listed();
    let mut wrong = Vec::new();
    for suite in &suites {
        for (name, verdicts) in &suite.cases {
            let key = format!("{}: {name}", suite.name);
            match (verdicts.ours, listed.get(&key)) {
                (Outcome::Failed, None) if verdicts.counts() => wrong.push(format!("fails and is not listed: {key}")),
                (Outcome::Passed, Some(reason)) if !reason.starts_with("either way: ") => {
                    wrong.push(format!("passes and is listed ({reason}): {key}"))
                }
                _ => {}
            }
        }
    }
    if wanted.is_empty() {
        let known = |key: &&String| {
            suites.iter().any(|suite| {
                key.strip_prefix(&format!("{}: ", suite.name)).is_some_and(|name| suite.cases.contains_key(name))
            })
        };
        wrong.extend(listed.keys().filter(|key| !known(key)).map(|key| format!("listed and not there: {key}")));
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
    let passes = |suite: &cases::Suite, oracle: fn(&Verdicts) -> Outcome| {
        let counted: Vec<&Verdicts> =
            suite.cases.values().filter(|verdicts| oracle(verdicts) == Outcome::Passed).collect();
        let passed = counted.iter().filter(|verdicts| verdicts.ours == Outcome::Passed).count();
        (passed, counted.len())
    };
    if wanted.is_empty() {
        let (passed, all) = passes(&suites[1], |verdicts| verdicts.bash);
        assert!(passed * 100 >= all * LEAST_OF_BRUSH, "brush: {passed} of {all}");
    }
}
