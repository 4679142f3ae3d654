//! A text with a cursor. Every change goes through one function, which keeps how to take it back.

use super::motion::{is_mark, is_word, line_end, line_start, next_cluster, previous_cluster, skip, skip_back};
use super::undo::Undo;
use std::ops::Range;

/// The text that is edited. The cursor is between two characters, or before the first or after the last.
#[derive(Debug, Clone)]
pub(in crate::editor) struct Buffer {
    text: String,
    cursor: usize,
    undo: Undo,
    /// The most bytes that the text may have.
    limit: usize,
}

impl Buffer {
    pub(in crate::editor) fn new(limit: usize, undo_limit: usize) -> Self {
        Self { text: String::new(), cursor: 0, undo: Undo::new(undo_limit), limit }
    }

    /// A text without a history of changes, the cursor at its end. It is cut at the limit.
    pub(in crate::editor) fn with(mut text: String, limit: usize, undo_limit: usize) -> Self {
        text.truncate(text.floor_char_boundary(limit));
        Self { cursor: text.len(), text, ..Self::new(limit, undo_limit) }
    }

    pub(in crate::editor) fn text(&self) -> &str {
        &self.text
    }

    pub(in crate::editor) fn into_text(self) -> String {
        self.text
    }

    pub(in crate::editor) fn cursor(&self) -> usize {
        self.cursor
    }

    pub(in crate::editor) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Moves the cursor. A place inside a character, or beyond the text, is moved back to one that is not.
    pub(in crate::editor) fn set_cursor(&mut self, to: usize) {
        self.cursor = self.text.floor_char_boundary(to);
    }

    /// Whether this many more bytes fit.
    pub(in crate::editor) fn fits(&self, bytes: usize) -> bool {
        self.text.len().saturating_add(bytes) <= self.limit
    }

    /// Replaces a range, and moves the cursor behind what is new. False, and nothing changes, if the text would be too
    /// long.
    pub(in crate::editor) fn replace(&mut self, range: Range<usize>, with: &str) -> bool {
        if !self.fits(with.len().saturating_sub(range.len())) {
            return false;
        }
        let end = range.start + with.len();
        if !(range.is_empty() && with.is_empty()) {
            let removed = self.text[range.clone()].to_owned();
            self.undo.record(range.start, removed, with, self.cursor);
            self.text.replace_range(range, with);
        }
        self.cursor = end;
        true
    }

    pub(in crate::editor) fn insert(&mut self, text: &str) -> bool {
        self.replace(self.cursor..self.cursor, text)
    }

    /// Removes a range, and returns what it was.
    pub(in crate::editor) fn remove(&mut self, range: Range<usize>) -> String {
        let removed = self.text[range.clone()].to_owned();
        self.replace(range, "");
        removed
    }

    /// What changes from now on is taken back by itself.
    pub(in crate::editor) fn end_change(&mut self) {
        self.undo.next_group();
    }

    /// Takes the last change back. False if there is none.
    pub(in crate::editor) fn undo(&mut self) -> bool {
        let edits = self.undo.take_back();
        for edit in &edits {
            self.text.replace_range(edit.at..edit.at + edit.inserted.len(), &edit.removed);
            self.cursor = edit.cursor;
        }
        !edits.is_empty()
    }

    /// Makes again what was taken back last. False if there is nothing.
    pub(in crate::editor) fn redo(&mut self) -> bool {
        let edits = self.undo.make_again();
        for edit in &edits {
            self.text.replace_range(edit.at..edit.at + edit.removed.len(), &edit.inserted);
            self.cursor = edit.at + edit.inserted.len();
        }
        !edits.is_empty()
    }

    pub(in crate::editor) fn next_char(&self) -> usize {
        next_cluster(&self.text, self.cursor)
    }

    pub(in crate::editor) fn previous_char(&self) -> usize {
        previous_cluster(&self.text, self.cursor)
    }

    /// The beginning of the cluster that ends at a byte.
    pub(in crate::editor) fn previous_char_from(&self, from: usize) -> usize {
        previous_cluster(&self.text, from)
    }

    /// The end of the cluster that begins at a byte.
    pub(in crate::editor) fn next_char_from(&self, from: usize) -> usize {
        next_cluster(&self.text, from)
    }

    /// The end of the word that a byte is in or before.
    pub(in crate::editor) fn word_end(&self, from: usize) -> usize {
        let start = skip(&self.text, from, |character| !is_word(character));
        skip(&self.text, start, is_word)
    }

    /// The beginning of the word that a byte is in or after.
    pub(in crate::editor) fn word_start(&self, from: usize) -> usize {
        let mut from = from;
        loop {
            let end = skip_back(&self.text, from, |character| !is_word(character));
            let start = skip_back(&self.text, end, is_word);
            // A mark at the beginning is part of the character before it, which is none of a word.
            let first = skip(&self.text[..end], start, is_mark);
            if first < end || start == 0 {
                return if start == 0 { 0 } else { first };
            }
            from = start;
        }
    }

    /// The beginning of the word that ends at a blank, before a byte.
    pub(in crate::editor) fn blank_word_start(&self, from: usize) -> usize {
        let end = skip_back(&self.text, from, char::is_whitespace);
        skip_back(&self.text, end, |character| !character.is_whitespace())
    }

    /// The blanks around the cursor, in its line.
    pub(in crate::editor) fn blanks(&self) -> Range<usize> {
        let blank = |character| character == ' ' || character == '\t';
        skip_back(&self.text, self.cursor, blank)..skip(&self.text, self.cursor, blank)
    }

    pub(in crate::editor) fn line_start(&self) -> usize {
        line_start(&self.text, self.cursor)
    }

    pub(in crate::editor) fn line_end(&self) -> usize {
        line_end(&self.text, self.cursor)
    }

    /// The cursor's line with its newline, or the one before it if it is the last.
    pub(in crate::editor) fn whole_line(&self) -> Range<usize> {
        let (start, end) = (self.line_start(), self.line_end());
        if end < self.text.len() { start..end + 1 } else { start.saturating_sub(1)..end }
    }

    /// How many clusters are between the beginning of the line and the cursor.
    pub(in crate::editor) fn column(&self) -> usize {
        let (mut at, mut column) = (self.line_start(), 0);
        while at < self.cursor {
            at = next_cluster(&self.text, at);
            column += 1;
        }
        column
    }

    /// The place of a column in the line above the cursor's. `None` in the first line.
    pub(in crate::editor) fn above(&self, column: usize) -> Option<usize> {
        let end = self.line_start().checked_sub(1)?;
        Some(self.at_column(line_start(&self.text, end), end, column))
    }

    /// The place of a column in the line below the cursor's. `None` in the last line.
    pub(in crate::editor) fn below(&self, column: usize) -> Option<usize> {
        let end = self.line_end();
        (end < self.text.len()).then(|| self.at_column(end + 1, line_end(&self.text, end + 1), column))
    }

    fn at_column(&self, start: usize, end: usize, column: usize) -> usize {
        let mut at = start;
        for _ in 0..column {
            if at >= end {
                break;
            }
            at = next_cluster(&self.text, at);
        }
        at.min(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(text: &str, cursor: usize) -> Buffer {
        let mut buffer = Buffer::with(text.to_owned(), 100, 1000);
        buffer.set_cursor(cursor);
        buffer
    }

    #[test]
    fn changes_of_one_group_are_taken_back_together() {
        let mut text = buffer("ab", 1);
        assert!(text.insert("x") && text.insert("y"));
        text.end_change();
        assert_eq!(text.remove(0..1), "a");
        assert_eq!((text.text(), text.cursor()), ("xyb", 0));
        assert!(text.undo());
        assert_eq!((text.text(), text.cursor()), ("axyb", 3));
        assert!(text.undo());
        assert_eq!((text.text(), text.cursor()), ("ab", 1));
        assert!(!text.undo());
        assert!(text.redo() && text.redo() && !text.redo());
        assert_eq!((text.text(), text.cursor()), ("xyb", 0));
        assert!(text.undo() && text.insert("z") && !text.redo());
    }

    #[test]
    fn a_text_is_never_longer_than_its_limit() {
        let mut text = buffer(&"x".repeat(99), 99);
        assert!(text.insert("y"));
        assert!(!text.insert("y"));
        assert!(text.replace(0..2, "ab"));
        assert_eq!(Buffer::with("é".repeat(60), 99, 0).text().len(), 98);
    }

    #[test]
    fn changes_beyond_the_limit_are_forgotten_from_the_oldest_on() {
        let mut text = Buffer::with(String::new(), 10_000, 2_000);
        for _ in 0..100 {
            assert!(text.insert(&"x".repeat(50)));
            text.end_change();
        }
        let mut taken_back = 0;
        while text.undo() {
            taken_back += 1;
        }
        assert!((5..40).contains(&taken_back), "{taken_back}");
        assert_eq!(text.text().len(), (100 - taken_back) * 50);
    }

    #[test]
    fn words_lines_and_columns() {
        let text = buffer("let a_b = e\u{301}t+\u{301}9;\nab", 5);
        assert_eq!((text.word_end(3), text.word_start(text.text().len())), (5, 20));
        assert_eq!((text.word_start(10), text.word_start(17), text.word_start(18)), (6, 10, 17));
        assert_eq!(text.blank_word_start(15), 10);
        assert_eq!((text.line_start(), text.line_end(), text.column()), (0, 19, 5));
        assert_eq!((text.above(1), text.below(1), text.below(9)), (None, Some(21), Some(22)));
        let below = buffer("a漢b\ncde", 7);
        assert_eq!((below.column(), below.above(2), below.below(0)), (1, Some(4), None));
    }
}
