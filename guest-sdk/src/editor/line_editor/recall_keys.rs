//! The keys that bring lines of the history back, and words of them.

use super::{Editor, YankedWord};
use crate::editor::input::Act;
use crate::editor::recall::word;
use crate::editor::text::Buffer;

impl Editor {
    /// Carries out a command of the history. False if it can do nothing.
    pub(super) fn recall(&mut self, act: Act, argument: Option<i32>, previous: Act) -> bool {
        let (at, last) = (self.recall.at(), self.history.len());
        let count = argument.unwrap_or(1);
        let step = |forward: i32| {
            let step = isize::try_from(count.saturating_mul(forward)).unwrap_or(0);
            at.checked_add_signed(step)
        };
        match act {
            Act::Up | Act::Previous => step(-1).is_some_and(|to| self.go_to_line(to)),
            Act::Down | Act::Next => step(1).is_some_and(|to| self.go_to_line(to)),
            Act::First => self.go_to_line(0),
            Act::Last => self.go_to_line(last),
            Act::PrefixBackward | Act::PrefixForward => self.go_to_prefix(act == Act::PrefixBackward),
            Act::YankLastArgument => self.yank_argument(argument, previous == Act::YankLastArgument),
            Act::YankNthArgument => {
                let line = at.checked_sub(1).and_then(|line| self.recall.text(&self.history, line));
                let found = line.and_then(|line| word(line, Some(count))).map(str::to_owned);
                found.is_some_and(|word| self.draft.yank_text(None, &word).is_some())
            }
            Act::GoToLine => {
                self.go_to_line(argument.map_or(0, |number| usize::try_from(number.max(1) - 1).unwrap_or(last)))
            }
            Act::SearchAgain { reverse } => self.search_line(reverse),
            Act::AppendArgument => {
                let line = at.checked_sub(1).and_then(|line| self.recall.text(&self.history, line));
                let Some(word) = line.and_then(|line| word(line, argument)).map(|word| format!(" {word}")) else {
                    return false;
                };
                self.draft.buffer.set_cursor(self.draft.buffer.next_char());
                self.draft.yank_text(None, &word).is_some()
            }
            _ => false,
        }
    }

    /// Edits the nearest line with the pattern of the last search, for vi.
    fn search_line(&mut self, reverse: bool) -> bool {
        let (backward, pattern) = (self.pattern_backward != reverse, self.pattern.clone());
        let found = self.recall.with_text(&self.history, backward, &pattern);
        !pattern.is_empty() && found.is_some_and(|line| self.go_to_line(line))
    }

    /// Edits a line of the history. False if there is none of this number.
    fn go_to_line(&mut self, to: usize) -> bool {
        if to == self.recall.at() {
            return false;
        }
        let Some(text) = self.recall.go(&self.history, to, self.draft.buffer.text()) else { return false };
        self.set_text(text);
        if self.keys.is_vi_command() {
            self.draft.buffer.set_cursor(0);
        }
        true
    }

    pub(super) fn set_text(&mut self, text: String) {
        let limits = self.settings.limits;
        self.draft.set_buffer(Buffer::with(text, limits.text, limits.undo));
    }

    /// Edits the nearest line that begins as this one does before the cursor.
    fn go_to_prefix(&mut self, backward: bool) -> bool {
        let cursor = self.draft.buffer.cursor();
        let text = self.draft.buffer.text();
        let Some(line) = self.recall.with_prefix(&self.history, backward, &text[..cursor], text) else { return false };
        let went = self.go_to_line(line);
        if cursor > 0 {
            self.draft.buffer.set_cursor(cursor);
        }
        went
    }

    /// Inserts the last word of the line before, or its word of a number; again, that of the line before that.
    fn yank_argument(&mut self, argument: Option<i32>, again: bool) -> bool {
        let before = self.argument.take().filter(|_| again);
        let lines = before.as_ref().map_or(self.recall.at(), |before| before.line);
        let number = argument.or(before.as_ref().and_then(|before| before.number));
        let word_of = |line: usize| word(self.recall.text(&self.history, line)?, number).map(str::to_owned);
        let Some((line, text)) = (0..lines).rev().find_map(|line| Some((line, word_of(line)?))) else {
            // The next one looks from here again.
            self.argument = before;
            return false;
        };
        let Some(range) = self.draft.yank_text(before.map(|before| before.range), &text) else { return false };
        self.argument = Some(YankedWord { line, number, range });
        true
    }
}
