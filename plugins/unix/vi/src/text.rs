//! The lines of a text, the marks in it, and the changes that can be undone.

mod blocks;
mod history;
mod line;
mod position;
mod register;
mod tracked;

use std::collections::BTreeMap;

use blocks::Blocks;
use history::{Change, History};

pub(crate) use line::{
    char_at, class, first_nonblank, is_blank_line, last_char, leading_blanks, next, previous, snapped,
};
pub(crate) use position::Position;
pub(crate) use register::{Piece, Registers, Shape};
pub(crate) use tracked::Tracked;

/// A text that is edited. Without lines it acts as one empty line.
#[derive(Debug, Default)]
pub(crate) struct Text {
    lines: Blocks,
    pub(crate) marks: BTreeMap<char, Position>,
    /// Lines that a command will come to, which move with the text.
    pub(crate) tracked: Tracked,
    history: History,
}

impl Text {
    pub(crate) fn new(lines: Vec<String>) -> Self {
        Self { lines: Blocks::new(lines), ..Self::default() }
    }

    /// How many lines it has, at least one.
    pub(crate) fn len(&self) -> usize {
        self.lines.len().max(1)
    }

    /// Whether it has no lines, not even an empty one.
    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub(crate) fn last(&self) -> usize {
        self.len() - 1
    }

    pub(crate) fn line(&self, at: usize) -> &str {
        self.lines.get(at).map_or("", String::as_str)
    }

    /// Some of the lines, fewer at the end of the text.
    pub(crate) fn lines(&self, from: usize, to: usize) -> impl Iterator<Item = &str> + Clone {
        let to = to.min(self.lines.len());
        let from = from.min(to);
        self.lines.iter_from(from).take(to - from)
    }

    /// The same, copied.
    pub(crate) fn copied(&self, from: usize, to: usize) -> Vec<String> {
        self.lines(from, to).map(str::to_owned).collect()
    }

    /// Opens an undo step unless one is open. Until its first change, a later call replaces the cursor.
    pub(crate) fn begin(&mut self, cursor: Position) {
        self.history.begin(cursor);
    }

    /// Ends it.
    pub(crate) fn commit(&mut self) {
        self.history.commit();
    }

    /// Whether it differs from what was saved.
    pub(crate) fn is_modified(&self) -> bool {
        self.history.is_modified()
    }

    pub(crate) fn set_saved(&mut self) {
        self.history.set_saved();
    }

    pub(crate) fn set_modified(&mut self) {
        self.history.set_modified();
    }

    /// Replaces some lines by others.
    pub(crate) fn splice(&mut self, at: usize, count: usize, mut new: Vec<String>) {
        let (at, count) = match (self.lines.is_empty(), at, count) {
            (true, 0, 0) => {
                new.push(String::new());
                (0, 0)
            }
            (true, 0, _) => (0, 0),
            (true, ..) => {
                new.insert(0, String::new());
                (0, 0)
            }
            (false, ..) => (at.min(self.lines.len()), count.min(self.lines.len().saturating_sub(at))),
        };
        self.adjust(at, count, new.len());
        let inserted = new.len();
        let removed = self.lines.splice(at, count, new);
        self.history.record(Change { at, removed, inserted });
    }

    /// Changes one line.
    pub(crate) fn edit(&mut self, at: usize, how: impl FnOnce(&mut String)) {
        if self.lines.is_empty() {
            self.splice(0, 1, vec![String::new()]);
        }
        let Some(line) = self.lines.get_mut(at) else { return };
        if !self.history.covers(at) {
            self.history.record(Change { at, removed: vec![line.clone()], inserted: 1 });
        }
        how(line);
    }

    /// Moves marks as lines come and go. Those in lines that are gone go.
    fn adjust(&mut self, at: usize, removed: usize, inserted: usize) {
        if removed == inserted {
            return;
        }
        let moved = |line: usize| {
            if line < at + inserted.min(removed) {
                Some(line)
            } else if line < at + removed {
                None
            } else {
                Some(line - removed + inserted)
            }
        };
        self.marks.retain(|_, place| moved(place.line).map(|line| place.line = line).is_some());
        self.tracked.adjust(at, removed, inserted);
    }

    /// Takes the last change back: where the cursor goes. None if there is none.
    pub(crate) fn undo(&mut self) -> Option<Position> {
        let mut step = self.history.take_done()?;
        let (changes, place) = self.turn(std::mem::take(&mut step.changes), step.cursor);
        self.history.put_undone(step, changes);
        Some(place)
    }

    /// Makes it again.
    pub(crate) fn redo(&mut self) -> Option<Position> {
        let mut step = self.history.take_undone()?;
        let (changes, place) = self.turn(std::mem::take(&mut step.changes), step.cursor);
        self.history.put_done(step, changes);
        Some(place)
    }

    /// Carries changes out in reverse order: the changes that take them back, and where the cursor goes. That is the
    /// first line that differs, or where it was if that is near.
    fn turn(&mut self, changes: Vec<Change>, cursor: Position) -> (Vec<Change>, Position) {
        let mut reversed = Vec::with_capacity(changes.len());
        let mut first: Option<Position> = None;
        for Change { at, removed, inserted } in changes.into_iter().rev() {
            let count = removed.len();
            self.adjust(at, inserted, count);
            let old = self.lines.splice(at, inserted, removed);
            if first.is_none_or(|first| at <= first.line) {
                let near = cursor.line + 1 >= at && cursor.line <= at + count;
                let same = old.iter().zip(self.lines(at, at + count)).take_while(|(old, new)| old == new).count();
                let differs = Position::new(at + same.min(count.min(old.len())), usize::MAX);
                if near {
                    first = Some(cursor);
                } else if first.is_none() || same < count.min(old.len()) {
                    first = Some(differs);
                }
            }
            reversed.push(Change { at, removed: old, inserted: count });
        }
        let mut place = first.unwrap_or(cursor);
        if cursor.line + 1 == place.line {
            place = cursor;
        }
        place.line = place.line.min(self.last());
        if place.line == cursor.line {
            place.column = cursor.column;
        }
        if place.column == usize::MAX {
            place.column = first_nonblank(self.line(place.line));
        }
        (reversed, place)
    }

    /// The text between two places, the second excluded, as lines.
    pub(crate) fn slice(&self, from: Position, to: Position) -> Vec<String> {
        if from.line == to.line {
            return vec![self.line(from.line)[from.column..to.column].to_owned()];
        }
        let mut lines = vec![self.line(from.line)[from.column..].to_owned()];
        lines.extend(self.lines(from.line + 1, to.line).map(str::to_owned));
        lines.push(self.line(to.line)[..to.column].to_owned());
        lines
    }

    /// Removes it.
    pub(crate) fn remove(&mut self, from: Position, to: Position) {
        let (from, to) = (self.clamp(from), self.clamp(to).max(self.clamp(from)));
        if from.line == to.line {
            self.edit(from.line, |line| line.replace_range(from.column..to.column, ""));
        } else {
            let joined = format!("{}{}", &self.line(from.line)[..from.column], &self.line(to.line)[to.column..]);
            self.splice(from.line, to.line - from.line + 1, vec![joined]);
        }
    }

    /// Inserts lines within a line: where the inserted text ends.
    pub(crate) fn insert(&mut self, at: Position, text: &[String]) -> Position {
        let (Some(first), Some(last)) = (text.first(), text.last()) else { return at };
        let at = self.clamp(at);
        if text.len() == 1 {
            self.edit(at.line, |line| line.insert_str(at.column, first));
            return Position::new(at.line, at.column + first.len());
        }
        let (before, after) = self.line(at.line).split_at(at.column);
        let (first, end) = (format!("{before}{first}"), format!("{last}{after}"));
        let middle = text[1..text.len() - 1].iter().cloned();
        let new: Vec<String> = std::iter::once(first).chain(middle).chain(std::iter::once(end)).collect();
        self.splice(at.line, 1, new);
        Position::new(at.line + text.len() - 1, last.len())
    }

    /// A place that is in the text and at the beginning of a character, or behind the last.
    pub(crate) fn clamp(&self, place: Position) -> Position {
        let line = place.line.min(self.last());
        Position::new(line, snapped(self.line(line), place.column))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &Text) -> Vec<&str> {
        (0..text.len()).map(|at| text.line(at)).collect()
    }

    #[test]
    fn a_step_is_undone_and_made_again_at_once() {
        let mut text = Text::new(vec!["a".to_owned(), "b".to_owned(), "c".to_owned()]);
        text.begin(Position::new(1, 0));
        text.edit(1, |line| line.push('x'));
        text.edit(1, |line| line.push('y'));
        text.splice(2, 1, vec![]);
        text.commit();
        assert_eq!(lines(&text), ["a", "bxy"]);
        assert!(text.is_modified());
        assert_eq!(text.undo(), Some(Position::new(1, 0)));
        assert_eq!(lines(&text), ["a", "b", "c"]);
        assert!(!text.is_modified());
        text.redo();
        assert_eq!(lines(&text), ["a", "bxy"]);
        assert_eq!(text.redo(), None);
    }

    #[test]
    fn a_text_without_lines_acts_as_an_empty_line() {
        let mut text = Text::new(vec![]);
        text.begin(Position::default());
        text.edit(0, |line| line.push('x'));
        assert_eq!((lines(&text), text.is_empty()), (vec!["x"], false));
        text.commit();
        text.undo();
        assert!(text.is_empty());
        text.splice(1, 0, vec!["below".to_owned()]);
        assert_eq!(lines(&text), ["", "below"]);
    }

    #[test]
    fn marks_move_with_their_lines() {
        let mut text = Text::new(["0", "1", "2", "3"].map(str::to_owned).to_vec());
        for (name, line) in [('a', 0), ('b', 2), ('c', 3)] {
            text.marks.insert(name, Position::new(line, 0));
        }
        text.splice(1, 2, vec![]);
        assert_eq!(
            text.marks.iter().map(|(name, place)| (*name, place.line)).collect::<Vec<_>>(),
            [('a', 0), ('c', 1)]
        );
    }
}
