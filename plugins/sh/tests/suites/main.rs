//! Public suites of shells, with dash and bash through the same harness: `tests/suites` has it.
//!
//! `failures.txt` lists each case that fails, with the reason. The test fails when a case fails that is not listed, and
//! when one that is listed passes.

use std::collections::{BTreeMap, BTreeSet};

use whelk_suites::{
    Case, Choice, Failures, Native, Outcome, Shell, Shells, Suite, Verdicts, brush, each, just_bash, outcome, yash,
};

/// The least shares of the cases that bash passes, in percent.
const LEAST: [(&str, usize); 2] = [("brush", 94), ("just-bash", 92)];

/// The files of yash that are run without `WHELK_PROVE`: about one of each kind, and quick.
const SLICE_OF_YASH: &[&str] =
    &["case-p.sh", "errexit-p.sh", "exit-p.sh", "fsplit-p.sh", "param-p.sh", "redir-p.sh", "set-p.sh", "tilde-p.sh"];

fn judge(shells: &Shells, case: &Case) -> Verdicts {
    let Some(oracle) = case.oracle(&shells.get("bash")) else { return Verdicts::default() };
    let ran = shells.get("ours").run(&case.start);
    let ours = outcome(case, &oracle, &ran);
    if ours == Outcome::Failed {
        case.show(&[("bash", &oracle), ("ours", &ran)]);
    }
    let dash = outcome(case, &oracle, &shells.get("dash").run(&case.start));
    Verdicts { ours, dash, bash: Outcome::Passed }
}

fn run_cases(name: &'static str, all: &[Case], shells: &Shells, wanted: impl Fn(&str) -> bool) -> Suite {
    let chosen: Vec<&Case> = all.iter().filter(|case| wanted(&case.name)).collect();
    let judged = each(&chosen, |case| (case.name.clone(), judge(shells, case)));
    Suite { name, cases: judged.into_iter().collect() }
}

fn run_yash(shells: &Shells, choice: &Choice) -> Suite {
    let files = yash::files().into_iter().filter(|name| choice.has_file(name, SLICE_OF_YASH));
    let jobs: Vec<(String, Native)> =
        files.flat_map(|file| ["ours", "dash", "bash"].map(|shell| (file.clone(), shells.get(shell)))).collect();
    let ran = each(&jobs, |(file, shell)| (shell.name, yash::run_file(shell, file)));
    let mut cases: BTreeMap<String, Verdicts> = BTreeMap::new();
    for (shell, results) in ran {
        for (name, outcome) in results {
            let verdicts = cases.entry(name).or_default();
            match shell {
                "ours" => verdicts.ours = outcome,
                "dash" => verdicts.dash = outcome,
                _ => verdicts.bash = outcome,
            }
        }
    }
    Suite { name: "yash", cases }
}

#[test]
fn no_case_changes_its_verdict() {
    let shells = Shells::new();
    let choice = Choice::from_environment();
    let failures = Failures::read(include_str!("failures.txt"));
    let mut suites = vec![run_yash(&shells, &choice)];
    for (name, all) in [("brush", brush::cases()), ("just-bash", just_bash::cases())] {
        let mut suite = run_cases(name, &all, &shells, choice.picker());
        // A busy machine may take longer for a case than it has: what fails unexpectedly is run once more.
        let is_wrong = |case: &str, verdicts: &Verdicts| {
            verdicts.ours == Outcome::Failed && verdicts.counts() && !failures.contains(&format!("{name}: {case}"))
        };
        let wrong = suite.cases.iter().filter(|(case, verdicts)| is_wrong(case, verdicts));
        let wrong: BTreeSet<String> = wrong.map(|(case, _)| case.clone()).collect();
        if !wrong.is_empty() {
            suite.cases.extend(run_cases(name, &all, &shells, |case| wrong.contains(case)).cases);
        }
        suites.push(suite);
    }
    suites.iter().for_each(Suite::print);
    let all = suites
        .iter()
        .flat_map(|suite| suite.cases.iter().map(|(case, went)| (format!("{}: {case}", suite.name), went)));
    let all: BTreeMap<String, &Verdicts> = all.collect();
    let counted = all.iter().filter(|(_, verdicts)| match verdicts.ours {
        Outcome::Passed => true,
        Outcome::Failed => verdicts.counts(),
        Outcome::NotApplicable => false,
    });
    let mut wrong: Vec<String> =
        counted.filter_map(|(name, verdicts)| failures.check(name, verdicts.ours == Outcome::Failed)).collect();
    if let Choice::All = choice {
        wrong.extend(failures.unknown(|name| all.contains_key(name)));
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
    if let Choice::All = choice {
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
