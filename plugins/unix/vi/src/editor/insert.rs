//! Keys in the insert and the replace mode.

use unix_common::tty::Key;

use super::state::{BlockInsertion, Editor, Insertion, Mode};
use crate::columns::{Tabs, at_column, span, total};
use crate::key;
use crate::text::{Position, char_at, class, last_char, leading_blanks, next, previous, snapped};

impl Editor {
    pub(crate) fn insert_key(&mut self, key: Key) {
        let Mode::Insert(mut insertion) = std::mem::take(&mut self.mode) else { return };
        self.message.clear();
        if insertion.awaited.is_some() {
            insertion.keys.push(key);
            self.awaited_key(&mut insertion, key);
            self.want_here();
            self.mode = Mode::Insert(insertion);
            return;
        }
        match key {
            Key::Escape | Key::Character('\x03') => return self.end_insertion(*insertion),
            Key::Character('\x0f') => {
                insertion.behind = None;
                insertion.block = None;
                if self.cursor.column == self.line().len() && !self.line().is_empty() {
                    insertion.behind = Some(self.cursor.line);
                    self.cursor.column = last_char(self.line());
                }
                self.interrupted = Some(insertion);
                self.text.begin(self.cursor);
                return;
            }
            _ => {}
        }
        insertion.keys.push(key);
        self.type_key(&mut insertion, key);
        if matches!(key, Key::Character(_)) {
            self.want_here();
        }
        self.mode = Mode::Insert(insertion);
    }

    /// A key that leaves the mode as it is.
    fn type_key(&mut self, insertion: &mut Insertion, key: Key) {
        match key {
            Key::Enter => self.break_line(insertion),
            Key::Backspace => self.erase(insertion, |line, at| previous(line, at).unwrap_or(0)),
            Key::Character('\x17') => self.erase(insertion, word_before),
            Key::Character('\x15') => {
                let start = if insertion.start.line == self.cursor.line { insertion.start.column } else { 0 };
                self.erase(insertion, move |_, at| if start < at { start } else { 0 });
            }
            Key::Character(sign @ ('\x14' | '\x04')) => self.shift_here(sign == '\x14'),
            Key::Character(sign @ ('\x16' | '\x11' | '\x12')) => insertion.awaited = Some(sign),
            Key::Character(sign @ ('\x05' | '\x19')) => self.copy_beside(insertion, sign == '\x05'),
            Key::Character('\t') => self.type_tab(insertion),
            Key::Character(sign) if sign >= ' ' => self.type_char(insertion, sign),
            Key::Delete => self.delete_here(),
            Key::Left | Key::Right | Key::Up | Key::Down | Key::Home | Key::End | Key::PageUp | Key::PageDown => {
                self.move_while_typing(insertion, key);
            }
            Key::Resized | Key::Terminate | Key::Unknown | Key::Escape => {}
            Key::Character(_) => self.fail(),
        }
    }

    /// Types one character, over another in the replace mode.
    fn type_char(&mut self, insertion: &mut Insertion, sign: char) {
        if self.settings.textwidth > 0 && !insertion.replace && sign != ' ' {
            self.wrap_while_typing(insertion);
        }
        insertion.indent_only = false;
        let at = self.cursor;
        let line = self.line();
        let end = if insertion.replace { next(line, at.column) } else { at.column };
        if insertion.replace {
            let covered = &line[at.column..end];
            insertion.covered.push((!covered.is_empty()).then(|| covered.to_owned()));
        }
        let mut encoded = [0; 4];
        let text = sign.encode_utf8(&mut encoded);
        self.text.edit(at.line, |line| line.replace_range(at.column..end, text));
        self.cursor.column += text.len();
    }

    /// Breaks the line before the last word if it is as long as `textwidth`.
    fn wrap_while_typing(&mut self, insertion: &mut Insertion) {
        let (at, width) = (self.cursor, self.settings.textwidth);
        let line = self.line();
        if total(&line[..at.column], self.tabs()) < width {
            return;
        }
        let indent = leading_blanks(line);
        let Some((start, blank)) = break_place(&line[..at.column], width, self.tabs()) else { return };
        let kept = if self.settings.autoindent { line[..indent].to_owned() } else { String::new() };
        let blank = blank - 1;
        self.text.remove(Position::new(at.line, start), Position::new(at.line, blank + 1));
        let after = self.text.insert(Position::new(at.line, start), &[String::new(), kept]);
        self.cursor = Position::new(after.line, after.column + at.column - (blank + 1));
        insertion.start = Position::new(after.line, 0);
        self.wrap_while_typing(insertion);
    }

    fn type_tab(&mut self, insertion: &mut Insertion) {
        let column = span(self.line(), self.cursor.column, self.tabs()).0;
        let stop = match self.settings.softtabstop {
            0 => self.settings.tabstop,
            stop => stop,
        };
        if self.settings.expandtab {
            for _ in 0..stop - column % stop {
                self.type_char(insertion, ' ');
            }
        } else if self.settings.softtabstop > 0 {
            let to = column + stop - column % stop;
            let blanks = &self.line()[..self.cursor.column];
            let start = blanks.trim_end_matches([' ', '\t']).len();
            let from = total(&blanks[..start], self.tabs());
            let (at, text) = (self.cursor, self.blanks(from, to));
            self.text.edit(at.line, |line| line.replace_range(start..at.column, &text));
            self.cursor.column = start + text.len();
            self.want_here();
        } else {
            self.type_char(insertion, '\t');
        }
    }

    fn break_line(&mut self, insertion: &mut Insertion) {
        let at = self.cursor;
        let line = self.line();
        let indent = self.indent_like(&line[..at.column]);
        let drops = insertion.indent_only && at.column == line.len();
        if insertion.replace {
            // A line end takes no character's place.
            insertion.covered.push(None);
        }
        self.cursor = self.text.insert(at, &[String::new(), indent.clone()]);
        if drops {
            self.text.edit(at.line, String::clear);
        }
        if self.settings.autoindent {
            let place = self.cursor;
            let blanks = leading_blanks(&self.line()[place.column..]);
            self.text.edit(place.line, |line| line.replace_range(place.column..place.column + blanks, ""));
        }
        insertion.indent_only = !indent.is_empty();
        self.want_here();
    }

    /// Backspace and the like: removes what is between the place that `to` tells and the cursor.
    fn erase(&mut self, insertion: &mut Insertion, to: impl FnOnce(&str, usize) -> usize) {
        let at = self.cursor;
        if at.column == 0 {
            if at.line == 0 {
                return self.fail();
            }
            let end = self.text.line(at.line - 1).len();
            if insertion.replace {
                insertion.covered.pop();
            }
            self.text.remove(Position::new(at.line - 1, end), at);
            self.cursor = Position::new(at.line - 1, end);
        } else if insertion.replace {
            match insertion.covered.pop() {
                Some(covered) => {
                    let start = previous(self.line(), at.column).unwrap_or(0);
                    let back = covered.unwrap_or_default();
                    self.text.edit(at.line, |line| line.replace_range(start..at.column, &back));
                    self.cursor.column = start;
                }
                None => self.cursor.column = previous(self.line(), at.column).unwrap_or(0),
            }
        } else {
            let mut start = snapped(self.line(), to(self.line(), at.column));
            let before = &self.line()[..at.column];
            if self.settings.softtabstop > 0 && before.ends_with(' ') && start + 1 == at.column {
                let stop = self.settings.softtabstop;
                let column = total(before, self.tabs());
                let wanted = (column - 1) / stop * stop;
                while start > 0 && before[..start].ends_with(' ') && total(&before[..start], self.tabs()) > wanted {
                    start -= 1;
                }
            }
            self.text.remove(Position::new(at.line, start), at);
            self.cursor.column = start;
        }
        self.want_here();
    }

    /// `C-t` and `C-d`: changes the indent of the line.
    fn shift_here(&mut self, right: bool) {
        let (at, step) = (self.cursor, self.settings.indent());
        let line = self.line();
        let blanks = leading_blanks(line);
        let width = total(&line[..blanks], self.tabs());
        let new = if right { (width / step + 1) * step } else { width.div_ceil(step).saturating_sub(1) * step };
        let indent = self.indent_of(new);
        let length = indent.len();
        self.text.edit(at.line, |line| line.replace_range(..blanks, &indent));
        self.cursor.column = (at.column + length).saturating_sub(blanks);
        self.want_here();
    }

    /// `C-e` and `C-y`: the character below or above.
    fn copy_beside(&mut self, insertion: &mut Insertion, below: bool) {
        let line = if below { Some(self.cursor.line + 1) } else { self.cursor.line.checked_sub(1) };
        let column = span(self.line(), self.cursor.column, self.tabs()).0;
        let found = line.and_then(|line| {
            let content = self.text.line(line);
            char_at(content, at_column(content, column, self.tabs()).0)
        });
        match found {
            Some(sign) => self.type_char(insertion, sign),
            None => self.fail(),
        }
    }

    fn delete_here(&mut self) {
        let at = self.cursor;
        let end = next(self.line(), at.column);
        if end > at.column {
            self.text.remove(at, Position::new(at.line, end));
        } else if at.line < self.text.last() {
            self.text.remove(at, Position::new(at.line + 1, 0));
        } else {
            self.fail();
        }
    }

    /// Arrows begin another insertion.
    fn move_while_typing(&mut self, insertion: &mut Insertion, key: Key) {
        self.text.commit();
        self.text.begin(self.cursor);
        let (at, length) = (self.cursor, self.line().len());
        match key {
            Key::Left => self.cursor.column = previous(self.line(), at.column).unwrap_or(0),
            Key::Right => self.cursor.column = next(self.line(), at.column),
            Key::Home => self.cursor.column = 0,
            Key::End => self.cursor.column = length,
            other => {
                let rows = self.view.rows.saturating_sub(3).max(1);
                let line = match other {
                    Key::Up => at.line.saturating_sub(1),
                    Key::Down => at.line + 1,
                    Key::PageUp => at.line.saturating_sub(rows),
                    _ => at.line + rows,
                };
                let line = line.min(self.text.last());
                let content = self.text.line(line);
                self.cursor = Position::new(line, at_column(content, self.wanted, self.tabs()).0);
            }
        }
        if !matches!(key, Key::Up | Key::Down | Key::PageUp | Key::PageDown) {
            self.want_here();
        }
        insertion.start = self.cursor;
        insertion.count = 1;
        insertion.block = None;
        insertion.covered.clear();
        insertion.indent_only = false;
        insertion.keys.clear();
    }

    /// The key behind `C-v` or `C-r`.
    fn awaited_key(&mut self, insertion: &mut Insertion, key: Key) {
        let Some(sign) = key::to_char(key) else {
            insertion.awaited = None;
            return;
        };
        if insertion.awaited == Some('\x12') {
            insertion.awaited = None;
            let Some(piece) = self.register(Some(sign)) else { return self.fail() };
            for sign in piece.joined().chars() {
                if sign == '\n' {
                    self.break_line(insertion);
                } else {
                    self.type_char(insertion, sign);
                }
            }
            return;
        }
        // `C-v 065`, `C-v x41` and `C-v u20ac` are codes of characters.
        insertion.code.push(sign);
        let code = insertion.code.clone();
        let (digits, radix, most) = match code.as_bytes()[0] {
            b'u' => (&code[1..], 16, 4),
            b'U' => (&code[1..], 16, 8),
            b'x' => (&code[1..], 16, 2),
            _ => (&code[..], 10, 3),
        };
        let good = digits.len() - digits.bytes().rev().take_while(|byte| !char::from(*byte).is_digit(radix)).count();
        let whole = digits.len() >= most || good < digits.len();
        if !whole {
            return;
        }
        insertion.awaited = None;
        insertion.code.clear();
        let number = u32::from_str_radix(&digits[..good], radix).ok().and_then(char::from_u32).filter(|_| good > 0);
        match number {
            Some(character) if character != '\n' => {
                self.type_char(insertion, character);
                if good < digits.len() {
                    self.type_key(insertion, key);
                }
            }
            _ => self.type_char(
                insertion,
                if code.len() > sign.len_utf8() { code.chars().next().unwrap_or(sign) } else { sign },
            ),
        }
    }

    /// Escape.
    fn end_insertion(&mut self, mut insertion: Insertion) {
        let keys = std::mem::take(&mut insertion.keys);
        if insertion.indent_only {
            let at = self.cursor;
            if at.column == self.line().len() {
                self.text.edit(at.line, String::clear);
                self.cursor.column = 0;
            }
        }
        let repeats = insertion.count.saturating_sub(1);
        let steps = keys.len() + usize::from(insertion.opens);
        let repeats = if steps > 0 && self.spend(repeats.saturating_mul(steps)) { repeats } else { 0 };
        for _ in 0..repeats {
            if !self.goes_on() {
                break;
            }
            if insertion.opens {
                insertion.indent_only = self.open_line(false);
            }
            for key in &keys {
                if insertion.awaited.is_some() {
                    self.awaited_key(&mut insertion, *key);
                } else {
                    self.type_key(&mut insertion, *key);
                }
            }
        }
        if let Some(block) = insertion.block {
            self.fill_block(&insertion, block);
        }
        self.text.marks.insert('^', self.cursor);
        if let Some(repeat) = self.repeat.as_mut().filter(|_| !self.repeating) {
            repeat.keys = keys;
        }
        if let Some(before) = previous(self.line(), self.cursor.column) {
            self.cursor.column = before;
        }
        self.mode = Mode::Normal;
        self.settle();
        self.want_here();
        self.text.commit();
    }

    /// What an insertion has to know to come into the lines of a block.
    pub(crate) fn block_insertion(&self, last: usize, column: usize, fill: bool) -> BlockInsertion {
        BlockInsertion { last, column, fill, length: self.line().len(), cursor: self.cursor.column }
    }

    /// Puts what was typed in the first line of a block into the others.
    fn fill_block(&mut self, insertion: &Insertion, block: BlockInsertion) {
        let start = insertion.start;
        if self.cursor.line != start.line || self.line().len() <= block.length {
            return;
        }
        let end = start.column + self.line().len() - block.length;
        // Control-D and Control-U move what was typed.
        let Some(text) = self.line().get(start.column..end).map(str::to_owned) else { return };
        for line in start.line + 1..=block.last.min(self.text.last()) {
            let content = self.text.line(line);
            let (at, exact) = at_column(content, block.column, self.tabs());
            let (at, missing) = if block.column == usize::MAX {
                (content.len(), 0)
            } else if at == content.len() && !exact {
                (at, block.column - total(content, self.tabs()))
            } else {
                (at, 0)
            };
            if missing > 0 && !block.fill {
                continue;
            }
            let text = format!("{}{text}", " ".repeat(missing));
            self.text.edit(line, |content| content.insert_str(at, &text));
        }
        // One to the right of where Escape leaves it.
        self.cursor = Position::new(start.line, next(self.line(), block.cursor));
    }
}

/// Where a line that is too long is broken: where the blanks begin, and where they end. That is at the last blanks that
/// begin within the width, or else at the first.
pub(crate) fn break_place(line: &str, width: usize, tabs: Tabs) -> Option<(usize, usize)> {
    let indent = leading_blanks(line);
    let mut best = None;
    let mut at = indent;
    while let Some(start) = line[at..].find([' ', '\t']).map(|start| at + start) {
        let end = start + leading_blanks(&line[start..]);
        if best.is_some() && total(&line[..start], tabs) > width {
            break;
        }
        best = Some((start, end));
        at = end;
    }
    best
}

/// Where the word begins that ends before a place, with the blanks between.
fn word_before(line: &str, at: usize) -> usize {
    let before = line[..at].trim_end_matches([' ', '\t']);
    let mut start = before.len();
    let kind = previous(line, start).map(|last| class(char_at(line, last), false));
    while let Some(last) = previous(line, start) {
        if kind != Some(class(char_at(line, last), false)) {
            break;
        }
        start = last;
    }
    start
}
