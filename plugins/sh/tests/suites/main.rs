//! Public suites of shells, with dash and bash through the same harness.
//!
//! * yash's scripted tests (GPL-3.0-or-later, from the package yash-cli): the files `*-p.sh`, which any POSIX shell
//!   passes. They are fetched when the test runs, and are no part of this repository.
//! * brush's cases (MIT, from the package brush-shell): commands whose output bash itself says.
//!
//! * just-bash's cases (Apache-2.0, from the package just-bash of PyPI): those of the Oils project, and its comparisons
//!   with bash.
//!
//! `failures.txt` lists each case that fails, with the reason. The test fails when a case fails that is not listed, and
//! when one that is listed passes.
//!
//! Settings: `WHELK_PROVE` runs every case, not only some of each class; `SUITE` runs those whose name contains it, or
//! one of its lines; `SUITE_SHOW` also shows what differs.

mod brush;
mod cases;
mod just_bash;
mod yash;

use cases::{Outcome, Shells, Suite, Verdicts};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// The least shares of the cases that bash passes, in percent.
const LEAST: [(&str, usize); 2] = [("brush", 94), ("just-bash", 92)];

/// Without `WHELK_PROVE` one of so many cases of each class is run, and at least one.
const SLICE: u32 = 16;

/// The files of yash that are run without `WHELK_PROVE`: about one of each kind, and quick.
const SLICE_OF_YASH: &[&str] =
    &["case-p.sh", "errexit-p.sh", "exit-p.sh", "fsplit-p.sh", "param-p.sh", "redir-p.sh", "set-p.sh", "tilde-p.sh"];

/// Which cases are run.
enum Chosen {
    All,
    /// Those whose name contains one of these.
    Named(Vec<String>),
    Slice,
}

impl Chosen {
    fn new() -> Self {
        match std::env::var("SUITE") {
            Ok(names) if !names.is_empty() => Self::Named(names.lines().map(str::to_owned).collect()),
            _ if std::env::var_os("WHELK_PROVE").is_some() => Self::All,
            _ => Self::Slice,
        }
    }

    /// Whether a case is run, for a suite whose cases are asked for one after another.
    fn picker(&self) -> impl Fn(&str) -> bool {
        let seen: RefCell<BTreeMap<String, u32>> = RefCell::default();
        move |name| match self {
            Self::All => true,
            Self::Named(parts) => parts.iter().any(|part| name.contains(part)),
            Self::Slice => {
                let mut seen = seen.borrow_mut();
                let count = seen.entry(name.split(": ").next().unwrap_or_default().to_owned()).or_default();
                *count += 1;
                *count % SLICE == 1
            }
        }
    }

    fn has_file(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(parts) => parts.iter().any(|part| part.contains(name)),
            Self::Slice => SLICE_OF_YASH.contains(&name),
        }
    }
}

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
    let chosen = Chosen::new();
    let mut suites = [
        yash::run(&shells, &|name| chosen.has_file(name)),
        brush::run(&shells, &chosen.picker()),
        just_bash::run(&shells, &chosen.picker()),
    ];
    let listed = listed();
    // A busy machine may take longer for a case than it has: what fails unexpectedly is run once more.
    for (suite, again) in suites.iter_mut().skip(1).zip([brush::run, just_bash::run]) {
        let name = suite.name;
        let is_wrong = |case: &str, verdicts: &Verdicts| {
            verdicts.ours == Outcome::Failed && verdicts.counts() && !listed.contains_key(&format!("{name}: {case}"))
        };
        let wrong: BTreeSet<String> = suite
            .cases
            .iter()
            .filter(|(case, verdicts)| is_wrong(case, verdicts))
            .map(|(case, _)| case.clone())
            .collect();
        if !wrong.is_empty() {
            suite.cases.extend(again(&shells, &|case| wrong.contains(case)).cases);
        }
    }
    for suite in &suites {
        suite.print();
    }
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
    if let Chosen::All = chosen {
        let known = |key: &&String| {
            suites.iter().any(|suite| {
                key.strip_prefix(&format!("{}: ", suite.name)).is_some_and(|name| suite.cases.contains_key(name))
            })
        };
        wrong.extend(listed.keys().filter(|key| !known(key)).map(|key| format!("listed and not there: {key}")));
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
    if let Chosen::All = chosen {
        for (name, least) in LEAST {
            let (passed, all) = suites.iter().find(|suite| suite.name == name).map(passes).expect("it was run");
            assert!(passed * 100 >= all * least, "{name}: {passed} of {all}");
        }
    }
}

/// How many cases pass of those that bash passes.
fn passes(suite: &Suite) -> (usize, usize) {
    let counted: Vec<&Verdicts> = suite.cases.values().filter(|verdicts| verdicts.bash == Outcome::Passed).collect();
    let passed = counted.iter().filter(|verdicts| verdicts.ours == Outcome::Passed).count();
    (passed, counted.len())
}
