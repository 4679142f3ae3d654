//! The incremental search in the history: Control-R and Control-S.

use super::history::History;
use super::recall::Recall;

/// The longest pattern, in bytes.
const LONGEST: usize = 256;

/// Where a pattern was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) line: usize,
    /// The byte of the line at which the pattern begins.
    pub(super) at: usize,
}

/// A search, from its first key to its last.
#[derive(Debug)]
pub(super) struct Search {
    backward: bool,
    pattern: String,
    found: Found,
    failed: bool,
    /// The states before each character of the pattern, for Backspace.
    before: Vec<(usize, Found, bool)>,
}

impl Search {
    pub(super) fn new(backward: bool, line: usize, cursor: usize) -> Self {
        let found = Found { line, at: cursor };
        Self { backward, pattern: String::new(), found, failed: false, before: Vec::new() }
    }

    pub(super) fn pattern(&self) -> &str {
        &self.pattern
    }

    pub(super) fn is_backward(&self) -> bool {
        self.backward
    }

    pub(super) fn found(&self) -> Found {
        self.found
    }

    /// What stands in the place of the prompt.
    pub(super) fn prompt(&self) -> String {
        let (failed, kind) = (if self.failed { "failed " } else { "" }, if self.backward { "reverse-" } else { "" });
        format!("({failed}{kind}i-search)`{}': ", super::display::visible(&self.pattern))
    }

    /// Adds to the pattern. False if nothing is found, or the pattern would be too long.
    pub(super) fn extend(&mut self, text: &str, history: &History, recall: &Recall) -> bool {
        if self.pattern.len() + text.len() > LONGEST {
            return false;
        }
        self.before.push((self.pattern.len(), self.found, self.failed));
        self.pattern.push_str(text);
        // What was not found is not found with more after it.
        if !self.failed {
            let at = self.found.at;
            self.find(if self.backward { at + 1 } else { at }, history, recall);
        }
        !self.failed
    }

    /// Takes the last addition to the pattern back. False if it is empty.
    pub(super) fn shorten(&mut self) -> bool {
        let Some((length, found, failed)) = self.before.pop() else { return false };
        self.pattern.truncate(length);
        (self.found, self.failed) = (found, failed);
        true
    }

    /// Goes on to the next place, in this direction. `last` is the pattern of the search before, if there is none yet.
    pub(super) fn again(&mut self, backward: bool, last: &str, history: &History, recall: &Recall) -> bool {
        let turned = backward != self.backward;
        self.backward = backward;
        if self.pattern.is_empty() {
            return last.is_empty() || self.extend(last, history, recall);
        }
        if self.failed && !turned {
            return false;
        }
        self.failed = false;
        let at = self.found.at;
        self.find(if backward { at } else { at + 1 }, history, recall);
        !self.failed
    }

    /// Looks from a place of the line on: for a beginning before `limit`, or from it on.
    fn find(&mut self, limit: usize, history: &History, recall: &Recall) {
        let pattern = self.pattern.as_str();
        let text = |line: usize| recall.text(history, line).unwrap_or("");
        let here = text(self.found.line);
        let place = if self.backward {
            let end = here.floor_char_boundary(limit.saturating_add(pattern.len()).saturating_sub(1));
            here[..end].rfind(pattern)
        } else {
            let from = here.ceil_char_boundary(limit.min(here.len()));
            here[from..].find(pattern).map(|at| from + at)
        };
        let in_line = |at| Found { line: self.found.line, at };
        let other = |line: usize| {
            let text = text(line);
            let at = if self.backward { text.rfind(pattern) } else { text.find(pattern) };
            at.map(|at| Found { line, at })
        };
        let found = place.map(in_line).or_else(|| {
            if self.backward {
                (0..self.found.line).rev().find_map(other)
            } else {
                (self.found.line + 1..=history.len()).find_map(other)
            }
        });
        self.failed = found.is_none();
        self.found = found.unwrap_or(self.found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_found_in_either_direction() {
        let mut history = History::default();
        ["abcab", "xyz", "ab é"].iter().for_each(|line| assert!(history.add(line)));
        let mut recall = Recall::new(&history, 100);
        recall.keep(&history, "new ab");
        let mut search = Search::new(true, 3, 6);
        let found = |search: &Search| (search.found.line, search.found.at);
        assert!(search.extend("a", &history, &recall));
        assert_eq!(found(&search), (3, 4));
        assert!(search.extend("b", &history, &recall));
        assert_eq!(found(&search), (3, 4));
        for place in [(2, 0), (0, 3), (0, 0)] {
            assert!(search.again(true, "", &history, &recall));
            assert_eq!(found(&search), place);
        }
        assert!(!search.again(true, "", &history, &recall));
        assert_eq!((found(&search), search.prompt().as_str()), ((0, 0), "(failed reverse-i-search)`ab': "));
        assert!(search.again(false, "", &history, &recall));
        assert_eq!(found(&search), (0, 3));
        assert!(!search.extend("q", &history, &recall));
        assert!(search.shorten() && !search.failed);
        assert!(search.shorten() && search.shorten() && !search.shorten());
        assert_eq!(found(&search), (3, 6));
        assert!(search.again(false, "é", &history, &recall) || search.failed);
        assert!(!search.extend(&"x".repeat(300), &history, &recall));
    }
}
