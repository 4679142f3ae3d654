//! The text that is edited, and the commands that need nothing but it.

use super::buffer::Buffer;
use super::kills::Kills;
use super::motion::is_word;
use super::vi;
use crate::editor::input::{Act, Motion};
use std::ops::Range;

/// What the last command was, where the next depends on it.
#[derive(Debug, Clone, Default)]
enum Last {
    /// A character was typed: so many in a row.
    Typed(u32),
    Kill,
    /// What was yanked, and where.
    Yank(Range<usize>),
    /// The cursor was moved up or down, from this column.
    Vertical(usize),
    #[default]
    Other,
}

/// So many characters in a row are taken back at once.
const TYPED_TOGETHER: u32 = 20;

/// A text with its kills, mark and modes.
#[derive(Debug)]
pub(in crate::editor) struct Draft {
    pub(in crate::editor) buffer: Buffer,
    pub(in crate::editor) kills: Kills,
    mark: usize,
    overwrite: bool,
    /// Changes are taken back together, until this is over.
    held: bool,
    last: Last,
}

impl Draft {
    pub(in crate::editor) fn new(buffer: Buffer, kills: Kills) -> Self {
        Self { buffer, kills, mark: 0, overwrite: false, held: false, last: Last::Other }
    }

    /// Edits another text.
    pub(in crate::editor) fn set_buffer(&mut self, buffer: Buffer) {
        self.buffer = buffer;
        (self.mark, self.last) = (0, Last::Other);
    }

    /// Begins a line: modes of the line before are over.
    pub(in crate::editor) fn restart(&mut self, buffer: Buffer) {
        self.set_buffer(buffer);
        self.overwrite = false;
    }

    /// Carries out a command of the text. `None`: it is none. False: it can do nothing.
    pub(in crate::editor) fn apply(&mut self, act: Act, argument: Option<i32>) -> Option<bool> {
        let last = std::mem::take(&mut self.last);
        let count = argument.unwrap_or(1);
        if let Act::SelfInsert(character) = act {
            return Some(self.type_character(character, count, &last));
        }
        self.held &= act != Act::LeaveInsert;
        self.end_change();
        Some(match act {
            Act::Move(motion) => self.set_cursor(motion, count),
            Act::Delete(motion) => self.delete(motion, argument, &last),
            Act::Kill(motion) => self.kill(motion, count, &last),
            Act::KillBlanks => {
                self.buffer.remove(self.buffer.blanks());
                true
            }
            Act::Yank => self.yank(),
            Act::YankPop => self.yank_pop(last),
            Act::Transpose => self.transpose(),
            Act::TransposeWords => self.transpose_words(),
            Act::Upcase => self.change_case(count, str::to_uppercase),
            Act::Downcase => self.change_case(count, str::to_lowercase),
            Act::Capitalize => self.change_case(count, capitalize),
            Act::Overwrite => {
                self.overwrite = !self.overwrite;
                true
            }
            Act::Undo => (0..count.clamp(1, 1000)).all(|_| self.buffer.undo()),
            Act::Redo => (0..count.clamp(1, 1000)).all(|_| self.buffer.redo()),
            Act::Revert => {
                while self.buffer.undo() {}
                true
            }
            Act::SetMark => {
                self.mark = self.buffer.cursor();
                true
            }
            Act::ExchangeMark => {
                let mark = std::mem::replace(&mut self.mark, self.buffer.cursor());
                self.buffer.set_cursor(mark);
                true
            }
            Act::LeaveInsert => {
                self.overwrite = false;
                self.set_cursor(Motion::BackwardInLine, 1);
                true
            }
            Act::Copy(motion) => self.copy(motion, count),
            Act::Replace(character) => self.replace_characters(count, |_| character.to_string()),
            Act::ToggleCase => self.toggle_case(count),
            Act::PutAfter | Act::PutBefore => self.put(act == Act::PutAfter, count),
            Act::Nothing => true,
            Act::Up => self.vertical(Buffer::above, &last)?,
            Act::Down => self.vertical(Buffer::below, &last)?,
            _ => return None,
        })
    }

    /// Whether changes are taken back together from now on: while vi inserts.
    pub(in crate::editor) fn hold_changes(&mut self, held: bool) {
        self.held = held;
    }

    fn end_change(&mut self) {
        if !self.held {
            self.buffer.end_change();
        }
    }

    /// Moves the cursor from behind the last character of its line onto it, where vi's commands have it.
    pub(in crate::editor) fn stay_on_character(&mut self) {
        if self.buffer.cursor() == self.buffer.line_end() && self.buffer.cursor() > self.buffer.line_start() {
            self.buffer.set_cursor(self.buffer.previous_char());
        }
    }

    /// The last command is of no consequence for the next.
    pub(in crate::editor) fn forget_last(&mut self) {
        self.last = Last::Other;
    }

    /// Inserts a text as a change of its own. False if it does not fit.
    pub(in crate::editor) fn insert(&mut self, text: &str) -> bool {
        self.replace(self.buffer.cursor()..self.buffer.cursor(), text)
    }

    /// Replaces a range as a change of its own. False if the text would be too long.
    pub(in crate::editor) fn replace(&mut self, range: Range<usize>, with: &str) -> bool {
        self.forget_last();
        self.end_change();
        let done = self.buffer.replace(range, with);
        self.end_change();
        done
    }

    fn type_character(&mut self, character: char, count: i32, last: &Last) -> bool {
        let typed = match last {
            Last::Typed(typed) if *typed < TYPED_TOGETHER => *typed,
            _ => {
                self.end_change();
                0
            }
        };
        self.last = Last::Typed(typed + 1);
        let count = usize::try_from(count).unwrap_or(0);
        if count == 1 && !self.overwrite {
            return self.buffer.insert(character.encode_utf8(&mut [0; 4]));
        }
        if !self.buffer.fits(count.saturating_mul(character.len_utf8())) {
            return false;
        }
        let mut end = self.buffer.cursor();
        for _ in 0..if self.overwrite { count } else { 0 } {
            if end < self.buffer.line_end() {
                end = self.buffer.next_char_from(end);
            }
        }
        self.buffer.replace(self.buffer.cursor()..end, &character.to_string().repeat(count))
    }

    /// The place that a motion leads to, so many times.
    fn target(&self, motion: Motion, count: i32) -> usize {
        let motion = if count < 0 { opposite(motion) } else { motion };
        let mut at = self.buffer.cursor();
        match motion {
            Motion::Find { .. } => return vi::find(&self.buffer, at, motion, count.unsigned_abs()).unwrap_or(at),
            Motion::Column => return self.column(count),
            _ => {}
        }
        for _ in 0..count.unsigned_abs() {
            let next = match motion {
                Motion::BackwardChar => self.buffer.previous_char_from(at),
                Motion::ForwardChar => self.buffer.next_char_from(at),
                Motion::BackwardWord => self.buffer.word_start(at),
                Motion::ForwardWord => self.buffer.word_end(at),
                Motion::BackwardBlankWord => self.buffer.blank_word_start(at),
                Motion::LineStart => self.buffer.line_start(),
                Motion::LineEnd => self.buffer.line_end(),
                Motion::TextStart => 0,
                Motion::TextEnd => self.buffer.text().len(),
                _ => vi::step(&self.buffer, motion, at).unwrap_or(at),
            };
            if next == at {
                break;
            }
            at = next;
        }
        at
    }

    fn set_cursor(&mut self, motion: Motion, count: i32) -> bool {
        let to = self.target(motion, count);
        let moved = to != self.buffer.cursor();
        self.buffer.set_cursor(to);
        moved || !matches!(motion, Motion::BackwardChar | Motion::ForwardChar | Motion::Find { .. } | Motion::Matching)
    }

    /// The place of a column of the line, the first being 1.
    fn column(&self, count: i32) -> usize {
        let (mut at, end) = (self.buffer.line_start(), self.buffer.line_end());
        for _ in 1..count {
            if at >= end {
                break;
            }
            at = self.buffer.next_char_from(at);
        }
        at.min(end)
    }

    /// The range between the cursor and where a motion leads. A line's end that the cursor is at already is the newline
    /// there.
    fn range(&self, motion: Motion, count: i32) -> Range<usize> {
        let cursor = self.buffer.cursor();
        let to = match self.target(motion, count) {
            _ if motion == Motion::LineText => return self.buffer.line_start()..self.buffer.line_end(),
            _ if motion == Motion::WholeLine => return self.buffer.whole_line(),
            // vi's motions that lead onto a character take it with them, and words end with their line.
            to if to != cursor && includes_end(motion) => {
                return to.min(cursor)..self.buffer.next_char_from(to.max(cursor));
            }
            to if matches!(motion, Motion::NextWord(_)) && cursor < self.buffer.line_end() => {
                to.min(self.buffer.line_end())
            }
            to if to != cursor => to,
            _ if motion == Motion::LineEnd && count > 0 => self.buffer.next_char(),
            _ if motion == Motion::LineStart && count > 0 => self.buffer.previous_char(),
            to => to,
        };
        to.min(cursor)..to.max(cursor)
    }

    fn delete(&mut self, motion: Motion, argument: Option<i32>, last: &Last) -> bool {
        // With an argument what is removed is kept, as in readline.
        if argument.is_some() {
            return self.kill(motion, argument.unwrap_or(1), last);
        }
        let range = self.range(motion, 1);
        if range.is_empty() {
            return false;
        }
        if self.overwrite && motion == Motion::BackwardChar && self.buffer.cursor() < self.buffer.line_end() {
            let blank = if self.buffer.text()[range.clone()].contains('\n') { "" } else { " " };
            self.buffer.replace(range.clone(), blank);
            self.buffer.set_cursor(range.start);
            return true;
        }
        self.buffer.remove(range);
        true
    }

    fn kill(&mut self, motion: Motion, count: i32, last: &Last) -> bool {
        let range = self.range(motion, count);
        let backward = range.end == self.buffer.cursor();
        let killed = self.buffer.remove(range);
        let joined = matches!(last, Last::Kill) && !self.held && is_of_emacs(motion);
        self.kills.push(&killed, backward, joined);
        self.last = Last::Kill;
        !killed.is_empty()
    }

    fn yank(&mut self) -> bool {
        let Some(text) = self.kills.newest() else { return false };
        let start = self.buffer.cursor();
        if !self.buffer.insert(text) {
            return false;
        }
        self.last = Last::Yank(start..self.buffer.cursor());
        true
    }

    fn yank_pop(&mut self, last: Last) -> bool {
        let Last::Yank(range) = last else { return false };
        let start = range.start;
        if !self.kills.rotate().is_some_and(|text| self.buffer.replace(range, text)) {
            return false;
        }
        self.last = Last::Yank(start..self.buffer.cursor());
        true
    }

    /// Replaces what this inserted last, as yanking does. False if it does not fit.
    pub(in crate::editor) fn yank_text(&mut self, before: Option<Range<usize>>, text: &str) -> Option<Range<usize>> {
        self.forget_last();
        self.end_change();
        let range = before.unwrap_or(self.buffer.cursor()..self.buffer.cursor());
        let start = range.start;
        self.buffer.replace(range, text).then(|| start..self.buffer.cursor())
    }

    /// Exchanges the characters on both sides of the cursor, or the last two.
    fn transpose(&mut self) -> bool {
        let at_end = self.buffer.cursor() == self.buffer.line_end();
        let middle = if at_end { self.buffer.previous_char() } else { self.buffer.cursor() };
        let (start, end) = (self.buffer.previous_char_from(middle), self.buffer.next_char_from(middle));
        let text = self.buffer.text();
        if start == middle || middle == end || text[start..end].contains('\n') {
            return false;
        }
        let exchanged = [&text[middle..end], &text[start..middle]].concat();
        self.buffer.replace(start..end, &exchanged)
    }

    /// Exchanges the word before the cursor with the one at or after it, or the last two.
    fn transpose_words(&mut self) -> bool {
        let buffer = &self.buffer;
        let end = buffer.word_end(buffer.cursor());
        let start = buffer.word_start(end);
        let before = buffer.word_start(start);
        let before_end = buffer.word_end(before);
        if before_end > start {
            return false;
        }
        let text = buffer.text();
        // After the last word there may be more, which is no word.
        let end = buffer.word_end(start).min(end);
        let exchanged = [&text[start..end], &text[before_end..start], &text[before..before_end]].concat();
        self.buffer.replace(before..end, &exchanged)
    }

    /// Changes the words after the cursor, and moves behind them; or those before it.
    fn change_case(&mut self, count: i32, change: impl Fn(&str) -> String) -> bool {
        let cursor = self.buffer.cursor();
        let range = self.range(Motion::ForwardWord, count);
        let changed = change(&self.buffer.text()[range.clone()]);
        let grown = changed.len() as isize - range.len() as isize;
        if !self.buffer.replace(range, &changed) {
            return false;
        }
        if count < 0 {
            self.buffer.set_cursor(cursor.saturating_add_signed(grown));
        }
        true
    }

    fn vertical(&mut self, to: impl Fn(&Buffer, usize) -> Option<usize>, last: &Last) -> Option<bool> {
        let column = if let Last::Vertical(column) = last { *column } else { self.buffer.column() };
        let place = to(&self.buffer, column)?;
        self.buffer.set_cursor(place);
        self.last = Last::Vertical(column);
        Some(true)
    }

    fn copy(&mut self, motion: Motion, count: i32) -> bool {
        let range = self.range(motion, count);
        self.kills.push(&self.buffer.text()[range.clone()], false, false);
        if !matches!(motion, Motion::WholeLine) {
            self.buffer.set_cursor(range.start);
        }
        !range.is_empty()
    }

    /// Changes so many characters from the cursor on. False if there are fewer.
    fn replace_characters(&mut self, count: i32, change: impl Fn(&str) -> String) -> bool {
        let start = self.buffer.cursor();
        let end = self.target(Motion::ForwardInLine, count);
        let (mut at, mut changed, mut changes) = (start, String::new(), 0);
        while at < end {
            let next = self.buffer.next_char_from(at);
            changed.push_str(&change(&self.buffer.text()[at..next]));
            (at, changes) = (next, changes + 1);
        }
        changes == count && self.buffer.replace(start..end, &changed) && {
            self.buffer.set_cursor(self.buffer.previous_char());
            true
        }
    }

    /// Exchanges upper and lower case of so many characters, and moves behind them.
    fn toggle_case(&mut self, count: i32) -> bool {
        let range = self.range(Motion::ForwardInLine, count);
        let toggle = |character: char| -> String {
            if character.is_uppercase() {
                character.to_lowercase().collect()
            } else {
                character.to_uppercase().collect()
            }
        };
        let changed: String = self.buffer.text()[range.clone()].chars().map(toggle).collect();
        !range.is_empty() && self.buffer.replace(range, &changed)
    }

    /// Inserts what was killed last before or behind the character at the cursor, which is then on its end.
    fn put(&mut self, after: bool, count: i32) -> bool {
        let Some(text) = self.kills.newest() else { return false };
        let count = usize::try_from(count).unwrap_or(0);
        if !self.buffer.fits(text.len().saturating_mul(count)) {
            return false;
        }
        let text = text.repeat(count);
        let at = if after { self.target(Motion::ForwardInLine, 1) } else { self.buffer.cursor() };
        let done = self.buffer.replace(at..at, &text);
        self.buffer.set_cursor(self.buffer.previous_char().max(at));
        done
    }

    /// Moves to the next place of a character, so many times; backward with a negative count.
    pub(in crate::editor) fn find(&mut self, character: char, count: i32) -> bool {
        let mut at = self.buffer.cursor();
        for _ in 0..count.unsigned_abs() {
            let text = self.buffer.text();
            let found = if count < 0 {
                text[..at].rfind(character)
            } else {
                let from = self.buffer.next_char_from(at);
                text[from..].find(character).map(|length| from + length)
            };
            let Some(found) = found else { return false };
            at = found;
        }
        self.buffer.set_cursor(at);
        true
    }
}

/// Whether kills by a motion in a row are one.
fn is_of_emacs(motion: Motion) -> bool {
    matches!(
        motion,
        Motion::BackwardChar
            | Motion::ForwardChar
            | Motion::BackwardWord
            | Motion::ForwardWord
            | Motion::BackwardBlankWord
            | Motion::LineStart
            | Motion::LineEnd
            | Motion::TextStart
            | Motion::TextEnd
    )
}

/// Whether the character that a motion leads to is part of what it goes over.
fn includes_end(motion: Motion) -> bool {
    matches!(motion, Motion::EndOfWord(_) | Motion::Matching | Motion::Find { forward: true, .. })
}

fn opposite(motion: Motion) -> Motion {
    match motion {
        Motion::BackwardChar => Motion::ForwardChar,
        Motion::ForwardChar => Motion::BackwardChar,
        Motion::BackwardWord => Motion::ForwardWord,
        Motion::ForwardWord | Motion::BackwardBlankWord => Motion::BackwardWord,
        Motion::LineStart => Motion::LineEnd,
        Motion::LineEnd => Motion::LineStart,
        Motion::TextStart => Motion::TextEnd,
        Motion::TextEnd => Motion::TextStart,
        other => other,
    }
}

/// The first letter of each word in upper case, the others in lower case.
fn capitalize(text: &str) -> String {
    let mut inside = false;
    text.chars()
        .flat_map(|character| {
            let first = !std::mem::replace(&mut inside, is_word(character));
            let changed: String =
                if first { character.to_uppercase().collect() } else { character.to_lowercase().collect() };
            changed.chars().collect::<Vec<_>>()
        })
        .collect()
}
