//! How the cases of a suite went, and a table of it.

use crate::case::Outcome;
use std::collections::BTreeMap;

/// How a case went with each shell.
#[derive(Debug, Clone, Copy, Default)]
pub struct Verdicts {
    /// With ours.
    pub ours: Outcome,
    /// With dash.
    pub dash: Outcome,
    /// With bash.
    pub bash: Outcome,
}

impl Verdicts {
    /// Whether a failure counts: dash or bash passes the case.
    pub fn counts(&self) -> bool {
        self.dash == Outcome::Passed || self.bash == Outcome::Passed
    }
}

/// The cases of a suite by name.
#[derive(Debug)]
pub struct Suite {
    /// The suite's name.
    pub name: &'static str,
    /// Their verdicts.
    pub cases: BTreeMap<String, Verdicts>,
}

impl Suite {
    /// Prints a table: the counts of each class of cases, a class being a file.
    pub fn print(&self) {
        let mut classes: BTreeMap<&str, Vec<&Verdicts>> = BTreeMap::new();
        for (name, verdicts) in &self.cases {
            classes.entry(name.split(':').next().unwrap_or_default()).or_default().push(verdicts);
        }
        let all: Vec<&Verdicts> = self.cases.values().collect();
        classes.insert("all", all);
        println!("{:<48} {:>6} {:>6} {:>6} {:>6} {:>6}", self.name, "cases", "n/a", "ours", "dash", "bash");
        for (class, verdicts) in classes {
            let count =
                |outcome, of: fn(&Verdicts) -> Outcome| verdicts.iter().filter(|one| of(one) == outcome).count();
            println!(
                "{class:<48} {:>6} {:>6} {:>6} {:>6} {:>6}",
                verdicts.len(),
                count(Outcome::NotApplicable, |one| one.ours),
                count(Outcome::Passed, |one| one.ours),
                count(Outcome::Passed, |one| one.dash),
                count(Outcome::Passed, |one| one.bash),
            );
        }
    }
}
