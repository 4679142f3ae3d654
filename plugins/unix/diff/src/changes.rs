//! What changes from one file to the other.

use similar::{Algorithm, DiffOp, capture_diff_slices};

use crate::lines::Lines;
use crate::settings::Settings;

/// Lines of the first file that lines of the second replace. Either may be none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) old: (usize, usize),
    pub(crate) new: (usize, usize),
}

/// The changes between two files, in their order, with the lines numbered by what they are.
pub(crate) fn between(old: &[u32], new: &[u32]) -> Vec<Change> {
    let (mut deleted, mut inserted) = (vec![false; old.len()], vec![false; new.len()]);
    for operation in capture_diff_slices(Algorithm::Myers, old, new) {
        if !matches!(operation, DiffOp::Equal { .. }) {
            deleted[operation.old_range()].fill(true);
            inserted[operation.new_range()].fill(true);
        }
    }
    shift(&mut deleted, old, &inserted);
    shift(&mut inserted, new, &deleted);
    let (mut changes, mut at) = (Vec::new(), (0, 0));
    while at.0 < old.len() || at.1 < new.len() {
        let run = |marks: &[bool], from: usize| marks[from..].iter().take_while(|mark| **mark).count();
        let (removed, added) = (run(&deleted, at.0), run(&inserted, at.1));
        if removed + added > 0 {
            changes.push(Change { old: (at.0, at.0 + removed), new: (at.1, at.1 + added) });
            at = (at.0 + removed, at.1 + added);
        } else {
            at = (at.0 + 1, at.1 + 1);
        }
    }
    changes
}

/// Moves runs of changed lines as far down as they go, and joins those that meet: as GNU's diff does it, so that the
/// end of a block is changed and not its beginning. A run that has a counterpart in the other file stays there.
fn shift(marks: &mut [bool], lines: &[u32], others: &[bool]) {
    let mut run = Run { marks, lines, others, start: 0, end: 0, other: 0 };
    while run.find_next() {
        // The last end at which the run meets a change of the other file.
        let mut meeting;
        loop {
            let length = run.end - run.start;
            while run.start > 0 && lines[run.start - 1] == lines[run.end - 1] {
                run.move_up();
            }
            meeting = if run.has_other(run.other.checked_sub(1)) { Some(run.end) } else { None };
            while run.end < lines.len() && lines[run.start] == lines[run.end] {
                if run.move_down() {
                    meeting = Some(run.end);
                }
            }
            if run.end - run.start == length {
                break;
            }
        }
        while meeting.is_some_and(|meeting| meeting < run.end) {
            run.move_up();
        }
    }
}

/// A run of changed lines, from its start to before its end, and its place in the other file.
struct Run<'a> {
    marks: &'a mut [bool],
    lines: &'a [u32],
    others: &'a [bool],
    start: usize,
    end: usize,
    other: usize,
}

impl Run<'_> {
    fn has_other(&self, place: Option<usize>) -> bool {
        place.and_then(|place| self.others.get(place)).copied().unwrap_or_default()
    }

    /// Finds the next run after this one. False if there is none.
    fn find_next(&mut self) -> bool {
        loop {
            while self.has_other(Some(self.other)) {
                self.other += 1;
            }
            match self.marks.get(self.end) {
                None => return false,
                Some(true) => break,
                Some(false) => {
                    self.end += 1;
                    self.other += 1;
                }
            }
        }
        self.start = self.end;
        while self.marks.get(self.end) == Some(&true) {
            self.end += 1;
        }
        debug_assert!(self.end <= self.lines.len(), "there is a mark for each line");
        true
    }

    /// One line up. Joins a run that comes right before.
    fn move_up(&mut self) {
        self.start -= 1;
        self.end -= 1;
        self.marks[self.start] = true;
        self.marks[self.end] = false;
        while self.start > 0 && self.marks[self.start - 1] {
            self.start -= 1;
        }
        self.other -= 1;
        while self.has_other(self.other.checked_sub(1)) {
            self.other -= 1;
        }
    }

    /// One line down. Joins a run that comes right after. Whether the other file changes there.
    fn move_down(&mut self) -> bool {
        self.marks[self.start] = false;
        self.marks[self.end] = true;
        self.start += 1;
        self.end += 1;
        while self.marks.get(self.end) == Some(&true) {
            self.end += 1;
        }
        self.other += 1;
        let mut meets = false;
        while self.has_other(Some(self.other)) {
            meets = true;
            self.other += 1;
        }
        meets
    }
}

/// Without the changes of nothing but empty lines, if those do not count.
pub(crate) fn that_count(settings: &Settings, changes: Vec<Change>, files: [&Lines<'_>; 2]) -> Vec<Change> {
    if !settings.ignore_blank_lines {
        return changes;
    }
    let blank = |file: &Lines<'_>, (from, to): (usize, usize)| {
        file.lines[from..to]
            .iter()
            .all(|line| line.iter().all(|byte| settings.ignore_space && byte.is_ascii_whitespace()))
    };
    let counts = |change: &Change| !(blank(files[0], change.old) && blank(files[1], change.new));
    changes.into_iter().filter(counts).collect()
}

/// Changes with so many lines of context between them that they are printed together.
pub(crate) fn grouped(changes: &[Change], context: usize) -> Vec<Vec<Change>> {
    let mut groups: Vec<Vec<Change>> = Vec::new();
    for change in changes {
        match groups.last_mut() {
            Some(group) if group.last().is_some_and(|last| change.old.0 - last.old.1 <= context.saturating_mul(2)) => {
                group.push(*change);
            }
            _ => groups.push(vec![*change]),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_at_the_end_of_a_block() {
        // f g f g, of which the second pair is new.
        let changes = between(&[1, 2, 3], &[1, 2, 1, 2, 3]);
        assert_eq!(changes, vec![Change { old: (2, 2), new: (2, 4) }]);
        assert_eq!(between(&[1, 2, 3], &[1, 4, 3]), vec![Change { old: (1, 2), new: (1, 2) }]);
        assert_eq!(between(&[], &[]), Vec::new());
    }
}
