//! Lists of the cases that fail, each with a reason.

use std::collections::BTreeMap;

/// A list: lines `# reason`, each with the names of its cases after it. A reason that begins with "either way: " is of
/// cases that depend on the order in which processes run.
#[derive(Debug)]
pub struct Failures {
    listed: BTreeMap<String, String>,
}

impl Failures {
    /// Reads it.
    pub fn read(text: &str) -> Self {
        let mut listed = BTreeMap::new();
        let mut reason = "";
        for line in text.lines().filter(|line| !line.is_empty()) {
            match line.strip_prefix("# ") {
                Some(text) => reason = text,
                None => drop(listed.insert(line.to_owned(), reason.to_owned())),
            }
        }
        Self { listed }
    }

    /// Whether a case is listed.
    pub fn contains(&self, name: &str) -> bool {
        self.listed.contains_key(name)
    }

    /// What is wrong with how a case went: it fails and is not listed, or it passes and is.
    pub fn check(&self, name: &str, fails: bool) -> Option<String> {
        match (fails, self.listed.get(name)) {
            (true, None) => Some(format!("fails and is not listed: {name}")),
            (false, Some(reason)) if !reason.starts_with("either way: ") => {
                Some(format!("passes and is listed ({reason}): {name}"))
            }
            _ => None,
        }
    }

    /// What is listed though there is no such case.
    pub fn unknown(&self, is_known: impl Fn(&str) -> bool) -> impl Iterator<Item = String> {
        let unknown = self.listed.keys().filter(move |name| !is_known(name));
        unknown.map(|name| format!("listed and not there: {name}"))
    }
}
