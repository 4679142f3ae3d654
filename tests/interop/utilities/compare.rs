//! What differs, and whether that is intended.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::machine::{Line, Outcome};
use super::table::{Difference, Part, Tables};
use super::tree::Files;

/// The lines that were run.
pub(super) struct Comparison {
    intended: BTreeMap<String, &'static Difference>,
    /// Those of the intended ones that were run.
    met: BTreeSet<String>,
    counts: BTreeMap<String, Count>,
    wrong: Vec<String>,
}

/// The lines of one utility.
#[derive(Default)]
struct Count {
    all: usize,
    intended: usize,
}

impl Comparison {
    pub(super) fn new(tables: &Tables) -> Self {
        let differences = tables.iter().flat_map(|(_, differences)| *differences);
        let lines = differences.flat_map(|difference| difference.lines.iter().map(move |line| (*line, difference)));
        let (mut intended, mut wrong) = (BTreeMap::new(), Vec::new());
        for (line, difference) in lines {
            if intended.insert(line.to_owned(), difference).is_some() {
                wrong.push(format!("{line}: two differences are listed"));
            }
        }
        Self { intended, met: BTreeSet::new(), counts: BTreeMap::new(), wrong }
    }

    /// Compares what came of a line.
    pub(super) fn add(&mut self, utility: &str, line: &Line, ours: &Outcome, theirs: &Outcome) {
        let expected: &[Part] = self.intended.get(&line.text).map_or(&[], |difference| difference.parts);
        let count = self.counts.entry(utility.to_owned()).or_default();
        count.all += 1;
        count.intended += usize::from(!expected.is_empty());
        self.met.insert(line.text.clone());
        for (part, ours, theirs) in [
            (Part::Out, ours.out.clone(), theirs.out.clone()),
            (Part::Err, ours.err.clone(), theirs.err.clone()),
            (Part::Status, ours.status.to_string(), theirs.status.to_string()),
            (Part::Files, listed(&ours.files, &theirs.files), listed(&theirs.files, &ours.files)),
        ] {
            match (ours == theirs, expected.contains(&part)) {
                (true, false) | (false, true) => {}
                (true, true) => self.wrong.push(format!("{}: {part:?} is the same: remove its difference", line.text)),
                (false, false) => {
                    self.wrong.push(format!("{}: {part:?}\n  Whelk: {ours:?}\n  Linux: {theirs:?}", line.text));
                }
            }
        }
    }

    /// What is wrong. `all`: every line was run.
    pub(super) fn finish(self, all: bool) -> Vec<String> {
        let unmet = self.intended.keys().filter(|line| all && !self.met.contains(*line));
        let unmet = unmet.map(|line| format!("{line}: a difference is listed, and there is no such line"));
        self.wrong.into_iter().chain(unmet).collect()
    }
}

/// The files that are not the same on the other side.
fn listed(files: &Files, others: &Files) -> String {
    let own = files.iter().filter(|(path, what)| others.get(*path) != Some(what));
    own.map(|(path, what)| format!("{path}: {what}\n")).collect()
}

/// The counts of lines by utility.
impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut all, mut intended) = (0, 0);
        for (utility, count) in &self.counts {
            writeln!(f, "{utility}: {} lines, {} with intended differences", count.all, count.intended)?;
            all += count.all;
            intended += count.intended;
        }
        write!(f, "{} utilities: {all} lines, {intended} with intended differences", self.counts.len())
    }
}
