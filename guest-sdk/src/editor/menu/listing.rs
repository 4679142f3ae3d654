//! Candidates in columns, as readline lists them: down, then to the right.

use crate::editor::callbacks::Candidate;
use crate::editor::display::{visible, width};

/// The blanks between two columns, at least.
const GAP: usize = 2;

/// The rows of a list of candidates for a terminal of some columns. None is wider than it.
pub(super) fn rows(candidates: &[Candidate], columns: usize) -> Vec<String> {
    let labels: Vec<_> = candidates.iter().map(|candidate| visible(candidate.label())).collect();
    let labels: Vec<(usize, &str)> = labels.iter().map(|label| width(label, columns)).collect();
    let widest = labels.iter().map(|(width, _)| *width).max().unwrap_or(0) + GAP;
    let across = ((columns + GAP) / widest).max(1);
    let rows = labels.len().div_ceil(across);
    (0..rows)
        .map(|row| {
            let (mut line, mut blanks) = (String::new(), 0);
            for (width, label) in labels.iter().skip(row).step_by(rows) {
                line.extend(std::iter::repeat_n(' ', blanks));
                line.push_str(label);
                blanks = widest - width;
            }
            line
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(words: &[&str], columns: usize) -> Vec<String> {
        rows(&words.iter().map(|word| Candidate::word(*word)).collect::<Vec<_>>(), columns)
    }

    #[test]
    fn candidates_go_down_and_then_to_the_right() {
        assert_eq!(listed(&["a", "bb", "c", "d", "e"], 8), ["a   d", "bb  e", "c"]);
        assert_eq!(listed(&["a", "漢字", "c"], 11), ["a     c", "漢字"]);
        assert_eq!(listed(&["abc", "d"], 80), ["abc  d"]);
        assert_eq!(listed(&["abcdef", "d\x1b"], 4), ["abcd", "d^["]);
        assert_eq!(listed(&[], 80), Vec::<String>::new());
    }
}
